//! The data folder of a local cloud: its lock, and the record of the server that holds it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::error::ProcessError;
use crate::local::context::conditions::Conditions;
use crate::local::context::store::write_private;
use crate::local::server::access::AccessKey;
use crate::local::server::cloud;
use crate::local::server::origins::Origin;
use crate::machine::own_folder;

const LOCK: &str = "wschat.lock";
const RECORD: &str = "process.json";

/// How often a starting server is polled. A start takes tens of milliseconds, and the user waits for it.
pub const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The data folder of a local cloud, as an absolute path.
#[derive(Debug, Clone)]
pub struct ServerFolder(PathBuf);

impl ServerFolder {
    /// The folder, created where it is missing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn make(data: &Path) -> Result<Self, ProcessError> {
        let made = own_folder::make(data).and_then(|()| data.canonicalize());
        made.map(Self)
            .map_err(|source| ProcessError::Io { doing: format!("create the folder {}", data.display()), source })
    }

    /// The folder, if it exists.
    ///
    /// # Errors
    /// When it does not.
    pub fn existing(data: &Path) -> io::Result<Self> {
        data.canonicalize().map(Self)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Locks the folder for this process, for as long as the file is open. `None` where another process holds the lock.
    ///
    /// # Errors
    /// When the lock file cannot be opened or locked at all.
    pub async fn lock(&self) -> Result<Option<File>, ProcessError> {
        let failed = |source| ProcessError::Io { doing: "lock its data folder".to_owned(), source };
        let file = self.lock_file().map_err(failed)?;
        // A process that checks whether the folder is served holds the lock briefly; only a server holds it for longer.
        for _ in 0..50 {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::WouldBlock) => sleep(POLL_INTERVAL).await,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        Ok(None)
    }

    /// Writes the record of the server.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_record(&self, record: &ServerRecord) -> Result<(), ProcessError> {
        let json = serde_json::to_vec_pretty(record).map_err(io::Error::from);
        json.and_then(|json| write_private(&self.0.join(RECORD), &json))
            .map_err(|source| ProcessError::Io { doing: format!("write {RECORD}"), source })
    }

    /// Removes the record of the last server.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_record(&self) -> Result<(), ProcessError> {
        match fs::remove_file(self.0.join(RECORD)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ProcessError::Io { doing: format!("remove {RECORD}"), source: error })
            }
            _ => Ok(()),
        }
    }

    /// Whether this process still serves the folder: its record and its lock are there. A folder that cannot be read any more
    /// counts as lost.
    pub fn is_locked_by_us(&self) -> bool {
        self.record().is_some_and(|record| record.pid == std::process::id()) && self.is_served()
    }

    /// Whether a server has ever served the folder.
    pub fn was_served(&self) -> bool {
        self.0.join(LOCK).exists()
    }

    fn lock_file(&self) -> io::Result<File> {
        File::options().read(true).write(true).create(true).truncate(false).open(self.0.join(LOCK))
    }

    /// Whether a process serves the folder.
    pub fn is_served(&self) -> bool {
        // Not created where it is missing: a check must leave no files.
        let Ok(file) = File::open(self.0.join(LOCK)) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// The record of the last server, if there is one.
    pub fn record(&self) -> Option<ServerRecord> {
        serde_json::from_slice(&fs::read(self.0.join(RECORD)).ok()?).ok()
    }
}

/// The server's record of itself for those who may stop it (`process.json`, readable by the user only).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerRecord {
    pub pid: u32,
    pub port: u16,
    /// The address that it listens on beside loopback, if there is one.
    #[serde(default)]
    pub host: Option<IpAddr>,
    /// The host that clients on other machines can use, if one is known.
    #[serde(default)]
    pub client_host: Option<String>,
    /// The origins of the web pages that may call it.
    #[serde(default)]
    pub origins: Vec<Origin>,
    /// The token that `/_wschat/stop` and `/_wschat/connections` require.
    pub token: String,
    pub binary: Binary,
    pub started: String,
    pub conditions: Option<ConditionsFile>,
    pub key: AccessKey,
    pub open: bool,
    /// The port it would have used, and why it does not; `None` if it has that port, or one that was asked for.
    pub missed_port: Option<MissedPort>,
}

/// A usual port that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedPort {
    pub port: u16,
    /// Fits "port 4579 ...": `is in use`.
    pub why: String,
    /// Whether the folder's last server had it, so that addresses with it have been printed.
    pub was_used: bool,
}

/// The build of wschat that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binary {
    pub version: String,
    /// The modification time of the executable in nanoseconds since the epoch, where the file system has one.
    modified: Option<u64>,
}

impl Binary {
    /// The build of this process.
    pub fn this() -> Self {
        let modified = std::env::current_exe().and_then(fs::metadata).and_then(|file| file.modified()).ok();
        let modified = modified.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            modified: modified.and_then(|since| u64::try_from(since.as_nanos()).ok()),
        }
    }
}

/// A conditions file, and the digest of its content when it was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConditionsFile {
    pub path: PathBuf,
    pub sha256: String,
}

/// Reads a conditions file.
///
/// # Errors
/// When it cannot be read or is not one.
pub fn conditions_file(path: &Path) -> Result<(ConditionsFile, Conditions), ProcessError> {
    let conditions = Conditions::read(path, &cloud::operations()).map_err(ProcessError::Conditions)?;
    let cannot = |source| ProcessError::Io { doing: format!("read {}", path.display()), source };
    let sha256 = hex::encode(Sha256::digest(fs::read(path).map_err(cannot)?));
    Ok((ConditionsFile { path: path.canonicalize().map_err(cannot)?, sha256 }, conditions))
}
