//! Event patterns: what EventBridge rules, Lambda's filter criteria and SNS's filter policies have in common ("Comparison
//! operators", EventBridge user guide). A pattern is JSON of the event's form whose leaves are lists of what may be there.

use std::net::IpAddr;

use serde_json::{Map, Value};

/// A pattern that events are held against.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPattern(Map<String, Value>);

impl EventPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What of it is none, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        Self::of(value)
    }

    /// A pattern that is JSON already.
    ///
    /// # Errors
    /// What of it is none, in words.
    pub fn of(value: Value) -> Result<Self, String> {
        let Value::Object(members) = value else { return Err("it is not an object".to_owned()) };
        check(&members, "")?;
        Ok(Self(members))
    }

    /// Whether an event is what the pattern describes.
    pub fn matches(&self, event: &Value) -> bool {
        object_matches(&self.0, event)
    }

    /// What the pattern says of a member of the event, if it says anything.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

/// The operators of a leaf.
const OPERATORS: &[&str] =
    &["anything-but", "cidr", "equals-ignore-case", "exists", "numeric", "prefix", "suffix", "wildcard"];

fn check(members: &Map<String, Value>, path: &str) -> Result<(), String> {
    if members.is_empty() {
        return Err(if path.is_empty() { "it is empty".to_owned() } else { format!("{path} is empty") });
    }
    for (name, value) in members {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Array(choices) if name == "$or" => {
                for choice in choices {
                    let Value::Object(choice) = choice else { return Err(format!("{path} has what is no object")) };
                    check(choice, &path)?;
                }
            }
            Value::Object(below) => check(below, &path)?,
            Value::Array(leaf) if leaf.is_empty() => return Err(format!("{path} is an empty list")),
            Value::Array(leaf) => leaf.iter().try_for_each(|one| check_leaf(one, &path))?,
            _ => return Err(format!("{path} must be an object or a list")),
        }
    }
    Ok(())
}

fn check_leaf(one: &Value, path: &str) -> Result<(), String> {
    let Value::Object(operator) = one else {
        return if one.is_array() { Err(format!("{path} has a list in a list")) } else { Ok(()) };
    };
    let known = operator.len() == 1 && operator.keys().all(|name| OPERATORS.contains(&name.as_str()));
    if !known {
        let names: Vec<&str> = operator.keys().map(String::as_str).collect();
        return Err(format!("{path} has no operator {}: there are {}", names.join(", "), OPERATORS.join(", ")));
    }
    match operator.iter().next() {
        Some((name, Value::Bool(_))) if name == "exists" => Ok(()),
        Some((name, _)) if name == "exists" => Err(format!("{path}: exists is true or false")),
        Some((name, Value::Array(parts))) if name == "numeric" => match comparisons(parts) {
            Some(_) => Ok(()),
            None => Err(format!("{path}: numeric is a list of =, <, <=, > or >= and numbers")),
        },
        Some((name, _)) if name == "numeric" => Err(format!("{path}: numeric is a list")),
        _ => Ok(()),
    }
}

fn object_matches(pattern: &Map<String, Value>, event: &Value) -> bool {
    pattern.iter().all(|(name, wanted)| match wanted {
        Value::Array(choices) if name == "$or" => {
            choices.iter().any(|choice| choice.as_object().is_some_and(|choice| object_matches(choice, event)))
        }
        wanted => member_matches(wanted, event.get(name)),
    })
}

fn member_matches(wanted: &Value, given: Option<&Value>) -> bool {
    match (wanted, given) {
        (Value::Object(pattern), Some(Value::Array(items))) => items.iter().any(|item| object_matches(pattern, item)),
        (Value::Object(pattern), Some(given)) => object_matches(pattern, given),
        // Nothing is there, and nothing may be asked for.
        (Value::Object(pattern), None) => object_matches(pattern, &Value::Null),
        (Value::Array(choices), given) => choices.iter().any(|choice| leaf_matches(choice, given)),
        _ => false,
    }
}

