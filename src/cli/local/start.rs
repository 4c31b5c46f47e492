use std::path::PathBuf;

use super::{DataFolder, missed_port};
use crate::cli::command::Command;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::local::daemon::error::ProcessError;
use crate::local::daemon::process::{self, ServerOptions, StartOutcome};
use crate::ui::Ui;

/// Start the local cloud, unless it runs already
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The port on loopback; 0 for any free one [default: the one used last, else 4579]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Imitate the latency, throttles and conflicts in this file (see docs/aws-conditions.toml)
    #[arg(long, value_name = "FILE")]
    conditions: Option<PathBuf>,
    /// Accept calls from every program on this machine, with any access key or none
    ///
    /// Without it, callers need the key that `wschat env` shows. (`--local` and the handlers have it.)
    #[arg(long)]
    open: bool,
}

impl Args {
    pub async fn run(self, data: &DataFolder, ui: &Ui) -> Result<Exit, CommandError> {
        let options = ServerOptions { port: self.port, conditions: self.conditions, open: self.open };
        let running = match process::ensure(&data.path, &options).await {
            Err(error @ (ProcessError::OtherPort(_) | ProcessError::OtherConditions(_) | ProcessError::NotOpen)) => {
                let stop = Command::new("local stop").with(data);
                return Err(CommandError::from(error).hint("stop it first", stop));
            }
            running => running?,
        };
        let how = match running.outcome {
            StartOutcome::Found => "runs already",
            StartOutcome::Started => "runs",
            StartOutcome::Replaced => "was restarted for this build of wschat; it runs",
        };
        ui.line(format!("The local cloud {how} on http://localhost:{} (pid {}).", running.port, running.pid));
        if running.outcome != StartOutcome::Found {
            missed_port(&running).into_iter().for_each(|why| ui.line(why));
        }
        if let Some(file) = running.conditions {
            ui.line(format!("Its conditions file is {}.", file.display()));
        }
        if running.open {
            ui.line("Every program on this machine may call it, with any access key or none.");
        }
        Ok(Exit::Ok)
    }
}
