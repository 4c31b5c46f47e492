//! The IAM policy that a run needs, no more: what it reads, what its plan changes, and what taking that back would call.
//!
//! Pure: `rights` says what each type of resource takes for each action of a plan, this module gathers that into a
//! policy document. (`sts:GetCallerIdentity` is no part of it: AWS lets everybody ask who he is.)

mod rights;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::core::plan::Plan;
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

/// How a run reads roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roles {
    /// All of the account in one call, which shows every policy in it.
    Account,
    /// Each by its name, for callers who may not make that call.
    ByName,
}

/// The policy with which `up` or `down` in `scope` carries out `plan`, and `up` takes it back; `roles` says how they are
/// read.
pub fn needed(plan: &Plan, scope: &Scope, roles: Roles) -> Policy {
    let mut rights = Rights::default();
    rights::reading(&mut rights, scope, roles);
    for step in &plan.steps {
        rights::of_step(&mut rights, plan, step, scope);
        if roles == Roles::ByName {
            rights::role_by_name(&mut rights, plan, step, scope);
        }
    }
    if roles == Roles::ByName {
        let [pattern, _] = rights::stack_roles(scope);
        rights.leave_out(&pattern, |resource| rights::is_stack_role(scope, resource));
    }
    rights.policy()
}

/// Rights in the making.
#[derive(Debug, Default)]
struct Rights {
    /// Actions by resource.
    allowed: BTreeMap<String, BTreeSet<String>>,
    /// Roles by the service that they are passed to.
    passed: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Rights {
    /// Adds actions of one service (`iam`) on a resource.
    fn allow(&mut self, service: &str, actions: &[&str], resource: impl Into<String>) {
        let allowed = self.allowed.entry(resource.into()).or_default();
        allowed.extend(actions.iter().map(|action| format!("{service}:{action}")));
    }

    /// Leaves out what is allowed on the resources that `covered` tells, as far as it is allowed on `pattern` already.
    fn leave_out(&mut self, pattern: &str, covered: impl Fn(&str) -> bool) {
        let allowed = self.allowed.get(pattern).cloned().unwrap_or_default();
        for (_, actions) in self.allowed.iter_mut().filter(|(resource, _)| covered(resource)) {
            actions.retain(|action| !allowed.contains(action));
        }
    }

    /// Adds the right to hand a role to a service.
    fn pass(&mut self, role: &str, service: &'static str) {
        self.passed.entry(service).or_default().insert(role.to_owned());
    }

    /// The document. Resources with the same actions share a statement: IAM limits a policy's size.
    fn policy(self) -> Policy {
        let mut alike: BTreeMap<BTreeSet<String>, BTreeSet<String>> = BTreeMap::new();
        for (resource, actions) in self.allowed.into_iter().filter(|(_, actions)| !actions.is_empty()) {
            alike.entry(actions).or_default().insert(resource);
        }
        let allowing = alike.into_iter().map(|(action, resource)| Statement {
            effect: "Allow",
            action,
            resource,
            condition: BTreeMap::new(),
        });
        let passing = self.passed.into_iter().map(|(service, resource)| Statement {
            effect: "Allow",
            action: ["iam:PassRole".to_owned()].into(),
            resource,
            condition: [("StringEquals", [("iam:PassedToService", service)].into())].into(),
        });
        Policy { version: "2012-10-17", statement: allowing.chain(passing).collect() }
    }
}

#[cfg(test)]
mod tests;
