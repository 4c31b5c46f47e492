//! The permissions that DynamoDB's operations need (Service Authorization Reference, "Amazon DynamoDB").

use serde_json::Value;

use crate::core::iam::need::{Need, creation};
use crate::local::context::CloudContext;
use crate::local::protocol::service::ServiceCall;

fn body(call: &ServiceCall) -> Value {
    call.request.json().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The operation on a resource.
fn operation_on(call: &ServiceCall, resource: String) -> Need {
    Need::new(format!("dynamodb:{}", call.operation.name), resource)
}

/// The operation on nothing in particular.
pub fn on_all(call: &ServiceCall) -> Vec<Need> {
    vec![operation_on(call, "*".to_owned())]
}

/// The operation on all tables.
pub fn on_all_tables(call: &ServiceCall) -> Vec<Need> {
    vec![operation_on(call, table(call.region(), "*"))]
}

/// The operation on the table or index.
pub fn on_table(call: &ServiceCall) -> Vec<Need> {
    let body = body(call);
    let table = table(call.region(), &text(&body["TableName"]));
    let resource = match body["IndexName"].as_str() {
        Some(index) => format!("{table}/index/{index}"),
        None => table,
    };
    vec![operation_on(call, resource)]
}

/// The operation on each table of a batch.
pub fn on_tables(call: &ServiceCall) -> Vec<Need> {
    let body = body(call);
    let tables = body["RequestItems"].as_object().into_iter().flatten();
    tables.map(|(name, _)| operation_on(call, table(call.region(), name))).collect()
}

/// The operation on the stream.
pub fn on_stream(call: &ServiceCall) -> Vec<Need> {
    vec![operation_on(call, text(&body(call)["StreamArn"]))]
}

/// The operation on the resource with an ARN, with the tags of the request.
pub fn on_resource(call: &ServiceCall) -> Vec<Need> {
    let body = body(call);
    vec![operation_on(call, text(&body["ResourceArn"])).with_tags(tags(&body))]
}

/// `CreateTable`, and `TagResource` for its tags.
pub fn creating(call: &ServiceCall) -> Vec<Need> {
    let body = body(call);
    let table = table(call.region(), &text(&body["TableName"]));
    creation("dynamodb:CreateTable", "dynamodb:TagResource", table, &tags(&body))
}

/// The permissions of a transaction's parts; it is not an action itself.
pub fn of_parts(call: &ServiceCall) -> Vec<Need> {
    let body = body(call);
    let parts = body["TransactItems"].as_array().into_iter().flatten().filter_map(Value::as_object).flatten();
    parts
        .map(|(kind, part)| {
            let action = match kind.as_str() {
                "Get" => "GetItem",
                "Put" => "PutItem",
                "Update" => "UpdateItem",
                "Delete" => "DeleteItem",
                _ => "ConditionCheckItem",
            };
            Need::new(format!("dynamodb:{action}"), table(call.region(), &text(&part["TableName"])))
        })
        .collect()
}

/// The permission of a PartiQL statement.
pub fn statement(call: &ServiceCall) -> Vec<Need> {
    vec![of_statement(call.region(), &text(&body(call)["Statement"]))]
}

/// The permissions of several PartiQL statements, in a batch or a transaction.
pub fn statements(call: &ServiceCall) -> Vec<Need> {
    let body = body(call);
    let lists = ["Statements", "TransactStatements"].map(|member| body[member].as_array());
    let statements = lists.into_iter().flatten().flatten();
    statements.map(|one| of_statement(call.region(), &text(&one["Statement"]))).collect()
}

/// A table's ARN, from its name or from an ARN.
fn table(region: &str, name: &str) -> String {
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    CloudContext::arn("dynamodb", region, &format!("table/{name}"))
}

/// The permission that a PartiQL statement needs: the action follows from its first word; the table's name follows
/// INTO, FROM or UPDATE.
fn of_statement(region: &str, text: &str) -> Need {
    let words: Vec<&str> = text.split_whitespace().collect();
    let verb = words.first().map_or(String::new(), |word| word.to_ascii_uppercase());
    let after = |word: &str| words.iter().position(|one| one.eq_ignore_ascii_case(word)).map(|at| at + 1);
    let (action, at) = match verb.as_str() {
        "INSERT" => ("PartiQLInsert", after("INTO")),
        "UPDATE" => ("PartiQLUpdate", Some(1)),
        "DELETE" => ("PartiQLDelete", after("FROM")),
        _ => ("PartiQLSelect", after("FROM")),
    };
    let name = at.and_then(|at| words.get(at)).copied().unwrap_or_default();
    // "table"."index"
    let parts: Vec<&str> = name.split('"').filter(|part| !part.is_empty() && *part != ".").collect();
    let resource = match parts[..] {
        [name, index, ..] => format!("{}/index/{index}", table(region, name)),
        [name] => table(region, name),
        [] => table(region, ""),
    };
    Need::new(format!("dynamodb:{action}"), resource)
}

fn tags(body: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let tags = body["Tags"].as_array().into_iter().flatten();
    tags.filter_map(|tag| Some((text(&tag["Key"])?, text(&tag["Value"])?))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::DynamoDb;
    use super::*;
    use crate::local::protocol::service::Service;
    use crate::local::protocol::service::testing::needs;
    use crate::local::protocol::wire::Request;

    /// Actions and resources.
    type Pairs<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn operations_need_their_action_on_their_tables() {
        let cases: &[(&str, &str, Pairs<'_>)] = &[
            ("ListTables", "{}", &[("ListTables", "*")]),
            ("CreateTable", r#"{"TableName":"t"}"#, &[("CreateTable", "t")]),
            (
                "CreateTable",
                r#"{"TableName":"t","Tags":[{"Key":"a","Value":"b"}]}"#,
                &[("CreateTable", "t"), ("TagResource", "t")],
            ),
            ("DescribeContinuousBackups", r#"{"TableName":"t"}"#, &[("DescribeContinuousBackups", "t")]),
            (
                "TagResource",
                r#"{"ResourceArn":"arn:aws:dynamodb:eu-west-1:000000000000:table/t"}"#,
                &[("TagResource", "t")],
            ),
            ("GetItem", r#"{"TableName":"arn:aws:dynamodb:eu-west-1:000000000000:table/t"}"#, &[("GetItem", "t")]),
            ("Query", r#"{"TableName":"t","IndexName":"i"}"#, &[("Query", "t/index/i")]),
            (
                "BatchWriteItem",
                r#"{"RequestItems":{"a":[],"b":[]}}"#,
                &[("BatchWriteItem", "a"), ("BatchWriteItem", "b")],
            ),
            (
                "TransactWriteItems",
                r#"{"TransactItems":[{"Put":{"TableName":"a"}},{"ConditionCheck":{"TableName":"b"}}]}"#,
                &[("PutItem", "a"), ("ConditionCheckItem", "b")],
            ),
            (
                "ExecuteStatement",
                r#"{"Statement":"SELECT * FROM \"t\".\"i\" WHERE x=1"}"#,
                &[("PartiQLSelect", "t/index/i")],
            ),
            ("ExecuteStatement", r#"{"Statement":"insert into t value {'a':1}"}"#, &[("PartiQLInsert", "t")]),
            ("ExecuteStatement", r#"{"Statement":"UPDATE \"t\" SET a=1"}"#, &[("PartiQLUpdate", "t")]),
        ];
        for (operation, body, expected) in cases {
            let mut request = Request::in_test("POST", "/", body);
            let target = format!("{}{operation}", DynamoDb::TARGETS[0]);
            request.headers.insert("x-amz-target", target.parse().unwrap());
            let expected: Vec<_> = expected
                .iter()
                .map(|(action, name)| (format!("dynamodb:{action}"), table("eu-west-1", name)))
                .collect();
            assert_eq!(needs::<DynamoDb>(request), expected, "{operation} {body}");
        }
    }
}
