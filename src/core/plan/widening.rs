//! Who may do more after a plan than before: what a reviewer looks for first.

use serde_json::Value;

use super::{Action, Step, shown};
use crate::core::types::{foreign_permission, function, inline_policy, managed_policy, permission, role, route};
use crate::core::words::Token;

/// What a step allows that was not allowed before, a sentence each.
pub fn of(step: &Step) -> Vec<String> {
    let none = Value::Null;
    let Some(want) = &step.want else { return Vec::new() };
    if !step.action.acts() {
        return Vec::new();
    }
    let old = step.live.as_ref().filter(|_| step.action != Action::Create).map_or(&none, |live| &live.properties);
    let new = &want.properties;
    match step.type_name {
        role::TYPE => of_role(old, new),
        inline_policy::TYPE | managed_policy::TYPE => {
            let roles: Vec<&str> = texts(&new["Roles"]);
            let gained = roles.iter().any(|role| !texts(&old["Roles"]).contains(role));
            let before = if gained { &none } else { &old["PolicyDocument"] };
            let who = roles.join(", ");
            documents(&[before], &[&new["PolicyDocument"]]).into_iter().map(|may| format!("{who} {may}")).collect()
        }
        permission::TYPE | foreign_permission::TYPE if old != new => {
            let from = match new["SourceArn"].as_str() {
                Some(arn) => format!(" for {}", Token::readable(arn)),
                None => ", whoever asks it to".to_owned(),
            };
            vec![format!(
                "{} may {} on {}{from}",
                shown(new.get("Principal")),
                shown(new.get("Action")),
                shown(new.get("FunctionName"))
            )]
        }
        function::TYPE if !old.is_null() && old["Role"] != new["Role"] => {
            vec![format!("{} runs as {} instead of {}", step.name, shown(new.get("Role")), shown(old.get("Role")))]
        }
        route::TYPE if !old.is_null() => {
            let key = shown(new.get("RouteKey"));
            let mut found = Vec::new();
            if old["AuthorizationType"] != "NONE" && new["AuthorizationType"] == "NONE" {
                found.push(format!("{key} takes callers without credentials"));
            }
            if old["ApiKeyRequired"] == true && new["ApiKeyRequired"] != true {
                found.push(format!("{key} takes callers without an API key"));
            }
            found
        }
        _ => Vec::new(),
    }
}

/// What a step takes from those who had it, a sentence each; of roles and policies.
pub(super) fn narrowed(step: &Step) -> Vec<String> {
    let (Some(live), Some(want)) = (&step.live, &step.want) else { return Vec::new() };
    let (old, new) = (&live.properties, &want.properties);
    let lost = |lost: Vec<String>| {
        lost.into_iter().filter_map(|lost| Some(format!("may no longer {}", lost.strip_prefix("may ")?)))
    };
    match step.type_name {
        role::TYPE => {
            let (before, after) = (inline(old), inline(new));
            let mut found: Vec<String> =
                lost(documents(&after.iter().collect::<Vec<_>>(), &before.iter().collect::<Vec<_>>())).collect();
            let kept = texts(&new["ManagedPolicyArns"]);
            let gone = texts(&old["ManagedPolicyArns"]).into_iter().filter(|arn| !kept.contains(arn));
            found.extend(gone.map(|arn| format!("may no longer do what {} allows", Token::readable(arn))));
            found
        }
        inline_policy::TYPE | managed_policy::TYPE => {
            let kept = texts(&new["Roles"]);
            let left: Vec<&str> = texts(&old["Roles"]).into_iter().filter(|role| !kept.contains(role)).collect();
            let narrowed = lost(documents(&[&new["PolicyDocument"]], &[&old["PolicyDocument"]]));
            narrowed.chain(left.into_iter().map(|role| format!("{role} is without it"))).collect()
        }
        _ => Vec::new(),
    }
}

/// The documents of a role's own policies.
fn inline(role: &Value) -> Vec<Value> {
    let policies = role["Policies"].as_array().cloned().unwrap_or_default();
    policies.into_iter().map(|policy| policy["PolicyDocument"].clone()).collect()
}

