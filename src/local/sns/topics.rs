//! Topics: create, read, change, list, delete, their tags.

use std::collections::BTreeMap;

use super::error::{self, invalid};
use super::operations::Answer;
use super::{Sns, Topic, TopicId};
use crate::local::context::ACCOUNT;
use crate::local::lock::lock;
use crate::local::protocol::paging;
use crate::local::protocol::query::{Query, Xml};
use crate::local::protocol::wire::ApiError;

/// How many items a page has (API reference, `ListTopics`, `ListSubscriptions`).
pub const PAGE: usize = 100;

/// The attributes that callers can set (API reference, `SetTopicAttributes`, `CreateTopic`).
const SETTABLE: &[&str] = &[
    "ArchivePolicy",
    "ContentBasedDeduplication",
    "DataProtectionPolicy",
    "DeliveryPolicy",
    "DisplayName",
    "FifoThroughputScope",
    "FifoTopic",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "Policy",
    "SignatureVersion",
    "TracingConfig",
];

/// Those of delivery status logging: `LambdaSuccessFeedbackRoleArn`.
const FEEDBACK: &[&str] = &["FeedbackRoleArn", "FeedbackSampleRate"];

impl Sns {
    pub(super) fn create_topic(&self, query: &Query) -> Answer {
        let name = query.get("Name").ok_or_else(|| invalid("Topic Name"))?;
        let id = TopicId::new(&query.caller.region, name);
        let attributes = entries(query, "Attributes", "key", "value").into_iter().collect();
        self.create(&id, attributes, query.tags("Tags").into_iter().collect())?;
        Ok(Xml::new().text("TopicArn", id.arn()))
    }

    /// Creates a topic, or finds the one that is just so.
    pub(super) fn create(
        &self,
        id: &TopicId,
        attributes: BTreeMap<String, String>,
        tags: BTreeMap<String, String>,
    ) -> Result<(), ApiError> {
        let stem = id.name.strip_suffix(".fifo").unwrap_or(&id.name);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if stem.is_empty() || id.name.len() > 256 || !stem.chars().all(plain) {
            return Err(invalid("Topic Name"));
        }
        let is_fifo = attributes.get("FifoTopic").is_some_and(|fifo| fifo == "true");
        if is_fifo != id.is_fifo() {
            return Err(invalid(
                "Fifo Topic names must end with .fifo and must be made up of only uppercase and lowercase ASCII letters, \
                 numbers, underscores, and hyphens, and must be between 1 and 256 characters long.",
            ));
        }
        check(&attributes)?;
        self.state.change(|state| {
            let topics = state.regions.entry(id.region.clone()).or_default();
            if let Some(there) = topics.get(&id.name) {
                let differs = attributes.iter().any(|(name, value)| there.attributes.get(name) != Some(value));
                if differs {
                    return Err(invalid("Attributes Reason: Topic already exists with different attributes"));
                }
                if !tags.is_empty() && tags != there.tags {
                    return Err(invalid("Tags Reason: Topic already exists with different tags"));
                }
                return Ok(());
            }
            topics.insert(id.name.clone(), Topic { attributes, tags, ..Topic::default() });
            Ok(())
        })
    }

    pub(super) fn delete_topic(&self, query: &Query) -> Answer {
        let id = topic_of(query)?;
        // One that is gone is no error.
        self.delete(&id)?;
        Ok(Xml::new())
    }

    /// Deletes a topic and its subscriptions, if it is there.
    pub(super) fn delete(&self, id: &TopicId) -> Result<(), ApiError> {
        self.state.change(|state| {
            if let Some(topics) = state.regions.get_mut(&id.region) {
                topics.remove(&id.name);
            }
            Ok(())
        })?;
        lock(&self.seen).remove(&id.arn());
        Ok(())
    }

    pub(super) fn get_topic_attributes(&self, query: &Query) -> Answer {
        let id = topic_of(query)?;
        let attributes = self.state.read(|state| Ok::<_, ApiError>(attributes(&id, state.topic(&id)?)))?;
        Ok(Xml::new().element("Attributes", map(attributes)))
    }

    pub(super) fn set_topic_attributes(&self, query: &Query) -> Answer {
        let id = topic_of(query)?;
        let name = query.get("AttributeName").ok_or_else(|| invalid("AttributeName"))?;
        let value = query.get("AttributeValue").unwrap_or_default();
        if name == "FifoTopic" {
            return Err(invalid("AttributeName"));
        }
        check(&BTreeMap::from([(name.to_owned(), value.to_owned())]))?;
        self.state.change(|state| {
            let attributes = &mut state.topic_mut(&id)?.attributes;
            if value.is_empty() {
                attributes.remove(name);
            } else {
                attributes.insert(name.to_owned(), value.to_owned());
            }
            Ok(Xml::new())
        })
    }

    pub(super) fn list_topics(&self, query: &Query) -> Answer {
        let arns = self
            .state
            .read(|state| -> Vec<String> { state.of_region(&query.caller.region).map(|(id, _)| id.arn()).collect() });
        let (page, next) = page(query, arns)?;
        let items = page.into_iter().map(|arn| Xml::new().text("TopicArn", arn));
        Ok(Xml::new().list("Topics", items).optional("NextToken", next))
    }

