//! What a template has looked up outside of it: exports of other stacks, parameters of SSM, secrets.
//!
//! A resolution says which values it lacks (`Survey::lacking`); whoever can ask AWS does so, and the next resolution has them.
//! Until then a token stands for each. A dynamic reference that names what the stack itself makes (a secret by its ARN, a parameter by
//! its name) stays in the properties: the plan puts its value in if it leaves that as it is, and else the step that needs it does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::{Resource, Secrets, Token};
use crate::core::words::{Path, Problem, ProblemKind};

/// A value outside of the template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lookup {
    /// What a stack of the account and region exports under a name.
    Export { name: String },
    /// A parameter of SSM, as `GetParameters` takes it (`NAME` or `NAME:VERSION`).
    Parameter { name: String, secure: bool },
    /// A secret of Secrets Manager, or the value of a key of its JSON.
    Secret { id: String, key: Option<String>, stage: Option<String>, version: Option<String> },
}

impl fmt::Display for Lookup {
    /// As a template asks for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Export { name } => write!(f, "Fn::ImportValue {name}"),
            Self::Parameter { name, secure: false } => write!(f, "ssm:{name}"),
            Self::Parameter { name, secure: true } => write!(f, "ssm-secure:{name}"),
            Self::Secret { id, key, stage, version } => {
                let rest = [key, stage, version].map(|part| part.as_deref().unwrap_or_default());
                write!(f, "{}", format!("secretsmanager:{id}:SecretString:{}", rest.join(":")).trim_end_matches(':'))
            }
        }
    }
}

impl Lookup {
    /// Reads what stands between `{{resolve:` and `}}`.
    ///
    /// # Errors
    /// What is wrong with it.
    // <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html>
    pub fn read(reference: &str) -> Result<Self, String> {
        let (service, key) = reference.split_once(':').unwrap_or((reference, ""));
        match service {
            "ssm" | "ssm-secure" => {
                let arn = key.starts_with("arn:");
                let version = key.rsplit_once(':').map(|(_, version)| version).filter(|_| !arn);
                if key.is_empty() || key.starts_with(':') {
                    return Err(format!(
                        "a dynamic reference to {service} names a parameter: {{{{resolve:{service}:NAME}}}}"
                    ));
                }
                if version
                    .is_some_and(|version| version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()))
                {
                    return Err(format!(
                        "the version in {{{{resolve:{reference}}}}} must be a whole number: labels cannot be used"
                    ));
                }
                Ok(Self::Parameter { name: key.to_owned(), secure: service == "ssm-secure" })
            }
            "secretsmanager" => {
                // An ARN has six colons of its own.
                let fields = if key.starts_with("arn:") { 7 } else { 1 };
                let parts: Vec<&str> = key.split(':').collect();
                let id = parts.iter().take(fields).copied().collect::<Vec<_>>().join(":");
                let mut rest = parts.iter().skip(fields).copied();
                let what = rest.next().unwrap_or_default();
                let mut given = || rest.next().filter(|part| !part.is_empty()).map(str::to_owned);
                let (key, stage, version) = (given(), given(), given());
                if id.is_empty() {
                    return Err("a dynamic reference to secretsmanager names a secret: {{resolve:secretsmanager:ID}}"
                        .to_owned());
                }
                if !["", "SecretString"].contains(&what) {
                    return Err(format!("a dynamic reference reads the SecretString of a secret, not \"{what}\""));
                }
                if stage.is_some() && version.is_some() {
                    return Err("a dynamic reference names the stage of a secret or its version, not both".to_owned());
                }
                Ok(Self::Secret { id, key, stage, version })
            }
            _ => {
                Err(format!("dynamic references read from ssm, ssm-secure and secretsmanager, not from \"{service}\""))
            }
        }
    }
}

