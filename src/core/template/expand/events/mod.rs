//! `Events`: what invokes a function, or starts a state machine. Each becomes resources whose logical ids begin with the
//! function's and the event's.

pub mod pull;
pub mod push;
pub mod rule;
pub mod schedule;

use serde_json::{Map, Value, json};

use super::super::{Resource, intrinsics};
use super::check_properties;
use super::expansion::{Expansion, made};
use super::shape::{Property, truthy};
use crate::core::words::{Path, Problem, ProblemKind};

/// A type of events.
pub struct EventType {
    pub name: &'static str,
    /// Its properties, in several tables because some are shared. Those that are `passed` are the created resource's.
    pub properties: &'static [&'static [Property]],
    /// Those that must be given.
    pub required: &'static [&'static str],
    pub expand: fn(&mut Expansion<'_>, &Event, &Target, &mut Role),
}

/// The logical ids of the APIs of events that name none.
pub const REST_API: &str = "ServerlessRestApi";
pub const HTTP_API: &str = "ServerlessHttpApi";

/// What takes every path of an HTTP API that no other takes.
pub const ALL_PATHS: &str = "$default";

/// The types that SAM has and wschat does not support yet.
const NOT_YET: &[&str] = &["Api", "SelfManagedKafka"];

/// One event, checked.
pub struct Event {
    /// The logical id that what it becomes begins with.
    pub id: String,
    pub kind: &'static EventType,
    /// Without those that are unknown or of a wrong shape.
    pub properties: Map<String, Value>,
    pub path: Path,
}

impl Event {
    /// A property, if it is given.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.properties.get(name)
    }

    /// A property, unless SAM treats its value as not given.
    pub fn given(&self, name: &str) -> Option<&Value> {
        self.get(name).filter(|value| truthy(value))
    }

    /// The path of a property.
    pub fn place(&self, property: &str) -> Path {
        self.path.key("Properties").key(property)
    }

    /// Reports a problem with a property.
    pub fn problem(&self, expansion: &mut Expansion<'_>, property: &str, what: impl Into<String>) {
        expansion.report(Problem::new(self.place(property), what));
    }

    /// Reports a problem with the event as a whole.
    pub fn problem_of_all(&self, expansion: &mut Expansion<'_>, what: impl Into<String>) {
        expansion.report(Problem::of_key(self.path.clone(), what));
    }

    /// The properties that the created resource has under the same name.
    pub fn passed(&self) -> Map<String, Value> {
        let known = self.kind.properties.iter().copied().flatten();
        let passed = known.filter(|property| property.support == super::Support::Passed);
        passed.filter_map(|property| Some((property.name.to_owned(), self.get(property.name)?.clone()))).collect()
    }

    /// Adds a resource that this event becomes.
    pub fn make(&self, expansion: &mut Expansion<'_>, id: &str, type_name: &str, properties: Value) {
        let resource = expansion.extra_resource(None, id, type_name, properties);
        expansion.note(Path::default().key("Resources").key(id), &self.path);
        expansion.note(made(id), &self.path.key("Properties"));
        expansion.made.push((id.to_owned(), resource));
    }

    /// Adds a permission for the service `principal` to invoke `target`, with these `conditions` (`SourceArn` and the
    /// like); its logical id begins with `prefix`.
    pub fn permit(
        &self,
        expansion: &mut Expansion<'_>,
        prefix: &str,
        target: &Target,
        principal: &str,
        conditions: &[(&str, &Value)],
    ) -> String {
        let id = format!("{prefix}Permission");
        self.permit_as(expansion, &id, target, principal, conditions);
        id
    }

    /// As `permit`, with the whole logical id.
    pub fn permit_as(
        &self,
        expansion: &mut Expansion<'_>,
        id: &str,
        target: &Target,
        principal: &str,
        conditions: &[(&str, &Value)],
    ) {
        let mut permission =
            json!({ "Action": "lambda:InvokeFunction", "FunctionName": target.called, "Principal": principal });
        for (name, value) in conditions {
            permission[*name] = (*value).clone();
        }
        self.make(expansion, id, "AWS::Lambda::Permission", permission);
    }
}

