//! A fault-injecting proxy between wschat and its cloud: it names every call, and injects the faults of a test: other
//! answers, broken connections, or a kill of wschat.

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, RETRY_AFTER, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::process::Signal;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot, watch};
use wschat::local::protocol::wire::{ApiError, Protocol};

use super::call_name::{Name, Namer};
use super::{Cloud, DEPLOYER, POLL_INTERVAL, Run};

/// A fault to inject into a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub when: When,
    pub what: FaultKind,
    /// Whether a repetition of the same request gets the fault again.
    pub permanent: bool,
}

/// Whether the fault comes before or after the call's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// wschat is killed.
    Kill,
    /// The connection breaks.
    Cut,
    /// No answer for this long, then the connection breaks.
    Silence(Duration),
    /// The service answers with an error, in its protocol.
    Refuse { status: u16, code: String, message: String, retry_after: Option<u64> },
    /// A load balancer's page: no code, no request id.
    Page(u16),
    /// Another answer than the cloud's, of status 200.
    Answer(&'static str, String),
}

impl Fault {
    pub fn before(what: FaultKind) -> Self {
        Self { when: When::Before, what, permanent: false }
    }

    pub fn after(what: FaultKind) -> Self {
        Self { when: When::After, what, permanent: false }
    }

    /// The same fault, also for repetitions of the request.
    pub fn permanent(self) -> Self {
        Self { permanent: true, ..self }
    }

    /// An error answer to a call that had no effect.
    pub fn refuse(status: u16, code: &str, message: &str) -> Self {
        let (code, message) = (code.to_owned(), message.to_owned());
        Self::before(FaultKind::Refuse { status, code, message, retry_after: None })
    }

    /// The same, with a `Retry-After` of this many seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        if let FaultKind::Refuse { retry_after, .. } = &mut self.what {
            *retry_after = Some(seconds);
        }
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            FaultKind::Refuse { status, code, message, retry_after } => {
                write!(f, "{status} {code}: {message}")?;
                if let Some(seconds) = retry_after {
                    write!(f, " (Retry-After {seconds})")?;
                }
            }
            FaultKind::Answer(..) => f.write_str("another answer")?,
            what => write!(f, "{what:?}")?,
        }
        write!(f, " {:?} the effect", self.when)
    }
}

/// A call that wschat made.
#[derive(Debug, Clone)]
pub struct RecordedCall {
    pub name: Name,
    /// The injected fault.
    pub fault: Option<Fault>,
    /// The request id of an injected error.
    pub request_id: Option<String>,
}

/// A finished run through the proxy.
pub struct ProxiedRun {
    pub run: Run,
    /// Every call, in the order of arrival.
    pub calls: Vec<RecordedCall>,
    /// The number of rounds of calls, if they were counted.
    pub rounds: usize,
}

/// wschat's own time between an answer and its next call is shorter than this.
pub const QUIET: Duration = Duration::from_millis(500);

impl Cloud {
    /// Runs a verb, which must change nothing, and holds it to a number of sequential round trips: all calls of a round are
    /// answered together.
    pub fn is_read_in(&self, deepest: usize, verb: &[&str]) {
        let mut deeper = Vec::new();
        // A pause that a busy machine makes can only add a round.
        for _ in 0..3 {
            let ProxiedRun { run, calls, rounds } = self.through().in_rounds(QUIET).run(verb);
            run.ok().changes_nothing();
            if rounds <= deepest {
                return;
            }
            deeper.push((rounds, calls.into_iter().map(|call| call.name).collect::<Vec<_>>()));
        }
        panic!("{verb:?} is more than {deepest} round trips deep: {deeper:#?}");
    }
}

impl ProxiedRun {
    /// The names of all calls.
    pub fn names(&self) -> Vec<Name> {
        self.calls.iter().map(|call| call.name.clone()).collect()
    }

    /// Whether a fault was injected.
    pub fn was_hit(&self) -> bool {
        self.calls.iter().any(|call| call.fault.is_some())
    }
}

/// Returns the fault for a call of this name.
pub type Script = Arc<dyn Fn(&Name) -> Option<Fault> + Send + Sync>;

/// A builder of runs through the proxy.
#[must_use]
pub struct ProxyRunBuilder<'a> {
    cloud: &'a Cloud,
    script: Script,
    rounds_after: Option<Duration>,
}

