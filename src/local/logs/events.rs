//! The operations on log streams and their events.

use serde_json::{Map, Value, json};

use super::journal::{Event, Position, Stream, read};
use super::pattern::Pattern;
use super::{Answer, Input, LogStore, bad_token, constraint, groups, invalid, no_stream, page, required, unavailable};
use crate::local::context::clock::now_millis;
use crate::local::context::ports::LogEvent;
use crate::local::protocol::wire::ApiError;

const HOUR: i64 = 3600 * 1000;

/// Quotas of CloudWatch Logs: events in one call, bytes in one call (26 for each event beside its text), bytes of
/// events in one answer.
const MAX_BATCH_EVENTS: usize = 10_000;
const MAX_BATCH_BYTES: usize = 1_048_576;
const MAX_ANSWER_BYTES: usize = 1_048_576;

pub fn create_log_stream(store: &LogStore, region: &str, input: Input) -> Answer {
    let (group, stream) = (input.group_name()?, input.stream_name()?);
    if stream.is_empty() || stream.len() > 512 || stream.contains([':', '*']) {
        let rule = "Member must satisfy regular expression pattern: [^:*]*";
        return Err(constraint(&format!("Value '{stream}'"), "logStreamName", rule));
    }
    store.journal(&store.group(region, &group)?, |journal| {
        if journal.streams.contains_key(&stream) {
            let message = "The specified log stream already exists";
            return Err(ApiError::new(400, "ResourceAlreadyExistsException", message));
        }
        journal.create_stream(&stream, now_millis()).map_err(unavailable)
    })?;
    Ok(json!({}))
}

pub fn delete_log_stream(store: &LogStore, region: &str, input: Input) -> Answer {
    let (group, stream) = (input.group_name()?, input.stream_name()?);
    store.journal(&store.group(region, &group)?, |journal| {
        journal.streams.get(&stream).ok_or_else(no_stream)?;
        journal.delete_stream(&stream).map_err(unavailable)
    })?;
    Ok(json!({}))
}

