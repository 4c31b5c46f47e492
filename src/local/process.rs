//! Management of the local cloud's background process: find, start, stop.
//!
//! One process serves one data folder. It holds a lock on a file there for as long as it runs; only the lock, not the
//! record beside it, says whether it runs. So nothing needs cleaning up after a crash, and a stale record does no harm.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::access::AccessKey;
use super::call_log::rotate;
use super::conditions::Conditions;
use super::data_part::DataPart;
use super::server::{Health, TOKEN};
use super::store::{Damaged, write_private};
use crate::machine::interpreter::VERSION_MANAGERS;
use crate::machine::own_folder;

/// The server's own log, in the data folder.
pub const LOG: &str = "local.log";

const LOCK: &str = "wschat.lock";
const RECORD: &str = "process.json";

/// How long a server may take to answer after it was started.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may take to stop before it is killed: closing sockets and environments takes up to three seconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a starting server is polled. A start takes tens of milliseconds, and the user waits for it.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The options of a server.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// The port; 0 for any free one; `None` for the folder's last.
    pub port: Option<u16>,
    /// The conditions file.
    pub conditions: Option<PathBuf>,
    /// Whether all callers are admitted, with any access key or none.
    pub open: bool,
}

/// A server that runs and answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningServer {
    pub pid: u32,
    /// The port on loopback, for HTTP and TLS.
    pub port: u16,
    pub version: String,
    /// The time of its start: RFC 3339, UTC.
    pub started: String,
    /// The conditions file it was started with.
    pub conditions: Option<PathBuf>,
    /// The access key that callers need.
    pub key: AccessKey,
    /// Whether all callers are admitted.
    pub open: bool,
    pub outcome: StartOutcome,
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
    Running(RunningServer),
}

/// Why a server could not be started, found or stopped.
#[derive(Debug, Error)]
pub enum ProcessError {
    #[error("the local cloud cannot {doing}: {source}")]
    Io { doing: String, source: io::Error },
    #[error("{0}")]
    Conditions(String),
    #[error("the local cloud is already running, {}", under(.0.as_deref()))]
    OtherConditions(Option<PathBuf>),
    #[error("the local cloud is already running on port {0}")]
    OtherPort(u16),
    #[error("the local cloud is already running and requires its access key")]
    NotOpen,
    /// The server's own words.
    #[error("{0}")]
    Failed(String),
    #[error("the local cloud did not start:\n{0}")]
    Died(String),
    #[error(
        "the local cloud cannot listen on port {port}: {source}\n  choose another with --port, or 0 for any free one"
    )]
    Port { port: u16, source: io::Error },
    #[error("the local cloud is running but does not answer; see {}", .0.display())]
    Silent(PathBuf),
    #[error("{damaged}\n  to start without that data: {help}")]
    Damaged { damaged: String, help: String },
    #[error("{} holds no data of a local cloud; nothing was deleted", .0.display())]
    NotOurs(PathBuf),
}

fn under(conditions: Option<&Path>) -> String {
    match conditions {
        Some(file) => format!("with the conditions in {}", file.display()),
        None => "without a conditions file".to_owned(),
    }
}

/// The server's record of itself for those who may stop it (`process.json`, readable by the user only).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerRecord {
    pub pid: u32,
    pub port: u16,
    /// The token that `/_wschat/stop` requires.
    pub token: String,
    pub binary: Binary,
    pub started: String,
    pub conditions: Option<ConditionsFile>,
    pub key: AccessKey,
    pub open: bool,
}

/// The build of wschat that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binary {
    pub version: String,
    /// The modification time of the executable in nanoseconds since the epoch, where the file system has one.
    modified: Option<u64>,
}

impl Binary {
    /// The build of this process.
    pub fn this() -> Self {
        let modified = std::env::current_exe().and_then(fs::metadata).and_then(|file| file.modified()).ok();
        let modified = modified.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            modified: modified.and_then(|since| u64::try_from(since.as_nanos()).ok()),
        }
    }
}

/// A conditions file, and the digest of its content when it was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConditionsFile {
    path: PathBuf,
    sha256: String,
}

/// Reads a conditions file.
///
/// # Errors
/// When it cannot be read or is not one.
pub fn conditions_file(path: &Path) -> Result<(ConditionsFile, Conditions), ProcessError> {
    let conditions = Conditions::read(path).map_err(ProcessError::Conditions)?;
    let cannot = |source| ProcessError::Io { doing: format!("read {}", path.display()), source };
    let sha256 = hex::encode(Sha256::digest(fs::read(path).map_err(cannot)?));
    Ok((ConditionsFile { path: path.canonicalize().map_err(cannot)?, sha256 }, conditions))
}

