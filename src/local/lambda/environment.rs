//! An execution environment: it comes up, takes one invocation at a time, and says in the log what it does.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, watch};
use uuid::Uuid;

use super::execution::Permits;
use super::failure::Failure;
use super::interpreters::Interpreters;
use super::journal::{Journal, Metrics};
use super::name::FunctionId;
use super::runtime::{Ran, Runtime};
use super::runtime_api::Invocation;
use super::sandbox::{self, NOWHERE};
use super::state::{Deployment, now};
use super::write_protection::WriteProtection;
use crate::local::conditions::lock;
use crate::local::seams::{Apis, Invoked, LogSink, Roles, Sdk};
use crate::local::shell::Shell;
use crate::machine::interpreter::Language;

/// Where environments keep their files, below Lambda's folder.
pub const SCRATCH: &str = "tmp";

/// How long a start counts as one of those that may run at once. One that takes longer waits for something rather than
/// for the processor, and others need not wait for it.
const START: Duration = Duration::from_secs(2);

/// How soon an SDK that could not be brought is tried for again: a machine that is offline would try at every start.
const AGAIN: Duration = Duration::from_secs(60);

/// What environments are given by the cloud around them.
pub struct Host {
    pub shell: Shell,
    pub roles: Arc<dyn Roles>,
    pub logs: Arc<dyn LogSink>,
    pub interpreters: Interpreters,
    /// Known once API Gateway is open, which leans on Lambda.
    pub apis: OnceLock<Weak<dyn Apis>>,
    /// Without one, as in tests, nothing is brought.
    pub sdk: OnceLock<Arc<dyn Sdk>>,
    /// The runtimes and code that were tried: `None` for those that have it, else when it failed.
    pub equipped: Mutex<HashMap<(String, PathBuf), Option<Instant>>>,
    /// Whether functions have file systems of their own; tried when the first starts.
    pub isolates: OnceCell<bool>,
    /// For those that have none.
    pub protection: WriteProtection,
    /// How long a runtime may take to come up, before an invocation waits for it in earnest.
    pub init_limit: Duration,
    pub live: watch::Sender<Live>,
}

/// How many environments there are of which code, by its SHA-256 in hexadecimal; never 0.
pub type Live = HashMap<String, usize>;

impl Host {
    /// Lambda's folder, absolute.
    pub fn folder(&self) -> PathBuf {
        let folder = super::folder(self.shell.store.folder());
        folder.canonicalize().unwrap_or(folder)
    }

    /// Whether functions have file systems of their own here.
    pub async fn isolates(&self) -> bool {
        let probe = || async {
            let folder = self.folder();
            let probed = tokio::task::spawn_blocking(move || sandbox::probe(&folder)).await;
            let probed = probed.unwrap_or_else(|error| Err(error.to_string()));
            if let Err(why) = &probed {
                tracing::warn!(
                    "functions have no file system of their own (no /var/task, and the machine's /tmp): {why}"
                );
            }
            probed.is_ok()
        };
        *self.isolates.get_or_init(probe).await
    }

    /// A folder for the files of one environment, removed with it: where it has no file system of its own.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> io::Result<TempDir> {
        let folder = self.folder().join(SCRATCH);
        std::fs::create_dir_all(&folder)?;
        tempfile::Builder::new().prefix("").tempdir_in(folder)
    }

    /// Brings the SDK that the runtime of some code has on AWS, once for both. Gives why that did not succeed.
    async fn equip(&self, spec: &Spec) -> Option<String> {
        let sdk = self.sdk.get()?;
        let runtime = &spec.deployment.settings.runtime;
        let code = (runtime.clone(), spec.folder.clone());
        if lock(&self.equipped).get(&code).is_some_and(|failed| failed.is_none_or(|at| at.elapsed() < AGAIN)) {
            return None;
        }
        let brought = sdk.bring(runtime, &spec.folder).await;
        lock(&self.equipped).insert(code, brought.is_err().then(Instant::now));
        brought.err()
    }

    /// The names that this cloud's APIs have on AWS, each with where it is here: `localhost:PORT/{apiId}`.
    pub fn addresses(&self) -> Vec<(String, String)> {
        let apis = self.apis.get().and_then(Weak::upgrade).map(|apis| apis.apis()).unwrap_or_default();
        let authority = self.shell.authority();
        apis.into_iter()
            .map(|(id, region)| {
                let china = if region.starts_with("cn-") { ".cn" } else { "" };
                (format!("{id}.execute-api.{region}.amazonaws.com{china}"), format!("{authority}/{id}"))
            })
            .collect()
    }
}

