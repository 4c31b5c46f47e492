//! Where the local cloud keeps what must survive a restart: one JSON file a service, replaced atomically.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The data folder of one local cloud (`.wschat/local`).
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens the folder, making it where it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
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

    /// What was last saved under `name`; the default where nothing was.
    ///
    /// # Errors
    /// When the file is there and cannot be read as `T`.
    pub fn load<T: DeserializeOwned + Default>(&self, name: &str) -> io::Result<T> {
        match fs::read(self.file(name)) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", self.file(name).display()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces what is saved under `name`; a crash leaves the old or the new, never half of either.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save<T: Serialize>(&self, name: &str, state: &T) -> io::Result<()> {
        write_atomically(&self.file(name), &serde_json::to_vec(state)?)
    }

    /// The same, for the user's eyes only.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_private<T: Serialize>(&self, name: &str, state: &T) -> io::Result<()> {
        write_private(&self.file(name), &serde_json::to_vec(state)?)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

/// Writes beside `path`, then renames over it.
///
/// # Errors
/// When the file cannot be written or renamed.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, bytes, fs::File::options())
}

/// The same for what only the user may read: keys and tokens.
///
/// # Errors
/// When the file cannot be written or renamed.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    write_with(path, bytes, options)
}

fn write_with(path: &Path, bytes: &[u8], mut options: fs::OpenOptions) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    options.write(true).create(true).truncate(true).open(&beside)?.write_all(bytes)?;
    fs::rename(&beside, path)
}
