//! Selects the route of a message: evaluates the API's route selection expression on the message.
//!
//! The rules are the developer guide's (websocket-api-develop-routes): `$request.body.action` and deeper paths, several
//! of them as `${request.body.service}/${request.body.action}`, or fixed text. Bodies that are not JSON, missing members
//! and values that match no route all go to `$default`.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde_json::Value;

/// The routes that messages cannot select.
const LIFECYCLE: [&str; 2] = ["$connect", "$disconnect"];

/// The route of a message: the selected one, else `$default`; `None` where neither exists.
pub fn select<'a, R>(expression: &str, body: &str, routes: &'a BTreeMap<String, R>) -> Option<(&'a String, &'a R)> {
    route_key(expression, body)
        .filter(|key| !LIFECYCLE.contains(&key.as_str()))
        .and_then(|key| routes.get_key_value(&key))
        .or_else(|| routes.get_key_value("$default"))
}

/// The value of the expression; `None` where a member that it refers to is not in the message.
pub fn route_key(expression: &str, body: &str) -> Option<String> {
    let body_json = OnceCell::new();
    evaluate(expression, &|name| {
        let body_json: &Option<Value> = body_json.get_or_init(|| serde_json::from_str(body).ok());
        member(name, body_json.as_ref()?)
    })
}

/// The value of a selection expression: text with variables (`$name`, `${name}`), in which a backslash escapes `$`; `None` where a
/// variable has no value. (Developer guide, "WebSocket selection expressions".)
pub fn evaluate(expression: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut value = String::new();
    let mut rest = expression;
    while let Some(place) = rest.find(['$', '\\']) {
        let (text, after) = rest.split_at(place);
        value.push_str(text);
        if let Some(after) = after.strip_prefix("\\$") {
            value.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix("${") {
            let (name, after) = after.split_once('}')?;
            value.push_str(&variable(name)?);
            rest = after;
        } else if let Some(after) = after.strip_prefix('$') {
            let continues = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-');
            let (name, after) = after.split_at(after.find(|letter| !continues(letter)).unwrap_or(after.len()));
            value.push_str(&variable(name)?);
            rest = after;
        } else {
            value.push('\\');
            rest = &after[1..];
        }
    }
    value.push_str(rest);
    Some(value)
}

/// The value at `request.body.a.b`, as text.
pub fn member(reference: &str, body: &Value) -> Option<String> {
    let path = reference.strip_prefix("request.body.")?;
    let value = path.split('.').try_fold(body, |value, name| value.get(name))?;
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::websocket::message::Form;

    #[test]
    fn a_message_takes_the_route_that_the_developer_guide_says() {
        let routes: BTreeMap<String, ()> =
            ["$connect", "$default", "sendmessage", "chat/join", "7", "fixed"].map(|key| (key.to_owned(), ())).into();
        for (expression, body, expected) in [
            ("$request.body.action", r#"{"action":"sendmessage"}"#, "sendmessage"),
            ("${request.body.action}", r#"{"action":"sendmessage"}"#, "sendmessage"),
            ("$request.body.action", r#"{"action":"SendMessage"}"#, "$default"),
            ("$request.body.action", r#"{"action":7}"#, "7"),
            ("$request.body.action", r#"{"action":null}"#, "$default"),
            ("$request.body.action", r#"{"other":1}"#, "$default"),
            ("$request.body.action", "hello", "$default"),
            ("$request.body.action", "[1]", "$default"),
            ("$request.body.action", "", "$default"),
            ("$request.body.action", r#"{"action":"$connect"}"#, "$default"),
            ("$request.body.message.action", r#"{"message":{"action":"sendmessage"}}"#, "sendmessage"),
            ("${request.body.service}/${request.body.action}", r#"{"service":"chat","action":"join"}"#, "chat/join"),
            ("${request.body.service}/${request.body.action}", r#"{"service":"chat"}"#, "$default"),
            ("fixed", "not json", "fixed"),
            ("${broken", "{}", "$default"),
        ] {
            let taken = select(expression, body, &routes).map(|(key, ())| key.as_str());
            assert_eq!(taken, Some(expected), "{expression} of {body}");
        }
    }

    #[test]
    fn expressions_have_variables_and_escaped_dollars() {
        let variable = |name: &str| (name == "integration.response.statuscode").then(|| "200".to_owned());
        for (expression, expected) in [
            ("\\$default", Some("$default")),
            ("$default", None),
            ("200", Some("200")),
            ("${integration.response.statuscode}-beta", Some("200-beta")),
            ("$integration.response.statuscode/x", Some("200/x")),
            ("a\\b", Some("a\\b")),
            ("${integration.response.statuscode", None),
            ("", Some("")),
        ] {
            assert_eq!(evaluate(expression, &variable).as_deref(), expected, "{expression}");
        }
    }

    #[test]
    fn a_message_that_is_made_for_a_route_takes_it() {
        for (expression, route) in [
            ("$request.body.action", "sendmessage"),
            ("${request.body.action}", "send/message"),
            ("$request.body.message.action", "x"),
            ("${request.body.service}/${request.body.action}", "chat/join"),
            ("v1.${request.body.a}.${request.body.b}", "v1.x.y.z"),
            ("fixed", "fixed"),
        ] {
            let message = Form::to(expression, route, "text").unwrap().message("hello");
            let routes: BTreeMap<String, ()> = [route, "$default"].map(|key| (key.to_owned(), ())).into();
            let taken = select(expression, &message, &routes).map(|(key, ())| key.as_str());
            assert_eq!(taken, Some(route), "{expression} of {message}");
        }
    }

    #[test]
    fn without_a_default_route_nothing_is_selected() {
        let routes: BTreeMap<String, ()> = [("sendmessage".to_owned(), ())].into();
        assert_eq!(select("$request.body.action", "hello", &routes), None);
    }
}
