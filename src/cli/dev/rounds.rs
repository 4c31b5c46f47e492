//! The rounds: what was saved is loaded, built and deployed, and then the next save is waited for.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::super::config::{self, Config};
use super::super::error::CommandError;
use super::super::interrupt::STOPPING;
use super::super::{desired, project, result, target};
use super::{Args, Deployed, RoundsEnd, Shared, debugger};
use crate::aws::client::Aws;
use crate::core::plan::{Action, Plan, PlanError, Rollback, effects};
use crate::core::stack::Stack;
use crate::core::types::Live;
use crate::deploy::code::{Built, FunctionCode};
use crate::deploy::deployment::{DeployOptions, Deployment, NoPlan, RoundEnd, When};
use crate::deploy::execute::Outcome;
use crate::deploy::project::Project;
use crate::deploy::session::Session;
use crate::deploy::watch::{Saved, WatchError, Watcher};
use crate::local::daemon::process::{self, Attention};
use crate::package::{AllInputs, PackageError, Progress};
use crate::ui::event::{Event, Rejection, SavedFiles, Updated, Watching};
use crate::ui::plan::View;
use crate::ui::{Ui, printable, progress};

/// How many lines of what a compiler says are shown.
const MAX_COMPILER_LINES: usize = 40;

/// What is to be done.
#[derive(Debug, Clone, Default)]
struct Todo {
    /// Whether the template is to be read again.
    template: bool,
    /// Whether the project's settings have changed.
    settings: bool,
    /// Whether a plan is to be made, although neither template nor code may have changed since the last.
    plan: bool,
    /// When the first save was reported that asks for it.
    since: Option<Instant>,
}

/// Why a step of a round has no result.
enum Broken {
    /// Something newer was saved: the round begins again.
    Overtaken,
    /// All ends.
    Stopped,
    /// It is tried again with the next save of the template or of code.
    Failed(CommandError),
    /// It cannot go on before the template is saved.
    Refused(CommandError),
    /// No save can repair it.
    Fatal(CommandError),
}

impl<E: Into<CommandError>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What is worked on.
pub(super) struct Rounds<'a> {
    args: &'a Args,
    shared: &'a Shared,
    ui: &'a Ui,
    watch: Watch,
    code: FunctionCode,
    /// The arguments, with the project's settings once they are read.
    desired: desired::Args,
    project: Option<Arc<Project>>,
    stack: Option<Stack>,
    /// Whether the template on the disk is the one of `project`, so that it may be planned.
    is_sound: bool,
    aws: Option<Arc<Aws>>,
    deployed: BTreeMap<String, Live>,
    /// The physical names of functions that the local cloud starts at once.
    attended: BTreeSet<String>,
    rounds: usize,
    todo: Todo,
    /// The notes of builds that were told: each function's build has its own.
    told: Mutex<BTreeSet<String>>,
    /// The functions whose code could not be built when it was saved last.
    broken: BTreeSet<String>,
    /// Whether an error is the last that was told.
    error_stands: Cell<bool>,
    /// Whether this round has told of an update.
    has_updated: Cell<bool>,
}

/// The saves that were not looked at yet, and which of them matter.
struct Watch {
    watcher: Watcher,
    pending: Saved,
    template: Option<PathBuf>,
    settings: Vec<PathBuf>,
    parameters: Vec<PathBuf>,
    inputs: Arc<AllInputs>,
}

impl Watch {
    /// Waits for a save that matters.
    async fn saved(&mut self) -> Result<Saved, WatchError> {
        loop {
            let saved = self.watcher.saved(&mut self.pending).await?;
            if saved.anything || saved.paths.iter().any(|path| self.matters(path)) {
                return Ok(saved);
            }
        }
    }

    fn matters(&self, path: &Path) -> bool {
        self.is_template(path) || self.is_settings(path) || !self.inputs.touched(path).is_empty()
    }

    fn is_template(&self, path: &Path) -> bool {
        self.template.as_deref() == Some(path) || self.parameters.iter().any(|file| file == path)
    }

    fn is_settings(&self, path: &Path) -> bool {
        self.settings.iter().any(|file| file == path)
    }
}

