//! Several stacks and other people's resources in one account: a run only touches the stack's own.

use crate::common;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use crate::common::call_name::Name;
use crate::common::inventory::{Inventory, same};
use crate::common::proxy::{Fault, FaultKind, ProxiedRun};
use crate::common::template::{self, Template};
use crate::common::{Cloud, Run, Running, STACK, eventually, repository};
use aws_sdk_apigatewayv2::types::ProtocolType;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime, State};
use serde_json::json;

/// A project's folder on a cloud that other projects use as well.
struct Checkout<'a> {
    cloud: &'a Cloud,
    folder: PathBuf,
    stack: &'static str,
}

impl<'a> Checkout<'a> {
    fn new(cloud: &'a Cloud, stack: &'static str) -> Self {
        let folder = cloud.data().with_file_name(format!("checkout-of-{stack}"));
        fs::create_dir(&folder).unwrap();
        Self { cloud, folder, stack }
    }

    /// The echo template, with code of this checkout.
    fn echo(self) -> Self {
        self.save(&Template::echo());
        template::script(&self.folder.join("echo"), &format!("#!/bin/sh\n# {}\nexit 1\n", self.stack));
        self
    }

    fn chat(self) -> Self {
        fs::copy(repository().join("templates/chat.yaml"), self.folder.join("template.yaml")).unwrap();
        for handler in ["connect", "disconnect", "send-message", "default"] {
            // The template's code is beside the template's folder.
            template::script(
                &self.folder.join("../lambdas").join(handler),
                &format!("#!/bin/sh\n# {handler}\nexit 1\n"),
            );
        }
        self
    }

    fn save(&self, template: &Template) {
        fs::write(self.folder.join("template.json"), template.0.to_string()).unwrap();
    }

    fn begin(&self, verb: &str) -> Running<'a> {
        let agreed: &[&str] = if verb == "status" { &[] } else { &["--yes"] };
        let mut command = self.cloud.command(&[&[verb, "--local"], agreed].concat());
        self.cloud.begin_command(command.current_dir(&self.folder).env("WSCHAT_STACK", self.stack))
    }

    fn run(&self, verb: &str) -> Run {
        self.begin(verb).end().ok()
    }
}

/// Runs both at the same time.
fn together(one: (&Checkout<'_>, &str), other: (&Checkout<'_>, &str)) -> (Run, Run) {
    let [one, other] = [one, other].map(|(checkout, verb)| checkout.begin(verb));
    (one.end().ok(), other.end().ok())
}

fn both(one: &Inventory, other: &Inventory) -> Inventory {
    let all: Inventory = one.iter().chain(other).map(|(name, value)| (name.clone(), value.clone())).collect();
    assert_eq!(all.len(), one.len() + other.len(), "they share a name");
    all
}

/// One stack's name is the other's plus a logical id of its template: code that compares prefixes would mix them up.
#[tokio::test]
async fn two_checkouts_do_not_touch_each_other() {
    let cloud = Cloud::start().go();
    let (shop, echo) = (Checkout::new(&cloud, "shop").echo(), Checkout::new(&cloud, "shop-Echo").chat());
    let nothing = Inventory::new();
    shop.run("up");
    let shop_alone = cloud.inventory().await;
    shop.run("down");
    same(&cloud.inventory().await, &nothing);
    echo.run("up");
    let echo_alone = cloud.inventory().await;

    let (_, unchanged) = together((&shop, "up"), (&echo, "up"));
    assert!(unchanged.stderr.contains("No changes. 28 resources are up to date."), "{}", unchanged.stderr);
    same(&cloud.inventory().await, &both(&shop_alone, &echo_alone));
    together((&shop, "down"), (&echo, "up"));
    same(&cloud.inventory().await, &echo_alone);
    together((&shop, "up"), (&echo, "down"));
    same(&cloud.inventory().await, &shop_alone);
    shop.run("status");
    echo.begin("status").end().exits(3);
    echo.run("up");

    let mut changed = Template::echo();
    changed.set("Echo.MemorySize", 512.into());
    changed.set("PingRoute.RouteKey", "pong".into());
    changed.remove("Logging");
    shop.save(&changed);
    together((&shop, "up"), (&echo, "up"));
    let all = cloud.inventory().await;
    let of_echo = |all: &Inventory| -> Inventory {
        let theirs = all.iter().filter(|(name, _)| echo_alone.contains_key(*name));
        theirs.map(|(name, one)| (name.clone(), one.clone())).collect()
    };
    same(&of_echo(&all), &echo_alone);
    assert_eq!(all.len(), shop_alone.len() + echo_alone.len());
    shop.run("status");
    echo.run("status");

    together((&shop, "down"), (&echo, "down"));
    same(&cloud.inventory().await, &nothing);
}

