//! Rows of tables: read, created, changed and deleted through the local DynamoDB, so that its streams have the changes.
//!
//! A row is changed or deleted only if it is as the page has seen it. A change sets and removes what differs, so that an
//! attribute that was added meanwhile stays.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Console, Failure, body, done, json_answer};
use crate::local::protocol::service::AnyService;
use crate::local::protocol::wire::{Caller, Request};

/// How many rows a page has at most.
const MAX_ROWS: u64 = 200;
const USUAL_ROWS: u64 = 50;

/// A row: attribute values in DynamoDB's JSON, by name.
type Row = Map<String, Value>;

/// The body of a change: the row as it was and as it shall be.
#[derive(Debug, Deserialize)]
struct Change {
    before: Option<Row>,
    after: Option<Row>,
}

impl Console {
    /// Answers a request for the rows of a table.
    pub(super) async fn rows(&self, region: &str, table: &str, request: &Request) -> Result<Answer, Failure> {
        // DynamoDB would open a database for any region.
        if !self.services.dynamodb.regions().iter().any(|known| known == region) {
            return Err(Failure::new(404, format!("there are no tables in {region}")));
        }
        if request.method == Method::GET {
            return self.page_of_rows(region, table, request).await;
        }
        let change: Change = body(request)?;
        let keys = self.keys(region, table).await?;
        let (operation, input) = match (request.method.as_str(), change) {
            ("POST", Change { before: None, after: Some(after) }) => ("PutItem", creation(&keys, after)),
            ("PUT", Change { before: Some(before), after: Some(after) }) => match update(&keys, &before, &after)? {
                Some(input) => ("UpdateItem", input),
                None => return Ok(json_answer(200, &done())),
            },
            ("DELETE", Change { before: Some(before), after: None }) => ("DeleteItem", deletion(&keys, &before)?),
            _ => {
                return Err(Failure::new(
                    400,
                    "a new row has `after`, a changed one `before` and `after`, a deleted one `before`",
                ));
            }
        };
        let mut input = input;
        input["TableName"] = json!(table);
        let answered = self.dynamodb(region, operation, &input).await;
        answered.map_err(|failure| match failure.status {
            409 if operation == "PutItem" => Failure::new(409, "there is a row with this key already"),
            409 => Failure::new(409, "the row has changed since it was loaded: load it again"),
            _ => failure,
        })?;
        Ok(json_answer(200, &done()))
    }

    async fn page_of_rows(&self, region: &str, table: &str, request: &Request) -> Result<Answer, Failure> {
        let limit = request.query("limit").and_then(|text| text.parse().ok()).unwrap_or(USUAL_ROWS).clamp(1, MAX_ROWS);
        let mut input = json!({ "TableName": table, "Limit": limit, "ConsistentRead": true });
        if let Some(start) = request.query("start") {
            input["ExclusiveStartKey"] =
                serde_json::from_str(start).map_err(|error| Failure::new(400, format!("start: {error}")))?;
        }
        let mut scanned = self.dynamodb(region, "Scan", &input).await?;
        let (rows, next) = (scanned["Items"].take(), scanned["LastEvaluatedKey"].take());
        Ok(json_answer(200, &json!({ "rows": rows, "next": next })))
    }

    /// The names of a table's key attributes.
    async fn keys(&self, region: &str, table: &str) -> Result<Vec<String>, Failure> {
        let described = self.dynamodb(region, "DescribeTable", &json!({ "TableName": table })).await?;
        let schema = described["Table"]["KeySchema"].as_array().into_iter().flatten();
        Ok(schema.filter_map(|key| key["AttributeName"].as_str()).map(str::to_owned).collect())
    }

    /// A call of the local DynamoDB.
    pub(super) async fn dynamodb(&self, region: &str, operation: &str, input: &Value) -> Result<Value, Failure> {
        let mut headers = HeaderMap::new();
        if let Ok(target) = HeaderValue::from_str(&format!("DynamoDB_20120810.{operation}")) {
            headers.insert("x-amz-target", target);
        }
        let request = Request {
            method: Method::POST,
            path: "/".to_owned(),
            query: Vec::new(),
            headers,
            body: Bytes::from(input.to_string()),
            file: None,
            caller: Caller { access_key: None, region: region.to_owned() },
        };
        let service: &dyn AnyService = &*self.services.dynamodb;
        let answer = service.call(service.prepare(request)?).await?;
        serde_json::from_slice(&answer.body).map_err(|error| Failure::new(500, error.to_string()))
    }
}

/// An expression in progress, with its placeholders.
#[derive(Default)]
struct Expression {
    names: Map<String, Value>,
    values: Map<String, Value>,
}

impl Expression {
    fn name(&mut self, name: &str) -> String {
        let known = self.names.iter().find(|(_, known)| *known == name).map(|(placeholder, _)| placeholder.clone());
        known.unwrap_or_else(|| {
            let placeholder = format!("#n{}", self.names.len());
            self.names.insert(placeholder.clone(), json!(name));
            placeholder
        })
    }

