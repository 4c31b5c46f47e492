//! The call log: one JSON line for every answered call (`calls.jsonl` in the data folder). Tests assert on it that nothing
//! was changed, and `wschat local logs --calls` shows it.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use crate::local::context::store::Store;
use crate::local::lock::lock;

/// The file's name in the data folder.
pub const FILE: &str = "calls.jsonl";

/// The size in bytes above which the log is rotated when the server starts.
pub const ROTATE_ABOVE: u64 = 16 << 20;

/// One call and the outcome of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedCall {
    /// When the request had arrived: RFC 3339, UTC, milliseconds.
    pub at: String,
    /// Milliseconds until the answer was ready.
    pub ms: u64,
    /// `lambda`, `apigatewayv2`, …; empty where no served service matches the request.
    pub service: Cow<'static, str>,
    /// `CreateFunction`; empty where the service knows no such operation.
    pub operation: Cow<'static, str>,
    pub region: String,
    pub access_key: Option<String>,
    pub status: u16,
    /// The error code, where the answer is an error.
    pub code: Option<String>,
    pub request_id: String,
    /// Whether the operation can change anything; true for an unknown one.
    pub mutating: bool,
}

/// Appends to the file.
#[derive(Debug)]
pub struct CallLog {
    file: Mutex<File>,
}

impl CallLog {
    /// Opens the log of a data folder.
    ///
    /// # Errors
    /// When the file cannot be opened or rotated.
    pub fn open(store: &Store) -> io::Result<Self> {
        let path = store.path(FILE);
        rotate(&path)?;
        Ok(Self { file: Mutex::new(File::options().append(true).create(true).open(path)?) })
    }

    /// Writes one line, before the answer is sent, so that a client that has the answer finds the call in the log.
    pub fn record(&self, call: &LoggedCall) {
        let line = serde_json::to_vec(call).map(|mut line| {
            line.push(b'\n');
            line
        });
        let written = line.map_err(io::Error::from).and_then(|line| lock(&self.file).write_all(&line));
        if let Err(error) = written {
            tracing::warn!("the call log cannot be written: {error}");
        }
    }
}

/// Renames a file above [`ROTATE_ABOVE`] to `NAME.1`, replacing the previous one.
///
/// # Errors
/// When the file cannot be moved.
pub fn rotate(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(file) if file.len() > ROTATE_ABOVE => {
            let mut aside = path.as_os_str().to_owned();
            aside.push(".1");
            fs::rename(path, aside)
        }
        _ => Ok(()),
    }
}

/// A time as the log writes it: `2026-11-22T19:50:28.123Z`.
pub fn timestamp(at: OffsetDateTime) -> String {
    const FORMAT: &[FormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    at.to_offset(time::UtcOffset::UTC).format(FORMAT).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: &'static str, mutating: bool) -> LoggedCall {
        LoggedCall {
            at: timestamp(OffsetDateTime::UNIX_EPOCH),
            ms: 3,
            service: "lambda".into(),
            operation: operation.into(),
            region: "us-east-1".to_owned(),
            access_key: Some("AKID".to_owned()),
            status: 201,
            code: None,
            request_id: "1".to_owned(),
            mutating,
        }
    }

    #[test]
    fn a_call_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let calls = [call("CreateFunction", true), call("GetFunction", false)];
        // A reopened log is appended to.
        for call in &calls {
            CallLog::open(&store).unwrap().record(call);
        }
        let text = fs::read_to_string(store.path(FILE)).unwrap();
        assert!(text.starts_with(r#"{"at":"1970-01-01T00:00:00.000Z","ms":3,"service":"lambda","#), "{text}");
        let read: Vec<LoggedCall> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, calls);
    }

    #[test]
    fn a_long_log_is_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let long = File::create(store.path(FILE)).unwrap();
        long.set_len(ROTATE_ABOVE).unwrap();
        CallLog::open(&store).unwrap();
        assert_eq!(fs::metadata(store.path(FILE)).unwrap().len(), ROTATE_ABOVE);
        long.set_len(ROTATE_ABOVE + 1).unwrap();
        CallLog::open(&store).unwrap();
        assert_eq!(fs::metadata(store.path(FILE)).unwrap().len(), 0);
        assert_eq!(fs::metadata(store.path("calls.jsonl.1")).unwrap().len(), ROTATE_ABOVE + 1);
    }
}
