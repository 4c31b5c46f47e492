//! A batch of events: which of them a mapping wants, how many an invocation can have, and what the function made of it.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::Lambda;
use super::mapping::Mapping;
use super::name::Reference;
use super::spec::InvokeRequest;
use crate::core::events::pattern::EventPattern;
use crate::local::context::ports::{Invoked, SourceEvent};

/// The largest payload of an invocation, in bytes (Lambda quotas: 6 MB), and what is in it beside the events.
const MAX_PAYLOAD: usize = 6 * 1024 * 1024 - 64;

/// The pause after a source or a function that cannot be used.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// What a function made of a batch.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// The ids of events that failed; none where all are done.
    Handled(HashSet<String>),
    /// All of them failed: the function did, or its answer could not be read.
    Failed(Failure),
}

/// Why a batch failed.
#[derive(Debug, PartialEq)]
pub(super) struct Failure {
    /// What the function answered, if it was invoked.
    pub invoked: Option<Invoked>,
    pub why: String,
}

impl Lambda {
    /// Invokes the function with a batch. A throttled invocation is tried again for so long.
    pub(super) async fn invoke_batch(&self, mapping: &Mapping, batch: &[SourceEvent], patience: Duration) -> Outcome {
        let records: Vec<&Value> = batch.iter().map(|event| &event.event).collect();
        let payload = Bytes::from(json!({ "Records": records }).to_string());
        let Some(reference) = Reference::from_arn(&mapping.function_arn) else {
            return Outcome::Failed(Failure { invoked: None, why: not_an_arn(mapping) });
        };
        let begun = Instant::now();
        let invoked = loop {
            let call = InvokeRequest {
                request_id: Uuid::new_v4().to_string(),
                function_arn: mapping.function_arn.clone(),
                payload: payload.clone(),
                client_context: None,
                cause: None,
            };
            match self.run(&reference, call).await {
                Ok(invoked) => break invoked,
                Err(error) if error.status == 429 && begun.elapsed() < patience => tokio::time::sleep(PAUSE).await,
                Err(error) => return Outcome::Failed(Failure { invoked: None, why: error.message }),
            }
        };
        if invoked.function_error.is_some() {
            return Outcome::Failed(Failure { invoked: Some(invoked), why: "Function call failed".to_owned() });
        }
        if !mapping.reports_failures() {
            return Outcome::Handled(HashSet::new());
        }
        match failures(&invoked.payload, batch) {
            Some(failed) => Outcome::Handled(failed),
            None => Outcome::Failed(Failure {
                invoked: Some(invoked),
                why: "the function's batchItemFailures could not be read".to_owned(),
            }),
        }
    }
}

/// Why a mapping whose function has no ARN cannot be served.
pub(super) fn not_an_arn(mapping: &Mapping) -> String {
    format!("{} is not the ARN of a function", mapping.function_arn)
}

/// The events that a mapping wants, and the others.
pub(super) fn filtered(mapping: &Mapping, batch: Vec<SourceEvent>) -> (Vec<SourceEvent>, Vec<SourceEvent>) {
    let patterns = mapping.filters();
    batch.into_iter().partition(|event| is_wanted(&patterns, &event.event))
}

/// Whether one of the patterns matches an event, if there are any. A body is held against a pattern as JSON where both are
/// JSON, as text where both are not, and does not match where one of them is.
fn is_wanted(patterns: &[EventPattern], event: &Value) -> bool {
    patterns.is_empty()
        || patterns.iter().any(|pattern| {
            let Some(of_object) = pattern.asks_for_object("body") else { return pattern.matches(event) };
            let body = event["body"].as_str().unwrap_or_default();
            let parsed = serde_json::from_str::<Value>(body).ok().filter(Value::is_object);
            match (of_object, parsed) {
                (true, Some(parsed)) => {
                    let mut event = event.clone();
                    event["body"] = parsed;
                    pattern.matches(&event)
                }
                (false, None) => pattern.matches(event),
                _ => false,
            }
        })
}

