//! `AWS::ApiGatewayV2::Stage`.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{Permissions, Subject, api_part, apigateway, tagging};
use super::protocol::Protocol;
use super::tags::Tags;
use super::{
    Action, Attribute, Kind, Live, Part, PlanView, Reference, StackView, StepEffects, StepView, Within, names,
    protocol, tags, to_value,
};
use crate::core::words::{Path, Problem, ProblemKind, Scope, Token, deserialize, nearest};

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
    pub(crate) protocol: Option<Protocol>,
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
        // With AutoDeploy, API Gateway chooses, and takes none.
        if props.auto_deploy {
            props.deployment_id = None;
        }
        Ok(to_value(&props))
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &["ClientCertificateId"]
    }

    fn internal(&self) -> &'static [&'static str] {
        &[protocol::PROPERTY]
    }

    fn is_http(&self, properties: &Value) -> bool {
        protocol::is_http(properties)
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

    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        if !stack.is_whole() {
            return Vec::new();
        }
        let mut keys: HashMap<&Value, Vec<&str>> = HashMap::new();
        for route in stack.of(names::ROUTE) {
            if let (Some(api), Some(key)) = (route.properties.get("ApiId"), route.properties["RouteKey"].as_str()) {
                keys.entry(api).or_default().push(key);
            }
        }
        let mut problems = Vec::new();
        for stage in stack.of(TYPE) {
            let Some(api) = stage.properties.get("ApiId").filter(|api| **api != "") else { continue };
            // Whose routes a document or quick create makes.
            let made = protocol::api_of(stage.properties, stack);
            if made.is_some_and(|api| api.properties.get("Body").or(api.properties.get("Target")).is_some()) {
                continue;
            }
            let known = keys.get(api).map_or(&[][..], Vec::as_slice);
            let settings = stage.properties.get("RouteSettings").and_then(Value::as_object).into_iter().flatten();
            let keys = settings.map(|(key, _)| key.as_str());
            for key in keys.filter(|key| !known.contains(key) && !Token::is_in(key)) {
                // "Unable to find Route by key" (API Gateway).
                let path = stage.path_of("RouteSettings").key(key);
                let problem =
                    Problem::of_key(path, format!("this API has no route \"{key}\"")).kind(ProblemKind::BadReference);
                let help = nearest(key, known).map(|near| format!("did you mean \"{near}\"?"));
                problems.push(Problem { help, ..problem });
            }
        }
        problems
    }

    fn part(&self) -> Part {
        Part::Entry
    }

    /// It takes a role that is set once for the whole account (`aws::providers::account`).
    fn logs_by(&self, properties: &Value) -> Option<Path> {
        let level =
            |settings: &Value| settings["LoggingLevel"].as_str().is_some_and(|level| !["", "OFF"].contains(&level));
        let root = Path::default();
        if properties
            .get("AccessLogSettings")
            .is_some_and(|settings| settings.as_object().is_some_and(|all| !all.is_empty()))
            // Those of an HTTP API are delivered by CloudWatch Logs itself ("Configure logging for HTTP APIs").
            && !protocol::is_http(properties)
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

    fn access_log(&self, properties: &Value) -> Option<(String, String)> {
        let settings = &properties["AccessLogSettings"];
        let (_, group) = settings["DestinationArn"].as_str()?.split_once(":log-group:")?;
        Some((group.trim_end_matches(":*").to_owned(), settings["Format"].as_str()?.to_owned()))
    }

    fn gateway_log(&self, live: &Live) -> Option<String> {
        Some(format!("{}/{}", live.parent.as_ref()?, live.physical_id))
    }

    fn effects(&self, step: &StepView<'_>, _: &dyn PlanView) -> StepEffects {
        match step.action {
            Action::Delete | Action::Replace => {
                match step.live.is_some_and(|live| protocol::is_http(&live.properties)) {
                    true => StepEffects::interrupted("its URI answers no more"),
                    false => {
                        StepEffects::interrupted("every connection of the stage closes, and its URI answers no more")
                    }
                }
            }
            _ => StepEffects::default(),
        }
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        api_part(it, permissions);
        if it.creates {
            permissions.allow("apigateway", &["TagResource"], it.inside_api());
        }
        if it.changes(&["RouteSettings", "AccessLogSettings"]) {
            permissions.allow("apigateway", &["DELETE"], it.inside_api());
        }
        if it.changes(&["Tags"]) {
            tagging(permissions, it.scope, &format!("{}/stages/{}", it.api_path(), it.name()));
        }
        if self.logs_by(&it.desired).is_some() {
            permissions.allow("apigateway", &["GET"], apigateway(it.scope, "account"));
        }
    }
}

pub(crate) fn arn(scope: &Scope, api: &str, stage: &str) -> String {
    format!("arn:{}:apigateway:{}::/apis/{api}/stages/{stage}", scope.partition, scope.region)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Kind;
    use super::Stage;

    #[test]
    fn a_stage_that_deploys_by_itself_has_no_deployment_of_the_template() {
        let canonical = |auto: bool| {
            let properties = json!({ "ApiId": "a", "StageName": "live", "AutoDeploy": auto, "DeploymentId": "d" });
            Stage.canonical(&properties).unwrap()["DeploymentId"].clone()
        };
        assert_eq!((canonical(false), canonical(true)), (json!("d"), json!(null)));
    }
}
