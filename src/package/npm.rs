//! What a package.json declares, to be installed by npm.

use std::env::consts::{ARCH, OS};
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::install::Install;
use super::place::Architecture;
use super::{Options, PackageError, Target};
use crate::interpreter;

pub(super) const WITHOUT_NPM: &str =
    "install Node.js, which brings npm (https://nodejs.org), and run the same command again";

/// Options for every npm: say what is wrong, and nothing else.
pub(super) const QUIET: &[&str] = &["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"];

/// Locks that npm reads, then those of others.
const LOCKS: &[&str] = &["npm-shrinkwrap.json", "package-lock.json"];
const OTHER_LOCKS: &[&str] = &["yarn.lock", "pnpm-lock.yaml", "bun.lock"];

/// What the package.json in `folder` wants installed, with what there is to say about it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub install: Install,
    pub note: Option<String>,
}

/// What is to be installed for the code in `folder`; `None` where there is no package.json or it declares nothing.
///
/// # Errors
/// When it cannot be read or names what is not in a registry.
pub(super) fn wanted(
    folder: &Path,
    target: Target,
    architecture: Architecture,
    node: &str,
    options: &Options,
) -> Result<Option<Wanted>, PackageError> {
    let path = folder.join("package.json");
    let failed = |why: String| PackageError::new("install the dependencies", format!("{}: {why}", path.display()));
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    let mut manifest: Map<String, Value> = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let mut declared = 0;
    for kind in ["dependencies", "optionalDependencies", "peerDependencies"] {
        for (name, version) in manifest.get(kind).and_then(Value::as_object).into_iter().flatten() {
            declared += 1;
            let version = version.as_str().unwrap_or_default();
            if ["file:", "link:", "workspace:", "portal:", ".", "/", "~/"].iter().any(|form| version.starts_with(form))
            {
                let help = "publish it, or bundle it into the code and name the bundle's folder in CodeUri";
                return Err(
                    failed(format!("{name} is {version}, and only registries are installed from yet")).help(help)
                );
            }
        }
    }
    if declared == 0 {
        return Ok(None);
    }
    // They speak of files that are not where npm runs.
    manifest.remove("scripts");
    let manifest = serde_json::to_vec(&manifest).map_err(|error| failed(error.to_string()))?;
    let mut files = vec![("package.json", manifest)];
    let lock = LOCKS.iter().find_map(|name| Some((*name, fs::read(folder.join(name)).ok()?)));
    let other = OTHER_LOCKS.iter().find(|name| folder.join(name).is_file());
    let note = other.filter(|_| lock.is_none()).map(|other| {
        format!(
            "npm does not read {}: it takes the newest versions that package.json allows",
            folder.join(other).display()
        )
    });
    let verb = if lock.is_some() { "ci" } else { "install" };
    files.extend(lock);
    // The user's registries and their tokens.
    files.extend(fs::read(folder.join(".npmrc")).ok().map(|text| (".npmrc", text)));

    let mut arguments = vec![verb.to_owned(), "--omit=dev".to_owned()];
    arguments.extend(QUIET.iter().map(|&flag| flag.to_owned()));
    let also = match target {
        // Native addons are made for one release of Node.js.
        Target::Host => node.to_owned(),
        Target::Lambda => {
            let cpu = match architecture {
                Architecture::X86_64 => "x64",
                Architecture::Arm64 => "arm64",
            };
            arguments.extend(["--os=linux".to_owned(), format!("--cpu={cpu}"), "--libc=glibc".to_owned()]);
            // They would put in what runs on this machine.
            if (OS, ARCH) != ("linux", architecture.rust()) {
                arguments.push("--ignore-scripts".to_owned());
            }
            String::new()
        }
    };
    let install = Install {
        tool: "npm",
        what: format!("npm {verb}"),
        program: interpreter::within(options.tools.as_deref(), "npm"),
        arguments: arguments.into_iter().map(OsString::from).collect(),
        folder: None,
        target_flag: None,
        files,
        also,
        lasting: true,
        without_tool: WITHOUT_NPM,
        tidy: |_| Ok(()),
        root: "node_modules",
        steps: None,
    };
    Ok(Some(Wanted { install, note }))
}
