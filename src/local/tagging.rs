//! The Resource Groups Tagging API, as far as it finds resources by their tags: those that Cloud Control keeps.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::iam::need::Need;
use crate::local::context::ports::TaggedResources;
use crate::local::protocol::operation::OperationEffect::Reads;
use crate::local::protocol::service::Permissions::Needs;
use crate::local::protocol::service::{Row, Service, ServiceCall};
use crate::local::protocol::wire::{ApiError, Protocol, Request, Response};

/// The service.
pub struct Tagging {
    resources: Arc<dyn TaggedResources>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    pagination_token: Option<String>,
    resources_per_page: Option<usize>,
    tag_filters: Vec<TagFilter>,
}

/// A key that a resource must have, with one of these values, if there are any.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagFilter {
    key: String,
    #[serde(default)]
    values: Vec<String>,
}

impl Tagging {
    /// A service that finds these resources.
    pub fn new(resources: Arc<dyn TaggedResources>) -> Self {
        Self { resources }
    }

    fn get_resources(&self, region: &str, input: &Input) -> Result<Value, ApiError> {
        let mut found = self.resources.tagged(region);
        found.retain(|resource| {
            input.tag_filters.iter().all(|filter| {
                let value = resource.tags.get(&filter.key);
                value.is_some_and(|value| filter.values.is_empty() || filter.values.contains(value))
            })
        });
        let from = match input.pagination_token.as_deref() {
            None | Some("") => 0,
            Some(token) => token.parse().map_err(|_| {
                ApiError::new(
                    400,
                    "PaginationTokenExpiredException",
                    "PaginationToken is not one that this service gave",
                )
            })?,
        };
        let size = input.resources_per_page.unwrap_or(50).clamp(1, 100);
        let mappings = found.iter().skip(from).take(size).map(|resource| {
            let tags = resource.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
            json!({ "ResourceARN": resource.arn, "Tags": tags.collect::<Vec<_>>() })
        });
        let next = if from + size < found.len() { (from + size).to_string() } else { String::new() };
        Ok(json!({ "PaginationToken": next, "ResourceTagMappingList": mappings.collect::<Vec<_>>() }))
    }
}

#[async_trait]
impl Service for Tagging {
    type Run = fn(&Self, &str, &Input) -> Result<Value, ApiError>;

    const NAME: &'static str = "tagging";
    const PROTOCOL: Protocol = Protocol::AwsJson11;
    const TARGETS: &'static [&'static str] = &["ResourceGroupsTaggingAPI_20170126."];
    const OPERATIONS: &'static [Row<Self>] =
        &[Row::<Self>::named("GetResources", Reads, Needs(on_anything), Self::get_resources)];

    fn unknown(_request: &Request) -> ApiError {
        ApiError::new(400, "UnknownOperationException", "")
    }

    async fn run(&self, run: Self::Run, call: ServiceCall) -> Result<Response, ApiError> {
        Ok(Response::json(200, &run(self, call.region(), &call.request.json()?)?))
    }
}

/// The action has no resource. (Service Authorization Reference, "Amazon Resource Group Tagging API".)
fn on_anything(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(format!("tag:{}", call.operation.name), "*".to_owned())]
}
