//! Waiting for what AWS does behind its answers.

use std::time::Duration;

use tokio::time::Instant;

use super::{Context, ResourceError};

/// How often to look, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    pub first: Duration,
    pub longest: Duration,
    pub patience: Duration,
}

/// Tables take seconds; a change of billing mode or an index takes minutes.
pub const TABLE: Rhythm = Rhythm {
    first: Duration::from_millis(25),
    longest: Duration::from_secs(1),
    patience: Duration::from_secs(30 * 60),
};

/// Functions take a second or two; one in a VPC takes a minute.
pub const FUNCTION: Rhythm = Rhythm {
    first: Duration::from_millis(25),
    longest: Duration::from_millis(500),
    patience: Duration::from_secs(5 * 60),
};

/// Asks `ready` again and again until it gives something.
///
/// # Errors
/// `ready`'s own, and when patience is at an end.
pub async fn until<T, F>(
    cx: Context<'_>,
    rhythm: Rhythm,
    state: &str,
    ready: impl Fn() -> F,
) -> Result<T, ResourceError>
where
    F: Future<Output = Result<Option<T>, ResourceError>>,
{
    let begun = Instant::now();
    let mut wait = rhythm.first;
    loop {
        if let Some(value) = ready().await? {
            return Ok(value);
        }
        let waited = begun.elapsed();
        if waited > rhythm.patience {
            return Err(ResourceError::Failed(format!("still {state} after {} s", waited.as_secs())));
        }
        if waited > Duration::from_secs(1) {
            (cx.note)(format!("{state}, {} s", waited.as_secs()));
        }
        tokio::time::sleep(wait).await;
        wait = wait.mul_f64(1.5).min(rhythm.longest);
    }
}
