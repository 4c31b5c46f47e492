//! The Lambda Runtime API (2018-06-01), over which a function's process fetches invocations and returns results: one
//! loopback listener per execution environment, as on AWS. Only that process and its children may call it, no other process
//! of the machine.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::failure::InvocationFailure;
use super::peer;
use crate::local::lock::lock;

/// The largest result in bytes: 6 MB and the envelope (Lambda quotas; its own message names the number).
const MAX_RESULT: usize = 6 * 1024 * 1024 + 100;

/// How long a second `next` waits: the repeated request of a client that gave up can arrive before its disconnect is noticed.
const SECOND_NEXT_WAIT: Duration = Duration::from_secs(1);

/// One invocation, as the runtime receives it.
#[derive(Debug)]
pub struct Invocation {
    pub request_id: String,
    /// Milliseconds since the epoch.
    pub deadline: i64,
    pub function_arn: String,
    pub trace_id: String,
    /// JSON that the caller sent beside the payload.
    pub client_context: Option<String>,
    pub payload: Bytes,
}

/// A report of the runtime.
#[derive(Debug)]
pub enum RuntimeReport {
    /// It requested an invocation, the first or after the answer to the last.
    Ready,
    /// It answered the invocation.
    Answered(Result<Bytes, InvocationFailure>),
    /// Its initialization failed.
    InitFailed(InvocationFailure),
}

/// The server side of one environment's Runtime API. Dropped, it closes every connection.
#[derive(Debug)]
pub struct RuntimeApi {
    pub address: SocketAddr,
    pub events: mpsc::UnboundedReceiver<RuntimeReport>,
    invocations: mpsc::UnboundedSender<Invocation>,
    /// The process group that may call; until it is set, no process may.
    owner: watch::Sender<Option<u32>>,
    server: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    phase: Mutex<Phase>,
    invocations: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    events: mpsc::UnboundedSender<RuntimeReport>,
}

/// The state of the runtime, which determines the requests it may send.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Waiting,
    /// It processes the invocation with this request id.
    Invoked(String),
    Answered,
}

