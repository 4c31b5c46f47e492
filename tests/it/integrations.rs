//! Integrations that are no Lambda proxies, from the template to the client: those of the corpus, and an endpoint of the test's own.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::common::client::Client;
use crate::common::inventory::{Inventory, same};
use crate::common::{Cloud, eventually, repository};

/// Checks of every call's permissions, those that the gateway makes as an integration's role included.
const STRICT: &str = "[strict]\niam = true\n";

/// A cloud with a template of the corpus in its folder.
fn corpus(name: &str) -> Cloud {
    let cloud = Cloud::start().conditions(STRICT).go();
    let source = repository().join("tests/corpus");
    let template = fs::read_to_string(source.join("sam").join(name)).unwrap();
    fs::write(cloud.folder().join("template.yaml"), template.replace("../handlers/node", "node")).unwrap();
    fs::create_dir(cloud.folder().join("node")).unwrap();
    for entry in fs::read_dir(source.join("handlers/node")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, cloud.folder().join("node").join(path.file_name().unwrap())).unwrap();
    }
    cloud
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[tokio::test]
async fn a_mock_answers_ping_and_unknown_actions() {
    let cloud = corpus("mock-ping.yaml");
    let uri = cloud.up().uri();
    cloud.up().changes_nothing();
    let mut client = Client::connect(&uri).await;
    client.say(r#"{"action": "ping"}"#).await;
    let pong = read(&client.hear().await);
    assert_eq!(pong["action"], "pong");
    assert!(pong["at"].is_i64(), "{pong}");
    let mut other = Client::connect(&uri).await;
    other.say(r#"{"action": "ping"}"#).await;
    assert!(read(&other.hear().await)["connection"] != pong["connection"]);
    client.close().await;
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn the_gateway_writes_to_a_table_as_its_role() {
    let cloud = corpus("table-direct.yaml");
    let uri = cloud.up().uri();
    cloud.up().changes_nothing();
    let dynamodb = aws_sdk_dynamodb::Client::new(&cloud.sdk().await);
    let sessions = async || {
        let scanned = dynamodb.scan().table_name("app-sessions").send().await.unwrap();
        scanned.items.unwrap_or_default()
    };
    let client = Client::connect(&format!("{uri}?user=vera")).await;
    let found = sessions().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["user"], AttributeValue::S("vera".to_owned()));
    assert_eq!(found[0]["ip"], AttributeValue::S("127.0.0.1".to_owned()));
    let AttributeValue::N(expires) = &found[0]["expires"] else { panic!("{found:?}") };
    let hours = (expires.parse::<i64>().unwrap() - time::OffsetDateTime::now_utc().unix_timestamp()) / 3600;
    assert!((1..=2).contains(&hours), "{expires}");
    client.close().await;
    eventually("the session is deleted", async || sessions().await.is_empty()).await;

    // The role's policy is what lets it.
    let path = cloud.folder().join("template.yaml");
    let template = fs::read_to_string(&path).unwrap();
    fs::write(&path, template.replace(r#""dynamodb:PutItem", "#, "")).unwrap();
    let uri = cloud.up().uri();
    let refused = Client::try_connect(&uri).await.err().expect("the table may not be written").to_string();
    assert!(refused.contains("500") || refused.contains("400"), "{refused}");
    assert!(sessions().await.is_empty());
    cloud.down();
}

/// An HTTP server that keeps what it is sent, and answers with `ok`.
async fn endpoint() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut request = String::new();
                let mut buffer = [0; 4096];
                while let Ok(Ok(count @ 1..)) =
                    tokio::time::timeout(Duration::from_secs(60), socket.read(&mut buffer)).await
                {
                    request.push_str(&String::from_utf8_lossy(&buffer[..count]));
                    let length = request
                        .to_lowercase()
                        .split_once("content-length: ")
                        .and_then(|(_, rest)| rest.split("\r\n").next()?.parse::<usize>().ok());
                    let Some((_, body)) = request.split_once("\r\n\r\n") else { continue };
                    if body.len() >= length.unwrap_or(0) {
                        kept.lock().unwrap().push(request.clone());
                        let answer =
                            "HTTP/1.1 200 OK\r\ncontent-length: 14\r\nconnection: close\r\n\r\n{\"said\": \"ok\"}";
                        let _ = socket.write_all(answer.as_bytes()).await;
                        break;
                    }
                }
            });
        }
    });
    (uri, heard)
}

