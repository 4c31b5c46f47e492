//! `wschat logs`: what the functions of a stack log, and why clients get errors.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use regex_lite::Regex;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, UtcOffset};

use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{list, project, target};
use crate::aws::client::{Aws, Meaning};
use crate::aws::providers::Search;
use crate::core::logs::Item;
use crate::core::types::Owner;
use crate::deploy::logs::{Entry, LogsError, Sources};
use crate::machine::clock;
use crate::ui::Ui;
use crate::ui::event::{Event, Logs};
use crate::ui::logs::Printer;

/// Show what the functions log, and why an invocation failed or a client got an error
///
/// Failures are shown with their place in your files and with what to do. The exit code is 3 when the stack
/// or the function does not exist.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these functions, by logical id or physical name [default: all]
    #[arg(value_name = "FUNCTION")]
    functions: Vec<String>,
    #[command(flatten)]
    target: target::Args,
    #[command(flatten)]
    project: project::Args,
    /// Keep showing what is added, until interrupted
    #[arg(long, short)]
    follow: bool,
    /// Begin this long ago (30s, 10m, 2h, 3d), or at a time (2026-11-29, "2026-11-29 14:30", 2026-11-29T14:30:00Z)
    #[arg(long, value_name = "TIME", default_value = "10m")]
    since: String,
    /// Only entries whose text matches this regular expression
    #[arg(long, value_name = "PATTERN")]
    grep: Option<Regex>,
    /// Only what belongs to this connection
    #[arg(long, value_name = "ID")]
    connection: Option<String>,
    /// Only what belongs to this route, such as '$connect' or sendmessage
    #[arg(long, value_name = "KEY")]
    route: Option<String>,
    /// Only failures, and output at the level of errors
    #[arg(long)]
    errors: bool,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        let offset = clock::local_offset();
        let since = since(&self.since, SystemTime::now(), offset).ok_or_else(|| {
            CommandError::new(format!("--since {}: this is neither a duration nor a time", self.since))
                .advice("give one like 30s, 10m, 2h, 3d, 2026-11-29, \"2026-11-29 14:30\" or 2026-11-29T14:30:00Z")
                .exits(Exit::Usage)
        })?;
        self.target.require_local_cloud()?;
        // Only for the names of folders: logs are read although the template may be wrong.
        let project = if self.project.exists() { Some(self.project.read(self.target.named())?) } else { None };
        let mut session = self.target.session(ui).await?;
        let scope = session.identify().await?.clone();
        let stack = project.as_ref().and_then(|project| project.stack(&scope).ok());
        if let (Some(project), Some(_)) = (&project, &stack) {
            ui.hide(&project.secrets());
        }
        let folders = project.as_ref().zip(stack.as_ref()).map(|(project, stack)| project.code_folders(stack));
        let live = session.read(Search::default()).await?;
        if !live.iter().any(|one| one.owner == Owner::Stack) {
            return Err(list::no_stack(&self.target, &scope, ui).await);
        }
        let mut sources = Sources::of(&live, &folders.unwrap_or_default(), self.target.is_local());
        sources.only(&self.functions).map_err(|unknown| {
            let error = CommandError::new(unknown.to_string()).exits(Exit::NotThere);
            match (&unknown.nearest, unknown.known.as_slice()) {
                (_, []) => error.advice("it has no functions"),
                (Some(near), _) => error.advice(format!("did you mean {near}?")),
                (None, known) => error.advice(format!("its functions: {}", known.join(", "))),
            }
        })?;
        if (self.route.is_some() || self.connection.is_some()) && !sources.knows_connections() {
            let what = "--route and --connection need an access log in JSON, and no stage of this stack has one";
            return Err(CommandError::new(what).advice(
                "give the stage AccessLogSettings as in docs/commands/logs.md (Routes and connections on AWS)",
            ));
        }
        let printer = Printer::new(ui, sources.functions(), offset);
        let aws = Arc::clone(session.aws());
        let shown = if self.follow {
            self.follow(sources, aws, since, &printer, ui).await?
        } else {
            let entries = sources.read(&aws, since).await.map_err(|error| unreadable(error, &aws))?;
            let shown = self.show(&entries, &printer, ui);
            if shown == 0 && !ui.is_json() {
                let filters = self.grep.is_some() || self.connection.is_some() || self.route.is_some() || self.errors;
                let what = if filters { "Nothing that matches" } else { "Nothing" };
                ui.say(format_args!("{what} was logged since {}.", self.since_in_words()));
            }
            shown
        };
        let (stack, account, region) = (scope.stack, scope.account, scope.region);
        Ok(Exit::Ok.with(Event::Logs(Logs { stack, account, region, events: shown })))
    }

    async fn follow(
        &self,
        sources: Sources,
        aws: Arc<Aws>,
        since: i64,
        printer: &Printer,
        ui: &Ui,
    ) -> Result<usize, CommandError> {
        let mut entries = sources.follow(Arc::clone(&aws), since);
        let mut shown = 0;
        while let Some(batch) = entries.recv().await {
            shown += self.show(&batch.map_err(|error| unreadable(error, &aws))?, printer, ui);
            // Who reads has enough.
            if ui.is_closed() {
                break;
            }
        }
        Ok(shown)
    }

    /// Prints the entries that are asked for; returns how many.
    fn show(&self, entries: &[Entry], printer: &Printer, ui: &Ui) -> usize {
        let wanted = entries.iter().filter(|entry| self.wants(entry));
        wanted.take_while(|_| !ui.is_closed()).map(|entry| printer.print(entry)).count()
    }

    fn wants(&self, entry: &Entry) -> bool {
        entry.is_shown()
            && (!self.errors || entry.is_error())
            && self.route.as_ref().is_none_or(|route| entry.route.as_ref() == Some(route))
            && self.connection.as_ref().is_none_or(|id| entry.connection.as_ref() == Some(id))
            && self.grep.as_ref().is_none_or(|pattern| matches(pattern, entry))
    }

    /// The beginning, for a sentence.
    fn since_in_words(&self) -> String {
        match self.since.parse::<f64>().is_err()
            && self.since.starts_with(|c: char| c.is_ascii_digit())
            && !self.since.contains('-')
        {
            true => format!("{} ago", self.since),
            false => self.since.clone(),
        }
    }
}

