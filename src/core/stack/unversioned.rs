//! Dynamic references without a version in the properties of a template, as it is written: CloudFormation reads them again when it
//! updates the resource that has them. (User guide, "dynamic-references".)

use serde_json::Value;

use super::lookups::{BEGIN, Lookup};

/// A property with such references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unversioned {
    /// `Environment.Variables.ORIGIN`, down to the first list.
    pub path: String,
    /// All of the text, where no function makes it and no list holds it.
    pub text: Option<String>,
}

/// The properties that have them, among those of one resource.
pub fn unversioned(properties: &Value) -> Vec<Unversioned> {
    let mut found = Vec::new();
    walk(properties, "", false, &mut found);
    found
}

/// `is_part` says that the value is only a part of what the property at `path` has.
fn walk(value: &Value, path: &str, is_part: bool, found: &mut Vec<Unversioned>) {
    match value {
        Value::String(text) if is_unversioned(text, is_part) => {
            let one = Unversioned { path: path.to_owned(), text: (!is_part).then(|| text.clone()) };
            if !found.contains(&one) {
                found.push(one);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, path, true, found)),
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), joined(member)) {
                    ("Fn::Join", Some(text)) => walk(&text.into(), path, true, found),
                    (name, _) if name == "Ref" || name.starts_with("Fn::") || is_part => {
                        walk(member, path, true, found)
                    }
                    (name, _) if path.is_empty() => walk(member, name, false, found),
                    (name, _) => walk(member, &format!("{path}.{name}"), false, found),
                }
            }
        }
        _ => {}
    }
}

/// The text that `Fn::Join` makes of its argument, as far as it is written.
fn joined(argument: &Value) -> Option<String> {
    let between = argument.get(0)?.as_str()?;
    let parts = argument.get(1)?.as_array()?.iter().map(|part| part.as_str().unwrap_or("?"));
    Some(parts.collect::<Vec<_>>().join(between))
}

fn is_unversioned(text: &str, is_part: bool) -> bool {
    text.split(BEGIN).skip(1).any(|rest| match rest.split_once("}}") {
        Some((reference, _)) => !Lookup::read(reference).is_ok_and(|lookup| lookup.has_version()),
        None => is_part,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn those_without_a_version_are_found_in_what_functions_make() {
        let found = |value: Value| -> Vec<(String, Option<String>)> {
            let all = unversioned(&json!({ "A": { "B": value } }));
            all.into_iter().map(|one| (one.path, one.text)).collect()
        };
        let plain = "x {{resolve:ssm:/a}}";
        let at = |path: &str, text: Option<&str>| vec![(path.to_owned(), text.map(str::to_owned))];
        for (value, expected) in [
            (json!(plain), at("A.B", Some(plain))),
            (json!([plain, plain]), at("A.B", None)),
            (json!([{ "C": plain }]), at("A.B", None)),
            (json!({ "C": plain }), at("A.B.C", Some(plain))),
            (json!({ "Fn::Sub": "{{resolve:ssm:${Name}}}" }), at("A.B", None)),
            (json!({ "Fn::If": ["X", plain, { "Ref": "Y" }] }), at("A.B", None)),
            (
                json!({ "Fn::Join": ["", ["{{resolve:secretsmanager:", { "Ref": "S" }, ":SecretString:k::}}"]] }),
                at("A.B", None),
            ),
            (json!({ "Fn::Join": ["", ["{{", "resolve:ssm:", { "Ref": "P" }, "}}"]] }), at("A.B", None)),
            (
                json!({ "Fn::Join": ["", ["{{resolve:secretsmanager:", { "Ref": "S" }, ":SecretString:k::v1}}"]] }),
                vec![],
            ),
            (json!({ "Fn::Sub": "{{resolve:ssm:${Name}:3}}" }), vec![]),
            (json!("{{resolve:ssm:/a:3}} {{resolve:secretsmanager:s:SecretString:k::v1}} {{resolve:ssm:open"), vec![]),
            (
                json!("{{resolve:secretsmanager:s:SecretString:k:AWSPREVIOUS}}"),
                at("A.B", Some("{{resolve:secretsmanager:s:SecretString:k:AWSPREVIOUS}}")),
            ),
        ] {
            assert_eq!(found(value.clone()), expected, "{value}");
        }
    }
}
