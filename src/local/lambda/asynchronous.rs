//! Asynchronous invocations: retries, dead letters and destinations. (Lambda developer guide, "Asynchronous invocation".)

use std::path::PathBuf;
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Lambda;
use super::error;
use super::event_invoke_config::{EventInvokeConfig, key};
use super::mapping::service_of;
use super::name::Reference;
use super::spec::InvokeRequest;
use super::state::now;
use crate::core::iam::need::Need;
use crate::local::context::clock::log_time;
use crate::local::context::ports::{Delivery, Invoked};
use crate::local::protocol::wire::ApiError;

/// How long an event is kept by default: six hours, in seconds.
const MAX_AGE: u32 = 6 * 60 * 60;

/// How often a function that fails is tried again by default.
const RETRIES: u32 = 2;

/// The folder of the events that are accepted and not done: a file each, called after its request id. So none is lost with the process,
/// however that ends.
const FOLDER: &str = "lambda-events";

/// An accepted event.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Event {
    /// The function with the version or alias that runs.
    runs: String,
    /// As the caller named the function.
    function_arn: String,
    /// JSON.
    payload: String,
    client_context: Option<String>,
}

/// How an event ended.
struct Ended {
    /// `Success`, `RetriesExhausted` or `EventAgeExceeded`.
    condition: &'static str,
    /// How often the function was invoked.
    count: u32,
    invoked: Option<Invoked>,
}

