//! `wschat outputs`: the template's outputs, as they are deployed.

use std::collections::BTreeMap;

use super::command::{Command, quoted};
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{list, project, result, target};
use crate::core::plan;
use crate::core::words::nearest;
use crate::ui::Ui;
use crate::ui::event::{Event, Outputs};

/// Print the template's outputs with their deployed values, or one of them alone
///
/// The exit code is 3 when the stack does not exist, or lacks something that an output is made of.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the value of this output, and nothing else
    #[arg(value_name = "NAME", conflicts_with = "env_file")]
    name: Option<String>,
    #[command(flatten)]
    project: project::Args,
    #[command(flatten)]
    target: target::Args,
    /// Print lines NAME=VALUE for a .env file or a shell; characters that a name cannot have become _
    #[arg(long, conflicts_with = "json")]
    env_file: bool,
    /// Show outputs that contain values of NoEcho parameters; without it they are ****
    #[arg(long)]
    show_secrets: bool,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        let project = self.project.read(self.target.named())?;
        let (aws, stack, live) = self.target.read(Some(&project), ui).await?;
        let scope = aws.scope();
        let name = &scope.stack;
        let Some(stack) = stack else { return Err(CommandError::new("there is no template")) };
        let up = || Command::new("up").with(&self.target).with(&self.project);
        if live.is_empty() {
            return Err(list::no_stack(&self.target, scope, ui).await);
        }
        ui.hide(&plan::secrets(&stack, &live));
        let planned = plan::diff(&stack, &live, &plan::PlanOptions::default());
        let planned = planned.map_err(|errors| CommandError::of_plan(&errors))?;
        let mut outputs = result::outputs(&stack, &planned.known, self.show_secrets);
        if let Some(wanted) = &self.name {
            let known: Vec<&str> = outputs.keys().map(String::as_str).collect();
            let Some(value) = outputs.get(wanted) else {
                let error = CommandError::new(format!("the template has no output \"{wanted}\""));
                return Err(match (nearest(wanted, &known), known.as_slice()) {
                    (Some(near), _) => error.advice(format!("did you mean {near}?")),
                    (None, []) => error.advice("it has none"),
                    (None, known) => error.advice(format!("there are: {}", known.join(", "))),
                });
            };
            outputs = BTreeMap::from([(wanted.clone(), value.clone())]);
        }
        let missing = result::undeployed(&stack, &planned.known);
        if let Some(missing) = outputs.keys().find(|output| missing.contains(*output)) {
            let what = format!("output {missing} has no value yet: it refers to a resource that is not deployed");
            return Err(CommandError::new(what).hint("bring it up with", up()).exits(Exit::NotThere));
        }
        if !ui.is_json() {
            for (name, value) in &outputs {
                let line = match (&self.name, self.env_file) {
                    (Some(_), _) => value.clone(),
                    (None, true) => format!("{}={}", variable(name), quoted(value)),
                    (None, false) => format!("{name} = {value}"),
                };
                if self.show_secrets { ui.reveal_line(line) } else { ui.line(line) }
            }
        }
        let (account, region) = (scope.account.clone(), scope.region.clone());
        let outputs = Outputs { stack: name.clone(), account, region, outputs, shows_secrets: self.show_secrets };
        Ok(Exit::Ok.with(Event::Outputs(outputs)))
    }
}

/// A name that a shell takes for a variable's.
fn variable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