impl Cloud {
    /// A run that calls this cloud through its own proxy.
    pub fn through(&self) -> ProxyRunBuilder<'_> {
        ProxyRunBuilder { cloud: self, script: Arc::new(|_| None), rounds_after: None }
    }
}

impl ProxyRunBuilder<'_> {
    /// Injects the faults that `script` returns.
    pub fn script(self, script: impl Fn(&Name) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), ..self }
    }

    /// Injects a fault into the call of this name.
    pub fn fault(self, name: &Name, fault: &Fault) -> Self {
        let (name, fault) = (name.clone(), fault.clone());
        self.script(move |call| (*call == name).then(|| fault.clone()))
    }

    /// Holds all calls until no further one arrives for `quiet`, forwards them together, and counts these rounds.
    pub fn in_rounds(self, quiet: Duration) -> Self {
        Self { rounds_after: Some(quiet), ..self }
    }

    /// Runs `wschat` with these arguments to its end.
    pub fn run(self, arguments: &[&str]) -> ProxiedRun {
        let (kill, killing) = mpsc::channel();
        let shared = Arc::new(Shared {
            upstream: self.cloud.port(),
            script: self.script,
            kill,
            state: Mutex::default(),
            held: watch::Sender::new(0),
            arrived: Notify::new(),
            waiting: AtomicUsize::new(0),
            rounds: AtomicUsize::new(0),
            holds: self.rounds_after.is_some(),
        });
        let (tell_port, port) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
                tell_port.send(listener.local_addr().unwrap().port()).unwrap();
                if let Some(quiet) = self.rounds_after {
                    tokio::spawn(Arc::clone(&served).release_rounds(quiet));
                }
                tokio::select! {
                    () = serve(served, listener) => {}
                    _ = stopped => {}
                }
            });
        });
        let endpoint = format!("http://127.0.0.1:{}", port.recv().unwrap());
        let mut command = self.cloud.command(arguments);
        command.args(["--endpoint-url", &endpoint]).envs([
            ("AWS_ACCESS_KEY_ID", DEPLOYER),
            ("AWS_SECRET_ACCESS_KEY", DEPLOYER),
            ("AWS_REGION", "us-east-1"),
        ]);
        let mut running = self.cloud.begin_command(&mut command);
        while !running.has_ended() {
            if killing.recv_timeout(POLL_INTERVAL).is_ok() {
                running.signal(Signal::KILL);
                break;
            }
        }
        let run = running.end();
        drop(stop);
        thread.join().unwrap();
        let calls = std::mem::take(&mut shared.state.lock().unwrap().calls);
        ProxiedRun { run, calls, rounds: shared.rounds.load(Ordering::Relaxed) }
    }
}

/// The state that all connections of a run share.
struct Shared {
    upstream: u16,
    script: Script,
    kill: mpsc::Sender<()>,
    state: Mutex<State>,
    holds: bool,
    /// Rounds forwarded so far: a held call waits for the next one.
    held: watch::Sender<usize>,
    arrived: Notify,
    /// The number of held calls.
    waiting: AtomicUsize,
    rounds: AtomicUsize,
}

#[derive(Default)]
struct State {
    namer: Namer,
    calls: Vec<RecordedCall>,
    /// Requests with a permanent fault.
    permanent: Vec<(RecordedRequest, Fault)>,
}

/// The identity of a request. Members of JSON may be in any order.
#[derive(PartialEq)]
struct RecordedRequest {
    service: String,
    operation: String,
    uri: String,
    form: Bytes,
    json: Option<Value>,
}

impl RecordedRequest {
    fn new(name: &Name, head: &Parts, body: &Bytes) -> Self {
        let json = serde_json::from_slice(body).ok();
        Self {
            service: name.service.clone(),
            operation: name.operation.clone(),
            uri: head.uri.to_string(),
            form: if json.is_some() { Bytes::new() } else { body.clone() },
            json,
        }
    }
}

/// The connection breaks.
#[derive(Debug, thiserror::Error)]
#[error("cut")]
struct Cut;

