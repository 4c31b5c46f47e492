//! Routes a request to its service, applies the conditions, and writes the call log.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue};
use time::OffsetDateTime;
use uuid::Uuid;

use super::access::Guard;
use super::authorization::Authorizer;
use super::call_log::{CallLog, LoggedCall, is_mutating, timestamp};
use super::conditions::Conditions;
use super::wire::{ApiError, Caller, Protocol, Request, Response, Service};

/// The header with the request id of an answer.
pub const REQUEST_ID: &str = "x-amzn-requestid";

/// The largest request of Lambda's, in bytes: 50 MB of zip as base64 and the JSON around it. AWS names this number in the
/// error for a larger `CreateFunction`.
const MAX_LAMBDA_BODY: usize = 70_167_211;

/// The largest request of every other service, in bytes: DynamoDB's limit for a batch, the largest of these limits.
const MAX_BODY: usize = 16 << 20;

/// Routes requests to the services of the local cloud.
pub struct Router {
    services: Vec<Arc<dyn Service>>,
    conditions: Arc<Conditions>,
    /// Authenticates callers; without it, every caller is admitted.
    guard: Option<Guard>,
    /// Authorizes calls; without it, every call is allowed.
    authorizer: Option<Arc<dyn Authorizer>>,
    calls: CallLog,
}

/// The credential scope of a request's signature: `Credential=AKID/20260101/eu-west-1/lambda/aws4_request`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub access_key: String,
    pub region: String,
    /// The signing name of the service.
    pub service: String,
}

impl Router {
    /// A router without authentication and authorization.
    pub fn new(services: Vec<Arc<dyn Service>>, conditions: Arc<Conditions>, calls: CallLog) -> Self {
        Self { services, conditions, guard: None, authorizer: None, calls }
    }

    /// Adds authentication and authorization.
    pub fn guarded(self, guard: Option<Guard>, authorizer: Option<Arc<dyn Authorizer>>) -> Self {
        Self { guard, authorizer, ..self }
    }

    /// The largest body that a request may have, by its head.
    pub fn body_limit(&self, head: &Request) -> usize {
        if self.service_of(head).is_some_and(|service| service.name() == "lambda") { MAX_LAMBDA_BODY } else { MAX_BODY }
    }

    /// The refusal of a request whose body is over the limit; `head` is the request without its body.
    pub fn too_large(&self, head: &Request) -> Response {
        let limit = self.body_limit(head);
        let entry = Entry::new(head);
        let Some(service) = self.service_of(head) else { return self.unserved(head, entry) };
        let operation = service.operation(head).unwrap_or_default();
        let error = ApiError::new(
            413,
            "RequestEntityTooLargeException",
            format!("Request must be smaller than {limit} bytes for the {operation} operation"),
        );
        self.finish(&**service, operation, Err(error), entry)
    }

    /// Answers a request. The call is a task of its own, because it runs to its end even if the client disconnects, as on
    /// AWS.
    pub async fn answer(self: &Arc<Self>, request: Request) -> Response {
        let entry = Entry::new(&request);
        let Some(service) = self.service_of(&request).cloned() else { return self.unserved(&request, entry) };
        let operation = match service.operation(&request) {
            Ok(operation) => operation,
            Err(error) => return self.finish(&*service, "", Err(error), entry),
        };
        let router = Arc::clone(self);
        let failed = (Arc::clone(&service), entry.clone());
        let call = tokio::spawn(async move {
            let result = router.call(&*service, operation, request).await;
            router.finish(&*service, operation, result, entry)
        });
        match call.await {
            Ok(response) => response,
            Err(error) => {
                let (service, entry) = failed;
                tracing::error!("{}.{operation} failed: {error}", service.name());
                let error = ApiError::new(500, "InternalFailure", "The local cloud failed; see `wschat local logs`.");
                self.finish(&*service, operation, Err(error), entry)
            }
        }
    }

    /// Logs a request that no service handled: a WebSocket handshake.
    pub fn record(&self, service: &'static str, operation: &'static str, entry: Entry, status: u16) {
        self.calls.record(&entry.call(service, operation, status, None));
    }

