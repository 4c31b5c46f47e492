//! Makes one call to AWS, with retries.
//!
//! The SDK's own retries are off: it would send a create again after an answer was lost, and create two resources. Here
//! a call says whether it may be sent again blindly.

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

/// How long throttles and collisions are retried. AWS's own end within seconds; role changes take longest.
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
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            let result = {
                let _turn = match call.lane {
                    Some(lane) => Some(self.pace.turn(lane).await),
                    None => None,
                };
                self.pace.permit(call.service, call.operation).await;
                let started = Instant::now();
                let result = request().await;
                let result = result.map_err(|error| CallError::of(call.service, call.operation, &error));
                self.record(Record {
                    step: STEP.try_with(|step| *step).ok(),
                    service: call.service,
                    operation: call.operation,
                    started,
                    ended: Instant::now(),
                    refused: result.as_ref().err().map(|error| error.code.clone()),
                });
                result
            };
            let error = match result {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let max_retry = match error.meaning {
                Meaning::Throttled | Meaning::Busy => MAX_RETRY,
                Meaning::Unknown if call.again => MAX_RETRY_UNANSWERED,
                // Nothing listens: a few tries bridge a restart, more would only keep the user waiting.
                Meaning::Unreachable if tries < 3 => MAX_RETRY_UNANSWERED,
                _ => return Err(error),
            };
            let wait = error.retry_after.unwrap_or_else(|| backoff(error.meaning, tries));
            if begun.elapsed() + wait > max_retry {
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