/// Finds the server of a data folder, or starts it. One of another build of wschat is replaced.
///
/// # Errors
/// When it does not start, or runs with other options than those asked for.
pub async fn ensure(data: &Path, options: &ServerOptions) -> Result<RunningServer, ProcessError> {
    let folder = ServerFolder::make(data)?;
    let asked = options.conditions.as_deref().map(conditions_file).transpose()?.map(|(file, _)| file);
    let mut conditions = asked.clone();
    let mut open = options.open;
    let mut outcome = StartOutcome::Started;
    if let Some(record) = folder.wait_until_answering(START_TIMEOUT).await? {
        if record.binary == Binary::this() {
            return record.matching(options, asked.as_ref(), StartOutcome::Found);
        }
        conditions = conditions.or(record.conditions);
        open |= record.open;
        outcome = StartOutcome::Replaced;
        stop(data).await?;
    }
    let record = folder.start(options.port, conditions.as_ref(), open).await?;
    // A concurrent start may have won, with other options.
    record.matching(options, asked.as_ref(), outcome)
}

/// The server of a data folder, if it runs and answers.
pub async fn find(data: &Path) -> Option<RunningServer> {
    match state(data).await {
        ServerState::Running(running) => Some(running),
        ServerState::Stopped | ServerState::Silent => None,
    }
}

/// The state of a data folder's server.
pub async fn state(data: &Path) -> ServerState {
    let Ok(folder) = ServerFolder::existing(data) else { return ServerState::Stopped };
    if !folder.is_served() {
        return ServerState::Stopped;
    }
    match folder.answering().await {
        Some(record) => ServerState::Running(record.running(StartOutcome::Found)),
        None => ServerState::Silent,
    }
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
            stopping = ask(record.port, "POST", "/_wschat/stop", Some(&record.token)).await.is_ok();
        }
        sleep(POLL_INTERVAL).await;
    }
    if let Some(record) = folder.record()
        && folder.is_served()
    {
        // The lock is held and its holder wrote the record, so the pid cannot be that of an unrelated process.
        kill(record.pid);
    }
    if folder.wait_until_stopped(STOP_TIMEOUT).await { Ok(true) } else { Err(ProcessError::Silent(folder.0.join(LOG))) }
}

impl ProcessError {
    /// The error for a part of a data folder that could not be opened; for a damaged file with the command that deletes it.
    pub(super) fn of_opening(folder: &Path, doing: &str, source: io::Error) -> Self {
        let damaged = source.get_ref().and_then(|inner| inner.downcast_ref::<Damaged>());
        match damaged.and_then(|damaged| Some((damaged, DataPart::of(&damaged.file)?))) {
            Some((damaged, part)) => Self::Damaged {
                damaged: damaged.to_string(),
                help: format!("wschat local reset --only {} --data {}", part.name(), folder.display()),
            },
            None => Self::Io { doing: doing.to_owned(), source },
        }
    }
}

/// Stops the server of a data folder and deletes the folder, or one part of its data. Returns whether the folder existed.
///
/// # Errors
/// When the server cannot be stopped, the folder cannot be deleted, or it is not a local cloud's data folder.
pub async fn reset(data: &Path, only: Option<DataPart>) -> Result<bool, ProcessError> {
    let Ok(folder) = ServerFolder::existing(data) else { return Ok(false) };
    if !folder.0.join(LOCK).exists() {
        return Err(ProcessError::NotOurs(folder.0));
    }
    stop(data).await?;
    let doing = || format!("delete {}", folder.0.display());
    let deleted = match only {
        Some(part) => {
            // Held against a server that starts meanwhile: its data must not be deleted.
            let Some(_lock) = folder.lock().await? else { return Err(ProcessError::Silent(folder.0.join(LOG))) };
            part.delete(&folder.0)
        }
        None => own_folder::remove(&folder.0),
    };
    deleted.map_err(|source| ProcessError::Io { doing: doing(), source })?;
    Ok(true)
}

