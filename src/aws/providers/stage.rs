//! Reads and writes `AWS::ApiGatewayV2::Stage`.

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;

use super::{Context, Discovery, Provider, ResourceError, gone_is_fine, pages};
use crate::aws::client::{Aws, AwsCall};
use crate::core::types::protocol::{self, Protocol};
use crate::core::types::stage::{AccessLogSettings, LoggingLevel, Props, RouteSettings, Stage, TYPE, arn};
use crate::core::types::tags::Tags;
use crate::core::types::{Created, Desired, Kind, Live, tags, to_value};

#[async_trait]
impl Provider for Stage {
    async fn list(&self, aws: &Aws, _: &Discovery, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let apis = parents.iter().map(|api| list(aws, &api.physical_id, protocol::of_parts(&api.properties)));
        Ok(futures_util::future::try_join_all(apis).await?.into_iter().flatten().collect())
    }

    async fn find(&self, cx: Context<'_>, desired: &Desired) -> Result<Option<Live>, ResourceError> {
        let props: Props = desired.read()?;
        Ok(list(cx.aws, &props.api_id, props.protocol).await?.into_iter().find(|live| self.is(desired, live)))
    }

    async fn create(&self, cx: Context<'_>, desired: &Desired) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = desired.read()?;
        let settings = |settings: &RouteSettings| {
            (*settings != RouteSettings::default()).then(|| sdk_settings(settings, props.protocol))
        };
        aws.call(AwsCall::new("apigatewayv2", "CreateStage").lane(&props.api_id), || {
            let routes = props.route_settings.iter();
            let routes = routes.map(|(key, one)| (key.clone(), sdk_settings(one, props.protocol))).collect();
            aws.apigateway
                .create_stage()
                .api_id(&props.api_id)
                .stage_name(&props.stage_name)
                .set_deployment_id(props.deployment_id.clone().filter(|_| !props.auto_deploy))
                .set_auto_deploy(props.auto_deploy.then_some(true))
                .set_description(props.description.clone())
                .set_stage_variables(
                    (!props.stage_variables.is_empty()).then(|| props.stage_variables.clone().into_iter().collect()),
                )
                .set_default_route_settings(settings(&props.default_route_settings))
                .set_route_settings((!props.route_settings.is_empty()).then_some(routes))
                .set_access_log_settings(props.access_log_settings.as_ref().map(sdk_access_log))
                .set_tags(Some(props.tags.clone().into_iter().collect()))
                .send()
        })
        .await?;
        Ok(Created::new(&props.stage_name))
    }

