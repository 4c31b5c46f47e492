//! The difference between two sets of canonical properties, property by property.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::core::types::{Change, Kind, ownership_marker};

/// What to change to turn `old` into `new`; what AWS keeps no record of is left out.
pub fn changes(kind: &dyn Kind, old: &Value, new: &Value) -> Vec<Change> {
    let exists = old.as_object().is_some_and(|old| !old.is_empty());
    let seen = if exists { kind.seen_as(old, new) } else { None };
    let old = seen.as_ref().unwrap_or(old);
    let mut found = Vec::new();
    compare(&mut String::new(), Some(old), Some(new), &mut found);
    found.retain(|(property, old, new)| {
        (new.is_some() || !kind.any_if_absent().contains(&property.as_str()))
            && kind.is_compared(property, exists)
            // Whose something is, is worth no change where it did not say so before.
            && (old.is_some() || property != ownership_marker::PROPERTY)
    });
    let change = |(property, old, new): Difference<'_>| {
        let create_only = is_create_only(kind, &property);
        Change { property, old: old.cloned(), new: new.cloned(), create_only }
    };
    found.into_iter().map(change).collect()
}

/// Whether a property is create-only, or inside of one that is, or around one: where a whole changes, so does what is in it.
fn is_create_only(kind: &dyn Kind, property: &str) -> bool {
    let is_below = |path: &str, whole: &str| path.strip_prefix(whole).is_some_and(|rest| rest.starts_with('.'));
    kind.create_only().iter().any(|path| *path == property || is_below(property, path) || is_below(path, property))
}

/// A property with its old and its new value.
type Difference<'v> = (String, Option<&'v Value>, Option<&'v Value>);

/// `property` is copied, and values are not yet, only where something differs: most of what is compared does not.
fn compare<'v>(property: &mut String, old: Option<&'v Value>, new: Option<&'v Value>, found: &mut Vec<Difference<'v>>) {
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            let length = property.len();
            for key in old.keys().chain(added) {
                if !property.is_empty() {
                    property.push('.');
                }
                property.push_str(key);
                compare(property, old.get(key), new.get(key), found);
                property.truncate(length);
            }
        }
        _ if equal(old, new) => {}
        _ => found.push((property.clone(), old, new)),
    }
}

/// The differences between the old and the new value of a change, each with its path, such as
/// `Policies[Send].PolicyDocument.Statement[0].Resource`. Elements of a list are paired by the member that names them, or
/// by their index if both lists are equally long. A list of scalars is one value.
pub fn parts(change: &Change) -> Vec<Change> {
    let mut found = Vec::new();
    within(change.property.clone(), change.old.as_ref(), change.new.as_ref(), &mut found);
    found.iter_mut().for_each(|part| part.create_only = change.create_only);
    // Lists that differ only in their order.
    if found.is_empty() { vec![change.clone()] } else { found }
}

fn within(property: String, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Change>) {
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                within(format!("{property}.{key}"), old.get(key), new.get(key), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if old.iter().chain(new).all(Value::is_object) => {
            for (key, old, new) in paired(old, new) {
                within(format!("{property}[{key}]"), old, new, found);
            }
        }
        _ if equal(old, new) => {}
        _ => found.push(Change { property, old: old.cloned(), new: new.cloned(), create_only: false }),
    }
}

/// Members by which the elements of lists are told apart.
const NAMES: &[&str] = &["PolicyName", "IndexName", "AttributeName", "Sid", "Key", "Id"];

/// The elements of two lists of maps, those of one thing together, each with its name or index.
fn paired<'a>(old: &'a [Value], new: &'a [Value]) -> Vec<(String, Option<&'a Value>, Option<&'a Value>)> {
    let is_name = |name: &&&str| {
        [old, new].iter().all(|list| {
            let names: Vec<&str> = list.iter().filter_map(|element| element[**name].as_str()).collect();
            names.len() == list.len() && names.iter().collect::<BTreeSet<_>>().len() == names.len()
        })
    };
    if let Some(name) = NAMES.iter().find(is_name) {
        let named = |list: &'a [Value], wanted: &Value| list.iter().find(|element| element[*name] == *wanted);
        let added = new.iter().filter(|element| named(old, &element[*name]).is_none());
        let all = old.iter().chain(added).map(|element| &element[*name]);
        return all
            .map(|one| (one.as_str().unwrap_or_default().to_owned(), named(old, one), named(new, one)))
            .collect();
    }
    if old.len() == new.len() {
        return old
            .iter()
            .zip(new)
            .enumerate()
            .map(|(at, (old, new))| (at.to_string(), Some(old), Some(new)))
            .collect();
    }
    let gone = old.iter().enumerate().filter(|(_, element)| !new.contains(element));
    let gone = gone.map(|(at, element)| (at.to_string(), Some(element), None));
    let added = new.iter().enumerate().filter(|(_, element)| !old.contains(element));
    gone.chain(added.map(|(at, element)| (at.to_string(), None, Some(element)))).collect()
}

/// Numbers are compared by value: AWS may give 1 where a template says 1.0.
fn equal(old: Option<&Value>, new: Option<&Value>) -> bool {
    match (old, new) {
        (Some(Value::Number(old)), Some(Value::Number(new))) => old.as_f64() == new.as_f64(),
        // An empty list or map and none at all mean the same.
        (Some(value), None) | (None, Some(value)) => match value {
            Value::Array(items) => items.is_empty(),
            Value::Object(entries) => entries.is_empty(),
            _ => false,
        },
        (old, new) => old == new,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_of_a_list_is_shown_by_path() {
        let statement = |resource: &str| json!({"Effect": "Allow", "Action": ["a:Get", "a:Put"], "Resource": resource});
        let policy = |name: &str, statements: Vec<Value>| json!({"PolicyName": name, "PolicyDocument": {"Statement": statements}});
        let (one, two) = (policy("One", vec![statement("x")]), policy("Two", vec![statement("y")]));
        for (old, new, expected) in [
            (
                json!([one, two]),
                json!([one, policy("Two", vec![statement("z")])]),
                vec!["P[Two].PolicyDocument.Statement[0].Resource: \"y\" -> \"z\"".to_owned()],
            ),
            (
                json!([one]),
                json!([policy("One", vec![statement("x"), statement("y")])]),
                vec![format!("P[One].PolicyDocument.Statement[1]: - -> {}", statement("y"))],
            ),
            (json!([one, two]), json!([two]), vec![format!("P[One]: {one} -> -")]),
            (json!([one, two]), json!([two, one]), vec![format!("P: {} -> {}", json!([one, two]), json!([two, one]))]),
            (json!(["a"]), json!(["a", "b"]), vec!["P: [\"a\"] -> [\"a\",\"b\"]".to_owned()]),
            (json!(1), json!(2), vec!["P: 1 -> 2".to_owned()]),
        ] {
            let change = Change { property: "P".to_owned(), old: Some(old), new: Some(new), create_only: true };
            let shown = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
            let parts = parts(&change);
            assert!(parts.iter().all(|part| part.create_only));
            let parts: Vec<String> = parts
                .iter()
                .map(|part| format!("{}: {} -> {}", part.property, shown(&part.old), shown(&part.new)))
                .collect();
            assert_eq!(parts, expected);
        }
    }
}
