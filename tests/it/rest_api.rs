//! REST APIs (`tests/fixtures/web`), deployed by the built binary and called by a client that is not ours.

use serde_json::json;

use crate::common::inventory::{Inventory, same};
use crate::common::template::{App, Template};
use crate::http_api::{get, outputs, send};

#[tokio::test]
async fn a_rest_api_is_served_as_on_aws() {
    let cloud = App::web().fast();
    let run = cloud.wschat(&["up", "--local", "--yes"]).ok();
    assert!(!run.stderr.contains("Kept as records only"), "{}", run.stderr);
    cloud.wschat(&["up", "--local", "--yes"]).ok().changes_nothing();
    let rooms = outputs(&cloud)["Rooms"].as_str().unwrap().to_owned();
    assert!(rooms.starts_with(&format!("http://localhost:{}/", cloud.port())), "{rooms}");

    let answer = get(&format!("{rooms}/rooms/a%20b?x=1&x=2")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let event = answer.json();
    assert_eq!((&event["resource"], &event["path"]), (&json!("/rooms/{room}"), &json!("/rooms/a%20b")));
    assert_eq!(event["pathParameters"], json!({ "room": "a b" }));
    assert_eq!(event["multiValueQueryStringParameters"], json!({ "x": ["1", "2"] }));
    assert_eq!(event["requestContext"]["path"], "/live/rooms/a%20b");
    assert_eq!((&event["body"], &event["stageVariables"]), (&json!(null), &json!(null)));
    assert!(event.get("version").is_none());

    for (method, path, status, message) in [
        ("GET", "/rooms/fail", 502, "Internal server error"),
        ("GET", "/rooms/inferred", 502, "Internal server error"),
        ("GET", "/nowhere", 403, "Missing Authentication Token"),
        ("PUT", "/rooms/1", 403, "Missing Authentication Token"),
    ] {
        let answer = send(method, &format!("{rooms}{path}"), &[], b"").await;
        assert_eq!((answer.status, answer.json()["message"].as_str().unwrap()), (status, message), "{method} {path}");
    }
    // The mock that SAM makes for `Cors`.
    let answer = send("OPTIONS", &format!("{rooms}/rooms/1"), &[("Origin", "https://a.example.com")], b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "*"));
    assert!(answer.header("access-control-allow-methods").contains("GET"));

    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let cloud = App::web().fast();
    let mut template = Template::of("tests/fixtures/web/template.yaml");
    template.set("Plain", json!({ "Type": "AWS::ApiGateway::RestApi", "Properties": { "Name": "plain" } }));
    let method = |http: &str, kind: &str, authorization: &str| {
        json!({ "Type": "AWS::ApiGateway::Method", "Properties": {
            "RestApiId": { "Ref": "Plain" },
            "ResourceId": { "Ref": "Part" },
            "HttpMethod": http,
            "AuthorizationType": authorization,
            "Integration": { "Type": kind, "IntegrationHttpMethod": "POST", "Uri": "http://localhost:1/x" },
        } })
    };
    template.set(
        "Part",
        json!({ "Type": "AWS::ApiGateway::Resource", "Properties": {
        "RestApiId": { "Ref": "Plain" }, "ParentId": { "Fn::GetAtt": ["Plain", "RootResourceId"] }, "PathPart": "part",
    } }),
    );
    template.set("Http", method("GET", "HTTP", "NONE"));
    template.set("Signed", method("PUT", "HTTP_PROXY", "AWS_IAM"));
    template.set("Away", method("POST", "HTTP_PROXY", "NONE"));
    template.set(
        "PlainDeployment",
        json!({
            "Type": "AWS::ApiGateway::Deployment", "DependsOn": ["Http", "Signed", "Away"],
            "Properties": { "RestApiId": { "Ref": "Plain" }, "StageName": "v1" },
        }),
    );
    template.save_as(&cloud, "template.yaml");
    cloud.wschat(&["up", "--local", "--yes"]).ok();
    let status = cloud.wschat(&["status", "--local", "--json"]).ok();
    let found = status.stdout.lines().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let all = line["resources"].as_array()?.clone();
        all.into_iter().find(|one| one["resource"] == "Plain")
    });
    let id = found.expect("it is there")["physical_id"].as_str().unwrap().to_owned();
    let url = format!("http://localhost:{}/{id}/v1/part", cloud.port());
    for (method, expected) in
        [("GET", "HTTP integrations of REST APIs"), ("PUT", "the authorization of REST APIs (AWS_IAM")]
    {
        let answer = send(method, &url, &[], b"").await;
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 501);
        assert!(message.starts_with(&format!("The local cloud does not serve {expected}")), "{message}");
    }
    // Nothing listens there.
    assert_eq!(send("POST", &url, &[], b"").await.status, 500);
    assert_eq!(get(&url.replace("/v1/", "/v2/")).await.status, 403);
}
