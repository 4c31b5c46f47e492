//! Policy documents, as IAM reads and refuses them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::super::context::ACCOUNT;
use super::super::wire::ApiError;
use crate::core::iam::grammar::{self, Purpose};

/// RFC 3986: what stands for itself in a document that is sent in an answer.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A document as IAM puts it into answers.
pub fn encoded(document: &str) -> String {
    utf8_percent_encode(document, RESERVED).to_string()
}

/// Checks a document as IAM does before it keeps it.
///
/// # Errors
/// `MalformedPolicyDocument` (400).
pub fn check(document: &str, purpose: Purpose) -> Result<(), ApiError> {
    grammar::refusal(document, purpose).map_or(Ok(()), |words| Err(malformed(&words)))
}

/// Whether a trust policy lets an AWS service assume the role. Conditions are taken as met: they speak of the service's
/// own call, which is made on behalf of this account's resources.
pub fn trusts_service(document: &str, service: &str) -> bool {
    trusts(document, |principal| one_or_more(principal.get("Service")).contains(&service))
}

/// Whether a trust policy lets a principal of this account (`arn:aws:iam::…:user/…` or `…:role/…`) assume the role.
pub fn trusts_account(document: &str, arn: &str) -> bool {
    trusts(document, |principal| {
        one_or_more(principal.get("AWS"))
            .iter()
            .any(|name| *name == "*" || *name == ACCOUNT || *name == super::account_root() || *name == arn)
    })
}

/// Whether a statement allows the assumption to a principal that matches, and none denies it.
fn trusts(document: &str, matches: impl Fn(&Value) -> bool) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(document) else { return false };
    let Ok(statements) = statements(&document) else { return false };
    let effects: Vec<&str> = statements
        .into_iter()
        .filter(|statement| {
            let action = one_or_more(statement.get("Action"))
                .iter()
                .any(|action| ["*", "sts:*", "sts:assumerole"].contains(&action.to_ascii_lowercase().as_str()));
            action && statement.get("Principal").is_some_and(|principal| principal == "*" || matches(principal))
        })
        .filter_map(|statement| statement.get("Effect")?.as_str())
        .collect();
    effects.contains(&"Allow") && !effects.contains(&"Deny")
}

/// A document's statements, each of which has an effect.
///
/// # Errors
/// `MalformedPolicyDocument` (400).
pub fn statements(document: &Value) -> Result<Vec<&Value>, ApiError> {
    let statements = match document.get("Statement") {
        Some(Value::Array(list)) if !list.is_empty() => list.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        _ => return Err(malformed("Syntax errors in policy.")),
    };
    for statement in &statements {
        match statement.get("Effect") {
            Some(Value::String(effect)) if effect == "Allow" || effect == "Deny" => {}
            None if statement.is_object() => return Err(malformed("Missing required field Effect")),
            _ => return Err(malformed("Syntax errors in policy.")),
        }
    }
    Ok(statements)
}

/// A string, or a list of strings.
pub fn one_or_more(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(more)) => more.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn malformed(message: &str) -> ApiError {
    ApiError::new(400, "MalformedPolicyDocument", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_read_in_every_form() {
        let lambda = "lambda.amazonaws.com";
        let cases = [
            (r#""Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole""#, true),
            (
                r#""Effect":"Allow","Principal":{"Service":["ec2.amazonaws.com","lambda.amazonaws.com"]},"Action":["sts:*"]"#,
                true,
            ),
            (r#""Effect":"Allow","Principal":"*","Action":"sts:AssumeRole""#, true),
            (r#""Effect":"Deny","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole""#, false),
            (r#""Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole""#, false),
            (r#""Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:TagSession""#, false),
        ];
        for (statement, trusted) in cases {
            let document = format!("{{\"Statement\":[{{{statement}}}]}}");
            assert_eq!(trusts_service(&document, lambda), trusted, "{statement}");
        }
    }

    #[test]
    fn documents_travel_percent_encoded() {
        assert_eq!(encoded(r#"{"A": "b-_.~"}"#), "%7B%22A%22%3A%20%22b-_.~%22%7D");
    }
}
