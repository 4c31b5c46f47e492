//! The account's own settings of API Gateway, which belong to no stack.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use serde::Deserialize;

use crate::aws::client::{Aws, AwsCall, CallError};

/// What `GetAccount` answers, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Account {
    /// The role with which API Gateway writes logs, for all APIs of the account in this region.
    pub cloudwatch_role_arn: Option<String>,
}

impl Account {
    /// Whether stages may log: without a role API Gateway refuses them ("CloudWatch Logs role ARN must be set in
    /// account settings to enable logging").
    pub fn may_log(&self) -> bool {
        self.cloudwatch_role_arn.as_ref().is_some_and(|arn| !arn.is_empty())
    }
}

/// Reads the account's settings in the region.
///
/// The operation is of API Gateway's first version, for which no SDK is linked. Both versions have one endpoint and one
/// signing name, so it is sent by the second one's client: with another path, and its answer read from the response.
///
/// # Errors
/// When API Gateway does not answer, or not with an account's settings.
pub async fn read(aws: &Aws) -> Result<Option<Account>, CallError> {
    let answer = Answer::default();
    aws.call(AwsCall::new("apigatewayv2", "GetAccount"), || {
        aws.apigateway
            .get_apis()
            .customize()
            .mutate_request(|request| {
                let uri = request.uri().split(['?']).next().unwrap_or_default();
                let account = format!("{}/account", uri.trim_end_matches("/v2/apis"));
                // It is the client's own, so it is well-formed.
                let _ = request.set_uri(account.as_str());
            })
            .interceptor(answer.clone())
            .send()
    })
    .await?;
    let body = answer.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(body.and_then(|body| serde_json::from_slice(&body).ok()))
}

/// Sets the role with which API Gateway writes logs; an empty text takes it away.
///
/// (API Gateway's first version, `UpdateAccount`, sent as `read` sends.)
///
/// # Errors
/// What API Gateway refused: a role that it cannot assume, or not yet.
pub async fn set_log_role(aws: &Aws, role: &str) -> Result<(), CallError> {
    let patch = serde_json::json!({
        "patchOperations": [{ "op": "replace", "path": "/cloudwatchRoleArn", "value": role }],
    });
    let body = patch.to_string();
    aws.call(AwsCall::new("apigatewayv2", "UpdateAccount").repeatable(), || {
        let body = body.clone();
        // The id is replaced with the whole path, and so is the body.
        aws.apigateway
            .update_api()
            .api_id("account")
            .customize()
            .mutate_request(move |request| {
                let uri = request.uri().split(['?']).next().unwrap_or_default();
                let account = format!("{}/account", uri.trim_end_matches("/v2/apis/account"));
                let _ = request.set_uri(account.as_str());
                request.headers_mut().insert("content-length", body.len().to_string());
                *request.body_mut() = body.clone().into();
            })
            .send()
    })
    .await?;
    Ok(())
}

/// Takes the role away with which API Gateway writes logs, if it is this one.
///
/// # Errors
/// When the settings cannot be read or changed.
pub async fn release(aws: &Aws, role: &str) -> Result<(), CallError> {
    let current = read(aws).await?.and_then(|account| account.cloudwatch_role_arn);
    if current.as_deref() == Some(role) {
        set_log_role(aws, "").await?;
    }
    Ok(())
}

/// Keeps the body of the response.
#[derive(Debug, Clone, Default)]
struct Answer(Arc<Mutex<Option<Vec<u8>>>>);

impl Intercept for Answer {
    fn name(&self) -> &'static str {
        "Answer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().map(<[u8]>::to_vec);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = body;
        Ok(())
    }
}
