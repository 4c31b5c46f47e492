//! The table of Cloud Control's operations, and how they run.

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::records::{Record, digest};
use super::{Answer, CloudControl, Input, Request, invalid, mint, model};
use crate::core::iam::need::Need;
use crate::core::schemas::{Schema, schema, value_at};
use crate::local::context::clock::now_millis;
use crate::local::protocol::operation::OperationEffect::{Changes, Reads};
use crate::local::protocol::paging;
use crate::local::protocol::service::Permissions::Needs;
use crate::local::protocol::service::{self, Service, ServiceCall};
use crate::local::protocol::wire::{self, ApiError, Protocol, Response, null_member};

type Row = service::Row<CloudControl>;

const OPERATIONS: &[Row] = &[
    Row::named("CreateResource", Changes, Needs(on_anything), create_resource),
    Row::named("DeleteResource", Changes, Needs(on_anything), delete_resource),
    Row::named("GetResource", Reads, Needs(on_anything), get_resource),
    Row::named("GetResourceRequestStatus", Reads, Needs(on_anything), get_resource_request_status),
    Row::named("ListResourceRequests", Reads, Needs(on_anything), list_resource_requests),
    Row::named("ListResources", Reads, Needs(on_anything), list_resources),
    Row::named("UpdateResource", Changes, Needs(on_anything), update_resource),
];

#[async_trait]
impl Service for CloudControl {
    /// It gets the region and the input.
    type Run = fn(&CloudControl, &str, Input) -> Answer;

    const NAME: &'static str = "cloudcontrolapi";
    const PROTOCOL: Protocol = Protocol::AwsJson10;
    const TARGETS: &'static [&'static str] = &["CloudApiService."];
    const OPERATIONS: &'static [Row] = OPERATIONS;

    fn unknown(_request: &wire::Request) -> ApiError {
        ApiError::new(400, "UnknownOperationException", "")
    }

    async fn run(&self, run: Self::Run, call: ServiceCall) -> Result<Response, ApiError> {
        let input: Input = call.request.json()?;
        Ok(Response::json(200, &run(self, call.region(), input)?))
    }
}

/// Cloud Control's actions have CloudFormation's prefix and no resource. (Service Authorization Reference, "AWS Cloud Control
/// API".) What the handlers call on the caller's behalf is not checked here: nothing is called.
fn on_anything(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(format!("cloudformation:{}", call.operation.name), "*".to_owned())]
}

fn create_resource(cloud: &CloudControl, region: &str, input: Input) -> Answer {
    let schema = known_type(&input)?;
    let asked = json_of(input.desired_state.as_deref(), "DesiredState")?;
    model::refuse_read_only(schema, &asked)?;
    model::check(schema, &asked)?;
    let asked_for = json!(["CREATE", schema.type_name, asked]);
    if let Some(server) = cloud.server_of(schema.type_name) {
        return cloud.request(region, schema, "CREATE", input.client_token, asked_for, |_, _| {
            let (model, likely) = mint::minted(schema, region, &asked);
            // What is minted is the service's own affair, but for a name.
            let mut properties = asked.clone();
            if let Some(name) = &schema.name {
                properties[name.as_str()] = model[name.as_str()].clone();
            }
            Ok(match server.create(region, schema.type_name, &properties) {
                Ok(identifier) => (identifier, None),
                Err(error) => (likely, Some(failure(&error))),
            })
        });
    }
    cloud.request(region, schema, "CREATE", input.client_token, asked_for, |records, ends| {
        let (model, identifier) = mint::minted(schema, region, &asked);
        let of_type = records.resources.entry(schema.type_name.to_owned()).or_default();
        let name = schema.name.as_ref().map(|property| &model[property.as_str()]);
        let taken = of_type.iter().find(|(known, record)| {
            **known == identifier
                || schema.name.as_ref().map(|property| &record.model[property.as_str()]) == name && name.is_some()
        });
        if let Some((known, _)) = taken {
            let message = format!("Resource of type '{}' with identifier '{known}' already exists.", schema.type_name);
            return Ok((known.clone(), Some(("AlreadyExists".to_owned(), message))));
        }
        let mut record = Record::new(model, ends);
        record.keep_stated(schema.type_name, None);
        of_type.insert(identifier.clone(), record);
        Ok((identifier, None))
    })
}

