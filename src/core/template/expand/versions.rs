//! `AutoPublishAlias`: a version for each state of the code, and an alias that points to the newest.

use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use super::super::Resource;
use super::expansion::{Expansion, made};
use super::python;
use super::shape::truthy;
use crate::core::words::{Problem, ProblemKind};

/// Creates a version and an alias of `function` (its properties so far), if the resource requests them. Changes
/// `function` as SAM does for that. Returns the alias's name and its logical id.
pub fn publish(expansion: &mut Expansion<'_>, function: &mut Map<String, Value>) -> Option<(String, String)> {
    let named = expansion.get("AutoPublishAlias").is_some();
    let published = expansion.given("AutoPublishAlias").is_some();
    for (property, missing) in [
        ("VersionDeletionPolicy", expansion.get("VersionDeletionPolicy").is_some() && !named),
        ("ProvisionedConcurrencyConfig", expansion.given("ProvisionedConcurrencyConfig").is_some() && !published),
    ] {
        if missing {
            let what = format!("{property} requires AutoPublishAlias");
            expansion.report(Problem::of_key(expansion.place(property), what).kind(ProblemKind::Missing));
        }
    }
    if !published {
        return None;
    }
    let Some((name, hash)) = alias_name(expansion).and_then(|name| Some((name, given_hash(expansion)?))) else {
        // References to them are no further mistake.
        for property in ["Alias", "Version"] {
            expansion.template.broken.insert(format!("{}.{property}", expansion.logical_id));
        }
        return None;
    };
    if let Some(hash) = &hash {
        describe(expansion, function, hash);
    }
    let suffix = suffix(expansion, function, hash.as_deref());
    let version_id = format!("{}Version{suffix}", expansion.logical_id);
    let alias_id = format!("{}Alias{}", expansion.logical_id, name.replace('-', "D").replace('_', "U"));
    let version = version(expansion, &version_id);
    let alias = alias(expansion, &alias_id, &name, &version_id);
    for (property, id, resource) in [("Version", version_id, version), ("Alias", alias_id.clone(), alias)] {
        expansion.references.insert((expansion.logical_id.to_owned(), property.to_owned()), id.clone());
        expansion.made.push((id, resource));
    }
    Some((name, alias_id))
}

/// The alias's name.
fn alias_name(expansion: &mut Expansion<'_>) -> Option<String> {
    const PROPERTY: &str = "AutoPublishAlias";
    let mut name = expansion.get(PROPERTY)?.clone();
    let Value::String(name) = expansion.inline(PROPERTY, &mut name) else {
        expansion.problem(PROPERTY, "'AutoPublishAlias' must be a string or a Ref to a template parameter");
        return None;
    };
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let what = if name.is_empty() {
        "the name of the alias is empty".to_owned()
    } else if !name.chars().all(allowed) {
        format!("the AutoPublishAlias name ('{name}') may have letters, digits, hyphens and underscores only")
    } else if name.chars().all(|letter| letter.is_ascii_digit()) {
        format!("the AutoPublishAlias name ('{name}') may not be digits alone, as versions are")
    } else {
        return Some(name);
    };
    expansion.problem(PROPERTY, what);
    None
}

/// The version.
fn version(expansion: &mut Expansion<'_>, id: &str) -> Resource {
    let mut properties = json!({ "FunctionName": { "Ref": expansion.logical_id } });
    if let Some(description) = expansion.get("VersionDescription") {
        properties["Description"] = description.clone();
    }
    let mut version = expansion.extra_resource(Some("AutoPublishAlias"), id, "AWS::Lambda::Version", properties);
    expansion.note(made(id).key("Description"), &expansion.place("VersionDescription"));
    let policy = expansion.get("VersionDeletionPolicy");
    if policy.is_some_and(Value::is_object) {
        let what = "VersionDeletionPolicy must be Delete or Retain; an intrinsic function is not supported here";
        expansion.problem("VersionDeletionPolicy", what);
    }
    let policy = policy.and_then(Value::as_str).unwrap_or("Retain");
    version.deletion_policy.get_or_insert_with(|| policy.to_owned());
    version
}

/// The alias, which points to the version `version_id`.
fn alias(expansion: &mut Expansion<'_>, id: &str, name: &str, version_id: &str) -> Resource {
    let mut properties = json!({
        "Name": name,
        "FunctionName": { "Ref": expansion.logical_id },
        "FunctionVersion": { "Fn::GetAtt": [version_id, "Version"] },
    });
    if let Some(config) = expansion.given("ProvisionedConcurrencyConfig") {
        properties["ProvisionedConcurrencyConfig"] = config.clone();
    }
    let alias = expansion.extra_resource(Some("AutoPublishAlias"), id, "AWS::Lambda::Alias", properties);
    let provisioned = expansion.place("ProvisionedConcurrencyConfig");
    expansion.note(made(id).key("ProvisionedConcurrencyConfig"), &provisioned);
    alias
}

