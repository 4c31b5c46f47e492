//! Polls sources that are in order: streams. What a function cannot handle holds up what comes after it in its shard, until it can,
//! or until its mapping gives it up. (Lambda developer guide, "Using Lambda with Amazon DynamoDB".)

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::Lambda;
use super::batch::{Failure, Outcome, PAUSE, filtered, parts};
use super::mapping::Mapping;
use super::name::Reference;
use super::poller::LONG_POLL;
use super::state::now;
use crate::local::context::clock::{iso8601, log_time};
use crate::local::context::ports::{EventSource, Position, SourceEvent};
use crate::local::protocol::wire::ApiError;

/// How long a throttled invocation is tried again before that counts as a failure.
const MAX_THROTTLED: Duration = Duration::from_secs(60);

/// The pause before a batch is tried again: it doubles from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// How long a stream keeps its records, in milliseconds (DynamoDB developer guide, "Change data capture for DynamoDB Streams").
const RETENTION: i64 = 24 * 60 * 60 * 1000;

/// Events of a shard that are handled together, and how often they failed.
#[derive(Debug, PartialEq)]
struct Batch {
    events: Vec<SourceEvent>,
    failures: u32,
}

/// Why events were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Exhausted,
    TooOld,
}

/// What to do after a batch failed.
#[derive(Debug, PartialEq)]
enum Next {
    /// Try these, one after the other.
    Retry(Vec<Batch>),
    GiveUp(Batch),
}

/// One of the parts of a shard that are handled side by side, each with a position of its own (`ParallelizationFactor`): events with
/// the same key are in the same one, and what fails there holds up no other.
struct Lane<'a> {
    region: &'a str,
    /// Of the mapping.
    uuid: &'a str,
    shard: &'a str,
    /// From 0.
    lane: usize,
    /// How many the shard has.
    count: usize,
    /// When the mapping was changed last.
    since: i64,
}

/// What a lane has read.
#[derive(Debug, Default)]
struct Gathered {
    /// Those of the lane.
    events: Vec<SourceEvent>,
    /// The id of the last event that was read, of whichever lane.
    last: Option<String>,
}

impl Gathered {
    fn add(&mut self, lane: &Lane<'_>, read: Vec<SourceEvent>) {
        self.last = read.last().map(|event| event.id.clone()).or(self.last.take());
        self.events.extend(read.into_iter().filter(|event| lane_of(event, lane.count) == lane.lane));
    }
}

impl Lambda {
    /// Polls the shards of a stream until the mapping changes.
    pub(super) async fn poll_shards(
        &self,
        region: &str,
        uuid: &str,
        mapping: &Mapping,
        source: &Arc<dyn EventSource>,
        changed: &mut watch::Receiver<u64>,
    ) {
        let shards = match source.shards(mapping.source()).await {
            Ok(shards) => shards,
            Err(error) => {
                self.problem(region, uuid, mapping, &error.message);
                let _ = timeout(PAUSE, changed.changed()).await;
                return;
            }
        };
        let count = factor(mapping);
        let lanes = shards.iter().flat_map(|shard| {
            (0..count).map(move |lane| Lane { region, uuid, shard, lane, count, since: mapping.modified })
        });
        join_all(lanes.map(|lane| self.poll_lane(lane, source, changed.clone()))).await;
    }

    /// Reads a shard for one of its lanes.
    async fn poll_lane(&self, lane: Lane<'_>, source: &Arc<dyn EventSource>, mut changed: watch::Receiver<u64>) {
        loop {
            changed.borrow_and_update();
            let Some(mapping) = self.unchanged(&lane) else { return };
            let mut position = self.position(&lane, &mapping);
            if position == Position::Newest {
                // What comes from the mapping's beginning on, also if this process ends before anything is handled.
                position = Position::Since(mapping.modified);
                self.remember(&lane, &Mapping::since(mapping.modified));
            }
            let gathered = tokio::select! {
                gathered = gather(&mapping, &**source, &lane, position) => gathered,
                _ = changed.changed() => continue,
            };
            match gathered {
                Ok(Gathered { events, last: Some(last) }) => {
                    if self.handle_lane(&lane, events).await {
                        self.remember(&lane, &last);
                    }
                }
                Ok(Gathered { last: None, .. }) => {}
                Err(error) => {
                    self.problem(lane.region, lane.uuid, &mapping, &error.message);
                    let _ = timeout(PAUSE, changed.changed()).await;
                    return;
                }
            }
        }
    }

