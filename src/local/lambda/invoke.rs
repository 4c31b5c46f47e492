//! `Invoke`: synchronous, asynchronous (`Event`) and as a dry run.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::de::IgnoredAny;
use uuid::Uuid;

use super::Lambda;
use super::error::{self, constraint};
use super::name::Reference;
use super::spec::{EnvironmentSpec, InvokeRequest};
use super::state::{Alias, now};
use crate::local::context::ports::Invoked;
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::{ApiError, Response};

/// The largest payloads in bytes: 6 MB for synchronous invocations, 1 MB for asynchronous ones (Lambda quotas).
const MAX_PAYLOAD: usize = 6 * 1024 * 1024;
const MAX_EVENT: usize = 1024 * 1024;

/// An invocation that passed all checks.
struct Ready {
    spec: Arc<EnvironmentSpec>,
    limit: Option<u32>,
}

impl Lambda {
    /// `Invoke`.
    pub(super) async fn invoke_operation(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let reference = Reference::of(call)?;
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        let kind = header("x-amz-invocation-type").unwrap_or("RequestResponse");
        let limit = match kind {
            "Event" => MAX_EVENT,
            "RequestResponse" | "DryRun" => MAX_PAYLOAD,
            _ => {
                let rule = "Member must satisfy enum value set: [Event, RequestResponse, DryRun]";
                return Err(error::validation(&[constraint(kind, "invocationType", rule)]));
            }
        };
        let payload = request.body.clone();
        if payload.len() > limit {
            return Err(error::payload_too_long(payload.len(), kind, limit));
        }
        let client_context = header("x-amz-client-context").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let call = InvokeRequest {
            request_id: Uuid::new_v4().to_string(),
            function_arn: reference.arn(),
            payload: json_payload(payload)?,
            client_context: client_context.and_then(|bytes| String::from_utf8(bytes).ok()),
            cause: None,
        };
        let request_id = call.request_id.clone();
        let response = match kind {
            "DryRun" => {
                self.ready(&reference)?;
                Response::empty(204)
            }
            "Event" => {
                self.ready(&reference)?;
                self.queue(reference, call)?;
                Response::empty(202)
            }
            _ => {
                let invoked = self.run(&reference, call).await?;
                let mut response = Response::new(200, "application/json", invoked.payload)
                    .with_header("x-amz-executed-version", &invoked.version);
                if let Some(error) = invoked.function_error {
                    response = response.with_header("x-amz-function-error", error);
                }
                if header("x-amz-log-type") == Some("Tail") {
                    response = response.with_header("x-amz-log-result", &BASE64_STANDARD.encode(invoked.log_tail));
                }
                response
            }
        };
        Ok(response.with_header("x-amzn-requestid", &request_id))
    }

    /// Invokes a function with the request id `invocation_id` for the gateway's request `gateway_request`, and waits for it.
    ///
    /// # Errors
    /// The error of `Invoke`.
    pub(super) async fn invoke_arn(
        &self,
        function_arn: &str,
        invocation_id: &str,
        payload: Bytes,
        gateway_request: &str,
    ) -> Result<Invoked, ApiError> {
        let reference = Reference::from_arn(function_arn).ok_or_else(|| error::no_function(function_arn))?;
        if payload.len() > MAX_PAYLOAD {
            return Err(error::payload_too_long(payload.len(), "RequestResponse", MAX_PAYLOAD));
        }
        let call = InvokeRequest {
            request_id: invocation_id.to_owned(),
            function_arn: function_arn.to_owned(),
            payload,
            client_context: None,
            cause: Some(gateway_request.to_owned()),
        };
        self.run(&reference, call).await
    }

    pub(super) async fn run(&self, reference: &Reference, call: InvokeRequest) -> Result<Invoked, ApiError> {
        let ready = self.ready(reference)?;
        self.executor.invoke(ready.spec, call, ready.limit).await
    }

    /// The version that an invocation of `reference` runs now.
    fn ready(&self, reference: &Reference) -> Result<Ready, ApiError> {
        self.registry.read(|state| {
            let (function, mut number, mut version) = state.version(reference)?;
            let alias = reference.qualifier.as_ref().and_then(|name| function.aliases.get(name));
            if let Some((other, additional)) = alias
                .and_then(Alias::routed_to_additional)
                .and_then(|other| function.version(other).map(|version| (other.to_owned(), version)))
            {
                (number, version) = (other, additional);
            }
            version.must_be_active()?;
            let deployment = version.serving(now()).clone();
            let inspect = self.executor.inspect(&reference.id);
            let spec = EnvironmentSpec::new(reference.id.clone(), number, deployment, &self.packages, inspect);
            Ok(Ready { spec: Arc::new(spec), limit: function.reserved_concurrency })
        })
    }
}

impl Alias {
    /// The additional version of this alias, if this invocation is randomly routed to it.
    fn routed_to_additional(&self) -> Option<&str> {
        let (version, weight) = self.additional.as_ref()?;
        (rand::random::<f64>() < *weight).then_some(version)
    }
}

/// The payload for the function: JSON, and `{}` where the caller sent none.
fn json_payload(payload: Bytes) -> Result<Bytes, ApiError> {
    if payload.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    match serde_json::from_slice::<IgnoredAny>(&payload) {
        Ok(_) => Ok(payload),
        Err(reason) => Err(error::payload_not_json(&reason)),
    }
}