    fn value(&mut self, value: &Value) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value.clone());
        placeholder
    }

    /// The condition that a row is still as it was.
    fn unchanged(&mut self, before: &Row) -> String {
        let equal = before.iter().map(|(name, value)| format!("{} = {}", self.name(name), self.value(value)));
        equal.collect::<Vec<_>>().join(" AND ")
    }

    /// Adds the placeholders to an operation's input.
    fn into_input(self, mut input: Value) -> Value {
        input["ExpressionAttributeNames"] = Value::Object(self.names);
        if !self.values.is_empty() {
            input["ExpressionAttributeValues"] = Value::Object(self.values);
        }
        input
    }
}

/// `PutItem` of a row whose key is not taken.
fn creation(keys: &[String], after: Row) -> Value {
    let mut expression = Expression::default();
    let key = expression.name(keys.first().map_or("", String::as_str));
    let input = json!({ "Item": after, "ConditionExpression": format!("attribute_not_exists({key})") });
    expression.into_input(input)
}

/// `UpdateItem` from one row to another; `None` where they are the same.
fn update(keys: &[String], before: &Row, after: &Row) -> Result<Option<Value>, Failure> {
    if keys.iter().any(|key| before.get(key) != after.get(key)) {
        let keys = keys.join(", ");
        return Err(Failure::new(400, format!("the key of a row ({keys}) cannot be changed: create another row")));
    }
    let set: Vec<(&String, &Value)> = after.iter().filter(|(name, value)| before.get(*name) != Some(value)).collect();
    let removed: Vec<&String> = before.keys().filter(|name| !after.contains_key(*name)).collect();
    if set.is_empty() && removed.is_empty() {
        return Ok(None);
    }
    let mut expression = Expression::default();
    let mut condition = expression.unchanged(before);
    for (name, _) in set.iter().filter(|(name, _)| !before.contains_key(*name)) {
        condition.push_str(&format!(" AND attribute_not_exists({})", expression.name(name)));
    }
    let mut parts = Vec::new();
    let assigned = set.iter().map(|(name, value)| format!("{} = {}", expression.name(name), expression.value(value)));
    let assigned: Vec<String> = assigned.collect();
    if !assigned.is_empty() {
        parts.push(format!("SET {}", assigned.join(", ")));
    }
    let dropped: Vec<String> = removed.iter().map(|name| expression.name(name)).collect();
    if !dropped.is_empty() {
        parts.push(format!("REMOVE {}", dropped.join(", ")));
    }
    let input = json!({
        "Key": key_of(keys, before)?,
        "UpdateExpression": parts.join(" "),
        "ConditionExpression": condition,
    });
    Ok(Some(expression.into_input(input)))
}

/// `DeleteItem` of a row.
fn deletion(keys: &[String], before: &Row) -> Result<Value, Failure> {
    let mut expression = Expression::default();
    let condition = expression.unchanged(before);
    Ok(expression.into_input(json!({ "Key": key_of(keys, before)?, "ConditionExpression": condition })))
}

fn key_of(keys: &[String], row: &Row) -> Result<Row, Failure> {
    let part = |key: &String| {
        let value = row.get(key).ok_or_else(|| Failure::new(400, format!("the row has no {key}")))?;
        Ok((key.clone(), value.clone()))
    };
    keys.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: Value) -> Row {
        value.as_object().unwrap().clone()
    }

    fn keys() -> Vec<String> {
        vec!["id".to_owned()]
    }

    #[test]
    fn a_change_sets_and_removes_what_differs_if_the_row_is_as_it_was() {
        let before = row(json!({ "id": { "S": "1" }, "a": { "N": "1" }, "b": { "S": "x" } }));
        let after = row(json!({ "id": { "S": "1" }, "a": { "N": "2" }, "c": { "BOOL": true } }));
        let expected = json!({
            "Key": { "id": { "S": "1" } },
            "UpdateExpression": "SET #n1 = :v3, #n3 = :v4 REMOVE #n2",
            "ConditionExpression": "#n0 = :v0 AND #n1 = :v1 AND #n2 = :v2 AND attribute_not_exists(#n3)",
            "ExpressionAttributeNames": { "#n0": "id", "#n1": "a", "#n2": "b", "#n3": "c" },
            "ExpressionAttributeValues": {
                ":v0": { "S": "1" }, ":v1": { "N": "1" }, ":v2": { "S": "x" }, ":v3": { "N": "2" }, ":v4": { "BOOL": true },
            },
        });
        assert_eq!(update(&keys(), &before, &after).unwrap(), Some(expected));
        assert_eq!(update(&keys(), &before, &before).unwrap(), None);
        let moved = row(json!({ "id": { "S": "2" } }));
        assert_eq!(update(&keys(), &before, &moved).unwrap_err().status, 400);
    }

    #[test]
    fn a_row_is_created_where_none_is_and_deleted_as_it_was() {
        let one = row(json!({ "id": { "S": "1" }, "a": { "N": "1" } }));
        let created = creation(&keys(), one.clone());
        assert_eq!(created["ConditionExpression"], "attribute_not_exists(#n0)");
        assert!(created.get("ExpressionAttributeValues").is_none());
        let deleted = deletion(&keys(), &one).unwrap();
        assert_eq!(deleted["Key"], json!({ "id": { "S": "1" } }));
        assert_eq!(deleted["ConditionExpression"], "#n0 = :v0 AND #n1 = :v1");
        assert_eq!(deletion(&keys(), &row(json!({}))).unwrap_err().status, 400);
    }
}
