use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::*;
use crate::local::context::conditions::Conditions;
use crate::local::context::ports::{
    ControlledResources, Delivery, DeliveryTarget, Functions, Invoked, LogEvent, LogSink,
};
use crate::local::context::store::Store;
use crate::local::eventually::eventually;
use crate::local::lock::lock;
use crate::local::protocol::service::AnyService;
use crate::local::protocol::wire::Request;

const FUNCTION: &str = "arn:aws:lambda:eu-west-1:000000000000:function:f";
const QUEUE: &str = "arn:aws:sqs:eu-west-1:000000000000:q";
const REGION: &str = "eu-west-1";

/// What was delivered: the ARN and the payload; and the attributes of all messages.
#[derive(Default)]
pub(crate) struct Delivered(Mutex<Vec<(String, String)>>, Mutex<BTreeMap<String, String>>);

impl Delivered {
    /// All of it, as soon as there is so much.
    pub(crate) async fn at_least(&self, count: usize) -> Vec<(String, String)> {
        eventually("so much is delivered", async || lock(&self.0).len() >= count).await;
        std::mem::take(&mut *lock(&self.0))
    }

    pub(crate) fn attributes(&self) -> BTreeMap<String, String> {
        lock(&self.1).clone()
    }
}

#[async_trait]
impl Functions for Delivered {
    async fn invoke(&self, _: &str, _: &str, _: Bytes, _: &str) -> Result<Invoked, ApiError> {
        Err(not_found("nothing waits"))
    }

    fn send_event(&self, function_arn: &str, payload: Bytes) -> Result<(), ApiError> {
        lock(&self.0).push((function_arn.to_owned(), String::from_utf8(payload.to_vec()).unwrap()));
        Ok(())
    }

    fn exists(&self, _function_arn: &str) -> bool {
        true
    }

    /// Functions called `shut` are.
    fn permits(&self, function_arn: &str, service: &str, source_arn: &str) -> bool {
        service == "events.amazonaws.com" && source_arn.contains(":rule/") && !function_arn.ends_with(":shut")
    }
}

#[async_trait]
impl DeliveryTarget for Delivered {
    fn service(&self) -> &'static str {
        "sqs"
    }

    async fn deliver(&self, arn: &str, message: Delivery) -> Result<(), ApiError> {
        lock(&self.1).extend(message.attributes.into_iter().map(|(name, _, value)| (name, value)));
        let more: Vec<String> =
            message.group.into_iter().chain(message.by.map(|(service, _)| service.to_owned())).collect();
        lock(&self.0).push((arn.to_owned(), format!("{} {}", message.body, more.join(" ")).trim().to_owned()));
        Ok(())
    }
}

impl LogSink for Delivered {
    fn append_if(&self, _region: &str, group: &str, _stream: &str, events: Vec<LogEvent>, _: &dyn Fn() -> bool) {
        lock(&self.0).extend(events.into_iter().map(|event| (group.to_owned(), event.message)));
    }

    fn has_group(&self, _region: &str, _group: &str) -> bool {
        true
    }
}

pub(crate) fn context(folder: &tempfile::TempDir) -> CloudContext {
    let mut conditions = Conditions::default();
    conditions.rate_minute = Duration::from_millis(20);
    CloudContext {
        port: 0,
        hosts: Default::default(),
        store: Store::open(folder.path()).unwrap(),
        conditions: Arc::new(conditions),
        ca_bundle: folder.path().join("ca.pem"),
        recorder: Arc::default(),
    }
}

pub(crate) fn targets(delivered: &Arc<Delivered>) -> Arc<Targets> {
    Arc::new(Targets { functions: delivered.clone(), logs: delivered.clone(), others: vec![delivered.clone()] })
}

