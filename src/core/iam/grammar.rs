//! What IAM rejects in a policy document as `MalformedPolicyDocument`.
//!
//! The deployer reports every error at its place before any call is made; the local cloud answers with IAM's single
//! message. Sources: the grammar of the policy language
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>), and IAM's answers to 78
//! refused and 60 accepted documents as moto's tests record them (getmoto/moto, tests/test_iam/test_iam_policies.py).
//! `tests/fixtures/policies.json` has such answers; the order of IAM's checks is derived from them.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::document::parsed;
use crate::core::words::deserialize::describe;
use crate::core::words::{Path, Problem, ProblemKind, Token, nearest};

const DOCUMENT: &[&str] = &["Id", "Statement", "Version"];
const VERSIONS: &[&str] = &["2008-10-17", "2012-10-17"];
const STATEMENT: &[&str] =
    &["Action", "Condition", "Effect", "NotAction", "NotPrincipal", "NotResource", "Principal", "Resource", "Sid"];
const EFFECTS: &[&str] = &["Allow", "Deny"];
const PRINCIPAL: &[&str] = &["AWS", "CanonicalUser", "Federated", "Service"];
/// Without the prefixes `ForAllValues:` and `ForAnyValue:`, and the suffix `IfExists`.
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

/// The partitions of AWS, and `*`, which documents may have instead.
const PARTITIONS: &[&str] =
    &["*", "aws", "aws-cn", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-us-gov"];
/// The allowed first parts of an IAM resource's path, in the order in which IAM lists them.
const IAM_PATHS: &[&str] = &[
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
];

/// The use of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The trust policy of a role.
    Trust,
    /// An inline policy of a role.
    Inline,
    /// A managed policy, which must have the newest version of the language.
    Managed,
}

/// Everything IAM rejects in the document that is `member` of `properties`; paths are relative to `properties`.
pub fn check(properties: &Value, member: &str, purpose: Purpose) -> Vec<Problem> {
    let Some(document) = properties.get(member) else { return Vec::new() };
    let faults = faults(&parsed(document), &Path::default().key(member), purpose);
    faults.into_iter().map(|(_, problem)| problem).collect()
}

/// IAM's message when it rejects a document, sent as `text`; `None` where it accepts it.
pub fn refusal(text: &str, purpose: Purpose) -> Option<String> {
    let Ok(document) = serde_json::from_str(text) else {
        let words =
            if purpose == Purpose::Trust { "This policy contains invalid Json" } else { "Syntax errors in policy." };
        return Some(words.to_owned());
    };
    let faults = faults(&document, &Path::default(), purpose);
    let odd_resource = faults.iter().any(|(refusal, _)| matches!(refusal, Refusal::Resource { .. }));
    let refusals = faults.into_iter().map(|(refusal, _)| refusal);
    // A resource that is not an ARN is not reported as too short an ARN as well.
    refusals.filter(|refusal| !odd_resource || *refusal != Refusal::ShortArn).min().map(|refusal| refusal.words())
}

/// `read`, unless it or the documents have problems.
///
/// # Errors
/// The problems of both.
pub fn with<T>(read: Result<T, Vec<Problem>>, documents: Vec<Problem>) -> Result<T, Vec<Problem>> {
    match read {
        Ok(value) if documents.is_empty() => Ok(value),
        Ok(_) => Err(documents),
        Err(problems) => Err([problems, documents].concat()),
    }
}

/// IAM's message for an error. IAM answers with one only: the first in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Refusal {
    Syntax,
    Version,
    /// A value that the parser of the language's first version cannot read.
    Legacy,
    /// An ARN of too few parts, which that parser cannot read either.
    ShortArn,
    SidLetters,
    SidTwice,
    /// What a trust policy lacks or must not have.
    Trust(String),
    NoActions,
    Resource {
        resource: String,
        words: String,
    },
    Action(String),
    Principal,
    NoResources,
}

