//! Tests of the control plane through `AnyService`.

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};

use super::gateway_tests::Lines;
use super::*;
use crate::local::context::conditions::Conditions;
use crate::local::context::ports::Invoked;
use crate::local::context::store::Store;
use crate::local::protocol::service::AnyService;
use crate::local::protocol::wire::Caller;

/// A fake Lambda in which every function except `missing` exists.
struct NoFunctions;

#[async_trait]
impl Functions for NoFunctions {
    fn send_event(&self, _function_arn: &str, _payload: Bytes) -> Result<(), ApiError> {
        Ok(())
    }

    async fn invoke(
        &self,
        _function_arn: &str,
        _invocation_id: &str,
        _payload: Bytes,
        _gateway_request: &str,
    ) -> Result<Invoked, ApiError> {
        Err(ApiError::new(404, "ResourceNotFoundException", "Function not found"))
    }

    fn exists(&self, function_arn: &str) -> bool {
        !function_arn.ends_with(":missing")
    }

    fn permits(&self, _function_arn: &str, _service: &str, _source_arn: &str) -> bool {
        true
    }
}

struct Cloud {
    gateway: Arc<ApiGateway>,
    context: CloudContext,
    _folder: tempfile::TempDir,
}

impl Cloud {
    fn new() -> Self {
        Self::under(Conditions::default())
    }

    fn under(conditions: Conditions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let context = CloudContext {
            port: 4566,
            hosts: Default::default(),
            store: Store::open(folder.path()).unwrap(),
            conditions: Arc::new(conditions),
            ca_bundle: folder.path().join("ca.pem"),
            recorder: Arc::default(),
        };
        let gateway = ApiGateway::open(&context, Arc::new(NoFunctions), Arc::new(Lines::default())).unwrap();
        Self { gateway, context, _folder: folder }
    }

