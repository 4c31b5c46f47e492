//! What a stack costs, from AWS's public prices: without any message, for messages, and for open connections.
//!
//! Free tiers, taxes, stored data, what handlers log and traffic out of AWS are not counted. Where each price is from and when
//! it was compared: the table in docs/commands/cost.md.

use serde_json::Value;

use super::{StackView, names, table};

/// The day on which the prices were last compared with their sources, and their region.
pub const PRICES_OF: &str = "2026-11-29";
pub const REGION: &str = "us-east-1";

/// API Gateway, "WebSocket APIs": a message of 32 KB at most, in either direction, up to the billionth of a month (then 0.80).
const MESSAGE: f64 = 1.00 / 1e6;
const MESSAGE_ABOVE_A_BILLION: f64 = 0.80 / 1e6;
/// The number of messages of a month from which on they are cheaper.
const BILLION: f64 = 1e9;
/// API Gateway, "WebSocket APIs": a minute of a connection.
const CONNECTION_MINUTE: f64 = 0.25 / 1e6;
/// AWS Lambda: a request.
const REQUEST: f64 = 0.20 / 1e6;
/// AWS Lambda: a gigabyte-second, on x86 and on Arm.
const GB_SECOND: (f64, f64) = (0.000_016_666_7, 0.000_013_333_4);
/// CloudWatch Logs, standard class: a gigabyte of a function's log, up to the 10th terabyte of a month.
const LOG_GB: f64 = 0.50;
/// What Lambda itself logs of an invocation, in bytes: the lines START (66), END (52) and REPORT (about 170).
const LOG_BYTES: f64 = 290.0;
/// DynamoDB, on-demand: a read request unit, at half the price of before November 2024.
const READ: f64 = 0.125 / 1e6;
/// DynamoDB, provisioned: an hour of a unit of read and of write capacity.
const READ_HOUR: f64 = 0.000_13;
const WRITE_HOUR: f64 = 0.000_65;
/// A month.
const HOURS: f64 = 730.0;

/// What messages are assumed to be.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many clients get each message.
    pub receivers: f64,
    /// How long a handler runs, in milliseconds.
    pub milliseconds: f64,
    /// How many messages clients send in a month.
    pub messages: f64,
}

/// What a cost arises from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    IdleMonth,
    MillionMessages,
    ThousandConnectionsMonth,
}

/// A part of the cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub of: Of,
    /// For people.
    pub what: String,
    /// How it is computed, for people.
    pub how: String,
    /// In US dollars.
    pub dollars: f64,
}

