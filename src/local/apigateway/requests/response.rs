//! What a function's result is to a client.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

/// An answer to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// One of the gateway's own: `{"message": "Not Found"}`.
    pub fn message(status: StatusCode, message: &str) -> Self {
        let body = serde_json::json!({ "message": message }).to_string();
        Self { status, headers: HeaderMap::new(), body: body.into() }.or_type("application/json")
    }

    /// The same, of this type if it has none.
    pub fn or_type(mut self, content_type: &'static str) -> Self {
        self.headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
        self
    }

    /// Adds a header, beside others of its name; nothing where it cannot be one.
    pub fn add(&mut self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            self.headers.append(name, value);
        }
    }

    /// Sets a header in the place of others of its name.
    pub fn set(&mut self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            self.headers.insert(name, value);
        }
    }
}

/// Headers that the connection is about, which a function cannot set.
const OF_CONNECTION: [&str; 4] = ["connection", "content-length", "keep-alive", "transfer-encoding"];

/// Reads the result of payload format 2.0: what has no status code is the body of a 200 in JSON. `None` where it is invalid.
/// (Developer guide, "Lambda function response for format 2.0".)
pub fn version_2(payload: &[u8]) -> Option<Answer> {
    let result: Value = serde_json::from_slice(payload).ok()?;
    let Some(members) = result.as_object().filter(|members| members.contains_key("statusCode")) else {
        let body = match result {
            Value::String(text) => text.into(),
            _ => Bytes::copy_from_slice(payload),
        };
        return Some(Answer { status: StatusCode::OK, headers: HeaderMap::new(), body }.or_type("application/json"));
    };
    let mut answer = stated(members, true)?;
    for cookie in members.get("cookies").and_then(Value::as_array).into_iter().flatten() {
        answer.add("set-cookie", cookie.as_str()?);
    }
    Some(answer.or_type("text/plain; charset=utf-8"))
}

/// Reads the result of payload format 1.0, or of a REST API's integration (`decodes`: whether a body in base64 is decoded). `None`
/// where it is invalid: it must state its status code.
pub fn version_1(payload: &[u8], decodes: bool) -> Option<Answer> {
    let result: Value = serde_json::from_slice(payload).ok()?;
    let members = result.as_object()?;
    let mut answer = stated(members, decodes)?;
    for (name, values) in members.get("multiValueHeaders").and_then(Value::as_object).into_iter().flatten() {
        let name: HeaderName = name.parse().ok()?;
        if OF_CONNECTION.contains(&name.as_str()) {
            continue;
        }
        answer.headers.remove(&name);
        for value in values.as_array().into_iter().flatten() {
            answer.add(name.as_str(), &text(value)?);
        }
    }
    Some(answer)
}

/// What both formats state in the same way.
fn stated(members: &Map<String, Value>, decodes: bool) -> Option<Answer> {
    let status = match &members.get("statusCode")? {
        Value::Number(number) => u16::try_from(number.as_u64()?).ok()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let status = StatusCode::from_u16(status).ok().filter(|status| status.as_u16() >= 200)?;
    let body: Bytes = match members.get("body") {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(text)) if decodes && members.get("isBase64Encoded") == Some(&Value::Bool(true)) => {
            STANDARD.decode(text).ok()?.into()
        }
        Some(Value::String(text)) => text.clone().into(),
        Some(_) => return None,
    };
    let mut answer = Answer { status, headers: HeaderMap::new(), body };
    match members.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Object(headers)) => {
            for (name, value) in headers {
                if !OF_CONNECTION.contains(&name.to_ascii_lowercase().as_str()) && !value.is_null() {
                    answer.add(name, &text(value)?);
                }
            }
        }
        Some(_) => return None,
    }
    Some(answer)
}

/// A header's value as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(answer: Option<Answer>) -> Option<(u16, String, String)> {
        let answer = answer?;
        let content_type = answer.headers.get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
        Some((answer.status.as_u16(), content_type, String::from_utf8_lossy(&answer.body).into_owned()))
    }

    #[test]
    fn what_states_no_status_is_the_body_of_a_200() {
        const PLAIN: &str = "text/plain; charset=utf-8";
        for (payload, expected) in [
            (r#"{"a":1}"#, Some((200, "application/json", r#"{"a":1}"#))),
            (r#""Hello""#, Some((200, "application/json", "Hello"))),
            ("[1,2]", Some((200, "application/json", "[1,2]"))),
            (r#"{"statusCode":204}"#, Some((204, PLAIN, ""))),
            (r#"{"statusCode":"201","headers":{"Content-Type":"x/y"},"body":"b"}"#, Some((201, "x/y", "b"))),
            (r#"{"statusCode":200,"isBase64Encoded":true,"body":"aGk="}"#, Some((200, PLAIN, "hi"))),
            (r#"{"statusCode":200,"body":{"a":1}}"#, None),
            (r#"{"statusCode":99}"#, None),
            ("not json", None),
        ] {
            let expected =
                expected.map(|(status, kind, body): (u16, &str, &str)| (status, kind.to_owned(), body.to_owned()));
            assert_eq!(shown(version_2(payload.as_bytes())), expected, "{payload}");
        }
    }

    #[test]
    fn cookies_are_headers_of_their_own() {
        let answer = version_2(br#"{"statusCode":200,"cookies":["a=1; Secure","b=2"]}"#).unwrap();
        let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1; Secure", "b=2"]);
    }

    #[test]
    fn format_1_states_its_status() {
        assert!(version_1(br#"{"a":1}"#, true).is_none());
        assert!(version_1(br#""x""#, true).is_none());
        let payload = br#"{"statusCode":200,"headers":{"X":1,"Y":"z"},"multiValueHeaders":{"x":["2","3"]}}"#;
        let answer = version_1(payload, true).unwrap();
        assert_eq!(answer.headers.get_all("x").iter().collect::<Vec<_>>(), ["2", "3"]);
        assert_eq!(answer.headers["y"], "z");
        // The connection's own are the gateway's affair, in both maps.
        let own = br#"{"statusCode":200,"headers":{"Content-Length":"1"},"multiValueHeaders":{"Content-Length":["1"],"Connection":["x"]}}"#;
        assert!(version_1(own, true).unwrap().headers.is_empty());
        let base64 = br#"{"statusCode":200,"isBase64Encoded":true,"body":"aGk="}"#;
        assert_eq!(version_1(base64, true).unwrap().body, "hi");
        assert_eq!(version_1(base64, false).unwrap().body, "aGk=");
    }
}
