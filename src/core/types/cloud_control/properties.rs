//! Properties in the forms that they have: one spelling for all of wschat, what Cloud Control reads and takes, what an update sends, and
//! what no reading gives back.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::record::{self, RECORD};
use super::{CloudControlled, SECRET, TAGS};
use crate::core::schemas::{Shape, project};
use crate::core::types::ResourceView;
use crate::core::types::tags::{self, Tags};

/// How a secret is made up, each time that it is sent.
const GENERATE: &str = "GenerateSecretString";

impl CloudControlled {
    /// The canonical form of what Cloud Control reads: as `Kind::canonical` gives desired properties, without what only AWS sets.
    pub fn live_properties(&self, model: &Value) -> Value {
        let mut properties = self.normal(model);
        if let Some(properties) = properties.as_object_mut() {
            properties.retain(|name, _| !self.schema.read_only.contains(name));
            if self.is_tagged() {
                let tags: Tags = properties.get(TAGS).map(read_tags).unwrap_or_default();
                properties.insert(TAGS.to_owned(), json!(tags::settable(tags)));
            }
        }
        properties
    }

    /// All tags in what Cloud Control reads.
    pub fn tags(&self, model: &Value) -> Tags {
        self.schema.tags.as_ref().and_then(|property| model.get(property)).map(read_tags).unwrap_or_default()
    }

    /// Canonical properties in the form that Cloud Control takes.
    pub fn model(&self, properties: &Value) -> Value {
        let mut model: Map<String, Value> = properties.as_object().cloned().unwrap_or_default();
        model.retain(|_, value| !value.is_null());
        model.remove(RECORD);
        if let Some(property) = &self.schema.tags {
            let tags = model.remove(TAGS).and_then(|tags| tags.as_object().cloned()).unwrap_or_default();
            let is_list = matches!(self.tag_shape(property), Shape::List(_) | Shape::Set(_));
            let listed = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value}));
            model.insert(property.clone(), if is_list { listed.collect() } else { Value::Object(tags) });
        }
        Value::Object(model)
    }

    /// The changes to make `live` into `desired` properties, as a JSON patch (RFC 6902). An update is read, changed and
    /// written by AWS, and what cannot be read would be lost: it is sent again.
    pub fn patch(&self, live: &Value, desired: &Value) -> Vec<Value> {
        let seen = self.seen(live, desired).unwrap_or_default();
        let model = self.model(desired);
        let empty = Map::new();
        let wanted = desired.as_object().unwrap_or(&empty);
        let is_same_digest = write_only(desired).is_some() && write_only(live) == write_only(desired);
        let mut patch = Vec::new();
        for (name, value) in wanted.iter().filter(|(name, _)| *name != RECORD) {
            // Sent again, it would make another secret.
            if is_same_digest && self.schema.type_name == SECRET && name == GENERATE {
                continue;
            }
            let property = self.schema.tags.as_deref().filter(|_| name == TAGS).unwrap_or(name);
            let is_written = self.schema.write_only.iter().any(|path| path.split('.').next() == Some(name));
            let path = format!("/{}", property.replace('~', "~0").replace('/', "~1"));
            match model.get(property) {
                None if !live[name].is_null() => patch.push(json!({"op": "remove", "path": path})),
                Some(new) if is_written || seen.get(name) != Some(value) => {
                    patch.push(json!({"op": "add", "path": path, "value": new}));
                }
                _ => {}
            }
        }
        patch
    }

    pub(super) fn tag_shape(&self, property: &str) -> &Shape {
        self.schema.properties.get(property).map_or(&Shape::Any, |shape| self.schema.resolved(shape))
    }

    /// Properties in one spelling, the tags as a map under `Tags`.
    pub(super) fn normal(&self, properties: &Value) -> Value {
        let empty = Map::new();
        let given = properties.as_object().unwrap_or(&empty).iter().filter(|(_, value)| !value.is_null());
        let normal = given.map(|(name, value)| match self.schema.properties.get(name) {
            Some(_) if self.schema.tags.as_ref() == Some(name) => (TAGS.to_owned(), json!(read_tags(value))),
            Some(shape) => (name.clone(), shape.normal(self.schema, value)),
            None => (name.clone(), value.clone()),
        });
        Value::Object(normal.collect())
    }

    /// Enough of a digest over what cannot be read back to see a change of it, and too little to guess it by. (One change in
    /// 65,536 is not seen.)
    pub(super) fn write_only_digest(&self, it: &ResourceView<'_>) -> Option<String> {
        let at = |path: &String| found_at(&path.split('.').collect::<Vec<_>>(), it.properties);
        let given: Vec<Value> = self.schema.write_only.iter().filter_map(at).collect();
        let input = json!([it.logical_id, given]).to_string();
        (!given.is_empty()).then(|| hex::encode(&Sha256::digest(input)[..2]))
    }

    /// What of live properties is compared with desired ones (`Kind::seen_as`).
    pub(super) fn seen(&self, live: &Value, desired: &Value) -> Option<Value> {
        let live = live.as_object()?;
        let mut seen: Map<String, Value> = Map::new();
        for (name, value) in live {
            match (desired.get(name), self.schema.properties.get(name)) {
                _ if name == RECORD || self.is_tagged() && name == TAGS => {
                    drop(seen.insert(name.clone(), value.clone()))
                }
                (Some(wanted), _) if self.create_only.contains(&name.as_str()) && is_same_name(value, wanted) => {
                    drop(seen.insert(name.clone(), wanted.clone()))
                }
                (Some(wanted), Some(shape)) => {
                    drop(seen.insert(name.clone(), project(self.schema, shape, value, wanted)))
                }
                _ => {}
            }
        }
        let mut seen = Value::Object(seen);
        // (The search by tags gives tags.)
        for path in self.schema.write_only.iter().filter(|path| self.schema.tags.as_ref() != Some(path)) {
            let names: Vec<&str> = path.split('.').collect();
            put_in(&names, &mut seen, desired);
        }
        Some(seen)
    }
}

