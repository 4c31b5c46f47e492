//! The operations on groups of schedules, and their tags.

use serde_json::{Value, json};

use super::model::{DEFAULT_GROUP, Group, group_arn, seconds};
use super::{Answer, ApiError, Scheduler, invalid, page};
use crate::local::context::clock::now_millis;
use crate::local::events::tags::{Tags, retag, tags};
use crate::local::protocol::service::ServiceCall;

pub fn create_schedule_group(scheduler: &Scheduler, call: &ServiceCall) -> Answer {
    let input: Value = call.request.json()?;
    create(scheduler, call.region(), call.id(0), tags(&input)?)?;
    Ok(json!({ "ScheduleGroupArn": group_arn(call.region(), call.id(0)) }))
}

/// Creates a group.
///
/// # Errors
/// `ConflictException` for a name that is taken.
pub fn create(scheduler: &Scheduler, region: &str, name: &str, tags: Tags) -> Result<(), ApiError> {
    check_name(name, "name")?;
    let now = now_millis();
    scheduler.state.change(|state| {
        if state.group(region, name).is_some() {
            let message = format!("Schedule group {name} already exists.");
            return Err(ApiError::new(409, "ConflictException", message));
        }
        state.add_group(region, name, Group { tags, created: now, modified: now, ..Group::default() });
        Ok(())
    })
}

pub fn get_schedule_group(scheduler: &Scheduler, call: &ServiceCall) -> Answer {
    let (region, name) = (call.region(), call.id(0));
    let group = scheduler.state.now().group(region, name).ok_or_else(|| no_group(name))?;
    Ok(described(region, name, &group))
}

pub fn list_schedule_groups(scheduler: &Scheduler, call: &ServiceCall) -> Answer {
    let query = |name: &str| call.request.query(name);
    let groups = scheduler.state.now().groups(call.region()).into_iter();
    let groups = groups.filter(|(name, _)| query("NamePrefix").is_none_or(|prefix| name.starts_with(prefix)));
    let shown = groups.map(|(name, group)| described(call.region(), &name, &group)).collect();
    page(shown, query("MaxResults"), query("NextToken"), "ScheduleGroups")
}

fn described(region: &str, name: &str, group: &Group) -> Value {
    json!({
        "Arn": group_arn(region, name),
        "Name": name,
        "State": "ACTIVE",
        "CreationDate": seconds(group.created),
        "LastModificationDate": seconds(group.modified),
    })
}

pub fn delete_schedule_group(scheduler: &Scheduler, call: &ServiceCall) -> Answer {
    delete(scheduler, call.region(), call.id(0))?;
    Ok(json!({}))
}

/// Deletes a group with all its schedules, as AWS does.
///
/// # Errors
/// `ResourceNotFoundException`, and the refusal for the default group.
pub fn delete(scheduler: &Scheduler, region: &str, name: &str) -> Result<(), ApiError> {
    if name == DEFAULT_GROUP {
        return Err(invalid("Cannot delete the default schedule group."));
    }
    scheduler.state.change(|state| {
        state.group(region, name).ok_or_else(|| no_group(name))?;
        state.remove_group(region, name);
        Ok(())
    })
}

pub fn list_tags_for_resource(scheduler: &Scheduler, call: &ServiceCall) -> Answer {
    let name = named(call)?;
    let group = scheduler.state.now().group(call.region(), name).ok_or_else(|| no_group(name))?;
    Ok(json!({ "Tags": group.tags }))
}

pub fn tag_resource(scheduler: &Scheduler, call: &ServiceCall) -> Answer {
    let input: Value = call.request.json()?;
    let new = tags(&input)?;
    change_tags(scheduler, call.region(), named(call)?, |tags| retag(tags, new, &[]))
}

pub fn untag_resource(scheduler: &Scheduler, call: &ServiceCall) -> Answer {
    let gone = |key: &str| call.request.query.iter().any(|(name, value)| name == "TagKeys" && value == key);
    change_tags(scheduler, call.region(), named(call)?, |tags| tags.retain(|tag| !gone(&tag.key)))
}

/// Changes the tags of a group.
///
/// # Errors
/// `ResourceNotFoundException`.
pub fn change_tags(scheduler: &Scheduler, region: &str, name: &str, change: impl FnOnce(&mut Tags)) -> Answer {
    scheduler.state.change(|state| {
        let group = state.group_mut(region, name).ok_or_else(|| no_group(name))?;
        change(&mut group.tags);
        group.modified = now_millis();
        Ok(json!({}))
    })
}

/// The group whose ARN is in the path: only groups have tags.
fn named(call: &ServiceCall) -> Result<&str, ApiError> {
    let arn = call.id(0);
    arn.rsplit_once(":schedule-group/")
        .map(|(_, name)| name)
        .ok_or_else(|| invalid(format!("Invalid resource ARN: {arn}.")))
}

/// # Errors
/// `ValidationException` for a name that schedules and groups cannot have.
pub fn check_name(name: &str, member: &str) -> Result<(), ApiError> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if (1..=64).contains(&name.len()) && name.chars().all(is_letter) {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value '{name}' at '{member}' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: ^[0-9a-zA-Z-_.]+$"
    )))
}

/// The error for an unknown group.
pub fn no_group(name: &str) -> ApiError {
    ApiError::new(404, "ResourceNotFoundException", format!("Schedule group {name} does not exist."))
}
