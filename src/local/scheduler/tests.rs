use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::local::context::ports::{ControlledResources, Credentials};
use crate::local::events::tests::{Delivered, context, targets};
use crate::local::eventually::eventually;
use crate::local::lock::lock;
use crate::local::protocol::service::AnyService;
use crate::local::protocol::wire::Request;

const FUNCTION: &str = "arn:aws:lambda:eu-west-1:000000000000:function:f";
const ROLE: &str = "arn:aws:iam::000000000000:role/clock";
const REGION: &str = "eu-west-1";

/// Roles of which some may do nothing.
#[derive(Default)]
struct Account {
    forbidden: Mutex<HashSet<String>>,
}

impl Roles for Account {
    fn assumable(&self, role_arn: &str, service: &str) -> bool {
        role_arn == ROLE && service == "scheduler.amazonaws.com"
    }

    fn issue(&self, _role_arn: &str, _session_name: &str) -> Credentials {
        unreachable!("nothing needs credentials")
    }

    fn has_issued(&self, _access_key_id: &str) -> bool {
        false
    }

    fn refused<'a>(&self, _role_arn: &str, _region: &str, needs: &'a [Need]) -> Option<&'a Need> {
        needs.iter().find(|need| lock(&self.forbidden).contains(&need.action))
    }
}

struct Fixture {
    scheduler: Arc<Scheduler>,
    delivered: Arc<Delivered>,
    account: Arc<Account>,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (delivered, account) = (Arc::<Delivered>::default(), Arc::<Account>::default());
        let targets = targets(&delivered);
        let context = context(&folder);
        let events = Events::open(&context, targets.clone()).unwrap();
        let scheduler = Scheduler::open(&context, account.clone(), targets, events).unwrap();
        Self { scheduler, delivered, account, folder }
    }

    async fn ask(&self, method: &str, path: &str, input: Value) -> Answer {
        let mut request = Request::in_test(method, path, &input.to_string());
        if let Some((path, query)) = path.split_once('?') {
            request.path = path.to_owned();
            request.query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        }
        let call = AnyService::prepare(&*self.scheduler, request)?;
        let response = AnyService::call(&*self.scheduler, call).await?;
        Ok(serde_json::from_slice(&response.body).unwrap())
    }

    /// Waits until no schedule is left.
    async fn empty(&self) {
        let none_left = async || self.scheduler.state.now().schedules().next().is_none();
        eventually("no schedule is left", none_left).await;
    }
}

fn schedule(expression: &str) -> Value {
    json!({
        "ScheduleExpression": expression,
        "FlexibleTimeWindow": { "Mode": "OFF" },
        "Target": { "Arn": FUNCTION, "RoleArn": ROLE },
    })
}

/// The time of the clock in some seconds, as `at(...)` has it.
fn soon(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(crate::local::context::clock::now_millis() / 1000 + seconds).unwrap();
    format!("at({})", jiff::tz::TimeZone::UTC.to_datetime(time))
}

#[tokio::test]
async fn a_rate_begins_at_once_and_goes_on() {
    let fixture = Fixture::new();
    fixture.ask("POST", "/schedules/beat", schedule("rate(1 minute)")).await.unwrap();
    let delivered = fixture.delivered.at_least(3).await;
    let event: Value = serde_json::from_str(&delivered[0].1).unwrap();
    assert_eq!(
        (delivered[0].0.as_str(), &event["source"], &event["detail"]),
        (FUNCTION, &json!("aws.scheduler"), &json!("{}"))
    );
    let arn = "arn:aws:scheduler:eu-west-1:000000000000:schedule/default/beat";
    assert_eq!(event["resources"], json!([arn]));
}

#[tokio::test]
async fn one_that_is_due_once_rings_once_and_goes() {
    let fixture = Fixture::new();
    let mut once = schedule(&soon(3));
    once["ActionAfterCompletion"] = "DELETE".into();
    once["Target"]["Input"] = r#"{"at": "<aws.scheduler.scheduled-time>"}"#.into();
    fixture.ask("POST", "/schedules/once", once.clone()).await.unwrap();
    let delivered = fixture.delivered.at_least(1).await;
    let time = once["ScheduleExpression"].as_str().unwrap().trim_start_matches("at(").trim_end_matches(')').to_owned();
    assert_eq!(delivered, [(FUNCTION.to_owned(), format!("{{\"at\": \"{time}Z\"}}"))]);
    fixture.empty().await;
}

#[tokio::test]
async fn what_was_due_while_nothing_ran_is_left_out() {
    let fixture = Fixture::new();
    let past = schedule("at(2020-01-01T00:00:00)");
    fixture.ask("POST", "/schedules/past", past).await.unwrap();
    fixture.ask("POST", "/schedules/now", schedule("rate(1 day)")).await.unwrap();
    assert_eq!(fixture.delivered.at_least(1).await.len(), 1);
    // A rate that began before a restart does not begin again.
    let targets = targets(&fixture.delivered);
    let context = context(&fixture.folder);
    let events = Events::open(&context, targets.clone()).unwrap();
    let again = Scheduler::open(&context, fixture.account.clone(), targets, events).unwrap();
    let alarms = again.alarms();
    assert_eq!(alarms.len(), 2);
    assert!(alarms.iter().all(|alarm| alarm.from <= crate::local::context::clock::now_millis()));
}

