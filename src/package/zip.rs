//! Zips: the same content always gives the same bytes, and nothing goes into one that Lambda would refuse.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zip::result::{ZipError, ZipResult};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipArchive, ZipWriter};

use super::place::Place;
use super::{Artifact, PackageError, Target, elf};

/// Lambda's limits for code that comes in the request (Lambda developer guide, quotas): 50 MB zipped, 250 MB unzipped.
const LARGEST_ZIPPED: u64 = 50 << 20;
pub(super) const LARGEST_UNZIPPED: u64 = 250 << 20;

/// One file of a zip.
#[derive(Debug)]
pub(super) struct Entry {
    /// With forward slashes.
    pub name: String,
    pub executable: bool,
    pub content: Vec<u8>,
}

/// Zips `entries`: sorted by name, at the earliest time a zip can tell, with fixed modes and nothing else.
pub(super) fn write(mut entries: Vec<Entry>, target: Target) -> ZipResult<Vec<u8>> {
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    // Every byte is paid for at every cold start in AWS; on loopback only the time to zip counts.
    let level = match target {
        Target::Host => 1,
        Target::Lambda => 9,
    };
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for entry in entries {
        let options = SimpleFileOptions::default()
            .system(System::Unix)
            .last_modified_time(DateTime::default())
            .unix_permissions(if entry.executable { 0o755 } else { 0o644 })
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(level));
        zip.start_file(entry.name, options)?;
        zip.write_all(&entry.content)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// A zip of these files as an artifact.
pub(super) fn pack(entries: Vec<Entry>, target: Target) -> Result<Artifact, PackageError> {
    let zip = write(entries, target).map_err(|error| PackageError::new("zip the code", error))?;
    within_limits(artifact(zip).map_err(|error| PackageError::new("zip the code", error))?)
}

/// A zip file that the user made, as it is.
pub(super) fn read(path: &Path) -> Result<Artifact, PackageError> {
    let failed = |why: String| PackageError::new("take the zip", format!("{}: {why}", path.display()));
    let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
    within_limits(artifact(bytes).map_err(|error| failed(error.to_string()))?)
}

/// The same, if a custom runtime can run what is in it.
pub(super) fn adopt(path: &Path, place: &Place) -> Result<Artifact, PackageError> {
    let failed = |why: String| PackageError::new("take the zip", format!("{}: {why}", path.display()));
    let artifact = read(path)?;

    let open = || -> ZipResult<(Option<u32>, Vec<u8>)> {
        let mut archive = ZipArchive::new(Cursor::new(&artifact.zip))?;
        let bootstrap = archive.by_name("bootstrap")?;
        let mode = bootstrap.unix_mode();
        let mut content = Vec::new();
        bootstrap.take(LARGEST_UNZIPPED).read_to_end(&mut content)?;
        Ok((mode, content))
    };
    let (mode, bootstrap) = match open() {
        Ok(found) => found,
        Err(ZipError::FileNotFound) => {
            return Err(failed("there is no `bootstrap` at its top".to_owned()).help(
                "a custom runtime starts the executable named `bootstrap`: put it in the zip's root, not in a folder",
            ));
        }
        Err(error) => return Err(failed(error.to_string())),
    };
    if mode.is_none_or(|mode| mode & 0o111 == 0) {
        return Err(failed("`bootstrap` is not marked executable in it, so Lambda could not start it".to_owned())
            .help("chmod +x bootstrap, then zip it again on Linux or macOS"));
    }
    elf::check(&bootstrap, place).map_err(|unfit| unfit.of(path, place))?;
    Ok(artifact)
}

/// A finished zip with what Lambda will say of it.
pub(super) fn artifact(zip: Vec<u8>) -> ZipResult<Artifact> {
    let unzipped = files(&zip)?.iter().map(|(_, size)| *size).fold(0, u64::saturating_add);
    let code_sha256 = STANDARD.encode(Sha256::digest(&zip));
    Ok(Artifact { code_sha256, size: zip.len() as u64, unzipped, zip: zip.into() })
}

/// The files in a zip and their unzipped sizes, as its directory has them.
fn files(zip: &[u8]) -> ZipResult<Vec<(String, u64)>> {
    let mut archive = ZipArchive::new(Cursor::new(zip))?;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index)?;
        files.push((file.name()?.into_owned(), file.size()));
    }
    Ok(files)
}

/// The names of the files in a zip, and the contents of those that `wanted` wants.
pub(super) fn contents(zip: &[u8], wanted: impl Fn(&str) -> bool) -> ZipResult<Vec<(String, Option<Vec<u8>>)>> {
    let mut archive = ZipArchive::new(Cursor::new(zip))?;
    let mut contents = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let name = file.name()?.into_owned();
        let mut content = Vec::new();
        let wanted = wanted(&name);
        if wanted {
            file.by_ref().take(LARGEST_UNZIPPED).read_to_end(&mut content)?;
        }
        contents.push((name, wanted.then_some(content)));
    }
    Ok(contents)
}

/// `artifact`, if Lambda takes one of its size.
fn within_limits(artifact: Artifact) -> Result<Artifact, PackageError> {
    let checks = [(artifact.size, LARGEST_ZIPPED, "zipped"), (artifact.unzipped, LARGEST_UNZIPPED, "unzipped")];
    match checks.into_iter().find(|(size, limit, _)| size > limit) {
        Some((size, limit, state)) => Err(too_large(size, limit, state, files(&artifact.zip).unwrap_or_default())),
        None => Ok(artifact),
    }
}

/// The error for code over one of Lambda's limits; `files` are names and sizes.
pub(super) fn too_large(bytes: u64, limit: u64, state: &str, mut files: Vec<(String, u64)>) -> PackageError {
    files.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let heaviest: Vec<String> =
        files.iter().take(5).map(|(name, size)| format!("{:>9}  {name}", megabytes(*size))).collect();
    PackageError::new(
        "zip the code",
        format!("it has {} {state}, and Lambda takes at most {}", megabytes(bytes), megabytes(limit)),
    )
    .help(format!("the heaviest files in it:\n{}", heaviest.join("\n")))
}

/// `61.3 MB`; a megabyte has 1,048,576 bytes, as in Lambda's quotas.
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / f64::from(1u32 << 20))
}
