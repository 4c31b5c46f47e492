//! What is kept of objects: their content in files, and what is known of it in a database, in the order of their keys.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::content::Content;
use super::error;
use crate::local::context::clock::now_millis;
use crate::local::lock::lock;
use crate::local::protocol::wire::ApiError;

/// Sorts after every character that follows a prefix in a key.
const LAST: char = '\u{10ffff}';

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS objects (
        bucket TEXT, key TEXT, file TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL,
        attributes TEXT NOT NULL, PRIMARY KEY (bucket, key)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS uploads (
        id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, begun INTEGER NOT NULL, attributes TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS parts (
        upload TEXT, number INTEGER, file TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL,
        attributes TEXT NOT NULL, PRIMARY KEY (upload, number)
    ) WITHOUT ROWID;
";

/// The objects of all buckets.
#[derive(Debug)]
pub struct Objects {
    database: Mutex<Connection>,
    folder: PathBuf,
}

/// One object, or one part of an upload.
#[derive(Debug, Clone)]
pub struct Object {
    /// Empty for a part.
    pub key: String,
    /// The name of its file.
    pub file: String,
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// Milliseconds since the epoch.
    pub modified: i64,
    pub attributes: Attributes,
}

/// What clients say of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// Headers that it is given out with: `content-type`, `cache-control`.
    pub headers: BTreeMap<String, String>,
    /// `x-amz-meta-*`, without that.
    pub metadata: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    /// Its algorithm and value; of an upload, the algorithm.
    pub checksum: Option<(String, String)>,
    /// Whether the checksum is one of the checksums of parts.
    pub is_composite: bool,
    /// How many parts it was uploaded in.
    pub parts: Option<usize>,
}

/// An upload in parts.
#[derive(Debug, Clone)]
pub struct Upload {
    pub id: String,
    pub key: String,
    pub begun: i64,
    pub attributes: Attributes,
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    pub prefix: String,
    pub delimiter: String,
    /// What comes up to this one was listed before.
    pub after: String,
    pub most: usize,
}

/// A page of a list.
#[derive(Debug, Default)]
pub struct Page {
    pub objects: Vec<Object>,
    /// What keys have in common up to the delimiter.
    pub prefixes: Vec<String>,
    /// Where the next page begins, if there is one: the last key or prefix of this one.
    pub next: Option<String>,
}

impl Object {
    /// An object of content that came just now.
    pub fn new(key: &str, file: String, content: &Content, attributes: Attributes) -> Self {
        Self {
            key: key.to_owned(),
            file,
            size: content.size,
            etag: hex::encode(content.md5),
            modified: now_millis(),
            attributes,
        }
    }

    fn of_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let attributes: String = row.get("attributes")?;
        let size: i64 = row.get("size")?;
        Ok(Self {
            key: row.get("key")?,
            file: row.get("file")?,
            size: size.unsigned_abs(),
            etag: row.get("etag")?,
            modified: row.get("modified")?,
            attributes: serde_json::from_str(&attributes).unwrap_or_default(),
        })
    }
}

impl Upload {
    fn of_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let attributes: String = row.get("attributes")?;
        Ok(Self {
            id: row.get("id")?,
            key: row.get("key")?,
            begun: row.get("begun")?,
            attributes: serde_json::from_str(&attributes).unwrap_or_default(),
        })
    }
}

fn text(attributes: &Attributes) -> Result<String, ApiError> {
    serde_json::to_string(attributes).map_err(error::broken)
}

fn find(database: &Connection, bucket: &str, key: &str) -> Result<Option<Object>, ApiError> {
    let mut select =
        database.prepare_cached("SELECT * FROM objects WHERE bucket = ? AND key = ?").map_err(error::broken)?;
    select.query_row(params![bucket, key], Object::of_row).optional().map_err(error::broken)
}

