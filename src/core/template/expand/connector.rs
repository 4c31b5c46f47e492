//! `AWS::Serverless::Connector`, and the attribute `Connectors` of a resource: what a resource may do with another one.

use serde_json::{Map, Value, json};

use super::super::{Resource, Template, intrinsics};
use super::connector_profiles::{self, Permission, Profile};
use super::expansion::Expansion;
use super::shape::{Property, Shape};
use super::{PREFIX, Type};
use crate::core::words::{Path, Problem, ProblemKind};

const NAME: &str = "AWS::Serverless::Connector";

pub const TYPE: Type = Type {
    name: NAME,
    properties: &[
        Property::translated("Destination", Shape::Any).local(),
        Property::translated("Permissions", Shape::List).local(),
        Property::translated("Source", Shape::Map).local(),
    ],
    expand,
};

/// SAM's types, and what they are made into, where a reference gives a type.
const MADE_INTO: &[(&str, &str)] = &[
    ("Function", "AWS::Lambda::Function"),
    ("StateMachine", "AWS::StepFunctions::StateMachine"),
    ("Api", "AWS::ApiGateway::RestApi"),
    ("HttpApi", "AWS::ApiGatewayV2::Api"),
    ("SimpleTable", "AWS::DynamoDB::Table"),
];

/// Turns the attribute `Connectors` of resources into connectors of their own.
pub fn take_out(template: &mut Template) {
    let ids: Vec<String> =
        template.resources.iter().filter(|(_, it)| it.connectors.is_some()).map(|(id, _)| id.clone()).collect();
    for source in ids {
        let given = template.resources.get_mut(&source).and_then(|resource| resource.connectors.take());
        let path = Path::default().key("Resources").key(&source).key("Connectors");
        if !template.sam {
            let problem = Problem::of_key(path, "Connectors needs SAM").kind(ProblemKind::Unsupported);
            template.problems.push(problem.help("add \"Transform: AWS::Serverless-2016-10-31\""));
            continue;
        }
        let Some(Value::Object(connectors)) = given else {
            template.problems.push(Problem::new(path, "Connectors must be a map").kind(ProblemKind::IllTyped));
            continue;
        };
        for (name, connector) in connectors {
            let path = path.key(&name);
            match embedded(&source, connector) {
                Ok(connector) => {
                    let id = format!("{source}{name}");
                    if template.resources.contains_key(&id) {
                        let what = format!("SAM makes a resource {id} of this, and there is one of that name");
                        template.problems.push(Problem::of_key(path, what).kind(ProblemKind::Duplicate));
                        continue;
                    }
                    template.origins.note(Path::default().key("Resources").key(&id), path);
                    template.resources.insert(id, connector);
                }
                Err(what) => template.problems.push(Problem::new(path, what).kind(ProblemKind::IllTyped)),
            }
        }
    }
}

/// The connector that `given` stands for in the attribute of `source`.
fn embedded(source: &str, given: Value) -> Result<Resource, String> {
    let Value::Object(mut given) = given else { return Err("a connector must be a map".to_owned()) };
    let Some(Value::Object(properties)) = given.get_mut("Properties") else {
        return Err("a connector needs Properties, a map".to_owned());
    };
    let mut from = Map::from_iter([("Id".to_owned(), Value::from(source))]);
    match properties.shift_remove("SourceReference") {
        None => {}
        Some(Value::Object(more)) if more.contains_key("Id") => {
            return Err("SourceReference gives no Id: the source is the resource itself".to_owned());
        }
        Some(Value::Object(more)) => from.extend(more),
        Some(_) => return Err("SourceReference must be a map".to_owned()),
    }
    properties.insert("Source".to_owned(), from.into());
    given.insert("Type".to_owned(), NAME.into());
    serde_json::from_value(given.into()).map_err(|error| error.to_string())
}

/// What is known of one of the two resources.
#[derive(Debug, Default)]
struct End {
    /// Its logical id, if it is in the template.
    id: Option<String>,
    type_name: String,
    arn: Option<Value>,
    role_name: Option<Value>,
    queue_url: Option<Value>,
    resource_id: Option<Value>,
    name: Option<Value>,
    qualifier: Option<Value>,
}

