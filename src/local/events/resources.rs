//! Buses and rules as Cloud Control has them: the properties of `AWS::Events::EventBus` and `AWS::Events::Rule`.

use serde_json::{Value, json};

use super::model::{self, Bus, Rule};
use super::{ApiError, Events, bus_name, buses, not_found, rules, tags, text};
use crate::local::context::ports::ControlledResources;

const BUS: &str = "AWS::Events::EventBus";
const RULE: &str = "AWS::Events::Rule";

/// What a template says of a bus.
const BUS_SETTINGS: [&str; 5] = ["Description", "KmsKeyIdentifier", "DeadLetterConfig", "LogConfig", "Policy"];

impl ControlledResources for Events {
    fn types(&self) -> &'static [&'static str] {
        &[BUS, RULE]
    }

    fn create(&self, region: &str, type_name: &str, properties: &Value) -> Result<String, ApiError> {
        let name = text(properties, "Name").unwrap_or_default();
        if type_name == BUS {
            buses::create(self, region, name, buses::bus_of(properties, &BUS_SETTINGS)?)?;
            return Ok(name.to_owned());
        }
        let bus = bus_name(text(properties, "EventBusName"));
        let new = rule_of(bus, name, properties)?;
        rules::put(self, region, bus, name, |known| match known {
            Some(_) => {
                let message = format!("Rule {name} already exists on EventBus {bus}.");
                Err(ApiError::new(400, "ResourceAlreadyExistsException", message))
            }
            None => Ok(new),
        })?;
        Ok(model::rule_arn(region, bus, name))
    }

    fn read(&self, region: &str, type_name: &str, identifier: &str) -> Option<Value> {
        let state = self.state.now();
        if type_name == BUS {
            return state.bus(region, identifier).ok().map(|bus| bus_properties(region, identifier, &bus));
        }
        let (_, bus, name) = model::parts_of_rule_arn(identifier).filter(|(of_region, ..)| *of_region == region)?;
        state.rule(region, bus, name).ok().map(|rule| rule_properties(region, bus, name, &rule))
    }

    fn update(&self, region: &str, type_name: &str, identifier: &str, properties: &Value) -> Result<(), ApiError> {
        if type_name == BUS {
            let new = buses::bus_of(properties, &BUS_SETTINGS)?;
            return self.state.change(|state| {
                let bus = state.bus_mut(region, identifier)?;
                *bus = Bus { created: bus.created, rules: std::mem::take(&mut bus.rules), ..new };
                Ok(())
            });
        }
        let (_, bus, name) = model::parts_of_rule_arn(identifier).ok_or_else(|| no_rule(identifier))?;
        let wanted = bus_name(text(properties, "EventBusName"));
        let new = rule_of(wanted, name, properties)?;
        rules::put(self, region, wanted, name, |_| Ok(new))?;
        if bus != wanted {
            return self.delete(region, type_name, identifier);
        }
        Ok(())
    }

    fn delete(&self, region: &str, type_name: &str, identifier: &str) -> Result<(), ApiError> {
        if type_name == BUS {
            return buses::delete(self, region, identifier);
        }
        let (_, bus, name) = model::parts_of_rule_arn(identifier).ok_or_else(|| no_rule(identifier))?;
        self.state.change(|state| {
            state.bus_mut(region, bus)?.rules.remove(name);
            Ok(())
        })
    }

    fn list(&self, region: &str, type_name: &str) -> Vec<String> {
        let state = self.state.now();
        if type_name == BUS {
            return state.buses(region).into_iter().map(|(name, _)| name).collect();
        }
        let rules = state.rules().filter(|(of_region, ..)| *of_region == region);
        rules.map(|(_, bus, name, _)| model::rule_arn(region, bus, name)).collect()
    }
}

fn rule_of(bus: &str, name: &str, properties: &Value) -> Result<Rule, ApiError> {
    let targets = properties["Targets"].as_array().cloned().unwrap_or_default();
    rules::check_targets(&targets)?;
    rules::check_count(&targets)?;
    let tags = tags::tags(properties)?;
    let bus_in_template = text(properties, "EventBusName").map(str::to_owned);
    Ok(Rule { tags, targets, bus_in_template, ..rules::rule_of(bus, name, properties)? })
}

fn rule_properties(region: &str, bus: &str, name: &str, rule: &Rule) -> Value {
    let mut properties = rule.described(region, bus, name);
    properties["RuleName"] = name.into();
    if let Some(given) = &rule.bus_in_template {
        properties["EventBusName"] = given.as_str().into();
    }
    // A pattern is JSON in a template, and text in the API.
    if let Some(pattern) = rule.pattern.as_deref().and_then(|pattern| serde_json::from_str::<Value>(pattern).ok()) {
        properties["EventPattern"] = pattern;
    }
    for (member, list) in [("Targets", json!(rule.targets)), ("Tags", json!(rule.tags))] {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            properties[member] = list;
        }
    }
    properties
}

fn bus_properties(region: &str, name: &str, bus: &Bus) -> Value {
    let mut properties = json!({ "Name": name, "Arn": model::bus_arn(region, name) });
    for (member, value) in &bus.settings {
        properties[member] = value.clone();
    }
    if !bus.tags.is_empty() {
        properties["Tags"] = json!(bus.tags);
    }
    properties
}

fn no_rule(identifier: &str) -> ApiError {
    not_found(format!("Rule {identifier} does not exist."))
}
