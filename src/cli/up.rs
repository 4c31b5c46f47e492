//! `wschat up`: from a template to a URI.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::all_stacks::{self, Order};
use super::command::Command;
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::interrupt::Stop;
use super::{desired, guided, result, smoke, timings};
use crate::core::plan::{Action, Plan, Replaced, Rollback, Step};
use crate::core::websocket::smoke::Steps;
use crate::deploy::deployment::{DeployOptions, Deployment, RoundEnd, When};
use crate::deploy::execute::{self, Outcome};
use crate::timings::{Round, Run};
use crate::ui::Ui;
use crate::ui::event::{Event, RunResult};
use crate::ui::plan::View;
use crate::ui::printable;
use crate::ui::progress;

/// Build the handlers, provision what the template describes, print the URI to connect to
///
/// When a step fails, the run is rolled back: what it created is deleted, what it changed is set back. After Ctrl-C,
/// what it has done is kept: `wschat up` continues from there, `wschat down` deletes the stack.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    desired: desired::Args,
    #[command(flatten)]
    all_stacks: all_stacks::Args,
    /// Ask for the stack's name, the region, the parameters and whether to confirm changes, and save the answers in wschat.toml
    #[arg(long, conflicts_with_all = ["all_stacks", "json"])]
    guided: bool,
    /// Show what would be done, and do nothing: `wschat plan`
    #[arg(long)]
    dry_run: bool,
    /// Carry out the plan with this digest (from `wschat plan`); stop if it has changed
    #[arg(long, value_name = "DIGEST")]
    plan: Option<String>,
    /// Do not ask before something is deleted or replaced, nor where --confirm would
    #[arg(long, short)]
    yes: bool,
    /// Show the plan and ask before anything is done, not only before something is deleted or replaced
    #[arg(long)]
    confirm: bool,
    /// Allow replacing the whole stack by a template that shares no resource with it
    #[arg(long)]
    replace_stack: bool,
    /// Do not roll back when a step fails: the next run continues from there
    #[arg(long)]
    keep_on_failure: bool,
    /// Delete old resources at once, without waiting for messages in flight
    #[arg(long)]
    no_drain: bool,
    /// Do nothing if the plan interrupts clients: what it lists under "interrupts"
    #[arg(long)]
    no_interruption: bool,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
    /// When the stack is up, test it: two clients connect, and a message must come back (`wschat smoke`)
    #[arg(long)]
    smoke: bool,
    /// Test with the steps of this file (docs/commands/smoke.md)
    #[arg(long, value_name = "FILE", requires = "smoke")]
    smoke_steps: Option<PathBuf>,
    /// Show outputs that contain values of NoEcho parameters; without it they are ****
    #[arg(long)]
    show_secrets: bool,
    #[command(flatten)]
    timings: timings::Args,
}

