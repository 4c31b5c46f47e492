//! `AWS::IAM::Policy`: an inline policy on one or more roles.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{Permissions, Subject};
use super::{
    Action, Attribute, Desired, Doubled, Kind, Live, Part, PlanView, StackView, StepEffects, StepView, canonical,
    names, role, texts, to_value,
};
use crate::core::iam::document::Document;
use crate::core::iam::grammar::{self, Purpose};
use crate::core::iam::grants;
use crate::core::words::{Problem, ProblemKind, Scope};

pub const TYPE: &str = "AWS::IAM::Policy";

/// An inline policy that the template describes apart from its roles.
pub struct InlinePolicy;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) policy_name: String,
    pub(crate) policy_document: Document,
    pub(crate) roles: BTreeSet<String>,
}

impl Kind for InlinePolicy {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "inline policy"
    }

    fn widens(&self, _: &str, old: &Value, new: &Value) -> Vec<String> {
        grants::widened_on_roles(old, new)
    }

    fn narrows(&self, old: &Value, new: &Value) -> Vec<String> {
        grants::narrowed_on_roles(old, new)
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let documents = grammar::check(properties, "PolicyDocument", Purpose::Inline);
        grammar::with(canonical::<Props>(properties), documents)
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &["Groups", "Users"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["PolicyName"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["Roles"]
    }

    fn doubled(&self) -> Option<Doubled> {
        Some(Doubled::WrittenOver)
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None => Attribute::Minted,
            Some("Id") => Attribute::NotYet,
            Some(_) => Attribute::Unknown(&[]),
        }
    }

    fn parent(&self) -> Option<&'static str> {
        Some(names::ROLE)
    }

    fn agrees_in(&self) -> &'static [&'static str] {
        &["PolicyName"]
    }

    fn is(&self, desired: &Desired, live: &Live) -> bool {
        desired.properties["PolicyName"] == live.properties["PolicyName"]
            && desired.logical_id == live.logical_id.as_deref().unwrap_or(&desired.logical_id)
    }

    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        let mut problems = role::of_others(TYPE, stack);
        problems.extend(same_name(stack));
        problems
    }

    fn part(&self) -> Part {
        Part::Policy
    }

    fn used_with<'a>(&self, live: &'a Live) -> Vec<&'a str> {
        texts(&live.properties["Roles"]).collect()
    }

    fn effects(&self, step: &StepView<'_>, plan: &dyn PlanView) -> StepEffects {
        match step.action {
            Action::Update => role::narrowed(step, step.live_texts("Roles"), plan),
            _ => StepEffects::default(),
        }
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        for role in it.texts("Roles") {
            let arn = role::arn_in(it, &role);
            if it.creates || it.updates {
                permissions.allow("iam", &["PutRolePolicy", "DeleteRolePolicy"], arn);
            } else if it.deletes {
                permissions.allow("iam", &["DeleteRolePolicy"], arn);
            }
        }
    }

    fn permissions_to_import(&self, it: &Subject<'_>, again: bool, permissions: &mut Permissions) {
        for role in it.texts("Roles").into_iter().filter(|_| again) {
            permissions.allow("iam", &["GetRolePolicy", "PutRolePolicy"], role::arn_in(it, &role));
        }
    }
}

pub(crate) fn live(props: &Props) -> Live {
    let live = Live::new(TYPE, &props.policy_name, to_value(props));
    Live { parent: props.roles.first().cloned(), ..live }
}

/// A role has one inline policy of a name, in whatever case, wherever the template gives it.
fn same_name(stack: &dyn StackView) -> Vec<Problem> {
    let mut owners: BTreeMap<(String, String), &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for role in stack.of(names::ROLE) {
        let policies = role.properties.get("Policies").and_then(Value::as_array).into_iter().flatten();
        for policy in policies.filter_map(|policy| policy["PolicyName"].as_str()) {
            let Some(name) = role.name else { continue };
            owners.insert((name.to_lowercase(), policy.to_lowercase()), role.logical_id);
        }
    }
    for policy in stack.of(TYPE).filter(|policy| !policy.text("PolicyName").is_empty()) {
        let name = policy.text("PolicyName");
        for role in policy.texts("Roles").filter(|role| !role.is_empty()) {
            let known = (role.to_lowercase(), name.to_lowercase());
            if let Some(owner) = owners.insert(known, policy.logical_id).filter(|owner| *owner != policy.logical_id) {
                let what = format!("the role {role} has the policy \"{name}\" already, from {owner}");
                let problem = Problem::new(policy.path_of("PolicyName"), what).kind(ProblemKind::Duplicate);
                problems.push(problem.help("give this one another PolicyName"));
            }
        }
    }
    problems
}
