//! AWS::Serverless::LayerVersion: a layer version, whose logical id changes with everything that makes another version of it.

use serde_json::{Map, Value, json};

use super::super::{Resource, intrinsics};
use super::Type;
use super::expansion::{Expansion, made};
use super::function::location;
use super::shape::{Property, Shape, truthy};
use super::versions::hash;
use crate::core::words::{Path, Problem};

/// The properties, of which `Globals` can give one.
pub const TYPE: Type = Type {
    name: "AWS::Serverless::LayerVersion",
    properties: &[
        Property::passed("CompatibleArchitectures", Shape::List).local(),
        Property::passed("CompatibleRuntimes", Shape::List).local(),
        Property::translated("ContentUri", Shape::Any).local(),
        Property::translated("Description", Shape::Text).local(),
        Property::translated("LayerName", Shape::TextOrMap).local(),
        Property::translated("LicenseInfo", Shape::Text).local(),
        Property::translated("PublishLambdaVersion", Shape::Bool),
        Property::translated("RetentionPolicy", Shape::Text).local(),
    ],
    expand,
};

const POLICIES: &[&str] = &["Retain", "Delete"];

fn expand(expansion: &mut Expansion<'_>) {
    let mut layer = expansion.passed();
    let mut declared = expansion.resource.properties.clone();
    for name in ["LayerName", "LicenseInfo", "Description", "RetentionPolicy"] {
        if let Some(value) = expansion.get(name) {
            let mut value = value.clone();
            let resolved = expansion.inline(name, &mut value);
            declared.insert(name.to_owned(), resolved);
        }
    }
    let policy = retention_policy(expansion, declared.get("RetentionPolicy"));
    check_architectures(expansion);
    for name in ["Description", "LicenseInfo"] {
        layer.extend(declared.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    // With every change of the logical id, the name is all that stays.
    let name = declared.get("LayerName").filter(|name| truthy(name)).cloned();
    layer.insert("LayerName".to_owned(), name.unwrap_or_else(|| expansion.logical_id.into()));
    let content = content(expansion);
    layer.insert("Content".to_owned(), content.unwrap_or_default());
    let id = format!("{}{}", expansion.logical_id, hash(&hashed(expansion, &declared)));
    expansion.note(Path::default().key("Resources").key(&id), &expansion.path());
    expansion.note(made(&id).key("Content"), &expansion.place("ContentUri"));
    let resource = Resource {
        type_name: "AWS::Lambda::LayerVersion".to_owned(),
        properties: layer,
        depends_on: expansion.resource.depends_on.clone().filter(truthy),
        deletion_policy: policy.or_else(|| Some("Retain".to_owned())),
        ignore_globals: None,
        ..expansion.resource.clone()
    };
    expansion.references.insert((expansion.logical_id.to_owned(), String::new()), id.clone());
    expansion.made.push((id, resource));
}

/// The resource as SAM hashes it: without what does not make another version.
fn hashed(expansion: &Expansion<'_>, declared: &Map<String, Value>) -> Value {
    let mut resource = json!({ "Type": expansion.known.name, "Properties": declared });
    if let Some(condition) = &expansion.resource.condition {
        resource["Condition"] = condition.as_str().into();
    }
    if let Some(depends_on) = expansion.resource.depends_on.as_ref().filter(|value| truthy(value)) {
        resource["DependsOn"] = depends_on.clone();
    }
    json!({ (expansion.logical_id): resource })
}

/// `Content`: an S3 object, or a local path.
fn content(expansion: &mut Expansion<'_>) -> Option<Value> {
    let Some(uri) = expansion.given("ContentUri") else {
        expansion.missing("ContentUri");
        return None;
    };
    location("ContentUri", uri).map_err(|what| expansion.problem("ContentUri", what)).ok()
}

/// What becomes of a version that is no longer described: what the resource says, or its declaration does.
fn retention_policy(expansion: &mut Expansion<'_>, given: Option<&Value>) -> Option<String> {
    let what = match given {
        None => return expansion.resource.deletion_policy.clone(),
        Some(Value::String(given)) => {
            if let Some(known) = POLICIES.iter().find(|known| known.eq_ignore_ascii_case(given)) {
                return Some((*known).to_owned());
            }
            "'RetentionPolicy' must be Retain or Delete"
        }
        Some(_) => "'RetentionPolicy' must be Retain or Delete; an intrinsic function is not supported here",
    };
    expansion.problem("RetentionPolicy", what);
    None
}

fn check_architectures(expansion: &mut Expansion<'_>) {
    let given = expansion.get("CompatibleArchitectures").and_then(Value::as_array);
    for (index, architecture) in given.into_iter().flatten().enumerate() {
        if intrinsics::call(architecture).is_none() && architecture != "arm64" && architecture != "x86_64" {
            let place = expansion.place("CompatibleArchitectures").index(index);
            let what = format!("CompatibleArchitectures takes arm64 and x86_64, not {architecture}");
            expansion.report(Problem::new(place, what));
        }
    }
}
