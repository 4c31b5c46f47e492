//! `EventInvokeConfig` and `FunctionUrlConfig`: how a function is invoked.

use serde_json::{Map, Value, json};

use super::super::intrinsics;
use super::events::pull::writes_to_bucket;
use super::events::{Target, allow};
use super::expansion::{Expansion, made};
use super::policies::is_nothing;
use super::shape::truthy;
use super::versions;
use crate::core::words::{Path, Problem, ProblemKind};

/// The property with what becomes of asynchronous invocations.
const ASYNCHRONOUS: &str = "EventInvokeConfig";

/// The types of destinations.
const DESTINATIONS: &[&str] = &["SQS", "SNS", "EventBridge", "Lambda", "S3Bucket"];

/// Creates the configuration of asynchronous invocations, with queues and topics for destinations that name none. `alias`
/// is the name of the function's alias and its logical id. Returns the policies that let the function send there.
pub fn asynchronous(expansion: &mut Expansion<'_>, alias: Option<(&str, &str)>) -> Vec<Value> {
    let Some(config) = expansion.given(ASYNCHRONOUS) else { return Vec::new() };
    let place = expansion.place(ASYNCHRONOUS);
    if let Some(name) = unknown(config, &["DestinationConfig", "MaximumEventAgeInSeconds", "MaximumRetryAttempts"]) {
        let what = format!("unknown property \"{name}\" of {ASYNCHRONOUS}");
        expansion.report(Problem::of_key(place.key(name), what).kind(ProblemKind::Unknown));
    }
    let config = expansion.inline(ASYNCHRONOUS, &mut config.clone());
    let id = format!("{}{ASYNCHRONOUS}", expansion.logical_id);
    let mut policies = Vec::new();
    let mut destinations = Map::new();
    if let Some(given) = config.get("DestinationConfig").filter(|given| truthy(given)) {
        let place = place.key("DestinationConfig");
        if !given.is_object() {
            let what = "DestinationConfig must be a map";
            expansion.report(Problem::new(place, what).kind(ProblemKind::IllTyped));
            return policies;
        }
        for name in ["OnSuccess", "OnFailure"] {
            let Some(given) = given.get(name).filter(|given| !given.is_null()) else { continue };
            if let Some((destination, policy)) = destination(expansion, &id, name, given, &place.key(name)) {
                destinations.insert(name.to_owned(), json!({ "Destination": destination }));
                policies.push(policy);
            }
        }
    }
    let mut made_config = json!({
        "FunctionName": { "Ref": expansion.logical_id },
        "Qualifier": alias.map_or("$LATEST", |(name, _)| name),
        "DestinationConfig": destinations,
    });
    for name in ["MaximumEventAgeInSeconds", "MaximumRetryAttempts"] {
        if let Some(value) = config.get(name).filter(|value| !value.is_null()) {
            made_config[name] = value.clone();
        }
    }
    let mut resource = expansion.extra_resource(Some(ASYNCHRONOUS), &id, "AWS::Lambda::EventInvokeConfig", made_config);
    resource.metadata = expansion.resource.metadata.clone();
    resource.depends_on = alias.map(|(_, alias)| json!([alias]));
    expansion.note(made(&id), &place);
    expansion.made.push((id, resource));
    policies
}

/// The first property of `given` that is not among the `known` ones.
fn unknown<'a>(given: &'a Value, known: &[&str]) -> Option<&'a str> {
    if intrinsics::call(given).is_some() {
        return None;
    }
    given.as_object()?.keys().map(String::as_str).find(|name| !known.contains(name))
}

