//! What an execution environment is made from: the cloud around it, the code and settings it runs, and the invocations it
//! is given.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, watch};

use super::error;
use super::inspect::Inspect;
use super::interpreters::Interpreters;
use super::name::FunctionId;
use super::packages::Packages;
use super::sandbox::{self, OPT};
use super::state::{Deployment, Registry};
use super::write_protection::WriteProtection;
use crate::local::context::CloudContext;
use crate::local::context::ports::{Apis, LogSink, ObjectStore, Roles, SdkInstaller};
use crate::local::lock::lock;
use crate::local::protocol::wire::ApiError;
use crate::machine::program;

/// The folder for the environments' files, below Lambda's folder.
pub const SCRATCH: &str = "tmp";

/// The pause after a failed installation of an SDK: without it, a machine that is offline would try at every start.
const SDK_RETRY_DELAY: Duration = Duration::from_secs(60);

/// The services and resources that environments share.
pub struct LambdaHost {
    pub context: CloudContext,
    pub roles: Arc<dyn Roles>,
    pub logs: Arc<dyn LogSink>,
    pub registry: Arc<Registry>,
    pub interpreters: Interpreters,
    /// Set once API Gateway is open, which depends on Lambda.
    pub apis: OnceLock<Weak<dyn Apis>>,
    /// Set once S3 is open, which depends on Lambda.
    pub store: OnceLock<Weak<dyn ObjectStore>>,
    /// Without it, as in tests, no SDK is installed.
    pub sdk: OnceLock<Arc<dyn SdkInstaller>>,
    /// Attempted installations by runtime and code folder: `None` after a success, else the time of the failure.
    pub sdk_installs: Mutex<HashMap<(String, PathBuf), Option<Instant>>>,
    /// Whether functions have their own file systems; probed when the first one starts.
    pub isolates: OnceCell<bool>,
    /// Protects code from writes where functions have no file system of their own.
    pub protection: WriteProtection,
    /// The time limit of the init phase.
    pub init_limit: Duration,
    pub live: watch::Sender<LiveEnvironments>,
}

/// The number of environments by the folders that they use (`Deployment::files`); never 0.
pub type LiveEnvironments = HashMap<String, usize>;

impl LambdaHost {
    /// Lambda's folder, absolute.
    pub fn folder(&self) -> PathBuf {
        let folder = super::folder(self.context.store.folder());
        folder.canonicalize().unwrap_or(folder)
    }

    /// Whether functions have their own file systems on this machine.
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

    /// The folder where a function finds its layers: `/opt` where it has a file system of its own in which nothing else is needed
    /// from there, else the folder itself.
    pub async fn opt(&self, spec: &EnvironmentSpec) -> Option<PathBuf> {
        let (_, folder) = spec.layers.as_ref()?;
        let runtime = spec.deployment.settings.runtime.as_str();
        let programs = [runtime, "node", "python3"].into_iter().filter_map(|name| program::locate(name, None));
        let programs = programs.map(|program| program.canonicalize().unwrap_or(program));
        let is_free = Path::new(OPT).is_dir() && programs.chain([self.folder()]).all(|path| !path.starts_with(OPT));
        Some(if is_free && self.isolates().await { PathBuf::from(OPT) } else { folder.clone() })
    }

