//! Stacks that CloudFormation made, and resources that were made by hand, are taken over.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_cloudformation as cloudformation;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::common::call_name::Name;
use crate::common::client::Client;
use crate::common::cloudformation::made_sam_echo;
use crate::common::cut::Cut;
use crate::common::inventory::{Inventory, same};
use crate::common::pool::on_clouds;
use crate::common::proxy::{Fault, FaultKind, When};
use crate::common::template::{SWIFT, Template};
use crate::common::{Cloud, STACK, eventually, sample};

/// A function that answers, as SAM describes it: without the code.
const TEMPLATE: &str = r#"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Greeting: { Type: String, Default: hello }
Resources:
  Rows:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      Tags: [{ Key: team, Value: blue }]
  Chat:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Name: { Ref: AWS::StackName }
      ProtocolType: WEBSOCKET
      RouteSelectionExpression: $request.body.action
  Talk:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs22.x
      Handler: index.handler
      Environment: { Variables: { greeting: { Ref: Greeting }, table: { Ref: Rows } } }
      Policies:
        - Statement:
            - { Effect: Allow, Action: dynamodb:GetItem, Resource: { Fn::GetAtt: [Rows, Arn] } }
  TalkLogs:
    Type: AWS::Logs::LogGroup
    Properties: { LogGroupName: { Fn::Sub: "/aws/lambda/${Talk}" }, RetentionInDays: 7 }
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: { Ref: Chat }
      IntegrationType: AWS_PROXY
      IntegrationUri:
        Fn::Sub: "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Talk.Arn}/invocations"
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: { Ref: Chat }
      RouteKey: $default
      RouteResponseSelectionExpression: $default
      Target: { Fn::Sub: "integrations/${Integration}" }
  Response:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: { Ref: Chat }, RouteId: { Ref: Route }, RouteResponseKey: $default }
  Permission:
    Type: AWS::Lambda::Permission
    Properties:
      Action: lambda:InvokeFunction
      FunctionName: { Ref: Talk }
      Principal: apigateway.amazonaws.com
      SourceArn: { Fn::Sub: "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Chat}/*" }
  Deployment:
    Type: AWS::ApiGatewayV2::Deployment
    DependsOn: [Route, Response]
    Properties: { ApiId: { Ref: Chat } }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: { Ref: Chat }, StageName: live, DeploymentId: { Ref: Deployment } }
Outputs:
  Uri: { Value: { Fn::Sub: "${Chat.ApiEndpoint}/${Stage}" } }
"#;

/// What the function says.
fn code(word: &str) -> String {
    format!("exports.handler = async (event) => ({{ statusCode: 200, body: `{word} ${{event.body}}` }});\n")
}

/// The template that the user has, and the code beside it.
pub fn project(cloud: &Cloud, word: &str) -> Template {
    let mut template = Template(serde_yaml::from_str(TEMPLATE).unwrap());
    template.set("Talk.CodeUri", "talk".into());
    template.save(cloud);
    let folder = cloud.folder().join("talk");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("index.js"), code(word)).unwrap();
    template
}

/// A stack of CloudFormation's with the same resources.
pub async fn form(cloud: &Cloud, change: impl FnOnce(&mut Template)) -> cloudformation::types::Stack {
    let mut template = Template(serde_yaml::from_str(TEMPLATE).unwrap());
    template.set("Talk.InlineCode", code("old").into());
    change(&mut template);
    let client = cloudformation::Client::new(&cloud.sdk().await);
    let parameter = cloudformation::types::Parameter::builder().parameter_key("Greeting").parameter_value("good day");
    let capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"].map(cloudformation::types::Capability::from);
    client
        .create_stack()
        .stack_name(STACK)
        .template_body(template.0.to_string())
        .parameters(parameter.build())
        .set_capabilities(Some(capabilities.to_vec()))
        .send()
        .await
        .unwrap();
    eventually("the stack is created", async || status(cloud).await.as_deref() == Some("CREATE_COMPLETE")).await;
    client.describe_stacks().stack_name(STACK).send().await.unwrap().stacks.unwrap().remove(0)
}

