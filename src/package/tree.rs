//! Converts an installed tree of packages, which may contain links, into the `node_modules` of one function: only what it
//! needs, without links, and so that every package resolves to the same packages as in the tree.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use ignore::gitignore::GitignoreBuilder;
use serde_json::{Map, Value};

use super::folder::{self, Files, Verdict};
use super::workspace::{DOING, NEEDED, declared, manifest};
use super::{Architecture, PackageError, Target};

/// An installed tree.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    /// The root of the tree, links resolved; packages above it are ignored.
    pub top: &'a Path,
    /// The folder of the repository that `top` mirrors: `top` only has the manifests of the repository's own packages.
    pub source: &'a Path,
    /// The folder that links must not leave.
    pub repository: &'a Path,
    pub target: Target,
    pub architecture: Architecture,
}

/// A package at its path in the zip.
struct PlacedPackage {
    /// Its folder in the tree, links resolved.
    real: PathBuf,
    /// Its folder's name in the zip, with a slash at the end; empty for the function itself.
    prefix: String,
    parent: Option<usize>,
    /// The packages in its own `node_modules`.
    children: BTreeMap<String, usize>,
}

impl Tree<'_> {
    /// The files that the package in `folder` needs at run time, by names that begin with `node_modules/`. `undeclared` are
    /// packages that it imports without declaring them; they are included if the tree has them.
    ///
    /// # Errors
    /// When a declared package is not in the tree, or cannot be read.
    pub fn needed_by(&self, folder: &Path, undeclared: &BTreeSet<String>) -> Result<Files, PackageError> {
        let mut placed = vec![PlacedPackage {
            real: folder.to_owned(),
            prefix: String::new(),
            parent: None,
            children: BTreeMap::new(),
        }];
        let mut files = Files::new();
        let mut queue = VecDeque::from([0]);
        // Breadth first: all dependencies of a package are placed before theirs, so that a package placed later never
        // shadows one that was already resolved.
        while let Some(index) = queue.pop_front() {
            let manifest = manifest(&placed[index].real)?.unwrap_or_default();
            let mut names: BTreeMap<String, bool> = BTreeMap::new();
            if index == 0 {
                names.extend(undeclared.iter().map(|name| (name.clone(), false)));
            }
            names.extend(needs(&manifest));
            for (name, required) in names {
                let Some(real) = self.resolve(&placed[index].real, &name) else {
                    if required && let Some(own) = self.own(&placed[index].real) {
                        let manifest = own.join("package.json");
                        let why = format!("{name} is declared in {}, and not installed", manifest.display());
                        return Err(PackageError::new(DOING, why).help("bring the lock up to date with package.json"));
                    }
                    continue;
                };
                let visible = visible(&placed, index, &name);
                if visible.is_some_and(|seen| placed[seen].real == real) || !self.fits(&real)? {
                    continue;
                }
                let parent = if visible.is_some() { index } else { 0 };
                let prefix = format!("{}node_modules/{name}/", placed[parent].prefix);
                for (below, file) in self.files(&real)? {
                    files.insert(format!("{prefix}{below}"), file);
                }
                let next = placed.len();
                placed.push(PlacedPackage { real, prefix, parent: Some(parent), children: BTreeMap::new() });
                placed[parent].children.insert(name, next);
                queue.push_back(next);
            }
        }
        Ok(files)
    }

    /// The folder to which Node.js resolves `name` for a file in `folder`.
    pub fn resolve(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        let inside = folder.ancestors().take_while(|above| above.starts_with(self.top));
        let places = inside.filter(|above| above.file_name().is_none_or(|name| name != "node_modules"));
        let is_package = |place: &PathBuf| place.join("package.json").is_file() || place.join("index.js").is_file();
        let found = places.map(|above| above.join("node_modules").join(name)).find(is_package)?;
        fs::canonicalize(found).ok()
    }

    /// Whether a package supports the target machine: some tools also install packages for other machines.
    fn fits(&self, package: &Path) -> Result<bool, PackageError> {
        let manifest = manifest(package)?.unwrap_or_default();
        let cpu = match self.architecture {
            Architecture::X86_64 => "x64",
            Architecture::Arm64 => "arm64",
        };
        let allows = |key: &str, value: &str| {
            let listed = manifest.get(key).and_then(Value::as_array).into_iter().flatten();
            let listed: Vec<&str> = listed.filter_map(Value::as_str).collect();
            let denied = listed.iter().any(|entry| entry.strip_prefix('!') == Some(value));
            let named = listed.iter().filter(|entry| !entry.starts_with('!'));
            !denied && (named.clone().next().is_none() || named.clone().any(|entry| *entry == value))
        };
        Ok(self.target == Target::Host || (allows("os", "linux") && allows("cpu", cpu) && allows("libc", "glibc")))
    }

    /// The real folder of one of the repository's own packages; `None` for an installed package.
    fn own(&self, package: &Path) -> Option<PathBuf> {
        let below = package.strip_prefix(self.top).ok()?;
        let installed = below.components().any(|step| step.as_os_str() == "node_modules");
        (!installed).then(|| self.source.join(below))
    }

    /// The files of a package, without its own `node_modules`.
    fn files(&self, package: &Path) -> Result<Files, PackageError> {
        match self.own(package) {
            Some(own) => own_files(&own, self.repository),
            None => {
                let judge = |name: &str, _: &Path| match name {
                    "node_modules" => Verdict::Exclude,
                    _ => Verdict::IncludeAll,
                };
                Ok(folder::read(package, &judge)?.files)
            }
        }
    }
}

