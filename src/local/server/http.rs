//! The HTTP server: HTTP/1.1 on one port, plain or over TLS, distinguished by the first byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::admission;
use super::body::{Unread, into_hyper, read, receive};
use super::control::{Control, FUNCTIONS, SOCKETS};
use super::listeners::Listeners;
use super::origins::{self, Origin};
use super::router::{Entry, Router, decode_query};
use crate::local::apigateway::connection::OpenConnection;
use crate::local::apigateway::requests::MAX_PAYLOAD;
use crate::local::console::{self, Answer, Console};
use crate::local::context::link::Link;
use crate::local::protocol::header_case::HeaderCase;
use crate::local::protocol::host::Hosts;
use crate::local::protocol::operation::{Operation, OperationEffect};
use crate::local::protocol::signature::scope;
use crate::local::protocol::wire::{Caller, Request, Response};

/// The first byte of a TLS handshake record (RFC 8446, 5.1); no HTTP method begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// How long a connection may take for its first byte, its TLS handshake and the head of each request. It also limits
/// the pause between two requests, so it is longer than most clients keep idle connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 60 });

/// How long answers in progress may take after the server was told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A WebSocket handshake, as the call log has it. It is no operation of a service.
const HANDSHAKE: Operation = Operation {
    service: "execute-api",
    name: "Connect",
    method: "GET",
    path: "/{stage}",
    body_limit: 0,
    effect: OperationEffect::Changes,
    presigned: true,
    on_disk: false,
};

/// The header that carries the process's token to `/_wschat/stop`, [`CONNECTIONS`] and [`TICKET`].
pub const TOKEN: &str = "x-wschat-token";

/// Where who has the process's token gets the list of open connections.
pub const CONNECTIONS: &str = "/_wschat/connections";

/// Where who has the process's token gets a ticket for the console.
pub const TICKET: &str = "/_wschat/ticket";

/// The answer of [`TICKET`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    pub ticket: String,
}

/// Handles requests to upgrade a connection to a WebSocket.
#[async_trait]
pub trait WebSockets: Send + Sync {
    /// Answers an upgrade request: with 101, after which it owns the connection, or with a refusal.
    async fn upgrade(&self, request: hyper::Request<Incoming>, peer: SocketAddr) -> hyper::Response<Full<Bytes>>;

    /// The answer to an unsigned GET without an upgrade at the address of a WebSocket API.
    fn without_upgrade(&self, _request: &Request) -> Option<Response> {
        None
    }

    /// Whether an address is that of an HTTP API or of a REST API.
    fn serves(&self, _parts: &Parts) -> bool {
        false
    }

    /// Answers a request to such an address. `body` is `None` for one that is too large.
    async fn request(&self, _parts: &Parts, _body: Option<Bytes>, _peer: SocketAddr) -> Response {
        Response::empty(404)
    }

    /// The open connections, the oldest first.
    fn open(&self) -> Vec<OpenConnection> {
        Vec::new()
    }
}

/// The answer of `GET /_wschat/health`: which process listens here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `wschat`.
    pub name: String,
    pub version: String,
    pub pid: u32,
    /// The data folder, absolute.
    pub data: String,
    /// RFC 3339, UTC.
    pub started: String,
}

/// The server and everything it serves.
pub struct Server {
    pub router: Arc<Router>,
    pub sockets: Arc<dyn WebSockets>,
    /// Absent in tests.
    pub console: Option<Arc<Console>>,
    pub tls: TlsAcceptor,
    pub health: Health,
    /// Whether requests of any host name and origin are admitted (`--open`).
    pub open: bool,
    /// The host names that are admitted otherwise.
    pub hosts: Hosts,
    /// The web pages that may call with an SDK.
    pub origins: Vec<Origin>,
    /// What `wschat dev` controls; without it, nothing.
    pub control: Option<Control>,
    /// The token that `/_wschat/stop`, [`CONNECTIONS`], [`TICKET`] and the control require.
    pub token: String,
    /// Turns true when the process is to stop.
    pub stop: watch::Sender<bool>,
}

