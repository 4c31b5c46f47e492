//! Shared by the end-to-end tests: a local cloud for each test, the built binary run against it, and the log of its calls.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "clippy takes only test functions for tests"
)]

pub mod aws;
pub mod call_name;
pub mod client;
pub mod cloudformation;
pub mod cut;
pub mod inventory;
pub mod pool;
pub mod proxy;
pub mod sample;
pub mod template;
pub mod terminal;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_types::retry::RetryConfig;
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};
use wschat::local::protocol::signature::sign;
use wschat::local::server::call_log::LoggedCall;

/// The default stack of commands.
pub const STACK: &str = "app";

/// The access keys of wschat in a local cloud, and of the tests' own clients.
pub const DEPLOYER: &str = "local";
pub const TESTER: &str = "tester";

/// The time between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The limit of every wait, far longer than anything takes here.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until the condition holds.
pub async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(10 * POLL_INTERVAL).await;
        }
    };
    assert!(tokio::time::timeout(TIMEOUT, wait).await.is_ok(), "still not true: {what}");
}

/// The head of a request that is signed with an access key (id, secret) for a service, but for its request line: `Host` and what signs.
pub fn signed(key: (&str, &str), service: &str, method: &str, target: &str, host: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut query: Vec<String> = query
        .split('&')
        .filter(|one| !one.is_empty())
        .map(|one| if one.contains('=') { one.to_owned() } else { format!("{one}=") })
        .collect();
    query.sort();
    let (at, body, names) = ("20260101T000000Z", "UNSIGNED-PAYLOAD", "host;x-amz-content-sha256;x-amz-date");
    let headers = format!("host:{host}\nx-amz-content-sha256:{body}\nx-amz-date:{at}\n");
    let canonical = format!("{method}\n{path}\n{}\n{headers}\n{names}\n{body}", query.join("&"));
    let (scope, hash) = (["20260101", "us-east-1", service], hex::encode(Sha256::digest(canonical)));
    let credential = format!("{}/aws4_request", scope.join("/"));
    let signature = sign(key.1, scope, &format!("AWS4-HMAC-SHA256\n{at}\n{credential}\n{hash}"));
    format!(
        "Host: {host}\r\nX-Amz-Content-Sha256: {body}\r\nX-Amz-Date: {at}\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential={}/{credential}, SignedHeaders={names}, Signature={signature}\r\n",
        key.0
    )
}

/// The same for tests without a runtime.
pub fn at_last(what: &str, is_so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < TIMEOUT, "still not true: {what}");
        std::thread::sleep(10 * POLL_INTERVAL);
    }
}

/// A running local cloud and a working folder. Dropping it stops the cloud and deletes the folder.
#[must_use]
pub struct Cloud {
    folder: tempfile::TempDir,
    port: u16,
}

/// A builder of local clouds.
#[must_use]
pub struct Start {
    folder: tempfile::TempDir,
    conditions: Option<String>,
    is_locked: bool,
}

impl Cloud {
    /// A cloud without conditions: `Cloud::start().go()`.
    pub fn start() -> Start {
        Start { folder: tempfile::tempdir().unwrap(), conditions: None, is_locked: false }
    }

