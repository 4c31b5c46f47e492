//! What the entries of a function's `Policies` are.

use serde_json::{Value, json};

use super::super::intrinsics;
use super::policy_templates;

/// The managed policies of AWS that do not stand at the root, with their path: AWS's own list, as its
/// `iam list-policies --scope AWS` gives it. Those of service-linked roles are left out: nobody can attach them.
const WITH_PATH: &str = include_str!("managed_policies.txt");

/// The ARN of AWS's managed policy called `name`, which may be an ARN already, or what CloudFormation would look up.
pub fn managed(name: &str, partition: &str) -> String {
    if name.starts_with("arn:") || name.contains("{{resolve:") {
        return name.to_owned();
    }
    let listed = WITH_PATH.lines().find(|listed| listed.rsplit('/').next() == Some(name));
    format!("arn:{partition}:iam::aws:policy/{}", listed.unwrap_or(name))
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name or an ARN, or what will be one.
    Managed,
    /// A policy document.
    Document,
    /// One of SAM's policy templates.
    Template,
    /// Nothing that SAM knows.
    Unknown,
}

/// What kind of entry `policy` is, as SAM sees it; a choice is what its branches are.
///
/// # Errors
/// A choice that is none, or between different kinds: a sentence.
pub fn kind(policy: &Value) -> Result<Kind, &'static str> {
    match (policy, intrinsics::call(policy)) {
        (Value::String(_), _) => Ok(Kind::Managed),
        (_, Some(("Fn::If", argument))) => {
            let Some([_, yes, no]) = argument.as_array().map(Vec::as_slice) else {
                return Err("Fn::If requires 3 arguments: a condition, and a value for either case");
            };
            match (kind(yes)?, kind(no)?) {
                (one, other) if one == other => Ok(one),
                (_, other) if is_nothing(yes) => Ok(other),
                (one, _) if is_nothing(no) => Ok(one),
                _ => Err(
                    "the branches of Fn::If are of different kinds of policies: give each kind an Fn::If of its own",
                ),
            }
        }
        (_, Some(_)) => Ok(Kind::Managed),
        (Value::Object(entries), _) if entries.contains_key("Statement") => Ok(Kind::Document),
        (Value::Object(entries), _)
            if entries.len() == 1 && entries.keys().all(|name| policy_templates::find(name).is_some()) =>
        {
            Ok(Kind::Template)
        }
        _ => Ok(Kind::Unknown),
    }
}

/// `AWS::NoValue`.
pub fn is_nothing(value: &Value) -> bool {
    *value == json!({ "Ref": "AWS::NoValue" })
}

/// `policy` with `change` made to it; to both branches, where it is a choice. `change` gets the index of the branch.
pub fn branches(policy: &Value, mut change: impl FnMut(&Value, Option<usize>) -> Value) -> Value {
    match intrinsics::call(policy) {
        Some(("Fn::If", Value::Array(parts))) if parts.len() == 3 => {
            let mut branch = |at: usize| {
                if is_nothing(&parts[at]) { parts[at].clone() } else { change(&parts[at], Some(at)) }
            };
            json!({ "Fn::If": [parts[0], branch(1), branch(2)] })
        }
        _ => change(policy, None),
    }
}
