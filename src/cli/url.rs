//! `wschat url`: the URI alone, for scripts.

use std::path::PathBuf;

use super::error::CommandError;
use super::exit::Exit;
use super::{endpoint, result, target};
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
        self.target.look_beside(self.template.as_deref())?;
        self.target.stack()?;
        self.target.require_local_cloud()?;
        let aws = self.target.connect(ui).await?;
        let live = read::entries(&aws).await?;
        let uris = result::live_uris(&live);
        if uris.is_empty() {
            return Err(endpoint::no_uri(&self.target, &aws, &live, ui).await);
        }
        for uri in uris {
            ui.line(uri);
        }
        Ok(Exit::Ok)
    }
}
