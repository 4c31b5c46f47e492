//! Global tables with one replica, which are ordinary tables of the stack's region: a replica there is required, and a table without
//! others has no other form in DynamoDB. (Template reference, `AWS::DynamoDB::GlobalTable`.) The CDK's `TableV2` writes them.

use serde_json::{Map, Value};

use super::super::Template;
use crate::core::words::Path;

/// The type of global tables, and that of tables.
pub const GLOBAL_TABLE: &str = "AWS::DynamoDB::GlobalTable";
pub const TABLE: &str = "AWS::DynamoDB::Table";

/// Properties that both types have, with the same meaning.
const SAME: &[&str] = &[
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
    "SSESpecification",
    "StreamSpecification",
    "TableName",
    "TimeToLiveSpecification",
];

/// Properties of an index that both types have.
const SAME_OF_INDEX: &[&str] = &["IndexName", "KeySchema", "Projection"];

/// Properties of a replica that a table has itself.
const OF_REPLICA: &[&str] = &["DeletionProtectionEnabled", "PointInTimeRecoverySpecification", "TableClass", "Tags"];

/// What a table with these properties of a global table has; `None` where it is more than a table of one region, or says what is not
/// known of one.
pub fn properties(global: &Map<String, Value>) -> Option<Map<String, Value>> {
    let [Value::Object(replica)] = global.get("Replicas")?.as_array()?.as_slice() else { return None };
    // Capacities that are provisioned scale by themselves there, and by other resources here.
    let is_on_demand = global.get("BillingMode")? == "PAY_PER_REQUEST";
    let has_only = |given: &Map<String, Value>, known: &[&str]| given.keys().all(|name| known.contains(&name.as_str()));
    let mut table: Map<String, Value> = global.clone();
    table.shift_remove("Replicas");
    let indexes = table.get("GlobalSecondaryIndexes").map_or(Some(&[][..]), |all| all.as_array().map(Vec::as_slice))?;
    let same_indexes = indexes.iter().all(|one| one.as_object().is_some_and(|one| has_only(one, SAME_OF_INDEX)));
    let known = [OF_REPLICA, &["Region", "SSESpecification"]].concat();
    if !is_on_demand || !same_indexes || !has_only(&table, SAME) || !has_only(replica, &known) {
        return None;
    }
    if let Some(own) = replica.get("SSESpecification") {
        let key = own.as_object().filter(|own| has_only(own, &["KMSMasterKeyId"]))?.clone();
        table.get_mut("SSESpecification")?.as_object_mut()?.extend(key);
    }
    let of_replica = OF_REPLICA.iter().filter_map(|name| Some(((*name).to_owned(), replica.get(*name)?.clone())));
    table.extend(of_replica);
    Some(table)
}

impl Template {
    /// The template with a table in the place of each global table that is one of this region alone.
    #[must_use]
    pub fn with_regional_tables(mut self) -> Self {
        let resources = self.resources.iter_mut();
        for (id, resource) in resources.filter(|(_, resource)| resource.type_name == GLOBAL_TABLE) {
            let Some(table) = properties(&resource.properties) else { continue };
            TABLE.clone_into(&mut resource.type_name);
            resource.properties = table;
            let properties = Path::default().key("Resources").key(id).key("Properties");
            let replica = self.origins.trace(&properties.key("Replicas").index(0));
            for name in OF_REPLICA {
                self.origins.note(properties.key(name), replica.key(name));
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::parse;

    #[test]
    fn a_global_table_of_one_region_is_a_table() {
        let keys = json!({
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        });
        let with = |members: serde_json::Value| {
            let mut all = keys.clone();
            all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            all
        };
        let here = json!({"Region": {"Ref": "AWS::Region"}});
        let index = json!({"IndexName": "i", "KeySchema": [], "Projection": {"ProjectionType": "ALL"}});
        let own = json!({
            "Region": "eu-west-1", "Tags": [{"Key": "a", "Value": "b"}], "DeletionProtectionEnabled": true,
            "SSESpecification": {"KMSMasterKeyId": "k"},
        });
        let sse = json!({"SSEEnabled": true, "SSEType": "KMS"});
        for (given, expected) in [
            (with(json!({"Replicas": [here]})), Some(keys.clone())),
            (
                with(json!({"Replicas": [own], "SSESpecification": sse, "GlobalSecondaryIndexes": [index]})),
                Some(with(json!({
                    "SSESpecification": {"SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": "k"},
                    "GlobalSecondaryIndexes": [index],
                    "DeletionProtectionEnabled": true,
                    "Tags": [{"Key": "a", "Value": "b"}],
                }))),
            ),
            (with(json!({"Replicas": [here, {"Region": "us-east-1"}]})), None),
            (with(json!({"Replicas": {"Fn::If": ["A", [here], [here]]}})), None),
            (with(json!({"Replicas": [here], "BillingMode": "PROVISIONED"})), None),
            (with(json!({"Replicas": [here], "MultiRegionConsistency": "STRONG"})), None),
            (with(json!({"Replicas": [{"Region": "a", "ResourcePolicy": {}}]})), None),
        ] {
            let text = json!({"Resources": {"Rows": {"Type": super::GLOBAL_TABLE, "Properties": given}}});
            let template = parse(text.to_string().as_bytes()).unwrap().with_regional_tables();
            let rows = &template.resources["Rows"];
            match expected {
                Some(expected) => {
                    assert_eq!((rows.type_name.as_str(), json!(rows.properties)), (super::TABLE, expected));
                }
                None => assert_eq!((rows.type_name.as_str(), json!(rows.properties)), (super::GLOBAL_TABLE, given)),
            }
        }
    }
}
