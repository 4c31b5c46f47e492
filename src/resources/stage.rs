//! `AWS::ApiGatewayV2::Stage`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_apigatewayv2::types as sdk;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tags::{self, Tags};
use super::{
    Attribute, Context, Created, Kind, Live, Provider, ResourceError, Sought, Want, api, gone_is_fine, pages, to_value,
};
use crate::aws::{Aws, Call};
use crate::core::words::{Path, Problem, Scope, deserialize};

pub const TYPE: &str = "AWS::ApiGatewayV2::Stage";

/// What an API's URI ends in, and the deployment that is served there.
pub struct Stage;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Props {
    api_id: String,
    stage_name: String,
    deployment_id: Option<String>,
    #[serde(default)]
    auto_deploy: bool,
    description: Option<String>,
    #[serde(default)]
    stage_variables: BTreeMap<String, String>,
    #[serde(default)]
    default_route_settings: RouteSettings,
    #[serde(default)]
    route_settings: BTreeMap<String, RouteSettings>,
    access_log_settings: Option<AccessLogSettings>,
    #[serde(default, deserialize_with = "tags::deserialize")]
    tags: Tags,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RouteSettings {
    #[serde(default)]
    data_trace_enabled: bool,
    #[serde(default)]
    detailed_metrics_enabled: bool,
    #[serde(default)]
    logging_level: LoggingLevel,
    /// Never sent when absent: 0 means "deny everything", not "default".
    throttling_burst_limit: Option<i32>,
    throttling_rate_limit: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum LoggingLevel {
    #[default]
    Off,
    Error,
    Info,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AccessLogSettings {
    destination_arn: Option<String>,
    format: Option<String>,
}

/// The property by which a stage with these canonical properties writes logs, relative to `Properties`; none where it
/// writes none. It takes a role that is set once for the whole account (`account`).
pub fn logs_by(properties: &Value) -> Option<Path> {
    let level = |settings: &Value| settings["LoggingLevel"].as_str().is_some_and(|level| !["", "OFF"].contains(&level));
    let root = Path::default();
    if properties
        .get("AccessLogSettings")
        .is_some_and(|settings| settings.as_object().is_some_and(|all| !all.is_empty()))
    {
        return Some(root.key("AccessLogSettings"));
    }
    if level(&properties["DefaultRouteSettings"]) {
        return Some(root.key("DefaultRouteSettings").key("LoggingLevel"));
    }
    let routes = properties["RouteSettings"].as_object().into_iter().flatten();
    let route = routes.filter(|(_, settings)| level(settings)).map(|(route, _)| route).next()?;
    Some(root.key("RouteSettings").key(route).key("LoggingLevel"))
}

impl Kind for Stage {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let mut props: Props = deserialize::read(properties)?;
        // A log group's ARN ends in `:*`, which API Gateway leaves out.
        if let Some(arn) = props.access_log_settings.as_mut().and_then(|log| log.destination_arn.as_mut()) {
            *arn = arn.trim_end_matches(":*").to_owned();
        }
        Ok(to_value(&props))
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &["AccessPolicyId", "ClientCertificateId"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["ApiId", "StageName"]
    }

    fn any_if_absent(&self) -> &'static [&'static str] {
        &[
            "DeploymentId",
            "Description",
            "DefaultRouteSettings.ThrottlingBurstLimit",
            "DefaultRouteSettings.ThrottlingRateLimit",
        ]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["ApiId", "DeploymentId"]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some(_) => Attribute::Unknown(&[]),
        }
    }
}

#[async_trait]
impl Provider for Stage {
    fn parent(&self) -> Option<&'static str> {
        Some(api::TYPE)
    }

    fn taggable(&self) -> bool {
        true
    }

    fn is(&self, want: &Want, live: &Live) -> bool {
        want.properties["ApiId"] == live.properties["ApiId"]
            && want.properties["StageName"] == live.properties["StageName"]
    }

    async fn list(&self, aws: &Aws, _: &Sought, parents: &[Live]) -> Result<Vec<Live>, ResourceError> {
        let apis = parents.iter().map(|api| list(aws, &api.physical_id));
        Ok(futures_util::future::try_join_all(apis).await?.into_iter().flatten().collect())
    }

    async fn find(&self, cx: Context<'_>, want: &Want) -> Result<Option<Live>, ResourceError> {
        let props: Props = want.read()?;
        Ok(list(cx.aws, &props.api_id).await?.into_iter().find(|live| self.is(want, live)))
    }

