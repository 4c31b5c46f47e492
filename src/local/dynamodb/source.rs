//! Streams as event sources of Lambda.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::region::Region;
use super::{DynamoDb, engine};
use crate::local::context::ports::{EventSource, Position, SourceEvent};
use crate::local::protocol::wire::ApiError;

impl DynamoDb {
    /// The region of a stream.
    fn region_of(&self, arn: &str) -> Result<Arc<Region>, ApiError> {
        self.regions.region(arn.split(':').nth(3).unwrap_or_default())
    }

    async fn blocking<R: Send + 'static>(
        &self,
        arn: &str,
        work: impl FnOnce(&Region, &str) -> Result<R, ApiError> + Send + 'static,
    ) -> Result<R, ApiError> {
        let (region, arn) = (self.region_of(arn)?, arn.to_owned());
        let work = tokio::task::spawn_blocking(move || work(&region, &arn));
        work.await.map_err(|error| engine::internal(&error))?
    }
}

#[async_trait]
impl EventSource for DynamoDb {
    fn service(&self) -> &'static str {
        "dynamodb"
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn actions(&self) -> &'static [&'static str] {
        &["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"]
    }

    fn check(&self, arn: &str, _function_timeout: u32) -> Result<(), String> {
        let found = self.region_of(arn).and_then(|region| region.shards(arn));
        found.map(drop).map_err(|_| format!("Stream not found: {arn}"))
    }

    async fn shards(&self, arn: &str) -> Result<Vec<String>, ApiError> {
        self.blocking(arn, Region::shards).await
    }

    async fn receive(
        &self,
        arn: &str,
        _shard: &str,
        after: &Position,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<SourceEvent>, ApiError> {
        let deadline = Instant::now() + wait;
        let mut writes = self.region_of(arn)?.writes();
        // What comes from now on, also while it is waited for.
        let after = match after {
            Position::Newest => Position::Since(crate::local::context::clock::now_millis()),
            other => other.clone(),
        };
        loop {
            // Before the look, so that no write comes between.
            writes.borrow_and_update();
            let position = after.clone();
            let records = self.blocking(arn, move |region, arn| region.records_after(arn, &position, most)).await?;
            if !records.is_empty() || timeout_at(deadline, writes.changed()).await.is_err() {
                return Ok(records.into_iter().map(event).collect());
            }
        }
    }
}

fn event(record: Value) -> SourceEvent {
    let seconds = record["dynamodb"]["ApproximateCreationDateTime"].as_i64().unwrap_or_default();
    SourceEvent {
        id: record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default().to_owned(),
        handle: String::new(),
        at: seconds * 1000,
        event: record,
    }
}
