//! The table of EventBridge Scheduler's operations, and how they run.

use async_trait::async_trait;

use super::required_permissions::{on_all, on_group, on_schedule, on_tags, passing_role};
use super::{Answer, Scheduler, groups, schedules};
use crate::local::protocol::operation::OperationEffect::{Changes, Reads};
use crate::local::protocol::service::Permissions::Needs;
use crate::local::protocol::service::{self, Service, ServiceCall};
use crate::local::protocol::wire::{ApiError, Protocol, Request, Response};

type Row = service::Row<Scheduler>;

#[rustfmt::skip]
const OPERATIONS: &[Row] = &[
    Row::new("CreateSchedule", "POST", "/schedules/{Name}", Changes, Needs(passing_role), schedules::create_schedule),
    Row::new("GetSchedule", "GET", "/schedules/{Name}", Reads, Needs(on_schedule), schedules::get_schedule),
    Row::new("UpdateSchedule", "PUT", "/schedules/{Name}", Changes, Needs(passing_role), schedules::update_schedule),
    Row::new("DeleteSchedule", "DELETE", "/schedules/{Name}", Changes, Needs(on_schedule), schedules::delete_schedule),
    Row::new("ListSchedules", "GET", "/schedules", Reads, Needs(on_all), schedules::list_schedules),
    Row::new("CreateScheduleGroup", "POST", "/schedule-groups/{Name}", Changes, Needs(on_group), groups::create_schedule_group),
    Row::new("GetScheduleGroup", "GET", "/schedule-groups/{Name}", Reads, Needs(on_group), groups::get_schedule_group),
    Row::new("DeleteScheduleGroup", "DELETE", "/schedule-groups/{Name}", Changes, Needs(on_group), groups::delete_schedule_group),
    Row::new("ListScheduleGroups", "GET", "/schedule-groups", Reads, Needs(on_all), groups::list_schedule_groups),
    Row::new("ListTagsForResource", "GET", "/tags/{ResourceArn}", Reads, Needs(on_tags), groups::list_tags_for_resource),
    Row::new("TagResource", "POST", "/tags/{ResourceArn}", Changes, Needs(on_tags), groups::tag_resource),
    Row::new("UntagResource", "DELETE", "/tags/{ResourceArn}", Changes, Needs(on_tags), groups::untag_resource),
];

#[async_trait]
impl Service for Scheduler {
    type Run = fn(&Scheduler, &ServiceCall) -> Answer;

    const NAME: &'static str = "scheduler";
    const PROTOCOL: Protocol = Protocol::RestJson { capital_message: true };
    const OPERATIONS: &'static [Row] = OPERATIONS;

    fn unknown(request: &Request) -> ApiError {
        let message = format!("The local cloud's Scheduler has no operation {} {}", request.method, request.path);
        ApiError::new(404, "UnknownOperationException", message)
    }

    async fn run(&self, run: Self::Run, call: ServiceCall) -> Result<Response, ApiError> {
        Ok(Response::json(200, &run(self, &call)?))
    }
}
