//! Resource policies: which principals may invoke a function, and for which source.

use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::{self, constraint};
use crate::local::context::ACCOUNT;
use crate::local::protocol::wire::ApiError;

/// The longest policy, in bytes (Lambda quotas: 20 KB).
const MAX_POLICY: usize = 20_480;

/// The pattern of a source ARN. Lambda accepts no `*` for a region or an account (service model).
const SOURCE_ARN: &str =
    r"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)";

/// The policy of a function, a version or an alias.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Policy {
    statements: Vec<Statement>,
}

/// One permission of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Statement {
    id: String,
    action: String,
    principal: String,
    /// The ARN that the policy is attached to.
    resource: String,
    source_arn: Option<String>,
    source_account: Option<String>,
    principal_org_id: Option<String>,
    event_source_token: Option<String>,
    #[serde(default)]
    function_url_auth_type: Option<String>,
    #[serde(default)]
    invoked_via_function_url: Option<bool>,
}

/// `AddPermission`'s body.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Permission {
    statement_id: String,
    action: String,
    principal: String,
    source_arn: Option<String>,
    source_account: Option<String>,
    event_source_token: Option<String>,
    #[serde(rename = "PrincipalOrgID")]
    principal_org_id: Option<String>,
    function_url_auth_type: Option<String>,
    invoked_via_function_url: Option<bool>,
    pub revision_id: Option<String>,
}

impl Policy {
    /// Adds a permission for `resource` and returns the statement as `AddPermission` shows it.
    ///
    /// # Errors
    /// `ResourceConflictException` for a statement id that is taken, and Lambda's refusal of an invalid permission.
    pub fn add(&mut self, resource: &str, permission: Permission) -> Result<String, ApiError> {
        permission.check()?;
        if self.statements.iter().any(|statement| statement.id == permission.statement_id) {
            let message = format!(
                "The statement id ({}) provided already exists. Please provide a new statement id, or remove the \
                 existing statement.",
                permission.statement_id
            );
            return Err(error::conflict(message));
        }
        let statement = Statement {
            id: permission.statement_id,
            action: permission.action,
            principal: permission.principal,
            resource: resource.to_owned(),
            source_arn: permission.source_arn,
            source_account: permission.source_account,
            principal_org_id: permission.principal_org_id,
            event_source_token: permission.event_source_token,
            function_url_auth_type: permission.function_url_auth_type,
            invoked_via_function_url: permission.invoked_via_function_url,
        };
        let shown = statement.document().to_string();
        self.statements.push(statement);
        let size = self.document().len();
        if size > MAX_POLICY {
            self.statements.pop();
            return Err(error::policy_too_long(size, MAX_POLICY));
        }
        Ok(shown)
    }

    /// Removes a permission.
    ///
    /// # Errors
    /// `ResourceNotFoundException` for an unknown statement id.
    pub fn remove(&mut self, statement_id: &str) -> Result<(), ApiError> {
        let position =
            self.statements.iter().position(|statement| statement.id == statement_id).ok_or_else(|| {
                error::not_found(format!("Statement {statement_id} is not found in resource policy."))
            })?;
        self.statements.remove(position);
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// The policy as `GetPolicy` shows it.
    pub fn document(&self) -> String {
        let statements: Vec<Value> = self.statements.iter().map(Statement::document).collect();
        json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements }).to_string()
    }

    /// Whether `service` may invoke the function for `source_arn`.
    pub fn permits(&self, service: &str, source_arn: &str) -> bool {
        self.statements.iter().any(|statement| statement.permits(service, source_arn))
    }
}

impl Statement {
    /// The statement as AWS renders it.
    fn document(&self) -> Value {
        let principal = match self.principal.as_str() {
            "*" => json!("*"),
            account if is_account(account) => json!({ "AWS": format!("arn:aws:iam::{account}:root") }),
            arn if arn.starts_with("arn:") => json!({ "AWS": arn }),
            service => json!({ "Service": service }),
        };
        let mut document = json!({
            "Sid": self.id,
            "Effect": "Allow",
            "Principal": principal,
            "Action": self.action,
            "Resource": self.resource,
        });
        let mut equals = Map::new();
        for (key, value) in [
            ("AWS:SourceAccount", &self.source_account),
            ("aws:PrincipalOrgID", &self.principal_org_id),
            ("lambda:EventSourceToken", &self.event_source_token),
            ("lambda:FunctionUrlAuthType", &self.function_url_auth_type),
        ] {
            if let Some(value) = value {
                equals.insert(key.to_owned(), json!(value));
            }
        }
        let mut condition = Map::new();
        if !equals.is_empty() {
            condition.insert("StringEquals".to_owned(), Value::Object(equals));
        }
        if let Some(via) = self.invoked_via_function_url {
            condition.insert("Bool".to_owned(), json!({ "lambda:InvokedViaFunctionUrl": via.to_string() }));
        }
        if let Some(source_arn) = &self.source_arn {
            condition.insert("ArnLike".to_owned(), json!({ "AWS:SourceArn": source_arn }));
        }
        if !condition.is_empty() {
            document["Condition"] = Value::Object(condition);
        }
        document
    }

