//! Which resource it is: the identifiers that Cloud Control has, how they follow from properties, names and tags, and which live resource
//! is a desired one.

use std::collections::BTreeSet;

use serde_json::Value;

use super::facts::{ARNS, UNIQUE_BY};
use super::properties::is_same_name;
use super::{CloudControlled, QUEUE, RULE, SECRET};
use crate::core::schemas::{Schema, value_at};
use crate::core::types::tags::{self, Tags};
use crate::core::types::{Desired, Kind, Live};
use crate::core::words::{Scope, Token};

impl CloudControlled {
    /// The properties whose values its tags keep, to find it again (`tags::LIES_IN`).
    pub fn located_by(&self) -> &'static [&'static str] {
        self.located_by
    }

    /// Whether an update of a resource cannot change its tags.
    pub fn has_fixed_tags(&self) -> bool {
        let schema = self.schema;
        schema.tags.as_ref().is_some_and(|tags| !schema.is_mutable() || schema.create_only.contains(tags))
    }

    /// The properties of which there is one resource at most although AWS mints its identifier: a create of an equal one gives that.
    pub fn equal_in(&self) -> Option<&'static [&'static str]> {
        UNIQUE_BY.iter().find(|(of, _)| *of == self.schema.type_name).map(|(_, properties)| *properties)
    }

    /// What the tags of a resource say of where it lies: the value of a property, as the type has it.
    pub fn located(&self, tags: &Tags, property: &str) -> Option<Value> {
        let text = tags.get(&format!("{}{property}", tags::LIES_IN))?;
        let shape = self.schema.shape_of(property)?;
        Some(shape.normal(self.schema, &Value::from(text.as_str())))
    }

    /// Cloud Control's identifier of a resource with these properties, where they give all of it and everything in it is known.
    pub fn given_identifier(&self, properties: &Value) -> Option<String> {
        let parts = self.schema.identifier.iter().map(|path| {
            let given = value_at(properties, path)?;
            let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
            (!self.schema.read_only.contains(path) && !Token::is_in(&text)).then_some(text)
        });
        Some(parts.collect::<Option<Vec<_>>>()?.join("|"))
    }

    /// The identifier of a resource with this name, where it follows from that.
    pub fn identifier_of(&self, scope: &Scope, name: &str) -> Option<String> {
        let is_name = self.naming.is_some_and(|naming| self.schema.identifier == [naming.property]);
        if self.schema.type_name == QUEUE {
            return Some(format!("https://sqs.{}.{}/{}/{name}", scope.region, scope.url_suffix(), scope.account));
        }
        let arn = || {
            self.arn(scope, name).filter(|(attribute, _)| self.schema.identifier == [*attribute]).map(|(_, arn)| arn)
        };
        if is_name { Some(name.to_owned()) } else { arn() }
    }

    /// The name in what `Ref` gives, which may be an ARN, a URL, or have the name of a bus in front; of a type without names all of it.
    pub(super) fn named_by(&self, reference: &str) -> String {
        if self.naming.is_none() {
            return reference.to_owned();
        }
        let name = match self.schema.type_name {
            RULE => reference.rsplit('|').next(),
            // Six characters of Secrets Manager's stand behind the name.
            SECRET if reference.starts_with("arn:") => {
                reference.split(':').nth(6).and_then(|name| name.rsplit_once('-')).map(|(name, _)| name)
            }
            _ if reference.starts_with("arn:")
                || reference.starts_with("https://")
                || reference.starts_with("http://") =>
            {
                reference.rsplit(['/', ':']).next()
            }
            _ => Some(reference),
        };
        name.unwrap_or(reference).to_owned()
    }

    /// Cloud Control's identifier of a resource, whose parts are `given`, but for one at most, which is what `Ref` gives.
    pub fn identifier_with(&self, given: impl Fn(&str) -> Option<String>, reference: &str) -> Option<String> {
        let parts: Vec<Option<String>> = self
            .schema
            .identifier
            .iter()
            .map(|path| if self.schema.read_only.contains(path) { None } else { given(path) })
            .collect();
        (parts.iter().filter(|part| part.is_none()).count() <= 1).then(|| {
            parts.into_iter().map(|part| part.unwrap_or_else(|| reference.to_owned())).collect::<Vec<_>>().join("|")
        })
    }

    /// The attribute that is its ARN, and that ARN, where both are known before it exists.
    pub(super) fn arn(&self, scope: &Scope, name: &str) -> Option<(&'static str, String)> {
        let (_, attribute, service, prefix) = ARNS.iter().find(|(of, ..)| *of == self.schema.type_name)?;
        Some((attribute, scope.arn(service, &format!("{prefix}{name}"))))
    }

    /// Whether a live resource is what is desired (`Kind::is`).
    pub(super) fn is_found_in(&self, desired: &Desired, live: &Live) -> bool {
        if let (Some(_), Some(name)) = (self.naming, &desired.name) {
            return *name == live.physical_id;
        }
        let paths: Vec<&str> = match self.equal_in() {
            Some(properties) => properties.to_vec(),
            None => self.schema.identifier.iter().map(String::as_str).collect(),
        };
        let identity: Option<Vec<&Value>> = paths.iter().map(|path| value_at(&desired.properties, path)).collect();
        if let Some(identity) = identity.filter(|_| !self.is_tagged()) {
            return paths.iter().zip(identity).all(|(path, wanted)| {
                value_at(&live.properties, path).is_some_and(|live| live == wanted || is_same_name(live, wanted))
            });
        }
        let seen = self.seen_as(&live.properties, &desired.properties).unwrap_or_default();
        let same = |path: &&&str| match (value_at(&seen, path), value_at(&desired.properties, path)) {
            (Some(live), Some(desired)) => live == desired,
            _ => true,
        };
        live.logical_id.as_deref() == Some(&desired.logical_id) && self.create_only.iter().all(|path| same(&path))
    }
}

/// `CloudControlled::located_by` of a type.
pub(super) fn located_by(schema: &'static Schema) -> Vec<&'static str> {
    if schema.tags.is_none() {
        return Vec::new();
    }
    let parts = schema.identifier.iter().filter(|_| schema.identifier.len() > 1);
    let mut all: Vec<&'static str> = parts.chain(schema.list_models.iter().flatten()).map(String::as_str).collect();
    let mut seen = BTreeSet::new();
    all.retain(|path| {
        let is_given = schema.shape_of(path).is_some() && !schema.read_only.iter().any(|one| one == path);
        is_given && seen.insert(*path)
    });
    all
}

/// A value as that of a tag, where a tag can have it. (What a token stands for is an id or an ARN.)
pub(super) fn tag_value(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return None,
    };
    (Token::is_in(&text) || tags::check("key", &text).is_ok()).then_some(text)
}
