//! Dependencies of code, installed beside it: in a folder of the cache, never in the user's own. What was installed once
//! serves as long as the same is asked for.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::PackageError;
use super::pip::Steps;

/// Part of every key: raise it when the same request is to be installed in another way.
const FORMAT: &str = "1";

/// Something to install.
#[derive(Debug)]
pub(super) struct Install {
    /// `npm` or `pip`.
    pub tool: &'static str,
    pub program: PathBuf,
    /// What is done, in words: `npm ci`.
    pub what: String,
    pub arguments: Vec<OsString>,
    /// Where the tool runs; without one, in the folder that it installs into.
    pub folder: Option<PathBuf>,
    /// The flag that names the folder to install into, where the tool does not take its own.
    pub target_flag: Option<&'static str>,
    /// What must lie in that folder before: names and contents.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// What else makes another result: the interpreter's version, the text of requirements.
    pub also: String,
    /// Whether the same request always means the same: not if it names files elsewhere.
    pub lasting: bool,
    /// What is to be done where the tool is missing.
    pub without_tool: &'static str,
    /// Puts right what depends on this machine.
    pub tidy: fn(&Path) -> io::Result<()>,
    /// Where in the folder the dependencies are.
    pub root: &'static str,
    /// What is run in place of the one command, where that is not enough.
    pub steps: Option<Steps>,
}

/// The name under which what a tool makes is kept: of all `parts` that make another result.
pub(super) fn key<'a>(tool: &str, parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    format!("{tool}-{}", hex::encode(&hash.finalize()[..8]))
}

impl Install {
    /// The name under which it is kept.
    pub fn key(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| argument.as_encoded_bytes());
        let files = self.files.iter().flat_map(|(name, content)| [name.as_bytes(), content.as_slice()]);
        key(self.tool, [FORMAT.as_bytes(), self.also.as_bytes()].into_iter().chain(arguments).chain(files))
    }

    /// Where it is kept in `cache`, once it is made.
    pub fn kept(&self, cache: &Path) -> PathBuf {
        cache.join(self.key()).join(self.root)
    }

    /// Whether there is nothing to do; if so, it is kept for longer.
    pub fn is_made(&self, cache: &Path) -> bool {
        let folder = cache.join(self.key());
        let made = self.lasting && folder.is_dir();
        if made {
            // Its age says when it was last of use. What cannot be told so goes too early, and is made again.
            let _ = fs::File::open(folder).and_then(|folder| folder.set_modified(SystemTime::now()));
        }
        made
    }

    /// Installs it into `cache`.
    pub async fn make(&self, cache: &Path) -> Result<(), PackageError> {
        let folder = cache.join(self.key());
        let failed = |error: io::Error| PackageError::new("install the dependencies", error);
        // Made beside and renamed, so that a folder of that name is always whole.
        let beside = cache.join(format!("{}.{}", self.key(), std::process::id()));
        remove(&beside).map_err(failed)?;
        fs::create_dir_all(&beside).map_err(failed)?;
        for (name, content) in &self.files {
            fs::write(beside.join(name), content).map_err(failed)?;
        }
        let installed = match &self.steps {
            Some(steps) => Box::pin(steps.run(&beside, cache)).await,
            None => self.run(&beside).await,
        };
        let renamed = match installed {
            Ok(()) => (self.tidy)(&beside).and_then(|()| remove(&folder)).and_then(|()| fs::rename(&beside, &folder)),
            Err(error) => {
                let _ = remove(&beside);
                return Err(error);
            }
        };
        // Another run may have been first with the same.
        if renamed.is_err() && folder.is_dir() { remove(&beside) } else { renamed }.map_err(failed)
    }

    async fn run(&self, into: &Path) -> Result<(), PackageError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(self.folder.as_deref().unwrap_or(into));
        if let Some(flag) = self.target_flag {
            // It may run elsewhere than we do.
            let into =
                std::path::absolute(into).map_err(|error| PackageError::new("install the dependencies", error))?;
            command.arg(flag).arg(into);
        }
        run(command, "install the dependencies", &self.what, self.without_tool).await
    }
}

/// Runs a tool to its end. `what` is it in words.
///
/// # Errors
/// When it cannot be started (then `without` says what to do) or fails, with what it said.
pub(super) async fn run(
    command: Command,
    doing: &'static str,
    what: &str,
    without: &'static str,
) -> Result<(), PackageError> {
    output(command, doing, what, without).await.map(drop)
}

/// As `run`, and gives what the tool wrote to its standard output.
///
/// # Errors
/// As `run`.
pub(super) async fn output(
    mut command: Command,
    doing: &'static str,
    what: &str,
    without: &'static str,
) -> Result<Vec<u8>, PackageError> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let error = PackageError::new(doing, format!("{program} cannot be started: {error}"));
        error.help(without)
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let mut error = PackageError::new(doing, format!("`{what}` failed"));
    if said.contains("No module named pip") {
        error = error.help(without);
    }
    error.compiler = Some(said);
    Err(error)
}

pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
