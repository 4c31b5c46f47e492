use std::path::Path;

use super::{described, exposure};
use crate::cli::error::CommandError;
use crate::cli::exit::{Ended, Exit};
use crate::local::daemon::process::{self, LOG, ServerState};
use crate::ui::Ui;
use crate::ui::event::{Event, LocalCloud, LocalState};

/// Show whether the local cloud runs, and where
///
/// The exit code is 0 if it runs, 1 if it does not answer, 3 if it does not run.
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    pub async fn run(self, data: &Path, ui: &Ui) -> Result<Ended, CommandError> {
        let found = process::state(data).await;
        let (exit, state) = match &found {
            ServerState::Stopped => (Exit::NotThere, LocalState::Stopped),
            ServerState::Silent => (Exit::Failed, LocalState::Silent),
            ServerState::Running(_) => (Exit::Ok, LocalState::Running),
        };
        if !ui.is_json() {
            show(&found, data, ui);
        }
        let process = match &found {
            ServerState::Running(running) => Some(described(running)),
            ServerState::Stopped | ServerState::Silent => None,
        };
        Ok(exit.with(Event::Local(LocalCloud { state, data: data.display().to_string(), process })))
    }
}

fn show(state: &ServerState, data: &Path, ui: &Ui) {
    match state {
        ServerState::Stopped => ui.line(format!("The local cloud in {} is not running.", data.display())),
        ServerState::Silent => {
            let log = data.join(LOG);
            ui.line(format!("The local cloud in {} does not answer; see {}.", data.display(), log.display()));
        }
        ServerState::Running(running) => {
            ui.line(format!("The local cloud runs on http://localhost:{}.", running.port));
            ui.line(format!("  pid         {}", running.pid));
            ui.line(format!("  version     {}", running.version));
            ui.line(format!("  since       {}", running.started));
            ui.line(format!("  data        {}", data.display()));
            if let Some(file) = &running.conditions {
                ui.line(format!("  conditions  {}", file.display()));
            }
            exposure(running).into_iter().for_each(|line| ui.line(line));
        }
    }
}
