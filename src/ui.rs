//! What people see. Nothing else prints.
//!
//! Everything that is printed here is without secrets (`Ui::hide`), and without characters that a terminal would act on:
//! names, values and messages come from templates, tags and AWS.

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

/// The terminal, or whatever stands in its place. Whoever stops reading misses the rest: writes that fail are no
/// error of ours.
#[derive(Debug, Clone, Default)]
pub struct Ui {
    /// All lines that change in place: one owner, so that a build and a run can be shown at once.
    moving: MultiProgress,
    shared: Arc<Shared>,
}

/// What all that print know of each other.
#[derive(Debug, Default)]
struct Shared {
    secrets: RwLock<Secrets>,
    /// How many bars there are, and how the terminal was before the first.
    quiet: Mutex<bar::Quiet>,
    /// What stands below all bars.
    notice: Mutex<Vec<bar::Bar>>,
    /// Whether an answer is being waited for.
    asking: AtomicBool,
}

impl Ui {
    /// A line of the command's result, on stdout.
    pub fn line(&self, text: impl Display) {
        self.result(&printable::block(&self.masked(&text.to_string())));
    }

    /// A line of the result that may be coloured.
    pub fn coloured_line(&self, text: impl Display) {
        self.result(&printable::coloured(&self.masked(&text.to_string())));
    }

    /// A line that goes with the result and is not it, on stderr.
    pub fn say(&self, text: impl Display) {
        self.beside(&printable::block(&self.masked(&text.to_string())));
    }

    /// The same, where it may be coloured.
    pub fn say_coloured(&self, text: impl Display) {
        self.beside(&printable::coloured(&self.masked(&text.to_string())));
    }

    /// A line of the result, secrets and all: for `--show-secrets`.
    pub fn reveal_line(&self, text: impl Display) {
        self.result(&printable::block(&text.to_string()));
    }

    /// A line that goes with the result, secrets and all: for `--show-secrets`.
    pub fn reveal(&self, text: impl Display) {
        self.beside(&printable::block(&text.to_string()));
    }

    fn result(&self, text: &str) {
        self.moving.suspend(|| drop(writeln!(io::stdout(), "{text}")));
    }

    fn beside(&self, text: &str) {
        self.moving.suspend(|| drop(writeln!(io::stderr(), "{text}")));
    }

    /// Says something that stays below all lines that change in place, as long as there are any.
    pub fn notice(&self, text: &str) {
        if !self.has_bars() {
            return self.say(text);
        }
        let lines = bar::wrapped(text, bar::columns());
        let bars = lines.into_iter().map(|line| bar::Bar::last(self, &line)).collect();
        *self.shared.notice.lock().unwrap_or_else(PoisonError::into_inner) = bars;
    }

    /// Never shows these from now on.
    pub fn hide(&self, secrets: &Secrets) {
        self.shared.secrets.write().unwrap_or_else(PoisonError::into_inner).extend(secrets);
    }

    /// `text` without what must not be shown.
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

    /// The build, as it goes on.
    pub fn build(&self) -> build::Build {
        build::Build::new(self.clone())
    }

    /// An error and what caused it, on stderr.
    pub fn error(&self, error: &dyn Error) {
        let mut text = format!("error: {error}");
        let mut seen = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let message = error.to_string();
            // Many errors repeat their cause in their own words.
            if !seen.contains(&message) {
                text.push_str(&format!("\n  caused by: {message}"));
                seen.push_str(&message);
            }
            cause = error.source();
        }
        self.say(text);
    }

    /// Asks a question that `y` or `yes` affirms; no answer is a no.
    pub fn confirm(&self, question: impl Display) -> bool {
        let question = printable::block(&self.masked(&question.to_string()));
        let _ = write!(io::stderr(), "{question} [y/N] ");
        let mut answer = String::new();
        self.shared.asking.store(true, Ordering::SeqCst);
        let read = io::stdin().read_line(&mut answer);
        self.shared.asking.store(false, Ordering::SeqCst);
        read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    /// Leaves the terminal as it was found, says why, and ends the process with `end`, in the middle of whatever it does:
    /// nothing is drawn any more.
    pub fn leave(&self, why: &str, end: fn() -> !) -> ! {
        let echoed = !self.has_bars() && io::stderr().is_terminal();
        // The terminal shows the ^C that was typed, and a question has no end of line.
        let begin = if echoed || self.shared.asking.load(Ordering::SeqCst) { "\n" } else { "" };
        self.moving.suspend(|| {
            self.shared.quiet.lock().unwrap_or_else(PoisonError::into_inner).restore();
            let _ = writeln!(io::stderr(), "{begin}{why}");
            end()
        })
    }

    fn has_bars(&self) -> bool {
        self.shared.quiet.lock().unwrap_or_else(PoisonError::into_inner).has_bars()
    }

    /// Takes the notice away when there are no other bars.
    fn end_of_bars(&self) {
        self.shared.notice.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Whether the user wants colours where a terminal shows them (<https://no-color.org>).
#[expect(clippy::disallowed_methods, reason = "every program reads it; it is no option of ours")]
fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
