//! REST APIs (`tests/fixtures/web`), deployed by the built binary and called by a client that is not ours.

use serde_json::json;

use crate::common::inventory::{Inventory, same};
use crate::common::template::{App, Template};
use crate::http_api::{SIGNED, get, outputs, send};

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

/// A REST API of resources, as the CDK writes them, whose methods ask three kinds of authorizers.
fn guarded(template: &mut Template) {
    let guard = json!({ "Type": "AWS::Lambda::Function", "Properties": {
        "Runtime": "nodejs22.x", "Handler": "index.handler", "Role": { "Fn::GetAtt": ["RoomsFunctionRole", "Arn"] },
        "Code": { "ZipFile": "exports.handler = async (event) => {
            const token = event.authorizationToken || event.headers['X-Token'] || event.queryStringParameters.token;
            if (token === 'unauthorized') throw new Error('Unauthorized');
            if (token === 'boom') throw new Error('boom');
            if (token === 'nonsense') return 'yes';
            const Effect = token === 'shut' ? 'Deny' : 'Allow';
            const Resource = token === 'elsewhere' ? event.methodArn.replace('/part', '/other') : event.methodArn;
            const asked = JSON.stringify({ ...event, headers: undefined, multiValueHeaders: undefined, requestContext: undefined });
            return { principalId: 'me', context: { level: 7, asked },
                policyDocument: { Version: '2012-10-17', Statement: [{ Action: 'execute-api:Invoke', Effect, Resource }] } };
        };" },
    } });
    template.set("Door", guard);
    let set_type = |template: &mut Template, id: &str, kind: &str, properties: serde_json::Value| {
        template.set(id, json!({ "Type": kind, "Properties": properties }));
    };
    set_type(template, "Plain", "AWS::ApiGateway::RestApi", json!({ "Name": "plain" }));
    let invoked = |function: &str| json!({ "Fn::Sub": format!("arn:aws:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{{function}.Arn}}/invocations") });
    let authorizer = |kind: &str, source: &str| {
        json!({
            "RestApiId": { "Ref": "Plain" }, "Name": kind, "Type": kind, "AuthorizerUri": invoked("Door"), "IdentitySource": source,
        })
    };
    let by_token = authorizer("TOKEN", "method.request.header.Authorization");
    set_type(template, "ByToken", "AWS::ApiGateway::Authorizer", by_token);
    let by_request = authorizer("REQUEST", "method.request.header.X-Token,method.request.querystring.token");
    set_type(template, "ByRequest", "AWS::ApiGateway::Authorizer", by_request);
    template.set("ByToken.IdentityValidationExpression", json!("[a-z]+"));
    let part = json!({
        "RestApiId": { "Ref": "Plain" }, "ParentId": { "Fn::GetAtt": ["Plain", "RootResourceId"] }, "PathPart": "part",
    });
    set_type(template, "Part", "AWS::ApiGateway::Resource", part);
    for (id, http, authorization, authorizer) in [
        ("ByTokenMethod", "GET", "CUSTOM", Some("ByToken")),
        ("ByRequestMethod", "POST", "CUSTOM", Some("ByRequest")),
        ("SignedMethod", "PUT", "AWS_IAM", None),
    ] {
        let properties = json!({
            "RestApiId": { "Ref": "Plain" }, "ResourceId": { "Ref": "Part" }, "HttpMethod": http, "AuthorizationType": authorization,
            "Integration": { "Type": "AWS_PROXY", "IntegrationHttpMethod": "POST", "Uri": invoked("RoomsFunction") },
        });
        set_type(template, id, "AWS::ApiGateway::Method", properties);
        if let Some(authorizer) = authorizer {
            template.set(&format!("{id}.AuthorizerId"), json!({ "Ref": authorizer }));
        }
    }
    let response = json!({
        "RestApiId": { "Ref": "Plain" }, "ResponseType": "DEFAULT_4XX",
        "ResponseParameters": { "gatewayresponse.header.Access-Control-Allow-Origin": "'*'" },
    });
    set_type(template, "Refusals", "AWS::ApiGateway::GatewayResponse", response);
    for function in ["Door", "RoomsFunction"] {
        let permission = json!({
            "Action": "lambda:InvokeFunction", "FunctionName": { "Ref": function }, "Principal": "apigateway.amazonaws.com",
            "SourceArn": { "Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Plain}/*" },
        });
        set_type(template, &format!("{function}MayBeInvoked"), "AWS::Lambda::Permission", permission);
    }
    let deployment = json!({ "RestApiId": { "Ref": "Plain" }, "StageName": "v1" });
    set_type(template, "PlainDeployment", "AWS::ApiGateway::Deployment", deployment);
    template.set_depends_on("PlainDeployment", &["ByTokenMethod", "ByRequestMethod", "SignedMethod"]);
    template.0["Outputs"]["Plain"] =
        json!({ "Value": { "Fn::Sub": "https://${Plain}.execute-api.${AWS::Region}.${AWS::URLSuffix}/v1" } });
}

