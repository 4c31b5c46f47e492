//! Events that Lambda itself reads: queues and streams. Each becomes an event source mapping, and the function's role may
//! read the source.

use serde_json::{Map, Value, json};

use super::super::super::intrinsics;
use super::super::expansion::Expansion;
use super::super::shape::{Property, Shape, truthy};
use super::{Event, EventType, Role, Target, allow};
use crate::core::words::{Problem, ProblemKind};

/// What all of them have, whether it makes sense for them or not: Lambda says so.
const COMMON: &[Property] = &[
    Property::passed("BatchSize", Shape::Number),
    Property::passed("BisectBatchOnFunctionError", Shape::Bool),
    Property::translated("ConsumerGroupId", Shape::Text),
    Property::translated("DestinationConfig", Shape::Map),
    Property::passed("Enabled", Shape::Bool),
    Property::passed("FilterCriteria", Shape::Map),
    Property::passed("FunctionResponseTypes", Shape::Items),
    Property::translated("KafkaBootstrapServers", Shape::Items),
    Property::passed("KmsKeyArn", Shape::Any),
    Property::passed("LoggingConfig", Shape::Map),
    Property::passed("MaximumBatchingWindowInSeconds", Shape::Number),
    Property::passed("MaximumRecordAgeInSeconds", Shape::Number),
    Property::passed("MaximumRetryAttempts", Shape::Number),
    Property::passed("MetricsConfig", Shape::Map),
    Property::passed("ParallelizationFactor", Shape::Number),
    Property::passed("ProvisionedPollerConfig", Shape::Map),
    Property::passed("Queues", Shape::Items),
    Property::passed("ScalingConfig", Shape::Map),
    Property::later("SchemaRegistryConfig"),
    Property::translated("SecretsManagerKmsKeyId", Shape::Text),
    Property::passed("SourceAccessConfigurations", Shape::Items),
    Property::passed("StartingPosition", Shape::Any),
    Property::passed("StartingPositionTimestamp", Shape::Any),
    Property::passed("Topics", Shape::Items),
    Property::passed("TumblingWindowInSeconds", Shape::Number),
];

const STREAM: &[Property] = &[Property::translated("Stream", Shape::Any)];

pub const SQS: EventType = EventType {
    name: "SQS",
    properties: &[COMMON, &[Property::translated("Queue", Shape::Any)]],
    required: &["Queue"],
    expand: |expansion, event, target, role| {
        map(expansion, event, target, role, "Queue", Map::new());
        role.attach(expansion, event, SQS_POLICY);
    },
};

/// What a function that reads a queue may do.
pub const SQS_POLICY: &str = "AWSLambdaSQSQueueExecutionRole";

pub const DYNAMO_DB: EventType = EventType {
    name: "DynamoDB",
    properties: &[COMMON, STREAM],
    required: &["Stream", "StartingPosition"],
    expand: |expansion, event, target, role| {
        map(expansion, event, target, role, "Stream", Map::new());
        role.attach(expansion, event, "AWSLambdaDynamoDBExecutionRole");
    },
};

pub const KINESIS: EventType = EventType {
    name: "Kinesis",
    properties: &[COMMON, STREAM],
    required: &["Stream", "StartingPosition"],
    expand: |expansion, event, target, role| {
        map(expansion, event, target, role, "Stream", Map::new());
        role.attach(expansion, event, "AWSLambdaKinesisExecutionRole");
    },
};

pub const MSK: EventType = EventType {
    name: "MSK",
    properties: &[COMMON, STREAM],
    required: &["Stream", "StartingPosition"],
    expand: |expansion, event, target, role| {
        let group = event.given("ConsumerGroupId").map(|group| json!({ "ConsumerGroupId": group }));
        let config = group.map(|group| ("AmazonManagedKafkaEventSourceConfig".to_owned(), group));
        role.attach(expansion, event, "AWSLambdaMSKExecutionRole");
        let access = event.given("SourceAccessConfigurations").and_then(Value::as_array).into_iter().flatten();
        let certificates = access.filter(|access| access["Type"] == "CLIENT_CERTIFICATE_TLS_AUTH");
        let secrets = certificates.filter_map(|access| access.get("URI")).filter(|uri| truthy(uri));
        let statements: Vec<Value> = secrets.map(|uri| statement(&["secretsmanager:GetSecretValue"], uri)).collect();
        if !statements.is_empty() {
            role.add(expansion, event, "MSKExecutionRolePolicy", json!({ "Statement": statements }));
        }
        map(expansion, event, target, role, "Stream", config.into_iter().collect());
    },
};

