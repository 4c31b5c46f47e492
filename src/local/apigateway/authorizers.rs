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
    check(&config)?;
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
    let authorizer = state.api_mut(call)?.authorizers.get_mut(call.id(1)).ok_or_else(|| unknown(call))?;
    let config = rules::merge(authorizer, rules::members(call.request)?)?;
    check(&config)?;
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

fn check(config: &AuthorizerConfig) -> Result<(), ApiError> {
    rules::length("name", &config.name, 1, 128)?;
    rules::one_of("authorizerType", &config.authorizer_type, &["REQUEST", "JWT"])?;
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

fn representation(id: &str, config: &AuthorizerConfig) -> Members {
    let mut members = rules::object(config);
    members.insert("authorizerId".to_owned(), id.into());
    members
}

fn unknown(call: &ControlCall<'_>) -> ApiError {
    rules::not_found("Authorizer", call.id(1))
}