/// The events in batches that are small enough for an invocation.
pub(super) fn parts(events: Vec<SourceEvent>) -> Vec<Vec<SourceEvent>> {
    let mut parts: Vec<Vec<SourceEvent>> = Vec::new();
    let mut size = usize::MAX;
    for event in events {
        let length = event.event.to_string().len() + 1;
        if size.saturating_add(length) > MAX_PAYLOAD {
            parts.push(Vec::new());
            size = 0;
        }
        size += length;
        if let Some(part) = parts.last_mut() {
            part.push(event);
        }
    }
    parts
}

/// The ids that a function's answer calls failed; `None` where the whole batch counts as failed: an answer that is no JSON, an
/// empty id, one of no event of the batch. (Developer guide, "Success and failure conditions".)
fn failures(payload: &[u8], batch: &[SourceEvent]) -> Option<HashSet<String>> {
    if payload.is_empty() {
        return Some(HashSet::new());
    }
    let answer: Value = serde_json::from_slice(payload).ok()?;
    let failed = match &answer {
        Value::Null => return Some(HashSet::new()),
        Value::Object(members) => members.get("batchItemFailures"),
        _ => return None,
    };
    let Some(failed) = failed.filter(|failed| !failed.is_null()) else { return Some(HashSet::new()) };
    let ids = failed.as_array()?.iter().map(|one| {
        let id = one["itemIdentifier"].as_str().filter(|id| !id.is_empty())?;
        batch.iter().any(|event| event.id == id).then(|| id.to_owned())
    });
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, body: &str) -> SourceEvent {
        let event = json!({ "messageId": id, "body": body });
        SourceEvent { id: id.to_owned(), handle: String::new(), at: 0, event }
    }

    #[test]
    fn an_answer_says_which_events_failed() {
        let batch = [event("a", ""), event("b", "")];
        let failed = |answer: &str| failures(answer.as_bytes(), &batch);
        let ids = |ids: &[&str]| Some(ids.iter().map(|id| (*id).to_owned()).collect::<HashSet<_>>());
        for (answer, expected) in [
            ("", ids(&[])),
            ("null", ids(&[])),
            ("{}", ids(&[])),
            (r#"{"batchItemFailures": null}"#, ids(&[])),
            (r#"{"batchItemFailures": []}"#, ids(&[])),
            (r#"{"batchItemFailures": [{"itemIdentifier": "b"}]}"#, ids(&["b"])),
            ("not JSON", None),
            (r#""done""#, None),
            (r#"{"batchItemFailures": [{"itemIdentifier": ""}]}"#, None),
            (r#"{"batchItemFailures": [{"itemIdentifier": null}]}"#, None),
            (r#"{"batchItemFailures": [{"id": "b"}]}"#, None),
            (r#"{"batchItemFailures": [{"itemIdentifier": "c"}]}"#, None),
        ] {
            assert_eq!(failed(answer), expected, "{answer}");
        }
    }

    #[test]
    fn bodies_are_filtered_by_what_they_are() {
        let patterns = |pattern: &str| vec![EventPattern::read(pattern).unwrap()];
        for (pattern, body, expected) in [
            (r#"{"body": {"kind": ["chat"]}}"#, r#"{"kind": "chat"}"#, true),
            (r#"{"body": {"kind": ["chat"]}}"#, r#"{"kind": "other"}"#, false),
            (r#"{"body": {"kind": ["chat"]}}"#, "chat", false),
            (r#"{"body": ["chat"]}"#, "chat", true),
            (r#"{"body": ["chat"]}"#, r#"{"kind": "chat"}"#, false),
            (r#"{"messageId": ["1"]}"#, "anything", true),
        ] {
            assert_eq!(is_wanted(&patterns(pattern), &event("1", body).event), expected, "{pattern} {body}");
        }
        assert!(is_wanted(&[], &event("1", "").event));
    }

    #[test]
    fn a_batch_is_cut_where_an_invocation_would_be_too_large() {
        let large = "x".repeat(2 * 1024 * 1024);
        let events: Vec<SourceEvent> = ["a", "b", "c", "d"].iter().map(|id| event(id, &large)).collect();
        let sizes: Vec<usize> = parts(events).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 2]);
        assert!(parts(Vec::new()).is_empty());
    }
}
