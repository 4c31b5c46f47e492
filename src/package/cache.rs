//! Zips of executables, kept from run to run: zipping is most of what an `up` without changes would do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::place::Place;
use super::zip::{self, Entry};
use super::{Artifact, PackageError, elf, file_name};

/// Part of every key: raise it when the same executable is to give other bytes.
const FORMAT: &str = "1";

/// How long the zip of an executable that is no longer built may lie about.
const KEEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A folder of zips. One that cannot be written costs time, not correctness: nothing here fails for it.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

/// The names under which an executable's zip is kept.
struct Key {
    /// What all zips of this executable for this place begin with.
    executable: String,
    /// This very state of it: an executable that was linked again has another time.
    zip: String,
}

impl Cache {
    pub fn open(folder: &Path) -> Self {
        let cache = Self { folder: folder.to_owned() };
        cache.remove(|name, age| name.ends_with(".zip") && age > KEEP);
        cache
    }

    /// An executable as Lambda takes it: alone in a zip, named `bootstrap`, known to run at `place`.
    pub fn pack(&self, executable: &Path, place: &Place) -> Result<Artifact, PackageError> {
        let failed =
            |error: io::Error| PackageError::new("read the code", format!("{}: {error}", executable.display()));
        let key = key(executable, place).map_err(failed)?;
        // An interrupted machine may leave half a file: what does not open is not there.
        if let Some(kept) = fs::read(self.folder.join(&key.zip)).ok().and_then(|zip| zip::artifact(zip).ok()) {
            return Ok(kept);
        }
        let content = fs::read(executable).map_err(failed)?;
        elf::check(&content, place).map_err(|unfit| unfit.of(executable, place))?;
        let artifact = zip::pack(vec![Entry { name: "bootstrap".to_owned(), executable: true, content }], place)?;
        self.remove(|name, _| name.starts_with(&key.executable));
        if let Err(error) = self.keep(&key.zip, &artifact.zip) {
            tracing::debug!(%error, folder = %self.folder.display(), "a zip is not kept");
        }
        Ok(artifact)
    }

    /// Writes beside, then renames: a reader never sees half a zip.
    fn keep(&self, name: &str, zip: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let beside = self.folder.join(format!("{name}.{}", std::process::id()));
        fs::write(&beside, zip)?;
        fs::rename(&beside, self.folder.join(name))
    }

    /// Removes the files that `stale` says by name and age.
    fn remove(&self, stale: impl Fn(&str, Duration) -> bool) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let age =
                entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
            if stale(&entry.file_name().to_string_lossy(), age.unwrap_or_default()) {
                // Somebody else may have been faster.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn key(executable: &Path, place: &Place) -> io::Result<Key> {
    let metadata = fs::metadata(executable)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let whose = digest(&format!("{FORMAT}\n{}\n{place}", executable.display()));
    let state = digest(&format!("{}\n{modified}", metadata.len()));
    let executable = format!("{}-{whose}-", file_name(executable));
    Ok(Key { zip: format!("{executable}{state}.zip"), executable })
}

/// Enough of a hash to tell a few executables apart.
fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}
