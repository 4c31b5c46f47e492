//! What records of REST APIs and their documents have in common.

use serde_json::{Map, Value};

use crate::local::apigateway::model::Strings;

/// The OpenAPI document of an API, in JSON or YAML; null where it has none.
pub fn document(model: &Value) -> Value {
    match &model["Body"] {
        Value::String(text) => serde_yaml::from_str(text).unwrap_or_default(),
        body => body.clone(),
    }
}

pub fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A map of texts, without what is none.
pub fn strings(value: &Value) -> Strings {
    let members: Option<&Map<String, Value>> = value.as_object();
    members.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

/// A status, which may be a text; 200 where it is none.
pub fn status(value: &Value) -> u16 {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.and_then(|number| u16::try_from(number).ok()).unwrap_or(200)
}
