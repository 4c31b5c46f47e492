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
use crate::core::types::{self, Doubled, S3Object, role};
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
    of_run(&mut permissions, plan, stack, scope, roles, false);
    for S3Object { bucket, key, version } in objects {
        let action = if version.is_some() { "GetObjectVersion" } else { "GetObject" };
        permissions.allow("s3", &[action], format!("arn:{}:s3:::{bucket}/{key}", scope.partition));
    }
    Policy::from(permissions)
}

/// Adds what reading a stack takes and what the steps of a plan do; `marks` says that they put wschat's marks on resources or take
/// them off, and do nothing else.
fn of_run(permissions: &mut Permissions, plan: &Plan, stack: Option<&Stack>, scope: &Scope, roles: Roles, marks: bool) {
    for kind in types::TYPES {
        kind.permissions_to_list(scope, roles, permissions);
    }
    types::cloud_control::permissions_to_list(permissions);
    for step in &plan.steps {
        permissions::of_step(permissions, plan, step, scope, roles, marks);
    }
    if let Some(stack) = stack {
        lookups::permissions(stack, permissions);
        if !marks {
            lookups::permissions_to_export(stack, plan, permissions);
        }
    }
    lookups::permissions_to_withdraw(plan, scope, permissions);
    if roles == Roles::ByName {
        let [pattern, _] = role::stack_roles(scope);
        permissions.leave_out(&pattern, |resource| role::is_stack_role(scope, resource));
    }
}

/// The policy with which a CloudFormation stack is taken over: `tagging` are the changes of tags, as a plan. A template that is too
/// long for a request goes through a bucket, which the caller names.
pub fn to_adopt(tagging: &Plan, stack: &Stack, scope: &Scope, roles: Roles) -> Policy {
    let mut permissions = Permissions::default();
    of_run(&mut permissions, tagging, Some(stack), scope, roles, true);
    // To work out a change set, CloudFormation may read what outputs name.
    for step in &tagging.steps {
        permissions::to_import(&mut permissions, tagging, step, scope, roles, false);
    }
    on_formed(&mut permissions, scope, &["DeleteStack", "GetStackPolicy"]);
    // It names an export, and no stack.
    permissions.allow("cloudformation", &["ListImports"], "*");
    Policy::from(permissions)
}

/// The bucket for code on its way to CloudFormation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeBucket {
    pub name: String,
    /// The CloudFormation stack that is asked for its name, unless it is said.
    pub made_by: Option<&'static str>,
}

/// The policy with which a stack is handed over to CloudFormation: `releasing` has what is there, and takes wschat's marks off it.
/// `is_importable` says of a type whether CloudFormation imports it. Code and templates go below the stack's name into `bucket`.
pub fn to_eject(
    releasing: &Plan,
    stack: &Stack,
    scope: &Scope,
    roles: Roles,
    is_importable: impl Fn(&str) -> bool,
    bucket: Option<&CodeBucket>,
) -> Policy {
    let mut permissions = Permissions::default();
    of_run(&mut permissions, releasing, Some(stack), scope, roles, true);
    for step in &releasing.steps {
        let again = match step.kind().and_then(|kind| kind.doubled()) {
            Some(Doubled::WrittenOver) => true,
            Some(Doubled::Beside) => !is_importable(step.type_name),
            None => false,
        };
        permissions::to_import(&mut permissions, releasing, step, scope, roles, again);
    }
    // A stack that an import has left which was rolled back is deleted.
    on_formed(&mut permissions, scope, &["DeleteStack"]);
    permissions.allow("cloudformation", &["GetTemplateSummary"], "*");
    // A name can be exported once.
    if stack.outputs.values().any(|output| output.export.is_some()) {
        permissions.allow("cloudformation", &["ListExports"], "*");
    }
    if let Some(CodeBucket { name, made_by }) = bucket {
        let objects = format!("arn:{}:s3:::{name}/{}/*", scope.partition, scope.stack);
        permissions.allow("s3", &["GetObject", "PutObject"], objects);
        if let Some(stack) = made_by {
            permissions.allow(
                "cloudformation",
                &["DescribeStacks"],
                scope.arn("cloudformation", &format!("stack/{stack}/*")),
            );
        }
    }
    Policy::from(permissions)
}

/// Adds what reads CloudFormation's stack of this name and makes and carries out change sets of it, and `others`.
fn on_formed(permissions: &mut Permissions, scope: &Scope, others: &[&str]) {
    let arn = scope.arn("cloudformation", &format!("stack/{}/*", scope.stack));
    let reads = ["DescribeChangeSet", "DescribeStackEvents", "DescribeStacks", "GetTemplate", "ListStackResources"];
    let changes = ["CreateChangeSet", "DeleteChangeSet", "ExecuteChangeSet"];
    permissions.allow("cloudformation", &[&reads[..], &changes, others].concat(), arn);
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
