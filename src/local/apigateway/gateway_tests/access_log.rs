//! Tests of access logs.

use super::*;

#[tokio::test]
async fn access_logs_need_a_request_id_and_a_group() {
    let cloud = Cloud::new(&ALL, echo).await;
    let group = "arn:aws:logs:us-east-1:000000000000:log-group:access";
    for (arn, format, taken) in [
        (group, "$context.requestId $context.routeKey", true),
        (group, "$context.extendedRequestId", true),
        (group, "$context.routeKey", false),
        ("arn:aws:logs:us-east-1:000000000000:nothing", "$context.requestId", false),
        ("bogus", "$context.requestId", false),
    ] {
        let body = json!({ "accessLogSettings": { "destinationArn": arn, "format": format } });
        let path = format!("/v2/{}", cloud.below("stages/prod"));
        let call = cloud.gateway.prepare(request("PATCH", &path, body.to_string().into())).unwrap();
        let answer = cloud.gateway.call(call).await;
        assert_eq!(
            answer.map_err(|error| error.status).map(|_| ()),
            if taken { Ok(()) } else { Err(400) },
            "{arn} {format}"
        );
    }
}

#[tokio::test]
async fn every_request_of_a_client_is_a_line_of_the_access_log() {
    let cloud = Cloud::new(&ALL, echo).await;
    let format = "$context.eventType $context.routeKey $context.status $context.error.message \
                  $context.integration.status $context.connectionId $context.requestId";
    let settings =
        json!({ "destinationArn": "arn:aws:logs:us-east-1:000000000000:log-group:access:*", "format": format });
    cloud.control("PATCH", &cloud.below("stages/prod"), json!({ "accessLogSettings": settings })).await;
    let mut client = cloud.connect().await;
    client.send(Message::text("hello")).await.unwrap();
    assert_eq!(next(&mut client).await, Message::text("hello"));
    client.send(Message::text("fail")).await.unwrap();
    assert_eq!(next_json(&mut client).await["message"], "Internal server error");
    client.close(None).await.unwrap();
    let written = || lock(&cloud.lines.0).clone();
    while written().len() < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let lines = written();
    let mut ids = std::collections::BTreeSet::new();
    let shown: Vec<String> = lines
        .iter()
        .map(|(group, line)| {
            assert_eq!(group, "access");
            let (line, request_id) = line.rsplit_once(' ').unwrap();
            let (line, connection_id) = line.rsplit_once(' ').unwrap();
            assert!(ids.insert(request_id.to_owned()) && connection_id.len() == 16, "{line}");
            line.to_owned()
        })
        .collect();
    let expected = [
        "CONNECT $connect 200 - 200",
        "MESSAGE $default 200 - 200",
        "MESSAGE $default 502 Internal server error -",
        "DISCONNECT $disconnect 200 - 200",
    ];
    assert_eq!(shown, expected);
    // A deleted group is not created again.
    let settings = json!({ "destinationArn": "arn:aws:logs:us-east-1:000000000000:log-group:gone", "format": format });
    cloud.control("PATCH", &cloud.below("stages/prod"), json!({ "accessLogSettings": settings })).await;
    let _client = cloud.connect().await;
    assert_eq!(written().len(), 4);
}
