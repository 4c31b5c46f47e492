//! `AWS::IAM::ManagedPolicy`: a policy of the customer's own, which roles are given.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::iam_permissions::{Permissions, Roles, Subject};
use super::tags::Tags;
use super::{
    Action, Attribute, Held, Kind, Live, Naming, Owner, Part, PlanView, StackView, StepEffects, StepView, names, role,
    tags, texts, to_value,
};
use crate::core::iam::document::Document;
use crate::core::iam::grammar::{self, Purpose};
use crate::core::iam::grants;
use crate::core::words::{Problem, Scope, deserialize};

pub const TYPE: &str = "AWS::IAM::ManagedPolicy";

/// So many versions IAM keeps of a policy (IAM quotas).
pub(crate) const VERSIONS: usize = 5;

/// A customer managed policy.
pub struct ManagedPolicy;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Props {
    pub(crate) managed_policy_name: Option<String>,
    #[serde(default)]
    pub(crate) description: String,
    /// None for `/`.
    pub(crate) path: Option<String>,
    pub(crate) policy_document: Document,
    /// Roles that are given it from here; those that ask for it themselves are not among them.
    #[serde(default)]
    pub(crate) roles: BTreeSet<String>,
    #[serde(default, deserialize_with = "tags::deserialize")]
    pub(crate) tags: Tags,
}

impl Kind for ManagedPolicy {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn noun(&self) -> &'static str {
        "managed policy"
    }

    fn widens(&self, _: &str, old: &Value, new: &Value) -> Vec<String> {
        grants::widened_on_roles(old, new)
    }

    fn narrows(&self, old: &Value, new: &Value) -> Vec<String> {
        grants::narrowed_on_roles(old, new)
    }

    fn deleted_after(&self) -> &'static [&'static str] {
        // IAM keeps a policy that is the boundary of a role, and a role gives up its own.
        &[names::ROLE]
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let documents = grammar::check(properties, "PolicyDocument", Purpose::Managed);
        let mut props: Props = grammar::with(deserialize::read(properties), documents)?;
        props.path = props.path.filter(|path| path != "/");
        Ok(to_value(&props))
    }

    fn naming(&self) -> Option<Naming> {
        Some(Naming { property: "ManagedPolicyName", longest: 128, within: None, path: Some("Path") })
    }

    fn not_yet(&self) -> &'static [&'static str] {
        &["Groups", "Users"]
    }

    /// IAM has tags of policies, CloudFormation does not: those that are here say whose a policy is.
    fn internal(&self) -> &'static [&'static str] {
        &["Tags"]
    }

    fn create_only(&self) -> &'static [&'static str] {
        &["ManagedPolicyName", "Description", "Path"]
    }

    fn hard(&self) -> &'static [&'static str] {
        &["Roles"]
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            None | Some("PolicyArn") => {
                Attribute::Known(scope.arn("iam", &format!("policy/{}", name.unwrap_or_default())))
            }
            Some("PolicyId") => Attribute::Minted,
            Some(
                "AttachmentCount"
                | "CreateDate"
                | "DefaultVersionId"
                | "IsAttachable"
                | "PermissionsBoundaryUsageCount"
                | "UpdateDate",
            ) => Attribute::NotYet,
            Some(_) => Attribute::Unknown(&["PolicyArn", "PolicyId"]),
        }
    }

    fn taggable(&self) -> bool {
        true
    }

    fn ignores_case(&self) -> bool {
        true
    }

    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        role::of_others(TYPE, stack)
    }

    fn part(&self) -> Part {
        Part::Policy
    }

    fn used_with<'a>(&self, live: &'a Live) -> Vec<&'a str> {
        texts(&live.properties["Roles"]).collect()
    }

    fn held(&self, live: &Live) -> Option<Held> {
        let by: Vec<String> = holders(live)?.others.into_iter().collect();
        let arn = live.attributes.get("Ref").cloned().unwrap_or_default();
        let release = format!("aws iam detach-role-policy --role-name ROLE --policy-arn {arn}");
        (!by.is_empty()).then_some(Held { arn, by, release })
    }

    fn effects(&self, step: &StepView<'_>, plan: &dyn PlanView) -> StepEffects {
        match step.action {
            Action::Replace => StepEffects::interrupted("roles lack its permissions until it exists again"),
            Action::Update => role::narrowed(step, step.live_texts("Roles"), plan),
            _ => StepEffects::default(),
        }
    }

    fn permissions_to_list(&self, _: &Scope, _: Roles, permissions: &mut Permissions) {
        permissions.allow("iam", &["ListPolicies"], "*");
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        // What it takes to remove one: AWS asks for older versions and attachments to be removed before.
        const REMOVE: &[&str] = &["ListEntitiesForPolicy", "ListPolicyVersions", "DeletePolicyVersion", "DeletePolicy"];
        let arn = arn(it.scope, it.path(), it.name());
        let mut allow = |actions: &[&str]| permissions.allow("iam", actions, arn.as_str());
        allow(&["GetPolicy", "GetPolicyVersion", "ListEntitiesForPolicy"]);
        if it.creates {
            allow(&["CreatePolicy", "TagPolicy"]);
            allow(REMOVE);
        }
        if it.deletes {
            allow(REMOVE);
        }
        if it.changes(&["PolicyDocument"]) {
            allow(&["ListPolicyVersions", "DeletePolicyVersion", "CreatePolicyVersion"]);
        }
        if it.changes(&["Tags"]) {
            allow(&["TagPolicy", "UntagPolicy"]);
        }
        if it.creates || it.deletes || it.changes(&["Roles"]) {
            for role in it.texts("Roles") {
                permissions.allow("iam", &["AttachRolePolicy", "DetachRolePolicy"], role::arn_in(it, &role));
            }
        }
    }
}

