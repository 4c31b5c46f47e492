//! Records of resources that cannot be tagged: which of them are the stack's is written in tags of another resource of the stack,
//! their *recorder* ([ownership.md](../../../../docs/ownership.md)).
//!
//! A record is set before its resource is created, *pending*, and says from then on what it takes to find out whether AWS created
//! it: its identifier, or marks of its properties where AWS mints that. It is removed after the resource is deleted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::CloudControlled;
use crate::core::schemas::{Schema, schema, value_at};
use crate::core::types::iam_permissions::{ANY, Permissions, Subject, tagging};
use crate::core::types::tags::{self, Tags};
use crate::core::types::{Desired, ResourceView, names};
use crate::core::words::{DeletionPolicy, Token};

/// The property of canonical properties that says how a resource is recorded.
pub const RECORD: &str = "@Record";

/// The attribute of a live resource with all the records of it (`Kept`).
pub const RECORDED_ON: &str = "@RecordedOn";

// Members of `RECORD`.

/// The ARN of the recorder.
pub const ON: &str = "On";
/// The type of the recorder.
const TYPE: &str = "Type";
const LOGICAL_ID: &str = "LogicalId";
const DELETION_POLICY: &str = "DeletionPolicy";
/// A short digest of what no reading gives back, so that a change of it is seen.
pub const WRITE_ONLY: &str = "WriteOnly";
/// Of live resources alone: that the record is to be written again, and why.
const UNSETTLED: &str = "Unsettled";

/// The owner of a resource that no record of the stack tells of.
pub const UNRECORDED: &str = "an unknown owner (this stack has no record of it)";

/// The longest value of a tag.
const MAX_VALUE: usize = 256;

/// How much of a logical id a tag's key has; the value has all of it.
const MAX_ID: usize = 80;

/// How many marks of properties a pending record has.
const MAX_MARKS: usize = 12;

/// How many digits of a mark tell the property; the others tell its value.
const NAME_DIGITS: usize = 4;

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub type_name: String,
    pub logical_id: String,
    pub deletion_policy: DeletionPolicy,
    pub write_only: Option<String>,
    pub state: State,
}

/// How far the recorded resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was created, and this is Cloud Control's identifier of it.
    Made(String),
    /// A run was about to create it, at this time (in seconds since the epoch).
    Pending { since: u64, sought: Sought },
}

/// What the resource of a pending record is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// Its identifier.
    Identifier(String),
    /// Marks of its properties (`marks`).
    Marks(Vec<String>),
}

/// Where a live resource is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The recorder.
    pub type_name: String,
    pub physical_id: String,
    pub arn: String,
    /// The keys of the tags.
    pub keys: Vec<String>,
}

impl Kept {
    /// All of an attribute (`RECORDED_ON`).
    pub fn read(text: &str) -> Vec<Self> {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The attribute that says all of these.
    pub fn write(kept: &[Self]) -> String {
        json!(kept).to_string()
    }
}

impl Record {
    /// The record of a resource that is about to be created, or is there.
    pub fn of(desired: &Desired, kind: &CloudControlled, state: State) -> Self {
        Self {
            type_name: kind.schema.type_name.to_owned(),
            logical_id: desired.logical_id.clone(),
            deletion_policy: deletion_policy(desired),
            write_only: desired.properties[RECORD][WRITE_ONLY].as_str().map(str::to_owned),
            state,
        }
    }

    /// The tags that are this record, under `key`: a value that is too long for one goes on in others.
    pub fn tags(&self, key: &str) -> Tags {
        let text = self.text();
        // The number of tags stands first, and may make them one more.
        let mut count = 1;
        let chunks = loop {
            let chunks = chunked(&format!("{count} {text}"));
            if chunks.len() <= count {
                break chunks;
            }
            count = chunks.len();
        };
        let key = |index: usize| if index == 0 { key.to_owned() } else { format!("{key}/{}", index + 1) };
        chunks.into_iter().enumerate().map(|(index, chunk)| (key(index), chunk)).collect()
    }

