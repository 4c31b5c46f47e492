//! Changes of routes, integrations and authorizers without interruption: no error, no lost message, no closed socket, and new
//! connections are accepted all the time. Under conditions: slow roles, functions and tables, and enforced IAM.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::client::Client;
use crate::common::template::{self, Template};
use crate::common::{Cloud, Run, eventually};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const CONDITIONS: &str = r#"
    [latency_ms]
    default = 15
    [eventual_s]
    iam_role_assumable = 1.2
    table_creating = 0.6
    function_pending = 0.6
    function_updating = 0.3
    [strict]
    iam = true
"#;

/// The timeout of integrations here, and so the time of a drain without an authorizer, in milliseconds.
const TIMEOUT: u64 = 4000;

/// A table, an API with a stage, and no routes yet.
fn bare() -> Template {
    let mut template = Template(json!({
        "Resources": {},
        "Outputs": { "Uri": { "Value": { "Fn::Sub": "${Api.ApiEndpoint}/${Stage}" } } },
    }));
    table(&mut template, "Rows");
    template.set(
        "Api",
        json!({ "Type": "AWS::ApiGatewayV2::Api", "Properties": {
            "Name": "served", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action",
        } }),
    );
    template.set("Deployment", part("Deployment", json!({})));
    template.set("Stage", part("Stage", json!({ "StageName": "live", "DeploymentId": { "Ref": "Deployment" } })));
    template
}

/// A resource that belongs to the API.
fn part(kind: &str, mut properties: Value) -> Value {
    properties["ApiId"] = json!({ "Ref": "Api" });
    json!({ "Type": format!("AWS::ApiGatewayV2::{kind}"), "Properties": properties })
}

fn table(template: &mut Template, id: &str) {
    template.set(
        id,
        json!({ "Type": "AWS::DynamoDB::Table", "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        } }),
    );
}

/// A function that reads the table before it answers, with its own role, policy and permission.
fn function(template: &mut Template, id: &str) {
    let trust = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" },
    ] });
    let role = format!("{id}Role");
    template.set(&role, json!({ "Type": "AWS::IAM::Role", "Properties": { "AssumeRolePolicyDocument": trust } }));
    let rights = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": [{ "Fn::GetAtt": ["Rows", "Arn"] }] },
    ] });
    template.set(
        &format!("{id}Rights"),
        json!({ "Type": "AWS::IAM::Policy", "Properties": {
            "PolicyName": "rows", "Roles": [{ "Ref": role }], "PolicyDocument": rights,
        } }),
    );
    template.set(
        id,
        json!({ "Type": "AWS::Lambda::Function", "Properties": {
            "Code": "echo", "Runtime": "provided.al2023", "Handler": "bootstrap", "Timeout": 5,
            "Role": { "Fn::GetAtt": [role, "Arn"] },
            "Environment": { "Variables": { "READS": { "Ref": "Rows" } } },
        } }),
    );
    // References the stage, as many templates do: so it waits for a stage that does not exist yet, and an existing stage
    // waits for it.
    template.set(
        &format!("{id}Permission"),
        json!({ "Type": "AWS::Lambda::Permission", "Properties": {
            "Action": "lambda:InvokeFunction", "FunctionName": { "Ref": id }, "Principal": "apigateway.amazonaws.com",
            "SourceArn": { "Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/${Stage}/*" },
        } }),
    );
}

fn uri(function: &str) -> Value {
    let arn = format!("${{{function}.Arn}}");
    json!({ "Fn::Sub": format!("arn:aws:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/{arn}/invocations") })
}

/// A route to a function, with a route response except for `$connect`.
fn route(template: &mut Template, id: &str, key: &str, function: &str) {
    let integration = json!({
        "IntegrationType": "AWS_PROXY", "Description": id, "TimeoutInMillis": TIMEOUT, "IntegrationUri": uri(function),
    });
    template.set(&format!("{id}Integration"), part("Integration", integration));
    let mut route = json!({ "RouteKey": key, "Target": { "Fn::Sub": format!("integrations/${{{id}Integration}}") } });
    if key != "$connect" {
        route["RouteResponseSelectionExpression"] = "$default".into();
        let response = json!({ "RouteId": { "Ref": format!("{id}Route") }, "RouteResponseKey": "$default" });
        template.set(&format!("{id}Response"), part("RouteResponse", response));
    }
    template.set(&format!("{id}Route"), part("Route", route));
}

/// A complete API: functions for `$connect`, `ping` and `$default`.
fn served() -> Template {
    let mut template = bare();
    for (id, key) in [("Welcome", "$connect"), ("Ping", "ping"), ("Rest", "$default")] {
        function(&mut template, id);
        route(&mut template, id, key, id);
    }
    template
}

