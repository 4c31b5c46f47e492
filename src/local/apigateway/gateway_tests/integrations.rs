//! Integrations that are no Lambda proxies: MOCK, HTTP, AWS.

use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;

use super::*;
use crate::core::iam::need::Need;
use crate::local::apigateway::admission;
use crate::local::context::ports::{Callers, Credentials, Records, Roles, Services};
use crate::local::protocol::wire::{Protocol, Response};

/// An integration with its responses, and the members of its route.
struct Custom {
    integration: Value,
    responses: Vec<Value>,
    route: Value,
}

impl Custom {
    fn new(integration: Value) -> Self {
        Self { integration, responses: Vec::new(), route: json!({}) }
    }

    fn mock(template: &str) -> Self {
        Self::new(json!({ "integrationType": "MOCK", "requestTemplates": { "$default": template } }))
    }

    fn response(mut self, key: &str, template: &str) -> Self {
        let templates = json!({ "$default": template });
        self.responses.push(json!({ "integrationResponseKey": key, "responseTemplates": templates }));
        self
    }
}

impl Cloud {
    /// A cloud whose stage serves these routes, each of which responds, with the services and endpoints of a test.
    async fn of(routes: Vec<(&str, Custom)>) -> (Self, mpsc::UnboundedReceiver<Request>) {
        let cloud = Self::new(&[], |event| match event["fail"].as_str() {
            Some(_) => Err("no such room"),
            None => Ok(json!({ "got": event })),
        })
        .await;
        let (told, requests) = mpsc::unbounded_channel();
        cloud.gateway.set_backends(Backends::new(
            Arc::new(TrustedRoles),
            Arc::new(OneOfEach(told)),
            Arc::new(OneCaller),
            Arc::new(OneKey),
        ));
        for (key, custom) in routes {
            cloud.custom(key, custom).await;
        }
        let deployment = cloud.deploy().await;
        cloud.control("POST", &cloud.below("stages"), json!({ "stageName": "prod", "deploymentId": deployment })).await;
        (cloud, requests)
    }

    async fn custom(&self, key: &str, custom: Custom) {
        let integration = self.control("POST", &self.below("integrations"), custom.integration).await;
        let id = text(&integration["integrationId"]);
        for response in custom.responses {
            self.control("POST", &self.below(&format!("integrations/{id}/integrationresponses")), response).await;
        }
        let mut route = json!({ "routeKey": key, "target": format!("integrations/{id}") });
        route.as_object_mut().unwrap().extend(custom.route.as_object().unwrap().clone());
        let route = self.control("POST", &self.below("routes"), route).await;
        let path = self.below(&format!("routes/{}/routeresponses", text(&route["routeId"])));
        self.control("POST", &path, json!({ "routeResponseKey": "$default" })).await;
    }

    /// What the last failure of a message was, in words.
    async fn why(&self) -> String {
        let mut last = 0;
        loop {
            let news = within(self.gateway.context.recorder.next(last, 1)).await;
            last = news.last;
            let event = serde_json::to_value(&news.events[0]).unwrap();
            if let Some(what) = event["why"]["what"].as_str() {
                return what.to_owned();
            }
        }
    }
}

/// Roles that can be assumed if their name says so.
struct TrustedRoles;

impl Roles for TrustedRoles {
    fn assumable(&self, role_arn: &str, service: &str) -> bool {
        assert_eq!(service, "apigateway.amazonaws.com");
        role_arn.ends_with("/trusted")
    }

    fn issue(&self, role_arn: &str, _session_name: &str) -> Credentials {
        let key = role_arn.rsplit('/').next().unwrap_or_default().to_uppercase();
        Credentials { access_key_id: key, secret_access_key: String::new(), session_token: String::new() }
    }

    fn has_issued(&self, _access_key_id: &str) -> bool {
        true
    }
}

/// The keys `AKID` and, with the session token `token`, `ASIA`, whose secret is `secret`, and which may connect to the stage `prod`.
struct OneCaller;

