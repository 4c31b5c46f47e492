//! The kinds of entries in a function's `Policies`.

use serde_json::{Value, json};

use super::super::intrinsics;
use super::policy_templates;

/// AWS's managed policies with a path, from `aws iam list-policies --scope AWS`. Those for service-linked roles are
/// left out: they cannot be attached to other roles.
const WITH_PATH: &str = include_str!("managed_policies.txt");

/// The ARN of AWS's managed policy `name`, which may be an ARN already, or a dynamic reference of CloudFormation's.
pub fn managed(name: &str, partition: &str) -> String {
    if name.starts_with("arn:") || name.contains("{{resolve:") {
        return name.to_owned();
    }
    let listed = WITH_PATH.lines().find(|listed| listed.rsplit('/').next() == Some(name));
    format!("arn:{partition}:iam::aws:policy/{}", listed.unwrap_or(name))
}

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name or an ARN, or an expression that gives one.
    Managed,
    /// A policy document.
    Document,
    /// One of SAM's policy templates.
    Template,
    /// SAM does not know it.
    Unknown,
}

/// The kind of the entry `policy`, as SAM sees it; an `Fn::If` has the kind of its branches.
///
/// # Errors
/// An invalid `Fn::If`, or one with branches of different kinds: a sentence.
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

/// `policy` with `change` applied; for an `Fn::If`, to both branches. `change` gets the index of the branch.
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
