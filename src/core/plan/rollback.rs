//! The plan that rolls back a run which could not be finished.
//!
//! What the run created goes, what it updated is set back to what was read before, routes that it deleted come again;
//! `rollback_order` says in which order. What is undone is judged by a new reading and not by what the run believes: an
//! answer may have been lost.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::rollback_order::order_rollback;
use super::{Action, Plan, Step, changes};
use crate::core::types::cloud_control::{forget_write_only, write_only};
use crate::core::types::{Desired, Live, Owner, Part, kind};
use crate::core::words::Token;

/// What a run did of its plan. Steps are indexes into that plan.
#[derive(Debug, Clone, Default)]
pub struct Executed {
    /// Steps that were begun, to whatever end.
    pub begun: BTreeSet<usize>,
    /// Physical ids of what was created, as far as AWS has said so.
    pub created: BTreeMap<usize, String>,
    /// Creations that found the resource there: another run had made it. It is not this run's to take away.
    pub adopted: BTreeSet<usize>,
    /// Creations that AWS took for the same ones of an earlier run: the same holds of what they gave.
    pub earlier: BTreeSet<usize>,
    /// Creations that failed, and may have made something all the same: no answer came, or a later call of the step failed.
    pub unclear: BTreeSet<usize>,
}

/// How to roll back a run.
#[derive(Debug, Clone, Default)]
pub struct Rollback {
    pub plan: Plan,
    /// What cannot be restored, a sentence each.
    pub lost: Vec<String>,
}

/// The plan that takes `executed` of `plan` back, where AWS had `before` and has `now`. `known` is what the run knew in
/// the end.
pub fn rollback(
    plan: &Plan,
    executed: &Executed,
    known: &BTreeMap<Token, String>,
    before: &[Live],
    now: &[Live],
) -> Rollback {
    let mut rollback = Rollback::default();
    // Each step of the rollback, with the step of the run that it reverts.
    let mut way: Vec<(usize, Step)> = Vec::new();
    let mut refused: Vec<(&Step, Step)> = Vec::new();
    let steps = executed.begun.iter().map(|index| &plan.steps[*index]);
    let replaced: BTreeSet<(&str, String)> = steps
        .filter(|step| step.action == Action::Replace)
        .filter_map(|step| Some((step.type_name, step.physical_id.clone()?)))
        .collect();
    for index in executed.begun.iter().copied() {
        let step = &plan.steps[index];
        let back = match step.action {
            Action::Create if executed.adopted.contains(&index) => Vec::new(),
            Action::Create if executed.earlier.contains(&index) => {
                rollback.lost.push(format!("{} ({}) stays: an earlier run created it", step.name, step.type_name));
                Vec::new()
            }
            // What is like one that AWS refused is another run's.
            Action::Create if !executed.created.contains_key(&index) && !executed.unclear.contains(&index) => {
                refused.extend(created(step, None, known, before, now).into_iter().map(|live| (step, gone(live))));
                Vec::new()
            }
            Action::Create => {
                let made = created(step, executed.created.get(&index), known, before, now);
                // What is inside a resource that was replaced belongs to what is there now.
                made.into_iter().map(gone).filter(|step| !is_inside(step, &replaced)).collect()
            }
            Action::Update => set_back(step, known, now, &mut rollback.lost).into_iter().collect(),
            Action::Delete => brought_back(step, before, now, &mut rollback.lost),
            Action::Replace => {
                rollback.lost.push(format!(
                    "{} ({}) was replaced: the old one is gone and cannot be restored",
                    step.name, step.type_name
                ));
                Vec::new()
            }
            Action::Keep | Action::Retain => Vec::new(),
        };
        way.extend(back.into_iter().map(|back| (index, back)));
    }
    // What goes with its parent needs no step of its own.
    let leaving: BTreeSet<(&str, String)> = way
        .iter()
        .filter(|(_, step)| step.action == Action::Delete)
        .filter_map(|(_, step)| Some((step.type_name, step.physical_id.clone()?)))
        .collect();
    way.retain(|(_, step)| !is_inside(step, &leaving));
    refused.retain(|(_, live)| !is_inside(live, &leaving));
    let (origins, back): (Vec<usize>, Vec<Step>) = way.into_iter().unzip();

    rollback.plan.steps = back;
    let steps = &mut rollback.plan.steps;
    steps.extend(byproducts(steps, before, now));
    for (step, live) in refused {
        if !steps.iter().filter(|step| step.action == Action::Delete).any(|going| goes_with(&live, going)) {
            let stays = "stays: AWS refused to create it, so it is not this run's";
            rollback.lost.push(format!("{} ({}) {stays}", step.name, step.type_name));
        }
    }
    new_ids(steps);
    order_rollback(&mut rollback.plan, &origins, plan);
    rollback.plan.continues_after_failure = true;
    rollback
}

