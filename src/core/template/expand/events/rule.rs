//! Events by rules of EventBridge: of a bus, or of a schedule.

use serde_json::{Map, Value, json};

use super::super::expansion::{Expansion, made};
use super::super::shape::{Property, Shape};
use super::{Event, EventType, Role, Target, allow, queue_policy, trust};
use crate::core::words::{Problem, ProblemKind};

/// What the rule's target has of an event under the same name.
const OF_TARGET: &[&str] = &["Input", "InputPath", "InputTransformer", "RetryPolicy"];

const SCHEDULED: &[Property] = &[
    Property::translated("DeadLetterConfig", Shape::Map),
    Property::passed("Description", Shape::Text),
    Property::translated("Enabled", Shape::Bool),
    Property::translated("Input", Shape::Text),
    Property::passed("Name", Shape::Text),
    Property::translated("RetryPolicy", Shape::Map),
    Property::translated("Schedule", Shape::Text),
    Property::translated("State", Shape::Text),
];

const OF_BUS: &[Property] = &[
    Property::translated("DeadLetterConfig", Shape::Map),
    Property::passed("EventBusName", Shape::Text),
    Property::translated("Input", Shape::Text),
    Property::translated("InputPath", Shape::Text),
    Property::translated("InputTransformer", Shape::Map),
    Property::translated("Pattern", Shape::Map),
    Property::translated("RetryPolicy", Shape::Map),
    Property::translated("RuleName", Shape::Text),
    Property::translated("State", Shape::Text),
];

/// What functions alone can say of it.
const OF_BUS_TO_FUNCTION: &[Property] =
    &[Property::translated("Enabled", Shape::Bool), Property::translated("Target", Shape::Map)];

const TARGET: &[Property] = &[Property::translated("Target", Shape::Map)];

pub const SCHEDULE: EventType = EventType {
    name: "Schedule",
    // SAM accepts a RuleName and ignores it: the name is its Name.
    properties: &[SCHEDULED, &[Property::translated("RuleName", Shape::Text)]],
    required: &["Schedule"],
    expand: to_function,
};

pub const CLOUD_WATCH_EVENT: EventType = EventType {
    name: "CloudWatchEvent",
    properties: &[OF_BUS, OF_BUS_TO_FUNCTION],
    required: &[],
    expand: to_function,
};

pub const EVENT_BRIDGE_RULE: EventType = EventType { name: "EventBridgeRule", ..CLOUD_WATCH_EVENT };

pub const SCHEDULE_OF_STATE_MACHINE: EventType = EventType {
    name: "Schedule",
    properties: &[SCHEDULED, TARGET, &[Property::translated("RoleArn", Shape::Text)]],
    required: &["Schedule"],
    expand: to_state_machine,
};

pub const CLOUD_WATCH_EVENT_OF_STATE_MACHINE: EventType =
    EventType { name: "CloudWatchEvent", properties: &[OF_BUS, TARGET], required: &[], expand: to_state_machine };

pub const EVENT_BRIDGE_RULE_OF_STATE_MACHINE: EventType =
    EventType { name: "EventBridgeRule", ..CLOUD_WATCH_EVENT_OF_STATE_MACHINE };

fn to_function(expansion: &mut Expansion<'_>, event: &Event, target: &Target, _: &mut Role) {
    make(expansion, event, target, "LambdaTarget", None);
    let rule = json!({ "Fn::GetAtt": [event.id, "Arn"] });
    event.permit(expansion, &event.id, target, "events.amazonaws.com", &[("SourceArn", &rule)]);
}

fn to_state_machine(expansion: &mut Expansion<'_>, event: &Event, target: &Target, _: &mut Role) {
    let role = event.get("RoleArn").cloned().unwrap_or_else(|| {
        let id = format!("{}Role", event.id);
        let mut role = json!({
            "AssumeRolePolicyDocument": trust("events.amazonaws.com"),
            "Policies": [{
                "PolicyName": format!("{id}StartExecutionPolicy"),
                "PolicyDocument": allow("states:StartExecution", &target.arn),
            }],
        });
        if let Some(boundary) = &target.permissions_boundary {
            role["PermissionsBoundary"] = boundary.clone();
        }
        event.make(expansion, &id, "AWS::IAM::Role", role);
        json!({ "Fn::GetAtt": [id, "Arn"] })
    });
    make(expansion, event, target, "StepFunctionsTarget", Some(role));
}

