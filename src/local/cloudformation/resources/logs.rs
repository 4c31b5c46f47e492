//! Log groups.

use serde_json::{Map, Value, json};

use super::{Declared, Existing, Identifier, Type, own_tags, part, single, text};
use crate::local::cloudformation::calls::Calls;
use crate::local::context::CloudContext;
use crate::local::protocol::wire::ApiError;

pub const TYPES: &[Type] = &[Type {
    name: "AWS::Logs::LogGroup",
    identifier: &["LogGroupName"],
    reference: "LogGroupName",
    importable: true,
    create: |calls, declared| Box::pin(create(calls, declared)),
    read: |calls, _, identifier| Box::pin(read(calls, identifier)),
    delete: |calls, existing| Box::pin(delete(calls, existing)),
    arn: |calls, identifier, _| Some(arn(calls, part(identifier, "LogGroupName"))),
}];

fn arn(calls: &Calls, name: &str) -> String {
    CloudContext::arn("logs", calls.region(), &format!("log-group:{name}"))
}

async fn create(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let properties = declared.properties;
    let name = text(properties, "LogGroupName").unwrap_or_else(|| declared.name.to_owned());
    let mut input = json!({ "logGroupName": name });
    let tags = own_tags(properties);
    for (member, value) in [
        ("kmsKeyId", properties["KmsKeyId"].clone()),
        ("logGroupClass", properties["LogGroupClass"].clone()),
        ("tags", if tags.is_empty() { Value::Null } else { tags.into() }),
    ] {
        if !value.is_null() {
            input[member] = value;
        }
    }
    calls.json("logs", "CreateLogGroup", &input).await?;
    if !properties["RetentionInDays"].is_null() {
        let input = json!({ "logGroupName": name, "retentionInDays": properties["RetentionInDays"] });
        calls.json("logs", "PutRetentionPolicy", &input).await?;
    }
    Ok(single("LogGroupName", name))
}

async fn read(calls: &Calls, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let name = part(identifier, "LogGroupName");
    let found = calls.json("logs", "DescribeLogGroups", &json!({ "logGroupNamePrefix": name })).await?;
    let is_there = found["logGroups"].as_array().into_iter().flatten().any(|group| group["logGroupName"] == name);
    let values = || -> Map<String, Value> {
        let values = [("Arn", format!("{}:*", arn(calls, name))), ("LogGroupName", name.to_owned())];
        values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
    };
    Ok(is_there.then(values))
}

async fn delete(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    let name = part(existing.identifier, "LogGroupName");
    calls.json("logs", "DeleteLogGroup", &json!({ "logGroupName": name })).await.map(drop)
}
