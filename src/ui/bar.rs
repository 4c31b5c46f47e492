//! A progress bar: a line that changes in place. It is cut to the terminal's width each time it is drawn, because a line
//! that has wrapped cannot be erased.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// The width of a terminal that does not report one.
const DEFAULT_COLUMNS: usize = 80;

/// The position of a bar, and what it shows beside its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// A running step: with a spinner and the elapsed time.
    Busy,
    /// The total: with the elapsed time.
    Total,
    /// Text alone.
    Plain,
    /// Text alone, below everything else as long as it is there.
    Footer,
}

impl Look {
    /// Whether it is the progress of something, and not text alone.
    fn counts(self) -> bool {
        matches!(self, Self::Busy | Self::Total)
    }
}

/// The text of a line. If it does not fit, the details are omitted first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    pub what: String,
    pub details: String,
    pub state: String,
    /// What is being typed, behind `what`: of one that does not fit, its end is shown.
    pub typed: String,
}

impl From<&str> for Text {
    fn from(what: &str) -> Self {
        Self { what: what.to_owned(), ..Self::default() }
    }
}

impl Text {
    /// The line, at most `columns` wide.
    pub fn within(&self, columns: usize) -> String {
        if !self.typed.is_empty() {
            let what = fit(&self.what, columns / 2);
            return format!("{what}{}", fit_end(&self.typed, columns.saturating_sub(what.width())));
        }
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
        // Both have to be cut: the state gets at most half of the line.
        let state = fit(self.state.trim_end(), columns / 2);
        let room = columns.saturating_sub(if state.is_empty() { 0 } else { state.width() + gap.len() });
        fit(&join(&[&fit(self.what.trim_end(), room), &state]), columns)
    }

    /// The same with secrets masked and control characters escaped.
    pub fn clean(&self, ui: &Ui) -> Self {
        let clean = |text: &String| printable::line(&ui.masked(text));
        Self {
            what: clean(&self.what),
            details: clean(&self.details),
            state: clean(&self.state),
            typed: clean(&self.typed),
        }
    }
}

/// One line, removed when dropped.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    text: Arc<Mutex<Text>>,
    ui: Ui,
    look: Look,
}

impl Bar {
    /// A line for a running step, above `before`; by default at the bottom.
    pub fn busy(ui: &Ui, text: &Text, before: Option<&Self>) -> Self {
        Self::new(ui, text, Look::Busy, before)
    }

    /// A line for the total.
    pub fn total(ui: &Ui, text: &str) -> Self {
        Self::new(ui, &text.into(), Look::Total, None)
    }

    /// A line of text that stays below all others.
    pub fn footer(ui: &Ui, text: &Text) -> Self {
        let bar = Self::new(ui, text, Look::Footer, None);
        *ui.shared.footer.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.bar.clone());
        bar
    }

    /// A line of text at the bottom.
    pub fn last(ui: &Ui, text: &str) -> Self {
        Self::new(ui, &text.into(), Look::Plain, None)
    }

    fn new(ui: &Ui, text: &Text, look: Look, before: Option<&Self>) -> Self {
        if look.counts() {
            ui.shared.echo.lock().unwrap_or_else(PoisonError::into_inner).begin();
        }
        let shown = Arc::new(Mutex::new(Text::default()));
        let bar = match before {
            Some(before) => ui.bars.insert_before(&before.bar, ProgressBar::new_spinner()),
            None => match &*ui.shared.footer.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(footer) => ui.bars.insert_before(footer, ProgressBar::new_spinner()),
                None => ui.bars.add(ProgressBar::new_spinner()),
            },
        };
        let own = Self { bar, text: Arc::clone(&shown), ui: ui.clone(), look };
        own.set(text);
        let (drawn, shared) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&ui.shared));
        let line = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let text = shown.lock().unwrap_or_else(PoisonError::into_inner);
            let columns = columns();
            let before = drawn.swap(columns, Ordering::Relaxed);
            let is_alone = || !shared.echo.lock().unwrap_or_else(PoisonError::into_inner).has_bars();
            if look == Look::Footer && is_alone() {
                let _ = out.write_str(&erase_wrapped(before, columns));
            }
            let _ = out.write_str(&layout(look, &text, state.elapsed(), columns));
        };
        let style = ProgressStyle::with_template("{line}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        own.bar.set_style(style.with_key("line", line));
        own.bar.enable_steady_tick(TICK);
        own
    }

    /// Changes the text.
    pub fn set(&self, text: &Text) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = text.clean(&self.ui);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.ui.bars.remove(&self.bar);
        if self.look == Look::Footer {
            *self.ui.shared.footer.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        if self.look.counts() {
            let last = self.ui.shared.echo.lock().unwrap_or_else(PoisonError::into_inner).end();
            if last {
                self.ui.clear_notice();
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
        Look::Plain | Look::Footer => (String::new(), String::new()),
    };
    let room = columns.saturating_sub(begin.width() + end.width());
    fit(&format!("{begin}{}{end}", text.within(room)), columns)
}

/// What erases the rows above the last that a line as wide as the terminal was has wrapped into since: most terminals do that
/// when they are made narrower, and the one that draws knows of the last row only.
fn erase_wrapped(before: usize, columns: usize) -> String {
    match before.div_ceil(columns.max(1)) {
        0 | 1 => String::new(),
        rows => format!("\x1b[{}A\r\x1b[J", rows - 1),
    }
}

/// The end of `text`, in a width of `columns`.
fn fit_end(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut room = columns.saturating_sub(1);
    let mut begin = text.len();
    for (at, character) in text.char_indices().rev() {
        let width = character.width().unwrap_or(0);
        if width > room {
            break;
        }
        room -= width;
        begin = at;
    }
    if columns > 0 { format!("…{}", &text[begin..]) } else { String::new() }
}

/// `text`, cut to a width of `columns`.
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

/// The terminal's current width.
pub fn columns() -> usize {
    size().0
}

/// The current width of this terminal.
pub fn columns_of(terminal: impl AsFd) -> usize {
    size_of(terminal).0
}

/// The terminal's current columns and rows.
pub fn size() -> (usize, usize) {
    size_of(io::stderr())
}

fn size_of(terminal: impl AsFd) -> (usize, usize) {
    match tcgetwinsize(terminal) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (DEFAULT_COLUMNS, 24),
    }
}

