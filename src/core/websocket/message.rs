//! Messages to and from a WebSocket API: the one that takes a route, and the errors that the gateway sends in place of an
//! answer.

use std::fmt;

use serde_json::{Map, Value};

/// The member that holds the text of a message, unless the user names another: that of AWS's tutorial
/// "Create a WebSocket chat app".
pub const TEXT_FIELD: &str = "message";

/// The expression that AWS's guides and consoles give a WebSocket API.
pub const USUAL_EXPRESSION: &str = "$request.body.action";

/// How a plain text is sent: inside a JSON object that takes a route, or as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// As it is: it goes to `$default`.
    Plain,
    /// As the member `field` of this object, which takes the route.
    Object { route: String, object: Map<String, Value>, field: String },
}

/// Why no message can be made for plain texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoForm {
    Several(Vec<String>),
    Unknown { route: String, routes: Vec<String> },
    Unreachable { route: String, expression: String },
    Taken { field: String, expression: String },
}

impl fmt::Display for NoForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Several(routes) => {
                let routes = routes.join(", ");
                write!(
                    f,
                    "the API has several routes that a message can take ({routes}), and plain text can take only one"
                )
            }
            Self::Unknown { route, routes } if routes.is_empty() => {
                write!(f, "the API has no route \"{route}\"; it has none that a message selects")
            }
            Self::Unknown { route, routes } => {
                write!(f, "the API has no route \"{route}\"; it has {}", routes.join(", "))
            }
            Self::Unreachable { route, expression } => {
                write!(f, "no message takes the route \"{route}\" by the API's route selection expression {expression}")
            }
            Self::Taken { field, expression } => {
                write!(f, "\"{field}\" is a part of what selects the route ({expression}), so it cannot hold the text")
            }
        }
    }
}

impl std::error::Error for NoForm {}

impl Form {
    /// The form of plain texts for an API with this route selection expression and these routes: the message that takes
    /// `route`, or where none is given, the API's only route that messages select. Without such a route it is `Plain`.
    ///
    /// # Errors
    /// When the route is unknown, not the only one, or not reachable by a message.
    pub fn of(expression: &str, routes: &[String], route: Option<&str>, field: &str) -> Result<Self, NoForm> {
        let custom: Vec<&String> = routes.iter().filter(|route| !route.starts_with('$')).collect();
        let names = || custom.iter().map(|route| (*route).clone()).collect::<Vec<_>>();
        let route = match (route, custom.as_slice()) {
            (Some("$default"), _) => return Ok(Self::Plain),
            (Some(route), _) if custom.iter().any(|custom| *custom == route) => route,
            (Some(route), _) => return Err(NoForm::Unknown { route: route.to_owned(), routes: names() }),
            (None, []) => return Ok(Self::Plain),
            (None, [route]) => route.as_str(),
            (None, _) => return Err(NoForm::Several(names())),
        };
        Self::to(expression, route, field)
    }

    /// The message that takes a route, whether or not an API has it.
    ///
    /// # Errors
    /// When no message takes it.
    pub fn to(expression: &str, route: &str, field: &str) -> Result<Self, NoForm> {
        let unreachable = || NoForm::Unreachable { route: route.to_owned(), expression: expression.to_owned() };
        let members = members(expression, route).ok_or_else(unreachable)?;
        let taken = || NoForm::Taken { field: field.to_owned(), expression: expression.to_owned() };
        let mut object = Map::new();
        for (path, value) in &members {
            if path.first().is_some_and(|first| first == field) {
                return Err(taken());
            }
            insert(&mut object, path, value).ok_or_else(unreachable)?;
        }
        Ok(Self::Object { route: route.to_owned(), object, field: field.to_owned() })
    }

    /// The message that holds a text.
    pub fn message(&self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Object { object, field, .. } => {
                let mut object = object.clone();
                object.insert(field.clone(), text.into());
                Value::Object(object).to_string()
            }
        }
    }

    /// The route that messages of this form take.
    pub fn route(&self) -> &str {
        match self {
            Self::Plain => "$default",
            Self::Object { route, .. } => route,
        }
    }
}

/// The members that a message must have so that `expression` gives `route`; `None` where it never does.
fn members(expression: &str, route: &str) -> Option<Vec<(Vec<String>, String)>> {
    let path = |reference: &str| {
        let path = reference.strip_prefix("request.body.")?;
        Some(path.split('.').map(str::to_owned).collect::<Vec<_>>())
    };
    if let Some(reference) = expression.strip_prefix('$').filter(|rest| !rest.starts_with('{')) {
        return Some(vec![(path(reference)?, route.to_owned())]);
    }
    let mut found: Vec<(Vec<String>, String)> = Vec::new();
    let mut route = route;
    let mut rest = expression;
    while let Some((text, after)) = rest.split_once("${") {
        let (reference, after) = after.split_once('}')?;
        route = route.strip_prefix(text)?;
        // The value reaches to the next fixed text, or to the end.
        let fixed = after.split("${").next().unwrap_or_default();
        let end = match (fixed, after == fixed) {
            ("", true) => route.len(),
            (fixed, true) => route.len().checked_sub(fixed.len()).filter(|at| route[..].is_char_boundary(*at))?,
            (fixed, false) => route.find(fixed)?,
        };
        let (value, left) = route.split_at(end);
        let path = path(reference)?;
        match found.iter().find(|(known, _)| *known == path) {
            Some((_, known)) if known != value => return None,
            Some(_) => {}
            None => found.push((path, value.to_owned())),
        }
        route = left;
        rest = after;
    }
    (route == rest).then_some(found)
}

