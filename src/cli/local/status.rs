use std::path::Path;

use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::local::daemon::process::{self, LOG, ServerState};
use crate::ui::Ui;

/// Show whether the local cloud runs, and where
///
/// The exit code is 0 if it runs, 1 if it does not answer, 3 if it does not run.
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    pub async fn run(self, data: &Path, ui: &Ui) -> Result<Exit, CommandError> {
        match process::state(data).await {
            ServerState::Stopped => {
                ui.line(format!("The local cloud in {} is not running.", data.display()));
                Ok(Exit::NotThere)
            }
            ServerState::Silent => {
                let log = data.join(LOG);
                ui.line(format!("The local cloud in {} does not answer; see {}.", data.display(), log.display()));
                Ok(Exit::Failed)
            }
            ServerState::Running(running) => {
                ui.line(format!("The local cloud runs on http://localhost:{}.", running.port));
                ui.line(format!("  pid         {}", running.pid));
                ui.line(format!("  version     {}", running.version));
                ui.line(format!("  since       {}", running.started));
                ui.line(format!("  data        {}", data.display()));
                if let Some(file) = running.conditions {
                    ui.line(format!("  conditions  {}", file.display()));
                }
                Ok(Exit::Ok)
            }
        }
    }
}
