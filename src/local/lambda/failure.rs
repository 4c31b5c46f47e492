//! Failures of invocations, as Lambda reports them: an error document for the caller, a line in the log.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::local::context::clock::log_time;

/// Why a runtime did not start, or an invocation has no result.
#[derive(Debug, Clone, PartialEq)]
pub struct InvocationFailure {
    pub status: Status,
    /// `Runtime.ExitError`, `Sandbox.Timedout`, or the handler's own error type.
    pub error_type: String,
    message: Message,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Error,
    Timeout,
}

#[derive(Debug, Clone, PartialEq)]
enum Message {
    /// A message of Lambda's, to which it adds the request id.
    Platform(String),
    /// A message of Lambda's without the request id.
    Plain(String),
    /// The document that the runtime posted, passed on unchanged.
    Runtime(Bytes),
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Timeout => "timeout",
        }
    }
}

impl InvocationFailure {
    /// The runtime's process exited unexpectedly.
    pub fn exited(status: ExitStatus) -> Self {
        let message = match (status.code(), status.signal()) {
            (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
            (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
            (None, signal) => format!("Runtime exited with error: signal: {}", signal_name(signal.unwrap_or_default())),
        };
        Self::platform("Runtime.ExitError", message)
    }

    /// The function timed out.
    pub fn timed_out(timeout: Duration) -> Self {
        let message = format!("Task timed out after {:.2} seconds", timeout.as_secs_f64());
        Self { status: Status::Timeout, ..Self::platform("Sandbox.Timedout", message) }
    }

    /// The runtime could not be started, or there is none to start.
    pub fn no_entrypoint(message: impl Into<String>) -> Self {
        Self::platform("Runtime.InvalidEntrypoint", message)
    }

    /// The runtime reported an error. `error_type` is its `Lambda-Runtime-Function-Error-Type` header, used where the
    /// document has none.
    pub fn reported(document: Bytes, error_type: Option<&str>) -> Self {
        let parsed = serde_json::from_slice::<Value>(&document);
        let named = parsed.as_ref().ok().and_then(|document| document["errorType"].as_str());
        let error_type = named.or(error_type).unwrap_or("Runtime.Unknown").to_owned();
        let message = match parsed {
            Ok(_) => Message::Runtime(document),
            Err(_) => Message::Plain(String::from_utf8_lossy(&document).into_owned()),
        };
        Self { status: Status::Error, error_type, message }
    }

    /// The handler's response is too large. `limit` is in bytes.
    pub fn response_too_long(limit: usize) -> Self {
        let message = format!("Response payload size exceeded maximum allowed payload size ({limit} bytes).");
        Self {
            status: Status::Error,
            error_type: "Function.ResponseSizeTooLarge".to_owned(),
            message: Message::Plain(message),
        }
    }

    /// The payload of `Invoke`'s answer.
    pub fn document(&self, request_id: &str) -> Bytes {
        let message = match &self.message {
            Message::Platform(message) => format!("RequestId: {request_id} Error: {message}"),
            Message::Plain(message) => message.clone(),
            Message::Runtime(document) => return document.clone(),
        };
        json!({ "errorType": self.error_type, "errorMessage": message }).to_string().into()
    }

    /// The line in the log; `None` where the runtime reported the error, since it has logged it itself.
    pub fn log_line(&self, request_id: &str) -> Option<String> {
        match (&self.message, self.status) {
            (Message::Platform(message), Status::Timeout) => Some(format!("{} {request_id} {message}\n", log_time())),
            (Message::Platform(message), Status::Error) => {
                Some(format!("RequestId: {request_id} Error: {message}\n{}", self.error_type))
            }
            _ => None,
        }
    }

    /// Whether Lambda detected this failure, rather than the runtime.
    pub fn by_platform(&self) -> bool {
        matches!(self.message, Message::Platform(_))
    }

    fn platform(error_type: &str, message: impl Into<String>) -> Self {
        Self { status: Status::Error, error_type: error_type.to_owned(), message: Message::Platform(message.into()) }
    }
}

/// Signals as Lambda's supervisor names them.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        8 => "floating point exception",
        9 => "killed",
        11 => "segmentation fault",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_as_lambda_words_them() {
        for (failure, document) in [
            (
                InvocationFailure::exited(ExitStatus::from_raw(1 << 8)),
                json!({ "errorType": "Runtime.ExitError", "errorMessage": "RequestId: r Error: Runtime exited with error: exit status 1" }),
            ),
            (
                InvocationFailure::exited(ExitStatus::from_raw(0)),
                json!({ "errorType": "Runtime.ExitError", "errorMessage": "RequestId: r Error: Runtime exited without providing a reason" }),
            ),
            (
                InvocationFailure::exited(ExitStatus::from_raw(9)),
                json!({ "errorType": "Runtime.ExitError", "errorMessage": "RequestId: r Error: Runtime exited with error: signal: killed" }),
            ),
            (
                InvocationFailure::timed_out(Duration::from_secs(3)),
                json!({ "errorType": "Sandbox.Timedout", "errorMessage": "RequestId: r Error: Task timed out after 3.00 seconds" }),
            ),
            (
                InvocationFailure::response_too_long(6_291_556),
                json!({ "errorType": "Function.ResponseSizeTooLarge", "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes)." }),
            ),
            (
                InvocationFailure::reported("no json".into(), Some("Handler.Odd")),
                json!({ "errorType": "Handler.Odd", "errorMessage": "no json" }),
            ),
        ] {
            assert_eq!(serde_json::from_slice::<Value>(&failure.document("r")).unwrap(), document);
        }
    }

    #[test]
    fn errors_of_the_runtime_are_passed_on() {
        let document =
            Bytes::from_static(br#"{"errorType":"TypeError","errorMessage":"x is not a function","trace":[]}"#);
        let failure = InvocationFailure::reported(document.clone(), None);
        assert_eq!((failure.error_type.as_str(), failure.document("r")), ("TypeError", document));
        assert_eq!(failure.log_line("r"), None);
    }
}
