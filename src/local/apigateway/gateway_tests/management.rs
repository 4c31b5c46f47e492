//! Tests of `@connections`.

use super::*;

#[test]
fn connections_requires_signed_calls() {
    let folder = tempfile::tempdir().unwrap();
    let context = CloudContext {
        port: 1,
        hosts: Default::default(),
        store: Store::open(folder.path()).unwrap(),
        conditions: Arc::new(Conditions::default()),
        ca_bundle: folder.path().join("ca.pem"),
        recorder: Arc::default(),
    };
    let (events, _) = mpsc::unbounded_channel();
    let lambda = Lambda { handler: Box::new(echo), released: Arc::default(), events };
    let management = Management::new(
        ApiGateway::open_with(&context, Arc::new(lambda), Arc::new(Lines::default()), Limits::default()).unwrap(),
    );
    let mut unsigned = request("POST", "/prod/@connections/AAAAAAAAAAAAAAA=", Bytes::new());
    assert_eq!(management.operation(&unsigned).unwrap().name, "PostToConnection");
    unsigned.caller.access_key = None;
    let refused = management.operation(&unsigned).unwrap_err();
    assert_eq!((refused.status, refused.message.as_str()), (403, "Missing Authentication Token"));
}

#[tokio::test]
async fn backends_post_to_read_and_delete_connections() {
    let mut cloud = Cloud::new(&ALL, echo).await;
    let mut client = cloud.connect().await;
    let id = text(&cloud.event().await["requestContext"]["connectionId"]);

    assert_eq!(cloud.manage("POST", "prod", &id, "hello").await.0, 200);
    assert_eq!(next(&mut client).await, Message::text("hello"));
    let with_api = format!("{}/prod", cloud.api);
    assert_eq!(cloud.manage("POST", &with_api, &id, vec![0xff]).await.0, 200);
    assert_eq!(next(&mut client).await, Message::binary(vec![0xff]));

    let (status, seen) = cloud.manage("GET", "prod", &id, "").await;
    assert_eq!((status, &seen["identity"]), (200, &json!({ "sourceIp": "127.0.0.1", "userAgent": "" })));
    assert!(text(&seen["connectedAt"]).ends_with('Z') && text(&seen["lastActiveAt"]).ends_with('Z'));

    for (stage, id, body, expected) in [
        ("prod", "AAAAAAAAAAAAAAA=", 1, (410, "GoneException")),
        ("prod", "nonsense", 1, (400, "BadRequestException")),
        ("none", id.as_str(), 1, (403, "ForbiddenException")),
        ("prod", id.as_str(), 128 * 1024 + 1, (413, "PayloadTooLargeException")),
    ] {
        let answer = cloud.manage("POST", stage, id, vec![b'x'; body]).await;
        assert_eq!(answer, (expected.0, json!(expected.1)), "{stage} {id}");
    }
    assert_eq!(cloud.manage("POST", "prod", &id, vec![b'x'; 128 * 1024]).await.0, 200);
    assert_eq!(next(&mut client).await.len(), 128 * 1024);

    assert_eq!(cloud.manage("DELETE", "prod", &id, "").await.0, 204);
    assert_eq!(cloud.manage("POST", "prod", &id, "late").await.0, 410);
    assert_eq!(close_frame(&mut client).await.0, 1000);
    assert_eq!(cloud.event().await["requestContext"]["disconnectStatusCode"], 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_gone_while_its_own_connect_runs() {
    let (told, mut asked) = mpsc::unbounded_channel();
    let (answer, answered) = std::sync::mpsc::channel::<()>();
    let answered = Mutex::new(answered);
    let hold = move |event: &Value| {
        told.send(text(&event["requestContext"]["connectionId"])).unwrap();
        let _ = tokio::task::block_in_place(|| lock(&answered).recv());
        Ok(json!({ "statusCode": 200 }))
    };
    let cloud = Cloud::new(&[("$connect", "f", false)], hold).await;
    let inside = async {
        let id = within(asked.recv()).await.unwrap();
        let seen = cloud.manage("POST", "prod", &id, "early").await;
        answer.send(()).unwrap();
        (id, seen)
    };
    let (client, (id, seen)) = tokio::join!(cloud.connect(), inside);
    assert_eq!(seen, (410, json!("GoneException")));
    assert_eq!(cloud.manage("POST", "prod", &id, "now").await.0, 200);
    drop(client);
}

#[tokio::test]
async fn posting_to_a_client_that_does_not_read_is_refused_over_the_budget() {
    let mut cloud = Cloud::new(&ALL, echo).await;
    let _deaf = cloud.connect().await;
    let deaf = text(&cloud.event().await["requestContext"]["connectionId"]);
    let mut hearing = cloud.connect().await;
    let id = text(&cloud.event().await["requestContext"]["connectionId"]);
    let mut status = 200;
    for _ in 0..1000 {
        status = cloud.manage("POST", "prod", &deaf, vec![b'x'; 128 * 1024]).await.0;
        if status != 200 {
            break;
        }
    }
    assert_eq!(status, 429);
    assert_eq!(cloud.manage("POST", "prod", &id, "hello").await.0, 200);
    assert_eq!(next(&mut hearing).await, Message::text("hello"));
}
