//! Streams, rules and schedules: what invokes functions beside clients (`tests/fixtures/events`).

use std::fs;

use serde_json::Value;

use crate::common::client::Client;
use crate::common::inventory::{Inventory, same};
use crate::common::template::Template;
use crate::common::{Cloud, Run, repository};

/// A minute of a rate is short, and calls of roles are checked.
const CONDITIONS: &str = "
[schedule]
minute_s = 0.05
[strict]
iam = true
";

/// A cloud with the fixture in its folder, changed.
fn cloud(change: impl FnOnce(&mut Template)) -> Cloud {
    let cloud = Cloud::start().conditions(CONDITIONS).go();
    fs::create_dir(cloud.folder().join("code")).unwrap();
    let code = repository().join("tests/fixtures/events/code/app.py");
    fs::copy(code, cloud.folder().join("code/app.py")).unwrap();
    save(&cloud, change);
    cloud
}

fn save(cloud: &Cloud, change: impl FnOnce(&mut Template)) {
    let mut template = Template::of("tests/fixtures/events/template.yaml");
    change(&mut template);
    template.save(cloud);
}

/// The mutating calls of a run without those that functions make meanwhile.
fn by_the_deployer(run: &Run) -> Vec<String> {
    run.mutations().into_iter().filter(|call| call != "execute-api.PostToConnection").collect()
}

/// The first message that a client hears of which something holds.
async fn hears(client: &mut Client, is_it: impl Fn(&str) -> bool) -> String {
    loop {
        let text = client.hear().await;
        if is_it(&text) {
            return text;
        }
    }
}

#[tokio::test]
async fn a_tables_stream_brings_messages_to_all_clients() {
    let cloud = cloud(|template| {
        for schedule in ["Heartbeat", "Pulse"] {
            template.set(&format!("{schedule}.State"), "DISABLED".into());
        }
    });
    let run = cloud.up();
    assert!(!run.stderr.contains("records only"), "{}", run.stderr);
    let uri = run.uri();
    let (mut alice, mut bob) = (Client::connect(&uri).await, Client::connect(&uri).await);
    for text in ["one", "two", "three"] {
        alice.say(text).await;
        // Its order is that of the table.
        assert_eq!((alice.hear().await, bob.hear().await), (text.to_owned(), text.to_owned()));
    }
    cloud.up().changes_nothing();
    cloud.status().ok();

    // What is written while nothing runs is read afterwards.
    let whole = cloud.inventory().await;
    cloud.wschat(&["local", "stop"]).ok();
    cloud.wschat(&["local", "start", "--open"]).ok();
    let mut carol = Client::connect(&uri).await;
    carol.say("four").await;
    assert_eq!(carol.hear().await, "four");
    same(&cloud.inventory().await, &whole);

    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn a_stream_may_be_enabled_and_changed_where_the_table_is_there() {
    let quiet = |template: &mut Template| {
        for schedule in ["Heartbeat", "Pulse"] {
            template.set(&format!("{schedule}.State"), "DISABLED".into());
        }
    };
    let cloud = cloud(|template| {
        quiet(template);
        template.remove("Messages.StreamSpecification");
        template.remove("Broadcasting");
        template.set("Role.Policies.0.PolicyDocument.Statement.1.Resource", "*".into());
    });
    cloud.up();
    save(&cloud, quiet);
    let uri = cloud.up().uri();
    let mut alice = Client::connect(&uri).await;
    alice.say("one").await;
    assert_eq!(alice.hear().await, "one");
    cloud.up().changes_nothing();

    // With another view it is another stream, which the same run lets the function read.
    save(&cloud, |template| {
        quiet(template);
        template.set("Messages.StreamSpecification.StreamViewType", "NEW_AND_OLD_IMAGES".into());
    });
    let changed = cloud.wschat(&["up", "--local", "--yes"]).ok();
    let calls = by_the_deployer(&changed);
    for call in ["dynamodb.UpdateTable", "lambda.CreateEventSourceMapping", "lambda.DeleteEventSourceMapping"] {
        assert!(calls.iter().any(|one| one == call), "{call} in {calls:?}");
    }
    alice.say("two").await;
    assert_eq!(alice.hear().await, "two");
    cloud.up().changes_nothing();
}

#[tokio::test]
async fn a_schedule_sends_a_heartbeat() {
    let cloud = cloud(|_| {});
    let uri = cloud.up().uri();
    let mut client = Client::connect(&uri).await;
    // By Scheduler, as the schedule's role.
    assert_eq!(hears(&mut client, |text| text.contains("pulse")).await, r#"{"beat": {"pulse": true}}"#);
    // By a rule, with the event of AWS's own form.
    let is_beat = |text: &str| text.contains("aws.events");
    let beat: Value = serde_json::from_str(&hears(&mut client, is_beat).await).unwrap();
    let event = &beat["beat"];
    assert_eq!((&event["source"], &event["detail-type"]), (&"aws.events".into(), &"Scheduled Event".into()));
    assert!(
        event["resources"][0]
            .as_str()
            .unwrap()
            .starts_with("arn:aws:events:us-east-1:000000000000:rule/app-Heartbeat-")
    );
    hears(&mut client, is_beat).await;

    // Another input, by one call that changes the rule.
    save(&cloud, |template| template.set("Heartbeat.Targets.0.Input", r#"{"tick": true}"#.into()));
    let run = cloud.up();
    assert_eq!(by_the_deployer(&run), ["cloudcontrolapi.UpdateResource"]);
    assert_eq!(hears(&mut client, |text| text.contains("tick")).await, r#"{"beat": {"tick": true}}"#);
    assert!(by_the_deployer(&cloud.up()).is_empty());
}
