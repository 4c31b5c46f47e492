//! Reports two resources that AWS would identify as one: the second create finds the first resource, and no run ever
//! completes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Resource, Token};
use crate::core::words::{Path, Problem};

const PERMISSION: &str = "AWS::Lambda::Permission";
const POLICY: &str = "AWS::IAM::Policy";
const ROLE: &str = "AWS::IAM::Role";

/// How much of a permission's logical id its statement id keeps (`types::permission::statement_id`).
const KEPT: usize = 90;

/// Reports every resource that is the same as another one of the template.
pub(super) fn check(resources: &BTreeMap<String, Resource>, problems: &mut Vec<Problem>) {
    names(resources, problems);
    members(resources, problems);
    inline_policies(resources, problems);
    permissions(resources, problems);
}

/// Two resources of one type cannot have the same name. IAM's names ignore case.
fn names(resources: &BTreeMap<String, Resource>, problems: &mut Vec<Problem>) {
    let mut owners: BTreeMap<(&str, String), &str> = BTreeMap::new();
    for resource in resources.values() {
        let Some(name) = &resource.name else { continue };
        let type_name = resource.kind.type_name();
        let known = if type_name.starts_with("AWS::IAM::") { name.to_lowercase() } else { name.clone() };
        if let Some(owner) = owners.insert((type_name, known), &resource.logical_id) {
            let property = resource.kind.naming().map_or("", |naming| naming.property);
            let path = resource.path.key("Properties").key(property);
            problems.push(Problem::new(path, format!("{owner} has the name \"{name}\" already")));
        }
    }
}

/// Parts of an API.
fn members(resources: &BTreeMap<String, Resource>, problems: &mut Vec<Problem>) {
    let mut owners: BTreeMap<(&str, Vec<&str>), &str> = BTreeMap::new();
    for resource in resources.values() {
        let type_name = resource.kind.type_name();
        let identity = resource.kind.unique_by();
        let text = |property: &&str| resource.properties.get(*property)?.as_str().filter(|text| !text.is_empty());
        let (Some(values), Some(shown)) = (identity.iter().map(text).collect::<Option<Vec<_>>>(), identity.last())
        else {
            continue;
        };
        let value = Token::readable(values.last().copied().unwrap_or_default());
        if let Some(owner) = owners.insert((type_name, values), &resource.logical_id) {
            let path = resource.path.key("Properties").key(shown);
            let parent = if identity.first() == Some(&"ApiId") { "API" } else { "route" };
            let what = format!("{owner} has the {shown} \"{value}\" already, in the same {parent}");
            problems.push(Problem::new(path, what).help("remove one of the two, or give them different ones"));
        }
    }
}

/// A role cannot have two inline policies of the same name, wherever the template gives them.
fn inline_policies(resources: &BTreeMap<String, Resource>, problems: &mut Vec<Problem>) {
    let of_type =
        |type_name: &'static str| resources.values().filter(move |resource| resource.kind.type_name() == type_name);
    let mut owners: BTreeMap<(String, String), &str> = BTreeMap::new();
    for role in of_type(ROLE) {
        let policies = role.properties.get("Policies").and_then(Value::as_array).into_iter().flatten();
        for policy in policies.filter_map(|policy| policy["PolicyName"].as_str()) {
            let Some(name) = &role.name else { continue };
            owners.insert((name.to_lowercase(), policy.to_lowercase()), &role.logical_id);
        }
    }
    for policy in of_type(POLICY) {
        let Some(name) = policy.properties.get("PolicyName").and_then(Value::as_str) else { continue };
        let roles = policy.properties.get("Roles").and_then(Value::as_array).into_iter().flatten();
        let path = policy.path.key("Properties").key("PolicyName");
        for role in roles.filter_map(Value::as_str).filter(|role| !role.is_empty() && !name.is_empty()) {
            let known = (role.to_lowercase(), name.to_lowercase());
            if let Some(owner) = owners.insert(known, &policy.logical_id).filter(|owner| *owner != policy.logical_id) {
                let what = format!("the role {role} has the policy \"{name}\" already, from {owner}");
                problems.push(Problem::new(path.clone(), what).help("give this one another PolicyName"));
            }
        }
    }
}

/// Permissions differ by the beginning of their logical id or by their content.
fn permissions(resources: &BTreeMap<String, Resource>, problems: &mut Vec<Problem>) {
    let mut owners: BTreeMap<(String, String), &str> = BTreeMap::new();
    for permission in resources.values().filter(|resource| resource.kind.type_name() == PERMISSION) {
        let kept = permission.logical_id.chars().take(KEPT).collect();
        let known = (kept, permission.properties.to_string());
        if let Some(owner) = owners.insert(known, &permission.logical_id) {
            let path: Path = permission.path.clone();
            problems
                .push(Problem::of_key(path, format!("{owner} permits the same already")).help("remove one of the two"));
        }
    }
}