fn expand(expansion: &mut Expansion<'_>) {
    let given = ["Source", "Destination", "Permissions"].map(|name| {
        if expansion.get(name).is_none() {
            expansion.missing(name);
        }
        expansion.get(name)
    });
    let [Some(source), Some(destination), Some(Value::Array(permissions))] = given else { return };
    let (destinations, many) = match destination {
        Value::Array(all) if all.is_empty() => {
            return expansion.problem("Destination", "Destination must not be empty");
        }
        Value::Array(all) => (all.iter().collect(), true),
        one => (vec![one], false),
    };
    let mut ids = Vec::new();
    for (index, destination) in destinations.into_iter().enumerate() {
        let suffix = if many { format!("Destination{index}") } else { String::new() };
        let ends = end(expansion, destination, source)
            .map_err(|what| ("Destination", what))
            .and_then(|to| Ok((end(expansion, source, destination).map_err(|what| ("Source", what))?, to)));
        let made = ends.and_then(|(from, to)| connect(expansion, &from, &to, permissions, &suffix));
        match made {
            Ok(made) => ids.extend(made),
            Err((property, what)) => expansion.problem(property, what),
        }
    }
    // Who waits for the connector waits for what is made of it.
    for resource in expansion.template.resources.values_mut() {
        let mut names = resource.dependencies();
        if let Some(place) = names.iter().position(|name| *name == expansion.logical_id) {
            names.remove(place);
            ids.iter().for_each(|id| add(&mut names, id));
            resource.depends_on = Some(names.into());
        }
    }
}

/// One of the two resources, as `reference` names it, where `other` names the other one.
fn end(expansion: &Expansion<'_>, reference: &Value, other: &Value) -> Result<End, String> {
    let Some(given) = reference.as_object() else { return Err("a reference must be a map".to_owned()) };
    let qualifier = given.get("Qualifier").cloned();
    let names_more = given.keys().any(|key| !["Id", "Qualifier"].contains(&key.as_str()));
    let id = match given.get("Id") {
        Some(_) if names_more => return Err("give the Id alone, or other properties without it".to_owned()),
        Some(id) => id.as_str().filter(|id| !id.is_empty()).ok_or("Id must be a logical id")?,
        None if !names_more => {
            return Err("a reference needs an Id, or a Type and what is to be known of it".to_owned());
        }
        None => {
            let given_type = given.get("Type").and_then(Value::as_str).filter(|name| !name.is_empty());
            let type_name = given_type.ok_or("Type must be the name of a type")?;
            let own = type_name.strip_prefix(PREFIX);
            let made = MADE_INTO.iter().find(|(sam, _)| own == Some(sam)).map_or(type_name, |(_, made)| made);
            let property = |name: &str| given.get(name).cloned();
            return Ok(End {
                id: None,
                type_name: made.to_owned(),
                arn: property("Arn"),
                role_name: property("RoleName"),
                queue_url: property("QueueUrl"),
                resource_id: property("ResourceId"),
                name: property("Name"),
                qualifier,
            });
        }
    };
    let Some(resource) = expansion.template.resources.get(id) else {
        return Err(format!("there is no resource \"{id}\""));
    };
    let type_name = resource.type_name.as_str();
    let attribute = |name: &str| json!({ "Fn::GetAtt": [id, name] });
    let itself = || json!({ "Ref": id });
    let arn = match type_name {
        "AWS::StepFunctions::StateMachine"
        | "AWS::AppSync::GraphQLApi"
        | "AWS::AppSync::DataSource"
        | "AWS::SNS::Topic" => itself(),
        _ => attribute("Arn"),
    };
    let is_api = ["AWS::ApiGatewayV2::Api", "AWS::ApiGateway::RestApi"].contains(&type_name);
    let resource_id = match type_name {
        "AWS::AppSync::GraphQLApi" => Some(attribute("ApiId")),
        _ => is_api.then(itself),
    };
    let role = match type_name {
        "AWS::Lambda::Function" => resource.properties.get("Role"),
        "AWS::StepFunctions::StateMachine" => resource.properties.get("RoleArn"),
        "AWS::AppSync::DataSource" => resource.properties.get("ServiceRoleArn"),
        "AWS::Events::Rule" => role_of_target(resource, other),
        _ => None,
    };
    Ok(End {
        id: Some(id.to_owned()),
        type_name: type_name.to_owned(),
        arn: Some(arn),
        role_name: role.and_then(intrinsics::referred).map(|role| json!({ "Ref": role })),
        queue_url: (type_name == "AWS::SQS::Queue").then(itself),
        resource_id,
        name: (type_name == "AWS::StepFunctions::StateMachine").then(|| attribute("Name")),
        qualifier: qualifier.or_else(|| is_api.then(|| "*".into())),
    })
}

