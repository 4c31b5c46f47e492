//! Change sets: what would change is shown, and carried out on request; and existing resources are imported. The refusals
//! of an import, their order and their words are as measured on AWS (ministack, `tests/test_cfn_import`; cdkd#307, #1128, #1772).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::calls::Calls;
use super::dynamic;
use super::evaluate::KNOWN_AFTER_APPLY;
use super::model::{Change, ChangeSet, EXECUTING, IN_REVIEW, ResourceToImport, Stack, invalid};
use super::plan::same_outputs;
use super::request::{proposal, stack_name};
use super::resources::{self, Identifier};
use super::stacks::{Preview, begin, preview, refuse_update, wanted};
use super::work::{UpdatePolicies, Wanted, Worker, not_found, not_played};
use super::{Answer, CloudFormation};
use crate::local::context::CloudContext;
use crate::local::context::clock::{iso8601_millis, now_millis};
use crate::local::protocol::query::{Query, Xml, constraint};
use crate::local::protocol::wire::ApiError;

/// Why a change set without changes fails.
const NO_CHANGES: &str =
    "The submitted information didn't contain changes. Submit different information to create a change set.";

pub async fn create_change_set(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let named = query.required("StackName")?;
    let name = query.check_name("ChangeSetName", 128, "[a-zA-Z][-a-zA-Z0-9]*", |letter| {
        letter.is_ascii_alphanumeric() || letter == '-'
    })?;
    let kind = query.get("ChangeSetType").unwrap_or("UPDATE");
    if !["CREATE", "UPDATE", "IMPORT"].contains(&kind) {
        let rule = "Member must satisfy enum value set: [IMPORT, UPDATE, CREATE]";
        return Err(constraint(&format!("Value '{kind}' at 'changeSetType'"), rule));
    }
    let imports = imports(query)?;
    if (kind == "IMPORT") == imports.is_empty() {
        return Err(invalid(match kind {
            "IMPORT" => "Must Provide at least one resource to import",
            _ => "ResourcesToImport can only be specified with ChangeSetType IMPORT",
        }));
    }
    let there = service.state.now().stack(calls.region(), named).ok().filter(|stack| stack.deleted.is_none()).cloned();
    let is_new = there.as_ref().is_none_or(|stack| stack.status == IN_REVIEW);
    match (kind, &there) {
        ("UPDATE", None) => return Err(invalid(format!("Stack [{named}] does not exist"))),
        ("UPDATE", Some(stack)) => refuse_update(stack)?,
        ("CREATE", Some(stack)) if !is_new => {
            let message = format!(
                "Stack [{}] already exists and cannot be created again with the changeSet [{name}].",
                stack.name
            );
            return Err(invalid(message));
        }
        ("IMPORT", Some(stack)) if !is_new => refuse_update(stack)?,
        _ => {}
    }
    if there.as_ref().is_some_and(|stack| stack.change_sets.contains_key(name)) {
        let message = format!("ChangeSet {name} cannot be created due to a mismatch with existing attribute Name");
        return Err(ApiError::new(400, "AlreadyExistsException", message));
    }
    let proposal = proposal(service, &calls, query, there.as_ref(), true).await?;
    let (stack, is_made) = match there {
        Some(stack) => (stack, false),
        None => (Stack::new(calls.region(), stack_name(query)?), true),
    };
    let worker = Worker { service: Arc::clone(service), calls, stack: stack.id.clone() };
    let wanted = wanted(proposal);
    let found = preview(&worker, &stack, &wanted).await;
    if kind == "IMPORT" {
        check_import(&stack, &wanted.processed, &imports, &found.as_ref().map_err(Clone::clone)?.changes)?;
    }
    let found = found?;
    let id =
        CloudContext::arn("cloudformation", worker.calls.region(), &format!("changeSet/{name}/{}", Uuid::new_v4()));
    let change_set = ChangeSet {
        id: id.clone(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        description: query.get("Description").map(str::to_owned),
        status: "CREATE_PENDING".to_owned(),
        execution: "UNAVAILABLE".to_owned(),
        created: now_millis(),
        settings: wanted.settings,
        body: wanted.body,
        processed: wanted.processed,
        imports,
        ..ChangeSet::default()
    };
    service.state.change(|state| {
        let region = state.region_mut(worker.calls.region());
        let stack = region.stacks.entry(stack.id.clone()).or_insert(stack);
        if is_made {
            stack.set_status(IN_REVIEW, Some("User Initiated"));
        }
        stack.change_sets.insert(name.to_owned(), change_set);
        Ok(())
    })?;
    let answer = Xml::new().text("Id", &id).text("StackId", &worker.stack);
    tokio::spawn(settle(worker, name.to_owned(), found));
    Ok(answer)
}

/// `ResourcesToImport.member.1.ResourceType`, …
fn imports(query: &Query) -> Result<Vec<ResourceToImport>, ApiError> {
    let mut all = Vec::new();
    for index in 1.. {
        let member = |name: &str| query.get(&format!("ResourcesToImport.member.{index}.{name}"));
        let Some(logical_id) = member("LogicalResourceId") else { break };
        let entry = |at: usize| {
            let key = member(&format!("ResourceIdentifier.entry.{at}.key"))?;
            let value = member(&format!("ResourceIdentifier.entry.{at}.value")).unwrap_or_default();
            Some((key.to_owned(), value.to_owned()))
        };
        let identifier: Identifier = (1..).map_while(entry).collect();
        if identifier.is_empty() {
            let sent = format!("Value null at 'resourcesToImport.{index}.member.resourceIdentifier'");
            return Err(constraint(&sent, "Member must not be null"));
        }
        all.push(ResourceToImport {
            type_name: member("ResourceType").unwrap_or_default().to_owned(),
            logical_id: logical_id.to_owned(),
            identifier,
        });
    }
    Ok(all)
}

/// Refuses an import that AWS refuses at once.
fn check_import(
    stack: &Stack,
    processed: &Value,
    imports: &[ResourceToImport],
    changes: &[Change],
) -> Result<(), ApiError> {
    let listed = |ids: &[&str]| format!("[{}]", ids.join(", "));
    let ids: Vec<&str> = imports.iter().map(|one| one.logical_id.as_str()).collect();
    if ids.iter().collect::<BTreeSet<_>>().len() != ids.len() {
        return Err(invalid("Every resource to import must have unique LogicalResourceId"));
    }
    let declared = |id: &str| &processed["Resources"][id];
    let undeclared: Vec<&str> = ids.iter().copied().filter(|id| declared(id).is_null()).collect();
    if !undeclared.is_empty() {
        return Err(invalid(format!(
            "The logical resource ids {} provided in ResourceToImport do not exist in the template.",
            listed(&undeclared)
        )));
    }
    let is_unsupported = |one: &&ResourceToImport| !resources::of(&one.type_name).is_ok_and(|known| known.importable);
    let unsupported: BTreeSet<&str> = imports.iter().filter(is_unsupported).map(|one| one.type_name.as_str()).collect();
    if !unsupported.is_empty() {
        let types: Vec<&str> = unsupported.into_iter().collect();
        return Err(invalid(format!("ResourceTypes {} are not supported for Import", listed(&types))));
    }
    for one in imports {
        let mut expected = resources::identifier_of(&one.type_name);
        if expected.iter().collect::<BTreeSet<_>>() != one.identifier.keys().collect() {
            expected.sort();
            return Err(invalid(format!(
                "Invalid resource identifier for resource type {}. Expected [{}]",
                one.type_name,
                expected.join(", ")
            )));
        }
        let in_template = declared(&one.logical_id)["Type"].as_str().unwrap_or_default();
        if in_template != one.type_name {
            return Err(invalid(format!(
                "Resource type of [{}] passed in ResourceToImport does not match with resource type defined in the template. Resource \
                 type in ResourceToImport: {}; Resource type in Template: {in_template}.",
                one.logical_id, one.type_name
            )));
        }
    }
    let with = |actions: &[&str]| -> Vec<&str> {
        changes
            .iter()
            .filter(|change| actions.contains(&change.action.as_str()))
            .map(|change| change.logical_id.as_str())
            .collect()
    };
    let added = with(&["Add"]);
    if added.is_empty() {
        return Err(invalid("The template should contain at least one new resource to import."));
    }
    let owned: Vec<&str> = ids.iter().copied().filter(|id| !added.contains(id)).collect();
    if !owned.is_empty() {
        return Err(invalid(format!(
            "Resources {} passed in ResourceToImport are already in a stack and cannot be imported.",
            listed(&owned)
        )));
    }
    let missing: Vec<&str> = added.iter().copied().filter(|id| !ids.contains(id)).collect();
    if !missing.is_empty() {
        return Err(invalid(format!("Resources {} is missing from ResourceToImport list", listed(&missing))));
    }
    let mut modified = with(&["Modify", "Remove"]);
    modified.sort_unstable();
    if !modified.is_empty() {
        return Err(invalid(format!(
            "You have modified resources {} in your template that are not being imported. Update, create or delete operations cannot \
             be executed during import operations.",
            listed(&modified)
        )));
    }
    let without: Vec<&str> = ids.iter().copied().filter(|id| declared(id)["DeletionPolicy"].is_null()).collect();
    if !without.is_empty() {
        return Err(invalid(format!(
            "The following resources to import {} must have DeletionPolicy attribute specified in the template.",
            listed(&without)
        )));
    }
    for one in imports {
        let stated = changes.iter().find(|change| change.logical_id == one.logical_id).map(|change| &change.stated);
        let differs = |(name, value): &(&String, &String)| {
            let stated = stated.and_then(|stated| stated[name.as_str()].as_str());
            // What it says with the name of another one that is imported is not known yet, nor what is looked up.
            let is_known = |stated: &str| ![KNOWN_AFTER_APPLY, dynamic::BEGIN].iter().any(|open| stated.contains(open));
            stated.is_some_and(|stated| stated != value.as_str() && is_known(stated))
        };
        if let Some((name, _)) = one.identifier.iter().find(differs) {
            return Err(invalid(format!(
                "The Identifier [{name}] for resource [{}] does not match the identifier value for the resource in the template",
                one.logical_id
            )));
        }
    }
    if !same_outputs(&stack.processed, processed) {
        return Err(invalid("As part of the import operation, you cannot modify or add [Outputs]"));
    }
    Ok(())
}

/// Brings a change set from `CREATE_PENDING` to its end, which may be a failure.
async fn settle(worker: Worker, name: String, found: Preview) {
    let pause = worker.service.context.conditions.eventual.resource_changing;
    tokio::time::sleep(pause).await;
    let state = worker.service.state.now();
    let region = worker.calls.region().to_owned();
    let Some(change_set) = state.stack(&region, &worker.stack).ok().and_then(|stack| stack.change_sets.get(&name))
    else {
        return;
    };
    let mut changes = found.changes;
    let mut failure = None;
    if change_set.kind == "IMPORT" {
        failure = lookup(&worker, &change_set.imports).await;
        for change in &mut changes {
            let imported = change_set.imports.iter().find(|one| one.logical_id == change.logical_id);
            if let Some(one) = imported {
                change.action = "Import".to_owned();
                change.physical_id = Some(resources::physical_id(&one.type_name, &one.identifier));
            }
        }
    } else if !found.differs {
        failure = Some(NO_CHANGES.to_owned());
    }
    let failure = failure.or(found.fails);
    let saved = worker.service.state.change(|state| {
        let stack = state.stack_mut(&region, &worker.stack)?;
        if let Some(change_set) = stack.change_sets.get_mut(&name) {
            let (status, execution) =
                if failure.is_none() { ("CREATE_COMPLETE", "AVAILABLE") } else { ("FAILED", "UNAVAILABLE") };
            (change_set.status, change_set.execution) = (status.to_owned(), execution.to_owned());
            (change_set.reason, change_set.changes) = (failure, changes);
        }
        Ok(())
    });
    if let Err(error) = saved {
        tracing::error!("change set {name}: {}", error.message);
    }
}

/// Why resources cannot be imported: one is not there, or another stack has it.
async fn lookup(worker: &Worker, imports: &[ResourceToImport]) -> Option<String> {
    for one in imports {
        match resources::read(&worker.calls, &one.type_name, &one.identifier).await {
            Ok(Some(_)) => {}
            Ok(None) => return Some(not_found(one)),
            Err(error) => return Some(error.message),
        }
    }
    let state = worker.service.state.now();
    for one in imports {
        let has = |stack: &&Stack| {
            stack.resources.values().any(|held| held.type_name == one.type_name && held.identifier == one.identifier)
        };
        if let Some(stack) = state.live(worker.calls.region()).find(has) {
            let id = resources::physical_id(&one.type_name, &one.identifier);
            return Some(format!("{id} already exists in stack {}", stack.id));
        }
    }
    None
}

/// The change set that a request names: by its ARN, or by its name and its stack's.
fn found<'a>(
    service: &'a super::model::State,
    region: &str,
    query: &Query,
) -> Result<(&'a Stack, &'a ChangeSet), ApiError> {
    let name = query.required("ChangeSetName")?;
    let unknown = || ApiError::new(404, "ChangeSetNotFound", format!("ChangeSet [{name}] does not exist"));
    if name.starts_with("arn:") {
        let mut all = service.all(region).flat_map(|stack| stack.change_sets.values().map(move |one| (stack, one)));
        return all.find(|(_, one)| one.id == name).ok_or_else(unknown);
    }
    let named = query
        .get("StackName")
        .ok_or_else(|| invalid("StackName must be specified if ChangeSetName is not specified as an ARN."))?;
    let stack = service.stack(region, named)?;
    Ok((stack, stack.change_sets.get(name).ok_or_else(unknown)?))
}

