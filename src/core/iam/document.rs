//! IAM policy documents, normalized so that equal documents are equal values, and what they say.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A policy document, normalized: a single statement, action, resource or principal becomes a list of one.
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

/// The parsed document where it is given as JSON text; any other value as it is.
pub fn parsed(document: &Value) -> Cow<'_, Value> {
    let read = document.as_str().and_then(|text| serde_json::from_str(text).ok());
    read.map_or(Cow::Borrowed(document), Cow::Owned)
}

impl Document {
    /// The document as JSON text.
    pub fn text(&self) -> String {
        self.0.to_string()
    }

    /// Reads a document in IAM's form: URL-encoded JSON.
    ///
    /// # Errors
    /// Text that is not JSON.
    pub fn from_url_encoded(text: &str) -> Result<Self, serde_json::Error> {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
        serde_json::from_str::<Value>(&decoded).map(Self::from)
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

/// The account id in `principal`, if it names an account: AWS answers with the ARN of the account's root.
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

/// Whether a trust policy lets an AWS service assume the role. Conditions count as met: they are about the service's
/// own call, made on behalf of this account's resources.
pub fn trusts_service(document: &str, service: &str) -> bool {
    trusts(document, |principal| one_or_more(&principal["Service"]).contains(&service))
}

/// Whether a trust policy lets a principal of `account` (`arn:aws:iam::…:user/…` or `…:role/…`) assume the role.
pub fn trusts_principal(document: &str, account: &str, arn: &str) -> bool {
    trusts(document, |principal| {
        one_or_more(&principal["AWS"])
            .iter()
            .any(|name| *name == "*" || *name == arn || account_id(name).as_deref() == Some(account))
    })
}

/// Whether a statement allows a matching principal to assume the role, and none denies it.
fn trusts(document: &str, matches: impl Fn(&Value) -> bool) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(document) else { return false };
    let Some(statements) = statements(&document) else { return false };
    let effects: Vec<&str> = statements
        .into_iter()
        .filter(|statement| {
            let action = one_or_more(&statement["Action"])
                .iter()
                .any(|action| ["*", "sts:*", "sts:assumerole"].contains(&action.to_ascii_lowercase().as_str()));
            action && statement.get("Principal").is_some_and(|principal| principal == "*" || matches(principal))
        })
        .filter_map(|statement| statement.get("Effect")?.as_str())
        .collect();
    effects.contains(&"Allow") && !effects.contains(&"Deny")
}

/// A document's statements, each of which has an effect; `None` for any other document.
pub fn statements(document: &Value) -> Option<Vec<&Value>> {
    let statements = match document.get("Statement") {
        Some(Value::Array(list)) if !list.is_empty() => list.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        _ => return None,
    };
    let sound = |statement: &&Value| matches!(statement["Effect"].as_str(), Some("Allow" | "Deny"));
    statements.iter().all(sound).then_some(statements)
}

/// A string, or a list of strings.
pub fn one_or_more(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(more) => more.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
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
    fn iams_url_encoded_documents_are_decoded() -> Result<(), serde_json::Error> {
        let document = Document::from_url_encoded("%7B%22Statement%22%3A%5B%5D%7D")?;
        assert_eq!(document, Document::from(json!({"Statement": []})));
        Ok(())
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
}