/// Waits for `work`, unless something newer is saved before, or all ends. What was saved stays with `watch`.
async fn unless_overtaken<T>(
    watch: &mut Watch,
    later: &mut Saved,
    stop: &mut watch::Receiver<bool>,
    work: impl Future<Output = T>,
) -> Result<T, Broken> {
    tokio::select! {
        done = work => Ok(done),
        saved = watch.saved() => {
            later.add(saved.map_err(|error| Broken::Fatal(unwatched(&error)))?);
            Err(Broken::Overtaken)
        }
        _ = stop.wait_for(|stop| *stop) => Err(Broken::Stopped),
    }
}

fn unwatched(error: &WatchError) -> CommandError {
    CommandError::new(error.to_string()).advice_lines(error.help())
}

impl<'a> Rounds<'a> {
    pub fn new(args: &'a Args, shared: &'a Shared, ui: &'a Ui) -> Result<Self, CommandError> {
        let watch = Watch {
            watcher: Watcher::new().map_err(|error| unwatched(&error))?,
            pending: Saved::default(),
            template: None,
            settings: Vec::new(),
            parameters: Vec::new(),
            inputs: Arc::default(),
        };
        Ok(Self {
            args,
            shared,
            ui,
            watch,
            code: FunctionCode::default(),
            desired: args.desired.clone(),
            project: None,
            stack: None,
            is_sound: false,
            aws: None,
            deployed: BTreeMap::new(),
            attended: BTreeSet::new(),
            rounds: 0,
            todo: Todo { template: true, plan: true, ..Todo::default() },
            told: Mutex::default(),
            broken: BTreeSet::new(),
            error_stands: Cell::default(),
            has_updated: Cell::default(),
        })
    }

    /// Runs rounds until all ends, or the project's settings change.
    ///
    /// # Errors
    /// When there is nothing to work on: no template, no account, no local cloud.
    pub async fn run(&mut self) -> Result<RoundsEnd, CommandError> {
        let mut stop = self.shared.stop.subscribe();
        loop {
            let mut later = Saved::default();
            let begun = self.todo.since.unwrap_or_else(Instant::now);
            // Whether the next save makes a plan, because this one failed.
            let mut retries = false;
            let mut overtaken = false;
            self.has_updated.set(false);
            match self.round(&mut later, &mut stop).await {
                Ok(()) => {
                    self.rounds += 1;
                    self.tell_mended(begun);
                }
                Err(Broken::Stopped) => return Ok(RoundsEnd::Stopped),
                Err(Broken::Overtaken) => overtaken = true,
                Err(Broken::Fatal(error)) => return Err(error),
                Err(Broken::Failed(error)) => {
                    retries = true;
                    self.reject(&error.advice("the next save of the template or of code tries again"), begun);
                }
                Err(Broken::Refused(error)) => {
                    // What was refused once is not asked again with every save of code.
                    self.is_sound = false;
                    let error = match self.rounds {
                        0 => error,
                        _ => error.advice("the next save of the template plans again; saved code is updated meanwhile"),
                    };
                    self.reject(&error, begun);
                }
            }
            self.todo.plan |= retries;
            // What was saved so far is answered; the time of what was saved meanwhile begins with that.
            if !overtaken {
                self.todo.since = None;
            }
            if later.is_empty() {
                self.shared.now.send_if_modified(|now| {
                    let is_over = now.ends_with('…');
                    if is_over {
                        *now = "watching for changes".to_owned();
                    }
                    is_over
                });
                self.todo = Todo { plan: retries, ..Todo::default() };
                tokio::select! {
                    saved = self.watch.saved() => later = saved.map_err(|error| unwatched(&error))?,
                    () = self.shared.restart.notified() => return Ok(RoundsEnd::Restart),
                    _ = stop.wait_for(|stop| *stop) => return Ok(RoundsEnd::Stopped),
                }
            }
            if *stop.borrow() {
                return Ok(RoundsEnd::Stopped);
            }
            self.take(later);
            if self.todo.settings && self.settings_are_sound() {
                self.ui.say(format_args!("{} has changed: starting again.", config::FILE));
                return Ok(RoundsEnd::Restart);
            }
            self.todo.settings = false;
        }
    }

