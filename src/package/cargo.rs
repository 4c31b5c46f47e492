//! Builds executables from Rust crates: one `cargo build` for all handlers of a workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cargo_metadata::diagnostic::DiagnosticLevel;
use cargo_metadata::{Message, Metadata, MetadataCommand, Package, PackageId, TargetKind};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::build_command::BuildCommand;
use super::platform::Platform;
use super::{BuildOptions, Code, PackageError, Progress};

const DOING: &str = "compile the code";

/// Binaries that one run of cargo can build: of one workspace, for one platform, no two with the same name (cargo would
/// write both to the same file).
#[derive(Debug)]
pub(super) struct Batch {
    /// The workspace's root.
    pub root: PathBuf,
    /// The target folder to use instead of the configured one, if other workspaces may share that.
    pub own_target: Option<PathBuf>,
    pub platform: Platform,
    pub binaries: Vec<Binary>,
}

/// One binary that functions run.
#[derive(Debug)]
pub(super) struct Binary {
    pub package: PackageId,
    pub package_name: String,
    pub name: String,
    /// Whether no other package of the workspace has a binary with this name.
    pub unique: bool,
    /// Logical ids.
    pub functions: BTreeSet<String>,
}

impl Batch {
    /// The logical ids of all its functions.
    pub fn functions(&self) -> BTreeSet<String> {
        self.binaries.iter().flat_map(|binary| binary.functions.clone()).collect()
    }
}

/// A cargo command (or rustc, or cargo-zigbuild) in `folder`, without the variables that a surrounding `cargo run`
/// sets: build scripts that watch those variables (ring's does) would rebuild half the graph each time.
pub(super) fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    for variable in OUTER_CARGO {
        command.env_remove(variable);
    }
    command
}

/// The variables that cargo sets for the programs it runs (The Cargo Book, environment variables cargo sets for
/// crates).
const OUTER_CARGO: &[&str] = &[
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_AUTHORS",
    "CARGO_PKG_DESCRIPTION",
    "CARGO_PKG_HOMEPAGE",
    "CARGO_PKG_LICENSE",
    "CARGO_PKG_LICENSE_FILE",
    "CARGO_PKG_NAME",
    "CARGO_PKG_README",
    "CARGO_PKG_REPOSITORY",
    "CARGO_PKG_RUST_VERSION",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
    "OUT_DIR",
];

/// Finds the workspace and the binary of every crate, and groups them into as few batches as possible.
pub(super) async fn locate(cargo: &Path, crates: Vec<(Code, PathBuf, Platform)>) -> Result<Vec<Batch>, PackageError> {
    let mut workspaces: Vec<Metadata> = Vec::new();
    let mut batches: Vec<Batch> = Vec::new();
    for (code, folder, platform) in crates {
        let found = locate_one(cargo, &code, &folder, &mut workspaces).await;
        let (root, own_target, binary) = found.map_err(|error| error.of([&code.logical_id]))?;
        let fits = |batch: &&mut Batch| {
            batch.root == root
                && batch.platform == platform
                && batch.binaries.iter().all(|other| other.name != binary.name || other.package == binary.package)
        };
        match batches.iter_mut().find(fits) {
            Some(batch) => batch.add(binary),
            None => batches.push(Batch { root, own_target, platform, binaries: vec![binary] }),
        }
    }
    Ok(batches)
}

impl Batch {
    fn add(&mut self, binary: Binary) {
        let same = |other: &&mut Binary| other.package == binary.package && other.name == binary.name;
        match self.binaries.iter_mut().find(same) {
            Some(known) => known.functions.extend(binary.functions),
            None => self.binaries.push(binary),
        }
    }
}

