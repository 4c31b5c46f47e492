//! Queues themselves: create, find, list, delete, their attributes and tags.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::attributes::{self, COMPUTED};
use super::error;
use super::input::Input;
use super::operations::Answer;
use super::{Queue, QueueId, Sqs};
use crate::local::context::ACCOUNT;
use crate::local::context::clock::now_millis;
use crate::local::lock::lock;
use crate::local::protocol::wire::ApiError;

/// How many queues a page has (API reference, `ListQueues`).
const PAGE: usize = 1000;

impl Sqs {
    pub(super) fn create_queue(&self, region: &str, input: Input) -> Answer {
        let name = input.queue_name.ok_or_else(|| error::missing("QueueName"))?;
        let id = self.create(region, &name, input.attributes, input.tags)?;
        Ok(json!({ "QueueUrl": self.url(&id) }))
    }

    /// Creates a queue, or finds the one that is just so.
    pub(super) fn create(
        &self,
        region: &str,
        name: &str,
        attributes: BTreeMap<String, String>,
        tags: BTreeMap<String, String>,
    ) -> Result<QueueId, ApiError> {
        let id = QueueId::new(region, name);
        check_name(name, attributes.get("FifoQueue").is_some_and(|fifo| fifo == "true"))?;
        attributes::check(&id, &attributes)?;
        self.check_redrive(&id, &attributes)?;
        let now = now_millis();
        if self.is_taken(&id, now) {
            return Err(error::deleted_recently());
        }
        self.queues.change(|queues| {
            let of_region = queues.regions.entry(region.to_owned()).or_default();
            if let Some(there) = of_region.get(name) {
                let shown = there.shown();
                return match attributes.iter().find(|(name, value)| shown.get(*name) != Some(value)) {
                    Some((differs, _)) => Err(error::queue_exists(differs)),
                    None => Ok(()),
                };
            }
            of_region.insert(name.to_owned(), Queue { attributes, tags, created: now, modified: now });
            Ok(())
        })?;
        Ok(id)
    }

    pub(super) fn delete_queue(&self, region: &str, input: Input) -> Answer {
        let id = input.queue(region)?;
        self.delete(&id)?;
        Ok(json!({}))
    }

    pub(super) fn delete(&self, id: &QueueId) -> Result<(), ApiError> {
        self.queues.change(|queues| {
            let of_region = queues.regions.get_mut(&id.region);
            of_region.and_then(|queues| queues.remove(&id.name)).map(drop).ok_or_else(error::no_queue)
        })?;
        self.forget(id);
        lock(&self.deleted).insert(id.clone(), now_millis());
        Ok(())
    }

    /// Whether a queue of this name was deleted so lately that no other can have the name yet.
    fn is_taken(&self, id: &QueueId, now: i64) -> bool {
        let taken = i64::try_from(self.context.conditions.eventual.queue_name_taken.as_millis()).unwrap_or(i64::MAX);
        let mut deleted = lock(&self.deleted);
        deleted.retain(|_, at| now - *at < taken);
        deleted.contains_key(id)
    }

    pub(super) fn get_queue_url(&self, region: &str, input: Input) -> Answer {
        let name = input.queue_name.ok_or_else(|| error::missing("QueueName"))?;
        let is_own = input.queue_owner_aws_account_id.is_none_or(|account| account == ACCOUNT);
        let id = QueueId::new(region, &name);
        if !is_own || self.queues.read(|queues| queues.get(&id).is_none()) {
            return Err(error::no_queue());
        }
        Ok(json!({ "QueueUrl": self.url(&id) }))
    }

    pub(super) fn list_queues(&self, region: &str, input: Input) -> Answer {
        let prefix = input.queue_name_prefix.unwrap_or_default();
        let size = input.max_results.unwrap_or(PAGE).clamp(1, PAGE);
        let after = input.next_token.unwrap_or_default();
        let names: Vec<String> = self.queues.read(|queues| {
            let wanted = queues.of_region(region).map(|(name, _)| name);
            wanted.filter(|name| name.starts_with(&prefix) && name.as_str() > after.as_str()).cloned().collect()
        });
        let urls: Vec<String> = names.iter().take(size).map(|name| self.url(&QueueId::new(region, name))).collect();
        // SQS leaves an empty list out.
        let mut answer = if urls.is_empty() { json!({}) } else { json!({ "QueueUrls": urls }) };
        if names.len() > size && input.max_results.is_some() {
            answer["NextToken"] = names[size - 1].as_str().into();
        }
        Ok(answer)
    }

