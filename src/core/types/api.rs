//! `AWS::ApiGatewayV2::Api`: WebSocket APIs, and by way of `http_api` HTTP APIs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::constraints::{self, Refusal};
use super::iam_permissions::{ANY, Permissions, Roles, Subject, apigateway, gateway_changes, tagging};
use super::protocol::{IpAddressType, is_http_api, is_imported};
use super::tags::Tags;
use super::{
    Action, Attribute, Desired, Kind, Live, Never, Owner, Part, PlanView, Planning, RecorderArn, ResourceView,
    StepEffects, StepView, canonical, http_api, names, tags,
};
use crate::core::words::{Problem, Scope};

pub const TYPE: &str = names::API;

/// The attribute that holds the URI which clients reach the API's stages under.
pub const ENDPOINT: &str = "ApiEndpoint";

/// An API.
pub struct Api;

/// The properties of a WebSocket API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) name: String,
    pub(crate) protocol_type: ProtocolType,
    pub(crate) route_selection_expression: String,
    #[serde(default = "from_header")]
    pub(crate) api_key_selection_expression: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) disable_execute_api_endpoint: bool,
    #[serde(default)]
    pub(crate) disable_schema_validation: bool,
    /// Which addresses reach it; API Gateway's default is IPv4 alone.
    #[serde(default)]
    pub(crate) ip_address_type: IpAddressType,
    #[serde(default, deserialize_with = "tags::deserialize")]
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum ProtocolType {
    #[serde(rename = "WEBSOCKET")]
    WebSocket,
}

pub(crate) fn from_header() -> String {
    "$request.header.x-api-key".to_owned()
}

