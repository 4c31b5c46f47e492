//! Why a server could not be started, found or stopped.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::data_part::DataPart;
use crate::local::context::store::Damaged;

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
    /// The server's own message.
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
