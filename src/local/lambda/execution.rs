//! The execution environments of all functions: started on demand, kept warm for the next invocation, ended after an idle
//! time or when their code has changed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::{AcquireError, OnceCell, Semaphore, oneshot, watch};
use tokio::time::Instant;

use super::environment::Environment;
use super::error;
use super::inspect::Inspect;
use super::interpreters::Interpreters;
use super::name::FunctionId;
use super::spec::{EnvironmentSpec, InvokeRequest, LambdaHost, LiveEnvironments, Permits};
use super::state::Registry;
use super::write_protection::WriteProtection;
use crate::local::context::CloudContext;
use crate::local::context::ports::{Apis, Invoked, LogSink, ObjectStore, Roles, SdkInstaller};
use crate::local::lock::lock;
use crate::local::protocol::wire::ApiError;

/// How many invocations of an account may run concurrently (Lambda quotas).
pub const ACCOUNT_CONCURRENCY: u32 = 1000;

/// How many environments may start concurrently per core, and exist per core (in total at least [`MIN_ENVIRONMENTS`] are allowed).
/// AWS starts one for each concurrent invocation; one machine would then be busy with starts until all of them time out.
const STARTS_PER_CORE: usize = 2;
const ENVIRONMENTS_PER_CORE: usize = 16;
const MIN_ENVIRONMENTS: usize = 64;

/// How long an invocation waits for an environment before it is throttled: the timeout of the longest integration.
const MAX_WAIT: Duration = Duration::from_secs(29);

/// Time limits and delays of execution environments.
#[derive(Debug, Clone, Copy)]
pub struct ExecutionTimings {
    /// The longest init phase (Lambda developer guide: 10 s).
    pub init_limit: Duration,
    /// How long an idle environment stays warm. AWS documents nothing; minutes are observed.
    pub idle: Duration,
    /// The pauses before an asynchronous invocation's second and third attempt. AWS waits one minute, then two;
    /// that is too long for development.
    pub retries: [Duration; 2],
}

impl Default for ExecutionTimings {
    fn default() -> Self {
        Self {
            init_limit: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            retries: [Duration::from_secs(1), Duration::from_secs(2)],
        }
    }
}

/// Runs invocations.
pub struct Executor {
    host: Arc<LambdaHost>,
    registry: Arc<Registry>,
    pools: Mutex<HashMap<FunctionId, Pool>>,
    /// Permits for environments that may start now, and for those that may exist.
    starts: Arc<Semaphore>,
    environments: Arc<Semaphore>,
    /// The functions that a developer works on: their new code is started as soon as it is there.
    attended: Mutex<HashMap<FunctionId, Option<Inspect>>>,
    closing: watch::Sender<bool>,
}

/// The environments of one function.
#[derive(Default)]
struct Pool {
    busy: u32,
    idle: Vec<Idle>,
    /// Invocations waiting for an environment, the oldest first.
    waiting: VecDeque<Waiting>,
    /// The revision of which an environment is being started before its first invocation; the channel closes when it has.
    preparing: Option<(String, watch::Receiver<()>)>,
    /// When the function was restarted: environments that are older are not used again.
    restarted: Option<std::time::Instant>,
}

struct Waiting {
    revision_id: String,
    environment: oneshot::Sender<Environment>,
}

struct Idle {
    environment: Environment,
    since: Instant,
}