/// The same logical ids, the same code except for a comment, one build cache.
#[tokio::test]
async fn two_checkouts_of_one_template_are_two_stacks() {
    let cloud = Cloud::start().go();
    let (left, right) = (Checkout::new(&cloud, "left").echo(), Checkout::new(&cloud, "right").echo());
    together((&left, "up"), (&right, "up"));
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    let functions = lambda.list_functions().send().await.unwrap();
    let codes: Vec<_> = functions.functions().iter().map(|function| function.code_sha256().unwrap()).collect();
    assert!(codes.len() == 2 && codes[0] != codes[1], "one got the other's code: {codes:?}");
    left.run("down");
    right.run("status");
    right.run("down");
    same(&cloud.inventory().await, &Inventory::new());
}

const NAME: &str = "taken";

/// The echo template with explicit names, which may be taken.
fn named(cloud: &Cloud) -> Template {
    let mut template = template::echo_without_handler(cloud);
    for property in ["Rows.TableName", "Role.RoleName", "Echo.FunctionName", "EchoLogs.LogGroupName"] {
        template.set(property, NAME.into());
    }
    template.save(cloud);
    template
}

async fn make_table(cloud: &Cloud) {
    let dynamodb = aws_sdk_dynamodb::Client::new(&cloud.sdk().await);
    let id = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let create = dynamodb.create_table().table_name(NAME).billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(id.build().unwrap()).key_schema(key.build().unwrap());
    create.send().await.unwrap();
    let is_active = async || {
        let table = dynamodb.describe_table().table_name(NAME).send().await.unwrap().table.unwrap();
        table.table_status == Some(TableStatus::Active)
    };
    eventually("the table is ready", is_active).await;
}

async fn make_role(cloud: &Cloud, name: &str) -> String {
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ]});
    let iam = aws_sdk_iam::Client::new(&cloud.sdk().await);
    let role = iam.create_role().role_name(name).assume_role_policy_document(trust.to_string()).send().await.unwrap();
    role.role.unwrap().arn
}

/// The code of a function that is never run.
fn code() -> FunctionCode {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bootstrap", zip::write::SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
    zip.write_all(b"#!/bin/sh\nexit 1\n").unwrap();
    FunctionCode::builder().zip_file(Blob::new(zip.finish().unwrap().into_inner())).build()
}

async fn make_function(cloud: &Cloud) {
    let role = make_role(cloud, "of-a-hand").await;
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    let create = lambda.create_function().function_name(NAME).role(role).code(code()).handler("bootstrap");
    let create = create.runtime(Runtime::Providedal2023);
    // Until the role can be assumed.
    eventually("there is a function", async || create.clone().send().await.is_ok()).await;
    let configuration = lambda.get_function_configuration().function_name(NAME);
    let is_active = async || configuration.clone().send().await.is_ok_and(|it| it.state() == Some(&State::Active));
    eventually("the function is active", is_active).await;
}

async fn make_log_group(cloud: &Cloud) {
    let logs = aws_sdk_cloudwatchlogs::Client::new(&cloud.sdk().await);
    logs.create_log_group().log_group_name(NAME).send().await.unwrap();
}

async fn make_api(cloud: &Cloud) {
    let apis = aws_sdk_apigatewayv2::Client::new(&cloud.sdk().await);
    let create = apis.create_api().name(STACK).protocol_type(ProtocolType::Websocket);
    create.route_selection_expression("$request.body.action").send().await.unwrap();
}

