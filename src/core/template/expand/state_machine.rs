//! AWS::Serverless::StateMachine: a state machine of Step Functions, with a role unless it has one, and what starts it.

use serde_json::{Map, Value, json};

use super::super::{Resource, intrinsics};
use super::events::{self, EventType, Role, Target, rule, schedule};
use super::expansion::{Expansion, made};
use super::shape::{Property, Shape, truthy};
use super::{Type, location, policies, python, role};
use crate::core::words::{Problem, ProblemKind};

/// The properties, of which `Globals` can give one.
pub const TYPE: Type = Type {
    name: "AWS::Serverless::StateMachine",
    properties: &[
        Property::translated("AutoPublishAlias", Shape::Any).local(),
        Property::translated("Definition", Shape::Map).local(),
        Property::passed("DefinitionSubstitutions", Shape::Map).local(),
        Property::translated("DefinitionUri", Shape::TextOrMap).local(),
        Property::translated("DeploymentPreference", Shape::Map).local(),
        Property::translated("Events", Shape::MapOfMaps).local(),
        Property::translated("Logging", Shape::Map).local(),
        Property::translated("Name", Shape::Text).local(),
        Property::translated("PermissionsBoundary", Shape::Text).local(),
        Property::translated("Policies", Shape::Policies).local(),
        Property::translated("PropagateTags", Shape::Bool),
        Property::translated("Role", Shape::Text).local(),
        Property::translated("RolePath", Shape::Any).local(),
        Property::translated("Tags", Shape::Map).local(),
        Property::translated("Tracing", Shape::Map).local(),
        Property::translated("Type", Shape::Text).local(),
        Property::translated("UseAliasAsEventTarget", Shape::PlainBool).local(),
    ],
    expand,
};

/// The tag that SAM puts on state machines and their roles.
const SAM_TAG: &str = "stateMachine:createdBy";

/// What the created resource calls it.
const RENAMED: &[(&str, &str)] = &[
    ("Logging", "LoggingConfiguration"),
    ("Name", "StateMachineName"),
    ("Tracing", "TracingConfiguration"),
    ("Type", "StateMachineType"),
];

/// The types of events that are expanded.
const EVENTS: &[&EventType] = &[
    &rule::CLOUD_WATCH_EVENT_OF_STATE_MACHINE,
    &rule::EVENT_BRIDGE_RULE_OF_STATE_MACHINE,
    &rule::SCHEDULE_OF_STATE_MACHINE,
    &schedule::SCHEDULE_V2,
];

fn expand(expansion: &mut Expansion<'_>) {
    let mut machine = expansion.passed();
    if machine.get("DefinitionSubstitutions").is_some_and(|substitutions| !truthy(substitutions)) {
        machine.shift_remove("DefinitionSubstitutions");
    }
    for (written, name) in RENAMED {
        if let Some(value) = expansion.get(written) {
            machine.insert((*name).to_owned(), value.clone());
            expansion.note(expansion.place(name), &expansion.place(written));
        }
    }
    define(expansion, &mut machine);
    let mut tags = vec![json!({ "Key": SAM_TAG, "Value": "SAM" })];
    tags.extend(expansion.tag_list());
    machine.insert("Tags".to_owned(), tags.clone().into());
    expansion.note_tags(&expansion.place("Tags"), &tags);
    run_as(expansion, &mut machine, &tags);
    let alias = publish(expansion);
    let arn = json!({ "Ref": alias.as_deref().unwrap_or(expansion.logical_id) });
    let target = Target {
        id: expansion.logical_id.to_owned(),
        called: Value::Null,
        arn,
        is_function: false,
        permissions_boundary: expansion.given("PermissionsBoundary").cloned(),
    };
    events::expand(expansion, EVENTS, &target, &mut Role::default());
    expansion.make("AWS::StepFunctions::StateMachine", machine);
    if expansion.given("PropagateTags").is_some() && tags.len() > 1 {
        tags.remove(0);
        expansion.propagate_tags(&tags);
    }
}

/// Sets the definition of `machine`.
fn define(expansion: &mut Expansion<'_>, machine: &mut Map<String, Value>) {
    let name = match (expansion.given("Definition"), expansion.given("DefinitionUri")) {
        (Some(_), Some(_)) => {
            let what = "a state machine has a 'Definition' or a 'DefinitionUri', not both";
            expansion.report(Problem::of_key(expansion.place("DefinitionUri"), what).kind(ProblemKind::Duplicate));
            "DefinitionString"
        }
        (Some(definition), None) => {
            let mut definition = definition.clone();
            let mut found = Map::new();
            substitute(&mut definition, &mut found);
            if !found.is_empty() {
                let substitutions = machine.entry("DefinitionSubstitutions").or_insert_with(|| json!({}));
                if let Some(substitutions) = substitutions.as_object_mut() {
                    substitutions.extend(found);
                }
            }
            let text = python::indented(&definition);
            let lines: Vec<&str> = text.split('\n').collect();
            machine.insert("DefinitionString".to_owned(), json!({ "Fn::Join": ["\n", lines] }));
            expansion.note(expansion.place("DefinitionString"), &expansion.place("Definition"));
            return;
        }
        (None, Some(uri)) => {
            if let Some(location) = location::code_at(expansion, "DefinitionUri", uri) {
                machine.insert("DefinitionS3Location".to_owned(), in_s3(location));
                expansion.note(expansion.place("DefinitionS3Location"), &expansion.place("DefinitionUri"));
                return;
            }
            "DefinitionS3Location"
        }
        (None, None) => {
            if !["Definition", "DefinitionUri"].iter().any(|name| expansion.faulty.contains(name)) {
                expansion.problem_of_all("a state machine needs a 'Definition' or a 'DefinitionUri'");
            }
            "DefinitionString"
        }
    };
    // As in `Expansion::make`: it has been reported.
    machine.insert(name.to_owned(), Value::Null);
}

