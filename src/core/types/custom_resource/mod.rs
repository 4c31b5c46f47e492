//! `Custom::NAME` and `AWS::CloudFormation::CustomResource`: a function of the user's makes, changes and deletes something, and
//! says how it went by writing an answer to an address that it is given.
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html>)
//!
//! AWS cannot be asked what such a function has made. So what it was last told, and what it answered, is kept in an object of a
//! bucket of the stack (`state`), and a tag of another resource of the stack says where (`pointer`).

pub mod pointer;
mod sdk;
pub mod state;

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Map, Value};

use self::pointer::Pointer;
pub use self::state::SERVICE_TOKEN;
use self::state::State;
use super::cloud_control::record::{self, Kept, RECORD, RECORDED_ON};
use super::constraints::Refusal;
use super::iam_permissions::{ANY, Permissions, Subject};
use super::{Attribute, Change, Desired, Kind, Live, Planning, ResourceView};
use crate::core::words::{Path, Problem, ProblemKind, Scope, Token};

/// The type's name where a template gives it none of its own.
pub const TYPE: &str = "AWS::CloudFormation::CustomResource";

/// What the name of every other one begins with, and how long the rest may be (template reference, `AWS::CloudFormation::CustomResource`).
pub const PREFIX: &str = "Custom::";
const LONGEST_NAME: usize = 60;

/// The property with the longest time that an answer may take, in seconds.
pub const SERVICE_TIMEOUT: &str = "ServiceTimeout";

/// The longest time, and the one where the template gives none.
pub const LONGEST_TIMEOUT: u64 = 3600;

/// The logical id of the bucket that answers are written to. It comes into every template with custom resources.
pub const BUCKET_ID: &str = "CustomResourceAnswers";

/// The property that the plan puts in: the name of that bucket.
pub const BUCKET: &str = "@Bucket";

/// The attribute of a live resource with its state, JSON.
pub const STATE: &str = "@State";

/// The CDK's type for calls of the SDK.
const SDK_CALLS: &str = "Custom::AWS";

/// One such type.
pub struct CustomResource {
    type_name: &'static str,
}

/// The one without a name of its own.
pub static UNNAMED: CustomResource = CustomResource { type_name: TYPE };

/// The type of this name, if it is a custom resource's.
pub fn kind(type_name: &str) -> Option<&'static CustomResource> {
    static MADE: LazyLock<Mutex<HashMap<String, &'static CustomResource>>> = LazyLock::new(Mutex::default);
    if type_name == TYPE {
        return Some(&UNNAMED);
    }
    let name = type_name.strip_prefix(PREFIX)?;
    let is_valid = |c: char| c.is_ascii_alphanumeric() || "_@-".contains(c);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_valid) {
        return None;
    }
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = made.get(type_name) {
        return Some(known);
    }
    let kind: &'static CustomResource = Box::leak(Box::new(CustomResource { type_name: type_name.to_owned().leak() }));
    made.insert(type_name.to_owned(), kind);
    Some(kind)
}

/// The properties that the function is told: without those that the plan puts in.
pub fn told(properties: &Value) -> Value {
    let told = properties.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with('@'));
    Value::Object(told.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// How long an answer to what has these properties may take, in seconds.
pub fn timeout(properties: &Value) -> u64 {
    let given = properties[SERVICE_TIMEOUT].as_str().and_then(|text| text.parse().ok());
    given.unwrap_or(LONGEST_TIMEOUT).min(LONGEST_TIMEOUT)
}

/// Whether requests can be sent to what a text names: to a function, or to a topic.
fn is_token(text: &str) -> bool {
    let service = text.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(1));
    service == Some("lambda") || is_topic(text)
}

/// Whether an ARN is a topic's: what subscribes to it answers in a function's place.
pub fn is_topic(arn: &str) -> bool {
    arn.starts_with("arn:") && arn.split(':').nth(2) == Some("sns")
}

/// Scalars as the texts that CloudFormation makes of them.
fn as_texts(value: &Value) -> Value {
    match value {
        Value::Bool(_) | Value::Number(_) => value.to_string().into(),
        Value::Array(items) => items.iter().map(as_texts).collect(),
        Value::Object(members) => {
            let stated = members.iter().filter(|(_, value)| !value.is_null());
            Value::Object(stated.map(|(name, value)| (name.clone(), as_texts(value))).collect())
        }
        other => other.clone(),
    }
}

