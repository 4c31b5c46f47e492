//! `wschat adopt`: takes over a CloudFormation stack, or resources that were made by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::sync::Arc;

use super::command::Command;
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{project, result, target};
use crate::aws::client::Aws;
use crate::aws::cloudformation;
use crate::core::stack::Stack;
use crate::core::types::tags::Tags;
use crate::core::types::{Live, Owner};
use crate::core::words::naming::check_stack;
use crate::deploy::adopt::{self, AdoptError, Adoption, ByHand, Formed, Obstacle};
use crate::deploy::project::Project;
use crate::ui::Ui;
use crate::ui::event::{Adopted, Event};
use crate::ui::plan::View;

/// Take over a stack that SAM or CloudFormation made, without touching what it serves
///
/// Its resources stay as they are: the API's id and URL, the table and its rows, the functions, their logs, the open connections.
/// First everything is compared with the template, and what cannot be taken over is said. Then CloudFormation is told to keep all
/// resources, they get wschat's tags, and CloudFormation's stack is deleted, which keeps them. Killed anywhere, run it again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The CloudFormation stack, which keeps its name [default: the project's stack]
    #[arg(value_name = "STACK", value_parser = name, id = "adopted")]
    adopted: Option<String>,
    #[command(flatten)]
    project: project::Args,
    #[command(flatten)]
    target: target::Args,
    /// Take over a resource that was made by hand instead, as the one with this logical id of the template; may be given several
    /// times
    #[arg(long = "resource", value_name = "LOGICAL-ID=PHYSICAL-ID", value_parser = by_hand, conflicts_with = "adopted")]
    resources: Vec<ByHand>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// The bucket for CloudFormation's template, where that is longer than 51,200 bytes [default: SAM's]
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// Give up taking over, as long as CloudFormation has the stack: take wschat's tags off again
    #[arg(long, conflicts_with_all = ["dry_run", "resources"])]
    undo: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
    /// The tags of CloudFormation's stack, which later runs are to give, too.
    #[arg(skip)]
    tags_of_stack: Tags,
}

fn name(name: &str) -> Result<String, String> {
    check_stack(name).map_err(|problem| problem.help.unwrap_or(problem.what))?;
    Ok(name.to_owned())
}

fn by_hand(text: &str) -> Result<ByHand, String> {
    match text.split_once('=') {
        Some((logical_id, physical_id)) if !logical_id.is_empty() && !physical_id.is_empty() => {
            Ok(ByHand { logical_id: logical_id.to_owned(), physical_id: physical_id.to_owned() })
        }
        _ => Err("it must be LOGICAL-ID=PHYSICAL-ID".to_owned()),
    }
}

impl Args {
    pub(super) async fn run(mut self, ui: &Ui) -> Result<Ended, CommandError> {
        if let Some(name) = &self.adopted {
            self.target.set_stack(name.clone());
        }
        let name = self.target.stack()?;
        self.target.require_local_cloud()?;
        self.project.synthesise(ui)?;
        let project = self.project.read(Some(&name))?;
        let aws = self.target.connect(ui).await?;
        target::say_whose(&aws, ui);
        if !self.resources.is_empty() {
            let (project, stack) = describe(&self.target, project, &aws, ui).await?;
            return self.take(aws, &project, stack, None, ui).await;
        }
        let formed = Formed::read(&aws, &name, &|state| ui.say(state)).await.map_err(failed)?;
        match formed {
            Some(formed) => {
                if !self.undo {
                    refuse(&format!("the stack {name} cannot be taken over"), &formed.obstacles)?;
                }
                use_parameters(&mut self.project, &project, &formed)?;
                let tags_of_stack = self.project.add_tags(formed.tags());
                self.tags_of_stack = tags_of_stack;
                let project = self.project.read(Some(&name))?;
                let (project, stack) = describe(&self.target, project, &aws, ui).await?;
                self.take(aws, &project, stack, Some(formed), ui).await
            }
            None if self.undo => {
                let what = format!("CloudFormation has no stack {name}, so there is nothing to give back");
                Err(CommandError::new(what).exits(Exit::NotThere))
            }
            None => {
                let (project, _) = describe(&self.target, project, &aws, ui).await?;
                self.taken(&aws, &project, ui).await
            }
        }
    }

