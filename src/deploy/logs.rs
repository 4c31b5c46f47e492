//! What a stack's functions log, and what its gateway refuses: read once, or followed.
//!
//! CloudWatch Logs has no order between groups, and events arrive late. So every group is read again from a little before its
//! newest event, and what has been seen is left out by its id. On AWS this polls. The local cloud holds a request back until
//! there is something new (`WAIT`), so it takes no polling there.
//!
//! Which route and connection an invocation is for, a function's log does not say. The local cloud logs it
//! (`core::logs::gateway`), before it invokes the function; on AWS the stage's access log has it, if there is one, if it is JSON,
//! and if its format has Lambda's request id.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::aws::client::{Aws, AwsCall, CallError, Meaning};
use crate::core::logs::gateway::{AccessFormat, GatewayLine, Invocation, LOCAL_GROUP, Refusal};
use crate::core::logs::{Failure, FailureKind, Function, Item, Platform, Reader};
use crate::core::types::{Live, Owner, Part, kind};
use crate::core::words::nearest;

/// The header with which the local cloud waits for more events of a group than the caller has (`local::logs`).
const WAIT: &str = "x-wschat-known-events";

/// How often AWS is asked, and how many times a second at most for all groups together: FilterLogEvents has a quota of its own,
/// 5 to 25 a second by region, which others use, too.
const POLL: Duration = Duration::from_secs(2);
const MAX_POLLS_A_SECOND: usize = 4;

/// How often the local cloud is asked where it does not wait.
const LOCAL_POLL: Duration = Duration::from_millis(100);

/// How late an event may arrive that is older than the newest, in milliseconds.
const OVERLAP: i64 = 30_000;
const LOCAL_OVERLAP: i64 = 2_000;

/// How long to wait for further events of the same moment, so that they can be put in order.
const QUIET: Duration = Duration::from_millis(30);
/// How long what waits for more is held back when nothing arrives.
const IDLE: Duration = Duration::from_millis(400);
/// The same on AWS, where the rest may come with the next poll.
const IDLE_ON_AWS: Duration = Duration::from_secs(3);

/// Something that happened in a stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Milliseconds since the epoch.
    pub time: i64,
    /// The logical id of the function; of what never reached one, that of the stage.
    pub function: String,
    /// The log stream: one execution environment.
    pub stream: String,
    /// The route that it was invoked for, where that is known.
    pub route: Option<String>,
    /// The client's connection, where that is known.
    pub connection: Option<String>,
    pub item: Item,
}

/// Why logs could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the log group {group}: {error}")]
pub struct LogsError {
    pub group: String,
    #[source]
    pub error: CallError,
}

/// A name that is no function of the stack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stack has no function {name}")]
pub struct UnknownFunction {
    pub name: String,
    /// Those that it has.
    pub known: Vec<String>,
    /// The one that was probably meant.
    pub nearest: Option<String>,
}

/// The logs of a stack.
#[derive(Debug, Clone)]
pub struct Sources {
    sources: Vec<Source>,
    local: bool,
    /// Whether they are those of some functions only.
    selected: bool,
}

/// A log group, and how it is read.
#[derive(Debug, Clone)]
struct Source {
    group: String,
    /// The beginning of the names of its streams.
    streams: Option<String>,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Function {
        function: Function,
        physical_id: String,
    },
    /// The local cloud's own log of a stage or of a REST API, by its name here.
    Gateway(String),
    AccessLog(String, AccessFormat),
}

impl Sources {
    /// The logs of the stack that `live` is a reading of. `folders` are the folders of functions' code
    /// (`Project::code_folders`); `local` is whether it is on the local cloud.
    pub fn of(live: &[Live], folders: &BTreeMap<String, String>, local: bool) -> Self {
        let ours =
            || live.iter().filter(|one| one.owner == Owner::Stack).filter_map(|one| Some((one, kind(one.type_name)?)));
        let name = |one: &Live| one.logical_id.clone().unwrap_or_else(|| one.physical_id.clone());
        let functions = ours().filter_map(|(one, kind)| {
            let (group, mut function) = kind.code_log(one)?;
            function.folder = folders.get(&function.name).cloned().unwrap_or_default();
            let role = kind.runs_as(&one.properties);
            let role = role
                .and_then(|arn| live.iter().find(|other| other.attributes.get("Arn").is_some_and(|own| own == arn)));
            function.role = role.map(name);
            let what = What::Function { function, physical_id: one.physical_id.clone() };
            Some(Source { group, streams: None, what })
        });
        let mut sources: Vec<Source> = functions.collect();
        for (one, kind) in ours() {
            let streams = kind.gateway_log(one).filter(|_| local);
            if streams.is_some() {
                sources.push(Source { group: LOCAL_GROUP.to_owned(), streams, what: What::Gateway(name(one)) });
            } else if kind.part() == Part::Entry
                && let Some((group, format)) = kind.access_log(&one.properties)
                && let Some(format) = AccessFormat::parse(&format)
            {
                sources.push(Source { group, streams: None, what: What::AccessLog(name(one), format) });
            }
        }
        Self { sources, local, selected: false }
    }

