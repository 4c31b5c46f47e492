//! Finds the dependencies of a Python function: requirements.txt, a lock of uv, poetry or pipenv, or pyproject.toml.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::install::output;
use super::requirements::Requirements;
use super::{BuildOptions, Code, PackageError, environment};
use crate::machine::interpreter;

const DOING: &str = "install the dependencies";

/// Files that declare dependencies, in the order of precedence.
const DEPENDENCY_FILES: &[&str] = &[
    "requirements.txt",
    "uv.lock",
    "poetry.lock",
    "Pipfile.lock",
    "pylock.toml",
    "Pipfile",
    "setup.py",
    "pyproject.toml",
];

/// The declaration of the dependencies of the code in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// requirements.txt.
    Requirements(PathBuf),
    /// uv.lock, in the project's folder or in that of its workspace.
    Uv {
        lock: PathBuf,
    },
    Poetry {
        lock: PathBuf,
    },
    /// Pipfile.lock, JSON with versions and hashes.
    Pipenv {
        lock: PathBuf,
    },
    /// `[project.dependencies]`.
    Project(Vec<String>),
    /// Nothing is declared.
    None,
}

/// A pyproject.toml.
#[derive(Debug, Default)]
struct Project(toml::Table);

impl Project {
    fn read(folder: &Path) -> Result<Option<Self>, PackageError> {
        let path = folder.join("pyproject.toml");
        let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
        let table = text.parse();
        let table = table.map_err(|error| PackageError::new(DOING, format!("{}: {error}", path.display())))?;
        Ok(Some(Self(table)))
    }

    fn at(&self, path: &[&str]) -> Option<&toml::Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.0.get(*first)?, |value, key| value.get(key))
    }

    /// Whether the project itself must be installed for the handler: it is a package, and its module cannot be imported
    /// from the folder directly.
    fn is_needed(&self, folder: &Path, handler: &str) -> bool {
        if self.0.get("build-system").is_none() {
            return false;
        }
        let module = handler.split(['.', '/']).next().unwrap_or(handler);
        let beside = folder.join(format!("{module}.py")).is_file() || folder.join(module).is_dir();
        folder.join("src").is_dir() || !beside
    }
}

/// The file that declares the dependencies of the code in `folder`.
///
/// # Errors
/// As `requirements`.
pub(super) fn declared_in(folder: &Path) -> Result<PathBuf, PackageError> {
    Ok(match find(folder)? {
        Source::Requirements(file) => file,
        Source::Uv { lock } | Source::Poetry { lock } | Source::Pipenv { lock } => lock,
        Source::Project(_) | Source::None => {
            let file = folder.join("pyproject.toml");
            if file.is_file() { file } else { folder.join("setup.py") }
        }
    })
}

