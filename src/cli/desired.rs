//! From a template and what AWS has to a plan: what `plan` shows and `up` carries out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use time::OffsetDateTime;
use tokio::sync::SetOnce;
use tokio::time::Instant;

use super::command::{Command, Flags};
use super::error::CommandError;
use super::{account, project, target};
use crate::aws::client::Aws;
use crate::aws::providers::Sought;
use crate::core::plan::{self, Plan};
use crate::core::stack::{Secrets, Stack};
use crate::core::types::{Live, Owner, function};
use crate::deploy::execute::{Code, Zip};
use crate::deploy::read;
use crate::package;
use crate::ui::Ui;

/// What shall be, and where.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    pub target: target::Args,
    #[command(flatten)]
    pub project: project::Args,
    /// Let this resource be replaced although its data is lost; may be given several times
    #[arg(long, value_name = "LOGICAL-ID")]
    allow_data_loss: Vec<String>,
    /// What builds Rust handlers for AWS; for the local cloud it is always cargo
    #[arg(long, value_enum, value_name = "TOOL", default_value = "auto")]
    build_with: BuildWith,
    /// Do not run the install scripts of dependencies (npm, pnpm, yarn)
    #[arg(long)]
    ignore_scripts: bool,
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

/// When a plan may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// When all code is built.
    Built,
    /// As soon as it can be told what happens to every function: where none is there yet, all are created, whatever their
    /// code. Then the compiler and AWS work side by side.
    Known,
}

/// How long AWS waits for the compiler all the same: most builds have nothing to do, and most mistakes are found at once.
const HEAD_START: Duration = Duration::from_secs(1);

/// There is no plan, because there is no code; the build has its own error.
#[derive(Debug, thiserror::Error)]
#[error("the code could not be built")]
struct NoCode;

/// A plan, and what it was made from.
pub struct Desired<'a> {
    pub aws: &'a Arc<Aws>,
    pub stack: &'a Stack,
    pub live: Vec<Live>,
    /// What must not be shown.
    pub secrets: Secrets,
    pub plan: Plan,
    pub code: Code,
    /// When it was known who calls.
    pub connected: Instant,
    sought: &'a Sought,
    allow_data_loss: &'a [String],
}

