//! The gateway's own log, which `wschat logs` reads: which invocation is for which client and route, and why a client got an
//! error. AWS has nothing like it; the deployer reads these lines by the names in `core::logs::gateway`.

use serde_json::json;
use uuid::Uuid;

use super::access_log::{AccessRecord, Invocation};
use super::cause::Cause;
use super::event::Origin;
use crate::local::context::ports::LogSink;

/// A client's request that functions are invoked for.
pub struct ClientRequest<'a> {
    pub logs: &'a dyn LogSink,
    pub region: &'a str,
    pub origin: &'a Origin,
    pub record: &'a mut AccessRecord,
}

impl ClientRequest<'_> {
    /// The gateway's id of the request.
    pub fn id(&self) -> &str {
        &self.record.request_info.request_id
    }

    /// Chooses the request id of an invocation of `function`, and logs for whom it is. That comes before the invocation: its own
    /// lines do not say it, and may be read at once.
    pub fn begin_invocation(&mut self, function: &str) -> String {
        let request_id = Uuid::new_v4().to_string();
        let line = json!({ "invocation": {
            "route": self.record.route_key.as_deref().unwrap_or_default(),
            "connection_id": self.origin.connection_id,
            "request_id": request_id,
        } });
        self.logs.log_gateway(self.region, &stream(self.origin), line.to_string());
        self.record.invocation = Some(Invocation { function: function.to_owned(), request_id: request_id.clone() });
        request_id
    }
}

/// Logs the error that a client got, if it got one.
pub fn refusal(logs: &dyn LogSink, region: &str, origin: &Origin, record: &AccessRecord) {
    let (Some(message), Some(cause), Some(why)) = (record.error, &record.cause, record.why()) else { return };
    let invocation = record.invocation.as_ref();
    let function = cause.function().or_else(|| invocation.map(|invocation| invocation.function.as_str()));
    // The function's own log says more, and what to do.
    let by_function = matches!(cause, Cause::Failed { .. });
    let line = json!({ "refusal": {
        "route": record.route_key,
        "connection_id": origin.connection_id,
        "request_id": invocation.map(|invocation| &invocation.request_id),
        "function": function,
        "status": record.status,
        "message": message,
        "reason": phrase(&why.what, cause),
        "help": (!by_function).then(|| phrase(&why.action, cause)),
        "by_function": by_function,
    } });
    logs.log_gateway(region, &stream(origin), line.to_string());
}

/// Logs the status of an error that a handler returned and no client is told: without a route response, all that a handler returns for
/// a message is dropped. Handlers that catch their errors to return 500 are silent otherwise.
pub fn unseen(logs: &dyn LogSink, region: &str, origin: &Origin, record: &AccessRecord, status: u16) {
    if status < 400 {
        return;
    }
    let invocation = record.invocation.as_ref();
    let route = record.route_key.as_deref().unwrap_or_default();
    let why = match route {
        "$disconnect" => "it has gone".to_owned(),
        route => format!("the route {route} has no route response"),
    };
    let line = json!({ "refusal": {
        "route": route,
        "connection_id": origin.connection_id,
        "request_id": invocation.map(|invocation| &invocation.request_id),
        "function": invocation.map(|invocation| &invocation.function),
        "status": status,
        "message": "returned",
        "reason": format!("no client is told of the status {status}: {why}"),
        "help": "log the error where the handler catches it; it is shown here then",
        "by_function": false,
    } });
    logs.log_gateway(region, &stream(origin), line.to_string());
}

/// A sentence as `wschat logs` writes them: it begins small, unless with the function's name, and has no full stop.
fn phrase(sentence: &str, cause: &Cause) -> String {
    let sentence = sentence.strip_suffix('.').unwrap_or(sentence);
    let begins_with_name = cause.function_name().is_some_and(|name| sentence.starts_with(name));
    let mut letters = sentence.chars();
    match letters.next() {
        Some(first) if !begins_with_name && !letters.as_str().starts_with(|next: char| next.is_uppercase()) => {
            format!("{}{}", first.to_lowercase(), letters.as_str())
        }
        _ => sentence.to_owned(),
    }
}

fn stream(origin: &Origin) -> String {
    format!("{}/{}", origin.api_id, origin.stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_become_phrases() {
        let cause = Cause::TimedOut {
            function: "arn:aws:lambda:us-east-1:000000000000:function:Slow".to_owned(),
            limit: std::time::Duration::from_secs(29),
        };
        for (sentence, expected) in [
            ("Slow did not answer within 29 s.", "Slow did not answer within 29 s"),
            ("The stage's throttle was exceeded.", "the stage's throttle was exceeded"),
            ("MOCK says nothing.", "MOCK says nothing"),
            ("", ""),
        ] {
            assert_eq!(phrase(sentence, &cause), expected);
        }
    }
}