/// Whether what a step is about is a part of one of these.
fn is_inside(step: &Step, parents: &BTreeSet<(&str, String)>) -> bool {
    let parent = step.kind().and_then(|kind| kind.deleted_with());
    let id = step.live.as_ref().and_then(|live| live.parent.clone());
    parent.zip(id).is_some_and(|parent| parents.contains(&parent))
}

/// Whether what a step is about is gone after the other step, a deletion: it is the same, or its compound identifier (`API|STAGE`,
/// which only Cloud Control has) names what goes.
fn goes_with(step: &Step, going: &Step) -> bool {
    let (Some(id), Some(gone)) = (&step.physical_id, &going.physical_id) else { return false };
    (step.type_name == going.type_name && id == gone) || (id.contains('|') && id.split('|').any(|part| part == gone))
}

/// What AWS has after a run, as far as the run itself can tell: for one that may not read what it has made.
pub fn expected_live(plan: &Plan, executed: &Executed, known: &BTreeMap<Token, String>, before: &[Live]) -> Vec<Live> {
    let mut now = before.to_vec();
    for index in executed.begun.iter().copied() {
        let step = &plan.steps[index];
        let desired = step.desired.as_ref();
        let desired = desired.map(|desired| Token::substitute(&desired.properties, &|token| known.get(token).cloned()));
        match (step.action, &step.live, desired) {
            (Action::Create, _, Some(properties)) => {
                let id = executed.created.get(&index).or(step.physical_id.as_ref());
                let parent = step.kind().and_then(|kind| kind.parent_id(&properties)).map(str::to_owned);
                let made = id.map(|id| Live::new(step.type_name, id, properties));
                now.extend(made.map(|live| Live { logical_id: Some(step.name.clone()), parent, ..live }));
            }
            (Action::Update, Some(live), Some(properties)) => {
                for is in now.iter_mut().filter(|is| same(is, live)) {
                    is.properties.clone_from(&properties);
                }
            }
            (Action::Delete, Some(live), _) => now.retain(|is| !same(is, live)),
            _ => {}
        }
    }
    now
}

/// What a create has left: one that was tried again without an answer, perhaps one of each time.
fn created<'a>(
    step: &Step,
    id: Option<&String>,
    known: &BTreeMap<Token, String>,
    before: &[Live],
    now: &'a [Live],
) -> Vec<&'a Live> {
    let (Some(kind), Some(desired)) = (step.kind(), step.desired.as_ref()) else { return Vec::new() };
    let properties = Token::substitute(&desired.properties, &|token| known.get(token).cloned());
    let desired = Desired { properties, ..desired.clone() };
    now.iter()
        .filter(|live| live.type_name == step.type_name && live.owner == Owner::Stack && !live.is_being_deleted())
        .filter(|live| !before.iter().any(|before| same(before, live)))
        .filter(|live| id.is_none_or(|id| live.physical_id == *id))
        // A name may stand below several parents; an id of a root is all there is to know of it.
        .filter(|live| kind.is(&desired, live) || (id.is_some() && live.parent.is_none()))
        .collect()
}

/// Whether two readings are of one resource.
fn same(one: &Live, other: &Live) -> bool {
    (one.type_name, &one.physical_id, &one.parent) == (other.type_name, &other.physical_id, &other.parent)
}

fn gone(live: &Live) -> Step {
    Step { reason: Some("this run created it".to_owned()), ..Step::on(live, Action::Delete) }
}

/// A resource as it was read, as something to want again.
fn as_it_was(name: &str, before: &Live) -> Desired {
    Desired {
        logical_id: name.to_owned(),
        name: Some(before.physical_id.clone()),
        properties: before.properties.clone(),
        code: None,
    }
}

/// Adds to maps what they lack of others.
fn fill(value: &mut Value, from: &Value) {
    let (Value::Object(members), Value::Object(from)) = (value, from) else { return };
    for (name, from) in from {
        match members.get_mut(name) {
            Some(member) => fill(member, from),
            None => drop(members.insert(name.clone(), from.clone())),
        }
    }
}

/// What no reading gives back is known only where this run did not change it; else it is lost, and without its digest the
/// next run sends it again.
fn with_write_only(step: &Step, before: &Live, wanted: &Value, desired: &mut Desired, lost: &mut Vec<String>) {
    if write_only(&before.properties) == write_only(wanted) {
        let seen = step.kind().and_then(|kind| kind.seen_as(&before.properties, wanted));
        fill(&mut desired.properties, &seen.unwrap_or_default());
        return;
    }
    forget_write_only(&mut desired.properties);
    lost.push(format!(
        "{} ({}) has values that AWS never shows, which this run changed: the old ones cannot be restored, and the next up sends \
         the template's",
        step.name, step.type_name
    ));
}