    /// Notes what a save asks for.
    fn take(&mut self, saved: Saved) {
        self.todo.since = self.todo.since.or(saved.at);
        let mut functions = BTreeSet::new();
        let mut files = BTreeSet::new();
        for path in &saved.paths {
            let touched = self.code.touch(path);
            let (template, settings) = (self.watch.is_template(path), self.watch.is_settings(path));
            self.todo.template |= template;
            self.todo.settings |= settings;
            if template || settings || !touched.is_empty() {
                files.insert(shown(path));
            }
            functions.extend(touched);
        }
        if saved.anything {
            self.code.touch_all();
            self.todo.template = true;
        }
        if saved.folders {
            self.rewatch(true);
        }
        if !files.is_empty() {
            let template = self.todo.template;
            self.ui.event(&Event::Saved(SavedFiles {
                files: files.into_iter().collect(),
                functions: functions.into_iter().collect(),
                template,
            }));
        }
    }

    /// Whether the project's settings can be read; says what is wrong with them.
    fn settings_are_sound(&self) -> bool {
        match Config::read(self.watch.template.as_deref(), self.desired.target.environment().name.as_deref()) {
            Ok(_) => true,
            Err(error) => {
                self.reject(&error, Instant::now());
                false
            }
        }
    }

    /// Does what is to be done. Steps that change nothing are given up when something newer is saved.
    async fn round(&mut self, later: &mut Saved, stop: &mut watch::Receiver<bool>) -> Result<(), Broken> {
        let begun = self.todo.since.unwrap_or_else(Instant::now);
        if self.todo.template {
            let loaded = self.load(stop).await;
            self.todo.template = false;
            self.todo.plan = true;
            // Code is updated all the same, if there was a sound template before.
            if let Err(error) = loaded {
                self.is_sound = false;
                match error {
                    Broken::Failed(error) if self.stack.is_some() && self.code.is_stale() => self.reject(&error, begun),
                    Broken::Failed(error) => return Err(Broken::Refused(error)),
                    error => return Err(error),
                }
            }
        }
        let is_code_alone = !self.todo.plan;
        if is_code_alone && !self.code.is_stale() {
            return Ok(());
        }
        let Built { built, changed, errors } = self.build(later, stop).await?;
        let failed = !errors.is_empty();
        self.broken.retain(|function| !built.contains(function));
        self.broken.extend(errors.iter().flat_map(|error| error.functions.iter().cloned()));
        for error in errors {
            self.reject_build(error, begun);
        }
        let updated = self.swap(begun).await;
        if !updated.is_empty() {
            // That has been told. Should the plan be overtaken, what is saved then is timed from its own save.
            self.todo.since = None;
        }
        if !built.is_empty() {
            self.code.look_again(&built, &self.desired.packaging(self.ui).1).await;
            self.rewatch(false);
        }
        // A build that gives the same zip has changed nothing.
        let has_news = self.todo.plan || !changed.is_empty() || !updated.is_empty();
        if !has_news && !failed {
            self.shared.say_now("nothing has changed");
            return Ok(());
        }
        if !self.is_sound && !updated.is_empty() {
            self.ui.say("The last save of the template is still not deployed: see its error above.");
        }
        if !self.is_sound || !has_news {
            return Ok(());
        }
        let (Some(aws), Some(stack), Some(project)) = (self.aws.clone(), self.stack.clone(), self.project.clone())
        else {
            return Ok(());
        };
        let zips = self.code.zips();
        let mut allowed = self.desired.options(When::Built);
        let mut deployment = loop {
            if self.rounds == 0 || !is_code_alone {
                self.shared.say_now("planning…");
            }
            let session = Session::begin(Arc::clone(&aws));
            let planned = Deployment::plan_built(session, &project, stack.clone(), zips.clone(), allowed.clone());
            match unless_overtaken(&mut self.watch, later, stop, planned).await {
                Err(broken) => {
                    // The plan is still to be made.
                    self.todo.plan = true;
                    return Err(broken);
                }
                Ok(Ok(deployment)) => break deployment,
                Ok(Err(NoPlan::Impossible { errors, secrets })) => {
                    self.ui.hide(&secrets);
                    self.todo.plan = true;
                    let agreed = agree_to_replace(self.shared, &errors, &mut allowed);
                    let agreed = unless_overtaken(&mut self.watch, later, stop, agreed).await?;
                    self.todo.plan = false;
                    if !agreed {
                        return Err(Broken::Refused(CommandError::of_plan(&errors)));
                    }
                }
                Ok(Err(error)) => return Err(project::no_plan(&project, error, self.ui).into()),
            }
        };
        self.ui.hide(&deployment.secrets);
        if deployment.lacks_code() {
            self.shared.say_now("waiting for code that can be built");
            return Ok(());
        }
        self.deploy(&mut deployment, begun, later, stop).await
    }

