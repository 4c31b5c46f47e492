//! Reads and writes `AWS::ApiGatewayV2::IntegrationResponse`.

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;

use super::route::{cleared, filled, merged};
use super::{Context, Discovery, Provider, ResourceError, Search, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall};
use crate::core::types::integration::is_proxy;
use crate::core::types::integration_response::{IntegrationResponse, Props, TYPE};
use crate::core::types::{Created, Desired, Kind, Live, ResourceView, to_value};
use crate::core::words::Scope;

#[async_trait]
impl Provider for IntegrationResponse {
    async fn list(&self, aws: &Aws, discovery: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let search = discovery.wait().await;
        // Nothing is made of what a proxy answers: its responses are looked at only where the template has any, and go
        // with it anyway.
        let asked =
            parents.iter().filter(|integration| search.integration_responses || !is_proxy(&integration.properties));
        let found = asked
            .map(|integration| list(aws, integration.parent.as_deref().unwrap_or_default(), &integration.physical_id));
        Ok(futures_util::future::try_join_all(found).await?.into_iter().flatten().collect())
    }

    fn seek(&self, _: &ResourceView<'_>, _: &Scope, search: &mut Search) {
        search.integration_responses = true;
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let props: Props = desired.read()?;
        let there = list(cx.aws, &props.api_id, &props.integration_id).await?;
        Ok(there.into_iter().find(|live| self.is(desired, live)))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = desired.read()?;
        let answer = aws
            .call(AwsCall::new("apigatewayv2", "CreateIntegrationResponse").lane(&props.api_id), || {
                aws.apigateway
                    .create_integration_response()
                    .api_id(&props.api_id)
                    .integration_id(&props.integration_id)
                    .integration_response_key(&props.integration_response_key)
                    .set_content_handling_strategy(
                        props.content_handling_strategy.as_deref().map(sdk::ContentHandlingStrategy::from),
                    )
                    .set_response_parameters(filled(&props.response_parameters))
                    .set_response_templates(filled(&props.response_templates))
                    .set_template_selection_expression(props.template_selection_expression.clone())
                    .send()
            })
            .await?;
        Ok(Created::new(answer.integration_response_id.unwrap_or_default()))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        aws.call(AwsCall::new("apigatewayv2", "UpdateIntegrationResponse").repeatable().lane(&to.api_id), || {
            aws.apigateway
                .update_integration_response()
                .api_id(&to.api_id)
                .integration_id(&to.integration_id)
                .integration_response_id(&live.physical_id)
                .set_response_parameters(merged(&from.response_parameters, &to.response_parameters))
                .set_response_templates(merged(&from.response_templates, &to.response_templates))
                .set_template_selection_expression(cleared(
                    live,
                    "TemplateSelectionExpression",
                    &to.template_selection_expression,
                ))
                .send()
        })
        .await?;
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let props: Props = live.read()?;
        gone_is_fine(
            aws.call(
                AwsCall::new("apigatewayv2", "DeleteIntegrationResponse").repeatable().lane(&props.api_id),
                || {
                    aws.apigateway
                        .delete_integration_response()
                        .api_id(&props.api_id)
                        .integration_id(&props.integration_id)
                        .integration_response_id(&live.physical_id)
                        .send()
                },
            )
            .await,
        )?;
        Ok(())
    }
}

async fn list(aws: &Aws, api: &str, integration: &str) -> Result<Vec<Live>, ResourceError> {
    let items = pages::below(|from| async move {
        let page = aws
            .call(AwsCall::new("apigatewayv2", "GetIntegrationResponses"), || {
                aws.apigateway
                    .get_integration_responses()
                    .api_id(api)
                    .integration_id(integration)
                    .set_next_token(from.clone())
                    .send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    Ok(items.into_iter().map(|response| live(api, integration, response)).collect())
}

fn live(api: &str, integration: &str, response: sdk::IntegrationResponse) -> Live {
    let id = response.integration_response_id.unwrap_or_default();
    let props = Props {
        api_id: api.to_owned(),
        integration_id: integration.to_owned(),
        integration_response_key: response.integration_response_key.unwrap_or_default(),
        content_handling_strategy: response.content_handling_strategy.map(|strategy| strategy.as_str().to_owned()),
        response_parameters: response.response_parameters.unwrap_or_default().into_iter().collect(),
        response_templates: response.response_templates.unwrap_or_default().into_iter().collect(),
        template_selection_expression: response.template_selection_expression.filter(|text| !text.is_empty()),
    };
    Live::new(TYPE, id, to_value(&props)).below(integration)
}
