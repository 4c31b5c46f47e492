//! Rate limits for calls to AWS: a line for each quota, as fast as AWS lets it be, and a lane for each API.
//!
//! The documented quotas are an account's, and other processes use them up as well. So a throttled call makes its line slower,
//! and the line becomes faster again while nothing is refused: several deployers share a quota without knowing of each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

use super::lane::{Lane, Turn};

/// One quota: what it covers, calls a second, and how many at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quota {
    service: &'static str,
    /// `*` for all operations without a line of their own.
    operation: &'static str,
    rate: f64,
    burst: f64,
}

/// The control-plane quotas that a deploy meets.
/// API Gateway: <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html> (10 requests a second with
/// a burst of 40 for all operations together; CreateDeployment one in five seconds).
/// Lambda: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html> (15 a second for the control
/// plane, 100 for GetFunction).
/// Of other services no quota is documented: their calls wait only once one has been throttled.
const QUOTAS: &[Quota] = &[
    Quota { service: "apigatewayv2", operation: "CreateDeployment", rate: 0.2, burst: 1.0 },
    Quota { service: "apigatewayv2", operation: "*", rate: 10.0, burst: 40.0 },
    Quota { service: "lambda", operation: "GetFunction", rate: 100.0, burst: 100.0 },
    Quota { service: "lambda", operation: "*", rate: 15.0, burst: 15.0 },
];

/// The quota of `service.operation`.
fn quota(service: &'static str, operation: &str) -> Quota {
    let covers = |quota: &&Quota| quota.service == service && (quota.operation == operation || quota.operation == "*");
    let undocumented = Quota { service, operation: "*", rate: f64::INFINITY, burst: 1.0 };
    QUOTAS.iter().find(covers).copied().unwrap_or(undocumented)
}

/// No line becomes slower than this, in calls a second: so soon somebody finds out that others have finished.
const SLOWEST: f64 = 0.5;
/// Nor slower than so many times what it gets through: who is ahead stays ahead.
const AHEAD: f64 = 2.5;
/// A success of this time ago counts 1/e towards what a line gets through.
const LATELY: Duration = Duration::from_secs(5);
/// After a throttled call the next one waits about this long where the quota is slower than one call a second: a turn that no
/// caller takes is lost to all of them.
const PAUSE_OF_SLOW: Duration = Duration::from_millis(350);
/// How many calls a second a service without a documented quota is taken to admit at least, once it has throttled one.
const GUESS: f64 = 20.0;

/// How fast a line goes. Pure: it is told the time and what happens.
///
/// A throttled call halves the rate at most, and a call that succeeds doubles it, up to the quota. So where several processes share a
/// quota they ask for a little more than there is, and for all of it soon after others have finished.
///
/// The more of a line's calls succeed, the less a throttled one slows it down. So processes that share a quota come through it one
/// after the other, though they do not know of each other, and what comes next (a deployment, of which there is one in five
/// seconds) begins early. The price: one that begins beside larger ones waits for longer than with equal shares.
///
/// `next` is when the next call is due at the steady rate; calls may run ahead of that by a burst (the generic cell rate
/// algorithm).
#[derive(Debug)]
pub(super) struct Rate {
    quota: Quota,
    next: Instant,
    /// Calls a second.
    rate: f64,
    /// When the line last became slower. What was sent before that has nothing new to tell.
    slower: Instant,
    begun: Instant,
    successes: u32,
    /// Successes since the first throttled call, of which older ones count less, at the time of the last one.
    lately: f64,
    last_success: Option<Instant>,
}

impl Rate {
    fn new(quota: Quota, now: Instant) -> Self {
        Self {
            quota,
            next: now,
            rate: quota.rate,
            slower: now,
            begun: now,
            successes: 0,
            lately: 0.0,
            last_success: None,
        }
    }

    /// How far calls may run ahead. One call of the burst is spared: calls that arrive sooner than those before them would
    /// otherwise find no token.
    fn slack(&self) -> Duration {
        Duration::from_secs_f64((self.quota.burst - 2.0).max(0.0) / self.quota.rate)
    }

