//! A local cloud that enforces IAM: handlers and deployers with the permissions they need, and without them.

use std::fs;

use crate::common::client::Client;
use crate::common::cloudformation::made_sam_echo;
use crate::common::inventory::{Inventory, same};
use crate::common::template::{Template, tags};
use crate::common::{Cloud, Run, STACK, repository, sample, template};
use serde_json::{Value, json};
use wschat::local::context::ACCOUNT;

const STRICT: &str = "[strict]\niam = true\n";

const DEPLOYER: &str = "deployer";

/// AWS's error for a missing permission.
const REFUSED: &str = "is not authorized to perform: ";

/// A cloud that enforces IAM, with a role that has no permissions yet.
async fn cloud() -> Cloud {
    let cloud = Cloud::start().conditions(STRICT).go();
    let trust = json!({"Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}});
    let iam = aws_sdk_iam::Client::new(&cloud.sdk().await);
    iam.create_role().role_name(DEPLOYER).assume_role_policy_document(trust.to_string()).send().await.unwrap();
    cloud
}

/// Makes this the role's only policy.
async fn grant(cloud: &Cloud, policy: &Value) {
    let iam = aws_sdk_iam::Client::new(&cloud.sdk().await);
    iam.put_role_policy()
        .role_name(DEPLOYER)
        .policy_name("all")
        .policy_document(policy.to_string())
        .send()
        .await
        .unwrap();
}

/// The inventory without the deployer's own role.
async fn inventory(cloud: &Cloud) -> Inventory {
    let mut inventory = cloud.inventory().await;
    inventory.retain(|name, _| name != &format!("role {DEPLOYER}"));
    inventory
}

async fn session(cloud: &Cloud) -> aws_sdk_sts::types::Credentials {
    let sts = aws_sdk_sts::Client::new(&cloud.sdk().await);
    let role = format!("arn:aws:iam::{ACCOUNT}:role/{DEPLOYER}");
    sts.assume_role().role_arn(role).role_session_name("me").send().await.unwrap().credentials.unwrap()
}

/// Runs a verb with the role's permissions only.
async fn as_deployer(cloud: &Cloud, verb: &[&str]) -> Run {
    let credentials = session(cloud).await;
    run(
        cloud,
        verb,
        [
            ("AWS_ACCESS_KEY_ID", credentials.access_key_id()),
            ("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key()),
            ("AWS_SESSION_TOKEN", credentials.session_token()),
        ],
    )
}

/// Runs a verb with all permissions.
fn as_administrator(cloud: &Cloud, verb: &[&str]) -> Run {
    let no_token = ("AWS_SESSION_TOKEN", "");
    run(cloud, verb, [("AWS_ACCESS_KEY_ID", "administrator"), ("AWS_SECRET_ACCESS_KEY", "x"), no_token])
}

fn run(cloud: &Cloud, verb: &[&str], credentials: [(&str, &str); 3]) -> Run {
    let endpoint = format!("http://127.0.0.1:{}", cloud.port());
    let mut command = cloud.command(verb);
    command.args(["--endpoint-url", &endpoint]).env("AWS_REGION", "us-east-1");
    command.envs(credentials.into_iter().filter(|(_, value)| !value.is_empty()));
    cloud.begin_command(&mut command).end()
}

/// What `wschat policy` prints.
fn policy(cloud: &Cloud, flags: &[&str]) -> Value {
    let run = as_administrator(cloud, &[&["policy"], flags].concat()).ok();
    serde_json::from_str(&run.stdout).unwrap()
}

/// For each statement: the policy without it, and the statement.
fn each_without_one(policy: &Value) -> Vec<(Value, Value)> {
    let statements = policy["Statement"].as_array().unwrap();
    (0..statements.len())
        .map(|index| {
            let mut rest = statements.clone();
            let one = rest.remove(index);
            (one, json!({"Version": "2012-10-17", "Statement": rest}))
        })
        .collect()
}

/// Whether a first `up` needs a statement for its rollback only.
fn only_rolls_back(statement: &Value) -> bool {
    let mut actions = statement["Action"].as_array().unwrap().iter().filter_map(Value::as_str);
    let deletes =
        |action: &str| action.split_once(':').is_some_and(|(_, name)| name.to_uppercase().starts_with("DELETE"));
    actions.all(deletes) || is_about_logs(statement)
}

/// Whether a statement is about the account's role for logs. It only matters where that role is deleted.
fn is_about_logs(statement: &Value) -> bool {
    statement["Resource"].as_array().unwrap().iter().all(|resource| resource.as_str().unwrap().ends_with("::/account"))
}

/// The calls rejected since `before`, from the cloud's log: a verb that may not read a resource may take it for missing, so
/// its exit code is not enough.
fn refusals(cloud: &Cloud, before: usize) -> Vec<String> {
    let denied = cloud
        .calls()
        .split_off(before)
        .into_iter()
        .filter(|call| call.code.as_deref().is_some_and(|code| code.starts_with("AccessDenied")));
    denied.map(|call| format!("{}.{}", call.service, call.operation)).collect()
}

/// Runs a verb with these permissions: it must succeed without a rejected call.
async fn suffices(cloud: &Cloud, verb: &str, policy: &Value) {
    grant(cloud, policy).await;
    let before = cloud.calls().len();
    as_deployer(cloud, &[verb, "--yes"]).await.ok();
    assert_eq!(refusals(cloud, before), [""; 0], "{verb} under {policy:#}");
}

/// Without any one of the statements, a first `up` must fail and report the missing permission, unless it is
/// for the rollback.
async fn nothing_is_superfluous(cloud: &Cloud, policy: &Value) {
    for (one, rest) in each_without_one(policy) {
        grant(cloud, &rest).await;
        let run = as_deployer(cloud, &["up", "--yes"]).await;
        if only_rolls_back(&one) {
            run.ok();
            as_administrator(cloud, &["down", "--yes"]).ok();
            continue;
        }
        assert_eq!(run.code, Some(1), "without {one:#}\n{}", run.stderr);
        assert!(run.stderr.contains(REFUSED) && run.stderr.contains("AccessDenied"), "without {one:#}\n{}", run.stderr);
        // Without the permission to delete, a run cannot roll back completely.
        as_administrator(cloud, &["down", "--yes"]).ok();
        same(&inventory(cloud).await, &Inventory::new());
    }
}

/// Without any one of the statements, `down` must fail or leave something behind. (The account has no role for logs here.)
async fn every_statement_is_needed_to_delete(cloud: &Cloud, policy: &Value) {
    for (one, rest) in each_without_one(policy).into_iter().filter(|(one, _)| !is_about_logs(one)) {
        grant(cloud, &rest).await;
        let before = cloud.calls().len();
        let run = as_deployer(cloud, &["down", "--yes"]).await;
        assert!(!refusals(cloud, before).is_empty(), "without {one:#}\n{}", run.stderr);
        let left = inventory(cloud).await;
        assert!(run.code != Some(0) || !left.is_empty(), "without {one:#}\n{}", run.stderr);
        as_administrator(cloud, &["up", "--yes"]).ok();
    }
}

/// Deploys, checks and deletes a stack with the permissions that `wschat policy` prints, and checks that none is superfluous.
async fn deploy_and_delete(cloud: &Cloud) {
    let making = policy(cloud, &[]);
    nothing_is_superfluous(cloud, &making).await;
    suffices(cloud, "up", &making).await;

    let keeping = policy(cloud, &[]);
    suffices(cloud, "up", &keeping).await;
    for (one, rest) in each_without_one(&keeping) {
        grant(cloud, &rest).await;
        let run = as_deployer(cloud, &["up", "--yes"]).await;
        assert_ne!(run.code, Some(0), "without {one:#}\n{}", run.stderr);
    }

    let removing = policy(cloud, &["--down"]);
    every_statement_is_needed_to_delete(cloud, &removing).await;
    // The new deployment has other ids.
    suffices(cloud, "down", &policy(cloud, &["--down"])).await;
    same(&inventory(cloud).await, &Inventory::new());
}

#[tokio::test]
async fn the_chat_stack_is_deployed_and_deleted_with_its_policy() {
    let cloud = cloud().await;
    template::chat_without_handlers(&cloud);
    deploy_and_delete(&cloud).await;
}

#[tokio::test]
async fn one_of_each_type_is_deployed_and_deleted_with_its_policy() {
    let cloud = cloud().await;
    template::echo(&cloud);
    deploy_and_delete(&cloud).await;
}

#[tokio::test]
async fn a_gateway_is_deployed_and_deleted_with_its_policy() {
    let cloud = cloud().await;
    template::gateway(&cloud);
    deploy_and_delete(&cloud).await;
}

/// HTTP APIs out of a document, of resources with an authorizer, and of quick create, beside a socket. (The local cloud does not check
/// what the handlers of a REST API call.)
#[tokio::test]
async fn http_apis_are_deployed_and_deleted_with_their_policy() {
    let cloud = cloud().await;
    let mut template = web(&cloud);
    for rest in ["Rooms", "RoomsFunction", "RoomsLogs"] {
        template.remove(rest);
    }
    template.0["Outputs"].as_object_mut().unwrap().shift_remove("Rooms");
    template.save(&cloud);
    deploy_and_delete(&cloud).await;
}

/// The template with HTTP APIs, and its code in the cloud's folder.
fn web(cloud: &Cloud) -> Template {
    let folder = cloud.folder().join("code");
    fs::create_dir(&folder).unwrap();
    fs::copy(repository().join("tests/fixtures/web/code/index.js"), folder.join("index.js")).unwrap();
    let mut template = Template::of("tests/fixtures/web/template.yaml");
    // Functions that are never invoked have no logs of their own.
    for function in ["Items", "Hooks", "Guard", "Rooms"] {
        let name = json!({ "Fn::Sub": format!("/aws/lambda/${{{function}Function}}") });
        let group = json!({ "Type": "AWS::Logs::LogGroup", "Properties": { "LogGroupName": name } });
        template.set(&format!("{function}Logs"), group);
    }
    template
}

#[tokio::test]
async fn every_change_of_http_apis_is_made_with_its_policy() {
    let cloud = cloud().await;
    let template = web(&cloud);
    template.save(&cloud);
    suffices(&cloud, "up", &policy(&cloud, &[])).await;
    let changes: [Change; 6] = [
        ("another document", |template| {
            template.set("ItemsFunction.Events.Get.Properties.Path", "/things/{id}".into())
        }),
        ("no CORS", |template| drop(template.remove("Items.CorsConfiguration"))),
        ("another route", |template| template.set("HookRoute.RouteKey", "PUT /hooks".into())),
        ("another authorizer", |template| template.set("Guard.Name", "other".into())),
        ("no authorizer", |template| {
            template.set("HookRoute.AuthorizationType", "NONE".into());
            template.remove("HookRoute.AuthorizerId");
            template.remove("Guard");
        }),
        ("tags", |template| template.set("Hooks.Tags", json!({ "team": "red" }))),
    ];
    for (what, change) in changes {
        let mut changed = template.clone();
        change(&mut changed);
        changed.save(&cloud);
        println!("{what}");
        suffices(&cloud, "up", &policy(&cloud, &[])).await;
        template.save(&cloud);
        suffices(&cloud, "up", &policy(&cloud, &[])).await;
    }
    suffices(&cloud, "down", &policy(&cloud, &["--down"])).await;
    same(&inventory(&cloud).await, &Inventory::new());
}

/// Looks up a parameter, a secret and an export, and exports something itself.
const LOOKS_UP: &str = "
Parameters:
  Days: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /days}
Resources:
  Log:
    Type: AWS::Logs::LogGroup
    Properties:
      RetentionInDays: !Ref Days
      Tags:
        - {Key: token, Value: '{{resolve:secretsmanager:token}}'}
        - {Key: imported, Value: !ImportValue imported}
Outputs:
  Log: {Value: !Ref Log, Export: {Name: log}}
";

#[tokio::test]
async fn a_stack_that_looks_values_up_and_exports_one_is_deployed_with_its_policy() {
    let cloud = cloud().await;
    let own = LOOKS_UP.find("Outputs").unwrap();
    let exporter = "
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: other, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}}
Outputs: {Api: {Value: !Ref Api, Export: {Name: imported}}}
";
    std::fs::write(cloud.folder().join("exporter.yaml"), exporter).unwrap();
    std::fs::write(cloud.folder().join("template.yaml"), LOOKS_UP).unwrap();
    cloud.json_call("ssm", "AmazonSSM.PutParameter", &json!({"Name": "/days", "Value": "7", "Type": "String"}));
    cloud.json_call(
        "secretsmanager",
        "secretsmanager.CreateSecret",
        &json!({"Name": "token", "SecretString": "hush-hush"}),
    );
    as_administrator(&cloud, &["up", "--yes", "--stack", "other", "--template", "exporter.yaml"]).ok();
    let making = policy(&cloud, &[]);
    suffices(&cloud, "up", &making).await;
    suffices(&cloud, "up", &policy(&cloud, &[])).await;
    // The export is taken back.
    std::fs::write(cloud.folder().join("template.yaml"), &LOOKS_UP[..own]).unwrap();
    suffices(&cloud, "up", &making).await;
    suffices(&cloud, "down", &policy(&cloud, &["--down"])).await;
    // Without the permission to read it, it is said what is missing.
    std::fs::write(cloud.folder().join("template.yaml"), LOOKS_UP).unwrap();
    for (one, rest) in each_without_one(&making) {
        let reads = ["ssm:GetParameters", "secretsmanager:GetSecretValue"];
        let Some(action) = reads.into_iter().find(|action| one.to_string().contains(action)) else { continue };
        grant(&cloud, &rest).await;
        let refused = as_deployer(&cloud, &["up", "--yes"]).await.exits(1).stderr;
        assert!(refused.contains(REFUSED) && refused.contains(action), "{refused}");
    }
}

