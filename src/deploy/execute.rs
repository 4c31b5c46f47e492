//! Carries out a plan: everything side by side that nothing holds back.
//!
//! One owner holds the run's state. Each step is a task that reports to it; only the owner starts steps, and only when
//! all they wait for is done. Whoever shows the run (the terminal, `--json`) gets the same events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::lookups;
use crate::aws::client::{Aws, CallError, Meaning, STEP};
use crate::aws::providers::{Context, Provider, ResourceError, provider};
use crate::core::plan::cycles::cycle;
use crate::core::plan::{Action, Executed, Plan, Step};
use crate::core::stack::Secrets;
use crate::core::stack::lookups::is_dynamic;
use crate::core::types::{Created, Desired, Health, Live, Owner, S3Object, Upload};
use crate::core::words::Token;
use crate::package::{Artifact, PackageError};

/// What happens while a plan is carried out. Steps are indexes into the plan.
#[derive(Debug, Clone)]
pub enum StepEvent {
    Started {
        step: usize,
    },
    /// What the step is waiting for.
    Waiting {
        step: usize,
        text: String,
    },
    /// AWS refused the step because others do not exist yet: it starts again when they do.
    Requeued {
        step: usize,
        error: String,
    },
    /// It exists; steps that need no more than that start.
    Made {
        step: usize,
        physical_id: String,
    },
    Done {
        step: usize,
        milliseconds: u64,
    },
    Failed {
        step: usize,
        error: ResourceError,
    },
}

/// Functions' zips by logical id.
pub type Zips = BTreeMap<String, Zip>;

/// A function's code, as Lambda takes it.
#[derive(Debug, Clone)]
pub struct Zip {
    pub bytes: Bytes,
    /// Base64 of its SHA-256, as Lambda reports it.
    pub sha256: String,
    /// The object that Lambda reads it from, where it is too large for a request.
    pub object: Option<S3Object>,
}

impl Zip {
    /// How Lambda gets it.
    pub fn upload(&self) -> Upload {
        self.object.clone().map_or_else(|| Upload::Zip(self.bytes.clone()), Upload::Object)
    }
}

impl From<Artifact> for Zip {
    fn from(artifact: Artifact) -> Self {
        Self { bytes: artifact.zip, sha256: artifact.code_sha256, object: artifact.object }
    }
}

/// Why there is no code.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BuildError {
    #[error("{error}{}", .error.help.as_ref().map(|help| format!("\n  {}", help.replace('\n', "\n  "))).unwrap_or_default())]
    Failed { error: PackageError },
    #[error("internal error: the build ended without a result (please report this)")]
    Lost,
}

impl From<PackageError> for BuildError {
    fn from(error: PackageError) -> Self {
        Self::Failed { error }
    }
}

/// What comes of a build.
type Built = Option<Result<Arc<Zips>, BuildError>>;

/// Functions' code, which may still be in the making.
#[derive(Debug, Clone)]
pub struct Code(watch::Receiver<Built>);

impl Code {
    /// Code that is there.
    pub fn ready(zips: Zips) -> Self {
        Self(watch::channel(Some(Ok(Arc::new(zips)))).1)
    }

