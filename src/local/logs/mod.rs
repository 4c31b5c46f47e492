//! CloudWatch Logs: groups with their retention and tags, streams, events.
//!
//! `groups` and `events` hold the operations, `journal` the file with a group's events, `pattern` the filter
//! patterns. Errors have AWS's messages.

mod events;
mod groups;
mod journal;
mod operations;
mod overview;
mod pattern;
mod required_permissions;
#[cfg(test)]
mod tests;

pub use self::overview::GroupOverview;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use super::context::CloudContext;
use crate::local::context::clock::now_millis;
use crate::local::context::ports::{LogEvent, LogSink, Tagged, TaggedResources};
use crate::local::context::store::{PersistedState, Store};
use crate::local::lock::lock;
use crate::local::protocol::wire::ApiError;
use journal::Journal;

/// The group with the gateway's own log. Lists of groups do not have it, because AWS has none such.
const GATEWAY_GROUP: &str = "/wschat/gateway";

/// The header of `FilterLogEvents` with how many events of the answer the caller has: the answer waits until it has others. So
/// `wschat logs --follow` needs no polling.
const WAIT: &str = "x-wschat-known-events";

/// How long such an answer waits.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// How long events are gathered before it is given: handlers log in bursts.
const GATHER: Duration = Duration::from_millis(10);

/// The folder of the groups' journals in the store.
const FOLDER: &str = "logs";

type Answer = Result<Value, ApiError>;

/// The account's logs, in all regions.
#[derive(Debug)]
pub struct Logs {
    store: Arc<LogStore>,
}

/// The log groups of all regions, and the journals of their events.
#[derive(Debug)]
pub struct LogStore {
    files: Store,
    regions: PersistedState<Regions>,
    /// By the ids of their groups. Each is opened on first use, since together they can be large.
    journals: Mutex<HashMap<String, Arc<Mutex<Option<Journal>>>>>,
    /// Counts appended batches of events.
    appended: watch::Sender<u64>,
}

/// The groups of each region, by name; saved as `logs` in the store.
type Regions = BTreeMap<String, BTreeMap<String, Group>>;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Group {
    /// The name of its journal. A new id for each group, so that a group with a reused name starts empty.
    id: String,
    /// Milliseconds since the epoch.
    created: i64,
    retention_days: Option<i64>,
    class: String,
    kms_key: Option<String>,
    deletion_protected: bool,
    tags: BTreeMap<String, String>,
}

/// The members of all operations' inputs; each operation uses some of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Input {
    deletion_protection_enabled: Option<bool>,
    descending: bool,
    end_time: Option<i64>,
    filter_pattern: String,
    kms_key_id: Option<String>,
    limit: Option<i64>,
    log_events: Option<Vec<InputEvent>>,
    log_group_class: Option<String>,
    log_group_identifier: Option<String>,
    log_group_name: Option<String>,
    log_group_name_pattern: Option<String>,
    log_group_name_prefix: Option<String>,
    log_stream_name: Option<String>,
    log_stream_name_prefix: Option<String>,
    log_stream_names: Option<Vec<String>>,
    next_token: Option<String>,
    order_by: Option<String>,
    resource_arn: Option<String>,
    retention_in_days: Option<i64>,
    start_from_head: bool,
    start_time: Option<i64>,
    tag_keys: Vec<String>,
    /// A map of tags to set; for `UntagLogGroup` a list of keys to remove.
    tags: Value,
}

#[derive(Debug, Clone, Deserialize)]
struct InputEvent {
    timestamp: i64,
    message: String,
}

impl Logs {
    /// Opens the logs with their saved state.
    ///
    /// # Errors
    /// When the saved state cannot be read.
    pub fn open(context: &CloudContext) -> io::Result<Arc<Self>> {
        let files = context.store.clone();
        let regions = PersistedState::open(files.clone(), "logs", unavailable)?;
        let store = LogStore { files, regions, journals: Mutex::default(), appended: watch::Sender::default() };
        store.remove_orphans();
        Ok(Arc::new(Self { store: Arc::new(store) }))
    }
}

impl LogSink for Logs {
    fn append_if(&self, region: &str, group: &str, stream: &str, events: Vec<LogEvent>, may_create: &dyn Fn() -> bool) {
        if let Err(error) = self.store.deliver(region, group, stream, events, may_create) {
            tracing::warn!(group, stream, "log events are lost: {}", error.message);
        }
    }

