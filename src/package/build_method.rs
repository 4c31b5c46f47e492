//! Builds code by the `BuildMethod` of its `Metadata` before it is packaged: with make or esbuild, as SAM's CLI does.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::process::Command;
use tokio::sync::Mutex;

use super::folder::Files;
use super::install::ScratchFolder;
use super::npm::{self, Modules};
use super::workspace::{self, declared, manifest};
use super::{
    BuildOptions, Code, PackageError, Progress, Source, Target, environment, file_name, go, handler, install,
    source_map,
};
use crate::core::stack::{Build, Esbuild, Makefile};
use crate::machine::interpreter::{self, Language};

const DOING: &str = "build the code";

/// How many builds run in parallel.
const MAX_BUILDS: usize = 2;

/// The esbuild for projects that have none.
const DEFAULT_ESBUILD_VERSION: &str = "0.25.9";

/// The extensions that an entry point may omit; SAM's builder only tries the first two.
const EXTENSIONS: &[&str] = &["ts", "js", "tsx", "jsx", "mts", "mjs", "cts", "cjs"];

/// Builds the code of the functions whose metadata requires it. Returns all functions; the source of those that were
/// built is the output, to be packaged unchanged.
///
/// # Errors
/// When a build fails or has no output.
pub(super) async fn prepare(
    functions: Vec<Code>,
    target: Target,
    options: &BuildOptions,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<(Vec<Code>, ScratchFolder), PackageError> {
    let failed = |error: io::Error| PackageError::new(DOING, error);
    let cache = std::path::absolute(&options.cache).map_err(failed)?;
    // Several builds may run at the same time, in one process, too.
    static BUILDS: AtomicUsize = AtomicUsize::new(0);
    let number = BUILDS.fetch_add(1, Ordering::Relaxed);
    let made = ScratchFolder(cache.join(format!("build.{}.{number}", std::process::id())));
    install::remove(&made.0).map_err(failed)?;
    let built = stream::iter(functions.into_iter().map(|code| {
        let scratch = made.0.join(&code.logical_id);
        async move {
            let id = code.logical_id.clone();
            prepare_one(code, target, &scratch, options, progress).await.map_err(|error| error.of([id]))
        }
    }));
    let functions = built.buffered(MAX_BUILDS).try_collect().await?;
    Ok((functions, made))
}

async fn prepare_one(
    mut code: Code,
    target: Target,
    scratch: &Path,
    options: &BuildOptions,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<Code, PackageError> {
    let artifacts = scratch.join("artifacts");
    match method(&code) {
        Build::Ordinary | Build::Skip | Build::LayerOf(_) => return Ok(code),
        Build::Go => go::build(&code, folder(&code)?, target, &artifacts, options).await?,
        Build::Makefile(makefile) => {
            progress(Progress::Note(format!("making {} (make {})", code.logical_id, goal(&code))));
            make(&code, &makefile, scratch, &artifacts, options).await?;
        }
        Build::Esbuild(esbuild) => bundle(&code, &esbuild, target, scratch, &artifacts, options, progress).await?,
    }
    code.source = Source::Path(artifacts);
    code.build = Build::Skip;
    Ok(code)
}

/// The build method of code. As in SAM, a custom runtime's folder is built with make if it has a Makefile for the function
/// and neither Cargo.toml nor bootstrap; and with Go if it has a module.
pub(super) fn method(code: &Code) -> Build {
    if code.build == Build::Ordinary
        && code.runtime.starts_with("provided")
        && let Source::Path(folder) = &code.source
        && !["Cargo.toml", "bootstrap"].iter().any(|name| folder.join(name).is_file())
    {
        if fs::read_to_string(folder.join("Makefile")).is_ok_and(|text| has_goal(&text, &goal(code))) {
            return Build::Makefile(Makefile::default());
        }
        if folder.join(go::MANIFEST).is_file() {
            return Build::Go;
        }
    }
    code.build.clone()
}

/// Checks for everything that `prepare` would reject before it builds; `None` if the metadata requires no build.
pub(super) fn check(code: &Code) -> Option<Result<(), (&'static str, PackageError)>> {
    let of_method = |error| ("BuildMethod", error);
    match method(code) {
        Build::Ordinary | Build::Skip => None,
        Build::LayerOf(_) => Some(folder(code).map(drop).map_err(|error| ("Content", error))),
        Build::Go => Some(check_module(code)),
        Build::Makefile(makefile) => Some(find_makefile(code, &makefile).map(drop).map_err(of_method)),
        Build::Esbuild(esbuild) => {
            let outputs = folder(code).and_then(|folder| entry_points(code, &esbuild, folder)).map_err(of_method);
            Some(outputs.and_then(|points| check_outputs(code, &points).map_err(|error| ("Handler", error))))
        }
    }
}

/// Checks that there is a Go module to build. (Whether Go is installed shows when it is built.)
fn check_module(code: &Code) -> Result<(), (&'static str, PackageError)> {
    let folder = folder(code).map_err(|error| ("BuildMethod", error))?;
    let mut ancestors = folder.ancestors();
    // A module may have several commands in folders of their own.
    if ancestors.any(|folder| folder.join(go::MANIFEST).is_file()) {
        return Ok(());
    }
    let why = format!("{} has no {}", file_name(folder), go::MANIFEST);
    Err(("Code", PackageError::new(DOING, why).help("create the module: go mod init NAME")))
}

/// The folder of the code to build.
pub(super) fn folder(code: &Code) -> Result<&Path, PackageError> {
    match &code.source {
        Source::Path(path) if path.is_dir() => Ok(path),
        Source::Path(path) => Err(PackageError::new(DOING, format!("{} is not a folder", path.display()))
            .help("leave BuildMethod out for code that is built already")),
        Source::S3(object) => Err(PackageError::new(DOING, format!("{object} is not built"))),
        Source::Inline(_) => Err(PackageError::new(DOING, "inline code is not built")),
    }
}

/// The make target of a function or layer, as SAM names it.
fn goal(code: &Code) -> String {
    format!("build-{}", code.declared_as)
}

/// The Makefile of a function.
fn find_makefile(code: &Code, makefile: &Makefile) -> Result<PathBuf, PackageError> {
    let source = folder(code)?;
    let place =
        makefile.context.as_ref().map_or_else(|| source.to_owned(), |context| workspace::join(&code.template, context));
    let path = place.join("Makefile");
    let goal = goal(code);
    let text = fs::read_to_string(&path).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => format!("there is no file {}", path.display()),
            _ => format!("{}: {error}", path.display()),
        };
        PackageError::new(DOING, why)
            .help(format!("it needs a target {goal}, which puts the code into $(ARTIFACTS_DIR)"))
    })?;
    if !has_goal(&text, &goal) {
        let why = format!("{} has no target {goal}", path.display());
        return Err(PackageError::new(DOING, why).help(format!(
            "add one, which puts the code into $(ARTIFACTS_DIR):\n{goal}:\n\tcp *.js $(ARTIFACTS_DIR)"
        )));
    }
    Ok(path)
}

