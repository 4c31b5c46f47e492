//! What all commands that have to do with a stack take: which stack, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::command::{Command, Flags};
use super::config::settings::FILE_OPTION;
use super::config::{self, Config, Environment};
use super::error::CommandError;
use super::exit::Exit;
use super::init;
use super::local::{self, DATA_FOLDER, DataFolder, Reach, exposure, missed_port};
use super::project;
use crate::aws::client::{Aws, Target};
use crate::aws::providers::Search;
use crate::core::stack::Stack;
use crate::core::types::Live;
use crate::core::types::tags::Tags;
use crate::core::words::Scope;
use crate::core::words::naming::check_stack;
use crate::deploy::project::Project;
use crate::deploy::session::Session;
use crate::deploy::{lookups, names};
use crate::local::context::ACCOUNT;
use crate::local::daemon::process::{self, RunningServer};
use crate::local::lambda;
use crate::package;
use crate::ui::Ui;

/// Which stack, and where.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The stack's name [default: what wschat.toml says, else the current folder's name]
    #[arg(long, value_name = "NAME", value_parser = stack_name)]
    stack: Option<String>,
    /// Whether it is one of the stacks of an app: the project's file is not told its name.
    #[arg(skip)]
    is_of_app: bool,
    #[command(flatten)]
    place: Place,
    /// The project's file, which may not exist.
    #[arg(id = FILE_OPTION, long = FILE_OPTION, hide = true)]
    file: Option<PathBuf>,
    /// The project's file, once it is read.
    #[arg(skip)]
    config: OnceLock<Config>,
}

/// A stack that is deployed, of commands that read no template.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Deployed {
    #[command(flatten)]
    target: Args,
    /// Look for wschat.toml beside this template [default: in the current folder]
    #[arg(long, short, value_name = "FILE")]
    template: Option<PathBuf>,
}

impl Deployed {
    /// The template that was named.
    pub fn template(&self) -> Option<&Path> {
        self.template.as_deref()
    }

    /// The same for a stack of the app that is meant as a whole.
    #[must_use]
    pub fn of_app(&self, stack: &str) -> Self {
        Self { target: self.target.of_app(stack), template: self.template.clone() }
    }
}

impl std::ops::Deref for Deployed {
    type Target = Args;

    fn deref(&self) -> &Args {
        &self.target
    }
}

impl Flags for Deployed {
    fn add_to(&self, command: &mut Command) {
        let Self { target, template } = self;
        target.add_to(command);
        command.option("--template", template.as_ref());
    }
}

/// A stack's name as it is typed.
pub(super) fn stack_name(name: &str) -> Result<String, String> {
    match check_stack(name) {
        Ok(()) => Ok(name.to_owned()),
        Err(problem) => Err(problem.help.unwrap_or(problem.what)),
    }
}

/// Where to call, and as whom.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Place {
    /// The AWS region
    #[arg(long)]
    region: Option<String>,
    /// Use this AWS profile's credentials only, and its region unless --region or AWS_REGION is given
    #[arg(long)]
    profile: Option<String>,
    /// Call this endpoint instead of AWS's, for all services
    #[arg(long, value_name = "URL", conflicts_with = "local")]
    endpoint_url: Option<String>,
    /// Use the local cloud on this machine instead of AWS (with every command); it is started if it is not running
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    environment: Environment,
}

/// A note for those who test a role's permissions here, with a new local cloud.
const UNCHECKED: &str = "The local cloud does not enforce roles' permissions; to have it enforce them: wschat local start \
                         --conditions FILE, with `iam = true` in [strict]";

/// Says which stack a run is about, in which account and region, and who calls.
pub fn say_whose(aws: &Aws, ui: &Ui) {
    let Scope { stack, account, region, .. } = aws.scope();
    ui.say(format_args!("Stack {stack} in account {account} ({region}), as {}", aws.caller()));
}

/// The name that means all stacks, for `Args::open_as`.
pub const EVERY: &str = "";

impl Args {
    /// A target that is no one stack's.
    pub fn anywhere(place: Place) -> Self {
        Self { stack: None, is_of_app: false, place, file: None, config: OnceLock::new() }
    }

    /// The same for a stack of the app that is meant as a whole.
    #[must_use]
    pub fn of_app(&self, stack: &str) -> Self {
        Self { stack: Some(stack.to_owned()), is_of_app: true, ..self.clone() }
    }