struct Fixture {
    events: Arc<Events>,
    delivered: Arc<Delivered>,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let delivered = Arc::<Delivered>::default();
        Self { events: Events::open(&context(&folder), targets(&delivered)).unwrap(), delivered, folder }
    }

    async fn ask(&self, operation: &str, input: Value) -> Answer {
        let mut request = Request::in_test("POST", "/", &input.to_string());
        request.headers.insert("x-amz-target", format!("AWSEvents.{operation}").parse().unwrap());
        let call = AnyService::prepare(&*self.events, request)?;
        let response = AnyService::call(&*self.events, call).await?;
        Ok(serde_json::from_slice(&response.body).unwrap())
    }

    async fn rule(&self, name: &str, rule: Value, targets: Value) {
        let mut rule = rule;
        rule["Name"] = name.into();
        let made = self.ask("PutRule", rule.clone()).await.unwrap();
        assert!(made["RuleArn"].as_str().unwrap().ends_with(name), "{made}");
        let bus = rule["EventBusName"].as_str().unwrap_or("default");
        let input = json!({ "Rule": name, "EventBusName": bus, "Targets": targets });
        assert_eq!(self.ask("PutTargets", input).await.unwrap()["FailedEntryCount"], 0);
    }

    async fn put(&self, entry: Value) -> Value {
        self.ask("PutEvents", json!({ "Entries": [entry] })).await.unwrap()
    }
}

fn joined(room: &str) -> Value {
    json!({ "Source": "chat", "DetailType": "Joined", "Detail": json!({ "room": room }).to_string(), "Resources": ["arn:x"] })
}

const OF_LOBBY: &str = r#"{"source": ["chat"], "detail": {"room": ["lobby"]}}"#;

#[tokio::test]
async fn an_event_goes_to_the_targets_of_the_rules_that_it_fits() {
    let fixture = Fixture::new();
    let targets = json!([
        { "Id": "f", "Arn": FUNCTION },
        { "Id": "q", "Arn": QUEUE, "InputPath": "$.detail.room", "SqsParameters": { "MessageGroupId": "g" } },
    ]);
    fixture.rule("lobby", json!({ "EventPattern": OF_LOBBY }), targets).await;
    fixture
        .rule("off", json!({ "EventPattern": OF_LOBBY, "State": "DISABLED" }), json!([{ "Id": "f", "Arn": FUNCTION }]))
        .await;
    fixture.put(joined("kitchen")).await;
    let answer = fixture.put(joined("lobby")).await;
    let mut delivered = fixture.delivered.at_least(2).await;
    delivered.sort();
    let event: Value = serde_json::from_str(&delivered[0].1).unwrap();
    let expected = json!({
        "version": "0", "id": answer["Entries"][0]["EventId"], "detail-type": "Joined", "source": "chat",
        "account": "000000000000", "time": event["time"], "region": REGION, "resources": ["arn:x"],
        "detail": { "room": "lobby" },
    });
    assert_eq!((delivered[0].0.as_str(), event), (FUNCTION, expected));
    assert_eq!(delivered[1], (QUEUE.to_owned(), "\"lobby\" g events.amazonaws.com".to_owned()));
}

#[tokio::test]
async fn what_a_function_refuses_goes_to_the_dead_letter_queue() {
    let fixture = Fixture::new();
    let shut = format!("{}:shut", FUNCTION.rsplit_once(':').unwrap().0);
    let target = json!([{ "Id": "f", "Arn": shut, "Input": "{\"a\":1}", "DeadLetterConfig": { "Arn": QUEUE } }]);
    fixture.rule("r", json!({ "EventPattern": OF_LOBBY }), target).await;
    fixture.put(joined("lobby")).await;
    assert_eq!(fixture.delivered.at_least(1).await, [(QUEUE.to_owned(), "{\"a\":1} events.amazonaws.com".to_owned())]);
    let attributes = fixture.delivered.attributes();
    let names: Vec<&str> = attributes.keys().map(String::as_str).collect();
    assert_eq!(names, ["ERROR_CODE", "ERROR_MESSAGE", "RETRY_ATTEMPTS", "RULE_ARN", "TARGET_ARN"]);
    assert_eq!((attributes["RULE_ARN"].rsplit('/').next(), attributes["RETRY_ATTEMPTS"].as_str()), (Some("r"), "0"));
}

