//! Functions' code: the uploaded archives, and the contents of each in a folder to run from, which shares files with the
//! others (`file_store`).

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zip::ZipArchive;

use super::error;
use super::file_store::{FileStore, UnpackError};
use crate::local::context::store::write_atomically;
use crate::local::lock::lock;
use crate::local::protocol::wire::ApiError;
use crate::machine::own_folder;

/// The largest archive that can be uploaded directly, and its largest unpacked size (Lambda quotas), in bytes.
const MAX_ARCHIVE: usize = 52_428_800;
const MAX_CONTENTS: u64 = 262_144_000;

/// A stored archive of code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeArchive {
    /// base64 of the archive's SHA-256, as `CodeSha256` shows it.
    pub sha256: String,
    /// The archive's length in bytes.
    pub size: u64,
}

impl CodeArchive {
    fn of(archive: &[u8]) -> Self {
        Self { sha256: BASE64_STANDARD.encode(Sha256::digest(archive)), size: archive.len() as u64 }
    }

    /// What stands for a container image, of which nothing is stored here: a digest of its name.
    pub fn of_image(uri: &str) -> Self {
        Self { size: 0, ..Self::of(uri.as_bytes()) }
    }

    /// The SHA-256 in hexadecimal: base64 has slashes, which file names and URL segments cannot have.
    pub fn hex(&self) -> String {
        hex::encode(BASE64_STANDARD.decode(&self.sha256).unwrap_or_default())
    }
}

/// How long new code is kept although no function uses it yet: the function it was uploaded for is created meanwhile.
const UNUSED_CODE_LIFETIME: Duration = Duration::from_secs(60);

/// The folder for the bytecode that Python compiles from a folder of contents, also named by the code's SHA-256.
pub fn bytecode(contents: &Path) -> PathBuf {
    let name = contents.file_name().unwrap_or_default();
    contents.ancestors().nth(2).unwrap_or(contents).join(BYTECODE).join(name)
}

const BYTECODE: &str = "bytecode";

/// The name of the folder in which the contents of several layers are one; none where there are not several.
pub fn merged_name(layers: &[CodeArchive]) -> Option<String> {
    let names: Vec<String> = layers.iter().map(CodeArchive::hex).collect();
    (names.len() > 1).then(|| hex::encode(Sha256::digest(names.join(" "))))
}

/// Makes of the contents of layers one folder, `merged`, in which later layers win, unless it is there. Blocks.
///
/// # Errors
/// When the disk fails.
pub fn merge(layers: &[PathBuf], merged: &Path) -> io::Result<()> {
    if merged.is_dir() {
        return Ok(());
    }
    // Under another name and renamed, so that a folder of that name is always complete.
    let beside = merged.with_file_name(Uuid::new_v4().to_string());
    fs::create_dir_all(&beside)?;
    for layer in layers {
        merge_folder(layer, &beside)?;
    }
    match fs::rename(&beside, merged) {
        // Another environment was faster.
        Err(_) if merged.is_dir() => own_folder::remove(&beside),
        renamed => renamed,
    }
}

