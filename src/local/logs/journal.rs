//! The file of one log group: a line of JSON for everything that happened to its streams, only ever appended to.
//!
//! In memory stays what lists of streams show; events are read from the file when they are asked for. A process that
//! is killed while it writes leaves at most one torn line at the end, which is cut off when the file is next opened.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::seams::LogEvent;
use super::super::store::write_atomically;

/// A group's file and what is known of its streams.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    path: PathBuf,
    /// The number of the next event.
    next: u64,
    pub streams: BTreeMap<String, Stream>,
}

/// What lists of streams show; times are milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    pub created: i64,
    pub first_event: Option<i64>,
    pub last_event: Option<i64>,
    pub last_ingestion: Option<i64>,
    /// Of its messages, counted as CloudWatch counts: 26 for each event beside its text.
    pub bytes: u64,
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub stream: String,
    /// Counts up through the group.
    pub number: u64,
    /// When it happened, as its sender says.
    pub timestamp: i64,
    /// When it was received.
    pub ingested: i64,
    pub message: String,
}

/// Where an event stands among those of its group: by its time, then in the order received.
pub type Position = (i64, u64);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Created { stream: String, at: i64 },
    Deleted { stream: String },
    Event(Event),
}

impl Event {
    pub fn position(&self) -> Position {
        (self.timestamp, self.number)
    }
}

impl Journal {
    /// Opens a group's file, if it is there: cuts off a torn last line, and drops what happened before `expired`.
    ///
    /// # Errors
    /// When the file cannot be read or mended.
    pub fn open(path: PathBuf, expired: i64) -> io::Result<Self> {
        let mut journal = Self { path, ..Self::default() };
        let whole = match fs::read(&journal.path) {
            Ok(bytes) => bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1) as u64,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(journal),
            Err(error) => return Err(error),
        };
        OpenOptions::new().write(true).open(&journal.path)?.set_len(whole)?;
        let mut dropped = false;
        let mut kept = Vec::new();
        for line in lines(&journal.path)? {
            if let Line::Event(event) = &line {
                journal.next = journal.next.max(event.number + 1);
                if event.timestamp < expired {
                    dropped = true;
                    continue;
                }
            }
            journal.note(&line);
            kept.push(line);
        }
        if dropped {
            write_atomically(&journal.path, &written(&kept)?)?;
        }
        Ok(journal)
    }

    /// Adds an empty stream.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create_stream(&mut self, stream: &str, at: i64) -> io::Result<()> {
        self.write(&[Line::Created { stream: stream.to_owned(), at }])
    }

    /// Removes a stream with its events.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn delete_stream(&mut self, stream: &str) -> io::Result<()> {
        self.write(&[Line::Deleted { stream: stream.to_owned() }])
    }

    /// Adds events to a stream, making it where it is missing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, stream: &str, events: Vec<LogEvent>, now: i64) -> io::Result<()> {
        let mut lines = Vec::with_capacity(events.len() + 1);
        if !self.streams.contains_key(stream) {
            lines.push(Line::Created { stream: stream.to_owned(), at: now });
        }
        for event in events {
            let LogEvent { timestamp, message } = event;
            lines.push(Line::Event(Event {
                stream: stream.to_owned(),
                number: self.next,
                timestamp,
                ingested: now,
                message,
            }));
            self.next += 1;
        }
        self.write(&lines)
    }

    /// Where the events can be read from, without holding whatever guards the journal.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn write(&mut self, lines: &[Line]) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let bytes = written(lines)?;
        OpenOptions::new().create(true).append(true).open(&self.path)?.write_all(&bytes)?;
        for line in lines {
            self.note(line);
        }
        Ok(())
    }

    /// Keeps in mind what a line says of its stream.
    fn note(&mut self, line: &Line) {
        match line {
            Line::Created { stream, at } => {
                self.streams.insert(stream.clone(), Stream { created: *at, ..Stream::default() });
            }
            Line::Deleted { stream } => {
                self.streams.remove(stream);
            }
            Line::Event(event) => {
                let stream = self.streams.entry(event.stream.clone()).or_default();
                let first = stream.first_event.map_or(event.timestamp, |first| first.min(event.timestamp));
                stream.first_event = Some(first);
                stream.last_event = stream.last_event.max(Some(event.timestamp));
                stream.last_ingestion = stream.last_ingestion.max(Some(event.ingested));
                stream.bytes += event.message.len() as u64 + 26;
            }
        }
    }
}

/// The events in a group's file that are `wanted`, in the order of their positions.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn read(path: &Path, wanted: impl Fn(&Event) -> bool) -> io::Result<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    for line in lines(path)? {
        match line {
            Line::Event(event) if wanted(&event) => events.push(event),
            Line::Deleted { stream } => events.retain(|event| event.stream != stream),
            _ => {}
        }
    }
    events.sort_by_key(Event::position);
    Ok(events)
}

/// The lines of a file; one that is still being written, or is damaged, is passed over.
fn lines(path: &Path) -> io::Result<impl Iterator<Item = Line> + use<>> {
    let reader: Box<dyn BufRead> = match File::open(path) {
        Ok(file) => Box::new(BufReader::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Box::new(io::empty()),
        Err(error) => return Err(error),
    };
    Ok(reader.split(b'\n').map_while(Result::ok).filter_map(|line| serde_json::from_slice(&line).ok()))
}

fn written(lines: &[Line]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(timestamp: i64, message: &str) -> LogEvent {
        LogEvent { timestamp, message: message.to_owned() }
    }

    fn messages(path: &Path) -> Vec<String> {
        read(path, |_| true).unwrap().into_iter().map(|event| event.message).collect()
    }

    #[test]
    fn a_torn_last_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.jsonl");
        let mut journal = Journal::open(path.clone(), 0).unwrap();
        journal.append("s", vec![event(1, "one"), event(2, "two")], 5).unwrap();
        let whole = fs::read(&path).unwrap();
        for torn in 1..whole.len() {
            fs::write(&path, &whole[..torn]).unwrap();
            let mut journal = Journal::open(path.clone(), 0).unwrap();
            let before = messages(&path).len();
            journal.append("s", vec![event(3, "three")], 6).unwrap();
            assert_eq!(messages(&path).len(), before + 1, "cut at {torn}");
        }
    }

    #[test]
    fn streams_are_as_they_were_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.jsonl");
        let mut journal = Journal::open(path.clone(), 0).unwrap();
        journal.append("old", vec![event(1, "x")], 1).unwrap();
        journal.delete_stream("old").unwrap();
        journal.create_stream("empty", 2).unwrap();
        journal.append("s", vec![event(9, "later"), event(4, "earlier")], 10).unwrap();
        let again = Journal::open(path.clone(), 0).unwrap();
        assert_eq!(again.streams, journal.streams);
        assert_eq!(again.next, journal.next);
        assert_eq!((again.streams["s"].first_event, again.streams["s"].last_event), (Some(4), Some(9)));
        assert_eq!(messages(&path), ["earlier", "later"]);
    }

    #[test]
    fn what_is_expired_is_dropped_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.jsonl");
        let mut journal = Journal::open(path.clone(), 0).unwrap();
        journal.append("s", vec![event(9, "kept"), event(1, "expired")], 10).unwrap();
        let journal = Journal::open(path.clone(), 5).unwrap();
        assert_eq!(messages(&path), ["kept"]);
        assert_eq!(journal.next, 2);
    }
}
