//! `PutEvents`, and the way of an event through the rules of its bus.

use serde_json::{Value, json};
use uuid::Uuid;

use super::model::{self, Rule};
use super::targets::Sender;
use super::{Answer, Events, bus_name, invalid, text};
use crate::core::events::input;
use crate::core::events::pattern::EventPattern;
use crate::local::context::ACCOUNT;
use crate::local::context::clock::{iso8601, now_millis, sent_time};

/// How many events one call has, and how many bytes they have together. (EventBridge quotas.)
const MAX_ENTRIES: usize = 10;
const MAX_SIZE: usize = 1024 * 1024;

/// How many buses an event may pass through after its first: rules can send in circles.
const MAX_HOPS: usize = 5;

pub fn put_events(events: &Events, region: &str, input: &Value) -> Answer {
    let entries = input["Entries"].as_array().map_or(&[][..], Vec::as_slice);
    if entries.is_empty() || entries.len() > MAX_ENTRIES {
        let bound = if entries.is_empty() { "greater than or equal to 1" } else { "less than or equal to 10" };
        return Err(invalid(format!(
            "1 validation error detected: Value '[PutEventsRequestEntry]' at 'entries' failed to satisfy constraint: Member must have \
             length {bound}"
        )));
    }
    if entries.iter().map(size).sum::<usize>() > MAX_SIZE {
        return Err(invalid("Total size of the entries in the request is over the limit."));
    }
    let results: Vec<Value> = entries
        .iter()
        .map(|entry| match event(region, entry) {
            Err((code, message)) => json!({ "ErrorCode": code, "ErrorMessage": message }),
            Ok(event) => {
                events.publish(region, bus_name(text(entry, "EventBusName")), &event, 0);
                json!({ "EventId": event["id"] })
            }
        })
        .collect();
    let failed = results.iter().filter(|result| result.get("ErrorCode").is_some()).count();
    Ok(json!({ "FailedEntryCount": failed, "Entries": results }))
}

/// A new event's id.
pub fn event_id() -> String {
    Uuid::new_v4().to_string()
}

/// The size of an entry as it counts (EventBridge user guide, "Calculating Amazon EventBridge PutEvents event entry size").
fn size(entry: &Value) -> usize {
    let texts = ["Source", "DetailType", "Detail"].iter().filter_map(|member| entry[*member].as_str());
    let resources = entry["Resources"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let time = if entry["Time"].is_null() { 0 } else { 14 };
    time + texts.chain(resources).map(str::len).sum::<usize>()
}

/// The event that an entry is; else an error's code and message.
fn event(region: &str, entry: &Value) -> Result<Value, (&'static str, String)> {
    for member in ["Source", "DetailType", "Detail"] {
        if text(entry, member).is_none_or(str::is_empty) {
            let why = format!("Parameter {member} is not valid. Reason: {member} is a required argument.");
            return Err(("InvalidArgument", why));
        }
    }
    let source = text(entry, "Source").unwrap_or_default();
    if source.starts_with("aws.") {
        return Err(("NotAuthorizedForSourceException", "Not authorized for the source.".to_owned()));
    }
    let detail: Value = serde_json::from_str(text(entry, "Detail").unwrap_or_default())
        .ok()
        .filter(Value::is_object)
        .ok_or(("MalformedDetail", "Detail is malformed.".to_owned()))?;
    let time = match &entry["Time"] {
        Value::Null => now_millis(),
        sent => sent_time(sent).ok_or(("InvalidArgument", "Parameter Time is not valid.".to_owned()))?,
    };
    Ok(json!({
        "version": "0",
        "id": event_id(),
        "detail-type": entry["DetailType"],
        "source": source,
        "account": ACCOUNT,
        "time": iso8601(time),
        "region": region,
        "resources": entry["Resources"].as_array().cloned().unwrap_or_default(),
        "detail": detail,
    }))
}

impl Events {
    /// Gives an event to the rules of a bus whose patterns it fits. On a bus that there is not, an event is lost, as on AWS.
    pub fn publish(&self, region: &str, bus: &str, event: &Value, hops: usize) {
        let Ok(bus_state) = self.state.now().bus(region, bus) else { return };
        for (name, rule) in &bus_state.rules {
            let pattern = rule.pattern.as_deref().filter(|_| rule.is_enabled());
            if pattern
                .and_then(|pattern| EventPattern::read(pattern).ok())
                .is_some_and(|pattern| pattern.matches(event))
            {
                self.send(region, bus, name, rule, event, hops);
            }
        }
    }

    /// Gives an event to the targets of a rule.
    pub fn invoke(&self, region: &str, bus: &str, name: &str, event: &Value, hops: usize) {
        if let Ok(rule) = self.state.now().rule(region, bus, name) {
            self.send(region, bus, name, &rule, event, hops);
        }
    }

    fn send(&self, region: &str, bus: &str, name: &str, rule: &Rule, event: &Value, hops: usize) {
        let arn = model::rule_arn(region, bus, name);
        let known = input::Rule { arn: &arn, name, ingestion_time: &iso8601(now_millis()) };
        for target in &rule.targets {
            let target_arn = text(target, "Arn").unwrap_or_default();
            if let Some(other) = target_arn.strip_prefix(&model::bus_arn(region, "")) {
                if hops < MAX_HOPS {
                    self.publish(region, other, event, hops + 1);
                } else {
                    tracing::warn!(
                        "{arn}: the event is not sent on to {target_arn}: it has passed through {hops} buses"
                    );
                }
                continue;
            }
            let payload = input::of_target(target, event, known);
            let told = vec![("RULE_ARN", arn.clone())];
            let sender = Sender { service: Some("events.amazonaws.com"), arn: arn.clone(), told };
            self.targets.deliver(target.clone(), payload, sender);
        }
    }
}
