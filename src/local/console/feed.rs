//! The feed: recorded events as Server-Sent Events. A message is a list of events; its id is where a reader that connects
//! again goes on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Answer, Console};
use crate::local::context::recorder::{Event, News, Recorder};
use crate::local::protocol::wire::Request;

/// How many events a message has at most.
const MAX_EVENTS: usize = 500;

/// The pause between two messages: a flood of events must not keep the local cloud busy with the console.
const PAUSE: Duration = Duration::from_millis(40);

/// After how long a quiet feed says that it is alive.
const HEARTBEAT: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(15) };

/// How much of each text is sent, in bytes. The page asks for the rest where it is needed.
const MAX_TEXT: usize = 4096;

struct Reader {
    recorder: Arc<Recorder>,
    epoch: String,
    after: u64,
    stop: watch::Receiver<bool>,
    greeted: bool,
}

impl Console {
    /// The events after the one that the reader has seen last, and all that follow.
    pub(super) fn feed(&self, request: &Request, stop: watch::Receiver<bool>) -> Answer {
        let seen = request.headers.get("last-event-id").and_then(|id| id.to_str().ok()).or(request.query("after"));
        // Events of an earlier process: their numbers say nothing here.
        let after = seen.and_then(|seen| seen.split_once('.')).filter(|(epoch, _)| *epoch == self.epoch);
        let after = after.and_then(|(_, seq)| seq.parse().ok()).unwrap_or(0);
        let recorder = Arc::clone(&self.context.recorder);
        let reader = Reader { recorder, epoch: self.epoch.clone(), after, stop, greeted: false };
        let messages = stream::unfold(reader, Reader::message);
        let body = StreamBody::new(messages.map(|message| Ok(Frame::data(Bytes::from(message)))));
        let mut answer = Answer::new(body.boxed_unsync());
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        answer
    }
}

impl Reader {
    /// The next message; `None` when the local cloud stops.
    async fn message(mut self) -> Option<(String, Self)> {
        if !self.greeted {
            self.greeted = true;
            let epoch = &self.epoch;
            return Some((format!("retry: 500\nevent: hello\ndata: {}\n\n", json!({ "epoch": epoch })), self));
        }
        let news = tokio::select! {
            news = self.recorder.next(self.after, MAX_EVENTS) => Some(news),
            () = tokio::time::sleep(HEARTBEAT) => None,
            _ = self.stop.wait_for(|stop| *stop) => return None,
        };
        let Some(News { events, missed, last }) = news else { return Some((": \n\n".to_owned(), self)) };
        self.after = last;
        let events: Vec<Value> = events.iter().map(|event| shown(event)).collect();
        let data = json!({ "missed": missed, "events": events });
        tokio::time::sleep(PAUSE).await;
        Some((format!("id: {}.{last}\ndata: {data}\n\n", self.epoch), self))
    }
}

/// An event as the page gets it: without the rest of long texts.
fn shown(event: &Event) -> Value {
    let mut shown = serde_json::to_value(event).unwrap_or_default();
    for member in shown.as_object_mut().into_iter().flat_map(|members| members.values_mut()) {
        if let Some(Value::String(text)) = member.get_mut("text")
            && text.len() > MAX_TEXT
        {
            text.truncate(text.floor_char_boundary(MAX_TEXT));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::context::recorder::{Text, What};

    fn reader(recorder: &Arc<Recorder>, stop: &watch::Sender<bool>) -> Reader {
        let (epoch, stop) = ("e".to_owned(), stop.subscribe());
        Reader { recorder: Arc::clone(recorder), epoch, after: 0, stop, greeted: false }
    }

    fn logged(text: &str) -> What {
        let text = Text::whole(text);
        What::Logged { invocation: None, function: "f".to_owned(), region: "r".to_owned(), text }
    }

    #[tokio::test]
    async fn a_feed_greets_tells_the_events_beats_and_ends() {
        let recorder = Arc::new(Recorder::default());
        let stop = watch::Sender::new(false);
        recorder.record(logged("one"));
        recorder.record(logged("two"));
        let (greeting, reader) = reader(&recorder, &stop).message().await.unwrap();
        assert_eq!(greeting, "retry: 500\nevent: hello\ndata: {\"epoch\":\"e\"}\n\n");
        let (message, reader) = reader.message().await.unwrap();
        let data = message.strip_prefix("id: e.2\ndata: ").unwrap().trim_end();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!((&data["missed"], &data["events"][1]["text"]["text"]), (&json!(0), &json!("two")));
        let (beat, reader) = reader.message().await.unwrap();
        assert_eq!(beat, ": \n\n");
        stop.send_replace(true);
        assert!(reader.message().await.is_none());
    }

    #[test]
    fn long_texts_are_cut_and_have_their_size() {
        let text = "x".repeat(MAX_TEXT - 1) + "üü";
        let event = Event { seq: 1, at: 2, what: logged(&text) };
        let shown = shown(&event);
        assert_eq!(shown["text"]["text"].as_str().unwrap().len(), MAX_TEXT - 1);
        assert_eq!(shown["text"]["size"], MAX_TEXT + 3);
    }
}
