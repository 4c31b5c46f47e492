//! `wschat eject`: hands the stack over to CloudFormation.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command::{Command, Flags};
use super::desired::{self, Prepared};
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{project, target};

use crate::aws::change_sets::ChangeSet;
use crate::aws::client::Aws;
use crate::aws::cloudformation::{self, LONGEST_BODY, SAM_BUCKET_STACK};
use crate::core::eject::{Handover, How};
use crate::core::policy::CodeBucket;
use crate::core::stack::{Code, Stack};
use crate::core::template::Template;
use crate::core::types::Doubled;
use crate::core::words::Scope;
use crate::deploy::deployment::{Deployment, NoPlan, When, build};
use crate::deploy::eject::{self, CodeUpload, EjectError, Ejection, Released, Standing};
use crate::deploy::execute::Zips;
use crate::deploy::project::Project;
use crate::ui::event::{Event, RunResult};
use crate::ui::{Ui, printable};

/// Hand the stack over to CloudFormation, as it is
///
/// CloudFormation gets a stack of the same name. It imports the resources, with their data, their ids and their URL, and nothing that
/// clients use changes; wschat's tags come off last. A run that was stopped is run again, and continues.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack: as --stack
    #[arg(value_name = "STACK", value_parser = super::target::stack_name, id = "ejected")]
    name: Option<String>,
    #[command(flatten)]
    desired: desired::Args,
    /// Put code that is on this machine into this bucket [default: the one of `sam deploy --resolve-s3`]
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// Write CloudFormation's template here [default: beside the template, as NAME.cloudformation.json]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) async fn run(mut self, ui: &Ui) -> Result<Ended, CommandError> {
        if let Some(name) = self.name.take() {
            self.desired.target.set_stack(name);
        }
        let name = self.desired.target.stack()?;
        let options = self.desired.options(When::Built);
        let Prepared { session, project, stack, build: request, .. } = self.desired.prepare(ui).await?;
        let aws = Arc::clone(session.aws());
        let zips = build(request).await?;
        let target = &self.desired.target;
        let found = bucket(target, &aws, self.bucket.as_deref(), &stack, &expanded(&project, &stack.scope)?).await?;
        let bucket = found.or_refuse()?;
        let code = project.code(&stack).map_err(|error| format!("{}: {error}", project.file()))?;
        let uploads = bucket.as_deref().map(|bucket| eject::uploads(&stack, &code, &zips, bucket)).unwrap_or_default();
        let template = project.for_cloudformation(&stack.scope, &CodeUpload::places(&uploads));
        let template = template.map_err(|_| format!("{} cannot be read as a template", project.file()))?;
        let whole = template.document();
        let note = note(ui);
        let standing = eject::standing(&aws, &name, &whole, &note).await.map_err(|error| self.failed(error))?;
        let logical_ids: BTreeSet<String> = stack.resources.keys().cloned().collect();
        match &standing {
            Standing::Other { status, has_ours } => return Err(is_another(&name, status, *has_ours)),
            Standing::Whole => ui.say(format_args!("CloudFormation's stack {name} has everything.")),
            _ => {
                let planned = Deployment::plan_built(session, &project, stack, Zips::clone(&zips), options).await;
                let deployment = match planned {
                    Err(NoPlan::Unfinished(stack)) => return Err(self.has_changed(&stack.name, stack.keeps_all)),
                    planned => self.up(planned.map_err(|error| project::no_plan(&project, error, ui))?)?,
                };
                let parameters = project.given_parameters();
                let ejection = Ejection::plan(&deployment, &template, parameters, bucket).await;
                let ejection = ejection.map_err(|error| self.failed(error))?;
                show(&ejection.handover, &uploads, ui);
                let file = self.file(&project);
                ui.say(format_args!("CloudFormation's template: {}", file.display()));
                if self.dry_run {
                    return Ok(Exit::Ok.with(Event::Result(RunResult::of(aws.scope()))));
                }
                self.agree(&aws, ui)?;
                self.hand_over(&standing, &ejection, &deployment, &uploads, &file, ui).await?;
            }
        }
        if self.dry_run {
            ui.say("wschat's tags would come off its resources.");
            return Ok(Exit::Ok.with(Event::Result(RunResult::of(aws.scope()))));
        }
        if standing == Standing::Whole {
            self.agree(&aws, ui)?;
        }
        let released =
            eject::release(&aws, &name, &whole, &logical_ids, &note).await.map_err(|error| self.failed(error))?;
        self.tell_the_end(&name, &released, &project, ui);
        Ok(Exit::Ok.with(Event::Result(RunResult::of(aws.scope()))))
    }

    /// Import, what comes after it, and a look at everything.
    async fn hand_over(
        &self,
        standing: &Standing,
        ejection: &Ejection,
        deployment: &Deployment,
        uploads: &[CodeUpload],
        file: &Path,
        ui: &Ui,
    ) -> Result<(), CommandError> {
        let (aws, note) = (deployment.aws(), note(ui));
        let whole = &ejection.handover.whole;
        std::fs::write(file, eject::text(whole))
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        match standing {
            Standing::Created => ui.say("CloudFormation's stack has everything."),
            Standing::Imported { template } if *template == ejection.handover.import => {
                ui.say("CloudFormation has imported the resources.");
            }
            Standing::Imported { .. } => return Err(self.has_changed(&aws.scope().stack, true)),
            _ => {
                for upload in uploads {
                    upload.put(aws).await.map_err(|error| self.failed(error))?;
                    ui.say(format_args!("The code of {} is in {}", upload.declared_as, upload.object));
                }
                if let Standing::RolledBack { id } = standing {
                    ui.say("Deleting the empty stack that an import has left which was rolled back.");
                    eject::clear(aws, id, &note).await.map_err(|error| self.failed(error))?;
                }
                let set = ejection.prepare_import().await.map_err(|error| self.failed(error))?;
                tell_change_set(&set, ui);
                ejection.import(&note).await.map_err(|error| self.failed(error))?;
                ui.say(
                    "CloudFormation has imported the resources. Until the next step, deleting its stack undoes that.",
                );
            }
        }
        let handover = &ejection.handover;
        let has = if *standing == Standing::Created { &handover.create } else { &handover.import };
        for template in handover.after(has) {
            if let Some(set) = ejection.prepare(template).await.map_err(|error| self.failed(error))? {
                tell_change_set(&set, ui);
                ejection.bring(template, &note).await.map_err(|error| self.failed(error))?;
            }
        }
        ejection.check(deployment).await.map_err(|error| self.failed(error))?;
        ui.say("Everything was read again and is as it was.");
        Ok(())
    }

    /// The deployment, if AWS has the stack as the template describes it.
    fn up(&self, deployment: Deployment) -> Result<Deployment, CommandError> {
        if deployment.plan.is_empty() && deployment.exports.is_empty() {
            return Ok(deployment);
        }
        let what = format!(
            "stack {} is not as the template describes it, and is handed over only then",
            deployment.stack.scope.stack
        );
        Err(CommandError::new(what)
            .hint("look at the differences", Command::new("plan").with(&self.desired))
            .hint("deploy it first", Command::new("up").with(&self.desired)))
    }

    fn file(&self, project: &Project) -> PathBuf {
        self.output.clone().unwrap_or_else(|| Path::new(&project.file()).with_extension("cloudformation.json"))
    }

    fn agree(&self, aws: &Aws, ui: &Ui) -> Result<(), CommandError> {
        if self.yes {
            return Ok(());
        }
        let scope = aws.scope();
        if !io::stdin().is_terminal() {
            return Err(
                format!("this would hand stack {} over to CloudFormation; pass --yes to confirm", scope.stack).into()
            );
        }
        let question = format!(
            "Hand stack {} in account {} ({}) over to CloudFormation?",
            scope.stack, scope.account, scope.region
        );
        if ui.confirm(question) { Ok(()) } else { Err("nothing was changed".into()) }
    }

    /// That CloudFormation has imported something else than the template describes. `keeps_all` says that its stack would leave all there.
    fn has_changed(&self, stack: &str, keeps_all: bool) -> CommandError {
        let what =
            format!("CloudFormation's stack {stack} has imported the resources with another template than this one");
        let error = CommandError::new(what)
            .advice("take back what has changed since in the template, its parameters or the code, and run it again");
        if keeps_all { error.or_keep(stack) } else { error }
    }

    fn failed(&self, error: EjectError) -> CommandError {
        let again = Command::new("eject").with(self);
        let what = error.to_string();
        let new = CommandError::new(what);
        match error {
            EjectError::Refused(why) => {
                new.because(why).advice("leave that out of the template, `wschat up`, and run it again")
            }
            EjectError::Another(why) => new.because(why).advice(OTHER_STACK),
            EjectError::Harmful(why) => {
                new.because(why).advice("nothing was changed; CloudFormation's console shows the change set")
            }
            EjectError::Differs(why) => {
                new.because(why).hint("look at it with", Command::new("plan").with(&self.desired))
            }
            EjectError::NeedsBucket(_) => new.advice("name a bucket for it: --bucket NAME"),
            EjectError::S3 { error, .. } => new.advice(error.help),
            EjectError::BadChangeSet { .. } | EjectError::Stack(_) | EjectError::Resource { .. } => {
                new.hint("what is done is kept; continue with", again)
            }
            EjectError::Call(_) | EjectError::Unread(_) => new.hint("try again", again),
        }
    }

    fn tell_the_end(&self, name: &str, released: &Released, project: &Project, ui: &Ui) {
        for line in released.kept.iter().chain(&released.marked) {
            ui.say(printable::line(line));
        }
        if !released.released.is_empty() {
            ui.say(format_args!("wschat's tags are off {} resources.", released.released.len()));
        }
        ui.say(format_args!("Stack {name} is CloudFormation's."));
        let file = self.file(project);
        let deploy = format!("aws cloudformation deploy --stack-name {name} --template-file {}", file.display());
        ui.say(format_args!(
            "Deploy it from now on with your own tool, or with: {deploy} --capabilities CAPABILITY_IAM CAPABILITY_NAMED_IAM"
        ));
    }
}

