//! `wschat completions`: the script that completes commands and options in a shell.

use clap_complete::Shell;

use super::error::CommandError;
use super::exit::Exit;
use super::help;
use crate::ui::Ui;

/// Print the completion script of a shell
///
/// For example: wschat completions bash > ~/.local/share/bash-completion/completions/wschat
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl Args {
    pub(super) fn run(&self, command: &clap::Command, ui: &Ui) -> Result<Exit, CommandError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut help::published(command), "wschat", &mut script);
        ui.line(String::from_utf8(script)?.trim_end());
        Ok(Exit::Ok)
    }
}
