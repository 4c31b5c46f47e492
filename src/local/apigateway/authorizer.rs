//! Lambda authorizers, which decide whether a client may connect (developer guide, "Control access to WebSocket APIs with AWS
//! Lambda REQUEST authorizers").

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::access_log::Reason;
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
/// resource policy is checked against. `begin` is called with the invocation's request id before it; `reason` gets why the client is
/// refused.
///
/// # Errors
/// [`Refused`]: 401 where an identity source is missing or the function returns the error `Unauthorized`, 403 where its
/// policy does not allow the route, 500 where it fails.
#[expect(clippy::too_many_arguments, reason = "all that an authorizer is asked about, and where the reason goes")]
pub async fn ask(
    authorizer: &AuthorizerConfig,
    functions: &dyn Functions,
    handshake: &Handshake<'_>,
    source_arn: &str,
    route_arn: &str,
    event: Bytes,
    begin: impl FnOnce(&str),
    reason: &mut Reason,
) -> Result<AuthorizerContext, Refused> {
    if let Some(source) = authorizer.identity_source.iter().find(|source| !handshake.has(source)) {
        reason.set(format!("the handshake has no {source}, which the authorizer needs (IdentitySource)"), None);
        return Err(UNAUTHORIZED);
    }
    let uri = integration::with_variables(&authorizer.authorizer_uri, handshake.variables);
    let Some(function) = integration::function_arn(&uri) else {
        reason.set(format!("the authorizer's URI names no function: {uri}"), None);
        return Err(FAILED);
    };
    reason.function = Some(function.to_owned());
    let permitted = authorizer.authorizer_credentials_arn.is_some()
        || functions.permits(function, "apigateway.amazonaws.com", source_arn);
    if !permitted {
        tracing::warn!(function, source_arn, "the authorizer's resource policy does not let API Gateway invoke it");
        let help = integration::permission(source_arn);
        reason.set("the authorizer's resource policy does not let API Gateway invoke it", Some(&help));
        return Err(FAILED);
    }
    let request_id = Uuid::new_v4().to_string();
    begin(&request_id);
    reason.request_id = Some(request_id.clone());
    let Ok(answer) = tokio::time::timeout(TIMEOUT, functions.invoke(function, &request_id, event)).await else {
        tracing::warn!(function, "the authorizer timed out");
        reason.set(format!("the authorizer did not answer within {} s", TIMEOUT.as_secs()), None);
        return Err(FAILED);
    };
    let invoked = answer.map_err(|error| {
        tracing::warn!(function, code = %error.code, message = error.message, "Lambda refused to invoke the authorizer");
        reason.set(format!("Lambda refused to invoke the authorizer: {}: {}", error.code, error.message), None);
        FAILED
    })?;
    let answer: Value = serde_json::from_slice(&invoked.payload).unwrap_or_default();
    if invoked.function_error.is_some() {
        // A function refuses a client with 401 by throwing exactly this message.
        let refused = answer["errorMessage"] == "Unauthorized";
        reason.set_failed(&invoked.payload);
        reason.text = match refused {
            true => "the authorizer refused the client".to_owned(),
            false => reason.text.replacen("function", "authorizer", 1),
        };
        reason.by_function = !refused;
        tracing::warn!(function, "{}", reason.text);
        return Err(if refused { UNAUTHORIZED } else { FAILED });
    }
    let Some((principal, policy, context)) = read(&answer) else {
        let answer = integration::shortened(&answer.to_string());
        tracing::warn!(function, "malformed authorizer response: {answer}");
        let text = format!("the authorizer returned no policy: {answer}");
        reason.set(
            text,
            Some("return principalId, policyDocument, and a context of texts, numbers and booleans at most"),
        );
        return Err(FAILED);
    };
    let need = Need::new("execute-api:Invoke", route_arn);
    reason.set(format!("the authorizer's policy does not allow execute-api:Invoke on {route_arn}"), None);
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
