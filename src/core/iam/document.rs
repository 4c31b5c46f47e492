//! IAM policy documents in one spelling, so that equal documents are equal values.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::resources::ResourceError;

/// A policy document: a single statement, action, resource or principal stands in a list, as several would.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Value")]
pub struct Document(Value);

impl From<Value> for Document {
    fn from(value: Value) -> Self {
        let Value::Object(mut document) = parsed(&value).into_owned() else { return Self(value) };
        if let Some(statements) = document.remove("Statement") {
            let statements = list(statements).into_iter().map(statement).collect();
            document.insert("Statement".to_owned(), Value::Array(statements));
        }
        Self(Value::Object(document))
    }
}

/// A document that is given as JSON text as what it says; any other as it is.
pub fn parsed(document: &Value) -> Cow<'_, Value> {
    let read = document.as_str().and_then(|text| serde_json::from_str(text).ok());
    read.map_or(Cow::Borrowed(document), Cow::Owned)
}

impl Document {
    /// The document as JSON text.
    pub fn text(&self) -> String {
        self.0.to_string()
    }

    /// Reads a document as IAM gives it: URL-encoded JSON.
    ///
    /// # Errors
    /// When it is not.
    pub fn from_url_encoded(text: &str) -> Result<Self, ResourceError> {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
        serde_json::from_str::<Value>(&decoded)
            .map(Self::from)
            .map_err(|error| ResourceError::Failed(format!("a policy document of AWS's is not JSON: {error}")))
    }
}

fn statement(statement: Value) -> Value {
    let Value::Object(members) = statement else { return statement };
    let member = |(key, value): (String, Value)| {
        let value = match key.as_str() {
            "Action" | "NotAction" | "Resource" | "NotResource" => Value::Array(list(value)),
            "Principal" | "NotPrincipal" => match value {
                Value::Object(kinds) => {
                    let who = |who| list(who).into_iter().map(principal).collect();
                    let kinds: Map<_, _> = kinds.into_iter().map(|(kind, of)| (kind, Value::Array(who(of)))).collect();
                    Value::Object(kinds)
                }
                other => other,
            },
            _ => value,
        };
        (key, value)
    };
    Value::Object(members.into_iter().map(member).collect())
}

fn principal(who: Value) -> Value {
    who.as_str().and_then(account_id).map_or(who.clone(), Value::from)
}

/// The id of the account that `principal` stands for, if it does: AWS gives an account's id back as its root's ARN.
pub fn account_id(principal: &str) -> Option<String> {
    let id = match principal.strip_prefix("arn:") {
        Some(arn) => arn.split_once(":iam::")?.1.strip_suffix(":root")?,
        None => principal,
    };
    (id.len() == 12 && id.chars().all(|c| c.is_ascii_digit())).then(|| id.to_owned())
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        single => vec![single],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_and_a_list_of_one_are_equal() {
        let short = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "a:b", "Resource": "*",
            "Principal": {"Service": "lambda.amazonaws.com"}}});
        let long = json!({"Statement": [{"Resource": ["*"], "Action": ["a:b"], "Effect": "Allow",
            "Principal": {"Service": ["lambda.amazonaws.com"]}}], "Version": "2012-10-17"});
        assert_eq!(Document::from(short), Document::from(long));
    }

    #[test]
    fn what_iam_gives_is_decoded() -> Result<(), ResourceError> {
        let document = Document::from_url_encoded("%7B%22Statement%22%3A%5B%5D%7D")?;
        assert_eq!(document, Document::from(json!({"Statement": []})));
        Ok(())
    }
}
