//! The last step: what marks the stack's resources as wschat's comes off.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::Value;

use super::EjectError;
use crate::aws::client::Aws;
use crate::aws::cloudformation::{self, FormedResource};
use crate::aws::providers::{Context, Discovery, Search, provider};
use crate::core::types::cloud_control::IDENTIFIER;
use crate::core::types::cloud_control::record::RECORDED_ON;
use crate::core::types::{self, Doubled, Kind, Live, Owner, Part, TYPES};
use crate::deploy::read;

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// What had a mark of wschat's and has none any more, by logical id or name.
    pub released: Vec<String>,
    /// What still has one, which cannot be taken off, a sentence each.
    pub marked: Vec<String>,
    /// What is wschat's still, because it is not in the template and was kept when it left that, a sentence each.
    pub kept: Vec<String>,
}

/// How early a resource is released: what others are found by goes last, so that a run that begins again finds the rest.
fn turn(kind: &dyn Kind, live: &Live) -> usize {
    let is_parent = TYPES.iter().any(|other| other.parent() == Some(kind.type_name()));
    match kind.part() {
        _ if live.attributes.contains_key(RECORDED_ON) => 0,
        Part::Api => 3,
        _ if is_parent => 2,
        _ => 1,
    }
}

/// Takes wschat's marks off all that CloudFormation's stack `name` has, whose template is `whole`.
///
/// # Errors
/// What AWS refused; what CloudFormation does not have.
pub async fn release(
    aws: &Aws,
    name: &str,
    whole: &Value,
    logical_ids: &BTreeSet<String>,
    note: &(dyn Fn(String) + Send + Sync),
) -> Result<Released, EjectError> {
    let formed = held(aws, name).await?;
    let there: BTreeMap<&str, &FormedResource> = formed.iter().map(|one| (one.logical_id.as_str(), one)).collect();
    let missing = missing(&formed, whole);
    if !missing.is_empty() {
        return Err(EjectError::Differs(missing));
    }
    let all = marked(aws).await?;
    let others: Vec<String> = all.iter().filter_map(|live| another(live, &there)).collect();
    if !others.is_empty() {
        return Err(EjectError::Another(others));
    }
    let mut outcome = Released::default();
    let mut turns: BTreeMap<usize, Vec<Live>> = BTreeMap::new();
    for live in all {
        let Some(kind) = types::kind(live.type_name) else { continue };
        let is_of_stack =
            live.logical_id.as_ref().is_none_or(|id| logical_ids.contains(id) || there.contains_key(id.as_str()));
        match is_of_stack || kind.owned_by(&live).is_some() {
            true => turns.entry(turn(kind, &live)).or_default().push(live),
            false => outcome.kept.push(format!(
                "{} ({}) is not in the template: it stays, with wschat's tags",
                live.physical_id, live.type_name
            )),
        }
    }
    let context = Context { aws, note };
    for one in turns.into_values() {
        let released = join_all(one.into_iter().map(|live| {
            let doubled = live.logical_id.as_deref().and_then(|id| there.get(id)).copied();
            release_one(context, live, doubled)
        }));
        for result in released.await {
            outcome.released.extend(result?);
        }
    }
    outcome.released.sort();
    for live in marked(aws).await? {
        let is_told = outcome.kept.iter().any(|told| told.starts_with(&format!("{} (", live.physical_id)));
        if !is_told && !is_unmarked(&live) {
            outcome.marked.push(format!(
                "{} ({}) keeps the mark in its description, which cannot be changed",
                live.physical_id, live.type_name
            ));
        }
    }
    Ok(outcome)
}

/// States of a resource that a stack does not have, or not any more. (One whose import was taken back is itself as before.)
const NOT_HELD: &[&str] = &[
    "CREATE_FAILED",
    "DELETE_COMPLETE",
    "DELETE_SKIPPED",
    "IMPORT_FAILED",
    "IMPORT_ROLLBACK_COMPLETE",
    "ROLLBACK_COMPLETE",
];

/// The resources that a CloudFormation stack has.
pub(super) async fn held(aws: &Aws, stack: &str) -> Result<Vec<FormedResource>, EjectError> {
    let all = cloudformation::resources(aws, stack).await?.into_iter();
    Ok(all.filter(|one| !NOT_HELD.contains(&one.status.as_str())).collect())
}

