//! Policy documents, as IAM reads and refuses them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::super::shell::ACCOUNT;
use super::super::wire::ApiError;

/// RFC 3986: what stands for itself in a document that is sent in an answer.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A document as IAM puts it into answers.
pub fn encoded(document: &str) -> String {
    utf8_percent_encode(document, RESERVED).to_string()
}

/// Checks a role's trust policy.
///
/// # Errors
/// `MalformedPolicyDocument` (400).
pub fn check_trust(document: &str) -> Result<(), ApiError> {
    let document: Value = serde_json::from_str(document).map_err(|_| malformed("This policy contains invalid Json"))?;
    for statement in statements(&document)? {
        for field in ["Resource", "NotResource"] {
            if statement.get(field).is_some() {
                return Err(malformed(&format!("Has prohibited field {field}")));
            }
        }
        if statement.get("Principal").is_none() && statement.get("NotPrincipal").is_none() {
            return Err(malformed("Missing required field Principal"));
        }
        let actions = one_or_more(statement.get("Action"));
        if actions.is_empty() && statement.get("NotAction").is_none() {
            return Err(malformed("Missing required field Action"));
        }
        if actions.iter().any(|action| *action != "*" && !action.to_ascii_lowercase().starts_with("sts:")) {
            return Err(malformed("AssumeRole policy may only specify STS AssumeRole actions."));
        }
    }
    Ok(())
}

/// Checks a policy that grants something to whoever it is put on.
///
/// # Errors
/// `MalformedPolicyDocument` (400).
pub fn check_permissions(document: &str) -> Result<(), ApiError> {
    let document: Value = serde_json::from_str(document).map_err(|_| malformed("Syntax errors in policy."))?;
    for statement in statements(&document)? {
        if statement.get("Principal").is_some() || statement.get("NotPrincipal").is_some() {
            return Err(malformed("Policy document should not specify a principal."));
        }
        let mut actions = one_or_more(statement.get("Action"));
        actions.extend(one_or_more(statement.get("NotAction")));
        if actions.is_empty() {
            return Err(malformed("Policy statement must contain actions."));
        }
        if actions.iter().any(|action| *action != "*" && !action.contains(':')) {
            return Err(malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."));
        }
        let mut resources = one_or_more(statement.get("Resource"));
        resources.extend(one_or_more(statement.get("NotResource")));
        if resources.is_empty() {
            return Err(malformed("Policy statement must contain resources."));
        }
        if let Some(resource) = resources.iter().find(|resource| **resource != "*" && !resource.starts_with("arn:")) {
            return Err(malformed(&format!("Resource {resource} must be in ARN format or \"*\".")));
        }
    }
    Ok(())
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
    fn documents_are_refused_as_iam_refuses_them() {
        type Check = fn(&str) -> Result<(), ApiError>;
        let cases: &[(Check, &str, Option<&str>)] = &[
            (
                check_trust,
                r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"s"},"Action":"sts:AssumeRole"}}"#,
                None,
            ),
            (check_trust, "{", Some("This policy contains invalid Json")),
            (check_trust, "{}", Some("Syntax errors in policy.")),
            (
                check_trust,
                r#"{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole"}]}"#,
                Some("Missing required field Principal"),
            ),
            (
                check_trust,
                r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}]}"#,
                Some("Has prohibited field Resource"),
            ),
            (
                check_trust,
                r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}]}"#,
                Some("AssumeRole policy may only specify STS AssumeRole actions."),
            ),
            (check_permissions, r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#, None),
            (check_permissions, "no json", Some("Syntax errors in policy.")),
            (
                check_permissions,
                r#"{"Statement":[{"Effect":"Allow","Resource":"*"}]}"#,
                Some("Policy statement must contain actions."),
            ),
            (
                check_permissions,
                r#"{"Statement":[{"Effect":"Allow","Action":"s3:*"}]}"#,
                Some("Policy statement must contain resources."),
            ),
            (
                check_permissions,
                r#"{"Statement":[{"Effect":"Allow","Action":"get","Resource":"*"}]}"#,
                Some("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
            ),
            (
                check_permissions,
                r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"mine"}]}"#,
                Some("Resource mine must be in ARN format or \"*\"."),
            ),
            (
                check_permissions,
                r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}]}"#,
                Some("Policy document should not specify a principal."),
            ),
        ];
        for (check, document, refusal) in cases {
            let result = check(document).map_err(|error| error.message);
            assert_eq!(result.err().as_deref(), *refusal, "{document}");
        }
    }

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
