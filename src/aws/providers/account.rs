//! The account's own settings of API Gateway, which belong to no stack: wschat reads them and changes nothing.

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
