//! The progress of a build: on a terminal one line, otherwise cargo's own lines.

use std::io::{self, IsTerminal};
use std::sync::Mutex;

use super::Ui;
use super::bar::Bar;
use crate::package::Progress;

/// Shows a build; the bar goes with this.
#[derive(Debug)]
pub struct BuildProgress {
    ui: Ui,
    terminal: bool,
    /// `None` until the compiler has something to do: most builds are up to date.
    bar: Mutex<Option<Bar>>,
}

impl BuildProgress {
    pub(super) fn new(ui: Ui) -> Self {
        Self { ui, terminal: io::stderr().is_terminal(), bar: Mutex::new(None) }
    }

    /// Shows one event of the build.
    pub fn show(&self, progress: Progress) {
        match progress {
            Progress::Compiling { done, total, current } if self.terminal => {
                let mut bar = self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let text = format!("building handlers {done}/{total} {current}").as_str().into();
                match bar.as_ref() {
                    Some(bar) => bar.set(&text),
                    None => *bar = Some(Bar::busy(&self.ui, &text, None)),
                }
            }
            Progress::Compiling { .. } => {}
            // On a terminal, the bar shows it.
            Progress::Cargo(_) if self.terminal => {}
            Progress::Cargo(line) => self.line(&line),
            Progress::Warning(text) => self.line(text.trim_end()),
            Progress::Note(text) => self.ui.say(text),
        }
    }

    fn line(&self, text: &str) {
        self.ui.say_coloured(text);
    }
}