/// The state of CloudFormation's stack; `None` where there is none.
pub async fn status(cloud: &Cloud) -> Option<String> {
    let client = cloudformation::Client::new(&cloud.sdk().await);
    let answer = client.describe_stacks().stack_name(STACK).send().await.ok()?;
    Some(answer.stacks?.first()?.stack_status.clone()?.as_str().to_owned())
}

/// The physical ids of CloudFormation's stack, by logical id.
async fn ids(cloud: &Cloud) -> std::collections::BTreeMap<String, String> {
    let client = cloudformation::Client::new(&cloud.sdk().await);
    let answer = client.describe_stack_resources().stack_name(STACK).send().await.unwrap();
    let resources = answer.stack_resources.unwrap().into_iter();
    resources.map(|one| (one.logical_resource_id.unwrap(), one.physical_resource_id.unwrap())).collect()
}

pub fn now(future: impl Future<Output = ()>) {
    block(future);
}

pub fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A client that sends a message every few milliseconds, and hears each answer.
struct Talker {
    stop: Arc<AtomicBool>,
    heard: Arc<AtomicUsize>,
    talking: tokio::task::JoinHandle<Vec<String>>,
}

impl Talker {
    async fn begin(uri: &str) -> Self {
        let (stop, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut client = Client::connect(uri).await;
        let talking = tokio::spawn({
            let (stop, heard) = (Arc::clone(&stop), Arc::clone(&heard));
            async move {
                let mut answers = Vec::new();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    client.say(&format!("#{number}")).await;
                    let answer = client.hear().await;
                    assert!(answer.ends_with(&format!(" #{number}")), "{number} was answered: {answer}");
                    answers.push(answer);
                    heard.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                assert_eq!(client.leave().await, [""; 0]);
                answers
            }
        });
        Self { stop, heard, talking }
    }

    async fn goes_on(&self) {
        let since = self.heard.load(Ordering::Relaxed);
        eventually("the client is answered", async || self.heard.load(Ordering::Relaxed) > since + 2).await;
    }

    async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.talking.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_is_taken_over_while_its_client_talks() {
    let cloud = Cloud::start().go();
    let stack = form(&cloud, |_| {}).await;
    let uri = stack.outputs()[0].output_value().unwrap().to_owned();
    let before = ids(&cloud).await;
    let table = before["Rows"].clone();
    let rows = aws_sdk_dynamodb::Client::new(&cloud.sdk().await);
    rows.put_item().table_name(&table).item("id", AttributeValue::S("kept".to_owned())).send().await.unwrap();
    let talker = Talker::begin(&uri).await;
    talker.goes_on().await;

    project(&cloud, "old");
    let dry = cloud.wschat(&["adopt", STACK, "--local", "--dry-run"]).ok();
    dry.changes_nothing();
    assert!(dry.stderr.contains("They are as the template describes them"), "{}", dry.stderr);
    let adopted = cloud.wschat(&["adopt", STACK, "--local", "--yes"]).ok();
    assert_eq!(adopted.uri(), uri);
    assert!(adopted.stderr.contains("nothing to change but code"), "{}", adopted.stderr);
    assert_eq!(status(&cloud).await, None);
    talker.goes_on().await;

    // At most the zip differs: the same code in another archive.
    let first = cloud.up();
    assert!(first.mutations().iter().all(|call| call == "lambda.UpdateFunctionCode"), "{}", first.stderr);
    assert_eq!(first.uri(), uri);
    cloud.up().changes_nothing();
    let status = cloud.status().ok();
    assert!(status.stdout.contains(&table) && status.stdout.contains("healthy"), "{}", status.stdout);

    project(&cloud, "new");
    assert_eq!(cloud.up().mutations(), ["lambda.UpdateFunctionCode"]);
    talker.goes_on().await;
    let answers = talker.end().await;
    assert!(answers.first().unwrap().starts_with("old ") && answers.last().unwrap().starts_with("new "), "{answers:?}");
    let kept = rows.get_item().table_name(&table).key("id", AttributeValue::S("kept".to_owned())).send().await.unwrap();
    assert!(kept.item.is_some());
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_be_replaced_later_gets_a_name_of_its_own() {
    let cloud = Cloud::start().go();
    form(&cloud, |_| {}).await;
    let before = ids(&cloud).await;
    let mut template = project(&cloud, "old");
    cloud.wschat(&["adopt", STACK, "--local", "--yes"]).ok();
    cloud.up();
    template.set("Rows.KeySchema", json!([{"AttributeName": "room", "KeyType": "HASH"}]));
    template.set("Rows.AttributeDefinitions", json!([{"AttributeName": "room", "AttributeType": "S"}]));
    template.save(&cloud);
    let refused = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    refused.changes_nothing();
    assert!(refused.stderr.contains("--allow-data-loss Rows"), "{}", refused.stderr);
    let run = cloud.wschat(&["up", "--local", "--yes", "--allow-data-loss", "Rows"]).ok();
    assert_eq!((run.count("dynamodb.CreateTable"), run.count("dynamodb.DeleteTable")), (1, 1), "{}", run.stderr);
    let status = cloud.status().ok().stdout;
    assert!(!status.contains(&before["Rows"]) && status.contains(&before["Talk"]), "{status}");
    cloud.up().changes_nothing();
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn what_cannot_be_taken_over_is_said_at_once_and_stays() {
    let cloud = Cloud::start().go();
    form(&cloud, |_| {}).await;
    let client = cloudformation::Client::new(&cloud.sdk().await);
    client.update_termination_protection().stack_name(STACK).enable_termination_protection(true).send().await.unwrap();
    let whole = cloud.inventory().await;
    project(&cloud, "old");
    let refused = cloud.wschat(&["adopt", STACK, "--local", "--yes"]).exits(1);
    refused.changes_nothing();
    assert!(refused.stderr.contains("termination protection"), "{}", refused.stderr);
    client.update_termination_protection().stack_name(STACK).enable_termination_protection(false).send().await.unwrap();

    // A stack policy that keeps tables from being modified; one that keeps them from being replaced alone is in no way.
    let policy = |action: &str| {
        json!({"Statement": [
            {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": action, "Principal": "*", "Resource": "*",
             "Condition": {"StringEquals": {"ResourceType": ["AWS::DynamoDB::Table"]}}},
        ]})
        .to_string()
    };
    client.set_stack_policy().stack_name(STACK).stack_policy_body(policy("Update:*")).send().await.unwrap();
    let refused = cloud.wschat(&["adopt", STACK, "--local", "--yes"]).exits(1);
    refused.changes_nothing();
    assert!(refused.stderr.contains("its stack policy does not let these be modified: Rows"), "{}", refused.stderr);
    client.set_stack_policy().stack_name(STACK).stack_policy_body(policy("Update:Replace")).send().await.unwrap();
    cloud.wschat(&["adopt", STACK, "--local", "--dry-run"]).exits(0);

    // A template that is not the one that is deployed: all that is wrong with it.
    let mut template = project(&cloud, "old");
    template.set("Rows.KeySchema", json!([{"AttributeName": "room", "KeyType": "HASH"}]));
    template.set("Rows.AttributeDefinitions", json!([{"AttributeName": "room", "AttributeType": "S"}]));
    template.0["Resources"]["More"] = json!({"Type": "AWS::Logs::LogGroup"});
    template.save(&cloud);
    let refused = cloud.wschat(&["adopt", STACK, "--local", "--yes"]).exits(1);
    refused.changes_nothing();
    for words in
        ["Rows (AWS::DynamoDB::Table) would be replaced", "More (AWS::Logs::LogGroup) is in the template, and not in"]
    {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    same(&cloud.inventory().await, &whole);
    let none = cloud.wschat(&["adopt", "other", "--local", "--yes"]).exits(3);
    assert!(none.stderr.contains("there is no CloudFormation stack other"), "{}", none.stderr);
}

#[tokio::test]
async fn what_differs_is_shown_and_left_for_the_next_up() {
    let cloud = Cloud::start().go();
    form(&cloud, |_| {}).await;
    let mut template = project(&cloud, "old");
    template.set("Talk.MemorySize", 256.into());
    template.save(&cloud);
    let run = cloud.wschat(&["adopt", STACK, "--local", "--yes"]).ok();
    assert!(run.stderr.contains("The next `wschat up` makes these changes:"), "{}", run.stderr);
    assert!(run.stderr.contains("MemorySize"), "{}", run.stderr);
    assert_eq!(run.count("lambda.UpdateFunctionConfiguration"), 0, "{}", run.stderr);
    // The parameters' values are those of the stack.
    let file = fs::read_to_string(cloud.folder().join("wschat.toml")).unwrap();
    assert!(file.contains("good day"), "{file}");
    let up = cloud.up();
    assert_eq!(up.count("lambda.UpdateFunctionConfiguration"), 1, "{}", up.stderr);
    cloud.up().changes_nothing();
}

#[tokio::test]
async fn a_half_adopted_stack_is_not_touched_and_can_be_given_back() {
    let cloud = Cloud::start().go();
    form(&cloud, |_| {}).await;
    let mut template = project(&cloud, "old");
    let whole = cloud.inventory().await;
    let fault = Fault { when: When::Before, what: FaultKind::Kill, permanent: false };
    let at = |operation: &str| Name {
        service: "cloudformation".to_owned(),
        operation: operation.to_owned(),
        about: String::new(),
        nth: 1,
    };
    let adopt: &[&str] = &["adopt", STACK, "--yes"];
    let killed = cloud.through().fault(&at("DeleteStack"), &fault).run(adopt);
    assert_eq!(killed.run.code, None, "{}", killed.run.stderr);
    template.set("Talk.MemorySize", 256.into());
    template.save(&cloud);
    for command in ["up", "down"] {
        let refused = cloud.wschat(&[command, "--local", "--yes"]).exits(1);
        refused.changes_nothing();
        assert!(refused.stderr.contains("taking it over is not finished"), "{}", refused.stderr);
        assert!(refused.stderr.contains(&format!("wschat adopt {STACK}")), "{}", refused.stderr);
    }
    project(&cloud, "old");
    cloud.wschat(&["adopt", STACK, "--local", "--undo"]).ok();
    assert_eq!(status(&cloud).await.as_deref(), Some("UPDATE_COMPLETE"));
    // But for the digest in the description of the deployment.
    let described = |inventory: &Inventory| {
        let kept = inventory.iter().filter(|(name, _)| !name.starts_with("api "));
        kept.map(|(name, one)| (name.clone(), one.clone())).collect::<Inventory>()
    };
    same(&described(&cloud.inventory().await), &described(&whole));
    cloud.wschat(&["adopt", STACK, "--local", "--yes"]).ok();
    cloud.up();
    cloud.up().changes_nothing();
}

#[tokio::test]
async fn resources_made_by_hand_are_taken_over() {
    let cloud = Cloud::start().go();
    project(&cloud, "old");
    let dynamodb = aws_sdk_dynamodb::Client::new(&cloud.sdk().await);
    cloud.json_call(
        "dynamodb",
        "DynamoDB_20120810.CreateTable",
        &json!({
            "TableName": "by-hand",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        }),
    );
    eventually("the table is active", async || {
        let table = dynamodb.describe_table().table_name("by-hand").send().await.unwrap().table.unwrap();
        table.table_status.unwrap().as_str() == "ACTIVE"
    })
    .await;
    dynamodb.put_item().table_name("by-hand").item("id", AttributeValue::S("kept".to_owned())).send().await.unwrap();
    for (given, words) in [
        ("Nothing=by-hand", "the template has no resource Nothing"),
        ("Rows=missing", "Rows (AWS::DynamoDB::Table) is missing"),
        ("Route=abc", "cannot be taken over by its id alone"),
    ] {
        let refused = cloud.wschat(&["adopt", "--resource", given, "--local", "--yes"]).exits(1);
        refused.changes_nothing();
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    let run = cloud.wschat(&["adopt", "--resource", "Rows=by-hand", "--local", "--yes"]).ok();
    assert_eq!(run.mutations(), ["dynamodb.TagResource"], "{}", run.stderr);
    let up = cloud.up();
    assert_eq!(up.count("dynamodb.CreateTable"), 0, "{}", up.stderr);
    assert!(cloud.status().ok().stdout.contains("by-hand"));
    cloud.up().changes_nothing();
    let kept = dynamodb.get_item().table_name("by-hand").key("id", AttributeValue::S("kept".to_owned()));
    assert!(kept.send().await.unwrap().item.is_some());
    // What is another stack's stays there.
    let other = cloud.wschat(&["adopt", "--resource", "Rows=by-hand", "--stack", "other", "--local", "--yes"]).exits(1);
    assert!(other.stderr.contains(&format!("the wschat stack \"{STACK}\"")), "{}", other.stderr);
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

/// A text without the letters that CloudFormation makes up for names, and without ids in ARNs of APIs.
pub fn nameless(text: &str) -> String {
    let name = regex_lite::Regex::new(&format!("({STACK}-[A-Za-z]+)-[A-Za-z0-9]{{12}}")).unwrap();
    let api = regex_lite::Regex::new("::/apis/[a-z0-9]+").unwrap();
    api.replace_all(&name.replace_all(text, "$1-ID"), "::/apis/ID").into_owned()
}

/// All that a cloud has, by names that are the same in every cloud.
pub fn everything(cloud: &Cloud) -> Inventory {
    let all = cloud.inventory_now().into_iter();
    all.map(|(name, one)| (nameless(&name), serde_json::from_str(&nameless(&one.to_string())).unwrap())).collect()
}

#[test]
fn adopting_is_killed_at_every_call() {
    let start = || {
        let cloud = Cloud::start().conditions(SWIFT).go();
        project(&cloud, "old");
        now(async { drop(form(&cloud, |_| {}).await) });
        cloud
    };
    const ADOPT: &[&str] = &["adopt", STACK, "--yes"];
    let cloud = start();
    let calls = cloud.through().run(ADOPT);
    assert_eq!(calls.run.code, Some(0), "{}", calls.run.stderr);
    let names: Vec<Name> =
        calls.names().into_iter().map(|name| Name { about: nameless(&name.about), ..name }).collect();
    let whole = everything(&cloud);
    let cuts = sample::some("adopt points", Cut::everywhere(names), 24);
    on_clouds(3, start, &cuts, |cloud, cut| {
        let (name, fault) = (&cut.name, cut.fault());
        let wanted = name.clone();
        let is_it = move |call: &Name| Name { about: nameless(&call.about), ..call.clone() } == wanted;
        let killed = cloud.through().script(move |call| is_it(call).then(|| fault.clone())).run(ADOPT);
        // The number of looks differs from run to run.
        assert!(killed.was_hit() || name.nth > 1 || !name.mutating(), "there was no {name}");
        let expected = if killed.was_hit() { None } else { Some(0) };
        assert_eq!(killed.run.code, expected, "{name}: {}", killed.run.stderr);
        cloud.through().run(ADOPT).run.ok();
        same(&everything(cloud), &whole);
        let up = cloud.through().run(&["up", "--yes"]).run.ok();
        assert!(up.mutations().iter().all(|call| call == "lambda.UpdateFunctionCode"), "{name}: {}", up.stderr);
        cloud.through().run(&["down", "--yes"]).run.ok();
        same(&cloud.inventory_now(), &Inventory::new());
        now(async { drop(form(cloud, |_| {}).await) });
    });
}

/// A value that cannot be read must be given again.
#[tokio::test]
async fn hidden_parameters_must_be_given() {
    let cloud = Cloud::start().go();
    let hide = |template: &mut Template| template.0["Parameters"]["Greeting"]["NoEcho"] = Value::from(true);
    form(&cloud, hide).await;
    let mut template = project(&cloud, "old");
    hide(&mut template);
    template.save(&cloud);
    let refused = cloud.wschat(&["adopt", STACK, "--local", "--yes"]).exits(64);
    refused.changes_nothing();
    assert!(
        refused.stderr.contains("NoEcho") && refused.stderr.contains("--parameter Greeting=@FILE"),
        "{}",
        refused.stderr
    );
    let run = cloud.wschat(&["adopt", STACK, "--local", "--yes", "--parameter", "Greeting=good day"]).ok();
    assert!(run.stderr.contains("nothing to change but code"), "{}", run.stderr);
}

/// CloudFormation's answer to `DescribeChangeSet`: an environment gets another value, which the template does not tell.
const CHANGES_MORE: &str = r#"<DescribeChangeSetResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
<DescribeChangeSetResult><Status>CREATE_COMPLETE</Status><ExecutionStatus>AVAILABLE</ExecutionStatus><Changes><member>
<Type>Resource</Type><ResourceChange><Action>Modify</Action><LogicalResourceId>Talk</LogicalResourceId>
<ResourceType>AWS::Lambda::Function</ResourceType><Replacement>False</Replacement><Scope><member>Properties</member></Scope>
<Details><member><Target><Attribute>Properties</Attribute><Name>Environment</Name><RequiresRecreation>Never</RequiresRecreation></Target>
<Evaluation>Static</Evaluation><ChangeSource>ParameterReference</ChangeSource></member></Details>
</ResourceChange></member></Changes></DescribeChangeSetResult></DescribeChangeSetResponse>"#;

/// An update fetches the values of SSM parameters again, so it may do more than keep resources.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_would_change_something_is_not_made() {
    let cloud = Cloud::start().go();
    form(&cloud, |_| {}).await;
    project(&cloud, "old");
    let whole = cloud.inventory().await;
    let answer =
        Fault { when: When::Before, what: FaultKind::Answer("text/xml", CHANGES_MORE.to_owned()), permanent: false };
    let is_made = AtomicBool::new(false);
    let script = move |call: &Name| match call.operation.as_str() {
        "CreateChangeSet" => {
            is_made.store(true, Ordering::Relaxed);
            None
        }
        "DescribeChangeSet" => is_made.load(Ordering::Relaxed).then(|| answer.clone()),
        _ => None,
    };
    let run =
        tokio::task::block_in_place(|| cloud.through().script(script).run(&["adopt", STACK, "--yes"])).run.exits(1);
    assert!(run.stderr.contains("Talk (AWS::Lambda::Function): Environment"), "{}", run.stderr);
    assert_eq!(run.mutations(), ["cloudformation.CreateChangeSet", "cloudformation.DeleteChangeSet"]);
    same(&cloud.inventory().await, &whole);
    assert_eq!(status(&cloud).await.as_deref(), Some("CREATE_COMPLETE"));
    // With what CloudFormation says itself, it goes on.
    cloud.wschat(&["adopt", STACK, "--local", "--yes"]).ok();
}

#[test]
fn what_the_stack_has_got_meanwhile_is_not_let_go() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    project(&cloud, "old");
    let mut client = None;
    now(async {
        form(&cloud, |_| {}).await;
        client = Some(cloudformation::Client::new(&cloud.sdk().await));
    });
    let (client, is_done) = (client.unwrap(), AtomicBool::new(false));
    let script = move |call: &Name| {
        if call.operation == "TagResource" && !is_done.swap(true, Ordering::Relaxed) {
            let client = client.clone();
            std::thread::spawn(move || now(deploys_more(&client))).join().unwrap();
        }
        None
    };
    let run = cloud.through().script(script).run(&["adopt", STACK, "--yes"]).run.exits(1);
    assert!(run.stderr.contains("has changed meanwhile: it did not have More before"), "{}", run.stderr);
    let mut found = None;
    now(async { found = status(&cloud).await });
    assert_eq!(found.as_deref(), Some("UPDATE_COMPLETE"));
    let refused = cloud.wschat(&["adopt", STACK, "--local", "--yes"]).exits(1);
    refused.changes_nothing();
    assert!(refused.stderr.contains("is in the stack, and not in the template"), "{}", refused.stderr);
    cloud.wschat(&["adopt", STACK, "--local", "--undo"]).ok();
    assert!(!serde_json::to_string(&cloud.inventory_now()).unwrap().contains("wschat:"));
}

/// Another deployer adds a log group to the stack, which is retained like all that is there.
async fn deploys_more(client: &cloudformation::Client) {
    let text = client.get_template().stack_name(STACK).send().await.unwrap().template_body.unwrap();
    let mut template: Value = serde_json::from_str(&text).unwrap();
    template["Resources"]["More"] =
        json!({"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"});
    let greeting = cloudformation::types::Parameter::builder().parameter_key("Greeting").use_previous_value(true);
    let update =
        client.update_stack().stack_name(STACK).template_body(template.to_string()).parameters(greeting.build());
    update.capabilities("CAPABILITY_IAM".into()).send().await.unwrap();
    eventually("it is updated", async || {
        let answer = client.describe_stacks().stack_name(STACK).send().await.unwrap();
        answer.stacks()[0].stack_status().unwrap().as_str() == "UPDATE_COMPLETE"
    })
    .await;
}

/// CloudFormation gives the tags of its stack to all resources: they stay, also in later runs.
#[tokio::test]
async fn the_tags_of_the_stack_stay() {
    let cloud = Cloud::start().go();
    made_sam_echo(&cloud, STACK).await;
    let token: &[&str] = &["--local", "--yes", "--parameter", "Token=secret"];
    let run = cloud.wschat(&[&["adopt", STACK], token].concat()).ok();
    let file = fs::read_to_string(cloud.folder().join("wschat.toml")).unwrap();
    assert!(file.contains("[default.tags]\nteam = \"red\""), "{file}\n{}", run.stderr);
    cloud.wschat(&[&["up"], token].concat()).ok();
    let left = serde_json::to_string(&cloud.inventory().await).unwrap();
    assert!(left.contains("team"), "{left}");
    cloud.wschat(&[&["up"], token].concat()).ok().changes_nothing();
}

/// CloudFormation leaves the status of a change set that it cannot carry out any more as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_set_of_an_earlier_run_may_be_out_of_date() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    form(&cloud, |_| {}).await;
    project(&cloud, "old");
    let kill = Fault { when: When::Before, what: FaultKind::Kill, permanent: false };
    let script = move |call: &Name| (call.operation == "ExecuteChangeSet").then(|| kill.clone());
    let killed = tokio::task::block_in_place(|| cloud.through().script(script).run(&["adopt", STACK, "--yes"])).run;
    assert_eq!(killed.code, None, "{}", killed.stderr);
    retag(&cloud, "Greeting").await;
    let run = cloud.wschat(&["adopt", STACK, "--local", "--yes"]).ok();
    assert!(run.stderr.contains(&format!("Stack {STACK} is wschat's")), "{}", run.stderr);
    assert_eq!(status(&cloud).await, None);
}

/// Another deployer gives CloudFormation's stack a tag, and changes nothing else; `parameter` keeps its value.
pub async fn retag(cloud: &Cloud, parameter: &str) {
    let client = cloudformation::Client::new(&cloud.sdk().await);
    let kept = (!parameter.is_empty()).then(|| {
        let kept = cloudformation::types::Parameter::builder().parameter_key(parameter).use_previous_value(true);
        vec![kept.build()]
    });
    let tag = cloudformation::types::Tag::builder().key("team").value("green").build();
    let update = client.update_stack().stack_name(STACK).use_previous_template(true).set_parameters(kept).tags(tag);
    update.set_capabilities(Some(crate::common::cloudformation::CAPABILITIES.to_vec())).send().await.unwrap();
    eventually("it is updated", async || status(cloud).await.as_deref() == Some("UPDATE_COMPLETE")).await;
}

/// The update that keeps the resources makes CloudFormation read dynamic references again, which no change set shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dynamic_reference_with_another_value_is_not_read_again() {
    let cloud = Cloud::start().conditions(SWIFT).go();
    let put = |name: &str, value: &str| {
        let input = json!({"Name": name, "Value": value, "Type": "String", "Overwrite": true});
        cloud.json_call("ssm", "AmazonSSM.PutParameter", &input);
    };
    let secret = |operation: &str, member: &str, value: &str| {
        let input = json!({member: "db", "SecretString": json!({ "password": value }).to_string()});
        cloud.json_call("secretsmanager", &format!("secretsmanager.{operation}"), &input);
    };
    put("/chat/origin", "https://one");
    secret("CreateSecret", "Name", "first-password");
    let refer = |template: &mut Template| {
        let variables = template.get("Talk.Environment.Variables");
        variables["origin"] = "{{resolve:ssm:/chat/origin}}".into();
        variables["fixed"] = "{{resolve:ssm:/chat/origin:1}}".into();
        // As the CDK writes it.
        variables["password"] =
            json!({"Fn::Join": ["", ["{{resolve:secretsmanager:", "db", ":SecretString:password::}}"]]});
    };
    form(&cloud, refer).await;
    let mut template = project(&cloud, "old");
    refer(&mut template);
    template.save(&cloud);
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    let name = ids(&cloud).await["Talk"].clone();
    let environment = async || {
        let found = lambda.get_function_configuration().function_name(&name).send().await.unwrap();
        let variables = found.environment.unwrap().variables.unwrap();
        ["origin", "fixed", "password"].map(|name| variables[name].clone())
    };
    let adopt = |exit: i32, words: &[&str]| {
        let args = [&["adopt", STACK, "--local", "--yes"], words].concat();
        if exit == 0 { cloud.wschat(&args).ok() } else { cloud.wschat(&args).exits(exit) }
    };
    let before = environment().await;
    assert_eq!(before, ["https://one", "https://one", "first-password"]);
    adopt(0, &["--dry-run"]).changes_nothing();

    let refuses = |path: &str, reference: &str| {
        let run = adopt(1, &[]);
        run.changes_nothing();
        let expected = format!("{path} of Talk (AWS::Lambda::Function) is not what {reference} gives now");
        let told = run.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(&expected) && told.contains("deploy it with CloudFormation first"), "{told}");
        assert_eq!(told.matches("gives now").count(), 1, "{told}");
        assert!(!told.contains("-password"), "{told}");
    };
    put("/chat/origin", "https://two");
    refuses("Environment.Variables.origin", "{{resolve:ssm:/chat/origin}}");
    // Also where the user's own template has the old value written out.
    template.get("Talk.Environment.Variables")["origin"] = "https://one".into();
    template.save(&cloud);
    refuses("Environment.Variables.origin", "{{resolve:ssm:/chat/origin}}");
    refer(&mut template);
    template.save(&cloud);
    put("/chat/origin", "https://one");
    secret("PutSecretValue", "SecretId", "second-password");
    let whole = cloud.inventory().await;
    refuses("Environment.Variables.password", "its dynamic reference");
    assert_eq!(environment().await, before);
    assert_eq!(status(&cloud).await.as_deref(), Some("CREATE_COMPLETE"));
    same(&cloud.inventory().await, &whole);

    secret("PutSecretValue", "SecretId", "first-password");
    adopt(0, &[]);
    assert_eq!(environment().await, before);
    assert_eq!(status(&cloud).await, None);
}
