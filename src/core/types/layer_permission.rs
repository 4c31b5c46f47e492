//! `AWS::Lambda::LayerVersionPermission`: a statement in the policy of a layer version of the template.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{ANY, Permissions, Subject};
use super::{
    Attribute, Desired, Doubled, Kind, Live, Names, PlanView, PropertyError, StepEffects, StepView, Within,
    layer_version, names, permission, to_value,
};
use crate::core::iam::document::account_id;
use crate::core::words::{Problem, Scope, deserialize, shown};

pub const TYPE: &str = names::LAYER_PERMISSION;

/// A permission to use a layer version.
pub struct LayerPermission;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) layer_version_arn: String,
    pub(crate) action: String,
    pub(crate) principal: String,
    pub(crate) organization_id: Option<String>,
}

/// The statement's id: the logical id, and what it says, as that of a permission on a function.
pub fn statement_id(desired: &Desired) -> Result<String, PropertyError> {
    let props: Props = desired.read()?;
    // The layer version is where it stands, not what it says.
    let says = Props { layer_version_arn: String::new(), ..props };
    Ok(permission::id_of(&desired.logical_id, "", &to_value(&says)))
}

impl Kind for LayerPermission {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "layer permission"
    }

    fn described(&self, live: &Live, _: &dyn Names) -> Option<String> {
        let (name, number) = layer_version::name_and_number(live.parent.as_deref()?)?;
        Some(format!("permission to use version {number} of the layer {name}"))
    }

    fn widens(&self, _: &str, old: &Value, new: &Value) -> Vec<String> {
        if old == new {
            return Vec::new();
        }
        let [principal, action, layer] =
            ["Principal", "Action", "LayerVersionArn"].map(|property| shown(new.get(property)));
        vec![format!("{principal} may {action} on {layer}")]
    }

    fn within(&self) -> Option<Within> {
        Some(Within { property: "LayerVersionArn", types: &[names::LAYER_VERSION] })
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let mut props: Props = deserialize::read(properties)?;
        // One spelling of an account.
        props.principal = account_id(&props.principal).unwrap_or(props.principal);
        Ok(to_value(&props))
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["Action", "LayerVersionArn", "OrganizationId", "Principal"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["LayerVersionArn"]
    }

    fn doubled(&self) -> Option<Doubled> {
        Some(Doubled::Beside)
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some("Id") => Attribute::NotYet,
            Some(_) => Attribute::Unknown(&[]),
        }
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::LAYER_VERSION)
    }

    fn known_id(&self, desired: &Desired) -> Option<String> {
        statement_id(desired).ok()
    }

    fn is(&self, desired: &Desired, live: &Live) -> bool {
        self.known_id(desired).is_some_and(|id| id == live.physical_id)
            && self.parent_id(&desired.properties) == live.parent.as_deref()
    }

    fn is_left_behind(&self) -> bool {
        true
    }

    fn effects(&self, _: &StepView<'_>, _: &dyn PlanView) -> StepEffects {
        // Functions that have the layer keep it.
        StepEffects::default()
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        for arn in it.texts("LayerVersionArn") {
            // Until the version has a number, all of this account's.
            let arn = match layer_version::name_and_number(&arn) {
                Some(_) => arn,
                None => it.scope.arn("lambda", &format!("layer:{ANY}:{ANY}")),
            };
            if it.creates || it.updates {
                let actions = ["AddLayerVersionPermission", "GetLayerVersionPolicy", "RemoveLayerVersionPermission"];
                permissions.allow("lambda", &actions, arn);
            } else if it.deletes {
                permissions.allow("lambda", &["RemoveLayerVersionPermission"], arn);
            }
        }
    }
}

/// A statement in the policy of a layer version.
pub(crate) fn live(layer: &str, statement: &Value) -> Live {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let id = text(&statement["Sid"]).unwrap_or_default();
    let principal = match &statement["Principal"] {
        Value::Object(kinds) => kinds.values().next().and_then(text),
        other => text(other),
    };
    let operands = statement["Condition"].as_object().into_iter().flat_map(|condition| condition.values());
    let organization = operands.filter_map(|operands| text(&operands["aws:PrincipalOrgID"])).next();
    let props = Props {
        layer_version_arn: layer.to_owned(),
        action: text(&statement["Action"]).unwrap_or_default(),
        principal: principal.map(|who| account_id(&who).unwrap_or(who)).unwrap_or_default(),
        organization_id: organization,
    };
    let logical_id = permission::logical_id(&id).map(str::to_owned);
    Live { logical_id, ..Live::new(TYPE, &id, to_value(&props)).below(layer) }
}
