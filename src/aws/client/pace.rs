//! Rate limits for calls to AWS: a token bucket for each documented quota, and a lane for each API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

/// One quota: what it covers, calls a second, and how many at once.
struct Quota {
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
const QUOTAS: &[Quota] = &[
    Quota { service: "apigatewayv2", operation: "CreateDeployment", rate: 0.2, burst: 1.0 },
    Quota { service: "apigatewayv2", operation: "*", rate: 10.0, burst: 40.0 },
    Quota { service: "lambda", operation: "GetFunction", rate: 100.0, burst: 100.0 },
    Quota { service: "lambda", operation: "*", rate: 15.0, burst: 15.0 },
];

/// Paces the calls of one process.
#[derive(Default)]
pub struct Pace {
    /// Whether the endpoint has no quotas.
    unlimited: bool,
    /// For each quota in use, when its next call is due at the steady rate; calls may run ahead of that by a burst
    /// (the generic cell rate algorithm).
    next: Mutex<HashMap<(&'static str, &'static str), Instant>>,
    lanes: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
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
    pub async fn permit(&self, service: &str, operation: &str) {
        let wait = self.wait(service, operation, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Waits for its turn in a lane: mutations of one API collide (409 "concurrent modification"), so they queue.
    pub async fn turn(&self, lane: &str) -> OwnedMutexGuard<()> {
        let lane = lock(&self.lanes).entry(lane.to_owned()).or_default().clone();
        lane.lock_owned().await
    }

    /// Reserves a call under the quota of `service.operation`; returns how long to wait for it from `now` on.
    fn wait(&self, service: &str, operation: &str, now: Instant) -> Duration {
        if self.unlimited {
            return Duration::ZERO;
        }
        let covers =
            |quota: &&Quota| quota.service == service && (quota.operation == operation || quota.operation == "*");
        let Some(quota) = QUOTAS.iter().find(covers) else { return Duration::ZERO };
        let spacing = Duration::from_secs_f64(1.0 / quota.rate);
        let slack = spacing.mul_f64(quota.burst - 1.0);
        let mut next = lock(&self.next);
        let due = next.entry((quota.service, quota.operation)).or_insert(now);
        let at = (*due).max(now);
        *due = at + spacing;
        (at - now).saturating_sub(slack)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long each of `count` calls made at one moment has to wait, in milliseconds.
    fn waits(pace: &Pace, service: &str, operation: &str, count: usize) -> Vec<u128> {
        let now = Instant::now();
        (0..count).map(|_| pace.wait(service, operation, now).as_millis()).collect()
    }

    #[test]
    fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let waits = waits(&Pace::default(), "apigatewayv2", "CreateRoute", 43);
        assert!(waits[..40].iter().all(|wait| *wait == 0), "{waits:?}");
        assert_eq!(waits[40..], [100, 200, 300]);
    }

    #[test]
    fn a_quota_fills_up_again() {
        let pace = Pace::default();
        let start = Instant::now();
        for _ in 0..40 {
            pace.wait("apigatewayv2", "GetApis", start);
        }
        let later = start + Duration::from_secs(1);
        let free = (0..12).filter(|_| pace.wait("apigatewayv2", "GetApis", later).is_zero()).count();
        assert_eq!(free, 10);
    }

    #[test]
    fn deployments_have_a_quota_of_their_own() {
        let pace = Pace::default();
        assert_eq!(waits(&pace, "apigatewayv2", "CreateDeployment", 3), [0, 5000, 10000]);
        assert_eq!(waits(&pace, "apigatewayv2", "CreateStage", 1), [0]);
    }

    #[test]
    fn nothing_waits_without_quotas() {
        let waits = waits(&Pace::unlimited(), "apigatewayv2", "CreateDeployment", 300);
        assert!(waits.iter().all(|wait| *wait == 0));
    }

    #[test]
    fn a_service_without_a_documented_quota_is_not_held() {
        assert!(waits(&Pace::default(), "iam", "GetRole", 1000).iter().all(|wait| *wait == 0));
    }
}
