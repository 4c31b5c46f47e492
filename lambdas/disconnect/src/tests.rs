use chat::testing::{Aws, Reply, event};
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_connection_is_deleted() {
    let aws = Aws::start(|_| async { Reply::ok(json!({})) }).await;
    let connections = Connections::new(&aws.config, "chat".to_owned());

    assert_eq!(disconnect(&connections, &event("AAA=", &aws, None)).await.unwrap(), Answer::OK);

    let [call] = &aws.calls()[..] else { panic!("{:?}", aws.calls()) };
    assert_eq!(call.operation, "DeleteItem");
    assert_eq!(call.json(), json!({ "TableName": "chat", "Key": { "connectionId": { "S": "AAA=" } } }));
}

#[tokio::test]
async fn an_error_contains_dynamodbs_whole_answer() {
    let aws = Aws::start(|_| async { Reply::error(400, "ResourceNotFoundException") }).await;
    let connections = Connections::new(&aws.config, "chat".to_owned());

    let error = disconnect(&connections, &event("AAA=", &aws, None)).await.unwrap_err().to_string();
    assert!(error.starts_with("failed to delete the connection AAA=: "), "{error}");
    assert!(error.contains("ResourceNotFoundException: said the test"), "{error}");
}
