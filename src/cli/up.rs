//! `wschat up`: from a template to a URI.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::command::Command;
use super::desired::{self, Desired, When};
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{interrupt, result, timings};
use crate::aws::client::Aws;
use crate::core::plan::{self, Action, Plan, Step};
use crate::deploy::execute::{self, Code, Outcome};
use crate::timings::{Round, Run};
use crate::ui::Ui;
use crate::ui::event::{Event, RunResult};
use crate::ui::plan::View;
use crate::ui::printable;
use crate::ui::progress::{self, Style};

/// Build the handlers, provision what the template describes, print the URI to connect to
///
/// When a step fails, the run is rolled back: what it created is deleted, what it changed is set back. After Ctrl-C,
/// what it has done is kept: `wschat up` goes on from there, `wschat down` removes the stack.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    desired: desired::Args,
    /// Show what would be done, and do nothing: `wschat plan`
    #[arg(long)]
    dry_run: bool,
    /// Do exactly this plan, which `wschat plan` showed, or stop
    #[arg(long, value_name = "DIGEST")]
    plan: Option<String>,
    /// Do not ask before something is deleted or replaced
    #[arg(long, short)]
    yes: bool,
    /// Allow a template that shares no resource with the stack to replace all of it
    #[arg(long)]
    replace_stack: bool,
    /// Do not roll back when a step fails: the next run goes on from there
    #[arg(long)]
    keep_on_failure: bool,
    /// Do not wait for messages that are under way before what they may use is removed
    #[arg(long, env = "WSCHAT_NO_DRAIN", value_parser = clap::builder::FalseyValueParser::new())]
    no_drain: bool,
    /// Do nothing if the plan interrupts clients: what it lists under "interrupts"
    #[arg(long)]
    no_interruption: bool,
    /// Print events as JSON, one object per line
    #[arg(long)]
    pub(super) json: bool,
    /// Print outputs that hold a value of a NoEcho parameter, too; without it they are ****
    #[arg(long)]
    show_secrets: bool,
    #[command(flatten)]
    timings: timings::Args,
}

/// How often a run that meets another one at the same stack reads and goes on.
const ROUNDS: u32 = 10;

