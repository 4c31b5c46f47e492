//! Handler code to zips that Lambda takes.
//!
//! ```text
//! provided --form--> crate    --cargo (one build a workspace, by the backend that fits)--> executable --+
//!                    folder   -------------------------------------------------------------------------+-> elf: can it
//!                    zip file ------------------------------------------------------------------------+    run there?
//! nodejs,  --script--> folder, with what npm or pip installs for it --------+                         |
//! python3              zip file, inline code -------------------------------+-> handler: is it there? |
//!                                                    Artifact <--zip, cache--+------------------------+
//! ```
//!
//! Nothing here prints: what happens goes to a callback, what fails is a `PackageError`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

mod backend;
mod cache;
mod cargo;
mod elf;
mod environment;
mod error;
mod exclude;
mod folder;
mod handler;
mod install;
mod method;
mod npm;
mod pip;
mod place;
mod private;
mod python;
mod reach;
mod requirements;
mod script;
mod sdk;
#[cfg(test)]
mod tests;
mod tree;
mod workspace;
mod zip;

use crate::core::stack::Build;
use crate::machine::interpreter::Language;
use cache::Cache;
use cargo::Batch;
pub use error::PackageError;
use place::Place;
pub use place::{Architecture, Target};
pub use reach::{Reach, reach};
pub use sdk::bring as bring_sdk;

/// One function's code, as its template describes it.
#[derive(Debug, Clone)]
pub struct Code {
    /// The function's logical id.
    pub logical_id: String,
    pub source: Source,
    /// Lambda's name for it: `provided.al2023`.
    pub runtime: String,
    /// What the template says; custom runtimes give it no meaning.
    pub handler: String,
    /// Whether layers bring more code, so that what is not here may be there.
    pub layers: bool,
    pub architecture: Architecture,
    /// Which of a crate's binaries (SAM's `Metadata.BuildProperties.Binary`).
    pub binary: Option<String>,
    /// What SAM's `Metadata` says of how it is built.
    pub build: Build,
    /// The template's folder.
    pub template: PathBuf,
}

/// Where a function's code is.
#[derive(Debug, Clone)]
pub enum Source {
    /// An absolute path: of the folder of a Rust crate (it holds `Cargo.toml`), a folder made ready (it holds `bootstrap`),
    /// a folder with code for node or python, or a `.zip` file.
    Path(PathBuf),
    /// The text of the one file that it is.
    Inline(String),
}

/// How to build.
#[derive(Debug, Clone)]
pub struct Options {
    pub backend: Backend,
    /// The cargo to run: what the environment's `CARGO` says, or just `cargo`.
    pub cargo: PathBuf,
    /// Where node, npm and python are; `None` for the PATH.
    pub tools: Option<PathBuf>,
    /// The folder whose parts are to hold the SDK that Lambda's runtimes bring, where code for this machine uses it.
    pub sdk: PathBuf,
    /// The folder where zips are kept from one run to the next (`.wschat/build`); made when it is missing.
    pub cache: PathBuf,
    /// Whether the compiler's messages come in colour.
    pub color: bool,
    /// Whether install scripts of dependencies are left out (`--ignore-scripts`).
    pub ignore_scripts: bool,
}

/// What makes Rust code for Lambda. The local cloud runs what cargo makes for this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Backend {
    /// Plain cargo where this machine is like Lambda's; if the result could not run there, or the machine differs,
    /// whichever of zigbuild and musl is installed.
    #[default]
    Auto,
    /// `cargo build`, and nothing else.
    Cargo,
    /// `cargo zigbuild`, which links against the very glibc the runtime has.
    Zigbuild,
    /// `cargo build` for the musl target: a static executable.
    Musl,
}

/// What a build tells while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Cargo has `done` of `total` units behind it and is at work on `current` (`serde, tokio(build)`).
    Compiling { done: usize, total: usize, current: String },
    /// A status line of cargo's (`Compiling serde v1.0.228`, `Blocking waiting for file lock on build directory`).
    Cargo(String),
    /// A compiler warning, rendered, over several lines.
    Warning(String),
    /// A decision worth knowing: one sentence.
    Note(String),
}

/// Code as Lambda takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    pub zip: Bytes,
    /// Base64 of the zip's SHA-256, which Lambda answers as `CodeSha256`.
    pub code_sha256: String,
    /// Bytes, zipped.
    pub size: u64,
    /// Bytes, unzipped.
    pub unzipped: u64,
}

