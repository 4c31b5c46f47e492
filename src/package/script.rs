//! Packages code for node and python: the files of its folder, and the dependencies that npm or pip installs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::cache::Cache;
use super::folder::{self, Contents, Files, Verdict};
use super::npm::{Modules, StagedInstall};
use super::pip::PipInstall;
use super::zip::{self, Entry};
use super::{Artifact, BuildOptions, Code, PackageError, Packing, Progress, Source, Target};
use super::{credentials, file_name, handler, is_zip, missing, npm, pip, python, sdk, syntax, workspace};
use crate::core::stack::Build;
use crate::machine::interpreter::{self, Interpreter, Language};

/// How many installations run in parallel.
const MAX_INSTALLATIONS: usize = 4;

/// The limit of inline code in bytes: 4 MB (CloudFormation template reference, `AWS::Lambda::Function Code`,
/// `ZipFile`).
const MAX_INLINE_BYTES: usize = 4 << 20;

/// A function's packaged code.
#[derive(Debug, Clone)]
struct Packed {
    artifact: Artifact,
    /// The packages that it imports from the runtime's SDK.
    sdk: BTreeSet<String>,
    notes: Vec<String>,
}

/// The location of a function's dependencies.
#[derive(Debug, Clone)]
enum Dependencies {
    /// A folder that pip has installed them into.
    Folder(PathBuf),
    /// A folder that a package manager of Node.js has installed them into.
    Staged(Arc<StagedInstall>),
    /// The code's own folder.
    Own,
}

