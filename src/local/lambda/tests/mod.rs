//! Tests of Lambda through its requests, with a fake IAM and a fake CloudWatch Logs.

mod control;
mod execution;
mod mappings;
mod refusals;
mod streams;

use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::Lambda;
use super::execution::ExecutionTimings;
use crate::local::context::CloudContext;
use crate::local::context::conditions::Conditions;
use crate::local::context::ports::{Credentials, LogEvent, LogSink, Roles};
use crate::local::context::store::Store;
use crate::local::eventually::{PATIENCE, eventually};
use crate::local::lock::lock;
use crate::local::protocol::service::AnyService;
use crate::local::protocol::wire::{ApiError, Caller, Request, Response};

const ROLE: &str = "arn:aws:iam::000000000000:role/chat";
const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:chat";

/// A Lambda with its own store.
struct Cloud {
    lambda: Arc<Lambda>,
    context: CloudContext,
    logs: Arc<Logs>,
    timings: ExecutionTimings,
    _folder: TempDir,
}

/// A fake IAM with one role.
struct OneRole;

impl Roles for OneRole {
    fn assumable(&self, role_arn: &str, service: &str) -> bool {
        role_arn == ROLE && service == "lambda.amazonaws.com"
    }

    fn issue(&self, role_arn: &str, session_name: &str) -> Credentials {
        Credentials {
            access_key_id: format!("key of {role_arn}"),
            secret_access_key: "secret".to_owned(),
            session_token: format!("session {session_name}"),
        }
    }

    fn has_issued(&self, _access_key_id: &str) -> bool {
        true
    }
}

/// Group, stream and message of all log events; and whether the groups were deleted.
#[derive(Default)]
struct Logs(Mutex<Vec<(String, String, String)>>, Mutex<bool>);

impl LogSink for Logs {
    fn append_if(&self, region: &str, group: &str, stream: &str, events: Vec<LogEvent>, may_create: &dyn Fn() -> bool) {
        if *lock(&self.1) && !may_create() {
            return;
        }
        assert_eq!(region, "us-east-1");
        let entries = events.into_iter().map(|event| (group.to_owned(), stream.to_owned(), event.message));
        lock(&self.0).extend(entries);
    }

    fn has_group(&self, _region: &str, _group: &str) -> bool {
        true
    }
}

impl Cloud {
    /// Functions are active and updates finished at once.
    fn new() -> Self {
        Self::with(Duration::ZERO, Duration::ZERO, ExecutionTimings::default())
    }

    fn with(pending: Duration, updating: Duration, timings: ExecutionTimings) -> Self {
        let mut conditions = Conditions::default();
        conditions.eventual.function_pending = pending;
        conditions.eventual.function_updating = updating;
        Self::under(conditions, timings)
    }

    fn under(conditions: Conditions, timings: ExecutionTimings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let context = CloudContext {
            port: 4321,
            hosts: Default::default(),
            store: Store::open(folder.path()).unwrap(),
            conditions: Arc::new(conditions),
            ca_bundle: folder.path().join("ca.pem"),
            recorder: Arc::default(),
        };
        let logs = Arc::new(Logs::default());
        let lambda = Lambda::open_at(&context, Arc::new(OneRole), logs.clone(), timings).unwrap();
        Self { lambda, context, logs, timings, _folder: folder }
    }

    /// The same store, opened by another process.
    fn restart(&mut self) {
        self.lambda = Lambda::open_at(&self.context, Arc::new(OneRole), self.logs.clone(), self.timings).unwrap();
    }

    async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Response, ApiError> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let headers = headers.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
        let request = Request {
            method,
            path: path.to_owned(),
            query: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            headers: headers.collect::<HeaderMap>(),
            body: body.into(),
            file: None,
            caller: Caller { access_key: None, region: "us-east-1".to_owned() },
        };
        self.lambda.call(self.lambda.prepare(request)?).await
    }

    /// A control plane call: its answer's body.
    async fn call(&self, method: Method, target: &str, body: Value) -> Result<Value, ApiError> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let response = self.send(method, target, &[], body).await?;
        if response.body.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&response.body).unwrap())
    }

    async fn get(&self, target: &str) -> Result<Value, ApiError> {
        self.call(Method::GET, target, Value::Null).await
    }

    /// Creates the function `chat` with members of `more` in its request.
    async fn create(&self, more: Value) -> Result<Value, ApiError> {
        self.call(Method::POST, "/2015-03-31/functions", creation(more)).await
    }

    async fn invoke(&self, event: Value) -> Result<Response, ApiError> {
        self.send(Method::POST, "/2015-03-31/functions/chat/invocations", &[], event.to_string().into_bytes()).await
    }

    /// The result of an invocation that must succeed.
    async fn result(&self, event: Value) -> Value {
        let response = self.invoke(event).await.unwrap();
        let body = serde_json::from_slice(&response.body).unwrap();
        assert!(!response.headers.contains_key("x-amz-function-error"), "{body}");
        body
    }

    /// The error document of an invocation that must fail.
    async fn failure(&self, event: Value) -> Value {
        let response = self.invoke(event).await.unwrap();
        assert_eq!(response.headers["x-amz-function-error"], "Unhandled");
        serde_json::from_slice(&response.body).unwrap()
    }

    /// Waits until so many lines that begin with `START` are logged.
    async fn started(&self, count: usize) {
        let started = async || self.logged().iter().filter(|line| line.starts_with("START")).count() >= count;
        eventually("the invocations are started", started).await;
    }

    fn logged(&self) -> Vec<String> {
        lock(&self.logs.0).iter().map(|(_, _, message)| message.clone()).collect()
    }
}

/// The timeout is long: here a process of Python may get little of the processor.
fn creation(more: Value) -> Value {
    let mut members = json!({
        "FunctionName": "chat",
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "Role": ROLE,
        "Timeout": 30,
        "Code": { "ZipFile": code("one") },
    });
    members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    members
}

/// The code of a function that reports `version`, in the form of requests.
fn code(version: &str) -> String {
    let script = include_str!("bootstrap.py").replace("\"one\"", &format!("\"{version}\""));
    BASE64_STANDARD.encode(archive("bootstrap", &script, 0o755))
}

fn archive(name: &str, text: &str, mode: u32) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap().into_inner()
}

/// Status, code and message of a refusal.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, ApiError>) -> (u16, String, String) {
    let refusal = result.unwrap_err();
    (refusal.status, refusal.code.into_owned(), refusal.message)
}