/// Minutes last 20 ms here.
#[tokio::test]
async fn one_that_goes_with_its_end_rings_until_then() {
    let fixture = Fixture::new();
    let mut input = schedule("rate(1 minute)");
    input["ActionAfterCompletion"] = "DELETE".into();
    input["EndDate"] = ((now_millis() + 3_600_000) as f64 / 1000.0).into();
    fixture.ask("POST", "/schedules/beat", input.clone()).await.unwrap();
    fixture.delivered.at_least(3).await;
    input["EndDate"] = (now_millis() as f64 / 1000.0).into();
    fixture.ask("PUT", "/schedules/beat", input).await.unwrap();
    fixture.empty().await;
}

#[tokio::test]
async fn one_that_ended_while_nothing_ran_is_gone_at_the_start() {
    let fixture = Fixture::new();
    let mut input = schedule("at(2020-01-01T00:00:00)");
    fixture.ask("POST", "/schedules/kept", input.clone()).await.unwrap();
    input["ActionAfterCompletion"] = "DELETE".into();
    fixture.ask("POST", "/schedules/gone", input).await.unwrap();
    let targets = targets(&fixture.delivered);
    let context = context(&fixture.folder);
    let events = Events::open(&context, targets.clone()).unwrap();
    let again = Scheduler::open(&context, fixture.account.clone(), targets, events).unwrap();
    let names: Vec<String> = again.state.now().schedules().map(|(id, _)| id.name).collect();
    assert_eq!(names, ["kept"]);
}

#[tokio::test]
async fn an_end_that_is_moved_counts_at_once() {
    let fixture = Fixture::new();
    let mut input = schedule("rate(1 minute)");
    input["EndDate"] = ((now_millis() - 1) as f64 / 1000.0).into();
    fixture.ask("POST", "/schedules/beat", input.clone()).await.unwrap();
    // It is looked at once, and does not ring.
    tokio::time::sleep(Duration::from_millis(1)).await;
    input["EndDate"] = ((now_millis() + 3_600_000) as f64 / 1000.0).into();
    fixture.ask("PUT", "/schedules/beat", input).await.unwrap();
    fixture.delivered.at_least(3).await;
}

#[tokio::test]
async fn a_schedule_does_what_its_role_may() {
    let fixture = Fixture::new();
    lock(&fixture.account.forbidden).insert("lambda:InvokeFunction".to_owned());
    let mut refused = schedule("rate(1 minute)");
    let queue = "arn:aws:sqs:eu-west-1:000000000000:q";
    refused["Target"]["DeadLetterConfig"] = json!({ "Arn": queue });
    refused["Target"]["Input"] = "{}".into();
    fixture.ask("POST", "/schedules/refused", refused).await.unwrap();
    assert_eq!(fixture.delivered.at_least(1).await[0], (queue.to_owned(), "{}".to_owned()));
    let attributes = fixture.delivered.attributes();
    let names: Vec<&str> = attributes.keys().map(String::as_str).collect();
    let expected = [
        "ERROR_CODE",
        "ERROR_MESSAGE",
        "EXECUTION_ID",
        "IS_PAYLOAD_TRUNCATED",
        "RETRY_ATTEMPTS",
        "SCHEDULED_TIME",
        "SCHEDULE_ARN",
        "TARGET_ARN",
    ];
    assert_eq!(names, expected);
    let arn = "arn:aws:scheduler:eu-west-1:000000000000:schedule/default/refused";
    assert_eq!((attributes["SCHEDULE_ARN"].as_str(), attributes["TARGET_ARN"].as_str()), (arn, FUNCTION));
}

