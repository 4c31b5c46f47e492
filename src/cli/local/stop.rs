use std::path::Path;

use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::local::daemon::process;
use crate::ui::Ui;

/// Stop the local cloud; what it holds is kept
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    pub async fn run(self, data: &Path, ui: &Ui) -> Result<Exit, CommandError> {
        let there_was_one = process::stop(data).await?;
        ui.line(if there_was_one { "The local cloud stopped." } else { "The local cloud was not running." });
        Ok(Exit::Ok)
    }
}
