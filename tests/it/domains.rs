//! Domain names: stages served below them, and mappings to those of other stacks.

use aws_sdk_apigatewayv2::types::DomainNameConfiguration;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::inventory::{Inventory, same};
use crate::common::{Cloud, template};

/// The status of a handshake for a path below a host.
async fn handshake(cloud: &Cloud, host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", cloud.port())).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:{}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        cloud.port()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

#[tokio::test]
async fn a_stage_is_served_below_its_domain() {
    let cloud = Cloud::start().go();
    let mut template = template::gateway(&cloud);
    // Then the domain's is the only address.
    template.set("Api.DisableExecuteApiEndpoint", json!(true));
    template.save(&cloud);
    let uri = cloud.up().uri();
    let (_, own) = uri.split_once("://").and_then(|(_, rest)| rest.split_once('/')).unwrap();
    let domain = "ws.example.com.localhost";
    for (host, path, status) in [
        (domain, "/?tenant=a", "101"),
        (domain, "/chat?tenant=a", "101"),
        (domain, "/chat/live?tenant=a", "403"),
        (domain, "/nothing?tenant=a", "403"),
        ("example.com.localhost", "/?tenant=a", "403"),
        ("localhost", &format!("/{own}?tenant=a"), "403"),
    ] {
        assert_eq!(handshake(&cloud, host, path).await, status, "{host}{path}");
    }
}

/// The domain is made by hand, as the team that owns it would.
#[tokio::test]
async fn an_api_is_mapped_to_a_domain_of_others_and_leaves_it() {
    let cloud = Cloud::start().go();
    let gateway = aws_sdk_apigatewayv2::Client::new(&cloud.sdk().await);
    let certificate = "arn:aws:acm:us-east-1:000000000000:certificate/theirs";
    let configuration = DomainNameConfiguration::builder().certificate_arn(certificate).build();
    let create = gateway.create_domain_name().domain_name("shared.example.com");
    create.domain_name_configurations(configuration).send().await.unwrap();
    let before = cloud.inventory().await;

    let mut template = template::gateway(&cloud);
    for gone in ["Domain", "Root"] {
        template.remove(gone);
    }
    template.0["Outputs"].as_object_mut().unwrap().remove("Address");
    template.set("Chat.DomainName", json!("shared.example.com"));
    template.save(&cloud);
    cloud.up();
    cloud.up().changes_nothing();
    cloud.status().ok();
    let mapped =
        async || gateway.get_api_mappings().domain_name("shared.example.com").send().await.unwrap().items().len();
    assert_eq!(mapped().await, 1);

    // Without a template it is found by the API's tag.
    cloud.wschat(&["down", "--local", "--yes"]).ok();
    same(&cloud.inventory().await, &before);
    assert_eq!(mapped().await, 0);

    // A domain that nobody has is an error that undoes the run.
    template.set("Chat.DomainName", json!("nobody.example.com"));
    template.save(&cloud);
    let run = cloud.wschat(&["up", "--local", "--yes"]).exits(1);
    assert!(run.stderr.contains("Invalid domain name identifier specified"), "{}", run.stderr);
    let left: Inventory = cloud.inventory().await;
    same(&left, &before);
}
