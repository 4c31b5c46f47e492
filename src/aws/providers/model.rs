//! Reads and writes `AWS::ApiGatewayV2::Model`.

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;
use serde_json::Value;

use super::{Context, Discovery, Provider, ResourceError, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall};
use crate::core::types::model::{Model, Props, TYPE, schema};
use crate::core::types::{Created, Desired, Kind, Live, to_value};

#[async_trait]
impl Provider for Model {
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
            .call(AwsCall::new("apigatewayv2", "CreateModel").lane(&props.api_id), || {
                aws.apigateway
                    .create_model()
                    .api_id(&props.api_id)
                    .name(&props.name)
                    .set_content_type(props.content_type.clone())
                    .set_description((!props.description.is_empty()).then(|| props.description.clone()))
                    .schema(text(&props.schema))
                    .send()
            })
            .await?;
        Ok(Created::new(answer.model_id.unwrap_or_default()))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let to: Props = desired.read()?;
        aws.call(AwsCall::new("apigatewayv2", "UpdateModel").repeatable().lane(&to.api_id), || {
            aws.apigateway
                .update_model()
                .api_id(&to.api_id)
                .model_id(&live.physical_id)
                .name(&to.name)
                .set_content_type(to.content_type.clone())
                // An empty text clears, an absent one leaves.
                .description(&to.description)
                .schema(text(&to.schema))
                .send()
        })
        .await?;
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let api = live.parent.as_deref().unwrap_or_default();
        gone_is_fine(
            aws.call(AwsCall::new("apigatewayv2", "DeleteModel").repeatable().lane(api), || {
                aws.apigateway.delete_model().api_id(api).model_id(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

/// A schema as API Gateway takes it.
fn text(schema: &Value) -> String {
    schema.as_str().map_or_else(|| schema.to_string(), str::to_owned)
}

async fn list(aws: &Aws, api: &str) -> Result<Vec<Live>, ResourceError> {
    let items = pages::below(|from| async move {
        let page = aws
            .call(AwsCall::new("apigatewayv2", "GetModels"), || {
                aws.apigateway.get_models().api_id(api).max_results("500").set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    Ok(items.into_iter().map(|model| live(api, model)).collect())
}

fn live(api: &str, model: sdk::Model) -> Live {
    let id = model.model_id.unwrap_or_default();
    let props = Props {
        api_id: api.to_owned(),
        name: model.name.unwrap_or_default(),
        content_type: model.content_type.filter(|text| !text.is_empty()),
        description: model.description.unwrap_or_default(),
        schema: schema(&model.schema.unwrap_or_default()),
    };
    Live::new(TYPE, id, to_value(&props)).below(api)
}