    /// Reads the template and what it describes, and opens AWS or the local cloud for it.
    async fn load(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), Broken> {
        let desired = &self.desired;
        let has_project = self.project.is_some();
        let fatal = |error: CommandError| if has_project { Broken::Failed(error) } else { Broken::Fatal(error) };
        let path = desired.project.path();
        let name = desired.target.stack().map_err(Broken::Fatal)?;
        self.watch.settings = Config::places(path.as_deref()).iter().map(|path| resolved(path)).collect();
        self.watch.parameters = desired.project.parameter_files().iter().map(|path| resolved(path)).collect();
        // One that has gone may come back: another branch may be checked out.
        self.watch.template = path.as_deref().map(resolved).or_else(|| self.watch.template.take());
        self.rewatch(false);
        let desired = &self.desired;
        desired.project.synthesise(self.ui).map_err(fatal)?;
        let project = Arc::new(desired.project.read(desired.target.named()).map_err(fatal)?);
        let is_first = self.stack.is_none();
        // No question is asked about a template with errors.
        self.project.get_or_insert_with(|| Arc::clone(&project));
        project::check(&project, &name, desired.target.region().as_deref(), true, self.ui)?;
        let aws = match &self.aws {
            Some(aws) => Arc::clone(aws),
            None => {
                let opened = async {
                    let aws = desired.target.connect(self.ui).await?;
                    target::say_whose(&aws, self.ui);
                    Ok::<_, CommandError>(aws)
                };
                tokio::select! {
                    opened = opened => opened.map_err(Broken::Fatal)?,
                    _ = stop.wait_for(|stop| *stop) => return Err(Broken::Stopped),
                }
            }
        };
        self.aws = Some(Arc::clone(&aws));
        project.look_up(&aws).await;
        let stack = project::stack(&project, aws.scope(), true, self.ui)?;
        let code = if is_first {
            desired.note_local(&stack, self.ui);
            project::code(&project, &stack, self.ui)?
        } else {
            project.code(&stack).map_err(|error| format!("{}: {error}", project.file()))?
        };
        if let Some(inspected) = &self.args.inspect
            && !code.iter().any(|code| code.logical_id == *inspected && !code.is_layer)
        {
            let functions = code.iter().filter(|code| !code.is_layer);
            let known: Vec<&str> = functions.map(|code| code.logical_id.as_str()).collect();
            let error = CommandError::new(format!("--inspect: the template has no function {inspected}"));
            return Err(Broken::Fatal(error.advice(format!("it has {}", known.join(", ")))));
        }
        let s3 = desired.target.s3_reader(&code, &aws, self.ui).await?;
        self.code.set(code, s3, &desired.packaging(self.ui).1).await;
        self.watch.inputs = self.code.inputs();
        self.project = Some(project);
        self.stack = Some(stack);
        self.is_sound = true;
        self.rewatch(false);
        Ok(())
    }

    /// Watches all folders that matter now; with `again`, those too that may have been removed and created.
    fn rewatch(&mut self, again: bool) {
        self.watch.inputs = self.code.inputs();
        let mut folders = self.code.folders();
        let files = self.watch.template.iter().chain(&self.watch.settings).chain(&self.watch.parameters);
        folders.extend(files.filter_map(|file| file.parent()).filter(|folder| folder.is_dir()).map(Path::to_owned));
        if let Err(error) = self.watch.watcher.watch(folders, again) {
            let error = unwatched(&error);
            self.ui.say(format_args!("warning: {}", error.to_string().trim_start_matches("error: ")));
        }
    }

