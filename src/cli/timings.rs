//! `--timings`: how long a run took, in words and as a picture.

use std::fs;
use std::path::PathBuf;

use crate::aws::client::Aws;
use crate::timings::{self, Run, Timings};
use crate::ui::Ui;

/// Whether the account of the run is wanted, and where.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Print how long the run took, and the longest chain of steps that had to wait for each other; with a file, also draw
    /// it there as an HTML timeline
    #[arg(long, value_name = "FILE.html", num_args = 0..=1)]
    timings: Option<Option<PathBuf>>,
}

impl Args {
    /// Gives the account of what `command` did. A file that cannot be written does not undo what the run did, nor its success.
    pub fn tell(&self, verb: &str, run: &Run, aws: &Aws, ui: &Ui) {
        let Some(file) = &self.timings else { return };
        let records = aws.records();
        ui.say(Timings::new(run, &records));
        let Some(file) = file else { return };
        let scope = aws.scope();
        let title = format!("wschat {verb}: {} in {} ({})", scope.stack, scope.account, scope.region);
        match fs::write(file, ui.masked(&timings::page(&title, run, &records))) {
            Ok(()) => ui.say(format_args!("Timeline: {}", file.display())),
            Err(error) => ui.say(format_args!("warning: cannot write the timeline to {}: {error}", file.display())),
        }
    }
}