    fn permits(&self, service: &str, source_arn: &str) -> bool {
        // A service's call has no organization and no event source token, and comes through no URL of the function, so
        // conditions on them are not met.
        let unmet = self.principal_org_id.is_some()
            || self.event_source_token.is_some()
            || self.function_url_auth_type.is_some()
            || self.invoked_via_function_url == Some(true);
        !unmet
            && ["lambda:InvokeFunction", "lambda:*", "*"].contains(&self.action.as_str())
            && (self.principal == service || self.principal == "*")
            && self.source_account.as_deref().is_none_or(|account| account == ACCOUNT)
            && self.source_arn.as_deref().is_none_or(|pattern| arn_like(pattern, source_arn))
    }
}

impl Permission {
    fn check(&self) -> Result<(), ApiError> {
        let mut broken = Vec::new();
        let is_word = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if !is_word(&self.statement_id) {
            let rule = "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)";
            broken.push(constraint(&self.statement_id, "statementId", rule));
        }
        if self.statement_id.len() > 100 {
            let rule = "Member must have length less than or equal to 100";
            broken.push(constraint(&self.statement_id, "statementId", rule));
        }
        let verb = self.action.strip_prefix("lambda:");
        let is_action = self.action == "*"
            || verb.is_some_and(|verb| {
                verb == "*" || (!verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_alphabetic()))
            });
        if !is_action {
            let rule = "Member must satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])";
            broken.push(constraint(&self.action, "action", rule));
        }
        let patterns: [(&str, &Option<String>, &str); 5] = [
            ("sourceArn", &self.source_arn, SOURCE_ARN),
            ("sourceAccount", &self.source_account, r"\d{12}"),
            ("eventSourceToken", &self.event_source_token, r"[a-zA-Z0-9._\-]+"),
            ("principalOrgID", &self.principal_org_id, "o-[a-z0-9]{10,32}"),
            ("functionUrlAuthType", &self.function_url_auth_type, "NONE|AWS_IAM"),
        ];
        for (member, value, pattern) in patterns {
            let Some(value) = value else { continue };
            let whole = Regex::new(&format!("^(?:{pattern})$"));
            if whole.is_ok_and(|whole| !whole.is_match(value)) {
                let rule = format!("Member must satisfy regular expression pattern: {pattern}");
                broken.push(constraint(value, member, &rule));
            }
        }
        if !broken.is_empty() {
            return Err(error::validation(&broken));
        }
        if self.function_url_auth_type.is_some() && self.action != "lambda:InvokeFunctionUrl" {
            return Err(error::invalid("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action"));
        }
        let principal = self.principal.as_str();
        let is_service = principal.ends_with(".amazonaws.com") || principal.ends_with(".amazon.com");
        if principal != "*" && !is_account(principal) && !principal.starts_with("arn:") && !is_service {
            return Err(error::invalid(
                "The provided principal was invalid. Please check the principal and try again.",
            ));
        }
        Ok(())
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// IAM's `ArnLike`: compares each of the six parts of an ARN; `*` matches any text within a part, `?` any one character.
fn arn_like(pattern: &str, arn: &str) -> bool {
    let patterns: Vec<&str> = pattern.splitn(6, ':').collect();
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    patterns.len() == parts.len()
        && patterns.iter().zip(&parts).all(|(pattern, part)| glob(pattern.as_bytes(), part.as_bytes()))
}

/// Whether `text` matches `pattern`. Backtracks only to the last `*`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:chat";
    const GATEWAY: &str = "apigateway.amazonaws.com";
    const ROUTE: &str = "arn:aws:execute-api:us-east-1:000000000000:abc123/production/$connect";

    fn permission(value: Value) -> Permission {
        let mut members = json!({ "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": GATEWAY });
        members.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        serde_json::from_value(members).unwrap()
    }

    fn policy(value: Value) -> Policy {
        let mut policy = Policy::default();
        policy.add(FUNCTION, permission(value)).unwrap();
        policy
    }

    #[test]
    fn statements_read_as_aws_renders_them() {
        let shown = Policy::default()
            .add(FUNCTION, permission(json!({ "SourceArn": ROUTE, "SourceAccount": "000000000000" })))
            .unwrap();
        let expected = json!({
            "Sid": "s", "Effect": "Allow", "Principal": { "Service": GATEWAY }, "Action": "lambda:InvokeFunction",
            "Resource": FUNCTION,
            "Condition": {
                "StringEquals": { "AWS:SourceAccount": "000000000000" },
                "ArnLike": { "AWS:SourceArn": ROUTE },
            },
        });
        assert_eq!(shown, expected.to_string());
        for (principal, rendered) in [
            ("*", json!("*")),
            ("123456789012", json!({ "AWS": "arn:aws:iam::123456789012:root" })),
            ("arn:aws:iam::123456789012:role/r", json!({ "AWS": "arn:aws:iam::123456789012:role/r" })),
        ] {
            let shown = Policy::default().add(FUNCTION, permission(json!({ "Principal": principal }))).unwrap();
            let document: Value = serde_json::from_str(&shown).unwrap();
            assert_eq!(document["Principal"], rendered);
        }
    }

