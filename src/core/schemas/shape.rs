//! What a value of a property looks like, and how two values of one shape are compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Schema;

/// The shape of a value.
#[derive(Debug, PartialEq)]
pub enum Shape {
    Text(TextRule),
    Integer,
    Number,
    Boolean,
    /// Any JSON at all.
    Any,
    /// A map, or its text: a policy document.
    Document,
    /// The definition of this name.
    Definition(String),
    List(Box<Shape>),
    /// A list whose order means nothing.
    Set(Box<Shape>),
    Map(Box<Shape>),
    Object(Object),
}

/// What a text may be.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub struct TextRule {
    #[serde(rename = "e", default)]
    pub one_of: Vec<String>,
    /// In characters. (Of names alone.)
    #[serde(rename = "x")]
    pub longest: Option<usize>,
    /// (Of names alone.)
    #[serde(rename = "p")]
    pub pattern: Option<String>,
}

/// A value with named members.
#[derive(Debug, PartialEq)]
pub struct Object {
    pub members: BTreeMap<String, Shape>,
    pub required: Vec<String>,
    /// Whether its text will do, too.
    pub is_document: bool,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Value::deserialize(deserializer)?;
        Self::read(read).ok_or_else(|| serde::de::Error::custom("not a shape"))
    }
}

impl Shape {
    fn read(value: Value) -> Option<Self> {
        let mut members = match value {
            Value::String(name) => {
                return Some(match name.as_str() {
                    "s" => Self::Text(TextRule::default()),
                    "i" => Self::Integer,
                    "n" => Self::Number,
                    "b" => Self::Boolean,
                    "j" => Self::Any,
                    "J" => Self::Document,
                    name => Self::Definition(name.strip_prefix('#')?.to_owned()),
                });
            }
            Value::Object(members) => members,
            _ => return None,
        };
        if let Some(rule) = members.remove("s") {
            return Some(Self::Text(serde_json::from_value(rule).ok()?));
        }
        for (key, made) in [("l", Self::List as fn(Box<Self>) -> Self), ("u", Self::Set), ("m", Self::Map)] {
            if let Some(inner) = members.remove(key) {
                return Some(made(Box::new(Self::read(inner)?)));
            }
        }
        let Some(Value::Object(named)) = members.remove("o") else { return None };
        let named = named.into_iter().map(|(name, shape)| Some((name, Self::read(shape)?)));
        Some(Self::Object(Object {
            members: named.collect::<Option<_>>()?,
            required: members.remove("q").and_then(|names| serde_json::from_value(names).ok()).unwrap_or_default(),
            is_document: members.contains_key("D"),
        }))
    }

    /// What to call it in a sentence.
    pub fn in_words(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Document | Self::Map(_) | Self::Object(_) => "a map",
            Self::List(_) | Self::Set(_) => "a list",
            Self::Any | Self::Definition(_) => "a value",
        }
    }

    /// `value`, as far as it has this shape, in one spelling: numbers and truths that were given as text, documents that were
    /// given as text, lists without order sorted. What has another shape stays as it is.
    pub fn normal(&self, schema: &Schema, value: &Value) -> Value {
        match (schema.resolved(self), value) {
            (Self::Text(_), Value::Number(_) | Value::Bool(_)) => value.to_string().into(),
            (Self::Integer, Value::String(text)) => number(text).map_or_else(|| value.clone(), |read| whole(&read)),
            (Self::Integer, Value::Number(_)) => whole(value),
            (Self::Number, Value::String(text)) => number(text).unwrap_or_else(|| value.clone()),
            (Self::Boolean, Value::String(text)) => truth(text).map_or_else(|| value.clone(), Value::from),
            (shape @ (Self::Document | Self::Object(_)), Value::String(text)) => match serde_json::from_str(text) {
                Ok(read @ Value::Object(_)) => shape.normal(schema, &read),
                _ => value.clone(),
            },
            (Self::List(inner), Value::Array(items)) => items.iter().map(|item| inner.normal(schema, item)).collect(),
            (Self::Set(inner), Value::Array(items)) => {
                let mut items: Vec<Value> = items.iter().map(|item| inner.normal(schema, item)).collect();
                items.sort_by_key(sorted_text);
                items.into()
            }
            (Self::Map(inner), Value::Object(entries)) => {
                entries.iter().map(|(key, value)| (key.clone(), inner.normal(schema, value))).collect()
            }
            (Self::Object(object), Value::Object(members)) => members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| {
                    let normal = object.members.get(name).map(|shape| shape.normal(schema, value));
                    (name.clone(), normal.unwrap_or_else(|| value.clone()))
                })
                .collect(),
            (_, value) => value.clone(),
        }
    }
}

/// A number given as text.
pub(super) fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    text.parse::<i64>().map(Value::from).ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        serde_json::Number::from_f64(number).map(Value::from)
    })
}

/// A number without a fraction as an integer (`30.0` is 30); any other value as it is.
fn whole(value: &Value) -> Value {
    /// Up to here, each whole number is a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value.as_f64() {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and small enough")]
        Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() <= EXACT => (number as i64).into(),
        _ => value.clone(),
    }
}

/// A truth given as text.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// The text of a value, the keys of all maps sorted.
fn sorted_text(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<&String, String> =
                members.iter().map(|(key, value)| (key, sorted_text(value))).collect();
            format!("{members:?}")
        }
        Value::Array(items) => format!("{:?}", items.iter().map(sorted_text).collect::<Vec<_>>()),
        scalar => scalar.to_string(),
    }
}

/// What `desired` states of `live`, a value of this shape, and nothing else: members of objects that only AWS knows of are
/// defaults, or what others have set. The elements of a set come in the order of the desired ones.
pub fn project(schema: &Schema, shape: &Shape, live: &Value, desired: &Value) -> Value {
    match (schema.resolved(shape), live, desired) {
        (Shape::Object(object), Value::Object(members), Value::Object(wanted)) => {
            let stated = members.iter().filter_map(|(name, value)| {
                let shape = object.members.get(name).unwrap_or(&Shape::Any);
                Some((name.clone(), project(schema, shape, value, wanted.get(name)?)))
            });
            Value::Object(stated.collect())
        }
        (Shape::List(inner), Value::Array(items), Value::Array(wanted)) if items.len() == wanted.len() => {
            items.iter().zip(wanted).map(|(item, want)| project(schema, inner, item, want)).collect()
        }
        (Shape::Set(inner), Value::Array(items), Value::Array(wanted)) => {
            let mut left: Vec<&Value> = items.iter().collect();
            let mut found = Vec::with_capacity(items.len());
            for want in wanted {
                if let Some(at) = left.iter().position(|item| project(schema, inner, item, want) == *want) {
                    left.remove(at);
                    found.push(want.clone());
                }
            }
            found.extend(left.into_iter().cloned());
            found.into()
        }
        _ => live.clone(),
    }
}