#[tokio::test]
async fn schedules_are_read_changed_listed_and_deleted() {
    let fixture = Fixture::new();
    fixture.ask("POST", "/schedule-groups/chat", json!({ "Tags": [{ "Key": "a", "Value": "b" }] })).await.unwrap();
    let mut input = schedule("cron(0 12 * * ? *)");
    input["GroupName"] = "chat".into();
    input["ScheduleExpressionTimezone"] = "UTC".into();
    input["StartDate"] = 1_900_000_000.into();
    let made = fixture.ask("POST", "/schedules/noon", input.clone()).await.unwrap();
    let arn = "arn:aws:scheduler:eu-west-1:000000000000:schedule/chat/noon";
    assert_eq!(made["ScheduleArn"], arn);
    let read = fixture.ask("GET", "/schedules/noon?groupName=chat", json!({})).await.unwrap();
    assert_eq!(
        (&read["Arn"], &read["StartDate"], &read["State"]),
        (&json!(arn), &json!(1_900_000_000.0), &json!("ENABLED"))
    );
    assert_eq!(read["Target"]["RetryPolicy"]["MaximumRetryAttempts"], 185);
    assert_eq!(fixture.ask("GET", "/schedules/noon", json!({})).await.unwrap_err().code, "ResourceNotFoundException");
    input["State"] = "DISABLED".into();
    fixture.ask("PUT", "/schedules/noon", input).await.unwrap();
    assert!(fixture.scheduler.alarms().is_empty());
    let listed = fixture.ask("GET", "/schedules?ScheduleGroup=chat&State=DISABLED", json!({})).await.unwrap();
    assert_eq!(listed["Schedules"][0]["Name"], "noon");
    let tags = "/tags/arn%3Aaws%3Ascheduler%3Aeu-west-1%3A000000000000%3Aschedule-group%2Fchat";
    assert_eq!(fixture.ask("GET", tags, json!({})).await.unwrap()["Tags"], json!([{ "Key": "a", "Value": "b" }]));
    fixture.ask("DELETE", "/schedule-groups/chat", json!({})).await.unwrap();
    assert_eq!(fixture.ask("GET", "/schedules", json!({})).await.unwrap()["Schedules"], json!([]));
}

#[tokio::test]
async fn what_aws_refuses_is_refused() {
    let fixture = Fixture::new();
    let with = |path: &str, value: Value| {
        let mut input = schedule("rate(1 day)");
        *input.pointer_mut(path).unwrap() = value;
        input
    };
    let zone = |name: &str| {
        let mut input = schedule("rate(1 day)");
        input["ScheduleExpressionTimezone"] = name.into();
        input
    };
    for (input, code, message) in [
        (schedule("rate(5)"), "ValidationException", "Invalid Schedule Expression rate(5)."),
        (with("/ScheduleExpression", Value::Null), "ValidationException", "'scheduleExpression'"),
        (with("/FlexibleTimeWindow/Mode", json!("ON")), "ValidationException", "[OFF, FLEXIBLE]"),
        (with("/FlexibleTimeWindow/Mode", json!("FLEXIBLE")), "ValidationException", "MaximumWindowInMinutes"),
        (with("/Target/Arn", json!("f")), "ValidationException", "Provided Arn is not in correct format."),
        (
            with("/Target/RoleArn", json!("arn:aws:iam::000000000000:role/other")),
            "ValidationException",
            "must allow AWS EventBridge Scheduler",
        ),
        (zone("Europe/Atlantis"), "ValidationException", "Europe/Atlantis"),
    ] {
        let error = fixture.ask("POST", "/schedules/s", input.clone()).await.unwrap_err();
        assert_eq!(error.code, code, "{input}: {}", error.message);
        assert!(error.message.contains(message), "{input}: {}", error.message);
    }
    fixture.ask("POST", "/schedules/s", schedule("rate(1 day)")).await.unwrap();
    let taken = fixture.ask("POST", "/schedules/s", schedule("rate(1 day)")).await.unwrap_err();
    assert_eq!((taken.status, &*taken.code), (409, "ConflictException"));
}

/// One state: what Cloud Control creates, the service shows.
#[tokio::test]
async fn cloud_control_sees_the_services_own_schedules() {
    let fixture = Fixture::new();
    let (scheduler, kind) = (&fixture.scheduler, "AWS::Scheduler::Schedule");
    let mut properties = schedule("cron(0 12 * * ? *)");
    properties["Name"] = "noon".into();
    assert_eq!(scheduler.create(REGION, kind, &properties).unwrap(), "noon");
    let read = scheduler.read(REGION, kind, "noon").unwrap();
    for (member, value) in properties.as_object().unwrap() {
        assert_eq!(read[member], *value, "{member}");
    }
    properties["Description"] = "d".into();
    scheduler.update(REGION, kind, "noon", &properties).unwrap();
    assert_eq!(fixture.ask("GET", "/schedules/noon", json!({})).await.unwrap()["Description"], "d");
    assert_eq!(scheduler.list(REGION, kind), ["noon"]);
    scheduler.delete(REGION, kind, "noon").unwrap();
    assert!(scheduler.read(REGION, kind, "noon").is_none());

    let group = "AWS::Scheduler::ScheduleGroup";
    let tags = json!([{ "Key": "wschat:stack", "Value": "chat" }]);
    scheduler.create(REGION, group, &json!({ "Name": "chat", "Tags": tags })).unwrap();
    assert_eq!(scheduler.read(REGION, group, "chat").unwrap()["Tags"], tags);
    let tagged = scheduler.tagged(REGION).unwrap();
    assert!(tagged.iter().any(|tagged| tagged.tags.get("wschat:stack").is_some_and(|stack| stack == "chat")));
}