/// What an environment runs.
#[derive(Debug, Clone)]
pub struct Spec {
    pub id: FunctionId,
    /// `$LATEST` or a number.
    pub version: String,
    pub deployment: Deployment,
    /// Where the code is.
    pub folder: PathBuf,
}

/// One invocation, as a caller asks for it.
#[derive(Debug, Clone)]
pub struct Call {
    pub request_id: String,
    /// As the caller named the function: with its version or alias, if any.
    pub function_arn: String,
    pub payload: Bytes,
    /// JSON.
    pub client_context: Option<String>,
}

/// One execution environment. Dropped, its process is killed.
pub struct Environment {
    host: Arc<Host>,
    spec: Arc<Spec>,
    journal: Arc<Journal>,
    runtime: Option<Runtime>,
    /// Whether the log says already why an API is not reached.
    explained: bool,
    /// Held until it has started.
    start: Option<OwnedSemaphorePermit>,
    _place: OwnedSemaphorePermit,
}

impl Environment {
    /// An environment that is still cold: its first invocation starts it.
    pub fn new(host: Arc<Host>, spec: Arc<Spec>, permits: Permits) -> Self {
        let journal = Arc::new(Journal::new(host.logs.clone(), spec.clone()));
        host.live.send_modify(|live| *live.entry(spec.deployment.code.hex()).or_default() += 1);
        let Permits { start, environment } = permits;
        Self { host, spec, journal, runtime: None, explained: false, start: Some(start), _place: environment }
    }

    /// What tells the deployment that this environment runs from others.
    pub fn revision_id(&self) -> &str {
        &self.spec.deployment.revision_id
    }

    /// Whether it can take an invocation without starting again.
    pub fn is_warm(&mut self) -> bool {
        self.runtime.as_mut().is_some_and(Runtime::is_alive)
    }

    /// Runs one invocation. Afterwards the environment is warm, or it is of no more use.
    pub async fn invoke(&mut self, call: Call) -> Invoked {
        let timeout = Duration::from_secs(self.spec.deployment.settings.timeout.into());
        let (started, init, waited) = match self.runtime.take() {
            Some(runtime) => (Ok(runtime), None, Duration::ZERO),
            None => {
                let permit = self.start.take();
                let mut start = std::pin::pin!(self.start(timeout));
                match tokio::time::timeout(START, &mut start).await {
                    Ok(started) => started,
                    Err(_) => {
                        drop(permit);
                        start.await
                    }
                }
            }
        };
        self.journal.start(&call.request_id);
        let begun = Instant::now();
        let mut memory = None;
        let result = match started {
            Ok(mut runtime) => {
                let invocation = Invocation {
                    request_id: call.request_id.clone(),
                    deadline: now() + timeout.as_millis() as i64,
                    function_arn: call.function_arn,
                    trace_id: trace_id(self.spec.deployment.settings.tracing == "Active"),
                    client_context: call.client_context,
                    payload: call.payload,
                };
                let Ran { result, reusable } = runtime.invoke(invocation, timeout).await;
                memory = runtime.peak_memory();
                self.runtime = reusable.then_some(runtime);
                result
            }
            Err(failure) => Err(failure),
        };
        self.explain(&result);
        let metrics = Metrics { duration: begun.elapsed() + waited, init, memory };
        self.journal.end(&call.request_id, result.as_ref().err(), metrics);
        Invoked {
            function_error: result.is_err().then_some("Unhandled"),
            payload: result.unwrap_or_else(|failure| failure.document(&call.request_id)),
            log_tail: self.journal.tail(),
            version: self.spec.version.clone(),
        }
    }

