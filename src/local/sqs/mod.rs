//! Amazon SQS: standard and FIFO queues with visibility timeouts, delays, long polling, deduplication and dead-letter queues.
//!
//! ```text
//! operations (table) --> queues (create, attributes, tags), messages (send, receive, delete) --> queue (rules, pure)
//! ports: EventSource (Lambda polls), DeliveryTarget (others send), ControlledResources (Cloud Control), TaggedResources
//! ```
//!
//! Queues are saved with every change; messages a moment after it (`SAVE_DELAY`) and when the cloud ends, since a file for each
//! message would make every send as slow as the disk.

mod attributes;
mod controlled;
mod error;
mod input;
mod message;
mod messages;
mod operations;
mod ports;
mod queue;
mod queues;
mod required_permissions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use self::queue::Messages;
use super::context::{ACCOUNT, CloudContext};
use crate::local::context::clock::now_millis;
use crate::local::context::ports::Roles;
use crate::local::context::store::{Damaged, PersistedState};
use crate::local::lock::lock;
use crate::local::protocol::wire::ApiError;

/// The name of the queues' file.
const FILE: &str = "sqs";

/// The folder with the messages, a file for each queue.
const FOLDER: &str = "sqs-messages";

/// How long messages are gathered before they are saved, at least; and how many times as long as the last saving took: the file of a
/// large queue is not written all the time.
const SAVE_DELAY: Duration = Duration::from_millis(100);
const SAVE_SHARE: u32 = 10;

/// How often messages are deleted that their queues keep no longer.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(60);

/// The pause after messages could not be saved.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// SQS.
pub struct Sqs {
    context: CloudContext,
    roles: Arc<dyn Roles>,
    queues: PersistedState<Queues>,
    live: Mutex<HashMap<QueueId, Arc<LiveQueue>>>,
    /// When queues were deleted whose names may not be free yet, in milliseconds since the epoch.
    deleted: Mutex<HashMap<QueueId, i64>>,
    /// Wakes the task that saves messages.
    unsaved: Notify,
}

/// The queues of all regions, by region and name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Queues {
    regions: BTreeMap<String, BTreeMap<String, Queue>>,
}

/// One queue, without its messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// The attributes that callers have set.
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    /// Milliseconds since the epoch.
    pub created: i64,
    pub modified: i64,
}

/// A queue's region and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId {
    pub region: String,
    pub name: String,
}

impl QueueId {
    pub fn new(region: &str, name: &str) -> Self {
        Self { region: region.to_owned(), name: name.to_owned() }
    }