/// Whether a Makefile has a rule for a goal, or may have one: it includes other files, or computes names of targets.
fn has_goal(text: &str, goal: &str) -> bool {
    text.replace("\\\n", " ").lines().filter(|line| !line.starts_with(['\t', '#'])).any(|line| {
        let line = line.trim_start();
        if ["include", "-include", "sinclude", "$("].iter().any(|start| line.starts_with(start)) {
            return true;
        }
        let Some((targets, rest)) = line.split_once(':') else { return false };
        !rest.starts_with('=')
            && !targets.contains('=')
            && targets.split_whitespace().any(|target| target == goal || target.contains(['%', '$']))
    })
}

/// Runs make in a copy of the code, as SAM's builder does (aws-lambda-builders, custom_make).
async fn make(
    code: &Code,
    makefile: &Makefile,
    scratch: &Path,
    artifacts: &Path,
    options: &BuildOptions,
) -> Result<(), PackageError> {
    let path = find_makefile(code, makefile)?;
    let source = workspace::join(Path::new(""), &folder(code)?.to_string_lossy());
    let failed = |error: io::Error| PackageError::new(DOING, error);
    let copy = scratch.join("source");
    copy_folder(&source, &source, &copy, scratch).map_err(failed)?;
    fs::create_dir_all(artifacts).map_err(failed)?;
    let runs_in = match &makefile.working_directory {
        None => copy,
        Some(named) => {
            let named = workspace::join(&code.template, named);
            named.strip_prefix(&source).map_or_else(|_| named.clone(), |below| copy.join(below))
        }
    };
    if !runs_in.is_dir() {
        let why = format!("the WorkingDirectory {} is not a folder", runs_in.display());
        return Err(PackageError::new(DOING, why).help("it is relative to the template"));
    }
    let goal = goal(code);
    let mut command = Command::new(interpreter::within(options.tools.as_deref(), "make"));
    command.arg("--makefile").arg(path).arg(&goal).current_dir(runs_in).env("ARTIFACTS_DIR", artifacts);
    // A surrounding make that runs wschat sets these.
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
        command.env_remove(variable);
    }
    let without = "install make (on Debian: apt-get install make; on macOS: xcode-select --install)";
    install::run(command, DOING, &format!("make {goal}"), without).await?;
    if fs::read_dir(artifacts).map_err(failed)?.next().is_none() {
        let why = format!("`make {goal}` put nothing into $(ARTIFACTS_DIR)");
        return Err(PackageError::new(DOING, why).help("its rule must copy the files to deploy there"));
    }
    Ok(())
}

