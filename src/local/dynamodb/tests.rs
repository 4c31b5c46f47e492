use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::*;
use crate::local::context::clock::now_millis;
use crate::local::context::conditions::Conditions;
use crate::local::context::store::Store;
use crate::local::protocol::service::{AnyService, Service};
use crate::local::protocol::wire::{Caller, Request};

const HOUR: Duration = Duration::from_secs(3600);

/// A DynamoDB whose tables are created and deleted within the given times.
fn open(folder: &tempfile::TempDir, creating: Duration, deleting: Duration) -> Arc<DynamoDb> {
    let mut conditions = Conditions::default();
    conditions.eventual.table_creating = creating;
    conditions.eventual.table_deleting = deleting;
    let context = CloudContext {
        port: 0,
        hosts: Default::default(),
        store: Store::open(folder.path()).unwrap(),
        conditions: Arc::new(conditions),
        ca_bundle: folder.path().join("ca.pem"),
        recorder: Arc::default(),
    };
    DynamoDb::open(&context).unwrap()
}

pub(super) fn quick(folder: &tempfile::TempDir) -> Arc<DynamoDb> {
    open(folder, Duration::ZERO, Duration::ZERO)
}

fn request(region: &str, target: &str, body: &str) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-target", HeaderValue::from_str(target).unwrap());
    Request {
        method: Method::POST,
        path: "/".into(),
        query: Vec::new(),
        headers,
        body: Bytes::from(body.to_owned()),
        file: None,
        caller: Caller { access_key: None, region: region.into() },
    }
}

async fn call_in(db: &DynamoDb, region: &str, operation: &str, input: Value) -> Result<Value, ApiError> {
    let prefix = if operation.contains("Stream") || operation.contains("Record") || operation.contains("Shard") {
        DynamoDb::TARGETS[1]
    } else {
        DynamoDb::TARGETS[0]
    };
    let request = request(region, &format!("{prefix}{operation}"), &input.to_string());
    let response = db.call(db.prepare(request)?).await?;
    Ok(serde_json::from_slice(&response.body).unwrap())
}

async fn call(db: &DynamoDb, operation: &str, input: Value) -> Result<Value, ApiError> {
    call_in(db, "eu-west-1", operation, input).await
}

/// The error of a refused call: the code without its namespace, and the message.
pub(super) async fn refusal(db: &DynamoDb, operation: &str, input: Value) -> (String, String) {
    let error = call(db, operation, input).await.expect_err(operation);
    assert_eq!(error.status, 400, "{operation}: {error:?}");
    (error.code.rsplit('#').next().unwrap().to_owned(), error.message)
}

pub(super) async fn create(db: &DynamoDb, name: &str, more: Value) -> Value {
    let mut input = json!({
        "TableName": name,
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "BillingMode": "PAY_PER_REQUEST",
    });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    call(db, "CreateTable", input).await.unwrap()["TableDescription"].take()
}

async fn describe(db: &DynamoDb, name: &str) -> Value {
    call(db, "DescribeTable", json!({ "TableName": name })).await.unwrap()["Table"].take()
}

