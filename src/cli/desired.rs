//! From a template and the existing resources to a plan: what `plan` shows and `up` carries out.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::ValueEnum;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::command::{Command, Flags};
use super::error::CommandError;
use super::{project, target};
use crate::aws::client::{Aws, Meaning};
use crate::core::stack::Stack;
use crate::core::words::nearest;
use crate::deploy::deployment::{BuildRequest, DeployOptions, Deployment, When};
use crate::deploy::project::Project;
use crate::deploy::session::Session;
use crate::package;
use crate::ui::Ui;

/// The desired stack, and where it is deployed.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    pub project: project::Args,
    #[command(flatten)]
    pub target: target::Args,
    /// What builds Rust handlers for AWS; for the local cloud it is always cargo
    #[arg(long, value_enum, value_name = "TOOL", default_value = "auto")]
    build_with: BuildWith,
    /// Do not run the install scripts of dependencies (npm, pnpm, yarn)
    #[arg(long)]
    ignore_scripts: bool,
    /// Allow replacing this resource, which deletes its data; may be given several times
    #[arg(long, value_name = "LOGICAL-ID")]
    allow_data_loss: Vec<String>,
    /// Whether all stacks of an app are planned, and none is deployed before the next is planned.
    #[arg(skip)]
    is_preview: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BuildWith {
    /// cargo where its result runs on Lambda, else zigbuild or musl, whichever is installed
    Auto,
    /// cargo build
    Cargo,
    /// cargo zigbuild, linked against the glibc of the runtime
    Zigbuild,
    /// cargo build for the musl target, linked statically
    Musl,
}

/// A stack that is about to be planned: its template is sound, and AWS is being read.
pub struct Prepared {
    pub session: Session,
    pub project: Arc<Project>,
    pub stack: Stack,
    pub build: BuildRequest,
    /// When the caller's identity was known.
    pub connected: Instant,
    /// The parameters whose values later runs are to have, too.
    pub remembered: BTreeMap<String, String>,
    /// How many warnings `validate` has.
    warnings: JoinHandle<usize>,
}

/// A plan, before it is shown.
pub struct PlannedDeployment {
    pub deployment: Deployment,
    /// When the caller's identity was known.
    pub connected: Instant,
    /// The parameters whose values later runs are to have, too.
    pub remembered: BTreeMap<String, String>,
    /// How many warnings `validate` has.
    pub warnings: JoinHandle<usize>,
}

/// Counts the warnings that `validate` has, beside everything else.
pub fn count_warnings(project: &Arc<Project>) -> JoinHandle<usize> {
    let project = Arc::clone(project);
    tokio::task::spawn_blocking(move || project.warnings(OffsetDateTime::now_utc().date()))
}

impl Args {
    /// The same for a stack of the app that is meant as a whole.
    #[must_use]
    pub fn of_app(&self, stack: &str) -> Self {
        Self { target: self.target.of_app(stack), ..self.clone() }
    }

    /// The same of a stack whose app is planned as a whole: what other stacks of it are going to export is not known yet.
    #[must_use]
    pub fn previewed(self) -> Self {
        Self { is_preview: true, ..self }
    }

    /// A misspelt name in `--allow-data-loss` would be noticed only when its resource is not replaced. It is no error:
    /// scripts keep the option when the resource has gone.
    fn note_unknown_names(&self, stack: &Stack, ui: &Ui) {
        let known: Vec<&str> = stack.resources.keys().map(String::as_str).collect();
        for unknown in self.allow_data_loss.iter().filter(|id| !known.contains(&id.as_str())) {
            let near = nearest(unknown, &known).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            ui.say(format_args!("note: --allow-data-loss: the template has no resource \"{unknown}\"{near}"));
        }
    }

    /// Says which resources the local cloud does not run, and which properties mean nothing to it.
    fn note_records(&self, stack: &Stack, ui: &Ui) {
        let records = stack.resources.values().filter(|resource| resource.kind.is_record_locally());
        let records: Vec<String> =
            records.map(|resource| format!("{} ({})", resource.logical_id, resource.kind.noun())).collect();
        if self.target.is_local() && !records.is_empty() {
            ui.say(format_args!("Kept as records only, the local cloud does not run them: {}", records.join(", ")));
        }
        let mut refused: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for resource in stack.resources.values().filter(|_| self.target.is_local()) {
            if let Some(what) = resource.kind.refused_locally(&resource.properties) {
                refused.entry(what).or_default().push(&resource.logical_id);
            }
        }
        for (what, resources) in refused {
            let resources = resources.join(", ");
            ui.say(format_args!(
                "The local cloud has no {what}, and answers 501 there: {resources}. Try them on AWS, or let a condition leave them open here"
            ));
        }
        let without_effect = stack.resources.values().filter_map(|resource| {
            let properties = resource.kind.without_effect_locally(&resource.properties);
            (!properties.is_empty()).then(|| format!("{} ({})", resource.logical_id, properties.join(", ")))
        });
        let without_effect: Vec<String> = without_effect.collect();
        if self.target.is_local() && !without_effect.is_empty() {
            ui.say(format_args!("Kept, without an effect on the local cloud: {}", without_effect.join("; ")));
        }
    }

    /// Says what the local cloud does otherwise than AWS with a stack.
    pub fn note_local(&self, stack: &Stack, ui: &Ui) {
        self.note_records(stack, ui);
        self.note_foreign_layers(stack, ui);
    }