/// The ARN of one destination, and the policy that lets the function send there. A queue or topic is created for one that
/// names none; under a condition, if the ARN is given under one.
fn destination(
    expansion: &mut Expansion<'_>,
    id: &str,
    name: &str,
    given: &Value,
    place: &Path,
) -> Option<(Value, Value)> {
    if !given.is_object() {
        expansion.report(Problem::new(place.clone(), format!("{name} must be a map")).kind(ProblemKind::IllTyped));
        return None;
    }
    let kind = given.get("Type").and_then(Value::as_str).filter(|kind| DESTINATIONS.contains(kind));
    let Some(kind) = kind else {
        let written = if given.get("Type").is_some() { place.key("Type") } else { place.clone() };
        let what = format!("the Type of a destination must be one of {}", DESTINATIONS.join(", "));
        expansion.report(Problem::new(written, what));
        return None;
    };
    let arn = given.get("Destination").filter(|arn| !arn.is_null());
    let absent = match arn {
        None => Some(Absent { when: None, otherwise: None }),
        Some(arn) => absent(expansion, id, arn, &place.key("Destination")).ok()?,
    };
    let base = format!("{id}{name}");
    let destination = match (absent, arn) {
        (None, Some(arn)) => arn.clone(),
        (None, None) => return None,
        (Some(Absent { when, otherwise }), _) => {
            let (type_name, id) = match kind {
                "SQS" => ("AWS::SQS::Queue", format!("{base}Queue")),
                "SNS" => ("AWS::SNS::Topic", format!("{base}Topic")),
                _ => {
                    let what = format!("a Destination is required where the Type is {kind}");
                    expansion.report(Problem::new(place.clone(), what).kind(ProblemKind::Missing));
                    return None;
                }
            };
            let mut resource = expansion.extra_resource(Some(ASYNCHRONOUS), &id, type_name, json!({}));
            resource.condition = both(expansion, resource.condition.take(), when.clone());
            expansion.made.push((id.clone(), resource));
            let arn = if kind == "SQS" { json!({ "Fn::GetAtt": [id, "Arn"] }) } else { json!({ "Ref": id }) };
            match (when, otherwise) {
                (Some(condition), Some(other)) => json!({ "Fn::If": [condition, arn, other] }),
                _ => arn,
            }
        }
    };
    let (suffix, document) = match kind {
        "SQS" => ("SQSPolicy", allow("sqs:SendMessage", &destination)),
        "SNS" => ("SNSPolicy", allow("sns:publish", &destination)),
        "EventBridge" => ("EventBridgePolicy", allow("events:PutEvents", &destination)),
        "Lambda" => ("LambdaPolicy", allow("lambda:InvokeFunction", &destination)),
        _ => ("S3Policy", writes_to_bucket(&destination)),
    };
    Some((destination, json!({ "PolicyName": format!("{base}{suffix}"), "PolicyDocument": document })))
}

/// A destination without an ARN.
struct Absent {
    /// The condition under which it has none; without one, it never has.
    when: Option<String>,
    /// The ARN in the other case.
    otherwise: Option<Value>,
}

/// Whether `arn`, written at `place`, is absent in one case. Creates that case's condition if it is the opposite of one of
/// the template's.
///
/// # Errors
/// An invalid `Fn::If`: it has been reported.
fn absent(expansion: &mut Expansion<'_>, id: &str, arn: &Value, place: &Path) -> Result<Option<Absent>, ()> {
    let Some(("Fn::If", argument)) = intrinsics::call(arn) else { return Ok(None) };
    let Some([condition, yes, no]) = argument.as_array().map(Vec::as_slice) else {
        let what = "Fn::If requires 3 arguments: a condition, and a value for either case";
        expansion.report(Problem::new(place.clone(), what));
        return Err(());
    };
    let condition = condition.as_str().unwrap_or_default();
    Ok(match (is_nothing(yes), is_nothing(no)) {
        (true, false) => Some(Absent { when: Some(condition.to_owned()), otherwise: Some(no.clone()) }),
        (false, true) => {
            let not = named(&format!("NOT{condition}"), id);
            add_condition(expansion, &not, json!({ "Fn::Not": [{ "Condition": condition }] }));
            Some(Absent { when: Some(not), otherwise: Some(yes.clone()) })
        }
        _ => None,
    })
}

/// The condition that holds where both do.
fn both(expansion: &mut Expansion<'_>, one: Option<String>, other: Option<String>) -> Option<String> {
    let (Some(one), Some(other)) = (&one, &other) else { return one.or(other) };
    let name = named(&format!("{one}AND{other}"), expansion.logical_id);
    add_condition(expansion, &name, json!({ "Fn::And": [{ "Condition": one }, { "Condition": other }] }));
    Some(name)
}

/// The name of a condition that is created for `id`.
fn named(name: &str, id: &str) -> String {
    format!("{name}{}", versions::hash_of_text(id))
}

fn add_condition(expansion: &mut Expansion<'_>, name: &str, condition: Value) {
    expansion.note(Path::default().key("Conditions").key(name), &expansion.place(ASYNCHRONOUS));
    expansion.template.conditions.insert(name.to_owned(), condition);
}

