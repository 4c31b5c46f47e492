use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chat::testing::{Aws, Call, Reply, event};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::*;

const HELLO: &str = r#"{"action":"sendmessage","message":"hello, everyone!"}"#;

/// One page of a scan; `next` is the key to go on after.
fn page(ids: impl IntoIterator<Item = impl AsRef<str>>, next: Option<&str>) -> Reply {
    let key = |id: &str| json!({ "connectionId": { "S": id } });
    let items: Vec<Value> = ids.into_iter().map(|id| key(id.as_ref())).collect();
    let mut page = json!({ "Count": items.len(), "Items": items });
    if let Some(next) = next {
        page["LastEvaluatedKey"] = key(next);
    }
    Reply::ok(page)
}

/// Sends `body` from the connection `me`.
async fn send_from_me(aws: &Aws, body: &str) -> Result<Answer, Error> {
    let event = event("me", aws, Some(body));
    let connections = Connections::new(&aws.config, "chat".to_owned());
    send(&connections, &Gateways::new(aws.config.clone()).at(&event.endpoint), &event).await
}

/// The posts: connection and text; sorted.
fn posts(aws: &Aws) -> Vec<(String, String)> {
    let id = |path: &str| path.trim_start_matches("/production/@connections/").to_owned();
    let posts = aws.calls().into_iter().filter(|call| call.operation == "POST");
    let mut posts: Vec<_> = posts.map(|call| (id(&call.path), call.body)).collect();
    posts.sort();
    posts
}

/// The bodies of all calls of `operation`.
fn bodies(aws: &Aws, operation: &str) -> Vec<Value> {
    aws.calls().iter().filter(|call| call.operation == operation).map(Call::json).collect()
}

#[tokio::test]
async fn a_message_is_sent_to_all_pages_of_connections_except_its_sender() {
    let aws = Aws::start(|call: Call| async move {
        match (call.operation.as_str(), call.body.contains("ExclusiveStartKey")) {
            ("Scan", false) => page(["a", "me"], Some("me")),
            ("Scan", true) => page(["b", "c"], None),
            _ => Reply::ok(json!({})),
        }
    })
    .await;

    assert_eq!(send_from_me(&aws, HELLO).await.unwrap(), Answer::OK);

    let hello = |id: &str| (id.to_owned(), "hello, everyone!".to_owned());
    assert_eq!(posts(&aws), [hello("a"), hello("b"), hello("c")]);
    let scan = json!({ "TableName": "chat", "ProjectionExpression": "connectionId", "ConsistentRead": true });
    let mut second = scan.clone();
    second["ExclusiveStartKey"] = json!({ "connectionId": { "S": "me" } });
    assert_eq!(bodies(&aws, "Scan"), [scan, second]);
}

#[tokio::test]
async fn a_gone_connection_is_removed_and_a_failed_post_does_not_stop_the_others() {
    let aws = Aws::start(|call: Call| async move {
        match (call.operation.as_str(), call.path.rsplit('/').next()) {
            ("Scan", _) => page(["bad", "gone", "young", "good", "last"], None),
            ("POST", Some("bad")) => Reply::error(403, "ForbiddenException"),
            ("POST", Some("gone" | "young")) => Reply::error(410, "GoneException"),
            ("DeleteItem", _) if call.body.contains("young") => Reply::error(400, "ConditionalCheckFailedException"),
            _ => Reply::ok(json!({})),
        }
    })
    .await;

    assert_eq!(send_from_me(&aws, HELLO).await.unwrap(), Answer::OK);

    let reached: Vec<String> = posts(&aws).into_iter().map(|(id, _)| id).collect();
    assert_eq!(reached, ["bad", "gone", "good", "last", "young"]);
    let delete = |id: &str| {
        json!({
            "TableName": "chat",
            "Key": { "connectionId": { "S": id } },
            "ConditionExpression": "attribute_not_exists(connectedAt) OR connectedAt < :opened",
            "ExpressionAttributeValues": { ":opened": { "N": "1731332716514" } },
        })
    };
    let mut deletes = bodies(&aws, "DeleteItem");
    deletes.sort_by_key(Value::to_string);
    assert_eq!(deletes, [delete("gone"), delete("young")]);
}

#[tokio::test]
async fn posts_are_concurrent_up_to_the_limit() {
    const BOUND: usize = 32;

    /// What the gateway sees of the posts.
    struct Seen {
        come: AtomicUsize,
        under_way: AtomicUsize,
        most: AtomicUsize,
        answered: AtomicUsize,
        full: Barrier,
    }

    async fn answer(call: Call, seen: Arc<Seen>) -> Reply {
        if call.operation == "Scan" {
            return page((0..100).map(|id| format!("c{id}")), None);
        }
        let under_way = seen.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most.fetch_max(under_way, Ordering::SeqCst);
        // No post is answered before the limit is reached; then a short wait, in which a post too many would arrive.
        if seen.come.fetch_add(1, Ordering::SeqCst) < BOUND {
            seen.full.wait().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        seen.under_way.fetch_sub(1, Ordering::SeqCst);
        seen.answered.fetch_add(1, Ordering::SeqCst);
        Reply::ok(json!({}))
    }

    let none = AtomicUsize::default;
    let seen =
        Arc::new(Seen { come: none(), under_way: none(), most: none(), answered: none(), full: Barrier::new(BOUND) });
    let aws = {
        let seen = Arc::clone(&seen);
        Aws::start(move |call| answer(call, Arc::clone(&seen))).await
    };

    assert_eq!(send_from_me(&aws, HELLO).await.unwrap(), Answer::OK);

    assert_eq!(posts(&aws).len(), 100);
    assert_eq!(seen.answered.load(Ordering::SeqCst), 100);
    assert_eq!(seen.most.load(Ordering::SeqCst), BOUND);
}

#[tokio::test]
async fn an_unreadable_page_is_an_error_after_the_pages_before_it_were_posted_to() {
    let aws = Aws::start(|call: Call| async move {
        match (call.operation.as_str(), call.body.contains("ExclusiveStartKey")) {
            ("Scan", false) => page(["a", "b"], Some("b")),
            ("Scan", true) => Reply::error(400, "ResourceNotFoundException"),
            _ => Reply::ok(json!({})),
        }
    })
    .await;

    let error = send_from_me(&aws, HELLO).await.unwrap_err().to_string();

    assert!(error.starts_with("failed to list the connections: "), "{error}");
    assert_eq!(posts(&aws).len(), 2);
}

#[tokio::test]
async fn a_malformed_message_is_only_answered_to_its_sender() {
    let aws = Aws::start(|_| async { Reply::ok(json!({})) }).await;

    assert_eq!(send_from_me(&aws, r#"{"action":"sendmessage"}"#).await.unwrap(), Answer::OK);

    assert_eq!(posts(&aws), [("me".to_owned(), message::Malformed::MessageMissing.to_string())]);
    assert_eq!(aws.calls().len(), 1);
}
