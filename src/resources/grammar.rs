//! What IAM would refuse of a policy document as `MalformedPolicyDocument`, found before anybody is asked.
//!
//! After the grammar of the policy language
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>) and the words with which IAM refuses.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::document::parsed;
use super::properties::describe;
use crate::diagnostic::{Path, Problem, nearest};
use crate::stack::Token;

const DOCUMENT: &[&str] = &["Id", "Statement", "Version"];
const VERSIONS: &[&str] = &["2008-10-17", "2012-10-17"];
const STATEMENT: &[&str] =
    &["Action", "Condition", "Effect", "NotAction", "NotPrincipal", "NotResource", "Principal", "Resource", "Sid"];
const EFFECTS: &[&str] = &["Allow", "Deny"];
const PRINCIPAL: &[&str] = &["AWS", "CanonicalUser", "Federated", "Service"];
/// Without `ForAllValues:` and `ForAnyValue:` before them, and `IfExists` behind them.
const OPERATORS: &[&str] = &[
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "BinaryEquals",
    "Bool",
    "DateEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateNotEquals",
    "IpAddress",
    "NotIpAddress",
    "Null",
    "NumericEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericNotEquals",
    "StringEquals",
    "StringEqualsIgnoreCase",
    "StringLike",
    "StringNotEquals",
    "StringNotEqualsIgnoreCase",
    "StringNotLike",
];

/// What a document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Who may assume a role.
    Trust,
    /// What a role may do.
    Permissions,
}

/// All that IAM would refuse of the document that is `member` of `properties`; paths are relative to `properties`.
pub fn check(properties: &Value, member: &str, purpose: Purpose) -> Vec<Problem> {
    let Some(document) = properties.get(member) else { return Vec::new() };
    let mut check = Check { purpose, sids: HashSet::new(), found: Vec::new() };
    check.document(&parsed(document), &Path::default().key(member));
    check.found
}

/// `read`, unless something is wrong with it or with its documents.
///
/// # Errors
/// Both.
pub fn with<T>(read: Result<T, Vec<Problem>>, documents: Vec<Problem>) -> Result<T, Vec<Problem>> {
    match read {
        Ok(value) if documents.is_empty() => Ok(value),
        Ok(_) => Err(documents),
        Err(problems) => Err([problems, documents].concat()),
    }
}

struct Check {
    purpose: Purpose,
    sids: HashSet<String>,
    found: Vec<Problem>,
}

impl Check {
    fn document(&mut self, document: &Value, path: &Path) {
        let Some(members) = self.members(document, path, "a policy document", DOCUMENT) else { return };
        if let Some(version) = members.get("Version") {
            self.choice("Version", version, path, VERSIONS);
        }
        let place = path.key("Statement");
        match members.get("Statement") {
            Some(Value::Array(statements)) if statements.is_empty() => {
                self.report(Problem::new(place, "Statement must hold at least one statement"));
            }
            Some(Value::Array(statements)) => {
                for (index, statement) in statements.iter().enumerate() {
                    self.statement(statement, &place.index(index));
                }
            }
            Some(statement) => self.statement(statement, &place),
            None => self.missing("Statement", members, path, "a policy document", DOCUMENT),
        }
    }

    fn statement(&mut self, statement: &Value, path: &Path) {
        let Some(members) = self.members(statement, path, "a statement", STATEMENT) else { return };
        match members.get("Effect") {
            Some(effect) => self.choice("Effect", effect, path, EFFECTS),
            None => self.missing("Effect", members, path, "a statement", STATEMENT),
        }
        for (place, action) in self.either("Action", members, path) {
            match self.purpose {
                Purpose::Permissions if action != "*" && !action.contains(':') => self.report(Problem::new(
                    place,
                    format!("an action is \"*\" or has a service before it, as in dynamodb:GetItem, not \"{action}\""),
                )),
                Purpose::Trust if action != "*" && !action.to_ascii_lowercase().starts_with("sts:") => {
                    let what = format!("who may assume a role is about sts: actions alone, not \"{action}\"");
                    self.report(Problem::new(place, what).help("sts:AssumeRole"));
                }
                _ => {}
            }
        }
        match self.purpose {
            Purpose::Trust => {
                self.prohibited("Resource", members, path, "who may assume a role is about that role alone");
                self.principal(members, path);
            }
            Purpose::Permissions => {
                self.prohibited("Principal", members, path, "a role's policy is about whoever has the role");
                for (place, resource) in self.either("Resource", members, path) {
                    if resource != "*" && !resource.starts_with("arn:") && !resource.starts_with("${") {
                        let what = format!("a resource is \"*\" or an ARN, not \"{resource}\"");
                        self.report(
                            Problem::new(place, what).help("!GetAtt gives the ARN of what !Ref gives the name of"),
                        );
                    }
                }
                self.sid(members, path);
            }
        }
        if let Some(condition) = members.get("Condition") {
            self.condition(condition, &path.key("Condition"));
        }
    }