impl Lookup {
    /// Whether it always reads the same value.
    pub(super) fn has_version(&self) -> bool {
        match self {
            Self::Export { .. } => false,
            Self::Parameter { name, .. } => !name.starts_with("arn:") && name.contains(':'),
            Self::Secret { version, .. } => version.is_some(),
        }
    }

    /// The type of the resource that it reads.
    pub(super) fn type_name(&self) -> Option<&'static str> {
        match self {
            Self::Export { .. } => None,
            Self::Parameter { .. } => Some("AWS::SSM::Parameter"),
            Self::Secret { .. } => Some("AWS::SecretsManager::Secret"),
        }
    }

    /// Whether that is the one of this name.
    pub(super) fn is_of(&self, name: &str) -> bool {
        match self {
            Self::Export { .. } => false,
            // An ARN has one slash before the name, whether the name begins with one or not.
            Self::Parameter { name: read, .. } => {
                match read.strip_prefix("arn:").and_then(|arn| arn.split_once(":parameter/")) {
                    Some((_, path)) => path == name.trim_start_matches('/'),
                    None => read.split(':').next() == Some(name),
                }
            }
            Self::Secret { id, .. } => id == name,
        }
    }
}

/// Why a value is not there: a sentence, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub what: String,
    pub help: Option<String>,
}

/// Values that were looked up, and those that are not there.
#[derive(Clone, Default)]
pub struct Lookups {
    values: BTreeMap<Lookup, Result<String, Missing>>,
    /// Exports that are made before the stack is: what they give is not known yet.
    expected: BTreeSet<Lookup>,
    /// The names that resources of the stack have in AWS, by type and logical id, where the template gives none.
    names: Names,
}

/// The physical names of resources, by type and logical id.
pub type Names = BTreeMap<(&'static str, String), String>;

impl fmt::Debug for Lookups {
    /// Without the values: some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).entries(self.names.keys()).finish()
    }
}

impl Lookups {
    /// Adds what came of a lookup.
    pub fn insert(&mut self, lookup: Lookup, found: Result<String, Missing>) {
        self.values.insert(lookup, found);
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: Self) {
        self.values.extend(others.values);
        self.expected.extend(others.expected);
        self.names.extend(others.names);
    }

    /// Takes these names, and no others: what they name is there, and is called so whatever wschat would call it.
    pub fn set_names(&mut self, names: Names) {
        self.names = names;
    }

    /// The name that a resource has in AWS.
    pub fn name(&self, type_name: &'static str, logical_id: &str) -> Option<&String> {
        self.names.get(&(type_name, logical_id.to_owned()))
    }

    /// Whether a value is not known before another stack is made.
    pub fn is_expected(&self, lookup: &Lookup) -> bool {
        self.expected.contains(lookup)
    }

    /// Takes exports that are not there for values that are not known yet, where `is_made` says of their names that another stack makes
    /// them before.
    pub fn expect(&mut self, is_made: impl Fn(&str) -> bool) {
        let missing = self.values.iter().filter(|(_, found)| found.is_err()).map(|(lookup, _)| lookup);
        let made = missing.filter(|lookup| matches!(lookup, Lookup::Export { name } if is_made(name)));
        self.expected.extend(made.cloned().collect::<Vec<_>>());
        self.values.retain(|lookup, _| !self.expected.contains(lookup));
    }

    /// Says of exports that are not there what to do, where `help` knows it by their names.
    pub fn explain(&mut self, help: impl Fn(&str) -> Option<String>) {
        for (lookup, found) in &mut self.values {
            if let (Lookup::Export { name }, Err(missing)) = (lookup, found)
                && let Some(help) = help(name)
            {
                missing.help = Some(help);
            }
        }
    }

    /// All values that were found.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.values().filter_map(|found| found.as_deref().ok())
    }

    /// What came of a lookup; `None` where nobody has looked yet.
    pub fn get(&self, lookup: &Lookup) -> Option<&Result<String, Missing>> {
        self.values.get(lookup)
    }
}

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// What stands between `{{resolve:` and `}}`.
    Reference(&'a str),
}

