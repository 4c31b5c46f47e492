//! What all verbs that have to do with a stack take: which stack, and where.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::command::{Command, Flags};
use super::config::{self, Config};
use super::error::CommandError;
use super::local::DataFolder;
use super::project;
use crate::aws::client::{Aws, Target};
use crate::aws::providers::Search;
use crate::core::stack::Stack;
use crate::core::types::Live;
use crate::core::words::Scope;
use crate::core::words::naming::check_stack;
use crate::deploy::project::Project;
use crate::deploy::read;
use crate::deploy::session::Session;
use crate::local::daemon::process;
use crate::local::lambda;
use crate::ui::Ui;

/// Which stack, and where.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The stack's name [default: what wschat.toml says, else the current folder's name]
    #[arg(long, env = "WSCHAT_STACK", value_name = "NAME", value_parser = stack_name)]
    stack: Option<String>,
    #[command(flatten)]
    place: Place,
    /// The project's file, once it is read.
    #[arg(skip)]
    config: OnceLock<Config>,
}

/// A stack's name as it is typed.
fn stack_name(name: &str) -> Result<String, String> {
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
}

/// What surprises those who try a role's rights here.
const UNCHECKED: &str = "The local cloud does not enforce roles' permissions; to have it enforce them: wschat local start \
                         --conditions FILE, with `iam = true` in [strict]";

/// Says which stack a run is about, in which account and region, and who calls.
pub fn say_whose(aws: &Aws, ui: &Ui) {
    let Scope { stack, account, region, .. } = aws.scope();
    ui.say(format_args!("Stack {stack} in account {account} ({region}), as {}", aws.caller()));
}

/// The stack that is all stacks, to `Args::open_as`.
pub const EVERY: &str = "";

impl Args {
    /// A target that is no one stack's.
    pub fn anywhere(place: Place) -> Self {
        Self { stack: None, place, config: OnceLock::new() }
    }

    /// Reads the project's file where the template is: for verbs that have one, before anything else is asked of this.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn look_beside(&self, template: Option<&Path>) -> Result<(), CommandError> {
        let config = Config::read(template)?;
        let _ = self.config.set(config);
        Ok(())
    }

    /// The project's file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn config(&self) -> Result<&Config, CommandError> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = Config::read(None)?;
        Ok(self.config.get_or_init(|| config))
    }

    /// The stack's name.
    ///
    /// # Errors
    /// When it cannot be a stack's name.
    pub fn stack(&self) -> Result<String, CommandError> {
        let config = self.config()?;
        let Some(name) = config::chosen(self.stack.as_deref(), &[], config.stack()) else {
            return from_folder(config.path());
        };
        check_stack(&name).map_err(|problem| {
            let what = format!("{}: {}", config.path().display(), problem.what);
            CommandError::new(what).advice_lines(problem.help.as_deref())
        })?;
        Ok(name)
    }

    /// Writes down beside the template what this run was given, and says so; where that cannot be done it is said, too,
    /// and nothing else is lost.
    ///
    /// # Errors
    /// When it cannot be told which stack this is.
    pub fn remember(&self, ui: &Ui) -> Result<(), CommandError> {
        match self.config()?.remember(&self.stack()?, self.place.region.as_deref()) {
            Ok(Some(written)) => ui.say(written),
            Ok(None) => {}
            Err(why) => ui.say(format_args!("warning: {why}")),
        }
        Ok(())
    }

    /// That the stack's name is only that of the project's folder, and there is such a stack: whose it is nobody knows.
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
        let what = format!(
            "there is a stack {name} already, and nothing but the folder's name says that it is this project's"
        );
        Ok(Some(CommandError::new(what).advice(format!(
            "if it is: --stack {name} (`up` keeps the name in {}); if not: another --stack",
            config.path().display()
        ))))
    }

    /// Uses the local cloud, unless another place is named.
    pub fn prefer_local(&mut self) {
        self.place.local |= self.place.endpoint_url.is_none();
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
        let file = self.config().ok().and_then(Config::region);
        // The local cloud does not look at the environment.
        let elsewhere: &[&str] = if self.place.local { &[] } else { &["AWS_REGION", "AWS_DEFAULT_REGION"] };
        config::chosen(self.place.region.as_deref(), elsewhere, file)
    }

    /// Finds out where to call, and calls nobody yet; with `--local` it is the local cloud, which is started when it is
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
        // What is wrong with the file is said before anything is started.
        self.config()?;
        let (endpoint_url, local, has_quotas) = if self.place.local {
            let running = process::ensure(&self.place.data.path, &process::ServerOptions::default()).await?;
            if running.outcome != process::StartOutcome::Found {
                ui.say(format_args!("The local cloud is up on port {}.", running.port));
                if running.conditions.is_none() {
                    ui.say(UNCHECKED);
                }
            }
            (
                Some(format!("http://127.0.0.1:{}", running.port)),
                Some(running.key.credentials()),
                running.conditions.is_some(),
            )
        } else {
            (self.place.endpoint_url.clone(), None, true)
        };
        let profile = self.place.profile.clone();
        let target = Target { region: self.region(), profile, endpoint_url, local, has_quotas };
        let aws = Arc::new(Aws::open(stack, &target).await?);
        if let Some(note) = aws.note() {
            ui.say(note);
        }
        Ok(aws)
    }

    /// The same, and asks who is calling.
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
            project::check(project, &self.stack()?, self.region().as_deref(), ui)?;
        }
        let mut session = self.session(ui).await?;
        let scope = session.identify().await?;
        let stack = project.map(|project| project::stack(project, scope, ui)).transpose()?;
        let live = session.read(stack.as_ref().map_or_else(Search::default, read::search)).await?;
        Ok((Arc::clone(session.aws()), stack, live))
    }

    /// Where the local cloud's functions find the SDK that Lambda brings.
    pub fn sdk(&self) -> PathBuf {
        lambda::folder(&self.place.data.path)
    }

    /// Where things are kept between runs that can be made again at any time.
    pub fn cache(&self) -> PathBuf {
        self.place.data.path.parent().unwrap_or_else(|| Path::new(".")).join("build")
    }
}

impl Flags for Args {
    fn add_to(&self, command: &mut Command) {
        let Self { stack, place, config: _ } = self;
        let Place { region, profile, endpoint_url, local, data } = place;
        command.option("--stack", stack.as_ref());
        command.option("--region", region.as_ref());
        command.option("--profile", profile.as_ref());
        command.option("--endpoint-url", endpoint_url.as_ref());
        command.flag("--local", *local);
        if *local {
            data.add_to(command);
        }
    }
}

/// The name of the folder that the project's file belongs in, where it can name a stack as it is.
fn from_folder(file: &Path) -> Result<String, CommandError> {
    let here = std::env::current_dir().map_err(|error| format!("cannot tell the current folder: {error}"))?;
    let folder = here.join(file.parent().unwrap_or(Path::new("")));
    let folder = folder.canonicalize().unwrap_or(folder);
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
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
    use super::*;

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
