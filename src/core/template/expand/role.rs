//! The role that SAM creates for a function without one.

use serde_json::{Map, Value, json};

use super::super::Resource;
use super::expansion::{Expansion, made};
use super::policies::{self, Kind};
use super::{events, policy_templates};
use crate::core::words::{Path, Problem, ProblemKind, nearest};

/// The role of a function, with `tags`. `traced`: the function sends traces. `more`: policies for its destinations.
///
/// It is created even if the function has its own role: SAM checks `Policies` in any case.
pub fn of_function(
    expansion: &mut Expansion<'_>,
    role_id: &str,
    tags: &[Value],
    traced: bool,
    more: Vec<Value>,
) -> Resource {
    let partition = expansion.context.partition;
    let properties = made(role_id);
    let basic = if expansion.given("DurableConfig").is_some() {
        "AWSLambdaBasicDurableExecutionRolePolicy"
    } else {
        "AWSLambdaBasicExecutionRole"
    };
    let mut managed = vec![Value::from(policies::managed(basic, partition))];
    if traced {
        managed.push(policies::managed(traces(partition), partition).into());
    }
    if expansion.given("VpcConfig").is_some() {
        managed.push(policies::managed("AWSLambdaVPCAccessExecutionRole", partition).into());
    }
    let mut documents: Vec<Value> = Vec::new();
    if let Some(Value::Object(queue)) = expansion.given("DeadLetterQueue")
        && let (Some(kind), Some(target)) = (queue.get("Type"), queue.get("TargetArn"))
    {
        let action = if kind == "SNS" { "sns:Publish" } else { "sqs:SendMessage" };
        let statement = json!({ "Action": action, "Resource": target, "Effect": "Allow" });
        let document = json!({ "Version": "2012-10-17", "Statement": [statement] });
        expansion.note(properties.key("Policies").index(0), &expansion.place("DeadLetterQueue"));
        documents.push(json!({ "PolicyName": "DeadLetterQueuePolicy", "PolicyDocument": document }));
    }
    for policy in more {
        let place = properties.key("Policies").index(documents.len());
        expansion.note(place, &expansion.place("EventInvokeConfig"));
        documents.push(policy);
    }
    let trust = expansion.get("AssumeRolePolicyDocument").cloned();
    let trust = trust.unwrap_or_else(|| events::trust("lambda.amazonaws.com"));
    expansion.note(properties.key("AssumeRolePolicyDocument"), &expansion.place("AssumeRolePolicyDocument"));
    make(expansion, role_id, &trust, managed, documents, tags)
}

/// AWS's managed policy for what sends traces: its old name has this spelling in the commercial partition alone.
pub fn traces(partition: &str) -> &'static str {
    if partition == "aws" { "AWSXrayWriteOnlyAccess" } else { "AWSXRayDaemonWriteAccess" }
}

/// The role that a resource of SAM's runs as: with these managed and inline policies, and those of `Policies`.
pub fn make(
    expansion: &mut Expansion<'_>,
    role_id: &str,
    trust: &Value,
    mut managed: Vec<Value>,
    mut documents: Vec<Value>,
    tags: &[Value],
) -> Resource {
    let properties = made(role_id);
    add_policies(expansion, role_id, &mut managed, &mut documents);
    let mut role = json!({ "AssumeRolePolicyDocument": trust, "ManagedPolicyArns": managed, "Tags": tags });
    if !documents.is_empty() {
        role["Policies"] = documents.into();
    }
    for (property, name) in [("RolePath", "Path"), ("PermissionsBoundary", "PermissionsBoundary")] {
        if let Some(value) = expansion.get(property) {
            role[name] = value.clone();
            expansion.note(properties.key(name), &expansion.place(property));
        }
    }
    expansion.note_tags(&properties.key("Tags"), tags);
    expansion.extra_resource(None, role_id, "AWS::IAM::Role", role)
}

/// Adds the entries of `Policies` to the role's managed and inline policies.
fn add_policies(expansion: &mut Expansion<'_>, role_id: &str, managed: &mut Vec<Value>, documents: &mut Vec<Value>) {
    let partition = expansion.context.partition;
    for (index, (policy, written)) in entries(expansion).into_iter().enumerate() {
        let kind = match policies::kind(policy) {
            Ok(kind) => kind,
            Err(what) => {
                expansion.report(Problem::new(written, what));
                continue;
            }
        };
        match kind {
            Kind::Managed => {
                let arn = policies::branches(policy, |policy, _| match policy.as_str() {
                    Some(name) => policies::managed(name, partition).into(),
                    None => policy.clone(),
                });
                if !managed.contains(&arn) {
                    expansion.note(made(role_id).key("ManagedPolicyArns").index(managed.len()), &written);
                    managed.push(arn);
                }
            }
            Kind::Document | Kind::Template => {
                let name = format!("{role_id}Policy{index}");
                let place = made(role_id).key("Policies").index(documents.len());
                expansion.note(place.clone(), &written);
                documents.push(policies::branches(policy, |policy, branch| {
                    let below = |place: &Path| branch.map_or(place.clone(), |at| place.key("Fn::If").index(at));
                    let written = below(&written);
                    expansion.note(below(&place).key("PolicyDocument"), &written);
                    let document = match kind {
                        Kind::Template => from_template(expansion, policy, &written),
                        _ => policy.clone(),
                    };
                    json!({ "PolicyName": name, "PolicyDocument": document })
                }));
            }
            Kind::Unknown => {
                // SAM's message.
                let what = format!("Policy at index {index} in the 'Policies' property is not valid");
                let templates = policy_templates::all().map(|template| template.name);
                let known: Vec<&str> = templates.chain(["Statement"]).collect();
                let keys: Vec<&str> = policy.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
                let problem = Problem::new(written, what);
                expansion.report(if keys.contains(&"PolicyDocument") {
                    problem.help("give the document itself, without a name")
                } else if keys.contains(&"Effect") {
                    problem.help("a statement stands in a list under Statement")
                } else if keys.len() > 1 && keys.iter().all(|key| policy_templates::find(key).is_some()) {
                    problem.help("each policy template is an entry of its own: make it a list")
                } else {
                    match keys.iter().find_map(|key| nearest(key, &known)) {
                        Some(name) => problem.help(format!("did you mean \"{name}\"?")),
                        None => problem,
                    }
                });
            }
        }
    }
}

