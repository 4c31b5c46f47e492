//! AWS::Serverless::LayerVersion: a version of a layer, whose logical id changes with its properties.

use serde_json::{Map, Value, json};

use super::super::intrinsics;
use super::expansion::Expansion;
use super::shape::{Property, Shape, truthy};
use super::{Type, location, versions};
use crate::core::words::{Path, Problem};

/// The properties, of which `Globals` can give one.
pub const TYPE: Type = Type {
    name: versions::LAYER,
    properties: &[
        Property::passed("CompatibleArchitectures", Shape::List).local(),
        Property::passed("CompatibleRuntimes", Shape::List).local(),
        Property::translated("ContentUri", Shape::TextOrMap).local(),
        Property::passed("Description", Shape::Text).local(),
        Property::passed("LayerName", Shape::TextOrMap).local(),
        Property::passed("LicenseInfo", Shape::Text).local(),
        // It is about the logical ids of versions of functions with AutoPublishAliasAllProperties.
        Property::translated("PublishLambdaVersion", Shape::Bool),
        Property::translated("RetentionPolicy", Shape::Text).local(),
    ],
    expand,
};

fn expand(expansion: &mut Expansion<'_>) {
    let mut layer = expansion.passed();
    // What the logical id's hash is of: the resource as SAM sees it.
    let mut hashed = expansion.resource.properties.clone();
    for name in ["LayerName", "LicenseInfo", "Description", "RetentionPolicy"] {
        let Some(value) = expansion.given(name) else { continue };
        let value = expansion.inline(name, &mut value.clone());
        if !value.is_string() && !value.is_object() {
            expansion.problem(name, format!("{name} must be a string: a parameter that it refers to is none"));
        }
        hashed.insert(name.to_owned(), value.clone());
        if layer.contains_key(name) {
            layer.insert(name.to_owned(), value);
        }
    }
    if layer.get("LayerName").is_none_or(|name| !truthy(name)) {
        layer.insert("LayerName".to_owned(), expansion.logical_id.into());
    }
    check_architectures(expansion);
    match expansion.get("ContentUri") {
        None => expansion.missing("ContentUri"),
        Some(uri) => {
            if let Some(content) = location::code_at(expansion, "ContentUri", uri) {
                layer.insert("Content".to_owned(), content);
            }
        }
    }
    layer.entry("Content").or_insert(Value::Null);
    let hashed = versions::hashed_layer(hashed);
    let id = format!("{}{}", expansion.logical_id, versions::hash(&as_seen(expansion, hashed)));
    expansion.note(Path::default().key("Resources").key(&id), &expansion.path());
    let content = Path::default().key("Resources").key(&id).key("Properties").key("Content");
    expansion.note(content, &expansion.place("ContentUri"));
    let retention = retention(expansion);
    expansion.make("AWS::Lambda::LayerVersion", layer);
    if let Some((made, resource)) = expansion.made.last_mut() {
        made.clone_from(&id);
        resource.deletion_policy = retention.or(resource.deletion_policy.take()).or_else(|| Some("Retain".to_owned()));
    }
    expansion.renamed.insert(expansion.logical_id.to_owned(), id);
}

/// The resource with these properties, as the translator sees it.
fn as_seen(expansion: &Expansion<'_>, properties: Map<String, Value>) -> Value {
    let resource = expansion.resource;
    let mut seen = json!({ "Type": TYPE.name, "Properties": properties });
    if let Some(condition) = &resource.condition {
        seen["Condition"] = condition.as_str().into();
    }
    if let Some(depends_on) = resource.depends_on.as_ref().filter(|ids| truthy(ids)) {
        seen["DependsOn"] = depends_on.clone();
    }
    json!({ expansion.logical_id: seen })
}

/// What `RetentionPolicy` says of the version's deletion.
fn retention(expansion: &mut Expansion<'_>) -> Option<String> {
    const PROPERTY: &str = "RetentionPolicy";
    let given = expansion.get(PROPERTY)?;
    let resolved = expansion.inline(PROPERTY, &mut given.clone());
    let known = ["Retain", "Delete"];
    let found = known.into_iter().find(|known| resolved.as_str().is_some_and(|text| text.eq_ignore_ascii_case(known)));
    if found.is_none() {
        let what = match intrinsics::call(&resolved) {
            Some(_) => "'RetentionPolicy' does not accept intrinsic functions: Retain or Delete",
            None => "'RetentionPolicy' must be Retain or Delete",
        };
        expansion.problem(PROPERTY, what);
    }
    found.map(str::to_owned)
}

fn check_architectures(expansion: &mut Expansion<'_>) {
    const PROPERTY: &str = "CompatibleArchitectures";
    let given = expansion.given(PROPERTY).and_then(Value::as_array).into_iter().flatten();
    let known = |value: &Value| intrinsics::call(value).is_some() || value == "x86_64" || value == "arm64";
    if let Some(index) = given.into_iter().position(|value| !known(value)) {
        let what = "CompatibleArchitectures needs to be a list of x86_64 or arm64";
        expansion.report(Problem::new(expansion.place(PROPERTY).index(index), what));
    }
}
