//! Tests of event source mappings and of asynchronous invocations, with a fake queue and a fake topic.

use std::collections::VecDeque;
use std::sync::Weak;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::local::context::ports::{Delivery, DeliveryTarget, EventSource, Functions, Position, SourceEvent};

const MAPPINGS: &str = "/2015-03-31/event-source-mappings";
const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:q";
const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

/// A queue that gives each message once, and a target that keeps what it gets.
#[derive(Default)]
struct Fake {
    events: Mutex<VecDeque<SourceEvent>>,
    arrived: Notify,
    /// The bodies of what was deleted.
    deleted: Mutex<Vec<String>>,
    delivered: Mutex<Vec<(String, Delivery)>>,
}

impl Fake {
    fn send(&self, bodies: &[&str]) {
        for body in bodies {
            let id = format!("id-{body}");
            let event = json!({ "messageId": id, "body": body });
            lock(&self.events).push_back(SourceEvent { id, handle: (*body).to_owned(), at: 0, event });
        }
        self.arrived.notify_one();
    }

    /// Waits until so many are deleted.
    async fn deleted(&self, count: usize) -> Vec<String> {
        eventually("so many are deleted", async || lock(&self.deleted).len() >= count).await;
        let mut deleted = lock(&self.deleted).clone();
        deleted.sort();
        deleted
    }

    /// What was delivered at a place in the order, as soon as it is there.
    async fn delivered(&self, place: usize) -> (String, Delivery) {
        eventually("it is delivered", async || lock(&self.delivered).len() > place).await;
        lock(&self.delivered)[place].clone()
    }
}

#[async_trait]
impl EventSource for Fake {
    fn service(&self) -> &'static str {
        "sqs"
    }

    fn is_ordered(&self) -> bool {
        false
    }

    fn actions(&self) -> &'static [&'static str] {
        &["sqs:ReceiveMessage"]
    }

    fn check(&self, arn: &str, timeout: u32) -> Result<(), String> {
        if arn == QUEUE && timeout <= 30 { Ok(()) } else { Err("no such queue".to_owned()) }
    }

    async fn receive(
        &self,
        arn: &str,
        _shard: &str,
        _after: &Position,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<SourceEvent>, ApiError> {
        assert_eq!(arn, QUEUE);
        if lock(&self.events).is_empty() {
            let _ = tokio::time::timeout(wait, self.arrived.notified()).await;
        }
        let mut events = lock(&self.events);
        let most = most.min(events.len());
        Ok(events.drain(..most).collect())
    }

    async fn delete(&self, _arn: &str, events: &[SourceEvent]) {
        lock(&self.deleted).extend(events.iter().map(|event| event.handle.clone()));
    }
}

#[async_trait]
impl DeliveryTarget for Fake {
    fn service(&self) -> &'static str {
        "sqs"
    }

    async fn deliver(&self, arn: &str, message: Delivery) -> Result<(), ApiError> {
        lock(&self.delivered).push((arn.to_owned(), message));
        Ok(())
    }
}

/// A cloud with the function `chat`, connected to a fake queue.
async fn connected(more: Value) -> (Cloud, Arc<Fake>) {
    connected_within(Duration::from_millis(200), more).await
}

/// The same, with the time that a mapping takes to change.
async fn connected_within(changing: Duration, more: Value) -> (Cloud, Arc<Fake>) {
    let timings = ExecutionTimings { retries: [Duration::from_millis(10); 2], ..ExecutionTimings::default() };
    let mut conditions = Conditions::default();
    conditions.eventual.function_pending = Duration::ZERO;
    conditions.eventual.mapping_changing = changing;
    let cloud = Cloud::under(conditions, timings);
    let fake = Arc::new(Fake::default());
    cloud.connect(&fake);
    cloud.create(more).await.unwrap();
    (cloud, fake)
}

