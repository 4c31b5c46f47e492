//! Integrations and integration responses: Create, Get, list, Update, Delete.

use super::ControlCall;
use super::integration;
use super::model::{HTTP_TIMEOUT, Integration, IntegrationConfig, IntegrationResponseConfig, State, Strings};
use super::rules::{self, Answer, Members, bad_request};
use crate::local::protocol::wire::{ApiError, Response};

/// Integrations an API may have (WebSocket quotas).
const MAX_INTEGRATIONS: usize = 300;

pub fn create(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let api = state.api_mut(call)?;
    let members = rules::members(call.request)?;
    let is_timed = members.contains_key("timeoutInMillis");
    let mut config: IntegrationConfig = rules::parse(members)?;
    let is_http = api.is_http();
    if is_http && !is_timed {
        config.timeout_in_millis = HTTP_TIMEOUT;
    }
    if config.integration_type == "AWS_PROXY"
        && config.integration_method.is_none()
        && config.integration_subtype.is_none()
    {
        config.integration_method = Some("POST".to_owned());
    }
    check(is_http, &config, call)?;
    if api.integrations.len() >= MAX_INTEGRATIONS {
        return Err(rules::quota_reached("Integrations"));
    }
    let id = rules::new_id(7);
    let answer = Response::json(201, &representation(is_http, &id, &config));
    api.integrations.insert(id, Integration { config, responses: Default::default() });
    Ok(answer)
}

pub fn get(state: &State, call: &ControlCall<'_>) -> Answer {
    let is_http = state.api(call)?.is_http();
    Ok(Response::json(200, &representation(is_http, call.id(1), &integration(state, call)?.config)))
}

pub fn list(state: &State, call: &ControlCall<'_>) -> Answer {
    let api = state.api(call)?;
    let is_http = api.is_http();
    let integrations = api.integrations.iter();
    rules::page(call.request, integrations.map(|(id, one)| (id.clone(), representation(is_http, id, &one.config))))
}

pub fn update(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let config = rules::merge(&integration(state, call)?.config, rules::members(call.request)?)?;
    let is_http = state.api(call)?.is_http();
    check(is_http, &config, call)?;
    let answer = Response::json(200, &representation(is_http, call.id(1), &config));
    integration_mut(state, call)?.config = config;
    Ok(answer)
}

pub fn delete(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let api = state.api_mut(call)?;
    let id = call.id(1);
    let users: Vec<&str> = api
        .routes
        .iter()
        .filter(|(_, route)| route.config.integration_id() == Some(id))
        .map(|(route, _)| route.as_str())
        .collect();
    if !users.is_empty() {
        return Err(rules::conflict(format!(
            "Cannot delete Integration because it is referenced by the following Routes with Ids: [{}]",
            users.join(", ")
        )));
    }
    api.integrations.remove(id).ok_or_else(|| unknown(call))?;
    Ok(Response::empty(204))
}

pub fn create_response(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let integration = integration_mut(state, call)?;
    let config: IntegrationResponseConfig = rules::parse(rules::members(call.request)?)?;
    check_response(&config)?;
    let key = &config.integration_response_key;
    if integration.responses.values().any(|other| other.integration_response_key == *key) {
        return Err(rules::conflict(format!("IntegrationResponse with key {key} already exists for this Integration")));
    }
    let id = rules::new_id(7);
    let answer = Response::json(201, &response_representation(&id, &config));
    integration.responses.insert(id, config);
    Ok(answer)
}

pub fn get_response(state: &State, call: &ControlCall<'_>) -> Answer {
    let response = integration(state, call)?.responses.get(call.id(2)).ok_or_else(|| unknown_response(call))?;
    Ok(Response::json(200, &response_representation(call.id(2), response)))
}

pub fn list_responses(state: &State, call: &ControlCall<'_>) -> Answer {
    let responses = integration(state, call)?.responses.iter();
    rules::page(call.request, responses.map(|(id, config)| (id.clone(), response_representation(id, config))))
}

pub fn update_response(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let patch = rules::members(call.request)?;
    let integration = integration_mut(state, call)?;
    let mut config = rules::merge(integration.responses.get(call.id(2)).ok_or_else(|| unknown_response(call))?, patch)?;
    // An empty text clears it, as with other members.
    config.template_selection_expression = config.template_selection_expression.filter(|text| !text.is_empty());
    check_response(&config)?;
    let key = &config.integration_response_key;
    let is_taken =
        |(id, other): (&String, &IntegrationResponseConfig)| other.integration_response_key == *key && id != call.id(2);
    if integration.responses.iter().any(is_taken) {
        return Err(rules::conflict(format!("IntegrationResponse with key {key} already exists for this Integration")));
    }
    let answer = Response::json(200, &response_representation(call.id(2), &config));
    integration.responses.insert(call.id(2).to_owned(), config);
    Ok(answer)
}

