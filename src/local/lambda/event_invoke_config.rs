//! How Lambda deals with asynchronous invocations of a function: `PutFunctionEventInvokeConfig` and its siblings.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Lambda;
use super::error;
use super::name::{LATEST, Reference};
use crate::local::context::clock::now_millis;
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::{ApiError, Response};

/// The configuration of a function, a version or an alias.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EventInvokeConfig {
    pub retries: Option<u32>,
    /// Seconds.
    pub age: Option<u32>,
    /// ARNs.
    pub on_success: Option<String>,
    pub on_failure: Option<String>,
    modified: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    maximum_retry_attempts: Option<i64>,
    maximum_event_age_in_seconds: Option<i64>,
    destination_config: Option<Destinations>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destinations {
    on_success: Option<Destination>,
    on_failure: Option<Destination>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    destination: Option<String>,
}

impl Body {
    /// # Errors
    /// `ValidationException` for a number outside of its limits, `InvalidParameterValueException` for a destination that is none.
    fn check(&self) -> Result<(), ApiError> {
        let mut broken = Vec::new();
        for (value, member, least, most) in [
            (self.maximum_retry_attempts, "maximumRetryAttempts", 0, 2),
            (self.maximum_event_age_in_seconds, "maximumEventAgeInSeconds", 60, 21_600),
        ] {
            match value {
                Some(value) if value < least => {
                    let rule = format!("Member must have value greater than or equal to {least}");
                    broken.push(error::constraint(&value.to_string(), member, &rule));
                }
                Some(value) if value > most => {
                    let rule = format!("Member must have value less than or equal to {most}");
                    broken.push(error::constraint(&value.to_string(), member, &rule));
                }
                _ => {}
            }
        }
        if !broken.is_empty() {
            return Err(error::validation(&broken));
        }
        let destinations = self.destination_config.iter().flat_map(|config| [&config.on_success, &config.on_failure]);
        for arn in destinations.flatten().filter_map(|one| one.destination.as_deref()).filter(|arn| !arn.is_empty()) {
            let service = arn.split(':').nth(2).unwrap_or_default();
            if !["events", "lambda", "s3", "sns", "sqs"].contains(&service) {
                return Err(error::invalid(format!(
                    "The provided destination config DestinationConfig is invalid: {arn}"
                )));
            }
        }
        Ok(())
    }
}

impl EventInvokeConfig {
    fn apply(&mut self, body: Body) {
        let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
        self.retries = number(body.maximum_retry_attempts).or(self.retries);
        self.age = number(body.maximum_event_age_in_seconds).or(self.age);
        if let Some(config) = body.destination_config {
            let arn = |one: Destination| one.destination.filter(|arn| !arn.is_empty());
            if let Some(one) = config.on_success {
                self.on_success = arn(one);
            }
            if let Some(one) = config.on_failure {
                self.on_failure = arn(one);
            }
        }
        self.modified = now_millis();
    }

    fn described(&self, reference: &Reference) -> Value {
        let destination =
            |arn: &Option<String>| arn.as_ref().map_or_else(|| json!({}), |arn| json!({ "Destination": arn }));
        let mut members = json!({
            "LastModified": self.modified as f64 / 1000.0,
            "FunctionArn": reference.id.qualified_arn(reference.qualifier.as_deref().unwrap_or(LATEST)),
            "DestinationConfig": {
                "OnSuccess": destination(&self.on_success), "OnFailure": destination(&self.on_failure),
            },
        });
        if let Some(retries) = self.retries {
            members["MaximumRetryAttempts"] = retries.into();
        }
        if let Some(age) = self.age {
            members["MaximumEventAgeInSeconds"] = age.into();
        }
        members
    }
}

impl Lambda {
    /// `PutFunctionEventInvokeConfig`: what it leaves out is unset.
    pub(super) fn put_event_invoke_config(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        self.change_event_invoke_config(call, false)
    }

    /// `UpdateFunctionEventInvokeConfig`: what it leaves out stays.
    pub(super) fn update_event_invoke_config(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        self.change_event_invoke_config(call, true)
    }

    fn change_event_invoke_config(&self, call: &ServiceCall, keep: bool) -> Result<Response, ApiError> {
        let reference = Reference::of(call)?;
        let body: Body = call.request.json()?;
        body.check()?;
        self.registry.change(|state| {
            state.version(&reference)?;
            let function = state.function_mut(&reference.id)?;
            let key = key(&reference).to_owned();
            if keep && !function.event_invoke_configs.contains_key(&key) {
                return Err(none(&reference));
            }
            let config = function.event_invoke_configs.entry(key).or_default();
            if !keep {
                *config = EventInvokeConfig::default();
            }
            config.apply(body);
            Ok(Response::json(200, &config.described(&reference)))
        })
    }

    pub(super) fn get_event_invoke_config(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let reference = Reference::of(call)?;
        self.registry.read(|state| {
            state.version(&reference)?;
            let configs = &state.function(&reference.id)?.event_invoke_configs;
            let config = configs.get(key(&reference)).ok_or_else(|| none(&reference))?;
            Ok(Response::json(200, &config.described(&reference)))
        })
    }

    pub(super) fn delete_event_invoke_config(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let reference = Reference::of(call)?;
        self.registry.change(|state| {
            let function = state.function_mut(&reference.id)?;
            let gone = function.event_invoke_configs.remove(key(&reference));
            gone.map(|_| Response::empty(204)).ok_or_else(|| none(&reference))
        })
    }

    pub(super) fn list_event_invoke_configs(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let reference = Reference::of(call)?;
        self.registry.read(|state| {
            let configs = state.function(&reference.id)?.event_invoke_configs.iter();
            let configs = configs.map(|(qualifier, config)| {
                config.described(&Reference { id: reference.id.clone(), qualifier: Some(qualifier.clone()) })
            });
            Ok(Response::json(200, &json!({ "FunctionEventInvokeConfigs": configs.collect::<Vec<_>>() })))
        })
    }
}

/// What a configuration is kept under.
pub(super) fn key(reference: &Reference) -> &str {
    reference.qualifier.as_deref().unwrap_or(LATEST)
}

fn none(reference: &Reference) -> ApiError {
    let arn = reference.id.qualified_arn(key(reference));
    error::not_found(format!("The function {arn} doesn't have an EventInvokeConfig"))
}