/// The attribute of a live policy that lists what has it, JSON.
pub(crate) const ENTITIES: &str = "Entities";

/// The attribute of a live policy that tells which of them are the stack's, JSON.
const HOLDERS: &str = "Holders";

/// What has a policy, as its permissions or as its boundary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Entity {
    Role(String),
    /// A user or a group, in words: a stack has none.
    Other(String),
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(name) => write!(f, "role {name}"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// Who has a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holders {
    /// Roles of the stack's, and those that the template gives it.
    pub ours: BTreeSet<String>,
    /// All others, in words.
    pub others: BTreeSet<String>,
}

/// Who has a live policy; `None` where it was not read.
pub fn holders(live: &Live) -> Option<Holders> {
    serde_json::from_str(live.attributes.get(HOLDERS)?).ok()
}

/// Settles for the stack's policies in a whole reading which of the roles that have them are the stack's.
pub fn settle_holders(found: &mut [Live]) {
    let is_role = |live: &&Live| live.type_name == names::ROLE && live.owner == Owner::Stack;
    let roles: BTreeSet<String> = found.iter().filter(is_role).map(|live| live.physical_id.clone()).collect();
    for live in found.iter_mut().filter(|live| live.type_name == TYPE && live.owner == Owner::Stack) {
        let Some(entities) = live.attributes.remove(ENTITIES) else { continue };
        let entities: Vec<Entity> = serde_json::from_str(&entities).unwrap_or_default();
        let given = live.properties["Roles"].as_array().cloned().unwrap_or_default();
        let mut holders = Holders::default();
        for entity in entities {
            match entity {
                Entity::Role(role) if roles.contains(&role) || given.contains(&Value::from(role.as_str())) => {
                    holders.ours.insert(role);
                }
                other => {
                    holders.others.insert(other.to_string());
                }
            }
        }
        live.attributes.insert(HOLDERS.to_owned(), serde_json::to_string(&holders).unwrap_or_default());
    }
}

/// The ARN of a policy below a path (`/team/`).
pub fn arn(scope: &Scope, path: Option<&str>, name: &str) -> String {
    scope.arn("iam", &format!("policy{}{name}", path.unwrap_or("/")))
}
