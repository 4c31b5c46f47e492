//! `wschat local`: the local cloud's process.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::command::{Command, Flags};
use super::error::CommandError;
use super::exit::Exit;
use crate::local::daemon::process::{MissedPort, RunningServer};
use crate::ui::Ui;

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
    pub(super) async fn run(self, ui: &Ui) -> Result<Exit, CommandError> {
        let folder = &self.data;
        let data = &folder.path;
        match self.verb {
            Verb::Start(args) => args.run(folder, ui).await,
            Verb::Stop(args) => args.run(data, ui).await,
            Verb::Status(args) => args.run(data, ui).await,
            Verb::Logs(args) => args.run(data, ui).await,
            Verb::Reset(args) => args.run(data, ui).await,
            Verb::Serve(args) => args.run(data).await,
        }
    }
}