/// What the properties of `Cors` must be, as Python calls it.
const CORS: &[(&str, &str)] = &[
    ("AllowCredentials", "bool"),
    ("AllowHeaders", "list"),
    ("AllowMethods", "list"),
    ("AllowOrigins", "list"),
    ("ExposeHeaders", "list"),
    ("MaxAge", "int"),
];

/// Creates the function's URL, which invokes `target`; where anybody may call it, with the permissions for that.
pub fn url(expansion: &mut Expansion<'_>, target: &Target) {
    const PROPERTY: &str = "FunctionUrlConfig";
    let Some(config) = expansion.given(PROPERTY) else { return };
    let place = expansion.place(PROPERTY);
    if intrinsics::call(config).is_some() {
        expansion.problem(PROPERTY, "FunctionUrlConfig must be a map; an intrinsic function is not supported here");
        return;
    }
    if let Some(name) = unknown(config, &["AuthType", "Cors", "InvokeMode"]) {
        let what = format!("unknown property \"{name}\" of {PROPERTY}");
        expansion.report(Problem::of_key(place.key(name), what).kind(ProblemKind::Unknown));
    }
    let auth = config.get("AuthType").cloned().unwrap_or_default();
    if intrinsics::call(&auth).is_none() && auth != "AWS_IAM" && auth != "NONE" {
        let written = if auth.is_null() { place.clone() } else { place.key("AuthType") };
        expansion.report(Problem::new(written, "FunctionUrlConfig needs an AuthType: AWS_IAM or NONE"));
        return;
    }
    if let Some(cors) = config.get("Cors").filter(|cors| truthy(cors) && intrinsics::call(cors).is_none()) {
        check_cors(expansion, cors, &place.key("Cors"));
    }
    let mut url = json!({ "AuthType": auth, "TargetFunctionArn": target.called });
    for name in ["Cors", "InvokeMode"] {
        if let Some(value) =
            config.get(name).filter(|value| if name == "Cors" { truthy(value) } else { !value.is_null() })
        {
            url[name] = value.clone();
        }
    }
    let id = format!("{}Url", expansion.logical_id);
    let mut resources = vec![(id, "AWS::Lambda::Url", url)];
    if auth == "NONE" {
        let permission = |action: &str, name: &str, value: Value| json!({ "Action": action, "FunctionName": target.called, "Principal": "*", name: value });
        resources.push((
            format!("{}UrlPublicPermissions", expansion.logical_id),
            "AWS::Lambda::Permission",
            permission("lambda:InvokeFunctionUrl", "FunctionUrlAuthType", auth),
        ));
        resources.push((
            format!("{}URLInvokeAllowPublicAccess", expansion.logical_id),
            "AWS::Lambda::Permission",
            permission("lambda:InvokeFunction", "InvokedViaFunctionUrl", true.into()),
        ));
    }
    for (id, type_name, properties) in resources {
        let resource = expansion.extra_resource(Some(PROPERTY), &id, type_name, properties);
        expansion.note(made(&id), &place);
        expansion.made.push((id, resource));
    }
}

fn check_cors(expansion: &mut Expansion<'_>, cors: &Value, place: &Path) {
    let Some(cors) = cors.as_object() else {
        expansion.report(Problem::new(place.clone(), "Cors must be a map").kind(ProblemKind::IllTyped));
        return;
    };
    for (name, value) in cors {
        let Some((_, shape)) = CORS.iter().find(|(known, _)| known == name) else {
            let what = format!("{name} is not a valid property of Cors");
            let problem = Problem::of_key(place.key(name), what).kind(ProblemKind::Unknown);
            expansion.report(problem.suggest(name, CORS.iter().map(|(known, _)| *known)));
            continue;
        };
        let fits = match *shape {
            "list" => value.is_array(),
            "bool" => value.is_boolean(),
            _ => value.is_i64() || value.is_u64() || value.is_boolean(),
        };
        if !fits && intrinsics::call(value).is_none() {
            let words = match *shape {
                "list" => "a list",
                "bool" => "true or false (bool)",
                _ => "a whole number (int)",
            };
            let what = format!("{name} must be {words}");
            expansion.report(Problem::new(place.key(name), what).kind(ProblemKind::IllTyped));
        }
    }
}
