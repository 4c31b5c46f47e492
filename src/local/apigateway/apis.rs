//! CreateApi, GetApi, GetApis, UpdateApi, DeleteApi.

use super::ControlCall;
use super::model::{Api, ApiConfig, State};
use super::rules::{self, Answer, Members, bad_request};
use crate::local::context::ACCOUNT;
use crate::local::protocol::wire::{ApiError, Response};

impl State {
    /// The API of a call, in the region that the call is signed for.
    pub(super) fn api(&self, call: &ControlCall<'_>) -> Result<&Api, ApiError> {
        self.apis.get(call.id(0)).filter(|api| api.region == call.region()).ok_or_else(|| unknown(call.id(0)))
    }

    /// As [`State::api`], mutable.
    pub(super) fn api_mut(&mut self, call: &ControlCall<'_>) -> Result<&mut Api, ApiError> {
        self.apis.get_mut(call.id(0)).filter(|api| api.region == call.region()).ok_or_else(|| unknown(call.id(0)))
    }
}

pub fn create(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let members = rules::members(call.request)?;
    let tags = super::tags::given(&members)?;
    let config: ApiConfig = rules::parse(members)?;
    check(&config)?;
    let id = rules::new_id(10);
    let api = Api {
        region: call.region().to_owned(),
        created_date: rules::now(),
        config,
        tags,
        authorizers: Default::default(),
        integrations: Default::default(),
        models: Default::default(),
        routes: Default::default(),
        deployments: Default::default(),
        stages: Default::default(),
    };
    let answer = Response::json(201, &representation(call, &id, &api));
    state.apis.insert(id, api);
    Ok(answer)
}

pub fn get(state: &State, call: &ControlCall<'_>) -> Answer {
    Ok(Response::json(200, &representation(call, call.id(0), state.api(call)?)))
}

pub fn list(state: &State, call: &ControlCall<'_>) -> Answer {
    let here = state.apis.iter().filter(|(_, api)| api.region == call.region());
    rules::page(call.request, here.map(|(id, api)| (id.clone(), representation(call, id, api))))
}

pub fn update(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let mut patch = rules::members(call.request)?;
    patch.remove("protocolType");
    let api = state.api_mut(call)?;
    let config = rules::merge(&api.config, patch)?;
    check(&config)?;
    api.config = config;
    Ok(Response::json(200, &representation(call, call.id(0), api)))
}

pub fn delete(state: &mut State, call: &ControlCall<'_>) -> Answer {
    state.api(call)?;
    let mapped = state.domains.iter().find(|(_, domain)| domain.mappings.values().any(|one| one.api_id == call.id(0)));
    if let Some((domain, _)) = mapped {
        // That mappings must go first is known (docs/aws-facts.md), AWS's words are not.
        return Err(bad_request(format!("Unable to delete API because it is mapped to the domain name {domain}")));
    }
    state.apis.remove(call.id(0));
    Ok(Response::empty(204))
}

fn check(config: &ApiConfig) -> Result<(), ApiError> {
    rules::length("name", &config.name, 1, 128)?;
    rules::length("description", &config.description, 0, 1024)?;
    rules::length("version", &config.version, 0, 64)?;
    rules::one_of("ipAddressType", &config.ip_address_type, &["ipv4", "dualstack"])?;
    match config.protocol_type.as_str() {
        "WEBSOCKET" => {}
        "HTTP" => return Err(rules::unsupported("An API with protocolType HTTP")),
        _ => return Err(bad_request("Invalid protocol specified. Must be one of [HTTP, WEBSOCKET]")),
    }
    if config.route_selection_expression.is_empty() {
        return Err(bad_request("RouteSelectionExpression is required for WEBSOCKET APIs"));
    }
    Ok(())
}

fn representation(call: &ControlCall<'_>, id: &str, api: &Api) -> Members {
    let mut members = rules::object(&api.config);
    members.insert("apiId".to_owned(), id.into());
    members.insert("apiEndpoint".to_owned(), format!("ws://{}/{id}", call.context.client_authority()).into());
    members.insert("createdDate".to_owned(), api.created_date.as_str().into());
    members.insert("tags".to_owned(), rules::object(&api.tags).into());
    members
}

fn unknown(id: &str) -> ApiError {
    rules::not_found("API", &format!("{ACCOUNT}:{id}"))
}
