//! Runs tools that install dependencies, and names the cache folders of their results.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::error::{PackageError, PackageErrorKind};

/// The name of the cache folder for a tool's result, from all `parts` that the result depends on.
pub(super) fn key<'a>(tool: &str, parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    format!("{tool}-{}", hex::encode(&hash.finalize()[..8]))
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
        PackageError { kind: PackageErrorKind::NotStarted, ..error.help(without) }
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

/// A folder for what is being made; removed when dropped, also when its making is given up.
#[derive(Debug)]
pub(super) struct ScratchFolder(pub PathBuf);

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        let _ = remove(&self.0);
    }
}

pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
