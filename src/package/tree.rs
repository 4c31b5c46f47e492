//! From an installed tree of packages, links and all, to the `node_modules` of one function: just what it needs, without a
//! link, and so that every package finds the very packages that it finds in the tree.

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
    /// The folder that holds all of it, links resolved: nothing is looked for above.
    pub top: &'a Path,
    /// What lies in `top` and is no installed package is really here: only its manifests were put into the tree.
    pub source: &'a Path,
    /// How far links may lead.
    pub repository: &'a Path,
    pub target: Target,
    pub architecture: Architecture,
}

/// A package where it is put.
struct Placed {
    /// Where it is in the tree, links resolved.
    real: PathBuf,
    /// Its folder's name in the zip, with a slash at its end; empty for the function itself.
    prefix: String,
    parent: Option<usize>,
    /// What is in its own `node_modules`.
    children: BTreeMap<String, usize>,
}

impl Tree<'_> {
    /// What the package in `folder`, which is in the tree, needs to run, by names that begin with `node_modules/`. `also` are
    /// packages that it uses without declaring them, and that go along if they are there.
    ///
    /// # Errors
    /// When a package that it declares is not in the tree, or cannot be read.
    pub fn needed_by(&self, folder: &Path, also: &BTreeSet<String>) -> Result<Files, PackageError> {
        let mut placed =
            vec![Placed { real: folder.to_owned(), prefix: String::new(), parent: None, children: BTreeMap::new() }];
        let mut files = Files::new();
        let mut queue = VecDeque::from([0]);
        // All that a package needs is placed before anything that its dependencies need: what is placed later is never seen by
        // one that has found something else before.
        while let Some(index) = queue.pop_front() {
            let manifest = manifest(&placed[index].real)?.unwrap_or_default();
            let mut names: BTreeMap<String, bool> = BTreeMap::new();
            if index == 0 {
                names.extend(also.iter().map(|name| (name.clone(), false)));
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
                placed.push(Placed { real, prefix, parent: Some(parent), children: BTreeMap::new() });
                placed[parent].children.insert(name, next);
                queue.push_back(next);
            }
        }
        Ok(files)
    }

    /// Where Node.js finds `name` when a file in `folder` asks for it.
    pub fn resolve(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        let inside = folder.ancestors().take_while(|above| above.starts_with(self.top));
        let places = inside.filter(|above| above.file_name().is_none_or(|name| name != "node_modules"));
        let is_package = |place: &PathBuf| place.join("package.json").is_file() || place.join("index.js").is_file();
        let found = places.map(|above| above.join("node_modules").join(name)).find(is_package)?;
        fs::canonicalize(found).ok()
    }

    /// Whether a package is one for the machine that the code is for: some tools install those for others, too.
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

    /// Where a package of the repository's own really is; `None` for one that is installed.
    fn own(&self, package: &Path) -> Option<PathBuf> {
        let below = package.strip_prefix(self.top).ok()?;
        let installed = below.components().any(|step| step.as_os_str() == "node_modules");
        (!installed).then(|| self.source.join(below))
    }

    /// The files of a package, without what is installed in it.
    fn files(&self, package: &Path) -> Result<Files, PackageError> {
        match self.own(package) {
            Some(own) => own_files(&own, self.repository),
            None => {
                let judge = |name: &str, _: &Path| match name {
                    "node_modules" => Verdict::Leave,
                    _ => Verdict::Whole,
                };
                Ok(folder::read(package, &judge)?.files)
            }
        }
    }
}

/// What a package names, and whether it must be there.
fn needs(manifest: &Map<String, Value>) -> BTreeMap<String, bool> {
    let mut names: BTreeMap<String, bool> =
        declared(manifest, NEEDED).map(|(name, _)| (name.to_owned(), false)).collect();
    for (name, _) in declared(manifest, &["dependencies"]) {
        // Listed twice, it is optional.
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

/// The package that `index` sees under a name, as things are placed so far.
fn visible(placed: &[Placed], index: usize, name: &str) -> Option<usize> {
    let mut at = Some(index);
    while let Some(index) = at {
        if let Some(found) = placed[index].children.get(name) {
            return Some(*found);
        }
        at = placed[index].parent;
    }
    None
}

/// The files of a package of the repository's own, as it would be packed: what `files` in its package.json names; without
/// that, all but what is installed in it and what begins with a dot (settings, and what tools leave). What git ignores goes
/// along, for what a build wrote is what is run.
pub(super) fn own_files(package: &Path, repository: &Path) -> Result<Files, PackageError> {
    let manifest = manifest(package)?.unwrap_or_default();
    let judge = |name: &str, _: &Path| {
        let last = name.rsplit('/').next().unwrap_or(name);
        let left = last == "node_modules" || folder::is_foreign(name) || last == ".npmrc" || last.starts_with(".env");
        if left || name.starts_with('.') { Verdict::Leave } else { Verdict::Whole }
    };
    let mut files = folder::read_within(package, repository, &judge)?.files;
    if let Some(listed) = manifest.get("files").and_then(Value::as_array) {
        let mut rules = GitignoreBuilder::new(package);
        for pattern in listed.iter().filter_map(Value::as_str) {
            let (not, pattern) = pattern.strip_prefix('!').map_or(("", pattern), |rest| ("!", rest));
            let pattern = pattern.trim_start_matches("./").trim_start_matches('/');
            // A pattern that git could not read means nothing, as it does to npm.
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

    /// What `app` finds when it asks for these names one after the other, each asked by the one before.
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
    fn versions_that_differ_are_kept_apart_where_links_did_so() {
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
    fn a_package_of_the_repository_is_packed() {
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
        /// Whatever needs what in whichever place, everybody finds in the result what Node.js finds in the tree.
        #[test]
        fn every_package_finds_what_it_found(
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