impl Flags for Args {
    fn add_to(&self, command: &mut Command) {
        let Self { name: _, desired, bucket, output, dry_run: _, yes: _, json: _ } = self;
        desired.add_to(command);
        command.option("--bucket", bucket.as_ref());
        command.option("--output", output.as_ref());
    }
}

fn note(ui: &Ui) -> impl Fn(String) + Send + Sync + use<> {
    let ui = ui.clone();
    move |text| ui.say(text)
}

/// The project's template as CloudFormation is to have it, but for the places of its code.
///
/// # Errors
/// When it cannot be read.
pub(super) fn expanded(project: &Project, scope: &Scope) -> Result<Template, CommandError> {
    let template = project.for_cloudformation(scope, &BTreeMap::new());
    template.map_err(|_| format!("{} cannot be read as a template", project.file()).into())
}

/// The bucket for code, and for a template that is too long for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bucket {
    /// There is nothing to put into one.
    NotNeeded,
    /// The one that an option or samconfig.toml names.
    Named(String),
    /// The one that SAM's CLI has made, which CloudFormation was asked for.
    OfSam(String),
    /// None is known for the code of these.
    Missing(Vec<String>),
}

impl Bucket {
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }

    /// The bucket whose use a policy allows.
    pub(super) fn to_allow(&self) -> Option<CodeBucket> {
        let (name, made_by) = match self {
            Self::Named(name) => (name, None),
            Self::OfSam(name) => (name, Some(SAM_BUCKET_STACK)),
            Self::NotNeeded | Self::Missing(_) => return None,
        };
        Some(CodeBucket { name: name.clone(), made_by })
    }

    /// Its name; `None` where none is needed.
    fn or_refuse(self) -> Result<Option<String>, CommandError> {
        match self {
            Self::Named(name) | Self::OfSam(name) => Ok(Some(name)),
            Self::NotNeeded => Ok(None),
            // A template alone: how long it is is said where it is sent.
            Self::Missing(of) if of.is_empty() => Ok(None),
            Self::Missing(of) => {
                let what = format!("CloudFormation needs the code of {} in a bucket, and none is known", of.join(", "));
                Err(CommandError::new(what).advice("name one in the stack's region: --bucket NAME").advice(format!(
                    "without it, it is s3_bucket of samconfig.toml, or that of the CloudFormation stack {SAM_BUCKET_STACK}"
                )))
            }
        }
    }
}

