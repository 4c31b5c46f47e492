use std::net::Ipv4Addr;
use std::path::PathBuf;

use aws_credential_types::Credentials;
use aws_sdk_sts::config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::local::context::conditions::Conditions;
use crate::local::context::ports::NoRoles;
use crate::local::context::store::Store;
use crate::local::eventually::PATIENCE;
use crate::local::protocol::service::{Found, Permissions, Row, Service, ServiceCall};
use crate::local::protocol::signature::sign;
use crate::local::protocol::wire::{ApiError, Protocol};
use crate::local::server::access::{AccessKey, Guard, KnownCallers};
use crate::local::server::call_log::CallLog;
use crate::local::server::tls;

/// A minimal STS, sufficient for the SDK.
struct Sts;

#[async_trait]
impl Service for Sts {
    type Run = ();

    const NAME: &'static str = "sts";
    const PROTOCOL: Protocol = Protocol::Query("https://sts.amazonaws.com/doc/2011-06-15/");
    const OPERATIONS: &'static [Row<Self>] =
        &[Row::<Self>::named("GetCallerIdentity", OperationEffect::Reads, Permissions::None("a test"), ())];

    /// Every request is for the one operation.
    fn find(_request: &Request) -> Result<Found, ApiError> {
        Ok((0, Vec::new()))
    }

    async fn run(&self, (): (), call: ServiceCall) -> Result<Response, ApiError> {
        let body = format!(
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{}</Arn><UserId>{}</UserId>\
             <Account>000000000000</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
            call.region(),
            call.request.body.len()
        );
        Ok(Response::xml(200, body))
    }
}

/// Refuses every WebSocket with the requested path in the answer.
struct Refusing;

#[async_trait]
impl WebSockets for Refusing {
    async fn upgrade(&self, request: hyper::Request<Incoming>, _peer: SocketAddr) -> hyper::Response<Full<Bytes>> {
        let mut answer = hyper::Response::new(Full::new(request.uri().path().to_owned().into()));
        *answer.status_mut() = http::StatusCode::UNAUTHORIZED;
        answer
    }
}

fn guard() -> Guard {
    let key = AccessKey { id: "LKIA1".to_owned(), secret: "secret".to_owned() };
    let callers = KnownCallers { key, open: false, roles: Arc::new(NoRoles), authorizer: None };
    Guard::new(Arc::new(callers), "wschat env --data /srv/app".to_owned())
}

struct Running {
    folder: tempfile::TempDir,
    port: u16,
    server: Arc<Server>,
    serving: JoinHandle<()>,
}

impl Running {
    async fn start() -> Self {
        Self::under(Conditions::default()).await
    }

    async fn under(conditions: Conditions) -> Self {
        Self::with(conditions, false)
    }

    /// With `guarded`, callers need the access key `LKIA1`.
    fn with(conditions: Conditions, guarded: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let calls = CallLog::open(&store).unwrap();
        let router = Router::new(vec![Arc::new(Sts)], Arc::new(conditions), calls);
        let server = Arc::new(Server {
            router: Arc::new(if guarded { router.guarded(Some(guard()), None) } else { router }),
            sockets: Arc::new(Refusing),
            console: None,
            tls: tls::open(&store).unwrap().acceptor,
            health: Health {
                name: "wschat".to_owned(),
                version: "1".to_owned(),
                pid: 7,
                data: "here".to_owned(),
                started: "now".to_owned(),
            },
            open: false,
            hosts: Hosts::default(),
            origins: vec!["https://app.example.com".parse().unwrap()],
            control: None,
            token: "secret".to_owned(),
            stop: watch::Sender::new(false),
        });
        let listeners = Listeners::bind(None, 0).unwrap();
        let port = listeners.port();
        let serving = tokio::spawn(Arc::clone(&server).run(listeners));
        Self { folder, port, server, serving }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap()
    }

    /// Sends raw bytes as a peer on another machine, keeps the connection open, and returns everything received.
    async fn exchange_remotely(&self, request: &str) -> String {
        let (mut stream, served) = tokio::io::duplex(1 << 16);
        tokio::spawn(Arc::clone(&self.server).serve_http(served, "192.168.1.9:50000".parse().unwrap()));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Sends raw bytes and returns everything received until the server closes.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

fn client(endpoint: String, ca: &[u8]) -> aws_sdk_sts::Client {
    let context = TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(ca)).build().unwrap();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https();
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::from_keys("AKID", "secret", None))
        .http_client(http)
        .endpoint_url(endpoint)
        .build();
    aws_sdk_sts::Client::from_conf(config)
}

