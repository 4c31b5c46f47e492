//! Runs a route's integration: checks its permission, limits its time, and reads or maps its result.
//!
//! ```text
//! AWS_PROXY               event --> function --> proxy response
//! MOCK, HTTP, HTTP_PROXY, AWS   event --> mapping::request --> endpoint | service_call | function --> mapping::response
//! ```

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::cause::{self, Cause};
use super::gateway_log::ClientRequest;
use super::mapping::{self, Backend, IntegrationRequest, RouteRequest};
use super::model::{FrozenRoute, Integration, IntegrationConfig, Snapshot, Strings};
use super::rules::Members;
use super::schema::{self, Invalid};
use super::service_call::{self, Target};
use super::{endpoint, selection};
use crate::core::iam::need::Need;
use crate::local::context::ports::{Callers, Functions, Invoked, Records, Roles, Services};
use crate::local::lock::lock;

/// How long a session of an integration's role is used.
const SESSION: Duration = Duration::from_secs(300);

/// The rest of the local cloud, as the gateway uses it.
pub struct Backends {
    roles: Arc<dyn Roles>,
    services: Arc<dyn Services>,
    pub callers: Arc<dyn Callers>,
    /// API keys and usage plans.
    pub records: Arc<dyn Records>,
    /// By role: since when, and its access key.
    sessions: Mutex<HashMap<String, (Instant, String)>>,
}

impl Backends {
    pub fn new(
        roles: Arc<dyn Roles>,
        services: Arc<dyn Services>,
        callers: Arc<dyn Callers>,
        records: Arc<dyn Records>,
    ) -> Self {
        Self { roles, services, callers, records, sessions: Mutex::default() }
    }

    /// Checks that the gateway can assume a role, and that its policies let it invoke a function.
    fn may_invoke(&self, role: &str, function: &str) -> Result<(), Cause> {
        if !self.roles.assumable(role, "apigateway.amazonaws.com") {
            return Err(Cause::NoRole { role: role.to_owned() });
        }
        let region = function.split(':').nth(3).unwrap_or_default();
        match self.roles.refused(role, region, &[Need::new("lambda:InvokeFunction", function)]) {
            Some(_) => Err(Cause::RoleDenied { role: role.to_owned(), function: function.to_owned() }),
            None => Ok(()),
        }
    }

    /// The access key of a session of a role.
    fn session(&self, role: &str) -> Result<String, Cause> {
        if !self.roles.assumable(role, "apigateway.amazonaws.com") {
            return Err(Cause::NoRole { role: role.to_owned() });
        }
        let mut sessions = lock(&self.sessions);
        if let Some((since, key)) = sessions.get(role)
            && since.elapsed() < SESSION
            && self.roles.has_issued(key)
        {
            return Ok(key.clone());
        }
        let key = self.roles.issue(role, "BackplaneAssumeRoleSession").access_key_id;
        sessions.insert(role.to_owned(), (Instant::now(), key.clone()));
        Ok(key)
    }
}

/// A route's call of its integration.
pub struct RouteCall<'a> {
    pub functions: &'a dyn Functions,
    /// `None` where there is no cloud around the gateway.
    pub backends: Option<&'a Backends>,
    /// The PEM file with the certificates that endpoints are trusted by.
    pub roots: &'a Path,
    pub snapshot: &'a Snapshot,
    pub route: &'a FrozenRoute,
    /// The stage's.
    pub variables: &'a Strings,
    /// `arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/KEY`.
    pub source_arn: &'a str,
    /// What a Lambda proxy gets.
    pub event: Bytes,
}

/// The response of a Lambda proxy integration.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyResponse {
    /// 200 to 599.
    pub status: u16,
    pub headers: Members,
    /// Decoded from base64 where the handler set `isBase64Encoded`.
    pub body: Option<Vec<u8>>,
}

/// The function in `arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/FUNCTION_ARN/invocations`, the form of
/// the URI of a WebSocket API's integration.
pub fn function_arn(uri: &str) -> Option<&str> {
    let (service, function) = uri.split_once(":lambda:path/2015-03-31/functions/")?;
    let function = function.strip_suffix("/invocations")?;
    (service.starts_with("arn:aws:apigateway:") && function.starts_with("arn:aws:lambda:")).then_some(function)
}

/// The function of an integration. AWS also accepts its plain ARN, as CDK wrote it until 1.94 (aws-cdk#13820).
pub fn integrated_function(uri: &str) -> Option<&str> {
    function_arn(uri).or_else(|| (uri.starts_with("arn:aws:lambda:") && uri.contains(":function:")).then_some(uri))
}