    fn sid(&mut self, members: &Map<String, Value>, path: &Path) {
        let Some(Value::String(sid)) = members.get("Sid") else { return };
        let place = path.key("Sid");
        if !sid.chars().all(|letter| letter.is_ascii_alphanumeric()) {
            self.report(Problem::new(place, format!("a Sid has letters and digits alone, not \"{sid}\"")));
        } else if !sid.is_empty() && !self.sids.insert(sid.clone()) {
            self.report(Problem::new(place, format!("another statement has the Sid \"{sid}\"")));
        }
    }

    fn principal(&mut self, members: &Map<String, Value>, path: &Path) {
        let Some((key, value)) = self.one_of("Principal", members, path) else { return };
        let place = path.key(key);
        match value {
            Value::String(anybody) if anybody == "*" => {}
            Value::Object(_) => {
                if let Some(kinds) = self.members(value, &place, key, PRINCIPAL) {
                    for (kind, who) in kinds {
                        self.texts(kind, who, &place.key(kind));
                    }
                }
            }
            other => {
                let what = format!("{key} must be \"*\" or a map, not {}", describe(other));
                self.report(Problem::new(place, what).help("such as { Service: lambda.amazonaws.com }"));
            }
        }
    }

    fn condition(&mut self, condition: &Value, path: &Path) {
        let Value::Object(operators) = condition else {
            self.report(Problem::new(path.clone(), format!("Condition must be a map, not {}", describe(condition))));
            return;
        };
        for (operator, keys) in operators {
            let place = path.key(operator);
            let name = operator.split_once(':').map_or(operator.as_str(), |(_, name)| name);
            let name = name.strip_suffix("IfExists").unwrap_or(name);
            if !OPERATORS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                let problem = Problem::of_key(place, format!("IAM has no condition operator {operator}"));
                let near = nearest(name, OPERATORS).map(|near| format!("did you mean \"{near}\"?"));
                self.report(Problem { help: near, ..problem });
            } else if !keys.is_object() {
                let what = format!("{operator} must be a map of condition keys, not {}", describe(keys));
                self.report(Problem::new(place, what));
            }
        }
    }

    /// The members of a map, whose unknown ones are reported; none where it is no map.
    fn members<'a>(
        &mut self,
        value: &'a Value,
        path: &Path,
        what: &str,
        known: &[&str],
    ) -> Option<&'a Map<String, Value>> {
        let Value::Object(members) = value else {
            self.report(Problem::new(path.clone(), format!("{what} must be a map, not {}", describe(value))));
            return None;
        };
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            let problem = Problem::of_key(path.key(name), format!("unknown element \"{name}\" of {what}"));
            self.report(problem.suggest(name, known.iter().copied()));
        }
        Some(members)
    }

    /// Reports that `name` is missing, unless it is there under a name that has been reported as unknown.
    fn missing(&mut self, name: &str, members: &Map<String, Value>, path: &Path, what: &str, known: &[&str]) {
        let mut unknown = members.keys().filter(|member| !known.contains(&member.as_str()));
        if !unknown.any(|member| nearest(member, known) == Some(name)) {
            self.report(Problem::new(path.clone(), format!("{what} needs an element \"{name}\"")));
        }
    }

    fn prohibited(&mut self, name: &str, members: &Map<String, Value>, path: &Path, why: &str) {
        for name in [name.to_owned(), format!("Not{name}")] {
            if members.contains_key(&name) {
                self.report(Problem::of_key(path.key(&name), format!("there can be no {name} here: {why}")));
            }
        }
    }

    /// The element that is there as `name` or as its opposite, `Not` and `name`: exactly one must be.
    fn one_of<'a>(
        &mut self,
        name: &str,
        members: &'a Map<String, Value>,
        path: &Path,
    ) -> Option<(&'a String, &'a Value)> {
        let not = format!("Not{name}");
        match (members.get_key_value(name), members.get_key_value(&not)) {
            (Some(_), Some(_)) => {
                let what = format!("a statement has {name} or {not}, not both");
                self.report(Problem::of_key(path.key(&not), what));
                None
            }
            (None, None) => {
                self.missing(name, members, path, "a statement", STATEMENT);
                None
            }
            (one, other) => one.or(other),
        }
    }

    /// The texts of that element, and where they stand.
    fn either(&mut self, name: &str, members: &Map<String, Value>, path: &Path) -> Vec<(Path, String)> {
        let Some((key, value)) = self.one_of(name, members, path) else { return Vec::new() };
        self.texts(key, value, &path.key(key))
    }

    /// The texts of a value that is one or several, but for those that are not known yet.
    fn texts(&mut self, name: &str, value: &Value, path: &Path) -> Vec<(Path, String)> {
        let items: Vec<(Path, &Value)> = match value {
            Value::Array(items) if items.is_empty() => {
                self.report(Problem::new(path.clone(), format!("{name} must hold at least one")));
                return Vec::new();
            }
            Value::Array(items) => items.iter().enumerate().map(|(at, item)| (path.index(at), item)).collect(),
            one => vec![(path.clone(), one)],
        };
        let mut texts = Vec::new();
        for (place, item) in items {
            match item {
                Value::String(text) if Token::is_in(text) => {}
                Value::String(text) => texts.push((place, text.clone())),
                other => {
                    let what = format!("{name} must be a string or a list of strings, not {}", describe(other));
                    self.report(Problem::new(place, what));
                }
            }
        }
        texts
    }

    fn choice(&mut self, name: &str, value: &Value, path: &Path, allowed: &[&str]) {
        if value.as_str().is_none_or(|text| !allowed.contains(&text)) {
            let problem = Problem::new(path.key(name), format!("{name} cannot be {}", describe(value)));
            self.report(problem.suggest(value.as_str().unwrap_or_default(), allowed.iter().copied()));
        }
    }

    fn report(&mut self, problem: Problem) {
        self.found.push(problem);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(document: Value, purpose: Purpose) -> Vec<String> {
        let problems = check(&json!({ "PolicyDocument": document }), "PolicyDocument", purpose);
        let shown = |problem: Problem| {
            let help = problem.help.map(|help| format!(" [{help}]")).unwrap_or_default();
            format!("{}: {}{help}", problem.path, problem.what)
        };
        problems.into_iter().map(shown).collect()
    }

    #[test]
    fn what_iam_takes_is_taken() {
        let trust = json!({ "Effect": "Allow", "Principal": { "Service": ["lambda.amazonaws.com"] }, "Action": "sts:AssumeRole" });
        let permission =
            json!({ "Effect": "Deny", "NotAction": ["s3:*", "*"], "NotResource": ["arn:aws:s3:::b/*", "*"] });
        let token = Token::text("Api", "Ref");
        for (purpose, statement) in [
            (Purpose::Trust, trust.clone()),
            (
                Purpose::Trust,
                json!({ "Sid": "a b", "Effect": "Deny", "NotPrincipal": "*", "Action": ["STS:TagSession"] }),
            ),
            (Purpose::Permissions, permission.clone()),
            (Purpose::Permissions, json!({ "Sid": "One2", "Effect": "Allow", "Action": "a:B", "Resource": token })),
            (
                Purpose::Permissions,
                json!({ "Effect": "Allow", "Action": "a:B", "Resource": format!("arn:aws:x:::{token}"), "Condition": {
                    "stringequals": { "a:b": "c" }, "ForAllValues:StringLikeIfExists": { "a:b": ["c"] }, "Null": { "a": true } } }),
            ),
        ] {
            assert_eq!(found(json!({ "Statement": statement }), purpose), [""; 0], "{statement}");
            let several = json!({ "Version": "2012-10-17", "Id": "x", "Statement": [statement] });
            assert_eq!(found(several.clone(), purpose), [""; 0], "{statement}");
            assert_eq!(found(several.to_string().into(), purpose), [""; 0], "as text: {statement}");
        }
        assert_eq!(check(&json!({}), "PolicyDocument", Purpose::Trust), []);
    }

    #[test]
    fn what_iam_refuses_is_found_all_at_once() {
        let permissions = json!({
            "Version": "2026-11-23",
            "Statment": [],
            "Statement": [
                { "Effect": "allow", "Action": "PutItem", "Resource": "table", "Sid": "a-b" },
                { "Efect": "Allow", "Action": [], "NotAction": "a:b", "Resource": [5] },
                { "Effect": "Allow", "Principal": "*", "Resources": "*", "Sid": "One" },
                { "Effect": "Allow", "Action": { "a": 1 }, "Sid": "One", "Condition": { "StringEqual": {}, "Bool": [] } },
                { "Effect": "Allow", "Action": "a:b", "Resource": [], "Condition": "x" },
                "all",
            ],
        });
        let trust = json!({ "Statement": [
            { "Effect": "Allow", "Principal": { "Servic": "lambda.amazonaws.com", "AWS": {} }, "Action": "lambda:*" },
            { "Effect": "Allow", "Principal": "lambda.amazonaws.com", "Action": "sts:AssumeRole", "Resource": "*" },
            { "Effect": "Allow", "Action": "sts:AssumeRole" },
        ] });
        let all = [
            found(permissions, Purpose::Permissions),
            found(trust, Purpose::Trust),
            found(json!({}), Purpose::Trust),
            found(json!({ "Statement": [] }), Purpose::Trust),
            found(json!("Allow"), Purpose::Trust),
        ];
        insta::assert_snapshot!(all.concat().join("\n"), @r#"
        PolicyDocument/Statment: unknown element "Statment" of a policy document [did you mean "Statement"?]
        PolicyDocument/Version: Version cannot be "2026-11-23" [known here: 2008-10-17, 2012-10-17]
        PolicyDocument/Statement/0/Effect: Effect cannot be "allow" [did you mean "Allow"?]
        PolicyDocument/Statement/0/Action: an action is "*" or has a service before it, as in dynamodb:GetItem, not "PutItem"
        PolicyDocument/Statement/0/Resource: a resource is "*" or an ARN, not "table" [!GetAtt gives the ARN of what !Ref gives the name of]
        PolicyDocument/Statement/0/Sid: a Sid has letters and digits alone, not "a-b"
        PolicyDocument/Statement/1/Efect: unknown element "Efect" of a statement [did you mean "Effect"?]
        PolicyDocument/Statement/1/NotAction: a statement has Action or NotAction, not both
        PolicyDocument/Statement/1/Resource/0: Resource must be a string or a list of strings, not 5
        PolicyDocument/Statement/2/Resources: unknown element "Resources" of a statement [did you mean "Resource"?]
        PolicyDocument/Statement/2: a statement needs an element "Action"
        PolicyDocument/Statement/2/Principal: there can be no Principal here: a role's policy is about whoever has the role
        PolicyDocument/Statement/3/Action: Action must be a string or a list of strings, not a map
        PolicyDocument/Statement/3: a statement needs an element "Resource"
        PolicyDocument/Statement/3/Sid: another statement has the Sid "One"
        PolicyDocument/Statement/3/Condition/StringEqual: IAM has no condition operator StringEqual [did you mean "StringEquals"?]
        PolicyDocument/Statement/3/Condition/Bool: Bool must be a map of condition keys, not a list
        PolicyDocument/Statement/4/Resource: Resource must hold at least one
        PolicyDocument/Statement/4/Condition: Condition must be a map, not "x"
        PolicyDocument/Statement/5: a statement must be a map, not "all"
        PolicyDocument/Statement/0/Action: who may assume a role is about sts: actions alone, not "lambda:*" [sts:AssumeRole]
        PolicyDocument/Statement/0/Principal/Servic: unknown element "Servic" of Principal [did you mean "Service"?]
        PolicyDocument/Statement/0/Principal/AWS: AWS must be a string or a list of strings, not a map
        PolicyDocument/Statement/1/Resource: there can be no Resource here: who may assume a role is about that role alone
        PolicyDocument/Statement/1/Principal: Principal must be "*" or a map, not "lambda.amazonaws.com" [such as { Service: lambda.amazonaws.com }]
        PolicyDocument/Statement/2: a statement needs an element "Principal"
        PolicyDocument: a policy document needs an element "Statement"
        PolicyDocument/Statement: Statement must hold at least one statement
        PolicyDocument: a policy document must be a map, not "Allow"
        "#);
    }
}
