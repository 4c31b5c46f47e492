use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::Reach;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::interrupt::Claim;
use crate::local::context::ports::SdkInstaller;
use crate::local::daemon::process::ServerOptions;
use crate::local::daemon::serve::serve;
use crate::local::lambda;
use crate::package;

/// Serve the local cloud in this process; what `start` runs in the background.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    port: Option<u16>,
    #[command(flatten)]
    reach: Reach,
    #[arg(long)]
    conditions: Option<PathBuf>,
    #[arg(long)]
    open: bool,
}

impl Args {
    pub async fn run(self, data: &Path) -> Result<Exit, CommandError> {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(std::io::stderr)
            .init();
        // It ends at Ctrl-C by itself, after it has saved its data.
        let _claim = Claim::new();
        let options =
            ServerOptions { port: self.port, conditions: self.conditions, open: self.open, ..self.reach.options() };
        serve(data, options, Arc::new(Installed(lambda::folder(data)))).await?;
        Ok(Exit::Ok)
    }
}

/// The SDK of Lambda's runtimes, installed in a folder the first time that code needs it.
struct Installed(PathBuf);

#[async_trait]
impl SdkInstaller for Installed {
    async fn install(&self, runtime: &str, code: &Path) -> Result<(), String> {
        package::install_sdk(runtime, code, &self.0).await.map_err(|error| error.to_string())
    }
}
