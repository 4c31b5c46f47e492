//! Lambda authorizers, which decide whether a client may connect (developer guide, "Control access to WebSocket APIs with AWS
//! Lambda REQUEST authorizers").

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};

use super::cause::{self, Cause};
use super::event::Pairs;
use super::gateway_log::ClientRequest;
use super::integration;
use super::model::{AuthorizerConfig, Strings};
use crate::core::iam::evaluate::{Verdict, verdict};
use crate::core::iam::need::Need;
use crate::local::context::ports::Functions;

/// The prefixes of identity sources.
pub const IDENTITY_SOURCES: &[&str] =
    &["route.request.header.", "route.request.querystring.", "stageVariables.", "context."];

/// How long an authorizer may take: the limit of integrations.
const TIMEOUT: Duration = Duration::from_secs(29);

/// The context that an authorizer returns; all later events of the client have it as `requestContext.authorizer`.
pub type AuthorizerContext = Map<String, Value>;

/// The refusal of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The status of the handshake's answer, or what it would be for a message.
    pub status: StatusCode,
    /// What the client is told.
    pub message: &'static str,
    /// What the developer is told.
    pub cause: Cause,
}

impl Refused {
    pub fn new(status: StatusCode, message: &'static str, cause: Cause) -> Self {
        Self { status, message, cause }
    }

    fn unauthorized(cause: Cause) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", cause)
    }

    fn failed(cause: Cause) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error", cause)
    }
}

/// The parts of a handshake that identity sources refer to.
pub struct Handshake<'a> {
    pub headers: &'a Pairs,
    pub query: &'a Pairs,
    pub variables: &'a Strings,
    /// Members of `requestContext`, by name.
    pub context: &'a (dyn Fn(&str) -> Option<String> + Sync),
}

impl Handshake<'_> {
    fn has(&self, source: &str) -> bool {
        let found = |pairs: &Pairs, name: &str, same: fn(&str, &str) -> bool| {
            pairs.iter().any(|(given, value)| same(given, name) && !value.is_empty())
        };
        if let Some(name) = source.strip_prefix("route.request.header.") {
            found(self.headers, name, str::eq_ignore_ascii_case)
        } else if let Some(name) = source.strip_prefix("route.request.querystring.") {
            found(self.query, name, |given, name| given == name)
        } else if let Some(name) = source.strip_prefix("stageVariables.") {
            self.variables.get(name).is_some_and(|value| !value.is_empty())
        } else {
            source.strip_prefix("context.").and_then(self.context).is_some_and(|value| !value.is_empty())
        }
    }
}

/// Invokes `authorizer` for a client that requests `route_arn`; `source_arn` is the authorizer's own ARN, which the function's
/// resource policy is checked against.
///
/// # Errors
/// [`Refused`]: 401 where an identity source is missing or the function returns the error `Unauthorized`, 403 where its
/// policy does not allow the route, 500 where it fails.
pub async fn ask(
    authorizer: &AuthorizerConfig,
    functions: &dyn Functions,
    handshake: &Handshake<'_>,
    source_arn: &str,
    route_arn: &str,
    event: Bytes,
    request: &mut ClientRequest<'_>,
) -> Result<AuthorizerContext, Refused> {
    let missing: Vec<String> =
        authorizer.identity_source.iter().filter(|source| !handshake.has(source)).cloned().collect();
    if !missing.is_empty() {
        return Err(Refused::unauthorized(Cause::NoIdentity { missing }));
    }
    let uri = integration::with_variables(&authorizer.authorizer_uri, handshake.variables);
    let function =
        integration::function_arn(&uri).ok_or_else(|| Refused::failed(Cause::NoFunction { uri: uri.clone() }))?;
    let named = || function.to_owned();
    let permitted = authorizer.authorizer_credentials_arn.is_some()
        || functions.permits(function, "apigateway.amazonaws.com", source_arn);
    if !permitted {
        tracing::warn!(function, source_arn, "the authorizer's resource policy does not let API Gateway invoke it");
        let source_arn = source_arn.to_owned();
        return Err(Refused::failed(Cause::NotPermitted { function: named(), source_arn }));
    }
    let id = request.begin_invocation(function);
    let Ok(answer) = tokio::time::timeout(TIMEOUT, functions.invoke(function, &id, event, request.id())).await else {
        tracing::warn!(function, "the authorizer timed out");
        return Err(Refused::failed(Cause::TimedOut { function: named(), limit: TIMEOUT }));
    };
    let invoked = answer.map_err(|error| {
        tracing::warn!(function, code = %error.code, message = error.message, "Lambda refused to invoke the authorizer");
        let (code, message) = (error.code.into_owned(), error.message);
        Refused::failed(Cause::NotInvoked { function: named(), code, message })
    })?;
    let answer: Value = serde_json::from_slice(&invoked.payload).unwrap_or_default();
    if invoked.function_error.is_some() {
        // A function refuses a client with 401 by throwing exactly this message.
        let refused = answer["errorMessage"] == "Unauthorized";
        tracing::warn!(function, "the authorizer failed: {}", cause::described(&answer.to_string()));
        return Err(if refused {
            Refused::unauthorized(Cause::Unauthorized { function: named() })
        } else {
            Refused::failed(Cause::Failed { function: named(), error: answer.to_string() })
        });
    }
    let Some((principal, policy, context)) = read(&answer) else {
        let answer = answer.to_string();
        tracing::warn!(function, "malformed authorizer response: {}", cause::quoted(&answer));
        return Err(Refused::failed(Cause::MalformedAuthorization { function: named(), returned: answer }));
    };
    let need = Need::new("execute-api:Invoke", route_arn);
    match verdict([policy.as_str()], &need) {
        Verdict::Allowed => Ok([("principalId".to_owned(), principal.into())].into_iter().chain(context).collect()),
        Verdict::Denied => Err(Refused::new(
            StatusCode::FORBIDDEN,
            "User is not authorized to access this resource with an explicit deny",
            Cause::Denied { function: named(), explicit: true },
        )),
        Verdict::Unmentioned => Err(Refused::new(
            StatusCode::FORBIDDEN,
            "User is not authorized to access this resource",
            Cause::Denied { function: named(), explicit: false },
        )),
    }
}

/// Principal, policy document and context of an authorizer's answer. Values of the context are scalars, shown as text in
/// events.
fn read(answer: &Value) -> Option<(String, String, AuthorizerContext)> {
    let principal = answer["principalId"].as_str()?.to_owned();
    let policy = answer.get("policyDocument").filter(|policy| policy.is_object())?.to_string();
    let given = match &answer["context"] {
        Value::Null => Map::new(),
        Value::Object(given) => given.clone(),
        _ => return None,
    };
    let text = |(name, value): (String, Value)| match value {
        Value::String(_) | Value::Null => Some((name, value)),
        Value::Bool(_) | Value::Number(_) => Some((name, value.to_string().into())),
        Value::Array(_) | Value::Object(_) => None,
    };
    // An API that takes API keys from its authorizer finds them at `$context.authorizer.usageIdentifierKey`.
    let key = answer.get("usageIdentifierKey").cloned().map(|key| ("usageIdentifierKey".to_owned(), key));
    let context = given.into_iter().chain(key).map(text).collect::<Option<AuthorizerContext>>()?;
    Some((principal, policy, context))
}