#[tokio::test]
async fn authorizers_of_rest_apis_decide_as_on_aws() {
    let cloud = App::web().fast();
    let mut template = Template::of("tests/fixtures/web/template.yaml");
    guarded(&mut template);
    template.save_as(&cloud, "template.yaml");
    cloud.wschat(&["up", "--local", "--yes"]).ok();
    cloud.wschat(&["up", "--local", "--yes"]).ok().changes_nothing();
    let url = format!("{}/part", outputs(&cloud)["Plain"].as_str().unwrap());
    let ask = async |token: &str| {
        let headers: Vec<(&str, &str)> = if token.is_empty() { vec![] } else { vec![("Authorization", token)] };
        send("GET", &url, &headers, b"").await
    };
    for (token, status, error, body) in [
        ("", 401, "UnauthorizedException", r#"{"message":"Unauthorized"}"#),
        ("Not-a-word", 401, "UnauthorizedException", r#"{"message":"Unauthorized"}"#),
        ("unauthorized", 401, "UnauthorizedException", r#"{"message":"Unauthorized"}"#),
        (
            "shut",
            403,
            "AccessDeniedException",
            r#"{"message":"User is not authorized to access this resource with an explicit deny"}"#,
        ),
        ("elsewhere", 403, "AccessDeniedException", r#"{"message":"User is not authorized to access this resource"}"#),
        ("boom", 500, "AuthorizerFailureException", r#"{"message":null}"#),
        ("nonsense", 500, "AuthorizerConfigurationException", r#"{"message":null}"#),
    ] {
        let answer = ask(token).await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!((answer.status, answer.header("x-amzn-errortype"), text.as_str()), (status, error, body), "{token}");
        let origin = if status < 500 { "*" } else { "" };
        assert_eq!(answer.header("access-control-allow-origin"), origin, "{token}");
    }
    let arn = |method: &str| {
        let id = url.rsplit('/').nth(2).unwrap();
        format!("arn:aws:execute-api:us-east-1:000000000000:{id}/v1/{method}/part")
    };
    let answer = ask("open").await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let said = answer.json()["requestContext"]["authorizer"].clone();
    assert_eq!((&said["principalId"], &said["level"]), (&json!("me"), &json!("7")));
    let asked: serde_json::Value = serde_json::from_str(said["asked"].as_str().unwrap()).unwrap();
    assert_eq!(asked, json!({ "type": "TOKEN", "methodArn": arn("GET"), "authorizationToken": "open" }));

    let answer = send("POST", &format!("{url}?token=a"), &[], b"x").await;
    assert_eq!(answer.status, 401, "one of its identity sources is missing");
    let answer = send("POST", &format!("{url}?token=a"), &[("X-Token", "open")], b"x").await;
    let said = answer.json()["requestContext"]["authorizer"].clone();
    let asked: serde_json::Value = serde_json::from_str(said["asked"].as_str().unwrap()).unwrap();
    assert_eq!(
        asked,
        json!({
            "type": "REQUEST", "methodArn": arn("POST"), "resource": "/part", "path": "/part", "httpMethod": "POST",
            "queryStringParameters": { "token": "a" }, "multiValueQueryStringParameters": { "token": ["a"] },
            "pathParameters": null, "stageVariables": null,
        })
    );
    let answer = send("PUT", &url, &[], b"").await;
    assert_eq!((answer.status, answer.header("x-amzn-errortype")), (403, "MissingAuthenticationTokenException"));
    assert_eq!(answer.json()["message"], "Missing Authentication Token");
    let event = send("PUT", &url, &SIGNED, b"").await.json();
    assert_eq!(event["requestContext"]["identity"]["userArn"], "arn:aws:iam::000000000000:user/local");
    let logs = cloud.wschat(&["logs", "--local"]).ok();
    assert!(logs.stdout.contains("does not match [a-z]+"), "{}", logs.stdout);
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
    template.set("Signed", method("PUT", "HTTP_PROXY", "COGNITO_USER_POOLS"));
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
        [("GET", "HTTP integrations of REST APIs"), ("PUT", "the authorization of REST APIs by COGNITO_USER_POOLS")]
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
