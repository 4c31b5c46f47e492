//! The cache of zips: without it, zipping would take most of the time of an `up` without changes. Of code that has changed, the files
//! that have not (its packages, as a rule) are taken from the zip before, compressed as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::folder::{self, Files};
use super::platform::Platform;
use super::zip::{self, Entry};
use super::{Artifact, PackageError, Target, elf, file_name};
use crate::machine::own_folder;

/// Part of every key: raise it when the same files should give other bytes.
const FORMAT: &str = "1";

/// The end of the name of a zip, and of the list of its files beside it.
const ZIP: &str = ".zip";
const STATES: &str = ".files.json";

/// How long the cache keeps what is no longer built.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long what a killed run has left half made stays: longer than any installation takes.
const MAX_AGE_OF_PARTS: Duration = Duration::from_secs(60 * 60);

/// A folder of zips. If it cannot be written, builds are slower but correct, so that is not an error.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

/// The file name of a cached zip.
struct Key {
    /// The prefix of all zips of this code for this platform.
    code: String,
    /// The whole name, which depends on the state of the code: sizes and modification times of its files.
    zip: String,
}

impl Cache {
    pub fn open(folder: &Path) -> Self {
        let cache = Self { folder: folder.to_owned() };
        let begins = ["npm-", "pip-", "pnpm-", "s3-", "yarn-", "build."];
        let ends = [ZIP, STATES];
        let is_ours = |name: &str| {
            ends.iter().any(|end| name.ends_with(end)) || begins.iter().any(|begin| name.starts_with(begin))
        };
        cache.remove(|name, age| is_ours(name) && age > MAX_AGE || is_part(name) && age > MAX_AGE_OF_PARTS);
        cache
    }

    /// Zips an executable as `bootstrap`, after checking that `platform` can run it.
    pub fn pack(&self, executable: &Path, platform: &Platform) -> Result<Artifact, PackageError> {
        let failed = |error: io::Error| unreadable(executable, &error);
        let key = Key::of(executable, &platform.to_string(), &state(executable).map_err(failed)?);
        self.cached_or(&key, || {
            let content = fs::read(executable).map_err(failed)?;
            elf::check(&content, platform).map_err(|incompatible| incompatible.of(executable, platform))?;
            zip::pack(vec![Entry { name: "bootstrap".to_owned(), executable: true, content }], platform.target())
        })
    }

    /// Zips `files`, the code at `path`. `variant` distinguishes several zips of one path; `check` must accept files that have
    /// changed since they were zipped last.
    pub fn pack_files(
        &self,
        path: &Path,
        variant: &str,
        files: Files,
        target: Target,
        check: impl FnOnce() -> Result<(), PackageError>,
    ) -> Result<Artifact, PackageError> {
        // Output of a build in the cache folder is built again every time, so its zip would never be reused.
        if std::path::absolute(&self.folder).is_ok_and(|folder| path.starts_with(folder)) {
            check()?;
            return zip::pack(folder::entries(files)?, target);
        }
        let state_of = |file: &Path| state(file).map_err(|error| unreadable(file, &error));
        let states: BTreeMap<String, String> = files
            .iter()
            .map(|(name, file)| Ok((name.clone(), state_of(file)?)))
            .collect::<Result<_, PackageError>>()?;
        let all: String = states.iter().map(|(name, state)| format!("{name}\n{state}\n")).collect();
        let key = Key::of(path, variant, &all);
        let mut is_new = false;
        let artifact = self.cached_or(&key, || {
            is_new = true;
            check()?;
            match self.pack_changes(&key, &files, &states, target)? {
                Some(artifact) => zip::within_limits(artifact),
                None => zip::pack(folder::entries(files)?, target),
            }
        })?;
        if is_new {
            let list = serde_json::to_vec(&states).unwrap_or_default();
            if let Err(error) = self.keep(&key.states(), &list) {
                tracing::debug!(%error, "the list of a zip's files is not cached");
            }
        }
        Ok(artifact)
    }

    /// Zips what has changed since the last zip of this code, beside what has not; `None` without such a zip.
    fn pack_changes(
        &self,
        key: &Key,
        files: &Files,
        states: &BTreeMap<String, String>,
        target: Target,
    ) -> Result<Option<Artifact>, PackageError> {
        let Some((before, known)) = self.last(key) else { return Ok(None) };
        let is_known = |name: &String| known.get(name) == states.get(name);
        let unchanged: BTreeSet<String> = files.keys().filter(|name| is_known(name)).cloned().collect();
        let changed = files.iter().filter(|(name, _)| !unchanged.contains(*name));
        let changed = folder::entries(changed.map(|(name, file)| (name.clone(), file.clone())).collect())?;
        // One that cannot be read was cut short: all is zipped again.
        let zip = zip::write_changes(changed, &unchanged, &before, target).and_then(zip::artifact);
        Ok(zip.inspect_err(|error| tracing::debug!(%error, "the zip before cannot be used")).ok())
    }

