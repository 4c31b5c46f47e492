//! The operations on event buses, and the tags of buses and rules.

use serde_json::{Value, json};

use super::model::{self, Bus, DEFAULT_BUS, State};
use super::tags::{Tags, retag, tags};
use super::{Answer, ApiError, Events, bus_name, check_name, invalid, json_text, not_found, page, required, text};
use crate::local::context::clock::now_millis;

/// What a bus has beside its name and tags.
pub const SETTINGS: [&str; 4] = ["Description", "KmsKeyIdentifier", "DeadLetterConfig", "LogConfig"];

pub fn create_event_bus(events: &Events, region: &str, input: &Value) -> Answer {
    let name = required(input, "Name")?;
    create(events, region, name, bus_of(input, &SETTINGS)?)?;
    let mut answer = json!({ "EventBusArn": model::bus_arn(region, name) });
    for member in SETTINGS.iter().filter(|member| !input[**member].is_null()) {
        answer[*member] = input[*member].clone();
    }
    Ok(answer)
}

/// Creates a bus.
///
/// # Errors
/// `ResourceAlreadyExistsException`, and the refusal of a name.
pub fn create(events: &Events, region: &str, name: &str, bus: Bus) -> Result<(), ApiError> {
    check_name(name, "name", 256, true)?;
    if name.contains('/') {
        // Only the buses of partners have such names, and there are no partners here.
        return Err(invalid(format!("Event bus name {name} must not contain '/'")));
    }
    events.state.change(|state| {
        if state.add_bus(region, name, bus) {
            return Ok(());
        }
        let message = format!("Event bus {name} already exists.");
        Err(ApiError::new(400, "ResourceAlreadyExistsException", message))
    })
}

/// A new bus with what an input or a template says of it.
///
/// # Errors
/// Tags that are none.
pub fn bus_of(input: &Value, settings: &[&str]) -> Result<Bus, ApiError> {
    let said = settings.iter().filter(|member| !input[**member].is_null());
    let settings = said.map(|member| ((*member).to_owned(), input[*member].clone())).collect();
    Ok(Bus { settings, tags: tags(input)?, created: now_millis(), ..Bus::default() })
}

pub fn update_event_bus(events: &Events, region: &str, input: &Value) -> Answer {
    let name = bus_name(text(input, "Name"));
    events.state.change(|state| {
        let bus = state.bus_mut(region, name)?;
        for member in SETTINGS.iter().filter(|member| !input[**member].is_null()) {
            bus.settings.insert((*member).to_owned(), input[*member].clone());
        }
        Ok(())
    })?;
    let mut described = describe_event_bus(events, region, &json!({ "Name": name }))?;
    if let Some(members) = described.as_object_mut() {
        for member in ["CreationTime", "LastModifiedTime", "Policy"] {
            members.shift_remove(member);
        }
    }
    Ok(described)
}

pub fn delete_event_bus(events: &Events, region: &str, input: &Value) -> Answer {
    let name = bus_name(Some(required(input, "Name")?));
    delete(events, region, name)?;
    Ok(json!({}))
}

/// Deletes a bus; one that is not there is none.
///
/// # Errors
/// `ValidationException` for the default bus, and for one with rules.
pub fn delete(events: &Events, region: &str, name: &str) -> Result<(), ApiError> {
    if name == DEFAULT_BUS {
        return Err(invalid("Cannot delete event bus default."));
    }
    events.state.change(|state| {
        if state.bus(region, name).is_ok_and(|bus| !bus.rules.is_empty()) {
            return Err(invalid(format!("Event bus {name} can't be deleted since it has rules.")));
        }
        state.remove_bus(region, name);
        Ok(())
    })
}

pub fn describe_event_bus(events: &Events, region: &str, input: &Value) -> Answer {
    let name = bus_name(text(input, "Name"));
    events.state.read(|state| Ok(described(region, name, &state.bus(region, name)?)))
}

pub fn list_event_buses(events: &Events, region: &str, input: &Value) -> Answer {
    let prefix = text(input, "NamePrefix").unwrap_or_default();
    let buses = events.state.read(|state| state.buses(region));
    let buses = buses.into_iter().filter(|(name, _)| name.starts_with(prefix));
    page(buses.map(|(name, bus)| described(region, &name, &bus)).collect(), input, "EventBuses")
}

fn described(region: &str, name: &str, bus: &Bus) -> Value {
    let created = bus.created as f64 / 1000.0;
    let mut described = json!({
        "Name": name,
        "Arn": model::bus_arn(region, name),
        "CreationTime": created,
        "LastModifiedTime": created,
    });
    for (member, value) in &bus.settings {
        // A policy is JSON in a text.
        described[member] = if member == "Policy" { json_text(value).into() } else { value.clone() };
    }
    described
}

pub fn list_tags_for_resource(events: &Events, region: &str, input: &Value) -> Answer {
    let arn = required(input, "ResourceARN")?;
    let mut state = State::clone(&events.state.now());
    Ok(json!({ "Tags": tags_of(&mut state, region, arn)? }))
}

pub fn tag_resource(events: &Events, region: &str, input: &Value) -> Answer {
    let arn = required(input, "ResourceARN")?;
    let new = tags(input)?;
    events.state.change(|state| {
        retag(tags_of(state, region, arn)?, new, &[]);
        Ok(json!({}))
    })
}

pub fn untag_resource(events: &Events, region: &str, input: &Value) -> Answer {
    let arn = required(input, "ResourceARN")?;
    let keys = input["TagKeys"].as_array().into_iter().flatten();
    let keys: Vec<String> = keys.filter_map(|key| key.as_str().map(str::to_owned)).collect();
    events.state.change(|state| {
        retag(tags_of(state, region, arn)?, [], &keys);
        Ok(json!({}))
    })
}

/// The tags of the rule or bus with an ARN.
///
/// # Errors
/// `ResourceNotFoundException`.
pub fn tags_of<'a>(state: &'a mut State, region: &str, arn: &str) -> Result<&'a mut Tags, ApiError> {
    if let Some((_, bus, name)) = model::parts_of_rule_arn(arn).filter(|(of_region, ..)| *of_region == region) {
        return Ok(&mut state.rule_mut(region, bus, name)?.tags);
    }
    match arn.strip_prefix(&model::bus_arn(region, "")) {
        Some(name) => Ok(&mut state.bus_mut(region, name)?.tags),
        None => Err(not_found(format!("{arn} does not exist."))),
    }
}
