//! Zips, kept from run to run: zipping is most of what an `up` without changes would do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::folder::{self, Files};
use super::place::Place;
use super::zip::{self, Entry};
use super::{Artifact, PackageError, Target, elf, file_name};
use crate::machine::own_folder;

/// Part of every key: raise it when the same files are to give other bytes.
const FORMAT: &str = "1";

/// How long what is no longer built may lie about.
const KEEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A folder of zips. One that cannot be written costs time, not correctness: nothing here fails for it.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

/// The names under which a zip is kept.
struct Key {
    /// What all zips of this code for this place begin with.
    code: String,
    /// This very state of it: a file that was written again has another time.
    zip: String,
}

impl Cache {
    pub fn open(folder: &Path) -> Self {
        let cache = Self { folder: folder.to_owned() };
        let begins = ["npm-", "pip-", "pnpm-", "yarn-", "build."];
        let ours = |name: &str| name.ends_with(".zip") || begins.iter().any(|begin| name.starts_with(begin));
        cache.remove(|name, age| ours(name) && age > KEEP);
        cache
    }

    /// An executable as Lambda takes it: alone in a zip, named `bootstrap`, known to run at `place`.
    pub fn pack(&self, executable: &Path, place: &Place) -> Result<Artifact, PackageError> {
        let failed = |error: io::Error| unreadable(executable, &error);
        let key = Key::of(executable, &place.to_string(), &state(executable).map_err(failed)?);
        self.kept_or(&key, || {
            let content = fs::read(executable).map_err(failed)?;
            elf::check(&content, place).map_err(|unfit| unfit.of(executable, place))?;
            zip::pack(vec![Entry { name: "bootstrap".to_owned(), executable: true, content }], place.target())
        })
    }

    /// The files that make the code at `path`, in a zip; `variant` tells several uses of one path apart.
    pub fn pack_files(
        &self,
        path: &Path,
        variant: &str,
        files: Files,
        target: Target,
    ) -> Result<Artifact, PackageError> {
        // What was made a moment ago is made again every time.
        if std::path::absolute(&self.folder).is_ok_and(|folder| path.starts_with(folder)) {
            return zip::pack(folder::entries(files)?, target);
        }
        let mut states = String::new();
        for (name, file) in &files {
            states += &format!("{name}\n{}\n", state(file).map_err(|error| unreadable(file, &error))?);
        }
        let key = Key::of(path, variant, &states);
        self.kept_or(&key, || zip::pack(folder::entries(files)?, target))
    }

    fn kept_or(
        &self,
        key: &Key,
        make: impl FnOnce() -> Result<Artifact, PackageError>,
    ) -> Result<Artifact, PackageError> {
        // An interrupted machine may leave half a file: what does not open is not there.
        if let Some(kept) = fs::read(self.folder.join(&key.zip)).ok().and_then(|zip| zip::artifact(zip).ok()) {
            return Ok(kept);
        }
        let artifact = make()?;
        self.remove(|name, _| name.starts_with(&key.code));
        if let Err(error) = self.keep(&key.zip, &artifact.zip) {
            tracing::debug!(%error, folder = %self.folder.display(), "a zip is not kept");
        }
        Ok(artifact)
    }

    /// Writes beside, then renames: a reader never sees half a zip.
    fn keep(&self, name: &str, zip: &[u8]) -> io::Result<()> {
        own_folder::make(&self.folder)?;
        let beside = self.folder.join(format!("{name}.{}", std::process::id()));
        fs::write(&beside, zip)?;
        fs::rename(&beside, self.folder.join(name))
    }

    /// Removes what `stale` says by name and age.
    fn remove(&self, stale: impl Fn(&str, Duration) -> bool) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let age =
                entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
            if stale(&entry.file_name().to_string_lossy(), age.unwrap_or_default()) {
                // Somebody else may have been faster.
                let path = entry.path();
                let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            }
        }
    }
}

impl Key {
    fn of(path: &Path, variant: &str, state: &str) -> Self {
        let whose = digest(&format!("{FORMAT}\n{}\n{variant}", path.display()));
        let code = format!("{}-{whose}-", file_name(path));
        Self { zip: format!("{code}{}.zip", digest(state)), code }
    }
}

/// What is another when a file was written again.
fn state(file: &Path) -> io::Result<String> {
    let metadata = fs::metadata(file)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Ok(format!("{}\n{modified}", metadata.len()))
}

fn unreadable(path: &Path, error: &io::Error) -> PackageError {
    PackageError::new("read the code", format!("{}: {error}", path.display()))
}

/// Enough of a hash to tell a few executables apart.
fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}
