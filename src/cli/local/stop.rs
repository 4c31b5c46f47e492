use std::path::Path;

use crate::cli::error::CommandError;
use crate::cli::exit::{Ended, Exit};
use crate::local::daemon::process;
use crate::ui::Ui;
use crate::ui::event::Event;

/// Stop the local cloud; what it holds is kept
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    pub async fn run(self, data: &Path, ui: &Ui) -> Result<Ended, CommandError> {
        let there_was_one = process::stop(data).await?;
        if !ui.is_json() {
            ui.line(if there_was_one { "The local cloud stopped." } else { "The local cloud was not running." });
        }
        Ok(Exit::Ok.with(Event::LocalStopped { was_running: there_was_one }))
    }
}