/// The dependencies of a package, and whether each is required.
fn needs(manifest: &Map<String, Value>) -> BTreeMap<String, bool> {
    let mut names: BTreeMap<String, bool> =
        declared(manifest, NEEDED).map(|(name, _)| (name.to_owned(), false)).collect();
    for (name, _) in declared(manifest, &["dependencies"]) {
        // A package in both lists is optional.
        let optional = declared(manifest, &["optionalDependencies"]).any(|(other, _)| other == name);
        names.insert(name.to_owned(), !optional);
    }
    for kind in ["bundleDependencies", "bundledDependencies"] {
        for name in manifest.get(kind).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            names.entry(name.to_owned()).or_insert(false);
        }
    }
    names
}

/// The package that `name` resolves to for `index`, among the packages placed so far.
fn visible(placed: &[PlacedPackage], index: usize, name: &str) -> Option<usize> {
    let mut at = Some(index);
    while let Some(index) = at {
        if let Some(found) = placed[index].children.get(name) {
            return Some(*found);
        }
        at = placed[index].parent;
    }
    None
}

/// The files of one of the repository's own packages, as `npm pack` selects them: those that `files` in its package.json
/// names; by default all except `node_modules` and names that begin with a dot (settings and files of tools). Files that git
/// ignores are included, because the code that runs is often the output of a build.
pub(super) fn own_files(package: &Path, repository: &Path) -> Result<Files, PackageError> {
    let manifest = manifest(package)?.unwrap_or_default();
    let judge = |name: &str, _: &Path| {
        let last = name.rsplit('/').next().unwrap_or(name);
        let left =
            last == "node_modules" || folder::is_never_packaged(name) || last == ".npmrc" || last.starts_with(".env");
        if left || name.starts_with('.') { Verdict::Exclude } else { Verdict::IncludeAll }
    };
    let mut files = folder::read_within(package, repository, &judge)?.files;
    if let Some(listed) = manifest.get("files").and_then(Value::as_array) {
        let mut rules = GitignoreBuilder::new(package);
        for pattern in listed.iter().filter_map(Value::as_str) {
            let (not, pattern) = pattern.strip_prefix('!').map_or(("", pattern), |rest| ("!", rest));
            let pattern = pattern.trim_start_matches("./").trim_start_matches('/');
            // Invalid patterns match nothing, as in npm.
            let _ = rules.add_line(None, &format!("{not}/{pattern}"));
        }
        let failed = |error| PackageError::new(DOING, format!("{}: {error}", package.join("package.json").display()));
        let rules = rules.build().map_err(failed)?;
        let main =
            manifest.get("main").and_then(Value::as_str).unwrap_or("index.js").trim_start_matches("./").to_owned();
        files.retain(|name, _| {
            let always = name == "package.json" || *name == main || *name == format!("{main}.js");
            always || rules.matched_path_or_any_parents(name, false).is_ignore()
        });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn tree(root: &Path) -> Tree<'_> {
        Tree { top: root, source: root, repository: root, target: Target::Host, architecture: Architecture::X86_64 }
    }

    /// The package at the end of a chain of imports that starts in `app`.
    fn found(files: &Files, path: &[&str]) -> Option<PathBuf> {
        let mut folder = String::new();
        for name in path {
            let mut at = folder.as_str();
            folder = loop {
                let place = format!("{at}node_modules/{name}/");
                if files.contains_key(&format!("{place}package.json")) {
                    break place;
                }
                at = at.strip_suffix('/')?;
                at = &at[..at.rfind("node_modules/")?];
            };
        }
        files.get(&format!("{folder}package.json")).map(|file| file.parent().unwrap().to_owned())
    }

    #[test]
    fn different_versions_of_a_package_stay_separate() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        write(&root, "app/package.json", r#"{"dependencies":{"a":"1","b":"2"}}"#);
        write(&root, "app/node_modules/b/package.json", r#"{"version":"2"}"#);
        write(&root, "node_modules/a/package.json", r#"{"dependencies":{"b":"1"}}"#);
        write(&root, "node_modules/b/package.json", r#"{"version":"1"}"#);
        let files = tree(&root).needed_by(&root.join("app"), &BTreeSet::new()).unwrap();
        assert_eq!(found(&files, &["b"]), Some(root.join("app/node_modules/b")));
        assert_eq!(found(&files, &["a", "b"]), Some(root.join("node_modules/b")));
        let missing = tree(&root);
        write(&root, "app/package.json", r#"{"dependencies":{"c":"1"},"optionalDependencies":{"d":"1"}}"#);
        let error = missing.needed_by(&root.join("app"), &BTreeSet::new()).unwrap_err();
        assert!(error.why.starts_with("c is declared in "), "{error}");
    }

    #[test]
    fn the_files_of_a_local_package_are_those_that_npm_would_pack() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "dist/a.js",
            "src/a.ts",
            "main.js",
            ".env",
            ".turbo/log",
            "node_modules/x/i.js",
            "lib/.npmrc",
            ".gitignore",
        ] {
            write(root.path(), name, "dist\n");
        }
        let names = |manifest: &str| {
            write(root.path(), "package.json", manifest);
            own_files(root.path(), root.path()).unwrap().into_keys().collect::<Vec<_>>()
        };
        assert_eq!(names("{}"), ["dist/a.js", "main.js", "package.json", "src/a.ts"]);
        assert_eq!(names(r#"{"main":"./main.js","files":["dist"]}"#), ["dist/a.js", "main.js", "package.json"]);
        assert_eq!(names(r#"{"files":["**/*.ts","!dist"]}"#), ["package.json", "src/a.ts"]);
    }

    proptest! {
        /// For any tree, every import resolves to the same package in the result as in the tree.
        #[test]
        fn every_import_resolves_as_in_the_tree(
            edges in prop::collection::vec((0..6usize, 0..6usize), 1..14),
            nested in prop::collection::btree_set((0..6usize, 0..6usize), 0..8),
            hoisted in prop::collection::btree_set(0..6usize, 0..6),
        ) {
            let root = tempfile::tempdir().unwrap();
            let root = fs::canonicalize(root.path()).unwrap();
            let manifest = |of: usize| {
                let needs: Vec<String> = edges.iter().filter(|(from, _)| *from == of).map(|(_, to)| format!(r#""p{to}":"1""#)).collect();
                format!(r#"{{"optionalDependencies":{{{}}}}}"#, needs.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(","))
            };
            write(&root, "app/package.json", r#"{"optionalDependencies":{"p0":"1","p1":"1","p2":"1"}}"#);
            for package in &hoisted {
                write(&root, &format!("node_modules/p{package}/package.json"), &manifest(*package));
            }
            for (within, package) in &nested {
                let place = if *within == 0 { "app".to_owned() } else { format!("node_modules/p{within}") };
                write(&root, &format!("{place}/node_modules/p{package}/package.json"), &manifest(*package));
            }
            let tree = tree(&root);
            let files = tree.needed_by(&root.join("app"), &BTreeSet::new()).unwrap();
            let mut asked = vec![(vec![], root.join("app"))];
            while let Some((path, real)) = asked.pop() {
                let manifest = super::manifest(&real).unwrap().unwrap_or_default();
                for (name, _) in declared(&manifest, NEEDED) {
                    let Some(next) = tree.resolve(&real, name) else { continue };
                    let path: Vec<String> = path.iter().cloned().chain([name.to_owned()]).collect();
                    let names: Vec<&str> = path.iter().map(String::as_str).collect();
                    prop_assert_eq!(found(&files, &names), Some(next.clone()), "{:?}", path);
                    if path.len() < 4 {
                        asked.push((path, next));
                    }
                }
            }
        }
    }
}
