//! The execution environments of all functions: started as invocations need them, kept warm for the next, ended when
//! nobody has needed them for a while or their code has changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::environment::{Call, Environment, Host, Spec};
use super::error;
use super::interpreters::Interpreters;
use super::name::FunctionId;
use super::state::Registry;
use crate::local::conditions::lock;
use crate::local::seams::{Invoked, LogSink, Roles};
use crate::local::shell::Shell;
use crate::local::wire::ApiError;

/// How many invocations an account may have under way (Lambda quotas).
pub const ACCOUNT_CONCURRENCY: u32 = 1000;

/// How long things take in the life of an environment.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The longest init phase (Lambda developer guide: 10 s).
    pub init_limit: Duration,
    /// How long an environment stays warm without an invocation. AWS says nothing; minutes is what is seen.
    pub idle: Duration,
    /// The pauses before an asynchronous invocation's second and third attempt. AWS waits one minute, then two;
    /// nobody who tries something out wants to.
    pub retries: [Duration; 2],
}

impl Default for Pace {
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
    host: Arc<Host>,
    registry: Arc<Registry>,
    pools: Mutex<HashMap<FunctionId, Pool>>,
    closing: watch::Sender<bool>,
}

/// The environments of one function.
#[derive(Default)]
struct Pool {
    busy: u32,
    idle: Vec<Idle>,
}

struct Idle {
    environment: Environment,
    since: Instant,
}

impl Executor {
    /// Must be called within a tokio runtime: a task of its own ends idle environments.
    pub fn new(
        shell: Shell,
        roles: Arc<dyn Roles>,
        logs: Arc<dyn LogSink>,
        interpreters: Interpreters,
        registry: Arc<Registry>,
        pace: Pace,
    ) -> Arc<Self> {
        let host = Host { shell, roles, logs, interpreters, init_limit: pace.init_limit, live: watch::Sender::new(0) };
        let executor = Arc::new(Self {
            host: Arc::new(host),
            registry,
            pools: Mutex::default(),
            closing: watch::Sender::new(false),
        });
        tokio::spawn(end_idle(Arc::downgrade(&executor), pace.idle));
        executor
    }

    /// Runs one invocation to its end, even if the caller stops waiting for it. `limit` is how many of this function
    /// may run at once.
    ///
    /// # Errors
    /// `TooManyRequestsException` over the limit; `ServiceException` when the cloud shuts down.
    pub async fn invoke(
        self: &Arc<Self>,
        spec: Arc<Spec>,
        call: Call,
        limit: Option<u32>,
    ) -> Result<Invoked, ApiError> {
        let slot = Slot::take(self, &spec.id, limit)?;
        let run = async move {
            let executor = slot.executor.clone();
            let warm = executor.warm(&spec);
            let mut environment = warm.unwrap_or_else(|| Environment::new(executor.host.clone(), spec.clone()));
            let mut closing = executor.closing.subscribe();
            let invoked = tokio::select! {
                invoked = environment.invoke(call) => invoked,
                _ = closing.wait_for(|closing| *closing) => return Err(shutting_down()),
            };
            executor.keep(&spec.id, environment);
            Ok(invoked)
        };
        tokio::spawn(run).await.unwrap_or_else(|error| Err(error::service(error.to_string())))
    }

    /// Ends the idle environments of a function whose deployment is not served any more.
    pub fn retire(&self, id: &FunctionId) {
        let current = |environment: &Environment| self.serves(id, environment);
        let ended: Vec<Idle> = match lock(&self.pools).get_mut(id) {
            Some(pool) => pool.idle.extract_if(.., |idle| !current(&idle.environment)).collect(),
            None => return,
        };
        // Killed here, with the lock given back.
        drop(ended);
    }

    /// Ends all environments and takes no more invocations.
    pub async fn shutdown(&self) {
        self.closing.send_replace(true);
        let pools = std::mem::take(&mut *lock(&self.pools));
        drop(pools);
        // The receiver fails only when the sender is gone, which this holds.
        let _ = self.live().wait_for(|live| *live == 0).await;
    }

    /// How many environments there are.
    pub fn live(&self) -> watch::Receiver<usize> {
        self.host.live.subscribe()
    }

    /// A warm environment for `spec`: the one that was used last, so that those in excess grow old.
    fn warm(&self, spec: &Spec) -> Option<Environment> {
        loop {
            let mut environment = {
                let mut pools = lock(&self.pools);
                let idle = &mut pools.get_mut(&spec.id)?.idle;
                let fits = |idle: &Idle| idle.environment.revision_id() == spec.deployment.revision_id;
                let position = idle.iter().rposition(fits)?;
                idle.remove(position).environment
            };
            if environment.is_warm() {
                return Some(environment);
            }
        }
    }

    /// Puts an environment back for the next invocation, if it has a future.
    fn keep(&self, id: &FunctionId, mut environment: Environment) {
        if !environment.is_warm() || !self.serves(id, &environment) {
            return;
        }
        let mut pools = lock(&self.pools);
        if !*self.closing.borrow() {
            pools.entry(id.clone()).or_default().idle.push(Idle { environment, since: Instant::now() });
        }
    }

    fn serves(&self, id: &FunctionId, environment: &Environment) -> bool {
        self.registry.read(|state| state.function(id).is_ok_and(|function| function.serves(environment.revision_id())))
    }
}

/// One of the invocations that a function may have under way.
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

/// Ends environments that have been idle for long, as long as there is an executor.
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
            pools.retain(|_, pool| pool.busy > 0 || !pool.idle.is_empty());
            ended
        };
        drop(ended);
    }
}

fn shutting_down() -> ApiError {
    error::service("The local cloud is shutting down.")
}
