//! Buses, rules and targets as they are kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tags::Tags;
use super::{ApiError, not_found};
use crate::local::context::{ACCOUNT, CloudContext};

/// The bus that every region has.
pub const DEFAULT_BUS: &str = "default";

/// The state of a rule that takes events.
pub const ENABLED: &str = "ENABLED";
pub const DISABLED: &str = "DISABLED";

/// All regions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// The buses of each region, by name. The default bus may be missing, while nothing was ever put on it.
    regions: BTreeMap<String, BTreeMap<String, Bus>>,
}

/// An event bus.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Bus {
    /// What else was said when it was created: `Description`, `KmsKeyIdentifier`, `DeadLetterConfig`, `LogConfig`, `Policy`.
    pub settings: BTreeMap<String, Value>,
    pub tags: Tags,
    /// Milliseconds since the epoch.
    pub created: i64,
    pub rules: BTreeMap<String, Rule>,
}

/// A rule.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    pub description: Option<String>,
    /// JSON text.
    pub pattern: Option<String>,
    pub schedule: Option<String>,
    pub state: String,
    pub role: Option<String>,
    pub tags: Tags,
    /// As API and templates have them, in the order in which they came.
    pub targets: Vec<Value>,
    /// Since when its schedule is in force, in milliseconds since the epoch.
    pub since: i64,
    /// Its bus, as a template named it: a name or an ARN.
    pub bus_in_template: Option<String>,
}

impl State {
    /// A bus that can be changed.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn bus_mut(&mut self, region: &str, name: &str) -> Result<&mut Bus, ApiError> {
        let buses = self.regions.entry(region.to_owned()).or_default();
        if name == DEFAULT_BUS {
            return Ok(buses.entry(name.to_owned()).or_default());
        }
        buses.get_mut(name).ok_or_else(|| no_bus(name))
    }

    /// A bus.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn bus(&self, region: &str, name: &str) -> Result<Bus, ApiError> {
        let bus = self.regions.get(region).and_then(|buses| buses.get(name)).cloned();
        bus.or_else(|| (name == DEFAULT_BUS).then(Bus::default)).ok_or_else(|| no_bus(name))
    }

    /// Adds a bus; gives back whether its name was free.
    pub fn add_bus(&mut self, region: &str, name: &str, bus: Bus) -> bool {
        let buses = self.regions.entry(region.to_owned()).or_default();
        if name == DEFAULT_BUS || buses.contains_key(name) {
            return false;
        }
        buses.insert(name.to_owned(), bus);
        true
    }

    pub fn remove_bus(&mut self, region: &str, name: &str) {
        self.regions.entry(region.to_owned()).or_default().remove(name);
    }

    /// The buses of a region, the default one first.
    pub fn buses(&self, region: &str) -> Vec<(String, Bus)> {
        let others = self.regions.get(region).into_iter().flatten().filter(|(name, _)| *name != DEFAULT_BUS);
        let default = self.bus(region, DEFAULT_BUS).unwrap_or_default();
        let all = std::iter::once((DEFAULT_BUS.to_owned(), default));
        all.chain(others.map(|(name, bus)| (name.clone(), bus.clone()))).collect()
    }

    /// A rule.
    ///
    /// # Errors
    /// `ResourceNotFoundException` for an unknown bus or rule.
    pub fn rule(&self, region: &str, bus: &str, name: &str) -> Result<Rule, ApiError> {
        self.bus(region, bus)?.rules.remove(name).ok_or_else(|| no_rule(bus, name))
    }

    /// A rule that can be changed.
    ///
    /// # Errors
    /// `ResourceNotFoundException` for an unknown bus or rule.
    pub fn rule_mut(&mut self, region: &str, bus: &str, name: &str) -> Result<&mut Rule, ApiError> {
        self.bus_mut(region, bus)?.rules.get_mut(name).ok_or_else(|| no_rule(bus, name))
    }

    /// All rules: region, bus, name, rule.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &str, &str, &Rule)> {
        let buses =
            self.regions.iter().flat_map(|(region, buses)| buses.iter().map(move |(bus, it)| (region, bus, it)));
        buses.flat_map(|(region, bus, it)| {
            it.rules.iter().map(move |(name, rule)| (region.as_str(), bus.as_str(), name.as_str(), rule))
        })
    }
}

impl Rule {
    pub fn is_enabled(&self) -> bool {
        self.state != DISABLED
    }

    /// As `DescribeRule` and `ListRules` show it.
    pub fn described(&self, region: &str, bus: &str, name: &str) -> Value {
        let mut described = json!({
            "Name": name,
            "Arn": rule_arn(region, bus, name),
            "State": self.state,
            "EventBusName": bus,
        });
        for (member, value) in [
            ("EventPattern", &self.pattern),
            ("ScheduleExpression", &self.schedule),
            ("Description", &self.description),
            ("RoleArn", &self.role),
        ] {
            if let Some(value) = value {
                described[member] = value.as_str().into();
            }
        }
        described
    }
}

pub fn bus_arn(region: &str, bus: &str) -> String {
    CloudContext::arn("events", region, &format!("event-bus/{bus}"))
}

/// A rule's ARN: one of the default bus has no bus in it. (Service Authorization Reference, "Amazon EventBridge".)
pub fn rule_arn(region: &str, bus: &str, name: &str) -> String {
    let path = if bus == DEFAULT_BUS { format!("rule/{name}") } else { format!("rule/{bus}/{name}") };
    CloudContext::arn("events", region, &path)
}

/// Region, bus and name in a rule's ARN.
pub fn parts_of_rule_arn(arn: &str) -> Option<(&str, &str, &str)> {
    let (region, rest) = arn.strip_prefix("arn:aws:events:")?.split_once(':')?;
    let path = rest.strip_prefix(ACCOUNT)?.strip_prefix(":rule/")?;
    let (bus, name) = path.rsplit_once('/').unwrap_or((DEFAULT_BUS, path));
    Some((region, bus, name))
}

fn no_bus(name: &str) -> ApiError {
    not_found(format!("Event bus {name} does not exist."))
}

fn no_rule(bus: &str, name: &str) -> ApiError {
    not_found(format!("Rule {name} does not exist on EventBus {bus}."))
}
