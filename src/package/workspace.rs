//! Finds the folders of the repository that belong to the code of a node function: the workspace that its folder is a member
//! of, and the packages that are named by path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use semver::{Version, VersionReq};
use serde_json::{Map, Value};

use super::PackageError;

pub(super) const DOING: &str = "install the dependencies";

/// A package manager, recognised by its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    Npm,
    Pnpm,
    /// Yarn 1.
    Classic,
    /// Yarn 2 and later.
    Berry,
}

impl Manager {
    pub fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Classic | Self::Berry => "yarn",
        }
    }

    fn locks(self) -> &'static [&'static str] {
        match self {
            Self::Npm => &["npm-shrinkwrap.json", "package-lock.json"],
            Self::Pnpm => &["pnpm-lock.yaml"],
            Self::Classic | Self::Berry => &["yarn.lock"],
        }
    }
}

/// Locks of package managers that are not supported.
const OTHER_LOCKS: &[&str] = &["bun.lock", "bun.lockb"];

/// The package manager of a function's dependencies, and the folders that it installs from.
#[derive(Debug)]
pub(super) struct Project {
    /// The folder of the lock, whether it exists or not: the workspace's root, or the function's own folder. Links are
    /// resolved.
    pub root: PathBuf,
    /// The function's own folder, links resolved.
    pub folder: PathBuf,
    /// The folders of the workspace's members; empty without a workspace.
    pub members: BTreeSet<PathBuf>,
    pub manager: Manager,
    /// The lock's name.
    pub lock: Option<&'static str>,
    /// The value of `packageManager`: `pnpm@10.2.0`.
    pub declared: Option<String>,
}

/// Reads a folder's package.json; `None` if there is none.
///
/// # Errors
/// When it is not a JSON object.
pub(super) fn manifest(folder: &Path) -> Result<Option<Map<String, Value>>, PackageError> {
    let path = folder.join("package.json");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    let read = serde_json::from_str(text.trim_start_matches('\u{feff}'));
    read.map(Some).map_err(|error| PackageError::new(DOING, format!("{}: {error}", path.display())))
}

/// The packages that a manifest declares in one of `kinds`, and the required versions.
pub(super) fn declared<'a>(
    manifest: &'a Map<String, Value>,
    kinds: &'a [&'a str],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let of = |kind: &&str| manifest.get(*kind).and_then(Value::as_object).into_iter().flatten();
    kinds.iter().flat_map(of).map(|(name, version)| (name.as_str(), version.as_str().unwrap_or_default()))
}

/// The kinds of dependencies that code needs at run time.
pub(super) const NEEDED: &[&str] = &["dependencies", "optionalDependencies", "peerDependencies"];

/// Checks that dependencies on the workspace's members resolve to those members: if a range does not accept the member's
/// version, package managers install a package of the same name from the registry. (pnpm only uses members for `workspace:`
/// ranges.)
///
/// # Errors
/// The first dependency that would come from a registry.
pub(super) fn check_members(project: &Project) -> Result<(), PackageError> {
    if project.manager == Manager::Pnpm {
        return Ok(());
    }
    let mut members = BTreeMap::new();
    for folder in &project.members {
        let Some(manifest) = manifest(folder)? else { continue };
        if let Some(name) = manifest.get("name").and_then(Value::as_str) {
            members.insert(name.to_owned(), (folder, manifest));
        }
    }
    let own = manifest(&project.folder)?.unwrap_or_default();
    // Dependencies that the lock has as links stay links.
    let lock = project
        .lock
        .filter(|_| project.manager == Manager::Npm)
        .and_then(|lock| fs::read(project.root.join(lock)).ok());
    let lock: Value = lock.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let is_link = |name: &str| lock["packages"][format!("node_modules/{name}")]["link"] == true;
    let mut seen = BTreeSet::new();
    let mut ahead = vec![(&project.folder, &own)];
    while let Some((folder, manifest)) = ahead.pop() {
        for (name, range) in declared(manifest, &["dependencies", "optionalDependencies"]) {
            let Some((member, of_member)) = members.get(name).filter(|_| named_path(range).is_none()) else { continue };
            let version = of_member.get("version").and_then(Value::as_str);
            if !accepts(range, version) && !is_link(name) {
                let what = format!(
                    "{}: {name} is required as {range}, but the workspace's own in {} is {}",
                    folder.join("package.json").display(),
                    member.display(),
                    version.unwrap_or("without a version")
                );
                let help = format!(
                    "{} would install a package of that name from the registry: correct the range, or the member's version",
                    project.manager.name()
                );
                return Err(PackageError::new(DOING, what).help(help));
            }
            if seen.insert(name) {
                ahead.push((member, of_member));
            }
        }
    }
    Ok(())
}