    /// The mapping of a lane, if it is to be polled, and as it was when this began.
    fn unchanged(&self, lane: &Lane<'_>) -> Option<Mapping> {
        self.wanted(lane.region, lane.uuid).filter(|mapping| mapping.modified == lane.since)
    }

    /// Where reading goes on for a lane.
    fn position(&self, lane: &Lane<'_>, mapping: &Mapping) -> Position {
        let kept = self.positions.get(lane.uuid, lane.shard, lane.lane, lane.count);
        kept.map_or_else(|| mapping.position(lane.shard), |position| Mapping::read_position(&position))
    }

    /// Notes where reading goes on for a lane.
    fn remember(&self, lane: &Lane<'_>, position: &str) {
        self.positions.set(lane.uuid, lane.shard, lane.lane, lane.count, position);
    }

    /// Handles events in their order. Gives back whether all are done; not where the mapping is changed or gone meanwhile.
    async fn handle_lane(&self, lane: &Lane<'_>, events: Vec<SourceEvent>) -> bool {
        let Lane { region, uuid, shard, .. } = *lane;
        let Some(mapping) = self.unchanged(lane) else { return false };
        let (events, _) = filtered(&mapping, events);
        let small = parts(events).into_iter().flat_map(|part| cut(part, size(&mapping)));
        let mut batches: VecDeque<Batch> = small.map(|events| Batch { events, failures: 0 }).collect();
        // How often in a row the function could not be invoked.
        let mut refused = 0;
        while let Some(batch) = batches.pop_front() {
            let Some(mapping) = self.unchanged(lane) else { return false };
            let (events, old) = by_age(&mapping, batch.events, now());
            if !old.is_empty() {
                let old = Batch { events: old, failures: batch.failures };
                self.give_up(&mapping, shard, &old, Reason::TooOld, None).await;
            }
            let Some(last) = events.last().map(|event| event.id.clone()) else { continue };
            let outcome = self.invoke_batch(&mapping, &events, MAX_THROTTLED).await;
            // What the end of this process interrupts has not failed: the next one handles it again.
            if self.pollers.is_closing() && outcome != Outcome::Handled(HashSet::new()) {
                return false;
            }
            self.note_outcome(region, uuid, &mapping, &outcome);
            if let Outcome::Failed(Failure { invoked: None, .. }) = &outcome {
                // Retries are counted of a function that fails; until it can be invoked its events wait, or become too old.
                batches.push_front(Batch { events, failures: batch.failures });
                refused += 1;
                self.pause(lane, refused).await;
                continue;
            }
            refused = 0;
            let (first_failed, failure) = match outcome {
                Outcome::Handled(failed) => match events.iter().position(|event| failed.contains(&event.id)) {
                    // All from the first one that failed: what comes after it may need it.
                    Some(first) => (first, None),
                    None => {
                        self.remember(lane, &last);
                        continue;
                    }
                },
                Outcome::Failed(failure) => (0, Some(failure)),
            };
            if let Some(done) = first_failed.checked_sub(1) {
                self.remember(lane, &events[done].id);
            }
            match next(&mapping, Batch { events, failures: batch.failures }, first_failed, failure.is_some()) {
                Next::Retry(again) => {
                    let pause = again.first().map_or(0, |batch| batch.failures);
                    again.into_iter().rev().for_each(|batch| batches.push_front(batch));
                    self.pause(lane, pause).await;
                }
                Next::GiveUp(rest) => self.give_up(&mapping, shard, &rest, Reason::Exhausted, failure.as_ref()).await,
            }
        }
        true
    }

