//! What a step interrupts, and what is lost with it: what one wants to know before saying yes.

use serde_json::Value;

use super::{Action, Plan, Step, serving, widening};
use crate::core::types::{
    alias, api, foreign_permission, function, inline_policy, log_group, managed_policy, permission, role, route,
    route_response, stage, table,
};

/// What a step does to those who use the stack meanwhile, a sentence each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// What does not work for a while, or not any more.
    pub interrupted: Vec<String>,
    /// What cannot be had back.
    pub lost: Vec<String>,
}

/// The effects of one step of a plan.
pub fn of(plan: &Plan, step: &Step) -> Effects {
    let mut effects = match step.action {
        Action::Delete | Action::Replace => going(plan, step),
        Action::Retain => staying(plan, step),
        Action::Update => changing(plan, step),
        Action::Create => coming(plan, step),
        Action::Keep => Effects::default(),
    };
    // Only a template whose own order speaks against it.
    for later in &step.leads_ahead {
        let name = &plan.steps[*later].name;
        effects.interrupted.push(format!(
            "clients are led to {name} before it is there: the template has {name} wait for {}",
            step.name
        ));
    }
    effects
}

/// A stage with AutoDeploy serves a new route as soon as it is there, and a response belongs to a route that is.
fn coming(plan: &Plan, step: &Step) -> Effects {
    if step.type_name == route_response::TYPE && serving::is_followed(plan, step) {
        return interrupted(
            "what its route answers is dropped until it is there: AutoDeploy serves every change at once",
        );
    }
    Effects::default()
}

fn interrupted(text: impl Into<String>) -> Effects {
    Effects { interrupted: vec![text.into()], ..Effects::default() }
}

fn lost(text: impl Into<String>) -> Effects {
    Effects { lost: vec![text.into()], ..Effects::default() }
}

/// Whether the plan makes another resource under the same logical id.
fn has_successor(plan: &Plan, step: &Step) -> bool {
    let is_successor = |other: &&Step| {
        other.action == Action::Create && (other.type_name, &other.name) == (step.type_name, &step.name)
    };
    plan.steps.iter().any(|other| is_successor(&other))
}

fn going(plan: &Plan, step: &Step) -> Effects {
    let id = step.physical_id.as_deref().unwrap_or_default();
    let replaced = step.action == Action::Replace;
    match step.type_name {
        table::TYPE => {
            let mut effects = lost(format!("every row of {id}"));
            if replaced {
                effects.interrupted.push("whatever reads or writes it fails until it is there again, empty".to_owned());
            } else if has_successor(plan, step) {
                effects.interrupted.push(format!("the table that takes its place begins without the rows of {id}"));
            }
            effects
        }
        log_group::TYPE => lost(format!("every log event of {id}")),
        api::TYPE => Effects {
            interrupted: vec!["every connection closes".to_owned()],
            lost: vec!["its URI: AWS gives no API's id twice".to_owned()],
        },
        stage::TYPE => interrupted("every connection of the stage closes, and its URI answers no more"),
        function::TYPE if replaced => interrupted("whatever invokes it is refused until it is there again"),
        role::TYPE if replaced => {
            interrupted("functions that run as it fail until it is there again and Lambda can assume it")
        }
        managed_policy::TYPE if replaced => interrupted("roles are without it until it is there again"),
        permission::TYPE | foreign_permission::TYPE if replaced => interrupted(changed_permission(step)),
        // Where the stack's own API was all that invoked it, its routes say what becomes of those who call them.
        function::TYPE | alias::TYPE if !has_successor(plan, step) && !is_only_served(plan, step) => {
            interrupted("nothing can invoke it any more")
        }
        route::TYPE => {
            let key = step.live.as_ref().and_then(|live| live.properties["RouteKey"].as_str()).unwrap_or_default();
            match key {
                "$connect" | "$disconnect" => interrupted(format!("nothing runs on {key} any more")),
                "$default" => interrupted("messages that no other route takes are refused"),
                _ => interrupted(format!("messages of \"{key}\" go to $default, if there is one")),
            }
        }
        permission::TYPE | foreign_permission::TYPE
            if step.live.as_ref().is_some_and(|live| live.logical_id.is_some())
                && !has_successor(plan, step)
                && is_missed(plan, step) =>
        {
            let property = |name: &str| {
                step.live.as_ref().and_then(|live| live.properties[name].as_str()).unwrap_or_default().to_owned()
            };
            interrupted(format!("{} may not invoke {} any more", property("Principal"), property("FunctionName")))
        }
        _ => Effects::default(),
    }
}

/// What is left behind keeps its data; what takes its place begins without.
fn staying(plan: &Plan, step: &Step) -> Effects {
    let id = step.physical_id.as_deref().unwrap_or_default();
    if step.type_name == table::TYPE && has_successor(plan, step) {
        return interrupted(format!("its rows stay in {id}; the new table begins empty"));
    }
    Effects::default()
}

/// Whether nobody but the stack's own API invokes a function or an alias, as far as its permissions tell, and it does so
/// no more.
fn is_only_served(plan: &Plan, step: &Step) -> bool {
    let Some(id) = step.physical_id.as_deref() else { return false };
    let lives = plan.steps.iter().filter_map(|step| step.live.as_ref());
    let mut permissions =
        lives.filter(|live| live.type_name == permission::TYPE && live.properties["FunctionName"].as_str() == Some(id));
    let served = serving::is_invoked(plan, id, false);
    served && permissions.all(|live| serving::is_for_gateway(&live.properties)) && !serving::is_invoked(plan, id, true)
}

