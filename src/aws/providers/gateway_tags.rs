//! Tags of what is API Gateway's: APIs, stages, domain names.

use crate::aws::client::{Aws, AwsCall, CallError};
use crate::core::types::api::arn;
use crate::core::types::tags::Tags;

/// Sets and removes tags of an API.
pub(super) async fn set_own_tags(aws: &Aws, id: &str, set: Tags, removed: Vec<String>) -> Result<(), CallError> {
    set_tags(aws, id, &arn(aws.scope(), id), set, removed).await
}

/// Sets and removes tags of something below API Gateway.
pub(super) async fn set_tags(
    aws: &Aws,
    lane: &str,
    arn: &str,
    set: Tags,
    removed: Vec<String>,
) -> Result<(), CallError> {
    if !set.is_empty() {
        aws.call(AwsCall::new("apigatewayv2", "TagResource").repeatable().lane(lane), || {
            aws.apigateway.tag_resource().resource_arn(arn).set_tags(Some(set.clone().into_iter().collect())).send()
        })
        .await?;
    }
    if !removed.is_empty() {
        aws.call(AwsCall::new("apigatewayv2", "UntagResource").repeatable().lane(lane), || {
            aws.apigateway.untag_resource().resource_arn(arn).set_tag_keys(Some(removed.clone())).send()
        })
        .await?;
    }
    Ok(())
}