/// What a CloudFormation stack does not have of the template `whole`, a sentence each.
pub(super) fn missing(held: &[FormedResource], whole: &Value) -> Vec<String> {
    let is_there = |id: &str, declared: &Value| {
        held.iter().any(|one| {
            one.logical_id == id && declared["Type"] == one.type_name.as_str() && one.status.ends_with("_COMPLETE")
        })
    };
    let declared = whole["Resources"].as_object().into_iter().flatten();
    let missing = declared.filter(|(id, one)| one.get("Condition").is_none() && !is_there(id, one));
    missing.map(|(id, _)| format!("{id} is not in CloudFormation's stack")).collect()
}

/// Whether a CloudFormation stack has any of these resources.
pub(super) fn has_any(held: &[FormedResource], marked: &[Live]) -> bool {
    let is_held = |live: &Live| held.iter().any(|one| one.type_name == live.type_name && is_same(one, live));
    marked.iter().filter(|live| types::kind(live.type_name).is_some_and(|kind| kind.parent().is_none())).any(is_held)
}

/// That CloudFormation has another resource under the logical id of this one, in a sentence.
fn another(live: &Live, there: &BTreeMap<&str, &FormedResource>) -> Option<String> {
    let id = live.logical_id.as_deref()?;
    let formed = there.get(id).filter(|formed| formed.type_name == live.type_name)?;
    // What lies in another resource goes with that, and of what is left behind there may be several.
    let kind = types::kind(live.type_name)?;
    if kind.doubled().is_some() || kind.parent().is_some() || kind.is_left_behind() {
        return None;
    }
    // One of both may be the end or the beginning of the other: an ARN, or an id with what it lies in.
    let own = ["Ref", IDENTIFIER].map(|name| live.attributes.get(name));
    let mut known = own.into_iter().flatten().chain([&live.physical_id]);
    let is_one = |known: &String| {
        let (one, other) = (known.as_str(), formed.physical_id.as_str());
        one.ends_with(other) || one.starts_with(other) || other.ends_with(one) || other.starts_with(one)
    };
    (!known.any(is_one)).then(|| {
        format!("{id} is {} in CloudFormation's stack, and {} in wschat's", formed.physical_id, live.physical_id)
    })
}

/// What the stack has with a mark of its own.
pub(super) async fn marked(aws: &Aws) -> Result<Vec<Live>, EjectError> {
    let search = Search { route_responses: true, integration_responses: true, versions: true, ..Search::default() };
    let live = read::read(aws, &Discovery::from(search)).await?;
    Ok(live.into_iter().filter(|one| one.owner == Owner::Stack && !one.is_absent()).collect())
}

fn is_unmarked(live: &Live) -> bool {
    live.marks().is_empty() && live.unmarked().properties == live.properties
}

/// Releases one resource, or deletes it where CloudFormation has made `formed` of the same beside it. Gives its name if something was done.
async fn release_one(
    context: Context<'_>,
    live: Live,
    formed: Option<&FormedResource>,
) -> Result<Option<String>, EjectError> {
    let Some(provider) = provider(live.type_name) else { return Ok(None) };
    let id = live.logical_id.clone().unwrap_or_else(|| live.physical_id.clone());
    let is_double = provider.doubled() == Some(Doubled::Beside)
        && formed.is_some_and(|formed| formed.type_name == live.type_name && !is_same(formed, &live));
    let done = match is_double {
        true => provider.delete(context, &live).await,
        false if is_unmarked(&live) && !live.attributes.contains_key(RECORDED_ON) => return Ok(None),
        false => provider.release(context, &live).await,
    };
    done.map_err(|error| EjectError::Resource { id: id.clone(), error })?;
    Ok(Some(id))
}

/// Whether CloudFormation's resource is this one: its physical id may be the longer or the shorter name of it.
fn is_same(formed: &FormedResource, live: &Live) -> bool {
    let id = formed.physical_id.as_str();
    let own = live.attributes.get("Ref").map_or(live.physical_id.as_str(), String::as_str);
    [live.physical_id.as_str(), own]
        .iter()
        .any(|known| *known == id || id.ends_with(&format!("|{known}")) || id.starts_with(&format!("{known}|")))
}