    /// The folder in which commands run.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// The local cloud's data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("local")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A command that is not started yet, in an environment without any AWS settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wschat"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(self.folder())
            .env("WSCHAT_STACK", STACK)
            // Tests of uninterrupted service remove it.
            .env("WSCHAT_NO_DRAIN", "1")
            .env("WSCHAT_LOCAL_DIR", self.data())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", self.folder.path().join("no-config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.folder.path().join("no-credentials"))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn wschat(&self, arguments: &[&str]) -> Run {
        self.begin(arguments).end()
    }

    /// Starts a command.
    pub fn begin(&self, arguments: &[&str]) -> Running<'_> {
        self.begin_command(&mut self.command(arguments))
    }

    /// Starts a customised command.
    pub fn begin_command(&self, command: &mut Command) -> Running<'_> {
        let before = self.logged().len();
        // Output goes to files, which can be read while the command runs and, unlike pipes, never block it.
        let (stdout, stderr) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let child = command.stdout(stdout.reopen().unwrap()).stderr(stderr.reopen().unwrap()).spawn().unwrap();
        Running { cloud: self, child, stdout, stderr, before, command: format!("{command:?}") }
    }

    /// `wschat up --local --yes`, which must succeed.
    pub fn up(&self) -> Run {
        self.wschat(&["up", "--local", "--yes"]).ok()
    }

    /// `wschat down --local --yes`, which must succeed.
    pub fn down(&self) -> Run {
        self.wschat(&["down", "--local", "--yes"]).ok()
    }

    /// `wschat status --local`.
    pub fn status(&self) -> Run {
        self.wschat(&["status", "--local"])
    }

    /// Calls a service of the local cloud that the SDKs here have no client for.
    pub fn json_call(&self, service: &str, target: &str, input: &serde_json::Value) -> serde_json::Value {
        let body = input.to_string();
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            socket,
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\n\
             X-Amz-Target: {target}\r\nContent-Length: {}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=tester/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{target}: {answer}");
        let start = answer.find('{').unwrap();
        let end = answer.rfind('}').unwrap();
        serde_json::from_str(&answer[start..=end]).unwrap()
    }

    /// Every call that the cloud has answered.
    pub fn calls(&self) -> Vec<LoggedCall> {
        self.calls_after(0)
    }

    /// The calls in the log from this byte on.
    fn calls_after(&self, byte: usize) -> Vec<LoggedCall> {
        // The last line may be in the making.
        // A log that has grown large begins again.
        let logged = self.logged();
        logged.get(byte..).unwrap_or(&logged).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn logged(&self) -> String {
        fs::read_to_string(self.data().join("calls.jsonl")).unwrap_or_default()
    }

    /// The SDK's configuration for this cloud.
    pub async fn sdk(&self) -> aws_config::SdkConfig {
        aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region("us-east-1")
            .endpoint_url(format!("http://127.0.0.1:{}", self.port))
            .credentials_provider(Credentials::new(TESTER, "secret", None, None, "tests"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            // Some clouds throttle.
            .retry_config(RetryConfig::standard().with_max_attempts(50))
            .load()
            .await
    }
}

impl Start {
    /// The same cloud under these conditions: the text of a conditions file.
    pub fn conditions(self, text: &str) -> Self {
        Self { conditions: Some(text.to_owned()), ..self }
    }

    /// The same cloud, which admits only callers with its own access key.
    pub fn locked(self) -> Self {
        Self { is_locked: true, ..self }
    }

    /// Starts it.
    pub fn go(self) -> Cloud {
        let mut cloud = Cloud { folder: self.folder, port: 0 };
        fs::create_dir(cloud.folder()).unwrap();
        let mut command = cloud.command(&["local", "start", "--port", "0"]);
        if !self.is_locked {
            command.arg("--open");
        }
        if let Some(text) = self.conditions {
            let file = cloud.folder.path().join("conditions.toml");
            fs::write(&file, text).unwrap();
            command.arg("--conditions").arg(file);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        cloud.port = cloud.read_port();
        cloud
    }
}

impl Cloud {
    fn read_port(&self) -> u16 {
        let record = fs::read(self.data().join("process.json")).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        record["port"].as_u64().unwrap().try_into().unwrap()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let stopped = self.command(&["local", "stop"]).output();
        if !std::thread::panicking() {
            assert!(stopped.unwrap().status.success());
        }
    }
}

/// A running command.
pub struct Running<'a> {
    cloud: &'a Cloud,
    child: Child,
    stdout: tempfile::NamedTempFile,
    stderr: tempfile::NamedTempFile,
    /// The length of the call log at the start, in bytes.
    before: usize,
    command: String,
}

impl Running<'_> {
    /// Waits for its end.
    pub fn end(mut self) -> Run {
        let status = self.child.wait().unwrap();
        let calls = self.cloud.calls_after(self.before);
        Run {
            command: self.command,
            stdout: fs::read_to_string(self.stdout.path()).unwrap(),
            stderr: fs::read_to_string(self.stderr.path()).unwrap(),
            code: status.code(),
            calls: calls.into_iter().filter(|call| call.access_key.as_deref() == Some(DEPLOYER)).collect(),
        }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until `count` of its calls are answered, or it has ended. Returns whether it is still running.
    pub fn until_calls(&mut self, count: usize) -> bool {
        loop {
            if self.has_ended() {
                return false;
            }
            if self.cloud.calls_after(self.before).len() >= count {
                return true;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits until its stderr contains `words`, or it has ended.
    pub fn until_said(&mut self, words: &str) {
        while !fs::read_to_string(self.stderr.path()).unwrap().contains(words) && !self.has_ended() {
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Sends it a signal if it is still running; the pid of an ended process may belong to another one.
    pub fn signal(&mut self, signal: Signal) {
        if !self.has_ended() {
            let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
            kill_process(pid, signal).unwrap();
        }
    }
}

/// A finished command.
pub struct Run {
    command: String,
    pub stdout: String,
    pub stderr: String,
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    /// The calls that the deployer made meanwhile.
    pub calls: Vec<LoggedCall>,
}

impl Run {
    /// It must have succeeded.
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// It must have ended with this exit code.
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}\n{}", self.command, self.stdout, self.stderr);
        self
    }

    /// It must only have made reading calls.
    pub fn changes_nothing(&self) {
        let changes = self.mutations();
        assert!(changes.is_empty(), "{} made {changes:?}\n{}", self.command, self.stderr);
    }

    /// The mutating calls in order: `lambda.CreateFunction`.
    pub fn mutations(&self) -> Vec<String> {
        let mutating = self.calls.iter().filter(|call| call.mutating);
        mutating.map(|call| format!("{}.{}", call.service, call.operation)).collect()
    }

    /// The number of calls of this operation.
    pub fn count(&self, service_and_operation: &str) -> usize {
        self.mutations().iter().filter(|call| *call == service_and_operation).count()
    }

    /// The only line on stdout: the URI.
    pub fn uri(&self) -> String {
        let lines: Vec<&str> = self.stdout.lines().collect();
        let [uri] = lines[..] else { panic!("not one line: {:?}", self.stdout) };
        uri.to_owned()
    }
}

/// The root of this repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
