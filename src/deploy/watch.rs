//! Which files were saved: what the system reports of folders, gathered until an editor is done, without what it reports
//! although nothing has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long nothing must have been reported until a save is over: editors write several files one after the other.
const QUIET: Duration = Duration::from_millis(20);

/// How long is waited for that: a checkout of another branch reports for seconds, and what follows is reported again.
const LONGEST: Duration = Duration::from_millis(500);

/// Larger files are compared by size and time instead of their content.
const MAX_HASHED: u64 = 4 << 20;

/// Why saved files would not be noticed.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error("the system's limit of watched folders is reached, so changes in some are not noticed")]
    Limit,
    #[error("{} cannot be watched: {why}", folder.display())]
    Folder { folder: PathBuf, why: String },
    #[error("files cannot be watched: {0}")]
    System(String),
}

impl WatchError {
    /// What to do about it.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Limit => {
                Some("raise it: sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512")
            }
            Self::Folder { .. } | Self::System(_) => None,
        }
    }
}

/// What was saved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// Absolute paths: written, created, removed or renamed.
    pub paths: BTreeSet<PathBuf>,
    /// Whether folders came or went, so that others may have to be watched.
    pub folders: bool,
    /// Whether the system has lost reports: anything may have changed.
    pub anything: bool,
    /// When the first of it was reported.
    pub at: Option<Instant>,
}

impl Saved {
    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.anything
    }

    /// Adds what was saved later.
    pub fn add(&mut self, later: Self) {
        self.paths.extend(later.paths);
        self.folders |= later.folders;
        self.anything |= later.anything;
        self.at = self.at.or(later.at);
    }
}

/// Watches folders, each without those in it.
pub struct Watcher {
    watcher: RecommendedWatcher,
    reports: mpsc::UnboundedReceiver<notify::Result<Event>>,
    watched: BTreeSet<PathBuf>,
    /// What files were when they were last reported, so that a report without a change is none. As many as were ever saved.
    known: BTreeMap<PathBuf, State>,
    /// The files that this process writes its output to: with every line they would be saved.
    outputs: Vec<(u64, u64)>,
}

/// What a file is, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Absent,
    Folder,
    File { content: [u8; 32], executable: bool },
    Large { size: u64, modified: u128 },
}

impl Watcher {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// When the system has no watches left.
    pub fn new() -> Result<Self, WatchError> {
        let (reporter, reports) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |report| drop(reporter.send(report)))
            .map_err(|error| of_system(&error))?;
        let outputs = ["/dev/stdout", "/dev/stderr"].iter().filter_map(|path| identity(Path::new(path))).collect();
        Ok(Self { watcher, reports, watched: BTreeSet::new(), known: BTreeMap::new(), outputs })
    }

    /// Watches these folders and no others. With `again`, those that are watched already, too: one may have been removed and
    /// created in between.
    ///
    /// # Errors
    /// The first folder that cannot be watched; the others are.
    pub fn watch(&mut self, folders: BTreeSet<PathBuf>, again: bool) -> Result<(), WatchError> {
        for gone in self.watched.difference(&folders) {
            // It may not exist any more.
            let _ = self.watcher.unwatch(gone);
        }
        let mut failed = None;
        for folder in &folders {
            if !again && self.watched.contains(folder) {
                continue;
            }
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive)
                && folder.is_dir()
            {
                failed.get_or_insert(of_folder(folder, &error));
            }
        }
        self.watched = folders;
        failed.map_or(Ok(()), Err)
    }

    /// Waits until something was saved, and until the save is over. Cancel safe but for what was gathered so far, which is
    /// given the next time.
    ///
    /// # Errors
    /// When nothing is watched any more.
    pub async fn saved(&mut self, pending: &mut Saved) -> Result<Saved, WatchError> {
        loop {
            if pending.is_empty() {
                let report = self.reports.recv().await;
                self.take(report.ok_or_else(|| WatchError::System("the watcher has ended".to_owned()))?, pending)?;
                continue;
            }
            let begun = Instant::now();
            while begun.elapsed() < LONGEST
                && let Ok(Some(report)) = tokio::time::timeout(QUIET, self.reports.recv()).await
            {
                self.take(report, pending)?;
            }
            let mut saved = std::mem::take(pending);
            saved.paths.retain(|path| self.is_news(path));
            if !saved.is_empty() {
                return Ok(saved);
            }
        }
    }

    /// Takes a file as it is for known: that it was written is no news.
    pub fn note(&mut self, path: &Path) {
        self.known.insert(path.to_owned(), State::of(path));
    }

    fn take(&self, report: notify::Result<Event>, saved: &mut Saved) -> Result<(), WatchError> {
        let event = match report {
            Ok(event) => event,
            Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => return Ok(()),
            Err(error) => return Err(of_system(&error)),
        };
        if event.need_rescan() {
            saved.anything = true;
            saved.folders = true;
        }
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
            EventKind::Access(_) => return Ok(()),
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                saved.folders |= event.paths.iter().any(|path| path.is_dir() || self.watched.contains(path));
            }
            EventKind::Any | EventKind::Modify(_) | EventKind::Other => {}
        }
        // A folder that reports of itself (its attributes) has not changed.
        let is_attribute = matches!(event.kind, EventKind::Modify(ModifyKind::Metadata(_)));
        saved.paths.extend(event.paths.into_iter().filter(|path| !is_attribute || !path.is_dir()));
        if !saved.is_empty() {
            saved.at.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Whether a path is another one than when it was last reported.
    fn is_news(&mut self, path: &Path) -> bool {
        if identity(path).is_some_and(|identity| self.outputs.contains(&identity)) {
            return false;
        }
        let state = State::of(path);
        let before = self.known.insert(path.to_owned(), state.clone());
        state == State::Folder || before.as_ref() != Some(&state)
    }
}

