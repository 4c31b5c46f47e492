//! Installs what a package.json declares, with the package manager whose lock is present: into a folder of the cache
//! that mirrors the manifests of the repository, never into the user's own. So the lock's versions, the root's
//! overrides and the workspace's members are the same as in the user's installation.

use std::collections::{BTreeMap, BTreeSet};
use std::env::consts::{ARCH, OS};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use tokio::process::Command;

use super::error::PackageErrorKind;
use super::exclude::Excludes;
use super::folder::{self, Files, Verdict};
use super::install::ScratchFolder;
use super::platform::Architecture;
use super::tree::{self, Tree};
use super::workspace::{self, DOING, Manager, NEEDED, Project, declared, manifest};
use super::{BuildOptions, Code, PackageError, Target, environment, install};
use crate::machine::interpreter;

pub(super) const WITHOUT_NPM: &str =
    "install Node.js, which brings npm (https://nodejs.org), and run the same command again";

/// Options for every npm command: only print errors.
pub(super) const QUIET: &[&str] = &["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"];

/// Part of every key: raise it when the same request should be installed differently.
const FORMAT: &str = "2";

/// Files that tools keep in `node_modules` for themselves.
const TOOL_FILES: &[&str] = &[
    ".bin",
    ".cache",
    ".package-lock.json",
    ".package-map.json",
    ".modules.yaml",
    ".pnpm-workspace-state-v1.json",
    ".yarn-integrity",
    ".yarn-state.yml",
];

/// The source of the packages that the code in a folder needs.
#[derive(Debug)]
pub(super) enum Modules {
    /// It needs none.
    None,
    /// The folder's own `node_modules`, as it is.
    Own,
    Install(Box<StagedInstall>),
}

/// A set of packages to install: files copied from the repository, and the tool that runs among them.
#[derive(Debug)]
pub(super) struct StagedInstall {
    manager: Manager,
    /// The command, for messages: `npm ci`.
    pub what: String,
    pub notes: Vec<String>,
    program: PathBuf,
    arguments: Vec<OsString>,
    /// Variables for the tool.
    variables: Vec<(&'static str, &'static str)>,
    /// The folder of the repository that the folder in the cache mirrors.
    base: PathBuf,
    repository: PathBuf,
    /// The template's folder; `None` for a package.json that only wschat has.
    template: Option<PathBuf>,
    /// By path below `base`.
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Where the tool runs, below `base`.
    runs_in: PathBuf,
    /// The function's folder, below `base`.
    folder: PathBuf,
    /// Packages named by path, below `base`, that npm only links: their dependencies are installed in each of them, as
    /// in the user's checkout.
    outside: Vec<PathBuf>,
    /// Whether the installation contains packages of the repository, or links.
    linked: bool,
    /// Everything else that the result depends on: the versions of tools.
    fingerprint: String,
    /// The value of `packageManager`.
    declared: Option<String>,
    target: Target,
    architecture: Architecture,
}

/// The source of the packages that the code in `folder` needs; `node` is the version of the Node.js that runs it here.
///
/// # Errors
/// When a manifest cannot be read or names a path that does not exist, or the package manager is not supported.
pub(super) fn modules(
    folder: &Path,
    code: &Code,
    target: Target,
    node: &str,
    options: &BuildOptions,
) -> Result<Modules, PackageError> {
    let has_own = folder.join("node_modules").is_dir();
    let own = if has_own { Modules::Own } else { Modules::None };
    let Some(manifest) = manifest(folder)? else { return Ok(own) };
    // The output of a build is complete: a lock that was copied with it is ignored.
    if has_own && is_built(folder) {
        return Ok(own);
    }
    let project = Project::find(folder)?;
    let needs = declared(&manifest, NEEDED).next().is_some();
    let is_there = |(name, _): (&str, &str)| folder.join("node_modules").join(name).is_dir();
    // An existing node_modules is used as it is if there is no lock, or if it differs from the lock: then a build wrote
    // it.
    let differs = || project.root == project.folder && differs_from_lock(&project, &manifest);
    if has_own && declared(&manifest, &["dependencies"]).all(is_there) && (project.lock.is_none() || differs()) {
        return Ok(own);
    }
    if !needs {
        return Ok(Modules::None);
    }
    Ok(Modules::Install(Box::new(StagedInstall::new(&project, code, target, node, options)?)))
}

