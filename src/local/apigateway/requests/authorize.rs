//! Who may call a route of an HTTP API: everyone, who signs the request, who has a token, or whom a function lets in. (Developer
//! guide, "Control access to HTTP APIs with AWS Lambda authorizers", "... with JWT authorizers", "... with IAM authorization".)

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::event::Facts;
use super::jwt;
use super::request::Received;
use crate::local::apigateway::ApiGateway;
use crate::local::apigateway::admission;
use crate::local::apigateway::authorizer::{self, Refused, Unasked};
use crate::local::apigateway::cause::{self, Cause};
use crate::local::apigateway::gateway_log::ClientRequest;
use crate::local::apigateway::integration::{self, Invoking};
use crate::local::apigateway::model::{AuthorizerConfig, FrozenRoute};
use crate::local::apigateway::selection;
use crate::local::context::ACCOUNT;
use crate::local::context::ports::Principal;
use crate::local::protocol::signature::Signed;

/// How long an authorizer may take (quotas of HTTP APIs: 10 seconds).
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client that may call.
#[derive(Debug, Default)]
pub struct Admitted {
    /// What `requestContext.authorizer` of the events is, if there is an authorizer.
    pub context: Option<Value>,
    /// Who signed the request.
    pub caller: Option<Principal>,
}

/// A refusal, and the challenge that it comes with.
pub struct Denied {
    pub refused: Refused,
    pub challenge: Option<String>,
}

impl From<Refused> for Denied {
    fn from(refused: Refused) -> Self {
        Self { refused, challenge: None }
    }
}

fn unauthorized(cause: Cause) -> Refused {
    Refused::new(StatusCode::UNAUTHORIZED, "Unauthorized", cause)
}

fn forbidden(cause: Cause) -> Refused {
    Refused::new(StatusCode::FORBIDDEN, "Forbidden", cause)
}

fn failed(cause: Cause) -> Refused {
    Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error", cause)
}

impl ApiGateway {
    /// Decides on the client of a request. What it says of an authorizer is of format 1.0 where `is_version_1` says so.
    ///
    /// # Errors
    /// The refusal of the client.
    pub(super) async fn authorize(
        &self,
        region: &str,
        route: &FrozenRoute,
        facts: &Facts<'_>,
        is_version_1: bool,
        request: &mut ClientRequest<'_>,
    ) -> Result<Admitted, Denied> {
        let (api, stage) = (facts.api, facts.stage);
        let of_api = format!("arn:aws:execute-api:{region}:{ACCOUNT}:{api}");
        let route_arn = format!("{of_api}/{stage}/{}{}", facts.request.method, facts.request.decoded_path());
        if route.config.authorization_type == "AWS_IAM" {
            let no_callers = || failed(Cause::NoIntegration { route: facts.route_key.to_owned() });
            let backends = self.backends.get().ok_or_else(no_callers)?;
            let caller = admission::by_signature(backends.callers.as_ref(), &signed(facts.request), region, &route_arn)
                .map_err(|refused| forbidden(refused.cause))?;
            let context = (!is_version_1).then(|| iam(&caller));
            return Ok(Admitted { context, caller: Some(caller) });
        }
        let Some((id, authorizer)) = &route.authorizer else { return Ok(Admitted::default()) };
        let identity = identity(authorizer, facts);
        if authorizer.authorizer_type == "JWT" {
            let context = self.by_token(authorizer, route, facts, identity, is_version_1).await?;
            return Ok(Admitted { context: Some(context), caller: None });
        }
        let missing: Vec<String> =
            identity.iter().filter(|(_, value)| value.is_none()).map(|(source, _)| (*source).to_owned()).collect();
        if !missing.is_empty() {
            return Err(unauthorized(Cause::NoIdentity { missing }).into());
        }
        let identity: Vec<String> = identity.into_iter().filter_map(|(_, value)| value).collect();
        let source_arn = format!("{of_api}/authorizers/{id}");
        let context = self.by_function(authorizer, facts, &identity, &source_arn, &route_arn, request).await?;
        let context = if is_version_1 { context } else { json!({ "lambda": context }) };
        Ok(Admitted { context: Some(context), caller: None })
    }

