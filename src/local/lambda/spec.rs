//! What an execution environment is made from: the cloud around it, the code and settings it runs, and the invocations it
//! is given.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::{OnceCell, watch};

use super::interpreters::Interpreters;
use super::name::FunctionId;
use super::sandbox;
use super::state::Deployment;
use super::write_protection::WriteProtection;
use crate::local::conditions::lock;
use crate::local::context::CloudContext;
use crate::local::ports::{Apis, LogSink, Roles, SdkInstaller};

/// Where environments keep their files, below Lambda's folder.
pub const SCRATCH: &str = "tmp";

/// How soon an SDK that could not be brought is tried for again: a machine that is offline would try at every start.
const SDK_RETRY_DELAY: Duration = Duration::from_secs(60);

/// What environments are given by the cloud around them.
pub struct LambdaHost {
    pub context: CloudContext,
    pub roles: Arc<dyn Roles>,
    pub logs: Arc<dyn LogSink>,
    pub interpreters: Interpreters,
    /// Known once API Gateway is open, which leans on Lambda.
    pub apis: OnceLock<Weak<dyn Apis>>,
    /// Without one, as in tests, nothing is brought.
    pub sdk: OnceLock<Arc<dyn SdkInstaller>>,
    /// The runtimes and code that were tried: `None` for those that have it, else when it failed.
    pub sdk_installs: Mutex<HashMap<(String, PathBuf), Option<Instant>>>,
    /// Whether functions have file systems of their own; tried when the first starts.
    pub isolates: OnceCell<bool>,
    /// For those that have none.
    pub protection: WriteProtection,
    /// How long a runtime may take to come up, before an invocation waits for it in earnest.
    pub init_limit: Duration,
    pub live: watch::Sender<LiveEnvironments>,
}

/// How many environments there are of which code, by its SHA-256 in hexadecimal; never 0.
pub type LiveEnvironments = HashMap<String, usize>;

impl LambdaHost {
    /// Lambda's folder, absolute.
    pub fn folder(&self) -> PathBuf {
        let folder = super::folder(self.context.store.folder());
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
    pub async fn install_sdk(&self, spec: &EnvironmentSpec) -> Option<String> {
        let sdk = self.sdk.get()?;
        let runtime = &spec.deployment.settings.runtime;
        let code = (runtime.clone(), spec.folder.clone());
        if lock(&self.sdk_installs)
            .get(&code)
            .is_some_and(|failed| failed.is_none_or(|at| at.elapsed() < SDK_RETRY_DELAY))
        {
            return None;
        }
        let installed = sdk.install(runtime, &spec.folder).await;
        lock(&self.sdk_installs).insert(code, installed.is_err().then(Instant::now));
        installed.err()
    }

    /// The names that this cloud's APIs have on AWS, each with where it is here: `localhost:PORT/{apiId}`.
    pub fn addresses(&self) -> Vec<(String, String)> {
        let apis = self.apis.get().and_then(Weak::upgrade).map(|apis| apis.apis()).unwrap_or_default();
        let authority = self.context.authority();
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
pub struct EnvironmentSpec {
    pub id: FunctionId,
    /// `$LATEST` or a number.
    pub version: String,
    pub deployment: Deployment,
    /// Where the code is.
    pub folder: PathBuf,
}

/// One invocation, as a caller asks for it.
#[derive(Debug, Clone)]
pub struct InvokeRequest {
    pub request_id: String,
    /// As the caller named the function: with its version or alias, if any.
    pub function_arn: String,
    pub payload: Bytes,
    /// JSON.
    pub client_context: Option<String>,
}