/// Whether a declared package is installed in another version than npm's lock has.
fn differs_from_lock(project: &Project, manifest: &Map<String, Value>) -> bool {
    let read = |path: PathBuf| -> Option<Value> { serde_json::from_slice(&fs::read(path).ok()?).ok() };
    let lock = project.lock.filter(|_| project.manager == Manager::Npm);
    let Some(lock) = lock.and_then(|lock| read(project.folder.join(lock))) else { return false };
    declared(manifest, &["dependencies"]).any(|(name, _)| {
        let place = format!("node_modules/{name}");
        let locked = lock["packages"][&place]["version"].as_str();
        let installed = read(project.folder.join(&place).join("package.json"));
        let installed = installed.as_ref().and_then(|package| package["version"].as_str());
        installed.is_some() && locked.is_some() && installed != locked
    })
}

/// Modules that are built into Node.js.
const BUILT_IN: &[&str] = &[
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
    "zlib",
];

/// A note about imports that neither Node.js, nor Lambda's runtime, nor the zip with these `names` provides. Not an
/// error, because text that looks like an import may be none.
pub(super) fn missing_imports(imports: &BTreeSet<String>, names: &BTreeSet<&str>) -> Option<String> {
    let brought = |name: &str| {
        BUILT_IN.contains(&name)
            || name == "aws-sdk"
            || ["@aws-sdk/", "@smithy/"].iter().any(|scope| name.starts_with(scope))
    };
    let in_zip = |name: &str| {
        let folder = format!("node_modules/{name}/");
        names.range(folder.as_str()..).next().is_some_and(|found| found.starts_with(&folder))
    };
    let missing: Vec<&str> =
        imports.iter().map(String::as_str).filter(|name| !brought(name) && !in_zip(name)).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "imports {}, which its zip does not contain: declare it in the package.json of the code's folder",
            missing.join(", ")
        )
    })
}

/// Whether a build wrote the folder: SAM's build, or one whose output git ignores.
fn is_built(folder: &Path) -> bool {
    let Ok(folder) = fs::canonicalize(folder) else { return false };
    if folder.components().any(|step| step.as_os_str() == ".aws-sam") {
        return true;
    }
    let Some(depth) = folder.ancestors().position(|above| above.join(".git").exists()) else { return false };
    let chain: Vec<&Path> = folder.ancestors().take(depth + 1).collect();
    let mut rules = Excludes::default();
    chain.into_iter().rev().enumerate().any(|(depth, folder)| {
        let ignored = depth > 0 && rules.rule(folder, true).is_some();
        rules.enter(folder);
        ignored
    })
}

/// The packages of a folder's own `node_modules` that only development needs, by their names in the zip: from npm's own
/// record; without it, from `devDependencies`.
pub(super) fn development_packages(folder: &Path) -> BTreeSet<String> {
    let record = fs::read(folder.join("node_modules/.package-lock.json")).ok();
    let record: Option<Value> = record.and_then(|text| serde_json::from_slice(&text).ok());
    if let Some(packages) = record.as_ref().and_then(|record| record["packages"].as_object()) {
        let dev = packages.iter().filter(|(_, package)| package["dev"] == true);
        return dev.map(|(path, _)| path.clone()).collect();
    }
    let manifest = manifest(folder).ok().flatten().unwrap_or_default();
    let needed: BTreeSet<&str> = declared(&manifest, NEEDED).map(|(name, _)| name).collect();
    let dev = declared(&manifest, &["devDependencies"]).filter(|(name, _)| !needed.contains(name));
    dev.map(|(name, _)| format!("node_modules/{name}")).collect()
}

/// Whether a file or folder of `node_modules` belongs to a tool.
pub(super) fn is_tool_file(name: &str) -> bool {
    TOOL_FILES.contains(&name)
}

