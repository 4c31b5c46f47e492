//! TagResource, UntagResource, GetTags of APIs, stages and domain names.

use serde::Deserialize;
use serde_json::json;

use super::ControlCall;
use super::model::{State, Strings};
use super::rules::{self, Answer, Members};
use crate::local::protocol::wire::{ApiError, Response};

/// Tags a resource may have (AWS: 50).
const MAX_TAGS: usize = 50;

pub fn get(state: &State, call: &ControlCall<'_>) -> Answer {
    let here = |region: &str| region == call.region();
    let api = |id: &str| state.apis.get(id).filter(|api| here(&api.region));
    let tags = match resource(&named(call)).ok_or_else(|| unknown(call))? {
        Tagged::Api(id) => api(&id).map(|api| &api.tags),
        Tagged::Stage(id, stage) => api(&id).and_then(|api| api.stages.get(&stage)).map(|stage| &stage.tags),
        Tagged::Domain(name) => state.domains.get(&name).filter(|one| here(&one.region)).map(|domain| &domain.tags),
    };
    let tags = tags.ok_or_else(|| unknown(call))?;
    Ok(Response::json(200, &json!({ "tags": tags })))
}

pub fn tag(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let given = given(&rules::members(call.request)?)?;
    let tags = tags_mut(state, call)?;
    tags.extend(given);
    // AWS's own are not the caller's, and not counted.
    check(
        &tags
            .iter()
            .filter(|(key, _)| !key.starts_with("aws:"))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    )?;
    Ok(Response::json(201, &Members::new()))
}

pub fn untag(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let keys = call.request.query.iter().filter(|(name, _)| name == "tagKeys").map(|(_, key)| key);
    let tags = tags_mut(state, call)?;
    for key in keys {
        tags.remove(key);
    }
    Ok(Response::empty(204))
}

/// The tags in the body of a create operation or of TagResource.
pub fn given(members: &Members) -> Result<Strings, ApiError> {
    let tags = match members.get("tags") {
        None => Strings::new(),
        Some(tags) => Strings::deserialize(tags).map_err(|error| rules::bad_request(error.to_string()))?,
    };
    check(&tags)?;
    Ok(tags)
}

fn check(tags: &Strings) -> Result<(), ApiError> {
    if tags.len() > MAX_TAGS {
        return Err(rules::bad_request(format!("Number of tags exceeds the limit of {MAX_TAGS}")));
    }
    for (key, value) in tags {
        rules::length("tags", key, 1, 128)?;
        rules::length("tags", value, 0, 256)?;
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(rules::bad_request("aws: prefixed tag key names are not allowed for external use."));
        }
    }
    Ok(())
}

/// What carries tags.
enum Tagged {
    /// Its id.
    Api(String),
    /// The API's id, and the stage's name.
    Stage(String, String),
    /// Its name.
    Domain(String),
}

fn tags_mut<'s>(state: &'s mut State, call: &ControlCall<'_>) -> Result<&'s mut Strings, ApiError> {
    tags_of(state, call.region(), &named(call)).ok_or_else(|| unknown(call))
}

/// Sets and removes tags of what an ARN names, AWS's own among them; gives back whether it is there.
pub fn retag(state: &mut State, arn: &str, set: &Strings, removed: &[String]) -> Result<bool, ApiError> {
    let region = arn.split(':').nth(3).unwrap_or_default();
    let Some(tags) = tags_of(state, region, arn) else { return Ok(false) };
    tags.extend(set.clone());
    tags.retain(|key, _| !removed.contains(key));
    Ok(true)
}

fn tags_of<'s>(state: &'s mut State, region: &str, arn: &str) -> Option<&'s mut Strings> {
    let here = |home: &str| home == region;
    match resource(arn)? {
        Tagged::Api(id) => state.apis.get_mut(&id).filter(|api| here(&api.region)).map(|api| &mut api.tags),
        Tagged::Stage(id, stage) => {
            let api = state.apis.get_mut(&id).filter(|api| here(&api.region));
            api.and_then(|api| api.stages.get_mut(&stage)).map(|stage| &mut stage.tags)
        }
        Tagged::Domain(name) => {
            state.domains.get_mut(&name).filter(|one| here(&one.region)).map(|domain| &mut domain.tags)
        }
    }
}

/// The ARN that a call names. Clients that leave its slashes unescaped send it as several segments.
fn named(call: &ControlCall<'_>) -> String {
    call.ids.join("/")
}

/// What `arn:aws:apigateway:REGION::/apis/ID/stages/NAME` names.
fn resource(arn: &str) -> Option<Tagged> {
    let path: Vec<&str> =
        arn.split(':').nth(5).unwrap_or_default().split('/').filter(|part| !part.is_empty()).collect();
    match path[..] {
        ["apis", api] => Some(Tagged::Api(api.to_owned())),
        ["apis", api, "stages", stage] => Some(Tagged::Stage(api.to_owned(), stage.to_owned())),
        ["domainnames", name] => Some(Tagged::Domain(name.to_owned())),
        _ => None,
    }
}

fn unknown(call: &ControlCall<'_>) -> ApiError {
    rules::not_found("resource", &named(call))
}
