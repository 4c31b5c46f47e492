//! DynamoDB, based on the `dynoxide` engine: an embeddable DynamoDB on SQLite that a public conformance suite compares with
//! AWS.
//!
//! `engine` calls it. `region` and `tables` add what the engine lacks: transient states of tables, the caller's region in
//! ARNs, ARNs instead of names, encryption changed by `UpdateTable`, point-in-time recovery, timed deletion of expired items.
//! `streams` removes records that AWS does not write, `retention` old ones; `source` gives them to event source mappings. `shapes` gives AWS's errors for values of a wrong JSON type.

mod engine;
mod expressions;
mod operations;
#[cfg(test)]
mod refusals;
mod region;
mod required_permissions;
mod retention;
mod shapes;
mod source;
mod streams;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::context::CloudContext;
use super::context::ports::{Tagged, TaggedResources};
use crate::local::lock::lock;
use crate::local::protocol::wire::ApiError;
use region::Region;

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

impl DynamoDb {
    /// The regions that have been used, in alphabetical order.
    pub fn regions(&self) -> Vec<String> {
        let mut regions: Vec<String> = lock(&self.regions.open).keys().cloned().collect();
        regions.sort();
        regions
    }
}

impl TaggedResources for DynamoDb {
    fn tagged(&self, region: &str) -> Result<Vec<Tagged>, ApiError> {
        self.regions.region(region)?.tagged()
    }

    fn retag(&self, arn: &str, set: &BTreeMap<String, String>, removed: &[String]) -> Result<bool, ApiError> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let [_, _, "dynamodb", region, _, _] = parts[..] else { return Ok(false) };
        self.regions.region(region)?.retag(arn, set, removed)?;
        Ok(true)
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
