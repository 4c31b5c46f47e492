//! Events that a service sends to the function. The service is permitted to invoke it, and told to.

use serde_json::{Map, Value, json};

use super::super::super::intrinsics;
use super::super::expansion::{Expansion, made};
use super::super::parameters::Parameters;
use super::super::shape::{Property, Shape, truthy};
use super::{Event, EventType, Role, Target, pull, queue_policy};
use crate::core::words::{Path, Problem, ProblemKind};

pub const ALEXA_SKILL: EventType = EventType {
    name: "AlexaSkill",
    properties: &[&[Property::translated("SkillId", Shape::Text)]],
    required: &[],
    expand: |expansion, event, target, _| {
        let skill = event.get("SkillId").map(|skill| ("EventSourceToken", skill));
        let id = event.permit(expansion, &event.id, target, "alexa-appkit.amazon.com", skill.as_slice());
        expansion.note(made(&id).key("EventSourceToken"), &event.place("SkillId"));
    },
};

pub const CLOUD_WATCH_LOGS: EventType = EventType {
    name: "CloudWatchLogs",
    properties: &[&[Property::passed("FilterPattern", Shape::Text), Property::passed("LogGroupName", Shape::Text)]],
    required: &["LogGroupName", "FilterPattern"],
    expand: |expansion, event, target, _| {
        let group = json!({ "Fn::Sub": [
            format!("arn:{}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:${{__LogGroupName__}}:*", expansion.context.partition),
            { "__LogGroupName__": event.get("LogGroupName") },
        ] });
        let permission = event.permit(expansion, &event.id, target, "logs.amazonaws.com", &[("SourceArn", &group)]);
        let mut filter = event.passed();
        filter.insert("DestinationArn".to_owned(), target.arn.clone());
        event.make(expansion, &event.id, "AWS::Logs::SubscriptionFilter", filter.into());
        // It is tried out when it is created.
        if let Some((_, filter)) = expansion.made.last_mut() {
            filter.depends_on = Some(json!([permission]));
        }
    },
};

pub const IOT_RULE: EventType = EventType {
    name: "IoTRule",
    properties: &[&[Property::translated("AwsIotSqlVersion", Shape::Text), Property::translated("Sql", Shape::Text)]],
    required: &["Sql"],
    expand: |expansion, event, target, _| {
        let rule = json!({ "Fn::Sub": [
            format!("arn:{}:iot:${{AWS::Region}}:${{AWS::AccountId}}:rule/${{RuleName}}", expansion.context.partition),
            { "RuleName": { "Ref": event.id } },
        ] });
        let account = json!({ "Fn::Sub": "${AWS::AccountId}" });
        let conditions = [("SourceArn", &rule), ("SourceAccount", &account)];
        event.permit(expansion, &event.id, target, "iot.amazonaws.com", &conditions);
        let mut payload = json!({
            "Sql": event.get("Sql"),
            "RuleDisabled": false,
            "Actions": [{ "Lambda": { "FunctionArn": target.arn } }],
        });
        if let Some(version) = event.given("AwsIotSqlVersion") {
            payload["AwsIotSqlVersion"] = version.clone();
        }
        event.make(expansion, &event.id, "AWS::IoT::TopicRule", json!({ "TopicRulePayload": payload }));
        expansion.note(made(&event.id).key("TopicRulePayload"), &event.path.key("Properties"));
    },
};

pub const COGNITO: EventType = EventType {
    name: "Cognito",
    properties: &[&[Property::translated("Trigger", Shape::Texts), Property::translated("UserPool", Shape::Text)]],
    required: &["UserPool", "Trigger"],
    expand: |expansion, event, target, _| {
        let Some(pool) = linked(expansion, event, "UserPool", "AWS::Cognito::UserPool", "a Cognito UserPool") else {
            return;
        };
        let arn = json!({ "Fn::GetAtt": [pool, "Arn"] });
        let prefix = format!("{}Cognito", target.id);
        event.permit(expansion, &prefix, target, "cognito-idp.amazonaws.com", &[("SourceArn", &arn)]);
        let trigger = event.get("Trigger").cloned().unwrap_or_default();
        let written = Path::default().key("Resources").key(&pool).key("Properties").key("LambdaConfig");
        for trigger in texts(&trigger) {
            let Some(pool) = expansion.template.resources.get_mut(&pool) else { return };
            let config = pool.properties.entry("LambdaConfig").or_insert_with(|| json!({}));
            let Some(config) = config.as_object_mut() else {
                expansion.report(Problem::new(written, "LambdaConfig must be a map").kind(ProblemKind::IllTyped));
                return;
            };
            if config.contains_key(trigger) {
                let what = format!("the Cognito trigger \"{trigger}\" is defined multiple times");
                expansion.report(Problem::new(event.place("Trigger"), what).kind(ProblemKind::Duplicate));
                return;
            }
            config.insert(trigger.to_owned(), target.arn.clone());
            expansion.note(written.key(trigger), &event.place("Trigger"));
        }
    },
};

