//! Write protection of code that functions run from, where they have no file system of their own: its folder is read-only while
//! one of them runs. Afterwards it becomes writable again, since the user could not delete the data folder otherwise.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::local::lock::lock;
use crate::machine::own_folder;

/// The protected folders, each with the number of its [`Protected`] guards. Clones share them.
#[derive(Clone, Default)]
pub struct WriteProtection(Arc<Mutex<HashMap<PathBuf, usize>>>);

/// Keeps a folder protected until it is dropped.
pub struct Protected {
    folder: PathBuf,
    all: WriteProtection,
}

impl WriteProtection {
    /// Protects a folder with its content; a failure is logged. Blocks.
    pub fn protect(&self, folder: &Path) -> Protected {
        let mut all = lock(&self.0);
        if !all.contains_key(folder)
            && let Err(error) = make_read_only(folder)
        {
            tracing::warn!("functions can change their code in {}: {error}", folder.display());
        }
        *all.entry(folder.to_owned()).or_default() += 1;
        Protected { folder: folder.to_owned(), all: self.clone() }
    }
}

impl Drop for Protected {
    fn drop(&mut self) {
        let mut all = lock(&self.all.0);
        let Some(count) = all.get_mut(&self.folder) else { return };
        *count -= 1;
        if *count == 0 {
            all.remove(&self.folder);
            // It fails where the folder was deleted, and is not needed then.
            let _ = own_folder::make_writable(&self.folder);
        }
    }
}

fn make_read_only(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            make_read_only(&entry.path())?;
        } else if kind.is_file() {
            forbid_writing(&entry.path())?;
        }
    }
    forbid_writing(folder)
}

fn forbid_writing(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o222 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & !0o222))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn code_is_read_only_while_a_function_runs_from_it() {
        let code = tempfile::tempdir().unwrap();
        let (lib, file) = (code.path().join("lib"), code.path().join("lib/index.js"));
        fs::create_dir(&lib).unwrap();
        fs::write(&file, "").unwrap();
        let protection = WriteProtection::default();
        let first = protection.protect(code.path());
        let second = protection.protect(code.path());
        drop(first);
        for path in [code.path(), &lib, &file] {
            assert_eq!(mode(path) & 0o222, 0, "{}", path.display());
        }
        drop(second);
        assert_eq!((mode(code.path()) & 0o200, mode(&lib) & 0o200), (0o200, 0o200));

        // A server that was killed leaves it protected.
        std::mem::forget(protection.protect(code.path()));
        own_folder::remove(code.path()).unwrap();
    }
}
