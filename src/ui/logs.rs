//! The logs of a stack's functions, for people and as events.

use time::format_description::FormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use unicode_width::UnicodeWidthStr;

use super::{Ui, bar, event, wrap};
use crate::core::logs::{Failure, Item, Level, Platform, Report};
use crate::deploy::logs::Entry;

/// The colours of functions, as codes of ANSI: none that stands for something else.
const COLOURS: &[u8] = &[36, 35, 34, 32, 96, 95, 94, 92];

/// Terminals below this width get an entry's text below its time and function.
const NARROW: usize = 70;

/// Prints entries.
#[derive(Debug)]
pub struct Printer {
    ui: Ui,
    /// The functions, in the order of their colours.
    functions: Vec<String>,
    width: usize,
    offset: UtcOffset,
    colour: bool,
    narrow: bool,
}

impl Printer {
    /// For these functions. `offset` is that of the local time in seconds.
    pub fn new<'a>(ui: &Ui, functions: impl Iterator<Item = &'a str>, offset: i32) -> Self {
        let functions: Vec<String> = functions.map(str::to_owned).collect();
        Self {
            width: functions.iter().map(|name| name.width()).max().unwrap_or(0),
            functions,
            offset: UtcOffset::from_whole_seconds(offset).unwrap_or(UtcOffset::UTC),
            colour: ui.colour_of_result(),
            narrow: bar::columns() < NARROW,
            ui: ui.clone(),
        }
    }

    /// Prints an entry: as an event where stdout is for that.
    pub fn print(&self, entry: &Entry) {
        if self.ui.is_json() {
            self.ui.event(&event::Event::Log(published(entry)));
        } else {
            self.ui.coloured_line(wrap::wrapped(&self.text(entry), self.ui.columns_of_result()));
        }
    }

    fn text(&self, entry: &Entry) -> String {
        const TIME: &[FormatItem<'_>] = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
        let time = at(entry.time).to_offset(self.offset).format(TIME).unwrap_or_default();
        let index = self.functions.iter().position(|name| *name == entry.function);
        let colour = index.map_or(31, |index| COLOURS[index % COLOURS.len()]);
        let pad = " ".repeat(self.width.saturating_sub(entry.function.width()));
        let head = format!("{} {}{pad}", self.paint(2, &time), self.paint(colour, &entry.function));
        let body = self.body(entry);
        let mut lines = body.lines();
        let first = if self.narrow { "" } else { lines.next().unwrap_or_default() };
        let mut text = format!("{head}  {first}").trim_end().to_owned();
        let indent = if self.narrow { "  " } else { "    " };
        for line in lines {
            text.push_str(&format!("\n{indent}{line}"));
        }
        text
    }

    fn body(&self, entry: &Entry) -> String {
        let route = entry.route.as_ref().map(|route| format!("{route}  ")).unwrap_or_default();
        match &entry.item {
            Item::Output(output) => {
                let text = &output.text;
                let level = output.level.filter(|level| *level != Level::Info);
                let text = match level {
                    Some(level) => format!("{} {text}", self.paint(level_colour(level), level.as_str())),
                    None => text.clone(),
                };
                let help = output.help.as_ref().map(|help| format!("\n{}", self.help(help))).unwrap_or_default();
                format!("{}{text}{help}", self.paint(2, &route))
            }
            Item::Failure(failure) => self.failure(entry, failure),
            Item::Platform(Platform::Report(report)) => self.paint(2, &format!("{route}{}", duration(report))),
            Item::Platform(platform) => self.paint(2, &format!("{platform:?}")),
        }
    }

    fn failure(&self, entry: &Entry, failure: &Failure) -> String {
        let mut text = self.paint(31, &format!("✗ {}: {}", failure.kind.noun(), failure.error_type));
        let connection = entry.connection.as_ref().map(|id| format!("connection {id}"));
        let whose: Vec<&str> = [entry.route.as_deref(), connection.as_deref()].into_iter().flatten().collect();
        if !whose.is_empty() {
            text.push_str(&format!(" ({})", whose.join(", ")));
        }
        for line in failure.message.lines() {
            text.push_str(&format!("\n{line}"));
        }
        for frame in &failure.stack {
            let function = frame.function.as_ref().map(|name| format!("  {name}")).unwrap_or_default();
            text.push_str(&format!("\n  at {}{function}", frame.place()));
            if let Some(source) = &frame.source {
                text.push_str(&format!("\n     {source}"));
            }
        }
        if !failure.help.is_empty() {
            text.push_str(&format!("\n{}", self.help(&failure.help)));
        }
        text
    }

    fn help(&self, help: &str) -> String {
        self.paint(1, &format!("-> {help}"))
    }

    /// A text in a colour or style.
    fn paint(&self, code: u8, text: &str) -> String {
        // Several lines are painted one by one: other text may stand before each.
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let lines: Vec<String> = text.lines().map(|line| format!("\u{1b}[{code}m{line}\u{1b}[0m")).collect();
        lines.join("\n")
    }
}