/// Whether somebody may still want what a permission gave that goes: anybody else, or an API that goes on invoking the
/// function and has no other permission to.
fn is_missed(plan: &Plan, step: &Step) -> bool {
    let Some(live) = &step.live else { return false };
    let function = live.properties["FunctionName"].as_str().unwrap_or_default();
    let others = plan.steps.iter().filter(|other| other.type_name == step.type_name);
    let mut wanted = others.filter_map(|other| other.want.as_ref()).map(|want| &want.properties);
    let is_other = |other: &Value| other["FunctionName"] == live.properties["FunctionName"];
    !serving::is_for_gateway(&live.properties)
        || (serving::is_invoked(plan, function, true)
            && !wanted.any(|other| is_other(other) && serving::is_for_gateway(other)))
}

fn changed_permission(step: &Step) -> String {
    let old = step.live.as_ref().map(|live| &live.properties);
    let function = old.and_then(|old| old["FunctionName"].as_str()).unwrap_or_default();
    format!("what it allows on {function} is refused for a moment: AWS changes no statement in place")
}

/// What the code of functions that change in this plan may do no more, although it may still run for a while.
fn narrowed(plan: &Plan, step: &Step) -> Effects {
    let roles: Vec<&str> = match step.type_name {
        role::TYPE => step.physical_id.as_deref().into_iter().collect(),
        _ => {
            let live = step.live.as_ref().and_then(|live| live.properties["Roles"].as_array());
            live.into_iter().flatten().filter_map(Value::as_str).collect()
        }
    };
    let runs_so = |function: &&Step| {
        let role = function.live.as_ref().and_then(|live| live.properties["Role"].as_str()).unwrap_or_default();
        function.type_name == function::TYPE
            && function.action == Action::Update
            && roles.iter().any(|name| role.ends_with(&format!("/{name}")))
    };
    let functions: Vec<&str> = plan.steps.iter().filter(runs_so).map(|step| step.name.as_str()).collect();
    if functions.is_empty() {
        return Effects::default();
    }
    let until = functions.join(", ");
    let lost = widening::narrowed(step);
    Effects {
        interrupted: lost.into_iter().map(|lost| format!("{lost}, before {until} has changed")).collect(),
        ..Effects::default()
    }
}

/// What `UpdateFunctionConfiguration` sets and code depends on: `UpdateFunctionCode` is another call.
const OF_CODE: &[&str] = &["Handler", "Runtime", "Layers"];

fn changing(plan: &Plan, step: &Step) -> Effects {
    let changed = |property: &str| step.changes.iter().find(|change| change.property == property);
    let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_i64);
    match step.type_name {
        api::TYPE if changed("DisableExecuteApiEndpoint").is_some_and(|it| it.new == Some(Value::Bool(true))) => {
            interrupted("no client can connect any more")
        }
        function::TYPE
            if changed("ReservedConcurrentExecutions").is_some_and(|change| number(&change.new) == Some(0)) =>
        {
            interrupted("every invocation is throttled")
        }
        // Behind an alias nobody sees it: a version is published when both calls are through.
        function::TYPE
            if changed(function::CODE).is_some()
                && serving::is_invoked(plan, step.physical_id.as_deref().unwrap_or_default(), false) =>
        {
            let parts: Vec<&str> = OF_CODE.iter().copied().filter(|property| changed(property).is_some()).collect();
            if parts.is_empty() {
                return Effects::default();
            }
            interrupted(format!(
                "its old code runs with the new {} until the new code is there: AWS changes them one after the other (not seen behind an alias: AutoPublishAlias)",
                parts.join(" and ")
            ))
        }
        permission::TYPE => interrupted(changed_permission(step)),
        // The policy of the record alone interrupts nobody.
        foreign_permission::TYPE if step.changes.iter().any(|change| change.property != foreign_permission::POLICY) => {
            match step.live.as_ref().and_then(|live| live.properties["Action"].as_str()) {
                Some(_) => interrupted(changed_permission(step)),
                // It is not there.
                None => Effects::default(),
            }
        }
        role::TYPE | inline_policy::TYPE | managed_policy::TYPE => narrowed(plan, step),
        log_group::TYPE => match changed("RetentionInDays") {
            Some(change) => match (number(&change.old), number(&change.new)) {
                (old, Some(new)) if old.is_none_or(|old| new < old) => {
                    lost(format!("log events older than {new} days"))
                }
                _ => Effects::default(),
            },
            None => Effects::default(),
        },
        table::TYPE => table_changing(step),
        _ => Effects::default(),
    }
}

fn table_changing(step: &Step) -> Effects {
    let changes = |property: &str| {
        step.changes.iter().any(|change| {
            let is_it = change.property == property || change.property.starts_with(&format!("{property}."));
            is_it && change.old.is_some()
        })
    };
    let mut effects = Effects::default();
    if changes("StreamSpecification") {
        effects.lost.push("what the table's stream holds and nobody has read yet".to_owned());
    }
    if changes("GlobalSecondaryIndexes") {
        effects.interrupted.push("queries of an index that changes, until it is built anew".to_owned());
    }
    if changes("TimeToLiveSpecification.AttributeName") {
        // <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTimeToLive.html>
        effects.interrupted.push(
            "another attribute for time to live takes two changes, of which AWS takes one an hour: the second may be refused until then"
                .to_owned(),
        );
    }
    effects
}
