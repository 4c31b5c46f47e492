//! Code that is in S3 alone: fetched with the caller's credentials, asked for once a run, and refused in words.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;

use crate::common::{Cloud, DEPLOYER, Run};

/// As much of S3 as GetObject takes, on a port of loopback, with paths that begin with the bucket. It ends with the test's process.
struct Bucket {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By key.
    objects: BTreeMap<String, Vec<u8>>,
    /// The buckets' region.
    region: String,
    /// The access key that may read.
    reader: String,
    /// Status and target of each answered request.
    asked: Vec<(u16, String)>,
}

impl Bucket {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { region: "us-east-1".to_owned(), reader: DEPLOYER.to_owned(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || answer(&stream, &state));
            }
        });
        Self { port, state }
    }

    fn put(&self, key: &str, content: Vec<u8>) {
        self.state.lock().unwrap().objects.insert(key.to_owned(), content);
    }

    fn asked(&self) -> Vec<(u16, String)> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    fn statuses(&self) -> Vec<u16> {
        self.asked().into_iter().map(|(status, _)| status).collect()
    }

    /// A verb against the local cloud as if it were AWS, and this S3.
    fn run(&self, cloud: &Cloud, arguments: &[&str], access_key: &str) -> Run {
        let mut command = cloud.command(arguments);
        command
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", cloud.port()))
            .env("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{}", self.port))
            .env("AWS_ACCESS_KEY_ID", access_key)
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_REGION", "us-east-1");
        cloud.begin_command(&mut command).end()
    }

    fn up(&self, cloud: &Cloud) -> Run {
        self.run(cloud, &["up", "--yes"], DEPLOYER)
    }
}

fn answer(stream: &TcpStream, state: &Mutex<State>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let headers: BTreeMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let target = first.split(' ').nth(1).unwrap().to_owned();
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let (status, more, body) = {
        let mut state = state.lock().unwrap();
        let answer = decide(&state, &target, &header);
        state.asked.push((answer.0, target));
        answer
    };
    let mut stream = stream;
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{more}\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn decide(state: &State, target: &str, header: &impl Fn(&str) -> String) -> (u16, String, Vec<u8>) {
    let refusal = |status: u16, code: &str, message: &str| {
        let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
        (status, format!("x-amz-bucket-region: {}\r\n", state.region), text.into_bytes())
    };
    let (path, version) = target.split_once("?versionId=").map_or((target, None), |(path, id)| (path, Some(id)));
    let Some((bucket, key)) = path.trim_start_matches('/').split_once('/') else {
        return refusal(400, "InvalidURI", "no key");
    };
    let signature = header("authorization");
    let scope = format!("/{}/s3/aws4_request", state.region);
    if !signature.starts_with("AWS4-HMAC-SHA256 Credential=") || header("x-amz-content-sha256").is_empty() {
        return refusal(403, "AccessDenied", "Access Denied");
    }
    if !signature.contains(&scope) {
        return refusal(301, "PermanentRedirect", "The bucket is elsewhere");
    }
    if bucket != "zips" {
        return refusal(404, "NoSuchBucket", "The specified bucket does not exist");
    }
    if !signature.contains(&format!("Credential={}/", state.reader)) {
        return refusal(403, "AccessDenied", "Access Denied");
    }
    let key = percent_encoding::percent_decode_str(key).decode_utf8().unwrap();
    let Some(content) = state.objects.get(&*key).filter(|_| version.is_none_or(|version| version == "v1")) else {
        return refusal(404, "NoSuchKey", "The specified key does not exist.");
    };
    let etag = format!("\"{}\"", &hex::encode(Sha256::digest(content))[..32]);
    let headers = format!("etag: {etag}\r\nx-amz-bucket-region: {}\r\n", state.region);
    if header("if-none-match") == etag {
        return (304, headers, Vec::new());
    }
    (200, headers, content.clone())
}

/// A zip with a Python handler that answers with `text`.
fn zipped(text: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("app.py", SimpleFileOptions::default()).unwrap();
    zip.write_all(format!("def handler(event, context):\n    return \"{text}\"\n").as_bytes()).unwrap();
    zip.finish().unwrap().into_inner()
}

const TEMPLATE: &str = "
Transform: AWS::Serverless-2016-10-31
Parameters: { Bucket: { Type: String, Default: zips }, Key: { Type: String, Default: 'a b/code' } }
Resources:
  One:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: { Bucket: !Ref Bucket, Key: !Ref Key }, Handler: app.handler, Runtime: python3.12 }
  Two:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: 's3://zips/a b/code', Handler: app.handler, Runtime: python3.12 }
";

fn cloud(template: &str) -> Cloud {
    let cloud = Cloud::start().go();
    fs::write(cloud.folder().join("template.yaml"), template).unwrap();
    cloud
}

async fn said(cloud: &Cloud) -> Value {
    let lambda = aws_sdk_lambda::Client::new(&cloud.sdk().await);
    let functions = lambda.list_functions().send().await.unwrap();
    let name = functions.functions()[0].function_name().unwrap().to_owned();
    serde_json::from_slice(lambda.invoke().function_name(name).send().await.unwrap().payload().unwrap().as_ref())
        .unwrap()
}