impl Refusal {
    fn words(self) -> String {
        let words = match self {
            Self::Syntax => "Syntax errors in policy.",
            Self::Version => "Policy document must be version 2012-10-17 or greater.",
            Self::Legacy | Self::ShortArn => "The policy failed legacy parsing",
            Self::SidLetters => {
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
            }
            Self::SidTwice => "Statement IDs (SID) in a single policy must be unique.",
            Self::NoActions => "Policy statement must contain actions.",
            Self::Principal => "Policy document should not specify a principal.",
            Self::NoResources => "Policy statement must contain resources.",
            Self::Trust(words) | Self::Resource { words, .. } | Self::Action(words) => return words,
        };
        words.to_owned()
    }
}

type Fault = (Refusal, Problem);

fn faults(document: &Value, path: &Path, purpose: Purpose) -> Vec<Fault> {
    let mut check = Check { purpose, sids: HashSet::new(), found: Vec::new() };
    check.document(document, path);
    check.found
}

struct Check {
    purpose: Purpose,
    sids: HashSet<String>,
    found: Vec<Fault>,
}

impl Check {
    fn document(&mut self, document: &Value, path: &Path) {
        let Some(members) = self.members(document, path, "a policy document", DOCUMENT) else { return };
        match members.get("Version") {
            Some(version)
                if !is_token(version)
                    && self.choice("Version", version, path, VERSIONS)
                    && self.purpose == Purpose::Managed
                    && version != "2012-10-17" =>
            {
                let what = "the Version of a managed policy must be 2012-10-17";
                self.report(Refusal::Version, Problem::new(path.key("Version"), what));
            }
            None if self.purpose == Purpose::Managed => {
                let problem = Problem::new(path.clone(), "a managed policy needs an element \"Version\"")
                    .kind(ProblemKind::Missing);
                self.report(Refusal::Version, problem.help("Version: '2012-10-17'"));
            }
            _ => {}
        }
        if let Some(id) = members.get("Id").filter(|id| !id.is_string()) {
            let what = format!("Id must be a string, not {}", describe(id));
            self.report(Refusal::Syntax, Problem::new(path.key("Id"), what).kind(ProblemKind::IllTyped));
        }
        let place = path.key("Statement");
        match members.get("Statement") {
            Some(Value::Array(statements)) if statements.is_empty() => {
                self.report(
                    Refusal::Syntax,
                    Problem::new(place, "Statement must hold at least one statement").kind(ProblemKind::Missing),
                );
            }
            Some(Value::Array(statements)) => {
                for (index, statement) in statements.iter().enumerate() {
                    self.statement(statement, &place.index(index));
                }
            }
            Some(statement) => self.statement(statement, &place),
            None => self.missing(Refusal::Syntax, "Statement", members, path, "a policy document", DOCUMENT),
        }
    }

    fn statement(&mut self, statement: &Value, path: &Path) {
        let Some(members) = self.members(statement, path, "a statement", STATEMENT) else { return };
        match members.get("Effect") {
            Some(effect) => self.effect(effect, path),
            None if self.purpose == Purpose::Trust => {
                let refusal = Refusal::Trust("Missing required field Effect".to_owned());
                self.missing(refusal, "Effect", members, path, "a statement", STATEMENT);
            }
            None => self.missing(Refusal::Syntax, "Effect", members, path, "a statement", STATEMENT),
        }
        let no_action = match self.purpose {
            Purpose::Trust => Refusal::Trust("Missing required field Action".to_owned()),
            Purpose::Inline | Purpose::Managed => Refusal::NoActions,
        };
        let actions = self.either("Action", no_action, members, path);
        self.sid(members, path);
        if self.purpose == Purpose::Trust {
            self.prohibited("Resource", members, path, "a trust policy applies to its own role only");
            self.principal(members, path);
            for (place, action) in actions {
                if !is_of_trust(&action) {
                    let what = if action.to_ascii_lowercase().starts_with("sts:") {
                        format!("STS has no action \"{action}\" for assuming a role")
                    } else {
                        format!("a trust policy takes sts: actions only, not \"{action}\"")
                    };
                    let words = "AssumeRole policy may only specify STS AssumeRole actions.".to_owned();
                    self.report(Refusal::Action(words), Problem::new(place, what).help("sts:AssumeRole"));
                }
            }
        } else {
            self.prohibited("Principal", members, path, "a role's policy applies to the role itself");
            for (place, action) in actions {
                self.action(place, &action);
            }
            for (place, resource) in self.either("Resource", Refusal::NoResources, members, path) {
                self.resource(place, &resource);
            }
        }
        if let Some(condition) = members.get("Condition") {
            self.condition(condition, &path.key("Condition"));
        }
    }

