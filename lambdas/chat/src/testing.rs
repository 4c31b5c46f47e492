//! A fake AWS: a loopback HTTP server that answers DynamoDB's and `@connections`' requests as a test says, and records them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_smithy_http_client::Builder;
use aws_types::SdkConfig;
use aws_types::region::Region;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::Event;

/// The server; it runs as long as the test's runtime.
#[derive(Debug)]
pub struct Aws {
    /// Clients made from this call the server.
    pub config: SdkConfig,
    endpoint: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// DynamoDB's operation (`PutItem`); for `@connections` the HTTP method.
    pub operation: String,
    /// As received, still encoded.
    pub path: String,
    pub body: String,
}

impl Call {
    /// # Panics
    /// When the body is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    error_type: Option<&'static str>,
    body: Value,
}

impl Reply {
    pub fn ok(body: Value) -> Self {
        Self { status: 200, error_type: None, body }
    }

    /// An error in the form of either protocol: DynamoDB's clients read the type from the body, those of `@connections` from
    /// the header.
    pub fn error(status: u16, error_type: &'static str) -> Self {
        Self { status, error_type: Some(error_type), body: json!({ "__type": error_type, "message": "said the test" }) }
    }
}

impl Aws {
    /// Starts the server; `answer` is called for every request, concurrently for concurrent requests.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Call) -> A + Send + Sync + 'static,
        A: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&calls);
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                tokio::spawn(async move { serve(socket, &*answer, &log).await });
            }
        });
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(Builder::new().build_http())
            .endpoint_url(&endpoint)
            .build();
        Self { config, endpoint, calls }
    }

    /// The requests so far, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An event of `connection_id` whose gateway is `aws`; connected eleven seconds before.
pub fn event(connection_id: &str, aws: &Aws, body: Option<&str>) -> Event {
    Event {
        connection_id: connection_id.to_owned(),
        connected_at: 1_731_332_735_513,
        received_at: 1_731_332_746_514,
        endpoint: format!("{}/production", aws.endpoint),
        body: body.map(str::to_owned),
    }
}

/// Answers one socket's requests, one after the other, until the client closes it.
async fn serve<F, A>(socket: TcpStream, answer: &F, log: &Mutex<Vec<Call>>) -> io::Result<()>
where
    F: Fn(Call) -> A,
    A: Future<Output = Reply>,
{
    let mut socket = BufReader::new(socket);
    while let Some(call) = read(&mut socket).await? {
        log.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
        let Reply { status, error_type, body } = answer(call).await;
        let body = body.to_string();
        let error_type = error_type.map(|name| format!("x-amzn-errortype: {name}\r\n")).unwrap_or_default();
        let head = format!("HTTP/1.1 {status} -\r\n{error_type}content-length: {}\r\n\r\n", body.len());
        socket.write_all((head + &body).as_bytes()).await?;
    }
    Ok(())
}

/// The next request of a socket; `None` at its end.
async fn read(socket: &mut BufReader<TcpStream>) -> io::Result<Option<Call>> {
    let mut first = String::new();
    if socket.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut words = first.split_ascii_whitespace().map(str::to_owned);
    let (mut operation, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).await?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                body.resize(value.parse().map_err(io::Error::other)?, 0);
            }
            Some((name, value)) if name.eq_ignore_ascii_case("x-amz-target") => {
                operation = value.trim_start_matches("DynamoDB_20120810.").to_owned();
            }
            Some(_) => {}
            None => break,
        }
    }
    socket.read_exact(&mut body).await?;
    Ok(Some(Call { operation, path, body: String::from_utf8_lossy(&body).into_owned() }))
}
