//! Makes one call to AWS, with retries.
//!
//! The SDK's own retries are off: it would send a create again after an answer was lost, and create two resources. Here
//! a call says whether it may be sent again blindly.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use rand::RngExt;
use tokio::time::Instant;

use super::call::{AwsCall, Record, STEP};
use super::connect::Aws;
use super::error::{CallError, Meaning};
use super::lane::Turn;

/// How long throttles and collisions are retried while no call like it succeeds. AWS's own end within seconds; role
/// changes take longest.
const MAX_RETRY: Duration = Duration::from_secs(300);
/// How long to retry a service that gives no answer, or no useful one.
const MAX_RETRY_UNANSWERED: Duration = Duration::from_secs(45);

impl Aws {
    /// Makes a call; `request` makes a new request for each try.
    ///
    /// # Errors
    /// The last failure, when it is final or the time for retries is over. After `Meaning::Unknown` of a call that must
    /// not be sent again, the caller must check whether it took effect.
    pub async fn call<T, E, F>(&self, call: AwsCall<'_>, request: impl Fn() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + 'static,
    {
        let AwsCall { service, operation, .. } = call;
        // Waiting in a queue of one's own is no failure: the time for retries runs from the first one on.
        // A clock for each limit: that others were ahead says nothing of a service that gives no answer.
        let mut first_failures: HashMap<Duration, Instant> = HashMap::new();
        let mut tries = 0;
        loop {
            let turn = match call.lane {
                Some(lane) => Some(self.pace.turn(lane).await),
                None => None,
            };
            self.pace.permit(service, operation).await;
            let started = Instant::now();
            let result = request().await;
            let result = result.map_err(|error| CallError::of(service, operation, &error));
            let ended = Instant::now();
            self.record(Record {
                step: STEP.try_with(|step| *step).ok(),
                service,
                operation,
                started,
                ended,
                refused: result.as_ref().err().map(|error| error.code.clone()),
            });
            let error = match result {
                Ok(answer) => {
                    self.pace.succeeded(service, operation, started);
                    turn.iter().for_each(Turn::succeeded);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            // Whether nothing but its turn keeps it waiting, and when a call like it last succeeded.
            let (at_once, last_success, max_retry) = match error.meaning {
                Meaning::Throttled => {
                    let paced = self.pace.throttled(service, operation, started);
                    (paced, self.pace.last_success(service, operation), MAX_RETRY)
                }
                Meaning::Busy => {
                    let by_own = turn.as_ref().is_some_and(Turn::collided);
                    (by_own, turn.as_ref().and_then(Turn::last_success), MAX_RETRY)
                }
                Meaning::Unknown if call.again => (false, None, MAX_RETRY_UNANSWERED),
                // Nothing listens: a few tries bridge a restart, more would only keep the user waiting.
                Meaning::Unreachable if tries < 3 => (false, None, MAX_RETRY_UNANSWERED),
                _ => return Err(error),
            };
            drop(turn);
            let pause = if at_once { Duration::ZERO } else { backoff(error.meaning, tries) };
            let wait = error.retry_after.unwrap_or(pause);
            let since = last_success.max(Some(*first_failures.entry(max_retry).or_insert(started)));
            if since.is_some_and(|since| since.elapsed() + wait > max_retry) {
                return Err(error);
            }
            tracing::debug!(%error, ?wait, "again");
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }
}

/// The wait before try `tries + 2`: doubling, capped, with jitter so that parallel callers spread out.
fn backoff(meaning: Meaning, tries: u32) -> Duration {
    let (first, longest) = match meaning {
        Meaning::Busy => (0.1, 1.0),
        _ => (0.25, 5.0),
    };
    let whole = (first * 2_f64.powi(tries.min(16).cast_signed())).min(longest);
    Duration::from_secs_f64(whole * rand::rng().random_range(0.5..1.0))
}