pub fn delete_response(state: &mut State, call: &ControlCall<'_>) -> Answer {
    integration_mut(state, call)?.responses.remove(call.id(2)).ok_or_else(|| unknown_response(call))?;
    Ok(Response::empty(204))
}

fn integration<'s>(state: &'s State, call: &ControlCall<'_>) -> Result<&'s Integration, ApiError> {
    state.api(call)?.integrations.get(call.id(1)).ok_or_else(|| unknown(call))
}

fn integration_mut<'s>(state: &'s mut State, call: &ControlCall<'_>) -> Result<&'s mut Integration, ApiError> {
    state.api_mut(call)?.integrations.get_mut(call.id(1)).ok_or_else(|| unknown(call))
}

fn check(is_http: bool, config: &IntegrationConfig, call: &ControlCall<'_>) -> Result<(), ApiError> {
    if is_http {
        return check_of_http(config, call);
    }
    rules::one_of("integrationType", &config.integration_type, &["AWS", "HTTP", "MOCK", "HTTP_PROXY", "AWS_PROXY"])?;
    rules::one_of("connectionType", &config.connection_type, &["INTERNET", "VPC_LINK"])?;
    rules::one_of(
        "passthroughBehavior",
        &config.passthrough_behavior,
        &["WHEN_NO_MATCH", "NEVER", "WHEN_NO_TEMPLATES"],
    )?;
    check_handling(config.content_handling_strategy.as_deref())?;
    rules::length("description", &config.description, 0, 1024)?;
    check_templates("requestTemplates", &config.request_templates)?;
    if !(50..=29_000).contains(&config.timeout_in_millis) {
        return Err(bad_request("Timeout should be between 50 ms and 29000 ms"));
    }
    if config.connection_type != "INTERNET" && !config.integration_type.starts_with("HTTP") {
        return Err(rules::unsupported("The connection type VPC_LINK"));
    }
    check_parameters(config)?;
    let uri = config.integration_uri.as_deref();
    match config.integration_type.as_str() {
        "MOCK" if uri.is_some() => return Err(bad_request("Integration URI is not supported for MOCK integrations")),
        "MOCK" => return Ok(()),
        "HTTP" | "HTTP_PROXY" => return check_endpoint(uri.unwrap_or_default()),
        "AWS" if integration::integrated_function(uri.unwrap_or_default()).is_none() => {
            return check_service(uri.unwrap_or_default(), config.credentials_arn.as_deref());
        }
        _ => {}
    }
    check_function(uri.unwrap_or_default(), call)
}

/// The rules of HTTP APIs.
pub(super) fn check_of_http(config: &IntegrationConfig, call: &ControlCall<'_>) -> Result<(), ApiError> {
    rules::one_of("connectionType", &config.connection_type, &["INTERNET", "VPC_LINK"])?;
    rules::length("description", &config.description, 0, 1024)?;
    if !["HTTP_PROXY", "AWS_PROXY"].contains(&config.integration_type.as_str()) {
        return Err(bad_request("HTTP APIs only support integration types HTTP_PROXY and AWS_PROXY"));
    }
    if !(50..=HTTP_TIMEOUT).contains(&config.timeout_in_millis) {
        return Err(bad_request("Timeout should be between 50 ms and 30000 ms"));
    }
    let uri = config.integration_uri.as_deref().unwrap_or_default();
    if config.integration_subtype.is_some() {
        return config
            .credentials_arn
            .as_ref()
            .map(|_| ())
            .ok_or_else(|| bad_request("CredentialsArn is required for AWS service integrations"));
    }
    if config.integration_type == "HTTP_PROXY" {
        // A private integration has an ARN: of a load balancer's listener or a service.
        return if config.connection_type == "VPC_LINK" { Ok(()) } else { check_endpoint(uri) };
    }
    rules::one_of("payloadFormatVersion", &config.payload_format_version, &["1.0", "2.0"])?;
    check_function(uri, call)
}

