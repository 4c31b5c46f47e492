//! Requests that travel ahead, through the SDK and over real sockets: whatever the far end does before the end was sent, the
//! call has had no effect and is still to be made.

use std::net::Ipv4Addr;

use aws_credential_types::Credentials;
use aws_sdk_lambda::config::StalledStreamProtectionConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::operation::create_function::CreateFunctionOutput;
use aws_sdk_lambda::operation::create_function::builders::CreateFunctionFluentBuilder;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::FunctionCode;
use http::StatusCode;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::aws::client::Target;
use crate::aws::client::connect::MOST_AHEAD;
use crate::aws::client::pace::Pace;

const CREATED: &str = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 24\r\n\r\n\
                       {\"FunctionName\": \"made\"}\n";

/// What the far end does with a connection. Its numbers are bytes of the body.
#[derive(Debug, Clone, Copy)]
enum FarEnd {
    /// Reads the whole request, then answers.
    Answers,
    /// Answers early, and reads no further.
    Early(usize, u16),
    /// Carries it out early, without ever wanting the rest.
    Takes(usize),
    /// Closes the connection.
    Cuts(usize),
    /// Reads no further and does not answer.
    Stalls(usize),
}

/// A server that does the same with every connection, and keeps what it has read.
struct Server {
    port: u16,
    /// The bodies so far, by connection, and the lengths that their heads promise.
    bodies: watch::Receiver<Vec<(Vec<u8>, usize)>>,
    serving: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    async fn start(far_end: FarEnd) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, bodies) = watch::channel(Vec::new());
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, far_end, seen.clone()));
            }
        });
        Self { port, bodies, serving }
    }

    /// Waits until this much of the first request's body has arrived.
    async fn has(&mut self, bytes: usize) {
        let arrived = self.bodies.wait_for(|bodies| bodies.first().is_some_and(|(body, _)| body.len() >= bytes));
        tokio::time::timeout(PATIENT, arrived).await.expect("it does not arrive").unwrap();
    }

    /// What has arrived of the first request's body, and the length that its head promises.
    fn first(&self) -> (Vec<u8>, usize) {
        self.bodies.borrow().first().cloned().unwrap_or_default()
    }

    fn are_whole(&self) -> bool {
        self.bodies.borrow().iter().any(|(body, length)| body.len() == *length)
    }
}

async fn serve(mut stream: TcpStream, far_end: FarEnd, seen: watch::Sender<Vec<(Vec<u8>, usize)>>) {
    let mut read = Vec::new();
    let head = loop {
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
    let length = text.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    let mut body = read.split_off(head);
    let mut mine = 0;
    seen.send_modify(|bodies| {
        mine = bodies.len();
        bodies.push((body.clone(), length));
    });
    let enough = match far_end {
        FarEnd::Answers => length,
        FarEnd::Early(bytes, _) | FarEnd::Takes(bytes) | FarEnd::Cuts(bytes) | FarEnd::Stalls(bytes) => bytes,
    };
    while body.len() < enough {
        let mut piece = vec![0; (enough - body.len()).min(16 << 10)];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(bytes) => body.extend_from_slice(&piece[..bytes]),
        }
        seen.send_modify(|bodies| bodies[mine].0.clone_from(&body));
    }
    match far_end {
        FarEnd::Answers | FarEnd::Takes(_) => stream.write_all(CREATED.as_bytes()).await.unwrap(),
        FarEnd::Early(_, status) => {
            let head = format!("HTTP/1.1 {status} No\r\nx-amzn-errortype: NoException\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
        }
        FarEnd::Cuts(_) => return,
        FarEnd::Stalls(_) => {}
    }
    // Until the other side closes the connection.
    std::future::pending::<()>().await;
}

async fn aws(port: u16) -> Aws {
    let target = Target {
        region: None,
        profile: None,
        endpoint_url: Some(format!("http://127.0.0.1:{port}")),
        local: Some(Credentials::from_keys("AKID", "secret", None)),
        local_cloud: None,
        has_quotas: false,
        has_retired_runtimes: false,
    };
    Aws::open("test", &target).await.unwrap()
}

fn request(client: &aws_sdk_lambda::Client, size: usize) -> CreateFunctionFluentBuilder {
    let code = FunctionCode::builder().zip_file(Blob::new(vec![7; size])).build();
    client.create_function().function_name("made").role("arn:aws:iam::1:role/r").code(code)
}

fn without_limit() -> aws_sdk_lambda::config::Builder {
    aws_sdk_lambda::config::Builder::new()
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

const CODE: usize = 300_000;

fn ahead<'a>(aws: &'a Aws, size: usize, timeout: Duration) -> Ahead<'a, CreateFunctionOutput> {
    aws.ahead(AwsCall::new("lambda", "CreateFunction"), size, timeout, |gate| {
        request(&aws.lambda, size).customize().config_override(without_limit()).interceptor(gate).send()
    })
    .unwrap()
}

