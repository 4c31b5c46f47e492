//! Why a server could not be started, found or stopped.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::data_part::DataPart;
use crate::local::context::store::Damaged;
use crate::local::server::origins::Origin;

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
    #[error("the local cloud is already running and listens on {}", on(*.0))]
    OtherHost(Option<IpAddr>),
    #[error("the local cloud is already running, {}", pages(.0))]
    OtherOrigins(Vec<Origin>),
    #[error(
        "the local cloud cannot admit every caller (--open) and listen on {0} (--host): anyone who reaches this machine could run \
         code on it\n  leave one of the two out"
    )]
    OpenBeyondLoopback(IpAddr),
    #[error("the local cloud is already running and requires its access key")]
    NotOpen,
    /// The server's own message.
    #[error("{0}")]
    Failed(String),
    #[error("the local cloud did not start:\n{0}")]
    Died(String),
    #[error(
        "the local cloud cannot listen on port {port}: {source}\n  choose another with --port, or 0 for any free one"
    )]
    Port { port: u16, source: io::Error },
    #[error(
        "the local cloud cannot listen on {host}: it is not an address of this machine; for all of them: --host 0.0.0.0"
    )]
    Host { host: IpAddr },
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

fn on(host: Option<IpAddr>) -> String {
    match host {
        Some(host) => host.to_string(),
        None => "loopback alone".to_owned(),
    }
}

fn pages(origins: &[Origin]) -> String {
    if origins.is_empty() {
        return "and admits no web pages".to_owned();
    }
    format!("and admits web pages of {}", origins.iter().map(Origin::to_string).collect::<Vec<_>>().join(", "))
}

impl ProcessError {
    /// The error for a part of a data folder that could not be opened; for a damaged file with the command that deletes it.
    pub(super) fn of_opening(folder: &Path, doing: &str, source: io::Error) -> Self {
        let damaged = source.get_ref().and_then(|inner| inner.downcast_ref::<Damaged>());
        match damaged.and_then(|damaged| Some((damaged, DataPart::of(folder, &damaged.file)?))) {
            Some((damaged, part)) => Self::Damaged {
                damaged: damaged.to_string(),
                help: format!("wschat local reset --only {} --data {}", part.name(), folder.display()),
            },
            None => Self::Io { doing: doing.to_owned(), source },
        }
    }
}
