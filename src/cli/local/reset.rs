use std::path::Path;

use crate::cli::Failure;
use crate::cli::exit::Exit;
use crate::local::process;
use crate::ui::Ui;

/// Stop the local cloud and delete everything it holds
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Args {
    pub async fn run(self, data: &Path, ui: &Ui) -> Result<Exit, Failure> {
        if !self.yes && !ui.confirm(format!("Delete everything in {}?", data.display())) {
            ui.line("Nothing was deleted.");
            return Ok(Exit::Failed);
        }
        let there_was_one = process::reset(data).await?;
        ui.line(if there_was_one { "The local cloud is gone." } else { "There was no local cloud." });
        Ok(Exit::Ok)
    }
}