#[tokio::test]
async fn http_integrations_call_an_endpoint_of_this_machine() {
    let (endpoint, heard) = endpoint().await;
    let cloud = Cloud::start().go();
    let api = json!({ "Ref": "Api" });
    let route = |key: &str, integration: &str| {
        json!({ "Type": "AWS::ApiGatewayV2::Route", "Properties": {
            "ApiId": api, "RouteKey": key, "Target": { "Fn::Sub": format!("integrations/${{{integration}}}") },
            "RouteResponseSelectionExpression": "$default",
        } })
    };
    let response = |route: &str| {
        json!({ "Type": "AWS::ApiGatewayV2::RouteResponse", "Properties": {
            "ApiId": api, "RouteId": { "Ref": route }, "RouteResponseKey": "$default",
        } })
    };
    let template = json!({ "Resources": {
        "Api": { "Type": "AWS::ApiGatewayV2::Api", "Properties": {
            "Name": "endpoint", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action",
        } },
        "Proxy": { "Type": "AWS::ApiGatewayV2::Integration", "Properties": {
            "ApiId": api, "IntegrationType": "HTTP_PROXY", "IntegrationMethod": "POST", "IntegrationUri": format!("{endpoint}/{{stage}}"),
            "RequestParameters": {
                "integration.request.header.connection-id": "context.connectionId",
                "integration.request.path.stage": "context.stage",
                "integration.request.querystring.from": "'wschat'",
            },
        } },
        "Mapped": { "Type": "AWS::ApiGatewayV2::Integration", "Properties": {
            "ApiId": api, "IntegrationType": "HTTP", "IntegrationMethod": "PUT", "IntegrationUri": format!("{endpoint}/mapped"),
            "TemplateSelectionExpression": "\\$default",
            "RequestTemplates": { "$default": "{\"text\": $input.json('$.text')}" },
        } },
        "MappedResponse": { "Type": "AWS::ApiGatewayV2::IntegrationResponse", "Properties": {
            "ApiId": api, "IntegrationId": { "Ref": "Mapped" }, "IntegrationResponseKey": "/2\\d\\d/",
            "TemplateSelectionExpression": "\\$default", "ResponseTemplates": { "$default": "it said $input.path('$.said')" },
        } },
        "Default": route("$default", "Proxy"),
        "DefaultResponse": response("Default"),
        "Map": route("map", "Mapped"),
        "MapResponse": response("Map"),
        "Stage": { "Type": "AWS::ApiGatewayV2::Stage", "Properties": { "ApiId": api, "StageName": "live", "AutoDeploy": true } },
    } });
    fs::write(cloud.folder().join("template.json"), template.to_string()).unwrap();
    let uri = cloud.up().uri();
    cloud.up().changes_nothing();
    let mut client = Client::connect(&uri).await;
    client.say("plain").await;
    assert_eq!(client.hear().await, r#"{"said": "ok"}"#);
    client.say(r#"{"action": "map", "text": "a \"b\""}"#).await;
    assert_eq!(client.hear().await, "it said ok");
    let heard = heard.lock().unwrap().clone();
    assert!(
        heard[0].starts_with("POST /live?from=wschat HTTP/1.1\r\n") && heard[0].ends_with("\r\n\r\nplain"),
        "{}",
        heard[0]
    );
    assert!(heard[0].contains("\r\nconnection-id: "), "{}", heard[0]);
    assert!(
        heard[1].starts_with("PUT /mapped HTTP/1.1\r\n") && heard[1].ends_with(r#"{"text": "a \"b\""}"#),
        "{}",
        heard[1]
    );
    client.close().await;
    cloud.down();
}

#[tokio::test]
async fn frames_go_into_a_queue_and_come_out_of_it_without_a_function() {
    let cloud = Cloud::start().conditions(STRICT).go();
    let api = json!({ "Ref": "Api" });
    let integration = |operation: &str, template: Value, content_type: Option<&str>| {
        let content_type = content_type.unwrap_or("application/json");
        let parameters = json!({ "integration.request.header.Content-Type": format!("'{content_type}'") });
        json!({ "Type": "AWS::ApiGatewayV2::Integration", "Properties": {
            "ApiId": api, "IntegrationType": "AWS", "IntegrationMethod": "POST",
            "IntegrationUri": { "Fn::Sub": format!("arn:aws:apigateway:${{AWS::Region}}:sqs:{operation}") },
            "CredentialsArn": { "Fn::GetAtt": ["Role", "Arn"] }, "PassthroughBehavior": "NEVER",
            "TemplateSelectionExpression": "\\$default", "RequestTemplates": { "$default": template }, "RequestParameters": parameters,
        } })
    };
    let answer = |integration: &str, template: &str| {
        json!({ "Type": "AWS::ApiGatewayV2::IntegrationResponse", "Properties": {
            "ApiId": api, "IntegrationId": { "Ref": integration }, "IntegrationResponseKey": "/2\\d\\d/",
            "ResponseTemplates": { "$default": template }, "TemplateSelectionExpression": "\\$default",
        } })
    };
    let route = |key: &str, integration: &str| {
        json!({ "Type": "AWS::ApiGatewayV2::Route", "Properties": {
            "ApiId": api, "RouteKey": key, "Target": { "Fn::Sub": format!("integrations/${{{integration}}}") },
            "RouteResponseSelectionExpression": "$default",
        } })
    };
    let response = |route: &str| {
        json!({ "Type": "AWS::ApiGatewayV2::RouteResponse", "Properties": {
            "ApiId": api, "RouteId": { "Ref": route }, "RouteResponseKey": "$default",
        } })
    };
    let form = "#set($from = $context.connectionId)\nAction=SendMessage&MessageBody=$util.urlEncode($input.json('$.text'))\
                &MessageAttribute.1.Name=from&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=$util.urlEncode($from)";
    let template = json!({ "Resources": {
        "Api": { "Type": "AWS::ApiGatewayV2::Api", "Properties": {
            "Name": "queue", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action",
        } },
        "Queue": { "Type": "AWS::SQS::Queue", "Properties": { "QueueName": "frames" } },
        "Role": { "Type": "AWS::IAM::Role", "Properties": {
            "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": { "Service": "apigateway.amazonaws.com" }, "Action": "sts:AssumeRole",
            }] },
            "Policies": [{ "PolicyName": "queue", "PolicyDocument": { "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Action": ["sqs:SendMessage", "sqs:ReceiveMessage"], "Resource": { "Fn::GetAtt": ["Queue", "Arn"] },
            }] } }],
        } },
        "Send": integration("path/${AWS::AccountId}/${Queue.QueueName}", form.into(), Some("application/x-www-form-urlencoded")),
        "SendAnswer": answer("Send", "kept: #if($input.path('$.SendMessageResponse.SendMessageResult.MessageId') != '')yes#{else}no#end"),
        "Receive": integration("action/ReceiveMessage", json!({ "Fn::Sub": "{\"QueueUrl\": \"${Queue}\", \"WaitTimeSeconds\": 5, \"MessageAttributeNames\": [\"All\"]}" }), None),
        "ReceiveAnswer": answer("Receive", "#set($m = $input.path('$.Messages[0]'))$m.Body from $m.MessageAttributes.from.StringValue.length()"),
        "SendRoute": route("send", "Send"),
        "SendResponse": response("SendRoute"),
        "ReceiveRoute": route("receive", "Receive"),
        "ReceiveResponse": response("ReceiveRoute"),
        "Stage": { "Type": "AWS::ApiGatewayV2::Stage", "Properties": { "ApiId": api, "StageName": "live", "AutoDeploy": true } },
    } });
    fs::write(cloud.folder().join("template.json"), template.to_string()).unwrap();
    let uri = cloud.up().uri();
    cloud.up().changes_nothing();
    let mut client = Client::connect(&uri).await;
    client.say(r#"{"action": "send", "text": "a&b"}"#).await;
    assert_eq!(client.hear().await, "kept: yes");
    client.say(r#"{"action": "receive"}"#).await;
    assert_eq!(client.hear().await, "\"a&b\" from 16");
    client.close().await;
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
}
