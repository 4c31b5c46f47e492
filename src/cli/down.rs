//! `wschat down`: deletes the stack's resources, and nothing else.

use std::io::{self, IsTerminal};
use tokio::time::Instant;

use super::all_stacks::{self, Order};
use super::command::Command;
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::interrupt::Stop;
use super::{list, result, target, timings};
use crate::core::plan::Plan;
use crate::core::stack::Secrets;
use crate::core::words::Scope;
use crate::deploy::deployment::NoPlan;
use crate::deploy::execute::Outcome;
use crate::deploy::removal::Removal;
use crate::timings::{Round, Run};
use crate::ui::Ui;
use crate::ui::event::{Event, Retained, RunResult};
use crate::ui::plan::View;
use crate::ui::progress;

/// Delete the stack with all its data; needs no template
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: target::Deployed,
    #[command(flatten)]
    all_stacks: all_stacks::Args,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    timings: timings::Args,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        let Some(names) = self.all_stacks.names(self.target.template(), Order::Needing)? else {
            return self.run_one(ui).await;
        };
        let one = async |name: &str| Self { target: self.target.of_app(name), ..self.clone() }.run_one(ui).await;
        all_stacks::each(&names, ui, one).await
    }

    async fn run_one(self, ui: &Ui) -> Result<Ended, CommandError> {
        let begun = Instant::now();
        let stack = self.target.stack()?;
        if let Some(what) = self.target.no_local_cloud() {
            ui.say(format_args!("Nothing to delete: {what}."));
            return Ok(Exit::Ok.with(Event::Result(RunResult::of(&self.target.local_scope(stack)))));
        }
        let session = self.target.session(ui).await?;
        let name = session.identify().await?.stack.clone();
        let connected = Instant::now();
        let mut removal = Removal::plan(session).await?;
        if let Some(formed) = removal.still_formed().await {
            return Err(NoPlan::Unfinished(formed).into());
        }
        let mut run = Run { begun, connected, rounds: Vec::new() };
        if self.yes
            && removal.is_there()
            && let Some(why) = self.target.unknown_owner()?
        {
            return Err(why);
        }
        removal.guard_exports().await.map_err(|error| error.to_string())?;
        let mut stop: Option<Stop> = None;
        loop {
            let in_use = removal.in_use();
            if !in_use.is_empty() {
                return Err(CommandError::of_plan(&in_use));
            }
            if removal.plan.is_empty() {
                if removal.leaves_exports() {
                    self.agree(removal.aws().scope(), ui)?;
                    removal.withdraw_exports().await.map_err(|error| error.to_string())?;
                }
                let removed = stop.take().is_some();
                run.rounds.push(Round::new(&removal.plan, &Outcome::default(), Instant::now()));
                self.tell_the_end(&removal, removed, &run, ui).await;
                let retained = removal.plan.steps.iter().map(|kept| Retained {
                    type_name: kept.shown_type().to_owned(),
                    physical_id: kept.physical_id.clone().unwrap_or_default(),
                });
                let retained = retained.collect();
                let result = RunResult { retained, ..RunResult::of(removal.aws().scope()) };
                return Ok(Exit::Ok.with(Event::Result(result)));
            }
            if stop.is_none() {
                target::say_whose(removal.aws(), ui);
            }
            self.show(&removal.plan, ui);
            if stop.is_none() {
                self.agree(removal.aws().scope(), ui)?;
            }
            let stop = stop.get_or_insert_with(|| Stop::claim(ui));
            let planned = Instant::now();
            let carry_out = |events| removal.carry_out(events, stop.pressed());
            let outcome = progress::during(&removal.plan, ui, carry_out).await;
            run.rounds.push(Round::new(&removal.plan, &outcome, planned));
            let again = Command::new("down").with(&self.target);
            if !outcome.is_complete() {
                self.timings.tell("down", &run, removal.aws(), ui);
                result::failures(&removal.plan, &outcome, ui);
                let left = outcome.not_started.len() + outcome.failed.len();
                return Err(CommandError::new(format!("{left} resources of stack {name} are left"))
                    .hint("continue with", again));
            }
            if let Err(error) = removal.withdraw_exports().await {
                return Err(CommandError::new(error.to_string()).hint("continue with", again));
            }
            if stop.is_pressed() {
                let what = format!("stopped before checking whether resources of stack {name} were created again");
                return Err(CommandError::new(what).hint("continue with", again));
            }
            if !removal.look_again().await? {
                let what = format!("resources of stack {name} were created again while it was deleted");
                return Err(CommandError::new(what).hint("run it again", again));
            }
        }
    }

    fn show(&self, plan: &Plan, ui: &Ui) {
        // Without the template it is not known which values are secret.
        let secrets = &Secrets::default();
        ui.event(&Event::Plan(crate::ui::plan::event(plan, secrets)));
        if !ui.is_json() {
            let view = View { secrets, colour: ui.colour(), all: false, columns: ui.columns() };
            ui.say_coloured(crate::ui::plan::text(plan, view));
        }
    }

    /// Asks before anything is deleted, unless that is agreed to already.
    fn agree(&self, scope: &Scope, ui: &Ui) -> Result<(), CommandError> {
        if self.yes {
            return Ok(());
        }
        let Scope { stack: name, account, region, .. } = scope;
        if !io::stdin().is_terminal() {
            return Err(format!("this would delete stack {name}; pass --yes to confirm").into());
        }
        if !ui.confirm(format_args!("Delete stack {name} in account {account} ({region})?")) {
            return Err("nothing was deleted".into());
        }
        Ok(())
    }

    /// Says that nothing is left to remove, and what stays.
    async fn tell_the_end(&self, removal: &Removal, removed: bool, run: &Run, ui: &Ui) {
        let Scope { stack: name, account, region, .. } = removal.aws().scope();
        for kept in &removal.plan.steps {
            let id = kept.physical_id.as_deref().unwrap_or_default();
            ui.say(format_args!("{} ({}) stays: its deletion policy is Retain", id, kept.shown_type()));
        }
        for left in removal.left() {
            ui.say(left);
        }
        self.timings.tell("down", run, removal.aws(), ui);
        ui.say(if !removal.plan.steps.is_empty() {
            format!("Everything else of stack {name} is gone.")
        } else if removed {
            format!("Stack {name} is gone.")
        } else {
            let instead = list::lines_instead(&self.target, name, ui).await;
            format!("Stack {name} does not exist in account {account} ({region}).{instead}")
        });
    }
}