/// The files of a folder's own `node_modules` if it contains links, as pnpm's and workspaces' do: the packages that
/// package.json declares, links followed. `None` if it contains no links.
pub(super) fn linked_packages(folder: &Path, code: &Code, target: Target) -> Result<Option<Files>, PackageError> {
    let modules = folder.join("node_modules");
    let is_link = |path: &Path| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    let below = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let scoped = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('@'));
    let any = below(&modules).any(|path| is_link(&path) || (scoped(&path) && below(&path).any(|path| is_link(&path))));
    if !any || !folder.join("package.json").is_file() {
        return Ok(None);
    }
    let failed = |error: io::Error| PackageError::new(DOING, format!("{}: {error}", folder.display()));
    let folder = fs::canonicalize(folder).map_err(failed)?;
    let repository = workspace::repository(&folder, &code.template);
    let tree = Tree {
        top: &repository,
        source: &repository,
        repository: &repository,
        target,
        architecture: code.architecture,
    };
    tree.needed_by(&folder, &BTreeSet::new()).map(Some)
}

/// The packages that a source imports, in any form of import.
pub(super) fn imported(source: &str) -> impl Iterator<Item = String> + '_ {
    let quoted = source.split(['"', '\'', '`']).collect::<Vec<_>>();
    let names: BTreeSet<String> = quoted
        .windows(2)
        .filter(|pair| {
            let before = pair[0].trim_end().trim_end_matches('(').trim_end();
            ["require", "import", "from"].iter().any(|word| before.ends_with(word))
        })
        .filter_map(|pair| {
            let parts = if pair[1].starts_with('@') { 2 } else { 1 };
            let name = pair[1].split('/').take(parts).collect::<Vec<_>>().join("/");
            let plain = |c: char| c.is_ascii_alphanumeric() || "@/-_.~".contains(c);
            (!name.is_empty() && !name.starts_with(['.', '/']) && name.chars().all(plain)).then_some(name)
        })
        .collect();
    names.into_iter()
}

impl StagedInstall {
    fn new(
        project: &Project,
        code: &Code,
        target: Target,
        node: &str,
        options: &BuildOptions,
    ) -> Result<Self, PackageError> {
        let manager = project.manager;
        check_yarns_lock(project)?;
        workspace::check_members(project)?;
        let repository = workspace::repository(&project.folder, &code.template);
        // If the workspace's root is above the template, it is the repository's root.
        let repository = workspace::common([repository.as_path(), project.root.as_path()]);
        let foreign = (OS, ARCH) != ("linux", code.architecture.rust()) && target == Target::Lambda;
        let mut staging = Staging {
            repository: &repository,
            manager,
            copies: manager != Manager::Npm || asks_for_copies(&project.root),
            packages: BTreeSet::new(),
            places: BTreeSet::new(),
            files: BTreeMap::new(),
            outside: BTreeSet::new(),
            linked: false,
            notes: Vec::new(),
        };
        staging.package(&project.root)?;
        staging.package(&project.folder)?;
        for member in &project.members {
            staging.package(member)?;
        }
        staging.outside.retain(|folder| !folder.starts_with(&project.root));
        let linked = project.is_member() || !project.members.is_empty() || staging.linked || manager == Manager::Pnpm;
        let mut files = staging.files;
        settings(project, foreign.then_some(code.architecture), &mut files)?;
        let base = workspace::common(staging.packages.iter().chain(&staging.places).map(PathBuf::as_path));
        let files =
            files.into_iter().filter_map(|(path, content)| Some((path.strip_prefix(&base).ok()?.to_owned(), content)));
        let files: BTreeMap<PathBuf, Vec<u8>> = files.collect();
        let below = |folder: &Path| folder.strip_prefix(&base).map(Path::to_owned).unwrap_or_default();

        let ignore_scripts = options.ignore_scripts || foreign;
        let (program, arguments) = command(project, target, code.architecture, ignore_scripts, options);
        let mut variables = vec![];
        if manager == Manager::Berry {
            variables.extend([
                // Lambda only has Node.js's own resolution, regardless of the project's linker.
                ("YARN_NODE_LINKER", "node-modules"),
                ("YARN_ENABLE_IMMUTABLE_INSTALLS", if project.lock.is_some() { "true" } else { "false" }),
                ("YARN_ENABLE_TELEMETRY", "false"),
                ("YARN_ENABLE_GLOBAL_CACHE", "true"),
                ("YARN_ENABLE_PROGRESS_BARS", "false"),
            ]);
            if ignore_scripts {
                variables.push(("YARN_ENABLE_SCRIPTS", "false"));
            }
        }
        let name = manager.name();
        let identity = environment::identity(name, options.tools.as_deref()).unwrap_or_default();
        // Native addons are compiled for one release of Node.js.
        let fingerprint = format!("{identity}\n{}", if target == Target::Host { node } else { "" });
        let what = match (manager, project.lock) {
            (Manager::Npm, Some(_)) => "npm ci".to_owned(),
            _ => format!("{name} install"),
        };
        Ok(Self {
            manager,
            what,
            notes: staging.notes,
            program,
            arguments,
            variables,
            runs_in: below(if manager == Manager::Berry { &project.folder } else { &project.root }),
            folder: below(&project.folder),
            outside: staging.outside.iter().map(|folder| below(folder)).collect(),
            base,
            repository,
            template: fs::canonicalize(&code.template).ok(),
            files,
            linked,
            fingerprint,
            declared: project.declared.clone(),
            target,
            architecture: code.architecture,
        })
    }