fn merge_folder(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            if !place.is_dir() {
                remove_file(&place)?;
                fs::create_dir(&place)?;
            }
            merge_folder(&path, &place)?;
            continue;
        }
        if place.is_dir() {
            fs::remove_dir_all(&place)?;
        }
        remove_file(&place)?;
        fs::hard_link(&path, &place).or_else(|_| fs::copy(&path, &place).map(drop))?;
    }
    Ok(())
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// All archives, by their SHA-256: functions with the same code share one.
#[derive(Debug, Clone)]
pub struct Packages {
    archives: PathBuf,
    contents: PathBuf,
    bytecode: PathBuf,
    /// Locked while an archive is stored: the second of two uploads of the same archive finds the first.
    files: Arc<Mutex<FileStore>>,
    /// The times of recent uploads, by SHA-256 in hexadecimal. Also locked while code is removed.
    fresh: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Packages {
    /// Opens the store in `folder`, and creates it where it is missing.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let packages = Self {
            archives: folder.join("archives"),
            contents: folder.join("contents"),
            bytecode: folder.join(BYTECODE),
            files: Arc::new(Mutex::new(FileStore::open(folder.join("files"))?)),
            fresh: Arc::default(),
        };
        for folder in [&packages.archives, &packages.contents, &packages.bytecode] {
            fs::create_dir_all(folder)?;
        }
        Ok(packages)
    }

    /// Checks an archive as `store` does, without storing it.
    ///
    /// # Errors
    /// Lambda's refusal of an invalid archive, or of one over the limits.
    pub fn check(archive: &[u8]) -> Result<CodeArchive, ApiError> {
        read(archive)?;
        Ok(CodeArchive::of(archive))
    }

    /// Stores an archive and unpacks it. Blocks.
    ///
    /// # Errors
    /// Lambda's refusal of an invalid archive, or of one over the limits; `ServiceException` where the disk fails.
    pub fn store(&self, archive: &[u8]) -> Result<CodeArchive, ApiError> {
        let mut contents = read(archive)?;
        let code = CodeArchive::of(archive);
        let folder = self.folder(&code);
        lock(&self.fresh).insert(code.hex(), Instant::now());
        let mut files = lock(&self.files);
        if folder.is_dir() {
            return Ok(code);
        }
        let failed = |error: io::Error| error::service(format!("cannot keep the function's code: {error}"));
        write_atomically(&self.archive(&code), archive).map_err(failed)?;
        // Unpacked under another name and renamed, so that a folder of that name is always complete.
        let beside = self.contents.join(Uuid::new_v4().to_string());
        // `read` has checked the sum of the sizes in the directory, and no file unpacks to more than its entry says.
        files.unpack(&mut contents, &beside, &folder).map_err(|failure| match failure {
            UnpackError::Archive => unreadable(),
            UnpackError::Disk(error) => failed(error),
        })?;
        Ok(code)
    }

    /// The folder with an archive's contents.
    pub fn folder(&self, code: &CodeArchive) -> PathBuf {
        self.contents.join(code.hex())
    }

    /// The folders of layers, in their order, and the folder that functions with them see below `/opt`; none where this machine has
    /// none of them. Several are made one by `merge`.
    pub fn layers(&self, layers: &[CodeArchive]) -> Option<(Vec<PathBuf>, PathBuf)> {
        let folders: Vec<PathBuf> = layers.iter().map(|code| self.folder(code)).collect();
        let merged = merged_name(layers).map(|name| self.contents.join(name));
        let opt = merged.or_else(|| folders.first().cloned())?;
        Some((folders, opt))
    }

    /// Reads an archive by its SHA-256 in hexadecimal.
    ///
    /// # Errors
    /// When it does not exist or cannot be read.
    pub fn read(&self, hex: &str) -> io::Result<Vec<u8>> {
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        fs::read(self.archives.join(format!("{hex}.zip")))
    }

    /// Removes all code except that of `used` and recent uploads. Blocks.
    ///
    /// # Errors
    /// When a folder cannot be read or a file cannot be removed.
    pub fn sweep(&self, used: &HashSet<String>) -> io::Result<()> {
        let mut fresh = lock(&self.fresh);
        fresh.retain(|_, uploaded| uploaded.elapsed() < UNUSED_CODE_LIFETIME);
        let stays = |name: &str| used.contains(name) || fresh.contains_key(name);
        for entry in fs::read_dir(&self.archives)? {
            let path = entry?.path();
            // An archive that is being written has another extension.
            let is_archive = path.extension().is_some_and(|extension| extension == "zip");
            if is_archive && !path.file_stem().is_some_and(|stem| stays(&stem.to_string_lossy())) {
                fs::remove_file(path)?;
            }
        }
        for entry in fs::read_dir(&self.contents)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // A partly unpacked folder has a UUID as its name. One left by a killed server is removed once no upload can be in
            // progress.
            let half = name.contains('-') && !fresh.is_empty();
            if !half && !stays(&name) {
                // Renamed first, so that a folder of that name is always complete.
                let beside = self.contents.join(Uuid::new_v4().to_string());
                fs::rename(entry.path(), &beside)?;
                lock(&self.files).release();
                own_folder::remove(&beside)?;
            }
        }
        for entry in fs::read_dir(&self.bytecode)? {
            let entry = entry?;
            if !stays(&entry.file_name().to_string_lossy()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        drop(fresh);
        lock(&self.files).sweep()
    }

    fn archive(&self, code: &CodeArchive) -> PathBuf {
        self.archives.join(format!("{}.zip", code.hex()))
    }
}

