//! The operations on schedules.

use serde_json::{Value, json};

use super::model::{DEFAULT_GROUP, SETTINGS, Schedule, ScheduleId, seconds};
use super::{Answer, ApiError, PRINCIPAL, Scheduler, groups, invalid, page};
use crate::core::events::schedule;
use crate::local::context::clock::{now_millis, sent_time};
use crate::local::protocol::service::ServiceCall;

pub fn create_schedule(scheduler: &Scheduler, call: &ServiceCall) -> Answer {
    let input: Value = call.request.json()?;
    let id = id_of(call, input["GroupName"].as_str());
    create(scheduler, &id, &input)?;
    Ok(json!({ "ScheduleArn": id.arn() }))
}

/// Creates a schedule from what an input or a template says.
///
/// # Errors
/// The refusal of the input, `ConflictException` for a name that is taken, `ResourceNotFoundException` for an unknown group.
pub fn create(scheduler: &Scheduler, id: &ScheduleId, input: &Value) -> Result<(), ApiError> {
    groups::check_name(&id.name, "name")?;
    let settings = settings(scheduler, input)?;
    let now = now_millis();
    scheduler.state.change(|state| {
        let group = state.group_mut(&id.region, &id.group).ok_or_else(|| groups::no_group(&id.group))?;
        if group.schedules.contains_key(&id.name) {
            let message = format!("Schedule {} already exists.", id.name);
            return Err(ApiError::new(409, "ConflictException", message));
        }
        let schedule = Schedule { settings, created: now, modified: now, since: now };
        group.schedules.insert(id.name.clone(), schedule);
        Ok(())
    })?;
    scheduler.changed.notify_one();
    Ok(())
}

pub fn update_schedule(scheduler: &Scheduler, call: &ServiceCall) -> Answer {
    let input: Value = call.request.json()?;
    let id = id_of(call, input["GroupName"].as_str());
    update(scheduler, &id, &input)?;
    Ok(json!({ "ScheduleArn": id.arn() }))
}

