//! An event source mapping, as it is kept: its settings, its states, where it reads on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::core::events::pattern::EventPattern;
use crate::local::context::CloudContext;
use crate::local::context::clock::{now_millis, sent_time};
use crate::local::context::ports::Position;

/// One mapping. Its states are computed from the clock, so they need no timers and survive a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mapping {
    /// The function, version or alias.
    pub function_arn: String,
    /// The members of `EventSourceMappingConfiguration` that callers can set.
    pub settings: Map<String, Value>,
    pub enabled: bool,
    /// The transient state, and when it ends, in milliseconds since the epoch.
    passing: String,
    until: i64,
    pub modified: i64,
    pub tags: BTreeMap<String, String>,
    /// The last event of each shard that was handled, in the state of older builds: `positions` has it now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    positions: BTreeMap<String, String>,
}

/// What stands before a time among positions, which else are ids of events.
const SINCE: &str = "since:";

impl Mapping {
    /// One that is in no transient state.
    pub fn new(
        function_arn: &str,
        settings: Map<String, Value>,
        enabled: bool,
        tags: BTreeMap<String, String>,
    ) -> Self {
        Self {
            function_arn: function_arn.to_owned(),
            settings,
            enabled,
            passing: String::new(),
            until: 0,
            modified: now_millis(),
            tags,
            positions: BTreeMap::new(),
        }
    }

    /// The ARN of the source; empty for a broker outside of AWS.
    pub fn source(&self) -> &str {
        self.text("EventSourceArn").unwrap_or_default()
    }

    /// The service of the source: `sqs`.
    pub fn service(&self) -> &str {
        if self.settings.contains_key("SelfManagedEventSource") { "kafka" } else { service_of(self.source()) }
    }

    pub fn number(&self, member: &str) -> Option<i64> {
        self.settings.get(member)?.as_i64()
    }

    pub fn text(&self, member: &str) -> Option<&str> {
        self.settings.get(member)?.as_str()
    }

    pub fn flag(&self, member: &str) -> bool {
        self.settings.get(member).and_then(Value::as_bool).unwrap_or_default()
    }

    /// Whether the function says which events of a batch failed.
    pub fn reports_failures(&self) -> bool {
        let types = self.settings.get("FunctionResponseTypes").and_then(Value::as_array);
        types.is_some_and(|types| types.iter().any(|one| one == "ReportBatchItemFailures"))
    }

    /// Where what a function cannot handle goes.
    pub fn on_failure(&self) -> Option<&str> {
        self.settings.get("DestinationConfig")?["OnFailure"]["Destination"].as_str()
    }

    /// How many batches may be handled at once, where that is limited.
    pub fn most_at_once(&self) -> Option<usize> {
        self.settings.get("ScalingConfig")?["MaximumConcurrency"].as_u64()?.try_into().ok()
    }

    /// The patterns of which an event must match one; none where all events are wanted.
    pub fn filters(&self) -> Vec<EventPattern> {
        let filters = self.settings.get("FilterCriteria").and_then(|criteria| criteria["Filters"].as_array());
        let patterns = filters.into_iter().flatten().filter_map(|filter| filter["Pattern"].as_str());
        patterns.filter_map(|pattern| EventPattern::read(pattern).ok()).collect()
    }

    /// Where reading a shard begins.
    pub fn position(&self, shard: &str) -> Position {
        if let Some(last) = self.positions.get(shard) {
            return Self::read_position(last);
        }
        match self.text("StartingPosition") {
            Some("TRIM_HORIZON") => Position::Oldest,
            Some("AT_TIMESTAMP") => {
                let time = self.settings.get("StartingPositionTimestamp").and_then(sent_time);
                Position::Since(time.unwrap_or_default())
            }
            _ => Position::Newest,
        }
    }

    /// A position as it is kept.
    pub fn read_position(last: &str) -> Position {
        let since = last.strip_prefix(SINCE).and_then(|time| time.parse().ok());
        since.map_or_else(|| Position::After(last.to_owned()), Position::Since)
    }

    /// The time of a position, as it is kept.
    pub fn since(time: i64) -> String {
        format!("{SINCE}{time}")
    }

    /// One that is enabled, for tests.
    #[cfg(test)]
    pub fn in_test(function_arn: &str, settings: Map<String, Value>) -> Self {
        Self::new(function_arn, settings, true, BTreeMap::new())
    }

    /// The milliseconds until a transient state ends.
    pub fn passing_for(&self) -> Option<u64> {
        u64::try_from(self.until - now_millis()).ok().filter(|left| *left > 0)
    }

    /// Whether it is to be polled, now or when its transient state ends.
    pub fn is_wanted(&self) -> bool {
        self.enabled && self.passing != "Deleting"
    }

    pub fn is_gone(&self) -> bool {
        self.passing == "Deleting" && self.passing_for().is_none()
    }

    fn state(&self) -> &str {
        match self.passing_for() {
            Some(_) => &self.passing,
            None if self.enabled => "Enabled",
            None => "Disabled",
        }
    }

    /// Enters a transient state for so many milliseconds.
    pub fn pass(&mut self, state: &str, delay: i64) {
        self.passing = state.to_owned();
        self.modified = now_millis();
        self.until = self.modified.saturating_add(delay);
    }

    /// `EventSourceMappingConfiguration`.
    pub fn configuration(&self, region: &str, uuid: &str, last_result: Option<String>) -> Value {
        let is_stream = is_stream(self.service());
        let mut members = json!({
            "UUID": uuid,
            "EventSourceMappingArn": arn(region, uuid),
            "FunctionArn": self.function_arn,
            "LastModified": self.modified as f64 / 1000.0,
            "State": self.state(),
            "StateTransitionReason": if is_stream { "User action" } else { "USER_INITIATED" },
        });
        if let Some(all) = members.as_object_mut() {
            all.extend(self.settings.clone());
            let untold = is_stream.then(|| "No records processed".to_owned());
            if let Some(result) = last_result.or(untold) {
                all.insert("LastProcessingResult".to_owned(), result.into());
            }
        }
        members
    }
}

/// The service in an ARN.
pub fn service_of(arn: &str) -> &str {
    arn.split(':').nth(2).unwrap_or_default()
}

pub fn is_stream(service: &str) -> bool {
    ["dynamodb", "kinesis"].contains(&service)
}

pub fn arn(region: &str, uuid: &str) -> String {
    CloudContext::arn("lambda", region, &format!("event-source-mapping:{uuid}"))
}

/// The UUID in the ARN of a mapping.
pub fn uuid_in(arn: &str) -> Option<&str> {
    arn.strip_prefix("arn:")?.rsplit_once(":event-source-mapping:").map(|(_, uuid)| uuid)
}
