//! The table of DynamoDB's operations, and how they run.

use async_trait::async_trait;

use super::region::{Input, Region};
use super::required_permissions::{
    creating, of_parts, on_all, on_all_tables, on_resource, on_stream, on_table, on_tables, statement, statements,
};
use super::{DynamoDb, engine};
use crate::local::protocol::operation::OperationEffect::{Changes, Reads};
use crate::local::protocol::service::Permissions::Needs;
use crate::local::protocol::service::{self, Permissions, Service, ServiceCall};
use crate::local::protocol::wire::{ApiError, Protocol, Request, Response};

const OF_ITERATOR: Permissions<DynamoDb> =
    Permissions::None("the request does not name the stream; the permission was checked when its iterator was created");

type Row = service::Row<DynamoDb>;

/// All operations. PartiQL's statements can change items, so their operations count as changes.
#[rustfmt::skip]
const OPERATIONS: &[Row] = &[
    Row::named("BatchExecuteStatement", Changes, Needs(statements), Region::on_items),
    Row::named("BatchGetItem", Reads, Needs(on_tables), Region::on_items),
    Row::named("BatchWriteItem", Changes, Needs(on_tables), Region::on_items),
    Row::named("CreateTable", Changes, Needs(creating), |region, input| region.create_table(input.value)),
    Row::named("DeleteItem", Changes, Needs(on_table), Region::on_items),
    Row::named("DeleteTable", Changes, Needs(on_table), |region, input| region.delete_table(&input.value)),
    Row::named("DescribeContinuousBackups", Reads, Needs(on_table), |region, input| region.describe_continuous_backups(&input.value)),
    Row::named("DescribeStream", Reads, Needs(on_stream), |region, input| region.describe_stream(&input.value)),
    Row::named("DescribeTable", Reads, Needs(on_table), |region, input| region.describe_table(&input.value)),
    Row::named("DescribeTimeToLive", Reads, Needs(on_table), |region, input| region.describe_time_to_live(&input.value)),
    Row::named("ExecuteStatement", Changes, Needs(statement), Region::on_items),
    Row::named("ExecuteTransaction", Changes, Needs(statements), Region::on_items),
    Row::named("GetItem", Reads, Needs(on_table), Region::on_items),
    Row::named("GetRecords", Reads, OF_ITERATOR, |region, input| region.get_records(&input.value)),
    Row::named("GetShardIterator", Reads, Needs(on_stream), |region, input| region.get_shard_iterator(&input.value)),
    Row::named("ListStreams", Reads, Needs(on_all), Region::passed_on),
    Row::named("ListTables", Reads, Needs(on_all_tables), Region::passed_on),
    Row::named("ListTagsOfResource", Reads, Needs(on_resource), Region::passed_on),
    Row::named("PutItem", Changes, Needs(on_table), Region::on_items),
    Row::named("Query", Reads, Needs(on_table), Region::on_items),
    Row::named("Scan", Reads, Needs(on_table), Region::on_items),
    Row::named("SearchVectors", Reads, Needs(on_table), Region::on_items),
    Row::named("TagResource", Changes, Needs(on_resource), Region::passed_on),
    Row::named("TransactGetItems", Reads, Needs(of_parts), Region::on_items),
    Row::named("TransactWriteItems", Changes, Needs(of_parts), Region::on_items),
    Row::named("UntagResource", Changes, Needs(on_resource), Region::passed_on),
    Row::named("UpdateContinuousBackups", Changes, Needs(on_table), |region, input| region.update_continuous_backups(&input.value)),
    Row::named("UpdateItem", Changes, Needs(on_table), Region::on_items),
    Row::named("UpdateTable", Changes, Needs(on_table), |region, input| region.update_table(input.value)),
    Row::named("UpdateTimeToLive", Changes, Needs(on_table), |region, input| region.update_time_to_live(&input.value)),
];

#[async_trait]
impl Service for DynamoDb {
    /// It blocks on SQLite.
    type Run = fn(&Region, Input<'_>) -> Result<Response, ApiError>;

    const NAME: &'static str = "dynamodb";
    const PROTOCOL: Protocol = Protocol::AwsJson10;
    /// DynamoDB's own targets and those of its streams.
    const TARGETS: &'static [&'static str] = &["DynamoDB_20120810.", "DynamoDBStreams_20120810."];
    const OPERATIONS: &'static [Row] = OPERATIONS;

    fn unknown(_request: &Request) -> ApiError {
        engine::unknown_operation()
    }

    async fn run(&self, run: Self::Run, call: ServiceCall) -> Result<Response, ApiError> {
        let regions = self.regions.clone();
        let work = move || regions.region(call.region())?.call(call.operation.name, run, &call.request.body);
        tokio::task::spawn_blocking(work).await.map_err(|error| engine::internal(&error))?
    }
}
