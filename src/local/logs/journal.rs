//! The append-only file of one log group: one JSON line for each change of its streams and each event.
//!
//! Only what lists of streams show is kept in memory; events are read from the file on demand. A write that is interrupted
//! leaves an incomplete line, which is truncated before the next write. A file over the size limit loses its older half.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::local::context::ports::LogEvent;
use crate::local::context::store::write_atomically;

/// The size limit of a file, and how much of its end is kept when it is exceeded, in bytes.
const MAX_BYTES: u64 = 16 << 20;
const KEPT_BYTES: u64 = MAX_BYTES / 2;

/// How many streams without events are kept; the newest ones.
const MAX_EMPTY_STREAMS: usize = 10_000;

/// A group's file and the state of its streams.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    path: PathBuf,
    /// The length of the file in bytes, up to the last complete line.
    length: u64,
    /// The number of the next event.
    next: u64,
    pub streams: BTreeMap<String, Stream>,
}

/// The attributes of a stream; times are milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    pub created: i64,
    pub first_event: Option<i64>,
    pub last_event: Option<i64>,
    pub last_ingestion: Option<i64>,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub stream: String,
    /// A consecutive number within the group.
    pub number: u64,
    /// When it happened, by its sender's clock.
    pub timestamp: i64,
    /// When it was received.
    pub ingested: i64,
    pub message: String,
}

/// The order of events within their group: by time, then by the order received.
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
    /// Opens a group's file, if it exists: truncates an incomplete last line, and removes events before `expired`. Of a file over
    /// the size limit only the part to keep is read.
    ///
    /// # Errors
    /// When the file cannot be read or repaired.
    pub fn open(path: PathBuf, expired: i64) -> io::Result<Self> {
        let mut journal = Self { path, ..Self::default() };
        let mut file = match OpenOptions::new().read(true).write(true).open(&journal.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(journal),
            opened => opened?,
        };
        let length = file.metadata()?.len();
        let too_large = length > MAX_BYTES;
        let bytes = tail(&mut file, if too_large { KEPT_BYTES } else { length })?;
        journal.length = length - (bytes.len() - whole_lines(&bytes)) as u64;
        file.set_len(journal.length)?;
        let mut dropped = too_large;
        let mut kept = Vec::new();
        for line in parsed(&bytes) {
            if let Line::Event(event) = &line {
                journal.next = journal.next.max(event.number + 1);
                if event.timestamp < expired {
                    dropped = true;
                    continue;
                }
            }
            journal.apply(&line);
            kept.push(line);
        }
        if dropped {
            journal.rewrite(&kept)?;
        }
        Ok(journal)
    }

    /// How many events it has had.
    pub fn count(&self) -> u64 {
        self.next
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

    /// Adds events to a stream, and creates it where it is missing.
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

    fn write(&mut self, lines: &[Line]) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let bytes = serialized(lines)?;
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        let length = file.metadata()?.len();
        if length > self.length {
            // Removes the remains of an interrupted write.
            file.set_len(self.length)?;
        } else {
            self.length = length;
        }
        if let Err(error) = file.write_all(&bytes) {
            // If this also fails, the next write repeats it.
            let _ = file.set_len(self.length);
            return Err(error);
        }
        self.length += bytes.len() as u64;
        for line in lines {
            self.apply(line);
        }
        if self.length > MAX_BYTES
            && let Err(error) = self.shorten()
        {
            // Only a warning: the events themselves are written.
            tracing::warn!("cannot shorten {}: {error}", self.path.display());
        }
        Ok(())
    }

    /// Removes the older half of the file.
    fn shorten(&mut self) -> io::Result<()> {
        let kept: Vec<Line> = parsed(&tail(&mut File::open(&self.path)?, KEPT_BYTES)?).collect();
        self.rewrite(&kept)
    }

    /// Replaces the file by these lines, preceded by the creation of streams whose own creation line is removed.
    fn rewrite(&mut self, kept: &[Line]) -> io::Result<()> {
        let begun: BTreeSet<&String> = kept
            .iter()
            .filter_map(|line| if let Line::Created { stream, .. } = line { Some(stream) } else { None })
            .collect();
        let mut older: Vec<(&String, &Stream)> =
            self.streams.iter().filter(|(name, _)| !begun.contains(name)).collect();
        older.sort_by_key(|(_, stream)| std::cmp::Reverse(stream.last_ingestion.unwrap_or(stream.created)));
        let used: BTreeSet<&String> = kept
            .iter()
            .filter_map(|line| if let Line::Event(event) = line { Some(&event.stream) } else { None })
            .collect();
        let surviving =
            older.iter().enumerate().filter(|(place, (name, _))| *place < MAX_EMPTY_STREAMS || used.contains(name));
        let created: Vec<Line> = surviving
            .map(|(_, (name, stream))| Line::Created { stream: (*name).clone(), at: stream.created })
            .collect();
        let bytes = [serialized(&created)?, serialized(kept)?].concat();
        write_atomically(&self.path, &bytes)?;
        self.length = bytes.len() as u64;
        self.streams.clear();
        for line in created.iter().chain(kept) {
            self.apply(line);
        }
        Ok(())
    }

    /// Updates the state of a line's stream.
    fn apply(&mut self, line: &Line) {
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
            }
        }
    }
}

