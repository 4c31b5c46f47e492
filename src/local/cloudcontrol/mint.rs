//! What AWS gives a new resource: its name where it has none, defaults, ARN, ids and addresses, in AWS's form.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::core::schemas::{Schema, Shape, value_at};
use crate::local::context::clock::{iso8601, now_millis};
use crate::local::context::{ACCOUNT, CloudContext};

/// The ARN's resource of types where it is not `TYPE/NAME`: type, service, what stands before the name. (Service Authorization
/// Reference, "Resource types".)
const ARNS: &[(&str, &str, &str)] = &[
    ("AWS::CloudWatch::Alarm", "cloudwatch", "alarm:"),
    ("AWS::Cognito::UserPool", "cognito-idp", "userpool/"),
    ("AWS::EFS::AccessPoint", "elasticfilesystem", "access-point/"),
    ("AWS::EFS::FileSystem", "elasticfilesystem", "file-system/"),
    ("AWS::Events::EventBus", "events", "event-bus/"),
    ("AWS::Events::Rule", "events", "rule/"),
    ("AWS::KMS::Key", "kms", "key/"),
    ("AWS::Kinesis::Stream", "kinesis", "stream/"),
    ("AWS::SNS::Topic", "sns", ""),
    ("AWS::SQS::Queue", "sqs", ""),
    ("AWS::SSM::Parameter", "ssm", "parameter/"),
    ("AWS::SecretsManager::Secret", "secretsmanager", "secret:"),
    ("AWS::StepFunctions::StateMachine", "states", "stateMachine:"),
];

/// What stands before the 17 digits of ids by which other services know a resource, and which they refuse in another form (EC2 user
/// guide, "Resource IDs"; EFS API reference).
const PREFIXES: &[(&str, &str)] = &[
    ("AWS::EC2::InternetGateway", "igw"),
    ("AWS::EC2::NatGateway", "nat"),
    ("AWS::EC2::NetworkAcl", "acl"),
    ("AWS::EC2::RouteTable", "rtb"),
    ("AWS::EC2::SecurityGroup", "sg"),
    ("AWS::EC2::Subnet", "subnet"),
    ("AWS::EC2::VPC", "vpc"),
    ("AWS::EC2::VPCEndpoint", "vpce"),
    ("AWS::EFS::AccessPoint", "fsap"),
    ("AWS::EFS::FileSystem", "fs"),
];

