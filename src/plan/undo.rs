//! The way back: the plan that takes a run back which could not be finished.
//!
//! What the run created goes, what it updated is set back to what was read before, routes that it deleted come again; in
//! the reverse order. What is undone is judged by a new reading and not by what the run believes: an answer may have
//! been lost.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::order::order_deletes;
use super::{Action, Plan, Step, changes};
use crate::resources::{Live, Owner, Want, function, log_group, route, route_response};
use crate::stack::Token;

/// What a run did of its plan. Steps are indexes into that plan.
#[derive(Debug, Clone, Default)]
pub struct Did {
    /// Steps that were begun, to whatever end.
    pub begun: BTreeSet<usize>,
    /// Physical ids of what was created, as far as AWS has said so.
    pub created: BTreeMap<usize, String>,
    /// Creations that found the resource there: another run had made it. It is not this run's to take away.
    pub adopted: BTreeSet<usize>,
}

/// How to take a run back.
#[derive(Debug, Clone, Default)]
pub struct Undo {
    pub plan: Plan,
    /// What cannot be put back, a sentence each.
    pub lost: Vec<String>,
}

/// The plan that takes `did` of `plan` back, where AWS had `before` and has `now`. `known` is what the run knew in the
/// end.
pub fn undo(plan: &Plan, did: &Did, known: &BTreeMap<Token, String>, before: &[Live], now: &[Live]) -> Undo {
    let mut undo = Undo::default();
    // Of each step of the way back, which step it takes back.
    let mut origins: Vec<usize> = Vec::new();
    for index in did.begun.iter().copied() {
        let step = &plan.steps[index];
        let back = match step.action {
            Action::Create if did.adopted.contains(&index) => Vec::new(),
            Action::Create => {
                let made = created(step, did.created.get(&index), known, before, now);
                made.map(gone).into_iter().collect()
            }
            Action::Update => set_back(step, now, &mut undo.lost).into_iter().collect(),
            Action::Delete => brought_back(step, before, now, &mut undo.lost),
            Action::Replace => {
                undo.lost.push(format!("{} ({}) was replaced: what it was is gone", step.name, step.type_name));
                Vec::new()
            }
            Action::Keep | Action::Retain => Vec::new(),
        };
        origins.extend(back.iter().map(|_| index));
        undo.plan.steps.extend(back);
    }
    let steps = &mut undo.plan.steps;
    // What goes with its parent needs no step of its own.
    let leaving: BTreeSet<(&str, String)> = steps
        .iter()
        .filter(|step| step.action == Action::Delete)
        .filter_map(|step| Some((step.type_name, step.physical_id.clone()?)))
        .collect();
    let stays: Vec<bool> = steps.iter().map(|step| !goes_with_parent(step, &leaving)).collect();
    let mut keep = stays.iter();
    steps.retain(|_| *keep.next().unwrap_or(&true));
    let mut keep = stays.iter();
    origins.retain(|_| *keep.next().unwrap_or(&true));

    steps.extend(logs_of(steps, before, now));
    new_ids(steps);
    for later in 0..origins.len() {
        for earlier in 0..origins.len() {
            // What waited for it goes back first.
            if later != earlier && reaches(plan, origins[earlier], origins[later]) {
                steps[later].after.insert(earlier);
            }
        }
    }
    order_deletes(&mut undo.plan);
    undo
}

fn goes_with_parent(step: &Step, leaving: &BTreeSet<(&str, String)>) -> bool {
    let parent = step.provider().and_then(|provider| provider.parent());
    let id = step.live.as_ref().and_then(|live| live.parent.clone());
    parent.zip(id).is_some_and(|parent| leaving.contains(&parent))
}

/// What a create has left.
fn created<'a>(
    step: &Step,
    id: Option<&String>,
    known: &BTreeMap<Token, String>,
    before: &[Live],
    now: &'a [Live],
) -> Option<&'a Live> {
    let provider = step.provider()?;
    let want = step.want.as_ref()?;
    let properties = Token::substitute(&want.properties, &|token| known.get(token).cloned());
    let want = Want { properties, ..want.clone() };
    now.iter()
        .filter(|live| live.type_name == step.type_name && live.owner == Owner::Stack && !live.is_leaving())
        .filter(|live| !before.iter().any(|before| same(before, live)))
        .filter(|live| id.is_none_or(|id| live.physical_id == *id))
        // A name may stand below several parents; an id of a root is all there is to know of it.
        .find(|live| provider.is(&want, live) || (id.is_some() && live.parent.is_none()))
}

/// Whether two readings are of one resource.
fn same(one: &Live, other: &Live) -> bool {
    (one.type_name, &one.physical_id, &one.parent) == (other.type_name, &other.physical_id, &other.parent)
}

