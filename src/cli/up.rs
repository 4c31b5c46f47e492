//! `wschat up`: from a template to a URI.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::desired::{self, Desired, When};
use super::exit::Exit;
use super::{Failure, result, timings};
use crate::aws::Aws;
use crate::execute::{self, Code, Outcome};
use crate::plan::{self, Action, Plan};
use crate::timings::{Round, Run};
use crate::ui::Ui;
use crate::ui::progress::{self, Style};

/// Build the handlers, provision what the template describes, print the URI to connect to
///
/// When something fails, what this run did is undone.
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
    /// When something fails, leave what is done for the next run
    #[arg(long)]
    keep_on_failure: bool,
    /// Print what happens as JSON, a line an event
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    timings: timings::Args,
}

/// How often a run that meets another one at the same stack reads and goes on.
const ROUNDS: u32 = 10;

/// After so many rounds with one and the same plan it is not another run that is met.
const SAME_PLANS: usize = 3;

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Exit, Failure> {
        if self.dry_run {
            return super::plan::show(&self.desired, self.json, ui).await;
        }
        let begun = Instant::now();
        // Who holds the run to a plan waits until all of it is known.
        let when = if self.plan.is_some() { When::Built } else { When::Known };
        self.desired.plan(ui, when, async |desired| self.carry_out(desired, begun, ui).await).await
    }

    async fn carry_out(&self, mut desired: Desired<'_>, begun: Instant, ui: &Ui) -> Result<Exit, Failure> {
        let mut run = Run { begun, connected: desired.connected, rounds: Vec::new() };
        let mut plans: Vec<String> = Vec::new();
        for round in 1..=ROUNDS {
            self.show(&desired, ui);
            self.agree(ui, &desired.plan)?;
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
                return Ok(self.succeed(&desired, &outcome, ui));
            }
            if !goes_on {
                return Err(self.fail(&desired, &outcome, stopped, ui).await);
            }
            ui.say("Another run is at work on this stack: reading again what is there.");
            desired.again().await?;
        }
        Err("another run is at work on this stack; try again when it is done".into())
    }

    /// Carries out a plan, shown as it goes on; gives whether somebody stopped it, too.
    async fn execute(&self, aws: &Arc<Aws>, plan: &Plan, code: Code, ui: &Ui) -> (Outcome, bool) {
        let (stop, stopped) = watch::channel(false);
        let interrupt = tokio::spawn(super::interrupt(stop, ui.clone()));
        let (events, heard) = mpsc::unbounded_channel();
        let (outcome, ()) = tokio::join!(
            execute::run(Arc::clone(aws), plan, code, events, stopped.clone()),
            progress::show(plan, Style::of(self.json), heard, ui)
        );
        interrupt.abort();
        (outcome, *stopped.borrow())
    }

    fn show(&self, desired: &Desired<'_>, ui: &Ui) {
        let (plan, secrets) = (&desired.plan, &desired.stack.secrets);
        if self.json {
            ui.line(crate::ui::plan::json(plan, secrets));
        } else {
            ui.say(crate::ui::plan::text(plan, secrets));
        }
    }

    /// Asks before anything is taken away.
    fn agree(&self, ui: &Ui, plan: &Plan) -> Result<(), Failure> {
        if let Some(digest) = self.plan.as_ref().filter(|digest| **digest != plan.digest()) {
            return Err(format!(
                "this is not the plan {digest} but {}: what is there, or what shall be, has changed since\n  look at it with: wschat plan{}",
                plan.digest(),
                self.desired.target.flags()
            )
            .into());
        }
        let doomed: Vec<&str> = plan.destructive().map(|step| step.name.as_str()).collect();
        if doomed.is_empty() || self.yes {
            return Ok(());
        }
        let what = doomed.join(", ");
        if !io::stdin().is_terminal() {
            return Err(format!("this would delete or replace {what}; say --yes if that is what you want").into());
        }
        if ui.confirm(format_args!("Delete or replace {what}?")) { Ok(()) } else { Err("nothing was changed".into()) }
    }

    fn succeed(&self, desired: &Desired<'_>, outcome: &Outcome, ui: &Ui) -> Exit {
        let outputs = result::outputs(desired.stack, &outcome.known);
        let uris = result::uris(desired.stack, &outcome.known);
        if self.json {
            ui.line(json!({"event": "result", "uris": uris, "outputs": outputs}));
        } else {
            for (name, value) in &outputs {
                ui.say(format_args!("{name} = {value}"));
            }
            for uri in &uris {
                ui.line(uri);
            }
        }
        Exit::Ok
    }

    /// Says what failed, and takes the run back.
    async fn fail(&self, desired: &Desired<'_>, outcome: &Outcome, stopped: bool, ui: &Ui) -> Failure {
        let plan = &desired.plan;
        let flags = self.desired.target.flags();
        result::failures(plan, outcome, self.json, ui);
        let done = outcome.done.len();
        let counts = format!("{done} done, {} failed, {} not started", outcome.failed.len(), outcome.not_started.len());
        let again = format!("  run it again to go on from here, or take everything down with: wschat down{flags}");
        if outcome.failed.is_empty() {
            return format!("stopped: {counts}\n{again}").into();
        }
        let making = |step: &usize| plan.steps[*step].action != Action::Delete;
        if !outcome.failed.keys().any(making) && !outcome.not_started.iter().any(making) {
            let uris = result::uris(desired.stack, &outcome.known).join(", ");
            return format!(
                "the stack is up ({uris}), but not all that is no longer wanted could be removed: {counts}\n  run it again to remove the rest"
            )
            .into();
        }
        if self.keep_on_failure {
            return format!("not finished: {counts}, and kept as --keep-on-failure asks\n{again}").into();
        }
        let left = self.undo(desired, outcome, ui).await;
        if left.is_empty() {
            let how = if stopped { "stopped" } else { "nothing has changed" };
            return format!("{how}: what this run did is undone\n  put right what is said above and run it again; --keep-on-failure keeps what succeeds").into();
        }
        format!("not all of what this run did could be undone:\n  {}\n{again}", left.join("\n  ")).into()
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
        if self.json {
            let mut line = crate::ui::plan::json(&undo.plan, &desired.stack.secrets);
            line["event"] = json!("undo");
            ui.line(line);
        } else {
            ui.say("Undoing what this run did:");
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
fn found_again(plan: &Plan, outcome: &Outcome, rounds: usize) -> Failure {
    let step = |index: &usize| {
        let step = &plan.steps[*index];
        format!("{} ({})", step.name, step.type_name)
    };
    let found: Vec<String> = outcome.did.adopted.iter().map(step).collect();
    format!(
        "the stack is not what the template describes after {rounds} rounds: AWS had {} already, each time it was to be made\n  \
         either another run changes this stack all the time, or two resources of the template are one and the same for AWS\n  \
         compare them in the template, then run it again; what was made is kept",
        found.join(", ")
    )
    .into()
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
