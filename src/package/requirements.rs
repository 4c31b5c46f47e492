//! Parses requirements files as far as they reference other files: includes, constraints, and projects that are named by
//! path. Everything else is passed to pip unchanged.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::PackageError;

const DOING: &str = "install the dependencies";

/// The largest depth of includes.
const MAX_INCLUDE_DEPTH: usize = 32;

/// Requirements with their includes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Requirements {
    pub lines: Vec<Line>,
    /// The texts of all files involved, constraints included.
    pub texts: Vec<String>,
    /// The allowed hashes: `sha256:...`.
    pub hashes: BTreeSet<String>,
    /// Whether every package needs a hash (pip's hash-checking mode).
    pub hashed: bool,
    /// Whether a file is included by URL, which may change while these texts stay the same.
    pub includes_url: bool,
}

/// One line for pip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// An option, such as the package index.
    Option(String),
    /// A requirement, unchanged.
    Plain(String),
    /// A project's folder, an archive or a wheel on this machine.
    Local(Local),
}

/// A requirement that is named by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Local {
    pub path: PathBuf,
    /// `[extra]`, or nothing.
    pub extras: String,
    /// `; python_version < "3.12"`, or nothing.
    pub marker: String,
}

impl Requirements {
    /// Reads a requirements file. Paths in it are relative to `folder`, where pip would run, or to the file itself; includes
    /// are relative to the file.
    ///
    /// # Errors
    /// When it, or a file that it includes, cannot be read; when a project that it names by path is missing.
    pub fn read(file: &Path, folder: &Path) -> Result<Self, PackageError> {
        let mut all = Self::default();
        all.include(file, folder, 0)?;
        Ok(all)
    }

    /// Parses the text of a requirements file. Paths in it are relative to one of `bases`.
    ///
    /// # Errors
    /// As `read`.
    pub fn parse(text: &str, bases: &[&Path]) -> Result<Self, PackageError> {
        let mut all = Self::default();
        all.take(text, bases, 0)?;
        Ok(all)
    }

    /// Whether there is nothing to install.
    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| matches!(line, Line::Option(_)))
    }

    /// The projects and files that are named by path.
    pub fn locals(&self) -> impl Iterator<Item = &Local> {
        self.lines.iter().filter_map(|line| match line {
            Line::Local(local) => Some(local),
            _ => None,
        })
    }

    /// The names of the packages that are required by name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| match line {
            Line::Plain(line) => {
                let end = line.find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_.".contains(letter)));
                Some(&line[..end.unwrap_or(line.len())]).filter(|name| !name.is_empty())
            }
            _ => None,
        })
    }

    fn include(&mut self, file: &Path, folder: &Path, depth: usize) -> Result<(), PackageError> {
        let failed = |why: String| PackageError::new(DOING, format!("{}: {why}", file.display()));
        if depth > MAX_INCLUDE_DEPTH {
            return Err(failed("requirements files include each other in a circle".to_owned()));
        }
        let text = fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        self.take(&text, &[folder, file.parent().unwrap_or(folder)], depth)
    }

    fn take(&mut self, text: &str, bases: &[&Path], depth: usize) -> Result<(), PackageError> {
        self.texts.push(text.to_owned());
        for line in logical_lines(text) {
            self.line(&line, bases, depth)?;
        }
        Ok(())
    }

    fn line(&mut self, line: &str, bases: &[&Path], depth: usize) -> Result<(), PackageError> {
        // As in pip, includes are relative to the file that they are in.
        let beside = |name: &str| bases.last().map_or_else(|| PathBuf::from(name), |base| base.join(name));
        if let Some(name) = option(line, "-r", "--requirement") {
            if is_url(name) {
                self.includes_url = true;
                self.lines.push(Line::Plain(line.to_owned()));
                return Ok(());
            }
            let folder = bases.first().copied().unwrap_or(Path::new("."));
            return self.include(&beside(name), folder, depth + 1);
        }
        if let Some(name) = option(line, "-c", "--constraint") {
            if is_url(name) {
                self.includes_url = true;
                self.lines.push(Line::Option(line.to_owned()));
                return Ok(());
            }
            let file = beside(name);
            let text = fs::read_to_string(&file)
                .map_err(|error| PackageError::new(DOING, format!("{}: {error}", file.display())))?;
            self.texts.push(text);
            self.lines.push(Line::Option(format!("--constraint {}", file.display())));
            return Ok(());
        }
        if let Some(place) = option(line, "-f", "--find-links") {
            let folder = bases.iter().map(|base| base.join(place)).find(|path| !is_url(place) && path.exists());
            let place = folder.map_or_else(|| place.to_owned(), |folder| folder.display().to_string());
            self.lines.push(Line::Option(format!("--find-links {place}")));
            return Ok(());
        }
        let editable = option(line, "-e", "--editable");
        if line.starts_with('-') && editable.is_none() {
            self.hashed |= line == "--require-hashes";
            self.lines.push(Line::Option(line.to_owned()));
            return Ok(());
        }
        let requirement = editable.unwrap_or(line);
        let (body, options) = match requirement.find(" --") {
            Some(at) => (requirement[..at].trim_end(), &requirement[at..]),
            None => (requirement, ""),
        };
        for hash in options.split_whitespace().filter_map(|option| option.strip_prefix("--hash=")) {
            self.hashed = true;
            self.hashes.insert(hash.to_owned());
        }
        let line = match local(body, bases)? {
            Some(local) => Line::Local(local),
            // Editable installations cannot be zipped, so it is installed normally.
            None => Line::Plain(requirement.to_owned()),
        };
        self.lines.push(line);
        Ok(())
    }
}

