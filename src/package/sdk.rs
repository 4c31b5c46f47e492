//! The SDK that Lambda's managed runtimes include, so that handlers use it without declaring it. This machine does not have
//! it, so the packages that code imports are installed once for the local cloud; node and python search them after the code.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::Value;
use tokio::process::Command;

use super::folder::{self, Verdict};
use super::install::run;
use super::{PackageError, Progress, environment, npm, pip};
use crate::machine::interpreter::{self, Interpreter, Language};

const DOING: &str = "install the AWS SDK (which Lambda's runtime includes) for the code";

/// The oldest boto3 that reads AWS_ENDPOINT_URL (its changelog, 1.28.0).
const BOTO3: &str = "boto3>=1.28";

/// Whether a file is source code that is not a dependency's.
pub(super) fn is_source(language: Language, name: &str) -> bool {
    let extensions: &[&str] = match language {
        Language::Node => &[".js", ".mjs", ".cjs"],
        Language::Python => &[".py"],
    };
    !name.contains("node_modules/") && extensions.iter().any(|extension| name.ends_with(extension))
}

/// The packages of the runtime's SDK that the sources import and that are not among `names`, the files of the whole code; and
/// notes for the user.
pub(super) fn imported(
    language: Language,
    runtime: &str,
    names: &BTreeSet<&str>,
    sources: impl Iterator<Item = Vec<u8>>,
) -> (BTreeSet<String>, Vec<String>) {
    static NODE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let import =
            r#"\b(?:from\s*|import\s*\(?\s*|require\s*\(\s*)["'`](@(?:aws-sdk|smithy)/[a-z0-9-]+|aws-sdk)["'`/]"#;
        Regex::new(import).ok()
    });
    static PYTHON: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?m)^\s*(?:import|from)\s+(?:[\w.]+\s*,\s*)*(boto3|botocore)\b").ok());
    let (pattern, place) = match language {
        Language::Node => (&NODE, "node_modules/"),
        Language::Python => (&PYTHON, ""),
    };
    let mut found = BTreeSet::new();
    for source in sources {
        let text = String::from_utf8_lossy(&source).into_owned();
        let imports = pattern.iter().flat_map(|pattern| pattern.captures_iter(&text));
        found.extend(imports.filter_map(|import| Some(import.get(1)?.as_str().to_owned())));
    }
    found.retain(|package| !names.iter().any(|name| name.contains(&format!("{place}{package}/"))));
    let mut notes = Vec::new();
    let strange: Vec<String> = found.iter().filter(|package| !includes(runtime, package)).cloned().collect();
    for package in strange {
        found.remove(&package);
        notes.push(format!(
            "imports {package}, which the runtime {runtime} does not include; declare it in a package.json: npm install {package}"
        ));
    }
    if language == Language::Python && !found.is_empty() {
        found = BTreeSet::from(["boto3".to_owned()]);
    }
    (found, notes)
}

/// Whether a runtime includes a package of the SDK: Node.js 16 and older include version 2 of the JavaScript SDK, newer ones
/// version 3 (Lambda developer guide, runtime-included SDK versions).
fn includes(runtime: &str, package: &str) -> bool {
    let release = runtime.strip_prefix("nodejs").and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    release.is_none_or(|release| (release <= 16) == (package == "aws-sdk"))
}

/// Where and how to install the SDK.
pub(super) struct SdkInstall<'a> {
    pub folder: &'a Path,
    /// The folder with npm; `None` for the PATH.
    pub tools: Option<&'a Path>,
    pub ignore_scripts: bool,
}

