//! The recorder: what happened lately in the local cloud, for the console. Services record connections, messages, invocations
//! and log lines as they happen; only the newest are kept, in memory.
//!
//! Recording is always on, so that a console that is opened after a failure still shows it. It copies a few strings
//! and takes one lock for a moment; nothing is serialized before the console reads it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use serde::Serialize;
use tokio::sync::Notify;

use super::clock::now_millis;
use crate::local::lock::lock;

/// How many events are kept.
const MAX_EVENTS: usize = 4000;

/// The size of all kept events in bytes, about.
const MAX_BYTES: usize = 16 << 20;

/// How much an event costs beside its texts, in bytes.
const EVENT_COST: usize = 512;

/// How much of an invocation's event and result is kept, and of the log lines of one event, in bytes. (Messages of clients have a
/// limit of their own and are kept whole, so that they can be sent again.)
const MAX_TEXT: usize = 16 << 10;

/// One event, with its number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Numbered from 1, without gaps.
    pub seq: u64,
    /// Milliseconds since the epoch.
    pub at: i64,
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum What {
    /// A client connected: `$connect`, if there is one, accepted it.
    Opened { connection: String, api: String, stage: String, request_id: String, source_ip: String, user_agent: String },
    /// A client was refused.
    Refused {
        connection: String,
        api: String,
        stage: String,
        request_id: String,
        status: u16,
        message: String,
        why: Option<Why>,
    },
    /// A connection ended. `request_id` is that of `$disconnect`.
    Closed {
        connection: String,
        api: String,
        stage: String,
        request_id: String,
        code: u16,
        reason: String,
        by_gateway: bool,
        why: Option<Why>,
    },
    /// A client's message arrived and was routed; without a route, none takes it.
    Received {
        connection: String,
        api: String,
        stage: String,
        request_id: String,
        route: Option<String>,
        /// Whether the console sent it again.
        replayed: bool,
        text: Text,
    },
    /// The gateway has finished with a request: a message, or the `$disconnect` of a closed connection.
    Handled {
        request_id: String,
        /// As it would be over HTTP.
        status: u16,
        milliseconds: f64,
        why: Option<Why>,
        /// The frame that the client was sent as the answer.
        answer: Option<Text>,
    },
    /// A message was sent to a client through `@connections`.
    Posted {
        connection: String,
        api: String,
        stage: String,
        /// The invocation that sent it, where it was a function.
        invocation: Option<String>,
        text: Text,
    },
    /// An invocation has begun.
    Invoked {
        invocation: String,
        function: String,
        region: String,
        version: String,
        /// The request of the gateway's, where it invoked the function.
        cause: Option<String>,
        /// Whether an execution environment had to start for it.
        cold: bool,
        event: Text,
    },
    /// An invocation has ended.
    Returned {
        invocation: String,
        /// `success`, `error` or `timeout`.
        status: &'static str,
        error_type: Option<String>,
        duration: f64,
        billed: f64,
        /// Of a cold start.
        init: Option<f64>,
        /// In MB.
        memory: u32,
        memory_used: Option<u64>,
        result: Text,
    },
    /// A function has logged lines.
    Logged { invocation: Option<String>, function: String, region: String, text: Text },
}

/// Why a request failed: what happened, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// A sentence.
    pub what: String,
    /// The route, function or setting that it is about.
    #[serde(rename = "where")]
    pub place: String,
    /// A sentence or two.
    #[serde(rename = "do")]
    pub action: String,
}

/// A text, or its beginning, and the size of the whole in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Text {
    pub text: String,
    pub size: usize,
}

impl Text {
    /// The whole text.
    pub fn whole(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { size: text.len(), text }
    }

    /// The beginning of a text that can be large.
    pub fn beginning(bytes: &[u8]) -> Self {
        let kept = &bytes[..bytes.len().min(MAX_TEXT)];
        let text = match std::str::from_utf8(kept) {
            Ok(text) => text.to_owned(),
            // Cut within a character.
            Err(error) if kept.len() < bytes.len() && error.error_len().is_none() => {
                String::from_utf8_lossy(&kept[..error.valid_up_to()]).into_owned()
            }
            Err(_) => String::from_utf8_lossy(kept).into_owned(),
        };
        Self { text, size: bytes.len() }
    }
}

impl What {
    /// How many bytes of text it holds, about: the texts that can be long.
    fn bytes(&self) -> usize {
        let of = |text: &Text| text.text.len();
        match self {
            Self::Received { text, .. } | Self::Posted { text, .. } | Self::Logged { text, .. } => of(text),
            Self::Invoked { event, .. } => of(event),
            Self::Returned { result, .. } => of(result),
            Self::Handled { answer, .. } => answer.as_ref().map_or(0, of),
            Self::Opened { .. } | Self::Refused { .. } | Self::Closed { .. } => 0,
        }
    }
}

/// Keeps the newest events.
#[derive(Debug, Default)]
pub struct Recorder {
    ring: Mutex<Ring>,
    recorded: Notify,
    /// The running invocations, by the access key of their execution environment.
    running: Mutex<HashMap<String, String>>,
}

#[derive(Debug, Default)]
struct Ring {
    last: u64,
    bytes: usize,
    events: VecDeque<Arc<Event>>,
}

/// The events after a number.
#[derive(Debug, PartialEq)]
pub struct News {
    pub events: Vec<Arc<Event>>,
    /// How many between them and that number are not kept any more.
    pub missed: u64,
    /// The number of the last one; the given number where there is none.
    pub last: u64,
}

