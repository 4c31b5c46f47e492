//! A token bucket, as AWS describes its throttles: a burst of calls, and a rate of refill.

use serde::Deserialize;
use tokio::time::Instant;

/// The size of a bucket and how fast it refills.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls a second.
    pub rate: f64,
    /// Calls at once.
    pub burst: f64,
}

/// A token bucket; it starts full.
#[derive(Debug, Default)]
pub struct TokenBucket(Option<Level>);

#[derive(Debug)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl TokenBucket {
    /// Takes a token if there is one.
    pub fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let level = self.0.get_or_insert(Level { tokens: rate.burst, at: now });
        let earned = now.duration_since(level.at).as_secs_f64() * rate.rate;
        level.tokens = (level.tokens + earned).min(rate.burst);
        level.at = now;
        let granted = level.tokens >= 1.0;
        if granted {
            level.tokens -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_holds_its_burst_and_refills_at_its_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::default();
        let rate = Rate { rate: 4.0, burst: 2.0 };
        for (after, granted) in [(0, true), (0, true), (0, false), (125, false), (250, true), (250, false)] {
            assert_eq!(bucket.take(rate, start + Duration::from_millis(after)), granted, "{after} ms");
        }
        let later = start + Duration::from_secs(90);
        assert_eq!([0; 3].map(|_| bucket.take(rate, later)), [true, true, false]);
    }
}
