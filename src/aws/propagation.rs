//! What IAM has told nobody of yet: roles made in this run, and what is known of how far the news has spread.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// How far the news of this run's roles has spread.
pub struct Propagation {
    /// ARNs of roles made in this run.
    fresh: Mutex<HashSet<String>>,
    /// Whether some fresh role has been assumed already. Roles of one run are of nearly one age.
    arrived: AtomicBool,
    herald: Semaphore,
}

impl Default for Propagation {
    fn default() -> Self {
        Self { fresh: Mutex::default(), arrived: AtomicBool::new(false), herald: Semaphore::new(1) }
    }
}

impl Propagation {
    /// A role was made just now.
    pub fn made(&self, role_arn: &str) {
        self.fresh.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(role_arn.to_owned());
    }

    /// Whether the role was made in this run.
    pub fn is_fresh(&self, role_arn: &str) -> bool {
        self.fresh.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains(role_arn)
    }

    /// A fresh role has been assumed.
    pub fn arrive(&self) {
        self.arrived.store(true, Ordering::Release);
    }

    /// Waits for the right to try with a fresh role. Every try carries a function's whole code, and all share one
    /// uplink: so one goes ahead and the others wait for what it learns. `None` once somebody has got through.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        if self.arrived.load(Ordering::Acquire) {
            return None;
        }
        let turn = self.herald.acquire().await.ok();
        turn.filter(|_| !self.arrived.load(Ordering::Acquire))
    }
}
