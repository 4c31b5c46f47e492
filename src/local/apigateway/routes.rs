//! Routes and route responses: Create, Get, list, Update, Delete.

use super::ControlCall;
use super::model::{Api, Route, RouteConfig, RouteResponseConfig, State};
use super::rules::{self, Answer, Members, bad_request};
use crate::local::protocol::wire::{ApiError, Response};

/// Routes an API may have (WebSocket quotas).
const MAX_ROUTES: usize = 300;

pub fn create(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let api = state.api_mut(call)?;
    let config: RouteConfig = rules::parse(rules::members(call.request)?)?;
    check(api, None, &config)?;
    if api.routes.len() >= MAX_ROUTES {
        return Err(rules::quota_reached("Routes"));
    }
    let id = rules::new_id(7);
    let answer = Response::json(201, &representation(&id, &config));
    api.routes.insert(id, Route { config, responses: Default::default() });
    Ok(answer)
}

pub fn get(state: &State, call: &ControlCall<'_>) -> Answer {
    Ok(Response::json(200, &representation(call.id(1), &route(state, call)?.config)))
}

pub fn list(state: &State, call: &ControlCall<'_>) -> Answer {
    let routes = state.api(call)?.routes.iter();
    rules::page(call.request, routes.map(|(id, route)| (id.clone(), representation(id, &route.config))))
}

pub fn update(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let mut config: RouteConfig = rules::merge(&route(state, call)?.config, rules::members(call.request)?)?;
    // An empty string clears it, as with other members; there is no other way to do so.
    config.route_response_selection_expression =
        config.route_response_selection_expression.filter(|text| !text.is_empty());
    config.authorizer_id = config.authorizer_id.filter(|id| !id.is_empty());
    check(state.api(call)?, Some(call.id(1)), &config)?;
    let answer = Response::json(200, &representation(call.id(1), &config));
    route_mut(state, call)?.config = config;
    Ok(answer)
}

pub fn delete(state: &mut State, call: &ControlCall<'_>) -> Answer {
    state.api_mut(call)?.routes.remove(call.id(1)).ok_or_else(|| unknown(call))?;
    Ok(Response::empty(204))
}

/// DeleteRouteRequestParameter: an update cannot take one away.
pub fn delete_request_parameter(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let name = call.id(2);
    let parameters = &mut route_mut(state, call)?.config.request_parameters;
    parameters.remove(name).ok_or_else(|| rules::not_found("request parameter", name))?;
    Ok(Response::empty(204))
}

pub fn create_response(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let route = route_mut(state, call)?;
    let config: RouteResponseConfig = rules::parse(rules::members(call.request)?)?;
    check_response(&config)?;
    if !route.responses.is_empty() {
        let key = &config.route_response_key;
        return Err(rules::conflict(format!("RouteResponse with key {key} already exists for this Route")));
    }
    let id = rules::new_id(7);
    let answer = Response::json(201, &response_representation(&id, &config));
    route.responses.insert(id, config);
    Ok(answer)
}

pub fn get_response(state: &State, call: &ControlCall<'_>) -> Answer {
    let response = route(state, call)?.responses.get(call.id(2)).ok_or_else(|| unknown_response(call))?;
    Ok(Response::json(200, &response_representation(call.id(2), response)))
}

pub fn list_responses(state: &State, call: &ControlCall<'_>) -> Answer {
    let responses = route(state, call)?.responses.iter();
    rules::page(call.request, responses.map(|(id, config)| (id.clone(), response_representation(id, config))))
}

pub fn update_response(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let patch = rules::members(call.request)?;
    let response = route_mut(state, call)?.responses.get_mut(call.id(2)).ok_or_else(|| unknown_response(call))?;
    let mut config: RouteResponseConfig = rules::merge(response, patch)?;
    config.model_selection_expression = config.model_selection_expression.filter(|text| !text.is_empty());
    check_response(&config)?;
    *response = config;
    Ok(Response::json(200, &response_representation(call.id(2), response)))
}

pub fn delete_response(state: &mut State, call: &ControlCall<'_>) -> Answer {
    route_mut(state, call)?.responses.remove(call.id(2)).ok_or_else(|| unknown_response(call))?;
    Ok(Response::empty(204))
}