/// Finds the declaration of the dependencies.
///
/// # Errors
/// When it cannot be installed exactly as declared; the help says what to do.
fn find(folder: &Path) -> Result<Source, PackageError> {
    let failed = |why: String, help: &str| Err(PackageError::new(DOING, why).help(help));
    let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    if let Some(path) = file("requirements.txt") {
        return Ok(Source::Requirements(path));
    }
    let project = Project::read(folder)?;
    let workspace = || {
        let above = folder.ancestors().skip(1).filter(|folder| folder.join("uv.lock").is_file());
        let member = |folder: &&Path| {
            let root = Project::read(folder).ok().flatten();
            root.is_some_and(|root| root.at(&["tool", "uv", "workspace"]).is_some())
        };
        above.take(8).find(member).map(|folder| folder.join("uv.lock"))
    };
    if let Some(lock) = file("uv.lock").or_else(|| project.as_ref().and_then(|_| workspace())) {
        return Ok(Source::Uv { lock });
    }
    if let Some(lock) = file("poetry.lock") {
        return Ok(Source::Poetry { lock });
    }
    if let Some(lock) = file("Pipfile.lock") {
        return Ok(Source::Pipenv { lock });
    }
    if let Some(lock) = file("pylock.toml") {
        let help = "write its packages into a requirements.txt beside it, with the tool that made it";
        return failed(format!("{} is not supported yet", lock.display()), help);
    }
    if let Some(pipfile) = file("Pipfile") {
        return failed(format!("{} has no Pipfile.lock beside it", pipfile.display()), "run `pipenv lock`");
    }
    // setup.py is used if there is no pyproject.toml, or if that only configures tools.
    if file("setup.py").is_some() && project.as_ref().is_none_or(|project| project.0.get("project").is_none()) {
        return Ok(Source::Project(vec![".".to_owned()]));
    }
    // So is setup.cfg, which pip only accepts beside one of the other two.
    if names_dependencies(&folder.join("setup.cfg"))
        && project.as_ref().is_none_or(|project| project.0.get("project").is_none())
    {
        if project.is_none() {
            let why =
                format!("{} has neither setup.py nor pyproject.toml beside it", folder.join("setup.cfg").display());
            return failed(why, "pip installs it only with one of them; or list the packages in a requirements.txt");
        }
        return Ok(Source::Project(vec![".".to_owned()]));
    }
    let Some(project) = project else { return Ok(Source::None) };
    let path = folder.join("pyproject.toml");
    let declared = project.at(&["project", "dependencies"]).and_then(toml::Value::as_array);
    let declared: Vec<String> =
        declared.into_iter().flatten().filter_map(|requirement| Some(requirement.as_str()?.to_owned())).collect();
    if project.at(&["tool", "poetry", "dependencies"]).is_some() && declared.is_empty() {
        return failed(format!("{} has no poetry.lock beside it", path.display()), "run `poetry lock`");
    }
    // uv takes these packages from a folder or another index; on PyPI the same names are other packages.
    if project.at(&["tool", "uv", "sources"]).is_some() && !declared.is_empty() {
        let why = format!("{} has [tool.uv.sources], which only uv reads, and no uv.lock beside it", path.display());
        return failed(why, "run `uv lock`");
    }
    let dynamic = project.at(&["project", "dynamic"]).and_then(toml::Value::as_array);
    if dynamic.is_some_and(|names| names.iter().any(|name| name.as_str() == Some("dependencies"))) {
        return Ok(Source::Project(vec![".".to_owned()]));
    }
    Ok(Source::Project(declared))
}

/// Whether a setup.cfg, which mostly configures tools, has `install_requires` in its section `options` (setuptools user
/// guide, "Configuring setuptools using setup.cfg files").
fn names_dependencies(setup_cfg: &Path) -> bool {
    let text = fs::read_to_string(setup_cfg).unwrap_or_default();
    let mut section = "";
    text.lines().any(|line| {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = name.trim();
        }
        section == "options" && line.split(['=', ':']).next().is_some_and(|key| key.trim_end() == "install_requires")
    })
}

/// Whether the code in `folder` declares dependencies in any form.
pub(super) fn declares(folder: &Path) -> bool {
    DEPENDENCY_FILES.iter().any(|name| folder.join(name).is_file()) || names_dependencies(&folder.join("setup.cfg"))
}

/// A note about imports that only a requirements.txt above the code's folder requires, which is not installed. `names`
/// are the files of the zip.
pub(super) fn missing_from_parent_requirements(
    folder: &Path,
    names: &BTreeSet<&str>,
    sources: &[Vec<u8>],
) -> Option<String> {
    /// How many folders above are searched.
    const LEVELS: usize = 3;
    /// Packages that Lambda's runtimes include.
    const PREINSTALLED: &[&str] = &["boto3", "botocore"];
    let folder = fs::canonicalize(folder).ok()?;
    let mut files = folder.ancestors().skip(1).take(LEVELS).map(|above| above.join("requirements.txt"));
    let file = files.find(|file| file.is_file())?;
    let requirements = Requirements::read(&file, file.parent()?).ok()?;
    let imported = |name: &str| {
        let module = name.to_lowercase().replace('-', "_");
        let has = |name: &&str| name.strip_prefix(&*module).is_some_and(|rest| rest == ".py" || rest.starts_with('/'));
        if PREINSTALLED.contains(&&*module) || names.iter().any(has) {
            return false;
        }
        let lines = sources.iter().filter_map(|source| std::str::from_utf8(source).ok()).flat_map(str::lines);
        lines.map(str::trim).any(|line| {
            let rest = line.strip_prefix("import ").or_else(|| line.strip_prefix("from "));
            rest.and_then(|rest| rest.trim().split([' ', '.', ',']).next()).is_some_and(|first| first == module)
        })
    };
    let missing: Vec<&str> = requirements.names().filter(|name| imported(name)).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "imports {}, which only {} requires; that file is not installed, because it is not in the code's folder",
            missing.join(", "),
            file.display()
        )
    })
}

