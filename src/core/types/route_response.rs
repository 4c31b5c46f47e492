//! `AWS::ApiGatewayV2::RouteResponse`: what makes a route answer its caller.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{Permissions, Subject, api_part};
use super::route::ParameterConstraints;
use super::serving::follows;
use super::{
    Action, Attribute, Desired, Kind, Live, NamedPart, Names, Part, PlanView, Reference, StackView, StepEffects,
    StepView, Within, canonical, names, protocol,
};
use crate::core::words::{Problem, Scope};

pub const TYPE: &str = names::ROUTE_RESPONSE;

/// The answer of a route.
pub struct RouteResponse;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) api_id: String,
    pub(crate) route_id: String,
    pub(crate) route_response_key: String,
    pub(crate) model_selection_expression: Option<String>,
    /// The names of models by what the model selection expression selects.
    #[serde(default)]
    pub(crate) response_models: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) response_parameters: BTreeMap<String, ParameterConstraints>,
}

impl Kind for RouteResponse {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "route response"
    }

    fn described(&self, live: &Live, names: &dyn Names) -> Option<String> {
        Some(format!("response of {}", names.described(names::ROUTE, live.parent.as_deref()?)?))
    }

    fn within(&self) -> Option<Within> {
        Some(Within { property: "ApiId", types: &[names::API] })
    }

    fn unique_by(&self) -> &'static [&'static str] {
        &["RouteId", "RouteResponseKey"]
    }

    fn references(&self) -> &'static [Reference] {
        &[Reference { property: "RouteId", prefix: "", to: names::ROUTE }]
    }

    fn is_frozen_by_deployments(&self) -> bool {
        true
    }

    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        protocol::only_of_websockets(stack, TYPE, "route responses")
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    /// An update cannot take a parameter away, and there is no call that does, as there is for a route's.
    fn create_only(&self) -> &'static [&'static str] {
        &["ApiId", "ResponseParameters", "RouteId", "RouteResponseKey"]
    }

    fn needs_by_name(&self) -> &'static [NamedPart] {
        &[NamedPart { property: "ResponseModels", to: names::MODEL, name: "Name" }]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["ApiId", "ResponseModels", "RouteId"]
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some("RouteResponseId") => Attribute::Ref,
            Some(_) => Attribute::Unknown(&["RouteResponseId"]),
        }
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::ROUTE)
    }

    fn is(&self, desired: &Desired, live: &Live) -> bool {
        ["ApiId", "RouteId", "RouteResponseKey"].iter().all(|key| desired.properties[*key] == live.properties[*key])
    }

    fn parent_id<'a>(&self, properties: &'a Value) -> Option<&'a str> {
        properties["RouteId"].as_str()
    }

    fn part(&self) -> Part {
        Part::Route
    }

    fn effects(&self, step: &StepView<'_>, plan: &dyn PlanView) -> StepEffects {
        let entries = plan.steps().filter(|step| step.part() == Part::Entry).filter_map(|step| step.live);
        let mut following = entries.filter(|entry| entry.parent.as_deref() == Some(step.api()) && follows(entry));
        // It is served as soon as its route is there, and it belongs to a route that is.
        if step.action == Action::Create && following.next().is_some() {
            return StepEffects::interrupted(
                "responses of its route are dropped until it exists: AutoDeploy serves every change at once",
            );
        }
        StepEffects::default()
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        api_part(it, permissions);
        if it.deletes {
            // It is deleted before the rest of a run, and created again when that fails.
            permissions.allow("apigateway", &["POST"], it.inside_api());
        }
    }
}
