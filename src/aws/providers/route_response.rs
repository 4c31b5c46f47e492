//! Reads and writes `AWS::ApiGatewayV2::RouteResponse`.

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;

use super::route::{cleared, constraints, filled, merged, read_constraints};
use super::{Context, Discovery, Provider, ResourceError, Search, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall};
use crate::core::types::route_response::{Props, RouteResponse, TYPE};
use crate::core::types::{Created, Desired, Kind, Live, ResourceView, to_value};
use crate::core::words::Scope;

#[async_trait]
impl Provider for RouteResponse {
    async fn list(&self, aws: &Aws, discovery: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let search = discovery.wait().await;
        // Without a template, only routes that select responses are asked for them: they go with their routes anyway.
        let selecting = parents.iter().filter(|route| {
            search.route_responses || route.properties.get("RouteResponseSelectionExpression").is_some()
        });
        let routes = selecting.map(|route| list(aws, route.parent.as_deref().unwrap_or_default(), &route.physical_id));
        Ok(futures_util::future::try_join_all(routes).await?.into_iter().flatten().collect())
    }

    fn seek(&self, _: &ResourceView<'_>, _: &Scope, search: &mut Search) {
        search.route_responses = true;
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let props: Props = desired.read()?;
        Ok(list(cx.aws, &props.api_id, &props.route_id).await?.into_iter().find(|live| self.is(desired, live)))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = desired.read()?;
        let answer = aws
            .call(AwsCall::new("apigatewayv2", "CreateRouteResponse").lane(&props.api_id), || {
                aws.apigateway
                    .create_route_response()
                    .api_id(&props.api_id)
                    .route_id(&props.route_id)
                    .route_response_key(&props.route_response_key)
                    .set_model_selection_expression(props.model_selection_expression.clone())
                    .set_response_models(filled(&props.response_models))
                    .set_response_parameters(constraints(&props.response_parameters))
                    .send()
            })
            .await?;
        Ok(Created::new(answer.route_response_id.unwrap_or_default()))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        aws.call(AwsCall::new("apigatewayv2", "UpdateRouteResponse").repeatable().lane(&to.api_id), || {
            aws.apigateway
                .update_route_response()
                .api_id(&to.api_id)
                .route_id(&to.route_id)
                .route_response_id(&live.physical_id)
                .set_model_selection_expression(cleared(
                    live,
                    "ModelSelectionExpression",
                    &to.model_selection_expression,
                ))
                .set_response_models(merged(&from.response_models, &to.response_models))
                .send()
        })
        .await?;
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let props: Props = live.read()?;
        gone_is_fine(
            aws.call(AwsCall::new("apigatewayv2", "DeleteRouteResponse").repeatable().lane(&props.api_id), || {
                aws.apigateway
                    .delete_route_response()
                    .api_id(&props.api_id)
                    .route_id(&props.route_id)
                    .route_response_id(&live.physical_id)
                    .send()
            })
            .await,
        )?;
        Ok(())
    }
}

async fn list(aws: &Aws, api: &str, route: &str) -> Result<Vec<Live>, ResourceError> {
    let items = pages::below(|from| async move {
        let page = aws
            .call(AwsCall::new("apigatewayv2", "GetRouteResponses"), || {
                aws.apigateway.get_route_responses().api_id(api).route_id(route).set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    Ok(items.into_iter().map(|response| live(api, route, response)).collect())
}

fn live(api: &str, route: &str, response: sdk::RouteResponse) -> Live {
    let id = response.route_response_id.unwrap_or_default();
    let props = Props {
        api_id: api.to_owned(),
        route_id: route.to_owned(),
        route_response_key: response.route_response_key.unwrap_or_default(),
        model_selection_expression: response.model_selection_expression.filter(|text| !text.is_empty()),
        response_models: response.response_models.unwrap_or_default().into_iter().collect(),
        response_parameters: read_constraints(response.response_parameters),
    };
    Live::new(TYPE, id, to_value(&props)).below(route)
}
