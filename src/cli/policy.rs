//! `wschat policy`: the permissions that the next run needs.

use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{adopt, eject, project, target};
use crate::aws::change_sets;
use crate::core::plan;
use crate::core::policy;
use crate::deploy::marking;
use crate::package::Source;
use crate::ui::Ui;
use crate::ui::event::Event;

/// Print the IAM policy that the next `up` needs for its changes and their rollback
///
/// Reads what is there and changes nothing; nothing is built, so the policy allows every function new code.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    project: project::Args,
    #[command(flatten)]
    target: target::Args,
    /// Print what the next `down` needs instead (no template needed)
    #[arg(long)]
    down: bool,
    /// Print what `wschat adopt` needs to take over the CloudFormation stack of this name instead
    #[arg(long, conflicts_with = "down")]
    adopt: bool,
    /// Print what `wschat eject` needs to hand the stack over to CloudFormation instead
    #[arg(long, conflicts_with_all = ["down", "adopt"])]
    eject: bool,
    /// Ask for fewer permissions: without iam:GetAccountAuthorizationDetails, which shows every policy of the account;
    /// roles are then read by their names, which takes more calls
    #[arg(long)]
    least: bool,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) async fn run(mut self, ui: &Ui) -> Result<Ended, CommandError> {
        let roles = if self.least { policy::Roles::ByName } else { policy::Roles::Account };
        if self.adopt {
            let (aws, adoption) = adopt::prepare(&mut self.project, &self.target, ui).await?;
            return print(&policy::to_adopt(&adoption.tagging(), &adoption.stack, aws.scope(), roles), ui);
        }
        if self.eject {
            return self.to_eject(roles, ui).await;
        }
        let project = match self.down {
            true => None,
            false => {
                self.project.synthesise(ui)?;
                Some(self.project.read(self.target.named())?)
            }
        };
        let (aws, stack, live) = self.target.read(project.as_ref(), ui).await?;
        let mut objects = Vec::new();
        let plan = match &stack {
            None => plan::teardown(&live),
            Some(stack) => {
                if let Some(project) = &project {
                    let code = project.code(stack).map_err(|error| format!("{}: {error}", project.file()))?;
                    objects.extend(code.into_iter().filter_map(|code| match code.source {
                        Source::S3(object) => Some(object),
                        Source::Path(_) | Source::Inline(_) => None,
                    }));
                }
                ui.hide(&plan::secrets(stack, &live));
                // Whoever loses data is asked when it comes to that.
                let allow_data_loss = stack.resources.keys().cloned().collect();
                let options = plan::PlanOptions { allow_data_loss, ..plan::PlanOptions::default() };
                plan::diff(stack, &live, &options).map_err(|errors| CommandError::of_plan(&errors))?
            }
        };
        print(&policy::needed(&plan, stack.as_ref(), aws.scope(), roles, &objects), ui)
    }

    async fn to_eject(&self, roles: policy::Roles, ui: &Ui) -> Result<Ended, CommandError> {
        self.project.synthesise(ui)?;
        let project = self.project.read(self.target.named())?;
        let (aws, stack, live) = self.target.read(Some(&project), ui).await?;
        let Some(stack) = stack else { return Err(CommandError::new("there is no template")) };
        ui.hide(&plan::secrets(&stack, &live));
        let template = eject::expanded(&project, &stack.scope)?;
        let bucket = eject::bucket(&self.target, &aws, None, &stack, &template).await?;
        if bucket.is_missing() {
            ui.say("No bucket for the code is known: allow s3:PutObject and s3:GetObject on the one that --bucket is going to name.");
        }
        let types = stack.resources.values().map(|resource| resource.kind.type_name());
        let importable = change_sets::importable(&aws, types).await.map_err(|error| error.to_string())?;
        let is_importable = |type_name: &str| importable.contains_key(type_name);
        let releasing = marking::releasing(&live);
        print(&policy::to_eject(&releasing, &stack, aws.scope(), roles, is_importable, bucket.to_allow().as_ref()), ui)
    }
}

fn print(policy: &policy::Policy, ui: &Ui) -> Result<Ended, CommandError> {
    let policy = serde_json::to_value(policy)?;
    if !ui.is_json() {
        ui.line(serde_json::to_string_pretty(&policy)?);
    }
    Ok(Exit::Ok.with(Event::Policy { policy }))
}
