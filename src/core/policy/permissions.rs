//! A plan's steps, in the form that `Kind::permissions` expects.

use serde_json::Value;

use crate::core::plan::{Action, Plan, Step};
use crate::core::types::iam_permissions::{Permissions, Resources, Roles, Subject};
use crate::core::words::{Scope, Token};

/// Adds the permissions to read a step's resource, to carry the step out and to roll it back.
/// `marks` says that the step does nothing but put wschat's marks on it or take them off.
pub fn of_step(permissions: &mut Permissions, plan: &Plan, step: &Step, scope: &Scope, roles: Roles, marks: bool) {
    if let Some(kind) = step.kind() {
        kind.permissions(&Subject { marks, ..subject(plan, step, scope, roles) }, permissions);
    }
}

/// Adds the permissions with which CloudFormation takes in a step's resource, or creates the same `again`.
pub fn to_import(permissions: &mut Permissions, plan: &Plan, step: &Step, scope: &Scope, roles: Roles, again: bool) {
    if let Some(kind) = step.kind() {
        kind.permissions_to_import(&subject(plan, step, scope, roles), again, permissions);
    }
}

fn subject<'a>(plan: &'a Plan, step: &'a Step, scope: &'a Scope, roles: Roles) -> Subject<'a> {
    let known = |token: &Token| plan.known.get(token).cloned();
    let (desired, live) = (step.desired.as_ref(), step.live.as_ref());
    let outermost = |property: &'a str| property.split(['.', '[']).next().unwrap_or_default();
    Subject {
        scope,
        roles,
        creates: matches!(step.action, Action::Create | Action::Replace),
        updates: step.action == Action::Update,
        deletes: matches!(step.action, Action::Delete | Action::Replace),
        keeps: step.action == Action::Keep,
        marks: false,
        physical_id: step.physical_id.as_deref().or_else(|| desired?.name.as_deref()),
        live_id: live.map(|live| live.physical_id.as_str()),
        desired: desired.map(|desired| Token::substitute(&desired.properties, &known)).unwrap_or_default(),
        live: live.map(|live| live.properties.clone()).unwrap_or_default(),
        changed: step.changes.iter().map(|change| outermost(&change.property)).collect(),
        health: live.map(|live| &live.health),
        plan,
    }
}

impl Resources for Plan {
    fn properties(&self, type_name: &str, physical_id: &str) -> Vec<&Value> {
        let is_it = |step: &&Step| step.type_name == type_name && step.physical_id.as_deref() == Some(physical_id);
        let Some(step) = self.steps.iter().find(is_it) else { return Vec::new() };
        let desired = step.desired.as_ref().map(|desired| &desired.properties);
        desired.into_iter().chain(step.live.as_ref().map(|live| &live.properties)).collect()
    }
}