/// Which bucket code and a long template go into; `named` is the one that this run is told.
///
/// # Errors
/// When samconfig.toml cannot be read, or CloudFormation cannot be asked.
pub(super) async fn bucket(
    target: &target::Args,
    aws: &Aws,
    named: Option<&str>,
    stack: &Stack,
    template: &Template,
) -> Result<Bucket, CommandError> {
    let local = stack.resources.values().filter(|resource| matches!(resource.code, Some(Code::Local(_))));
    let local: Vec<String> = local.map(|resource| resource.declared_as.clone()).collect();
    if local.is_empty() && eject::text(&template.document()).len() <= LONGEST_BODY {
        return Ok(Bucket::NotNeeded);
    }
    if let Some(named) = named.map(str::to_owned).map_or_else(|| target.bucket_of_sam(), |named| Ok(Some(named)))? {
        return Ok(Bucket::Named(named));
    }
    let of_sam = cloudformation::sam_bucket(aws).await.map_err(|error| error.to_string())?;
    Ok(of_sam.map_or(Bucket::Missing(local), Bucket::OfSam))
}

/// What to do about a stack of CloudFormation's that has the name.
const OTHER_STACK: &str = "the stack must have that name, because templates refer to it: delete CloudFormation's stack if nothing needs what it has";

