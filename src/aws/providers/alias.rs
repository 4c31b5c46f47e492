//! Reads and writes `AWS::Lambda::Alias`.

use async_trait::async_trait;
use aws_sdk_lambda::types as sdk;

use super::{Context, Discovery, Provider, ResourceError, Search, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall};
use crate::core::types::alias::{Alias, Props, Routing, TYPE, Weight};
use crate::core::types::{Created, Desired, Kind, Live, ResourceView, function, ownership_marker, to_value};
use crate::core::words::Scope;

#[async_trait]
impl Provider for Alias {
    async fn list(&self, aws: &Aws, discovery: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let search = discovery.wait().await;
        let functions = parents.iter().filter(|parent| super::function::has_versions(parent, search));
        let aliases = functions.map(|function| list(aws, &function.physical_id));
        Ok(futures_util::future::try_join_all(aliases).await?.into_iter().flatten().collect())
    }

    fn seek(&self, _: &ResourceView<'_>, _: &Scope, search: &mut Search) {
        search.versions = true;
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let props: Props = desired.read()?;
        Ok(list(cx.aws, &props.function_name).await?.into_iter().find(|live| self.is(desired, live)))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = desired.read()?;
        let description = ownership_marker::describe(&props.description, props.ownership_marker.as_deref())?;
        aws.call(AwsCall::new("lambda", "CreateAlias"), || {
            aws.lambda
                .create_alias()
                .function_name(&props.function_name)
                .name(&props.name)
                .function_version(&props.function_version)
                .description(&description)
                .set_routing_config(props.routing_config.as_ref().map(Routing::sdk))
                .send()
        })
        .await?;
        Ok(created(aws.scope(), desired.name()?))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        let description = ownership_marker::describe(&to.description, to.ownership_marker.as_deref())?;
        let none = || Routing { additional_version_weights: Vec::new() };
        // Leaving it out means "no change".
        let routing = to.routing_config.clone().or_else(|| from.routing_config.is_some().then(none));
        aws.call(AwsCall::new("lambda", "UpdateAlias").repeatable(), || {
            aws.lambda
                .update_alias()
                .function_name(&to.function_name)
                .name(&to.name)
                .function_version(&to.function_version)
                .description(&description)
                .set_routing_config(routing.as_ref().map(Routing::sdk))
                .send()
        })
        .await?;
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let props: Props = live.read()?;
        gone_is_fine(
            aws.call(AwsCall::new("lambda", "DeleteAlias").repeatable(), || {
                aws.lambda.delete_alias().function_name(&props.function_name).name(&props.name).send()
            })
            .await,
        )?;
        Ok(())
    }
}

impl Routing {
    fn sdk(&self) -> sdk::AliasRoutingConfiguration {
        let weights = self.additional_version_weights.iter();
        let weights = weights.map(|weight| (weight.function_version.clone(), weight.function_weight)).collect();
        sdk::AliasRoutingConfiguration::builder().set_additional_version_weights(Some(weights)).build()
    }
}

/// A function's aliases.
pub(super) async fn list(aws: &Aws, function: &str) -> Result<Vec<Live>, ResourceError> {
    let aliases = pages::below(|from| async move {
        let page = aws
            .call(AwsCall::new("lambda", "ListAliases"), || {
                aws.lambda.list_aliases().function_name(function).set_marker(from.clone()).send()
            })
            .await?;
        Ok((page.aliases, page.next_marker))
    })
    .await?;
    Ok(aliases.into_iter().map(|alias| live(aws.scope(), function, alias)).collect())
}

fn live(scope: &Scope, function: &str, alias: sdk::AliasConfiguration) -> Live {
    let text = alias.description.unwrap_or_default();
    let (description, marked) = ownership_marker::split(&text);
    let weights = alias.routing_config.and_then(|routing| routing.additional_version_weights).unwrap_or_default();
    let weights: Vec<Weight> = weights
        .into_iter()
        .map(|(function_version, function_weight)| Weight { function_version, function_weight })
        .collect();
    let props = Props {
        name: alias.name.unwrap_or_default(),
        function_name: function.to_owned(),
        function_version: alias.function_version.unwrap_or_default(),
        description: description.to_owned(),
        routing_config: (!weights.is_empty()).then_some(Routing { additional_version_weights: weights }),
        ownership_marker: marked.map(str::to_owned),
    };
    let whose = marked.map(ownership_marker::read);
    let Created { physical_id, attributes } = created(scope, &format!("{function}:{}", props.name));
    Live {
        logical_id: whose.map(|(logical_id, _)| logical_id.to_owned()),
        deletion_policy: whose.map(|(_, policy)| policy).unwrap_or_default(),
        attributes,
        ..Live::new(TYPE, physical_id, to_value(&props)).below(function)
    }
}

fn created(scope: &Scope, id: &str) -> Created {
    Created { attributes: [("Ref".to_owned(), function::arn(scope, id))].into(), physical_id: id.to_owned() }
}
