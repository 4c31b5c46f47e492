//! What a function's code is made from: which saved files may change it, and which folders to watch for that.
//!
//! It may name more than a build reads, never less: a build whose inputs have not changed gives the same zip.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::Metadata;
use serde_json::Value;

use super::exclude::Excludes;
use super::requirements::Requirements;
use super::workspace::{self, NEEDED, declared, manifest, named_path};
use super::{BuildOptions, Code, Source, build_method, cargo, script};
use crate::core::stack::Build;
use crate::machine::interpreter::Language;

/// Folders that no build reads its sources from: those of tools, and of installed packages, which change together with a
/// lock or a manifest.
const OTHERS: &[&str] =
    &[".aws-sam", ".git", ".hg", ".idea", ".svn", ".vscode", ".wschat", "__pycache__", "node_modules"];

/// Files beside the code, or above it in the repository, that say how it is built.
const MANIFESTS: &[&str] = &[
    ".cargo/config",
    ".cargo/config.toml",
    ".gitignore",
    ".npmrc",
    ".python-version",
    ".wschatignore",
    ".yarnrc.yml",
    "Cargo.lock",
    "Cargo.toml",
    "Makefile",
    "Pipfile",
    "Pipfile.lock",
    "go.mod",
    "go.sum",
    "go.work",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "package.json",
    "pdm.lock",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "poetry.lock",
    "pylock.toml",
    "pyproject.toml",
    "requirements.txt",
    "rust-toolchain",
    "rust-toolchain.toml",
    "tsconfig.json",
    "uv.lock",
    "yarn.lock",
];

/// What the code of one function is made from. Paths are absolute, with links resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Folders: all in them counts that is not ignored.
    folders: BTreeSet<PathBuf>,
    /// Files elsewhere, some of which may not exist.
    files: BTreeSet<PathBuf>,
}

impl Inputs {
    /// The inputs of a function's code. What cannot be read is left out: the build says why.
    pub async fn of(code: &Code, options: &BuildOptions) -> Self {
        let mut inputs = Self::default();
        let Source::Path(path) = &code.source else { return inputs };
        let path = resolved(path);
        if !path.is_dir() {
            inputs.files.insert(path);
            return inputs;
        }
        let repository = workspace::repository(&path, &code.template);
        if super::is_crate(code) {
            inputs.add_crate(code, &path, options).await;
        } else {
            inputs.folders.insert(path.clone());
            match build_method::method(code) {
                // Its rules may read anything.
                Build::Makefile(makefile) => {
                    inputs.folders.insert(repository.clone());
                    inputs.folders.extend(makefile.context.map(|at| workspace::join(&code.template, &at)));
                }
                Build::Esbuild(_) => match bundled(code, options) {
                    Some(files) => inputs.files.extend(files),
                    None => drop(inputs.folders.insert(repository.clone())),
                },
                Build::Go => {}
                Build::Ordinary | Build::Skip | Build::LayerOf(_) => inputs.add_script(code, &path),
            }
        }
        for folder in path.ancestors().take_while(|folder| folder.starts_with(&repository)) {
            inputs.files.extend(MANIFESTS.iter().map(|name| folder.join(name)));
        }
        inputs
    }

    /// Whether the code may be another one after the file or folder at `path` was written, created or removed.
    pub fn has(&self, path: &Path) -> bool {
        let counts = |folder: &PathBuf| path.starts_with(folder) && !is_ignored(path, folder);
        self.files.contains(path) || self.folders.iter().any(counts)
    }

