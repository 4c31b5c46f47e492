//! Tests of the data plane over real sockets: a small server with the gateway, and a standard WebSocket client.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::management::Management;
use super::*;
use crate::local::context::conditions::Conditions;
use crate::local::context::ports::{Invoked, LogEvent};
use crate::local::context::store::Store;
use crate::local::eventually::PATIENCE;
use crate::local::lock::lock;
use crate::local::protocol::service::AnyService;
use crate::local::protocol::wire::Caller;

mod access_log;
mod authorizers;
mod integrations;
mod management;
mod recorded;
mod rfc6455;

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Handler = dyn Fn(&Value) -> Result<Value, &'static str> + Send + Sync;

/// A fake Lambda: one handler for all functions; it forwards its events to the test.
struct Lambda {
    handler: Box<Handler>,
    /// What an invocation with the body `wait` waits for.
    released: Arc<Notify>,
    events: mpsc::UnboundedSender<Value>,
}

#[async_trait]
impl Functions for Lambda {
    fn send_event(&self, _function_arn: &str, _payload: Bytes) -> Result<(), ApiError> {
        Ok(())
    }

    async fn invoke(
        &self,
        function_arn: &str,
        _invocation_id: &str,
        payload: Bytes,
        _gateway_request: &str,
    ) -> Result<Invoked, ApiError> {
        let event: Value = serde_json::from_slice(&payload).unwrap();
        match event["body"].as_str() {
            Some("wait") => self.released.notified().await,
            Some("sleep") => tokio::time::sleep(Duration::from_millis(200)).await,
            _ => {}
        }
        let outcome = if function_arn.ends_with(":silent") { Ok(json!({})) } else { (self.handler)(&event) };
        let _ = self.events.send(event);
        let (payload, function_error) = match outcome {
            Ok(value) => (value.to_string(), None),
            Err(message) => (json!({ "errorMessage": message }).to_string(), Some("Unhandled")),
        };
        Ok(Invoked { payload: payload.into(), function_error, log_tail: String::new(), version: "$LATEST".to_owned() })
    }

    fn exists(&self, _function_arn: &str) -> bool {
        true
    }

    fn permits(&self, function_arn: &str, service: &str, source_arn: &str) -> bool {
        assert_eq!(service, "apigateway.amazonaws.com");
        assert!(source_arn.starts_with("arn:aws:execute-api:us-east-1:000000000000:"), "{source_arn}");
        !function_arn.ends_with(":forbidden")
    }
}

/// Group and text of all logged lines; only the group `access` exists.
#[derive(Default)]
pub struct Lines(Mutex<Vec<(String, String)>>);

impl LogSink for Lines {
    fn append_if(&self, region: &str, group: &str, _stream: &str, events: Vec<LogEvent>, _: &dyn Fn() -> bool) {
        assert_eq!(region, "us-east-1");
        lock(&self.0).extend(events.into_iter().map(|event| (group.to_owned(), event.message)));
    }

    fn has_group(&self, _region: &str, group: &str) -> bool {
        group == "access"
    }
}

/// A route: its key, its function, whether it has a route response.
type RouteOf<'a> = (&'a str, &'a str, bool);

struct Cloud {
    gateway: Arc<ApiGateway>,
    management: Management,
    address: SocketAddr,
    api: String,
    released: Arc<Notify>,
    events: mpsc::UnboundedReceiver<Value>,
    lines: Arc<Lines>,
    _folder: tempfile::TempDir,
}

