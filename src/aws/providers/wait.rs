//! Waiting for what AWS does behind its answers.

use std::time::Duration;

use tokio::time::Instant;

use super::{Context, ResourceError};

/// How often and how long to ask whether something is ready.
#[derive(Debug, Clone, Copy)]
pub struct PollPolicy {
    /// The longest pause between two looks.
    pub longest: Duration,
    pub timeout: Duration,
}

/// Tables take seconds; a change of billing mode or an index takes minutes.
pub const TABLE: PollPolicy = PollPolicy { longest: Duration::from_secs(2), timeout: Duration::from_secs(30 * 60) };

/// Functions take a second or two; one in a VPC takes a minute.
pub const FUNCTION: PollPolicy = PollPolicy { longest: Duration::from_secs(1), timeout: Duration::from_secs(5 * 60) };

/// Event source mappings take seconds; one of a queue that is polled, up to a minute.
pub const MAPPING: PollPolicy = PollPolicy { longest: Duration::from_secs(2), timeout: Duration::from_secs(10 * 60) };
/// Provisioned concurrency takes minutes.
pub const PROVISIONED: PollPolicy =
    PollPolicy { longest: Duration::from_secs(5), timeout: Duration::from_secs(30 * 60) };

/// The shortest pause between two looks.
const SHORTEST: Duration = Duration::from_millis(25);

/// How much longer than it had to be a wait may become, as a part of it: the pause grows with what was waited.
const OVERSHOOT: f64 = 0.05;

/// Asks `ready` again and again until it gives something.
///
/// # Errors
/// `ready`'s own, and when the timeout has passed.
pub async fn until<T, F>(
    cx: Context<'_>,
    policy: PollPolicy,
    state: &str,
    ready: impl Fn() -> F,
) -> Result<T, ResourceError>
where
    F: Future<Output = Result<Option<T>, ResourceError>>,
{
    let begun = Instant::now();
    loop {
        if let Some(value) = ready().await? {
            return Ok(value);
        }
        let waited = begun.elapsed();
        if waited > policy.timeout {
            return Err(ResourceError::Failed(format!("still {state} after {} s", waited.as_secs())));
        }
        if waited > Duration::from_secs(1) {
            (cx.note)(format!("{state}, {} s", waited.as_secs()));
        }
        tokio::time::sleep(waited.mul_f64(OVERSHOOT).clamp(SHORTEST, policy.longest)).await;
    }
}
