//! Installs dependencies into a folder of the cache, never into the user's own. An installation is reused as long as the
//! request stays the same.

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

/// Part of every key: raise it when the same request should be installed differently.
const FORMAT: &str = "1";

/// A set of dependencies to install with one tool.
#[derive(Debug)]
pub(super) struct Install {
    /// `npm` or `pip`.
    pub tool: &'static str,
    pub program: PathBuf,
    /// The command, for messages: `npm ci`.
    pub what: String,
    pub arguments: Vec<OsString>,
    /// Where the tool runs; by default in the folder that it installs into.
    pub folder: Option<PathBuf>,
    /// The flag that names the folder to install into, if the tool does not use its working folder.
    pub target_flag: Option<&'static str>,
    /// Files to write into that folder first: names and contents.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// Everything else that the result depends on: the interpreter's version, the text of requirements.
    pub fingerprint: String,
    /// Whether the same request always gives the same result; not if it names files elsewhere.
    pub reproducible: bool,
    /// What to do if the tool is missing.
    pub missing_tool_help: &'static str,
    /// Removes from the result what depends on this machine.
    pub clean_up: fn(&Path) -> io::Result<()>,
    /// The dependencies' path in the folder.
    pub root: &'static str,
    /// Several commands to run instead of the single one.
    pub steps: Option<Steps>,
}

/// The name of the cache folder for a tool's result, from all `parts` that the result depends on.
pub(super) fn key<'a>(tool: &str, parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    format!("{tool}-{}", hex::encode(&hash.finalize()[..8]))
}

impl Install {
    /// The name of its folder in the cache.
    pub fn key(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| argument.as_encoded_bytes());
        let files = self.files.iter().flat_map(|(name, content)| [name.as_bytes(), content.as_slice()]);
        key(self.tool, [FORMAT.as_bytes(), self.fingerprint.as_bytes()].into_iter().chain(arguments).chain(files))
    }

    /// The path of the installed dependencies in `cache`.
    pub fn kept(&self, cache: &Path) -> PathBuf {
        cache.join(self.key()).join(self.root)
    }

    /// Whether it is installed already; if so, its time in the cache is extended.
    pub fn is_installed(&self, cache: &Path) -> bool {
        let folder = cache.join(self.key());
        let made = self.reproducible && folder.is_dir();
        if made {
            // The modification time records the last use. If it cannot be set, the folder is removed too early and installed
            // again.
            let _ = fs::File::open(folder).and_then(|folder| folder.set_modified(SystemTime::now()));
        }
        made
    }

    /// Installs it into `cache`.
    pub async fn install(&self, cache: &Path) -> Result<(), PackageError> {
        let folder = cache.join(self.key());
        let failed = |error: io::Error| PackageError::new("install the dependencies", error);
        // Installed into a temporary folder that is then renamed, so that a folder of this name is always complete.
        let temporary = cache.join(format!("{}.{}", self.key(), std::process::id()));
        remove(&temporary).map_err(failed)?;
        fs::create_dir_all(&temporary).map_err(failed)?;
        for (name, content) in &self.files {
            fs::write(temporary.join(name), content).map_err(failed)?;
        }
        let installed = match &self.steps {
            Some(steps) => Box::pin(steps.run(&temporary, cache)).await,
            None => self.run(&temporary).await,
        };
        let renamed = match installed {
            Ok(()) => (self.clean_up)(&temporary)
                .and_then(|()| remove(&folder))
                .and_then(|()| fs::rename(&temporary, &folder)),
            Err(error) => {
                let _ = remove(&temporary);
                return Err(error);
            }
        };
        // Another run may have installed the same first.
        if renamed.is_err() && folder.is_dir() { remove(&temporary) } else { renamed }.map_err(failed)
    }

    async fn run(&self, into: &Path) -> Result<(), PackageError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(self.folder.as_deref().unwrap_or(into));
        if let Some(flag) = self.target_flag {
            // The tool may run in another folder.
            let into =
                std::path::absolute(into).map_err(|error| PackageError::new("install the dependencies", error))?;
            command.arg(flag).arg(into);
        }
        run(command, "install the dependencies", &self.what, self.missing_tool_help).await
    }
}

/// Runs a tool to its end. `what` is the command as messages show it.
///
/// # Errors
/// When it cannot be started (then `without` is the help) or fails, with its output.
pub(super) async fn run(
    command: Command,
    doing: &'static str,
    what: &str,
    without: &'static str,
) -> Result<(), PackageError> {
    output(command, doing, what, without).await.map(drop)
}

/// As `run`, and returns the tool's standard output.
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
