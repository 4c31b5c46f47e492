//! An execution environment: it starts a runtime, runs one invocation at a time, and writes the function's log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::failure::InvocationFailure;
use super::function_log::{FunctionLog, Metrics};
use super::runtime::{InvocationOutcome, Runtime};
use super::runtime_api::Invocation;
use super::sandbox::REFUSING_ADDRESS;
use super::spec::{EnvironmentSpec, InvokeRequest, LambdaHost, Permits};
use super::state::now;
use crate::local::context::ports::Invoked;
use crate::local::context::recorder::{Recorder, Text, What};
use crate::machine::interpreter::Language;

/// How long a start holds its permit of the limited concurrent starts. A start that takes longer waits for something other
/// than the processor, so others need not wait for it.
const START_PERMIT_LIMIT: Duration = Duration::from_secs(2);

/// One execution environment. Dropped, its process is killed.
pub struct Environment {
    host: Arc<LambdaHost>,
    spec: Arc<EnvironmentSpec>,
    log: Arc<FunctionLog>,
    runtime: Option<Runtime>,
    since: Instant,
    /// Whether the log already explains why an API is not reached.
    explained: bool,
    /// The permit to start, held until it has started.
    start: Option<OwnedSemaphorePermit>,
    _permit: OwnedSemaphorePermit,
}

impl Environment {
    /// A cold environment: its first invocation starts it.
    pub fn new(host: Arc<LambdaHost>, spec: Arc<EnvironmentSpec>, permits: Permits) -> Self {
        let log = Arc::new(FunctionLog::new(&host, spec.clone()));
        host.live.send_modify(|live| {
            spec.deployment.files().into_iter().for_each(|name| *live.entry(name).or_default() += 1);
        });
        let Permits { start, environment } = permits;
        let since = Instant::now();
        Self { host, spec, log, runtime: None, since, explained: false, start: Some(start), _permit: environment }
    }

    /// Identifies the deployment that this environment runs.
    pub fn revision_id(&self) -> &str {
        &self.spec.deployment.revision_id
    }

    /// Whether it can run an invocation without a new start.
    pub fn is_warm(&mut self) -> bool {
        self.runtime.as_mut().is_some_and(Runtime::is_alive)
    }

    /// When it was made.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Starts it before its first invocation, as Lambda may do, too (Lambda developer guide, runtime environment: it may
    /// initialize environments proactively). Afterwards it is warm, or the log says why not.
    pub async fn warm(&mut self) {
        if self.runtime.is_some() {
            return;
        }
        let permit = self.start.take();
        let started = self.start(self.spec.timeout()).await.0;
        drop(permit);
        self.runtime = started.ok();
        if let Some(runtime) = &self.runtime {
            runtime.rest();
        }
    }

