//! HTTP APIs beside a socket (`tests/fixtures/web`), deployed by the built binary and called by a client that is not ours.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::common::inventory::{Inventory, same};
use crate::common::template::{App, Template};
use crate::common::{Cloud, Run};

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Sends a request by hyper's client.
pub async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let uri: hyper::Uri = url.parse().unwrap();
    let authority = uri.authority().unwrap().as_str();
    let stream = TcpStream::connect(authority).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(uri.path_and_query().unwrap().as_str());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", authority);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response: Response<_> =
        sender.send_request(request.body(Full::new(Bytes::copy_from_slice(body))).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

pub async fn get(url: &str) -> Answer {
    send("GET", url, &[], b"").await
}

/// The outputs of the stack.
pub fn outputs(cloud: &Cloud) -> Value {
    let run = cloud.wschat(&["outputs", "--local", "--json"]).ok();
    let result: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    result["outputs"].clone()
}

fn output(cloud: &Cloud, name: &str) -> String {
    outputs(cloud)[name].as_str().unwrap().to_owned()
}

fn up(cloud: &Cloud) -> Run {
    cloud.wschat(&["up", "--local", "--yes"]).ok()
}

#[tokio::test]
async fn an_api_that_a_document_describes_is_served_as_on_aws() {
    let cloud = App::web().fast();
    let run = up(&cloud);
    let items = output(&cloud, "Items");
    assert!(items.starts_with(&format!("http://localhost:{}/", cloud.port())) && items.ends_with("/live"), "{items}");
    // The socket's address comes first, and alone for scripts.
    assert!(run.stdout.lines().next().unwrap().starts_with("ws://"), "{}", run.stdout);
    assert!(run.stdout.lines().any(|line| line == items), "{}", run.stdout);
    let url = cloud.wschat(&["url", "--local"]).ok();
    assert!(url.stdout.starts_with("ws://") && url.stdout.lines().count() == 1, "{}", url.stdout);
    up(&cloud).changes_nothing();

    let answer = send("GET", &format!("{items}/items/a%20b?x=1&x=2"), &[("Cookie", "k=v"), ("X-A", "1")], b"").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let event = answer.json();
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "GET /items/{id}");
    assert_eq!(event["rawPath"], "/live/items/a b");
    assert_eq!(event["pathParameters"], json!({ "id": "a b" }));
    assert_eq!(event["queryStringParameters"], json!({ "x": "1,2" }));
    assert_eq!(event["cookies"], json!(["k=v"]));
    assert_eq!(event["headers"]["x-a"], "1");
    assert_eq!(event["stageVariables"], json!({ "color": "blue" }));
    assert_eq!(event["requestContext"]["stage"], "live");
    assert_eq!(event["requestContext"]["http"]["method"], "GET");

    let old = send("PUT", &format!("{items}/old/x/y"), &[("Content-Type", "text/plain")], b"hello").await.json();
    assert_eq!(
        (&old["version"], &old["httpMethod"], &old["path"]),
        (&json!("1.0"), &json!("PUT"), &json!("/live/old/x/y"))
    );
    assert_eq!((&old["resource"], &old["pathParameters"]["proxy"]), (&json!("/old/{proxy+}"), &json!("x/y")));
    assert_eq!((&old["body"], &old["isBase64Encoded"]), (&json!("hello"), &json!(false)));

    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let posted = send("POST", &format!("{items}/items"), &form, b"a=1").await.json();
    assert_eq!((&posted["body"], &posted["isBase64Encoded"]), (&json!("YT0x"), &json!(true)));

    for (path, status, content_type, body) in [
        ("items/inferred", 200, "application/json", &br#"{"inferred":true}"#[..]),
        ("items/cookies", 201, "text/plain; charset=utf-8", b"made"),
        ("items/binary", 200, "image/png", &[0x89, b'P', b'N', b'G']),
        ("items/fail", 500, "application/json", br#"{"message":"Internal Server Error"}"#),
        ("items/malformed", 500, "application/json", br#"{"message":"Internal Server Error"}"#),
        ("nowhere", 404, "application/json", br#"{"message":"Not Found"}"#),
        ("items", 404, "application/json", br#"{"message":"Not Found"}"#),
    ] {
        let answer = get(&format!("{items}/{path}")).await;
        let seen = (answer.status, answer.header("content-type"), &answer.body[..]);
        assert_eq!(seen, (status, content_type, body), "{path}");
    }
    let cookies = get(&format!("{items}/items/cookies")).await;
    let set: Vec<_> = cookies.headers.get_all("set-cookie").iter().collect();
    assert_eq!(set, ["a=1", "b=2"]);

    let preflight = [("Origin", "https://app.example.com"), ("Access-Control-Request-Method", "POST")];
    let answer = send("OPTIONS", &format!("{items}/items"), &preflight, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-methods")), (204, "GET,POST"));
    let page = [("Origin", "https://app.example.com")];
    let answer = send("GET", &format!("{items}/items/1"), &page, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "https://app.example.com"));
    let page = [("Origin", "https://evil.example.com")];
    let answer = send("GET", &format!("{items}/items/1"), &page, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""));

    // By its host name, as on AWS.
    let id = items.rsplit('/').nth(1).unwrap();
    let host = format!("{id}.execute-api.localhost:{}", cloud.port());
    let url = format!("http://localhost:{}/live/items/1", cloud.port());
    assert_eq!(send("GET", &url, &[("Host", &host)], b"").await.json()["rawPath"], "/live/items/1");

    let too_large = vec![b'x'; 10 * 1024 * 1024 + 1];
    assert_eq!(send("POST", &format!("{items}/items"), &[], &too_large).await.status, 413);

    cloud.down();
    assert_eq!(get(&format!("http://localhost:{}/{id}/live/items/1", cloud.port())).await.status, 400);
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn an_api_of_resources_asks_its_authorizer() {
    let cloud = App::web().fast();
    up(&cloud);
    let hooks = output(&cloud, "Hooks");
    let url = format!("{hooks}/hooks/mail");
    for (authorization, status, message) in
        [(None, 401, "Unauthorized"), (Some("shut"), 403, "Forbidden"), (Some("throw"), 401, "Unauthorized")]
    {
        let headers: Vec<(&str, &str)> = authorization.iter().map(|value| ("Authorization", *value)).collect();
        let answer = send("POST", &url, &headers, b"").await;
        assert_eq!((answer.status, answer.json()["message"].as_str().unwrap()), (status, message), "{authorization:?}");
    }
    let answer = send("POST", &url, &[("Authorization", "open"), ("Content-Type", "application/json")], b"{}").await;
    assert_eq!((answer.status, answer.header("x-by")), (200, "hooks"));
    let event = answer.json();
    assert_eq!(event["requestContext"]["authorizer"], json!({ "lambda": { "who": "me", "source": "mail" } }));
    assert_eq!(event["rawPath"], "/hooks/mail");
    assert_eq!(event["headers"]["x-request"], event["requestContext"]["requestId"]);

    // Whatever no other route takes, and the API of quick create.
    assert_eq!(get(&format!("{hooks}/anything")).await.json()["routeKey"], "$default");
    assert_eq!(get(&format!("{}/x", output(&cloud, "Quick"))).await.json()["routeKey"], "$default");
    // What runs is in the log, with its route.
    let logs = cloud.wschat(&["logs", "--local"]).ok();
    assert!(logs.stdout.contains("POST /hooks/{source}"), "{}", logs.stdout);
}

/// The headers of a request that is signed. (A cloud that takes any key does not look at the signature itself.)
pub const SIGNED: [(&str, &str); 2] = [
    ("X-Amz-Date", "20260101T000000Z"),
    (
        "Authorization",
        "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/execute-api/aws4_request, SignedHeaders=host, Signature=00",
    ),
];

#[tokio::test]
async fn a_function_is_told_who_signed_a_request() {
    let cloud = App::web().fast();
    let mut template = Template::of("tests/fixtures/web/template.yaml");
    template.set("HookRoute.AuthorizationType", "AWS_IAM".into());
    template.remove("HookRoute.AuthorizerId");
    template.save_as(&cloud, "template.yaml");
    up(&cloud);
    let url = format!("{}/hooks/mail", output(&cloud, "Hooks"));
    let answer = send("POST", &url, &[], b"").await;
    assert_eq!((answer.status, answer.json()["message"].as_str().unwrap()), (403, "Forbidden"));
    let event = send("POST", &url, &SIGNED, b"").await.json();
    let said = &event["requestContext"]["authorizer"]["iam"];
    assert_eq!(
        (&said["userArn"], &said["accountId"], &said["accessKey"]),
        (&json!("arn:aws:iam::000000000000:user/local"), &json!("000000000000"), &json!(null))
    );
    assert!(said["userId"].as_str().unwrap().starts_with("AIDA"), "{said}");
    // With format 1.0 it is told elsewhere.
    template.set("HooksIntegration.PayloadFormatVersion", "1.0".into());
    template.save_as(&cloud, "template.yaml");
    up(&cloud);
    let event = send("POST", &url, &SIGNED, b"").await.json();
    assert_eq!(event["requestContext"]["identity"]["userArn"], "arn:aws:iam::000000000000:user/local");
}

#[tokio::test]
async fn a_changed_route_goes_live() {
    let cloud = App::web().fast();
    up(&cloud);
    let (items, hooks) = (output(&cloud, "Items"), output(&cloud, "Hooks"));
    let mut template = Template::of("tests/fixtures/web/template.yaml");
    template.set("ItemsFunction.Events.Get.Properties.Path", "/things/{id}".into());
    template.set("HookRoute.RouteKey", "PUT /hooks/{source}".into());
    template.save_as(&cloud, "template.yaml");
    up(&cloud);
    assert_eq!((output(&cloud, "Items"), output(&cloud, "Hooks")), (items.clone(), hooks.clone()), "the same APIs");
    assert_eq!(get(&format!("{items}/things/1")).await.json()["routeKey"], "GET /things/{id}");
    assert_eq!(get(&format!("{items}/items/1")).await.status, 404);
    let put = send("PUT", &format!("{hooks}/hooks/a"), &[("Authorization", "open")], b"").await;
    assert_eq!(put.json()["routeKey"], "PUT /hooks/{source}");
    up(&cloud).changes_nothing();
    // CORS goes, and comes back, without a new API.
    template.remove("Items.CorsConfiguration");
    template.save_as(&cloud, "template.yaml");
    up(&cloud);
    let page = [("Origin", "https://app.example.com")];
    let answer = send("GET", &format!("{items}/things/1"), &page, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""));
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[test]
fn what_an_api_of_the_other_protocol_has_is_refused_in_words() {
    let cloud = App::web().fast();
    let said = |change: &dyn Fn(&mut Template)| {
        let mut template = Template::of("tests/fixtures/web/template.yaml");
        change(&mut template);
        template.save_as(&cloud, "template.yaml");
        let run = cloud.wschat(&["validate"]).exits(1);
        run.stdout + &run.stderr
    };
    for (path, value, expected) in [
        (
            "Socket.CorsConfiguration",
            json!({ "AllowOrigins": ["*"] }),
            "CorsConfiguration of AWS::ApiGatewayV2::Api cannot be used",
        ),
        (
            "SocketRoute.AuthorizationScopes",
            json!(["a"]),
            "AuthorizationScopes of AWS::ApiGatewayV2::Route cannot be used",
        ),
        ("SocketStage.StageName", json!("$default"), "StageName cannot be \"$default\""),
        ("SocketIntegration.TimeoutInMillis", json!(29_500), "TimeoutInMillis must be from 50 to 29000, not 29500"),
        ("HooksIntegration.TimeoutInMillis", json!(30_001), "TimeoutInMillis must be from 50 to 30000, not 30001"),
        ("HooksIntegration.IntegrationType", json!("MOCK"), "an HTTP API has no MOCK integrations"),
        (
            "HooksIntegration.RequestTemplates",
            json!({ "a": "b" }),
            "RequestTemplates of AWS::ApiGatewayV2::Integration cannot be used",
        ),
        ("HookRoute.RouteKey", json!("hooks"), "\"hooks\" is not the key of a route of an HTTP API"),
        ("HookRoute.ApiKeyRequired", json!(true), "HTTP APIs have no API keys"),
        ("HooksStage.DefaultRouteSettings", json!({ "LoggingLevel": "INFO" }), "HTTP APIs have no execution logs"),
        ("Guard.IdentitySource", json!(["route.request.header.A"]), "cannot be an identity source of an HTTP API"),
        (
            "Hooks.RouteSelectionExpression",
            json!("$request.body.action"),
            "the RouteSelectionExpression of an HTTP API is",
        ),
        ("HookRoute.ApiId", json!({ "Ref": "Items" }), "Items is described by its Body"),
    ] {
        let text = said(&|template| template.set(path, value.clone()));
        assert!(text.contains(expected), "{path}: {text}");
    }
}
