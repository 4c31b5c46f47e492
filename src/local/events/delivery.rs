//! Brings a payload to a target: to a function, a queue, a topic or a log group.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::local::context::clock::now_millis;
use crate::local::context::ports::{Functions, LogEvent, LogSink, Queues, Topics};
use crate::local::protocol::wire::ApiError;

/// The services that targets belong to.
pub struct Delivery {
    pub functions: Arc<dyn Functions>,
    pub logs: Arc<dyn LogSink>,
    /// `None` where this cloud has no such service.
    pub queues: Option<Arc<dyn Queues>>,
    pub topics: Option<Arc<dyn Topics>>,
}

/// Who sends.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The principal that the policy of the function, queue or topic must allow: `events.amazonaws.com`.
    pub service: &'a str,
    /// The ARN of the rule.
    pub arn: &'a str,
}

impl Delivery {
    /// Delivers to a target of a rule. What cannot be delivered goes to the target's dead-letter queue, and is logged.
    pub fn deliver(&self, target: &Value, payload: &str, sender: Sender<'_>) {
        let Err(error) = self.try_deliver(target, payload, Some(sender)) else { return };
        self.give_up(target, payload, sender, &error);
    }

    /// Logs an event that could not be delivered, and sends it to the dead-letter queue, if the target has one.
    pub fn give_up(&self, target: &Value, payload: &str, sender: Sender<'_>, error: &ApiError) {
        let arn = target["Arn"].as_str().unwrap_or_default();
        tracing::warn!("{} could not deliver an event to {arn}: {}", sender.arn, error.message);
        if let (Some(queue), Some(queues)) = (target["DeadLetterConfig"]["Arn"].as_str(), &self.queues)
            && let Err(error) = queues.deliver(queue, payload, None, sender.service, sender.arn)
        {
            tracing::warn!("nor to the dead-letter queue {queue}: {}", error.message);
        }
    }

    /// Delivers to a target. With a sender, the resource's policy must allow it; without one, a role was asked already.
    ///
    /// # Errors
    /// Why it cannot be delivered.
    pub fn try_deliver(&self, target: &Value, payload: &str, sender: Option<Sender<'_>>) -> Result<(), ApiError> {
        let arn = target["Arn"].as_str().unwrap_or_default();
        let (service, source) = sender.map_or(("", ""), |sender| (sender.service, sender.arn));
        match arn.split(':').nth(2) {
            Some("lambda") => {
                if sender.is_some() && self.functions.exists(arn) && !self.functions.permits(arn, service, source) {
                    let message = format!("its policy does not allow lambda:InvokeFunction for {service} and {source}");
                    return Err(ApiError::new(403, "AccessDeniedException", message));
                }
                self.functions.invoke_async(arn, json(payload))
            }
            Some("sqs") => {
                let queues = self.queues.as_ref().ok_or_else(|| not_served(arn))?;
                queues.deliver(arn, payload, target["SqsParameters"]["MessageGroupId"].as_str(), service, source)
            }
            Some("sns") => {
                let topics = self.topics.as_ref().ok_or_else(|| not_served(arn))?;
                topics.deliver(arn, payload, service, source)
            }
            Some("logs") => self.log(arn, payload),
            _ => Err(not_served(arn)),
        }
    }

    /// Appends to a log group: `arn:aws:logs:REGION:ACCOUNT:log-group:NAME`, with or without `:*`.
    fn log(&self, arn: &str, payload: &str) -> Result<(), ApiError> {
        let parts: Vec<&str> = arn.splitn(7, ':').collect();
        let [.., region, _, "log-group", group] = parts[..] else { return Err(not_served(arn)) };
        let group = group.strip_suffix(":*").unwrap_or(group);
        if !self.logs.has_group(region, group) {
            return Err(ApiError::new(400, "ResourceNotFoundException", "The specified log group does not exist."));
        }
        let event = LogEvent { timestamp: now_millis(), message: payload.to_owned() };
        self.logs.append(region, group, &uuid::Uuid::new_v4().to_string(), vec![event]);
        Ok(())
    }
}

/// The payload for a function: JSON. A template's text that is none becomes a string.
fn json(payload: &str) -> Bytes {
    match serde_json::from_str::<serde::de::IgnoredAny>(payload) {
        Ok(_) => payload.to_owned().into(),
        Err(_) => Value::from(payload).to_string().into(),
    }
}

fn not_served(arn: &str) -> ApiError {
    ApiError::new(400, "UnsupportedOperation", format!("the local cloud delivers nothing to {arn}"))
}
