//! How long the records of streams are kept: 24 hours, and not longer than their stream. The engine keeps them for ever, and looks
//! through all of them at each write.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::Connection;

use crate::local::lock::lock;

/// How long a record is kept, in seconds. (Developer guide, "Change data capture for DynamoDB Streams".)
const KEPT: i64 = 24 * 60 * 60;

/// How long the engine's own writes are waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The engine's table of stream records, in the file of one region.
pub struct StreamRecords {
    connection: Mutex<Connection>,
}

impl StreamRecords {
    /// Opens the file, which the engine has opened before.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // The engine reads by table and number. (Sequence numbers are texts.)
        connection.execute_batch(
            "CREATE INDEX IF NOT EXISTS wschat_stream_records ON _stream_records (table_name, CAST(sequence_number AS INTEGER))",
        )?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Removes what is older than 24 hours at `now`, in milliseconds since the epoch.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove_old(&self, now: i64) -> rusqlite::Result<()> {
        let oldest = now / 1000 - KEPT;
        lock(&self.connection).execute("DELETE FROM _stream_records WHERE created_at < ?1", [oldest])?;
        Ok(())
    }

    /// Removes the records of a table that were written before `before`, in milliseconds since the epoch: those of another table
    /// with this name, or of another stream of this one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove_of_table(&self, table: &str, before: i64) -> rusqlite::Result<()> {
        let number = first_number(before);
        let sql = "DELETE FROM _stream_records WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) < ?2";
        lock(&self.connection).execute(sql, rusqlite::params![table, number])?;
        Ok(())
    }
}

/// The least number that a record written at a time, in milliseconds since the epoch, can have: the engine counts on from the time
/// in microseconds.
pub fn first_number(time: i64) -> i64 {
    time.saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;

    /// Writes a record of a table at a time, in milliseconds since the epoch.
    fn write(records: &StreamRecords, table: &str, time: i64) {
        let sql =
            "INSERT INTO _stream_records (table_name, event_name, keys_json, sequence_number, shard_id, created_at)
                   VALUES (?1, 'INSERT', '{}', ?2, 's', ?3)";
        let values = rusqlite::params![table, first_number(time).to_string(), time / 1000];
        lock(&records.connection).execute(sql, values).unwrap();
    }

    /// The tables of all records, in the order of their writing.
    fn tables(records: &StreamRecords) -> String {
        let connection = lock(&records.connection);
        let mut found = connection.prepare("SELECT table_name FROM _stream_records ORDER BY id").unwrap();
        let rows = found.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn records_go_after_a_day_and_with_their_stream() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tables.sqlite");
        let _engine = dynoxide::Database::new(&path.to_string_lossy()).unwrap();
        let records = StreamRecords::open(&path).unwrap();
        let now = 100 * DAY;
        for (table, age) in [("a", DAY + 1000), ("b", DAY - 1000), ("c", 1000), ("b", 0)] {
            write(&records, table, now - age);
        }
        records.remove_old(now).unwrap();
        assert_eq!(tables(&records), "bcb");
        records.remove_of_table("b", now).unwrap();
        assert_eq!(tables(&records), "cb");
    }
}