#[tokio::test]
async fn an_event_goes_from_bus_to_bus_but_not_for_ever() {
    let fixture = Fixture::new();
    fixture.ask("CreateEventBus", json!({ "Name": "chat" })).await.unwrap();
    let bus = |name: &str| json!([{ "Id": "b", "Arn": model::bus_arn(REGION, name) }]);
    fixture.rule("there", json!({ "EventPattern": OF_LOBBY }), bus("chat")).await;
    fixture.rule("back", json!({ "EventPattern": OF_LOBBY, "EventBusName": "chat" }), bus("default")).await;
    let log = json!([{ "Id": "l", "Arn": "arn:aws:logs:eu-west-1:000000000000:log-group:/g:*", "Input": "\"seen\"" }]);
    fixture.rule("log", json!({ "EventPattern": OF_LOBBY, "EventBusName": "chat" }), log).await;
    fixture.put(joined("lobby")).await;
    let delivered = fixture.delivered.at_least(3).await;
    assert_eq!(delivered, vec![("/g".to_owned(), "\"seen\"".to_owned()); 3]);
}

#[tokio::test]
async fn a_rate_invokes_its_targets_until_it_is_disabled() {
    let fixture = Fixture::new();
    fixture
        .rule("beat", json!({ "ScheduleExpression": "rate(1 minute)" }), json!([{ "Id": "f", "Arn": FUNCTION }]))
        .await;
    let delivered = fixture.delivered.at_least(2).await;
    let event: Value = serde_json::from_str(&delivered[0].1).unwrap();
    let rule = "arn:aws:events:eu-west-1:000000000000:rule/beat";
    assert_eq!((&event["source"], &event["detail-type"]), (&json!("aws.events"), &json!("Scheduled Event")));
    assert_eq!((&event["resources"], &event["detail"]), (&json!([rule]), &json!({})));
    fixture.ask("DisableRule", json!({ "Name": "beat" })).await.unwrap();
    assert!(fixture.events.alarms().is_empty());
    fixture.ask("EnableRule", json!({ "Name": "beat" })).await.unwrap();
    fixture.delivered.at_least(1).await;
}

#[tokio::test]
async fn rules_are_described_listed_changed_and_deleted_and_kept() {
    let fixture = Fixture::new();
    let rule = json!({ "EventPattern": OF_LOBBY, "Description": "d", "Tags": [{ "Key": "team", "Value": "x" }] });
    fixture.rule("lobby", rule, json!([{ "Id": "f", "Arn": FUNCTION }, { "Id": "q", "Arn": QUEUE }])).await;
    // What a rule has already stays: its targets and tags.
    fixture.ask("PutRule", json!({ "Name": "lobby", "ScheduleExpression": "rate(5 minutes)" })).await.unwrap();

    let again =
        Fixture { events: Events::open(&context(&fixture.folder), targets(&fixture.delivered)).unwrap(), ..fixture };
    let arn = "arn:aws:events:eu-west-1:000000000000:rule/lobby";
    let described = again.ask("DescribeRule", json!({ "Name": "lobby" })).await.unwrap();
    let expected = json!({
        "Name": "lobby", "Arn": arn, "State": "ENABLED", "EventBusName": "default", "CreatedBy": "000000000000",
        "ScheduleExpression": "rate(5 minutes)",
    });
    assert_eq!(described, expected);
    let listed = again.ask("ListRules", json!({ "NamePrefix": "lo" })).await.unwrap();
    assert_eq!(listed["Rules"][0]["Name"], "lobby");
    let tags = again.ask("ListTagsForResource", json!({ "ResourceARN": arn })).await.unwrap();
    assert_eq!(tags["Tags"], json!([{ "Key": "team", "Value": "x" }]));
    let names = again.ask("ListRuleNamesByTarget", json!({ "TargetArn": QUEUE })).await.unwrap();
    assert_eq!(names["RuleNames"], json!(["lobby"]));
    let first = again.ask("ListTargetsByRule", json!({ "Rule": "lobby", "Limit": 1 })).await.unwrap();
    let input = json!({ "Rule": "lobby", "Limit": 1, "NextToken": first["NextToken"] });
    let second = again.ask("ListTargetsByRule", input).await.unwrap();
    assert_eq!((&first["Targets"][0]["Id"], &second["Targets"][0]["Id"]), (&json!("f"), &json!("q")));
    assert!(second["NextToken"].is_null());

    let refused = again.ask("DeleteRule", json!({ "Name": "lobby" })).await.unwrap_err();
    assert_eq!(refused.message, "Rule can't be deleted since it has targets.");
    again.ask("RemoveTargets", json!({ "Rule": "lobby", "Ids": ["f", "q"] })).await.unwrap();
    again.ask("DeleteRule", json!({ "Name": "lobby" })).await.unwrap();
    let gone = again.ask("DescribeRule", json!({ "Name": "lobby" })).await.unwrap_err();
    assert_eq!(
        (&*gone.code, gone.message.as_str()),
        ("ResourceNotFoundException", "Rule lobby does not exist on EventBus default.")
    );
}