pub const S3: EventType = EventType {
    name: "S3",
    properties: &[&[
        Property::translated("Bucket", Shape::Text),
        Property::translated("Events", Shape::Texts),
        Property::translated("Filter", Shape::MapOfTexts),
    ]],
    required: &["Bucket", "Events"],
    expand: |expansion, event, target, _| {
        let Some(bucket) = linked(expansion, event, "Bucket", "AWS::S3::Bucket", "an S3 bucket") else { return };
        let account = json!({ "Ref": "AWS::AccountId" });
        let permission = event.permit(expansion, &event.id, target, "s3.amazonaws.com", &[("SourceAccount", &account)]);
        depend(expansion, &bucket, &permission);
        notify(expansion, event, target, &bucket);
    },
};

/// The logical id of the resource that the property `name` refers to, which must be of `type_name`, and in the template.
fn linked(expansion: &mut Expansion<'_>, event: &Event, name: &str, type_name: &str, noun: &str) -> Option<String> {
    let id = event.get(name).and_then(|value| value.get("Ref")).and_then(Value::as_str);
    let resource = id.and_then(|id| expansion.template.resources.get(id));
    if let (Some(id), Some(resource)) = (id, resource)
        && resource.type_name == type_name
    {
        expansion.linked.insert(id.to_owned());
        return Some(id.to_owned());
    }
    if !id.is_some_and(|id| expansion.template.is_broken(id)) {
        let what = format!("{} events must reference {noun} in the same template", event.kind.name);
        let problem = Problem::new(event.place(name), what).kind(ProblemKind::BadReference);
        expansion.report(problem.help(format!("!Ref and the logical id of a resource of the type {type_name}")));
    }
    None
}

/// Creates the bucket after the permission: S3 asks whether it may invoke a function before it takes the notification.
fn depend(expansion: &mut Expansion<'_>, bucket: &str, permission: &str) {
    let condition = expansion.resource.condition.clone();
    let path = Path::default().key("Resources").key(bucket);
    let Some(resource) = expansion.template.resources.get_mut(bucket) else { return };
    let Some(condition) = condition else {
        let mut needed: Vec<String> =
            resource.dependencies().iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
        needed.push(permission.to_owned());
        needed.sort();
        needed.dedup();
        resource.depends_on = Some(needed.into());
        return;
    };
    // What may not exist cannot be depended on; what refers to it under the same condition waits for it.
    let tags = resource.properties.entry("Tags").or_insert_with(|| json!([]));
    match tags.as_array_mut() {
        Some(tags) => tags.push(json!({
            "Key": format!("sam:ConditionalDependsOn:{permission}"),
            "Value": { "Fn::If": [condition, { "Ref": permission }, "no dependency"] },
        })),
        None => {
            let what = "Tags must be a list, so that SAM can add one for the S3 event of a function with a condition";
            expansion.report(Problem::new(path.key("Properties").key("Tags"), what).kind(ProblemKind::IllTyped));
        }
    }
}

/// Adds what `event` wants to hear of to the notifications of `bucket`.
fn notify(expansion: &mut Expansion<'_>, event: &Event, target: &Target, bucket: &str) {
    let condition = expansion.resource.condition.clone();
    let path = Path::default().key("Resources").key(bucket).key("Properties").key("NotificationConfiguration");
    let Some(resource) = expansion.template.resources.get_mut(bucket) else { return };
    let configuration = resource.properties.entry("NotificationConfiguration").or_insert_with(|| json!({}));
    let Some(configuration) = configuration.as_object_mut() else {
        let what = "NotificationConfiguration must be a map";
        expansion.report(Problem::new(path, what).kind(ProblemKind::IllTyped));
        return;
    };
    let path = path.key("LambdaConfigurations");
    let Some(functions) = configuration.entry("LambdaConfigurations").or_insert_with(|| json!([])).as_array_mut()
    else {
        let what = "LambdaConfigurations must be a list";
        expansion.report(Problem::new(path, what).kind(ProblemKind::IllTyped));
        return;
    };
    let mut places = Vec::new();
    for name in event.get("Events").into_iter().flat_map(texts) {
        let mut notification = Map::from_iter([("Function".to_owned(), target.arn.clone())]);
        notification.extend(event.get("Filter").map(|filter| ("Filter".to_owned(), filter.clone())));
        notification.insert("Event".to_owned(), name.into());
        let notification = match &condition {
            Some(condition) => json!({ "Fn::If": [condition, notification, { "Ref": "AWS::NoValue" }] }),
            None => notification.into(),
        };
        if !functions.contains(&notification) {
            places.push(path.index(functions.len()));
            functions.push(notification);
        }
    }
    for place in places {
        expansion.note(place, &event.path.key("Properties"));
    }
}