/// The path of a property, and its change.
type Change = (&'static str, fn(&mut Template));

/// Changes to the echo template, each of which needs different calls.
const CHANGES: &[Change] = &[
    ("memory", |it| it.set("Echo.MemorySize", json!(512))),
    ("concurrency", |it| it.set("Echo.ReservedConcurrentExecutions", json!(3))),
    ("no concurrency", |it| drop(it.remove("Echo.ReservedConcurrentExecutions"))),
    ("a function's tags", |it| it.set("Echo.Tags", tags(&[("crew", "red")]))),
    ("a table's tags", |it| it.set("Rows.Tags", tags(&[("crew", "red")]))),
    ("protected", |it| it.set("Rows.DeletionProtectionEnabled", json!(true))),
    ("unprotected", |it| drop(it.remove("Rows.DeletionProtectionEnabled"))),
    ("no time to live", |it| drop(it.remove("Rows.TimeToLiveSpecification"))),
    ("no recovery", |it| drop(it.remove("Rows.PointInTimeRecoverySpecification"))),
    ("a role's description", |it| it.set("Role.Description", json!("another"))),
    ("a role's policy", |it| it.set("Role.Policies.0.PolicyName", json!("cells"))),
    ("a managed policy", |it| {
        it.set("Role.ManagedPolicyArns", json!(["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"]));
    }),
    ("a boundary", |it| it.set("Role.PermissionsBoundary", json!("arn:aws:iam::aws:policy/AdministratorAccess"))),
    ("no boundary", |it| drop(it.remove("Role.PermissionsBoundary"))),
    ("a role's tags", |it| it.set("Role.Tags", tags(&[("crew", "red")]))),
    ("an inline policy", |it| it.set("Logging.PolicyDocument.Statement.0.Action", json!("logs:PutLogEvents"))),
    ("retention", |it| it.set("EchoLogs.RetentionInDays", json!(30))),
    ("no retention", |it| drop(it.remove("EchoLogs.RetentionInDays"))),
    ("a log group's tags", |it| it.set("EchoLogs.Tags", tags(&[("crew", "red")]))),
    ("a permission", |it| {
        it.set(
            "EchoPermission.SourceArn",
            json!({"Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/live/*"}),
        );
    }),
    ("an API's description", |it| it.set("Api.Description", json!("another"))),
    ("an API's tags", |it| it.set("Api.Tags", json!({"crew": "red"}))),
    ("a stage's tags", |it| it.set("Stage.Tags", json!({"crew": "red"}))),
    ("a stage's variables", |it| it.set("Stage.StageVariables", json!({"colour": "red"}))),
    ("a route's settings", |it| it.set("Stage.RouteSettings", json!({"ping": {"ThrottlingBurstLimit": 2}}))),
    ("no route's settings", |it| drop(it.remove("Stage.RouteSettings"))),
    ("an integration", |it| it.set("PingIntegration.TimeoutInMillis", json!(6000))),
    ("a route's key", |it| it.set("PingRoute.RouteKey", json!("pong"))),
    ("another table", |it| it.rename("Rows", "Lines")),
];

#[tokio::test]
async fn every_change_is_made_with_its_policy() {
    let cloud = cloud().await;
    let mut template = template::echo(&cloud);
    as_administrator(&cloud, &["up", "--yes"]).ok();
    for (what, change) in CHANGES {
        change(&mut template);
        template.save(&cloud);
        println!("{what}");
        suffices(&cloud, "up", &policy(&cloud, &[])).await;
        as_administrator(&cloud, &["status"]).ok();
    }
    template::echo_code(&cloud, "good day");
    suffices(&cloud, "up", &policy(&cloud, &[])).await;
}

/// The same of the gateway's template.
const CHANGES_OF_GATEWAY: &[Change] = &[
    ("a model", |it| it.set("Question.Description", json!("another"))),
    ("parameters", |it| {
        it.set("ConnectRoute.RequestParameters", json!({"route.request.header.Origin": {"Required": true}}));
    }),
    ("templates", |it| it.set("AskAnswer.ResponseTemplates", json!({"$default": "{}"}))),
    ("a response", |it| it.set("BackendFine.IntegrationResponseKey", json!("/200/"))),
    ("an integration", |it| it.set("Backend.IntegrationUri", json!("https://other.example.com"))),
    ("a domain's certificate", |it| {
        let arn = json!("arn:aws:acm:us-east-1:123456789012:certificate/two");
        it.set("Domain.DomainNameConfigurations.0.CertificateArn", arn);
    }),
    ("a domain's tags", |it| it.set("Domain.Tags", json!({"crew": "red"}))),
    ("a mapping's path", |it| it.set("Chat.ApiMappingKey", json!("talk"))),
    ("a mapping less", |it| drop(it.remove("Root"))),
];

#[tokio::test]
async fn every_change_of_a_gateway_is_made_with_its_policy() {
    let cloud = cloud().await;
    let mut template = template::gateway(&cloud);
    as_administrator(&cloud, &["up", "--yes"]).ok();
    for (what, change) in CHANGES_OF_GATEWAY {
        change(&mut template);
        template.save(&cloud);
        println!("{what}");
        suffices(&cloud, "up", &policy(&cloud, &[])).await;
        as_administrator(&cloud, &["status"]).ok();
    }
}

/// Runs a verb with the permissions that `wschat policy --least` prints: it must succeed, and only calls that read the whole
/// account or other people's resources may be rejected.
async fn least_suffices(cloud: &Cloud, verb: &str, flags: &[&str]) {
    let policy = policy(cloud, &[&["--least"], flags].concat());
    assert!(!policy.to_string().contains("GetAccountAuthorizationDetails"), "{policy:#}");
    grant(cloud, &policy).await;
    let before = cloud.calls().len();
    as_deployer(cloud, &[verb, "--yes"]).await.ok();
    let mut refused = refusals(cloud, before);
    refused.retain(|call| call != "iam.GetAccountAuthorizationDetails" && call != "iam.GetRole");
    assert_eq!(refused, [""; 0], "{verb} under {policy:#}");
}

#[tokio::test]
async fn the_least_policy_deploys_updates_and_deletes_a_stack_and_nothing_else() {
    let cloud = cloud().await;
    // Neither belongs to the stack, although their names look like it.
    let iam = aws_sdk_iam::Client::new(&cloud.sdk().await);
    let trust = json!({"Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}});
    for name in ["worker", "app-Role-0a1b2c3d"] {
        let role = iam.create_role().role_name(name).assume_role_policy_document(trust.to_string());
        role.send().await.unwrap();
        let own = json!({"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}});
        iam.put_role_policy().role_name(name).policy_name("own").policy_document(own.to_string()).send().await.unwrap();
    }
    let before = inventory(&cloud).await;

    let mut template = template::echo(&cloud);
    least_suffices(&cloud, "up", &[]).await;
    let changes: [Change; 6] = [
        ("nothing", |_| {}),
        ("a role's policy", |it| it.set("Role.Policies.0.PolicyName", json!("cells"))),
        ("a managed policy of AWS's", |it| {
            let basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
            it.set("Role.ManagedPolicyArns", json!([{"Ref": "Reading"}, basic]));
        }),
        ("a name of the role's own", |it| it.set("Role.RoleName", json!("echo-worker"))),
        ("a path, and that name no more", |it| {
            it.remove("Role.RoleName");
            it.set("Role.Path", json!("/other/"));
        }),
        ("a managed policy less", |it| drop(it.remove("Scanning"))),
    ];
    for (what, change) in changes {
        change(&mut template);
        template.save(&cloud);
        println!("{what}");
        least_suffices(&cloud, "up", &[]).await;
        as_administrator(&cloud, &["status"]).ok();
    }
    // Found without a template, by its tags.
    template.set("Role.RoleName", json!("echo-worker"));
    template.save(&cloud);
    least_suffices(&cloud, "up", &[]).await;

    // The permissions to read roles are needed.
    let policy = policy(&cloud, &["--least"]);
    for action in ["ListRoles", "GetRole", "GetRolePolicy", "ListRolePolicies", "ListAttachedRolePolicies"] {
        grant(&cloud, &with_denial(&policy, &format!("iam:{action}"), "*")).await;
        let run = as_deployer(&cloud, &["up", "--yes"]).await.exits(1);
        let refused = format!("cannot read the stack's AWS::IAM::Role: iam.{action}: AccessDenied");
        assert!(run.stderr.contains(&refused), "without {action}\n{}", run.stderr);
    }

    least_suffices(&cloud, "down", &["--down"]).await;
    same(&inventory(&cloud).await, &before);
}

/// The policy with a statement that denies `action`, so that a run fails half-way.
fn with_denial(policy: &Value, action: &str, resource: &str) -> Value {
    let mut policy = policy.clone();
    let wall = json!({"Effect": "Deny", "Action": action, "Resource": resource});
    policy["Statement"].as_array_mut().unwrap().push(wall);
    policy
}

#[tokio::test]
async fn a_failed_run_is_rolled_back_with_the_same_policy() {
    let cloud = cloud().await;
    let mut template = template::echo(&cloud);
    let stages = "arn:aws:apigateway:*::/apis/*/stages";
    grant(&cloud, &with_denial(&policy(&cloud, &[]), "apigateway:POST", stages)).await;
    let run = as_deployer(&cloud, &["up", "--yes"]).await.exits(1);
    assert!(run.stderr.contains("with an explicit deny in an identity-based policy"), "{}", run.stderr);
    assert!(run.stderr.contains("error: the deployment failed and was rolled back"), "{}", run.stderr);
    same(&inventory(&cloud).await, &Inventory::new());

    as_administrator(&cloud, &["up", "--yes"]).ok();
    let before = inventory(&cloud).await;
    template.set("Echo.MemorySize", json!(512));
    template.set("Echo.Tags", tags(&[("crew", "red")]));
    template.set("Rows.Tags", tags(&[("crew", "red")]));
    template.set("Role.Policies.0.PolicyName", json!("cells"));
    template.set("EchoLogs.RetentionInDays", json!(30));
    template.set("Stage.StageVariables", json!({"colour": "red"}));
    template.save(&cloud);
    template::echo_code(&cloud, "good day");
    let stages = "arn:aws:apigateway:*::/apis/*/stages/*";
    grant(&cloud, &with_denial(&policy(&cloud, &[]), "apigateway:PATCH", stages)).await;
    let run = as_deployer(&cloud, &["up", "--yes"]).await.exits(1);
    assert!(run.stderr.contains("error: the update failed and was rolled back"), "{}", run.stderr);
    same(&inventory(&cloud).await, &before);
}

#[tokio::test]
async fn a_session_has_the_permissions_of_its_role() {
    let cloud = cloud().await;
    let credentials = session(&cloud).await;
    let credentials = aws_credential_types::Credentials::new(
        credentials.access_key_id(),
        credentials.secret_access_key(),
        Some(credentials.session_token().to_owned()),
        None,
        "tests",
    );
    let config = cloud.sdk().await.to_builder();
    let provider = aws_credential_types::provider::SharedCredentialsProvider::new(credentials);
    let dynamodb = aws_sdk_dynamodb::Client::new(&config.credentials_provider(provider).build());
    let item =
        || dynamodb.get_item().table_name("rows").key("id", aws_sdk_dynamodb::types::AttributeValue::S("1".into()));

    let refusal = item().send().await.unwrap_err().into_service_error();
    let refusal = refusal.meta();
    assert_eq!(refusal.code(), Some("AccessDeniedException"));
    let table = format!("arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/rows");
    assert_eq!(
        refusal.message().unwrap(),
        format!(
            "User: arn:aws:sts::{ACCOUNT}:assumed-role/{DEPLOYER}/me {REFUSED}dynamodb:GetItem on resource: {table} because \
             no identity-based policy allows the dynamodb:GetItem action"
        )
    );

    grant(&cloud, &json!({"Statement": {"Effect": "Allow", "Action": "dynamodb:Get*", "Resource": table}})).await;
    let answer = item().send().await.unwrap_err().into_service_error();
    assert!(answer.is_resource_not_found_exception(), "it does not reach the service: {answer:?}");
}

#[tokio::test]
async fn handlers_have_the_permissions_of_their_roles() {
    let cloud = Cloud::start().conditions(STRICT).go();
    let template = repository().join("templates/chat.yaml");
    let up = ["up", "--local", "--yes", "--template", template.to_str().unwrap()];
    let uri = cloud.wschat(&up).ok().uri();
    let (mut alice, mut bob) = (Client::connect(&uri).await, Client::connect(&uri).await);
    alice.say(r#"{"action":"sendmessage","message":"hello"}"#).await;
    assert_eq!(bob.hear().await, "hello");
    alice.say("hello?").await;
    assert!(alice.hear().await.starts_with("Use the sendmessage route"));

    // Without its policy, the handler of $connect cannot store the connection, so the connection is rejected.
    let iam = aws_sdk_iam::Client::new(&cloud.sdk().await);
    let roles = iam.list_roles().send().await.unwrap().roles;
    let role = roles.iter().find(|role| role.role_name.starts_with("app-ConnectRole-")).unwrap();
    iam.delete_role_policy().role_name(&role.role_name).policy_name("connect").send().await.unwrap();
    assert!(Client::try_connect(&uri).await.is_err());
}

/// With the queue's rights in the worker's role, which Lambda looks at before it takes the mapping.
#[tokio::test]
async fn event_source_mappings_are_deployed_with_their_policy() {
    let cloud = cloud().await;
    let template = Template::of("tests/fixtures/queue/template.yaml");
    fs::create_dir(cloud.folder().join("code")).unwrap();
    for file in ["aws.mjs", "receive.mjs", "answer.mjs"] {
        fs::copy(repository().join("tests/fixtures/queue/code").join(file), cloud.folder().join("code").join(file))
            .unwrap();
    }
    template.save(&cloud);
    suffices(&cloud, "up", &policy(&cloud, &[])).await;
    suffices(&cloud, "up", &policy(&cloud, &[])).await;
    let mut changed = template.clone();
    changed.set("WorkMapping.BatchSize", 7.into());
    changed.save(&cloud);
    suffices(&cloud, "up", &policy(&cloud, &[])).await;
    suffices(&cloud, "down", &policy(&cloud, &["--down"])).await;
    same(&inventory(&cloud).await, &Inventory::new());
}

/// The UUID of the new one is not known before.
#[tokio::test]
async fn a_mapping_is_replaced_with_its_policy() {
    let cloud = cloud().await;
    fs::create_dir(cloud.folder().join("code")).unwrap();
    fs::copy(repository().join("tests/fixtures/events/code/app.py"), cloud.folder().join("code/app.py")).unwrap();
    let mut template = Template::of("tests/fixtures/events/template.yaml");
    template.save(&cloud);
    suffices(&cloud, "up", &policy(&cloud, &[])).await;
    template.set("Broadcasting.StartingPosition", "LATEST".into());
    template.save(&cloud);
    suffices(&cloud, "up", &policy(&cloud, &[])).await;
    suffices(&cloud, "down", &policy(&cloud, &["--down"])).await;
    same(&inventory(&cloud).await, &Inventory::new());
}

/// The local cloud checks Cloud Control's own permissions; those of the handlers behind it are held against the table in
/// `core::types::cloud_control`.
#[tokio::test]
async fn types_of_other_services_are_deployed_with_their_policy() {
    let cloud = cloud().await;
    template::script(&cloud.folder().join("echo"), "#!/bin/sh\nexit 1\n");
    Template::of("tests/fixtures/services/template.yaml").save(&cloud);
    let making = policy(&cloud, &[]);
    assert!(making.to_string().contains("sqs:CreateQueue"), "{making:#}");
    suffices(&cloud, "up", &making).await;
    suffices(&cloud, "up", &policy(&cloud, &[])).await;
    suffices(&cloud, "down", &policy(&cloud, &["--down"])).await;
    same(&inventory(&cloud).await, &Inventory::new());
}

/// Functions write their answers with addresses that the caller has signed, so with the caller's permissions.
#[tokio::test]
async fn custom_resources_are_deployed_with_their_policy() {
    let cloud = cloud().await;
    let mut template = Template::of("tests/fixtures/custom/template.yaml");
    for function in ["RoomMaker", "DoorMaker"] {
        let name = json!({"Fn::Sub": format!("/aws/lambda/${{{function}}}")});
        template.set(
            &format!("{function}Logs"),
            json!({"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name}}),
        );
    }
    template.save(&cloud);
    let making = policy(&cloud, &[]);
    let function = "lambda:InvokeFunction";
    assert!(making.to_string().contains(function), "{making:#}");
    suffices(&cloud, "up", &making).await;
    let keeping = policy(&cloud, &[]);
    assert!(!keeping.to_string().contains(function), "{keeping:#}");
    suffices(&cloud, "up", &keeping).await;
    template.set("Rooms.Names", json!(["cellar"]));
    template.save(&cloud);
    let changing = policy(&cloud, &[]);
    suffices(&cloud, "up", &changing).await;
    suffices(&cloud, "down", &policy(&cloud, &["--down"])).await;
    same(&inventory(&cloud).await, &Inventory::new());
}

/// A cloud that enforces IAM, with a stack that CloudFormation has made of SAM's echo.
async fn formed() -> Cloud {
    let cloud = cloud().await;
    made_sam_echo(&cloud, STACK).await;
    make_log_groups(&cloud).await;
    cloud
}

/// Makes the log group of each function, as its first invocation does: a group that is not there is not read.
async fn make_log_groups(cloud: &Cloud) {
    let sdk = cloud.sdk().await;
    let (lambda, logs) = (aws_sdk_lambda::Client::new(&sdk), aws_sdk_cloudwatchlogs::Client::new(&sdk));
    for function in lambda.list_functions().send().await.unwrap().functions() {
        let group = format!("/aws/lambda/{}", function.function_name().unwrap());
        // The template may have it already.
        let _ = logs.create_log_group().log_group_name(group).send().await;
    }
}

const TOKEN: &[&str] = &["--parameter", "Token=secret"];

/// How many statements of a policy are left out, one at a time: each takes a cloud.
const LEFT_OUT: usize = 5;

/// A verb succeeds with the policy that is printed for it, without a refused call; without a statement of it, some call is refused.
async fn is_exact(start: impl AsyncFn() -> Cloud, flags: &[&str], verb: &[&str]) {
    let cloud = start().await;
    let whole = policy(&cloud, flags);
    grant(&cloud, &whole).await;
    let before = cloud.calls().len();
    let run = as_deployer(&cloud, verb).await;
    assert_eq!(refusals(&cloud, before), [""; 0], "{verb:?} under {whole:#}\n{}", run.stderr);
    run.ok();
    let count = whole["Statement"].as_array().unwrap().len();
    for index in sample::some(&format!("statements of {verb:?}"), (0..count).collect(), LEFT_OUT) {
        let cloud = start().await;
        // Ids and names are other ones.
        let (one, rest) = each_without_one(&policy(&cloud, flags)).swap_remove(index);
        grant(&cloud, &rest).await;
        let before = cloud.calls().len();
        let run = as_deployer(&cloud, verb).await;
        assert!(!refusals(&cloud, before).is_empty(), "{verb:?} without {one:#}\n{}", run.stderr);
    }
}

#[tokio::test]
async fn a_stack_is_taken_over_with_its_policy() {
    let flags = [&["--adopt"], TOKEN].concat();
    is_exact(formed, &flags, &[&["adopt", STACK, "--yes"], TOKEN].concat()).await;
}

/// A cloud that enforces IAM, with a stack of wschat's that has what a handover deals with.
async fn deployed() -> Cloud {
    let cloud = cloud().await;
    Template::of("tests/fixtures/eject/template.yaml").save(&cloud);
    as_administrator(&cloud, &["up", "--yes"]).ok();
    make_log_groups(&cloud).await;
    cloud
}

#[tokio::test]
async fn a_stack_is_handed_over_with_its_policy() {
    is_exact(deployed, &["--eject"], &["eject", "--yes"]).await;
}