    fn effect(&mut self, effect: &Value, path: &Path) {
        let known = |text: &str| EFFECTS.iter().any(|known| known.eq_ignore_ascii_case(text));
        let refusal = match effect.as_str() {
            Some(text) if EFFECTS.contains(&text) || Token::is_in(text) => return,
            Some(text) if known(text) => Refusal::Legacy,
            _ => Refusal::Syntax,
        };
        self.report(refusal, not_one_of("Effect", effect, path, EFFECTS));
    }

    fn sid(&mut self, members: &Map<String, Value>, path: &Path) {
        let place = path.key("Sid");
        match members.get("Sid") {
            None => {}
            // A `Sid` of a trust policy may contain spaces, and need not be unique.
            Some(Value::String(_)) if self.purpose == Purpose::Trust => {}
            Some(Value::String(sid)) if Token::is_in(sid) => {}
            Some(Value::String(sid)) => {
                if !sid.chars().all(|letter| letter.is_ascii_alphanumeric()) {
                    let what = format!("a Sid has letters and digits only, not \"{sid}\"");
                    self.report(Refusal::SidLetters, Problem::new(place, what));
                } else if !sid.is_empty() && !self.sids.insert(sid.clone()) {
                    let what = format!("another statement has the Sid \"{sid}\"");
                    self.report(Refusal::SidTwice, Problem::new(place, what).kind(ProblemKind::Duplicate));
                }
            }
            Some(other) => {
                let what = format!("Sid must be a string, not {}", describe(other));
                self.report(Refusal::Syntax, Problem::new(place, what).kind(ProblemKind::IllTyped));
            }
        }
    }

