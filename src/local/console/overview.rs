//! The state of the local cloud as the page shows it: resources with the stacks they belong to, and open connections.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Console;
use crate::local::apigateway::connection::Connection;
use crate::local::apigateway::event::milliseconds;
use crate::local::apigateway::integration::{integrated_function, with_variables};
use crate::local::apigateway::model::{Api, Stage};
use crate::local::context::clock::now_millis;
use crate::local::logs::GroupOverview;

/// The tags with which the deployer marks a stack's resources.
const STACK: &str = "wschat:stack";
const REGION: &str = "wschat:region";
const LOGICAL_ID: &str = "wschat:logical-id";

type Tags = BTreeMap<String, String>;

impl Console {
    /// Everything but the events.
    pub(super) async fn state(&self) -> Value {
        let services = &self.services;
        let gateway = services.gateway.state();
        // Those that have connections.
        let sockets = gateway.apis.iter().filter(|(_, api)| !api.is_http());
        let apis: Vec<Value> = sockets.map(|(id, api)| self.api_overview(id, api)).collect();
        let functions = services.lambda.overview();
        let owner = |group: &GroupOverview| {
            let mut users = functions.iter().filter(|one| one.region == group.region && one.log_group == group.name);
            // Lambda creates a function's log group without tags.
            if group.tags.contains_key(STACK) { None } else { users.next().map(|function| &function.tags) }
        };
        let groups = services.logs.overview();
        let groups = groups.iter().map(|one| owned(owner(one).unwrap_or(&one.tags), json!(one))).collect();
        let functions = functions.iter().map(|one| owned(&one.tags, json!(one))).collect();
        let roles = services.iam.overview().iter().map(|one| owned(&one.tags, json!(one))).collect();
        let tables = self.tables().await;
        let all = [&apis, &functions, &tables, &roles, &groups];
        let stacks: BTreeSet<(String, String)> = all
            .into_iter()
            .flatten()
            .filter_map(|one| Some((one["stack"].as_str()?.to_owned(), one["stackRegion"].as_str()?.to_owned())))
            .collect();
        let stacks: Vec<Value> =
            stacks.into_iter().map(|(name, region)| json!({ "name": name, "region": region })).collect();
        let connections: Vec<Value> = services.gateway.open_connections().iter().map(|one| connection(one)).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "port": self.context.port,
            "data": self.context.store.folder().display().to_string(),
            "now": now_millis(),
            "epoch": self.epoch,
            "stacks": stacks,
            "apis": apis,
            "functions": functions,
            "tables": tables,
            "roles": roles,
            "logGroups": groups,
            "connections": connections,
        })
    }

    fn api_overview(&self, id: &str, api: &Api) -> Value {
        let stages: Vec<Value> =
            api.stages.iter().map(|(name, stage)| stage_overview(api, name, stage, &self.address(id, name))).collect();
        let overview = json!({
            "id": id,
            "name": api.config.name,
            "region": api.region,
            "selection": api.config.route_selection_expression,
            "stages": stages,
        });
        owned(&api.tags, overview)
    }

    /// The address of a stage.
    fn address(&self, api: &str, stage: &str) -> String {
        format!("ws://{}/{api}/{stage}", self.context.client_authority())
    }

    /// All tables. One that is deleted meanwhile is left out.
    async fn tables(&self) -> Vec<Value> {
        let mut tables = Vec::new();
        for region in self.services.dynamodb.regions() {
            let mut start = Value::Null;
            loop {
                let mut input = json!({});
                if start.is_string() {
                    input["ExclusiveStartTableName"] = start;
                }
                let Ok(mut listed) = self.dynamodb(&region, "ListTables", &input).await else { break };
                for name in listed["TableNames"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    tables.extend(self.table(&region, name).await);
                }
                start = listed["LastEvaluatedTableName"].take();
                if !start.is_string() {
                    break;
                }
            }
        }
        tables
    }

    async fn table(&self, region: &str, name: &str) -> Option<Value> {
        let described = self.dynamodb(region, "DescribeTable", &json!({ "TableName": name })).await.ok()?;
        let table = &described["Table"];
        let tags = json!({ "ResourceArn": table["TableArn"] });
        let tags = self.dynamodb(region, "ListTagsOfResource", &tags).await.unwrap_or_default();
        let tags = tags["Tags"].as_array().into_iter().flatten();
        let tags: Tags =
            tags.filter_map(|tag| Some((tag["Key"].as_str()?.to_owned(), tag["Value"].as_str()?.to_owned()))).collect();
        let indexes = ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"].map(|kind| &table[kind]);
        let indexes: Vec<&Value> =
            indexes.into_iter().filter_map(Value::as_array).flatten().map(|index| &index["IndexName"]).collect();
        let overview = json!({
            "name": name,
            "region": region,
            "arn": table["TableArn"],
            "status": table["TableStatus"],
            "keys": keys(table),
            "items": table["ItemCount"],
            "bytes": table["TableSizeBytes"],
            "indexes": indexes,
            "stream": table["StreamSpecification"]["StreamViewType"],
        });
        Some(owned(&tags, overview))
    }
}

