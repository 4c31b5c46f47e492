//! What a step interrupts, and what is lost with it: what one wants to know before saying yes.

use serde_json::Value;

use super::{Action, Plan, Step};
use crate::resources::{alias, api, function, log_group, permission, route, stage, table};

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
    match step.action {
        Action::Delete | Action::Replace => going(plan, step),
        Action::Retain => staying(plan, step),
        Action::Update => changing(step),
        Action::Create | Action::Keep => Effects::default(),
    }
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
    match step.type_name {
        table::TYPE => lost(format!("every row of {id}")),
        log_group::TYPE => lost(format!("every log event of {id}")),
        api::TYPE => Effects {
            interrupted: vec!["every connection closes".to_owned()],
            lost: vec!["its URI: AWS gives no API's id twice".to_owned()],
        },
        stage::TYPE => interrupted("every connection of the stage closes, and its URI answers no more"),
        function::TYPE if step.action == Action::Replace => {
            interrupted("whatever invokes it is refused until it is there again")
        }
        function::TYPE | alias::TYPE if !has_successor(plan, step) => interrupted("nothing can invoke it any more"),
        route::TYPE => {
            let key = step.live.as_ref().and_then(|live| live.properties["RouteKey"].as_str()).unwrap_or_default();
            match key {
                "$connect" | "$disconnect" => interrupted(format!("nothing runs on {key} any more")),
                "$default" => interrupted("messages that no other route takes are refused"),
                _ => interrupted(format!("messages of \"{key}\" go to $default, if there is one")),
            }
        }
        permission::TYPE
            if step.live.as_ref().is_some_and(|live| live.logical_id.is_some()) && !has_successor(plan, step) =>
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

fn changing(step: &Step) -> Effects {
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
