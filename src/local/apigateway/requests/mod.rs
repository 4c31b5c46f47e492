//! Requests of HTTP APIs, and by way of `rest` of REST APIs.
//!
//! ```text
//! request --> place (which API) --> stage --> cors::preflight --> route (request::select) --> authorize (jwt, a function, SigV4)
//!         --> parameters --> event --> Lambda --> response        --> parameters --> cors::apply --> client
//!                        +-> endpoint (HTTP_PROXY) --^
//! ```

mod authorize;
mod cors;
mod event;
pub mod jwt;
mod parameters;
mod refusal;
mod request;
mod response;
mod rest;
mod rest_authorize;
mod rest_model;
mod rest_record;
mod rest_validate;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};

use self::authorize::Denied;
use self::event::Facts;
use self::request::{Pattern, Received, host_of, select};
use self::response::Answer;
use super::access_log::{AccessRecord, Integration as Integrated};
use super::authorizer::Refused;
use super::cause::{Cause, IntegrationFailure};
use super::event::{Origin, Pairs};
use super::gateway::{api_of_host, segments};
use super::gateway_log::ClientRequest;
use super::integration::{self, Invoking, with_variables};
use super::mapping::IntegrationRequest;
use super::model::{DEFAULT_STAGE, FrozenRoute, IntegrationConfig, State};
use super::{ApiGateway, endpoint};
use crate::local::context::ACCOUNT;
use crate::local::protocol::wire::Response;

pub use self::request::MAX_PAYLOAD;

/// The API that an address leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    api: String,
    /// The path below its address, still percent-encoded.
    path: String,
    /// The stage, where a domain name leads to it; else it is in the path.
    stage: Option<String>,
    /// The region of a REST API; `None` for an HTTP API.
    rest: Option<String>,
}

impl ApiGateway {
    /// Whether an address is that of an HTTP API or of a REST API.
    pub fn serves(&self, parts: &Parts) -> bool {
        self.place(host_of(&parts.headers), parts.uri.path()).is_some()
    }