pub const MQ: EventType = EventType {
    name: "MQ",
    properties: &[
        COMMON,
        &[Property::translated("Broker", Shape::Any), Property::translated("DynamicPolicyName", Shape::PlainBool)],
    ],
    required: &["Broker"],
    expand: |expansion, event, target, role| {
        let Some(secret) = basic_auth(expansion, event, &["BASIC_AUTH", "VIRTUAL_HOST"]) else { return };
        let mut statements = vec![
            statement(&["secretsmanager:GetSecretValue"], &secret),
            statement(&["mq:DescribeBroker"], event.get("Broker").unwrap_or(&Value::Null)),
        ];
        statements.extend(decrypts(expansion, event, json!("kms:Decrypt")));
        let name = match event.given("DynamicPolicyName") {
            Some(_) => format!("{}AMQPolicy", event.id),
            None => "SamAutoGeneratedAMQPolicy".to_owned(),
        };
        role.add(expansion, event, &name, json!({ "Statement": statements }));
        map(expansion, event, target, role, "Broker", Map::new());
    },
};

pub const DOCUMENT_DB: EventType = EventType {
    name: "DocumentDB",
    properties: &[
        COMMON,
        &[
            Property::translated("Cluster", Shape::Any),
            Property::translated("CollectionName", Shape::Any),
            Property::translated("DatabaseName", Shape::Any),
            Property::translated("FullDocument", Shape::Any),
        ],
    ],
    required: &["Cluster", "DatabaseName"],
    expand: |expansion, event, target, role| {
        let mut config = json!({ "DatabaseName": event.get("DatabaseName") });
        for name in ["CollectionName", "FullDocument"] {
            if let Some(value) = event.given(name) {
                config[name] = value.clone();
            }
        }
        let config = Map::from_iter([("DocumentDBEventSourceConfig".to_owned(), config)]);
        let Some(secret) = basic_auth(expansion, event, &["BASIC_AUTH"]) else { return };
        let arn = |rest: &str| {
            let arn = format!("arn:${{AWS::Partition}}:rds:${{AWS::Region}}:${{AWS::AccountId}}:{rest}:*");
            json!({ "Fn::Sub": arn })
        };
        let mut statements = vec![
            statement(&["secretsmanager:GetSecretValue"], &secret),
            statement(&["rds:DescribeDBClusterParameters"], &arn("cluster-pg")),
            statement(&["rds:DescribeDBSubnetGroups"], &arn("subgrp")),
            statement(&["rds:DescribeDBClusters"], event.get("Cluster").unwrap_or(&Value::Null)),
            statement(
                &[
                    "ec2:CreateNetworkInterface",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DeleteNetworkInterface",
                    "ec2:DescribeVpcs",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeSecurityGroups",
                ],
                &json!("*"),
            ),
        ];
        statements.extend(decrypts(expansion, event, json!(["kms:Decrypt"])));
        role.add(expansion, event, "SamAutoGeneratedDocumentDBPolicy", json!({ "Statement": statements }));
        map(expansion, event, target, role, "Cluster", config);
    },
};

fn statement(actions: &[&str], resource: &Value) -> Value {
    json!({ "Action": actions, "Effect": "Allow", "Resource": resource })
}

/// Creates the event source mapping, whose source the property `source` names, with what `more` says.
fn map(
    expansion: &mut Expansion<'_>,
    event: &Event,
    target: &Target,
    role: &mut Role,
    source: &str,
    more: Map<String, Value>,
) {
    if let Some(filters) = event.given("FilterCriteria")
        && intrinsics::call(filters).is_none()
        && filters.as_object().is_some_and(|filters| filters.keys().any(|key| key != "Filters"))
    {
        event.problem(
            expansion,
            "FilterCriteria",
            "FilterCriteria has the one property Filters: this is a wrong format",
        );
    }
    if event.given("ConsumerGroupId").is_some() && event.kind.name != "MSK" {
        let what = format!("the property ConsumerGroupId is not defined for events of the type {}", event.kind.name);
        expansion.report(Problem::of_key(event.place("ConsumerGroupId"), what));
    }
    let mut mapping = event.passed();
    mapping.extend(more);
    mapping.insert("FunctionName".to_owned(), target.called.clone());
    mapping.extend(event.get(source).map(|arn| ("EventSourceArn".to_owned(), arn.clone())));
    if let Some(servers) = event.given("KafkaBootstrapServers") {
        let servers = json!({ "Endpoints": { "KafkaBootstrapServers": servers } });
        mapping.insert("SelfManagedEventSource".to_owned(), servers);
    }
    let policy = event.given("DestinationConfig").and_then(|config| {
        let mut config = config.clone();
        let policy = destination(expansion, event, &mut config);
        mapping.insert("DestinationConfig".to_owned(), config);
        policy
    });
    event.make(expansion, &event.id, "AWS::Lambda::EventSourceMapping", mapping.into());
    expansion.note(super::made(&event.id).key("EventSourceArn"), &event.place(source));
    if let Some((name, document)) = policy {
        role.add(expansion, event, &name, document);
    }
}