impl Kind for Api {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "API"
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        // It records what is in the policies of others' functions.
        &[names::FOREIGN_PERMISSION]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        if is_http_api(properties) { http_api::canonical_of(properties) } else { canonical::<Props>(properties) }
    }

    fn refuses(&self, properties: &Value) -> Vec<Refusal> {
        let mut refused = constraints::check(TYPE, properties);
        if is_imported(properties) {
            // The document may say them.
            refused.retain(|refusal| !refusal.missing);
        }
        refused
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &["BodyS3Location"]
    }

    /// "Supported only for HTTP APIs" (CloudFormation's reference of the type).
    fn never(&self, properties: &Value) -> &'static [Never] {
        const DESCRIBE: &str = "describe AWS::ApiGatewayV2::Route and AWS::ApiGatewayV2::Integration resources instead";
        if is_http_api(properties) {
            return &[];
        }
        &[
            Never {
                properties: &["BasePath", "Body", "FailOnWarnings"],
                why: "API Gateway imports OpenAPI definitions as HTTP APIs only",
                help: DESCRIBE,
            },
            Never {
                properties: &["CredentialsArn", "RouteKey", "Target"],
                why: "it belongs to quick create, which makes HTTP APIs only",
                help: DESCRIBE,
            },
            Never {
                properties: &["CorsConfiguration"],
                why: "it is for HTTP APIs, and browsers open WebSockets without CORS",
                help: "remove it, and check the Origin header in the function behind $connect",
            },
        ]
    }

    fn complete(&self, it: &ResourceView<'_>, properties: &mut Value, _: &dyn Planning) {
        http_api::complete(it, properties);
    }

    fn seen_as(&self, live: &Value, desired: &Value) -> Option<Value> {
        http_api::seen_as(live, desired)
    }

    fn is_http(&self, properties: &Value) -> bool {
        is_http_api(properties)
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["ProtocolType"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &[]
    }

    fn attribute(&self, scope: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None | Some(ENDPOINT) => Attribute::Minted,
            Some("ApiId") => Attribute::Ref,
            // As IAM names an API that is called: `arn:aws:execute-api:REGION:ACCOUNT:ID`.
            Some("ExecuteApiArn") => Attribute::EndsInRef(scope.arn("execute-api", "")),
            Some(_) => Attribute::Unknown(&["ApiId", ENDPOINT, "ExecuteApiArn"]),
        }
    }

    fn keeps_records(&self) -> bool {
        true
    }

    fn permissions_to_record(&self, scope: &Scope, id: Option<&str>, permissions: &mut Permissions) {
        tagging(permissions, scope, &format!("apis/{}", id.unwrap_or(ANY)));
    }

    fn taggable(&self) -> bool {
        true
    }

    fn recorder_arn(&self) -> Option<RecorderArn> {
        Some(RecorderArn::Gateway("apis/"))
    }

    fn is(&self, desired: &Desired, live: &Live) -> bool {
        match live.owner {
            Owner::Stack => live.logical_id.as_deref() == Some(&desired.logical_id),
            Owner::Other(_) => live.properties["Name"] == desired.properties["Name"],
        }
    }

    fn known_by(&self) -> Option<&'static str> {
        Some("Name")
    }

    fn left(&self, live: &Live, owner: &str, scope: &Scope) -> Option<String> {
        let (name, id) = (live.properties["Name"].as_str().unwrap_or_default(), &live.physical_id);
        Some(format!(
            "left: API {name} ({id}): it belongs to {owner}\n  delete it with: aws apigatewayv2 delete-api --api-id {id} --region {}",
            scope.region
        ))
    }

    fn part(&self) -> Part {
        Part::Api
    }

    fn spelled_address(&self, properties: &Value, physical_id: &str, scope: &Scope) -> Option<String> {
        let scheme = if is_http_api(properties) { "https" } else { "wss" };
        Some(format!("{scheme}://{physical_id}.execute-api.{}.{}", scope.region, scope.url_suffix()))
    }

    fn effects(&self, step: &StepView<'_>, _: &dyn PlanView) -> StepEffects {
        match (step.action, step.change("DisableExecuteApiEndpoint")) {
            (Action::Delete | Action::Replace, _) => StepEffects {
                interrupted: match step.live.is_some_and(|live| is_http_api(&live.properties)) {
                    true => vec!["its clients get no answers any more".to_owned()],
                    false => vec!["every connection closes".to_owned()],
                },
                lost: vec!["its URI: a new API gets a new id".to_owned()],
            },
            (Action::Update, Some(change)) if change.new == Some(Value::Bool(true)) => {
                StepEffects::interrupted("no client reaches it any more, but by a domain name")
            }
            _ => StepEffects::default(),
        }
    }

    fn permissions_to_list(&self, scope: &Scope, _: Roles, permissions: &mut Permissions) {
        permissions.allow("apigateway", &["GET"], apigateway(scope, "apis"));
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        let path = format!("apis/{}", it.live_id.unwrap_or(ANY));
        if it.live_id.is_some() {
            permissions.allow("apigateway", &["GET"], apigateway(it.scope, &format!("{path}/{ANY}")));
        }
        if it.creates {
            // It has no id before it is made: AWS asks about what it is made below.
            permissions.allow("apigateway", &["POST", "TagResource"], apigateway(it.scope, "apis"));
            permissions.allow("apigateway", &["GET", "DELETE"], apigateway(it.scope, &format!("apis/{ANY}")));
        }
        gateway_changes(it, permissions, &path);
        if is_http_api(&it.desired) && (it.creates || it.updates) {
            if is_imported(&it.desired) {
                permissions.allow("apigateway", &["PUT", "PATCH"], apigateway(it.scope, &path));
                tagging(permissions, it.scope, &path);
            }
            permissions.allow("apigateway", &["DELETE"], apigateway(it.scope, &format!("{path}/cors")));
        }
    }

    fn permissions_to_import(&self, it: &Subject<'_>, _: bool, permissions: &mut Permissions) {
        permissions.allow("apigateway", &["GET"], apigateway(it.scope, &format!("apis/{}", it.name())));
    }
}

pub(crate) fn arn(scope: &Scope, id: &str) -> String {
    apigateway(scope, &format!("apis/{id}"))
}