    /// The functions, by the names that entries have for them.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter_map(|source| match &source.what {
            What::Function { function, .. } => Some(function.name.as_str()),
            What::Gateway(_) | What::AccessLog(..) => None,
        })
    }

    /// Whether it can be told which route and connection an invocation is for.
    pub fn knows_connections(&self) -> bool {
        self.sources.iter().any(|source| !matches!(source.what, What::Function { .. }))
    }

    /// Only these functions, by their logical ids or physical names, with what the gateway refused of theirs. None for all.
    ///
    /// # Errors
    /// When a name is no function's.
    pub fn only(&mut self, names: &[String]) -> Result<(), UnknownFunction> {
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            if !self.sources.iter().any(|source| source.is_called(name)) {
                let known: Vec<String> = self.functions().map(str::to_owned).collect();
                let all: Vec<&str> = known.iter().map(String::as_str).collect();
                let nearest = nearest(name, &all).map(str::to_owned);
                return Err(UnknownFunction { name: name.clone(), nearest, known });
            }
        }
        self.selected = true;
        self.sources.retain(|source| {
            !matches!(source.what, What::Function { .. }) || names.iter().any(|name| source.is_called(name))
        });
        Ok(())
    }

    /// Everything since `since` (milliseconds since the epoch), in the order of time.
    ///
    /// # Errors
    /// When a group cannot be read. One that does not exist yet is empty.
    pub async fn read(&self, aws: &Aws, since: i64) -> Result<Vec<Entry>, LogsError> {
        let mut groups: Vec<Group> = self.groups(since);
        let read = try_join_all(groups.iter_mut().enumerate().map(|(index, group)| async move {
            let events = group.poll(aws, false).await?;
            Ok(events.into_iter().map(move |event| (index, event)).collect::<Vec<_>>())
        }))
        .await?;
        let mut merge = Merge::new(self);
        let mut entries = merge.add(read.into_iter().flatten().collect());
        entries.extend(merge.flush());
        entries.sort_by_key(|entry| entry.time);
        Ok(entries)
    }

    /// Everything since `since`, and then what is added, as it is added: in batches that are in order. It ends with the first
    /// error, or when the receiver is dropped.
    pub fn follow(self, aws: Arc<Aws>, since: i64) -> mpsc::Receiver<Result<Vec<Entry>, LogsError>> {
        Self::follow_changing(watch::channel(self).1, aws, since)
    }

    /// As `follow`, of sources that change: new ones are read as well, and nothing of the others is lost or told twice.
    pub fn follow_changing(
        sources: watch::Receiver<Self>,
        aws: Arc<Aws>,
        since: i64,
    ) -> mpsc::Receiver<Result<Vec<Entry>, LogsError>> {
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            tokio::select! {
                end = send_all(sources, aws, since, &sender) => {
                    if let Err(error) = end {
                        let _ = sender.send(Err(error)).await;
                    }
                }
                () = sender.closed() => {}
            }
        });
        receiver
    }

    /// Takes over what is known of sources now. Those that have gone stay: what they logged may still arrive.
    fn update(&mut self, now: Self) {
        for source in now.sources {
            let same = |known: &&mut Source| (&known.group, &known.streams) == (&source.group, &source.streams);
            match self.sources.iter_mut().find(same) {
                Some(known) => known.what = source.what,
                None => self.sources.push(source),
            }
        }
    }

    fn groups(&self, since: i64) -> Vec<Group> {
        let group = |source: &Source| Group {
            name: source.group.clone(),
            streams: source.streams.clone(),
            overlap: if self.local { LOCAL_OVERLAP } else { OVERLAP },
            start: since,
            newest: since,
            seen: HashMap::new(),
        };
        self.sources.iter().map(group).collect()
    }
}

