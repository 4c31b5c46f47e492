//! Drift: `status` reports changes made by hand, and `up` repairs them.

use crate::common::inventory::{Inventory, same};
use crate::common::template::Template;
use crate::common::{Cloud, Run, eventually, template};
use aws_sdk_apigatewayv2::types::RouteSettings;
use aws_sdk_lambda::types::Environment;

/// A deployed stack, and AWS clients with which a test changes it by hand.
struct Drifted {
    cloud: Cloud,
    before: Inventory,
    apigateway: aws_sdk_apigatewayv2::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    iam: aws_sdk_iam::Client,
    lambda: aws_sdk_lambda::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
}

impl Drifted {
    async fn start() -> Self {
        Self::of(template::echo).await
    }

    /// That of the template which `put` writes into a cloud's folder.
    async fn of(put: fn(&Cloud) -> Template) -> Self {
        let cloud = Cloud::start().go();
        put(&cloud);
        cloud.up();
        let sdk = cloud.sdk().await;
        Self {
            before: cloud.inventory().await,
            apigateway: aws_sdk_apigatewayv2::Client::new(&sdk),
            dynamodb: aws_sdk_dynamodb::Client::new(&sdk),
            iam: aws_sdk_iam::Client::new(&sdk),
            lambda: aws_sdk_lambda::Client::new(&sdk),
            logs: aws_sdk_cloudwatchlogs::Client::new(&sdk),
            cloud,
        }
    }

    /// The physical name of the stack's resource of this kind: `table`, `role`, `function`, `log group`.
    fn name(&self, kind: &str) -> String {
        let name = self.before.keys().find_map(|name| name.strip_prefix(&format!("{kind} ")));
        name.unwrap().to_owned()
    }

    async fn api(&self) -> String {
        let apis = self.apigateway.get_apis().send().await.unwrap();
        apis.items()[0].api_id().unwrap().to_owned()
    }

    /// The id of a route.
    async fn route(&self, key: &str) -> String {
        let routes = self.apigateway.get_routes().api_id(self.api().await).send().await.unwrap();
        let route = routes.items().iter().find(|route| route.route_key() == Some(key)).unwrap();
        route.route_id().unwrap().to_owned()
    }

    /// `status` must report these texts; `up` must repair the drift and leave nothing to do. Returns the run of `up`.
    async fn repaired(&self, reported: &[&str]) -> Run {
        assert_ne!(self.cloud.inventory().await, self.before, "nothing was changed");
        let status = self.cloud.status().exits(2);
        status.changes_nothing();
        for words in reported {
            assert!(status.stdout.contains(words), "no {words:?} in\n{}", status.stdout);
        }
        let repairs = format!("; `wschat up --local --data {}` repairs ", self.cloud.data().display());
        let last = status.stdout.lines().last().unwrap();
        assert!(last.contains(&repairs), "{last}");
        let run = self.cloud.up();
        same(&self.cloud.inventory().await, &self.before);
        self.cloud.up().changes_nothing();
        self.cloud.status().ok();
        run
    }
}

#[tokio::test]
async fn routes() {
    let it = Drifted::start().await;
    let api = it.api().await;

    it.apigateway.delete_route().api_id(&api).route_id(it.route("ping").await).send().await.unwrap();
    let run = it.repaired(&["✗ PingRoute", "missing"]).await;
    assert_eq!(run.count("apigatewayv2.CreateRoute"), 1);
    assert_eq!(run.count("apigatewayv2.CreateDeployment"), 1);

    it.apigateway.create_route().api_id(&api).route_key("backdoor").send().await.unwrap();
    it.repaired(&["unwanted", "not in the template"]).await;

    let ping = it.route("ping").await;
    it.apigateway.update_route().api_id(&api).route_id(ping).operation_name("Pong").send().await.unwrap();
    it.repaired(&["✗ PingRoute", "OperationName is Pong, the template says Ping"]).await;

    let responses = it.apigateway.get_route_responses().api_id(&api).route_id(it.route("ping").await);
    let response = responses.send().await.unwrap().items()[0].route_response_id().unwrap().to_owned();
    let ping = it.route("ping").await;
    it.apigateway.delete_route_response().api_id(&api).route_id(ping).route_response_id(response).send().await.unwrap();
    it.repaired(&["✗ PingResponse", "missing"]).await;
}

