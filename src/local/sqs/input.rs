//! The input of SQS's operations.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::message::Attribute;
use super::{QueueId, error};
use crate::local::protocol::wire::ApiError;

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
    pub message_attribute_names: Vec<String>,
    pub message_system_attribute_names: Vec<String>,
    pub max_number_of_messages: Option<i64>,
    pub wait_time_seconds: Option<i64>,
    /// What a call for one message says of it.
    #[serde(flatten)]
    pub message: Entry,
    pub entries: Vec<Entry>,
}

/// What is said of one message; in a batch with an id.
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