/// The key of a table, partition key first: names and types.
fn keys(table: &Value) -> Vec<Value> {
    let attributes = table["AttributeDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let kind = |name: &Value| {
        attributes.iter().find(|attribute| attribute["AttributeName"] == *name).map(|found| &found["AttributeType"])
    };
    let schema = table["KeySchema"].as_array().into_iter().flatten().map(|key| &key["AttributeName"]);
    schema.map(|name| json!({ "name": name, "type": kind(name) })).collect()
}

/// A resource with the stack that its tags name.
fn owned(tags: &Tags, mut overview: Value) -> Value {
    for (member, tag) in [("stack", STACK), ("stackRegion", REGION), ("logicalId", LOGICAL_ID)] {
        overview[member] = json!(tags.get(tag));
    }
    overview
}

fn stage_overview(api: &Api, name: &str, stage: &Stage, url: &str) -> Value {
    let snapshot = api.served(name).map(|(_, snapshot)| snapshot);
    let routes = snapshot.iter().flat_map(|snapshot| &snapshot.routes).map(|(key, route)| {
        let integration = route.integration.as_ref();
        let uri = integration.and_then(|one| one.config.integration_uri.as_deref()).unwrap_or_default();
        let uri = with_variables(uri, &stage.config.stage_variables);
        json!({
            "key": key,
            "integration": integration.map(|one| &one.config.integration_type),
            "function": integrated_function(&uri).and_then(|arn| arn.split_once(":function:")).map(|(_, name)| name),
            "authorizer": route.authorizer.as_ref().map(|(_, authorizer)| &authorizer.name),
            "answers": route.responds,
            "timeout": integration.map(|one| one.config.timeout_in_millis),
        })
    });
    json!({ "name": name, "url": url, "deployed": snapshot.is_some(), "routes": routes.collect::<Vec<_>>() })
}

fn connection(connection: &Connection) -> Value {
    let origin = &connection.origin;
    json!({
        "id": origin.connection_id,
        "api": origin.api_id,
        "stage": origin.stage,
        "sourceIp": origin.source_ip,
        "userAgent": origin.user_agent,
        "connectedAt": origin.connected_at,
        "lastActiveAt": milliseconds(connection.last_active_at()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_its_keys_in_order_and_a_resource_its_stack() {
        let table = json!({
            "KeySchema": [{ "AttributeName": "room", "KeyType": "HASH" }, { "AttributeName": "at", "KeyType": "RANGE" }],
            "AttributeDefinitions": [
                { "AttributeName": "at", "AttributeType": "N" },
                { "AttributeName": "room", "AttributeType": "S" },
            ],
        });
        assert_eq!(keys(&table), [json!({ "name": "room", "type": "S" }), json!({ "name": "at", "type": "N" })]);

        let tags: Tags = [(STACK, "chat"), (LOGICAL_ID, "Table")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let expected = json!({ "name": "t", "stack": "chat", "stackRegion": null, "logicalId": "Table" });
        assert_eq!(owned(&tags, json!({ "name": "t" })), expected);
    }
}
