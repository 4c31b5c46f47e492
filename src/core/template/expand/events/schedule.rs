//! `ScheduleV2`: a schedule of EventBridge Scheduler, which runs as a role of its own.

use serde_json::{Map, Value, json};

use super::super::expansion::{Expansion, made};
use super::super::shape::{Property, Shape};
use super::{Event, EventType, Role, Target, allow, rule, trust};
use crate::core::words::{Problem, ProblemKind};

/// Of functions and of state machines.
pub const SCHEDULE_V2: EventType = EventType {
    name: "ScheduleV2",
    properties: &[&[
        Property::translated("DeadLetterConfig", Shape::Map),
        Property::passed("Description", Shape::Text),
        Property::passed("EndDate", Shape::Text),
        Property::translated("FlexibleTimeWindow", Shape::Map),
        Property::passed("GroupName", Shape::Text),
        Property::translated("Input", Shape::Text),
        Property::passed("KmsKeyArn", Shape::Text),
        Property::translated("Name", Shape::Text),
        Property::translated("OmitName", Shape::PlainBool),
        Property::translated("PermissionsBoundary", Shape::Text),
        Property::translated("RetryPolicy", Shape::Map),
        Property::translated("RoleArn", Shape::Text),
        Property::passed("ScheduleExpression", Shape::Text),
        Property::passed("ScheduleExpressionTimezone", Shape::Text),
        Property::passed("StartDate", Shape::Text),
        Property::translated("State", Shape::Text),
    ]],
    required: &["ScheduleExpression"],
    expand,
};

fn expand(expansion: &mut Expansion<'_>, event: &Event, target: &Target, _: &mut Role) {
    let mut schedule = event.passed();
    let window = event.given("FlexibleTimeWindow").cloned().unwrap_or_else(|| json!({ "Mode": "OFF" }));
    schedule.insert("FlexibleTimeWindow".to_owned(), window);
    schedule.extend(event.given("State").map(|state| ("State".to_owned(), state.clone())));
    let omitted = event.given("OmitName").is_some();
    match event.given("Name") {
        Some(_) if omitted => {
            let what = "Name cannot be set when OmitName is true";
            expansion.report(Problem::of_key(event.place("Name"), what).kind(ProblemKind::Duplicate));
        }
        None if omitted => {}
        name => {
            let name = name.cloned().unwrap_or_else(|| event.id.clone().into());
            schedule.insert("Name".to_owned(), name);
        }
    }
    let queue = rule::dead_letters(expansion, event, false);
    let role = match event.given("RoleArn") {
        Some(role) => role.clone(),
        None => role(expansion, event, target, queue.as_ref()),
    };
    let mut entry = Map::from_iter([("Arn".to_owned(), target.arn.clone()), ("RoleArn".to_owned(), role)]);
    for name in ["Input", "RetryPolicy"] {
        entry.extend(event.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    entry.extend(queue.map(|queue| ("DeadLetterConfig".to_owned(), json!({ "Arn": queue }))));
    schedule.insert("Target".to_owned(), entry.into());
    event.make(expansion, &event.id, "AWS::Scheduler::Schedule", schedule.into());
    expansion.note(made(&event.id).key("Target"), &event.path.key("Properties"));
}

/// Creates the role that invokes the target, and sends what it could not to the `queue`. Returns its ARN.
fn role(expansion: &mut Expansion<'_>, event: &Event, target: &Target, queue: Option<&Value>) -> Value {
    let id = format!("{}Role", event.id);
    let (suffix, action) = match target.is_function {
        true => ("LambdaPolicy", "lambda:InvokeFunction"),
        false => ("StartExecutionPolicy", "states:StartExecution"),
    };
    let policy =
        |suffix: &str, document| json!({ "PolicyName": format!("{}{suffix}", event.id), "PolicyDocument": document });
    let mut policies = vec![policy(suffix, allow(action, &target.arn))];
    policies.extend(queue.map(|queue| policy("SQSPolicy", allow("sqs:SendMessage", queue))));
    let mut role = json!({ "AssumeRolePolicyDocument": trust("scheduler.amazonaws.com"), "Policies": policies });
    if let Some(boundary) = event.given("PermissionsBoundary") {
        role["PermissionsBoundary"] = boundary.clone();
    }
    event.make(expansion, &id, "AWS::IAM::Role", role);
    json!({ "Fn::GetAtt": [id, "Arn"] })
}