    /// Answers a request to such an address. `body` is `None` for one that is too large.
    pub async fn request(&self, parts: &Parts, body: Option<Bytes>, peer: SocketAddr) -> Response {
        let Some(place) = self.place(host_of(&parts.headers), parts.uri.path()) else {
            return into_response(Answer::message(StatusCode::NOT_FOUND, "Not Found"));
        };
        let is_too_large = body.is_none();
        let mut received = Received::new(parts, body.unwrap_or_default(), peer, self.context.port);
        if let Some(region) = place.rest.clone() {
            received.path = place.path;
            return into_response(self.rest_request(&region, &place.api, received, is_too_large).await);
        }
        if is_too_large {
            return into_response(Answer::message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"));
        }
        let has_length = received.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        if !has_length {
            received.headers.push(("Content-Length".to_owned(), received.body.len().to_string()));
        }
        into_response(self.http_request(&place, received).await)
    }

    fn place(&self, host: &str, sent: &str) -> Option<Place> {
        let state = self.state();
        let decoded = segments(sent);
        if let Some((api, stage, rest)) = state.mapped(host, &decoded) {
            state.apis.get(&api).filter(|api| api.is_http())?;
            let path = below(sent, decoded.len() - rest.len());
            return Some(Place { api, path, stage: Some(stage), rest: None });
        }
        let (api, path) = match api_of_host(host) {
            Some(api) => (api.to_owned(), sent.to_owned()),
            None => (decoded.first()?.clone(), below(sent, 1)),
        };
        match state.apis.get(&api) {
            Some(known) if known.is_http() => Some(Place { api, path, stage: None, rest: None }),
            Some(_) => None,
            None => self.region_of_rest_api(&api).map(|region| Place { api, path, stage: None, rest: Some(region) }),
        }
    }

    async fn http_request(&self, place: &Place, mut received: Received) -> Answer {
        let not_found = || Answer::message(StatusCode::NOT_FOUND, "Not Found");
        let state = self.state();
        let Some(api) = state.apis.get(&place.api) else { return not_found() };
        if api.config.disable_execute_api_endpoint && place.stage.is_none() {
            return not_found();
        }
        let (stage_name, path) = match &place.stage {
            Some(stage) => (stage.clone(), place.path.clone()),
            None => {
                let first = segments(&place.path).into_iter().next().filter(|first| api.stages.contains_key(first));
                match first.filter(|first| first != DEFAULT_STAGE) {
                    Some(stage) => (stage, below(&place.path, 1)),
                    None => (DEFAULT_STAGE.to_owned(), place.path.clone()),
                }
            }
        };
        received.path = path;
        let cors = api.config.cors_configuration.as_ref();
        if let Some(answer) = cors.and_then(|cors| cors::preflight(cors, &received)) {
            return answer;
        }
        let origin = received.origin(place.api.clone(), stage_name);
        let mut record = AccessRecord::new("REQUEST");
        record.variables = vec![
            ("httpMethod", received.method.to_string()),
            ("path", received.decoded_path()),
            ("protocol", "HTTP/1.1".to_owned()),
        ];
        let result = self.routed(&state, &api.region, &origin, &received, &mut record).await;
        let mut answer = result.unwrap_or_else(|Denied { refused, challenge }| {
            let Refused { status, message, cause } = refused;
            record.refuse(status.as_u16(), message, cause.clone());
            let mut answer = match &cause {
                Cause::NotLocally { what } => not_local(what),
                _ => Answer::message(status, message),
            };
            if let Some(challenge) = challenge {
                answer.set("www-authenticate", &challenge);
            }
            answer
        });
        record.status = answer.status.as_u16();
        record.variables.push(("responseLength", answer.body.len().to_string()));
        if let Some(cors) = cors {
            cors::apply(cors, &received, &mut answer);
        }
        answer.set("apigw-requestid", &record.request_info.request_id);
        self.log(&state, &origin, &record);
        answer
    }

    /// Finds the route of a request, checks who calls, and runs the integration.
    async fn routed(
        &self,
        state: &State,
        region: &str,
        origin: &Origin,
        received: &Received,
        record: &mut AccessRecord,
    ) -> Result<Answer, Denied> {
        let not_found = |cause| Refused::new(StatusCode::NOT_FOUND, "Not Found", cause);
        let (api, stage_name) = (&origin.api_id, &origin.stage);
        let served = state.apis.get(api).and_then(|api| api.served(stage_name));
        let not_served = || Cause::NotServed { api: api.clone(), stage: stage_name.clone() };
        let (stage, snapshot) = served.ok_or_else(|| not_found(not_served()))?;
        let patterns = snapshot.routes.iter().filter_map(|(key, route)| Some((Pattern::of_key(key)?, (key, route))));
        let selected = select(patterns, &received.method, &received.path);
        let selected =
            selected.map(|(pattern, (key, route), parameters)| (key.as_str(), pattern.path, route, parameters));
        let default =
            || Some((DEFAULT_STAGE, DEFAULT_STAGE.to_owned(), snapshot.routes.get(DEFAULT_STAGE)?, Pairs::new()));
        let (route_key, resource, route, parameters) = selected.or_else(default).ok_or_else(|| {
            let asked = format!("{} {}", received.method, received.decoded_path());
            not_found(Cause::NoHttpRoute { asked, routes: snapshot.routes.keys().cloned().collect() })
        })?;
        record.route_key = Some(route_key.to_owned());
        if !self.admits(stage, origin, route_key) {
            let cause = Cause::Throttled { route: route_key.to_owned() };
            return Err(Refused::new(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests", cause).into());
        }
        let config = route.integration.as_ref().map(|integration| &integration.config);
        let is_version_1 = config.is_some_and(|config| config.payload_format_version != "2.0");
        let info = record.request_info.clone();
        let mut facts = Facts {
            request: received,
            info: &info,
            api,
            stage: stage_name,
            route_key,
            resource: &resource,
            parameters: &parameters,
            variables: &stage.config.stage_variables,
            authorizer: None,
            caller: None,
        };
        let mut request = ClientRequest { logs: self.logs.as_ref(), region, origin, record };
        let admitted = self.authorize(region, route, &facts, is_version_1, &mut request).await?;
        (facts.authorizer, facts.caller) = (admitted.context.as_ref(), admitted.caller.as_ref());
        let start = Instant::now();
        request.record.invocation = None;
        let answered = self.integrated(region, route, &facts, &mut request).await;
        record.integration = Some(Integrated {
            latency: start.elapsed(),
            status: answered.as_ref().ok().map(|answer| answer.status.as_u16()),
            error: answered.as_ref().err().map(|cause| failure(cause).1),
        });
        answered.map_err(|cause| {
            let (status, message) = failure(&cause);
            Refused::new(status, message, cause).into()
        })
    }

    /// Runs the integration of a route.
    async fn integrated(
        &self,
        region: &str,
        route: &FrozenRoute,
        facts: &Facts<'_>,
        request: &mut ClientRequest<'_>,
    ) -> Result<Answer, Cause> {
        let integration = route.integration.as_ref();
        let integration = integration.ok_or_else(|| Cause::NoIntegration { route: facts.route_key.to_owned() })?;
        let config = &integration.config;
        if let Some(subtype) = &config.integration_subtype {
            return Err(Cause::NotLocally { what: format!("the AWS service integration {subtype}") });
        }
        if config.connection_type == "VPC_LINK" {
            return Err(Cause::NotLocally { what: "a private integration (VPC_LINK)".to_owned() });
        }
        let mut received = facts.request.clone();
        let value = |name: &str| facts.variable(name);
        let path = parameters::request(&config.request_parameters, &mut received, &value);
        let changed = Facts { request: &received, ..*facts };
        let mut answer = match config.integration_type.as_str() {
            "HTTP_PROXY" => self.forwarded(config, &changed, path.as_deref()).await?,
            _ => {
                let route_arn = match Pattern::of_key(facts.route_key) {
                    Some(Pattern { method, path }) => format!("{method}{path}"),
                    None => facts.route_key.to_owned(),
                };
                let (api, stage) = (facts.api, facts.stage);
                let source_arn = format!("arn:aws:execute-api:{region}:{ACCOUNT}:{api}/{stage}/{route_arn}");
                self.answered_by_function(config, &changed, &source_arn, request).await?
            }
        };
        if let Some(parameters) = config.response_parameters.get(answer.status.as_str()) {
            parameters::response(parameters, &mut answer, &value);
        }
        Ok(answer)
    }

    async fn answered_by_function(
        &self,
        config: &IntegrationConfig,
        facts: &Facts<'_>,
        source_arn: &str,
        request: &mut ClientRequest<'_>,
    ) -> Result<Answer, Cause> {
        let is_version_2 = config.payload_format_version == "2.0";
        let event = if is_version_2 { facts.version_2() } else { facts.version_1() };
        let uri = with_variables(config.integration_uri.as_deref().unwrap_or_default(), facts.variables);
        let invoking = Invoking {
            functions: self.functions.as_ref(),
            backends: self.backends.get(),
            uri: &uri,
            role: config.credentials_arn.as_deref(),
            source_arn,
            limit: integration::timeout_of(config),
        };
        let (function, invoked) = invoking.invoke(event.to_string().into(), request).await?;
        if invoked.function_error.is_some() {
            return Err(integration::failed(function, &invoked));
        }
        let answer = match is_version_2 {
            true => response::version_2(&invoked.payload),
            false => response::version_1(&invoked.payload, true).map(|one| one.or_type("text/plain; charset=utf-8")),
        };
        answer.ok_or_else(|| {
            let returned = String::from_utf8_lossy(&invoked.payload).into_owned();
            Cause::Malformed { function, returned }
        })
    }

    /// Hands a request on to an HTTP endpoint. `path` is the one that it is to have there, if a parameter says so.
    async fn forwarded(
        &self,
        config: &IntegrationConfig,
        facts: &Facts<'_>,
        path: Option<&str>,
    ) -> Result<Answer, Cause> {
        let uri = with_variables(config.integration_uri.as_deref().unwrap_or_default(), facts.variables);
        let uri = with_parameters(&uri, facts.parameters);
        let uri = match path {
            Some(path) => with_path(&uri, path),
            None => uri,
        };
        let method = config.integration_method.as_deref().filter(|method| *method != "ANY");
        let method = method.unwrap_or(facts.request.method.as_str());
        let limit = integration::timeout_of(config);
        self.sent(method, &uri, facts.request, limit, facts.api).await
    }

    /// Sends a client's request to an endpoint, and gives its answer.
    async fn sent(
        &self,
        method: &str,
        uri: &str,
        request: &Received,
        limit: Duration,
        api: &str,
    ) -> Result<Answer, Cause> {
        const LEFT_OUT: [&str; 7] =
            ["connection", "content-length", "host", "keep-alive", "te", "transfer-encoding", "upgrade"];
        let mut sent =
            IntegrationRequest { body: request.body.clone(), query: request.query.clone(), ..Default::default() };
        for (name, value) in &request.headers {
            let is_left_out = LEFT_OUT.contains(&name.to_ascii_lowercase().as_str());
            if let (false, Ok(name), Ok(value)) =
                (is_left_out, name.parse::<HeaderName>(), HeaderValue::from_str(value))
            {
                sent.headers.append(name, value);
            }
        }
        sent.headers.insert("via", HeaderValue::from_static("HTTP/1.1 AmazonAPIGateway"));
        let roots = &self.context.ca_bundle;
        match tokio::time::timeout(limit, endpoint::send(Some(method), uri, sent, roots, api)).await {
            Ok(Ok(backend)) => {
                let mut headers = backend.headers;
                for name in LEFT_OUT {
                    headers.remove(name);
                }
                let status = StatusCode::from_u16(backend.status).unwrap_or(StatusCode::BAD_GATEWAY);
                Ok(Answer { status, headers, body: backend.body })
            }
            Ok(Err(problem)) => Err(Cause::NoEndpoint { uri: uri.to_owned(), problem }),
            Err(_) => Err(Cause::Late { uri: uri.to_owned(), limit }),
        }
    }
}

impl Facts<'_> {
    /// The value of a variable in a parameter or an identity source: `request.header.x`, `context.requestId`.
    fn variable(&self, name: &str) -> Option<String> {
        let found = |pairs: &Pairs, name: &str| {
            let values = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
            let values: Vec<&str> = values.collect();
            (!values.is_empty()).then(|| values.join(","))
        };
        if let Some(name) = name.strip_prefix("stageVariables.") {
            return self.variables.get(name).cloned();
        }
        if let Some(path) = name.strip_prefix("context.") {
            return self.context_variable(path);
        }
        let place = name.strip_prefix("request.")?;
        match place.split_once('.').unwrap_or((place, "")) {
            ("header", name) => {
                let values = self.request.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
                let values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
                Some(values.join(",")).filter(|value| !value.is_empty())
            }
            ("querystring", name) => found(&self.request.query, name),
            ("path", "") => Some(self.request.decoded_path()),
            ("path", name) => found(self.parameters, name),
            ("body", path) => {
                let body: serde_json::Value = serde_json::from_slice(&self.request.body).ok()?;
                let found = path.split('.').try_fold(&body, |value, name| value.get(name))?;
                Some(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
            }
            _ => None,
        }
    }
}

/// The status and the message with which a failed integration is answered. (HTTP APIs say the same of whatever a function did
/// wrong; developer guide, "Troubleshooting issues with HTTP API Lambda integrations".)
fn failure(cause: &Cause) -> (StatusCode, &'static str) {
    match (cause, cause.kind()) {
        (Cause::NotLocally { .. }, _) => (StatusCode::NOT_IMPLEMENTED, "Not Implemented"),
        (_, IntegrationFailure::Timeout) => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        (Cause::NoEndpoint { .. }, _) => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
    }
}

/// The answer for what works on AWS and not here.
fn not_local(what: &str) -> Answer {
    let message = format!("The local cloud does not serve {what}. It works on AWS.");
    Answer::message(StatusCode::NOT_IMPLEMENTED, &message)
}

/// A path without its first `count` segments, as it was sent otherwise.
fn below(path: &str, count: usize) -> String {
    let mut rest = path;
    for _ in 0..count {
        rest = rest.trim_start_matches('/');
        rest = rest.find('/').map_or("", |at| &rest[at..]);
    }
    if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") }
}

/// A URI with `{name}` replaced by path parameters; slashes in them stay.
fn with_parameters(uri: &str, parameters: &Pairs) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    parameters.iter().fold(uri.to_owned(), |uri, (name, value)| {
        let value = percent_encoding::utf8_percent_encode(value, KEPT).to_string();
        uri.replace(&format!("{{{name}}}"), &value).replace(&format!("{{{name}+}}"), &value)
    })
}

/// A URI with another path.
fn with_path(uri: &str, path: &str) -> String {
    let begin = uri.find("://").map_or(0, |at| at + 3);
    let end = uri[begin..].find('/').map_or(uri.len(), |at| begin + at);
    format!("{}/{}", &uri[..end], path.trim_start_matches('/'))
}

fn into_response(answer: Answer) -> Response {
    Response { status: answer.status, headers: answer.headers, body: answer.body, file: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_an_address_stay_as_they_were_sent() {
        for (path, count, expected) in [
            ("/abc/items/a%20b/", 1, "/items/a%20b/"),
            ("/abc", 1, "/"),
            ("/abc/", 1, "/"),
            ("/abc/live/x", 2, "/x"),
            ("/x//y", 0, "/x//y"),
            ("/abc//y", 1, "//y"),
        ] {
            assert_eq!(below(path, count), expected, "{path}");
        }
    }

    #[test]
    fn parameters_and_paths_are_put_into_uris() {
        let parameters = vec![("proxy".to_owned(), "a b/c".to_owned())];
        assert_eq!(with_parameters("http://h/{proxy}", &parameters), "http://h/a%20b/c");
        assert_eq!(with_path("http://h:1/old/x", "/new"), "http://h:1/new");
        assert_eq!(with_path("http://h", "new"), "http://h/new");
    }
}