fn update_resource(cloud: &CloudControl, region: &str, input: Input) -> Answer {
    let schema = known_type(&input)?;
    if !schema.is_mutable() {
        let message = format!("Resource type {} does not support UPDATE action", schema.type_name);
        return Err(ApiError::new(405, "UnsupportedActionException", message));
    }
    let identifier = identifier_of(schema, input.identifier)?;
    let patch = json_of(input.patch_document.as_deref(), "PatchDocument")?;
    let Value::Array(operations) = &patch else { return Err(invalid("PatchDocument must be a list of operations")) };
    let asked_for = json!(["UPDATE", schema.type_name, identifier, patch]);
    let server = cloud.server_of(schema.type_name);
    cloud.request(region, schema, "UPDATE", input.client_token, asked_for, |records, _| {
        let old = match server {
            Some(server) => server.read(region, schema.type_name, &identifier),
            None => records.record(schema.type_name, &identifier).map(|record| record.model.clone()),
        };
        let old = old.ok_or_else(|| not_found(schema, &identifier))?;
        refuse_busy(records, schema, &identifier)?;
        // AWS reads it, changes what it read, and writes that: what no reading gives is lost where the patch has it not.
        let mut new = model::shown(schema, &old);
        model::patch(&mut new, operations)?;
        model::check(schema, &new)?;
        model::keep_reserved_tags(schema, &old, &mut new);
        let fixed = schema.create_only.iter().chain(&schema.read_only);
        let changed: Vec<&String> = fixed
            .filter(|path| !schema.write_only.contains(path) && value_at(&old, path) != value_at(&new, path))
            .collect();
        if !changed.is_empty() {
            let message = format!("Invalid patch update: {changed:?} cannot be updated");
            return Err(ApiError::new(400, "NotUpdatableException", message));
        }
        if let Some(server) = server {
            let updated = server.update(region, schema.type_name, &identifier, &new);
            return Ok((mint::identifier(schema, &old, &identifier), updated.err().map(|error| failure(&error))));
        }
        let of_type = records.resources.entry(schema.type_name.to_owned()).or_default();
        if let Some(record) = of_type.get_mut(&identifier) {
            let old = std::mem::replace(&mut record.model, new);
            record.keep_stated(schema.type_name, Some(&old));
        }
        Ok((identifier.clone(), None))
    })
}

fn delete_resource(cloud: &CloudControl, region: &str, input: Input) -> Answer {
    let schema = known_type(&input)?;
    let identifier = identifier_of(schema, input.identifier)?;
    let asked_for = json!(["DELETE", schema.type_name, identifier]);
    if let Some(server) = cloud.server_of(schema.type_name) {
        return cloud.request(region, schema, "DELETE", input.client_token, asked_for, |_, _| {
            let old = server.read(region, schema.type_name, &identifier);
            let old = old.ok_or_else(|| not_found(schema, &identifier))?;
            let deleted = server.delete(region, schema.type_name, &identifier);
            // A queue may be named by AWS's URL of it, too: the request tells of it as its creation did.
            Ok((mint::identifier(schema, &old, &identifier), deleted.err().map(|error| failure(&error))))
        });
    }
    cloud.request(region, schema, "DELETE", input.client_token, asked_for, |records, ends| {
        records.record(schema.type_name, &identifier).ok_or_else(|| not_found(schema, &identifier))?;
        refuse_busy(records, schema, &identifier)?;
        // What lies inside of it goes with it, as on AWS: the clients of a user pool, the methods of a REST API.
        let inside = format!("{identifier}|");
        for (type_name, of_type) in &mut records.resources {
            for (id, record) in of_type {
                if id.starts_with(&inside) || (*type_name == schema.type_name && *id == identifier) {
                    record.until = Some(record.until.map_or(ends, |until| until.min(ends)));
                    record.forget_values();
                }
            }
        }
        Ok((identifier.clone(), None))
    })
}

