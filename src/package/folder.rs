//! Folders on their way into a zip: which of their files go in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::exclude::Excludes;
use super::place::Place;
use super::zip::{self, Entry, LARGEST_UNZIPPED};
use super::{Artifact, PackageError, elf, private};

const DOING: &str = "zip the code";

/// What becomes of something in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes in, unless a .gitignore leaves it out.
    Take,
    /// It goes in with all that is in it, whatever a .gitignore says.
    Whole,
    /// As `Whole`, and nothing in it is taken for the user's own credentials: what a package manager has installed.
    Installed,
    Leave,
}

/// Files by their name in the zip: where they really are.
pub(super) type Files = BTreeMap<String, PathBuf>;

/// A folder, read.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub files: Files,
    /// What a .gitignore leaves out, and which: folders as a whole.
    pub left_out: Files,
    /// What is left out because it looks like credentials.
    pub secrets: BTreeSet<String>,
}

/// What never goes into a zip, whatever the code is.
pub(super) fn is_foreign(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|last| private::is_tools_own(last) || last == "wschat.toml")
}

/// Zips a folder that holds `bootstrap`: all of it, for it is what a build made, but for credentials; of those there is a
/// warning.
pub(super) fn pack(root: &Path, place: &Place) -> Result<(Artifact, Option<String>), PackageError> {
    let Contents { files, secrets, .. } = built(root)?;
    let mut entries = entries(files)?;
    if let Some(bootstrap) = entries.iter_mut().find(|entry| entry.name == "bootstrap") {
        elf::check(&bootstrap.content, place).map_err(|unfit| unfit.of(&root.join("bootstrap"), place))?;
        bootstrap.executable = true;
    }
    Ok((zip::pack(entries, place.target())?, private::warning(&secrets)))
}

/// What in a folder that holds `bootstrap` looks like credentials.
pub(super) fn secrets(root: &Path) -> BTreeSet<String> {
    built(root).map(|contents| contents.secrets).unwrap_or_default()
}

fn built(root: &Path) -> Result<Contents, PackageError> {
    let judge = |name: &str, _: &Path| if is_foreign(name) { Verdict::Leave } else { Verdict::Whole };
    read(root, &judge)
}

/// All files at and below `root` that `judge` and the .gitignore files let in. `judge` is given the name in the zip and
/// the path. Links are followed as long as they stay inside; empty folders are left out.
pub(super) fn read(root: &Path, judge: &dyn Fn(&str, &Path) -> Verdict) -> Result<Contents, PackageError> {
    read_within(root, root, judge)
}

/// As `read`, where links may lead anywhere in the folder `bound`.
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
    walk.folder(&home, "", Verdict::Take)?;
    Ok(walk.contents)
}

/// Reads `files`, if Lambda would take so much.
pub(super) fn entries(files: Files) -> Result<Vec<Entry>, PackageError> {
    let failed = |path: &Path, error: &io::Error| PackageError::new(DOING, format!("{}: {error}", path.display()));
    let sizes: Vec<(String, u64)> = files
        .iter()
        .map(|(name, path)| Ok((name.clone(), fs::metadata(path).map_err(|error| failed(path, &error))?.len())))
        .collect::<Result<_, PackageError>>()?;
    let unzipped = sizes.iter().map(|(_, size)| size).sum();
    if unzipped > LARGEST_UNZIPPED {
        return Err(zip::too_large(unzipped, LARGEST_UNZIPPED, "unzipped", sizes));
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
    /// How far links may lead.
    bound: &'a Path,
    judge: &'a dyn Fn(&str, &Path) -> Verdict,
    excludes: Excludes,
    /// The folders that lead to the one that is read, links resolved.
    above: Vec<PathBuf>,
    contents: Contents,
}

impl Walk<'_> {
    /// Reads a folder, which is called `prefix` in the zip; `outer` is what became of the folder itself.
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
        // A link that leads nowhere stops nobody where it is left out.
        if let Some(Err(rule)) = asked_for {
            self.contents.left_out.insert(name, rule);
            return Ok(());
        }
        let verdict = match verdict {
            Verdict::Leave => return Ok(()),
            Verdict::Take if outer != Verdict::Take => outer,
            verdict => verdict,
        };
        if asked_for.is_none() {
            if verdict == Verdict::Take
                && let Some(rule) = self.excludes.rule(path, path.is_dir())
            {
                self.contents.left_out.insert(name, rule);
                return Ok(());
            }
            // Packages that are installed have their own reasons for the keys and certificates in them.
            let installed = verdict == Verdict::Installed || name.split('/').any(|part| part == "node_modules");
            if !installed && private::is_secret(path) {
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

/// Where files have no such bit, `bootstrap` is the only one that needs it.
#[cfg(not(unix))]
fn is_executable(_path: &Path) -> io::Result<bool> {
    Ok(false)
}