fn leaf_matches(choice: &Value, given: Option<&Value>) -> bool {
    if let Some(exists) = choice.get("exists").and_then(Value::as_bool) {
        return exists == given.is_some_and(|given| !given.is_object());
    }
    match given {
        Some(Value::Array(items)) => items.iter().any(|item| value_matches(choice, item)),
        Some(given) => value_matches(choice, given),
        None => false,
    }
}

fn value_matches(choice: &Value, given: &Value) -> bool {
    let Some((operator, operand)) = choice.as_object().and_then(|choice| choice.iter().next()) else {
        return equal(choice, given);
    };
    let text = given.as_str();
    match operator.as_str() {
        "prefix" => text.is_some_and(|text| affix(operand, text, |text, part| text.starts_with(part))),
        "suffix" => text.is_some_and(|text| affix(operand, text, |text, part| text.ends_with(part))),
        "equals-ignore-case" => {
            text.zip(operand.as_str()).is_some_and(|(text, wanted)| text.to_lowercase() == wanted.to_lowercase())
        }
        "wildcard" => text.zip(operand.as_str()).is_some_and(|(text, pattern)| wildcard(pattern, text)),
        "numeric" => {
            let comparisons = operand.as_array().and_then(|parts| comparisons(parts)).unwrap_or_default();
            given.as_f64().is_some_and(|number| comparisons.iter().all(|one| one.holds(number)))
        }
        "cidr" => text.zip(operand.as_str()).is_some_and(|(text, block)| is_in_block(text, block)),
        "anything-but" => is_anything_but(operand, given),
        _ => false,
    }
}

/// Numbers are equal by value: 1 and 1.0.
fn equal(wanted: &Value, given: &Value) -> bool {
    match (wanted.as_f64(), given.as_f64()) {
        (Some(wanted), Some(given)) => wanted == given,
        _ => wanted == given,
    }
}

/// A prefix or suffix, or one whose case does not count.
fn affix(operand: &Value, text: &str, has: fn(&str, &str) -> bool) -> bool {
    match operand {
        Value::String(part) => has(text, part),
        Value::Object(members) => members
            .get("equals-ignore-case")
            .and_then(Value::as_str)
            .is_some_and(|part| has(&text.to_lowercase(), &part.to_lowercase())),
        _ => false,
    }
}

fn is_anything_but(operand: &Value, given: &Value) -> bool {
    match operand {
        Value::Array(all) => !all.iter().any(|one| equal(one, given)),
        Value::Object(members) => members.iter().all(|(operator, operand)| {
            let several = operand.as_array().map_or_else(|| vec![operand], |all| all.iter().collect());
            let matches = |one: &&Value| {
                let choice = [(operator.clone(), (*one).clone())].into_iter().collect();
                value_matches(&Value::Object(choice), given)
            };
            !several.iter().any(matches)
        }),
        one => !equal(one, given),
    }
}

/// `*` stands for any characters.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

struct Numeric {
    operator: String,
    operand: f64,
}

impl Numeric {
    fn holds(&self, number: f64) -> bool {
        match self.operator.as_str() {
            "=" => number == self.operand,
            "<" => number < self.operand,
            "<=" => number <= self.operand,
            ">" => number > self.operand,
            ">=" => number >= self.operand,
            _ => false,
        }
    }
}

fn comparisons(parts: &[Value]) -> Option<Vec<Numeric>> {
    let pairs = parts.chunks(2).map(|pair| match pair {
        [Value::String(operator), operand] if ["=", "<", "<=", ">", ">="].contains(&operator.as_str()) => {
            Some(Numeric { operator: operator.clone(), operand: operand.as_f64()? })
        }
        _ => None,
    });
    pairs.collect::<Option<Vec<_>>>().filter(|pairs| !pairs.is_empty())
}