/// That CloudFormation has a stack of this name with which nothing can be done.
fn is_another(name: &str, status: &str, has_ours: bool) -> CommandError {
    if !has_ours {
        let what = format!("CloudFormation has a stack {name} already ({status}), which is not this one");
        return CommandError::new(what).advice(OTHER_STACK);
    }
    // Its template may let go of them: they would be deleted with it.
    let stays = "do not delete CloudFormation's stack, which may delete them";
    if status.ends_with("_COMPLETE") {
        let what = format!(
            "CloudFormation's stack {name} ({status}) has this stack's resources with another template than this one"
        );
        return CommandError::new(what)
            .advice("take back what has changed since in the template, its parameters or the code, and run it again")
            .advice(stays);
    }
    let what = format!("CloudFormation's stack {name}, which has this stack's resources, is in the state {status}");
    let advice = match status {
        "UPDATE_ROLLBACK_FAILED" => {
            format!("aws cloudformation continue-update-rollback --stack-name {name}, and run it again")
        }
        _ => "bring it into a state that ends in _COMPLETE first, and run it again".to_owned(),
    };
    CommandError::new(what).advice(advice).advice(stays)
}

/// Says what becomes of each resource.
fn show(handover: &Handover, uploads: &[CodeUpload], ui: &Ui) {
    let width = handover.entries.iter().map(|entry| entry.logical_id.len()).max().unwrap_or(0);
    for entry in &handover.entries {
        let how = match entry.how {
            How::Import(_) => "import",
            How::CreateAgain(_) | How::Create => "create",
        };
        let why = match entry.how {
            How::Import(_) => "",
            How::CreateAgain(Doubled::WrittenOver) => ": cannot be imported; CloudFormation writes the same over it",
            How::CreateAgain(Doubled::Beside) => {
                ": cannot be imported; CloudFormation makes the same beside it, then wschat's goes"
            }
            How::Create => ": wschat has not deployed it",
        };
        let id = entry.physical_id.as_deref().unwrap_or("-");
        ui.say(format_args!("  {how}  {:width$}  {} ({id}){why}", entry.logical_id, entry.type_name));
    }
    for upload in uploads {
        ui.say(format_args!("  code    {:width$}  {}", upload.declared_as, upload.object));
    }
}

fn tell_change_set(set: &ChangeSet, ui: &Ui) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for change in &set.changes {
        *counts.entry(change.action.as_str()).or_default() += 1;
    }
    let counts: Vec<String> = counts.into_iter().map(|(action, count)| format!("{action} {count}")).collect();
    let counts = if counts.is_empty() { "outputs and attributes alone".to_owned() } else { counts.join(", ") };
    ui.say(format_args!("CloudFormation carries out its change set: {counts}"));
}
