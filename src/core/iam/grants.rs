//! Compares the permissions of two sets of policies: what one allows and the other does not.

use serde_json::Value;

use super::document::one_or_more;
use super::evaluate::wildcard;
use crate::core::words::{Token, shown};

/// Permissions of the new policies that the old ones did not grant: `may dynamodb:PutItem on arn:…`.
pub fn gained(old: &[&Value], new: &[&Value]) -> Vec<String> {
    let mut found = by_resource(only_in(new, old, "Allow"), "may");
    found.extend(by_resource(only_in(old, new, "Deny"), "is no longer denied"));
    found
}

/// Permissions that policies lost from `old` to `new`, as sentences that begin with "may no longer".
pub fn lost(old: &[&Value], new: &[&Value]) -> Vec<String> {
    by_resource(only_in(old, new, "Allow"), "may no longer")
}

/// The statements of `these` with this effect that nothing in `others` covers.
fn only_in(these: &[&Value], others: &[&Value], effect: &str) -> Vec<Grant> {
    let all = |documents: &[&Value]| -> Vec<Grant> {
        documents.iter().flat_map(|document| grants(document, effect)).collect()
    };
    let others = all(others);
    all(these).into_iter().filter(|grant| !others.iter().any(|other| other.covers(grant))).collect()
}

/// One sentence for all actions on a resource.
fn by_resource(grants: Vec<Grant>, verb: &str) -> Vec<String> {
    let mut sentences: Vec<(String, Vec<String>)> = Vec::new();
    for grant in grants {
        let what = if grant.condition.is_empty() {
            Token::readable(&grant.resource)
        } else {
            format!("{} if {}", Token::readable(&grant.resource), Token::readable(&grant.condition))
        };
        match sentences.iter_mut().find(|(resource, _)| *resource == what) {
            Some((_, actions)) => actions.push(grant.action),
            None => sentences.push((what, vec![grant.action])),
        }
    }
    sentences.into_iter().map(|(what, actions)| format!("{verb} {} on {what}", actions.join(", "))).collect()
}

/// One action on one resource, from a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    action: String,
    resource: String,
    pub principal: String,
    /// JSON; empty for none.
    condition: String,
}

impl Grant {
    /// Whether this grants everything that the other does.
    pub fn covers(&self, other: &Self) -> bool {
        wider(&self.action.to_lowercase(), &other.action.to_lowercase())
            && wider(&self.resource, &other.resource)
            && wider(&self.principal, &other.principal)
            && (self.condition.is_empty() || self.condition == other.condition)
    }
}

/// The permissions in a policy's statements of this effect, one by one.
pub fn grants(document: &Value, effect: &str) -> Vec<Grant> {
    let statements = match &document["Statement"] {
        Value::Array(statements) => statements.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    };
    let either = |statement: &Value, name: &str| -> Vec<String> {
        let inverse = format!("Not{name}");
        let all_but = one_or_more(&statement[inverse.as_str()]);
        if all_but.is_empty() {
            return one_or_more(&statement[name]).into_iter().map(str::to_owned).collect();
        }
        vec![format!("all but {}", all_but.join(", "))]
    };
    let mut found = Vec::new();
    for statement in statements.into_iter().filter(|statement| statement["Effect"] == effect) {
        let principal = match &statement["Principal"] {
            Value::Null => String::new(),
            Value::Object(kinds) => kinds.values().flat_map(one_or_more).collect::<Vec<_>>().join(", "),
            other => shown(Some(other)),
        };
        let condition = match &statement["Condition"] {
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let mut resources = either(statement, "Resource");
        if resources.is_empty() {
            resources.push("*".to_owned());
        }
        for action in either(statement, "Action") {
            for resource in &resources {
                found.push(Grant {
                    action: action.clone(),
                    resource: resource.clone(),
                    principal: principal.clone(),
                    condition: condition.clone(),
                });
            }
        }
    }
    found
}

/// Whether a pattern with `*` and `?` matches everything that another one does. The other's wildcards count as letters,
/// so that only a clearly wider pattern is called wider.
fn wider(pattern: &str, text: &str) -> bool {
    wildcard(pattern, text, |letter| letter != '*')
}

/// Permissions that a policy (its `Roles` and its `PolicyDocument`) gives its roles with `new` properties and not with
/// `old` ones.
pub fn widened_on_roles(old: &Value, new: &Value) -> Vec<String> {
    let roles: Vec<&str> = one_or_more(&new["Roles"]);
    let gained_role = roles.iter().any(|role| !one_or_more(&old["Roles"]).contains(role));
    let before = if gained_role { &Value::Null } else { &old["PolicyDocument"] };
    let who = roles.join(", ");
    gained(&[before], &[&new["PolicyDocument"]]).into_iter().map(|may| format!("{who} {may}")).collect()
}

/// Permissions that such a policy takes from its roles.
pub fn narrowed_on_roles(old: &Value, new: &Value) -> Vec<String> {
    let kept = one_or_more(&new["Roles"]);
    let left: Vec<&str> = one_or_more(&old["Roles"]).into_iter().filter(|role| !kept.contains(role)).collect();
    let narrowed = lost(&[&old["PolicyDocument"]], &[&new["PolicyDocument"]]);
    narrowed.into_iter().chain(left.into_iter().map(|role| format!("{role} loses it"))).collect()
}