    fn log_gateway(&self, region: &str, stream: &str, line: String) {
        self.append(region, GATEWAY_GROUP, stream, vec![LogEvent { timestamp: now_millis(), message: line }]);
    }

    fn has_group(&self, region: &str, group: &str) -> bool {
        self.store.group(region, group).is_ok()
    }
}

impl TaggedResources for Logs {
    fn tagged(&self, region: &str) -> Result<Vec<Tagged>, ApiError> {
        let tagged = |(name, group): (&String, &Group)| Tagged {
            type_name: "logs:log-group".to_owned(),
            arn: CloudContext::arn("logs", region, &format!("log-group:{name}")),
            tags: group.tags.clone(),
        };
        Ok(self.store.regions.read(|regions| regions.get(region).into_iter().flatten().map(tagged).collect()))
    }

    fn retag(&self, arn: &str, set: &BTreeMap<String, String>, removed: &[String]) -> Result<bool, ApiError> {
        let parts: Vec<&str> = arn.splitn(7, ':').collect();
        let [_, _, "logs", region, _, "log-group", name] = parts[..] else { return Ok(false) };
        self.store.change(region, name, |group| {
            group.tags.extend(set.clone());
            group.tags.retain(|key, _| !removed.contains(key));
        })?;
        Ok(true)
    }
}

impl LogStore {
    fn deliver(
        &self,
        region: &str,
        name: &str,
        stream: &str,
        events: Vec<LogEvent>,
        may_create: &dyn Fn() -> bool,
    ) -> Result<(), ApiError> {
        let group = match self.group(region, name) {
            Ok(group) => group,
            Err(missing) => self.regions.change(|regions| {
                let groups = regions.entry(region.to_owned()).or_default();
                if !groups.contains_key(name) && !may_create() {
                    return Err(missing);
                }
                Ok(groups.entry(name.to_owned()).or_insert_with(Group::new).clone())
            })?,
        };
        self.append(&group, stream, events)
    }

    /// Appends events to a stream of a group.
    fn append(&self, group: &Group, stream: &str, events: Vec<LogEvent>) -> Result<(), ApiError> {
        self.journal(group, |journal| journal.append(stream, events, now_millis()).map_err(unavailable))?;
        self.appended.send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }

    /// How many events a group has had; 0 where there is no such group.
    fn count(&self, region: &str, name: &str) -> u64 {
        let group = self.group(region, name);
        group.and_then(|group| self.journal(&group, |journal| Ok(journal.count()))).unwrap_or_default()
    }

    /// The current state of a group.
    fn group(&self, region: &str, name: &str) -> Result<Group, ApiError> {
        self.regions
            .read(|regions| regions.get(region).and_then(|groups| groups.get(name)).cloned().ok_or_else(no_group))
    }

    /// Changes a group's settings.
    fn change(&self, region: &str, name: &str, change: impl FnOnce(&mut Group)) -> Answer {
        self.regions.change(|regions| {
            change(regions.get_mut(region).and_then(|groups| groups.get_mut(name)).ok_or_else(no_group)?);
            Ok(Value::Object(Default::default()))
        })
    }

    /// Runs `work` on a group's journal, which it locks and opens where necessary. Journals save themselves.
    fn journal<T>(&self, group: &Group, work: impl FnOnce(&mut Journal) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let slot = Arc::clone(lock(&self.journals).entry(group.id.clone()).or_default());
        let mut slot = lock(&slot);
        let journal = match &mut *slot {
            Some(journal) => journal,
            none => {
                let opened = Journal::open(self.journal_path(&group.id), group.expired(now_millis()));
                none.insert(opened.map_err(unavailable)?)
            }
        };
        work(journal)
    }

    /// Checks that a group has these streams.
    fn check_streams<'a>(&self, group: &Group, streams: impl IntoIterator<Item = &'a String>) -> Result<(), ApiError> {
        self.journal(group, |journal| {
            let all = streams.into_iter().all(|stream| journal.streams.contains_key(stream));
            if all { Ok(()) } else { Err(no_stream()) }
        })
    }

    /// Removes the journal of a deleted group.
    fn remove_journal(&self, group: &Group) -> Result<(), ApiError> {
        lock(&self.journals).remove(&group.id);
        match fs::remove_file(self.journal_path(&group.id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unavailable(error)),
            _ => Ok(()),
        }
    }

    /// Removes the journals of deleted groups: the process was killed between the two deletions, or a late write created the
    /// file again.
    fn remove_orphans(&self) {
        let regions = self.regions.now();
        let known: Vec<PathBuf> =
            regions.values().flat_map(BTreeMap::values).map(|group| self.journal_path(&group.id)).collect();
        for entry in fs::read_dir(self.files.path(FOLDER)).into_iter().flatten().flatten() {
            if !known.contains(&entry.path())
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::warn!("cannot remove {}: {error}", entry.path().display());
            }
        }
    }

    fn journal_path(&self, id: &str) -> PathBuf {
        self.files.path(FOLDER).join(format!("{id}.jsonl"))
    }
}

