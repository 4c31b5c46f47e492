//! Stages: named pointers to a deployment, with their settings.

use super::ControlCall;
use super::model::{AUTO_DEPLOYED, AccessLogSettings, Api, DEFAULT_STAGE, Stage, StageConfig, State};
use super::rules::{self, Answer, Members, bad_request};
use crate::local::protocol::wire::{ApiError, Response};

/// Stages an API may have (WebSocket quotas).
const MAX_STAGES: usize = 10;

pub fn create(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let members = rules::members(call.request)?;
    let tags = super::tags::given(&members)?;
    let config: StageConfig = rules::parse(members)?;
    let may_log = super::account::check_logging(state, call.region());
    let api = state.api_mut(call)?;
    check(api, &config)?;
    if logs(&config) && !api.is_http() {
        may_log?;
    }
    check_routes(api, &config)?;
    if config.auto_deploy && config.deployment_id.is_some() {
        return Err(bad_request(AUTO_DEPLOYED));
    }
    let name = config.stage_name.clone();
    if api.stages.contains_key(&name) {
        return Err(rules::conflict("Stage already exists"));
    }
    if api.stages.len() >= MAX_STAGES {
        return Err(rules::quota_reached("Stages"));
    }
    let now = rules::now();
    let follows = config.auto_deploy;
    let stage =
        Stage { created_date: now.clone(), last_updated_date: now, last_deployment_status_message: None, config, tags };
    api.stages.insert(name.clone(), stage);
    if follows {
        super::deployments::auto_deploy(api);
    }
    Ok(Response::json(201, &representation(&api.stages[&name])))
}

pub fn get(state: &State, call: &ControlCall<'_>) -> Answer {
    let stage = state.api(call)?.stages.get(call.id(1)).ok_or_else(|| unknown(call))?;
    Ok(Response::json(200, &representation(stage)))
}

pub fn list(state: &State, call: &ControlCall<'_>) -> Answer {
    let stages = state.api(call)?.stages.iter();
    rules::page(call.request, stages.map(|(name, stage)| (name.clone(), representation(stage))))
}

pub fn update(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let mut patch = rules::members(call.request)?;
    patch.remove("stageName");
    // An empty description does not replace a stage's description on AWS.
    if patch.get("description").is_some_and(|text| text == "") {
        patch.remove("description");
    }
    let moves = patch.contains_key("deploymentId");
    let tunes_routes = patch.contains_key("routeSettings");
    let may_log = super::account::check_logging(state, call.region());
    let api = state.api_mut(call)?;
    let stage = api.stages.get(call.id(1)).ok_or_else(|| unknown(call))?;
    let config: StageConfig = rules::merge(&stage.config, patch)?;
    check(api, &config)?;
    if logs(&config) && !api.is_http() {
        may_log?;
    }
    if tunes_routes {
        check_routes(api, &config)?;
    }
    if config.auto_deploy && moves {
        return Err(bad_request(AUTO_DEPLOYED));
    }
    let starts_to_follow = config.auto_deploy && !stage.config.auto_deploy;
    change(api, call, |stage| stage.config = config)?;
    if starts_to_follow {
        super::deployments::auto_deploy(api);
    }
    let stage = api.stages.get(call.id(1)).ok_or_else(|| unknown(call))?;
    Ok(Response::json(200, &representation(stage)))
}

pub fn delete(state: &mut State, call: &ControlCall<'_>) -> Answer {
    state.api_mut(call)?.stages.remove(call.id(1)).ok_or_else(|| unknown(call))?;
    Ok(Response::empty(204))
}

pub fn delete_access_log_settings(state: &mut State, call: &ControlCall<'_>) -> Answer {
    change(state.api_mut(call)?, call, |stage| stage.config.access_log_settings = None)?;
    Ok(Response::empty(204))
}

pub fn delete_route_settings(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let key = call.id(2);
    change(state.api_mut(call)?, call, |stage| stage.config.route_settings.remove(key))?
        .ok_or_else(|| unknown_settings(key))?;
    Ok(Response::empty(204))
}

fn change<T>(api: &mut Api, call: &ControlCall<'_>, change: impl FnOnce(&mut Stage) -> T) -> Result<T, ApiError> {
    let stage = api.stages.get_mut(call.id(1)).ok_or_else(|| unknown(call))?;
    stage.last_updated_date = rules::now();
    Ok(change(stage))
}