impl RouteCall<'_> {
    /// Runs an integration for the client's request `request`.
    ///
    /// # Errors
    /// The [`Cause`] of a failure; the client is told its kind.
    pub async fn run(self, integration: &Integration, request: &mut ClientRequest<'_>) -> Result<ProxyResponse, Cause> {
        let config = &integration.config;
        if config.integration_type == "AWS_PROXY" {
            let event = self.event.clone();
            let (function, invoked) = self.invoke(config, event, request).await?;
            if invoked.function_error.is_some() {
                return Err(failed(function, &invoked));
            }
            return read(&invoked.payload).ok_or_else(|| {
                let returned = String::from_utf8_lossy(&invoked.payload).into_owned();
                tracing::warn!(function, "malformed Lambda proxy response: {}", cause::quoted(&returned));
                Cause::Malformed { function, returned }
            });
        }
        let asked = RouteRequest::of(&self.event, self.variables);
        if !config.integration_type.ends_with("_PROXY") {
            self.validate(&asked)?;
        }
        let asked = Arc::new(asked);
        let sent = {
            let (config, asked) = (config.clone(), Arc::clone(&asked));
            self.mapped(&integration.config, move || mapping::request(&config, &asked)).await?
        };
        let backend = match config.integration_type.as_str() {
            "MOCK" => mocked(&sent.body)?,
            "HTTP" | "HTTP_PROXY" if config.connection_type == "VPC_LINK" => {
                return Err(Cause::NotLocally { what: "a private integration (VPC_LINK)".to_owned() });
            }
            "HTTP" | "HTTP_PROXY" => self.send(config, sent, request).await?,
            _ if integrated_function(&self.uri(config)).is_some() => {
                let (function, invoked) = self.invoke(config, sent.body, request).await?;
                let error = invoked.function_error.map(|_| message(&invoked.payload));
                // Only a response that is made for errors takes one.
                let taken = error.as_deref().is_none_or(|error| {
                    integration
                        .responses
                        .values()
                        .any(|response| mapping::matches(&response.integration_response_key, error))
                });
                if !taken {
                    return Err(failed(function, &invoked));
                }
                let status = if error.is_some() { 502 } else { 200 };
                Backend { status, body: invoked.payload, error, ..Backend::default() }
            }
            _ => self.call(config, sent).await?,
        };
        let responses = integration.responses.clone();
        let mapped = self.mapped(config, move || mapping::response(responses.values(), &asked, backend)).await?;
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            Some((name.to_string(), value.to_str().ok()?.into()))
        };
        Ok(ProxyResponse {
            status: mapped.status,
            headers: mapped.headers.iter().filter_map(header).collect(),
            body: Some(mapped.body.into()),
        })
    }

    /// Makes a request or a response by templates: where that takes time, it holds up nothing else.
    async fn mapped<T: Send + 'static>(
        &self,
        config: &IntegrationConfig,
        make: impl FnOnce() -> Result<T, Cause> + Send + 'static,
    ) -> Result<T, Cause> {
        let limit = timeout_of(config);
        let late = || Cause::Late { uri: "The integration's mapping".to_owned(), limit };
        match tokio::time::timeout(limit, tokio::task::spawn_blocking(make)).await {
            Ok(Ok(made)) => made,
            // Nothing in it panics; a cloud that ends does not wait for it.
            Ok(Err(_)) | Err(_) => Err(late()),
        }
    }

    fn uri(&self, config: &IntegrationConfig) -> String {
        with_variables(config.integration_uri.as_deref().unwrap_or_default(), self.variables)
    }

    /// Holds a message against the model that the route's model selection expression selects. Proxies take every message.
    fn validate(&self, asked: &RouteRequest) -> Result<(), Cause> {
        let config = &self.route.config;
        let Some(expression) = &config.model_selection_expression else { return Ok(()) };
        let key = selection::evaluate(expression, &|name| asked.selected(name));
        let models = &config.request_models;
        let Some(name) = key.and_then(|key| models.get(&key)).or_else(|| models.get("$default")) else { return Ok(()) };
        let bad = |problem: String| Cause::BadModel { model: name.clone(), problem };
        let model = self.snapshot.model(name).ok_or_else(|| bad("there is no such model".to_owned()))?;
        let schema: Value = serde_json::from_str(&model.schema).map_err(|error| bad(error.to_string()))?;
        let wrong = |problem: String| Cause::NotOfModel { model: name.clone(), problem };
        let body = serde_json::from_str(&asked.body).map_err(|error| wrong(format!("it is not JSON: {error}")))?;
        schema::validate(&schema, &body).map_err(|invalid| match invalid {
            Invalid::Value(problem) => wrong(problem),
            Invalid::Schema(problem) => bad(problem),
        })
    }

    /// Invokes the integration's function; gives its ARN, and what came of it.
    async fn invoke(
        &self,
        config: &IntegrationConfig,
        payload: Bytes,
        request: &mut ClientRequest<'_>,
    ) -> Result<(String, Invoked), Cause> {
        let invoking = Invoking {
            functions: self.functions,
            backends: self.backends,
            uri: &self.uri(config),
            role: config.credentials_arn.as_deref(),
            source_arn: self.source_arn,
            limit: timeout_of(config),
        };
        invoking.invoke(payload, request).await
    }

    /// Sends a request to the integration's endpoint.
    async fn send(
        &self,
        config: &IntegrationConfig,
        sent: IntegrationRequest,
        request: &ClientRequest<'_>,
    ) -> Result<Backend, Cause> {
        let uri = self.uri(config);
        let limit = timeout_of(config);
        let method = config.integration_method.as_deref();
        let sending = endpoint::send(method, &uri, sent, self.roots, &request.origin.api_id);
        match tokio::time::timeout(limit, sending).await {
            Ok(Ok(backend)) => Ok(backend),
            Ok(Err(problem)) => Err(Cause::NoEndpoint { uri, problem }),
            Err(_) => Err(Cause::Late { uri, limit }),
        }
    }

    /// Calls the integration's AWS service as its role.
    async fn call(&self, config: &IntegrationConfig, sent: IntegrationRequest) -> Result<Backend, Cause> {
        let uri = self.uri(config);
        let target = Target::read(&uri).ok_or_else(|| Cause::NoFunction { uri: uri.clone() })?;
        let nowhere = || Cause::NoService { service: target.service.to_owned(), served: Vec::new() };
        let backends = self.backends.ok_or_else(nowhere)?;
        let key = backends.session(config.credentials_arn.as_deref().unwrap_or_default())?;
        let limit = timeout_of(config);
        let services = backends.services.as_ref();
        let calling = service_call::send(services, &target, config.integration_method.as_deref(), sent, &key);
        tokio::time::timeout(limit, calling).await.unwrap_or_else(|_| Err(Cause::Late { uri: uri.clone(), limit }))
    }
}

