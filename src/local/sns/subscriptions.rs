//! Subscriptions: subscribe, read, change, list, unsubscribe.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::error::{self, invalid};
use super::operations::Answer;
use super::topics::{entries, map, page, topic_of};
use super::{Sns, Subscription, Topic, TopicId};
use crate::core::events::pattern::EventPattern;
use crate::local::context::ACCOUNT;
use crate::local::protocol::query::{Query, Xml};
use crate::local::protocol::wire::ApiError;

/// What a subscription is called before it is confirmed.
const PENDING: &str = "PendingConfirmation";

const PROTOCOLS: &[&str] = &["application", "email", "email-json", "firehose", "http", "https", "lambda", "sms", "sqs"];

/// The attributes that callers can set (API reference, `SetSubscriptionAttributes`).
pub(super) const SETTABLE: &[&str] = &[
    "DeliveryPolicy",
    "FilterPolicy",
    "FilterPolicyScope",
    "RawMessageDelivery",
    "RedrivePolicy",
    "ReplayPolicy",
    "SubscriptionRoleArn",
];

impl Sns {
    pub(super) fn subscribe_operation(&self, query: &Query) -> Answer {
        let topic = topic_of(query)?;
        let subscription = Subscription {
            protocol: query.get("Protocol").unwrap_or_default().to_owned(),
            endpoint: query.get("Endpoint").unwrap_or_default().to_owned(),
            attributes: entries(query, "Attributes", "key", "value").into_iter().collect(),
            is_inline: false,
        };
        let is_confirmed = subscription.is_confirmed();
        let id = self.subscribe(&topic, subscription)?;
        let shows_arn = is_confirmed || query.get("ReturnSubscriptionArn") == Some("true");
        let arn = if shows_arn { topic.subscription(&id) } else { "pending confirmation".to_owned() };
        Ok(Xml::new().text("SubscriptionArn", arn))
    }

    /// Subscribes an endpoint to a topic, or finds its subscription. Gives the last part of its ARN.
    pub(super) fn subscribe(&self, topic: &TopicId, subscription: Subscription) -> Result<String, ApiError> {
        if !PROTOCOLS.contains(&subscription.protocol.as_str()) {
            let known = PROTOCOLS.join(", ");
            return Err(invalid(format!(
                "Amazon SNS does not support this protocol string: {} (it supports {known})",
                subscription.protocol
            )));
        }
        let service = subscription.endpoint.split(':').nth(2);
        if subscription.is_confirmed() && service != Some(subscription.protocol.as_str()) {
            return Err(invalid(format!("{} endpoint ARN", subscription.protocol.to_uppercase())));
        }
        check(&subscription.attributes)?;
        if !subscription.is_confirmed() {
            tracing::warn!(
                "the subscription of {} to {} waits for a confirmation for ever: the local cloud delivers to functions and \
                 queues alone",
                subscription.endpoint,
                topic.arn()
            );
        }
        self.state.change(|state| {
            let subscriptions = &mut state.topic_mut(topic)?.subscriptions;
            let same = |there: &Subscription| {
                (&there.protocol, &there.endpoint) == (&subscription.protocol, &subscription.endpoint)
            };
            if let Some((id, there)) = subscriptions.iter().find(|(_, there)| same(there)) {
                if there.attributes != subscription.attributes && !subscription.attributes.is_empty() {
                    return Err(invalid("Attributes Reason: Subscription already exists with different attributes"));
                }
                return Ok(id.clone());
            }
            let id = Uuid::new_v4().to_string();
            subscriptions.insert(id.clone(), subscription);
            Ok(id)
        })
    }

    pub(super) fn unsubscribe(&self, query: &Query) -> Answer {
        let (topic, id) = subscription_of(query)?;
        self.unsubscribe_from(&topic, &id)?;
        Ok(Xml::new())
    }

    /// Ends a subscription, if it is there.
    pub(super) fn unsubscribe_from(&self, topic: &TopicId, id: &str) -> Result<(), ApiError> {
        self.state.change(|state| {
            if let Ok(topic) = state.topic_mut(topic) {
                topic.subscriptions.remove(id);
            }
            Ok(())
        })
    }