/// Creates the rule. `suffix` ends its target's id.
fn make(expansion: &mut Expansion<'_>, event: &Event, target: &Target, suffix: &str, role: Option<Value>) {
    let mut rule = event.passed();
    for (written, name) in [("Schedule", "ScheduleExpression"), ("Pattern", "EventPattern"), ("RuleName", "Name")] {
        let ignored = written == "RuleName" && event.kind.name == SCHEDULE.name;
        if let Some(value) = event.get(written).filter(|_| !ignored) {
            rule.insert(name.to_owned(), value.clone());
            expansion.note(made(&event.id).key(name), &event.place(written));
        }
    }
    if let Some(state) = state(expansion, event) {
        rule.insert("State".to_owned(), state);
    }
    let given = event.get("Target").and_then(|target| target.get("Id"));
    let id = given.cloned().unwrap_or_else(|| target_id(&event.id, suffix).into());
    let mut entry = Map::from_iter([("Arn".to_owned(), target.arn.clone()), ("Id".to_owned(), id)]);
    entry.extend(role.map(|role| ("RoleArn".to_owned(), role)));
    for name in OF_TARGET {
        if let Some(value) = event.get(name) {
            entry.insert((*name).to_owned(), value.clone());
        }
    }
    if let Some(queue) = dead_letters(expansion, event, true) {
        entry.insert("DeadLetterConfig".to_owned(), json!({ "Arn": queue }));
    }
    rule.insert("Targets".to_owned(), json!([entry]));
    event.make(expansion, &event.id, "AWS::Events::Rule", rule.into());
    let targets = made(&event.id).key("Targets");
    expansion.note(targets.index(0), &event.path.key("Properties"));
    expansion.note(targets, &event.path);
}

/// EventBridge takes at most 64 characters for a target's id.
fn target_id(id: &str, suffix: &str) -> String {
    let kept: String = id.chars().take(64 - suffix.len()).collect();
    kept + suffix
}

fn state(expansion: &mut Expansion<'_>, event: &Event) -> Option<Value> {
    let (state, enabled) = (event.given("State"), event.get("Enabled"));
    if state.is_some() && enabled.is_some() {
        let what = "State and Enabled cannot both be specified";
        expansion.report(Problem::of_key(event.place("Enabled"), what).kind(ProblemKind::Duplicate));
        return None;
    }
    match enabled {
        Some(_) => Some(if event.given("Enabled").is_some() { "ENABLED".into() } else { "DISABLED".into() }),
        None => state.cloned(),
    }
}

/// The ARN of the queue that takes what could not be delivered: of the one given, or of a new one. With `permit`, the
/// new one's policy lets EventBridge send to it.
pub fn dead_letters(expansion: &mut Expansion<'_>, event: &Event, permit: bool) -> Option<Value> {
    const PROPERTY: &str = "DeadLetterConfig";
    let config = event.get(PROPERTY)?;
    let (arn, kind) = (config.get("Arn"), config.get("Type"));
    let what = match (arn, kind) {
        (Some(_), Some(_)) => "DeadLetterConfig has an Arn or a Type, not both: give either 'Arn' or 'Type'",
        (None, None) => "DeadLetterConfig needs an 'Arn' or a 'Type'",
        (None, Some(kind)) if kind != "SQS" => "the only valid value for the 'Type' of DeadLetterConfig is 'SQS'",
        _ if config.get("QueueLogicalId").is_some_and(|id| !id.is_string() && !id.is_null()) => {
            "QueueLogicalId must be a string"
        }
        (Some(arn), None) => return Some(arn.clone()),
        _ => "",
    };
    if !what.is_empty() {
        event.problem(expansion, PROPERTY, what);
        return None;
    }
    let id = config.get("QueueLogicalId").and_then(Value::as_str).filter(|id| !id.is_empty());
    let id = id.map_or_else(|| format!("{}Queue", event.id), str::to_owned);
    let arn = json!({ "Fn::GetAtt": [id, "Arn"] });
    event.make(expansion, &id, "AWS::SQS::Queue", json!({}));
    if permit {
        let (service, rule) =
            (json!({ "Service": "events.amazonaws.com" }), json!({ "Fn::GetAtt": [event.id, "Arn"] }));
        let policy = queue_policy(&json!({ "Ref": id }), &arn, service, rule);
        event.make(expansion, &format!("{}QueuePolicy", event.id), "AWS::SQS::QueuePolicy", policy);
    }
    Some(arn)
}
