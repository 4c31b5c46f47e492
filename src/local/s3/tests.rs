use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::local::context::conditions::Conditions;
use crate::local::context::ports::{ControlledResources, Delivery, Invoked, ObjectStore};
use crate::local::context::store::Store;
use crate::local::lock::lock;
use crate::local::protocol::service::AnyService;
use crate::local::protocol::wire::{Request, Response};

const FUNCTION: &str = "arn:aws:lambda:eu-west-1:000000000000:function:f";
const QUEUE: &str = "arn:aws:sqs:eu-west-1:000000000000:q";

/// Receivers that keep what they get.
#[derive(Default)]
struct Fake {
    got: Mutex<Vec<(String, Value)>>,
    arrived: tokio::sync::Notify,
}

impl Fake {
    fn keep(&self, target: &str, event: Value) {
        lock(&self.got).push((target.to_owned(), event));
        self.arrived.notify_one();
    }

    fn take(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut lock(&self.got))
    }
}

#[async_trait]
impl Functions for Fake {
    async fn invoke(&self, _: &str, _: &str, _: Bytes, _: &str) -> Result<Invoked, ApiError> {
        unreachable!("S3 waits for no function")
    }

    fn send_event(&self, function_arn: &str, payload: Bytes) -> Result<(), ApiError> {
        self.keep(function_arn, serde_json::from_slice(&payload).unwrap());
        Ok(())
    }

    fn exists(&self, function_arn: &str) -> bool {
        function_arn != "arn:aws:lambda:eu-west-1:000000000000:function:gone"
    }

    fn permits(&self, function_arn: &str, service: &str, source_arn: &str) -> bool {
        (function_arn, service) == (FUNCTION, "s3.amazonaws.com") && source_arn.starts_with("arn:aws:s3:::")
    }
}

#[async_trait]
impl DeliveryTarget for Fake {
    fn service(&self) -> &'static str {
        "sqs"
    }

    async fn deliver(&self, arn: &str, message: Delivery) -> Result<(), ApiError> {
        if arn != QUEUE {
            return Err(ApiError::new(403, "AccessDenied", "the queue's policy does not allow it"));
        }
        self.keep(arn, serde_json::from_str(&message.body).unwrap());
        Ok(())
    }
}

impl EventBus for Fake {
    fn publish_event(&self, region: &str, event: &Value) {
        self.keep(region, event.clone());
    }
}

