//! Generated names for resources that the template leaves unnamed, and the rule for stack names.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Problem, Scope};

/// How many hexadecimal digits of the identity's hash a name ends in.
const HASH_DIGITS: usize = 8;

/// The longest name of a stack in CloudFormation (CreateStack, `StackName`).
const MAX_STACK_LENGTH: usize = 128;

/// How many characters of a logical id a name keeps at least, if it has as many: the stack's name is cut first.
const MIN_ID_LENGTH: usize = 14;

/// The identity of a resource: a change in any of it means a new resource with a new name.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub scope: &'a Scope,
    pub type_name: &'a str,
    pub logical_id: &'a str,
    /// The properties that AWS cannot change on an existing resource.
    pub create_only: &'a Map<String, Value>,
}

impl Identity<'_> {
    /// `{stack}-{LogicalId}-{8 hex}`, at most `longest` characters. A longer name is cut: the logical id down to
    /// `MIN_ID_LENGTH` characters, then the stack's name. The digits are a hash of the whole identity, so two names that are
    /// cut to the same text differ in them.
    pub fn name(&self, longest: usize) -> String {
        let room = longest.saturating_sub(HASH_DIGITS + 2);
        let id_length = room.saturating_sub(self.scope.stack.len()).max(MIN_ID_LENGTH.min(room));
        let logical_id: String = self.logical_id.chars().take(id_length).collect();
        let stack: String = self.scope.stack.chars().take(room - logical_id.len()).collect();
        format!("{stack}-{logical_id}-{}", &self.digest()[..HASH_DIGITS])
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

/// `value` with the keys of all maps sorted, so that their order in the template makes no difference.
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

/// The parts of a generated name: the stack's name and the logical id (each may be cut) and the digits. Logical ids
/// have no hyphen.
fn parts(name: &str) -> Option<(&str, &str, &str)> {
    let (rest, digits) = name.rsplit_once('-')?;
    let (stack, logical_id) = rest.rsplit_once('-')?;
    let is_id = !logical_id.is_empty() && logical_id.chars().all(|c| c.is_ascii_alphanumeric());
    let is_digits =
        digits.len() == HASH_DIGITS && digits.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    (!stack.is_empty() && is_id && is_digits).then_some((stack, logical_id, digits))
}

/// The logical id in a name that looks generated for `stack`; it may be cut. Other names may look the same: eight
/// digits are also a short commit hash. Only `Identity::name` is certain.
pub fn logical_id_in<'a>(stack: &str, name: &'a str) -> Option<&'a str> {
    let (of, logical_id, _) = parts(name)?;
    let is_cut = of.len() < stack.len() && logical_id.len() <= MIN_ID_LENGTH && stack.starts_with(of);
    // Every service allows names of at least 64 characters.
    (of == stack || is_cut && name.len() >= 64).then_some(logical_id)
}

/// Checks a stack's name by CloudFormation's rule.
///
/// # Errors
/// The rule, if `name` breaks it.
pub fn check_stack(name: &str) -> Result<(), Problem> {
    let first = name.chars().next().is_some_and(|first| first.is_ascii_alphabetic());
    let rest = name.chars().all(|character| character.is_ascii_alphanumeric() || character == '-');
    if first && rest && name.len() <= MAX_STACK_LENGTH {
        return Ok(());
    }
    let problem = Problem::of_text(None, format!("\"{name}\" cannot be the name of a stack"));
    Err(problem.help(format!("letters, digits and hyphens, a letter first, at most {MAX_STACK_LENGTH} characters")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(stack: &str, logical_id: &str, longest: usize) -> String {
        let scope = Scope {
            stack: stack.to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        };
        let create_only = Map::new();
        Identity { scope: &scope, type_name: "T", logical_id, create_only: &create_only }.name(longest)
    }

    #[test]
    fn a_cut_name_keeps_the_digits_and_part_of_both_names() {
        let long = "s".repeat(128);
        for longest in [64, 128, 255, 512] {
            for stack in ["a", &long[..40], &long[..41], &long[..54], &long] {
                for logical_id in ["A", "Function", &"L".repeat(60), &"L".repeat(255)] {
                    let name = name(stack, logical_id, longest);
                    assert!(name.len() <= longest, "{name}");
                    let found = logical_id_in(stack, &name).unwrap_or_else(|| panic!("{name} of {stack}"));
                    assert!(logical_id.starts_with(found) && found.len() >= logical_id.len().min(14), "{name}");
                    if stack.len() + logical_id.len() + 10 <= longest {
                        assert!(name.starts_with(&format!("{stack}-{logical_id}-")), "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn names_that_are_cut_alike_differ() {
        let long = "s".repeat(127);
        let names: std::collections::BTreeSet<String> = ["a", "b"]
            .iter()
            .flat_map(|end| {
                let stack = format!("{long}{end}");
                ["x", "y"].map(|id| name(&stack, &format!("{}{id}", "L".repeat(100)), 64))
            })
            .collect();
        assert_eq!(names.len(), 4);
    }
}
