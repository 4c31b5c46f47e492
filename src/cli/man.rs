//! `wschat man`: the manual pages.

use std::fs;
use std::path::PathBuf;

use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::help;
use crate::ui::Ui;
use crate::ui::event::Event;

/// Write the manual pages into a folder, one for each command: wschat.1, wschat-up.1, ...
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder, for example ~/.local/share/man/man1; it is created if it does not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) fn run(&self, command: &clap::Command, ui: &Ui) -> Result<Ended, CommandError> {
        let shown = self.folder.display();
        let published = help::published(command);
        let mut files = pages(&published, None);
        files.sort_unstable();
        fs::create_dir_all(&self.folder)
            .and_then(|()| clap_mangen::generate_to(published, &self.folder))
            .map_err(|error| format!("cannot write the manual pages to {shown}: {error}"))?;
        if !ui.is_json() {
            ui.line(format_args!("The manual pages are in {shown}: man -l {shown}/wschat.1"));
        }
        Ok(Exit::Ok.with(Event::Man { folder: shown.to_string(), files }))
    }
}

/// The names of the pages of a command and of those below it.
fn pages(command: &clap::Command, above: Option<&str>) -> Vec<String> {
    let name = above.map_or_else(|| command.get_name().to_owned(), |above| format!("{above}-{}", command.get_name()));
    let below = command.get_subcommands().flat_map(|verb| pages(verb, Some(&name)));
    let mut pages: Vec<String> = below.collect();
    pages.push(format!("{name}.1"));
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_that_are_named_are_those_that_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("man");
        let args = Args { folder: folder.clone(), json: true };
        let ended = args.run(&crate::cli::command(), &Ui::new(true)).unwrap();
        let Some(Event::Man { files, .. }) = ended.event else { panic!("{ended:?}") };
        let written = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut written: Vec<String> = written.collect();
        written.sort_unstable();
        assert_eq!(files, written);
        assert!(files.contains(&"wschat-local-start.1".to_owned()), "{files:?}");
    }
}
