//! Publishing: what goes to whom, in which form.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

use super::error::{self, invalid};
use super::operations::Answer;
use super::{Sns, Subscription, TopicId};
use crate::core::events::pattern::EventPattern;
use crate::core::iam::evaluate::permits_service;
use crate::local::context::clock::now_millis;
use crate::local::context::ports::{Delivery, DeliveryTarget};
use crate::local::lock::lock;
use crate::local::protocol::query::{Query, Xml};
use crate::local::protocol::wire::ApiError;

/// The largest message, in bytes, subject and attributes included (SNS quotas: 256 KB).
const MAX_MESSAGE: usize = 262_144;

/// How many messages a batch has.
const MOST: usize = 10;

/// How long a FIFO topic takes a second message with the same deduplication id for the first one, in milliseconds.
const DEDUPLICATION: i64 = 5 * 60 * 1000;

/// The service as resource policies call it.
const PRINCIPAL: &str = "sns.amazonaws.com";

/// What SNS signs its messages with is its own: nothing here can be verified with AWS's certificates.
const UNSIGNED: &str = "bG9jYWw=";

/// A message as it is published.
#[derive(Debug, Clone, Default)]
struct Message {
    text: String,
    /// The text for each protocol, where it is not the same for all.
    by_protocol: BTreeMap<String, String>,
    subject: Option<String>,
    /// Name, type, value (base64 where it is binary).
    attributes: Vec<(String, String, String)>,
    group: Option<String>,
    deduplication: Option<String>,
}

impl Message {
    fn size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, kind, value)| name.len() + kind.len() + value.len());
        self.text.len() + self.subject.as_ref().map_or(0, String::len) + attributes.sum::<usize>()
    }

    fn text_for(&self, protocol: &str) -> &str {
        self.by_protocol.get(protocol).unwrap_or(&self.text)
    }

    /// The attributes in the form of notifications.
    fn shown_attributes(&self) -> Map<String, Value> {
        let shown = self.attributes.iter();
        shown.map(|(name, kind, value)| (name.clone(), json!({ "Type": kind, "Value": value }))).collect()
    }

    /// What a filter policy on attributes is held against.
    fn attributes_for_filters(&self) -> Value {
        let value = |kind: &str, value: &str| match kind.split('.').next() {
            Some("Number") => value.parse::<f64>().map_or(Value::Null, |number| json!(number)),
            _ if kind == "String.Array" => serde_json::from_str(value).unwrap_or(Value::Null),
            _ => Value::from(value),
        };
        let all = self.attributes.iter().filter(|(_, kind, _)| !kind.starts_with("Binary"));
        Value::Object(all.map(|(name, kind, text)| (name.clone(), value(kind, text))).collect())
    }
}

impl Subscription {
    /// Whether it wants a message (developer guide, "Amazon SNS message filtering").
    fn wants(&self, message: &Message) -> bool {
        let Some(policy) = self.attributes.get("FilterPolicy").and_then(|text| EventPattern::read(text).ok()) else {
            return true;
        };
        if self.attributes.get("FilterPolicyScope").is_some_and(|scope| scope == "MessageBody") {
            return serde_json::from_str(message.text_for(&self.protocol))
                .is_ok_and(|body: Value| policy.matches(&body));
        }
        policy.matches(&message.attributes_for_filters())
    }

    fn is_raw(&self) -> bool {
        self.attributes.get("RawMessageDelivery").is_some_and(|raw| raw == "true")
    }

    fn dead_letters(&self) -> Option<String> {
        let policy: Value = serde_json::from_str(self.attributes.get("RedrivePolicy")?).ok()?;
        policy["deadLetterTargetArn"].as_str().map(str::to_owned)
    }
}

impl Sns {
    pub(super) async fn publish_operation(&self, query: &Query) -> Answer {
        let topic = published_to(query)?;
        let message = message_of(query, "")?;
        let (id, sequence) = self.publish(&topic, message).await?;
        Ok(Xml::new().text("MessageId", id).optional("SequenceNumber", sequence))
    }

