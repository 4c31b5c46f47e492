//! The cargo commands that build executables for a platform.

use std::fmt;

use super::platform::Glibc;

/// A cargo command that builds executables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BuildCommand {
    /// `cargo build`: for this machine, or for `triple` if there is one.
    Cargo { triple: Option<String> },
    /// `cargo zigbuild`, linked against one version of glibc.
    Zigbuild { triple: String, glibc: Glibc },
    /// `cargo build` for a musl target, whose executables are static.
    Musl { triple: String },
}

impl BuildCommand {
    /// The arguments after `cargo`.
    pub fn arguments(&self) -> Vec<String> {
        match self {
            Self::Cargo { triple: None } => vec!["build".to_owned()],
            Self::Cargo { triple: Some(triple) } | Self::Musl { triple } => {
                vec!["build".to_owned(), "--target".to_owned(), triple.clone()]
            }
            Self::Zigbuild { triple, glibc } => {
                vec!["zigbuild".to_owned(), "--target".to_owned(), format!("{triple}.{glibc}")]
            }
        }
    }

    /// The Rust target, if the command names one.
    pub fn triple(&self) -> Option<&str> {
        match self {
            Self::Cargo { triple } => triple.as_deref(),
            Self::Zigbuild { triple, .. } | Self::Musl { triple } => Some(triple),
        }
    }
}

impl fmt::Display for BuildCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cargo {}", self.arguments().join(" "))
    }
}