    /// The status and body of an answer, or the status, code and message of an error.
    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        let request = Request {
            method: method.parse().unwrap(),
            path: format!("/v2/{path}"),
            query: query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            headers: http::HeaderMap::new(),
            body: if body.is_null() { Bytes::new() } else { body.to_string().into() },
            file: None,
            caller: Caller { access_key: None, region: "us-east-1".to_owned() },
        };
        let answer = match self.gateway.prepare(request) {
            Ok(call) => self.gateway.call(call).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(response) => (response.status.as_u16(), serde_json::from_slice(&response.body).unwrap_or(Value::Null)),
            Err(error) => (error.status, json!(format!("{}: {}", error.code, error.message))),
        }
    }

    async fn made(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call("POST", path, body).await;
        assert_eq!(status, 201, "{path}: {answer}");
        answer
    }

    async fn api(&self) -> String {
        let body =
            json!({ "name": "chat", "protocolType": "WEBSOCKET", "routeSelectionExpression": "$request.body.action" });
        text(&self.made("apis", body).await["apiId"])
    }

    /// An API with one route, and the ids of API, integration and route.
    async fn api_with_route(&self) -> (String, String, String) {
        let api = self.api().await;
        let integration = json!({ "integrationType": "AWS_PROXY", "integrationUri": uri("f") });
        let integration = self.made(&format!("apis/{api}/integrations"), integration).await;
        let integration = text(&integration["integrationId"]);
        let route = json!({ "routeKey": "$default", "target": format!("integrations/{integration}") });
        let route = text(&self.made(&format!("apis/{api}/routes"), route).await["routeId"]);
        (api, integration, route)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn uri(function: &str) -> String {
    format!(
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/\
         arn:aws:lambda:us-east-1:000000000000:function:{function}/invocations"
    )
}

#[tokio::test]
async fn an_api_is_shown_with_the_defaults_that_aws_gives_it() {
    let cloud = Cloud::new();
    let id = cloud.api().await;
    assert_eq!(id.len(), 10);
    let (status, mut api) = cloud.call("GET", &format!("apis/{id}"), Value::Null).await;
    assert_eq!(status, 200);
    assert!(text(&api["createdDate"].take()).ends_with('Z'));
    assert_eq!(
        api,
        json!({
            "name": "chat",
            "protocolType": "WEBSOCKET",
            "routeSelectionExpression": "$request.body.action",
            "apiKeySelectionExpression": "$request.header.x-api-key",
            "disableExecuteApiEndpoint": false,
            "ipAddressType": "ipv4",
            "apiId": id,
            "apiEndpoint": format!("ws://localhost:4566/{id}"),
            "createdDate": null,
            "tags": {},
        })
    );
}

#[tokio::test]
async fn invalid_requests_get_aws_errors() {
    let cloud = Cloud::new();
    let (api, integration, route) = cloud.api_with_route().await;
    let stage = format!("apis/{api}/stages");
    let deployment = text(&cloud.made(&format!("apis/{api}/deployments"), json!({})).await["deploymentId"]);
    cloud.made(&stage, json!({ "stageName": "prod", "deploymentId": deployment })).await;
    let empty = cloud.api().await;

    for (method, path, body, status, words) in [
        ("POST", "apis".to_owned(), json!({ "name": "x", "protocolType": "SOAP" }), 400, "BadRequestException: Invalid protocol specified. Must be one of [HTTP, WEBSOCKET]".to_owned()),
        ("POST", "apis".to_owned(), json!({ "name": "x", "protocolType": "WEBSOCKET" }), 400, "BadRequestException: RouteSelectionExpression is required for WEBSOCKET APIs".to_owned()),
        ("GET", "apis/nosuch".to_owned(), Value::Null, 404, "NotFoundException: Invalid API identifier specified 000000000000:nosuch".to_owned()),
        ("POST", format!("apis/{api}/routes"), json!({ "routeKey": "$default" }), 409, "ConflictException: Route with key $default already exists for this API".to_owned()),
        ("POST", format!("apis/{api}/routes"), json!({ "routeKey": "x", "target": "integrations/none" }), 400, "BadRequestException: Invalid Integration identifier specified none".to_owned()),
        ("POST", format!("apis/{api}/routes"), json!({ "routeKey": "x", "authorizationType": "AWS_IAM" }), 400, "BadRequestException: Currently, authorization is restricted to the $connect route only".to_owned()),
        ("POST", format!("apis/{api}/routes"), json!({ "routeKey": "x", "requestModels": { "x": "None" } }), 400, "BadRequestException: Invalid model identifier specified: None".to_owned()),
        ("POST", format!("apis/{api}/routes"), json!({ "routeKey": "x", "requestParameters": { "route.request.querystring.a": { "required": true } } }), 400, "BadRequestException: Request parameters are only supported for the $connect route".to_owned()),
        ("POST", format!("apis/{api}/routes"), json!({ "routeKey": "$connect", "requestParameters": { "a": {} } }), 400, "BadRequestException: Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression specified: a]".to_owned()),
        ("POST", format!("apis/{api}/models"), json!({ "name": "a.b", "schema": "{}" }), 400, "BadRequestException: Model name must be alphanumeric: a.b".to_owned()),
        ("POST", format!("apis/{api}/models"), json!({ "name": "a", "schema": "{" }), 400, "BadRequestException: Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified]".to_owned()),
        ("DELETE", format!("apis/{api}/models/none"), Value::Null, 404, "NotFoundException: Invalid Model identifier specified none".to_owned()),
        ("GET", format!("apis/{api}/routes/none"), Value::Null, 404, "NotFoundException: Invalid Route identifier specified none".to_owned()),
        ("DELETE", format!("apis/{api}/integrations/{integration}"), Value::Null, 409, format!("ConflictException: Cannot delete Integration because it is referenced by the following Routes with Ids: [{route}]")),
        ("POST", format!("apis/{api}/integrations"), json!({ "integrationType": "AWS_PROXY", "integrationUri": "arn:aws:lambda:x" }), 400, "BadRequestException: Invalid function ARN or invalid uri".to_owned()),
        ("POST", format!("apis/{api}/integrations"), json!({ "integrationType": "HTTP_PROXY", "integrationUri": "ftp://x" }), 400, "BadRequestException: Invalid HTTP endpoint specified for URI".to_owned()),
        ("POST", format!("apis/{api}/integrations"), json!({ "integrationType": "MOCK", "integrationUri": "" }), 400, "BadRequestException: Integration URI is not supported for MOCK integrations".to_owned()),
        ("POST", format!("apis/{api}/integrations"), json!({ "integrationType": "AWS", "integrationUri": "sqs" }), 400, "BadRequestException: Invalid ARN specified in the request".to_owned()),
        ("POST", format!("apis/{api}/integrations"), json!({ "integrationType": "AWS", "integrationUri": "arn:aws:apigateway:us-east-1:sqs:SendMessage" }), 400, "BadRequestException: AWS ARN for integration must contain path or action".to_owned()),
        ("POST", format!("apis/{api}/integrations"), json!({ "integrationType": "AWS", "integrationUri": "arn:aws:apigateway:us-east-1:sqs:action/SendMessage" }), 400, "BadRequestException: Role ARN must be specified for AWS integrations".to_owned()),
        ("POST", format!("apis/{api}/integrations"), json!({ "integrationType": "MOCK", "requestParameters": { "integration.request.header.x": "y" } }), 400, "BadRequestException: Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression specified: y]".to_owned()),
        ("POST", format!("apis/{api}/integrations"), json!({ "integrationType": "MOCK", "connectionType": "VPC_LINK" }), 400, "BadRequestException: The connection type VPC_LINK is not supported by the local cloud".to_owned()),
        ("POST", format!("apis/{api}/integrations/{integration}/integrationresponses"), json!({ "integrationResponseKey": "" }), 400, "BadRequestException: 1 validation error detected: Value at 'integrationResponseKey' failed to satisfy constraint: Member must have length greater than or equal to 1".to_owned()),
        ("GET", format!("apis/{api}/integrations/{integration}/integrationresponses/none"), Value::Null, 404, "NotFoundException: Invalid IntegrationResponse identifier specified none".to_owned()),
        ("POST", "domainnames".to_owned(), json!({ "domainName": "ws.example.com" }), 400, "BadRequestException: Invalid input. Expected one domain name configuration".to_owned()),
        ("POST", "domainnames".to_owned(), json!({ "domainName": "ws.example.com", "domainNameConfigurations": [{}] }), 400, "BadRequestException: CertificateArn must be specified".to_owned()),
        ("GET", "domainnames/ws.example.com".to_owned(), Value::Null, 404, "NotFoundException: Invalid domain name identifier specified".to_owned()),
        ("POST", "domainnames/ws.example.com/apimappings".to_owned(), json!({ "apiId": api, "stage": "prod" }), 404, "NotFoundException: Invalid domain name identifier specified".to_owned()),
        ("PATCH", format!("apis/{api}/integrations/{integration}"), json!({ "timeoutInMillis": 29_001 }), 400, "BadRequestException: Timeout should be between 50 ms and 29000 ms".to_owned()),
        ("POST", format!("apis/{empty}/deployments"), json!({}), 400, "BadRequestException: At least one route is required before deploying the Api.".to_owned()),
        ("DELETE", format!("apis/{api}/deployments/{deployment}"), Value::Null, 400, "BadRequestException: Active stages pointing to this deployment must be moved or deleted".to_owned()),
        ("POST", stage.clone(), json!({ "stageName": "prod" }), 409, "ConflictException: Stage already exists".to_owned()),
        ("POST", stage.clone(), json!({ "stageName": "new", "deploymentId": "none" }), 404, "NotFoundException: Invalid Deployment identifier specified none".to_owned()),
        ("POST", stage.clone(), json!({ "stageName": "a b" }), 400, "BadRequestException: Stage name only allows a-zA-Z0-9_-".to_owned()),
        ("POST", stage.clone(), json!({ "stageName": "new", "deploymentId": deployment, "autoDeploy": true }), 400, "BadRequestException: Deployment ID cannot be set on this stage because AutoDeploy is enabled".to_owned()),
        ("PATCH", format!("{stage}/prod"), json!({ "routeSettings": { "none": {} } }), 404, "NotFoundException: Unable to find Route by key none within the provided RouteSettings".to_owned()),
        ("PATCH", format!("{stage}/prod"), json!({ "defaultRouteSettings": { "loggingLevel": "LOUD" } }), 400, "BadRequestException: 1 validation error detected: Value 'LOUD' at 'loggingLevel' failed to satisfy constraint: Member must satisfy enum value set: [ERROR, INFO, OFF]".to_owned()),
        ("GET", "vpclinks".to_owned(), Value::Null, 404, "UnknownOperationException: Unknown operation".to_owned()),
    ] {
        assert_eq!(cloud.call(method, &path, body).await, (status, json!(words)), "{method} {path}");
    }
}

#[tokio::test]
async fn lists_come_in_pages() {
    let cloud = Cloud::new();
    let api = cloud.api().await;
    let mut keys: Vec<String> = (0..7).map(|number| format!("route{number}")).collect();
    for key in &keys {
        cloud.made(&format!("apis/{api}/routes"), json!({ "routeKey": key })).await;
    }
    let mut seen = Vec::new();
    let mut pages = 0;
    let mut token = String::new();
    loop {
        let (_, page) =
            cloud.call("GET", &format!("apis/{api}/routes?maxResults=3&nextToken={token}"), Value::Null).await;
        pages += 1;
        seen.extend(page["items"].as_array().unwrap().iter().map(|route| text(&route["routeKey"])));
        match page["nextToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    seen.sort();
    keys.sort();
    assert_eq!((pages, seen), (3, keys));
    let (status, _) = cloud.call("GET", &format!("apis/{api}/routes?maxResults=none"), Value::Null).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn updates_merge_and_an_empty_string_removes_a_key() {
    let cloud = Cloud::new();
    let (api, ..) = cloud.api_with_route().await;
    let stage = json!({ "stageName": "prod", "description": "old", "stageVariables": { "a": "1", "b": "2" } });
    cloud.made(&format!("apis/{api}/stages"), stage).await;
    let patch = json!({
        "stageName": "other",
        "description": "",
        "stageVariables": { "a": "", "c": "3" },
        "defaultRouteSettings": { "throttlingBurstLimit": 5 },
    });
    let (status, stage) = cloud.call("PATCH", &format!("apis/{api}/stages/prod"), patch).await;
    assert_eq!(status, 200);
    assert_eq!(stage["stageName"], "prod");
    assert_eq!(stage["description"], "old");
    assert_eq!(stage["stageVariables"], json!({ "b": "2", "c": "3" }));
    let settings = json!({ "dataTraceEnabled": false, "detailedMetricsEnabled": false, "throttlingBurstLimit": 5 });
    assert_eq!(stage["defaultRouteSettings"], settings);
}

#[tokio::test]
async fn a_deployment_freezes_what_it_deploys() {
    let cloud = Cloud::new();
    let (api, integration, route) = cloud.api_with_route().await;
    let deployment = text(&cloud.made(&format!("apis/{api}/deployments"), json!({})).await["deploymentId"]);
    cloud.made(&format!("apis/{api}/stages"), json!({ "stageName": "prod", "deploymentId": deployment })).await;
    let before = cloud.gateway.state().apis[&api].snapshot();
    let patch = json!({ "integrationUri": uri("other") });
    cloud.call("PATCH", &format!("apis/{api}/integrations/{integration}"), patch).await;
    assert_eq!(cloud.call("DELETE", &format!("apis/{api}/routes/{route}"), Value::Null).await.0, 204);
    let state = cloud.gateway.state();
    let (_, served) = state.apis[&api].served("prod").unwrap();
    assert_eq!(**served, before);
    assert!(served.routes.contains_key("$default"));
}

#[tokio::test]
async fn a_stage_with_auto_deploy_follows_every_change() {
    let cloud = Cloud::new();
    let (api, ..) = cloud.api_with_route().await;
    let stage = cloud.made(&format!("apis/{api}/stages"), json!({ "stageName": "dev", "autoDeploy": true })).await;
    let first = text(&stage["deploymentId"]);
    cloud.made(&format!("apis/{api}/routes"), json!({ "routeKey": "join" })).await;
    let (_, stage) = cloud.call("GET", &format!("apis/{api}/stages/dev"), Value::Null).await;
    assert_ne!(text(&stage["deploymentId"]), first);
    let state = cloud.gateway.state();
    assert!(state.apis[&api].served("dev").unwrap().1.routes.contains_key("join"));
    let (status, words) =
        cloud.call("PATCH", &format!("apis/{api}/stages/dev"), json!({ "deploymentId": first })).await;
    assert_eq!(status, 404, "{words}");
}

#[tokio::test]
async fn what_is_made_of_answers_and_models_is_frozen_too() {
    let cloud = Cloud::new();
    let (api, integration, _) = cloud.api_with_route().await;
    let below = |what: &str| format!("apis/{api}/{what}");
    let model = json!({ "name": "Question", "schema": r#"{"type":"object"}"# });
    let model = cloud.made(&below("models"), model).await;
    let responses = below(&format!("integrations/{integration}/integrationresponses"));
    let body = json!({ "integrationResponseKey": "$default", "responseTemplates": { "a": "1", "b": "2" } });
    let response = cloud.made(&responses, body.clone()).await;
    let (status, words) = cloud.call("POST", &responses, body).await;
    let twice = "ConflictException: IntegrationResponse with key $default already exists for this Integration";
    assert_eq!((status, words), (409, json!(twice)));
    let connect = json!({
        "routeKey": "$connect",
        "target": format!("integrations/{integration}"),
        "requestModels": { "x": "Question", "y": model["modelId"] },
        "requestParameters": { "route.request.querystring.a": { "required": true }, "route.request.header.b": {} },
    });
    let connect = cloud.made(&below("routes"), connect).await;
    let deployment = text(&cloud.made(&below("deployments"), json!({})).await["deploymentId"]);
    cloud.made(&below("stages"), json!({ "stageName": "prod", "deploymentId": deployment })).await;

    // Maps merge; a parameter goes by a call of its own.
    let path = format!("{responses}/{}", text(&response["integrationResponseId"]));
    let (_, changed) = cloud.call("PATCH", &path, json!({ "responseTemplates": { "a": "", "c": "3" } })).await;
    assert_eq!(changed["responseTemplates"], json!({ "b": "2", "c": "3" }));
    let route = below(&format!("routes/{}", text(&connect["routeId"])));
    let parameter = format!("{route}/requestparameters/route.request.header.b");
    assert_eq!(cloud.call("DELETE", &parameter, Value::Null).await.0, 204);
    let (_, changed) = cloud.call("PATCH", &route, json!({ "requestModels": { "y": "" } })).await;
    assert_eq!(changed["requestModels"], json!({ "x": "Question" }));
    assert_eq!(changed["requestParameters"], json!({ "route.request.querystring.a": { "required": true } }));
    let model = below(&format!("models/{}", text(&model["modelId"])));
    assert_eq!(cloud.call("DELETE", &model, Value::Null).await.0, 204);

    let state = cloud.gateway.state();
    let (_, served) = state.apis[&api].served("prod").unwrap();
    let route = &served.routes["$connect"];
    assert_eq!(route.config.request_parameters.len(), 2);
    let named = |name: &str| served.model(&route.config.request_models[name]).map(|model| model.name.clone());
    assert_eq!((named("x"), named("y")), (Some("Question".to_owned()), Some("Question".to_owned())));
    let responses = &route.integration.as_ref().unwrap().responses;
    assert_eq!(responses.values().next().unwrap().response_templates["a"], "1");
    assert_eq!(state.apis[&api].models.len(), 0);
}

/// Integrations that an older build wrote have no responses, and its deployments no models.
#[test]
fn the_state_of_an_older_build_is_read() {
    let api = json!({
        "region": "us-east-1", "created_date": "", "tags": {}, "stages": {},
        "config": { "name": "chat", "protocolType": "WEBSOCKET" },
        "integrations": { "i": { "integrationType": "MOCK", "timeoutInMillis": 5000 } },
        "routes": {},
        "deployments": { "d": { "created_date": "", "description": "", "auto_deployed": false, "snapshot": {
            "route_selection_expression": "",
            "routes": { "x": { "integration": { "integrationType": "MOCK" }, "responds": false } },
        } } },
    });
    let api: super::model::Api = serde_json::from_value(api).unwrap();
    assert_eq!(api.integrations["i"].config.timeout_in_millis, 5000);
    let route = &api.deployments["d"].snapshot.routes["x"];
    assert_eq!((route.config.authorization_type.as_str(), route.config.request_models.len()), ("NONE", 0));
    assert_eq!(route.integration.as_ref().unwrap().config.integration_type, "MOCK");
}

#[tokio::test]
async fn a_domain_leads_to_the_stages_that_are_mapped() {
    let cloud = Cloud::new();
    let (api, ..) = cloud.api_with_route().await;
    cloud.made(&format!("apis/{api}/stages"), json!({ "stageName": "prod", "autoDeploy": true })).await;
    let domain = json!({
        "domainName": "ws.example.com",
        "domainNameConfigurations": [{ "certificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/x" }],
        "tags": { "a": "1" },
    });
    let made = cloud.made("domainnames", domain.clone()).await;
    let configuration = &made["domainNameConfigurations"][0];
    assert_eq!(configuration["domainNameStatus"], "AVAILABLE");
    assert!(text(&configuration["apiGatewayDomainName"]).ends_with(".execute-api.us-east-1.amazonaws.com"));
    let taken = "ConflictException: The domain name you provided already exists.";
    assert_eq!(cloud.call("POST", "domainnames", domain).await, (409, json!(taken)));
    let mappings = "domainnames/ws.example.com/apimappings";
    for (body, status, words) in [
        (
            json!({ "apiId": "none", "stage": "prod" }),
            404,
            "NotFoundException: Invalid API identifier specified 000000000000:none",
        ),
        (json!({ "apiId": api, "stage": "none" }), 400, "BadRequestException: Invalid stage identifier specified"),
        (
            json!({ "apiId": api, "stage": "prod", "apiMappingKey": "/" }),
            400,
            "BadRequestException: An ApiMapping key may contain only letters, numbers and one of $-_.+!*'(),",
        ),
    ] {
        assert_eq!(cloud.call("POST", mappings, body).await, (status, json!(words)));
    }
    let mapping = cloud.made(mappings, json!({ "apiId": api, "stage": "prod", "apiMappingKey": "chat" })).await;
    let twice = cloud.call("POST", mappings, json!({ "apiId": api, "stage": "prod", "apiMappingKey": "chat" })).await;
    assert_eq!(twice, (409, json!("ConflictException: ApiMapping key already exists for this domain name")));
    let found =
        cloud.gateway.state().mapped("ws.example.com.localhost:4579", &["chat".to_owned()]).map(|found| found.1);
    assert_eq!(found, Some("prod".to_owned()));

    let tags = "tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Fdomainnames%2Fws.example.com";
    cloud.made(tags, json!({ "tags": { "b": "2" } })).await;
    assert_eq!(cloud.call("GET", tags, Value::Null).await.1, json!({ "tags": { "a": "1", "b": "2" } }));
    assert_eq!(cloud.call("DELETE", &format!("apis/{api}"), Value::Null).await.0, 400);
    let mapping = format!("{mappings}/{}", text(&mapping["apiMappingId"]));
    assert_eq!(cloud.call("DELETE", &mapping, Value::Null).await.0, 204);
    assert_eq!(cloud.call("DELETE", &format!("apis/{api}"), Value::Null).await.0, 204);
    assert_eq!(cloud.call("DELETE", "domainnames/ws.example.com", Value::Null).await.0, 204);
}

#[tokio::test]
async fn tags_belong_to_apis_and_stages() {
    let cloud = Cloud::new();
    let (api, ..) = cloud.api_with_route().await;
    cloud.made(&format!("apis/{api}/stages"), json!({ "stageName": "prod", "tags": { "a": "1" } })).await;
    let stage = format!("tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Fapis%2F{api}%2Fstages%2Fprod");
    cloud.made(&stage, json!({ "tags": { "b": "2" } })).await;
    assert_eq!(cloud.call("GET", &stage, Value::Null).await.1, json!({ "tags": { "a": "1", "b": "2" } }));
    assert_eq!(cloud.call("DELETE", &format!("{stage}?tagKeys=a&tagKeys=none"), Value::Null).await.0, 204);
    assert_eq!(cloud.call("GET", &stage, Value::Null).await.1, json!({ "tags": { "b": "2" } }));
    let raw = format!("tags/arn:aws:apigateway:us-east-1::/apis/{api}");
    assert_eq!(cloud.call("GET", &raw, Value::Null).await.1, json!({ "tags": {} }));
    assert_eq!(cloud.call("GET", "tags/arn:aws:apigateway:us-east-1::/apis/none", Value::Null).await.0, 404);
}

#[tokio::test]
async fn only_strict_conditions_require_the_function_of_an_integration() {
    let body = json!({ "integrationType": "AWS_PROXY", "integrationUri": uri("missing") });
    let lenient = Cloud::new();
    let api = lenient.api().await;
    assert_eq!(lenient.call("POST", &format!("apis/{api}/integrations"), body.clone()).await.0, 201);
    let mut conditions = Conditions::default();
    conditions.strict.integration_needs_function = true;
    let strict = Cloud::under(conditions);
    let api = strict.api().await;
    assert_eq!(strict.call("POST", &format!("apis/{api}/integrations"), body).await.0, 400);
}

#[tokio::test]
async fn an_api_at_its_quota_refuses_more_stages() {
    let cloud = Cloud::new();
    let api = cloud.api().await;
    for number in 0..10 {
        cloud.made(&format!("apis/{api}/stages"), json!({ "stageName": format!("s{number}") })).await;
    }
    let (status, words) = cloud.call("POST", &format!("apis/{api}/stages"), json!({ "stageName": "s10" })).await;
    assert_eq!(status, 429);
    assert!(text(&words).starts_with("TooManyRequestsException: Maximum number of Stages for this API"), "{words}");
}

#[tokio::test]
async fn the_state_survives_a_restart_and_a_deleted_api_leaves_nothing() {
    let cloud = Cloud::new();
    let (api, ..) = cloud.api_with_route().await;
    cloud.made(&format!("apis/{api}/deployments"), json!({ "description": "first" })).await;
    let again = ApiGateway::open(&cloud.context, Arc::new(NoFunctions), Arc::new(Lines::default())).unwrap();
    let (before, after) = (cloud.gateway.state(), again.state());
    assert_eq!(serde_json::to_value(&*before).unwrap(), serde_json::to_value(&*after).unwrap());
    assert_eq!(cloud.call("DELETE", &format!("apis/{api}"), Value::Null).await.0, 204);
    assert_eq!(cloud.call("GET", "apis", Value::Null).await.1, json!({ "items": [] }));
    assert_eq!(cloud.call("GET", &format!("apis/{api}/routes"), Value::Null).await.0, 404);
}

#[tokio::test]
async fn an_api_is_visible_only_in_its_region_and_mutations_name_it() {
    let cloud = Cloud::new();
    let api = cloud.api().await;
    let request = |method: &str, path: String, region: &str| Request {
        method: method.parse().unwrap(),
        path,
        query: Vec::new(),
        headers: http::HeaderMap::new(),
        body: Bytes::new(),
        file: None,
        caller: Caller { access_key: None, region: region.to_owned() },
    };
    let call = cloud.gateway.prepare(request("GET", format!("/v2/apis/{api}"), "eu-west-1")).unwrap();
    assert_eq!(cloud.gateway.call(call).await.unwrap_err().code, "NotFoundException");
    let changed_api = |method: &str, path: String| {
        let call = cloud.gateway.prepare(request(method, path, "us-east-1")).unwrap();
        call.changed_api().map(str::to_owned)
    };
    assert_eq!(changed_api("POST", format!("/v2/apis/{api}/routes")), Some(api.clone()));
    assert_eq!(changed_api("GET", format!("/v2/apis/{api}/routes")), None);
    assert_eq!(changed_api("POST", "/v2/apis".to_owned()), None);
}
