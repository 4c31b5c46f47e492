//! The gateway's own log, which `wschat logs` reads: which invocation is for which client and route, and why a client got an
//! error. AWS has nothing like it; the deployer reads these lines by the names in `core::logs::gateway`.

use serde_json::json;

use super::access_log::{AccessRecord, Reason};
use super::event::Origin;
use crate::local::context::ports::LogSink;

/// Logs that a function is invoked for a client, before it is: its own lines, which may be read at once, do not say for whom.
pub fn invocation(logs: &dyn LogSink, region: &str, origin: &Origin, route_key: &str, request_id: &str) {
    let line = json!({ "invocation": { "route": route_key, "connection_id": origin.connection_id, "request_id": request_id } });
    logs.log_gateway(region, &stream(origin), line.to_string());
}

/// Logs the error that a client got, if it got one.
pub fn refusal(logs: &dyn LogSink, region: &str, origin: &Origin, record: &AccessRecord) {
    let Some(message) = record.error else { return };
    let Reason { text, help, function, request_id, by_function } = &record.reason;
    let line = json!({ "refusal": {
        "route": record.route_key,
        "connection_id": origin.connection_id,
        "request_id": request_id,
        "function": function,
        "status": record.status,
        "message": message,
        "reason": text,
        "help": help,
        "by_function": by_function,
    } });
    logs.log_gateway(region, &stream(origin), line.to_string());
}

fn stream(origin: &Origin) -> String {
    format!("{}/{}", origin.api_id, origin.stage)
}
