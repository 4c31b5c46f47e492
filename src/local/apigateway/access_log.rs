//! Access logs: a line for each request of a client, in the stage's format, written to the stage's log group
//! (developer guide, "Configure logging for WebSocket APIs" and "WebSocket API mapping template reference").

use std::sync::LazyLock;
use std::time::Duration;

use regex_lite::Regex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::cause::Cause;
use super::event::{self, Origin, RequestInfo};
use super::model::AccessLogSettings;
use crate::local::context::ports::{LogEvent, LogSink};
use crate::local::context::recorder::Why;

/// The access log record of one request of a client.
#[derive(Debug)]
pub struct AccessRecord {
    pub request_info: RequestInfo,
    /// `CONNECT`, `MESSAGE` or `DISCONNECT`; `REQUEST` of an HTTP API.
    pub event_type: &'static str,
    /// More `$context` variables, of an HTTP API's requests.
    pub variables: Vec<(&'static str, String)>,
    /// The route, where one was selected.
    pub route_key: Option<String>,
    /// The message's id, for a message.
    pub message_id: Option<String>,
    /// The status of the answer to the client, or what it would be over HTTP.
    pub status: u16,
    /// The error message in the answer.
    pub error: Option<&'static str>,
    pub integration: Option<Integration>,
    /// Why there is an error; the client is not told.
    pub cause: Option<Cause>,
    pub invocation: Option<Invocation>,
}

/// Latency and result of an integration.
#[derive(Debug)]
pub struct Integration {
    pub latency: Duration,
    /// The status code that the function returned.
    pub status: Option<u16>,
    pub error: Option<&'static str>,
}

/// The function that was last invoked for a request.
#[derive(Debug)]
pub struct Invocation {
    /// Its ARN.
    pub function: String,
    /// Lambda's id of the invocation.
    pub request_id: String,
}

impl AccessRecord {
    /// The record of a request that is received now.
    pub fn new(event_type: &'static str) -> Self {
        Self {
            request_info: RequestInfo::now(),
            event_type,
            variables: Vec::new(),
            route_key: None,
            message_id: None,
            status: 200,
            error: None,
            integration: None,
            cause: None,
            invocation: None,
        }
    }

    /// Sets the error that the client gets, and why.
    pub fn refuse(&mut self, status: u16, message: &'static str, cause: Cause) {
        self.status = status;
        self.error = Some(message);
        self.cause = Some(cause);
    }

    /// Why there is an error, in words.
    pub fn why(&self) -> Option<Why> {
        let place = match self.route_key.as_deref() {
            None => "the selection of a route".to_owned(),
            Some(key @ ("$connect" | "$disconnect")) => key.to_owned(),
            Some(key) => format!("the route {key}"),
        };
        self.cause.as_ref().map(|cause| cause.explain(&place))
    }

    /// Writes the record to the stage's log group. A deleted group is not created again.
    pub fn write(&self, settings: &AccessLogSettings, origin: &Origin, region: &str, logs: &dyn LogSink) {
        let (Some(arn), Some(format)) = (&settings.destination_arn, &settings.format) else { return };
        let Some((_, group)) = arn.split_once(":log-group:") else { return };
        let group = group.strip_suffix(":*").unwrap_or(group);
        if !logs.has_group(region, group) {
            return;
        }
        let event = LogEvent {
            timestamp: event::milliseconds(self.request_info.at),
            message: substitute(format, |name| self.variable(name, origin)),
        };
        // AWS's stream names are 32 hexadecimal digits without a documented meaning.
        let stream = hex::encode(&Sha256::digest(format!("{}/{}", origin.api_id, origin.stage))[..16]);
        // The group may have been deleted meanwhile, and API Gateway creates none.
        logs.append_if(region, group, &stream, vec![event], &|| false);
    }

    /// The value of a `$context` variable.
    fn variable(&self, name: &str, origin: &Origin) -> Option<String> {
        let integration = self.integration.as_ref();
        let text = |text: &str| Some(text.to_owned());
        if let Some((_, value)) = self.variables.iter().find(|(known, _)| *known == name) {
            return Some(value.clone());
        }
        match name {
            "apiId" => text(&origin.api_id),
            "connectedAt" => Some(origin.connected_at.to_string()),
            "connectionId" => text(&origin.connection_id),
            "domainName" => text(&origin.domain_name),
            "error.message" => self.error.map(str::to_owned),
            "error.messageString" => self.error.map(|error| json!(error).to_string()),
            "eventType" => text(self.event_type),
            "extendedRequestId" | "requestId" => text(&self.request_info.request_id),
            "identity.sourceIp" => text(&origin.source_ip),
            "identity.userAgent" => origin.user_agent.clone(),
            "integration.error" | "integrationErrorMessage" => integration?.error.map(str::to_owned),
            "integration.integrationStatus" | "integrationStatus" => {
                integration?.error.is_none().then(|| "200".to_owned())
            }
            "integration.latency" | "integrationLatency" => Some(integration?.latency.as_millis().to_string()),
            "integration.status" => integration?.status.map(|status| status.to_string()),
            "messageId" => self.message_id.clone(),
            "requestTime" => Some(event::request_time(self.request_info.at)),
            "requestTimeEpoch" => Some(event::milliseconds(self.request_info.at).to_string()),
            "routeKey" => self.route_key.clone(),
            "stage" => text(&origin.stage),
            "status" => Some(self.status.to_string()),
            _ => match origin.authorizer.as_ref()?.get(name.strip_prefix("authorizer.")?)? {
                Value::String(said) => text(said),
                said => Some(said.to_string()),
            },
        }
    }
}

/// A format with its `$context` variables replaced by their values; a hyphen for one without a value.
fn substitute(format: &str, value: impl Fn(&str) -> Option<String>) -> String {
    static VARIABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$context((?:\.[A-Za-z0-9_-]+)+)").ok());
    let Some(variable) = &*VARIABLE else { return format.to_owned() };
    let hyphen = || "-".to_owned();
    variable
        .replace_all(format, |found: &regex_lite::Captures<'_>| value(&found[1][1..]).unwrap_or_else(hyphen))
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_a_format_are_substituted() {
        let value = |name: &str| match name {
            "requestId" => Some("1".to_owned()),
            "authorizer.who" => Some("$context.requestId".to_owned()),
            _ => None,
        };
        for (format, expected) in [
            ("$context.requestId", "1"),
            (r#"{"id":"$context.requestId","ip":"$context.identity.sourceIp"}"#, r#"{"id":"1","ip":"-"}"#),
            ("$context.requestId. $context. $other", "1. $context. $other"),
            ("$context.authorizer.who", "$context.requestId"),
        ] {
            assert_eq!(substitute(format, value), expected, "{format}");
        }
    }
}