pub(super) const BEGIN: &str = "{{resolve:";

/// The pieces of a text, in order.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let Some((reference, after)) = after.split_once("}}") else { break };
        pieces.extend([Piece::Text(before), Piece::Reference(reference)]);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// Whether a value has dynamic references.
pub fn is_dynamic(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(BEGIN),
        Value::Array(items) => items.iter().any(is_dynamic),
        Value::Object(entries) => entries.values().any(is_dynamic),
        _ => false,
    }
}

/// The dynamic references in a value that name nothing unknown.
pub fn references(value: &Value) -> BTreeSet<Lookup> {
    match value {
        Value::String(text) if text.contains(BEGIN) => {
            let references = pieces(text).into_iter().filter_map(|piece| match piece {
                Piece::Reference(reference) if !Token::is_in(reference) => Lookup::read(reference).ok(),
                _ => None,
            });
            references.collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(entries) => entries.values().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}

/// What stands between `{{resolve:` and `}}` in each of the dynamic references in a value.
pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if text.contains(BEGIN) => {
            let references = pieces(text).into_iter().filter_map(|piece| match piece {
                Piece::Reference(reference) => Some(reference.to_owned()),
                Piece::Text(_) => None,
            });
            references.collect()
        }
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(entries) => entries.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// Puts in what `found` gives for dynamic references, by what stands between `{{resolve:` and `}}`; the others stay.
///
/// # Errors
/// The first of `found`.
pub fn replace<E>(value: &mut Value, found: &mut dyn FnMut(&str) -> Result<Option<String>, E>) -> Result<(), E> {
    match value {
        Value::String(text) if text.contains(BEGIN) => {
            let mut out = String::new();
            for piece in pieces(text) {
                match piece {
                    Piece::Text(text) => out.push_str(text),
                    Piece::Reference(reference) => match found(reference)? {
                        Some(found) => out.push_str(&found),
                        None => out.extend([BEGIN, reference, "}}"]),
                    },
                }
            }
            *text = out;
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| replace(item, found)),
        Value::Object(entries) => entries.values_mut().try_for_each(|value| replace(value, found)),
        _ => Ok(()),
    }
}

/// Puts the values of dynamic references in, as far as they name nothing unknown, and adds them to `secrets`.
///
/// # Errors
/// The first that is not there.
pub fn fill(value: &mut Value, lookups: &Lookups, secrets: &mut Secrets) -> Result<(), Missing> {
    replace(value, &mut |reference| {
        let lookup = if Token::is_in(reference) { None } else { Lookup::read(reference).ok() };
        match lookup.and_then(|lookup| lookups.get(&lookup)) {
            Some(Ok(found)) => {
                secrets.add(&found.as_str().into());
                Ok(Some(found.clone()))
            }
            Some(Err(missing)) => Err(missing.clone()),
            None => Ok(None),
        }
    })
}

/// Whether a name is that of a parameter which AWS publishes for all accounts. (Others of `/aws/` are the account's own.)
pub fn is_public_parameter(name: &str) -> bool {
    name.starts_with("/aws/service/")
}

/// The resource of the stack that a lookup reads, where it names one.
pub fn own<'r>(lookup: &Lookup, resources: &'r BTreeMap<String, Resource>) -> Option<&'r str> {
    let is_it = |resource: &&Resource| {
        lookup.type_name() == Some(resource.kind.type_name())
            && resource.name.as_ref().is_some_and(|name| lookup.is_of(name))
    };
    resources.values().find(is_it).map(|resource| resource.logical_id.as_str())
}