/// What AWS gives properties that were left out, and shows from then on (CloudFormation's template reference).
const DEFAULTS: &[(&str, &str)] = &[
    ("AWS::CloudWatch::Alarm", r#"{"ActionsEnabled": true, "TreatMissingData": "missing"}"#),
    ("AWS::Cognito::UserPool", r#"{"MfaConfiguration": "OFF", "DeletionProtection": "INACTIVE"}"#),
    ("AWS::Events::Rule", r#"{"State": "ENABLED", "EventBusName": "default"}"#),
    (
        "AWS::KMS::Key",
        r#"{"Enabled": true, "EnableKeyRotation": false, "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT", "MultiRegion": false, "Origin": "AWS_KMS", "Description": ""}"#,
    ),
    (
        "AWS::SQS::Queue",
        r#"{"DelaySeconds": 0, "MaximumMessageSize": 1048576, "MessageRetentionPeriod": 345600, "ReceiveMessageWaitTimeSeconds": 0, "SqsManagedSseEnabled": true, "VisibilityTimeout": 30}"#,
    ),
    ("AWS::SSM::Parameter", r#"{"DataType": "text"}"#),
    (
        "AWS::StepFunctions::StateMachine",
        r#"{"StateMachineType": "STANDARD", "LoggingConfiguration": {"Level": "OFF", "IncludeExecutionData": false}, "TracingConfiguration": {"Enabled": false}}"#,
    ),
];

/// A resource as it comes to be: what was asked for, and what AWS adds. Gives its identifier, too.
pub fn minted(schema: &Schema, region: &str, asked: &Value) -> (Value, String) {
    let mut model = asked.clone();
    let defaults = DEFAULTS.iter().find(|(type_name, _)| *type_name == schema.type_name);
    let defaults: Map<String, Value> =
        defaults.and_then(|(_, text)| serde_json::from_str(text).ok()).unwrap_or_default();
    for (name, value) in defaults {
        if model[&name].is_null() {
            model[&name] = value;
        }
    }
    if let Some(property) = schema.name.as_ref().filter(|property| model[property.as_str()].is_null()) {
        model[property.as_str()] = given_name(schema).into();
    }
    let id = id(schema, region);
    for path in &schema.read_only {
        if value_at(&model, path).is_none()
            && let Some(value) = attribute(schema, region, &model, path, &id)
        {
            put(&mut model, path, value);
        }
    }
    let identifier = identifier(schema, &model, &id);
    (model, identifier)
}

/// What Cloud Control calls a resource, by its properties; `otherwise` stands for one that is not among them.
pub fn identifier(schema: &Schema, model: &Value, otherwise: &str) -> String {
    let parts = schema.identifier.iter().map(|path| match value_at(model, path) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => otherwise.to_owned(),
    });
    parts.collect::<Vec<_>>().join("|")
}

/// The ARN of a resource.
pub fn arn(schema: &Schema, region: &str, model: &Value, identifier: &str) -> String {
    let own = schema.read_only.iter().chain(&schema.identifier).find_map(|path| {
        let text = value_at(model, path)?.as_str()?;
        text.starts_with("arn:").then(|| text.to_owned())
    });
    own.unwrap_or_else(|| made_arn(schema, region, model, identifier))
}

/// Puts into what is shown of a REST API where the local cloud serves it (`apigateway::requests`), which on AWS follows from its id.
pub fn serve(schema: &Schema, model: &mut Value, id: &str, authority: &str) {
    if schema.type_name.ends_with("::RestApi") {
        model["ApiEndpoint"] = format!("http://{authority}/{id}").into();
    }
}

fn made_arn(schema: &Schema, region: &str, model: &Value, id: &str) -> String {
    let name = schema.name.as_ref().and_then(|property| model[property.as_str()].as_str()).unwrap_or(id);
    if schema.type_name.ends_with("::RestApi") {
        return format!("arn:aws:apigateway:{region}::/restapis/{id}");
    }
    if schema.type_name.ends_with("::ApiGateway::Stage") {
        return format!("arn:aws:apigateway:{region}::/restapis/{}", id.replace('|', "/stages/"));
    }
    let service =
        schema.actions("create").iter().find_map(|action| action.split_once(':')).map_or("aws", |(service, _)| service);
    let short = schema.type_name.rsplit("::").next().unwrap_or_default().to_lowercase();
    let known = ARNS.iter().find(|(of, ..)| *of == schema.type_name);
    // An id of the service's own is in the ARN, not the name ("API Gateway Amazon Resource Name (ARN) reference").
    if service == "apigateway" && known.is_none() && !id.contains('|') {
        return format!("arn:aws:apigateway:{region}::/{short}s/{id}");
    }
    let (service, before) =
        known.map_or((service, format!("{short}/")), |(_, service, before)| (service, (*before).to_owned()));
    let bus = model["EventBusName"].as_str().filter(|bus| schema.type_name == "AWS::Events::Rule" && *bus != "default");
    let name = match (schema.type_name, bus) {
        (_, Some(bus)) => format!("{}/{name}", bus.rsplit('/').next().unwrap_or(bus)),
        // Six letters, so that a secret that comes again is another one (Secrets Manager user guide, "Secret ARN").
        ("AWS::SecretsManager::Secret", _) => format!("{name}-{}", &random(32)[..6]),
        // `application/ID/environment/ID`, as services have it whose resources lie in others.
        _ if id.contains('|') => {
            let kind = |path: &String| match path.to_lowercase().trim_end_matches("id") {
                "" => short.clone(),
                kind => kind.to_owned(),
            };
            let pairs = schema.identifier.iter().zip(id.split('|')).map(|(path, id)| format!("{}/{id}", kind(path)));
            return CloudContext::arn(service, region, &pairs.collect::<Vec<_>>().join("/"));
        }
        // A name that is a path begins with the slash that is in the ARN already.
        _ => name.trim_start_matches('/').to_owned(),
    };
    CloudContext::arn(service, region, &format!("{before}{name}"))
}

/// The value that AWS gives one of its own properties; `None` for those that stay empty.
fn attribute(schema: &Schema, region: &str, model: &Value, path: &str, id: &str) -> Option<Value> {
    let name = schema.name.as_ref().and_then(|property| model[property.as_str()].as_str()).unwrap_or(id);
    match (schema.type_name, path) {
        ("AWS::SQS::Queue", "QueueUrl") => {
            return Some(format!("https://sqs.{region}.amazonaws.com/{ACCOUNT}/{name}").into());
        }
        // (SNS API reference, `Subscribe`.)
        ("AWS::SNS::Subscription", "Arn") => return Some(format!("{}:{id}", model["TopicArn"].as_str()?).into()),
        ("AWS::EC2::VPC", "DefaultNetworkAcl") => return Some(prefixed("acl").into()),
        ("AWS::EC2::VPC", "DefaultSecurityGroup") => return Some(prefixed("sg").into()),
        ("AWS::EKS::Nodegroup", "Id") => return Some(format!("{}/{name}", model["ClusterName"].as_str()?).into()),
        ("AWS::SecretsManager::Secret", "Id") => return Some(made_arn(schema, region, model, id).into()),
        ("AWS::Cognito::UserPool", "ProviderName") => {
            return Some(format!("cognito-idp.{region}.amazonaws.com/{id}").into());
        }
        ("AWS::Cognito::UserPool", "ProviderURL") => {
            return Some(format!("https://cognito-idp.{region}.amazonaws.com/{id}").into());
        }
        _ => {}
    }
    let last = path.rsplit('.').next().unwrap_or(path);
    let ends = |words: &[&str]| words.iter().any(|word| last.to_lowercase().ends_with(word));
    let service = schema.type_name.split("::").nth(1).unwrap_or_default().to_lowercase();
    Some(match schema.shape_of(path)? {
        Shape::Text(rule) if !rule.one_of.is_empty() => {
            let settled = rule
                .one_of
                .iter()
                .find(|value| ["ACTIVE", "AVAILABLE", "READY", "ENABLED"].contains(&value.to_uppercase().as_str()));
            settled.unwrap_or(&rule.one_of[0]).as_str().into()
        }
        Shape::Text(_) if ends(&["arn"]) => made_arn(schema, region, model, id).into(),
        Shape::Text(_) if ends(&["rulename"]) => name.into(),
        Shape::Text(_) if ends(&["url", "uri"]) => format!("https://{service}.{region}.amazonaws.com/{name}").into(),
        Shape::Text(_) if ends(&["endpoint", "domainname", "address"]) => {
            format!("{name}.{service}.{region}.amazonaws.com").into()
        }
        Shape::Text(_) if ends(&["time", "date", "createdat", "updatedat", "modifiedat"]) => {
            iso8601(now_millis()).into()
        }
        Shape::Text(_) if ends(&["status", "state"]) => "ACTIVE".into(),
        Shape::Text(_) if ends(&["version", "versionid"]) => "1".into(),
        Shape::Text(_) if ends(&["accountid", "ownerid"]) => ACCOUNT.into(),
        Shape::Text(_) => id.into(),
        Shape::Integer | Shape::Number => 1.into(),
        Shape::Boolean => false.into(),
        _ => return None,
    })
}

/// An id in the form of the type's own.
fn id(schema: &Schema, region: &str) -> String {
    match schema.type_name {
        "AWS::KMS::Key" => Uuid::new_v4().to_string(),
        "AWS::Cognito::UserPool" => format!("{region}_{}", &random(32)[..9]),
        other => match PREFIXES.iter().find(|(of, _)| *of == other) {
            Some((_, prefix)) => prefixed(prefix),
            None => random(10),
        },
    }
}

fn prefixed(prefix: &str) -> String {
    format!("{prefix}-{}", random(17))
}

fn given_name(schema: &Schema) -> String {
    let short = schema.type_name.rsplit("::").next().unwrap_or_default().to_lowercase();
    format!("{short}-{}", random(12))
}

/// Random lower-case digits and letters.
fn random(length: usize) -> String {
    Uuid::new_v4().simple().to_string().chars().take(length).collect()
}

/// Puts a value at a path, making the maps above it; in a list into each of its elements.
fn put(model: &mut Value, path: &str, value: Value) {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    match model {
        Value::Array(items) => items.iter_mut().for_each(|item| put(item, path, value.clone())),
        model => {
            if !model.is_object() {
                *model = json!({});
            }
            match rest {
                Some(rest) => put(&mut model[name], rest, value),
                None => model[name] = value,
            }
        }
    }
}