/// Whether a range of npm's accepts a version. Other texts (a tag, `workspace:`) are left to the package manager. Rust's
/// ranges differ from npm's in two points: in npm a bare version means exactly that version, and spaces separate what commas
/// separate in Rust.
fn accepts(range: &str, version: Option<&str>) -> bool {
    if range.trim().is_empty() || range == "*" || range.contains(':') || range.contains(" - ") {
        return true;
    }
    let Some(version) = version.and_then(|version| Version::parse(version).ok()) else {
        // Without a version, only `*` accepts it.
        return !range.contains(|c: char| c.is_ascii_digit());
    };
    range.split("||").any(|one| {
        let one = one.trim();
        let parts: Vec<String> = one
            .split_whitespace()
            .map(|part| match Version::parse(part.trim_start_matches('v')) {
                Ok(exact) => format!("={exact}"),
                Err(_) => part.to_owned(),
            })
            .collect();
        VersionReq::parse(&parts.join(", ")).map_or(true, |requirement| requirement.matches(&version))
    })
}

impl Project {
    /// Finds the package manager and the workspace of the code in `folder`, which contains a package.json.
    ///
    /// # Errors
    /// When a manifest cannot be read, or the package manager is not supported.
    pub fn find(folder: &Path) -> Result<Self, PackageError> {
        let failed =
            |folder: &Path, error: std::io::Error| PackageError::new(DOING, format!("{}: {error}", folder.display()));
        let folder = fs::canonicalize(folder).map_err(|error| failed(folder, error))?;
        let mut found = (folder.clone(), BTreeSet::new());
        for above in folder.ancestors() {
            if let Some(patterns) = patterns(above)? {
                let members = expand(above, &patterns);
                if above == folder || members.contains(&folder) {
                    found = (above.to_owned(), members);
                    break;
                }
            }
            if above.join(".git").exists() {
                break;
            }
        }
        let (root, members) = found;
        let is_member = root != folder;
        let has_lock = |folder: &Path| lock_of(folder, None).is_some();
        // The folder's own lock is used if the workspace has none.
        let (root, members) = match is_member && !has_lock(&root) && has_lock(&folder) {
            true => (folder.clone(), BTreeSet::new()),
            false => (root, members),
        };
        let declared = manifest(&root)?
            .and_then(|manifest| manifest.get("packageManager").and_then(Value::as_str).map(str::to_owned));
        let named = declared.as_deref().map(|text| text.split('@').next().unwrap_or(text));
        let (manager, lock) = match lock_of(&root, named) {
            Some((manager, lock)) => (manager, Some(lock)),
            None => match named {
                Some("pnpm") => (Manager::Pnpm, None),
                Some("yarn") => (if is_classic(declared.as_deref()) { Manager::Classic } else { Manager::Berry }, None),
                Some("npm") => (Manager::Npm, None),
                Some(other) => return Err(unsupported(other, &root.join("package.json"))),
                None => match OTHER_LOCKS.iter().map(|name| root.join(name)).find(|lock| lock.is_file()) {
                    Some(lock) => return Err(unsupported("bun", &lock)),
                    None if root.join("pnpm-workspace.yaml").is_file() => (Manager::Pnpm, None),
                    None => (Manager::Npm, None),
                },
            },
        };
        Ok(Self { root, folder, members, manager, lock, declared })
    }