async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // A call takes effect whether or not wschat waits for the answer, so it does not end with the connection.
            let service = service_fn(move |request| {
                let call = tokio::spawn(Arc::clone(&shared).answer(request));
                async { call.await.unwrap_or(Err(Cut)) }
            });
            // An error means that either side broke the connection.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Shared {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        if self.holds {
            let mut held = self.held.subscribe();
            self.waiting.fetch_add(1, Ordering::Relaxed);
            self.arrived.notify_one();
            held.changed().await.map_err(|_| Cut)?;
        }
        let (index, name, fault) = self.name(&head, &body);
        let service = name.service.clone();
        let Some(fault) = fault else {
            return self.forward(head, body, &service).await;
        };
        if fault.when == When::After {
            self.forward(head, body, &service).await?;
        }
        match fault.what {
            FaultKind::Kill => {
                let _ = self.kill.send(());
                // Killing wschat ends the connection.
                std::future::pending::<Infallible>().await;
                Err(Cut)
            }
            FaultKind::Cut => Err(Cut),
            FaultKind::Silence(time) => {
                tokio::time::sleep(time).await;
                Err(Cut)
            }
            FaultKind::Refuse { status, code, message, retry_after } => {
                let id = uuid::Uuid::new_v4().to_string();
                self.state.lock().unwrap().calls[index].request_id = Some(id.clone());
                Ok(refusal(&service, status, code, message, retry_after, &id))
            }
            FaultKind::Page(status) => {
                let page = "<html><body><h1>Http/1.1 Service Unavailable</h1></body></html>";
                Ok(response(status, "text/html", page.into()))
            }
            FaultKind::Answer(content_type, body) => Ok(response(200, content_type, body.into())),
        }
    }

    /// Names a call, and returns its fault.
    fn name(&self, head: &Parts, body: &Bytes) -> (usize, Name, Option<Fault>) {
        let mut state = self.state.lock().unwrap();
        let name = state.namer.name(head, body);
        let asked = RecordedRequest::new(&name, head, body);
        let permanent = state.permanent.iter().position(|(permanent, _)| *permanent == asked);
        let fault = match permanent {
            Some(position) => Some(state.permanent.swap_remove(position).1),
            None => (self.script)(&name),
        };
        if let (None, Some(fault)) = (permanent, &fault)
            && fault.permanent
        {
            state.permanent.push((asked, fault.clone()));
        }
        state.calls.push(RecordedCall { name: name.clone(), fault: fault.clone(), request_id: None });
        (state.calls.len() - 1, name, fault)
    }

    /// Forwards a call to the cloud.
    async fn forward(&self, head: Parts, body: Bytes, service: &str) -> Result<Response<Full<Bytes>>, Cut> {
        let stream = TcpStream::connect(("127.0.0.1", self.upstream)).await.map_err(|_| Cut)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| Cut)?;
        tokio::spawn(connection);
        let request = Request::from_parts(head, Full::new(body));
        let (mut head, body) = sender.send_request(request).await.map_err(|_| Cut)?.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        head.headers.remove(TRANSFER_ENCODING);
        head.headers.remove(CONTENT_LENGTH);
        if service == "apigatewayv2" {
            self.state.lock().unwrap().namer.learn(&body);
        }
        Ok(Response::from_parts(head, Full::new(body)))
    }

    /// Forwards held calls in rounds.
    async fn release_rounds(self: Arc<Self>, quiet: Duration) {
        loop {
            self.arrived.notified().await;
            while tokio::time::timeout(quiet, self.arrived.notified()).await.is_ok() {}
            if self.waiting.swap(0, Ordering::Relaxed) > 0 {
                self.rounds.fetch_add(1, Ordering::Relaxed);
                self.held.send_modify(|round| *round += 1);
            }
        }
    }
}

/// An error answer in the protocol of `service`.
fn refusal(
    service: &str,
    status: u16,
    code: String,
    message: String,
    retry_after: Option<u64>,
    id: &str,
) -> Response<Full<Bytes>> {
    let protocol = match service {
        "dynamodb" | "cloudcontrolapi" => Protocol::AwsJson10,
        "logs" | "tagging" => Protocol::AwsJson11,
        "lambda" => Protocol::RestJson { capital_message: true },
        "apigatewayv2" => Protocol::RestJson { capital_message: false },
        _ => Protocol::Query("https://iam.amazonaws.com/doc/2010-05-08/"),
    };
    let refused = protocol.error(&ApiError::new(status, code, message), id);
    let mut answer = response(status, protocol.content_type(), refused.body);
    answer.headers_mut().extend(refused.headers);
    answer.headers_mut().insert("x-amzn-requestid", id.parse().unwrap());
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

fn response(status: u16, content_type: &str, body: Bytes) -> Response<Full<Bytes>> {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", content_type)
        .body(Full::new(body))
        .unwrap()
}
