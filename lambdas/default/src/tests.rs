use chat::testing::{Aws, Call, Reply, event};
use serde_json::json;

use super::*;

#[tokio::test]
async fn the_sender_gets_a_hint_and_its_connection_info() {
    let aws = Aws::start(|call: Call| async move {
        match call.operation.as_str() {
            "GET" => Reply::ok(json!({
                "connectedAt": "2022-01-25T18:50:04.673Z",
                "identity": { "sourceIp": "192.0.2.1" },
                "lastActiveAt": "2022-01-25T18:50:07.642Z",
            })),
            _ => Reply::ok(json!({})),
        }
    })
    .await;
    let event = event("Mg_ugfpqPHcCIVA=", &aws, Some("test"));

    assert_eq!(answer(&Gateways::new(aws.config.clone()).at(&event.endpoint), &event).await.unwrap(), Answer::OK);

    let calls = aws.calls();
    assert_eq!(calls[0].path, "/production/@connections/Mg_ugfpqPHcCIVA%3D");
    assert_eq!((calls[1].operation.as_str(), &calls[1].path), ("POST", &calls[0].path));
    assert_eq!(
        calls[1].body,
        "Use the sendmessage route to send a message. Your info:\
         {\"ConnectedAt\":\"2022-01-25T18:50:04.673Z\",\
         \"Identity\":{\"SourceIp\":\"192.0.2.1\",\"UserAgent\":null},\
         \"LastActiveAt\":\"2022-01-25T18:50:07.642Z\",\
         \"connectionID\":\"Mg_ugfpqPHcCIVA=\"}"
    );
}

#[tokio::test]
async fn a_sender_that_has_disconnected_is_not_an_error() {
    let aws = Aws::start(|_| async { Reply::error(410, "GoneException") }).await;
    let event = event("AAA=", &aws, Some("test"));

    assert_eq!(answer(&Gateways::new(aws.config.clone()).at(&event.endpoint), &event).await.unwrap(), Answer::OK);
    assert_eq!(aws.calls().len(), 1);
}
