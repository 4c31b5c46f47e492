//! The document that describes the paths of a REST or HTTP API.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::shape::truthy;

/// API Gateway's name for what a method leads to.
pub const INTEGRATION: &str = "x-amazon-apigateway-integration";

/// The documents of APIs, by logical id.
pub type Documents = BTreeMap<String, Document>;

/// The OpenAPI document of an API.
#[derive(Debug, Clone)]
pub struct Document {
    pub body: Map<String, Value>,
    /// SAM writes it: the user gave none.
    pub managed: bool,
    /// Settings of routes that events give (HTTP APIs).
    pub route_settings: Map<String, Value>,
}

impl Document {
    /// What the user gave as the API's `DefinitionBody`, or one without paths, of this `version`.
    pub fn of(given: Option<&Value>, version: (&str, &str)) -> Self {
        let given = given.filter(|body| truthy(body)).and_then(Value::as_object);
        let skeleton = || {
            let info = json!({ "version": "1.0", "title": { "Ref": "AWS::StackName" } });
            let parts = [(version.0, version.1.into()), ("info", info), ("paths", json!({}))];
            parts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        };
        Self { managed: given.is_none(), body: given.cloned().unwrap_or_else(skeleton), route_settings: Map::new() }
    }

    /// The paths with their methods.
    pub fn paths(&mut self) -> Option<&mut Map<String, Value>> {
        self.body.get_mut("paths").and_then(Value::as_object_mut)
    }

    /// The definition of one method, if it leads somewhere.
    pub fn method(&self, path: &str, method: &str) -> Option<&Value> {
        let method = self.body.get("paths")?.get(path)?.get(method)?;
        method.get(INTEGRATION).filter(|integration| truthy(integration)).map(|_| method)
    }

    /// Adds a method.
    pub fn insert(&mut self, path: &str, method: &str, definition: Value) {
        let Some(paths) = self.paths() else { return };
        let item = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(method.to_owned(), definition);
        }
    }
}