/// The workspace's root, its own target folder if it needs one, and the binary of one crate. Adds workspaces that it
/// reads to `workspaces`.
async fn locate_one(
    cargo: &Path,
    code: &Code,
    folder: &Path,
    workspaces: &mut Vec<Metadata>,
) -> Result<(PathBuf, Option<PathBuf>, Binary), PackageError> {
    let manifest = fs::canonicalize(folder.join("Cargo.toml"))
        .map_err(|error| PackageError::new("find the code", format!("{}: {error}", folder.display())))?;
    let known = workspaces
        .iter()
        .position(|workspace| workspace.workspace_packages().iter().any(|package| package.manifest_path == *manifest));
    let index = match known {
        Some(index) => index,
        None => {
            let mut workspace = read_workspace(cargo, &manifest, None).await?;
            if !manifest.starts_with(&workspace.workspace_root) {
                // The build runs in the root, where other configuration files apply.
                let root = workspace.workspace_root.clone().into_std_path_buf();
                workspace = read_workspace(cargo, &manifest, Some(&root)).await?;
            }
            workspaces.push(workspace);
            workspaces.len() - 1
        }
    };
    let workspace = &workspaces[index];
    let root = workspace.workspace_root.clone().into_std_path_buf();
    Ok((root, own_target(workspace), choose_binary(workspace, &manifest, code)?))
}

/// The target folder of a workspace if `CARGO_TARGET_DIR` or a configuration file names one that other workspaces may
/// share. Cargo names its outputs after the package, its version and its path *in* the workspace: two packages with
/// equal names share one file, and whether it is compiled again depends on which of the two sources is newer.
fn own_target(workspace: &Metadata) -> Option<PathBuf> {
    let folders = [Some(&workspace.target_directory), workspace.build_directory.as_ref()];
    if folders.into_iter().flatten().all(|folder| folder.starts_with(&workspace.workspace_root)) {
        return None;
    }
    let name = workspace.workspace_root.file_name().unwrap_or("root");
    let digest = hex::encode(&Sha256::digest(workspace.workspace_root.as_str())[..8]);
    Some(workspace.target_directory.join("wschat").join(format!("{name}-{digest}")).into_std_path_buf())
}

/// `cargo metadata` without dependencies: it only reads the members' manifests. It runs in `folder`, by default the
/// manifest's.
pub(super) async fn read_workspace(
    cargo: &Path,
    manifest: &Path,
    folder: Option<&Path>,
) -> Result<Metadata, PackageError> {
    let folder = folder.or(manifest.parent()).unwrap_or(manifest);
    let output = command(cargo, folder)
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(manifest)
        .output()
        .await
        .map_err(|error| cannot_run(cargo, &error))?;
    if !output.status.success() {
        let mut error = PackageError::new("find the code", format!("cargo cannot read {}", manifest.display()));
        error.compiler = Some(String::from_utf8_lossy(&output.stderr).into_owned());
        return Err(error);
    }
    MetadataCommand::parse(String::from_utf8_lossy(&output.stdout))
        .map_err(|error| PackageError::new("find the code", format!("cargo's metadata cannot be read: {error}")))
}

fn cannot_run(cargo: &Path, error: &std::io::Error) -> PackageError {
    PackageError::new(DOING, format!("{} cannot be started: {error}", cargo.display()))
        .help("install Rust: https://rustup.rs")
}

/// The binary that the code names; by default the package's only binary, or the one named like the package.
fn choose_binary(workspace: &Metadata, manifest: &Path, code: &Code) -> Result<Binary, PackageError> {
    let members = workspace.workspace_packages();
    let all: Vec<String> = members.iter().flat_map(|package| binary_names(package)).collect();
    // A manifest without a package (a virtual workspace) stands for all its members.
    let own: Vec<_> = members.iter().copied().filter(|package| package.manifest_path == *manifest).collect();
    let packages = if own.is_empty() { members } else { own };
    let binaries: Vec<Binary> = packages
        .into_iter()
        .flat_map(|package| binary_names(package).map(move |name| (package, name)))
        .map(|(package, name)| Binary {
            package: package.id.clone(),
            package_name: package.name.to_string(),
            unique: all.iter().filter(|other| **other == name).count() == 1,
            name,
            functions: BTreeSet::from([code.logical_id.clone()]),
        })
        .collect();
    let names: Vec<String> = binaries.iter().map(|binary| format!("`{}`", binary.name)).collect();
    let mut fitting = binaries.into_iter().filter(|binary| match &code.binary {
        Some(name) => binary.name == *name,
        None => names.len() == 1 || binary.name == binary.package_name,
    });
    match (fitting.next(), fitting.next()) {
        (Some(binary), None) => Ok(binary),
        _ => {
            let what = match &code.binary {
                _ if names.is_empty() => "has no binary".to_owned(),
                Some(name) => format!("does not have exactly one binary `{name}`; it has {}", names.join(", ")),
                None => format!("has several binaries: {}", names.join(", ")),
            };
            Err(PackageError::new("find the code", format!("{} {what}", manifest.display()))
                .help("a function names its binary with Metadata: { BuildProperties: { Binary: NAME } }"))
        }
    }
}