    /// The name of its folder in the cache.
    pub fn key(&self) -> String {
        let first = [FORMAT.as_bytes(), self.fingerprint.as_bytes(), self.runs_in.as_os_str().as_encoded_bytes()];
        let arguments = self.arguments.iter().map(|argument| argument.as_encoded_bytes());
        let files = self.files.iter();
        let files = files.flat_map(|(name, content)| [name.as_os_str().as_encoded_bytes(), content.as_slice()]);
        install::key(self.manager.name(), first.into_iter().chain(arguments).chain(files))
    }

    /// Whether it is installed already; if so, its time in the cache is extended.
    pub fn is_installed(&self, cache: &Path) -> bool {
        let folder = cache.join(self.key());
        let made = folder.is_dir();
        if made {
            // The modification time records the last use. If it cannot be set, the folder is removed too early and
            // installed again.
            let _ = fs::File::open(folder).and_then(|folder| folder.set_modified(SystemTime::now()));
        }
        made
    }

    /// Installs it into `cache`.
    ///
    /// # Errors
    /// When the tool is missing or fails.
    pub async fn install(&self, cache: &Path) -> Result<(), PackageError> {
        let failed = |error: io::Error| PackageError::new(DOING, error);
        let cache = std::path::absolute(cache).map_err(failed)?;
        let folder = cache.join(self.key());
        // Installed into a temporary folder that is then renamed, so that a folder of this name is always complete.
        let temporary = ScratchFolder(cache.join(format!("{}.{}", self.key(), std::process::id())));
        install::remove(&temporary.0).map_err(failed)?;
        for (name, content) in &self.files {
            let path = temporary.0.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&temporary.0)).map_err(failed)?;
            fs::write(path, content).map_err(failed)?;
        }
        self.run_all(&temporary.0).await?;
        let renamed = install::remove(&folder).and_then(|()| fs::rename(&temporary.0, &folder));
        // Another run may have installed the same first.
        if renamed.is_err() && folder.is_dir() { Ok(()) } else { renamed.map_err(failed) }
    }

    async fn run_all(&self, top: &Path) -> Result<(), PackageError> {
        self.run(top, &top.join(&self.runs_in), &self.arguments).await?;
        for folder in &self.outside {
            let locked = NPM_LOCKS.iter().any(|lock| self.files.contains_key(&folder.join(lock)));
            let verb = OsString::from(if locked { "ci" } else { "install" });
            let of_workspaces = |flag: &&OsString| flag.to_string_lossy().contains("workspace");
            let flags = self.arguments.iter().skip(1).filter(|flag| !of_workspaces(flag));
            let arguments: Vec<OsString> = std::iter::once(&verb).chain(flags).cloned().collect();
            self.run(top, &top.join(folder), &arguments).await?;
        }
        Ok(())
    }

    /// Runs the tool in `folder`, which is below `top`.
    async fn run(&self, top: &Path, folder: &Path, arguments: &[OsString]) -> Result<(), PackageError> {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(folder);
        let mut configurations = environment::users_configurations();
        let is_settings =
            |path: &&PathBuf| path.file_name().is_some_and(|name| SETTINGS.iter().any(|known| name == *known));
        let own =
            self.files.keys().filter(is_settings).map(|path| String::from_utf8_lossy(&self.files[path]).into_owned());
        configurations.extend(own);
        environment::clean(&mut command, &configurations);
        command.envs(self.variables.iter().copied());
        let manifest = self.base.join(folder.strip_prefix(top).unwrap_or(folder)).join("package.json");
        let done = install::run(command, DOING, &self.what, WITHOUT_NPM).await;
        let done = done.map_err(|error| match &self.template {
            Some(template) => error.failed_for(manifest.strip_prefix(template).unwrap_or(&manifest)),
            None => error,
        });
        done.map_err(|error| if self.manager == Manager::Npm { error } else { self.explain(error) })
    }

    /// Adds to `error` what to install if the package manager is missing.
    fn explain(&self, mut error: PackageError) -> PackageError {
        let name = self.manager.name();
        if error.kind == PackageErrorKind::NotStarted {
            let asked =
                self.declared.as_deref().map_or(name, |declared| declared.split('+').next().unwrap_or(declared));
            error.why = format!("{name} is not installed, and the lock is {name}'s");
            error.help = Some(format!(
                "install it (corepack enable, or npm install --global {asked}) and run the same command again;\nor build \
                 node_modules beside the code yourself and set Metadata: {{ SkipBuild: true }}"
            ));
        }
        error
    }

    /// The installed files for the zip; `imports` are the packages that the code imports, declared or not.
    ///
    /// # Errors
    /// When a file cannot be read, or a declared package is missing.
    pub fn installed(&self, cache: &Path, imports: &BTreeSet<String>) -> Result<Files, PackageError> {
        let failed = |error: io::Error| PackageError::new(DOING, error);
        let top = fs::canonicalize(cache.join(self.key())).map_err(failed)?;
        if self.linked {
            let tree = Tree {
                top: &top,
                source: &self.base,
                repository: &self.repository,
                target: self.target,
                architecture: self.architecture,
            };
            return tree.needed_by(&top.join(&self.folder), imports);
        }
        let modules = top.join(&self.folder).join("node_modules");
        if !modules.is_dir() {
            return Ok(Files::new());
        }
        let judge = |name: &str, _: &Path| if is_tool_file(name) { Verdict::Exclude } else { Verdict::IncludeAll };
        let files = folder::read(&modules, &judge)?.files;
        Ok(files.into_iter().map(|(name, file)| (format!("node_modules/{name}"), file)).collect())
    }
}

