//! What the gateway records for the console, and replays for it.

use super::*;
use crate::local::apigateway::inspect::NotReplayed;

/// The next recorded event after `last`, which is moved to it; its time is left out.
async fn recorded(cloud: &Cloud, last: &mut u64) -> Value {
    let news = within(cloud.gateway.context.recorder.next(*last, 1)).await;
    *last = news.last;
    let mut event = serde_json::to_value(&news.events[0]).unwrap();
    event.as_object_mut().unwrap().remove("at");
    event
}

#[tokio::test]
async fn a_client_is_followed_from_its_connect_to_its_close() {
    let cloud = Cloud::new(&ALL, echo).await;
    let mut last = 0;
    let mut client = cloud.connect().await;
    let opened = recorded(&cloud, &mut last).await;
    assert_eq!(
        (&opened["type"], &opened["api"], &opened["stage"]),
        (&json!("opened"), &json!(cloud.api), &json!("prod"))
    );
    let id = text(&opened["connection"]);

    client.send(Message::text("hello")).await.unwrap();
    assert_eq!(next(&mut client).await, Message::text("hello"));
    let received = recorded(&cloud, &mut last).await;
    assert_eq!((&received["type"], &received["route"]), (&json!("received"), &json!("$default")));
    assert_eq!((&received["text"]["text"], &received["replayed"]), (&json!("hello"), &json!(false)));
    let handled = recorded(&cloud, &mut last).await;
    assert_eq!((&handled["type"], &handled["requestId"]), (&json!("handled"), &received["requestId"]));
    assert_eq!((&handled["status"], &handled["why"]), (&json!(200), &Value::Null));
    assert_eq!(handled["answer"], json!({ "text": "hello", "size": 5 }));

    cloud.gateway.replay(&id, "again".to_owned()).unwrap();
    assert_eq!(next(&mut client).await, Message::text("again"));
    let replayed = recorded(&cloud, &mut last).await;
    assert_eq!((&replayed["text"]["text"], &replayed["replayed"]), (&json!("again"), &json!(true)));
    recorded(&cloud, &mut last).await;

    cloud.gateway.context.recorder.running("AKID", Some("an invocation"));
    assert_eq!(cloud.manage("POST", "prod", &id, "posted").await.0, 200);
    let posted = recorded(&cloud, &mut last).await;
    assert_eq!((&posted["type"], &posted["invocation"]), (&json!("posted"), &json!("an invocation")));

    assert!(cloud.gateway.close_connection(&id) && !cloud.gateway.close_connection(&id));
    assert_eq!(cloud.gateway.replay(&id, "late".to_owned()), Err(NotReplayed::Gone));
    let closed = recorded(&cloud, &mut last).await;
    assert_eq!(
        (&closed["type"], &closed["code"], &closed["byGateway"]),
        (&json!("closed"), &json!(1000), &json!(true))
    );
    let disconnected = recorded(&cloud, &mut last).await;
    assert_eq!((&disconnected["type"], &disconnected["requestId"]), (&json!("handled"), &closed["requestId"]));
}

#[tokio::test]
async fn failures_are_recorded_with_their_reason() {
    let routes =
        [("fail", "f", false), ("odd", "f", false), ("locked", "forbidden", false), ("$disconnect", "f", false)];
    let cloud = Cloud::new(&routes, |event| match event["requestContext"]["routeKey"].as_str() {
        Some("fail") => Err("broken on purpose"),
        Some("odd") => Ok(json!("text")),
        _ => Ok(json!({})),
    })
    .await;
    let mut last = 0;
    let mut client = cloud.connect().await;
    recorded(&cloud, &mut last).await;
    for (message, status, what) in [
        (r#"{"action":"fail"}"#, 502, "f failed: broken on purpose"),
        (r#"{"action":"odd"}"#, 502, "f returned something that is not a proxy response: \"text\""),
        (r#"{"action":"locked"}"#, 500, "The resource policy of forbidden does not let API Gateway invoke it."),
        (r#"{"action":"nowhere"}"#, 403, "The message selects the route \"nowhere\""),
        ("no JSON", 403, "$request.body.action selects nothing in this message"),
    ] {
        client.send(Message::text(message)).await.unwrap();
        let answer = next(&mut client).await;
        recorded(&cloud, &mut last).await;
        let handled = recorded(&cloud, &mut last).await;
        assert_eq!(handled["status"], status, "{message}");
        assert!(text(&handled["why"]["what"]).starts_with(what), "{}", handled["why"]);
        assert_eq!(handled["answer"]["text"], answer.to_text().unwrap());
    }
    client.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(close_frame(&mut client).await.0, 1003);
    let closed = recorded(&cloud, &mut last).await;
    assert!(text(&closed["why"]["what"]).contains("binary frame"), "{closed}");
}

#[tokio::test]
async fn refused_handshakes_are_recorded() {
    let cloud = Cloud::new(&[("$connect", "f", false)], |_| Ok(json!({ "statusCode": 401 }))).await;
    let mut last = 0;
    assert_eq!(cloud.refused("prod").await.0, 401);
    let refused = recorded(&cloud, &mut last).await;
    assert_eq!((&refused["type"], &refused["status"]), (&json!("refused"), &json!(401)));
    assert_eq!(refused["why"]["what"], "The integration of $connect refused the client: it returned the status 401.");
    assert_eq!(cloud.refused("other").await.0, 403);
    let refused = recorded(&cloud, &mut last).await;
    assert_eq!(refused["why"]["what"], format!("No API \"{}\" here serves a stage \"other\".", cloud.api));
}