/// After so many rounds with one and the same plan it is not another run that is met.
const SAME_PLANS: usize = 3;

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        if self.dry_run {
            return super::plan::show(&self.desired, false, self.no_interruption, ui).await;
        }
        let begun = Instant::now();
        // Who holds the run to a plan waits until all of it is known.
        let when = if self.plan.is_some() { When::Built } else { When::Known };
        self.desired.plan(ui, when, async |desired| self.carry_out(desired, begun, ui).await).await
    }

    async fn carry_out(&self, mut desired: Desired<'_>, begun: Instant, ui: &Ui) -> Result<Ended, CommandError> {
        let mut run = Run { begun, connected: desired.connected, rounds: Vec::new() };
        let mut plans: Vec<String> = Vec::new();
        for round in 1..=ROUNDS {
            if self.no_drain {
                desired.plan = desired.plan.without_drain();
            }
            self.show(&desired, ui);
            if self.no_interruption {
                result::uninterrupted(&desired.plan)?;
            }
            let is_there = desired.plan.steps.iter().any(|step| step.live.is_some());
            if round == 1
                && is_there
                && let Some(why) = self.desired.target.unknown_owner()?
            {
                return Err(why);
            }
            let agreed = self.agree_to_replace_stack(&desired, ui)?;
            self.agree(ui, &desired.plan, agreed)?;
            if round == 1 {
                self.desired.target.remember(ui)?;
            }
            let planned = Instant::now();
            let (outcome, stopped) = self.execute(desired.aws, &desired.plan, desired.code.clone(), ui).await;
            run.rounds.push(Round::new(&desired.plan, &outcome, planned));
            // What is there by now may be of two runs' making.
            let in_company = !outcome.did.adopted.is_empty() && !stopped;
            plans.push(desired.plan.digest());
            let in_vain = outcome.is_complete() && (round == ROUNDS || circles(&plans));
            let goes_on = in_company && round < ROUNDS && self.plan.is_none() && !in_vain;
            if !goes_on {
                self.timings.tell("up", &run, desired.aws, ui);
            }
            if in_company && in_vain && self.plan.is_none() {
                return Err(found_again(&desired.plan, &outcome, plans.len()));
            }
            if outcome.is_complete() && !goes_on {
                if stopped {
                    ui.say("Ctrl-C came when every step was under way: they are finished, and the stack is up.");
                }
                return Ok(self.succeed(&desired, &outcome, ui));
            }
            if !goes_on {
                return Err(self.fail(&desired, &outcome, stopped, ui).await);
            }
            ui.say("Another run is changing this stack; planning again.");
            desired.again().await?;
        }
        Err("another run is changing this stack; try again when it is done".into())
    }

    /// Carries out a plan, shown as it goes on; gives whether somebody stopped it, too.
    async fn execute(&self, aws: &Arc<Aws>, plan: &Plan, code: Code, ui: &Ui) -> (Outcome, bool) {
        let (stop, stopped) = watch::channel(false);
        let interrupt = tokio::spawn(interrupt::claim(stop, ui.clone()));
        let (events, heard) = mpsc::unbounded_channel();
        let (outcome, ()) = tokio::join!(
            execute::run(Arc::clone(aws), plan, code, events, stopped.clone()),
            progress::show(plan, Style::of(ui), heard, ui)
        );
        interrupt.abort();
        (outcome, *stopped.borrow())
    }

    fn show(&self, desired: &Desired<'_>, ui: &Ui) {
        let (plan, secrets) = (&desired.plan, &desired.secrets);
        ui.event(&Event::Plan(crate::ui::plan::event(plan, secrets)));
        if !self.json {
            let view = View { secrets, colour: ui.colour(), all: false };
            ui.say_coloured(crate::ui::plan::text(plan, view));
        }
    }

    /// Asks, whatever else was agreed to, before a template takes the place of a stack that has nothing to do with it: it
    /// may be the wrong folder, or a name that two projects share. Gives whether that was answered on a terminal.
    fn agree_to_replace_stack(&self, desired: &Desired<'_>, ui: &Ui) -> Result<bool, CommandError> {
        let Some(replaced) = plan::replaced(desired.stack, &desired.live, &desired.plan) else { return Ok(false) };
        if self.replace_stack {
            return Ok(false);
        }
        let name = &desired.stack.scope.stack;
        let plan::Replaced { going, all } = replaced;
        ui.say(format_args!(
            "None of the resources of stack {name} is in this template: {going} of {all} would be deleted, and the template's made in their place.\nIf this is another project, give it a stack of its own: --stack NAME."
        ));
        if !io::stdin().is_terminal() {
            return Err(format!(
                "this would replace the whole stack {name}; say --replace-stack if that is what you want"
            )
            .into());
        }
        if ui.confirm(format_args!("Delete stack {name} as it is, and put this template's in its place?")) {
            Ok(true)
        } else {
            Err("nothing was changed".into())
        }
    }

    /// Asks before anything is taken away, unless that is agreed to already.
    fn agree(&self, ui: &Ui, plan: &Plan, agreed: bool) -> Result<(), CommandError> {
        if let Some(digest) = self.plan.as_ref().filter(|digest| **digest != plan.digest()) {
            let what = format!(
                "plan {digest} is out of date (now {}): the template, the code or the deployed resources changed",
                plan.digest()
            );
            return Err(CommandError::new(what).hint("look at it with", Command::new("plan").with(&self.desired)));
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
            return Err(format!("this would {what}; say --yes if that is what you want").into());
        }
        let (first, rest) = what.split_at(1);
        if ui.confirm(format_args!("{}{rest}?", first.to_uppercase())) {
            Ok(())
        } else {
            Err("nothing was changed".into())
        }
    }

    fn succeed(&self, desired: &Desired<'_>, outcome: &Outcome, ui: &Ui) -> Ended {
        let outputs = result::outputs(desired.stack, &outcome.known, self.show_secrets);
        let uris = result::uris(desired.stack, &outcome.known);
        if !self.json {
            for (name, value) in &outputs {
                let line = format!("{name} = {}", printable::line(value));
                if self.show_secrets { ui.reveal(line) } else { ui.say(line) }
            }
            for uri in &uris {
                ui.line(uri);
            }
        }
        let shows_secrets = self.show_secrets;
        let scope = &desired.stack.scope;
        Exit::Ok.with(Event::Result(RunResult { uris, outputs, shows_secrets, ..RunResult::of(scope) }))
    }

    /// Says what failed, and takes the run back.
    async fn fail(&self, desired: &Desired<'_>, outcome: &Outcome, stopped: bool, ui: &Ui) -> CommandError {
        let plan = &desired.plan;
        let down = Command::new("down").with(&self.desired.target);
        result::failures(plan, outcome, ui);
        let done = outcome.done.len();
        let counts = format!("{done} done, {} failed, {} not started", outcome.failed.len(), outcome.not_started.len());
        let up = Command::new("up").with(&self.desired);
        let again = |error: CommandError| error.hint("to go on from here", &up).hint("to remove the stack", &down);
        if outcome.failed.is_empty() {
            return again(CommandError::new(format!("stopped: {counts}; what is done is kept")));
        }
        let making = |step: &usize| plan.steps[*step].action != Action::Delete;
        if !outcome.failed.keys().any(making) && !outcome.not_started.iter().any(making) {
            let uris = result::uris(desired.stack, &outcome.known).join(", ");
            let what =
                format!("the stack is up ({uris}), but not all that is no longer wanted could be removed: {counts}");
            return CommandError::new(what).hint("run it again to remove the rest", up);
        }
        if self.keep_on_failure {
            return again(CommandError::new(format!("not finished: {counts}, and kept as --keep-on-failure asks")));
        }
        let left = self.undo(desired, outcome, ui).await;
        let what = if plan.steps.iter().any(|step| step.live.is_some()) { "update" } else { "deployment" };
        let how = if stopped { "failed, was stopped" } else { "failed" };
        if left.is_empty() {
            return CommandError::new(format!("the {what} {how} and was rolled back"))
                .advice("fix the error above and run it again; --keep-on-failure keeps what succeeds");
        }
        again(CommandError::new(format!("the {what} {how} and could not be rolled back completely")).because(left))
    }

    /// Takes back what the run did; gives what could not be, a sentence each.
    async fn undo(&self, desired: &Desired<'_>, outcome: &Outcome, ui: &Ui) -> Vec<String> {
        let (did, known, before) = (&outcome.did, &outcome.known, &desired.live);
        // Who may make a thing need not be let look at it.
        let now = desired.read().await.unwrap_or_else(|_| plan::believed(&desired.plan, did, known, before));
        let undo = plan::undo(&desired.plan, did, known, before, &now);
        let mut left = undo.lost;
        if undo.plan.is_empty() {
            return left;
        }
        ui.event(&Event::Undo(crate::ui::plan::event(&undo.plan, &desired.secrets)));
        if !self.json {
            ui.say("Rolling back:");
        }
        let code = Code::ready(outcome.backups.clone());
        let (undone, _) = self.execute(desired.aws, &undo.plan, code, ui).await;
        let step = |index: &usize| {
            let step = &undo.plan.steps[*index];
            format!("{} ({})", step.name, step.type_name)
        };
        left.extend(undone.failed.iter().map(|(index, error)| format!("{}: {error}", step(index))));
        left.extend(undone.not_started.iter().map(|index| format!("{}: not tried", step(index))));
        left
    }
}

