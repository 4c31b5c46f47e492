//! The messages of one queue: what can be received when. Pure, so that its rules are tested with a clock of the tests'.

use std::collections::{BTreeMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::message::Message;

/// How long a FIFO queue takes a second message with the same deduplication id for the first one, in milliseconds (SQS
/// developer guide, "exactly-once processing").
const DEDUPLICATION: i64 = 5 * 60 * 1000;

/// The messages of a queue, in the order in which they were sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Messages {
    all: VecDeque<Message>,
    /// Message id, sequence number and time of each deduplication id of the last minutes.
    #[serde(default)]
    seen: BTreeMap<String, (String, String, i64)>,
    #[serde(default)]
    last_sequence: u64,
}

/// How many messages there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub visible: usize,
    /// Received, and neither deleted nor visible again.
    pub in_flight: usize,
    pub delayed: usize,
}

/// How messages are received.
#[derive(Debug, Clone, Copy)]
pub struct Receiving {
    pub most: usize,
    /// Milliseconds.
    pub visibility: i64,
    /// How often a message is received before it is a dead letter.
    pub max_receives: Option<u32>,
}

/// What a receive took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Received {
    pub messages: Vec<Message>,
    /// What was received too often, for the dead-letter queue.
    pub dead: Vec<Message>,
}

impl Messages {
    /// Adds a message. In a FIFO queue, whose messages have a deduplication id, a second one is not added; `scope` tells which
    /// messages that holds for. Gives id and sequence number of the message that there is.
    pub fn send(&mut self, mut message: Message, scope: Option<String>, now: i64) -> (String, Option<String>) {
        let Some(scope) = scope else {
            let id = message.id.clone();
            self.all.push_back(message);
            return (id, None);
        };
        self.seen.retain(|_, (.., at)| now - *at < DEDUPLICATION);
        if let Some((id, sequence, _)) = self.seen.get(&scope) {
            return (id.clone(), Some(sequence.clone()));
        }
        self.last_sequence += 1;
        // Twenty digits, as on AWS; they grow, not by one.
        let sequence = format!("{:020}", 18_800_000_000_000_000_000_u128 + u128::from(self.last_sequence) * 256);
        message.sequence = Some(sequence.clone());
        let id = message.id.clone();
        self.seen.insert(scope, (id.clone(), sequence.clone(), now));
        self.all.push_back(message);
        (id, Some(sequence))
    }

    /// Puts a dead letter of another queue in, as it is.
    pub fn bury(&mut self, message: Message) {
        self.all.push_back(message);
    }

    /// Takes the messages that can be received now. Those of a FIFO queue's group wait while a message of the group is in flight.
    pub fn receive(&mut self, how: Receiving, now: i64) -> Received {
        let mut received = Received::default();
        let mut blocked: HashSet<String> = self
            .all
            .iter()
            .filter(|message| message.sequence.is_some() && is_in_flight(message, now))
            .filter_map(|message| message.group.clone())
            .collect();
        let mut index = 0;
        while index < self.all.len() && received.messages.len() < how.most {
            let message = &mut self.all[index];
            let is_fifo = message.sequence.is_some();
            let group = message.group.clone().filter(|_| is_fifo);
            let is_blocked = group.as_ref().is_some_and(|group| blocked.contains(group));
            if message.visible > now || is_blocked {
                // What is delayed keeps its place in its group.
                blocked.extend(group);
                index += 1;
                continue;
            }
            if how.max_receives.is_some_and(|most| message.received >= most) {
                if let Some(mut message) = self.all.remove(index) {
                    message.handle = None;
                    received.dead.push(message);
                }
                continue;
            }
            message.received += 1;
            message.first_received.get_or_insert(now);
            message.visible = now + how.visibility;
            message.handle = Some(format!("{}.{}", message.id, Uuid::new_v4()));
            received.messages.push(message.clone());
            index += 1;
        }
        received
    }

    /// Deletes the message with a receipt handle, if it is the last one that it was received with.
    pub fn delete(&mut self, handle: &str) -> bool {
        let at = self.all.iter().position(|message| message.handle.as_deref() == Some(handle));
        at.and_then(|at| self.all.remove(at)).is_some()
    }

    /// Sets how long a message that is in flight stays so, in milliseconds. Whether it is in flight.
    pub fn change_visibility(&mut self, handle: &str, visibility: i64, now: i64) -> bool {
        let mut all = self.all.iter_mut();
        let found = all.find(|message| message.handle.as_deref() == Some(handle) && message.visible > now);
        match found {
            Some(message) => {
                message.visible = now + visibility;
                true
            }
            None => false,
        }
    }

    /// Deletes all messages.
    pub fn purge(&mut self) {
        self.all.clear();
    }