#[tokio::test]
async fn code_is_fetched_once_and_asked_for_once_a_run() {
    let (cloud, bucket) = (cloud(TEMPLATE), Bucket::open());
    bucket.put("a b/code", zipped("first"));
    bucket.up(&cloud).ok();
    assert_eq!(bucket.asked(), [(200, "/zips/a%20b/code".to_owned())], "two functions have one object");
    assert_eq!(said(&cloud).await, "first");

    bucket.up(&cloud).ok().changes_nothing();
    assert_eq!(bucket.statuses(), [304]);

    bucket.put("a b/code", zipped("second"));
    let run = bucket.up(&cloud).ok();
    assert_eq!(run.mutations(), ["lambda.UpdateFunctionCode"; 2]);
    assert_eq!(bucket.statuses(), [200]);
    assert_eq!(said(&cloud).await, "second");

    // A version never changes.
    let text = TEMPLATE.replace("Key: !Ref Key }", "Key: !Ref Key, Version: v1 }");
    fs::write(cloud.folder().join("template.yaml"), text.replace("zips/a b/code'", "zips/a b/code?versionId=v1'"))
        .unwrap();
    bucket.up(&cloud).ok().changes_nothing();
    assert_eq!(bucket.statuses(), [200]);
    bucket.up(&cloud).ok().changes_nothing();
    assert_eq!(bucket.statuses(), [0; 0]);

    // What lies beside the template comes first.
    fs::write(cloud.folder().join("template.yaml"), TEMPLATE).unwrap();
    fs::write(cloud.folder().join("code.zip"), zipped("beside")).unwrap();
    bucket.up(&cloud).ok();
    assert_eq!(bucket.statuses(), [0; 0]);
    assert_eq!(said(&cloud).await, "beside");
}

#[tokio::test]
async fn a_bucket_of_another_region_is_found_there() {
    let (cloud, bucket) = (cloud(TEMPLATE), Bucket::open());
    bucket.state.lock().unwrap().region = "eu-central-1".to_owned();
    bucket.put("a b/code", zipped("from afar"));
    bucket.up(&cloud).ok();
    assert_eq!(bucket.statuses(), [301, 200]);
    assert_eq!(said(&cloud).await, "from afar");
}

#[tokio::test]
async fn what_cannot_be_fetched_is_refused_in_words() {
    let (cloud, bucket) = (cloud(TEMPLATE), Bucket::open());
    let failed = |access_key: &str, arguments: &[&str]| {
        let arguments = [&["up", "--yes"], arguments].concat();
        let run = bucket.run(&cloud, &arguments, access_key).exits(1);
        assert!(run.mutations().is_empty(), "nothing was made: {:?}", run.mutations());
        run.stderr
    };
    let said = failed(DEPLOYER, &[]);
    assert!(said.contains("s3://zips/a b/code: the bucket zips has no object a b/code"), "{said}");
    assert!(said.contains("or put code.zip beside the template"), "{said}");

    bucket.put("a b/code", zipped("x"));
    let said = failed("stranger", &[]);
    assert!(said.contains("S3 answers AccessDenied: Access Denied"), "{said}");
    assert!(said.contains("needs s3:GetObject on arn:aws:s3:::zips/a b/code"), "{said}");

    let said = failed(DEPLOYER, &["--parameter", "Bucket=gone"]);
    assert!(said.contains("s3://gone/a b/code: there is no bucket gone"), "{said}");

    // It is one of the permissions that `up` needs.
    let policy = bucket.run(&cloud, &["policy"], DEPLOYER).ok().stdout;
    assert!(policy.contains("s3:GetObject") && policy.contains("arn:aws:s3:::zips/a b/code"), "{policy}");
}

#[tokio::test]
async fn the_local_cloud_says_what_it_lacks_and_takes_a_profile() {
    let (cloud, bucket) = (cloud(TEMPLATE), Bucket::open());
    bucket.put("a b/code", zipped("by profile"));
    let said = bucket.run(&cloud, &["up", "--local", "--yes"], DEPLOYER).exits(1).stderr;
    assert!(said.contains("it is in S3 (s3://zips/a b/code), and code.zip is not beside the template"), "{said}");
    assert!(said.contains("--profile NAME"), "{said}");
    assert_eq!(bucket.statuses(), [0; 0]);

    let profile = cloud.folder().join("profile");
    let keys = "[profile zips]\naws_access_key_id = local\naws_secret_access_key = secret\n";
    fs::write(&profile, keys).unwrap();
    let mut command = cloud.command(&["up", "--local", "--yes", "--profile", "zips"]);
    command.env("AWS_CONFIG_FILE", &profile).env("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{}", bucket.port));
    cloud.begin_command(&mut command).end().ok();
    assert_eq!(bucket.statuses(), [200]);
    assert_eq!(crate::s3::said(&cloud).await, "by profile");
}

#[tokio::test]
async fn a_zip_that_is_too_large_for_a_request_is_left_to_lambda() {
    let (cloud, bucket) = (cloud(TEMPLATE), Bucket::open());
    // What does not compress: 51 MB of it, more than a request may have.
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("app.py", SimpleFileOptions::default()).unwrap();
    zip.write_all(b"def handler(event, context):\n    return 1\n").unwrap();
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("data", stored).unwrap();
    zip.write_all(&vec![7; 51 << 20]).unwrap();
    bucket.put("a b/code", zip.finish().unwrap().into_inner());
    // The local cloud's Lambda reads no S3, and says so as AWS says of a missing bucket: what is sent is the object's name.
    let said = bucket.up(&cloud).exits(1).stderr;
    assert!(said.contains("Error occurred while GetObject. S3 Error Code: NoSuchBucket"), "{said}");
    // Lambda takes objects of its own region only.
    bucket.state.lock().unwrap().region = "eu-central-1".to_owned();
    fs::remove_dir_all(cloud.folder().join(".wschat/build")).ok();
    fs::remove_dir_all(cloud.data().parent().unwrap().join("build")).ok();
    let said = bucket.up(&cloud).exits(1).stderr;
    assert!(said.contains("but Lambda accepts at most 50.0 MB"), "{said}");
}
