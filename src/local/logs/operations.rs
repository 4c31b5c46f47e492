//! The table of the operations of CloudWatch Logs, and how they run.

use std::io;

use async_trait::async_trait;
use tokio::time::Instant;

use super::required_permissions::{creating, on_group};
use super::{Answer, GATHER, Input, LogStore, Logs, MAX_WAIT, WAIT, events, groups, unavailable};
use crate::local::protocol::operation::Effect::{Changes, Reads};
use crate::local::protocol::service::Permissions::Needs;
use crate::local::protocol::service::{self, Call, Service};
use crate::local::protocol::wire::{ApiError, Protocol, Request, Response};

type Row = service::Row<Logs>;

/// All operations.
#[rustfmt::skip]
const OPERATIONS: &[Row] = &[
    Row::named("CreateLogGroup", Changes, Needs(creating), groups::create_log_group),
    Row::named("CreateLogStream", Changes, Needs(on_group), events::create_log_stream),
    Row::named("DeleteLogGroup", Changes, Needs(on_group), groups::delete_log_group),
    Row::named("DeleteLogStream", Changes, Needs(on_group), events::delete_log_stream),
    Row::named("DeleteRetentionPolicy", Changes, Needs(on_group), groups::delete_retention_policy),
    Row::named("DescribeLogGroups", Reads, Needs(on_group), groups::describe_log_groups),
    Row::named("DescribeLogStreams", Reads, Needs(on_group), events::describe_log_streams),
    Row::named("FilterLogEvents", Reads, Needs(on_group), events::filter_log_events),
    Row::named("GetLogEvents", Reads, Needs(on_group), events::get_log_events),
    Row::named("ListTagsForResource", Reads, Needs(on_group), groups::list_tags_for_resource),
    Row::named("ListTagsLogGroup", Reads, Needs(on_group), groups::list_tags_log_group),
    Row::named("PutLogEvents", Changes, Needs(on_group), events::put_log_events),
    Row::named("PutLogGroupDeletionProtection", Changes, Needs(on_group), groups::put_log_group_deletion_protection),
    Row::named("PutRetentionPolicy", Changes, Needs(on_group), groups::put_retention_policy),
    Row::named("TagLogGroup", Changes, Needs(on_group), groups::tag_log_group),
    Row::named("TagResource", Changes, Needs(on_group), groups::tag_resource),
    Row::named("UntagLogGroup", Changes, Needs(on_group), groups::untag_log_group),
    Row::named("UntagResource", Changes, Needs(on_group), groups::untag_resource),
];

#[async_trait]
impl Service for Logs {
    /// It gets the region and the input.
    type Run = fn(&LogStore, &str, Input) -> Answer;

    const NAME: &'static str = "logs";
    const PROTOCOL: Protocol = Protocol::AwsJson11;
    const TARGETS: &'static [&'static str] = &["Logs_20140328."];
    const OPERATIONS: &'static [Row] = OPERATIONS;

    fn unknown(_request: &Request) -> ApiError {
        ApiError::new(400, "UnknownOperationException", "")
    }

    async fn run(&self, run: Self::Run, call: Call) -> Result<Response, ApiError> {
        let input: Input = call.request.json()?;
        let known = call.request.headers.get(WAIT).and_then(|known| known.to_str().ok()?.parse::<usize>().ok());
        let region = call.request.caller.region;
        let Some(known) = known.filter(|_| call.operation.name == "FilterLogEvents") else {
            return Ok(Response::json(200, &self.run_once(run, region, input).await?));
        };
        let deadline = Instant::now() + MAX_WAIT;
        let mut appended = self.store.appended.subscribe();
        let group = input.group()?;
        let mut count = None;
        loop {
            appended.borrow_and_update();
            // Most of what is appended is other groups'.
            let now = Some(self.store.count(&region, &group));
            let is_late = Instant::now() >= deadline;
            if now != count || is_late {
                count = now;
                let answer = self.run_once(run, region.clone(), input.clone()).await;
                let events = answer.as_ref().ok().and_then(|answer| answer["events"].as_array()).map_or(0, Vec::len);
                if events != known || is_late {
                    return Ok(Response::json(200, &answer?));
                }
            }
            // At the deadline the answer is what it is.
            let _ = tokio::time::timeout_at(deadline, appended.changed()).await;
            tokio::time::sleep(GATHER).await;
        }
    }
}

impl Logs {
    async fn run_once(&self, run: <Self as Service>::Run, region: String, input: Input) -> Answer {
        let store = self.store.clone();
        // Blocking, because events are read from files.
        let answer = tokio::task::spawn_blocking(move || run(&store, &region, input)).await;
        answer.map_err(|error| unavailable(io::Error::other(error)))?
    }
}
