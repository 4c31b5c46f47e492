//! The chat app with its real handlers: deploy, chat, restart of the local cloud, delete.

use crate::common;
use crate::common::client::Client;
use crate::common::inventory::{Inventory, same};
use crate::common::{Cloud, STACK, eventually, repository};
use serde_json::Value;

/// Uses the repository's target folder, so that the handlers are built once.
const TEMPLATE: &str = "templates/chat.yaml";

fn up(cloud: &Cloud) -> common::Run {
    let template = repository().join(TEMPLATE);
    cloud.wschat(&["up", "--local", "--yes", "--template", template.to_str().unwrap()]).ok()
}

/// The rows of the connections table.
async fn connections(cloud: &Cloud) -> usize {
    let dynamodb = aws_sdk_dynamodb::Client::new(&cloud.sdk().await);
    let table = dynamodb.list_tables().send().await.unwrap().table_names()[0].clone();
    dynamodb.scan().table_name(table).send().await.unwrap().items().len()
}

/// The hint that `$default` answers with, and the caller's connection info in it.
fn info(hint: &str) -> Value {
    let info = hint.strip_prefix("Use the sendmessage route to send a message. Your info:").unwrap_or_else(|| {
        panic!("not the hint: {hint}");
    });
    serde_json::from_str(info).unwrap()
}

#[tokio::test]
async fn the_chat_app_is_deployed_serves_messages_and_is_deleted() {
    let cloud = Cloud::start().go();
    let status = cloud.status().exits(3);
    assert_eq!(status.stderr, format!("Stack {STACK} does not exist in account 000000000000 (us-east-1).\n"));
    let no_url = cloud.wschat(&["url", "--local"]).exits(3);
    assert_eq!(no_url.stdout, "");
    let expected = format!(
        "error: stack app does not exist in account 000000000000 (us-east-1)\n  bring it up with: wschat up --stack app --local --data {}\n",
        cloud.data().display()
    );
    assert_eq!(no_url.stderr, expected);

    let run = up(&cloud);
    assert!(run.stderr.contains("Plan: 28 to create."), "{}", run.stderr);
    let uri = run.uri();
    assert!(run.stderr.contains(&format!("WebSocketURI = {uri}\n")), "{}", run.stderr);
    assert_eq!(cloud.wschat(&["url", "--local"]).ok().stdout, format!("{uri}\n"));
    assert!(cloud.status().ok().stdout.ends_with("Stack is healthy.\n"));

    let smoke = cloud.wschat(&["smoke", "--local"]).exits(0);
    assert!(smoke.stderr.contains("bob: smoke test "), "{}", smoke.stderr);
    eventually("the test's clients are forgotten", async || connections(&cloud).await == 0).await;

    let (mut alice, mut bob) = (Client::connect(&uri).await, Client::connect(&uri).await);
    assert_eq!(connections(&cloud).await, 2);

    alice.say(r#"{"action":"sendmessage","message":"hello, everyone!"}"#).await;
    assert_eq!(bob.hear().await, "hello, everyone!");

    // The handler only sends to the others. Messages are concurrent, so this only shows that no echo has arrived so far.
    alice.say("hello?").await;
    let hint = info(&alice.hear().await);
    assert_eq!(hint["Identity"]["SourceIp"], "127.0.0.1");
    assert!(hint["connectionID"].is_string() && hint["ConnectedAt"].is_string(), "{hint}");
    bob.say(r#"{"action":"dance"}"#).await;
    let other = info(&bob.hear().await);
    assert_ne!(hint["connectionID"], other["connectionID"]);

    alice.say(r#"{"action":"sendmessage"}"#).await;
    assert_eq!(
        alice.hear().await,
        r#"Not sent: "message" is missing. Send {"action":"sendmessage","message":"hello, everyone!"}."#
    );
    bob.say(r#"{"action":"sendmessage","message":"Grüße, 世界 🌍"}"#).await;
    assert_eq!(alice.hear().await, "Grüße, 世界 🌍");

    bob.close().await;
    eventually("Bob is forgotten", async || connections(&cloud).await == 1).await;

    cloud.down();
    assert!(alice.closed().await.is_some(), "a deleted API closes its sockets");
    same(&cloud.inventory().await, &Inventory::new());
    let again = cloud.down();
    again.changes_nothing();
    assert_eq!(again.stderr, format!("Stack {STACK} does not exist in account 000000000000 (us-east-1).\n"));
    assert!(Client::try_connect(&uri).await.is_err());
}

#[tokio::test]
async fn a_client_that_disconnects_abruptly_is_removed() {
    let cloud = Cloud::start().go();
    let uri = up(&cloud).uri();
    let (mut alice, bob) = (Client::connect(&uri).await, Client::connect(&uri).await);
    let mut carol = Client::connect(&uri).await;
    assert_eq!(connections(&cloud).await, 3);
    bob.vanish();
    alice.say(r#"{"action":"sendmessage","message":"still there?"}"#).await;
    assert_eq!(carol.hear().await, "still there?");
    eventually("Bob is forgotten", async || connections(&cloud).await == 2).await;
}

#[tokio::test]
async fn a_restart_of_the_local_cloud_keeps_the_stack() {
    let cloud = Cloud::start().go();
    let uri = up(&cloud).uri();
    let before = cloud.inventory().await;
    let mut alice = Client::connect(&uri).await;
    cloud.wschat(&["local", "stop"]).ok();
    // Going away: RFC 6455, 7.4.1.
    assert_eq!(alice.closed().await.map(|frame| u16::from(frame.code)), Some(1001));
    assert!(Client::try_connect(&uri).await.is_err());

    cloud.wschat(&["local", "start", "--open"]).ok();
    same(&cloud.inventory().await, &before);
    assert_eq!(cloud.wschat(&["url", "--local"]).ok().uri(), uri);
    up(&cloud).changes_nothing();
    let (mut alice, mut bob) = (Client::connect(&uri).await, Client::connect(&uri).await);
    alice.say(r#"{"action":"sendmessage","message":"here again"}"#).await;
    assert_eq!(bob.hear().await, "here again");
}

#[tokio::test]
async fn down_asks_first() {
    let cloud = Cloud::start().go();
    common::template::echo(&cloud);
    cloud.up();
    let run = cloud.wschat(&["down", "--local"]).exits(1);
    run.changes_nothing();
    assert!(run.stderr.ends_with("error: this would delete stack app; pass --yes to confirm\n"), "{}", run.stderr);
    cloud.status().ok();
}
