//! Selects the files of a folder that go into a zip.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::exclude::Excludes;
use super::platform::Platform;
use super::zip::{self, Entry, MAX_UNZIPPED_BYTES};
use super::{Artifact, PackageError, Target, credentials, elf};

const DOING: &str = "zip the code";

/// The decision about a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is included unless a .gitignore excludes it.
    Include,
    /// It is included with all its content, regardless of .gitignore files.
    IncludeAll,
    /// Like `IncludeAll`, for packages that a package manager has installed: their keys and certificates are not the user's
    /// credentials.
    Installed,
    Exclude,
}

/// Files by their name in the zip, with their real paths.
pub(super) type Files = BTreeMap<String, PathBuf>;

/// The files of a folder.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub files: Files,
    /// Files and whole folders that a .gitignore excludes, with its path.
    pub left_out: Files,
    /// Names of files that are excluded because they look like credentials.
    pub secrets: BTreeSet<String>,
}

/// Whether the file of this name never goes into a zip, whatever the language.
pub(super) fn is_never_packaged(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|last| credentials::is_tool_file(last) || last == "wschat.toml")
}

/// Zips a folder that contains `bootstrap`. It is the output of a build, so everything is included except credentials;
/// returns a warning that names those.
pub(super) fn pack(root: &Path, platform: &Platform) -> Result<(Artifact, Option<String>), PackageError> {
    let Contents { files, secrets, .. } = built(root)?;
    let mut entries = entries(files)?;
    let mut warning = credentials::warning(&secrets);
    if let Some(bootstrap) = entries.iter_mut().find(|entry| entry.name == "bootstrap") {
        let foreign = elf::check_or_warn(&bootstrap.content, &root.join("bootstrap"), platform)?;
        warning = warning.into_iter().chain(foreign).reduce(|one, other| format!("{one}; {other}"));
        bootstrap.executable = true;
    }
    Ok((zip::pack(entries, platform.target())?, warning))
}

/// Zips a folder that a build has made for a runtime of Lambda's, or that is a layer: everything is included except credentials;
/// returns a warning that names those.
pub(super) fn pack_whole(root: &Path, target: Target) -> Result<(Artifact, Option<String>), PackageError> {
    let Contents { files, secrets, .. } = built(root)?;
    if files.is_empty() {
        return Err(PackageError::new(DOING, format!("there are no files in {}", root.display())));
    }
    Ok((zip::pack(entries(files)?, target)?, credentials::warning(&secrets)))
}

/// The files in a folder with `bootstrap` that look like credentials.
pub(super) fn secrets(root: &Path) -> BTreeSet<String> {
    built(root).map(|contents| contents.secrets).unwrap_or_default()
}

fn built(root: &Path) -> Result<Contents, PackageError> {
    let judge = |name: &str, _: &Path| if is_never_packaged(name) { Verdict::Exclude } else { Verdict::IncludeAll };
    read(root, &judge)
}

/// All files below `root` that `judge` and the .gitignore files include. `judge` is given the name in the zip and the path.
/// Links are followed if they stay inside; empty folders are skipped.
pub(super) fn read(root: &Path, judge: &dyn Fn(&str, &Path) -> Verdict) -> Result<Contents, PackageError> {
    read_within(root, root, judge)
}

/// As `read`, but links may lead anywhere in the folder `bound`.
pub(super) fn read_within(
    root: &Path,
    bound: &Path,
    judge: &dyn Fn(&str, &Path) -> Verdict,
) -> Result<Contents, PackageError> {
    let real = |folder: &Path| {
        fs::canonicalize(folder).map_err(|error| PackageError::new(DOING, format!("{}: {error}", folder.display())))
    };
    let (home, bound) = (real(root)?, real(bound)?);
    let mut walk = Walk {
        judge,
        excludes: Excludes::above(&home),
        above: vec![home.clone()],
        contents: Contents::default(),
        home: &home,
        bound: &bound,
    };
    walk.folder(&home, "", Verdict::Include)?;
    Ok(walk.contents)
}

