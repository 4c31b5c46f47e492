//! `AWS::ApiGatewayV2::Authorizer`: a function that is asked whether a client may connect.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{Permissions, Subject, api_part};
use super::serving::{INIT, LONGEST, mentions};
use super::{Attribute, Kind, Live, Names, Never, Part, PlanView, Within, canonical, names};
use crate::core::words::{Problem, Scope};

pub const TYPE: &str = names::AUTHORIZER;

/// A Lambda authorizer. Within its API it is known by its name.
pub struct Authorizer;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) api_id: String,
    pub(crate) name: String,
    pub(crate) authorizer_type: AuthorizerType,
    pub(crate) authorizer_uri: String,
    pub(crate) authorizer_credentials_arn: Option<String>,
    /// `route.request.header.Auth`, `route.request.querystring.token`: a client without one of them is refused without
    /// a call.
    #[serde(default)]
    pub(crate) identity_source: Vec<String>,
}

/// WebSocket APIs take no other; `JWT` is of HTTP APIs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum AuthorizerType {
    #[serde(rename = "REQUEST")]
    Request,
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
        canonical::<Props>(properties)
    }

    /// "Supported only for HTTP APIs", or "not used" (CloudFormation's reference of the type).
    fn never(&self) -> &'static [Never] {
        &[
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
                properties: &["IdentityValidationExpression"],
                why: "API Gateway does not use it",
                help: "remove it, and check the token in the authorizer's function",
            },
            Never {
                properties: &["JwtConfiguration"],
                why: "JWT authorizers are for HTTP APIs",
                help: "remove it, and check the token in the authorizer's function",
            },
        ]
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
