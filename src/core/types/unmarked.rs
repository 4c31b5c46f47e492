//! A resource without what marks it as a stack's of wschat's.

use serde_json::Value;

use super::{Desired, Live, deployment, ownership_marker, tags};

/// The prefix of the keys of all tags that wschat sets.
const PREFIX: &str = "wschat:";

impl Live {
    /// The same resource, as it is to be when it goes to another owner: without ownership tags, and without the marker in its
    /// description.
    pub fn unmarked(&self) -> Desired {
        let mut properties = self.properties.clone();
        if let Some(members) = properties.as_object_mut() {
            members.shift_remove(ownership_marker::PROPERTY);
            if self.type_name == deployment::TYPE {
                members.shift_remove(deployment::DIGEST);
            }
            if let Some(Value::Object(tags)) = members.get_mut("Tags") {
                tags.retain(|key, _| !key.starts_with(PREFIX));
            }
        }
        Desired {
            logical_id: self.logical_id.clone().unwrap_or_default(),
            name: Some(self.physical_id.clone()),
            properties,
            code: None,
        }
    }

    /// The keys of all tags that wschat has set on it.
    pub fn marks(&self) -> Vec<String> {
        let own = self.properties["Tags"].as_object().into_iter().flat_map(serde_json::Map::keys);
        let records = self.attributes.keys().filter(|key| tags::is_record(key));
        own.filter(|key| key.starts_with(PREFIX)).chain(records).cloned().collect()
    }

    /// The same resource without the tags that record others.
    #[must_use]
    pub fn without_records(&self) -> Self {
        let mut live = self.clone();
        live.attributes.retain(|key, _| !tags::is_record(key));
        live
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::function;
    use super::*;

    #[test]
    fn marks_go_and_the_users_own_tags_stay() {
        let tags = json!({"wschat:stack": "chat", "wschat:logical-id": "Send", "team": "chat"});
        let live = Live::new(function::TYPE, "send", json!({"Tags": tags, "OwnershipMarker": "Send", "Timeout": 3}))
            .attribute("wschat:export:name", "x")
            .attribute("Arn", "arn");
        assert_eq!(live.unmarked().properties, json!({"Tags": {"team": "chat"}, "Timeout": 3}));
        assert_eq!(live.marks(), ["wschat:stack", "wschat:logical-id", "wschat:export:name"]);
        assert_eq!(live.without_records().attributes.into_keys().collect::<Vec<_>>(), ["Arn", "Ref"]);
    }
}
