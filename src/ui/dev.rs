//! The line at the bottom of the terminal, while `wschat dev` runs.

use super::Ui;
use super::bar::{Bar, Text};

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
    /// What is being asked, and the answer as far as it is typed; nothing else is shown then.
    pub prompt: Option<(String, String)>,
    /// What is being done, or was done last: `SendMessage updated in 0.18 s`.
    pub now: String,
    /// What to connect to.
    pub uri: String,
    /// How many sockets are open, where that is known.
    pub sockets: Option<usize>,
}

impl StatusLine {
    fn text(&self) -> Text {
        if let Some((question, typed)) = &self.prompt {
            return Text { typed: typed.clone(), ..Text::from(question.as_str()) };
        }
        let sockets = match self.sockets {
            None => String::new(),
            Some(1) => "1 socket  ".to_owned(),
            Some(count) => format!("{count} sockets  "),
        };
        let state = format!("{sockets}? help");
        Text { what: self.now.clone(), details: self.uri.clone(), state, ..Text::default() }
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
        let asked = StatusLine { prompt: Some(("Delete it? (y/n)".to_owned(), String::new())), ..line };
        assert_eq!(asked.text().within(60), "Delete it? (y/n)");
    }
}
