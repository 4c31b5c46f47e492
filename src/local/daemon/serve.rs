//! The server process: takes the lock, binds the port, opens the services, then serves until it is told to stop.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::error::ProcessError;
use super::folder::{Binary, MissedPort, ServerFolder, ServerRecord, conditions_file};
use super::process::{LOG, ServerOptions, beyond_loopback};
use crate::local::context::CloudContext;
use crate::local::context::conditions::Conditions;
use crate::local::context::ports::{SdkInstaller, TemplateReader};
use crate::local::context::store::Store;
use crate::local::protocol::host::Hosts;
use crate::local::server::access::{AccessKey, Guard};
use crate::local::server::call_log::{CallLog, rotate_in_place, timestamp};
use crate::local::server::cloud::Cloud;
use crate::local::server::http::{Health, Server};
use crate::local::server::listeners::{self, Listeners};
use crate::local::server::router::Router;
use crate::local::server::tls;

/// The default port, where none is given and none was used before.
pub const DEFAULT_PORT: u16 = 4579;

/// How often the server checks that its data folder still exists.
const FOLDER_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How often the server looks whether its log has become long.
const LOG_CHECK_INTERVAL: Duration = Duration::from_secs(10);

const MAX_OPEN_FILES: u64 = 1 << 20;

/// Serves the cloud of a data folder in this process, until SIGTERM, SIGINT or a request to stop. Where another
/// process serves the folder already, it returns at once.
///
/// `options.port` is the port to listen on, 0 for any free one. Without it: the folder's last port, else the default, else
/// any free one.
///
/// # Errors
/// When the server cannot start.
pub async fn serve(
    data: &Path,
    options: ServerOptions,
    sdk: Arc<dyn SdkInstaller>,
    templates: Arc<dyn TemplateReader>,
) -> Result<(), ProcessError> {
    options.check()?;
    let ServerOptions { port, host, origins, conditions, open, .. } = options;
    let host = host.and_then(beyond_loopback);
    let folder = ServerFolder::make(data)?;
    let Some(_lock) = folder.lock().await? else {
        tracing::info!("another process serves this folder");
        return Ok(());
    };
    folder.remove_record()?;
    raise_file_limit();
    let doing = |what: &'static str| {
        let folder = folder.path();
        move |source: io::Error| ProcessError::of_opening(folder, what, source)
    };

    let (file, conditions) = match conditions {
        None => (None, Conditions::default()),
        Some(path) => {
            let (file, conditions) = conditions_file(&path)?;
            (Some(file), conditions)
        }
    };
    let conditions = Arc::new(conditions);
    let store = Store::open(folder.path()).map_err(doing("open the data folder"))?;
    let (sockets, missed_port) = listen(&store, host, port)?;
    let port = sockets.port();
    let client_host = host.and_then(listeners::reachable);
    let hosts = host.map_or_else(Hosts::default, |_| Hosts::beyond_loopback(client_host.clone()));
    let key = if open { Ok(AccessKey::placeholder()) } else { AccessKey::open(&store) };
    let key = key.map_err(doing("make an access key"))?;
    let tls = tls::open(&store).map_err(doing("make certificates"))?;
    let calls = CallLog::open(&store).map_err(doing("open the call log"))?;
    let context = CloudContext {
        port,
        hosts: hosts.clone(),
        store,
        conditions: Arc::clone(&conditions),
        ca_bundle: tls.ca_bundle,
        recorder: Arc::default(),
    };
    let cloud = Cloud::open(&context, sdk, templates).map_err(doing("open the services"))?;

    let started = timestamp(OffsetDateTime::now_utc());
    let token = hex::encode(rand::rng().random::<[u8; 16]>());
    let help = format!("wschat env --data {}", folder.path().display());
    let callers = cloud.callers(key.clone(), open);
    let guard = (!open).then(|| Guard::new(callers.clone(), help));
    let router = Arc::new(Router::new(cloud.services(), conditions, calls).guarded(guard, cloud.authorizer()));
    cloud.connect(&router, context.authority(), callers);
    let server = Arc::new(Server {
        router,
        open,
        hosts,
        origins: origins.clone(),
        sockets: cloud.sockets(),
        console: Some(cloud.console()),
        tls: tls.acceptor,
        health: Health {
            name: "wschat".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            data: folder.path().display().to_string(),
            started: started.clone(),
        },
        control: Some(cloud.control()),
        token: token.clone(),
        stop: watch::Sender::new(false),
    });
    stop_on_signals(server.stop.clone()).map_err(doing("listen for signals"))?;
    context.store.save("port", &port).map_err(doing("remember the port"))?;
    folder.write_record(&ServerRecord {
        pid: std::process::id(),
        port,
        host,
        client_host,
        origins,
        token,
        binary: Binary::this(),
        started,
        conditions: file,
        key,
        open,
        missed_port,
    })?;
    match host {
        Some(host) => tracing::info!("serving {} on {host} and loopback, port {port}", folder.path().display()),
        None => tracing::info!("serving {} on port {port}", folder.path().display()),
    }
    tokio::spawn(keep_log_short(folder.path().join(LOG)));
    let vanished = tokio::spawn(stop_without_folder(folder.clone(), server.stop.clone()));

    server.run(sockets).await;

    tracing::info!("stopping");
    vanished.abort();
    cloud.shutdown().await;
    folder.remove_record()
}

