//! A chat with a queue and a topic (`tests/fixtures/queue`), on the developer's machine.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::common::call_name::Name;
use crate::common::client::Client;
use crate::common::eventually;
use crate::common::inventory::{Inventory, same};
use crate::common::proxy::Fault;
use crate::common::template::{App, Template};

#[tokio::test]
async fn what_is_queued_or_published_comes_back_through_the_connection() {
    let cloud = App::queue().fast();
    let run = cloud.up();
    assert!(!run.stderr.contains("Kept as records only"), "{}", run.stderr);
    let uri = run.uri();
    cloud.up().changes_nothing();

    let mut client = Client::connect(&uri).await;
    client.say(r#"{"action": "queue", "text": "hello"}"#).await;
    assert_eq!(client.hear().await, "queue: hello");
    client.say(r#"{"action": "publish", "text": "hello"}"#).await;
    assert_eq!(client.hear().await, "topic: hello");
    // A filter drops one, and the next one still comes.
    client.say(r#"{"action": "queue", "text": "unwanted"}"#).await;
    client.say(r#"{"action": "queue", "text": "wanted"}"#).await;
    assert_eq!(client.hear().await, "queue: wanted");
    client.close().await;

    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn what_the_worker_cannot_handle_ends_among_the_dead_letters() {
    let cloud = App::queue().fast();
    let uri = cloud.up().uri();
    let mut client = Client::connect(&uri).await;
    // It comes back to the worker from there, once its visibility timeout in the first queue is over.
    client.say(r#"{"action": "queue", "text": "poison"}"#).await;
    assert_eq!(client.hear().await, "dead letters: poison");
    client.close().await;
}

#[tokio::test]
async fn messages_survive_a_restart_of_the_local_cloud() {
    let cloud = App::queue().fast();
    let mut template = Template::of("tests/fixtures/queue/template.yaml");
    template.remove("WorkMapping");
    template.save_as(&cloud, "template.yaml");
    let uri = cloud.up().uri();
    let mut client = Client::connect(&uri).await;
    client.say(r#"{"action": "queue", "text": "kept"}"#).await;
    let visible = async || {
        let urls = cloud.sqs("ListQueues", json!({ "QueueNamePrefix": "app-Work-" })).await;
        let asked = json!({ "QueueUrl": urls["QueueUrls"][0], "AttributeNames": ["ApproximateNumberOfMessages"] });
        cloud.sqs("GetQueueAttributes", asked).await["Attributes"]["ApproximateNumberOfMessages"].clone()
    };
    eventually("the message is in the queue", async || visible().await == "1").await;
    client.close().await;
    cloud.wschat(&["local", "stop"]).ok();
    cloud.wschat(&["local", "start", "--open"]).ok();
    assert_eq!(visible().await, "1");
}

#[test]
fn one_property_of_a_mapping_is_one_call() {
    let cloud = App::queue().fast();
    cloud.up();
    let mut template = Template::of("tests/fixtures/queue/template.yaml");
    let mutations = |template: &Template| {
        template.save_as(&cloud, "template.yaml");
        let run = cloud.up();
        let calls = run.calls.iter().filter(|call| call.mutating);
        calls.map(|call| call.operation.to_string()).collect::<Vec<_>>()
    };
    template.set("WorkMapping.BatchSize", 7.into());
    template.set("WorkMapping.ScalingConfig", json!({ "MaximumConcurrency": 2 }));
    assert_eq!(mutations(&template), ["UpdateEventSourceMapping"]);
    // What the template does not state any more goes back to Lambda's default.
    for gone in ["BatchSize", "ScalingConfig", "FilterCriteria", "FunctionResponseTypes"] {
        template.remove(&format!("WorkMapping.{gone}"));
    }
    assert_eq!(mutations(&template), ["UpdateEventSourceMapping"]);
    assert_eq!(mutations(&template), [""; 0]);
    template.set("WorkMapping.Tags", json!([{ "Key": "team", "Value": "blue" }]));
    assert_eq!(mutations(&template), ["TagResource"]);
    // Another function: the same mapping. Another source: a new one, and the old one goes.
    template.set("WorkMapping.FunctionName", json!({ "Ref": "Subscriber" }));
    assert_eq!(mutations(&template), ["UpdateEventSourceMapping"]);
    template.rename("WorkMapping", "RenamedMapping");
    assert_eq!(mutations(&template), ["TagResource"]);
}

/// A role that is seconds old, or a policy of it: what Lambda refuses of an update it takes later, as it does of a create.
#[test]
fn an_update_of_a_mapping_waits_for_the_role_of_its_function() {
    let cloud = App::queue().fast();
    cloud.up();
    let mut template = Template::of("tests/fixtures/queue/template.yaml");
    for (size, message) in [
        (7, "The function execution role does not have permissions to call ReceiveMessage on SQS"),
        (8, "Please add Lambda as a Trusted Entity for arn:aws:iam::000000000000:role/worker"),
    ] {
        template.set("WorkMapping.BatchSize", size.into());
        template.save_as(&cloud, "template.yaml");
        let refusal = Fault::refuse(400, "InvalidParameterValueException", message);
        let is_first = AtomicBool::new(true);
        let script = move |call: &Name| {
            let is_update = call.operation == "UpdateEventSourceMapping";
            (is_update && is_first.swap(false, Ordering::Relaxed)).then(|| refusal.clone())
        };
        let run = cloud.through().script(script).run(&["up", "--yes"]);
        assert!(run.was_hit());
        run.run.ok();
    }
}

#[test]
fn mappings_are_read_in_two_round_trips() {
    let cloud = App::queue().fast();
    cloud.through().run(&["up", "--yes"]).run.ok();
    cloud.is_read_in(2, &["up", "--yes"]);
}

#[test]
fn what_lambda_would_refuse_is_said_before_any_call() {
    let cloud = App::queue().fast();
    let said = |change: &dyn Fn(&mut Template)| {
        let mut template = Template::of("tests/fixtures/queue/template.yaml");
        change(&mut template);
        template.save_as(&cloud, "template.yaml");
        let run = cloud.wschat(&["validate"]).exits(1);
        run.stdout + &run.stderr
    };
    for (property, value, expected) in [
        (
            "Work.VisibilityTimeout",
            json!(9),
            "the visibility timeout of Work (9 s) is less than the timeout of Worker (10 s)",
        ),
        ("WorkMapping.BatchSize", json!(11), "set MaximumBatchingWindowInSeconds"),
        ("WorkMapping.BatchSize", json!(0), "BatchSize"),
        (
            "WorkMapping.FilterCriteria",
            json!({ "Filters": [{ "Pattern": "{\"body\": \"x\"}" }] }),
            "the pattern is none",
        ),
        ("WorkMapping.FunctionResponseTypes", json!(["ReportFailures"]), "ReportBatchItemFailures"),
        ("WorkMapping.Batchsize", json!(1), "did you mean \"BatchSize\"?"),
    ] {
        let said = said(&|template| template.set(property, value.clone()));
        assert!(said.contains(expected), "{property}: {said}");
    }
}
