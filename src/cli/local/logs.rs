use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::error::CommandError;
use crate::cli::exit::{Ended, Exit};
use crate::local::daemon::process;
use crate::local::server::call_log::{self, LoggedCall};
use crate::ui::Ui;
use crate::ui::event::{Event, LocalCall};

/// Show the local cloud's own log, or the calls it answered
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show the AWS calls it answered, instead of its log
    #[arg(long)]
    calls: bool,
    /// Go on showing what is added, until interrupted
    #[arg(long, short)]
    follow: bool,
}

impl Args {
    pub async fn run(self, data: &Path, ui: &Ui) -> Result<Ended, CommandError> {
        let mut tail = Tail::of(data.join(if self.calls { call_log::FILE } else { process::LOG }));
        loop {
            for line in tail.next_lines()? {
                match (ui.is_json(), self.calls) {
                    (false, false) => ui.line(line),
                    (false, true) => ui.line(show(&line)),
                    (true, false) => ui.event(&Event::LocalLog { line }),
                    (true, true) => call(&line).into_iter().for_each(|call| ui.event(&Event::LocalCall(call))),
                }
            }
            if !self.follow {
                return Ok(Exit::Ok.with(Event::LocalLogs {}));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// One call as a line for people; a line that is not a call stays as it is.
fn show(line: &str) -> String {
    let Ok(call) = serde_json::from_str::<LoggedCall>(line) else { return line.to_owned() };
    let name = format!("{}.{}", call.service, call.operation);
    let code = call.code.unwrap_or_default();
    let shown = format!("{}  {}  {:>6} ms  {:<10}  {name}  {code}", call.at, call.status, call.ms, call.region);
    shown.trim_end().to_owned()
}

/// A line as a call, for programs. The key that signed it is left out: it is what callers need.
fn call(line: &str) -> Option<LocalCall> {
    let call: LoggedCall = serde_json::from_str(line).ok()?;
    Some(LocalCall {
        at: call.at,
        milliseconds: call.ms,
        service: call.service.into_owned(),
        operation: call.operation.into_owned(),
        region: call.region,
        status: call.status,
        code: call.code,
        request_id: call.request_id,
        mutating: call.mutating,
    })
}

/// Reads whole lines of a growing file. It may not exist yet, and it may be rotated.
struct Tail {
    path: PathBuf,
    read: u64,
}

impl Tail {
    fn of(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// The lines completed since the last call.
    fn next_lines(&mut self) -> io::Result<Vec<String>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < self.read {
            self.read = 0;
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut added = Vec::new();
        file.read_to_end(&mut added)?;
        added.truncate(added.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1));
        self.read += added.len() as u64;
        Ok(String::from_utf8_lossy(&added).lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_tail_returns_whole_lines_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut tail = Tail::of(path.clone());
        assert!(tail.next_lines().unwrap().is_empty());
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(tail.next_lines().unwrap(), ["one", "two"]);
        assert!(tail.next_lines().unwrap().is_empty());
        file.write_all(b"ee\n").unwrap();
        assert_eq!(tail.next_lines().unwrap(), ["three"]);
        fs::write(&path, "anew\n").unwrap();
        assert_eq!(tail.next_lines().unwrap(), ["anew"]);
    }

    #[test]
    fn a_call_is_shown_as_a_line() {
        let line = r#"{"at":"2026-11-22T19:50:28.123Z","ms":3,"service":"lambda","operation":"CreateFunction",
            "region":"eu-west-1","access_key":null,"status":409,"code":"ResourceConflictException","request_id":"1",
            "mutating":true}"#;
        assert_eq!(
            show(line),
            "2026-11-22T19:50:28.123Z  409       3 ms  eu-west-1   lambda.CreateFunction  ResourceConflictException"
        );
        assert_eq!(show("not a call"), "not a call");
    }
}
