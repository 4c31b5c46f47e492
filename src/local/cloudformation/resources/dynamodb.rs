//! Tables.

use serde_json::{Map, Value, json};

use super::{Declared, Existing, Identifier, Type, own_tags, part, present, single, text, until, without};
use crate::local::cloudformation::calls::Calls;
use crate::local::context::CloudContext;
use crate::local::protocol::wire::ApiError;

pub const TYPES: &[Type] = &[Type {
    name: "AWS::DynamoDB::Table",
    identifier: &["TableName"],
    reference: "TableName",
    importable: true,
    create: |calls, declared| Box::pin(create(calls, declared)),
    read: |calls, _, identifier| Box::pin(read(calls, identifier)),
    delete: |calls, existing| Box::pin(delete(calls, existing)),
    arn: |calls, identifier, _| {
        Some(CloudContext::arn("dynamodb", calls.region(), &format!("table/{}", part(identifier, "TableName"))))
    },
}];

/// The properties that calls of their own set, once the table is active.
const LATER: &[&str] = &["PointInTimeRecoverySpecification", "TimeToLiveSpecification"];

async fn create(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let properties = declared.properties;
    let name = text(properties, "TableName").unwrap_or_else(|| declared.name.to_owned());
    let mut input = without(properties, LATER);
    input["TableName"] = name.as_str().into();
    if !properties["SSESpecification"].is_null() {
        let sse = &properties["SSESpecification"];
        input["SSESpecification"] = without(sse, &["SSEEnabled"]);
        input["SSESpecification"]["Enabled"] = sse["SSEEnabled"].clone();
    }
    if !properties["StreamSpecification"].is_null() {
        let view = &properties["StreamSpecification"]["StreamViewType"];
        input["StreamSpecification"] = json!({ "StreamEnabled": true, "StreamViewType": view });
    }
    if !properties["Tags"].is_null() {
        input["Tags"] = own_tags(properties).iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    }
    calls.json("dynamodb", "CreateTable", &input).await?;
    until(&name, || async {
        let table = calls.json("dynamodb", "DescribeTable", &json!({ "TableName": name })).await?;
        Ok((table["Table"]["TableStatus"] == "ACTIVE").then_some(()))
    })
    .await?;
    let ttl = &properties["TimeToLiveSpecification"];
    if ttl["Enabled"].as_bool().unwrap_or(!ttl.is_null()) {
        let input = json!({ "TableName": name, "TimeToLiveSpecification": ttl });
        calls.json("dynamodb", "UpdateTimeToLive", &input).await?;
    }
    let recovery = &properties["PointInTimeRecoverySpecification"];
    if !recovery.is_null() {
        let input = json!({ "TableName": name, "PointInTimeRecoverySpecification": recovery });
        calls.json("dynamodb", "UpdateContinuousBackups", &input).await?;
    }
    Ok(single("TableName", name))
}

async fn read(calls: &Calls, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let input = json!({ "TableName": part(identifier, "TableName") });
    let Some(found) = present(calls.json("dynamodb", "DescribeTable", &input).await)? else { return Ok(None) };
    let table = &found["Table"];
    if table["TableStatus"] == "DELETING" {
        return Ok(None);
    }
    let values =
        [("Arn", "TableArn"), ("StreamArn", "LatestStreamArn"), ("TableId", "TableId"), ("TableName", "TableName")];
    let values = values.into_iter().filter(|(_, member)| !table[*member].is_null());
    Ok(Some(values.map(|(name, member)| (name.to_owned(), table[member].clone())).collect()))
}

async fn delete(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    let name = part(existing.identifier, "TableName");
    let input = json!({ "TableName": name });
    calls.json("dynamodb", "DeleteTable", &input).await?;
    until(name, || async {
        let found = present(calls.json("dynamodb", "DescribeTable", &input).await)?;
        Ok(found.is_none().then_some(()))
    })
    .await
}
