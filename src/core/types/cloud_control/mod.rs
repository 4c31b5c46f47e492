//! Every resource type that has no file of its own here and that AWS Cloud Control can create, read, update and delete: one kind
//! of `Kind`, driven by the type's published schema (`core::schemas`).
//!
//! What belongs to a stack is found by its tags, whatever it is called. The tag `wschat:type` says of which type it is, since the
//! ARN that AWS's search by tags gives does not. What cannot be tagged is recorded in a tag of another resource of the stack
//! (`record`).

mod attributes;
mod check;
mod documented;
mod facts;
mod identity;
mod name;
mod permissions;
mod properties;
pub mod record;

use std::collections::{BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Map, Value};

use self::facts::{GLOBAL, REFUSED, UNIQUE_BY};
use self::name::Form;
pub use self::permissions::{permissions_to_list, roles_in};
pub use self::properties::{forget_write_only, write_only};
use self::record::{RECORD, RECORDED_ON};
use super::constraints::Refusal;
use super::iam_permissions::{Permissions, Subject};
use super::tags;
use super::{Attribute, Change, Desired, Doubled, Kind, Live, Naming, Planning, RecorderArn, ResourceView, StackView};
use crate::core::schemas::{self, Schema, value_at};
use crate::core::words::{Path, Problem, Scope};

/// The attribute of a live resource that is Cloud Control's identifier of it.
pub const IDENTIFIER: &str = "@Identifier";

/// Types that are one attribute of another resource: creating one writes it.
const WRITTEN_OVER: &[&str] = &["AWS::SQS::QueueInlinePolicy", "AWS::SNS::TopicInlinePolicy"];

/// The property of canonical properties with the tags, whatever the type calls it.
pub const TAGS: &str = "Tags";

/// Types that the local cloud runs: their services are there, or what serves them (`local::apigateway::rest`).
const RUN_LOCALLY: &[&str] = &[
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::Method",
    "AWS::ApiGateway::Resource",
    REST_API,
    "AWS::ApiGateway::Stage",
    "AWS::Events::EventBus",
    "AWS::Events::Rule",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicInlinePolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueueInlinePolicy",
    "AWS::SSM::Parameter",
    "AWS::Scheduler::Schedule",
    "AWS::Scheduler::ScheduleGroup",
    SECRET,
];

/// `Ref` of a rule names its bus, too, where that is not the default one.
const RULE: &str = "AWS::Events::Rule";

/// Queues are identified by their URL (SQS developer guide, "Queue and message identifiers").
const QUEUE: &str = "AWS::SQS::Queue";

const SECRET: &str = "AWS::SecretsManager::Secret";

const REST_API: &str = "AWS::ApiGateway::RestApi";

/// The region in which global resources are found by their tags.
pub const GLOBAL_REGION: &str = "us-east-1";

/// One such type.
pub struct CloudControlled {
    pub schema: &'static Schema,
    noun: &'static str,
    naming: Option<Naming>,
    form: Form,
    create_only: &'static [&'static str],
    properties: &'static [&'static str],
    attributes: &'static [&'static str],
    /// The properties that identify it, where every template gives all of them: there is one resource of these at most.
    identity: &'static [&'static str],
    /// Properties that say where it lies, which its ARN need not tell: given parts of an identifier of several, and what a list of
    /// its type must be told. Tags keep them.
    located_by: &'static [&'static str],
}

/// The type of this name, if it is one of these.
pub fn kind(type_name: &str) -> Option<&'static CloudControlled> {
    static MADE: LazyLock<Mutex<HashMap<String, &'static CloudControlled>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = made.get(type_name) {
        return Some(known);
    }
    let schema = schemas::schema(type_name).filter(|_| why_not(type_name).is_none())?;
    let kind: &'static CloudControlled = Box::leak(Box::new(CloudControlled::new(schema)));
    made.insert(type_name.to_owned(), kind);
    Some(kind)
}

/// Why a type that Cloud Control has is not one of these.
pub fn why_not(type_name: &str) -> Option<&'static str> {
    let why = REFUSED.iter().find(|(start, _)| type_name.starts_with(start)).map(|(_, why)| *why);
    why.filter(|_| schemas::schema(type_name).is_some())
}

