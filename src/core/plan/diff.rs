//! The difference between two sets of canonical properties, property by property.

use serde_json::Value;

use crate::core::types::{Change, Kind};

/// What to change to turn `old` into `new`.
pub fn changes(kind: &dyn Kind, old: &Value, new: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(String::new(), Some(old), Some(new), &mut found);
    found.retain(|change| !(change.new.is_none() && kind.any_if_absent().contains(&change.property.as_str())));
    for change in &mut found {
        change.create_only = kind.create_only().contains(&change.top());
    }
    found
}

fn compare(property: String, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Change>) {
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let below = if property.is_empty() { key.clone() } else { format!("{property}.{key}") };
                compare(below, old.get(key), new.get(key), found);
            }
        }
        _ if equal(old, new) => {}
        _ => found.push(Change { property, old: old.cloned(), new: new.cloned(), create_only: false }),
    }
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