fn read(archive: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, ApiError> {
    if archive.len() > MAX_ARCHIVE {
        return Err(error::zip_too_long(MAX_ARCHIVE));
    }
    let contents = ZipArchive::new(Cursor::new(archive)).map_err(|_| unreadable())?;
    if contents.is_empty() {
        return Err(error::invalid("Uploaded file must be a non-empty zip"));
    }
    // The directory also has the sizes of files that were written as a stream, with their sizes behind the data (APPNOTE
    // 4.3.9, data descriptors), as many tools do. `decompressed_size` of the library does not support those.
    let sizes = (0..contents.len()).map(|index| contents.by_index_data(index).map(|file| u128::from(file.size())));
    let total: u128 = sizes.sum::<Result<_, _>>().map_err(|_| unreadable())?;
    if total > u128::from(MAX_CONTENTS) {
        return Err(error::invalid(format!("Unzipped size must be smaller than {MAX_CONTENTS} bytes")));
    }
    Ok(contents)
}

fn unreadable() -> ApiError {
    error::invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn archive(files: &[(&str, &str, u32)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text, mode) in files {
            writer.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn contents_keep_their_modes_and_their_sha256() {
        let store = tempfile::tempdir().unwrap();
        let packages = Packages::open(store.path()).unwrap();
        let archive = archive(&[("bootstrap", "#!/bin/sh", 0o755), ("lib/data.txt", "data", 0o644)]);
        let code = packages.store(&archive).unwrap();
        assert_eq!(code.sha256, BASE64_STANDARD.encode(Sha256::digest(&archive)));
        assert_eq!(packages.store(&archive).unwrap(), code, "the same archive again is the same code");
        let mode = fs::metadata(packages.folder(&code).join("bootstrap")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o555, "its files are read-only");
        assert_eq!(fs::read_to_string(packages.folder(&code).join("lib/data.txt")).unwrap(), "data");
        assert_eq!(packages.read(&code.hex()).unwrap(), archive);
    }

    #[test]
    fn an_archive_that_was_written_as_a_stream_is_unpacked() {
        let store = tempfile::tempdir().unwrap();
        let packages = Packages::open(store.path()).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ZipWriter::new_stream(&mut bytes);
        writer.start_file("index.js", SimpleFileOptions::default()).unwrap();
        writer.write_all(b"exports.handler = async () => 1\n").unwrap();
        writer.finish().unwrap();
        assert_eq!(bytes[6] & 8, 8, "sizes stand behind the data");
        let code = packages.store(&bytes).unwrap();
        assert_eq!(
            fs::read_to_string(packages.folder(&code).join("index.js")).unwrap(),
            "exports.handler = async () => 1\n"
        );
    }

    #[test]
    fn an_archive_that_unpacks_to_too_much_is_refused_even_with_false_sizes() {
        let store = tempfile::tempdir().unwrap();
        let packages = Packages::open(store.path()).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ZipWriter::new_stream(&mut bytes);
        writer.start_file("zeros", SimpleFileOptions::default()).unwrap();
        let block = vec![0; 1 << 20];
        for _ in 0..=MAX_CONTENTS >> 20 {
            writer.write_all(&block).unwrap();
        }
        writer.finish().unwrap();
        let refusal = packages.store(&bytes).unwrap_err();
        assert_eq!(refusal.message, format!("Unzipped size must be smaller than {MAX_CONTENTS} bytes"));

        // The directory's entry (APPNOTE 4.3.12) has the size at byte 24: here it says 1.
        let entry = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
        bytes[entry + 24..entry + 28].copy_from_slice(&1_u32.to_le_bytes());
        assert!(packages.store(&bytes).is_err());
        let unpacked: u64 = fs::read_dir(store.path().join("contents")).unwrap().count() as u64;
        assert_eq!(unpacked, 0, "nothing stays of it");
    }

    #[test]
    fn nothing_is_written_outside_the_folder() {
        let store = tempfile::tempdir().unwrap();
        let packages = Packages::open(&store.path().join("lambda")).unwrap();
        for name in ["../../escaped", "/tmp/../escaped-from-root"] {
            let _ = packages.store(&archive(&[(name, "x", 0o644)]));
        }
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.add_symlink("out", "../../..", SimpleFileOptions::default()).unwrap();
        writer.start_file("out/escaped", SimpleFileOptions::default()).unwrap();
        let through_a_link = writer.finish().unwrap().into_inner();
        assert!(packages.store(&through_a_link).is_err());
        let outside: Vec<_> = fs::read_dir(store.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(outside, ["lambda"]);
    }

    #[test]
    fn invalid_archives_are_refused() {
        for (archive, message) in [
            (b"not a zip".to_vec(), "Could not unzip uploaded file."),
            (archive(&[]), "Uploaded file must be a non-empty zip"),
            (vec![0; MAX_ARCHIVE + 1], "Zipped size must be smaller than 52428800 bytes"),
        ] {
            let refusal = Packages::check(&archive).unwrap_err();
            assert!(refusal.message.starts_with(message), "{}", refusal.message);
        }
    }

    fn inode(packages: &Packages, code: &CodeArchive, file: &str) -> u64 {
        fs::metadata(packages.folder(code).join(file)).unwrap().ino()
    }

    fn stored(store: &Path) -> usize {
        fs::read_dir(store.join("files")).unwrap().count()
    }

    #[test]
    fn versions_share_the_files_that_they_have_in_common() {
        let store = tempfile::tempdir().unwrap();
        let packages = Packages::open(store.path()).unwrap();
        let version = |text: &str, mode: u32| {
            let files = [("index.js", text, 0o644), ("node_modules/a/a.js", "shared", mode)];
            packages.store(&archive(&files)).unwrap()
        };
        let (one, two, other_mode) = (version("1", 0o644), version("2", 0o644), version("2", 0o755));
        let shared = "node_modules/a/a.js";
        assert_eq!(inode(&packages, &one, shared), inode(&packages, &two, shared));
        assert_ne!(inode(&packages, &one, shared), inode(&packages, &other_mode, shared));
        assert_ne!(inode(&packages, &one, "index.js"), inode(&packages, &two, "index.js"));
        assert_eq!(inode(&packages, &two, "index.js"), inode(&packages, &other_mode, "index.js"));
        assert_eq!(stored(store.path()), 4);

        // Only the files of the removed version that no other version has are removed.
        lock(&packages.fresh).clear();
        packages.sweep(&HashSet::from([two.hex()])).unwrap();
        assert_eq!(stored(store.path()), 2);
        assert_eq!(fs::read_to_string(packages.folder(&two).join(shared)).unwrap(), "shared");
        assert_eq!(inode(&packages, &version("3", 0o644), shared), inode(&packages, &two, shared));
    }

    #[test]
    fn a_modified_stored_file_is_replaced() {
        let cut: fn(&Path) = |file| fs::File::options().write(true).open(file).unwrap().set_len(2).unwrap();
        let written: fn(&Path) = |file| fs::write(file, "SHARED").unwrap();
        for damage in [cut, written] {
            let store = tempfile::tempdir().unwrap();
            let packages = Packages::open(store.path()).unwrap();
            let version = |text: &str| archive(&[("index.js", text, 0o644), ("shared.js", "shared", 0o644)]);
            let one = packages.folder(&packages.store(&version("1")).unwrap()).join("shared.js");
            // Root can write in spite of the mode, and the owner can change the mode.
            fs::set_permissions(&one, fs::Permissions::from_mode(0o644)).unwrap();
            damage(&one);
            fs::set_permissions(&one, fs::Permissions::from_mode(0o444)).unwrap();
            let two = packages.folder(&packages.store(&version("2")).unwrap()).join("shared.js");
            assert_eq!(fs::read_to_string(two).unwrap(), "shared");
        }
        // A half-written file of a killed process.
        let store = tempfile::tempdir().unwrap();
        let packages = Packages::open(store.path()).unwrap();
        fs::write(store.path().join("files").join(Uuid::new_v4().to_string()), "hal").unwrap();
        packages.sweep(&HashSet::new()).unwrap();
        assert_eq!(stored(store.path()), 0);
    }

    #[test]
    fn concurrent_uploads_of_one_archive_succeed() {
        let store = tempfile::tempdir().unwrap();
        let packages = Packages::open(store.path()).unwrap();
        // Half a megabyte when compressed: enough for the writes to overlap.
        let text: String = (0..100_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_string()).collect();
        for round in 0..10 {
            let archive = archive(&[("index.js", &format!("{round}{text}"), 0o644), ("a/b.js", "b", 0o644)]);
            let uploads: Vec<_> = (0..4)
                .map(|_| {
                    let (packages, archive) = (packages.clone(), archive.clone());
                    std::thread::spawn(move || packages.store(&archive).unwrap())
                })
                .collect();
            for upload in uploads {
                let code = upload.join().unwrap();
                assert_eq!(packages.read(&code.hex()).unwrap(), archive);
                assert_eq!(fs::read_to_string(packages.folder(&code).join("a/b.js")).unwrap(), "b");
            }
        }
        let folders = fs::read_dir(store.path().join("contents")).unwrap().count();
        assert_eq!(folders, 10, "nothing is left of those that came second");
    }

    #[test]
    fn one_name_cannot_be_a_file_and_a_folder() {
        let store = tempfile::tempdir().unwrap();
        let packages = Packages::open(store.path()).unwrap();
        for files in [[("a", "1", 0o644), ("a/b", "2", 0o644)], [("a/b", "1", 0o644), ("a", "2", 0o644)]] {
            let refusal = packages.store(&archive(&files)).unwrap_err();
            assert!(refusal.message.starts_with("Could not unzip uploaded file."), "{}", refusal.message);
        }
        assert_eq!(fs::read_dir(store.path().join("contents")).unwrap().count(), 0);
    }

    #[test]
    fn a_link_within_the_archive_stays_a_link() {
        let store = tempfile::tempdir().unwrap();
        let packages = Packages::open(store.path()).unwrap();
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("lib/a.js", SimpleFileOptions::default()).unwrap();
        writer.write_all(b"a").unwrap();
        writer.add_symlink("b.js", "lib/a.js", SimpleFileOptions::default()).unwrap();
        let code = packages.store(&writer.finish().unwrap().into_inner()).unwrap();
        assert_eq!(fs::read_link(packages.folder(&code).join("b.js")).unwrap(), Path::new("lib/a.js"));
        assert_eq!(fs::read_to_string(packages.folder(&code).join("b.js")).unwrap(), "a");
    }

    #[test]
    fn sweeping_leaves_what_is_used() {
        let store = tempfile::tempdir().unwrap();
        let packages = Packages::open(store.path()).unwrap();
        let used = packages.store(&archive(&[("bootstrap", "used", 0o755)])).unwrap();
        let unused = packages.store(&archive(&[("bootstrap", "unused", 0o755)])).unwrap();
        let kept = [&used, &unused].map(|code| bytecode(&packages.folder(code)));
        kept.iter().for_each(|folder| fs::create_dir(folder).unwrap());
        packages.sweep(&HashSet::from([used.hex()])).unwrap();
        assert!(packages.folder(&unused).is_dir(), "its function may come yet");
        lock(&packages.fresh).clear();
        packages.sweep(&HashSet::from([used.hex()])).unwrap();
        assert!(packages.folder(&used).is_dir() && packages.read(&used.hex()).is_ok());
        assert!(!packages.folder(&unused).exists() && packages.read(&unused.hex()).is_err());
        assert_eq!(kept.map(|folder| folder.is_dir()), [true, false]);
    }
}
