//! `wschat url`: the URI alone, for scripts.

use super::exit::Exit;
use super::{Failure, result, target};
use crate::resources::{Live, Search, Sought, api, provider, stage};
use crate::ui::Ui;

/// Print the URI to connect to, and nothing else
///
/// The exit code is 3 when there is none.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: target::Args,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Exit, Failure> {
        let aws = self.target.connect(ui).await?;
        let sought = Sought::from(Search::default());
        let mut live: Vec<Live> = Vec::new();
        for type_name in [api::TYPE, stage::TYPE] {
            if let Some(provider) = provider(type_name) {
                live.extend(provider.list(&aws, &sought, &live.clone()).await?);
            }
        }
        let uris = result::live_uris(&live);
        if uris.is_empty() {
            ui.say(format_args!(
                "error: stack {} has no URI{}\n  bring it up with: wschat up{}",
                aws.scope().stack,
                if live.is_empty() { ": it has no API" } else { ": its API has no stage" },
                self.target.flags()
            ));
            return Ok(Exit::NotThere);
        }
        for uri in uris {
            ui.line(uri);
        }
        Ok(Exit::Ok)
    }
}
