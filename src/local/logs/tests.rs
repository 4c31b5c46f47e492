use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::json;

use super::*;
use crate::local::protocol::service::{AnyService, Service};
use crate::local::protocol::wire::{Caller, Request};

fn open(folder: &tempfile::TempDir) -> Arc<Logs> {
    let context = CloudContext {
        port: 0,
        hosts: Default::default(),
        store: Store::open(folder.path()).unwrap(),
        conditions: Arc::default(),
        ca_bundle: folder.path().join("ca.pem"),
        recorder: Arc::default(),
    };
    Logs::open(&context).unwrap()
}

async fn call_in(logs: &Logs, region: &str, operation: &str, input: Value) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-target", HeaderValue::from_str(&format!("{}{operation}", Logs::TARGETS[0])).unwrap());
    let request = Request {
        method: Method::POST,
        path: "/".into(),
        query: Vec::new(),
        headers,
        body: Bytes::from(input.to_string()),
        file: None,
        caller: Caller { access_key: None, region: region.into() },
    };
    let response = logs.call(logs.prepare(request)?).await?;
    Ok(serde_json::from_slice(&response.body).unwrap())
}

async fn call(logs: &Logs, operation: &str, input: Value) -> Answer {
    call_in(logs, "eu-west-1", operation, input).await
}

fn messages(answer: &Value) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect()
}

/// The group `/g` with the stream `s`.
async fn with_stream(folder: &tempfile::TempDir) -> Arc<Logs> {
    let logs = open(folder);
    call(&logs, "CreateLogGroup", json!({ "logGroupName": "/g" })).await.unwrap();
    call(&logs, "CreateLogStream", json!({ "logGroupName": "/g", "logStreamName": "s" })).await.unwrap();
    logs
}

async fn put(logs: &Logs, stream: &str, events: &[(i64, &str)]) -> Value {
    let events: Vec<Value> =
        events.iter().map(|(timestamp, message)| json!({ "timestamp": timestamp, "message": message })).collect();
    let input = json!({ "logGroupName": "/g", "logStreamName": stream, "logEvents": events });
    call(logs, "PutLogEvents", input).await.unwrap()
}

#[tokio::test]
async fn a_group_is_described_after_a_restart_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let logs = open(&folder);
    let input = json!({ "logGroupName": "/aws/lambda/f", "tags": { "a": "1" }, "kmsKeyId": "key" });
    call(&logs, "CreateLogGroup", input).await.unwrap();
    call(&logs, "PutRetentionPolicy", json!({ "logGroupName": "/aws/lambda/f", "retentionInDays": 7 })).await.unwrap();
    drop(logs);

    let logs = open(&folder);
    let answer = call(&logs, "DescribeLogGroups", json!({ "logGroupNamePrefix": "/aws/" })).await.unwrap();
    let mut group = answer["logGroups"][0].clone();
    assert!(group["creationTime"].take().as_i64().unwrap() > 1_700_000_000_000);
    let expected = json!({
        "logGroupName": "/aws/lambda/f",
        "creationTime": null,
        "metricFilterCount": 0,
        "arn": "arn:aws:logs:eu-west-1:000000000000:log-group:/aws/lambda/f:*",
        "logGroupArn": "arn:aws:logs:eu-west-1:000000000000:log-group:/aws/lambda/f",
        "logGroupClass": "STANDARD",
        "storedBytes": 0,
        "deletionProtectionEnabled": false,
        "retentionInDays": 7,
        "kmsKeyId": "key",
    });
    assert_eq!(group, expected);
    let elsewhere = call_in(&logs, "us-east-1", "DescribeLogGroups", json!({})).await.unwrap();
    assert_eq!(elsewhere, json!({ "logGroups": [] }));
}

