//! Tests of event source mappings of streams, and of what a stop interrupts, with a fake stream and a fake queue.

use std::sync::Weak;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::local::context::ports::{Delivery, DeliveryTarget, EventSource, Functions, Position, SourceEvent};

const MAPPINGS: &str = "/2015-03-31/event-source-mappings";
const STREAM: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-01-01T00:00:00.000";
const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:q";

/// A stream with one shard that keeps its events, and a queue that keeps what it gets.
#[derive(Default)]
struct Fake {
    events: Mutex<Vec<SourceEvent>>,
    arrived: Notify,
    delivered: Mutex<Vec<Delivery>>,
    is_gone: Mutex<bool>,
}

impl Fake {
    /// Adds an event, with a body that says what the function does.
    fn put(&self, key: &str, body: &str) {
        {
            let mut events = lock(&self.events);
            let id = (events.len() + 1).to_string();
            let keys = json!({ "Keys": { "id": { "S": key } }, "SequenceNumber": id });
            let event = json!({ "messageId": id, "body": body, "dynamodb": keys });
            events.push(SourceEvent { id, handle: String::new(), at: super::super::state::now(), event });
        }
        self.arrived.notify_waiters();
    }

    fn after(&self, position: &Position, most: usize) -> Vec<SourceEvent> {
        let from = match position {
            Position::After(id) => id.parse().unwrap(),
            _ => 0,
        };
        lock(&self.events).iter().skip(from).take(most).cloned().collect()
    }
}

#[async_trait]
impl EventSource for Fake {
    fn service(&self) -> &'static str {
        "dynamodb"
    }

    fn is_ordered(&self) -> bool {
        true
    }

    fn actions(&self) -> &'static [&'static str] {
        &["dynamodb:GetRecords"]
    }

    fn check(&self, _arn: &str, _timeout: u32) -> Result<(), String> {
        Ok(())
    }

    async fn shards(&self, _arn: &str) -> Result<Vec<String>, ApiError> {
        match *lock(&self.is_gone) {
            true => Err(ApiError::new(400, "ResourceNotFoundException", "the stream is gone")),
            false => Ok(vec!["shard".to_owned()]),
        }
    }

    async fn receive(
        &self,
        _arn: &str,
        _shard: &str,
        after: &Position,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<SourceEvent>, ApiError> {
        let arrived = self.arrived.notified();
        let events = self.after(after, most);
        if events.is_empty() {
            let _ = tokio::time::timeout(wait, arrived).await;
            return Ok(self.after(after, most));
        }
        Ok(events)
    }
}

#[async_trait]
impl DeliveryTarget for Fake {
    fn service(&self) -> &'static str {
        "sqs"
    }

    async fn deliver(&self, _arn: &str, message: Delivery) -> Result<(), ApiError> {
        lock(&self.delivered).push(message);
        Ok(())
    }
}

/// A cloud with the function `chat`, connected to a fake stream.
async fn connected() -> (Cloud, Arc<Fake>) {
    // Whatever is tried again is tried again after the test.
    let timings = ExecutionTimings { retries: [Duration::from_secs(600); 2], ..ExecutionTimings::default() };
    let mut conditions = Conditions::default();
    conditions.eventual.function_pending = Duration::ZERO;
    conditions.eventual.mapping_changing = Duration::ZERO;
    let cloud = Cloud::under(conditions, timings);
    let fake = Arc::new(Fake::default());
    cloud.connect_stream(&fake);
    cloud.create(json!({ "DeadLetterConfig": { "TargetArn": QUEUE } })).await.unwrap();
    (cloud, fake)
}

impl Cloud {
    fn connect_stream(&self, fake: &Arc<Fake>) {
        let source: Weak<dyn EventSource> = Arc::downgrade(fake) as _;
        let target: Weak<dyn DeliveryTarget> = Arc::downgrade(fake) as _;
        self.lambda.connect(vec![source], vec![target]);
    }