const PATIENT: Duration = Duration::from_secs(60);

/// The body of the same request, sent as usual.
async fn usual_body(size: usize) -> Vec<u8> {
    let server = Server::start(FarEnd::Answers).await;
    request(&aws(server.port).await.lambda, size).send().await.unwrap();
    server.first().0
}

/// Lets a request travel so far, and until it has failed.
async fn until_failed<T>(ahead: &mut Ahead<'_, T>, server: &mut Server, bytes: usize) {
    ahead.beside(server.has(bytes)).await;
    while !ahead.has_failed() {
        ahead.beside(tokio::task::yield_now()).await;
    }
}

async fn never<T>(ahead: Ahead<'_, T>) {
    match ahead.let_go().await {
        Arrival::Never => {}
        Arrival::Answered(Ok(_), _) => panic!("it was carried out"),
        Arrival::Answered(Err(error), _) => panic!("{error}"),
    }
}

#[tokio::test]
async fn all_but_the_end_travels_and_the_end_follows_when_it_is_let_go() {
    let mut server = Server::start(FarEnd::Answers).await;
    let aws = aws(server.port).await;
    let usual = usual_body(CODE).await;
    let mut ahead = ahead(&aws, CODE, PATIENT);
    ahead.beside(server.has(usual.len() - END)).await;
    // Bytes of the end follow one by one, but never the last one.
    ahead.beside(server.has(usual.len() - 1)).await;
    ahead.beside(tokio::time::sleep(10 * TRICKLE)).await;
    assert_eq!(server.first(), (usual[..usual.len() - 1].to_vec(), usual.len()));
    assert!(aws.records().is_empty(), "a call that has not taken effect");
    let begun = Instant::now();
    let Arrival::Answered(Ok(answer), _) = ahead.let_go().await else { panic!("it was not carried out") };
    assert_eq!(answer.function_name(), Some("made"));
    assert_eq!(server.first(), (usual.clone(), usual.len()));
    let records = aws.records();
    assert!(records.len() == 1 && records[0].started >= begun, "{records:?}");
}

