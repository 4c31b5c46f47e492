//! What a requirements.txt asks for, to be installed by pip.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::install::Install;
use super::place::Architecture;
use super::{PackageError, Target};

pub(super) const WITHOUT_PIP: &str =
    "install pip for it (python3 -m ensurepip, or your system's python3-pip), and run the same command again";

/// Options for every pip: say what is wrong, and nothing else; and leave bytecode to the first start.
pub(super) const QUIET: &[&str] = &[
    "--quiet",
    "--disable-pip-version-check",
    "--no-input",
    "--progress-bar=off",
    "--no-warn-script-location",
    "--no-compile",
];

/// What is to be installed for the code in `folder`; `None` where nothing is asked for. `python` is the interpreter whose
/// pip does it, and its version.
///
/// # Errors
/// When requirements.txt cannot be read.
pub(super) fn wanted(
    folder: &Path,
    runtime: &str,
    target: Target,
    architecture: Architecture,
    python: (&Path, &str),
) -> Result<Option<Install>, PackageError> {
    let path = folder.join("requirements.txt");
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path)
        .map_err(|error| PackageError::new("install the dependencies", format!("{}: {error}", path.display())))?;
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    // Other files that count, and may change without this one.
    let elsewhere = |line: &&str| {
        line.starts_with(['.', '/'])
            || line.starts_with("-r")
            || line.starts_with("-c")
            || line.starts_with("-e")
            || ["--requirement", "--constraint", "--editable", "file:"].iter().any(|form| line.contains(form))
    };
    let mut arguments: Vec<String> =
        ["-m", "pip", "install", "--requirement", "requirements.txt"].map(str::to_owned).to_vec();
    arguments.extend(QUIET.iter().map(|&flag| flag.to_owned()));
    let mut also = text.clone();
    match target {
        Target::Host => also.push_str(python.1),
        Target::Lambda => arguments.extend(platform(runtime, architecture)),
    }
    Ok(Some(Install {
        tool: "pip",
        what: "pip install".to_owned(),
        program: PathBuf::from(python.0),
        arguments: arguments.into_iter().map(OsString::from).collect(),
        folder: Some(folder.to_owned()),
        target_flag: Some("--target"),
        files: Vec::new(),
        also,
        lasting: !lines.iter().any(elsewhere),
        without_tool: WITHOUT_PIP,
        tidy,
        root: "",
    }))
}

/// What makes pip take wheels for Lambda's machine: those for its glibc (2.34 from python3.12 on, 2.26 before: Lambda
/// developer guide, runtimes) and all older ones (PEP 600).
fn platform(runtime: &str, architecture: Architecture) -> Vec<String> {
    let release = runtime.trim_start_matches("python");
    let minor: u32 = release.trim_start_matches("3.").parse().unwrap_or_default();
    let glibc = if minor >= 12 { 34 } else { 26 };
    let machine = architecture.rust();
    let mut flags =
        vec!["--only-binary=:all:".to_owned(), "--implementation=cp".to_owned(), format!("--python-version={release}")];
    flags.extend((17..=glibc).rev().map(|minor| format!("--platform=manylinux_2_{minor}_{machine}")));
    flags.push(format!("--platform=manylinux2014_{machine}"));
    flags
}

/// Takes away the commands that packages bring, and what speaks of them: they name this machine's python.
fn tidy(folder: &Path) -> io::Result<()> {
    let commands = folder.join("bin");
    if commands.is_dir() {
        fs::remove_dir_all(commands)?;
    }
    for entry in fs::read_dir(folder)? {
        let record = entry?.path().join("RECORD");
        if record.is_file() {
            let text = fs::read_to_string(&record)?;
            let kept = text.lines().filter(|line| !line.starts_with("../../bin/")).map(|line| format!("{line}\n"));
            fs::write(record, kept.collect::<String>())?;
        }
    }
    Ok(())
}
