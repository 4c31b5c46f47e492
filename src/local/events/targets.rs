//! Brings a payload to a target: to a function, a queue, a topic or a log group.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::local::context::clock::now_millis;
use crate::local::context::ports::{Delivery, DeliveryTarget, Functions, LogEvent, LogSink};
use crate::local::protocol::wire::ApiError;

/// The services that targets belong to.
pub struct Targets {
    pub functions: Arc<dyn Functions>,
    pub logs: Arc<dyn LogSink>,
    /// Queues and topics.
    pub others: Vec<Arc<dyn DeliveryTarget>>,
}

/// Who sends.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The principal that the policy of the function, queue or topic must allow: `events.amazonaws.com`. `None` where a role that may
    /// send does it: the policy need not allow that once more.
    pub service: Option<&'static str>,
    /// The ARN of the rule or schedule.
    pub arn: String,
    /// What a dead letter tells of it: names and values of message attributes.
    pub told: Vec<(&'static str, String)>,
}

impl Targets {
    /// Delivers to a target in the background. What cannot be delivered is logged, and sent to the target's dead-letter queue. Must
    /// be called within a tokio runtime.
    pub fn deliver(self: &Arc<Self>, target: Value, payload: String, sender: Sender) {
        let targets = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = targets.try_deliver(&target, &payload, &sender).await {
                targets.give_up(&target, payload, &sender, &error).await;
            }
        });
    }

    /// Logs what could not be delivered, and sends it to the target's dead-letter queue, if it has one.
    pub async fn give_up(&self, target: &Value, payload: String, sender: &Sender, error: &ApiError) {
        let arn = target["Arn"].as_str().unwrap_or_default();
        tracing::warn!("{} could not deliver to {arn}: {}", sender.arn, error.message);
        let Some(queue) = target["DeadLetterConfig"]["Arn"].as_str() else { return };
        // Why it failed, as AWS writes it (EventBridge user guide, "Using dead-letter queues").
        let attribute = |name: &str, value: &str| (name.to_owned(), "String".to_owned(), value.to_owned());
        let told = sender.told.iter().map(|(name, value)| attribute(name, value));
        // Nothing is tried again here: what fails would fail again.
        let why = [
            ("TARGET_ARN", arn),
            ("ERROR_CODE", &*error.code),
            ("ERROR_MESSAGE", error.message.as_str()),
            ("RETRY_ATTEMPTS", "0"),
        ];
        let attributes = told.chain(why.map(|(name, value)| attribute(name, value))).collect();
        let message = Delivery { body: payload, attributes, by: by(sender), ..Delivery::default() };
        if let Err(error) = self.pass_on(queue, message).await {
            tracing::warn!("{} could not deliver to its dead-letter queue {queue}: {}", sender.arn, error.message);
        }
    }

    async fn try_deliver(&self, target: &Value, payload: &str, sender: &Sender) -> Result<(), ApiError> {
        let arn = target["Arn"].as_str().unwrap_or_default();
        match arn.split(':').nth(2) {
            Some("lambda") => {
                if let Some(service) = sender.service
                    && self.functions.exists(arn)
                    && !self.functions.permits(arn, service, &sender.arn)
                {
                    let message = format!(
                        "its policy does not allow lambda:InvokeFunction for {service} with the source {}",
                        sender.arn
                    );
                    return Err(ApiError::new(403, "AccessDeniedException", message));
                }
                self.functions.send_event(arn, json(payload))
            }
            Some("logs") => self.log(arn, payload),
            _ => {
                let group = target["SqsParameters"]["MessageGroupId"].as_str().map(str::to_owned);
                let message = Delivery { body: payload.to_owned(), group, by: by(sender), ..Delivery::default() };
                self.pass_on(arn, message).await
            }
        }
    }

    async fn pass_on(&self, arn: &str, message: Delivery) -> Result<(), ApiError> {
        let service = arn.split(':').nth(2).unwrap_or_default();
        let target = self.others.iter().find(|target| target.service() == service).ok_or_else(|| not_served(arn))?;
        target.deliver(arn, message).await
    }

    /// Appends to a log group: `arn:aws:logs:REGION:ACCOUNT:log-group:NAME`, with or without `:*`.
    fn log(&self, arn: &str, payload: &str) -> Result<(), ApiError> {
        let parts: Vec<&str> = arn.splitn(7, ':').collect();
        let [_, _, _, region, _, "log-group", group] = parts[..] else { return Err(not_served(arn)) };
        let group = group.strip_suffix(":*").unwrap_or(group);
        if !self.logs.has_group(region, group) {
            return Err(ApiError::new(400, "ResourceNotFoundException", "The specified log group does not exist."));
        }
        let event = LogEvent { timestamp: now_millis(), message: payload.to_owned() };
        self.logs.append_if(region, group, &uuid::Uuid::new_v4().to_string(), vec![event], &|| false);
        Ok(())
    }
}

fn by(sender: &Sender) -> Option<(&'static str, String)> {
    sender.service.map(|service| (service, sender.arn.clone()))
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