/// Builds and zips the code of `functions` for `target`; equal code gives equal bytes. The answer is by logical id.
///
/// # Errors
/// The first thing that went wrong: what was being done, for which functions, why, and what to do about it.
pub async fn build(
    functions: Vec<Code>,
    target: Target,
    options: &Options,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<BTreeMap<String, Artifact>, PackageError> {
    let (functions, _made) = method::prepare(functions, target, options, &progress).await?;
    let mut crates = Vec::new();
    let mut scripts = Vec::new();
    let mut packing = Packing::default();
    let mut folders = Packing::default();
    for code in functions {
        if let Some(language) = Language::of(&code.runtime) {
            scripts.push((code, language));
            continue;
        }
        let place = Place::of(&code, target)?;
        let (path, form) = form(&code)?;
        match form {
            Form::Crate => crates.push((code, path, place)),
            Form::Folder => folders.start([code.logical_id], move || folder::pack(&path, &place)),
            Form::Zip => packing.start([code.logical_id], move || zip::adopt(&path, &place)),
        }
    }

    let cache = Arc::new(Cache::open(&options.cache));
    let executables = async {
        let mut artifacts = BTreeMap::new();
        for batch in cargo::locate(&options.cargo, crates).await? {
            artifacts.extend(build_batch(&batch, options, &cache, &progress).await?);
        }
        Ok(artifacts)
    };
    let scripts = script::build(scripts, target, options, &cache, &progress);
    let (mut artifacts, scripts) = tokio::try_join!(executables, scripts)?;
    artifacts.extend(scripts);
    artifacts.extend(packing.finish().await?);
    for (function, (artifact, warning)) in folders.finish().await? {
        warning.into_iter().for_each(|warning| progress(Progress::Note(format!("{function}: {warning}"))));
        artifacts.insert(function, artifact);
    }
    Ok(artifacts)
}

/// Finds what `build` would refuse before it builds or installs anything.
///
/// # Errors
/// What that is, and which of the function's properties it is about: `Code`, `Handler` or `Runtime`; or `BuildMethod`, of its
/// metadata.
pub fn check(code: &Code) -> Result<(), (&'static str, PackageError)> {
    if let Some(checked) = method::check(code) {
        return checked;
    }
    if let Some(language) = Language::of(&code.runtime) {
        return script::check(code, language);
    }
    Place::of(code, Target::Lambda).map_err(|error| ("Runtime", error))?;
    form(code).map(drop).map_err(|error| ("Code", error))
}

/// What in the folder of a function's code looks like credentials, and so is left out of its zip: a warning, if there is any.
/// A crate's folder is none: only its executable is deployed.
pub fn left_out(code: &Code) -> Option<String> {
    let Source::Path(folder) = &code.source else { return None };
    let secrets = match Language::of(&code.runtime) {
        _ if !folder.is_dir() => return None,
        Some(language) => script::secrets(folder, code, language),
        None if folder.join("Cargo.toml").is_file() => return None,
        None => folder::secrets(folder),
    };
    private::warning(&secrets)
}

/// What a custom runtime's code is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Crate,
    Folder,
    Zip,
}

/// Where the code of a function with a custom runtime is, and what.
fn form(code: &Code) -> Result<(PathBuf, Form), PackageError> {
    let failed = |why: String| PackageError::new("find the code", why).of([&code.logical_id]);
    let path = match &code.source {
        Source::Path(path) => path.clone(),
        Source::Inline(_) => return Err(failed(format!("{} takes no inline code", code.runtime))),
    };
    let shown = file_name(&path);
    let problem = if path.is_file() {
        if is_zip(&path) {
            return Ok((path, Form::Zip));
        }
        format!("{shown} is a file, and not a .zip")
    } else if path.join("Cargo.toml").is_file() && code.build != Build::Skip {
        return Ok((path, Form::Crate));
    } else if path.join("bootstrap").is_file() {
        return Ok((path, Form::Folder));
    } else if path.is_dir() {
        format!("{shown} holds neither Cargo.toml nor bootstrap")
    } else {
        format!("there is no {}", path.display())
    };
    Err(failed(problem)
        .help("CodeUri is relative to the template; it names a Rust crate's folder, a folder with an executable `bootstrap`, or a .zip"))
}

fn is_zip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"))
}

/// Builds one batch, by another backend if what the first one made could not run where it is to run.
async fn build_batch(
    batch: &Batch,
    options: &Options,
    cache: &Arc<Cache>,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<BTreeMap<String, Artifact>, PackageError> {
    let mut method = backend::choose(options, batch).await.map_err(|error| error.of(batch.functions()))?;
    loop {
        let executables = cargo::compile(options, batch, &method, progress).await?;
        let mut packing = Packing::default();
        for (binary, executable) in batch.binaries.iter().zip(executables) {
            let (cache, place) = (Arc::clone(cache), batch.place.clone());
            packing.start(binary.functions.clone(), move || cache.pack(&executable, &place));
        }
        let error = match packing.finish().await {
            Ok(artifacts) => return Ok(artifacts),
            Err(error) => error,
        };
        method = match backend::instead(options, batch, &method).await {
            Some(other) if error.unfit => {
                progress(Progress::Note(format!("{}; building it with {other} instead", error.why)));
                other
            }
            _ if error.unfit => return Err(backend::advise(error, &batch.place)),
            _ => return Err(error),
        };
    }
}

/// Zips in the making, each for one or more functions, side by side on blocking threads.
struct Packing<T = Artifact>(JoinSet<Result<BTreeMap<String, T>, PackageError>>);

impl<T> Default for Packing<T> {
    fn default() -> Self {
        Self(JoinSet::new())
    }
}

impl<T: Clone + Send + 'static> Packing<T> {
    fn start(
        &mut self,
        functions: impl IntoIterator<Item = String>,
        pack: impl FnOnce() -> Result<T, PackageError> + Send + 'static,
    ) {
        let functions: BTreeSet<String> = functions.into_iter().collect();
        self.0.spawn_blocking(move || match pack() {
            Ok(packed) => Ok(functions.into_iter().map(|function| (function, packed.clone())).collect()),
            Err(error) => Err(error.of(functions)),
        });
    }

    /// All of them; of several errors, the one of the first function by name.
    async fn finish(self) -> Result<BTreeMap<String, T>, PackageError> {
        let mut all = BTreeMap::new();
        let mut errors = Vec::new();
        for packed in self.0.join_all().await {
            match packed {
                Ok(packed) => all.extend(packed),
                Err(error) => errors.push(error),
            }
        }
        match errors.into_iter().min_by(|one, other| one.functions.cmp(&other.functions)) {
            Some(error) => Err(error),
            None => Ok(all),
        }
    }
}

/// A path from where its folder is, as messages name it.
fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
