//! The life of the server process: lock, port, services, then serving until it is told to stop.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::RngExt;
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::call_log::{CallLog, timestamp};
use super::cloud::Cloud;
use super::conditions::Conditions;
use super::process::{Binary, Folder, ProcessError, Record, conditions_file};
use super::router::Router;
use super::server::{Health, Listeners, Server};
use super::shell::Shell;
use super::store::Store;
use super::tls;

/// The port where nothing else is asked for or remembered.
pub const DEFAULT_PORT: u16 = 4579;

/// Serves the cloud of a data folder in this process, until SIGTERM, SIGINT or a request to stop. Where another
/// process serves the folder already, it returns at once: that one is as good.
///
/// `port` is the one to listen on, 0 for any; without one it is the folder's last, else the default, else any.
///
/// # Errors
/// What keeps it from starting.
pub async fn serve(data: &Path, port: Option<u16>, conditions: Option<PathBuf>) -> Result<(), ProcessError> {
    let folder = Folder::make(data)?;
    let Some(_lock) = folder.lock().await? else {
        tracing::info!("another process serves this folder");
        return Ok(());
    };
    folder.forget()?;
    let doing = |what: &'static str| move |source: io::Error| ProcessError::Io { doing: what.to_owned(), source };

    let (file, conditions) = match conditions {
        None => (None, Conditions::default()),
        Some(path) => {
            let (file, conditions) = conditions_file(&path)?;
            (Some(file), conditions)
        }
    };
    let conditions = Arc::new(conditions);
    let store = Store::open(folder.path()).map_err(doing("open the data folder"))?;
    let listeners = listen(&store, port).await?;
    let port = listeners.port();
    let tls = tls::open(&store).map_err(doing("make certificates"))?;
    let calls = CallLog::open(&store).map_err(doing("open the call log"))?;
    let shell = Shell { port, store, conditions: Arc::clone(&conditions), ca_bundle: tls.ca_bundle };
    let cloud = Cloud::open(&shell).map_err(doing("open the services"))?;

    let started = timestamp(OffsetDateTime::now_utc());
    let token = hex::encode(rand::rng().random::<[u8; 16]>());
    let server = Arc::new(Server {
        router: Arc::new(Router::new(cloud.services(), conditions, calls).guarded(cloud.authorizer())),
        sockets: cloud.sockets(),
        tls: tls.acceptor,
        health: Health {
            name: "wschat".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            data: folder.path().display().to_string(),
            started: started.clone(),
        },
        token: token.clone(),
        stop: watch::Sender::new(false),
    });
    stop_on_signals(server.stop.clone()).map_err(doing("listen for signals"))?;
    shell.store.save("port", &port).map_err(doing("remember the port"))?;
    folder.remember(&Record {
        pid: std::process::id(),
        port,
        token,
        binary: Binary::this(),
        started,
        conditions: file,
    })?;
    tracing::info!("serving {} on port {port}", folder.path().display());

    server.run(listeners).await;

    tracing::info!("stopping");
    cloud.shutdown().await;
    folder.forget()
}

/// Takes the port that was asked for; without one, the first free one of the folder's last, the default and any.
async fn listen(store: &Store, asked: Option<u16>) -> Result<Listeners, ProcessError> {
    if let Some(port) = asked {
        let taken = |source| ProcessError::Io { doing: format!("listen on port {port}"), source };
        return Listeners::bind(port).await.map_err(taken);
    }
    // A folder without a port, or with an unreadable one, is as a new folder.
    let last: Option<u16> = store.load("port").unwrap_or_default();
    for port in last.into_iter().chain([DEFAULT_PORT]) {
        match Listeners::bind(port).await {
            Ok(listeners) => return Ok(listeners),
            Err(error) => tracing::warn!("cannot listen on port {port}: {error}"),
        }
    }
    let none = |source| ProcessError::Io { doing: "find a free port".to_owned(), source };
    Listeners::bind(0).await.map_err(none)
}

fn stop_on_signals(stop: watch::Sender<bool>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // A terminal that closes does not take the cloud with it: caught, and nothing done.
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
