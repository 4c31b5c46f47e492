//! DynamoDB, based on the `dynoxide` engine: an embeddable DynamoDB on SQLite that a public conformance suite compares with
//! AWS.
//!
//! `engine` calls it. `region` and `tables` add what the engine lacks: transient states of tables, the caller's region in
//! ARNs, ARNs instead of names, encryption changed by `UpdateTable`, point-in-time recovery, timed deletion of expired items.
//! `streams` removes records that AWS does not write, and `shapes` gives AWS's errors for values of a wrong JSON type.

mod engine;
mod expressions;
#[cfg(test)]
mod refusals;
mod region;
mod required_permissions;
mod shapes;
mod streams;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::conditions::lock;
use super::context::CloudContext;
use super::wire::{ApiError, Protocol, Request, Response, Service};
use crate::core::iam::need::Need;
use region::Region;

/// DynamoDB's own targets and those of its streams.
const TARGETS: [&str; 2] = ["DynamoDB_20120810.", "DynamoDBStreams_20120810."];

/// Operations that the engine lacks.
const BEYOND_ENGINE: [&str; 2] = ["DescribeContinuousBackups", "UpdateContinuousBackups"];

/// How often expired items are deleted; AWS does so within a few days.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// The account's tables, in all regions.
pub struct DynamoDb {
    regions: Arc<Regions>,
}

struct Regions {
    context: CloudContext,
    open: Mutex<HashMap<String, Arc<Region>>>,
}

impl DynamoDb {
    /// Opens DynamoDB with the existing files, and spawns the task that deletes expired items. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn open(context: &CloudContext) -> io::Result<Arc<Self>> {
        let mut open = HashMap::new();
        for name in region::saved(&context.store)? {
            open.insert(name.clone(), Arc::new(Region::open(context, &name)?));
        }
        let regions = Arc::new(Regions { context: context.clone(), open: Mutex::new(open) });
        let swept = Arc::downgrade(&regions);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
            loop {
                ticks.tick().await;
                let Some(regions) = swept.upgrade() else { return };
                let _ = tokio::task::spawn_blocking(move || regions.sweep()).await;
            }
        });
        Ok(Arc::new(Self { regions }))
    }
}

impl Regions {
    fn region(&self, name: &str) -> Result<Arc<Region>, ApiError> {
        // The region becomes part of a file name.
        if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-') {
            let message = "The security token included in the request is invalid.";
            return Err(ApiError::new(400, "com.amazon.coral.service#UnrecognizedClientException", message));
        }
        let mut open = lock(&self.open);
        if let Some(region) = open.get(name) {
            return Ok(region.clone());
        }
        let region = Arc::new(Region::open(&self.context, name).map_err(|error| engine::internal(&error))?);
        open.insert(name.to_owned(), region.clone());
        Ok(region)
    }

    fn sweep(&self) {
        let regions: Vec<Arc<Region>> = lock(&self.open).values().cloned().collect();
        for region in regions {
            region.sweep();
        }
    }
}

#[async_trait]
impl Service for DynamoDb {
    fn name(&self) -> &'static str {
        "dynamodb"
    }

    fn protocol(&self) -> Protocol {
        Protocol::AwsJson10
    }

    fn operation(&self, request: &Request) -> Result<&'static str, ApiError> {
        let target = request.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let name = TARGETS.iter().find_map(|prefix| target.strip_prefix(prefix)).unwrap_or_default();
        let mut known = engine::OPERATIONS.iter().chain(&BEYOND_ENGINE).copied();
        known.find(|known| *known == name).ok_or_else(engine::unknown_operation)
    }

    fn needs(&self, operation: &str, request: &Request) -> Vec<Need> {
        required_permissions::of(operation, request)
    }

    async fn call(&self, operation: &str, request: Request) -> Result<Response, ApiError> {
        let regions = self.regions.clone();
        let operation = operation.to_owned();
        let work = move || regions.region(&request.caller.region)?.call(&operation, &request.body);
        tokio::task::spawn_blocking(work).await.map_err(|error| engine::internal(&error))?
    }
}