/// The parts of what a stack costs.
pub fn of(stack: &dyn StackView, load: Load) -> Vec<Item> {
    let mut items = Vec::new();
    let mut add = |of, what: String, how: String, dollars| items.push(Item { of, what, how, dollars });
    let functions: Vec<_> = stack.resources().filter(|it| it.kind.type_name() == names::FUNCTION).collect();
    let million = 1e6;
    let sent = million * (1.0 + load.receivers);
    let price = if load.messages * (1.0 + load.receivers) > BILLION { MESSAGE_ABOVE_A_BILLION } else { MESSAGE };
    add(
        Of::MillionMessages,
        "API Gateway messages".to_owned(),
        format!("1 in and {} out, ${:.2} a million, each of 32 KB at most", load.receivers, price * 1e6),
        sent * price,
    );
    // Which route a message takes is the clients' choice: the dearest one is counted.
    let dear = |properties: &Value| memory(properties) * pick(GB_SECOND, properties);
    let dearest = functions.iter().max_by(|one, other| dear(one.properties).total_cmp(&dear(other.properties)));
    if let Some(function) = dearest {
        let gb_seconds = memory(function.properties) * load.milliseconds / 1000.0;
        add(
            Of::MillionMessages,
            "Lambda requests".to_owned(),
            format!("1 a message, ${:.2} a million", REQUEST * 1e6),
            million * REQUEST,
        );
        add(
            Of::MillionMessages,
            format!("Lambda time ({})", function.logical_id),
            format!("{} ms at {:.0} MB", load.milliseconds, memory(function.properties) * 1024.0),
            million * gb_seconds * pick(GB_SECOND, function.properties),
        );
        add(
            Of::MillionMessages,
            "CloudWatch Logs".to_owned(),
            format!(
                "Lambda's own lines, {LOG_BYTES} bytes a message, ${LOG_GB:.2} a GB; what handlers print is not counted"
            ),
            million * LOG_BYTES / 1e9 * LOG_GB,
        );
    }
    for table in stack.resources().filter(|it| it.kind.type_name() == table::TYPE) {
        let properties = table.properties;
        if properties["BillingMode"] == "PAY_PER_REQUEST" {
            add(
                Of::MillionMessages,
                format!("DynamoDB reads ({})", table.logical_id),
                format!("1 read unit a message, ${:.3} a million", READ * 1e6),
                million * READ,
            );
            continue;
        }
        let indexes = properties["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
        let all = std::iter::once(properties).chain(indexes);
        let (mut reads, mut writes) = (0.0, 0.0);
        for capacity in all.map(|one| &one["ProvisionedThroughput"]) {
            reads += capacity["ReadCapacityUnits"].as_f64().unwrap_or_default();
            writes += capacity["WriteCapacityUnits"].as_f64().unwrap_or_default();
        }
        add(
            Of::IdleMonth,
            format!("DynamoDB capacity ({})", table.logical_id),
            format!("{reads} read and {writes} write units, {HOURS} hours"),
            HOURS * (reads * READ_HOUR + writes * WRITE_HOUR),
        );
    }
    add(
        Of::ThousandConnectionsMonth,
        "API Gateway connections".to_owned(),
        format!("1000 for {HOURS} hours, ${:.2} a million minutes", CONNECTION_MINUTE * 1e6),
        1000.0 * HOURS * 60.0 * CONNECTION_MINUTE,
    );
    items
}

/// The memory of a function, in gigabytes.
fn memory(function: &Value) -> f64 {
    function["MemorySize"].as_f64().unwrap_or(128.0) / 1024.0
}

/// The price for a function's architecture.
fn pick((x86, arm): (f64, f64), function: &Value) -> f64 {
    if function["Architectures"][0] == "arm64" { arm } else { x86 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::stack::{self, Stack};
    use crate::core::words::Scope;

    fn stack(table: &str) -> Stack {
        let text = format!(
            "
Transform: AWS::Serverless-2016-10-31
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      {table}
      AttributeDefinitions: [{{AttributeName: id, AttributeType: S}}]
      KeySchema: [{{AttributeName: id, KeyType: HASH}}]
  Send:
    Type: AWS::Serverless::Function
    Properties: {{Runtime: nodejs22.x, Handler: index.handler, CodeUri: send, MemorySize: 256, Architectures: [arm64]}}
"
        );
        let scope = Scope {
            stack: "chat".to_owned(),
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            partition: "aws".to_owned(),
        };
        stack::load(text.as_bytes(), &Default::default(), &scope).unwrap()
    }

    fn total(stack: &Stack, load: Load, of: Of) -> String {
        let items = super::of(&stack.resources, load);
        format!(
            "{:.3}",
            items.iter().filter(|item| item.of == of).map(|item| item.dollars).fold(0.0, |sum, dollars| sum + dollars)
        )
    }

    #[test]
    fn messages_connections_and_capacity_are_counted() {
        let load = Load { receivers: 1.0, milliseconds: 100.0, messages: 1e6 };
        let on_demand = stack("BillingMode: PAY_PER_REQUEST");
        // 2 messages, a request, a quarter of a gigabyte for a tenth of a second, a read, Lambda's lines in the log.
        assert_eq!(
            total(&on_demand, load, Of::MillionMessages),
            format!("{:.3}", 2.0 + 0.2 + 0.025 * 13.3334 + 0.125 + 0.145)
        );
        assert_eq!(total(&on_demand, load, Of::IdleMonth), "0.000");
        assert_eq!(total(&on_demand, load, Of::ThousandConnectionsMonth), "10.950");
        let many = Load { messages: 1e9, ..load };
        assert_eq!(
            total(&on_demand, many, Of::MillionMessages),
            format!("{:.3}", 1.6 + 0.2 + 0.025 * 13.3334 + 0.125 + 0.145)
        );
        let provisioned = stack("ProvisionedThroughput: {ReadCapacityUnits: 10, WriteCapacityUnits: 5}");
        assert_eq!(
            total(&provisioned, load, Of::IdleMonth),
            format!("{:.3}", 730.0 * (10.0 * 0.00013 + 5.0 * 0.00065))
        );
        assert_eq!(memory(&json!({})), 0.125);
    }
}
