//! Reads and writes `AWS::ApiGatewayV2::Authorizer`.

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;

use super::{Context, Discovery, Provider, ResourceError, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall};
use crate::core::types::authorizer::{Authorizer, AuthorizerType, Props, TYPE};
use crate::core::types::{Created, Desired, Kind, Live, to_value};

#[async_trait]
impl Provider for Authorizer {
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
        let answer = aws
            .call(AwsCall::new("apigatewayv2", "CreateAuthorizer").lane(&props.api_id), || {
                aws.apigateway
                    .create_authorizer()
                    .api_id(&props.api_id)
                    .name(&props.name)
                    .authorizer_type(sdk::AuthorizerType::Request)
                    .authorizer_uri(&props.authorizer_uri)
                    .set_authorizer_credentials_arn(props.authorizer_credentials_arn.clone())
                    .set_identity_source(Some(props.identity_source.clone()))
                    .send()
            })
            .await?;
        Ok(Created::new(answer.authorizer_id.unwrap_or_default()))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let to: Props = desired.read()?;
        let credentials = super::route::cleared(live, "AuthorizerCredentialsArn", &to.authorizer_credentials_arn);
        aws.call(AwsCall::new("apigatewayv2", "UpdateAuthorizer").repeatable().lane(&to.api_id), || {
            aws.apigateway
                .update_authorizer()
                .api_id(&to.api_id)
                .authorizer_id(&live.physical_id)
                .authorizer_uri(&to.authorizer_uri)
                .set_authorizer_credentials_arn(credentials.clone())
                .set_identity_source(Some(to.identity_source.clone()))
                .send()
        })
        .await?;
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let api = live.parent.as_deref().unwrap_or_default();
        gone_is_fine(
            aws.call(AwsCall::new("apigatewayv2", "DeleteAuthorizer").repeatable().lane(api), || {
                aws.apigateway.delete_authorizer().api_id(api).authorizer_id(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

async fn list(aws: &Aws, api: &str) -> Result<Vec<Live>, ResourceError> {
    let items = pages::below(|from| async move {
        let page = aws
            .call(AwsCall::new("apigatewayv2", "GetAuthorizers"), || {
                aws.apigateway.get_authorizers().api_id(api).max_results("500").set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    Ok(items.into_iter().map(|authorizer| live(api, authorizer)).collect())
}

fn live(api: &str, authorizer: sdk::Authorizer) -> Live {
    let id = authorizer.authorizer_id.unwrap_or_default();
    let props = Props {
        api_id: api.to_owned(),
        name: authorizer.name.unwrap_or_default(),
        authorizer_type: AuthorizerType::Request,
        authorizer_uri: authorizer.authorizer_uri.unwrap_or_default(),
        authorizer_credentials_arn: authorizer.authorizer_credentials_arn.filter(|arn| !arn.is_empty()),
        identity_source: authorizer.identity_source.unwrap_or_default(),
    };
    Live::new(TYPE, id, to_value(&props)).below(api)
}