impl Args {
    /// What shall be, and where.
    pub(super) fn desired(&self) -> &desired::Args {
        &self.desired
    }

    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        self.desired.project.synthesise(ui)?;
        let Some(names) = self.all_stacks.names(self.desired.project.named(), Order::Needed)? else {
            return self.run_one(ui).await;
        };
        all_stacks::each(&names, ui, async |name| {
            let desired = self.desired.of_app(name);
            let desired = if self.dry_run { desired.previewed() } else { desired };
            Self { desired, ..self.clone() }.run_one(ui).await
        })
        .await
    }

    async fn run_one(mut self, ui: &Ui) -> Result<Ended, CommandError> {
        if self.guided {
            self.confirm = guided::ask(&mut self.desired, ui)?;
        }
        if self.dry_run {
            return super::plan::show(&self.desired, false, self.no_interruption, ui).await;
        }
        // What is wrong with the file is said before anything is deployed.
        let steps = self.smoke_steps.as_deref().map(|file| Steps::of_file(file, &[], ui)).transpose()?;
        let begun = Instant::now();
        // With --plan, the whole plan must be known first.
        let when = if self.plan.is_some() { When::Built } else { When::Known };
        let options =
            DeployOptions { drain: !self.no_drain, may_plan_again: self.plan.is_none(), ..self.desired.options(when) };
        let mut desired = self.desired.plan(options, ui).await?;
        let mut run = Run { begun, connected: desired.connected, rounds: Vec::new() };
        let deployment = &mut desired.deployment;
        let (outcome, end, stopped) = loop {
            self.show(deployment, ui);
            self.agree(deployment, ui)?;
            let planned = Instant::now();
            let (outcome, stopped) =
                self.carry_out(&deployment.plan, ui, |events, stop| deployment.carry_out(events, stop)).await;
            run.rounds.push(Round::new(&deployment.plan, &outcome, planned));
            let end = deployment.conclude(&outcome, stopped);
            match end {
                RoundEnd::ConcurrentRun => ui.say("Another run is changing this stack; planning again."),
                RoundEnd::Replaced => ui.say("Updates have replaced something; planning again to delete the old."),
                _ => break (outcome, end, stopped),
            }
            if let Err(error) = deployment.plan_again().await {
                result::failures(&deployment.plan, &outcome, ui);
                self.timings.tell("up", &run, deployment.aws(), ui);
                return Err(self.again(error.into()));
            }
            ui.hide(&deployment.secrets);
        };
        self.timings.tell("up", &run, deployment.aws(), ui);
        match end {
            RoundEnd::Up => {}
            RoundEnd::NoProgress => return Err(found_again(deployment, &outcome)),
            _ => return Err(self.fail(deployment, &outcome, end, stopped, ui).await),
        }
        if stopped {
            ui.say("Ctrl-C came after the last step had started: all steps are finished, and the stack is up.");
        }
        if let Err(error) = deployment.publish(&outcome).await {
            let up = Command::new("up").with(&self.desired);
            return Err(CommandError::new(format!("the stack is up, but {error}")).hint("run it again", up));
        }
        let result = self.succeed(deployment, &outcome, ui);
        let forgotten = self.desired.project.to_forget();
        self.desired.target.remember_parameters(&desired.remembered, &forgotten, ui)?;
        if self.smoke {
            self.test(deployment, steps, &result, ui).await?;
        }
        self.desired.tell_warnings(desired.warnings, ui).await;
        Ok(Exit::Ok.with(Event::Result(result)))
    }

    /// Tests the stack that is up. A test that fails takes nothing back.
    async fn test(
        &self,
        deployment: &Deployment,
        steps: Option<Steps>,
        result: &RunResult,
        ui: &Ui,
    ) -> Result<(), CommandError> {
        let target = &self.desired.target;
        smoke::after_up(target, deployment.aws(), steps, ui).await.map_err(|error| {
            let up = format!("the stack is up ({}) and stays as it is", result.uris.join(", "));
            error.advice(up).hint("to test it again", Command::new("smoke").with(target)).exits(Exit::Failed)
        })
    }

    /// Carries out a plan and shows its progress; also returns whether Ctrl-C stopped it.
    async fn carry_out<F: Future<Output = Outcome>>(
        &self,
        plan: &Plan,
        ui: &Ui,
        run: impl FnOnce(mpsc::UnboundedSender<execute::StepEvent>, watch::Receiver<bool>) -> F,
    ) -> (Outcome, bool) {
        let stop = Stop::claim(ui);
        let outcome = progress::during(plan, ui, |events| run(events, stop.pressed())).await;
        (outcome, stop.is_pressed())
    }

    fn show(&self, deployment: &Deployment, ui: &Ui) {
        let (plan, secrets) = (&deployment.plan, &deployment.secrets);
        ui.event(&Event::Plan(crate::ui::plan::event(plan, secrets)));
        if !ui.is_json() {
            let view = View { secrets, colour: ui.colour(), all: false, columns: ui.columns() };
            ui.say_coloured(crate::ui::plan::text(plan, view));
        }
        result::tell_exports(deployment, ui);
    }

    /// Checks the plan against the options, asks for confirmation, and keeps the stack's name for later runs.
    fn agree(&self, deployment: &Deployment, ui: &Ui) -> Result<(), CommandError> {
        let (target, is_first) = (&self.desired.target, deployment.rounds() == 0);
        if self.no_interruption {
            result::uninterrupted(&deployment.plan)?;
        }
        if is_first
            && deployment.is_update()
            && let Some(why) = target.unknown_owner()?
        {
            return Err(why);
        }
        let agreed = self.agree_to_replace_stack(deployment, ui)?;
        self.agree_to_losses(&deployment.plan, agreed, is_first, ui)?;
        if is_first {
            target.remember(self.desired.project.app(), ui)?;
        }
        Ok(())
    }

    /// Asks, whatever else was agreed to, before a template takes the place of a stack that has nothing to do with it:
    /// it may be the wrong folder, or a name that two projects share. Gives whether that was answered on a terminal.
    fn agree_to_replace_stack(&self, deployment: &Deployment, ui: &Ui) -> Result<bool, CommandError> {
        let Some(replaced) = deployment.replaces() else { return Ok(false) };
        if self.replace_stack {
            return Ok(false);
        }
        let name = &deployment.stack.scope.stack;
        let Replaced { going, all } = replaced;
        ui.say(format_args!(
            "None of the resources of stack {name} is in this template: {going} of {all} would be deleted, and the template's created in their place.\nIf this is another project, give it a stack of its own: --stack NAME."
        ));
        if !io::stdin().is_terminal() {
            return Err(format!("this would replace the whole stack {name}; pass --replace-stack to confirm").into());
        }
        if ui.confirm(format_args!("Replace all of stack {name} by this template?")) {
            Ok(true)
        } else {
            Err("nothing was changed".into())
        }
    }

    /// Asks before anything is deleted or replaced, unless that was confirmed already.
    fn agree_to_losses(&self, plan: &Plan, agreed: bool, is_first: bool, ui: &Ui) -> Result<(), CommandError> {
        if let Some(digest) = self.plan.as_ref().filter(|digest| **digest != plan.digest()) {
            let what = format!(
                "plan {digest} is out of date (now {}): the template, the code or the deployed resources changed",
                plan.digest()
            );
            return Err(CommandError::new(what).hint("look at it with", Command::new("plan").with(&self.desired)));
        }
        if self.confirm && !self.yes && !agreed && is_first && !plan.is_empty() {
            return self.ask(plan, ui);
        }
        let doomed: Vec<&Step> = plan.destructive().collect();
        if doomed.is_empty() || self.yes || agreed {
            return Ok(());
        }
        let of = |action: Action, verb: &str| {
            let steps = doomed.iter().filter(|step| step.action == action);
            let names: Vec<String> = steps.map(|step| printable::line(&plan.in_words(step))).collect();
            (!names.is_empty()).then(|| format!("{verb} {}", names.join(", ")))
        };
        let parts: Vec<String> =
            [of(Action::Delete, "delete"), of(Action::Replace, "replace")].into_iter().flatten().collect();
        let what = parts.join(" and ");
        if !io::stdin().is_terminal() {
            return Err(format!("this would {what}; pass --yes to confirm").into());
        }
        let (first, rest) = what.split_at(1);
        if ui.confirm(format_args!("{}{rest}?", first.to_uppercase())) {
            Ok(())
        } else {
            Err("nothing was changed".into())
        }
    }

    /// Asks before the plan, which was shown, is carried out.
    fn ask(&self, plan: &Plan, ui: &Ui) -> Result<(), CommandError> {
        let stack = self.desired.target.stack()?;
        if !io::stdin().is_terminal() {
            return Err(CommandError::new(format!("stack {stack} is changed only after a confirmation (--confirm)"))
                .advice("pass --yes to confirm without a terminal"));
        }
        let count = plan.steps.iter().filter(|step| !matches!(step.action, Action::Keep | Action::Retain)).count();
        let changes = if count == 1 { "this change".to_owned() } else { format!("these {count} changes") };
        if ui.confirm(format_args!("Make {changes} to stack {stack}?")) {
            Ok(())
        } else {
            Err("nothing was changed".into())
        }
    }

    fn succeed(&self, deployment: &Deployment, outcome: &Outcome, ui: &Ui) -> RunResult {
        let outputs = result::outputs(&deployment.stack, &outcome.known, self.show_secrets);
        let uris = result::uris(&deployment.stack, &outcome.known);
        if !ui.is_json() {
            for (name, value) in &outputs {
                let line = format!("{name} = {}", printable::line(value));
                if self.show_secrets { ui.reveal(line) } else { ui.say(line) }
            }
            // People have just read it among the outputs; pipes get it alone.
            let is_shown = |uri: &String| ui.has_result_on_terminal() && outputs.values().any(|value| value == uri);
            for uri in uris.iter().filter(|uri| !is_shown(uri)) {
                ui.line(uri);
            }
        }
        RunResult { uris, outputs, shows_secrets: self.show_secrets, ..RunResult::of(&deployment.stack.scope) }
    }

    /// Prints what failed, and rolls the run back.
    async fn fail(
        &self,
        deployment: &mut Deployment,
        outcome: &Outcome,
        end: RoundEnd,
        stopped: bool,
        ui: &Ui,
    ) -> CommandError {
        result::failures(&deployment.plan, outcome, ui);
        let mut causes = Vec::new();
        if let Some(error) = deployment.build_error() {
            let error = CommandError::from(error);
            causes.extend(ui.is_json().then(|| error.to_string()));
            error.print(ui);
        }
        let done = outcome.done.len();
        let counts = format!("{done} done, {} failed, {} not started", outcome.failed.len(), outcome.not_started.len());
        if end == RoundEnd::Stopped {
            return self.again(CommandError::new(format!("stopped: {counts}; what is done is kept")));
        }
        if end == RoundEnd::NotRemoved {
            let uris = result::uris(&deployment.stack, &outcome.known).join(", ");
            let what = format!("the stack is up ({uris}), but not all old resources could be deleted: {counts}");
            let up = Command::new("up").with(&self.desired);
            return CommandError::new(what).hint("run it again to delete the rest", up);
        }
        if self.keep_on_failure {
            let what = format!("not finished: {counts}, and kept as --keep-on-failure asks");
            return self.again(CommandError::new(what).because(causes));
        }
        let left = self.roll_back(deployment, outcome, ui).await;
        let what = if deployment.is_update() { "update" } else { "deployment" };
        let how = if stopped { "failed, was stopped" } else { "failed" };
        if left.is_empty() {
            return CommandError::new(format!("the {what} {how} and was rolled back"))
                .because(causes)
                .advice("fix the error above and run it again; --keep-on-failure keeps what succeeds");
        }
        causes.extend(left);
        self.again(
            CommandError::new(format!("the {what} {how} and could not be rolled back completely")).because(causes),
        )
    }

    /// The error of a run whose work is kept, with the ways to go on.
    fn again(&self, error: CommandError) -> CommandError {
        let (up, down) = (Command::new("up").with(&self.desired), Command::new("down").with(&self.desired.target));
        error.hint("to continue", up).hint("to remove the stack", down)
    }

    /// Rolls the run back; returns what could not be rolled back, a sentence each.
    async fn roll_back(&self, deployment: &mut Deployment, outcome: &Outcome, ui: &Ui) -> Vec<String> {
        let Rollback { plan, lost: mut left } = deployment.plan_rollback(outcome).await;
        if plan.is_empty() {
            return left;
        }
        ui.event(&Event::Rollback(crate::ui::plan::event(&plan, &deployment.secrets)));
        if !ui.is_json() {
            ui.say("Rolling back:");
        }
        let roll_back = |events, stop| deployment.roll_back(&plan, outcome, events, stop);
        let (rolled_back, _) = self.carry_out(&plan, ui, roll_back).await;
        left.extend(rolled_back.failed.iter().map(|(index, error)| format!("{}: {error}", named(&plan, *index))));
        left.extend(rolled_back.not_started.iter().map(|index| format!("{}: not tried", named(&plan, *index))));
        left
    }
}

/// A step's resource, as a sentence names it.
fn named(plan: &Plan, step: usize) -> String {
    let step = &plan.steps[step];
    format!("{} ({})", step.name, step.shown_type())
}

/// The error of a run that in every round creates resources that exist already.
fn found_again(deployment: &Deployment, outcome: &Outcome) -> CommandError {
    let found: Vec<String> = outcome.executed.adopted.iter().map(|step| named(&deployment.plan, *step)).collect();
    let rounds = deployment.rounds();
    CommandError::new(format!(
        "the stack still differs from the template after {rounds} rounds: each time, AWS already had {}",
        found.join(", ")
    ))
    .advice("another run keeps changing this stack, or two resources of the template are the same resource in AWS")
    .advice("compare them in the template, then run it again; what was created is kept")
}
