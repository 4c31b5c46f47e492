//! `AWS::ApiGatewayV2::Integration`.
//!
//! It has no name and no tags: its content is what it is known by, and its description, where the template gives none,
//! says whose it is. So it is never changed in place. A changed one is made beside the old, the routes move, a
//! deployment freezes them, the stage moves, and then the old one goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::authorizer::Authorizer;
use super::iam_permissions::{Permissions, Subject, api_part};
use super::protocol::Protocol;
use super::serving::LONGEST;
use super::{
    Attribute, Desired, Kind, Live, Names, Never, Part, PlanView, Planning, ResourceView, StackView, Within, canonical,
    function, names, ownership_marker, protocol,
};
use crate::core::words::{DeletionPolicy, Problem, Scope, Token};

pub const TYPE: &str = names::INTEGRATION;

/// What a route calls.
pub struct Integration;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) api_id: String,
    pub(crate) integration_type: IntegrationType,
    pub(crate) integration_uri: Option<String>,
    /// An AWS service's operation, such as `SQS-SendMessage`; of HTTP APIs.
    pub(crate) integration_subtype: Option<String>,
    #[serde(default = "post")]
    pub(crate) integration_method: String,
    #[serde(default = "internet")]
    pub(crate) connection_type: String,
    /// A VPC link of version 1 of the API, where the type is `VPC_LINK`. CloudFormation's reference has it for HTTP APIs
    /// alone; AWS's knowledge center shows it for WebSocket APIs ("Pass a connectionId ... to VPC Link integration").
    pub(crate) connection_id: Option<String>,
    pub(crate) credentials_arn: Option<String>,
    pub(crate) content_handling_strategy: Option<String>,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default = "when_no_match")]
    pub(crate) passthrough_behavior: String,
    #[serde(default = "version_1")]
    pub(crate) payload_format_version: String,
    #[serde(default)]
    pub(crate) request_parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) request_templates: BTreeMap<String, String>,
    /// By status; of HTTP APIs.
    pub(crate) response_parameters: Option<BTreeMap<String, ResponseParameters>>,
    pub(crate) template_selection_expression: Option<String>,
    #[serde(default = "longest")]
    pub(crate) timeout_in_millis: i32,
    /// Of a private integration of an HTTP API.
    pub(crate) tls_config: Option<TlsConfig>,
    pub(crate) protocol: Option<Protocol>,
    /// Put in by the plan: an integration carries no tags, and an API is the stack's only if something in it is.
    pub(crate) ownership_marker: Option<String>,
}