    async fn build(&mut self, later: &mut Saved, stop: &mut watch::Receiver<bool>) -> Result<Built, Broken> {
        if !self.code.is_stale() {
            return Ok(Built::default());
        }
        self.shared.say_now("building…");
        let (target, options) = self.desired.packaging(self.ui);
        let shown = self.ui.build();
        let (is_first, told, now) = (self.rounds == 0, &self.told, &self.shared.now);
        // What is done anyway is told once.
        let progress = move |step: Progress| {
            let is_news = match &step {
                Progress::Note(note) => told.lock().unwrap_or_else(PoisonError::into_inner).insert(note.clone()),
                _ => true,
            };
            match step {
                step if is_news && (is_first || matches!(step, Progress::Compiling { .. })) => shown.show(step),
                // What takes its time, an installation of packages, is said meanwhile.
                Progress::Note(note) => drop(now.send_replace(format!("{note}…"))),
                _ => {}
            }
        };
        let built = self.code.build(target, &options, &progress);
        unless_overtaken(&mut self.watch, later, stop, built).await
    }

    /// Gives functions that are deployed their new code, before anything else is looked at. Gives those that have it.
    async fn swap(&mut self, begun: Instant) -> BTreeSet<String> {
        let Some(aws) = self.aws.clone() else { return BTreeSet::new() };
        let mut functions = self.code.undeployed(&self.deployed);
        if functions.is_empty() {
            return functions;
        }
        self.shared.say_now(format!("updating {}…", listed(&functions)));
        let failed = self.code.swap(&aws, &functions, &mut self.deployed).await;
        for (function, error) in failed {
            functions.remove(&function);
            self.reject(&CommandError::new(format!("{function} could not be updated: {error}")), begun);
        }
        if !functions.is_empty() {
            self.tell_updated(format!("{} updated", listed(&functions)), &functions, 0, begun);
            let deployed = Deployed { functions: self.deployed.clone(), ..self.shared.deployed() };
            self.shared.deploy(deployed);
        }
        functions
    }