#[tokio::test]
async fn integrations_and_apis() {
    let it = Drifted::start().await;
    let api = it.api().await;
    let integrations = it.apigateway.get_integrations().api_id(&api).send().await.unwrap();
    let ping = integrations.items().iter().find(|one| one.description() == Some("for ping")).unwrap();
    let update = it.apigateway.update_integration().api_id(&api).integration_id(ping.integration_id().unwrap());
    update.timeout_in_millis(1000).send().await.unwrap();
    it.repaired(&["✗ PingIntegration", "missing"]).await;

    it.apigateway.update_api().api_id(&api).description("mine").send().await.unwrap();
    it.repaired(&["✗ Api", "Description is mine, the template says echoes"]).await;

    // Without its API, hardly anything is left of the stack; all of it is created again, under another id.
    it.apigateway.delete_api().api_id(&api).send().await.unwrap();
    it.repaired(&["✗ Api", "✗ Stage", "✗ EchoPermission", "missing"]).await;
    assert_ne!(it.api().await, api);
}

#[tokio::test]
async fn models_responses_and_domain_names() {
    let it = Drifted::of(template::gateway).await;
    let (api, gateway) = (it.api().await, &it.apigateway);
    let model =
        async || gateway.get_models().api_id(&api).send().await.unwrap().items()[0].model_id().unwrap().to_owned();
    gateway.update_model().api_id(&api).model_id(model().await).description("mine").send().await.unwrap();
    it.repaired(&["✗ Question", "Description is mine, the template says what may be asked"]).await;
    gateway.delete_model().api_id(&api).model_id(model().await).send().await.unwrap();
    it.repaired(&["✗ Question", "missing"]).await;

    let integrations = gateway.get_integrations().api_id(&api).send().await.unwrap();
    let backend = integrations.items().iter().find(|one| one.integration_method() == Some("PUT")).unwrap();
    let backend = backend.integration_id().unwrap();
    let responses = gateway.get_integration_responses().api_id(&api).integration_id(backend).send().await.unwrap();
    let default = responses.items().iter().find(|one| one.integration_response_key() == Some("$default")).unwrap();
    let default = default.integration_response_id().unwrap();
    let delete = gateway.delete_integration_response().api_id(&api).integration_id(backend);
    delete.integration_response_id(default).send().await.unwrap();
    it.repaired(&["✗ BackendFailed", "missing"]).await;
    let create = gateway.create_integration_response().api_id(&api).integration_id(backend);
    create.integration_response_key("/5../").send().await.unwrap();
    it.repaired(&["response /5../", "unwanted"]).await;

    let domain = "ws.example.com";
    let mappings = gateway.get_api_mappings().domain_name(domain).send().await.unwrap();
    let chat = mappings.items().iter().find(|one| one.api_mapping_key() == Some("chat")).unwrap();
    let chat = chat.api_mapping_id().unwrap();
    gateway.delete_api_mapping().domain_name(domain).api_mapping_id(chat).send().await.unwrap();
    it.repaired(&["✗ Chat", "missing"]).await;
    let create = gateway.create_api_mapping().domain_name(domain).api_id(&api).stage("live");
    create.api_mapping_key("back").send().await.unwrap();
    it.repaired(&["mapping of ws.example.com/back", "unwanted"]).await;
    gateway.delete_domain_name().domain_name(domain).send().await.unwrap();
    it.repaired(&["✗ Domain", "✗ Root", "missing"]).await;
}

#[tokio::test]
async fn stages() {
    let it = Drifted::start().await;
    let api = it.api().await;
    let other = it.apigateway.create_deployment().api_id(&api).description("by hand").send().await.unwrap();
    let stage = || it.apigateway.update_stage().api_id(&api).stage_name("live");
    stage().deployment_id(other.deployment_id().unwrap()).send().await.unwrap();
    let run = it.repaired(&["✗ Stage", "DeploymentId", "unwanted"]).await;
    assert_eq!(run.mutations(), ["apigatewayv2.UpdateStage", "apigatewayv2.DeleteDeployment"]);

    stage().stage_variables("colour", "red").send().await.unwrap();
    it.repaired(&["StageVariables.colour is red, the template says blue"]).await;

    stage().route_settings("ping", RouteSettings::builder().throttling_burst_limit(1).build()).send().await.unwrap();
    it.repaired(&["✗ Stage", "RouteSettings"]).await;

    it.apigateway.delete_stage().api_id(&api).stage_name("live").send().await.unwrap();
    it.repaired(&["✗ Stage", "missing"]).await;

    it.apigateway.create_stage().api_id(&api).stage_name("shadow").send().await.unwrap();
    it.repaired(&["unwanted", "shadow"]).await;
}