/// Polls a group until the receiver of its events is dropped.
async fn poll_group(
    mut group: Group,
    index: usize,
    pause: Duration,
    local: bool,
    aws: Arc<Aws>,
    heard: mpsc::Sender<Result<Vec<(usize, LogEvent)>, LogsError>>,
) {
    loop {
        let begun = Instant::now();
        let read = group.poll(&aws, local).await;
        let failed = read.is_err();
        let is_idle = read.as_ref().is_ok_and(Vec::is_empty);
        let read = read.map(|events| events.into_iter().map(|event| (index, event)).collect::<Vec<_>>());
        // Nothing is no news: what is held back waits until there is none.
        if !is_idle && (heard.send(read).await.is_err() || failed) {
            return;
        }
        // An answer of several pages does not wait.
        let pause = if local { LOCAL_POLL.saturating_sub(begun.elapsed()) } else { pause };
        if !local || is_idle {
            tokio::time::sleep(pause).await;
        }
    }
}

async fn send_all(
    mut sources: watch::Receiver<Sources>,
    aws: Arc<Aws>,
    since: i64,
    sender: &mpsc::Sender<Result<Vec<Entry>, LogsError>>,
) -> Result<(), LogsError> {
    let first = sources.borrow_and_update().clone();
    let local = first.local;
    let idle = if local { IDLE } else { IDLE_ON_AWS };
    let (heard, mut events) = mpsc::channel(64);
    // They end with this.
    let mut polling = JoinSet::new();
    let mut merge = Merge::new(&first);
    loop {
        let groups = merge.sources.groups(since);
        let pause = POLL.max(Duration::from_secs_f64(groups.len() as f64 / MAX_POLLS_A_SECOND as f64));
        for (index, group) in groups.into_iter().enumerate().skip(polling.len()) {
            polling.spawn(poll_group(group, index, pause, local, Arc::clone(&aws), heard.clone()));
        }
        let mut is_quiet = false;
        while !sources.has_changed().unwrap_or(false) {
            let first = tokio::select! {
                first = events.recv() => first,
                Ok(()) = sources.changed() => {
                    sources.mark_changed();
                    continue;
                }
                () = tokio::time::sleep(idle), if !is_quiet => {
                    is_quiet = true;
                    let held = merge.flush();
                    if !held.is_empty() && sender.send(Ok(held)).await.is_err() {
                        return Ok(());
                    }
                    continue;
                }
            };
            let Some(first) = first else { return Ok(()) };
            is_quiet = false;
            let mut batch = first?;
            while let Ok(Some(more)) = tokio::time::timeout(QUIET, events.recv()).await {
                batch.extend(more?);
            }
            let entries = merge.add(batch);
            if !entries.is_empty() && sender.send(Ok(entries)).await.is_err() {
                return Ok(());
            }
        }
        merge.sources.update(sources.borrow_and_update().clone());
    }
}

impl Source {
    fn is_called(&self, name: &str) -> bool {
        match &self.what {
            What::Function { function, physical_id } => function.name == name || physical_id == name,
            What::Gateway(_) | What::AccessLog(..) => false,
        }
    }
}

/// An event of CloudWatch Logs.
#[derive(Debug, Clone)]
struct LogEvent {
    time: i64,
    stream: String,
    message: String,
}

/// A log group that is read from where it was left.
#[derive(Debug)]
struct Group {
    name: String,
    streams: Option<String>,
    overlap: i64,
    /// The time from which it is read.
    start: i64,
    newest: i64,
    /// The events since `start`, by their ids, with their times.
    seen: HashMap<String, i64>,
}