    /// Whether the function's folder is a member of a workspace whose root is another folder.
    pub fn is_member(&self) -> bool {
        self.root != self.folder
    }
}

fn unsupported(manager: &str, because: &Path) -> PackageError {
    let why = format!("{} requires {manager}, which is not supported", because.display());
    PackageError::new(DOING, why).help(
        "use npm, pnpm or yarn; or bundle the code (Metadata: { BuildMethod: esbuild }), or install a node_modules beside \
         the code and set Metadata: { SkipBuild: true }",
    )
}

/// The lock in a folder and its package manager; of several locks, that of the manager `named`.
fn lock_of(folder: &Path, named: Option<&str>) -> Option<(Manager, &'static str)> {
    let locks: Vec<(Manager, &'static str)> = [Manager::Npm, Manager::Pnpm, Manager::Classic]
        .into_iter()
        .flat_map(|manager| manager.locks().iter().map(move |lock| (manager, *lock)))
        .filter(|(_, lock)| folder.join(lock).is_file())
        .collect();
    let (manager, lock) = match named {
        // If `packageManager` names a manager, only its lock counts.
        Some(named) => locks.into_iter().find(|(manager, _)| manager.name() == named)?,
        None => locks.into_iter().next()?,
    };
    let is_berry = manager == Manager::Classic
        && fs::read_to_string(folder.join(lock)).is_ok_and(|text| text.contains("__metadata:"));
    Some((if is_berry { Manager::Berry } else { manager }, lock))
}

fn is_classic(declared: Option<&str>) -> bool {
    declared.is_some_and(|declared| declared.starts_with("yarn@1."))
}

/// The patterns of the workspace whose root is `folder`: of `workspaces` in package.json (a list, or an object with
/// `packages`), or of pnpm-workspace.yaml.
fn patterns(folder: &Path) -> Result<Option<Vec<String>>, PackageError> {
    let texts = |value: &Value| {
        let list = value.as_array()?;
        Some(list.iter().filter_map(|pattern| pattern.as_str().map(str::to_owned)).collect())
    };
    let path = folder.join("pnpm-workspace.yaml");
    if let Ok(text) = fs::read_to_string(&path) {
        let read: Value = serde_yaml::from_str(&text)
            .map_err(|error| PackageError::new(DOING, format!("{}: {error}", path.display())))?;
        return Ok(texts(&read["packages"]));
    }
    let Some(manifest) = manifest(folder)? else { return Ok(None) };
    let workspaces = manifest.get("workspaces").unwrap_or(&Value::Null);
    Ok(texts(workspaces).or_else(|| texts(&workspaces["packages"])))
}

/// The folders below `root` that contain a package.json and match the patterns; a pattern with `!` removes its matches.
fn expand(root: &Path, patterns: &[String]) -> BTreeSet<PathBuf> {
    let mut members = BTreeSet::new();
    for pattern in patterns {
        let (taken, pattern) = match pattern.strip_prefix('!') {
            Some(pattern) => (false, pattern),
            None => (true, pattern.as_str()),
        };
        let mut found = BTreeSet::new();
        for pattern in braces(pattern) {
            let steps: Vec<&str> = pattern.split('/').filter(|step| !step.is_empty() && *step != ".").collect();
            descend(root, &steps, &mut found);
        }
        if taken {
            members.extend(found.into_iter().filter_map(|folder| fs::canonicalize(folder).ok()));
        } else {
            let out: BTreeSet<PathBuf> = found.into_iter().filter_map(|folder| fs::canonicalize(folder).ok()).collect();
            members.retain(|member| !out.contains(member));
        }
    }
    members
}

/// Expands `{a,b}` in a pattern into several patterns.
fn braces(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let Some((choices, after)) = rest.split_once('}') else { return vec![pattern.to_owned()] };
    choices.split(',').flat_map(|choice| braces(&format!("{before}{choice}{after}"))).collect()
}

fn descend(folder: &Path, steps: &[&str], found: &mut BTreeSet<PathBuf>) {
    let Some((step, rest)) = steps.split_first() else {
        if folder.join("package.json").is_file() {
            found.insert(folder.to_owned());
        }
        return;
    };
    if *step == "**" {
        descend(folder, rest, found);
        below(folder).into_iter().for_each(|(_, below)| descend(&below, steps, found));
    } else if step.contains(['*', '?']) {
        let named = below(folder).into_iter().filter(|(name, _)| matches(step, name));
        named.for_each(|(_, below)| descend(&below, rest, found));
    } else if *step == ".." {
        descend(&parent(folder), rest, found);
    } else if folder.join(step).is_dir() {
        descend(&folder.join(step), rest, found);
    }
}

/// The subfolders of a folder that can be members or contain some.
fn below(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    named.filter(|(name, path)| name != "node_modules" && !name.starts_with('.') && path.is_dir()).collect()
}

/// Whether a name matches one component of a pattern.
fn matches(pattern: &str, name: &str) -> bool {
    let mut characters = pattern.chars();
    match characters.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = characters.as_str();
            name.char_indices().map(|(index, _)| index).chain([name.len()]).any(|index| matches(rest, &name[index..]))
        }
        Some(wanted) => {
            let mut named = name.chars();
            named.next().is_some_and(|first| wanted == '?' || wanted == first)
                && matches(characters.as_str(), named.as_str())
        }
    }
}