impl Lambda {
    /// Accepts an event: keeps it, and runs it in the background. A function that fails is tried again, as often as its configuration
    /// says; a throttled one until the event is too old. Then the event, or what became of it, goes where the function's configuration
    /// says.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub(super) fn queue(&self, reference: Reference, call: InvokeRequest) -> Result<(), ApiError> {
        let event = Event {
            runs: reference.arn(),
            function_arn: call.function_arn.clone(),
            payload: String::from_utf8_lossy(&call.payload).into_owned(),
            client_context: call.client_context.clone(),
        };
        let kept = fs::create_dir_all(self.context.store.path(FOLDER))
            .and_then(|()| self.context.store.save(&format!("{FOLDER}/{}", call.request_id), &event));
        kept.map_err(|error| error::service(format!("the event could not be kept: {error}")))?;
        self.begin_event(reference, call);
        Ok(())
    }

    /// Runs a kept event in the background.
    fn begin_event(&self, reference: Reference, call: InvokeRequest) {
        let lambda = self.clone();
        tokio::spawn(async move {
            let config = lambda.event_invoke_config(&reference);
            let ended = lambda.run_event(&reference, &call, &config).await;
            // What the end of this process interrupts has not failed: the next one runs it again.
            if ended.condition == "Success" || !lambda.pollers.is_closing() {
                lambda.conclude(&reference, &call, &config, &ended).await;
                lambda.forget_event(&call.request_id);
            }
        });
    }

    fn forget_event(&self, request_id: &str) {
        if let Err(error) = fs::remove_file(self.context.store.path(&format!("{FOLDER}/{request_id}.json"))) {
            tracing::warn!("the event {request_id} may run twice: {error}");
        }
    }

    /// Runs the events again that the last process did not get done. Must be called within a tokio runtime.
    pub(super) fn resume_events(&self) {
        let files = match fs::read_dir(self.context.store.path(FOLDER)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            files => files.and_then(Iterator::collect::<io::Result<Vec<_>>>),
        };
        let files = files.unwrap_or_else(|error| {
            tracing::error!("asynchronous events are not run again: {error}");
            Vec::new()
        });
        let names = files.iter().map(|file| PathBuf::from(file.file_name()));
        for name in names.filter(|name| name.extension().is_some_and(|extension| extension == "json")) {
            let request_id = name.with_extension("").to_string_lossy().into_owned();
            let event = match self.context.store.load::<Event>(&format!("{FOLDER}/{request_id}")) {
                Ok(event) => event,
                Err(error) => {
                    tracing::error!("an asynchronous event is lost: {error}");
                    continue;
                }
            };
            let Some(reference) = Reference::from_arn(&event.runs) else { continue };
            let (payload, client_context) = (event.payload.into(), event.client_context);
            self.begin_event(
                reference,
                InvokeRequest { request_id, function_arn: event.function_arn, payload, client_context, cause: None },
            );
        }
    }

    /// # Errors
    /// The error of `Invoke`.
    pub(super) fn queue_event(&self, function_arn: &str, payload: bytes::Bytes) -> Result<(), ApiError> {
        let reference = Reference::from_arn(function_arn).ok_or_else(|| error::no_function(function_arn))?;
        self.registry.read(|state| state.version(&reference).map(drop))?;
        let call = InvokeRequest {
            request_id: uuid::Uuid::new_v4().to_string(),
            function_arn: function_arn.to_owned(),
            payload,
            client_context: None,
            cause: None,
        };
        self.queue(reference, call)
    }

    fn event_invoke_config(&self, reference: &Reference) -> EventInvokeConfig {
        self.registry.read(|state| {
            let configs = state.function(&reference.id).ok().map(|function| &function.event_invoke_configs);
            configs.and_then(|configs| configs.get(key(reference))).cloned().unwrap_or_default()
        })
    }

    async fn run_event(&self, reference: &Reference, call: &InvokeRequest, config: &EventInvokeConfig) -> Ended {
        let accepted = now();
        let age = i64::from(config.age.unwrap_or(MAX_AGE)) * 1000;
        let retries = config.retries.unwrap_or(RETRIES);
        let mut count = 0;
        let mut last = None;
        loop {
            let pause = match self.run(reference, call.clone()).await {
                Ok(invoked) if invoked.function_error.is_none() => {
                    return Ended { condition: "Success", count: count + 1, invoked: Some(invoked) };
                }
                Ok(invoked) => {
                    count += 1;
                    last = Some(invoked);
                    if count > retries {
                        return Ended { condition: "RetriesExhausted", count, invoked: last };
                    }
                    let pauses = &self.timings.retries;
                    pauses[(count as usize - 1).min(pauses.len() - 1)]
                }
                // Throttled, or not active yet.
                Err(refusal) if refusal.status == 429 || refusal.status == 409 => self.timings.retries[0],
                Err(refusal) => {
                    tracing::warn!(function = %reference.arn(), error = %refusal.message, "an event was dropped");
                    return Ended { condition: "RetriesExhausted", count, invoked: last };
                }
            };
            if now() - accepted >= age {
                return Ended { condition: "EventAgeExceeded", count, invoked: last };
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Delivers what became of an event.
    async fn conclude(&self, reference: &Reference, call: &InvokeRequest, config: &EventInvokeConfig, ended: &Ended) {
        let is_success = ended.condition == "Success";
        let destination = if is_success { &config.on_success } else { &config.on_failure };
        if let Some(destination) = destination {
            let record = record(reference, call, ended);
            self.deliver(reference, destination, record.to_string(), Vec::new()).await;
        }
        let dead_letters = self.registry.read(|state| {
            state.version(reference).ok().and_then(|(_, _, version)| version.deployment.settings.dead_letters.clone())
        });
        if let Some(dead_letters) = dead_letters.filter(|_| !is_success) {
            let body = String::from_utf8_lossy(&call.payload).into_owned();
            let message = ended.invoked.as_ref().map(|invoked| error_message(&invoked.payload)).unwrap_or_default();
            let attributes = [
                ("RequestID", "String", call.request_id.clone()),
                ("ErrorCode", "Number", "200".to_owned()),
                ("ErrorMessage", "String", message),
            ];
            let attributes = attributes.into_iter().filter(|(.., value)| !value.is_empty());
            let attributes = attributes.map(|(name, kind, value)| (name.to_owned(), kind.to_owned(), value)).collect();
            self.deliver(reference, &dead_letters, body, attributes).await;
        }
    }

    /// Delivers on behalf of a function, if its role may. What cannot be delivered is lost, as on AWS.
    pub(super) async fn deliver(
        &self,
        reference: &Reference,
        arn: &str,
        body: String,
        attributes: Vec<(String, String, String)>,
    ) {
        let service = service_of(arn);
        let action = match service {
            "sqs" => "sqs:SendMessage",
            "sns" => "sns:Publish",
            "lambda" => "lambda:InvokeFunction",
            _ => "events:PutEvents",
        };
        let role = self.registry.read(|state| {
            state.version(reference).ok().map(|(_, _, version)| version.deployment.settings.role.clone())
        });
        let needs = [Need::new(action, arn)];
        let refused = role.and_then(|role| self.roles.refused(&role, &reference.id.region, &needs).map(|_| role));
        let delivered = match (refused, service) {
            (Some(role), _) => Err(format!("{role} may not {action}")),
            (None, "lambda") => self.queue_event(arn, body.into()).map_err(|error| error.message),
            (None, _) => match self.pollers.target(service) {
                Some(target) => {
                    let delivery = Delivery { body, attributes, ..Delivery::default() };
                    target.deliver(arn, delivery).await.map_err(|error| error.message)
                }
                None => Err(format!("the local cloud has no {service}")),
            },
        };
        if let Err(why) = delivered {
            tracing::warn!(function = %reference.arn(), "nothing was delivered to {arn}: {why}");
        }
    }
}

/// The record that a destination gets (developer guide, "Capturing records of Lambda asynchronous invocations").
fn record(reference: &Reference, call: &InvokeRequest, ended: &Ended) -> Value {
    let json_or_text = |bytes: &[u8]| {
        serde_json::from_slice(bytes).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(bytes).into_owned()))
    };
    let mut record = json!({
        "version": "1.0",
        "timestamp": log_time(),
        "requestContext": {
            "requestId": call.request_id,
            "functionArn": reference.id.qualified_arn(key(reference)),
            "condition": ended.condition,
            "approximateInvokeCount": ended.count,
        },
        "requestPayload": json_or_text(&call.payload),
    });
    if let Some(invoked) = &ended.invoked {
        let mut context = json!({ "statusCode": 200, "executedVersion": invoked.version });
        if let Some(error) = invoked.function_error {
            context["functionError"] = error.into();
        }
        record["responseContext"] = context;
        record["responsePayload"] = json_or_text(&invoked.payload);
    }
    record
}

/// The first characters of what a function said of its failure, as dead letters have it (1 KB at most).
fn error_message(payload: &[u8]) -> String {
    let error: Value = serde_json::from_slice(payload).unwrap_or_default();
    error["errorMessage"].as_str().unwrap_or_default().chars().take(1024).collect()
}