    /// Carries out a plan, unless it takes data away and nobody agrees.
    async fn deploy(
        &mut self,
        deployment: &mut Deployment,
        begun: Instant,
        later: &mut Saved,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Broken> {
        let ui = self.ui;
        if self.shared.deployed().aws.is_none()
            && deployment.is_update()
            && let Some(why) = self.desired.target.unknown_owner()?
        {
            return Err(Broken::Refused(why));
        }
        let (outcome, steps) = loop {
            let plan = &deployment.plan;
            if !plan.is_empty() {
                self.show(deployment);
            }
            // A plan that something newer has overtaken must not be agreed to.
            self.todo.plan = true;
            let agreed = unless_overtaken(&mut self.watch, later, stop, agree(self.shared, deployment)).await?;
            agreed.map_err(Broken::Refused)?;
            self.todo.plan = false;
            let steps = plan.steps.iter().filter(|step| step.action.acts()).count();
            if steps > 0 {
                self.shared.say_now("deploying…");
            }
            let run = |events| deployment.carry_out(events, stop.clone());
            let outcome = saying_what_stops(stop.clone(), ui, progress::during(plan, ui, run)).await;
            let stopped = *stop.borrow();
            match deployment.conclude(&outcome, stopped) {
                RoundEnd::ConcurrentRun => {
                    ui.say("Another run is changing this stack; planning again.");
                    deployment.plan_again().await?;
                }
                RoundEnd::Replaced => {
                    ui.say("Updates have replaced something; planning again to delete the old.");
                    deployment.plan_again().await?;
                }
                RoundEnd::Up => break (outcome, steps),
                RoundEnd::Stopped => return Err(Broken::Stopped),
                RoundEnd::NotRemoved => {
                    result::failures(&deployment.plan, &outcome, ui);
                    ui.say("Some old resources could not be deleted; run `wschat up` to try again.");
                    break (outcome, steps);
                }
                RoundEnd::Failed | RoundEnd::NoProgress => {
                    result::failures(&deployment.plan, &outcome, ui);
                    let left = self.roll_back(deployment, &outcome).await;
                    let how = if left.is_empty() { "was rolled back" } else { "could not be rolled back completely" };
                    return Err(CommandError::new(format!("the update failed and {how}")).because(left).into());
                }
            }
        };
        if let Err(error) = deployment.publish(&outcome).await {
            ui.say(error.to_string());
        }
        let before = self.shared.deployed();
        let is_first = before.aws.is_none();
        if is_first {
            // What we have written ourselves is no save.
            if self.desired.target.remember(self.desired.project.app(), ui)? {
                self.watch.settings.iter().for_each(|file| self.watch.watcher.note(file));
            }
        }
        self.deployed = deployment.functions(&outcome);
        let uris = result::uris(&deployment.stack, &outcome.known);
        if steps > 0 {
            deployment.read_again().await.map_err(NoPlan::from)?;
        }
        self.attend(&deployment.aws().scope().region.clone()).await;
        if is_first || before.uris != uris {
            self.tell_watching(&uris, deployment);
        }
        if steps > 0 {
            let nothing = BTreeSet::new();
            let what = if is_first { "deployed" } else { "stack updated" };
            self.tell_updated(what.to_owned(), &nothing, steps, begun);
        } else if is_first {
            self.shared.say_now("watching for changes");
        }
        if steps > 0 || is_first {
            self.shared.deploy(Deployed {
                aws: self.aws.clone(),
                uris,
                functions: self.deployed.clone(),
                live: deployment.live().to_vec(),
                folders: self
                    .project
                    .as_ref()
                    .map(|project| project.code_folders(&deployment.stack))
                    .unwrap_or_default(),
            });
        }
        if let Some(project) = self.project.as_ref().filter(|_| is_first) {
            self.desired.tell_warnings(desired::count_warnings(project), self.ui).await;
        }
        Ok(())
    }

    fn show(&self, deployment: &Deployment) {
        let (plan, secrets) = (&deployment.plan, &deployment.secrets);
        self.ui.event(&Event::Plan(crate::ui::plan::event(plan, secrets)));
        if !self.ui.is_json() {
            let view = View { secrets, colour: self.ui.colour(), all: false, columns: self.ui.columns() };
            self.ui.say_coloured(crate::ui::plan::text(plan, view));
        }
    }

    /// Takes back what a failed run did; gives what could not be, a sentence each.
    async fn roll_back(&self, deployment: &mut Deployment, outcome: &Outcome) -> Vec<String> {
        let Rollback { plan, lost: mut left } = deployment.plan_rollback(outcome).await;
        if plan.is_empty() {
            return left;
        }
        self.ui.event(&Event::Rollback(crate::ui::plan::event(&plan, &deployment.secrets)));
        if !self.ui.is_json() {
            self.ui.say("Rolling back:");
        }
        // It is finished even if all is to end.
        let (_going, stop) = watch::channel(false);
        let undone =
            progress::during(&plan, self.ui, |events| deployment.roll_back(&plan, outcome, events, stop)).await;
        let named = |step: &usize| format!("{} ({})", plan.steps[*step].name, plan.steps[*step].shown_type());
        left.extend(undone.failed.iter().map(|(step, error)| format!("{}: {error}", named(step))));
        left.extend(undone.not_started.iter().map(|step| format!("{}: not tried", named(step))));
        left
    }

    /// Has the local cloud start new code of all functions at once, and one of them under a debugger.
    async fn attend(&mut self, region: &str) {
        if !self.desired.target.is_local() {
            return;
        }
        let is_first = self.attended.is_empty();
        for (id, live) in &self.deployed {
            if self.attended.contains(&live.physical_id) {
                continue;
            }
            let is_inspected = self.args.inspect.as_ref() == Some(id);
            let mut attention = Attention::Attend { inspect: None, modules: None };
            if is_inspected && is_first {
                match debugger::of(live, self.code.folder(id), &self.desired.target.cache()).await {
                    Ok(debugger) => {
                        self.ui.say(debugger.how_to_attach(id));
                        attention = Attention::Attend { inspect: Some(debugger.port()), modules: debugger.modules };
                    }
                    Err(error) => error.print(self.ui),
                }
            }
            // Without it all works, only slower.
            match process::attend(self.desired.target.data(), region, &live.physical_id, &attention).await {
                Ok(()) => drop(self.attended.insert(live.physical_id.clone())),
                Err(error) => tracing::debug!("the local cloud does not attend to {id}: {error}"),
            }
        }
    }

    /// Has the local cloud treat all functions as it does without `wschat dev`.
    pub async fn leave(&self) {
        let Some(aws) = &self.aws else { return };
        for name in &self.attended {
            let _ = process::attend(self.desired.target.data(), &aws.scope().region, name, &Attention::Leave).await;
        }
    }

    // --- What is told ---

    fn tell_watching(&self, uris: &[String], deployment: &Deployment) {
        let scope = &deployment.stack.scope;
        let functions: Vec<String> = self.deployed.keys().cloned().collect();
        for uri in uris.iter().filter(|_| !self.ui.is_json()) {
            self.ui.line(uri);
        }
        if !self.ui.is_json() {
            let count = functions.len();
            let what = if count == 1 { "1 function".to_owned() } else { format!("{count} functions") };
            self.ui.say(format_args!("Watching the template and {what} for changes."));
        }
        self.ui.event(&Event::Watching(Watching {
            stack: scope.stack.clone(),
            account: scope.account.clone(),
            region: scope.region.clone(),
            uris: uris.to_vec(),
            functions,
        }));
    }

    fn tell_updated(&self, what: String, functions: &BTreeSet<String>, steps: usize, begun: Instant) {
        self.tell_done(format!("{what} in {}", seconds(begun.elapsed())), functions, steps, begun);
    }

    /// After an error, what is saved may be what was deployed before: nothing is updated then, and the error looks as if it held.
    fn tell_mended(&self, begun: Instant) {
        if self.error_stands.get() && self.is_sound && self.broken.is_empty() {
            self.error_stands.set(false);
            if !self.has_updated.get() {
                self.tell_done("what is saved is deployed".to_owned(), &BTreeSet::new(), 0, begun);
            }
        }
    }

    fn tell_done(&self, text: String, functions: &BTreeSet<String>, steps: usize, begun: Instant) {
        self.has_updated.set(true);
        let lasted = begun.elapsed();
        if !self.ui.is_json() {
            self.ui.say(format_args!("✓ {text}"));
        }
        self.ui.event(&Event::Updated(Updated {
            functions: functions.iter().cloned().collect(),
            steps,
            milliseconds: u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
        }));
        self.shared.say_now(text);
    }

    fn reject_build(&self, error: PackageError, begun: Instant) {
        let details = error.compiler.as_deref().map(shortened);
        let names = error.functions.join(", ");
        let mut rejected = CommandError::new(error.to_string()).advice_lines(error.help.as_deref());
        if let Some(details) = details {
            rejected = rejected.details(details);
        }
        if error.functions.iter().any(|id| self.deployed.contains_key(id)) {
            rejected = rejected.advice("the previous version keeps running");
        }
        self.print(&rejected);
        self.reject_as(&rejected, format!("{names}: error, see above"), begun);
    }

    fn reject(&self, error: &CommandError, begun: Instant) {
        self.print(error);
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        self.reject_as(error, first.to_owned(), begun);
    }

    fn print(&self, error: &CommandError) {
        error.print(self.ui);
    }

    fn reject_as(&self, error: &CommandError, now: String, begun: Instant) {
        self.error_stands.set(true);
        let lasted = begun.elapsed();
        let milliseconds = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
        self.ui.event(&Event::Rejected(Rejection { failure: error.event(), milliseconds }));
        self.shared.say_now(printable::line(&now));
    }
}

/// Does `work` to its end. If all is to end meanwhile, says what is waited for.
async fn saying_what_stops<T>(mut stop: watch::Receiver<bool>, ui: &Ui, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        _ = stop.wait_for(|stop| *stop) => {}
    }
    ui.notice(STOPPING);
    work.await
}

