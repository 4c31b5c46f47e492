//! Management of the local cloud's background process: find, start, stop.
//!
//! One process serves one data folder. It holds a lock on a file there for as long as it runs; only the lock, not the
//! record beside it, says whether it runs. So nothing needs cleaning up after a crash, and a stale record does no harm.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::data_part::DataPart;
use super::error::ProcessError;
pub use super::folder::MissedPort;
use super::folder::{Binary, ConditionsFile, POLL_INTERVAL, ServerFolder, ServerRecord, conditions_file};
use crate::local::apigateway::connection::OpenConnection;
use crate::local::console::PAGE;
use crate::local::context::store::private;
use crate::local::server::access::AccessKey;
use crate::local::server::call_log::rotate;
use crate::local::server::control::{FUNCTIONS, SOCKETS};
use crate::local::server::http::{CONNECTIONS, Health, TICKET, TOKEN, Ticket};
use crate::local::server::origins::{self, Origin};
use crate::machine::interpreter::VERSION_MANAGERS;
use crate::machine::own_folder;

/// The server's own log, in the data folder.
pub const LOG: &str = "local.log";

/// How long a server may take to answer after it was started.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may take to stop before it is killed: closing sockets and environments takes up to three seconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The options of a server.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// The port; 0 for any free one; `None` for the folder's last.
    pub port: Option<u16>,
    /// An address to listen on beside loopback; `0.0.0.0` and `::` for all. A loopback address asks for loopback alone.
    pub host: Option<IpAddr>,
    /// The origins of the web pages that may call it.
    pub origins: Vec<Origin>,
    /// Whether a server that runs must listen on this `host`: it was asked for by this command, and not by the configuration.
    pub insists_on_host: bool,
    /// The same of the `origins`.
    pub insists_on_origins: bool,
    /// The conditions file.
    pub conditions: Option<PathBuf>,
    /// Whether all callers are admitted, with any access key or none.
    pub open: bool,
}

/// The address to listen on beside loopback, of one that was given.
pub fn beyond_loopback(host: IpAddr) -> Option<IpAddr> {
    (!host.is_loopback()).then_some(host)
}

impl ServerOptions {
    /// Holds the options to what is safe together.
    ///
    /// # Errors
    /// When callers without the access key would be admitted from other machines.
    pub fn check(&self) -> Result<(), ProcessError> {
        match self.host.and_then(beyond_loopback).filter(|_| self.open) {
            Some(host) => Err(ProcessError::OpenBeyondLoopback(host)),
            None => Ok(()),
        }
    }
}

/// A server that runs and answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningServer {
    pub pid: u32,
    /// The port, for HTTP and TLS.
    pub port: u16,
    /// The address that it listens on beside loopback, if there is one.
    pub host: Option<IpAddr>,
    /// The host that clients on other machines can use, as URLs have it; `None` if there is none, or none is known.
    pub client_host: Option<String>,
    /// The origins of the web pages that may call it.
    pub origins: Vec<Origin>,
    pub version: String,
    /// The time of its start: RFC 3339, UTC.
    pub started: String,
    /// The conditions file it was started with.
    pub conditions: Option<PathBuf>,
    /// The access key that callers need.
    pub key: AccessKey,
    /// Whether all callers are admitted.
    pub open: bool,
    /// The usual port, if it could not be used.
    pub missed_port: Option<MissedPort>,
    pub outcome: StartOutcome,
}

impl RunningServer {
    /// Whether functions may have runtimes that Lambda has retired: its conditions file says so.
    pub fn has_retired_runtimes(&self) -> bool {
        let conditions = self.conditions.as_deref().and_then(|path| conditions_file(path).ok());
        conditions.is_some_and(|(_, conditions)| conditions.lenient.runtimes)
    }
}

/// How `ensure` got a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOutcome {
    /// It was already running.
    Found,
    /// It was started now.
    Started,
    /// It was started now in place of one from another build of wschat.
    Replaced,
}

/// The state of a data folder's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerState {
    Stopped,
    /// It runs but does not answer: it is starting, stopping or stuck.
    Silent,
    Running(Box<RunningServer>),
}