    fn action(&mut self, place: Path, action: &str) {
        if action == "*" {
            return;
        }
        let Some((service, name)) = action.split_once(':') else {
            let what =
                format!("an action is \"*\" or has a service before it, as in dynamodb:GetItem, not \"{action}\"");
            let words = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".to_owned();
            return self.report(Refusal::Action(words), Problem::new(place, what));
        };
        if name.contains(':') {
            let what = format!("an action has one colon, as in dynamodb:GetItem, not \"{action}\"");
            let words = "Actions/Condition can contain only one colon.".to_owned();
            self.report(Refusal::Action(words), Problem::new(place, what));
        } else if service != "*" && !service.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.') {
            let what = format!("no service is called \"{service}\"");
            self.report(
                Refusal::Action(format!("Vendor {service} is not valid")),
                Problem::new(place, what).kind(ProblemKind::Unknown),
            );
        }
    }

    fn resource(&mut self, place: Path, resource: &str) {
        // A policy variable may stand for the whole ARN.
        if resource == "*" || resource.starts_with("${") {
            return;
        }
        let mut odd = |words: String, what: String, help: Option<&str>| {
            let problem = Problem {
                help: help.map(str::to_owned),
                ..Problem::new(place.clone(), what).kind(ProblemKind::Unknown)
            };
            self.report(Refusal::Resource { resource: resource.to_owned(), words }, problem);
        };
        let get_att = Some("!GetAtt gives the ARN of what !Ref gives the name of");
        let Some((first, rest)) = resource.split_once(':') else {
            let words = format!("Resource {resource} must be in ARN format or \"*\".");
            return odd(words, format!("a resource is \"*\" or an ARN, not \"{resource}\""), get_att);
        };
        let parts: Vec<&str> = rest.splitn(5, ':').collect();
        let part = |index: usize| parts.get(index).copied();
        let partition = part(0).unwrap_or_default();
        if !PARTITIONS.contains(&partition) {
            let service = part(1).filter(|service| !service.is_empty() || parts.len() > 2);
            let of = [service, part(2), part(3), part(4)].map(|part| part.unwrap_or("*")).join(":");
            let words = format!("Partition \"{partition}\" is not valid for resource \"arn:{partition}:{of}\".");
            let what = match first {
                "arn" => format!("\"{partition}\" is no partition of AWS: an ARN starts with arn:aws:"),
                _ => format!("a resource is \"*\" or an ARN, not \"{resource}\""),
            };
            return odd(words, what, (first != "arn").then_some("an ARN starts with arn:aws:"));
        }
        let Some(service) = part(1) else {
            let words = "Resource vendor must be fully qualified and cannot contain regexes.".to_owned();
            return odd(words, format!("\"{resource}\" names no service: an ARN is arn:aws:SERVICE:..."), None);
        };
        if service.contains(['*', '?']) && !Token::is_in(service) {
            let words = "Resource vendor must be fully qualified and cannot contain regexes.".to_owned();
            return odd(words, format!("the service of an ARN cannot have wildcards, not \"{service}\""), None);
        }
        let named = |part: Option<&str>| part.is_some_and(|part| !part.is_empty() && part != "*");
        let (region, account, path) = (part(2), part(3), part(4));
        match service {
            "iam" if named(region) => {
                let words = format!("IAM resource {resource} cannot contain region information.");
                return odd(words, format!("an IAM resource has no region: \"{resource}\""), None);
            }
            // Only access points, whose ARN names the account too, belong to a region.
            "s3" if named(region) && account.is_none_or(str::is_empty) => {
                let words = format!("Resource {resource} can not contain region information.");
                return odd(
                    words,
                    format!("a bucket's ARN names no region: \"{resource}\""),
                    Some("arn:aws:s3:::BUCKET"),
                );
            }
            "iam" => {
                let path = path.unwrap_or_default();
                let wild = path.split('/').next().is_some_and(|kind| kind.contains(['*', '?', '$']));
                // An ARN that is too short has a message of its own.
                if parts.len() == 5 && !wild && !IAM_PATHS.iter().any(|start| path.starts_with(start)) {
                    let starts = IAM_PATHS.join(", ");
                    let words = format!("IAM resource path must either be \"*\" or start with {starts}.");
                    let what = format!("IAM has no resources \"{path}\": they start with role/, policy/, user/ ...");
                    return odd(words, what, None);
                }
            }
            _ => {}
        }
        let colons = resource.matches(':').count();
        if service.is_empty() || (colons < 5 && resource.contains("::")) {
            let what = format!(
                "\"{resource}\" is not an ARN: arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE, region and account may be empty"
            );
            self.report(Refusal::ShortArn, Problem::new(place, what));
        }
    }

    fn principal(&mut self, members: &Map<String, Value>, path: &Path) {
        let missing = Refusal::Trust("Missing required field Principal".to_owned());
        let Some((key, value)) = self.one_of("Principal", missing, members, path) else { return };
        let place = path.key(key);
        match value {
            Value::String(anybody) if anybody == "*" => {}
            Value::Object(_) => {
                if let Some(kinds) = self.members(value, &place, key, PRINCIPAL) {
                    for (kind, who) in kinds {
                        for (place, name) in self.texts(kind, Refusal::Syntax, who, &place.key(kind)) {
                            self.principal_name(kind, &name, place);
                        }
                    }
                }
            }
            other => {
                let what = format!("{key} must be \"*\" or a map, not {}", describe(other));
                let problem = Problem::new(place, what)
                    .kind(ProblemKind::IllTyped)
                    .help("such as { Service: lambda.amazonaws.com }");
                self.report(Refusal::Syntax, problem);
            }
        }
    }

    /// The name of a service or account, which must exist ("Invalid principal in policy: ...", aws-cdk-examples#801).
    fn principal_name(&mut self, kind: &str, name: &str, place: Path) {
        if Token::is_in(name) || name.contains('*') {
            return;
        }
        let help = match kind {
            "Service" if !name.contains('.') => format!("did you mean {name}.amazonaws.com?"),
            "Service" if name.ends_with(".amazon.com") => {
                format!("did you mean {}?", name.replace(".amazon.com", ".amazonaws.com"))
            }
            "AWS" if name.len() != 12 && name.bytes().all(|byte| byte.is_ascii_digit()) => {
                "an account has twelve digits".to_owned()
            }
            _ => return,
        };
        let words = format!("Invalid principal in policy: \"{}\":\"{name}\"", kind.to_uppercase());
        self.report(Refusal::Trust(words), Problem::new(place, format!("there is no principal \"{name}\"")).help(help));
    }

    fn condition(&mut self, condition: &Value, path: &Path) {
        let Value::Object(operators) = condition else {
            let what = format!("Condition must be a map, not {}", describe(condition));
            self.report(Refusal::Syntax, Problem::new(path.clone(), what).kind(ProblemKind::IllTyped));
            return;
        };
        for (operator, keys) in operators {
            let place = path.key(operator);
            let name = ["ForAllValues:", "ForAnyValue:"].iter().find_map(|set| operator.strip_prefix(set));
            let name = name.unwrap_or(operator);
            let name = name.strip_suffix("IfExists").unwrap_or(name);
            let Value::Object(keys) = keys else {
                let what = format!("{operator} must be a map of condition keys, not {}", describe(keys));
                self.report(Refusal::Syntax, Problem::new(place, what).kind(ProblemKind::IllTyped));
                continue;
            };
            // IAM does not check an operator that has nothing to compare.
            if !keys.is_empty() && !OPERATORS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                let problem = Problem::of_key(place, format!("IAM has no condition operator {operator}"))
                    .kind(ProblemKind::Unknown);
                let near = nearest(name, OPERATORS).map(|near| format!("did you mean \"{near}\"?"));
                self.report(Refusal::Syntax, Problem { help: near, ..problem });
                continue;
            }
            let of_dates = name.to_ascii_lowercase().starts_with("date");
            for (key, value) in keys {
                self.compared(value, &place.key(key), of_dates);
            }
        }
    }

    /// The values that a condition compares with: a scalar or a list of them, for some operators dates.
    fn compared(&mut self, value: &Value, path: &Path, dates: bool) {
        let items: Vec<(Path, &Value)> = match value {
            Value::Array(items) => items.iter().enumerate().map(|(at, item)| (path.index(at), item)).collect(),
            one => vec![(path.clone(), one)],
        };
        for (place, item) in items {
            match item {
                Value::Array(_) | Value::Object(_) | Value::Null => {
                    let what =
                        format!("a condition compares with a string or a list of strings, not {}", describe(item));
                    self.report(Refusal::Syntax, Problem::new(place, what).kind(ProblemKind::IllTyped));
                }
                Value::String(date) if dates && !Token::is_in(date) && !is_date(date) => {
                    let what = format!("\"{date}\" is no date: 2026-11-23T10:00:00Z, or seconds since 1970");
                    self.report(Refusal::Legacy, Problem::new(place, what));
                }
                _ => {}
            }
        }
    }

    /// The members of a map, after reporting unknown ones; `None` for any other value.
    fn members<'a>(
        &mut self,
        value: &'a Value,
        path: &Path,
        what: &str,
        known: &[&str],
    ) -> Option<&'a Map<String, Value>> {
        let Value::Object(members) = value else {
            let what = format!("{what} must be a map, not {}", describe(value));
            self.report(Refusal::Syntax, Problem::new(path.clone(), what).kind(ProblemKind::IllTyped));
            return None;
        };
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            let problem = Problem::of_key(path.key(name), format!("unknown element \"{name}\" of {what}"))
                .kind(ProblemKind::Unknown);
            self.report(Refusal::Syntax, problem.suggest(name, known.iter().copied()));
        }
        Some(members)
    }

    /// Reports that `name` is missing, unless an unknown member that was reported is a misspelling of it.
    fn missing(
        &mut self,
        refusal: Refusal,
        name: &str,
        members: &Map<String, Value>,
        path: &Path,
        what: &str,
        known: &[&str],
    ) {
        let mut unknown = members.keys().filter(|member| !known.contains(&member.as_str()));
        if !unknown.any(|member| nearest(member, known) == Some(name)) {
            self.report(
                refusal,
                Problem::new(path.clone(), format!("{what} needs an element \"{name}\"")).kind(ProblemKind::Missing),
            );
        }
    }

    fn prohibited(&mut self, name: &str, members: &Map<String, Value>, path: &Path, why: &str) {
        for name in [name.to_owned(), format!("Not{name}")] {
            if members.contains_key(&name) {
                let refusal = match self.purpose {
                    Purpose::Trust => Refusal::Trust(format!("Has prohibited field {name}")),
                    Purpose::Inline | Purpose::Managed => Refusal::Principal,
                };
                let what = format!("there can be no {name} here: {why}");
                self.report(refusal, Problem::of_key(path.key(&name), what));
            }
        }
    }

    /// The element `name` or its opposite, `Not` and `name`: exactly one must be given.
    fn one_of<'a>(
        &mut self,
        name: &str,
        missing: Refusal,
        members: &'a Map<String, Value>,
        path: &Path,
    ) -> Option<(&'a String, &'a Value)> {
        let not = format!("Not{name}");
        match (members.get_key_value(name), members.get_key_value(&not)) {
            (Some(_), Some(_)) => {
                let what = format!("a statement has {name} or {not}, not both");
                self.report(Refusal::Syntax, Problem::of_key(path.key(&not), what));
                None
            }
            (None, None) => {
                self.missing(missing, name, members, path, "a statement", STATEMENT);
                None
            }
            (one, other) => one.or(other),
        }
    }

    /// The texts of that element, with their paths; `missing` is IAM's message if there are none.
    fn either(
        &mut self,
        name: &str,
        missing: Refusal,
        members: &Map<String, Value>,
        path: &Path,
    ) -> Vec<(Path, String)> {
        let Some((key, value)) = self.one_of(name, missing.clone(), members, path) else { return Vec::new() };
        self.texts(key, missing, value, &path.key(key))
    }

    /// The texts of a value that is one or several, without those that are not known yet.
    fn texts(&mut self, name: &str, missing: Refusal, value: &Value, path: &Path) -> Vec<(Path, String)> {
        let items: Vec<(Path, &Value)> = match value {
            Value::Array(items) if items.is_empty() => {
                self.report(
                    missing,
                    Problem::new(path.clone(), format!("{name} must hold at least one")).kind(ProblemKind::Missing),
                );
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
                    self.report(Refusal::Syntax, Problem::new(place, what).kind(ProblemKind::IllTyped));
                }
            }
        }
        texts
    }

    /// Whether `value` is one of `allowed`; reports it where it is not.
    fn choice(&mut self, name: &str, value: &Value, path: &Path, allowed: &[&str]) -> bool {
        let is_one = value.as_str().is_some_and(|text| allowed.contains(&text));
        if !is_one {
            self.report(Refusal::Syntax, not_one_of(name, value, path, allowed));
        }
        is_one
    }

    fn report(&mut self, refusal: Refusal, problem: Problem) {
        self.found.push((refusal, problem));
    }
}