/// Checks that a URI names a function; one that exists, where the conditions ask for that.
fn check_function(uri: &str, call: &ControlCall<'_>) -> Result<(), ApiError> {
    let function =
        integration::integrated_function(uri).ok_or_else(|| bad_request("Invalid function ARN or invalid uri"))?;
    // Stage variables have no value here.
    let missing = !function.contains("${") && !call.functions.exists(function);
    if call.context.conditions.strict.integration_needs_function && missing {
        return Err(bad_request("Invalid function ARN or invalid uri"));
    }
    Ok(())
}

fn check_handling(strategy: Option<&str>) -> Result<(), ApiError> {
    match strategy {
        Some(strategy) => rules::one_of("contentHandlingStrategy", strategy, &["CONVERT_TO_BINARY", "CONVERT_TO_TEXT"]),
        None => Ok(()),
    }
}

/// Templates have at most 32 KB (StringWithLengthBetween0And32K).
fn check_templates(member: &str, templates: &Strings) -> Result<(), ApiError> {
    templates.values().try_for_each(|template| rules::length(member, template, 0, 32_768))
}

/// Names and values of request parameters, as version 1 of the API refuses others (for REST APIs recorded by moto and
/// LocalStack; a WebSocket API's values begin with `route.request.` or `context.`, too: developer guide, "Data mapping").
fn check_parameters(config: &IntegrationConfig) -> Result<(), ApiError> {
    const NAMES: [&str; 3] = ["header.", "querystring.", "path."];
    for (name, value) in &config.request_parameters {
        let place = name.strip_prefix("integration.request.").unwrap_or_default();
        let is_place = NAMES.iter().any(|kind| place.strip_prefix(kind).is_some_and(|name| !name.is_empty()));
        let is_static = value.len() >= 2 && value.starts_with('\'') && value.ends_with('\'');
        let sources = ["route.request.", "request.", "context.", "stageVariables.", "$"];
        let is_mapped = is_static || sources.iter().any(|source| value.starts_with(source));
        let wrong = [(is_place, name), (is_mapped, value)].into_iter().find(|(is_right, _)| !is_right);
        if let Some((_, wrong)) = wrong {
            return Err(bad_request(format!(
                "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping \
                 expression specified: {wrong}]"
            )));
        }
    }
    Ok(())
}

/// An HTTP endpoint (stage variables may be part of it). The messages of this and the next function are those of version 1.
fn check_endpoint(uri: &str) -> Result<(), ApiError> {
    let is_endpoint = ["http://", "https://"]
        .iter()
        .any(|scheme| uri.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')));
    if is_endpoint { Ok(()) } else { Err(bad_request("Invalid HTTP endpoint specified for URI")) }
}

/// `arn:aws:apigateway:REGION:SERVICE:action/NAME`, or `path/REST`, called as a role.
fn check_service(uri: &str, role: Option<&str>) -> Result<(), ApiError> {
    let parts: Vec<&str> = uri.splitn(6, ':').collect();
    let ["arn", _, "apigateway", _, _, operation] = parts[..] else {
        return Err(bad_request("Invalid ARN specified in the request"));
    };
    if !["path/", "action/"].iter().any(|kind| operation.starts_with(kind)) {
        return Err(bad_request("AWS ARN for integration must contain path or action"));
    }
    if role.is_none_or(str::is_empty) {
        return Err(bad_request("Role ARN must be specified for AWS integrations"));
    }
    Ok(())
}

/// The key is `$default`, or a regular expression between slashes (developer guide, "Set up WebSocket API integration
/// responses"); whether others are refused is not documented.
fn check_response(config: &IntegrationResponseConfig) -> Result<(), ApiError> {
    rules::length("integrationResponseKey", &config.integration_response_key, 1, 128)?;
    check_handling(config.content_handling_strategy.as_deref())?;
    check_templates("responseTemplates", &config.response_templates)
}

fn representation(is_http: bool, id: &str, config: &IntegrationConfig) -> Members {
    let mut members = rules::object(config);
    members.insert("integrationId".to_owned(), id.into());
    if is_http {
        members.shift_remove("passthroughBehavior");
        return members;
    }
    // AWS returns this member of a WebSocket API's integration although callers cannot set it.
    members.insert("integrationResponseSelectionExpression".to_owned(), "${integration.response.statuscode}".into());
    members
}

fn unknown(call: &ControlCall<'_>) -> ApiError {
    rules::not_found("Integration", call.id(1))
}

fn response_representation(id: &str, config: &IntegrationResponseConfig) -> Members {
    let mut members = rules::object(config);
    members.insert("integrationResponseId".to_owned(), id.into());
    members
}

fn unknown_response(call: &ControlCall<'_>) -> ApiError {
    rules::not_found("IntegrationResponse", call.id(2))
}