fn step_for(live: &Live, action: Action, name: String) -> Step {
    Step {
        action,
        type_name: live.type_name,
        name,
        physical_id: Some(live.physical_id.clone()),
        changes: Vec::new(),
        reason: None,
        want: None,
        live: Some(live.clone()),
        after: BTreeSet::new(),
        if_refused: BTreeSet::new(),
    }
}

fn gone(live: &Live) -> Step {
    let name = live.logical_id.clone().unwrap_or_else(|| live.physical_id.clone());
    Step { reason: Some("this run made it".to_owned()), ..step_for(live, Action::Delete, name) }
}

/// A resource as it was read, as something to want again.
fn as_it_was(name: &str, before: &Live) -> Want {
    Want {
        logical_id: name.to_owned(),
        name: Some(before.physical_id.clone()),
        properties: before.properties.clone(),
        code: None,
    }
}

fn set_back(step: &Step, now: &[Live], lost: &mut Vec<String>) -> Option<Step> {
    let before = step.live.as_ref()?;
    let Some(live) = now.iter().find(|live| same(before, live)) else {
        lost.push(format!("{} ({}) is there no more", step.name, step.type_name));
        return None;
    };
    let changes = changes(step.provider()?, &live.properties, &before.properties);
    if changes.is_empty() {
        return None;
    }
    let reason = Some("this run changed it".to_owned());
    let want = Some(as_it_was(&step.name, before));
    Some(Step { changes, reason, want, ..step_for(live, Action::Update, step.name.clone()) })
}

/// Routes and what belongs to them go before the new deployment is made; everything else goes when the run has
/// succeeded.
fn brought_back(step: &Step, before: &[Live], now: &[Live], lost: &mut Vec<String>) -> Vec<Step> {
    let Some(gone) = &step.live else { return Vec::new() };
    if now.iter().any(|live| same(gone, live)) {
        return Vec::new();
    }
    if ![route::TYPE, route_response::TYPE].contains(&step.type_name) {
        lost.push(format!("{} ({}) was deleted and cannot be brought back", step.name, step.type_name));
        return Vec::new();
    }
    let inside = before
        .iter()
        .filter(|live| live.type_name == route_response::TYPE && live.parent.as_deref() == Some(&gone.physical_id));
    std::iter::once(gone)
        .chain(inside.filter(|_| step.type_name == route::TYPE))
        .map(|gone| {
            let name = if same(gone, step.live.as_ref().unwrap_or(gone)) { &step.name } else { &gone.physical_id };
            Step {
                reason: Some("this run deleted it".to_owned()),
                physical_id: None,
                want: Some(as_it_was(name, gone)),
                live: None,
                ..step_for(gone, Action::Create, name.clone())
            }
        })
        .collect()
}

/// What Lambda logged of functions that go.
fn logs_of(steps: &[Step], before: &[Live], now: &[Live]) -> Vec<Step> {
    let is_known = |live: &Live| {
        let planned = steps.iter().filter_map(|step| step.live.as_ref());
        before.iter().chain(planned).any(|known| same(known, live))
    };
    let groups: BTreeSet<String> = steps
        .iter()
        .filter(|step| step.action == Action::Delete && step.type_name == function::TYPE)
        .filter_map(|step| Some(format!("{}{}", log_group::LAMBDA, step.physical_id.as_ref()?)))
        .collect();
    now.iter()
        .filter(|live| live.type_name == log_group::TYPE && groups.contains(&live.physical_id) && !is_known(live))
        .map(gone)
        .collect()
}

/// What comes again gets a new id: whatever comes again with it and names the old one must name the new one.
fn new_ids(steps: &mut [Step]) {
    let returning: Vec<(usize, String, String)> = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.action == Action::Create)
        .filter_map(|(index, step)| Some((index, step.name.clone(), step.want.as_ref()?.name.clone()?)))
        .collect();
    for index in 0..steps.len() {
        for (parent, name, old) in &returning {
            let Some(want) = steps[index].want.as_mut().filter(|_| *parent != index) else { continue };
            if let Some(named) = want.properties.get_mut("RouteId").filter(|id| id.as_str() == Some(old)) {
                *named = Value::from(Token::text(name, "Ref"));
                steps[index].after.insert(*parent);
            }
        }
    }
}

/// Whether `from` waited for `to`, directly or through others.
fn reaches(plan: &Plan, from: usize, to: usize) -> bool {
    let mut ahead = vec![from];
    let mut seen = BTreeSet::new();
    while let Some(step) = ahead.pop() {
        if step == to {
            return true;
        }
        if seen.insert(step) {
            ahead.extend(&plan.steps[step].after);
        }
    }
    false
}
