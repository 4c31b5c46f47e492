//! The properties of a resource: held against the type's schema, changed by a patch, shown as a reading shows them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::invalid;
use crate::core::schemas::{Schema, Shape};
use crate::local::protocol::wire::ApiError;

/// Checks properties as CloudFormation checks a model: every value has its property's type, none is unknown, none missing.
///
/// # Errors
/// The first that is wrong, in the words of CloudFormation's validator.
pub fn check(schema: &Schema, model: &Value) -> Result<(), ApiError> {
    let failed = |why: String| invalid(format!("Model validation failed ({why})"));
    let Value::Object(given) = model else { return Err(failed(wrong("#", "JSONObject", model))) };
    members(schema, &schema.properties, &schema.required, given, "#").map_err(failed)
}

fn members(
    schema: &Schema,
    known: &BTreeMap<String, Shape>,
    required: &[String],
    given: &Map<String, Value>,
    place: &str,
) -> Result<(), String> {
    if let Some(name) = required.iter().find(|name| !given.contains_key(*name)) {
        return Err(format!("{place}: required key [{name}] not found"));
    }
    for (name, value) in given {
        let Some(shape) = known.get(name) else {
            return Err(format!("{place}: extraneous key [{name}] is not permitted"));
        };
        value_of(schema, shape, value, &format!("{place}/{name}"))?;
    }
    Ok(())
}

fn value_of(schema: &Schema, shape: &Shape, value: &Value, place: &str) -> Result<(), String> {
    match (schema.resolved(shape), value) {
        (Shape::Any | Shape::Definition(_), _)
        | (Shape::Text(_), Value::String(_))
        | (Shape::Boolean, Value::Bool(_))
        | (Shape::Number, Value::Number(_))
        | (Shape::Document, Value::Object(_) | Value::String(_)) => Ok(()),
        (Shape::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(()),
        (Shape::List(inner) | Shape::Set(inner), Value::Array(items)) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| value_of(schema, inner, item, &format!("{place}/{index}"))),
        (Shape::Map(inner), Value::Object(entries)) => {
            entries.iter().try_for_each(|(key, value)| value_of(schema, inner, value, &format!("{place}/{key}")))
        }
        (Shape::Object(object), Value::Object(given)) => {
            members(schema, &object.members, &object.required, given, place)
        }
        (Shape::Object(object), Value::String(_)) if object.is_document => Ok(()),
        (shape, value) => Err(wrong(place, type_of(shape), value)),
    }
}

fn type_of(shape: &Shape) -> &'static str {
    match shape {
        Shape::Text(_) => "String",
        Shape::Integer => "Integer",
        Shape::Number => "Number",
        Shape::Boolean => "Boolean",
        Shape::List(_) | Shape::Set(_) => "JSONArray",
        _ => "JSONObject",
    }
}

fn wrong(place: &str, expected: &str, value: &Value) -> String {
    let found = match value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Number(_) => "Number",
        Value::String(_) => "String",
        Value::Array(_) => "JSONArray",
        Value::Object(_) => "JSONObject",
    };
    format!("{place}: expected type: {expected}, found: {found}")
}

/// Refuses properties that only AWS sets.
///
/// # Errors
/// Which.
pub fn refuse_read_only(schema: &Schema, model: &Value) -> Result<(), ApiError> {
    let given: Vec<String> = schema
        .read_only
        .iter()
        .filter(|path| model.get(path.as_str()).is_some())
        .map(|path| format!("/properties/{path}"))
        .collect();
    if given.is_empty() {
        return Ok(());
    }
    Err(invalid(format!("Encountered readonly properties in the request: [{}]", given.join(", "))))
}

/// How the keys of AWS's own tags begin.
const RESERVED: &str = "aws:";