fn binary_names(package: &Package) -> impl Iterator<Item = String> {
    let binaries = package.targets.iter().filter(|target| target.kind.contains(&TargetKind::Bin));
    binaries.map(|target| target.name.clone())
}

/// Builds a batch's executables. Returns their paths in the order of its binaries.
pub(super) async fn compile(
    options: &BuildOptions,
    batch: &Batch,
    build: &BuildCommand,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<Vec<PathBuf>, PackageError> {
    let mut cargo = command(&options.cargo, &batch.root);
    cargo.args(arguments(batch, build, options.color)?);
    // Only cargo's progress bar tells the number of units; it is parsed, not shown.
    cargo.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "120");
    cargo.env("CARGO_TERM_COLOR", "never");
    cargo.stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error: PackageError| error.of(batch.functions());
    let mut child = cargo.spawn().map_err(|error| failed(cannot_run(&options.cargo, &error)))?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed(PackageError::new(DOING, "cargo's output cannot be read")));
    };
    let ran = tokio::try_join!(read_messages(stdout, progress), read_status(stderr, progress), child.wait());
    let (messages, status_lines, status) =
        ran.map_err(|error| failed(PackageError::new(DOING, format!("{build}: {error}"))))?;

    if !status.success() {
        return Err(build_error(batch, build, messages, &status_lines));
    }
    let path = |binary: &Binary| {
        let made = messages.executables.get(&(binary.package.clone(), binary.name.clone()));
        made.cloned()
            .ok_or_else(|| failed(PackageError::new(DOING, format!("{build} made no executable of `{}`", binary.name))))
    };
    batch.binaries.iter().map(path).collect()
}

/// The arguments after `cargo`.
fn arguments(batch: &Batch, build: &BuildCommand, color: bool) -> Result<Vec<String>, PackageError> {
    let mut arguments = build.arguments();
    let format = if color { "json-diagnostic-rendered-ansi" } else { "json" };
    arguments.push(format!("--message-format={format}"));
    match batch.platform {
        Platform::Host => {
            arguments.push("--profile=dev".to_owned());
            // Most of a dev executable is debug info and symbols. They are stripped from the handlers only: an override
            // for the whole profile would change the fingerprint of every dependency and compile each of them again.
            for name in distinct(batch, |binary| &binary.package_name) {
                arguments.push("--config".to_owned());
                arguments.push(format!("profile.dev.package.\"{name}\".strip=\"symbols\""));
            }
        }
        Platform::Lambda { .. } => arguments.push(format!("--profile={}", lambda_profile(&batch.root)?)),
    }
    // With all packages selected, dependencies get the same features as from `cargo build` in the workspace, so that
    // its outputs are reused. Deployed code only gets the features that it asks for.
    if batch.platform == Platform::Host && batch.binaries.iter().all(|binary| binary.unique) {
        arguments.push("--workspace".to_owned());
    } else {
        let packages = distinct(batch, |binary| &binary.package.repr);
        arguments.extend(packages.map(|package| format!("--package={package}")));
    }
    arguments.extend(distinct(batch, |binary| &binary.name).map(|name| format!("--bin={name}")));
    if let Some(folder) = &batch.own_target {
        let folder = folder.to_string_lossy();
        // The folder for intermediate files may be configured separately, so it is set as well. (Older versions of
        // cargo have one folder for both and ignore the setting.)
        let build = toml::Value::String(folder.clone().into_owned());
        arguments.extend([format!("--target-dir={folder}"), format!("--config=build.build-dir={build}")]);
    }
    Ok(arguments)
}

fn distinct<'a>(batch: &'a Batch, of: impl Fn(&'a Binary) -> &'a String) -> impl Iterator<Item = &'a String> {
    batch.binaries.iter().map(of).collect::<BTreeSet<_>>().into_iter()
}