/// What is changed in responses of a status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ResponseParameters {
    #[serde(default)]
    pub(crate) response_parameters: Vec<ResponseParameter>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ResponseParameter {
    /// `overwrite:header.x`, `append:header.x`, `remove:header.x`, `overwrite:statuscode`.
    pub(crate) destination: Option<String>,
    pub(crate) source: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TlsConfig {
    pub(crate) server_name_to_verify: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum IntegrationType {
    #[serde(rename = "AWS")]
    Aws,
    #[serde(rename = "AWS_PROXY")]
    AwsProxy,
    #[serde(rename = "HTTP")]
    Http,
    #[serde(rename = "HTTP_PROXY")]
    HttpProxy,
    #[serde(rename = "MOCK")]
    Mock,
}

/// Whether integrations with these properties pass on what they are given and what they answer: then nothing is made of
/// their responses.
pub(crate) fn is_proxy(properties: &Value) -> bool {
    matches!(properties["IntegrationType"].as_str(), Some("AWS_PROXY" | "HTTP_PROXY"))
}

pub(crate) fn post() -> String {
    "POST".to_owned()
}

pub(crate) fn internet() -> String {
    "INTERNET".to_owned()
}

pub(crate) fn when_no_match() -> String {
    "WHEN_NO_MATCH".to_owned()
}

pub(crate) fn version_1() -> String {
    "1.0".to_owned()
}

pub(crate) fn longest() -> i32 {
    29_000
}

/// The same for HTTP APIs (quotas: 30 seconds).
pub(crate) const LONGEST_OF_HTTP: i32 = 30_000;

impl Kind for Integration {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "integration"
    }

    fn described(&self, live: &Live, names: &dyn Names) -> Option<String> {
        let text = |property: &str| live.properties[property].as_str().unwrap_or_default();
        let uri = text("IntegrationUri");
        Some(match uri.split_once("/functions/") {
            Some((_, arn)) => {
                format!("integration of {}", function::logical_id(names, arn.trim_end_matches("/invocations")))
            }
            None if uri.is_empty() => format!("integration {}", text("IntegrationType")),
            None => format!("integration with {uri}"),
        })
    }

    fn within(&self) -> Option<Within> {
        Some(Within { property: "ApiId", types: &[names::API] })
    }

    fn is_frozen_by_deployments(&self) -> bool {
        true
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        &[names::INTEGRATION_RESPONSE, names::ROUTE]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let mut properties = protocol::with_http_defaults(properties, &[("TimeoutInMillis", LONGEST_OF_HTTP.into())]);
        // That of a MOCK, which the CDK writes, is none.
        if properties["IntegrationUri"] == "" {
            properties["IntegrationUri"] = Value::Null;
        }
        // In one order: the service has a map.
        let by_status = properties.get_mut("ResponseParameters").and_then(Value::as_object_mut);
        for parameters in by_status.into_iter().flat_map(|by_status| by_status.values_mut()) {
            if let Some(listed) = parameters.get_mut("ResponseParameters").and_then(Value::as_array_mut) {
                listed.sort_by_key(|one| one["Destination"].to_string());
            }
        }
        canonical::<Props>(&properties)
    }

    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        protocol::not_beside_imported(stack, TYPE, self.noun())
    }

    fn is_http(&self, properties: &Value) -> bool {
        protocol::is_http(properties)
    }

    /// "Supported only for HTTP APIs", or for WebSocket APIs (CloudFormation's reference of the type).
    fn never(&self, properties: &Value) -> &'static [Never] {
        const HTTP: &[Never] = &[Never {
            properties: &[
                "ContentHandlingStrategy",
                "PassthroughBehavior",
                "RequestTemplates",
                "TemplateSelectionExpression",
            ],
            why: "it is for WebSocket APIs, and this integration belongs to an HTTP API",
            help: "remove it",
        }];
        const WEBSOCKET: &[Never] = &[
            Never {
                properties: &["IntegrationSubtype"],
                why: "it names an AWS service's operation, which only HTTP APIs call by themselves",
                help: "remove it, and call the service from a function",
            },
            Never {
                properties: &["ResponseParameters"],
                why: "it changes HTTP responses, and a WebSocket API gives none",
                help: "remove it",
            },
            Never { properties: &["TlsConfig"], why: "it is for private integrations of HTTP APIs", help: "remove it" },
        ];
        protocol::never(properties, HTTP, WEBSOCKET)
    }

    fn internal(&self) -> &'static [&'static str] {
        &[ownership_marker::PROPERTY, protocol::PROPERTY]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["ApiId"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["ApiId"]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some("IntegrationId") => Attribute::Ref,
            Some(_) => Attribute::Unknown(&["IntegrationId"]),
        }
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::API)
    }

    fn agrees_in(&self) -> &'static [&'static str] {
        &["IntegrationUri"]
    }

    fn is(&self, desired: &Desired, live: &Live) -> bool {
        desired.properties["IntegrationUri"] == live.properties["IntegrationUri"]
            && live.logical_id.as_ref().is_none_or(|id| *id == desired.logical_id)
            && unmarked(&desired.properties) == unmarked(&live.properties)
    }

    fn complete(&self, it: &ResourceView<'_>, properties: &mut Value, _: &dyn Planning) {
        // It goes with its API, whatever its own policy.
        properties[ownership_marker::PROPERTY] = ownership_marker::of(it.logical_id, DeletionPolicy::Delete).into();
    }

    /// Integrations of equal content are told apart by the routes that use them.
    fn choose(&self, desired: &Desired, fitting: &[&Live], stack: &dyn Planning) -> usize {
        let token = Token::text(&desired.logical_id, "Ref");
        let routes = stack.resources().filter(|other| other.kind.type_name() == names::ROUTE);
        let keys: Vec<&Value> = routes
            .filter(|route| route.text("Target").contains(&token))
            .map(|route| &route.properties["RouteKey"])
            .collect();
        let targets: Vec<&str> = stack
            .live(names::ROUTE)
            .filter(|route| keys.contains(&&route.properties["RouteKey"]))
            .filter_map(|route| route.properties["Target"].as_str()?.strip_prefix("integrations/"))
            .collect();
        fitting.iter().position(|live| targets.contains(&live.physical_id.as_str())).unwrap_or(0)
    }

    fn part(&self) -> Part {
        Part::Caller
    }

    fn without_effect_locally(&self, properties: &Value) -> Vec<&'static str> {
        // A request that needs one is answered with 501, and the name of what is not served.
        let of_http = |name: &&str| protocol::is_http(properties) && properties.get(*name).is_some();
        ["IntegrationSubtype", "ConnectionId"].into_iter().filter(of_http).collect()
    }

    fn calls<'a>(&self, properties: &'a Value) -> Option<&'a str> {
        properties["IntegrationUri"].as_str()
    }

    fn message_timeout(&self, live: &Live, plan: &dyn PlanView) -> Option<u64> {
        // A client that connects is authorized first.
        let of_api = plan.live().filter(|other| other.type_name == names::AUTHORIZER && other.parent == live.parent);
        let authorized = of_api.filter_map(|other| Authorizer.message_timeout(other, plan)).max().unwrap_or(0);
        let own = live.properties["TimeoutInMillis"].as_u64().unwrap_or(LONGEST);
        Some((own + authorized).min(LONGEST))
    }

    fn is_left_behind(&self) -> bool {
        true
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        api_part(it, permissions);
        // It is never changed in place.
        if it.creates {
            for role in it.texts("CredentialsArn") {
                permissions.pass(&role, "apigateway.amazonaws.com");
            }
        }
    }
}

/// Properties without the ownership marker.
fn unmarked(properties: &Value) -> Value {
    let mut properties = properties.clone();
    if let Some(members) = properties.as_object_mut() {
        members.remove(ownership_marker::PROPERTY);
    }
    properties
}