    fn text(&self) -> String {
        let (state, rest) = match &self.state {
            State::Made(identifier) => ("made".to_owned(), escaped(identifier)),
            State::Pending { since, sought: Sought::Identifier(identifier) } => {
                (format!("pending:{since}"), escaped(identifier))
            }
            // Tags' values do not end in a space.
            State::Pending { since, sought: Sought::Marks(marks) } => {
                (format!("marked:{since}"), if marks.is_empty() { "-".to_owned() } else { marks.join(":") })
            }
        };
        let digest = self.write_only.as_deref().unwrap_or("-");
        let policy = self.deletion_policy.as_str();
        format!("{} {} {policy} {digest} {state} {rest}", escaped(&self.type_name), escaped(&self.logical_id))
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let type_name = unescaped(words.next()?)?;
        let logical_id = unescaped(words.next()?)?;
        let deletion_policy = DeletionPolicy::read(words.next()?)?;
        let write_only = words.next().filter(|digest| *digest != "-").map(str::to_owned);
        let (state, rest) = (words.next()?, words.next().unwrap_or_default());
        let state = match state.split_once(':') {
            None if state == "made" => State::Made(unescaped(rest)?),
            Some(("pending", since)) => {
                State::Pending { since: since.parse().ok()?, sought: Sought::Identifier(unescaped(rest)?) }
            }
            Some(("marked", since)) => {
                let marks = rest.split(':').filter(|mark| *mark != "-").map(str::to_owned).collect();
                State::Pending { since: since.parse().ok()?, sought: Sought::Marks(marks) }
            }
            _ => return None,
        };
        Some(Self { type_name, logical_id, deletion_policy, write_only, state })
    }

    /// The records in tags, each with the keys of its tags. (Tags that others wrote and that are none are left out.)
    pub fn all<'a>(tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<(Vec<String>, Self)> {
        let mut parts: BTreeMap<&str, BTreeMap<usize, (&str, &str)>> = BTreeMap::new();
        for (key, value) in tags.into_iter().filter(|(key, _)| key.starts_with(tags::RESOURCE)) {
            let (first, index) = match key.rsplit_once('/') {
                Some((first, index)) => (first, index.parse().unwrap_or(0)),
                None => (key.as_str(), 1),
            };
            parts.entry(first).or_default().insert(index, (key, value));
        }
        let read = parts.into_values().filter_map(|parts| {
            let count: usize = parts.get(&1)?.1.split(' ').next()?.parse().ok()?;
            // What is beyond its end was left by a longer one.
            let text: Option<String> = (1..=count).map(|index| Some(parts.get(&index)?.1)).collect();
            let record = Self::read(text?.split_once(' ')?.1)?;
            Some((parts.into_values().map(|(key, _)| key.to_owned()).collect(), record))
        });
        read.collect()
    }

    /// The member of live properties that says how a resource is recorded, as `complete` says it of a desired one.
    pub fn property(&self, on: &Kept, unsettled: bool) -> Value {
        let mut property = recorded_as(on, &self.logical_id, self.deletion_policy);
        if let Some(digest) = &self.write_only {
            property[WRITE_ONLY] = digest.as_str().into();
        }
        if unsettled {
            property[UNSETTLED] = true.into();
        }
        property
    }
}

/// The `RECORD` of a resource that is recorded on the resource of a type with this ARN.
pub fn recorded(arn: &str, type_name: &str) -> Value {
    json!({ ON: arn, TYPE: type_name })
}

/// The same of a live resource, as `complete` makes it of a desired one.
pub fn recorded_as(on: &Kept, logical_id: &str, policy: DeletionPolicy) -> Value {
    let mut record = recorded(&on.arn, &on.type_name);
    record[LOGICAL_ID] = logical_id.into();
    record[DELETION_POLICY] = policy.as_str().into();
    record
}

/// The deletion policy that the plan has put into the `RECORD` of a desired resource.
pub fn deletion_policy(desired: &Desired) -> DeletionPolicy {
    desired.properties[RECORD][DELETION_POLICY].as_str().and_then(DeletionPolicy::read).unwrap_or_default()
}

/// Puts into `record` what the plan knows of a resource.
pub(in crate::core::types) fn complete(record: &mut Value, it: &ResourceView<'_>, digest: Option<String>) {
    record[LOGICAL_ID] = it.logical_id.into();
    record[DELETION_POLICY] = it.deletion_policy.as_str().into();
    if let Some(digest) = digest {
        record[WRITE_ONLY] = digest.into();
    }
}

/// The ARN of a desired resource's recorder.
pub fn recorder(desired: &Desired) -> Option<&str> {
    desired.properties[RECORD][ON].as_str()
}

/// The key of a desired resource's record: the resource that takes its place when it must be replaced has another one.
pub fn key(desired: &Desired, kind: &CloudControlled) -> String {
    let id: String = desired.logical_id.chars().take(MAX_ID).collect();
    let fixed: Vec<_> = kind.create_only.iter().map(|path| value_at(&desired.properties, path)).collect();
    let identity =
        json!([kind.schema.type_name, desired.logical_id, fixed, kind.given_identifier(&desired.properties)]);
    format!("{}{id}-{}", tags::RESOURCE, hex::encode(&Sha256::digest(identity.to_string())[..4]))
}