/// Gives a schedule other settings, all of them. One that is due at the same times as before goes on.
///
/// # Errors
/// The refusal of the input, `ResourceNotFoundException`.
pub fn update(scheduler: &Scheduler, id: &ScheduleId, input: &Value) -> Result<(), ApiError> {
    let settings = settings(scheduler, input)?;
    let now = now_millis();
    scheduler.state.change(|state| {
        let group = state.group_mut(&id.region, &id.group).ok_or_else(|| groups::no_group(&id.group))?;
        let schedule = group.schedules.get_mut(&id.name).ok_or_else(|| no_schedule(&id.name))?;
        let timing = ["ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "State"];
        if timing.iter().any(|member| schedule.settings[*member] != settings[*member]) {
            schedule.since = now;
        }
        schedule.modified = now;
        schedule.settings = settings;
        Ok(())
    })?;
    scheduler.changed.notify_one();
    Ok(())
}

pub fn get_schedule(scheduler: &Scheduler, call: &ServiceCall) -> Answer {
    let id = id_of(call, call.request.query("groupName"));
    let state = scheduler.state.now();
    let schedule = state.schedule(&id).ok_or_else(|| no_schedule(&id.name))?;
    let mut described = schedule.summary(&id);
    for member in SETTINGS.iter().filter(|member| !schedule.settings[**member].is_null()) {
        let value = &schedule.settings[*member];
        described[*member] = match (*member, sent_time(value)) {
            ("StartDate" | "EndDate", Some(time)) => seconds(time).into(),
            _ => value.clone(),
        };
    }
    for (member, default) in [("ScheduleExpressionTimezone", "UTC"), ("ActionAfterCompletion", "NONE")] {
        if described[member].is_null() {
            described[member] = default.into();
        }
    }
    // What is tried again without a word (API reference, `RetryPolicy`).
    if described["Target"]["RetryPolicy"].is_null() {
        described["Target"]["RetryPolicy"] = json!({ "MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185 });
    }
    Ok(described)
}

pub fn delete_schedule(scheduler: &Scheduler, call: &ServiceCall) -> Answer {
    delete(scheduler, &id_of(call, call.request.query("groupName")))?;
    Ok(json!({}))
}

/// Deletes a schedule.
///
/// # Errors
/// `ResourceNotFoundException`.
pub fn delete(scheduler: &Scheduler, id: &ScheduleId) -> Result<(), ApiError> {
    scheduler.state.change(|state| if state.remove(id) { Ok(()) } else { Err(no_schedule(&id.name)) })
}

pub fn list_schedules(scheduler: &Scheduler, call: &ServiceCall) -> Answer {
    let query = |name: &str| call.request.query(name);
    let state = scheduler.state.now();
    if let Some(group) = query("ScheduleGroup")
        && state.group(call.region(), group).is_none()
    {
        return Err(groups::no_group(group));
    }
    let schedules = state.schedules().filter(|(id, schedule)| {
        id.region == call.region()
            && query("ScheduleGroup").is_none_or(|group| id.group == group)
            && query("NamePrefix").is_none_or(|prefix| id.name.starts_with(prefix))
            && query("State").is_none_or(|state| schedule.state() == state)
    });
    let shown = schedules.map(|(id, schedule)| schedule.summary(&id)).collect();
    page(shown, query("MaxResults"), query("NextToken"), "Schedules")
}

fn id_of(call: &ServiceCall, group: Option<&str>) -> ScheduleId {
    ScheduleId {
        region: call.region().to_owned(),
        group: group.unwrap_or(DEFAULT_GROUP).to_owned(),
        name: call.id(0).to_owned(),
    }
}

/// The settings in an input.
fn settings(scheduler: &Scheduler, input: &Value) -> Answer {
    let text = |value: &Value, member: &str| value[member].as_str().map(str::to_owned);
    let missing = |member: &str| {
        invalid(format!(
            "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    };
    let expression = text(input, "ScheduleExpression").ok_or_else(|| missing("scheduleExpression"))?;
    // AWS gives no reason; this cloud does.
    schedule::Schedule::of_scheduler(&expression)
        .map_err(|why| invalid(format!("Invalid Schedule Expression {expression}. ({why})")))?;
    if Schedule::zone(input).is_none() {
        let zone = text(input, "ScheduleExpressionTimezone").unwrap_or_default();
        return Err(invalid(format!(
            "The ScheduleExpressionTimezone {zone} is not supported. (Time zones are looked up in this machine's time zone database.)"
        )));
    }
    let mode = text(&input["FlexibleTimeWindow"], "Mode").ok_or_else(|| missing("flexibleTimeWindow.mode"))?;
    let window = input["FlexibleTimeWindow"]["MaximumWindowInMinutes"].as_f64();
    match (mode.as_str(), window) {
        ("OFF", None) => {}
        ("FLEXIBLE", Some(minutes)) if (1.0..=1440.0).contains(&minutes) => {}
        ("OFF", Some(_)) => {
            return Err(invalid("MaximumWindowInMinutes can only be set when FlexibleTimeWindow mode is FLEXIBLE."));
        }
        ("FLEXIBLE", _) => return Err(invalid("MaximumWindowInMinutes must be from 1 to 1440.")),
        _ => return Err(one_of(&mode, "flexibleTimeWindow.mode", "[OFF, FLEXIBLE]")),
    }
    let state = text(input, "State").unwrap_or("ENABLED".to_owned());
    if !["ENABLED", "DISABLED"].contains(&state.as_str()) {
        return Err(one_of(&state, "state", "[ENABLED, DISABLED]"));
    }
    for member in ["StartDate", "EndDate"] {
        if !input[member].is_null() && sent_time(&input[member]).is_none() {
            return Err(invalid(format!("Invalid {member}.")));
        }
    }
    let target = &input["Target"];
    let arn = text(target, "Arn").ok_or_else(|| missing("target.arn"))?;
    let role = text(target, "RoleArn").ok_or_else(|| missing("target.roleArn"))?;
    if !arn.starts_with("arn:") {
        return Err(invalid("Provided Arn is not in correct format."));
    }
    let is_bus = arn.contains(":event-bus/");
    let parameters = &target["EventBridgeParameters"];
    if is_bus && (text(parameters, "Source").is_none() || text(parameters, "DetailType").is_none()) {
        return Err(invalid("EventBridgeParameters must be specified for an event bus target."));
    }
    let needs_json = is_bus || arn.starts_with("arn:aws:lambda:");
    if let Some(input) = text(target, "Input").filter(|_| needs_json)
        && serde_json::from_str::<serde::de::IgnoredAny>(&input).is_err()
    {
        return Err(invalid("Invalid Input: must be valid JSON."));
    }
    if !scheduler.roles.assumable(&role, PRINCIPAL) {
        return Err(not_assumable());
    }
    let given = SETTINGS.iter().filter(|member| !input[**member].is_null());
    Ok(Value::Object(given.map(|member| ((*member).to_owned(), input[*member].clone())).collect()))
}

fn one_of(value: &str, member: &str, allowed: &str) -> ApiError {
    invalid(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must satisfy enum value set: \
         {allowed}"
    ))
}

/// The refusal of a role that Scheduler cannot assume.
pub fn not_assumable() -> ApiError {
    invalid("The execution role you provide must allow AWS EventBridge Scheduler to assume the role.")
}

fn no_schedule(name: &str) -> ApiError {
    ApiError::new(404, "ResourceNotFoundException", format!("Schedule {name} does not exist."))
}
