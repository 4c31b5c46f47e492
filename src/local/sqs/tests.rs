use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::local::context::conditions::Conditions;
use crate::local::context::ports::{
    ControlledResources, Credentials, Delivery, DeliveryTarget, EventSource, Principal, TaggedResources,
};
use crate::local::context::store::Store;
use crate::local::eventually::{PATIENCE, eventually};
use crate::local::protocol::service::AnyService;
use crate::local::protocol::wire::{Request, Response};

const URL: &str = "http://localhost:4579/000000000000/q";
const ARN: &str = "arn:aws:sqs:eu-west-1:000000000000:q";

fn open(folder: &tempfile::TempDir) -> Arc<Sqs> {
    let context = CloudContext {
        port: 4579,
        hosts: Default::default(),
        store: Store::open(folder.path()).unwrap(),
        conditions: Arc::new(Conditions::default()),
        ca_bundle: folder.path().join("ca.pem"),
        recorder: Arc::default(),
    };
    Sqs::open(&context, Arc::new(Users)).unwrap()
}

/// An IAM with one user, whose key is a secret.
struct Users;

impl Roles for Users {
    fn assumable(&self, _role_arn: &str, _service: &str) -> bool {
        false
    }

    fn issue(&self, _role_arn: &str, _session_name: &str) -> Credentials {
        unreachable!("no role is assumed")
    }

    fn has_issued(&self, _access_key_id: &str) -> bool {
        false
    }

    fn principal(&self, access_key_id: Option<&str>) -> Principal {
        assert_eq!(access_key_id, Some("LKIASECRET"));
        Principal { user_id: "AIDALOCAL".to_owned(), ..Principal::default() }
    }
}

async fn ask(sqs: &Sqs, operation: &str, input: Value) -> Result<Value, ApiError> {
    let mut request = Request::in_test("POST", "/", &input.to_string());
    request.headers.insert("x-amz-target", format!("AmazonSQS.{operation}").parse().unwrap());
    request.caller.access_key = Some("LKIASECRET".to_owned());
    let call = AnyService::prepare(sqs, request)?;
    let Response { body, .. } = AnyService::call(sqs, call).await?;
    Ok(serde_json::from_slice(&body).unwrap())
}

async fn queue(attributes: Value) -> (Arc<Sqs>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let sqs = open(&folder);
    let made = ask(&sqs, "CreateQueue", json!({ "QueueName": "q", "Attributes": attributes })).await.unwrap();
    assert_eq!(made["QueueUrl"], URL);
    (sqs, folder)
}

async fn send(sqs: &Sqs, body: &str) -> String {
    let sent = ask(sqs, "SendMessage", json!({ "QueueUrl": URL, "MessageBody": body })).await.unwrap();
    sent["MessageId"].as_str().unwrap().to_owned()
}

