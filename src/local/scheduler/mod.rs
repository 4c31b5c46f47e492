//! EventBridge Scheduler: schedules with one target each, which it invokes as the schedule's role.
//!
//! `operations` is the table; `schedules` and `groups` have the functions. `model` is what is kept, `resources` what Cloud Control
//! sees. A flexible time window is used at its first moment.

mod groups;
mod model;
mod operations;
mod required_permissions;
mod resources;
mod schedules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use self::model::{ScheduleId, State};
use super::context::{ACCOUNT, CloudContext};
use super::events::targets::{Sender, Targets};
use super::events::{Events, tags};
use crate::core::iam::need::Need;
use crate::local::context::alarms::{self, Alarm, Scheduled};
use crate::local::context::clock::{iso8601, now_millis};
use crate::local::context::ports::{Roles, Tagged, TaggedResources};
use crate::local::context::store::PersistedState;
use crate::local::protocol::paging;
use crate::local::protocol::wire::ApiError;

/// The name of its file.
const FILE: &str = "scheduler";

/// The service's principal in trust policies.
const PRINCIPAL: &str = "scheduler.amazonaws.com";

type Answer = Result<Value, ApiError>;

/// The service.
pub struct Scheduler {
    state: PersistedState<State>,
    roles: Arc<dyn Roles>,
    targets: Arc<Targets>,
    events: Arc<Events>,
    /// Schedules have changed.
    changed: Arc<Notify>,
    /// How long a minute of a rate lasts, in milliseconds.
    minute: i64,
}

impl Scheduler {
    /// Opens the service with its persisted schedules, and begins to ring them. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn open(
        context: &CloudContext,
        roles: Arc<dyn Roles>,
        targets: Arc<Targets>,
        events: Arc<Events>,
    ) -> io::Result<Arc<Self>> {
        let state = PersistedState::open(context.store.clone(), FILE, unsaved)?;
        let minute = context.conditions.rate_minute;
        let scheduler =
            Arc::new(Self { state, roles, targets, events, changed: Arc::default(), minute: alarms::millis(minute) });
        // Their last time may have passed while nothing ran.
        scheduler.remove_completed(now_millis());
        alarms::keep(&scheduler, Arc::clone(&scheduler.changed), minute);
        Ok(scheduler)
    }

    /// Deletes the schedules that are not due any more after `now`, of those that go with their last time.
    fn remove_completed(&self, now: i64) {
        let state = self.state.now();
        for (id, _) in state.schedules().filter(|(id, schedule)| schedule.is_completed(id, now, self.minute)) {
            self.remove(&id);
        }
    }

    fn remove(&self, id: &ScheduleId) {
        if let Err(error) = self.state.change(|state| Ok(state.remove(id))) {
            tracing::warn!("{} is not deleted after its completion: {}", id.arn(), error.message);
        }
    }

    /// Invokes the target of a schedule, which was due at `time` (milliseconds since the epoch).
    fn invoke(&self, id: &ScheduleId, target: &Value, time: i64) {
        let execution = format!("{:016x}", rand::random::<u64>());
        let sender = Sender {
            service: None,
            arn: id.arn(),
            // EventBridge Scheduler user guide, "Configuring a schedule's dead-letter queue".
            told: vec![
                ("SCHEDULE_ARN", id.arn()),
                ("EXECUTION_ID", execution.clone()),
                ("SCHEDULED_TIME", iso8601(time)),
                ("IS_PAYLOAD_TRUNCATED", "false".to_owned()),
            ],
        };
        let payload = match target["Input"].as_str() {
            Some(input) => filled_in(input, id, time, &execution),
            None => self.notification(id, time).to_string(),
        };
        if let Err(error) = self.check_role(id, target) {
            let (targets, target) = (Arc::clone(&self.targets), target.clone());
            tokio::spawn(async move { targets.give_up(&target, payload, &sender, &error).await });
            return;
        }
        let arn = target["Arn"].as_str().unwrap_or_default();
        if let Some((_, bus)) = arn.split_once(":event-bus/") {
            let event = self.event(id, target, &payload, time);
            self.events.publish(&id.region, bus, &event, 0);
            return;
        }
        self.targets.deliver(target.clone(), payload, sender);
    }

    /// What a target gets that has no input. Its detail is a text, unlike that of a rule's event.
    fn notification(&self, id: &ScheduleId, time: i64) -> Value {
        json!({
            "version": "0",
            "id": Uuid::new_v4().to_string(),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": ACCOUNT,
            "time": iso8601(time),
            "region": id.region,
            "resources": [id.arn()],
            "detail": "{}",
        })
    }

    /// The event for a bus: `PutEvents` with the input as detail.
    fn event(&self, id: &ScheduleId, target: &Value, input: &str, time: i64) -> Value {
        let mut event = self.notification(id, time);
        let parameters = &target["EventBridgeParameters"];
        event["source"] = parameters["Source"].clone();
        event["detail-type"] = parameters["DetailType"].clone();
        event["detail"] = match target["Input"].as_str() {
            Some(_) => serde_json::from_str(input).unwrap_or_else(|_| json!({})),
            None => json!({}),
        };
        event
    }

    /// Checks that the role of a target can be assumed and, where permissions are checked, may call it.
    fn check_role(&self, id: &ScheduleId, target: &Value) -> Result<(), ApiError> {
        let role = target["RoleArn"].as_str().unwrap_or_default();
        if !self.roles.assumable(role, PRINCIPAL) {
            return Err(schedules::not_assumable());
        }
        let arn = target["Arn"].as_str().unwrap_or_default();
        let action = match arn.split(':').nth(2) {
            Some("lambda") => "lambda:InvokeFunction",
            Some("sqs") => "sqs:SendMessage",
            Some("sns") => "sns:Publish",
            Some("events") => "events:PutEvents",
            _ => return Ok(()),
        };
        let needs = [Need::new(action, arn)];
        match self.roles.refused(role, &id.region, &needs) {
            None => Ok(()),
            Some(need) => {
                let message = format!("{role} is not authorized to perform: {} on resource: {arn}", need.action);
                Err(ApiError::new(403, "AccessDeniedException", message))
            }
        }
    }
}