/// Takes the `Type` out of where what could not be processed is sent: it is there for SAM alone, which lets the function
/// send there. Returns the policy's name and document.
fn destination(expansion: &mut Expansion<'_>, event: &Event, config: &mut Value) -> Option<(String, Value)> {
    let place = event.place("DestinationConfig");
    let Some(failure) = config.get_mut("OnFailure").and_then(Value::as_object_mut) else {
        let what = "DestinationConfig needs the property OnFailure, a map";
        expansion.report(Problem::new(place, what).kind(ProblemKind::Missing));
        return None;
    };
    let kind = failure.get("Type").filter(|kind| truthy(kind)).cloned()?;
    failure.shift_remove("Type");
    let arn = failure.get("Destination").cloned().unwrap_or_default();
    let policy = |suffix: &str, document| Some((format!("{}{suffix}", event.id), document));
    match kind.as_str() {
        Some("SQS") => policy("SQSPolicy", allow("sqs:SendMessage", &arn)),
        Some("SNS") => policy("SNSPolicy", allow("sns:publish", &arn)),
        Some("S3") => policy("S3Policy", writes_to_bucket(&arn)),
        Some("Kafka") => None,
        _ => {
            let what = "the valid values for 'Type' are 'SQS', 'SNS', 'S3', and 'Kafka'";
            expansion.report(Problem::new(place.key("OnFailure").key("Type"), what));
            None
        }
    }
}

/// What lets Lambda write an invocation's record into the bucket `arn`.
pub fn writes_to_bucket(arn: &Value) -> Value {
    json!({ "Statement": [
        { "Action": "s3:PutObject", "Effect": "Allow", "Resource": { "Fn::Join": ["/", [arn, "*"]] } },
        { "Action": "s3:ListBucket", "Effect": "Allow", "Resource": arn },
    ] })
}

/// The secret with which a broker or cluster is read, among its `SourceAccessConfigurations`, all of which must be of one
/// of the types `known`.
fn basic_auth(expansion: &mut Expansion<'_>, event: &Event, known: &[&str]) -> Option<Value> {
    const PROPERTY: &str = "SourceAccessConfigurations";
    let place = event.place(PROPERTY);
    let kind = event.kind.name;
    let Some(Value::Array(given)) = event.given(PROPERTY) else {
        event.problem_of_all(expansion, format!("events of the type {kind} need {PROPERTY}"));
        return None;
    };
    let mut found = None;
    for (index, access) in given.iter().enumerate() {
        let place = place.index(index);
        match access.get("Type").and_then(Value::as_str) {
            Some("BASIC_AUTH") if found.is_some() => {
                let what = format!("{PROPERTY} has multiple entries of the Type BASIC_AUTH");
                expansion.report(Problem::new(place, what).kind(ProblemKind::Duplicate));
                return None;
            }
            Some("BASIC_AUTH") => match access.get("URI").filter(|uri| truthy(uri)) {
                Some(uri) => found = Some(uri.clone()),
                None => {
                    let what = "BASIC_AUTH needs a URI: the secret's ARN";
                    expansion.report(Problem::new(place, what).kind(ProblemKind::Missing));
                    return None;
                }
            },
            Some(other) if known.contains(&other) => {}
            _ => {
                let what = format!("an entry of {PROPERTY} needs a Type: {}", known.join(" or "));
                expansion.report(Problem::new(place, what));
                return None;
            }
        }
    }
    if found.is_none() {
        expansion.report(Problem::new(place, format!("{PROPERTY} needs an entry of the Type BASIC_AUTH")));
    }
    found
}

/// The statement that allows `action`, decryption, with the key of the secret, if it has one of its own.
fn decrypts(expansion: &mut Expansion<'_>, event: &Event, action: Value) -> Option<Value> {
    let key = event.given("SecretsManagerKmsKeyId")?;
    let Some(key) = key.as_str() else {
        let what = "SecretsManagerKmsKeyId must be a string; an intrinsic function is not supported here";
        event.problem(expansion, "SecretsManagerKmsKeyId", what);
        return None;
    };
    let arn = format!("arn:${{AWS::Partition}}:kms:${{AWS::Region}}:${{AWS::AccountId}}:key/{key}");
    Some(json!({ "Action": action, "Effect": "Allow", "Resource": { "Fn::Sub": arn } }))
}
