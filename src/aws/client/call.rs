//! A call to AWS: its operation, whether it may be sent again, and the record it leaves for the timings.

use tokio::time::Instant;

tokio::task_local! {
    /// The plan step on whose behalf calls are made.
    pub static STEP: usize;
}

/// An operation, and how to send it.
#[derive(Debug, Clone, Copy)]
pub struct AwsCall<'a> {
    pub(super) service: &'static str,
    pub(super) operation: &'static str,
    pub(super) again: bool,
    pub(super) lane: Option<&'a str>,
}

impl<'a> AwsCall<'a> {
    /// A call whose answer was lost is sent again only if it reads (`Get`, `List`, `Describe`): any other may have
    /// taken effect, and would take effect twice.
    pub fn new(service: &'static str, operation: &'static str) -> Self {
        let reads = ["Get", "List", "Describe"].iter().any(|verb| operation.starts_with(verb));
        Self { service, operation, again: reads, lane: None }
    }

    /// The same call, marked as idempotent: it may be sent again after its answer was lost.
    pub fn repeatable(self) -> Self {
        Self { again: true, ..self }
    }

    /// The same call, in a lane (an API's id): as many at once as AWS turns out to take.
    pub fn lane(self, lane: &'a str) -> Self {
        Self { lane: Some(lane), ..self }
    }
}

/// One request that was sent, for the timings.
#[derive(Debug, Clone)]
pub struct Record {
    pub step: Option<usize>,
    pub service: &'static str,
    pub operation: &'static str,
    pub started: Instant,
    pub ended: Instant,
    /// The error code; `None` for a success.
    pub refused: Option<String>,
}