/// A place in S3 as Step Functions writes it.
fn in_s3(place: Value) -> Value {
    let names = [("Bucket", "S3Bucket"), ("Key", "S3Key"), ("Version", "S3ObjectVersion")];
    match place {
        Value::Object(place) => {
            names.into_iter().filter_map(|(made, name)| Some((made.to_owned(), place.get(name)?.clone()))).collect()
        }
        path => path,
    }
}

/// Replaces what CloudFormation computes in `definition` by names, since the definition is a text. Adds what they stand
/// for to `found`.
fn substitute(definition: &mut Value, found: &mut Map<String, Value>) {
    let mut one = |value: &mut Value| {
        // The translator takes the conditions of a choice for calls, too.
        let condition =
            value.as_object().is_some_and(|entries| entries.len() == 1 && entries.contains_key("Condition"));
        let dynamic = value.as_str().is_some_and(|text| text.starts_with("{{resolve:") && text.ends_with("}}"));
        if intrinsics::call(value).is_some() || condition || dynamic {
            let name = format!("definition_substitution_{}", found.len() + 1);
            let call = std::mem::replace(value, format!("${{{name}}}").into());
            found.insert(name, call);
        } else {
            substitute(value, found);
        }
    };
    match definition {
        Value::Object(entries) => {
            let mut keys: Vec<String> = entries.keys().cloned().collect();
            keys.sort_unstable();
            for key in &keys {
                entries.get_mut(key).map(&mut one);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(one),
        _ => {}
    }
}

/// Sets the role of `machine`.
fn run_as(expansion: &mut Expansion<'_>, machine: &mut Map<String, Value>, tags: &[Value]) {
    if let Some(role) = expansion.given("Role") {
        if expansion.given("Policies").is_some() {
            let what = "a state machine has a 'Role' or 'Policies', not both";
            expansion.report(Problem::of_key(expansion.place("Policies"), what).kind(ProblemKind::Duplicate));
        }
        machine.insert("RoleArn".to_owned(), role.clone());
        expansion.note(expansion.place("RoleArn"), &expansion.place("Role"));
        return;
    }
    let id = format!("{}Role", expansion.logical_id);
    let mut role = role::make(expansion, &id, &events::trust("states.amazonaws.com"), Vec::new(), Vec::new(), tags);
    let traced = expansion.get("Tracing").is_some_and(|tracing| tracing["Enabled"] == true);
    if let (true, Some(Value::Array(managed))) = (traced, role.properties.get_mut("ManagedPolicyArns")) {
        let partition = expansion.context.partition;
        let arn = Value::from(policies::managed(role::traces(partition), partition));
        if !managed.contains(&arn) {
            managed.push(arn);
        }
    }
    machine.insert("RoleArn".to_owned(), json!({ "Fn::GetAtt": [id, "Arn"] }));
    expansion.made.push((id, role));
}

/// Creates a version and an alias that points to it, if the resource requests them. Returns the alias's logical id if
/// events start it.
fn publish(expansion: &mut Expansion<'_>) -> Option<String> {
    const PROPERTY: &str = "AutoPublishAlias";
    let Some(name) = expansion.given(PROPERTY) else {
        for property in ["DeploymentPreference", "UseAliasAsEventTarget"] {
            if expansion.given(property).is_some() {
                let what = format!("'{property}' requires 'AutoPublishAlias'");
                expansion.report(Problem::of_key(expansion.place(property), what).kind(ProblemKind::Missing));
            }
        }
        return None;
    };
    let alphanumeric = |text: &&str| text.chars().all(|letter| letter.is_ascii_alphanumeric());
    let Some(text) = name.as_str().filter(alphanumeric) else {
        expansion.problem(PROPERTY, "AutoPublishAlias becomes part of Logical ids: it must be alphanumeric");
        return None;
    };
    let version_id = format!("{}Version", expansion.logical_id);
    let version = json!({
        "StateMachineArn": { "Ref": expansion.logical_id },
        "StateMachineRevisionId": { "Fn::GetAtt": [expansion.logical_id, "StateMachineRevisionId"] },
    });
    let version =
        expansion.extra_resource(Some(PROPERTY), &version_id, "AWS::StepFunctions::StateMachineVersion", version);
    let retained = Some("Retain".to_owned());
    let version = Resource {
        deletion_policy: version.deletion_policy.clone().or(retained.clone()),
        update_replace_policy: version.update_replace_policy.clone().or(retained),
        ..version
    };
    let mut preference = expansion.given("DeploymentPreference").cloned();
    let preference = preference.get_or_insert_with(|| json!({ "Type": "ALL_AT_ONCE" }));
    preference["StateMachineVersionArn"] = json!({ "Ref": version_id });
    let alias_id = format!("{}Alias{text}", expansion.logical_id);
    let alias = json!({ "Name": name, "DeploymentPreference": preference });
    let alias = expansion.extra_resource(Some(PROPERTY), &alias_id, "AWS::StepFunctions::StateMachineAlias", alias);
    let place = made(&alias_id).key("DeploymentPreference");
    expansion.note(place, &expansion.place("DeploymentPreference"));
    expansion.made.push((version_id, version));
    expansion.made.push((alias_id.clone(), alias));
    expansion.given("UseAliasAsEventTarget").map(|_| alias_id)
}
