//! EventBridge: event buses, rules with patterns and schedules, and the delivery of events to their targets.
//!
//! `operations` is the table; `buses`, `rules` and `put_events` have the functions. `model` is what is kept, `targets` brings an
//! event to a target, `resources` is what Cloud Control sees. The languages are pure: `core::events`.
//!
//! Targets are functions, queues, topics, log groups and other buses of this cloud. A target of another service is kept, and an
//! event for it is logged as not delivered.

mod buses;
mod model;
mod operations;
mod put_events;
mod required_permissions;
mod resources;
mod rules;
pub mod tags;
pub mod targets;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::sync::Notify;

use self::model::{DEFAULT_BUS, State};
use self::targets::Targets;
use super::context::CloudContext;
use crate::core::events::schedule::Schedule;
use crate::local::context::alarms::{self, Alarm, Scheduled};
use crate::local::context::ports::{Delivery, DeliveryTarget, EventBus, Tagged, TaggedResources};
use crate::local::context::store::PersistedState;
use crate::local::protocol::paging;
use crate::local::protocol::wire::{ApiError, null_member};

/// The name of its file.
const FILE: &str = "events";

type Answer = Result<Value, ApiError>;

/// The service.
pub struct Events {
    state: PersistedState<State>,
    targets: Arc<Targets>,
    /// Schedules have changed.
    changed: Arc<Notify>,
}

impl Events {
    /// Opens the service with its persisted buses and rules, and begins to ring schedules. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn open(context: &CloudContext, targets: Arc<Targets>) -> io::Result<Arc<Self>> {
        let state = PersistedState::open(context.store.clone(), FILE, unsaved)?;
        let events = Arc::new(Self { state, targets, changed: Arc::default() });
        alarms::keep(&events, Arc::clone(&events.changed), context.conditions.rate_minute);
        Ok(events)
    }
}

impl Scheduled for Events {
    fn alarms(&self) -> Vec<Alarm> {
        let state = self.state.now();
        let rules = state.rules().filter(|(.., rule)| rule.is_enabled());
        let alarms = rules.filter_map(|(region, bus, name, rule)| {
            let schedule = Schedule::of_rule(rule.schedule.as_deref()?).ok()?;
            let id = model::rule_arn(region, bus, name);
            // The first time of a rate is an interval after the rule's beginning.
            let (start, from) = (rule.since, rule.since + 1);
            Some(Alarm { id, schedule, zone: TimeZone::UTC, start, from, version: start, until: None })
        });
        alarms.collect()
    }

    fn ring(self: Arc<Self>, id: &str, time: i64) {
        let Some((region, bus, name)) = model::parts_of_rule_arn(id) else { return };
        let event = json!({
            "version": "0",
            "id": put_events::event_id(),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": super::context::ACCOUNT,
            "time": super::context::clock::iso8601(time),
            "region": region,
            "resources": [id],
            "detail": {},
        });
        self.invoke(region, bus, name, &event, 0);
    }
}

impl EventBus for Events {
    fn publish_event(&self, region: &str, event: &Value) {
        self.publish(region, bus_name(None), event, 0);
    }
}

/// For what becomes of asynchronous invocations, which functions can send to a bus.
#[async_trait]
impl DeliveryTarget for Events {
    fn service(&self) -> &'static str {
        "events"
    }

    async fn deliver(&self, arn: &str, message: Delivery) -> Result<(), ApiError> {
        let (region, bus) = arn
            .strip_prefix("arn:aws:events:")
            .and_then(|rest| rest.split_once(':'))
            .and_then(|(region, rest)| Some((region, rest.split_once(":event-bus/")?.1)))
            .ok_or_else(|| not_found(format!("{arn} is not an event bus.")))?;
        self.state.now().bus(region, bus)?;
        let detail: Value = serde_json::from_str(&message.body).unwrap_or(Value::String(message.body));
        let request = &detail["requestContext"];
        let end = if request["condition"] == "Success" { "Success" } else { "Failure" };
        // (Lambda developer guide, "Capturing records of Lambda asynchronous invocations".)
        let event = json!({
            "version": "0",
            "id": put_events::event_id(),
            "detail-type": format!("Lambda Function Invocation Result - {end}"),
            "source": "lambda",
            "account": super::context::ACCOUNT,
            "time": super::context::clock::iso8601(super::context::clock::now_millis()),
            "region": region,
            "resources": [arn, request["functionArn"]],
            "detail": detail,
        });
        self.publish(region, bus, &event, 0);
        Ok(())
    }
}