impl Cloud {
    async fn new(
        routes: &[RouteOf<'_>],
        handler: impl Fn(&Value) -> Result<Value, &'static str> + Send + Sync + 'static,
    ) -> Self {
        Self::with(Limits::default(), Conditions::default(), routes, handler).await
    }

    async fn with(
        limits: Limits,
        conditions: Conditions,
        routes: &[RouteOf<'_>],
        handler: impl Fn(&Value) -> Result<Value, &'static str> + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let context = CloudContext {
            port: address.port(),
            hosts: Default::default(),
            store: Store::open(folder.path()).unwrap(),
            conditions: Arc::new(conditions),
            ca_bundle: folder.path().join("ca.pem"),
            recorder: Arc::default(),
        };
        let (told, events) = mpsc::unbounded_channel();
        let lines = Arc::new(Lines::default());
        let released = Arc::new(Notify::new());
        let lambda = Arc::new(Lambda { handler: Box::new(handler), released: Arc::clone(&released), events: told });
        let gateway = ApiGateway::open_with(&context, lambda, lines.clone(), limits).unwrap();
        tokio::spawn(serve(listener, Arc::clone(&gateway)));
        let management = Management::new(Arc::clone(&gateway));
        let mut cloud =
            Self { gateway, management, address, api: String::new(), released, events, lines, _folder: folder };
        let api =
            json!({ "name": "chat", "protocolType": "WEBSOCKET", "routeSelectionExpression": "$request.body.action" });
        cloud.api = text(&cloud.control("POST", "apis", api).await["apiId"]);
        for (key, function, responds) in routes {
            cloud.route(key, function, *responds).await;
        }
        if !routes.is_empty() {
            let deployment = cloud.deploy().await;
            let stage = json!({ "stageName": "prod", "deploymentId": deployment });
            cloud.control("POST", &cloud.below("stages"), stage).await;
        }
        cloud
    }

    fn below(&self, path: &str) -> String {
        format!("apis/{}/{path}", self.api)
    }

    async fn route(&self, key: &str, function: &str, responds: bool) {
        let uri = format!(
            "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/\
             arn:aws:lambda:us-east-1:000000000000:function:{function}/invocations"
        );
        let integration = json!({ "integrationType": "AWS_PROXY", "integrationUri": uri, "timeoutInMillis": 5000 });
        let integration = self.control("POST", &self.below("integrations"), integration).await;
        let target = format!("integrations/{}", text(&integration["integrationId"]));
        let route = self.control("POST", &self.below("routes"), json!({ "routeKey": key, "target": target })).await;
        if responds {
            let path = self.below(&format!("routes/{}/routeresponses", text(&route["routeId"])));
            self.control("POST", &path, json!({ "routeResponseKey": "$default" })).await;
        }
    }

    async fn deploy(&self) -> String {
        text(&self.control("POST", &self.below("deployments"), json!({})).await["deploymentId"])
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let request = request(method, &format!("/v2/{path}"), body.to_string().into());
        let response = self.gateway.call(self.gateway.prepare(request).unwrap()).await.unwrap();
        serde_json::from_slice(&response.body).unwrap_or_default()
    }

    /// The answer of `@connections`: its status, and the body or the error's code.
    async fn manage(&self, method: &str, stage: &str, id: &str, body: impl Into<Bytes>) -> (u16, Value) {
        let path = format!("/{stage}/@connections/{}", id.replace('=', "%3D"));
        let request = request(method, &path, body.into());
        match self.management.call(self.management.prepare(request).unwrap()).await {
            Ok(response) => (response.status.as_u16(), serde_json::from_slice(&response.body).unwrap_or_default()),
            Err(error) => (error.status, json!(error.code)),
        }
    }

    async fn connect(&self) -> Client {
        self.try_connect("prod", None).await.unwrap()
    }

    async fn try_connect(&self, stage: &str, sub_protocol: Option<&str>) -> Result<Client, Error> {
        let url = format!("ws://{}/{}/{stage}?room=a", self.address, self.api);
        let mut request = url.into_client_request().unwrap();
        if let Some(sub_protocol) = sub_protocol {
            request.headers_mut().insert("Sec-WebSocket-Protocol", sub_protocol.parse().unwrap());
        }
        tokio_tungstenite::connect_async(request).await.map(|(client, _)| client)
    }

    /// The status and the body of a refused handshake.
    async fn refused(&self, stage: &str) -> (u16, Value) {
        match self.try_connect(stage, None).await {
            Err(Error::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                (response.status().as_u16(), serde_json::from_slice(body).unwrap_or_default())
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    async fn event(&mut self) -> Value {
        within(self.events.recv()).await.unwrap()
    }
}

async fn serve(listener: TcpListener, gateway: Arc<ApiGateway>) {
    while let Ok((socket, peer)) = listener.accept().await {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let gateway = Arc::clone(&gateway);
                async move { Ok::<_, std::convert::Infallible>(gateway.upgrade(request, peer).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .with_upgrades()
                .await;
        });
    }
}

fn request(method: &str, path: &str, body: Bytes) -> Request {
    Request {
        method: method.parse().unwrap(),
        path: path.to_owned(),
        query: Vec::new(),
        headers: http::HeaderMap::new(),
        body,
        file: None,
        caller: Caller { access_key: Some("AKID".to_owned()), region: "us-east-1".to_owned() },
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A time limit, so that a test that waits for something that never happens fails instead of hanging.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing came")
}

async fn next(client: &mut Client) -> Message {
    within(client.next()).await.unwrap().unwrap()
}

async fn next_json(client: &mut Client) -> Value {
    serde_json::from_str(next(client).await.to_text().unwrap()).unwrap()
}

async fn close_frame(client: &mut Client) -> (u16, String) {
    loop {
        if let Message::Close(frame) = next(client).await {
            let frame = frame.unwrap();
            return (frame.code.into(), frame.reason.to_string());
        }
    }
}

fn echo(event: &Value) -> Result<Value, &'static str> {
    match event["body"].as_str() {
        Some("fail") => Err("failed"),
        Some("nothing") => Ok(Value::Null),
        body => Ok(json!({ "statusCode": 200, "body": body })),
    }
}

/// A cloud whose conditions keep the messages of a client in order.
async fn ordered(routes: &[RouteOf<'_>], handler: fn(&Value) -> Result<Value, &'static str>) -> Cloud {
    let conditions = {
        let mut conditions = Conditions::default();
        conditions.ordered = true;
        conditions
    };
    Cloud::with(Limits::default(), conditions, routes, handler).await
}

const ALL: [RouteOf<'static>; 3] = [("$connect", "f", false), ("$default", "f", true), ("$disconnect", "f", false)];

#[tokio::test]
async fn connect_message_and_disconnect_each_send_an_event() {
    let mut cloud = Cloud::new(&ALL, echo).await;
    let mut client = cloud.connect().await;
    let connect = cloud.event().await;
    assert_eq!(connect["requestContext"]["eventType"], "CONNECT");
    assert_eq!(connect["requestContext"]["domainName"], format!("localhost:{}", cloud.address.port()));
    assert_eq!(connect["queryStringParameters"], json!({ "room": "a" }));
    assert_eq!(connect["headers"]["Sec-WebSocket-Version"], "13");
    let id = text(&connect["requestContext"]["connectionId"]);

    client.send(Message::text("hello")).await.unwrap();
    assert_eq!(next(&mut client).await, Message::text("hello"));
    let message = cloud.event().await;
    assert_eq!(message["requestContext"]["routeKey"], "$default");
    assert_eq!(message["requestContext"]["connectionId"], id.as_str());
    assert_eq!(message["requestContext"]["connectedAt"], connect["requestContext"]["connectedAt"]);

    client.close(Some(CloseFrame { code: CloseCode::Library(4001), reason: "bye".into() })).await.unwrap();
    let disconnect = cloud.event().await;
    assert_eq!(disconnect["requestContext"]["eventType"], "DISCONNECT");
    assert_eq!(disconnect["requestContext"]["disconnectStatusCode"], 4001);
    assert_eq!(disconnect["requestContext"]["disconnectReason"], "bye");
    assert_eq!(cloud.manage("POST", "prod", &id, "late").await, (410, json!("GoneException")));
}

#[tokio::test]
async fn disconnect_gets_the_close_code_and_reason() {
    let mut cloud = Cloud::new(&ALL, echo).await;
    let mut client = cloud.connect().await;
    cloud.event().await;
    client.close(None).await.unwrap();
    let context = cloud.event().await["requestContext"].take();
    assert_eq!(context["disconnectStatusCode"], 1005);
    assert_eq!(context["disconnectReason"], "Client-side close frame status not set");

    let client = cloud.connect().await;
    cloud.event().await;
    drop(client);
    assert_eq!(cloud.event().await["requestContext"]["disconnectStatusCode"], 1006);
}

#[tokio::test]
async fn connect_accepts_or_refuses_before_the_upgrade() {
    for (function, answer, status, message) in [
        ("f", Ok(json!({ "statusCode": 401 })), 401, "Unauthorized"),
        ("f", Ok(json!({ "statusCode": 403, "body": "no" })), 403, "Forbidden"),
        ("f", Ok(json!({ "statusCode": 500 })), 500, "Internal server error"),
        ("f", Ok(Value::Null), 502, "Internal server error"),
        ("f", Err("failed"), 502, "Internal server error"),
        ("forbidden", Ok(json!({ "statusCode": 200 })), 500, "Internal server error"),
    ] {
        let given = answer.clone();
        let cloud = Cloud::new(&[("$connect", function, false)], move |_| given.clone()).await;
        let (seen, body) = cloud.refused("prod").await;
        assert_eq!((seen, body["message"].as_str()), (status, Some(message)), "{function}: {answer:?}");
        assert_eq!(text(&body["connectionId"]).len(), 16);
    }
}

#[tokio::test]
async fn unknown_stages_are_forbidden_and_without_a_connect_route_all_clients_are_accepted() {
    let cloud = Cloud::new(&[("$default", "f", true)], echo).await;
    assert_eq!(cloud.refused("none").await, (403, json!({ "message": "Forbidden" })));
    let mut client = cloud.connect().await;
    client.send(Message::text("hi")).await.unwrap();
    assert_eq!(next(&mut client).await, Message::text("hi"));
}

#[tokio::test]
async fn the_sub_protocol_is_the_one_that_connect_returned() {
    let choose = |event: &Value| {
        assert_eq!(event["headers"]["Sec-WebSocket-Protocol"], "a, b");
        Ok(json!({ "statusCode": 200, "headers": { "sec-websocket-protocol": "b" } }))
    };
    let cloud = Cloud::new(&[("$connect", "f", false)], choose).await;
    let mut request = format!("ws://{}/{}/prod", cloud.address, cloud.api).into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "a, b".parse().unwrap());
    let (_client, response) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "b");
}

#[tokio::test]
async fn failures_are_told_in_frames_of_aws_shape() {
    let routes = [("join", "forbidden", false), ("$default", "f", false)];
    let cloud = Cloud::new(&routes, echo).await;
    let mut client = cloud.connect().await;
    for sent in ["fail", "nothing", r#"{"action":"join"}"#] {
        client.send(Message::text(sent)).await.unwrap();
        let frame = next_json(&mut client).await;
        assert_eq!(frame["message"], "Internal server error", "{sent}");
        assert_eq!((text(&frame["connectionId"]).len(), text(&frame["requestId"]).len()), (16, 16));
    }
    let cloud = Cloud::new(&[("join", "f", false)], echo).await;
    let mut client = cloud.connect().await;
    client.send(Message::text("hello")).await.unwrap();
    assert_eq!(next_json(&mut client).await["message"], "Forbidden");
}

#[tokio::test]
async fn an_integration_times_out() {
    let cloud = Cloud::new(&[("$default", "f", true)], echo).await;
    let integrations = cloud.control("GET", &cloud.below("integrations"), Value::Null).await;
    let path = cloud.below(&format!("integrations/{}", text(&integrations["items"][0]["integrationId"])));
    cloud.control("PATCH", &path, json!({ "timeoutInMillis": 50 })).await;
    let deployment = cloud.deploy().await;
    cloud.control("PATCH", &cloud.below("stages/prod"), json!({ "deploymentId": deployment })).await;
    let mut client = cloud.connect().await;
    client.send(Message::text("wait")).await.unwrap();
    assert_eq!(next_json(&mut client).await["message"], "Endpoint request timed out");
}

#[tokio::test]
async fn answers_come_only_through_a_route_response() {
    let cloud = ordered(&[("quiet", "f", false), ("$default", "f", true)], echo).await;
    let mut client = cloud.connect().await;
    for sent in ["sleep", r#"{"action":"quiet"}"#, "one", "two", "three"] {
        client.send(Message::text(sent)).await.unwrap();
    }
    for expected in ["sleep", "one", "two", "three"] {
        assert_eq!(next(&mut client).await, Message::text(expected));
    }
}

#[tokio::test]
async fn pings_are_answered_while_an_integration_runs() {
    let cloud = Cloud::new(&[("$default", "f", true)], echo).await;
    let mut client = cloud.connect().await;
    client.send(Message::text("wait")).await.unwrap();
    client.send(Message::Ping("p".into())).await.unwrap();
    assert_eq!(next(&mut client).await, Message::Pong("p".into()));
    cloud.released.notify_one();
    assert_eq!(next(&mut client).await, Message::text("wait"));
}

#[tokio::test]
async fn ordered_messages_sent_before_the_close_are_still_handled() {
    let mut cloud = ordered(&ALL, echo).await;
    let mut client = cloud.connect().await;
    for sent in ["sleep", "two"] {
        client.send(Message::text(sent)).await.unwrap();
    }
    client.close(None).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let event = cloud.event().await;
        seen.push(event["body"].as_str().map_or_else(|| text(&event["requestContext"]["eventType"]), str::to_owned));
    }
    assert_eq!(seen, ["CONNECT", "sleep", "two", "DISCONNECT"]);
}

#[tokio::test]
async fn messages_run_concurrently_and_disconnect_does_not_wait() {
    let mut cloud = Cloud::new(&ALL, echo).await;
    let mut client = cloud.connect().await;
    cloud.event().await;
    for sent in ["wait", "wait", "wait", "quick"] {
        client.send(Message::text(sent)).await.unwrap();
    }
    // Three handlers hold until they are released; neither a message nor the end of the connection waits for them.
    assert_eq!(cloud.event().await["body"], "quick");
    client.close(None).await.unwrap();
    assert_eq!(cloud.event().await["requestContext"]["eventType"], "DISCONNECT");
    for _ in 0..3 {
        cloud.released.notify_one();
        assert_eq!(cloud.event().await["body"], "wait");
    }
}

#[tokio::test]
async fn a_plain_get_on_a_stage_answers_426_with_the_url() {
    let cloud = Cloud::new(&ALL, echo).await;
    let path = format!("/{}/prod", cloud.api);
    let answer = cloud.gateway.without_upgrade(&request("GET", &path, Bytes::new())).unwrap();
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    assert_eq!(answer.status, 426);
    assert!(body.contains("ws://") && body.contains(&path), "{body}");
    assert!(cloud.gateway.without_upgrade(&request("GET", "/none/prod", Bytes::new())).is_none());
}

#[tokio::test]
async fn invalid_messages_close_the_connection() {
    let cloud = Cloud::new(&[("$default", "silent", false)], echo).await;
    for (message, code) in [
        (Message::binary(vec![1, 2, 3]), 1003),
        (Message::text("x".repeat(32 * 1024 + 1)), 1009),
        (Message::text("x".repeat(3 * 1024 * 1024)), 1009),
    ] {
        let mut client = cloud.connect().await;
        // The gateway may close the socket before the client has sent everything; only the close frame matters.
        let _ = client.send(message).await;
        assert_eq!(close_frame(&mut client).await.0, code);
    }
    let mut client = cloud.connect().await;
    client.send(Message::text("x".repeat(32 * 1024))).await.unwrap();
    client.send(Message::Ping("still there".into())).await.unwrap();
    assert_eq!(next(&mut client).await, Message::Pong("still there".into()));
}

#[tokio::test]
async fn idle_and_old_connections_are_closed() {
    let (soon, never) = (Duration::from_millis(50), Duration::from_secs(3600));
    for limits in [Limits { idle: soon, life: never }, Limits { idle: never, life: soon }] {
        let mut cloud = Cloud::with(limits, Conditions::default(), &ALL, echo).await;
        let mut client = cloud.connect().await;
        assert_eq!(close_frame(&mut client).await, (1001, "Going away".to_owned()));
        cloud.event().await;
        let context = cloud.event().await["requestContext"].take();
        assert_eq!(
            (&context["disconnectStatusCode"], &context["disconnectReason"]),
            (&json!(1001), &json!("Going away"))
        );
    }
}

#[tokio::test]
async fn a_stage_serves_a_new_deployment_to_open_sockets() {
    let mut cloud = Cloud::new(&[("$connect", "f", false), ("$default", "f", true)], echo).await;
    let mut client = cloud.connect().await;
    cloud.event().await;
    cloud.route("join", "f", false).await;
    client.send(Message::text(r#"{"action":"join"}"#)).await.unwrap();
    assert_eq!(cloud.event().await["requestContext"]["routeKey"], "$default");
    let deployment = cloud.deploy().await;
    cloud.control("PATCH", &cloud.below("stages/prod"), json!({ "deploymentId": deployment })).await;
    client.send(Message::text(r#"{"action":"join"}"#)).await.unwrap();
    assert_eq!(cloud.event().await["requestContext"]["routeKey"], "join");
}

#[tokio::test]
async fn deleting_the_api_closes_its_sockets() {
    let cloud = Cloud::new(&[("$default", "f", true)], echo).await;
    let mut client = cloud.connect().await;
    cloud.control("DELETE", &format!("apis/{}", cloud.api), Value::Null).await;
    assert_eq!(close_frame(&mut client).await.0, 1000);
    assert_eq!(cloud.refused("prod").await.0, 403);
}

#[tokio::test]
async fn a_throttle_of_zero_denies_everything() {
    let cloud = Cloud::new(&[("$default", "f", true)], echo).await;
    let mut client = cloud.connect().await;
    let settings = json!({ "defaultRouteSettings": { "throttlingRateLimit": 0.0 } });
    cloud.control("PATCH", &cloud.below("stages/prod"), settings).await;
    assert_eq!(cloud.refused("prod").await.0, 429);
    client.send(Message::text("hello")).await.unwrap();
    assert_eq!(next_json(&mut client).await["message"], "Too Many Requests");
}

#[tokio::test]
async fn a_throttle_above_zero_applies_to_each_route() {
    let cloud = Cloud::new(&[("$default", "f", true), ("free", "f", true)], echo).await;
    let slow = json!({ "throttlingRateLimit": 0.001, "throttlingBurstLimit": 1 });
    let settings = json!({ "routeSettings": { "$default": slow } });
    cloud.control("PATCH", &cloud.below("stages/prod"), settings).await;
    let mut client = cloud.connect().await;
    client.send(Message::text("one")).await.unwrap();
    assert_eq!(next(&mut client).await, Message::text("one"));
    client.send(Message::text("two")).await.unwrap();
    assert_eq!(next_json(&mut client).await["message"], "Too Many Requests");
    let free = r#"{"action":"free"}"#;
    for _ in 0..2 {
        client.send(Message::text(free)).await.unwrap();
        assert_eq!(next(&mut client).await, Message::text(free));
    }
    let settings = json!({ "defaultRouteSettings": { "throttlingRateLimit": 0.001, "throttlingBurstLimit": 1 } });
    cloud.control("PATCH", &cloud.below("stages/prod"), settings).await;
    let _second = cloud.connect().await;
    assert_eq!(cloud.refused("prod").await.0, 429);
}