    /// Compares, asks, and takes over.
    async fn take(
        mut self,
        aws: Arc<Aws>,
        project: &Project,
        stack: Stack,
        formed: Option<Formed>,
        ui: &Ui,
    ) -> Result<Ended, CommandError> {
        let name = stack.scope.stack.clone();
        let remembered = self.project.to_remember(project)?;
        let is_formed = formed.is_some();
        let adoption = Adoption::compare(Arc::clone(&aws), project, stack, formed, &self.resources).await;
        let adoption = adoption.map_err(failed)?;
        ui.hide(&adoption.secrets);
        if self.undo {
            return self.undo(&adoption, ui).await;
        }
        let what = if is_formed {
            format!("the stack {name} cannot be taken over")
        } else {
            "nothing is taken over".to_owned()
        };
        refuse(&what, adoption.obstacles())?;
        ui.event(&Event::Plan(crate::ui::plan::event(adoption.plan(), &adoption.secrets)));
        self.show(&adoption, ui);
        for unseen in adoption.unseen() {
            ui.say(format_args!("warning: {unseen}"));
        }
        if self.dry_run {
            return Ok(Exit::Ok.with(self.answer(&aws, adoption.live(), false)));
        }
        self.agree(&adoption, is_formed, ui)?;
        let bucket = match adoption.needs_bucket() {
            true => self.bucket(&aws).await?,
            false => None,
        };
        let again = self.again();
        let note = |state: String| ui.say(format_args!("  {state}"));
        if is_formed {
            ui.say("1. CloudFormation is told to keep every resource.");
            adoption
                .release(bucket.as_deref(), &note)
                .await
                .map_err(|error| failed(error).hint("continue with", &again))?;
            ui.say("2. The resources get wschat's tags.");
        }
        adoption.mark().await.map_err(|error| {
            failed(error).hint("continue with", &again).hint("or go back with", again.clone().flagged("--undo"))
        })?;
        // Before the stack is gone: nothing else has the values of its parameters.
        self.write_down(&remembered, ui)?;
        if is_formed {
            ui.say("3. CloudFormation's stack is deleted, which keeps them.");
        }
        adoption.dissolve(&note).await.map_err(|error| failed(error).hint("continue with", &again))?;
        self.taken(&aws, project, ui).await
    }

    /// Says how it is after all.
    async fn taken(&self, aws: &Arc<Aws>, project: &Project, ui: &Ui) -> Result<Ended, CommandError> {
        let (live, plan, secrets) = adopt::after(aws, project).await.map_err(failed)?;
        let name = &aws.scope().stack;
        if !live.iter().any(|one| one.owner == Owner::Stack) {
            let region = &aws.scope().region;
            let what = format!("there is no CloudFormation stack {name} in account {} ({region})", aws.scope().account);
            return Err(CommandError::new(what)
                .advice("name the stack as CloudFormation has it, and its region with --region")
                .exits(Exit::NotThere));
        }
        ui.hide(&secrets);
        let count = plan.steps.iter().filter(|step| step.live.is_some()).count();
        if plan.is_empty() {
            ui.say(format_args!(
                "Stack {name} is wschat's, with {count} resources; `wschat up` has nothing to change but code."
            ));
        } else {
            let columns = ui.columns();
            let view = View { secrets: &secrets, colour: ui.colour(), all: false, columns };
            ui.say(format_args!(
                "Stack {name} is wschat's, with {count} resources. The next `wschat up` makes these changes:"
            ));
            ui.say_coloured(crate::ui::plan::text(&plan, view));
        }
        let answer = self.answer(aws, &live, true);
        for uri in result::live_uris(&live).iter().filter(|_| !ui.is_json()) {
            ui.line(uri);
        }
        Ok(Exit::Ok.with(answer))
    }