    #[test]
    fn what_permits_a_url_permits_no_service() {
        let url = json!({ "Principal": "*", "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE" });
        let through_it = json!({ "Principal": "*", "InvokedViaFunctionUrl": true });
        for (given, condition) in [
            (url, json!({ "StringEquals": { "lambda:FunctionUrlAuthType": "NONE" } })),
            (through_it, json!({ "Bool": { "lambda:InvokedViaFunctionUrl": "true" } })),
        ] {
            let mut policy = Policy::default();
            let shown: Value = serde_json::from_str(&policy.add(FUNCTION, permission(given)).unwrap()).unwrap();
            assert_eq!(shown["Condition"], condition);
            assert!(!policy.permits(GATEWAY, ROUTE));
        }
    }

    #[test]
    fn only_what_a_statement_allows_is_permitted() {
        for (statement, service, source, permitted) in [
            (json!({}), GATEWAY, ROUTE, true),
            (json!({}), "sns.amazonaws.com", ROUTE, false),
            (json!({ "Principal": "*" }), GATEWAY, ROUTE, true),
            (json!({ "Action": "lambda:GetFunction" }), GATEWAY, ROUTE, false),
            (json!({ "Action": "lambda:*" }), GATEWAY, ROUTE, true),
            (json!({ "SourceArn": ROUTE }), GATEWAY, ROUTE, true),
            (json!({ "SourceArn": "arn:aws:execute-api:us-east-1:000000000000:abc123/*/*" }), GATEWAY, ROUTE, true),
            (
                json!({ "SourceArn": "arn:aws:execute-api:us-east-1:000000000000:abc123/*/$connect" }),
                GATEWAY,
                ROUTE,
                true,
            ),
            (json!({ "SourceArn": "arn:aws:execute-api:us-east-1:000000000000:abc12?/*" }), GATEWAY, ROUTE, true),
            (json!({ "SourceArn": "arn:aws:execute-api:us-east-1:000000000000:abc12?3/*" }), GATEWAY, ROUTE, false),
            (json!({ "SourceArn": "arn:aws:execute-api:::abc123/*/$disconnect" }), GATEWAY, ROUTE, false),
            (json!({ "SourceArn": "arn:aws:execute-api:us-east-1:000000000000:other/*" }), GATEWAY, ROUTE, false),
            (json!({ "SourceAccount": "000000000000" }), GATEWAY, ROUTE, true),
            (json!({ "SourceAccount": "123456789012" }), GATEWAY, ROUTE, false),
            (json!({ "PrincipalOrgID": "o-1234567890" }), GATEWAY, ROUTE, false),
        ] {
            assert_eq!(policy(statement.clone()).permits(service, source), permitted, "{statement} {service}");
        }
    }

    #[test]
    fn a_statement_id_is_taken_once() {
        let mut policy = policy(json!({}));
        let refusal = policy.add(FUNCTION, permission(json!({}))).unwrap_err();
        assert_eq!((refusal.status, &*refusal.code), (409, "ResourceConflictException"));
        assert_eq!(
            refusal.message,
            "The statement id (s) provided already exists. Please provide a new statement id, or remove the existing \
             statement."
        );
        policy.remove("s").unwrap();
        assert_eq!(policy.remove("s").unwrap_err().message, "Statement s is not found in resource policy.");
        policy.add(FUNCTION, permission(json!({}))).unwrap();
    }

    #[test]
    fn invalid_permissions_are_refused() {
        for (statement, code) in [
            (json!({ "StatementId": "not a word" }), "ValidationException"),
            (json!({ "StatementId": "x".repeat(101) }), "ValidationException"),
            (json!({ "Action": "s3:GetObject" }), "ValidationException"),
            (json!({ "Principal": "somebody" }), "InvalidParameterValueException"),
            (json!({ "SourceArn": "arn:aws:execute-api:*:*:abc123/*/$connect" }), "ValidationException"),
            (json!({ "SourceArn": "arn:aws:execute-api:us-east-1:ACCOUNT:abc123/*" }), "ValidationException"),
            (json!({ "SourceArn": "arn:*" }), "ValidationException"),
            (json!({ "SourceAccount": "1234" }), "ValidationException"),
            (json!({ "PrincipalOrgID": "o-1" }), "ValidationException"),
            (json!({ "EventSourceToken": "a b" }), "ValidationException"),
            (json!({ "FunctionUrlAuthType": "IAM" }), "ValidationException"),
            (json!({ "FunctionUrlAuthType": "NONE" }), "InvalidParameterValueException"),
        ] {
            assert_eq!(
                Policy::default().add(FUNCTION, permission(statement.clone())).unwrap_err().code,
                code,
                "{statement}"
            );
        }
    }

    #[test]
    fn a_policy_over_the_size_limit_is_refused() {
        let mut policy = Policy::default();
        let refusal = (0..200)
            .find_map(|number| policy.add(FUNCTION, permission(json!({ "StatementId": format!("s{number}") }))).err())
            .unwrap();
        assert_eq!(refusal.code, "PolicyLengthExceededException");
        assert!(policy.document().len() <= MAX_POLICY);
    }
}
