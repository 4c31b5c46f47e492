//! CreateModel, GetModel, GetModels, UpdateModel, DeleteModel.

use serde_json::Value;

use super::ControlCall;
use super::model::{Api, ModelConfig, State};
use super::rules::{self, Answer, Members, bad_request};
use crate::local::protocol::wire::{ApiError, Response};

pub fn create(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let api = state.api_mut(call)?;
    let config: ModelConfig = rules::parse(rules::members(call.request)?)?;
    check(api, None, &config)?;
    let id = rules::new_id(6);
    let answer = Response::json(201, &representation(&id, &config));
    api.models.insert(id, config);
    Ok(answer)
}

pub fn get(state: &State, call: &ControlCall<'_>) -> Answer {
    let model = state.api(call)?.models.get(call.id(1)).ok_or_else(|| unknown(call))?;
    Ok(Response::json(200, &representation(call.id(1), model)))
}

pub fn list(state: &State, call: &ControlCall<'_>) -> Answer {
    let models = state.api(call)?.models.iter();
    rules::page(call.request, models.map(|(id, config)| (id.clone(), representation(id, config))))
}

pub fn update(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let api = state.api_mut(call)?;
    let model = api.models.get(call.id(1)).ok_or_else(|| unknown(call))?;
    let config = rules::merge(model, rules::members(call.request)?)?;
    check(api, Some(call.id(1)), &config)?;
    let answer = Response::json(200, &representation(call.id(1), &config));
    api.models.insert(call.id(1).to_owned(), config);
    Ok(answer)
}

/// A model that a route names can be deleted: the reference of DeleteModel knows no conflict.
pub fn delete(state: &mut State, call: &ControlCall<'_>) -> Answer {
    state.api_mut(call)?.models.remove(call.id(1)).ok_or_else(|| unknown(call))?;
    Ok(Response::empty(204))
}

/// Checks a model against its API; `own` is its id where it exists already.
fn check(api: &Api, own: Option<&str>, config: &ModelConfig) -> Result<(), ApiError> {
    let name = &config.name;
    rules::length("name", name, 1, 128)?;
    rules::length("contentType", &config.content_type, 0, 256)?;
    rules::length("description", &config.description, 0, 1024)?;
    rules::length("schema", &config.schema, 0, 32_768)?;
    // "Model name must be alphanumeric: a.b" (terra-money/fcd-classic#36).
    if !name.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return Err(bad_request(format!("Model name must be alphanumeric: {name}")));
    }
    // The message is that of REST APIs (aws/aws-cdk#27433).
    if !serde_json::from_str::<Value>(&config.schema).is_ok_and(|schema| schema.is_object()) {
        return Err(bad_request(
            "Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified]",
        ));
    }
    if api.models.iter().any(|(id, other)| other.name == *name && own != Some(id)) {
        return Err(rules::conflict(format!("Model with name {name} already exists for this API")));
    }
    Ok(())
}

fn representation(id: &str, config: &ModelConfig) -> Members {
    let mut members = rules::object(config);
    members.insert("modelId".to_owned(), id.into());
    members
}

fn unknown(call: &ControlCall<'_>) -> ApiError {
    rules::not_found("Model", call.id(1))
}
