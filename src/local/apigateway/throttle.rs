//! Stage throttles: a token bucket for each route of a stage, as `ThrottlingRateLimit` and `ThrottlingBurstLimit` say.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// What a stage allows a route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Requests a second.
    pub rate: f64,
    /// Requests at once.
    pub burst: u32,
}

/// The buckets of all stages, by API, stage and route key.
#[derive(Debug, Default)]
pub struct Throttles(Mutex<HashMap<[String; 3], Bucket>>);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Throttles {
    /// Whether one more request of a route is within its limit; takes a token if it is.
    pub fn admit(&self, api_id: &str, stage: &str, route_key: &str, limit: Option<Limit>) -> bool {
        let Some(limit) = limit else { return true };
        let route = [api_id, stage, route_key].map(str::to_owned);
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = Bucket { tokens: limit.burst.into(), at: Instant::now() };
        buckets.entry(route).or_insert(full).take(limit, Instant::now())
    }
}

impl Bucket {
    fn take(&mut self, limit: Limit, now: Instant) -> bool {
        let earned = now.duration_since(self.at).as_secs_f64() * limit.rate;
        self.tokens = (self.tokens + earned).min(limit.burst.into());
        self.at = now;
        // A rate of 0 denies everything on AWS, whatever the burst.
        let admitted = limit.rate > 0.0 && self.tokens >= 1.0;
        if admitted {
            self.tokens -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_holds_its_burst_and_refills_at_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket { tokens: 2.0, at: start };
        let limit = Limit { rate: 4.0, burst: 2 };
        for (after, admitted) in [(0, true), (0, true), (0, false), (125, false), (250, true), (250, false)] {
            assert_eq!(bucket.take(limit, start + Duration::from_millis(after)), admitted, "{after} ms");
        }
        let later = start + Duration::from_secs(90);
        assert_eq!([0; 3].map(|_| bucket.take(limit, later)), [true, true, false]);
    }

    #[test]
    fn zero_denies_everything_and_routes_have_buckets_of_their_own() {
        let throttles = Throttles::default();
        let of = |route: &str, rate, burst| throttles.admit("a", "s", route, Some(Limit { rate, burst }));
        assert!(!of("x", 0.0, 5) && !of("y", 5.0, 0));
        assert!(of("one", 0.001, 1) && !of("one", 0.001, 1) && of("two", 0.001, 1));
        assert!(throttles.admit("a", "s", "one", None));
    }
}