fn of_role(old: &Value, new: &Value) -> Vec<String> {
    let (before, after) = (inline(old), inline(new));
    let mut found = documents(&before.iter().collect::<Vec<_>>(), &after.iter().collect::<Vec<_>>());
    for arn in texts(&new["ManagedPolicyArns"]) {
        if !texts(&old["ManagedPolicyArns"]).contains(&arn) {
            found.push(format!("may all that {} allows", Token::readable(arn)));
        }
    }
    let trust = |role: &Value| grants(&role["AssumeRolePolicyDocument"], "Allow");
    let trusted = trust(old);
    for grant in trust(new).into_iter().filter(|grant| !trusted.iter().any(|known| known.covers(grant))) {
        found.push(format!("may be assumed by {}", grant.principal));
    }
    if !old.is_null()
        && old["PermissionsBoundary"] != new["PermissionsBoundary"]
        && !old["PermissionsBoundary"].is_null()
    {
        let boundary = |role: &Value| role["PermissionsBoundary"].as_str().unwrap_or("none").to_owned();
        found.push(format!("is bounded by {} instead of {}", boundary(new), boundary(old)));
    }
    found
}

/// What policies allow now and did not before: `may dynamodb:PutItem on arn:…`.
fn documents(old: &[&Value], new: &[&Value]) -> Vec<String> {
    let all = |documents: &[&Value], effect| -> Vec<Grant> {
        documents.iter().flat_map(|document| grants(document, effect)).collect()
    };
    let before = all(old, "Allow");
    let gained = all(new, "Allow").into_iter().filter(|grant| !before.iter().any(|known| known.covers(grant)));
    let mut found = by_resource(gained.collect(), "may");
    let denied = all(new, "Deny");
    let freed = all(old, "Deny").into_iter().filter(|deny| !denied.iter().any(|known| known.covers(deny)));
    found.extend(by_resource(freed.collect(), "is no longer denied"));
    found
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

/// One action on one resource, as a statement has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    action: String,
    resource: String,
    principal: String,
    /// JSON; empty for none.
    condition: String,
}

impl Grant {
    /// Whether whoever has this has the other.
    fn covers(&self, other: &Self) -> bool {
        matches(&self.action.to_lowercase(), &other.action.to_lowercase())
            && matches(&self.resource, &other.resource)
            && matches(&self.principal, &other.principal)
            && (self.condition.is_empty() || self.condition == other.condition)
    }
}

/// The statements of a policy that have this effect, taken apart.
fn grants(document: &Value, effect: &str) -> Vec<Grant> {
    let statements = match &document["Statement"] {
        Value::Array(statements) => statements.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    };
    let either = |statement: &Value, name: &str| -> Vec<String> {
        let inverse = format!("Not{name}");
        let all_but = texts(&statement[inverse.as_str()]);
        if all_but.is_empty() {
            return texts(&statement[name]).into_iter().map(str::to_owned).collect();
        }
        vec![format!("all but {}", all_but.join(", "))]
    };
    let mut found = Vec::new();
    for statement in statements.into_iter().filter(|statement| statement["Effect"] == effect) {
        let principal = match &statement["Principal"] {
            Value::Null => String::new(),
            Value::Object(kinds) => kinds.values().flat_map(texts).collect::<Vec<_>>().join(", "),
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

/// A text, or a list of texts.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether a pattern with `*` and `?` takes all that another one takes: the other's own wildcards count as letters, so
/// that only what is plainly wider is called so.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut star) = ((0, 0), None);
    while at.1 < text.len() {
        match pattern.get(at.0) {
            Some('*') => {
                star = Some(at);
                at.0 += 1;
            }
            Some(c) if *c == text[at.1] || (*c == '?' && text[at.1] != '*') => at = (at.0 + 1, at.1 + 1),
            _ => match star {
                Some((p, t)) => {
                    star = Some((p, t + 1));
                    at = (p + 1, t + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at.0..].iter().all(|c| *c == '*')
}
