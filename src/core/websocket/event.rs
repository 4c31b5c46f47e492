//! The events that a Lambda proxy integration (AWS_PROXY) of a WebSocket API receives, with the same fields as on AWS: recorded
//! events in powertools-lambda-python and typelevel/feral; see docs/aws-facts.md. The local gateway sends them, and
//! `wschat invoke` makes them up.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

/// Stage variables.
pub type Strings = BTreeMap<String, String>;

/// Header or query parameter names with their values, in the order sent.
pub type Pairs = Vec<(String, String)>;

/// The members of events that describe their connection.
#[derive(Debug, Clone)]
pub struct Origin {
    pub api_id: String,
    pub stage: String,
    pub connection_id: String,
    pub domain_name: String,
    pub source_ip: String,
    pub user_agent: Option<String>,
    /// Milliseconds since the epoch.
    pub connected_at: i64,
    /// The context returned by the authorizer, if there is one.
    pub authorizer: Option<Map<String, Value>>,
}

/// The time of a client's request, and the id under which it is logged.
#[derive(Debug, Clone)]
pub struct RequestInfo {
    pub request_id: String,
    pub at: OffsetDateTime,
}

/// Milliseconds since the epoch.
pub fn milliseconds(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// A time in the format of events and access logs: `22/Nov/2026:19:50:28 +0000`.
pub fn request_time(time: OffsetDateTime) -> String {
    let format = format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    time.format(format).unwrap_or_default()
}

/// The `$connect` event, with the headers and the query string of the handshake.
pub fn connect(
    origin: &Origin,
    request_info: &RequestInfo,
    headers: &Pairs,
    query: &Pairs,
    variables: &Strings,
) -> Bytes {
    let has_query = !query.is_empty();
    Event {
        headers: Some(single(headers)),
        multi_value_headers: Some(multiple(headers)),
        query_string_parameters: has_query.then(|| single(query)),
        multi_value_query_string_parameters: has_query.then(|| multiple(query)),
        ..Event::new(origin, request_info, variables, "$connect", "CONNECT")
    }
    .bytes()
}

/// The event of an authorizer, for a client that connects to `method_arn`.
pub fn authorize(
    origin: &Origin,
    request_info: &RequestInfo,
    headers: &Pairs,
    query: &Pairs,
    variables: &Strings,
    method_arn: &str,
) -> Bytes {
    // Unlike `$connect`, an authorizer also receives the hop-by-hop headers of the handshake.
    let hop = [("Connection", "upgrade"), ("content-length", "0"), ("Upgrade", "websocket")];
    let hop = hop.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers: Pairs = headers.iter().cloned().chain(hop).collect();
    let context = Event::new(origin, request_info, variables, "$connect", "CONNECT").request_context;
    let event = json!({
        "type": "REQUEST",
        "methodArn": method_arn,
        "headers": single(&headers),
        "multiValueHeaders": multiple(&headers),
        "queryStringParameters": single(query),
        "multiValueQueryStringParameters": multiple(query),
        "stageVariables": variables,
        "requestContext": context,
    });
    event.to_string().into()
}

/// The event of a message.
pub fn message(
    origin: &Origin,
    request_info: &RequestInfo,
    message_id: &str,
    route_key: &str,
    body: &str,
    variables: &Strings,
) -> Bytes {
    let mut event = Event::new(origin, request_info, variables, route_key, "MESSAGE");
    event.request_context.message_id = Some(message_id.to_owned());
    event.body = Some(body);
    event.bytes()
}

/// The `$disconnect` event, with the close code and reason.
pub fn disconnect(origin: &Origin, request_info: &RequestInfo, code: u16, reason: &str, variables: &Strings) -> Bytes {
    let headers: Pairs =
        [("Host", origin.domain_name.as_str()), ("x-api-key", ""), ("X-Forwarded-For", ""), ("x-restapi", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let mut event = Event::new(origin, request_info, variables, "$disconnect", "DISCONNECT");
    event.headers = Some(single(&headers));
    event.multi_value_headers = Some(multiple(&headers));
    event.request_context.disconnect_status_code = Some(code);
    event.request_context.disconnect_reason = Some(reason);
    event.bytes()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<&'a str, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<BTreeMap<&'a str, Vec<&'a str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_string_parameters: Option<BTreeMap<&'a str, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_query_string_parameters: Option<BTreeMap<&'a str, Vec<&'a str>>>,
    #[serde(skip_serializing_if = "Strings::is_empty")]
    stage_variables: &'a Strings,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    route_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    event_type: &'static str,
    extended_request_id: &'a str,
    request_time: String,
    message_direction: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_reason: Option<&'a str>,
    stage: &'a str,
    connected_at: i64,
    request_time_epoch: i64,
    identity: Identity<'a>,
    request_id: &'a str,
    domain_name: &'a str,
    connection_id: &'a str,
    api_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer: Option<&'a Map<String, Value>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    source_ip: &'a str,
}

impl<'a> Event<'a> {
    fn new(
        origin: &'a Origin,
        request_info: &'a RequestInfo,
        stage_variables: &'a Strings,
        route_key: &'a str,
        event_type: &'static str,
    ) -> Self {
        Self {
            headers: None,
            multi_value_headers: None,
            query_string_parameters: None,
            multi_value_query_string_parameters: None,
            stage_variables,
            request_context: RequestContext {
                route_key,
                disconnect_status_code: None,
                message_id: None,
                event_type,
                extended_request_id: &request_info.request_id,
                request_time: request_time(request_info.at),
                message_direction: "IN",
                disconnect_reason: None,
                stage: &origin.stage,
                connected_at: origin.connected_at,
                request_time_epoch: milliseconds(request_info.at),
                identity: Identity { user_agent: origin.user_agent.as_deref(), source_ip: &origin.source_ip },
                request_id: &request_info.request_id,
                domain_name: &origin.domain_name,
                connection_id: &origin.connection_id,
                api_id: &origin.api_id,
                authorizer: origin.authorizer.as_ref(),
            },
            body: None,
            is_base64_encoded: false,
        }
    }

    fn bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// The last value of each name.
fn single(pairs: &Pairs) -> BTreeMap<&str, &str> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn multiple(pairs: &Pairs) -> BTreeMap<&str, Vec<&str>> {
    let mut values = BTreeMap::<&str, Vec<&str>>::new();
    for (name, value) in pairs {
        values.entry(name).or_default().push(value);
    }
    values
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use time::macros::datetime;

    use super::*;

    fn origin() -> Origin {
        Origin {
            api_id: "asasasas".to_owned(),
            stage: "prod".to_owned(),
            connection_id: "BFAaJdsHPHcCHQg=".to_owned(),
            domain_name: "localhost:4566".to_owned(),
            source_ip: "127.0.0.1".to_owned(),
            user_agent: None,
            connected_at: 1_731_332_746_514,
            authorizer: None,
        }
    }

    fn request_info() -> RequestInfo {
        RequestInfo { request_id: "BFAaKFG7vHcFv6Q=".to_owned(), at: datetime!(2024-11-11 13:45:46.514 UTC) }
    }

    fn json(event: &Bytes) -> Value {
        serde_json::from_slice(event).unwrap()
    }

    #[test]
    fn a_connect_event_carries_the_handshake() {
        let headers = vec![("Host".to_owned(), "h".to_owned()), ("X-A".to_owned(), "1".to_owned())];
        let query = vec![("room".to_owned(), "a".to_owned()), ("room".to_owned(), "b".to_owned())];
        let origin = Origin { user_agent: Some("wscat".to_owned()), ..origin() };
        let event = connect(&origin, &request_info(), &headers, &query, &Strings::new());
        insta::assert_json_snapshot!(json(&event), @r#"
        {
          "headers": {
            "Host": "h",
            "X-A": "1"
          },
          "multiValueHeaders": {
            "Host": [
              "h"
            ],
            "X-A": [
              "1"
            ]
          },
          "queryStringParameters": {
            "room": "b"
          },
          "multiValueQueryStringParameters": {
            "room": [
              "a",
              "b"
            ]
          },
          "requestContext": {
            "routeKey": "$connect",
            "eventType": "CONNECT",
            "extendedRequestId": "BFAaKFG7vHcFv6Q=",
            "requestTime": "11/Nov/2024:13:45:46 +0000",
            "messageDirection": "IN",
            "stage": "prod",
            "connectedAt": 1731332746514,
            "requestTimeEpoch": 1731332746514,
            "identity": {
              "userAgent": "wscat",
              "sourceIp": "127.0.0.1"
            },
            "requestId": "BFAaKFG7vHcFv6Q=",
            "domainName": "localhost:4566",
            "connectionId": "BFAaJdsHPHcCHQg=",
            "apiId": "asasasas"
          },
          "isBase64Encoded": false
        }
        "#);
    }

    #[test]
    fn a_connect_event_without_a_query_has_no_query_members() {
        let event = json(&connect(&origin(), &request_info(), &Pairs::new(), &Pairs::new(), &Strings::new()));
        assert!(event.get("queryStringParameters").is_none());
        assert!(event.get("multiValueQueryStringParameters").is_none());
        assert!(event.get("body").is_none());
    }

    #[test]
    fn a_message_event_has_a_body_and_no_headers() {
        let variables = [("color".to_owned(), "blue".to_owned())].into();
        let mut event = json(&message(&origin(), &request_info(), "LnAkecf5PHcCFxg=", "$default", "hello", &variables));
        event["requestContext"]["messageId"] = "[messageId]".into();
        insta::assert_json_snapshot!(event, @r#"
        {
          "stageVariables": {
            "color": "blue"
          },
          "requestContext": {
            "routeKey": "$default",
            "messageId": "[messageId]",
            "eventType": "MESSAGE",
            "extendedRequestId": "BFAaKFG7vHcFv6Q=",
            "requestTime": "11/Nov/2024:13:45:46 +0000",
            "messageDirection": "IN",
            "stage": "prod",
            "connectedAt": 1731332746514,
            "requestTimeEpoch": 1731332746514,
            "identity": {
              "sourceIp": "127.0.0.1"
            },
            "requestId": "BFAaKFG7vHcFv6Q=",
            "domainName": "localhost:4566",
            "connectionId": "BFAaJdsHPHcCHQg=",
            "apiId": "asasasas"
          },
          "body": "hello",
          "isBase64Encoded": false
        }
        "#);
    }

    #[test]
    fn a_disconnect_event_says_how_the_connection_ended() {
        let reason = "Client-side close frame status not set";
        let event = json(&disconnect(&origin(), &request_info(), 1005, reason, &Strings::new()));
        assert_eq!(event["requestContext"]["eventType"], "DISCONNECT");
        assert_eq!(event["requestContext"]["disconnectStatusCode"], 1005);
        assert_eq!(event["requestContext"]["disconnectReason"], reason);
        let headers = serde_json::json!(
            { "Host": "localhost:4566", "X-Forwarded-For": "", "x-api-key": "", "x-restapi": "" }
        );
        assert_eq!(event["headers"], headers);
        assert!(event.get("body").is_none());
    }
}
