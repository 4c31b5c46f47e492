//! Differences between the engine's streams and AWS's: the form of shards and records, and on AWS a write that does not change an item
//! creates no record.
//!
//! The engine records every write with the images of the stream's view, so with some views unchanged items cannot be
//! recognized. Therefore the engine's streams always have both images (`record_both_images`). The requested view is stored
//! separately, and images outside it are removed when records are read (`apply_view`).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::engine::invalid;
use crate::local::protocol::wire::ApiError;

/// The number of the first record that there could be.
const FIRST_NUMBER: &str = "100000000000000000001";

/// The view with both images.
const BOTH_IMAGES: &str = "NEW_AND_OLD_IMAGES";

/// The images that each view omits; the views in AWS's order.
const VIEWS: [(&str, &[&str]); 4] = [
    ("OLD_IMAGE", &["NewImage"]),
    ("KEYS_ONLY", &["NewImage", "OldImage"]),
    (BOTH_IMAGES, &[]),
    ("NEW_IMAGE", &["OldImage"]),
];

/// Changes a request so that the engine records both images. Returns the requested view, if the request enables a stream.
///
/// # Errors
/// `ValidationException` for an unknown view; the engine accepts any.
pub fn record_both_images(input: &mut Value) -> Result<Option<String>, ApiError> {
    let Some(specification) = input.get_mut("StreamSpecification") else { return Ok(None) };
    let Some(view) = specification["StreamViewType"].as_str().map(str::to_owned) else { return Ok(None) };
    if !VIEWS.iter().any(|(known, _)| *known == view) {
        let known = VIEWS.map(|(known, _)| known).join(", ");
        return Err(invalid(format!(
            "1 validation error detected: Value '{view}' at 'streamSpecification.streamViewType' failed to satisfy \
             constraint: Member must satisfy enum value set: [{known}]"
        )));
    }
    if specification["StreamEnabled"] != true {
        return Ok(None);
    }
    specification["StreamViewType"] = json!(BOTH_IMAGES);
    Ok(Some(view))
}

/// Reduces the engine's records to a stream with this view; with `None` they already have the stream's view.
pub fn apply_view(records: &mut Vec<Value>, view: Option<&str>) {
    records.retain(|record| record["eventName"] != "MODIFY" || is_change(&record["dynamodb"]));
    let Some((view, hidden)) = VIEWS.iter().find(|(known, _)| Some(*known) == view) else { return };
    for record in records {
        let shown = &mut record["dynamodb"];
        shown["StreamViewType"] = json!(view);
        let Some(members) = shown.as_object_mut() else { continue };
        let taken: usize = hidden.iter().filter_map(|image| members.shift_remove(*image)).map(|it| size(&it)).sum();
        if let Some(size) = members.get("SizeBytes").and_then(Value::as_u64) {
            members.insert("SizeBytes".to_owned(), json!(size.saturating_sub(taken as u64)));
        }
    }
}

/// The id of a table's only shard, in AWS's form: clients check its length.
pub fn shard_id(table: &str) -> String {
    let digest = hex::encode(Sha256::digest(table.as_bytes()));
    format!("shardId-{:020}-{}", 1, &digest[..8])
}

/// The shards of a stream as AWS describes them: an open one has no last number, and each has a first one.
pub fn describe_shards(description: &mut Value, input: &Value) {
    let table = description["TableName"].as_str().unwrap_or_default().to_owned();
    if !input["ExclusiveStartShardId"].is_null() || !input["ShardFilter"].is_null() {
        // There is none after it, and none below it.
        description["Shards"] = json!([]);
    }
    for shard in description["Shards"].as_array_mut().into_iter().flatten() {
        shard["ShardId"] = shard_id(&table).into();
        let range = &mut shard["SequenceNumberRange"];
        let first = range["StartingSequenceNumber"].as_str().unwrap_or(FIRST_NUMBER).to_owned();
        *range = json!({ "StartingSequenceNumber": first });
    }
}

/// The engine's number of a record, from the number that clients see; `None` for one that no record has.
pub fn stored_number(shown: &str) -> Option<i64> {
    let first: i128 = FIRST_NUMBER.parse().ok()?;
    i64::try_from(shown.parse::<i128>().ok()? - first + 1).ok().filter(|number| *number > 0)
}

/// A record as `GetRecords` gives it: there the members of an identity begin with a capital.
pub fn as_in_api(record: &mut Value) {
    if let Some(identity) = record.get_mut("userIdentity") {
        *identity = json!({ "PrincipalId": identity["principalId"], "Type": identity["type"] });
    }
}

/// A record as functions get it: with the ARN of its stream. (Lambda developer guide, "Using Lambda with Amazon DynamoDB".)
pub fn as_in_events(record: &mut Value, arn: &str) {
    record["eventSourceARN"] = arn.into();
    if let Some(seconds) = record["dynamodb"]["ApproximateCreationDateTime"].as_f64() {
        record["dynamodb"]["ApproximateCreationDateTime"] = (seconds as i64).into();
    }
}

/// The size by the engine's measure: the length of the JSON text.
fn size(image: &Value) -> usize {
    image.to_string().len()
}

/// Whether the two images differ, or there is only one.
fn is_change(record: &Value) -> bool {
    match (record.get("OldImage"), record.get("NewImage")) {
        (Some(old), Some(new)) => with_sorted_sets(old) != with_sorted_sets(new),
        _ => true,
    }
}

/// An attribute's value with its sets sorted, because their order has no meaning.
fn with_sorted_sets(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&str, Value> = members
                .iter()
                .map(|(name, member)| match (name.as_str(), member) {
                    ("SS" | "NS" | "BS", Value::Array(items)) if members.len() == 1 => {
                        let mut items = items.clone();
                        items.sort_by_key(Value::to_string);
                        (name.as_str(), Value::Array(items))
                    }
                    (name, member) => (name, with_sorted_sets(member)),
                })
                .collect();
            json!(sorted)
        }
        Value::Array(items) => Value::Array(items.iter().map(with_sorted_sets).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_in_another_order_is_no_change() {
        let image = |list: &[&str], set: &[&str]| json!({ "list": { "L": list.iter().map(|text| json!({ "S": text })).collect::<Vec<_>>() }, "set": { "SS": set } });
        let record = |old: Value, new: Value| json!({ "OldImage": old, "NewImage": new });
        assert!(!is_change(&record(image(&["a", "b"], &["x", "y"]), image(&["a", "b"], &["y", "x"]))));
        assert!(is_change(&record(image(&["a", "b"], &["x", "y"]), image(&["b", "a"], &["x", "y"]))));
        assert!(is_change(&record(image(&["a"], &["x"]), image(&["a"], &["x", "y"]))));
    }
}