    /// Code that is there as soon as it is sent.
    pub fn pending() -> (watch::Sender<Built>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// All of it, when it is there.
    ///
    /// # Errors
    /// Why it never will be.
    pub async fn all(&self) -> Result<Arc<Zips>, BuildError> {
        let mut code = self.0.clone();
        let built = code.wait_for(Option::is_some).await.ok().and_then(|built| built.clone());
        built.unwrap_or(Err(BuildError::Lost))
    }

    /// The error of the build, if it has failed by now.
    pub fn failure(&self) -> Option<BuildError> {
        self.0.borrow().as_ref().and_then(|built| built.as_ref().err().cloned())
    }

    /// Whether it is there and has a zip for a function.
    pub fn has(&self, logical_id: &str) -> bool {
        self.0.borrow().as_ref().is_some_and(|built| built.as_ref().is_ok_and(|zips| zips.contains_key(logical_id)))
    }

    /// Why it never will be there, if that is known by now.
    pub fn error(&self) -> Option<BuildError> {
        let is_over = self.0.has_changed().is_err();
        match &*self.0.borrow() {
            Some(built) => built.as_ref().err().cloned(),
            None => is_over.then_some(BuildError::Lost),
        }
    }

    /// The zip of a function, if it has one here; waits for the build.
    async fn of(&self, logical_id: &str) -> Result<Option<Zip>, ResourceError> {
        match self.all().await {
            Ok(zips) => Ok(zips.get(logical_id).cloned()),
            Err(_) => Err(ResourceError::Failed("its code could not be built".to_owned())),
        }
    }
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was begun and made: what it takes to go back.
    pub executed: Executed,
    /// Code that updates wrote over.
    pub backups: Zips,
    /// All attributes that are known in the end.
    pub known: BTreeMap<Token, String>,
    pub done: BTreeSet<usize>,
    pub failed: BTreeMap<usize, ResourceError>,
    /// Steps that were never started.
    pub not_started: BTreeSet<usize>,
    pub times: BTreeMap<usize, Times>,
}

/// When a step ran.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub started: Instant,
    /// It existed, and what depends on its existence could go on.
    pub made: Option<Instant>,
    pub ended: Instant,
}

impl Outcome {
    /// Whether everything that was planned has been done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.not_started.is_empty()
    }
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not started, or put back to wait for what it named only.
    Waiting,
    Running,
    /// Made, not ready yet.
    Settling,
    Done,
    Failed,
}

/// What a task reports to the owner.
enum Report {
    Made(usize, Result<Done, Undone>),
    Settled(usize, Result<(), ResourceError>),
}

/// Carries out `plan`. When `stop` turns true, what runs is finished and nothing more is started; the same after a
/// failure, unless the plan goes on.
pub async fn run(
    aws: Arc<Aws>,
    plan: &Plan,
    code: Code,
    events: mpsc::UnboundedSender<StepEvent>,
    mut stop: watch::Receiver<bool>,
) -> Outcome {
    let mut run = Run {
        aws,
        plan,
        code,
        backups: Backups::default(),
        events,
        states: plan.steps.iter().map(|step| if step.action.acts() { State::Waiting } else { State::Done }).collect(),
        requeued: BTreeSet::new(),
        begun: BTreeMap::new(),
        made: BTreeMap::new(),
        outcome: Outcome { known: plan.known.clone(), ..Outcome::default() },
        tasks: JoinSet::new(),
    };
    loop {
        let stopping = *stop.borrow() || (!run.outcome.failed.is_empty() && !plan.continues_after_failure);
        let draining = if stopping { None } else { run.start_what_can() };
        if run.tasks.is_empty() && draining.is_none() {
            break;
        }
        let look_again = run.tell_of_drain(draining);
        tokio::select! {
            report = run.tasks.join_next(), if !run.tasks.is_empty() => match report {
                Some(Ok(report)) => run.hear(report),
                // A task that panicked: reported as an internal error, and the run ends without losing the others.
                Some(Err(error)) => run.broken(&error),
                None => break,
            },
            () = told_to_stop(&mut stop), if !stopping => {}
            () = tokio::time::sleep_until(look_again), if draining.is_some() => {}
        }
    }
    let stopped = *stop.borrow();
    run.finish(stopped)
}

/// Returns when `stop` is true; never, if its sender is gone.
async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

struct Run<'a> {
    aws: Arc<Aws>,
    plan: &'a Plan,
    code: Code,
    backups: Backups,
    events: mpsc::UnboundedSender<StepEvent>,
    states: Vec<State>,
    /// Steps that AWS refused before what they name was there.
    requeued: BTreeSet<usize>,
    begun: BTreeMap<usize, Instant>,
    made: BTreeMap<usize, Instant>,
    outcome: Outcome,
    tasks: JoinSet<Report>,
}