/// Installs below `folder` the packages that code in the folder `code` imports from the SDK of `runtime`, unless they are
/// installed already. For code that another tool than wschat deployed to the local cloud.
///
/// # Errors
/// When the code cannot be read, the runtime's interpreter is missing, or the installation fails.
pub async fn install_imported(runtime: &str, code: &Path, folder: &Path) -> Result<(), PackageError> {
    let Some(language) = Language::of(runtime) else { return Ok(()) };
    let look = {
        let (runtime, code) = (runtime.to_owned(), code.to_owned());
        move || imported_by_folder(language, &runtime, &code)
    };
    let packages = tokio::task::spawn_blocking(look).await.map_err(|error| PackageError::new(DOING, error))??;
    if packages.is_empty() {
        return Ok(());
    }
    let interpreter = interpreter::find(runtime, None).await.map_err(|missing| PackageError::new(DOING, &missing))?;
    let place = SdkInstall { folder, tools: None, ignore_scripts: false };
    install(runtime, &interpreter, &packages, &place, &|progress| tracing::info!("{progress:?}")).await
}

/// The packages that the code in a folder imports from its runtime's SDK. Imports of installed packages are ignored: many of
/// them are optional.
fn imported_by_folder(language: Language, runtime: &str, folder: &Path) -> Result<BTreeSet<String>, PackageError> {
    let files = folder::read(folder, &|_, _| Verdict::Installed)?.files;
    let records = files.iter().filter(|(name, _)| name.ends_with(".dist-info/RECORD"));
    let records: Vec<String> = records.filter_map(|(_, path)| fs::read_to_string(path).ok()).collect();
    let installed: BTreeSet<&str> =
        records.iter().flat_map(|record| record.lines()).filter_map(|line| line.split(',').next()).collect();
    let own = files.iter().filter(|(name, _)| is_source(language, name) && !installed.contains(name.as_str()));
    let names = files.keys().map(String::as_str).collect();
    Ok(imported(language, runtime, &names, own.filter_map(|(_, path)| fs::read(path).ok())).0)
}

/// Installs `packages` where code of `runtime` finds them, unless they are installed already.
pub(super) async fn install(
    runtime: &str,
    interpreter: &Interpreter,
    packages: &BTreeSet<String>,
    place: &SdkInstall<'_>,
    progress: &(impl Fn(Progress) + Send + Sync),
) -> Result<(), PackageError> {
    if packages.is_empty() {
        return Ok(());
    }
    let failed = |error: io::Error| PackageError::new(DOING, error);
    fs::create_dir_all(place.folder).map_err(failed)?;
    let folder = fs::canonicalize(place.folder).map_err(failed)?;
    // Of two concurrent runs, the second waits and finds what the first has installed.
    let lock = File::create(folder.join("sdk.lock")).map_err(failed)?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
    let _lock = lock.await.map_err(io::Error::other).and_then(|lock| lock).map_err(failed)?;

    let missing: Vec<&String> = match Language::of(runtime) {
        Some(Language::Python) => {
            let place = folder.join(interpreter.site());
            packages.iter().filter(|package| !place.join(package).is_dir()).collect()
        }
        _ => {
            let there = installed(&folder);
            packages.iter().filter(|package| !there.contains(*package)).collect()
        }
    };
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    progress(Progress::Note(format!(
        "installing {names} for the local cloud; on AWS, the runtime {runtime} includes it"
    )));
    let installed = match Language::of(runtime) {
        Some(Language::Python) => {
            let temporary = folder.join(format!("{}.{}", interpreter.site(), std::process::id()));
            let mut command = Command::new(&interpreter.program);
            environment::clean(&mut command, &[]);
            // Compiled, because an environment cannot write here: without bytecode each cold start would compile it again.
            command
                .args(["-m", "pip", "install", "--no-warn-script-location"])
                .args(pip::QUIET)
                .arg("--target")
                .arg(&temporary)
                .arg(BOTO3);
            let done = run(command, DOING, "pip install boto3", pip::WITHOUT_PIP).await;
            done.and_then(|()| fs::rename(&temporary, folder.join(interpreter.site())).map_err(failed))
        }
        _ => {
            let manifest = folder.join("package.json");
            if !manifest.is_file() {
                fs::write(&manifest, "{\"private\":true}\n").map_err(failed)?;
            }
            let mut command = Command::new(interpreter::within(place.tools, "npm"));
            environment::clean(&mut command, &environment::users_configurations());
            command
                .arg("install")
                .args(place.ignore_scripts.then_some("--ignore-scripts"))
                .args(npm::QUIET)
                .args(missing.iter().map(|name| format!("{name}@{}", if *name == "aws-sdk" { 2 } else { 3 })))
                .current_dir(&folder);
            run(command, DOING, "npm install", npm::WITHOUT_NPM).await
        }
    };
    installed.map_err(|error| match error.help {
        None => error.help(
            "it is downloaded once from a package registry; code that declares it as a dependency does not need it",
        ),
        Some(_) => error,
    })
}

