//! The output on stdout and stderr. Nothing else prints.
//!
//! Names, values and messages come from templates, tags and AWS, so everything is printed without secrets (`Ui::hide`)
//! and with control characters escaped.

mod bar;
pub mod build;
pub mod dev;
mod editor;
pub mod event;
pub mod keys;
pub mod logs;
pub mod panics;
pub mod plan;
pub mod printable;
pub mod progress;
pub mod prompt;
pub mod row;
pub mod wrap;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use serde_json::Value;

use crate::core::stack::Secrets;
use event::{Event, Failure, Line};
use prompt::PromptLine;

/// stdout and stderr, a terminal or not. Failed writes are ignored: a reader that closes its end does not want the
/// rest.
#[derive(Debug, Clone, Default)]
pub struct Ui {
    /// All progress bars: one owner, so that a build and a run can be shown at the same time.
    bars: MultiProgress,
    /// Whether stdout is for programs: an event a line, and nothing else.
    json: bool,
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
    /// The line that is being typed below all that is printed.
    prompt: Mutex<PromptLine>,
    /// The line that stays below all others.
    footer: Mutex<Option<ProgressBar>>,
    /// Whether a question waits for its answer.
    asking: AtomicBool,
    /// Whether the last event is printed: there is only one.
    ended: AtomicBool,
    /// Whether the reader of stdout has closed its end.
    closed: AtomicBool,
}

/// The fields of events whose values are wschat's and AWS's own words, which no secret is masked in.
const WORDS: &[&str] = &["event", "action", "type", "kind", "severity", "rule", "state", "direction"];

impl Ui {
    /// With `json`, stdout has events instead of text.
    pub fn new(json: bool) -> Self {
        Self { json, ..Self::default() }
    }

    /// Whether stdout has events instead of text.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an event, if stdout is for events.
    pub fn event(&self, event: &Event) {
        if let Some(line) = self.line_of(event, None) {
            self.result(&line);
        }
    }

    /// Prints the last event, if stdout is for events and none was the last.
    pub fn last_event(&self, event: &Event, exit_code: u8) {
        if let Some(line) = self.last_line(event, exit_code) {
            self.result(&line);
        }
    }

    /// The last line, if stdout is for events and there was none.
    fn last_line(&self, event: &Event, exit_code: u8) -> Option<String> {
        let is_first = !self.shared.ended.swap(true, Ordering::SeqCst);
        self.line_of(event, Some(exit_code)).filter(|_| is_first)
    }

    /// An event as it is printed, if stdout is for events.
    fn line_of(&self, event: &Event, exit_code: Option<u8>) -> Option<String> {
        self.json.then(|| printable::block(&self.in_json(event, exit_code).to_string()))
    }

    /// An event without its secrets, unless it shows them.
    fn in_json(&self, event: &Event, exit_code: Option<u8>) -> Value {
        // No event has keys that are not text, which is all that could fail.
        let mut line = serde_json::to_value(Line { event, exit_code }).unwrap_or_default();
        if !event.shows_secrets() {
            self.mask_texts(&mut line, WORDS);
        }
        line
    }

