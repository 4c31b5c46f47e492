//! Who may call, besides what an authorizer decides: clients that sign their handshake or request (`AuthorizationType: AWS_IAM`), and
//! those with an API key (`ApiKeyRequired`). (Developer guide, "Control access to WebSocket APIs with IAM authorization"; "Usage plans and
//! API keys for REST APIs", whose refusals these are.)

use http::{HeaderMap, Method, StatusCode};

use super::authorizer::Refused;
use super::cause::Cause;
use crate::core::iam::need::Need;
use crate::local::context::ports::{Callers, Principal, Records};
use crate::local::context::signer::{Unverified, verify};
use crate::local::protocol::signature::{Signed, Wrong};
use crate::local::protocol::wire::{Caller, Request};

/// Checks the signature of a request, and that the policies of its caller allow `execute-api:Invoke` on `route_arn`; gives the caller.
///
/// # Errors
/// [`Refused`] with 403.
pub fn by_signature(
    callers: &dyn Callers,
    signed: &Signed<'_>,
    region: &str,
    route_arn: &str,
) -> Result<Principal, Refused> {
    let refused = |message, why: &str| {
        Err(Refused::new(StatusCode::FORBIDDEN, message, Cause::NotSigned { why: why.to_owned() }))
    };
    let access_key = match verify(callers, signed) {
        Ok(access_key) => access_key,
        Err(Unverified::Unsigned) => return refused("Missing Authentication Token", "The request is not signed."),
        Err(Unverified::UnknownKey(access_key)) if callers.admits_all() => {
            return Ok(callers.principal(Some(&access_key)));
        }
        Err(Unverified::UnknownKey(access_key)) => {
            let why = format!("The local cloud knows no access key {access_key}.");
            return refused("The security token included in the request is invalid.", &why);
        }
        Err(Unverified::NoToken) => {
            let why = "The handshake is signed with a role's temporary key, without the session token (X-Amz-Security-Token) that \
                       goes with it.";
            return refused("The security token included in the request is invalid.", why);
        }
        Err(Unverified::Wrong(Wrong::Expired)) => {
            return refused("Signature expired", "The request's signature is of another time.");
        }
        Err(Unverified::Wrong(Wrong::Service)) => {
            return refused("Credential should be scoped to correct service.", "It is signed for another service.");
        }
        Err(Unverified::Wrong(Wrong::Different | Wrong::Unhashed)) => {
            return refused(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
                 Key and signing method. Consult the service documentation for details.",
                "The request's signature does not fit its address, its host, its query string or its secret key.",
            );
        }
    };
    let request = Request {
        method: Method::GET,
        path: signed.path.to_owned(),
        query: signed.query.clone(),
        headers: HeaderMap::new(),
        body: Default::default(),
        file: None,
        caller: Caller { access_key: Some(access_key), region: region.to_owned() },
    };
    match callers.authorize(&request, &[Need::new("execute-api:Invoke", route_arn)]) {
        Ok(()) => Ok(callers.principal(request.caller.access_key.as_deref())),
        Err(error) => refused("User is not authorized to perform: execute-api:Invoke", &format!("{}.", error.message)),
    }
}

/// Checks a client's API key: it must be that of an enabled key whose usage plan has the stage.
///
/// # Errors
/// [`Refused`] with 403.
pub fn by_api_key(
    records: &dyn Records,
    region: &str,
    given: Option<&str>,
    (api, stage): (&str, &str),
) -> Result<(), Refused> {
    let refused = |why: String| Refused::new(StatusCode::FORBIDDEN, "Forbidden", Cause::NoApiKey { why });
    let given = given.filter(|given| !given.is_empty());
    let given = given.ok_or_else(|| refused("The request has no API key in the header x-api-key.".to_owned()))?;
    let keys = records.of_type(region, "ApiGateway::ApiKey");
    // The value of a key that the template gives none is its id here: AWS makes one up.
    let known = keys.iter().find(|(id, key)| key["Value"].as_str().unwrap_or(id) == given);
    let (id, key) = known.ok_or_else(|| refused("No API key has the value in the header x-api-key.".to_owned()))?;
    if key["Enabled"] == false {
        return Err(refused(format!("The API key {id} is not enabled.")));
    }
    let plans = records.of_type(region, "ApiGateway::UsagePlan");
    let has_stage = |plan: &str| {
        let mut plans = plans.iter().filter(|(id, _)| id == plan);
        plans.any(|(_, plan)| {
            let stages = plan["ApiStages"].as_array().map(Vec::as_slice).unwrap_or_default();
            stages.iter().any(|served| served["ApiId"] == api && served["Stage"] == stage)
        })
    };
    let members = records.of_type(region, "ApiGateway::UsagePlanKey");
    let admitted = members
        .iter()
        .any(|(_, member)| member["KeyId"] == id.as_str() && member["UsagePlanId"].as_str().is_some_and(has_stage));
    if admitted {
        return Ok(());
    }
    Err(refused(format!("No usage plan with the API key {id} has the stage {stage} of the API {api}.")))
}
