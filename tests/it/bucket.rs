//! A chat with a bucket (`tests/fixtures/bucket`), and code that lies in a local bucket, on the developer's machine.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::net::TcpStream;

use aws_sdk_lambda::types::{FunctionCode, Runtime};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use crate::common::client::Client;
use crate::common::inventory::{Inventory, same};
use crate::common::template::{App, SWIFT, Template};
use crate::common::{Cloud, TESTER, eventually, signed};

/// A request to the local S3: status and body.
fn s3(cloud: &Cloud, method: &str, target: &str, headers: &str, body: &[u8]) -> (u16, String) {
    let authorization = format!(
        "Authorization: AWS4-HMAC-SHA256 Credential={TESTER}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n"
    );
    send(cloud, method, target, &format!("Host: 127.0.0.1:{}\r\n{authorization}{headers}", cloud.port()), body)
}

fn send(cloud: &Cloud, method: &str, target: &str, headers: &str, body: &[u8]) -> (u16, String) {
    let mut socket = TcpStream::connect(("127.0.0.1", cloud.port())).unwrap();
    let length = body.len();
    write!(socket, "{method} {target} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n")
        .unwrap();
    // What is refused before its body is read ends the connection.
    let _ = socket.write_all(body);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status =
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"));
    (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
}

fn bucket(cloud: &Cloud) -> String {
    let outputs = cloud.wschat(&["outputs", "--json", "--local"]).ok();
    serde_json::from_str::<Value>(&outputs.stdout).unwrap()["outputs"]["Bucket"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_put_into_the_bucket_is_told_to_its_client() {
    let cloud = App::bucket().fast();
    let run = cloud.up();
    assert!(!run.stderr.contains("Kept as records only"), "{}", run.stderr);
    let uri = run.uri();
    cloud.up().changes_nothing();
    cloud.status().ok();
    let mut client = Client::connect(&uri).await;
    client.say(r#"{"key": "notes/a b+ü.txt", "text": "hello"}"#).await;
    assert_eq!(client.hear().await, "ObjectCreated:Put notes/a b+ü.txt, 5 bytes: hello");
    // The filter drops one, and the next one still comes.
    client.say(r#"{"key": "unwanted", "text": "unwanted"}"#).await;
    client.say(r#"{"key": "b.txt", "text": "again"}"#).await;
    assert_eq!(client.hear().await, "ObjectCreated:Put b.txt, 5 bytes: again");

    // Objects survive a restart, and so does the notification.
    cloud.wschat(&["local", "stop"]).ok();
    cloud.wschat(&["local", "start", "--open"]).ok();
    let name = bucket(&cloud);
    let (status, listed) = s3(&cloud, "GET", &format!("/{name}?list-type=2&delimiter=/"), "", b"");
    assert_eq!(status, 200);
    assert!(listed.contains("<Key>b.txt</Key>") && listed.contains("<Prefix>notes/</Prefix>"), "{listed}");
    let mut client = Client::connect(&uri).await;
    client.say(r#"{"key": "c.txt", "text": "third"}"#).await;
    assert_eq!(client.hear().await, "ObjectCreated:Put c.txt, 5 bytes: third");
    client.close().await;

    // As on AWS, a bucket with objects is not deleted.
    let left = cloud.wschat(&["down", "--local", "--yes"]).exits(1).stderr;
    assert!(left.contains("The bucket you tried to delete is not empty"), "{left}");
    for key in ["notes/a%20b%2B%C3%BC.txt", "unwanted", "b.txt", "c.txt"] {
        assert_eq!(s3(&cloud, "DELETE", &format!("/{name}/{key}"), "", b"").0, 204, "{key}");
    }
    cloud.down();
    same(&cloud.inventory().await, &Inventory::new());
    assert_eq!(fs::read_dir(cloud.data().join("s3-objects")).unwrap().count(), 0);
}

/// The logical id of the bucket that keeps the answers of custom resources does not make all objects wschat's.
#[tokio::test]
async fn objects_of_others_in_the_bucket_for_answers_stay() {
    let down = |cloud: &Cloud, keys: &[&str]| {
        for key in keys {
            assert_eq!(s3(cloud, "PUT", &format!("/my-precious/{key}"), "", b"mine").0, 200, "{key}");
        }
        let run = cloud.wschat(&["down", "--local", "--yes"]).exits(1);
        assert!(run.stderr.contains("The bucket you tried to delete is not empty"), "{}", run.stderr);
        for key in keys {
            let object = format!("/my-precious/{key}");
            assert_eq!(s3(cloud, "GET", &object, "", b""), (200, "mine".to_owned()), "{key}");
            assert_eq!(s3(cloud, "DELETE", &object, "", b"").0, 204, "{key}");
        }
        cloud.down();
    };
    let bucket = json!({"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "my-precious"}});
    let cloud = Cloud::start().conditions(SWIFT).go();
    Template(json!({"Resources": {"CustomResourceAnswers": bucket}})).save(&cloud);
    cloud.up();
    down(&cloud, &["photos/1.jpg", "state/of-the-nation.json", "answers/42.json"]);
    same(&cloud.inventory().await, &Inventory::new());

    // The template's own takes the place of the one that wschat adds, which custom resources wait for.
    let cloud = App::custom().fast();
    let mut template = Template::of("tests/fixtures/custom/template.yaml");
    *template.get("CustomResourceAnswers") = bucket;
    template.save_as(&cloud, "template.yaml");
    cloud.up();
    down(&cloud, &["photos/1.jpg"]);
    same(&cloud.inventory().await, &Inventory::new());
}

#[tokio::test]
async fn a_function_comes_from_an_object() {
    let cloud = Cloud::start().go();
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("app.py", SimpleFileOptions::default()).unwrap();
    zip.write_all(b"def handler(event, context):\n    return \"from S3\"\n").unwrap();
    assert_eq!(s3(&cloud, "PUT", "/code", "", b"").0, 200);
    assert_eq!(s3(&cloud, "PUT", "/code/a%20b.zip", "", &zip.finish().unwrap().into_inner()).0, 200);

    let trust = r#"{"Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}}"#;
    let iam = aws_sdk_iam::Client::new(&cloud.sdk().await);
    let role = iam.create_role().role_name("worker").assume_role_policy_document(trust).send().await.unwrap();
    let role = role.role().unwrap().arn().to_owned();
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    let create = |key: &str| {
        let code = FunctionCode::builder().s3_bucket("code").s3_key(key).build();
        let create = lambda.create_function().function_name("f").runtime(Runtime::Python312).handler("app.handler");
        create.role(&role).code(code).send()
    };
    let missing = async || create("gone.zip").await.unwrap_err().into_service_error().to_string();
    eventually("the object is missed", async || missing().await.contains("S3 Error Code: NoSuchKey")).await;
    eventually("the role can be assumed", async || create("a b.zip").await.is_ok()).await;
    eventually("it is active, and what the object has", async || {
        let answer = lambda.invoke().function_name("f").send().await;
        answer.is_ok_and(|answer| answer.payload().unwrap().as_ref() == b"\"from S3\"")
    })
    .await;
}

#[test]
fn nobody_reads_a_bucket_without_a_key_but_by_its_policy() {
    let cloud = Cloud::start().locked().go();
    let environment = cloud.wschat(&["env", "--json"]).ok();
    let environment: Value = serde_json::from_str(environment.stdout.lines().next().unwrap()).unwrap();
    let variable = |name: &str| environment["variables"][name].as_str().unwrap();
    let (key, secret) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"));
    let signed_with = |secret: &str, method: &str, target: &str, body: &[u8]| {
        send(&cloud, method, target, &signed((key, secret), "s3", method, target, "localhost"), body)
    };
    let signed = |method: &str, target: &str, body: &[u8]| signed_with(secret, method, target, body);
    // The id of a key is in every presigned address, so it opens nothing.
    for (method, target) in [("PUT", "/pages"), ("GET", "/")] {
        let (status, refused) = signed_with("another", method, target, b"");
        assert!(status == 403 && refused.contains("<Code>SignatureDoesNotMatch</Code>"), "{refused}");
    }
    assert_eq!(signed("PUT", "/pages", b"").0, 200);
    assert_eq!(signed("PUT", "/pages/index.html", b"<p>hello").0, 200);
    let anonymous = || send(&cloud, "GET", "/index.html", "Host: pages.s3.localhost\r\n", b"");
    let (status, refused) = anonymous();
    assert!(status == 403 && refused.contains("<Code>AccessDenied</Code>"), "{refused}");
    let stranger = "Host: localhost\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n";
    let (status, refused) = send(&cloud, "PUT", "/pages/other", stranger, b"x");
    assert!(status == 403 && refused.contains("<Code>InvalidAccessKeyId</Code>"), "{refused}");

    let policy = br#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::pages/*"}}"#;
    assert_eq!(signed("PUT", "/pages?policy", policy).0, 204);
    // New buckets restrict what is public.
    assert_eq!(anonymous().0, 403);
    assert_eq!(signed("DELETE", "/pages?publicAccessBlock", b"").0, 204);
    assert_eq!(anonymous().0, 403, "the default counts again");
    let open = b"<PublicAccessBlockConfiguration><RestrictPublicBuckets>false</RestrictPublicBuckets></PublicAccessBlockConfiguration>";
    assert_eq!(signed("PUT", "/pages?publicAccessBlock", open).0, 200);
    assert_eq!(anonymous(), (200, "<p>hello".to_owned()));
    assert_eq!(send(&cloud, "DELETE", "/index.html", "Host: pages.s3.localhost\r\n", b"").0, 403);
    // What everyone may write is written as it was sent.
    let put = |key: &str| send(&cloud, "PUT", key, "Host: pages.s3.localhost\r\n", b"from a stranger");
    assert_eq!(put("/guests/a.txt").0, 403);
    let policy = br#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": "arn:aws:s3:::pages/guests/*"}}"#;
    assert_eq!(signed("PUT", "/pages?policy", policy).0, 204);
    assert_eq!(put("/guests/a.txt").0, 200);
    assert_eq!(signed("GET", "/pages/guests/a.txt", b""), (200, "from a stranger".to_owned()));
    assert_eq!(put("/a.txt").0, 403);
    let forged = format!(
        "/pages/index.html?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={key}/20260101/us-east-1/s3/aws4_request\
         &X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
    );
    let (status, refused) = send(&cloud, "GET", &forged, "Host: localhost\r\n", b"");
    assert!(status == 403 && refused.contains("Request has expired"), "{refused}");
}
