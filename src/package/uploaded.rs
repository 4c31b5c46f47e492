//! Code that a template has in S3, looked for on this machine: in the folders where the tool that wrote the template
//! left what it uploads.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::is_zip;
use crate::core::stack::Uploaded;

/// The folder that the Serverless Framework packages into; the service is the folder above.
const SERVERLESS: &str = ".serverless";

/// The names of a service's own file, of those that are data (`serverless.js` and `serverless.ts` are programs).
const SERVICE: &[&str] = &["serverless.yml", "serverless.yaml", "serverless.json"];

/// The CDK's folder for templates and assets, in the app's folder.
const CDK: &str = "cdk.out";

/// The folder or zip that was `uploaded` by the tool which wrote the template in the folder `template`. In this order:
///
/// - the CDK's asset, beside the template or in `cdk.out` (`cdk synth > template.yaml`), by the path in the function's
///   metadata, by the key in a manifest of assets (`Chat.assets.json`), or by its hash in the key;
/// - an artifact of the Serverless Framework's (`package.artifact`), by its state file or the service's own file;
/// - a zip with the name of the object, or that name and `.zip`, beside the template or, if that is the Framework's, in the service.
///
/// A folder is taken only where one of these tools names it: its name alone says too little.
pub fn find(template: &Path, uploaded: &Uploaded) -> Option<PathBuf> {
    let name = uploaded.name();
    let outputs = || [template.to_owned(), template.join(CDK)].into_iter();
    let assets = uploaded.asset.iter().flat_map(|asset| outputs().map(move |folder| folder.join(asset)));
    // An asset by its hash: the CDK's name of the object is that, too.
    let hash = name.strip_suffix(".zip").filter(|hash| hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()));
    let hashed = outputs().flat_map(|folder| {
        let names = hash.map(|hash| [format!("asset.{hash}"), format!("asset.{hash}.zip")]);
        names.into_iter().flatten().map(move |name| folder.join(name))
    });
    let listed = outputs().flat_map(|folder| by_manifests(&folder, &uploaded.key));
    let beside = [template.join(name), template.join(format!("{name}.zip"))].into_iter();
    let of_service = service(template).map(|service| service.join(name));
    let is_zip_file = |path: &PathBuf| path.is_file() && is_zip(path);
    let mut named = assets.chain(listed).chain(hashed).chain(artifacts(template, name));
    let found = named.find(|path| path.is_dir() || is_zip_file(path));
    found.or_else(|| beside.chain(of_service).find(is_zip_file))
}

/// What the CDK's manifests of assets in `folder` upload under a key.
fn by_manifests(folder: &Path, key: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut manifests: Vec<PathBuf> = names.filter(|path| path.to_string_lossy().ends_with(".assets.json")).collect();
    manifests.sort();
    let manifests = manifests.iter().filter_map(|path| json(path));
    let paths = manifests.flat_map(|manifest| {
        let files: Vec<Value> =
            manifest["files"].as_object().into_iter().flat_map(|files| files.values()).cloned().collect();
        files.into_iter().filter_map(|file| {
            let mut destinations = file["destinations"].as_object()?.values();
            let path = file["source"]["path"].as_str()?;
            destinations.any(|destination| destination["objectKey"] == key).then(|| folder.join(path))
        })
    });
    paths.collect()
}

/// The folder of the service whose compiled template is in `template`.
fn service(template: &Path) -> Option<&Path> {
    template.parent().filter(|_| template.ends_with(SERVERLESS))
}