#[tokio::test]
async fn permissions() {
    let it = Drifted::start().await;
    let function = it.name("function");
    let policy = it.lambda.get_policy().function_name(&function).send().await.unwrap();
    let policy: serde_json::Value = serde_json::from_str(policy.policy().unwrap()).unwrap();
    let statement = policy["Statement"][0]["Sid"].as_str().unwrap();
    it.lambda.remove_permission().function_name(&function).statement_id(statement).send().await.unwrap();
    let run = it.repaired(&["✗ EchoPermission", "missing"]).await;
    assert_eq!(run.mutations(), ["lambda.AddPermission"]);

    let add = it.lambda.add_permission().function_name(&function).statement_id("open-door");
    add.action("lambda:InvokeFunction").principal("*").send().await.unwrap();
    let run = it.repaired(&["✗ permission to invoke Echo", "unwanted    open-door", "not in the template"]).await;
    assert_eq!(run.mutations(), ["lambda.RemovePermission"]);
}

#[tokio::test]
async fn functions() {
    let it = Drifted::start().await;
    let function = it.name("function");
    let update = it.lambda.update_function_configuration().function_name(&function);
    update.environment(Environment::builder().variables("MARK", "#").build()).send().await.unwrap();
    let run = it.repaired(&["✗ Echo", "Environment.Variables.MARK is #, the template says !"]).await;
    assert_eq!(run.mutations(), ["lambda.UpdateFunctionConfiguration"]);

    it.lambda.delete_function_concurrency().function_name(&function).send().await.unwrap();
    it.repaired(&["ReservedConcurrentExecutions is not there, the template says 5"]).await;

    it.lambda.delete_function().function_name(&function).send().await.unwrap();
    let run = it.repaired(&["✗ Echo ", "✗ EchoPermission", "missing"]).await;
    let made =
        ["CreateFunction", "PutFunctionConcurrency", "AddPermission", "PublishVersion", "CreateAlias", "AddPermission"];
    let mut mutations = run.mutations();
    mutations.sort();
    let mut made = made.map(|call| format!("lambda.{call}"));
    made.sort();
    assert_eq!(mutations, made);
}

#[tokio::test]
async fn roles() {
    let it = Drifted::start().await;
    let role = it.name("role");
    it.iam.delete_role_policy().role_name(&role).policy_name("rows").send().await.unwrap();
    it.repaired(&["✗ Role", "Policies"]).await;

    let everything = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let put = it.iam.put_role_policy().role_name(&role).policy_name("everything");
    put.policy_document(everything).send().await.unwrap();
    it.repaired(&["✗ Role", "everything"]).await;

    it.iam.put_role_policy().role_name(&role).policy_name("logging").policy_document(everything).send().await.unwrap();
    it.repaired(&["✗ Logging", "PolicyDocument"]).await;

    it.iam.delete_role_policy().role_name(&role).policy_name("logging").send().await.unwrap();
    it.repaired(&["✗ Logging", "missing"]).await;

    let attach = it.iam.attach_role_policy().role_name(&role);
    attach.policy_arn("arn:aws:iam::aws:policy/AdministratorAccess").send().await.unwrap();
    it.repaired(&["✗ Role", "ManagedPolicyArns", "AdministratorAccess"]).await;
}

#[tokio::test]
async fn tables_and_log_groups() {
    let it = Drifted::start().await;
    let table = it.name("table");
    let arn = it.before[&format!("table {table}")]["description"]["TableArn"].as_str().unwrap();
    it.dynamodb.untag_resource().resource_arn(arn).tag_keys("team").send().await.unwrap();
    let run = it.repaired(&["✗ Rows", "Tags.team is not there, the template says blue"]).await;
    assert_eq!(run.mutations(), ["dynamodb.TagResource"]);

    it.dynamodb.update_table().table_name(&table).deletion_protection_enabled(true).send().await.unwrap();
    it.repaired(&["DeletionProtectionEnabled is true, the template says false"]).await;

    it.dynamodb.delete_table().table_name(&table).send().await.unwrap();
    let gone = async || it.dynamodb.describe_table().table_name(&table).send().await.is_err();
    eventually("the table is gone", gone).await;
    it.repaired(&["✗ Rows", "missing"]).await;

    let group = it.name("log group");
    it.logs.delete_retention_policy().log_group_name(&group).send().await.unwrap();
    it.repaired(&["✗ EchoLogs", "RetentionInDays is not there, the template says 14"]).await;
    it.logs.delete_log_group().log_group_name(&group).send().await.unwrap();
    it.repaired(&["✗ EchoLogs", "missing"]).await;
    // Recreated by Lambda when the function logged: it has the name, but not the stack's tags.
    it.logs.delete_log_group().log_group_name(&group).send().await.unwrap();
    it.logs.create_log_group().log_group_name(&group).send().await.unwrap();
    it.repaired(&["✗ EchoLogs", "RetentionInDays", "Tags"]).await;
}
