//! Polls the sources of event source mappings, and invokes their functions with what is there.
//!
//! Every mapping that is enabled has one task, which reads all shards of its source. It reads its mapping before each round, so it
//! sees every change of it, and ends when the mapping is disabled or gone. (Lambda developer guide, "How Lambda processes records
//! from stream and queue-based event sources".)

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::Lambda;
use super::batch::{Outcome, PAUSE, filtered, not_an_arn, parts};
use super::mapping::Mapping;
use super::mappings::not_permitted;
use super::name::Reference;
use super::state::now;
use crate::local::context::ports::{DeliveryTarget, EventSource, LogEvent, Position, SourceEvent};
use crate::local::lock::lock;
use crate::local::protocol::wire::ApiError;

/// How long a poll waits for events: the longest that a queue allows.
pub(super) const LONG_POLL: Duration = Duration::from_secs(20);

/// How many batches of a queue are handled at once where no mapping says so: Lambda begins with five.
const AT_ONCE: usize = 5;

/// How long a throttled invocation with a queue's batch is tried again: then the messages come back by themselves.
const MAX_THROTTLED: Duration = Duration::from_secs(25);

/// The pollers of all mappings, and the services that Lambda polls and delivers to.
pub struct Pollers {
    services: OnceLock<Connected>,
    /// Changes with every change of a mapping.
    pub(super) changed: watch::Sender<u64>,
    closing: watch::Sender<bool>,
    /// Region and UUID of mappings that have a task.
    running: watch::Sender<HashSet<(String, String)>>,
    /// What became of the last batch, by region and UUID.
    results: Mutex<HashMap<(String, String), String>>,
}

/// The services that are connected to Lambda.
struct Connected {
    sources: Vec<Weak<dyn EventSource>>,
    targets: Vec<Weak<dyn DeliveryTarget>>,
}

impl Default for Pollers {
    fn default() -> Self {
        Self {
            services: OnceLock::new(),
            changed: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            running: watch::Sender::default(),
            results: Mutex::default(),
        }
    }
}

impl Pollers {
    /// The service that has events of this name in its ARNs.
    pub fn source(&self, service: &str) -> Option<Arc<dyn EventSource>> {
        let sources = self.services.get().map(|services| services.sources.iter());
        sources.into_iter().flatten().filter_map(Weak::upgrade).find(|source| source.service() == service)
    }

    /// The service that takes messages of this name in its ARNs.
    pub fn target(&self, service: &str) -> Option<Arc<dyn DeliveryTarget>> {
        let targets = self.services.get().map(|services| services.targets.iter());
        targets.into_iter().flatten().filter_map(Weak::upgrade).find(|target| target.service() == service)
    }

    /// What became of the last batch of a mapping, as its `LastProcessingResult`.
    pub fn last_result(&self, region: &str, uuid: &str) -> Option<String> {
        lock(&self.results).get(&(region.to_owned(), uuid.to_owned())).cloned()
    }

    /// Notes what became of the last batch of a mapping. Gives back whether that is something else than before.
    fn note(&self, region: &str, uuid: &str, result: &str) -> bool {
        let before = lock(&self.results).insert((region.to_owned(), uuid.to_owned()), result.to_owned());
        before.as_deref() != Some(result)
    }

    /// Forgets the mappings that are gone.
    fn retain(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.results).retain(|(_, uuid), _| is_there(uuid));
    }

    /// Ends all tasks.
    pub fn close(&self) {
        self.closing.send_replace(true);
        self.changed.send_modify(|count| *count += 1);
    }

    async fn told_to_close(&self) {
        // Its sender lives as long as this.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// Waits until all tasks have ended.
    pub async fn closed(&self) {
        // Its sender lives as long as this.
        let _ = self.running.subscribe().wait_for(HashSet::is_empty).await;
    }

    pub(super) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }
}

impl Lambda {
    /// Connects the services whose events Lambda polls for and those that it delivers to, and begins to poll. Must be called
    /// within a tokio runtime.
    pub fn connect(&self, sources: Vec<Weak<dyn EventSource>>, targets: Vec<Weak<dyn DeliveryTarget>>) {
        let _ = self.pollers.services.set(Connected { sources, targets });
        self.start_polling();
        self.resume_events();
    }