impl Group {
    /// A new group with default settings.
    fn new() -> Self {
        Self {
            id: uuid::Uuid::new_v4().simple().to_string(),
            created: now_millis(),
            retention_days: None,
            class: "STANDARD".to_owned(),
            kms_key: None,
            deletion_protected: false,
            tags: BTreeMap::new(),
        }
    }

    /// The time before which its events are expired at `now`.
    fn expired(&self, now: i64) -> i64 {
        self.retention_days.map_or(i64::MIN, |days| now - days * 24 * 3600 * 1000)
    }
}

impl Input {
    /// The group of the operation, by its name only.
    fn group_name(&self) -> Result<String, ApiError> {
        required(self.log_group_name.as_ref(), "logGroupName").cloned()
    }

    /// The group of the operation, by its name or its identifier (a name or an ARN).
    fn group(&self) -> Result<String, ApiError> {
        match (&self.log_group_name, &self.log_group_identifier) {
            (Some(_), Some(_)) => {
                let message = "LogGroup name and LogGroup ARN are mutually exclusive parameters.";
                Err(ApiError::new(400, "ValidationException", message))
            }
            (None, Some(identifier)) => {
                let name = identifier.split_once(":log-group:").map_or(identifier.as_str(), |(_, name)| name);
                Ok(name.to_owned())
            }
            (_, None) => self.group_name(),
        }
    }

    fn stream_name(&self) -> Result<String, ApiError> {
        required(self.log_stream_name.as_ref(), "logStreamName").cloned()
    }

    /// The requested limit of results.
    fn limit(&self, most: i64) -> Result<usize, ApiError> {
        let limit = self.limit.unwrap_or(most);
        if limit < 1 {
            return Err(constraint(
                &format!("Value '{limit}'"),
                "limit",
                "Member must have value greater than or equal to 1",
            ));
        }
        if limit > most {
            let rule = format!("Member must have value less than or equal to {most}");
            return Err(constraint(&format!("Value '{limit}'"), "limit", &rule));
        }
        Ok(usize::try_from(limit).unwrap_or(usize::MAX))
    }
}

/// One page of `items`, which have a key each, and the token for the next one.
fn page<T>(items: Vec<(String, T)>, token: Option<&str>, most: usize) -> Result<(Vec<T>, Option<String>), ApiError> {
    let start = match token {
        None => 0,
        Some(token) => {
            let after =
                hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad_token)?;
            match items.iter().position(|(key, _)| *key == after) {
                Some(index) => index + 1,
                // The item was deleted meanwhile: continue at its position.
                None => items.partition_point(|(key, _)| *key < after),
            }
        }
    };
    let more = items.len() > start + most;
    let mut last = None;
    let given = items
        .into_iter()
        .skip(start)
        .take(most)
        .map(|(key, item)| {
            last = Some(key);
            item
        })
        .collect();
    Ok((given, last.filter(|_| more).map(hex::encode)))
}

fn required<'a, T>(value: Option<&'a T>, member: &str) -> Result<&'a T, ApiError> {
    value.ok_or_else(|| constraint("Value null", member, "Member must not be null"))
}

/// One broken constraint of a request, in the words of AWS's request validation.
fn constraint(sent: &str, member: &str, rule: &str) -> ApiError {
    invalid(format!("1 validation error detected: {sent} at '{member}' failed to satisfy constraint: {rule}"))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidParameterException", message)
}

fn no_group() -> ApiError {
    ApiError::new(400, "ResourceNotFoundException", "The specified log group does not exist.")
}

fn no_stream() -> ApiError {
    ApiError::new(400, "ResourceNotFoundException", "The specified log stream does not exist.")
}

fn bad_token() -> ApiError {
    invalid("The specified nextToken is invalid.")
}

fn unavailable(error: io::Error) -> ApiError {
    ApiError::new(500, "ServiceUnavailableException", format!("The service cannot complete the request. {error}"))
}
