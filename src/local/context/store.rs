//! Persistence of the local cloud: one JSON file per service, replaced atomically.
//!
//! What was saved survives a crash of the process. Nothing is synced to the disk: after a power failure the last changes may
//! be lost, and a file that was damaged by it is reported at the next start.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::local::lock::lock;
use crate::local::protocol::wire::ApiError;

/// The data folder of one local cloud (`.wschat/local`).
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens the folder, and creates it where it is missing.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path inside the folder, for data that is not one JSON document (SQLite files, function code).
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Reads what was last saved under `name`; the default where there is no file.
    ///
    /// # Errors
    /// When the file exists and cannot be read as `T`.
    pub fn load<T: DeserializeOwned + Default>(&self, name: &str) -> io::Result<T> {
        match fs::read(self.file(name)) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| damaged(&self.file(name), &error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file of `name`, which only the user can read; a crash of the process leaves the old or the new content, never a
    /// part.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save<T: Serialize>(&self, name: &str, state: &T) -> io::Result<()> {
        write_private(&self.file(name), &serde_json::to_vec(state)?)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

/// A service's state in memory and on disk.
#[derive(Debug)]
pub struct PersistedState<T> {
    store: Store,
    name: &'static str,
    unsaved: fn(io::Error) -> ApiError,
    state: RwLock<Arc<T>>,
    changing: Mutex<()>,
}

impl<T: Clone + Default + Serialize + DeserializeOwned> PersistedState<T> {
    /// Loads what was last saved under `name`. `unsaved` makes the service's error for a change that cannot be saved.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn open(store: Store, name: &'static str, unsaved: fn(io::Error) -> ApiError) -> io::Result<Self> {
        let state = RwLock::new(Arc::new(store.load(name)?));
        Ok(Self { store, name, unsaved, state, changing: Mutex::new(()) })
    }

    /// The state as it is now.
    pub fn now(&self) -> Arc<T> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads from the state.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.now())
    }

    /// Applies a change to a copy of the state, saves it, and only then publishes it: a change that fails has no effect.
    ///
    /// # Errors
    /// The change's own error, or that of a state that could not be saved.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> Result<R, ApiError>) -> Result<R, ApiError> {
        let _changing = lock(&self.changing);
        let mut next = T::clone(&self.now());
        let result = change(&mut next)?;
        self.store.save(self.name, &next).map_err(self.unsaved)?;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(result)
    }
}

/// A file whose content cannot be read any more.
#[derive(Debug, thiserror::Error)]
#[error("{} is damaged: {why}", .file.display())]
pub struct Damaged {
    pub file: PathBuf,
    pub why: String,
}

/// A [`Damaged`] error as an I/O error.
pub fn damaged(file: &Path, why: &impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Damaged { file: file.to_owned(), why: why.to_string() })
}

/// Writes a temporary file beside `path`, then renames it over `path`.
///
/// # Errors
/// When the file cannot be written or renamed.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, bytes, fs::File::options())
}

/// As [`write_atomically`], in a file that only the user can read: for keys, tokens, and whatever handlers and their clients have
/// put into the cloud.
///
/// # Errors
/// When the file cannot be written or renamed.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, bytes, private())
}

/// How a file is opened that, when it is created, only the user can read.
pub fn private() -> fs::OpenOptions {
    let mut options = fs::File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn write_with(path: &Path, bytes: &[u8], mut options: fs::OpenOptions) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    options.write(true).create(true).truncate(true).open(&beside)?.write_all(bytes)?;
    fs::rename(&beside, path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_saved_is_the_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        // A file of an older build, which was saved for everyone.
        fs::write(store.path("state.json"), "0").unwrap();
        fs::set_permissions(store.path("state.json"), fs::Permissions::from_mode(0o644)).unwrap();
        store.save("state", &1).unwrap();
        assert_eq!(fs::metadata(store.path("state.json")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(store.load::<u8>("state").unwrap(), 1);
    }
}