impl Callers for OneCaller {
    fn secret(&self, access_key_id: &str) -> Option<String> {
        ["AKID", "ASIA"].contains(&access_key_id).then(|| "secret".to_owned())
    }

    fn session_token(&self, access_key_id: &str) -> Option<String> {
        (access_key_id == "ASIA").then(|| "token".to_owned())
    }

    fn admits_all(&self) -> bool {
        false
    }

    fn authorize(&self, request: &Request, needs: &[Need]) -> Result<(), ApiError> {
        assert!(["AKID", "ASIA"].contains(&request.caller.access_key.as_deref().unwrap()));
        let [need] = needs else { panic!("one need") };
        assert_eq!(need.action, "execute-api:Invoke");
        match need.resource.ends_with("/prod/$connect") {
            true => Ok(()),
            false => Err(ApiError::new(403, "AccessDeniedException", "not this stage")),
        }
    }
}

/// An API key with the value `opens`, and another that no plan has.
struct OneKey;

impl Records for OneKey {
    fn of_type(&self, region: &str, type_name: &str) -> Vec<(String, Value)> {
        assert_eq!(region, "us-east-1");
        let records = match type_name {
            "ApiGateway::ApiKey" => {
                vec![("k1", json!({ "Value": "opens" })), ("k2", json!({})), ("k3", json!({ "Enabled": false }))]
            }
            "ApiGateway::UsagePlanKey" => vec![("x", json!({ "KeyId": "k1", "UsagePlanId": "p" }))],
            "ApiGateway::UsagePlan" => vec![("p", json!({ "ApiStages": [{ "ApiId": "the API", "Stage": "prod" }] }))],
            other => panic!("{other}"),
        };
        records.into_iter().map(|(id, record)| (id.to_owned(), record)).collect()
    }
}

/// A service of each protocol; they tell the test what they were asked.
struct OneOfEach(mpsc::UnboundedSender<Request>);

#[async_trait]
impl Services for OneOfEach {
    fn protocol(&self, service: &str) -> Option<(Protocol, Option<&'static str>)> {
        match service {
            "dynamodb" => Some((Protocol::AwsJson10, Some("DynamoDB_20120810."))),
            "sqs" => Some((Protocol::AwsJson10Query(&[]), Some("AmazonSQS."))),
            "sns" => Some((Protocol::Query("x"), None)),
            _ => None,
        }
    }

    fn names(&self) -> Vec<String> {
        ["dynamodb", "sns", "sqs"].map(str::to_owned).into()
    }

    fn authority(&self) -> String {
        "localhost:1".to_owned()
    }

    async fn answer(&self, request: Request) -> Response {
        let authorization = request.headers["authorization"].to_str().unwrap().to_owned();
        let _ = self.0.send(request);
        if authorization.contains("/sns/") {
            return Response::xml(
                200,
                "<PublishResponse><PublishResult><MessageId>7</MessageId></PublishResult></PublishResponse>".into(),
            );
        }
        Response::json(200, &json!({ "MessageId": "5" }))
    }
}

async fn ask(client: &mut Client, message: &str) -> String {
    client.send(Message::text(message)).await.unwrap();
    next(client).await.into_text().unwrap().to_string()
}

