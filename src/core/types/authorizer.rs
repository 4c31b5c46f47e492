//! `AWS::ApiGatewayV2::Authorizer`: a function that is asked whether a client may connect or call; of HTTP APIs also the issuer
//! of the tokens that a caller must have.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{Permissions, Subject, api_part};
use super::protocol::Protocol;
use super::serving::{INIT, LONGEST, mentions};
use super::{Attribute, Kind, Live, Names, Never, Part, PlanView, StackView, Within, canonical, names, protocol};
use crate::core::words::{Problem, Scope};

pub const TYPE: &str = names::AUTHORIZER;

/// An authorizer. Within its API it is known by its name.
pub struct Authorizer;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) api_id: String,
    pub(crate) name: String,
    pub(crate) authorizer_type: AuthorizerType,
    /// None of a JWT authorizer.
    pub(crate) authorizer_uri: Option<String>,
    pub(crate) authorizer_credentials_arn: Option<String>,
    // The next four are of HTTP APIs.
    pub(crate) authorizer_payload_format_version: Option<String>,
    pub(crate) authorizer_result_ttl_in_seconds: Option<i32>,
    pub(crate) enable_simple_responses: Option<bool>,
    pub(crate) jwt_configuration: Option<JwtConfiguration>,
    /// `route.request.header.Auth`, `route.request.querystring.token`: a client without one of them is refused without
    /// a call.
    #[serde(default)]
    pub(crate) identity_source: Vec<String>,
    pub(crate) protocol: Option<Protocol>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct JwtConfiguration {
    pub(crate) audience: Option<Vec<String>>,
    pub(crate) issuer: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum AuthorizerType {
    #[serde(rename = "REQUEST")]
    Request,
    /// Of HTTP APIs.
    #[serde(rename = "JWT")]
    Jwt,
}

impl Kind for Authorizer {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "authorizer"
    }

    fn described(&self, live: &Live, _: &dyn Names) -> Option<String> {
        let name = live.properties["Name"].as_str().filter(|name| !name.is_empty())?;
        Some(format!("authorizer {name}"))
    }

    fn within(&self) -> Option<Within> {
        Some(Within { property: "ApiId", types: &[names::API] })
    }

    fn unique_by(&self) -> &'static [&'static str] {
        &["ApiId", "Name"]
    }

    fn is_frozen_by_deployments(&self) -> bool {
        true
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        &[names::ROUTE]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        // API Gateway remembers what a function said for five minutes (CreateAuthorizer of an HTTP API).
        let is_request = properties["AuthorizerType"] == "REQUEST";
        let simple: &[(&str, Value)] = &[("EnableSimpleResponses", false.into())];
        canonical::<Props>(&protocol::with_http_defaults(properties, if is_request { simple } else { &[] }))
    }

    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        protocol::not_beside_imported(stack, TYPE, self.noun())
    }

    fn any_if_absent(&self) -> &'static [&'static str] {
        // Its default depends on the identity sources.
        &["AuthorizerResultTtlInSeconds"]
    }

    fn internal(&self) -> &'static [&'static str] {
        &[protocol::PROPERTY]
    }

    fn is_http(&self, properties: &Value) -> bool {
        protocol::is_http(properties)
    }

    /// "Supported only for HTTP APIs", or "not used" (CloudFormation's reference of the type).
    fn never(&self, properties: &Value) -> &'static [Never] {
        const UNUSED: Never = Never {
            properties: &["IdentityValidationExpression"],
            why: "API Gateway does not use it",
            help: "remove it, and check the token in the authorizer's function",
        };
        const HTTP: &[Never] = &[UNUSED];
        const WEBSOCKET: &[Never] = &[
            UNUSED,
            Never {
                properties: &["AuthorizerPayloadFormatVersion"],
                why: "only authorizers of HTTP APIs have a choice of payload formats",
                help: "remove it",
            },
            Never {
                properties: &["AuthorizerResultTtlInSeconds"],
                why: "API Gateway caches the answers of authorizers for HTTP APIs only; the authorizer of a WebSocket API is called at each $connect",
                help: "remove it",
            },
            Never {
                properties: &["EnableSimpleResponses"],
                why: "simple responses are for HTTP APIs",
                help: "remove it, and return a policy from the authorizer's function",
            },
            Never {
                properties: &["JwtConfiguration"],
                why: "JWT authorizers are for HTTP APIs",
                help: "remove it, and check the token in the authorizer's function",
            },
        ];
        protocol::never(properties, HTTP, WEBSOCKET)
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
            Some("AuthorizerId") => Attribute::Ref,
            Some(_) => Attribute::Unknown(&["AuthorizerId"]),
        }
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::API)
    }

    fn part(&self) -> Part {
        Part::Caller
    }

    fn calls<'a>(&self, properties: &'a Value) -> Option<&'a str> {
        properties["AuthorizerUri"].as_str()
    }

    fn message_timeout(&self, live: &Live, plan: &dyn PlanView) -> Option<u64> {
        let uri = live.properties["AuthorizerUri"].as_str().unwrap_or_default();
        let functions = plan.live().filter(|live| live.type_name == names::FUNCTION);
        let judge = functions.filter(|function| mentions(uri, &function.physical_id));
        let timeout = judge.filter_map(|judge| judge.properties["Timeout"].as_u64()).max();
        if uri.is_empty() {
            // A token is checked without a call.
            return Some(0);
        }
        Some(timeout.map_or(LONGEST, |seconds| (seconds * 1000 + INIT).min(LONGEST)))
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        api_part(it, permissions);
        if it.creates || it.changes(&["AuthorizerCredentialsArn"]) {
            for role in it.texts("AuthorizerCredentialsArn") {
                permissions.pass(&role, "apigateway.amazonaws.com");
            }
        }
    }
}