    /// Starts the tasks of mappings that have none, and tells the others that something has changed.
    pub(super) fn start_polling(&self) {
        self.pollers.changed.send_modify(|count| *count += 1);
        let wanted: Vec<(String, String, String)> = self.registry.read(|state| {
            let wanted = state.mappings().filter(|(.., mapping)| mapping.is_wanted());
            wanted.map(|(region, uuid, mapping)| (region.clone(), uuid.clone(), mapping.service().to_owned())).collect()
        });
        let all: HashSet<String> =
            self.registry.read(|state| state.mappings().map(|(_, uuid, _)| uuid.clone()).collect());
        self.pollers.retain(|uuid| all.contains(uuid));
        self.positions.retain(|uuid| all.contains(uuid));
        for (region, uuid, service) in wanted {
            let Some(source) = self.pollers.source(&service) else {
                self.pollers.note(&region, &uuid, &format!("PROBLEM: the local cloud has no {service}"));
                continue;
            };
            let key = (region.clone(), uuid.clone());
            if !self.pollers.running.send_if_modified(|running| running.insert(key.clone())) {
                continue;
            }
            let lambda = self.clone();
            tokio::spawn(async move {
                lambda.poll(&region, &uuid, source).await;
                lambda.pollers.running.send_if_modified(|running| running.remove(&key));
                // It may have been enabled again meanwhile.
                if lambda.wanted(&region, &uuid).is_some() && !lambda.pollers.is_closing() {
                    lambda.start_polling();
                }
            });
        }
    }

    /// A mapping that is to be polled.
    pub(super) fn wanted(&self, region: &str, uuid: &str) -> Option<Mapping> {
        let mapping = self.registry.read(|state| state.mapping(region, uuid).ok().cloned());
        mapping.filter(|mapping| mapping.is_wanted() && !self.pollers.is_closing())
    }

    /// Polls for a mapping until it is disabled or gone.
    async fn poll(&self, region: &str, uuid: &str, source: Arc<dyn EventSource>) {
        let mut changed = self.pollers.changed.subscribe();
        let mut turns = Arc::new(Semaphore::new(0));
        let mut turns_of = -1;
        loop {
            changed.borrow_and_update();
            let Some(mapping) = self.wanted(region, uuid) else { return };
            if let Some(left) = mapping.passing_for() {
                let _ = tokio::time::timeout(Duration::from_millis(left), changed.changed()).await;
                continue;
            }
            if let Some(why) = self.refusal(region, &mapping, &*source) {
                self.problem(region, uuid, &mapping, &why);
                let _ = tokio::time::timeout(PAUSE, changed.changed()).await;
                continue;
            }
            if source.is_ordered() {
                self.poll_shards(region, uuid, &mapping, &source, &mut changed).await;
                continue;
            }
            if turns_of != mapping.modified {
                turns_of = mapping.modified;
                turns = Arc::new(Semaphore::new(mapping.most_at_once().unwrap_or(AT_ONCE)));
            }
            // Nothing closes the semaphore.
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
            let first = tokio::select! {
                first = receive(&mapping, &*source, size(&mapping), LONG_POLL) => first,
                _ = changed.changed() => continue,
            };
            // What has been received is handled, whatever changes meanwhile.
            let batch = match first {
                Ok(first) => tokio::select! {
                    batch = fill(&mapping, &*source, first) => batch,
                    // The messages come again.
                    () = self.pollers.told_to_close() => return,
                },
                Err(error) => Err(error),
            };
            match batch {
                Ok(batch) if batch.is_empty() => {}
                Ok(batch) => {
                    let (lambda, source) = (self.clone(), Arc::clone(&source));
                    let (region, uuid) = (region.to_owned(), uuid.to_owned());
                    tokio::spawn(async move {
                        lambda.handle(&region, &uuid, &mapping, &*source, batch).await;
                        drop(turn);
                    });
                }
                Err(error) => {
                    self.problem(region, uuid, &mapping, &error.message);
                    let _ = tokio::time::timeout(PAUSE, changed.changed()).await;
                }
            }
        }
    }

