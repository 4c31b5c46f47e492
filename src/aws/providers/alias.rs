//! Reads and writes `AWS::Lambda::Alias`.

use async_trait::async_trait;
use aws_sdk_lambda::types as sdk;

use super::{Context, Discovery, Provider, ResourceError, Search, gone_is_fine, pages, wait};
use crate::aws::client::{Aws, AwsCall};
use crate::core::types::alias::{Alias, PROVISIONED, Props, Provisioned, Routing, TYPE, Weight};
use crate::core::types::{Created, Desired, Kind, Live, ResourceView, function, ownership_marker, tags, to_value};
use crate::core::words::Scope;

#[async_trait]
impl Provider for Alias {
    async fn list(&self, aws: &Aws, discovery: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let search = discovery.wait().await;
        let functions = parents.iter().filter(|parent| super::function::has_versions(parent, search));
        let aliases = functions.map(|function| async move {
            let provisioned = search.provisioned
                || function.properties["Tags"].get(tags::VERSIONS).is_some_and(|marked| marked == tags::PROVISIONED);
            list_with(aws, &function.physical_id, provisioned).await
        });
        Ok(futures_util::future::try_join_all(aliases).await?.into_iter().flatten().collect())
    }

    fn seek(&self, it: &ResourceView<'_>, _: &Scope, search: &mut Search) {
        search.versions = true;
        search.provisioned |= it.properties.get(PROVISIONED).is_some();
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let props: Props = desired.read()?;
        let provisioned = props.provisioned_concurrency_config.is_some();
        let found = list_with(cx.aws, &props.function_name, provisioned).await?;
        Ok(found.into_iter().find(|live| self.is(desired, live)))
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
        if let Some(config) = props.provisioned_concurrency_config {
            provision(aws, &props, config).await?;
        }
        Ok(created(aws.scope(), desired.name()?))
    }

    /// As CloudFormation does, until the environments are there.
    async fn settle(&self, cx: Context<'_>, desired: &Desired, _: &str) -> Result<(), ResourceError> {
        let props: Props = desired.read()?;
        if props.provisioned_concurrency_config.is_some() { wait_until_provisioned(cx, &props).await } else { Ok(()) }
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
        match to.provisioned_concurrency_config {
            config if config == from.provisioned_concurrency_config => {}
            Some(config) => {
                provision(aws, &to, config).await?;
                wait_until_provisioned(cx, &to).await?;
            }
            None => gone_is_fine(
                aws.call(AwsCall::new("lambda", "DeleteProvisionedConcurrencyConfig").repeatable(), || {
                    let request = aws.lambda.delete_provisioned_concurrency_config();
                    request.function_name(&to.function_name).qualifier(&to.name).send()
                })
                .await,
            )?,
        }
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

/// Asks for execution environments that wait for the alias's invocations.
async fn provision(aws: &Aws, props: &Props, config: Provisioned) -> Result<(), ResourceError> {
    aws.call(AwsCall::new("lambda", "PutProvisionedConcurrencyConfig").repeatable(), || {
        let request = aws.lambda.put_provisioned_concurrency_config();
        let request = request.function_name(&props.function_name).qualifier(&props.name);
        request.provisioned_concurrent_executions(config.provisioned_concurrent_executions).send()
    })
    .await?;
    Ok(())
}

/// Waits until all of them are there.
async fn wait_until_provisioned(cx: Context<'_>, props: &Props) -> Result<(), ResourceError> {
    let aws = cx.aws;
    wait::until(cx, wait::PROVISIONED, "waiting for its provisioned concurrency", || async {
        let answer = aws
            .call(AwsCall::new("lambda", "ListProvisionedConcurrencyConfigs"), || {
                aws.lambda.list_provisioned_concurrency_configs().function_name(&props.function_name).send()
            })
            .await?;
        let configs = answer.provisioned_concurrency_configs.unwrap_or_default();
        let own = configs.into_iter().find(|config| qualifier(config) == Some(&props.name));
        match own.as_ref().and_then(|config| config.status.as_ref()) {
            Some(sdk::ProvisionedConcurrencyStatusEnum::Ready) => Ok(Some(())),
            Some(sdk::ProvisionedConcurrencyStatusEnum::Failed) => {
                let reason = own.and_then(|config| config.status_reason).unwrap_or_default();
                let name = format!("{}:{}", props.function_name, props.name);
                Err(ResourceError::Failed(format!("Lambda could not provision the concurrency of {name}: {reason}")))
            }
            _ => Ok(None),
        }
    })
    .await
}

/// The version or alias that provisioned concurrency is of.
fn qualifier(config: &sdk::ProvisionedConcurrencyConfigListItem) -> Option<&str> {
    function::name_and_qualifier(config.function_arn.as_deref()?).1
}

/// A function's aliases; with what is `provisioned` for them, which takes a call of its own.
async fn list_with(aws: &Aws, function: &str, provisioned: bool) -> Result<Vec<Live>, ResourceError> {
    let configs = async {
        if !provisioned {
            return Ok(Vec::new());
        }
        let found = pages::below(|from| async move {
            let page = aws
                .call(AwsCall::new("lambda", "ListProvisionedConcurrencyConfigs"), || {
                    let request = aws.lambda.list_provisioned_concurrency_configs();
                    request.function_name(function).set_marker(from.clone()).send()
                })
                .await?;
            Ok((page.provisioned_concurrency_configs, page.next_marker))
        });
        found.await.map_err(ResourceError::from)
    };
    let (mut aliases, configs) = tokio::try_join!(list(aws, function), configs)?;
    for alias in &mut aliases {
        let own = configs.iter().find(|config| qualifier(config) == alias.properties["Name"].as_str());
        if let Some(executions) = own.and_then(|config| config.requested_provisioned_concurrent_executions) {
            let config = Provisioned { provisioned_concurrent_executions: executions };
            alias.properties[PROVISIONED] = to_value(&config);
        }
    }
    Ok(aliases)
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
        provisioned_concurrency_config: None,
        ownership_marker: marked.map(str::to_owned),
    };
    let whose = marked.map(ownership_marker::read);
    let Created { physical_id, attributes, .. } = created(scope, &format!("{function}:{}", props.name));
    Live {
        logical_id: whose.map(|(logical_id, _)| logical_id.to_owned()),
        deletion_policy: whose.map(|(_, policy)| policy).unwrap_or_default(),
        attributes,
        ..Live::new(TYPE, physical_id, to_value(&props)).below(function)
    }
}

fn created(scope: &Scope, id: &str) -> Created {
    Created {
        attributes: [("Ref".to_owned(), function::arn(scope, id))].into(),
        physical_id: id.to_owned(),
        ..Created::default()
    }
}