impl Run<'_> {
    /// Starts all that nothing holds back. Gives the step that only messages under way hold back, and until when; of
    /// several the first to go on.
    fn start_what_can(&mut self) -> Option<(usize, Instant)> {
        let mut draining: Option<(usize, Instant)> = None;
        for index in 0..self.states.len() {
            if self.states[index] != State::Waiting || !self.is_free(index) {
                continue;
            }
            match self.drained_at(index).filter(|drained| *drained > Instant::now()) {
                Some(drained) if draining.is_none_or(|(_, other)| drained < other) => draining = Some((index, drained)),
                Some(_) => {}
                None => self.start(index),
            }
        }
        draining
    }

    /// When no message can be under way any more through what a step removes.
    fn drained_at(&self, index: usize) -> Option<Instant> {
        let drain = self.plan.steps[index].drain.as_ref()?;
        let moved = drain.since.iter().filter_map(|step| Some(self.outcome.times.get(step)?.ended)).max()?;
        Some(moved + drain.duration)
    }

    /// Says what is waited for; gives when to look again.
    fn tell_of_drain(&self, draining: Option<(usize, Instant)>) -> Instant {
        let now = Instant::now();
        let Some((step, until)) = draining else { return now };
        let left = until.saturating_duration_since(now);
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        let text = format!("waiting {seconds} s for messages in flight (--no-drain skips it)");
        self.tell(StepEvent::Waiting { step, text });
        until.min(now + Duration::from_secs(1))
    }

    fn is_free(&self, index: usize) -> bool {
        let step = &self.plan.steps[index];
        step.after.iter().all(|before| self.is_there(*before, step))
            && (!self.requeued.contains(&index)
                || step.retry_after.iter().all(|before| self.states[*before] == State::Done))
    }

    /// The steps that a step still waits for.
    fn open(&self, index: usize) -> Vec<usize> {
        let step = &self.plan.steps[index];
        let refused = step.retry_after.iter().filter(|_| self.requeued.contains(&index));
        let open = step.after.iter().chain(refused).copied();
        open.filter(|before| self.states[index] == State::Waiting && self.states[*before] == State::Waiting).collect()
    }

    /// Whether `before` is far enough for `step`: made is enough where only existence counts.
    fn is_there(&self, before: usize, step: &Step) -> bool {
        match self.states[before] {
            State::Done => true,
            State::Settling if step.ready.contains(&before) => false,
            State::Settling => {
                let kinds = step.kind().zip(self.plan.steps[before].kind());
                kinds.is_some_and(|(kind, before)| !kind.needs_ready(before))
            }
            _ => false,
        }
    }

    fn start(&mut self, index: usize) {
        let step = self.plan.steps[index].clone();
        let Some(provider) = provider(step.type_name) else { return };
        self.states[index] = State::Running;
        self.begun.entry(index).or_insert_with(Instant::now);
        self.outcome.executed.begun.insert(index);
        self.tell(StepEvent::Started { step: index });
        let desired = step.desired.as_ref().map(|desired| self.resolve(desired));
        let unknown = desired.as_ref().and_then(|desired| Token::find_all(&desired.properties).into_iter().next());
        if let Some(token) = unknown {
            let text = format!("{} of {} is not known", token.attribute, token.logical_id);
            self.failed(index, ResourceError::Failed(text));
            return;
        }
        let aws = Arc::clone(&self.aws);
        let events = self.events.clone();
        let (code, backups) = (self.code.clone(), Arc::clone(&self.backups));
        self.tasks.spawn(STEP.scope(index, async move {
            let note = move |text| drop(events.send(StepEvent::Waiting { step: index, text }));
            let cx = Context { aws: &aws, note: &note };
            let (desired, secrets) = match desired {
                Some(desired) => match lookups::of_step(&aws, desired).await {
                    Ok((desired, secrets)) => (Some(desired), secrets),
                    Err(why) => return Report::Made(index, Err(Undone::at_once(ResourceError::Failed(why)))),
                },
                None => (None, Secrets::default()),
            };
            let made = carry_out(cx, provider, &step, desired, &code, &backups).await;
            let masked = |undone: Undone| Undone { error: undone.error.masked(|text| secrets.mask(text)), ..undone };
            Report::Made(index, made.map_err(masked))
        }));
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Made(index, Ok(created)) => self.made(index, created),
            Report::Made(index, Err(Undone { error, is_unclear })) => {
                if is_unclear {
                    self.outcome.executed.unclear.insert(index);
                }
                if self.may_be_too_early(index, &error) {
                    self.requeued.insert(index);
                    self.states[index] = State::Waiting;
                    self.tell(StepEvent::Requeued { step: index, error: error.to_string() });
                } else {
                    self.failed(index, error);
                }
            }
            Report::Settled(index, Ok(())) => self.done(index),
            Report::Settled(index, Err(error)) => self.failed(index, error),
        }
    }

    /// Whether a refusal may be because something that is only named is not there yet. Which services look, and
    /// when, is nowhere written down: so the answer decides, once.
    fn may_be_too_early(&self, index: usize, error: &ResourceError) -> bool {
        let step = &self.plan.steps[index];
        let refused =
            matches!(error, ResourceError::Call(call) if call.is(Meaning::Refused) || call.is(Meaning::NotFound));
        refused
            && !self.requeued.contains(&index)
            && step.retry_after.iter().any(|before| self.states[*before] != State::Done)
    }

    fn made(&mut self, index: usize, done: Done) {
        let Done { created, adopted } = done;
        let step = &self.plan.steps[index];
        if created.is_earlier {
            self.outcome.executed.earlier.insert(index);
        }
        // One that was put back finds what its first try made, if that went half of the way.
        if adopted && !self.requeued.contains(&index) {
            self.outcome.executed.adopted.insert(index);
        } else if step.action == Action::Create {
            self.outcome.executed.created.insert(index, created.physical_id.clone());
        }
        for (attribute, value) in created.attributes {
            self.outcome.known.insert(Token { logical_id: step.name.clone(), attribute }, value);
        }
        let is_new = matches!(step.action, Action::Create | Action::Replace);
        if is_new {
            self.tell(StepEvent::Made { step: index, physical_id: created.physical_id.clone() });
        }
        let (Some(provider), Some(desired), true) = (provider(step.type_name), &step.desired, is_new) else {
            self.done(index);
            return;
        };
        self.states[index] = State::Settling;
        self.made.insert(index, Instant::now());
        let desired = self.resolve(desired);
        let aws = Arc::clone(&self.aws);
        let events = self.events.clone();
        self.tasks.spawn(STEP.scope(index, async move {
            let note = move |text| drop(events.send(StepEvent::Waiting { step: index, text }));
            let cx = Context { aws: &aws, note: &note };
            Report::Settled(index, provider.settle(cx, &desired, &created.physical_id).await)
        }));
    }

    fn done(&mut self, index: usize) {
        self.states[index] = State::Done;
        self.outcome.done.insert(index);
        let begun = self.end(index);
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.tell(StepEvent::Done { step: index, milliseconds });
    }

    fn failed(&mut self, index: usize, error: ResourceError) {
        self.states[index] = State::Failed;
        self.end(index);
        self.tell(StepEvent::Failed { step: index, error: error.clone() });
        self.outcome.failed.insert(index, error);
    }

    fn broken(&mut self, error: &tokio::task::JoinError) {
        let running =
            (0..self.states.len()).find(|index| matches!(self.states[*index], State::Running | State::Settling));
        if let Some(index) = running {
            self.outcome.executed.unclear.insert(index);
            self.failed(index, ResourceError::Failed(format!("internal error: {error} (please report this)")));
        }
    }

    fn end(&mut self, index: usize) -> Instant {
        let begun = self.begun.get(&index).copied().unwrap_or_else(Instant::now);
        let times = Times { started: begun, made: self.made.get(&index).copied(), ended: Instant::now() };
        self.outcome.times.insert(index, times);
        begun
    }

    fn finish(mut self, stopped: bool) -> Outcome {
        if !stopped
            && self.outcome.failed.is_empty()
            && let Some(cycle) = cycle(self.states.len(), |index| self.open(index))
        {
            self.failed(cycle[0], ResourceError::Failed(self.plan.cycle_error(&cycle)));
        }
        self.outcome.not_started =
            (0..self.states.len()).filter(|index| self.states[*index] == State::Waiting).collect();
        self.outcome.backups = std::mem::take(&mut *self.backups.lock().unwrap_or_else(PoisonError::into_inner));
        self.outcome
    }

    fn resolve(&self, desired: &Desired) -> Desired {
        let known = |token: &Token| self.outcome.known.get(token).cloned();
        Desired { properties: Token::substitute(&desired.properties, &known), ..desired.clone() }
    }

    fn tell(&self, event: StepEvent) {
        // It goes on without a listener.
        let _ = self.events.send(event);
    }
}