fn parent(folder: &Path) -> PathBuf {
    folder.parent().map_or_else(|| folder.to_owned(), Path::to_owned)
}

/// The path that a dependency's version names: `file:../shared`, `link:`, `portal:`, or the path alone.
pub(super) fn named_path(version: &str) -> Option<&str> {
    let stripped = ["file:", "link:", "portal:"].iter().find_map(|form| version.strip_prefix(form));
    let path = stripped.or_else(|| version.starts_with(['.', '/']).then_some(version))?;
    // Yarn appends the package that the path is relative to: `portal:../shared::locator=...`.
    Some(path.split("::").next().unwrap_or(path))
}

/// `folder/path` with its `..` resolved; the path need not exist.
pub(super) fn join(folder: &Path, path: &str) -> PathBuf {
    let mut joined = folder.to_owned();
    for component in Path::new(path.strip_prefix("//").map_or(path, |rest| rest)).components() {
        match component {
            Component::ParentDir => {
                joined.pop();
            }
            Component::CurDir => {}
            other => joined.push(other),
        }
    }
    joined
}

/// The root of the repository that `folder` is in: the folder with `.git`; without one, the folder that contains both the
/// code and the `template`.
pub(super) fn repository(folder: &Path, template: &Path) -> PathBuf {
    if let Some(root) = folder.ancestors().find(|above| above.join(".git").exists()) {
        return root.to_owned();
    }
    let template = fs::canonicalize(template).unwrap_or_else(|_| template.to_owned());
    common([folder, &template])
}