/// Puts a text at a path of members; `None` where something else stands in the way.
fn insert(object: &mut Map<String, Value>, path: &[String], value: &str) -> Option<()> {
    let (first, below) = path.split_first()?;
    if below.is_empty() {
        return object.insert(first.clone(), value.into()).is_none().then_some(());
    }
    let inner = object.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
    insert(inner.as_object_mut()?, below, value)
}

/// The error that a frame of the gateway carries in place of an answer: `Internal server error` where a handler failed,
/// `Forbidden` where no route takes the message. Such a frame has its message, the connection's id and the request's, and
/// nothing else.
pub fn gateway_error(text: &str) -> Option<String> {
    let Ok(Value::Object(members)) = serde_json::from_str(text) else { return None };
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let is_error = members.len() == 3 && text("connectionId").is_some() && text("requestId").is_some();
    text("message").filter(|_| is_error).map(str::to_owned)
}

/// What to make of a gateway's error, as a part of a sentence; and whether a handler's log says more.
pub fn explained(error: &str) -> (&'static str, bool) {
    match error {
        "Internal server error" => ("the handler of the message failed, or API Gateway may not invoke it", true),
        "Forbidden" => ("no route takes this message, and there is no $default", false),
        "Too Many Requests" => ("throttled by the stage's limits or the account's", false),
        "Endpoint request timed out" => ("the handler took longer than 29 seconds", true),
        _ => ("API Gateway answered in place of a handler", true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn plain_text_takes_the_only_route_that_messages_select() {
        let all = ["$connect", "$disconnect", "$default"];
        for (expression, extra, expected) in [
            (USUAL_EXPRESSION, &["sendmessage"][..], r#"{"action":"sendmessage","message":"hi"}"#),
            ("${request.body.action}", &["say"], r#"{"action":"say","message":"hi"}"#),
            ("$request.body.a.b", &["say"], r#"{"a":{"b":"say"},"message":"hi"}"#),
            ("${request.body.s}/${request.body.a}", &["chat/join"], r#"{"s":"chat","a":"join","message":"hi"}"#),
            ("v1-${request.body.a}!", &["v1-say!"], r#"{"a":"say","message":"hi"}"#),
            ("fixed", &["fixed"], r#"{"message":"hi"}"#),
            (USUAL_EXPRESSION, &[], "hi"),
        ] {
            let form = Form::of(expression, &routes(&[&all[..], extra].concat()), None, TEXT_FIELD).unwrap();
            assert_eq!(form.message("hi"), expected, "{expression}");
        }
    }

    #[test]
    fn what_no_message_can_do_is_refused() {
        let two = routes(&["a", "$default", "b"]);
        let of = |expression: &str, route: Option<&str>, field: &str| Form::of(expression, &two, route, field);
        let message = |result: Result<Form, NoForm>| result.unwrap_err().to_string();
        assert!(message(of(USUAL_EXPRESSION, None, "m")).contains("several routes that a message can take (a, b)"));
        assert_eq!(message(of(USUAL_EXPRESSION, Some("c"), "m")), "the API has no route \"c\"; it has a, b");
        assert!(message(of("fixed", Some("a"), "m")).contains("no message takes the route \"a\""));
        assert!(message(of(USUAL_EXPRESSION, Some("a"), "action")).contains("cannot hold the text"));
        assert!(message(of("$request.header.x", Some("a"), "m")).contains("no message takes"));
        assert_eq!(of(USUAL_EXPRESSION, Some("$default"), "m"), Ok(Form::Plain));
        assert_eq!(of(USUAL_EXPRESSION, Some("b"), "data").unwrap().message("x"), r#"{"action":"b","data":"x"}"#);
        let none = Form::of(USUAL_EXPRESSION, &routes(&["$default"]), Some("c"), "m").unwrap_err();
        assert_eq!(none.to_string(), "the API has no route \"c\"; it has none that a message selects");
    }

    #[test]
    fn the_errors_of_the_gateway_are_told_from_answers() {
        let error = r#"{"message": "Internal server error", "connectionId":"a=", "requestId":"b="}"#;
        assert_eq!(gateway_error(error).as_deref(), Some("Internal server error"));
        for text in [
            r#"{"message":"Internal server error"}"#,
            r#"{"message":"hi","connectionId":"a","requestId":"b","room":1}"#,
            "Internal server error",
            r#"["message"]"#,
        ] {
            assert_eq!(gateway_error(text), None, "{text}");
        }
    }
}