    /// The project's file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn config(&self) -> Result<&Config, CommandError> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let environment = self.place.environment.name.as_deref();
        let config = match &self.file {
            Some(file) => Config::open(file.clone(), environment)?,
            None => Config::read(None, environment)?,
        };
        Ok(self.config.get_or_init(|| config))
    }

    /// The stack's name.
    ///
    /// # Errors
    /// When it cannot be a stack's name.
    pub fn stack(&self) -> Result<String, CommandError> {
        let config = self.config()?;
        let Some(name) = self.stack.as_deref().or(config.stack()) else {
            return from_folder(config.path(), config.environment());
        };
        check_stack(name).map_err(|problem| {
            let what = format!("{}: {}", config.path().display(), problem.what);
            CommandError::new(what).advice_lines(problem.help.as_deref())
        })?;
        Ok(name.to_owned())
    }

    /// The stack's name as it is given, by an option or the project's file.
    pub fn named(&self) -> Option<&str> {
        self.stack.as_deref().or_else(|| self.config().ok()?.stack())
    }

    /// Writes down beside the template what this run was given, `app` among it, and says so; where that cannot be done it is said, too,
    /// and nothing else is lost. Returns whether the file was written and has nothing that this run does not know: not where
    /// it was edited in the meantime.
    ///
    /// # Errors
    /// When it cannot be told which stack this is.
    pub fn remember(&self, app: Option<&str>, ui: &Ui) -> Result<bool, CommandError> {
        if self.is_of_app {
            return Ok(false);
        }
        let Some(config) = self.config_now(ui)? else { return Ok(false) };
        match config.remember(&self.stack()?, self.place.region.as_deref(), app) {
            Ok(Some(written)) => {
                ui.say(written);
                return Ok(config == *self.config()?);
            }
            Ok(None) => {}
            Err(why) => ui.say(format_args!("warning: {why}")),
        }
        Ok(false)
    }

    /// The project's file as it is now: the user may have edited it since this run has read it. `None` where it has an error,
    /// which is said: it is the user's to mend, and nothing is written to it.
    fn config_now(&self, ui: &Ui) -> Result<Option<Config>, CommandError> {
        let now = Config::open(self.config()?.path().to_owned(), self.place.environment.name.as_deref());
        Ok(now.inspect_err(|error| ui.say(format_args!("warning: nothing is written to the file: {error}"))).ok())
    }

    /// Writes down the values of parameters that this run was given, and forgets others; where that cannot be done it is said.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn remember_parameters(
        &self,
        given: &BTreeMap<String, String>,
        forgotten: &BTreeSet<String>,
        ui: &Ui,
    ) -> Result<(), CommandError> {
        let Some(config) = self.config_now(ui)? else { return Ok(()) };
        match config.remember_parameters(given, forgotten, self.place.local) {
            Ok(Some(written)) => ui.say(written),
            Ok(None) => {}
            Err(why) => ui.say(format_args!("warning: {why}")),
        }
        Ok(())
    }

    /// Writes down tags that all resources are to have; where that cannot be done it is said.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn remember_tags(&self, tags: &Tags, ui: &Ui) -> Result<(), CommandError> {
        let Some(config) = self.config_now(ui)? else { return Ok(()) };
        match config.remember_tags(tags) {
            Ok(Some(written)) => ui.say(written),
            Ok(None) => {}
            Err(why) => ui.say(format_args!("warning: {why}")),
        }
        Ok(())
    }

    /// Where the project's file is SAM's, writes one of wschat's beside it, which is read from now on, and says so.
    ///
    /// # Errors
    /// What is wrong with the file, or why none could be written.
    pub fn leave_sam(&mut self, ui: &Ui) -> Result<(), CommandError> {
        let path = self.config()?.path().to_owned();
        if path.file_name().is_none_or(|name| name != config::sam::FILE) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        init::translate(&folder)?;
        let file = folder.join(config::FILE);
        ui.say(format_args!("{} is made of {}, which is not read any more.", file.display(), path.display()));
        self.file = Some(file);
        self.read_again();
        Ok(())
    }

    /// The bucket that SAM puts code into, if its file names one.
    ///
    /// # Errors
    /// What is wrong with the project's file.
    pub fn bucket_of_sam(&self) -> Result<Option<String>, CommandError> {
        let path = self.config()?.path().with_file_name(config::sam::FILE);
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Ok(config::sam::bucket(&text, self.place.environment.name.as_deref()))
    }

    /// The option for the environment, for commands without a target.
    pub fn environment(&self) -> &Environment {
        &self.place.environment
    }

    /// The error for a stack that exists and is named only by the project's folder: it may be another project's.
    /// `None` where the name was given, or stands in the project's file.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn unknown_owner(&self) -> Result<Option<CommandError>, CommandError> {
        let config = self.config()?;
        if self.stack.is_some() || config.stack().is_some() {
            return Ok(None);
        }
        let name = self.stack()?;
        let what = format!("stack {name} exists already, and only the folder's name says that it is this project's");
        Ok(Some(CommandError::new(what).advice(format!(
            "if it is: --stack {name} (`up` keeps the name in {}); if not: another --stack",
            config.path().display()
        ))))
    }

    /// With `--local`, that there is no local cloud: commands that deploy nothing do not create one. `None` where there is
    /// one, running or not.
    pub fn no_local_cloud(&self) -> Option<String> {
        let data = &self.place.data.path;
        if !self.place.local || process::exists(data) {
            return None;
        }
        Some(match is_default(data) {
            true => "there is no local cloud in this folder".to_owned(),
            false => format!("there is no local cloud in {}", data.display()),
        })
    }

    /// Holds `--local` to a local cloud that exists, for commands about what is deployed.
    ///
    /// # Errors
    /// When there is none.
    pub fn require_local_cloud(&self) -> Result<(), CommandError> {
        let Some(what) = self.no_local_cloud() else { return Ok(()) };
        let up = Command::new("up").with(self);
        Err(CommandError::new(what).hint("create it and deploy to it", up).exits(Exit::NotThere))
    }

    /// The scope of a stack in the local cloud, without asking it.
    pub fn local_scope(&self, stack: String) -> Scope {
        let region = self.region().unwrap_or_else(|| "us-east-1".to_owned());
        Scope { stack, account: ACCOUNT.to_owned(), region, partition: "aws".to_owned() }
    }

    /// The local cloud's data folder.
    pub fn data(&self) -> &Path {
        &self.place.data.path
    }

    /// The option for it.
    pub fn data_folder(&self) -> &DataFolder {
        &self.place.data
    }

    /// Whether the stack is in the local cloud.
    pub fn is_local(&self) -> bool {
        self.place.local
    }

    /// The region as far as it is given here or in the project's file. (The SDK knows where else to look.)
    pub fn region(&self) -> Option<String> {
        self.place.region.clone()
    }

    /// Finds out where to call, without a call; with `--local` it is the local cloud, which is started when it is
    /// not running.
    ///
    /// # Errors
    /// No region; a local cloud that does not start.
    pub async fn open(&self, ui: &Ui) -> Result<Arc<Aws>, CommandError> {
        self.open_as(&self.stack()?, ui).await
    }

    /// The same on behalf of another stack, or of all (`EVERY`).
    ///
    /// # Errors
    /// No region; a local cloud that does not start.
    pub async fn open_as(&self, stack: &str, ui: &Ui) -> Result<Arc<Aws>, CommandError> {
        // An error in the file comes before anything is started.
        self.config()?;
        let (endpoint_url, local, has_quotas, has_retired_runtimes) = if self.place.local {
            let running = self.start_local_cloud(ui).await?;
            (
                Some(format!("http://127.0.0.1:{}", running.port)),
                Some(running.key.credentials()),
                running.conditions.is_some(),
                running.has_retired_runtimes(),
            )
        } else {
            (self.place.endpoint_url.clone(), None, true, self.is_elsewhere())
        };
        let profile = self.place.profile.clone();
        let data = &self.place.data.path;
        let local_cloud = (!self.place.local && process::exists(data)).then(|| match is_default(data) {
            true => "this folder has a local cloud".to_owned(),
            false => format!("there is a local cloud in {}", data.display()),
        });
        let region = self.region();
        let target = Target { region, profile, endpoint_url, local, local_cloud, has_quotas, has_retired_runtimes };
        let aws = Arc::new(Aws::open(stack, &target).await?);
        if let Some(note) = aws.note() {
            ui.say(note);
        }
        Ok(aws)
    }

    /// Who reads the code that is in S3: who deploys; for the local cloud, whom `--profile` names. `None` where nothing is to be read, and
    /// where nobody is named.
    ///
    /// # Errors
    /// A profile that gives no credentials.
    pub async fn s3_reader(
        &self,
        code: &[package::Code],
        aws: &Arc<Aws>,
        ui: &Ui,
    ) -> Result<Option<Arc<Aws>>, CommandError> {
        if code.iter().all(|code| !matches!(code.source, package::Source::S3(_))) {
            return Ok(None);
        }
        if !self.place.local {
            return Ok(Some(Arc::clone(aws)));
        }
        let Some(profile) = self.place.profile.clone() else { return Ok(None) };
        let target = Target {
            // S3 says where a bucket is.
            region: Some(self.region().unwrap_or_else(|| "us-east-1".to_owned())),
            profile: Some(profile),
            endpoint_url: None,
            local: None,
            local_cloud: None,
            has_quotas: true,
            has_retired_runtimes: false,
        };
        let reader = Arc::new(Aws::open(&self.stack()?, &target).await?);
        if let Some(note) = reader.note() {
            ui.say(note);
        }
        Ok(Some(reader))
    }

    /// Finds the local cloud, or starts it and says so.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_local_cloud(&self, ui: &Ui) -> Result<RunningServer, CommandError> {
        let is_new = !process::exists(&self.place.data.path);
        let running = local::ensure(&self.place.data, &self.place.reach.options(), ui).await?;
        if running.outcome != process::StartOutcome::Found {
            ui.say(format_args!("The local cloud is up on port {}.", running.port));
            missed_port(&running).into_iter().chain(exposure(&running)).for_each(|line| ui.say(line));
            if is_new && running.conditions.is_none() {
                ui.say(UNCHECKED);
            }
        }
        Ok(running)
    }

    /// Whether calls go to an endpoint that is neither AWS's nor the local cloud's.
    pub fn is_elsewhere(&self) -> bool {
        self.place.endpoint_url.is_some()
    }

    /// The same, and asks AWS for the caller's identity.
    ///
    /// # Errors
    /// No credentials, no region, no answer; a local cloud that does not start.
    pub async fn connect(&self, ui: &Ui) -> Result<Arc<Aws>, CommandError> {
        let aws = self.open(ui).await?;
        aws.identify().await?;
        Ok(aws)
    }

    /// Opens it, and begins to read the stack.
    ///
    /// # Errors
    /// No region; a local cloud that does not start.
    pub async fn session(&self, ui: &Ui) -> Result<Session, CommandError> {
        Ok(Session::begin(self.open(ui).await?))
    }

    /// Reads a stack, with the one that a template describes, if there is a template.
    ///
    /// # Errors
    /// When the template has problems, it cannot be told who is calling, or AWS cannot be read.
    pub async fn read(
        &self,
        project: Option<&Project>,
        ui: &Ui,
    ) -> Result<(Arc<Aws>, Option<Stack>, Vec<Live>), CommandError> {
        if let Some(project) = project {
            project::check(project, &self.stack()?, self.region().as_deref(), false, ui)?;
        }
        let mut session = self.session(ui).await?;
        let scope = session.identify().await?;
        if let Some(project) = project {
            project.look_up(session.aws()).await;
        }
        let stack = project.map(|project| project::stack(project, scope, false, ui)).transpose()?;
        let (mut stack, live) = match (project, stack) {
            (Some(project), Some(stack)) => {
                let named = names::read(&mut session, project, stack).await;
                let (stack, live) = named?;
                (Some(stack), live)
            }
            _ => (None, session.read(Search::default()).await?),
        };
        if let Some(stack) = &mut stack {
            lookups::of_live(session.aws(), stack, &live).await;
            ui.hide(&stack.secrets);
        }
        Ok((Arc::clone(session.aws()), stack, live))
    }

    /// Takes this stack.
    pub fn set_stack(&mut self, name: String) {
        self.stack = Some(name);
    }

    /// Takes this region.
    pub fn set_region(&mut self, region: String) {
        self.place.region = Some(region);
    }

    /// Forgets what was read of the project's file, which has changed.
    pub fn read_again(&mut self) {
        self.config = OnceLock::new();
    }

    /// Where the local cloud's functions find the SDK that Lambda's runtimes include.
    pub fn sdk(&self) -> PathBuf {
        lambda::folder(&self.place.data.path)
    }

    /// The folder of the build cache, which can be deleted at any time.
    pub fn cache(&self) -> PathBuf {
        self.place.data.path.parent().unwrap_or_else(|| Path::new(".")).join("build")
    }
}

