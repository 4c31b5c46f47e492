//! A CDK app as `cdk synth` leaves it: a folder with a manifest, and a template for each stack.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::core::words::nearest;

/// The file that makes a folder such an app.
const MANIFEST: &str = "manifest.json";

/// Apps within apps are folders in folders; the CDK itself has no more than a few.
const DEEPEST: usize = 16;

/// The stacks of an app, each after those that it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembly {
    folder: PathBuf,
    pub stacks: Vec<AssemblyStack>,
}

/// One stack of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssemblyStack {
    /// The stack's name in CloudFormation.
    pub name: String,
    /// What the CDK calls it: the name, or the path of a stack in a stage (`Prod/Socket`).
    pub display_name: String,
    pub template: PathBuf,
    /// The account and the region that it was synthesised for, where the app says which.
    pub account: Option<String>,
    pub region: Option<String>,
}

/// Why there is no stack: a sentence, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoStack {
    pub what: String,
    pub help: Option<String>,
}

/// A stack with the ids of what must be deployed before it.
struct Found {
    id: String,
    after: BTreeSet<String>,
    stack: AssemblyStack,
}

impl Assembly {
    /// Whether a folder is a synthesised app.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(MANIFEST).is_file()
    }

    /// Reads the app in a folder.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn read(folder: &Path) -> Result<Self, NoStack> {
        let mut found = Vec::new();
        collect(folder, &mut found, 0)?;
        let mut stacks = Vec::new();
        let ids: BTreeSet<String> = found.iter().map(|one| one.id.clone()).collect();
        let mut done = BTreeSet::new();
        while !found.is_empty() {
            let is_next = |one: &Found| one.after.iter().all(|id| done.contains(id) || !ids.contains(id));
            // The CDK refuses circles; of one that was written by hand the order is as good as any.
            let next = found.remove(found.iter().position(is_next).unwrap_or(0));
            done.insert(next.id);
            stacks.push(next.stack);
        }
        Ok(Self { folder: folder.to_owned(), stacks })
    }

    /// The stack that is `wanted`, by its name; without one, the only one.
    ///
    /// # Errors
    /// There are several, or none of that name.
    pub fn stack(&self, wanted: Option<&str>) -> Result<&AssemblyStack, NoStack> {
        let shown = self.folder.display();
        let names: Vec<&str> = self.stacks.iter().map(|stack| stack.name.as_str()).collect();
        let several = || {
            let options: Vec<String> = names.iter().map(|name| format!("  --stack {name}")).collect();
            format!("say which, each after those that it depends on:\n{}", options.join("\n"))
        };
        match (self.stacks.as_slice(), wanted) {
            ([], _) => Err(NoStack { what: format!("{shown} has no stacks"), help: None }),
            // A single stack can be deployed under any name.
            ([only], _) => Ok(only),
            (stacks, Some(wanted)) => {
                let is_it = |stack: &&AssemblyStack| stack.name == wanted || stack.display_name == wanted;
                stacks.iter().find(is_it).ok_or_else(|| {
                    let help = match nearest(wanted, &names) {
                        Some(near) => format!(
                            "did you mean {near}? (To deploy one under another name, name its file with --template.)"
                        ),
                        None => {
                            format!("{}\nTo deploy one under another name, name its file with --template.", several())
                        }
                    };
                    NoStack { what: format!("{shown} has no stack \"{wanted}\""), help: Some(help) }
                })
            }
            (stacks, None) => {
                Err(NoStack { what: format!("{shown} has {} stacks", stacks.len()), help: Some(several()) })
            }
        }
    }
}