    /// Deletes what is older than the queue keeps messages, in milliseconds. Whether there was any.
    pub fn expire(&mut self, retention: i64, now: i64) -> bool {
        let before = self.all.len();
        self.all.retain(|message| now - message.sent < retention);
        self.all.len() != before
    }

    pub fn counts(&self, now: i64) -> Counts {
        let mut counts = Counts::default();
        for message in &self.all {
            match (message.visible > now, message.received > 0) {
                (false, _) => counts.visible += 1,
                (true, true) => counts.in_flight += 1,
                (true, false) => counts.delayed += 1,
            }
        }
        counts
    }

    /// When the next message becomes visible that is not yet.
    pub fn next_visible(&self, now: i64) -> Option<i64> {
        self.all.iter().map(|message| message.visible).filter(|visible| *visible > now).min()
    }
}

fn is_in_flight(message: &Message, now: i64) -> bool {
    message.received > 0 && message.visible > now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, group: Option<&str>) -> Message {
        Message {
            id: id.to_owned(),
            body: id.to_owned(),
            attributes: BTreeMap::new(),
            trace: None,
            sender: "me".to_owned(),
            sent: 0,
            visible: 0,
            received: 0,
            first_received: None,
            handle: None,
            group: group.map(str::to_owned),
            deduplication: None,
            sequence: None,
            dead_letter_of: None,
        }
    }

    const TEN: Receiving = Receiving { most: 10, visibility: 30, max_receives: None };

    fn ids(received: &Received) -> Vec<&str> {
        received.messages.iter().map(|message| message.id.as_str()).collect()
    }

    #[test]
    fn what_is_received_comes_again_after_its_visibility_timeout_unless_it_is_deleted() {
        let mut messages = Messages::default();
        messages.send(message("a", None), None, 0);
        messages.send(Message { visible: 5, ..message("b", None) }, None, 0);
        assert_eq!(messages.counts(0), Counts { visible: 1, in_flight: 0, delayed: 1 });
        let first = messages.receive(TEN, 0);
        assert_eq!(ids(&first), ["a"]);
        assert_eq!(messages.next_visible(0), Some(5));
        let second = messages.receive(TEN, 5);
        assert_eq!(ids(&second), ["b"]);
        assert!(messages.delete(second.messages[0].handle.as_deref().unwrap()));
        assert_eq!(messages.counts(6), Counts { visible: 0, in_flight: 1, delayed: 0 });
        let again = messages.receive(TEN, 30);
        assert_eq!((ids(&again), again.messages[0].received), (vec!["a"], 2));
        assert!(!messages.delete(first.messages[0].handle.as_deref().unwrap()), "an old receipt handle");
        let handle = again.messages[0].handle.as_deref().unwrap();
        assert!(messages.change_visibility(handle, 0, 31));
        assert_eq!(ids(&messages.receive(TEN, 31)), ["a"]);
        assert!(!messages.change_visibility(handle, 0, 31));
        assert!(messages.expire(10, 31));
        assert_eq!(messages.counts(31), Counts::default());
    }

    #[test]
    fn what_was_received_too_often_is_dead() {
        let mut messages = Messages::default();
        messages.send(message("a", None), None, 0);
        let how = Receiving { visibility: 0, max_receives: Some(2), ..TEN };
        assert_eq!(ids(&messages.receive(how, 0)), ["a"]);
        assert_eq!(ids(&messages.receive(how, 0)), ["a"]);
        let last = messages.receive(how, 0);
        assert!(last.messages.is_empty() && last.dead[0].id == "a" && last.dead[0].received == 2);
    }

    #[test]
    fn a_group_is_received_in_order_and_one_message_of_a_kind() {
        let mut messages = Messages::default();
        for (id, group, scope) in [("a1", "a", "1"), ("b1", "b", "2"), ("a2", "a", "3"), ("again", "a", "1")] {
            messages.send(message(id, Some(group)), Some(scope.to_owned()), 0);
        }
        let one = Receiving { most: 1, ..TEN };
        let first = messages.receive(one, 0);
        assert_eq!(ids(&first), ["a1"]);
        assert_eq!(ids(&messages.receive(TEN, 1)), ["b1"], "the group waits for its first message");
        assert!(messages.delete(first.messages[0].handle.as_deref().unwrap()));
        assert_eq!(ids(&messages.receive(TEN, 2)), ["a2"]);
        let (id, sequence) = messages.send(message("late", Some("a")), Some("1".to_owned()), DEDUPLICATION - 1);
        assert_eq!(id, "a1", "taken for the first");
        let (id, later) = messages.send(message("late", Some("a")), Some("1".to_owned()), DEDUPLICATION);
        assert!(id == "late" && later > sequence);
    }
}