/// Whether an entry's text matches: that of a failure with its name and its frames, but no report.
fn matches(pattern: &Regex, entry: &Entry) -> bool {
    match &entry.item {
        Item::Output(output) => pattern.is_match(&output.text),
        Item::Failure(failure) => {
            pattern.is_match(&failure.message)
                || pattern.is_match(&failure.error_type)
                || failure.stack.iter().any(|frame| pattern.is_match(&frame.place()))
        }
        Item::Platform(_) => false,
    }
}

fn unreadable(error: LogsError, aws: &Aws) -> CommandError {
    let denied = error.error.is(Meaning::Denied);
    let caller = aws.caller().to_owned();
    let error = CommandError::from(error);
    if denied { error.advice(format!("`logs` needs logs:FilterLogEvents on the group, for {caller}")) } else { error }
}

/// The beginning in milliseconds since the epoch. A time without a zone is local; `offset` is that of the local time in seconds.
fn since(text: &str, now: SystemTime, offset: i32) -> Option<i64> {
    let text = text.trim();
    let now = i64::try_from(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).ok()?;
    if let Some(duration) = duration(text) {
        return Some(now.saturating_sub(i64::try_from(duration.as_millis()).ok()?));
    }
    let offset = UtcOffset::from_whole_seconds(offset).ok()?;
    let spaced = text.replacen('T', " ", 1);
    let minutes = format_description!("[year]-[month]-[day] [hour]:[minute]");
    let seconds = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let local = || {
        let time = PrimitiveDateTime::parse(&spaced, &seconds).or_else(|_| PrimitiveDateTime::parse(&spaced, &minutes));
        let day = || Date::parse(text, &format_description!("[year]-[month]-[day]")).ok().map(Date::midnight);
        time.ok().or_else(day).map(|time| time.assume_offset(offset))
    };
    let time = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(local)?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

/// `90s`, `10m`, `2h`, `3d`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back().filter(char::is_ascii)?;
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_duration_or_a_time() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let table = [
            ("10m", Some(999_400_000)),
            ("2h", Some(992_800_000)),
            ("1970-01-02", Some(82_800_000)),
            ("1970-01-02 01:00", Some(86_400_000)),
            ("1970-01-02T01:00:30", Some(86_430_000)),
            ("1970-01-02T00:00:00Z", Some(86_400_000)),
            ("1970-01-02T00:00:00+02:00", Some(79_200_000)),
            ("10", None),
            ("m", None),
            ("", None),
            ("yesterday", None),
            ("99999999999999999999d", None),
            ("10é", None),
        ];
        for (text, expected) in table {
            assert_eq!(since(text, now, 3600), expected, "{text}");
        }
    }
}