impl Group {
    /// The events that were not seen yet. With `wait`, the local cloud answers when there are some.
    async fn poll(&mut self, aws: &Aws, wait: bool) -> Result<Vec<LogEvent>, LogsError> {
        let mut events = Vec::new();
        let mut next: Option<String> = None;
        loop {
            // What is on further pages is there already.
            let known = (wait && next.is_none()).then(|| self.seen.len().to_string());
            let answer = aws
                .call(AwsCall::new("logs", "FilterLogEvents").repeatable(), || {
                    let request = aws
                        .logs
                        .filter_log_events()
                        .log_group_name(&self.name)
                        .set_log_stream_name_prefix(self.streams.clone())
                        .start_time(self.start)
                        .set_next_token(next.clone());
                    let known = known.clone();
                    request
                        .customize()
                        .mutate_request(move |request| {
                            if let Some(known) = &known {
                                request.headers_mut().insert(WAIT, known.clone());
                            }
                        })
                        .send()
                })
                .await;
            let answer = match answer {
                Ok(answer) => answer,
                // A function that was never invoked has no group.
                Err(error) if error.is(Meaning::NotFound) => return Ok(Vec::new()),
                Err(error) => return Err(LogsError { group: self.name.clone(), error }),
            };
            for event in answer.events.unwrap_or_default() {
                let time = event.timestamp.unwrap_or_default();
                if self.seen.insert(event.event_id.unwrap_or_default(), time).is_none() {
                    self.newest = self.newest.max(time);
                    events.push(LogEvent {
                        time,
                        stream: event.log_stream_name.unwrap_or_default(),
                        message: event.message.unwrap_or_default(),
                    });
                }
            }
            next = answer.next_token;
            if next.is_none() {
                break;
            }
        }
        self.start = self.start.max(self.newest - self.overlap);
        self.seen.retain(|_, time| *time >= self.start);
        Ok(events)
    }
}

/// Puts the events of all groups in order, and tells what they say.
struct Merge {
    sources: Sources,
    /// By source and stream.
    readers: HashMap<(usize, String), (Reader, i64)>,
    /// Which route and connection an invocation is for, by its request id.
    invocations: Recent<Invocation>,
    /// Invocations whose failure was told.
    failed: Recent<()>,
    /// Errors that clients got because of a function: told only if its own log has no failure.
    refusals: Vec<(i64, usize, String, Refusal)>,
    /// What is not told before it is known which invocation it is of.
    unplaced: Vec<Entry>,
    /// The time of the newest event.
    newest: i64,
}

/// What is known of the last invocations, by request id: of `MAX_RECENT` at least, and of twice as many at most.
struct Recent<T> {
    now: HashMap<String, T>,
    before: HashMap<String, T>,
}

/// Enough for what may still arrive late; a process may follow for days.
const MAX_RECENT: usize = 10_000;

/// How many streams are known before those that have ended are forgotten, even if it never becomes quiet.
const MAX_READERS: usize = 1_000;

/// How long an invocation may take, in milliseconds (Lambda developer guide, quotas): so long a stream may be silent.
const MAX_SILENCE: i64 = 15 * 60 * 1000;

impl<T> Recent<T> {
    fn new() -> Self {
        Self { now: HashMap::new(), before: HashMap::new() }
    }

    fn insert(&mut self, id: String, value: T) {
        if self.now.len() >= MAX_RECENT {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.insert(id, value);
    }

    fn get(&self, id: &str) -> Option<&T> {
        self.now.get(id).or_else(|| self.before.get(id))
    }
}

impl Merge {
    fn new(sources: &Sources) -> Self {
        Self {
            sources: sources.clone(),
            readers: HashMap::new(),
            invocations: Recent::new(),
            failed: Recent::new(),
            refusals: Vec::new(),
            unplaced: Vec::new(),
            newest: i64::MIN,
        }
    }

    /// What these events say, in the order of time.
    fn add(&mut self, mut events: Vec<(usize, LogEvent)>) -> Vec<Entry> {
        events.sort_by_key(|(_, event)| event.time);
        self.newest = self.newest.max(events.last().map_or(i64::MIN, |(_, event)| event.time));
        let mut entries = Vec::new();
        for (index, event) in &events {
            let read = match &self.sources.sources[*index].what {
                What::Gateway(_) => serde_json::from_str(&event.message).ok(),
                What::AccessLog(_, format) => format.read(&event.message),
                What::Function { .. } => None,
            };
            match read {
                Some(GatewayLine::Invocation(invocation)) => {
                    self.invocations.insert(invocation.request_id.clone(), invocation);
                }
                Some(GatewayLine::Refusal(refusal)) if refusal.by_function => {
                    self.refusals.push((event.time, *index, event.stream.clone(), refusal));
                }
                Some(GatewayLine::Refusal(refusal)) => {
                    entries.extend(self.refused(event.time, *index, &event.stream, refusal));
                }
                None => {}
            }
        }
        for (index, event) in events {
            let What::Function { function, .. } = &self.sources.sources[index].what else { continue };
            let key = (index, event.stream.clone());
            let (reader, time) = self.readers.entry(key).or_insert_with(|| (Reader::new(function.clone()), event.time));
            let items = reader.read(&event.message);
            *time = event.time;
            entries.extend(items.into_iter().map(|item| Entry {
                time: event.time,
                function: function.name.clone(),
                stream: event.stream.clone(),
                route: None,
                connection: None,
                item,
            }));
        }
        entries.sort_by_key(|entry| entry.time);
        // One round is enough: the local cloud logs an invocation before it begins.
        let waited = std::mem::take(&mut self.unplaced);
        let mut placed = self.place(waited, false);
        placed.extend(self.place(entries, self.sources.local));
        // Where it never becomes quiet, what waits is told when it has waited for long enough.
        let late = self.newest.saturating_sub(if self.sources.local { LOCAL_OVERLAP } else { OVERLAP });
        placed.extend(self.decide_refusals(late));
        if self.readers.len() > MAX_READERS {
            self.forget_readers();
        }
        placed
    }

