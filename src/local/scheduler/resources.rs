//! Schedules and groups as Cloud Control has them: the properties of `AWS::Scheduler::Schedule` and
//! `AWS::Scheduler::ScheduleGroup`.

use serde_json::{Value, json};

use super::model::{DEFAULT_GROUP, Group, SETTINGS, Schedule, ScheduleId, group_arn};
use super::{ApiError, Scheduler, groups, schedules};
use crate::local::context::clock::iso8601;
use crate::local::context::ports::ControlledResources;
use crate::local::events::tags::tags;

const SCHEDULE: &str = "AWS::Scheduler::Schedule";
const GROUP: &str = "AWS::Scheduler::ScheduleGroup";

impl ControlledResources for Scheduler {
    fn types(&self) -> &'static [&'static str] {
        &[SCHEDULE, GROUP]
    }

    fn create(&self, region: &str, type_name: &str, properties: &Value) -> Result<String, ApiError> {
        let name = properties["Name"].as_str().unwrap_or_default();
        if type_name == GROUP {
            groups::create(self, region, name, tags(properties)?)?;
        } else {
            let group = properties["GroupName"].as_str().unwrap_or(DEFAULT_GROUP);
            schedules::create(self, &id(region, group, name), properties)?;
        }
        Ok(name.to_owned())
    }

    fn read(&self, region: &str, type_name: &str, identifier: &str) -> Option<Value> {
        let state = self.state.now();
        if type_name == GROUP {
            return state.group(region, identifier).map(|group| group_properties(region, identifier, &group));
        }
        let id = self.found(region, identifier)?;
        state.schedule(&id).map(|schedule| schedule_properties(&id, schedule))
    }

    fn update(&self, region: &str, type_name: &str, identifier: &str, properties: &Value) -> Result<(), ApiError> {
        if type_name == GROUP {
            let new = tags(properties)?;
            return groups::change_tags(self, region, identifier, |tags| *tags = new).map(drop);
        }
        let old = self.found(region, identifier).unwrap_or_else(|| id(region, DEFAULT_GROUP, identifier));
        let group = properties["GroupName"].as_str().unwrap_or(DEFAULT_GROUP);
        if group == old.group {
            return schedules::update(self, &old, properties);
        }
        schedules::create(self, &id(region, group, identifier), properties)?;
        schedules::delete(self, &old)
    }

    fn delete(&self, region: &str, type_name: &str, identifier: &str) -> Result<(), ApiError> {
        if type_name == GROUP {
            return groups::delete(self, region, identifier);
        }
        let found = self.found(region, identifier);
        schedules::delete(self, &found.unwrap_or_else(|| id(region, DEFAULT_GROUP, identifier)))
    }

    fn list(&self, region: &str, type_name: &str) -> Vec<String> {
        let state = self.state.now();
        if type_name == GROUP {
            return state.groups(region).into_iter().map(|(name, _)| name).collect();
        }
        state.schedules().filter(|(id, _)| id.region == region).map(|(id, _)| id.name).collect()
    }
}

impl Scheduler {
    /// The schedule with a name, in whatever group: Cloud Control's identifier is the name alone.
    fn found(&self, region: &str, name: &str) -> Option<ScheduleId> {
        self.state.now().schedules().map(|(id, _)| id).find(|id| id.region == region && id.name == name)
    }
}

fn id(region: &str, group: &str, name: &str) -> ScheduleId {
    ScheduleId { region: region.to_owned(), group: group.to_owned(), name: name.to_owned() }
}

fn schedule_properties(id: &ScheduleId, schedule: &Schedule) -> Value {
    let mut properties = json!({
        "Arn": id.arn(),
        "Name": id.name,
        "GroupName": id.group,
        "State": schedule.state(),
        "ScheduleExpressionTimezone": "UTC",
    });
    for member in SETTINGS.iter().filter(|member| !schedule.settings[**member].is_null()) {
        properties[*member] = schedule.settings[*member].clone();
    }
    properties
}

fn group_properties(region: &str, name: &str, group: &Group) -> Value {
    let mut properties = json!({
        "Arn": group_arn(region, name),
        "Name": name,
        "State": "ACTIVE",
        "CreationDate": iso8601(group.created),
        "LastModificationDate": iso8601(group.modified),
    });
    if !group.tags.is_empty() {
        properties["Tags"] = json!(group.tags);
    }
    properties
}