/// The events in a group's file for which `wanted` is true, in the order of their positions.
///
/// # Errors
/// When the file exists and cannot be read.
pub fn read(path: &Path, wanted: impl Fn(&Event) -> bool) -> io::Result<Vec<Event>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let mut events: Vec<Event> = Vec::new();
    for line in parsed(&bytes) {
        match line {
            Line::Event(event) if wanted(&event) => events.push(event),
            Line::Deleted { stream } => events.retain(|event| event.stream != stream),
            _ => {}
        }
    }
    events.sort_by_key(Event::position);
    Ok(events)
}

/// The lines in these bytes; incomplete and damaged ones are skipped.
fn parsed(bytes: &[u8]) -> impl Iterator<Item = Line> {
    bytes[..whole_lines(bytes)].split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

/// The end of the last complete line.
fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

/// The last `most` bytes of a file at most, starting at the beginning of a line.
fn tail(file: &mut File, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    file.read_to_end(&mut bytes)?;
    if length > most {
        let first = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        bytes.drain(..first);
    }
    Ok(bytes)
}

fn serialized(lines: &[Line]) -> io::Result<Vec<u8>> {
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
    fn an_incomplete_last_line_is_truncated() {
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
    fn the_remains_of_a_failed_write_do_not_damage_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.jsonl");
        let mut journal = Journal::open(path.clone(), 0).unwrap();
        journal.append("s", vec![event(1, "one")], 5).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"event\":{\"stream\":\"s\",\"num").unwrap();
        journal.append("s", vec![event(2, "two")], 6).unwrap();
        assert_eq!(messages(&path), ["one", "two"]);
        assert_eq!(messages(&path), messages(&Journal::open(path.clone(), 0).unwrap().path));
    }

    #[test]
    fn a_full_disk_is_an_error_and_earlier_events_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.jsonl");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut journal = Journal { path, ..Journal::default() };
        let error = journal.append("s", vec![event(1, "one")], 5).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(journal.streams.is_empty());
    }

    #[test]
    fn a_file_that_grows_too_large_loses_its_older_half() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.jsonl");
        let mut journal = Journal::open(path.clone(), 0).unwrap();
        journal.create_stream("by hand", 1).unwrap();
        let long = "x".repeat(1 << 18);
        for index in 0..200 {
            journal.append(&format!("s{}", index / 50), vec![event(index, &long)], index).unwrap();
            assert!(fs::metadata(&path).unwrap().len() <= MAX_BYTES + (1 << 19), "{index}");
        }
        let kept = read(&path, |_| true).unwrap();
        assert_eq!(kept.last().unwrap().number, 199);
        assert!(kept.len() >= 30, "{}", kept.len());
        assert_eq!(journal.streams.len(), 5);
        assert_eq!(journal.streams["s0"].first_event, None);
        let again = Journal::open(path, 0).unwrap();
        assert_eq!((again.next, again.length), (200, journal.length));
        assert_eq!(again.streams, journal.streams);
    }

    #[test]
    fn only_the_end_of_a_large_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.jsonl");
        let mut bytes = vec![b'?'; MAX_BYTES as usize * 2];
        bytes.push(b'\n');
        let mut journal = Journal::open(folder.path().join("other.jsonl"), 0).unwrap();
        journal.append("s", vec![event(7, "last")], 8).unwrap();
        bytes.extend(fs::read(&journal.path).unwrap());
        fs::write(&path, bytes).unwrap();
        let again = Journal::open(path.clone(), 0).unwrap();
        assert_eq!((&again.streams, again.next), (&journal.streams, 1));
        assert_eq!(fs::metadata(&path).unwrap().len(), again.length);
        assert!(again.length < 1000);
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
    fn expired_events_are_removed_and_numbers_continue() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.jsonl");
        let mut journal = Journal::open(path.clone(), 0).unwrap();
        journal.append("s", vec![event(9, "kept"), event(1, "expired")], 10).unwrap();
        let journal = Journal::open(path.clone(), 5).unwrap();
        assert_eq!(messages(&path), ["kept"]);
        assert_eq!(journal.next, 2);
    }
}