/// The lines as pip reads them: continued by backslashes, without comments.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = String::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let whole_comment = line.trim_start().starts_with('#');
        match line.strip_suffix('\\') {
            Some(start) if !whole_comment => {
                pending.push_str(start);
                continue;
            }
            _ if whole_comment => {}
            _ => pending.push_str(line),
        }
        lines.push(std::mem::take(&mut pending));
    }
    lines.push(pending);
    let comment = |line: &str| {
        line.char_indices()
            .find(|&(at, c)| c == '#' && (at == 0 || line[..at].ends_with(|before: char| before.is_whitespace())))
    };
    let clean = |line: String| {
        let end = comment(&line).map_or(line.len(), |(at, _)| at);
        line[..end].trim().to_owned()
    };
    lines.into_iter().map(clean).filter(|line| !line.is_empty()).collect()
}

/// The value of an option in either of its forms: `-r FILE`, `-rFILE`, `--requirement FILE`, `--requirement=FILE`.
fn option<'a>(line: &'a str, short: &str, long: &str) -> Option<&'a str> {
    let rest = match line.strip_prefix(long) {
        Some(rest) => rest.strip_prefix('=').or_else(|| rest.strip_prefix(char::is_whitespace))?,
        None => line.strip_prefix(short)?.trim_start_matches('='),
    };
    let value = rest.trim();
    Some(value.strip_prefix(['"', '\'']).and_then(|value| value.strip_suffix(['"', '\''])).unwrap_or(value))
}

fn is_url(text: &str) -> bool {
    text.contains("://") && !text.starts_with("file:")
}

/// Parses a requirement that is named by path; `None` for other requirements.
fn local(requirement: &str, bases: &[&Path]) -> Result<Option<Local>, PackageError> {
    let (body, marker) = match requirement.split_once(" ;").or_else(|| requirement.split_once("; ")) {
        Some((body, marker)) => (body.trim(), format!("; {}", marker.trim())),
        None => (requirement, String::new()),
    };
    // `name[extra] @ file:///path`
    let (named, place) = match body.split_once('@') {
        Some((name, place)) if place.trim_start().starts_with("file:") => (Some(name.trim()), place.trim()),
        _ => (None, body),
    };
    let (path, mut extras) = match place.strip_prefix("file:") {
        Some(rest) => (unescape(rest.strip_prefix("//localhost").or(rest.strip_prefix("//")).unwrap_or(rest)), ""),
        None if is_url(place) || place.contains('@') => return Ok(None),
        None => match place.split_once('[') {
            Some((path, extras)) => (path.to_owned(), extras.strip_suffix(']').unwrap_or(extras)),
            None => (place.to_owned(), ""),
        },
    };
    let path = path.split('#').next().unwrap_or_default().to_owned();
    if let Some((_, given)) = named.and_then(|name| name.split_once('[')) {
        extras = given.strip_suffix(']').unwrap_or(given);
    }
    let explicit = place.starts_with("file:") || path.starts_with(['.', '/']);
    let archive = [".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2"].iter().any(|ending| path.ends_with(ending));
    if !explicit && !archive && !path.contains('/') {
        return Ok(None);
    }
    let found = bases.iter().map(|base| base.join(&path)).find(|path| path.exists());
    let extras = if extras.is_empty() { String::new() } else { format!("[{extras}]") };
    match found {
        Some(path) => {
            let path = fs::canonicalize(&path)
                .map_err(|error| PackageError::new(DOING, format!("{}: {error}", path.display())))?;
            Ok(Some(Local { path, extras, marker }))
        }
        None if explicit || archive => {
            let base = bases.first().copied().unwrap_or(Path::new("."));
            let why =
                format!("the requirement {requirement} names {}, which does not exist", base.join(&path).display());
            Err(PackageError::new(DOING, why).help("a path in a requirements file is relative to the code's folder"))
        }
        None => Ok(None),
    }
}

/// Decodes `%20` and the like in a URL's path.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..2).filter(|_| first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &tail[2..]),
            None => (bytes.push(first), rest = tail),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A digest of the names and contents in a project's folder, an archive or a wheel, without the files that builds and tools
