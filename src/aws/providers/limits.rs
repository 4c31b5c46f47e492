//! How much of its quotas an account uses, as far as AWS tells it, and how its clock differs from ours: wschat reads them and
//! changes nothing.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

use crate::aws::client::{Aws, AwsCall, CallError};

/// A quota, and how much of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// For people: `code of all Lambda functions`.
    pub name: &'static str,
    pub used: i64,
    pub limit: i64,
    /// What `used` and `limit` count: `MB`; empty for things.
    pub unit: &'static str,
}

/// The quotas of Lambda: its code's size.
///
/// # Errors
/// When it does not answer.
pub async fn lambda(aws: &Aws) -> Result<Vec<Quota>, CallError> {
    let answer =
        aws.call(AwsCall::new("lambda", "GetAccountSettings"), || aws.lambda.get_account_settings().send()).await?;
    let (Some(limit), Some(usage)) = (answer.account_limit(), answer.account_usage()) else { return Ok(Vec::new()) };
    let megabytes = |bytes: i64| bytes >> 20;
    let (used, limit) = (megabytes(usage.total_code_size()), megabytes(limit.total_code_size()));
    Ok(vec![Quota { name: "code of Lambda functions and layers in this region", used, limit, unit: " MB" }])
}

/// The quotas of IAM: its roles and managed policies.
///
/// # Errors
/// When it does not answer.
pub async fn iam(aws: &Aws) -> Result<Vec<Quota>, CallError> {
    let answer = aws.call(AwsCall::new("iam", "GetAccountSummary"), || aws.iam.get_account_summary().send()).await?;
    let counts = answer.summary_map().cloned().unwrap_or_default();
    let count = |name: &str| counts.iter().find(|(key, _)| key.as_str() == name).map(|(_, count)| i64::from(*count));
    let quota = |name, used, limit| Some(Quota { name, used: count(used)?, limit: count(limit)?, unit: "" });
    let found = [quota("IAM roles", "Roles", "RolesQuota"), quota("IAM managed policies", "Policies", "PoliciesQuota")];
    Ok(found.into_iter().flatten().collect())
}

/// By how many seconds AWS's clock is ahead of this machine's, whatever AWS answers; `None` without an answer.
pub async fn clock_ahead(aws: &Aws) -> Option<i64> {
    let seen = Seen::default();
    let _ = aws.sts.get_caller_identity().customize().interceptor(seen.clone()).send().await;
    let date = seen.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    let theirs = DateTime::from_str(&date, Format::HttpDate).ok()?.secs();
    Some(theirs - time::OffsetDateTime::now_utc().unix_timestamp())
}

/// Keeps the `Date` header of a response.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Option<String>>>);

impl Intercept for Seen {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}