    async fn update(&self, cx: Context<'_>, live: &Live, desired: &Desired) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let from: Props = live.read()?;
        let to: Props = desired.read()?;
        let (api, stage) = (to.api_id.as_str(), to.stage_name.as_str());
        let untagged = |props: &Props| Props { tags: Tags::new(), ..props.clone() };
        if untagged(&from) != untagged(&to) {
            // Maps merge: a variable goes when it is sent empty.
            let mut variables = to.stage_variables.clone();
            for gone in from.stage_variables.keys() {
                variables.entry(gone.clone()).or_default();
            }
            aws.call(AwsCall::new("apigatewayv2", "UpdateStage").repeatable().lane(api), || {
                let routes = to.route_settings.iter();
                let routes = routes.map(|(key, one)| (key.clone(), sdk_settings(one, to.protocol))).collect();
                aws.apigateway
                    .update_stage()
                    .api_id(api)
                    .stage_name(stage)
                    .set_deployment_id(to.deployment_id.clone().filter(|_| !to.auto_deploy))
                    .set_auto_deploy((from.auto_deploy != to.auto_deploy).then_some(to.auto_deploy))
                    .set_description(to.description.clone())
                    .set_stage_variables((!variables.is_empty()).then(|| variables.clone().into_iter().collect()))
                    .set_default_route_settings(
                        (from.default_route_settings != to.default_route_settings)
                            .then(|| sdk_settings(&to.default_route_settings, to.protocol)),
                    )
                    .set_route_settings((!to.route_settings.is_empty()).then_some(routes))
                    .set_access_log_settings(to.access_log_settings.as_ref().map(sdk_access_log))
                    .send()
            })
            .await?;
        }
        for route in from.route_settings.keys().filter(|route| !to.route_settings.contains_key(*route)) {
            gone_is_fine(
                aws.call(AwsCall::new("apigatewayv2", "DeleteRouteSettings").repeatable().lane(api), || {
                    aws.apigateway.delete_route_settings().api_id(api).stage_name(stage).route_key(route).send()
                })
                .await,
            )?;
        }
        if from.access_log_settings.is_some() && to.access_log_settings.is_none() {
            gone_is_fine(
                aws.call(AwsCall::new("apigatewayv2", "DeleteAccessLogSettings").repeatable().lane(api), || {
                    aws.apigateway.delete_access_log_settings().api_id(api).stage_name(stage).send()
                })
                .await,
            )?;
        }
        let (set, removed) = tags::difference(&from.tags, &to.tags);
        super::gateway_tags::set_tags(aws, api, &arn(aws.scope(), api, stage), set, removed).await?;
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let api = live.parent.as_deref().unwrap_or_default();
        gone_is_fine(
            aws.call(AwsCall::new("apigatewayv2", "DeleteStage").repeatable().lane(api), || {
                aws.apigateway.delete_stage().api_id(api).stage_name(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

async fn list(aws: &Aws, api: &str, protocol: Option<Protocol>) -> Result<Vec<Live>, ResourceError> {
    let items = pages::below(|from| async move {
        let page = aws
            .call(AwsCall::new("apigatewayv2", "GetStages"), || {
                aws.apigateway.get_stages().api_id(api).max_results("500").set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    // That of quick create is the service's own.
    let ours = items.into_iter().filter(|stage| stage.api_gateway_managed != Some(true));
    Ok(ours.map(|stage| live(aws, api, stage, protocol)).collect())
}

fn live(aws: &Aws, api: &str, stage: sdk::Stage, protocol: Option<Protocol>) -> Live {
    let name = stage.stage_name.unwrap_or_default();
    let tags = aws.claimed(TYPE, &name, stage.tags.unwrap_or_default().into_iter().collect());
    let auto_deploy = stage.auto_deploy.unwrap_or(false);
    let props = Props {
        api_id: api.to_owned(),
        stage_name: name.clone(),
        // With AutoDeploy the service mints deployments of its own.
        deployment_id: stage.deployment_id.filter(|_| !auto_deploy),
        auto_deploy,
        description: stage.description.filter(|text| !text.is_empty()),
        stage_variables: stage.stage_variables.unwrap_or_default().into_iter().collect(),
        default_route_settings: stage.default_route_settings.map_or_else(RouteSettings::default, settings),
        route_settings: stage
            .route_settings
            .unwrap_or_default()
            .into_iter()
            .map(|(route, one)| (route, settings(one)))
            .collect(),
        access_log_settings: stage
            .access_log_settings
            .map(|log| AccessLogSettings { destination_arn: log.destination_arn, format: log.format })
            .filter(|log| log.destination_arn.is_some() || log.format.is_some()),
        tags: tags::settable(tags.clone()),
        protocol,
    };
    Live {
        logical_id: tags.get(tags::LOGICAL_ID).cloned(),
        deletion_policy: tags::deletion_policy(&tags),
        ..Live::new(TYPE, &name, to_value(&props)).below(api)
    }
}

fn settings(settings: sdk::RouteSettings) -> RouteSettings {
    RouteSettings {
        data_trace_enabled: settings.data_trace_enabled.unwrap_or(false),
        detailed_metrics_enabled: settings.detailed_metrics_enabled.unwrap_or(false),
        logging_level: match settings.logging_level {
            Some(sdk::LoggingLevel::Error) => LoggingLevel::Error,
            Some(sdk::LoggingLevel::Info) => LoggingLevel::Info,
            _ => LoggingLevel::Off,
        },
        throttling_burst_limit: settings.throttling_burst_limit,
        throttling_rate_limit: settings.throttling_rate_limit,
    }
}

/// Settings to send. HTTP APIs take no word about execution logs, which they do not have.
fn sdk_settings(settings: &RouteSettings, protocol: Option<Protocol>) -> sdk::RouteSettings {
    let level = match settings.logging_level {
        LoggingLevel::Off => sdk::LoggingLevel::Off,
        LoggingLevel::Error => sdk::LoggingLevel::Error,
        LoggingLevel::Info => sdk::LoggingLevel::Info,
    };
    let of_websockets = protocol.is_none();
    sdk::RouteSettings::builder()
        .set_data_trace_enabled(of_websockets.then_some(settings.data_trace_enabled))
        .detailed_metrics_enabled(settings.detailed_metrics_enabled)
        .set_logging_level(of_websockets.then_some(level))
        .set_throttling_burst_limit(settings.throttling_burst_limit)
        .set_throttling_rate_limit(settings.throttling_rate_limit)
        .build()
}

fn sdk_access_log(settings: &AccessLogSettings) -> sdk::AccessLogSettings {
    sdk::AccessLogSettings::builder()
        .set_destination_arn(settings.destination_arn.clone())
        .set_format(settings.format.clone())
        .build()
}