/// Whether resources of this type belong to no region, and could be found again only in `GLOBAL_REGION`.
pub fn is_global(type_name: &str) -> bool {
    let service = type_name.split("::").nth(1).unwrap_or_default();
    GLOBAL.contains(&service) && kind(type_name).is_some_and(CloudControlled::is_tagged)
}

impl CloudControlled {
    fn new(schema: &'static Schema) -> Self {
        let words: Vec<&str> = schema.type_name.split("::").skip(1).collect();
        let noun: &'static str = words.join(" ").leak();
        let all = || {
            schema.properties.keys().map(String::as_str).filter(|name| !schema.read_only.iter().any(|one| one == name))
        };
        // What cannot be changed in place at all is replaced whatever changes. Whose a resource is can change in any case: such tags
        // are set by the Tagging API. What identifies a resource makes it another one.
        let identifying = schema.identifier.iter().filter(|path| !schema.read_only.contains(path));
        let fixed = schema.create_only.iter().chain(identifying).map(String::as_str);
        let create_only: BTreeSet<&'static str> = if schema.is_mutable() { fixed.collect() } else { all().collect() };
        let create_only: Vec<&'static str> =
            create_only.into_iter().filter(|name| schema.tags.as_deref() != Some(name)).collect();
        let (naming, form) = name::of(schema).unzip();
        let is_given =
            |path: &String| schema.required.contains(path) && !schema.read_only.contains(path) && naming.is_none();
        let unique_by =
            UNIQUE_BY.iter().find(|(of, _)| *of == schema.type_name).map(|(_, properties)| properties.to_vec());
        let identity: Vec<&'static str> = match schema.tags.is_none() && schema.identifier.iter().all(is_given) {
            true => schema.identifier.iter().map(String::as_str).collect(),
            false => unique_by.unwrap_or_default(),
        };
        Self {
            schema,
            noun,
            identity: identity.leak(),
            located_by: identity::located_by(schema).leak(),
            naming,
            form: form.unwrap_or_default(),
            create_only: create_only.leak(),
            properties: all().collect::<Vec<_>>().leak(),
            attributes: schema.read_only.iter().map(String::as_str).collect::<Vec<_>>().leak(),
        }
    }

    /// Whether it carries tags of its own; else it is recorded.
    pub fn is_tagged(&self) -> bool {
        self.schema.tags.is_some()
    }
}