/// Waits until the table is `ACTIVE`, and describes it.
pub(super) async fn active(db: &DynamoDb, name: &str) -> Value {
    loop {
        let table = describe(db, name).await;
        if table["TableStatus"] == "ACTIVE" {
            return table;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a change of time to live has finished, and describes it.
async fn ttl(db: &DynamoDb, name: &str) -> Value {
    loop {
        let mut answer = call(db, "DescribeTimeToLive", json!({ "TableName": name })).await.unwrap();
        let ttl = answer["TimeToLiveDescription"].take();
        if ["ENABLED", "DISABLED"].contains(&ttl["TimeToLiveStatus"].as_str().unwrap()) {
            return ttl;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn item(id: &str) -> Value {
    json!({ "id": { "S": id } })
}

#[tokio::test]
async fn a_table_being_created_serves_no_items_and_takes_no_changes() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder, HOUR, Duration::ZERO);
    assert_eq!(create(&db, "chat", json!({})).await["TableStatus"], "CREATING");
    let index = json!({
        "AttributeDefinitions": [
            { "AttributeName": "id", "AttributeType": "S" },
            { "AttributeName": "room", "AttributeType": "S" },
        ],
        "GlobalSecondaryIndexes": [{
            "IndexName": "rooms",
            "KeySchema": [{ "AttributeName": "room", "KeyType": "HASH" }],
            "Projection": { "ProjectionType": "ALL" },
        }],
    });
    create(&db, "indexed", index).await;
    drop(db);

    // A restart does not shorten the creation.
    let db = quick(&folder);
    assert_eq!(describe(&db, "chat").await["TableStatus"], "CREATING");
    assert_eq!(describe(&db, "indexed").await["GlobalSecondaryIndexes"][0]["IndexStatus"], "CREATING");
    let name = json!("chat");
    let in_use = "Attempt to change a resource which is still in use: Table is being created: chat";
    let ttl = json!({ "Enabled": true, "AttributeName": "ttl" });
    let cases = [
        ("DeleteTable", json!({ "TableName": name }), "ResourceInUseException", in_use),
        ("UpdateTable", json!({ "TableName": name, "TableClass": "STANDARD" }), "ResourceInUseException", in_use),
        (
            "UpdateTimeToLive",
            json!({ "TableName": name, "TimeToLiveSpecification": ttl }),
            "ResourceInUseException",
            in_use,
        ),
        (
            "UpdateContinuousBackups",
            json!({ "TableName": name, "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": true } }),
            "ContinuousBackupsUnavailableException",
            "Backups are being enabled for the table: chat. Please retry later",
        ),
    ];
    for (operation, input, code, message) in cases {
        assert_eq!(refusal(&db, operation, input).await, (code.into(), message.into()), "{operation}");
    }
    let put = json!({ "Put": { "TableName": "chat", "Item": item("a") } });
    let reads_and_writes = [
        ("GetItem", json!({ "TableName": "chat", "Key": item("a") })),
        ("PutItem", json!({ "TableName": "chat", "Item": item("a") })),
        ("Scan", json!({ "TableName": "arn:aws:dynamodb:eu-west-1:000000000000:table/chat" })),
        ("BatchGetItem", json!({ "RequestItems": { "chat": { "Keys": [item("a")] } } })),
        ("TransactWriteItems", json!({ "TransactItems": [put] })),
        ("ExecuteStatement", json!({ "Statement": "SELECT * FROM \"chat\"" })),
        ("BatchExecuteStatement", json!({ "Statements": [{ "Statement": "SELECT * FROM chat WHERE id='a'" }] })),
    ];
    for (operation, input) in reads_and_writes {
        let expected = ("ResourceNotFoundException".into(), "Requested resource not found".into());
        assert_eq!(refusal(&db, operation, input).await, expected, "{operation}");
    }
}

#[tokio::test]
async fn the_name_of_a_table_in_deletion_is_still_taken() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder, Duration::ZERO, HOUR);
    create(&db, "chat", json!({})).await;
    let deleted = call(&db, "DeleteTable", json!({ "TableName": "chat" })).await.unwrap();
    for table in [&deleted["TableDescription"], &describe(&db, "chat").await] {
        assert_eq!((&table["TableStatus"], &table["KeySchema"]), (&json!("DELETING"), &Value::Null));
    }
    assert_eq!(call(&db, "ListTables", json!({})).await.unwrap(), json!({ "TableNames": ["chat"] }));
    let in_use = "Attempt to change a resource which is still in use: Table is being deleted: chat";
    let schema = json!({
        "TableName": "chat",
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "BillingMode": "PAY_PER_REQUEST",
    });
    for (operation, input) in [("CreateTable", schema), ("DeleteTable", json!({ "TableName": "chat" }))] {
        let expected = ("ResourceInUseException".into(), in_use.into());
        assert_eq!(refusal(&db, operation, input).await, expected, "{operation}");
    }
    let (code, _) = refusal(&db, "PutItem", json!({ "TableName": "chat", "Item": item("a") })).await;
    assert_eq!(code, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_deleted_table_is_gone_with_all_that_was_set_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    create(&db, "chat", json!({})).await;
    let on = json!({ "TableName": "chat", "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": true } });
    call(&db, "UpdateContinuousBackups", on).await.unwrap();
    call(&db, "PutItem", json!({ "TableName": "chat", "Item": item("a") })).await.unwrap();
    call(&db, "DeleteTable", json!({ "TableName": "chat" })).await.unwrap();
    drop(db);

    let db = quick(&folder);
    let gone = refusal(&db, "DescribeTable", json!({ "TableName": "chat" })).await;
    let message = "Requested resource not found: Table: chat not found";
    assert_eq!(gone, ("ResourceNotFoundException".into(), message.into()));
    create(&db, "chat", json!({})).await;
    assert_eq!(call(&db, "Scan", json!({ "TableName": "chat" })).await.unwrap()["Count"], 0);
    let backups = call(&db, "DescribeContinuousBackups", json!({ "TableName": "chat" })).await.unwrap();
    let recovery = &backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
    assert_eq!(recovery["PointInTimeRecoveryStatus"], "DISABLED");
}

#[tokio::test]
async fn items_are_read_and_written_by_name_and_by_arn_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    create(&db, "chat", json!({})).await;
    let arn = "arn:aws:dynamodb:eu-west-1:000000000000:table/chat";
    call(&db, "PutItem", json!({ "TableName": "chat", "Item": item("a") })).await.unwrap();
    call(&db, "PutItem", json!({ "TableName": arn, "Item": item("b") })).await.unwrap();
    let write = json!({ "RequestItems": { arn: [{ "PutRequest": { "Item": item("c") } }] } });
    call(&db, "BatchWriteItem", write).await.unwrap();
    let put = json!({ "Put": { "TableName": arn, "Item": item("d") } });
    call(&db, "TransactWriteItems", json!({ "TransactItems": [put] })).await.unwrap();
    drop(db);

    let db = quick(&folder);
    assert_eq!(call(&db, "Scan", json!({ "TableName": arn })).await.unwrap()["Count"], 4);
    let got = call(&db, "GetItem", json!({ "TableName": "chat", "Key": item("d") })).await.unwrap();
    assert_eq!(got, json!({ "Item": item("d") }));
    let (code, _) = {
        let error = call_in(&db, "us-east-1", "Scan", json!({ "TableName": "chat" })).await.unwrap_err();
        (error.code.rsplit('#').next().unwrap().to_owned(), error.message)
    };
    assert_eq!(code, "ResourceNotFoundException");
}

