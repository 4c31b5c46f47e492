//! The permissions that EventBridge Scheduler's operations need (Service Authorization Reference, "Amazon EventBridge Scheduler").

use serde_json::Value;

use super::PRINCIPAL;
use super::model::{DEFAULT_GROUP, ScheduleId, group_arn};
use crate::core::iam::need::{Need, pass_role};
use crate::local::protocol::service::ServiceCall;

fn action(call: &ServiceCall) -> String {
    format!("scheduler:{}", call.operation.name)
}

/// The operation on nothing in particular.
pub fn on_all(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(action(call), "*")]
}

/// The operation on its schedule.
pub fn on_schedule(call: &ServiceCall) -> Vec<Need> {
    let body: Value = call.request.json().unwrap_or_default();
    let group = body["GroupName"].as_str().or(call.request.query("groupName")).unwrap_or(DEFAULT_GROUP);
    let id = ScheduleId { region: call.region().to_owned(), group: group.to_owned(), name: call.id(0).to_owned() };
    vec![Need::new(action(call), id.arn())]
}

/// The operation on its schedule, and the role that is passed with it.
pub fn passing_role(call: &ServiceCall) -> Vec<Need> {
    let body: Value = call.request.json().unwrap_or_default();
    let role = body["Target"]["RoleArn"].as_str().unwrap_or_default();
    let mut needs = on_schedule(call);
    needs.push(pass_role(role, PRINCIPAL));
    needs
}

/// The operation on its group.
pub fn on_group(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(action(call), group_arn(call.region(), call.id(0)))]
}

/// The operation on the resource with an ARN.
pub fn on_tags(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(action(call), call.id(0))]
}