/// The entries of `Policies`, with their paths.
fn entries<'a>(expansion: &Expansion<'a>) -> Vec<(&'a Value, Path)> {
    let place = expansion.place("Policies");
    match expansion.given("Policies") {
        None => Vec::new(),
        Some(Value::Array(policies)) => {
            policies.iter().enumerate().map(|(index, policy)| (policy, place.index(index))).collect()
        }
        Some(one) => vec![(one, place)],
    }
}

/// The document of the policy template in `policy`, written at `written`.
fn from_template(expansion: &mut Expansion<'_>, policy: &Value, written: &Path) -> Value {
    let named = policy.as_object().and_then(|entries| entries.iter().next());
    let found = named.and_then(|(name, values)| Some((policy_templates::find(name)?, values)));
    let Some((template, values)) = found else {
        expansion.report(Problem::new(written.clone(), "a policy template cannot be inside a second Fn::If"));
        return Value::Null;
    };
    let (name, written) = (template.name, written.key(template.name));
    let parameters: Vec<&str> = template.parameters().collect();
    let Value::Object(values) = values else {
        let what = format!("the policy template '{name}' takes a map of parameter values");
        let problem = Problem::of_key(written, what).kind(ProblemKind::IllTyped);
        expansion.report(match parameters.as_slice() {
            [] => problem.help(format!("it has no parameters: {name}: {{}}")),
            _ => problem.help(format!("its parameters: {}", parameters.join(", "))),
        });
        return Value::Null;
    };
    let missing: Vec<&str> = parameters.into_iter().filter(|parameter| !values.contains_key(*parameter)).collect();
    if !missing.is_empty() {
        let what = format!("the policy template '{name}' has no value for its parameters {}", missing.join(", "));
        let what = if missing.len() == 1 { what.replace("parameters", "parameter") } else { what };
        let problem = Problem::of_key(written, what).kind(ProblemKind::Missing);
        // SAM ignores unknown parameters; here one may be a misspelling of the missing one.
        let misspelt = values.keys().find_map(|given| Some((given, nearest(given, &missing)?)));
        expansion.report(match misspelt {
            Some((given, name)) => problem.help(format!("it has no parameter \"{given}\"; did you mean \"{name}\"?")),
            None => problem,
        });
        return Value::Null;
    }
    template.document(values)
}

/// Sets the role of `function`, unless it has one of its own.
///
/// Where a condition decides whether the function has a role, SAM creates one under that condition.
pub fn attach(expansion: &mut Expansion<'_>, function: &mut Map<String, Value>, role_id: &str, mut role: Resource) {
    let arn = json!({ "Fn::GetAtt": [role_id, "Arn"] });
    let Some(given) = function.get_mut("Role") else {
        function.insert("Role".to_owned(), arn);
        expansion.made.push((role_id.to_owned(), role));
        return;
    };
    let Some(("Fn::If", _)) = super::super::intrinsics::call(given) else { return };
    expansion.inline("Role", given);
    let parts = given["Fn::If"].as_array().cloned().unwrap_or_default();
    let [condition, yes, no] = parts.as_slice() else {
        expansion.problem("Role", "Fn::If requires 3 arguments: a condition, and a value for either case");
        return;
    };
    // An unknown condition is reported where it is looked up.
    let name = condition.as_str().unwrap_or_default();
    match (policies::is_nothing(yes), policies::is_nothing(no)) {
        (false, false) => return,
        (true, true) => *given = arn,
        (true, false) => {
            *given = json!({ "Fn::If": [condition, arn, no] });
            role.condition = Some(name.to_owned());
        }
        (false, true) => {
            *given = json!({ "Fn::If": [condition, yes, arn] });
            let not = format!("NOT{name}");
            let written = expansion.place("Role");
            expansion.note(Path::default().key("Conditions").key(&not), &written);
            expansion.template.conditions.insert(not.clone(), json!({ "Fn::Not": [{ "Condition": name }] }));
            role.condition = Some(not);
        }
    }
    expansion.made.push((role_id.to_owned(), role));
}
