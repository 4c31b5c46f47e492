//! `wschat env`: the exports that point other programs at the local cloud.

use super::command::quoted;
use super::error::CommandError;
use super::exit::Exit;
use super::local::DataFolder;
use crate::local::daemon::process::{self, ServerOptions};
use crate::local::server::tls;
use crate::ui::Ui;

/// Print the exports that point the AWS CLI and the SDKs at the local cloud: eval "$(wschat env)"
///
/// The local cloud is started if it is not running. Among the exports is its access key; it refuses calls without it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    data: DataFolder,
    /// The region that AWS_REGION is set to
    #[arg(long, value_name = "NAME", default_value = "us-east-1")]
    region: String,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Exit, CommandError> {
        let running = process::ensure(&self.data.path, &ServerOptions::default()).await?;
        let bundle = self.data.path.canonicalize()?.join(tls::CA_BUNDLE);
        for (name, value) in [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", running.port)),
            ("AWS_ACCESS_KEY_ID", running.key.id),
            ("AWS_SECRET_ACCESS_KEY", running.key.secret),
            ("AWS_DEFAULT_REGION", self.region.clone()),
            ("AWS_REGION", self.region),
            ("AWS_CA_BUNDLE", bundle.display().to_string()),
            // For Node.js, which needs it for `wss://`.
            ("NODE_EXTRA_CA_CERTS", bundle.display().to_string()),
        ] {
            ui.line(format_args!("export {name}={}", quoted(&value)));
        }
        // These would take precedence over the keys, or be sent with them.
        ui.line("unset AWS_PROFILE AWS_SESSION_TOKEN");
        Ok(Exit::Ok)
    }
}
