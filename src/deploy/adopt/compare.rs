//! The user's template beside the resources of the stack that is to be taken over: what would change, and what must not.

use std::collections::BTreeMap;

use serde_json::Value;

use super::obstacles::Obstacle;
use super::{AdoptError, ByHand};
use crate::aws::cloudformation::FormedResource;
use crate::core::plan::{self, Action, Change, Plan, PlanOptions, Step};
use crate::core::schemas::value_at;
use crate::core::stack::{Names, Stack};
use crate::core::template::expand::{regional_table, same_as};
use crate::core::template::{retain, upload};
use crate::core::types::cloud_control;
use crate::core::types::cloud_control::record::RECORD;
use crate::core::types::tags::Claims;
use crate::core::types::{self, Desired, Live, Owner, Part, deployment};

/// What a template makes of live resources that are to be taken over.
#[derive(Debug)]
pub struct Comparison {
    /// The steps that the next `up` takes: what was named, permitted or set otherwise.
    pub plan: Plan,
    /// The snapshots that serve, each with what the template describes in its place.
    pub snapshots: Vec<(Live, Desired)>,
    /// What must not happen to what is taken over.
    pub obstacles: Vec<Obstacle>,
}

/// What is to be taken over, by type and physical id as wschat has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub type_name: &'static str,
    pub physical_id: String,
    /// Cloud Control's identifier, as far as the template tells it.
    pub identifier: Option<String>,
    pub logical_id: String,
}

/// What of a CloudFormation stack, whose template is `processed`, is to be taken over. A type that wschat does not have is none of it,
/// and neither is what only takes uploads of code.
pub fn claimed(resources: &[FormedResource], processed: &str) -> Vec<Claimed> {
    let properties = retain::properties(processed);
    let ids: BTreeMap<&str, &str> =
        resources.iter().map(|one| (one.logical_id.as_str(), one.physical_id.as_str())).collect();
    // What is found by what it belongs to names that by its id.
    let value = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        value => Some((*ids.get(value["Ref"].as_str()?)?).to_owned()),
    };
    let left_out = upload::left_out(processed);
    let known = resources.iter().filter(|one| !left_out.contains(&one.logical_id));
    let known = known.filter(|one| !same_as::is_nothing(&one.type_name) && !one.physical_id.is_empty());
    let claimed = known.flat_map(|one| {
        let given = properties.get(&one.logical_id).cloned().unwrap_or_default();
        let is_regional = || given.as_object().is_some_and(|given| regional_table::properties(given).is_some());
        let here = match one.type_name.as_str() {
            regional_table::GLOBAL_TABLE if is_regional() => regional_table::TABLE,
            theirs => same_as::here(theirs),
        };
        let Some(kind) = types::kind(here) else { return Vec::new() };
        let is_taken = |name: &str| properties.contains_key(name);
        let singles = same_as::singles(&one.type_name, &one.logical_id, &given, is_taken);
        let all = singles.unwrap_or_else(|| vec![(one.logical_id.clone(), given)]);
        let claim = |(logical_id, given): (String, Value)| {
            let provisioned = cloud_control::kind(kind.type_name());
            let part = |path: &str| value(value_at(&given, path)?);
            Claimed {
                type_name: kind.type_name(),
                physical_id: kind.name_in(&one.physical_id),
                identifier: provisioned.and_then(|kind| kind.identifier_with(part, &one.physical_id)),
                logical_id,
            }
        };
        all.into_iter().map(claim).collect()
    });
    claimed.collect()
}

/// What was made by hand and a template describes.
///
/// # Errors
/// What the template does not describe; what carries no tags.
pub fn by_hand(stack: &Stack, resources: &[ByHand]) -> Result<Vec<Claimed>, AdoptError> {
    let claim = |one: &ByHand| {
        let described = stack.resources.get(&one.logical_id);
        let kind = described.ok_or_else(|| AdoptError::Undescribed(one.logical_id.clone()))?.kind;
        // What is inside of something belongs to whom that belongs to.
        if !kind.taggable() || kind.parent().is_some() {
            return Err(AdoptError::Untaggable(one.logical_id.clone(), kind.type_name()));
        }
        Ok(Claimed {
            type_name: kind.type_name(),
            physical_id: kind.name_in(&one.physical_id),
            identifier: None,
            logical_id: one.logical_id.clone(),
        })
    };
    resources.iter().map(claim).collect()
}

/// The names of what is claimed, where the template leaves them out.
pub fn names(stack: &Stack, claimed: &[Claimed]) -> Names {
    let named = claimed.iter().filter(|one| {
        let described = stack.resources.get(&one.logical_id);
        described.is_some_and(|resource| {
            resource.kind.type_name() == one.type_name
                && resource.kind.naming().is_some_and(|naming| naming.within.is_none())
                && resource.kind.taggable()
        })
    });
    named.map(|one| ((one.type_name, one.logical_id.clone()), one.physical_id.clone())).collect()
}