pub fn describe_log_streams(store: &LogStore, region: &str, input: Input) -> Answer {
    let name = input.group()?;
    let limit = input.limit(50)?;
    let by_time = match input.order_by.as_deref() {
        None | Some("LogStreamName") => false,
        Some("LastEventTime") => true,
        Some(other) => {
            let rule = "Member must satisfy enum value set: [LastEventTime, LogStreamName]";
            return Err(constraint(&format!("Value '{other}'"), "orderBy", rule));
        }
    };
    let prefix = input.log_stream_name_prefix.as_deref();
    if by_time && prefix.is_some() {
        return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let mut streams: Vec<(String, Stream)> = store.journal(&store.group(region, &name)?, |journal| {
        let wanted = journal.streams.iter().filter(|(name, _)| prefix.is_none_or(|prefix| name.starts_with(prefix)));
        Ok(wanted.map(|(name, stream)| (name.clone(), stream.clone())).collect())
    })?;
    if by_time {
        streams.sort_by_key(|(_, stream)| stream.last_event);
    }
    if input.descending {
        streams.reverse();
    }
    let group_arn = groups::arn(region, &name);
    let described =
        streams.into_iter().map(|(name, stream)| (name.clone(), described(&group_arn, &name, &stream))).collect();
    let (streams, next) = page(described, input.next_token.as_deref(), limit)?;
    let mut answer = json!({ "logStreams": streams });
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

fn described(group_arn: &str, name: &str, stream: &Stream) -> Value {
    let mut described = json!({
        "logStreamName": name,
        "creationTime": stream.created,
        "arn": format!("{group_arn}:log-stream:{name}"),
        // Not counted per stream since 2019 (`LogStream`, API reference).
        "storedBytes": 0,
    });
    let times = [
        ("firstEventTimestamp", stream.first_event),
        ("lastEventTimestamp", stream.last_event),
        ("lastIngestionTime", stream.last_ingestion),
    ];
    for (member, time) in times {
        if let Some(time) = time {
            described[member] = json!(time);
        }
    }
    described
}

pub fn put_log_events(store: &LogStore, region: &str, input: Input) -> Answer {
    let (group, stream) = (store.group(region, &input.group_name()?)?, input.stream_name()?);
    store.check_streams(&group, [&stream])?;
    required(input.log_events.as_ref(), "logEvents")?;
    let events: Vec<LogEvent> = input
        .log_events
        .into_iter()
        .flatten()
        .map(|event| LogEvent { timestamp: event.timestamp, message: event.message })
        .collect();
    check_batch(&events)?;
    let (accepted, rejected) = reject_by_time(events, now_millis(), group.expired(now_millis()));
    store.append(&group, &stream, accepted)?;
    // Sequence tokens have been ignored since 2023 but are still returned.
    let token = id((now_millis(), 0));
    let mut answer = json!({ "nextSequenceToken": token });
    if !rejected.is_empty() {
        answer["rejectedLogEventsInfo"] = Value::Object(rejected);
    }
    Ok(answer)
}

/// Checks a batch as a whole.
fn check_batch(events: &[LogEvent]) -> Result<(), ApiError> {
    if events.is_empty() {
        return Err(constraint("Value '[]'", "logEvents", "Member must have length greater than or equal to 1"));
    }
    if events.len() > MAX_BATCH_EVENTS {
        let rule = format!("Member must have length less than or equal to {MAX_BATCH_EVENTS}");
        return Err(constraint("Value", "logEvents", &rule));
    }
    if let Some(index) = events.iter().position(|event| event.message.is_empty()) {
        let member = format!("logEvents.{}.member.message", index + 1);
        return Err(constraint("Value ''", &member, "Member must have length greater than or equal to 1"));
    }
    let bytes: usize = events.iter().map(|event| event.message.len() + 26).sum();
    if bytes > MAX_BATCH_BYTES {
        return Err(invalid(format!("Upload too large: {bytes} bytes exceeds limit of {MAX_BATCH_BYTES}")));
    }
    if !events.is_sorted_by_key(|event| event.timestamp) {
        return Err(invalid("Log events in a single PutLogEvents request must be in chronological order."));
    }
    let span = events.last().map_or(0, |event| event.timestamp) - events.first().map_or(0, |event| event.timestamp);
    if span > 24 * HOUR {
        let message = "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.";
        return Err(invalid(message));
    }
    Ok(())
}

/// Removes events that are too old (14 days), expired by the group's retention, or too new (2 hours), and reports them by
/// index.
fn reject_by_time(events: Vec<LogEvent>, now: i64, retention: i64) -> (Vec<LogEvent>, Map<String, Value>) {
    let before = |limit: i64| events.partition_point(|event| event.timestamp < limit);
    let expired = before(retention);
    let old = before(now - 14 * 24 * HOUR);
    let new = before(now + 2 * HOUR + 1);
    let mut rejected = Map::new();
    if expired > 0 {
        rejected.insert("expiredLogEventEndIndex".to_owned(), json!(expired));
    }
    if old > 0 {
        rejected.insert("tooOldLogEventEndIndex".to_owned(), json!(old));
    }
    if new < events.len() {
        rejected.insert("tooNewLogEventStartIndex".to_owned(), json!(new));
    }
    let accepted = events.into_iter().take(new).skip(expired.max(old)).collect();
    (accepted, rejected)
}

pub fn get_log_events(store: &LogStore, region: &str, input: Input) -> Answer {
    let (name, stream) = (input.group()?, input.stream_name()?);
    let limit = input.limit(10_000)?;
    let token = input.next_token.as_deref().map(|token| Token::parse(token).ok_or_else(bad_token)).transpose()?;
    let group = store.group(region, &name)?;
    store.check_streams(&group, [&stream])?;
    let (path, expired) = (store.journal_path(&group.id), group.expired(now_millis()));
    let (start, end) = (input.start_time.unwrap_or(i64::MIN), input.end_time.unwrap_or(i64::MAX));
    let mut events = read(&path, |event| {
        // The end is exclusive here.
        let in_time = event.timestamp >= start.max(expired) && event.timestamp < end;
        let in_turn = match token {
            Some(Token::Forward(after)) => event.position() > after,
            Some(Token::Backward(before)) => event.position() < before,
            None => true,
        };
        event.stream == stream && in_time && in_turn
    })
    .map_err(unavailable)?;
    let forward = match token {
        Some(token) => matches!(token, Token::Forward(_)),
        None => input.start_from_head,
    };
    if forward {
        let most = fitting(events.iter(), limit);
        events.truncate(most);
    } else {
        let most = fitting(events.iter().rev(), limit);
        events.drain(..events.len() - most);
    }
    // At an end, AWS returns the token of the request.
    let asked = match token {
        Some(Token::Forward(position) | Token::Backward(position)) => position,
        None => (0, 0),
    };
    let first = events.first().map_or(asked, Event::position);
    let last = events.last().map_or(asked, Event::position);
    let given: Vec<Value> = events
        .iter()
        .map(|event| json!({ "timestamp": event.timestamp, "message": event.message, "ingestionTime": event.ingested }))
        .collect();
    Ok(json!({
        "events": given,
        "nextForwardToken": Token::Forward(last).written(),
        "nextBackwardToken": Token::Backward(first).written(),
    }))
}

pub fn filter_log_events(store: &LogStore, region: &str, input: Input) -> Answer {
    let name = input.group()?;
    let limit = input.limit(10_000)?;
    if input.log_stream_names.is_some() && input.log_stream_name_prefix.is_some() {
        return Err(invalid("LogStreamNames and LogStreamNamePrefix are mutually exclusive parameters."));
    }
    let pattern =
        Pattern::parse(&input.filter_pattern).map_err(|why| invalid(format!("Invalid filter pattern: {why}")))?;
    let after = input.next_token.as_deref().map(|token| position(token).ok_or_else(bad_token)).transpose()?;
    let group = store.group(region, &name)?;
    store.check_streams(&group, input.log_stream_names.iter().flatten())?;
    let (path, expired) = (store.journal_path(&group.id), group.expired(now_millis()));
    let (start, end) = (input.start_time.unwrap_or(i64::MIN), input.end_time.unwrap_or(i64::MAX));
    let mut events = read(&path, |event| {
        // The end is inclusive here.
        (start.max(expired)..=end).contains(&event.timestamp)
            && after.is_none_or(|after| event.position() > after)
            && input.log_stream_names.as_ref().is_none_or(|names| names.contains(&event.stream))
            && input.log_stream_name_prefix.as_ref().is_none_or(|prefix| event.stream.starts_with(prefix.as_str()))
            && pattern.matches(&event.message)
    })
    .map_err(unavailable)?;
    let most = fitting(events.iter(), limit);
    let more = most < events.len();
    events.truncate(most);
    let given: Vec<Value> = events
        .iter()
        .map(|event| {
            json!({
                "logStreamName": event.stream,
                "timestamp": event.timestamp,
                "message": event.message,
                "ingestionTime": event.ingested,
                "eventId": id(event.position()),
            })
        })
        .collect();
    let mut answer = json!({ "events": given, "searchedLogStreams": [] });
    if let Some(last) = events.last().filter(|_| more) {
        answer["nextToken"] = json!(id(last.position()));
    }
    Ok(answer)
}

/// How many of `events` fit into one answer: at most `limit` and [`MAX_ANSWER_BYTES`], but at least one.
fn fitting<'a>(events: impl Iterator<Item = &'a Event>, limit: usize) -> usize {
    let mut bytes = 0;
    events
        .take(limit)
        .enumerate()
        .take_while(|(index, event)| {
            bytes += event.message.len() + 26;
            *index == 0 || bytes <= MAX_ANSWER_BYTES
        })
        .count()
}

/// Where `GetLogEvents` continues: after an event, or before one.
#[derive(Debug, Clone, Copy)]
enum Token {
    Forward(Position),
    Backward(Position),
}

impl Token {
    fn parse(text: &str) -> Option<Self> {
        let (direction, rest) = text.split_once('/')?;
        let position = position(rest.strip_suffix("/s")?)?;
        match direction {
            "f" => Some(Self::Forward(position)),
            "b" => Some(Self::Backward(position)),
            _ => None,
        }
    }

    fn written(self) -> String {
        match self {
            Self::Forward(position) => format!("f/{}/s", id(position)),
            Self::Backward(position) => format!("b/{}/s", id(position)),
        }
    }
}

/// A position as an event's id: 56 digits, as AWS's ids have.
fn id((timestamp, number): Position) -> String {
    format!("{timestamp:020}{number:036}")
}

fn position(id: &str) -> Option<Position> {
    if id.len() != 56 || !id.is_ascii() {
        return None;
    }
    Some((id[..20].parse().ok()?, id[20..].parse().ok()?))
}
