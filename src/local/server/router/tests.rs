use std::fs;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use tokio::sync::Notify;

use super::*;
use crate::core::iam::need::Need;
use crate::local::context::store::Store;
use crate::local::protocol::operation::OperationEffect;
use crate::local::protocol::service::testing;
use crate::local::protocol::signature::Scope;
use crate::local::server::call_log;

/// A service that answers every operation with its name, refuses "Refuse" and panics at "Panic".
struct Fake {
    protocol: Protocol,
    operations: &'static [Operation],
    /// "Wait" waits for `go` and notifies `done`.
    go: Arc<Notify>,
    done: Arc<Notify>,
}

impl Fake {
    fn new(name: &'static str, protocol: Protocol) -> Self {
        let operations: Vec<Operation> = ["CreateThing", "GetThing", "Refuse", "RefuseAtLength", "Panic", "Wait"]
            .map(|operation| {
                let effect = if operation == "GetThing" { OperationEffect::Reads } else { OperationEffect::Changes };
                Operation { effect, path: "/v2/apis/{apiId}", ..Operation::in_test(name, operation) }
            })
            .into();
        Self { protocol, operations: operations.leak(), go: Arc::default(), done: Arc::default() }
    }
}

#[async_trait]
impl AnyService for Fake {
    fn name(&self) -> &'static str {
        let Operation { service, .. } = self.operations[0];
        service
    }

    fn targets(&self) -> &'static [&'static str] {
        match self.name() {
            "dynamodb" => &["DynamoDB_20120810.", "DynamoDBStreams_20120810."],
            "logs" => &["Logs_20140328."],
            _ => &[],
        }
    }

    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn operation(&self, request: &Request) -> Result<&'static Operation, ApiError> {
        let asked = request.query("op").unwrap_or("GetThing");
        let unknown = || ApiError::new(404, "UnknownOperationException", "");
        self.operations.iter().find(|operation| operation.name == asked).ok_or_else(unknown)
    }

    fn prepare(&self, request: Request) -> Result<ServiceCall, ApiError> {
        Ok(testing::call(self.operation(&request)?, vec!["api".to_owned()], request))
    }

    fn incoming(&self) -> Option<std::path::PathBuf> {
        None
    }

    fn admits_anyone(&self, _head: &Request) -> bool {
        false
    }

    fn shared(&self, _head: &Request) -> Option<HeaderMap> {
        None
    }

    fn refuse_large(&self, operation: &Operation) -> ApiError {
        ApiError::new(413, "RequestEntityTooLargeException", format!("{} is too large.", operation.name))
    }

    fn needs(&self, _call: &ServiceCall) -> Vec<Need> {
        vec![Need::new("fake:Do", "*")]
    }

    async fn call(&self, call: ServiceCall) -> Result<Response, ApiError> {
        match call.operation.name {
            "Refuse" => Err(ApiError::new(404, "NotFoundException", "No such thing.").with("Type", "User")),
            "RefuseAtLength" => Err(ApiError::new(400, "com.amazon.coral.validate#ValidationException", "No.")),
            "Panic" => panic!("the fake panics"),
            "Wait" => {
                self.go.notified().await;
                self.done.notify_one();
                Ok(Response::empty(204))
            }
            _ => Ok(Response::json(200, &serde_json::json!({ "by": self.name() }))),
        }
    }
}

struct Fixture {
    folder: tempfile::TempDir,
    router: Arc<Router>,
}

impl Fixture {
    fn new(conditions: &str) -> Self {
        let services: [(&'static str, Protocol); 9] = [
            ("apigatewayv2", Protocol::RestJson { capital_message: false }),
            ("cloudformation", Protocol::Query("http://cloudformation.amazonaws.com/doc/2010-05-15/")),
            ("dynamodb", Protocol::AwsJson10),
            ("execute-api", Protocol::RestJson { capital_message: false }),
            ("iam", Protocol::Query("https://iam.amazonaws.com/doc/2010-05-08/")),
            ("lambda", Protocol::RestJson { capital_message: true }),
            ("logs", Protocol::AwsJson11),
            ("sts", Protocol::Query("https://sts.amazonaws.com/doc/2011-06-15/")),
            ("tagging", Protocol::AwsJson11),
        ];
        let fake = |(name, protocol)| Arc::new(Fake::new(name, protocol)) as Arc<dyn AnyService>;
        Self::with(services.into_iter().map(fake).collect(), conditions)
    }

    fn with(services: Vec<Arc<dyn AnyService>>, conditions: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let calls = CallLog::open(&Store::open(folder.path()).unwrap()).unwrap();
        let conditions = Arc::new(Conditions::parse(conditions, &[&Operation::in_test("lambda", "GetThing")]).unwrap());
        Self { folder, router: Arc::new(Router::new(services, conditions, calls)) }
    }

    fn served(&self, request: &Request) -> Option<&'static str> {
        self.router.service_of(request).map(|service| service.name())
    }