impl Cloud {
    fn connect(&self, fake: &Arc<Fake>) {
        let source: Weak<dyn EventSource> = Arc::downgrade(fake) as _;
        let target: Weak<dyn DeliveryTarget> = Arc::downgrade(fake) as _;
        self.lambda.connect(vec![source], vec![target]);
    }

    async fn map(&self, more: Value) -> Result<Value, ApiError> {
        let mut body = json!({ "FunctionName": "chat", "EventSourceArn": QUEUE });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call(Method::POST, &format!("{MAPPINGS}/"), body).await
    }

    /// The path of a mapping.
    fn path(mapping: &Value) -> String {
        format!("{MAPPINGS}/{}", mapping["UUID"].as_str().unwrap())
    }

    /// Waits for a state of a mapping.
    async fn until(&self, path: &str, state: &str) -> Value {
        eventually(state, async || self.get(path).await.unwrap()["State"] == state).await;
        self.get(path).await.unwrap()
    }
}

#[tokio::test]
async fn a_mapping_passes_through_its_states() {
    let (mut cloud, fake) = connected(json!({})).await;
    let tags = json!({ "a": "b" });
    let made = cloud.map(json!({ "Tags": tags })).await.unwrap();
    let uuid = made["UUID"].as_str().unwrap().to_owned();
    let arn = format!("arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{uuid}");
    let mut shown = made.clone();
    for member in ["LastModified", "UUID"] {
        shown.as_object_mut().unwrap().shift_remove(member);
    }
    let expected = json!({
        "EventSourceMappingArn": arn, "FunctionArn": ARN, "State": "Creating", "StateTransitionReason": "USER_INITIATED",
        "EventSourceArn": QUEUE, "BatchSize": 10, "MaximumBatchingWindowInSeconds": 0, "FunctionResponseTypes": [],
    });
    assert_eq!(shown, expected);
    let path = Cloud::path(&made);
    let change = json!({ "BatchSize": 3, "Enabled": false, "ScalingConfig": { "MaximumConcurrency": 2 } });
    cloud.until(&path, "Enabled").await;
    let changed = cloud.call(Method::PUT, &path, change).await.unwrap();
    assert_eq!((&changed["State"], &changed["BatchSize"]), (&json!("Disabling"), &json!(3)));
    cloud.until(&path, "Disabled").await;
    let reset = json!({ "ScalingConfig": {}, "FilterCriteria": {} });
    cloud.call(Method::PUT, &path, reset).await.unwrap();
    let shown = cloud.until(&path, "Disabled").await;
    assert!(shown["ScalingConfig"].is_null(), "{shown}");

    let target = format!("/2017-03-31/tags/{}", arn.replace(':', "%3A"));
    cloud.call(Method::POST, &target, json!({ "Tags": { "c": "d" } })).await.unwrap();
    assert_eq!(cloud.get(&target).await.unwrap()["Tags"], json!({ "a": "b", "c": "d" }));

    cloud.restart();
    cloud.connect(&fake);
    for (query, count) in [
        ("", 1),
        ("?FunctionName=chat", 1),
        ("?FunctionName=other", 0),
        ("?EventSourceArn=arn%3Aaws%3Asqs%3Aus-east-1%3A000000000000%3Aother", 0),
    ] {
        let listed = cloud.get(&format!("{MAPPINGS}/{query}")).await.unwrap();
        assert_eq!(listed["EventSourceMappings"].as_array().unwrap().len(), count, "{query}");
    }
    let deleted = cloud.call(Method::DELETE, &path, Value::Null).await.unwrap();
    assert_eq!(deleted["State"], "Deleting");
    eventually("the mapping is gone", async || cloud.get(&path).await.is_err()).await;
    assert_eq!(refused(cloud.call(Method::DELETE, &path, Value::Null).await).0, 404);
}

