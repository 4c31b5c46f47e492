//! The table of SQS's operations, and how they run.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;

use super::error::{self, QUERY_CODES};
use super::message::Attribute;
use super::required_permissions::{creating, on_all, on_queue};
use super::{QueueId, Sqs};
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

/// The input of every operation (service model, botocore).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    pub queue_name: Option<String>,
    pub queue_url: Option<String>,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    pub queue_owner_aws_account_id: Option<String>,
    pub queue_name_prefix: Option<String>,
    #[serde(deserialize_with = "texts")]
    pub attributes: BTreeMap<String, String>,
    pub attribute_names: Vec<String>,
    /// `CreateQueue` alone has it in lower case.
    #[serde(alias = "tags")]
    pub tags: BTreeMap<String, String>,
    pub tag_keys: Vec<String>,
    pub max_results: Option<usize>,
    pub next_token: Option<String>,
    pub message_body: Option<String>,
    pub delay_seconds: Option<i64>,
    pub message_attributes: BTreeMap<String, Attribute>,
    pub message_system_attributes: BTreeMap<String, Attribute>,
    pub message_deduplication_id: Option<String>,
    pub message_group_id: Option<String>,
    pub message_attribute_names: Vec<String>,
    pub message_system_attribute_names: Vec<String>,
    pub max_number_of_messages: Option<i64>,
    pub visibility_timeout: Option<i64>,
    pub wait_time_seconds: Option<i64>,
    pub receipt_handle: Option<String>,
    pub entries: Vec<Entry>,
}

/// An entry of a batch.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Entry {
    pub id: String,
    pub message_body: Option<String>,
    pub delay_seconds: Option<i64>,
    pub message_attributes: BTreeMap<String, Attribute>,
    pub message_system_attributes: BTreeMap<String, Attribute>,
    pub message_deduplication_id: Option<String>,
    pub message_group_id: Option<String>,
    pub receipt_handle: Option<String>,
    pub visibility_timeout: Option<i64>,
}

/// A map of texts, whose values may come as numbers and truths.
fn texts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(values.into_iter().map(|(name, value)| (name, text(value))).collect())
}

impl Input {
    /// The queue that the call names.
    ///
    /// # Errors
    /// For a call without one, and for an URL of another account's.
    pub fn queue(&self, region: &str) -> Result<QueueId, ApiError> {
        let url = self.queue_url.as_deref().ok_or_else(|| error::missing("QueueUrl"))?;
        QueueId::from_url(region, url).ok_or_else(error::no_queue)
    }
}

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