#[tokio::test]
async fn what_aws_refuses_is_refused() {
    let fixture = Fixture::new();
    fixture.rule("r", json!({ "EventPattern": OF_LOBBY }), json!([])).await;
    fixture.ask("CreateEventBus", json!({ "Name": "chat" })).await.unwrap();
    let six: Vec<Value> = (0..6).map(|id| json!({ "Id": id.to_string(), "Arn": FUNCTION })).collect();
    for (operation, input, code, message) in [
        (
            "PutRule",
            json!({ "Name": "a" }),
            "ValidationException",
            "Parameter(s) EventPattern or ScheduleExpression must be specified.",
        ),
        ("PutRule", json!({ "EventPattern": OF_LOBBY }), "ValidationException", "Value null at 'name'"),
        (
            "PutRule",
            json!({ "Name": "a b", "EventPattern": OF_LOBBY }),
            "ValidationException",
            "regular expression pattern",
        ),
        (
            "PutRule",
            json!({ "Name": "a", "EventPattern": "{" }),
            "InvalidEventPatternException",
            "Event pattern is not valid. Reason: ",
        ),
        (
            "PutRule",
            json!({ "Name": "a", "ScheduleExpression": "rate(5 minute)" }),
            "ValidationException",
            "Parameter ScheduleExpression is not valid.",
        ),
        (
            "PutRule",
            json!({ "Name": "a", "ScheduleExpression": "rate(1 day)", "EventBusName": "chat" }),
            "ValidationException",
            "only on the default event bus",
        ),
        (
            "PutRule",
            json!({ "Name": "a", "EventPattern": OF_LOBBY, "EventBusName": "none" }),
            "ResourceNotFoundException",
            "Event bus none does not exist.",
        ),
        (
            "PutTargets",
            json!({ "Rule": "x", "Targets": [] }),
            "ResourceNotFoundException",
            "Rule x does not exist on EventBus default.",
        ),
        ("PutTargets", json!({ "Rule": "r", "Targets": six }), "LimitExceededException", "exceeds the maximum"),
        (
            "PutTargets",
            json!({ "Rule": "r", "Targets": [{ "Id": "a" }] }),
            "ValidationException",
            "'targets.1.member.arn'",
        ),
        (
            "PutTargets",
            json!({ "Rule": "r", "Targets": [{ "Id": "a", "Arn": FUNCTION, "Input": "{" }] }),
            "ValidationException",
            "JSON syntax error in input",
        ),
        (
            "CreateEventBus",
            json!({ "Name": "chat" }),
            "ResourceAlreadyExistsException",
            "Event bus chat already exists.",
        ),
        ("DeleteEventBus", json!({ "Name": "default" }), "ValidationException", "Cannot delete event bus default."),
        ("PutEvents", json!({ "Entries": [] }), "ValidationException", "'entries'"),
    ] {
        let error = fixture.ask(operation, input.clone()).await.unwrap_err();
        assert_eq!(error.code, code, "{operation} {input}: {}", error.message);
        assert!(error.message.contains(message), "{operation} {input}: {}", error.message);
    }
    for (member, value, code) in [
        ("Source", "", "InvalidArgument"),
        ("Source", "aws.ec2", "NotAuthorizedForSourceException"),
        ("Detail", "[]", "MalformedDetail"),
        ("DetailType", "", "InvalidArgument"),
    ] {
        let mut entry = joined("lobby");
        entry[member] = value.into();
        let answer = fixture.put(entry).await;
        assert_eq!((&answer["FailedEntryCount"], &answer["Entries"][0]["ErrorCode"]), (&json!(1), &json!(code)));
    }
}