fn set_back(step: &Step, known: &BTreeMap<Token, String>, now: &[Live], lost: &mut Vec<String>) -> Option<Step> {
    let before = step.live.as_ref()?;
    let Some(live) = now.iter().find(|live| same(before, live)) else {
        lost.push(format!("{} ({}) does not exist any more", step.name, step.type_name));
        return None;
    };
    let kind = step.kind()?;
    let mut desired = as_it_was(&step.name, before);
    // Where only what is stated is compared: what this run added is to be absent.
    let stated = step.desired.as_ref().and_then(|desired| desired.properties.as_object()).into_iter().flatten();
    for (property, _) in stated.filter(|_| kind.seen_as(&live.properties, &before.properties).is_some()) {
        if before.properties[property].is_null() && !live.properties[property].is_null() {
            desired.properties[property] = Value::Null;
        }
    }
    for property in
        kind.irrecoverable(before).iter().filter(|name| before.properties[**name] != live.properties[**name])
    {
        desired.properties[*property] = live.properties[*property].clone();
        lost.push(format!(
            "{property} of {} ({}) stays as this run left it: it cannot be restored",
            step.name, step.type_name
        ));
    }
    let wanted = step.desired.as_ref().map(|desired| &desired.properties).unwrap_or(&Value::Null);
    let wanted = Token::substitute(wanted, &|token| known.get(token).cloned());
    if changes(kind, &live.properties, &desired.properties).is_empty() {
        return None;
    }
    with_write_only(step, before, &wanted, &mut desired, lost);
    let changes = changes(kind, &live.properties, &desired.properties);
    let reason = Some("this run changed it".to_owned());
    let desired = Some(desired);
    Some(Step { name: step.name.clone(), changes, reason, desired, ..Step::on(live, Action::Update) })
}

/// Routes and what belongs to them go before the new deployment is made; everything else goes when the run has
/// succeeded.
fn brought_back(step: &Step, before: &[Live], now: &[Live], lost: &mut Vec<String>) -> Vec<Step> {
    let Some(gone) = &step.live else { return Vec::new() };
    if now.iter().any(|live| same(gone, live)) {
        return Vec::new();
    }
    if step.part() != Part::Route {
        lost.push(format!("{} ({}) was deleted and cannot be restored", step.name, step.type_name));
        return Vec::new();
    }
    let inside = before.iter().filter(|live| {
        kind(live.type_name).and_then(|kind| kind.deleted_with()) == Some(gone.type_name)
            && live.parent.as_deref() == Some(&gone.physical_id)
    });
    std::iter::once(gone)
        .chain(inside)
        .map(|gone| {
            let name = if same(gone, step.live.as_ref().unwrap_or(gone)) { &step.name } else { &gone.physical_id };
            Step {
                name: name.clone(),
                reason: Some("this run deleted it".to_owned()),
                physical_id: None,
                desired: Some(as_it_was(name, gone)),
                live: None,
                ..Step::on(gone, Action::Create)
            }
        })
        .collect()
}

/// What AWS made by itself for what goes: what Lambda logged of functions.
fn byproducts(steps: &[Step], before: &[Live], now: &[Live]) -> Vec<Step> {
    let is_known = |live: &Live| {
        let planned = steps.iter().filter_map(|step| step.live.as_ref());
        before.iter().chain(planned).any(|known| same(known, live))
    };
    let made: BTreeSet<(&str, String)> = steps
        .iter()
        .filter(|step| step.action == Action::Delete)
        .filter_map(|step| step.kind()?.byproduct(step.physical_id.as_ref()?))
        .collect();
    let is_made = |live: &&Live| {
        made.contains(&(live.type_name, live.physical_id.clone())) && live.owner == Owner::Stack && !is_known(live)
    };
    let mut found: Vec<Step> = now.iter().filter(is_made).map(gone).collect();
    // The deletion of these runs code, which may be the first that it does.
    let is_run = |step: &Step| step.action == Action::Delete && step.kind().is_some_and(|kind| kind.is_deleted_first());
    if steps.iter().any(is_run) {
        let to_come = made.iter().map(|(type_name, name)| Live::new(type_name, name.as_str(), Value::Null));
        let is_there = |one: &Live| now.iter().chain(before).any(|live| same(one, live));
        found.extend(to_come.filter(|one| !is_there(one)).map(|one| gone(&one)));
    }
    found
}

/// What comes again gets a new id: whatever comes again with it and names the old one must name the new one.
fn new_ids(steps: &mut [Step]) {
    let returning: Vec<(usize, String, String)> = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.action == Action::Create)
        .filter_map(|(index, step)| Some((index, step.name.clone(), step.desired.as_ref()?.name.clone()?)))
        .collect();
    for (index, step) in steps.iter_mut().enumerate() {
        for (parent, name, old) in &returning {
            let Some(desired) = step.desired.as_mut().filter(|_| *parent != index) else { continue };
            if let Some(named) = desired.properties.get_mut("RouteId").filter(|id| id.as_str() == Some(old)) {
                *named = Value::from(Token::text(name, "Ref"));
                step.after.insert(*parent);
            }
        }
    }
}
