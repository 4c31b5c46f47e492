//! Writes and checks zips: equal content gives equal bytes, and zips that Lambda would reject are errors.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zip::result::{ZipError, ZipResult};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipArchive, ZipWriter};

use super::platform::Platform;
use super::{Artifact, PackageError, Target, elf};
use crate::core::types::S3Object;

/// Lambda's limits for code that is uploaded in the request (Lambda developer guide, quotas): 50 MB zipped, 250 MB unzipped.
const MAX_ZIPPED_BYTES: u64 = 50 << 20;
pub(super) const MAX_UNZIPPED_BYTES: u64 = 250 << 20;

/// One file of a zip.
#[derive(Debug)]
pub(super) struct Entry {
    /// With forward slashes.
    pub name: String,
    pub executable: bool,
    pub content: Vec<u8>,
}

/// Zips `entries`: sorted by name, with the earliest time that a zip can express and with fixed modes.
pub(super) fn write(mut entries: Vec<Entry>, target: Target) -> ZipResult<Vec<u8>> {
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for entry in entries {
        add(&mut zip, entry, target)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// The zip that `write` makes of `entries` and of the files called `unchanged` in `before`, a zip of `write` for the same target: they
/// are copied from there, compressed as they are.
pub(super) fn write_changes(
    entries: Vec<Entry>,
    unchanged: &BTreeSet<String>,
    before: &[u8],
    target: Target,
) -> ZipResult<Vec<u8>> {
    // One as large as before, as a rule: it need not grow while it is written.
    let mut zip = ZipWriter::new(Cursor::new(Vec::with_capacity(before.len() + before.len() / 16)));
    let mut before = ZipArchive::new(Cursor::new(before))?;
    let mut entries: BTreeMap<String, Entry> = entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
    let names: BTreeSet<String> = entries.keys().chain(unchanged).cloned().collect();
    for name in names {
        match entries.remove(&name) {
            Some(entry) => add(&mut zip, entry, target)?,
            None => {
                let index = before.index_for_name(&name).ok_or(ZipError::FileNotFound)?;
                zip.raw_copy_file(before.by_index_raw(index)?)?;
            }
        }
    }
    Ok(zip.finish()?.into_inner())
}

fn add(zip: &mut ZipWriter<Cursor<Vec<u8>>>, entry: Entry, target: Target) -> ZipResult<()> {
    // On AWS every byte costs time at every cold start; on loopback only the time to zip matters.
    let level = match target {
        Target::Host => 1,
        Target::Lambda => 9,
    };
    let options = SimpleFileOptions::default()
        .system(System::Unix)
        .last_modified_time(DateTime::default())
        .unix_permissions(if entry.executable { 0o755 } else { 0o644 })
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(level));
    zip.start_file(entry.name, options)?;
    Ok(zip.write_all(&entry.content)?)
}

/// Zips these files into an artifact.
pub(super) fn pack(entries: Vec<Entry>, target: Target) -> Result<Artifact, PackageError> {
    let zip = write(entries, target).map_err(|error| PackageError::new("zip the code", error))?;
    within_limits(artifact(zip).map_err(|error| PackageError::new("zip the code", error))?)
}

/// Reads the user's zip file, unchanged. One that is too large for a request is taken all the same if Lambda can read it from the
/// `object` in S3 that it is a copy of.
pub(super) fn read(path: &Path, object: Option<S3Object>) -> Result<Artifact, PackageError> {
    let failed = |why: String| PackageError::new("read the zip", format!("{}: {why}", path.display()));
    let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let artifact = artifact(bytes).map_err(|error| failed(error.to_string()))?;
    let object = object.filter(|_| artifact.size > MAX_ZIPPED_BYTES);
    within_limits(Artifact { object, ..artifact })
}

/// As `read`, and checks that a custom runtime can run the zip's `bootstrap`; returns a warning if this machine cannot.
pub(super) fn read_custom_runtime(
    path: &Path,
    platform: &Platform,
    object: Option<S3Object>,
) -> Result<(Artifact, Option<String>), PackageError> {
    let failed = |why: String| PackageError::new("read the zip", format!("{}: {why}", path.display()));
    let artifact = read(path, object)?;

    let open = || -> ZipResult<(Option<u32>, Vec<u8>)> {
        let mut archive = ZipArchive::new(Cursor::new(&artifact.zip))?;
        let bootstrap = archive.by_name("bootstrap")?;
        let mode = bootstrap.unix_mode();
        let mut content = Vec::new();
        bootstrap.take(MAX_UNZIPPED_BYTES).read_to_end(&mut content)?;
        Ok((mode, content))
    };
    let (mode, bootstrap) = match open() {
        Ok(found) => found,
        Err(ZipError::FileNotFound) => {
            return Err(failed("it has no `bootstrap` in its root".to_owned()).help(
                "a custom runtime starts the executable named `bootstrap`: put it in the zip's root, not in a folder",
            ));
        }
        Err(error) => return Err(failed(error.to_string())),
    };
    if mode.is_none_or(|mode| mode & 0o111 == 0) {
        return Err(failed("its `bootstrap` is not marked executable, so Lambda could not start it".to_owned())
            .help("chmod +x bootstrap, then zip it again on Linux or macOS"));
    }
    let warning = elf::check_or_warn(&bootstrap, path, platform)?;
    Ok((artifact, warning))
}

/// The same files in a folder of another zip.
pub(super) fn below(zip: &[u8], folder: &str, target: Target) -> ZipResult<Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(zip))?;
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        if file.is_dir() {
            continue;
        }
        let name = format!("{folder}/{}", file.name()?);
        let executable = file.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
        let mut content = Vec::new();
        file.by_ref().take(MAX_UNZIPPED_BYTES).read_to_end(&mut content)?;
        entries.push(Entry { name, executable, content });
    }
    write(entries, target)
}