fn get_resource(cloud: &CloudControl, region: &str, input: Input) -> Answer {
    let schema = known_type(&input)?;
    let identifier = identifier_of(schema, input.identifier)?;
    if let Some(server) = cloud.server_of(schema.type_name) {
        let model = server.read(region, schema.type_name, &identifier).ok_or_else(|| not_found(schema, &identifier))?;
        return Ok(json!({
            "TypeName": schema.type_name, "ResourceDescription": described(schema, &identifier, &model),
        }));
    }
    let records = cloud.state.now();
    let record = records.read(region).and_then(|region| region.record(schema.type_name, &identifier));
    let record = record.ok_or_else(|| not_found(schema, &identifier))?;
    let mut model = record.model.clone();
    mint::serve(schema, &mut model, &identifier, &cloud.context.client_authority());
    Ok(json!({ "TypeName": schema.type_name, "ResourceDescription": described(schema, &identifier, &model) }))
}

fn list_resources(cloud: &CloudControl, region: &str, input: Input) -> Answer {
    let schema = known_type(&input)?;
    if schema.actions("list").is_empty() {
        let message = format!("Resource type {} does not support LIST action", schema.type_name);
        return Err(ApiError::new(405, "UnsupportedActionException", message));
    }
    let within = json_of(Some(input.resource_model.as_deref().unwrap_or("{}")), "ResourceModel")?;
    if schema.list_model(|name| within.get(name).cloned()).is_none() {
        return Err(unlisted(schema, &within));
    }
    let is_within = |model: &Value| {
        let mut given = within.as_object().into_iter().flatten();
        given.all(|(name, value)| model[name].is_null() || model[name] == *value)
    };
    let records = cloud.state.now();
    let all: Vec<(String, Value)> = match cloud.server_of(schema.type_name) {
        Some(server) => {
            let all = server.list(region, schema.type_name).into_iter();
            all.filter_map(|one| Some((one.clone(), server.read(region, schema.type_name, &one)?))).collect()
        }
        None => {
            let all = records.there(region).filter(|(type_name, ..)| *type_name == schema.type_name);
            all.map(|(_, identifier, record)| (identifier.to_owned(), record.model.clone())).collect()
        }
    };
    let all = all.iter().filter(|(_, model)| is_within(model));
    let all = all.map(|(identifier, model)| described(schema, identifier, model)).collect();
    let mut answer = page(all, &input, "ResourceDescriptions")?;
    answer["TypeName"] = schema.type_name.into();
    Ok(answer)
}

/// The refusal of a list that is not told what its type's resources lie in. (As recorded in awslabs/mcp#403.)
fn unlisted(schema: &Schema, within: &Value) -> ApiError {
    let missing = schema.list_models.iter().flatten().find(|name| within.get(name.as_str()).is_none());
    let message = format!(
        "Missing or invalid ResourceModel property in {} list handler request input.Required property: (#: required key [{}] not \
         found)",
        schema.type_name,
        missing.map_or("", String::as_str)
    );
    ApiError::new(400, "InvalidRequestException", message)
}

fn get_resource_request_status(cloud: &CloudControl, region: &str, input: Input) -> Answer {
    let token = required(input.request_token, "RequestToken")?;
    let records = cloud.state.now();
    let request = records.read(region).and_then(|region| region.requests.iter().find(|request| request.token == token));
    let request = request.ok_or_else(|| {
        ApiError::new(404, "RequestTokenNotFoundException", format!("Request with token {token} was not found"))
    })?;
    Ok(json!({ "ProgressEvent": request.event() }))
}

fn list_resource_requests(cloud: &CloudControl, region: &str, input: Input) -> Answer {
    let records = cloud.state.now();
    let filter = &input.resource_request_status_filter;
    let fits = |wanted: &[String], is: &str| wanted.is_empty() || wanted.iter().any(|one| one == is);
    let requests = records.read(region).map_or(&[][..], |region| &region.requests);
    let wanted = requests.iter().filter(|request| {
        fits(&filter.operations, &request.operation) && fits(&filter.operation_statuses, request.status())
    });
    let events = wanted.rev().map(Request::event).collect();
    page(events, &input, "ResourceRequestStatusSummaries")
}