/// An input with the attributes of the invocation in it. (EventBridge Scheduler user guide, "Adding context attributes".)
fn filled_in(input: &str, id: &ScheduleId, time: i64, execution: &str) -> String {
    input
        .replace("<aws.scheduler.schedule-arn>", &id.arn())
        .replace("<aws.scheduler.scheduled-time>", &iso8601(time))
        .replace("<aws.scheduler.execution-id>", execution)
        .replace("<aws.scheduler.attempt-number>", "1")
}

impl Scheduled for Scheduler {
    fn alarms(&self) -> Vec<Alarm> {
        self.state.now().schedules().filter_map(|(id, schedule)| schedule.alarm(&id)).collect()
    }

    fn ring(self: Arc<Self>, id: &str, time: i64) {
        let Some(id) = ScheduleId::of_arn(id) else { return };
        let Some(schedule) = self.state.now().schedule(&id).cloned() else { return };
        self.invoke(&id, &schedule.settings["Target"], time);
    }

    fn has_rung(&self, now: i64) {
        self.remove_completed(now);
    }
}

impl TaggedResources for Scheduler {
    fn tagged(&self, region: &str) -> Result<Vec<Tagged>, ApiError> {
        let state = self.state.now();
        let groups = state.groups(region).into_iter().map(|(name, group)| Tagged {
            type_name: "scheduler:schedule-group".to_owned(),
            arn: model::group_arn(region, &name),
            tags: group.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect(),
        });
        Ok(groups.collect())
    }

    fn retag(&self, arn: &str, set: &BTreeMap<String, String>, removed: &[String]) -> Result<bool, ApiError> {
        let region = arn.split(':').nth(3).unwrap_or_default();
        let Some(name) = arn.strip_prefix(&model::group_arn(region, "")) else { return Ok(false) };
        groups::change_tags(self, region, name, |tags| {
            tags::retag(tags, tags::listed(set), removed);
        })?;
        Ok(true)
    }
}

fn unsaved(error: io::Error) -> ApiError {
    tracing::error!("EventBridge Scheduler's schedules could not be saved: {error}");
    ApiError::new(500, "InternalServerException", "The local cloud could not save its state; see `wschat local logs`.")
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationException", message)
}

/// A page of a list under `member`, as `MaxResults` and `NextToken` ask for it.
fn page(all: Vec<Value>, most: Option<&str>, token: Option<&str>, member: &str) -> Answer {
    let wrong = |member: &str| invalid(format!("Invalid {member}."));
    let size: usize = most.map_or(Ok(100), |most| most.parse().map_err(|_| wrong("MaxResults")))?;
    if !(1..=100).contains(&size) {
        return Err(wrong("MaxResults"));
    }
    paging::json_page(all, token, size, member).ok_or_else(|| wrong("NextToken"))
}