/// Finds the server of a data folder, or starts it. One of another build of wschat is replaced.
///
/// # Errors
/// When it does not start, or runs with other options than those asked for. (A host and origins that are not insisted on may differ.)
pub async fn ensure(data: &Path, options: &ServerOptions) -> Result<RunningServer, ProcessError> {
    let folder = ServerFolder::make(data)?;
    let asked = options.conditions.as_deref().map(conditions_file).transpose()?.map(|(file, _)| file);
    let mut start = options.clone();
    let mut conditions = asked.clone();
    let mut outcome = StartOutcome::Started;
    if let Some(record) = folder.wait_until_answering(START_TIMEOUT).await? {
        if record.binary == Binary::this() {
            return record.matching(options, asked.as_ref(), StartOutcome::Found);
        }
        conditions = conditions.or(record.conditions);
        start.open |= record.open;
        outcome = StartOutcome::Replaced;
        // Before it is stopped: an error leaves it running.
        start.check()?;
        stop(data).await?;
    }
    start.check()?;
    let record = folder.start(&start, conditions.as_ref()).await?;
    // A concurrent start may have won, with other options.
    record.matching(options, asked.as_ref(), outcome)
}

/// The server of a data folder, if it runs and answers.
pub async fn find(data: &Path) -> Option<RunningServer> {
    match state(data).await {
        ServerState::Running(running) => Some(*running),
        ServerState::Stopped | ServerState::Silent => None,
    }
}

/// Whether the server of a data folder runs, even if it does not answer.
pub fn runs(data: &Path) -> bool {
    ServerFolder::existing(data).is_ok_and(|folder| folder.is_served())
}

/// Which process serves a data folder: its pid and the time of its start. `None` where none runs, or none has said so yet.
pub fn serving(data: &Path) -> Option<(u32, String)> {
    let folder = ServerFolder::existing(data).ok()?;
    let record = folder.record().filter(|_| folder.is_served())?;
    Some((record.pid, record.started))
}

/// Whether a data folder is a local cloud's, running or not.
pub fn exists(data: &Path) -> bool {
    ServerFolder::existing(data).is_ok_and(|folder| folder.was_served())
}

/// The state of a data folder's server.
pub async fn state(data: &Path) -> ServerState {
    let Ok(folder) = ServerFolder::existing(data) else { return ServerState::Stopped };
    if !folder.is_served() {
        return ServerState::Stopped;
    }
    match folder.answering().await {
        Some(record) => ServerState::Running(Box::new(record.running(StartOutcome::Found))),
        None => ServerState::Silent,
    }
}

/// The URL that opens the console of a data folder's server in one browser, once, within ten minutes. `None` where no server
/// answers.
pub async fn console_url(data: &Path) -> Option<String> {
    let record = ServerFolder::existing(data).ok()?.answering().await?;
    let Ticket { ticket } = ask(record.port, "POST", TICKET, Some(&record.token)).await.ok()?;
    Some(format!("http://localhost:{}{PAGE}?ticket={ticket}", record.port))
}

/// The open connections to a data folder's server, the oldest first. `None` where no server answers.
pub async fn connections(data: &Path) -> Option<Vec<OpenConnection>> {
    let record = ServerFolder::existing(data).ok()?.answering().await?;
    ask(record.port, "GET", CONNECTIONS, Some(&record.token)).await.ok()
}

/// Stops the server of a data folder and waits until it has ended. One that does not stop in five seconds is killed.
/// Returns whether there was one.
///
/// # Errors
/// When it cannot be stopped.
pub async fn stop(data: &Path) -> Result<bool, ProcessError> {
    let Ok(folder) = ServerFolder::existing(data) else { return Ok(false) };
    if !folder.is_served() {
        return Ok(false);
    }
    let deadline = Instant::now() + STOP_TIMEOUT;
    let mut stopping = false;
    while folder.is_served() && Instant::now() < deadline {
        // A server that is still starting has no record yet, or does not answer yet.
        if let Some(record) = folder.record().filter(|_| !stopping) {
            let asked = ask::<Health>(record.port, "POST", "/_wschat/stop", Some(&record.token)).await;
            stopping = asked.is_ok();
        }
        sleep(POLL_INTERVAL).await;
    }
    if let Some(record) = folder.record()
        && folder.is_served()
    {
        // The lock is held and its holder wrote the record, so the pid cannot be that of an unrelated process.
        kill(record.pid);
    }
    if folder.wait_until_stopped(STOP_TIMEOUT).await {
        Ok(true)
    } else {
        Err(ProcessError::Silent(folder.path().join(LOG)))
    }
}

/// What a developer wants of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attention {
    /// That new code of it is started at once. With a port, that its runtime waits there for a debugger, without time limits;
    /// Python's debugpy lies in `modules`.
    Attend { inspect: Option<u16>, modules: Option<PathBuf> },
    /// No more of that.
    Leave,
    /// That it starts again.
    Restart,
}

