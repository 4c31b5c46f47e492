//! `AWS::ApiGatewayV2::Model`: what messages must be like.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{Permissions, Subject, api_part};
use super::{Attribute, Kind, Live, Names, StackView, Within, names, protocol, to_value};
use crate::core::words::{Problem, Scope, deserialize};

pub const TYPE: &str = names::MODEL;

/// The schema of a message.
pub struct Model;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) api_id: String,
    pub(crate) name: String,
    pub(crate) content_type: Option<String>,
    #[serde(default)]
    pub(crate) description: String,
    /// A JSON schema (draft 4). API Gateway keeps it as text.
    pub(crate) schema: Value,
}

/// The schema in a text; the text itself where it is not JSON.
pub(crate) fn schema(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

impl Kind for Model {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "model"
    }

    fn described(&self, live: &Live, _: &dyn Names) -> Option<String> {
        Some(format!("model {}", live.properties["Name"].as_str()?))
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
        &[names::ROUTE_RESPONSE, names::ROUTE]
    }

    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        protocol::only_of_websockets(stack, TYPE, "models")
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let mut props: Props = deserialize::read(properties)?;
        if let Some(text) = props.schema.as_str() {
            props.schema = schema(text);
        }
        Ok(to_value(&props))
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["ApiId", "Name"]
    }

    /// What API Gateway takes for it is not documented.
    fn any_if_absent(&self) -> &'static [&'static str] {
        &["ContentType"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["ApiId"]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some("ModelId") => Attribute::Ref,
            Some(_) => Attribute::Unknown(&["ModelId"]),
        }
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::API)
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        api_part(it, permissions);
    }
}
