//! Deployments: immutable snapshots of an API's routes and integrations, and the ones that AutoDeploy makes.

use std::sync::Arc;

use super::ControlCall;
use super::model::{AUTO_DEPLOYED, Api, Deployment, State};
use super::rules::{self, Answer, Members, bad_request};
use crate::local::protocol::wire::{ApiError, Response};

pub fn create(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let members = rules::members(call.request)?;
    let text = |name: &str| members.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let api = state.api_mut(call)?;
    if api.routes.is_empty() {
        return Err(bad_request("At least one route is required before deploying the Api."));
    }
    let description = text("description").unwrap_or_default();
    rules::length("description", &description, 0, 1024)?;
    let id = rules::new_id(6);
    if let Some(name) = text("stageName") {
        let stage = api.stages.get_mut(&name).ok_or_else(|| rules::not_found("stage", &name))?;
        if stage.config.auto_deploy {
            return Err(bad_request(AUTO_DEPLOYED));
        }
        stage.config.deployment_id = Some(id.clone());
        stage.last_updated_date = rules::now();
    }
    let deployment = freeze(api, description, false);
    let answer = Response::json(201, &representation(&id, &deployment));
    api.deployments.insert(id, deployment);
    Ok(answer)
}

pub fn get(state: &State, call: &ControlCall<'_>) -> Answer {
    let deployment = state.api(call)?.deployments.get(call.id(1)).ok_or_else(|| unknown(call))?;
    Ok(Response::json(200, &representation(call.id(1), deployment)))
}

pub fn list(state: &State, call: &ControlCall<'_>) -> Answer {
    let deployments = state.api(call)?.deployments.iter();
    rules::page(call.request, deployments.map(|(id, deployment)| (id.clone(), representation(id, deployment))))
}

pub fn update(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let members = rules::members(call.request)?;
    let deployment = state.api_mut(call)?.deployments.get_mut(call.id(1)).ok_or_else(|| unknown(call))?;
    if let Some(description) = members.get("description").and_then(|value| value.as_str()) {
        rules::length("description", description, 0, 1024)?;
        description.clone_into(&mut deployment.description);
    }
    Ok(Response::json(200, &representation(call.id(1), deployment)))
}

pub fn delete(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let api = state.api_mut(call)?;
    if !api.deployments.contains_key(call.id(1)) {
        return Err(unknown(call));
    }
    if in_use(api, call.id(1)) {
        return Err(bad_request("Active stages pointing to this deployment must be moved or deleted"));
    }
    api.deployments.remove(call.id(1));
    Ok(Response::empty(204))
}

/// Moves every stage with AutoDeploy to a new deployment of the current API. An API without routes cannot be deployed: its
/// stages are not changed.
pub fn auto_deploy(api: &mut Api) {
    if api.routes.is_empty() || !api.stages.values().any(|stage| stage.config.auto_deploy) {
        return;
    }
    let id = rules::new_id(6);
    let description = "Automatic deployment triggered by changes to the Api configuration".to_owned();
    let deployment = freeze(api, description, true);
    api.deployments.insert(id.clone(), deployment);
    for stage in api.stages.values_mut().filter(|stage| stage.config.auto_deploy) {
        stage.last_deployment_status_message = Some(format!("Successfully deployed stage with deployment ID '{id}'"));
        stage.last_updated_date = rules::now();
        stage.config.deployment_id = Some(id.clone());
    }
    // Automatic deployments that no stage serves any more are deleted.
    let used: Vec<String> = api.stages.values().filter_map(|stage| stage.config.deployment_id.clone()).collect();
    api.deployments.retain(|id, deployment| !deployment.auto_deployed || used.contains(id));
}

fn freeze(api: &Api, description: String, auto_deployed: bool) -> Deployment {
    Deployment { created_date: rules::now(), description, auto_deployed, snapshot: Arc::new(api.snapshot()) }
}

fn in_use(api: &Api, id: &str) -> bool {
    api.stages.values().any(|stage| stage.config.deployment_id.as_deref() == Some(id))
}

fn representation(id: &str, deployment: &Deployment) -> Members {
    let mut members = Members::new();
    members.insert("autoDeployed".to_owned(), deployment.auto_deployed.into());
    members.insert("createdDate".to_owned(), deployment.created_date.as_str().into());
    members.insert("deploymentId".to_owned(), id.into());
    members.insert("deploymentStatus".to_owned(), "DEPLOYED".into());
    if !deployment.description.is_empty() {
        members.insert("description".to_owned(), deployment.description.as_str().into());
    }
    members
}

fn unknown(call: &ControlCall<'_>) -> ApiError {
    rules::not_found("Deployment", call.id(1))
}
