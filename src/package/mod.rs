//! Packaging: a function's code becomes the zip that Lambda accepts.
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
//! Nothing here prints: progress goes to a callback, failures are returned as `PackageError`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

mod backend;
mod build_command;
mod build_method;
mod cache;
mod cargo;
mod credentials;
mod elf;
mod environment;
mod error;
mod exclude;
mod folder;
mod go;
mod handler;
mod inputs;
mod install;
mod layer;
mod location;
mod npm;
mod pip;
mod platform;
mod python;
mod requirements;
mod script;
mod sdk;
mod source_map;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;
mod uploaded;
mod wheel;
mod workspace;
mod zip;

use crate::core::stack::Build;
use crate::core::types::S3Object;
use crate::machine::interpreter::Language;
use cache::Cache;
use cargo::Batch;
pub use error::PackageError;
use error::PackageErrorKind;
pub use inputs::AllInputs;
pub use location::{CodeLocation, locate};
use platform::Platform;
pub use platform::{Architecture, Target};
pub use script::syntax_errors;
pub use sdk::install_imported as install_sdk;
pub use syntax::{SyntaxError, end_checkers};
pub use uploaded::find as find_uploaded;

/// One function's code, or one layer's content, as its template describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The function's or the layer's logical id.
    pub logical_id: String,
    /// What the template calls it: SAM gives layers other logical ids.
    pub declared_as: String,
    pub source: Source,
    /// The object in S3 that `source` is a copy of, where Lambda can read it itself.
    pub object: Option<S3Object>,
    /// Whether it is a layer: then there is no runtime and no handler.
    pub is_layer: bool,
    /// Lambda's name of the runtime: `provided.al2023`.
    pub runtime: String,
    /// `Handler` of the template; custom runtimes ignore it.
    pub handler: String,
    /// Whether the function has layers: code that is missing here may be in one of them.
    pub layers: bool,
    pub architecture: Architecture,
    /// The crate's binary to use (SAM's `Metadata.BuildProperties.Binary`).
    pub binary: Option<String>,
    /// How to build it, from SAM's `Metadata`.
    pub build: Build,
    /// Packages of the runtime's SDK that it uses without naming them.
    pub sdk: Vec<String>,
    /// The template's folder.
    pub template: PathBuf,
}

/// Where a function's code is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An absolute path: the folder of a Rust crate (it contains `Cargo.toml`), a folder with a finished build (it
    /// contains `bootstrap`), a folder with code for node or python, or a `.zip` file.
    Path(PathBuf),
    /// An object that is not on this machine: it is fetched before anything is built.
    S3(S3Object),
    /// The text of the only file.
    Inline(String),
}

/// Build options.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    pub backend: Backend,
    /// The cargo to run: the environment's `CARGO`, or `cargo` from the PATH.
    pub cargo: PathBuf,
    /// The folder with node, npm and python; `None` for the PATH.
    pub tools: Option<PathBuf>,
    /// Where to install the SDK that Lambda's runtimes include, for code that runs on this machine and imports it.
    pub sdk: PathBuf,
    /// The folder that caches zips between runs (`.wschat/build`); created when it is missing.
    pub cache: PathBuf,
    /// Whether the compiler's messages are coloured.
    pub color: bool,
    /// Whether to skip install scripts of dependencies (`--ignore-scripts`).
    pub ignore_scripts: bool,
}

/// The tool that builds Rust code for Lambda. (Code for the local cloud is always built by plain cargo.)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Backend {
    /// Plain cargo if this machine has Lambda's OS and architecture. If it has not, or if the result could not run on
    /// Lambda: whichever of zigbuild and musl is installed.
    #[default]
    Auto,
    /// `cargo build`, with no fallback.
    Cargo,
    /// `cargo zigbuild`, which links against the runtime's version of glibc.
    Zigbuild,
    /// `cargo build` for the musl target: a static executable.
    Musl,
}

/// Progress of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Cargo has compiled `done` of `total` units and is compiling `current` (`serde, tokio(build)`).
    Compiling { done: usize, total: usize, current: String },
    /// A status line of cargo's (`Compiling serde v1.0.228`, `Blocking waiting for file lock on build directory`).
    Cargo(String),
    /// A compiler warning, rendered; several lines.
    Warning(String),
    /// A decision or warning for the user: one sentence.
    Note(String),
}

/// A function's code as a zip that Lambda accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    pub zip: Bytes,
    /// Base64 of the zip's SHA-256, which Lambda reports as `CodeSha256`.
    pub code_sha256: String,
    /// Bytes, zipped.
    pub size: u64,
    /// Bytes, unzipped.
    pub unzipped: u64,
    /// The object that Lambda reads it from, where the zip is too large for a request.
    pub object: Option<S3Object>,
}