/// What events invoke: a function, its alias if it has one, or a state machine.
pub struct Target {
    /// Its logical id.
    pub id: String,
    /// What calls it: the function's name, the alias's ARN.
    pub called: Value,
    pub arn: Value,
    /// Or it is a state machine.
    pub is_function: bool,
    /// Of a state machine: what limits the roles that are created for its events.
    pub permissions_boundary: Option<Value>,
}

/// The role that a function runs as, while it is being made.
#[derive(Default)]
pub struct Role(pub Resource);

impl Role {
    /// Attaches a managed policy because of `event`, unless it is attached already.
    pub fn attach(&mut self, expansion: &mut Expansion<'_>, event: &Event, name: &str) {
        let arn = Value::from(super::policies::managed(name, expansion.context.partition));
        let Some(Value::Array(attached)) = self.0.properties.get_mut("ManagedPolicyArns") else { return };
        if !attached.contains(&arn) {
            let place = made(&format!("{}Role", expansion.logical_id)).key("ManagedPolicyArns");
            expansion.note(place.index(attached.len()), &event.path);
            attached.push(arn);
        }
    }

    /// Adds an inline policy because of `event`, unless one says the same already.
    pub fn add(&mut self, expansion: &mut Expansion<'_>, event: &Event, name: &str, document: Value) {
        let policies = self.0.properties.entry("Policies").or_insert_with(|| json!([]));
        let Some(policies) = policies.as_array_mut() else { return };
        if policies.iter().all(|policy| policy.get("PolicyDocument") != Some(&document)) {
            let place = made(&format!("{}Role", expansion.logical_id)).key("Policies");
            expansion.note(place.index(policies.len()), &event.path);
            policies.push(json!({ "PolicyName": name, "PolicyDocument": document }));
        }
    }
}

/// A document with one statement that allows `action` on `resource`.
pub fn allow(action: &str, resource: &Value) -> Value {
    json!({ "Statement": [{ "Action": action, "Effect": "Allow", "Resource": resource }] })
}

/// Who may assume a role: a service.
pub fn trust(service: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{ "Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": { "Service": [service] } }],
    })
}

/// The properties of an `AWS::SQS::QueuePolicy` that lets `principal` send what comes from `source`.
fn queue_policy(url: &Value, arn: &Value, principal: Value, source: Value) -> Value {
    json!({
        "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Action": "sqs:SendMessage",
                "Effect": "Allow",
                "Principal": principal,
                "Resource": arn,
                "Condition": { "ArnEquals": { "aws:SourceArn": source } },
            }],
        },
        "Queues": [url],
    })
}

/// Creates what the resource's events become. Their policies are added to `role`.
pub fn expand(expansion: &mut Expansion<'_>, types: &[&'static EventType], target: &Target, role: &mut Role) {
    for event in read(expansion, types) {
        let before = expansion.template.problems.len();
        (event.kind.expand)(expansion, &event, target, role);
        if expansion.template.problems.len() > before {
            expansion.template.families.insert(event.id);
        }
    }
}

/// The events, in the order in which SAM expands them. Those with a mistake are left out, and reported.
fn read(expansion: &mut Expansion<'_>, types: &[&'static EventType]) -> Vec<Event> {
    let Some(Value::Object(events)) = expansion.given("Events") else { return Vec::new() };
    let place = expansion.place("Events");
    if intrinsics::call(&Value::from(events.clone())).is_some() {
        expansion.report(Problem::new(place, "Events must be a map; an intrinsic function is not supported here"));
        return Vec::new();
    }
    // By the path, where one is given; so what takes all paths of an HTTP API comes first.
    let order = |(name, event): &(&String, &Value)| {
        let of_all = event["Type"] == "HttpApi" && event["Properties"].get("Method").is_none();
        let path = event["Properties"]["Path"].as_str().or(of_all.then_some(ALL_PATHS));
        path.map_or_else(|| (*name).clone(), str::to_owned)
    };
    let mut sorted: Vec<(&String, &Value)> = events.iter().collect();
    sorted.sort_by_key(order);
    let read = |(name, event): (&String, &Value)| {
        let read = one(expansion, types, name, event, &place.key(name));
        if read.is_none() {
            // References to what it would have become are no further mistake.
            let api = match event["Type"].as_str() {
                Some("Api") => Some(REST_API),
                Some("HttpApi") => Some(HTTP_API),
                _ => None,
            };
            expansion.template.families.extend(api.map(str::to_owned));
            expansion.template.families.insert(format!("{}{name}", expansion.logical_id));
        }
        read
    };
    sorted.into_iter().filter_map(read).collect()
}