impl Kind for CloudControlled {
    fn type_name(&self) -> &'static str {
        self.schema.type_name
    }

    fn noun(&self) -> &'static str {
        self.noun
    }

    fn naming(&self) -> Option<Naming> {
        self.naming
    }

    fn formed(&self, name: String, properties: &Map<String, Value>) -> String {
        self.form.of(name, properties)
    }

    fn internal(&self) -> &'static [&'static str] {
        if self.is_tagged() { &[] } else { &[RECORD] }
    }

    fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
        let problems = check::check(self.schema, properties);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(self.normal(properties))
    }

    fn refuses(&self, properties: &Value) -> Vec<Refusal> {
        let mut refusals = check::refuses(self.schema, properties);
        refusals.extend(documented::refuses(self.schema.type_name, properties));
        refusals
    }

    fn conflicts(&self, stack: &dyn StackView) -> Vec<Problem> {
        documented::conflicts(self.schema.type_name, stack)
    }

    fn complete(&self, it: &ResourceView<'_>, properties: &mut Value, _stack: &dyn Planning) {
        let digest = self.write_only_digest(it);
        if !self.is_tagged() {
            record::complete(&mut properties[RECORD], it, digest);
            return;
        }
        properties[TAGS][tags::TYPE] = self.schema.type_name.into();
        for path in self.located_by {
            if let Some(text) = value_at(it.properties, path).and_then(identity::tag_value) {
                properties[TAGS][format!("{}{path}", tags::LIES_IN)] = text.into();
            }
        }
        if let Some(digest) = digest {
            properties[TAGS][tags::WRITE_ONLY] = digest.into();
        }
    }

    fn create_only(&self) -> &'static [&'static str] {
        self.create_only
    }

    fn seen_as(&self, live: &Value, desired: &Value) -> Option<Value> {
        self.seen(live, desired)
    }

    /// AWS asks of most of them whether what they refer to is there.
    fn hard(&self) -> &'static [&'static str] {
        self.properties
    }

    fn attribute(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        self.attribute_of(scope, name, attribute)
    }

    fn changes_attribute(&self, attribute: &str, changes: &[Change]) -> bool {
        let top = attribute.split('.').next().unwrap_or_default();
        // No reading gives back what a digest stands for.
        let is_tag = |change: &&Change| change.top() == TAGS && !change.property.ends_with(tags::WRITE_ONLY);
        let mut others = changes.iter().filter(|change| !is_tag(change)).peekable();
        let is_set_by_aws = self.schema.read_only.iter().any(|path| path == attribute || path == top);
        others.peek().is_some() && is_set_by_aws && !attributes::stays(attribute)
            || others.any(|change| change.top() == top)
    }

    fn taggable(&self) -> bool {
        self.is_tagged()
    }

    fn unique_by(&self) -> &'static [&'static str] {
        self.identity
    }

    fn agrees_in(&self) -> &'static [&'static str] {
        // AWS may show an ARN where the template gives a name.
        &[]
    }

    fn recorder_arn(&self) -> Option<RecorderArn> {
        let is_arn = |path: &&String| {
            path.as_str() == "Arn" || path.ends_with("Arn") && self.schema.identifier == [(*path).clone()]
        };
        if !self.is_tagged() || is_global(self.schema.type_name) {
            return None;
        }
        if self.schema.type_name == REST_API {
            return Some(RecorderArn::Gateway("restapis/"));
        }
        let attribute = self.schema.read_only.iter().find(is_arn).map(String::as_str);
        // A secret's id is its ARN.
        let attribute = attribute.or((self.schema.type_name == SECRET).then_some("Id"));
        attribute.map(RecorderArn::Attribute)
    }

    fn is_recorded(&self) -> bool {
        !self.is_tagged()
    }

    fn record_of(&self, desired: &Desired) -> Option<(String, Vec<String>)> {
        let recorder = record::recorder(desired).filter(|_| !self.is_tagged())?;
        Some((recorder.to_owned(), record::keys(desired, self)))
    }

    fn recorded_on(&self, live: &Live) -> Vec<(String, String)> {
        let kept = live.attributes.get(RECORDED_ON).map(|text| record::Kept::read(text)).unwrap_or_default();
        kept.into_iter().map(|kept| (kept.type_name, kept.physical_id)).collect()
    }

    fn is(&self, desired: &Desired, live: &Live) -> bool {
        self.is_found_in(desired, live)
    }

    fn holds_data(&self) -> bool {
        facts::holds_data(self.schema)
    }

    fn is_deleted_after_users(&self) -> bool {
        true
    }

    fn doubled(&self) -> Option<Doubled> {
        WRITTEN_OVER.contains(&self.schema.type_name).then_some(Doubled::WrittenOver)
    }

    /// The local cloud serves REST APIs, and says where (`local::cloudcontrol`); on AWS what is spelled out is right.
    fn spelled_address(&self, _: &Value, physical_id: &str, scope: &Scope) -> Option<String> {
        let is_api = self.schema.type_name == REST_API;
        is_api.then(|| format!("https://{physical_id}.execute-api.{}.{}", scope.region, scope.url_suffix()))
    }

    fn gateway_log(&self, live: &Live) -> Option<String> {
        (self.schema.type_name == REST_API).then(|| format!("{}/", live.physical_id))
    }

    fn is_record_locally(&self) -> bool {
        !RUN_LOCALLY.contains(&self.schema.type_name)
    }

    fn refused_locally(&self, properties: &Value) -> Option<&'static str> {
        let names_it = match self.schema.type_name {
            "AWS::ApiGateway::Method" => properties["AuthorizationType"] == "COGNITO_USER_POOLS",
            REST_API => properties["Body"].to_string().to_ascii_lowercase().contains("\"cognito_user_pools\""),
            _ => false,
        };
        names_it.then_some("Cognito authorizers")
    }

    fn permissions(&self, it: &Subject<'_>, permissions: &mut Permissions) {
        self.allow(it, permissions);
    }

    fn name_in(&self, formed_id: &str) -> String {
        self.named_by(formed_id)
    }

    fn permissions_to_import(&self, _: &Subject<'_>, again: bool, permissions: &mut Permissions) {
        for (service, action) in self.schema.actions("create").iter().filter_map(|action| action.split_once(':')) {
            if again {
                permissions.allow(service, &[action], "*");
            }
        }
    }
}

/// A problem's path in `Properties`.
fn below(name: &str) -> Path {
    Path::default().key(name)
}

#[cfg(test)]
mod tests;