/// Builds and zips the code of `functions` for `target`, and returns the zips by logical id. Equal code gives equal
/// bytes.
///
/// # Errors
/// The first failure: what was being done, for which functions, why it failed, and what to do.
pub async fn build(
    functions: Vec<Code>,
    target: Target,
    options: &BuildOptions,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<BTreeMap<String, Artifact>, PackageError> {
    let (functions, _scratch) = build_method::prepare(functions, target, options, &progress).await?;
    let mut crates = Vec::new();
    let mut scripts = Vec::new();
    let mut layers = BTreeMap::new();
    let mut packing = Packing::default();
    let mut folders = Packing::default();
    for code in functions {
        if code.is_layer
            && let Build::LayerOf(runtime) = &code.build
        {
            layers.insert(code.logical_id.clone(), layer::subfolder(runtime));
            scripts.extend(layer::as_function(&code, runtime));
            continue;
        }
        if let Some(language) = Language::of(&code.runtime).filter(|_| !code.is_layer) {
            scripts.push((code, language));
            continue;
        }
        let platform = Platform::of(&code, target)?;
        let (path, form) = form(&code)?;
        let object = code.object.clone().filter(|_| target == Target::Lambda);
        match (form, platform) {
            (Form::Crate, Some(platform)) => crates.push((code, path, platform)),
            (Form::Folder, Some(platform)) => folders.start([code.logical_id], move || folder::pack(&path, &platform)),
            (Form::Zip, Some(platform)) => {
                folders.start([code.logical_id], move || zip::read_custom_runtime(&path, &platform, object));
            }
            // What is in it is for another to run.
            (Form::Zip, None) => packing.start([code.logical_id], move || zip::read(&path, object)),
            (Form::Crate | Form::Folder, None) => {
                check_built(&code, &path).map_err(|error| error.of([&code.logical_id]))?;
                folders.start([code.logical_id], move || folder::pack_whole(&path, target))
            }
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
    for (layer, subfolder) in layers {
        if let Some(artifact) = artifacts.remove(&layer) {
            let below = cache.pack_below(&layer, &artifact, subfolder, target).map_err(|error| error.of([&layer]))?;
            artifacts.insert(layer, below);
        }
    }
    for (function, (artifact, warning)) in folders.finish().await? {
        warning.into_iter().for_each(|warning| progress(Progress::Note(format!("{function}: {warning}"))));
        artifacts.insert(function, artifact);
    }
    Ok(artifacts)
}

/// Checks for everything that `build` would reject before it builds or installs anything.
///
/// # Errors
/// The first problem, and the property that causes it: `Code`, `Handler` or `Runtime`; or `BuildMethod` of the
/// function's metadata.
pub fn check(code: &Code) -> Result<(), (&'static str, PackageError)> {
    // Whether it is there only S3 knows.
    if matches!(code.source, Source::S3(_)) {
        return Ok(());
    }
    if let Some(checked) = build_method::check(code) {
        return checked;
    }
    if let Some(language) = Language::of(&code.runtime).filter(|_| !code.is_layer) {
        return script::check(code, language);
    }
    Platform::of(code, Target::Lambda).map_err(|error| ("Runtime", error))?;
    let (path, form) = form(code).map_err(|error| (if code.is_layer { "Content" } else { "Code" }, error))?;
    match form {
        Form::Folder => check_built(code, &path).map_err(|error| ("Handler", error)),
        Form::Crate | Form::Zip => Ok(()),
    }
}

/// Checks that the handler of a runtime that Lambda brings is in the folder at `path`: for the rest, and where it may be in a layer,
/// there is nothing to check.
fn check_built(code: &Code, path: &Path) -> Result<(), PackageError> {
    if code.is_layer || code.layers || !platform::is_managed(&code.runtime) {
        return Ok(());
    }
    handler::check_built(&code.runtime, &code.handler, path, &file_name(path))
}

/// Whether code is compiled by cargo.
pub fn is_crate(code: &Code) -> bool {
    Language::of(&code.runtime).is_none() && !code.is_layer && matches!(form(code), Ok((_, Form::Crate)))
}

/// A warning that names the files which look like credentials and are therefore excluded from the function's zip;
/// `None` if there are none. Crates have none: only their executable is deployed.
pub fn credentials_warning(code: &Code) -> Option<String> {
    let Source::Path(folder) = &code.source else { return None };
    let secrets = match Language::of(&code.runtime) {
        _ if !folder.is_dir() => return None,
        Some(language) => script::secrets(folder, code, language),
        _ if code.is_layer => folder::secrets(folder),
        None if folder.join("Cargo.toml").is_file() => return None,
        None => folder::secrets(folder),
    };
    credentials::warning(&secrets)
}

/// The form in which the code of a runtime that is no language of this machine is given, or a layer's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Crate,
    Folder,
    Zip,
}

/// The path and the form of code that is no script's, or of a layer's content.
fn form(code: &Code) -> Result<(PathBuf, Form), PackageError> {
    let failed = |why: String| PackageError::new("find the code", why).of([&code.logical_id]);
    let path = match &code.source {
        Source::Path(path) => path.clone(),
        Source::S3(object) => return Err(failed(format!("{object} was not fetched"))),
        Source::Inline(_) => return Err(failed(format!("{} does not support inline code", code.runtime))),
    };
    let shown = file_name(&path);
    if code.is_layer || platform::is_managed(&code.runtime) {
        let form = match path.is_file() {
            true if is_zip(&path) => Form::Zip,
            true => return Err(failed(format!("{shown} is a file but not a .zip or .jar"))),
            false if !path.is_dir() => return Err(failed(missing(&path))),
            false => Form::Folder,
        };
        if let Some(project) =
            platform::sources(&path, &code.runtime).filter(|_| form == Form::Folder && !code.is_layer)
        {
            let why = format!("{shown} contains {project}: wschat does not build code for {}", code.runtime);
            return Err(
                failed(why).help("build it, and name in CodeUri what the build has made: a folder, .zip or .jar")
            );
        }
        return Ok((path, form));
    }
    let problem = if path.is_file() {
        if is_zip(&path) {
            return Ok((path, Form::Zip));
        }
        format!("{shown} is a file but not a .zip")
    } else if path.join("Cargo.toml").is_file() && code.build != Build::Skip {
        return Ok((path, Form::Crate));
    } else if path.join("bootstrap").is_file() {
        return Ok((path, Form::Folder));
    } else if path.is_dir() {
        format!("{shown} contains neither Cargo.toml nor bootstrap")
    } else {
        missing(&path)
    };
    Err(failed(problem)
        .help("CodeUri is relative to the template; it names a Rust crate's folder, a folder with an executable `bootstrap`, or a .zip"))
}

/// That there is no code at `path`, which names a folder unless it ends in `.zip`.
pub fn missing(path: &Path) -> String {
    let shown = path.display().to_string();
    match is_zip(path) {
        true => format!("there is no file {shown}"),
        false => format!("there is no folder {}/", shown.trim_end_matches('/')),
    }
}

/// Whether a path names an archive that Lambda takes. (A .jar is a zip.)
fn is_zip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["zip", "jar"].iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// Builds one batch; if the executables could not run on the batch's platform, builds it again with another backend.
async fn build_batch(
    batch: &Batch,
    options: &BuildOptions,
    cache: &Arc<Cache>,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<BTreeMap<String, Artifact>, PackageError> {
    let mut command = backend::choose(options, batch).await.map_err(|error| error.of(batch.functions()))?;
    loop {
        let executables = cargo::compile(options, batch, &command, progress).await?;
        let mut packing = Packing::default();
        for (binary, executable) in batch.binaries.iter().zip(executables) {
            let (cache, platform) = (Arc::clone(cache), batch.platform.clone());
            packing.start(binary.functions.clone(), move || cache.pack(&executable, &platform));
        }
        let error = match packing.finish().await {
            Ok(artifacts) => return Ok(artifacts),
            Err(error) => error,
        };
        command = match backend::fallback(options, batch, &command).await {
            Some(other) if error.kind == PackageErrorKind::Incompatible => {
                progress(Progress::Note(format!("{}; building it with {other} instead", error.why)));
                other
            }
            _ if error.kind == PackageErrorKind::Incompatible => {
                return Err(backend::with_install_help(error, &batch.platform));
            }
            _ => return Err(error),
        };
    }
}

/// Zips being built, as many at once as there are processors, each for one or more functions.
struct Packing<T = Artifact> {
    zips: JoinSet<Result<BTreeMap<String, T>, PackageError>>,
    processors: Arc<Semaphore>,
}

impl<T> Default for Packing<T> {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { zips: JoinSet::new(), processors: Arc::new(Semaphore::new(processors)) }
    }
}

impl<T: Clone + Send + 'static> Packing<T> {
    fn start(
        &mut self,
        functions: impl IntoIterator<Item = String>,
        pack: impl FnOnce() -> Result<T, PackageError> + Send + 'static,
    ) {
        let functions: BTreeSet<String> = functions.into_iter().collect();
        let processors = Arc::clone(&self.processors);
        self.zips.spawn(async move {
            let _processor = processors.acquire().await;
            let packed = tokio::task::spawn_blocking(pack).await;
            match packed.unwrap_or_else(|error| Err(PackageError::new("zip the code", error))) {
                Ok(packed) => Ok(functions.into_iter().map(|function| (function, packed.clone())).collect()),
                Err(error) => Err(error.of(functions)),
            }
        });
    }

    /// Waits for all zips. Of several errors, returns that of the first function by name, so that runs agree.
    async fn finish(self) -> Result<BTreeMap<String, T>, PackageError> {
        let mut all = BTreeMap::new();
        let mut errors = Vec::new();
        for packed in self.zips.join_all().await {
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

/// The last component of a path, as messages name it.
fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