    pub(super) fn get_subscription_attributes(&self, query: &Query) -> Answer {
        let (topic, id) = subscription_of(query)?;
        let found = self.state.read(|state| state.topic(&topic).ok()?.subscriptions.get(&id).cloned());
        let subscription = found.ok_or_else(error::no_subscription)?;
        let mut all: BTreeMap<String, String> = [
            ("SubscriptionArn", topic.subscription(&id)),
            ("TopicArn", topic.arn()),
            ("Protocol", subscription.protocol.clone()),
            ("Endpoint", subscription.endpoint.clone()),
            ("Owner", ACCOUNT.to_owned()),
            ("ConfirmationWasAuthenticated", "true".to_owned()),
            ("PendingConfirmation", (!subscription.is_confirmed()).to_string()),
            ("RawMessageDelivery", "false".to_owned()),
            ("SubscriptionPrincipal", format!("arn:aws:iam::{ACCOUNT}:root")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if subscription.attributes.contains_key("FilterPolicy") {
            all.insert("FilterPolicyScope".to_owned(), "MessageAttributes".to_owned());
        }
        all.extend(subscription.attributes);
        Ok(Xml::new().element("Attributes", map(all)))
    }

    pub(super) fn set_subscription_attributes(&self, query: &Query) -> Answer {
        let (topic, id) = subscription_of(query)?;
        let name = query.get("AttributeName").ok_or_else(|| invalid("AttributeName"))?;
        let value = query.get("AttributeValue").unwrap_or_default();
        self.set(&topic, &id, BTreeMap::from([(name.to_owned(), value.to_owned())]))?;
        Ok(Xml::new())
    }

    /// Sets attributes of a subscription; an empty one is taken away.
    pub(super) fn set(&self, topic: &TopicId, id: &str, attributes: BTreeMap<String, String>) -> Result<(), ApiError> {
        check(&attributes)?;
        self.state.change(|state| {
            let found = state.topic_mut(topic).ok().and_then(|topic| topic.subscriptions.get_mut(id));
            let all = &mut found.ok_or_else(error::no_subscription)?.attributes;
            all.extend(attributes);
            all.retain(|_, value| !value.is_empty() && value != "{}");
            Ok(())
        })
    }

    pub(super) fn list_subscriptions(&self, query: &Query) -> Answer {
        let all = self.state.read(|state| -> Vec<Xml> {
            state.of_region(&query.caller.region).flat_map(|(id, topic)| described(&id, topic)).collect()
        });
        let (page, next) = page(query, all)?;
        Ok(Xml::new().list("Subscriptions", page).optional("NextToken", next))
    }

    pub(super) fn list_subscriptions_by_topic(&self, query: &Query) -> Answer {
        let id = topic_of(query)?;
        let all = self.state.read(|state| Ok::<_, ApiError>(described(&id, state.topic(&id)?)))?;
        let (page, next) = page(query, all)?;
        Ok(Xml::new().list("Subscriptions", page).optional("NextToken", next))
    }
}

fn described(topic: &TopicId, of: &Topic) -> Vec<Xml> {
    let one = |(id, subscription): (&String, &Subscription)| {
        let arn = if subscription.is_confirmed() { topic.subscription(id) } else { PENDING.to_owned() };
        Xml::new()
            .text("SubscriptionArn", arn)
            .text("Owner", ACCOUNT)
            .text("Protocol", &subscription.protocol)
            .text("Endpoint", &subscription.endpoint)
            .text("TopicArn", topic.arn())
    };
    of.subscriptions.iter().map(one).collect()
}

/// # Errors
/// `InvalidParameter` for the first attribute that is none, or has a value that it cannot have.
fn check(attributes: &BTreeMap<String, String>) -> Result<(), ApiError> {
    for (name, value) in attributes {
        if !SETTABLE.contains(&name.as_str()) {
            return Err(invalid("AttributeName"));
        }
        let is_wrong = match name.as_str() {
            "RawMessageDelivery" => !["true", "false", ""].contains(&value.as_str()),
            "FilterPolicyScope" => !["MessageAttributes", "MessageBody", ""].contains(&value.as_str()),
            _ => false,
        };
        if is_wrong {
            return Err(invalid(format!("Attributes Reason: {name}: Invalid value [{value}].")));
        }
        if name == "FilterPolicy"
            && !["", "{}"].contains(&value.as_str())
            && let Err(why) = EventPattern::read(value)
        {
            return Err(invalid(format!("FilterPolicy: {why}")));
        }
        if name == "RedrivePolicy" && !value.is_empty() && serde_json::from_str::<Value>(value).is_err() {
            return Err(invalid("RedrivePolicy: failed to parse JSON."));
        }
    }
    Ok(())
}

/// The topic and the id of the subscription that a call names.
fn subscription_of(query: &Query) -> Result<(TopicId, String), ApiError> {
    match TopicId::from_arn(query.get("SubscriptionArn").unwrap_or_default()) {
        Some((topic, Some(id))) => Ok((topic, id.to_owned())),
        _ => Err(invalid("SubscriptionArn Reason: An ARN must have at least 6 elements, not 1")),
    }
}
