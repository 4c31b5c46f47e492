use chat::testing::{Aws, Reply, event};
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_connection_is_stored_with_its_expiry_in_seconds() {
    let aws = Aws::start(|_| async { Reply::ok(json!({})) }).await;
    let connections = Connections::new(&aws.config, "chat".to_owned());

    assert_eq!(connect(&connections, &event("AAA=", &aws, None)).await, Answer::OK);

    let [call] = &aws.calls()[..] else { panic!("{:?}", aws.calls()) };
    assert_eq!(call.operation, "PutItem");
    assert_eq!(
        call.json(),
        json!({
            "TableName": "chat",
            "Item": {
                "connectionId": { "S": "AAA=" },
                "connectedAt": { "N": "1731332735513" },
                "expiresAt": { "N": "1731339935" },
            },
        })
    );
}

#[tokio::test]
async fn a_connection_that_cannot_be_stored_is_rejected() {
    let aws = Aws::start(|_| async { Reply::error(400, "ResourceNotFoundException") }).await;
    let connections = Connections::new(&aws.config, "chat".to_owned());

    assert_eq!(connect(&connections, &event("AAA=", &aws, None)).await, Answer::INTERNAL_SERVER_ERROR);
}
