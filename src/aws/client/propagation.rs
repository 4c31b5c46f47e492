//! IAM is eventually consistent: which roles this run created, and whether other services can assume them yet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SetOnce};
use tokio::time::Instant;

/// Below this age of the role, hardly any `CreateFunction` succeeds: 7.75 to 11.75 s were measured.
const UNLIKELY_BELOW: Duration = Duration::from_secs(7);

/// The age of the role at which one request is let go to see how fast its end arrives: most of the code is sent by then, and
/// there is time to send that of one function again.
const REHEARSE_FROM: Duration = Duration::from_secs(6);

/// How much longer than a probe's an answer may take if only the end of its request had to travel.
const QUICK: Duration = Duration::from_millis(300);

/// How many functions try blindly at once. While one waits for its answer, the other's code is being uploaded: the uplink is
/// never idle, and once the role can be assumed, the first complete upload succeeds.
const CONCURRENT_TRIALS: usize = 2;

/// How far this run's roles have propagated, and how that is found out.
#[derive(Debug)]
pub struct Propagation {
    /// Creation times of this run's roles, by ARN.
    fresh: Mutex<HashMap<String, Instant>>,
    /// Set when any fresh role has been assumed. Roles of one run are of nearly one age.
    arrived: SetOnce<()>,
    /// Whether a probe was refused: only then does one that passes tell anything.
    refused: AtomicBool,
    /// Whether a probe passed and the call after it did not: then AWS checks the code first, and probes tell nothing.
    probes_useless: AtomicBool,
    /// How long the last probe took.
    probe_took: Mutex<Duration>,
    ends: AtomicU8,
    /// Set when calls got no answer while requests traveled ahead: they may be what stands in the way.
    in_the_way: SetOnce<()>,
    /// One function probes for all.
    pub prober: Semaphore,
    pub trials: Semaphore,
}

/// How the ends of requests that travel ahead arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Ends {
    /// It has not been tried.
    Unknown = 0,
    /// One is being let go to find out.
    Rehearsed = 1,
    /// At once: it is worth waiting until the role can be assumed.
    Quick = 2,
    /// After the whole code, which some proxy has held: nothing is gained by waiting.
    Slow = 3,
}

impl Default for Propagation {
    fn default() -> Self {
        Self {
            fresh: Mutex::default(),
            arrived: SetOnce::new(),
            refused: AtomicBool::new(false),
            probes_useless: AtomicBool::new(false),
            probe_took: Mutex::default(),
            ends: AtomicU8::new(Ends::Unknown as u8),
            in_the_way: SetOnce::new(),
            prober: Semaphore::new(1),
            trials: Semaphore::new(CONCURRENT_TRIALS),
        }
    }
}

impl Propagation {
    /// Records that a role was created just now.
    pub fn made(&self, role_arn: &str) {
        lock(&self.fresh).insert(role_arn.to_owned(), Instant::now());
    }

    /// The age of a role of this run; `None` for others.
    pub fn age(&self, role_arn: &str) -> Option<Duration> {
        lock(&self.fresh).get(role_arn).map(Instant::elapsed)
    }

    /// Whether the real call is to be tried with a fresh role of this age although nothing tells that it will succeed.
    pub fn is_time_to_try(&self, age: Duration) -> bool {
        let worth_waiting = matches!(self.ends(), Ends::Rehearsed | Ends::Quick);
        !self.probes_tell() || (age >= UNLIKELY_BELOW && !worth_waiting)
    }

    /// Whether a request with a role of this age is to be let go to see how fast its end arrives. Once a run.
    pub fn begins_rehearsal(&self, age: Duration) -> bool {
        let (unknown, rehearsed) = (Ends::Unknown as u8, Ends::Rehearsed as u8);
        age >= REHEARSE_FROM
            && self.ends.compare_exchange(unknown, rehearsed, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Records how long it took from letting an end go to the answer.
    pub fn end_took(&self, time: Duration) {
        let quick = time <= *lock(&self.probe_took) + QUICK;
        self.ends_are(if quick { Ends::Quick } else { Ends::Slow });
    }

    /// Records how ends arrive.
    pub fn ends_are(&self, ends: Ends) {
        self.ends.store(ends as u8, Ordering::Release);
    }

    fn ends(&self) -> Ends {
        let known = [Ends::Unknown, Ends::Rehearsed, Ends::Quick, Ends::Slow];
        known[usize::from(self.ends.load(Ordering::Acquire)).min(3)]
    }

    /// Records that a probe was refused, after this time.
    pub fn probe_refused(&self, time: Duration) {
        *lock(&self.probe_took) = time;
        self.refused.store(true, Ordering::Release);
    }

    /// Records that a probe passed: where others were refused, the role can be assumed, and all may go.
    pub fn probe_passed(&self) {
        if self.refused.load(Ordering::Acquire) {
            self.arrive();
        }
    }

    /// Whether a probe that passes tells that the role can be assumed.
    pub fn probes_tell(&self) -> bool {
        !self.probes_useless.load(Ordering::Acquire)
    }

    /// Records that a probe passed and the real call was refused.
    pub fn probes_tell_nothing(&self) {
        self.probes_useless.store(true, Ordering::Release);
    }

    /// Records that a fresh role has been assumed.
    pub fn arrive(&self) {
        // The first one is enough.
        let _ = self.arrived.set(());
    }

    /// Waits until any fresh role has been assumed.
    pub async fn arrival(&self) {
        self.arrived.wait().await;
    }

    /// Records that a call got no answer while requests traveled ahead.
    pub fn give_way(&self) {
        let _ = self.in_the_way.set(());
    }

    /// Whether requests may travel ahead.
    pub fn may_travel(&self) -> bool {
        self.in_the_way.get().is_none()
    }

    /// Waits until requests that travel ahead are to be given up.
    pub async fn given_way(&self) {
        self.in_the_way.wait().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