impl CloudControl {
    /// Records a request that `carry_out` does, which gets the region's records and when the request ends, and gives the
    /// identifier of its resource and the failure that it will end in.
    fn request(
        &self,
        region: &str,
        schema: &Schema,
        operation: &str,
        client_token: Option<String>,
        input: Value,
        carry_out: impl FnOnce(&mut super::records::Region, i64) -> Result<(String, Option<(String, String)>), ApiError>,
    ) -> Answer {
        let input = digest(&input);
        let delay = i64::try_from(self.context.conditions.eventual.resource_changing.as_millis()).unwrap_or(i64::MAX);
        let event = self.state.change(|records| {
            let records = records.region(region);
            let known = client_token
                .as_ref()
                .and_then(|token| records.requests.iter().find(|request| request.client_token.as_ref() == Some(token)));
            if let Some(known) = known {
                if known.input == input {
                    return Ok(known.event());
                }
                let message = "The client token was used with another request before.";
                return Err(ApiError::new(409, "ClientTokenConflictException", message));
            }
            let began = now_millis();
            let ends = began.saturating_add(delay);
            let (identifier, failure) = carry_out(records, ends)?;
            let request = Request {
                token: Uuid::new_v4().to_string(),
                client_token,
                input,
                type_name: schema.type_name.to_owned(),
                operation: operation.to_owned(),
                identifier,
                began,
                ends,
                failure,
            };
            let mut event = request.event();
            // However short it takes, the first answer does not know the end.
            event["OperationStatus"] = "IN_PROGRESS".into();
            for known_later in ["ErrorCode", "StatusMessage"] {
                if let Some(event) = event.as_object_mut() {
                    event.shift_remove(known_later);
                }
            }
            records.requests.push(request);
            Ok(event)
        })?;
        Ok(json!({ "ProgressEvent": event }))
    }
}

fn described(schema: &Schema, identifier: &str, model: &Value) -> Value {
    json!({ "Identifier": identifier, "Properties": model::shown(schema, model).to_string() })
}

/// How a request ends that a service refused: code and message.
fn failure(error: &ApiError) -> (String, String) {
    let code = match error.code.rsplit('#').next().unwrap_or_default() {
        known @ ("AlreadyExists" | "NotFound") => known,
        _ if error.status >= 500 => "ServiceInternalError",
        _ => "InvalidRequest",
    };
    (code.to_owned(), error.message.clone())
}

/// A page of a list under `member`.
fn page(all: Vec<Value>, input: &Input, member: &str) -> Answer {
    let size = input.max_results.unwrap_or(100).clamp(1, 100);
    let page = paging::json_page(all, input.next_token.as_deref(), size, member);
    page.ok_or_else(|| invalid("NextToken is not one that this service gave"))
}

fn known_type(input: &Input) -> Result<&'static Schema, ApiError> {
    let name = input.type_name.as_deref().ok_or_else(|| missing("TypeName"))?;
    schema(name).ok_or_else(|| {
        let message = format!("The type '{name}' cannot be found, or the local cloud has a service of its own for it.");
        ApiError::new(404, "TypeNotFoundException", message)
    })
}

fn json_of(text: Option<&str>, member: &str) -> Answer {
    let text = text.ok_or_else(|| missing(member))?;
    serde_json::from_str(text).map_err(|error| invalid(format!("{member} is not valid JSON: {error}")))
}

fn required(value: Option<String>, member: &str) -> Result<String, ApiError> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| missing(member))
}

/// An identifier with as many parts as the type's have.
fn identifier_of(schema: &Schema, given: Option<String>) -> Result<String, ApiError> {
    let identifier = required(given, "Identifier")?;
    if schema.identifier.len() > 1 && identifier.split('|').count() != schema.identifier.len() {
        let paths: Vec<String> = schema.identifier.iter().map(|path| format!("/properties/{path}")).collect();
        return Err(invalid(format!("Identifier {identifier} is not valid for identifier [{}]", paths.join(", "))));
    }
    Ok(identifier)
}

fn missing(member: &str) -> ApiError {
    invalid(null_member(&(member[..1].to_lowercase() + &member[1..])))
}

fn refuse_busy(records: &super::records::Region, schema: &Schema, identifier: &str) -> Result<(), ApiError> {
    if !records.is_busy(schema.type_name, identifier) {
        return Ok(());
    }
    let message = format!(
        "Resource of type '{}' with identifier '{identifier}' is being changed by another request",
        schema.type_name
    );
    Err(ApiError::new(409, "ConcurrentOperationException", message))
}

fn not_found(schema: &Schema, identifier: &str) -> ApiError {
    let message = format!("Resource of type '{}' with identifier '{identifier}' was not found.", schema.type_name);
    ApiError::new(404, "ResourceNotFoundException", message)
}
