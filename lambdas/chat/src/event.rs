//! API Gateway's event for a handler, and the handler's answer.

use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The parts of a WebSocket API's event that the handlers need.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "ApiGatewayWebsocketProxyRequest")]
pub struct Event {
    pub connection_id: String,
    /// When the connection was made: milliseconds since the epoch.
    pub connected_at: i64,
    /// When API Gateway received the request: milliseconds since the epoch.
    pub received_at: i64,
    /// The URL of `@connections` of this API's stage: `https://{domainName}/{stage}`.
    pub endpoint: String,
    /// The client's message; other events have none.
    pub body: Option<String>,
}

impl TryFrom<ApiGatewayWebsocketProxyRequest> for Event {
    type Error = Error;

    fn try_from(request: ApiGatewayWebsocketProxyRequest) -> Result<Self, Error> {
        let context = request.request_context;
        let present = |value: Option<String>, name: &str| {
            value.ok_or_else(|| Error::new("read the event", format!("its requestContext has no {name}")))
        };
        Ok(Self {
            connection_id: present(context.connection_id, "connectionId")?,
            connected_at: context.connected_at,
            received_at: context.request_time_epoch,
            endpoint: format!(
                "https://{}/{}",
                present(context.domain_name, "domainName")?,
                present(context.stage, "stage")?
            ),
            body: request.body,
        })
    }
}

/// A handler's answer to API Gateway. For `$connect` it decides whether the connection is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    status_code: u16,
}

impl Answer {
    pub const OK: Self = Self { status_code: 200 };
    pub const INTERNAL_SERVER_ERROR: Self = Self { status_code: 500 };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message() -> serde_json::Value {
        json!({
            "requestContext": {
                "routeKey": "sendmessage",
                "messageId": "RPMYOdLvoAMCIaQ=",
                "eventType": "MESSAGE",
                "extendedRequestId": "RPMYOF6KIAMFfBg=",
                "requestTime": "11/Nov/2024:13:45:46 +0000",
                "messageDirection": "IN",
                "stage": "production",
                "connectedAt": 1_731_332_735_513_i64,
                "requestTimeEpoch": 1_731_332_746_514_i64,
                "identity": { "sourceIp": "192.0.2.1" },
                "requestId": "RPMYOF6KIAMFfBg=",
                "domainName": "abcdef1234.execute-api.eu-west-1.amazonaws.com",
                "connectionId": "RPMWseDxoAMCLJA=",
                "apiId": "abcdef1234"
            },
            "body": "{\"action\":\"sendmessage\",\"message\":\"hello, everyone!\"}",
            "isBase64Encoded": false
        })
    }

    #[test]
    fn a_message_event_is_read() {
        let event: Event = serde_json::from_value(message()).unwrap();
        assert_eq!(
            event,
            Event {
                connection_id: "RPMWseDxoAMCLJA=".to_owned(),
                connected_at: 1_731_332_735_513,
                received_at: 1_731_332_746_514,
                endpoint: "https://abcdef1234.execute-api.eu-west-1.amazonaws.com/production".to_owned(),
                body: Some(r#"{"action":"sendmessage","message":"hello, everyone!"}"#.to_owned()),
            }
        );
    }

    #[test]
    fn the_endpoint_keeps_a_port() {
        let mut message = message();
        message["requestContext"]["domainName"] = json!("localhost:4567");
        let event: Event = serde_json::from_value(message).unwrap();
        assert_eq!(event.endpoint, "https://localhost:4567/production");
    }

    #[test]
    fn an_event_without_a_required_field_is_rejected_with_its_name() {
        for name in ["connectionId", "domainName", "stage"] {
            let mut message = message();
            message["requestContext"].as_object_mut().unwrap().remove(name);
            let error = serde_json::from_value::<Event>(message).unwrap_err();
            assert_eq!(error.to_string(), format!("failed to read the event: its requestContext has no {name}"));
        }
    }

    #[test]
    fn answers_have_api_gateways_format() {
        assert_eq!(serde_json::to_value(Answer::OK).unwrap(), json!({ "statusCode": 200 }));
        assert_eq!(serde_json::to_value(Answer::INTERNAL_SERVER_ERROR).unwrap(), json!({ "statusCode": 500 }));
    }
}