async fn bodies(sqs: &Sqs, url: &str) -> Vec<String> {
    let input = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10 });
    let received = ask(sqs, "ReceiveMessage", input).await.unwrap();
    let messages = received["Messages"].as_array().cloned().unwrap_or_default();
    messages.iter().map(|message| message["Body"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_message_is_sent_received_with_what_was_asked_for_and_deleted() {
    let (sqs, _folder) = queue(json!({})).await;
    let attributes = json!({
        "kind": { "DataType": "String", "StringValue": "chat" }, "raw": { "DataType": "Binary", "BinaryValue": "AAE=" },
    });
    let input = json!({ "QueueUrl": URL, "MessageBody": "hello", "MessageAttributes": attributes });
    let sent = ask(&sqs, "SendMessage", input).await.unwrap();
    assert_eq!(sent["MD5OfMessageBody"], "5d41402abc4b2a76b9719d911017c592");

    let input = json!({
        "QueueUrl": URL, "AttributeNames": ["SentTimestamp"], "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
        "MessageAttributeNames": ["ki*"],
    });
    let received = ask(&sqs, "ReceiveMessage", input).await.unwrap();
    let message = &received["Messages"][0];
    assert_eq!((&message["Body"], &message["MessageId"]), (&json!("hello"), &sent["MessageId"]));
    let names: Vec<&String> = message["Attributes"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["ApproximateReceiveCount", "SentTimestamp"]);
    assert_eq!(message["MessageAttributes"], json!({ "kind": { "DataType": "String", "StringValue": "chat" } }));

    assert!(ask(&sqs, "ReceiveMessage", json!({ "QueueUrl": URL })).await.unwrap()["Messages"].is_null(), "in flight");
    let all = ask(&sqs, "GetQueueAttributes", json!({ "QueueUrl": URL, "AttributeNames": ["All"] })).await.unwrap();
    let all = &all["Attributes"];
    assert_eq!(
        (&all["ApproximateNumberOfMessagesNotVisible"], &all["ApproximateNumberOfMessages"]),
        (&json!("1"), &json!("0"))
    );
    assert_eq!((&all["QueueArn"], &all["VisibilityTimeout"]), (&json!(ARN), &json!("30")));
    let input = json!({ "QueueUrl": URL, "ReceiptHandle": message["ReceiptHandle"] });
    ask(&sqs, "DeleteMessage", input.clone()).await.unwrap();
    ask(&sqs, "DeleteMessage", input).await.expect("deleting twice is no error");
}

#[tokio::test]
async fn a_receive_waits_for_a_message() {
    let (sqs, _folder) = queue(json!({})).await;
    let waiting = tokio::spawn({
        let sqs = Arc::clone(&sqs);
        async move { ask(&sqs, "ReceiveMessage", json!({ "QueueUrl": URL, "WaitTimeSeconds": 20 })).await.unwrap() }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!waiting.is_finished());
    send(&sqs, "late").await;
    let received = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(received["Messages"][0]["Body"], "late");
    // It comes back by time alone.
    let input = json!({
        "QueueUrl": URL, "ReceiptHandle": received["Messages"][0]["ReceiptHandle"], "VisibilityTimeout": 1,
    });
    ask(&sqs, "ChangeMessageVisibility", input).await.unwrap();
    let again = ask(&sqs, "ReceiveMessage", json!({ "QueueUrl": URL, "WaitTimeSeconds": 20 })).await.unwrap();
    assert_eq!(again["Messages"][0]["Body"], "late");
}

#[tokio::test]
async fn messages_and_queues_survive_a_restart() {
    let (sqs, folder) = queue(json!({ "DelaySeconds": "0" })).await;
    send(&sqs, "kept").await;
    sqs.save();
    drop(sqs);
    let sqs = open(&folder);
    assert_eq!(bodies(&sqs, URL).await, ["kept"]);
    ask(&sqs, "DeleteQueue", json!({ "QueueUrl": URL })).await.unwrap();
    drop(sqs);
    let sqs = open(&folder);
    assert_eq!(ask(&sqs, "ListQueues", json!({})).await.unwrap(), json!({}));
    ask(&sqs, "CreateQueue", json!({ "QueueName": "q" })).await.unwrap();
    assert!(bodies(&sqs, URL).await.is_empty(), "a new queue has none of the old one's messages");
}

/// The file of the queue's messages, and the one that is written before it.
fn files(folder: &tempfile::TempDir) -> (PathBuf, PathBuf) {
    let file = folder.path().join("sqs-messages/eu-west-1.q.json");
    (file.clone(), file.with_extension(format!("{}.tmp", std::process::id())))
}

async fn until(is_done: impl Fn() -> bool) {
    eventually("it is done", async || is_done()).await;
}

#[tokio::test]
async fn messages_that_could_not_be_saved_are_saved_later() {
    let (sqs, folder) = queue(json!({})).await;
    let (file, beside) = files(&folder);
    // Nothing can be written where a folder is.
    std::fs::create_dir(&beside).unwrap();
    send(&sqs, "kept").await;
    sqs.save();
    assert!(sqs.has_unsaved() && !file.exists());
    std::fs::remove_dir(&beside).unwrap();
    until(|| std::fs::read_to_string(&file).is_ok_and(|text| text.contains("kept"))).await;
    until(|| !sqs.has_unsaved()).await;
}

/// Saving is held up by a pipe that is not read.
#[tokio::test]
async fn a_sender_does_not_wait_while_messages_are_saved() {
    let (sqs, folder) = queue(json!({})).await;
    let (file, beside) = files(&folder);
    assert!(std::process::Command::new("mkfifo").arg(&beside).status().unwrap().success());
    send(&sqs, "one").await;
    let saving = std::thread::spawn({
        let sqs = Arc::clone(&sqs);
        move || sqs.save()
    });
    // It holds the lock as long as it writes.
    let live = sqs.queue(&QueueId::new("eu-west-1", "q")).unwrap().1;
    until(|| live.saving.try_lock().is_err()).await;
    let (sent, is_sent) = std::sync::mpsc::channel();
    std::thread::spawn({
        let sqs = Arc::clone(&sqs);
        move || {
            let draft = messages::Draft { body: "two".to_owned(), ..messages::Draft::default() };
            sqs.send(&QueueId::new("eu-west-1", "q"), draft).unwrap();
            sent.send(()).unwrap();
        }
    });
    let waited = is_sent.recv_timeout(PATIENCE);
    // Both ends of the pipe are opened, or none is.
    std::io::copy(&mut std::fs::File::open(&beside).unwrap(), &mut std::io::sink()).unwrap();
    saving.join().unwrap();
    waited.expect("the sender waits for the one that saves");
    until(|| std::fs::metadata(&file).is_ok_and(|file| file.is_file())).await;
    until(|| std::fs::read_to_string(&file).is_ok_and(|text| text.contains("two"))).await;
}

#[tokio::test]
async fn messages_expire_although_there_is_no_receiver() {
    let (sqs, folder) = queue(json!({ "MessageRetentionPeriod": "60" })).await;
    send(&sqs, "forgotten").await;
    sqs.save();
    let (file, _) = files(&folder);
    assert!(std::fs::read_to_string(&file).unwrap().contains("forgotten"));
    let now = now_millis();
    sqs.expire(now + 59_000);
    let count = || sqs.attributes_of(&QueueId::new("eu-west-1", "q")).unwrap()["ApproximateNumberOfMessages"].clone();
    assert_eq!(count(), "1");
    sqs.expire(now + 61_000);
    assert_eq!(count(), "0");
    until(|| !std::fs::read_to_string(&file).unwrap().contains("forgotten")).await;
}

#[tokio::test]
async fn who_asks_for_the_number_of_messages_does_not_count_expired_ones() {
    let (sqs, folder) = queue(json!({ "MessageRetentionPeriod": "60" })).await;
    send(&sqs, "old").await;
    sqs.save();
    drop(sqs);
    let (file, _) = files(&folder);
    let mut saved: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    saved["all"][0]["sent"] = json!(now_millis() - 60_001);
    std::fs::write(&file, saved.to_string()).unwrap();
    let all = open(&folder).attributes_of(&QueueId::new("eu-west-1", "q")).unwrap();
    assert_eq!(all["ApproximateNumberOfMessages"], "0");
}

#[tokio::test]
async fn messages_that_are_damaged_are_set_aside() {
    let (sqs, folder) = queue(json!({})).await;
    send(&sqs, "lost").await;
    sqs.save();
    drop(sqs);
    let (file, _) = files(&folder);
    std::fs::write(&file, "").unwrap();
    let sqs = open(&folder);
    assert!(bodies(&sqs, URL).await.is_empty());
    assert!(!file.exists() && file.with_extension("damaged").exists());
    send(&sqs, "new").await;
    assert_eq!(bodies(&sqs, URL).await, ["new"]);
}

#[tokio::test]
async fn a_message_names_its_sender_and_not_the_senders_key() {
    let (sqs, _folder) = queue(json!({})).await;
    send(&sqs, "hello").await;
    let entries = json!([{ "Id": "a", "MessageBody": "hello" }]);
    ask(&sqs, "SendMessageBatch", json!({ "QueueUrl": URL, "Entries": entries })).await.unwrap();
    let input = json!({ "QueueUrl": URL, "MaxNumberOfMessages": 10, "AttributeNames": ["All"] });
    let received = ask(&sqs, "ReceiveMessage", input).await.unwrap();
    let messages = received["Messages"].as_array().unwrap();
    assert!(messages.len() == 2 && messages.iter().all(|message| message["Attributes"]["SenderId"] == "AIDALOCAL"));
    assert!(!received.to_string().contains("LKIASECRET"), "{received}");
}

#[tokio::test]
async fn a_dead_letter_of_a_fifo_queue_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let sqs = open(&folder);
    let create = async |name: &str, more: Value| {
        let mut attributes = json!({ "FifoQueue": "true", "VisibilityTimeout": "0" });
        attributes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let input = json!({ "QueueName": name, "Attributes": attributes });
        ask(&sqs, "CreateQueue", input).await.unwrap()["QueueUrl"].clone()
    };
    let dead = create("dead.fifo", json!({})).await;
    let arn = "arn:aws:sqs:eu-west-1:000000000000:dead.fifo";
    let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 1 });
    let url = create("q.fifo", json!({ "RedrivePolicy": policy.to_string() })).await;
    let input = json!({ "QueueUrl": url, "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "own" });
    let id = ask(&sqs, "SendMessage", input).await.unwrap()["MessageId"].clone();
    let receive = async |url: &Value| {
        let input = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
        ask(&sqs, "ReceiveMessage", input).await.unwrap()["Messages"][0].clone()
    };
    let first = receive(&url).await;
    assert_eq!(first["Attributes"]["MessageDeduplicationId"], "own");
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert!(receive(&url).await.is_null());
    let letter = receive(&dead).await;
    assert_eq!((&letter["MessageId"], &letter["Attributes"]["MessageDeduplicationId"]), (&id, &id));
    let sent = |message: &Value| message["Attributes"]["SentTimestamp"].as_str().unwrap().parse::<i64>().unwrap();
    assert!(sent(&letter) > sent(&first));
}

#[tokio::test]
async fn what_is_received_too_often_goes_to_the_dead_letter_queue() {
    let (sqs, _folder) = queue(json!({ "VisibilityTimeout": "0" })).await;
    let dead = ask(&sqs, "CreateQueue", json!({ "QueueName": "dead" })).await.unwrap()["QueueUrl"].clone();
    let policy = json!({ "deadLetterTargetArn": "arn:aws:sqs:eu-west-1:000000000000:dead", "maxReceiveCount": "1" });
    let input = json!({ "QueueUrl": URL, "Attributes": { "RedrivePolicy": policy.to_string() } });
    ask(&sqs, "SetQueueAttributes", input).await.unwrap();
    let sources = ask(&sqs, "ListDeadLetterSourceQueues", json!({ "QueueUrl": dead })).await.unwrap();
    assert_eq!(sources["queueUrls"], json!([URL]));
    let id = send(&sqs, "poison").await;
    assert_eq!(bodies(&sqs, URL).await, ["poison"]);
    assert!(bodies(&sqs, URL).await.is_empty());
    let input = json!({ "QueueUrl": dead, "MessageSystemAttributeNames": ["All"] });
    let message = ask(&sqs, "ReceiveMessage", input).await.unwrap()["Messages"][0].clone();
    assert_eq!(
        (message["MessageId"].as_str(), &message["Attributes"]["DeadLetterQueueSourceArn"]),
        (Some(id.as_str()), &json!(ARN))
    );
}

#[tokio::test]
async fn a_fifo_queue_takes_a_message_once_and_keeps_its_groups_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let sqs = open(&folder);
    let attributes = json!({ "FifoQueue": "true", "ContentBasedDeduplication": "true" });
    let input = json!({ "QueueName": "q.fifo", "Attributes": attributes });
    let url = ask(&sqs, "CreateQueue", input).await.unwrap()["QueueUrl"].clone();
    let send = async |body: &str, group: &str| {
        let input = json!({ "QueueUrl": url, "MessageBody": body, "MessageGroupId": group });
        ask(&sqs, "SendMessage", input).await.unwrap()
    };
    let first = send("1", "a").await;
    assert_eq!(send("1", "a").await["MessageId"], first["MessageId"]);
    let second = send("2", "a").await;
    assert!(second["SequenceNumber"].as_str() > first["SequenceNumber"].as_str());
    send("3", "b").await;
    let input = json!({ "QueueUrl": url, "MaxNumberOfMessages": 1 });
    let received = ask(&sqs, "ReceiveMessage", input).await.unwrap();
    assert_eq!(received["Messages"][0]["Body"], "1");
    assert_eq!(bodies(&sqs, url.as_str().unwrap()).await, ["3"], "the group waits");
    let input = json!({ "QueueUrl": url, "ReceiptHandle": received["Messages"][0]["ReceiptHandle"] });
    ask(&sqs, "DeleteMessage", input).await.unwrap();
    assert_eq!(bodies(&sqs, url.as_str().unwrap()).await, ["2"]);
    let refused = ask(&sqs, "SendMessage", json!({ "QueueUrl": url, "MessageBody": "x" })).await.unwrap_err();
    assert!(refused.message.contains("MessageGroupId"), "{}", refused.message);
}

#[tokio::test]
async fn batches_say_of_each_entry_how_it_went() {
    let (sqs, _folder) = queue(json!({ "MaximumMessageSize": "1024" })).await;
    let entries = json!([
        { "Id": "a", "MessageBody": "1" }, { "Id": "b", "MessageBody": "x".repeat(1025) }, { "Id": "c", "MessageBody": "3" },
    ]);
    let sent = ask(&sqs, "SendMessageBatch", json!({ "QueueUrl": URL, "Entries": entries })).await.unwrap();
    let ids = |list: &Value| list.as_array().unwrap().iter().map(|one| one["Id"].clone()).collect::<Vec<_>>();
    assert_eq!((ids(&sent["Successful"]), ids(&sent["Failed"])), (vec![json!("a"), json!("c")], vec![json!("b")]));
    assert_eq!(sent["Failed"][0]["Code"], "InvalidParameterValue");
    let input = json!({ "QueueUrl": URL, "MaxNumberOfMessages": 10 });
    let received = ask(&sqs, "ReceiveMessage", input).await.unwrap();
    let handles: Vec<Value> = received["Messages"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(id, message)| json!({ "Id": id.to_string(), "ReceiptHandle": message["ReceiptHandle"] }))
        .collect();
    let deleted = ask(&sqs, "DeleteMessageBatch", json!({ "QueueUrl": URL, "Entries": handles })).await.unwrap();
    assert!(deleted["Successful"].as_array().unwrap().len() == 2 && deleted["Failed"].is_null());
    for (entries, code) in [
        (json!([]), "EmptyBatchRequest"),
        (json!([{ "Id": "a b", "MessageBody": "1" }]), "InvalidBatchEntryId"),
        (json!([{ "Id": "a", "MessageBody": "1" }, { "Id": "a", "MessageBody": "2" }]), "BatchEntryIdsNotDistinct"),
        (vec![json!({ "Id": "a", "MessageBody": "1" }); 11].into(), "TooManyEntriesInBatchRequest"),
    ] {
        let refused = ask(&sqs, "SendMessageBatch", json!({ "QueueUrl": URL, "Entries": entries })).await.unwrap_err();
        assert!(refused.code.ends_with(code), "{}", refused.code);
    }
}

#[tokio::test]
async fn what_sqs_refuses_is_refused_with_its_codes() {
    let (sqs, _folder) = queue(json!({})).await;
    for (operation, input, code) in [
        ("GetQueueUrl", json!({ "QueueName": "none" }), "AWS.SimpleQueueService.NonExistentQueue"),
        (
            "SendMessage",
            json!({ "QueueUrl": "http://x/000000000000/none", "MessageBody": "x" }),
            "AWS.SimpleQueueService.NonExistentQueue",
        ),
        ("SendMessage", json!({ "QueueUrl": URL }), "MissingParameter"),
        ("SendMessage", json!({ "QueueUrl": URL, "MessageBody": "\u{0}" }), "InvalidMessageContents"),
        ("DeleteMessage", json!({ "QueueUrl": URL, "ReceiptHandle": "x" }), "ReceiptHandleIsInvalid"),
        ("CreateQueue", json!({ "QueueName": "a b" }), "InvalidParameterValue"),
        ("CreateQueue", json!({ "QueueName": "q", "Attributes": { "DelaySeconds": "9" } }), "QueueAlreadyExists"),
        ("CreateQueue", json!({ "QueueName": "r", "Attributes": { "Delay": "9" } }), "InvalidAttributeName"),
        (
            "SetQueueAttributes",
            json!({ "QueueUrl": URL, "Attributes": { "DelaySeconds": "901" } }),
            "InvalidAttributeValue",
        ),
        ("ReceiveMessage", json!({ "QueueUrl": URL, "MaxNumberOfMessages": 11 }), "InvalidParameterValue"),
    ] {
        let refused = ask(&sqs, operation, input.clone()).await.unwrap_err();
        let response = AnyService::protocol(&*sqs).error(&refused, "id");
        let header = response.headers["x-amzn-query-error"].to_str().unwrap().to_owned();
        assert_eq!(header, format!("{code};Sender"), "{operation} {input}");
    }
}

#[tokio::test]
async fn cloud_control_sees_the_queue_itself() {
    let (sqs, _folder) = queue(json!({ "DelaySeconds": "3" })).await;
    let by_aws_url = "https://sqs.eu-west-1.amazonaws.com/000000000000/q";
    let read = |identifier: &str| ControlledResources::read(&*sqs, "eu-west-1", "AWS::SQS::Queue", identifier);
    assert_eq!(read(by_aws_url), read(URL));
    let properties = read(URL).unwrap();
    assert_eq!(
        (&properties["DelaySeconds"], &properties["QueueUrl"], &properties["Arn"]),
        (&json!(3), &json!(URL), &json!(ARN))
    );
    let wanted = json!({ "QueueName": "q", "VisibilityTimeout": 7, "Tags": [{ "Key": "a", "Value": "b" }] });
    ControlledResources::update(&*sqs, "eu-west-1", "AWS::SQS::Queue", URL, &wanted).unwrap();
    let properties = read(URL).unwrap();
    assert_eq!((&properties["DelaySeconds"], &properties["VisibilityTimeout"]), (&json!(0), &json!(7)));
    assert_eq!(sqs.tagged("eu-west-1").unwrap()[0].tags["a"], "b");
    let policy = json!({ "maxReceiveCount": 3, "deadLetterTargetArn": ARN });
    let missing = json!({ "maxReceiveCount": 3, "deadLetterTargetArn": format!("{ARN}2") });
    let wanted = json!({ "QueueName": "r", "RedrivePolicy": missing });
    let refused = ControlledResources::create(&*sqs, "eu-west-1", "AWS::SQS::Queue", &wanted).unwrap_err();
    assert!(refused.message.contains("Dead letter target does not exist"), "{}", refused.message);
    let wanted = json!({ "QueueName": "r", "RedrivePolicy": policy, "SqsManagedSseEnabled": false });
    let made = ControlledResources::create(&*sqs, "eu-west-1", "AWS::SQS::Queue", &wanted).unwrap();
    let properties = read(&made).unwrap();
    assert_eq!((&properties["RedrivePolicy"], &properties["SqsManagedSseEnabled"]), (&policy, &json!(false)));
    let twice = ControlledResources::create(&*sqs, "eu-west-1", "AWS::SQS::Queue", &wanted).unwrap_err();
    assert_eq!(twice.code, "AlreadyExists");
    ControlledResources::delete(&*sqs, "eu-west-1", "AWS::SQS::Queue", &made).unwrap();
    assert_eq!(ControlledResources::list(&*sqs, "eu-west-1", "AWS::SQS::Queue"), [URL]);
}

#[tokio::test]
async fn a_service_sends_only_where_the_queues_policy_lets_it() {
    let (sqs, _folder) = queue(json!({})).await;
    let topic = "arn:aws:sns:eu-west-1:000000000000:t";
    let deliver = || {
        let delivery =
            Delivery { body: "x".to_owned(), by: Some(("sns.amazonaws.com", topic.to_owned())), ..Delivery::default() };
        DeliveryTarget::deliver(&*sqs, ARN, delivery)
    };
    assert_eq!(deliver().await.unwrap_err().code, "AccessDenied");
    let policy = |source: &str| {
        json!({ "Statement": { "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:SendMessage",
            "Resource": ARN, "Condition": { "ArnEquals": { "aws:SourceArn": source } } } })
    };
    for (source, allowed) in [("arn:aws:sns:eu-west-1:000000000000:other", false), (topic, true)] {
        let input = json!({ "QueueUrl": URL, "Attributes": { "Policy": policy(source).to_string() } });
        ask(&sqs, "SetQueueAttributes", input).await.unwrap();
        assert_eq!(deliver().await.is_ok(), allowed, "{source}");
    }
    assert_eq!(bodies(&sqs, URL).await, ["x"]);
}

#[tokio::test]
async fn lambda_gets_messages_in_its_form_and_deletes_them() {
    let (sqs, _folder) = queue(json!({})).await;
    assert_eq!(EventSource::check(&*sqs, ARN, 30), Ok(()));
    assert!(EventSource::check(&*sqs, ARN, 31).unwrap_err().contains("less than Function timeout"));
    assert!(EventSource::check(&*sqs, &format!("{ARN}2"), 1).unwrap_err().contains("NonExistentQueue"));
    let id = send(&sqs, "hello").await;
    let position = crate::local::context::ports::Position::Newest;
    let events = EventSource::receive(&*sqs, ARN, "", &position, 10, Duration::ZERO).await.unwrap();
    let event = &events[0].event;
    assert_eq!((event["messageId"].as_str(), &event["body"]), (Some(id.as_str()), &json!("hello")));
    assert_eq!(
        (&event["eventSource"], &event["eventSourceARN"], &event["awsRegion"]),
        (&json!("aws:sqs"), &json!(ARN), &json!("eu-west-1"))
    );
    assert_eq!(event["attributes"]["ApproximateReceiveCount"], "1");
    EventSource::delete(&*sqs, ARN, &events).await;
    let all = sqs.attributes_of(&QueueId::from_arn(ARN).unwrap()).unwrap();
    assert_eq!(all["ApproximateNumberOfMessagesNotVisible"], "0");
}

#[test]
fn queues_are_known_by_the_path_of_their_url() {
    let id = |url: &str| QueueId::from_url("eu-west-1", url);
    let expected = Some(QueueId::new("eu-west-1", "q"));
    for url in [URL, "https://sqs.eu-west-1.amazonaws.com/000000000000/q", "http://localhost:1/000000000000/q/", "q"] {
        assert_eq!(id(url), expected, "{url}");
    }
    assert_eq!(id("http://localhost:1/123456789012/q"), None);
    assert_eq!(id("http://localhost:1/"), None);
    assert_eq!(QueueId::from_arn(ARN), expected);
    assert_eq!(QueueId::from_arn("arn:aws:sns:eu-west-1:000000000000:q"), None);
}