pub async fn describe_change_set(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let (stack, one) = found(&state, calls.region(), query)?;
    let changes =
        one.changes.iter().map(|change| Xml::new().text("Type", "Resource").element("ResourceChange", shown(change)));
    Ok(summary(stack, one)
        .list("Parameters", super::describe::parameters(&one.processed, &one.settings.parameters))
        .list("Capabilities", one.settings.capabilities.iter().map(Xml::of_text))
        .list("NotificationARNs", one.settings.notification_arns.iter().map(Xml::of_text))
        .list("Tags", super::describe::tags(&one.settings.tags))
        .list("Changes", changes))
}

fn summary(stack: &Stack, one: &ChangeSet) -> Xml {
    Xml::new()
        .text("ChangeSetName", &one.name)
        .text("ChangeSetId", &one.id)
        .text("StackId", &stack.id)
        .text("StackName", &stack.name)
        .optional("Description", one.description.as_ref())
        .text("CreationTime", iso8601_millis(one.created))
        .text("ExecutionStatus", &one.execution)
        .text("Status", &one.status)
        .optional("StatusReason", one.reason.as_ref())
        .text("IncludeNestedStacks", false)
}

fn shown(change: &Change) -> Xml {
    let details = change.properties.iter().map(|name| {
        let target = Xml::new().text("Attribute", "Properties").text("Name", name).text("RequiresRecreation", "Never");
        Xml::new().element("Target", target).text("Evaluation", "Static").text("ChangeSource", "DirectModification")
    });
    Xml::new()
        .text("Action", &change.action)
        .text("LogicalResourceId", &change.logical_id)
        .optional("PhysicalResourceId", change.physical_id.as_ref())
        .text("ResourceType", &change.type_name)
        .optional("Replacement", (change.action == "Modify").then_some("False"))
        .list("Scope", change.scope.iter().map(Xml::of_text))
        .list("Details", details)
}