struct Fixture {
    s3: Arc<S3>,
    fake: Arc<Fake>,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fake = Arc::new(Fake::default());
        Self { s3: Self::open(&folder, &fake), fake, folder }
    }

    fn open(folder: &tempfile::TempDir, fake: &Arc<Fake>) -> Arc<S3> {
        let context = CloudContext {
            port: 0,
            hosts: Default::default(),
            store: Store::open(folder.path()).unwrap(),
            conditions: Arc::new(Conditions::default()),
            ca_bundle: folder.path().join("ca.pem"),
            recorder: Arc::default(),
        };
        let receivers = Receivers { functions: fake.clone(), others: vec![fake.clone()], bus: fake.clone() };
        S3::open(&context, receivers).unwrap()
    }

    async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Result<Response, ApiError> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Request::in_test(method, path, body);
        request.query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        for (name, value) in headers {
            request.headers.insert(*name, value.parse().unwrap());
        }
        let service = Arc::new(self.s3.clone());
        let call = AnyService::prepare(&*service, request)?;
        Ok(AnyService::call(&*service, call).await?.in_memory(usize::MAX).await)
    }

    async fn ok(&self, method: &str, target: &str, body: &str) -> String {
        let response = self.send(method, target, &[], body).await.unwrap();
        String::from_utf8(response.body.to_vec()).unwrap()
    }

    async fn refused(&self, method: &str, target: &str, headers: &[(&'static str, &str)], body: &str) -> String {
        self.send(method, target, headers, body).await.unwrap_err().code.into_owned()
    }

    async fn bucket() -> Self {
        let fixture = Self::new();
        fixture.ok("PUT", "/files", "").await;
        fixture
    }
}

#[tokio::test]
async fn an_object_is_what_was_put_after_a_restart_too() {
    let mut one = Fixture::bucket().await;
    let headers = [
        ("content-type", "text/plain"),
        ("x-amz-meta-room", "blue"),
        ("x-amz-tagging", "a=1&b=%20"),
        ("content-encoding", "gzip,aws-chunked"),
    ];
    let put = one.send("PUT", "/files/a%20b/c", &headers, "hello").await.unwrap();
    assert_eq!(put.headers["etag"], "\"5d41402abc4b2a76b9719d911017c592\"");
    one.s3 = Fixture::open(&one.folder, &one.fake);
    let got = one.send("GET", "/files/a%20b/c", &[("range", "bytes=1-3")], "").await.unwrap();
    assert_eq!((got.status.as_u16(), &got.body[..]), (206, &b"ell"[..]));
    for (name, value) in [
        ("content-range", "bytes 1-3/5"),
        ("content-type", "text/plain"),
        ("content-encoding", "gzip"),
        ("x-amz-meta-room", "blue"),
        ("x-amz-tagging-count", "2"),
        ("content-length", "3"),
    ] {
        assert_eq!(got.headers[name], value, "{name}");
    }
    let head = one.send("HEAD", "/files/a%20b/c", &[], "").await.unwrap();
    assert_eq!((head.headers["content-length"].to_str().unwrap(), head.body.len()), ("5", 0));
    assert!(one.ok("GET", "/files/a%20b/c?tagging", "").await.contains("<Key>b</Key><Value> </Value>"));
    assert_eq!(one.refused("GET", "/files/gone", &[], "").await, "NoSuchKey");
    assert_eq!(one.refused("GET", "/other/gone", &[], "").await, "NoSuchBucket");
    assert_eq!(one.refused("DELETE", "/files", &[], "").await, "BucketNotEmpty");
    one.ok("DELETE", "/files/a%20b/c", "").await;
    one.ok("DELETE", "/files/a%20b/c", "").await;
    one.ok("DELETE", "/files", "").await;
    assert_eq!(one.refused("HEAD", "/files", &[], "").await, "NoSuchBucket");
    assert_eq!(std::fs::read_dir(one.folder.path().join(OBJECTS)).unwrap().count(), 0);
}

#[tokio::test]
async fn conditions_decide() {
    let one = Fixture::bucket().await;
    one.ok("PUT", "/files/k", "x").await;
    let etag = "\"9dd4e461268c8034f5c8564e155c67a6\"";
    let status = async |name: &'static str, value: &str| {
        let answer = one.send("GET", "/files/k", &[(name, value)], "").await;
        answer.map_or_else(|error| error.status, |response| response.status.as_u16())
    };
    assert_eq!(status("if-none-match", etag).await, 304);
    assert_eq!(status("if-none-match", "\"other\"").await, 200);
    assert_eq!(status("if-match", etag).await, 200);
    assert_eq!(status("if-match", "\"other\"").await, 412);
    assert_eq!(status("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT").await, 304);
    assert_eq!(status("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT").await, 412);
    assert_eq!(one.refused("PUT", "/files/k", &[("if-none-match", "*")], "y").await, "PreconditionFailed");
    one.send("PUT", "/files/new", &[("if-none-match", "*")], "y").await.unwrap();
}

#[tokio::test]
async fn what_is_not_served_is_refused_by_name() {
    let one = Fixture::bucket().await;
    for (method, target, name) in [
        ("GET", "/files?replication", "replication"),
        ("PUT", "/files?object-lock", "object-lock"),
        ("GET", "/files/k?torrent", "torrent"),
        ("POST", "/files/k?restore", "restore"),
        ("POST", "/files/k?select&select-type=2", "select"),
    ] {
        let error = one.send(method, target, &[], "").await.unwrap_err();
        assert_eq!((error.status, &*error.code), (501, "NotImplemented"), "{target}");
        assert!(error.message.contains(name), "{}", error.message);
    }
    let customer = [("x-amz-server-side-encryption-customer-algorithm", "AES256")];
    assert_eq!(one.refused("PUT", "/files/k", &customer, "").await, "NotImplemented");
    assert_eq!(
        one.refused("PUT", "/files/k", &[("x-amz-acl", "public-read")], "").await,
        "AccessControlListNotSupported"
    );
}

