//! Routes a request to its service, applies the conditions, and writes the call log.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Instant;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue};
use time::OffsetDateTime;
use uuid::Uuid;

use super::access::Guard;
use super::call_log::{CallLog, LoggedCall, timestamp};
use super::reserved_tags::refuse_reserved;
use crate::local::context::conditions::Conditions;
use crate::local::context::link::Link;
use crate::local::context::ports::{Authorizer, Services};
use crate::local::protocol::host::s3_host;
use crate::local::protocol::operation::{MAX_BODY, Operation};
use crate::local::protocol::service::{AnyService, ServiceCall};
use crate::local::protocol::signature::scope;
use crate::local::protocol::wire::{ApiError, Caller, Protocol, Request, Response};

/// The header with the request id of an answer.
pub const REQUEST_ID: &str = "x-amzn-requestid";

/// Routes requests to the services of the local cloud.
pub struct Router {
    services: Vec<Arc<dyn AnyService>>,
    conditions: Arc<Conditions>,
    /// Authenticates callers; without it, every caller is admitted.
    guard: Option<Guard>,
    /// Authorizes calls; without it, every call is allowed.
    authorizer: Option<Arc<dyn Authorizer>>,
    calls: CallLog,
}

/// Who sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    /// It must prove who it is.
    Client,
    /// A service of this cloud, for a caller that it has admitted or a role that it has assumed. Nothing is signed within the cloud.
    Service,
}

impl Router {
    /// A router without authentication and authorization.
    pub fn new(services: Vec<Arc<dyn AnyService>>, conditions: Arc<Conditions>, calls: CallLog) -> Self {
        Self { services, conditions, guard: None, authorizer: None, calls }
    }

    /// Adds authentication and authorization.
    pub fn guarded(self, guard: Option<Guard>, authorizer: Option<Arc<dyn Authorizer>>) -> Self {
        Self { guard, authorizer, ..self }
    }

    /// The largest body that a request may have, by its head: its operation's, where the head names one.
    pub fn body_limit(&self, head: &Request) -> usize {
        let operation = self.service_of(head).and_then(|service| service.operation(head).ok());
        operation.map_or(MAX_BODY, |operation| operation.body_limit)
    }

    /// The folder for a request's body, by its head; `None` where it comes into memory.
    pub fn incoming(&self, head: &Request) -> Option<PathBuf> {
        let service = self.service_of(head)?;
        service.operation(head).ok().filter(|operation| operation.on_disk).and_then(|_| service.incoming())
    }

    /// The uplink that requests arrive over.
    pub fn link(&self) -> &Link {
        &self.conditions.link
    }

    /// The refusal of a request whose body is over the limit; `head` is the request without its body.
    pub fn too_large(&self, head: &Request) -> Response {
        let entry = Entry::new(head);
        let Some(service) = self.service_of(head) else { return self.unserved(head, entry) };
        let operation = service.operation(head).ok();
        let error = match operation {
            Some(operation) => service.refuse_large(operation),
            None => {
                let message = format!("Request must be smaller than {MAX_BODY} bytes");
                ApiError::new(413, "RequestEntityTooLargeException", message)
            }
        };
        self.finish(&**service, operation, Err(error), entry)
    }

    /// Answers a request. The call is a task of its own, because it runs to its end even if the client disconnects, as
    /// on AWS.
    pub async fn answer(self: &Arc<Self>, request: Request) -> Response {
        self.answer_to(Sender::Client, request).await
    }

    async fn answer_to(self: &Arc<Self>, sender: Sender, request: Request) -> Response {
        let entry = Entry::new(&request);
        let Some(service) = self.service_of(&request).cloned() else { return self.unserved(&request, entry) };
        let call = match service.prepare(request) {
            Ok(call) => call,
            Err(error) => return self.finish(&*service, None, Err(error), entry),
        };
        let operation = call.operation;
        let router = Arc::clone(self);
        let failed = (Arc::clone(&service), entry.clone());
        let call = tokio::spawn(async move {
            let result = router.call(&*service, sender, call).await;
            router.finish(&*service, Some(operation), result, entry)
        });
        match call.await {
            Ok(response) => response,
            Err(error) => {
                let (service, entry) = failed;
                tracing::error!("{}.{} failed: {error}", operation.service, operation.name);
                let error = ApiError::new(500, "InternalFailure", "The local cloud failed; see `wschat local logs`.");
                self.finish(&*service, Some(operation), Err(error), entry)
            }
        }
    }

    /// Whether a request is signed with a key of this cloud's, as far as its head tells.
    fn knows(&self, head: &Request) -> bool {
        self.guard.as_ref().is_none_or(|guard| guard.knows(head))
    }

    /// Whether the body of a request is read, by its head: its caller has a key of this cloud's, or the service lets everyone do that.
    pub fn admits(&self, head: &Request) -> bool {
        self.knows(head) || self.service_of(head).is_some_and(|service| service.admits_anyone(head))
    }