#[tokio::test]
async fn errors_have_aws_codes_and_messages() {
    let folder = tempfile::tempdir().unwrap();
    let logs = with_stream(&folder).await;
    let no_group = "The specified log group does not exist.";
    let no_stream = "The specified log stream does not exist.";
    let event = |timestamp: i64| json!({ "timestamp": timestamp, "message": "m" });
    let now = now_millis();
    let cases = [
        (
            "CreateLogGroup",
            json!({ "logGroupName": "/g" }),
            "ResourceAlreadyExistsException",
            "The specified log group already exists",
        ),
        (
            "CreateLogGroup",
            json!({ "logGroupName": "a b" }),
            "InvalidParameterException",
            "1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+",
        ),
        (
            "CreateLogGroup",
            json!({}),
            "InvalidParameterException",
            "1 validation error detected: Value null at 'logGroupName' failed to satisfy constraint: Member must not \
             be null",
        ),
        ("DeleteLogGroup", json!({ "logGroupName": "/none" }), "ResourceNotFoundException", no_group),
        (
            "PutRetentionPolicy",
            json!({ "logGroupName": "/g", "retentionInDays": 2 }),
            "InvalidParameterException",
            "1 validation error detected: Value '2' at 'retentionInDays' failed to satisfy constraint: Member must \
             satisfy enum value set: [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, \
             2192, 2557, 2922, 3288, 3653]",
        ),
        (
            "TagResource",
            json!({ "resourceArn": "arn:aws:logs:eu-west-1:000000000000:log-group:/g:*", "tags": { "a": "1" } }),
            "ResourceNotFoundException",
            no_group,
        ),
        (
            "CreateLogStream",
            json!({ "logGroupName": "/g", "logStreamName": "s" }),
            "ResourceAlreadyExistsException",
            "The specified log stream already exists",
        ),
        (
            "PutLogEvents",
            json!({ "logGroupName": "/g", "logStreamName": "none", "logEvents": [event(now)] }),
            "ResourceNotFoundException",
            no_stream,
        ),
        (
            "PutLogEvents",
            json!({ "logGroupName": "/g", "logStreamName": "s", "logEvents": [event(now), event(now - 1)] }),
            "InvalidParameterException",
            "Log events in a single PutLogEvents request must be in chronological order.",
        ),
        (
            "GetLogEvents",
            json!({ "logGroupName": "/g", "logStreamName": "none" }),
            "ResourceNotFoundException",
            no_stream,
        ),
        (
            "GetLogEvents",
            json!({ "logGroupName": "/g", "logStreamName": "s", "nextToken": "f/1" }),
            "InvalidParameterException",
            "The specified nextToken is invalid.",
        ),
        (
            "FilterLogEvents",
            json!({ "logGroupName": "/g", "limit": 10_001 }),
            "InvalidParameterException",
            "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have \
             value less than or equal to 10000",
        ),
        (
            "DescribeLogGroups",
            json!({ "logGroupNamePrefix": "a", "logGroupNamePattern": "b" }),
            "InvalidParameterException",
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ),
        ("StartQuery", json!({}), "UnknownOperationException", ""),
    ];
    for (operation, input, code, message) in cases {
        let error = call(&logs, operation, input).await.unwrap_err();
        assert_eq!((error.status, &*error.code, &*error.message), (400, code, message), "{operation}");
    }
}

#[tokio::test]
async fn both_families_of_tag_operations_see_the_same_tags() {
    let folder = tempfile::tempdir().unwrap();
    let logs = with_stream(&folder).await;
    let arn = "arn:aws:logs:eu-west-1:000000000000:log-group:/g";
    call(&logs, "TagResource", json!({ "resourceArn": arn, "tags": { "a": "1", "b": "2" } })).await.unwrap();
    call(&logs, "TagLogGroup", json!({ "logGroupName": "/g", "tags": { "c": "3", "d": "4" } })).await.unwrap();
    call(&logs, "UntagResource", json!({ "resourceArn": arn, "tagKeys": ["a"] })).await.unwrap();
    call(&logs, "UntagLogGroup", json!({ "logGroupName": "/g", "tags": ["d"] })).await.unwrap();
    let expected = json!({ "tags": { "b": "2", "c": "3" } });
    assert_eq!(call(&logs, "ListTagsForResource", json!({ "resourceArn": arn })).await.unwrap(), expected);
    assert_eq!(call(&logs, "ListTagsLogGroup", json!({ "logGroupName": "/g" })).await.unwrap(), expected);
}

