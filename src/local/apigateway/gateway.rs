//! The WebSocket gateway: `$connect` with authorization, routing of messages, `$disconnect`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::access_log::{AccessRecord, Integration};
use super::admission;
use super::authorizer::{self, Handshake, Refused};
use super::cause::{self, Cause, IntegrationFailure};
use super::connection::{self, Connection, ConnectionEnd};
use super::event::{self, Origin, Pairs, RequestInfo};
use super::gateway_log::{self, ClientRequest};
use super::integration::{ProxyResponse, RouteCall};
use super::model::{FrozenRoute, Snapshot, Stage, State};
use super::rules::Members;
use super::selection;
use super::{ApiGateway, connection::MAX_MESSAGE};
use crate::local::context::ACCOUNT;
use crate::local::context::recorder::{Text, What};
use crate::local::protocol::header_case::HeaderCase;
use crate::local::protocol::signature::Signed;
use crate::local::protocol::wire::{Request, Response};

/// The longest URL of a handshake, in characters (WebSocket quotas).
const MAX_URL: usize = 4096;

/// The largest request line and headers of a handshake in bytes (quotas of REST APIs; the page of WebSocket APIs has no
/// number).
const MAX_HEAD: usize = 10_240;

type HttpResponse = hyper::Response<Full<Bytes>>;