    pub(super) fn get_queue_attributes(&self, region: &str, input: Input) -> Answer {
        let id = input.queue(region)?;
        let names = input.attribute_names;
        let known = |name: &str| name == "All" || COMPUTED.contains(&name) || attributes::is_settable(name);
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            return Err(error::invalid_attribute(unknown));
        }
        let mut all = self.attributes_of(&id)?;
        let is_all = names.iter().any(|name| name == "All");
        all.retain(|name, _| is_all || names.contains(name));
        Ok(if all.is_empty() { json!({}) } else { json!({ "Attributes": all }) })
    }

    /// All attributes of a queue, those that SQS computes among them.
    pub(super) fn attributes_of(&self, id: &QueueId) -> Result<BTreeMap<String, String>, ApiError> {
        let (queue, live) = self.queue(id)?;
        let mut all = queue.shown();
        let now = now_millis();
        let (counts, expired) = {
            let mut messages = lock(&live.messages);
            let expired = messages.expire(queue.retention(), now);
            (messages.counts(now), expired)
        };
        if expired {
            self.touch(&live);
        }
        for (name, value) in [
            ("QueueArn", id.arn()),
            ("CreatedTimestamp", (queue.created / 1000).to_string()),
            ("LastModifiedTimestamp", (queue.modified / 1000).to_string()),
            ("ApproximateNumberOfMessages", counts.visible.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string()),
            ("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string()),
        ] {
            all.insert(name.to_owned(), value);
        }
        Ok(all)
    }

    pub(super) fn set_queue_attributes(&self, region: &str, input: Input) -> Answer {
        let id = input.queue(region)?;
        self.set(&id, input.attributes)?;
        Ok(json!({}))
    }

    /// Sets attributes; an empty one is taken away.
    pub(super) fn set(&self, id: &QueueId, attributes: BTreeMap<String, String>) -> Result<(), ApiError> {
        attributes::check(id, &attributes)?;
        self.check_redrive(id, &attributes)?;
        let is_fifo = id.is_fifo().to_string();
        if attributes.get("FifoQueue").is_some_and(|fifo| *fifo != is_fifo) {
            return Err(error::invalid_attribute("FifoQueue"));
        }
        self.change(id, |queue| {
            queue.attributes.extend(attributes);
            queue.attributes.retain(|_, value| !value.is_empty());
            queue.modified = now_millis();
        })
    }

    /// # Errors
    /// `InvalidParameterValue` for a dead-letter queue that is not there, or not of the same kind.
    pub(super) fn check_redrive(&self, id: &QueueId, attributes: &BTreeMap<String, String>) -> Result<(), ApiError> {
        let Some(policy) = attributes.get("RedrivePolicy") else { return Ok(()) };
        let Some((arn, _)) = attributes::redrive(policy) else { return Ok(()) };
        let target = QueueId::from_arn(&arn);
        let why = match target {
            Some(target) if self.queues.read(|queues| queues.get(&target).is_none()) => {
                "Dead letter target does not exist."
            }
            Some(target) if target.is_fifo() != id.is_fifo() => {
                "Dead-letter queue must be same type of queue as the source."
            }
            Some(_) => return Ok(()),
            None => "Dead-letter queue must be in the same account and region.",
        };
        Err(error::invalid(format!("Value {policy} for parameter RedrivePolicy is invalid. Reason: {why}")))
    }

    pub(super) fn tag_queue(&self, region: &str, input: Input) -> Answer {
        let id = input.queue(region)?;
        self.change(&id, |queue| queue.tags.extend(input.tags))?;
        Ok(json!({}))
    }

    pub(super) fn untag_queue(&self, region: &str, input: Input) -> Answer {
        let id = input.queue(region)?;
        self.change(&id, |queue| queue.tags.retain(|key, _| !input.tag_keys.contains(key)))?;
        Ok(json!({}))
    }

    pub(super) fn list_queue_tags(&self, region: &str, input: Input) -> Answer {
        let id = input.queue(region)?;
        let (queue, _) = self.queue(&id)?;
        Ok(if queue.tags.is_empty() { json!({}) } else { json!({ "Tags": queue.tags }) })
    }

    /// The queues whose dead letters come to this one.
    pub(super) fn list_dead_letter_source_queues(&self, region: &str, input: Input) -> Answer {
        let id = input.queue(region)?;
        self.queue(&id)?;
        let arn = id.arn();
        let urls: Vec<Value> = self.queues.read(|queues| {
            let sources = queues.of_region(region);
            let sources = sources.filter(|(_, queue)| queue.redrive().is_some_and(|(target, _)| target == arn));
            sources.map(|(name, _)| self.url(&QueueId::new(region, name)).into()).collect()
        });
        Ok(json!({ "queueUrls": urls }))
    }

    pub(super) fn purge_queue(&self, region: &str, input: Input) -> Answer {
        let id = input.queue(region)?;
        let (_, live) = self.queue(&id)?;
        lock(&live.messages).purge();
        self.touch(&live);
        Ok(json!({}))
    }

    pub(super) fn change(&self, id: &QueueId, change: impl FnOnce(&mut Queue)) -> Result<(), ApiError> {
        self.queues.change(|queues| {
            let queue = queues.regions.get_mut(&id.region).and_then(|queues| queues.get_mut(&id.name));
            queue.map(change).ok_or_else(error::no_queue)
        })
    }
}

fn check_name(name: &str, fifo: bool) -> Result<(), ApiError> {
    let stem = if fifo { name.strip_suffix(".fifo") } else { Some(name) };
    let Some(stem) = stem else {
        return Err(error::invalid(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end \
             with .fifo suffix and be 1 to 80 in length.",
        ));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if stem.is_empty() || name.len() > 80 || !stem.chars().all(plain) {
        return Err(error::invalid(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ));
    }
    Ok(())
}