/// The profile of deployed code: the workspace's `lambda` profile if it has one, else `release`.
fn lambda_profile(root: &Path) -> Result<&'static str, PackageError> {
    let manifest = root.join("Cargo.toml");
    let failed = |error: String| PackageError::new(DOING, format!("{}: {error}", manifest.display()));
    let text = fs::read_to_string(&manifest).map_err(|error| failed(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| failed(error.to_string()))?;
    let own = table.get("profile").and_then(|profiles| profiles.get("lambda")).is_some();
    Ok(if own { "lambda" } else { "release" })
}

/// The messages of a run of cargo on its standard output.
#[derive(Default)]
struct Messages {
    executables: BTreeMap<(PackageId, String), PathBuf>,
    /// Rendered errors, each with its package.
    errors: Vec<(PackageId, String)>,
}

async fn read_messages(
    stdout: impl AsyncRead + Unpin,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> std::io::Result<Messages> {
    let mut messages = Messages::default();
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        // Compiler plug-ins may print here, too: lines that are not cargo's are ignored.
        match serde_json::from_str(&line) {
            Ok(Message::CompilerArtifact(artifact)) if artifact.target.is_bin() => {
                if let Some(executable) = artifact.executable {
                    let binary = (artifact.package_id, artifact.target.name);
                    messages.executables.insert(binary, executable.into_std_path_buf());
                }
            }
            Ok(Message::CompilerMessage(message)) => {
                let Some(rendered) = message.message.rendered else { continue };
                match message.message.level {
                    DiagnosticLevel::Error | DiagnosticLevel::Ice => {
                        messages.errors.push((message.package_id, rendered));
                    }
                    DiagnosticLevel::Warning => progress(Progress::Warning(rendered)),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    Ok(messages)
}

/// Cargo's status lines; its progress bar, which ends in carriage returns, becomes `Progress::Compiling`.
async fn read_status(
    mut stderr: impl AsyncRead + Unpin,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> std::io::Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut pending = Vec::new();
    loop {
        let ended = stderr.read_buf(&mut pending).await? == 0;
        if ended {
            pending.push(b'\n');
        }
        while let Some(end) = pending.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if let Some(bar) = parse_bar(&line) {
                progress(bar);
            } else if !line.is_empty() {
                progress(Progress::Cargo(line.trim_start().to_owned()));
                lines.push(line);
            }
        }
        if ended {
            return Ok(lines);
        }
    }
}

/// Parses cargo's progress bar: `Building [====>     ] 12/345: serde, tokio(build)`.
fn parse_bar(line: &str) -> Option<Progress> {
    let (_, rest) = line.trim_start().strip_prefix("Building [")?.split_once("] ")?;
    let (units, current) = rest.split_once(':').unwrap_or((rest, ""));
    let (done, total) = units.split_once('/')?;
    Some(Progress::Compiling {
        done: done.parse().ok()?,
        total: total.parse().ok()?,
        current: current.trim().to_owned(),
    })
}

/// The error of a run of cargo that failed: for the functions whose packages have errors, or for all functions of the
/// batch if no package has.
fn build_error(batch: &Batch, build: &BuildCommand, messages: Messages, status_lines: &[String]) -> PackageError {
    let has_errors = |binary: &&Binary| messages.errors.iter().any(|(package, _)| *package == binary.package);
    let mut functions: BTreeSet<String> =
        batch.binaries.iter().filter(has_errors).flat_map(|binary| binary.functions.clone()).collect();
    if functions.is_empty() {
        functions = batch.functions();
    }
    let compiler = if messages.errors.is_empty() {
        // Cargo itself failed: a version that cannot be resolved, a build script that failed.
        let first = status_lines.iter().position(|line| line.starts_with("error")).unwrap_or(0);
        status_lines[first..].join("\n")
    } else {
        messages.errors.into_iter().map(|(_, rendered)| rendered).collect::<Vec<_>>().join("\n")
    };
    let mut error = PackageError::new(DOING, format!("`{build}` failed")).of(functions);
    error.compiler = Some(compiler);
    error
}