/// Checks for everything that `requirements` would reject without running a tool.
///
/// # Errors
/// The first problem.
pub(super) fn check(folder: &Path) -> Result<(), PackageError> {
    match find(folder)? {
        Source::Requirements(path) => Requirements::read(&path, folder).map(drop),
        Source::Pipenv { lock } => pipenv(&lock).map(drop),
        _ => Ok(()),
    }
}

/// The requirements of a function whose code is in `folder`.
///
/// # Errors
/// When their declaration cannot be read, or needs a tool that is missing.
pub(super) async fn requirements(
    folder: &Path,
    code: &Code,
    options: &BuildOptions,
) -> Result<Requirements, PackageError> {
    let project = Project::read(folder)?.unwrap_or_default();
    let own = |mut text: String| {
        if project.is_needed(folder, &code.handler) && !text.lines().any(|line| line == ".") {
            text.push_str("\n.\n");
        }
        text
    };
    match find(folder)? {
        Source::Requirements(path) => Requirements::read(&path, folder),
        Source::None => Ok(Requirements::default()),
        Source::Project(declared) => Requirements::parse(&own(declared.join("\n")), &[folder]),
        Source::Pipenv { lock } => Requirements::parse(&pipenv(&lock)?, &[folder]),
        Source::Uv { lock } => {
            let arguments = "export --quiet --frozen --no-dev --no-emit-project --no-header --no-annotate \
                             --format requirements-txt";
            let help = "install uv (https://docs.astral.sh/uv); if uv rejects the lock, update it: uv lock; or export the \
                        lock to a requirements.txt: \
                        uv export --frozen --no-dev --no-emit-project -o requirements.txt";
            let text = exported("uv", arguments, folder, &lock, help, options).await?;
            Requirements::parse(&own(text), &[folder, lock.parent().unwrap_or(folder)])
        }
        Source::Poetry { lock } => {
            let arguments = "export --no-interaction --no-ansi --format requirements.txt";
            let help = "install poetry (https://python-poetry.org) and its plug-in (poetry self add \
                        poetry-plugin-export); or export the lock to a requirements.txt: \
                        poetry export -o requirements.txt";
            let text = exported("poetry", arguments, folder, &lock, help, options).await?;
            Requirements::parse(&own(text), &[folder])
        }
    }
}

/// A lock as the text of a requirements file, exported by its tool. Cached as long as the lock and the project stay the
/// same.
async fn exported(
    tool: &'static str,
    arguments: &str,
    folder: &Path,
    lock: &Path,
    without: &'static str,
    options: &BuildOptions,
) -> Result<String, PackageError> {
    let mut hash = Sha256::new();
    for file in [lock.to_owned(), folder.join("pyproject.toml")] {
        hash.update(fs::read(&file).unwrap_or_default());
        hash.update([0]);
    }
    hash.update(folder.as_os_str().as_encoded_bytes());
    hash.update(arguments);
    let kept = options.cache.join(format!("pip-{tool}-{}.txt", hex::encode(&hash.finalize()[..8])));
    if let Ok(text) = fs::read_to_string(&kept) {
        return Ok(text);
    }
    let mut command = Command::new(interpreter::within(options.tools.as_deref(), tool));
    command.args(arguments.split_whitespace()).current_dir(folder);
    environment::clean(&mut command, &[]);
    let what = format!("{tool} export");
    let text = output(command, DOING, &what, without).await.map_err(|error| match error.help {
        None => error.help(without),
        Some(_) => error,
    })?;
    let text = String::from_utf8_lossy(&text).into_owned();
    // If the cache cannot be written, the next run is slower but correct.
    let temporary = kept.with_extension(std::process::id().to_string());
    let _ = fs::create_dir_all(&options.cache)
        .and_then(|()| fs::write(&temporary, &text))
        .and_then(|()| fs::rename(&temporary, &kept));
    Ok(text)
}

