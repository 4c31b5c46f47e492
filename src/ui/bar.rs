//! A line that changes in place. It never takes more than one line of the terminal, however wide that is when it is drawn:
//! a line that wraps cannot be taken back.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Ui;
use crate::ui::printable;

/// How often bars are drawn.
const TICK: Duration = Duration::from_millis(100);

const SPINNER: [char; 8] = ['⠋', '⠙', '⠹', '⠸', '⠴', '⠦', '⠧', '⠇'];

/// How many columns a terminal has that does not say.
const COLUMNS: usize = 80;

/// Where a bar stands, and what it shows beside its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Something that goes on: with a spinner and its time.
    Busy,
    /// A sum: with its time.
    Total,
    /// Text alone.
    Plain,
}

/// What a line says: where there is no room for all of it, the details go first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    pub what: String,
    pub details: String,
    pub state: String,
}

impl From<&str> for Text {
    fn from(what: &str) -> Self {
        Self { what: what.to_owned(), ..Self::default() }
    }
}

impl Text {
    /// The line, in `columns` of a terminal at most.
    pub fn within(&self, columns: usize) -> String {
        let gap = "  ";
        let join = |parts: &[&str]| {
            let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
            parts.join(gap)
        };
        let whole = join(&[&self.what, &self.details, &self.state]);
        if whole.width() <= columns {
            return whole;
        }
        let short = join(&[self.what.trim_end(), self.state.trim_end()]);
        if short.width() <= columns {
            return short;
        }
        // What it is and what becomes of it share the line.
        let state = fit(self.state.trim_end(), columns / 2);
        let room = columns.saturating_sub(if state.is_empty() { 0 } else { state.width() + gap.len() });
        fit(&join(&[&fit(self.what.trim_end(), room), &state]), columns)
    }

    /// The same without secrets, and without characters that a terminal would act on.
    pub fn clean(&self, ui: &Ui) -> Self {
        let clean = |text: &String| printable::line(&ui.masked(text));
        Self { what: clean(&self.what), details: clean(&self.details), state: clean(&self.state) }
    }
}

/// One line. Dropped, it is taken away.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    text: Arc<Mutex<Text>>,
    ui: Ui,
    look: Look,
}

impl Bar {
    /// A line for something that goes on, above `before`, or below what there is.
    pub fn busy(ui: &Ui, text: &Text, before: Option<&Self>) -> Self {
        Self::new(ui, text, Look::Busy, before)
    }

    /// A line for how far all is.
    pub fn total(ui: &Ui, text: &str) -> Self {
        Self::new(ui, &text.into(), Look::Total, None)
    }

    /// A line of words, the last one.
    pub fn last(ui: &Ui, text: &str) -> Self {
        Self::new(ui, &text.into(), Look::Plain, None)
    }

    fn new(ui: &Ui, text: &Text, look: Look, before: Option<&Self>) -> Self {
        if look != Look::Plain {
            ui.shared.quiet.lock().unwrap_or_else(PoisonError::into_inner).begin();
        }
        let shown = Arc::new(Mutex::new(Text::default()));
        let bar = match before {
            Some(before) => ui.moving.insert_before(&before.bar, ProgressBar::new_spinner()),
            None => ui.moving.add(ProgressBar::new_spinner()),
        };
        let own = Self { bar, text: Arc::clone(&shown), ui: ui.clone(), look };
        own.set(text);
        let line = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let text = shown.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = out.write_str(&layout(look, &text, state.elapsed(), columns()));
        };
        let style = ProgressStyle::with_template("{line}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        own.bar.set_style(style.with_key("line", line));
        own.bar.enable_steady_tick(TICK);
        own
    }

    /// Shows another text.
    pub fn set(&self, text: &Text) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = text.clean(&self.ui);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.ui.moving.remove(&self.bar);
        if self.look != Look::Plain {
            let last = self.ui.shared.quiet.lock().unwrap_or_else(PoisonError::into_inner).end();
            if last {
                self.ui.end_of_bars();
            }
        }
    }
}