impl State {
    fn of(path: &Path) -> Self {
        let Ok(metadata) = fs::metadata(path) else { return Self::Absent };
        if metadata.is_dir() {
            return Self::Folder;
        }
        let modified =
            metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        let large = Self::Large { size: metadata.len(), modified: modified.as_nanos() };
        if metadata.len() > MAX_HASHED || !metadata.is_file() {
            return large;
        }
        match fs::read(path) {
            Ok(content) => Self::File { content: Sha256::digest(content).into(), executable: is_executable(&metadata) },
            Err(_) => large,
        }
    }
}

/// What tells a file apart from all others, whatever it is called.
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

fn of_system(error: &notify::Error) -> WatchError {
    match limit(error) {
        true => WatchError::Limit,
        false => WatchError::System(error.to_string()),
    }
}

fn of_folder(folder: &Path, error: &notify::Error) -> WatchError {
    match limit(error) {
        true => WatchError::Limit,
        false => WatchError::Folder { folder: folder.to_owned(), why: error.to_string() },
    }
}

fn limit(error: &notify::Error) -> bool {
    /// EMFILE: too many instances of inotify.
    const TOO_MANY_OPEN_FILES: i32 = 24;
    match &error.kind {
        ErrorKind::MaxFilesWatch => true,
        ErrorKind::Io(error) => error.raw_os_error() == Some(TOO_MANY_OPEN_FILES),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn saved(watcher: &mut Watcher) -> BTreeSet<PathBuf> {
        let patience = Duration::from_secs(30);
        tokio::time::timeout(patience, watcher.saved(&mut Saved::default())).await.unwrap().unwrap().paths
    }

    #[tokio::test]
    async fn a_save_is_reported_once_and_only_if_it_changes_something() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let (file, other) = (root.join("index.js"), root.join("other.js"));
        fs::write(&file, "one").unwrap();
        let mut watcher = Watcher::new().unwrap();
        watcher.watch([root.clone()].into(), false).unwrap();
        fs::write(&file, "two").unwrap();
        assert!(saved(&mut watcher).await.contains(&file));
        // The same content again, and then something else: only that is reported.
        fs::write(&file, "two").unwrap();
        fs::write(&other, "new").unwrap();
        assert_eq!(saved(&mut watcher).await, [other.clone()].into());
        // Written beside and renamed, as editors do.
        let temporary = root.join("index.js___jb_tmp___");
        fs::write(&temporary, "three").unwrap();
        fs::rename(&temporary, &file).unwrap();
        assert!(saved(&mut watcher).await.contains(&file));
        fs::remove_file(&file).unwrap();
        assert!(saved(&mut watcher).await.contains(&file));
    }

    #[tokio::test]
    async fn a_folder_that_was_created_again_is_watched_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let inner = root.join("inner");
        fs::create_dir(&inner).unwrap();
        let mut watcher = Watcher::new().unwrap();
        let folders: BTreeSet<PathBuf> = [root.clone(), inner.clone()].into();
        watcher.watch(folders.clone(), false).unwrap();
        fs::remove_dir(&inner).unwrap();
        fs::create_dir(&inner).unwrap();
        let mut pending = Saved::default();
        while !saved(&mut watcher).await.contains(&inner) {}
        watcher.watch(folders, true).unwrap();
        fs::write(inner.join("x"), "x").unwrap();
        let patience = Duration::from_secs(30);
        let found = tokio::time::timeout(patience, async {
            loop {
                let saved = watcher.saved(&mut pending).await.unwrap();
                if saved.paths.contains(&inner.join("x")) {
                    return;
                }
            }
        });
        found.await.unwrap();
    }
}
