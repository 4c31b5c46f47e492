//! What `Ref` and `GetAtt` give.

use std::collections::BTreeMap;

use serde_json::Value;

use super::facts::{REFS, WHOLE_REFS};
use super::{CloudControlled, IDENTIFIER, RULE};
use crate::core::schemas::{Shape, value_at};
use crate::core::types::Attribute;
use crate::core::words::Scope;

impl CloudControlled {
    /// What `Ref` gives for a live resource.
    pub fn reference(&self, model: &Value, identifier: &str) -> String {
        let type_name = self.schema.type_name;
        let text = |property: &str| match value_at(model, property)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let property = REFS.iter().find(|(of, _)| *of == type_name).map(|(_, property)| *property);
        // What it was asked for by may be another spelling of it: the URL of a queue is what the queue says.
        let own = || match self.schema.identifier.as_slice() {
            [one] => Some(one.as_str()),
            _ => None,
        };
        let given = property.or_else(own).and_then(text).unwrap_or_else(|| identifier.to_owned());
        match text("EventBusName").filter(|bus| type_name == RULE && bus != "default") {
            Some(bus) => format!("{}|{given}", bus.rsplit('/').next().unwrap_or(&bus)),
            None => given,
        }
    }

    /// The attributes of a live resource: everything in it that is a text, a number or a truth, by its path.
    pub fn attributes_of(&self, model: &Value, identifier: &str) -> BTreeMap<String, String> {
        pub(super) fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
            match value {
                Value::Object(members) => {
                    for (name, value) in members {
                        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                        flatten(&path, value, found);
                    }
                }
                Value::String(text) => drop(found.insert(path.to_owned(), text.clone())),
                Value::Number(_) | Value::Bool(_) => drop(found.insert(path.to_owned(), value.to_string())),
                Value::Array(_) | Value::Null => {}
            }
        }
        let mut found = BTreeMap::new();
        flatten("", model, &mut found);
        found.retain(|path, _| !self.schema.write_only.contains(path));
        found.insert("Ref".to_owned(), self.reference(model, identifier));
        found.insert(IDENTIFIER.to_owned(), identifier.to_owned());
        found
    }

    /// What is known of an attribute before the resource exists (`Kind::attribute`).
    pub(super) fn attribute_of(&self, scope: &Scope, name: Option<&str>, attribute: Option<&str>) -> Attribute {
        let known = name.and_then(|name| self.arn(scope, name));
        let ref_is = REFS.iter().find(|(of, _)| *of == self.schema.type_name).map(|(_, property)| *property);
        let ref_is = ref_is.or_else(|| match self.schema.identifier.as_slice() {
            [one] => Some(one),
            _ => None,
        });
        let path = match (attribute, ref_is) {
            (None, None) if WHOLE_REFS.contains(&self.schema.type_name) => return Attribute::Minted,
            (None, None) => return Attribute::NotYet,
            (None, Some(property)) => property,
            (Some(path), _) => path,
        };
        let is_ref = ref_is == Some(path) && self.schema.type_name != RULE;
        match (name, known, self.schema.shape_of(path)) {
            (_, Some((arn, value)), _) if arn == path => Attribute::Known(value),
            (Some(name), ..) if is_ref && self.naming.is_some_and(|naming| naming.property == path) => {
                Attribute::Known(name.to_owned())
            }
            (.., None) => Attribute::Unknown(self.attributes),
            (.., Some(Shape::List(_) | Shape::Set(_) | Shape::Object(_) | Shape::Map(_))) => Attribute::NotYet,
            _ if is_ref && attribute.is_some() => Attribute::Ref,
            _ => Attribute::Minted,
        }
    }
}

/// Whether what AWS sets under this name says which resource it is or where, and not how it is: then an update does not change it.
/// (The names are those of all properties that AWS sets, in the schemas of the types that can be updated.)
pub(super) fn stays(attribute: &str) -> bool {
    const IDENTIFYING: &[&str] = &[
        "Arn",
        "ARN",
        "Id",
        "ID",
        "Name",
        "Url",
        "URL",
        "Uri",
        "URI",
        "Address",
        "Endpoint",
        "Domain",
        "Port",
        "CreatedAt",
        "CreatedTime",
        "CreationTime",
        "CreatedBy",
    ];
    const OF_A_STATE: &[&str] =
        &["Version", "Revision", "Stream", "Deployment", "Latest", "Current", "Secret", "Modified", "Updated"];
    let last = attribute.rsplit('.').next().unwrap_or_default();
    IDENTIFYING.iter().any(|end| last.ends_with(end)) && !OF_A_STATE.iter().any(|word| attribute.contains(word))
}
