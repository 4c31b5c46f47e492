//! The stack that a template describes: desired resources with resolved properties, and the edges between them.
//!
//! Most attributes are known before anything exists, because names are ours to give. The few that AWS mints (an API's
//! id, an integration's id, a deployment's id) stand in resolved properties as *tokens*: text inside a string that
//! names the resource and the attribute. `Ref`, `Sub` and `Join` then need no special case, and whoever has the value
//! (the plan from live resources, the executor from fresh ones) puts it in with `Token::substitute`.

mod aws_types;
mod build;
mod conditions;
mod identities;
mod intrinsics;
mod names;
mod naming;
mod network;
mod parameters;
mod references;
mod resolve;
mod rules;
mod secrets;
mod substitution;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::diagnostic::Path;
use crate::resources::Kind;
pub use build::{Build, Esbuild, Makefile};
pub use naming::{Identity, check_stack, logical_id_in};
pub use parameters::secrets;
pub use resolve::{Survey, resolve, survey};
pub use secrets::{MASK, Secrets};

/// Whose stack, where: what names and ARNs are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The stack's name: letters, digits and hyphens, at most 128 characters. None at all is
    /// every stack: for looking only (`wschat list`), `check_stack` lets no other verb have it.
    pub stack: String,
    /// The AWS account, 12 digits.
    pub account: String,
    pub region: String,
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
}

impl Scope {
    /// The domain of the partition's endpoints (`AWS::URLSuffix`).
    pub fn url_suffix(&self) -> &'static str {
        if self.partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" }
    }

    /// An ARN here. IAM's have no region.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        let region = if service == "iam" { "" } else { &self.region };
        format!("arn:{}:{service}:{region}:{}:{resource}", self.partition, self.account)
    }
}

/// A template, resolved.
#[derive(Debug, Clone)]
pub struct Stack {
    pub scope: Scope,
    /// By logical id.
    pub resources: BTreeMap<String, Resource>,
    pub outputs: BTreeMap<String, Output>,
    /// Values of `NoEcho` parameters and what was computed from them: they are never shown.
    pub secrets: Secrets,
}

/// One desired resource.
#[derive(Debug, Clone)]
pub struct Resource {
    pub logical_id: String,
    pub kind: &'static dyn Kind,
    /// The physical id, where it is ours to give: given by the template or made from stack and logical id.
    pub name: Option<String>,
    /// Canonical properties (AWS's defaults filled in), tokens inside.
    pub properties: Value,
    /// Other resources that must be done first, by logical id.
    pub hard: BTreeSet<String>,
    /// Of `hard`, those that are there only because AWS mints what is referred to: once such a resource exists, the
    /// value is known, and its next change need not be waited for.
    pub minted: BTreeSet<String>,
    /// Resources whose name this one speaks of; waited for only when AWS refuses to go on without them.
    pub soft: BTreeSet<String>,
    /// What becomes of the resource when the template has it no more.
    pub deletion_policy: DeletionPolicy,
    /// What becomes of the old resource when another takes its place.
    pub update_replace_policy: DeletionPolicy,
    /// Where the template describes it.
    pub path: Path,
    /// Where a function's code comes from. Then `Code` in `properties` is `LOCAL_CODE`: where code comes from makes no
    /// difference to what is deployed.
    pub code: Option<Code>,
    /// Which of a crate's binaries that code is, if the template says so: SAM's `Metadata.BuildProperties.Binary`.
    pub binary: Option<String>,
    /// What the template's metadata says of how that code is built.
    pub build: Build,
}

/// Where a function's code comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// A folder, crate or zip file, relative to the template.
    Local(String),
    /// The template holds it: the text of one file.
    Inline(String),
}

/// The one key of `Code` of a function whose code is local; its value is `true`.
pub const LOCAL_CODE: &str = "Local";

/// What becomes of a resource that is no longer wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    #[default]
    Delete,
    Retain,
    /// As `Retain`. What a failed run has made goes again, whatever its policy, because nobody has used it yet; so the
    /// exception holds for both.
    RetainExceptOnCreate,
}

impl DeletionPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Retain => "Retain",
            Self::RetainExceptOnCreate => "RetainExceptOnCreate",
        }
    }

    /// The policy of this name.
    pub fn read(name: &str) -> Option<Self> {
        [Self::Delete, Self::Retain, Self::RetainExceptOnCreate].into_iter().find(|policy| policy.as_str() == name)
    }
}

/// One output of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub description: Option<String>,
    /// Tokens inside.
    pub value: String,
    /// Whether it was computed from a `NoEcho` parameter.
    pub secret: bool,
}

/// An attribute that is not known until AWS has minted it, as it stands inside strings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    pub logical_id: String,
    /// The attribute's name; `Ref` for what `Ref` gives.
    pub attribute: String,
}

/// Brackets that no template text contains: private-use characters, which are refused there.
const OPEN: char = '\u{F0000}';
const CLOSE: char = '\u{F0001}';

impl Token {
    /// The token as text, to be put into a string.
    pub fn text(logical_id: &str, attribute: &str) -> String {
        format!("{OPEN}{logical_id}.{attribute}{CLOSE}")
    }

    /// Whether `text` has anything of a token in it.
    pub fn is_in(text: &str) -> bool {
        text.contains([OPEN, CLOSE])
    }

    /// The tokens in `text`, in order.
    pub fn find(text: &str) -> Vec<Self> {
        text.split(OPEN)
            .skip(1)
            .filter_map(|rest| rest.split_once(CLOSE)?.0.split_once('.'))
            .map(|(logical_id, attribute)| Self { logical_id: logical_id.to_owned(), attribute: attribute.to_owned() })
            .collect()
    }

    /// All tokens anywhere in `value`.
    pub fn find_all(value: &Value) -> BTreeSet<Self> {
        match value {
            Value::String(text) => Self::find(text).into_iter().collect(),
            Value::Array(items) => items.iter().flat_map(Self::find_all).collect(),
            Value::Object(entries) => entries.values().flat_map(Self::find_all).collect(),
            _ => BTreeSet::new(),
        }
    }

    /// `value` with every token that `known` knows replaced; the others stay.
    pub fn substitute(value: &Value, known: &dyn Fn(&Token) -> Option<String>) -> Value {
        match value {
            Value::String(text) => Value::String(Self::substitute_text(text, known)),
            Value::Array(items) => items.iter().map(|item| Self::substitute(item, known)).collect(),
            Value::Object(entries) => {
                entries.iter().map(|(key, value)| (key.clone(), Self::substitute(value, known))).collect()
            }
            other => other.clone(),
        }
    }

    /// `text` with every token that `known` knows replaced; the others stay.
    pub fn substitute_text(text: &str, known: &dyn Fn(&Token) -> Option<String>) -> String {
        let mut parts = text.split(OPEN);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (token, after) = part.split_once(CLOSE).unwrap_or((part, ""));
            let value = token.split_once('.').and_then(|(logical_id, attribute)| {
                known(&Self { logical_id: logical_id.to_owned(), attribute: attribute.to_owned() })
            });
            match value {
                Some(value) => out.extend([value.as_str(), after]),
                None => {
                    out.push(OPEN);
                    out.push_str(part);
                }
            }
        }
        out
    }

    /// `text` as a person may read it: tokens as `<ConnectInteg>`.
    pub fn readable(text: &str) -> String {
        Self::substitute_text(text, &|token| {
            let shown = if token.attribute == "Ref" {
                format!("<{}>", token.logical_id)
            } else {
                format!("<{}.{}>", token.logical_id, token.attribute)
            };
            Some(shown)
        })
    }
}

#[cfg(test)]
mod tests;
