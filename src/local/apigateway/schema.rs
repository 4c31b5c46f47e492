//! JSON schemas of draft 4, in which models are written (developer guide, "Data models for REST APIs"; the draft is
//! draft-zyp-json-schema-04 with its validation part, draft-fge-json-schema-validation-00). Crates for schemas validate ten drafts
//! and fetch references; of draft 4 there is not much.

use regex_lite::RegexBuilder;
use serde_json::{Map, Value};

/// How deep schemas and instances may nest.
const MAX_DEPTH: usize = 64;
/// Schemas applied to values.
const MAX_STEPS: usize = 100_000;

/// What a validation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    /// The value does not match: where, and why.
    Value(String),
    /// The schema cannot be used.
    Schema(String),
}

/// Holds a value against a schema.
///
/// # Errors
/// The first thing that does not match, or why the schema cannot be used.
pub fn validate(schema: &Value, value: &Value) -> Result<(), Invalid> {
    Validator { root: schema, steps: 0 }.check(schema, value, "$", 0)
}

struct Validator<'s> {
    root: &'s Value,
    steps: usize,
}

impl<'s> Validator<'s> {
    fn check(&mut self, schema: &'s Value, value: &Value, at: &str, depth: usize) -> Result<(), Invalid> {
        self.steps += 1;
        if depth > MAX_DEPTH || self.steps > MAX_STEPS {
            return Err(Invalid::Schema("it leads too far, or refers to itself".to_owned()));
        }
        let Some(rules) = schema.as_object() else { return Err(Invalid::Schema(format!("{schema} is not a schema"))) };
        if let Some(reference) = rules.get("$ref") {
            let referred = self.referred(reference)?;
            return self.check(referred, value, at, depth + 1);
        }
        self.check_kind(rules, value, at)?;
        self.check_alternatives(rules, value, at, depth)?;
        match value {
            Value::Number(number) => check_number(rules, number.as_f64().unwrap_or_default(), at),
            Value::String(text) => check_text(rules, text, at),
            Value::Array(items) => self.check_list(rules, items, at, depth),
            Value::Object(members) => self.check_object(rules, members, at, depth),
            Value::Null | Value::Bool(_) => Ok(()),
        }
    }