    fn calls(&self) -> Vec<LoggedCall> {
        let text = fs::read_to_string(self.folder.path().join(call_log::FILE)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn request(method: Method, uri: &str, headers: &[(&'static str, &str)], body: &'static str) -> Request {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    let query = decode_query(query.as_bytes());
    let scope = scope(&headers, &query);
    Request {
        method,
        path: path.to_owned(),
        body: Bytes::from_static(body.as_bytes()),
        file: None,
        caller: Caller {
            region: scope.as_ref().map_or("us-east-1", |scope| &scope.region).to_owned(),
            access_key: scope.map(|scope| scope.access_key),
        },
        headers,
        query,
    }
}

fn signed(service: &str, uri: &str) -> Request {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/{service}/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=00"
    );
    request(Method::POST, uri, &[("authorization", &authorization)], "")
}

#[test]
fn a_signature_names_the_service() {
    let fixture = Fixture::new("");
    for service in ["cloudformation", "dynamodb", "execute-api", "iam", "lambda", "logs", "sts", "tagging"] {
        assert_eq!(fixture.served(&signed(service, "/")), Some(service));
    }
    assert_eq!(fixture.served(&signed("apigateway", "/v2/apis")), Some("apigatewayv2"));
    assert_eq!(fixture.served(&signed("s3", "/bucket")), None);
    // The signature decides, not the path.
    assert_eq!(fixture.served(&signed("execute-api", "/v2/@connections/1")), Some("execute-api"));

    let presigned = "/?X-Amz-Credential=AKID%2F20260101%2Feu-west-1%2Fsts%2Faws4_request&X-Amz-Date=1";
    assert_eq!(fixture.served(&request(Method::GET, presigned, &[], "")), Some("sts"));
}

#[test]
fn an_incomplete_credential_scope_is_not_read() {
    let read = |authorization: &str| {
        let headers = [(http::header::AUTHORIZATION, authorization.parse().unwrap())].into_iter().collect();
        scope(&headers, &[])
    };
    let [access_key, date, region, service] = ["AKID", "20260101", "eu-west-1", "lambda"].map(str::to_owned);
    let expected = Scope { access_key, date, region, service };
    assert_eq!(
        read("AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/lambda/aws4_request,SignedHeaders=host"),
        Some(expected)
    );
    for broken in ["Bearer x", "AWS4-HMAC-SHA256 Credential=AKID/20260101/lambda/aws4_request", "Credential="] {
        assert_eq!(read(broken), None, "{broken}");
    }
}

#[test]
fn unsigned_requests_are_routed_by_their_form() {
    let fixture = Fixture::new("");
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    let target = |target| [("x-amz-target", target)];
    for (request, service) in [
        (request(Method::POST, "/", &target("DynamoDB_20120810.PutItem"), "{}"), Some("dynamodb")),
        (request(Method::POST, "/", &target("DynamoDBStreams_20120810.GetRecords"), "{}"), Some("dynamodb")),
        (request(Method::POST, "/", &target("Logs_20140328.PutLogEvents"), "{}"), Some("logs")),
        (request(Method::POST, "/", &target("AmazonSQS.SendMessage"), "{}"), None),
        (request(Method::POST, "/production/@connections/a%3D", &[], "hi"), Some("execute-api")),
        (request(Method::GET, "/v2/apis", &[], ""), Some("apigatewayv2")),
        (request(Method::GET, "/2015-03-31/functions", &[], ""), Some("lambda")),
        (request(Method::POST, "/", &form, "Action=ListRoles&Version=2010-05-08"), Some("iam")),
        (request(Method::POST, "/", &form, "Action=GetCallerIdentity&Version=2011-06-15"), Some("sts")),
        (request(Method::GET, "/?Action=ListStacks&Version=2010-05-15", &[], ""), Some("cloudformation")),
        (request(Method::POST, "/", &[], "Action=ListRoles&Version=2010-05-08"), None),
        (request(Method::GET, "/favicon.ico", &[], ""), None),
    ] {
        assert_eq!(fixture.served(&request), service, "{request:?}");
    }
}

#[tokio::test]
async fn answers_and_errors_are_in_the_services_protocol() {
    let fixture = Fixture::new("");
    for (service, uri, status, content_type, body) in [
        ("dynamodb", "/", 200, "application/x-amz-json-1.0", r#"{"by":"dynamodb"}"#),
        ("logs", "/", 200, "application/x-amz-json-1.1", r#"{"by":"logs"}"#),
        ("lambda", "/", 200, "application/json", r#"{"by":"lambda"}"#),
        ("lambda", "/?op=Refuse", 404, "application/json", r#"{"Type":"User","Message":"No such thing."}"#),
        (
            "logs",
            "/?op=Refuse",
            404,
            "application/x-amz-json-1.1",
            r#"{"Type":"User","__type":"NotFoundException","message":"No such thing."}"#,
        ),
    ] {
        let answer = fixture.router.answer(signed(service, uri)).await;
        assert_eq!(answer.status, status, "{service}{uri}");
        assert_eq!(answer.headers["content-type"], content_type);
        assert_eq!(answer.body, body);
        assert!(Uuid::parse_str(answer.headers[REQUEST_ID].to_str().unwrap()).is_ok());
    }
    let answer = fixture.router.answer(signed("iam", "/?op=Refuse")).await;
    let id = answer.headers[REQUEST_ID].to_str().unwrap();
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(body.contains("<Code>NotFoundException</Code>") && body.contains(id), "{body}");
}

#[tokio::test]
async fn every_call_is_logged_as_it_was_answered() {
    let fixture = Fixture::new("");
    let mut ids = Vec::new();
    for uri in ["/", "/?op=CreateThing", "/?op=Refuse", "/?op=RefuseAtLength", "/?op=Nonsense"] {
        let answer = fixture.router.answer(signed("lambda", uri)).await;
        ids.push(answer.headers[REQUEST_ID].to_str().unwrap().to_owned());
    }
    let calls = fixture.calls();
    let seen: Vec<_> =
        calls.iter().map(|call| (&*call.operation, call.status, call.code.as_deref(), call.mutating)).collect();
    assert_eq!(
        seen,
        [
            ("GetThing", 200, None, false),
            ("CreateThing", 200, None, true),
            ("Refuse", 404, Some("NotFoundException"), true),
            ("RefuseAtLength", 400, Some("ValidationException"), true),
            ("", 404, Some("UnknownOperationException"), true),
        ]
    );
    assert_eq!(calls.iter().map(|call| call.request_id.clone()).collect::<Vec<_>>(), ids);
    assert!(calls.iter().all(|call| call.region == "eu-west-1" && call.access_key.as_deref() == Some("AKID")));
}

#[tokio::test]
async fn an_unknown_service_is_refused_with_the_list_of_services() {
    let fixture = Fixture::new("");
    let answer = fixture.router.answer(signed("s3", "/bucket")).await;
    assert_eq!(answer.status, 400);
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    let message = "\\\"s3\\\" is not a service of the local cloud. It serves apigatewayv2, cloudformation, dynamodb";
    assert!(body.contains(message), "{body}");
    assert_eq!(fixture.calls()[0].code.as_deref(), Some("UnknownServiceException"));
}

#[tokio::test]
async fn a_panic_is_an_internal_failure_and_the_server_goes_on() {
    let fixture = Fixture::new("");
    let answer = fixture.router.answer(signed("lambda", "/?op=Panic")).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.headers["x-amzn-errortype"], "InternalFailure");
    assert_eq!(fixture.calls()[0].code.as_deref(), Some("InternalFailure"));
    assert_eq!(fixture.router.answer(signed("lambda", "/")).await.status, 200);
}

#[tokio::test]
async fn a_call_runs_to_its_end_after_the_client_disconnects() {
    let fake = Fake::new("lambda", Protocol::RestJson { capital_message: true });
    let (go, done) = (Arc::clone(&fake.go), Arc::clone(&fake.done));
    let fixture = Fixture::with(vec![Arc::new(fake)], "");
    let hung_up = tokio::spawn({
        let router = Arc::clone(&fixture.router);
        async move { router.answer(signed("lambda", "/?op=Wait")).await }
    });
    tokio::task::yield_now().await;
    hung_up.abort();
    assert!(hung_up.await.is_err());
    go.notify_one();
    done.notified().await;
}

#[tokio::test]
async fn conditions_delay_throttle_and_collide() {
    let fixture = Fixture::new(
        "[latency_ms]\ndefault = 20\n[throttle]\n\"lambda.*\" = { rate = 0.01, burst = 1 }\n\
         [conflict]\napigatewayv2_same_api = 1\nseed = 1",
    );
    let start = Instant::now();
    assert_eq!(fixture.router.answer(signed("lambda", "/")).await.status, 200);
    let throttled = fixture.router.answer(signed("lambda", "/")).await;
    assert_eq!(throttled.status, 429);
    assert_eq!(throttled.headers["x-amzn-errortype"], "TooManyRequestsException");
    // A refused call has the same latency.
    assert!(start.elapsed().as_millis() >= 40);

    // Two mutations of one API: the second arrives while the first is in progress.
    let held = fixture.router.conditions.begin_mutation("api");
    let conflict = fixture.router.answer(signed("apigateway", "/?op=CreateThing")).await;
    assert_eq!(conflict.status, 409);
    assert_eq!(conflict.headers["x-amzn-errortype"], "ConflictException");
    assert_eq!(fixture.router.answer(signed("apigateway", "/?op=GetThing")).await.status, 200);
    drop(held);
    assert_eq!(fixture.router.answer(signed("apigateway", "/?op=CreateThing")).await.status, 200);
}

#[test]
fn a_request_may_be_as_large_as_its_operation_allows() {
    let mut fake = Fake::new("lambda", Protocol::RestJson { capital_message: true });
    let operations = fake.operations.iter().map(|operation| Operation { body_limit: 7, ..*operation });
    fake.operations = operations.collect::<Vec<_>>().leak();
    let fixture = Fixture::with(vec![Arc::new(fake)], "");
    assert_eq!(fixture.router.body_limit(&signed("lambda", "/?op=CreateThing")), 7);
    for unknown in [signed("lambda", "/?op=Nonsense"), signed("s3", "/bucket")] {
        assert_eq!(fixture.router.body_limit(&unknown), MAX_BODY);
    }
    for (uri, message) in [
        ("/?op=CreateThing", "CreateThing is too large."),
        ("/?op=Nonsense", "Request must be smaller than 16777216 bytes"),
    ] {
        let answer = fixture.router.too_large(&signed("lambda", uri));
        assert_eq!(answer.status, 413);
        assert_eq!(answer.body, format!(r#"{{"Message":"{message}"}}"#));
    }
}

#[tokio::test]
async fn a_get_request_changes_nothing() {
    let fixture = Fixture::new("");
    for (operation, status) in [("GetThing", 200), ("CreateThing", 400)] {
        let request = Request { method: Method::GET, ..signed("iam", &format!("/?op={operation}")) };
        assert_eq!(fixture.router.answer(request).await.status, status, "{operation}");
    }
}

/// An authorizer that refuses all calls and checks the permissions it is given.
struct RefuseAll;

impl Authorizer for RefuseAll {
    fn authorize(&self, service: &str, _request: &Request, needs: &[Need]) -> Result<(), ApiError> {
        assert_eq!(needs, [Need::new("fake:Do", "*")]);
        Err(ApiError::new(403, "AccessDeniedException", format!("No calls of {service}.")))
    }
}

#[tokio::test]
async fn unauthorized_calls_do_not_reach_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let calls = CallLog::open(&Store::open(folder.path()).unwrap()).unwrap();
    let services: Vec<Arc<dyn AnyService>> =
        vec![Arc::new(Fake::new("lambda", Protocol::RestJson { capital_message: true }))];
    let router = Router::new(services, Arc::default(), calls).guarded(None, Some(Arc::new(RefuseAll)));
    let response = Arc::new(router).answer(request(Method::POST, "/2015-03-31/functions?op=Panic", &[], "")).await;
    assert_eq!(response.status, 403);
    assert_eq!(response.headers["x-amzn-errortype"], "AccessDeniedException");
    assert_eq!(&response.body[..], br#"{"Message":"No calls of lambda."}"#);
}
