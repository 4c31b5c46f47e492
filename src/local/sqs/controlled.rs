//! Queues and their policies as Cloud Control sees them. (CloudFormation's `AWS::SQS::QueuePolicy` cannot be read, and is not
//! Cloud Control's; `AWS::SQS::QueueInlinePolicy` is the policy of one queue.)

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{QueueId, Sqs, attributes};
use crate::local::context::ports::{ControlledResources, tags_of};
use crate::local::protocol::wire::ApiError;

const QUEUE: &str = "AWS::SQS::Queue";
const POLICY: &str = "AWS::SQS::QueueInlinePolicy";

/// Properties that are not attributes of the same name.
const OTHERS: &[&str] = &["Arn", "QueueName", "QueueUrl", "Tags"];

impl ControlledResources for Sqs {
    fn types(&self) -> &'static [&'static str] {
        &[QUEUE, POLICY]
    }

    fn create(&self, region: &str, type_name: &str, properties: &Value) -> Result<String, ApiError> {
        if type_name == POLICY {
            let id = QueueId::from_url(region, properties["Queue"].as_str().unwrap_or_default());
            let id = id.ok_or_else(super::error::no_queue)?;
            let (queue, _) = self.queue(&id)?;
            if queue.attributes.contains_key("Policy") {
                let message =
                    format!("Resource of type '{POLICY}' with identifier '{}' already exists.", self.url(&id));
                return Err(ApiError::new(400, "AlreadyExists", message));
            }
            self.set_policy(&id, &properties["PolicyDocument"])?;
            return Ok(self.url(&id));
        }
        let name = properties["QueueName"].as_str().unwrap_or_default();
        let id = QueueId::new(region, name);
        if self.queue(&id).is_ok() {
            let message = format!("Resource of type '{QUEUE}' with identifier '{}' already exists.", self.url(&id));
            return Err(ApiError::new(400, "AlreadyExists", message));
        }
        let id = self.create(region, name, attributes_of(properties), tags_of(properties))?;
        Ok(self.url(&id))
    }

    fn read(&self, region: &str, type_name: &str, identifier: &str) -> Option<Value> {
        let id = QueueId::from_url(region, identifier)?;
        let (queue, _) = self.queue(&id).ok()?;
        if type_name == POLICY {
            let document: Value = serde_json::from_str(queue.attributes.get("Policy")?).ok()?;
            return Some(json!({ "Queue": self.url(&id), "PolicyDocument": document }));
        }
        let mut properties = Map::new();
        for (name, value) in queue.shown() {
            // A queue's policy is a resource of its own for CloudFormation.
            if name == "Policy" {
                continue;
            }
            let typed = match name.as_str() {
                "RedriveAllowPolicy" | "RedrivePolicy" => serde_json::from_str(&value).ok(),
                "ContentBasedDeduplication" | "FifoQueue" | "SqsManagedSseEnabled" => Some((value == "true").into()),
                "DeduplicationScope" | "FifoThroughputLimit" | "KmsMasterKeyId" => None,
                _ => value.parse::<i64>().ok().map(Value::from),
            };
            properties.insert(name, typed.unwrap_or_else(|| value.into()));
        }
        properties.insert("QueueName".to_owned(), id.name.as_str().into());
        properties.insert("Arn".to_owned(), id.arn().into());
        properties.insert("QueueUrl".to_owned(), self.url(&id).into());
        if !queue.tags.is_empty() {
            let tags = queue.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
            properties.insert("Tags".to_owned(), tags.collect());
        }
        Some(properties.into())
    }

    fn update(&self, region: &str, type_name: &str, identifier: &str, properties: &Value) -> Result<(), ApiError> {
        let id = QueueId::from_url(region, identifier).ok_or_else(super::error::no_queue)?;
        if type_name == POLICY {
            return self.set_policy(&id, &properties["PolicyDocument"]);
        }
        let (queue, _) = self.queue(&id)?;
        let mut wanted = attributes_of(properties);
        // What is not wanted any more is taken away, but for the policy, which is no property.
        for name in queue.attributes.keys().filter(|name| *name != "Policy") {
            wanted.entry(name.clone()).or_default();
        }
        wanted.retain(|name, value| queue.attributes.get(name) != Some(value));
        let emptied: Vec<String> =
            wanted.iter().filter(|(_, value)| value.is_empty()).map(|(name, _)| name.clone()).collect();
        wanted.retain(|_, value| !value.is_empty());
        attributes::check(&id, &wanted)?;
        self.check_redrive(&id, &wanted)?;
        let tags = tags_of(properties);
        self.queues.change(|queues| {
            let queue = queues.regions.get_mut(&id.region).and_then(|queues| queues.get_mut(&id.name));
            let queue = queue.ok_or_else(super::error::no_queue)?;
            queue.attributes.extend(wanted);
            queue.attributes.retain(|name, _| !emptied.contains(name));
            queue.tags = tags;
            queue.modified = crate::local::context::clock::now_millis();
            Ok(())
        })
    }

    fn delete(&self, region: &str, type_name: &str, identifier: &str) -> Result<(), ApiError> {
        let id = QueueId::from_url(region, identifier).ok_or_else(super::error::no_queue)?;
        if type_name == POLICY {
            return self.set_policy(&id, &Value::Null);
        }
        Sqs::delete(self, &id)
    }

    fn list(&self, region: &str, type_name: &str) -> Vec<String> {
        self.queues.read(|queues| {
            let all = queues.of_region(region);
            let wanted = all.filter(|(_, queue)| type_name == QUEUE || queue.attributes.contains_key("Policy"));
            wanted.map(|(name, _)| self.url(&QueueId::new(region, name))).collect()
        })
    }
}

impl Sqs {
    /// Gives a queue a policy; null takes it away.
    fn set_policy(&self, id: &QueueId, document: &Value) -> Result<(), ApiError> {
        let text = match document {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            document => document.to_string(),
        };
        self.set(id, BTreeMap::from([("Policy".to_owned(), text)]))
    }
}

/// A queue's attributes in CloudFormation's properties.
fn attributes_of(properties: &Value) -> BTreeMap<String, String> {
    let given = properties.as_object().into_iter().flatten();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    given
        .filter(|(name, value)| !OTHERS.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}
