//! The text of `Fn::Sub`, and references to resources that SAM creates (`!Ref F.Alias`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::Template;

/// The argument of `Fn::Sub`, with every `${NAME}` replaced for which `replacement` gives a value. Names are what SAM
/// accepts as names: letters, digits and dots, or a pseudo parameter.
pub fn replace(argument: &Value, mut replacement: impl FnMut(&str) -> Option<String>) -> Value {
    let mut text = |text: &str| {
        let mut replaced = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            replaced.push_str(before);
            let found = after.split_once('}').filter(|(name, _)| is_name(name));
            let found = found.and_then(|(name, rest)| Some((replacement(name)?, rest)));
            rest = match found {
                Some((value, rest)) => {
                    replaced.push_str(&value);
                    rest
                }
                None => {
                    replaced.push_str("${");
                    after
                }
            };
        }
        replaced + rest
    };
    match argument {
        Value::String(whole) => text(whole).into(),
        Value::Array(parts) => {
            let mut parts = parts.clone();
            if let Some(Value::String(first)) = parts.first_mut() {
                *first = text(first);
            }
            parts.into()
        }
        other => other.clone(),
    }
}

fn is_name(name: &str) -> bool {
    let pseudo = name.strip_prefix("AWS::").is_some_and(|name| name.chars().all(|letter| letter.is_ascii_alphabetic()));
    pseudo || !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '.')
}

/// The logical ids of created resources that a template can refer to as `LogicalId.Property`, by `(LogicalId,
/// Property)`. Where the property is empty, what the template calls `LogicalId` has this other logical id.
pub type References = BTreeMap<(String, String), String>;

/// Replaces all such references in `template` by those logical ids.
pub fn refer(template: &mut Template, references: &References) {
    if references.is_empty() {
        return;
    }
    for resource in template.resources.values_mut() {
        match &mut resource.depends_on {
            Some(Value::Array(names)) => names.iter_mut().for_each(|name| rename(name, references)),
            Some(name) => rename(name, references),
            None => {}
        }
        resource.properties.values_mut().chain([&mut resource.metadata]).for_each(|value| rewrite(value, references));
    }
    for output in template.outputs.values_mut() {
        rewrite(&mut output.value, references);
    }
}

/// Gives a resource that is named alone its other logical id.
fn rename(name: &mut Value, references: &References) {
    let made = name.as_str().and_then(|name| references.get(&(name.to_owned(), String::new())));
    if let Some(made) = made.cloned() {
        *name = made.into();
    }
}

fn rewrite(value: &mut Value, references: &References) {
    let known =
        |logical_id: &str, property: &str| references.get(&(logical_id.to_owned(), property.to_owned())).cloned();
    let made = |whole: &str| {
        let (logical_id, property) = whole.split_once('.').unwrap_or((whole, ""));
        known(logical_id, property)
    };
    // `F.Alias.Arn` is the referred resource of `F.Alias`, and `Arn`.
    let attribute = |whole: &str| {
        let mut parts = whole.splitn(3, '.');
        let (logical_id, property) = (parts.next()?, parts.next());
        if let Some(made) = property.and_then(|property| known(logical_id, property)) {
            return Some((made, parts.next().map(str::to_owned)));
        }
        let rest = whole.split_once('.').map(|(_, rest)| rest.to_owned());
        Some((known(logical_id, "")?, rest))
    };
    if let Value::Object(entries) = value
        && entries.len() == 1
        && let Some((function, argument)) = entries.iter_mut().next()
    {
        match (function.as_str(), &*argument) {
            ("Ref", Value::String(name)) => {
                if let Some(made) = made(name) {
                    *argument = made.into();
                }
            }
            ("Fn::Sub", _) => {
                *argument = replace(argument, |name| {
                    let (made, rest) = attribute(name)?;
                    let rest = rest.map_or(String::new(), |rest| format!(".{rest}"));
                    Some(format!("${{{made}{rest}}}"))
                });
            }
            ("Fn::GetAtt", Value::Array(parts)) => {
                let parts: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
                let whole = parts.filter(|parts| parts.len() > 1).map(|parts| parts.join("."));
                if let Some((made, rest)) = whole.as_deref().and_then(attribute) {
                    let rest = rest.as_deref().map_or(Vec::new(), |rest| rest.split('.').collect());
                    *argument = json!([&[made.as_str()], rest.as_slice()].concat());
                }
            }
            _ => {}
        }
    }
    match value {
        Value::Object(entries) => entries.values_mut().for_each(|value| rewrite(value, references)),
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, references)),
        _ => {}
    }
}