    fn show(&self, adoption: &Adoption, ui: &Ui) {
        if ui.is_json() {
            return;
        }
        for one in adoption.left_behind() {
            ui.say(format_args!(
                "{} ({}) is not taken over: it only takes uploads of code, which wschat does without. It stays, and has no owner then.",
                one.logical_id, one.physical_id
            ));
        }
        let count = adoption.count();
        if adoption.plan().is_empty() {
            ui.say(format_args!("{count} resources are taken over. They are as the template describes them."));
            return;
        }
        ui.say(format_args!(
            "{count} resources are taken over. They differ from the template; that is left for the next `wschat up`:"
        ));
        let view = View { secrets: &adoption.secrets, colour: ui.colour(), all: false, columns: ui.columns() };
        ui.say_coloured(crate::ui::plan::text(adoption.plan(), view));
    }

    fn agree(&self, adoption: &Adoption, is_formed: bool, ui: &Ui) -> Result<(), CommandError> {
        if self.yes {
            return Ok(());
        }
        let stack = &adoption.stack.scope.stack;
        let what = match is_formed {
            true => format!("take stack {stack} over from CloudFormation"),
            false => format!("take {} resources into stack {stack}", adoption.count()),
        };
        if !io::stdin().is_terminal() {
            return Err(format!("this would {what}; pass --yes to confirm").into());
        }
        let (first, rest) = what.split_at(1);
        match ui.confirm(format_args!("{}{rest}?", first.to_uppercase())) {
            true => Ok(()),
            false => Err("nothing was changed".into()),
        }
    }

    /// Where a template goes that is too long for a request.
    async fn bucket(&self, aws: &Aws) -> Result<Option<String>, CommandError> {
        if let Some(named) = &self.bucket {
            return Ok(Some(named.clone()));
        }
        if let Some(named) = self.target.bucket_of_sam()? {
            return Ok(Some(named));
        }
        let found = cloudformation::sam_bucket(aws).await.ok().flatten();
        match found {
            Some(bucket) => Ok(Some(bucket)),
            None => Err(CommandError::new(
                "the stack's template is too long for CloudFormation to take it in a request, and SAM has no bucket here",
            )
            .advice("name a bucket of this account and region, which gets it for a moment: --bucket NAME")),
        }
    }

    /// Writes the project's file, which later runs read.
    fn write_down(&mut self, remembered: &BTreeMap<String, String>, ui: &Ui) -> Result<(), CommandError> {
        if let Err(error) = self.target.leave_sam(ui) {
            ui.say(format_args!("warning: {error}"));
        }
        self.target.remember(self.project.app(), ui)?;
        self.target.remember_parameters(remembered, &BTreeSet::new(), ui)?;
        self.target.remember_tags(&self.tags_of_stack, ui)
    }

    async fn undo(&self, adoption: &Adoption, ui: &Ui) -> Result<Ended, CommandError> {
        adoption.unmark().await.map_err(failed)?;
        let name = &adoption.stack.scope.stack;
        ui.say(format_args!(
            "Stack {name} is CloudFormation's alone. Its resources are still kept if it is deleted; the next deployment with SAM or \
             CloudFormation sets that back."
        ));
        Ok(Exit::Ok.with(self.answer(adoption.aws(), adoption.live(), false)))
    }

    fn again(&self) -> Command {
        let command = Command::new("adopt").with(&self.target).with(&self.project);
        self.resources
            .iter()
            .fold(command, |command, one| command.and("--resource", format!("{}={}", one.logical_id, one.physical_id)))
    }

    fn answer(&self, aws: &Aws, live: &[Live], done: bool) -> Event {
        let scope = aws.scope();
        let resources = live
            .iter()
            .filter(|one| one.owner == Owner::Stack)
            .filter_map(|one| Some((one.logical_id.clone()?, one.physical_id.clone())));
        Event::Adopt(Adopted {
            stack: scope.stack.clone(),
            account: scope.account.clone(),
            region: scope.region.clone(),
            done,
            resources: resources.collect(),
            uris: result::live_uris(live),
        })
    }
}