fn level_colour(level: Level) -> u8 {
    match level {
        Level::Error | Level::Fatal => 31,
        Level::Warn => 33,
        Level::Trace | Level::Debug | Level::Info => 2,
    }
}

/// `12.3 ms, 68 of 128 MB, start 172 ms`
fn duration(report: &Report) -> String {
    let mut parts = vec![format!("{:.1} ms", report.duration)];
    parts.extend(report.memory_used.map(|used| format!("{used} of {} MB", report.memory)));
    parts.extend(report.init_duration.map(|init| format!("start {init:.0} ms")));
    parts.join(", ")
}

fn at(milliseconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// An entry as it is printed for programs.
fn published(entry: &Entry) -> event::Log {
    const TIME: &[FormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let mut log = event::Log {
        time: at(entry.time).format(TIME).unwrap_or_default(),
        function: entry.function.clone(),
        stream: entry.stream.clone(),
        route: entry.route.clone(),
        connection: entry.connection.clone(),
        request_id: entry.item.request_id().map(str::to_owned),
        what: event::Logged::Output,
        level: None,
        text: String::new(),
        help: None,
        failure: None,
        report: None,
    };
    match &entry.item {
        Item::Output(output) => {
            log.level = output.level;
            log.text.clone_from(&output.text);
            log.help.clone_from(&output.help);
        }
        Item::Failure(failure) => {
            log.what = event::Logged::Failure;
            log.level = Some(Level::Error);
            log.text.clone_from(&failure.message);
            log.help = Some(failure.help.clone()).filter(|help| !help.is_empty());
            let (kind, error_type) = (failure.kind, failure.error_type.clone());
            log.failure = Some(event::LoggedFailure { kind, error_type, stack: failure.stack.clone() });
        }
        Item::Platform(Platform::Report(report)) => {
            log.what = event::Logged::Report;
            log.text = duration(report);
            log.report = Some(event::LoggedReport {
                duration_ms: report.duration,
                init_duration_ms: report.init_duration,
                memory_mb: report.memory,
                memory_used_mb: report.memory_used,
            });
        }
        Item::Platform(platform) => {
            log.what = event::Logged::Report;
            log.text = format!("{platform:?}");
        }
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::logs::{FailureKind, Output, StackFrame};

    fn printer(narrow: bool) -> Printer {
        let printer = Printer::new(&Ui::default(), ["Connect", "SendMessage"].into_iter(), 3600);
        Printer { colour: false, narrow, ..printer }
    }

    fn entry(item: Item) -> Entry {
        let (function, stream) = ("Connect".to_owned(), "s".to_owned());
        Entry {
            time: 1_000,
            function,
            stream,
            route: Some("$connect".to_owned()),
            connection: Some("C=".to_owned()),
            item,
        }
    }

    #[test]
    fn a_failure_is_shown_with_its_place_and_what_to_do() {
        let failure = Failure {
            kind: FailureKind::Exception,
            error_type: "TypeError".to_owned(),
            message: "x is not a function".to_owned(),
            stack: vec![StackFrame {
                file: "connect/index.js".to_owned(),
                line: Some(4),
                column: Some(9),
                function: Some("handler".to_owned()),
                source: None,
            }],
            request_id: None,
            help: "await the promise".to_owned(),
        };
        let entry = entry(Item::Failure(failure));
        let expected = "01:00:01.000 Connect      ✗ uncaught exception: TypeError ($connect, connection C=)\n    x is not a function\n      at connect/index.js:4:9  handler\n    -> await the promise";
        assert_eq!(printer(false).text(&entry), expected);
        assert!(printer(true).text(&entry).starts_with("01:00:01.000 Connect\n  ✗ uncaught exception: TypeError ("));
        assert_eq!(published(&entry).time, "1970-01-01T00:00:01.000Z");
    }

    #[test]
    fn output_is_shown_with_its_route_and_a_level_that_matters() {
        let text = |level, text: &str| {
            let output = Output { level, text: text.to_owned(), ..Output::default() };
            printer(false).text(&entry(Item::Output(output)))
        };
        assert_eq!(text(None, "a\nb"), "01:00:01.000 Connect      $connect  a\n    b");
        assert_eq!(text(Some(Level::Info), "a"), "01:00:01.000 Connect      $connect  a");
        assert_eq!(text(Some(Level::Warn), "a"), "01:00:01.000 Connect      $connect  WARN a");
    }
}