    /// Why the source cannot be read on the function's behalf.
    fn refusal(&self, region: &str, mapping: &Mapping, source: &dyn EventSource) -> Option<String> {
        let Some(reference) = Reference::from_arn(&mapping.function_arn) else {
            return Some(not_an_arn(mapping));
        };
        let role = self
            .registry
            .read(|state| state.version(&reference).map(|(_, _, version)| version.deployment.settings.role.clone()));
        let Ok(role) = role else { return Some(format!("Function not found: {}", mapping.function_arn)) };
        let action = self.refused_to(&role, region, mapping.source(), source.actions())?;
        Some(not_permitted(mapping.service(), mapping.source(), &action))
    }

    /// Invokes the function with the events of a queue that its mapping wants, and deletes those that it has handled. (Those that
    /// no filter wants are deleted, too: developer guide, "Control which events Lambda sends to your function".)
    async fn handle(
        &self,
        region: &str,
        uuid: &str,
        mapping: &Mapping,
        source: &dyn EventSource,
        batch: Vec<SourceEvent>,
    ) {
        let (wanted, others) = filtered(mapping, batch);
        if !others.is_empty() {
            source.delete(mapping.source(), &others).await;
        }
        for part in parts(wanted) {
            let outcome = self.invoke_batch(mapping, &part, MAX_THROTTLED).await;
            self.note_outcome(region, uuid, mapping, &outcome);
            if let Outcome::Handled(failed) = outcome {
                let done: Vec<SourceEvent> = part.into_iter().filter(|event| !failed.contains(&event.id)).collect();
                source.delete(mapping.source(), &done).await;
            }
        }
    }

    pub(super) fn note_outcome(&self, region: &str, uuid: &str, mapping: &Mapping, outcome: &Outcome) {
        match outcome {
            Outcome::Handled(_) => {
                self.pollers.note(region, uuid, "OK");
            }
            // The function's log tells of it.
            Outcome::Failed(failure) if failure.invoked.is_some() => {
                self.pollers.note(region, uuid, &format!("PROBLEM: {}", failure.why));
            }
            Outcome::Failed(failure) => self.problem(region, uuid, mapping, &failure.why),
        }
    }

    /// Notes why a mapping does not work. When that is new, it is logged, also in the log group of its function, if there is one:
    /// AWS shows it to those who ask for the mapping, and here that is where one looks.
    pub(super) fn problem(&self, region: &str, uuid: &str, mapping: &Mapping, why: &str) {
        if !self.pollers.note(region, uuid, &format!("PROBLEM: {why}")) || self.pollers.is_closing() {
            return;
        }
        let line = format!("The event source mapping of {} does not work: {why}", mapping.source());
        tracing::warn!(function = %mapping.function_arn, "{line}");
        let group = Reference::from_arn(&mapping.function_arn).and_then(|reference| {
            self.registry.read(|state| {
                let (_, _, version) = state.version(&reference).ok()?;
                Some(version.deployment.settings.logging.log_group.clone())
            })
        });
        if let Some(group) = group {
            let event = LogEvent { timestamp: now(), message: format!("{line}\n") };
            let stream = format!("event-source-mapping/{uuid}");
            self.executor.host().logs.append_if(region, &group, &stream, vec![event], &|| false);
        }
    }
}

/// The largest batch of a mapping.
fn size(mapping: &Mapping) -> usize {
    mapping.number("BatchSize").and_then(|size| usize::try_from(size).ok()).unwrap_or(1).max(1)
}

/// What is in a queue, or comes within a time.
async fn receive(
    mapping: &Mapping,
    source: &dyn EventSource,
    most: usize,
    wait: Duration,
) -> Result<Vec<SourceEvent>, ApiError> {
    source.receive(mapping.source(), "", &Position::Newest, most, wait).await
}

/// A batch that has begun, with what comes until the batching window ends or it is full.
async fn fill(
    mapping: &Mapping,
    source: &dyn EventSource,
    mut batch: Vec<SourceEvent>,
) -> Result<Vec<SourceEvent>, ApiError> {
    let window = mapping.number("MaximumBatchingWindowInSeconds").and_then(|window| u64::try_from(window).ok());
    let until = Instant::now() + Duration::from_secs(window.unwrap_or_default());
    while !batch.is_empty() && batch.len() < size(mapping) && Instant::now() < until {
        batch.extend(receive(mapping, source, size(mapping) - batch.len(), until - Instant::now()).await?);
    }
    Ok(batch)
}