fn not_one_of(name: &str, value: &Value, path: &Path, allowed: &[&str]) -> Problem {
    let problem = Problem::new(path.key(name), format!("{name} cannot be {}", describe(value)));
    problem.suggest(value.as_str().unwrap_or_default(), allowed.iter().copied())
}

fn is_token(value: &Value) -> bool {
    value.as_str().is_some_and(Token::is_in)
}

/// Whether IAM accepts a date: ISO 8601, where everything after the year may be missing, or seconds.
fn is_date(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    if !text.contains(['t', '-']) {
        return text.parse::<i64>().is_ok_and(|seconds| seconds >= 0);
    }
    let (date, time) = text.split_once('t').unwrap_or((&text, ""));
    let (sign, date) = date.strip_prefix('-').map_or((1, date), |date| (-1, date));
    let mut parts = date.split('-');
    // The years that fit into the milliseconds of a 64-bit number.
    let year = parts.next().and_then(|year| Some(sign * year.parse::<i64>().ok()?));
    let in_range = year.is_some_and(|year| (-292_275_054..=292_278_993).contains(&year));
    in_range
        && parts.next().is_none_or(|month| is_number(month, 1..=12))
        && parts.next().is_none_or(|day| is_number(day, 1..=31))
        && parts.next().is_none()
        && is_time(time)
}

