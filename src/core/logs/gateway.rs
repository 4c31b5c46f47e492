//! What API Gateway logs of clients' requests: the local cloud's own log, and the access logs of a stage.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The group that the local cloud logs the gateway's invocations and refusals to. It is shown to no one who lists groups.
pub const LOCAL_GROUP: &str = "/wschat/gateway";

/// A line of the local cloud's log of its gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayLine {
    /// A function is being invoked for a client.
    Invocation(Invocation),
    /// A client got an error.
    Refusal(Refusal),
}

/// An invocation for a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    pub route: String,
    pub connection_id: String,
    /// Lambda's.
    pub request_id: String,
}

/// An error that a client got.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The route, where one was selected.
    pub route: Option<String>,
    pub connection_id: String,
    /// Lambda's, where a function was invoked.
    pub request_id: Option<String>,
    /// The ARN of the function of the route, where it has one.
    pub function: Option<String>,
    /// As over HTTP.
    pub status: u16,
    /// What the client got.
    pub message: String,
    /// Why, in one sentence.
    pub reason: String,
    /// What to do, in one sentence.
    pub help: Option<String>,
    /// Whether the function failed: its own log says more.
    pub by_function: bool,
}

/// A stage's format of its access log, if it is one JSON object: which member has which `$context` variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessFormat(Vec<(String, String)>);

impl AccessFormat {
    /// Reads a format; `None` for one that is not JSON.
    pub fn parse(format: &str) -> Option<Self> {
        // A number's variable stands without quotes, which is no JSON yet.
        let quoted = quote_bare(format);
        let value: Value = serde_json::from_str(&quoted).ok()?;
        let members = value.as_object()?.iter().filter_map(|(name, value)| {
            let variable = value.as_str()?.strip_prefix("$context.")?;
            Some((name.clone(), variable.to_owned()))
        });
        Some(Self(members.collect()))
    }

    /// The error that a line of the log tells of, or the invocation: what the format has of it. `None` for what is neither.
    pub fn read(&self, line: &str) -> Option<GatewayLine> {
        let value: Value = serde_json::from_str(line).ok()?;
        let get = |variables: &[&str]| {
            variables.iter().find_map(|variable| {
                let (member, _) = self.0.iter().find(|(_, known)| known == variable)?;
                let text = match &value[member.as_str()] {
                    Value::String(text) => text.clone(),
                    Value::Null => return None,
                    other => other.to_string(),
                };
                (text != "-" && !text.is_empty()).then_some(text)
            })
        };
        let route = get(&["routeKey"]);
        let connection_id = get(&["connectionId"]).unwrap_or_default();
        let request_id = get(&["integration.requestId", "awsEndpointRequestId"]);
        let status: u16 = get(&["status"]).and_then(|status| status.parse().ok()).unwrap_or_default();
        let error = get(&["integrationErrorMessage", "integration.error", "error.message", "authorizer.error"]);
        if status >= 400 || (status == 0 && error.is_some()) {
            let message = get(&["error.message", "error.messageString"]).unwrap_or_default();
            let integration = get(&["integration.status", "integration.integrationStatus", "integrationStatus"]);
            let reason = match (error, integration) {
                (Some(error), Some(status)) => format!("{error} (the integration's status: {status})"),
                (Some(error), None) => error,
                (None, Some(status)) => format!("the integration's status: {status}"),
                (None, None) => "the access log's Format has no variable that says why".to_owned(),
            };
            return Some(GatewayLine::Refusal(Refusal {
                route,
                connection_id,
                request_id,
                status,
                message,
                reason,
                ..Refusal::default()
            }));
        }
        let (route, request_id) = (route?, request_id?);
        Some(GatewayLine::Invocation(Invocation { route, connection_id, request_id }))
    }
}

/// A format with quotes around variables that have none.
fn quote_bare(format: &str) -> String {
    let mut out = String::with_capacity(format.len());
    let mut inside = false;
    let mut rest = format;
    while let Some(letter) = rest.chars().next() {
        if letter == '"' {
            inside = !inside;
        }
        if !inside && rest.starts_with("$context.") {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "$._-".contains(c))).unwrap_or(rest.len());
            out.push_str(&format!("\"{}\"", &rest[..end]));
            rest = &rest[end..];
            continue;
        }
        out.push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    out
}
