//! A function's `Policies`, as the role that SAM makes has them.

use serde_json::{Value, json};

use super::super::intrinsics;

/// The managed policies of AWS that do not stand at the root, with their path: AWS's own list, as its
/// `iam list-policies --scope AWS` gives it. Those of service-linked roles are left out: nobody can attach them.
const WITH_PATH: &str = include_str!("managed_policies.txt");

/// The ARN of AWS's managed policy called `name`, which may be an ARN already.
pub fn managed(name: &str, partition: &str) -> String {
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    let listed = WITH_PATH.lines().find(|listed| listed.rsplit('/').next() == Some(name));
    format!("arn:{partition}:iam::aws:policy/{}", listed.unwrap_or(name))
}

/// One entry of `Policies`.
#[derive(Debug, PartialEq)]
pub enum Entry {
    /// An ARN, or what will be one.
    Managed(Value),
    /// A policy document, or a choice between some.
    Document(Value),
    /// One of SAM's policy templates.
    Template(String),
    Invalid,
}

/// What kind of entry `policy` is, as SAM sees it.
pub fn entry(policy: &Value, partition: &str) -> Entry {
    match (policy, intrinsics::call(policy)) {
        (Value::String(name), _) => Entry::Managed(managed(name, partition).into()),
        (_, Some(("Fn::If", argument))) => choice(argument, partition),
        (_, Some(_)) => Entry::Managed(policy.clone()),
        (Value::Object(entries), _) if entries.contains_key("Statement") => Entry::Document(policy.clone()),
        (Value::Object(entries), _) if entries.len() == 1 && entries.keys().all(|name| name.ends_with("Policy")) => {
            Entry::Template(entries.keys().cloned().collect())
        }
        _ => Entry::Invalid,
    }
}

/// Both branches of an `Fn::If`, which must be of one kind or nothing.
fn choice(argument: &Value, partition: &str) -> Entry {
    let Some([condition, yes, no]) = argument.as_array().map(Vec::as_slice) else { return Entry::Invalid };
    let nothing = json!({ "Ref": "AWS::NoValue" });
    let both = |yes: &Value, no: &Value| json!({ "Fn::If": [condition, yes, no] });
    match (entry(yes, partition), entry(no, partition)) {
        (Entry::Managed(yes), Entry::Managed(no)) => Entry::Managed(both(&yes, &no)),
        (Entry::Document(yes), Entry::Document(no)) => Entry::Document(both(&yes, &no)),
        (Entry::Document(yes), _) if *no == nothing => Entry::Document(both(&yes, no)),
        (_, Entry::Document(no)) if *yes == nothing => Entry::Document(both(yes, &no)),
        (Entry::Template(name), _) | (_, Entry::Template(name)) => Entry::Template(name),
        _ => Entry::Invalid,
    }
}

/// `document` under the name that SAM gives it; a choice of documents becomes a choice of named ones.
pub fn named(document: &Value, name: &str) -> Value {
    let wrap = |document: &Value| json!({ "PolicyName": name, "PolicyDocument": document });
    match intrinsics::call(document) {
        Some(("Fn::If", Value::Array(parts))) if parts.len() == 3 => {
            let branch = |document: &Value| match intrinsics::call(document) {
                Some(("Ref", _)) => document.clone(),
                _ => wrap(document),
            };
            json!({ "Fn::If": [parts[0], branch(&parts[1]), branch(&parts[2])] })
        }
        _ => wrap(document),
    }
}