    /// Runs one invocation. Afterwards the environment is warm, or it must not be used again.
    pub async fn invoke(&mut self, call: InvokeRequest) -> Invoked {
        let timeout = self.spec.timeout();
        self.log.attribute(&call.request_id);
        self.recorder().record(What::Invoked {
            invocation: call.request_id.clone(),
            function: self.spec.id.name.clone(),
            region: self.spec.id.region.clone(),
            version: self.spec.version.clone(),
            cause: call.cause,
            cold: self.runtime.is_none(),
            event: Text::beginning(&call.payload),
        });
        let (started, init, waited) = match self.runtime.take() {
            Some(runtime) => (Ok(runtime), None, Duration::ZERO),
            None => {
                let permit = self.start.take();
                let mut start = std::pin::pin!(self.start(timeout));
                match tokio::time::timeout(START_PERMIT_LIMIT, &mut start).await {
                    Ok(started) => started,
                    Err(_) => {
                        drop(permit);
                        start.await
                    }
                }
            }
        };
        self.log.start(&call.request_id);
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
                self.recorder().running(runtime.access_key(), Some(&call.request_id));
                let InvocationOutcome { result, reusable } = runtime.invoke(invocation, timeout).await;
                self.recorder().running(runtime.access_key(), None);
                memory = runtime.peak_memory();
                self.runtime = reusable.then_some(runtime);
                result
            }
            Err(failure) => Err(failure),
        };
        self.explain(&result);
        let metrics = Metrics { duration: begun.elapsed() + waited, init, memory };
        self.log.end(&call.request_id, result.as_ref().err(), metrics);
        let failure = result.as_ref().err().map(|failure| (failure.status.as_str(), failure.error_type.clone()));
        let payload = result.unwrap_or_else(|failure| failure.document(&call.request_id));
        self.recorder().record(What::Returned {
            invocation: call.request_id,
            status: failure.as_ref().map_or("success", |(status, _)| status),
            duration: metrics.milliseconds(),
            billed: metrics.billed(),
            init: init.map(|init| init.as_secs_f64() * 1000.0),
            memory: self.spec.deployment.settings.memory_size,
            memory_used: memory,
            error_type: failure.as_ref().map(|(_, error_type)| error_type.clone()),
            result: Text::beginning(&payload),
        });
        Invoked {
            function_error: failure.is_some().then_some("Unhandled"),
            payload,
            log_tail: self.log.tail(),
            version: self.spec.version.clone(),
        }
    }

    fn recorder(&self) -> &Recorder {
        &self.host.context.recorder
    }

    /// Explains in the log, once, why an API was not reached by its AWS host name. An executable that builds this name itself
    /// cannot be redirected: none of our code runs in its process, and it connects to port 443 rather than to this cloud's.
    fn explain(&mut self, result: &Result<Bytes, InvocationFailure>) {
        /// How much of an answer is searched for an error message, in bytes.
        const MAX_SEARCHED: usize = 4096;
        if self.explained || Language::of(&self.spec.deployment.settings.runtime).is_some() {
            return;
        }
        let answer = match result {
            Ok(payload) => payload.clone(),
            Err(failure) => failure.document(""),
        };
        let said = self.log.tail() + &String::from_utf8_lossy(&answer[..answer.len().min(MAX_SEARCHED)]);
        let said = said.to_ascii_lowercase();
        // The error messages of Go, C, Rust and the Rust SDK; many do not contain the address or the name.
        let isolated = self.host.isolates.get() == Some(&true);
        let refused = isolated
            && [REFUSING_ADDRESS, "connection refused", "connectionrefused"].iter().any(|sign| said.contains(sign));
        if !refused && !said.contains(".execute-api.") {
            return;
        }
        let names: Vec<String> = self.host.addresses().into_iter().map(|(name, _)| name).collect();
        let named = names.iter().find(|name| said.contains(name.as_str()));
        let Some(name) = named.or_else(|| names.first().filter(|_| refused)) else { return };
        self.explained = true;
        self.log.write(vec![format!(
            "wschat: an executable that builds the address https://{name} itself does not reach this cloud. Build it from \
             the event's domainName and stage, or pass it in an environment variable that the template builds."
        )]);
    }

    /// Starts the runtime. After a failure Lambda tries once more, within the invocation's timeout (Lambda developer guide,
    /// failures during the init phase). Returns the runtime, the duration of a successful first try, and how much of the
    /// invocation's time a second try took.
    async fn start(&self, timeout: Duration) -> (Result<Runtime, InvocationFailure>, Option<Duration>, Duration) {
        if let Some(why) = self.host.install_sdk(&self.spec).await {
            self.log.write(vec![why]);
        }
        let lacks = self.spec.lacks();
        if !lacks.is_empty() {
            self.log.write(lacks.into_iter().map(|why| format!("wschat: {why}")).collect());
        }
        self.log.init_start();
        let begun = Instant::now();
        let limit = self.spec.start_limit(self.host.init_limit);
        let failure = match Runtime::start(&self.host, &self.spec, &self.log, limit).await {
            Ok(runtime) => return (Ok(runtime), Some(begun.elapsed()), Duration::ZERO),
            Err(failure) => failure,
        };
        self.log.init_failed("init", begun.elapsed(), &failure);
        let begun = Instant::now();
        let started = Runtime::start(&self.host, &self.spec, &self.log, timeout).await;
        if let Err(failure) = &started {
            self.log.init_failed("invoke", begun.elapsed(), failure);
        }
        (started, None, begun.elapsed())
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.runtime = None;
        self.host.live.send_modify(|live| {
            for name in self.spec.deployment.files() {
                if let Some(count) = live.get_mut(&name) {
                    *count -= 1;
                    if *count == 0 {
                        live.remove(&name);
                    }
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