fn is_time(time: &str) -> bool {
    let (time, zone) = match time.find(['z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let mut parts = time.splitn(3, ':');
    let hours = parts.next().is_none_or(|hours| hours.is_empty() || is_number(hours, 0..=23));
    let minutes = parts.next().is_none_or(|minutes| is_number(minutes, 0..=59));
    let seconds = parts.next().is_none_or(|seconds| {
        let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
        is_number(whole, 0..=59) && is_number(fraction, 0..=999_999_999)
    });
    hours && minutes && seconds && is_zone(zone)
}

fn is_zone(zone: &str) -> bool {
    let Some(offset) = zone.strip_prefix(['+', '-']) else { return zone.is_empty() || zone == "z" };
    let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "00"));
    hours.len() == 2 && minutes.len() == 2 && is_number(hours, 0..=23) && is_number(minutes, 0..=59)
}

fn is_number(text: &str, range: std::ops::RangeInclusive<u32>) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse().is_ok_and(|number| range.contains(&number))
}

/// The actions that a trust policy can have (IAM user guide, "Service authorization reference", STS: those on roles).
const OF_TRUST: &[&str] = &[
    "sts:AssumeRole",
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWithWebIdentity",
    "sts:SetContext",
    "sts:SetSourceIdentity",
    "sts:TagSession",
];

