//! `wschat local`: the local cloud's process.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches, Subcommand};

use super::command::{Command, Flags};
use super::error::CommandError;
use super::exit::Ended;
use crate::local::daemon::error::ProcessError;
use crate::local::daemon::process::{self, MissedPort, RunningServer, ServerOptions, beyond_loopback};
use crate::local::server::listeners::is_container;
use crate::local::server::origins::{self, Origin};
use crate::ui::Ui;
use crate::ui::event::LocalProcess;

mod logs;
mod reset;
mod serve;
mod start;
mod status;
mod stop;

/// Manage the local cloud: AWS's protocols on a loopback port, served by a background process
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    data: DataFolder,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    verb: Verb,
}

/// The default folder for the local cloud's data.
pub const DATA_FOLDER: &str = ".wschat/local";

/// The option for the local cloud's data folder, of every command that may use it.
#[derive(Debug, Clone, clap::Args)]
pub struct DataFolder {
    /// The local cloud's data folder
    #[arg(long = "data", value_name = "DIR", default_value = DATA_FOLDER, global = true)]
    pub path: PathBuf,
}

/// Who may reach the local cloud, of every command that may start it.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    options: ReachOptions,
    /// Whether the options were typed: what comes from the configuration stops no command.
    typed_host: bool,
    typed_origins: bool,
}

#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
struct ReachOptions {
    /// With the local cloud: listen on this address of the machine, too, so that others reach it; 0.0.0.0 or :: for all
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    host: Option<IpAddr>,
    /// With the local cloud: let web pages of this origin call it with an SDK; may be given several times
    #[arg(id = "origin", long = "origin", value_name = "URL")]
    origins: Vec<Origin>,
}

fn address(text: &str) -> Result<IpAddr, String> {
    let read = text.trim_start_matches('[').trim_end_matches(']').parse();
    read.map_err(|_| "give an IP address of this machine, or 0.0.0.0 or :: for all of its addresses".to_owned())
}

impl Reach {
    /// A server's options: these, and the defaults.
    pub fn options(&self) -> ServerOptions {
        ServerOptions {
            host: self.options.host,
            origins: self.options.origins.clone(),
            insists_on_host: self.typed_host,
            insists_on_origins: self.typed_origins,
            ..ServerOptions::default()
        }
    }
}

impl FromArgMatches for Reach {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let (typed_host, typed_origins) = (typed("host"), typed("origin"));
        Ok(Self { options: ReachOptions::from_arg_matches(matches)?, typed_host, typed_origins })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Reach {
    fn augment_args(command: clap::Command) -> clap::Command {
        ReachOptions::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        ReachOptions::augment_args_for_update(command)
    }
}

/// A running server, for programs.
fn described(running: &RunningServer) -> LocalProcess {
    LocalProcess {
        url: format!("http://localhost:{}", running.port),
        port: running.port,
        pid: running.pid,
        version: running.version.clone(),
        started: running.started.clone(),
        conditions: running.conditions.as_ref().map(|file| file.display().to_string()),
        host: running.host.map(|host| host.to_string()),
        url_elsewhere: running.client_host.as_ref().map(|host| format!("http://{host}:{}", running.port)),
        origins: running.origins.iter().map(Origin::to_string).collect(),
        open: running.open,
    }
}

/// Who else reaches a server, and what each of them needs: sentences.
pub fn exposure(running: &RunningServer) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(host) = running.host {
        let port = running.port;
        said.push(format!("It listens on {host}: other machines reach it."));
        said.push("Anyone there can open WebSockets to its APIs.".to_owned());
        said.push(
            "AWS calls and @connections need its access key (wschat env), the console a ticket (wschat open --local)."
                .to_owned(),
        );
        said.push("Nothing is encrypted on the way: use it only on networks that you trust.".to_owned());
        said.push(match &running.client_host {
            Some(host) => format!("From other machines: http://{host}:{port}"),
            None if is_container() => format!(
                "From outside of this container: forward port {port}, and use that machine's address (on itself: localhost)."
            ),
            None => "This machine has no address on a network.".to_owned(),
        });
    }
    if !running.origins.is_empty() {
        let origins: Vec<String> = running.origins.iter().map(Origin::to_string).collect();
        said.push(format!("Web pages of {} may call it; they need its access key, too.", origins.join(", ")));
    }
    said
}