/// Reads `files`, if they are within Lambda's size limit.
pub(super) fn entries(files: Files) -> Result<Vec<Entry>, PackageError> {
    let failed = |path: &Path, error: &io::Error| PackageError::new(DOING, format!("{}: {error}", path.display()));
    let sizes: Vec<(String, u64)> = files
        .iter()
        .map(|(name, path)| Ok((name.clone(), fs::metadata(path).map_err(|error| failed(path, &error))?.len())))
        .collect::<Result<_, PackageError>>()?;
    let unzipped = sizes.iter().map(|(_, size)| size).sum();
    if unzipped > MAX_UNZIPPED_BYTES {
        return Err(zip::too_large(unzipped, MAX_UNZIPPED_BYTES, "unzipped", sizes));
    }
    let entry = |(name, path): (String, PathBuf)| {
        let content = fs::read(&path).map_err(|error| failed(&path, &error))?;
        let executable = is_executable(&path).map_err(|error| failed(&path, &error))?;
        Ok(Entry { name, executable, content })
    };
    files.into_iter().map(entry).collect()
}

struct Walk<'a> {
    home: &'a Path,
    /// The folder that links must not leave.
    bound: &'a Path,
    judge: &'a dyn Fn(&str, &Path) -> Verdict,
    excludes: Excludes,
    /// The current folder and those above it, links resolved; for finding cycles.
    above: Vec<PathBuf>,
    contents: Contents,
}

impl Walk<'_> {
    /// Reads a folder, whose name in the zip is `prefix`; `outer` is the decision about the folder itself.
    fn folder(&mut self, folder: &Path, prefix: &str, outer: Verdict) -> Result<(), PackageError> {
        self.excludes.enter(folder);
        let failed = |error: io::Error| PackageError::new(DOING, format!("{}: {error}", folder.display()));
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                return Err(PackageError::new(DOING, format!("the name of {} is not UTF-8", path.display())));
            };
            self.entry(&path, format!("{prefix}{name}"), outer)?;
        }
        self.excludes.leave();
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: String, outer: Verdict) -> Result<(), PackageError> {
        let verdict = (self.judge)(&name, path);
        let asked_for = self.excludes.own_rule(path, path.is_dir());
        // Decided before the link is resolved: a broken link that is excluded is not an error.
        if let Some(Err(rule)) = asked_for {
            self.contents.left_out.insert(name, rule);
            return Ok(());
        }
        let verdict = match verdict {
            Verdict::Exclude => return Ok(()),
            Verdict::Include if outer != Verdict::Include => outer,
            verdict => verdict,
        };
        if asked_for.is_none() {
            if verdict == Verdict::Include
                && let Some(rule) = self.excludes.rule(path, path.is_dir())
            {
                self.contents.left_out.insert(name, rule);
                return Ok(());
            }
            // Keys and certificates in installed packages (test data, root certificates) are not the user's credentials.
            let installed = verdict == Verdict::Installed || name.split('/').any(|part| part == "node_modules");
            if !installed && credentials::is_secret(path) {
                self.contents.secrets.insert(name);
                return Ok(());
            }
        }
        let real =
            fs::canonicalize(path).map_err(|error| PackageError::new(DOING, format!("{}: {error}", path.display())))?;
        if !real.starts_with(self.home) && !real.starts_with(self.bound) {
            let what = if self.bound == self.home { "code's folder" } else { "repository" };
            let why = format!("{} is a link to {}, outside of the {what}", path.display(), real.display());
            return Err(PackageError::new(DOING, why).help("put a copy of it in the folder"));
        }
        if !real.is_dir() {
            self.contents.files.insert(name, real);
        } else if self.above.contains(&real) {
            let why = format!("{} is a link to a folder that it is in itself", path.display());
            return Err(PackageError::new(DOING, why).help("remove the link"));
        } else {
            self.above.push(real);
            self.folder(path, &format!("{name}/"), verdict)?;
            self.above.pop();
        }
        Ok(())
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::metadata(path)?.permissions().mode() & 0o111 != 0)
}

/// On systems without executable bits; `bootstrap` is marked executable elsewhere.
#[cfg(not(unix))]
fn is_executable(_path: &Path) -> io::Result<bool> {
    Ok(false)
}
