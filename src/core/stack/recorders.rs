//! Chooses the resource whose tags record each resource that cannot be tagged (`types::cloud_control::record`).

use std::collections::BTreeMap;

use super::edges::{Edge, waits_for};
use super::{Resource, Scope, Token};
use crate::core::types::cloud_control::record::{RECORD, recorded};
use crate::core::types::{Attribute, Part};
use crate::core::words::{Problem, ProblemKind};

/// How many tags a resource can have ("Tagging your AWS resources").
const MAX_TAGS: usize = 50;

/// Tags that a recorder has for wschat itself, and some for the project's.
const KEPT_FREE: usize = 16;

/// Writes into the properties of each resource that cannot be tagged where it is recorded, and lets it wait for that.
pub(super) fn assign(
    resources: &mut BTreeMap<String, Resource>,
    scope: &Scope,
    edges: &mut Vec<Edge>,
    problems: &mut Vec<Problem>,
) {
    let recorded_ids: Vec<String> =
        resources.values().filter(|one| one.kind.is_recorded()).map(|one| one.logical_id.clone()).collect();
    let mut free: BTreeMap<String, usize> = BTreeMap::new();
    for one in resources.values().filter(|one| one.kind.recorder_arn().is_some()) {
        let own = one.properties["Tags"].as_object().map_or(0, serde_json::Map::len);
        free.insert(one.logical_id.clone(), MAX_TAGS.saturating_sub(KEPT_FREE + own));
    }
    for id in recorded_ids {
        let Some(resource) = resources.get(&id) else { continue };
        let found = choose(resource, resources, scope, edges, &free);
        let Some((recorder, arn, type_name)) = found else {
            problems.push(unrecorded(resource, &free));
            continue;
        };
        if let Some(free) = free.get_mut(&recorder) {
            *free -= 1;
        }
        let Some(resource) = resources.get_mut(&id) else { continue };
        resource.properties[RECORD] = recorded(&arn, type_name);
        resource.soft.remove(&recorder);
        resource.minted.remove(&recorder);
        if resource.hard.insert(recorder.clone()) {
            edges.push(Edge { from: id, to: recorder, path: resource.path.clone() });
        }
    }
}

/// The recorder of a resource: its logical id, ARN and type. What it is a part of, if anything is, since that goes after it anyway.
fn choose(
    resource: &Resource,
    resources: &BTreeMap<String, Resource>,
    scope: &Scope,
    edges: &[Edge],
    free: &BTreeMap<String, usize>,
) -> Option<(String, String, &'static str)> {
    let service = |one: &Resource| one.kind.type_name().split("::").nth(1).unwrap_or_default();
    let rank = |other: &Resource| {
        let is_named = resource.hard.contains(&other.logical_id) || resource.soft.contains(&other.logical_id);
        match other.kind.part() {
            // Without another one: it is not deleted last.
            _ if other.kind.has_code() => 4,
            Part::Api => 2,
            _ if is_named && service(other) == service(resource) => 0,
            _ if is_named => 1,
            _ => 3,
        }
    };
    let mut others: Vec<&Resource> = free
        .iter()
        .filter(|(_, free)| **free > 0)
        .filter_map(|(id, _)| resources.get(id))
        .filter(|other| other.logical_id != resource.logical_id)
        .collect();
    others.sort_by_key(|other| (rank(other), &other.logical_id));
    others.into_iter().find_map(|other| {
        let arn = arn_of(other, scope).filter(|_| !waits_for(edges, &other.logical_id, &resource.logical_id))?;
        Some((other.logical_id.clone(), arn, other.kind.type_name()))
    })
}

/// The ARN of a resource whose tags can record others, with tokens for what is not known yet.
fn arn_of(resource: &Resource, scope: &Scope) -> Option<String> {
    let token = |attribute: Option<&str>| Token::text(&resource.logical_id, attribute.unwrap_or("Ref"));
    resource.kind.recorder_arn()?.of(scope, |attribute| {
        match resource.kind.attribute(scope, resource.name.as_deref(), attribute) {
            Attribute::Known(value) => Some(value),
            Attribute::Minted => Some(token(attribute)),
            Attribute::Ref => Some(token(None)),
            Attribute::EndsInRef(start) => Some(start + &token(None)),
            Attribute::NotYet | Attribute::Unknown(_) => None,
        }
    })
}

/// The problem that nothing can record a resource.
fn unrecorded(resource: &Resource, free: &BTreeMap<String, usize>) -> Problem {
    let type_name = resource.kind.type_name();
    let (why, help) = match free.is_empty() {
        true => (
            "no other resource of the template has tags that could record it",
            "describe what it belongs to in the same template: an API, a function, a queue, a topic, a bucket",
        ),
        false => (
            "the resources whose tags could record it wait for it, or have too many tags",
            "split the template: a resource has 50 tags at most, and each resource without tags takes one of another's",
        ),
    };
    Problem::new(resource.path.key("Type"), format!("{type_name} cannot be tagged, and {why}"))
        .kind(ProblemKind::Unsupported)
        .help(help)
}
