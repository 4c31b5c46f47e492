//! `wschat completions`: the script that completes commands and options in a shell.

use clap_complete::Shell;

use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::help;
use crate::ui::Ui;
use crate::ui::event::Event;

/// Print the completion script of a shell
///
/// For example: wschat completions bash > ~/.local/share/bash-completion/completions/wschat
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) fn run(&self, command: &clap::Command, ui: &Ui) -> Result<Ended, CommandError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut help::published(command), "wschat", &mut script);
        let script = String::from_utf8(script)?;
        if !ui.is_json() {
            ui.line(script.trim_end());
        }
        Ok(Exit::Ok.with(Event::Completions { shell: self.shell.to_string(), script }))
    }
}
