//! Amazon SNS: topics, subscriptions of functions and queues, and what is published.
//!
//! ```text
//! operations (table) --> topics, subscriptions --> state;  publish --> filters --> Functions (asynchronously), DeliveryTarget
//! ```
//!
//! Subscriptions of other protocols (email, HTTP, SMS) are kept, wait for a confirmation that never comes, and get nothing.

mod controlled;
mod error;
mod operations;
mod publish;
mod required_permissions;
mod subscriptions;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::context::{ACCOUNT, CloudContext};
use crate::local::context::ports::{DeliveryTarget, Functions, Tagged, TaggedResources};
use crate::local::context::store::PersistedState;
use crate::local::protocol::wire::ApiError;

/// The name of its file.
const FILE: &str = "sns";

/// SNS.
pub struct Sns {
    state: PersistedState<State>,
    functions: Arc<dyn Functions>,
    queues: Arc<dyn DeliveryTarget>,
    seen: Mutex<Seen>,
}

/// When a message with a deduplication id came, in milliseconds since the epoch, by the ARN of its topic. It is not saved: only queues
/// subscribe to these topics, and theirs are.
type Seen = HashMap<String, BTreeMap<String, i64>>;

/// The topics of all regions, by region and name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    regions: BTreeMap<String, BTreeMap<String, Topic>>,
}

/// One topic.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Topic {
    /// The attributes that callers have set.
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    /// By the last part of their ARN.
    pub subscriptions: BTreeMap<String, Subscription>,
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    pub protocol: String,
    pub endpoint: String,
    pub attributes: BTreeMap<String, String>,
    /// Whether the template gives it inside of its topic.
    #[serde(default)]
    pub is_inline: bool,
}

impl Subscription {
    /// Whether it gets what is published: others wait for their confirmation.
    pub fn is_confirmed(&self) -> bool {
        ["lambda", "sqs"].contains(&self.protocol.as_str())
    }
}

/// A topic's region and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicId {
    pub region: String,
    pub name: String,
}

impl TopicId {
    pub fn new(region: &str, name: &str) -> Self {
        Self { region: region.to_owned(), name: name.to_owned() }
    }

    /// The topic with an ARN, or the topic of a subscription with an ARN, and that subscription's id.
    pub fn from_arn(arn: &str) -> Option<(Self, Option<&str>)> {
        let parts: Vec<&str> = arn.strip_prefix("arn:")?.split(':').collect();
        match parts[..] {
            [_, "sns", region, account, name] if account == ACCOUNT => Some((Self::new(region, name), None)),
            [_, "sns", region, account, name, id] if account == ACCOUNT => Some((Self::new(region, name), Some(id))),
            _ => None,
        }
    }

    pub fn arn(&self) -> String {
        CloudContext::arn("sns", &self.region, &self.name)
    }

    pub fn subscription(&self, id: &str) -> String {
        format!("{}:{id}", self.arn())
    }

    pub fn is_fifo(&self) -> bool {
        self.name.ends_with(".fifo")
    }
}

impl State {
    /// # Errors
    /// `NotFound` for an unknown topic.
    pub fn topic(&self, id: &TopicId) -> Result<&Topic, ApiError> {
        self.regions.get(&id.region).and_then(|topics| topics.get(&id.name)).ok_or_else(error::no_topic)
    }

    /// # Errors
    /// `NotFound` for an unknown topic.
    pub fn topic_mut(&mut self, id: &TopicId) -> Result<&mut Topic, ApiError> {
        self.regions.get_mut(&id.region).and_then(|topics| topics.get_mut(&id.name)).ok_or_else(error::no_topic)
    }

    /// The topics of a region, by name.
    pub fn of_region(&self, region: &str) -> impl Iterator<Item = (TopicId, &Topic)> {
        let topics = self.regions.get(region).into_iter().flatten();
        topics.map(move |(name, topic)| (TopicId::new(region, name), topic))
    }
}

impl Sns {
    /// Opens the service with its persisted topics.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn open(
        context: &CloudContext,
        functions: Arc<dyn Functions>,
        queues: Arc<dyn DeliveryTarget>,
    ) -> io::Result<Arc<Self>> {
        let state = PersistedState::open(context.store.clone(), FILE, error::unsaved)?;
        Ok(Arc::new(Self { state, functions, queues, seen: Mutex::default() }))
    }
}

impl TaggedResources for Sns {
    fn tagged(&self, region: &str) -> Result<Vec<Tagged>, ApiError> {
        let tagged = |(id, topic): (TopicId, &Topic)| Tagged {
            // The Tagging API calls topics by their service alone.
            type_name: "sns".to_owned(),
            arn: id.arn(),
            tags: topic.tags.clone(),
        };
        Ok(self.state.read(|state| state.of_region(region).map(tagged).collect()))
    }

    fn retag(&self, arn: &str, set: &BTreeMap<String, String>, removed: &[String]) -> Result<bool, ApiError> {
        let Some((id, None)) = TopicId::from_arn(arn) else { return Ok(false) };
        self.state.change(|state| {
            let topic = state.topic_mut(&id)?;
            topic.tags.extend(set.clone());
            topic.tags.retain(|key, _| !removed.contains(key));
            Ok(true)
        })
    }
}