/// A text, or the texts of a list.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let many = value.as_array().into_iter().flatten();
    many.chain(value.is_string().then_some(value)).filter_map(Value::as_str)
}

pub const SNS: EventType = EventType {
    name: "SNS",
    properties: &[&[
        Property::passed("FilterPolicy", Shape::Any),
        Property::passed("FilterPolicyScope", Shape::Any),
        Property::passed("RedrivePolicy", Shape::Map),
        Property::passed("Region", Shape::Text),
        Property::translated("SqsSubscription", Shape::BoolOrMap),
        Property::translated("Topic", Shape::Text),
    ]],
    required: &["Topic"],
    expand: |expansion, event, target, role| {
        let topic = event.get("Topic").cloned().unwrap_or_default();
        let (protocol, endpoint) = match event.given("SqsSubscription") {
            None => {
                event.permit(expansion, &event.id, target, "sns.amazonaws.com", &[("SourceArn", &topic)]);
                ("lambda", target.arn.clone())
            }
            Some(given) => match queue(expansion, event, target, role, &topic, given) {
                Some(queue) => ("sqs", queue),
                None => return,
            },
        };
        let mut subscription = event.passed();
        subscription.insert("Protocol".to_owned(), protocol.into());
        subscription.insert("Endpoint".to_owned(), endpoint);
        subscription.insert("TopicArn".to_owned(), topic);
        event.make(expansion, &event.id, "AWS::SNS::Subscription", subscription.into());
        expansion.note(made(&event.id).key("TopicArn"), &event.place("Topic"));
    },
};

/// Puts a queue between the topic and the function: a new one, or the one that is `given`. Returns its ARN.
fn queue(
    expansion: &mut Expansion<'_>,
    event: &Event,
    target: &Target,
    role: &mut Role,
    topic: &Value,
    given: &Value,
) -> Option<Value> {
    let (arn, url) = if given.is_boolean() {
        let id = format!("{}Queue", event.id);
        let mut queue = json!({});
        if let Some(fifo) = fifo(expansion, topic) {
            queue["FifoQueue"] = fifo;
        }
        event.make(expansion, &id, "AWS::SQS::Queue", queue);
        (json!({ "Fn::GetAtt": [id, "Arn"] }), json!({ "Ref": id }))
    } else {
        let named = |name: &str| given.get(name).filter(|value| truthy(value)).cloned();
        let (Some(arn), Some(url)) = (named("QueueArn"), named("QueueUrl")) else {
            event.problem(expansion, "SqsSubscription", "SqsSubscription as a map needs a QueueArn and a QueueUrl");
            return None;
        };
        (arn, url)
    };
    let mapping = json!({
        "FunctionName": target.called,
        "EventSourceArn": arn,
        "BatchSize": given.get("BatchSize").filter(|size| truthy(size)).cloned().unwrap_or_else(|| 10.into()),
        "Enabled": true,
    });
    event.make(expansion, &format!("{}EventSourceMapping", event.id), "AWS::Lambda::EventSourceMapping", mapping);
    role.attach(expansion, event, pull::SQS_POLICY);
    let policy = queue_policy(&url, &arn, json!("*"), json!(topic));
    let id = given.get("QueuePolicyLogicalId").and_then(Value::as_str).filter(|id| !id.is_empty());
    let id = id.map_or_else(|| format!("{}QueuePolicy", event.id), str::to_owned);
    event.make(expansion, &id, "AWS::SQS::QueuePolicy", policy);
    Some(arn)
}

/// Whether the topic keeps the order of its messages, if the template says so.
fn fifo(expansion: &Expansion<'_>, topic: &Value) -> Option<Value> {
    let fifo = expansion.template.resources.get(intrinsics::referred(topic)?)?.properties.get("FifoTopic")?;
    let parameters = Parameters { template: expansion.template, context: expansion.context };
    parameters.resolve(fifo).ok().filter(truthy)
}