fn collect(folder: &Path, found: &mut Vec<Found>, depth: usize) -> Result<(), NoStack> {
    let path = folder.join(MANIFEST);
    let unread = |why: String| NoStack {
        what: format!("{} cannot be read: {why}", path.display()),
        help: Some("it is what `cdk synth` writes: run it again".to_owned()),
    };
    let text = fs::read(&path).map_err(|error| unread(error.to_string()))?;
    let manifest: Value = serde_json::from_slice(&text).map_err(|error| unread(error.to_string()))?;
    let artifacts = manifest["artifacts"].as_object().ok_or_else(|| unread("it has no artifacts".to_owned()))?;
    for (id, artifact) in artifacts {
        let properties = &artifact["properties"];
        match artifact["type"].as_str() {
            Some("aws:cloudformation:stack") => {
                let file =
                    properties["templateFile"].as_str().ok_or_else(|| unread(format!("{id} has no template")))?;
                let name = properties["stackName"].as_str().unwrap_or(id);
                let after = artifact["dependencies"].as_array().into_iter().flatten().filter_map(Value::as_str);
                // aws://ACCOUNT/REGION
                let environment = artifact["environment"].as_str().unwrap_or_default().trim_start_matches("aws://");
                let (account, region) = environment.split_once('/').unwrap_or_default();
                let known = |part: &str| (!part.is_empty() && !part.starts_with("unknown-")).then(|| part.to_owned());
                let stack = AssemblyStack {
                    account: known(account),
                    region: known(region),
                    name: name.to_owned(),
                    display_name: artifact["displayName"].as_str().unwrap_or(name).to_owned(),
                    template: folder.join(file),
                };
                found.push(Found { id: id.clone(), after: after.map(str::to_owned).collect(), stack });
            }
            Some("cdk:cloud-assembly") if depth < DEEPEST => {
                if let Some(below) = properties["directoryName"].as_str() {
                    collect(&folder.join(below), found, depth + 1)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stack(template: &str, after: &[&str]) -> Value {
        json!({"type": "aws:cloudformation:stack", "properties": {"templateFile": template}, "dependencies": after})
    }

    fn app(manifests: &[(&str, Value)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (below, artifacts) in manifests {
            let below = folder.path().join(below);
            fs::create_dir_all(&below).unwrap();
            fs::write(below.join(MANIFEST), json!({ "version": "55.0.0", "artifacts": artifacts }).to_string())
                .unwrap();
        }
        folder
    }

    #[test]
    fn stacks_come_after_those_that_they_depend_on() {
        let mut named = stack("Socket.template.json", &["Data", "Socket.assets"]);
        named["environment"] = "aws://123456789012/unknown-region".into();
        named["properties"]["stackName"] = "chat-socket".into();
        let folder = app(&[
            (
                "",
                json!({
                    "Socket": named,
                    "Data": stack("Data.template.json", &["Data.assets"]),
                    "Data.assets": {"type": "cdk:asset-manifest"},
                    "assembly-Prod": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "assembly-Prod"}},
                }),
            ),
            ("assembly-Prod", json!({"ProdChat": stack("ProdChat.template.json", &[])})),
        ]);
        let app = Assembly::read(folder.path()).unwrap();
        let names: Vec<&str> = app.stacks.iter().map(|stack| stack.name.as_str()).collect();
        assert_eq!(names, ["Data", "chat-socket", "ProdChat"]);
        assert_eq!(
            app.stack(Some("ProdChat")).unwrap().template,
            folder.path().join("assembly-Prod/ProdChat.template.json")
        );
        let socket = app.stack(Some("chat-socket")).unwrap();
        assert_eq!((socket.account.as_deref(), socket.region.as_deref()), (Some("123456789012"), None));
        let several = app.stack(None).unwrap_err();
        assert!(several.what.ends_with("has 3 stacks"), "{several:?}");
        assert!(several.help.unwrap().ends_with("  --stack Data\n  --stack chat-socket\n  --stack ProdChat"));
        assert!(app.stack(Some("Dta")).unwrap_err().help.unwrap().starts_with("did you mean Data?"));
    }

    #[test]
    fn a_single_stack_is_taken_under_any_name() {
        let folder = app(&[("", json!({"Chat": stack("Chat.template.json", &[])}))]);
        let app = Assembly::read(folder.path()).unwrap();
        assert_eq!(app.stack(Some("other")).unwrap().name, "Chat");
        assert!(Assembly::is_in(folder.path()));
        assert!(Assembly::read(&folder.path().join("none")).unwrap_err().what.contains("manifest.json cannot be read"));
    }
}