fn is_in_block(address: &str, block: &str) -> bool {
    let Some((network, length)) = block.split_once('/') else { return address == block };
    let (Ok(address), Ok(network), Ok(length)) =
        (address.parse::<IpAddr>(), network.parse::<IpAddr>(), length.parse::<u32>())
    else {
        return false;
    };
    let (one, other, bits) = match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u128::from(one.to_bits()), u128::from(other.to_bits()), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
        _ => return false,
    };
    length <= bits && (length == 0 || (one ^ other) >> (bits - length) == 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_held_against_patterns() {
        let event = json!({
            "source": "chat", "count": 3, "rate": 1.0, "ip": "10.1.2.3", "none": null, "tags": ["a", "b"],
            "detail": { "name": "Ann.PNG", "items": [{ "sku": 1, "ok": true }, { "sku": 2, "ok": false }] },
        });
        for (pattern, expected) in [
            (json!({ "source": ["chat"] }), true),
            (json!({ "source": ["other", "chat"], "count": [3.0] }), true),
            (json!({ "source": ["other"] }), false),
            (json!({ "tags": ["b"] }), true),
            (json!({ "tags": ["c"] }), false),
            (json!({ "none": [null] }), true),
            (json!({ "missing": [null] }), false),
            (json!({ "missing": [{ "exists": false }] }), true),
            (json!({ "source": [{ "exists": false }] }), false),
            (json!({ "detail": { "missing": { "deep": [{ "exists": false }] } } }), true),
            (json!({ "source": [{ "prefix": "ch" }] }), true),
            (json!({ "source": [{ "prefix": { "equals-ignore-case": "CH" } }] }), true),
            (json!({ "detail": { "name": [{ "suffix": ".png" }] } }), false),
            (json!({ "detail": { "name": [{ "suffix": { "equals-ignore-case": ".png" } }] } }), true),
            (json!({ "detail": { "name": [{ "equals-ignore-case": "ann.png" }] } }), true),
            (json!({ "detail": { "name": [{ "wildcard": "A*.P*G" }] } }), true),
            (json!({ "detail": { "name": [{ "wildcard": "A*.GIF" }] } }), false),
            (json!({ "count": [{ "numeric": [">", 0, "<=", 3] }] }), true),
            (json!({ "count": [{ "numeric": ["<", 3] }] }), false),
            (json!({ "count": ["3"] }), false),
            (json!({ "ip": [{ "cidr": "10.0.0.0/8" }] }), true),
            (json!({ "ip": [{ "cidr": "10.2.0.0/16" }] }), false),
            (json!({ "source": [{ "anything-but": "chat" }] }), false),
            (json!({ "source": [{ "anything-but": ["a", "b"] }] }), true),
            (json!({ "source": [{ "anything-but": { "prefix": "ch" } }] }), false),
            (json!({ "source": [{ "anything-but": { "suffix": ["x", "y"] } }] }), true),
            (json!({ "missing": [{ "anything-but": "x" }] }), false),
            (json!({ "$or": [{ "source": ["x"] }, { "count": [3] }] }), true),
            (json!({ "$or": [{ "source": ["x"] }, { "count": [4] }] }), false),
            (json!({ "detail": { "items": { "sku": [1], "ok": [true] } } }), true),
            (json!({ "detail": { "items": { "sku": [1], "ok": [false] } } }), false),
        ] {
            let pattern = EventPattern::of(pattern.clone()).unwrap_or_else(|why| panic!("{pattern}: {why}"));
            assert_eq!(pattern.matches(&event), expected, "{pattern:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, why) in [
            ("{", "not JSON"),
            ("[]", "not an object"),
            ("{}", "empty"),
            (r#"{"a": "b"}"#, "a must be an object or a list"),
            (r#"{"a": {"b": []}}"#, "a.b is an empty list"),
            (r#"{"a": [{"begins": "x"}]}"#, "a has no operator begins"),
            (r#"{"a": [{"numeric": [">"]}]}"#, "numeric is a list of"),
            (r#"{"a": [{"exists": "yes"}]}"#, "exists is true or false"),
        ] {
            let refused = EventPattern::read(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
