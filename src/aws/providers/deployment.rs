//! Reads and writes `AWS::ApiGatewayV2::Deployment`.

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;
use serde_json::Value;

use super::{Context, Discovery, Provider, ResourceError, gone_is_fine, pages, wait};
use crate::aws::client::{Aws, AwsCall};
use crate::core::types::deployment::{DIGEST, Deployment, Props, TYPE, description, digest, split};
use crate::core::types::{Created, Desired, Health, Kind, Live, to_value};

#[async_trait]
impl Provider for Deployment {
    async fn list(&self, aws: &Aws, _: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let apis = parents.iter().map(|api| list(aws, &api.physical_id));
        Ok(futures_util::future::try_join_all(apis).await?.into_iter().flatten().collect())
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let props: Props = desired.read()?;
        Ok(list(cx.aws, &props.api_id).await?.into_iter().find(|live| self.is(desired, live)))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = desired.read()?;
        let description = description(&props, &digest(desired));
        let answer = aws
            .call(AwsCall::new("apigatewayv2", "CreateDeployment").lane(&props.api_id), || {
                aws.apigateway.create_deployment().api_id(&props.api_id).description(&description).send()
            })
            .await?;
        let id = answer.deployment_id.unwrap_or_default();
        if answer.deployment_status == Some(sdk::DeploymentStatus::Pending) {
            wait_until_deployed(cx, &props.api_id, &id).await?;
        }
        Ok(Created::new(id))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let props: Props = desired.read()?;
        describe(aws, &props.api_id, &live.physical_id, &description(&props, &digest(desired))).await
    }

    async fn release(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        if live.properties.get(DIGEST).is_none() {
            return Ok(());
        }
        // The digest is no property of the type's own.
        let props: Props = live.unmarked().read()?;
        describe(cx.aws, &props.api_id, &live.physical_id, &props.description).await
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let api = live.parent.as_deref().unwrap_or_default();
        gone_is_fine(
            aws.call(AwsCall::new("apigatewayv2", "DeleteDeployment").repeatable().lane(api), || {
                aws.apigateway.delete_deployment().api_id(api).deployment_id(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

/// Gives a deployment another description, which may be empty.
async fn describe(aws: &Aws, api: &str, id: &str, description: &str) -> Result<(), ResourceError> {
    aws.call(AwsCall::new("apigatewayv2", "UpdateDeployment").repeatable().lane(api), || {
        aws.apigateway.update_deployment().api_id(api).deployment_id(id).description(description).send()
    })
    .await?;
    Ok(())
}

async fn wait_until_deployed(cx: Context<'_>, api: &str, id: &str) -> Result<(), ResourceError> {
    let aws = cx.aws;
    wait::until(cx, wait::FUNCTION, "PENDING", || async {
        let answer = aws
            .call(AwsCall::new("apigatewayv2", "GetDeployment"), || {
                aws.apigateway.get_deployment().api_id(api).deployment_id(id).send()
            })
            .await?;
        match answer.deployment_status {
            Some(sdk::DeploymentStatus::Pending) => Ok(None),
            Some(sdk::DeploymentStatus::Failed) => {
                Err(ResourceError::Failed(answer.deployment_status_message.unwrap_or_default()))
            }
            _ => Ok(Some(())),
        }
    })
    .await
}

async fn list(aws: &Aws, api: &str) -> Result<Vec<Live>, ResourceError> {
    let items = pages::below(|from| async move {
        let page = aws
            .call(AwsCall::new("apigatewayv2", "GetDeployments"), || {
                aws.apigateway.get_deployments().api_id(api).max_results("500").set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    // Those that AutoDeploy makes are the service's own.
    let ours = items.into_iter().filter(|one| one.auto_deployed != Some(true));
    Ok(ours.map(|deployment| live(api, deployment)).collect())
}

fn live(api: &str, deployment: sdk::Deployment) -> Live {
    let id = deployment.deployment_id.unwrap_or_default();
    let text = deployment.description.unwrap_or_default();
    let (description, digest) = split(&text);
    let props = Props { api_id: api.to_owned(), description: description.to_owned(), freezes: None };
    let mut properties = to_value(&props);
    if let Some(digest) = digest {
        properties[DIGEST] = Value::from(digest);
    }
    let health = match deployment.deployment_status {
        Some(sdk::DeploymentStatus::Failed) => Health::Failed(deployment.deployment_status_message.unwrap_or_default()),
        Some(sdk::DeploymentStatus::Pending) => Health::Busy("PENDING".to_owned()),
        _ => Health::Ready,
    };
    Live::new(TYPE, id, properties).below(api).health(health)
}