    async fn by_token(
        &self,
        authorizer: &AuthorizerConfig,
        route: &FrozenRoute,
        facts: &Facts<'_>,
        identity: Vec<(&String, Option<String>)>,
        is_version_1: bool,
    ) -> Result<Value, Denied> {
        let refused = |why: String| {
            let challenge =
                format!("Bearer scope=\"\" error=\"invalid_token\" error_description=\"{}\"", why.replace('"', "'"));
            let refused = unauthorized(Cause::BadToken { authorizer: authorizer.name.clone(), why });
            Denied { refused, challenge: Some(challenge) }
        };
        let missing: Vec<String> = identity.iter().map(|(source, _)| (*source).clone()).collect();
        let Some(token) = identity.into_iter().find_map(|(_, value)| value) else {
            let refused = unauthorized(Cause::NoIdentity { missing });
            return Err(Denied { refused, challenge: Some("Bearer".to_owned()) });
        };
        let config = authorizer.jwt_configuration.clone().unwrap_or_default();
        let roots = &self.context.ca_bundle;
        let claims = self.keys.check(&token, &config, roots, facts.api).await.map_err(refused)?;
        let given = jwt::scopes(&claims);
        let needed = &route.config.authorization_scopes;
        if !needed.is_empty() && !needed.iter().any(|scope| given.contains(scope)) {
            let why = format!("its scopes are {given:?}, and the route wants one of {needed:?}");
            let refused = forbidden(Cause::BadToken { authorizer: authorizer.name.clone(), why });
            let challenge = format!("Bearer scope=\"{}\" error=\"insufficient_scope\"", needed.join(" "));
            return Err(Denied { refused, challenge: Some(challenge) });
        }
        let scopes = if needed.is_empty() { Value::Null } else { json!(given) };
        let said = json!({ "claims": jwt::as_texts(&claims), "scopes": scopes });
        Ok(if is_version_1 { said } else { json!({ "jwt": said }) })
    }

    async fn by_function(
        &self,
        authorizer: &AuthorizerConfig,
        facts: &Facts<'_>,
        identity: &[String],
        source_arn: &str,
        route_arn: &str,
        request: &mut ClientRequest<'_>,
    ) -> Result<Value, Refused> {
        let is_version_1 = authorizer.authorizer_payload_format_version.as_deref() == Some("1.0");
        let event = match is_version_1 {
            true => facts.authorize_1(route_arn, identity),
            false => facts.authorize_2(route_arn, identity),
        };
        let uri = integration::with_variables(&authorizer.authorizer_uri, facts.variables);
        let invoking = Invoking {
            functions: self.functions.as_ref(),
            backends: self.backends.get(),
            uri: &uri,
            role: authorizer.authorizer_credentials_arn.as_deref(),
            source_arn,
            limit: TIMEOUT,
        };
        let asked = authorizer::answer_of(&invoking, Bytes::from(event.to_string()), request).await;
        let (function, said) = asked.map_err(|unasked| match unasked {
            Unasked::Unauthorized(cause) => unauthorized(cause),
            Unasked::Failed(cause) => failed(cause),
        })?;
        let malformed = |said: &Value| {
            tracing::warn!("malformed authorizer response: {}", cause::quoted(&said.to_string()));
            failed(Cause::MalformedAuthorization { function: function.clone(), returned: said.to_string() })
        };
        let context = match &said["context"] {
            Value::Null => json!({}),
            context @ Value::Object(_) => context.clone(),
            _ => return Err(malformed(&said)),
        };
        if authorizer.enable_simple_responses == Some(true) {
            return match said["isAuthorized"].as_bool() {
                Some(true) => Ok(context),
                Some(false) => Err(forbidden(Cause::Denied { function, explicit: true })),
                None => Err(malformed(&said)),
            };
        }
        let Some(policy) = said.get("policyDocument").filter(|policy| policy.is_object()) else {
            return Err(malformed(&said));
        };
        authorizer::decided(&policy.to_string(), &function, route_arn).map_err(forbidden)?;
        let mut context = context;
        if is_version_1 && let Some(principal) = said.get("principalId") {
            context["principalId"] = principal.clone();
        }
        Ok(context)
    }
}

/// A request as its signature is checked.
pub fn signed(received: &Received) -> Signed<'_> {
    Signed {
        service: Some("execute-api"),
        is_timed: true,
        method: received.method.as_str(),
        path: &received.sent_path,
        query: &received.query,
        headers: &received.headers,
        body: Some(&received.body),
    }
}

/// Who signed a request, as format 2.0 tells it. (The access key is left out.)
fn iam(caller: &Principal) -> Value {
    json!({ "iam": {
        "accessKey": null,
        "accountId": ACCOUNT,
        "callerId": caller.user_id,
        "cognitoIdentity": null,
        "principalOrgId": null,
        "userArn": caller.arn,
        "userId": caller.user_id,
    } })
}

/// The identity sources of an authorizer, and what a request has there.
fn identity<'a>(authorizer: &'a AuthorizerConfig, facts: &Facts<'_>) -> Vec<(&'a String, Option<String>)> {
    let value = |source: &'a String| {
        let value = selection::evaluate(source, &|name| facts.variable(name));
        (source, value.filter(|value| !value.is_empty()))
    };
    authorizer.identity_source.iter().map(value).collect()
}