/// The claims with which a reading finds what is claimed.
pub fn claims(stack: &Stack, claimed: &[Claimed]) -> Claims {
    let mut claims = Claims::default();
    for one in claimed {
        let policy = stack.resources.get(&one.logical_id).map(|resource| resource.deletion_policy).unwrap_or_default();
        // What carries no tags is asked for by that alone.
        let is_named = one.identifier.is_none() || types::kind(one.type_name).is_some_and(|kind| kind.taggable());
        for id in one.identifier.iter().chain(is_named.then_some(&one.physical_id)) {
            claims.add(one.type_name, id, &one.logical_id, policy);
        }
    }
    claims
}

/// Compares. `is_whole` says that all of the stack is taken over, and not only some resources of it; `is_stale` says of the logical id of a snapshot that what it froze has changed since: it is replaced by the next `up`.
pub fn compare(
    stack: &Stack,
    live: &mut [Live],
    claimed: &[Claimed],
    is_whole: bool,
    is_stale: impl Fn(&str) -> bool,
) -> Result<Comparison, Vec<plan::PlanError>> {
    // No code is built: every function keeps what it has.
    let options = PlanOptions { allow_data_loss: stack.resources.keys().cloned().collect(), ..PlanOptions::default() };
    let first = plan::diff(stack, live, &options)?;
    let mut snapshots = Vec::new();
    for step in first.steps.iter().filter(|step| step.action == Action::Create && step.part() == Part::Snapshot) {
        let Some(desired) = &step.desired else { continue };
        let serves = |one: &&mut Live| {
            let is_claimed = |of: &&Claimed| of.type_name == one.type_name && of.physical_id == one.physical_id;
            one.type_name == step.type_name
                && one.parent.as_deref() == desired.properties["ApiId"].as_str()
                && claimed.iter().find(is_claimed).is_some_and(|of| !is_stale(&of.logical_id))
        };
        let is_marked = |one: &Live| one.properties.get(deployment::DIGEST).is_some();
        if let Some(one) = live.iter_mut().filter(|one| !is_marked(one)).find(serves) {
            snapshots.push((one.clone(), desired.clone()));
            one.properties[deployment::DIGEST] = deployment::digest(desired).into();
        }
    }
    let mut plan = if snapshots.is_empty() { first } else { plan::diff(stack, live, &options)? };
    for step in &mut plan.steps {
        step.changes.retain(|change| !is_of_ownership(change));
        if step.action == Action::Update && step.changes.is_empty() && step.reason.is_none() {
            step.action = Action::Keep;
        }
    }
    let obstacles = obstacles(&plan, live, claimed, is_whole);
    Ok(Comparison { plan, snapshots, obstacles })
}

/// Whether a difference is only that wschat does not own it yet.
fn is_of_ownership(change: &Change) -> bool {
    change.property.strip_prefix("Tags.").is_some_and(|key| key.starts_with("wschat:"))
        || change.property == RECORD
        || change.property.starts_with(&format!("{RECORD}."))
}

/// What the plan would do to what holds data or is known to others by its id.
fn obstacles(plan: &Plan, live: &[Live], claimed: &[Claimed], is_whole: bool) -> Vec<Obstacle> {
    const TEMPLATE: &str = "take over with the template that is deployed; change it afterwards, with wschat";
    let mut found = Vec::new();
    let lasting = |step: &&Step| !step.kind().is_some_and(|kind| kind.is_left_behind());
    let is_meant = |step: &&Step| is_whole || claimed.iter().any(|one| one.logical_id == step.name);
    for step in plan.steps.iter().filter(lasting).filter(is_meant) {
        let (name, type_name) = (&step.name, step.type_name);
        match step.action {
            Action::Create => {
                let there = claimed.iter().find(|one| one.logical_id == *name && one.type_name == type_name);
                found.push(match there {
                    Some(one) => Obstacle::new(
                        format!("{name} ({type_name}) is {} in the stack, and AWS does not show it", one.physical_id),
                        "if it was deleted by hand, let the tool that made the stack create it again",
                    ),
                    None => Obstacle::new(
                        format!("{name} ({type_name}) is in the template, and not in the stack"),
                        TEMPLATE,
                    ),
                });
            }
            Action::Replace => {
                let changed = step.changes.iter().filter(|change| change.create_only);
                let changed: Vec<&str> = changed.map(|change| change.property.as_str()).collect();
                let why =
                    if changed.is_empty() { step.why().to_owned() } else { format!("{} differ", changed.join(", ")) };
                found.push(Obstacle::new(format!("{name} ({type_name}) would be replaced: {why}"), TEMPLATE));
            }
            Action::Delete | Action::Retain => {
                let id = step.physical_id.as_deref().unwrap_or_default();
                found.push(Obstacle::new(
                    format!("{name} ({type_name}, {id}) is in the stack, and not in the template"),
                    TEMPLATE,
                ));
            }
            Action::Keep | Action::Update => {}
        }
    }
    let read: BTreeMap<(&str, &str), &Owner> =
        live.iter().map(|one| ((one.type_name, one.physical_id.as_str()), &one.owner)).collect();
    for one in claimed {
        if let Some(Owner::Other(owner)) = read.get(&(one.type_name, one.physical_id.as_str())) {
            let what = format!("{} ({}, {}) belongs to {owner}", one.logical_id, one.type_name, one.physical_id);
            found.push(Obstacle::new(what, "what is another stack's stays there"));
        }
    }
    found
}