/// What became of a step.
#[derive(Default)]
struct Done {
    created: Created,
    /// Another run had made it.
    adopted: bool,
}

/// Why a step was not done.
struct Undone {
    error: ResourceError,
    /// Whether it may have made something all the same.
    is_unclear: bool,
}

impl Undone {
    /// Nothing was sent.
    fn at_once(error: ResourceError) -> Self {
        Self { error, is_unclear: false }
    }

    /// A create that ended so, perhaps after tries that may have made it.
    fn create(error: ResourceError, may_be_made: bool) -> Self {
        let is_refused = error.call().is_some_and(CallError::has_created_nothing);
        Self { error, is_unclear: may_be_made || !is_refused }
    }
}

impl From<ResourceError> for Undone {
    fn from(error: ResourceError) -> Self {
        Self { error, is_unclear: true }
    }
}

/// Code that updates wrote over.
type Backups = Arc<Mutex<Zips>>;

async fn carry_out(
    cx: Context<'_>,
    provider: &'static dyn Provider,
    step: &Step,
    mut desired: Option<Desired>,
    code: &Code,
    backups: &Backups,
) -> Result<Done, Undone> {
    if let Some(desired) = desired.as_mut().filter(|_| step.kind().is_some_and(|kind| kind.code_property().is_some()))
        && let Some(zip) = code.of(&desired.logical_id).await.map_err(Undone::at_once)?
    {
        // A plan that did not wait for the build did not know it.
        desired.code = Some(zip.upload());
        desired.properties["CodeSha256"] = zip.sha256.into();
    }
    let action = match (&step.live, &desired) {
        (Some(live), Some(desired)) => action_now(step, live, desired),
        _ => step.action,
    };
    match (action, &step.live, &desired) {
        (Action::Keep, Some(live), _) => Ok(Done { created: Created::from(live.clone()), adopted: false }),
        (Action::Create, absent, Some(desired)) => {
            // What is left of one that is recorded and not there.
            if let Some(absent) = absent {
                provider.delete(cx, absent).await?;
            }
            create(cx, provider, desired).await
        }
        (Action::Update, Some(live), Some(desired)) => {
            if let Some(bytes) = provider.backup(cx, live, desired).await {
                let sha256 = live.properties["CodeSha256"].as_str().unwrap_or_default().to_owned();
                let zip = Zip { bytes, sha256, object: None };
                backups.lock().unwrap_or_else(PoisonError::into_inner).insert(step.name.clone(), zip);
            }
            Ok(Done { created: provider.updated(cx, live, desired).await?, adopted: false })
        }
        (Action::Replace, Some(live), Some(desired)) => {
            provider.delete(cx, live).await?;
            create(cx, provider, desired).await
        }
        (Action::Delete, Some(live), _) => {
            provider.delete(cx, live).await?;
            Ok(Done {
                created: Created { physical_id: live.physical_id.clone(), ..Created::default() },
                ..Done::default()
            })
        }
        _ => Ok(Done::default()),
    }
}