/// The artifacts of this name that belong to a service whose compiled template is in `template`. The state file names those of
/// functions; of the whole service's it keeps only the last part of the path, which stands in the service's own file.
fn artifacts(template: &Path, name: &str) -> Vec<PathBuf> {
    let Some(service) = service(template) else { return Vec::new() };
    let state = json(&template.join("serverless-state.json")).unwrap_or_default();
    let functions = state["service"]["functions"].as_object().into_iter().flat_map(|functions| functions.values());
    let packages = functions.map(|function| &function["package"]).chain([&state["service"]["package"]]);
    let artifacts = packages.filter_map(|package| package["artifact"].as_str());
    let written = SERVICE.iter().find_map(|name| {
        let whole: serde_yaml::Value = serde_yaml::from_slice(&fs::read(service.join(name)).ok()?).ok()?;
        whole.get("package")?.get("artifact")?.as_str().map(str::to_owned)
    });
    let artifacts = artifacts.map(str::to_owned).chain(written);
    artifacts.map(|artifact| service.join(artifact)).filter(|path| path.ends_with(name)).collect()
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uploaded(key: &str, asset: Option<&str>) -> Uploaded {
        Uploaded { bucket: None, key: key.to_owned(), version: None, asset: asset.map(str::to_owned) }
    }

    #[test]
    fn code_is_found_where_each_tool_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("app/.serverless/chat.zip", "");
        write(
            "app/.serverless/serverless-state.json",
            r#"{"service": {"functions": {"f": {"package": {"artifact": "bin/own.zip"}}}}}"#,
        );
        write("app/bin/own.zip", "");
        write(
            "app/serverless.yml",
            "package:\n  artifact: target/whole.zip\nresources:\n  Outputs: {Api: {Value: !Ref WebsocketsApi}}\n",
        );
        write("app/target/whole.zip", "");
        write("app/target/other.zip", "");
        write("app/.serverless/own.zip", "");
        write("sam/folder/index.js", "");
        write("app/above.zip", "");
        write("cdk/cdk.out/asset.1/index.js", "");
        write("cdk/cdk.out/asset.2.zip", "");
        write("cdk/cdk.out/text.json", "");
        let file = |path: &str, key: &str| {
            format!(r#"{{"source": {{"path": "{path}"}}, "destinations": {{"d": {{"objectKey": "{key}"}}}}}}"#)
        };
        let files = format!(
            r#"{{"files": {{"1": {}, "2": {}, "3": {}}}}}"#,
            file("asset.1", "1.zip"),
            file("asset.2.zip", "x/2.zip"),
            file("text.json", "text.json")
        );
        write("cdk/cdk.out/Chat.assets.json", &files);
        write("cdk/cdk.out/Broken.assets.json", "{");
        write("sam/0123abcd.zip", "");
        for (template, code, expected) in [
            ("app/.serverless", uploaded("serverless/chat/dev/1-x/chat.zip", None), Some("app/.serverless/chat.zip")),
            ("app/.serverless", uploaded("serverless/chat/dev/1-x/own.zip", None), Some("app/bin/own.zip")),
            ("app/.serverless", uploaded("serverless/chat/dev/1-x/whole.zip", None), Some("app/target/whole.zip")),
            ("app/.serverless", uploaded("serverless/chat/dev/1-x/other.zip", None), None),
            ("app/.serverless", uploaded("serverless/chat/dev/1-x/above.zip", None), Some("app/above.zip")),
            ("app/.serverless", uploaded("serverless/chat/dev/1-x/gone.zip", None), None),
            // Only what the Framework compiles belongs to the folder above.
            ("app/bin", uploaded("above.zip", None), None),
            ("cdk/cdk.out", uploaded("1.zip", None), Some("cdk/cdk.out/asset.1")),
            ("cdk/cdk.out", uploaded("x/2.zip", None), Some("cdk/cdk.out/asset.2.zip")),
            ("cdk/cdk.out", uploaded("2.zip", None), None),
            ("cdk/cdk.out", uploaded("text.json", None), None),
            ("cdk/cdk.out", uploaded("other.zip", Some("asset.1")), Some("cdk/cdk.out/asset.1")),
            ("cdk", uploaded("other.zip", Some("asset.1")), Some("cdk/cdk.out/asset.1")),
            ("cdk", uploaded("1.zip", Some("asset.gone")), Some("cdk/cdk.out/asset.1")),
            ("sam", uploaded("0123abcd", None), Some("sam/0123abcd.zip")),
            ("sam", uploaded("x/folder", None), None),
            ("nowhere", uploaded("a.zip", None), None),
        ] {
            assert_eq!(find(&root.join(template), &code), expected.map(|path| root.join(path)), "{template} {code:?}");
        }
    }
}
