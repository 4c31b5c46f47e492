//! The operations that read.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::calls::Calls;
use super::model::{Event, IN_REVIEW, Resource, Stack, invalid};
use super::request::{body, needed_capabilities};
use super::{Answer, CloudFormation, resources};
use crate::core::schemas::schema;
use crate::local::context::clock::iso8601_millis;
use crate::local::context::ports::ReadTemplate;
use crate::local::protocol::paging;
use crate::local::protocol::query::{Query, Xml};
use crate::local::protocol::wire::ApiError;

/// The value that stands for one of a `NoEcho` parameter (API reference, `Parameter`).
const MASKED: &str = "****";

/// How many items a page has.
const PAGE: usize = 100;

pub async fn describe_stacks(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    if let Some(named) = query.get("StackName") {
        let stack = state.stack(calls.region(), named)?;
        return Ok(Xml::new().list("Stacks", [described(stack)]));
    }
    let (page, next) = page(query, newest_first(state.live(calls.region())))?;
    Ok(Xml::new().list("Stacks", page.into_iter().map(described)).optional("NextToken", next))
}

fn newest_first<'a>(stacks: impl Iterator<Item = &'a Stack>) -> Vec<&'a Stack> {
    let mut all: Vec<&Stack> = stacks.collect();
    all.sort_by_key(|stack| std::cmp::Reverse(stack.created));
    all
}

fn described(stack: &Stack) -> Xml {
    let outputs = stack.outputs.iter().map(|output| {
        Xml::new()
            .text("OutputKey", &output.key)
            .text("OutputValue", &output.value)
            .optional("Description", output.description.as_ref())
            .optional("ExportName", output.export.as_ref())
    });
    let settings = &stack.settings;
    Xml::new()
        .text("StackId", &stack.id)
        .text("StackName", &stack.name)
        .optional("ChangeSetId", stack.executed.as_ref())
        .optional("Description", stack.processed["Description"].as_str())
        .list("Parameters", parameters(&stack.processed, &settings.parameters))
        .text("CreationTime", iso8601_millis(stack.created))
        .optional("LastUpdatedTime", stack.updated.map(iso8601_millis))
        .optional("DeletionTime", stack.deleted.map(iso8601_millis))
        .element("RollbackConfiguration", Xml::new())
        .text("StackStatus", &stack.status)
        .optional("StackStatusReason", stack.reason.as_ref())
        .text("DisableRollback", settings.disable_rollback)
        .list("NotificationARNs", settings.notification_arns.iter().map(Xml::of_text))
        .list("Capabilities", settings.capabilities.iter().map(Xml::of_text))
        .list("Outputs", outputs)
        .optional("RoleARN", settings.role_arn.as_ref())
        .list("Tags", tags(&settings.tags))
        .text("EnableTerminationProtection", stack.protected)
        .element("DriftInformation", Xml::new().text("StackDriftStatus", "NOT_CHECKED"))
}

/// Parameters as they are shown: without secrets.
pub fn parameters(processed: &Value, values: &BTreeMap<String, String>) -> Vec<Xml> {
    let shown = |(name, value): (&String, &String)| {
        let hides = &processed["Parameters"][name.as_str()]["NoEcho"];
        let hides = hides == true || hides == "true";
        Xml::new().text("ParameterKey", name).text("ParameterValue", if hides { MASKED } else { value })
    };
    values.iter().map(shown).collect()
}

pub fn tags(tags: &BTreeMap<String, String>) -> Vec<Xml> {
    tags.iter().map(|(key, value)| Xml::new().text("Key", key).text("Value", value)).collect()
}

pub async fn list_stacks(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let wanted = query.list("StackStatusFilter");
    let fits = |stack: &&Stack| wanted.is_empty() || wanted.contains(&stack.status.as_str());
    let (page, next) = page(query, newest_first(state.all(calls.region()).filter(fits)))?;
    let summaries = page.into_iter().map(|stack| {
        Xml::new()
            .text("StackId", &stack.id)
            .text("StackName", &stack.name)
            .optional("TemplateDescription", stack.processed["Description"].as_str())
            .text("CreationTime", iso8601_millis(stack.created))
            .optional("LastUpdatedTime", stack.updated.map(iso8601_millis))
            .optional("DeletionTime", stack.deleted.map(iso8601_millis))
            .text("StackStatus", &stack.status)
            .optional("StackStatusReason", stack.reason.as_ref())
            .element("DriftInformation", Xml::new().text("StackDriftStatus", "NOT_CHECKED"))
    });
    Ok(Xml::new().list("StackSummaries", summaries).optional("NextToken", next))
}