    /// Forgets the streams in which no invocation can run any more.
    fn forget_readers(&mut self) {
        let silent = self.newest.saturating_sub(MAX_SILENCE);
        self.readers.retain(|_, (_, time)| *time >= silent);
    }

    /// The entries of the errors before `until` that clients got and whose functions did not log why.
    fn decide_refusals(&mut self, until: i64) -> Vec<Entry> {
        let decided: Vec<_> = self.refusals.extract_if(.., |(time, ..)| *time < until).collect();
        let is_told = |refusal: &Refusal| refusal.request_id.as_ref().is_some_and(|id| self.failed.get(id).is_some());
        let untold = decided.into_iter().filter(|(.., refusal)| !is_told(refusal));
        untold.filter_map(|(time, index, stream, refusal)| self.refused(time, index, &stream, refusal)).collect()
    }

    /// What was held back.
    fn flush(&mut self) -> Vec<Entry> {
        let mut entries = std::mem::take(&mut self.unplaced);
        for ((index, stream), (reader, time)) in &mut self.readers {
            let What::Function { function, .. } = &self.sources.sources[*index].what else { continue };
            entries.extend(reader.flush().into_iter().map(|item| Entry {
                time: *time,
                function: function.name.clone(),
                stream: stream.clone(),
                route: None,
                connection: None,
                item,
            }));
        }
        let mut entries = self.place(entries, false);
        entries.extend(self.decide_refusals(i64::MAX));
        entries.sort_by_key(|entry| entry.time);
        self.forget_readers();
        entries
    }

    /// Entries with their routes and connections. With `hold`, those whose invocation is not known yet wait.
    fn place(&mut self, entries: Vec<Entry>, hold: bool) -> Vec<Entry> {
        let mut placed = Vec::new();
        let mut held: HashSet<String> = HashSet::new();
        for mut entry in entries {
            let id = entry.item.request_id().map(str::to_owned);
            if let (Item::Failure(_), Some(id)) = (&entry.item, &id) {
                self.failed.insert(id.clone(), ());
            }
            match id.as_ref().and_then(|id| self.invocations.get(id)) {
                Some(invocation) => {
                    if let (Item::Failure(failure), None) = (&mut entry.item, &entry.route) {
                        failure.behind_gateway();
                    }
                    entry.route = Some(invocation.route.clone());
                    entry.connection = Some(invocation.connection_id.clone());
                }
                None if hold && id.is_some() && entry.connection.is_none() => {
                    held.insert(entry.stream.clone());
                }
                None => {}
            }
            // What follows in the same stream must not pass it.
            if held.contains(&entry.stream) { self.unplaced.push(entry) } else { placed.push(entry) }
        }
        placed
    }

