//! AWS Cloud Control API: keeps every resource of a type that the local cloud does not run as a record: created, read, changed,
//! listed and deleted as AWS does it, with the attributes that AWS would mint. Nothing of them runs. Of types that another service
//! of this cloud has (`ports::ControlledResources`), it is a view: they have one state, the service's.
//!
//! A request is answered at once and takes effect a moment later, as on AWS; its token tells how it went.

mod mint;
mod model;
mod operations;
mod records;
#[cfg(test)]
pub mod testing;
mod values;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use self::records::{Records, Request};
use crate::core::schemas::schema;
use crate::local::context::CloudContext;
use crate::local::context::ports::{ControlledResources, Records as Kept, Tagged, TaggedResources};
use crate::local::context::store::PersistedState;
use crate::local::protocol::wire::ApiError;

/// How many tags a resource can have ("Tagging your AWS resources").
const MAX_TAGS: usize = 50;

/// The name of its file.
const FILE: &str = "cloudcontrol";

/// The service.
pub struct CloudControl {
    context: CloudContext,
    state: PersistedState<Records>,
    /// The services that have resources of their own: those are not kept here.
    served: Vec<Arc<dyn ControlledResources>>,
}

/// The input of every operation.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    type_name: Option<String>,
    identifier: Option<String>,
    desired_state: Option<String>,
    patch_document: Option<String>,
    resource_model: Option<String>,
    client_token: Option<String>,
    request_token: Option<String>,
    resource_request_status_filter: Filter,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// Which requests to list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Filter {
    operations: Vec<String>,
    operation_statuses: Vec<String>,
}

type Answer = Result<Value, ApiError>;

impl CloudControl {
    /// Opens the service with its persisted records, over the services that have resources of their own.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn open(context: &CloudContext, served: Vec<Arc<dyn ControlledResources>>) -> io::Result<Arc<Self>> {
        let state = PersistedState::open(context.store.clone(), FILE, unsaved)?;
        Ok(Arc::new(Self { context: context.clone(), state, served }))
    }

    /// The service that has the resources of a type; `None` for what is a record here.
    fn server_of(&self, type_name: &str) -> Option<&dyn ControlledResources> {
        self.served.iter().find(|service| service.types().contains(&type_name)).map(|service| &**service)
    }
}

impl TaggedResources for CloudControl {
    fn tagged(&self, region: &str) -> Result<Vec<Tagged>, ApiError> {
        let records = self.state.now();
        let described = records.there(region).filter_map(|(type_name, identifier, record)| {
            let schema = schema(type_name)?;
            let tags = model::tags(schema, &record.model);
            let arn = mint::arn(schema, region, &record.model, identifier);
            let type_name =
                format!("{}:{}", arn.split(':').nth(2)?, type_name.rsplit("::").next()?.to_ascii_lowercase());
            (!tags.is_empty()).then_some(Tagged { type_name, arn, tags })
        });
        Ok(described.collect())
    }

    fn retag(&self, arn: &str, set: &BTreeMap<String, String>, removed: &[String]) -> Result<bool, ApiError> {
        // The ARNs of buckets and the like have no region.
        let regions = self.state.now().regions();
        let found = regions.into_iter().find_map(|region| {
            let records = self.state.now();
            let mut there = records.there(&region);
            let (type_name, identifier, _) = there.find(|(type_name, identifier, record)| {
                schema(type_name).is_some_and(|schema| mint::arn(schema, &region, &record.model, identifier) == arn)
            })?;
            Some((region.clone(), type_name.to_owned(), identifier.to_owned()))
        });
        let Some((region, type_name, identifier)) = found else { return Ok(false) };
        let Some(schema) = schema(&type_name).filter(|schema| schema.tags.is_some()) else { return Ok(false) };
        self.state.change(|records| {
            let of_type = records.region(&region).resources.get_mut(&type_name);
            let Some(record) = of_type.and_then(|of_type| of_type.get_mut(&identifier)) else { return Ok(false) };
            let mut tags = model::tags(schema, &record.model);
            tags.extend(set.clone());
            tags.retain(|key, _| !removed.contains(key));
            if tags.len() > MAX_TAGS {
                return Err(ApiError::new(400, "TooManyTagsException", format!("more than {MAX_TAGS} tags")));
            }
            model::set_tags(schema, &mut record.model, &tags);
            Ok(true)
        })
    }
}

impl Kept for CloudControl {
    fn region_of(&self, type_name: &str, identifier: &str) -> Option<String> {
        let records = self.state.now();
        let type_name = format!("AWS::{type_name}");
        let has = |region: &String| {
            records.read(region).is_some_and(|region| region.record(&type_name, identifier).is_some())
        };
        records.regions().into_iter().find(has)
    }

    fn of_type(&self, region: &str, type_name: &str) -> Vec<(String, Value)> {
        let records = self.state.now();
        let of_type = records.there(region).filter(|(known, ..)| known.strip_prefix("AWS::") == Some(type_name));
        of_type.map(|(_, identifier, record)| (identifier.to_owned(), record.model.clone())).collect()
    }
}

fn unsaved(error: io::Error) -> ApiError {
    tracing::error!("Cloud Control's records could not be saved: {error}");
    ApiError::new(
        500,
        "ServiceInternalErrorException",
        "The local cloud could not save its state; see `wschat local logs`.",
    )
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationException", message)
}

#[cfg(test)]
mod tests;
