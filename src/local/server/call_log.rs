//! The call log: one JSON line for every answered call (`calls.jsonl` in the data folder). Tests assert on it that nothing
//! was changed, and `wschat local logs --calls` shows it.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use crate::local::context::store::{Store, private};
use crate::local::lock::lock;

/// The file's name in the data folder.
pub const FILE: &str = "calls.jsonl";

/// The size in bytes above which a log is rotated.
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
    path: PathBuf,
    open: Mutex<Open>,
}

/// The open file, and its size in bytes.
#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        rotate(path)?;
        let file = private().append(true).create(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

impl CallLog {
    /// Opens the log of a data folder.
    ///
    /// # Errors
    /// When the file cannot be opened or rotated.
    pub fn open(store: &Store) -> io::Result<Self> {
        let path = store.path(FILE);
        let open = Mutex::new(Open::new(&path)?);
        Ok(Self { path, open })
    }

    /// Writes one line, before the answer is sent, so that a client that has the answer finds the call in the log.
    pub fn record(&self, call: &LoggedCall) {
        let line = serde_json::to_vec(call).map(|mut line| {
            line.push(b'\n');
            line
        });
        let written = line.map_err(io::Error::from).and_then(|line| self.append(&line));
        if let Err(error) = written {
            tracing::warn!("the call log cannot be written: {error}");
        }
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut open = lock(&self.open);
        open.file.write_all(line)?;
        open.size += line.len() as u64;
        if open.size > ROTATE_ABOVE {
            *open = Open::new(&self.path)?;
        }
        Ok(())
    }
}

/// Renames a file above [`ROTATE_ABOVE`] to `NAME.1`, replacing the previous one.
///
/// # Errors
/// When the file cannot be moved.
pub fn rotate(path: &Path) -> io::Result<()> {
    if is_long(path) { fs::rename(path, aside(path)) } else { Ok(()) }
}

/// As [`rotate`], for a file that other processes write at its end, too: it is copied and emptied, which may lose the lines that are
/// written meanwhile.
///
/// # Errors
/// When the file cannot be copied or emptied.
pub fn rotate_in_place(path: &Path) -> io::Result<()> {
    if !is_long(path) {
        return Ok(());
    }
    fs::copy(path, aside(path))?;
    File::options().write(true).open(path)?.set_len(0)
}

fn is_long(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.len() > ROTATE_ABOVE)
}

fn aside(path: &Path) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".1");
    aside.into()
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

    #[test]
    fn a_log_that_becomes_long_is_rotated_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let almost = File::create(store.path(FILE)).unwrap();
        almost.set_len(ROTATE_ABOVE).unwrap();
        let log = CallLog::open(&store).unwrap();
        log.record(&call("CreateFunction", true));
        log.record(&call("GetFunction", false));
        let text = fs::read_to_string(store.path(FILE)).unwrap();
        assert!(text.lines().count() == 1 && text.contains("GetFunction"), "{text}");
        assert!(fs::metadata(store.path("calls.jsonl.1")).unwrap().len() > ROTATE_ABOVE);
    }

    #[test]
    fn a_log_that_a_process_writes_is_emptied_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.log");
        let mut writer = File::options().append(true).create(true).open(&path).unwrap();
        writer.set_len(ROTATE_ABOVE).unwrap();
        rotate_in_place(&path).unwrap();
        writer.write_all(b"last\n").unwrap();
        rotate_in_place(&path).unwrap();
        writer.write_all(b"first\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first\n");
        assert!(fs::read(folder.path().join("local.log.1")).unwrap().ends_with(b"last\n"));
    }
}