/// Asks before data is lost, or the whole stack is replaced by another.
async fn agree(shared: &Shared, deployment: &Deployment) -> Result<(), CommandError> {
    if let Some(replaced) = deployment.replaces() {
        let name = &deployment.stack.scope.stack;
        let text = format!(
            "None of the resources of stack {name} is in this template. All {} would be deleted, and the template's put in their place.",
            replaced.all
        );
        let refused = || {
            CommandError::new(format!("the template would replace the whole stack {name}, so nothing was changed"))
                .advice("if this is another project: --stack NAME")
        };
        return if shared.ask(text).await == Some(true) { Ok(()) } else { Err(refused()) };
    }
    let lost = losses(&deployment.plan);
    if lost.is_empty() {
        return Ok(());
    }
    match shared.ask(format!("{}.", lost.join(";\n"))).await {
        Some(true) => Ok(()),
        Some(false) => Err(CommandError::new("nothing was changed, because data would be lost").because(lost)),
        None => Err(CommandError::new("data would be lost, so nothing was changed")
            .because(lost)
            .advice("to agree, run it on a terminal, or: wschat up")),
    }
}

/// Asks whether resources may be replaced whose data is lost then; `allowed` has them if so.
async fn agree_to_replace(shared: &Shared, errors: &[PlanError], allowed: &mut DeployOptions) -> bool {
    let lost = errors.iter().map(|error| match error {
        PlanError::DataLoss { logical_id, .. } => Some(logical_id.clone()),
        _ => None,
    });
    let Some(lost) = lost.collect::<Option<Vec<String>>>() else { return false };
    let what: Vec<String> = errors.iter().map(PlanError::message).collect();
    let agreed = shared.ask(format!("{}.\nIt would be replaced all the same.", what.join(";\n"))).await == Some(true);
    if agreed {
        allowed.allow_data_loss.extend(lost);
    }
    agreed
}