#[tokio::test]
async fn a_pattern_can_be_tried() {
    let fixture = Fixture::new();
    let event = json!({
        "id": "1", "account": "2", "source": "chat", "time": "2026-11-29T10:00:00Z", "region": "r", "resources": [],
        "detail-type": "Joined", "detail": { "room": "lobby" },
    });
    let input = json!({ "EventPattern": OF_LOBBY, "Event": event.to_string() });
    assert_eq!(fixture.ask("TestEventPattern", input).await.unwrap()["Result"], true);
}

/// One state: what Cloud Control creates, the service shows, and the other way round.
#[tokio::test]
async fn cloud_control_sees_the_services_own_rules() {
    let fixture = Fixture::new();
    let (events, rule) = (&fixture.events, "AWS::Events::Rule");
    let properties = json!({
        "Name": "lobby", "EventPattern": serde_json::from_str::<Value>(OF_LOBBY).unwrap(), "State": "ENABLED",
        "Targets": [{ "Id": "f", "Arn": FUNCTION }], "Tags": [{ "Key": "wschat:stack", "Value": "chat" }],
    });
    let arn = events.create(REGION, rule, &properties).unwrap();
    assert_eq!(arn, "arn:aws:events:eu-west-1:000000000000:rule/lobby");
    let read = events.read(REGION, rule, &arn).unwrap();
    for (member, value) in properties.as_object().unwrap() {
        assert_eq!(read[member], *value, "{member}");
    }
    assert_eq!(read["Arn"], arn);
    assert_eq!(events.create(REGION, rule, &properties).unwrap_err().code, "ResourceAlreadyExistsException");
    fixture.put(joined("lobby")).await;
    fixture.delivered.at_least(1).await;
    let tagged = events.tagged(REGION).unwrap();
    assert_eq!(tagged.iter().find(|tagged| tagged.arn == arn).unwrap().tags["wschat:stack"], "chat");

    let schedule = json!({ "Name": "lobby", "ScheduleExpression": "cron(0 12 * * ? *)" });
    events.update(REGION, rule, &arn, &schedule).unwrap();
    let described = fixture.ask("DescribeRule", json!({ "Name": "lobby" })).await.unwrap();
    assert!(
        described["EventPattern"].is_null() && described["ScheduleExpression"] == "cron(0 12 * * ? *)",
        "{described}"
    );
    assert!(events.read(REGION, rule, &arn).unwrap()["Targets"].is_null());
    assert_eq!(events.list(REGION, rule), [arn.as_str()]);
    events.delete(REGION, rule, &arn).unwrap();
    assert!(events.read(REGION, rule, &arn).is_none());

    let bus = "AWS::Events::EventBus";
    let properties = json!({ "Name": "chat", "Policy": { "Statement": [] }, "Tags": [{ "Key": "a", "Value": "b" }] });
    assert_eq!(events.create(REGION, bus, &properties).unwrap(), "chat");
    assert_eq!(events.read(REGION, bus, "chat").unwrap()["Policy"], properties["Policy"]);
    assert_eq!(
        fixture.ask("DescribeEventBus", json!({ "Name": "chat" })).await.unwrap()["Policy"],
        r#"{"Statement":[]}"#
    );
    events.delete(REGION, bus, "chat").unwrap();
    assert!(events.read(REGION, bus, "chat").is_none());
}