#[tokio::test]
async fn a_protected_group_stays() {
    let folder = tempfile::tempdir().unwrap();
    let logs = with_stream(&folder).await;
    let protect = |on: bool| json!({ "logGroupIdentifier": "/g", "deletionProtectionEnabled": on });
    call(&logs, "PutLogGroupDeletionProtection", protect(true)).await.unwrap();
    let error = call(&logs, "DeleteLogGroup", json!({ "logGroupName": "/g" })).await.unwrap_err();
    assert_eq!(error.code, "ValidationException");
    call(&logs, "PutLogGroupDeletionProtection", protect(false)).await.unwrap();
    call(&logs, "DeleteLogGroup", json!({ "logGroupName": "/g" })).await.unwrap();
}

#[tokio::test]
async fn groups_come_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let logs = open(&folder);
    for name in ["a", "b", "c", "d", "e"] {
        call(&logs, "CreateLogGroup", json!({ "logGroupName": name })).await.unwrap();
    }
    let mut names = String::new();
    let mut token = Value::Null;
    loop {
        let input = json!({ "limit": 2, "nextToken": token });
        let answer = call(&logs, "DescribeLogGroups", input).await.unwrap();
        names.extend(
            answer["logGroups"].as_array().unwrap().iter().map(|group| group["logGroupName"].as_str().unwrap()),
        );
        token = answer["nextToken"].clone();
        if token.is_null() {
            break;
        }
        names.push('|');
    }
    assert_eq!(names, "ab|cd|e");
}

#[tokio::test]
async fn events_are_read_forward_and_backward() {
    let folder = tempfile::tempdir().unwrap();
    let logs = with_stream(&folder).await;
    let now = now_millis();
    put(&logs, "s", &[(now, "1"), (now, "2"), (now + 1, "3"), (now + 2, "4"), (now + 3, "5")]).await;
    let get = async |more: Value| {
        let mut input = json!({ "logGroupName": "/g", "logStreamName": "s", "limit": 2 });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call(&logs, "GetLogEvents", input).await.unwrap()
    };
    let first = get(json!({ "startFromHead": true })).await;
    assert_eq!(messages(&first), ["1", "2"]);
    let second = get(json!({ "nextToken": first["nextForwardToken"] })).await;
    assert_eq!(messages(&second), ["3", "4"]);
    let third = get(json!({ "nextToken": second["nextForwardToken"] })).await;
    assert_eq!(messages(&third), ["5"]);
    let end = get(json!({ "nextToken": third["nextForwardToken"] })).await;
    assert_eq!((messages(&end).len(), &end["nextForwardToken"]), (0, &third["nextForwardToken"]));
    assert_eq!(messages(&get(json!({ "nextToken": second["nextBackwardToken"] })).await), ["1", "2"]);
    // The latest events where no start is given; the end is exclusive.
    assert_eq!(messages(&get(json!({})).await), ["4", "5"]);
    assert_eq!(messages(&get(json!({ "startTime": now + 1, "endTime": now + 3 })).await), ["3", "4"]);
}