/// The event `name`; none if it has a mistake.
fn one(
    expansion: &mut Expansion<'_>,
    types: &[&'static EventType],
    name: &str,
    event: &Value,
    path: &Path,
) -> Option<Event> {
    let owner = expansion.known.name;
    if !name.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        let what = format!("the event's name \"{name}\" becomes part of logical ids: they must be alphanumeric");
        expansion.report(Problem::of_key(path.clone(), what));
        return None;
    }
    let Some(members) = event.as_object() else {
        expansion
            .report(Problem::new(path.clone(), format!("the event {name} must be a map")).kind(ProblemKind::IllTyped));
        return None;
    };
    for unknown in members.keys().filter(|key| !["Type", "Properties"].contains(&key.as_str())) {
        let problem = Problem::of_key(path.key(unknown), format!("unknown key \"{unknown}\" of an event"))
            .kind(ProblemKind::Unknown);
        expansion.report(problem.suggest(unknown, ["Type", "Properties"]));
    }
    let Some(type_name) = members.get("Type").and_then(Value::as_str) else {
        let place = if members.contains_key("Type") { path.key("Type") } else { path.clone() };
        let problem = Problem::new(place, format!("the event {name} needs a Type")).kind(ProblemKind::Missing);
        expansion.report(problem.help(format!("one of {}", names(types).join(", "))));
        return None;
    };
    let Some(kind) = types.iter().find(|kind| kind.name == type_name) else {
        let problem = if NOT_YET.contains(&type_name) {
            let what = format!("events of the type {type_name} of {owner} are not supported yet");
            Problem::new(path.key("Type"), what).kind(ProblemKind::Unsupported)
        } else {
            Problem::new(path.key("Type"), format!("{owner} has no events of the type \"{type_name}\""))
                .kind(ProblemKind::Unknown)
                .suggest(type_name, names(types))
        };
        expansion.report(problem);
        return None;
    };
    let mut properties = match members.get("Properties") {
        None => Map::new(),
        Some(Value::Object(properties)) => properties.clone(),
        Some(_) => {
            let what = format!("the Properties of the event {name} must be a map");
            expansion.report(Problem::new(path.key("Properties"), what).kind(ProblemKind::IllTyped));
            return None;
        }
    };
    let known: Vec<&'static Property> = kind.properties.iter().copied().flatten().collect();
    let place = path.key("Properties");
    let before = expansion.template.problems.len();
    let owner = format!("the event type {type_name}");
    let faulty = check_properties(expansion.template, &owner, &known, &mut properties, &place);
    for missing in kind.required.iter().filter(|name| !properties.contains_key(**name) && !faulty.contains(**name)) {
        let what = format!("missing property \"{missing}\" of {owner}");
        let place = if members.contains_key("Properties") { place.clone() } else { path.clone() };
        expansion.report(Problem::new(place, what).kind(ProblemKind::Missing));
    }
    let sound = expansion.template.problems.len() == before;
    sound.then(|| Event { id: format!("{}{name}", expansion.logical_id), kind, properties, path: path.clone() })
}

fn names(types: &[&'static EventType]) -> Vec<&'static str> {
    types.iter().map(|kind| kind.name).collect()
}