/// The stack that a request names, or the one that has a resource with a physical id.
fn asked<'a>(state: &'a super::model::State, region: &str, query: &Query) -> Result<&'a Stack, ApiError> {
    match (query.get("StackName"), query.get("PhysicalResourceId")) {
        (Some(_), Some(_)) => Err(invalid("Only one of StackName or PhysicalResourceId must be specified")),
        (Some(name), None) => state.stack(region, name),
        (None, Some(id)) => {
            let has = |stack: &&Stack| stack.resources.values().any(|resource| resource.physical_id == id);
            state.live(region).find(has).ok_or_else(|| invalid(format!("Stack for {id} does not exist")))
        }
        (None, None) => Err(invalid("Either StackName or PhysicalResourceId must be specified")),
    }
}

pub async fn describe_stack_resources(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let stack = asked(&state, calls.region(), query)?;
    let wanted = query.get("LogicalResourceId");
    if let Some(missing) = wanted.filter(|id| !stack.resources.contains_key(*id)) {
        return Err(no_resource(missing, stack));
    }
    // A hundred at most, without a further page (API reference).
    let all = stack.resources.iter().filter(|(id, _)| wanted.is_none_or(|wanted| wanted == id.as_str())).take(PAGE);
    let shown = all.map(|(id, resource)| {
        of_stack(stack, resource_xml(id, resource).text("Timestamp", iso8601_millis(resource.at)))
            .optional("Description", stack.processed["Resources"][id.as_str()]["Description"].as_str())
    });
    Ok(Xml::new().list("StackResources", shown))
}

pub async fn describe_stack_resource(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let stack = state.stack(calls.region(), query.required("StackName")?)?;
    let id = query.required("LogicalResourceId")?;
    let resource = stack.resources.get(id).ok_or_else(|| no_resource(id, stack))?;
    let metadata = &stack.processed["Resources"][id]["Metadata"];
    let detail = of_stack(stack, resource_xml(id, resource).text("LastUpdatedTimestamp", iso8601_millis(resource.at)))
        .optional("Metadata", (!metadata.is_null()).then(|| metadata.to_string()));
    Ok(Xml::new().element("StackResourceDetail", detail))
}

fn no_resource(id: &str, stack: &Stack) -> ApiError {
    invalid(format!("Resource {id} does not exist for stack {}", stack.name))
}

fn of_stack(stack: &Stack, xml: Xml) -> Xml {
    xml.text("StackId", &stack.id).text("StackName", &stack.name)
}

fn resource_xml(id: &str, resource: &Resource) -> Xml {
    let physical_id = Some(&resource.physical_id).filter(|id| !id.is_empty());
    Xml::new()
        .text("LogicalResourceId", id)
        .optional("PhysicalResourceId", physical_id)
        .text("ResourceType", &resource.type_name)
        .text("ResourceStatus", &resource.status)
        .optional("ResourceStatusReason", resource.reason.as_ref())
        .element("DriftInformation", Xml::new().text("StackResourceDriftStatus", "NOT_CHECKED"))
}

pub async fn list_stack_resources(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let stack = state.stack(calls.region(), query.required("StackName")?)?;
    let (page, next) = page(query, stack.resources.iter().collect())?;
    let shown = page
        .into_iter()
        .map(|(id, resource)| resource_xml(id, resource).text("LastUpdatedTimestamp", iso8601_millis(resource.at)));
    Ok(Xml::new().list("StackResourceSummaries", shown).optional("NextToken", next))
}

pub async fn describe_stack_events(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let stack = state.stack(calls.region(), query.required("StackName")?)?;
    let (page, next) = page(query, stack.events.iter().rev().collect())?;
    let shown = page.into_iter().map(|event: &Event| {
        let xml = Xml::new()
            .text("EventId", &event.id)
            .text("LogicalResourceId", &event.logical_id)
            .text("PhysicalResourceId", &event.physical_id)
            .text("ResourceType", &event.type_name)
            .text("Timestamp", iso8601_millis(event.at))
            .text("ResourceStatus", &event.status)
            .optional("ResourceStatusReason", event.reason.as_ref());
        of_stack(stack, xml)
    });
    Ok(Xml::new().list("StackEvents", shown).optional("NextToken", next))
}

