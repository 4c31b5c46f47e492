//! `wschat status`: a stack's resources, their states, and their differences from its template.

use std::collections::BTreeMap;

use super::all_stacks::{self, Order};
use super::command::Command;
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{list, project, result, target};
use crate::core::plan::{self, Action, Plan, Step};
use crate::core::stack::Secrets;
use crate::core::types::{Health, Live, Owner, function};
use crate::ui::Ui;
use crate::ui::event::{Event, Problem, Resource, Status};
use crate::ui::plan::{parts, values};
use crate::ui::printable;
use crate::ui::row::Row;

/// Show every resource: its physical id, its state, and how it differs from the template, if there is one
///
/// The exit code is 0 when the stack is healthy, 2 when something is missing, changed, still changing or broken, and 3
/// when the stack does not exist.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    project: project::Args,
    #[command(flatten)]
    target: target::Args,
    #[command(flatten)]
    all_stacks: all_stacks::Args,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        let Some(names) = self.all_stacks.names(self.project.named(), Order::Needed)? else {
            return self.run_one(ui).await;
        };
        let one = async |name: &str| Self { target: self.target.of_app(name), ..self.clone() }.run_one(ui).await;
        all_stacks::each(&names, ui, one).await
    }

    async fn run_one(self, ui: &Ui) -> Result<Ended, CommandError> {
        let project = if self.project.exists() { Some(self.project.read(self.target.named())?) } else { None };
        self.target.stack()?;
        self.target.require_local_cloud()?;
        let (aws, stack, live) = self.target.read(project.as_ref(), ui).await?;
        let scope = aws.scope();
        let name = &scope.stack;
        let status = |healthy, uris, outputs, resources, problems| {
            let (stack, account, region) = (name.clone(), scope.account.clone(), scope.region.clone());
            Event::Status(Status { stack, account, region, healthy, uris, outputs, resources, problems })
        };
        if !live.iter().any(|one| one.owner == Owner::Stack) {
            let instead = list::lines_instead(&self.target, name, ui).await;
            let (account, region) = (&scope.account, &scope.region);
            ui.say(format_args!("Stack {name} does not exist in account {account} ({region}).{instead}"));
            return Ok(Exit::NotThere.with(status(false, Vec::new(), BTreeMap::new(), Vec::new(), Vec::new())));
        }
        // Only a build could show whether code is new, and only `up` builds.
        let planned = stack.as_ref().map(|stack| plan::diff(stack, &live, &plan::PlanOptions::default()));
        let (plan, problems) = match planned {
            Some(Ok(plan)) => (plan, Vec::new()),
            Some(Err(problems)) => (described(&live), problems),
            None => (described(&live), Vec::new()),
        };
        let secrets = stack.as_ref().map(|stack| plan::secrets(stack, &live)).unwrap_or_default();
        ui.hide(&secrets);
        let lines: Vec<Line> = plan.steps.iter().map(|step| Line::of(&plan, step, &secrets)).collect();
        let uris = result::live_uris(&live);
        let outputs = stack.as_ref().map(|stack| {
            let mut outputs = result::outputs(stack, &plan.known, false);
            result::undeployed(stack, &plan.known).iter().for_each(|name| drop(outputs.remove(name)));
            outputs
        });
        let outputs = outputs.unwrap_or_default();
        let well = problems.is_empty() && lines.iter().all(|line| line.well);
        if !ui.is_json() {
            ui.line(format_args!("Stack {name} in account {} ({})", scope.account, scope.region));
            let width = lines.iter().map(|line| line.label.chars().count()).max().unwrap_or(0);
            let columns = ui.columns_of_result();
            let with_types = lines.iter().all(|line| line.row(width).fits(columns));
            for line in &lines {
                ui.line(line.row(width).text(with_types, columns));
                for drift in &line.drift {
                    ui.line(format_args!("      {}", printable::line(drift)));
                }
            }
            // What stands among the outputs is not said twice.
            for uri in uris.iter().filter(|uri| !outputs.values().any(|value| value == *uri)) {
                ui.line(format_args!("  {uri}"));
            }
            for (name, value) in &outputs {
                ui.line(format_args!("  {name} = {}", printable::line(value)));
            }
            for problem in &problems {
                ui.line(format_args!("  ✗ {problem}"));
            }
            let up = Command::new("up").with(&self.target).with(&self.project);
            ui.line(summary(&lines, problems.len(), &up));
        }
        let exit = if well { Exit::Ok } else { Exit::Differs };
        let resources = lines.into_iter().map(|line| Resource {
            resource: line.name,
            type_name: line.type_name.to_owned(),
            physical_id: line.physical_id,
            state: line.state,
            drift: line.drift,
        });
        let problems = problems.iter().map(Problem::of_plan).collect();
        Ok(exit.with(status(well, uris, outputs, resources.collect(), problems)))
    }
}

