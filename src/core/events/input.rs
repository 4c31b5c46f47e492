//! What a rule's target gets of an event: all of it, a part (`InputPath`), a constant (`Input`), or a text made of its parts
//! (`InputTransformer`). (EventBridge user guide, "Target input transformation".)

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A rule as input templates can name it.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'a> {
    pub arn: &'a str,
    pub name: &'a str,
    /// When the event came, as AWS writes times.
    pub ingestion_time: &'a str,
}

/// Checks what a target says of its input.
///
/// # Errors
/// What is wrong with it.
pub fn check(target: &Value) -> Result<(), String> {
    let given = ["Input", "InputPath", "InputTransformer"].iter().filter(|member| !target[**member].is_null()).count();
    if given > 1 {
        return Err("Only one of Input, InputPath, or InputTransformer must be provided".to_owned());
    }
    if let Some(text) = target["Input"].as_str()
        && let Err(error) = serde_json::from_str::<Value>(text)
    {
        return Err(format!("JSON syntax error in input ({error})"));
    }
    let paths = target["InputTransformer"]["InputPathsMap"].as_object();
    let paths = paths.into_iter().flat_map(Map::values).chain(Some(&target["InputPath"]));
    match paths.filter_map(Value::as_str).find(|path| steps(path).is_none()) {
        Some(path) => Err(format!("Invalid JsonPath: {path}")),
        None => Ok(()),
    }
}

/// What a target gets of an event, as text: JSON, but for a template that is not.
pub fn of_target(target: &Value, event: &Value, rule: Rule<'_>) -> String {
    if let Some(text) = target["Input"].as_str() {
        return text.to_owned();
    }
    if let Some(path) = target["InputPath"].as_str() {
        return at(event, path).unwrap_or(&Value::Null).to_string();
    }
    let transformer = &target["InputTransformer"];
    let Some(template) = transformer["InputTemplate"].as_str() else { return event.to_string() };
    let mut values = BTreeMap::new();
    for (name, path) in transformer["InputPathsMap"].as_object().into_iter().flatten() {
        if let Some(value) = path.as_str().and_then(|path| at(event, path)) {
            values.insert(name.as_str(), value.clone());
        }
    }
    values.insert("aws.events.rule-arn", rule.arn.into());
    values.insert("aws.events.rule-name", rule.name.into());
    values.insert("aws.events.event.ingestion-time", rule.ingestion_time.into());
    values.insert("aws.events.event.json", event.clone());
    // Without its detail.
    let mut head = event.clone();
    if let Some(members) = head.as_object_mut() {
        members.shift_remove("detail");
    }
    values.insert("aws.events.event", head);
    filled_in(template, &values)
}

/// The template with its `<names>` replaced. In a string a text stands as it is; elsewhere a value is JSON. What an event has not is
/// empty.
fn filled_in(template: &str, values: &BTreeMap<&str, Value>) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut in_string = false;
    let mut rest = template;
    while let Some(letter) = rest.chars().next() {
        let length = letter.len_utf8();
        let name = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).map(|(name, _)| name);
        match (letter, name.filter(|name| is_name(name))) {
            (_, Some(name)) => {
                filled.push_str(&shown(values.get(name), in_string));
                rest = &rest[name.len() + 2..];
                continue;
            }
            ('\\', _) if in_string => {
                let length = length + rest[length..].chars().next().map_or(0, char::len_utf8);
                filled.push_str(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            ('"', _) => in_string = !in_string,
            _ => {}
        }
        filled.push(letter);
        rest = &rest[length..];
    }
    filled
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_alphanumeric() || "._-".contains(letter))
}

fn shown(value: Option<&Value>, in_string: bool) -> String {
    let json = match value {
        None if in_string => return String::new(),
        None => return "\"\"".to_owned(),
        Some(value) => value.to_string(),
    };
    if !in_string {
        return json;
    }
    // Inside of a JSON string: what a string has between its quotes.
    let text = match value {
        Some(Value::String(_)) => json,
        _ => Value::String(json).to_string(),
    };
    text[1..text.len() - 1].to_owned()
}

