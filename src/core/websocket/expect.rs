//! What a step of a smoke test expects of a client's connection, and whether a frame is that.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::Value;

use super::message::gateway_error;

/// What is expected.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// Any message that is not an error of the gateway.
    Any,
    /// This text.
    Text(String),
    /// A text with this in it.
    Contains(String),
    /// A text that this regular expression finds something in.
    Matches(String),
    /// A JSON text that has at least this in it (`is_subset`).
    Json(Value),
    /// No message at all, as long as the step's timeout lasts.
    Nothing,
    /// The end of the connection by the other side, with this code if one is given.
    Closed(Option<u16>),
}

/// What came from the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    Text(String),
    /// How many bytes.
    Binary(usize),
    Closed(u16),
}

impl Came {
    /// The same as a person reads it, cut where it is long.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) => cut(text),
            Self::Binary(bytes) => format!("a binary message of {bytes} bytes"),
            Self::Closed(code) => format!("the connection was closed with {code}"),
        }
    }
}

/// The longest text that a report quotes, in characters.
const QUOTED: usize = 300;

fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

impl Expected {
    /// Whether this came, and which variables the regular expression's named groups gave; `None` where it is something
    /// else.
    pub fn accepts(&self, came: &Came) -> Option<BTreeMap<String, String>> {
        let when = |accepted: bool| accepted.then(BTreeMap::new);
        match (self, came) {
            (Self::Any, Came::Text(text)) => when(gateway_error(text).is_none()),
            (Self::Any, Came::Binary(_)) => when(true),
            (Self::Text(expected), Came::Text(text)) => when(text == expected),
            (Self::Contains(part), Came::Text(text)) => when(text.contains(part)),
            (Self::Matches(pattern), Came::Text(text)) => {
                let regex = Regex::new(pattern).ok()?;
                let found = regex.captures(text)?;
                let group = |name: &str| Some((name.to_owned(), found.name(name)?.as_str().to_owned()));
                Some(regex.capture_names().flatten().filter_map(group).collect())
            }
            (Self::Json(expected), Came::Text(text)) => {
                when(serde_json::from_str(text).is_ok_and(|actual: Value| is_subset(expected, &actual)))
            }
            (Self::Closed(code), Came::Closed(actual)) => when(code.is_none_or(|code| code == *actual)),
            _ => None,
        }
    }

    /// The same in words.
    pub fn shown(&self) -> String {
        match self {
            Self::Any => "a message".to_owned(),
            Self::Text(text) => format!("the text {}", cut(text)),
            Self::Contains(part) => format!("a text that contains {}", cut(part)),
            Self::Matches(pattern) => format!("a text that matches {}", cut(pattern)),
            Self::Json(value) => format!("JSON with {}", cut(&value.to_string())),
            Self::Nothing => "nothing".to_owned(),
            Self::Closed(None) => "the end of the connection".to_owned(),
            Self::Closed(Some(code)) => format!("the end of the connection with {code}"),
        }
    }
}

/// Whether `actual` has all of `expected`: an object its members, a list of the same length its elements, anything else the
/// same value. Numbers are compared by value: 1 is 1.0.
pub fn is_subset(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            expected.iter().all(|(name, value)| actual.get(name).is_some_and(|actual| is_subset(value, actual)))
        }
        (Value::Array(expected), Value::Array(actual)) => {
            expected.len() == actual.len() && expected.iter().zip(actual).all(|(a, b)| is_subset(a, b))
        }
        (Value::Number(a), Value::Number(b)) => a == b || (a.as_f64().is_some() && a.as_f64() == b.as_f64()),
        _ => expected == actual,
    }
}

/// The value at a path of members and indexes (`user.ids.0`) in a JSON text, as text.
pub fn member(text: &str, path: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let found = path.split('.').try_fold(&value, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })?;
    Some(match found {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(text: &str) -> Came {
        Came::Text(text.to_owned())
    }

    #[test]
    fn frames_are_accepted_or_not() {
        let error = r#"{"message":"Internal server error","connectionId":"a","requestId":"b"}"#;
        let table: Vec<(Expected, Came, bool)> = vec![
            (Expected::Any, text("x"), true),
            (Expected::Any, text(error), false),
            (Expected::Any, Came::Closed(1000), false),
            (Expected::Text("hi".into()), text("hi"), true),
            (Expected::Text("hi".into()), text("hi "), false),
            (Expected::Contains("ell".into()), text("hello"), true),
            (Expected::Contains("ell".into()), text("hallo"), false),
            (Expected::Matches("^h.llo$".into()), text("hello"), true),
            (Expected::Matches("^h.llo$".into()), text("hello!"), false),
            (Expected::Json(json!({"a": 1})), text(r#"{"b":2,"a":1.0}"#), true),
            (Expected::Json(json!({"a": {"b": [1, {"c": 2}]}})), text(r#"{"a":{"b":[1,{"c":2,"d":3}],"x":0}}"#), true),
            (Expected::Json(json!({"a": [1]})), text(r#"{"a":[1,2]}"#), false),
            (Expected::Json(json!({"a": null})), text("{}"), false),
            (Expected::Json(json!("x")), text("\"x\""), true),
            (Expected::Json(json!({})), text("no JSON"), false),
            (Expected::Json(json!({"message": "Internal server error"})), text(error), true),
            (Expected::Closed(None), Came::Closed(1006), true),
            (Expected::Closed(Some(1001)), Came::Closed(1000), false),
            (Expected::Nothing, text("x"), false),
            (Expected::Text("hi".into()), Came::Binary(2), false),
        ];
        for (expected, came, accepted) in table {
            assert_eq!(expected.accepts(&came).is_some(), accepted, "{expected:?} {came:?}");
        }
    }

    #[test]
    fn named_groups_and_members_give_variables() {
        let found = Expected::Matches(r#"id (?<id>\w+)"#.into()).accepts(&text("your id x1!")).unwrap();
        assert_eq!(found.get("id").map(String::as_str), Some("x1"));
        let json = r#"{"user":{"ids":[7,"x"]}}"#;
        assert_eq!(member(json, "user.ids.1").as_deref(), Some("x"));
        assert_eq!(member(json, "user.ids.0").as_deref(), Some("7"));
        assert_eq!(member(json, "user.name"), None);
        assert_eq!(member("x", "a"), None);
    }

    #[test]
    fn long_texts_are_cut() {
        let long = "é".repeat(400);
        assert_eq!(text(&long).shown(), format!("{}…", "é".repeat(300)));
    }
}
