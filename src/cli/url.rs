//! `wschat url`: the URI alone, for scripts.

use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{endpoint, result, target};
use crate::deploy::read;
use crate::ui::Ui;
use crate::ui::event::{Event, Uris};

/// Print the URI to connect to, and nothing else
///
/// The exit code is 3 when there is none.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: target::Deployed,
    /// The API, by its logical id or name, where the stack has several
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// The stage, where the API has several
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        self.target.stack()?;
        self.target.require_local_cloud()?;
        let aws = self.target.connect(ui).await?;
        let live = read::entries(&aws).await?;
        let mut uris = result::live_uris_of(&live, self.api.as_deref(), self.stage.as_deref());
        // Scripts want the one that clients connect to; an HTTP API beside it is named by --api.
        if self.api.is_none() && uris.iter().any(|uri| uri.starts_with("ws")) {
            uris.retain(|uri| uri.starts_with("ws"));
        }
        let all = result::live_uris(&live);
        if uris.is_empty() && !all.is_empty() {
            let name = &aws.scope().stack;
            let api = self.api.as_ref().map(|api| format!(" of API {api}")).unwrap_or_default();
            let stage = self.stage.as_ref().map(|stage| format!(" {stage}")).unwrap_or_default();
            return Err(CommandError::new(format!("stack {name} has no stage{stage}{api}"))
                .advice(format!("there are: {}", all.join(", ")))
                .exits(Exit::NotThere));
        }
        if uris.is_empty() {
            return Err(endpoint::no_uri(&self.target, &aws, &live, ui).await);
        }
        if !ui.is_json() {
            for uri in &uris {
                ui.line(uri);
            }
        }
        let scope = aws.scope();
        let (stack, account, region) = (scope.stack.clone(), scope.account.clone(), scope.region.clone());
        Ok(Exit::Ok.with(Event::Url(Uris { stack, account, region, uris })))
    }
}
