//! Custom resources (`tests/fixtures/custom`): their functions are run for real, and say in their logs what they were asked for.

use serde_json::{Value, json};

use crate::common::Cloud;
use crate::common::inventory::{Inventory, same};
use crate::common::template::{App, Template};

const FIXTURE: &str = "tests/fixtures/custom/template.yaml";

/// A request of a custom resource's function.
struct Asked(Value);

impl Asked {
    /// `Create Rooms rooms-1`, without an id where it has none.
    fn shown(&self) -> String {
        let text = |name: &str| self.0[name].as_str().unwrap_or_default();
        let id = text("PhysicalResourceId");
        format!("{} {} {id}", text("RequestType"), text("LogicalResourceId")).trim_end().to_owned()
    }
}

/// What a function was asked for so far, in the order of its log. (The log goes with the function.)
fn asked(cloud: &Cloud, function: &str) -> Vec<Asked> {
    let groups = cloud.json_call("logs", "Logs_20140328.DescribeLogGroups", &json!({}));
    let groups = groups["logGroups"].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for group in groups {
        let name = group["logGroupName"].as_str().unwrap();
        if !name.contains(function) {
            continue;
        }
        let events = cloud.json_call("logs", "Logs_20140328.FilterLogEvents", &json!({ "logGroupName": name }));
        for event in events["events"].as_array().unwrap() {
            let message = event["message"].as_str().unwrap();
            if let Some((_, text)) = message.split_once("ASKED ") {
                found.push(Asked(serde_json::from_str(text.trim()).unwrap()));
            }
        }
    }
    found
}

fn shown(cloud: &Cloud, function: &str) -> Vec<String> {
    asked(cloud, function).iter().map(Asked::shown).collect()
}

