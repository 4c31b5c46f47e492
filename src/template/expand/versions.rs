//! `AutoPublishAlias`: a version for each state of the code, and an alias that points to the newest.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use super::expansion::Expansion;
use super::shape::truthy;
use crate::diagnostic::Problem;

/// Makes a version and an alias of `function` (its properties so far), if the resource asks for them. What SAM puts into
/// the function on that way is put in.
pub fn publish(expansion: &mut Expansion<'_>, function: &mut Map<String, Value>) {
    for (property, needed) in [("VersionDeletionPolicy", false), ("ProvisionedConcurrencyConfig", true)] {
        let given = if needed { expansion.given(property) } else { expansion.get(property) };
        if given.is_some() && expansion.given("AutoPublishAlias").is_none() {
            let what = format!("{property} says something about versions, so it requires AutoPublishAlias");
            expansion.report(Problem::of_key(expansion.place(property), what));
        }
    }
    let Some(alias) = expansion.given("AutoPublishAlias") else { return };
    let alias = expansion.inline("AutoPublishAlias", &mut alias.clone());
    let Value::String(alias) = alias else {
        expansion.problem("AutoPublishAlias", "'AutoPublishAlias' must be a string or a Ref to a template parameter");
        return;
    };
    if alias.is_empty() {
        expansion.problem("AutoPublishAlias", "the name of the alias is empty");
        return;
    }
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if !alias.chars().all(allowed) || alias.chars().all(|letter| letter.is_ascii_digit()) {
        let what =
            format!("the AutoPublishAlias name ('{alias}') may have letters, digits, hyphens and underscores, and");
        expansion.problem("AutoPublishAlias", format!("{what} not digits alone"));
        return;
    }
    let given_hash = match given_hash(expansion) {
        Ok(hash) => hash,
        Err(()) => return,
    };
    if let Some(hash) = &given_hash {
        describe(expansion, function, hash);
    }
    let suffix = suffix(expansion, function, given_hash.as_deref());
    let version_id = format!("{}Version{suffix}", expansion.logical_id);
    let alias_id = format!("{}Alias{}", expansion.logical_id, alias.replace('-', "D").replace('_', "U"));

    let name = json!({ "Ref": expansion.logical_id });
    let mut properties = json!({ "FunctionName": name });
    if let Some(description) = expansion.get("VersionDescription") {
        properties["Description"] = description.clone();
    }
    let mut version = expansion.beside(Some("AutoPublishAlias"), &version_id, "AWS::Lambda::Version", properties);
    let policy = expansion.get("VersionDeletionPolicy");
    if policy.is_some_and(Value::is_object) {
        let what = "VersionDeletionPolicy must be Delete or Retain itself, no function that gives it";
        expansion.problem("VersionDeletionPolicy", what);
    }
    version.deletion_policy =
        version.deletion_policy.or_else(|| Some(policy.and_then(Value::as_str).unwrap_or("Retain").to_owned()));

    let mut properties = json!({
        "Name": alias,
        "FunctionName": name,
        "FunctionVersion": { "Fn::GetAtt": [version_id, "Version"] },
    });
    if let Some(config) = expansion.given("ProvisionedConcurrencyConfig") {
        properties["ProvisionedConcurrencyConfig"] = config.clone();
    }
    let alias = expansion.beside(Some("AutoPublishAlias"), &alias_id, "AWS::Lambda::Alias", properties);
    for (id, property) in [(&alias_id, "ProvisionedConcurrencyConfig"), (&version_id, "Description")] {
        let written = if property == "Description" { "VersionDescription" } else { property };
        let made = crate::diagnostic::Path::default().key("Resources").key(id).key("Properties").key(property);
        expansion.note(made, &expansion.place(written));
    }
    for (property, id, resource) in [("Version", version_id, version), ("Alias", alias_id, alias)] {
        expansion.references.insert((expansion.logical_id.to_owned(), property.to_owned()), id.clone());
        expansion.made.push((id, resource));
    }
}

/// The hash that the user gives for the code.
fn given_hash(expansion: &mut Expansion<'_>) -> Result<Option<String>, ()> {
    const PROPERTY: &str = "AutoPublishCodeSha256";
    let Some(given) = expansion.given(PROPERTY) else { return Ok(None) };
    match expansion.inline(PROPERTY, &mut given.clone()) {
        Value::String(hash) if hash.is_empty() => Ok(None),
        // It becomes part of a logical id.
        Value::String(hash) if hash.chars().take(HASH_LENGTH).all(|letter| letter.is_ascii_alphanumeric()) => {
            Ok(Some(hash))
        }
        Value::String(_) => {
            let what = format!(
                "the first {HASH_LENGTH} characters of {PROPERTY} become part of a logical id: they must be alphanumeric"
            );
            expansion.problem(PROPERTY, what);
            Err(())
        }
        _ => {
            expansion.problem(PROPERTY, format!("{PROPERTY} must be a string"));
            Err(())
        }
    }
}

/// Puts the code's hash into the function's description: Lambda makes no version of what has not changed.
fn describe(expansion: &mut Expansion<'_>, function: &mut Map<String, Value>, hash: &str) {
    let mut written = function.get("Description").cloned().unwrap_or_default();
    let description = match expansion.inline("Description", &mut written) {
        Value::String(text) if !text.is_empty() => format!("{text} {hash}").into(),
        other if truthy(&other) => json!({ "Fn::Join": [" ", [other, hash]] }),
        _ => hash.into(),
    };
    function.insert("Description".to_owned(), description);
}

/// How many characters of a hash go into a logical id.
const HASH_LENGTH: usize = 10;

/// What tells this version's logical id from the next one's: a hash over what should bring forth a new version.
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
        all.into()
    } else {
        let mut hashed = address(&resolved);
        if let Some(Value::Object(environment)) = expansion.given("Environment") {
            for (key, value) in environment {
                hashed[key] = value.clone();
            }
        }
        for (name, value) in
            [("MemorySize", expansion.given("MemorySize")), ("SnapStart", expansion.given("SnapStart"))]
        {
            match value {
                Some(value) if name == "MemorySize" || value.get("ApplyOn").is_some_and(|on| on != "None") => {
                    hashed[name] = value.clone();
                }
                _ => {}
            }
        }
        hashed
    };
    let mut text = String::new();
    python_json(&hashed, &mut text);
    hex::encode(Sha1::digest(text)).chars().take(HASH_LENGTH).collect()
}

/// `Code` as SAM hashes it. Local code has no address yet, since it is uploaded later: its path stands for it.
fn address(code: &Value) -> Value {
    match code {
        Value::String(path) => json!({ "S3Bucket": "local", "S3Key": path }),
        code => code.clone(),
    }
}

/// `value` as Python's `json.dumps` writes it with `sort_keys` and without blanks.
fn python_json(value: &Value, text: &mut String) {
    let string = |value: &str, text: &mut String| {
        text.push('"');
        for letter in value.chars() {
            match letter {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                ' '..='~' => text.push(letter),
                _ => {
                    for unit in letter.encode_utf16(&mut [0; 2]) {
                        let _ = write!(text, "\\u{unit:04x}");
                    }
                }
            }
        }
        text.push('"');
    };
    match value {
        Value::String(value) => string(value, text),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                python_json(item, text);
            }
            text.push(']');
        }
        Value::Object(entries) => {
            let mut entries: Vec<(&String, &Value)> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                string(key, text);
                text.push(':');
                python_json(value, text);
            }
            text.push('}');
        }
        scalar => {
            let _ = write!(text, "{scalar}");
        }
    }
}