/// How a server that runs differs from what is asked for, in who reaches it: sentences.
fn differences(running: &RunningServer, options: &ServerOptions) -> Vec<String> {
    let mut said = Vec::new();
    if options.host.and_then(beyond_loopback) != running.host {
        said.push(match (running.host, options.host) {
            (Some(host), None) => format!("listens on {host}, which is not asked for: other machines reach it"),
            (Some(host), Some(asked)) => format!("listens on {host} and not on {asked}"),
            (None, asked) => format!("does not listen on {}", asked.map(|asked| asked.to_string()).unwrap_or_default()),
        });
    }
    if !origins::same(&options.origins, &running.origins) {
        let listed = |these: &[Origin], without: &[Origin]| {
            let names = these.iter().filter(|origin| !without.contains(origin)).map(Origin::to_string);
            Some(names.collect::<Vec<_>>().join(", ")).filter(|names| !names.is_empty())
        };
        let more = listed(&running.origins, &options.origins);
        said.extend(more.map(|names| format!("admits web pages of {names}, which is not asked for")));
        let fewer = listed(&options.origins, &running.origins);
        said.extend(fewer.map(|names| format!("does not admit web pages of {names}")));
    }
    said
}

/// Finds the server of a data folder, or starts it. Says how one that was found differs from what the configuration asks for.
///
/// # Errors
/// When it does not start, or runs with other options than this command's; then with the command that stops it.
pub async fn ensure(data: &DataFolder, options: &ServerOptions, ui: &Ui) -> Result<RunningServer, CommandError> {
    use ProcessError::{NotOpen, OtherConditions, OtherHost, OtherOrigins, OtherPort};
    match process::ensure(&data.path, options).await {
        Err(error @ (OtherPort(_) | OtherHost(_) | OtherOrigins(_) | OtherConditions(_) | NotOpen)) => {
            let stop = Command::new("local stop").with(data);
            Err(CommandError::from(error).hint("stop it first", stop))
        }
        running => {
            let running = running?;
            for difference in differences(&running, options) {
                let stop = Command::new("local stop").with(data);
                ui.say(format_args!("warning: the local cloud runs already and {difference}; to change that: {stop}"));
            }
            Ok(running)
        }
    }
}

/// Why a server that has just been started is not on its usual port.
pub fn missed_port(running: &RunningServer) -> Option<String> {
    let MissedPort { port, why, was_used } = running.missed_port.as_ref()?;
    let stale = if *was_used { format!(" URIs with port {port} no longer work.") } else { String::new() };
    Some(format!("Port {port} {why}.{stale}"))
}

impl Flags for DataFolder {
    fn add_to(&self, command: &mut Command) {
        let Self { path } = self;
        command.option("--data", Some(path).filter(|path| *path != Path::new(DATA_FOLDER)));
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    Start(start::Args),
    Stop(stop::Args),
    Status(status::Args),
    Logs(logs::Args),
    Reset(reset::Args),
    #[command(hide = true)]
    Serve(serve::Args),
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        let folder = &self.data;
        let data = &folder.path;
        match self.verb {
            Verb::Start(args) => args.run(folder, ui).await,
            Verb::Stop(args) => args.run(data, ui).await,
            Verb::Status(args) => args.run(data, ui).await,
            Verb::Logs(args) => args.run(data, ui).await,
            Verb::Reset(args) => args.run(data, ui).await,
            Verb::Serve(args) => args.run(data).await.map(Ended::from),
        }
    }
}
