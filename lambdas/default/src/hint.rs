//! The hint: its words and the order of its fields are those of the AWS tutorial.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-chat-app.html>

use aws_sdk_apigatewaymanagement::operation::get_connection::GetConnectionOutput;
use aws_sdk_apigatewaymanagement::primitives::{DateTime, DateTimeFormat};
use serde_json::json;

/// The answer to a client that sent another action than `sendmessage`.
pub fn hint(connection_id: &str, info: &GetConnectionOutput) -> String {
    let time = |time: Option<&DateTime>| time.and_then(|time| time.fmt(DateTimeFormat::DateTime).ok());
    let identity = info.identity();
    let info = json!({
        "ConnectedAt": time(info.connected_at()),
        "Identity": {
            "SourceIp": identity.and_then(|identity| identity.source_ip()),
            // The SDK turns an absent list into an empty one.
            "UserAgent": identity.and_then(|identity| identity.user_agent()).filter(|agent| !agent.is_empty()),
        },
        "LastActiveAt": time(info.last_active_at()),
        "connectionID": connection_id,
    });
    format!("Use the sendmessage route to send a message. Your info:{info}")
}