impl Server {
    /// Serves until told to stop, then waits up to a second for answers in progress. Upgraded sockets are not waited
    /// for: API Gateway owns them.
    pub async fn run(self: Arc<Self>, listeners: Listeners) {
        let mut stop = self.stop.subscribe();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listeners.accept() => match accepted {
                    Ok((stream, peer)) => {
                        connections.spawn(Arc::clone(&self).connection(stream, peer));
                    }
                    Err(error) => {
                        // Most likely out of file descriptors: accepting again at once would spin.
                        tracing::warn!("cannot accept a connection: {error}");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                () = stopped(&mut stop) => break,
            }
        }
        drop(listeners);
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await;
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let mut stop = self.stop.subscribe();
        let mut first = [0];
        let peeked = tokio::select! {
            peeked = tokio::time::timeout(HEAD_TIMEOUT, stream.peek(&mut first)) => peeked.unwrap_or(Ok(0)),
            () = stopped(&mut stop) => return,
        };
        // Answers are written in one piece; Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        match peeked {
            Ok(0) | Err(_) => {}
            Ok(_) if first[0] == TLS_HANDSHAKE => {
                match tokio::time::timeout(HEAD_TIMEOUT, self.tls.accept(stream)).await {
                    Ok(Ok(stream)) => self.serve_http(stream, peer).await,
                    Ok(Err(error)) => tracing::debug!("the TLS handshake of {peer} failed: {error}"),
                    Err(_) => tracing::debug!("{peer} did not finish its TLS handshake in time"),
                }
            }
            Ok(_) => self.serve_http(stream, peer).await,
        }
    }

    async fn serve_http(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: SocketAddr,
    ) {
        let mut stop = self.stop.subscribe();
        let header_case = HeaderCase::default();
        let stream = header_case.clone().watch(stream);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let server = Arc::clone(&self);
            request.extensions_mut().insert(header_case.clone());
            async move { Ok::<_, std::convert::Infallible>(server.answer(request, peer).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!("the connection from {peer} broke: {error}");
        }
    }

    async fn answer(&self, request: hyper::Request<Incoming>, peer: SocketAddr) -> Answer {
        if is_upgrade(request.headers()) {
            return self.upgrade(request, peer).await.map(BodyExt::boxed_unsync);
        }
        let (parts, body) = request.into_parts();
        let mut request = without_body(&parts);
        // The console has checks of its own, which are stricter.
        if let Some(console) = self.console.as_ref().filter(|_| Console::serves(&request.path)) {
            if is_remote(peer) && !console.knows(&request) {
                return unread(console.answer(request, self.stop.subscribe()).await);
            }
            let link = Link::default();
            return match read(body, console::MAX_BODY, &link, idle_timeout(&link, peer)).await {
                Ok(Some(body)) => {
                    request.body = body;
                    console.answer(request, self.stop.subscribe()).await
                }
                Ok(None) => into_hyper(Response::empty(413)),
                Err(_) => into_hyper(Response::empty(400)),
            };
        }
        // An SDK's calls are signed for their services, and APIs' requests for none, or for this one.
        let is_call = scope(&parts.headers, &request.query).is_some_and(|scope| scope.service != "execute-api");
        if !is_call && self.sockets.serves(&parts) {
            return self.api_request(parts, body, peer).await;
        }
        // A bucket says itself which pages may call it; the user of this cloud says it of all else.
        let shared = request.headers.contains_key(header::ORIGIN).then(|| self.router.shared(&request)).flatten();
        let page = origins::allowed(&self.origins, &request.headers).filter(|_| shared.is_none());
        let is_allowed = page.is_some() || shared.is_some();
        if !self.open
            && let Err(why) = admission::check(&request.headers, &self.hosts, is_allowed, is_remote(peer))
        {
            return into_hyper(Response::json(403, &serde_json::json!({ "message": why })));
        }
        if let Some(answer) = self.process_endpoint(&request, peer) {
            return into_hyper(answer);
        }
        let preflight = page.as_ref().and_then(|page| origins::preflight(page, &request.method, &request.headers));
        if let Some(answer) = preflight {
            return into_hyper(answer);
        }
        if let Some(shared) = shared {
            let mut answer = match origins::is_preflight(&request.method, &request.headers) {
                true => into_hyper(Response::empty(200)),
                false => self.call(request, body, peer).await,
            };
            answer.headers_mut().extend(shared);
            return answer;
        }
        let mut answer = self.call(request, body, peer).await;
        if let Some(page) = page {
            origins::expose(answer.headers_mut(), page);
        }
        answer
    }

    /// Answers a request of an HTTP API or a REST API. Pages of any origin may send them, as on AWS.
    async fn api_request(&self, parts: Parts, body: Incoming, peer: SocketAddr) -> Answer {
        if !self.open
            && let Err(why) = admission::check(&parts.headers, &self.hosts, true, is_remote(peer))
        {
            return into_hyper(Response::json(403, &serde_json::json!({ "message": why })));
        }
        let link = Link::default();
        match read(body, MAX_PAYLOAD, &link, idle_timeout(&link, peer)).await {
            Ok(body) => into_hyper(self.sockets.request(&parts, body, peer).await),
            Err(error) => {
                tracing::debug!("{peer} did not send its whole request: {error}");
                into_hyper(Response::empty(400).with_header("connection", "close"))
            }
        }
    }

    /// Answers a call of a service.
    async fn call(&self, mut request: Request, body: Incoming, peer: SocketAddr) -> Answer {
        if is_remote(peer) && !self.router.admits(&request) {
            return unread(into_hyper(self.router.answer_unknown(request).await));
        }
        let link = self.router.link();
        let head = head_size(&request);
        if !link.buffers_bodies {
            link.carry(head).await;
        }
        let limit = self.router.body_limit(&request);
        let idle_timeout = idle_timeout(link, peer);
        let received = match self.router.incoming(&request) {
            None => read(body, limit, link, idle_timeout).await.map(|body| {
                body.map(|body| {
                    request.body = body;
                    request.body.len()
                })
            }),
            // What is refused whatever its body is not taken to the disk.
            Some(_) if !self.router.admits(&request) => {
                return unread(into_hyper(self.router.answer(request).await));
            }
            Some(folder) => receive(body, limit, link, idle_timeout, &folder).await.map(|file| {
                file.map(|file| {
                    let size = usize::try_from(file.size).unwrap_or(usize::MAX);
                    request.file = Some(Arc::new(file));
                    size
                })
            }),
        };
        match received {
            Ok(Some(size)) => {
                if link.buffers_bodies {
                    link.carry(head + size).await;
                }
                into_hyper(self.router.answer(request).await)
            }
            Ok(None) => into_hyper(self.router.too_large(&request)),
            Err(error) => {
                tracing::debug!("{peer} did not send its whole request: {error}");
                let status = if matches!(error, Unread::Idle) { 408 } else { 400 };
                into_hyper(Response::empty(status).with_header("connection", "close"))
            }
        }
    }

    async fn upgrade(&self, request: hyper::Request<Incoming>, peer: SocketAddr) -> hyper::Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let entry = Entry::new(&without_body(&parts));
        let response = self.sockets.upgrade(hyper::Request::from_parts(parts, body), peer).await;
        self.router.record(&HANDSHAKE, entry, response.status().as_u16());
        response
    }

    /// Whether the sender has read the process's record, which only the user can.
    fn has_token(&self, request: &Request) -> bool {
        request.headers.get(TOKEN).is_some_and(|token| token.as_bytes() == self.token.as_bytes())
    }

    /// Answers the endpoints of the process itself, below `/_wschat`.
    fn process_endpoint(&self, request: &Request, peer: SocketAddr) -> Option<Response> {
        match (request.method.as_str(), request.path.as_str()) {
            // They are for this machine's user only.
            (_, path) if path.starts_with("/_wschat/") && is_remote(peer) => {
                Some(Response::json(403, &serde_json::json!({ "message": "Forbidden" })))
            }
            ("GET", "/_wschat/health") => Some(Response::json(200, &self.health)),
            (_, "/_wschat/stop" | CONNECTIONS | TICKET | FUNCTIONS | SOCKETS) if !self.has_token(request) => {
                Some(Response::json(403, &serde_json::json!({ "message": "Forbidden" })))
            }
            ("GET", CONNECTIONS) => Some(Response::json(200, &self.sockets.open())),
            (_, FUNCTIONS | SOCKETS) => self.control.as_ref()?.answer(request),
            ("POST", TICKET) => {
                let ticket = self.console.as_ref()?.ticket();
                Some(Response::json(200, &Ticket { ticket }))
            }
            ("POST", "/_wschat/stop") => {
                self.stop.send_replace(true);
                Some(Response::json(200, &self.health))
            }
            ("GET", _) if request.caller.access_key.is_none() => self.sockets.without_upgrade(request),
            _ => None,
        }
    }
}

