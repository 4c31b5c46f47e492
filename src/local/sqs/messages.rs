//! Messages: send, receive, delete, change their visibility.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use super::error;
use super::input::{Entry, Input};
use super::message::{Attribute, Message, md5_of, md5_of_attributes};
use super::operations::Answer;
use super::queue::{Received, Receiving};
use super::{LiveQueue, Queue, QueueId, Sqs};
use crate::local::context::clock::now_millis;
use crate::local::lock::lock;
use crate::local::protocol::wire::{ApiError, Caller};

/// The largest batch, in bytes, all messages together (SQS quotas).
const MAX_BATCH: usize = 1_048_576;

/// How many entries a batch has, and how many messages a receive gives.
const MOST: usize = 10;

/// A message as a caller sends it.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    pub body: String,
    pub attributes: BTreeMap<String, Attribute>,
    pub trace: Option<String>,
    pub delay: Option<i64>,
    pub group: Option<String>,
    pub deduplication: Option<String>,
    pub sender: String,
}

impl Draft {
    /// # Errors
    /// For a message without a body.
    fn of(said: Entry, sender: String) -> Result<Self, ApiError> {
        Ok(Self {
            body: said.message_body.ok_or_else(|| error::missing("MessageBody"))?,
            attributes: said.message_attributes,
            trace: trace(&said.message_system_attributes),
            delay: said.delay_seconds,
            group: said.message_group_id,
            deduplication: said.message_deduplication_id,
            sender,
        })
    }
}

/// A message as it was taken.
pub struct Sent {
    pub id: String,
    pub sequence: Option<String>,
}

impl Sqs {
    /// The id of a caller that sends.
    fn sender(&self, caller: &Caller) -> String {
        self.roles.principal(caller.access_key.as_deref()).user_id
    }

    pub(super) fn send_message(&self, caller: &Caller, input: Input) -> Answer {
        let id = input.queue(&caller.region)?;
        self.sent(&id, Draft::of(input.message, self.sender(caller))?)
    }

    fn sent(&self, id: &QueueId, draft: Draft) -> Answer {
        let mut answer = json!({ "MD5OfMessageBody": md5_of(draft.body.as_bytes()) });
        if !draft.attributes.is_empty() {
            answer["MD5OfMessageAttributes"] = md5_of_attributes(&draft.attributes).into();
        }
        if let Some(trace) = &draft.trace {
            let attribute =
                Attribute { data_type: "String".to_owned(), string_value: Some(trace.clone()), binary_value: None };
            let one = BTreeMap::from([("AWSTraceHeader".to_owned(), attribute)]);
            answer["MD5OfMessageSystemAttributes"] = md5_of_attributes(&one).into();
        }
        let sent = self.send(id, draft)?;
        answer["MessageId"] = sent.id.into();
        if let Some(sequence) = sent.sequence {
            answer["SequenceNumber"] = sequence.into();
        }
        Ok(answer)
    }

