//! The minimal IAM policy for a run: what it reads, what its plan changes, and what its rollback would call.
//!
//! Pure: each resource type says which permissions a step needs (`Kind::permissions`), this module makes them into a
//! policy document. (`sts:GetCallerIdentity` is not part of it: AWS allows it to every caller.)

mod lookups;
mod permissions;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use crate::core::types::iam_permissions::Roles;

use crate::core::plan::Plan;
use crate::core::stack::Stack;
use crate::core::types::iam_permissions::Permissions;
use crate::core::types::{self, S3Object, role};
use crate::core::words::Scope;

/// An IAM policy document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    pub statement: Vec<Statement>,
}

/// One statement of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    effect: &'static str,
    pub action: BTreeSet<String>,
    pub resource: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>,
}

/// The policy that `up` or `down` in `scope` needs to carry out `plan`, and `up` to roll it back; `roles` says how
/// roles are read. `stack` is what the template describes, if there is one: it may look values up, and export some.
/// `objects` are the objects in S3 that code is fetched from.
pub fn needed(plan: &Plan, stack: Option<&Stack>, scope: &Scope, roles: Roles, objects: &[S3Object]) -> Policy {
    let mut permissions = Permissions::default();
    for S3Object { bucket, key, version } in objects {
        let action = if version.is_some() { "GetObjectVersion" } else { "GetObject" };
        permissions.allow("s3", &[action], format!("arn:{}:s3:::{bucket}/{key}", scope.partition));
    }
    for kind in types::TYPES {
        kind.permissions_to_list(scope, roles, &mut permissions);
    }
    types::cloud_control::permissions_to_list(&mut permissions);
    for step in &plan.steps {
        permissions::of_step(&mut permissions, plan, step, scope, roles);
    }
    if let Some(stack) = stack {
        lookups::permissions(stack, &mut permissions);
        lookups::permissions_to_export(stack, plan, &mut permissions);
    }
    lookups::permissions_to_withdraw(plan, scope, &mut permissions);
    if roles == Roles::ByName {
        let [pattern, _] = role::stack_roles(scope);
        permissions.leave_out(&pattern, |resource| role::is_stack_role(scope, resource));
    }
    Policy::from(permissions)
}

/// The policy with which a CloudFormation stack is taken over: `tagging` are the changes of tags, as a plan. A template that is too
/// long for a request goes through a bucket, which the caller names.
pub fn to_adopt(tagging: &Plan, stack: &Stack, scope: &Scope, roles: Roles) -> Policy {
    let mut policy = needed(tagging, Some(stack), scope, roles, &[]);
    let mut permissions = Permissions::default();
    let of_stack = [
        ["DeleteStack", "DescribeStackEvents", "DescribeStacks", "GetStackPolicy"],
        ["GetTemplate", "ListStackResources", "UpdateStack", "DescribeStackResources"],
    ];
    let arn = scope.arn("cloudformation", &format!("stack/{}/*", scope.stack));
    permissions.allow("cloudformation", &of_stack.concat(), arn);
    // It names an export, and no stack.
    permissions.allow("cloudformation", &["ListImports"], "*");
    policy.statement.extend(Policy::from(permissions).statement);
    policy
}

impl From<Permissions> for Policy {
    /// Resources with the same actions share a statement: IAM limits a policy's size.
    fn from(permissions: Permissions) -> Self {
        let mut alike: BTreeMap<BTreeSet<String>, BTreeSet<String>> = BTreeMap::new();
        for (resource, actions) in permissions.allowed.into_iter().filter(|(_, actions)| !actions.is_empty()) {
            alike.entry(actions).or_default().insert(resource);
        }
        let allowing = alike.into_iter().map(|(action, resource)| Statement {
            effect: "Allow",
            action,
            resource,
            condition: BTreeMap::new(),
        });
        let passing = permissions.passed.into_iter().map(|(service, resource)| Statement {
            effect: "Allow",
            action: ["iam:PassRole".to_owned()].into(),
            resource,
            condition: [("StringEquals", [("iam:PassedToService", service)].into())].into(),
        });
        Self { version: "2012-10-17", statement: allowing.chain(passing).collect() }
    }
}

#[cfg(test)]
mod tests;
