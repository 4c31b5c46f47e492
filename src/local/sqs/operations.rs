//! The table of SQS's operations, and how they run.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::Sqs;
use super::error::QUERY_CODES;
use super::input::Input;
use super::required_permissions::{creating, on_all, on_queue};
use crate::local::protocol::operation::OperationEffect::{Changes, Reads};
use crate::local::protocol::service::Permissions::Needs;
use crate::local::protocol::service::{self, Service, ServiceCall};
use crate::local::protocol::wire::{ApiError, Caller, Protocol, Request, Response};

pub type Answer = Result<Value, ApiError>;

/// The function that runs an operation. It gets the caller's region and the input.
#[derive(Clone, Copy)]
pub enum Run {
    Now(fn(&Sqs, &str, Input) -> Answer),
    /// It gets the caller, whose id messages carry.
    Sends(fn(&Sqs, &Caller, Input) -> Answer),
    /// It waits for messages.
    Later(for<'a> fn(&'a Sqs, &'a str, Input) -> BoxFuture<'a, Answer>),
}

use Run::{Later, Now, Sends};

type Row = service::Row<Sqs>;

#[rustfmt::skip]
const OPERATIONS: &[Row] = &[
    Row::named("ChangeMessageVisibility", Changes, Needs(on_queue), Now(Sqs::change_message_visibility)),
    Row::named("ChangeMessageVisibilityBatch", Changes, Needs(on_queue), Now(Sqs::change_message_visibility_batch)),
    Row::named("CreateQueue", Changes, Needs(creating), Now(Sqs::create_queue)),
    Row::named("DeleteMessage", Changes, Needs(on_queue), Now(Sqs::delete_message)),
    Row::named("DeleteMessageBatch", Changes, Needs(on_queue), Now(Sqs::delete_message_batch)),
    Row::named("DeleteQueue", Changes, Needs(on_queue), Now(Sqs::delete_queue)),
    Row::named("GetQueueAttributes", Reads, Needs(on_queue), Now(Sqs::get_queue_attributes)),
    Row::named("GetQueueUrl", Reads, Needs(on_queue), Now(Sqs::get_queue_url)),
    Row::named("ListDeadLetterSourceQueues", Reads, Needs(on_queue), Now(Sqs::list_dead_letter_source_queues)),
    Row::named("ListQueueTags", Reads, Needs(on_queue), Now(Sqs::list_queue_tags)),
    Row::named("ListQueues", Reads, Needs(on_all), Now(Sqs::list_queues)),
    Row::named("PurgeQueue", Changes, Needs(on_queue), Now(Sqs::purge_queue)),
    Row::named("ReceiveMessage", Changes, Needs(on_queue), Later(|sqs, region, input| Box::pin(sqs.receive_message(region, input)))),
    Row::named("SendMessage", Changes, Needs(on_queue), Sends(Sqs::send_message)),
    Row::named("SendMessageBatch", Changes, Needs(on_queue), Sends(Sqs::send_message_batch)),
    Row::named("SetQueueAttributes", Changes, Needs(on_queue), Now(Sqs::set_queue_attributes)),
    Row::named("TagQueue", Changes, Needs(on_queue), Now(Sqs::tag_queue)),
    Row::named("UntagQueue", Changes, Needs(on_queue), Now(Sqs::untag_queue)),
];

#[async_trait]
impl Service for Sqs {
    type Run = Run;

    const NAME: &'static str = "sqs";
    const PROTOCOL: Protocol = Protocol::AwsJson10Query(QUERY_CODES);
    const TARGETS: &'static [&'static str] = &["AmazonSQS."];
    const OPERATIONS: &'static [Row] = OPERATIONS;

    fn unknown(request: &Request) -> ApiError {
        let message = if request.headers.contains_key("x-amz-target") {
            ""
        } else {
            "The local SQS speaks AWS JSON 1.0, as SDKs do since November 2023; update the SDK that sent this."
        };
        ApiError::new(400, "UnknownOperationException", message)
    }

    async fn run(&self, run: Run, call: ServiceCall) -> Result<Response, ApiError> {
        let input: Input = call.request.json()?;
        let answer = match run {
            Now(run) => run(self, call.region(), input)?,
            Sends(run) => run(self, &call.request.caller, input)?,
            Later(run) => run(self, call.region(), input).await?,
        };
        Ok(Response::json(200, &answer))
    }
}
