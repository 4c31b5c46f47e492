//! Schedules and their groups as they are kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::core::events::schedule::{self, Calendar};
use crate::local::context::CloudContext;
use crate::local::context::alarms::Alarm;
use crate::local::context::clock::sent_time;
use crate::local::events::tags::Tags;

/// The group that every region has.
pub const DEFAULT_GROUP: &str = "default";

/// What can be said of a schedule beside its name and group.
pub const SETTINGS: [&str; 10] = [
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "StartDate",
    "EndDate",
    "Description",
    "State",
    "KmsKeyArn",
    "Target",
    "FlexibleTimeWindow",
    "ActionAfterCompletion",
];

/// All regions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    regions: BTreeMap<String, BTreeMap<String, Group>>,
}

/// A group of schedules.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    pub tags: Tags,
    /// Milliseconds since the epoch.
    pub created: i64,
    pub modified: i64,
    pub schedules: BTreeMap<String, Schedule>,
}

/// A schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Schedule {
    /// The [`SETTINGS`] that were given, as they were given.
    pub settings: Value,
    /// Milliseconds since the epoch.
    pub created: i64,
    pub modified: i64,
    /// Since when it is in force as it is: a rate without a start begins then.
    pub since: i64,
}

/// Which schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleId {
    pub region: String,
    pub group: String,
    pub name: String,
}

impl ScheduleId {
    pub fn arn(&self) -> String {
        CloudContext::arn("scheduler", &self.region, &format!("schedule/{}/{}", self.group, self.name))
    }

    /// The schedule with an ARN.
    pub fn of_arn(arn: &str) -> Option<Self> {
        let (region, rest) = arn.strip_prefix("arn:aws:scheduler:")?.split_once(':')?;
        let (_, path) = rest.split_once(":schedule/")?;
        let (group, name) = path.split_once('/')?;
        Some(Self { region: region.to_owned(), group: group.to_owned(), name: name.to_owned() })
    }
}

pub fn group_arn(region: &str, group: &str) -> String {
    CloudContext::arn("scheduler", region, &format!("schedule-group/{group}"))
}

impl State {
    /// The groups of a region, the default one among them.
    pub fn groups(&self, region: &str) -> Vec<(String, Group)> {
        let mut groups = self.regions.get(region).cloned().unwrap_or_default();
        groups.entry(DEFAULT_GROUP.to_owned()).or_default();
        groups.into_iter().collect()
    }

    /// A group; the default one is always there.
    pub fn group(&self, region: &str, name: &str) -> Option<Group> {
        let group = self.regions.get(region).and_then(|groups| groups.get(name)).cloned();
        group.or_else(|| (name == DEFAULT_GROUP).then(Group::default))
    }

    pub fn group_mut(&mut self, region: &str, name: &str) -> Option<&mut Group> {
        let groups = self.regions.entry(region.to_owned()).or_default();
        if name == DEFAULT_GROUP {
            return Some(groups.entry(name.to_owned()).or_default());
        }
        groups.get_mut(name)
    }

    pub fn add_group(&mut self, region: &str, name: &str, group: Group) {
        self.regions.entry(region.to_owned()).or_default().insert(name.to_owned(), group);
    }

    pub fn remove_group(&mut self, region: &str, name: &str) {
        self.regions.entry(region.to_owned()).or_default().remove(name);
    }

    pub fn schedule(&self, id: &ScheduleId) -> Option<&Schedule> {
        self.regions.get(&id.region)?.get(&id.group)?.schedules.get(&id.name)
    }

    /// Removes a schedule; gives back whether there was one.
    pub fn remove(&mut self, id: &ScheduleId) -> bool {
        self.group_mut(&id.region, &id.group).is_some_and(|group| group.schedules.remove(&id.name).is_some())
    }

    /// All schedules.
    pub fn schedules(&self) -> impl Iterator<Item = (ScheduleId, &Schedule)> {
        let groups = self
            .regions
            .iter()
            .flat_map(|(region, groups)| groups.iter().map(move |(name, group)| (region, name, group)));
        groups.flat_map(|(region, group, it)| {
            it.schedules.iter().map(move |(name, schedule)| {
                let id = ScheduleId { region: region.clone(), group: group.clone(), name: name.clone() };
                (id, schedule)
            })
        })
    }
}

impl Schedule {
    pub fn state(&self) -> &str {
        self.settings["State"].as_str().unwrap_or("ENABLED")
    }

    /// The time zone by its name; UTC where none is given.
    pub fn zone(settings: &Value) -> Option<TimeZone> {
        match settings["ScheduleExpressionTimezone"].as_str() {
            None | Some("UTC") => Some(TimeZone::UTC),
            Some(name) => TimeZone::get(name).ok(),
        }
    }

    /// When it rings, where it is enabled.
    pub fn alarm(&self, id: &ScheduleId) -> Option<Alarm> {
        if self.state() != "ENABLED" {
            return None;
        }
        let schedule = schedule::Schedule::of_scheduler(self.settings["ScheduleExpression"].as_str()?).ok()?;
        // Those that are due once have neither a start nor an end (API reference).
        let limits = !schedule.is_once();
        let start = sent_time(&self.settings["StartDate"]).filter(|_| limits);
        Some(Alarm {
            id: id.arn(),
            schedule,
            zone: Self::zone(&self.settings)?,
            start: start.unwrap_or(self.since),
            from: start.unwrap_or(self.since).max(self.since),
            version: self.since,
            until: sent_time(&self.settings["EndDate"]).filter(|_| limits),
        })
    }

    /// Whether it is to be deleted, because it will not be due again after `after`, in milliseconds since the epoch. A minute of a rate
    /// lasts `minute` milliseconds.
    pub fn is_completed(&self, id: &ScheduleId, after: i64, minute: i64) -> bool {
        self.settings["ActionAfterCompletion"] == "DELETE" && self.is_over(id, after, minute)
    }

    fn is_over(&self, id: &ScheduleId, after: i64, minute: i64) -> bool {
        let Some(alarm) = self.alarm(id) else { return false };
        let (Ok(start), Ok(after)) = (Timestamp::from_millisecond(alarm.start), Timestamp::from_millisecond(after))
        else {
            return false;
        };
        let calendar = Calendar { zone: &alarm.zone, start, minute };
        let next = alarm.schedule.next(&calendar, after);
        next.is_none_or(|next| alarm.until.is_some_and(|until| next.as_millisecond() > until))
    }

    /// As `ListSchedules` shows it.
    pub fn summary(&self, id: &ScheduleId) -> Value {
        json!({
            "Arn": id.arn(),
            "Name": id.name,
            "GroupName": id.group,
            "State": self.state(),
            "CreationDate": seconds(self.created),
            "LastModificationDate": seconds(self.modified),
            "Target": { "Arn": self.settings["Target"]["Arn"] },
        })
    }
}

pub fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}