#[tokio::test]
async fn a_mock_answers_by_its_templates() {
    let (cloud, _) = Cloud::of(vec![
        (
            "ping",
            Custom::mock(r#"{"statusCode": 200}"#)
                .response("$default", r#"{"action": "pong", "connection": "$context.connectionId", "at": $context.requestTimeEpoch}"#),
        ),
        (
            "$default",
            Custom::mock("#set($known = [\"ping\"])\n{\"statusCode\": #if($known.contains($input.path('$.action')))200#{else}404#end}")
                .response("/4\\d\\d/", "unknown: $input.json('$')")
                .response("$default", "fine"),
        ),
    ])
    .await;
    let mut client = cloud.connect().await;
    let pong: Value = serde_json::from_str(&ask(&mut client, r#"{"action":"ping"}"#).await).unwrap();
    assert_eq!(pong["action"], "pong");
    assert!(pong["at"].is_i64() && pong["connection"].as_str().is_some_and(|id| id.len() == 16), "{pong}");
    assert_eq!(ask(&mut client, r#"{"action":"nothing"}"#).await, "unknown: {}");
}

#[tokio::test]
async fn a_mock_decides_on_connect() {
    let by_token = "{\"statusCode\": #if($input.params('room') == 'a')200#{else}403#end}";
    let (cloud, _) = Cloud::of(vec![("$connect", Custom::mock(by_token))]).await;
    cloud.connect().await;
    let (cloud, _) = Cloud::of(vec![("$connect", Custom::mock(&by_token.replace("'a'", "'b'")))]).await;
    assert_eq!(cloud.refused("prod").await.0, 403);
    let (cloud, _) = Cloud::of(vec![("$connect", Custom::mock("{}"))]).await;
    assert_eq!(cloud.refused("prod").await.0, 500);
    assert_eq!(cloud.why().await, "The request template of the MOCK integration gave no statusCode: {}");
}

#[tokio::test]
async fn a_template_that_fails_is_an_internal_error_with_its_place_in_the_log() {
    let (cloud, _) = Cloud::of(vec![("$default", Custom::mock("{\n  \"statusCode\": $input.path('$[')\n}"))]).await;
    let mut client = cloud.connect().await;
    let answer: Value = serde_json::from_str(&ask(&mut client, "{}").await).unwrap();
    assert_eq!(answer["message"], "Internal server error");
    assert!(answer["connectionId"].is_string() && answer["requestId"].is_string());
    let why = cloud.why().await;
    assert!(
        why.starts_with("The request template \"$default\" of the integration failed at line 2, column 24: "),
        "{why}"
    );
}

/// An endpoint that answers with what it was sent.
async fn endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                if parts.uri.path() == "/slow" {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
                let seen = json!({
                    "method": parts.method.as_str(), "uri": parts.uri.to_string(), "body": String::from_utf8_lossy(&body),
                    "connection": header("connection-id"), "agent": header("user-agent"), "type": header("content-type"),
                });
                let status = if parts.uri.path() == "/missing" { 404 } else { 200 };
                let response = hyper::Response::builder().status(status).header("sec-websocket-protocol", "chat");
                Ok::<_, std::convert::Infallible>(response.body(Full::new(Bytes::from(seen.to_string()))).unwrap())
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn an_http_proxy_sends_the_message_and_answers_with_the_response() {
    let endpoint = endpoint().await;
    let proxy = |path: &str, more: Value| {
        let mut integration = json!({ "integrationType": "HTTP_PROXY", "integrationMethod": "PUT", "integrationUri": format!("{endpoint}{path}") });
        integration.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Custom::new(integration)
    };
    let parameters = json!({ "requestParameters": {
        "integration.request.header.connection-id": "context.connectionId",
        "integration.request.querystring.room": "route.request.body.room",
        "integration.request.path.place": "'a b'",
    } });
    let (cloud, _) = Cloud::of(vec![
        ("$connect", proxy("/connect", json!({}))),
        ("$default", proxy("/{place}?x=1", parameters)),
        ("slow", proxy("/slow", json!({ "timeoutInMillis": 50 }))),
        ("gone", Custom::new(json!({ "integrationType": "HTTP_PROXY", "integrationMethod": "POST", "integrationUri": "http://127.0.0.1:1/" }))),
        // What a VPC link leads to cannot be reached from here, so nothing is sent.
        ("private", proxy("/private", json!({ "connectionType": "VPC_LINK", "connectionId": "link" }))),
    ])
    .await;
    let mut client = cloud.try_connect("prod", Some("chat")).await.unwrap();
    let message = r#"{"room":"r&d"}"#;
    let seen: Value = serde_json::from_str(&ask(&mut client, message).await).unwrap();
    assert_eq!(seen["connection"].as_str().map(str::len), Some(16), "{seen}");
    assert_eq!(
        [&seen["method"], &seen["uri"], &seen["body"], &seen["type"], &seen["agent"]],
        [
            &json!("PUT"),
            &json!("/a%20b?x=1&room=r%26d"),
            &json!(message),
            &json!("application/json"),
            &json!(format!("AmazonAPIGateway_{}", cloud.api))
        ]
    );
    let answer: Value = serde_json::from_str(&ask(&mut client, r#"{"action":"slow"}"#).await).unwrap();
    assert_eq!(answer["message"], "Endpoint request timed out");
    for route in ["gone", "private"] {
        let message = json!({ "action": route }).to_string();
        let answer: Value = serde_json::from_str(&ask(&mut client, &message).await).unwrap();
        assert_eq!(answer["message"], "Internal server error", "{route}");
    }
}

#[tokio::test]
async fn an_http_integration_maps_both_ways() {
    let endpoint = endpoint().await;
    let custom = |path: &str| {
        Custom::new(json!({
            "integrationType": "HTTP", "integrationMethod": "POST", "integrationUri": format!("{endpoint}{path}"),
            "requestTemplates": { "$default": "<$input.path('$.text')>" },
        }))
        .response("/4\\d\\d/", "missing")
        .response("$default", "sent $input.path('$.body')")
    };
    let (cloud, _) =
        Cloud::of(vec![("$connect", custom("/missing")), ("$default", custom("/ok")), ("m", custom("/missing"))]).await;
    assert_eq!(cloud.refused("prod").await.0, 404);
    let (cloud, _) = Cloud::of(vec![("$default", custom("/ok")), ("m", custom("/missing"))]).await;
    let mut client = cloud.connect().await;
    assert_eq!(ask(&mut client, r#"{"text":"hi"}"#).await, "sent <hi>");
    assert_eq!(ask(&mut client, r#"{"action":"m"}"#).await, "missing");
}

fn to_service(uri: &str, role: &str, template: &str) -> Custom {
    Custom::new(json!({
        "integrationType": "AWS", "integrationMethod": "POST", "integrationUri": format!("arn:aws:apigateway:eu-west-1:{uri}"),
        "credentialsArn": format!("arn:aws:iam::000000000000:role/{role}"),
        "requestTemplates": { "$default": template }, "templateSelectionExpression": "\\$default",
    }))
}

#[tokio::test]
async fn a_service_is_called_as_the_integrations_role() {
    let put = r#"{"TableName": "t", "Item": {"pk": {"S": "$context.connectionId"}}}"#;
    let form = "Action=SendMessage&MessageBody=$util.urlEncode($input.json('$.text'))";
    let (cloud, mut requests) = Cloud::of(vec![
        ("put", to_service("dynamodb:action/PutItem", "trusted", put).response("/2\\d\\d/", "stored")),
        (
            "queue",
            to_service("sqs:path/000000000000/q", "trusted", form)
                .response("$default", "$input.path('$.SendMessageResponse.SendMessageResult.MessageId')"),
        ),
        (
            "topic",
            to_service("sns:action/Publish", "trusted", "TopicArn=t&Action=Publish&Message=m")
                .response("$default", "$input.path('$').PublishResponse.PublishResult.MessageId"),
        ),
        ("start", to_service("states:action/StartExecution", "trusted", "{}")),
        ("locked", to_service("dynamodb:action/PutItem", "other", "{}")),
    ])
    .await;
    let mut client = cloud.connect().await;
    let asked = async |client: &mut Client, action: &str| {
        ask(client, &json!({ "action": action, "text": "a&b" }).to_string()).await
    };

    assert_eq!(asked(&mut client, "put").await, "stored");
    let request = requests.recv().await.unwrap();
    assert_eq!(request.headers["x-amz-target"], "DynamoDB_20120810.PutItem");
    assert_eq!(request.headers["content-type"], "application/x-amz-json-1.0");
    assert_eq!((request.caller.access_key.as_deref(), request.caller.region.as_str()), (Some("TRUSTED"), "eu-west-1"));
    let credential = "Credential=TRUSTED/20260101/eu-west-1/dynamodb/aws4_request";
    assert!(request.headers["authorization"].to_str().unwrap().contains(credential));
    let item: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(item["Item"]["pk"]["S"].as_str().map(str::len), Some(16));

    assert_eq!(asked(&mut client, "queue").await, "5");
    let request = requests.recv().await.unwrap();
    assert_eq!(request.headers["x-amz-target"], "AmazonSQS.SendMessage");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body, json!({ "MessageBody": "\"a&b\"", "QueueUrl": "http://localhost:1/000000000000/q" }));

    assert_eq!(asked(&mut client, "topic").await, "7");
    let request = requests.recv().await.unwrap();
    assert_eq!(request.body, "Action=Publish&TopicArn=t&Message=m");

    for (action, why) in [
        ("start", "The integration calls \"states\", which is not a service of the local cloud."),
        ("locked", "API Gateway cannot assume the integration's role arn:aws:iam::000000000000:role/other."),
    ] {
        let answer: Value = serde_json::from_str(&asked(&mut client, action).await).unwrap();
        assert_eq!(answer["message"], "Internal server error", "{action}");
        let mut last = 0;
        let said = within(async {
            loop {
                let news = cloud.gateway.context.recorder.next(last, 1).await;
                last = news.last;
                let event = serde_json::to_value(&news.events[0]).unwrap();
                if event["why"]["what"] == why {
                    return true;
                }
            }
        });
        assert!(said.await);
    }
}

#[tokio::test]
async fn a_function_gets_what_the_template_makes_and_its_error_selects_the_response() {
    let function = Custom::new(json!({
        "integrationType": "AWS", "integrationMethod": "POST",
        "integrationUri": "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations",
        "requestTemplates": { "$default": "$input.json('$.payload')" },
    }));
    let function = function.response("/.*no such room.*/", "sorry").response("$default", "$input.json('$.got.x')");
    let (mut cloud, _) = Cloud::of(vec![("$default", function)]).await;
    let mut client = cloud.connect().await;
    assert_eq!(ask(&mut client, r#"{"payload":{"x":[1]}}"#).await, "[1]");
    assert_eq!(cloud.event().await, json!({ "x": [1] }));
    assert_eq!(ask(&mut client, r#"{"payload":{"fail":"now"}}"#).await, "sorry");
}

#[tokio::test]
async fn a_message_is_held_against_the_routes_model() {
    let (cloud, _) = Cloud::of(vec![("other", Custom::mock(r#"{"statusCode": 200}"#))]).await;
    let schema =
        json!({ "type": "object", "required": ["question"], "properties": { "question": { "maxLength": 3 } } });
    let model = json!({ "name": "ask", "contentType": "application/json", "schema": schema.to_string() });
    cloud.control("POST", &cloud.below("models"), model).await;
    let mut custom = Custom::mock(r#"{"statusCode": 200}"#).response("$default", "fine");
    custom.route = json!({ "modelSelectionExpression": "$default", "requestModels": { "$default": "ask" } });
    cloud.custom("ask", custom).await;
    let deployment = cloud.deploy().await;
    cloud.control("PATCH", &cloud.below("stages/prod"), json!({ "deploymentId": deployment })).await;
    let mut client = cloud.connect().await;
    assert_eq!(ask(&mut client, r#"{"action":"ask","question":"why"}"#).await, "fine");
    for message in [r#"{"action":"ask"}"#, r#"{"action":"ask","question":"long"}"#] {
        let answer: Value = serde_json::from_str(&ask(&mut client, message).await).unwrap();
        assert_eq!(answer["message"], "Invalid request body");
    }
    assert_eq!(
        cloud.why().await,
        "The message does not match the model ask: $ lacks the required property \"question\"."
    );
}

#[tokio::test]
async fn a_request_without_a_template_is_refused_where_nothing_passes() {
    let custom = Custom::new(json!({ "integrationType": "MOCK", "passthroughBehavior": "NEVER" }));
    let (cloud, _) = Cloud::of(vec![("$default", custom)]).await;
    let mut client = cloud.connect().await;
    let answer: Value = serde_json::from_str(&ask(&mut client, "{}").await).unwrap();
    assert_eq!(answer["message"], "Unsupported Media Type");
}

/// A handshake that is signed with an access key, in its query string.
fn signed_by(cloud: &Cloud, key: &str, secret: &str, token: Option<&str>) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::{Digest, Sha256};
    let now = time::OffsetDateTime::now_utc();
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let at = now.format(&format).unwrap();
    let scope = format!("{}/us-east-1/execute-api/aws4_request", &at[..8]);
    let token = token.map(|token| format!("&X-Amz-Security-Token={token}")).unwrap_or_default();
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={key}%2F{}&X-Amz-Date={at}&X-Amz-Expires=60{token}\
         &X-Amz-SignedHeaders=host",
        scope.replace('/', "%2F")
    );
    let host = cloud.address.to_string();
    let hash = |text: &str| hex::encode(Sha256::digest(text.as_bytes()));
    let canonical = format!("GET\n/{}/prod\n{query}\nhost:{host}\n\nhost\n{}", cloud.api, hash(""));
    let mut signing = format!("AWS4{secret}").into_bytes();
    for part in [
        &at[..8],
        "us-east-1",
        "execute-api",
        "aws4_request",
        &format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hash(&canonical)),
    ] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&signing).unwrap();
        mac.update(part.as_bytes());
        signing = mac.finalize().into_bytes().to_vec();
    }
    format!("ws://{host}/{}/prod?{query}&X-Amz-Signature={}", cloud.api, hex::encode(signing))
}

#[tokio::test]
async fn a_route_with_iam_authorization_takes_signed_handshakes() {
    let mut custom = Custom::mock(r#"{"statusCode": 200}"#);
    custom.route = json!({ "authorizationType": "AWS_IAM" });
    let (cloud, _) = Cloud::of(vec![("$connect", custom)]).await;
    assert_eq!(cloud.refused("prod").await.1["message"], "Missing Authentication Token");
    tokio_tungstenite::connect_async(signed_by(&cloud, "AKID", "secret", None)).await.unwrap();
    tokio_tungstenite::connect_async(signed_by(&cloud, "ASIA", "secret", Some("token"))).await.unwrap();
    let (no_match, no_token) =
        ("The request signature we calculated does not match", "security token included in the request");
    for (key, secret, token, message) in [
        ("AKID", "other", None, no_match),
        ("ASIA", "secret", None, no_token),
        ("ASIA", "secret", Some("other"), no_token),
        ("AKIE", "secret", None, no_token),
    ] {
        let signed = signed_by(&cloud, key, secret, token);
        let Err(Error::Http(response)) = tokio_tungstenite::connect_async(signed).await else {
            panic!("{key} {secret} {token:?}")
        };
        assert_eq!(response.status(), 403);
        let body = String::from_utf8(response.into_body().unwrap()).unwrap();
        assert!(body.contains(message), "{body}");
    }
}

#[tokio::test]
async fn a_route_that_requires_an_api_key_takes_those_of_its_usage_plans() {
    let mut custom = Custom::mock(r#"{"statusCode": 200}"#);
    custom.route = json!({ "apiKeyRequired": true });
    let (cloud, _) = Cloud::of(vec![("$connect", custom)]).await;
    let (status, body) = cloud.refused("prod").await;
    assert_eq!((status, &body["message"]), (403, &json!("Forbidden")));

    let check = |given: Option<&str>, stage: &str| {
        admission::by_api_key(&OneKey, "us-east-1", given, ("the API", stage)).is_ok()
    };
    assert!(check(Some("opens"), "prod"));
    for (given, stage) in [
        (None, "prod"),
        (Some(""), "prod"),
        (Some("other"), "prod"),
        (Some("opens"), "dev"),
        (Some("k2"), "prod"),
        (Some("k3"), "prod"),
    ] {
        assert!(!check(given, stage), "{given:?} {stage}");
    }
}
