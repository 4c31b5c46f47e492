//! The console: a page that shows what happens in the local cloud, and the JSON and the feed that it is made of.
//!
//! ```text
//! /_wschat/console                 the page (page/), its script and its style
//! /_wschat/api/state               overview: stacks and their resources, open connections
//! /_wschat/api/events              feed: Server-Sent Events out of context::recorder; events/SEQ is one event, whole
//! /_wschat/api/replay              sends a recorded message again, on the connection it came from
//! /_wschat/api/connections/ID      DELETE closes it
//! /_wschat/api/tables/REGION/NAME  rows: read, put, changed, deleted through the local DynamoDB
//! ```
//!
//! `entry` decides who gets in: only the page itself, in a browser that was given a ticket.

mod entry;
mod feed;
mod overview;
mod rows;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use self::entry::Entry;
use super::apigateway::ApiGateway;
use super::apigateway::inspect::NotReplayed;
use super::context::CloudContext;
use super::context::recorder::What;
use super::dynamodb::DynamoDb;
use super::iam::Iam;
use super::lambda::Lambda;
use super::logs::Logs;
use crate::local::protocol::wire::{ApiError, Request};

/// The page's path.
pub const PAGE: &str = "/_wschat/console";

/// The paths of the JSON and the feed begin with it.
const API: &str = "/_wschat/api/";

/// The largest body of a request in bytes: a row of a table (400 KB) as JSON, twice.
pub const MAX_BODY: usize = 4 << 20;

/// The body of an answer: whole, or a feed.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer of the console.
pub type Answer = hyper::Response<Body>;

/// The services that the console shows.
pub struct Services {
    pub gateway: Arc<ApiGateway>,
    pub lambda: Arc<Lambda>,
    pub dynamodb: Arc<DynamoDb>,
    pub iam: Arc<Iam>,
    pub logs: Arc<Logs>,
}

/// The console of one local cloud.
pub struct Console {
    context: CloudContext,
    services: Services,
    entry: Entry,
    /// Distinguishes this process's events from those of an earlier one, whose numbers were the same.
    epoch: String,
}

/// A request that the console cannot carry out, for the page.
#[derive(Debug)]
struct Failure {
    status: u16,
    message: String,
}

impl Failure {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let code = error.code.rsplit('#').next().unwrap_or_default();
        // A row that has changed meanwhile is no mistake of the request's.
        let status = if code == "ConditionalCheckFailedException" { 409 } else { error.status };
        Self::new(status, format!("{code}: {}", error.message))
    }
}

impl Console {
    /// Opens the console with the data folder's key for its cookies.
    ///
    /// # Errors
    /// When the key cannot be read or written.
    pub fn open(context: &CloudContext, services: Services) -> io::Result<Arc<Self>> {
        let entry = Entry::open(&context.store, context.port, context.hosts.clone())?;
        let epoch = hex::encode(rand::random::<[u8; 4]>());
        Ok(Arc::new(Self { context: context.clone(), services, entry, epoch }))
    }

    /// Whether a path is the console's.
    pub fn serves(path: &str) -> bool {
        path == PAGE || path.starts_with("/_wschat/console/") || path.starts_with(API)
    }

    /// A ticket for one browser: [`PAGE`]`?ticket=...` lets it in once, within ten minutes.
    pub fn ticket(&self) -> String {
        self.entry.ticket()
    }

    /// Whether a request, by its head, comes from a page that is inside.
    pub fn knows(&self, head: &Request) -> bool {
        self.entry.check(head) == Ok(true)
    }

    /// Answers a request for one of the console's paths. A feed ends when `stop` turns true.
    pub async fn answer(&self, request: Request, stop: watch::Receiver<bool>) -> Answer {
        let path = request.path.clone();
        // Checked below.
        let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
        let answer = match self.entry.check(&request) {
            Err(message) => json_answer(403, &json!({ "message": message })),
            Ok(inside) => match path.strip_prefix(API) {
                Some(path) if inside => self
                    .api(path, request, stop)
                    .await
                    .unwrap_or_else(|failure| json_answer(failure.status, &json!({ "message": failure.message }))),
                Some(_) => json_answer(401, &json!({ "message": entry::HOW_TO_ENTER })),
                None => self.page(&path, &request, inside),
            },
        };
        entry::protect(answer, &host)
    }