    /// What the answer to a web page says to its browser, where the page's origin may call the service of the request.
    pub fn shared(&self, head: &Request) -> Option<HeaderMap> {
        self.service_of(head)?.shared(head)
    }

    /// Answers a request of another machine's that is not signed with a key of this cloud's, without its body: with a refusal,
    /// unless its operation takes such requests.
    pub async fn answer_unknown(self: &Arc<Self>, head: Request) -> Response {
        let entry = Entry::new(&head);
        let Some(service) = self.service_of(&head) else { return self.unserved(&head, entry) };
        let operation = service.operation(&head).ok();
        match self
            .guard
            .as_ref()
            .map_or(Ok(()), |guard| guard.admit_remote((service.name(), service.protocol()), operation, &head))
        {
            Ok(()) => self.answer(head).await,
            Err(error) => self.finish(&**service, operation, Err(error), entry),
        }
    }

    /// Logs a request that no service handled: a WebSocket handshake.
    pub fn record(&self, operation: &'static Operation, entry: Entry, status: u16) {
        self.calls.record(&entry.call(operation.service, Some(operation), status, None));
    }

    async fn call(&self, service: &dyn AnyService, sender: Sender, call: ServiceCall) -> Result<Response, ApiError> {
        let operation = call.operation;
        let api = call.changed_api().map(str::to_owned);
        let admitted = self.conditions.before(operation).await;
        let effect = tokio::time::Instant::now();
        let guard = self.guard.as_ref().filter(|_| sender == Sender::Client);
        let admitted = admitted
            .and_then(|()| guard.map_or(Ok(()), |guard| guard.admit(service.protocol(), operation, &call.request)));
        let admitted = admitted.and_then(|()| refuse_changing_get(&call)).and_then(|()| refuse_reserved(&call));
        let admitted = admitted.and_then(|()| match &self.authorizer {
            Some(authorizer) => authorizer.authorize(operation.service, &call.request, &service.needs(&call)),
            None => Ok(()),
        });
        // Held until the answer is sent: until then another mutation of the API may conflict with this one.
        let mutation = match (&admitted, &api) {
            (Ok(()), Some(api)) => Some(self.conditions.begin_mutation(api)),
            _ => None,
        };
        let result = match (admitted, &mutation) {
            (Err(refused), _) => Err(refused),
            (Ok(()), Some(None)) => Err(ApiError::new(
                409,
                "ConflictException",
                "Unable to complete operation due to concurrent modification. Please try again later.",
            )),
            (Ok(()), _) => service.call(call).await,
        };
        self.conditions.after(operation, effect).await;
        result
    }

    fn finish(
        &self,
        service: &dyn AnyService,
        operation: Option<&'static Operation>,
        result: Result<Response, ApiError>,
        mut entry: Entry,
    ) -> Response {
        let protocol = service.protocol();
        let (mut response, code) = match result {
            Ok(response) => (response, None),
            Err(error) => {
                // Some services put a namespace before the code:
                // com.amazonaws.dynamodb.v20120810#ResourceInUseException.
                let code = error.code.rsplit('#').next().map(str::to_owned);
                (protocol.error(&error, &entry.request_id), code)
            }
        };
        if matches!(protocol, Protocol::AwsJson10 | Protocol::AwsJson10Query(_) | Protocol::AwsJson11) {
            let content_type = HeaderValue::from_static(protocol.content_type());
            response.headers.insert(http::header::CONTENT_TYPE, content_type);
        }
        let mut response = entry.set_request_id(response);
        if protocol == Protocol::RestXml
            && let Some(id) = response.headers.get(REQUEST_ID).cloned()
        {
            response.headers.insert("x-amz-request-id", id);
        }
        self.calls.record(&entry.call(service.name(), operation, response.status.as_u16(), code));
        response
    }

    fn unserved(&self, request: &Request, mut entry: Entry) -> Response {
        let asked = match scope(&request.headers, &request.query) {
            Some(scope) => format!("\"{}\" is not a service of the local cloud", scope.service),
            None => format!("{} {} is not signed for an AWS service", request.method, request.path),
        };
        let served = self.served().join(", ");
        let error = ApiError::new(400, "UnknownServiceException", format!("{asked}. It serves {served}."));
        let protocol = if is_form(&request.headers) { Protocol::Query("") } else { Protocol::AwsJson10 };
        let response = protocol.error(&error, &entry.request_id).with_header("x-amzn-errortype", &error.code);
        let response = entry.set_request_id(response);
        self.calls.record(&entry.call("", None, error.status, Some(error.code.into_owned())));
        response
    }

    /// The service that requests are signed for by a name.
    fn service(&self, name: &str) -> Option<&Arc<dyn AnyService>> {
        // Both versions of the API Gateway API have this signing name; the second one is served.
        let name = if name == "apigateway" { "apigatewayv2" } else { name };
        self.services.iter().find(|service| service.name() == name)
    }