/// A finished zip with its hash and sizes.
pub(super) fn artifact(zip: Vec<u8>) -> ZipResult<Artifact> {
    let unzipped = files(&zip)?.iter().map(|(_, size)| *size).fold(0, u64::saturating_add);
    let code_sha256 = STANDARD.encode(Sha256::digest(&zip));
    Ok(Artifact { code_sha256, size: zip.len() as u64, unzipped, zip: zip.into(), object: None })
}

/// The files in a zip and their unzipped sizes, from its directory.
fn files(zip: &[u8]) -> ZipResult<Vec<(String, u64)>> {
    let mut archive = ZipArchive::new(Cursor::new(zip))?;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index)?;
        files.push((file.name()?.into_owned(), file.size()));
    }
    Ok(files)
}

/// The names of the files in a zip, and the contents of those for which `wanted` holds.
pub(super) fn contents(zip: &[u8], wanted: impl Fn(&str) -> bool) -> ZipResult<Vec<(String, Option<Vec<u8>>)>> {
    let mut archive = ZipArchive::new(Cursor::new(zip))?;
    let mut contents = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let name = file.name()?.into_owned();
        let mut content = Vec::new();
        let wanted = wanted(&name);
        if wanted {
            file.by_ref().take(MAX_UNZIPPED_BYTES).read_to_end(&mut content)?;
        }
        contents.push((name, wanted.then_some(content)));
    }
    Ok(contents)
}

/// Returns `artifact` if it is within Lambda's limits.
pub(super) fn within_limits(artifact: Artifact) -> Result<Artifact, PackageError> {
    // In S3 a zip may be as large as what is in it.
    let zipped = if artifact.object.is_some() { MAX_UNZIPPED_BYTES } else { MAX_ZIPPED_BYTES };
    let checks = [(artifact.size, zipped, "zipped"), (artifact.unzipped, MAX_UNZIPPED_BYTES, "unzipped")];
    match checks.into_iter().find(|(size, limit, _)| size > limit) {
        Some((size, limit, state)) => Err(too_large(size, limit, state, files(&artifact.zip).unwrap_or_default())),
        None => Ok(artifact),
    }
}

/// The error for code that exceeds one of Lambda's limits; `files` are names and sizes.
pub(super) fn too_large(bytes: u64, limit: u64, state: &str, mut files: Vec<(String, u64)>) -> PackageError {
    files.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let largest: Vec<String> =
        files.iter().take(5).map(|(name, size)| format!("{:>9}  {name}", megabytes(*size))).collect();
    PackageError::new(
        "zip the code",
        format!("it is {} {state}, but Lambda accepts at most {}", megabytes(bytes), megabytes(limit)),
    )
    .help(format!("its largest files:\n{}", largest.join("\n")))
}

/// `61.3 MB`; a megabyte has 1,048,576 bytes, as in Lambda's quotas.
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / f64::from(1u32 << 20))
}
