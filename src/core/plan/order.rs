//! Which steps wait for which.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::{Action, Plan, serving};
use crate::core::stack::Stack;
use crate::core::types::{self, Part, ownership_marker, texts};
use crate::core::words::reaches;

/// Puts the order into a plan.
pub(super) fn order(plan: &mut Plan, stack: &Stack, step_of: &BTreeMap<String, usize>) {
    let acts: Vec<bool> = plan.steps.iter().map(|step| step.action.acts()).collect();
    let acting = |ids: &BTreeSet<String>| -> BTreeSet<usize> {
        ids.iter().filter_map(|id| step_of.get(id).copied()).filter(|index| acts[*index]).collect()
    };
    let mut policies_of: HashMap<&str, Vec<&str>> = HashMap::new();
    for policy in stack.resources.values().filter(|resource| resource.kind.part() == Part::Policy) {
        let roles: BTreeSet<&str> = texts(&policy.properties["Roles"]).collect();
        for role in roles {
            policies_of.entry(role).or_default().push(&policy.logical_id);
        }
    }
    for resource in stack.resources.values() {
        let Some(&index) = step_of.get(&resource.logical_id) else { continue };
        plan.steps[index].after = acting(&resource.hard);
        plan.steps[index].retry_after = acting(&resource.soft);
    }
    for resource in stack.resources.values() {
        let Some(role) = resource.kind.runs_as(&resource.properties) else { continue };
        let Some(&index) = step_of.get(&resource.logical_id) else { continue };
        // A function first run right after its policies came may keep credentials without them for minutes. Where the
        // policy itself waits for the function, maybe through other functions and their policies, there is no helping
        // it.
        let policies = role.rsplit('/').next().and_then(|name| policies_of.get(name)).into_iter().flatten();
        for policy in policies.filter_map(|id| step_of.get(*id).copied()).filter(|it| acts[*it]) {
            if !reaches(policy, index, |step| plan.steps[step].after.iter().copied()) {
                plan.steps[index].after.insert(policy);
            }
        }
    }
    marked_first(plan);
    // A snapshot is taken when what shall not be in it is gone.
    let before_snapshot: BTreeSet<usize> = (0..plan.steps.len())
        .filter(|index| plan.steps[*index].action == Action::Delete)
        .filter(|index| plan.steps[*index].part() == Part::Route)
        .collect();
    let made: BTreeSet<usize> = (0..plan.steps.len())
        .filter(|index| matches!(plan.steps[*index].action, Action::Create | Action::Update | Action::Replace))
        .collect();
    for index in 0..plan.steps.len() {
        let step = &mut plan.steps[index];
        if step.part() == Part::Snapshot && step.action == Action::Create {
            step.after.extend(&before_snapshot);
        }
        // What goes, goes when nothing uses it any more: when all that takes its place is there.
        if step.action == Action::Delete && !before_snapshot.contains(&index) {
            step.after.extend(&made);
        }
    }
    order_deletes(plan);
    serving::order(plan, stack, step_of);
    plan.break_soft_cycles();
}

/// Lets routes that call nothing wait for something in their API that is made and says whose it is, since a route
/// cannot; so an API that a run which ended early leaves is known by the first that is in it.
fn marked_first(plan: &mut Plan) {
    let inside = |step: &super::Step| {
        let parent = step.kind().and_then(|kind| kind.parent());
        parent.zip(step.desired.as_ref().map(|desired| desired.properties["ApiId"].clone()))
    };
    let is_marked =
        |step: &super::Step| step.kind().is_some_and(|kind| kind.internal().contains(&ownership_marker::PROPERTY));
    let mut first_in: HashMap<_, usize> = HashMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        if step.action == Action::Create && is_marked(step) {
            first_in.entry(inside(step)).or_insert(index);
        }
    }
    for route in 0..plan.steps.len() {
        let step = &plan.steps[route];
        let calls_nothing = step.desired.as_ref().is_some_and(|desired| desired.properties["Target"].is_null());
        if step.part() != Part::Route || step.action != Action::Create || !calls_nothing {
            continue;
        }
        let first = first_in.get(&inside(step)).copied();
        let after = |step: usize| plan.steps[step].after.iter().copied();
        if let Some(first) = first.filter(|first| !reaches(*first, route, after)) {
            plan.steps[route].after.insert(first);
        }
    }
}

/// Types whose resources must be gone before one of this type is deleted.
pub(super) fn types_deleted_before(type_name: &str) -> BTreeSet<&'static str> {
    let told = types::kind(type_name).map_or(&[][..], |kind| kind.deleted_after());
    let others = types::TYPES.iter().filter(|kind| kind.deleted_before().contains(&type_name));
    told.iter().copied().chain(others.map(|kind| kind.type_name())).collect()
}