#[tokio::test]
async fn errors_have_aws_codes_and_messages() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    create(&db, "chat", json!({})).await;
    call(&db, "PutItem", json!({ "TableName": "chat", "Item": item("a") })).await.unwrap();
    let schema = json!({
        "TableName": "chat",
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "BillingMode": "PAY_PER_REQUEST",
    });
    let cases = [
        ("CreateTable", schema, "ResourceInUseException", "Table already exists: chat"),
        (
            "GetItem",
            json!({ "TableName": "none", "Key": item("a") }),
            "ResourceNotFoundException",
            "Requested resource not found",
        ),
        (
            "DescribeTable",
            json!({}),
            "ValidationException",
            "The parameter 'TableName' is required but was not present in the request",
        ),
        (
            "DescribeContinuousBackups",
            json!({ "TableName": "none" }),
            "TableNotFoundException",
            "Table not found: none",
        ),
        (
            "GetItem",
            json!({ "TableName": "chat", "Key": { "other": { "S": "a" } } }),
            "ValidationException",
            "The provided key element does not match the schema",
        ),
        ("PutItem", json!([]), "SerializationException", ""),
        ("LaunchRockets", json!({}), "UnknownOperationException", ""),
    ];
    for (operation, input, code, message) in cases {
        assert_eq!(refusal(&db, operation, input).await, (code.into(), message.into()), "{operation}");
    }

    let input = json!({
        "TableName": "chat",
        "Item": item("a"),
        "ConditionExpression": "attribute_not_exists(id)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    });
    let error = call(&db, "PutItem", input.clone()).await.unwrap_err();
    assert_eq!(error.code, "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException");
    assert_eq!(error.message, "The conditional request failed");
    assert_eq!(Value::Object(error.fields), json!({ "Item": item("a") }));

    let error = call(&db, "TransactWriteItems", json!({ "TransactItems": [{ "Put": input }] })).await.unwrap_err();
    assert_eq!(error.code, "com.amazonaws.dynamodb.v20120810#TransactionCanceledException");
    assert_eq!(error.fields["CancellationReasons"][0]["Code"], "ConditionalCheckFailed");

    let bad_region = call_in(&db, "../up", "ListTables", json!({})).await.unwrap_err();
    assert!(bad_region.code.ends_with("#UnrecognizedClientException"), "{bad_region:?}");
    let call = db.prepare(request("eu-west-1", "DynamoDB_20120810.PutItem", "{")).unwrap();
    let no_json = db.call(call).await.unwrap_err();
    assert!(no_json.code.ends_with("#SerializationException"), "{no_json:?}");
}

#[tokio::test]
async fn table_settings_are_described() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    let settings = json!({
        "SSESpecification": { "Enabled": true },
        "DeletionProtectionEnabled": true,
        "TableClass": "STANDARD_INFREQUENT_ACCESS",
        "Tags": [{ "Key": "wschat:stack", "Value": "chat" }],
        "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
    });
    create(&db, "chat", settings).await;
    let table = active(&db, "chat").await;
    let arn = "arn:aws:dynamodb:eu-west-1:000000000000:table/chat";
    assert_eq!(table["TableArn"], arn);
    assert_eq!(table["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(table["TableClassSummary"]["TableClass"], "STANDARD_INFREQUENT_ACCESS");
    assert_eq!(table["DeletionProtectionEnabled"], true);
    assert_eq!(
        (&table["SSEDescription"]["Status"], &table["SSEDescription"]["SSEType"]),
        (&json!("ENABLED"), &json!("KMS"))
    );
    let key = table["SSEDescription"]["KMSMasterKeyArn"].as_str().unwrap();
    assert!(key.starts_with("arn:aws:kms:eu-west-1:000000000000:key/"), "{key}");
    assert!(table["LatestStreamArn"].as_str().unwrap().starts_with(&format!("{arn}/stream/")), "{table}");

    let tags = call(&db, "ListTagsOfResource", json!({ "ResourceArn": arn })).await.unwrap();
    assert_eq!(tags, json!({ "Tags": [{ "Key": "wschat:stack", "Value": "chat" }] }));
    call(&db, "UntagResource", json!({ "ResourceArn": arn, "TagKeys": ["wschat:stack"] })).await.unwrap();
    let tags = call(&db, "ListTagsOfResource", json!({ "ResourceArn": arn })).await.unwrap();
    assert_eq!(tags, json!({ "Tags": [] }));

    let (code, message) = refusal(&db, "DeleteTable", json!({ "TableName": "chat" })).await;
    assert_eq!(code, "ValidationException");
    assert!(message.starts_with("Resource cannot be deleted as it is currently protected"), "{message}");
}

/// A key is given by id, ARN, alias or the alias's ARN; what is described is the key's ARN.
#[tokio::test]
async fn a_table_is_encrypted_with_the_key_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    let arn = "arn:aws:kms:eu-west-1:000000000000:key/";
    let own = json!({ "Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": format!("{arn}own") });
    create(&db, "chat", json!({ "SSESpecification": own })).await;
    let key = |table: &Value| table["SSEDescription"]["KMSMasterKeyArn"].as_str().unwrap().to_owned();
    assert_eq!(key(&active(&db, "chat").await), format!("{arn}own"));

    let update = async |specification: Value| {
        let input = json!({ "TableName": "chat", "SSESpecification": specification });
        call(&db, "UpdateTable", input).await.unwrap();
        key(&active(&db, "chat").await)
    };
    assert_eq!(update(json!({ "Enabled": true, "KMSMasterKeyId": "other" })).await, format!("{arn}other"));
    let aliased = update(json!({ "Enabled": true, "KMSMasterKeyId": "alias/chat" })).await;
    assert!(aliased.starts_with(arn) && !aliased.contains("alias"), "{aliased}");
    let alias = "arn:aws:kms:eu-west-1:000000000000:alias/chat";
    let again = json!({ "TableName": "chat", "SSESpecification": { "Enabled": true, "KMSMasterKeyId": alias } });
    let (code, message) = refusal(&db, "UpdateTable", again).await;
    assert_eq!(code, "ValidationException");
    assert!(message.ends_with("Table is already encrypted by given KMSMasterKey"), "{message}");
    // Without a key it is the one that AWS manages, which all tables of the region share.
    let managed = update(json!({ "Enabled": true })).await;
    create(&db, "other", json!({ "SSESpecification": { "Enabled": true } })).await;
    assert_eq!(key(&active(&db, "other").await), managed);
    assert!(managed.starts_with(arn) && managed != aliased, "{managed}");
}

#[tokio::test]
async fn an_update_passes_through_updating_and_changes_what_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    create(&db, "chat", json!({ "DeletionProtectionEnabled": true })).await;
    let update = async |more: Value| {
        let mut input = json!({ "TableName": "chat" });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut answer = call(&db, "UpdateTable", input).await.unwrap();
        (answer["TableDescription"].take(), active(&db, "chat").await)
    };
    let (during, after) = update(json!({ "DeletionProtectionEnabled": false })).await;
    assert_eq!((&during["TableStatus"], &after["DeletionProtectionEnabled"]), (&json!("UPDATING"), &json!(false)));
    let throughput = json!({ "ReadCapacityUnits": 3, "WriteCapacityUnits": 2 });
    let (_, after) = update(json!({ "BillingMode": "PROVISIONED", "ProvisionedThroughput": throughput })).await;
    assert_eq!(after["ProvisionedThroughput"]["ReadCapacityUnits"], 3);
    let (_, after) = update(json!({ "BillingMode": "PAY_PER_REQUEST" })).await;
    assert_eq!(after["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST");

    let (during, after) = update(json!({ "SSESpecification": { "Enabled": true } })).await;
    assert_eq!(
        (&during["SSEDescription"]["Status"], &after["SSEDescription"]["Status"]),
        (&json!("UPDATING"), &json!("ENABLED"))
    );
    let (during, after) = update(json!({ "SSESpecification": { "Enabled": false } })).await;
    assert_eq!((&during["SSEDescription"]["Status"], &after["SSEDescription"]), (&json!("UPDATING"), &Value::Null));

    let (code, _) = refusal(&db, "UpdateTable", json!({ "TableName": "chat" })).await;
    assert_eq!(code, "ValidationException");
}

#[tokio::test]
async fn time_to_live_is_changed_as_aws_lets_it_change() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    create(&db, "chat", json!({})).await;
    let set = |enabled: bool, attribute: &str| {
        json!({
            "TableName": "chat",
            "TimeToLiveSpecification": { "Enabled": enabled, "AttributeName": attribute },
        })
    };
    let refused = async |input: Value| refusal(&db, "UpdateTimeToLive", input).await.1;
    assert_eq!(refused(set(false, "ttl")).await, "TimeToLive is already disabled");
    call(&db, "UpdateTimeToLive", set(true, "ttl")).await.unwrap();
    assert_eq!(ttl(&db, "chat").await, json!({ "TimeToLiveStatus": "ENABLED", "AttributeName": "ttl" }));
    assert_eq!(refused(set(true, "ttl")).await, "TimeToLive is already enabled");
    for enabled in [true, false] {
        assert_eq!(
            refused(set(enabled, "other")).await,
            "TimeToLive is active on a different AttributeName: current AttributeName is ttl"
        );
    }
    call(&db, "UpdateTimeToLive", set(false, "ttl")).await.unwrap();
    assert_eq!(ttl(&db, "chat").await, json!({ "TimeToLiveStatus": "DISABLED" }));
    assert_eq!(
        refused(json!({ "TableName": "chat", "TimeToLiveSpecification": { "Enabled": true } })).await,
        "1 validation error detected: Value null at 'timeToLiveSpecification.attributeName' failed to satisfy \
         constraint: Member must not be null"
    );
}