/// `up` must stop before any change and report which resources are in the way, and their owner.
async fn stops(cloud: &Cloud, types: &[&str], owner: &str) {
    let before = cloud.inventory().await;
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    run.changes_nothing();
    assert_eq!(run.stdout, "");
    for name in types {
        let line = run.stderr.lines().find(|line| line.starts_with("error: ") && line.contains(name));
        let line = line.unwrap_or_else(|| panic!("nothing is said of the {name}:\n{}", run.stderr));
        assert!(line.ends_with(&format!("already exists and belongs to {owner}")), "{line}");
    }
    assert_eq!(run.stderr.matches("already exists").count(), types.len(), "{}", run.stderr);
    same(&cloud.inventory().await, &before);
    // Deleting the stack does not delete these resources either.
    cloud.down();
    same(&cloud.inventory().await, &before);
}

const NO_OWNER: &str = "an unknown owner (it has no wschat tags)";

#[tokio::test]
async fn resources_created_by_hand_are_in_the_way() {
    let start = || {
        let cloud = Cloud::start().go();
        named(&cloud);
        cloud
    };
    let cloud = start();
    make_table(&cloud).await;
    stops(&cloud, &["AWS::DynamoDB::Table \"taken\""], NO_OWNER).await;
    make_role(&cloud, NAME).await;
    stops(&cloud, &["AWS::DynamoDB::Table \"taken\"", "AWS::IAM::Role \"taken\""], NO_OWNER).await;

    let cloud = start();
    make_function(&cloud).await;
    stops(&cloud, &["AWS::Lambda::Function \"taken\""], NO_OWNER).await;
    make_log_group(&cloud).await;
    stops(&cloud, &["AWS::Lambda::Function \"taken\"", "AWS::Logs::LogGroup \"taken\""], NO_OWNER).await;
}

/// Names of APIs are not unique in AWS. But two of the same name, one of them without an owner, look like an interrupted
/// migration from another tool.
#[tokio::test]
async fn an_api_created_by_hand_is_in_the_way() {
    let cloud = Cloud::start().go();
    template::echo_without_handler(&cloud);
    make_api(&cloud).await;
    let before = cloud.inventory().await;
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    run.changes_nothing();
    assert!(run.stderr.contains("AWS::ApiGatewayV2::Api") && run.stderr.contains(STACK), "{}", run.stderr);
    same(&cloud.inventory().await, &before);
    cloud.down();
    same(&cloud.inventory().await, &before);
}

#[tokio::test]
async fn resources_of_another_stack_are_in_the_way() {
    let cloud = Cloud::start().go();
    named(&cloud);
    cloud.wschat(&["up", "--local", "--yes", "--stack", "theirs"]).ok();
    let types = [
        "AWS::DynamoDB::Table \"taken\"",
        "AWS::IAM::Role \"taken\"",
        "AWS::Lambda::Function \"taken\"",
        "AWS::Logs::LogGroup \"taken\"",
    ];
    stops(&cloud, &types, "the wschat stack \"theirs\"").await;
}

/// Not every resource that CloudFormation manages carries its tags, so CloudFormation is asked.
#[tokio::test]
async fn resources_of_cloudformation_are_reported_as_such() {
    let cloud = Cloud::start().go();
    named(&cloud);
    make_table(&cloud).await;
    let before = cloud.inventory().await;
    let answer = "<DescribeStackResourcesResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">\
        <DescribeStackResourcesResult><StackResources><member><StackName>sam-app</StackName>\
        <LogicalResourceId>Connections</LogicalResourceId><PhysicalResourceId>taken</PhysicalResourceId>\
        <ResourceType>AWS::DynamoDB::Table</ResourceType><Timestamp>2026-01-01T00:00:00Z</Timestamp>\
        <ResourceStatus>CREATE_COMPLETE</ResourceStatus></member></StackResources></DescribeStackResourcesResult>\
        <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></DescribeStackResourcesResponse>";
    let managed = |call: &common::call_name::Name| {
        let asked = call.operation == "DescribeStackResources" && call.about == NAME;
        asked.then(|| Fault::before(FaultKind::Answer("text/xml", answer.to_owned())))
    };
    let ProxiedRun { run, .. } = cloud.through().script(managed).run(&["up", "--yes"]);
    let run = run.exits(1);
    run.changes_nothing();
    let expected =
        "error: AWS::DynamoDB::Table \"taken\" already exists and belongs to the CloudFormation stack \"sam-app\"\n";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    same(&cloud.inventory().await, &before);

    // Without the permission to ask, the report has no owner.
    let denied = |call: &common::call_name::Name| {
        let message = "User: me is not authorized to perform: cloudformation:DescribeStackResources";
        (call.operation == "DescribeStackResources").then(|| Fault::refuse(403, "AccessDenied", message))
    };
    let ProxiedRun { run, .. } = cloud.through().script(denied).run(&["up", "--yes"]);
    let run = run.exits(1);
    assert!(run.stderr.contains(&format!("belongs to {NO_OWNER}")), "{}", run.stderr);
}