pub async fn get_template(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let stack = state.stack(calls.region(), query.required("StackName")?)?;
    let (mut text, mut processed) = (&stack.body, &stack.processed);
    if let Some(name) = query.get("ChangeSetName") {
        let found = stack.change_sets.values().find(|one| one.name == name || one.id == name);
        let found = found
            .ok_or_else(|| ApiError::new(404, "ChangeSetNotFound", format!("ChangeSet [{name}] does not exist")))?;
        (text, processed) = (&found.body, &found.processed);
    }
    // A stack that a change set has made has no template yet, and AWS answers without one: the CDK asks between making the change set
    // and executing it. (cdklabs/awscdk-v1-stack-finder#273.)
    if text.is_empty() || stack.status == IN_REVIEW && query.get("ChangeSetName").is_none() {
        return Ok(Xml::new());
    }
    let written = service.read_template(text, calls.region(), &stack.settings.parameters);
    let has_transform = written.as_ref().is_ok_and(|template| !template.written["Transform"].is_null());
    // Without a transform both are the text that was sent.
    let answer = match query.get("TemplateStage") {
        Some("Processed") if has_transform => processed.to_string(),
        None | Some("Original" | "Processed") => text.clone(),
        Some(other) => return Err(invalid(format!("Invalid template stage {other}"))),
    };
    Ok(Xml::new().text("TemplateBody", answer).list("StagesAvailable", ["Original", "Processed"].map(Xml::of_text)))
}

pub async fn get_template_summary(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let named = query.get("StackName").map(|name| state.stack(calls.region(), name)).transpose()?;
    let (text, given) = match named {
        Some(stack) => (stack.body.clone(), stack.settings.parameters.clone()),
        None => (body(&calls, query, None).await?, BTreeMap::new()),
    };
    let template = service.read_template(&text, calls.region(), &given)?;
    let written = &template.written;
    let declared = written["Parameters"].as_object().cloned().unwrap_or_default();
    let parameters = declared.iter().map(|(name, parameter)| {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let allowed = parameter["AllowedValues"].as_array().into_iter().flatten().map(|one| Xml::of_text(shown(one)));
        declaration(name, parameter)
            .text("ParameterType", parameter["Type"].as_str().unwrap_or_default())
            .element("ParameterConstraints", Xml::new().list("AllowedValues", allowed))
    });
    let mut by_type: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, resource) in template.processed["Resources"].as_object().into_iter().flatten() {
        by_type.entry(resource["Type"].as_str().unwrap_or_default().to_owned()).or_default().push(id.clone());
    }
    let importable = by_type.iter().filter(|(name, _)| resources::of(name).is_ok_and(|known| known.importable));
    let identifiers = importable.map(|(name, ids)| {
        // The parts of a composite identifier are one entry.
        let identifier = resources::identifier_of(name).join(",");
        Xml::new()
            .text("ResourceType", name)
            .list("LogicalResourceIds", ids.iter().map(Xml::of_text))
            .list("ResourceIdentifiers", [Xml::of_text(identifier)])
    });
    Ok(needs(&template)
        .list("Parameters", parameters)
        .list("ResourceTypes", by_type.keys().map(Xml::of_text))
        .optional("Version", written["AWSTemplateFormatVersion"].as_str())
        .optional("Metadata", (!written["Metadata"].is_null()).then(|| written["Metadata"].to_string()))
        .list("ResourceIdentifierSummaries", identifiers))
}

pub async fn validate_template(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let text = body(&calls, query, None).await?;
    let template = service.read_template(&text, calls.region(), &BTreeMap::new())?;
    let declared = template.written["Parameters"].as_object().cloned().unwrap_or_default();
    Ok(needs(&template).list("Parameters", declared.iter().map(|(name, parameter)| declaration(name, parameter))))
}