/// The value of the parameter that depends on what the functions answer.
fn parameter(cloud: &Cloud) -> String {
    let listed = json!({ "TypeName": "AWS::SSM::Parameter" });
    let found = cloud.json_call("cloudcontrolapi", "CloudApiService.ListResources", &listed);
    let properties: Value =
        serde_json::from_str(found["ResourceDescriptions"][0]["Properties"].as_str().unwrap()).unwrap();
    properties["Value"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_custom_resource_is_made_changed_replaced_and_deleted_by_its_function() {
    let cloud = App::custom().fast();
    let run = cloud.up();
    assert!(
        run.stderr.contains("Custom::Rooms") && run.stderr.contains("Rooms = rooms-1"),
        "{}{}",
        run.stdout,
        run.stderr
    );
    let first = &asked(&cloud, "RoomMaker")[0].0;
    assert_eq!(first["RequestType"], "Create");
    assert_eq!(first["ResourceType"], "Custom::Rooms");
    assert!(first.get("PhysicalResourceId").is_none() && first.get("OldResourceProperties").is_none(), "{first}");
    let told = &first["ResourceProperties"];
    assert_eq!(
        (&told["Size"], &told["Open"], &told["Names"]),
        (&json!("3"), &json!("true"), &json!(["lobby", "help"]))
    );
    assert_eq!(told["ServiceToken"], first["ServiceToken"]);
    assert!(told.as_object().unwrap().keys().all(|name| !name.starts_with('@')), "{told}");
    assert_eq!(asked(&cloud, "DoorMaker")[0].0["ResourceProperties"]["Room"], "rooms-1");
    assert_eq!(parameter(&cloud), "rooms://lobby+help (2): key of rooms-1");
    cloud.up().changes_nothing();
    assert_eq!(cloud.status().code, Some(0));

    // An update: what depends on its answer changes, what depends on its id does not.
    let mut template = Template::of(FIXTURE);
    template.set("Rooms.Names", json!(["lobby"]));
    template.save_as(&cloud, "template.yaml");
    let plan = cloud.wschat(&["plan", "--local"]).exits(2);
    assert!(plan.stdout.contains("Rooms") && plan.stdout.contains("Where"), "{}", plan.stdout);
    cloud.up();
    assert_eq!(shown(&cloud, "RoomMaker"), ["Create Rooms", "Update Rooms rooms-1"]);
    let update = &asked(&cloud, "RoomMaker")[1].0;
    assert_eq!(update["OldResourceProperties"]["Names"], json!(["lobby", "help"]));
    assert_eq!(shown(&cloud, "DoorMaker"), ["Create Doors"]);
    assert_eq!(parameter(&cloud), "rooms://lobby (1): key of rooms-1");
    cloud.up().changes_nothing();

    // Another id is a replacement: the old one is deleted in the same run, when nothing uses it any more.
    template.set("Rooms.Id", "rooms-2".into());
    template.save_as(&cloud, "template.yaml");
    cloud.up();
    let all = shown(&cloud, "RoomMaker");
    assert_eq!(all[2..], ["Update Rooms rooms-1", "Delete Rooms rooms-1"]);
    assert_eq!(asked(&cloud, "RoomMaker")[3].0["ResourceProperties"]["Id"], "rooms-1");
    assert_eq!(shown(&cloud, "DoorMaker"), ["Create Doors", "Update Doors door-1"]);
    assert_eq!(parameter(&cloud), "rooms://lobby (1): key of rooms-2");
    cloud.up().changes_nothing();

    // One that is taken out of the template is deleted.
    template.remove("Doors");
    template.set("Where.Value", json!({"Fn::GetAtt": ["Rooms", "Url"]}));
    template.save_as(&cloud, "template.yaml");
    cloud.up();
    assert_eq!(shown(&cloud, "DoorMaker").last().unwrap(), "Delete Doors door-1");
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory_now(), &Inventory::new());
}

#[test]
fn down_deletes_a_custom_resource_before_what_it_needs() {
    let cloud = App::custom().fast();
    cloud.up();
    let run = cloud.wschat(&["down", "--local", "--yes"]).ok();
    let call = |service: &str, operation: &str| {
        let calls = run.calls.iter().enumerate();
        let found = calls.filter(|(_, call)| call.service == service && call.operation == operation);
        found.map(|(index, _)| index).collect::<Vec<_>>()
    };
    let invoked = call("lambda", "Invoke");
    assert_eq!(invoked.len(), 2, "{:?}", run.mutations());
    let first_gone = call("lambda", "DeleteFunction").into_iter().chain(call("iam", "DeleteRole")).min().unwrap();
    assert!(invoked.iter().all(|invoked| *invoked < first_gone));
    same(&cloud.inventory_now(), &Inventory::new());
}

#[test]
fn what_a_function_says_of_its_failure_is_shown_and_the_run_is_rolled_back() {
    let cloud = App::custom().fast();
    let mut template = Template::of(FIXTURE);
    template.set("Rooms.Fail", "Create".into());
    template.save_as(&cloud, "template.yaml");
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    assert!(run.stderr.contains("failed to create: there is no room"), "{}", run.stderr);
    assert!(run.stderr.contains("/aws/lambda/app-RoomMaker-"), "{}", run.stderr);
    // As CloudFormation does, the rollback deletes what may have been made.
    let invoked = run.calls.iter().filter(|call| call.operation == "Invoke").count();
    assert_eq!(invoked, 2, "{:?}", run.mutations());
    same(&cloud.inventory_now(), &Inventory::new());

    template.set("Rooms.Fail", "Update".into());
    template.save_as(&cloud, "template.yaml");
    cloud.up();
    let before = cloud.inventory_now();
    template.set("Rooms.Names", json!(["cellar"]));
    template.set("Rooms.Fail", "Update".into());
    template.set("RoomMaker.MemorySize", 256.into());
    template.save_as(&cloud, "template.yaml");
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    assert!(run.stderr.contains("failed to update: there is no room"), "{}", run.stderr);
    let all = asked(&cloud, "RoomMaker");
    let last = &all.last().unwrap().0;
    assert_eq!(last["RequestType"], "Update");
    assert_eq!(last["ResourceProperties"]["Names"], json!(["lobby", "help"]));
    assert_eq!(last["OldResourceProperties"]["Names"], json!(["cellar"]));
    assert_eq!(before.len(), cloud.inventory_now().len());

    // It goes all the same.
    cloud.down();
    same(&cloud.inventory_now(), &Inventory::new());
}

#[test]
fn a_function_that_does_not_answer_is_not_waited_for_without_end() {
    let cloud = App::custom().fast();
    let mut template = Template::of(FIXTURE);
    template.set("DoorMaker.Code", json!({ "ZipFile": "def handler(event, context):\n    pass\n" }));
    template.set("Doors.ServiceTimeout", 1.into());
    template.save_as(&cloud, "template.yaml");
    let run = cloud.wschat(&["up", "--local", "--yes", "--keep-on-failure"]).exits(1);
    assert!(run.stderr.contains("it did not answer within 1 s"), "{}", run.stderr);
    // The next run finds that it failed, and begins again.
    Template::of(FIXTURE).save_as(&cloud, "template.yaml");
    cloud.up();
    assert_eq!(shown(&cloud, "DoorMaker").last().unwrap(), "Create Doors");
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory_now(), &Inventory::new());
}