#[tokio::test]
async fn events_are_filtered_across_streams_in_the_order_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let logs = with_stream(&folder).await;
    call(&logs, "CreateLogStream", json!({ "logGroupName": "/g", "logStreamName": "t" })).await.unwrap();
    let now = now_millis();
    put(&logs, "s", &[(now, "s ERROR 1"), (now + 20, "s ERROR 3")]).await;
    put(&logs, "t", &[(now + 10, "t ERROR 2"), (now + 30, "t INFO 4")]).await;
    let filter = async |mut input: Value| {
        input["logGroupName"] = json!("/g");
        call(&logs, "FilterLogEvents", input).await.unwrap()
    };
    let all = filter(json!({})).await;
    assert_eq!(messages(&all), ["s ERROR 1", "t ERROR 2", "s ERROR 3", "t INFO 4"]);
    assert_eq!(all["events"][1]["logStreamName"], "t");
    assert_eq!(all["events"][1]["eventId"].as_str().unwrap().len(), 56);
    assert_eq!(messages(&filter(json!({ "logStreamNamePrefix": "t" })).await), ["t ERROR 2", "t INFO 4"]);
    assert_eq!(messages(&filter(json!({ "logStreamNames": ["s"] })).await), ["s ERROR 1", "s ERROR 3"]);
    assert_eq!(
        messages(&filter(json!({ "startTime": now + 10, "endTime": now + 20 })).await),
        ["t ERROR 2", "s ERROR 3"]
    );
    let page = filter(json!({ "filterPattern": "ERROR", "limit": 2 })).await;
    assert_eq!(messages(&page), ["s ERROR 1", "t ERROR 2"]);
    let page = filter(json!({ "filterPattern": "ERROR", "limit": 2, "nextToken": page["nextToken"] })).await;
    assert_eq!((messages(&page), &page["nextToken"]), (vec!["s ERROR 3"], &Value::Null));
}

#[tokio::test]
async fn events_that_are_too_old_or_too_new_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let logs = with_stream(&folder).await;
    let (now, hour) = (now_millis(), 3600 * 1000);
    let answer = put(&logs, "s", &[(now, "now"), (now + hour * 3, "later")]).await;
    assert_eq!(answer["rejectedLogEventsInfo"], json!({ "tooNewLogEventStartIndex": 1 }));
    let answer = put(&logs, "s", &[(now - 15 * 24 * hour, "long ago")]).await;
    assert_eq!(answer["rejectedLogEventsInfo"], json!({ "tooOldLogEventEndIndex": 1 }));
    let answer = call(&logs, "FilterLogEvents", json!({ "logGroupName": "/g" })).await.unwrap();
    assert_eq!(messages(&answer), ["now"]);
}

#[tokio::test]
async fn expired_events_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let logs = with_stream(&folder).await;
    let now = now_millis();
    put(&logs, "s", &[(now - 30 * 3600 * 1000, "yesterday")]).await;
    put(&logs, "s", &[(now, "today")]).await;
    call(&logs, "PutRetentionPolicy", json!({ "logGroupName": "/g", "retentionInDays": 1 })).await.unwrap();
    for logs in [logs, open(&folder)] {
        let answer = call(&logs, "FilterLogEvents", json!({ "logGroupName": "/g" })).await.unwrap();
        assert_eq!(messages(&answer), ["today"]);
        let input = json!({ "logGroupName": "/g", "logStreamName": "s" });
        assert_eq!(messages(&call(&logs, "GetLogEvents", input).await.unwrap()), ["today"]);
    }
}

#[tokio::test]
async fn lambda_creates_missing_groups_and_a_recreated_group_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let logs = open(&folder);
    let event = || vec![LogEvent { timestamp: now_millis(), message: "hello".into() }];
    logs.append("eu-west-1", "/aws/lambda/f", "2026/01/01/[$LATEST]a", event());
    drop(logs);
    let logs = open(&folder);
    let group = json!({ "logGroupName": "/aws/lambda/f" });
    let streams = call(&logs, "DescribeLogStreams", group.clone()).await.unwrap();
    let stream = &streams["logStreams"][0];
    assert_eq!(stream["logStreamName"], "2026/01/01/[$LATEST]a");
    assert_eq!(stream["firstEventTimestamp"], stream["lastEventTimestamp"]);
    assert_eq!(messages(&call(&logs, "FilterLogEvents", group.clone()).await.unwrap()), ["hello"]);

    call(&logs, "DeleteLogGroup", group.clone()).await.unwrap();
    call(&logs, "CreateLogGroup", group.clone()).await.unwrap();
    assert_eq!(messages(&call(&logs, "FilterLogEvents", group).await.unwrap()), Vec::<&str>::new());
    assert_eq!(std::fs::read_dir(folder.path().join("logs")).unwrap().count(), 0);
}

