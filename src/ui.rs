//! The output on stdout and stderr. Nothing else prints.
//!
//! Names, values and messages come from templates, tags and AWS, so everything is printed without secrets (`Ui::hide`) and
//! with control characters escaped.

mod bar;
pub mod build;
pub mod plan;
pub mod printable;
pub mod progress;

use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use indicatif::MultiProgress;

use crate::core::stack::Secrets;

/// stdout and stderr, a terminal or not. Failed writes are ignored: a reader that closes its end does not want the rest.
#[derive(Debug, Clone, Default)]
pub struct Ui {
    /// All progress bars: one owner, so that a build and a run can be shown at the same time.
    bars: MultiProgress,
    shared: Arc<Shared>,
}

/// The state that clones share.
#[derive(Debug, Default)]
struct Shared {
    secrets: RwLock<Secrets>,
    /// The number of bars, and the terminal's settings before the first.
    echo: Mutex<bar::EchoGuard>,
    /// The lines below all bars.
    notice: Mutex<Vec<bar::Bar>>,
    /// Whether a question waits for its answer.
    asking: AtomicBool,
}

impl Ui {
    /// A line of the command's result, on stdout.
    pub fn line(&self, text: impl Display) {
        self.result(&printable::block(&self.masked(&text.to_string())));
    }

    /// A line of the result that may contain colours.
    pub fn coloured_line(&self, text: impl Display) {
        self.result(&printable::coloured(&self.masked(&text.to_string())));
    }

    /// A line that is not part of the result, on stderr.
    pub fn say(&self, text: impl Display) {
        self.write_stderr(&printable::block(&self.masked(&text.to_string())));
    }

    /// As `say`, for a line that may contain colours.
    pub fn say_coloured(&self, text: impl Display) {
        self.write_stderr(&printable::coloured(&self.masked(&text.to_string())));
    }

    /// A line of the result with its secrets: for `--show-secrets`.
    pub fn reveal_line(&self, text: impl Display) {
        self.result(&printable::block(&text.to_string()));
    }

    /// As `say`, with secrets: for `--show-secrets`.
    pub fn reveal(&self, text: impl Display) {
        self.write_stderr(&printable::block(&text.to_string()));
    }

    fn result(&self, text: &str) {
        self.bars.suspend(|| drop(writeln!(io::stdout(), "{text}")));
    }

    fn write_stderr(&self, text: &str) {
        self.bars.suspend(|| drop(writeln!(io::stderr(), "{text}")));
    }

    /// Shows a text below all bars as long as there are any; without bars, prints it.
    pub fn notice(&self, text: &str) {
        if !self.has_bars() {
            return self.say(text);
        }
        let lines = bar::wrapped(text, bar::columns());
        let bars = lines.into_iter().map(|line| bar::Bar::last(self, &line)).collect();
        *self.shared.notice.lock().unwrap_or_else(PoisonError::into_inner) = bars;
    }

    /// Masks these secrets in all further output.
    pub fn hide(&self, secrets: &Secrets) {
        self.shared.secrets.write().unwrap_or_else(PoisonError::into_inner).extend(secrets);
    }

    /// `text` with its secrets masked.
    pub fn masked(&self, text: &str) -> String {
        self.shared.secrets.read().unwrap_or_else(PoisonError::into_inner).mask(text)
    }

    /// Whether stderr shows colours.
    pub fn colour(&self) -> bool {
        io::stderr().is_terminal() && wants_colour()
    }

    /// Whether stdout shows colours.
    pub fn colour_of_result(&self) -> bool {
        io::stdout().is_terminal() && wants_colour()
    }

    /// The progress of a build.
    pub fn build(&self) -> build::Build {
        build::Build::new(self.clone())
    }

    /// Prints an error and its causes on stderr.
    pub fn error(&self, error: &dyn Error) {
        let mut text = format!("error: {error}");
        let mut seen = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let message = error.to_string();
            // Many errors include the text of their cause.
            if !seen.contains(&message) {
                text.push_str(&format!("\n  caused by: {message}"));
                seen.push_str(&message);
            }
            cause = error.source();
        }
        self.say(text);
    }

    /// Asks a question. `y` or `yes` is a yes, anything else (and the end of stdin) a no.
    pub fn confirm(&self, question: impl Display) -> bool {
        let question = printable::block(&self.masked(&question.to_string()));
        let _ = write!(io::stderr(), "{question} [y/N] ");
        let mut answer = String::new();
        self.shared.asking.store(true, Ordering::SeqCst);
        let read = io::stdin().read_line(&mut answer);
        self.shared.asking.store(false, Ordering::SeqCst);
        read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    /// Restores the terminal, prints why, and ends the process with `end`. No other thread can draw in between.
    pub fn restore_and_exit(&self, why: &str, end: fn() -> !) -> ! {
        let echoed = !self.has_bars() && io::stderr().is_terminal();
        // The terminal has echoed ^C, or a question stands without an end of line.
        let begin = if echoed || self.shared.asking.load(Ordering::SeqCst) { "\n" } else { "" };
        self.bars.suspend(|| {
            self.shared.echo.lock().unwrap_or_else(PoisonError::into_inner).restore();
            let _ = writeln!(io::stderr(), "{begin}{why}");
            end()
        })
    }

    fn has_bars(&self) -> bool {
        self.shared.echo.lock().unwrap_or_else(PoisonError::into_inner).has_bars()
    }

    /// Removes the notice, when the last bar has ended.
    fn clear_notice(&self) {
        self.shared.notice.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Whether the user wants colours where a terminal shows them (<https://no-color.org>).
#[expect(clippy::disallowed_methods, reason = "every program reads it; it is no option of ours")]
fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
