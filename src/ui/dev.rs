//! What `wschat dev` shows: the line at the bottom, and functions' logs above it, a colour a function.

use std::collections::BTreeMap;

use super::bar::{Bar, Text};
use super::{Ui, printable};
use crate::core::logs::{Item, Level};
use crate::deploy::logs::Entry;

/// The colours of functions (SGR), none of which is that of errors or warnings.
const COLOURS: &[&str] = &["36", "35", "34", "32", "96", "95", "94", "92"];

/// The line at the bottom of the terminal; removed when dropped.
#[derive(Debug)]
pub struct Status(Bar);

impl Status {
    /// Shows it.
    pub fn show(ui: &Ui, line: &StatusLine) -> Self {
        Self(Bar::footer(ui, &line.text()))
    }

    /// Changes it.
    pub fn set(&self, line: &StatusLine) {
        self.0.set(&line.text());
    }
}

/// What the line at the bottom says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusLine {
    /// What is being asked or typed; nothing else is shown then.
    pub prompt: Option<String>,
    /// What is being done, or was done last: `SendMessage updated in 0.18 s`.
    pub now: String,
    /// What to connect to.
    pub uri: String,
    /// How many sockets are open, where that is known.
    pub sockets: Option<usize>,
}

impl StatusLine {
    fn text(&self) -> Text {
        if let Some(prompt) = &self.prompt {
            return prompt.as_str().into();
        }
        let sockets = match self.sockets {
            None => String::new(),
            Some(1) => "1 socket  ".to_owned(),
            Some(count) => format!("{count} sockets  "),
        };
        Text { what: self.now.clone(), details: self.uri.clone(), state: format!("{sockets}? help") }
    }
}

/// The names of functions before their lines, each with its colour.
#[derive(Debug, Clone, Default)]
pub struct Names {
    colours: BTreeMap<String, usize>,
    width: usize,
}

impl Names {
    /// Adds functions; each keeps its colour.
    pub fn add<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) {
        for name in names {
            let next = self.colours.len();
            self.colours.entry(name.clone()).or_insert(next);
            self.width = self.width.max(name.chars().count());
        }
    }

    /// A line of a function, with its name.
    pub fn line(&self, name: &str, text: &str, colour: bool) -> String {
        let width = self.width;
        match self.colours.get(name).filter(|_| colour) {
            Some(index) => format!("\x1b[{}m{name:width$}\x1b[0m  {text}", COLOURS[index % COLOURS.len()]),
            None => format!("{name:width$}  {text}"),
        }
    }
}

impl Names {
    /// What is shown of a log entry, a line each: what handlers print, and failures with what to do about them. Lambda's own
    /// lines are left out.
    pub fn entry(&self, entry: &Entry, colour: bool) -> Vec<String> {
        let red = |text: String| if colour { format!("\x1b[31m{text}\x1b[0m") } else { text };
        let texts: Vec<String> = match &entry.item {
            Item::Output(output) => {
                let is_error = output.level >= Some(Level::Error);
                let lines = output.text.lines().map(printable::line);
                let lines = lines.map(|line| if is_error { red(line) } else { line });
                lines.chain(output.help.iter().map(|help| format!("  {}", printable::line(help)))).collect()
            }
            Item::Failure(failure) => {
                let message = failure.message.lines().map(printable::line).collect::<Vec<_>>();
                let first = message.first().map(String::as_str).unwrap_or_default();
                let head = red(format!("✗ {}: {first}", printable::line(&failure.error_type)));
                let rest = message.iter().skip(1).map(|line| format!("  {line}"));
                let stack = failure.stack.iter().take(5).map(|frame| format!("  at {}", printable::line(&frame.place())));
                let help = (!failure.help.is_empty()).then(|| format!("  {}", printable::line(&failure.help)));
                std::iter::once(head).chain(rest).chain(stack).chain(help).collect()
            }
            Item::Platform(_) => Vec::new(),
        };
        texts.iter().map(|text| self.line(&entry.function, text, colour)).collect()
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn the_line_at_the_bottom_fits_and_keeps_what_matters() {
        let line = StatusLine {
            prompt: None,
            now: "SendMessage updated in 0.18 s".to_owned(),
            uri: "ws://localhost:4579/16g2fl513s/production".to_owned(),
            sockets: Some(2),
        };
        let within = |columns: usize| line.text().within(columns);
        let full = "SendMessage updated in 0.18 s  ws://localhost:4579/16g2fl513s/production  2 sockets  ? help";
        assert_eq!(within(100), full);
        assert_eq!(within(80), "SendMessage updated in 0.18 s  2 sockets  ? help");
        assert_eq!(within(60), "SendMessage updated in 0.18 s  2 sockets  ? help");
        assert!(within(30).width() <= 30);
        let asked = StatusLine { prompt: Some("Delete it? (y/n)".to_owned()), ..line };
        assert_eq!(asked.text().within(60), "Delete it? (y/n)");
    }

    #[test]
    fn a_function_keeps_its_colour() {
        let mut names = Names::default();
        names.add(&["Connect".to_owned(), "SendMessage".to_owned()]);
        let before = names.line("Connect", "hi", true);
        names.add(&["Another".to_owned(), "Connect".to_owned()]);
        assert_eq!(names.line("Connect", "hi", true), before);
        assert_eq!(names.line("Connect", "hi", false), "Connect      hi");
    }
}