/// The last line.
fn summary(lines: &[Line], problems: usize, up: &Command) -> String {
    let count = |count: usize, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 resource {one}")),
        count => Some(format!("{count} resources {many}")),
    };
    let unwell = |differs: bool| lines.iter().filter(|line| !line.well && line.differs == differs).count();
    let differ = count(unwell(true), "differs from the template", "differ from the template");
    let differ = differ.map(|differ| format!("{differ}; `{up}` repairs {}", pronoun(unwell(true))));
    let broken = count(unwell(false), "is not ready", "are not ready");
    let problems = (problems > 0).then(|| "The template cannot be deployed as it is".to_owned());
    let parts: Vec<String> = [problems, differ, broken].into_iter().flatten().collect();
    if parts.is_empty() { "Stack is healthy.".to_owned() } else { parts.join("\n") }
}

fn pronoun(count: usize) -> &'static str {
    if count == 1 { "it" } else { "them" }
}

/// Without a template, every existing resource is as desired.
fn described(live: &[Live]) -> Plan {
    let steps = live.iter().filter(|one| one.owner == Owner::Stack).map(|one| Step::on(one, Action::Keep));
    Plan { steps: steps.collect(), ..Plan::default() }
}

/// One resource, as it is shown.
struct Line {
    name: String,
    label: String,
    type_name: &'static str,
    physical_id: String,
    state: String,
    drift: Vec<String>,
    well: bool,
    /// Whether it differs from the template, which `up` repairs.
    differs: bool,
}

impl Line {
    /// The line with its label padded to `width` characters.
    fn row(&self, width: usize) -> Row<'_> {
        let mark = if self.well { '✓' } else { '✗' };
        Row {
            label: format!("  {mark} {:width$}", printable::line(&self.label)),
            type_name: self.type_name,
            state: format!("{:10}", self.state),
            id: printable::line(&self.physical_id),
        }
    }

    fn of(plan: &Plan, step: &Step, secrets: &Secrets) -> Self {
        let health = step.live.as_ref().map(|live| &live.health);
        let (state, mut drift) = match (step.action, health) {
            (Action::Create, _) => ("missing".to_owned(), Vec::new()),
            (Action::Delete, _) => ("unwanted".to_owned(), Vec::new()),
            (Action::Retain, _) => ("retained".to_owned(), Vec::new()),
            (_, Some(Health::Failed(why) | Health::Outdated(why))) => ("failed".to_owned(), vec![why.clone()]),
            (_, Some(Health::Busy(state))) => (state.clone(), Vec::new()),
            (Action::Update | Action::Replace, _) => ("drifted".to_owned(), Vec::new()),
            _ => ("ready".to_owned(), Vec::new()),
        };
        drift.extend(step.reason.clone().filter(|_| step.action == Action::Delete));
        // What is missing is missing as a whole.
        let changes = step.changes.iter().filter(|_| step.action != Action::Create);
        drift.extend(changes.flat_map(|change| parts(change, secrets)).map(|change| {
            if change.property == function::CODE {
                return "its code is not the template's".to_owned();
            }
            let (is, shall) = values(&change, secrets);
            let (is, shall) = (is.as_deref().unwrap_or("not there"), shall.as_deref().unwrap_or("nothing"));
            format!("{} is {is}, the template says {shall}", secrets.mask(&change.property))
        }));
        Self {
            name: step.name.clone(),
            label: plan.label(step).into_owned(),
            differs: !matches!(step.action, Action::Keep | Action::Retain),
            type_name: step.shown_type(),
            physical_id: step.physical_id.clone().unwrap_or_default(),
            well: matches!(step.action, Action::Keep | Action::Retain) && matches!(health, None | Some(Health::Ready)),
            state,
            drift,
        }
    }
}
