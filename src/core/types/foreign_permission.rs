//! `AWS::Lambda::Permission` on a function that the template does not describe: another stack's, or one made by hand.
//!
//! The function is not changed, but for this one statement in its policy, and it carries no tag of ours. So the API of
//! the template records the statement in a tag of its own, from before it is added until after it is removed: reading
//! the stack finds it again without a template, wherever a run was stopped.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{Permissions, Subject, tagging};
use super::serving::LONGEST;
use super::{
    Action, Attribute, Desired, Doubled, Kind, Live, Names, Part, PlanView, Planning, PropertyError, ResourceView,
    StepEffects, StepView, canonical, function, names, permission, tags, to_value,
};
use crate::core::words::{DeletionPolicy, Problem, Scope};

/// The type's name. No template has it: there it is an `AWS::Lambda::Permission` like the others.
pub const TYPE: &str = names::FOREIGN_PERMISSION;

/// The property that the plan puts in: the deletion policy, which the record keeps.
pub const POLICY: &str = "DeletionPolicy";

/// What stands between the logical id and the digest in a statement's id: the stack that has the function leaves such
/// statements alone.
const MIDDLE: &str = "-foreign";

/// A permission to invoke a function that is not the stack's.
pub struct ForeignPermission;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    /// The API that records it.
    pub(crate) api_id: String,
    /// The function as the template names it: `NAME`, `NAME:ALIAS` or an ARN.
    pub(crate) function_name: String,
    /// None, and no principal, where the statement is recorded and not there.
    pub(crate) action: Option<String>,
    pub(crate) principal: Option<String>,
    pub(crate) source_arn: Option<String>,
    pub(crate) source_account: Option<String>,
    pub(crate) event_source_token: Option<String>,
    pub(crate) function_url_auth_type: Option<String>,
    pub(crate) invoked_via_function_url: Option<bool>,
    #[serde(rename = "PrincipalOrgID")]
    pub(crate) principal_org_id: Option<String>,
    #[serde(default)]
    pub(crate) deletion_policy: String,
}

impl Props {
    /// What the statement says.
    pub(crate) fn statement(&self) -> permission::Props {
        permission::Props {
            function_name: self.function_name.clone(),
            action: self.action.clone().unwrap_or_default(),
            principal: self.principal.clone().unwrap_or_default(),
            source_arn: self.source_arn.clone(),
            source_account: self.source_account.clone(),
            event_source_token: self.event_source_token.clone(),
            function_url_auth_type: self.function_url_auth_type.clone(),
            invoked_via_function_url: self.invoked_via_function_url,
            principal_org_id: self.principal_org_id.clone(),
        }
    }

    /// The id of the statement. The API's id is part of what it is made of: two stacks may say the same of one
    /// function.
    pub(crate) fn id(&self, logical_id: &str) -> String {
        permission::id_of(logical_id, MIDDLE, &to_value(&(&self.api_id, self.statement())))
    }

    pub(crate) fn record(&self) -> String {
        format!("{} {}", self.function_name, self.deletion_policy)
    }
}

/// Whether a statement with this id was added by a stack that does not have the function.
pub fn is_foreign(statement_id: &str) -> bool {
    permission::logical_id(statement_id).is_some_and(|id| id.ends_with(MIDDLE))
}

/// The id of the statement that is wanted.
///
/// # Errors
/// When a value that was not known before turned out to be of another shape.
pub fn statement_id(desired: &Desired) -> Result<String, PropertyError> {
    Ok(desired.read::<Props>()?.id(&desired.logical_id))
}

pub(crate) fn key(id: &str) -> String {
    format!("{}{id}", tags::PERMISSION)
}

