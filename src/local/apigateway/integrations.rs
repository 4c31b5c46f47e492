//! CreateIntegration, GetIntegration, GetIntegrations, UpdateIntegration, DeleteIntegration.

use super::ControlCall;
use super::integration;
use super::model::{IntegrationConfig, State};
use super::rules::{self, Answer, Members, bad_request};
use crate::local::protocol::wire::{ApiError, Response};

/// Integrations an API may have (WebSocket quotas).
const MAX_INTEGRATIONS: usize = 300;

pub fn create(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let api = state.api_mut(call)?;
    let mut config: IntegrationConfig = rules::parse(rules::members(call.request)?)?;
    if config.integration_type == "AWS_PROXY" && config.integration_method.is_none() {
        config.integration_method = Some("POST".to_owned());
    }
    check(&config, call)?;
    if api.integrations.len() >= MAX_INTEGRATIONS {
        return Err(rules::quota_reached("Integrations"));
    }
    let id = rules::new_id(7);
    let answer = Response::json(201, &representation(&id, &config));
    api.integrations.insert(id, config);
    Ok(answer)
}

pub fn get(state: &State, call: &ControlCall<'_>) -> Answer {
    let integration = state.api(call)?.integrations.get(call.id(1)).ok_or_else(|| unknown(call))?;
    Ok(Response::json(200, &representation(call.id(1), integration)))
}

pub fn list(state: &State, call: &ControlCall<'_>) -> Answer {
    let integrations = state.api(call)?.integrations.iter();
    rules::page(call.request, integrations.map(|(id, config)| (id.clone(), representation(id, config))))
}

pub fn update(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let integration = state.api_mut(call)?.integrations.get_mut(call.id(1)).ok_or_else(|| unknown(call))?;
    let config = rules::merge(integration, rules::members(call.request)?)?;
    check(&config, call)?;
    *integration = config;
    Ok(Response::json(200, &representation(call.id(1), integration)))
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

fn check(config: &IntegrationConfig, call: &ControlCall<'_>) -> Result<(), ApiError> {
    rules::one_of("integrationType", &config.integration_type, &["AWS", "HTTP", "MOCK", "HTTP_PROXY", "AWS_PROXY"])?;
    rules::one_of("connectionType", &config.connection_type, &["INTERNET", "VPC_LINK"])?;
    rules::one_of(
        "passthroughBehavior",
        &config.passthrough_behavior,
        &["WHEN_NO_MATCH", "NEVER", "WHEN_NO_TEMPLATES"],
    )?;
    if let Some(strategy) = &config.content_handling_strategy {
        rules::one_of("contentHandlingStrategy", strategy, &["CONVERT_TO_BINARY", "CONVERT_TO_TEXT"])?;
    }
    if config.content_handling_strategy.as_deref() == Some("CONVERT_TO_BINARY") {
        return Err(rules::unsupported("The content handling strategy CONVERT_TO_BINARY"));
    }
    rules::length("description", &config.description, 0, 1024)?;
    if !(50..=29_000).contains(&config.timeout_in_millis) {
        return Err(bad_request("Timeout should be between 50 ms and 29000 ms"));
    }
    match config.integration_type.as_str() {
        "MOCK" => return Ok(()),
        "AWS_PROXY" => {}
        kind => return Err(rules::unsupported(&format!("The integration type {kind}"))),
    }
    if config.connection_type != "INTERNET" {
        return Err(rules::unsupported("The connection type VPC_LINK"));
    }
    let uri = config.integration_uri.as_deref().unwrap_or_default();
    let function =
        integration::integrated_function(uri).ok_or_else(|| bad_request("Invalid function ARN or invalid uri"))?;
    // Stage variables have no value here.
    let missing = !function.contains("${") && !call.functions.exists(function);
    if call.context.conditions.strict.integration_needs_function && missing {
        return Err(bad_request("Invalid function ARN or invalid uri"));
    }
    Ok(())
}

fn representation(id: &str, config: &IntegrationConfig) -> Members {
    let mut members = rules::object(config);
    members.insert("integrationId".to_owned(), id.into());
    // AWS returns this member of a WebSocket API's integration although callers cannot set it.
    members.insert("integrationResponseSelectionExpression".to_owned(), "${integration.response.statuscode}".into());
    members
}

fn unknown(call: &ControlCall<'_>) -> ApiError {
    rules::not_found("Integration", call.id(1))
}