#[tokio::test]
async fn the_sdk_talks_http_and_tls_on_one_port() {
    let running = Running::start().await;
    let ca = std::fs::read(running.ca()).unwrap();
    for host in ["http://127.0.0.1", "http://localhost", "https://127.0.0.1", "https://localhost"] {
        let identity = client(format!("{host}:{}", running.port), &ca).get_caller_identity().send().await;
        let identity = identity.unwrap_or_else(|error| panic!("{host}: {error:?}"));
        assert_eq!(identity.arn(), Some("eu-west-1"), "{host}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_alive() {
    let running = Running::start().await;
    let get = "GET /_wschat/health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let last = "GET /_wschat/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = running.exchange(&format!("{get}{get}{last}")).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
    let health = r#"{"name":"wschat","version":"1","pid":7,"data":"here","started":"now"}"#;
    assert!(answer.contains(health), "{answer}");
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body() {
    let running = Running::start().await;
    let mut stream = running.connect().await;
    let head = "POST /?Version=2011-06-15 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\
                expect: 100-continue\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("<UserId>5</UserId>"), "{answer}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_after_it_was_sent() {
    let running = Running::start().await;
    for (length, status) in [(16 << 20, "200 OK"), ((16 << 20) + 1, "413 Payload Too Large")] {
        let head = format!(
            "POST /?Version=2011-06-15 HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n"
        );
        let answer = running.exchange(&(head + &"x".repeat(length))).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{length}: {answer}");
    }
}

#[tokio::test]
async fn upgrades_go_to_the_sockets_and_into_the_call_log() {
    let running = Running::start().await;
    let answer = running
        .exchange(
            "GET /api/production HTTP/1.1\r\nhost: localhost\r\nconnection: keep-alive, Upgrade\r\n\
             upgrade: websocket\r\norigin: https://example.com\r\n\r\n\
             GET /_wschat/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized") && answer.contains("/api/production"), "{answer}");
    let calls = std::fs::read_to_string(running.folder.path().join("calls.jsonl")).unwrap();
    assert!(calls.contains(r#""service":"execute-api","operation":"Connect""#), "{calls}");
    assert!(calls.contains(r#""status":401"#), "{calls}");
}

#[tokio::test]
async fn web_pages_of_other_origins_are_refused() {
    let running = Running::start().await;
    for (origin, status) in [
        ("https://example.com", "403"),
        ("http://localhost.example.com", "403"),
        ("null", "403"),
        ("http://localhost:3000", "200"),
        ("http://127.0.0.1:8080", "200"),
        ("http://[::1]:8080", "200"),
    ] {
        let request = format!(
            "POST /?Version=2011-06-15 HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\n\
             content-length: 0\r\nconnection: close\r\n\r\n"
        );
        let answer = running.exchange(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{origin}: {answer}");
    }
}

#[tokio::test]
async fn only_the_token_stops_the_server() {
    let running = Running::start().await;
    let stop = |token: &str| {
        format!(
            "POST /_wschat/stop HTTP/1.1\r\nhost: localhost\r\n{token}content-length: 0\r\nconnection: close\r\n\r\n"
        )
    };
    for wrong in ["", "x-wschat-token: guess\r\n"] {
        let answer = running.exchange(&stop(wrong)).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    assert!(!*running.server.stop.borrow());
    // Idle connections do not delay the stop: one without any request, one between two requests.
    let _silent = running.connect().await;
    let mut idle = running.connect().await;
    idle.write_all(b"GET /_wschat/health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    idle.read_exact(&mut [0; 15]).await.unwrap();
    let answer = running.exchange(&stop("x-wschat-token: secret\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    running.serving.await.unwrap();
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, running.port)).await.is_err());
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let running = Running::start().await;
    // Nothing, half of a TLS record, half of a head, and a second head that never comes.
    let whole = "GET /_wschat/health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for sent in ["", "\u{16}\u{3}\u{1}", "GET / HTTP/1.1\r\nhost: lo", whole] {
        let answer = tokio::time::timeout(PATIENCE, running.exchange(sent)).await;
        assert!(answer.is_ok(), "still open after {sent:?}");
    }
}

#[tokio::test]
async fn pages_of_the_named_origins_can_call_and_read_and_others_cannot() {
    let running = Running::start().await;
    let named = "origin: https://app.example.com\r\nsec-fetch-site: cross-site\r\n";
    let exchange = |method: &'static str, path: &'static str, headers: String| {
        let (running, length) = (&running, if method == "POST" { "content-length: 0\r\n" } else { "" });
        async move {
            let head =
                format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{length}{headers}\r\n");
            running.exchange(&head).await.to_ascii_lowercase()
        }
    };
    let question =
        "access-control-request-method: POST\r\naccess-control-request-headers: authorization,x-amz-target\r\n";
    let answer = exchange("OPTIONS", "/", format!("{named}{question}")).await;
    assert!(answer.starts_with("http/1.1 204"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: https://app.example.com\r\n"), "{answer}");
    assert!(answer.contains("access-control-allow-headers: authorization,x-amz-target\r\n"), "{answer}");

    let signed = "authorization: AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/sts/aws4_request\r\n";
    let answer = exchange("POST", "/", format!("{named}{signed}")).await;
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: https://app.example.com\r\n"), "{answer}");
    assert!(answer.contains("access-control-expose-headers:") && answer.contains("x-amzn-requestid"), "{answer}");
    assert!(answer.contains("vary: origin\r\n") && !answer.contains("allow-credentials"), "{answer}");
    // A call that fails can be read, too.
    let answer = exchange("POST", "/", named.to_owned()).await;
    assert!(answer.starts_with("http/1.1 400") && answer.contains("access-control-allow-origin:"), "{answer}");

    // The endpoints of the process are for no page.
    for path in ["/_wschat/health", "/_wschat/ticket"] {
        let answer = exchange("GET", path, named.to_owned()).await;
        assert!(!answer.contains("access-control"), "{answer}");
    }
    for (other, refused) in [
        ("origin: https://app.example.com.evil.example\r\n", true),
        ("origin: http://app.example.com\r\n", true),
        ("origin: null\r\n", true),
        // Pages of this machine are not refused, but no browser lets them read or send what needs a preflight.
        ("origin: http://localhost:5173\r\n", false),
    ] {
        for (method, headers) in [("OPTIONS", question), ("POST", signed)] {
            let answer = exchange(method, "/", format!("{other}{headers}")).await;
            assert!(!answer.contains("access-control"), "{answer}");
            assert_eq!(answer.starts_with("http/1.1 403"), refused, "{other}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_body_that_stands_still_is_answered_408() {
    let conditions = |text: &str| Conditions::parse(text, &[]).unwrap();
    let head = "POST /?Version=2011-06-15 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n";
    let running = Running::under(conditions("[link]\nidle_body_timeout_s = 0.2")).await;
    let answer = running.exchange(&format!("{head}12345678")).await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout"), "{answer}");
    // Bytes that trickle keep it open, however long it takes in all.
    let trickle = async |front: &str| {
        let running = Running::under(conditions(&format!("[link]\nidle_body_timeout_s = 3\n{front}"))).await;
        let mut stream = running.connect().await;
        stream.write_all(head.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        for _ in 0..9 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            stream.write_all(b"x").await.unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("<UserId>9</UserId>"), "{front}: {answer}");
    };
    tokio::join!(trickle(""), trickle("buffers_bodies = true"));
}

#[tokio::test]
async fn the_body_of_another_machine_is_read_only_with_the_access_key_and_while_it_moves() {
    let running = Running::with(Conditions::default(), true);
    // Nothing of the body is ever sent.
    let head = |key: &str, secret: &str, tells_hash: bool| {
        let hash = hex::encode(Sha256::digest("123456789"));
        let (told, signed) = match tells_hash {
            true => (format!("x-amz-content-sha256:{hash}\n"), "host;x-amz-content-sha256;x-amz-date"),
            false => (String::new(), "host;x-amz-date"),
        };
        let at = "20200102T030405Z";
        let canonical =
            format!("POST\n/\nVersion=2011-06-15\nhost:localhost\n{told}x-amz-date:{at}\n\n{signed}\n{hash}");
        let canonical = hex::encode(Sha256::digest(canonical));
        let scope = ["20200102", "eu-west-1", "sts"];
        let text = format!("AWS4-HMAC-SHA256\n{at}\n{}/aws4_request\n{canonical}", scope.join("/"));
        let signature = sign(secret, scope, &text);
        let authorization = match key {
            "" => String::new(),
            key => format!(
                "authorization: AWS4-HMAC-SHA256 Credential={key}/{}/aws4_request, SignedHeaders={signed}, Signature={signature}\r\n",
                scope.join("/")
            ),
        };
        let told = told.replace('\n', "\r\n");
        format!(
            "POST /?Version=2011-06-15 HTTP/1.1\r\nhost: localhost\r\nx-amz-date: {at}\r\ncontent-length: 9\r\n{told}{authorization}\r\n"
        )
    };
    for (key, secret, tells_hash, code) in [
        ("", "", false, "MissingAuthenticationToken"),
        ("LKIA2", "secret", false, "InvalidClientTokenId"),
        // The id of a key is in every presigned address.
        ("LKIA1", "another", true, "SignatureDoesNotMatch"),
    ] {
        let answer = running.exchange_remotely(&head(key, secret, tells_hash)).await;
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden") && answer.contains(code), "{key}: {answer}");
        assert!(answer.contains("connection: close"), "{key}: {answer}");
        assert!(!answer.contains("--open") && !answer.contains("/srv/app"), "{key}: {answer}");
    }
    let whole = |head: String, body: &str| head.replace("\r\n\r\n", &format!("\r\nconnection: close\r\n\r\n{body}"));
    for tells_hash in [false, true] {
        let answer = running.exchange_remotely(&head("LKIA1", "secret", tells_hash)).await;
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout"), "{answer}");
        let answer = running.exchange_remotely(&whole(head("LKIA1", "secret", tells_hash), "123456789")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("<UserId>9</UserId>"), "{answer}");
        // Another body than the one that was signed.
        let answer = running.exchange_remotely(&whole(head("LKIA1", "secret", tells_hash), "12345678x")).await;
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden") && answer.contains("SignatureDoesNotMatch"), "{answer}");
    }
    // On this machine the refusal comes after the body, and says what to do.
    for (key, secret) in [("LKIA2", "secret"), ("LKIA1", "another")] {
        let answer = running.exchange(&whole(head(key, secret, false), "123456789")).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("wschat env --data /srv/app"), "{answer}");
    }
}
