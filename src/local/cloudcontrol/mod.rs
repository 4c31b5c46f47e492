//! AWS Cloud Control API: keeps every resource of a type that the local cloud does not run as a record: created, read, changed,
//! listed and deleted as AWS does it, with the attributes that AWS would mint. Nothing of them runs.
//!
//! A request is answered at once and takes effect a moment later, as on AWS; its token tells how it went.

mod mint;
mod model;
mod operations;
mod records;
#[cfg(test)]
pub mod testing;
mod values;

use std::io;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use self::records::{Records, Request};
use crate::core::schemas::schema;
use crate::local::context::CloudContext;
use crate::local::context::ports::{Tagged, TaggedResources};
use crate::local::context::store::PersistedState;
use crate::local::protocol::wire::ApiError;

/// The name of its file.
const FILE: &str = "cloudcontrol";

/// The service.
#[derive(Debug)]
pub struct CloudControl {
    context: CloudContext,
    state: PersistedState<Records>,
}

/// The input of every operation.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    type_name: Option<String>,
    identifier: Option<String>,
    desired_state: Option<String>,
    patch_document: Option<String>,
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
    /// Opens the service with its persisted records.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn open(context: &CloudContext) -> io::Result<Arc<Self>> {
        let state = PersistedState::open(context.store.clone(), FILE, unsaved)?;
        Ok(Arc::new(Self { context: context.clone(), state }))
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
