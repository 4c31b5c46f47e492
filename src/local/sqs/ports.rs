//! SQS as the other services use it: Lambda polls queues, and others send to them.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::message::Attribute;
use super::messages::Draft;
use super::{QueueId, Sqs, error};
use crate::core::iam::evaluate::permits_service;
use crate::local::context::ACCOUNT;
use crate::local::context::ports::{
    Delivery, DeliveryTarget, EventSource, Position, SourceEvent, Tagged, TaggedResources,
};
use crate::local::protocol::wire::ApiError;

#[async_trait]
impl EventSource for Sqs {
    fn service(&self) -> &'static str {
        "sqs"
    }

    fn is_ordered(&self) -> bool {
        false
    }

    fn actions(&self) -> &'static [&'static str] {
        &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    }

    fn check(&self, arn: &str, function_timeout: u32) -> Result<(), String> {
        let missing = "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS \
                       Error Message: The specified queue does not exist.";
        let id = QueueId::from_arn(arn).ok_or(missing)?;
        let (queue, _) = self.queue(&id).map_err(|_| missing)?;
        let visibility = queue.number("VisibilityTimeout");
        if visibility < i64::from(function_timeout) {
            return Err(format!(
                "Queue visibility timeout: {visibility} seconds is less than Function timeout: {function_timeout} seconds"
            ));
        }
        Ok(())
    }

    async fn receive(
        &self,
        arn: &str,
        _shard: &str,
        _after: &Position,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<SourceEvent>, ApiError> {
        let id = QueueId::from_arn(arn).ok_or_else(error::no_queue)?;
        let messages = Sqs::receive(self, &id, most, None, wait).await?;
        let event = |message: super::message::Message| SourceEvent {
            event: message.event(arn),
            handle: message.handle.clone().unwrap_or_default(),
            at: message.sent,
            id: message.id,
        };
        Ok(messages.into_iter().map(event).collect())
    }

    async fn delete(&self, arn: &str, events: &[SourceEvent]) {
        let Some(id) = QueueId::from_arn(arn) else { return };
        for event in events {
            // The queue may be gone, and the message with it.
            let _ = self.delete_by(&id, Some(event.handle.clone()));
        }
    }
}

#[async_trait]
impl DeliveryTarget for Sqs {
    fn service(&self) -> &'static str {
        "sqs"
    }

    async fn deliver(&self, arn: &str, message: Delivery) -> Result<(), ApiError> {
        let id = QueueId::from_arn(arn).ok_or_else(error::no_queue)?;
        let (queue, _) = self.queue(&id)?;
        let mut sender = ACCOUNT.to_owned();
        if let Some((principal, need)) = message.need("sqs:SendMessage", arn) {
            let policy = queue.attributes.get("Policy").map_or("", String::as_str);
            if !permits_service(policy, principal, &need) {
                let source = message.by.as_ref().map_or("", |(_, source)| source);
                let message = format!("the queue's policy does not allow {principal} to send messages of {source}");
                return Err(ApiError::new(403, "AccessDenied", message));
            }
            principal.clone_into(&mut sender);
        }
        let attribute = |(name, data_type, value): (String, String, String)| {
            let is_binary = data_type.starts_with("Binary");
            let (string_value, binary_value) = if is_binary { (None, Some(value)) } else { (Some(value), None) };
            (name, Attribute { data_type, string_value, binary_value })
        };
        let draft = Draft {
            body: message.body,
            attributes: message.attributes.into_iter().map(attribute).collect(),
            group: message.group,
            deduplication: message.deduplication.filter(|_| id.is_fifo()),
            sender,
            ..Draft::default()
        };
        self.send(&id, draft).map(drop)
    }
}

impl TaggedResources for Sqs {
    fn tagged(&self, region: &str) -> Result<Vec<Tagged>, ApiError> {
        let tagged = |(name, queue): (&String, &super::Queue)| Tagged {
            // The Tagging API calls queues by their service alone.
            type_name: "sqs".to_owned(),
            arn: QueueId::new(region, name).arn(),
            tags: queue.tags.clone(),
        };
        Ok(self.queues.read(|queues| queues.of_region(region).map(tagged).collect()))
    }

    fn retag(&self, arn: &str, set: &BTreeMap<String, String>, removed: &[String]) -> Result<bool, ApiError> {
        let Some(id) = QueueId::from_arn(arn) else { return Ok(false) };
        self.change(&id, |queue| {
            queue.tags.extend(set.clone());
            queue.tags.retain(|key, _| !removed.contains(key));
        })?;
        Ok(true)
    }
}