impl Args {
    /// Builds, reads and plans side by side, and goes on with `then` while what is still being built is built.
    ///
    /// # Errors
    /// What keeps the plan from being made, and `then`'s own.
    pub async fn plan<T>(
        &self,
        ui: &Ui,
        when: When,
        then: impl AsyncFnOnce(Desired<'_>) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        self.target.look_beside(self.project.path().as_deref())?;
        let name = self.target.stack()?;
        let project = self.project.read()?;
        // Beside all else: nothing waits for it but the end.
        let warnings = tokio::task::spawn_blocking({
            let project = project.clone();
            move || project.warnings(OffsetDateTime::now_utc().date())
        });
        // Nobody is asked anything about a template that is not sound.
        project.check(&name, self.target.region().as_deref(), ui)?;
        let aws = self.target.open(ui).await?;
        let sought = Sought::new();
        let stack = SetOnce::new();
        let identified = async {
            let scope = aws.identify().await?;
            ui.say(format_args!("Stack {name} in account {} ({}), as {}", scope.account, scope.region, aws.caller()));
            let resolved = project.stack(scope, ui)?;
            let _ = sought.set(read::search(&resolved));
            let _ = stack.set(resolved);
            Ok(Instant::now())
        };

        let (built, code) = Code::pending();
        let building = async {
            let stack = stack.wait().await;
            let artifacts = self.build(&project, stack, ui).await?;
            let zip = |artifact: package::Artifact| Zip { bytes: artifact.zip, sha256: artifact.code_sha256 };
            Ok::<_, CommandError>(artifacts.into_iter().map(|(id, artifact)| (id, zip(artifact))).collect())
        };

        let planning = async {
            let settings = async { Ok(account::read(&aws, stack.wait().await, ui).await) };
            let ((connected, live), account) = tokio::try_join!(target::read(&aws, &sought, identified), settings)?;
            let allow_data_loss = &self.allow_data_loss;
            let stack = stack.wait().await;
            let secrets = plan::secrets(stack, &live);
            ui.hide(&secrets);
            let mut desired = Desired {
                aws: &aws,
                stack,
                live,
                secrets,
                plan: Plan::default(),
                code,
                connected,
                sought: &sought,
                allow_data_loss,
            };
            let is_function = |live: &Live| live.type_name == function::TYPE && live.owner == Owner::Stack;
            // The local cloud is faster than any compiler.
            let wait = when == When::Built || self.target.is_local() || desired.live.iter().any(is_function);
            let wait = wait || tokio::time::timeout(HEAD_START, desired.code.all()).await.is_ok();
            desired.make_plan(wait).await?;
            account::check(&desired.plan, account.as_ref(), &aws.scope().region)?;
            then(desired).await
        };
        tokio::pin!(building, planning);
        let mut built = Some(built);
        let mut failure = None;
        let end = loop {
            tokio::select! {
                end = &mut planning => break end,
                artifacts = &mut building, if built.is_some() => match (artifacts, built.take()) {
                    (Ok(zips), Some(built)) => drop(built.send(Some(Arc::new(zips)))),
                    // Whoever waits for the code hears that it never comes.
                    (Err(error), _) => failure = Some(error),
                    (Ok(_), None) => {}
                },
            }
        };
        let end = match (end, failure) {
            (Err(end), Some(failure)) if end.is::<NoCode>() => Err(failure),
            (end, failure) => {
                if let Some(failure) = failure {
                    failure.print(ui);
                }
                end
            }
        };
        if let (Ok(_), Ok(count @ 1..)) = (&end, warnings.await) {
            let warnings =
                if count == 1 { "1 warning; see it".to_owned() } else { format!("{count} warnings; see them") };
            ui.say(format_args!("{warnings} with: {}", Command::new("validate").with(&self.project)));
        }
        end
    }

    async fn build(
        &self,
        project: &project::Project,
        stack: &Stack,
        ui: &Ui,
    ) -> Result<BTreeMap<String, package::Artifact>, CommandError> {
        let place = if self.target.is_local() { package::Target::Host } else { package::Target::Lambda };
        let options = package::Options {
            backend: self.build_with.backend(),
            cargo: super::cargo(),
            tools: None,
            sdk: self.target.sdk(),
            cache: self.target.cache(),
            color: ui.colour(),
            ignore_scripts: self.ignore_scripts,
        };
        project.build(project.code(stack)?, place, &options, ui).await
    }
}

impl Flags for Args {
    fn add_to(&self, command: &mut Command) {
        let Self { target, project, allow_data_loss, build_with, ignore_scripts } = self;
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

impl Desired<'_> {
    /// Reads AWS again, and plans again.
    ///
    /// # Errors
    /// What keeps the plan from being made.
    pub async fn again(&mut self) -> Result<(), CommandError> {
        self.live = self.read().await?;
        self.make_plan(true).await
    }

    /// What AWS has now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(&self) -> Result<Vec<Live>, CommandError> {
        Ok(read::read(self.aws, self.sought).await?)
    }

    async fn make_plan(&mut self, with_code: bool) -> Result<(), CommandError> {
        let code = match with_code {
            true => self.code.all().await.ok_or(NoCode)?,
            false => Arc::default(),
        };
        let options = plan::Options {
            allow_data_loss: self.allow_data_loss.iter().cloned().collect(),
            code: code.iter().map(|(id, zip)| (id.clone(), zip.sha256.clone())).collect(),
        };
        self.plan = plan::diff(self.stack, &self.live, &options).map_err(|errors| CommandError::of_plan(&errors))?;
        // Without AWS's delays an integration that was begun has ended before anything can be removed.
        if !self.aws.has_quotas() {
            self.plan = std::mem::take(&mut self.plan).without_drain();
        }
        Ok(())
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
