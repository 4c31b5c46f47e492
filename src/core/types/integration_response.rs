//! `AWS::ApiGatewayV2::IntegrationResponse`: what is made of the answer of an integration that is not a proxy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{Permissions, Subject, api_part};
use super::{Attribute, Desired, Kind, Live, Names, Part, Reference, StackView, Within, canonical, names, protocol};
use crate::core::words::{Problem, Scope};

pub const TYPE: &str = names::INTEGRATION_RESPONSE;

/// The answer of an integration.
pub struct IntegrationResponse;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) api_id: String,
    pub(crate) integration_id: String,
    /// `$default`, or a regular expression between slashes.
    pub(crate) integration_response_key: String,
    pub(crate) content_handling_strategy: Option<String>,
    #[serde(default)]
    pub(crate) response_parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) response_templates: BTreeMap<String, String>,
    pub(crate) template_selection_expression: Option<String>,
}

impl Kind for IntegrationResponse {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "integration response"
    }

    fn described(&self, live: &Live, names: &dyn Names) -> Option<String> {
        let key = live.properties["IntegrationResponseKey"].as_str()?;
        Some(format!("response {key} of {}", names.described(names::INTEGRATION, live.parent.as_deref()?)?))
    }

    fn within(&self) -> Option<Within> {
        Some(Within { property: "ApiId", types: &[names::API] })
    }

    fn unique_by(&self) -> &'static [&'static str] {
        &["IntegrationId", "IntegrationResponseKey"]
    }

    fn references(&self) -> &'static [Reference] {
        &[Reference { property: "IntegrationId", prefix: "", to: names::INTEGRATION }]
    }

    fn is_frozen_by_deployments(&self) -> bool {
        true
    }

    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        protocol::only_of_websockets(stack, TYPE, "integration responses")
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    /// An update cannot take the strategy away (`UpdateIntegrationResponse` knows two values of it).
    fn create_only(&self) -> &'static [&'static str] {
        &["ApiId", "ContentHandlingStrategy", "IntegrationId", "IntegrationResponseKey"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["ApiId", "IntegrationId"]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some("IntegrationResponseId") => Attribute::Ref,
            Some(_) => Attribute::Unknown(&["IntegrationResponseId"]),
        }
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::INTEGRATION)
    }

    fn parent_id<'a>(&self, properties: &'a Value) -> Option<&'a str> {
        properties["IntegrationId"].as_str()
    }

    fn is(&self, desired: &Desired, live: &Live) -> bool {
        let keys = ["ApiId", "IntegrationId", "IntegrationResponseKey"];
        keys.iter().all(|key| desired.properties[*key] == live.properties[*key])
    }

    fn part(&self) -> Part {
        Part::Route
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        api_part(it, permissions);
        if it.deletes {
            // It is deleted before the rest of a run, and created again when that fails.
            permissions.allow("apigateway", &["POST"], it.inside_api());
        }
    }
}