    /// What `$ref` leads to, within the schema.
    fn referred(&self, reference: &Value) -> Result<&'s Value, Invalid> {
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let pointer = pointer.and_then(|pointer| self.root.pointer(pointer));
        pointer
            .ok_or_else(|| Invalid::Schema(format!("it refers to {reference}, and only to its own parts is supported")))
    }

    fn check_kind(&self, rules: &Map<String, Value>, value: &Value, at: &str) -> Result<(), Invalid> {
        let is = |kind: &str| match kind {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        };
        let kinds: Vec<&str> = match rules.get("type") {
            None => Vec::new(),
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            Some(other) => return Err(Invalid::Schema(format!("{other} is not a type"))),
        };
        if !kinds.is_empty() && !kinds.iter().any(|kind| is(kind)) {
            return wrong(at, format!("must be of type {}", kinds.join(" or ")));
        }
        match rules.get("enum") {
            Some(Value::Array(values)) if !values.iter().any(|known| equal(known, value)) => {
                wrong(at, format!("must be one of {}", Value::from(values.clone())))
            }
            _ => Ok(()),
        }
    }

    fn check_alternatives(
        &mut self,
        rules: &'s Map<String, Value>,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Result<(), Invalid> {
        for schema in schemas(rules, "allOf")? {
            self.check(schema, value, at, depth + 1)?;
        }
        if rules.contains_key("anyOf") && self.matching(schemas(rules, "anyOf")?, value, at, depth)? == 0 {
            return wrong(at, "matches none of anyOf".to_owned());
        }
        if rules.contains_key("oneOf") {
            let matching = self.matching(schemas(rules, "oneOf")?, value, at, depth)?;
            if matching != 1 {
                return wrong(at, format!("matches {matching} of oneOf, not one"));
            }
        }
        match rules.get("not") {
            Some(schema) if self.matching(std::slice::from_ref(schema), value, at, depth)? == 1 => {
                wrong(at, "matches what it must not".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// How many of some schemas a value matches.
    fn matching(&mut self, schemas: &'s [Value], value: &Value, at: &str, depth: usize) -> Result<usize, Invalid> {
        let mut matching = 0;
        for schema in schemas {
            match self.check(schema, value, at, depth + 1) {
                Ok(()) => matching += 1,
                Err(Invalid::Value(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(matching)
    }

    fn check_list(
        &mut self,
        rules: &'s Map<String, Value>,
        items: &[Value],
        at: &str,
        depth: usize,
    ) -> Result<(), Invalid> {
        let length = items.len();
        check_bound(rules, "minItems", length, at, |length, bound| length >= bound, "at least", "items")?;
        check_bound(rules, "maxItems", length, at, |length, bound| length <= bound, "at most", "items")?;
        if rules.get("uniqueItems") == Some(&Value::Bool(true)) {
            let repeated = items.iter().enumerate().any(|(place, item)| {
                self.steps += place;
                self.steps <= MAX_STEPS && items.iter().take(place).any(|other| equal(other, item))
            });
            if repeated {
                return wrong(at, "has an item twice".to_owned());
            }
        }
        let additional = rules.get("additionalItems");
        for (place, item) in items.iter().enumerate() {
            let at = format!("{at}[{place}]");
            let schema = match rules.get("items") {
                Some(Value::Array(schemas)) => match schemas.get(place) {
                    Some(schema) => Some(schema),
                    None if additional == Some(&Value::Bool(false)) => {
                        return wrong(&at, "is one item too many".to_owned());
                    }
                    None => additional.filter(|schema| schema.is_object()),
                },
                schema => schema,
            };
            if let Some(schema) = schema {
                self.check(schema, item, &at, depth + 1)?;
            }
        }
        Ok(())
    }

    fn check_object(
        &mut self,
        rules: &'s Map<String, Value>,
        members: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> Result<(), Invalid> {
        let count = members.len();
        check_bound(rules, "minProperties", count, at, |count, bound| count >= bound, "at least", "properties")?;
        check_bound(rules, "maxProperties", count, at, |count, bound| count <= bound, "at most", "properties")?;
        for name in rules.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                return wrong(at, format!("lacks the required property \"{name}\""));
            }
        }
        for (name, needed) in rules.get("dependencies").and_then(Value::as_object).into_iter().flatten() {
            if !members.contains_key(name) {
                continue;
            }
            match needed {
                Value::Array(names) => {
                    for other in names.iter().filter_map(Value::as_str) {
                        if !members.contains_key(other) {
                            return wrong(at, format!("has \"{name}\" and lacks \"{other}\""));
                        }
                    }
                }
                schema => self.check(schema, &Value::Object(members.clone()), at, depth + 1)?,
            }
        }
        for (name, member) in members {
            let at = format!("{at}.{name}");
            let mut known = false;
            if let Some(schema) = rules.get("properties").and_then(|properties| properties.get(name)) {
                known = true;
                self.check(schema, member, &at, depth + 1)?;
            }
            for (pattern, schema) in rules.get("patternProperties").and_then(Value::as_object).into_iter().flatten() {
                if is_match(pattern, name)? {
                    known = true;
                    self.check(schema, member, &at, depth + 1)?;
                }
            }
            match rules.get("additionalProperties") {
                Some(Value::Bool(false)) if !known => return wrong(&at, "is not a property of the model".to_owned()),
                Some(schema @ Value::Object(_)) if !known => self.check(schema, member, &at, depth + 1)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn schemas<'s>(rules: &'s Map<String, Value>, name: &str) -> Result<&'s [Value], Invalid> {
    match rules.get(name) {
        None => Ok(&[]),
        Some(Value::Array(schemas)) => Ok(schemas),
        Some(_) => Err(Invalid::Schema(format!("{name} must be a list of schemas"))),
    }
}

fn check_number(rules: &Map<String, Value>, number: f64, at: &str) -> Result<(), Invalid> {
    let bound = |name: &str| rules.get(name).and_then(Value::as_f64);
    let excludes = |name: &str| rules.get(name) == Some(&Value::Bool(true));
    if let Some(minimum) = bound("minimum")
        && (number < minimum || excludes("exclusiveMinimum") && number <= minimum)
    {
        return wrong(at, format!("must not be below {minimum}"));
    }
    if let Some(maximum) = bound("maximum")
        && (number > maximum || excludes("exclusiveMaximum") && number >= maximum)
    {
        return wrong(at, format!("must not be above {maximum}"));
    }
    match bound("multipleOf") {
        Some(step) if step > 0.0 && (number / step).fract() != 0.0 => {
            wrong(at, format!("must be a multiple of {step}"))
        }
        _ => Ok(()),
    }
}

fn check_text(rules: &Map<String, Value>, text: &str, at: &str) -> Result<(), Invalid> {
    let length = text.chars().count();
    check_bound(rules, "minLength", length, at, |length, bound| length >= bound, "at least", "characters")?;
    check_bound(rules, "maxLength", length, at, |length, bound| length <= bound, "at most", "characters")?;
    match rules.get("pattern").and_then(Value::as_str) {
        Some(pattern) if !is_match(pattern, text)? => wrong(at, format!("must match the pattern {pattern}")),
        _ => Ok(()),
    }
}

fn check_bound(
    rules: &Map<String, Value>,
    name: &str,
    count: usize,
    at: &str,
    holds: impl Fn(u64, u64) -> bool,
    how: &str,
    what: &str,
) -> Result<(), Invalid> {
    match rules.get(name).and_then(Value::as_u64) {
        Some(bound) if !holds(count as u64, bound) => {
            wrong(at, format!("must have {how} {bound} {what}, and has {count}"))
        }
        _ => Ok(()),
    }
}

fn is_match(pattern: &str, text: &str) -> Result<bool, Invalid> {
    let compiled = RegexBuilder::new(pattern).size_limit(256 * 1024).build();
    let compiled =
        compiled.map_err(|error| Invalid::Schema(format!("the pattern {pattern} is not supported: {error}")))?;
    Ok(compiled.is_match(text))
}

/// Whether two values are equal: numbers by their value.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (one, other) => one == other,
    }
}

fn wrong(at: &str, why: String) -> Result<(), Invalid> {
    Err(Invalid::Value(format!("{at} {why}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The rules of the draft, one value that matches each and one that does not.
    #[test]
    fn values_are_held_against_every_rule() {
        for (schema, matching, other) in [
            (json!({ "type": "integer" }), json!(1.0), json!(1.5)),
            (json!({ "type": ["string", "null"] }), json!(null), json!(1)),
            (json!({ "enum": [1, "a"] }), json!(1.0), json!("b")),
            (json!({ "minimum": 1, "exclusiveMinimum": true }), json!(2), json!(1)),
            (json!({ "maximum": 3 }), json!(3), json!(3.5)),
            (json!({ "multipleOf": 5 }), json!(10), json!(11)),
            (json!({ "minLength": 2, "maxLength": 3 }), json!("aü"), json!("a")),
            (json!({ "pattern": "^a+$" }), json!("aa"), json!("ab")),
            (json!({ "items": { "type": "number" } }), json!([1, 2]), json!([1, "2"])),
            (json!({ "items": [{ "type": "number" }], "additionalItems": false }), json!([1]), json!([1, 2])),
            (json!({ "minItems": 1, "maxItems": 2 }), json!([1]), json!([])),
            (json!({ "uniqueItems": true }), json!([1, 2]), json!([1, 1.0])),
            (json!({ "required": ["a"] }), json!({ "a": null }), json!({ "b": 1 })),
            (json!({ "properties": { "a": { "type": "string" } } }), json!({ "a": "x", "b": 1 }), json!({ "a": 1 })),
            (
                json!({ "properties": { "a": {} }, "patternProperties": { "^x": {} }, "additionalProperties": false }),
                json!({ "a": 1, "xy": 2 }),
                json!({ "b": 1 }),
            ),
            (json!({ "additionalProperties": { "type": "number" } }), json!({ "a": 1 }), json!({ "a": "1" })),
            (json!({ "minProperties": 1, "maxProperties": 1 }), json!({ "a": 1 }), json!({ "a": 1, "b": 1 })),
            (json!({ "dependencies": { "a": ["b"] } }), json!({ "a": 1, "b": 1 }), json!({ "a": 1 })),
            (json!({ "dependencies": { "a": { "required": ["b"] } } }), json!({}), json!({ "a": 1 })),
            (json!({ "allOf": [{ "minimum": 1 }, { "maximum": 2 }] }), json!(1), json!(3)),
            (json!({ "anyOf": [{ "type": "string" }, { "minimum": 5 }] }), json!("a"), json!(4)),
            (json!({ "oneOf": [{ "minimum": 1 }, { "minimum": 5 }] }), json!(2), json!(6)),
            (json!({ "not": { "type": "string" } }), json!(1), json!("a")),
            (json!({ "$ref": "#/definitions/d", "definitions": { "d": { "type": "string" } } }), json!("a"), json!(1)),
        ] {
            assert_eq!(validate(&schema, &matching), Ok(()), "{schema} {matching}");
            assert!(matches!(validate(&schema, &other), Err(Invalid::Value(_))), "{schema} {other}");
        }
        for schema in
            [json!({ "$ref": "#" }), json!({ "$ref": "https://x/y" }), json!(1), json!({ "pattern": "(?<=a)" })]
        {
            assert!(matches!(validate(&schema, &json!("a")), Err(Invalid::Schema(_))), "{schema}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let schema = json!({ "properties": { "a": { "items": { "required": ["b"] } } } });
        assert_eq!(
            validate(&schema, &json!({ "a": [{ "b": 1 }, {}] })),
            Err(Invalid::Value("$.a[1] lacks the required property \"b\"".to_owned()))
        );
    }

    proptest! {
        #[test]
        fn no_schema_panics(names in prop::collection::vec("(type|items|required|not|anyOf|\\$ref|minLength|pattern)", 0..4), text in ".{0,10}") {
            let schema: Value = names.into_iter().map(|name| (name, Value::from(text.as_str()))).collect::<Map<_, _>>().into();
            let _ = validate(&schema, &json!({ "a": [text] }));
        }
    }
}
