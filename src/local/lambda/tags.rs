//! The tags of functions and event source mappings.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::Lambda;
use super::error;
use super::mapping;
use super::name::{FunctionId, Reference};
use super::state::State;
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::{ApiError, Request, Response};

/// How many tags a resource can have (Lambda developer guide, tags).
const MAX_TAGS: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tags {
    tags: BTreeMap<String, String>,
}

/// What carries tags.
enum Tagged {
    Function(FunctionId),
    /// Region and UUID of an event source mapping.
    Mapping(String, String),
}

impl Tagged {
    fn tags<'a>(&self, state: &'a State) -> Result<&'a BTreeMap<String, String>, ApiError> {
        match self {
            Self::Function(id) => Ok(&state.function(id)?.tags),
            Self::Mapping(region, uuid) => Ok(&state.mapping(region, uuid)?.tags),
        }
    }

    fn tags_mut<'a>(&self, state: &'a mut State) -> Result<&'a mut BTreeMap<String, String>, ApiError> {
        match self {
            Self::Function(id) => Ok(&mut state.function_mut(id)?.tags),
            Self::Mapping(region, uuid) => Ok(&mut state.mapping_mut(region, uuid)?.tags),
        }
    }
}

impl Lambda {
    pub(super) fn tag_resource(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let arn = call.id(0);
        let given: Tags = request.json()?;
        let tagged = tagged(request, arn)?;
        check(&given.tags)?;
        if given.tags.is_empty() {
            return Err(error::invalid("An error occurred and the request cannot be processed."));
        }
        self.retag_resource(&tagged, given.tags, &[])?;
        Ok(Response::empty(204))
    }

    /// Sets and removes tags of the function or mapping with an ARN; gives back whether there can be one.
    pub(super) fn retag_arn(
        &self,
        arn: &str,
        set: BTreeMap<String, String>,
        removed: &[String],
    ) -> Result<bool, ApiError> {
        let region = arn.split(':').nth(3).unwrap_or_default();
        let tagged = match (mapping::uuid_in(arn), Reference::from_arn(arn)) {
            (Some(uuid), _) => Tagged::Mapping(region.to_owned(), uuid.to_owned()),
            (None, Some(Reference { id, qualifier: None })) => Tagged::Function(id),
            _ => return Ok(false),
        };
        self.retag_resource(&tagged, set, removed)?;
        Ok(true)
    }

    fn retag_resource(
        &self,
        tagged: &Tagged,
        set: BTreeMap<String, String>,
        removed: &[String],
    ) -> Result<(), ApiError> {
        self.registry.change(|state| {
            let tags = tagged.tags_mut(state)?;
            let mut all = tags.clone();
            all.extend(set);
            all.retain(|key, _| !removed.contains(key));
            // CloudFormation's own are neither counted nor anything that a caller could have set.
            check(
                &all.iter()
                    .filter(|(key, _)| !key.starts_with("aws:"))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect(),
            )?;
            *tags = all;
            Ok(())
        })
    }

    pub(super) fn untag_resource(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let arn = call.id(0);
        let tagged = tagged(request, arn)?;
        let keys = request.query.iter().filter(|(name, _)| name == "tagKeys").map(|(_, key)| key.clone());
        let keys: Vec<String> = keys.collect();
        if keys.is_empty() {
            let missing = "Value null at 'tagKeys' failed to satisfy constraint: Member must not be null";
            return Err(error::validation(&[missing.to_owned()]));
        }
        self.retag_resource(&tagged, BTreeMap::new(), &keys)?;
        Ok(Response::empty(204))
    }

    pub(super) fn list_tags(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let arn = call.id(0);
        let tagged = tagged(request, arn)?;
        self.registry.read(|state| Ok(Response::json(200, &json!({ "Tags": tagged.tags(state)? }))))
    }
}

/// Checks the tags of a resource.
///
/// # Errors
/// `InvalidParameterValueException` where they are too many, too long, or reserved by AWS.
pub fn check(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > MAX_TAGS {
        return Err(error::invalid("Number of tags exceeds resource tag limit."));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 || key.starts_with("aws:") {
            return Err(error::invalid(format!("Tag {key} is invalid. Please check the key and the value.")));
        }
    }
    Ok(())
}

/// The function or event source mapping that an ARN names.
fn tagged(request: &Request, arn: &str) -> Result<Tagged, ApiError> {
    if let Some(uuid) = mapping::uuid_in(arn) {
        return Ok(Tagged::Mapping(request.caller.region.clone(), uuid.to_owned()));
    }
    if Reference::from_arn(arn).is_none() {
        let rule = r"Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|(capacity-provider|network-connector):[a-zA-Z0-9-_]{1,64})";
        return Err(error::validation(&[error::constraint(arn, "resource", rule)]));
    }
    let reference = Reference::read(arn, None, &request.caller.region)?;
    if reference.qualifier.is_some() {
        return Err(error::invalid(
            "Tags on function aliases and versions are not supported. Please specify a function ARN.",
        ));
    }
    Ok(Tagged::Function(reference.id))
}