    async fn create(&self, cx: Context<'_>, want: &Want) -> Result<Created, ResourceError> {
        let aws = cx.aws;
        let props: Props = want.read()?;
        let settings =
            |settings: &RouteSettings| (*settings != RouteSettings::default()).then(|| sdk_settings(settings));
        aws.call(Call::new("apigatewayv2", "CreateStage").once().lane(&props.api_id), || {
            let routes = props.route_settings.iter().map(|(key, one)| (key.clone(), sdk_settings(one))).collect();
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

    async fn update(&self, cx: Context<'_>, live: &Live, want: &Want) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let from: Props = live.read()?;
        let to: Props = want.read()?;
        let (api, stage) = (to.api_id.as_str(), to.stage_name.as_str());
        let untagged = |props: &Props| Props { tags: Tags::new(), ..props.clone() };
        if untagged(&from) != untagged(&to) {
            // Maps merge: a variable goes when it is sent empty.
            let mut variables = to.stage_variables.clone();
            for gone in from.stage_variables.keys() {
                variables.entry(gone.clone()).or_default();
            }
            aws.call(Call::new("apigatewayv2", "UpdateStage").lane(api), || {
                let routes = to.route_settings.iter().map(|(key, one)| (key.clone(), sdk_settings(one))).collect();
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
                            .then(|| sdk_settings(&to.default_route_settings)),
                    )
                    .set_route_settings((!to.route_settings.is_empty()).then_some(routes))
                    .set_access_log_settings(to.access_log_settings.as_ref().map(sdk_access_log))
                    .send()
            })
            .await?;
        }
        for route in from.route_settings.keys().filter(|route| !to.route_settings.contains_key(*route)) {
            gone_is_fine(
                aws.call(Call::new("apigatewayv2", "DeleteRouteSettings").lane(api), || {
                    aws.apigateway.delete_route_settings().api_id(api).stage_name(stage).route_key(route).send()
                })
                .await,
            )?;
        }
        if from.access_log_settings.is_some() && to.access_log_settings.is_none() {
            gone_is_fine(
                aws.call(Call::new("apigatewayv2", "DeleteAccessLogSettings").lane(api), || {
                    aws.apigateway.delete_access_log_settings().api_id(api).stage_name(stage).send()
                })
                .await,
            )?;
        }
        let (set, removed) = tags::difference(&from.tags, &to.tags);
        api::set_tags(aws, api, &arn(aws.scope(), api, stage), set, removed).await?;
        Ok(())
    }

    async fn delete(&self, cx: Context<'_>, live: &Live) -> Result<(), ResourceError> {
        let aws = cx.aws;
        let api = live.parent.as_deref().unwrap_or_default();
        gone_is_fine(
            aws.call(Call::new("apigatewayv2", "DeleteStage").lane(api), || {
                aws.apigateway.delete_stage().api_id(api).stage_name(&live.physical_id).send()
            })
            .await,
        )?;
        Ok(())
    }
}

async fn list(aws: &Aws, api: &str) -> Result<Vec<Live>, ResourceError> {
    let items = pages::below(|from| async move {
        let page = aws
            .call(Call::new("apigatewayv2", "GetStages"), || {
                aws.apigateway.get_stages().api_id(api).max_results("500").set_next_token(from.clone()).send()
            })
            .await?;
        Ok((page.items, page.next_token))
    })
    .await?;
    Ok(items.into_iter().map(|stage| live(api, stage)).collect())
}

fn live(api: &str, stage: sdk::Stage) -> Live {
    let tags: Tags = stage.tags.unwrap_or_default().into_iter().collect();
    let name = stage.stage_name.unwrap_or_default();
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

fn sdk_settings(settings: &RouteSettings) -> sdk::RouteSettings {
    sdk::RouteSettings::builder()
        .data_trace_enabled(settings.data_trace_enabled)
        .detailed_metrics_enabled(settings.detailed_metrics_enabled)
        .logging_level(match settings.logging_level {
            LoggingLevel::Off => sdk::LoggingLevel::Off,
            LoggingLevel::Error => sdk::LoggingLevel::Error,
            LoggingLevel::Info => sdk::LoggingLevel::Info,
        })
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

fn arn(scope: &Scope, api: &str, stage: &str) -> String {
    format!("arn:{}:apigateway:{}::/apis/{api}/stages/{stage}", scope.partition, scope.region)
}