    /// The queue with an ARN, if it is one of this account's.
    pub fn from_arn(arn: &str) -> Option<Self> {
        let mut parts = arn.strip_prefix("arn:")?.split(':').skip(1);
        let (service, region, account, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (service == "sqs" && account == ACCOUNT && parts.next().is_none()).then(|| Self::new(region, name))
    }

    /// The queue with an URL, whatever its host: what counts is the path.
    pub fn from_url(region: &str, url: &str) -> Option<Self> {
        let path = url.split_once("://").map_or(url, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
        let mut parts = path.trim_matches('/').rsplitn(2, '/');
        let name = parts.next().filter(|name| !name.is_empty())?;
        let account = parts.next().map_or(ACCOUNT, |before| before.rsplit('/').next().unwrap_or(before));
        (account == ACCOUNT).then(|| Self::new(region, name))
    }

    pub fn arn(&self) -> String {
        CloudContext::arn("sqs", &self.region, &self.name)
    }

    pub fn is_fifo(&self) -> bool {
        self.name.ends_with(".fifo")
    }

    fn file(&self) -> String {
        format!("{FOLDER}/{}.{}", self.region, self.name)
    }
}

/// The messages of a queue, and who waits for them.
#[derive(Debug)]
pub struct LiveQueue {
    messages: Mutex<Messages>,
    /// Changes with every message that comes or becomes visible.
    arrived: watch::Sender<u64>,
    is_saved: Mutex<bool>,
    /// Held while they are saved.
    saving: Mutex<()>,
}

impl LiveQueue {
    fn new(messages: Messages) -> Self {
        Self {
            messages: Mutex::new(messages),
            arrived: watch::Sender::new(0),
            is_saved: Mutex::new(true),
            saving: Mutex::default(),
        }
    }
}

impl Queues {
    pub fn get(&self, id: &QueueId) -> Option<&Queue> {
        self.regions.get(&id.region)?.get(&id.name)
    }

    /// The queues of a region, by name.
    pub fn of_region(&self, region: &str) -> impl Iterator<Item = (&String, &Queue)> {
        self.regions.get(region).into_iter().flatten()
    }
}

impl Sqs {
    /// Opens the service with its persisted queues and messages. Messages that cannot be read are set aside. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn open(context: &CloudContext, roles: Arc<dyn Roles>) -> io::Result<Arc<Self>> {
        std::fs::create_dir_all(context.store.path(FOLDER))?;
        let queues: PersistedState<Queues> = PersistedState::open(context.store.clone(), FILE, error::unsaved)?;
        let mut live = HashMap::new();
        for (region, names) in &queues.now().regions {
            for name in names.keys() {
                let id = QueueId::new(region, name);
                let messages = load(context, &id)?;
                live.insert(id, Arc::new(LiveQueue::new(messages)));
            }
        }
        let sqs = Self {
            context: context.clone(),
            roles,
            queues,
            live: Mutex::new(live),
            deleted: Mutex::default(),
            unsaved: Notify::new(),
        };
        let sqs = Arc::new(sqs);
        tokio::spawn(save_messages(Arc::downgrade(&sqs)));
        tokio::spawn(expire_messages(Arc::downgrade(&sqs)));
        Ok(sqs)
    }

    /// A queue and its messages.
    ///
    /// # Errors
    /// `QueueDoesNotExist` for an unknown one.
    fn queue(&self, id: &QueueId) -> Result<(Queue, Arc<LiveQueue>), ApiError> {
        let queue = self.queues.read(|queues| queues.get(id).cloned()).ok_or_else(error::no_queue)?;
        let mut live = lock(&self.live);
        let live = live.entry(id.clone()).or_insert_with(|| Arc::new(LiveQueue::new(Messages::default())));
        Ok((queue, Arc::clone(live)))
    }

    /// The address of a queue, for clients of this cloud. Its host counts for clients alone: version 3 of the SDK for JavaScript
    /// sends a queue's calls there.
    fn url(&self, id: &QueueId) -> String {
        format!("http://{}/{ACCOUNT}/{}", self.context.client_authority(), id.name)
    }

    /// Says that a queue's messages have changed, to those who wait and to the task that saves them.
    fn touch(&self, live: &LiveQueue) {
        *lock(&live.is_saved) = false;
        live.arrived.send_modify(|count| *count += 1);
        self.unsaved.notify_one();
    }

    /// Deletes the messages of all queues that these keep no longer. `now` in milliseconds since the epoch.
    fn expire(&self, now: i64) {
        let all: Vec<(QueueId, Arc<LiveQueue>)> =
            lock(&self.live).iter().map(|(id, live)| (id.clone(), Arc::clone(live))).collect();
        for (id, live) in all {
            let retention = self.queues.read(|queues| queues.get(&id).map(Queue::retention));
            if retention.is_some_and(|retention| lock(&live.messages).expire(retention, now)) {
                self.touch(&live);
            }
        }
    }

    /// Saves the messages that are not saved yet.
    pub fn save(&self) {
        let all: Vec<(QueueId, Arc<LiveQueue>)> =
            lock(&self.live).iter().map(|(id, live)| (id.clone(), Arc::clone(live))).collect();
        for (id, live) in all {
            // One at a time, so that an older state never replaces a newer one; who sends does not wait for it.
            let _saving = lock(&live.saving);
            if !std::mem::replace(&mut *lock(&live.is_saved), true) {
                let messages = lock(&live.messages).clone();
                if let Err(error) = self.context.store.save(&id.file(), &messages) {
                    tracing::error!("the messages of {} could not be saved: {error}", id.arn());
                    *lock(&live.is_saved) = false;
                }
            }
        }
    }

    /// Whether messages are still to be saved.
    fn has_unsaved(&self) -> bool {
        lock(&self.live).values().any(|live| !*lock(&live.is_saved))
    }

    /// Removes a queue's messages from memory and disk.
    fn forget(&self, id: &QueueId) {
        let gone = lock(&self.live).remove(id);
        if let Some(gone) = gone {
            // It is not saved again.
            let _saving = lock(&gone.saving);
            *lock(&gone.is_saved) = true;
            gone.arrived.send_modify(|count| *count += 1);
        }
        let file = self.context.store.path(&format!("{}.json", id.file()));
        if let Err(error) = std::fs::remove_file(file)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("the messages of {} are not removed: {error}", id.arn());
        }
    }
}

/// Reads a queue's messages. This file is written most often, so a power failure damages it first: then it is set aside, and the
/// queue begins without messages.
fn load(context: &CloudContext, id: &QueueId) -> io::Result<Messages> {
    context.store.load(&id.file()).or_else(|error| {
        let Some(Damaged { file, .. }) = error.get_ref().and_then(|inner| inner.downcast_ref()) else {
            return Err(error);
        };
        let aside = file.with_extension("damaged");
        std::fs::rename(file, &aside)?;
        tracing::error!("the queue {} begins without messages: {error}; it is now {}", id.arn(), aside.display());
        Ok(Messages::default())
    })
}

/// Deletes messages that their queues keep no longer, now and every minute: a dead-letter queue may never be received from.
async fn expire_messages(sqs: Weak<Sqs>) {
    let mut ticks = tokio::time::interval(EXPIRE_INTERVAL);
    loop {
        ticks.tick().await;
        let Some(sqs) = sqs.upgrade() else { return };
        sqs.expire(now_millis());
    }
}

/// Saves messages a moment after they have changed.
async fn save_messages(sqs: Weak<Sqs>) {
    let mut delay = SAVE_DELAY;
    loop {
        let Some(strong) = sqs.upgrade() else { return };
        // It ends with the service, which it must not keep alive.
        let waited = tokio::time::timeout(Duration::from_secs(1), strong.unsaved.notified()).await;
        drop(strong);
        if waited.is_err() {
            continue;
        }
        tokio::time::sleep(delay).await;
        let Some(strong) = sqs.upgrade() else { return };
        let saving = Arc::clone(&strong);
        let begun = Instant::now();
        let _ = tokio::task::spawn_blocking(move || saving.save()).await;
        delay = (begun.elapsed() * SAVE_SHARE).max(SAVE_DELAY);
        // What could not be saved is tried again.
        if strong.has_unsaved() {
            strong.unsaved.notify_one();
            drop(strong);
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }
}
