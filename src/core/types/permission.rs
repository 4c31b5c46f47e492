//! `AWS::Lambda::Permission`: a statement in the resource policy of a function of the template. On functions that the
//! template does not describe: `foreign_permission`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::iam_permissions::{Permissions, Subject};
use super::serving::{When, is_invoked};
use super::{
    Action, Attribute, Desired, Doubled, Kind, Live, Names, Part, PlanView, Planning, PropertyError, StackView,
    StepEffects, StepView, Within, function, names, to_value,
};
use crate::core::words::{Problem, ProblemKind, Scope, Token, deserialize, shown};

pub const TYPE: &str = names::PERMISSION;

/// How much of its logical id a statement's id keeps, in characters.
const KEPT: usize = 90;

/// A permission to invoke a function.
pub struct Permission;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    /// The function's name; `FUNCTION:ALIAS` where it is about an alias.
    pub function_name: String,
    pub action: String,
    pub principal: String,
    pub source_arn: Option<String>,
    pub source_account: Option<String>,
    /// What an Alexa skill sends along.
    pub event_source_token: Option<String>,
    /// `NONE` or `AWS_IAM`: how the function's URL tells who calls.
    pub function_url_auth_type: Option<String>,
    /// Whether it is about calls that come through the function's URL alone.
    pub invoked_via_function_url: Option<bool>,
    #[serde(rename = "PrincipalOrgID")]
    pub principal_org_id: Option<String>,
}

impl Props {
    pub(crate) fn function(&self) -> &str {
        function::name_and_qualifier(&self.function_name).0
    }

    pub(crate) fn alias(&self) -> Option<&str> {
        function::name_and_qualifier(&self.function_name).1
    }

    /// One spelling for the principal. The function keeps its own until it is known whether the template describes it.
    pub(crate) fn canonical(mut self) -> Self {
        self.principal = crate::core::iam::document::account_id(&self.principal).unwrap_or(self.principal);
        self
    }
}

/// What a permission of a function, or of an alias of it, is on.
fn called(function: &str, alias: Option<&str>) -> String {
    alias.map_or_else(|| function.to_owned(), |alias| format!("{function}:{alias}"))
}

/// The statement's id: the logical id, and what it says, because a statement cannot be changed. A changed one stands
/// beside the old until that is removed. AWS takes letters, digits, hyphens and underscores, 100 at most.
pub fn statement_id(desired: &Desired) -> Result<String, PropertyError> {
    let props: Props = desired.read()?;
    Ok(id_of(&desired.logical_id, "", &to_value(&props)))
}

/// The id of a statement that says `content`; `middle` stands between the logical id and the digest.
pub(crate) fn id_of(logical_id: &str, middle: &str, content: &Value) -> String {
    let digest = hex::encode(Sha256::digest(content.to_string()));
    let logical_id: String = logical_id.chars().take(KEPT - middle.len()).collect();
    format!("{logical_id}{middle}-{}", &digest[..8])
}

/// The logical id in a statement's id, with the `middle` that follows it; none if wschat did not give the id.
pub(crate) fn logical_id(statement_id: &str) -> Option<&str> {
    let (logical_id, digest) = statement_id.rsplit_once('-')?;
    let is_ours = digest.len() == 8 && digest.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    is_ours.then_some(logical_id)
}

impl Kind for Permission {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "permission"
    }

    fn described(&self, live: &Live, names: &dyn Names) -> Option<String> {
        let function = live.properties["FunctionName"].as_str().unwrap_or_default();
        Some(format!("permission to invoke {}", function::logical_id(names, function)))
    }

    fn widens(&self, _: &str, old: &Value, new: &Value) -> Vec<String> {
        widened(old, new)
    }

    fn within(&self) -> Option<Within> {
        Some(Within { property: "FunctionName", types: &[names::FUNCTION, names::ALIAS] })
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let props: Props = deserialize::read(properties)?;
        Ok(to_value(&props.canonical()))
    }

    fn create_only(&self) -> &'static [&'static str] {
        &[
            "FunctionName",
            "Action",
            "Principal",
            "SourceArn",
            "SourceAccount",
            "EventSourceToken",
            "FunctionUrlAuthType",
            "InvokedViaFunctionUrl",
            "PrincipalOrgID",
        ]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["FunctionName"]
    }

    fn foreign_type(&self) -> Option<&'static str> {
        Some(names::FOREIGN_PERMISSION)
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
        Some(names::FUNCTION)
    }

    fn known_id(&self, desired: &Desired) -> Option<String> {
        statement_id(desired).ok()
    }

    fn agrees_in(&self) -> &'static [&'static str] {
        self.create_only()
    }

    /// A statement with another id than wschat gives may be CloudFormation's, of a stack that was taken over: what it says counts.
    fn is(&self, desired: &Desired, live: &Live) -> bool {
        let has_its_id = self.known_id(desired).is_some_and(|id| id == live.physical_id);
        let says_the_same = live.logical_id.is_none() && desired.properties == live.properties;
        (has_its_id || says_the_same) && self.parent_id(&desired.properties) == live.parent.as_deref()
    }

    fn choose(&self, desired: &Desired, fitting: &[&Live], _: &dyn Planning) -> usize {
        let id = self.known_id(desired);
        fitting.iter().position(|live| id.as_ref() == Some(&live.physical_id)).unwrap_or(0)
    }

    /// Permissions are told apart by the beginning of their logical id and by what they say.
    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        let mut owners = BTreeMap::new();
        let mut problems = Vec::new();
        for permission in stack.of(TYPE) {
            let kept: String = permission.logical_id.chars().take(KEPT).collect();
            if let Some(owner) = owners.insert((kept, permission.properties.to_string()), permission.logical_id) {
                let problem = Problem::of_key(permission.path(), format!("{owner} permits the same already"));
                problems.push(problem.kind(ProblemKind::Duplicate).help("remove one of the two"));
            }
        }
        problems
    }

    fn parent_id<'a>(&self, properties: &'a Value) -> Option<&'a str> {
        Some(function::name_and_qualifier(properties["FunctionName"].as_str()?).0)
    }

    fn part(&self) -> Part {
        Part::Permission
    }

    fn permits_gateway(&self, properties: &Value) -> bool {
        is_for_gateway(properties)
    }

    fn needs_ready(&self, _: &dyn Kind) -> bool {
        // It can be added to a function that is still Pending.
        false
    }

    fn used_with<'a>(&self, live: &'a Live) -> Vec<&'a str> {
        live.parent.as_deref().filter(|_| is_for_gateway(&live.properties)).into_iter().collect()
    }

    fn is_left_behind(&self) -> bool {
        true
    }

    fn effects(&self, step: &StepView<'_>, plan: &dyn PlanView) -> StepEffects {
        match step.action {
            Action::Replace | Action::Update => interrupted(step),
            Action::Delete => gone(step, plan),
            _ => StepEffects::default(),
        }
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        // It is a statement in its function's policy.
        for function in it.texts("FunctionName") {
            let arn = function::arn(it.scope, &function);
            if it.creates || it.updates {
                permissions.allow("lambda", &["GetPolicy", "AddPermission", "RemovePermission"], arn);
            } else if it.deletes {
                permissions.allow("lambda", &["RemovePermission"], arn);
            }
        }
    }

    fn permissions_to_import(&self, it: &Subject<'_>, again: bool, permissions: &mut Permissions) {
        let actions: &[&str] = if again { &["AddPermission", "GetPolicy", "RemovePermission"] } else { &["GetPolicy"] };
        for function in it.texts("FunctionName") {
            permissions.allow("lambda", actions, function::arn(it.scope, &function));
        }
    }
}