#[tokio::test]
async fn a_mapping_that_is_changing_takes_no_change() {
    let (cloud, _fake) = connected_within(Duration::from_secs(3600), json!({})).await;
    let path = Cloud::path(&cloud.map(json!({})).await.unwrap());
    let refusal = refused(cloud.call(Method::PUT, &path, json!({ "BatchSize": 3 })).await);
    assert_eq!(refusal.1, "ResourceInUseException");
}

#[tokio::test]
async fn what_lambda_refuses_of_a_mapping_is_refused() {
    let (cloud, _fake) = connected(json!({})).await;
    let long = json!({ "FunctionName": "slow", "Timeout": 31 });
    cloud.create(long).await.unwrap();
    for (more, code, message) in [
        (json!({ "FunctionName": "none" }), "InvalidParameterValueException", "Function does not exist"),
        (json!({ "FunctionName": "chat:none" }), "InvalidParameterValueException", "Function does not exist"),
        (json!({ "FunctionName": "slow" }), "InvalidParameterValueException", "no such queue"),
        (json!({ "EventSourceArn": format!("{QUEUE}2") }), "InvalidParameterValueException", "no such queue"),
        (json!({ "EventSourceArn": "arn:aws:s3:::b" }), "InvalidParameterValueException", "Unrecognized event source"),
        (json!({ "BatchSize": 0 }), "ValidationException", "batchSize"),
        (json!({ "BatchSize": 11 }), "InvalidParameterValueException", "Maximum batch window"),
        (json!({ "MaximumRetryAttempts": 1 }), "InvalidParameterValueException", "Unsupported MaximumRetryAttempts"),
        (
            json!({ "FilterCriteria": { "Filters": [{ "Pattern": "x" }] } }),
            "InvalidParameterValueException",
            "filter pattern",
        ),
        (json!({ "EventSourceArn": STREAM }), "InvalidParameterValueException", "startingPosition"),
        (json!({ "EventSourceArn": STREAM, "StartingPosition": "FIRST" }), "ValidationException", "startingPosition"),
    ] {
        let (_, found, said) = refused(cloud.map(more.clone()).await);
        assert!(found == code && said.contains(message), "{more}: {found}: {said}");
    }
    let made = cloud.map(json!({})).await.unwrap();
    let (status, code, message) = refused(cloud.map(json!({})).await);
    assert_eq!((status, code.as_str()), (409, "ResourceConflictException"));
    assert!(message.contains(made["UUID"].as_str().unwrap()), "{message}");
    // What is not polled here is kept.
    let stream = cloud.map(json!({ "EventSourceArn": STREAM, "StartingPosition": "LATEST" })).await.unwrap();
    assert_eq!((&stream["BatchSize"], &stream["ParallelizationFactor"]), (&json!(100), &json!(1)));
    let stream = cloud.get(&Cloud::path(&stream)).await.unwrap();
    assert_eq!(stream["LastProcessingResult"], "PROBLEM: the local cloud has no kinesis");
}