/// An invocation of a function by the gateway.
pub struct Invoking<'a> {
    pub functions: &'a dyn Functions,
    /// `None` where there is no cloud around the gateway.
    pub backends: Option<&'a Backends>,
    /// The integration's URI, or the authorizer's, with the stage's variables in it.
    pub uri: &'a str,
    /// With a role the gateway invokes as that, and the function's resource policy is not checked.
    pub role: Option<&'a str>,
    /// What the function's resource policy is held against.
    pub source_arn: &'a str,
    pub limit: Duration,
}

impl Invoking<'_> {
    /// Invokes the function; gives its ARN, and what came of it.
    ///
    /// # Errors
    /// Why it was not invoked, or that it did not answer in time.
    pub async fn invoke(&self, payload: Bytes, request: &mut ClientRequest<'_>) -> Result<(String, Invoked), Cause> {
        let Self { functions, backends, uri, role, source_arn, limit } = *self;
        let function = integrated_function(uri).ok_or_else(|| Cause::NoFunction { uri: uri.to_owned() })?;
        let named = || function.to_owned();
        if let Some((role, backends)) = role.zip(backends) {
            backends.may_invoke(role, function)?;
        }
        if role.is_none() && !functions.permits(function, "apigateway.amazonaws.com", source_arn) {
            tracing::warn!(function, source_arn, "the function's resource policy does not let API Gateway invoke it");
            return Err(Cause::NotPermitted { function: named(), source_arn: source_arn.to_owned() });
        }
        let id = request.begin_invocation(function);
        let Ok(answer) = tokio::time::timeout(limit, functions.invoke(function, &id, payload, request.id())).await
        else {
            tracing::warn!(function, ?limit, "the integration timed out");
            return Err(Cause::TimedOut { function: named(), limit });
        };
        let invoked = answer.map_err(|error| {
            tracing::warn!(function, code = %error.code, message = error.message, "Lambda refused the invocation");
            Cause::NotInvoked { function: named(), code: error.code.into_owned(), message: error.message }
        })?;
        Ok((named(), invoked))
    }
}

pub(super) fn timeout_of(config: &IntegrationConfig) -> Duration {
    Duration::from_millis(config.timeout_in_millis.into())
}

/// The failure of a function.
pub(super) fn failed(function: String, invoked: &Invoked) -> Cause {
    let error = String::from_utf8_lossy(&invoked.payload).into_owned();
    tracing::warn!(function, "the function failed: {}; `wschat logs --local` shows where", cause::described(&error));
    Cause::Failed { function, error }
}

/// The message of an error document.
fn message(document: &[u8]) -> String {
    let document: Value = serde_json::from_slice(document).unwrap_or_default();
    document["errorMessage"].as_str().unwrap_or_default().to_owned()
}