/// Copies a folder of the code at `top`, without `scratch`. Links that stay inside `top` remain links.
fn copy_folder(top: &Path, from: &Path, to: &Path, scratch: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.path() == scratch || [".aws-sam", ".git", ".wschat"].iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_symlink() {
            let target = fs::read_link(&path)?;
            let stays = target.is_relative() && workspace::join(from, &target.to_string_lossy()).starts_with(top);
            if stays && link(&target, &copy).is_ok() {
                continue;
            }
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => copy_folder(top, &path, &copy, scratch)?,
            Ok(metadata) if metadata.is_file() => drop(fs::copy(&path, &copy)?),
            // Sockets and broken links are skipped.
            _ => {}
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(target: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(not(unix))]
fn link(_target: &Path, _at: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The input and output files of esbuild.
#[derive(Debug)]
struct EntryPoints {
    /// Files, relative to the code.
    files: Vec<String>,
    /// The output of each.
    outputs: Vec<String>,
    /// Whether outputs keep the folders of their sources; by default, esbuild and SAM drop the folders that all sources
    /// have in common.
    keeps_folders: bool,
}

/// The entry points of a function's bundle.
fn entry_points(code: &Code, esbuild: &Esbuild, folder: &Path) -> Result<EntryPoints, PackageError> {
    // As in SAM, the default is the handler's file.
    let named = match &esbuild.entry_points[..] {
        [] => vec![code.handler.split_once('.').map_or(&*code.handler, |(file, _)| file).to_owned()],
        named => named.to_vec(),
    };
    let mut files = Vec::new();
    for point in named {
        let point = point.trim_start_matches("./");
        let with = EXTENSIONS.iter().map(|extension| format!("{point}.{extension}"));
        let found = std::iter::once(point.to_owned()).chain(with).find(|name| folder.join(name).is_file());
        files.push(found.ok_or_else(|| {
            let why = format!("the entry point {point} is not in {}", file_name(folder));
            PackageError::new(DOING, why)
                .help("entry points are relative to CodeUri: BuildProperties: { EntryPoints: [app.ts] }")
        })?);
    }
    let extension = esbuild.extension.as_deref().unwrap_or(".js");
    let output = |name: &str| format!("{}{extension}", name.rsplit_once('.').map_or(name, |(stem, _)| stem));
    let folders = files.iter().map(|file| Path::new(file).parent().unwrap_or(Path::new("")));
    let shared = workspace::common(folders);
    let short = |file: &String| {
        let below = Path::new(file).strip_prefix(&shared).unwrap_or(Path::new(file));
        output(&below.to_string_lossy())
    };
    let outputs: Vec<String> = files.iter().map(short).collect();
    let long: Vec<String> = files.iter().map(|file| output(file)).collect();
    // If the handler is named with its folder, the output needs that folder.
    let names = |outputs: &[String]| {
        let names = outputs.iter().map(String::as_str).collect();
        handler::check(Language::Node, &code.handler, &names, &Files::new(), "").is_ok()
    };
    let keeps_folders = !names(&outputs) && names(&long);
    Ok(EntryPoints { files, outputs: if keeps_folders { long } else { outputs }, keeps_folders })
}

/// Checks that the handler is among esbuild's outputs.
fn check_outputs(code: &Code, points: &EntryPoints) -> Result<(), PackageError> {
    if code.layers {
        return Ok(());
    }
    let names = points.outputs.iter().map(String::as_str).collect();
    handler::check(Language::Node, &code.handler, &names, &Files::new(), "what esbuild makes").map_err(|error| {
        error.help("Handler is FILE.EXPORT of an output: EntryPoints [src/app.ts] make app.js, so Handler: app.NAME")
    })
}

/// What esbuild says, with its files named from here and not from the code's folder, where it runs: `    index.ts:4:2:`.
fn named_from_here(said: &str, folder: &Path) -> String {
    let lines = said.lines().map(|line| {
        let named = line.trim_start();
        let file = named.split_once(':').filter(|(_, rest)| rest.starts_with(|digit: char| digit.is_ascii_digit()));
        let path = file.map(|(file, _)| folder.join(file)).filter(|path| path.is_file());
        let Some((path, (_, rest))) = path.zip(file) else { return line.to_owned() };
        format!("{}{}:{rest}", &line[..line.len() - named.len()], path.display())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Runs esbuild in the code's folder.
async fn bundle(
    code: &Code,
    esbuild: &Esbuild,
    target: Target,
    scratch: &Path,
    artifacts: &Path,
    options: &BuildOptions,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<(), PackageError> {
    let source = folder(code)?;
    let failed = |error: io::Error| PackageError::new(DOING, format!("{}: {error}", source.display()));
    let source = fs::canonicalize(source).map_err(failed)?;
    let points = entry_points(code, esbuild, &source)?;
    check_outputs(code, &points)?;
    let repository = workspace::repository(&source, &code.template);
    let program = program(code, &source, &repository, options, progress).await?;
    let modules = modules(code, &source, &repository, target, scratch, options, progress).await?;

    let mut command = Command::new(program);
    command.args(&points.files).args(&esbuild.flags).current_dir(&source);
    environment::clean(&mut command, &[]);
    if esbuild.bundle {
        command.arg("--bundle");
    }
    command.args(["--platform=node", "--log-level=warning"]).arg(format!("--outdir={}", artifacts.display()));
    let metafile = metafile(code, options);
    if let Some(folder) = metafile.parent().and_then(|folder| std::path::absolute(folder).ok()) {
        let name = metafile.file_name().unwrap_or_default().to_string_lossy();
        command.arg(format!("--metafile={}", folder.join(&*name).display()));
    }
    if points.keeps_folders {
        command.arg("--outbase=.");
    }
    if let Some(modules) = modules {
        command.env("NODE_PATH", modules);
    }
    progress(Progress::Note(format!("bundling {} (esbuild {})", code.logical_id, points.files.join(" "))));
    let done = install::run(
        command,
        DOING,
        "esbuild",
        "remove node_modules and install it again: its esbuild does not run here",
    );
    let named = |said: String| named_from_here(&said, folder(code).unwrap_or(&source));
    let done = done.await.map_err(|error| PackageError { compiler: error.compiler.map(named), ..error });
    done.map_err(|error| match &error.compiler {
        Some(said) if said.contains("Could not resolve") => error.help(
            "imported packages must be in dependencies of package.json, or installed (npm install); those that Lambda or a layer \
             provides go into BuildProperties: { External: [NAME] }",
        ),
        _ => error,
    })?;
    source_map::relate(artifacts, &source).map_err(failed)?;
    // Node.js treats .js files as CommonJS unless a package.json says otherwise, and the code's own is not copied.
    if esbuild.modules && esbuild.extension.is_none() {
        fs::write(artifacts.join("package.json"), "{\"type\":\"module\"}\n").map_err(failed)?;
    }
    Ok(())
}

/// Held while esbuild is installed.
static INSTALLING: Mutex<()> = Mutex::const_new(());
/// Where esbuild notes what it has read for a function: `Inputs` goes by it.
pub(super) fn metafile(code: &Code, options: &BuildOptions) -> PathBuf {
    let path = match &code.source {
        Source::Path(path) => path.as_os_str().as_encoded_bytes(),
        Source::S3(_) | Source::Inline(_) => &[],
    };
    let parts = [code.logical_id.as_bytes(), code.template.as_os_str().as_encoded_bytes(), path];
    options.cache.join(format!("{}.json", install::key("build.inputs", parts.into_iter())))
}

/// The project's own esbuild; without one, esbuild from the registry in the version that package.json requires.
async fn program(
    code: &Code,
    source: &Path,
    repository: &Path,
    options: &BuildOptions,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<PathBuf, PackageError> {
    let inside = || source.ancestors().take_while(|folder| folder.starts_with(repository));
    let below = format!("node_modules/esbuild/bin/esbuild{EXE_SUFFIX}");
    if let Some(program) = inside().map(|folder| folder.join(&below)).find(|program| program.is_file()) {
        return Ok(program);
    }
    let mut version = DEFAULT_ESBUILD_VERSION.to_owned();
    for folder in inside() {
        let manifest = manifest(folder)?.unwrap_or_default();
        let mut asked =
            declared(&manifest, &["devDependencies", "dependencies"]).filter(|(name, _)| *name == "esbuild");
        let is_plain = |text: &str| text.starts_with(|c: char| c.is_ascii_digit() || "^~".contains(c));
        if let Some((_, asked)) = asked.find(|(_, asked)| is_plain(asked)) {
            version = asked.to_owned();
            break;
        }
    }
    let stage = npm::tool("esbuild", &version, source, options);
    // Functions are built side by side, and all of them want the same: the first one installs it.
    let _installing = INSTALLING.lock().await;
    if !stage.is_installed(&options.cache) {
        progress(Progress::Note(format!("installing esbuild for {} ({})", code.logical_id, stage.what)));
        stage.install(&options.cache).await?;
    }
    let cache = std::path::absolute(&options.cache).map_err(|error| PackageError::new(DOING, error))?;
    Ok(cache.join(stage.key()).join(below))
}

/// Installs the code's declared dependencies and returns their `node_modules`; `None` if the project has them
/// installed.
async fn modules(
    code: &Code,
    source: &Path,
    repository: &Path,
    target: Target,
    scratch: &Path,
    options: &BuildOptions,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<Option<PathBuf>, PackageError> {
    let manifest = manifest(source)?.unwrap_or_default();
    let is_installed = |(name, _): (&str, &str)| {
        let inside = source.ancestors().take_while(|folder| folder.starts_with(repository));
        inside
            .map(|folder| folder.join("node_modules").join(name))
            .any(|package| package.join("package.json").is_file())
    };
    if declared(&manifest, &["dependencies"]).all(is_installed) {
        return Ok(None);
    }
    let node = interpreter::find_or_recall(&code.runtime, options.tools.as_deref(), &options.cache).await;
    let version = node.map(|node| node.version).unwrap_or_default();
    let Modules::Install(stage) = npm::modules(source, code, target, &version, options)? else { return Ok(None) };
    if !stage.is_installed(&options.cache) {
        let what = format!("installing the dependencies of {} ({})", code.logical_id, stage.what);
        progress(Progress::Note(what));
        stage.install(&options.cache).await?;
    }
    let failed = |error: io::Error| PackageError::new(DOING, error);
    // Copied or hard-linked, so that packages resolve each other without symbolic links.
    for (name, file) in stage.installed(&options.cache, &std::collections::BTreeSet::new())? {
        let place = scratch.join(name);
        fs::create_dir_all(place.parent().unwrap_or(scratch)).map_err(failed)?;
        fs::hard_link(&file, &place).or_else(|_| fs::copy(&file, &place).map(drop)).map_err(failed)?;
    }
    Ok(Some(scratch.join("node_modules")))
}

#[cfg(test)]
mod tests;
