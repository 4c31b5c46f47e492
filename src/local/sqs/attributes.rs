//! The attributes of queues: which there are, what they may be, what they are by default.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::{self, invalid_value};
use super::{Queue, QueueId};
use crate::local::protocol::wire::ApiError;

/// Numbers: name, least, most, default (API reference, `SetQueueAttributes`).
const NUMBERS: &[(&str, i64, i64, i64)] = &[
    ("DelaySeconds", 0, 900, 0),
    ("KmsDataKeyReusePeriodSeconds", 60, 86_400, 300),
    ("MaximumMessageSize", 1024, 1_048_576, 1_048_576),
    ("MessageRetentionPeriod", 60, 1_209_600, 345_600),
    ("ReceiveMessageWaitTimeSeconds", 0, 20, 0),
    ("VisibilityTimeout", 0, 43_200, 30),
];

/// Truths, and their defaults; of `None` nothing is shown.
const FLAGS: &[(&str, Option<&str>)] =
    &[("ContentBasedDeduplication", None), ("FifoQueue", None), ("SqsManagedSseEnabled", Some("true"))];

/// Texts: documents, keys, and what FIFO queues have.
const TEXTS: &[&str] =
    &["DeduplicationScope", "FifoThroughputLimit", "KmsMasterKeyId", "Policy", "RedriveAllowPolicy", "RedrivePolicy"];

/// Those that only a FIFO queue has.
const OF_FIFO: &[&str] = &["ContentBasedDeduplication", "DeduplicationScope", "FifoQueue", "FifoThroughputLimit"];

/// Attributes that SQS computes.
pub const COMPUTED: &[&str] = &[
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];

/// Whether callers can set an attribute.
pub fn is_settable(name: &str) -> bool {
    NUMBERS.iter().any(|(known, ..)| *known == name)
        || FLAGS.iter().any(|(known, _)| *known == name)
        || TEXTS.contains(&name)
}

/// Checks attributes that a caller sets on a queue.
///
/// # Errors
/// SQS's refusal of the first that is wrong.
pub fn check(id: &QueueId, attributes: &BTreeMap<String, String>) -> Result<(), ApiError> {
    for (name, value) in attributes {
        if !is_settable(name) || (OF_FIFO.contains(&name.as_str()) && !id.is_fifo()) {
            return Err(error::invalid_attribute(name));
        }
        if let Some((_, least, most, _)) = NUMBERS.iter().find(|(known, ..)| known == name) {
            let number: i64 = value.parse().map_err(|_| invalid_value(name))?;
            if !(least..=most).contains(&&number) {
                return Err(invalid_value(name));
            }
        }
        let is_flag = FLAGS.iter().any(|(known, _)| known == name);
        if is_flag && !["true", "false"].contains(&value.as_str()) {
            return Err(invalid_value(name));
        }
        let is_document = ["Policy", "RedriveAllowPolicy", "RedrivePolicy"].contains(&name.as_str());
        let is_json = || serde_json::from_str::<Value>(value).is_ok_and(|document| document.is_object());
        if is_document && !value.is_empty() && !is_json() {
            return Err(invalid_value(name));
        }
    }
    if let Some(policy) = attributes.get("RedrivePolicy").filter(|policy| !policy.is_empty()) {
        redrive(policy).ok_or_else(|| {
            error::invalid(format!(
                "Value {policy} for parameter RedrivePolicy is invalid. Reason: Redrive policy does not contain mandatory \
                 attribute: maxReceiveCount."
            ))
        })?;
    }
    Ok(())
}

/// The ARN of the dead-letter queue and how often a message is received, in a redrive policy.
pub fn redrive(policy: &str) -> Option<(String, u32)> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let count = &policy["maxReceiveCount"];
    // CloudFormation sends a number, the console a text.
    let count = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
    let count = u32::try_from(count).ok().filter(|count| (1..=1000).contains(count))?;
    Some((policy["deadLetterTargetArn"].as_str()?.to_owned(), count))
}

impl Queue {
    pub fn number(&self, name: &str) -> i64 {
        let default = NUMBERS.iter().find(|(known, ..)| *known == name).map_or(0, |(.., default)| *default);
        self.attributes.get(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    /// How long messages are kept, in milliseconds.
    pub fn retention(&self) -> i64 {
        self.number("MessageRetentionPeriod") * 1000
    }

    pub fn flag(&self, name: &str) -> bool {
        self.attributes.get(name).is_some_and(|value| value == "true")
    }

    /// The ARN of the dead-letter queue, and after how many receives a message goes there.
    pub fn redrive(&self) -> Option<(String, u32)> {
        redrive(self.attributes.get("RedrivePolicy")?)
    }

    /// The settable attributes as SQS shows them: with defaults, without what is empty.
    pub fn shown(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (name, ..) in NUMBERS.iter().filter(|(name, ..)| *name != "KmsDataKeyReusePeriodSeconds") {
            all.insert((*name).to_owned(), self.number(name).to_string());
        }
        for (name, default) in FLAGS {
            // A key of the caller's takes the place of SQS's own.
            if let Some(default) = default.filter(|_| !self.attributes.contains_key("KmsMasterKeyId")) {
                all.insert((*name).to_owned(), default.to_owned());
            }
        }
        if self.flag("FifoQueue") {
            for (name, default) in [
                ("ContentBasedDeduplication", "false"),
                ("DeduplicationScope", "queue"),
                ("FifoThroughputLimit", "perQueue"),
            ] {
                all.insert(name.to_owned(), default.to_owned());
            }
        }
        all.extend(self.attributes.clone());
        all.retain(|_, value| !value.is_empty());
        all
    }
}