pub async fn list_change_sets(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let stack = state.stack(calls.region(), query.required("StackName")?)?;
    let waiting = stack.change_sets.values().filter(|one| !one.execution.starts_with("EXECUTE_"));
    Ok(Xml::new().list("Summaries", waiting.map(|one| summary(stack, one))))
}

pub async fn execute_change_set(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let (stack, one) = found(&state, calls.region(), query)?;
    if one.execution != "AVAILABLE" {
        let message = format!(
            "ChangeSet [{}] cannot be executed in its current status of [{}]",
            one.id,
            if one.execution == "UNAVAILABLE" { &one.status } else { &one.execution }
        );
        return Err(ApiError::new(400, "InvalidChangeSetStatus", message));
    }
    if let Some(why) = not_played(&one.changes) {
        return Err(invalid(why));
    }
    let worker = Worker { service: Arc::clone(service), calls: calls.clone(), stack: stack.id.clone() };
    let status = match one.kind.as_str() {
        "CREATE" => "CREATE_IN_PROGRESS",
        "IMPORT" => "IMPORT_IN_PROGRESS",
        _ => "UPDATE_IN_PROGRESS",
    };
    let mut settings = one.settings.clone();
    settings.disable_rollback |= query.get("DisableRollback") == Some("true");
    settings.retain_except_on_create |= query.get("RetainExceptOnCreate") == Some("true");
    let (body, processed) = (one.body.clone(), one.processed.clone());
    let wanted = Wanted { body, processed, settings, policies: UpdatePolicies::default() };
    begin(service, &worker, status)?;
    let id = one.id.clone();
    service.state.change(|state| {
        let stack = state.stack_mut(calls.region(), &worker.stack)?;
        if status != "UPDATE_IN_PROGRESS" {
            stack.created = now_millis();
        }
        // The others are out of date.
        stack.change_sets.retain(|_, one| one.id == id);
        stack.change_sets.values_mut().for_each(|one| one.execution = EXECUTING.to_owned());
        stack.executed = Some(id);
        Ok(())
    })?;
    match one.kind.as_str() {
        "CREATE" => drop(tokio::spawn(worker.create(wanted))),
        "IMPORT" => drop(tokio::spawn(worker.import(wanted, one.imports.clone()))),
        _ => drop(tokio::spawn(worker.update(wanted, one.changes.clone()))),
    }
    Ok(Xml::new())
}

pub async fn delete_change_set(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let (id, name) = match found(&state, calls.region(), query) {
        Ok((stack, one)) => (stack.id.clone(), one.name.clone()),
        // One that is gone is no error.
        Err(error) if error.code == "ChangeSetNotFound" => return Ok(Xml::new()),
        Err(error) => return Err(error),
    };
    service.state.change(|state| {
        state.stack_mut(calls.region(), &id)?.change_sets.remove(&name);
        Ok(Xml::new())
    })
}