impl ApiGateway {
    /// Answers a WebSocket handshake. `$connect` runs first: if it accepts the client, the answer is 101 and a new task
    /// serves the socket. Otherwise the answer is an ordinary HTTP error.
    ///
    /// The server must drive the HTTP connection `with_upgrades`.
    pub async fn upgrade(self: &Arc<Self>, mut request: hyper::Request<Incoming>, peer: SocketAddr) -> HttpResponse {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let path: Vec<String> = segments(request.uri().path());
        let state = self.state();
        let Some((api_id, stage_name)) = served_at(&state, host, &path) else {
            self.refused_unserved(host, &path);
            return refusal(StatusCode::FORBIDDEN, &json!({ "message": "Forbidden" }));
        };
        if request.uri().path_and_query().is_some_and(|url| url.as_str().len() > MAX_URL) {
            return refusal(StatusCode::URI_TOO_LONG, &json!({ "message": "Request-URI Too Long" }));
        }
        let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        if headers.sum::<usize>() > MAX_HEAD {
            let message = json!({ "message": "Request Header Fields Too Large" });
            return refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &message);
        }
        let speaks = request.method() == Method::GET && request.version() == Version::HTTP_11;
        let Some(accept) = accept_key(request.headers()).filter(|_| speaks) else {
            return refusal(StatusCode::BAD_REQUEST, &json!({ "message": "Bad Request" }));
        };
        let user_agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let mut origin = Origin {
            api_id,
            stage: stage_name,
            connection_id: event::new_id(),
            domain_name: self.context.authority(),
            source_ip: peer.ip().to_string(),
            user_agent: user_agent.map(str::to_owned),
            connected_at: event::milliseconds(OffsetDateTime::now_utc()),
            authorizer: None,
        };
        let header_case = request.extensions().get::<HeaderCase>();
        let headers = forwarded_headers(request.headers(), header_case, peer, self.context.port);
        let query = query(request.uri().query().unwrap_or_default());
        let path = request.uri().path().to_owned();
        let signed = Signed {
            service: Some("execute-api"),
            is_timed: true,
            method: "GET",
            path: &path,
            query: &query,
            headers: &headers,
            body: Some(b""),
        };
        let sub_protocol = match self.connect(&state, &mut origin, signed).await {
            Ok(returned) => chosen_protocol(&returned.headers),
            Err(refused) => return refused,
        };
        // Registered only after `$connect` has accepted the client, because a registered connection can be posted to.
        let (connection, mailbox) = Connection::new(origin);
        self.connections.add(Arc::clone(&connection));
        let upgrade = hyper::upgrade::on(&mut request);
        let gateway = Arc::clone(self);
        tokio::spawn(async move {
            let _serving = Arc::clone(&gateway.serving).read_owned().await;
            match upgrade.await {
                Ok(upgraded) => connection::serve(gateway, connection, mailbox, upgraded).await,
                Err(_) => {
                    let end = ConnectionEnd::broken();
                    gateway.connections.remove(&connection.origin.connection_id);
                    let closed = gateway.closed(&connection.origin, &end);
                    gateway.disconnected(&connection.origin, &end, closed).await;
                }
            }
        });
        switching(accept, sub_protocol)
    }

    /// How many sockets of each API are open, by its id.
    pub fn open_sockets(&self) -> BTreeMap<String, usize> {
        self.connections.count()
    }

    /// The answer to a plain GET of a stage: 426 with the WebSocket URL.
    pub fn without_upgrade(&self, request: &Request) -> Option<Response> {
        let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let (api_id, stage) = served_at(&self.state(), host, &request.segments())?;
        let uri = format!("ws://{}/{api_id}/{stage}", self.context.authority());
        let body = json!({ "message": format!("Upgrade Required: connect a WebSocket client to {uri}") });
        Some(Response::json(426, &body).with_header("upgrade", "websocket").with_header("connection", "upgrade"))
    }

    /// Runs `$connect` and logs the result; without such a route every client is accepted.
    async fn connect(
        &self,
        state: &State,
        origin: &mut Origin,
        signed: Signed<'_>,
    ) -> Result<ProxyResponse, HttpResponse> {
        let mut record = AccessRecord::new("CONNECT");
        let asked = origin.clone();
        let result = self.run_connect(state, origin, signed, &mut record).await;
        let (connection, request_id) = (asked.connection_id.clone(), record.request_info.request_id.clone());
        let (api, stage) = (asked.api_id.clone(), asked.stage.clone());
        let (happened, answer) = match result {
            Ok(returned) => {
                let (source_ip, user_agent) = (asked.source_ip, asked.user_agent.unwrap_or_default());
                (What::Opened { connection, api, stage, request_id, source_ip, user_agent }, Ok(returned))
            }
            Err(Refused { status, message, cause }) => {
                record.refuse(status.as_u16(), message, cause);
                let answer = refusal(status, &error_body(message, &asked, &record.request_info));
                let (status, message, why) = (record.status, message.to_owned(), record.why());
                (What::Refused { connection, api, stage, request_id, status, message, why }, Err(answer))
            }
        };
        self.context.recorder.record(happened);
        self.log(state, origin, &record);
        answer
    }

    /// Records the refusal of a handshake for an API or a stage that is not served.
    fn refused_unserved(&self, host: &str, path: &[String]) {
        let mapped = self.state().mapped(host, path).map(|(api, stage, _)| (api, stage));
        let Some((api, stage)) = mapped.or_else(|| target(host, path)) else { return };
        let cause = Cause::NotServed { api: api.clone(), stage: stage.clone() };
        self.context.recorder.record(What::Refused {
            connection: String::new(),
            request_id: String::new(),
            status: StatusCode::FORBIDDEN.as_u16(),
            message: "Forbidden".to_owned(),
            why: Some(cause.explain(&format!("/{api}/{stage}"))),
            api,
            stage,
        });
    }

    /// Checks who connects, and runs the integration of `$connect`: the accepting answer, or the refusal.
    async fn run_connect(
        &self,
        state: &State,
        origin: &mut Origin,
        signed: Signed<'_>,
        record: &mut AccessRecord,
    ) -> Result<ProxyResponse, Refused> {
        let Signed { headers, query, .. } = signed;
        record.route_key = Some("$connect".to_owned());
        let Some((region, stage, snapshot)) = served(state, origin) else {
            return Err(Refused::new(StatusCode::FORBIDDEN, "Forbidden", not_served(origin)));
        };
        if !self.admits(stage, origin, "$connect") {
            let cause = Cause::Throttled { route: "$connect".to_owned() };
            return Err(Refused::new(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests", cause));
        }
        let Some(route) = snapshot.routes.get("$connect") else {
            return Ok(ProxyResponse { status: 200, headers: Members::new(), body: None });
        };
        let variables = &stage.config.stage_variables;
        let backends =
            || self.backends.get().ok_or_else(|| failed(Cause::NoIntegration { route: "$connect".to_owned() }));
        if route.config.authorization_type == "AWS_IAM" {
            let route_arn =
                format!("arn:aws:execute-api:{region}:{ACCOUNT}:{}/{}/$connect", origin.api_id, origin.stage);
            admission::by_signature(backends()?.callers.as_ref(), &signed, region, &route_arn)?;
        }
        if let Some((id, authorizer)) = &route.authorizer {
            let asked = origin.clone();
            let context = |name: &str| context_variable(&asked, name);
            let handshake = Handshake { headers, query, variables, context: &context };
            let of_api = format!("arn:aws:execute-api:{region}:{ACCOUNT}:{}", asked.api_id);
            let source_arn = format!("{of_api}/authorizers/{id}");
            let route_arn = format!("{of_api}/{}/$connect", asked.stage);
            let event = event::authorize(&asked, &record.request_info, headers, query, variables, &route_arn);
            let from = (self.functions.as_ref(), self.backends.get());
            let logs = self.logs.as_ref();
            let mut request = ClientRequest { logs, region, origin: &asked, record };
            let said =
                authorizer::ask(authorizer, from, &handshake, &source_arn, &route_arn, event, &mut request).await;
            origin.authorizer = Some(said?);
        }
        if route.config.api_key_required {
            let api = state.apis.get(&origin.api_id);
            let by_authorizer = api.is_some_and(|api| api.config.api_key_selection_expression.starts_with("$context."));
            let given = if by_authorizer {
                origin.authorizer.as_ref().and_then(|said| said.get("usageIdentifierKey")).and_then(Value::as_str)
            } else {
                headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-api-key")).map(|(_, value)| value.as_str())
            };
            let of = (origin.api_id.as_str(), origin.stage.as_str());
            admission::by_api_key(backends()?.records.as_ref(), region, given, of)?;
        }
        let event = event::connect(origin, &record.request_info, headers, query, variables);
        match self.integrate((region, stage, snapshot), origin, route, event, record).await {
            Ok(returned) if (200..300).contains(&returned.status) => Ok(returned),
            Ok(returned) => {
                let status = StatusCode::from_u16(returned.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let message = match status.canonical_reason() {
                    Some(reason) if !status.is_server_error() => reason,
                    _ => IntegrationFailure::Function.message(),
                };
                Err(Refused::new(status, message, Cause::ConnectRefused { status: returned.status }))
            }
            Err(cause) => Err(failed(cause)),
        }
    }

    /// Runs the route of a client's message, or of one that is replayed; returns the answer to send, if any.
    pub(super) async fn message(&self, connection: &Connection, body: &str, replayed: bool) -> Option<Message> {
        let state = self.state();
        let started = Instant::now();
        let origin = &connection.origin;
        let mut record = AccessRecord::new("MESSAGE");
        let answer = self.answer(&state, origin, body, replayed, &mut record).await;
        if let Some(route_key) = &record.route_key {
            connection.count(route_key);
        }
        let answer = answer.unwrap_or_else(|Refused { status, message, cause }| {
            record.refuse(status.as_u16(), message, cause);
            Some(Message::text(error_body(message, origin, &record.request_info).to_string()))
        });
        self.handled(&record, started, answer.as_ref());
        self.log(&state, origin, &record);
        answer
    }

    /// Records that a request is finished.
    fn handled(&self, record: &AccessRecord, started: Instant, answer: Option<&Message>) {
        self.context.recorder.record(What::Handled {
            request_id: record.request_info.request_id.clone(),
            status: record.status,
            milliseconds: started.elapsed().as_secs_f64() * 1000.0,
            why: record.why(),
            answer: answer.map(text_of),
        });
    }

    /// The answer to a message, if any, or the error.
    async fn answer(
        &self,
        state: &State,
        origin: &Origin,
        body: &str,
        replayed: bool,
        record: &mut AccessRecord,
    ) -> Result<Option<Message>, Refused> {
        let forbidden = |cause| Refused::new(StatusCode::FORBIDDEN, "Forbidden", cause);
        let served = served(state, origin);
        let selected = served.and_then(|(_, _, snapshot)| {
            selection::select(&snapshot.route_selection_expression, body, &snapshot.routes)
        });
        self.context.recorder.record(What::Received {
            connection: origin.connection_id.clone(),
            api: origin.api_id.clone(),
            stage: origin.stage.clone(),
            request_id: record.request_info.request_id.clone(),
            route: selected.map(|(route_key, _)| route_key.clone()),
            replayed,
            text: Text::whole(body),
        });
        let (region, stage, snapshot) = served.ok_or_else(|| forbidden(not_served(origin)))?;
        let (route_key, route) = selected.ok_or_else(|| {
            let expression = snapshot.route_selection_expression.clone();
            let routes = snapshot.routes.keys().filter(|key| !key.starts_with('$')).cloned().collect();
            forbidden(Cause::NoRoute { selected: selection::route_key(&expression, body), expression, routes })
        })?;
        record.route_key = Some(route_key.to_owned());
        if !self.admits(stage, origin, route_key) {
            let cause = Cause::Throttled { route: route_key.clone() };
            return Err(Refused::new(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests", cause));
        }
        let message_id = event::new_id();
        let variables = &stage.config.stage_variables;
        let event = event::message(origin, &record.request_info, &message_id, route_key, body, variables);
        record.message_id = Some(message_id);
        match self.integrate((region, stage, snapshot), origin, route, event, record).await {
            Err(cause) => Err(failed(cause)),
            Ok(ProxyResponse { body: Some(body), .. }) if route.responds && body.len() <= MAX_MESSAGE => {
                Ok(data(body.into()))
            }
            Ok(ProxyResponse { body: Some(body), .. }) if route.responds => {
                Err(failed(Cause::AnswerTooLarge { route: route_key.clone(), bytes: body.len() }))
            }
            Ok(returned) if !route.responds => {
                gateway_log::unseen(self.logs.as_ref(), region, origin, record, returned.status);
                Ok(None)
            }
            Ok(_) => Ok(None),
        }
    }

    /// Records that a connection has ended; returns the record of its `$disconnect`.
    pub(super) fn closed(&self, origin: &Origin, end: &ConnectionEnd) -> AccessRecord {
        let record = AccessRecord::new("DISCONNECT");
        self.context.recorder.record(What::Closed {
            connection: origin.connection_id.clone(),
            api: origin.api_id.clone(),
            stage: origin.stage.clone(),
            request_id: record.request_info.request_id.clone(),
            code: end.code,
            reason: end.reason.clone(),
            by_gateway: end.by_gateway,
            why: if end.by_gateway { cause::of_close(end.code, &end.reason) } else { None },
        });
        record
    }

    /// Runs `$disconnect`. A failure is only logged, since the client is gone.
    pub(super) async fn disconnected(&self, origin: &Origin, end: &ConnectionEnd, mut record: AccessRecord) {
        let started = Instant::now();
        let state = self.state();
        let Some((region, stage, snapshot)) = served(&state, origin) else { return };
        let Some(route) = snapshot.routes.get("$disconnect") else { return };
        record.route_key = Some("$disconnect".to_owned());
        let variables = &stage.config.stage_variables;
        let event = event::disconnect(origin, &record.request_info, end.code, &end.reason, variables);
        match self.integrate((region, stage, snapshot), origin, route, event, &mut record).await {
            Ok(returned) => gateway_log::unseen(self.logs.as_ref(), region, origin, &record, returned.status),
            Err(cause) => {
                let failure = cause.kind();
                tracing::warn!(connection = origin.connection_id, ?failure, "$disconnect failed");
                record.refuse(failure.status(), failure.message(), cause);
            }
        }
        self.handled(&record, started, None);
        self.log(&state, origin, &record);
    }

    /// Writes the gateway's own log, and the stage's access log, if it has one.
    pub(super) fn log(&self, state: &State, origin: &Origin, record: &AccessRecord) {
        let Some((region, stage, _)) = served(state, origin) else { return };
        gateway_log::refusal(self.logs.as_ref(), region, origin, record);
        if let Some(settings) = &stage.config.access_log_settings {
            record.write(settings, origin, region, self.logs.as_ref());
        }
    }

    /// Whether the stage's throttle admits one more request of a route.
    pub(super) fn admits(&self, stage: &Stage, origin: &Origin, route_key: &str) -> bool {
        self.throttles.admit(&origin.api_id, &origin.stage, route_key, stage.config.throttle(route_key))
    }

    /// Runs the integration of the route that the record names.
    async fn integrate(
        &self,
        (region, stage, snapshot): (&str, &Stage, &Snapshot),
        origin: &Origin,
        route: &FrozenRoute,
        event: Bytes,
        record: &mut AccessRecord,
    ) -> Result<ProxyResponse, Cause> {
        let (api_id, stage_name) = (&origin.api_id, &origin.stage);
        let route_key = &record.route_key.clone().unwrap_or_default();
        let source_arn = format!("arn:aws:execute-api:{region}:{ACCOUNT}:{api_id}/{stage_name}/{route_key}");
        let start = Instant::now();
        // That of the authorizer, if there was one.
        record.invocation = None;
        let returned = match &route.integration {
            None => Err(Cause::NoIntegration { route: route_key.to_owned() }),
            Some(integration) => {
                let call = RouteCall {
                    functions: self.functions.as_ref(),
                    backends: self.backends.get(),
                    roots: &self.context.ca_bundle,
                    snapshot,
                    route,
                    variables: &stage.config.stage_variables,
                    source_arn: &source_arn,
                    event,
                };
                let mut request = ClientRequest { logs: self.logs.as_ref(), region, origin, record };
                call.run(integration, &mut request).await
            }
        };
        record.integration = Some(Integration {
            latency: start.elapsed(),
            status: returned.as_ref().ok().map(|returned| returned.status),
            error: returned.as_ref().err().map(|cause| cause.kind().message()),
        });
        returned
    }
}

fn not_served(origin: &Origin) -> Cause {
    Cause::NotServed { api: origin.api_id.clone(), stage: origin.stage.clone() }
}

/// The refusal of a request whose integration failed.
fn failed(cause: Cause) -> Refused {
    let kind = cause.kind();
    let status = StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Refused::new(status, kind.message(), cause)
}

/// The value of an identity source `context.NAME`.
fn context_variable(origin: &Origin, name: &str) -> Option<String> {
    let value = match name {
        "apiId" => &origin.api_id,
        "connectionId" => &origin.connection_id,
        "domainName" => &origin.domain_name,
        "identity.sourceIp" => &origin.source_ip,
        "identity.userAgent" => origin.user_agent.as_ref()?,
        "stage" => &origin.stage,
        _ => return None,
    };
    Some(value.clone())
}

/// What the stage of a connection currently serves: the API's region, the stage, the deployed snapshot.
fn served<'s>(state: &'s State, origin: &Origin) -> Option<(&'s str, &'s Stage, &'s Snapshot)> {
    let api = state.apis.get(&origin.api_id)?;
    let (stage, snapshot) = api.served(&origin.stage)?;
    Some((&api.region, stage, snapshot))
}

/// The API and the stage that are served at an address: below a domain name, or at the API's own address.
fn served_at(state: &State, host: &str, path: &[String]) -> Option<(String, String)> {
    let serves =
        |api: &str, stage: &str| state.apis.get(api).filter(|api| !api.is_http() && api.served(stage).is_some());
    match state.mapped(host, path) {
        Some((api, stage, [])) => serves(&api, &stage).is_some().then_some((api, stage)),
        Some(_) => None,
        None => target(host, path)
            .filter(|(api, stage)| serves(api, stage).is_some_and(|api| !api.config.disable_execute_api_endpoint)),
    }
}

/// The API and the stage of an address: `{apiId}.execute-api.HOST/{stage}`, or `HOST/{apiId}/{stage}`.
fn target(host: &str, path: &[String]) -> Option<(String, String)> {
    match (api_of_host(host), path) {
        (Some(api), [stage]) => Some((api.to_owned(), stage.clone())),
        (None, [api, stage]) => Some((api.clone(), stage.clone())),
        _ => None,
    }
}

/// The API in a host of the form `{apiId}.execute-api.HOST`.
pub(super) fn api_of_host(host: &str) -> Option<&str> {
    host.split_once(".execute-api.").map(|(api, _)| api)
}

/// A path's segments, decoded, without empty ones.
pub(super) fn segments(path: &str) -> Vec<String> {
    path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect()
}

pub(super) fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

pub(super) fn query(text: &str) -> Pairs {
    let decoded = |text: &str| decode(&text.replace('+', " "));
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

/// The `sec-websocket-accept` value for a handshake; `None` where the request is not a handshake of RFC 6455.
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let is = |name: HeaderName, value: &str| headers.get(name).is_some_and(|sent| sent.as_bytes() == value.as_bytes());
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    let nonce = STANDARD.decode(key.as_bytes()).is_ok_and(|nonce| nonce.len() == 16);
    if !nonce || !is(header::SEC_WEBSOCKET_VERSION, "13") {
        return None;
    }
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

/// The headers of a handshake or a request as events have them: without hop-by-hop headers, with those that AWS adds, and with names in
/// the client's case.
pub(super) fn forwarded_headers(
    headers: &HeaderMap,
    spelled: Option<&HeaderCase>,
    peer: SocketAddr,
    port: u16,
) -> Pairs {
    let hop = [header::CONNECTION, header::UPGRADE];
    let sent = headers.iter().filter(|(name, _)| !hop.contains(name)).map(|(name, value)| {
        let name = spelled.and_then(|spelled| spelled.of(name)).unwrap_or_else(|| usual_case(name.as_str()));
        (name, String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let trace = hex::encode(rand::random::<[u8; 16]>());
    let added = [
        ("X-Amzn-Trace-Id", format!("Root=1-{}-{}", &trace[..8], &trace[8..])),
        ("X-Forwarded-For", peer.ip().to_string()),
        ("X-Forwarded-Port", port.to_string()),
        // AWS only serves TLS; this port also does.
        ("X-Forwarded-Proto", "https".to_owned()),
    ];
    sent.chain(added.map(|(name, value)| (name.to_owned(), value))).collect()
}

/// `sec-websocket-key` as `Sec-WebSocket-Key`: the usual case, where the client's is not known.
fn usual_case(name: &str) -> String {
    let word = |word: &str| match word {
        "websocket" => "WebSocket".to_owned(),
        _ => word[..1].to_ascii_uppercase() + &word[1..],
    };
    name.split('-').map(|part| if part.is_empty() { String::new() } else { word(part) }).collect::<Vec<_>>().join("-")
}

/// The sub-protocol that `$connect` returned: AWS selects none by itself.
fn chosen_protocol(headers: &Members) -> Option<HeaderValue> {
    let (_, value) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"))?;
    HeaderValue::from_str(value.as_str()?).ok()
}

fn switching(accept: HeaderValue, sub_protocol: Option<HeaderValue>) -> HttpResponse {
    let mut response = HttpResponse::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(sub_protocol) = sub_protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, sub_protocol);
    }
    response
}

fn refusal(status: StatusCode, body: &Value) -> HttpResponse {
    let mut response = HttpResponse::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The shape of the gateway's errors, in frames and in refused handshakes alike.
fn error_body(message: &str, origin: &Origin, request_info: &RequestInfo) -> Value {
    json!({ "message": message, "connectionId": origin.connection_id, "requestId": request_info.request_id })
}

/// A message for a client: a text frame if the bytes are UTF-8.
pub(super) fn message_of(bytes: Bytes) -> Message {
    match bytes.clone().try_into() {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Binary(bytes),
    }
}

/// A message as the console shows it.
pub(super) fn text_of(message: &Message) -> Text {
    match message {
        Message::Text(text) => Text::whole(text.as_str()),
        other => Text::beginning(&other.clone().into_data()),
    }
}

fn data(bytes: Bytes) -> Option<Message> {
    (!bytes.is_empty()).then(|| message_of(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_an_api_and_a_stage() {
        for (host, path, expected) in [
            ("localhost:4566", "/abc/prod", Some(("abc", "prod"))),
            ("localhost:4566", "/abc/prod/", Some(("abc", "prod"))),
            ("abc.execute-api.us-east-1.amazonaws.com", "/prod", Some(("abc", "prod"))),
            ("abc.execute-api.localhost:4566", "/prod", Some(("abc", "prod"))),
            ("localhost:4566", "/prod", None),
            ("localhost:4566", "/abc/prod/more", None),
            ("abc.execute-api.localhost", "/", None),
        ] {
            let found = target(host, &segments(path));
            let found = found.as_ref().map(|(api, stage)| (api.as_str(), stage.as_str()));
            assert_eq!(found, expected, "{host}{path}");
        }
    }

    #[test]
    fn header_names_are_spelled_as_usual() {
        assert_eq!(usual_case("sec-websocket-key"), "Sec-WebSocket-Key");
        assert_eq!(usual_case("host"), "Host");
        assert_eq!(usual_case("x--y"), "X--Y");
    }

    #[test]
    fn queries_are_decoded() {
        let expected = [("a", "1 2"), ("b", ""), ("ü", "&")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(query("a=1+2&b&%C3%BC=%26"), expected);
    }
}
