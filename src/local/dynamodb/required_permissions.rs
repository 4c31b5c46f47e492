//! The permissions that DynamoDB's operations need (Service Authorization Reference, "Amazon DynamoDB").

use serde_json::Value;

use crate::core::iam::need::{Need, creation};
use crate::local::context::CloudContext;
use crate::local::wire::Request;

/// The permissions that a call needs: the operation on each of its tables or indexes.
pub fn of(operation: &str, request: &Request) -> Vec<Need> {
    let body: Value = request.json().unwrap_or_default();
    let region = &request.caller.region;
    let need = |action: &str, resource: String| Need::new(format!("dynamodb:{action}"), resource);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match operation {
        "ListTables" => vec![need(operation, table(region, "*"))],
        "ListStreams" => vec![need(operation, "*".to_owned())],
        // Its stream is only known to the service. The permission was checked when the iterator was created.
        "GetRecords" => Vec::new(),
        "DescribeStream" | "GetShardIterator" => vec![need(operation, text(&body["StreamArn"]))],
        "ListTagsOfResource" | "TagResource" | "UntagResource" => {
            vec![need(operation, text(&body["ResourceArn"])).with_tags(tags(&body))]
        }
        "CreateTable" => {
            let table = table(region, &text(&body["TableName"]));
            creation("dynamodb:CreateTable", "dynamodb:TagResource", table, &tags(&body))
        }
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = body["RequestItems"].as_object().into_iter().flatten();
            tables.map(|(name, _)| need(operation, table(region, name))).collect()
        }
        // A transaction needs the permissions of its parts; it is not an action itself.
        "TransactGetItems" | "TransactWriteItems" => {
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
                    need(action, table(region, &text(&part["TableName"])))
                })
                .collect()
        }
        "ExecuteStatement" => vec![statement(region, &text(&body["Statement"]))],
        "BatchExecuteStatement" | "ExecuteTransaction" => {
            let member = if operation == "ExecuteTransaction" { "TransactStatements" } else { "Statements" };
            let statements = body[member].as_array().into_iter().flatten();
            statements.map(|one| statement(region, &text(&one["Statement"]))).collect()
        }
        _ => {
            let table = table(region, &text(&body["TableName"]));
            let resource = match body["IndexName"].as_str() {
                Some(index) => format!("{table}/index/{index}"),
                None => table,
            };
            vec![need(operation, resource)]
        }
    }
}

/// A table's ARN, from its name or from an ARN.
fn table(region: &str, name: &str) -> String {
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    CloudContext::arn("dynamodb", region, &format!("table/{name}"))
}

/// The permission that a PartiQL statement needs: the action follows from its first word; the table's name follows INTO, FROM
/// or UPDATE.
fn statement(region: &str, text: &str) -> Need {
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
    use super::*;

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
            let request = Request::in_test("POST", "/", body);
            let expected: Vec<_> = expected
                .iter()
                .map(|(action, name)| (format!("dynamodb:{action}"), table("eu-west-1", name)))
                .collect();
            let needs: Vec<_> = of(operation, &request).into_iter().map(|need| (need.action, need.resource)).collect();
            assert_eq!(needs, expected, "{operation} {body}");
        }
    }
}