impl Kind for ForeignPermission {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn shown_type(&self) -> &'static str {
        permission::TYPE
    }

    fn noun(&self) -> &'static str {
        "permission"
    }

    fn described(&self, live: &Live, names: &dyn Names) -> Option<String> {
        let function = live.properties["FunctionName"].as_str().unwrap_or_default();
        Some(format!("permission to invoke {}", function::logical_id(names, function)))
    }

    fn widens(&self, _: &str, old: &Value, new: &Value) -> Vec<String> {
        permission::widened(old, new)
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        canonical::<Props>(properties)
    }

    fn record_of(&self, desired: &Desired) -> Option<(String, Vec<String>)> {
        // The statement's id depends on what need not be known yet.
        Some((
            desired.properties["ApiId"].as_str()?.to_owned(),
            vec![format!("{}{}", tags::PERMISSION, desired.logical_id)],
        ))
    }

    fn create_only(&self) -> &'static [&'static str] {
        // All it says is in its id: a changed one is another, and one of the same id was changed or removed by hand.
        &[]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["ApiId"]
    }

    fn doubled(&self) -> Option<Doubled> {
        Some(Doubled::Beside)
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        permission::Permission.attribute(scope, name, attribute)
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::API)
    }

    fn deleted_with(&self) -> Option<&'static str> {
        None
    }

    fn known_id(&self, desired: &Desired) -> Option<String> {
        statement_id(desired).ok()
    }

    fn complete(&self, it: &ResourceView<'_>, properties: &mut Value, _: &dyn Planning) {
        properties[POLICY] = it.deletion_policy.as_str().into();
    }

    fn foreign_target<'a>(&self, properties: &'a Value) -> Option<(&'static str, &'a str)> {
        Some((names::FUNCTION, function::name_and_qualifier(properties["FunctionName"].as_str()?).0))
    }

    fn parent_id<'a>(&self, properties: &'a Value) -> Option<&'a str> {
        properties["ApiId"].as_str()
    }

    fn part(&self) -> Part {
        Part::Permission
    }

    fn permits_gateway(&self, properties: &Value) -> bool {
        permission::is_for_gateway(properties)
    }

    fn message_timeout(&self, live: &Live, _: &dyn PlanView) -> Option<u64> {
        // API Gateway asks for it while it serves.
        permission::is_for_gateway(&live.properties).then_some(LONGEST)
    }

    fn is_left_behind(&self) -> bool {
        true
    }

    fn effects(&self, step: &StepView<'_>, plan: &dyn PlanView) -> StepEffects {
        match step.action {
            Action::Replace => permission::interrupted(step),
            Action::Delete => permission::gone(step, plan),
            // The policy of the record alone interrupts nobody, nor does a statement that is not there.
            Action::Update
                if step.changes.iter().any(|change| change.property != POLICY)
                    && step.live.is_some_and(|live| live.properties["Action"].is_string()) =>
            {
                permission::interrupted(step)
            }
            _ => StepEffects::default(),
        }
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        let Scope { partition, region, account, .. } = it.scope;
        for function in it.texts("FunctionName") {
            let arn = match function.split_once(":function:") {
                Some((start, _)) if start.starts_with("arn:") => function,
                Some((account, name)) => format!("arn:{partition}:lambda:{region}:{account}:function:{name}"),
                None => format!("arn:{partition}:lambda:{region}:{account}:function:{function}"),
            };
            permissions.allow("lambda", &["GetPolicy"], arn.as_str());
            if it.acts() {
                permissions.allow("lambda", &["AddPermission", "RemovePermission"], arn);
            }
        }
        if it.acts() {
            // The stack's API records in its tags which statements are in policies of other stacks' functions.
            tagging(permissions, it.scope, &it.api_path());
        }
    }
}

/// A recorded statement. One that is not in the function's policy differs from whatever is wanted.
pub(crate) fn live(api: &str, function: &str, id: &str, policy: &str, statement: Option<Value>) -> Live {
    let statement = statement.unwrap_or_default();
    let text = |property: &str| statement[property].as_str().map(str::to_owned);
    let policy = DeletionPolicy::read(policy).unwrap_or_default();
    let props = Props {
        api_id: api.to_owned(),
        function_name: function.to_owned(),
        action: text("Action"),
        principal: text("Principal"),
        source_arn: text("SourceArn"),
        source_account: text("SourceAccount"),
        event_source_token: text("EventSourceToken"),
        function_url_auth_type: text("FunctionUrlAuthType"),
        invoked_via_function_url: statement["InvokedViaFunctionUrl"].as_bool(),
        principal_org_id: text("PrincipalOrgID"),
        deletion_policy: policy.as_str().to_owned(),
    };
    Live {
        logical_id: permission::logical_id(id).and_then(|id| id.strip_suffix(MIDDLE)).map(str::to_owned),
        deletion_policy: policy,
        ..Live::new(TYPE, id, to_value(&props)).below(api)
    }
}