    pub(super) fn tag_resource(&self, query: &Query) -> Answer {
        let id = resource_of(query)?;
        self.state.change(|state| {
            let topic = state.topic_mut(&id).map_err(|_| error::no_resource())?;
            topic.tags.extend(query.tags("Tags"));
            Ok(Xml::new())
        })
    }

    pub(super) fn untag_resource(&self, query: &Query) -> Answer {
        let id = resource_of(query)?;
        let keys = query.list("TagKeys");
        self.state.change(|state| {
            let topic = state.topic_mut(&id).map_err(|_| error::no_resource())?;
            topic.tags.retain(|key, _| !keys.contains(&key.as_str()));
            Ok(Xml::new())
        })
    }

    pub(super) fn list_tags_for_resource(&self, query: &Query) -> Answer {
        let id = resource_of(query)?;
        self.state.read(|state| {
            let topic = state.topic(&id).map_err(|_| error::no_resource())?;
            let tags = topic.tags.iter().map(|(key, value)| Xml::new().text("Key", key).text("Value", value));
            Ok(Xml::new().list("Tags", tags))
        })
    }
}

/// A topic's attributes as SNS shows them.
fn attributes(id: &TopicId, topic: &Topic) -> BTreeMap<String, String> {
    let confirmed = topic.subscriptions.values().filter(|one| one.is_confirmed()).count();
    let mut all: BTreeMap<String, String> = [
        ("TopicArn", id.arn()),
        ("Owner", ACCOUNT.to_owned()),
        ("DisplayName", String::new()),
        ("SubscriptionsConfirmed", confirmed.to_string()),
        ("SubscriptionsPending", (topic.subscriptions.len() - confirmed).to_string()),
        ("SubscriptionsDeleted", "0".to_owned()),
        ("Policy", default_policy(id)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if id.is_fifo() {
        all.insert("ContentBasedDeduplication".to_owned(), "false".to_owned());
    }
    all.extend(topic.attributes.clone());
    all
}

/// The policy that every topic begins with: its account may do everything with it.
fn default_policy(id: &TopicId) -> String {
    let actions = [
        "GetTopicAttributes",
        "SetTopicAttributes",
        "AddPermission",
        "RemovePermission",
        "DeleteTopic",
        "Subscribe",
        "ListSubscriptionsByTopic",
        "Publish",
    ];
    serde_json::json!({
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [{
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": { "AWS": "*" },
            "Action": actions.map(|action| format!("SNS:{action}")),
            "Resource": id.arn(),
            "Condition": { "StringEquals": { "AWS:SourceOwner": ACCOUNT } },
        }],
    })
    .to_string()
}

/// # Errors
/// `InvalidParameter` for the first attribute that is none.
pub fn check(attributes: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let is_known =
        |name: &&String| SETTABLE.contains(&name.as_str()) || FEEDBACK.iter().any(|ending| name.ends_with(ending));
    match attributes.keys().find(|name| !is_known(name)) {
        Some(unknown) => Err(invalid(format!("Attributes Reason: Unknown attribute {unknown}"))),
        None => Ok(()),
    }
}

/// The topic that a call names.
///
/// # Errors
/// `InvalidParameter` for what is no ARN of a topic.
pub fn topic_of(query: &Query) -> Result<TopicId, ApiError> {
    let arn = query.get("TopicArn").unwrap_or_default();
    match TopicId::from_arn(arn) {
        Some((id, None)) if id.region == query.caller.region => Ok(id),
        _ => Err(invalid("TopicArn")),
    }
}

fn resource_of(query: &Query) -> Result<TopicId, ApiError> {
    match TopicId::from_arn(query.get("ResourceArn").unwrap_or_default()) {
        Some((id, None)) => Ok(id),
        _ => Err(error::no_resource()),
    }
}

/// A map in a request: `NAME.entry.1.key`, `NAME.entry.1.value`, …
pub fn entries(query: &Query, name: &str, key: &str, value: &str) -> Vec<(String, String)> {
    let one = |index: usize| {
        let key = query.get(&format!("{name}.entry.{index}.{key}"))?;
        let value = query.get(&format!("{name}.entry.{index}.{value}")).unwrap_or_default();
        Some((key.to_owned(), value.to_owned()))
    };
    (1..).map_while(one).collect()
}

/// A map in an answer.
pub fn map(entries: BTreeMap<String, String>) -> Xml {
    let entry = |xml: Xml, (key, value): (String, String)| {
        xml.element("entry", Xml::new().text("key", key).text("value", value))
    };
    entries.into_iter().fold(Xml::new(), entry)
}

/// A page of a list, and the token of the next one.
///
/// # Errors
/// `InvalidParameter` for a token that it did not give.
pub fn page<T>(query: &Query, all: Vec<T>) -> Result<(Vec<T>, Option<String>), ApiError> {
    let token = query.get("NextToken").filter(|token| !token.is_empty());
    paging::page(all, token, PAGE).ok_or_else(|| invalid("NextToken"))
}