#[tokio::test]
async fn a_queue_is_polled_and_what_is_handled_is_deleted() {
    let (cloud, fake) = connected(json!({})).await;
    fake.send(&["early"]);
    let types = json!({ "FunctionResponseTypes": ["ReportBatchItemFailures"] });
    let made = cloud.map(types).await.unwrap();
    let path = Cloud::path(&made);
    assert_eq!(fake.deleted(1).await, ["early"]);
    fake.send(&["good", "bad"]);
    assert_eq!(fake.deleted(2).await, ["early", "good"]);
    fake.send(&["fail", "beside"]);
    let failed = async || cloud.logged().iter().any(|line| line.contains("batch fail"));
    eventually("a batch fails", failed).await;
    fake.send(&["after"]);
    eventually("it is handled", async || lock(&fake.deleted).contains(&"after".to_owned())).await;
    // A disabled mapping polls nothing; one that is enabled again does.
    cloud.call(Method::PUT, &path, json!({ "Enabled": false })).await.unwrap();
    cloud.until(&path, "Disabled").await;
    let before = fake.deleted(0).await.len();
    fake.send(&["waits"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(fake.deleted(0).await.len(), before);
    cloud.call(Method::PUT, &path, json!({ "Enabled": true })).await.unwrap();
    assert!(fake.deleted(before + 1).await.contains(&"waits".to_owned()));
    assert!(!fake.deleted(0).await.contains(&"bad".to_owned()));
    assert!(cloud.logged().iter().any(|line| line.contains("batch")), "{:?}", cloud.logged());
}

#[tokio::test]
async fn what_no_filter_wants_is_deleted_without_an_invocation() {
    let (cloud, fake) = connected(json!({})).await;
    let filters = json!({ "FilterCriteria": { "Filters": [{ "Pattern": "{\"body\": [\"wanted\", \"bad\"]}" }] } });
    cloud.map(filters).await.unwrap();
    fake.send(&["other", "wanted"]);
    assert_eq!(fake.deleted(2).await, ["other", "wanted"]);
    let logged = cloud.logged();
    assert!(
        logged.iter().any(|line| line.contains("batch wanted")) && !logged.iter().any(|line| line.contains("other"))
    );
}

#[tokio::test]
async fn an_event_that_fails_goes_to_its_destination_and_the_dead_letters() {
    let dead = "arn:aws:sqs:us-east-1:000000000000:dead";
    let (cloud, fake) = connected(json!({ "DeadLetterConfig": { "TargetArn": dead } })).await;
    let config = "/2019-09-25/functions/chat/event-invoke-config";
    let put = json!({ "MaximumRetryAttempts": 1, "DestinationConfig": { "OnFailure": { "Destination": QUEUE } } });
    let shown = cloud.call(Method::PUT, config, put).await.unwrap();
    assert_eq!(shown["FunctionArn"], format!("{ARN}:$LATEST"));
    Functions::send_event(&*cloud.lambda, ARN, r#"{"do":"fail"}"#.into()).unwrap();
    let (to, delivery) = fake.delivered(0).await;
    let record: Value = serde_json::from_str(&delivery.body).unwrap();
    assert_eq!(to, QUEUE);
    let context = &record["requestContext"];
    assert_eq!((&context["condition"], &context["approximateInvokeCount"]), (&json!("RetriesExhausted"), &json!(2)));
    assert_eq!(
        (&record["requestPayload"]["do"], &record["responsePayload"]["errorMessage"]),
        (&json!("fail"), &json!("as asked"))
    );
    assert_eq!(record["responseContext"]["functionError"], "Unhandled");
    let (to, letter) = fake.delivered(1).await;
    assert_eq!((to.as_str(), letter.body.as_str()), (dead, r#"{"do":"fail"}"#));
    let names: Vec<&str> = letter.attributes.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["RequestID", "ErrorCode", "ErrorMessage"]);

    // A success has a destination of its own.
    let update = json!({ "DestinationConfig": { "OnSuccess": { "Destination": dead } } });
    let shown = cloud.call(Method::POST, config, update).await.unwrap();
    assert_eq!(shown["DestinationConfig"]["OnFailure"]["Destination"], QUEUE);
    Functions::send_event(&*cloud.lambda, ARN, r#"{"a":1}"#.into()).unwrap();
    let record: Value = serde_json::from_str(&fake.delivered(2).await.1.body).unwrap();
    assert_eq!(
        (&record["requestContext"]["condition"], &record["responsePayload"]),
        (&json!("Success"), &json!({ "a": 1 }))
    );
    let listed = cloud.get(&format!("{config}/list")).await.unwrap();
    assert_eq!(listed["FunctionEventInvokeConfigs"].as_array().unwrap().len(), 1);
    cloud.call(Method::DELETE, config, Value::Null).await.unwrap();
    assert_eq!(refused(cloud.get(config).await).0, 404);
}
