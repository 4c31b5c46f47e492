use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::Reach;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::interrupt::Claim;
use crate::core::template::expand::{Context, expand};
use crate::core::template::parse;
use crate::core::words::Problem;
use crate::local::context::ports::{ReadTemplate, SdkInstaller, TemplateReader};
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
        serve(data, options, Arc::new(Installed(lambda::folder(data))), Arc::new(Templates)).await?;
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

/// Templates, read as every command reads them.
struct Templates;

impl TemplateReader for Templates {
    fn read(&self, text: &str, region: &str, parameters: &BTreeMap<String, String>) -> Result<ReadTemplate, String> {
        let first =
            |problems: Vec<Problem>| problems.into_iter().next().map(|problem| problem.what).unwrap_or_default();
        let template = parse(text.as_bytes()).map_err(first)?;
        let written = template.tree.clone();
        let template = expand(template, Context { partition: "aws", region, parameters });
        match template.report(template.problems.clone()) {
            problems if problems.is_empty() => Ok(ReadTemplate { written, processed: template.document() }),
            problems => Err(first(problems)),
        }
    }
}