/// Checks a route's configuration against its API; `own` is the route's id where it exists already.
fn check(api: &Api, own: Option<&str>, config: &RouteConfig) -> Result<(), ApiError> {
    let key = &config.route_key;
    rules::length("routeKey", key, 1, 128)?;
    rules::one_of("authorizationType", &config.authorization_type, &["NONE", "AWS_IAM", "CUSTOM", "JWT"])?;
    let authorizer = config.authorizer_id.as_deref().filter(|id| !id.is_empty());
    if api.is_http() {
        check_of_http(api, config, authorizer)?;
    } else if !config.authorization_scopes.is_empty() {
        return Err(bad_request("Authorization scopes are not supported for WebSocket APIs"));
    } else if config.authorization_type == "CUSTOM" {
        if key != "$connect" {
            return Err(bad_request("Currently, authorization is restricted to the $connect route only"));
        }
        if authorizer.is_none_or(|id| !api.authorizers.contains_key(id)) {
            let id = authorizer.unwrap_or_default();
            return Err(bad_request(format!("Invalid authorizer ID specified {id}")));
        }
    } else if authorizer.is_some() {
        return Err(bad_request("Authorizer ID can be specified only with authorization type CUSTOM or JWT"));
    } else if config.authorization_type == "JWT" {
        return Err(bad_request("JWT authorization is not supported for WebSocket APIs"));
    } else if config.authorization_type == "AWS_IAM" && key != "$connect" {
        return Err(bad_request("Currently, authorization is restricted to the $connect route only"));
    }
    for model in config.request_models.values() {
        if !api.models.iter().any(|(id, known)| known.name == *model || id == model) {
            return Err(bad_request(format!("Invalid model identifier specified: {model}")));
        }
    }
    check_parameters(config)?;
    if let Some(expression) = &config.route_response_selection_expression
        && expression != "$default"
    {
        return Err(bad_request("Invalid RouteResponseSelectionExpression specified. Must be $default"));
    }
    if let Some(target) = &config.target {
        let known = config.integration_id().is_some_and(|id| api.integrations.contains_key(id));
        if !known {
            let id = target.strip_prefix("integrations/").unwrap_or(target);
            return Err(bad_request(format!("Invalid Integration identifier specified {id}")));
        }
    }
    if api.routes.iter().any(|(id, route)| route.config.route_key == *key && own != Some(id)) {
        return Err(rules::conflict(format!("Route with key {key} already exists for this API")));
    }
    Ok(())
}

/// The rules of HTTP APIs.
fn check_of_http(api: &Api, config: &RouteConfig, authorizer: Option<&str>) -> Result<(), ApiError> {
    const METHODS: [&str; 8] = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
    let key = config.route_key.as_str();
    let fits = key.split_once(' ').is_some_and(|(method, path)| METHODS.contains(&method) && path.starts_with('/'));
    if key != "$default" && !fits {
        return Err(bad_request(
            "The provided route key is not formatted properly for HTTP protocol. Format should be \"<HTTP METHOD> /<RESOURCE PATH>\" or \"$default\"",
        ));
    }
    if config.api_key_required {
        return Err(bad_request("API Key is not currently supported by HTTP Apis"));
    }
    let wanted = match config.authorization_type.as_str() {
        "CUSTOM" => "REQUEST",
        "JWT" => "JWT",
        _ if authorizer.is_some() => {
            return Err(bad_request("Authorizer ID can be specified only with authorization type CUSTOM or JWT"));
        }
        _ => return Ok(()),
    };
    let known = authorizer.and_then(|id| api.authorizers.get(id));
    if known.is_none_or(|known| known.authorizer_type != wanted) {
        let id = authorizer.unwrap_or_default();
        return Err(bad_request(format!("Invalid authorizer ID specified {id}")));
    }
    Ok(())
}

/// A handshake has parameters, a message has none ("Request parameters are only supported for the $connect route in
/// WebSocket APIs", says SAM's translator).
fn check_parameters(config: &RouteConfig) -> Result<(), ApiError> {
    for name in config.request_parameters.keys() {
        let place = name.strip_prefix("route.request.").unwrap_or_default();
        let is_place = ["header.", "querystring."]
            .iter()
            .any(|kind| place.strip_prefix(kind).is_some_and(|name| !name.is_empty()));
        if !is_place {
            return Err(bad_request(format!(
                "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping \
                 expression specified: {name}]"
            )));
        }
        if config.route_key != "$connect" {
            return Err(bad_request("Request parameters are only supported for the $connect route"));
        }
    }
    Ok(())
}

fn check_response(config: &RouteResponseConfig) -> Result<(), ApiError> {
    if config.route_response_key == "$default" {
        return Ok(());
    }
    Err(bad_request("Invalid RouteResponseKey specified. Must be $default"))
}

fn route<'s>(state: &'s State, call: &ControlCall<'_>) -> Result<&'s Route, ApiError> {
    state.api(call)?.routes.get(call.id(1)).ok_or_else(|| unknown(call))
}

fn route_mut<'s>(state: &'s mut State, call: &ControlCall<'_>) -> Result<&'s mut Route, ApiError> {
    state.api_mut(call)?.routes.get_mut(call.id(1)).ok_or_else(|| unknown(call))
}

fn representation(id: &str, config: &RouteConfig) -> Members {
    let mut members = rules::object(config);
    members.insert("routeId".to_owned(), id.into());
    members
}

fn response_representation(id: &str, config: &RouteResponseConfig) -> Members {
    let mut members = rules::object(config);
    members.insert("routeResponseId".to_owned(), id.into());
    members
}

fn unknown(call: &ControlCall<'_>) -> ApiError {
    rules::not_found("Route", call.id(1))
}

fn unknown_response(call: &ControlCall<'_>) -> ApiError {
    rules::not_found("RouteResponse", call.id(2))
}