    /// Waits before what failed so often is tried again; not on when the mapping is changed or gone.
    async fn pause(&self, lane: &Lane<'_>, failures: u32) {
        let Some(doubled) = failures.checked_sub(1) else { return };
        let pause = FIRST_PAUSE.saturating_mul(1 << doubled.min(16)).min(LAST_PAUSE);
        let mut changed = self.pollers.changed.subscribe();
        let unwanted = async {
            while self.unchanged(lane).is_some() {
                let _ = changed.changed().await;
            }
        };
        let _ = timeout(pause, unwanted).await;
    }

    /// Tells the mapping's destination for failures, if it has one, which events are not handled.
    async fn give_up(&self, mapping: &Mapping, shard: &str, batch: &Batch, reason: Reason, failure: Option<&Failure>) {
        let source = mapping.source();
        tracing::warn!(
            "{} events of {source} are given up: {} does not handle them",
            batch.events.len(),
            mapping.function_arn
        );
        let Some(reference) = Reference::from_arn(&mapping.function_arn) else { return };
        if let Some(destination) = mapping.on_failure() {
            let record = record(mapping, shard, batch, reason, failure);
            self.deliver(&reference, destination, record.to_string(), Vec::new()).await;
        }
    }
}

/// The next events of a shard that are a lane's: what is there, and with a batching window what comes until it ends or there are
/// enough.
async fn gather(
    mapping: &Mapping,
    source: &dyn EventSource,
    lane: &Lane<'_>,
    position: Position,
) -> Result<Gathered, ApiError> {
    let most = size(mapping) * lane.count;
    let window = mapping.number("MaximumBatchingWindowInSeconds").and_then(|window| u64::try_from(window).ok());
    let mut gathered = Gathered::default();
    gathered.add(lane, source.receive(mapping.source(), lane.shard, &position, most, LONG_POLL).await?);
    let until = Instant::now() + Duration::from_secs(window.unwrap_or_default());
    while let Some(last) = &gathered.last
        && gathered.events.len() < size(mapping)
        && Instant::now() < until
    {
        let after = Position::After(last.clone());
        let wait = until.saturating_duration_since(Instant::now());
        gathered.add(lane, source.receive(mapping.source(), lane.shard, &after, most, wait).await?);
    }
    Ok(gathered)
}

fn size(mapping: &Mapping) -> usize {
    mapping.number("BatchSize").and_then(|size| usize::try_from(size).ok()).unwrap_or(100).max(1)
}

fn factor(mapping: &Mapping) -> usize {
    mapping.number("ParallelizationFactor").and_then(|factor| usize::try_from(factor).ok()).unwrap_or(1).max(1)
}

/// Events in pieces of a size.
fn cut(mut events: Vec<SourceEvent>, size: usize) -> Vec<Vec<SourceEvent>> {
    let mut pieces = Vec::new();
    while events.len() > size {
        let rest = events.split_off(size);
        pieces.push(std::mem::replace(&mut events, rest));
    }
    pieces.push(events);
    pieces
}

/// The lane of an event: events with the same key have the same one, whichever process asks.
fn lane_of(event: &SourceEvent, count: usize) -> usize {
    let digest = Sha256::digest(event.event["dynamodb"]["Keys"].to_string());
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    usize::try_from(number % count.max(1) as u64).unwrap_or(0)
}

/// The events that are young enough for a mapping and its stream, and the others.
fn by_age(mapping: &Mapping, events: Vec<SourceEvent>, now: i64) -> (Vec<SourceEvent>, Vec<SourceEvent>) {
    let most = mapping.number("MaximumRecordAgeInSeconds").filter(|most| *most >= 0);
    let most = most.map_or(RETENTION, |most| (most * 1000).min(RETENTION));
    events.into_iter().partition(|event| now - event.at <= most)
}