/// What a plan loses of data, a sentence each. An update loses some, too, where a log group keeps events for a shorter time.
fn losses(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter().filter(|step| step.kind().is_some_and(|kind| kind.holds_data()));
    steps
        .filter_map(|step| {
            let lost = effects::of(plan, step).lost;
            let done = match step.action {
                Action::Replace => "replaced",
                Action::Delete => "deleted",
                Action::Update if !lost.is_empty() => "updated",
                _ => return None,
            };
            let lost = if lost.is_empty() { String::new() } else { format!(" ({})", lost.join(", ")) };
            Some(format!("{} is to be {done}{lost}", printable::line(&plan.in_words(step))))
        })
        .collect()
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// Names in a row; of many, the first.
fn listed(names: &BTreeSet<String>) -> String {
    let first: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
    match names.len() {
        0..=3 => first.join(", "),
        more => format!("{} and {} others", first.join(", "), more - 3),
    }
}

/// What a compiler said, without what fills more than a screen.
fn shortened(said: &str) -> String {
    let lines: Vec<&str> = said.trim_end().lines().collect();
    match lines.len() {
        0..=MAX_COMPILER_LINES => lines.join("\n"),
        more => format!("{}\n... and {} lines more", lines[..MAX_COMPILER_LINES].join("\n"), more - MAX_COMPILER_LINES),
    }
}

/// A path as the user would write it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok().map(|here| resolved(&here));
    let below = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    below.unwrap_or_else(|| path.to_owned()).display().to_string()
}

/// An absolute path with its folder's links resolved: as the watcher reports it.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (absolute.parent().map(Path::canonicalize), absolute.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => absolute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_compiler_says_is_shortened_to_a_screen() {
        assert_eq!(shortened("one\ntwo\n"), "one\ntwo");
        let long: String = (0..100).map(|line| format!("{line}\n")).collect();
        assert_eq!(shortened(&long).lines().count(), MAX_COMPILER_LINES + 1);
        assert!(shortened(&long).ends_with("39\n... and 60 lines more"));
    }

    #[test]
    fn of_many_names_the_first_are_listed() {
        let names = |count: usize| (0..count).map(|index| format!("F{index}")).collect::<BTreeSet<_>>();
        assert_eq!(listed(&names(2)), "F0, F1");
        assert_eq!(listed(&names(5)), "F0, F1, F2 and 2 others");
    }
}
