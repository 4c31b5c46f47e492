//! The tags of functions.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::Lambda;
use super::error;
use super::name::{FunctionId, Reference};
use crate::local::protocol::service::ServiceCall;
use crate::local::protocol::wire::{ApiError, Request, Response};

/// How many tags a resource can have (Lambda developer guide, tags).
const MAX_TAGS: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tags {
    tags: BTreeMap<String, String>,
}

impl Lambda {
    pub(super) fn tag_resource(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let arn = call.id(0);
        let given: Tags = request.json()?;
        let id = tagged(request, arn)?;
        if given.tags.is_empty() {
            return Err(error::invalid("An error occurred and the request cannot be processed."));
        }
        self.retag_function(&id, given.tags, &[])?;
        Ok(Response::empty(204))
    }

    /// Sets and removes tags of a function.
    pub(super) fn retag_function(
        &self,
        id: &FunctionId,
        set: BTreeMap<String, String>,
        removed: &[String],
    ) -> Result<(), ApiError> {
        self.registry.change(|state| {
            let function = state.function_mut(id)?;
            let mut tags = function.tags.clone();
            tags.extend(set);
            tags.retain(|key, _| !removed.contains(key));
            check(&tags)?;
            function.tags = tags;
            Ok(())
        })
    }

    pub(super) fn untag_resource(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let arn = call.id(0);
        let id = tagged(request, arn)?;
        let keys = request.query.iter().filter(|(name, _)| name == "tagKeys").map(|(_, key)| key.clone());
        let keys: Vec<String> = keys.collect();
        if keys.is_empty() {
            let missing = "Value null at 'tagKeys' failed to satisfy constraint: Member must not be null";
            return Err(error::validation(&[missing.to_owned()]));
        }
        self.retag_function(&id, BTreeMap::new(), &keys)?;
        Ok(Response::empty(204))
    }

    pub(super) fn list_tags(&self, call: &ServiceCall) -> Result<Response, ApiError> {
        let request = &call.request;
        let arn = call.id(0);
        let id = tagged(request, arn)?;
        self.registry.read(|state| Ok(Response::json(200, &json!({ "Tags": state.function(&id)?.tags }))))
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

/// The function that an ARN names.
fn tagged(request: &Request, arn: &str) -> Result<FunctionId, ApiError> {
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
    Ok(reference.id)
}
