//! The names of what the template leaves unnamed, and of stacks.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Scope;
use crate::diagnostic::Problem;

/// How many hexadecimal digits of the identity's hash a name ends in.
const DIGITS: usize = 8;

/// The longest name of a stack: a service's shortest limit on names is 64, and something of the logical id should stay.
const LONGEST_STACK: usize = 40;

/// What makes a resource this one and no other: a change in any of it is a new resource, under a new name.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub scope: &'a Scope,
    pub type_name: &'a str,
    pub logical_id: &'a str,
    /// The properties that AWS cannot change on an existing resource.
    pub create_only: &'a Map<String, Value>,
}

impl Identity<'_> {
    /// `{stack}-{LogicalId}-{8 hex}`, the logical id cut so that the name has at most `longest` characters.
    pub fn name(&self, longest: usize) -> String {
        let stack = &self.scope.stack;
        let room = longest.saturating_sub(stack.len() + DIGITS + 2);
        let logical_id: String = self.logical_id.chars().take(room).collect();
        format!("{stack}-{logical_id}-{}", &self.digest()[..DIGITS])
    }

    fn digest(&self) -> String {
        let identity = serde_json::json!([
            self.scope.stack,
            self.scope.account,
            self.scope.region,
            self.type_name,
            self.logical_id,
            sorted(&Value::Object(self.create_only.clone())),
        ]);
        hex::encode(Sha256::digest(identity.to_string()))
    }
}

/// `value` with the keys of all maps in order, so that the order in which somebody wrote them makes no difference.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        scalar => scalar.clone(),
    }
}

/// Checks a stack's name: CloudFormation's rule, but 40 characters, because names of resources begin with it.
///
/// # Errors
/// The rule, if `name` breaks it.
pub fn check_stack(name: &str) -> Result<(), Problem> {
    let first = name.chars().next().is_some_and(|first| first.is_ascii_alphabetic());
    let rest = name.chars().all(|character| character.is_ascii_alphanumeric() || character == '-');
    if first && rest && name.len() <= LONGEST_STACK {
        return Ok(());
    }
    let problem = Problem::of_text(None, format!("\"{name}\" cannot be the name of a stack"));
    Err(problem.help(format!("letters, digits and hyphens, a letter first, at most {LONGEST_STACK} characters")))
}
