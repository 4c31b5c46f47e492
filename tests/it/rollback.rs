//! A rollback deletes what its run has made, and nothing that was there before or that another run has made.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_apigatewayv2::types::{IntegrationType, ProtocolType};
use serde_json::{Value, json};

use crate::common::Cloud;
use crate::common::call_name::Name;
use crate::common::inventory::{Inventory, same};
use crate::common::proxy::{Fault, FaultKind, ProxiedRun};
use crate::common::template::{App, SWIFT, Template, fast_echo};

fn tags(tags: &[(&str, &str)]) -> std::collections::HashMap<String, String> {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A log group is whose its function is; one that was there before the run made the function is not this run's.
#[tokio::test]
async fn log_groups_that_were_there_before_their_functions_stay() {
    let cloud = App::custom().fast();
    let logs = aws_sdk_cloudwatchlogs::Client::new(&cloud.sdk().await);
    for (function, given) in [
        ("maker", tags(&[("wschat:stack", "shop"), ("wschat:region", "us-east-1")])),
        ("doors", tags(&[])),
        ("checks", tags(&[("team", "blue")])),
    ] {
        let name = format!("/aws/lambda/{function}");
        logs.create_log_group().log_group_name(name).set_tags(Some(given)).send().await.unwrap();
    }
    let theirs = cloud.inventory().await;
    let mut template = Template::of("tests/fixtures/custom/template.yaml");
    let mut checks = template.get("DoorMaker").clone();
    checks["Properties"]["FunctionName"] = "checks".into();
    *template.get("Checks") = checks;
    // The one runs before the rollback, and the others do not.
    template.set("RoomMaker.FunctionName", "maker".into());
    template.set("DoorMaker.FunctionName", "doors".into());
    template.set("Rooms.Fail", "Create".into());
    template.save_as(&cloud, "template.yaml");
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    assert!(run.stderr.contains("there is no room"), "{}", run.stderr);
    same(&cloud.inventory().await, &theirs);
    // They have not got the stack's tags either.
    cloud.down().changes_nothing();
    same(&cloud.inventory().await, &theirs);
}

/// A template with a user pool, whose id AWS mints, and perhaps a table.
fn users(cloud: &Cloud, pool: &Value, has_table: bool) {
    let mut resources = json!({"Users": {"Type": "AWS::Cognito::UserPool", "Properties": pool}});
    if has_table {
        resources["Rows"] = json!({"Type": "AWS::DynamoDB::Table", "Properties": {
            "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}});
    }
    Template(json!({ "Resources": resources })).save(cloud);
}

/// Runs `up` while the search by tags knows nothing the first time, and AWS refuses to create a table. Cloud Control's list of
/// requests may know nothing either, where they are `gone`.
fn up_with_a_late_search(cloud: &Cloud, gone: bool) -> ProxiedRun {
    let is_late = AtomicBool::new(true);
    let nothing = r#"{"PaginationToken": "", "ResourceTagMappingList": []}"#.to_owned();
    let script = move |call: &Name| match call.operation.as_str() {
        "GetResources" if is_late.swap(false, Ordering::Relaxed) => {
            Some(Fault::before(FaultKind::Answer("application/x-amz-json-1.1", nothing.clone())))
        }
        "ListResourceRequests" if gone => {
            let nothing = r#"{"ResourceRequestStatusSummaries": []}"#.to_owned();
            Some(Fault::before(FaultKind::Answer("application/x-amz-json-1.0", nothing)))
        }
        "CreateTable" => Some(Fault::refuse(400, "AccessDeniedException", "not authorized: dynamodb:CreateTable")),
        _ => None,
    };
    cloud.through().script(script).run(&["up", "--yes"])
}

/// The search by tags lags behind, and a create that is sent again with the same token is answered with what it made.
#[tokio::test]
async fn what_an_earlier_run_made_stays_although_the_search_by_tags_does_not_know_it_yet() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    users(&cloud, &json!({}), false);
    cloud.up();
    let before = cloud.inventory().await;
    users(&cloud, &json!({}), true);
    for gone in [false, true] {
        let run = up_with_a_late_search(&cloud, gone).run.exits(1);
        assert!(run.stderr.contains("dynamodb:CreateTable"), "{}", run.stderr);
        let stays = "Users (AWS::Cognito::UserPool) stays: an earlier run created it";
        assert_eq!(run.stderr.contains(stays), gone, "{}", run.stderr);
        same(&cloud.inventory().await, &before);
    }
    // It is still the stack's.
    users(&cloud, &json!({}), false);
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

/// With other properties it is not the same create, and would make a second one.
#[tokio::test]
async fn what_an_earlier_run_made_is_not_made_twice_while_the_search_by_tags_lags_behind() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    users(&cloud, &json!({}), false);
    cloud.up();
    let before = cloud.records("AWS::Cognito::UserPool").await[0]["UserPoolId"].clone();
    users(&cloud, &json!({"UserPoolName": "people"}), false);
    up_with_a_late_search(&cloud, false).run.ok();
    let now: Vec<Value> =
        cloud.records("AWS::Cognito::UserPool").await.iter().map(|pool| pool["UserPoolId"].clone()).collect();
    assert_eq!(now, [before]);
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

/// What is on a role of the stack is the stack's, also a policy that was put there by hand: a plan shows what becomes of it.
#[tokio::test]
async fn a_policy_that_was_put_on_a_role_by_hand_is_shown_and_set_back() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    let allow = |action: &str| json!([{"Effect": "Allow", "Action": [action], "Resource": ["*"]}]);
    let document = |action: &str| json!({"Version": "2012-10-17", "Statement": allow(action)});
    let role = json!({"Type": "AWS::IAM::Role", "Properties": {"RoleName": "worker", "AssumeRolePolicyDocument": {
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}}});
    Template(json!({"Resources": {"Role": role}})).save(&cloud);
    cloud.up();
    let iam = aws_sdk_iam::Client::new(&cloud.sdk().await);
    let put = iam.put_role_policy().role_name("worker").policy_name("rows");
    put.policy_document(document("s3:GetObject").to_string()).send().await.unwrap();
    let before = cloud.inventory().await;
    let policy = json!({"Type": "AWS::IAM::Policy", "Properties": {
        "PolicyName": "rows", "Roles": [{"Ref": "Role"}], "PolicyDocument": document("s3:PutObject")}});
    // Its creation is refused when the policy is changed.
    let mut key = json!({"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": document("kms:*")}});
    key["DependsOn"] = "Policy".into();
    Template(json!({"Resources": {"Role": role, "Policy": policy, "Key": key}})).save(&cloud);
    let plan = cloud.wschat(&["plan", "--local"]).exits(2);
    assert!(plan.stdout.contains("~ Policy") && plan.stdout.contains("s3:GetObject"), "{}", plan.stdout);
    let refused = Fault::refuse(400, "AccessDeniedException", "not authorized: kms:CreateKey");
    let script = move |call: &Name| (call.operation == "CreateResource").then(|| refused.clone());
    let run = cloud.through().script(script).run(&["up", "--yes"]).run.exits(1);
    assert!(run.stderr.contains("kms:CreateKey"), "{}", run.stderr);
    assert_eq!(run.count("iam.PutRolePolicy"), 2, "{:?}", run.mutations());
    same(&cloud.inventory().await, &before);
}

/// An API that was copied with its tags, and that its owner is still building.
#[tokio::test]
async fn an_api_with_all_tags_and_integrations_of_others_stays() {
    let cloud = fast_echo();
    let apis = aws_sdk_apigatewayv2::Client::new(&cloud.sdk().await);
    let whole = tags(&[
        ("wschat:stack", "app"),
        ("wschat:region", "us-east-1"),
        ("wschat:logical-id", "Api"),
        ("wschat:deletion-policy", "Delete"),
    ]);
    let create = apis.create_api().name("copied").protocol_type(ProtocolType::Websocket).set_tags(Some(whole));
    let made = create.route_selection_expression("$request.body.action").send().await.unwrap();
    let id = made.api_id.unwrap();
    // wschat's have a description: its own, or the template's.
    let theirs = apis.create_integration().api_id(&id).integration_type(IntegrationType::Mock).send().await.unwrap();
    let target = format!("integrations/{}", theirs.integration_id().unwrap());
    apis.create_route().api_id(&id).route_key("$default").target(target).send().await.unwrap();
    let before = cloud.inventory().await;
    let run = cloud.down();
    run.changes_nothing();
    assert!(run.stderr.contains("left: API copied ("), "{}", run.stderr);
    cloud.up();
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &before);
}
