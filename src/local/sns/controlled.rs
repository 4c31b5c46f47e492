//! Topics, their policies and subscriptions as Cloud Control sees them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Sns, Subscription, TopicId, error, subscriptions};
use crate::local::context::ports::{ControlledResources, tags_of};
use crate::local::protocol::wire::ApiError;

const TOPIC: &str = "AWS::SNS::Topic";
const SUBSCRIPTION: &str = "AWS::SNS::Subscription";
const POLICY: &str = "AWS::SNS::TopicInlinePolicy";

/// A topic's properties that are attributes of the same name.
const OF_TOPIC: &[&str] = &[
    "ArchivePolicy",
    "ContentBasedDeduplication",
    "DataProtectionPolicy",
    "DisplayName",
    "FifoThroughputScope",
    "FifoTopic",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "SignatureVersion",
    "TracingConfig",
];

impl ControlledResources for Sns {
    fn types(&self) -> &'static [&'static str] {
        &[TOPIC, SUBSCRIPTION, POLICY]
    }

    fn create(&self, region: &str, type_name: &str, properties: &Value) -> Result<String, ApiError> {
        if type_name == SUBSCRIPTION {
            let topic = topic_of(&properties["TopicArn"])?;
            let subscription = subscription_of(properties, false);
            let id = self.subscribe(&topic, subscription)?;
            return Ok(topic.subscription(&id));
        }
        if type_name == POLICY {
            let topic = topic_of(&properties["TopicArn"])?;
            if self.state.read(|state| state.topic(&topic).map(|topic| topic.attributes.contains_key("Policy")))? {
                let message = format!("Resource of type '{POLICY}' with identifier '{}' already exists.", topic.arn());
                return Err(ApiError::new(400, "AlreadyExists", message));
            }
            self.set_policy(&topic, &properties["PolicyDocument"])?;
            return Ok(topic.arn());
        }
        let id = TopicId::new(region, properties["TopicName"].as_str().unwrap_or_default());
        if self.state.read(|state| state.topic(&id).is_ok()) {
            let message = format!("Resource of type '{TOPIC}' with identifier '{}' already exists.", id.arn());
            return Err(ApiError::new(400, "AlreadyExists", message));
        }
        super::Sns::create(self, &id, attributes_of(properties, OF_TOPIC), tags_of(properties))?;
        for one in properties["Subscription"].as_array().into_iter().flatten() {
            self.subscribe(&id, subscription_of(one, true))?;
        }
        Ok(id.arn())
    }

    fn read(&self, _region: &str, type_name: &str, identifier: &str) -> Option<Value> {
        let (id, subscription) = TopicId::from_arn(identifier)?;
        self.state.read(|state| {
            let topic = state.topic(&id).ok()?;
            if type_name == SUBSCRIPTION {
                let found = topic.subscriptions.get(subscription?)?;
                let mut properties = typed(&found.attributes);
                properties.insert("Arn".to_owned(), identifier.into());
                properties.insert("TopicArn".to_owned(), id.arn().into());
                properties.insert("Protocol".to_owned(), found.protocol.as_str().into());
                properties.insert("Endpoint".to_owned(), found.endpoint.as_str().into());
                return Some(properties.into());
            }
            if subscription.is_some() {
                return None;
            }
            if type_name == POLICY {
                let document: Value = serde_json::from_str(topic.attributes.get("Policy")?).ok()?;
                return Some(json!({ "TopicArn": id.arn(), "PolicyDocument": document }));
            }
            let mut properties = typed(&topic.attributes);
            properties.retain(|name, _| OF_TOPIC.contains(&name.as_str()));
            properties.insert("TopicArn".to_owned(), id.arn().into());
            properties.insert("TopicName".to_owned(), id.name.as_str().into());
            let inline: Vec<Value> = topic
                .subscriptions
                .values()
                .filter(|one| one.is_inline)
                .map(|one| json!({ "Protocol": one.protocol, "Endpoint": one.endpoint }))
                .collect();
            if !inline.is_empty() {
                properties.insert("Subscription".to_owned(), inline.into());
            }
            if !topic.tags.is_empty() {
                let tags = topic.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
                properties.insert("Tags".to_owned(), tags.collect());
            }
            Some(properties.into())
        })
    }

    fn update(&self, _region: &str, type_name: &str, identifier: &str, properties: &Value) -> Result<(), ApiError> {
        let (id, subscription) = TopicId::from_arn(identifier).ok_or_else(error::no_topic)?;
        if type_name == SUBSCRIPTION {
            let subscription = subscription.ok_or_else(error::no_subscription)?;
            let mut wanted = attributes_of(properties, subscriptions::SETTABLE);
            // What is not wanted any more is taken away.
            for name in subscriptions::SETTABLE {
                wanted.entry((*name).to_owned()).or_default();
            }
            return self.set(&id, subscription, wanted);
        }
        if type_name == POLICY {
            return self.set_policy(&id, &properties["PolicyDocument"]);
        }
        let attributes = attributes_of(properties, OF_TOPIC);
        super::topics::check(&attributes)?;
        let inline: Vec<Subscription> =
            properties["Subscription"].as_array().into_iter().flatten().map(|one| subscription_of(one, true)).collect();
        self.state.change(|state| {
            let topic = state.topic_mut(&id)?;
            topic.attributes.retain(|name, _| !OF_TOPIC.contains(&name.as_str()));
            topic.attributes.extend(attributes);
            topic.tags = tags_of(properties);
            let stays = |one: &Subscription| {
                !one.is_inline
                    || inline
                        .iter()
                        .any(|wanted| (&wanted.protocol, &wanted.endpoint) == (&one.protocol, &one.endpoint))
            };
            topic.subscriptions.retain(|_, one| stays(one));
            Ok(())
        })?;
        for one in inline {
            self.subscribe(&id, one)?;
        }
        Ok(())
    }

    fn delete(&self, _region: &str, type_name: &str, identifier: &str) -> Result<(), ApiError> {
        match TopicId::from_arn(identifier) {
            Some((topic, Some(id))) if type_name == SUBSCRIPTION => self.unsubscribe_from(&topic, id),
            Some((topic, None)) if type_name == POLICY => self.set_policy(&topic, &Value::Null),
            Some((topic, None)) => super::Sns::delete(self, &topic),
            _ => Err(error::no_topic()),
        }
    }

    fn list(&self, region: &str, type_name: &str) -> Vec<String> {
        self.state.read(|state| {
            let topics = state.of_region(region);
            if type_name != SUBSCRIPTION {
                let wanted = topics.filter(|(_, topic)| type_name == TOPIC || topic.attributes.contains_key("Policy"));
                return wanted.map(|(id, _)| id.arn()).collect();
            }
            topics
                .flat_map(|(id, topic)| topic.subscriptions.keys().map(|one| id.subscription(one)).collect::<Vec<_>>())
                .collect()
        })
    }
}