    /// A temporary folder for one environment without a file system of its own; removed with the environment.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn scratch(&self) -> io::Result<TempDir> {
        let folder = self.folder().join(SCRATCH);
        std::fs::create_dir_all(&folder)?;
        tempfile::Builder::new().prefix("").tempdir_in(folder)
    }

    /// Installs the SDK that the runtime includes on AWS, once for each runtime and code. Returns the reason of a failure.
    pub async fn install_sdk(&self, spec: &EnvironmentSpec) -> Option<String> {
        let sdk = self.sdk.get().filter(|_| spec.deployment.settings.image_uri.is_none())?;
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

    /// The AWS host names of this cloud's APIs, each with its local address: `localhost:PORT/{apiId}`.
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

    /// The AWS host names of this cloud's APIs and buckets, which lead here.
    pub fn names(&self) -> Vec<String> {
        let store = self.store.get().and_then(Weak::upgrade);
        let buckets = store.map(|store| store.hosts()).unwrap_or_default();
        self.addresses().into_iter().map(|(name, _)| name).chain(buckets).collect()
    }

    /// S3's content of an object.
    ///
    /// # Errors
    /// The refusal of a function whose code cannot be had.
    pub async fn read_object(&self, bucket: &str, key: &str) -> Result<Vec<u8>, ApiError> {
        let Some(store) = self.store.get().and_then(Weak::upgrade) else {
            return Err(error::invalid(
                "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist",
            ));
        };
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let read = tokio::task::spawn_blocking(move || store.read(&bucket, &key, MAX_ARCHIVE)).await;
        let read = read.map_err(|failed| error::service(failed.to_string()))?;
        read.map_err(|refusal| {
            error::invalid(format!(
                "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}",
                refusal.code, refusal.message
            ))
        })
    }
}

/// The largest archive that is unpacked: what Lambda accepts unpacked, for it cannot be larger packed (Lambda quotas).
const MAX_ARCHIVE: u64 = 250 << 20;

/// What an environment runs.
#[derive(Debug, Clone)]
pub struct EnvironmentSpec {
    pub id: FunctionId,
    /// `$LATEST` or a number.
    pub version: String,
    pub deployment: Deployment,
    /// The folder with the code.
    pub folder: PathBuf,
    /// The folders of its layers, and the one in which it finds them.
    pub layers: Option<(Vec<PathBuf>, PathBuf)>,
    /// Where a debugger is waited for.
    pub inspect: Option<Inspect>,
}

/// A time limit that no debugging session reaches.
const NO_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

impl EnvironmentSpec {
    /// What runs a version of a function.
    pub fn new(
        id: FunctionId,
        version: String,
        deployment: Deployment,
        packages: &Packages,
        inspect: Option<Inspect>,
    ) -> Self {
        let folder = packages.folder(&deployment.code);
        let layers: Vec<_> = deployment.settings.layers.iter().filter_map(|layer| layer.code.clone()).collect();
        Self { id, version, folder, layers: packages.layers(&layers), deployment, inspect }
    }

    /// What its layers have that it does without on this machine, a sentence each.
    pub fn lacks(&self) -> Vec<String> {
        let foreign = self.deployment.settings.layers.iter().filter(|layer| layer.code.is_none());
        let mut lacks: Vec<String> = foreign
            .map(|layer| {
                format!("{} is a layer of another account: the function runs without it on this machine", layer.arn)
            })
            .collect();
        for folder in self.layers.iter().flat_map(|(folders, _)| folders) {
            let entries = std::fs::read_dir(folder.join("extensions")).into_iter().flatten().flatten();
            let mut names: Vec<String> = entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            lacks.extend(names.iter().map(|name| {
                format!(
                    "the external extension {name} of a layer is not started: the local cloud does not run extensions"
                )
            }));
        }
        lacks
    }

    /// How long an invocation may take.
    pub fn timeout(&self) -> Duration {
        let timeout = Duration::from_secs(self.deployment.settings.timeout.into());
        if self.inspect.is_some() { NO_LIMIT } else { timeout }
    }

    /// How long a start may take that has this limit without a debugger.
    pub fn start_limit(&self, limit: Duration) -> Duration {
        if self.inspect.is_some() { NO_LIMIT } else { limit }
    }
}

/// One invocation, as a caller requests it.
#[derive(Debug, Clone)]
pub struct InvokeRequest {
    pub request_id: String,
    /// As the caller named the function: with its version or alias, if any.
    pub function_arn: String,
    pub payload: Bytes,
    /// JSON.
    pub client_context: Option<String>,
    /// The id of the gateway's request that it is for.
    pub cause: Option<String>,
}

/// The permits of a cold environment, returned by dropping them.
pub struct Permits {
    /// Held while it starts.
    pub start: OwnedSemaphorePermit,
    /// Held while it exists.
    pub environment: OwnedSemaphorePermit,
}
