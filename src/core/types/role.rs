//! `AWS::IAM::Role`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{ANY, Permissions, Roles, Subject, apigateway};
use super::tags::Tags;
use super::{
    Action, Attribute, Kind, Naming, Part, PlanView, ResourceView, StackView, StepEffects, StepView, names, tags,
    to_value,
};
use crate::core::iam::document::{Document, one_or_more};
use crate::core::iam::grammar::{self, Purpose};
use crate::core::iam::grants;
use crate::core::words::{Path, Problem, ProblemKind, Scope, Token, deserialize};

pub const TYPE: &str = names::ROLE;

/// An IAM role with its inline policies and attachments.
pub struct Role;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) role_name: Option<String>,
    pub(crate) assume_role_policy_document: Document,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) managed_policy_arns: BTreeSet<String>,
    #[serde(default = "an_hour")]
    pub(crate) max_session_duration: i32,
    pub(crate) permissions_boundary: Option<String>,
    /// None for `/`.
    pub(crate) path: Option<String>,
    #[serde(default)]
    pub(crate) policies: Vec<Policy>,
    #[serde(default, deserialize_with = "tags::deserialize")]
    pub(crate) tags: Tags,
}

/// An inline policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Policy {
    pub policy_name: String,
    pub policy_document: Document,
}

pub(crate) fn an_hour() -> i32 {
    3600
}