/// The keys of all tags of a desired resource's record, before that is created.
pub(in crate::core::types) fn keys(desired: &Desired, kind: &CloudControlled) -> Vec<String> {
    let state = State::Pending { since: 0, sought: sought(desired, kind) };
    Record::of(desired, kind, state).tags(&key(desired, kind)).into_keys().collect()
}

/// What the resource of a pending record is to be known by.
pub fn sought(desired: &Desired, kind: &CloudControlled) -> Sought {
    match kind.given_identifier(&desired.properties) {
        Some(identifier) => Sought::Identifier(identifier),
        None => Sought::Marks(marks(kind, &desired.properties, MAX_MARKS)),
    }
}

/// Whether a resource that AWS has is one with these marks, as far as it has those properties.
pub fn has_marks(kind: &CloudControlled, properties: &Value, wanted: &[String]) -> bool {
    let marks = marks(kind, properties, usize::MAX);
    let same_name = |one: &str, other: &str| one.get(..NAME_DIGITS) == other.get(..NAME_DIGITS);
    let fits = |mark: &&String| marks.contains(mark) || !marks.iter().any(|other| same_name(other, mark));
    wanted.iter().all(|mark| fits(&mark)) && wanted.iter().any(|mark| marks.contains(mark))
}

/// Marks of those properties that a reading gives back as they were written: a digest of each, those that cannot change first.
fn marks(kind: &CloudControlled, properties: &Value, most: usize) -> Vec<String> {
    let is_read = |name: &&String| {
        let schema = kind.schema;
        name.as_str() != RECORD && !schema.write_only.contains(name) && !schema.read_only.contains(name)
    };
    let mut names: Vec<&String> = properties.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    names.retain(is_read);
    names.sort_by_key(|name| (!kind.create_only.contains(&name.as_str()), name.as_str()));
    let marked = names.into_iter().filter_map(|name| {
        let text = match &properties[name] {
            // AWS may show an ARN where a name was given.
            Value::String(text) => text.rsplit([':', '/']).next().unwrap_or_default().to_owned(),
            value @ (Value::Bool(_) | Value::Number(_)) => value.to_string(),
            _ => return None,
        };
        let digits = |text: &str, bytes: usize| hex::encode(&Sha256::digest(text)[..bytes]);
        Some(digits(name, NAME_DIGITS / 2) + &digits(&text, 4))
    });
    marked.take(most).collect()
}

/// The permissions to set and remove a record.
pub(in crate::core::types) fn permissions(it: &Subject<'_>, permissions: &mut Permissions) {
    for record in [&it.desired[RECORD], &it.live[RECORD]] {
        let (Some(arn), Some(type_name)) = (record[ON].as_str(), record[TYPE].as_str()) else { continue };
        let arn = if Token::is_in(arn) { ANY } else { arn };
        let in_gateway = arn.split_once("::/").map(|(_, path)| path);
        match type_name {
            names::API => {
                tagging(permissions, it.scope, in_gateway.unwrap_or("apis/*"));
                continue;
            }
            names::FUNCTION => permissions.allow("lambda", &["TagResource", "UntagResource"], arn),
            "AWS::ApiGateway::RestApi" => tagging(permissions, it.scope, in_gateway.unwrap_or("restapis/*")),
            _ => {}
        }
        permissions.allow("tag", &["TagResources", "UntagResources"], ANY);
        if let Some(schema) = schema(type_name) {
            allow_tagging(schema, permissions);
        }
    }
}

/// The permissions of a resource's own service behind calls of the Tagging API, which calls it on the caller's behalf.
pub(super) fn allow_tagging(schema: &Schema, permissions: &mut Permissions) {
    let actions = ["create", "read", "update"].map(|handler| schema.actions(handler)).into_iter().flatten();
    for (service, action) in actions.filter_map(|action| action.split_once(':')) {
        if action.contains("Tag") {
            permissions.allow(service, &[action], ANY);
        }
    }
}