/// A Pipfile.lock as a requirements file (its section `default`, without development packages).
fn pipenv(lock: &Path) -> Result<String, PackageError> {
    let failed = |why: String| PackageError::new(DOING, format!("{}: {why}", lock.display()));
    let text = fs::read(lock).map_err(|error| failed(error.to_string()))?;
    let content: Value = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
    let mut lines = Vec::new();
    let sources = content["_meta"]["sources"].as_array().into_iter().flatten();
    for (index, source) in sources.filter_map(|source| source["url"].as_str()).enumerate() {
        lines.push(format!("{} {source}", if index == 0 { "--index-url" } else { "--extra-index-url" }));
    }
    let packages = content["default"].as_object().ok_or_else(|| failed("it has no section \"default\"".to_owned()))?;
    // pip checks the hashes of all packages or of none, and packages from a repository or a folder have none.
    let hashed = packages.values().all(|package| package["hashes"].as_array().is_some_and(|hashes| !hashes.is_empty()));
    for (name, package) in packages {
        let field = |key: &str| package[key].as_str();
        let extras: Vec<&str> = package["extras"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let extras = if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
        let mut line = if let Some(path) = field("path").or_else(|| field("file").filter(|file| !file.contains("://")))
        {
            let path = if path.starts_with(['.', '/']) { path.to_owned() } else { format!("./{path}") };
            format!("{path}{extras}")
        } else if let Some(url) = field("file") {
            format!("{name}{extras} @ {url}")
        } else if let Some(url) = field("git") {
            let revision = field("ref").map(|revision| format!("@{revision}")).unwrap_or_default();
            let below = field("subdirectory").map(|folder| format!("#subdirectory={folder}")).unwrap_or_default();
            format!("{name}{extras} @ git+{url}{revision}{below}")
        } else if let Some(version) = field("version") {
            format!("{name}{extras}{version}")
        } else {
            return Err(failed(format!("{name} has neither a version nor a source")));
        };
        if let Some(markers) = field("markers") {
            line += &format!(" ; {markers}");
        }
        for hash in package["hashes"].as_array().filter(|_| hashed).into_iter().flatten().filter_map(Value::as_str) {
            line += &format!(" --hash={hash}");
        }
        lines.push(line);
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declaration_of_dependencies_is_found_or_rejected_by_name() {
        let project = "[project]\nname = \"chat\"\ndependencies = [\"humanize\"]\n";
        type Case<'a> = (&'a [(&'a str, &'a str)], Result<&'a str, &'a str>);
        let cases: &[Case<'_>] = &[
            (&[("app.py", "")], Ok("None")),
            (&[("requirements.txt", ""), ("uv.lock", ""), ("pyproject.toml", project)], Ok("Requirements")),
            (&[("uv.lock", ""), ("poetry.lock", ""), ("pyproject.toml", project)], Ok("Uv")),
            (&[("poetry.lock", ""), ("pyproject.toml", project)], Ok("Poetry")),
            (&[("Pipfile.lock", "{}"), ("Pipfile", "")], Ok("Pipenv")),
            (&[("pyproject.toml", project)], Ok("Project([\"humanize\"])")),
            (&[("pyproject.toml", "[tool.ruff]\nline-length = 100\n")], Ok("Project([])")),
            (&[("pyproject.toml", "[project]\ndynamic = [\"dependencies\"]\n")], Ok("Project([\".\"])")),
            (&[("setup.py", "")], Ok("Project([\".\"])")),
            (&[("setup.py", ""), ("pyproject.toml", "[tool.ruff]\n")], Ok("Project([\".\"])")),
            (&[("setup.cfg", "[flake8]\nmax-line-length = 120\n")], Ok("None")),
            (
                &[("setup.cfg", "[options]\ninstall_requires =\n  humanize\n")],
                Err("setup.cfg has neither setup.py nor pyproject.toml beside it"),
            ),
            (
                &[("setup.cfg", "[options]\ninstall_requires = humanize\n"), ("pyproject.toml", "[build-system]\n")],
                Ok("Project([\".\"])"),
            ),
            (&[("pylock.toml", "")], Err("pylock.toml is not supported yet")),
            (&[("Pipfile", "")], Err("Pipfile has no Pipfile.lock beside it")),
            (
                &[("pyproject.toml", "[tool.poetry.dependencies]\nhumanize = \"*\"\n")],
                Err("has no poetry.lock beside it"),
            ),
            (
                &[("pyproject.toml", &*format!("{project}[tool.uv.sources]\nhumanize = {{ path = \"../h\" }}\n"))],
                Err("has [tool.uv.sources], which only uv reads"),
            ),
            (&[("pyproject.toml", "[project\n")], Err("pyproject.toml: TOML parse error")),
        ];
        for (files, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in *files {
                fs::write(folder.path().join(name), text).unwrap();
            }
            match (find(folder.path()), expected) {
                (Ok(found), Ok(expected)) => assert!(format!("{found:?}").starts_with(expected), "{found:?}"),
                (Err(error), Err(expected)) => assert!(error.why.contains(expected), "{error}"),
                (found, _) => panic!("{files:?}: {found:?}"),
            }
        }
        // A member of uv's workspace has no lock of its own.
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("fn")).unwrap();
        write("uv.lock", "");
        write("fn/pyproject.toml", project);
        write("pyproject.toml", "[project]\nname = \"other\"\n");
        assert!(matches!(find(&folder.path().join("fn")), Ok(Source::Project(_))));
        write("pyproject.toml", "[tool.uv.workspace]\nmembers = [\"fn\"]\n");
        assert_eq!(find(&folder.path().join("fn")), Ok(Source::Uv { lock: folder.path().join("uv.lock") }));
    }

    #[test]
    fn imports_required_only_above_the_codes_folder_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        fs::write(folder.path().join("requirements.txt"), "humanize==4\nPyYAML\nboto3\npytest\n").unwrap();
        let told = |names: &[&str], source: &str| {
            missing_from_parent_requirements(
                &folder.path().join("src"),
                &names.iter().copied().collect(),
                &[source.as_bytes().to_vec()],
            )
        };
        let note = told(&["app.py"], "import boto3, json\nfrom humanize.time import naturaldelta\n").unwrap();
        assert!(note.starts_with("imports humanize, which only "), "{note}");
        assert_eq!(told(&["app.py", "humanize/__init__.py"], "import humanize\n"), None);
        assert_eq!(told(&["app.py"], "import boto3\n"), None);
    }

    #[test]
    fn a_pipfile_lock_is_read_with_its_hashes_sources_and_markers() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("Pipfile.lock");
        let text = |more: &str| {
            format!(
                r#"{{"_meta": {{"sources": [{{"url": "https://one/simple"}}, {{"url": "https://two/simple"}}]}},
                    "default": {{{more} "a": {{"version": "==1.0", "extras": ["x", "y"], "hashes": ["sha256:1", "sha256:2"],
                    "markers": "python_version >= '3.8'", "index": "pypi"}}}}, "develop": {{"pytest": {{"version": "==8"}}}}}}"#
            )
        };
        fs::write(&lock, text("")).unwrap();
        let indexes = "--index-url https://one/simple\n--extra-index-url https://two/simple";
        let a = "a[x,y]==1.0 ; python_version >= '3.8'";
        assert_eq!(pipenv(&lock).unwrap(), format!("{indexes}\n{a} --hash=sha256:1 --hash=sha256:2"));
        let others = r#""b": {"git": "https://g/b.git", "ref": "abc"}, "c": {"path": "lib", "editable": true},"#;
        fs::write(&lock, text(others)).unwrap();
        // In the order of the file or of the alphabet: `a` comes first or last.
        let mut lines: Vec<String> = pipenv(&lock).unwrap().lines().skip(2).map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["./lib", a, "b @ git+https://g/b.git@abc"]);
    }
}