impl Sns {
    /// Gives a topic a policy; null gives it the one back that it began with.
    fn set_policy(&self, id: &TopicId, document: &Value) -> Result<(), ApiError> {
        let text = match document {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            document => Some(document.to_string()),
        };
        self.state.change(|state| {
            let attributes = &mut state.topic_mut(id)?.attributes;
            match text {
                Some(text) => attributes.insert("Policy".to_owned(), text),
                None => attributes.remove("Policy"),
            };
            Ok(())
        })
    }
}

fn topic_of(arn: &Value) -> Result<TopicId, ApiError> {
    match TopicId::from_arn(arn.as_str().unwrap_or_default()) {
        Some((id, None)) => Ok(id),
        _ => Err(error::invalid("TopicArn")),
    }
}

fn subscription_of(properties: &Value, is_inline: bool) -> Subscription {
    let text = |name: &str| properties[name].as_str().unwrap_or_default().to_owned();
    Subscription {
        protocol: text("Protocol"),
        endpoint: text("Endpoint"),
        attributes: attributes_of(properties, subscriptions::SETTABLE),
        is_inline,
    }
}

/// Attributes in CloudFormation's properties.
fn attributes_of(properties: &Value, names: &[&str]) -> BTreeMap<String, String> {
    let given = properties.as_object().into_iter().flatten();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    given
        .filter(|(name, value)| names.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

/// Attributes as CloudFormation's properties: truths, documents, texts.
fn typed(attributes: &BTreeMap<String, String>) -> Map<String, Value> {
    let value = |name: &str, text: &str| match name {
        "ContentBasedDeduplication" | "FifoTopic" | "RawMessageDelivery" => (text == "true").into(),
        "ArchivePolicy"
        | "DataProtectionPolicy"
        | "DeliveryPolicy"
        | "FilterPolicy"
        | "RedrivePolicy"
        | "ReplayPolicy" => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        "MaximumMessageSize" => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        _ => text.into(),
    };
    attributes.iter().map(|(name, text)| (name.clone(), value(name, text))).collect()
}
