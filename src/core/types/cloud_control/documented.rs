//! Limits of types that AWS Cloud Control provisions which only documentation states, not their schemas: AWS refuses what breaks them in
//! the middle of a run.

use serde_json::Value;

use super::{QUEUE, below};
use crate::core::events::schedule::Schedule;
use crate::core::types::constraints::Refusal;
use crate::core::types::{ResourceView, StackView};
use crate::core::words::{Path, Problem, Token};

/// The numbers that a queue takes (SQS API reference, `SetQueueAttributes`).
const QUEUE_NUMBERS: &[(&str, i64, i64)] = &[
    ("DelaySeconds", 0, 900),
    ("MaximumMessageSize", 1_024, 1_048_576),
    ("MessageRetentionPeriod", 60, 1_209_600),
    ("ReceiveMessageWaitTimeSeconds", 0, 20),
    ("VisibilityTimeout", 0, 43_200),
];

/// What AWS refuses in one resource's properties.
pub(super) fn refuses(type_name: &str, properties: &Value) -> Vec<Refusal> {
    let problems: Vec<Problem> = match type_name {
        QUEUE => {
            let numbers = QUEUE_NUMBERS.iter().filter_map(|limits| number(properties, limits));
            numbers.chain(fifo_name(properties, "QueueName", "FifoQueue")).collect()
        }
        "AWS::SNS::Topic" => fifo_name(properties, "TopicName", "FifoTopic").into_iter().collect(),
        "AWS::S3::Bucket" => bucket_name(properties).into_iter().collect(),
        "AWS::Events::Rule" => schedule(properties, Schedule::of_rule).into_iter().collect(),
        "AWS::Scheduler::Schedule" => schedule(properties, Schedule::of_scheduler).into_iter().collect(),
        _ => Vec::new(),
    };
    problems.into_iter().map(Refusal::from).collect()
}

/// A queue's messages go to a queue of its own kind (SQS developer guide, "Using dead-letter queues").
pub(super) fn conflicts(type_name: &str, stack: &dyn StackView) -> Vec<Problem> {
    let other_kind = |queue: ResourceView<'_>| {
        let policy = &queue.properties["RedrivePolicy"];
        // The policy may be written as a text, too.
        let read = policy.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let arn = read.as_ref().unwrap_or(policy)["deadLetterTargetArn"].as_str()?.to_owned();
        let name = arn.rsplit(':').next().filter(|name| !name.is_empty())?;
        let dead = stack.of(QUEUE).find(|one| one.name == Some(name))?;
        let (is_fifo, dead_is_fifo) = (is_fifo(queue.properties), is_fifo(dead.properties));
        let path = queue.path_of("RedrivePolicy");
        let kind = |is_fifo| if is_fifo { "a FIFO queue" } else { "a standard queue" };
        let (id, dead, own) = (queue.logical_id, dead.logical_id, kind(is_fifo));
        let what =
            format!("{id} is {own}, and its dead-letter queue {dead} is {}, which SQS refuses", kind(dead_is_fifo));
        (is_fifo != dead_is_fifo).then(|| Problem::of_key(path, what).help(format!("make {dead} {own}, too")))
    };
    if type_name == QUEUE { stack.of(QUEUE).filter_map(other_kind).collect() } else { Vec::new() }
}

fn is_fifo(queue: &Value) -> bool {
    is_true(&queue["FifoQueue"])
}

/// Whether a value is true, as CloudFormation reads it.
fn is_true(value: &Value) -> bool {
    value == true || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// A text without unknown parts.
fn text<'v>(properties: &'v Value, name: &str) -> Option<&'v str> {
    properties[name].as_str().filter(|text| !Token::is_in(text))
}

fn problem(name: &str, what: String, help: &str) -> Problem {
    let path = below(name);
    Problem::new(path.clone(), what).depending_on_values([path]).help(help)
}

fn number(properties: &Value, (name, least, most): &(&str, i64, i64)) -> Option<Problem> {
    let given = match &properties[*name] {
        Value::String(text) => text.parse().ok()?,
        other => other.as_i64()?,
    };
    let path: Path = below(name);
    let what = format!("{name} must be from {least} to {most}, not {given}");
    (given < *least || given > *most).then(|| Problem::new(path.clone(), what).depending_on_values([path]))
}