/// The role with which a rule calls the target that `other` names.
fn role_of_target<'r>(rule: &'r Resource, other: &Value) -> Option<&'r Value> {
    let targets = rule.properties.get("Targets").and_then(Value::as_array).into_iter().flatten();
    let mut named = targets.filter(|target| {
        let arn = target.get("Arn");
        let id = arn.and_then(intrinsics::referred);
        id.is_some() && id == other.get("Id").and_then(Value::as_str) || arn.is_some() && arn == other.get("Arn")
    });
    named.next()?.get("RoleArn")
}

/// Makes what the two ends' types stand for; returns its logical ids, or the property that is wrong and why.
fn connect(
    expansion: &mut Expansion<'_>,
    source: &End,
    destination: &End,
    permissions: &[Value],
    suffix: &str,
) -> Result<Vec<String>, (&'static str, String)> {
    let Some(profile) = connector_profiles::find(&source.type_name, &destination.type_name) else {
        let known: Vec<&str> = connector_profiles::destinations(&source.type_name).collect();
        let what = format!("no connector leads from {} to {}", source.type_name, destination.type_name);
        let known =
            if known.is_empty() { String::new() } else { format!("; from there lead some to {}", known.join(", ")) };
        return Err(("Destination", what + &known));
    };
    let granted = granted(&profile, permissions)?;
    let owner = if profile.of_source { source } else { destination };
    let place = if profile.of_source { "Source" } else { "Destination" };
    let lacks = |what: &str| (place, format!("the {what} of {place} is not known"));
    let id = expansion.logical_id;
    let fill = |value: &Value| filled(value, source, destination);
    let mut made = Vec::new();
    if profile.made == "permission" {
        let function = owner.arn.clone().ok_or_else(|| lacks("ARN"))?;
        for permission in granted {
            let (service, rest) = permission.invoke.split_first().unwrap_or((&"", &[]));
            let mut properties =
                json!({ "Action": "lambda:InvokeFunction", "FunctionName": function, "Principal": service });
            for (name, value) in ["SourceArn", "SourceAccount"].into_iter().zip(rest) {
                properties[name] = fill(&Value::from(*value)).map_err(|what| ("Source", what))?;
            }
            made.push((
                format!("{id}{}LambdaPermission{suffix}", permission.name),
                "AWS::Lambda::Permission",
                properties,
            ));
        }
    } else {
        let statements: Vec<Value> = granted
            .iter()
            .flat_map(|it| &it.statements)
            .map(fill)
            .collect::<Result<_, _>>()
            .map_err(|what| (place, what))?;
        let document = json!({ "Version": "2012-10-17", "Statement": statements });
        let (kind, type_name, to, known) = match profile.made {
            "queue" => {
                ("QueuePolicy", "AWS::SQS::QueuePolicy", "Queues", owner.queue_url.clone().ok_or_else(|| lacks("URL"))?)
            }
            "topic" => {
                ("TopicPolicy", "AWS::SNS::TopicPolicy", "Topics", owner.arn.clone().ok_or_else(|| lacks("ARN"))?)
            }
            _ => (
                "Policy",
                "AWS::IAM::ManagedPolicy",
                "Roles",
                owner.role_name.clone().ok_or_else(|| lacks("role's name"))?,
            ),
        };
        made.push((format!("{id}{kind}{suffix}"), type_name, json!({ "PolicyDocument": document, to: [known] })));
    }
    let written = &expansion.template.tree["Resources"];
    let type_of = |end: &End| {
        let own = end.id.as_ref().and_then(|id| written.get(id)?.get("Type")?.as_str());
        json!({ "Type": own.unwrap_or(&end.type_name) })
    };
    let metadata =
        json!({ "aws:sam:connectors": { id: { "Source": type_of(source), "Destination": type_of(destination) } } });
    let mut ids = Vec::new();
    for (id, type_name, properties) in made {
        let resource = expansion.extra_resource(None, &id, type_name, properties);
        let depends_on = expansion.resource.depends_on.clone();
        expansion.made.push((id.clone(), Resource { metadata: metadata.clone(), depends_on, ..resource }));
        wait(expansion, &profile, source, destination, &id);
        ids.push(id);
    }
    Ok(ids)
}

