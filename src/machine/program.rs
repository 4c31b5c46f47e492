//! Programs of this machine: where they are, and whether they are still the same.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The file that a command named `name` would run: in `folder`, by default in the PATH. `None` if there is none.
pub fn locate(name: &str, folder: Option<&Path>) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "where programs are looked for")]
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = match folder {
        Some(folder) => vec![folder.to_owned()],
        None => env::split_paths(&path).collect(),
    };
    folders.into_iter().map(|folder| folder.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file()
}

/// A text that changes when an executable is replaced: where it really is, its size and its modification time.
pub fn state(executable: &Path) -> Option<String> {
    let real = fs::canonicalize(executable).ok()?;
    let file = fs::metadata(&real).ok()?;
    Some(format!("{} {} {:?}", real.display(), file.len(), file.modified().ok()?))
}
