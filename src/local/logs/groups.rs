//! The operations on log groups, their retention and their tags.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::super::context::CloudContext;
use super::{Answer, GATEWAY_GROUP, Group, Input, LogStore, constraint, invalid, no_group, page, required};
use crate::local::protocol::wire::ApiError;

/// The allowed retention periods in days (`PutRetentionPolicy`, API reference).
const RETENTION_DAYS: [i64; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

const CLASSES: [&str; 3] = ["STANDARD", "INFREQUENT_ACCESS", "DELIVERY"];

pub fn create_log_group(store: &LogStore, region: &str, input: Input) -> Answer {
    let name = input.group_name()?;
    check_name(&name)?;
    let class = input.log_group_class.unwrap_or_else(|| "STANDARD".to_owned());
    if !CLASSES.contains(&class.as_str()) {
        let rule = format!("Member must satisfy enum value set: [{}]", CLASSES.join(", "));
        return Err(constraint(&format!("Value '{class}'"), "logGroupClass", &rule));
    }
    let tags = tags(&input.tags)?;
    let group = Group {
        class,
        kms_key: input.kms_key_id,
        deletion_protected: input.deletion_protection_enabled.unwrap_or_default(),
        tags,
        ..Group::new()
    };
    store.regions.change(|regions| {
        let groups = regions.entry(region.to_owned()).or_default();
        if groups.contains_key(&name) {
            let message = "The specified log group already exists";
            return Err(ApiError::new(400, "ResourceAlreadyExistsException", message));
        }
        groups.insert(name, group);
        Ok(json!({}))
    })
}

pub fn delete_log_group(store: &LogStore, region: &str, input: Input) -> Answer {
    let name = input.group_name()?;
    let removed = store.regions.change(|regions| {
        let groups = regions.get_mut(region).ok_or_else(no_group)?;
        if groups.get(&name).ok_or_else(no_group)?.deletion_protected {
            let message = "The log group cannot be deleted because deletion protection is enabled.";
            return Err(ApiError::new(400, "ValidationException", message));
        }
        groups.remove(&name).ok_or_else(no_group)
    })?;
    store.remove_journal(&removed)?;
    Ok(json!({}))
}

pub fn describe_log_groups(store: &LogStore, region: &str, input: Input) -> Answer {
    let limit = input.limit(50)?;
    let (prefix, pattern) = (input.log_group_name_prefix, input.log_group_name_pattern);
    if prefix.is_some() && pattern.is_some() {
        return Err(invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."));
    }
    let regions = store.regions.now();
    let groups = regions.get(region).into_iter().flatten().filter(|(name, group)| {
        name.as_str() != GATEWAY_GROUP
            && prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix.as_str()))
            && pattern.as_ref().is_none_or(|pattern| name.contains(pattern.as_str()))
            && input.log_group_class.as_ref().is_none_or(|class| *class == group.class)
    });
    let described = groups.map(|(name, group)| (name.clone(), described(store, region, name, group))).collect();
    let (groups, next) = page(described, input.next_token.as_deref(), limit)?;
    let mut answer = json!({ "logGroups": groups });
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

fn described(store: &LogStore, region: &str, name: &str, group: &Group) -> Value {
    let arn = arn(region, name);
    let mut described = json!({
        "logGroupName": name,
        "creationTime": group.created,
        "metricFilterCount": 0,
        "arn": format!("{arn}:*"),
        "logGroupArn": arn,
        "logGroupClass": group.class,
        "storedBytes": fs::metadata(store.journal_path(&group.id)).map_or(0, |journal| journal.len()),
        "deletionProtectionEnabled": group.deletion_protected,
    });
    if let Some(days) = group.retention_days {
        described["retentionInDays"] = json!(days);
    }
    if let Some(key) = &group.kms_key {
        described["kmsKeyId"] = json!(key);
    }
    described
}

pub fn put_retention_policy(store: &LogStore, region: &str, input: Input) -> Answer {
    let name = input.group_name()?;
    let days = *required(input.retention_in_days.as_ref(), "retentionInDays")?;
    if !RETENTION_DAYS.contains(&days) {
        let allowed = RETENTION_DAYS.map(|days| days.to_string()).join(", ");
        let rule = format!("Member must satisfy enum value set: [{allowed}]");
        return Err(constraint(&format!("Value '{days}'"), "retentionInDays", &rule));
    }
    store.change(region, &name, |group| group.retention_days = Some(days))
}

pub fn delete_retention_policy(store: &LogStore, region: &str, input: Input) -> Answer {
    store.change(region, &input.group_name()?, |group| group.retention_days = None)
}

pub fn put_log_group_deletion_protection(store: &LogStore, region: &str, input: Input) -> Answer {
    let protected = *required(input.deletion_protection_enabled.as_ref(), "deletionProtectionEnabled")?;
    store.change(region, &input.group()?, |group| group.deletion_protected = protected)
}

pub fn tag_resource(store: &LogStore, region: &str, input: Input) -> Answer {
    let added = tags(&input.tags)?;
    store.change(region, resource(&input)?, |group| group.tags.extend(added))
}

pub fn tag_log_group(store: &LogStore, region: &str, input: Input) -> Answer {
    let added = tags(&input.tags)?;
    store.change(region, &input.group_name()?, |group| group.tags.extend(added))
}

pub fn untag_resource(store: &LogStore, region: &str, input: Input) -> Answer {
    store.change(region, resource(&input)?, |group| group.tags.retain(|key, _| !input.tag_keys.contains(key)))
}

pub fn untag_log_group(store: &LogStore, region: &str, input: Input) -> Answer {
    let keys = input.tags.as_array().cloned().unwrap_or_default();
    store.change(region, &input.group_name()?, |group| {
        group.tags.retain(|key, _| !keys.iter().any(|gone| gone == key));
    })
}

pub fn list_tags_for_resource(store: &LogStore, region: &str, input: Input) -> Answer {
    Ok(json!({ "tags": store.group(region, resource(&input)?)?.tags }))
}

pub fn list_tags_log_group(store: &LogStore, region: &str, input: Input) -> Answer {
    Ok(json!({ "tags": store.group(region, &input.group_name()?)?.tags }))
}

/// The group that a resource's ARN names. The ARN has no `:*` at the end, unlike `arn` in the answer of `DescribeLogGroups`
/// (`TagResource`, API reference); with it, it names a group that does not exist.
fn resource(input: &Input) -> Result<&str, ApiError> {
    let arn = required(input.resource_arn.as_ref(), "resourceArn")?;
    arn.split_once(":log-group:").map(|(_, name)| name).ok_or_else(no_group)
}

pub fn arn(region: &str, name: &str) -> String {
    CloudContext::arn("logs", region, &format!("log-group:{name}"))
}

fn tags(sent: &Value) -> Result<BTreeMap<String, String>, ApiError> {
    if sent.is_null() {
        return Ok(BTreeMap::new());
    }
    let tags: BTreeMap<String, String> = serde_json::from_value(sent.clone())
        .map_err(|error| ApiError::new(400, "SerializationException", error.to_string()))?;
    if tags.len() > 50 {
        return Err(constraint("Value", "tags", "Member must have length less than or equal to 50"));
    }
    Ok(tags)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let sent = format!("Value '{name}'");
    if name.is_empty() {
        return Err(constraint(&sent, "logGroupName", "Member must have length greater than or equal to 1"));
    }
    if name.len() > 512 {
        return Err(invalid("Invalid LogGroup or LogStream, both must have length less than or equal to 512."));
    }
    if !name.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-_/#".contains(letter)) {
        let rule = "Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+";
        return Err(constraint(&sent, "logGroupName", rule));
    }
    Ok(())
}