    /// Puts a message into a queue.
    ///
    /// # Errors
    /// SQS's refusal.
    pub(super) fn send(&self, id: &QueueId, draft: Draft) -> Result<Sent, ApiError> {
        let (queue, live) = self.queue(id)?;
        let now = now_millis();
        check(&draft)?;
        if draft.delay.is_some_and(|delay| !(0..=900).contains(&delay)) {
            return Err(error::invalid(format!(
                "Value {} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
                draft.delay.unwrap_or_default()
            )));
        }
        let is_fifo = id.is_fifo();
        if is_fifo && draft.delay.is_some_and(|delay| delay > 0) {
            return Err(error::invalid(format!(
                "Value {} for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for \
                 this queue type.",
                draft.delay.unwrap_or_default()
            )));
        }
        if is_fifo && draft.group.is_none() {
            return Err(error::missing("MessageGroupId"));
        }
        if !is_fifo && draft.deduplication.is_some() {
            return Err(error::invalid(
                "The request includes a parameter that is not valid for this queue type: MessageDeduplicationId",
            ));
        }
        let deduplication = match (&draft.deduplication, is_fifo) {
            (Some(given), _) => Some(given.clone()),
            (None, true) if queue.flag("ContentBasedDeduplication") => {
                Some(hex::encode(Sha256::digest(draft.body.as_bytes())))
            }
            (None, true) => {
                return Err(error::invalid(
                    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided \
                     explicitly",
                ));
            }
            (None, false) => None,
        };
        let by_group = queue.attributes.get("DeduplicationScope").is_some_and(|scope| scope == "messageGroup");
        let scope = deduplication.as_ref().map(|deduplication| match (&draft.group, by_group) {
            (Some(group), true) => format!("{group}\n{deduplication}"),
            _ => deduplication.clone(),
        });
        let delay = draft.delay.unwrap_or_else(|| queue.number("DelaySeconds"));
        let message = Message {
            id: Uuid::new_v4().to_string(),
            body: draft.body,
            attributes: draft.attributes,
            trace: draft.trace,
            sender: draft.sender,
            sent: now,
            visible: now + delay * 1000,
            received: 0,
            first_received: None,
            handle: None,
            group: draft.group,
            deduplication,
            sequence: None,
            dead_letter_of: None,
        };
        let most = queue.number("MaximumMessageSize");
        if i64::try_from(message.size()).unwrap_or(i64::MAX) > most {
            return Err(error::invalid(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
            )));
        }
        let (id, sequence) = lock(&live.messages).send(message, scope, now);
        self.touch(&live);
        Ok(Sent { id, sequence })
    }

    pub(super) fn send_message_batch(&self, caller: &Caller, input: Input) -> Answer {
        let id = input.queue(&caller.region)?;
        self.queue(&id)?;
        let size: usize = input.entries.iter().map(|entry| entry.message_body.as_ref().map_or(0, String::len)).sum();
        if size > MAX_BATCH {
            let message =
                format!("Batch requests cannot be longer than {MAX_BATCH} bytes. You have sent {size} bytes.");
            return Err(error::batch("BatchRequestTooLong", message));
        }
        let sender = self.sender(caller);
        in_batch(input.entries, |entry| self.sent(&id, Draft::of(entry, sender.clone())?))
    }

    pub(super) async fn receive_message(&self, region: &str, input: Input) -> Answer {
        let id = input.queue(region)?;
        let (queue, _) = self.queue(&id)?;
        let most = in_range(input.max_number_of_messages, 1, 1, 10, "MaxNumberOfMessages")?;
        let wait = queue.number("ReceiveMessageWaitTimeSeconds");
        let wait = in_range(input.wait_time_seconds, wait, 0, 20, "WaitTimeSeconds")?;
        let visibility = queue.number("VisibilityTimeout");
        let visibility = in_range(input.message.visibility_timeout, visibility, 0, 43_200, "VisibilityTimeout")?;
        let wait = Duration::from_secs(u64::try_from(wait).unwrap_or_default());
        let most = usize::try_from(most).unwrap_or(1).min(MOST);
        let received = self.receive(&id, most, Some(visibility), wait).await?;
        let system: HashSet<&str> =
            input.attribute_names.iter().chain(&input.message_system_attribute_names).map(String::as_str).collect();
        let messages: Vec<Value> =
            received.iter().map(|message| shown(message, &system, &input.message_attribute_names)).collect();
        Ok(if messages.is_empty() { json!({}) } else { json!({ "Messages": messages }) })
    }

    /// Receives up to `most` messages, as soon as there are some, and none after `wait`. `visibility` in seconds, the queue's own
    /// where there is none.
    ///
    /// # Errors
    /// `QueueDoesNotExist`, also while it waits.
    pub(super) async fn receive(
        &self,
        id: &QueueId,
        most: usize,
        visibility: Option<i64>,
        wait: Duration,
    ) -> Result<Vec<Message>, ApiError> {
        let deadline = Instant::now() + wait;
        loop {
            let (queue, live) = self.queue(id)?;
            let mut arrived = live.arrived.subscribe();
            arrived.borrow_and_update();
            let now = now_millis();
            let received = self.take(id, &queue, &live, most, visibility, now);
            if !received.is_empty() || Instant::now() >= deadline {
                return Ok(received);
            }
            // Messages become visible by time, too; a change of the queue's delay needs no more than the next look.
            let next = lock(&live.messages).next_visible(now);
            let next = next.and_then(|visible| u64::try_from(visible - now).ok()).map(Duration::from_millis);
            let look = Instant::now() + next.unwrap_or(wait).max(Duration::from_millis(1));
            let _ = tokio::time::timeout_at(look.min(deadline), arrived.changed()).await;
        }
    }

    /// Takes the messages that can be received now, and moves dead letters to their queue.
    fn take(
        &self,
        id: &QueueId,
        queue: &Queue,
        live: &LiveQueue,
        most: usize,
        visibility: Option<i64>,
        now: i64,
    ) -> Vec<Message> {
        let redrive = queue.redrive();
        let how = Receiving {
            most,
            visibility: visibility.unwrap_or_else(|| queue.number("VisibilityTimeout")) * 1000,
            max_receives: redrive.as_ref().map(|(_, count)| *count),
        };
        let retention = queue.retention();
        let (Received { messages, dead }, expired) = {
            let mut all = lock(&live.messages);
            let expired = all.expire(retention, now);
            (all.receive(how, now), expired)
        };
        if !messages.is_empty() || !dead.is_empty() || expired {
            *lock(&live.is_saved) = false;
            self.unsaved.notify_one();
        }
        let target = redrive.and_then(|(target, _)| QueueId::from_arn(&target));
        for message in dead {
            self.bury(id, target.as_ref(), message, now);
        }
        messages
    }

    /// Puts a dead letter into its queue; without one it is lost, which is logged.
    fn bury(&self, from: &QueueId, target: Option<&QueueId>, mut message: Message, now: i64) {
        match target.and_then(|target| self.queue(target).ok()) {
            Some((_, live)) => {
                message.visible = now;
                message.dead_letter_of = Some(from.arn());
                if from.is_fifo() {
                    // Its time in the queue begins again, and its id stands for it (developer guide, "Using dead-letter queues").
                    message.sent = now;
                    message.deduplication = Some(message.id.clone());
                }
                lock(&live.messages).bury(message);
                self.touch(&live);
            }
            None => tracing::warn!("a dead letter of {} is lost: its dead-letter queue does not exist", from.arn()),
        }
    }

    pub(super) fn delete_message(&self, region: &str, input: Input) -> Answer {
        let id = input.queue(region)?;
        self.delete_by(&id, input.message.receipt_handle)?;
        Ok(json!({}))
    }

    pub(super) fn delete_message_batch(&self, region: &str, input: Input) -> Answer {
        let id = input.queue(region)?;
        self.queue(&id)?;
        in_batch(input.entries, |entry| {
            self.delete_by(&id, entry.receipt_handle)?;
            Ok(json!({}))
        })
    }

    /// Deletes a message. One that is gone, or that another receiver has got since, is not an error.
    pub(super) fn delete_by(&self, id: &QueueId, handle: Option<String>) -> Result<(), ApiError> {
        let (_, live) = self.queue(id)?;
        let handle = well_formed(handle)?;
        let deleted = lock(&live.messages).delete(&handle);
        if deleted {
            // The rest of its group can be received now.
            self.touch(&live);
        }
        Ok(())
    }

    pub(super) fn change_message_visibility(&self, region: &str, input: Input) -> Answer {
        let id = input.queue(region)?;
        self.change_visibility(&id, input.message.receipt_handle, input.message.visibility_timeout)
    }

    pub(super) fn change_message_visibility_batch(&self, region: &str, input: Input) -> Answer {
        let id = input.queue(region)?;
        self.queue(&id)?;
        in_batch(input.entries, |entry| self.change_visibility(&id, entry.receipt_handle, entry.visibility_timeout))
    }

    fn change_visibility(&self, id: &QueueId, handle: Option<String>, timeout: Option<i64>) -> Answer {
        let (_, live) = self.queue(id)?;
        let handle = well_formed(handle)?;
        let timeout = timeout.ok_or_else(|| error::missing("VisibilityTimeout"))?;
        let timeout = in_range(Some(timeout), 0, 0, 43_200, "VisibilityTimeout")?;
        if !lock(&live.messages).change_visibility(&handle, timeout * 1000, now_millis()) {
            return Err(error::not_in_flight(&handle));
        }
        self.touch(&live);
        Ok(json!({}))
    }
}

