//! Parses a client's message: `{"action":"sendmessage","message":"..."}`.

use std::fmt;

use serde_json::Value;

/// The `message` in the body of an event.
///
/// # Errors
/// Why the body is invalid; its text is sent back to the sender.
pub fn read(body: Option<&str>) -> Result<String, Malformed> {
    let Ok(Value::Object(mut body)) = serde_json::from_str(body.unwrap_or_default()) else {
        return Err(Malformed::NotAnObject);
    };
    match body.remove("message") {
        Some(Value::String(message)) => Ok(message),
        Some(_) => Err(Malformed::MessageNotText),
        None => Err(Malformed::MessageMissing),
    }
}

/// Why a body is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    NotAnObject,
    MessageMissing,
    MessageNotText,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = match self {
            Self::NotAnObject => "this is not a JSON object",
            Self::MessageMissing => "\"message\" is missing",
            Self::MessageNotText => "\"message\" is not a string",
        };
        write!(f, r#"Not sent: {wrong}. Send {{"action":"sendmessage","message":"hello, everyone!"}}."#)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        for (body, read_as) in [
            (Some(r#"{"action":"sendmessage","message":"hello, everyone!"}"#), Ok("hello, everyone!")),
            (Some(r#"{"message":"","more":1}"#), Ok("")),
            (Some(r#"{"message":"\u00e4 \"quoted\"\n"}"#), Ok("ä \"quoted\"\n")),
            (Some(r#"{"action":"sendmessage"}"#), Err(Malformed::MessageMissing)),
            (Some(r#"{"message":null}"#), Err(Malformed::MessageNotText)),
            (Some(r#"{"message":{"text":"hello"}}"#), Err(Malformed::MessageNotText)),
            (Some(r#"["message"]"#), Err(Malformed::NotAnObject)),
            (Some("hello"), Err(Malformed::NotAnObject)),
            (None, Err(Malformed::NotAnObject)),
        ] {
            assert_eq!(read(body), read_as.map(str::to_owned), "{body:?}");
        }
    }

    #[test]
    fn an_invalid_body_is_answered_with_the_problem_and_an_example() {
        assert_eq!(
            Malformed::MessageMissing.to_string(),
            r#"Not sent: "message" is missing. Send {"action":"sendmessage","message":"hello, everyone!"}."#
        );
    }
}