/// Checks that yarn's lock has what the manifests require: yarn 1 only checks the root's manifest, and later versions
/// check nothing when they install for one member.
///
/// # Errors
/// When a dependency is not in the lock.
fn check_yarns_lock(project: &Project) -> Result<(), PackageError> {
    let (Manager::Classic | Manager::Berry, Some(lock)) = (project.manager, project.lock) else { return Ok(()) };
    let path = project.root.join(lock);
    let text = String::from_utf8(read(&path)?).map_err(|error| PackageError::new(DOING, error))?;
    let mut folders = project.members.clone();
    folders.insert(project.root.clone());
    let mut packages = BTreeMap::new();
    for folder in folders {
        packages.extend(manifest(&folder)?.map(|manifest| (folder, manifest)));
    }
    let own: BTreeSet<String> =
        packages.values().filter_map(|manifest| Some(manifest.get("name")?.as_str()?.to_owned())).collect();
    let locked: Value = match project.manager {
        Manager::Berry => serde_yaml::from_str(&text)
            .map_err(|error| PackageError::new(DOING, format!("{}: {error}", path.display())))?,
        _ => Value::Null,
    };
    let entry_of = |folder: &Path| {
        let below = folder.strip_prefix(&project.root).unwrap_or(folder).display().to_string();
        let end = format!("@workspace:{}", if below.is_empty() { "." } else { &below });
        let mut entries = locked.as_object().into_iter().flatten().map(|(_, entry)| entry);
        entries.find(|entry| entry["resolution"].as_str().is_some_and(|resolution| resolution.ends_with(&end)))
    };
    for (folder, manifest) in &packages {
        for (name, version) in declared(manifest, &["dependencies", "optionalDependencies"]) {
            let known = match project.manager {
                Manager::Berry => entry_of(folder).is_some_and(|entry| {
                    let plain = |text: &str| text.trim_start_matches("npm:").to_owned();
                    entry["dependencies"][name].as_str().is_some_and(|known| {
                        plain(known) == plain(version) || (version.contains(':') && !version.starts_with("npm:"))
                    })
                }),
                _ => own.contains(name) || version.contains(':') || text.contains(&format!("{name}@{version}")),
            };
            if !known {
                let why = format!(
                    "{} does not have {name} {version}, which {} requires",
                    path.display(),
                    folder.join("package.json").display()
                );
                return Err(PackageError::new(DOING, why).help("bring the lock up to date: yarn install"));
            }
        }
    }
    Ok(())
}