/// Puts the order of what goes into a plan.
pub(super) fn order_deletes(plan: &mut Plan) {
    let deletes: Vec<(usize, &'static str)> = plan
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.action == Action::Delete)
        .map(|(index, step)| (index, step.type_name))
        .collect();
    for (index, type_name) in &deletes {
        let before = types_deleted_before(type_name);
        let first = deletes.iter().filter(|(_, other)| before.contains(other)).map(|(other, _)| *other);
        plan.steps[*index].after.extend(first);
    }
    for (index, of) in recorders(plan) {
        let after = |step: usize| plan.steps[step].after.iter().copied();
        if !reaches(of, index, after) {
            plan.steps[index].after.insert(of);
        }
    }
    users_first(plan, &deletes);
    with_the_rest_there(plan, &deletes);
}

/// Lets everything else go after what needs it to be deleted (`Kind::is_deleted_first`).
fn with_the_rest_there(plan: &mut Plan, deletes: &[(usize, &'static str)]) {
    let (first, rest): (Vec<usize>, Vec<usize>) =
        deletes.iter().map(|(index, _)| *index).partition(|index| is_deleted_first(plan, *index));
    for index in &first {
        for other in first.iter().filter(|other| *other != index) {
            let steps = (&plan.steps[*index], &plan.steps[*other]);
            let is_before = match (steps.0.kind(), &steps.0.live, &steps.1.live) {
                (Some(kind), Some(live), Some(other)) => kind.is_deleted_before(live, other),
                _ => false,
            };
            let after = |step: usize| plan.steps[step].after.iter().copied();
            if is_before && !reaches(*index, *other, after) {
                plan.steps[*other].after.insert(*index);
            }
        }
    }
    for (index, first) in rest.iter().flat_map(|index| first.iter().map(move |first| (*index, *first))) {
        let after = |step: usize| plan.steps[step].after.iter().copied();
        if !reaches(first, index, after) {
            plan.steps[index].after.insert(first);
        }
    }
}

/// Whether what a step deletes may need all the rest for that.
pub(super) fn is_deleted_first(plan: &Plan, step: usize) -> bool {
    plan.steps[step].kind().is_some_and(|kind| kind.is_deleted_first())
}

/// The deletions of what records others (`Kind::recorded_on`), each with one of what it records: the records go with it.
pub(super) fn recorders(plan: &Plan) -> Vec<(usize, usize)> {
    let deletes = plan.steps.iter().enumerate().filter(|(_, step)| step.action == Action::Delete);
    let by_id: HashMap<(&str, &str), usize> = deletes
        .clone()
        .filter_map(|(index, step)| Some(((step.type_name, step.physical_id.as_deref()?), index)))
        .collect();
    let found = deletes.filter_map(|(of, step)| Some((of, step.kind()?.recorded_on(step.live.as_ref()?))));
    let found = found.flat_map(|(of, recorders)| recorders.into_iter().map(move |recorder| (of, recorder)));
    found.filter_map(|(of, (type_name, id))| Some((*by_id.get(&(type_name.as_str(), id.as_str()))?, of))).collect()
}

/// Lets what may be in use (`Kind::is_deleted_after_users`) go after what names it, as far as that closes no circle.
fn users_first(plan: &mut Plan, deletes: &[(usize, &'static str)]) {
    for index in deletes.iter().map(|(index, _)| *index) {
        if !plan.steps[index].kind().is_some_and(|kind| kind.is_deleted_after_users()) {
            continue;
        }
        let Some(live) = plan.steps[index].live.as_ref() else { continue };
        let ids: BTreeSet<String> = [Some(&live.physical_id), live.attributes.get("Ref"), live.attributes.get("Arn")]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        for (other, _) in deletes.iter().filter(|(other, _)| *other != index) {
            let names = |live: &types::Live| ids.iter().any(|id| is_in(id, &live.properties));
            let after = |step: usize| plan.steps[step].after.iter().copied();
            if plan.steps[*other].live.as_ref().is_some_and(names) && !reaches(*other, index, after) {
                plan.steps[index].after.insert(*other);
            }
        }
    }
}

/// Whether an id stands in a value, alone or as the end of an ARN or address.
fn is_in(id: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => {
            text.strip_suffix(id).is_some_and(|before| before.is_empty() || before.ends_with(['/', ':', '|']))
        }
        Value::Array(items) => items.iter().any(|item| is_in(id, item)),
        Value::Object(members) => members.iter().any(|(name, value)| name != "Tags" && is_in(id, value)),
        _ => false,
    }
}