    /// The entry of an error that a client got, if it is about a function that is asked for.
    fn refused(&self, time: i64, index: usize, stream: &str, refusal: Refusal) -> Option<Entry> {
        let (What::Gateway(stage) | What::AccessLog(stage, _)) = &self.sources.sources[index].what else { return None };
        let physical = refusal.function.as_deref().and_then(|arn| arn.split(":function:").nth(1));
        let physical = physical.map(|rest| rest.split(':').next().unwrap_or_default());
        let named = self.sources.sources.iter().find_map(|source| match &source.what {
            What::Function { function, physical_id } if physical == Some(physical_id.as_str()) => {
                Some(function.name.clone())
            }
            _ => None,
        });
        if named.is_none() && self.sources.selected {
            return None;
        }
        let function = named.unwrap_or_else(|| stage.clone());
        let error_type = format!("{} {}", refusal.status, refusal.message).trim_end().to_owned();
        Some(Entry {
            time,
            function,
            stream: stream.to_owned(),
            route: refusal.route,
            connection: Some(refusal.connection_id).filter(|id| !id.is_empty()),
            item: Item::Failure(Failure {
                kind: FailureKind::Gateway,
                error_type,
                message: refusal.reason,
                stack: Vec::new(),
                request_id: refusal.request_id,
                help: refusal.help.unwrap_or_default(),
            }),
        })
    }
}

impl Entry {
    /// Whether it tells of a failure, or is output at the level of errors.
    pub fn is_error(&self) -> bool {
        self.item.is_error()
    }

    /// Whether people are to see it: all but the lines that only begin and end an invocation.
    pub fn is_shown(&self) -> bool {
        match &self.item {
            Item::Output(_) | Item::Failure(_) => true,
            Item::Platform(platform) => matches!(platform, Platform::Report(_)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(local: bool) -> Sources {
        let function = |name: &str| Source {
            group: format!("/aws/lambda/app-{name}"),
            streams: None,
            what: What::Function {
                function: Function { name: name.to_owned(), ..Function::default() },
                physical_id: format!("app-{name}"),
            },
        };
        let gateway = Source { group: LOCAL_GROUP.to_owned(), streams: None, what: What::Gateway("Stage".to_owned()) };
        Sources { sources: vec![function("One"), function("Two"), gateway], local, selected: false }
    }

    fn event(source: usize, time: i64, message: &str) -> (usize, LogEvent) {
        (source, LogEvent { time, stream: format!("s{source}"), message: message.to_owned() })
    }

    fn invocation(time: i64, id: &str) -> (usize, LogEvent) {
        event(2, time, &format!(r#"{{"invocation":{{"route":"hi","connection_id":"C=","request_id":"{id}"}}}}"#))
    }

    fn refusal(time: i64, id: &str, by_function: bool) -> (usize, LogEvent) {
        let line = format!(
            r#"{{"refusal":{{"route":"hi","connection_id":"C=","request_id":"{id}","function":"arn:aws:lambda:r:1:function:app-One",
            "status":502,"message":"Internal server error","reason":"why","help":null,"by_function":{by_function}}}}}"#
        );
        event(2, time, &line)
    }

    /// Time, function, route and text of what is shown.
    fn shown(entries: &[Entry]) -> Vec<(i64, &str, Option<&str>, &str)> {
        let text = |entry: &'_ Entry| match &entry.item {
            Item::Output(output) => Some(output.text.clone().leak() as &str),
            Item::Failure(failure) => Some(failure.message.clone().leak() as &str),
            Item::Platform(_) => None,
        };
        entries
            .iter()
            .filter_map(|entry| Some((entry.time, entry.function.as_str(), entry.route.as_deref(), text(entry)?)))
            .collect()
    }

    #[test]
    fn groups_are_merged_in_the_order_of_time() {
        let sources = sources(false);
        let mut merge = Merge::new(&sources);
        let entries = merge.add(vec![event(0, 3, "c"), event(1, 2, "b"), event(0, 1, "a")]);
        assert_eq!(shown(&entries), [(1, "One", None, "a"), (2, "Two", None, "b"), (3, "One", None, "c")]);
    }

    #[test]
    fn an_entry_waits_for_the_invocation_that_it_is_of() {
        let sources = sources(true);
        let mut merge = Merge::new(&sources);
        let known = merge.add(vec![invocation(1, "a"), event(0, 1, "START RequestId: a Version: 1"), event(0, 2, "x")]);
        assert_eq!(shown(&known), [(2, "One", Some("hi"), "x")]);
        let early = merge.add(vec![event(0, 4, "START RequestId: b Version: 1"), event(0, 5, "y")]);
        assert_eq!(shown(&early), []);
        let late = merge.add(vec![invocation(4, "b")]);
        assert_eq!(shown(&late), [(5, "One", Some("hi"), "y")]);
        // What no client caused is shown all the same.
        assert_eq!(shown(&merge.add(vec![event(1, 6, "START RequestId: c Version: 1"), event(1, 7, "z")])), []);
        assert_eq!(shown(&merge.flush()), [(7, "Two", None, "z")]);
    }

