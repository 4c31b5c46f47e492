//! What a function has beside its configuration: kept and given back, without an effect here.

use serde::Deserialize;
use serde_json::json;

use super::Lambda;
use super::error::{self, constraint};
use super::name::FunctionId;
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::{ApiError, Response};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Recursion {
    recursive_loop: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Management {
    update_runtime_on: String,
    runtime_version_arn: Option<String>,
}

impl Lambda {
    pub(super) fn put_recursion(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let id = &FunctionId::of(call)?;
        let on = call.request.json::<Recursion>()?.recursive_loop;
        must_be_one_of(&on, "recursiveLoop", &["Allow", "Terminate"])?;
        self.registry.change(|state| {
            state.function_mut(id)?.recursive_loop = Some(on.clone());
            Ok(Response::json(200, &json!({ "RecursiveLoop": on })))
        })
    }

    pub(super) fn get_recursion(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let id = &FunctionId::of(call)?;
        self.registry.read(|state| {
            let on = state.function(id)?.recursive_loop.as_deref().unwrap_or("Terminate");
            Ok(Response::json(200, &json!({ "RecursiveLoop": on })))
        })
    }

    pub(super) fn put_runtime_management(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let id = &FunctionId::of(call)?;
        let given: Management = call.request.json()?;
        must_be_one_of(&given.update_runtime_on, "updateRuntimeOn", &["Auto", "Manual", "FunctionUpdate"])?;
        if (given.update_runtime_on == "Manual") != given.runtime_version_arn.is_some() {
            return Err(error::invalid(
                "RuntimeVersionArn must be given with UpdateRuntimeOn Manual, and with it alone.",
            ));
        }
        self.registry.change(|state| {
            let management = (given.update_runtime_on.clone(), given.runtime_version_arn.clone());
            state.function_mut(id)?.runtime_management = Some(management);
            let mut shown = json!({ "UpdateRuntimeOn": given.update_runtime_on, "FunctionArn": id.arn() });
            if let Some(arn) = &given.runtime_version_arn {
                shown["RuntimeVersionArn"] = arn.as_str().into();
            }
            Ok(Response::json(200, &shown))
        })
    }

    pub(super) fn get_runtime_management(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let id = &FunctionId::of(call)?;
        self.registry.read(|state| {
            let (on, arn) = state.function(id)?.runtime_management.clone().unwrap_or_else(|| ("Auto".to_owned(), None));
            let mut shown = json!({ "UpdateRuntimeOn": on, "FunctionArn": id.arn() });
            if let Some(arn) = arn {
                shown["RuntimeVersionArn"] = arn.into();
            }
            Ok(Response::json(200, &shown))
        })
    }
}

fn must_be_one_of(value: &str, member: &str, known: &[&str]) -> Result<(), ApiError> {
    if known.contains(&value) {
        return Ok(());
    }
    let rule = format!("Member must satisfy enum value set: [{}]", known.join(", "));
    Err(error::validation(&[constraint(value, member, &rule)]))
}