/// Packages the code of all functions with a node or python runtime.
pub(super) async fn build(
    scripts: Vec<(Code, Language)>,
    target: Target,
    options: &BuildOptions,
    cache: &Arc<Cache>,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<BTreeMap<String, Artifact>, PackageError> {
    let interpreters = match target {
        Target::Host => interpreters(&scripts, options, progress).await?,
        Target::Lambda => BTreeMap::new(),
    };
    let installed = install(&scripts, target, &interpreters, options, progress).await?;

    let runtimes: BTreeMap<String, String> =
        scripts.iter().map(|(code, _)| (code.logical_id.clone(), code.runtime.clone())).collect();
    let mut packing = Packing::default();
    for (code, language) in scripts {
        let cache = Arc::clone(cache);
        let dependencies = installed.get(&code.logical_id).cloned();
        let kept = options.cache.clone();
        let found = interpreters.get(&code.runtime).map(|interpreter| interpreter.program.clone());
        let interpreter = found.or_else(|| syntax::interpreter(&code.runtime, options.tools.as_deref()));
        packing.start([code.logical_id.clone()], move || {
            let dependencies = dependencies.as_ref().map(|dependencies| (dependencies, &*kept));
            let mut packed = pack(&code, language, target, dependencies, &cache, interpreter.as_deref())?;
            packed.sdk.extend(code.sdk);
            Ok(packed)
        });
    }
    let packed = packing.finish().await?;
    // Notes that are the same for several functions, mostly of one folder, are printed once.
    let mut notes: BTreeMap<&String, Vec<&str>> = BTreeMap::new();
    for (function, note) in
        packed.iter().flat_map(|(function, packed)| packed.notes.iter().map(move |note| (function, note)))
    {
        notes.entry(note).or_default().push(function);
    }
    for (note, functions) in notes {
        progress(Progress::Note(format!("{}: {note}", functions.join(", "))));
    }
    if target == Target::Host {
        for (runtime, interpreter) in &interpreters {
            let users =
                || packed.iter().filter(|(function, packed)| runtimes[*function] == *runtime && !packed.sdk.is_empty());
            let wanted: BTreeSet<String> = users().flat_map(|(_, packed)| packed.sdk.clone()).collect();
            let functions: Vec<&String> = users().map(|(function, _)| function).collect();
            let place = sdk::SdkInstall {
                folder: &options.sdk,
                tools: options.tools.as_deref(),
                ignore_scripts: options.ignore_scripts,
            };
            sdk::install(runtime, interpreter, &wanted, &place, progress).await.map_err(|error| error.of(functions))?;
        }
    }
    Ok(packed.into_iter().map(|(function, packed)| (function, packed.artifact)).collect())
}

/// This machine's interpreter for each runtime.
async fn interpreters(
    scripts: &[(Code, Language)],
    options: &BuildOptions,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<BTreeMap<String, Interpreter>, PackageError> {
    let mut found = BTreeMap::new();
    for runtime in scripts.iter().map(|(code, _)| &code.runtime).collect::<BTreeSet<_>>() {
        let interpreter = interpreter::find_or_recall(runtime, options.tools.as_deref(), &options.cache)
            .await
            .map_err(|missing| {
                let functions =
                    scripts.iter().filter(|(code, _)| code.runtime == *runtime).map(|(code, _)| &code.logical_id);
                PackageError::new("run the code", &missing).help(missing.help()).of(functions)
            })?;
        if !interpreter.is_of(runtime) {
            let program = Language::of(runtime).map_or("", |language| match language {
                Language::Node => "Node.js ",
                Language::Python => "Python ",
            });
            let version = &interpreter.version;
            progress(Progress::Note(format!("note: {runtime} handlers run with {program}{version} on this machine")));
        }
        found.insert(runtime.clone(), interpreter);
    }
    Ok(found)
}

/// Installs the dependencies that the functions declare, equal ones once. Returns their locations by function.
async fn install(
    scripts: &[(Code, Language)],
    target: Target,
    interpreters: &BTreeMap<String, Interpreter>,
    options: &BuildOptions,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<BTreeMap<String, Dependencies>, PackageError> {
    let mut wanted: BTreeMap<String, (PipInstall, BTreeSet<String>)> = BTreeMap::new();
    let mut stages: BTreeMap<String, (Arc<StagedInstall>, BTreeSet<String>)> = BTreeMap::new();
    let mut found: BTreeMap<String, Dependencies> = BTreeMap::new();
    for (code, language) in scripts {
        let Source::Path(folder) = &code.source else { continue };
        if code.build == Build::Skip {
            continue;
        }
        let of = |error: PackageError| error.of([&code.logical_id]);
        let interpreter = interpreters.get(&code.runtime);
        let version = interpreter.map_or("", |interpreter| interpreter.version.as_str());
        let install = match language {
            Language::Node => {
                match npm::modules(folder, code, target, version, options).map_err(of)? {
                    Modules::None => {}
                    Modules::Own => drop(found.insert(code.logical_id.clone(), Dependencies::Own)),
                    Modules::Install(stage) => {
                        let functions = &mut stages.entry(stage.key()).or_insert((stage.into(), BTreeSet::new())).1;
                        functions.insert(code.logical_id.clone());
                    }
                }
                None
            }
            Language::Python => {
                // For Lambda any python's pip will do.
                let any = interpreter::within(options.tools.as_deref(), "python3");
                let program = interpreter.map_or(any.as_path(), |interpreter| &interpreter.program);
                pip::dependencies(folder, code, target, (program, version), options).await.map_err(of)?
            }
        };
        if let Some(install) = install {
            wanted.entry(install.key()).or_insert((install, BTreeSet::new())).1.insert(code.logical_id.clone());
        }
    }
    // Loops: of futures that a closure makes of references rustc does not see that they may run in a task
    // (rust-lang/rust#102211).
    let mut made = Vec::new();
    for (install, functions) in wanted.values() {
        made.push(async move {
            if !install.is_installed(&options.cache) {
                let names = functions.iter().cloned().collect::<Vec<_>>().join(", ");
                progress(Progress::Note(format!("installing the dependencies of {names} (pip install)")));
                install.install(&options.cache).await.map_err(|error| error.of(functions))?;
            }
            Ok::<_, PackageError>(())
        });
    }
    stream::iter(made).buffer_unordered(MAX_INSTALLATIONS).try_collect::<()>().await?;
    let mut made = Vec::new();
    for (stage, functions) in stages.values() {
        made.push(async move {
            for note in &stage.notes {
                progress(Progress::Note(note.clone()));
            }
            if !stage.is_installed(&options.cache) {
                let names = functions.iter().cloned().collect::<Vec<_>>().join(", ");
                progress(Progress::Note(format!("installing the dependencies of {names} ({})", stage.what)));
                stage.install(&options.cache).await.map_err(|error| error.of(functions))?;
            }
            Ok::<_, PackageError>(())
        });
    }
    stream::iter(made).buffer_unordered(MAX_INSTALLATIONS).try_collect::<()>().await?;
    for (install, functions) in wanted.into_values() {
        let folder = install.path(&options.cache);
        found.extend(functions.into_iter().map(|function| (function, Dependencies::Folder(folder.clone()))));
    }
    for (stage, functions) in stages.into_values() {
        found.extend(functions.into_iter().map(|function| (function, Dependencies::Staged(Arc::clone(&stage)))));
    }
    Ok(found)
}

/// Sources of at least this size, in bytes, are taken for the output of a bundler.
const MAX_SOURCE_BYTES: usize = 100_000;

/// Builds the zip of one function's code. `dependencies` are its dependencies and the cache folder.
fn pack(
    code: &Code,
    language: Language,
    target: Target,
    dependencies: Option<(&Dependencies, &Path)>,
    cache: &Cache,
    interpreter: Option<&Path>,
) -> Result<Packed, PackageError> {
    let path = match form(code)? {
        Form::Inline(text) => return inline(code, language, target, text),
        Form::Zip(path) => return pack_zip(code, language, target, path),
        Form::Folder(path) => path,
    };
    let linked = match dependencies {
        Some((Dependencies::Own, _)) => npm::linked_packages(path, code, target)?,
        _ => None,
    };
    let whole = matches!(dependencies, Some((Dependencies::Own, _))) && linked.is_none();
    let Contents { mut files, left_out, secrets } = read(path, code, language, whole)?;
    let written = if code.build == Build::Ordinary { files.clone() } else { Files::new() };
    let own = files.iter().filter(|(name, _)| sdk::is_source(language, name));
    let sources: Vec<Vec<u8>> = own.filter_map(|(_, file)| std::fs::read(file).ok()).collect();
    let imports = |longest: usize| -> BTreeSet<String> {
        let texts = sources.iter().filter(|source| source.len() < longest);
        texts.filter_map(|source| std::str::from_utf8(source).ok()).flat_map(npm::imported).collect()
    };
    match dependencies {
        Some((Dependencies::Folder(folder), _)) if folder.is_dir() => {
            for (name, file) in installed(folder)? {
                files.entry(name).or_insert(file);
            }
        }
        Some((Dependencies::Staged(stage), kept)) => {
            files.extend(stage.installed(kept, &imports(usize::MAX))?);
        }
        _ => files.extend(linked.unwrap_or_default()),
    }
    let names: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    check_handler(code, language, &names, &left_out, &file_name(path))?;
    // Only for code without packages. A bundler's output is skipped: it contains imports that never run.
    let is_bare = !names.iter().any(|name| name.starts_with("node_modules/"));
    let checks_imports = language == Language::Node && code.build == Build::Ordinary && is_bare;
    let not_included = checks_imports.then(|| npm::missing_imports(&imports(MAX_SOURCE_BYTES), &names));
    let bare_python =
        language == Language::Python && code.build == Build::Ordinary && !code.layers && !python::declares(path);
    let above = bare_python.then(|| python::missing_from_parent_requirements(path, &names, &sources));
    let (sdk, mut notes) = sdk::imported(language, &code.runtime, &names, sources.into_iter());
    notes.extend(above.flatten());
    notes.extend(credentials::warning(&secrets));
    notes.extend(not_included.flatten());
    let check = || syntax::check(code, language, target, interpreter, &written);
    let artifact = cache.pack_files(path, &format!("{target:?} {}", code.logical_id), files, target, check)?;
    Ok(Packed { artifact, sdk, notes })
}

/// Checks for everything that `pack` would reject regardless of installed packages; an error names the property that
/// causes it.
pub(super) fn check(code: &Code, language: Language) -> Result<(), (&'static str, PackageError)> {
    let of_code = |error| ("Code", error);
    let (names, left_out, place) = match form(code).map_err(of_code)? {
        // Lambda creates the function whatever its handler is, and so do people: a warning says that no call finds it.
        Form::Inline(_) => return Ok(()),
        Form::Zip(path) => (zip_names(path).map_err(of_code)?, Files::new(), file_name(path)),
        Form::Folder(path) => {
            if language == Language::Python {
                python::check(path).map_err(of_code)?;
            }
            let Contents { files, left_out, .. } =
                read(path, code, language, !path.join("package.json").is_file()).map_err(of_code)?;
            if code.build == Build::Ordinary && may_be_installed(path, language, &code.handler) {
                return Ok(());
            }
            (files.into_keys().collect::<BTreeSet<_>>(), left_out, file_name(path))
        }
    };
    let names = names.iter().map(String::as_str).collect();
    check_handler(code, language, &names, &left_out, &place).map_err(|error| ("Handler", error))
}

/// Whether the handler's module may come from a dependency that the folder declares.
fn may_be_installed(folder: &Path, language: Language, handler: &str) -> bool {
    if language == Language::Python {
        // The name of a package on PyPI may differ from that of its module.
        return python::declares(folder);
    }
    let name = handler.split(['.', '/']).find(|part| !part.is_empty()).unwrap_or(handler);
    let names = [format!("\"{name}\""), format!("\"{name}/")];
    std::fs::read_to_string(folder.join("package.json")).is_ok_and(|text| names.iter().any(|name| text.contains(name)))
}

/// The form in which code for node or python is given.
enum Form<'a> {
    Inline(&'a str),
    Zip(&'a Path),
    Folder(&'a Path),
}

fn form(code: &Code) -> Result<Form<'_>, PackageError> {
    let why = match &code.source {
        Source::Inline(text) => return Ok(Form::Inline(text)),
        Source::Path(path) if path.is_dir() => return Ok(Form::Folder(path)),
        Source::Path(path) if path.is_file() && is_zip(path) => return Ok(Form::Zip(path)),
        Source::Path(path) if path.is_file() => format!("{} is a file but not a .zip", path.display()),
        Source::Path(path) => missing(path),
        Source::S3(object) => format!("{object} was not fetched"),
    };
    Err(PackageError::new("find the code", why)
        .help(format!("CodeUri is relative to the template; for {} it must be a folder or a .zip", code.runtime)))
}

/// A folder's own files, without dependencies that are installed separately and without files of tools. `modules` is
/// whether to include its own `node_modules`.
fn read(folder: &Path, code: &Code, language: Language, modules: bool) -> Result<Contents, PackageError> {
    let repository = workspace::repository(&std::fs::canonicalize(folder).unwrap_or_default(), &code.template);
    if code.build == Build::Skip {
        let judge = |name: &str, _: &Path| {
            let secret = name.rsplit('/').next() == Some(".npmrc");
            if secret || folder::is_never_packaged(name) { Verdict::Exclude } else { Verdict::IncludeAll }
        };
        return folder::read_within(folder, &repository, &judge);
    }
    let development = if language == Language::Node { npm::development_packages(folder) } else { BTreeSet::new() };
    folder::read_within(folder, &repository, &|name, path| {
        let last = name.rsplit('/').next().unwrap_or(name);
        match language {
            _ if folder::is_never_packaged(name) => Verdict::Exclude,
            // It may contain tokens, and only npm needs it.
            Language::Node if last == ".npmrc" => Verdict::Exclude,
            Language::Node if development.contains(name) => Verdict::Exclude,
            Language::Node if name.strip_prefix("node_modules/").is_some_and(npm::is_tool_file) => Verdict::Exclude,
            Language::Node if name == "node_modules" && modules => Verdict::IncludeAll,
            Language::Node if name == "node_modules" => Verdict::Exclude,
            Language::Python if last == "__pycache__" || path.join("pyvenv.cfg").is_file() => Verdict::Exclude,
            _ => Verdict::Include,
        }
    })
}

/// The files outside of a function's folder that links in it lead to.
pub(super) fn linked_files(folder: &Path, code: &Code, language: Language) -> BTreeSet<PathBuf> {
    let files = read(folder, code, language, false).map(|contents| contents.files).unwrap_or_default();
    files.into_values().filter(|file| !file.starts_with(folder)).collect()
}

/// The files in a function's folder that look like credentials.
pub(super) fn secrets(folder: &Path, code: &Code, language: Language) -> BTreeSet<String> {
    read(folder, code, language, false).map(|contents| contents.secrets).unwrap_or_default()
}

/// The files that the user wrote, of code that is deployed as it is; `None` for other code.
fn own_files(code: &Code, language: Language) -> Option<Files> {
    let Ok(Form::Folder(path)) = form(code) else { return None };
    if code.build != Build::Ordinary {
        return None;
    }
    read(path, code, language, false).ok().map(|contents| contents.files)
}

/// The syntax errors of several functions' code, by logical id: one of each function at most. Reads only.
pub fn syntax_errors(functions: &[Code]) -> BTreeMap<String, syntax::SyntaxError> {
    let mut errors = BTreeMap::new();
    // Functions often share a folder, and always an interpreter: one process for each runtime.
    let mut runtimes: BTreeMap<&str, Vec<(&Code, Files)>> = BTreeMap::new();
    for code in functions {
        if let Some(language) = Language::of(&code.runtime)
            && let Some(files) = own_files(code, language)
        {
            runtimes.entry(&code.runtime).or_default().push((code, syntax::checked_files(code, language, &files)));
        }
    }
    for (runtime, functions) in runtimes {
        let (Some(language), Some(interpreter)) = (Language::of(runtime), syntax::interpreter(runtime, None)) else {
            continue;
        };
        let all: Files = functions
            .iter()
            .flat_map(|(_, files)| files.values())
            .map(|path| (path.display().to_string(), path.clone()))
            .collect();
        let found = syntax::run(language, &interpreter, runtime, Target::Lambda, &all);
        for (code, files) in functions {
            let error = found.iter().find(|(file, _)| syntax::is_used(code, language, &files, file));
            errors.extend(error.map(|(_, error)| (code.logical_id.clone(), error.clone())));
        }
    }
    errors
}

/// The files that pip has installed.
fn installed(folder: &Path) -> Result<Files, PackageError> {
    Ok(folder::read(folder, &|_, _| Verdict::Installed)?.files)
}

/// The user's own zip, unchanged, after checking that the handler is in it.
fn pack_zip(code: &Code, language: Language, target: Target, path: &Path) -> Result<Packed, PackageError> {
    let artifact = zip::read(path, code.object.clone().filter(|_| target == Target::Lambda))?;
    let contents =
        zip::contents(&artifact.zip, |name| sdk::is_source(language, name)).map_err(|error| broken(path, error))?;
    let names: BTreeSet<&str> = contents.iter().map(|(name, _)| name.as_str()).collect();
    check_handler(code, language, &names, &Files::new(), &file_name(path))?;
    let sources = contents.iter().filter_map(|(_, content)| content.clone());
    let (sdk, notes) = sdk::imported(language, &code.runtime, &names, sources);
    Ok(Packed { artifact, sdk, notes })
}

/// The names of the files in the user's own zip.
fn zip_names(path: &Path) -> Result<BTreeSet<String>, PackageError> {
    let contents = zip::contents(&zip::read(path, None)?.zip, |_| false).map_err(|error| broken(path, error))?;
    Ok(contents.into_iter().map(|(name, _)| name).collect())
}

fn broken(zip: &Path, why: impl std::fmt::Display) -> PackageError {
    PackageError::new("read the zip", format!("{}: {why}", zip.display()))
}

/// The name of the file for inline code.
fn inline_name(language: Language) -> &'static str {
    if language == Language::Node { "index.js" } else { "index.py" }
}

/// Zips inline code under the file name that CloudFormation uses.
fn inline(code: &Code, language: Language, target: Target, text: &str) -> Result<Packed, PackageError> {
    if text.len() > MAX_INLINE_BYTES {
        let why = format!("it has {} bytes inline, but CloudFormation accepts at most {MAX_INLINE_BYTES}", text.len());
        return Err(PackageError::new("package the code", why).help("put it into a folder and name that in CodeUri"));
    }
    let name = inline_name(language);
    let content = text.as_bytes().to_vec();
    let (sdk, notes) = sdk::imported(language, &code.runtime, &BTreeSet::from([name]), [content.clone()].into_iter());
    let mut entries = vec![Entry { name: name.to_owned(), executable: false, content }];
    let (module, answers, path) = answers(language);
    if text.contains(module) {
        entries.push(Entry { name: path.to_owned(), executable: false, content: answers.as_bytes().to_vec() });
    }
    let artifact = zip::pack(entries, target)?;
    Ok(Packed { artifact, sdk, notes })
}

/// The module that CloudFormation puts beside inline code for the answers of custom resources: its name, its text and its file.
/// (CloudFormation user guide, "cfn-response module")
fn answers(language: Language) -> (&'static str, &'static str, &'static str) {
    match language {
        Language::Node => {
            ("cfn-response", include_str!("answers/cfn-response.js"), "node_modules/cfn-response/index.js")
        }
        Language::Python => ("cfnresponse", include_str!("answers/cfnresponse.py"), "cfnresponse.py"),
    }
}

fn check_handler(
    code: &Code,
    language: Language,
    names: &BTreeSet<&str>,
    left_out: &Files,
    place: &str,
) -> Result<(), PackageError> {
    if code.layers {
        return Ok(());
    }
    handler::check(language, &code.handler, names, left_out, place)
}

#[cfg(test)]
pub(super) mod tests;