pub(crate) fn live(function: &str, alias: Option<&str>, statement: &Value) -> Live {
    let text = |value: &Value| match value {
        Value::Bool(truth) => Some(truth.to_string()),
        value => value.as_str().map(str::to_owned),
    };
    let id = text(&statement["Sid"]).unwrap_or_default();
    let principal = match &statement["Principal"] {
        Value::Object(kinds) => kinds.values().next().and_then(text),
        other => text(other),
    };
    let conditions = statement["Condition"].as_object();
    let condition = |key: &str| {
        conditions?.values().find_map(|operands| {
            operands
                .as_object()?
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key))
                .and_then(|(_, value)| text(value))
        })
    };
    let props = Props {
        function_name: called(function, alias),
        action: text(&statement["Action"]).unwrap_or_default(),
        principal: principal.map(|who| crate::core::iam::document::account_id(&who).unwrap_or(who)).unwrap_or_default(),
        source_arn: condition("AWS:SourceArn"),
        source_account: condition("AWS:SourceAccount"),
        event_source_token: condition("lambda:EventSourceToken"),
        function_url_auth_type: condition("lambda:FunctionUrlAuthType"),
        // The language has its truth as a text.
        invoked_via_function_url: condition("lambda:InvokedViaFunctionUrl").map(|via| via == "true"),
        principal_org_id: condition("aws:PrincipalOrgID"),
    };
    Live { logical_id: logical_id(&id).map(str::to_owned), ..Live::new(TYPE, &id, to_value(&props)).below(function) }
}

/// What a permission allows that it did not, one of the stack's or one on a function of others.
pub(super) fn widened(old: &Value, new: &Value) -> Vec<String> {
    if old == new {
        return Vec::new();
    }
    let from = match new["SourceArn"].as_str() {
        Some(arn) => format!(" for {}", Token::readable(arn)),
        None if new["InvokedViaFunctionUrl"] == true => ", through its URL".to_owned(),
        None => ", on behalf of any account".to_owned(),
    };
    let [principal, action, function] = ["Principal", "Action", "FunctionName"].map(|name| shown(new.get(name)));
    vec![format!("{principal} may {action} on {function}{from}")]
}

/// Whether API Gateway is whom a permission is for.
pub(super) fn is_for_gateway(permission: &Value) -> bool {
    let principal = permission["Principal"].as_str().unwrap_or_default();
    principal == "*" || principal.starts_with("apigateway.")
}

/// What it interrupts to change a statement.
pub(super) fn interrupted(step: &StepView<'_>) -> StepEffects {
    let function = step.live_text("FunctionName");
    StepEffects::interrupted(format!(
        "what it allows on {function} is refused for a moment: AWS cannot change a statement in place"
    ))
}

/// What the end of a permission interrupts.
pub(super) fn gone(step: &StepView<'_>, plan: &dyn PlanView) -> StepEffects {
    let is_described = step.live.is_some_and(|live| live.logical_id.is_some());
    if !is_described || plan.has_successor(step) || !is_missed(step, plan) {
        return StepEffects::default();
    }
    let [principal, function] = ["Principal", "FunctionName"].map(|property| step.live_text(property));
    StepEffects::interrupted(format!("{principal} may not invoke {function} any more"))
}

/// Whether somebody may still want what a permission gave that goes: anybody else, or an API that goes on invoking the
/// function and has no other permission to.
fn is_missed(step: &StepView<'_>, plan: &dyn PlanView) -> bool {
    let Some(live) = step.live else { return false };
    let others = plan.steps().filter(|other| other.type_name == step.type_name).filter_map(|other| other.desired);
    let mut on_it = others.filter(|other| other["FunctionName"] == live.properties["FunctionName"]);
    !is_for_gateway(&live.properties)
        || (is_invoked(plan, step.live_text("FunctionName"), When::After) && !on_it.any(is_for_gateway))
}
