//! The files of functions' code: each content is stored once, and the versions that have it share it by hard links.
//!
//! Most of what a save uploads was there before: `node_modules`, Python's packages. A file is known by what its archive holds of
//! it (the compressed bytes and what they unpack to), so that nothing is unpacked again for a file that is stored already. Stored
//! files are read-only. A file that is not as it was stored (a process was killed, somebody wrote to it) is not used again but
//! replaced.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use uuid::Uuid;
use zip::ZipArchive;

/// 1980-01-01 in seconds since the epoch, the earliest time that zips know: the modification time of every stored file.
const STORED: Duration = Duration::from_secs(315_532_800);

/// The mode of a file whose archive names none.
const MODE: u32 = 0o644;

/// The stored files of a data folder. One archive is unpacked at a time: the second finds what the first has stored.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
    /// Whether there may be files that no version has.
    unused: bool,
}

/// Why an archive is not unpacked.
#[derive(Debug)]
pub enum UnpackError {
    /// The archive is damaged, or has names that lead out of its folder.
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
    /// Opens the store in `folder`, making it where it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, unused: true })
    }

    /// Unpacks an archive into a new folder `beside`, which becomes `folder` when it is whole. An archive with symbolic links is
    /// unpacked without sharing. Blocks.
    ///
    /// # Errors
    /// When the archive is damaged or the disk fails; `beside` is removed then.
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
            // What cannot be removed now is swept later.
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
                fs::create_dir_all(folder).map_err(of_names)?;
            }
            if is_folder {
                continue;
            }
            if file.encrypted() {
                return Err(UnpackError::Archive);
            }
            compressed.clear();
            file.read_to_end(&mut compressed).map_err(|_| UnpackError::Archive)?;
            // Nobody shall write to what others share.
            let mode = file.unix_mode().unwrap_or(MODE) & 0o777 & !0o222;
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

    /// Makes `path` the file of an entry, storing that where it is missing.
    fn link(
        &self,
        archive: &mut ZipArchive<Cursor<&[u8]>>,
        index: usize,
        entry: &Entry,
        path: &Path,
    ) -> Result<(), UnpackError> {
        let stored = self.folder.join(&entry.key);
        if !is_as_stored(&stored, entry) {
            self.store(archive, index, entry, &stored)?;
        }
        if fs::symlink_metadata(path).is_ok() {
            // A name that is twice in the archive: the last one counts.
            fs::remove_file(path).map_err(|_| UnpackError::Archive)?;
        }
        match fs::hard_link(&stored, path) {
            Ok(()) => Ok(()),
            // A file system without hard links, or a file that has as many as it may have.
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

    /// Says that a version's folder was removed, whose files may now be unused.
    pub fn release(&mut self) {
        self.unused = true;
    }

    /// Removes the files that no version has. Blocks.
    ///
    /// # Errors
    /// When the folder cannot be read or a file not removed.
    pub fn sweep(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.unused) {
            return Ok(());
        }
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // The store's own name is the only one left, or it was never finished.
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
    UNIX_EPOCH + STORED
}

/// Whether there is a stored file, whole and never written to since.
fn is_as_stored(stored: &Path, entry: &Entry) -> bool {
    fs::symlink_metadata(stored).is_ok_and(|metadata| {
        metadata.is_file()
            && metadata.len() == entry.size
            && metadata.mode() & 0o777 == entry.mode
            && metadata.modified().is_ok_and(|time| time == stored_at())
    })
}

/// A folder that cannot be made: because the archive has a file of that name, or because of the disk.
fn of_names(error: io::Error) -> UnpackError {
    match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => UnpackError::Archive,
        _ => UnpackError::Disk(error),
    }
}
