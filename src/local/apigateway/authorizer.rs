//! Lambda authorizers, which decide whether a client may connect (developer guide, "Control access to WebSocket APIs with AWS
//! Lambda REQUEST authorizers").

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};

use super::cause::{self, Cause};
use super::event::Pairs;
use super::gateway_log::ClientRequest;
use super::integration::{self, Backends, Invoking};
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

/// Why an authorizer's function said nothing of a client.
pub enum Unasked {
    /// It refused the client, by failing with exactly the message for that.
    Unauthorized(Cause),
    Failed(Cause),
}

/// Invokes an authorizer's function; gives its ARN, and what it answered.
///
/// # Errors
/// [`Unasked`].
pub async fn answer_of(
    invoking: &Invoking<'_>,
    event: Bytes,
    request: &mut ClientRequest<'_>,
) -> Result<(String, Value), Unasked> {
    let (function, invoked) = invoking.invoke(event, request).await.map_err(Unasked::Failed)?;
    let answer: Value = serde_json::from_slice(&invoked.payload).unwrap_or_default();
    if invoked.function_error.is_none() {
        return Ok((function, answer));
    }
    tracing::warn!(function, "the authorizer failed: {}", cause::described(&answer.to_string()));
    Err(match answer["errorMessage"] == "Unauthorized" {
        true => Unasked::Unauthorized(Cause::Unauthorized { function }),
        false => Unasked::Failed(Cause::Failed { function, error: answer.to_string() }),
    })
}

/// Holds the policy that a function returned against a route.
///
/// # Errors
/// [`Cause::Denied`].
pub fn decided(policy: &str, function: &str, route_arn: &str) -> Result<(), Cause> {
    let explicit = match verdict([policy], &Need::new("execute-api:Invoke", route_arn)) {
        Verdict::Allowed => return Ok(()),
        Verdict::Denied => true,
        Verdict::Unmentioned => false,
    };
    Err(Cause::Denied { function: function.to_owned(), explicit })
}

/// What clients of WebSocket APIs and REST APIs are told that a policy denies, or does not allow, a route.
pub fn denial(is_explicit: bool) -> &'static str {
    match is_explicit {
        true => "User is not authorized to access this resource with an explicit deny",
        false => "User is not authorized to access this resource",
    }
}

/// The context that a function's answer gives a client which it lets in: principal and members.
///
/// # Errors
/// [`Cause::Denied`]; [`Cause::MalformedAuthorization`].
pub fn context_of(function: &str, answer: &Value, route_arn: &str) -> Result<AuthorizerContext, Cause> {
    let Some((principal, policy, context)) = read(answer) else {
        let returned = answer.to_string();
        tracing::warn!(function, "malformed authorizer response: {}", cause::quoted(&returned));
        return Err(Cause::MalformedAuthorization { function: function.to_owned(), returned });
    };
    decided(&policy, function, route_arn)?;
    Ok([("principalId".to_owned(), principal.into())].into_iter().chain(context).collect())
}

/// Invokes `authorizer` for a client that requests `route_arn`; `source_arn` is the authorizer's own ARN, which the function's
/// resource policy is checked against.
///
/// # Errors
/// [`Refused`]: 401 where an identity source is missing or the function returns the error `Unauthorized`, 403 where its
/// policy does not allow the route, 500 where it fails.
pub async fn ask(
    authorizer: &AuthorizerConfig,
    (functions, backends): (&dyn Functions, Option<&Backends>),
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
    let invoking = Invoking {
        functions,
        backends,
        uri: &integration::with_variables(&authorizer.authorizer_uri, handshake.variables),
        role: authorizer.authorizer_credentials_arn.as_deref(),
        source_arn,
        limit: TIMEOUT,
    };
    let (function, answer) = answer_of(&invoking, event, request).await.map_err(|unasked| match unasked {
        Unasked::Unauthorized(cause) => Refused::unauthorized(cause),
        Unasked::Failed(cause) => Refused::failed(cause),
    })?;
    context_of(&function, &answer, route_arn).map_err(|cause| match cause {
        Cause::Denied { explicit, .. } => Refused::new(StatusCode::FORBIDDEN, denial(explicit), cause),
        cause => Refused::failed(cause),
    })
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