#[tokio::test]
async fn a_sweep_deletes_what_is_expired() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    create(&db, "chat", json!({})).await;
    let enabled = json!({ "Enabled": true, "AttributeName": "ttl" });
    call(&db, "UpdateTimeToLive", json!({ "TableName": "chat", "TimeToLiveSpecification": enabled })).await.unwrap();
    let now = crate::local::context::clock::now_millis() / 1000;
    for (id, expires) in [("old", now - 60), ("new", now + 3600)] {
        let item = json!({ "id": { "S": id }, "ttl": { "N": expires.to_string() } });
        call(&db, "PutItem", json!({ "TableName": "chat", "Item": item })).await.unwrap();
    }
    db.regions.sweep();
    let left = call(&db, "Scan", json!({ "TableName": "chat" })).await.unwrap();
    assert_eq!((&left["Count"], &left["Items"][0]["id"]), (&json!(1), &json!({ "S": "new" })));
}

#[tokio::test]
async fn point_in_time_recovery_is_turned_on_and_off() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    create(&db, "chat", json!({})).await;
    let set = async |specification: Value| {
        let input = json!({ "TableName": "chat", "PointInTimeRecoverySpecification": specification });
        call(&db, "UpdateContinuousBackups", input).await
    };
    let on = set(json!({ "PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": 7 })).await.unwrap();
    let recovery = &on["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
    assert_eq!(
        (&recovery["PointInTimeRecoveryStatus"], &recovery["RecoveryPeriodInDays"]),
        (&json!("ENABLED"), &json!(7))
    );
    let again = set(json!({ "PointInTimeRecoveryEnabled": true })).await.unwrap();
    let again = &again["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
    assert_eq!(again["EarliestRestorableDateTime"], recovery["EarliestRestorableDateTime"]);
    let off = set(json!({ "PointInTimeRecoveryEnabled": false })).await.unwrap();
    let off = &off["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
    assert_eq!(*off, json!({ "PointInTimeRecoveryStatus": "DISABLED" }));
    assert!(set(json!({ "PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": 36 })).await.is_err());
}

#[tokio::test]
async fn streams_are_in_the_callers_region() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    let stream = json!({ "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" });
    create(&db, "chat", json!({ "StreamSpecification": stream })).await;
    call(&db, "PutItem", json!({ "TableName": "chat", "Item": item("a") })).await.unwrap();
    let streams = call(&db, "ListStreams", json!({ "TableName": "chat" })).await.unwrap();
    let arn = streams["Streams"][0]["StreamArn"].clone();
    assert!(arn.as_str().unwrap().starts_with("arn:aws:dynamodb:eu-west-1:"), "{arn}");
    let described = call(&db, "DescribeStream", json!({ "StreamArn": arn })).await.unwrap();
    assert_eq!(described["StreamDescription"]["StreamArn"], arn);
    let shard = &described["StreamDescription"]["Shards"][0]["ShardId"];
    let input = json!({ "StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
    let iterator = call(&db, "GetShardIterator", input).await.unwrap();
    let records = call(&db, "GetRecords", iterator).await.unwrap();
    let record = &records["Records"][0];
    assert_eq!((&record["awsRegion"], &record["dynamodb"]["Keys"]), (&json!("eu-west-1"), &item("a")));
}

#[tokio::test]
async fn deletion_protection_is_described_even_where_it_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    assert_eq!(create(&db, "chat", json!({})).await["DeletionProtectionEnabled"], false);
    active(&db, "chat").await;
    assert_eq!(describe(&db, "chat").await["DeletionProtectionEnabled"], false);
    let protect = json!({ "TableName": "chat", "DeletionProtectionEnabled": true });
    let updated = call(&db, "UpdateTable", protect).await.unwrap();
    assert_eq!(updated["TableDescription"]["DeletionProtectionEnabled"], true);
    active(&db, "chat").await;
    let update = json!({ "TableName": "chat", "DeletionProtectionEnabled": false });
    call(&db, "UpdateTable", update).await.unwrap();
    active(&db, "chat").await;
    let deleted = call(&db, "DeleteTable", json!({ "TableName": "chat" })).await.unwrap();
    assert_eq!(deleted["TableDescription"]["DeletionProtectionEnabled"], false);
}

/// Every record of a table's stream, as event name and the images that it shows.
async fn records(db: &DynamoDb, table: &str) -> Vec<(String, Vec<&'static str>)> {
    let arn = describe(db, table).await["LatestStreamArn"].clone();
    let stream = call(db, "DescribeStream", json!({ "StreamArn": arn })).await.unwrap()["StreamDescription"].take();
    let iterator = json!({
        "StreamArn": arn, "ShardId": stream["Shards"][0]["ShardId"], "ShardIteratorType": "TRIM_HORIZON",
    });
    let iterator = call(db, "GetShardIterator", iterator).await.unwrap()["ShardIterator"].take();
    let answer = call(db, "GetRecords", json!({ "ShardIterator": iterator })).await.unwrap();
    let shown = |record: &Value| {
        assert_eq!(record["dynamodb"]["StreamViewType"], stream["StreamViewType"]);
        assert_eq!(record["dynamodb"]["Keys"], item("a"));
        let images = ["NewImage", "OldImage"].into_iter().filter(|image| !record["dynamodb"][*image].is_null());
        (record["eventName"].as_str().unwrap().to_owned(), images.collect())
    };
    answer["Records"].as_array().unwrap().iter().map(shown).collect()
}

#[tokio::test]
async fn a_write_without_a_change_creates_no_record_in_any_stream_view() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    for (view, of_insert, of_change) in [
        ("KEYS_ONLY", vec![], vec![]),
        ("NEW_IMAGE", vec!["NewImage"], vec!["NewImage"]),
        ("OLD_IMAGE", vec![], vec!["OldImage"]),
        ("NEW_AND_OLD_IMAGES", vec!["NewImage"], vec!["NewImage", "OldImage"]),
    ] {
        let stream = json!({ "StreamSpecification": { "StreamEnabled": true, "StreamViewType": view } });
        let created = create(&db, view, stream.clone()).await;
        assert_eq!(created["StreamSpecification"]["StreamViewType"], view);
        active(&db, view).await;
        assert_eq!(describe(&db, view).await["StreamSpecification"]["StreamViewType"], view);
        let put = |text: &str, tags: &[&str]| {
            let item = json!({ "id": { "S": "a" }, "text": { "S": text }, "tags": { "SS": tags } });
            call(&db, "PutItem", json!({ "TableName": view, "Item": item }))
        };
        put("one", &["x", "y"]).await.unwrap();
        put("one", &["y", "x"]).await.unwrap();
        let update = |text: &str| {
            json!({
                "TableName": view, "Key": item("a"), "UpdateExpression": "SET #t = :t",
                "ExpressionAttributeNames": { "#t": "text" }, "ExpressionAttributeValues": { ":t": { "S": text } },
            })
        };
        call(&db, "UpdateItem", update("one")).await.unwrap();
        call(&db, "UpdateItem", update("two")).await.unwrap();
        let expected = [("INSERT".to_owned(), of_insert), ("MODIFY".to_owned(), of_change)];
        assert_eq!(records(&db, view).await, expected, "{view}");
    }
    // A stream that is enabled later.
    create(&db, "late", json!({})).await;
    active(&db, "late").await;
    let stream = json!({ "StreamEnabled": true, "StreamViewType": "KEYS_ONLY" });
    let updated =
        call(&db, "UpdateTable", json!({ "TableName": "late", "StreamSpecification": stream })).await.unwrap();
    assert_eq!(updated["TableDescription"]["StreamSpecification"], stream);
    let unknown = json!({ "StreamEnabled": true, "StreamViewType": "new_image" });
    let message = "1 validation error detected: Value 'new_image' at 'streamSpecification.streamViewType' failed to satisfy \
                   constraint: Member must satisfy enum value set: [OLD_IMAGE, KEYS_ONLY, NEW_AND_OLD_IMAGES, NEW_IMAGE]";
    let update = json!({ "TableName": "late", "StreamSpecification": unknown });
    assert_eq!(refusal(&db, "UpdateTable", update).await, ("ValidationException".to_owned(), message.to_owned()));
}

/// The records of a table's stream, from an iterator on.
async fn records_from(db: &DynamoDb, table: &str, iterator: Value) -> Vec<Value> {
    let arn = describe(db, table).await["LatestStreamArn"].clone();
    let stream = call(db, "DescribeStream", json!({ "StreamArn": arn })).await.unwrap()["StreamDescription"].take();
    let mut input = json!({ "StreamArn": arn, "ShardId": stream["Shards"][0]["ShardId"] });
    input.as_object_mut().unwrap().extend(iterator.as_object().unwrap().clone());
    let iterator = call(db, "GetShardIterator", input).await.unwrap()["ShardIterator"].take();
    let mut answer = call(db, "GetRecords", json!({ "ShardIterator": iterator })).await.unwrap();
    serde_json::from_value(answer["Records"].take()).unwrap()
}

#[tokio::test]
async fn a_stream_is_read_from_a_time_on() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    create(&db, "chat", json!({ "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" } }))
        .await;
    active(&db, "chat").await;
    call(&db, "PutItem", json!({ "TableName": "chat", "Item": item("a") })).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    let between = now_millis();
    call(&db, "PutItem", json!({ "TableName": "chat", "Item": item("b") })).await.unwrap();
    let since = json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": between as f64 / 1000.0 });
    let found = records_from(&db, "chat", since).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["dynamodb"]["NewImage"], item("b"));
}