/// What a connector with these `permissions` grants, in the order of the profile.
fn granted<'p>(profile: &'p Profile, permissions: &[Value]) -> Result<Vec<&'p Permission>, (&'static str, String)> {
    let known: Vec<&str> = profile.permissions.iter().map(|it| it.name).collect();
    if permissions.is_empty() {
        return Err(("Permissions", format!("Permissions must not be empty; known here: {}", known.join(", "))));
    }
    if let Some(other) = permissions.iter().find(|given| !known.iter().any(|known| **given == **known)) {
        return Err(("Permissions", format!("these two know no permission {other}; known here: {}", known.join(", "))));
    }
    let granted: Vec<&Permission> =
        profile.permissions.iter().filter(|it| permissions.iter().any(|given| *given == it.name)).collect();
    let is_same = |set: &Vec<&str>| {
        set.len() == granted.len() && set.iter().all(|name| granted.iter().any(|it| it.name == *name))
    };
    if !profile.only.is_empty() && !profile.only.iter().any(is_same) {
        let valid: Vec<String> = profile.only.iter().map(|set| set.join(" and ")).collect();
        return Err(("Permissions", format!("these two are connected with {} alone", valid.join(", or with "))));
    }
    Ok(granted)
}

/// Lets what the profile names wait for the created policy `id`.
fn wait(expansion: &mut Expansion<'_>, profile: &Profile, source: &End, destination: &End, id: &str) {
    let (Some(source), waiting) = (&source.id, profile.before) else { return };
    let resources = &mut expansion.template.resources;
    let waiting = match (waiting, &destination.id) {
        (Some("source"), _) => Some(source.clone()),
        (Some(_), Some(function)) => {
            let is_between = |resource: &Resource| {
                let of = |name: &str| resource.properties.get(name).and_then(intrinsics::referred);
                resource.type_name == "AWS::Lambda::EventSourceMapping"
                    && of("FunctionName") == Some(function)
                    && of("EventSourceArn") == Some(source)
            };
            let mut between = resources.iter().filter(|(_, resource)| is_between(resource));
            let first = between.next().map(|(id, _)| id.clone());
            first.filter(|_| between.next().is_none())
        }
        _ => None,
    };
    if let Some(resource) = waiting.and_then(|waiting| resources.get_mut(&waiting)) {
        let mut names = resource.dependencies();
        add(&mut names, id);
        resource.depends_on = Some(names.into());
    }
}

/// A value of a profile, with what is known of the two in it.
fn filled(value: &Value, source: &End, destination: &End) -> Result<Value, String> {
    match value {
        Value::Array(items) => items.iter().map(|item| filled(item, source, destination)).collect(),
        Value::Object(entries) => {
            let filled = entries.iter().map(|(key, value)| Ok((key.clone(), filled(value, source, destination)?)));
            filled.collect::<Result<Map<_, _>, String>>().map(Value::from)
        }
        Value::String(text) => {
            let (mut written, mut variables) = (text.clone(), Map::new());
            for (place, end) in [("Source", source), ("Destination", destination)] {
                let known = [
                    ("Arn", &end.arn),
                    ("ResourceId", &end.resource_id),
                    ("Name", &end.name),
                    ("Qualifier", &end.qualifier),
                ];
                for (property, value) in known {
                    let pattern = format!("%{{{place}.{property}}}");
                    if !text.contains(&pattern) {
                        continue;
                    }
                    let value = value.as_ref().ok_or_else(|| format!("{place}.{property} is not known"))?;
                    if *text == pattern {
                        return Ok(value.clone());
                    }
                    written = written.replace(&pattern, &format!("${{{place}{property}}}"));
                    variables.insert(format!("{place}{property}"), value.clone());
                }
            }
            Ok(match (written.contains("${"), variables.is_empty()) {
                (false, _) => written.into(),
                (true, true) => json!({ "Fn::Sub": written }),
                (true, false) => json!({ "Fn::Sub": [written, variables] }),
            })
        }
        other => Ok(other.clone()),
    }
}

fn add(names: &mut Vec<Value>, id: &str) {
    if !names.iter().any(|name| name == id) {
        names.push(id.into());
    }
}
