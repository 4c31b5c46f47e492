//! `wschat man`: the manual pages.

use std::fs;
use std::path::PathBuf;

use super::error::CommandError;
use super::exit::Exit;
use super::help;
use crate::ui::Ui;

/// Write the manual pages into a folder, one for each command: wschat.1, wschat-up.1, ...
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder, for example ~/.local/share/man/man1; it is created if it does not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Args {
    pub(super) fn run(&self, command: &clap::Command, ui: &Ui) -> Result<Exit, CommandError> {
        let shown = self.folder.display();
        fs::create_dir_all(&self.folder)
            .and_then(|()| clap_mangen::generate_to(help::published(command), &self.folder))
            .map_err(|error| format!("cannot write the manual pages to {shown}: {error}"))?;
        ui.line(format_args!("The manual pages are in {shown}: man -l {shown}/wschat.1"));
        Ok(Exit::Ok)
    }
}
