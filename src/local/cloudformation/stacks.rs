//! The operations that change stacks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::calls::Calls;
use super::dynamic;
use super::model::{IN_REVIEW, Settings, Stack, invalid, unknown_stack};
use super::plan::{changes, same_outputs};
use super::request::{Proposal, proposal, stack_name};
use super::work::{UpdatePolicies, Wanted, Worker, not_played};
use super::{Answer, CloudFormation, stack_policy};
use crate::local::context::clock::now_millis;
use crate::local::protocol::query::{Query, Xml};
use crate::local::protocol::wire::ApiError;

/// AWS's words for an update that changes nothing.
pub const NO_UPDATES: &str = "No updates are to be performed.";

pub async fn create_stack(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let name = stack_name(query)?.to_owned();
    let proposal = proposal(service, &calls, query, None, false).await?;
    let mut stack = Stack::new(calls.region(), &name);
    let worker = Worker { service: Arc::clone(service), calls: calls.clone(), stack: stack.id.clone() };
    stack.protected = query.get("EnableTerminationProtection") == Some("true");
    stack.policy = stack_policy::given(&calls, query, "StackPolicy").await?;
    let wanted = wanted(proposal);
    let found = worker.references(&stack, &wanted, &BTreeMap::new());
    dynamic::check(&calls, &wanted.processed, &found).await?;
    stack.settings = wanted.settings.clone();
    stack.body.clone_from(&wanted.body);
    stack.processed.clone_from(&wanted.processed);
    let id = stack.id.clone();
    stack.set_status("CREATE_IN_PROGRESS", Some("User Initiated"));
    service.state.change(|state| {
        if state.live(calls.region()).any(|other| other.name == name) {
            return Err(ApiError::new(400, "AlreadyExistsException", format!("Stack [{name}] already exists")));
        }
        state.region_mut(calls.region()).stacks.insert(id.clone(), stack);
        Ok(())
    })?;
    tokio::spawn(worker.create(wanted));
    Ok(Xml::new().text("StackId", id))
}

pub fn wanted(proposal: Proposal) -> Wanted {
    let Proposal { body, template, settings } = proposal;
    Wanted { body, processed: template.processed, settings, policies: UpdatePolicies::default() }
}

pub async fn update_stack(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let named = query.required("StackName")?;
    let stack = service.state.now().stack(calls.region(), named)?.clone();
    let proposal = proposal(service, &calls, query, Some(&stack), false).await?;
    refuse_update(&stack)?;
    let policies = UpdatePolicies {
        during: stack_policy::given(&calls, query, "StackPolicyDuringUpdate").await?,
        after: stack_policy::given(&calls, query, "StackPolicy").await?,
    };
    let worker = Worker { service: Arc::clone(service), calls, stack: stack.id.clone() };
    let wanted = Wanted { policies, ..wanted(proposal) };
    let found = preview(&worker, &stack, &wanted).await?;
    // Parameters that have other values than before are a change where the template is sent, though it is the same. (Measured: see
    // `dynamic`.)
    let is_sent = query.get("UsePreviousTemplate") != Some("true");
    let looked_up = stack.resources.values().map(|resource| &resource.looked_up);
    if !(found.differs || is_sent && dynamic::have_moved(&worker.calls, looked_up).await?) {
        return Err(invalid(NO_UPDATES));
    }
    if let Some(why) = not_played(&found.changes) {
        return Err(invalid(why));
    }
    begin(service, &worker, "UPDATE_IN_PROGRESS")?;
    let id = stack.id.clone();
    tokio::spawn(worker.update(wanted, found.changes));
    Ok(Xml::new().text("StackId", id))
}

/// Marks that an operation on a stack begins.
///
/// # Errors
/// Where another one has begun meanwhile.
pub fn begin(service: &CloudFormation, worker: &Worker, status: &str) -> Result<(), ApiError> {
    service.state.change(|state| {
        let stack = state.stack_mut(worker.calls.region(), &worker.stack)?;
        if stack.is_busy() {
            return Err(busy(stack));
        }
        if !status.starts_with("CREATE") && !status.starts_with("DELETE") {
            stack.updated = Some(now_millis());
        }
        // They say what they would change of the stack as it was (API reference, `ChangeSetSummary`).
        for set in stack.change_sets.values_mut().filter(|set| set.execution == "AVAILABLE") {
            set.execution = "OBSOLETE".to_owned();
        }
        stack.set_status(status, Some("User Initiated"));
        Ok(())
    })
}

