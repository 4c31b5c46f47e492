//! A plan's steps, in the form that `Kind::rights` expects.

use serde_json::Value;

use crate::core::plan::{Action, Plan, Step};
use crate::core::types::rights::{Resources, Rights, Roles, Subject};
use crate::core::words::{Scope, Token};

/// Adds the permissions to read a step's resource, to carry the step out and to roll it back.
pub fn of_step(rights: &mut Rights, plan: &Plan, step: &Step, scope: &Scope, roles: Roles) {
    if let Some(kind) = step.kind() {
        kind.rights(&subject(plan, step, scope, roles), rights);
    }
}

fn subject<'a>(plan: &'a Plan, step: &'a Step, scope: &'a Scope, roles: Roles) -> Subject<'a> {
    let known = |token: &Token| plan.known.get(token).cloned();
    let (want, live) = (step.want.as_ref(), step.live.as_ref());
    let outermost = |property: &'a str| property.split(['.', '[']).next().unwrap_or_default();
    Subject {
        scope,
        roles,
        creates: matches!(step.action, Action::Create | Action::Replace),
        updates: step.action == Action::Update,
        deletes: matches!(step.action, Action::Delete | Action::Replace),
        keeps: step.action == Action::Keep,
        physical_id: step.physical_id.as_deref().or_else(|| want?.name.as_deref()),
        live_id: live.map(|live| live.physical_id.as_str()),
        desired: want.map(|want| Token::substitute(&want.properties, &known)).unwrap_or_default(),
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
        let desired = step.want.as_ref().map(|want| &want.properties);
        desired.into_iter().chain(step.live.as_ref().map(|live| &live.properties)).collect()
    }
}
