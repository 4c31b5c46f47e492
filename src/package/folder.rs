//! A folder that is ready to run: everything in it goes into the zip.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::place::Place;
use super::zip::{self, Entry, LARGEST_UNZIPPED};
use super::{Artifact, PackageError, elf};

const DOING: &str = "zip the code";

/// Zips a folder that holds `bootstrap`. Links are followed as long as they stay inside; empty folders are left out.
pub(super) fn pack(root: &Path, place: &Place) -> Result<Artifact, PackageError> {
    let failed = |path: &Path, error: &io::Error| PackageError::new(DOING, format!("{}: {error}", path.display()));
    let home = fs::canonicalize(root).map_err(|error| failed(root, &error))?;
    let mut files = BTreeMap::new();
    collect(&home, &home, "", &mut vec![home.clone()], &mut files)?;

    let sizes: Vec<(String, u64)> = files
        .iter()
        .map(|(name, path)| Ok((name.clone(), fs::metadata(path).map_err(|error| failed(path, &error))?.len())))
        .collect::<Result<_, PackageError>>()?;
    let unzipped = sizes.iter().map(|(_, size)| size).sum();
    if unzipped > LARGEST_UNZIPPED {
        return Err(zip::too_large(unzipped, LARGEST_UNZIPPED, "unzipped", sizes));
    }

    let mut entries = Vec::new();
    for (name, path) in files {
        let content = fs::read(&path).map_err(|error| failed(&path, &error))?;
        let bootstrap = name == "bootstrap";
        if bootstrap {
            elf::check(&content, place).map_err(|unfit| unfit.of(&path, place))?;
        }
        let executable = bootstrap || is_executable(&path).map_err(|error| failed(&path, &error))?;
        entries.push(Entry { name, executable, content });
    }
    zip::pack(entries, place)
}

/// All files at and below `folder`: their names in the zip and where they really are. `above` are the folders that
/// lead here, links resolved.
fn collect(
    home: &Path,
    folder: &Path,
    prefix: &str,
    above: &mut Vec<PathBuf>,
    files: &mut BTreeMap<String, PathBuf>,
) -> Result<(), PackageError> {
    let failed = |error: io::Error| PackageError::new(DOING, format!("{}: {error}", folder.display()));
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            return Err(PackageError::new(DOING, format!("the name of {} is not UTF-8", path.display())));
        };
        let real = fs::canonicalize(&path)
            .map_err(|error| PackageError::new(DOING, format!("{}: {error}", path.display())))?;
        if !real.starts_with(home) {
            let why = format!("{} is a link to {}, outside of the code's folder", path.display(), real.display());
            return Err(PackageError::new(DOING, why).help("put a copy of it in the folder"));
        }
        let name = format!("{prefix}{name}");
        if !real.is_dir() {
            files.insert(name, real);
        } else if above.contains(&real) {
            let why = format!("{} is a link to a folder that it is in itself", path.display());
            return Err(PackageError::new(DOING, why).help("remove the link"));
        } else {
            above.push(real.clone());
            collect(home, &real, &format!("{name}/"), above, files)?;
            above.pop();
        }
    }
    Ok(())
}

#[cfg(unix)]
fn is_executable(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::metadata(path)?.permissions().mode() & 0o111 != 0)
}

/// Where files have no such bit, `bootstrap` is the only one that needs it.
#[cfg(not(unix))]
fn is_executable(_path: &Path) -> io::Result<bool> {
    Ok(false)
}
