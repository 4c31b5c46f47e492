use std::path::PathBuf;

use super::{DataFolder, Reach, described, exposure, missed_port};
use crate::cli::error::CommandError;
use crate::cli::exit::{Ended, Exit};
use crate::local::daemon::process::{ServerOptions, StartOutcome};
use crate::ui::Ui;
use crate::ui::event::{Event, LocalCloud, LocalState};

/// Start the local cloud, unless it runs already
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The port; 0 for any free one [default: the one used last, else 4579]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    #[command(flatten)]
    reach: Reach,
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
    pub async fn run(self, data: &DataFolder, ui: &Ui) -> Result<Ended, CommandError> {
        let options =
            ServerOptions { port: self.port, conditions: self.conditions, open: self.open, ..self.reach.options() };
        if let Err(error) = options.check() {
            return Err(CommandError::from(error).exits(Exit::Usage));
        }
        let running = super::ensure(data, &options, ui).await?;
        let (how, state) = match running.outcome {
            StartOutcome::Found => ("runs already", LocalState::Running),
            StartOutcome::Started => ("runs", LocalState::Started),
            StartOutcome::Replaced => ("was restarted for this build of wschat; it runs", LocalState::Replaced),
        };
        if ui.is_json() {
            return Ok(Exit::Ok.with(Event::Local(LocalCloud {
                state,
                data: data.path.display().to_string(),
                process: Some(described(&running)),
            })));
        }
        ui.line(format!("The local cloud {how} on http://localhost:{} (pid {}).", running.port, running.pid));
        if running.outcome != StartOutcome::Found {
            missed_port(&running).into_iter().for_each(|why| ui.line(why));
        }
        exposure(&running).into_iter().for_each(|line| ui.line(line));
        if let Some(file) = running.conditions {
            ui.line(format!("Its conditions file is {}.", file.display()));
        }
        if running.open {
            ui.line("Every program on this machine may call it, with any access key or none.");
        }
        Ok(Exit::Ok.into())
    }
}
