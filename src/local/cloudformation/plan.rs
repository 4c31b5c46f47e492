//! What a template changes of a stack: which resources come, change and go, and in which order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::evaluate::{Scope, named_in};
use super::model::{Change, Stack};

/// The attributes of a resource, beside its properties, that are the stack's own.
const POLICIES: [&str; 4] = ["CreationPolicy", "DeletionPolicy", "UpdatePolicy", "UpdateReplacePolicy"];

/// The logical ids of the resources that a template has, where its conditions hold, each after those that it names.
///
/// # Errors
/// A circle, a name that means nothing, a condition that is none.
pub fn in_order(scope: &Scope<'_>) -> Result<Vec<String>, String> {
    let declared = scope.processed["Resources"].as_object().cloned().unwrap_or_default();
    let mut there = BTreeSet::new();
    for (logical_id, resource) in &declared {
        if scope.applies(resource)? {
            there.insert(logical_id.clone());
        }
    }
    let mut before: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for logical_id in &there {
        let resource = &declared[logical_id];
        let mut named = BTreeSet::new();
        named_in(&resource["Properties"], &mut named);
        match &resource["DependsOn"] {
            Value::String(one) => drop(named.insert(one.clone())),
            Value::Array(all) => named.extend(all.iter().filter_map(Value::as_str).map(str::to_owned)),
            _ => {}
        }
        named.retain(|name| there.contains(name));
        before.insert(logical_id, named);
    }
    let mut order: Vec<String> = Vec::new();
    while order.len() < there.len() {
        let next = before
            .iter()
            .find(|(id, named)| !order.iter().any(|done| done == *id) && named.iter().all(|name| order.contains(name)));
        match next {
            Some((id, _)) => order.push((*id).to_owned()),
            None => {
                let left: Vec<&str> =
                    there.iter().map(String::as_str).filter(|id| !order.iter().any(|done| done == id)).collect();
                return Err(format!("Circular dependency between resources: [{}]", left.join(", ")));
            }
        }
    }
    Ok(order)
}

/// What a template changes of a stack that is there.
///
/// # Errors
/// As [`in_order`], and values that cannot be evaluated.
pub fn changes(stack: &Stack, scope: &Scope<'_>) -> Result<Vec<Change>, String> {
    let order = in_order(scope)?;
    let declared = &scope.processed["Resources"];
    let mut changes = Vec::new();
    for logical_id in &order {
        let resource = &declared[logical_id.as_str()];
        let type_name = resource["Type"].as_str().unwrap_or_default();
        let mut change =
            Change { logical_id: logical_id.clone(), type_name: type_name.to_owned(), ..Change::default() };
        let Some(old) = stack.resources.get(logical_id).filter(|old| !old.identifier.is_empty()) else {
            let stated = scope.evaluate(&resource["Properties"])?;
            changes.push(Change { action: "Add".to_owned(), stated, ..change });
            continue;
        };
        change.physical_id = Some(old.physical_id.clone());
        let properties = scope.evaluate(&resource["Properties"])?;
        change.properties = differing(&old.properties, &properties);
        if old.type_name != type_name {
            change.properties.push("Type".to_owned());
        }
        if !change.properties.is_empty() {
            change.scope.push("Properties".to_owned());
        }
        let was = &stack.processed["Resources"][logical_id.as_str()];
        for attribute in POLICIES.iter().chain(&["Metadata"]) {
            if was[*attribute] != resource[*attribute] {
                change.scope.push((*attribute).to_owned());
            }
        }
        if !change.scope.is_empty() {
            changes.push(Change { action: "Modify".to_owned(), ..change });
        }
    }
    for (logical_id, old) in &stack.resources {
        if !order.contains(logical_id) && !old.identifier.is_empty() {
            changes.push(Change {
                action: "Remove".to_owned(),
                logical_id: logical_id.clone(),
                physical_id: Some(old.physical_id.clone()),
                type_name: old.type_name.clone(),
                ..Change::default()
            });
        }
    }
    Ok(changes)
}

/// The names of the properties that two sets of them have differently.
pub fn differing(old: &Value, new: &Value) -> Vec<String> {
    let names =
        |value: &Value| value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let all: BTreeSet<String> = names(old).into_iter().chain(names(new)).collect();
    all.into_iter().filter(|name| old[name] != new[name]).collect()
}

/// Whether the outputs of two templates are the same.
pub fn same_outputs(old: &Value, new: &Value) -> bool {
    let none = |value: &Value| value.as_object().is_none_or(serde_json::Map::is_empty);
    old["Outputs"] == new["Outputs"] || none(&old["Outputs"]) && none(&new["Outputs"])
}
