//! Stage throttles: a token bucket for each route of a stage, as `ThrottlingRateLimit` and `ThrottlingBurstLimit` say.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::time::Instant;

use crate::local::context::token_bucket::{Rate, TokenBucket};
use crate::local::lock::lock;

/// A stage's limit for a route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Requests a second.
    pub rate: f64,
    /// Requests at once.
    pub burst: u32,
}

/// The buckets of all stages, by API, stage and route key.
#[derive(Debug, Default)]
pub struct Throttles(Mutex<HashMap<[String; 3], TokenBucket>>);

impl Throttles {
    /// Whether one more request of a route is within its limit; takes a token if it is.
    pub fn admit(&self, api_id: &str, stage: &str, route_key: &str, limit: Option<Limit>) -> bool {
        let Some(limit) = limit else { return true };
        let route = [api_id, stage, route_key].map(str::to_owned);
        let mut buckets = lock(&self.0);
        let rate = Rate { rate: limit.rate, burst: limit.burst.into() };
        // A rate of 0 denies everything on AWS, with any burst.
        rate.rate > 0.0 && buckets.entry(route).or_default().take(rate, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_zero_denies_everything_and_routes_have_their_own_buckets() {
        let throttles = Throttles::default();
        let of = |route: &str, rate, burst| throttles.admit("a", "s", route, Some(Limit { rate, burst }));
        assert!(!of("x", 0.0, 5) && !of("y", 5.0, 0));
        assert!(of("one", 0.001, 1) && !of("one", 0.001, 1) && of("two", 0.001, 1));
        assert!(throttles.admit("a", "s", "one", None));
    }
}