impl Executor {
    /// Must be called within a tokio runtime: it spawns a task that ends idle environments.
    pub fn new(
        context: CloudContext,
        roles: Arc<dyn Roles>,
        logs: Arc<dyn LogSink>,
        interpreters: Interpreters,
        registry: Arc<Registry>,
        timings: ExecutionTimings,
    ) -> Arc<Self> {
        let host = LambdaHost {
            context,
            roles,
            logs,
            registry: Arc::clone(&registry),
            interpreters,
            apis: OnceLock::new(),
            store: OnceLock::new(),
            sdk: OnceLock::new(),
            sdk_installs: Mutex::default(),
            isolates: OnceCell::new(),
            protection: WriteProtection::default(),
            init_limit: timings.init_limit,
            live: watch::Sender::default(),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let executor = Arc::new(Self {
            host: Arc::new(host),
            registry,
            pools: Mutex::default(),
            starts: Arc::new(Semaphore::new(cores * STARTS_PER_CORE)),
            environments: Arc::new(Semaphore::new((cores * ENVIRONMENTS_PER_CORE).max(MIN_ENVIRONMENTS))),
            attended: Mutex::default(),
            closing: watch::Sender::new(false),
        });
        tokio::spawn(end_idle(Arc::downgrade(&executor), timings.idle));
        executor
    }

    /// Sets the installer of the runtimes' SDK.
    pub fn set_sdk_installer(&self, sdk: Arc<dyn SdkInstaller>) {
        let _ = self.host.sdk.set(sdk);
    }

    /// Sets the source of the APIs' addresses.
    pub fn set_apis(&self, apis: Weak<dyn Apis>) {
        let _ = self.host.apis.set(apis);
    }

    /// Sets S3.
    pub fn set_store(&self, store: Weak<dyn ObjectStore>) {
        let _ = self.host.store.set(store);
    }

    /// What environments share.
    pub fn host(&self) -> &LambdaHost {
        &self.host
    }

    /// Whether functions have their own file systems.
    #[cfg(test)]
    pub async fn isolates(&self) -> bool {
        self.host.isolates().await
    }

    /// Runs functions without their own file systems, as on systems without namespaces.
    #[cfg(test)]
    pub fn without_isolation(&self) {
        assert!(self.host.isolates.set(false).is_ok());
    }

    /// Runs one invocation to its end, even if the caller stops waiting for it. `limit` is the function's concurrency
    /// limit.
    ///
    /// # Errors
    /// `TooManyRequestsException` over the limit; `ServiceException` when the cloud shuts down.
    pub async fn invoke(
        self: &Arc<Self>,
        spec: Arc<EnvironmentSpec>,
        call: InvokeRequest,
        limit: Option<u32>,
    ) -> Result<Invoked, ApiError> {
        let slot = Slot::take(self, &spec.id, limit)?;
        let run = async move {
            let executor = slot.executor.clone();
            let mut closing = executor.closing.subscribe();
            let run = async {
                // Only the closing of the semaphore fails, and nothing closes it.
                let _turn = match &spec.inspect {
                    Some(inspect) => Arc::clone(&inspect.turn).acquire_owned().await.ok(),
                    None => None,
                };
                let mut environment = executor.environment(&spec).await?;
                let invoked = environment.invoke(call).await;
                executor.hand_over(&spec.id, environment);
                Ok(invoked)
            };
            tokio::select! {
                invoked = run => invoked,
                _ = closing.wait_for(|closing| *closing) => Err(shutting_down()),
            }
        };
        tokio::spawn(run).await.unwrap_or_else(|error| Err(error::service(error.to_string())))
    }

    /// Ends a function's idle environments of deployments that are not served any more; refuses the invocations that wait for
    /// a function that was deleted.
    pub fn end_outdated(&self, id: &FunctionId) {
        let current = |environment: &Environment| self.serves(id, environment);
        let ended: Vec<Idle> = match lock(&self.pools).get_mut(id) {
            Some(pool) => {
                if !self.exists(id) {
                    pool.waiting.clear();
                }
                pool.idle.extract_if(.., |idle| !current(&idle.environment)).collect()
            }
            None => return,
        };
        // Dropped, and their processes killed, after the lock is released.
        drop(ended);
    }

    /// Says that a developer works on a function, and where a debugger is waited for; `None` when no more.
    pub fn attend(&self, id: &FunctionId, how: Option<Option<Inspect>>) {
        let mut attended = lock(&self.attended);
        match how {
            Some(inspect) => drop(attended.insert(id.clone(), inspect)),
            None => drop(attended.remove(id)),
        }
    }

    /// Where a debugger is waited for in a function.
    pub fn inspect(&self, id: &FunctionId) -> Option<Inspect> {
        lock(&self.attended).get(id).cloned().flatten()
    }

    /// Whether a developer works on a function.
    pub fn is_attended(&self, id: &FunctionId) -> bool {
        lock(&self.attended).contains_key(id)
    }

    /// Starts an environment of a deployment before its first invocation, which waits for it. It serves from `from` on.
    pub fn prepare(self: &Arc<Self>, spec: Arc<EnvironmentSpec>, from: Instant) {
        let (started, preparing) = watch::channel(());
        let revision_id = spec.deployment.revision_id.clone();
        lock(&self.pools).entry(spec.id.clone()).or_default().preparing = Some((revision_id.clone(), preparing));
        let executor = Arc::clone(self);
        tokio::spawn(async move {
            // Held to the end: dropped, it says that nothing is prepared any more.
            let _started = started;
            let mut closing = executor.closing.subscribe();
            let prepare = async {
                // A debugger's port is free when the environment before has ended.
                if spec.inspect.is_some() {
                    tokio::time::sleep_until(from).await;
                }
                let permits = executor.permits().await.ok()?;
                let mut environment = Environment::new(executor.host.clone(), spec.clone(), permits);
                environment.warm().await;
                tokio::time::sleep_until(from).await;
                Some(environment)
            };
            let environment = tokio::select! {
                environment = prepare => environment,
                _ = closing.wait_for(|closing| *closing) => None,
            };
            if let Some(environment) = environment {
                executor.hand_over(&spec.id, environment);
            }
            if let Some(pool) = lock(&executor.pools).get_mut(&spec.id)
                && pool.preparing.as_ref().is_some_and(|(revision, _)| *revision == revision_id)
            {
                pool.preparing = None;
            }
        });
    }

    /// Ends a function's environments: idle ones now, the others after their invocation.
    pub fn restart(&self, id: &FunctionId) {
        let ended = match lock(&self.pools).get_mut(id) {
            Some(pool) => {
                pool.restarted = Some(std::time::Instant::now());
                std::mem::take(&mut pool.idle)
            }
            None => return,
        };
        drop(ended);
    }

    /// Waits until no environment of this deployment is being prepared.
    async fn prepared(&self, spec: &EnvironmentSpec) {
        let preparing = lock(&self.pools).get(&spec.id).and_then(|pool| pool.preparing.clone());
        if let Some((_, mut preparing)) = preparing.filter(|(revision, _)| *revision == spec.deployment.revision_id) {
            // It only ever closes.
            let _ = preparing.changed().await;
        }
    }

    /// Ends all environments and refuses further invocations.
    pub async fn shutdown(&self) {
        self.closing.send_replace(true);
        let pools = std::mem::take(&mut *lock(&self.pools));
        drop(pools);
        // The wait fails only when the sender is dropped, and this holds it.
        let _ = self.live().wait_for(|live| live.is_empty()).await;
    }

    /// The number of environments of each code.
    pub fn live(&self) -> watch::Receiver<LiveEnvironments> {
        self.host.live.subscribe()
    }

    /// An environment for an invocation: an idle warm one; else the next one that becomes free, or a new one as soon as
    /// there are permits for it, whichever is first.
    ///
    /// # Errors
    /// `TooManyRequestsException` where neither happens in time: invocations that wait for each other must end;
    /// `ResourceNotFoundException` where the function was deleted meanwhile.
    async fn environment(&self, spec: &Arc<EnvironmentSpec>) -> Result<Environment, ApiError> {
        let mut freed = match self.idle_or_queue(spec) {
            Ok(environment) => return Ok(environment),
            Err(freed) => freed,
        };
        tokio::select! {
            biased;
            // Closed where the function was deleted.
            freed = &mut freed => freed.map_err(|_| error::no_function(&spec.id.arn())),
            permits = async { self.prepared(spec).await; self.permits().await } => {
                freed.close();
                match freed.try_recv() {
                    // An environment was handed over at the same moment.
                    Ok(environment) => Ok(environment),
                    Err(_) => {
                        let permits = permits?;
                        // Its log lines would create the deleted function's log group again.
                        if !self.exists(&spec.id) {
                            return Err(error::no_function(&spec.id.arn()));
                        }
                        Ok(Environment::new(self.host.clone(), spec.clone(), permits))
                    }
                }
            }
        }
    }

    /// A warm environment for `spec`: the one that was used last, so that surplus ones reach their idle limit. Without one,
    /// the channel over which the next free one is handed over.
    fn idle_or_queue(&self, spec: &EnvironmentSpec) -> Result<Environment, oneshot::Receiver<Environment>> {
        loop {
            let mut environment = {
                let mut pools = lock(&self.pools);
                let pool = pools.entry(spec.id.clone()).or_default();
                let revision_id = &spec.deployment.revision_id;
                let Some(position) = pool.idle.iter().rposition(|idle| idle.environment.revision_id() == revision_id)
                else {
                    let (environment, freed) = oneshot::channel();
                    pool.waiting.retain(|waiting| !waiting.environment.is_closed());
                    pool.waiting.push_back(Waiting { revision_id: revision_id.clone(), environment });
                    return Err(freed);
                };
                pool.idle.remove(position).environment
            };
            if environment.is_warm() {
                return Ok(environment);
            }
        }
    }

    /// Waits for the permits of one more environment.
    async fn permits(&self) -> Result<Permits, ApiError> {
        let both = async {
            if self.environments.available_permits() == 0 {
                drop(self.longest_idle());
            }
            let environment = Arc::clone(&self.environments).acquire_owned().await?;
            let start = Arc::clone(&self.starts).acquire_owned().await?;
            Ok::<_, AcquireError>(Permits { start, environment })
        };
        match tokio::time::timeout(MAX_WAIT, both).await {
            Ok(Ok(permits)) => Ok(permits),
            // Nothing closes the semaphores.
            Ok(Err(_)) => Err(shutting_down()),
            Err(_) => Err(error::throttled("ConcurrentInvocationLimitExceeded")),
        }
    }

    /// Removes the environment of any function that has been idle for longest from its pool.
    fn longest_idle(&self) -> Option<Idle> {
        let mut pools = lock(&self.pools);
        // Each pool is ordered by the time at which its environments became idle.
        let oldest = pools.values_mut().filter(|pool| !pool.idle.is_empty()).min_by_key(|pool| pool.idle[0].since)?;
        Some(oldest.idle.remove(0))
    }

    /// Hands an environment to the next waiting invocation, or returns it to its pool if it can be used again.
    fn hand_over(&self, id: &FunctionId, mut environment: Environment) {
        let served = self.serves(id, &environment);
        if !environment.is_warm() || !(served || self.exists(id)) {
            return;
        }
        let mut pools = lock(&self.pools);
        if *self.closing.borrow() {
            return;
        }
        let pool = pools.entry(id.clone()).or_default();
        if pool.restarted.is_some_and(|restarted| environment.since() < restarted) {
            return;
        }
        let next = |pool: &Pool, environment: &Environment| {
            pool.waiting.iter().position(|waiting| waiting.revision_id == environment.revision_id())
        };
        while let Some(position) = next(pool, &environment)
            && let Some(waiting) = pool.waiting.remove(position)
        {
            match waiting.environment.send(environment) {
                Ok(()) => return,
                Err(back) => environment = back,
            }
        }
        // It served the waiting invocations of an earlier deployment; there will be no others.
        if !served {
            return;
        }
        // At the limit of environments, an invocation of another function may be waiting for this one's permit.
        let wanted = |pool: &Pool| pool.waiting.iter().any(|waiting| !waiting.environment.is_closed());
        if self.environments.available_permits() > 0 || !pools.values().any(wanted) {
            pools.entry(id.clone()).or_default().idle.push(Idle { environment, since: Instant::now() });
        }
    }

    fn exists(&self, id: &FunctionId) -> bool {
        self.registry.read(|state| state.function(id).is_ok())
    }

    fn serves(&self, id: &FunctionId, environment: &Environment) -> bool {
        self.registry.read(|state| state.function(id).is_ok_and(|function| function.serves(environment.revision_id())))
    }
}

/// A function's concurrency slot, held by one running invocation.
struct Slot {
    executor: Arc<Executor>,
    id: FunctionId,
}

impl Slot {
    fn take(executor: &Arc<Executor>, id: &FunctionId, limit: Option<u32>) -> Result<Self, ApiError> {
        let mut pools = lock(&executor.pools);
        if *executor.closing.borrow() {
            return Err(shutting_down());
        }
        let pool = pools.entry(id.clone()).or_default();
        if pool.busy >= limit.unwrap_or(ACCOUNT_CONCURRENCY) {
            return Err(error::throttled(match limit {
                Some(_) => "ReservedFunctionConcurrentInvocationLimitExceeded",
                None => "ConcurrentInvocationLimitExceeded",
            }));
        }
        pool.busy += 1;
        Ok(Self { executor: executor.clone(), id: id.clone() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(pool) = lock(&self.executor.pools).get_mut(&self.id) {
            pool.busy = pool.busy.saturating_sub(1);
        }
    }
}

/// Ends environments that have reached their idle limit, until the executor is dropped.
async fn end_idle(executor: Weak<Executor>, idle: Duration) {
    loop {
        tokio::time::sleep(idle / 4).await;
        let Some(executor) = executor.upgrade() else { return };
        let ended: Vec<Idle> = {
            let mut pools = lock(&executor.pools);
            let ended = pools
                .values_mut()
                .flat_map(|pool| pool.idle.extract_if(.., |one| one.since.elapsed() >= idle))
                .collect();
            pools.retain(|_, pool| pool.busy > 0 || !pool.idle.is_empty() || pool.preparing.is_some());
            ended
        };
        drop(ended);
    }
}

fn shutting_down() -> ApiError {
    error::service("The local cloud is shutting down.")
}
