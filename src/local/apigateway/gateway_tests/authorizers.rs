//! Tests of authorizers, which decide who connects.

use super::*;

/// The authorizer function of these tests, which decides by the token in the query.
fn judge(event: &Value) -> Result<Value, &'static str> {
    if event["type"] != "REQUEST" {
        return Ok(json!({ "statusCode": 200, "body": event["requestContext"]["authorizer"].to_string() }));
    }
    let allow = |effect: &str, resource: &Value| {
        json!({
            "principalId": "alice",
            "policyDocument": {
                "Version": "2012-10-17",
                "Statement": [{ "Action": "execute-api:Invoke", "Effect": effect, "Resource": resource }],
            },
            "context": { "room": "lobby", "level": 7, "admin": true },
        })
    };
    match event["queryStringParameters"]["token"].as_str().unwrap_or_default() {
        "good" => Ok(allow("Allow", &event["methodArn"])),
        "elsewhere" => Ok(allow("Allow", &json!("arn:aws:execute-api:us-east-1:000000000000:other/*"))),
        "denied" => Ok(allow("Deny", &json!("*"))),
        "unauthorized" => Err("Unauthorized"),
        "nested" => Ok(json!({ "principalId": "a", "policyDocument": {}, "context": { "x": {} } })),
        "nonsense" => Ok(json!("yes")),
        _ => Err("boom"),
    }
}

/// A cloud with an authorizer for `$connect`, deployed to the stage.
async fn guarded(function: &str) -> Cloud {
    let cloud = Cloud::new(&[("$connect", "connect", false), ("$default", "echo", true)], judge).await;
    let uri = format!(
        "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/\
         arn:aws:lambda:us-east-1:000000000000:function:{function}/invocations"
    );
    let authorizer = json!({
        "name": "door", "authorizerType": "REQUEST", "authorizerUri": uri,
        "identitySource": ["route.request.querystring.token"],
    });
    let authorizer = cloud.control("POST", &cloud.below("authorizers"), authorizer).await;
    let routes = cloud.control("GET", &cloud.below("routes"), Value::Null).await;
    let connect = routes["items"].as_array().unwrap().iter().find(|route| route["routeKey"] == "$connect").unwrap();
    let route = cloud.below(&format!("routes/{}", connect["routeId"].as_str().unwrap()));
    let guard = json!({ "authorizationType": "CUSTOM", "authorizerId": authorizer["authorizerId"] });
    cloud.control("PATCH", &route, guard).await;
    let deployment = cloud.deploy().await;
    cloud.control("PATCH", &cloud.below("stages/prod"), json!({ "deploymentId": deployment })).await;
    cloud
}

/// The stage with a query, which precedes the query of all clients in these tests.
fn with(query: &str) -> String {
    format!("prod?{query}&rest=")
}

#[tokio::test]
async fn an_authorizer_decides_who_connects() {
    let cloud = guarded("door").await;
    for (query, status) in [
        ("", 401),
        ("token=", 401),
        ("Token=good", 401),
        ("token=unauthorized", 401),
        ("token=elsewhere", 403),
        ("token=denied", 403),
        ("token=nested", 500),
        ("token=nonsense", 500),
        ("token=boom", 500),
    ] {
        assert_eq!(cloud.refused(&with(query)).await.0, status, "{query}");
    }
    assert_eq!(guarded("forbidden").await.refused(&with("token=good")).await.0, 500);
}

#[tokio::test]
async fn every_event_has_the_authorizers_context() {
    let mut cloud = guarded("door").await;
    let mut client = cloud.try_connect(&with("token=good"), None).await.unwrap();
    let asked = cloud.event().await;
    assert_eq!(asked["type"], "REQUEST");
    let arn = format!("arn:aws:execute-api:us-east-1:000000000000:{}/prod/$connect", cloud.api);
    assert_eq!(asked["methodArn"], arn.as_str());
    assert_eq!(asked["headers"]["Upgrade"], "websocket");
    assert_eq!(asked["requestContext"]["eventType"], "CONNECT");
    let said = json!({ "principalId": "alice", "room": "lobby", "level": "7", "admin": "true" });
    assert_eq!(cloud.event().await["requestContext"]["authorizer"], said);
    client.send(Message::text("?")).await.unwrap();
    assert_eq!(next_json(&mut client).await, said);
}