    pub(super) async fn publish_batch(&self, query: &Query) -> Answer {
        let topic = published_to(query)?;
        self.state.read(|state| state.topic(&topic).map(drop))?;
        let prefix = |index: usize| format!("PublishBatchRequestEntries.member.{index}.");
        let count = (1..).take_while(|index| query.get(&format!("{}Id", prefix(*index))).is_some()).count();
        if count == 0 {
            return Err(ApiError::new(400, "EmptyBatchRequest", "The batch request doesn't contain any entries."));
        }
        if count > MOST {
            let message = "The batch request contains more entries than permissible.";
            return Err(ApiError::new(400, "TooManyEntriesInBatchRequest", message));
        }
        let ids: Vec<&str> = (1..=count).filter_map(|index| query.get(&format!("{}Id", prefix(index)))).collect();
        if ids.iter().enumerate().any(|(index, id)| ids[..index].contains(id)) {
            let message = "Two or more batch entries in the request have the same Id.";
            return Err(ApiError::new(400, "BatchEntryIdsNotDistinct", message));
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (index, id) in ids.iter().enumerate() {
            let published = match message_of(query, &prefix(index + 1)) {
                Ok(message) => self.publish(&topic, message).await,
                Err(error) => Err(error),
            };
            match published {
                Ok((message, sequence)) => successful
                    .push(Xml::new().text("Id", id).text("MessageId", message).optional("SequenceNumber", sequence)),
                Err(error) => failed.push(
                    Xml::new()
                        .text("Id", id)
                        .text("Code", &error.code)
                        .text("Message", &error.message)
                        .text("SenderFault", error.status < 500),
                ),
            }
        }
        Ok(Xml::new().list("Successful", successful).list("Failed", failed))
    }

    /// Delivers a message to every subscription that wants it. Gives its id, and its sequence number in a FIFO topic.
    async fn publish(&self, id: &TopicId, message: Message) -> Result<(String, Option<String>), ApiError> {
        let topic = self.state.read(|state| state.topic(id).cloned())?;
        let message_id = Uuid::new_v4().to_string();
        let mut message = message;
        let mut sequence = None;
        if id.is_fifo() {
            if message.group.is_none() {
                return Err(invalid("The MessageGroupId parameter is required for FIFO topics"));
            }
            let by_content = topic.attributes.get("ContentBasedDeduplication").is_some_and(|flag| flag == "true");
            if message.deduplication.is_none() && by_content {
                use sha2::{Digest, Sha256};
                message.deduplication = Some(hex::encode(Sha256::digest(message.text.as_bytes())));
            }
            let Some(deduplication) = message.deduplication.clone() else {
                return Err(invalid(
                    "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided \
                     explicitly",
                ));
            };
            let now = now_millis();
            sequence = Some(format!("{:020}", 10_000_000_000_000_000_000_u128 + u128::from(now.unsigned_abs()) * 1000));
            let is_new = {
                let mut seen = lock(&self.seen);
                let seen = seen.entry(id.arn()).or_default();
                seen.retain(|_, at| now - *at < DEDUPLICATION);
                // The time counts from the first, however many come after it.
                let is_new = !seen.contains_key(&deduplication);
                if is_new {
                    seen.insert(deduplication, now);
                }
                is_new
            };
            if !is_new {
                return Ok((message_id, sequence));
            }
        }
        let wanting = topic.subscriptions.iter().filter(|(_, one)| one.is_confirmed() && one.wants(&message));
        for (subscription, to) in wanting {
            let arn = id.subscription(subscription);
            let delivered = match to.protocol.as_str() {
                "lambda" => self.invoke(id, &arn, to, &message_id, &message),
                _ => self.send(id, &arn, to, &message_id, &message).await,
            };
            if let Err(error) = delivered {
                tracing::warn!("{} got no message of {}: {}", to.endpoint, id.arn(), error.message);
                if let Some(dead_letters) = to.dead_letters() {
                    let body = notification(id, &arn, to, &message_id, &message).to_string();
                    let delivery = Delivery {
                        body,
                        group: message.group.clone(),
                        deduplication: message.deduplication.clone(),
                        by: Some((PRINCIPAL, id.arn())),
                        ..Delivery::default()
                    };
                    if let Err(error) = self.queues.deliver(&dead_letters, delivery).await {
                        tracing::warn!("{dead_letters} got no dead letter of {}: {}", id.arn(), error.message);
                    }
                }
            }
        }
        Ok((message_id, sequence))
    }

    /// Invokes a function asynchronously, if its policy lets the topic.
    fn invoke(
        &self,
        topic: &TopicId,
        arn: &str,
        to: &Subscription,
        message_id: &str,
        message: &Message,
    ) -> Result<(), ApiError> {
        if !self.functions.permits(&to.endpoint, PRINCIPAL, &topic.arn()) {
            let message = format!(
                "the function's resource policy does not let {PRINCIPAL} invoke it for {}: add an AWS::Lambda::Permission",
                topic.arn()
            );
            return Err(ApiError::new(403, "AuthorizationError", message));
        }
        let mut sns = notification(topic, arn, to, message_id, message);
        if let Some(members) = sns.as_object_mut() {
            // Functions get these names, and always subject and attributes.
            for (from, to) in [("SigningCertURL", "SigningCertUrl"), ("UnsubscribeURL", "UnsubscribeUrl")] {
                if let Some(value) = members.shift_remove(from) {
                    members.insert(to.to_owned(), value);
                }
            }
            members.entry("Subject").or_insert(Value::Null);
            members.entry("MessageAttributes").or_insert_with(|| json!({}));
        }
        let event = json!({
            "Records": [{
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": arn,
                "Sns": sns,
            }],
        });
        self.functions.send_event(&to.endpoint, Bytes::from(event.to_string()))
    }

    /// Sends a message to a queue, in an envelope or as it is.
    async fn send(
        &self,
        topic: &TopicId,
        arn: &str,
        to: &Subscription,
        message_id: &str,
        message: &Message,
    ) -> Result<(), ApiError> {
        let (body, attributes) = if to.is_raw() {
            (message.text_for("sqs").to_owned(), message.attributes.clone())
        } else {
            (notification(topic, arn, to, message_id, message).to_string(), Vec::new())
        };
        let delivery = Delivery {
            body,
            attributes,
            group: message.group.clone(),
            deduplication: message.deduplication.clone(),
            subject: None,
            by: Some((PRINCIPAL, topic.arn())),
        };
        self.queues.deliver(&to.endpoint, delivery).await
    }
}

/// A notification as SNS writes it for queues and HTTP endpoints (developer guide, "Parsing Amazon SNS message formats").
fn notification(topic: &TopicId, arn: &str, to: &Subscription, message_id: &str, message: &Message) -> Value {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let host = format!("https://sns.{}.amazonaws.com", topic.region);
    let mut all = json!({
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": topic.arn(),
    });
    if let Some(subject) = &message.subject {
        all["Subject"] = subject.as_str().into();
    }
    all["Message"] = message.text_for(&to.protocol).into();
    all["Timestamp"] = OffsetDateTime::now_utc().format(format).unwrap_or_default().into();
    all["SignatureVersion"] = "1".into();
    all["Signature"] = UNSIGNED.into();
    all["SigningCertURL"] = format!("{host}/SimpleNotificationService-local.pem").into();
    all["UnsubscribeURL"] = format!("{host}/?Action=Unsubscribe&SubscriptionArn={arn}").into();
    if !message.attributes.is_empty() {
        all["MessageAttributes"] = message.shown_attributes().into();
    }
    all
}

/// The topic that is published to.
fn published_to(query: &Query) -> Result<TopicId, ApiError> {
    let arn = query.get("TopicArn").or_else(|| query.get("TargetArn"));
    let Some(arn) = arn else {
        return Err(invalid(if query.get("PhoneNumber").is_some() {
            "PhoneNumber Reason: the local cloud sends no text messages"
        } else {
            "TopicArn or TargetArn Reason: no value for required parameter"
        }));
    };
    match TopicId::from_arn(arn) {
        Some((id, None)) if id.region == query.caller.region => Ok(id),
        _ => Err(invalid("TopicArn")),
    }
}

/// The message in a request, under parameters with a prefix.
fn message_of(query: &Query, prefix: &str) -> Result<Message, ApiError> {
    let get = |name: &str| query.get(&format!("{prefix}{name}")).map(str::to_owned);
    let text = get("Message").filter(|text| !text.is_empty()).ok_or_else(|| invalid("Empty message"))?;
    let mut message = Message {
        text,
        by_protocol: BTreeMap::new(),
        subject: get("Subject"),
        attributes: attributes(query, prefix)?,
        group: get("MessageGroupId"),
        deduplication: get("MessageDeduplicationId"),
    };
    if message.subject.as_ref().is_some_and(|subject| subject.is_empty() || subject.chars().count() > 100) {
        return Err(invalid("Subject"));
    }
    if message.size() > MAX_MESSAGE {
        return Err(invalid("Message too long"));
    }
    if get("MessageStructure").as_deref() == Some("json") {
        let texts: BTreeMap<String, Value> = serde_json::from_str(&message.text)
            .map_err(|_| invalid("Message Structure - JSON message body failed to parse"))?;
        let texts = texts.into_iter().filter_map(|(protocol, text)| Some((protocol, text.as_str()?.to_owned())));
        message.by_protocol = texts.collect();
        let default = message.by_protocol.remove("default");
        message.text = default.ok_or_else(|| invalid("Message Structure - No default entry in JSON message body"))?;
    }
    Ok(message)
}

fn attributes(query: &Query, prefix: &str) -> Result<Vec<(String, String, String)>, ApiError> {
    let at = |index: usize, member: &str| query.get(&format!("{prefix}MessageAttributes.entry.{index}.{member}"));
    let one = |index: usize| {
        let name = at(index, "Name")?.to_owned();
        let kind = at(index, "Value.DataType").unwrap_or_default().to_owned();
        let value = at(index, "Value.StringValue").or_else(|| at(index, "Value.BinaryValue")).unwrap_or_default();
        Some((name, kind, value.to_owned()))
    };
    let all: Vec<_> = (1..).map_while(one).collect();
    for (name, kind, value) in &all {
        let known = ["String", "Number", "Binary"].contains(&kind.split('.').next().unwrap_or_default());
        if !known || value.is_empty() {
            return Err(ApiError::new(
                400,
                "ParameterValueInvalid",
                format!(
                    "The message attribute '{name}' must contain non-empty message attribute value and a supported type."
                ),
            ));
        }
    }
    Ok(all)
}

#[async_trait]
impl DeliveryTarget for Sns {
    fn service(&self) -> &'static str {
        "sns"
    }

    async fn deliver(&self, arn: &str, delivery: Delivery) -> Result<(), ApiError> {
        let Some((topic, None)) = TopicId::from_arn(arn) else { return Err(error::no_topic()) };
        if let Some((principal, need)) = delivery.need("sns:Publish", arn) {
            let policy = self.state.read(|state| {
                Ok::<_, ApiError>(state.topic(&topic)?.attributes.get("Policy").cloned().unwrap_or_default())
            })?;
            if !permits_service(&policy, principal, &need) {
                let source = delivery.by.as_ref().map_or("", |(_, source)| source);
                let message = format!("the topic's policy does not allow {principal} to publish messages of {source}");
                return Err(ApiError::new(403, "AuthorizationError", message));
            }
        }
        let message = Message {
            text: delivery.body,
            by_protocol: BTreeMap::new(),
            subject: delivery.subject,
            attributes: delivery.attributes,
            group: delivery.group,
            deduplication: delivery.deduplication,
        };
        self.publish(&topic, message).await.map(drop)
    }
}