/// Tells the server of a data folder what a developer wants of the function `name` in a region.
///
/// # Errors
/// When it does not run, or does not answer.
pub async fn attend(data: &Path, region: &str, name: &str, attention: &Attention) -> io::Result<()> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("region", region).append_pair("name", name);
    match attention {
        Attention::Attend { inspect, modules } => {
            query.append_pair("what", "attend");
            if let Some(port) = inspect {
                query.append_pair("inspect", &port.to_string());
            }
            if let Some(modules) = modules {
                query.append_pair("modules", &modules.to_string_lossy());
            }
        }
        Attention::Leave => drop(query.append_pair("what", "leave")),
        Attention::Restart => drop(query.append_pair("what", "restart")),
    }
    let path = format!("{FUNCTIONS}?{}", query.finish());
    ask_own::<IgnoredAny>(data, "POST", &path).await.map(drop)
}

/// How many sockets of each API are open at the server of a data folder, by the API's id.
///
/// # Errors
/// When it does not run, or does not answer.
pub async fn open_sockets(data: &Path) -> io::Result<BTreeMap<String, usize>> {
    ask_own(data, "GET", SOCKETS).await
}

async fn ask_own<T: DeserializeOwned>(data: &Path, method: &str, path: &str) -> io::Result<T> {
    let record = ServerFolder::existing(data)?.record().ok_or(io::ErrorKind::NotFound)?;
    ask(record.port, method, path, Some(&record.token)).await
}

/// Stops the server of a data folder and deletes the folder, or one part of its data. Returns whether the folder existed.
///
/// # Errors
/// When the server cannot be stopped, the folder cannot be deleted, or it is not a local cloud's data folder.
pub async fn reset(data: &Path, only: Option<DataPart>) -> Result<bool, ProcessError> {
    let Ok(folder) = ServerFolder::existing(data) else { return Ok(false) };
    if !folder.was_served() {
        return Err(ProcessError::NotOurs(folder.path().to_owned()));
    }
    stop(data).await?;
    let doing = || format!("delete {}", folder.path().display());
    let deleted = match only {
        Some(part) => {
            // Held against a server that starts meanwhile: its data must not be deleted.
            let Some(_lock) = folder.lock().await? else { return Err(ProcessError::Silent(folder.path().join(LOG))) };
            part.delete(folder.path())
        }
        None => own_folder::remove(folder.path()),
    };
    deleted.map_err(|source| ProcessError::Io { doing: doing(), source })?;
    Ok(true)
}

impl ServerRecord {
    fn running(self, outcome: StartOutcome) -> RunningServer {
        RunningServer {
            pid: self.pid,
            port: self.port,
            host: self.host,
            client_host: self.client_host,
            origins: self.origins,
            version: self.binary.version,
            started: self.started,
            conditions: self.conditions.map(|file| file.path),
            key: self.key,
            open: self.open,
            missed_port: self.missed_port,
            outcome,
        }
    }

    /// This server, if it runs with the options that were asked for. Options that were not given match any.
    fn matching(
        self,
        options: &ServerOptions,
        conditions: Option<&ConditionsFile>,
        outcome: StartOutcome,
    ) -> Result<RunningServer, ProcessError> {
        if options.open && !self.open {
            return Err(ProcessError::NotOpen);
        }
        if options.port.is_some_and(|port| port != 0 && port != self.port) {
            return Err(ProcessError::OtherPort(self.port));
        }
        if options.insists_on_host && options.host.is_some_and(|host| beyond_loopback(host) != self.host) {
            return Err(ProcessError::OtherHost(self.host));
        }
        if options.insists_on_origins && !origins::same(&options.origins, &self.origins) {
            return Err(ProcessError::OtherOrigins(self.origins));
        }
        let here = self.conditions.as_ref().map(|file| &file.sha256);
        if conditions.is_some_and(|asked| Some(&asked.sha256) != here) {
            return Err(ProcessError::OtherConditions(self.conditions.map(|file| file.path)));
        }
        Ok(self.running(outcome))
    }
}

impl ServerFolder {
    /// The record, if its server answers.
    async fn answering(&self) -> Option<ServerRecord> {
        let record = self.record()?;
        let health: Health = ask(record.port, "GET", "/_wschat/health", None).await.ok()?;
        (health.pid == record.pid).then_some(record)
    }

