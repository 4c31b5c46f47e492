//! The resources of stacks, by their types: what identifies one, how it is made and deleted by calls of its service, what `Ref` and
//! `Fn::GetAtt` give. Types without a file here are made through Cloud Control, as CloudFormation makes them, too.
//!
//! The identifiers are the schemas' `primaryIdentifier` (cfn-lint 1.58.0), what `Ref` gives is in the template reference.

mod cdk;
mod controlled;
mod dynamodb;
mod gateway;
mod iam;
mod lambda;
mod logs;
mod policies;
pub mod updates;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::calls::Calls;
use super::evaluate::Attributes;
use crate::core::schemas::schema;
use crate::local::protocol::wire::ApiError;

pub use super::model::Identifier;

/// How long CloudFormation waits between two looks at what is under way, and how often it looks.
const PAUSE: Duration = Duration::from_millis(10);
const LOOKS: usize = 6_000;

/// A resource as its template has it.
pub struct Declared<'a> {
    pub type_name: &'a str,
    /// The properties with every function evaluated.
    pub properties: &'a Value,
    /// A name in CloudFormation's form, for one that has none.
    pub name: &'a str,
}

/// The properties of a resource, where it is there.
type Found = Result<Option<Map<String, Value>>, ApiError>;

/// What CloudFormation does with the resources of a type.
pub struct Type {
    pub name: &'static str,
    /// The properties of the primary identifier.
    pub identifier: &'static [&'static str],
    /// The one that `Ref` gives.
    pub reference: &'static str,
    /// Whether existing ones can be imported: AWS can read them.
    pub importable: bool,
    create: for<'a> fn(&'a Calls, &'a Declared<'a>) -> BoxFuture<'a, Result<Identifier, ApiError>>,
    /// `None` where it is not there.
    read: for<'a> fn(&'a Calls, &'a str, &'a Identifier) -> BoxFuture<'a, Found>,
    delete: for<'a> fn(&'a Calls, &'a Existing<'a>) -> BoxFuture<'a, Result<(), ApiError>>,
    /// The ARN by which it is tagged.
    arn: fn(&Calls, &Identifier, &Map<String, Value>) -> Option<String>,
}

/// A resource that exists.
pub struct Existing<'a> {
    pub type_name: &'a str,
    pub identifier: &'a Identifier,
    /// Its properties in the template.
    pub properties: &'a Value,
}

/// All types that have calls of their own.
fn types() -> impl Iterator<Item = &'static Type> {
    cdk::TYPES
        .iter()
        .chain(dynamodb::TYPES)
        .chain(gateway::TYPES)
        .chain(iam::TYPES)
        .chain(lambda::TYPES)
        .chain(logs::TYPES)
        .chain(policies::TYPES)
}

/// What is done with a type.
///
/// # Errors
/// A type that the local cloud has not, by name.
pub fn of(type_name: &str) -> Result<&'static Type, ApiError> {
    let own = types().find(|one| one.name == type_name);
    // CloudFormation's own types are about other stacks, or wait for signals.
    let is_controlled = !type_name.starts_with("AWS::CloudFormation::") && schema(type_name).is_some();
    let found = own.or_else(|| is_controlled.then_some(&controlled::TYPE));
    found.ok_or_else(|| {
        let message = format!("The local cloud's CloudFormation does not play resources of the type {type_name}");
        super::model::invalid(message)
    })
}

/// The properties that identify a resource of a type, in the order in which a composite identifier has them.
pub fn identifier_of(type_name: &str) -> Vec<String> {
    match types().find(|one| one.name == type_name) {
        Some(known) => known.identifier.iter().map(|name| (*name).to_owned()).collect(),
        None => schema(type_name).map(|schema| schema.identifier.clone()).unwrap_or_default(),
    }
}

/// The physical id of a resource: what `Ref` gives.
pub fn physical_id(type_name: &str, identifier: &Identifier) -> String {
    let key = match types().find(|one| one.name == type_name) {
        Some(known) => known.reference.to_owned(),
        None => controlled::reference(type_name),
    };
    let id = identifier.get(&key).or_else(|| identifier.values().next()).cloned().unwrap_or_default();
    controlled::physical(type_name, id)
}