impl RuntimeApi {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn listen() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (invocations, inbox) = mpsc::unbounded_channel();
        let (outbox, events) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            phase: Mutex::new(Phase::Starting),
            invocations: tokio::sync::Mutex::new(inbox),
            events: outbox,
        });
        let owner = watch::Sender::new(None);
        let server = tokio::spawn(serve(listener, shared, owner.subscribe())).abort_handle();
        Ok(Self { address, events, invocations, owner, server })
    }

    /// Allows a process group to call.
    pub fn set_owner(&self, group: u32) {
        self.owner.send_replace(Some(group));
    }

    /// Hands the runtime its next invocation.
    pub fn invoke(&self, invocation: Invocation) {
        // Cannot fail: the receiver lives as long as the server, and the server as long as this.
        let _ = self.invocations.send(invocation);
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, owner: watch::Receiver<Option<u32>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, peer)) = listener.accept().await else { continue };
        // Answers are small and awaited: Nagle's algorithm would cost every invocation 40 ms.
        let _ = stream.set_nodelay(true);
        let (shared, mut owner) = (shared.clone(), owner.clone());
        connections.spawn(async move {
            let Ok(group) = owner.wait_for(Option::is_some).await.map(|group| *group) else { return };
            let Ok(here) = stream.local_addr() else { return };
            let stranger = group.and_then(|group| peer::is_of_group(peer, here, group)) == Some(false);
            let service = service_fn(move |request| {
                let shared = shared.clone();
                async move {
                    let refused = stranger || is_from_browser(request.headers());
                    Ok::<_, Infallible>(if refused { not_the_owner() } else { shared.answer(request).await })
                }
            });
            // A runtime that disconnects in the middle has died or will send the request again.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Some(path) = head.uri.path().strip_prefix("/2018-06-01/runtime/") else {
            return error(StatusCode::NOT_FOUND, "NotFound", "404 page not found");
        };
        let segments: Vec<&str> = path.split('/').collect();
        match (&head.method, &segments[..]) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", request_id, "response"]) => self.response(request_id, body).await,
            (&Method::POST, ["invocation", request_id, "error"]) => self.error(request_id, &head.headers, body).await,
            (&Method::POST, ["init", "error"]) => self.init_error(&head.headers, body).await,
            _ => error(StatusCode::NOT_FOUND, "NotFound", "404 page not found"),
        }
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        {
            let mut phase = lock(&self.phase);
            match *phase {
                Phase::Starting | Phase::Answered => {
                    *phase = Phase::Waiting;
                    self.report(RuntimeReport::Ready);
                }
                // A client that gave up waiting and sends the request again.
                Phase::Waiting => {}
                Phase::Invoked(_) => return bad_transition("Ready"),
            }
        }
        let Ok(mut inbox) = tokio::time::timeout(SECOND_NEXT_WAIT, self.invocations.lock()).await else {
            return bad_transition("Ready");
        };
        let Some(invocation) = inbox.recv().await else {
            return error(StatusCode::GONE, "Gone", "The execution environment has ended");
        };
        *lock(&self.phase) = Phase::Invoked(invocation.request_id.clone());
        let mut response = Response::new(Full::new(invocation.payload));
        for (name, value) in [
            ("content-type", Some("application/json")),
            ("lambda-runtime-aws-request-id", Some(invocation.request_id.as_str())),
            ("lambda-runtime-deadline-ms", Some(invocation.deadline.to_string().as_str())),
            ("lambda-runtime-invoked-function-arn", Some(invocation.function_arn.as_str())),
            ("lambda-runtime-trace-id", Some(invocation.trace_id.as_str())),
            ("lambda-runtime-client-context", invocation.client_context.as_deref()),
        ] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    async fn response(&self, request_id: &str, body: Incoming) -> Response<Full<Bytes>> {
        let body = read(body).await;
        if let Some(refusal) = self.refuse(request_id, "InvocationResponse") {
            return refusal;
        }
        match body {
            Ok(payload) => self.answered(Ok(payload)),
            Err(Unread::TooLong) => {
                self.answered(Err(InvocationFailure::response_too_long(MAX_RESULT)));
                let message = format!("Exceeded maximum allowed payload size ({MAX_RESULT} bytes).");
                error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
            }
            Err(Unread::Cut) => unreadable_body(),
        }
    }

    async fn error(&self, request_id: &str, headers: &HeaderMap, body: Incoming) -> Response<Full<Bytes>> {
        let body = read(body).await;
        if let Some(refusal) = self.refuse(request_id, "InvocationErrorResponse") {
            return refusal;
        }
        match body {
            Ok(document) => self.answered(Err(InvocationFailure::reported(document, error_type(headers)))),
            Err(_) => unreadable_body(),
        }
    }

    async fn init_error(&self, headers: &HeaderMap, body: Incoming) -> Response<Full<Bytes>> {
        let Ok(document) = read(body).await else { return unreadable_body() };
        if *lock(&self.phase) != Phase::Starting {
            return bad_transition("InitError");
        }
        self.report(RuntimeReport::InitFailed(InvocationFailure::reported(document, error_type(headers))));
        accepted()
    }

    fn answered(&self, answer: Result<Bytes, InvocationFailure>) -> Response<Full<Bytes>> {
        *lock(&self.phase) = Phase::Answered;
        self.report(RuntimeReport::Answered(answer));
        accepted()
    }

    /// The refusal of an answer to this invocation where the runtime may not send it now.
    fn refuse(&self, request_id: &str, to: &str) -> Option<Response<Full<Bytes>>> {
        match &*lock(&self.phase) {
            Phase::Invoked(current) if current == request_id => None,
            Phase::Invoked(_) => Some(error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")),
            _ => Some(bad_transition(to)),
        }
    }

    fn report(&self, event: RuntimeReport) {
        // The receiver may be dropped already where the environment is about to end.
        let _ = self.events.send(event);
    }
}

/// Whether a browser sent the request for a page: browsers set these headers.
fn is_from_browser(headers: &HeaderMap) -> bool {
    ["origin", "sec-fetch-site"].iter().any(|name| headers.contains_key(*name))
}

fn not_the_owner() -> Response<Full<Bytes>> {
    error(StatusCode::FORBIDDEN, "Forbidden", "The Runtime API accepts calls of the function's own process only")
}

enum Unread {
    TooLong,
    Cut,
}

/// Reads a body to its end, even where it is too long or will be refused: a connection with an unread body would have to be
/// closed, and the runtime would see that instead of the refusal.
async fn read(mut body: Incoming) -> Result<Bytes, Unread> {
    let mut bytes = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Cut)?.into_data() else { continue };
        length += data.len();
        if length <= MAX_RESULT {
            bytes.extend_from_slice(&data);
        }
    }
    if length > MAX_RESULT { Err(Unread::TooLong) } else { Ok(bytes.freeze()) }
}

fn error_type(headers: &HeaderMap) -> Option<&str> {
    headers.get("lambda-runtime-function-error-type")?.to_str().ok()
}

fn accepted() -> Response<Full<Bytes>> {
    json_response(StatusCode::ACCEPTED, json!({ "status": "OK" }).to_string())
}

fn bad_transition(to: &str) -> Response<Full<Bytes>> {
    let message = format!("State transition to {to} failed for runtime. Error: State transition is not allowed");
    error(StatusCode::FORBIDDEN, "InvalidStateTransition", &message)
}

fn unreadable_body() -> Response<Full<Bytes>> {
    error(StatusCode::BAD_REQUEST, "BadRequest", "The request's body could not be read")
}

fn error(status: StatusCode, error_type: &str, message: &str) -> Response<Full<Bytes>> {
    json_response(status, json!({ "errorMessage": message, "errorType": error_type }).to_string())
}

fn json_response(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}
