//! A change of a template changes exactly the same in AWS.
//!
//! Every change is made to a deployed stack. It must take exactly the listed calls; a second `up` must find nothing to do;
//! the result must equal a first deployment of the changed template; and after the reverse change, the stack must be as
//! before.

use crate::common::client::Client;
use crate::common::inventory::{Inventory, same};
use crate::common::template::{self, Template, tags};
use crate::common::{Cloud, Run};
use serde_json::json;

/// A change to a template and the mutating calls that it takes.
type Change = (&'static str, fn(&mut Template), &'static [&'static str]);

/// Changes of the echo template.
async fn check(changes: &[Change]) {
    check_of(template::echo, changes).await;
}

/// Changes of the template that `put` writes into a cloud's folder.
async fn check_of(put: fn(&Cloud) -> Template, changes: &[Change]) {
    let cloud = Cloud::start().go();
    put(&cloud);
    cloud.up();
    let original = cloud.inventory().await;
    for (what, change, calls) in changes {
        println!("{what}");
        let mut template = put(&cloud);
        change(&mut template);
        template.save(&cloud);
        let run = cloud.up();
        let mut expected = calls.to_vec();
        expected.sort_unstable();
        assert_eq!(sorted(run.mutations()), expected, "{what}\n{}", run.stderr);
        assert_up_to_date(&cloud);
        let changed = cloud.inventory().await;
        assert_ne!(changed, original, "{what}: nothing has changed");
        same(&changed, &first_deployment(put, &template).await);

        put(&cloud);
        cloud.up();
        assert_up_to_date(&cloud);
        same(&cloud.inventory().await, &original);
    }
}

/// The result of a first deployment of the template.
async fn first_deployment(put: fn(&Cloud) -> Template, template: &Template) -> Inventory {
    let cloud = Cloud::start().go();
    put(&cloud);
    template.save(&cloud);
    cloud.up();
    cloud.inventory().await
}

/// `up`, `status` and `plan` must find nothing to do.
fn assert_up_to_date(cloud: &Cloud) {
    cloud.up().changes_nothing();
    cloud.status().ok();
    cloud.wschat(&["plan", "--local"]).ok();
}

fn sorted(mut calls: Vec<String>) -> Vec<String> {
    calls.sort();
    calls
}

/// A change of routes or integrations must also update the stage and then delete the old deployment, once each.
fn assert_one_deployment(run: &Run) {
    let moves = ["apigatewayv2.CreateDeployment", "apigatewayv2.UpdateStage", "apigatewayv2.DeleteDeployment"];
    let made: Vec<String> = run.mutations().into_iter().filter(|call| moves.contains(&call.as_str())).collect();
    assert_eq!(made, moves, "{}", run.stderr);
}

/// A changed configuration that the alias serves: a new version is published and the old one is deleted.
const CONFIGURED: &[&str] =
    &["lambda.DeleteFunction", "lambda.PublishVersion", "lambda.UpdateAlias", "lambda.UpdateFunctionConfiguration"];

#[tokio::test]
async fn a_function() {
    check(&[
        ("memory", |it| it.set("Echo.MemorySize", json!(512)), CONFIGURED),
        (
            "a variable changed, one added",
            |it| it.set("Echo.Environment.Variables", json!({"MARK": "?", "TABLE": {"Ref": "Rows"}, "NEW": "1"})),
            CONFIGURED,
        ),
        ("a variable removed", |it| drop(it.remove("Echo.Environment.Variables.MARK")), CONFIGURED),
        (
            "every optional property removed",
            |it| {
                let optional =
                    ["Architectures", "Description", "MemorySize", "Timeout", "Environment", "EphemeralStorage"];
                for property in optional.iter().chain(&["TracingConfig", "LoggingConfig"]) {
                    it.remove(&format!("Echo.{property}"));
                }
            },
            CONFIGURED,
        ),
        (
            "concurrency changed",
            |it| it.set("Echo.ReservedConcurrentExecutions", json!(3)),
            &["lambda.PutFunctionConcurrency"],
        ),
        (
            "concurrency removed",
            |it| drop(it.remove("Echo.ReservedConcurrentExecutions")),
            &["lambda.DeleteFunctionConcurrency"],
        ),
        (
            "one tag changed, one removed",
            |it| it.set("Echo.Tags", tags(&[("crew", "red")])),
            &["lambda.TagResource", "lambda.UntagResource"],
        ),
        ("tags removed", |it| drop(it.remove("Echo.Tags")), &["lambda.UntagResource"]),
    ])
    .await;
}

#[tokio::test]
async fn a_table() {
    check(&[
        (
            "recovery removed",
            |it| drop(it.remove("Rows.PointInTimeRecoverySpecification")),
            &["dynamodb.UpdateContinuousBackups"],
        ),
        ("encryption removed", |it| drop(it.remove("Rows.SSESpecification")), &["dynamodb.UpdateTable"]),
        (
            "a key of one's own",
            |it| it.set("Rows.SSESpecification.KMSMasterKeyId", json!("11111111-2222-3333-4444-555555555555")),
            &["dynamodb.TagResource", "dynamodb.UpdateTable"],
        ),
        (
            "a key by its alias, whose ARN DynamoDB reports",
            |it| it.set("Rows.SSESpecification.KMSMasterKeyId", json!("alias/chat")),
            &["dynamodb.TagResource", "dynamodb.UpdateTable"],
        ),
        ("protected", |it| it.set("Rows.DeletionProtectionEnabled", json!(true)), &["dynamodb.UpdateTable"]),
        (
            "provisioned",
            |it| {
                it.set("Rows.BillingMode", json!("PROVISIONED"));
                it.set("Rows.ProvisionedThroughput", json!({"ReadCapacityUnits": 2, "WriteCapacityUnits": 1}));
            },
            &["dynamodb.UpdateTable"],
        ),
        ("a tag changed", |it| it.set("Rows.Tags", tags(&[("team", "red")])), &["dynamodb.TagResource"]),
        ("tags removed", |it| drop(it.remove("Rows.Tags")), &["dynamodb.UntagResource"]),
    ])
    .await;
}

#[tokio::test]
async fn roles_and_policies() {
    check(&[
        (
            "what is optional removed",
            |it| {
                it.remove("Role.Description");
                it.remove("Role.MaxSessionDuration");
            },
            &["iam.UpdateRole"],
        ),
        (
            "a policy narrowed",
            |it| it.set("Role.Policies.0.PolicyDocument.Statement.0.Action", json!("dynamodb:GetItem")),
            &["iam.PutRolePolicy"],
        ),
        ("a policy removed", |it| drop(it.remove("Role.Policies")), &["iam.DeleteRolePolicy"]),
        (
            "a policy renamed",
            |it| it.set("Role.Policies.0.PolicyName", json!("cells")),
            &["iam.DeleteRolePolicy", "iam.PutRolePolicy"],
        ),
        (
            "trust widened",
            |it| {
                let trusted = json!({"Service": ["lambda.amazonaws.com", "edgelambda.amazonaws.com"]});
                it.set("Role.AssumeRolePolicyDocument.Statement.0.Principal", trusted);
            },
            &["iam.UpdateAssumeRolePolicy"],
        ),
        ("role tags removed", |it| drop(it.remove("Role.Tags")), &["iam.UntagRole"]),
        (
            "a policy of its own narrowed",
            |it| it.set("Logging.PolicyDocument.Statement.0.Action", json!("logs:PutLogEvents")),
            &["iam.PutRolePolicy"],
        ),
        ("a policy of its own removed", |it| drop(it.remove("Logging")), &["iam.DeleteRolePolicy"]),
        (
            "a permission narrowed",
            |it| {
                let stage = json!({"Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/live/*"});
                it.set("EchoPermission.SourceArn", stage);
            },
            &["lambda.AddPermission", "lambda.RemovePermission"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn logs_apis_and_stages() {
    check(&[
        ("retention changed", |it| it.set("EchoLogs.RetentionInDays", json!(30)), &["logs.PutRetentionPolicy"]),
        ("retention removed", |it| drop(it.remove("EchoLogs.RetentionInDays")), &["logs.DeleteRetentionPolicy"]),
        ("group tags removed", |it| drop(it.remove("EchoLogs.Tags")), &["logs.UntagResource"]),
        ("an API's description removed", |it| drop(it.remove("Api.Description")), &["apigatewayv2.UpdateApi"]),
        ("an API's tags changed", |it| it.set("Api.Tags", json!({"team": "red"})), &["apigatewayv2.TagResource"]),
        ("an API's tags removed", |it| drop(it.remove("Api.Tags")), &["apigatewayv2.UntagResource"]),
        (
            "stage variables: one changed, one removed, one added",
            |it| it.set("Stage.StageVariables", json!({"colour": "red", "shape": "round"})),
            &["apigatewayv2.UpdateStage"],
        ),
        ("stage variables removed", |it| drop(it.remove("Stage.StageVariables")), &["apigatewayv2.UpdateStage"]),
        (
            "throttles changed",
            |it| it.set("Stage.DefaultRouteSettings.ThrottlingBurstLimit", json!(60)),
            &["apigatewayv2.UpdateStage"],
        ),
        (
            "settings of one route",
            |it| it.set("Stage.RouteSettings", json!({"ping": {"ThrottlingBurstLimit": 2, "ThrottlingRateLimit": 1}})),
            &["apigatewayv2.UpdateStage"],
        ),
        (
            "a stage's description changed",
            |it| it.set("Stage.Description", json!("elsewhere")),
            &["apigatewayv2.UpdateStage"],
        ),
        ("a stage's tags removed", |it| drop(it.remove("Stage.Tags")), &["apigatewayv2.UntagResource"]),
    ])
    .await;
}

#[tokio::test]
async fn routes_and_integrations() {
    check(&[
        (
            "another operation name",
            |it| it.set("PingRoute.OperationName", json!("Pong")),
            &[
                "apigatewayv2.CreateDeployment",
                "apigatewayv2.DeleteDeployment",
                "apigatewayv2.UpdateRoute",
                "apigatewayv2.UpdateStage",
            ],
        ),
        (
            "the operation name removed",
            |it| drop(it.remove("PingRoute.OperationName")),
            &[
                "apigatewayv2.CreateDeployment",
                "apigatewayv2.DeleteDeployment",
                "apigatewayv2.UpdateRoute",
                "apigatewayv2.UpdateStage",
            ],
        ),
        (
            "another key",
            |it| it.set("PingRoute.RouteKey", json!("pong")),
            &[
                "apigatewayv2.CreateDeployment",
                "apigatewayv2.CreateRoute",
                "apigatewayv2.CreateRouteResponse",
                "apigatewayv2.DeleteDeployment",
                "apigatewayv2.DeleteRoute",
                "apigatewayv2.UpdateStage",
            ],
        ),
        (
            "another integration",
            |it| it.set("PingIntegration.TimeoutInMillis", json!(6000)),
            &[
                "apigatewayv2.CreateDeployment",
                "apigatewayv2.CreateIntegration",
                "apigatewayv2.DeleteDeployment",
                "apigatewayv2.DeleteIntegration",
                "apigatewayv2.UpdateRoute",
                "apigatewayv2.UpdateStage",
            ],
        ),
        (
            "a route removed",
            |it| {
                for gone in ["PingIntegration", "PingRoute", "PingResponse"] {
                    it.remove(gone);
                }
                it.set_depends_on("Deployment", &["DefaultRoute", "DefaultResponse"]);
            },
            &[
                "apigatewayv2.CreateDeployment",
                "apigatewayv2.DeleteDeployment",
                "apigatewayv2.DeleteIntegration",
                "apigatewayv2.DeleteRoute",
                "apigatewayv2.UpdateStage",
            ],
        ),
        (
            "a route added",
            |it| {
                let mut route = it.get("PingRoute").clone();
                route["Properties"]["RouteKey"] = json!("sing");
                it.set("SingRoute", route);
                it.set_depends_on("Deployment", &["SingRoute", "PingRoute", "PingResponse", "DefaultResponse"]);
            },
            &[
                "apigatewayv2.CreateDeployment",
                "apigatewayv2.CreateRoute",
                "apigatewayv2.DeleteDeployment",
                "apigatewayv2.UpdateStage",
            ],
        ),
        (
            "another way to choose a route",
            |it| it.set("Api.RouteSelectionExpression", json!("$request.body.kind")),
            &[
                "apigatewayv2.CreateDeployment",
                "apigatewayv2.DeleteDeployment",
                "apigatewayv2.UpdateApi",
                "apigatewayv2.UpdateStage",
            ],
        ),
    ])
    .await;
}

/// What every change of what a deployment freezes takes beside its own calls.
macro_rules! deployed {
    ($($call:literal),*) => {
        &[$($call,)* "apigatewayv2.CreateDeployment", "apigatewayv2.DeleteDeployment", "apigatewayv2.UpdateStage"]
    };
}

#[tokio::test]
async fn models_responses_and_parameters() {
    check_of(
        template::gateway,
        &[
            (
                "a model's schema",
                |it| it.set("Question.Schema.properties.question.maxLength", json!(100)),
                deployed!["apigatewayv2.UpdateModel"],
            ),
            (
                "a schema as text",
                |it| {
                    it.set("Question.Schema", json!("{\"type\": \"object\", \"required\": [\"question\"]}"));
                },
                deployed!["apigatewayv2.UpdateModel"],
            ),
            (
                "a model's description removed",
                |it| drop(it.remove("Question.Description")),
                deployed!["apigatewayv2.UpdateModel"],
            ),
            (
                "a model's name",
                |it| {
                    it.set("Question.Name", json!("Asked"));
                    it.set("AskRoute.RequestModels", json!({"ask": "Asked"}));
                    it.set("AskResponse.ResponseModels", json!({"$default": "Asked"}));
                },
                deployed![
                    "apigatewayv2.CreateModel",
                    "apigatewayv2.DeleteModel",
                    "apigatewayv2.UpdateRoute",
                    "apigatewayv2.UpdateRouteResponse"
                ],
            ),
            (
                "no models",
                |it| {
                    it.remove("Question");
                    it.remove("AskRoute.RequestModels");
                    it.remove("AskRoute.ModelSelectionExpression");
                    it.remove("AskResponse.ResponseModels");
                },
                deployed!["apigatewayv2.DeleteModel", "apigatewayv2.UpdateRoute", "apigatewayv2.UpdateRouteResponse"],
            ),
            (
                "a parameter required, one removed",
                |it| {
                    it.set("ConnectRoute.RequestParameters", json!({"route.request.header.Origin": {"Required": true}}))
                },
                deployed!["apigatewayv2.DeleteRouteRequestParameter", "apigatewayv2.UpdateRoute"],
            ),
            (
                "templates: one changed, one removed",
                |it| it.set("AskAnswer.ResponseTemplates", json!({"$default": "{}"})),
                deployed!["apigatewayv2.UpdateIntegrationResponse"],
            ),
            (
                "no selection of a template",
                |it| drop(it.remove("AskAnswer.TemplateSelectionExpression")),
                deployed!["apigatewayv2.UpdateIntegrationResponse"],
            ),
            (
                "another key of a response",
                |it| it.set("BackendFine.IntegrationResponseKey", json!("/200/")),
                deployed!["apigatewayv2.CreateIntegrationResponse", "apigatewayv2.DeleteIntegrationResponse"],
            ),
            (
                "no content handling",
                |it| drop(it.remove("BackendFailed.ContentHandlingStrategy")),
                deployed!["apigatewayv2.CreateIntegrationResponse", "apigatewayv2.DeleteIntegrationResponse"],
            ),
            (
                "a response removed",
                |it| drop(it.remove("AskAnswer")),
                deployed!["apigatewayv2.DeleteIntegrationResponse"],
            ),
            (
                "another backend",
                |it| it.set("Backend.IntegrationUri", json!("https://other.example.com/frames")),
                deployed![
                    "apigatewayv2.CreateIntegration",
                    "apigatewayv2.CreateIntegrationResponse",
                    "apigatewayv2.CreateIntegrationResponse",
                    "apigatewayv2.DeleteIntegration",
                    "apigatewayv2.UpdateRoute"
                ],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn domain_names() {
    check_of(
        template::gateway,
        &[
            ("a domain's tags", |it| drop(it.remove("Domain.Tags")), &["apigatewayv2.UntagResource"]),
            (
                "another certificate",
                |it| {
                    let arn = json!("arn:aws:acm:us-east-1:123456789012:certificate/two");
                    it.set("Domain.DomainNameConfigurations.0.CertificateArn", arn);
                },
                &["apigatewayv2.UpdateDomainName"],
            ),
            ("a mapping removed", |it| drop(it.remove("Chat")), &["apigatewayv2.DeleteApiMapping"]),
            (
                "another path",
                |it| it.set("Chat.ApiMappingKey", json!("talk")),
                &["apigatewayv2.CreateApiMapping", "apigatewayv2.DeleteApiMapping", "apigatewayv2.TagResource"],
            ),
        ],
    )
    .await;
    // Two mappings that are deleted at once may both find that none is left, and take the domain's tag away twice.
    check_of(
        with_one_mapping,
        &[(
            "no domain",
            |it| {
                for gone in ["Domain", "Root"] {
                    it.remove(gone);
                }
                it.0["Outputs"].as_object_mut().unwrap().remove("Address");
            },
            &["apigatewayv2.DeleteApiMapping", "apigatewayv2.DeleteDomainName", "apigatewayv2.UntagResource"],
        )],
    )
    .await;
}

fn with_one_mapping(cloud: &Cloud) -> Template {
    let mut template = template::gateway(cloud);
    template.remove("Chat");
    template.save(cloud);
    template
}

#[tokio::test]
async fn a_changed_route_serves_and_the_old_one_does_not() {
    let cloud = Cloud::start().go();
    let mut template = template::echo(&cloud);
    let uri = cloud.up().uri();
    let mut client = Client::connect(&uri).await;
    client.say(r#"{"action":"ping"}"#).await;
    assert_eq!(client.hear().await, "hello! from ping");

    template.set("PingRoute.RouteKey", json!("pong"));
    template.save(&cloud);
    let run = cloud.up();
    assert_one_deployment(&run);
    assert_eq!(run.uri(), uri);
    // The open connection stays, and its next message uses the new routes.
    client.say(r#"{"action":"pong"}"#).await;
    assert_eq!(client.hear().await, "hello! from pong");
    client.say(r#"{"action":"ping"}"#).await;
    assert_eq!(client.hear().await, "hello! from $default");
}

#[tokio::test]
async fn changed_code_is_one_update_of_that_code() {
    let cloud = Cloud::start().go();
    template::echo(&cloud);
    let uri = cloud.up().uri();
    let mut client = Client::connect(&uri).await;
    client.say("?").await;
    assert_eq!(client.hear().await, "hello! from $default");

    template::echo_code(&cloud, "goodbye");
    let published =
        ["lambda.UpdateFunctionCode", "lambda.PublishVersion", "lambda.UpdateAlias", "lambda.DeleteFunction"];
    assert_eq!(cloud.up().mutations(), published);
    client.say("?").await;
    assert_eq!(client.hear().await, "goodbye! from $default");
    assert_up_to_date(&cloud);

    // Written again with the same content.
    template::echo_code(&cloud, "goodbye");
    cloud.up().changes_nothing();
}

#[tokio::test]
async fn a_plan_is_shown_completely_and_carried_out_exactly() {
    let cloud = Cloud::start().go();
    let mut template = template::echo(&cloud);
    let plan = |arguments: &[&str]| {
        let run = cloud.wschat(&[arguments, &["--local"]].concat());
        run.changes_nothing();
        run
    };
    for verb in [&["plan"][..], &["up", "--dry-run"]] {
        let run = plan(verb).exits(2);
        assert!(run.stdout.contains("Plan: 20 to create."), "{}", run.stdout);
        assert!(run.stdout.contains("permissions widen: may be assumed by lambda.amazonaws.com"), "{}", run.stdout);
    }
    cloud.up();
    let run = plan(&["plan"]).ok();
    assert!(run.stdout.contains("No changes. 20 resources are up to date."), "{}", run.stdout);

    template.set("Echo.MemorySize", json!(512));
    template.save(&cloud);
    let run = plan(&["plan"]).exits(2);
    assert!(run.stdout.contains("MemorySize: 256 -> 512"), "{}", run.stdout);
    assert!(run.stdout.contains("Plan: 1 to create, 2 to update, 1 to delete, 17 unchanged."), "{}", run.stdout);
    let json = plan(&["plan", "--json"]).exits(2).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let digest = json["digest"].as_str().unwrap();
    assert!(run.stdout.contains(digest), "{}", run.stdout);
    let step = json["steps"].as_array().unwrap().iter().find(|step| step["action"] == "update").unwrap();
    assert_eq!(step["changes"][0]["new"], "512");
    assert_eq!(step["reason"], "it differs from the template");

    // A change in between makes the plan out of date.
    template.set("Echo.MemorySize", json!(1024));
    template.save(&cloud);
    let stopped = cloud.wschat(&["up", "--local", "--yes", "--plan", digest]).exits(1);
    stopped.changes_nothing();
    assert!(stopped.stderr.contains(&format!("plan {digest} is out of date")), "{}", stopped.stderr);
    template.set("Echo.MemorySize", json!(512));
    template.save(&cloud);
    let run = cloud.wschat(&["up", "--local", "--yes", "--plan", digest]).ok();
    assert_eq!(sorted(run.mutations()), CONFIGURED);
}

#[tokio::test]
async fn a_plan_keeps_secrets() {
    let cloud = Cloud::start().go();
    let mut template = template::echo(&cloud);
    template.0["Parameters"] = json!({"Secret": {"Type": "String", "NoEcho": true}});
    template.set("Echo.Environment.Variables.MARK", json!({"Fn::Sub": "key=${Secret}"}));
    template.save(&cloud);
    let tells = |verb: &[&str], secret: &str, code: i32| {
        let parameter = format!("Secret={secret}");
        let run = cloud.wschat(&[verb, &["--local", "--parameter", &parameter]].concat()).exits(code);
        assert!(!run.stdout.contains("tops3cret") && !run.stderr.contains("tops3cret"), "{}{}", run.stdout, run.stderr);
        run.stdout
    };
    assert!(tells(&["plan"], "tops3cret-1", 2).contains("****"));
    tells(&["up", "--yes"], "tops3cret-1", 0);
    for verb in [&["plan"][..], &["plan", "--json"]] {
        let told = tells(verb, "tops3cret-2", 2);
        assert!(told.contains("Environment.Variables.MARK") && told.contains("****"), "{told}");
    }
    tells(&["up", "--yes", "--json"], "tops3cret-2", 0);
}

#[tokio::test]
async fn a_key_schema_is_changed_only_with_permission_to_lose_the_data() {
    let cloud = Cloud::start().go();
    let mut template = template::echo(&cloud);
    cloud.up();
    let before = cloud.inventory().await;
    template.set("Rows.KeySchema", json!([{"AttributeName": "key", "KeyType": "HASH"}]));
    template.set("Rows.AttributeDefinitions", json!([{"AttributeName": "key", "AttributeType": "S"}]));
    template.save(&cloud);

    let refused = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    refused.changes_nothing();
    let table = before.keys().find_map(|name| name.strip_prefix("table ")).unwrap();
    let expected = format!(
        "error: Rows would have to be replaced (KeySchema cannot be changed in place), and \"{table}\" with all its data would be lost\n  to replace it anyway: --allow-data-loss Rows\n"
    );
    assert!(refused.stderr.ends_with(&expected), "{}", refused.stderr);
    assert_eq!(cloud.inventory().await, before);

    // Permission for another table is not enough.
    cloud.wschat(&["up", "--local", "--yes", "--allow-data-loss", "Role"]).exits(1).changes_nothing();
    let run = cloud.wschat(&["up", "--local", "--yes", "--allow-data-loss", "Row"]).exits(1);
    let unknown = "note: --allow-data-loss: the template has no resource \"Row\"; did you mean Rows?\n";
    assert!(run.stderr.contains(unknown), "{}", run.stderr);
    let run = cloud.wschat(&["up", "--local", "--yes", "--allow-data-loss", "Rows"]).ok();
    let calls = run.mutations();
    let position = |call: &str| calls.iter().position(|made| made == call).unwrap();
    assert!(position("dynamodb.CreateTable") < position("dynamodb.DeleteTable"), "{calls:?}");
    assert_up_to_date(&cloud);
    same(&cloud.inventory().await, &first_deployment(template::echo, &template).await);
}

#[tokio::test]
async fn a_renamed_logical_id_is_another_resource() {
    let cloud = Cloud::start().go();
    let mut template = template::echo(&cloud);
    cloud.up();
    template.rename("EchoLogs", "Journal");
    template.rename("DefaultIntegration", "Integration");
    template.rename("DefaultRoute\"", "Route\"");
    template.rename("EchoPermission", "Permission");
    template.save(&cloud);
    cloud.up();
    assert_up_to_date(&cloud);
    same(&cloud.inventory().await, &first_deployment(template::echo, &template).await);
}

#[tokio::test]
async fn expiry_changes_as_often_as_dynamodb_allows() {
    let cloud = Cloud::start().go();
    let mut template = template::echo(&cloud);
    let expiry = template.remove("Rows.TimeToLiveSpecification");
    template.save(&cloud);
    cloud.up();
    template.set("Rows.TimeToLiveSpecification", expiry);
    template.save(&cloud);
    assert_eq!(cloud.up().mutations(), ["dynamodb.UpdateTimeToLive"]);
    assert_up_to_date(&cloud);
    same(&cloud.inventory().await, &first_deployment(template::echo, &template).await);

    // That is once an hour. Another attribute takes two changes: off for the old one, on for the new.
    template.set("Rows.TimeToLiveSpecification.AttributeName", json!("until"));
    template.save(&cloud);
    let refused = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    assert!(refused.stderr.contains("Time to live has been modified multiple times"), "{}", refused.stderr);
    let status = cloud.status().exits(2);
    assert!(status.stdout.contains("TimeToLiveSpecification"), "{}", status.stdout);
}

#[tokio::test]
async fn nothing_is_deleted_without_a_question() {
    let cloud = Cloud::start().go();
    let mut template = template::echo(&cloud);
    cloud.up();
    template.remove("EchoLogs");
    template.save(&cloud);
    let run = cloud.wschat(&["up", "--local"]).exits(1);
    run.changes_nothing();
    let last = run.stderr.lines().last().unwrap();
    let asked = "error: this would delete log group EchoLogs (/aws/lambda/app-Echo-";
    let ends = last.starts_with(asked) && last.ends_with("); pass --yes to confirm");
    assert!(ends, "{last}");
}

#[tokio::test]
async fn retained_resources_stay() {
    let cloud = Cloud::start().go();
    let mut template = template::echo(&cloud);
    template.get("Rows")["DeletionPolicy"] = json!("Retain");
    template.save(&cloud);
    cloud.up();
    assert_up_to_date(&cloud);
    let mut table = cloud.inventory().await;
    table.retain(|name, _| name.starts_with("table "));
    let run = cloud.down();
    assert!(run.stderr.contains("stays: its deletion policy is Retain"), "{}", run.stderr);
    assert_eq!(cloud.inventory().await, table);
}