    /// Masks secrets in the texts of a value, one by one: a secret may look like JSON. Fields of these names stay.
    fn mask_texts(&self, value: &mut Value, words: &[&str]) {
        match value {
            Value::String(text) => *text = self.masked(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask_texts(item, words)),
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut().filter(|(name, _)| !words.contains(&name.as_str())) {
                    // Outputs have whatever names the template gives them.
                    self.mask_texts(value, if name == "outputs" { &[] } else { words });
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A line of the command's result, on stdout.
    pub fn line(&self, text: impl Display) {
        self.result(&printable::block(&self.masked(&text.to_string())));
    }

    /// A line of the result that may contain colours.
    pub fn coloured_line(&self, text: impl Display) {
        self.result(&printable::coloured(&self.masked(&text.to_string())));
    }

    /// A line that is not part of the result, on stderr. Terminals break it between words.
    pub fn say(&self, text: impl Display) {
        let text = printable::block(&self.masked(&text.to_string()));
        self.write_stderr(&wrap::wrapped(&text, self.columns()));
    }

    /// As `say`, for a line that may contain colours.
    pub fn say_coloured(&self, text: impl Display) {
        self.write_stderr(&printable::coloured(&self.masked(&text.to_string())));
    }

    /// What a compiler or a checker said, which may contain colours: its excerpts of code are cut to the terminal's width.
    pub fn say_excerpts(&self, text: &str) {
        self.write_stderr(&wrap::excerpts(&printable::coloured(&self.masked(text)), self.columns()));
    }

    /// The same as lines of the result.
    pub fn excerpts_line(&self, text: &str) {
        self.result(&wrap::excerpts(&printable::coloured(&self.masked(text)), self.columns_of_result()));
    }

    /// As `say`, with secrets: for `--show-secrets`.
    pub fn reveal(&self, text: impl Display) {
        self.write_stderr(&printable::block(&text.to_string()));
    }

    /// As `line`, with secrets: for `--show-secrets`.
    pub fn reveal_line(&self, text: impl Display) {
        self.result(&printable::block(&text.to_string()));
    }

    fn result(&self, text: &str) {
        let written = self.bars.suspend(|| {
            self.prompt().above(|| {
                let mut out = io::stdout();
                writeln!(out, "{text}").and_then(|()| out.flush())
            })
        });
        if written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            self.shared.closed.store(true, Ordering::SeqCst);
        }
    }

    /// Whether the reader of stdout has closed its end, and nothing more need be printed.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::SeqCst)
    }

    fn write_stderr(&self, text: &str) {
        self.bars.suspend(|| self.prompt().above(|| drop(writeln!(io::stderr(), "{text}"))));
    }

    fn prompt(&self) -> MutexGuard<'_, PromptLine> {
        self.shared.prompt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a text below all bars as long as there are any; without bars, prints it.
    pub fn notice(&self, text: &str) {
        if !self.has_bars() {
            return self.say(text);
        }
        let lines = wrap::wrapped(text, bar::columns());
        let bars = lines.lines().map(|line| bar::Bar::last(self, line)).collect();
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

    /// Whether stdout is a terminal.
    pub fn result_is_on_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether stdout shows colours.
    pub fn colour_of_result(&self) -> bool {
        io::stdout().is_terminal() && wants_colour()
    }

    /// Whether people read stdout.
    pub fn has_result_on_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// The width of the terminal that stderr is; without limit where it is none.
    pub fn columns(&self) -> usize {
        if io::stderr().is_terminal() { bar::columns() } else { usize::MAX }
    }

    /// The width of the terminal that stdout is; without limit where it is none.
    pub fn columns_of_result(&self) -> usize {
        if io::stdout().is_terminal() { bar::columns_of(io::stdout()) } else { usize::MAX }
    }

    /// The progress of a build.
    pub fn build(&self) -> build::BuildProgress {
        build::BuildProgress::new(self.clone())
    }

    /// Asks a question. `y` or `yes` is a yes, anything else (and the end of stdin) a no.
    pub fn confirm(&self, question: impl Display) -> bool {
        let question = printable::block(&self.masked(&format!("{question} [y/N]")));
        let _ = write!(io::stderr(), "{} ", wrap::wrapped(&question, self.columns().saturating_sub(2)));
        let mut answer = String::new();
        self.shared.asking.store(true, Ordering::SeqCst);
        let read = io::stdin().read_line(&mut answer);
        self.shared.asking.store(false, Ordering::SeqCst);
        read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    /// Removes all bars and restores the terminal: a task that outlives the command may hold a bar.
    pub fn close(&self) {
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        self.shared.echo.lock().unwrap_or_else(PoisonError::into_inner).close();
    }

    /// Asks for a text; `default` is shown, and for the caller to take where the answer is empty. `None` at the end of stdin.
    pub fn ask(&self, question: impl Display, default: Option<&str>) -> Option<String> {
        let default = default.map(|default| format!(" [{default}]")).unwrap_or_default();
        let question = printable::block(&self.masked(&format!("{question}{default}: ")));
        let _ = write!(io::stderr(), "{question}");
        let mut answer = String::new();
        self.shared.asking.store(true, Ordering::SeqCst);
        let read = io::stdin().read_line(&mut answer);
        self.shared.asking.store(false, Ordering::SeqCst);
        matches!(read, Ok(1..)).then(|| answer.trim().to_owned())
    }

    /// Clears the terminal, if it is one; what it has scrolled away stays.
    pub fn clear_screen(&self) {
        if io::stderr().is_terminal() {
            self.bars.suspend(|| drop(write!(io::stderr(), "\x1b[2J\x1b[H")));
        }
    }

    /// Restores the terminal, says that the command was interrupted, and ends the process with `end`, which gives it this
    /// exit code. No other thread can draw in between.
    pub fn restore_and_exit(&self, why: &str, exit_code: u8, end: fn() -> !) -> ! {
        let failure = Event::Failure(Failure { error: why.to_owned(), ..Failure::default() });
        let echoed = !self.has_bars() && io::stderr().is_terminal();
        // The terminal has echoed ^C, or a question stands without an end of line.
        let typed = self.prompt().end();
        let begin = if !typed && echoed || self.shared.asking.load(Ordering::SeqCst) { "\n" } else { "" };
        self.bars.suspend(|| {
            self.shared.echo.lock().unwrap_or_else(PoisonError::into_inner).restore();
            keys::restore();
            if let Some(line) = self.last_line(&failure, exit_code) {
                let _ = writeln!(io::stdout(), "{line}");
            }
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

#[cfg(test)]
mod tests {
    use super::event::RunResult;
    use super::*;

    #[test]
    fn secrets_are_masked_in_the_texts_of_an_event_and_nowhere_else() {
        let ui = Ui::new(true);
        let mut secrets = Secrets::default();
        for secret in ["result", "s3cret", "\",\"stack\":\""] {
            secrets.add(&secret.into());
        }
        ui.hide(&secrets);
        let outputs = [("type", "s3cret"), ("Uri", "ws://s3cret/x"), ("Odd", "\",\"stack\":\"")];
        let mut result = RunResult {
            stack: "app".to_owned(),
            account: "1".to_owned(),
            region: "r".to_owned(),
            uris: vec!["ws://s3cret/x".to_owned()],
            outputs: outputs.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            retained: Vec::new(),
            shows_secrets: false,
        };
        let line = ui.in_json(&Event::Result(result.clone()), Some(0)).to_string();
        let expected = r#"{"event":"result","stack":"app","account":"1","region":"r","uris":["ws://****/x"],"outputs":{"Odd":"****","Uri":"ws://****/x","type":"****"},"retained":[],"exit_code":0}"#;
        assert_eq!(line, expected);
        result.shows_secrets = true;
        let line = ui.in_json(&Event::Result(result), None);
        assert_eq!((&line["outputs"]["type"], line.get("exit_code")), (&"s3cret".into(), None));
    }
}