/// The deepest folder that contains all of `paths`.
pub(super) fn common<'a>(paths: impl IntoIterator<Item = &'a Path>) -> PathBuf {
    let mut paths = paths.into_iter();
    let mut common = paths.next().map(Path::to_owned).unwrap_or_default();
    for path in paths {
        while !path.starts_with(&common) && common.pop() {}
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)], folder: &str) -> (tempfile::TempDir, Result<Project, PackageError>) {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let project = Project::find(&root.path().join(folder));
        (root, project)
    }

    /// Whether `lambdas/chat` is a member of the workspace with these patterns.
    #[track_caller]
    fn is_member(root: &str) -> bool {
        let files = [("package.json", root), ("lambdas/chat/package.json", "{}"), ("package-lock.json", "{}")];
        project(&files, "lambdas/chat").1.unwrap().is_member()
    }

    #[test]
    fn ranges_accept_the_same_versions_as_npms() {
        for (range, version, expected) in [
            ("^1.0.0", Some("1.4.0"), true),
            ("^2.0.0", Some("1.0.0"), false),
            ("1.0.0", Some("1.0.1"), false),
            ("~1.2", Some("1.2.9"), true),
            (">=1.0.0 <2.0.0", Some("1.9.0"), true),
            ("^1.0.0 || ^2.0.0", Some("2.1.0"), true),
            ("1.x", Some("1.9.0"), true),
            ("*", None, true),
            ("", Some("0.0.0"), true),
            ("latest", Some("1.0.0"), true),
            ("workspace:^", None, true),
            ("^1.0.0", None, false),
        ] {
            assert_eq!(accepts(range, version), expected, "{range} {version:?}");
        }
    }

    #[test]
    fn members_are_found_by_every_form_of_pattern() {
        for patterns in [
            r#"["lambdas/*"]"#,
            r#"["./lambdas/chat/"]"#,
            r#"["lambdas/**"]"#,
            r#"["**"]"#,
            r#"["**/ch?t"]"#,
            r#"["{packages,lambdas}/*"]"#,
            r#"{"packages":["lambdas/c*"]}"#,
            r#"["!lambdas/*","lambdas/chat"]"#,
        ] {
            assert!(is_member(&format!(r#"{{"workspaces":{patterns}}}"#)), "{patterns}");
        }
        for patterns in [r#"["packages/*"]"#, r#"["*"]"#, r#"["lambdas/*","!lambdas/chat"]"#, "null", r#"["lambdas"]"#]
        {
            assert!(!is_member(&format!(r#"{{"workspaces":{patterns}}}"#)), "{patterns}");
        }
    }

    #[test]
    fn the_lock_determines_the_package_manager() {
        let yarn = "# yarn lockfile v1\n";
        let berry = "__metadata:\n  version: 8\n";
        for (files, manager, lock) in [
            (vec![], Manager::Npm, None),
            (vec![("package-lock.json", "{}")], Manager::Npm, Some("package-lock.json")),
            (vec![("pnpm-lock.yaml", "")], Manager::Pnpm, Some("pnpm-lock.yaml")),
            (vec![("yarn.lock", yarn)], Manager::Classic, Some("yarn.lock")),
            (vec![("yarn.lock", berry)], Manager::Berry, Some("yarn.lock")),
            (vec![("pnpm-workspace.yaml", "packages: []")], Manager::Pnpm, None),
        ] {
            let files: Vec<_> = files.into_iter().chain([("package.json", "{}")]).collect();
            let found = project(&files, "").1.unwrap();
            assert_eq!((found.manager, found.lock), (manager, lock), "{files:?}");
        }
        let both = [("yarn.lock", berry), ("package-lock.json", "{}")];
        for (declared, manager) in
            [("npm@10.0.0", Manager::Npm), ("yarn@4.1.0", Manager::Berry), ("pnpm@9", Manager::Pnpm)]
        {
            let text = format!(r#"{{"packageManager":"{declared}"}}"#);
            let files: Vec<_> = both.into_iter().chain([("package.json", text.as_str())]).collect();
            assert_eq!(project(&files, "").1.unwrap().manager, manager);
        }
        let bun = project(&[("package.json", "{}"), ("bun.lock", "")], "").1.unwrap_err();
        assert!(bun.why.ends_with("bun.lock requires bun, which is not supported"), "{bun}");
    }

    #[test]
    fn a_workspace_ends_at_the_repository_and_its_lock_takes_precedence() {
        let files = [
            ("package.json", r#"{"workspaces":["in/lambdas/*"]}"#),
            ("package-lock.json", "{}"),
            ("in/.git/HEAD", ""),
            ("in/lambdas/chat/package.json", "{}"),
        ];
        assert!(!project(&files, "in/lambdas/chat").1.unwrap().is_member());
        let files = [
            ("pnpm-workspace.yaml", "packages:\n  - lambdas/*\n"),
            ("lambdas/chat/package.json", "{}"),
            ("pnpm-lock.yaml", ""),
            ("lambdas/chat/package-lock.json", "{}"),
        ];
        let found = project(&files, "lambdas/chat").1.unwrap();
        assert_eq!((found.is_member(), found.manager), (true, Manager::Pnpm));
        let without = [files[0], files[1], files[3]];
        let found = project(&without, "lambdas/chat").1.unwrap();
        assert_eq!((found.is_member(), found.manager), (false, Manager::Npm));
    }
}
