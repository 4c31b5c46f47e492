//! The folders in which wschat keeps what it makes (`.wschat`): for the user's eyes only, and not for git.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

const NAME: &str = ".wschat";

/// Makes a folder and those above it that are missing, readable by the user alone, and has git pass it over: a CA's key,
/// logs and zips are in there. An existing folder that is not one of ours by its name is left as it is.
///
/// # Errors
/// When it cannot be made.
pub fn make(folder: &Path) -> io::Result<()> {
    let is_new = !folder.is_dir();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let absolute = folder.canonicalize()?;
    let named = absolute.ancestors().find(|above| above.file_name().is_some_and(|name| name == NAME));
    if let Some(top) = named.or(is_new.then_some(&*absolute)) {
        // A file system that knows no owners, or somebody else's folder: nothing that we could do about it.
        let _ = fs::set_permissions(top, Permissions::from_mode(0o700));
        let ignore = top.join(".gitignore");
        if !ignore.exists() {
            fs::write(ignore, "*\n")?;
        }
    }
    Ok(())
}

/// Deletes a folder with all that is in it, read-only folders too: the local cloud makes those of code that runs.
///
/// # Errors
/// When something of it cannot be deleted.
pub fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        removed => return removed,
    }
    make_writable(folder)?;
    fs::remove_dir_all(folder)
}

/// Lets the user change what is in a folder and in those below it.
///
/// # Errors
/// When a folder cannot be read or changed.
pub fn make_writable(folder: &Path) -> io::Result<()> {
    let permissions = fs::symlink_metadata(folder)?.permissions();
    let mode = permissions.mode();
    if mode & 0o200 == 0 {
        fs::set_permissions(folder, Permissions::from_mode(mode | 0o200))?;
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(folder: &Path) -> u32 {
        fs::metadata(folder).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_ours_is_private_and_ignored_by_git() {
        let project = tempfile::tempdir().unwrap();
        let top = project.path().join(".wschat");
        // As an earlier version left it.
        fs::create_dir(&top).unwrap();
        fs::set_permissions(&top, Permissions::from_mode(0o755)).unwrap();
        make(&top.join("local")).unwrap();
        assert_eq!((mode(&top), mode(&top.join("local"))), (0o700, 0o700));
        assert_eq!(fs::read_to_string(top.join(".gitignore")).unwrap(), "*\n");
        assert!(!top.join("local/.gitignore").exists());

        let elsewhere = project.path().join("data");
        make(&elsewhere).unwrap();
        assert_eq!((mode(&elsewhere), elsewhere.join(".gitignore").exists()), (0o700, true));
    }

    #[test]
    fn what_is_somebodys_is_left_as_it_is() {
        let theirs = tempfile::tempdir().unwrap();
        fs::set_permissions(theirs.path(), Permissions::from_mode(0o755)).unwrap();
        make(theirs.path()).unwrap();
        assert_eq!((mode(theirs.path()), theirs.path().join(".gitignore").exists()), (0o755, false));
    }
}
