//! The account's only setting: the role with which stages write logs.
//!
//! A new account on AWS has no such role. This one has one by default, because few templates set it and logging should work
//! without manual setup. After it is removed (`aws apigateway update-account`), stages with logging are refused as on AWS.

use serde::Deserialize;
use serde_json::json;

use super::ControlCall;
use super::model::State;
use super::rules::{Answer, bad_request};
use crate::local::protocol::wire::{ApiError, Response};

/// The default role.
const ROLE: &str = "arn:aws:iam::000000000000:role/apigateway-logs";

/// The path of the only setting that can be changed.
const ROLE_PATH: &str = "/cloudwatchRoleArn";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Patch {
    #[serde(default)]
    patch_operations: Vec<Operation>,
}

#[derive(Debug, Deserialize)]
struct Operation {
    op: String,
    path: String,
    #[serde(default)]
    value: String,
}

pub fn get(state: &State, call: &ControlCall<'_>) -> Answer {
    // The other members of the answer are the same for every account without raised quotas.
    let mut account = json!({
        "apiKeyVersion": "4",
        "features": ["UsagePlans"],
        "throttleSettings": { "burstLimit": 5000, "rateLimit": 10000.0 },
    });
    if let Some(role) = role(state, call.region()) {
        account["cloudwatchRoleArn"] = role.into();
    }
    Ok(Response::json(200, &account))
}

pub fn update(state: &mut State, call: &ControlCall<'_>) -> Answer {
    for Operation { op, path, value } in call.request.json::<Patch>()?.patch_operations {
        if op != "replace" || path != ROLE_PATH {
            return Err(bad_request(format!("Invalid patch operation specified: {op} {path}")));
        }
        let role = value.starts_with("arn:") && value.contains(":role/");
        if !role && !value.is_empty() {
            return Err(bad_request("The role ARN does not have required permissions configured."));
        }
        state.log_roles.insert(call.region().to_owned(), Some(value).filter(|value| !value.is_empty()));
    }
    get(state, call)
}

/// Whether stages in `region` may log.
///
/// # Errors
/// AWS's refusal where the account has no role for logging.
pub fn check_logging(state: &State, region: &str) -> Result<(), ApiError> {
    match role(state, region) {
        Some(_) => Ok(()),
        None => Err(bad_request("CloudWatch Logs role ARN must be set in account settings to enable logging")),
    }
}

fn role<'s>(state: &'s State, region: &str) -> Option<&'s str> {
    state.log_roles.get(region).map_or(Some(ROLE), Option::as_deref)
}