    /// The page and its files.
    fn page(&self, path: &str, request: &Request, inside: bool) -> Answer {
        if request.method != Method::GET {
            return json_answer(405, &json!({ "message": "only GET" }));
        }
        let file = |kind: &'static str, text: &'static str| answer(200, kind, Full::from(text));
        match path {
            PAGE => match request.query("ticket") {
                Some(ticket) if self.entry.redeem(ticket) => {
                    // The ticket must not stay in the address bar and the history.
                    let mut answer = answer(303, "text/plain", Full::default());
                    answer.headers_mut().insert(header::LOCATION, HeaderValue::from_static(PAGE));
                    if let Ok(cookie) = HeaderValue::from_str(&self.entry.cookie()) {
                        answer.headers_mut().insert(header::SET_COOKIE, cookie);
                    }
                    answer
                }
                _ if inside => file("text/html; charset=utf-8", include_str!("page/console.html")),
                _ => answer(401, "text/html; charset=utf-8", Full::from(include_str!("page/closed.html"))),
            },
            "/_wschat/console/console.js" => file("text/javascript; charset=utf-8", include_str!("page/console.js")),
            "/_wschat/console/console.css" => file("text/css; charset=utf-8", include_str!("page/console.css")),
            "/_wschat/console/icon.svg" => file("image/svg+xml", include_str!("page/icon.svg")),
            _ => json_answer(404, &json!({ "message": "the console has no such file" })),
        }
    }

    async fn api(&self, path: &str, request: Request, stop: watch::Receiver<bool>) -> Result<Answer, Failure> {
        let segments = Request { path: path.to_owned(), ..request.clone() }.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = request.method.as_str();
        match (method, &segments[..]) {
            ("GET", ["state"]) => Ok(json_answer(200, &self.state().await)),
            ("GET", ["events"]) => Ok(self.feed(&request, stop)),
            ("GET", ["events", seq]) => {
                let event = seq.parse().ok().and_then(|seq| self.context.recorder.event(seq)).ok_or_else(forgotten)?;
                Ok(json_answer(200, &*event))
            }
            ("POST", ["replay"]) => self.replay(&body(&request)?),
            ("DELETE", ["connections", id]) => {
                let closed = self.services.gateway.close_connection(id);
                Ok(json_answer(200, &json!({ "closed": closed })))
            }
            (_, ["tables", region, table]) => self.rows(region, table, &request).await,
            _ => Err(Failure::new(404, format!("the console has no {method} {API}{path}"))),
        }
    }

    /// Handles a recorded message again, on its connection.
    fn replay(&self, wanted: &Replay) -> Result<Answer, Failure> {
        let event = self.context.recorder.event(wanted.seq).ok_or_else(forgotten)?;
        let What::Received { connection, text, .. } = &event.what else {
            return Err(Failure::new(400, "only a message of a client can be replayed"));
        };
        match self.services.gateway.replay(connection, text.text.clone()) {
            Ok(()) => Ok(json_answer(200, &json!({ "replayed": true }))),
            Err(NotReplayed::Gone) => Err(Failure::new(410, "the connection is closed")),
            Err(NotReplayed::Busy) => Err(Failure::new(429, "other messages wait to be replayed on this connection")),
        }
    }
}

/// The body of `POST /_wschat/api/replay`.
#[derive(Debug, Deserialize)]
struct Replay {
    seq: u64,
}

fn forgotten() -> Failure {
    Failure::new(404, "this event is not kept any more")
}

/// The JSON of a request. Its content type must say so: a form of another page cannot.
fn body<T: serde::de::DeserializeOwned>(request: &Request) -> Result<T, Failure> {
    let content_type = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_none_or(|value| !value.starts_with("application/json")) {
        return Err(Failure::new(415, "the body must be application/json"));
    }
    serde_json::from_slice(&request.body).map_err(|error| Failure::new(400, error.to_string()))
}

/// A JSON answer.
pub fn json_answer(status: u16, body: &(impl serde::Serialize + ?Sized)) -> Answer {
    answer(status, "application/json", Full::from(serde_json::to_vec(body).unwrap_or_default()))
}

fn answer(status: u16, content_type: &'static str, body: Full<Bytes>) -> Answer {
    let mut answer = Answer::new(body.boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// An empty JSON object.
fn done() -> Value {
    json!({})
}
