//! The folders for wschat's own files (`.wschat`): readable by the user only, and ignored by git.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

const NAME: &str = ".wschat";

/// Creates a folder and its missing parents, readable by the user only and ignored by git: they contain a CA's key, logs and
/// zips. An existing folder that is not below a `.wschat` is left unchanged.
///
/// # Errors
/// When it cannot be created.
pub fn make(folder: &Path) -> io::Result<()> {
    let is_new = !folder.is_dir();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let absolute = folder.canonicalize()?;
    let named = absolute.ancestors().find(|above| above.file_name().is_some_and(|name| name == NAME));
    if let Some(top) = named.or(is_new.then_some(&*absolute)) {
        // Fails on file systems without owners and for folders of other users, which is not an error here.
        let _ = fs::set_permissions(top, Permissions::from_mode(0o700));
        let ignore = top.join(".gitignore");
        if !ignore.exists() {
            fs::write(ignore, "*\n")?;
        }
    }
    Ok(())
}

/// Deletes a folder with its content, including read-only folders: the local cloud makes the folders of running code
/// read-only.
///
/// # Errors
/// When a file or folder cannot be deleted.
pub fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        removed => return removed,
    }
    make_writable(folder)?;
    fs::remove_dir_all(folder)
}

/// Makes a folder and those below it writable for the user.
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
    fn own_folders_are_private_and_ignored_by_git() {
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
    fn existing_folders_of_the_user_are_left_unchanged() {
        let theirs = tempfile::tempdir().unwrap();
        fs::set_permissions(theirs.path(), Permissions::from_mode(0o755)).unwrap();
        make(theirs.path()).unwrap();
        assert_eq!((mode(theirs.path()), theirs.path().join(".gitignore").exists()), (0o755, false));
    }
}
