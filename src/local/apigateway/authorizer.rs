//! Lambda authorizers, which decide whether a client may connect (developer guide, "Control access to WebSocket APIs with AWS
//! Lambda REQUEST authorizers").

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};

use super::event::Pairs;
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

/// The refusal of a client: the status of the handshake's answer, and the message.
pub type Refused = (StatusCode, &'static str);

const UNAUTHORIZED: Refused = (StatusCode::UNAUTHORIZED, "Unauthorized");
const FAILED: Refused = (StatusCode::INTERNAL_SERVER_ERROR, "Internal server error");

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
) -> Result<AuthorizerContext, Refused> {
    if !authorizer.identity_source.iter().all(|source| handshake.has(source)) {
        return Err(UNAUTHORIZED);
    }
    let uri = integration::with_variables(&authorizer.authorizer_uri, handshake.variables);
    let function = integration::function_arn(&uri).ok_or(FAILED)?;
    let permitted = authorizer.authorizer_credentials_arn.is_some()
        || functions.permits(function, "apigateway.amazonaws.com", source_arn);
    if !permitted {
        tracing::warn!(function, source_arn, "the authorizer's resource policy does not let API Gateway invoke it");
        return Err(FAILED);
    }
    let Ok(answer) = tokio::time::timeout(TIMEOUT, functions.invoke(function, event)).await else {
        tracing::warn!(function, "the authorizer timed out");
        return Err(FAILED);
    };
    let invoked = answer.map_err(|error| {
        tracing::warn!(function, code = %error.code, message = error.message, "Lambda refused to invoke the authorizer");
        FAILED
    })?;
    let answer: Value = serde_json::from_slice(&invoked.payload).unwrap_or_default();
    if invoked.function_error.is_some() {
        // A function refuses a client with 401 by throwing exactly this message.
        let refused = answer["errorMessage"] == "Unauthorized";
        tracing::warn!(function, "the authorizer failed: {answer}");
        return Err(if refused { UNAUTHORIZED } else { FAILED });
    }
    let Some((principal, policy, context)) = read(&answer) else {
        tracing::warn!(function, "malformed authorizer response: {answer}");
        return Err(FAILED);
    };
    let need = Need::new("execute-api:Invoke", route_arn);
    match verdict([policy.as_str()], &need) {
        Verdict::Allowed => Ok([("principalId".to_owned(), principal.into())].into_iter().chain(context).collect()),
        Verdict::Denied => {
            Err((StatusCode::FORBIDDEN, "User is not authorized to access this resource with an explicit deny"))
        }
        Verdict::Unmentioned => Err((StatusCode::FORBIDDEN, "User is not authorized to access this resource")),
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
    let context = given.into_iter().map(text).collect::<Option<AuthorizerContext>>()?;
    Some((principal, policy, context))
}