    async fn call(&self, service: &dyn Service, operation: &str, request: Request) -> Result<Response, ApiError> {
        let name = service.name();
        let api = service.mutated_api(operation, &request);
        let admitted = self.conditions.before(name, operation, size(&request)).await;
        let admitted =
            admitted.and_then(|()| self.guard.as_ref().map_or(Ok(()), |guard| guard.admit(name, operation, &request)));
        let admitted = admitted.and_then(|()| refuse_mutating_get(service, operation, &request));
        let admitted = admitted.and_then(|()| match &self.authorizer {
            Some(authorizer) => authorizer.authorize(name, &request, &service.needs(operation, &request)),
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
            (Ok(()), _) => service.call(operation, request).await,
        };
        self.conditions.after(name, operation).await;
        result
    }

    fn finish(
        &self,
        service: &dyn Service,
        operation: &'static str,
        result: Result<Response, ApiError>,
        mut entry: Entry,
    ) -> Response {
        let protocol = service.protocol();
        let (mut response, code) = match result {
            Ok(response) => (response, None),
            Err(error) => {
                // Some services put a namespace before the code: com.amazonaws.dynamodb.v20120810#ResourceInUseException.
                let code = error.code.rsplit('#').next().map(str::to_owned);
                (protocol.error(&error, &entry.request_id), code)
            }
        };
        if matches!(protocol, Protocol::AwsJson10 | Protocol::AwsJson11) {
            let content_type = HeaderValue::from_static(protocol.content_type());
            response.headers.insert(http::header::CONTENT_TYPE, content_type);
        }
        let response = entry.set_request_id(response);
        self.calls.record(&entry.call(service.name(), operation, response.status.as_u16(), code));
        response
    }

    fn unserved(&self, request: &Request, mut entry: Entry) -> Response {
        let asked = match scope(&request.headers, &request.query) {
            Some(scope) => format!("\"{}\" is not a service of the local cloud", scope.service),
            None => format!("{} {} is not signed for an AWS service", request.method, request.path),
        };
        let mut served: Vec<&str> = self.services.iter().map(|service| service.name()).collect();
        served.sort_unstable();
        let error = ApiError::new(400, "UnknownServiceException", format!("{asked}. It serves {}.", served.join(", ")));
        let protocol = if is_form(&request.headers) { Protocol::Query("") } else { Protocol::AwsJson10 };
        let response = protocol.error(&error, &entry.request_id).with_header("x-amzn-errortype", &error.code);
        let response = entry.set_request_id(response);
        self.calls.record(&entry.call("", "", error.status, Some(error.code.into_owned())));
        response
    }

    /// The service of a request: the one it is signed for, else the one that its form suggests.
    fn service_of(&self, request: &Request) -> Option<&Arc<dyn Service>> {
        let name = match scope(&request.headers, &request.query) {
            // Both versions of the API Gateway API have this signing name; the second one is served.
            Some(scope) if scope.service == "apigateway" => "apigatewayv2".to_owned(),
            Some(scope) => scope.service,
            None => service_by_form(request)?.to_owned(),
        };
        self.services.iter().find(|service| service.name() == name)
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

    /// Sets the request id of an answer, unless the service has set one (an invocation's is in the function's log, too).
    fn set_request_id(&mut self, mut response: Response) -> Response {
        if let Some(given) = response.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()) {
            given.clone_into(&mut self.request_id);
        } else if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            response.headers.insert(REQUEST_ID, id);
        }
        response
    }

    fn call(self, service: &'static str, operation: &'static str, status: u16, code: Option<String>) -> LoggedCall {
        LoggedCall {
            at: timestamp(self.at),
            ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            service: service.into(),
            operation: operation.into(),
            region: self.caller.region,
            access_key: self.caller.access_key,
            status,
            code,
            request_id: self.request_id,
            mutating: is_mutating(operation),
        }
    }
}

/// Reads a request's credential scope, from its `Authorization` header or, if it is presigned, from its query.
pub fn scope(headers: &HeaderMap, query: &[(String, String)]) -> Option<Scope> {
    let header = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let credential = value.split_once("Credential=")?.1;
        credential.split([',', ' ']).next()
    });
    let presigned = || query.iter().find(|(name, _)| name == "X-Amz-Credential").map(|(_, value)| value.as_str());
    let credential = header.or_else(presigned)?;
    let mut parts = credential.rsplitn(5, '/');
    let (Some("aws4_request"), Some(service), Some(region), Some(_date), Some(access_key)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    Some(Scope { access_key: access_key.to_owned(), region: region.to_owned(), service: service.to_owned() })
}

/// Decodes a query string or a form, in the order sent.
pub fn decode_query(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

/// The service of an unsigned request, by its target header, its path, or the API version of its action.
fn service_by_form(request: &Request) -> Option<&'static str> {
    if let Some(target) = request.headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
        return match target.split_once(['_', '.'])?.0 {
            "DynamoDB" => Some("dynamodb"),
            "Logs" => Some("logs"),
            _ => None,
        };
    }
    if request.path.contains("/@connections/") {
        return Some("execute-api");
    }
    if request.path.starts_with("/v2/") || request.path == "/account" {
        return Some("apigatewayv2");
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
        _ => None,
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"))
}

/// Refuses mutating GET requests of the query protocol: a web page could send one with an image tag, and no SDK uses GET.
fn refuse_mutating_get(service: &dyn Service, operation: &str, request: &Request) -> Result<(), ApiError> {
    let is_query = matches!(service.protocol(), Protocol::Query(_));
    if is_query && request.method == http::Method::GET && is_mutating(operation) {
        return Err(ApiError::new(400, "InvalidAction", format!("{operation} is sent by POST to the local cloud.")));
    }
    Ok(())
}

/// The size of a request on the uplink in bytes, estimated from the parsed request.
fn size(request: &Request) -> usize {
    let headers: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    request.path.len() + headers + request.body.len()
}

#[cfg(test)]
mod tests;