#[test]
fn what_an_answer_does_not_want_shown_is_asked_for_again() {
    let cloud = App::custom().fast();
    let mut template = Template::of(FIXTURE);
    template.set("Rooms.Hidden", true.into());
    template.save_as(&cloud, "template.yaml");
    cloud.up();
    assert_eq!(parameter(&cloud), "rooms://lobby+help (2): key of rooms-1");
    // What depends on it is the same, and is left alone.
    let calls = cloud.up().mutations();
    assert_eq!(calls.len(), 5, "its state twice, the invocation, the answer written and deleted: {calls:?}");
    assert_eq!(shown(&cloud, "RoomMaker"), ["Create Rooms", "Update Rooms rooms-1"]);
    assert_eq!(shown(&cloud, "DoorMaker"), ["Create Doors"]);
    cloud.down();
    same(&cloud.inventory_now(), &Inventory::new());
}

#[test]
fn a_changed_service_token_is_refused_before_anything_changes() {
    let cloud = App::custom().fast();
    cloud.up();
    let mut template = Template::of(FIXTURE);
    template.set("Doors.ServiceToken", json!({"Fn::GetAtt": ["RoomMaker", "Arn"]}));
    template.save_as(&cloud, "template.yaml");
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    assert!(run.stderr.contains("ServiceToken of Doors has changed"), "{}", run.stderr);
    assert_eq!(run.mutations(), [""; 0]);
}

/// As `template.yaml`, with a topic between wschat and the function.
#[test]
fn a_topic_hands_requests_to_what_subscribes_to_it() {
    let cloud = App::custom().fast();
    let mut template = Template::of(FIXTURE);
    let permission = json!({ "Type": "AWS::Lambda::Permission", "Properties": {
        "Action": "lambda:InvokeFunction", "FunctionName": { "Ref": "DoorMaker" }, "Principal": "sns.amazonaws.com",
        "SourceArn": { "Ref": "Requests" },
    } });
    let subscription = json!({ "Type": "AWS::SNS::Subscription", "DependsOn": "MayDeliver", "Properties": {
        "TopicArn": { "Ref": "Requests" }, "Protocol": "lambda", "Endpoint": { "Fn::GetAtt": ["DoorMaker", "Arn"] },
    } });
    template.set("Requests", json!({ "Type": "AWS::SNS::Topic" }));
    template.set("MayDeliver", permission);
    template.set("Delivers", subscription);
    let code = "
import json
import cfnresponse

def handler(event, context):
    sent = event['Records'][0]['Sns']
    event = json.loads(sent['Message'])
    print('ASKED ' + json.dumps({**event, 'Subject': sent['Subject']}))
    cfnresponse.send(event, context, cfnresponse.SUCCESS, {'Key': 'key of ' + event['ResourceProperties']['Room']}, 'door-1')
";
    template.set("DoorMaker.Code", json!({ "ZipFile": code }));
    template.set("Doors.ServiceToken", json!({ "Ref": "Requests" }));
    template.set_depends_on("Doors", &["Delivers"]);
    template.save_as(&cloud, "template.yaml");
    cloud.up();
    assert_eq!(parameter(&cloud), "rooms://lobby+help (2): key of rooms-1");
    let Asked(first) = &asked(&cloud, "DoorMaker")[0];
    assert_eq!(first["Subject"], "AWS CloudFormation custom resource request");
    assert!(first["ServiceToken"].as_str().unwrap().starts_with("arn:aws:sns:"), "{first}");
    cloud.up().changes_nothing();
    template.set("Rooms.Id", "rooms-2".into());
    template.save_as(&cloud, "template.yaml");
    cloud.up();
    assert_eq!(shown(&cloud, "DoorMaker"), ["Create Doors", "Update Doors door-1"]);

    cloud.down();
    same(&cloud.inventory_now(), &Inventory::new());

    // Nothing subscribes, so nothing answers.
    template.remove("Delivers");
    template.set_depends_on("Doors", &["Requests"]);
    template.set("Doors.ServiceTimeout", 1.into());
    template.save_as(&cloud, "template.yaml");
    let run = cloud.wschat(&["up", "--local", "--yes", "--keep-on-failure"]).exits(1);
    assert!(run.stderr.contains("it did not answer within 1 s"), "{}", run.stderr);
    assert!(run.stderr.contains("what is subscribed to the topic answers, if anything is"), "{}", run.stderr);
}