fn number(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

impl Objects {
    /// Opens the database and the folder of the files, and creates them where they are missing. Files that nothing names, of a
    /// process that was killed, are removed.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub fn open(database: &Path, folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let connection = Connection::open(database).and_then(|connection| {
            connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")?;
            connection.execute_batch(TABLES)?;
            Ok(connection)
        });
        let objects = Self { database: Mutex::new(connection.map_err(io::Error::other)?), folder };
        objects.remove_strays()?;
        Ok(objects)
    }

    fn remove_strays(&self) -> io::Result<()> {
        let named: std::collections::HashSet<String> = {
            let database = lock(&self.database);
            let over = "DELETE FROM parts WHERE upload NOT IN (SELECT id FROM uploads)";
            database.execute(over, []).map_err(io::Error::other)?;
            let mut select =
                database.prepare("SELECT file FROM objects UNION SELECT file FROM parts").map_err(io::Error::other)?;
            let files = select.query_map([], |row| row.get(0)).map_err(io::Error::other)?;
            files.collect::<rusqlite::Result<_>>().map_err(io::Error::other)?
        };
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !named.contains(&*entry.file_name().to_string_lossy()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The folder of the files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn path(&self, object: &Object) -> PathBuf {
        self.folder.join(&object.file)
    }

    /// A name for a new file.
    pub fn new_name() -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }

    fn forget(&self, files: impl IntoIterator<Item = String>) {
        for file in files {
            if let Err(error) = fs::remove_file(self.folder.join(&file)) {
                tracing::warn!("{file} of S3 is not removed: {error}");
            }
        }
    }

    /// Keeps an object in place of the one that has its key, if `allowed` lets it take that one's place. Nothing comes in between.
    ///
    /// # Errors
    /// What `allowed` says; a database that cannot be written.
    pub fn put(
        &self,
        bucket: &str,
        object: &Object,
        allowed: impl FnOnce(Option<&Object>) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let attributes = text(&object.attributes)?;
        let old = {
            let database = lock(&self.database);
            let old = find(&database, bucket, &object.key)?;
            allowed(old.as_ref())?;
            let sql = "INSERT OR REPLACE INTO objects (bucket, key, file, size, etag, modified, attributes) VALUES (?, ?, ?, ?, ?, ?, ?)";
            let values =
                params![bucket, object.key, object.file, number(object.size), object.etag, object.modified, attributes];
            database.execute(sql, values).map_err(error::broken)?;
            old
        };
        self.forget(old.map(|old| old.file));
        Ok(())
    }

    /// Gives an object other tags, and gives it. Its content stays, whatever else happens to it meanwhile.
    ///
    /// # Errors
    /// What `allowed` says; `NoSuchKey`; a database that cannot be written.
    pub fn retag(
        &self,
        bucket: &str,
        key: &str,
        tags: BTreeMap<String, String>,
        allowed: impl FnOnce(&Object) -> Result<(), ApiError>,
    ) -> Result<Object, ApiError> {
        let database = lock(&self.database);
        let mut object = find(&database, bucket, key)?.ok_or_else(|| error::no_key(key))?;
        allowed(&object)?;
        object.attributes.tags = tags;
        let sql = "UPDATE objects SET attributes = ? WHERE bucket = ? AND key = ?";
        database.execute(sql, params![text(&object.attributes)?, bucket, key]).map_err(error::broken)?;
        Ok(object)
    }

    /// An object.
    ///
    /// # Errors
    /// `NoSuchKey`; a database that cannot be read.
    pub fn get(&self, bucket: &str, key: &str) -> Result<Object, ApiError> {
        find(&lock(&self.database), bucket, key)?.ok_or_else(|| error::no_key(key))
    }

    /// An object and its content, which can be read to its end even if the object is replaced or deleted meanwhile.
    ///
    /// # Errors
    /// `NoSuchKey`; a database or a file that cannot be read.
    pub fn open_object(&self, bucket: &str, key: &str) -> Result<(Object, File), ApiError> {
        // A file is removed after the database has forgotten it, so one that it names while it is locked is there.
        let database = lock(&self.database);
        let object = find(&database, bucket, key)?.ok_or_else(|| error::no_key(key))?;
        let file = File::open(self.path(&object)).map_err(error::broken)?;
        Ok((object, file))
    }

    /// Deletes an object, if `allowed` lets it go; `None` where there is none.
    ///
    /// # Errors
    /// What `allowed` says; a database that cannot be written.
    pub fn delete(
        &self,
        bucket: &str,
        key: &str,
        allowed: impl FnOnce(Option<&Object>) -> Result<(), ApiError>,
    ) -> Result<Option<Object>, ApiError> {
        let gone = {
            let database = lock(&self.database);
            let gone = find(&database, bucket, key)?;
            allowed(gone.as_ref())?;
            let sql = "DELETE FROM objects WHERE bucket = ? AND key = ?";
            database.execute(sql, params![bucket, key]).map_err(error::broken)?;
            gone
        };
        self.forget(gone.iter().map(|object| object.file.clone()));
        Ok(gone)
    }

    /// Whether a bucket has no object.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn is_empty(&self, bucket: &str) -> Result<bool, ApiError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = ?)";
        let has: bool = lock(&self.database).query_row(sql, [bucket], |row| row.get(0)).map_err(error::broken)?;
        Ok(!has)
    }

    /// Deletes all that a bucket had which is gone: its uploads, and what came while it was deleted.
    ///
    /// # Errors
    /// A database that cannot be written.
    pub fn forget_bucket(&self, bucket: &str) -> Result<(), ApiError> {
        let mut files: Vec<String> = Vec::new();
        {
            let database = lock(&self.database);
            let of_parts = "DELETE FROM parts WHERE upload IN (SELECT id FROM uploads WHERE bucket = ?) RETURNING file";
            let of_objects = "DELETE FROM objects WHERE bucket = ? RETURNING file";
            for sql in [of_parts, of_objects] {
                let mut delete = database.prepare(sql).map_err(error::broken)?;
                let gone = delete.query_map([bucket], |row| row.get(0)).map_err(error::broken)?;
                files.extend(gone.collect::<rusqlite::Result<Vec<String>>>().map_err(error::broken)?);
            }
            database.execute("DELETE FROM uploads WHERE bucket = ?", [bucket]).map_err(error::broken)?;
        }
        self.forget(files);
        Ok(())
    }

    /// A page of a bucket's objects, in the order of their keys' bytes.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn list(&self, bucket: &str, listing: &Listing) -> Result<Page, ApiError> {
        let Listing { prefix, delimiter, after, most } = listing;
        let database = lock(&self.database);
        let sql = "SELECT * FROM objects WHERE bucket = ?1 AND key > ?2 AND key >= ?3 AND key < ?4 ORDER BY key";
        let mut select = database.prepare_cached(sql).map_err(error::broken)?;
        let end = format!("{prefix}{LAST}");
        let common = |key: &str| {
            let rest = key.strip_prefix(prefix.as_str())?;
            let at = rest.find(delimiter.as_str()).filter(|_| !delimiter.is_empty())?;
            Some(key[..prefix.len() + at + delimiter.len()].to_owned())
        };
        let mut page = Page::default();
        // All keys of a prefix that was listed come before this.
        let mut from = match common(after) {
            Some(listed) if listed == *after => format!("{listed}{LAST}"),
            _ => after.clone(),
        };
        let mut last = None;
        loop {
            let mut rows = select.query(params![bucket, from, prefix, end]).map_err(error::broken)?;
            // Of what has a prefix in common, only the first is read.
            let mut skips = false;
            while let Some(row) = rows.next().map_err(error::broken)? {
                if page.objects.len() + page.prefixes.len() == *most {
                    page.next = last;
                    return Ok(page);
                }
                let object = Object::of_row(row).map_err(error::broken)?;
                if let Some(shared) = common(&object.key) {
                    last = Some(shared.clone());
                    from = format!("{shared}{LAST}");
                    page.prefixes.push(shared);
                    skips = true;
                    break;
                }
                last = Some(object.key.clone());
                page.objects.push(object);
            }
            if !skips {
                return Ok(page);
            }
        }
    }

    /// Begins an upload in parts, and gives its id.
    ///
    /// # Errors
    /// A database that cannot be written.
    pub fn begin(&self, bucket: &str, key: &str, attributes: &Attributes) -> Result<String, ApiError> {
        let id = Self::new_name();
        let sql = "INSERT INTO uploads (id, bucket, key, begun, attributes) VALUES (?, ?, ?, ?, ?)";
        let values = params![id, bucket, key, now_millis(), text(attributes)?];
        lock(&self.database).execute(sql, values).map_err(error::broken)?;
        Ok(id)
    }

    /// An upload that goes on.
    ///
    /// # Errors
    /// `NoSuchUpload`; a database that cannot be read.
    pub fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload, ApiError> {
        let sql = "SELECT * FROM uploads WHERE id = ? AND bucket = ? AND key = ?";
        let found = lock(&self.database).query_row(sql, params![id, bucket, key], Upload::of_row).optional();
        found.map_err(error::broken)?.ok_or_else(|| error::no_upload(id))
    }

    /// The uploads of a bucket that go on.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn uploads(&self, bucket: &str) -> Result<Vec<Upload>, ApiError> {
        let database = lock(&self.database);
        let mut select = database
            .prepare_cached("SELECT * FROM uploads WHERE bucket = ? ORDER BY key, begun")
            .map_err(error::broken)?;
        select.query_map([bucket], Upload::of_row).and_then(Iterator::collect).map_err(error::broken)
    }

    /// Keeps a part in place of the one that has its number.
    ///
    /// # Errors
    /// `NoSuchUpload` for one that was ended meanwhile; a database that cannot be written.
    pub fn put_part(&self, upload: &str, number_of_part: u32, part: &Object) -> Result<(), ApiError> {
        let attributes = text(&part.attributes)?;
        let old = {
            let database = lock(&self.database);
            let goes_on: bool = database
                .query_row("SELECT EXISTS (SELECT 1 FROM uploads WHERE id = ?)", [upload], |row| row.get(0))
                .map_err(error::broken)?;
            if !goes_on {
                return Err(error::no_upload(upload));
            }
            let old: Option<String> = database
                .query_row(
                    "SELECT file FROM parts WHERE upload = ? AND number = ?",
                    params![upload, number_of_part],
                    |row| row.get(0),
                )
                .optional()
                .map_err(error::broken)?;
            let sql = "INSERT OR REPLACE INTO parts (upload, number, file, size, etag, modified, attributes) VALUES (?, ?, ?, ?, ?, ?, ?)";
            let values =
                params![upload, number_of_part, part.file, number(part.size), part.etag, part.modified, attributes];
            database.execute(sql, values).map_err(error::broken)?;
            old
        };
        self.forget(old);
        Ok(())
    }

    /// The parts of an upload by their numbers.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn parts(&self, upload: &str) -> Result<BTreeMap<u32, Object>, ApiError> {
        let database = lock(&self.database);
        let sql = "SELECT *, '' AS key FROM parts WHERE upload = ?";
        let mut select = database.prepare_cached(sql).map_err(error::broken)?;
        let rows = select.query_map([upload], |row| Ok((row.get("number")?, Object::of_row(row)?)));
        rows.and_then(Iterator::collect).map_err(error::broken)
    }

    /// Ends an upload, and removes its parts.
    ///
    /// # Errors
    /// A database that cannot be written.
    pub fn end(&self, upload: &str) -> Result<(), ApiError> {
        let files: Vec<String> = {
            let database = lock(&self.database);
            database.execute("DELETE FROM uploads WHERE id = ?", [upload]).map_err(error::broken)?;
            let mut delete =
                database.prepare("DELETE FROM parts WHERE upload = ? RETURNING file").map_err(error::broken)?;
            delete.query_map([upload], |row| row.get(0)).and_then(Iterator::collect).map_err(error::broken)?
        };
        self.forget(files);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(folder: &Path) -> Objects {
        Objects::open(&folder.join("s3.sqlite"), folder.join("s3-objects")).unwrap()
    }

    fn put(objects: &Objects, key: &str) {
        let file = Objects::new_name();
        fs::write(objects.folder().join(&file), key).unwrap();
        let content = Content { size: key.len() as u64, md5: [0; 16], checksum: None };
        objects.put("b", &Object::new(key, file, &content, Attributes::default()), |_| Ok(())).unwrap();
    }

    #[test]
    fn lists_have_pages_and_common_prefixes() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path());
        for key in ["a/1", "a/2", "a/b/3", "b", "c/4", "d", "ü/5", "z"] {
            put(&objects, key);
        }
        let page = |prefix: &str, delimiter: &str, most: usize| {
            let mut all = Vec::new();
            let mut after = String::new();
            loop {
                let listing =
                    Listing { prefix: prefix.to_owned(), delimiter: delimiter.to_owned(), after: after.clone(), most };
                let page = objects.list("b", &listing).unwrap();
                assert!(page.objects.len() + page.prefixes.len() <= most);
                all.extend(page.objects.into_iter().map(|object| object.key));
                all.extend(page.prefixes.into_iter().map(|prefix| format!("{prefix}*")));
                match page.next {
                    Some(next) => after = next,
                    None => break,
                }
            }
            all.sort();
            all.join(" ")
        };
        for most in [1, 2, 3, 100] {
            assert_eq!(page("", "", most), "a/1 a/2 a/b/3 b c/4 d z ü/5", "{most}");
            assert_eq!(page("", "/", most), "a/* b c/* d z ü/*", "{most}");
            assert_eq!(page("a/", "/", most), "a/1 a/2 a/b/*", "{most}");
            assert_eq!(page("a", "", most), "a/1 a/2 a/b/3", "{most}");
            assert_eq!(page("x", "/", most), "", "{most}");
        }
    }

    #[test]
    fn what_nothing_names_is_removed_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let first = objects(folder.path());
        put(&first, "k");
        put(&first, "k");
        fs::write(first.folder().join("stray"), "x").unwrap();
        drop(first);
        let second = objects(folder.path());
        let kept = second.get("b", "k").unwrap();
        assert_eq!(fs::read_to_string(second.path(&kept)).unwrap(), "k");
        assert_eq!(fs::read_dir(second.folder()).unwrap().count(), 1);
        assert!(!second.is_empty("b").unwrap());
        let delete = || second.delete("b", "k", |_| Ok(())).unwrap();
        assert_eq!(delete().map(|gone| gone.size), Some(1));
        assert!(second.is_empty("b").unwrap() && delete().is_none());
        assert_eq!(fs::read_dir(second.folder()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_decided_by_the_old_object_is_decided_once() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path());
        let only_new =
            |old: Option<&Object>| if old.is_some() { Err(error::precondition("If-None-Match")) } else { Ok(()) };
        let won: usize = std::thread::scope(|scope| {
            let one = |_| {
                scope.spawn(|| {
                    let file = Objects::new_name();
                    fs::write(objects.folder().join(&file), "x").unwrap();
                    let content = Content { size: 1, md5: [0; 16], checksum: None };
                    objects.put("b", &Object::new("lock", file, &content, Attributes::default()), only_new).is_ok()
                })
            };
            let all: Vec<_> = (0..8).map(one).collect();
            all.into_iter().map(|one| usize::from(one.join().unwrap())).sum()
        });
        assert_eq!(won, 1);
    }

    #[test]
    fn tags_never_bring_old_content_back() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path());
        put(&objects, "k");
        let done = std::sync::atomic::AtomicBool::new(false);
        let is_done = || done.load(std::sync::atomic::Ordering::Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..200).for_each(|_| put(&objects, "k"));
                done.store(true, std::sync::atomic::Ordering::Relaxed);
            });
            scope.spawn(|| {
                while !is_done() {
                    objects.retag("b", "k", [("a".to_owned(), "b".to_owned())].into(), |_| Ok(())).unwrap();
                }
            });
            scope.spawn(|| {
                while !is_done() {
                    objects.open_object("b", "k").unwrap();
                }
            });
        });
        let (object, _) = objects.open_object("b", "k").unwrap();
        assert_eq!(fs::read_to_string(objects.path(&object)).unwrap(), "k");
    }

    #[test]
    fn a_part_of_an_upload_that_was_aborted_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path());
        let id = objects.begin("b", "k", &Attributes::default()).unwrap();
        let content = Content { size: 0, md5: [0; 16], checksum: None };
        let part = Object::new("", Objects::new_name(), &content, Attributes::default());
        objects.put_part(&id, 1, &part).unwrap();
        objects.end(&id).unwrap();
        assert_eq!(objects.put_part(&id, 1, &part).unwrap_err().code, "NoSuchUpload");
        assert!(objects.parts(&id).unwrap().is_empty());
    }
}