impl Flags for Args {
    fn add_to(&self, command: &mut Command) {
        let Self { stack, is_of_app: _, place, file: _, config: _ } = self;
        let Place { region, profile, endpoint_url, local, data, reach: _, environment } = place;
        environment.add_to(command);
        // What the project's file says, the command will find there.
        let config = self.config().ok();
        let is_new = |key: &str, value: &&String| config.and_then(|config| config.text(key)) != Some(value.as_str());
        for (key, option, value) in [
            ("stack", "--stack", stack),
            ("region", "--region", region),
            ("profile", "--profile", profile),
            ("endpoint_url", "--endpoint-url", endpoint_url),
        ] {
            command.option(option, value.as_ref().filter(|value| is_new(key, value)));
        }
        command.flag("--local", *local && !config.is_some_and(|config| config.switch("local")));
        if *local {
            data.add_to(command);
        }
    }
}

/// Whether a data folder is that of the current folder.
fn is_default(data: &Path) -> bool {
    data == Path::new(DATA_FOLDER)
}

impl Flags for Environment {
    fn add_to(&self, command: &mut Command) {
        let Self { name } = self;
        command.option("--env", name.as_ref().filter(|name| !name.is_empty()));
    }
}

/// The name of the folder that the project's file belongs in, where it can name a stack as it is; in an environment, with its name.
fn from_folder(file: &Path, environment: Option<&str>) -> Result<String, CommandError> {
    let here = std::env::current_dir().map_err(|error| format!("cannot tell the current folder: {error}"))?;
    let folder = here.join(file.parent().unwrap_or(Path::new("")));
    let folder = folder.canonicalize().unwrap_or(folder);
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = environment.map_or_else(|| name.clone(), |environment| format!("{name}-{environment}"));
    if check_stack(&name).is_ok() {
        return Ok(name);
    }
    let suggested = suggested(&name);
    let what = format!(
        "the folder's name, \"{name}\", cannot name a stack: letters, digits and hyphens, a letter first, at most 128 characters"
    );
    Err(CommandError::new(what).advice(format!(
        "say which stack this is: --stack {suggested} (`up` keeps the name in {}, for every command)",
        config::FILE
    )))
}

