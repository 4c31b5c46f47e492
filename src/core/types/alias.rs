//! `AWS::Lambda::Alias`: a name for a version of a function.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{ANY, Permissions, Subject};
use super::{
    Action, Attribute, Kind, Live, Names, Naming, Part, PlanView, StackView, StepEffects, StepView, Within, function,
    names, ownership_marker, to_value,
};
use crate::core::words::{Problem, Scope, deserialize};

pub const TYPE: &str = names::ALIAS;

/// The property that a call of its own sets, and reads.
pub(crate) const PROVISIONED: &str = function::PROVISIONED;

/// An alias. Its physical id is `FUNCTION:NAME`.
pub struct Alias;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) name: String,
    #[serde(deserialize_with = "function::name")]
    pub(crate) function_name: String,
    pub(crate) function_version: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) routing_config: Option<Routing>,
    pub(crate) provisioned_concurrency_config: Option<Provisioned>,
    /// Put in by the plan.
    pub(crate) ownership_marker: Option<String>,
}

/// How many execution environments wait for invocations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Provisioned {
    pub(crate) provisioned_concurrent_executions: i32,
}

/// What share of the invocations goes to another version than the alias's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Routing {
    #[serde(default)]
    pub(crate) additional_version_weights: Vec<Weight>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Weight {
    pub(crate) function_version: String,
    pub(crate) function_weight: f64,
}

impl Kind for Alias {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "alias"
    }

    fn described(&self, live: &Live, names: &dyn Names) -> Option<String> {
        let (function, name) = live.physical_id.split_once(':')?;
        Some(format!("alias {name} of {}", function::logical_id(names, function)))
    }

    fn within(&self) -> Option<Within> {
        Some(Within { property: "FunctionName", types: &[names::FUNCTION] })
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        // A call that is still under way may need it.
        &[names::API, names::ROUTE, names::INTEGRATION, names::PERMISSION]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let mut props: Props = deserialize::read(properties)?;
        // No weights and none at all mean the same.
        props.routing_config = props.routing_config.filter(|routing| !routing.additional_version_weights.is_empty());
        Ok(to_value(&props))
    }

    fn without_effect_locally(&self, properties: &Value) -> Vec<&'static str> {
        properties.get(PROVISIONED).map(|_| PROVISIONED).into_iter().collect()
    }

    fn naming(&self) -> Option<Naming> {
        Some(Naming { property: "Name", longest: 128, within: Some("FunctionName"), path: None })
    }

    fn internal(&self) -> &'static [&'static str] {
        &[ownership_marker::PROPERTY]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["FunctionName", "Name"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["FunctionName"]
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None | Some("AliasArn") => Attribute::Known(function::arn(scope, name.unwrap_or_default())),
            Some(_) => Attribute::Unknown(&["AliasArn"]),
        }
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::FUNCTION)
    }

    fn is_left_alone(&self, live: &Live, _: &dyn StackView) -> bool {
        // One made by hand is somebody's own: nothing else of the stack is served by it.
        live.logical_id.is_none()
    }

    fn part(&self) -> Part {
        Part::Invoked
    }

    fn needs_ready(&self, _: &dyn Kind) -> bool {
        // Only a version that is published can be named.
        true
    }

    fn used_with<'a>(&self, live: &'a Live) -> Vec<&'a str> {
        live.parent.as_deref().into_iter().collect()
    }

    fn effects(&self, step: &StepView<'_>, plan: &dyn PlanView) -> StepEffects {
        match step.action {
            Action::Delete | Action::Replace => function::gone(step, plan),
            _ => StepEffects::default(),
        }
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        // AWS asks about all that is done with an alias under its function's ARN.
        for function in it.texts("FunctionName") {
            let function = function::arn(it.scope, &function);
            let mut allow = |actions: &[&str]| permissions.allow("lambda", actions, function.as_str());
            if it.creates {
                allow(&["CreateAlias", "DeleteAlias"]);
            }
            if it.deletes {
                allow(&["DeleteAlias"]);
            }
            // New code comes with a new version of it.
            if it.updates || it.keeps {
                allow(&["UpdateAlias"]);
            }
            let provisioned = [&it.desired, &it.live].iter().any(|side| side.get(PROVISIONED).is_some());
            if provisioned {
                allow(&["ListProvisionedConcurrencyConfigs"]);
            }
            if provisioned && (it.creates || it.updates) {
                // Asked about under the alias's own ARN.
                let alias = format!("{function}:{ANY}");
                let actions = ["PutProvisionedConcurrencyConfig", "DeleteProvisionedConcurrencyConfig"];
                permissions.allow("lambda", &actions, alias);
            }
        }
    }

    fn permissions_to_import(&self, it: &Subject<'_>, _: bool, permissions: &mut Permissions) {
        for function in it.texts("FunctionName") {
            let function = function::arn(it.scope, &function);
            permissions.allow("lambda", &["GetProvisionedConcurrencyConfig"], format!("{function}:{ANY}"));
            permissions.allow("lambda", &["GetAlias"], function);
        }
    }
}
