//! What people see. Nothing else prints.

pub mod build;
pub mod plan;
pub mod progress;

use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;

/// The terminal, or whatever stands in its place. Whoever stops reading misses the rest: writes that fail are no
/// error of ours.
#[derive(Debug, Clone, Default)]
pub struct Ui {
    /// All lines that change in place: one owner, so that a build and a run can be shown at once.
    moving: MultiProgress,
}

impl Ui {
    /// A line of the command's result, on stdout.
    pub fn line(&self, text: impl Display) {
        self.moving.suspend(|| drop(writeln!(io::stdout(), "{text}")));
    }

    /// A line that goes with the result and is not it, on stderr.
    pub fn say(&self, text: impl Display) {
        self.moving.suspend(|| drop(writeln!(io::stderr(), "{text}")));
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
        let _ = write!(io::stderr(), "{question} [y/N] ");
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }
}

/// Whether the user wants colours where a terminal shows them (<https://no-color.org>).
#[expect(clippy::disallowed_methods, reason = "every program reads it; it is no option of ours")]
fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
