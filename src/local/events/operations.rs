//! The table of EventBridge's operations, and how they run.

use async_trait::async_trait;
use serde_json::Value;

use super::required_permissions::{of_entries, on_all, on_bus, on_resource, on_rule};
use super::{Answer, Events, buses, put_events, rules};
use crate::local::protocol::operation::OperationEffect::{Changes, Reads};
use crate::local::protocol::service::Permissions::Needs;
use crate::local::protocol::service::{self, Service, ServiceCall};
use crate::local::protocol::wire::{ApiError, Protocol, Request, Response};

type Row = service::Row<Events>;

const OPERATIONS: &[Row] = &[
    Row::named("CreateEventBus", Changes, Needs(on_bus), buses::create_event_bus),
    Row::named("DeleteEventBus", Changes, Needs(on_bus), buses::delete_event_bus),
    Row::named("DeleteRule", Changes, Needs(on_rule), rules::delete_rule),
    Row::named("DescribeEventBus", Reads, Needs(on_bus), buses::describe_event_bus),
    Row::named("DescribeRule", Reads, Needs(on_rule), rules::describe_rule),
    Row::named("DisableRule", Changes, Needs(on_rule), rules::disable_rule),
    Row::named("EnableRule", Changes, Needs(on_rule), rules::enable_rule),
    Row::named("ListEventBuses", Reads, Needs(on_all), buses::list_event_buses),
    Row::named("ListRuleNamesByTarget", Reads, Needs(on_all), rules::list_rule_names_by_target),
    Row::named("ListRules", Reads, Needs(on_all), rules::list_rules),
    Row::named("ListTagsForResource", Reads, Needs(on_resource), buses::list_tags_for_resource),
    Row::named("ListTargetsByRule", Reads, Needs(on_rule), rules::list_targets_by_rule),
    Row::named("PutEvents", Changes, Needs(of_entries), put_events::put_events),
    Row::named("PutRule", Changes, Needs(on_rule), rules::put_rule),
    Row::named("PutTargets", Changes, Needs(on_rule), rules::put_targets),
    Row::named("RemoveTargets", Changes, Needs(on_rule), rules::remove_targets),
    Row::named("TagResource", Changes, Needs(on_resource), buses::tag_resource),
    Row::named("TestEventPattern", Reads, Needs(on_all), rules::test_event_pattern),
    Row::named("UntagResource", Changes, Needs(on_resource), buses::untag_resource),
    Row::named("UpdateEventBus", Changes, Needs(on_bus), buses::update_event_bus),
];

#[async_trait]
impl Service for Events {
    /// It gets the region and the input.
    type Run = fn(&Events, &str, &Value) -> Answer;

    const NAME: &'static str = "events";
    const PROTOCOL: Protocol = Protocol::AwsJson11;
    const TARGETS: &'static [&'static str] = &["AWSEvents."];
    const OPERATIONS: &'static [Row] = OPERATIONS;

    fn unknown(_request: &Request) -> ApiError {
        ApiError::new(400, "UnknownOperationException", "")
    }

    async fn run(&self, run: Self::Run, call: ServiceCall) -> Result<Response, ApiError> {
        let input: Value = call.request.json()?;
        Ok(Response::json(200, &run(self, call.region(), &input)?))
    }
}