impl TaggedResources for Events {
    fn tagged(&self, region: &str) -> Result<Vec<Tagged>, ApiError> {
        let state = self.state.now();
        let of = |type_name: &str, arn: String, tags: &tags::Tags| Tagged {
            type_name: type_name.to_owned(),
            arn,
            tags: tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect(),
        };
        let rules = state.rules().filter(|(of_region, ..)| *of_region == region);
        let rules = rules.map(|(_, bus, name, rule)| of("events:rule", model::rule_arn(region, bus, name), &rule.tags));
        let buses = state.buses(region).into_iter();
        let buses = buses.map(|(name, bus)| of("events:event-bus", model::bus_arn(region, &name), &bus.tags));
        Ok(rules.chain(buses).collect())
    }

    fn retag(&self, arn: &str, set: &BTreeMap<String, String>, removed: &[String]) -> Result<bool, ApiError> {
        if !arn.starts_with("arn:aws:events:") {
            return Ok(false);
        }
        let region = arn.split(':').nth(3).unwrap_or_default();
        self.state.change(|state| {
            tags::retag(buses::tags_of(state, region, arn)?, tags::listed(set), removed);
            Ok(true)
        })
    }
}

fn unsaved(error: io::Error) -> ApiError {
    tracing::error!("EventBridge's rules could not be saved: {error}");
    ApiError::new(500, "InternalException", "The local cloud could not save its state; see `wschat local logs`.")
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationException", message)
}

fn not_found(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ResourceNotFoundException", message)
}

/// The refusal of a member that is missing.
fn missing(member: &str) -> ApiError {
    invalid(null_member(member))
}

/// A text of the input.
fn text<'a>(input: &'a Value, member: &str) -> Option<&'a str> {
    input[member].as_str()
}

/// A text of the input that must be there. The message has the member's name as the service model has it.
fn required<'a>(input: &'a Value, member: &str) -> Result<&'a str, ApiError> {
    text(input, member).ok_or_else(|| {
        let (first, rest) = member.split_at(1);
        missing(&format!("{}{rest}", first.to_lowercase()))
    })
}

/// The name of a bus that is given by its name or its ARN; the default one where none is given.
fn bus_name(given: Option<&str>) -> &str {
    given.map_or(DEFAULT_BUS, |given| given.rsplit_once(":event-bus/").map_or(given, |(_, name)| name))
}

/// Names of rules, buses and targets: at most `longest` letters, digits, dots, hyphens and underscores; of buses slashes, too.
fn check_name(name: &str, member: &str, longest: usize, slashes: bool) -> Result<(), ApiError> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter) || slashes && letter == '/';
    if name.is_empty() || name.len() > longest {
        let bound = if name.is_empty() {
            "greater than or equal to 1".to_owned()
        } else {
            format!("less than or equal to {longest}")
        };
        return Err(invalid(format!(
            "1 validation error detected: Value '{name}' at '{member}' failed to satisfy constraint: Member must have length {bound}"
        )));
    }
    if name.chars().all(is_letter) {
        return Ok(());
    }
    let pattern = if slashes { "[/\\.\\-_A-Za-z0-9]+" } else { "[\\.\\-_A-Za-z0-9]+" };
    Err(invalid(format!(
        "1 validation error detected: Value '{name}' at '{member}' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: {pattern}"
    )))
}

/// JSON text, given as such or as JSON.
fn json_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A page of a list under `member`, as `Limit` and `NextToken` ask for it.
fn page(all: Vec<Value>, input: &Value, member: &str) -> Answer {
    let size = input["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(100).clamp(1, 100);
    let page = paging::json_page(all, text(input, "NextToken"), size, member);
    page.ok_or_else(|| invalid("Parameter NextToken is not valid."))
}