/// The packages that npm has finished installing in `folder`, from the record that it writes at the end.
fn installed(folder: &Path) -> BTreeSet<String> {
    let record = fs::read(folder.join("node_modules/.package-lock.json")).unwrap_or_default();
    let record: Value = serde_json::from_slice(&record).unwrap_or_default();
    let packages = record["packages"].as_object().into_iter().flatten();
    packages.filter_map(|(path, _)| Some(path.strip_prefix("node_modules/")?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported_by(runtime: &str, names: &[&str], source: &str) -> (Vec<String>, Vec<String>) {
        let sources = [source.as_bytes().to_vec()].into_iter();
        let language = Language::of(runtime).unwrap();
        let (found, notes) = imported(language, runtime, &names.iter().copied().collect(), sources);
        (found.into_iter().collect(), notes)
    }

    #[test]
    fn imports_of_the_sdk_are_found_in_every_form() {
        let source = r#"
            import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
            import '@smithy/protocol-http';
            const { X } = require ( '@aws-sdk/lib-dynamodb' );
            const late = await import(`@aws-sdk/client-s3/dist-cjs`);
            const text = "@aws-sdk/is-only-text";
        "#;
        let expected =
            ["@aws-sdk/client-dynamodb", "@aws-sdk/client-s3", "@aws-sdk/lib-dynamodb", "@smithy/protocol-http"];
        assert_eq!(imported_by("nodejs20.x", &["index.mjs"], source).0, expected);
        let brought = ["node_modules/@aws-sdk/client-dynamodb/package.json", "node_modules/@smithy/protocol-http/a.js"];
        assert_eq!(imported_by("nodejs20.x", &brought, source).0, ["@aws-sdk/client-s3", "@aws-sdk/lib-dynamodb"]);
    }

    #[test]
    fn each_release_includes_one_version_of_the_sdk() {
        let (two, three) = ("const AWS = require('aws-sdk');", "require('@aws-sdk/client-dynamodb')");
        for runtime in ["nodejs16.x", "nodejs8.10"] {
            assert_eq!(imported_by(runtime, &[], two), (vec!["aws-sdk".to_owned()], vec![]));
        }
        assert_eq!(imported_by("nodejs18.x", &[], three), (vec!["@aws-sdk/client-dynamodb".to_owned()], vec![]));
        for (runtime, source) in [("nodejs18.x", two), ("nodejs16.x", three), ("nodejs8.10", three)] {
            let (found, notes) = imported_by(runtime, &[], source);
            assert!(found.is_empty());
            assert_eq!(notes.len(), 1, "{notes:?}");
        }
        let brought = ["node_modules/aws-sdk/package.json"];
        assert_eq!(imported_by("nodejs20.x", &brought, "require('aws-sdk/clients/dynamodb')"), (vec![], vec![]));
    }

    #[test]
    fn boto3_is_found_unless_the_code_includes_it() {
        for source in ["import boto3", "import json, boto3", "    from botocore.exceptions import ClientError"] {
            assert_eq!(imported_by("python3.12", &["app.py"], source).0, ["boto3"], "{source}");
        }
        assert!(imported_by("python3.12", &["app.py"], "# import boto3\nimport boto34").0.is_empty());
        assert!(imported_by("python3.12", &["app.py", "boto3/__init__.py"], "import boto3").0.is_empty());
    }
}