/// Waits until the server is told to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the server was dropped, which also ends the wait.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The request without its body.
fn without_body(parts: &Parts) -> Request {
    let query = decode_query(parts.uri.query().unwrap_or_default().as_bytes());
    let scope = scope(&parts.headers, &query);
    Request {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        headers: parts.headers.clone(),
        body: Bytes::new(),
        file: None,
        caller: Caller {
            region: scope.as_ref().map_or_else(|| "us-east-1".to_owned(), |scope| scope.region.clone()),
            access_key: scope.map(|scope| scope.access_key),
        },
        query,
    }
}

/// An answer to a request whose body is not read: the connection ends with it.
fn unread(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    answer
}

/// How long a body may stand still: one from another machine not for long, whatever the link.
fn idle_timeout(link: &Link, peer: SocketAddr) -> Option<Duration> {
    link.idle_body_timeout.or(is_remote(peer).then_some(HEAD_TIMEOUT))
}

/// Whether a peer is another machine.
fn is_remote(peer: SocketAddr) -> bool {
    !peer.ip().to_canonical().is_loopback()
}

/// The size of a request's head on the uplink in bytes, estimated from the parsed request.
fn head_size(request: &Request) -> usize {
    let headers: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    request.path.len() + headers
}

/// Whether the request asks to become a WebSocket (RFC 6455, 4.1).
fn is_upgrade(headers: &HeaderMap) -> bool {
    let has = |name, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
    };
    has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket")
}

#[cfg(test)]
mod tests;