/// Configuration files of package managers, which may reference variables.
const SETTINGS: &[&str] = &[".npmrc", ".yarnrc", ".yarnrc.yml"];

/// Whether npm is configured to copy packages that are named by path.
fn asks_for_copies(root: &Path) -> bool {
    let text = fs::read_to_string(root.join(".npmrc")).unwrap_or_default();
    text.lines().any(|line| line.replace(' ', "") == "install-links=true")
}

/// The package manager's program and its arguments.
fn command(
    project: &Project,
    target: Target,
    architecture: Architecture,
    ignore_scripts: bool,
    options: &BuildOptions,
) -> (PathBuf, Vec<OsString>) {
    let locked = project.lock.is_some();
    let foreign = target == Target::Lambda && (OS, ARCH) != ("linux", architecture.rust());
    let member = project.folder.strip_prefix(&project.root).unwrap_or(Path::new("")).display().to_string();
    let mut program = interpreter::within(options.tools.as_deref(), project.manager.name());
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |flags: &[&str]| arguments.extend(flags.iter().map(|&flag| flag.to_owned()));
    match project.manager {
        Manager::Npm => {
            add(&[if locked { "ci" } else { "install" }, "--omit=dev"]);
            add(QUIET);
            if project.is_member() {
                add(&[&format!("--workspace={member}"), "--include-workspace-root"]);
            }
            if target == Target::Lambda {
                add(&["--os=linux", &format!("--cpu={}", cpu(architecture)), "--libc=glibc"]);
            }
        }
        Manager::Pnpm => {
            add(&["install", "--prod", "--reporter=append-only"]);
            add(&[if locked { "--frozen-lockfile" } else { "--no-frozen-lockfile" }]);
            if project.is_member() {
                add(&["--filter", &format!("{{./{member}}}..."), "--filter", "{.}"]);
            }
        }
        Manager::Classic => {
            add(&["install", "--production", "--non-interactive", "--no-progress", "--silent"]);
            if locked {
                add(&["--frozen-lockfile"]);
            }
            if foreign {
                add(&["--ignore-platform"]);
            }
        }
        Manager::Berry => {
            if let Some(release) = yarn_path(&project.root) {
                program = interpreter::within(options.tools.as_deref(), "node");
                // It runs in the function's folder.
                let up = "../".repeat(Path::new(&member).components().count());
                add(&[&format!("{up}{release}")]);
            }
            add(&["workspaces", "focus", "--production"]);
            let name = |folder: &Path| Some(manifest(folder).ok()??.get("name")?.as_str()?.to_owned());
            if project.is_member()
                && let (Some(member), Some(root)) = (name(&project.folder), name(&project.root))
            {
                add(&[&member, &root]);
            }
        }
    }
    // Berry has a setting for it.
    if ignore_scripts && project.manager != Manager::Berry {
        add(&["--ignore-scripts"]);
    }
    (program, arguments.into_iter().map(OsString::from).collect())
}

/// The path, below its root, of the yarn release that a project includes.
fn yarn_path(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join(".yarnrc.yml")).ok()?;
    let settings: Value = serde_yaml::from_str(&text).ok()?;
    settings["yarnPath"].as_str().filter(|path| root.join(path).is_file()).map(str::to_owned)
}