    /// Every folder to watch, without those in it.
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        for folder in &self.folders {
            walk(folder, &mut Excludes::above(folder), &mut found);
        }
        found.extend(self.files.iter().filter_map(|file| file.parent()).filter(|at| at.is_dir()).map(Path::to_owned));
        found
    }

    /// The packages that a folder with code for node or python names by path, and what its links lead to.
    fn add_script(&mut self, code: &Code, path: &Path) {
        let Some(language) = Language::of(&code.runtime) else { return };
        self.files.extend(script::linked_files(path, code, language));
        match language {
            Language::Node => {
                if let Ok(project) = workspace::Project::find(path) {
                    self.folders.extend(project.members);
                    self.files.extend(MANIFESTS.iter().map(|name| project.root.join(name)));
                }
                let mut ahead = vec![path.to_owned()];
                while let Some(folder) = ahead.pop() {
                    let manifest = manifest(&folder).ok().flatten().unwrap_or_default();
                    let named = declared(&manifest, NEEDED).filter_map(|(_, version)| named_path(version));
                    for at in named.map(|at| resolved(&workspace::join(&folder, at))).collect::<Vec<_>>() {
                        if at.is_dir() && self.folders.insert(at.clone()) {
                            ahead.push(at);
                        } else if !at.is_dir() {
                            self.files.insert(at);
                        }
                    }
                }
            }
            Language::Python => {
                let requirements = Requirements::read(&path.join("requirements.txt"), path).unwrap_or_default();
                let named: Vec<PathBuf> = requirements.locals().map(|local| local.path.clone()).collect();
                let projects = fs::read_to_string(path.join("pyproject.toml")).unwrap_or_default();
                let in_project = paths_of_pyproject(&projects).into_iter().map(|at| workspace::join(path, &at));
                for at in named.into_iter().chain(in_project).map(|at| resolved(&at)) {
                    if at.is_dir() {
                        self.folders.insert(at)
                    } else {
                        self.files.insert(at)
                    };
                }
            }
        }
    }

    /// The packages that a crate is made from, as far as they lie on this machine, and the other files that cargo has noted.
    async fn add_crate(&mut self, code: &Code, path: &Path, options: &BuildOptions) {
        let mut ahead = vec![path.to_owned()];
        let mut workspaces: Vec<Metadata> = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some(folder) = ahead.pop() {
            if !seen.insert(folder.clone()) {
                continue;
            }
            let manifest = folder.join("Cargo.toml");
            let has =
                |workspace: &Metadata| workspace.packages.iter().any(|package| package.manifest_path == *manifest);
            if !workspaces.iter().any(has) {
                match cargo::read_workspace(&options.cargo, &manifest, None).await {
                    Ok(read) => workspaces.push(read),
                    // It is no package, or a broken one: all in it counts.
                    Err(_) => {
                        self.folders.insert(folder);
                        continue;
                    }
                }
            }
            let Some(workspace) = workspaces.iter().find(|workspace| has(workspace)).or(workspaces.last()) else {
                continue;
            };
            let own = workspace.packages.iter().filter(|package| package.manifest_path == *manifest);
            let own: Vec<_> = own.collect();
            // A manifest without a package stands for all members.
            let packages = if own.is_empty() { workspace.packages.iter().collect() } else { own };
            for package in packages {
                let place = package.manifest_path.parent().map(|at| at.as_std_path().to_owned());
                self.folders.extend(place);
                let named = package.dependencies.iter().filter_map(|dependency| dependency.path.as_ref());
                ahead.extend(named.map(|at| resolved(at.as_std_path())));
            }
            let root = workspace.workspace_root.as_std_path();
            self.files.extend(MANIFESTS.iter().map(|name| root.join(name)));
            let binary =
                code.binary.clone().or_else(|| path.file_name().map(|name| name.to_string_lossy().into_owned()));
            if let Some(binary) = binary {
                self.files.extend(noted_by_cargo(workspace.target_directory.as_std_path(), &binary));
            }
        }
    }
}

