//! Calls of the cloud's other services, as CloudFormation makes them: with its caller's key, the way of all requests.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::local::context::ports::Services;
use crate::local::protocol::operation::MAX_BODY;
use crate::local::protocol::wire::{ApiError, Caller, Protocol, Request, Response};

/// What stays as it is in a segment of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The other services, for one caller in one region.
#[derive(Clone)]
pub struct Calls {
    services: Arc<dyn Services>,
    caller: Caller,
}

impl Calls {
    pub fn new(services: Arc<dyn Services>, caller: Caller) -> Self {
        Self { services, caller }
    }

    pub fn region(&self) -> &str {
        &self.caller.region
    }

    /// Calls a service whose operations have paths. An empty answer is null.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn rest(
        &self,
        service: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let answer = self.send(service, method, path, HeaderMap::new(), body).await?;
        read_json(&answer)
    }

    /// The body of what a path of a service has.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn get(&self, service: &str, path: &str) -> Result<Bytes, ApiError> {
        Ok(self.send(service, Method::GET, path, HeaderMap::new(), Bytes::new()).await?.body)
    }

    /// Calls a service whose operations are named in `X-Amz-Target`.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn json(&self, service: &str, operation: &str, body: &Value) -> Result<Value, ApiError> {
        let target = self.services.protocol(service).and_then(|(_, target)| target).unwrap_or_default();
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&format!("{target}{operation}")) {
            headers.insert("x-amz-target", value);
        }
        let answer = self.send(service, Method::POST, "/", headers, Bytes::from(body.to_string())).await?;
        read_json(&answer)
    }

    /// Calls a service of the query protocol; gives the XML of its answer.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn query(&self, service: &str, action: &str, parameters: &[(&str, String)]) -> Result<String, ApiError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .extend_pairs(parameters)
            .finish();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let answer = self.send(service, Method::POST, "/", headers, Bytes::from(form)).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    async fn send(
        &self,
        service: &str,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, ApiError> {
        let Some((protocol, _)) = self.services.protocol(service) else {
            let message =
                format!("The local cloud has no service {service}. It has {}.", self.services.names().join(", "));
            return Err(ApiError::new(400, "NotPlayed", message));
        };
        let key = self.caller.access_key.as_deref().unwrap_or("cloudformation");
        let scope = format!("{key}/20260101/{}/{service}/aws4_request", self.caller.region);
        let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        if let Ok(value) = HeaderValue::from_str(&signature) {
            headers.insert(AUTHORIZATION, value);
        }
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(protocol.content_type()));
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let request =
            Request { method, path: path.to_owned(), query, headers, body, file: None, caller: self.caller.clone() };
        let answer = self.services.answer(request).await.in_memory(MAX_BODY).await;
        if answer.status.is_success() { Ok(answer) } else { Err(refusal(protocol, &answer)) }
    }
}

/// A segment of a path, encoded.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// The text of the first element called `name` in an answer.
pub fn text_of(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(unescaped(text))
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

fn read_json(answer: &Response) -> Result<Value, ApiError> {
    if answer.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&answer.body).map_err(|error| ApiError::new(500, "InternalFailure", error.to_string()))
}

/// The error that an answer carries.
fn refusal(protocol: Protocol, answer: &Response) -> ApiError {
    let status = answer.status.as_u16();
    let body = String::from_utf8_lossy(&answer.body);
    if body.trim_start().starts_with('<') || matches!(protocol, Protocol::Query(_)) {
        let code = text_of(&body, "Code").unwrap_or_default();
        return ApiError::new(status, code, text_of(&body, "Message").unwrap_or_default());
    }
    let value: Value = serde_json::from_str(&body).unwrap_or_default();
    let of_header = answer.headers.get("x-amzn-errortype").and_then(|code| code.to_str().ok());
    let code = of_header.or(value["__type"].as_str()).unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default().to_owned();
    let message = value["message"].as_str().or(value["Message"].as_str()).unwrap_or_default();
    ApiError::new(status, code, message)
}
