use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::local::context::conditions::Conditions;
use crate::local::context::ports::{ControlledResources, Delivery, DeliveryTarget, Functions, Invoked};
use crate::local::context::store::Store;
use crate::local::lock::lock;
use crate::local::protocol::query::testing::{call, texts};

const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:t";
const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:q";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

/// Functions and queues that keep what they get.
#[derive(Default)]
struct Fake {
    events: Mutex<Vec<(String, Value)>>,
    delivered: Mutex<Vec<(String, Delivery)>>,
}

#[async_trait]
impl Functions for Fake {
    async fn invoke(&self, _: &str, _: &str, _: Bytes, _: &str) -> Result<Invoked, ApiError> {
        unreachable!("SNS waits for no function")
    }

    fn send_event(&self, function_arn: &str, payload: Bytes) -> Result<(), ApiError> {
        lock(&self.events).push((function_arn.to_owned(), serde_json::from_slice(&payload).unwrap()));
        Ok(())
    }

    fn exists(&self, _: &str) -> bool {
        true
    }

    fn permits(&self, function_arn: &str, service: &str, source_arn: &str) -> bool {
        (function_arn, service, source_arn) == (FUNCTION, "sns.amazonaws.com", TOPIC)
    }
}

#[async_trait]
impl DeliveryTarget for Fake {
    fn service(&self) -> &'static str {
        "sqs"
    }

    async fn deliver(&self, arn: &str, message: Delivery) -> Result<(), ApiError> {
        if arn.ends_with(":closed") {
            return Err(ApiError::new(403, "AccessDenied", "no"));
        }
        lock(&self.delivered).push((arn.to_owned(), message));
        Ok(())
    }
}