impl Kind for Role {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "role"
    }

    fn widens(&self, _: &str, old: &Value, new: &Value) -> Vec<String> {
        let (before, after) = (inline(old), inline(new));
        let mut found = grants::gained(&before.iter().collect::<Vec<_>>(), &after.iter().collect::<Vec<_>>());
        for arn in one_or_more(&new["ManagedPolicyArns"]) {
            if !one_or_more(&old["ManagedPolicyArns"]).contains(&arn) {
                found.push(format!("may do everything that {} allows", Token::readable(arn)));
            }
        }
        let trust = |role: &Value| grants::grants(&role["AssumeRolePolicyDocument"], "Allow");
        let trusted = trust(old);
        for grant in trust(new).into_iter().filter(|grant| !trusted.iter().any(|known| known.covers(grant))) {
            found.push(format!("may be assumed by {}", grant.principal));
        }
        if !old.is_null()
            && old["PermissionsBoundary"] != new["PermissionsBoundary"]
            && !old["PermissionsBoundary"].is_null()
        {
            let boundary = |role: &Value| role["PermissionsBoundary"].as_str().unwrap_or("none").to_owned();
            found.push(format!("is bounded by {} instead of {}", boundary(new), boundary(old)));
        }
        found
    }

    fn narrows(&self, old: &Value, new: &Value) -> Vec<String> {
        let (before, after) = (inline(old), inline(new));
        let mut found = grants::lost(&before.iter().collect::<Vec<_>>(), &after.iter().collect::<Vec<_>>());
        let kept = one_or_more(&new["ManagedPolicyArns"]);
        let gone = one_or_more(&old["ManagedPolicyArns"]).into_iter().filter(|arn| !kept.contains(arn));
        found.extend(gone.map(|arn| format!("may no longer do what {} allows", Token::readable(arn))));
        found
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        &[names::FUNCTION, names::PERMISSION]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let mut documents = grammar::check(properties, "AssumeRolePolicyDocument", Purpose::Trust);
        for (index, policy) in properties["Policies"].as_array().into_iter().flatten().enumerate() {
            let place = Path::default().key("Policies").index(index);
            let found = grammar::check(policy, "PolicyDocument", Purpose::Inline);
            documents.extend(found.into_iter().map(|problem| problem.below(&place)));
        }
        let mut props: Props = grammar::with(deserialize::read(properties), documents)?;
        props.policies.sort_by(|one, other| one.policy_name.cmp(&other.policy_name));
        props.path = props.path.filter(|path| path != "/");
        Ok(to_value(&props))
    }

    fn naming(&self) -> Option<Naming> {
        Some(Naming { property: "RoleName", longest: 64, within: None, path: Some("Path") })
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["RoleName", "Path"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["ManagedPolicyArns", "PermissionsBoundary"]
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        let path_and_name = name.unwrap_or_default();
        let name = path_and_name.rsplit('/').next().unwrap_or_default();
        match attribute {
            None => Attribute::Known(name.to_owned()),
            Some("Arn") => Attribute::Known(scope.arn("iam", &format!("role/{path_and_name}"))),
            Some("RoleId") => Attribute::Minted,
            Some(_) => Attribute::Unknown(&["Arn", "RoleId"]),
        }
    }

    fn taggable(&self) -> bool {
        true
    }

    fn ignores_case(&self) -> bool {
        true
    }

    fn part(&self) -> Part {
        Part::Role
    }

    fn effects(&self, step: &StepView<'_>, plan: &dyn PlanView) -> StepEffects {
        match step.action {
            Action::Replace => {
                StepEffects::interrupted("functions with this role fail until it exists again and Lambda can assume it")
            }
            Action::Update => narrowed(step, step.physical_id, plan),
            _ => StepEffects::default(),
        }
    }

    fn permissions_to_list(&self, scope: &Scope, roles: Roles, permissions: &mut Permissions) {
        match roles {
            Roles::Account => permissions.allow("iam", &["GetAccountAuthorizationDetails"], "*"),
            Roles::ByName => {
                permissions.allow("iam", &["ListRoles"], "*");
                for pattern in stack_roles(scope) {
                    permissions.allow("iam", READ_BY_NAME, pattern);
                }
            }
        }
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        // What it takes to remove one: AWS asks for its policies to be removed before.
        const REMOVE: &[&str] =
            &["ListAttachedRolePolicies", "ListRolePolicies", "DetachRolePolicy", "DeleteRolePolicy", "DeleteRole"];
        if it.roles == Roles::ByName && it.creates {
            // Whether it exists already is asked before IAM knows of a path.
            permissions.allow("iam", &["GetRole"], arn(it.scope, None, it.name()));
        }
        let arn = arn(it.scope, it.path(), it.name());
        let mut allow = |actions: &[&str]| permissions.allow("iam", actions, arn.as_str());
        allow(&["GetRole"]);
        if it.roles == Roles::ByName {
            allow(READ_BY_NAME);
        }
        if it.creates {
            allow(&["CreateRole", "TagRole", "GetRolePolicy"]);
            allow(REMOVE);
            if it.has("Policies") {
                allow(&["PutRolePolicy"]);
            }
            if it.has("ManagedPolicyArns") {
                allow(&["AttachRolePolicy"]);
            }
        }
        if it.deletes {
            allow(REMOVE);
        }
        if (it.creates || it.deletes) && [&it.desired, &it.live].into_iter().any(serves_gateway) {
            // The account's role for logs may be this one.
            permissions.allow("apigateway", &["GET", "PATCH"], apigateway(it.scope, "account"));
        }
        let mut allow = |actions: &[&str]| permissions.allow("iam", actions, arn.as_str());
        let changes: [(&[&str], &[&str]); 6] = [
            (&["AssumeRolePolicyDocument"], &["UpdateAssumeRolePolicy"]),
            (&["Description", "MaxSessionDuration"], &["UpdateRole"]),
            (&["PermissionsBoundary"], &["PutRolePermissionsBoundary", "DeleteRolePermissionsBoundary"]),
            (&["Policies"], &["PutRolePolicy", "DeleteRolePolicy"]),
            (&["ManagedPolicyArns"], &["AttachRolePolicy", "DetachRolePolicy"]),
            (&["Tags"], &["TagRole", "UntagRole"]),
        ];
        for (properties, actions) in changes {
            if it.changes(properties) {
                allow(actions);
            }
        }
    }

    fn permissions_to_import(&self, it: &Subject<'_>, _: bool, permissions: &mut Permissions) {
        permissions.allow("iam", READ_BY_NAME, arn(it.scope, it.path(), it.name()));
    }
}

