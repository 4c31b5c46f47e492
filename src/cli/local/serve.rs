use std::path::{Path, PathBuf};

use crate::cli::Failure;
use crate::cli::exit::Exit;
use crate::cli::interrupt::Claim;
use crate::local::process::Options;
use crate::local::serve::serve;

/// Serve the local cloud in this process; what `start` runs in the background.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    port: Option<u16>,
    #[arg(long)]
    conditions: Option<PathBuf>,
    #[arg(long)]
    open: bool,
}

impl Args {
    pub async fn run(self, data: &Path) -> Result<Exit, Failure> {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(std::io::stderr)
            .init();
        // It ends at Ctrl-C by itself, when it has put away what it holds.
        let _claim = Claim::new();
        serve(data, Options { port: self.port, conditions: self.conditions, open: self.open }).await?;
        Ok(Exit::Ok)
    }
}
