//! `wschat plan`: what `up` would do, and why.

use super::all_stacks::{self, Order};
use super::command::Command;
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{desired, result};
use crate::core::words::Token;
use crate::deploy::deployment::When;
use crate::ui::event::Event;
use crate::ui::{self, Ui};

/// Show what `up` would change, why, what it interrupts, and which permissions widen
///
/// Reads and changes nothing. The exit code is 0 when there is nothing to do, and 2 when there is.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    desired: desired::Args,
    #[command(flatten)]
    all_stacks: all_stacks::Args,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
    /// Fail if the plan interrupts clients: what it lists under "interrupts"
    #[arg(long)]
    no_interruption: bool,
    /// Show the resources that do not change, too
    #[arg(long)]
    all: bool,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        self.desired.project.synthesise(ui)?;
        let Some(names) = self.all_stacks.names(self.desired.project.named(), Order::Needed)? else {
            return show(&self.desired, self.all, self.no_interruption, ui).await;
        };
        let plan = async |name: &str| {
            let desired = self.desired.of_app(name).previewed();
            show(&desired, self.all, self.no_interruption, ui).await
        };
        all_stacks::each(&names, ui, plan).await
    }
}

/// Makes the plan and prints all of it. Code is built first: whether it has changed is part of the plan.
pub(super) async fn show(
    args: &desired::Args,
    all: bool,
    no_interruption: bool,
    ui: &Ui,
) -> Result<Ended, CommandError> {
    let desired = args.plan(args.options(When::Built), ui).await?;
    let (plan, secrets) = (&desired.deployment.plan, &desired.deployment.secrets);
    let event = Event::Plan(ui::plan::event(plan, secrets));
    let open = plan.not_looked_up();
    if !ui.is_json() {
        let view = ui::plan::View { secrets, colour: ui.colour_of_result(), all, columns: ui.columns_of_result() };
        let up = Command::new("up").with(args);
        let up = if open.is_empty() { up.and("--plan", plan.digest()) } else { up };
        ui.coloured_line(ui::plan::details(plan, view, &up));
    }
    if !open.is_empty() {
        let open: Vec<String> = open.iter().map(|value| Token::readable(value)).collect();
        ui.say(format_args!("Known after the app's other stacks are deployed: {}", open.join(", ")));
    }
    result::tell_exports(&desired.deployment, ui);
    if no_interruption && let Err(interrupted) = result::uninterrupted(plan) {
        ui.event(&event);
        return Err(interrupted);
    }
    let is_done = plan.is_empty() && desired.deployment.exports.is_empty();
    let exit = if is_done { Exit::Ok } else { Exit::Differs };
    args.tell_warnings(desired.warnings, ui).await;
    Ok(exit.with(event))
}