/// A stack's name that is like another name.
fn suggested(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name = words.collect::<Vec<_>>().join("-");
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name = if name.is_empty() { "my-stack".to_owned() } else { format!("stack-{name}") };
    }
    name.truncate(128);
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        target: Args,
    }

    #[test]
    fn what_the_user_edits_during_a_run_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(config::FILE);
        let option = format!("--{FILE_OPTION}");
        let target = |stack: &str| {
            let words = ["x", &option, file.to_str().unwrap(), "--stack", stack];
            let Typed { target } = Typed::parse_from(words);
            target.config().unwrap();
            target
        };
        let ui = Ui::new(true);
        let first = target("a");
        std::fs::write(&file, "[default]\nregion = \"eu-west-1\"\n").unwrap();
        assert!(!first.remember(None, &ui).unwrap(), "it has a region that this run does not know");
        let both = "[default]\nstack = \"a\"\nregion = \"eu-west-1\"\n";
        assert_eq!(std::fs::read_to_string(&file).unwrap(), both);
        let broken = target("a");
        std::fs::write(&file, "[default]\nregion = \n").unwrap();
        assert!(!broken.remember(None, &ui).unwrap());
        broken.remember_parameters(&[("P".to_owned(), "v".to_owned())].into(), &BTreeSet::new(), &ui).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "[default]\nregion = \n");
        std::fs::remove_file(&file).unwrap();
        assert!(target("b").remember(None, &ui).unwrap(), "this run alone has written it");
    }

    #[test]
    fn what_is_suggested_can_name_a_stack() {
        let long = "x".repeat(200);
        let table = [
            ("chat.prod", "chat-prod"),
            ("9lives", "stack-9lives"),
            ("", "my-stack"),
            ("_чат_", "my-stack"),
            ("a b_", "a-b"),
        ];
        for (name, expected) in table {
            assert_eq!(suggested(name), expected);
        }
        for name in [long.as_str(), "chat.prod", "9lives", "", "_чат_", "-"] {
            assert!(check_stack(&suggested(name)).is_ok(), "{name}");
        }
    }
}
