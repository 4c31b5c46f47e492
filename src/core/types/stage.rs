//! `AWS::ApiGatewayV2::Stage`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rights::{api_part, apigateway, tagging};
use super::tags::Tags;
use super::{Attribute, Kind, Live, Reference, Want, Within, names, tags, to_value};
use crate::core::words::{Path, Problem, Scope, deserialize};

pub const TYPE: &str = names::STAGE;

/// What an API's URI ends in, and the deployment that is served there.
pub struct Stage;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) api_id: String,
    pub(crate) stage_name: String,
    pub(crate) deployment_id: Option<String>,
    #[serde(default)]
    pub(crate) auto_deploy: bool,
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) stage_variables: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) default_route_settings: RouteSettings,
    #[serde(default)]
    pub(crate) route_settings: BTreeMap<String, RouteSettings>,
    pub(crate) access_log_settings: Option<AccessLogSettings>,
    #[serde(default, deserialize_with = "tags::deserialize")]
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RouteSettings {
    #[serde(default)]
    pub(crate) data_trace_enabled: bool,
    #[serde(default)]
    pub(crate) detailed_metrics_enabled: bool,
    #[serde(default)]
    pub(crate) logging_level: LoggingLevel,
    /// Never sent when absent: 0 means "deny everything", not "default".
    pub(crate) throttling_burst_limit: Option<i32>,
    pub(crate) throttling_rate_limit: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum LoggingLevel {
    #[default]
    Off,
    Error,
    Info,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AccessLogSettings {
    pub(crate) destination_arn: Option<String>,
    pub(crate) format: Option<String>,
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

    fn noun(&self) -> &'static str {
        "stage"
    }

    fn within(&self) -> Option<Within> {
        Some(Within { property: "ApiId", types: &[names::API] })
    }

    fn unique_by(&self) -> &'static [&'static str] {
        &["ApiId", "StageName"]
    }

    fn references(&self) -> &'static [Reference] {
        &[Reference { property: "DeploymentId", prefix: "", to: names::DEPLOYMENT }]
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
        &["ClientCertificateId"]
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

    fn parent(&self) -> Option<&'static str> {
        Some(names::API)
    }

    fn taggable(&self) -> bool {
        true
    }

    fn is(&self, want: &Want, live: &Live) -> bool {
        want.properties["ApiId"] == live.properties["ApiId"]
            && want.properties["StageName"] == live.properties["StageName"]
    }

    fn rights(&self, it: &super::rights::Subject<'_>, rights: &mut super::rights::Rights) {
        api_part(it, rights);
        if it.creates {
            rights.allow("apigateway", &["TagResource"], it.inside_api());
        }
        if it.changes(&["RouteSettings", "AccessLogSettings"]) {
            rights.allow("apigateway", &["DELETE"], it.inside_api());
        }
        if it.changes(&["Tags"]) {
            tagging(rights, it.scope, &format!("{}/stages/{}", it.api_path(), it.name()));
        }
        if logs_by(&it.desired).is_some() {
            rights.allow("apigateway", &["GET"], apigateway(it.scope, "account"));
        }
    }
}

pub(crate) fn arn(scope: &Scope, api: &str, stage: &str) -> String {
    format!("arn:{}:apigateway:{}::/apis/{api}/stages/{stage}", scope.partition, scope.region)
}