impl ServerRecord {
    fn running(self, outcome: StartOutcome) -> RunningServer {
        RunningServer {
            pid: self.pid,
            port: self.port,
            version: self.binary.version,
            started: self.started,
            conditions: self.conditions.map(|file| file.path),
            key: self.key,
            open: self.open,
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
        let here = self.conditions.as_ref().map(|file| &file.sha256);
        if conditions.is_some_and(|asked| Some(&asked.sha256) != here) {
            return Err(ProcessError::OtherConditions(self.conditions.map(|file| file.path)));
        }
        Ok(self.running(outcome))
    }
}

/// The data folder of a local cloud, as an absolute path.
#[derive(Debug, Clone)]
pub struct ServerFolder(PathBuf);

impl ServerFolder {
    /// The folder, created where it is missing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn make(data: &Path) -> Result<Self, ProcessError> {
        let made = own_folder::make(data).and_then(|()| data.canonicalize());
        made.map(Self)
            .map_err(|source| ProcessError::Io { doing: format!("create the folder {}", data.display()), source })
    }

    fn existing(data: &Path) -> io::Result<Self> {
        data.canonicalize().map(Self)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Locks the folder for this process, for as long as the file is open. `None` where another process holds the lock.
    ///
    /// # Errors
    /// When the lock file cannot be opened or locked at all.
    pub async fn lock(&self) -> Result<Option<File>, ProcessError> {
        let failed = |source| ProcessError::Io { doing: "lock its data folder".to_owned(), source };
        let file = self.lock_file().map_err(failed)?;
        // A process that checks whether the folder is served holds the lock briefly; only a server holds it for longer.
        for _ in 0..50 {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::WouldBlock) => sleep(POLL_INTERVAL).await,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        Ok(None)
    }

    /// Writes the record of the server.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_record(&self, record: &ServerRecord) -> Result<(), ProcessError> {
        let json = serde_json::to_vec_pretty(record).map_err(io::Error::from);
        json.and_then(|json| write_private(&self.0.join(RECORD), &json))
            .map_err(|source| ProcessError::Io { doing: format!("write {RECORD}"), source })
    }

    /// Removes the record of the last server.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_record(&self) -> Result<(), ProcessError> {
        match fs::remove_file(self.0.join(RECORD)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ProcessError::Io { doing: format!("remove {RECORD}"), source: error })
            }
            _ => Ok(()),
        }
    }

    /// Whether this process still serves the folder: its record and its lock are there. A folder that cannot be read any more
    /// counts as lost.
    pub fn is_locked_by_us(&self) -> bool {
        self.record().is_some_and(|record| record.pid == std::process::id()) && self.is_served()
    }

    fn lock_file(&self) -> io::Result<File> {
        File::options().read(true).write(true).create(true).truncate(false).open(self.0.join(LOCK))
    }

    fn is_served(&self) -> bool {
        // Not created where it is missing: a check must leave no files.
        let Ok(file) = File::open(self.0.join(LOCK)) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    fn record(&self) -> Option<ServerRecord> {
        serde_json::from_slice(&fs::read(self.0.join(RECORD)).ok()?).ok()
    }

    /// The record, if its server answers.
    async fn answering(&self) -> Option<ServerRecord> {
        let record = self.record()?;
        let health = ask(record.port, "GET", "/_wschat/health", None).await.ok()?;
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
                return Err(ProcessError::Silent(self.0.join(LOG)));
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

    async fn start(
        &self,
        port: Option<u16>,
        conditions: Option<&ConditionsFile>,
        open: bool,
    ) -> Result<ServerRecord, ProcessError> {
        let log = self.0.join(LOG);
        let logged = fs::metadata(&log).map_or(0, |log| log.len());
        let mut child = self
            .spawn(port, conditions, open)
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
    fn spawn(&self, port: Option<u16>, conditions: Option<&ConditionsFile>, open: bool) -> io::Result<Child> {
        let log = self.0.join(LOG);
        rotate(&log)?;
        let log = File::options().append(true).create(true).open(log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["local", "serve", "--data"]).arg(&self.0).current_dir(&self.0);
        if let Some(port) = port {
            command.args(["--port", &port.to_string()]);
        }
        if let Some(file) = conditions {
            command.arg("--conditions").arg(&file.path);
        }
        if open {
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

/// Sends a request to the server process. One second is enough: it answers from memory.
async fn ask(port: u16, method: &str, path: &str, token: Option<&str>) -> io::Result<Health> {
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
    timeout(Duration::from_secs(1), exchange).await?
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(Err(error)) = pid.map(|pid| kill_process(pid, Signal::KILL)) {
        tracing::debug!("the server was not killed: {error}");
    }
}