    /// The names of the services, in order.
    fn served(&self) -> Vec<&'static str> {
        let mut served: Vec<_> = self.services.iter().map(|service| service.name()).collect();
        served.sort_unstable();
        served
    }

    /// The service of a request: the one it is signed for, else the one that its form suggests.
    fn service_of(&self, request: &Request) -> Option<&Arc<dyn AnyService>> {
        match scope(&request.headers, &request.query) {
            Some(scope) => self.service(&scope.service),
            None if is_s3(request) || is_upload(&request.headers) => self.service("s3"),
            None => match request.headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
                Some(target) => self
                    .services
                    .iter()
                    .find(|service| service.targets().iter().any(|prefix| target.starts_with(prefix))),
                None => self.service(service_by_form(request)?),
            },
        }
    }
}

/// The services of a router, for one of them that calls the others. (It does not keep the router.)
pub struct RoutedServices {
    router: Weak<Router>,
    authority: String,
}

impl RoutedServices {
    /// `authority` is the cloud's host and port.
    pub fn new(router: &Arc<Router>, authority: String) -> Self {
        Self { router: Arc::downgrade(router), authority }
    }
}

#[async_trait]
impl Services for RoutedServices {
    fn protocol(&self, service: &str) -> Option<(Protocol, Option<&'static str>)> {
        let router = self.router.upgrade()?;
        let service = router.service(service)?;
        Some((service.protocol(), service.targets().first().copied()))
    }

    fn names(&self) -> Vec<String> {
        let router = self.router.upgrade();
        router.iter().flat_map(|router| router.served()).map(str::to_owned).collect()
    }

    fn authority(&self) -> String {
        self.authority.clone()
    }

    async fn answer(&self, request: Request) -> Response {
        match self.router.upgrade() {
            Some(router) => router.answer_to(Sender::Service, request).await,
            None => Response::empty(503),
        }
    }
}

/// A call in progress, to be written to the call log.
#[derive(Debug, Clone)]
pub struct Entry {
    at: OffsetDateTime,
    started: Instant,
    caller: Caller,
    request_id: String,
}

impl Entry {
    /// A call that begins now.
    pub fn new(request: &Request) -> Self {
        Self {
            at: OffsetDateTime::now_utc(),
            started: Instant::now(),
            caller: request.caller.clone(),
            request_id: Uuid::new_v4().to_string(),
        }
    }

    /// Sets the request id of an answer, unless the service has set one (an invocation's is in the function's log,
    /// too).
    fn set_request_id(&mut self, mut response: Response) -> Response {
        if let Some(given) = response.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()) {
            given.clone_into(&mut self.request_id);
        } else if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            response.headers.insert(REQUEST_ID, id);
        }
        response
    }

    fn call(
        self,
        service: &'static str,
        operation: Option<&'static Operation>,
        status: u16,
        code: Option<String>,
    ) -> LoggedCall {
        LoggedCall {
            at: timestamp(self.at),
            ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            service: service.into(),
            operation: operation.map_or("", |operation| operation.name).into(),
            region: self.caller.region,
            access_key: self.caller.access_key,
            status,
            code,
            request_id: self.request_id,
            mutating: operation.is_none_or(Operation::changes),
        }
    }
}

/// Decodes a query string or a form, in the order sent.
pub fn decode_query(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

/// The service of an unsigned request without a target header, by its path, or the API version of its action.
fn service_by_form(request: &Request) -> Option<&'static str> {
    if request.path.contains("/@connections/") {
        return Some("execute-api");
    }
    if request.path.starts_with("/v2/") || request.path == "/account" {
        return Some("apigatewayv2");
    }
    if ["schedules", "schedule-groups"].contains(&request.path.split('/').nth(1).unwrap_or_default()) {
        return Some("scheduler");
    }
    // Lambda's paths begin with the date of the interface: /2015-03-31/functions.
    let dated = |segment: &str| segment.len() == 10 && segment.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if request.path.split('/').nth(1).is_some_and(dated) {
        return Some("lambda");
    }
    let form = if is_form(&request.headers) { decode_query(&request.body) } else { Vec::new() };
    let version = request.query.iter().chain(&form).find(|(name, _)| name == "Version")?;
    match version.1.as_str() {
        "2010-05-08" => Some("iam"),
        "2011-06-15" => Some("sts"),
        "2010-05-15" => Some("cloudformation"),
        "2010-03-31" => Some("sns"),
        _ => None,
    }
}

/// Whether a request has one of S3's host names.
fn is_s3(request: &Request) -> bool {
    let host = request.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| s3_host(host).is_some())
}

/// Whether a request is a form with a file, which only S3 takes.
fn is_upload(headers: &HeaderMap) -> bool {
    let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("multipart/form-data"))
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"))
}

/// Refuses GET requests that would change something: a web page could send one with an image tag, and no SDK uses GET
/// for them. (Paths come with a method; the other protocols name the operation in the request, whatever its method.)
fn refuse_changing_get(call: &ServiceCall) -> Result<(), ApiError> {
    let Operation { name, method, .. } = call.operation;
    if call.request.method == http::Method::GET && call.operation.changes() {
        return Err(ApiError::new(400, "InvalidAction", format!("{name} is sent by {method} to the local cloud.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