impl Kind for CustomResource {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn noun(&self) -> &'static str {
        "custom resource"
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let empty = Map::new();
        let given = properties.as_object().unwrap_or(&empty);
        let mut problems = Vec::new();
        let at = |name: &str| Path::default().key(name);
        match given.get(SERVICE_TOKEN) {
            None | Some(Value::Null) => {
                let what = format!("missing property \"{SERVICE_TOKEN}\"");
                problems.push(Problem::new(Path::default(), what).kind(ProblemKind::Missing));
            }
            Some(Value::String(token)) if !Token::is_in(token) && !is_token(token) => {
                let what = format!("{SERVICE_TOKEN} must be the ARN of a function or a topic");
                let help = "!GetAtt FUNCTION.Arn, or !Ref TOPIC";
                problems.push(Problem::new(at(SERVICE_TOKEN), what).help(help));
            }
            Some(Value::String(_)) => {}
            Some(_) => {
                let what = format!("{SERVICE_TOKEN} must be a string");
                problems.push(Problem::new(at(SERVICE_TOKEN), what).kind(ProblemKind::IllTyped));
            }
        }
        let timeout = given.get(SERVICE_TIMEOUT).map(as_texts);
        if let Some(timeout) = timeout.filter(|timeout| !timeout.as_str().is_some_and(Token::is_in)) {
            let seconds = timeout.as_str().and_then(|text| text.parse::<u64>().ok());
            if !seconds.is_some_and(|seconds| (1..=LONGEST_TIMEOUT).contains(&seconds)) {
                let what = format!("{SERVICE_TIMEOUT} must be a number of seconds between 1 and {LONGEST_TIMEOUT}");
                problems.push(Problem::new(at(SERVICE_TIMEOUT), what).kind(ProblemKind::IllTyped));
            }
        }
        if problems.is_empty() { Ok(as_texts(properties)) } else { Err(problems) }
    }

    fn refuses(&self, _: &Value) -> Vec<Refusal> {
        Vec::new()
    }

    fn sdk_packages(&self, properties: &Value) -> Vec<String> {
        if self.type_name() == SDK_CALLS { sdk::packages(properties) } else { Vec::new() }
    }

    fn internal(&self) -> &'static [&'static str] {
        &[RECORD, BUCKET]
    }

    fn complete(&self, it: &ResourceView<'_>, properties: &mut Value, stack: &dyn Planning) {
        record::complete(&mut properties[RECORD], it, None);
        let bucket = stack.get(BUCKET_ID).and_then(|bucket| bucket.name.map(str::to_owned));
        properties[BUCKET] = bucket.unwrap_or_default().into();
    }

    fn create_only(&self) -> &'static [&'static str] {
        &[]
    }

    fn fixed(&self) -> &'static [&'static str] {
        &[SERVICE_TOKEN]
    }

    fn hard(&self) -> &'static [&'static str] {
        &[]
    }

    fn waits_for_all(&self) -> bool {
        true
    }

    fn attribute(&self, _: &Scope, _: Option<&str>, attribute: Option<&str>) -> Attribute {
        match attribute {
            // What the plan keeps beside them.
            Some(attribute) if attribute.starts_with('@') => Attribute::Unknown(&[]),
            _ => Attribute::Minted,
        }
    }

    /// Its function answers as it likes, whatever has changed.
    fn changes_attribute(&self, _: &str, _: &[Change]) -> bool {
        true
    }

    fn is_recorded(&self) -> bool {
        true
    }

    fn record_of(&self, desired: &Desired) -> Option<(String, Vec<String>)> {
        let pointer = Pointer::of(self.type_name, desired, record::deletion_policy(desired), "");
        Some((record::recorder(desired)?.to_owned(), vec![pointer.key()]))
    }

    fn recorded_on(&self, live: &Live) -> Vec<(String, String)> {
        let kept = live.attributes.get(RECORDED_ON).map(|text| Kept::read(text)).unwrap_or_default();
        kept.into_iter().map(|kept| (kept.type_name, kept.physical_id)).collect()
    }

    /// Its function may give two of them the same id.
    fn known_id(&self, desired: &Desired) -> Option<String> {
        Some(desired.logical_id.clone())
    }

    fn needs_ready(&self, _: &dyn Kind) -> bool {
        true
    }

    fn is_deleted_first(&self) -> bool {
        true
    }

    fn is_deleted_before(&self, live: &Live, other: &Live) -> bool {
        // What an update left behind goes first; its state is that of the other one.
        if live.logical_id == other.logical_id && live.type_name == other.type_name {
            return Some(&live.physical_id) != live.logical_id.as_ref();
        }
        // Its function was asked for it when the other one was there.
        let state = |live: &Live| live.attributes.get(STATE).and_then(|text| serde_json::from_str::<State>(text).ok());
        state(live).zip(state(other)).is_some_and(|(state, other)| other.ended > 0 && other.ended <= state.begun)
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        let partition = &it.scope.partition;
        for bucket in it.texts(BUCKET).into_iter().filter(|bucket| !bucket.is_empty()) {
            let objects = format!("arn:{partition}:s3:::{bucket}/*");
            permissions.allow("s3", &["GetObject"], objects.as_str());
            // Without it S3 does not say that an object is missing.
            permissions.allow("s3", &["ListBucket"], format!("arn:{partition}:s3:::{bucket}"));
            if it.acts() {
                // The function writes with an address that the caller signs.
                permissions.allow("s3", &["PutObject"], objects.as_str());
            }
            if !it.keeps {
                permissions.allow("s3", &["DeleteObject"], objects);
            }
        }
        if it.acts() {
            record::permissions(it, permissions);
            for token in it.texts(SERVICE_TOKEN) {
                // Of what is not there yet the ARN is not known, and where it is a `Ref`, not even whose it is: a version's or a topic's.
                let open: Vec<String> = Token::find(&token).into_iter().map(|token| token.attribute).collect();
                let is_open = |attribute: &str| open.iter().any(|one| one == attribute);
                if is_topic(&token) || is_open("Ref") || is_open("TopicArn") {
                    let topic = if open.is_empty() { token.clone() } else { it.scope.arn("sns", ANY) };
                    permissions.allow("sns", &["Publish"], topic);
                }
                if !is_topic(&token) && !is_open("TopicArn") {
                    let function = if open.is_empty() { token } else { ANY.to_owned() };
                    permissions.allow("lambda", &["InvokeFunction"], function);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_those_that_cloudformation_takes() {
        for (name, is_one) in [
            ("AWS::CloudFormation::CustomResource", true),
            ("Custom::Rooms", true),
            ("Custom::My_Thing@2-b", true),
            ("Custom::", false),
            ("Custom::A B", false),
            ("AWS::CloudFormation::Stack", false),
        ] {
            assert_eq!(kind(name).map(|kind| kind.type_name), Some(name).filter(|_| is_one), "{name}");
        }
        assert!(kind(&format!("Custom::{}", "a".repeat(61))).is_none());
        assert!(std::ptr::eq(kind("Custom::Rooms").unwrap(), kind("Custom::Rooms").unwrap()));
    }

    #[test]
    fn properties_are_told_as_texts() {
        let given = json!({
            "ServiceToken": "arn:aws:lambda:eu-west-1:123456789012:function:f", "Count": 3, "On": true, "Gone": null,
            "Rooms": ["lobby", 7, {"Size": 1.5}],
        });
        let canonical = UNNAMED.canonical(&given).unwrap();
        assert_eq!(canonical["Count"], "3");
        assert_eq!(canonical["On"], "true");
        assert_eq!(canonical["Rooms"], json!(["lobby", "7", {"Size": "1.5"}]));
        assert!(canonical.get("Gone").is_none());
        assert_eq!(UNNAMED.canonical(&canonical).unwrap(), canonical);
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        let said = |given: Value| match UNNAMED.canonical(&given) {
            Ok(_) => String::new(),
            Err(problems) => problems.into_iter().map(|problem| problem.what).collect::<Vec<_>>().join("; "),
        };
        let function = "arn:aws:lambda:eu-west-1:123456789012:function:f";
        assert_eq!(said(json!({})), "missing property \"ServiceToken\"");
        assert_eq!(said(json!({"ServiceToken": 1})), "ServiceToken must be a string");
        for wrong in ["f", "arn:aws:s3:::b", "arn:aws:states:eu-west-1:123456789012:stateMachine:m", "arn:"] {
            let wrong = said(json!({"ServiceToken": wrong}));
            assert_eq!(wrong, "ServiceToken must be the ARN of a function or a topic");
        }
        assert_eq!(said(json!({"ServiceToken": "arn:aws-cn:sns:cn-north-1:123456789012:t"})), "");
        for (timeout, is_right) in [(json!(1), true), (json!("3600"), true), (json!(0), false), (json!("soon"), false)]
        {
            let said = said(json!({"ServiceToken": function, "ServiceTimeout": timeout}));
            assert_eq!(said.is_empty(), is_right, "{timeout}: {said}");
        }
        assert_eq!(said(json!({"ServiceToken": Token::text("F", "Arn")})), "");
    }
}
