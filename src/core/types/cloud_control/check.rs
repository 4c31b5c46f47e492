//! Properties held against their type's schema.

use serde_json::{Map, Value};

use super::below;
use crate::core::schemas::{Schema, Shape};
use crate::core::types::constraints::Refusal;
use crate::core::words::deserialize::subject;
use crate::core::words::{Path, Problem, ProblemKind, Token};

/// Every unknown, missing or ill-typed property, and those that only AWS sets; paths relative to `properties`.
pub(super) fn check(schema: &Schema, properties: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Value::Object(given) = properties else {
        return vec![ill_typed(Path::default(), "a map", properties)];
    };
    for (name, value) in given {
        if schema.read_only.contains(name) {
            let what = format!("{name} of {} cannot be set: AWS gives it its value", schema.type_name);
            problems.push(
                Problem::of_key(below(name), what).help(format!("other resources read it: !GetAtt LogicalId.{name}")),
            );
        } else if let Some(shape) = schema.properties.get(name) {
            match schema.tags.as_ref() == Some(name) {
                true => check_tags(&below(name), value, &mut problems),
                false => check_value(schema, shape, value, &below(name), &mut problems),
            }
        } else {
            let known = schema.properties.keys().filter(|name| !schema.read_only.contains(name));
            problems.push(unknown(&Path::default(), name, known.map(String::as_str)));
        }
    }
    check_required(given, &schema.required, &Path::default(), &mut problems);
    problems
}

/// Texts that are none of the values that AWS takes there.
pub(super) fn refuses(schema: &Schema, properties: &Value) -> Vec<Refusal> {
    let mut problems = Vec::new();
    for (name, value) in properties.as_object().into_iter().flatten() {
        if let Some(shape) = schema.properties.get(name) {
            check_choices(schema, shape, value, &below(name), &mut problems);
        }
    }
    problems.into_iter().map(Refusal::from).collect()
}

fn check_value(schema: &Schema, shape: &Shape, value: &Value, path: &Path, problems: &mut Vec<Problem>) {
    let shape = schema.resolved(shape);
    let fits = match (shape, value) {
        (Shape::Any | Shape::Definition(_), _) => true,
        // A value that is not known yet may become any.
        (Shape::Integer | Shape::Number | Shape::Boolean, Value::String(text)) if Token::is_in(text) => true,
        (Shape::Text(_), Value::String(_) | Value::Number(_) | Value::Bool(_))
        | (Shape::Boolean, Value::Bool(_))
        | (Shape::Number, Value::Number(_))
        | (Shape::Document, Value::Object(_) | Value::String(_)) => true,
        (Shape::Integer | Shape::Number | Shape::Boolean, Value::String(_) | Value::Number(_)) => {
            let read = shape.normal(schema, value);
            match shape {
                Shape::Integer => read.as_f64().is_some_and(|number| number.fract() == 0.0),
                Shape::Number => read.is_number(),
                _ => read.is_boolean(),
            }
        }
        (Shape::Object(object), Value::String(_)) => object.is_document,
        (Shape::List(inner) | Shape::Set(inner), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                check_value(schema, inner, item, &path.index(index), problems);
            }
            true
        }
        (Shape::Map(inner), Value::Object(entries)) => {
            for (key, value) in entries {
                check_value(schema, inner, value, &path.key(key), problems);
            }
            true
        }
        (Shape::Object(object), Value::Object(members)) => {
            for (name, value) in members {
                match object.members.get(name) {
                    Some(shape) => check_value(schema, shape, value, &path.key(name), problems),
                    None => problems.push(unknown(path, name, object.members.keys().map(String::as_str))),
                }
            }
            check_required(members, &object.required, path, problems);
            true
        }
        _ => false,
    };
    if !fits {
        problems.push(ill_typed(path.clone(), shape.in_words(), value));
    }
}

fn check_tags(path: &Path, value: &Value, problems: &mut Vec<Problem>) {
    if let Err(found) = crate::core::words::deserialize::read::<Tagged>(&serde_json::json!({ "Tags": value })) {
        // The property may have another name here.
        problems.extend(found.into_iter().map(|problem| {
            let inside = Path(problem.path.0.iter().skip(1).cloned().collect());
            Problem { path: path.join(&inside), ..problem }
        }));
    }
}

#[derive(serde::Deserialize)]
struct Tagged {
    #[serde(rename = "Tags", deserialize_with = "crate::core::types::tags::deserialize")]
    _tags: crate::core::types::tags::Tags,
}

fn check_required(given: &Map<String, Value>, required: &[String], path: &Path, problems: &mut Vec<Problem>) {
    for name in required.iter().filter(|name| given.get(*name).is_none_or(Value::is_null)) {
        let what = format!("missing property \"{name}\"{}", of_parent(path));
        problems.push(Problem::new(path.clone(), what).kind(ProblemKind::Missing));
    }
}

fn check_choices(schema: &Schema, shape: &Shape, value: &Value, path: &Path, problems: &mut Vec<Problem>) {
    match (schema.resolved(shape), value) {
        (Shape::Text(rule), Value::String(text))
            if !rule.one_of.is_empty() && !Token::is_in(text) && !rule.one_of.contains(text) =>
        {
            let problem = Problem::new(path.clone(), format!("{} cannot be \"{text}\"", subject(path)));
            let problem = problem.suggest(text, rule.one_of.iter().map(String::as_str));
            problems.push(problem.depending_on_values([path.clone()]));
        }
        (Shape::List(inner) | Shape::Set(inner), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                check_choices(schema, inner, item, &path.index(index), problems);
            }
        }
        (Shape::Map(inner), Value::Object(entries)) => {
            for (key, value) in entries {
                check_choices(schema, inner, value, &path.key(key), problems);
            }
        }
        (Shape::Object(object), Value::Object(members)) => {
            for (name, value) in members {
                if let Some(shape) = object.members.get(name) {
                    check_choices(schema, shape, value, &path.key(name), problems);
                }
            }
        }
        _ => {}
    }
}

fn unknown<'a>(parent: &Path, name: &str, known: impl Iterator<Item = &'a str>) -> Problem {
    let what = format!("unknown property \"{name}\"{}", of_parent(parent));
    Problem::of_key(parent.key(name), what).kind(ProblemKind::Unknown).suggest(name, known)
}

fn ill_typed(path: Path, wanted: &str, given: &Value) -> Problem {
    let given = match given {
        Value::Object(_) => "a map".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Null => "null".to_owned(),
        Value::String(text) => format!("\"{}\"", Token::readable(text)),
        other => other.to_string(),
    };
    let what = format!("{} must be {wanted}, not {given}", subject(&path));
    Problem::new(path, what).kind(ProblemKind::IllTyped)
}

/// ` of Properties`'s part that has a name; nothing for the properties themselves.
fn of_parent(path: &Path) -> String {
    if path.0.is_empty() { String::new() } else { format!(" of {}", subject(path)) }
}
