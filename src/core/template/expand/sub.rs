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
/// Property)`.
pub type References = BTreeMap<(String, String), String>;

/// What stands for what in references: created resources, and resources whose logical ids SAM changes.
#[derive(Debug, Default)]
pub struct Names {
    pub references: References,
    pub renamed: BTreeMap<String, String>,
}

/// Replaces all such references in `template` by the logical ids that there are.
pub fn refer(template: &mut Template, names: &Names) {
    if names.references.is_empty() && names.renamed.is_empty() {
        return;
    }
    for resource in template.resources.values_mut() {
        resource.properties.values_mut().chain([&mut resource.metadata]).for_each(|value| rewrite(value, names));
        match &mut resource.depends_on {
            Some(Value::String(id)) => rename(id, names),
            Some(Value::Array(ids)) => ids.iter_mut().for_each(|id| {
                if let Value::String(id) = id {
                    rename(id, names);
                }
            }),
            _ => {}
        }
    }
    for output in template.outputs.values_mut() {
        rewrite(&mut output.value, names);
    }
}

fn rename(id: &mut String, names: &Names) {
    if let Some(renamed) = names.renamed.get(id) {
        id.clone_from(renamed);
    }
}

fn rewrite(value: &mut Value, names: &Names) {
    let Names { references, renamed } = names;
    let made = |whole: &str| match whole.split_once('.') {
        Some((logical_id, property)) => references.get(&(logical_id.to_owned(), property.to_owned())).cloned(),
        None => renamed.get(whole).cloned(),
    };
    // `F.Alias.Arn` is the referred resource of `F.Alias`, and `Arn`.
    let attribute = |whole: &str| {
        let (logical_id, rest) = whole.split_once('.').map_or((whole, None), |(id, rest)| (id, Some(rest)));
        if let Some(renamed) = renamed.get(logical_id) {
            return Some((renamed.clone(), rest.map(str::to_owned)));
        }
        let (property, rest) = rest?.split_once('.').map_or((rest?, None), |(name, rest)| (name, Some(rest)));
        let made = references.get(&(logical_id.to_owned(), property.to_owned()))?.clone();
        Some((made, rest.map(str::to_owned)))
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
        Value::Object(entries) => entries.values_mut().for_each(|value| rewrite(value, names)),
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, names)),
        _ => {}
    }
}
