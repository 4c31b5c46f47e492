//! IAM is eventually consistent: which roles this run created, and whether other services can assume them yet.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Below this age of the role, hardly any `CreateFunction` succeeds: 7.75 to 11.75 s were measured.
const PROBE_BELOW: Duration = Duration::from_secs(7);

/// How many functions try at once. While one waits for its answer, the other's code is being uploaded: the uplink is
/// never idle, and once the role can be assumed, the first complete upload succeeds.
const CONCURRENT_TRIALS: usize = 2;

/// How to find out whether a role can be assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// The same call with one byte of invalid code: it is cheap, and if AWS checks the role first, its error tells.
    Probe,
    /// The real call, with the code.
    Whole,
}

/// How far this run's roles have propagated.
pub struct Propagation {
    /// Creation times of this run's roles, by ARN.
    fresh: Mutex<HashMap<String, Instant>>,
    /// Whether any fresh role has been assumed already. Roles of one run are of nearly one age.
    arrived: AtomicBool,
    /// Whether a probe passed and the call after it did not: then AWS checks the code first, and probes tell nothing.
    probes_useless: AtomicBool,
    trials: Semaphore,
}

impl Default for Propagation {
    fn default() -> Self {
        Self {
            fresh: Mutex::default(),
            arrived: AtomicBool::new(false),
            probes_useless: AtomicBool::new(false),
            trials: Semaphore::new(CONCURRENT_TRIALS),
        }
    }
}

impl Propagation {
    /// Records that a role was created just now.
    pub fn made(&self, role_arn: &str) {
        let mut fresh = self.fresh.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        fresh.insert(role_arn.to_owned(), Instant::now());
    }

    /// The age of a role of this run; `None` for others.
    pub fn age(&self, role_arn: &str) -> Option<Duration> {
        let fresh = self.fresh.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        fresh.get(role_arn).map(Instant::elapsed)
    }

    /// What to try next with a fresh role of this age.
    pub fn trial(&self, age: Duration) -> Trial {
        let probes_tell = !self.probes_useless.load(Ordering::Acquire);
        if age < PROBE_BELOW && probes_tell { Trial::Probe } else { Trial::Whole }
    }

    /// Records that a probe passed and the real call was refused.
    pub fn probes_tell_nothing(&self) {
        self.probes_useless.store(true, Ordering::Release);
    }

    /// Records that a fresh role has been assumed.
    pub fn arrive(&self) {
        self.arrived.store(true, Ordering::Release);
    }

    /// Waits for a permit to try with a fresh role. Every try carries a function's whole code, and all share one
    /// uplink: so few try and the others wait for their result. `None` once one has succeeded.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        if self.arrived.load(Ordering::Acquire) {
            return None;
        }
        let turn = self.trials.acquire().await.ok();
        turn.filter(|_| !self.arrived.load(Ordering::Acquire))
    }
}