    #[test]
    fn an_error_that_a_function_caused_is_told_once() {
        let sources = sources(true);
        let logged = "RequestId: a Error: Runtime exited with error: exit status 1\nRuntime.ExitError";
        let mut merge = Merge::new(&sources);
        let entries = merge.add(vec![invocation(1, "a"), event(0, 2, logged), refusal(3, "a", true)]);
        assert_eq!(shown(&entries).len(), 1);
        assert_eq!(shown(&merge.flush()), []);
        // Where the function logged nothing, the gateway's word is all there is.
        assert_eq!(shown(&merge.add(vec![refusal(4, "b", true)])), []);
        assert_eq!(shown(&merge.flush()), [(4, "One", Some("hi"), "why")]);
        assert_eq!(shown(&merge.add(vec![refusal(5, "c", false)])), [(5, "One", Some("hi"), "why")]);
    }

    #[test]
    fn the_limit_of_the_gateway_is_told_to_whom_it_is_about() {
        let sources = sources(true);
        let mut merge = Merge::new(&sources);
        let timeout = |id: &str| format!("2026-05-04T10:00:03.010Z {id} Task timed out after 3.00 seconds\n\n");
        let (client, queue) = ("79b4f56e-95b1-4643-9700-2807f4e68189", "79b4f56e-95b1-4643-9700-2807f4e68190");
        let mut entries =
            merge.add(vec![invocation(1, client), event(0, 2, &timeout(client)), event(1, 3, &timeout(queue))]);
        entries.extend(merge.flush());
        let help = entries.iter().filter_map(|entry| match &entry.item {
            Item::Failure(failure) => Some(failure.help.contains("API Gateway waits for 29 s")),
            _ => None,
        });
        assert_eq!(help.collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn sources_that_change_keep_their_places() {
        let mut sources = sources(true);
        let mut now = sources.clone();
        now.sources.swap(0, 1);
        let added = Source { group: "/aws/lambda/app-Three".to_owned(), ..now.sources.remove(0) };
        now.sources.insert(0, added);
        sources.update(now);
        let groups: Vec<&str> = sources.sources.iter().map(|source| source.group.as_str()).collect();
        assert_eq!(groups, ["/aws/lambda/app-One", "/aws/lambda/app-Two", LOCAL_GROUP, "/aws/lambda/app-Three"]);
    }

    #[test]
    fn an_error_that_clients_got_is_told_even_if_it_never_becomes_quiet() {
        let sources = sources(true);
        let mut merge = Merge::new(&sources);
        let busy =
            |time| vec![invocation(time, "b"), event(0, time, "START RequestId: b Version: 1"), event(0, time, "x")];
        assert_eq!(shown(&merge.add(vec![refusal(1_000, "a", true)])), []);
        assert_eq!(shown(&merge.add(busy(1_000 + LOCAL_OVERLAP))).len(), 1);
        let told = merge.add(busy(1_001 + LOCAL_OVERLAP));
        assert_eq!(shown(&told)[1..], [(1_000, "One", Some("hi"), "why")]);
        assert!(merge.refusals.is_empty());
    }

    #[test]
    fn of_many_invocations_the_last_are_known() {
        let mut recent = Recent::new();
        for id in 0..3 * MAX_RECENT {
            recent.insert(id.to_string(), id);
        }
        assert_eq!(recent.get(&(2 * MAX_RECENT).to_string()), Some(&(2 * MAX_RECENT)));
        assert_eq!(recent.get("0"), None);
        assert!(recent.now.len() + recent.before.len() <= 2 * MAX_RECENT);
    }

    #[test]
    fn functions_are_chosen_by_either_name() {
        for name in ["Two", "app-Two"] {
            let mut sources = sources(true);
            sources.only(&[name.to_owned()]).unwrap();
            assert_eq!(sources.functions().collect::<Vec<_>>(), ["Two"]);
            // The gateway's errors of others are not asked for.
            let mut merge = Merge::new(&sources);
            let (_, other) = refusal(1, "a", false);
            assert_eq!(shown(&merge.add(vec![(1, other)])), []);
        }
        let unknown = sources(true).only(&["Tow".to_owned()]).unwrap_err();
        assert_eq!(unknown.nearest.as_deref(), Some("Two"));
    }
}
