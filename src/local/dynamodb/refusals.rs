//! Tests that the local cloud refuses requests with AWS's messages.

use serde_json::{Value, json};

use super::tests::{active, create, quick, refusal};

/// Requests for a table with the key `pk` and two global indexes, and AWS's answers; a member that is `null` is omitted. AWS has two
/// validators and moves one region after the other to the newer. These are the messages of the newer, captured in eu-west-2 and eu-central-1 on 2026-10-20, when 20 of 33 regions had it (tests of dynoxide 3.2, `scan_member_stages.rs` and
/// `query_member_checks.rs`; the older one's are in paritysuite/dynamodb-conformance, `tests/tier3/error-messages`).
#[rustfmt::skip]
const REFUSALS: &[(&str, &str, &str)] = &[
    ("Scan", r#"{"Segment":5,"TotalSegments":5}"#, r#"The Segment parameter is zero-based and must be less than parameter TotalSegments"#),
    ("Scan", r#"{"Limit":0}"#, r#"1 validation error detected: Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1"#),
    ("Scan", r#"{"Segment":-1,"TotalSegments":4}"#, r#"1 validation error detected: Value at 'Segment' failed to satisfy constraint: Member must have value greater than or equal to 0"#),
    ("Scan", r#"{"ExclusiveStartKey":{"bad":{"S":"p"}}}"#, r#"The provided starting key is invalid"#),
    ("Scan", r#"{"Select":"SPECIFIC_ATTRIBUTES"}"#, r#"1 validation error detected: Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"#),
    ("Scan", r#"{"Segment":0}"#, r#"The TotalSegments parameter is required but was not present in the request when Segment parameter is present"#),
    ("Scan", r#"{"TotalSegments":4}"#, r#"The Segment parameter is required but was not present in the request when parameter TotalSegments is present"#),
    ("Scan", r#"{"Limit":0,"Segment":-1,"TotalSegments":4}"#, r#"2 validation errors detected: Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1; Value at 'Segment' failed to satisfy constraint: Member must have value greater than or equal to 0"#),
    ("Scan", r#"{"Segment":5,"TotalSegments":5,"Select":"SPECIFIC_ATTRIBUTES"}"#, r#"1 validation error detected: Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"#),
    ("Scan", r#"{"Segment":5,"TotalSegments":5,"ExclusiveStartKey":{"bad":{"S":"p"}}}"#, r#"The Segment parameter is zero-based and must be less than parameter TotalSegments"#),
    ("Scan", r#"{"ExclusiveStartKey":{"pk":{"N":"1"}}}"#, r#"One or more parameter values were invalid: Type mismatch for Index Key pk Expected: S Actual: N IndexName: gsi"#),
    ("Scan", r#"{"ExclusiveStartKey":{"pk":{"S":"a"},"extra":{"S":"b"}}}"#, r#"The provided starting key is invalid"#),
    ("Scan", r#"{"Select":"BOGUS"}"#, r#"1 validation error detected: Value 'BOGUS' at 'select' failed to satisfy constraint: Member must satisfy enum value set: [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]"#),
    ("Scan", r#"{"ReturnConsumedCapacity":"BOGUS"}"#, r#"1 validation error detected: Value 'BOGUS' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"#),
    ("Scan", r#"{"ConditionalOperator":"BOGUS"}"#, r#"ConditionalOperator cannot be used without Filter or Expected"#),
    ("Scan", r#"{"TableName":""}"#, r#"1 validation error detected: Value at 'TableName' failed to satisfy constraint: Member must have length greater than or equal to 1"#),
    ("Scan", r#"{"TableName":null}"#, r#"1 validation error detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null"#),
    ("Scan", r#"{"Segment":-1,"TotalSegments":0}"#, r#"2 validation errors detected: Value at 'Segment' failed to satisfy constraint: Member must have value greater than or equal to 0; Value at 'TotalSegments' failed to satisfy constraint: Member must have value greater than or equal to 1"#),
    ("Scan", r#"{"ScanFilter":{"a":{"AttributeValueList":[{"S":"x"}]}}}"#, r#"1 validation error detected: Value null at 'scanFilter.a.member.comparisonOperator' failed to satisfy constraint: Member must not be null"#),
    ("Scan", r#"{"ScanFilter":{"a":{"ComparisonOperator":"BOGUS","AttributeValueList":[{"S":"x"}]}}}"#, r#"One or more parameter values were invalid: Invalid comparison operator"#),
    ("Scan", r#"{"IndexName":"gsi","Select":"ALL_ATTRIBUTES","ExclusiveStartKey":{"bad":{"S":"p"}}}"#, r#"One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index gsi because its projection type is not ALL"#),
    ("Scan", r#"{"ScanFilter":{"a":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"x"}]}},"FilterExpression":"a = :v","ExpressionAttributeValues":{":v":{"S":"x"}}}"#, r#"Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {ScanFilter} Expression parameters: {FilterExpression}"#),
    ("Scan", r#"{"FilterExpression":"a = = :v","ExpressionAttributeValues":{":v":{"S":"x"}}}"#, r#"Invalid FilterExpression: Syntax error; token: "=", near: "= = :v""#),
    ("Scan", r#"{"IndexName":"nope"}"#, r#"The table does not have the specified index: nope"#),
    ("Scan", r#"{"Segment":0,"TotalSegments":1000001}"#, r#"1 validation error detected: Value at 'TotalSegments' failed to satisfy constraint: Member must have value less than or equal to 1000000"#),
    ("Scan", r#"{"FilterExpression":"a = :v","ExpressionAttributeValues":{":v":{"N":"abc"}}}"#, r#"The parameter cannot be converted to a numeric value: abc"#),
    ("Scan", r#"{"FilterExpression":"a = :v","ExpressionAttributeValues":{":v":{"SS":["a","a"]}}}"#, r#"One or more parameter values were invalid: Input collection ["a", "a"] contains duplicates."#),
    ("Query", r#"{"KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"a"}},"Select":"ALL_PROJECTED_ATTRIBUTES"}"#, r#"1 validation error detected: ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"#),
    ("Query", r#"{"KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"a"}},"Select":"SPECIFIC_ATTRIBUTES"}"#, r#"1 validation error detected: Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"#),
    ("Query", r#"{"IndexName":"gsi","KeyConditionExpression":"gk = :g","ExpressionAttributeValues":{":g":{"S":"a"}},"Select":"ALL_ATTRIBUTES"}"#, r#"One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index gsi because its projection type is not ALL"#),
    ("Query", r#"{"KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"a"}},"Limit":0}"#, r#"1 validation error detected: Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1"#),
    ("Query", r#"{"KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"a"}},"ExclusiveStartKey":{"pk":{"N":"1"}}}"#, r#"The provided starting key is invalid"#),
    ("Query", r#"{"IndexName":"gsi","KeyConditionExpression":"gk = :g","ExpressionAttributeValues":{":g":{"S":"a"}},"ExclusiveStartKey":{"pk":{"S":"a"},"gk":{"N":"1"}}}"#, r#"The provided starting key is invalid"#),
];

#[tokio::test]
async fn scan_and_query_refuse_in_the_words_of_aws() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    let index = |name: &str, key: &str, projection: &str| {
        json!({
            "IndexName": name,
            "KeySchema": [{ "AttributeName": key, "KeyType": "HASH" }],
            "Projection": { "ProjectionType": projection },
        })
    };
    let attributes = ["pk", "gk", "gk2"].map(|name| json!({ "AttributeName": name, "AttributeType": "S" }));
    let settings = json!({
        "AttributeDefinitions": attributes,
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
        "GlobalSecondaryIndexes": [index("gsi", "gk", "KEYS_ONLY"), index("gsi2", "gk2", "ALL")],
    });
    create(&db, "Members", settings).await;
    active(&db, "Members").await;
    for (operation, members, message) in REFUSALS {
        let mut input = json!({ "TableName": "Members" });
        let members: Value = serde_json::from_str(members).unwrap();
        input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        input.as_object_mut().unwrap().retain(|_, member| !member.is_null());
        let expected = ("ValidationException".to_owned(), (*message).to_owned());
        assert_eq!(refusal(&db, operation, input).await, expected, "{operation} {members}");
    }
}

const VALUE: &str = "class com.amazonaws.dynamodb.v20120810.AttributeValue";
const CAST: &str = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class \
                    java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in \
                    module java.base of loader 'bootstrap')";
const MISPLACED: &str = "Start of structure or map found where not expected";

/// Values of wrong types for a kind of member, with AWS's message for each. `class` is AWS's name of the member's own type.
fn wrong(kind: &str, class: &str) -> Vec<(Value, String)> {
    let scalars =
        [json!("23"), json!(true), json!(23), json!(-2_147_483_648_i64), json!(2_147_483_648_i64), json!(34.56)];
    let all = |text: &str| scalars.iter().map(|scalar| (scalar.clone(), text.to_owned())).collect::<Vec<_>>();
    let to = |name: &str, tokens: &[(Value, &str)]| {
        let tokens = tokens.iter();
        tokens
            .map(|(value, token)| (value.clone(), format!("{token} cannot be converted to {name}")))
            .collect::<Vec<_>>()
    };
    let list = |class: &str| (json!([]), format!("Unrecognized collection type {class}"));
    let map = || (json!({}), MISPLACED.to_owned());
    let numbers = [(json!(23), "NUMBER_VALUE"), (json!(34.56), "DECIMAL_VALUE")];
    let truths = [(json!(true), "TRUE_VALUE"), (json!(false), "FALSE_VALUE")];
    match kind {
        "String" => {
            [to("String", &truths), to("String", &numbers), vec![list("class java.lang.String"), map()]].concat()
        }
        "Boolean" => {
            let text = (json!("23"), "Unexpected token received from parser".to_owned());
            [to("Boolean", &numbers), vec![text, list("class java.lang.Boolean"), map()]].concat()
        }
        "Integer" => {
            let text = [(json!("23"), "STRING_VALUE")];
            [to("Integer", &text), to("Integer", &truths), vec![list("class java.lang.Integer"), map()]].concat()
        }
        "Blob" => {
            let bytes = all("only base-64-encoded strings are convertible to bytes").split_off(1);
            [bytes, vec![list("class java.nio.ByteBuffer"), map()]].concat()
        }
        "List" => [all("Unexpected field type"), vec![map()]].concat(),
        "ListElement" => [all(CAST), vec![map()]].concat(),
        "Map" => {
            [all("Unexpected field type"), vec![list(&format!("java.util.Map<java.lang.String, {class}>"))]].concat()
        }
        "MapElement" => [all(CAST), vec![list(&format!("java.util.Map<java.lang.String, {class}>"))]].concat(),
        "Structure" => [all("Unexpected field type"), vec![list(class)]].concat(),
        "StructureElement" => [all("Unexpected value type in payload"), vec![list(class)]].concat(),
        other => panic!("{other}"),
    }
}

/// A request with a value at a path, whose parts are member names or `0` for the first element.
fn at(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |value, part| if part == "0" { json!([value]) } else { json!({ part: value }) })
}

/// The checks of an attribute value at a path, as in dynalite's tests.
fn within(path: &str, kind: &'static str) -> Vec<(String, &'static str, String)> {
    let members = [
        ("", kind, VALUE),
        (".S", "String", ""),
        (".N", "String", ""),
        (".B", "Blob", ""),
        (".BOOL", "Boolean", ""),
        (".NULL", "Boolean", ""),
        (".SS", "List", ""),
        (".SS.0", "String", ""),
        (".NS", "List", ""),
        (".NS.0", "String", ""),
        (".BS", "List", ""),
        (".BS.0", "Blob", ""),
        (".L", "List", ""),
        (".L.0", "StructureElement", VALUE),
        (".L.0.BS.0", "Blob", ""),
        (".M", "Map", "com.amazonaws.dynamodb.v20120810.AttributeValue"),
        (".M.a", "StructureElement", VALUE),
        (".M.a.BS.0", "Blob", ""),
    ];
    members.map(|(member, kind, class)| (format!("{path}{member}"), kind, class.to_owned())).into()
}

/// The messages are those of dynalite's tests (`test/helpers.js`, `assertType`), which were run against AWS.
#[tokio::test]
async fn values_of_wrong_json_types_are_refused_in_the_words_of_aws() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    let class = |name: &str| format!("com.amazonaws.dynamodb.v20120810.{name}");
    let plain = |paths: &str, kind: &'static str| {
        paths.split(' ').map(|path| (path.to_owned(), kind, String::new())).collect::<Vec<_>>()
    };
    let map = |path: &str, of: &str| vec![(path.to_owned(), "Map", of.to_owned())];
    let structure =
        |path: &str, name: &str, kind: &'static str| vec![(path.to_owned(), kind, format!("class {}", class(name)))];
    let filter = |member: &str| {
        let condition = format!("{member}.Attr");
        [
            map(member, &class("Condition")),
            structure(&condition, "Condition", "StructureElement"),
            plain(&format!("{condition}.ComparisonOperator"), "String"),
            plain(&format!("{condition}.AttributeValueList"), "List"),
            within(&format!("{condition}.AttributeValueList.0"), "StructureElement"),
        ]
        .concat()
    };
    let item = |member: &str| {
        [map(member, &class("AttributeValue")), within(&format!("{member}.Attr"), "StructureElement")].concat()
    };
    let expected = [
        map("Expected", &class("ExpectedAttributeValue")),
        structure("Expected.Attr", "ExpectedAttributeValue", "StructureElement"),
        plain("Expected.Attr.Exists", "Boolean"),
        within("Expected.Attr.Value", "Structure"),
    ]
    .concat();
    let writes = [
        plain(
            "TableName ReturnConsumedCapacity ReturnItemCollectionMetrics ReturnValues ConditionalOperator",
            "String",
        ),
        plain("ConditionExpression", "String"),
        expected,
        map("ExpressionAttributeNames", "java.lang.String"),
        plain("ExpressionAttributeNames.Attr", "String"),
        item("ExpressionAttributeValues"),
    ]
    .concat();
    let reads = [
        plain("TableName ReturnConsumedCapacity Select IndexName ConditionalOperator", "String"),
        plain("FilterExpression ProjectionExpression", "String"),
        plain("Limit", "Integer"),
        plain("ConsistentRead", "Boolean"),
        plain("AttributesToGet", "List"),
        plain("AttributesToGet.0", "String"),
        item("ExclusiveStartKey"),
        item("ExpressionAttributeValues"),
        map("ExpressionAttributeNames", "java.lang.String"),
        plain("ExpressionAttributeNames.Attr", "String"),
    ]
    .concat();
    let requests = [
        ("Scan", [reads.clone(), plain("Segment TotalSegments", "Integer"), filter("ScanFilter")].concat()),
        (
            "Query",
            [
                reads,
                plain("ScanIndexForward", "Boolean"),
                plain("KeyConditionExpression", "String"),
                filter("QueryFilter"),
                filter("KeyConditions"),
            ]
            .concat(),
        ),
        ("GetItem", [plain("TableName", "String"), plain("ConsistentRead", "Boolean"), item("Key")].concat()),
        ("PutItem", [writes.clone(), item("Item")].concat()),
        ("DeleteItem", [writes.clone(), item("Key")].concat()),
        (
            "UpdateItem",
            [
                writes,
                item("Key"),
                plain("UpdateExpression", "String"),
                map("AttributeUpdates", &class("AttributeValueUpdate")),
                structure("AttributeUpdates.Attr", "AttributeValueUpdate", "StructureElement"),
                plain("AttributeUpdates.Attr.Action", "String"),
                within("AttributeUpdates.Attr.Value", "Structure"),
            ]
            .concat(),
        ),
        (
            "BatchGetItem",
            [
                map("RequestItems", &class("KeysAndAttributes")),
                structure("RequestItems.Attr", "KeysAndAttributes", "StructureElement"),
                plain("RequestItems.Attr.Keys RequestItems.Attr.AttributesToGet", "List"),
                vec![("RequestItems.Attr.Keys.0".to_owned(), "MapElement", class("AttributeValue"))],
                within("RequestItems.Attr.Keys.0.Attr", "StructureElement"),
                plain("RequestItems.Attr.ConsistentRead", "Boolean"),
                plain("RequestItems.Attr.ProjectionExpression ReturnConsumedCapacity", "String"),
            ]
            .concat(),
        ),
        (
            "BatchWriteItem",
            [
                map("RequestItems", &format!("java.util.List<{}>", class("WriteRequest"))),
                vec![("RequestItems.Attr".to_owned(), "ListElement", String::new())],
                structure("RequestItems.Attr.0", "WriteRequest", "StructureElement"),
                structure("RequestItems.Attr.0.DeleteRequest", "DeleteRequest", "Structure"),
                item("RequestItems.Attr.0.DeleteRequest.Key"),
                structure("RequestItems.Attr.0.PutRequest", "PutRequest", "Structure"),
                item("RequestItems.Attr.0.PutRequest.Item"),
                plain("ReturnConsumedCapacity ReturnItemCollectionMetrics", "String"),
            ]
            .concat(),
        ),
    ];
    let mut differing = Vec::new();
    for (operation, members) in &requests {
        for (path, kind, class) in members {
            for (value, message) in wrong(kind, class) {
                let got = refusal(&db, operation, at(path, value.clone())).await;
                if got != ("SerializationException".to_owned(), message.clone()) {
                    differing.push(format!("{operation} {path}: {value}\n  {message}\n  {got:?}"));
                }
            }
        }
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}
