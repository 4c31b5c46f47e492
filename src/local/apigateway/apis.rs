//! CreateApi, GetApi, GetApis, UpdateApi, DeleteApi.

use super::ControlCall;
use super::model::{
    Api, ApiConfig, DEFAULT_STAGE, HTTP, HTTP_TIMEOUT, Integration, IntegrationConfig, Route, RouteConfig, Stage,
    StageConfig, State, Strings,
};
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
    let text = |name: &str| members.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let (target, route_key, credentials) = (text("target"), text("routeKey"), text("credentialsArn"));
    let mut config: ApiConfig = rules::parse(members)?;
    select_routes(&mut config);
    check(&config)?;
    let id = rules::new_id(10);
    let mut api = empty(call, config, tags);
    if let Some(target) = target {
        quick_create(&mut api, &target, route_key, credentials)?;
    }
    let answer = Response::json(201, &representation(call, &id, &api));
    state.apis.insert(id, api);
    Ok(answer)
}

/// An API without any parts.
pub(super) fn empty(call: &ControlCall<'_>, config: ApiConfig, tags: Strings) -> Api {
    Api {
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
    }
}

/// "For HTTP APIs, the routeSelectionExpression must be ${request.method} ${request.path}. If not provided, this will be the
/// default" (API reference; the spelling is that of AWS's answers).
pub(super) fn select_routes(config: &mut ApiConfig) {
    if config.protocol_type == HTTP {
        config.route_selection_expression = "$request.method $request.path".to_owned();
    }
}

/// Quick create: an integration with `target`, a route to it, and a stage `$default` that follows the API; all of them managed.
fn quick_create(
    api: &mut Api,
    target: &str,
    route_key: Option<String>,
    credentials: Option<String>,
) -> Result<(), ApiError> {
    if !api.is_http() {
        return Err(bad_request("Target is only supported for HTTP APIs"));
    }
    let is_function = super::integration::integrated_function(target).is_some();
    let mut integration: IntegrationConfig = rules::parse(rules::object(&serde_json::json!({
        "integrationType": if is_function { "AWS_PROXY" } else { "HTTP_PROXY" },
        "integrationUri": target,
        "integrationMethod": if is_function { "POST" } else { "ANY" },
        "payloadFormatVersion": if is_function { "2.0" } else { "1.0" },
        "timeoutInMillis": HTTP_TIMEOUT,
        "apiGatewayManaged": true,
    })))?;
    integration.credentials_arn = credentials;
    let id = rules::new_id(7);
    let route = RouteConfig {
        route_key: route_key.unwrap_or_else(|| DEFAULT_STAGE.to_owned()),
        target: Some(format!("integrations/{id}")),
        api_gateway_managed: true,
        ..RouteConfig::default()
    };
    api.integrations.retain(|_, one| !one.config.api_gateway_managed);
    api.routes.retain(|_, route| !route.config.api_gateway_managed);
    api.integrations.insert(id, Integration { config: integration, responses: Default::default() });
    api.routes.insert(rules::new_id(7), Route { config: route, responses: Default::default() });
    if !api.stages.contains_key(DEFAULT_STAGE) {
        let config: StageConfig = rules::parse(rules::object(&serde_json::json!({
            "stageName": DEFAULT_STAGE, "autoDeploy": true, "apiGatewayManaged": true,
        })))?;
        let now = rules::now();
        let stage = Stage {
            created_date: now.clone(),
            last_updated_date: now,
            last_deployment_status_message: None,
            config,
            tags: Strings::new(),
        };
        api.stages.insert(DEFAULT_STAGE.to_owned(), stage);
    }
    super::deployments::auto_deploy(api);
    Ok(())
}

/// DeleteCorsConfiguration.
pub fn delete_cors(state: &mut State, call: &ControlCall<'_>) -> Answer {
    state.api_mut(call)?.config.cors_configuration = None;
    Ok(Response::empty(204))
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
    let text = |name: &str| patch.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let (target, route_key, credentials) = (text("target"), text("routeKey"), text("credentialsArn"));
    let api = state.api_mut(call)?;
    let cors = patch.remove("corsConfiguration");
    let mut config: ApiConfig = rules::merge(&api.config, patch)?;
    if let Some(cors) = cors {
        // It is replaced as a whole.
        config.cors_configuration = Some(serde_json::from_value(cors).map_err(|error| bad_request(error.to_string()))?);
    }
    select_routes(&mut config);
    check(&config)?;
    api.config = config;
    if let Some(target) = target {
        quick_create(api, &target, route_key, credentials)?;
    }
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

pub(super) fn check(config: &ApiConfig) -> Result<(), ApiError> {
    rules::length("name", &config.name, 1, 128)?;
    rules::length("description", &config.description, 0, 1024)?;
    rules::length("version", &config.version, 0, 64)?;
    rules::one_of("ipAddressType", &config.ip_address_type, &["ipv4", "dualstack"])?;
    match config.protocol_type.as_str() {
        "WEBSOCKET" if config.cors_configuration.is_some() => {
            return Err(bad_request("CORS configuration is not supported for WEBSOCKET APIs"));
        }
        "WEBSOCKET" => {}
        HTTP => return check_cors(config),
        _ => return Err(bad_request("Invalid protocol specified. Must be one of [HTTP, WEBSOCKET]")),
    }
    if config.route_selection_expression.is_empty() {
        return Err(bad_request("RouteSelectionExpression is required for WEBSOCKET APIs"));
    }
    Ok(())
}

/// "Credentials cannot be allowed for all origins" in other words: a browser refuses such answers.
fn check_cors(config: &ApiConfig) -> Result<(), ApiError> {
    let Some(cors) = &config.cors_configuration else { return Ok(()) };
    if cors.allow_credentials && cors.allow_origins.iter().any(|origin| origin == "*") {
        return Err(bad_request("allowCredentials is not supported for origin *"));
    }
    if !(-1..=86_400).contains(&cors.max_age) {
        return Err(bad_request("maxAge must be from -1 to 86400"));
    }
    Ok(())
}

pub(super) fn representation(call: &ControlCall<'_>, id: &str, api: &Api) -> Members {
    let mut members = rules::object(&api.config);
    members.insert("apiId".to_owned(), id.into());
    let scheme = if api.is_http() { "http" } else { "ws" };
    members.insert("apiEndpoint".to_owned(), format!("{scheme}://{}/{id}", call.context.client_authority()).into());
    members.insert("createdDate".to_owned(), api.created_date.as_str().into());
    members.insert("tags".to_owned(), rules::object(&api.tags).into());
    members
}

fn unknown(id: &str) -> ApiError {
    rules::not_found("API", &format!("{ACCOUNT}:{id}"))
}