    /// Says which layers the local cloud cannot have, since they are another account's: functions work without them.
    fn note_foreign_layers(&self, stack: &Stack, ui: &Ui) {
        if !self.target.is_local() {
            return;
        }
        let mut layers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for resource in stack.resources.values() {
            for layer in resource.kind.foreign_layers(&resource.properties, &stack.scope) {
                layers.entry(layer).or_default().push(&resource.logical_id);
            }
        }
        for (layer, functions) in layers {
            let functions = functions.join(", ");
            ui.say(format_args!("{functions}: runs without {layer}, a layer of another account, on this machine"));
        }
    }

    /// Builds, reads and plans, and says which stack that is about.
    ///
    /// # Errors
    /// What keeps the plan from being made.
    pub async fn plan(&self, options: DeployOptions, ui: &Ui) -> Result<PlannedDeployment, CommandError> {
        let Prepared { session, project, stack, build, connected, remembered, warnings } = self.prepare(ui).await?;
        let deployment = Deployment::plan(session, &project, stack, build, options).await.map_err(|error| {
            if let Some(secrets) = error.secrets() {
                ui.hide(secrets);
            }
            project::no_plan(&project, error, ui)
        })?;
        ui.hide(&deployment.secrets);
        if let Some(error) = &deployment.account_unread {
            let why = if error.is(Meaning::Denied) { "apigateway:GET on /account is denied" } else { &error.message };
            ui.say(format_args!("Whether stages may log in this account could not be read: {why}"));
        }
        Ok(PlannedDeployment { deployment, connected, remembered, warnings })
    }

    /// Checks the template, finds out who calls, and says which stack that is about. What is to be planned is neither built nor read yet.
    ///
    /// # Errors
    /// What is wrong with the template; no credentials.
    pub async fn prepare(&self, ui: &Ui) -> Result<Prepared, CommandError> {
        let name = self.target.stack()?;
        self.project.synthesise(ui)?;
        let project = self.project.read(self.target.named())?;
        let project = Arc::new(if self.is_preview { project.after_others() } else { project });
        let remembered = self.project.to_remember(&project)?;
        // Concurrent with everything else: only the end waits for it.
        let warnings = count_warnings(&project);
        // An invalid template is an error before the first call.
        project::check(&project, &name, self.target.region().as_deref(), true, ui)?;
        let session = self.target.session(ui).await?;
        let scope = session.identify().await?;
        let connected = Instant::now();
        target::say_whose(session.aws(), ui);
        if let Some(elsewhere) = project.is_for_elsewhere(scope).filter(|_| !self.target.is_local()) {
            ui.say(format_args!("note: {elsewhere}, and is deployed to {}, {}", scope.account, scope.region));
        }
        project.look_up(session.aws()).await;
        let stack = project::stack(&project, scope, true, ui)?;
        self.note_unknown_names(&stack, ui);
        self.note_local(&stack, ui);
        let code = project::code(&project, &stack, ui)?;
        let s3 = self.target.s3_reader(&code, session.aws(), ui).await?;
        let build = self.build(code, s3, ui);
        Ok(Prepared { session, project, stack, build, connected, remembered, warnings })
    }

    /// What a plan may do and when it is made: `when`, unless that makes no difference here.
    pub fn options(&self, when: When) -> DeployOptions {
        DeployOptions {
            // The local cloud is faster than any compiler.
            when: if self.target.is_local() { When::Built } else { when },
            allow_data_loss: self.allow_data_loss.iter().cloned().collect(),
            drain: true,
            may_plan_again: true,
        }
    }

    /// Says how many warnings there are about the template, and how to see them.
    pub async fn tell_warnings(&self, warnings: JoinHandle<usize>, ui: &Ui) {
        let Ok(count @ 1..) = warnings.await else { return };
        let warnings = if count == 1 { "1 warning; see it".to_owned() } else { format!("{count} warnings; see them") };
        ui.say(format_args!(
            "{warnings} with: {}",
            Command::new("validate").with(self.target.environment()).with(&self.project)
        ));
    }

    /// How code is built, and for which platform.
    pub fn packaging(&self, ui: &Ui) -> (package::Target, package::BuildOptions) {
        let options = package::BuildOptions {
            backend: self.build_with.backend(),
            cargo: super::cargo(),
            tools: None,
            sdk: self.target.sdk(),
            cache: self.target.cache(),
            color: ui.colour(),
            ignore_scripts: self.ignore_scripts,
        };
        let target = if self.target.is_local() { package::Target::Host } else { package::Target::Lambda };
        (target, options)
    }

    fn build(&self, code: Vec<package::Code>, s3: Option<Arc<Aws>>, ui: &Ui) -> BuildRequest {
        let (target, options) = self.packaging(ui);
        let shown = ui.build();
        BuildRequest { code, s3, target, options, progress: Box::new(move |step| shown.show(step)) }
    }
}

impl Flags for Args {
    fn add_to(&self, command: &mut Command) {
        let Self { target, project, allow_data_loss, build_with, ignore_scripts, is_preview: _ } = self;
        target.add_to(command);
        project.add_to(command);
        for id in allow_data_loss {
            command.option("--allow-data-loss", Some(id));
        }
        let tool =
            Some(build_with).filter(|tool| !matches!(tool, BuildWith::Auto)).and_then(|tool| tool.to_possible_value());
        command.option("--build-with", tool.as_ref().map(|tool| tool.get_name()));
        command.flag("--ignore-scripts", *ignore_scripts);
    }
}

impl BuildWith {
    fn backend(self) -> package::Backend {
        match self {
            Self::Auto => package::Backend::Auto,
            Self::Cargo => package::Backend::Cargo,
            Self::Zigbuild => package::Backend::Zigbuild,
            Self::Musl => package::Backend::Musl,
        }
    }
}