#[tokio::test]
async fn a_request_that_is_let_go_early_or_is_small_is_sent_whole() {
    for size in [0, 1, END, CODE] {
        let server = Server::start(FarEnd::Answers).await;
        let aws = aws(server.port).await;
        let mut ahead = ahead(&aws, size, PATIENT);
        // Signed, and hardly begun.
        while ahead.gate.0.signed.lock().unwrap().is_none() {
            ahead.beside(tokio::task::yield_now()).await;
        }
        assert!(matches!(ahead.let_go().await, Arrival::Answered(Ok(_), _)), "{size}");
        assert_eq!(server.first().0, usual_body(size).await);
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_anywhere_has_carried_nothing_out() {
    let length = usual_body(CODE).await.len();
    let mut random = StdRng::seed_from_u64(15);
    let edges = [0, 1, length - END - 1, length - END, length - END + 1, length - 1];
    let places: Vec<usize> = edges.into_iter().chain((0..24).map(|_| random.random_range(0..length))).collect();
    for at in places {
        let mut server = Server::start(FarEnd::Cuts(at)).await;
        let aws = aws(server.port).await;
        let mut ahead = ahead(&aws, CODE, PATIENT);
        ahead.beside(server.has(at)).await;
        // The news of it may come before or after it is let go.
        for _ in 0..random.random_range(0..50) {
            ahead.beside(tokio::task::yield_now()).await;
        }
        match ahead.let_go().await {
            Arrival::Never => {}
            // The end was on its way when the cut was noticed: the caller looks whether the call was carried out.
            Arrival::Answered(Err(error), _) if error.is(Meaning::Unknown) => {}
            _ => panic!("cut at {at} of {length}"),
        }
        assert!(!server.are_whole(), "{at}");
    }
}

#[tokio::test]
async fn a_cut_that_is_noticed_while_the_end_is_held_back_is_no_answer() {
    let length = usual_body(CODE).await.len();
    for at in [1000, length / 2, length - END] {
        let mut server = Server::start(FarEnd::Cuts(at)).await;
        let aws = aws(server.port).await;
        let mut ahead = ahead(&aws, CODE, PATIENT);
        until_failed(&mut ahead, &mut server, at).await;
        never(ahead).await;
    }
}

#[tokio::test]
async fn an_early_answer_is_that_of_no_call() {
    let length = usual_body(CODE).await.len();
    for status in [400, 403, 408, 413, 429, 500, 503] {
        for at in [0, length / 2, length - END] {
            let mut server = Server::start(FarEnd::Early(at, status)).await;
            let aws = aws(server.port).await;
            let mut ahead = ahead(&aws, CODE, PATIENT);
            until_failed(&mut ahead, &mut server, at).await;
            never(ahead).await;
            assert!(!server.are_whole(), "{status} at {at}");
        }
    }
}

#[tokio::test]
async fn a_call_that_is_throttled_when_it_is_let_go_is_still_to_be_made() {
    let length = usual_body(CODE).await.len();
    let mut server = Server::start(FarEnd::Early(length, 429)).await;
    let aws = aws(server.port).await;
    let mut ahead = ahead(&aws, CODE, PATIENT);
    ahead.beside(server.has(length - 1)).await;
    never(ahead).await;
    assert!(server.are_whole());
}

#[tokio::test]
async fn calls_that_are_let_go_make_their_line_faster_and_slower() {
    let length = usual_body(CODE).await.len();
    for (far_end, succeeds) in [(FarEnd::Answers, true), (FarEnd::Early(length, 429), false)] {
        let mut server = Server::start(far_end).await;
        let mut aws = aws(server.port).await;
        aws.pace = Pace::default();
        let mut ahead = ahead(&aws, CODE, PATIENT);
        ahead.beside(server.has(length - 1)).await;
        assert_eq!(matches!(ahead.let_go().await, Arrival::Answered(Ok(_), _)), succeeds);
        assert_eq!(aws.pace.last_success("lambda", "CreateFunction").is_some(), succeeds);
        let next_at_once = tokio::time::timeout(Duration::ZERO, aws.pace.permit("lambda", "CreateFunction")).await;
        assert_eq!(next_at_once.is_ok(), succeeds);
    }
}

#[tokio::test]
async fn a_service_that_does_not_wait_for_the_end_has_carried_it_out() {
    let server = Server::start(FarEnd::Takes(1000)).await;
    let aws = aws(server.port).await;
    let mut ahead = ahead(&aws, CODE, PATIENT);
    while !matches!(ahead.state, State::Ended(_)) {
        ahead.beside(tokio::task::yield_now()).await;
    }
    assert!(!ahead.has_failed());
    assert!(matches!(ahead.let_go().await, Arrival::Answered(Ok(_), _)));
}

#[tokio::test]
async fn a_line_that_stalls_is_given_up() {
    // More than the sockets of both sides buffer: the end never leaves this process.
    let large = 40 << 20;
    let mut server = Server::start(FarEnd::Stalls(1000)).await;
    let aws = aws(server.port).await;
    let mut stalled = ahead(&aws, large, Duration::from_millis(200));
    stalled.beside(server.has(1000)).await;
    never(stalled).await;
    // Here it has left: whether it arrived is unknown.
    let mut silent = ahead(&aws, 1000, Duration::from_secs(2));
    silent.beside(tokio::time::sleep(Duration::from_millis(300))).await;
    let Arrival::Answered(Err(error), _) = silent.let_go().await else { panic!("an answer") };
    assert!(error.is(Meaning::Unknown), "{error}");
}

#[tokio::test]
async fn a_request_that_is_dropped_is_never_whole_and_its_connection_ends() {
    let length = usual_body(CODE).await.len();
    for bytes in [1, length - END] {
        let mut server = Server::start(FarEnd::Answers).await;
        let aws = aws(server.port).await;
        let mut ahead = ahead(&aws, CODE, PATIENT);
        ahead.beside(server.has(bytes)).await;
        drop(ahead);
        let closed = async {
            loop {
                let before = server.first().0.len();
                tokio::time::sleep(10 * TRICKLE).await;
                if server.first().0.len() == before {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENT, closed).await.expect("it still trickles");
        assert!(!server.are_whole());
    }
}

#[tokio::test]
async fn an_old_signature_is_never_let_go() {
    let mut server = Server::start(FarEnd::Answers).await;
    let aws = aws(server.port).await;
    let mut ahead = ahead(&aws, CODE, PATIENT);
    ahead.beside(server.has(CODE)).await;
    let signed = ahead.gate.0.signed.lock().unwrap().unwrap();
    for (age, open) in [(SIGNATURE_LIFE, false), (SIGNATURE_LIFE - Duration::from_secs(1), true)] {
        let gate = Gate(Arc::new(Shared { signed: Mutex::new(Some(signed)), ..Shared::default() }));
        assert_eq!(gate.open(signed + age), open, "{age:?}");
        assert!(!gate.open(signed - Duration::from_secs(1)), "the clock was set back");
    }
    assert!(!Gate::default().open(SystemTime::now()), "it is not signed yet");
    *ahead.gate.0.signed.lock().unwrap() = Some(SystemTime::now() - SIGNATURE_LIFE);
    never(ahead).await;
    assert!(!server.are_whole());
}

#[tokio::test]
async fn only_so_much_is_on_its_way_at_once() {
    let server = Server::start(FarEnd::Answers).await;
    let aws = aws(server.port).await;
    let begin = |bytes| {
        aws.ahead(AwsCall::new("lambda", "CreateFunction"), bytes, PATIENT, |gate| {
            request(&aws.lambda, 1).customize().interceptor(gate).send()
        })
    };
    let mut held: Vec<_> = (0..MOST_AHEAD / LEAST_SHARE).map(|_| begin(1).unwrap()).collect();
    assert!(begin(1).is_none());
    held.pop();
    assert!(begin(1).is_some() && begin((LEAST_SHARE << 10) + 1024).is_none());
    drop(held);
    assert!(begin(MOST_AHEAD << 10).is_some() && begin((MOST_AHEAD + 1) << 10).is_none());
}

/// Serves HTTP/2 over TLS, and answers every request that has arrived whole with its length.
async fn http2(listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let stream = acceptor.accept(stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let answer = service_fn(|request: hyper::Request<Incoming>| async {
                let body = request.into_body().collect().await?.to_bytes();
                let text = format!("{{\"Description\": \"{}\"}}", body.len());
                let answer = hyper::Response::builder().status(StatusCode::CREATED).body(Full::new(Bytes::from(text)));
                Ok::<_, hyper::Error>(answer.unwrap())
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            // A client that goes away is no failure.
            let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

#[tokio::test]
async fn over_http2_requests_are_held_side_by_side_on_one_connection() {
    use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(crypto).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(http2(listener, tokio_rustls::TlsAcceptor::from(Arc::new(config))));
    let trust = TrustStore::empty().with_pem_certificate(cert.pem().into_bytes());
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(TlsContext::builder().with_trust_store(trust).build().unwrap())
        .build_https();
    let mut aws = aws(port).await;
    aws.lambda = aws_sdk_lambda::Client::from_conf(
        aws_sdk_lambda::Config::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(aws_sdk_lambda::config::Region::new("us-east-1"))
            .credentials_provider(Credentials::from_keys("AKID", "secret", None))
            .http_client(http)
            .endpoint_url(format!("https://localhost:{port}"))
            .build(),
    );
    // Far more than the window of a connection, together.
    let mut held: Vec<_> = (0..4).map(|_| ahead(&aws, 1 << 20, PATIENT)).collect();
    let waiting = held.iter_mut().map(|ahead| ahead.beside(tokio::time::sleep(Duration::from_millis(300))));
    futures_util::future::join_all(waiting).await;
    assert!(held.iter().all(|ahead| matches!(ahead.state, State::Traveling(_))));
    // Another call on the connection is not held up.
    let [first, ..] = &mut held[..] else { unreachable!() };
    let probe = tokio::time::timeout(PATIENT, first.beside(request(&aws.lambda, 1).send())).await;
    probe.expect("the probe is held up").unwrap();
    let expected = usual_body(1 << 20).await.len().to_string();
    drop(held.pop());
    for ahead in held {
        let Arrival::Answered(Ok(answer), _) = ahead.let_go().await else { panic!("it was not carried out") };
        assert_eq!(answer.description(), Some(&*expected));
    }
    serving.abort();
}
