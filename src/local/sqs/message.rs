//! Messages, and the digests that clients check them by.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A message in a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub id: String,
    pub body: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Attribute>,
    /// `AWSTraceHeader`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    pub sender: String,
    /// Times are milliseconds since the epoch.
    pub sent: i64,
    /// When it can be received: after its delay, and again after a receiver's visibility timeout.
    pub visible: i64,
    #[serde(default)]
    pub received: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_received: Option<i64>,
    /// The last receipt handle, while a receiver has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deduplication: Option<String>,
    /// Of a FIFO queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// The ARN of the queue that could not get rid of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_of: Option<String>,
}

/// A message attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Attribute {
    pub data_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<String>,
}

impl Attribute {
    fn is_binary(&self) -> bool {
        self.data_type.starts_with("Binary")
    }

    /// The value's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match &self.binary_value {
            Some(value) if self.is_binary() => BASE64_STANDARD.decode(value).unwrap_or_default(),
            _ => self.string_value.clone().unwrap_or_default().into_bytes(),
        }
    }
}

impl Message {
    /// Its size against the queue's limit: body and attributes, in bytes.
    pub fn size(&self) -> usize {
        let of =
            |(name, attribute): (&String, &Attribute)| name.len() + attribute.data_type.len() + attribute.bytes().len();
        self.body.len() + self.attributes.iter().map(of).sum::<usize>()
    }

    /// The attributes that SQS gives a message, by the names under which callers ask for them.
    pub fn system_attributes(&self) -> Map<String, Value> {
        let mut all = Map::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                all.insert(name.to_owned(), value.into());
            }
        };
        put("ApproximateReceiveCount", Some(self.received.to_string()));
        put("AWSTraceHeader", self.trace.clone());
        put("SentTimestamp", Some(self.sent.to_string()));
        put("SequenceNumber", self.sequence.clone());
        put("MessageGroupId", self.group.clone());
        put("SenderId", Some(self.sender.clone()));
        put("MessageDeduplicationId", self.deduplication.clone());
        put("ApproximateFirstReceiveTimestamp", self.first_received.map(|time| time.to_string()));
        put("DeadLetterQueueSourceArn", self.dead_letter_of.clone());
        all
    }

    /// As Lambda gives it to a function, in the form of the developer guide ("Using Lambda with Amazon SQS").
    pub fn event(&self, arn: &str) -> Value {
        let attributes = self.attributes.iter().map(|(name, attribute)| {
            let mut shown = json!({ "stringListValues": [], "binaryListValues": [], "dataType": attribute.data_type });
            for (member, value) in [("stringValue", &attribute.string_value), ("binaryValue", &attribute.binary_value)]
            {
                if let Some(value) = value {
                    shown[member] = value.as_str().into();
                }
            }
            (name.clone(), shown)
        });
        let mut event = json!({
            "messageId": self.id,
            "receiptHandle": self.handle,
            "body": self.body,
            "attributes": self.system_attributes(),
            "messageAttributes": attributes.collect::<Map<String, Value>>(),
            "md5OfBody": md5_of(self.body.as_bytes()),
            "eventSource": "aws:sqs",
            "eventSourceARN": arn,
            "awsRegion": arn.split(':').nth(3).unwrap_or_default(),
        });
        if !self.attributes.is_empty() {
            event["md5OfMessageAttributes"] = md5_of_attributes(&self.attributes).into();
        }
        event
    }
}

/// The MD5 of bytes, in hexadecimal: clients check what they get by it.
pub fn md5_of(bytes: &[u8]) -> String {
    format!("{:x}", md5::compute(bytes))
}

/// The MD5 of message attributes (SQS developer guide, "Calculating the MD5 message digest for message attributes").
pub fn md5_of_attributes(attributes: &BTreeMap<String, Attribute>) -> String {
    let mut all = Vec::new();
    let put = |all: &mut Vec<u8>, part: &[u8]| {
        all.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        all.extend(part);
    };
    for (name, attribute) in attributes {
        put(&mut all, name.as_bytes());
        put(&mut all, attribute.data_type.as_bytes());
        all.push(if attribute.is_binary() { 2 } else { 1 });
        put(&mut all, &attribute.bytes());
    }
    md5_of(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_that_clients_compute() {
        // botocore and the SQS developer guide agree on the form; the value is `md5sum` of the bytes spelled out.
        assert_eq!(md5_of(b"hello"), "5d41402abc4b2a76b9719d911017c592");
        let attribute = |data_type: &str, text: &str| Attribute {
            data_type: data_type.to_owned(),
            string_value: Some(text.to_owned()),
            binary_value: None,
        };
        let attributes = BTreeMap::from([("kind".to_owned(), attribute("String", "chat"))]);
        let bytes = b"\0\0\0\x04kind\0\0\0\x06String\x01\0\0\0\x04chat";
        assert_eq!(md5_of_attributes(&attributes), md5_of(bytes));
        let binary =
            Attribute { data_type: "Binary".to_owned(), string_value: None, binary_value: Some("AAE=".to_owned()) };
        let bytes = b"\0\0\0\x01b\0\0\0\x06Binary\x02\0\0\0\x02\0\x01";
        assert_eq!(md5_of_attributes(&BTreeMap::from([("b".to_owned(), binary)])), md5_of(bytes));
    }
}