/// Makes a resource; gives what identifies it.
///
/// # Errors
/// The service's refusal.
pub async fn create(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    (of(declared.type_name)?.create)(calls, declared).await
}

/// What a resource gives to others; `None` where it is not there.
///
/// # Errors
/// A service's refusal.
pub async fn read(calls: &Calls, type_name: &str, identifier: &Identifier) -> Result<Option<Attributes>, ApiError> {
    let values = (of(type_name)?.read)(calls, type_name, identifier).await?;
    Ok(values.map(|values| Attributes { reference: physical_id(type_name, identifier), values }))
}

/// Deletes a resource. One that is gone already is no error.
///
/// # Errors
/// The service's refusal.
pub async fn delete(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    match (of(existing.type_name)?.delete)(calls, existing).await {
        Err(error) if is_gone(&error) => Ok(()),
        done => done,
    }
}

/// The ARN by which a resource is tagged; `None` where CloudFormation gives it no tags.
pub fn arn(calls: &Calls, type_name: &str, identifier: &Identifier, attributes: &Attributes) -> Option<String> {
    of(type_name).ok().and_then(|known| (known.arn)(calls, identifier, &attributes.values))
}

/// Sets a stack's tags on a role; nothing on a resource of another type.
///
/// # Errors
/// IAM's refusal.
pub async fn tag_role(
    calls: &Calls,
    type_name: &str,
    identifier: &Identifier,
    tags: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    match type_name == iam::ROLE && !tags.is_empty() {
        true => iam::tag_role(calls, part(identifier, "RoleName"), tags).await,
        false => Ok(()),
    }
}

/// Whether a refusal says that what it is about is not there.
fn is_gone(error: &ApiError) -> bool {
    let code = error.code.as_ref();
    error.status == 404 || code.contains("NotFound") || code == "NoSuchEntity"
}

/// What `read` gives: nothing where the refusal says that it is not there.
fn present<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks again until there is an answer.
async fn until<T, F: Future<Output = Result<Option<T>, ApiError>>>(
    what: &str,
    ask: impl Fn() -> F,
) -> Result<T, ApiError> {
    for _ in 0..LOOKS {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(not_stabilized(what))
}

fn not_stabilized(what: &str) -> ApiError {
    ApiError::new(500, "NotStabilized", format!("{what} did not stabilize"))
}

/// A text among properties.
fn text(properties: &Value, name: &str) -> Option<String> {
    match &properties[name] {
        Value::String(text) => Some(text.clone()),
        plain @ (Value::Number(_) | Value::Bool(_)) => Some(plain.to_string()),
        _ => None,
    }
}

/// A document that a template may give as a map or as text, as text.
fn document(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The tags of a template, in a list or a map.
pub fn own_tags(properties: &Value) -> Map<String, Value> {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match &properties["Tags"] {
        Value::Object(tags) => tags.iter().map(|(key, value)| (key.clone(), shown(value).into())).collect(),
        Value::Array(tags) => {
            let pair = |tag: &Value| Some((tag["Key"].as_str()?.to_owned(), shown(&tag["Value"]).into()));
            tags.iter().filter_map(pair).collect()
        }
        _ => Map::new(),
    }
}

/// The properties that differ, with their new values; null for one that is taken away.
fn changed(old: &Value, new: &Value) -> Map<String, Value> {
    let names = [old, new].into_iter().filter_map(Value::as_object).flat_map(Map::keys);
    names.filter(|name| old[*name] != new[*name]).map(|name| (name.clone(), new[name].clone())).collect()
}

/// A single identifier.
fn single(name: &str, value: impl Into<String>) -> Identifier {
    [(name.to_owned(), value.into())].into()
}

/// A part of an identifier.
fn part<'a>(identifier: &'a Identifier, name: &str) -> &'a str {
    identifier.get(name).map_or("", String::as_str)
}

/// Properties without some of them.
fn without(properties: &Value, names: &[&str]) -> Value {
    let kept = properties.as_object().into_iter().flatten().filter(|(name, _)| !names.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
}
