//! Tags as EventBridge and Scheduler have them: a list of keys and values, in the order in which they were given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::local::protocol::wire::ApiError;

/// Tags in the order in which they were given.
pub type Tags = Vec<Tag>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    pub key: String,
    #[serde(default)]
    pub value: String,
}

/// The tags of an input.
///
/// # Errors
/// What is not a list of keys and values.
pub fn tags(input: &Value) -> Result<Tags, ApiError> {
    match &input["Tags"] {
        Value::Null => Ok(Vec::new()),
        tags => serde_json::from_value(tags.clone())
            .map_err(|error| ApiError::new(400, "SerializationException", error.to_string())),
    }
}

/// Sets and removes tags.
pub fn retag(tags: &mut Tags, set: impl IntoIterator<Item = Tag>, removed: &[String]) {
    for tag in set {
        match tags.iter_mut().find(|known| known.key == tag.key) {
            Some(known) => known.value = tag.value,
            None => tags.push(tag),
        }
    }
    tags.retain(|tag| !removed.contains(&tag.key));
}

/// Tags by their keys as a list.
pub fn listed(tags: &BTreeMap<String, String>) -> Tags {
    tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
}
