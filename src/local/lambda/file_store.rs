//! The files of functions' code: each content is stored once, and versions share it by hard links.
//!
//! Most of an upload was uploaded before: `node_modules`, Python packages. A file is identified by its entry in the archive
//! (the compressed bytes, the unpacked size and checksum), so that a stored file is not unpacked again. Stored files are
//! read-only. A file that was changed since (an interrupted write, a modification) is replaced.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use uuid::Uuid;
use zip::ZipArchive;

/// 1980-01-01 in seconds since the epoch, the earliest time in zips: the modification time of every stored file.
const STORED_TIME: Duration = Duration::from_secs(315_532_800);

/// The mode of a file whose archive entry has none.
const DEFAULT_MODE: u32 = 0o644;

/// The stored files of a data folder. One archive is unpacked at a time, so that the next one finds its files.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
    /// Whether there may be files that no version uses.
    unused: bool,
}

/// Why an archive is not unpacked.
#[derive(Debug)]
pub enum UnpackError {
    /// The archive is damaged, or has names that lead outside its folder.
    Archive,
    /// The disk failed.
    Disk(io::Error),
}

/// A file in an archive.
struct Entry {
    key: String,
    size: u64,
    mode: u32,
}

impl FileStore {
    /// Opens the store in `folder`, and creates it where it is missing.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, unused: true })
    }

    /// Unpacks an archive into a new folder `beside`, which is renamed to `folder` when it is complete. An archive with symbolic
    /// links is unpacked without sharing. Blocks.
    ///
    /// # Errors
    /// When the archive is damaged or the disk fails; `beside` is then removed.
    pub fn unpack(
        &mut self,
        archive: &mut ZipArchive<Cursor<&[u8]>>,
        beside: &Path,
        folder: &Path,
    ) -> Result<(), UnpackError> {
        let unpacked = match has_links(archive) {
            Ok(true) => archive.extract(beside).map_err(|_| UnpackError::Archive),
            Ok(false) => self.link_all(archive, beside),
            Err(failure) => Err(failure),
        };
        unpacked.and_then(|()| fs::rename(beside, folder).map_err(UnpackError::Disk)).inspect_err(|_| {
            self.release();
            // What cannot be removed now is removed by a later sweep.
            let _ = fs::remove_dir_all(beside);
        })
    }

    fn link_all(&self, archive: &mut ZipArchive<Cursor<&[u8]>>, into: &Path) -> Result<(), UnpackError> {
        let mut made = HashSet::new();
        let mut compressed = Vec::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index_raw(index).map_err(|_| UnpackError::Archive)?;
            let path = into.join(file.enclosed_name().ok_or(UnpackError::Archive)?);
            let is_folder = file.is_dir();
            let folder = if is_folder { &path } else { path.parent().ok_or(UnpackError::Archive)? };
            if made.insert(folder.to_owned()) {
                fs::create_dir_all(folder).map_err(folder_error)?;
            }
            if is_folder {
                continue;
            }
            if file.encrypted() {
                return Err(UnpackError::Archive);
            }
            compressed.clear();
            file.read_to_end(&mut compressed).map_err(|_| UnpackError::Archive)?;
            // No writes: the file is shared with other versions.
            let mode = file.unix_mode().unwrap_or(DEFAULT_MODE) & 0o777 & !0o222;
            let method = file.compression();
            let mut digest = Sha256::new();
            digest.update(format!("{method:?} {} {} {mode:o}\n", file.crc32(), file.size()));
            digest.update(&compressed);
            let entry = Entry { key: hex::encode(digest.finalize()), size: file.size(), mode };
            drop(file);
            self.link(archive, index, &entry, &path)?;
        }
        Ok(())
    }

    /// Links `path` to the stored file of an entry, which is stored first where it is missing.
    fn link(
        &self,
        archive: &mut ZipArchive<Cursor<&[u8]>>,
        index: usize,
        entry: &Entry,
        path: &Path,
    ) -> Result<(), UnpackError> {
        let stored = self.folder.join(&entry.key);
        if !is_unchanged(&stored, entry) {
            self.store(archive, index, entry, &stored)?;
        }
        if fs::symlink_metadata(path).is_ok() {
            // A duplicate name in the archive: the last entry wins.
            fs::remove_file(path).map_err(|_| UnpackError::Archive)?;
        }
        match fs::hard_link(&stored, path) {
            Ok(()) => Ok(()),
            // No hard links on this file system, or the file has the maximum number of them.
            Err(_) => fs::copy(&stored, path).map(|_| ()).map_err(UnpackError::Disk),
        }
    }

    fn store(
        &self,
        archive: &mut ZipArchive<Cursor<&[u8]>>,
        index: usize,
        entry: &Entry,
        stored: &Path,
    ) -> Result<(), UnpackError> {
        let mut content = Vec::new();
        let file = archive.by_index(index).map_err(|_| UnpackError::Archive)?;
        // Reading to the end checks the CRC.
        file.take(entry.size + 1).read_to_end(&mut content).map_err(|_| UnpackError::Archive)?;
        if content.len() as u64 != entry.size {
            return Err(UnpackError::Archive);
        }
        let beside = self.folder.join(Uuid::new_v4().to_string());
        let written = || {
            let mut file = fs::File::create_new(&beside)?;
            file.write_all(&content)?;
            file.set_permissions(fs::Permissions::from_mode(entry.mode))?;
            file.set_modified(stored_at())?;
            fs::rename(&beside, stored)
        };
        written().map_err(UnpackError::Disk)
    }

    /// Notes that a version's folder was removed, so that files may be unused.
    pub fn release(&mut self) {
        self.unused = true;
    }

    /// Removes the files that no version uses. Blocks.
    ///
    /// # Errors
    /// When the folder cannot be read or a file not removed.
    pub fn sweep(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.unused) {
            return Ok(());
        }
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // Only the store's own link is left, or the file was never completed.
            if entry.metadata()?.nlink() < 2 {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

fn has_links(archive: &mut ZipArchive<Cursor<&[u8]>>) -> Result<bool, UnpackError> {
    for index in 0..archive.len() {
        if archive.by_index_raw(index).map_err(|_| UnpackError::Archive)?.is_symlink() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn stored_at() -> SystemTime {
    UNIX_EPOCH + STORED_TIME
}

/// Whether the file is stored completely and was not modified since.
fn is_unchanged(stored: &Path, entry: &Entry) -> bool {
    fs::symlink_metadata(stored).is_ok_and(|metadata| {
        metadata.is_file()
            && metadata.len() == entry.size
            && metadata.mode() & 0o777 == entry.mode
            && metadata.modified().is_ok_and(|time| time == stored_at())
    })
}

/// The error for a folder that cannot be created: the archive has a file of that name, or the disk failed.
fn folder_error(error: io::Error) -> UnpackError {
    match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => UnpackError::Archive,
        _ => UnpackError::Disk(error),
    }
}