/// leave in a project.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn digest(path: &Path) -> Result<String, PackageError> {
    let failed = |path: &Path, error: std::io::Error| PackageError::new(DOING, format!("{}: {error}", path.display()));
    let mut hash = Sha256::new();
    let mut pending = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        if !path.is_dir() {
            let content = fs::read(&path).map_err(|error| failed(&path, error))?;
            hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
            hash.update((content.len() as u64).to_be_bytes());
            hash.update(content);
            continue;
        }
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        let entries = fs::read_dir(&path).map_err(|error| failed(&path, error))?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        // Linked folders may form a cycle; builds cannot read broken links.
        paths.retain(|path| !is_build_output(path) && path.exists() && !(path.is_symlink() && path.is_dir()));
        paths.sort();
        pending.extend(paths);
    }
    Ok(hex::encode(&hash.finalize()[..16]))
}

fn is_build_output(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folders = ["build", "dist", "node_modules", "__pycache__"];
    path.is_dir()
        && (name.starts_with('.')
            || name.ends_with(".egg-info")
            || folders.contains(&name.as_ref())
            || path.join("pyvenv.cfg").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_path_is_found_and_the_rest_is_left_to_pip() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        for name in ["fn", "a lib", "lib"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join("fn/x-1-py3-none-any.whl"), "").unwrap();
        let base = root.join("fn");
        let cases = [
            ("../lib", Some(("lib", "", ""))),
            ("-e ../lib", Some(("lib", "", ""))),
            ("--editable=../lib  # ours", Some(("lib", "", ""))),
            ("../lib[fast,small] ; python_version < '4'", Some(("lib", "[fast,small]", "; python_version < '4'"))),
            ("lib @ file:../lib", Some(("lib", "", ""))),
            ("lib[fast] @ file://ROOT/a%20lib", Some(("a lib", "[fast]", ""))),
            ("file://ROOT/lib#egg=lib", Some(("lib", "", ""))),
            ("x-1-py3-none-any.whl --hash=sha256:00", Some(("fn/x-1-py3-none-any.whl", "", ""))),
            ("humanize==4.9 ; python_version < '4'", None),
            ("lib", None),
            ("lib @ https://example.com/lib.zip", None),
            ("-e git+https://example.com/lib.git@v1#egg=lib", None),
        ];
        for (line, expected) in cases {
            let line = line.replace("ROOT", &root.display().to_string());
            let found = Requirements::parse(&line, &[&base]).unwrap();
            let local = found.locals().next().cloned();
            let expected = expected.map(|(path, extras, marker)| Local {
                path: root.join(path),
                extras: extras.to_owned(),
                marker: marker.to_owned(),
            });
            assert_eq!(local, expected, "{line}");
            assert!(!format!("{:?}", found.lines).contains("-e "), "{line}");
        }
        let error = Requirements::parse("-e ../nowhere", &[&base]).unwrap_err();
        assert!(error.why.contains("which does not exist"), "{error}");
    }

    #[test]
    fn includes_are_relative_to_their_file_and_all_texts_are_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |name: &str, text: &str| {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), text).unwrap();
        };
        write(
            "fn/requirements.txt",
            "-r ../common/base.txt\n-c limits.txt\n--index-url https://example.com/simple\none==1\n",
        );
        write("fn/limits.txt", "two<3\n");
        write("common/base.txt", "-r more.txt\ntwo \\\n  --hash=sha256:22 \\\n  --hash=sha256:23\n#\\\n# three\n");
        write("common/more.txt", "\u{feff}four#no-comment\n");
        let found = Requirements::read(&root.join("fn/requirements.txt"), &root.join("fn")).unwrap();
        let limits = root.join("fn/limits.txt").display().to_string();
        let expected = [
            Line::Plain("four#no-comment".to_owned()),
            Line::Plain("two   --hash=sha256:22   --hash=sha256:23".to_owned()),
            Line::Option(format!("--constraint {limits}")),
            Line::Option("--index-url https://example.com/simple".to_owned()),
            Line::Plain("one==1".to_owned()),
        ];
        assert_eq!(found.lines, expected);
        assert_eq!(found.texts.len(), 4);
        assert!(found.hashed && found.hashes.contains("sha256:23"));

        write("fn/requirements.txt", "-r requirements.txt\n");
        let error = Requirements::read(&root.join("fn/requirements.txt"), &root.join("fn")).unwrap_err();
        assert!(error.why.contains("in a circle"), "{error}");
    }

    #[test]
    fn a_projects_digest_ignores_build_output() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), text).unwrap();
        };
        write("lib/a.py", "1");
        write("lib/sub/b.py", "1");
        let digest = || digest(folder.path()).unwrap();
        let first = digest();
        for left in ["build/lib/a.py", "lib.egg-info/PKG-INFO", "lib/__pycache__/a.pyc", ".git/HEAD", "env/pyvenv.cfg"]
        {
            write(left, "1");
        }
        assert_eq!(digest(), first);
        write("lib/sub/b.py", "2");
        assert_ne!(digest(), first);
    }
}