impl Recorder {
    /// Records an event that happens now.
    pub fn record(&self, what: What) {
        {
            let mut ring = lock(&self.ring);
            ring.last += 1;
            ring.bytes += EVENT_COST + what.bytes();
            let event = Event { seq: ring.last, at: now_millis(), what };
            ring.events.push_back(Arc::new(event));
            while ring.events.len() > MAX_EVENTS || ring.bytes > MAX_BYTES {
                let Some(oldest) = ring.events.pop_front() else { break };
                ring.bytes -= EVENT_COST + oldest.what.bytes();
            }
        }
        self.recorded.notify_waiters();
    }

    /// At most `most` kept events after the one numbered `after`.
    pub fn since(&self, after: u64, most: usize) -> News {
        let ring = lock(&self.ring);
        // A number of an earlier process: the numbers began again.
        let after = if after > ring.last { 0 } else { after };
        let oldest = ring.events.front().map_or(ring.last + 1, |event| event.seq);
        let skipped = usize::try_from((after + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        let events: Vec<Arc<Event>> = ring.events.iter().skip(skipped).take(most).cloned().collect();
        let last = events.last().map_or(after, |event| event.seq);
        News { events, missed: oldest.saturating_sub(after + 1), last }
    }

    /// As [`Recorder::since`], and waits until there is an event.
    pub async fn next(&self, after: u64, most: usize) -> News {
        loop {
            let mut recorded = std::pin::pin!(self.recorded.notified());
            // Waiting begins before the look, so that no event comes between.
            recorded.as_mut().enable();
            let news = self.since(after, most);
            if !news.events.is_empty() {
                return news;
            }
            recorded.await;
        }
    }

    /// The kept event with a number.
    pub fn event(&self, seq: u64) -> Option<Arc<Event>> {
        let news = self.since(seq.checked_sub(1)?, 1);
        news.events.into_iter().next().filter(|event| event.seq == seq)
    }

    /// Notes which invocation the execution environment with an access key runs; `None` when it has ended.
    pub fn running(&self, access_key: &str, invocation: Option<&str>) {
        let mut running = lock(&self.running);
        match invocation {
            Some(invocation) => running.insert(access_key.to_owned(), invocation.to_owned()),
            None => running.remove(access_key),
        };
    }

    /// The invocation that makes a call signed with an access key.
    pub fn invocation_of(&self, access_key: &str) -> Option<String> {
        lock(&self.running).get(access_key).cloned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn logged(text: &str) -> What {
        let text = Text::whole(text);
        What::Logged { invocation: None, function: "f".to_owned(), region: "r".to_owned(), text }
    }

    fn numbers(news: &News) -> Vec<u64> {
        news.events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn the_newest_events_are_kept_and_readers_learn_what_they_missed() {
        let recorder = Recorder::default();
        assert_eq!(recorder.since(0, 10), News { events: Vec::new(), missed: 0, last: 0 });
        for _ in 0..3 {
            recorder.record(logged("x"));
        }
        let news = recorder.since(1, 10);
        assert_eq!((numbers(&news), news.missed, news.last), (vec![2, 3], 0, 3));
        let news = recorder.since(0, 2);
        assert_eq!((numbers(&news), news.last), (vec![1, 2], 2));
        assert_eq!(numbers(&recorder.since(3, 10)), Vec::<u64>::new());
        // The number of an event that an earlier process recorded.
        assert_eq!(numbers(&recorder.since(99, 10)), [1, 2, 3]);

        for _ in 0..MAX_EVENTS {
            recorder.record(logged("x"));
        }
        let news = recorder.since(1, 1);
        assert_eq!((numbers(&news), news.missed), (vec![4], 2));
        assert!(recorder.event(3).is_none());
        assert_eq!(recorder.event(4).map(|event| event.seq), Some(4));
        assert!(recorder.event(0).is_none() && recorder.event(MAX_EVENTS as u64 + 4).is_none());
    }

    #[test]
    fn long_texts_push_older_events_out() {
        let recorder = Recorder::default();
        let long = "x".repeat(MAX_BYTES / 4);
        for _ in 0..5 {
            recorder.record(logged(&long));
        }
        assert_eq!(numbers(&recorder.since(0, 10)), [3, 4, 5]);
        assert!(lock(&recorder.ring).bytes <= MAX_BYTES);
    }

    #[test]
    fn a_beginning_ends_with_a_whole_character() {
        let text = Text::beginning("short ü".as_bytes());
        assert_eq!(text, Text { text: "short ü".to_owned(), size: 8 });
        let long = "x".repeat(MAX_TEXT - 1) + "üü";
        let text = Text::beginning(long.as_bytes());
        assert_eq!((text.text.len(), text.size), (MAX_TEXT - 1, MAX_TEXT + 3));
        assert_eq!(Text::beginning(&[0xff, b'a']).text, "\u{fffd}a");
    }

    #[tokio::test]
    async fn a_reader_waits_for_the_next_event() {
        let recorder = Arc::new(Recorder::default());
        let reader = tokio::spawn({
            let recorder = Arc::clone(&recorder);
            async move { recorder.next(0, 10).await }
        });
        tokio::task::yield_now().await;
        recorder.record(logged("x"));
        assert_eq!(numbers(&reader.await.unwrap()), [1]);
    }

    #[test]
    fn events_are_flat_objects() {
        let why = Why { what: "w".to_owned(), place: "p".to_owned(), action: "a".to_owned() };
        let answer = Some(Text::whole("{}"));
        let what = What::Handled { request_id: "r".to_owned(), status: 403, milliseconds: 0.5, why: Some(why), answer };
        let event = Event { seq: 7, at: 8, what };
        let expected = json!({
            "seq": 7, "at": 8, "type": "handled", "requestId": "r", "status": 403, "milliseconds": 0.5,
            "why": { "what": "w", "where": "p", "do": "a" }, "answer": { "text": "{}", "size": 2 },
        });
        assert_eq!(serde_json::to_value(event).unwrap(), expected);
    }
}