/// The problem that a value is not there.
pub(super) fn problem(path: Path, missing: &Missing) -> Problem {
    let problem = Problem::new(path, missing.what.clone()).kind(ProblemKind::BadReference);
    match &missing.help {
        Some(help) => problem.help(help.clone()),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dynamic_references_are_read_as_cloudformation_writes_them() {
        let parameter = |name: &str, secure| Ok(Lookup::Parameter { name: name.to_owned(), secure });
        let secret = |id: &str, parts: [&str; 3]| {
            let [key, stage, version] = parts.map(|part| (!part.is_empty()).then(|| part.to_owned()));
            Ok(Lookup::Secret { id: id.to_owned(), key, stage, version })
        };
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:chat-a1b2c3";
        for (reference, expected) in [
            ("ssm:/chat/origin", parameter("/chat/origin", false)),
            ("ssm:/chat/origin:3", parameter("/chat/origin:3", false)),
            ("ssm-secure:token", parameter("token", true)),
            ("secretsmanager:chat", secret("chat", ["", "", ""])),
            ("secretsmanager:chat:SecretString", secret("chat", ["", "", ""])),
            ("secretsmanager:chat:SecretString:key:AWSPREVIOUS", secret("chat", ["key", "AWSPREVIOUS", ""])),
            ("secretsmanager:chat:SecretString:key::v1", secret("chat", ["key", "", "v1"])),
            (&format!("secretsmanager:{arn}"), secret(arn, ["", "", ""])),
            (&format!("secretsmanager:{arn}:SecretString:key"), secret(arn, ["key", "", ""])),
            ("ssm:", Err("a dynamic reference to ssm names a parameter: {{resolve:ssm:NAME}}".to_owned())),
            (
                "ssm:/chat:latest",
                Err("the version in {{resolve:ssm:/chat:latest}} must be a whole number: labels cannot be used"
                    .to_owned()),
            ),
            (
                "secretsmanager:chat:SecretBinary",
                Err("a dynamic reference reads the SecretString of a secret, not \"SecretBinary\"".to_owned()),
            ),
            (
                "vault:chat",
                Err("dynamic references read from ssm, ssm-secure and secretsmanager, not from \"vault\"".to_owned()),
            ),
        ] {
            assert_eq!(Lookup::read(reference), expected, "{reference}");
            if let Ok(lookup) = expected
                && !reference.ends_with("SecretString")
            {
                let shown = lookup.to_string();
                assert_eq!(Lookup::read(&shown), Ok(lookup), "{shown}");
            }
        }
    }

    #[test]
    fn what_the_stack_makes_is_known_by_its_name() {
        let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/chat/origin";
        for (reference, name, expected) in [
            ("ssm:/chat/origin", "/chat/origin", true),
            ("ssm:/chat/origin:3", "/chat/origin", true),
            ("ssm:/chat/origins", "/chat/origin", false),
            ("ssm:origin", "/origin", false),
            (&format!("ssm:{arn}"), "/chat/origin", true),
            ("ssm-secure:token", "token", true),
            ("secretsmanager:chat:SecretString:key", "chat", true),
            ("secretsmanager:chats", "chat", false),
        ] {
            assert_eq!(Lookup::read(reference).unwrap().is_of(name), expected, "{reference} {name}");
        }
    }

    #[test]
    fn values_are_put_in_where_nothing_is_unknown() {
        let late = format!("{{{{resolve:secretsmanager:{}}}}}", Token::text("Secret", "Ref"));
        let mut value =
            json!({ "A": "x{{resolve:ssm:/a}}y{{resolve:ssm:/a}}", "B": [late], "C": "{{resolve:ssm:/open" });
        assert_eq!(references(&value), [Lookup::Parameter { name: "/a".to_owned(), secure: false }].into());
        let mut lookups = Lookups::default();
        lookups.insert(Lookup::Parameter { name: "/a".to_owned(), secure: false }, Ok("found".to_owned()));
        let mut secrets = Secrets::default();
        fill(&mut value, &lookups, &mut secrets).unwrap();
        assert_eq!(value, json!({ "A": "xfoundyfound", "B": [late], "C": "{{resolve:ssm:/open" }));
        assert_eq!(secrets.mask("it is found"), "it is ****");
        assert!(is_dynamic(&value));
    }
}
