//! Reads and writes `AWS::ApiGatewayV2::ApiMapping`.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;

use super::{Context, Discovery, Provider, ResourceError, Search, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall, CallError};
use crate::core::types::api_mapping::{ApiMapping, Props, TYPE, domain, key};
use crate::core::types::tags::Tags;
use crate::core::types::{Created, Desired, Kind, Live, ResourceView, to_value};
use crate::core::words::Scope;

#[async_trait]
impl Provider for ApiMapping {
    async fn list(&self, aws: &Aws, discovery: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let search = discovery.wait().await;
        let recorded = parents.iter().flat_map(|api| api.attributes.keys()).filter_map(|key| domain(key));
        let domains: BTreeSet<String> = recorded.chain(search.mapped_domains.iter().cloned()).collect();
        let found = futures_util::future::try_join_all(domains.iter().map(|domain| list(aws, domain))).await?;
        let is_ours = |live: &Live| parents.iter().any(|api| Some(&api.physical_id) == live.parent.as_ref());
        Ok(found.into_iter().flatten().filter(is_ours).collect())
    }

    fn seek(&self, it: &ResourceView<'_>, _: &Scope, search: &mut Search) {
        search.mapped_domains.insert(it.text("DomainName").to_owned());
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let props: Props = desired.read()?;
        // One of another API stands in the way, and is not this one.
        let is_it = |live: &Live| self.is(desired, live) && live.parent.as_ref() == Some(&props.api_id);
        Ok(list(cx.aws, &props.domain_name).await?.into_iter().find(is_it))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = desired.read()?;
        record(aws, &props).await?;
        let answer = aws
            .call(AwsCall::new("apigatewayv2", "CreateApiMapping").lane(&props.api_id), || {
                aws.apigateway
                    .create_api_mapping()
                    .domain_name(&props.domain_name)
                    .api_id(&props.api_id)
                    .stage(&props.stage)
                    .set_api_mapping_key(Some(props.api_mapping_key.clone()).filter(|key| !key.is_empty()))
                    .send()
            })
            .await?;
        Ok(Created::new(answer.api_mapping_id.unwrap_or_default()))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let (from, to): (Props, Props) = (live.read()?, desired.read()?);
        if from.api_id != to.api_id {
            record(aws, &to).await?;
        }
        aws.call(AwsCall::new("apigatewayv2", "UpdateApiMapping").repeatable().lane(&to.api_id), || {
            aws.apigateway
                .update_api_mapping()
                .domain_name(&to.domain_name)
                .api_mapping_id(&live.physical_id)
                .api_id(&to.api_id)
                .stage(&to.stage)
                .send()
        })
        .await?;
        if from.api_id != to.api_id {
            forget(aws, &from).await?;
        }
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let props: Props = live.read()?;
        gone_is_fine(
            aws.call(AwsCall::new("apigatewayv2", "DeleteApiMapping").repeatable().lane(&props.api_id), || {
                aws.apigateway
                    .delete_api_mapping()
                    .domain_name(&props.domain_name)
                    .api_mapping_id(&live.physical_id)
                    .send()
            })
            .await,
        )?;
        forget(aws, &props).await?;
        Ok(())
    }
}

/// Records on the API which domain to look at for its mappings.
async fn record(aws: &Aws, props: &Props) -> Result<(), CallError> {
    let tag = Tags::from([(key(&props.domain_name), props.domain_name.replace('*', "@"))]);
    super::gateway_tags::set_own_tags(aws, &props.api_id, tag, Vec::new()).await
}

/// Takes the record away, unless another mapping of the API needs it.
async fn forget(aws: &Aws, props: &Props) -> Result<(), ResourceError> {
    let others = list(aws, &props.domain_name).await?;
    if others.iter().all(|other| other.parent.as_ref() != Some(&props.api_id)) {
        let gone = vec![key(&props.domain_name)];
        gone_is_fine(super::gateway_tags::set_own_tags(aws, &props.api_id, Tags::new(), gone).await)?;
    }
    Ok(())
}

/// The mappings of a domain; none where it is not there.
async fn list(aws: &Aws, domain: &str) -> Result<Vec<Live>, ResourceError> {
    let items = pages::below(|from| async move {
        let page = aws
            .call(AwsCall::new("apigatewayv2", "GetApiMappings"), || {
                aws.apigateway
                    .get_api_mappings()
                    .domain_name(domain)
                    .max_results("500")
                    .set_next_token(from.clone())
                    .send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    Ok(items.into_iter().map(|mapping| live(domain, mapping)).collect())
}

fn live(domain: &str, mapping: sdk::ApiMapping) -> Live {
    let api = mapping.api_id.unwrap_or_default();
    let props = Props {
        api_id: api.clone(),
        domain_name: domain.to_owned(),
        stage: mapping.stage.unwrap_or_default(),
        api_mapping_key: mapping.api_mapping_key.unwrap_or_default(),
    };
    Live::new(TYPE, mapping.api_mapping_id.unwrap_or_default(), to_value(&props)).below(&api)
}
