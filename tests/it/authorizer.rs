//! Authorizers: called before `$connect`, part of the deployment like the routes, deleted with their API.

use crate::common::client::Client;
use crate::common::template::{self, Template};
use crate::common::{Cloud, Run};
use serde_json::json;

/// The echo template with an authorizer in front of `$connect`.
fn guarded() -> Template {
    let uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Echo.Arn}/invocations";
    let mut template = Template::echo();
    let api = json!({ "Fn::GetAtt": ["Api", "ApiId"] });
    template.set(
        "Door",
        json!({ "Type": "AWS::ApiGatewayV2::Authorizer", "Properties": {
            "ApiId": api, "Name": "door", "AuthorizerType": "REQUEST", "AuthorizerUri": { "Fn::Sub": uri },
            "IdentitySource": ["route.request.querystring.token"],
        } }),
    );
    template.set(
        "ConnectIntegration",
        json!({ "Type": "AWS::ApiGatewayV2::Integration", "Properties": {
            "ApiId": api, "IntegrationType": "AWS_PROXY", "Description": "for $connect", "IntegrationUri": { "Fn::Sub": uri },
        } }),
    );
    template.set(
        "ConnectRoute",
        json!({ "Type": "AWS::ApiGatewayV2::Route", "Properties": {
            "ApiId": api, "RouteKey": "$connect", "AuthorizationType": "CUSTOM", "AuthorizerId": { "Ref": "Door" },
            "Target": { "Fn::Sub": "integrations/${ConnectIntegration}" },
        } }),
    );
    template
}

fn up(cloud: &Cloud) -> Run {
    cloud.wschat(&["up", "--local", "--yes"]).ok()
}

/// The status of a rejected handshake; `None` if it was accepted.
async fn refused(uri: &str) -> Option<u16> {
    match tokio_tungstenite::connect_async(uri).await {
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Some(response.status().as_u16()),
        other => other.map(|_| None).unwrap(),
    }
}

#[tokio::test]
async fn an_authorizer_rejects_connections_until_it_is_removed() {
    let cloud = Cloud::start().go();
    template::echo(&cloud);
    let mut template = guarded();
    template.save(&cloud);
    let uri = up(&cloud).uri();
    up(&cloud).changes_nothing();
    cloud.status().ok();
    assert_eq!(refused(&uri).await, Some(401));
    let mut client = Client::connect(&format!("{uri}?token=x")).await;
    client.say("?").await;
    assert_eq!(client.hear().await, "hello! from $default");

    // Another identity source takes effect through a new deployment.
    template.set("Door.IdentitySource", json!(["route.request.querystring.ticket"]));
    template.save(&cloud);
    let run = up(&cloud);
    let moved = ["UpdateAuthorizer", "CreateDeployment", "UpdateStage", "DeleteDeployment"];
    assert_eq!(run.mutations(), moved.map(|call| format!("apigatewayv2.{call}")));
    up(&cloud).changes_nothing();
    assert_eq!(refused(&format!("{uri}?token=x")).await, Some(401));
    assert_eq!(refused(&format!("{uri}?ticket=x")).await, None);

    template.remove("Door");
    template.remove("ConnectRoute.AuthorizerId");
    template.set("ConnectRoute.AuthorizationType", "NONE".into());
    template.save(&cloud);
    up(&cloud);
    up(&cloud).changes_nothing();
    assert_eq!(refused(&uri).await, None);

    cloud.wschat(&["down", "--local", "--yes"]).ok();
    assert!(cloud.inventory().await.is_empty());
}
