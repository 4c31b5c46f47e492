//! AWS Lambda: the control plane with its states and refusals, and the execution of functions as processes of this
//! machine, through the real Runtime API.
//!
//! ```text
//! Service --operations--> functions, versions, permissions, tags --> state (Registry), packages (code)
//! Service, Functions --> invoke --> execution (pools) --> environment --> runtime = process + runtime_api
//! EventSource --poller, shards--> batch --> invoke; invoke (Event) --asynchronous--> DeliveryTarget
//!                                                              |             |
//!                                                              +-- function_log --> LogSink
//! ```
//!
//! `launch` builds the command of a runtime, `sandbox` its file system, `failure` the reports of its failures. Node.js and
//! Python code is run by the machine's own `interpreters`, through the two programs in `clients`.

mod asynchronous;
mod batch;
mod change;
mod environment;
mod error;
mod event_invoke_config;
mod execution;
mod failure;
mod file_store;
mod function_log;
mod functions;
mod inspect;
mod interpreters;
mod invoke;
mod launch;
mod layer;
mod layers;
mod mapping;
mod mappings;
mod name;
mod operations;
mod orphans;
mod overview;
mod packages;
mod peer;
mod permissions;
mod policy;
mod poller;
mod positions;
mod process;
mod provisioned;
mod recursion_and_runtime;
mod required_permissions;
mod runtime;
mod runtime_api;
mod sandbox;
mod settings;
mod shards;
mod spec;
mod state;
mod tags;
#[cfg(test)]
mod tests;
mod versions;
mod write_protection;

pub use self::overview::FunctionOverview;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use self::execution::{ExecutionTimings, Executor};
use self::inspect::Inspect;
use self::interpreters::Interpreters;
use self::name::{FunctionId, LATEST, Reference};
use self::packages::Packages;
use self::poller::Pollers;
use self::positions::Positions;
use self::spec::LiveEnvironments;
use self::state::Registry;
use super::context::CloudContext;
use crate::local::context::ports::{
    Apis, Functions, Invoked, LogSink, ObjectStore, Roles, SdkInstaller, Tagged, TaggedResources,
};
use crate::local::protocol::wire::ApiError;

/// How often unused code is removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// How long ending all execution environments may take, and then what was given up before.
const ENVIRONMENTS_TIMEOUT: Duration = Duration::from_secs(2);
const DELIVERIES_TIMEOUT: Duration = Duration::from_millis(500);

/// Lambda's folder below a local cloud's data folder: functions' code, and the SDKs of the runtimes (npm packages in
/// `node_modules`, pip packages in `python3.N`).
pub fn folder(data: &Path) -> PathBuf {
    data.join("lambda")
}

/// Lambda. Clones share their state.
#[derive(Clone)]
pub struct Lambda {
    context: CloudContext,
    roles: Arc<dyn Roles>,
    registry: Arc<Registry>,
    packages: Packages,
    executor: Arc<Executor>,
    timings: ExecutionTimings,
    pollers: Arc<Pollers>,
    positions: Arc<Positions>,
}