/// What to do with a batch of which the events from `first_failed` on failed; `whole` says that the function did.
fn next(mapping: &Mapping, mut batch: Batch, first_failed: usize, whole: bool) -> Next {
    let mut events = batch.events.split_off(first_failed);
    let bisects = mapping.flag("BisectBatchOnFunctionError");
    // A batch that is cut in two does not count as tried again (developer guide).
    if bisects && whole && events.len() > 1 {
        let second = events.split_off(events.len() / 2);
        let batches = [events, second].map(|events| Batch { events, failures: batch.failures });
        return Next::Retry(batches.into());
    }
    let failures = if bisects && first_failed > 0 { batch.failures } else { batch.failures + 1 };
    let rest = Batch { events, failures };
    match mapping.number("MaximumRetryAttempts") {
        Some(most) if most >= 0 && i64::from(failures) > most => Next::GiveUp(rest),
        _ => Next::Retry(vec![rest]),
    }
}

/// What a destination gets: not the events, but where they are. (Developer guide, "Retain discarded records with a DynamoDB event
/// source".)
fn record(mapping: &Mapping, shard: &str, batch: &Batch, reason: Reason, failure: Option<&Failure>) -> Value {
    let condition = match reason {
        Reason::Exhausted => "RetryAttemptsExhausted",
        Reason::TooOld => "RecordAgeExceeded",
    };
    let (first, last) = (batch.events.first(), batch.events.last());
    let id = |event: Option<&SourceEvent>| event.map(|event| event.id.clone());
    let time = |event: Option<&SourceEvent>| event.map(|event| iso8601(event.at));
    let mut record = json!({
        "requestContext": {
            "requestId": Uuid::new_v4().to_string(),
            "functionArn": mapping.function_arn,
            "condition": condition,
            "approximateInvokeCount": batch.failures,
        },
        "version": "1.0",
        "timestamp": log_time(),
    });
    record["DDBStreamBatchInfo"] = json!({
        "shardId": shard,
        "startSequenceNumber": id(first),
        "endSequenceNumber": id(last),
        "approximateArrivalOfFirstRecord": time(first),
        "approximateArrivalOfLastRecord": time(last),
        "batchSize": batch.events.len(),
        "streamArn": mapping.source(),
    });
    if let Some(invoked) = failure.and_then(|failure| failure.invoked.as_ref()) {
        record["responseContext"] = json!({
            "statusCode": 200,
            "executedVersion": invoked.version,
            "functionError": invoked.function_error,
        });
    }
    record
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn mapping(settings: Value) -> Mapping {
        let settings: Map<String, Value> = settings.as_object().cloned().unwrap();
        Mapping::in_test("arn:aws:lambda:r:000000000000:function:f", settings)
    }

    fn event(id: &str, key: &str) -> SourceEvent {
        let event = json!({ "dynamodb": { "Keys": { "id": { "S": key } }, "SequenceNumber": id } });
        SourceEvent { id: id.to_owned(), handle: String::new(), at: 1000, event }
    }

    fn events(ids: &str) -> Vec<SourceEvent> {
        ids.chars().map(|id| event(&id.to_string(), &id.to_string())).collect()
    }

    fn ids(events: &[SourceEvent]) -> String {
        events.iter().map(|event| event.id.as_str()).collect()
    }

    /// The ids and failures of what is tried again, or of what is given up.
    fn after(
        settings: Value,
        ids_of: &str,
        failures: u32,
        first_failed: usize,
        whole: bool,
    ) -> (bool, Vec<(String, u32)>) {
        let shown = |batch: &Batch| (ids(&batch.events), batch.failures);
        match next(&mapping(settings), Batch { events: events(ids_of), failures }, first_failed, whole) {
            Next::Retry(batches) => (true, batches.iter().map(shown).collect()),
            Next::GiveUp(batch) => (false, vec![shown(&batch)]),
        }
    }

    #[test]
    fn what_failed_is_tried_again_cut_or_given_up() {
        let one = |ids: &str, failures: u32| vec![(ids.to_owned(), failures)];
        let endless = json!({ "MaximumRetryAttempts": -1 });
        assert_eq!(after(endless.clone(), "abc", 99, 0, true), (true, one("abc", 100)));
        assert_eq!(after(endless, "abc", 0, 1, false), (true, one("bc", 1)));
        let twice = json!({ "MaximumRetryAttempts": 2 });
        assert_eq!(after(twice.clone(), "abc", 1, 0, true), (true, one("abc", 2)));
        assert_eq!(after(twice.clone(), "abc", 2, 0, true), (false, one("abc", 3)));
        assert_eq!(after(twice, "abc", 2, 2, false), (false, one("c", 3)));
        let cutting = json!({ "MaximumRetryAttempts": 0, "BisectBatchOnFunctionError": true });
        let halves = vec![("a".to_owned(), 0), ("bc".to_owned(), 0)];
        assert_eq!(after(cutting.clone(), "abc", 0, 0, true), (true, halves));
        assert_eq!(after(cutting.clone(), "a", 0, 0, true), (false, one("a", 1)));
        assert_eq!(after(cutting.clone(), "abc", 0, 1, false), (true, one("bc", 0)));
        // Without progress it counts, or it would never end.
        assert_eq!(after(cutting, "abc", 0, 0, false), (false, one("abc", 1)));
    }

    #[test]
    fn a_lane_has_all_events_of_its_keys_in_order() {
        let all: Vec<SourceEvent> = (0..40).map(|n| event(&n.to_string(), &(n % 5).to_string())).collect();
        let lanes = (0..4).map(|lane| {
            let lane = Lane { region: "r", uuid: "u", shard: "s", lane, count: 4, since: 0 };
            let mut gathered = Gathered::default();
            gathered.add(&lane, all.clone());
            gathered.add(&lane, Vec::new());
            assert_eq!(gathered.last.as_deref(), Some("39"));
            gathered.events
        });
        let lanes: Vec<Vec<SourceEvent>> = lanes.filter(|lane| !lane.is_empty()).collect();
        assert!(lanes.len() > 1);
        assert_eq!(lanes.iter().map(Vec::len).sum::<usize>(), 40);
        for lane in &lanes {
            for key in 0..5 {
                let of_key = lane.iter().map(|event| event.id.parse::<i32>().unwrap()).filter(|id| id % 5 == key);
                let of_key: Vec<i32> = of_key.collect();
                assert!(of_key.is_sorted() && (of_key.is_empty() || of_key.len() == 8), "{of_key:?}");
            }
        }
        // Positions are saved by lanes: a key must have the same one in every build.
        assert_eq!(lane_of(&event("1", "chat"), 10), 5);
    }

    #[test]
    fn batches_are_cut_to_their_size_and_old_events_left_out() {
        let pieces = cut(events("abcde"), 2);
        assert_eq!(pieces.iter().map(|piece| ids(piece)).collect::<Vec<_>>(), ["ab", "cd", "e"]);
        let limited = mapping(json!({ "MaximumRecordAgeInSeconds": 60 }));
        assert_eq!(by_age(&limited, events("a"), 61_000).0.len(), 1);
        assert_eq!(by_age(&limited, events("a"), 61_001).1.len(), 1);
        let unlimited = mapping(json!({ "MaximumRecordAgeInSeconds": -1 }));
        assert_eq!(by_age(&unlimited, events("a"), 1000 + RETENTION).0.len(), 1);
        assert_eq!(by_age(&unlimited, events("a"), 1001 + RETENTION).1.len(), 1);
    }

    #[test]
    fn a_destination_is_told_where_the_events_are() {
        let mapping = mapping(json!({ "EventSourceArn": "arn:aws:dynamodb:r:000000000000:table/t/stream/s" }));
        let batch = Batch { events: events("abc"), failures: 3 };
        let failure = Failure { invoked: None, why: "throttled".to_owned() };
        let record = record(&mapping, "shard", &batch, Reason::Exhausted, Some(&failure));
        assert_eq!(record["requestContext"]["condition"], "RetryAttemptsExhausted");
        assert_eq!(record["requestContext"]["approximateInvokeCount"], 3);
        let expected = json!({
            "shardId": "shard", "startSequenceNumber": "a", "endSequenceNumber": "c", "batchSize": 3,
            "approximateArrivalOfFirstRecord": "1970-01-01T00:00:01Z",
            "approximateArrivalOfLastRecord": "1970-01-01T00:00:01Z",
            "streamArn": "arn:aws:dynamodb:r:000000000000:table/t/stream/s",
        });
        assert_eq!(record["DDBStreamBatchInfo"], expected);
    }
}
