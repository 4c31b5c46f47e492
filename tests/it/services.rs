//! What stands beside the chat: types that AWS Cloud Control provisions (`tests/fixtures/services`).

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::inventory::{Inventory, same};
use crate::common::proxy::ProxiedRun;
use crate::common::template::{App, Template};
use crate::common::{Cloud, Run};

/// A cloud with the fixture in its folder.
fn cloud() -> Cloud {
    App::services().fast()
}

fn template() -> Template {
    Template::of("tests/fixtures/services/template.yaml")
}

/// Deploys a changed template; gives what `up` said.
fn up_with(cloud: &Cloud, change: impl FnOnce(&mut Template)) -> Run {
    let mut template = template();
    change(&mut template);
    template.save_as(cloud, "template.yaml");
    cloud.up()
}

/// The calls that change something, of a run, by operation and service.
fn changing(run: &Run) -> Vec<String> {
    let mut calls: Vec<String> = run
        .calls
        .iter()
        .filter(|call| call.mutating && call.code.is_none())
        .map(|call| format!("{}.{}", call.service, call.operation))
        .collect();
    calls.sort();
    calls
}

#[tokio::test]
async fn they_come_stay_change_and_go() {
    let cloud = cloud();
    let run = cloud.up();
    let line = "Kept as records only, the local cloud does not run them: DeadLetters (SQS Queue), \
                Heartbeat (Events Rule), Messages (SQS Queue), News (SNS Topic), Users (Cognito UserPool)\n";
    assert!(run.stderr.contains(line), "{}", run.stderr);
    let outputs = &run.stderr;
    assert!(outputs.contains("Queue = https://sqs.us-east-1.amazonaws.com/000000000000/app-Messages-"), "{outputs}");
    assert!(outputs.contains("Rule = app-Heartbeat-"), "{outputs}");

    // What AWS has and the template does not state is no change.
    let whole = cloud.inventory().await;
    cloud.up().changes_nothing();
    cloud.status().ok();

    // One property of one resource: one call.
    let run = up_with(&cloud, |template| template.set("Messages.VisibilityTimeout", 90.into()));
    assert_eq!(changing(&run), ["cloudcontrolapi.UpdateResource"]);
    assert_eq!(cloud.record("AWS::SQS::Queue", "Messages").await["VisibilityTimeout"], 90);
    cloud.up().changes_nothing();

    // What cannot be read back is seen to change, and is sent with every other change.
    let run = up_with(&cloud, |template| {
        template.set("Messages.VisibilityTimeout", 90.into());
        template.set("Greeting.Description", "another".into());
    });
    assert_eq!(changing(&run), ["cloudcontrolapi.UpdateResource"]);
    let run = up_with(&cloud, |_| {});
    assert_eq!(changing(&run), ["cloudcontrolapi.UpdateResource"; 2]);
    same(&cloud.inventory().await, &whole);

    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn what_cannot_be_changed_in_place_is_replaced_by_a_new_one_first() {
    let cloud = cloud();
    cloud.up();
    let old = cloud.record("AWS::SQS::Queue", "DeadLetters").await["QueueName"].clone();
    let fifo = |template: &mut Template| {
        template.set("DeadLetters", json!({"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": true}}));
    };
    let run = up_with(&cloud, fifo);
    let new = cloud.record("AWS::SQS::Queue", "DeadLetters").await["QueueName"].clone();
    assert!(new != old && new.as_str().unwrap().ends_with(".fifo"), "{new}");
    let calls: Vec<&str> = run.calls.iter().filter(|call| call.mutating).map(|call| &*call.operation).collect();
    let place = |operation: &str| calls.iter().position(|call| *call == operation).unwrap();
    assert!(place("CreateResource") < place("UpdateResource"), "{calls:?}");
    assert!(place("UpdateResource") < place("DeleteResource"), "the old one goes when nothing uses it: {calls:?}");
    assert_eq!(cloud.records("AWS::SQS::Queue").await.len(), 2);
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn what_a_template_does_not_have_any_more_goes() {
    let cloud = cloud();
    cloud.up();
    up_with(&cloud, |template| {
        for gone in ["News", "Users", "HeartbeatPermission", "Heartbeat", "Greeting"] {
            template.remove(gone);
        }
        for variable in ["TOPIC", "USERS", "GREETING"] {
            template.remove(&format!("Echo.Environment.Variables.{variable}"));
        }
        template.set("Role.Policies", json!([]));
        template.0["Outputs"].as_object_mut().unwrap().remove("Rule");
    });
    for (type_name, left) in [
        ("AWS::SNS::Topic", 0),
        ("AWS::Cognito::UserPool", 0),
        ("AWS::Events::Rule", 0),
        ("AWS::SSM::Parameter", 0),
        ("AWS::SQS::Queue", 2),
    ] {
        assert_eq!(cloud.records(type_name).await.len(), left, "{type_name}");
    }
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn deletion_policies_hold_for_them() {
    let cloud = cloud();
    up_with(&cloud, |template| template.get("Greeting")["DeletionPolicy"] = "Retain".into());
    cloud.down();
    let left = cloud.records("AWS::SSM::Parameter").await;
    assert_eq!(left.len(), 1);
    let inventory = cloud.inventory().await;
    assert_eq!(inventory.len(), 1, "{inventory:#?}");
}

#[tokio::test]
async fn what_belongs_to_somebody_else_stays() {
    let cloud = cloud();
    let named = |template: &mut Template| template.set("Messages.QueueName", "taken".into());
    let client = aws_sdk_cloudcontrol::Client::new(&cloud.sdk().await);
    let create = client.create_resource().type_name("AWS::SQS::Queue");
    let event =
        create.desired_state(json!({"QueueName": "taken"}).to_string()).send().await.unwrap().progress_event.unwrap();
    let token = event.request_token.unwrap();
    loop {
        let status = client.get_resource_request_status().request_token(&token).send().await.unwrap();
        if status.progress_event.unwrap().operation_status.unwrap().as_str() == "SUCCESS" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = cloud.inventory().await;
    let mut template = template();
    named(&mut template);
    template.save_as(&cloud, "template.yaml");
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    assert!(
        run.stderr.contains("AWS::SQS::Queue \"taken\" already exists and belongs to an unknown owner"),
        "{}",
        run.stderr
    );
    same(&cloud.inventory().await, &before);
}

#[test]
fn mistakes_in_them_are_shown_where_they_are() {
    let cloud = Cloud::start().go();
    let text = "\
Resources:
  Messages:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimout: 30
      DelaySeconds: soon
      RedrivePolicy: { maxReceiveCont: 3 }
      Arn: mine
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Statistic: Averge
  Greeting:
    Type: AWS::SSM::Parameter
    Properties:
      Type: String
  Users:
    Type: AWS::Cognito::UserPoolClient
    Properties: {}
Outputs:
  A:
    Value: !GetAtt Messages.Name
";
    std::fs::write(cloud.folder().join("template.yaml"), text).unwrap();
    let run = cloud.wschat(&["validate"]).exits(1);
    for expected in [
        "unknown property \"VisibilityTimout\" of AWS::SQS::Queue",
        "did you mean \"VisibilityTimeout\"?",
        "DelaySeconds must be a whole number, not \"soon\"",
        "unknown property \"maxReceiveCont\" of RedrivePolicy",
        "did you mean \"maxReceiveCount\"?",
        "Arn of AWS::SQS::Queue cannot be set: AWS gives it its value",
        "missing property \"Value\" of AWS::SSM::Parameter",
        "Statistic cannot be \"Averge\"",
        "did you mean \"Average\"?",
        "resource type \"AWS::Cognito::UserPoolClient\" is not supported: it cannot be tagged",
        "AWS::SQS::Queue has no attribute \"Name\"",
    ] {
        let said = run.stdout.clone() + &run.stderr;
        assert!(said.contains(expected), "{expected}\n{said}");
    }
}

#[test]
fn they_are_read_in_two_round_trips() {
    let cloud = cloud();
    cloud.through().run(&["up", "--yes"]).run.ok();
    for verb in [&["up", "--yes"] as &[&str], &["status"]] {
        let ProxiedRun { run, calls, rounds } = cloud.through().in_rounds(Duration::from_millis(500)).run(verb);
        run.ok().changes_nothing();
        let names: Vec<String> = calls.iter().map(|call| call.name.to_string()).collect();
        assert!(rounds <= 2, "{verb:?} is {rounds} round trips deep: {names:#?}");
    }
}

/// The properties of a record by its logical id, which is in its tags.
impl Cloud {
    async fn record(&self, type_name: &str, logical_id: &str) -> Value {
        let records = self.records(type_name).await;
        let is_it = |record: &&Value| {
            record.to_string().contains(&format!("{{\"Key\":\"wschat:logical-id\",\"Value\":\"{logical_id}\"}}"))
        };
        records.iter().find(is_it).unwrap_or_else(|| panic!("no {logical_id} in {records:?}")).clone()
    }
}
