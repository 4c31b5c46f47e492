//! The tag of another resource of the stack that says of a custom resource where its state is.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::core::types::tags;
use crate::core::types::{Desired, S3Object};
use crate::core::words::DeletionPolicy;

/// The longest part of a logical id in a key: a tag's key has 128 characters.
const MAX_ID: usize = 60;

/// What a tag says of a custom resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    pub type_name: String,
    pub deletion_policy: DeletionPolicy,
    pub bucket: String,
    /// The end of the tag's key, and the name of the object.
    pub name: String,
}

impl Pointer {
    /// The pointer to the state of a desired resource.
    pub fn of(type_name: &str, desired: &Desired, policy: DeletionPolicy, bucket: &str) -> Self {
        let id: String = desired.logical_id.chars().take(MAX_ID).collect();
        let digest = Sha256::digest(format!("{type_name} {}", desired.logical_id));
        Self {
            type_name: type_name.to_owned(),
            deletion_policy: policy,
            bucket: bucket.to_owned(),
            name: format!("{id}-{}", hex::encode(&digest[..4])),
        }
    }

    /// The pointer that a tag is, if it is one.
    pub fn read(key: &str, value: &str) -> Option<Self> {
        let name = key.strip_prefix(tags::CUSTOM)?;
        let mut words = value.split(' ');
        let (type_name, policy, bucket) = (words.next()?, words.next()?, words.next()?);
        super::kind(type_name)?;
        Some(Self {
            type_name: type_name.to_owned(),
            deletion_policy: DeletionPolicy::read(policy)?,
            bucket: bucket.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The tag's key.
    pub fn key(&self) -> String {
        format!("{}{}", tags::CUSTOM, self.name)
    }

    /// The tag's value. (Everything in it is in the characters that tags take.)
    pub fn value(&self) -> String {
        format!("{} {} {}", self.type_name, self.deletion_policy.as_str(), self.bucket)
    }

    /// The object with the state.
    pub fn state(&self) -> S3Object {
        self.object(format!("state/{}.json", self.name))
    }

    /// The object that the function writes its answer to a request into.
    pub fn answer(&self, request: &str) -> S3Object {
        self.object(format!("answers/{request}.json"))
    }

    /// Whether an object's key is one that wschat gives: that of a state or of an answer.
    pub fn is_key(key: &str) -> bool {
        let name = |folder: &str| key.strip_prefix(folder)?.strip_suffix(".json");
        let is_state = |name: &str| {
            let (id, digest) = name.rsplit_once('-').unwrap_or_default();
            let is_digest = digest.len() == 8 && digest.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
            is_digest && !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric())
        };
        name("state/").is_some_and(is_state) || name("answers/").is_some_and(|id| Uuid::try_parse(id).is_ok())
    }

    fn object(&self, key: String) -> S3Object {
        S3Object { bucket: self.bucket.clone(), key, version: None }
    }

    /// The logical id, as far as the name tells it.
    pub fn logical_id(&self) -> &str {
        self.name.rsplit_once('-').map_or(self.name.as_str(), |(id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_pointer_is_read_as_it_was_written() {
        let logical_id = "Seed".repeat(60);
        let desired = Desired { logical_id, name: None, properties: Value::Null, code: None };
        let pointer = Pointer::of("Custom::Rooms", &desired, DeletionPolicy::Retain, "chat-answers-0a1b2c3d");
        assert!(pointer.key().len() <= 128 && pointer.value().len() <= 256);
        assert_eq!(Pointer::read(&pointer.key(), &pointer.value()), Some(pointer));
        for (key, value) in [
            ("wschat:custom:Seed-0a1b2c3d", "AWS::SNS::Topic Delete b"),
            ("wschat:custom:Seed-0a1b2c3d", "Custom::Rooms Sometimes b"),
            ("wschat:custom:Seed-0a1b2c3d", "Custom::Rooms Delete"),
            ("wschat:resource:Seed-0a1b2c3d", "Custom::Rooms Delete b"),
        ] {
            assert_eq!(Pointer::read(key, value), None, "{key} {value}");
        }
    }

    #[test]
    fn keys_of_others_are_told_apart() {
        let desired = Desired { logical_id: "Rooms2".to_owned(), name: None, properties: Value::Null, code: None };
        let pointer = Pointer::of("Custom::Rooms", &desired, DeletionPolicy::Delete, "b");
        let answer = pointer.answer(&Uuid::from_u128(1).to_string()).key;
        assert!(Pointer::is_key(&pointer.state().key) && Pointer::is_key(&answer), "{answer}");
        for others in [
            "photos/1.jpg",
            "state/of-the-nation.json",
            "state/Rooms-0a1b2c3d.txt",
            "old/state/Rooms-0a1b2c3d.json",
            "answers/42.json",
            "answers/",
        ] {
            assert!(!Pointer::is_key(others), "{others}");
        }
    }
}