/// Whether a trust policy can have an action, which may contain wildcards.
fn is_of_trust(action: &str) -> bool {
    OF_TRUST.iter().any(|known| match action.find(['*', '?']) {
        None => known.eq_ignore_ascii_case(action),
        // The part after a wildcard is not checked.
        Some(end) => known.get(..end).is_some_and(|known| known.eq_ignore_ascii_case(&action[..end])),
    })
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

    /// Documents and IAM's answers to them; see the top of this file.
    #[test]
    fn recorded_documents_get_iams_recorded_answers() {
        let cases: Value = serde_json::from_str(include_str!("../../../tests/fixtures/policies.json")).unwrap();
        let mut wrong = Vec::new();
        let all = ["refused", "accepted"].map(|list| cases[list].as_array().unwrap());
        for case in all.iter().copied().flatten() {
            let purpose = match case["for"].as_str() {
                Some("trust") => Purpose::Trust,
                Some("inline") => Purpose::Inline,
                _ => Purpose::Managed,
            };
            let document = &case["document"];
            let text = document.as_str().map_or_else(|| document.to_string(), str::to_owned);
            let words = refusal(&text, purpose);
            let found = found(document.clone(), purpose);
            if words.as_deref() != case["words"].as_str() || found.is_empty() != words.is_none() {
                wrong.push(format!("{case}\n  {words:?}\n  {found:?}"));
            }
        }
        let count = all.map(Vec::len);
        println!(
            "recorded: {} of {} policy documents of IAM",
            count.iter().sum::<usize>() - wrong.len(),
            count[0] + count[1]
        );
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(count[0] >= 102 && count[1] >= 65, "the floor: no recorded document is dropped");
    }

    #[test]
    fn documents_that_iam_accepts_are_accepted() {
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
            (Purpose::Inline, permission.clone()),
            (Purpose::Inline, json!({ "Sid": "One2", "Effect": "Allow", "Action": "a:B", "Resource": token })),
            (
                Purpose::Inline,
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
    fn all_errors_of_a_document_are_found_at_once() {
        let permissions = json!({
            "Version": "2026-11-23",
            "Statment": [],
            "Statement": [
                { "Effect": "allow", "Action": "PutItem", "Resource": "table", "Sid": "a-b" },
                { "Efect": "Allow", "Action": [], "NotAction": "a:b", "Resource": [5] },
                { "Effect": "Allow", "Principal": "*", "Resources": "*", "Sid": "One" },
                { "Effect": "Allow", "Action": { "a": 1 }, "Sid": "One", "Condition": { "StringEqual": { "a:b": "c" }, "Bool": [] } },
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
            found(permissions, Purpose::Inline),
            found(trust, Purpose::Trust),
            found(json!({}), Purpose::Trust),
            found(json!({ "Statement": [] }), Purpose::Trust),
            found(json!("Allow"), Purpose::Trust),
        ];
        insta::assert_snapshot!(all.concat().join("\n"), @r#"
        PolicyDocument/Statment: unknown element "Statment" of a policy document [did you mean "Statement"?]
        PolicyDocument/Version: Version cannot be "2026-11-23" [known here: 2008-10-17, 2012-10-17]
        PolicyDocument/Statement/0/Effect: Effect cannot be "allow" [did you mean "Allow"?]
        PolicyDocument/Statement/0/Sid: a Sid has letters and digits only, not "a-b"
        PolicyDocument/Statement/0/Action: an action is "*" or has a service before it, as in dynamodb:GetItem, not "PutItem"
        PolicyDocument/Statement/0/Resource: a resource is "*" or an ARN, not "table" [!GetAtt gives the ARN of what !Ref gives the name of]
        PolicyDocument/Statement/1/Efect: unknown element "Efect" of a statement [did you mean "Effect"?]
        PolicyDocument/Statement/1/NotAction: a statement has Action or NotAction, not both
        PolicyDocument/Statement/1/Resource/0: Resource must be a string or a list of strings, not 5
        PolicyDocument/Statement/2/Resources: unknown element "Resources" of a statement [did you mean "Resource"?]
        PolicyDocument/Statement/2: a statement needs an element "Action"
        PolicyDocument/Statement/2/Principal: there can be no Principal here: a role's policy applies to the role itself
        PolicyDocument/Statement/3/Action: Action must be a string or a list of strings, not a map
        PolicyDocument/Statement/3/Sid: another statement has the Sid "One"
        PolicyDocument/Statement/3: a statement needs an element "Resource"
        PolicyDocument/Statement/3/Condition/StringEqual: IAM has no condition operator StringEqual [did you mean "StringEquals"?]
        PolicyDocument/Statement/3/Condition/Bool: Bool must be a map of condition keys, not a list
        PolicyDocument/Statement/4/Resource: Resource must hold at least one
        PolicyDocument/Statement/4/Condition: Condition must be a map, not "x"
        PolicyDocument/Statement/5: a statement must be a map, not "all"
        PolicyDocument/Statement/0/Principal/Servic: unknown element "Servic" of Principal [did you mean "Service"?]
        PolicyDocument/Statement/0/Principal/AWS: AWS must be a string or a list of strings, not a map
        PolicyDocument/Statement/0/Action: a trust policy takes sts: actions only, not "lambda:*" [sts:AssumeRole]
        PolicyDocument/Statement/1/Resource: there can be no Resource here: a trust policy applies to its own role only
        PolicyDocument/Statement/1/Principal: Principal must be "*" or a map, not "lambda.amazonaws.com" [such as { Service: lambda.amazonaws.com }]
        PolicyDocument/Statement/2: a statement needs an element "Principal"
        PolicyDocument: a policy document needs an element "Statement"
        PolicyDocument/Statement: Statement must hold at least one statement
        PolicyDocument: a policy document must be a map, not "Allow"
        "#);
    }
}