    /// Maps the stream to the function; gives the path of the mapping.
    async fn map_stream(&self, more: Value) -> String {
        let mut body = json!({
            "FunctionName": "chat", "EventSourceArn": STREAM, "StartingPosition": "TRIM_HORIZON", "BatchSize": 1,
            "DestinationConfig": { "OnFailure": { "Destination": QUEUE } },
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.call(Method::POST, &format!("{MAPPINGS}/"), body).await.unwrap();
        format!("{MAPPINGS}/{}", made["UUID"].as_str().unwrap())
    }

    /// The log's lines that have this text.
    fn lines(&self, text: &str) -> Vec<String> {
        self.logged().into_iter().filter(|line| line.contains(text)).collect()
    }

    /// Waits until the log has so many lines with this text.
    async fn until_logged(&self, text: &str, count: usize) {
        let wait = async {
            while self.lines(text).len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("not {count} times {text:?}: {:?}", self.logged()));
    }
}

#[tokio::test]
async fn a_batch_that_a_stop_interrupts_is_handled_by_the_next_process() {
    let (mut cloud, fake) = connected().await;
    cloud.map_stream(json!({ "MaximumRetryAttempts": 0 })).await;
    fake.put("a", "sleep");
    cloud.until_logged("batch sleep", 1).await;
    cloud.lambda.shutdown().await;
    assert!(lock(&fake.delivered).is_empty(), "{:?}", lock(&fake.delivered));
    cloud.restart();
    cloud.connect_stream(&fake);
    cloud.until_logged("batch sleep", 2).await;
    cloud.lambda.shutdown().await;
}

#[tokio::test]
async fn a_function_that_cannot_be_invoked_uses_up_no_retries() {
    let (cloud, fake) = connected().await;
    let path = cloud.map_stream(json!({ "MaximumRetryAttempts": 0 })).await;
    fake.put("a", "before");
    cloud.until_logged("batch before", 1).await;
    cloud.call(Method::DELETE, "/2015-03-31/functions/chat", Value::Null).await.unwrap();
    fake.put("a", "meanwhile");
    let result = async || cloud.get(&path).await.unwrap()["LastProcessingResult"].clone();
    while !result().await.as_str().unwrap().starts_with("PROBLEM") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cloud.create(json!({})).await.unwrap();
    cloud.until_logged("batch meanwhile", 1).await;
    assert!(lock(&fake.delivered).is_empty(), "{:?}", lock(&fake.delivered));
}

#[tokio::test]
async fn a_record_is_handled_once_although_its_position_cannot_be_saved() {
    let (cloud, fake) = connected().await;
    // Nothing can be written where a folder is.
    let name = format!("lambda-positions.{}.tmp", std::process::id());
    std::fs::create_dir(cloud.context.store.path(&name)).unwrap();
    cloud.map_stream(json!({})).await;
    for body in ["one", "two", "three"] {
        fake.put("a", body);
        cloud.until_logged(&format!("batch {body}"), 1).await;
    }
    assert_eq!(cloud.lines("batch"), ["batch one\n", "batch two\n", "batch three\n"]);
}

#[tokio::test]
async fn the_position_of_each_batch_is_saved() {
    let (mut cloud, fake) = connected().await;
    cloud.map_stream(json!({})).await;
    let state = || std::fs::read(cloud.context.store.path("lambda.json")).unwrap();
    let before = state();
    fake.put("a", "one");
    fake.put("a", "two");
    cloud.until_logged("batch two", 1).await;
    // It is saved when the invocation has ended: what a stop interrupts is read again.
    let positions = cloud.context.store.path("lambda-positions.json");
    let saved = async || std::fs::read_to_string(&positions).unwrap_or_default().contains(r#""2""#);
    eventually("the position is saved", saved).await;
    assert!(before == state(), "the functions' state is not rewritten for it");
    cloud.lambda.shutdown().await;
    cloud.restart();
    cloud.connect_stream(&fake);
    fake.put("a", "three");
    cloud.until_logged("batch three", 1).await;
    assert_eq!(cloud.lines("batch").len(), 3, "{:?}", cloud.logged());
}

#[tokio::test]
async fn what_fails_holds_up_its_own_keys_alone() {
    let (cloud, fake) = connected().await;
    cloud.map_stream(json!({ "ParallelizationFactor": 10 })).await;
    fake.put("poison", "fail");
    cloud.until_logged("batch fail", 1).await;
    for number in 0..20 {
        fake.put(&format!("key {number}"), &format!("good {number}."));
    }
    fake.put("poison", "behind it");
    // Of twenty keys, those with the lane of the one that fails wait.
    let wait = async {
        while cloud.lines("batch good").len() < 15 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{:?}", cloud.logged()));
    assert!(cloud.lines("batch behind it").is_empty());
    for number in 0..20 {
        assert!(cloud.lines(&format!("batch good {number}.")).len() <= 1, "{:?}", cloud.logged());
    }
}

#[tokio::test]
async fn another_factor_loses_no_record() {
    let (cloud, fake) = connected().await;
    let path = cloud.map_stream(json!({ "ParallelizationFactor": 3 })).await;
    for number in 0..5 {
        fake.put(&format!("key {number}"), &format!("first {number}."));
    }
    cloud.until_logged("batch first", 5).await;
    cloud.call(Method::PUT, &path, json!({ "ParallelizationFactor": 1 })).await.unwrap();
    for number in 0..5 {
        fake.put(&format!("key {number}"), &format!("second {number}."));
    }
    for number in 0..5 {
        cloud.until_logged(&format!("batch second {number}."), 1).await;
    }
}

#[tokio::test]
async fn a_mapping_that_does_not_work_says_so_once_in_the_log_of_its_function() {
    let (cloud, fake) = connected().await;
    *lock(&fake.is_gone) = true;
    let path = cloud.map_stream(json!({})).await;
    let text = format!("The event source mapping of {STREAM} does not work: the stream is gone\n");
    cloud.until_logged(&text, 1).await;
    let problem = cloud.get(&path).await.unwrap()["LastProcessingResult"].clone();
    assert_eq!(problem, "PROBLEM: the stream is gone");
    // It looks again, and finds the same.
    for _ in 0..3 {
        cloud.lambda.start_polling();
        tokio::task::yield_now().await;
    }
    *lock(&fake.is_gone) = false;
    cloud.lambda.start_polling();
    fake.put("a", "there");
    cloud.until_logged("batch there", 1).await;
    assert_eq!(cloud.lines("does not work"), [text]);
}

#[tokio::test]
async fn an_event_that_a_stop_interrupts_is_run_by_the_next_process() {
    let (mut cloud, fake) = connected().await;
    Functions::send_event(&*cloud.lambda, ARN, r#"{"do":"sleep","seconds":30}"#.into()).unwrap();
    Functions::send_event(&*cloud.lambda, ARN, r#"{"do":"fail"}"#.into()).unwrap();
    // The one is running, the other waits to be tried again.
    cloud.until_logged("START RequestId", 2).await;
    cloud.until_logged("END RequestId", 1).await;
    let kept = |cloud: &Cloud| std::fs::read_dir(cloud.context.store.path("lambda-events")).unwrap().count();
    assert_eq!(kept(&cloud), 2, "each from the moment it is accepted: the process may be killed");
    cloud.lambda.shutdown().await;
    assert_eq!(kept(&cloud), 2);
    assert!(lock(&fake.delivered).is_empty(), "no dead letter: {:?}", lock(&fake.delivered));
    cloud.restart();
    cloud.connect_stream(&fake);
    cloud.until_logged("START RequestId", 4).await;
    let mut ids: Vec<String> = cloud.lines("START RequestId");
    ids.sort();
    assert!(ids[0] == ids[1] && ids[1] != ids[2] && ids[2] == ids[3], "{ids:?}");
    cloud.lambda.shutdown().await;
}

#[tokio::test]
async fn an_event_that_is_done_is_not_kept() {
    let (cloud, fake) = connected().await;
    Functions::send_event(&*cloud.lambda, ARN, r#"{"do":"version"}"#.into()).unwrap();
    let folder = cloud.context.store.path("lambda-events");
    let is_empty = || std::fs::read_dir(&folder).unwrap().next().is_none();
    cloud.until_logged("END RequestId", 1).await;
    while !is_empty() {
        tokio::task::yield_now().await;
    }
    drop(fake);
    cloud.lambda.shutdown().await;
}
