//! What a client sends to be passed on: `{"action":"sendmessage","message":"..."}`.

use std::fmt;

use serde_json::Value;

/// The `message` in the body of an event.
///
/// # Errors
/// What is wrong with the body, as the sender is told.
pub fn read(body: Option<&str>) -> Result<String, Malformed> {
    let Ok(Value::Object(mut body)) = serde_json::from_str(body.unwrap_or_default()) else {
        return Err(Malformed::NoObject);
    };
    match body.remove("message") {
        Some(Value::String(message)) => Ok(message),
        Some(_) => Err(Malformed::NoText),
        None => Err(Malformed::NoMessage),
    }
}

/// Why a body holds nothing to pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    NoObject,
    NoMessage,
    NoText,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = match self {
            Self::NoObject => "this is not a JSON object",
            Self::NoMessage => "\"message\" is missing",
            Self::NoText => "\"message\" is not a string",
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
            (Some(r#"{"action":"sendmessage"}"#), Err(Malformed::NoMessage)),
            (Some(r#"{"message":null}"#), Err(Malformed::NoText)),
            (Some(r#"{"message":{"text":"hello"}}"#), Err(Malformed::NoText)),
            (Some(r#"["message"]"#), Err(Malformed::NoObject)),
            (Some("hello"), Err(Malformed::NoObject)),
            (None, Err(Malformed::NoObject)),
        ] {
            assert_eq!(read(body), read_as.map(str::to_owned), "{body:?}");
        }
    }

    #[test]
    fn a_sender_is_told_what_is_wrong_and_what_is_right() {
        assert_eq!(
            Malformed::NoMessage.to_string(),
            r#"Not sent: "message" is missing. Send {"action":"sendmessage","message":"hello, everyone!"}."#
        );
    }
}
