//! The gateway's own log, which `wschat logs` reads: which invocation is for which client and route, and why a client got an
//! error. AWS has nothing like it; the deployer reads these lines by the names in `core::logs::gateway`.

use serde_json::{Value, json};

use super::access_log::AccessRecord;
use super::event::Origin;
use crate::local::context::ports::LogSink;

/// Why a client got an error.
#[derive(Debug, Default)]
pub struct Reason {
    /// One sentence.
    pub text: String,
    /// What to do, in one sentence.
    pub help: Option<String>,
    /// The ARN of the function that was to be invoked.
    pub function: Option<String>,
    /// Lambda's id of the invocation.
    pub request_id: Option<String>,
    /// Whether the function failed: its own log says more.
    pub by_function: bool,
}

impl Reason {
    /// Sets what happened, and what to do.
    pub fn set(&mut self, text: impl Into<String>, help: Option<&str>) {
        self.text = text.into();
        self.help = help.map(str::to_owned);
    }

    /// Sets that the function failed with this error document.
    pub fn set_failed(&mut self, document: &[u8]) {
        self.by_function = true;
        let document: Value = serde_json::from_slice(document).unwrap_or_default();
        let parts = [&document["errorType"], &document["errorMessage"]];
        let parts: Vec<&str> = parts.into_iter().filter_map(Value::as_str).filter(|part| !part.is_empty()).collect();
        self.text = if parts.is_empty() {
            "the function failed".to_owned()
        } else {
            format!("the function failed: {}", parts.join(": "))
        };
    }
}

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