/// What is to be done now that everything is known: a value that the plan did not know may be what it was.
fn action_now(step: &Step, live: &Live, desired: &Desired) -> Action {
    let was_unknown = step
        .desired
        .as_ref()
        .is_some_and(|planned| is_dynamic(&planned.properties) || !Token::find_all(&planned.properties).is_empty());
    let is_planned_by_changes = step.reason.is_none() && live.health == Health::Ready;
    let (true, true, Some(kind)) = (was_unknown, is_planned_by_changes, step.kind()) else { return step.action };
    let changes = crate::core::plan::changes(kind, &live.properties, &desired.properties);
    match step.action {
        Action::Update | Action::Replace if changes.is_empty() => Action::Keep,
        Action::Replace if !changes.iter().any(|change| change.create_only) => Action::Update,
        planned => planned,
    }
}

/// How often a resource whose create left no answer is looked for before it is created again: readings lag behind.
const LOOKS: u32 = 4;

/// Creates a resource exactly once, whatever happens to the answer: before a create is sent again, it is looked
/// whether the first one did its work.
async fn create(cx: Context<'_>, provider: &'static dyn Provider, desired: &Desired) -> Result<Done, Undone> {
    let mut attempts = 0;
    let mut may_be_made = false;
    loop {
        attempts += 1;
        let error = match provider.create(cx, desired).await {
            Err(ResourceError::Call(error)) if error.is(Meaning::Unknown) || error.is(Meaning::Exists) => error,
            // What this run has just made may not be known everywhere yet.
            Err(ResourceError::Call(error)) if error.is(Meaning::NotFound) && attempts < LOOKS => {
                // A later call of the create did not find something: the resource itself is there.
                may_be_made |= !error.has_created_nothing();
                tokio::time::sleep(Duration::from_millis(100 << (2 * attempts))).await;
                continue;
            }
            Err(error) => return Err(Undone::create(error, may_be_made)),
            Ok(created) => return Ok(Done { created, adopted: false }),
        };
        may_be_made |= error.is(Meaning::Unknown);
        for look in 0..LOOKS {
            if look > 0 {
                tokio::time::sleep(Duration::from_millis(25 << (2 * look))).await;
            }
            // What was there and could not be taken over is not this run's, unless it made it without hearing of it.
            let undone = |error| Undone { error, is_unclear: may_be_made };
            let found = provider.find(cx, desired).await.map_err(undone)?;
            if let Some(live) = found.filter(|live| !live.is_being_deleted()) {
                let created = adopt(cx, provider, desired, live).await.map_err(undone)?;
                // An earlier try of ours may have made it without our hearing of it.
                return Ok(Done { created, adopted: !may_be_made });
            }
        }
        if attempts >= 5 {
            return Err(Undone::create(error.into(), may_be_made));
        }
    }
}

/// Adopts the resource that has the name to create, if it is the stack's, and updates it to its desired properties.
async fn adopt(
    cx: Context<'_>,
    provider: &'static dyn Provider,
    desired: &Desired,
    live: Live,
) -> Result<Created, ResourceError> {
    if let Owner::Other(owner) = &live.owner {
        return Err(ResourceError::Failed(format!(
            "{} \"{}\" already exists and belongs to {owner}",
            provider.shown_type(),
            live.physical_id
        )));
    }
    if !crate::core::plan::changes(provider, &live.properties, &desired.properties).is_empty() {
        return provider.updated(cx, &live, desired).await;
    }
    Ok(live.into())
}
