//! The properties of SAM's resource types: their names, and the shapes that SAM itself checks.

use serde_json::Value;

/// One property of a SAM resource type.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    pub name: &'static str,
    pub shape: Shape,
    /// How it is expanded.
    pub support: Support,
    /// Whether `Globals` can give it.
    pub global: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// The created resource has it under the same name.
    Passed,
    /// It is translated into something else.
    Translated,
    /// SAM has it, wschat does not support it yet.
    NotYet,
}

impl Property {
    pub const fn passed(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, support: Support::Passed, global: true }
    }

    pub const fn translated(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, support: Support::Translated, global: true }
    }

    pub const fn later(name: &'static str) -> Self {
        Self { name, shape: Shape::Any, support: Support::NotYet, global: true }
    }

    /// The same property, but not in `Globals`.
    pub const fn local(self) -> Self {
        Self { global: false, ..self }
    }
}

/// The shape of a value. A map of one key might be an intrinsic function: SAM accepts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Any,
    Text,
    Map,
    Bool,
    /// A bool, not even an intrinsic function.
    PlainBool,
    TextOrMap,
    /// A list of strings or maps.
    List,
    /// A list of anything.
    Items,
    /// A whole number.
    Number,
    /// A string or a list of strings, not even an intrinsic function.
    Texts,
    BoolOrMap,
    /// A string, a map, or a list of both.
    Policies,
    MapOfMaps,
    MapOfTexts,
    MapOfNumbers,
    /// `Delete` or `Retain`.
    DeleteOrRetain,
}

impl Shape {
    /// Whether SAM accepts `value`.
    pub fn fits(self, value: &Value) -> bool {
        let text_or_map = |value: &Value| value.is_string() || value.is_object();
        let map_of = |fits: fn(&Value) -> bool| value.as_object().is_some_and(|map| map.values().all(fits));
        let list = || value.as_array().is_some_and(|list| list.iter().all(text_or_map));
        // Python's integers, which include its booleans.
        let whole = |value: &Value| value.is_i64() || value.is_u64() || value.is_boolean();
        let one_key = value.as_object().is_some_and(|map| map.len() == 1);
        match self {
            Self::Any => true,
            Self::PlainBool => value.is_boolean(),
            Self::Texts => value.is_string() || value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
            _ if one_key => true,
            Self::Text => value.is_string(),
            Self::Map => value.is_object(),
            Self::Bool => value.is_boolean(),
            Self::TextOrMap => text_or_map(value),
            Self::List => list(),
            Self::Items => value.is_array(),
            Self::Number => whole(value),
            Self::BoolOrMap => value.is_boolean() || value.is_object(),
            Self::Policies => text_or_map(value) || list(),
            Self::MapOfMaps => map_of(Value::is_object),
            Self::MapOfTexts => map_of(Value::is_string),
            Self::MapOfNumbers => {
                value.as_object().is_some_and(|map| map.values().all(|value| whole(value) || value.is_object()))
            }
            Self::DeleteOrRetain => value == "Delete" || value == "Retain",
        }
    }

    /// The allowed shape, to follow "must be".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Text => "a string",
            Self::Map => "a map",
            Self::Bool => "true or false",
            Self::PlainBool => "true or false; an intrinsic function is not supported here",
            Self::TextOrMap => "a string or a map",
            Self::List => "a list of strings or maps",
            Self::Items => "a list",
            Self::Number => "a whole number",
            Self::Texts => "a string or a list of strings; an intrinsic function is not supported here",
            Self::BoolOrMap => "true, false or a map",
            Self::Policies => "a policy or a list of policies: names, ARNs, documents, or SAM's policy templates",
            Self::MapOfMaps => "a map of maps, as in { Variables: { NAME: value } }",
            Self::MapOfTexts => "a map of strings",
            Self::MapOfNumbers => "a map of whole numbers",
            Self::DeleteOrRetain => "Delete or Retain",
        }
    }
}

/// Whether SAM's translator, which is Python, treats `value` as given: not empty, zero or false.
pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}