/// Turns the terminal's echo off while there are bars: an echoed `^C` or end of line would move the cursor, and bars would
/// be drawn in the wrong place.
#[derive(Debug, Default)]
pub struct EchoGuard {
    bars: usize,
    before: Option<Termios>,
    /// Whether the command is over: a task that has not ended yet may still begin a bar.
    over: bool,
}

impl EchoGuard {
    pub fn has_bars(&self) -> bool {
        self.bars > 0
    }

    fn begin(&mut self) {
        self.bars += 1;
        let terminal = io::stderr();
        // A background process that changes the terminal's settings is stopped (SIGTTOU).
        let foreground = tcgetpgrp(&terminal).is_ok_and(|group| group == rustix::process::getpgrp());
        if self.bars > 1 || !foreground || self.over {
            return;
        }
        let Ok(before) = tcgetattr(&terminal) else { return };
        // It is off already where keys are read, which restores it itself.
        if !before.local_modes.contains(LocalModes::ECHO) {
            return;
        }
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        if tcsetattr(&terminal, OptionalActions::Now, &silent).is_ok() {
            self.before = Some(before);
        }
    }

    /// Returns whether that was the last bar.
    fn end(&mut self) -> bool {
        self.bars = self.bars.saturating_sub(1);
        if self.bars == 0 {
            self.restore();
        }
        self.bars == 0
    }

    /// Restores the terminal's echo for good.
    pub fn close(&mut self) {
        self.over = true;
        self.restore();
    }

    /// Restores the terminal's echo, if it was on.
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
            Text { what: what.to_owned(), details, state, ..Text::default() }
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
    fn of_what_is_typed_the_end_is_shown() {
        let typed = |text: &str| Text { typed: text.to_owned(), ..Text::from("send> ") };
        for (text, columns, expected) in [
            ("hello_", 20, "send> hello_"),
            ("hello_", 12, "send> hello_"),
            ("hello, all_", 12, "send> … all_"),
            ("hello, 聊天_", 12, "send> …聊天_"),
            ("hello, 聊天a_", 12, "send> …天a_"),
            ("聊天", 4, "s……"),
            ("hello_", 0, ""),
        ] {
            let line = typed(text).within(columns);
            assert_eq!(line, expected, "{text} {columns}");
            assert!(line.width() <= columns);
        }
    }

    #[test]
    fn what_has_wrapped_is_erased() {
        for (before, columns, rows) in [(0, 80, 0), (80, 80, 0), (60, 80, 0), (80, 79, 1), (80, 40, 1), (80, 20, 3)] {
            let expected = if rows == 0 { String::new() } else { format!("\x1b[{rows}A\r\x1b[J") };
            assert_eq!(erase_wrapped(before, columns), expected, "{before} {columns}");
        }
    }
}