fn trace(attributes: &BTreeMap<String, Attribute>) -> Option<String> {
    attributes.get("AWSTraceHeader").and_then(|attribute| attribute.string_value.clone())
}

/// A receipt handle that has the form of ours.
fn well_formed(handle: Option<String>) -> Result<String, ApiError> {
    let handle = handle.filter(|handle| !handle.is_empty()).ok_or_else(|| error::missing("ReceiptHandle"))?;
    let parts = handle.split_once('.');
    let is_ours = parts.is_some_and(|(id, rest)| Uuid::parse_str(id).is_ok() && Uuid::parse_str(rest).is_ok());
    if is_ours { Ok(handle) } else { Err(error::invalid_handle(&handle)) }
}

fn in_range(given: Option<i64>, default: i64, least: i64, most: i64, name: &str) -> Result<i64, ApiError> {
    match given {
        Some(value) if !(least..=most).contains(&value) => Err(error::invalid(format!(
            "Value {value} for parameter {name} is invalid. Reason: Must be between {least} and {most}, if provided."
        ))),
        given => Ok(given.unwrap_or(default)),
    }
}

/// Checks a body and attributes (API reference, `SendMessage`).
fn check(draft: &Draft) -> Result<(), ApiError> {
    if draft.body.is_empty() {
        return Err(error::invalid("The request must contain the parameter MessageBody."));
    }
    // What XML 1.0 can have.
    let allowed = |c: char| matches!(c, '\u{9}' | '\u{a}' | '\u{d}' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if !draft.body.chars().all(allowed) {
        return Err(error::invalid_contents(
            "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to \
             #xFFFD | #x10000 to #x10FFFF",
        ));
    }
    if draft.attributes.len() > 10 {
        return Err(error::invalid(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [10].",
            draft.attributes.len()
        )));
    }
    for (name, attribute) in &draft.attributes {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let kind = attribute.data_type.split('.').next().unwrap_or_default();
        if name.is_empty() || name.len() > 256 || !name.chars().all(plain) {
            return Err(error::invalid(format!("The message attribute name '{name}' is invalid.")));
        }
        if !["String", "Number", "Binary"].contains(&kind) {
            return Err(error::invalid(format!(
                "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type \
                 prefixes: Binary, Number, String."
            )));
        }
        if attribute.bytes().is_empty() {
            return Err(error::invalid(format!(
                "The message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
            )));
        }
        let text = attribute.string_value.as_deref().unwrap_or_default();
        if kind == "Number" && text.parse::<f64>().is_err() {
            return Err(error::invalid(format!(
                "Can't cast the value of message (user) attribute '{name}' to a number."
            )));
        }
    }
    Ok(())
}