/// Tags in either form that types have them in.
pub(super) fn read_tags(value: &Value) -> Tags {
    tags::deserialize(value).unwrap_or_default()
}

/// The digest of what no reading gives, in properties that have one.
pub fn write_only(properties: &Value) -> Option<&str> {
    [&properties[TAGS][tags::WRITE_ONLY], &properties[RECORD][record::WRITE_ONLY]].into_iter().find_map(Value::as_str)
}

/// Takes that digest out of properties: whatever no reading gives is sent again then.
pub fn forget_write_only(properties: &mut Value) {
    for (holder, name) in [(TAGS, tags::WRITE_ONLY), (RECORD, record::WRITE_ONLY)] {
        if let Some(members) = properties.get_mut(holder).and_then(Value::as_object_mut) {
            members.remove(name);
        }
    }
}

/// Whether one of two texts is the name of a resource and the other one its ARN: AWS may show either, whichever was given.
pub(super) fn is_same_name(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_str(), other.as_str()) else { return false };
    let is_arn_of = |arn: &str, name: &str| {
        arn.starts_with("arn:")
            && !name.is_empty()
            && arn.strip_suffix(name).is_some_and(|before| before.ends_with([':', '/']))
    };
    is_arn_of(one, other) || is_arn_of(other, one)
}

/// What a value has at a path, in a list for the elements of a list.
pub(super) fn found_at(path: &[&str], value: &Value) -> Option<Value> {
    match (path, value) {
        (_, Value::Null) => None,
        ([], value) => Some(value.clone()),
        (path, Value::Array(items)) => {
            let found: Vec<Option<Value>> = items.iter().map(|item| found_at(path, item)).collect();
            found.iter().any(Option::is_some).then(|| json!(found))
        }
        ([name, rest @ ..], value) => found_at(rest, value.get(*name)?),
    }
}

/// Puts what `desired` has at a path into `seen`, in the elements of lists of one length: no reading tells it.
pub(super) fn put_in(path: &[&str], seen: &mut Value, desired: &Value) {
    match (path, seen, desired) {
        (_, Value::Array(seen), Value::Array(desired)) if seen.len() == desired.len() => {
            seen.iter_mut().zip(desired).for_each(|(seen, desired)| put_in(path, seen, desired));
        }
        ([name, rest @ ..], Value::Object(seen), Value::Object(desired)) => {
            let Some(wanted) = desired.get(*name) else { return };
            match seen.get_mut(*name).filter(|_| !rest.is_empty()) {
                Some(seen) => put_in(rest, seen, wanted),
                None => drop(seen.insert((*name).to_owned(), wanted.clone())),
            }
        }
        _ => {}
    }
}