fn layout(look: Look, text: &Text, elapsed: Duration, columns: usize) -> String {
    let time = match elapsed.as_secs() {
        seconds if seconds < 60 => format!("{seconds}s"),
        seconds => format!("{}m {:02}s", seconds / 60, seconds % 60),
    };
    let tick = (elapsed.as_millis() / TICK.as_millis()) as usize;
    let (begin, end) = match look {
        Look::Busy => (format!("{} ", SPINNER[tick % SPINNER.len()]), format!("  {time}")),
        Look::Total => ("  ".to_owned(), format!("  {time}")),
        Look::Plain => (String::new(), String::new()),
    };
    let room = columns.saturating_sub(begin.width() + end.width());
    fit(&format!("{begin}{}{end}", text.within(room)), columns)
}

/// `text` cut so that it takes `columns` of a terminal at most.
pub fn fit(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut room = columns.saturating_sub(1);
    for character in text.chars() {
        let width = character.width().unwrap_or(0);
        if width > room {
            break;
        }
        room -= width;
        out.push(character);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// `text` in lines of `columns` at most, broken between words.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().filter(|last| !last.is_empty() && last.width() + 1 + word.width() <= columns);
        match last {
            Some(last) => {
                let _ = write!(last, " {word}");
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// How many columns the terminal has now.
pub fn columns() -> usize {
    size().0
}

/// How many columns and rows the terminal has now.
pub fn size() -> (usize, usize) {
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (COLUMNS, 24),
    }
}

/// A terminal that does not echo what is typed while there are bars: an echoed `^C` or end of line moves the cursor, and
/// then bars are drawn beside themselves.
#[derive(Debug, Default)]
pub struct Quiet {
    bars: usize,
    before: Option<Termios>,
}

impl Quiet {
    pub fn has_bars(&self) -> bool {
        self.bars > 0
    }

    fn begin(&mut self) {
        self.bars += 1;
        let terminal = io::stderr();
        // One in the background that changed the terminal would be stopped.
        let foreground = tcgetpgrp(&terminal).is_ok_and(|group| group == rustix::process::getpgrp());
        if self.bars > 1 || !foreground {
            return;
        }
        let Ok(before) = tcgetattr(&terminal) else { return };
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        if tcsetattr(&terminal, OptionalActions::Now, &quiet).is_ok() {
            self.before = Some(before);
        }
    }

    /// Gives whether that was the last bar.
    fn end(&mut self) -> bool {
        self.bars = self.bars.saturating_sub(1);
        if self.bars == 0 {
            self.restore();
        }
        self.bars == 0
    }

    /// Lets the terminal echo again, if it did.
    pub fn restore(&mut self) {
        if let Some(before) = self.before.take() {
            let _ = tcsetattr(io::stderr(), OptionalActions::Now, &before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bar_is_wider_than_the_terminal() {
        let texts = [
            "+ Connect  AWS::Lambda::Function  creating".to_owned(),
            format!("+ {}  AWS::Lambda::Function  creating", "Long".repeat(60)),
            "聊天".repeat(80),
            "e\u{301}🎉".repeat(90),
            String::new(),
        ];
        for columns in [0, 1, 2, 5, 13, 60, 80, 120, 200] {
            for text in &texts {
                for look in [Look::Busy, Look::Total, Look::Plain] {
                    for seconds in [0, 59, 60, 86_400] {
                        let text = Text { state: "creating".to_owned(), ..Text::from(text.as_str()) };
                        let line = layout(look, &text, Duration::from_secs(seconds), columns);
                        assert!(line.width() <= columns, "{columns}: {line}");
                    }
                }
            }
        }
        let text = |what: &str| {
            let [details, state] = ["AWS::Lambda::Function", "creating"].map(str::to_owned);
            Text { what: what.to_owned(), details, state }
        };
        for (what, columns, expected) in [
            ("+ Connect   ", 60, "+ Connect     AWS::Lambda::Function  creating"),
            ("+ Connect   ", 40, "+ Connect  creating"),
            ("+ ConnectWithAName", 20, "+ Connect…  creating"),
        ] {
            assert_eq!(text(what).within(columns), expected);
        }
        let line = layout(Look::Busy, &texts[1].as_str().into(), Duration::from_secs(75), 60);
        assert!(line.ends_with("…  1m 15s") && line.width() == 60, "{line}");
        assert_eq!(layout(Look::Total, &"3 of 9 done".into(), Duration::ZERO, 60), "  3 of 9 done  0s");
    }

    #[test]
    fn words_are_wrapped_between_words() {
        assert_eq!(wrapped("one two  three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrapped("unbreakable it", 4), ["unbreakable", "it"]);
        assert!(wrapped("", 4).is_empty());
    }
}