/// A message as `ReceiveMessage` shows it, with the attributes that were asked for.
fn shown(message: &Message, system: &HashSet<&str>, names: &[String]) -> Value {
    let mut shown = json!({
        "MessageId": message.id,
        "ReceiptHandle": message.handle,
        "MD5OfBody": md5_of(message.body.as_bytes()),
        "Body": message.body,
    });
    let all = message.system_attributes().into_iter();
    let asked: Map<String, Value> =
        all.filter(|(name, _)| system.contains("All") || system.contains(name.as_str())).collect();
    if !asked.is_empty() {
        shown["Attributes"] = asked.into();
    }
    let is_asked = |name: &str| {
        names.iter().any(|asked| match asked.strip_suffix(".*").or_else(|| asked.strip_suffix('*')) {
            Some(prefix) => name.starts_with(prefix),
            None => asked == "All" || asked == name,
        })
    };
    let asked: BTreeMap<String, Attribute> = message
        .attributes
        .iter()
        .filter(|(name, _)| is_asked(name))
        .map(|(name, attribute)| (name.clone(), attribute.clone()))
        .collect();
    if !asked.is_empty() {
        shown["MD5OfMessageAttributes"] = md5_of_attributes(&asked).into();
        shown["MessageAttributes"] = json!(asked);
    }
    shown
}

/// Carries out a batch, entry by entry.
fn in_batch(entries: Vec<Entry>, mut run: impl FnMut(Entry) -> Answer) -> Answer {
    if entries.is_empty() {
        return Err(error::batch("EmptyBatchRequest", "There should be at least one entry in the request."));
    }
    if entries.len() > MOST {
        let message = format!("Maximum number of entries per request are {MOST}. You have sent {}.", entries.len());
        return Err(error::batch("TooManyEntriesInBatchRequest", message));
    }
    let plain = |id: &str| {
        (1..=80).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if !entries.iter().all(|entry| plain(&entry.id)) {
        let message = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 \
                       letters long.";
        return Err(error::batch("InvalidBatchEntryId", message));
    }
    let mut ids = HashSet::new();
    if let Some(twice) = entries.iter().find(|entry| !ids.insert(entry.id.clone())) {
        return Err(error::batch("BatchEntryIdsNotDistinct", format!("Id {} repeated.", twice.id)));
    }
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in entries {
        let id = entry.id.clone();
        match run(entry) {
            Ok(mut answer) => {
                answer["Id"] = id.into();
                successful.push(answer);
            }
            Err(error) => {
                let code = error.code.rsplit('#').next().unwrap_or_default().trim_end_matches("Exception").to_owned();
                failed.push(json!({
                    "Id": id, "SenderFault": error.status < 500, "Code": code, "Message": error.message,
                }));
            }
        }
    }
    let mut answer = json!({ "Successful": successful });
    if !failed.is_empty() {
        answer["Failed"] = failed.into();
    }
    Ok(answer)
}