/// What taking over a CloudFormation stack would do, for `policy`.
///
/// # Errors
/// When it cannot be told.
pub(super) async fn prepare(
    project_args: &mut project::Args,
    target: &target::Args,
    ui: &Ui,
) -> Result<(Arc<Aws>, Adoption), CommandError> {
    let name = target.stack()?;
    project_args.synthesise(ui)?;
    let project = project_args.read(Some(&name))?;
    let aws = target.connect(ui).await?;
    let Some(formed) = Formed::read(&aws, &name, &|state| ui.say(state)).await.map_err(failed)? else {
        let what = format!("there is no CloudFormation stack {name} in account {}", aws.scope().account);
        return Err(CommandError::new(what).exits(Exit::NotThere));
    };
    use_parameters(project_args, &project, &formed)?;
    project_args.add_tags(formed.tags());
    let project = project_args.read(Some(&name))?;
    let (project, stack) = describe(target, project, &aws, ui).await?;
    let adoption = Adoption::compare(Arc::clone(&aws), &project, stack, Some(formed), &[]).await.map_err(failed)?;
    ui.hide(&adoption.secrets);
    Ok((aws, adoption))
}

/// Checks the template, and gives the stack that it describes.
async fn describe(
    target: &target::Args,
    project: Project,
    aws: &Arc<Aws>,
    ui: &Ui,
) -> Result<(Project, Stack), CommandError> {
    project::check(&project, &target.stack()?, target.region().as_deref(), false, ui)?;
    project.look_up(aws).await;
    let stack = project::stack(&project, aws.scope(), false, ui)?;
    Ok((project, stack))
}

/// Takes the values that the stack's parameters have, where this run is given none.
fn use_parameters(args: &mut project::Args, project: &Project, formed: &Formed) -> Result<(), CommandError> {
    let given = args.parameters.sources()?;
    let declared: BTreeMap<&str, Option<&str>> = project
        .parameters()
        .map(|(name, parameter)| (name, parameter.default.as_ref().and_then(|value| value.as_str())))
        .collect();
    let is_free = |name: &str| declared.contains_key(name) && !given.contains_key(name);
    let hidden: Vec<String> = formed.hidden().into_iter().filter(|name| is_free(name)).collect();
    if let Some(first) = hidden.first() {
        let what = format!("the values of these parameters cannot be read (NoEcho): {}", hidden.join(", "));
        let advice = format!("give each of them: --parameter {first}=@FILE");
        return Err(CommandError::new(what).advice(advice).exits(Exit::Usage));
    }
    let mut previous = formed.parameters();
    previous.retain(|name, value| is_free(name) && declared.get(name.as_str()) != Some(&Some(value.as_str())));
    args.parameters.add(previous);
    Ok(())
}

/// Refuses where something stands in the way: all of it, with what to do.
fn refuse(what: &str, obstacles: &[Obstacle]) -> Result<(), CommandError> {
    if obstacles.is_empty() {
        return Ok(());
    }
    let error = CommandError::new(format!("{what}, and nothing was changed"));
    let causes = obstacles.iter().map(|obstacle| format!("{}\n  {}", obstacle.what, obstacle.help));
    Err(error.because(causes.collect()))
}

fn failed(error: AdoptError) -> CommandError {
    match error {
        AdoptError::Impossible(errors) => CommandError::of_plan(&errors),
        AdoptError::Harmful(why) => {
            let what = AdoptError::Harmful(Vec::new()).to_string();
            CommandError::new(what).because(why).advice(
                "CloudFormation fetches the values of SSM parameters again with every update: deploy the stack with the tool that made it, \
                 and run it again",
            )
        }
        AdoptError::Grown(_) => {
            CommandError::new(error.to_string()).advice("run it again: it takes over what the stack has now")
        }
        AdoptError::Untagged(_) => {
            CommandError::new(error.to_string()).advice("AWS may show tags some seconds later: run it again")
        }
        error => error.into(),
    }
}
