//! Reads and writes `AWS::Lambda::LayerVersionPermission`.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde_json::Value;

use super::{Context, Discovery, Provider, ResourceError, gone_is_fine};
use crate::aws::client::{Aws, AwsCall, Meaning};
use crate::core::types::layer_permission::{LayerPermission, Props, live, statement_id};
use crate::core::types::layer_version::name_and_number;
use crate::core::types::{Created, Desired, Kind, Live};

#[async_trait]
impl Provider for LayerPermission {
    async fn list(&self, aws: &Aws, _: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let policies = parents.iter().map(|layer| statements(aws, &layer.physical_id));
        Ok(try_join_all(policies).await?.into_iter().flatten().collect())
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let props: Props = desired.read()?;
        let statements = statements(cx.aws, &props.layer_version_arn).await?;
        Ok(statements.into_iter().find(|live| self.is(desired, live)))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = desired.read()?;
        let id = statement_id(desired)?;
        let (layer, number) = place(&props.layer_version_arn)?;
        aws.call(AwsCall::new("lambda", "AddLayerVersionPermission"), || {
            aws.lambda
                .add_layer_version_permission()
                .layer_name(layer)
                .version_number(number)
                .statement_id(&id)
                .action(&props.action)
                .principal(&props.principal)
                .set_organization_id(props.organization_id.clone())
                .send()
        })
        .await?;
        Ok(Created::new(id))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        // All it says is in its id, so this one was changed by hand under an id of ours.
        self.delete(cx, live).await?;
        self.create(cx, desired).await.map(drop)
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let props: Props = live.read()?;
        let (layer, number) = place(&props.layer_version_arn)?;
        gone_is_fine(
            aws.call(AwsCall::new("lambda", "RemoveLayerVersionPermission").repeatable(), || {
                aws.lambda
                    .remove_layer_version_permission()
                    .layer_name(layer)
                    .version_number(number)
                    .statement_id(&live.physical_id)
                    .send()
            })
            .await,
        )?;
        Ok(())
    }
}

fn place(arn: &str) -> Result<(&str, i64), ResourceError> {
    name_and_number(arn).ok_or_else(|| ResourceError::Failed(format!("{arn} is not the ARN of a layer version")))
}

/// The statements in the policy of a layer version.
async fn statements(aws: &Aws, arn: &str) -> Result<Vec<Live>, ResourceError> {
    let (layer, number) = place(arn)?;
    let answer = aws
        .call(AwsCall::new("lambda", "GetLayerVersionPolicy"), || {
            aws.lambda.get_layer_version_policy().layer_name(layer).version_number(number).send()
        })
        .await;
    let policy = match answer {
        Ok(answer) => answer.policy.unwrap_or_default(),
        Err(error) if error.is(Meaning::NotFound) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let policy: Value = serde_json::from_str(&policy)
        .map_err(|error| ResourceError::Failed(format!("the policy of {arn} is not JSON: {error}")))?;
    Ok(policy["Statement"].as_array().into_iter().flatten().map(|statement| live(arn, statement)).collect())
}
