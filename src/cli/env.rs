//! `wschat env`: the exports that point other programs at the local cloud.

use super::command::quoted;
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::local::{self, DataFolder, Reach};
use crate::local::server::tls;
use crate::ui::Ui;
use crate::ui::event::Event;

/// Print the exports that point the AWS CLI and the SDKs at the local cloud: eval "$(wschat env)"
///
/// The local cloud is started if it is not running. Among the exports is its access key; it refuses calls without it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    reach: Reach,
    /// The region that AWS_REGION is set to
    #[arg(long, value_name = "NAME", default_value = "us-east-1")]
    region: String,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        let running = local::ensure(&self.data, &self.reach.options(), ui).await?;
        let bundle = self.data.path.canonicalize()?.join(tls::CA_BUNDLE);
        let variables = [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", running.port)),
            ("AWS_ACCESS_KEY_ID", running.key.id),
            ("AWS_SECRET_ACCESS_KEY", running.key.secret),
            ("AWS_DEFAULT_REGION", self.region.clone()),
            ("AWS_REGION", self.region),
            ("AWS_CA_BUNDLE", bundle.display().to_string()),
            // For Node.js, which needs it for `wss://`.
            ("NODE_EXTRA_CA_CERTS", bundle.display().to_string()),
        ];
        // These would take precedence over the keys, or be sent with them.
        let unset = ["AWS_PROFILE", "AWS_SESSION_TOKEN"];
        if !ui.is_json() {
            for (name, value) in &variables {
                ui.line(format_args!("export {name}={}", quoted(value)));
            }
            ui.line(format_args!("unset {}", unset.join(" ")));
        }
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Exit::Ok.with(Event::Env { variables, unset: unset.map(str::to_owned).to_vec() }))
    }
}