/// A deployed stack, and clients that use it all the time.
struct Traffic {
    cloud: Cloud,
    tasks: Vec<JoinHandle<()>>,
    answered: Arc<AtomicUsize>,
    admitted: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Traffic {
    async fn begin(template: &Template) -> Self {
        let cloud = Cloud::start().conditions(CONDITIONS).go();
        template::echo_code(&cloud, "hello");
        template.save(&cloud);
        let uri = cloud.up().uri();
        cloud.up().changes_nothing();
        let mut traffic =
            Self { cloud, tasks: Vec::new(), answered: Arc::default(), admitted: Arc::default(), stop: Arc::default() };
        for number in 0..8 {
            let client = Client::connect(&uri).await;
            traffic.tasks.push(tokio::spawn(talk(client, number, traffic.answered.clone(), traffic.stop.clone())));
        }
        for number in 100..103 {
            let (admitted, stop) = (traffic.admitted.clone(), traffic.stop.clone());
            traffic.tasks.push(tokio::spawn(come_and_go(uri.clone(), number, admitted, stop)));
        }
        traffic.assert_served("the beginning").await;
        traffic
    }

    /// All clients must still be running and get new answers and connections.
    async fn assert_served(&mut self, when: &str) {
        let (answered, admitted) = (self.answered.load(Ordering::Relaxed), self.admitted.load(Ordering::Relaxed));
        let is_served = async || {
            self.tasks.iter().any(JoinHandle::is_finished)
                || (self.answered.load(Ordering::Relaxed) > answered + 16
                    && self.admitted.load(Ordering::Relaxed) > admitted + 3)
        };
        eventually(when, is_served).await;
        if let Some(ended) = self.tasks.iter().position(JoinHandle::is_finished) {
            let error = self.tasks.swap_remove(ended).await.unwrap_err();
            panic!("{when}: {error}");
        }
    }

    /// Deploys a changed template while the clients run.
    async fn change(&mut self, what: &str, template: &Template, flags: &[&str]) -> Run {
        template.save(&self.cloud);
        let before = (self.answered.load(Ordering::Relaxed), self.admitted.load(Ordering::Relaxed));
        let run = tokio::task::block_in_place(|| {
            let mut command = self.cloud.command(&[&["up", "--local", "--yes"], flags].concat());
            self.cloud.begin_command(command.env_remove("WSCHAT_NO_DRAIN")).end().ok()
        });
        let answered = self.answered.load(Ordering::Relaxed) - before.0;
        let admitted = self.admitted.load(Ordering::Relaxed) - before.1;
        println!("{what}: {answered} answers and {admitted} connections meanwhile");
        assert!(answered > 0, "no message was answered while {what}");
        assert!(!run.mutations().is_empty(), "nothing changed while {what}");
        self.assert_served(what).await;
        run
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Sends messages in a loop, to a different route each time, and waits for each answer.
async fn talk(mut client: Client, number: usize, answered: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        ask(&mut client, ["ping", "$default"][turn % 2], &format!("{number}-{turn}")).await;
        answered.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!(client.leave().await, [""; 0], "said to {number} unasked");
}

/// Connects in a loop and sends one message each time.
async fn come_and_go(uri: String, number: usize, admitted: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let mut client = Client::connect(&uri).await;
        admitted.fetch_add(1, Ordering::Relaxed);
        ask(&mut client, "$default", &format!("{number}-{turn}")).await;
        client.close().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ask(client: &mut Client, route: &str, mark: &str) {
    client.say(&format!(r##"{{"action":"{route}","mark":"#{mark}#"}}"##)).await;
    let answer = client.hear().await;
    assert_eq!(answer, format!("hello from {route} #{mark}"));
}

/// These plans must not interrupt anything.
const NO_INTERRUPTION: &[&str] = &["--no-interruption"];

/// Printed while a resource that no longer receives messages waits to be deleted.
const DRAINS: &str = "for messages in flight";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_and_integrations_change_without_interruption() {
    let mut template = served();
    function(&mut template, "Old");
    route(&mut template, "Old", "old", "Old");
    let mut traffic = Traffic::begin(&template).await;

    function(&mut template, "Fresh");
    template.set("PingIntegration.IntegrationUri", uri("Fresh"));
    let run = traffic.change("a route moves to a new function", &template, NO_INTERRUPTION).await;
    assert_eq!(run.count("apigatewayv2.UpdateStage"), 1);

    table(&mut template, "More");
    let both = json!([{ "Fn::GetAtt": ["Rows", "Arn"] }, { "Fn::GetAtt": ["More", "Arn"] }]);
    template.set("RestRights.PolicyDocument.Statement.0.Resource", both);
    template.set("Rest.Environment.Variables.READS", json!({ "Ref": "More" }));
    traffic.change("a function begins to use a new table", &template, NO_INTERRUPTION).await;

    template.set("EchoRole", template.clone().get("FreshRole").clone());
    template.remove("FreshRole");
    template.set("Fresh.Role", json!({ "Fn::GetAtt": ["EchoRole", "Arn"] }));
    template.set("FreshRights.Roles", json!([{ "Ref": "EchoRole" }]));
    let run = traffic.change("a role is replaced, and its policy moves along", &template, NO_INTERRUPTION).await;
    assert_eq!((run.count("iam.CreateRole"), run.count("iam.DeleteRole")), (1, 1));
    assert!(run.stderr.contains(DRAINS), "{}", run.stderr);

    template.set("Fresh.FunctionName", "renamed".into());
    let run = traffic.change("a function is renamed", &template, NO_INTERRUPTION).await;
    assert_eq!((run.count("lambda.CreateFunction"), run.count("lambda.DeleteFunction")), (1, 1));
    assert!(run.stderr.contains(DRAINS), "{}", run.stderr);

    let source = json!({ "Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*" });
    template.set("RestPermission.SourceArn", source);
    let run = traffic.change("a permission is changed", &template, NO_INTERRUPTION).await;
    assert_eq!((run.count("lambda.AddPermission"), run.count("lambda.RemovePermission")), (1, 1));

    for part in ["OldRoute", "OldResponse", "OldIntegration", "OldPermission", "Old", "OldRights", "OldRole"] {
        template.remove(part);
    }
    template.save(&traffic.cloud);
    let refused = traffic.cloud.wschat(&["up", "--local", "--yes", "--no-interruption"]).exits(1);
    refused.changes_nothing();
    assert!(refused.stderr.contains("messages of \"old\" go to $default, if there is one"), "{}", refused.stderr);
    let run = traffic.change("a function goes with its route", &template, &[]).await;
    assert_eq!(run.count("lambda.DeleteFunction"), 1);
    traffic.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorizers_and_connect_handlers_change_without_rejected_connections() {
    let mut template = served();
    let mut traffic = Traffic::begin(&template).await;

    function(&mut template, "Guard");
    template.set("Guard.Timeout", 5.into());
    template.set("Guard.Environment.Variables.TAKES", "400".into());
    // AWS assigns its id, so its permission can only be created after it.
    let source = "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/authorizers/${Door}";
    template.set("GuardPermission.SourceArn", json!({ "Fn::Sub": source }));
    let door = json!({ "Name": "door", "AuthorizerType": "REQUEST", "AuthorizerUri": uri("Guard") });
    template.set("Door", part("Authorizer", door));
    template.set("WelcomeRoute.AuthorizationType", "CUSTOM".into());
    template.set("WelcomeRoute.AuthorizerId", json!({ "Ref": "Door" }));
    traffic.change("an authorizer comes", &template, NO_INTERRUPTION).await;

    // A connection whose authorizer runs while the stage is updated still gets to the old `$connect` function.
    function(&mut template, "Guard2");
    template.set("Guard2Permission.SourceArn", json!({ "Fn::Sub": source }));
    template.set("Door.AuthorizerUri", uri("Guard2"));
    template.set("Welcome.FunctionName", "welcome".into());
    for part in ["Guard", "GuardRole", "GuardRights", "GuardPermission"] {
        template.remove(part);
    }
    let run = traffic.change("the authorizer and the door move to new functions", &template, NO_INTERRUPTION).await;
    assert_eq!(run.count("lambda.DeleteFunction"), 2);
    assert!(run.stderr.contains(DRAINS), "{}", run.stderr);
    traffic.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_with_auto_deploy_never_serves_a_route_too_early() {
    let mut template = served();
    template.remove("Deployment");
    template.remove("Stage.DeploymentId");
    template.set("Stage.AutoDeploy", true.into());
    let mut traffic = Traffic::begin(&template).await;

    function(&mut template, "Fresh");
    template.set("PingIntegration.IntegrationUri", uri("Fresh"));
    for part in ["Ping", "PingRole", "PingRights", "PingPermission"] {
        template.remove(part);
    }
    let run = traffic.change("a route moves to a new function, and the old one goes", &template, NO_INTERRUPTION).await;
    assert_eq!(run.count("apigatewayv2.UpdateRoute"), 1);
    traffic.end().await;
}