#[tokio::test]
async fn an_expired_item_is_removed_by_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    let stream = json!({ "StreamEnabled": true, "StreamViewType": "OLD_IMAGE" });
    create(&db, "chat", json!({ "StreamSpecification": stream })).await;
    active(&db, "chat").await;
    let ttl = json!({ "AttributeName": "expires", "Enabled": true });
    call(&db, "UpdateTimeToLive", json!({ "TableName": "chat", "TimeToLiveSpecification": ttl })).await.unwrap();
    let item = json!({ "id": { "S": "a" }, "expires": { "N": "1000" } });
    call(&db, "PutItem", json!({ "TableName": "chat", "Item": item })).await.unwrap();
    db.regions.sweep();
    let found = records_from(&db, "chat", json!({ "ShardIteratorType": "TRIM_HORIZON" })).await;
    let [_, record] = &found[..] else { panic!("not written and removed: {found:?}") };
    assert_eq!((&record["eventName"], &record["dynamodb"]["OldImage"]), (&json!("REMOVE"), &item));
    let service = json!({ "PrincipalId": "dynamodb.amazonaws.com", "Type": "Service" });
    assert_eq!(record["userIdentity"], service);
}

#[tokio::test]
async fn a_stream_is_a_source_of_events() {
    use crate::local::context::ports::{EventSource, Position};

    let folder = tempfile::tempdir().unwrap();
    let db = quick(&folder);
    let stream = json!({ "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" });
    create(&db, "chat", json!({ "StreamSpecification": stream })).await;
    active(&db, "chat").await;
    let arn = describe(&db, "chat").await["LatestStreamArn"].as_str().unwrap().to_owned();
    assert_eq!(db.check(&arn, 3), Ok(()));
    let gone = arn.replace("chat", "none");
    assert_eq!(db.check(&gone, 3), Err(format!("Stream not found: {gone}")));
    let shard = db.shards(&arn).await.unwrap().remove(0);
    let put = |id: &'static str| call(&db, "PutItem", json!({ "TableName": "chat", "Item": item(id) }));
    let ids = |events: &[crate::local::context::ports::SourceEvent]| -> Vec<String> {
        let id = |event: &crate::local::context::ports::SourceEvent| {
            event.event["dynamodb"]["Keys"]["id"]["S"].as_str().unwrap().to_owned()
        };
        events.iter().map(id).collect()
    };
    // It waits for what comes.
    let waiting = db.receive(&arn, &shard, &Position::Newest, 10, HOUR);
    let (first, _) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        put("a").await.unwrap();
    });
    let first = first.unwrap();
    assert_eq!(ids(&first), ["a"]);
    assert_eq!(first[0].event["eventSourceARN"], arn);
    put("b").await.unwrap();
    // A write without a change is no event, and does not end the reading.
    put("b").await.unwrap();
    put("c").await.unwrap();
    let all = db.receive(&arn, &shard, &Position::Oldest, 2, HOUR).await.unwrap();
    assert_eq!(ids(&all), ["a", "b"]);
    let rest = db.receive(&arn, &shard, &Position::After(all[1].id.clone()), 10, HOUR).await.unwrap();
    assert_eq!(ids(&rest), ["c"]);
    let none = db.receive(&arn, &shard, &Position::After(rest[0].id.clone()), 10, Duration::ZERO).await.unwrap();
    assert!(none.is_empty());
}