    /// The last zip of this code, and the states of its files then.
    fn last(&self, key: &Key) -> Option<(Vec<u8>, BTreeMap<String, String>)> {
        let names =
            fs::read_dir(&self.folder).ok()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut lists = names.filter(|name| name.starts_with(&key.code) && name.ends_with(STATES));
        lists.find_map(|list| {
            let states = serde_json::from_slice(&fs::read(self.folder.join(&list)).ok()?).ok()?;
            let zip = fs::read(self.folder.join(format!("{}{ZIP}", list.strip_suffix(STATES)?))).ok()?;
            Some((zip, states))
        })
    }

    /// The code of a layer, which was built as a function's, in the folder where its runtime looks for it.
    pub fn pack_below(
        &self,
        layer: &str,
        built: &Artifact,
        folder: &str,
        target: Target,
    ) -> Result<Artifact, PackageError> {
        let failed = |error| PackageError::new("zip the layer", error);
        let key = Key::of(Path::new(layer), &format!("{target:?} below {folder}"), &built.code_sha256);
        self.cached_or(&key, || {
            let zip = zip::below(&built.zip, folder, target).and_then(zip::artifact).map_err(failed)?;
            zip::within_limits(zip)
        })
    }

    fn cached_or(
        &self,
        key: &Key,
        make: impl FnOnce() -> Result<Artifact, PackageError>,
    ) -> Result<Artifact, PackageError> {
        // A crash may have left half a file: a zip that cannot be opened counts as missing.
        if let Some(kept) = fs::read(self.folder.join(&key.zip)).ok().and_then(|zip| zip::artifact(zip).ok()) {
            return Ok(kept);
        }
        let artifact = make()?;
        self.remove(|name, _| name.starts_with(&key.code));
        if let Err(error) = self.keep(&key.zip, &artifact.zip) {
            tracing::debug!(%error, folder = %self.folder.display(), "the zip is not cached");
        }
        Ok(artifact)
    }

    /// Writes a temporary file and renames it: a reader never sees half a zip.
    fn keep(&self, name: &str, zip: &[u8]) -> io::Result<()> {
        own_folder::make(&self.folder)?;
        let temporary = self.folder.join(format!("{name}.{}", std::process::id()));
        fs::write(&temporary, zip)?;
        fs::rename(&temporary, self.folder.join(name))
    }

    /// Removes the entries for which `stale` holds, given name and age.
    fn remove(&self, stale: impl Fn(&str, Duration) -> bool) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let age =
                entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
            if stale(&entry.file_name().to_string_lossy(), age.unwrap_or_default()) {
                // Another run may have removed it first.
                let path = entry.path();
                let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            }
        }
    }
}

impl Key {
    fn of(path: &Path, variant: &str, state: &str) -> Self {
        let source = digest(&format!("{FORMAT}\n{}\n{variant}", path.display()));
        let code = format!("{}-{source}-", file_name(path));
        Self { zip: format!("{code}{}{ZIP}", digest(state)), code }
    }

    /// The name of the list of the zip's files.
    fn states(&self) -> String {
        format!("{}{STATES}", self.zip.trim_end_matches(ZIP))
    }
}

/// Whether an entry of the cache is named after the process that makes it, and renamed when it is complete (`npm-1a2b.4711`).
fn is_part(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A text that changes when the file is written or replaced, or becomes executable.
fn state(file: &Path) -> io::Result<String> {
    let metadata = fs::metadata(file)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Ok(format!("{}\n{modified}{}", metadata.len(), identity(&metadata)))
}

/// The file's number, and when anything about it changed last: npm gives all files of all packages one modification time, so another
/// version may have files of the same size and time.
#[cfg(unix)]
fn identity(file: &fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("\n{} {}.{:09}", file.ino(), file.ctime(), file.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_file: &fs::Metadata) -> String {
    String::new()
}

fn unreadable(path: &Path, error: &io::Error) -> PackageError {
    PackageError::new("read the code", format!("{}: {error}", path.display()))
}

/// Eight bytes of a hash: enough to distinguish the few entries of a cache.
fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}

#[cfg(test)]
mod tests;