/// Whether the last rounds all had the same plan: what one of them makes, the next one does not see.
fn circles(plans: &[String]) -> bool {
    plans.len() >= SAME_PLANS && plans[plans.len() - SAME_PLANS..].windows(2).all(|two| two[0] == two[1])
}

/// That a run makes things that are there already, however often it reads anew.
fn found_again(plan: &Plan, outcome: &Outcome, rounds: usize) -> CommandError {
    let step = |index: &usize| {
        let step = &plan.steps[*index];
        format!("{} ({})", step.name, step.type_name)
    };
    let found: Vec<String> = outcome.did.adopted.iter().map(step).collect();
    CommandError::new(format!(
        "the stack is not what the template describes after {rounds} rounds: AWS had {} already, each time it was to be made",
        found.join(", ")
    ))
    .advice("either another run changes this stack all the time, or two resources of the template are one and the same for AWS")
    .advice("compare them in the template, then run it again; what was made is kept")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_circles_when_its_plan_does_not_change_any_more() {
        let circles = |plans: &str| circles(&plans.chars().map(String::from).collect::<Vec<_>>());
        for (plans, expected) in
            [("", false), ("a", false), ("aa", false), ("aaa", true), ("baaa", true), ("aaab", false), ("abab", false)]
        {
            assert_eq!(circles(plans), expected, "{plans}");
        }
    }
}
