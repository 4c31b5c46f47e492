//! Provisioned concurrency of aliases: kept and given back. Every invocation finds an environment here anyway.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Lambda;
use super::error::{self, constraint};
use super::functions::page;
use super::name::Reference;
use super::state::{Alias, State};
use crate::core::iam::need::Need;
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::{ApiError, Response};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    provisioned_concurrent_executions: i64,
}

impl Lambda {
    pub(super) fn put_provisioned_concurrency(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let reference = &Reference::of(call)?;
        let wanted = call.request.json::<Put>()?.provisioned_concurrent_executions;
        let Some(executions) = u32::try_from(wanted).ok().filter(|wanted| *wanted > 0) else {
            let rule = "Member must have value greater than or equal to 1";
            return Err(error::validation(&[constraint(&wanted.to_string(), "provisionedConcurrentExecutions", rule)]));
        };
        self.registry.change(|state| {
            let alias = alias_mut(state, reference)?;
            alias.provisioned = Some(executions);
            Ok(Response::json(202, &shown(executions)))
        })
    }

    /// One path for two operations: with `List=ALL` those of all aliases, else that of one.
    pub(super) fn get_provisioned_concurrency(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let reference = &Reference::of(call)?;
        if call.request.query("List").is_none() {
            return self.registry.read(|state| {
                let alias = alias(state, reference)?;
                let executions = alias.provisioned.ok_or_else(none)?;
                Ok(Response::json(200, &shown(executions)))
            });
        }
        let id = &reference.id;
        let configs = self.registry.read(|state| {
            let aliases = state.function(id)?.aliases.iter();
            let of_alias = |(name, alias): (&String, &Alias)| {
                let mut shown = shown(alias.provisioned?);
                shown["FunctionArn"] = id.qualified_arn(name).into();
                Some((name.clone(), shown))
            };
            Ok::<_, ApiError>(aliases.filter_map(of_alias).collect())
        })?;
        page(&call.request, "ProvisionedConcurrencyConfigs", configs)
    }

    pub(super) fn delete_provisioned_concurrency(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let reference = &Reference::of(call)?;
        self.registry.change(|state| {
            alias_mut(state, reference)?.provisioned = None;
            Ok(Response::empty(204))
        })
    }
}

/// The permission to read, by which of the two operations it is.
pub fn reading(call: &ServiceCall) -> Vec<Need> {
    let name = match call.request.query("List") {
        Some(_) => "ListProvisionedConcurrencyConfigs",
        None => "GetProvisionedConcurrencyConfig",
    };
    let arn = Reference::of(call).map(|reference| reference.arn()).unwrap_or_else(|_| "*".to_owned());
    vec![Need::new(format!("lambda:{name}"), arn)]
}

fn none() -> ApiError {
    ApiError::new(
        404,
        "ProvisionedConcurrencyConfigNotFoundException",
        "No Provisioned Concurrency Config found for this function",
    )
}

/// The alias that the qualifier names. Versions could have some on AWS as well; the deployer gives them none.
fn alias<'a>(state: &'a State, reference: &Reference) -> Result<&'a Alias, ApiError> {
    let name = qualifier(reference)?;
    state.function(&reference.id)?.aliases.get(name).ok_or_else(|| error::no_alias(&reference.arn()))
}

fn alias_mut<'a>(state: &'a mut State, reference: &Reference) -> Result<&'a mut Alias, ApiError> {
    let name = qualifier(reference)?;
    state.function_mut(&reference.id)?.aliases.get_mut(name).ok_or_else(|| error::no_alias(&reference.arn()))
}

fn qualifier(reference: &Reference) -> Result<&str, ApiError> {
    reference.qualifier.as_deref().ok_or_else(|| {
        let missing = "Value null at 'qualifier' failed to satisfy constraint: Member must not be null";
        error::validation(&[missing.to_owned()])
    })
}

fn shown(executions: u32) -> Value {
    json!({
        "RequestedProvisionedConcurrentExecutions": executions,
        "AvailableProvisionedConcurrentExecutions": executions,
        "AllocatedProvisionedConcurrentExecutions": executions,
        "Status": "READY",
        "LastModified": super::state::lambda_date(),
    })
}
