//! Who may call a method of a REST API: everyone, who signs the request, or whom a function lets in. (Developer guide, "Use API Gateway
//! Lambda authorizers", "Input to an API Gateway Lambda authorizer", "Output from an API Gateway Lambda authorizer".)

use std::time::Duration;

use bytes::Bytes;
use regex_lite::Regex;
use serde_json::{Value, json};

use super::authorize::{Admitted, signed};
use super::event::Facts;
use super::refusal::{Kind, Refusal};
use super::rest_model::{Authorization, RestAuthorizer, RestMethod, RestStage};
use super::rest_record::document;
use crate::local::apigateway::ApiGateway;
use crate::local::apigateway::admission;
use crate::local::apigateway::authorizer::{self, Unasked};
use crate::local::apigateway::cause::Cause;
use crate::local::apigateway::gateway_log::ClientRequest;
use crate::local::apigateway::integration::{Invoking, with_variables};
use crate::local::context::ACCOUNT;
use crate::local::context::ports::Records;

/// How long an authorizer may take, which is as long as an integration may.
const TIMEOUT: Duration = Duration::from_secs(29);

impl ApiGateway {
    /// Decides on the client of a request.
    ///
    /// # Errors
    /// Its refusal.
    pub(super) async fn rest_authorize(
        &self,
        region: &str,
        method: &RestMethod,
        stage: &RestStage,
        facts: &Facts<'_>,
        request: &mut ClientRequest<'_>,
    ) -> Result<Admitted, Refusal> {
        let received = facts.request;
        let of_api = format!("arn:aws:execute-api:{region}:{ACCOUNT}:{}", facts.api);
        let method_arn = format!("{of_api}/{}/{}{}", facts.stage, received.method, received.decoded_path());
        let authorizer = match &method.authorization {
            Authorization::Open => return Ok(Admitted::default()),
            Authorization::NotHere(what) => {
                let what = format!("the authorization of REST APIs by {what} ({})", facts.route_key);
                return Err(Refusal::not_here(what));
            }
            Authorization::Signed => {
                let no_callers =
                    || Refusal::of(Kind::Default, Cause::NoIntegration { route: facts.route_key.to_owned() });
                let callers = &self.backends.get().ok_or_else(no_callers)?.callers;
                let caller = admission::by_signature(callers.as_ref(), &signed(received), region, &method_arn);
                let caller = caller.map_err(|refused| {
                    Refusal::denied(Kind::of_signature(refused.message), refused.message, refused.cause)
                })?;
                return Ok(Admitted { context: None, caller: Some(caller) });
            }
            Authorization::ByFunction(authorizer) => authorizer,
        };
        let identity = identity(authorizer, facts)?;
        let event = match authorizer.takes_token {
            true => json!({ "type": "TOKEN", "methodArn": method_arn, "authorizationToken": identity.join(",") }),
            false => facts.authorize_rest(&method_arn, &method.resource, &stage.deployment),
        };
        let invoking = Invoking {
            functions: self.functions.as_ref(),
            backends: self.backends.get(),
            uri: &with_variables(&authorizer.uri, facts.variables),
            role: authorizer.role.as_deref(),
            source_arn: &format!("{of_api}/authorizers/{}", authorizer.id),
            limit: TIMEOUT,
        };
        let asked = authorizer::answer_of(&invoking, Bytes::from(event.to_string()), request).await;
        let (function, said) = asked.map_err(|unasked| match unasked {
            Unasked::Unauthorized(cause) => Refusal::of(Kind::Unauthorized, cause),
            Unasked::Failed(cause @ Cause::Failed { .. }) => Refusal::of(Kind::AuthorizerFailure, cause),
            Unasked::Failed(cause) => Refusal::of(Kind::AuthorizerConfiguration, cause),
        })?;
        let context = authorizer::context_of(&function, &said, &method_arn).map_err(|cause| match cause {
            Cause::Denied { explicit, .. } => Refusal::denied(Kind::AccessDenied, authorizer::denial(explicit), cause),
            cause => Refusal::of(Kind::AuthorizerConfiguration, cause),
        })?;
        Ok(Admitted { context: Some(Value::Object(context)), caller: None })
    }
}

/// What a request has in the identity sources of an authorizer, all of them.
fn identity(authorizer: &RestAuthorizer, facts: &Facts<'_>) -> Result<Vec<String>, Refusal> {
    let value = |source: &String| {
        let name = source.strip_prefix("method.").unwrap_or(source);
        facts.variable(name).filter(|value| !value.is_empty())
    };
    let missing: Vec<String> = authorizer.identity.iter().filter(|source| value(source).is_none()).cloned().collect();
    if !missing.is_empty() {
        return Err(Refusal::of(Kind::Unauthorized, Cause::NoIdentity { missing }));
    }
    let identity: Vec<String> = authorizer.identity.iter().filter_map(value).collect();
    // A pattern that cannot be read refuses everyone.
    let fits = |pattern: &String| {
        let pattern = Regex::new(&format!("^(?:{pattern})$")).ok();
        pattern.is_some_and(|pattern| identity.iter().all(|token| pattern.is_match(token)))
    };
    match authorizer.validation.as_ref().filter(|_| authorizer.takes_token) {
        Some(pattern) if !fits(pattern) => {
            let why = format!("it does not match {pattern}");
            Err(Refusal::of(Kind::Unauthorized, Cause::BadToken { authorizer: authorizer.id.clone(), why }))
        }
        _ => Ok(identity),
    }
}

/// The key that a request is counted by: that of its header, or the one that its authorizer gave.
///
/// # Errors
/// The refusal of one that is not a key of a usage plan with the stage.
pub fn by_api_key(
    records: &dyn Records,
    region: &str,
    (api, model): (&str, &Value),
    facts: &Facts<'_>,
) -> Result<(), Refusal> {
    let document = document(model);
    let source = model["ApiKeySourceType"].as_str().or_else(|| document["x-amazon-apigateway-api-key-source"].as_str());
    let given = match source {
        Some("AUTHORIZER") => facts.authorizer.and_then(|said| said["usageIdentifierKey"].as_str()),
        _ => Some(facts.request.header("x-api-key")).filter(|key| !key.is_empty()),
    };
    admission::by_api_key(records, region, given, (api, facts.stage))
        .map_err(|refused| Refusal::denied(Kind::InvalidApiKey, refused.message, refused.cause))
}