fn cpu(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "x64",
        Architecture::Arm64 => "arm64",
    }
}

/// Adds the lock and the other configuration files of the root; `foreign` is the architecture to install for if
/// Lambda's machine differs from this one.
fn settings(
    project: &Project,
    foreign: Option<Architecture>,
    files: &mut BTreeMap<PathBuf, Vec<u8>>,
) -> Result<(), PackageError> {
    let root = &project.root;
    let mut names: Vec<&str> = vec![".npmrc"];
    names.extend(project.lock);
    let mut folders: &[&str] = &[];
    match project.manager {
        Manager::Npm => {}
        Manager::Pnpm => {
            names.extend(["pnpm-workspace.yaml", ".pnpmfile.cjs"]);
            folders = &["patches"];
        }
        Manager::Classic => names.push(".yarnrc"),
        Manager::Berry => {
            names.push(".yarnrc.yml");
            folders = &[".yarn/patches", ".yarn/plugins", ".yarn/releases"];
        }
    }
    for name in names {
        // They configure the user's registries, with their tokens.
        if let Ok(text) = fs::read(root.join(name)) {
            files.insert(root.join(name), text);
        }
    }
    for folder in folders.iter().map(|name| root.join(name)).filter(|folder| folder.is_dir()) {
        for (name, file) in folder::read(&folder, &|_, _| Verdict::IncludeAll)?.files {
            files.insert(folder.join(name), read(&file)?);
        }
    }
    let machine = foreign.map(|architecture| (cpu(architecture), "supportedArchitectures"));
    let mut append = |name: &str, missing: &str, text: &str| {
        let file = files.entry(root.join(name)).or_default();
        if !String::from_utf8_lossy(file).contains(missing) {
            file.extend_from_slice(text.as_bytes());
        }
    };
    let wanted = |cpu: &str, key: &str| format!("\n{key}:\n  os: [linux]\n  cpu: [{cpu}]\n  libc: [glibc]\n");
    match (project.manager, machine) {
        (Manager::Pnpm, machine) => {
            // Without its own pnpm-workspace.yaml, pnpm would use the next one above the cache.
            append("pnpm-workspace.yaml", "packages:", "\npackages:\n  - .\n");
            if let Some((cpu, key)) = machine {
                append("pnpm-workspace.yaml", key, &wanted(cpu, key));
            }
        }
        (Manager::Berry, Some((cpu, key))) => append(".yarnrc.yml", key, &wanted(cpu, key)),
        _ => {}
    }
    Ok(())
}

/// Collects the files of the repository that an installation needs.
#[derive(Debug)]
struct Staging<'a> {
    repository: &'a Path,
    manager: Manager,
    /// Whether the tool copies packages that are named by path.
    copies: bool,
    /// The folders whose manifests are in `files`.
    packages: BTreeSet<PathBuf>,
    /// The folders of packed packages.
    places: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// With npm: packages that are named by path and have dependencies.
    outside: BTreeSet<PathBuf>,
    linked: bool,
    notes: Vec<String>,
}

