//! `AWS::ApiGatewayV2::Route`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{Permissions, Subject, api_part};
use super::protocol::Protocol;
use super::{
    Action, Attribute, Kind, Live, NamedPart, Names, Never, Part, PlanView, Reference, StackView, StepEffects,
    StepView, Within, canonical, names, protocol,
};
use crate::core::words::{Problem, Scope, shown};

pub const TYPE: &str = names::ROUTE;

/// Which messages or requests go to which integration.
pub struct Route;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) api_id: String,
    pub(crate) route_key: String,
    pub(crate) target: Option<String>,
    /// Of a JWT, any one of which a caller must have; of HTTP APIs.
    pub(crate) authorization_scopes: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) authorization_type: AuthorizationType,
    pub(crate) authorizer_id: Option<String>,
    #[serde(default)]
    pub(crate) api_key_required: bool,
    pub(crate) model_selection_expression: Option<String>,
    pub(crate) operation_name: Option<String>,
    /// The names of models by what the model selection expression selects.
    #[serde(default)]
    pub(crate) request_models: BTreeMap<String, String>,
    /// What a handshake must have.
    #[serde(default)]
    pub(crate) request_parameters: BTreeMap<String, ParameterConstraints>,
    pub(crate) route_response_selection_expression: Option<String>,
    pub(crate) protocol: Option<Protocol>,
}

/// Whether a parameter must be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ParameterConstraints {
    pub(crate) required: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum AuthorizationType {
    #[default]
    #[serde(rename = "NONE")]
    None,
    #[serde(rename = "AWS_IAM")]
    AwsIam,
    #[serde(rename = "CUSTOM")]
    Custom,
    /// Of HTTP APIs.
    #[serde(rename = "JWT")]
    Jwt,
}

impl Kind for Route {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "route"
    }

    fn described(&self, live: &Live, _: &dyn Names) -> Option<String> {
        Some(format!("route \"{}\"", live.properties["RouteKey"].as_str()?))
    }

    fn widens(&self, _: &str, old: &Value, new: &Value) -> Vec<String> {
        let mut found = Vec::new();
        if old.is_null() {
            return found;
        }
        let key = shown(new.get("RouteKey"));
        if old["AuthorizationType"] != "NONE" && new["AuthorizationType"] == "NONE" {
            found.push(format!("{key} takes callers without credentials"));
        }
        if old["ApiKeyRequired"] == true && new["ApiKeyRequired"] != true {
            found.push(format!("{key} takes callers without an API key"));
        }
        let required = |of: &Value| -> Vec<String> {
            let parameters = of["RequestParameters"].as_object().into_iter().flatten();
            parameters.filter(|(_, one)| one["Required"] == true).map(|(name, _)| name.clone()).collect()
        };
        let still = required(new);
        let gone = required(old).into_iter().filter(|name| !still.contains(name));
        found.extend(gone.map(|name| format!("{key} takes callers without {name}")));
        found
    }

    fn within(&self) -> Option<Within> {
        Some(Within { property: "ApiId", types: &[names::API] })
    }

    fn unique_by(&self) -> &'static [&'static str] {
        &["ApiId", "RouteKey"]
    }

    fn references(&self) -> &'static [Reference] {
        &[
            Reference { property: "Target", prefix: "integrations/", to: names::INTEGRATION },
            Reference { property: "AuthorizerId", prefix: "", to: names::AUTHORIZER },
        ]
    }

    fn needs_by_name(&self) -> &'static [NamedPart] {
        &[NamedPart { property: "RequestModels", to: names::MODEL, name: "Name" }]
    }

    fn is_frozen_by_deployments(&self) -> bool {
        true
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        &[names::ROUTE_RESPONSE]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        protocol::not_beside_imported(stack, TYPE, self.noun())
    }

    /// "Supported only for WebSocket APIs" (CloudFormation's reference of the type); scopes go with JWT authorizers (API Gateway's
    /// `CreateRoute`).
    fn never(&self, properties: &Value) -> &'static [Never] {
        const HTTP: &[Never] = &[Never {
            properties: &[
                "ModelSelectionExpression",
                "RequestModels",
                "RequestParameters",
                "RouteResponseSelectionExpression",
            ],
            why: "it is for WebSocket APIs, and this route belongs to an HTTP API",
            help: "remove it",
        }];
        const WEBSOCKET: &[Never] = &[Never {
            properties: &["AuthorizationScopes"],
            why: "scopes are for JWT authorizers, which only HTTP APIs have",
            help: "remove it, and check the scopes in the authorizer's function",
        }];
        protocol::never(properties, HTTP, WEBSOCKET)
    }

    fn internal(&self) -> &'static [&'static str] {
        &[protocol::PROPERTY]
    }

    fn is_http(&self, properties: &Value) -> bool {
        protocol::is_http(properties)
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["ApiId", "RouteKey"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["ApiId", "AuthorizerId", "RequestModels", "Target"]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some("RouteId") => Attribute::Ref,
            Some(_) => Attribute::Unknown(&["RouteId"]),
        }
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::API)
    }

    fn part(&self) -> Part {
        Part::Route
    }

    fn effects(&self, step: &StepView<'_>, _: &dyn PlanView) -> StepEffects {
        if !matches!(step.action, Action::Delete | Action::Replace) {
            return StepEffects::default();
        }
        let is_http = step.live.is_some_and(|live| protocol::is_http(&live.properties));
        StepEffects::interrupted(match step.live_text("RouteKey") {
            "$default" if is_http => "requests that no other route takes get 404".to_owned(),
            key if is_http => format!("requests of \"{key}\" go to another route, if one fits, or get 404"),
            key @ ("$connect" | "$disconnect") => format!("nothing runs on {key} any more"),
            "$default" => "messages that no other route takes are refused".to_owned(),
            key => format!("messages of \"{key}\" go to $default, if there is one"),
        })
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        api_part(it, permissions);
        if it.deletes {
            // It is deleted before the rest of a run, and created again when that fails.
            permissions.allow("apigateway", &["POST"], it.inside_api());
        }
    }
}