    /// Waits until the server answers, or until none runs (`None`).
    async fn wait_until_answering(&self, within: Duration) -> Result<Option<ServerRecord>, ProcessError> {
        let deadline = Instant::now() + within;
        while self.is_served() {
            if let Some(record) = self.answering().await {
                return Ok(Some(record));
            }
            if Instant::now() > deadline {
                return Err(ProcessError::Silent(self.path().join(LOG)));
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(None)
    }

    async fn wait_until_stopped(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while self.is_served() {
            if Instant::now() > deadline {
                return false;
            }
            sleep(POLL_INTERVAL).await;
        }
        true
    }

    /// Starts a server with these options, but for the conditions file, which is `conditions`.
    async fn start(
        &self,
        options: &ServerOptions,
        conditions: Option<&ConditionsFile>,
    ) -> Result<ServerRecord, ProcessError> {
        let log = self.path().join(LOG);
        let logged = fs::metadata(&log).map_or(0, |log| log.len());
        let mut child = self
            .spawn(options, conditions)
            .map_err(|source| ProcessError::Io { doing: "start its process".to_owned(), source })?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            // It does not matter which start's server answers; the one that lost the race ends without an error.
            if let Some(record) = self.answering().await {
                return Ok(record);
            }
            if let Ok(Some(status)) = child.try_wait()
                && !status.success()
            {
                let said = last_lines(&log, logged).unwrap_or_else(|_| status.to_string());
                // It is about to be an error here, too.
                return Err(match said.rsplit_once("error: the local cloud ") {
                    Some((_, error)) => ProcessError::Failed(format!("the local cloud {error}")),
                    None => ProcessError::Died(said),
                });
            }
            if Instant::now() > deadline {
                return Err(ProcessError::Silent(log));
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it is passed on, not read")]
    fn spawn(&self, options: &ServerOptions, conditions: Option<&ConditionsFile>) -> io::Result<Child> {
        let log = self.path().join(LOG);
        rotate(&log)?;
        let log = private().append(true).create(true).open(log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["local", "serve", "--data"]).arg(self.path()).current_dir(self.path());
        if let Some(port) = options.port {
            command.args(["--port", &port.to_string()]);
        }
        if let Some(host) = options.host {
            command.args(["--host", &host.to_string()]);
        }
        for origin in &options.origins {
            command.args(["--origin", &origin.to_string()]);
        }
        if let Some(file) = conditions {
            command.arg("--conditions").arg(&file.path);
        }
        if options.open {
            command.arg("--open");
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // Handlers can read the environment of their parent, so it must hold no secrets.
        command.env_clear().envs(std::env::vars_os().filter(|(name, value)| is_passed_on(name, value)));
        // A process group of its own: Ctrl-C in the terminal it was started from must not stop it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn()
    }
}

/// Whether a server inherits a variable: basic ones of the system, locations of interpreters, and how packages are fetched
/// (proxies, indexes) unless the value contains a password.
fn is_passed_on(name: &OsStr, value: &OsStr) -> bool {
    const NETWORK: &[&str] = &[
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NODE_EXTRA_CA_CERTS",
        "NO_PROXY",
        "NPM_CONFIG_REGISTRY",
        "PIP_CERT",
        "PIP_INDEX_URL",
        "REQUESTS_CA_BUNDLE",
    ];
    let Some(name) = name.to_str() else { return false };
    if NETWORK.contains(&name.to_ascii_uppercase().as_str()) {
        return !value.to_string_lossy().contains('@');
    }
    const NAMES: &[&str] = &["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER"];
    const PREFIXES: &[&str] = &["LC_", "RUST_", "SSL_CERT_", "UV_PYTHON", "XDG_"];
    NAMES.contains(&name) || PREFIXES.iter().chain(VERSION_MANAGERS).any(|prefix| name.starts_with(prefix))
}

/// The last lines appended to a log after byte `from`.
fn last_lines(log: &Path, from: u64) -> io::Result<String> {
    const LINES: usize = 20;
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(LINES)..].join("\n"))
}

/// Sends a request to the server process. It answers from memory, but a machine that compiles may keep it waiting.
async fn ask<T: DeserializeOwned>(port: u16, method: &str, path: &str, token: Option<&str>) -> io::Result<T> {
    let exchange = async {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        let mut request = hyper::Request::builder().method(method).uri(path).header("host", "localhost");
        if let Some(token) = token {
            request = request.header(TOKEN, token);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let body = answer.into_body().collect().await.map_err(io::Error::other)?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    };
    timeout(Duration::from_secs(3), exchange).await?
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(Err(error)) = pid.map(|pid| kill_process(pid, Signal::KILL)) {
        tracing::debug!("the server was not killed: {error}");
    }
}
