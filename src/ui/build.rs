//! A build as it goes on: cargo's own progress, in one line where there is a terminal.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::Ui;
use crate::package::Progress;

/// Shows a build.
#[derive(Debug)]
pub struct Build {
    ui: Ui,
    terminal: bool,
    /// There once the compiler has something to do: most builds find everything made already.
    bar: Mutex<Option<ProgressBar>>,
}

impl Build {
    pub(super) fn new(ui: Ui) -> Self {
        Self { ui, terminal: io::stderr().is_terminal(), bar: Mutex::new(None) }
    }

    /// Shows one step.
    pub fn show(&self, progress: Progress) {
        match progress {
            Progress::Compiling { done, total, current } if self.terminal => {
                let mut bar = self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let bar = bar.get_or_insert_with(|| {
                    let bar = self.ui.moving.add(ProgressBar::new(0));
                    let style =
                        ProgressStyle::with_template("{spinner} building handlers {pos}/{len} {wide_msg}  {elapsed}");
                    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                    bar.enable_steady_tick(Duration::from_millis(100));
                    bar
                });
                bar.set_length(total as u64);
                bar.set_position(done as u64);
                bar.set_message(current);
            }
            Progress::Compiling { .. } => {}
            // With a terminal the bar says it.
            Progress::Cargo(_) if self.terminal => {}
            Progress::Cargo(line) => self.line(&line),
            Progress::Warning(text) => self.line(text.trim_end()),
            Progress::Note(text) => self.line(&text),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            bar.finish_and_clear();
            self.ui.moving.remove(&bar);
        }
    }

    fn line(&self, text: &str) {
        self.ui.say(text);
    }
}