/// A path with its links resolved, as far as it exists.
pub fn resolved(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    match (path.parent().map(fs::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// Whether a file is one that editors write beside the file that they save.
pub fn is_editors_own(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let is_swap = name.starts_with('.') && [".swp", ".swo", ".swx"].iter().any(|end| name.ends_with(end));
    let is_lock = name.starts_with(".#") || (name.starts_with('#') && name.ends_with('#'));
    // vim tries whether it can write to the folder with a file of this name.
    let is_probe = name == "4913";
    let is_safe_write = ["___jb_tmp___", "___jb_old___", "___jb_bak___"].iter().any(|end| name.ends_with(end));
    is_swap || is_lock || is_probe || is_safe_write || name.ends_with('~') || name == ".DS_Store"
}

/// Whether what lies at `path`, below the folder `root`, is the output of a build, a tool's, or ignored by git.
fn is_ignored(path: &Path, root: &Path) -> bool {
    let Ok(below) = path.strip_prefix(root) else { return false };
    let mut rules = Excludes::above(root);
    let mut at = root.to_owned();
    for part in below {
        rules.enter(&at);
        at.push(part);
        let is_folder = at.is_dir();
        if is_excluded(&at, is_folder, &rules) {
            return true;
        }
    }
    false
}

fn is_excluded(path: &Path, is_folder: bool, rules: &Excludes) -> bool {
    let is_others = path.file_name().is_some_and(|name| OTHERS.iter().any(|other| name == *other));
    // The output of builds (cargo's target) and caches are marked (bford.info/cachedir), virtual environments have a file.
    let is_marked = is_folder && ["CACHEDIR.TAG", "pyvenv.cfg"].iter().any(|name| path.join(name).is_file());
    match rules.own_rule(path, is_folder) {
        Some(asked_for) => asked_for.is_err(),
        None => is_others || is_marked || rules.rule(path, is_folder).is_some(),
    }
}

/// Adds a folder and those below it that are not ignored.
fn walk(folder: &Path, rules: &mut Excludes, found: &mut BTreeSet<PathBuf>) {
    if !folder.is_dir() || !found.insert(folder.to_owned()) {
        return;
    }
    rules.enter(folder);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // Links are inputs of their own.
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_excluded(&path, true, rules) {
            walk(&path, rules, found);
        }
    }
    rules.leave();
}

/// The files that the last run of esbuild has read, by its own account; `None` where there is none.
fn bundled(code: &Code, options: &BuildOptions) -> Option<BTreeSet<PathBuf>> {
    let Source::Path(folder) = &code.source else { return None };
    let noted: Value = serde_json::from_slice(&fs::read(build_method::metafile(code, options)).ok()?).ok()?;
    let names = noted["inputs"].as_object()?.keys();
    let folder = resolved(folder);
    let files = names.filter(|name| !name.split('/').any(|part| part == "node_modules"));
    Some(files.map(|name| resolved(&workspace::join(&folder, name))).collect())
}

/// The local paths in a pyproject.toml: `{ path = "../shared" }`.
fn paths_of_pyproject(text: &str) -> Vec<String> {
    fn gather(value: &toml::Value, found: &mut Vec<String>) {
        match value {
            toml::Value::Table(table) => {
                found.extend(table.get("path").and_then(toml::Value::as_str).map(str::to_owned));
                table.values().for_each(|value| gather(value, found));
            }
            toml::Value::Array(items) => items.iter().for_each(|value| gather(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(table) = text.parse::<toml::Table>() {
        gather(&toml::Value::Table(table), &mut found);
    }
    found.retain(|path| path.starts_with('.'));
    found
}

/// The files that the last builds of a binary have read (cargo's dep-info, `target/debug/NAME.d`): what `include_str!` names
/// may lie anywhere.
fn noted_by_cargo(target: &Path, binary: &str) -> BTreeSet<PathBuf> {
    let below = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let profiles = below(target);
    let of_triples: Vec<PathBuf> = profiles.iter().flat_map(|folder| below(folder)).collect();
    let mut files = BTreeSet::new();
    for folder in profiles.iter().chain(&of_triples) {
        let text = fs::read_to_string(folder.join(format!("{binary}.d"))).unwrap_or_default();
        let named = text.lines().filter_map(|line| Some(line.split_once(": ")?.1));
        files.extend(named.flat_map(|line| line.split(' ')).filter(|path| !path.is_empty()).map(PathBuf::from));
    }
    files.retain(|path| path.is_absolute() && !path.starts_with(target));
    files
}

/// The inputs of several functions.
#[derive(Debug, Clone, Default)]
pub struct AllInputs(BTreeMap<String, Inputs>);

impl AllInputs {
    /// Reads the inputs of each function.
    pub async fn of(code: &[Code], options: &BuildOptions) -> Self {
        let read = code.iter().map(|code| async { (code.logical_id.clone(), Inputs::of(code, options).await) });
        Self(futures_util::future::join_all(read).await.into_iter().collect())
    }

    /// The same, with other inputs for some functions.
    pub fn with(&self, others: Self) -> Self {
        let mut all = self.clone();
        all.0.extend(others.0);
        all
    }

    /// The functions whose code may be another one after a change at `path`.
    pub fn touched(&self, path: &Path) -> BTreeSet<String> {
        if is_editors_own(path) {
            return BTreeSet::new();
        }
        let path = resolved(path);
        self.0.iter().filter(|(_, inputs)| inputs.has(&path)).map(|(id, _)| id.clone()).collect()
    }

    /// Every folder to watch, without those in it.
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        self.0.values().flat_map(Inputs::folders).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Architecture, Backend};

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn code(root: &Path, folder: &str, runtime: &str, build: Build) -> Code {
        Code {
            logical_id: folder.to_owned(),
            declared_as: folder.to_owned(),
            object: None,
            is_layer: false,
            source: Source::Path(root.join(folder)),
            runtime: runtime.to_owned(),
            handler: "index.handler".to_owned(),
            layers: false,
            architecture: Architecture::X86_64,
            binary: None,
            build,
            sdk: Vec::new(),
            template: root.to_owned(),
        }
    }

    fn options(root: &Path) -> BuildOptions {
        BuildOptions {
            backend: Backend::Auto,
            cargo: PathBuf::from("cargo"),
            tools: None,
            sdk: root.join(".wschat/local"),
            cache: root.join(".wschat/build"),
            color: false,
            ignore_scripts: false,
        }
    }

    #[tokio::test]
    async fn a_saved_file_touches_the_functions_that_are_made_from_it() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        for (name, text) in [
            (".git/HEAD", ""),
            (".gitignore", "dist/\n*.log\n"),
            ("a/index.js", ""),
            ("a/lib/x.js", ""),
            ("b/index.js", ""),
            ("b/package.json", r#"{"dependencies":{"shared":"file:../shared"}}"#),
            ("shared/package.json", "{}"),
            ("shared/index.js", ""),
            ("p/app.py", ""),
            ("p/requirements.txt", "-e ../lib\n"),
            ("lib/setup.py", ""),
            ("dist/bundle/index.js", ""),
            ("target/CACHEDIR.TAG", ""),
            ("m/Makefile", "build-m:\n\tcp x $(ARTIFACTS_DIR)\n"),
            ("other/x.txt", ""),
        ] {
            write(&root, name, text);
        }
        std::os::unix::fs::symlink(root.join("other/x.txt"), root.join("a/linked.txt")).unwrap();
        let functions = [
            code(&root, "a", "nodejs22.x", Build::Ordinary),
            code(&root, "b", "nodejs22.x", Build::Ordinary),
            code(&root, "p", "python3.12", Build::Ordinary),
            code(&root, "dist/bundle", "nodejs22.x", Build::Skip),
            code(&root, "m", "nodejs22.x", Build::Makefile(crate::core::stack::Makefile::default())),
        ];
        let inputs = AllInputs::of(&functions, &options(&root)).await;
        for (path, expected) in [
            ("a/index.js", "a m"),
            ("a/lib/x.js", "a m"),
            ("a/lib/new.js", "a m"),
            ("a/linked.txt", "a m"),
            ("other/x.txt", "a m"),
            ("a/debug.log", ""),
            ("a/node_modules/x/index.js", ""),
            ("a/.index.js.swp", ""),
            ("a/4913", ""),
            ("a/index.js~", ""),
            ("b/index.js", "b m"),
            ("shared/index.js", "b m"),
            ("package.json", "a b dist/bundle m p"),
            ("lib/new.py", "m p"),
            ("lib/__pycache__/x.pyc", ""),
            ("dist/bundle/index.js", "dist/bundle"),
            ("target/debug/x", ""),
            (".wschat/build/x.zip", ""),
            ("README.md", "m"),
        ] {
            let touched: Vec<String> = inputs.touched(&root.join(path)).into_iter().collect();
            assert_eq!(touched.join(" "), expected, "{path}");
        }
        let folders = inputs.folders();
        for (folder, watched) in [
            ("a", true),
            ("a/lib", true),
            ("shared", true),
            ("", true),
            ("target", false),
            ("a/node_modules", false),
            (".git", false),
        ] {
            assert_eq!(folders.contains(&root.join(folder)), watched, "{folder}");
        }
    }

    #[tokio::test]
    async fn a_crate_is_made_from_the_packages_that_it_names_by_path() {
        let root = tempfile::tempdir().unwrap();
        let outer = fs::canonicalize(root.path()).unwrap();
        let root = outer.join("workspace");
        let package = |name: &str, rest: &str| {
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rest}")
        };
        write(&root, "Cargo.toml", "[workspace]\nmembers = [\"one\", \"two\", \"common\"]\nresolver = \"2\"\n");
        write(&root, "one/Cargo.toml", &package("one", "[dependencies]\ncommon = { path = \"../common\" }\n"));
        write(&root, "two/Cargo.toml", &package("two", ""));
        write(&root, "common/Cargo.toml", &package("common", "[dependencies]\nfar = { path = \"../../far\" }\n"));
        write(&outer, "far/Cargo.toml", &package("far", ""));
        write(&outer, "far/src/lib.rs", "");
        for name in ["one/src/main.rs", "two/src/main.rs", "common/src/lib.rs"] {
            write(&root, name, if name.ends_with("main.rs") { "fn main() {}" } else { "" });
        }
        let functions = [
            code(&root, "one", "provided.al2023", Build::Ordinary),
            code(&root, "two", "provided.al2023", Build::Ordinary),
        ];
        let inputs = AllInputs::of(&functions, &options(&root)).await;
        for (path, expected) in [
            ("one/src/main.rs", "one"),
            ("two/src/other.rs", "two"),
            ("common/src/lib.rs", "one"),
            ("../far/src/lib.rs", "one"),
            ("Cargo.lock", "one two"),
            ("Cargo.toml", "one two"),
            ("README.md", ""),
        ] {
            let touched: Vec<String> = inputs.touched(&workspace::join(&root, path)).into_iter().collect();
            assert_eq!(touched.join(" "), expected, "{path}");
        }
    }
}
