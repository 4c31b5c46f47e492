//! The permissions that EventBridge's operations need (Service Authorization Reference, "Amazon EventBridge").

use std::collections::BTreeSet;

use serde_json::Value;

use super::model::{bus_arn, rule_arn};
use super::{bus_name, text};
use crate::core::iam::need::Need;
use crate::local::protocol::service::ServiceCall;

fn body(call: &ServiceCall) -> Value {
    call.request.json().unwrap_or_default()
}

fn action(call: &ServiceCall) -> String {
    format!("events:{}", call.operation.name)
}

fn tags(body: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let tags = body["Tags"].as_array().into_iter().flatten();
    tags.filter_map(|tag| Some((text(&tag["Key"])?, text(&tag["Value"])?))).collect()
}

/// The operation on nothing in particular.
pub fn on_all(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(action(call), "*")]
}

/// The operation on its rule.
pub fn on_rule(call: &ServiceCall) -> Vec<Need> {
    let body = body(call);
    let name = text(&body, "Name").or(text(&body, "Rule")).unwrap_or_default();
    let rule = rule_arn(call.region(), bus_name(text(&body, "EventBusName")), name);
    vec![Need::new(action(call), rule).with_tags(tags(&body))]
}

/// The operation on its bus.
pub fn on_bus(call: &ServiceCall) -> Vec<Need> {
    let body = body(call);
    vec![Need::new(action(call), bus_arn(call.region(), bus_name(text(&body, "Name")))).with_tags(tags(&body))]
}

/// The operation on the resource with an ARN.
pub fn on_resource(call: &ServiceCall) -> Vec<Need> {
    let body = body(call);
    vec![Need::new(action(call), text(&body, "ResourceARN").unwrap_or_default()).with_tags(tags(&body))]
}

/// `PutEvents` on the bus of each entry.
pub fn of_entries(call: &ServiceCall) -> Vec<Need> {
    let body = body(call);
    let entries = body["Entries"].as_array().into_iter().flatten();
    let buses: BTreeSet<&str> = entries.map(|entry| bus_name(text(entry, "EventBusName"))).collect();
    buses.into_iter().map(|bus| Need::new(action(call), bus_arn(call.region(), bus))).collect()
}