/// Whether API Gateway can assume a role with these properties.
pub fn serves_gateway(properties: &Value) -> bool {
    properties["AssumeRolePolicyDocument"].to_string().contains("apigateway.amazonaws.com")
}

/// The ARN of the role with this name: with its path, where the plan has it.
pub(crate) fn arn_in(it: &Subject<'_>, name: &str) -> String {
    let path = it.plan.properties(TYPE, name).into_iter().find_map(|properties| properties["Path"].as_str());
    arn(it.scope, path, name)
}

/// What a role is read with, by its name.
const READ_BY_NAME: &[&str] = &["GetRole", "GetRolePolicy", "ListAttachedRolePolicies", "ListRolePolicies"];

/// The ARNs of all roles whose names wschat generates in a stack, without a path and with any.
pub fn stack_roles(scope: &Scope) -> [String; 2] {
    [None, Some("/*/")].map(|path| arn(scope, path, &format!("{}-{ANY}", scope.stack)))
}

/// Whether `resource` is the ARN of one role among `stack_roles`.
pub fn is_stack_role(scope: &Scope, resource: &str) -> bool {
    let name = resource.strip_prefix(&arn(scope, None, "")).and_then(|rest| rest.rsplit('/').next());
    let own = name.and_then(|name| name.strip_prefix(&scope.stack)?.strip_prefix('-'));
    own.is_some_and(|own| own != ANY)
}

/// The attribute of a live role that holds the document of one of its inline policies.
pub(crate) fn policy_attribute(policy: &str) -> String {
    format!("Policies/{policy}")
}

/// The ARN of a role below a path (`/team/`).
pub fn arn(scope: &Scope, path: Option<&str>, name: &str) -> String {
    scope.arn("iam", &format!("role{}{name}", path.unwrap_or("/")))
}

/// The documents of a role's own policies.
fn inline(role: &Value) -> Vec<Value> {
    let policies = role["Policies"].as_array().cloned().unwrap_or_default();
    policies.into_iter().map(|policy| policy["PolicyDocument"].clone()).collect()
}

/// What the code of functions that change in this plan, and run as one of these roles, may do no more although it may
/// still run for a while.
pub(super) fn narrowed<'a>(
    step: &StepView<'a>,
    roles: impl IntoIterator<Item = &'a str>,
    plan: &dyn PlanView,
) -> StepEffects {
    let roles: Vec<String> = roles.into_iter().map(|name| format!("/{name}")).collect();
    let runs_so = |other: &StepView<'_>| {
        let role = other.kind().zip(other.live).and_then(|(kind, live)| kind.runs_as(&live.properties));
        other.action == Action::Update && role.is_some_and(|role| roles.iter().any(|name| role.ends_with(name)))
    };
    let functions: Vec<&str> = plan.steps().filter(runs_so).map(|step| step.name).collect();
    if functions.is_empty() {
        return StepEffects::default();
    }
    let until = functions.join(", ");
    let lost = step.narrows().into_iter();
    StepEffects {
        interrupted: lost.map(|lost| format!("{lost}, although the old code of {until} may still need it")).collect(),
        lost: Vec::new(),
    }
}

/// That policies of a type are on roles which are not in this template: that would change what is not the stack's.
pub(super) fn of_others(policy: &str, stack: &dyn StackView) -> Vec<Problem> {
    let ours: BTreeSet<&str> = stack.of(TYPE).filter_map(|role| role.name).collect();
    let foreign = |policy: ResourceView<'_>| {
        let role = policy.texts("Roles").find(|role| !role.is_empty() && !ours.contains(role))?;
        let what = format!("the role \"{role}\" is not an {TYPE} of this template");
        Some(Problem::new(policy.path_of("Roles"), what).kind(ProblemKind::BadReference))
    };
    stack.of(policy).filter_map(foreign).collect()
}