    /// How long the next call has to wait.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now).saturating_sub(self.slack())
    }

    /// A call is sent.
    pub(super) fn take(&mut self, now: Instant) {
        self.next = self.next.max(now) + Duration::from_secs_f64(1.0 / self.rate);
    }

    /// A call that was sent at `sent` has succeeded.
    pub(super) fn succeeded(&mut self, sent: Instant, now: Instant) {
        self.successes += 1;
        // Before anything was throttled there was enough for all, and successes say nothing about who is ahead.
        if self.slower > self.begun {
            self.lately = self.lately(now) + 1.0;
        }
        self.last_success = Some(now);
        if sent >= self.slower {
            self.rate = (self.rate * 2.0).min(self.quota.rate);
        }
    }

    /// A call that was sent at `sent` was throttled. The burst is gone. The next call waits about as long as one does at the new
    /// rate: by `jitter`, from 0.5 to 1.5, several processes spread out.
    pub(super) fn throttled(&mut self, sent: Instant, now: Instant, jitter: f64) {
        if sent < self.slower {
            return;
        }
        if self.quota.rate.is_infinite() {
            // Nothing was held back so far: what went through in a second is about what may.
            let seconds = (now - self.begun).as_secs_f64().max(1.0);
            self.quota.rate = (f64::from(self.successes) / seconds).max(GUESS);
            self.rate = self.quota.rate;
        }
        let slowest = SLOWEST.max(AHEAD * self.lately(now) / LATELY.as_secs_f64());
        self.rate = (self.rate / 2.0).max(slowest.min(self.quota.rate));
        self.slower = now;
        let pause = if self.quota.rate < 1.0 { PAUSE_OF_SLOW } else { Duration::from_secs_f64(1.0 / self.rate) };
        self.next = now + self.slack() + pause.mul_f64(jitter);
    }

    /// How many successes count now.
    fn lately(&self, now: Instant) -> f64 {
        let age = self.last_success.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.lately * (-age.div_duration_f64(LATELY)).exp()
    }
}

/// The calls under one quota, which wait in the order in which they came.
#[derive(Debug)]
struct Line {
    first: tokio::sync::Mutex<()>,
    rate: Mutex<Rate>,
}

impl Line {
    fn rate(&self) -> std::sync::MutexGuard<'_, Rate> {
        lock(&self.rate)
    }
}

/// Paces the calls of one process.
#[derive(Debug, Default)]
pub struct Pace {
    /// Whether the endpoint has no quotas.
    unlimited: bool,
    lines: Mutex<HashMap<(&'static str, &'static str), Arc<Line>>>,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
}

impl Pace {
    /// Whether calls are held to AWS's quotas.
    pub fn has_quotas(&self) -> bool {
        !self.unlimited
    }

    /// For an endpoint without quotas.
    pub fn unlimited() -> Self {
        Self { unlimited: true, ..Self::default() }
    }

    /// Waits until `service.operation` may be called.
    pub async fn permit(&self, service: &'static str, operation: &str) {
        let Some(line) = self.line(service, operation) else { return };
        let _first = line.first.lock().await;
        loop {
            let wait = {
                let mut rate = line.rate();
                let now = Instant::now();
                let wait = rate.wait(now);
                if wait.is_zero() {
                    rate.take(now);
                    return;
                }
                wait
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Records that a call that was sent at `sent` succeeded.
    pub fn succeeded(&self, service: &'static str, operation: &str, sent: Instant) {
        if let Some(line) = self.line(service, operation) {
            line.rate().succeeded(sent, Instant::now());
        }
    }

    /// Records that a call that was sent at `sent` was throttled. Returns whether `permit` makes the next ones wait.
    pub fn throttled(&self, service: &'static str, operation: &str, sent: Instant) -> bool {
        let Some(line) = self.line(service, operation) else { return false };
        line.rate().throttled(sent, Instant::now(), rand::rng().random_range(0.5..1.5));
        true
    }

    /// When a call under the quota of `service.operation` last succeeded.
    pub fn last_success(&self, service: &'static str, operation: &str) -> Option<Instant> {
        self.line(service, operation)?.rate().last_success
    }

    /// Waits for a place in a lane.
    pub async fn turn(&self, lane: &str) -> Turn {
        let lane = Arc::clone(lock(&self.lanes).entry(lane.to_owned()).or_default());
        lane.turn().await
    }

    fn line(&self, service: &'static str, operation: &str) -> Option<Arc<Line>> {
        if self.unlimited {
            return None;
        }
        let quota = quota(service, operation);
        let mut lines = lock(&self.lines);
        let line = lines.entry((quota.service, quota.operation)).or_insert_with(|| {
            let rate = Mutex::new(Rate::new(quota, Instant::now()));
            Arc::new(Line { first: tokio::sync::Mutex::default(), rate })
        });
        Some(Arc::clone(line))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
