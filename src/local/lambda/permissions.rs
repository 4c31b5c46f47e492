//! A function's resource policy and its reserved concurrency.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::Lambda;
use super::error::{self, constraint};
use super::execution::ACCOUNT_CONCURRENCY;
use super::name::{FunctionId, LATEST, Reference};
use super::policy::Permission;
use super::state::{Function, State, Version};
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::{ApiError, Response};

/// The concurrency that must remain for functions without a reservation (Lambda quotas).
const MIN_UNRESERVED: u32 = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Concurrency {
    reserved_concurrent_executions: i64,
}

impl Lambda {
    pub(super) fn add_permission(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let reference = &Reference::of(call)?;
        let permission: Permission = request.json()?;
        if reference.qualifier.as_deref() == Some(LATEST) {
            return Err(error::invalid("We currently do not support adding policies for $LATEST."));
        }
        self.registry.change(|state| {
            state.function(&reference.id).map_err(|_| error::no_function(&reference.arn()))?;
            check_qualifier(state, reference)?;
            check_revision(state, reference, permission.revision_id.as_deref())?;
            let function = state.function_mut(&reference.id)?;
            // A refused permission must not leave an empty policy behind.
            let mut policy = function.policies.get(reference.policy()).cloned().unwrap_or_default();
            let statement = policy.add(&reference.arn(), permission)?;
            function.policies.insert(reference.policy().to_owned(), policy);
            function.revise(reference.policy());
            Ok(Response::json(201, &json!({ "Statement": statement })))
        })
    }

    pub(super) fn get_policy(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let reference = &Reference::of(call)?;
        self.registry.read(|state| {
            let function = state.function(&reference.id)?;
            let policy = function.policies.get(reference.policy());
            let policy = policy.ok_or_else(|| error::not_found("The resource you requested does not exist."))?;
            let revision_id = function.revision_id(reference.policy());
            Ok(Response::json(200, &json!({ "Policy": policy.document(), "RevisionId": revision_id })))
        })
    }

    pub(super) fn remove_permission(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let reference = &Reference::of(call)?;
        let statement_id = call.id(1);
        self.registry.change(|state| {
            let missing = |_| error::not_found(format!("No policy found for: {}", reference.id.arn()));
            state.function(&reference.id).map_err(missing)?;
            check_qualifier(state, reference)?;
            check_revision(state, reference, request.query("RevisionId"))?;
            let function = state.function_mut(&reference.id)?;
            let policy = function
                .policies
                .get_mut(reference.policy())
                .ok_or_else(|| error::not_found("No policy is associated with the given resource."))?;
            policy.remove(statement_id)?;
            if policy.is_empty() {
                function.policies.remove(reference.policy());
            }
            function.revise(reference.policy());
            Ok(Response::empty(204))
        })
    }

    pub(super) fn put_concurrency(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let id = &FunctionId::of(call)?;
        let reserved = request.json::<Concurrency>()?.reserved_concurrent_executions;
        let Ok(reserved) = u32::try_from(reserved) else {
            let rule = "Member must have value greater than or equal to 0";
            return Err(error::validation(&[constraint(&reserved.to_string(), "reservedConcurrentExecutions", rule)]));
        };
        self.registry.change(|state| {
            state.function(id)?;
            let others = state.functions(&id.region).filter(|(other, _)| other != id);
            let taken: u32 = others.filter_map(|(_, function)| function.reserved_concurrency).sum();
            if reserved > (ACCOUNT_CONCURRENCY - MIN_UNRESERVED).saturating_sub(taken) {
                return Err(error::invalid(format!(
                    "Specified ReservedConcurrentExecutions for function decreases account's \
                     UnreservedConcurrentExecution below its minimum value of [{MIN_UNRESERVED}]."
                )));
            }
            state.function_mut(id)?.reserved_concurrency = Some(reserved);
            Ok(Response::json(200, &json!({ "ReservedConcurrentExecutions": reserved })))
        })
    }

    pub(super) fn get_concurrency(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let id = &FunctionId::of(call)?;
        self.registry.read(|state| {
            let shown = match state.function(id)?.reserved_concurrency {
                Some(reserved) => json!({ "ReservedConcurrentExecutions": reserved }),
                None => json!({}),
            };
            Ok(Response::json(200, &shown))
        })
    }

    pub(super) fn delete_concurrency(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let id = &FunctionId::of(call)?;
        self.registry.change(|state| {
            state.function_mut(id)?.reserved_concurrency = None;
            Ok(Response::empty(204))
        })
    }
}

impl Function {
    /// The `RevisionId` of a policy, by the policy's key: that of the function, version or alias it belongs to.
    fn revision_id(&self, policy: &str) -> Option<&str> {
        match (policy, self.aliases.get(policy)) {
            ("", _) => Some(self.latest.revision_id()),
            (_, Some(alias)) => Some(&alias.revision_id),
            (number, None) => self.version(number).map(Version::revision_id),
        }
    }

    /// Gives a new `RevisionId` to the function, version or alias that a policy belongs to.
    fn revise(&mut self, policy: &str) {
        if policy.is_empty() {
            self.latest.revise();
        } else if let Some(alias) = self.aliases.get_mut(policy) {
            alias.revision_id = Uuid::new_v4().to_string();
        } else if let Some(version) = policy.parse().ok().and_then(|number| self.versions.get_mut(&number)) {
            version.revise();
        }
    }
}

/// Refuses an unknown version or alias.
fn check_qualifier(state: &State, reference: &Reference) -> Result<(), ApiError> {
    let Some(qualifier) = &reference.qualifier else { return Ok(()) };
    let function = state.function(&reference.id)?;
    let is_number = qualifier == LATEST || qualifier.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && function.version(qualifier).is_none() {
        return Err(error::no_function(&reference.arn()));
    }
    if !is_number && !function.aliases.contains_key(qualifier) {
        return Err(error::no_alias(&reference.arn()));
    }
    Ok(())
}

/// Refuses a change by a caller that expects another revision.
fn check_revision(state: &State, reference: &Reference, revision_id: Option<&str>) -> Result<(), ApiError> {
    let current = state.function(&reference.id)?.revision_id(reference.policy());
    match revision_id {
        Some(given) if current != Some(given) => Err(error::stale_revision("GetPolicy")),
        _ => Ok(()),
    }
}