/// The code's hash as the user gives it, if any; `None` if it is invalid.
fn given_hash(expansion: &mut Expansion<'_>) -> Option<Option<String>> {
    const PROPERTY: &str = "AutoPublishCodeSha256";
    let Some(given) = expansion.given(PROPERTY) else { return Some(None) };
    let what = match expansion.inline(PROPERTY, &mut given.clone()) {
        Value::String(hash) if hash.is_empty() => return Some(None),
        Value::String(hash) if hash.chars().take(HASH_LENGTH).all(|letter| letter.is_ascii_alphanumeric()) => {
            return Some(Some(hash));
        }
        Value::String(_) => format!(
            "the first {HASH_LENGTH} characters of {PROPERTY} become part of a logical id: they must be alphanumeric"
        ),
        _ => format!("{PROPERTY} must be a string"),
    };
    expansion.problem(PROPERTY, what);
    None
}

/// Puts the code's hash into the function's description: Lambda publishes no version of an unchanged function.
fn describe(expansion: &mut Expansion<'_>, function: &mut Map<String, Value>, hash: &str) {
    let mut written = function.get("Description").cloned().unwrap_or_default();
    let description = match expansion.inline("Description", &mut written) {
        Value::String(text) if !text.is_empty() => format!("{text} {hash}").into(),
        other if truthy(&other) => json!({ "Fn::Join": [" ", [other, hash]] }),
        _ => hash.into(),
    };
    function.insert("Description".to_owned(), description);
}

/// How many characters of a hash a logical id has.
const HASH_LENGTH: usize = 10;

/// What SAM puts into a logical id that shall change when `value` does.
pub fn hash(value: &Value) -> String {
    hash_of_text(&python::compact(value))
}

/// As `hash`, of a text.
pub fn hash_of_text(text: &str) -> String {
    hex::encode(Sha1::digest(text)).chars().take(HASH_LENGTH).collect()
}

/// The whole hash of `value`.
pub fn digest(value: &Value) -> String {
    hex::encode(Sha1::digest(python::compact(value)))
}

/// The suffix that makes this version's logical id unique: a hash over everything that requires a new version.
fn suffix(expansion: &mut Expansion<'_>, function: &mut Map<String, Value>, given: Option<&str>) -> String {
    let mut code = function.get("Code").cloned().unwrap_or_default();
    let resolved = expansion.inline("Code", &mut code);
    function.insert("Code".to_owned(), code);
    if let Some(hash) = given {
        return hash.chars().take(HASH_LENGTH).collect();
    }
    let hashed = if expansion.get("AutoPublishAliasAllProperties") == Some(&Value::Bool(true)) {
        let mut all = function.clone();
        all.insert("Code".to_owned(), address(&resolved));
        all.extend(layers(expansion, function));
        all.into()
    } else {
        let mut hashed = address(&resolved);
        if let Some(Value::Object(environment)) = expansion.given("Environment") {
            for (key, value) in environment {
                hashed[key] = value.clone();
            }
        }
        if let Some(size) = expansion.given("MemorySize") {
            hashed["MemorySize"] = size.clone();
        }
        let snap_start = expansion.given("SnapStart");
        if let Some(snap_start) = snap_start.filter(|snap| snap.get("ApplyOn").is_some_and(|on| on != "None")) {
            hashed["SnapStart"] = snap_start.clone();
        }
        hashed
    };
    hash(&hashed)
}

/// SAM's type of layers.
pub const LAYER: &str = "AWS::Serverless::LayerVersion";

/// A layer's properties in the form that SAM hashes: local content has no S3 address yet, since it is uploaded later.
pub fn hashed_layer(mut properties: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::String(path)) = properties.get("ContentUri")
        && !path.starts_with("s3://")
    {
        let address = format!("s3://local/{path}");
        properties.insert("ContentUri".to_owned(), address.into());
    }
    properties
}

/// The hash in the logical ids of resources that SAM creates for `value`; empty for what SAM treats as not given.
pub fn logical_hash(value: &Value) -> String {
    match value {
        value if !truthy(value) => String::new(),
        Value::String(text) => hash_of_text(text),
        value => hash(value),
    }
}

/// The layers of the template that `function` has and that want a new version of it with each of their own: their
/// properties, by logical id.
fn layers(expansion: &Expansion<'_>, function: &Map<String, Value>) -> Map<String, Value> {
    let listed = function.get("Layers").and_then(Value::as_array).into_iter().flatten();
    let wanted = listed.filter_map(|layer| {
        let id = layer.get("Ref")?.as_str()?;
        let layer = expansion.template.resources.get(id).filter(|layer| layer.type_name == LAYER)?;
        let wants = layer.properties.get("PublishLambdaVersion").is_some_and(truthy);
        wants.then(|| (id.to_owned(), hashed_layer(layer.properties.clone()).into()))
    });
    wanted.collect()
}

/// `Code` in the form that SAM hashes. Local code has no S3 address yet, since it is uploaded later: its path is
/// hashed.
fn address(code: &Value) -> Value {
    match code {
        Value::String(path) => json!({ "S3Bucket": "local", "S3Key": path }),
        code => code.clone(),
    }
}