/// A parameter of a template.
fn declaration(name: &str, parameter: &Value) -> Xml {
    let default = match &parameter["Default"] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    Xml::new()
        .text("ParameterKey", name)
        .optional("DefaultValue", default)
        .text("NoEcho", parameter["NoEcho"] == true || parameter["NoEcho"] == "true")
        .optional("Description", parameter["Description"].as_str())
}

/// What a template says of itself, and what a stack of it needs.
fn needs(template: &ReadTemplate) -> Xml {
    let (capabilities, reasons) = needed_capabilities(template);
    let transforms = match &template.written["Transform"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let reason = format!("The following resource(s) require capabilities: [{}]", reasons.join(", "));
    Xml::new()
        .optional("Description", template.written["Description"].as_str())
        .list("Capabilities", capabilities.iter().map(Xml::of_text))
        .optional("CapabilitiesReason", (!reasons.is_empty()).then_some(reason))
        .list("DeclaredTransforms", transforms.iter().map(Xml::of_text))
}

pub async fn list_exports(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let mut all: Vec<(&str, &str, &str)> = Vec::new();
    for stack in state.live(calls.region()) {
        let outputs = stack.outputs.iter();
        all.extend(outputs.filter_map(|one| Some((one.export.as_deref()?, one.value.as_str(), stack.id.as_str()))));
    }
    all.sort_unstable();
    let (page, next) = page(query, all)?;
    let shown = page
        .into_iter()
        .map(|(name, value, stack)| Xml::new().text("ExportingStackId", stack).text("Name", name).text("Value", value));
    Ok(Xml::new().list("Exports", shown).optional("NextToken", next))
}

pub async fn list_imports(service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let state = service.state.now();
    let name = query.required("ExportName")?;
    let users: Vec<&str> = state.importers(calls.region(), name).collect();
    if users.is_empty() {
        return Err(invalid(format!("Export '{name}' is not imported by any stack.")));
    }
    let (page, next) = page(query, users)?;
    Ok(Xml::new().list("Imports", page.into_iter().map(Xml::of_text)).optional("NextToken", next))
}

/// What the registry says of a type: whether AWS can read and change its resources, and what identifies one.
pub async fn describe_type(_service: &Arc<CloudFormation>, calls: Calls, query: &Query) -> Answer {
    let arn = query.get("Arn").and_then(|arn| arn.rsplit('/').next()).map(|name| name.replace('-', "::"));
    let name = match query.get("TypeName") {
        Some(name) => name.to_owned(),
        None => arn.ok_or_else(|| invalid("Either TypeName or Arn must be specified"))?,
    };
    let unknown = || ApiError::new(404, "TypeNotFoundException", format!("The type '{name}' cannot be found."));
    let known = resources::of(&name).map_err(|_| unknown())?;
    let pointers: Vec<String> =
        resources::identifier_of(&name).iter().map(|part| format!("/properties/{}", part.replace('.', "/"))).collect();
    let is_mutable = schema(&name).is_none_or(|schema| schema.is_mutable());
    let provisioning = match (known.importable, is_mutable) {
        (false, _) => "NON_PROVISIONABLE",
        (true, true) => "FULLY_MUTABLE",
        (true, false) => "IMMUTABLE",
    };
    let handlers: serde_json::Map<String, Value> = ["create", "delete", "list", "read", "update"]
        .into_iter()
        .filter(|handler| known.importable || !["list", "read"].contains(handler))
        .map(|handler| (handler.to_owned(), serde_json::json!({ "permissions": [] })))
        .collect();
    let text = serde_json::json!({ "typeName": name, "primaryIdentifier": pointers, "handlers": handlers }).to_string();
    let arn = format!("arn:aws:cloudformation:{}::type/resource/{}", calls.region(), name.replace("::", "-"));
    Ok(Xml::new()
        .text("Arn", arn)
        .text("Type", "RESOURCE")
        .text("TypeName", &name)
        .text("Schema", text)
        .text("ProvisioningType", provisioning)
        .text("DeprecatedStatus", "LIVE")
        .text("Visibility", "PUBLIC"))
}

/// A page of a list, and the token of the next one.
fn page<T>(query: &Query, all: Vec<T>) -> Result<(Vec<T>, Option<String>), ApiError> {
    let token = query.get("NextToken").filter(|token| !token.is_empty());
    paging::page(all, token, PAGE).ok_or_else(|| invalid("Invalid NextToken"))
}
