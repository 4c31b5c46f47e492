//! CreateAuthorizer, GetAuthorizer, GetAuthorizers, UpdateAuthorizer, DeleteAuthorizer.

use super::ControlCall;
use super::integration;
use super::model::{AuthorizerConfig, State};
use super::rules::{self, Answer, Members, bad_request};
use crate::local::protocol::wire::{ApiError, Response};

/// Authorizers an API may have (WebSocket quotas).
const MAX_AUTHORIZERS: usize = 10;

pub fn create(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let api = state.api_mut(call)?;
    let config: AuthorizerConfig = rules::parse(rules::members(call.request)?)?;
    check(api.is_http(), &config)?;
    if api.authorizers.values().any(|other| other.name == config.name) {
        return Err(rules::conflict(format!("Authorizer with name {} already exists for this API", config.name)));
    }
    if api.authorizers.len() >= MAX_AUTHORIZERS {
        return Err(rules::quota_reached("Authorizers"));
    }
    let id = rules::new_id(6);
    let answer = Response::json(201, &representation(&id, &config));
    api.authorizers.insert(id, config);
    Ok(answer)
}

pub fn get(state: &State, call: &ControlCall<'_>) -> Answer {
    let authorizer = state.api(call)?.authorizers.get(call.id(1)).ok_or_else(|| unknown(call))?;
    Ok(Response::json(200, &representation(call.id(1), authorizer)))
}

pub fn list(state: &State, call: &ControlCall<'_>) -> Answer {
    let authorizers = state.api(call)?.authorizers.iter();
    rules::page(call.request, authorizers.map(|(id, config)| (id.clone(), representation(id, config))))
}

pub fn update(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let api = state.api_mut(call)?;
    let is_http = api.is_http();
    let authorizer = api.authorizers.get_mut(call.id(1)).ok_or_else(|| unknown(call))?;
    let config = rules::merge(authorizer, rules::members(call.request)?)?;
    check(is_http, &config)?;
    *authorizer = config;
    Ok(Response::json(200, &representation(call.id(1), authorizer)))
}

pub fn delete(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let api = state.api_mut(call)?;
    let id = call.id(1);
    if api.routes.values().any(|route| route.config.authorizer_id.as_deref() == Some(id)) {
        return Err(rules::conflict("Cannot delete Authorizer because it is referenced by a Route".to_owned()));
    }
    api.authorizers.remove(id).ok_or_else(|| unknown(call))?;
    Ok(Response::empty(204))
}

pub(super) fn check(is_http: bool, config: &AuthorizerConfig) -> Result<(), ApiError> {
    rules::length("name", &config.name, 1, 128)?;
    rules::one_of("authorizerType", &config.authorizer_type, &["REQUEST", "JWT"])?;
    if is_http {
        return check_of_http(config);
    }
    if config.authorizer_type == "JWT" {
        return Err(bad_request("Unsupported authorizer type JWT for protocol type WEBSOCKET"));
    }
    integration::function_arn(&config.authorizer_uri).ok_or_else(|| bad_request("Invalid Authorizer URI"))?;
    let known = |source: &&String| super::authorizer::IDENTITY_SOURCES.iter().any(|kind| source.starts_with(kind));
    match config.identity_source.iter().find(|source| !known(source)) {
        Some(source) => Err(bad_request(format!("Invalid identity source specified {source}"))),
        None => Ok(()),
    }
}

/// The rules of HTTP APIs. (Whether an issuer answers, AWS looks at once; here that shows with the first request.)
fn check_of_http(config: &AuthorizerConfig) -> Result<(), ApiError> {
    const SOURCES: [&str; 4] = ["$request.header.", "$request.querystring.", "$context.", "$stageVariables."];
    if let Some(wrong) = config.identity_source.iter().find(|one| !SOURCES.iter().any(|kind| one.starts_with(kind))) {
        return Err(bad_request(format!("Invalid identity source specified {wrong}")));
    }
    if config.authorizer_type == "JWT" {
        let jwt = config.jwt_configuration.as_ref().filter(|jwt| !jwt.issuer.is_empty());
        let [_] = config.identity_source[..] else {
            return Err(bad_request("JWT authorizers need exactly one identity source"));
        };
        return jwt.map(|_| ()).ok_or_else(|| bad_request("JWT authorizers need a JwtConfiguration with an issuer"));
    }
    integration::function_arn(&config.authorizer_uri).ok_or_else(|| bad_request("Invalid Authorizer URI"))?;
    match config.authorizer_payload_format_version.as_deref() {
        Some("2.0") => Ok(()),
        Some("1.0") if config.enable_simple_responses != Some(true) => Ok(()),
        Some("1.0") => Err(bad_request("Simple responses are only supported for the payload format version 2.0")),
        _ => Err(bad_request("AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer")),
    }
}

fn representation(id: &str, config: &AuthorizerConfig) -> Members {
    let mut members = rules::object(config);
    members.insert("authorizerId".to_owned(), id.into());
    members
}

fn unknown(call: &ControlCall<'_>) -> ApiError {
    rules::not_found("Authorizer", call.id(1))
}