impl Staging<'_> {
    /// Adds a package's manifest and the packages that it names by path.
    fn package(&mut self, folder: &Path) -> Result<(), PackageError> {
        if !self.packages.insert(folder.to_owned()) {
            return Ok(());
        }
        let Some(mut manifest) = manifest(folder)? else { return Ok(()) };
        let path = folder.join("package.json");
        for kind in NEEDED.iter().chain(&["devDependencies"]) {
            let paths: Vec<(String, String)> = declared(&manifest, &[*kind])
                .filter(|(_, version)| workspace::named_path(version).is_some())
                .map(|(name, version)| (name.to_owned(), version.to_owned()))
                .collect();
            for (name, version) in paths {
                let added = self.named(folder, &path, &name, &version);
                // Development dependencies may be missing.
                if *kind != "devDependencies" {
                    added?;
                }
            }
        }
        if let Some(script) = manifest.get("scripts").and_then(|scripts| scripts["postinstall"].as_str()) {
            self.notes.push(format!(
                "{}: its postinstall script ({script}) is not run, because dependencies are installed in another folder",
                path.display()
            ));
        }
        // Scripts use files that do not exist where the tool runs.
        manifest.remove("scripts");
        self.files.insert(path, serialized(&manifest)?);
        Ok(())
    }

    /// Adds a dependency that is named by path: a package's folder or a packed package.
    fn named(&mut self, folder: &Path, manifest: &Path, name: &str, version: &str) -> Result<(), PackageError> {
        let failed =
            |why: String| PackageError::new(DOING, format!("{}: {name} is {version}, {why}", manifest.display()));
        let path = workspace::named_path(version).unwrap_or(version);
        let named = workspace::join(folder, path);
        let real = fs::canonicalize(&named).map_err(|_| failed(format!("but {} does not exist", named.display())))?;
        if !real.starts_with(self.repository) {
            let why = format!("which is outside of the repository {}", self.repository.display());
            return Err(failed(why).help("move it into the repository, or publish it to a registry"));
        }
        self.linked = true;
        if !real.is_dir() {
            self.files.insert(real.clone(), read(&real)?);
            self.places.extend(real.parent().map(Path::to_owned));
            return Ok(());
        }
        self.package(&real)?;
        let needs = manifest_of(&real)?;
        if self.manager == Manager::Npm && !self.copies && declared(&needs, NEEDED).next().is_some() {
            for lock in NPM_LOCKS.iter().map(|lock| real.join(lock)).filter(|lock| lock.is_file()) {
                self.files.insert(lock.clone(), read(&lock)?);
            }
            self.outside.insert(real.clone());
        }
        if self.copies && (self.manager == Manager::Npm || version.starts_with("file:")) {
            for (below, file) in tree::own_files(&real, self.repository)? {
                let content = read(&file)?;
                self.files.insert(real.join(below), content);
            }
        }
        Ok(())
    }
}

const NPM_LOCKS: &[&str] = &["npm-shrinkwrap.json", "package-lock.json"];

fn manifest_of(folder: &Path) -> Result<Map<String, Value>, PackageError> {
    Ok(manifest(folder)?.unwrap_or_default())
}

fn serialized(manifest: &Map<String, Value>) -> Result<Vec<u8>, PackageError> {
    serde_json::to_vec(manifest).map_err(|error| PackageError::new(DOING, error))
}

fn read(file: &Path) -> Result<Vec<u8>, PackageError> {
    fs::read(file).map_err(|error| PackageError::new(DOING, format!("{}: {error}", file.display())))
}

/// An installation of one package from the registry that only uses the project's `.npmrc`.
pub(super) fn tool(package: &str, version: &str, folder: &Path, options: &BuildOptions) -> StagedInstall {
    let manifest = json!({ "private": true, "dependencies": { package: version } }).to_string();
    let mut files = BTreeMap::from([(PathBuf::from("package.json"), manifest.into_bytes())]);
    if let Ok(text) = fs::read(folder.join(".npmrc")) {
        files.insert(PathBuf::from(".npmrc"), text);
    }
    let arguments = ["install", "--ignore-scripts"].iter().chain(QUIET).map(OsString::from).collect();
    StagedInstall {
        manager: Manager::Npm,
        what: format!("npm install {package}@{version}"),
        notes: Vec::new(),
        program: interpreter::within(options.tools.as_deref(), "npm"),
        arguments,
        variables: Vec::new(),
        base: PathBuf::new(),
        repository: PathBuf::new(),
        template: None,
        files,
        runs_in: PathBuf::new(),
        folder: PathBuf::new(),
        outside: Vec::new(),
        linked: false,
        fingerprint: format!("{ARCH} {OS}"),
        declared: None,
        target: Target::Host,
        architecture: Architecture::X86_64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_found_in_every_form() {
        let source = r#"
            const a = require("left-pad/lib/x"), b = require ( '@scope/name/deep' );
            import c, { d } from 'plain'; import "side-effect"; export * from "again";
            const e = await import(`late`); const f = require('./own'); const g = "not this"; require("node:fs");
        "#;
        let found: Vec<String> = imported(source).collect();
        assert_eq!(found, ["@scope/name", "again", "late", "left-pad", "plain", "side-effect"]);
    }
}
