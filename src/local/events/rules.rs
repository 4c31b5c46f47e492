//! The operations on rules and their targets.

use serde_json::{Value, json};

use super::model::{self, DEFAULT_BUS, DISABLED, ENABLED, Rule};
use super::{Answer, ApiError, Events, bus_name, check_name, invalid, json_text, page, required, tags, text};
use crate::core::events::input;
use crate::core::events::pattern::EventPattern;
use crate::core::events::schedule::Schedule;
use crate::local::context::clock::now_millis;

/// How many targets a rule has at most. (EventBridge quotas.)
const MAX_TARGETS: usize = 5;

pub fn put_rule(events: &Events, region: &str, input: &Value) -> Answer {
    let name = required(input, "Name")?;
    let bus = bus_name(text(input, "EventBusName"));
    let new = Rule { tags: tags::tags(input)?, ..rule_of(bus, name, input)? };
    put(events, region, bus, name, |known| match known {
        // The tags of a rule that exists are not changed (API reference).
        Some(known) => Ok(Rule { tags: known.tags.clone(), targets: known.targets.clone(), ..new.clone() }),
        None => Ok(new.clone()),
    })?;
    Ok(json!({ "RuleArn": model::rule_arn(region, bus, name) }))
}

/// What an input or a template says of a rule, without tags and targets.
///
/// # Errors
/// EventBridge's refusal.
pub fn rule_of(bus: &str, name: &str, input: &Value) -> Result<Rule, ApiError> {
    check_name(name, "name", 64, false)?;
    let pattern = Some(&input["EventPattern"]).filter(|pattern| !pattern.is_null()).map(json_text);
    let pattern = pattern.filter(|pattern| !pattern.is_empty());
    let schedule = text(input, "ScheduleExpression").filter(|schedule| !schedule.is_empty());
    if pattern.is_none() && schedule.is_none() {
        return Err(invalid("Parameter(s) EventPattern or ScheduleExpression must be specified."));
    }
    if let Some(pattern) = &pattern {
        check_pattern(pattern)?;
    }
    if let Some(schedule) = schedule {
        if bus != DEFAULT_BUS {
            return Err(invalid("ScheduleExpression is supported only on the default event bus."));
        }
        // AWS gives no reason; this cloud does.
        Schedule::of_rule(schedule)
            .map_err(|why| invalid(format!("Parameter ScheduleExpression is not valid. ({schedule}: {why})")))?;
    }
    let state = text(input, "State").unwrap_or(ENABLED);
    if ![ENABLED, DISABLED, "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"].contains(&state) {
        return Err(invalid(format!(
            "1 validation error detected: Value '{state}' at 'state' failed to satisfy constraint: Member must satisfy enum value \
             set: [ENABLED, DISABLED, ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS]"
        )));
    }
    Ok(Rule {
        description: text(input, "Description").map(str::to_owned),
        pattern,
        schedule: schedule.map(str::to_owned),
        state: state.to_owned(),
        role: text(input, "RoleArn").map(str::to_owned),
        since: now_millis(),
        ..Rule::default()
    })
}

/// Checks an event pattern.
///
/// # Errors
/// `InvalidEventPatternException`.
pub fn check_pattern(pattern: &str) -> Result<EventPattern, ApiError> {
    if pattern.len() > 4096 {
        return Err(invalid(
            "1 validation error detected: Value at 'eventPattern' failed to satisfy constraint: Member must have length less than or \
             equal to 4096",
        ));
    }
    EventPattern::read(pattern).map_err(|why| {
        ApiError::new(400, "InvalidEventPatternException", format!("Event pattern is not valid. Reason: {why}"))
    })
}

/// Puts a rule in the place of the one that is there, if there is one. A schedule that stays goes on.
///
/// # Errors
/// `ResourceNotFoundException` for an unknown bus, and what `make` refuses.
pub fn put(
    events: &Events,
    region: &str,
    bus: &str,
    name: &str,
    make: impl FnOnce(Option<&Rule>) -> Result<Rule, ApiError>,
) -> Result<(), ApiError> {
    events.state.change(|state| {
        let rules = &mut state.bus_mut(region, bus)?.rules;
        let known = rules.get(name);
        let mut rule = make(known)?;
        if let Some(known) = known.filter(|known| known.schedule == rule.schedule && known.is_enabled()) {
            rule.since = known.since;
        }
        rules.insert(name.to_owned(), rule);
        Ok(())
    })?;
    events.changed.notify_one();
    Ok(())
}

pub fn delete_rule(events: &Events, region: &str, input: &Value) -> Answer {
    let name = required(input, "Name")?;
    let bus = bus_name(text(input, "EventBusName"));
    events.state.change(|state| {
        let rules = &mut state.bus_mut(region, bus)?.rules;
        if rules.get(name).is_some_and(|rule| !rule.targets.is_empty()) {
            return Err(invalid("Rule can't be deleted since it has targets."));
        }
        rules.remove(name);
        Ok(json!({}))
    })
}

pub fn describe_rule(events: &Events, region: &str, input: &Value) -> Answer {
    let name = required(input, "Name")?;
    let bus = bus_name(text(input, "EventBusName"));
    let mut described = events.state.read(|state| Ok(state.rule(region, bus, name)?.described(region, bus, name)))?;
    described["CreatedBy"] = crate::local::context::ACCOUNT.into();
    Ok(described)
}

