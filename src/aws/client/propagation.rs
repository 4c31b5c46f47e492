//! What IAM has told nobody of yet: roles made in this run, and what is known of how far the news has spread.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Before a role is this old, hardly any function gets it: measured were 7.75 to 11.75 s.
const HARDLY_BEFORE: Duration = Duration::from_secs(7);

/// How many go ahead. While one waits for its answer, the other's code is on its way: the uplink never rests, and when
/// the news has arrived, the first code that has gone through is in time.
const HERALDS: usize = 2;

/// What to send to find out whether a role can be assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// The same call with code that cannot be code: it costs nothing, and where the role is looked at first, its refusal
    /// tells.
    Probe,
    /// The call as it is meant.
    Whole,
}

/// How far the news of this run's roles has spread.
pub struct Propagation {
    /// When roles were made in this run, by ARN.
    fresh: Mutex<HashMap<String, Instant>>,
    /// Whether some fresh role has been assumed already. Roles of one run are of nearly one age.
    arrived: AtomicBool,
    /// Whether a probe has passed and the call after it has not: then probes tell nothing here.
    blind: AtomicBool,
    heralds: Semaphore,
}

impl Default for Propagation {
    fn default() -> Self {
        Self {
            fresh: Mutex::default(),
            arrived: AtomicBool::new(false),
            blind: AtomicBool::new(false),
            heralds: Semaphore::new(HERALDS),
        }
    }
}

impl Propagation {
    /// A role was made just now.
    pub fn made(&self, role_arn: &str) {
        let mut fresh = self.fresh.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        fresh.insert(role_arn.to_owned(), Instant::now());
    }

    /// How old a role is that was made in this run; `None` for others.
    pub fn age(&self, role_arn: &str) -> Option<Duration> {
        let fresh = self.fresh.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        fresh.get(role_arn).map(Instant::elapsed)
    }

    /// What to try next with a fresh role of this age.
    pub fn trial(&self, age: Duration) -> Trial {
        let probes_tell = !self.blind.load(Ordering::Acquire);
        if age < HARDLY_BEFORE && probes_tell { Trial::Probe } else { Trial::Whole }
    }

    /// A probe has passed, and the call itself was refused.
    pub fn probes_tell_nothing(&self) {
        self.blind.store(true, Ordering::Release);
    }

    /// A fresh role has been assumed.
    pub fn arrive(&self) {
        self.arrived.store(true, Ordering::Release);
    }

    /// Waits for the right to try with a fresh role. Every try carries a function's whole code, and all share one
    /// uplink: so few go ahead and the others wait for what they learn. `None` once somebody has got through.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        if self.arrived.load(Ordering::Acquire) {
            return None;
        }
        let turn = self.heralds.acquire().await.ok();
        turn.filter(|_| !self.arrived.load(Ordering::Acquire))
    }
}
