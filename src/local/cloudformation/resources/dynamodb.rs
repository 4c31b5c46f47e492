//! Tables.

use serde_json::{Map, Value, json};

use super::{Declared, Existing, Identifier, Type, own_tags, part, present, single, text, until, without};
use crate::local::cloudformation::calls::Calls;
use crate::local::context::CloudContext;
use crate::local::protocol::wire::ApiError;

const GLOBAL: &str = "AWS::DynamoDB::GlobalTable";

pub const TYPES: &[Type] = &[of("AWS::DynamoDB::Table"), of(GLOBAL)];

const fn of(name: &'static str) -> Type {
    Type {
        name,
        identifier: &["TableName"],
        reference: "TableName",
        importable: true,
        create: |calls, declared| Box::pin(create(calls, declared)),
        read: |calls, _, identifier| Box::pin(read(calls, identifier)),
        delete: |calls, existing| Box::pin(delete(calls, existing)),
        arn: |calls, identifier, _| {
            Some(CloudContext::arn("dynamodb", calls.region(), &format!("table/{}", part(identifier, "TableName"))))
        },
    }
}

/// The properties that calls of their own set, once the table is active.
const LATER: &[&str] = &["PointInTimeRecoverySpecification", "TimeToLiveSpecification"];

/// What a region's table has of a global table. (Tables of other regions are not made.)
fn in_region(global: &Value, region: &str) -> Value {
    let mut replicas = global["Replicas"].as_array().into_iter().flatten();
    let replica = replicas.find(|one| one["Region"] == region).cloned().unwrap_or_default();
    let capacity = |settings: &Value, units: &str, scaling: &str| match &settings[units] {
        Value::Null => settings[scaling]["MinCapacity"].clone(),
        units => units.clone(),
    };
    let throughput = |write: &Value, read: &Value| {
        json!({
            "ReadCapacityUnits": capacity(read, "ReadCapacityUnits", "ReadCapacityAutoScalingSettings"),
            "WriteCapacityUnits": capacity(write, "WriteCapacityUnits", "WriteCapacityAutoScalingSettings"),
        })
    };
    let (write, read) = ("WriteProvisionedThroughputSettings", "ReadProvisionedThroughputSettings");
    let own = ["Replicas", "MultiRegionConsistency", "WarmThroughput", "WriteOnDemandThroughputSettings", write];
    let mut table = without(global, &own);
    let is_provisioned = table["BillingMode"] != "PAY_PER_REQUEST";
    if is_provisioned {
        table["ProvisionedThroughput"] = throughput(&global[write], &replica[read]);
    }
    let indexes = table.get_mut("GlobalSecondaryIndexes").and_then(Value::as_array_mut);
    for index in indexes.into_iter().flatten() {
        let mut of_replica = replica["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
        let of_replica = of_replica.find(|one| one["IndexName"] == index["IndexName"]).cloned().unwrap_or_default();
        let provisioned = is_provisioned.then(|| throughput(&index[write], &of_replica[read]));
        *index = without(index, &own);
        if let Some(provisioned) = provisioned {
            index["ProvisionedThroughput"] = provisioned;
        }
    }
    for name in ["DeletionProtectionEnabled", "PointInTimeRecoverySpecification", "TableClass", "Tags"] {
        if !replica[name].is_null() {
            table[name] = replica[name].clone();
        }
    }
    if let Some(key) = replica["SSESpecification"].get("KMSMasterKeyId") {
        table["SSESpecification"]["KMSMasterKeyId"] = key.clone();
    }
    table
}

async fn create(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let properties = &match declared.type_name {
        GLOBAL => in_region(declared.properties, calls.region()),
        _ => declared.properties.clone(),
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_its_table_of_a_global_one() {
        let scaling = |capacity: i64| json!({ "MinCapacity": capacity, "MaxCapacity": 100 });
        let global = json!({
            "TableName": "rows",
            "BillingMode": "PROVISIONED",
            "WriteProvisionedThroughputSettings": { "WriteCapacityAutoScalingSettings": scaling(2) },
            "GlobalSecondaryIndexes": [{
                "IndexName": "i",
                "WriteProvisionedThroughputSettings": { "WriteCapacityAutoScalingSettings": scaling(3) },
            }],
            "Replicas": [
                { "Region": "eu-west-1", "TableClass": "STANDARD_INFREQUENT_ACCESS" },
                {
                    "Region": "us-east-1",
                    "Tags": [{ "Key": "a", "Value": "b" }],
                    "ReadProvisionedThroughputSettings": { "ReadCapacityUnits": 4 },
                    "GlobalSecondaryIndexes": [{
                        "IndexName": "i",
                        "ReadProvisionedThroughputSettings": { "ReadCapacityAutoScalingSettings": scaling(5) },
                    }],
                },
            ],
        });
        let expected = json!({
            "TableName": "rows",
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": { "ReadCapacityUnits": 4, "WriteCapacityUnits": 2 },
            "GlobalSecondaryIndexes": [{
                "IndexName": "i", "ProvisionedThroughput": { "ReadCapacityUnits": 5, "WriteCapacityUnits": 3 },
            }],
            "Tags": [{ "Key": "a", "Value": "b" }],
        });
        assert_eq!(in_region(&global, "us-east-1"), expected);
        let on_demand = json!({ "BillingMode": "PAY_PER_REQUEST", "Replicas": [{ "Region": "us-east-1" }] });
        assert_eq!(in_region(&on_demand, "us-east-1"), json!({ "BillingMode": "PAY_PER_REQUEST" }));
    }
}