#[tokio::test]
async fn settings_are_kept_and_given_back() {
    let one = Fixture::bucket().await;
    for (name, document) in [
        ("cors", "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"),
        ("versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"),
        ("website", "<WebsiteConfiguration/>"),
        ("policy", r#"{"Statement": []}"#),
    ] {
        one.ok("PUT", &format!("/files?{name}"), document).await;
        assert!(one.ok("GET", &format!("/files?{name}"), "").await.ends_with(document), "{name}");
    }
    for (name, code) in [("cors", "NoSuchCORSConfiguration"), ("policy", "NoSuchBucketPolicy")] {
        one.ok("DELETE", &format!("/files?{name}"), "").await;
        assert_eq!(one.refused("GET", &format!("/files?{name}"), &[], "").await, code);
    }
    assert!(one.ok("GET", "/files?encryption", "").await.contains("AES256"));
    assert_eq!(one.refused("PUT", "/files?cors", &[], "<a>").await, "MalformedXML");
    assert_eq!(one.refused("PUT", "/files?policy", &[], "x").await, "MalformedPolicy");
    assert_eq!(one.refused("PUT", "/Bad_Name", &[], "").await, "InvalidBucketName");
}

#[tokio::test]
async fn notifications_go_where_they_are_configured_to() {
    let one = Fixture::bucket().await;
    let configuration = format!(
        "<NotificationConfiguration><CloudFunctionConfiguration><Id>mine</Id><CloudFunction>{FUNCTION}</CloudFunction>\
         <Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value>in/</Value></FilterRule></S3Key>\
         </Filter></CloudFunctionConfiguration><QueueConfiguration><Queue>{QUEUE}</Queue><Event>s3:ObjectRemoved:*</Event>\
         </QueueConfiguration><EventBridgeConfiguration/></NotificationConfiguration>"
    );
    one.ok("PUT", "/files?notification", &configuration).await;
    let test = one.fake.take();
    assert_eq!((test.len(), test[0].1["Event"].as_str()), (1, Some("s3:TestEvent")), "{test:?}");
    assert!(one.ok("GET", "/files?notification", "").await.contains("<Id>mine</Id>"));

    one.ok("PUT", "/files/in/a%20b%2Bc", "x").await;
    one.ok("PUT", "/files/out", "x").await;
    let told = one.fake.take();
    let targets: Vec<&str> = told.iter().map(|(target, _)| target.as_str()).collect();
    assert_eq!(targets, [FUNCTION, "eu-west-1", "eu-west-1"]);
    let record = &told[0].1["Records"][0];
    assert_eq!(record["eventName"], "ObjectCreated:Put");
    assert_eq!(record["s3"]["configurationId"], "mine");
    assert_eq!(record["s3"]["object"]["key"], "in/a+b%2Bc");
    assert_eq!(
        record["s3"]["bucket"],
        json!({
            "name": "files", "ownerIdentity": { "principalId": "00000000000000" }, "arn": "arn:aws:s3:::files",
        })
    );
    let event = &told[1].1;
    assert_eq!(
        (&event["detail-type"], &event["detail"]["object"]["key"]),
        (&json!("Object Created"), &json!("in/a b+c"))
    );
    assert_eq!(event["detail"]["reason"], "PutObject");

    one.ok("DELETE", "/files/out", "").await;
    while lock(&one.fake.got).len() < 2 {
        one.fake.arrived.notified().await;
    }
    let told = one.fake.take();
    let to_queue = told.iter().find(|(target, _)| target == QUEUE).unwrap();
    assert_eq!(to_queue.1["Records"][0]["eventName"], "ObjectRemoved:Delete");
    // What was not there is not told of.
    one.ok("DELETE", "/files/out", "").await;
    assert_eq!(one.fake.take(), []);

    for (target, why) in [
        (FUNCTION.replace("function:f", "function:gone"), "there is no function"),
        (FUNCTION.replace("function:f", "function:g"), "policy"),
    ] {
        let error =
            one.send("PUT", "/files?notification", &[], &configuration.replace(FUNCTION, &target)).await.unwrap_err();
        assert!(error.code == "InvalidArgument" && error.message.contains(why), "{error:?}");
    }
    let other = configuration.replace(QUEUE, "arn:aws:sqs:eu-west-1:000000000000:closed");
    let error = one.send("PUT", "/files?notification", &[], &other).await.unwrap_err();
    assert!(error.message.contains("the queue's policy does not allow it"), "{error:?}");
}

#[tokio::test]
async fn an_upload_in_parts_becomes_one_object() {
    let one = Fixture::bucket().await;
    let begun = one.ok("POST", "/files/big?uploads", "").await;
    let id = begun.split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let first = "a".repeat(5 << 20);
    let put = async |number: u32, body: &str| {
        let response =
            one.send("PUT", &format!("/files/big?partNumber={number}&uploadId={id}"), &[], body).await.unwrap();
        response.headers["etag"].to_str().unwrap().to_owned()
    };
    let (one_etag, two_etag) = (put(1, &first).await, put(2, "end").await);
    let complete = |parts: &[(u32, &str)]| {
        let parts: String = parts
            .iter()
            .map(|(number, etag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"))
            .collect();
        format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
    };
    let target = format!("/files/big?uploadId={id}");
    for (parts, code) in [
        (complete(&[(2, &two_etag), (1, &one_etag)]), "InvalidPartOrder"),
        (complete(&[(1, "\"x\"")]), "InvalidPart"),
        (complete(&[]), "MalformedXML"),
    ] {
        assert_eq!(one.refused("POST", &target, &[], &parts).await, code);
    }
    assert!(one.ok("GET", &target, "").await.contains("<PartNumber>2</PartNumber>"));
    let done = one.ok("POST", &target, &complete(&[(1, &one_etag), (2, &two_etag)])).await;
    assert!(done.contains("-2&quot;</ETag>"), "{done}");
    let got = one.send("GET", "/files/big", &[("range", "bytes=5242879-")], "").await.unwrap();
    assert_eq!(&got.body[..], b"aend");
    assert_eq!(one.refused("POST", &target, &[], &complete(&[(1, &one_etag)])).await, "NoSuchUpload");
    assert_eq!(std::fs::read_dir(one.folder.path().join(OBJECTS)).unwrap().count(), 1, "no part is left");
    assert_eq!(ObjectStore::read(&*one.s3, "files", "big", 1 << 30).unwrap().len(), (5 << 20) + 3);
    assert_eq!(ObjectStore::read(&*one.s3, "files", "big", 3).unwrap_err().code, "EntityTooLarge");
}

#[tokio::test]
async fn cloud_control_sees_the_same_buckets() {
    let one = Fixture::new();
    let cloud: &dyn ControlledResources = &*one.s3;
    let mut properties = json!({
        "BucketName": "files",
        "Tags": [{ "Key": "a", "Value": "b" }],
        "VersioningConfiguration": { "Status": "Enabled" },
        "NotificationConfiguration": { "LambdaConfigurations": [{ "Event": "s3:ObjectCreated:*", "Function": FUNCTION }] },
    });
    let create = || cloud.create("eu-west-1", "AWS::S3::Bucket", &properties);
    assert_eq!(create().unwrap(), "files");
    assert_eq!(create().unwrap_err().code, "AlreadyExists");
    one.ok("PUT", "/files/k", "x").await;
    assert_eq!(one.fake.take().len(), 1);
    let read = || cloud.read("eu-west-1", "AWS::S3::Bucket", "files").unwrap();
    for (name, value) in properties.as_object().unwrap() {
        assert_eq!(read()[name], *value, "{name}");
    }
    assert_eq!(read()["Arn"], "arn:aws:s3:::files");
    assert_eq!(read()["RegionalDomainName"], "files.s3.eu-west-1.amazonaws.com");
    assert_eq!(cloud.delete("eu-west-1", "AWS::S3::Bucket", "files").unwrap_err().code, "BucketNotEmpty");
    properties.as_object_mut().unwrap().remove("NotificationConfiguration");
    cloud.update("eu-west-1", "AWS::S3::Bucket", "files", &properties).unwrap();
    assert_eq!(read()["NotificationConfiguration"], Value::Null);
    one.ok("DELETE", "/files/k", "").await;
    assert_eq!(one.fake.take(), []);

    let policy = json!({ "Bucket": "files", "PolicyDocument": { "Statement": [] } });
    assert_eq!(cloud.create("eu-west-1", "AWS::S3::BucketPolicy", &policy).unwrap(), "files");
    assert_eq!(cloud.read("eu-west-1", "AWS::S3::BucketPolicy", "files"), Some(policy.clone()));
    assert_eq!(one.ok("GET", "/files?policy", "").await, r#"{"Statement":[]}"#);
    cloud.delete("eu-west-1", "AWS::S3::BucketPolicy", "files").unwrap();
    assert_eq!(cloud.read("eu-west-1", "AWS::S3::BucketPolicy", "files"), None);
    cloud.delete("eu-west-1", "AWS::S3::Bucket", "files").unwrap();
    assert_eq!(cloud.list("eu-west-1", "AWS::S3::Bucket"), [""; 0]);
}

#[test]
fn a_request_is_for_one_bucket_and_key() {
    for (host, path, expected) in [
        ("localhost:4579", "/b/k", ("b", "k")),
        ("127.0.0.1:4579", "/b", ("b", "")),
        ("127.0.0.1:4579", "/b//x/", ("b", "/x/")),
        ("127.0.0.1:4579", "/", ("", "")),
        ("b.s3.localhost:4579", "/a/k%20y", ("b", "a/k y")),
        ("b.localhost:4579", "/k", ("b", "k")),
        ("s3.localhost:4579", "/b/k", ("b", "k")),
        ("b.c.s3.eu-west-1.amazonaws.com", "/", ("b.c", "")),
        ("s3.eu-west-1.amazonaws.com", "/b/k", ("b", "k")),
    ] {
        let mut request = Request::in_test("GET", path, "");
        request.headers.insert("host", host.parse().unwrap());
        let (bucket, key) = call::place(&request);
        assert_eq!((bucket.as_str(), key.as_str()), expected, "{host}{path}");
    }
}