fn busy(stack: &Stack) -> ApiError {
    invalid(format!("Stack:{} is in {} state and can not be updated.", stack.id, stack.status))
}

/// AWS's refusal to update a stack in a state that does not allow it.
///
/// # Errors
/// That refusal.
pub fn refuse_update(stack: &Stack) -> Result<(), ApiError> {
    let fails = ["CREATE_FAILED", "DELETE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_COMPLETE"];
    if stack.is_busy() || stack.status == IN_REVIEW || fails.contains(&stack.status.as_str()) {
        return Err(busy(stack));
    }
    Ok(())
}

/// What a template would change.
pub struct Preview {
    pub changes: Vec<super::model::Change>,
    /// Whether anything would change: resources, outputs, tags.
    pub differs: bool,
    /// Why it fails once it has begun.
    pub fails: Option<String>,
}

/// Compares a template with a stack.
///
/// # Errors
/// Mistakes in the template, as `ValidationError`.
pub async fn preview(worker: &Worker, stack: &Stack, wanted: &Wanted) -> Result<Preview, ApiError> {
    let known = worker.attributes().await.map_err(invalid)?;
    let exports = worker.service.state.now().exports(worker.calls.region());
    let changes = {
        let mut scope = worker.scope(stack, wanted, &known, &exports);
        scope.is_preview = true;
        changes(stack, &scope).map_err(invalid)?
    };
    let found = worker.references(stack, wanted, &known);
    dynamic::check(&worker.calls, &wanted.processed, &found).await?;
    let said = |settings: &Settings| (settings.tags.clone(), settings.role_arn.clone());
    let differs = !changes.is_empty()
        || !same_outputs(&stack.processed, &wanted.processed)
        || said(&stack.settings) != said(&wanted.settings)
        || !stack.settings.parameters.iter().eq(&wanted.settings.parameters) && !stack.outputs.is_empty();
    Ok(Preview { changes, differs, fails: dynamic::unsupported(&found, false) })
}

pub async fn delete_stack(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let named = query.required("StackName")?;
    let state = service.state.now();
    // One that is not there is deleted already.
    let Ok(stack) = state.stack(calls.region(), named) else { return Ok(Xml::new()) };
    if stack.status == "DELETE_COMPLETE" || stack.status == "DELETE_IN_PROGRESS" {
        return Ok(Xml::new());
    }
    if stack.protected {
        let message = format!("Stack [{}] cannot be deleted while TerminationProtection is enabled", stack.name);
        return Err(invalid(message));
    }
    if stack.is_busy() {
        let message = format!("Stack [{}] cannot be deleted while in status {}", stack.name, stack.status);
        return Err(invalid(message));
    }
    let retained: Vec<String> = query.list("RetainResources").into_iter().map(str::to_owned).collect();
    if !retained.is_empty() && stack.status != "DELETE_FAILED" {
        return Err(invalid(format!(
            "Invalid operation on stack [{}]. When you delete a stack, specify which resources to retain only when the stack is in \
             the DELETE_FAILED state.",
            stack.id
        )));
    }
    let names: Vec<&str> = stack.outputs.iter().filter_map(|output| output.export.as_deref()).collect();
    let used = names.iter().find_map(|name| Some((*name, state.importers(calls.region(), name).next()?)));
    let (id, status) = (stack.id.clone(), stack.status.clone());
    if let Some((export, user)) = used {
        // The call succeeds, and the stack stays as it is.
        let why = format!("Delete canceled. Cannot delete export {export} as it is in use by {user}.");
        service.state.change(|state| {
            state.stack_mut(calls.region(), &id)?.set_status(&status, Some(&why));
            Ok(())
        })?;
        return Ok(Xml::new());
    }
    let worker = Worker { service: Arc::clone(service), calls, stack: id };
    begin(service, &worker, "DELETE_IN_PROGRESS")?;
    tokio::spawn(worker.delete(retained));
    Ok(Xml::new())
}

pub async fn update_termination_protection(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let named = query.required("StackName")?;
    let protects = query.required("EnableTerminationProtection")? == "true";
    let id = service.state.now().stack(calls.region(), named)?.id.clone();
    service.state.change(|state| {
        let stack = state.stack_mut(calls.region(), &id)?;
        if stack.status == "DELETE_COMPLETE" || stack.status == "DELETE_IN_PROGRESS" {
            return Err(unknown_stack(named));
        }
        stack.protected = protects;
        Ok(Xml::new().text("StackId", &id))
    })
}
