//! Property values for display.

use serde_json::Value;

use super::Token;

/// A value as the plan shows it.
pub fn shown(value: Option<&Value>) -> String {
    match value {
        None => "-".to_owned(),
        Some(Value::String(text)) => Token::readable(text),
        Some(other) => Token::readable(&other.to_string()),
    }
}