/// Applies a JSON patch (RFC 6902).
///
/// # Errors
/// An operation that is none, or whose path leads nowhere.
pub fn patch(model: &mut Value, operations: &[Value]) -> Result<(), ApiError> {
    for operation in operations {
        let text = |member: &str| operation[member].as_str().unwrap_or_default();
        let (op, path) = (text("op"), text("path"));
        let refused = || invalid(format!("Invalid patch operation: {operation}"));
        let (above, last) = path.rsplit_once('/').ok_or_else(refused)?;
        let last = last.replace("~1", "/").replace("~0", "~");
        let place = model.pointer_mut(above).ok_or_else(refused)?;
        let value = operation.get("value").cloned();
        let index = last.parse::<usize>().ok();
        match (op, place, value) {
            ("add", Value::Object(members), Some(value)) => drop(members.insert(last, value)),
            ("replace", Value::Object(members), Some(value)) => *members.get_mut(&last).ok_or_else(refused)? = value,
            ("remove", Value::Object(members), _) => drop(members.shift_remove(&last).ok_or_else(refused)?),
            ("test", Value::Object(members), Some(value)) if members.get(&last) == Some(&value) => {}
            ("add", Value::Array(items), Some(value)) if last == "-" => items.push(value),
            ("add", Value::Array(items), Some(value)) => {
                let index = index.filter(|index| *index <= items.len()).ok_or_else(refused)?;
                items.insert(index, value);
            }
            ("replace", Value::Array(items), Some(value)) => {
                *index.and_then(|index| items.get_mut(index)).ok_or_else(refused)? = value;
            }
            ("remove", Value::Array(items), _) => {
                let index = index.filter(|index| *index < items.len()).ok_or_else(refused)?;
                items.remove(index);
            }
            _ => return Err(refused()),
        }
    }
    Ok(())
}

/// The properties as a reading gives them.
pub fn shown(schema: &Schema, model: &Value) -> Value {
    let mut shown = model.clone();
    for path in &schema.write_only {
        hide(&path.split('.').collect::<Vec<_>>(), &mut shown);
    }
    hide_reserved_tags(schema, &mut shown);
    shown
}

/// Takes out AWS's own tags, which a type's schema promises not to give (CloudFormation CLI guide, "Tagging").
fn hide_reserved_tags(schema: &Schema, model: &mut Value) {
    let mut all = tags(schema, model);
    let count = all.len();
    all.retain(|key, _| !key.starts_with(RESERVED));
    if all.len() == count {
        return;
    }
    set_tags(schema, model, &all);
    if let (true, Some(property), Value::Object(members)) = (all.is_empty(), &schema.tags, model) {
        members.shift_remove(property);
    }
}

/// Puts back AWS's own tags, which no caller can change.
pub fn keep_reserved_tags(schema: &Schema, old: &Value, new: &mut Value) {
    let mut reserved = tags(schema, old);
    reserved.retain(|key, _| key.starts_with(RESERVED));
    if !reserved.is_empty() {
        reserved.extend(tags(schema, new));
        set_tags(schema, new, &reserved);
    }
}

fn hide(path: &[&str], value: &mut Value) {
    match (path, value) {
        (_, Value::Array(items)) => items.iter_mut().for_each(|item| hide(path, item)),
        ([last], Value::Object(members)) => drop(members.shift_remove(*last)),
        ([name, rest @ ..], Value::Object(members)) => {
            if let Some(inside) = members.get_mut(*name) {
                hide(rest, inside);
            }
        }
        _ => {}
    }
}

/// The tags of a resource, in either form that types have them in.
pub fn tags(schema: &Schema, model: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match schema.tags.as_ref().map(|property| &model[property.as_str()]) {
        Some(Value::Object(tags)) => tags.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        Some(Value::Array(tags)) => tags.iter().map(|tag| (text(&tag["Key"]), text(&tag["Value"]))).collect(),
        _ => BTreeMap::new(),
    }
}

/// Writes the tags of a resource, in the form that its type has them in.
pub fn set_tags(schema: &Schema, model: &mut Value, tags: &BTreeMap<String, String>) {
    let Some(property) = &schema.tags else { return };
    let shape = schema.properties.get(property).map(|shape| schema.resolved(shape));
    model[property.as_str()] = match shape {
        Some(Shape::List(_) | Shape::Set(_)) => {
            tags.iter().map(|(key, value)| serde_json::json!({ "Key": key, "Value": value })).collect()
        }
        _ => serde_json::json!(tags),
    };
}