struct Fixture {
    sns: Arc<Sns>,
    fake: Arc<Fake>,
    context: CloudContext,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let context = CloudContext {
            port: 0,
            hosts: Default::default(),
            store: Store::open(folder.path()).unwrap(),
            conditions: Arc::new(Conditions::default()),
            ca_bundle: folder.path().join("ca.pem"),
            recorder: Arc::default(),
        };
        let fake = Arc::new(Fake::default());
        let sns = Sns::open(&context, fake.clone(), fake.clone()).unwrap();
        let fixture = Self { sns, fake, context, _folder: folder };
        let made =
            fixture.ask("CreateTopic", &[("Name", "t"), ("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "b")]);
        assert_eq!(texts(&made.await.unwrap(), "TopicArn"), [TOPIC]);
        fixture
    }

    async fn ask(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String, ApiError> {
        call(&*self.sns, None, action, parameters).await
    }

    async fn subscribe(&self, protocol: &str, endpoint: &str, attributes: &[(&str, &str)]) -> String {
        let mut parameters = vec![("TopicArn", TOPIC), ("Protocol", protocol), ("Endpoint", endpoint)];
        let names: Vec<(String, String)> = (1..=attributes.len())
            .map(|index| (format!("Attributes.entry.{index}.key"), format!("Attributes.entry.{index}.value")))
            .collect();
        for ((key, value), (name, text)) in names.iter().zip(attributes) {
            parameters.extend([(key.as_str(), *name), (value.as_str(), *text)]);
        }
        texts(&self.ask("Subscribe", &parameters).await.unwrap(), "SubscriptionArn")[0].clone()
    }

    async fn publish(&self, more: &[(&str, &str)]) -> Result<String, ApiError> {
        let mut parameters = vec![("TopicArn", TOPIC)];
        parameters.extend(more);
        self.ask("Publish", &parameters).await
    }

    fn queued(&self) -> Vec<(String, Delivery)> {
        std::mem::take(&mut *lock(&self.fake.delivered))
    }
}

#[tokio::test]
async fn a_function_gets_an_event_and_a_queue_an_envelope_or_the_message_itself() {
    let fixture = Fixture::new().await;
    let function = fixture.subscribe("lambda", FUNCTION, &[]).await;
    fixture.subscribe("sqs", QUEUE, &[]).await;
    let raw = format!("{QUEUE}-raw");
    fixture.subscribe("sqs", &raw, &[("RawMessageDelivery", "true")]).await;
    let published = fixture
        .publish(&[
            ("Message", "hello"),
            ("Subject", "greeting"),
            ("MessageAttributes.entry.1.Name", "kind"),
            ("MessageAttributes.entry.1.Value.DataType", "String"),
            ("MessageAttributes.entry.1.Value.StringValue", "chat"),
        ])
        .await
        .unwrap();
    let id = &texts(&published, "MessageId")[0];

    let (to, event) = lock(&fixture.fake.events).pop().unwrap();
    let record = &event["Records"][0];
    assert_eq!((to.as_str(), record["EventSubscriptionArn"].as_str()), (FUNCTION, Some(function.as_str())));
    let sns = &record["Sns"];
    assert_eq!(
        (&sns["Message"], &sns["Subject"], sns["MessageId"].as_str()),
        (&json!("hello"), &json!("greeting"), Some(id.as_str()))
    );
    assert_eq!(sns["MessageAttributes"], json!({ "kind": { "Type": "String", "Value": "chat" } }));
    assert!(sns["SigningCertUrl"].is_string() && sns["SigningCertURL"].is_null());

    let queued = fixture.queued();
    let find = |arn: &str| queued.iter().find(|(to, _)| to == arn).map(|(_, delivery)| delivery.clone()).unwrap();
    let envelope: Value = serde_json::from_str(&find(QUEUE).body).unwrap();
    assert_eq!(
        (&envelope["Type"], &envelope["Message"], &envelope["TopicArn"]),
        (&json!("Notification"), &json!("hello"), &json!(TOPIC))
    );
    assert_eq!(find(QUEUE).by, Some(("sns.amazonaws.com", TOPIC.to_owned())));
    let message = find(&raw);
    assert_eq!((message.body.as_str(), message.attributes[0].0.as_str()), ("hello", "kind"));
}

#[tokio::test]
async fn filter_policies_decide_who_gets_what() {
    let fixture = Fixture::new().await;
    fixture
        .subscribe("sqs", QUEUE, &[("FilterPolicy", r#"{"kind": ["chat"], "size": [{"numeric": [">", 3]}]}"#)])
        .await;
    let body = format!("{QUEUE}-body");
    let scope = [("FilterPolicy", r#"{"room": {"name": ["a"]}}"#), ("FilterPolicyScope", "MessageBody")];
    fixture.subscribe("sqs", &body, &scope).await;
    let publish = async |message: &str, kind: &str, size: &str| {
        let parameters = [
            ("Message", message),
            ("MessageAttributes.entry.1.Name", "kind"),
            ("MessageAttributes.entry.1.Value.DataType", "String"),
            ("MessageAttributes.entry.1.Value.StringValue", kind),
            ("MessageAttributes.entry.2.Name", "size"),
            ("MessageAttributes.entry.2.Value.DataType", "Number"),
            ("MessageAttributes.entry.2.Value.StringValue", size),
        ];
        fixture.publish(&parameters).await.unwrap();
        fixture.queued().into_iter().map(|(to, _)| to).collect::<Vec<_>>()
    };
    assert_eq!(publish("x", "chat", "4").await, [QUEUE]);
    assert!(publish("x", "chat", "3").await.is_empty());
    assert!(publish("x", "other", "4").await.is_empty());
    assert_eq!(publish(r#"{"room": {"name": "a"}}"#, "other", "4").await, [body]);
}

#[tokio::test]
async fn what_cannot_be_delivered_goes_to_the_dead_letters() {
    let fixture = Fixture::new().await;
    let dead = format!(r#"{{"deadLetterTargetArn": "{QUEUE}-dead"}}"#);
    let closed = "arn:aws:sqs:us-east-1:000000000000:closed";
    fixture.subscribe("sqs", closed, &[("RedrivePolicy", &dead)]).await;
    // Without a permission.
    fixture.subscribe("lambda", &format!("{FUNCTION}2"), &[("RedrivePolicy", &dead)]).await;
    fixture.publish(&[("Message", "hello")]).await.unwrap();
    let queued = fixture.queued();
    assert_eq!(queued.iter().map(|(to, _)| to.clone()).collect::<Vec<_>>(), vec![format!("{QUEUE}-dead"); 2]);
    assert!(lock(&fixture.fake.events).is_empty());
}

#[tokio::test]
async fn a_message_can_differ_by_protocol_and_a_batch_says_how_each_went() {
    let fixture = Fixture::new().await;
    fixture.subscribe("sqs", QUEUE, &[("RawMessageDelivery", "true")]).await;
    let structured = [("Message", r#"{"default": "d", "sqs": "s"}"#), ("MessageStructure", "json")];
    fixture.publish(&structured).await.unwrap();
    assert_eq!(fixture.queued()[0].1.body, "s");
    let batch = [
        ("TopicArn", TOPIC),
        ("PublishBatchRequestEntries.member.1.Id", "a"),
        ("PublishBatchRequestEntries.member.1.Message", "1"),
        ("PublishBatchRequestEntries.member.2.Id", "b"),
        ("PublishBatchRequestEntries.member.2.Message", ""),
    ];
    let answer = fixture.ask("PublishBatch", &batch).await.unwrap();
    assert_eq!(texts(&answer, "Id"), ["a", "b"]);
    assert_eq!(texts(&answer, "Code"), ["InvalidParameter"]);
    assert_eq!(fixture.queued().len(), 1);
}

#[tokio::test]
async fn topics_and_subscriptions_are_read_changed_and_survive_a_restart() {
    let mut fixture = Fixture::new().await;
    let arn = fixture.subscribe("sqs", QUEUE, &[]).await;
    assert_eq!(fixture.subscribe("sqs", QUEUE, &[]).await, arn, "the same again");
    assert_eq!(fixture.subscribe("email", "a@example.com", &[]).await, "pending confirmation");
    let set = [("SubscriptionArn", arn.as_str()), ("AttributeName", "RawMessageDelivery"), ("AttributeValue", "true")];
    fixture.ask("SetSubscriptionAttributes", &set).await.unwrap();
    let set = [("TopicArn", TOPIC), ("AttributeName", "DisplayName"), ("AttributeValue", "News")];
    fixture.ask("SetTopicAttributes", &set).await.unwrap();
    fixture.sns = Sns::open(&fixture.context, fixture.fake.clone(), fixture.fake.clone()).unwrap();

    let attributes = fixture.ask("GetTopicAttributes", &[("TopicArn", TOPIC)]).await.unwrap();
    for (name, value) in [("DisplayName", "News"), ("SubscriptionsConfirmed", "1"), ("SubscriptionsPending", "1")] {
        assert!(attributes.contains(&format!("<key>{name}</key><value>{value}</value>")), "{attributes}");
    }
    let attributes = fixture.ask("GetSubscriptionAttributes", &[("SubscriptionArn", &arn)]).await.unwrap();
    assert!(attributes.contains("<key>RawMessageDelivery</key><value>true</value>"), "{attributes}");
    let tags = fixture.ask("ListTagsForResource", &[("ResourceArn", TOPIC)]).await.unwrap();
    assert_eq!(texts(&tags, "Key"), ["a"]);
    let listed = fixture.ask("ListSubscriptionsByTopic", &[("TopicArn", TOPIC)]).await.unwrap();
    assert_eq!(texts(&listed, "Endpoint").len(), 2);
    fixture.ask("Unsubscribe", &[("SubscriptionArn", &arn)]).await.unwrap();
    assert_eq!(texts(&fixture.ask("ListSubscriptions", &[]).await.unwrap(), "Protocol"), ["email"]);
    fixture.ask("DeleteTopic", &[("TopicArn", TOPIC)]).await.unwrap();
    assert!(texts(&fixture.ask("ListTopics", &[]).await.unwrap(), "TopicArn").is_empty());
    let refused = fixture.publish(&[("Message", "x")]).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_ref()), (404, "NotFound"));
}

#[tokio::test]
async fn what_sns_refuses_is_refused() {
    let fixture = Fixture::new().await;
    let subscribe = |protocol, endpoint| vec![("TopicArn", TOPIC), ("Protocol", protocol), ("Endpoint", endpoint)];
    for (action, parameters, message) in [
        ("CreateTopic", vec![("Name", "a b")], "Topic Name"),
        ("CreateTopic", vec![("Name", "t.fifo")], "Fifo Topic names"),
        ("Publish", vec![("TopicArn", "t"), ("Message", "x")], "TopicArn"),
        ("Publish", vec![("TopicArn", TOPIC), ("Message", "")], "Empty message"),
        ("Publish", vec![("PhoneNumber", "+1"), ("Message", "x")], "no text messages"),
        ("Subscribe", subscribe("pigeon", "x"), "does not support this protocol"),
        ("Subscribe", subscribe("sqs", FUNCTION), "SQS endpoint ARN"),
        ("GetSubscriptionAttributes", vec![("SubscriptionArn", TOPIC)], "SubscriptionArn"),
    ] {
        let refused = fixture.ask(action, &parameters).await.unwrap_err();
        assert!(refused.message.contains(message), "{action}: {}", refused.message);
    }
}

#[tokio::test]
async fn a_fifo_topic_takes_a_message_once_and_saves_nothing_for_it() {
    let fixture = Fixture::new().await;
    let topic = format!("{TOPIC}.fifo");
    let create = [("Name", "t.fifo"), ("Attributes.entry.1.key", "FifoTopic"), ("Attributes.entry.1.value", "true")];
    fixture.ask("CreateTopic", &create).await.unwrap();
    let subscribe = [("TopicArn", topic.as_str()), ("Protocol", "sqs"), ("Endpoint", QUEUE)];
    fixture.ask("Subscribe", &subscribe).await.unwrap();
    let saved = || std::fs::read(fixture.context.store.path("sns.json")).unwrap();
    let publish = async |deduplication: &str| {
        let message = [
            ("TopicArn", topic.as_str()),
            ("Message", "hello"),
            ("MessageGroupId", "g"),
            ("MessageDeduplicationId", deduplication),
        ];
        let published = fixture.ask("Publish", &message).await.unwrap();
        assert_eq!(texts(&published, "SequenceNumber").len(), 1);
        fixture.queued().len()
    };
    let before = saved();
    assert_eq!((publish("a").await, publish("a").await, publish("b").await), (1, 0, 1));
    assert!(saved() == before);
    // Another topic of that name has seen nothing.
    fixture.ask("DeleteTopic", &[("TopicArn", &topic)]).await.unwrap();
    fixture.ask("CreateTopic", &create).await.unwrap();
    fixture.ask("Subscribe", &subscribe).await.unwrap();
    assert_eq!(publish("a").await, 1);
}

#[tokio::test]
async fn another_service_publishes_only_where_the_topics_policy_lets_it() {
    let fixture = Fixture::new().await;
    fixture.subscribe("sqs", QUEUE, &[("RawMessageDelivery", "true")]).await;
    let rule = "arn:aws:events:us-east-1:000000000000:rule/r";
    let deliver = async || {
        let by = Some(("events.amazonaws.com", rule.to_owned()));
        let delivery = Delivery { body: "tick".to_owned(), by, ..Delivery::default() };
        DeliveryTarget::deliver(&*fixture.sns, TOPIC, delivery).await
    };
    assert_eq!(deliver().await.unwrap_err().code, "AuthorizationError");
    let policy = json!({ "PolicyDocument": { "Statement": [{ "Effect": "Allow", "Principal": { "Service": "events.amazonaws.com" },
        "Action": "sns:Publish", "Resource": TOPIC, "Condition": { "ArnEquals": { "aws:SourceArn": rule } } }] }, "TopicArn": TOPIC });
    let made = ControlledResources::create(&*fixture.sns, "us-east-1", "AWS::SNS::TopicInlinePolicy", &policy).unwrap();
    assert_eq!(made, TOPIC);
    deliver().await.unwrap();
    assert_eq!(fixture.queued()[0].1.body, "tick");
    ControlledResources::delete(&*fixture.sns, "us-east-1", "AWS::SNS::TopicInlinePolicy", TOPIC).unwrap();
    assert!(deliver().await.is_err());
}

#[tokio::test]
async fn cloud_control_sees_topics_and_subscriptions_themselves() {
    let fixture = Fixture::new().await;
    let sns = &*fixture.sns;
    let region = "us-east-1";
    let wanted = json!({
        "TopicName": "news", "DisplayName": "News", "Subscription": [{ "Protocol": "sqs", "Endpoint": QUEUE }],
        "Tags": [{ "Key": "a", "Value": "b" }],
    });
    let topic = ControlledResources::create(sns, region, "AWS::SNS::Topic", &wanted).unwrap();
    let mut expected = wanted.clone();
    expected["TopicArn"] = topic.as_str().into();
    let read = |kind: &str, id: &str| ControlledResources::read(sns, region, kind, id);
    assert_eq!(read("AWS::SNS::Topic", &topic), Some(expected));
    let policy = json!({ "kind": ["chat"] });
    let wanted = json!({ "TopicArn": topic, "Protocol": "lambda", "Endpoint": FUNCTION, "FilterPolicy": policy });
    let subscription = ControlledResources::create(sns, region, "AWS::SNS::Subscription", &wanted).unwrap();
    let properties = read("AWS::SNS::Subscription", &subscription).unwrap();
    assert_eq!((&properties["FilterPolicy"], &properties["Endpoint"]), (&policy, &json!(FUNCTION)));
    let changed = json!({ "TopicArn": topic, "Protocol": "lambda", "Endpoint": FUNCTION, "RawMessageDelivery": false });
    ControlledResources::update(sns, region, "AWS::SNS::Subscription", &subscription, &changed).unwrap();
    let properties = read("AWS::SNS::Subscription", &subscription).unwrap();
    assert_eq!((&properties["FilterPolicy"], &properties["RawMessageDelivery"]), (&Value::Null, &json!(false)));
    // Another update of the topic leaves what is not in it.
    ControlledResources::update(sns, region, "AWS::SNS::Topic", &topic, &json!({ "TopicName": "news" })).unwrap();
    assert_eq!(ControlledResources::list(sns, region, "AWS::SNS::Subscription"), std::slice::from_ref(&subscription));
    ControlledResources::delete(sns, region, "AWS::SNS::Subscription", &subscription).unwrap();
    assert_eq!(read("AWS::SNS::Subscription", &subscription), None);
    ControlledResources::delete(sns, region, "AWS::SNS::Topic", &topic).unwrap();
    assert_eq!(ControlledResources::list(sns, region, "AWS::SNS::Topic"), [TOPIC]);
}