/// Stops the server when its folder is deleted or replaced: its changes would be lost, and the next `start` would start a
/// second server there.
async fn stop_without_folder(folder: ServerFolder, stop: watch::Sender<bool>) {
    loop {
        tokio::time::sleep(FOLDER_CHECK_INTERVAL).await;
        if !folder.is_locked_by_us() {
            tracing::warn!("the data folder is gone");
            stop.send_replace(true);
            return;
        }
    }
}

/// Rotates the log as it grows. Only the end of this process closes the file that its output goes to.
async fn keep_log_short(log: PathBuf) {
    loop {
        tokio::time::sleep(LOG_CHECK_INTERVAL).await;
        if let Err(error) = rotate_in_place(&log) {
            tracing::warn!("{} is not rotated: {error}", log.display());
        }
    }
}

/// Raises the limit of open files to the hard limit: every socket and every function's process needs some, and the usual
/// soft limit (1,024) is too low for that.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // A million is enough, and some systems refuse "unlimited".
    let wanted = limit.maximum.unwrap_or(MAX_OPEN_FILES).min(MAX_OPEN_FILES);
    if limit.current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit })
    {
        tracing::warn!("at most {:?} files can be open: {error}", limit.current);
    }
}

/// Binds the port that was asked for; without one, the first free one of: the folder's last, the default, any. Returns the
/// first of these, too, if it could not be bound.
fn listen(
    store: &Store,
    host: Option<IpAddr>,
    asked: Option<u16>,
) -> Result<(Listeners, Option<MissedPort>), ProcessError> {
    let is_foreign = |error: &io::Error| error.kind() == io::ErrorKind::AddrNotAvailable;
    if let Some(port) = asked {
        let bound = Listeners::bind(host, port).map_err(|source| match host {
            Some(host) if is_foreign(&source) => ProcessError::Host { host },
            _ => ProcessError::Port { port, source },
        });
        return Ok((bound?, None));
    }
    // Without a readable saved port the folder is treated as new.
    let last: Option<u16> = store.load("port").unwrap_or_default();
    let mut missed = None;
    for port in last.into_iter().chain([DEFAULT_PORT]) {
        match (Listeners::bind(host, port), host) {
            (Ok(listeners), _) => return Ok((listeners, missed)),
            (Err(error), Some(host)) if is_foreign(&error) => return Err(ProcessError::Host { host }),
            (Err(error), _) => {
                tracing::warn!("cannot listen on port {port}: {error}");
                let why = match error.kind() {
                    io::ErrorKind::AddrInUse => "is in use".to_owned(),
                    _ => format!("cannot be used ({error})"),
                };
                missed.get_or_insert(MissedPort { port, why, was_used: last == Some(port) });
            }
        }
    }
    let none = |source| ProcessError::Io { doing: "find a free port".to_owned(), source };
    Ok((Listeners::bind(host, 0).map_err(none)?, missed))
}

fn stop_on_signals(stop: watch::Sender<bool>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Caught and ignored: closing the terminal must not stop the cloud.
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => {}
            }
        }
        stop.send_replace(true);
    });
    Ok(())
}