pub fn list_rules(events: &Events, region: &str, input: &Value) -> Answer {
    let prefix = text(input, "NamePrefix").unwrap_or_default();
    let bus = bus_name(text(input, "EventBusName"));
    let rules = events.state.read(|state| state.bus(region, bus))?.rules;
    let rules = rules.iter().filter(|(name, _)| name.starts_with(prefix));
    page(rules.map(|(name, rule)| rule.described(region, bus, name)).collect(), input, "Rules")
}

pub fn enable_rule(events: &Events, region: &str, input: &Value) -> Answer {
    set_state(events, region, input, ENABLED)
}

pub fn disable_rule(events: &Events, region: &str, input: &Value) -> Answer {
    set_state(events, region, input, DISABLED)
}

fn set_state(events: &Events, region: &str, input: &Value, wanted: &str) -> Answer {
    let name = required(input, "Name")?;
    let bus = bus_name(text(input, "EventBusName"));
    events.state.change(|state| {
        let rule = state.rule_mut(region, bus, name)?;
        if wanted == ENABLED && !rule.is_enabled() {
            rule.since = now_millis();
        }
        wanted.clone_into(&mut rule.state);
        Ok(())
    })?;
    events.changed.notify_one();
    Ok(json!({}))
}

pub fn put_targets(events: &Events, region: &str, input: &Value) -> Answer {
    let name = required(input, "Rule")?;
    let bus = bus_name(text(input, "EventBusName"));
    let new = input["Targets"].as_array().cloned().unwrap_or_default();
    check_targets(&new)?;
    events.state.change(|state| {
        let targets = &mut state.rule_mut(region, bus, name)?.targets;
        for target in new {
            match targets.iter_mut().find(|known| known["Id"] == target["Id"]) {
                Some(known) => *known = target,
                None => targets.push(target),
            }
        }
        check_count(targets)
    })?;
    Ok(json!({ "FailedEntryCount": 0, "FailedEntries": [] }))
}

/// Checks the targets of a rule.
///
/// # Errors
/// EventBridge's refusal.
pub fn check_targets(targets: &[Value]) -> Result<(), ApiError> {
    for (index, target) in targets.iter().enumerate() {
        let member = |name: &str| format!("targets.{}.member.{name}", index + 1);
        let id = text(target, "Id").ok_or_else(|| super::missing(&member("id")))?;
        check_name(id, &member("id"), 64, false)?;
        let arn = text(target, "Arn").ok_or_else(|| super::missing(&member("arn")))?;
        if !arn.starts_with("arn:") {
            return Err(invalid(format!(
                "Parameter {arn} is not valid. Reason: Provided Arn is not in correct format."
            )));
        }
        input::check(target).map_err(|why| invalid(format!("{why} for target {id}.")))?;
    }
    Ok(())
}

/// # Errors
/// `LimitExceededException` for too many targets.
pub fn check_count(targets: &[Value]) -> Result<(), ApiError> {
    if targets.len() <= MAX_TARGETS {
        return Ok(());
    }
    Err(ApiError::new(400, "LimitExceededException", "The requested resource exceeds the maximum number allowed."))
}

pub fn remove_targets(events: &Events, region: &str, input: &Value) -> Answer {
    let name = required(input, "Rule")?;
    let bus = bus_name(text(input, "EventBusName"));
    let ids = input["Ids"].as_array().cloned().unwrap_or_default();
    events.state.change(|state| {
        state.rule_mut(region, bus, name)?.targets.retain(|target| !ids.contains(&target["Id"]));
        Ok(json!({ "FailedEntryCount": 0, "FailedEntries": [] }))
    })
}

pub fn list_targets_by_rule(events: &Events, region: &str, input: &Value) -> Answer {
    let name = required(input, "Rule")?;
    let bus = bus_name(text(input, "EventBusName"));
    page(events.state.read(|state| state.rule(region, bus, name))?.targets, input, "Targets")
}

pub fn list_rule_names_by_target(events: &Events, region: &str, input: &Value) -> Answer {
    let arn = required(input, "TargetArn")?;
    let bus = bus_name(text(input, "EventBusName"));
    let rules = events.state.read(|state| state.bus(region, bus))?.rules;
    let has = |rule: &Rule| rule.targets.iter().any(|target| target["Arn"] == arn);
    page(rules.iter().filter(|(_, rule)| has(rule)).map(|(name, _)| name.as_str().into()).collect(), input, "RuleNames")
}

pub fn test_event_pattern(_events: &Events, _region: &str, input: &Value) -> Answer {
    let pattern = check_pattern(required(input, "EventPattern")?)?;
    let event: Value = serde_json::from_str(required(input, "Event")?)
        .map_err(|_| invalid("Parameter Event is not valid. Reason: it is not JSON."))?;
    let members = ["id", "account", "source", "time", "region", "resources", "detail-type"];
    if let Some(member) = members.iter().find(|member| event.get(**member).is_none()) {
        return Err(invalid(format!("Event is not valid. Reason: {member} is missing.")));
    }
    Ok(json!({ "Result": pattern.matches(&event) }))
}