/// The value at a JSON path: `$.detail.room`, `$.resources[0]`, `$['detail-type']`.
fn at<'a>(event: &'a Value, path: &str) -> Option<&'a Value> {
    steps(path)?.into_iter().try_fold(event, |value, step| match step {
        Step::Member(name) => value.get(name),
        Step::Index(index) => value.get(index),
    })
}

enum Step<'a> {
    Member(&'a str),
    Index(usize),
}

/// The steps of a JSON path; `None` for one that this is not. (Those with wildcards and filters are not allowed.)
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix("['") {
            let (name, after) = inside.split_once("']")?;
            steps.push(Step::Member(name));
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('[') {
            let (index, after) = inside.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        } else {
            let name = rest.strip_prefix('.')?;
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, after) = name.split_at(end);
            if name.is_empty() || name.contains(['*', '?', '@', ' ']) {
                return None;
            }
            steps.push(Step::Member(name));
            rest = after;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "detail-type": "Joined", "resources": ["a", "b"],
            "detail": { "room": "the \"lobby\"", "size": 7, "who": { "name": "ada" } },
        })
    }

    fn input(target: &Value) -> String {
        assert_eq!(check(target), Ok(()), "{target}");
        let rule = Rule { arn: "arn:rule/r", name: "r", ingestion_time: "2026-11-29T10:00:00Z" };
        of_target(target, &event(), rule)
    }

    #[test]
    fn a_target_gets_the_event_a_part_or_a_constant() {
        assert_eq!(input(&json!({})), event().to_string());
        for (target, expected) in [
            (json!({ "Input": "{\"a\":1}" }), "{\"a\":1}"),
            (json!({ "InputPath": "$.detail.size" }), "7"),
            (json!({ "InputPath": "$.resources[1]" }), "\"b\""),
            (json!({ "InputPath": "$['detail-type']" }), "\"Joined\""),
            (json!({ "InputPath": "$.detail-type" }), "\"Joined\""),
            (json!({ "InputPath": "$.gone" }), "null"),
        ] {
            assert_eq!(input(&target), expected, "{target}");
        }
    }

    #[test]
    fn a_template_is_filled_in() {
        let paths = json!({ "room": "$.detail.room", "size": "$.detail.size", "who": "$.detail.who", "gone": "$.x" });
        for (template, expected) in [
            (r#""<room> has <size>""#, r#""the \"lobby\" has 7""#),
            (r#"{"room": <room>, "size": <size>}"#, r#"{"room": "the \"lobby\"", "size": 7}"#),
            (
                r#"{"who": <who>, "text": "it is <who>"}"#,
                r#"{"who": {"name":"ada"}, "text": "it is {\"name\":\"ada\"}"}"#,
            ),
            (r#"{"x": <gone>, "y": "<gone>"}"#, r#"{"x": "", "y": ""}"#),
            (r#"{"a": "\"<size>\"", "b": <size>}"#, r#"{"a": "\"7\"", "b": 7}"#),
            (
                r#"{"rule": <aws.events.rule-name>, "arn": "<aws.events.rule-arn>"}"#,
                r#"{"rule": "r", "arn": "arn:rule/r"}"#,
            ),
            (r#""1 < 2 and 3 > 2""#, r#""1 < 2 and 3 > 2""#),
            (r#"<aws.events.event>"#, r#"{"detail-type":"Joined","resources":["a","b"]}"#),
        ] {
            let target = json!({ "InputTransformer": { "InputPathsMap": paths, "InputTemplate": template } });
            assert_eq!(input(&target), expected, "{template}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (target, why) in [
            (json!({ "Input": "{}", "InputPath": "$" }), "Only one of"),
            (json!({ "Input": "{" }), "JSON syntax error"),
            (json!({ "InputPath": "detail" }), "Invalid JsonPath: detail"),
            (json!({ "InputPath": "$.detail.*" }), "Invalid JsonPath"),
            (
                json!({ "InputTransformer": { "InputPathsMap": { "a": "$[?(@.b)]" }, "InputTemplate": "<a>" } }),
                "Invalid JsonPath",
            ),
        ] {
            let error = check(&target).unwrap_err();
            assert!(error.contains(why), "{target}: {error}");
        }
    }
}