impl Lambda {
    /// Opens the state in `context.store`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(context: &CloudContext, roles: Arc<dyn Roles>, logs: Arc<dyn LogSink>) -> io::Result<Arc<Self>> {
        Self::open_at(context, roles, logs, ExecutionTimings::default())
    }

    fn open_at(
        context: &CloudContext,
        roles: Arc<dyn Roles>,
        logs: Arc<dyn LogSink>,
        timings: ExecutionTimings,
    ) -> io::Result<Arc<Self>> {
        let registry = Arc::new(state::open(context.store.clone())?);
        let folder = folder(context.store.folder());
        let packages = Packages::open(&folder)?;
        orphans::kill(&folder.canonicalize()?);
        // Files left by environments of an earlier server that was killed.
        match std::fs::remove_dir_all(folder.join(spec::SCRATCH)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("old files are not removed: {error}")
            }
            _ => {}
        }
        let interpreters = Interpreters::open(&folder)?;
        let executor = Executor::new(context.clone(), roles.clone(), logs, interpreters, registry.clone(), timings);
        let lambda = Self {
            context: context.clone(),
            roles,
            registry,
            packages,
            executor,
            timings,
            pollers: Arc::default(),
            positions: Arc::new(Positions::open(context.store.clone())?),
        };
        tokio::spawn(sweep(Arc::downgrade(&lambda.registry), lambda.packages.clone(), lambda.executor.live()));
        Ok(Arc::new(lambda))
    }

    /// Sets the installer of the SDKs that runtimes include on AWS.
    pub fn set_sdk_installer(&self, sdk: Arc<dyn SdkInstaller>) {
        self.executor.set_sdk_installer(sdk);
    }

    /// Sets S3, from which code comes, and whose buckets functions reach by their AWS host names.
    pub fn set_store(&self, store: Weak<dyn ObjectStore>) {
        self.executor.set_store(store);
    }

    /// Sets the source of API addresses, with which functions reach APIs by their AWS host names.
    pub fn set_apis(&self, apis: Weak<dyn Apis>) {
        self.executor.set_apis(apis);
    }

    /// Says that a developer works on a function of a region: new code of it is started at once. With `inspect`, its runtime
    /// waits for a debugger on that port of 127.0.0.1, with no time limits; for Python, `modules` is the folder of debugpy.
    pub fn attend(&self, region: &str, name: &str, inspect: Option<u16>, modules: Option<PathBuf>) {
        let id = FunctionId { region: region.to_owned(), name: name.to_owned() };
        let was = self.executor.inspect(&id).map(|inspect| inspect.port);
        let turn = || Arc::new(Semaphore::new(1));
        let how = inspect.map(|port| Inspect { port, modules, turn: turn() });
        if was != inspect {
            self.executor.restart(&id);
        }
        self.executor.attend(&id, Some(how));
        // A debugger can attach before the first message.
        if inspect.is_some() {
            self.start_ahead(&id, Instant::now());
        }
    }

    /// Takes back [`Self::attend`].
    pub fn attend_no_more(&self, region: &str, name: &str) {
        let id = FunctionId { region: region.to_owned(), name: name.to_owned() };
        if self.executor.inspect(&id).is_some() {
            self.executor.restart(&id);
        }
        self.executor.attend(&id, None);
    }

    /// Ends a function's environments, and starts a new one.
    pub fn restart(&self, region: &str, name: &str) {
        let id = FunctionId { region: region.to_owned(), name: name.to_owned() };
        self.executor.restart(&id);
        self.start_ahead(&id, Instant::now());
    }

    /// Ends every execution environment. Running invocations fail, further ones are refused. Takes two and a half seconds at most.
    pub async fn shutdown(&self) {
        self.pollers.close();
        if timeout(ENVIRONMENTS_TIMEOUT, self.executor.shutdown()).await.is_err() {
            tracing::warn!("some execution environments did not end in time");
        }
        // What a stream's task has given up may still be on its way to a queue.
        let _ = timeout(DELIVERIES_TIMEOUT, self.pollers.closed()).await;
    }
}

/// Removes code that no function has and no environment runs, now and every minute: every save of a developer uploads code.
async fn sweep(registry: Weak<Registry>, packages: Packages, live: watch::Receiver<LiveEnvironments>) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        let Some(registry) = registry.upgrade() else { return };
        let (packages, live) = (packages.clone(), live.clone());
        let swept = tokio::task::spawn_blocking(move || {
            let mut used = registry.read(state::State::code_in_use);
            used.extend(live.borrow().keys().cloned());
            packages.sweep(&used)
        });
        if let Ok(Err(error)) = swept.await {
            tracing::warn!("old code is not removed: {error}");
        }
    }
}

#[async_trait]
impl Functions for Lambda {
    async fn invoke(
        &self,
        function_arn: &str,
        invocation_id: &str,
        payload: Bytes,
        gateway_request: &str,
    ) -> Result<Invoked, ApiError> {
        self.invoke_arn(function_arn, invocation_id, payload, gateway_request).await
    }

    fn send_event(&self, function_arn: &str, payload: Bytes) -> Result<(), ApiError> {
        self.queue_event(function_arn, payload)
    }

    fn exists(&self, function_arn: &str) -> bool {
        Reference::from_arn(function_arn)
            .is_some_and(|reference| self.registry.read(|state| state.version(&reference).is_ok()))
    }

    fn permits(&self, function_arn: &str, service: &str, source_arn: &str) -> bool {
        let Some(reference) = Reference::from_arn(function_arn) else { return false };
        self.registry.read(|state| {
            let policies = state.function(&reference.id).ok().map(|function| &function.policies);
            policies
                .and_then(|policies| policies.get(reference.policy()))
                .is_some_and(|policy| policy.permits(service, source_arn))
        })
    }
}

impl TaggedResources for Lambda {
    fn tagged(&self, region: &str) -> Result<Vec<Tagged>, ApiError> {
        let tagged = |(id, function): (FunctionId, &state::Function)| Tagged {
            type_name: "lambda:function".to_owned(),
            arn: id.arn(),
            tags: function.tags.clone(),
        };
        let of_mapping = |(_, uuid, one): (&String, &String, &mapping::Mapping)| Tagged {
            type_name: "lambda:event-source-mapping".to_owned(),
            arn: mapping::arn(region, uuid),
            tags: one.tags.clone(),
        };
        Ok(self.registry.read(|state| {
            let mappings = state.mappings().filter(|(home, ..)| *home == region).map(of_mapping);
            state.functions(region).map(tagged).chain(mappings).collect()
        }))
    }

    fn retag(&self, arn: &str, set: &BTreeMap<String, String>, removed: &[String]) -> Result<bool, ApiError> {
        self.retag_arn(arn, set.clone(), removed)
    }
}

impl Reference {
    /// The key of this reference's resource policy: that of the version or the alias, else that of the function.
    fn policy(&self) -> &str {
        self.qualifier.as_deref().filter(|qualifier| *qualifier != LATEST).unwrap_or_default()
    }
}
