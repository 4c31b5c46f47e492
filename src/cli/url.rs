//! `wschat url`: the URI alone, for scripts.

use std::path::PathBuf;

use super::command::Command;
use super::error::CommandError;
use super::exit::Exit;
use super::{list, result, target};
use crate::deploy::read;
use crate::ui::Ui;

/// Print the URI to connect to, and nothing else
///
/// The exit code is 3 when there is none.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: target::Args,
    /// Look for wschat.toml beside this template [default: in the current folder]
    #[arg(long, short, value_name = "FILE")]
    template: Option<PathBuf>,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Exit, CommandError> {
        let aws = self.target.connect(ui).await?;
        let live = read::entries(&aws).await?;
        let uris = result::live_uris(&live);
        if uris.is_empty() {
            let name = &aws.scope().stack;
            let instead = if live.is_empty() { list::instead(&self.target, name, ui).await } else { None };
            let why = if live.is_empty() { "it has no API" } else { "its API has no stage" };
            return Err(CommandError::new(format!("stack {name} has no URI: {why}"))
                .hints(instead)
                .hint("bring it up with", Command::new("up").with(&self.target))
                .exits(Exit::NotThere));
        }
        for uri in uris {
            ui.line(uri);
        }
        Ok(Exit::Ok)
    }
}
