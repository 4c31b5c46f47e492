//! Parameters that the operations on roles and on policies have in common: the role of a call, names, paths, tags.

use std::collections::BTreeMap;

use super::{Role, State, limit_exceeded, no_such_entity};
use crate::local::protocol::query::{Query, constraint};
use crate::local::protocol::wire::ApiError;

/// The most tags of a role or a policy (IAM quotas).
const MAX_TAGS: usize = 50;

/// The role of a call.
pub fn role<'a>(state: &'a State, query: &Query) -> Result<&'a Role, ApiError> {
    let name = query.check_name("RoleName", 64, "[\\w+=,.@-]+", is_name)?;
    state.roles.get(name).ok_or_else(|| no_such_role(name))
}

/// The role of a call, mutable.
pub fn role_mut<'a>(state: &'a mut State, query: &Query) -> Result<&'a mut Role, ApiError> {
    let name = query.check_name("RoleName", 64, "[\\w+=,.@-]+", is_name)?;
    state.roles.get_mut(name).ok_or_else(|| no_such_role(name))
}

fn no_such_role(name: &str) -> ApiError {
    no_such_entity(format!("The role with name {name} cannot be found."))
}

/// The alphabet of names in IAM: `[\w+=,.@-]`.
pub fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter)
}

/// The path of a new resource: it begins and ends with `/`, which is the default.
pub fn path(query: &Query) -> Result<String, ApiError> {
    let path = query.get("Path").unwrap_or("/");
    if path.starts_with('/') && path.ends_with('/') && path.len() <= 512 {
        return Ok(path.to_owned());
    }
    Err(ApiError::new(
        400,
        "ValidationError",
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric \
         characters and/or / characters.",
    ))
}

/// Checks the number of tags of a resource.
pub fn check_tags(count: usize) -> Result<(), ApiError> {
    if count > MAX_TAGS {
        return Err(limit_exceeded(format!(
            "The number of tags has reached the maximum limit for this resource: {MAX_TAGS}."
        )));
    }
    Ok(())
}

/// The tags of a call.
pub fn checked_tags(query: &Query) -> Result<BTreeMap<String, String>, ApiError> {
    let sent = query.tags("Tags");
    if sent.len() > MAX_TAGS {
        return Err(constraint(
            "Value at 'tags'",
            &format!("Member must have length less than or equal to {MAX_TAGS}"),
        ));
    }
    let mut tags = BTreeMap::new();
    for (index, (key, value)) in sent.into_iter().enumerate() {
        let at = |member: &str| format!("Value at 'tags.{}.member.{member}'", index + 1);
        for (member, text, longest) in [("key", &key, 128), ("value", &value, 256)] {
            if text.chars().count() > longest {
                let rule = format!("Member must have length less than or equal to {longest}");
                return Err(constraint(&at(member), &rule));
            }
            let allowed =
                |letter: char| letter.is_alphanumeric() || letter.is_whitespace() || "_.:/=+-@".contains(letter);
            if !text.chars().all(allowed) {
                let repeat = if member == "key" { '+' } else { '*' };
                let rule = format!(
                    "Member must satisfy regular expression pattern: [\\p{{L}}\\p{{Z}}\\p{{N}}_.:/=+\\-@]{repeat}"
                );
                return Err(constraint(&at(member), &rule));
            }
        }
        if tags.keys().any(|taken: &String| taken.eq_ignore_ascii_case(&key)) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(ApiError::new(400, "InvalidInput", message));
        }
        tags.insert(key, value);
    }
    Ok(tags)
}