/// More functions, tables and log groups of others than a reading asks one by one.
const OTHERS: usize = 300;

/// Fills the account with functions, tables and log groups that belong to no stack.
async fn crowd(cloud: &Cloud) {
    let config = cloud.sdk().await;
    let role = make_role(cloud, "crowd").await;
    let lambda = aws_sdk_lambda::Client::new(&config);
    let create = lambda.create_function().role(role).code(code()).handler("bootstrap").runtime(Runtime::Providedal2023);
    // Until the role can be assumed.
    eventually("there is a function", async || create.clone().function_name("crowd").send().await.is_ok()).await;
    let (dynamodb, logs) = (aws_sdk_dynamodb::Client::new(&config), aws_sdk_cloudwatchlogs::Client::new(&config));
    let id = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let table = dynamodb.create_table().billing_mode(BillingMode::PayPerRequest);
    let table = table.attribute_definitions(id.build().unwrap()).key_schema(key.build().unwrap());
    for number in 0..OTHERS {
        let name = format!("crowd-{number}");
        create.clone().function_name(&name).send().await.unwrap();
        logs.create_log_group().log_group_name(format!("/aws/lambda/{name}")).send().await.unwrap();
        table.clone().table_name(&name).send().await.unwrap();
    }
}

/// The calls of a run but for those that list, in pages, and for those that look at one state or try one thing again: how
/// often differs from run to run.
fn asked(run: ProxiedRun) -> BTreeSet<String> {
    const LISTS: &[&str] = &["DescribeLogGroups", "GetResources", "ListFunctions", "ListTables"];
    // A function is created when its role can be assumed, and is then looked at until it is active.
    const REPEATED: &[&str] = &["CreateFunction", "DescribeTable", "GetFunction"];
    run.run.ok();
    let names = run.calls.iter().map(|call| &call.name);
    let counted = names.filter(|name| !LISTS.contains(&name.operation.as_str()));
    let counted = counted.filter(|name| name.nth == 1 || !REPEATED.contains(&name.operation.as_str()));
    counted.map(ToString::to_string).collect()
}

/// Names that the template gives, so that `down` finds the resources by their tags alone.
#[tokio::test]
async fn resources_of_others_are_not_asked_one_by_one() {
    const VERBS: [&[&str]; 5] = [&["up", "--yes"], &["up", "--yes"], &["status"], &["list"], &["down", "--yes"]];
    let cloud = Cloud::start().go();
    let nothing = cloud.inventory().await;
    named(&cloud);
    let alone = VERBS.map(|verb| asked(cloud.through().run(verb)));
    same(&cloud.inventory().await, &nothing);

    crowd(&cloud).await;
    let others = cloud.inventory().await;
    for (verb, alone) in VERBS.into_iter().zip(alone) {
        assert_eq!(asked(cloud.through().run(verb)), alone, "{verb:?}");
        if verb == ["status"] {
            // Who may not ask for tags of all asks for those of each.
            let message = "not authorized to perform: tag:GetResources";
            let denied = Fault::refuse(400, "AccessDeniedException", message).permanent();
            let script = move |call: &Name| (call.operation == "GetResources").then(|| denied.clone());
            let each = asked(cloud.through().script(script).run(verb));
            assert!(each.len() > 3 * OTHERS, "{}", each.len());
        }
    }
    same(&cloud.inventory().await, &others);
}