    /// Says in the log, once, why an API was not reached by the name that it has on AWS: where an executable has built that
    /// name itself, nothing of ours is in its process to lead it here, and the port that it goes with is not ours.
    fn explain(&mut self, result: &Result<Bytes, Failure>) {
        /// Of an answer, what can be an error's text.
        const LONGEST: usize = 4096;
        if self.explained || Language::of(&self.spec.deployment.settings.runtime).is_some() {
            return;
        }
        let answer = match result {
            Ok(payload) => payload.clone(),
            Err(failure) => failure.document(""),
        };
        let said = self.journal.tail() + &String::from_utf8_lossy(&answer[..answer.len().min(LONGEST)]);
        let said = said.to_ascii_lowercase();
        // As the errors of Go, C, Rust and its SDK read; many name neither whom nor what they did not reach.
        let isolated = self.host.isolates.get() == Some(&true);
        let refused =
            isolated && [NOWHERE, "connection refused", "connectionrefused"].iter().any(|sign| said.contains(sign));
        if !refused && !said.contains(".execute-api.") {
            return;
        }
        let names: Vec<String> = self.host.addresses().into_iter().map(|(name, _)| name).collect();
        let named = names.iter().find(|name| said.contains(name.as_str()));
        let Some(name) = named.or_else(|| names.first().filter(|_| refused)) else { return };
        self.explained = true;
        self.journal.write(vec![format!(
            "wschat: an executable that builds the address https://{name} itself does not reach this cloud by it. Make \
             it of the event's domainName and stage, or take it from a variable in which the template builds it."
        )]);
    }

    /// Brings the runtime up. A failed first try is not the end: Lambda tries once more, then on the invocation's time
    /// (Lambda developer guide, failures during the init phase). Gives with the runtime how long a good first try
    /// took, and how much of the invocation's time a second one.
    async fn start(&self, timeout: Duration) -> (Result<Runtime, Failure>, Option<Duration>, Duration) {
        if let Some(why) = self.host.equip(&self.spec).await {
            self.journal.write(vec![why]);
        }
        self.journal.init_start();
        let begun = Instant::now();
        let failure = match Runtime::start(&self.host, &self.spec, &self.journal, self.host.init_limit).await {
            Ok(runtime) => return (Ok(runtime), Some(begun.elapsed()), Duration::ZERO),
            Err(failure) => failure,
        };
        self.journal.init_failed("init", begun.elapsed(), &failure);
        let begun = Instant::now();
        let started = Runtime::start(&self.host, &self.spec, &self.journal, timeout).await;
        if let Err(failure) = &started {
            self.journal.init_failed("invoke", begun.elapsed(), failure);
        }
        (started, None, begun.elapsed())
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.runtime = None;
        self.host.live.send_modify(|live| {
            let code = self.spec.deployment.code.hex();
            if let Some(count) = live.get_mut(&code) {
                *count -= 1;
                if *count == 0 {
                    live.remove(&code);
                }
            }
        });
    }
}

/// An X-Ray trace header (X-Ray developer guide, tracing header). Nothing records the trace.
fn trace_id(sampled: bool) -> String {
    let seconds = now() / 1000;
    let root = Uuid::new_v4().simple().to_string();
    let parent = Uuid::new_v4().simple().to_string();
    format!("Root=1-{seconds:08x}-{};Parent={};Sampled={}", &root[..24], &parent[..16], u8::from(sampled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_headers_are_well_formed() {
        let header = trace_id(false);
        let parts: Vec<&str> = header.split([';', '=']).collect();
        let ["Root", root, "Parent", parent, "Sampled", "0"] = parts[..] else { panic!("{header}") };
        let lengths: Vec<usize> = root.split('-').map(str::len).collect();
        assert_eq!((lengths, parent.len()), (vec![1, 8, 24], 16));
    }
}