/// The answer of a MOCK integration: the `statusCode` in what its request template gave, which AWS reads leniently
/// (`{'statusCode': 200}`).
pub(super) fn mocked(body: &[u8]) -> Result<Backend, Cause> {
    let given = String::from_utf8_lossy(body).into_owned();
    let status = serde_json::from_str::<Value>(&given).ok().and_then(|given| match &given["statusCode"] {
        Value::String(text) => text.parse().ok(),
        status => status.as_u64().and_then(|status| u16::try_from(status).ok()),
    });
    let loose = || {
        let (_, rest) = given.split_once("statusCode")?;
        let value = rest.trim_start_matches(|letter: char| letter.is_whitespace() || "\"':".contains(letter));
        value.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    };
    match status.or_else(loose).filter(|status| (200..600).contains(status)) {
        Some(status) => Ok(Backend { status, ..Backend::default() }),
        None => Err(Cause::NoMockedStatus { given }),
    }
}

/// A URI with the stage's variables substituted.
pub fn with_variables(uri: &str, variables: &Strings) -> String {
    variables
        .iter()
        .fold(uri.to_owned(), |uri, (name, value)| uri.replace(&format!("${{stageVariables.{name}}}"), value))
}

/// Parses a proxy response; `None` where it is invalid.
fn read(payload: &[u8]) -> Option<ProxyResponse> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct RawResponse {
        #[serde(default)]
        status_code: Value,
        #[serde(default)]
        headers: Option<Members>,
        #[serde(default)]
        body: Option<String>,
        #[serde(default)]
        is_base64_encoded: bool,
    }
    // Parsed as an object first, because serde would also accept an array for the struct.
    let object: Members = serde_json::from_slice(payload).ok()?;
    let response: RawResponse = serde_json::from_value(Value::Object(object)).ok()?;
    let status = match &response.status_code {
        Value::Null => 200,
        Value::Number(number) => u16::try_from(number.as_u64()?).ok()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    if !(200..600).contains(&status) {
        return None;
    }
    let body = match response.body {
        Some(text) if response.is_base64_encoded => Some(STANDARD.decode(text).ok()?),
        text => text.map(String::into_bytes),
    };
    Some(ProxyResponse { status, headers: response.headers.unwrap_or_default(), body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_is_read_from_the_invocation_uri() {
        let function = "arn:aws:lambda:us-east-1:000000000000:function:f";
        let uri = format!("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations");
        assert_eq!(function_arn(&uri), Some(function));
        assert_eq!(function_arn(function), None);
        assert_eq!(integrated_function(&uri), Some(function));
        assert_eq!(integrated_function(function), Some(function));
        assert_eq!(integrated_function("arn:aws:lambda:us-east-1:000000000000:layer:l"), None);
        assert_eq!(function_arn("https://example.com"), None);
    }

    #[test]
    fn a_mock_answers_with_the_status_that_its_template_gives() {
        for (given, status) in [
            (r#"{"statusCode": 200}"#, Some(200)),
            (r#"{"statusCode": "403", "message": "no"}"#, Some(403)),
            ("{'statusCode':'403'}", Some(403)),
            ("{\"statusCode\": 400, \"message\": \"unknown \"x\"\"}", Some(400)),
            ("{}", None),
            (r#"{"statusCode": 20}"#, None),
            ("", None),
        ] {
            assert_eq!(mocked(given.as_bytes()).ok().map(|backend| backend.status), status, "{given}");
        }
    }

    #[test]
    fn stage_variables_choose_the_function() {
        let variables = [("fn".to_owned(), "blue".to_owned())].into();
        assert_eq!(with_variables("function:${stageVariables.fn}/x", &variables), "function:blue/x");
    }

    #[test]
    fn proxy_responses_are_read_as_aws_reads_them() {
        for (payload, expected) in [
            (r#"{"statusCode":200}"#, Some((200, None))),
            (r#"{"statusCode":"403","body":"no"}"#, Some((403, Some("no")))),
            (r#"{"body":"x","headers":null}"#, Some((200, Some("x")))),
            (r#"{"statusCode":200,"body":"aGk=","isBase64Encoded":true}"#, Some((200, Some("hi")))),
            ("{}", Some((200, None))),
            ("null", None),
            ("[200]", None),
            (r#""done""#, None),
            ("", None),
            (r#"{"statusCode":101}"#, None),
            (r#"{"statusCode":200,"body":{"a":1}}"#, None),
        ] {
            let returned = read(payload.as_bytes());
            let seen = returned.as_ref().map(|it| (it.status, it.body.as_deref().map(|b| str::from_utf8(b).unwrap())));
            assert_eq!(seen, expected, "{payload}");
        }
    }
}