/// Whether a stage writes access logs or execution logs.
fn logs(config: &StageConfig) -> bool {
    let mut levels = config.route_settings.values().chain([&config.default_route_settings]);
    config.access_log_settings.is_some()
        || levels.any(|settings| settings.logging_level.as_deref().is_some_and(|level| level != "OFF"))
}

fn check(api: &Api, config: &StageConfig) -> Result<(), ApiError> {
    let name = &config.stage_name;
    rules::length("stageName", name, 1, 128)?;
    let is_default = api.is_http() && name == DEFAULT_STAGE;
    if !is_default && !name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')) {
        return Err(bad_request("Stage name only allows a-zA-Z0-9_-"));
    }
    rules::length("description", &config.description, 0, 1024)?;
    if let Some(id) = &config.deployment_id
        && !api.deployments.contains_key(id)
    {
        return Err(rules::not_found("Deployment", id));
    }
    for (key, value) in &config.stage_variables {
        let name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let text = |letter: char| letter.is_ascii_alphanumeric() || "-._~:/?#&=,".contains(letter);
        if key.is_empty() || !key.chars().all(name) || !value.chars().all(text) {
            return Err(bad_request(
                "Stage variable names may only have alphanumeric and underscore characters, values must match \
                 [A-Za-z0-9-._~:/?#&=,]+",
            ));
        }
    }
    if let Some(settings) = &config.access_log_settings {
        check_access_log(settings)?;
    }
    let all = config.route_settings.values().chain([&config.default_route_settings]);
    for level in all.filter_map(|settings| settings.logging_level.as_deref()) {
        rules::one_of("loggingLevel", level, &["ERROR", "INFO", "OFF"])?;
        if api.is_http() && level != "OFF" {
            return Err(bad_request("Execution logs are not supported on protocolType HTTP"));
        }
    }
    Ok(())
}

/// Checks that an access log goes to a log group or a Firehose stream, and that its format has a request id (developer guide,
/// "Configure logging for WebSocket APIs"). The messages are ours: AWS's are not recorded.
fn check_access_log(settings: &AccessLogSettings) -> Result<(), ApiError> {
    if let Some(arn) = &settings.destination_arn {
        let parts: Vec<&str> = arn.splitn(7, ':').collect();
        let group = matches!(parts[..], ["arn", _, "logs", _, _, "log-group", name] if !name.is_empty());
        let stream = matches!(parts[..], ["arn", _, "firehose", _, _, name] if name.starts_with("deliverystream/"));
        if !group && !stream {
            return Err(bad_request(format!("Invalid ARN specified in the request: {arn}")));
        }
    }
    match &settings.format {
        Some(format) if !format.contains("$context.requestId") && !format.contains("$context.extendedRequestId") => {
            Err(bad_request("Access log format must contain $context.requestId or $context.extendedRequestId"))
        }
        _ => Ok(()),
    }
}

/// Settings can only be set for existing routes, but they stay after a route is deleted.
fn check_routes(api: &Api, config: &StageConfig) -> Result<(), ApiError> {
    let known = |key: &&String| api.routes.values().any(|route| route.config.route_key == **key);
    config.route_settings.keys().find(|key| !known(key)).map_or(Ok(()), |key| Err(unknown_settings(key)))
}

fn representation(stage: &Stage) -> Members {
    let mut config = stage.config.clone();
    if let Some(arn) = config.access_log_settings.as_mut().and_then(|settings| settings.destination_arn.as_mut()) {
        // A log group's ARN, as CloudFormation gives it, ends in `:*`, which API Gateway leaves out.
        *arn = arn.trim_end_matches(":*").to_owned();
    }
    let mut members = rules::object(&config);
    members.insert("createdDate".to_owned(), stage.created_date.as_str().into());
    members.insert("lastUpdatedDate".to_owned(), stage.last_updated_date.as_str().into());
    members.insert("tags".to_owned(), rules::object(&stage.tags).into());
    if let Some(message) = &stage.last_deployment_status_message {
        members.insert("lastDeploymentStatusMessage".to_owned(), message.as_str().into());
    }
    members
}

fn unknown(call: &ControlCall<'_>) -> ApiError {
    rules::not_found("Stage", call.id(1))
}

fn unknown_settings(route_key: &str) -> ApiError {
    ApiError::new(
        404,
        "NotFoundException",
        format!("Unable to find Route by key {route_key} within the provided RouteSettings"),
    )
}