#[tokio::test]
async fn streams_are_listed_by_name_and_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let logs = with_stream(&folder).await;
    call(&logs, "CreateLogStream", json!({ "logGroupName": "/g", "logStreamName": "a" })).await.unwrap();
    let now = now_millis();
    put(&logs, "s", &[(now, "x")]).await;
    put(&logs, "a", &[(now + 5, "y")]).await;
    let names = async |mut input: Value| {
        input["logGroupName"] = json!("/g");
        let answer = call(&logs, "DescribeLogStreams", input).await.unwrap();
        let streams = answer["logStreams"].as_array().unwrap().iter();
        streams.map(|stream| stream["logStreamName"].as_str().unwrap().to_owned()).collect::<String>()
    };
    assert_eq!(names(json!({})).await, "as");
    assert_eq!(names(json!({ "descending": true })).await, "sa");
    assert_eq!(names(json!({ "orderBy": "LastEventTime" })).await, "sa");
    assert_eq!(names(json!({ "orderBy": "LastEventTime", "descending": true })).await, "as");
    assert_eq!(names(json!({ "logStreamNamePrefix": "s" })).await, "s");
    call(&logs, "DeleteLogStream", json!({ "logGroupName": "/g", "logStreamName": "a" })).await.unwrap();
    assert_eq!(names(json!({})).await, "s");
}

#[tokio::test]
async fn an_answer_waits_for_other_events_than_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let logs = open(&folder);
    let waiting = |known: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::from_static("Logs_20140328.FilterLogEvents"));
        headers.insert(WAIT, HeaderValue::from_str(known).unwrap());
        let request = Request {
            method: Method::POST,
            path: "/".into(),
            query: Vec::new(),
            headers,
            body: Bytes::from(json!({ "logGroupName": "/late" }).to_string()),
            file: None,
            caller: Caller { access_key: None, region: "eu-west-1".into() },
        };
        let logs = logs.clone();
        async move {
            let response = logs.call(logs.prepare(request).unwrap()).await.unwrap();
            serde_json::from_slice::<Value>(&response.body).unwrap()
        }
    };
    // The group need not exist yet.
    let first = tokio::spawn(waiting("0"));
    let event = |message: &str| vec![LogEvent { timestamp: now_millis(), message: message.to_owned() }];
    logs.append("eu-west-1", "/late", "s", event("one"));
    assert_eq!(messages(&first.await.unwrap()), ["one"]);
    let second = tokio::spawn(waiting("1"));
    logs.append("eu-west-1", "/other", "s", event("not this"));
    logs.append("eu-west-1", "/late", "s", event("two"));
    assert_eq!(messages(&second.await.unwrap()), ["one", "two"]);
    assert_eq!(messages(&waiting("0").await), ["one", "two"]);
}

#[tokio::test]
async fn the_gateways_log_is_in_no_list_of_groups() {
    let folder = tempfile::tempdir().unwrap();
    let logs = open(&folder);
    logs.log_gateway("eu-west-1", "api/live", "{}".to_owned());
    let groups = call(&logs, "DescribeLogGroups", json!({})).await.unwrap();
    assert_eq!(groups["logGroups"], json!([]));
    let events = call(&logs, "FilterLogEvents", json!({ "logGroupName": GATEWAY_GROUP })).await.unwrap();
    assert_eq!(messages(&events), ["{}"]);
}