/// The names of FIFO queues and topics end in `.fifo`, and no others do (SQS API reference, `CreateQueue`; SNS's, `CreateTopic`).
fn fifo_name(properties: &Value, name: &str, flag: &str) -> Option<Problem> {
    let given = text(properties, name)?;
    let is_fifo = match &properties[flag] {
        Value::String(text) if Token::is_in(text) => return None,
        flag => is_true(flag),
    };
    match (is_fifo, given.ends_with(".fifo")) {
        (true, false) => {
            let what = format!("with {flag}, {name} must end in .fifo, and \"{given}\" does not");
            Some(problem(name, what, &format!("{name}: {given}.fifo")))
        }
        (false, true) => {
            Some(problem(name, format!("without {flag}, {name} cannot be \"{given}\""), &format!("add {flag}: true")))
        }
        _ => None,
    }
}

/// S3 user guide, "General purpose bucket naming rules".
fn bucket_name(properties: &Value) -> Option<Problem> {
    let given = text(properties, "BucketName")?;
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = (3..=63).contains(&given.len())
        && given.chars().all(|c| is_end(c) || c == '-' || c == '.')
        && given.starts_with(is_end)
        && given.ends_with(is_end)
        && !given.contains("..");
    let help = "allowed: 3 to 63 lower-case letters, digits, hyphens and dots, a letter or digit first and last";
    (!fits).then(|| problem("BucketName", format!("BucketName cannot be \"{given}\""), help))
}

fn schedule(properties: &Value, read: fn(&str) -> Result<Schedule, String>) -> Option<Problem> {
    let given = text(properties, "ScheduleExpression")?;
    let why = read(given).err()?;
    let what = format!("ScheduleExpression cannot be \"{given}\": {why}");
    Some(problem("ScheduleExpression", what, "such as rate(5 minutes) or cron(0 12 * * ? *)"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_aws_refuses_of_one_resource_is_told() {
        let rule = |text: &str| json!({ "ScheduleExpression": text });
        for (type_name, properties, expected) in [
            (QUEUE, json!({ "QueueName": "a.fifo", "FifoQueue": true, "VisibilityTimeout": 43_200 }), None),
            (QUEUE, json!({ "QueueName": "a", "FifoQueue": false }), None),
            (
                QUEUE,
                json!({ "QueueName": "a", "FifoQueue": true }),
                Some("with FifoQueue, QueueName must end in .fifo, and \"a\" does not"),
            ),
            (QUEUE, json!({ "QueueName": "a.fifo" }), Some("without FifoQueue, QueueName cannot be \"a.fifo\"")),
            (QUEUE, json!({ "QueueName": Token::text("A", "Ref"), "FifoQueue": true }), None),
            (
                QUEUE,
                json!({ "VisibilityTimeout": "50000" }),
                Some("VisibilityTimeout must be from 0 to 43200, not 50000"),
            ),
            (
                QUEUE,
                json!({ "MessageRetentionPeriod": 59 }),
                Some("MessageRetentionPeriod must be from 60 to 1209600, not 59"),
            ),
            (
                "AWS::SNS::Topic",
                json!({ "TopicName": "a.fifo" }),
                Some("without FifoTopic, TopicName cannot be \"a.fifo\""),
            ),
            ("AWS::S3::Bucket", json!({ "BucketName": "my.bucket-1" }), None),
            ("AWS::S3::Bucket", json!({ "BucketName": "MyBucket" }), Some("BucketName cannot be \"MyBucket\"")),
            ("AWS::S3::Bucket", json!({ "BucketName": "ab" }), Some("BucketName cannot be \"ab\"")),
            ("AWS::Events::Rule", rule("rate(1 minute)"), None),
            (
                "AWS::Events::Rule",
                rule("rate(1 minutes)"),
                Some("ScheduleExpression cannot be \"rate(1 minutes)\": the unit of rate(1 minutes) must be singular"),
            ),
            ("AWS::Scheduler::Schedule", rule("rate(1 minutes)"), None),
            (
                "AWS::Scheduler::Schedule",
                rule("often"),
                Some("ScheduleExpression cannot be \"often\": it must be at(...), rate(...) or cron(...)"),
            ),
        ] {
            let found: Vec<String> =
                refuses(type_name, &properties).into_iter().map(|refusal| refusal.problem.what).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{properties}");
        }
    }
}
