//! What all verbs that have to do with a stack take: which stack, and where.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Failure;
use super::command::{Command, Flags};
use super::local::DataFolder;
use super::project::Project;
use crate::aws::{Aws, Target};
use crate::live;
use crate::local::{lambda, process};
use crate::resources::{Live, Search, Sought};
use crate::stack::{Stack, check_stack};
use crate::ui::Ui;

/// Which stack, and where.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The stack's name [default: the current folder's]
    #[arg(long, env = "WSCHAT_STACK", value_name = "NAME")]
    stack: Option<String>,
    /// The AWS region
    #[arg(long)]
    region: Option<String>,
    /// The AWS profile whose credentials are used, and no others; also its region, where neither --region nor AWS_REGION
    /// gives one
    #[arg(long)]
    profile: Option<String>,
    /// Call this endpoint instead of AWS's, for all services
    #[arg(long, value_name = "URL", conflicts_with = "local")]
    endpoint_url: Option<String>,
    /// Use the local cloud on this machine instead of AWS; it is started if it is not running
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    data: DataFolder,
}

impl Args {
    /// The stack's name.
    ///
    /// # Errors
    /// When it cannot be a stack's name.
    pub fn stack(&self) -> Result<String, Failure> {
        let name = match &self.stack {
            Some(name) => name.clone(),
            None => from_folder()?,
        };
        check_stack(&name).map_err(|problem| {
            let help = problem.help.map(|help| format!("\n  {help}")).unwrap_or_default();
            format!("{}{help}", problem.what)
        })?;
        Ok(name)
    }

    /// Whether the stack is in the local cloud.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// The region as far as it is given here.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// Finds out where to call, and calls nobody yet; with `--local` it is the local cloud, which is started when it is
    /// not running.
    ///
    /// # Errors
    /// No region; a local cloud that does not start.
    pub async fn open(&self, ui: &Ui) -> Result<Arc<Aws>, Failure> {
        let endpoint_url = if self.local {
            let running = process::ensure(&self.data.path, &process::Options::default()).await?;
            if running.origin != process::Origin::Found {
                ui.say(format_args!("The local cloud is up on port {}.", running.port));
            }
            Some(format!("http://127.0.0.1:{}", running.port))
        } else {
            self.endpoint_url.clone()
        };
        let target =
            Target { region: self.region.clone(), profile: self.profile.clone(), endpoint_url, local: self.local };
        let aws = Arc::new(Aws::open(&self.stack()?, &target).await?);
        if let Some(note) = aws.note() {
            ui.say(note);
        }
        Ok(aws)
    }

    /// The same, and asks who is calling.
    ///
    /// # Errors
    /// No credentials, no region, no answer; a local cloud that does not start.
    pub async fn connect(&self, ui: &Ui) -> Result<Arc<Aws>, Failure> {
        let aws = self.open(ui).await?;
        aws.identify().await?;
        Ok(aws)
    }

    /// Reads a stack, with the one that a template describes, if there is a template.
    ///
    /// # Errors
    /// When the template has problems, it cannot be told who is calling, or AWS cannot be read.
    pub async fn read(
        &self,
        project: Option<Project>,
        ui: &Ui,
    ) -> Result<(Arc<Aws>, Option<Stack>, Vec<Live>), Failure> {
        if let Some(project) = &project {
            project.check(&self.stack()?, self.region(), ui)?;
        }
        let aws = self.open(ui).await?;
        let sought = Sought::new();
        let identified = async {
            let scope = aws.identify().await?;
            let stack = project.map(|project| project.stack(scope, ui)).transpose()?;
            let _ = sought.set(stack.as_ref().map_or_else(Search::default, live::search));
            Ok(stack)
        };
        let (stack, live) = read(&aws, &sought, identified).await?;
        Ok((aws, stack, live))
    }

    /// Where the local cloud's functions find the SDK that Lambda brings.
    pub fn sdk(&self) -> PathBuf {
        lambda::folder(&self.data.path)
    }

    /// Where things are kept between runs that can be made again at any time.
    pub fn cache(&self) -> PathBuf {
        self.data.path.parent().unwrap_or_else(|| Path::new(".")).join("build")
    }
}

impl Flags for Args {
    fn add_to(&self, command: &mut Command) {
        let Self { stack, region, profile, endpoint_url, local, data } = self;
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

/// The current folder's name, as a stack may be named.
fn from_folder() -> Result<String, Failure> {
    let folder = std::env::current_dir().map_err(|error| format!("cannot tell the current folder: {error}"))?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    let name = name.trim_matches('-');
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        Ok(name.to_owned())
    } else {
        Err(format!("the folder's name ({}) cannot name a stack; give one with --stack", folder.display()).into())
    }
}

/// Reads a stack while it is still being asked whose account it is. `identified` asks, and tells `sought` what to look
/// for; its own answer comes back with the reading.
///
/// # Errors
/// Who is calling cannot be told, or AWS cannot be read: the first says more.
pub async fn read<T>(
    aws: &Aws,
    sought: &Sought,
    identified: impl Future<Output = Result<T, Failure>>,
) -> Result<(T, Vec<Live>), Failure> {
    let reading = live::read(aws, sought);
    tokio::pin!(reading, identified);
    let mut ended_early = None;
    let answer = loop {
        tokio::select! {
            answer = &mut identified => break answer?,
            end = &mut reading, if ended_early.is_none() => ended_early = Some(end),
        }
    };
    let live = match ended_early {
        Some(end) => end?,
        None => reading.await?,
    };
    Ok((answer, live))
}