/// A text in the characters that every tag takes; no space is among them.
fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/+-@".contains(&byte);
    let written = text.bytes().map(|byte| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("={byte:02X}"),
    });
    written.collect()
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut read = Vec::new();
    while let Some(byte) = bytes.next() {
        read.push(match byte {
            b'=' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(read).ok()
}

/// A text (of one byte a character) in pieces that fit into values and neither begin nor end in a space.
fn chunked(text: &str) -> Vec<String> {
    let mut chunks = Vec::new();
    let mut rest = text;
    while rest.len() > MAX_VALUE {
        let is_space = |at: usize| rest.as_bytes().get(at) == Some(&b' ');
        let end = (1..=MAX_VALUE).rev().find(|end| !is_space(*end) && !is_space(end - 1)).unwrap_or(MAX_VALUE);
        let (chunk, after) = rest.split_at(end);
        chunks.push(chunk.to_owned());
        rest = after;
    }
    chunks.push(rest.to_owned());
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::types::cloud_control::kind;

    fn record(state: State) -> Record {
        Record {
            type_name: "AWS::Cognito::UserPoolClient".to_owned(),
            logical_id: "Client".to_owned(),
            deletion_policy: DeletionPolicy::Retain,
            write_only: Some("1a2b".to_owned()),
            state,
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let long = format!("{}|{}", "group name/".repeat(50), "ü%=$".repeat(60));
        let pending = |sought| State::Pending { since: 1_764_400_000, sought };
        for state in [
            State::Made("us-east-1_abc|4client id".to_owned()),
            State::Made(long.clone()),
            pending(Sought::Identifier(long)),
            pending(Sought::Marks(vec!["0a0a0a0a".to_owned(), "ffffffff".to_owned()])),
            pending(Sought::Marks(Vec::new())),
        ] {
            let written = record(state);
            let mut tags = written.tags("wschat:resource:Client-0a1b2c3d");
            for (key, value) in &tags {
                let allowed = |letter: char| letter.is_ascii_alphanumeric() || " _.:/=+-@".contains(letter);
                assert!(value.len() <= MAX_VALUE && value.trim() == value, "{value:?}");
                assert!(key.chars().chain(value.chars()).all(allowed), "{key} {value}");
            }
            tags.insert("team".to_owned(), "blue".to_owned());
            // What a longer record has left means nothing, and goes with it.
            let beyond = format!("wschat:resource:Client-0a1b2c3d/{}", tags.len());
            tags.insert(beyond.clone(), "more".to_owned());
            let read = Record::all(&tags);
            assert_eq!(read.len(), 1);
            assert_eq!(read[0].1, written);
            assert_eq!(read[0].0.len(), tags.len() - 1, "{tags:?}");
            assert!(read[0].0.contains(&beyond));
        }
    }

    #[test]
    fn what_is_no_record_is_passed_over() {
        for (key, value) in [
            ("wschat:resource:A-1", "nonsense"),
            ("wschat:resource:A-1", ""),
            ("wschat:resource:A-1", "2 AWS::SNS::Subscription A Delete - made arn"),
            ("wschat:resource:A-1", "1 AWS::SNS::Subscription A Sometimes - made arn"),
            ("wschat:resource:A-1", "1 AWS::SNS::Subscription A Delete - made =7"),
            ("wschat:resource:A-1/2", "1 AWS::SNS::Subscription A Delete - made arn"),
            ("wschat:stack", "1 AWS::SNS::Subscription A Delete - made arn"),
        ] {
            assert!(Record::all([(&key.to_owned(), &value.to_owned())]).is_empty(), "{key} {value}");
        }
    }

    #[test]
    fn a_replacement_has_another_key() {
        let kind = kind("AWS::SNS::Subscription").unwrap();
        let key = |properties: Value| {
            let logical_id = "Subscription".repeat(20);
            super::key(&Desired { logical_id, name: None, properties, code: None }, kind)
        };
        let one = key(json!({"TopicArn": "t", "Protocol": "sqs", "Endpoint": "a"}));
        assert_ne!(one, key(json!({"TopicArn": "t", "Protocol": "sqs", "Endpoint": "b"})));
        assert_eq!(one, key(json!({"TopicArn": "t", "Protocol": "sqs", "Endpoint": "a", "RawMessageDelivery": true})));
        assert!(one.len() <= 120, "{one}");
    }

    #[test]
    fn marks_tell_what_a_run_was_about_to_make() {
        let kind = kind("AWS::Cognito::UserPoolClient").unwrap();
        let properties = json!({"UserPoolId": "p", "ClientName": "web", "GenerateSecret": false, RECORD: {ON: "arn"}});
        let desired = Desired { logical_id: "Client".to_owned(), name: None, properties, code: None };
        let Sought::Marks(marks) = sought(&desired, kind) else { panic!("it is AWS's to name") };
        let model =
            |pool: &str| json!({"UserPoolId": pool, "ClientName": "web", "ClientId": "c", "RefreshTokenValidity": 30});
        assert!(has_marks(kind, &model("p"), &marks));
        assert!(!has_marks(kind, &model("q"), &marks));
    }
}
