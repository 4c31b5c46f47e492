//! What a call to AWS is: its operation, whether it may be sent again, and the record that it leaves.

use tokio::time::Instant;

tokio::task_local! {
    /// The plan step on whose behalf calls are made.
    pub static STEP: usize;
}

/// What is called, and how.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub(super) service: &'static str,
    pub(super) operation: &'static str,
    pub(super) again: bool,
    pub(super) lane: Option<&'a str>,
}

impl<'a> Call<'a> {
    /// A call that is sent again after its answer was lost only if it reads (`Get`, `List`, `Describe`): any other may
    /// have happened, and would happen twice.
    pub fn new(service: &'static str, operation: &'static str) -> Self {
        let reads = ["Get", "List", "Describe"].iter().any(|verb| operation.starts_with(verb));
        Self { service, operation, again: reads, lane: None }
    }

    /// The same call, which may be sent again: doing it twice is doing it once.
    pub fn repeatable(self) -> Self {
        Self { again: true, ..self }
    }

    /// The same call, one at a time with all others of the same lane (an API's id).
    pub fn lane(self, lane: &'a str) -> Self {
        Self { lane: Some(lane), ..self }
    }
}

/// One request that was made, for the timings.
#[derive(Debug, Clone)]
pub struct Record {
    pub step: Option<usize>,
    pub service: &'static str,
    pub operation: &'static str,
    pub started: Instant,
    pub ended: Instant,
    /// The error code of a refusal; `None` for a success.
    pub refused: Option<String>,
}
