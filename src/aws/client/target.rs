//! Where to deploy to, and why a connection failed.

use aws_credential_types::Credentials;

/// Where to deploy to.
#[derive(Debug, Clone)]
pub struct Target {
    pub region: Option<String>,
    pub profile: Option<String>,
    /// An endpoint other than AWS's, for all services.
    pub endpoint_url: Option<String>,
    /// The credentials of the local cloud, if the endpoint is one: it needs no AWS credentials and no configured
    /// region.
    pub local: Option<Credentials>,
    /// Where there is a local cloud that `--local` would use instead, as advice: `this folder has a local cloud`.
    pub local_cloud: Option<String>,
    /// Whether AWS's quotas apply there.
    pub has_quotas: bool,
    /// Whether functions may be created there with runtimes that Lambda has retired.
    pub has_retired_runtimes: bool,
}

/// Why there is no connection, in one line, and what to do, in another.
#[derive(Debug, thiserror::Error)]
#[error("{what}\n  {help}")]
pub struct ConnectError {
    what: String,
    help: String,
}

impl ConnectError {
    /// Why there is no connection, and what to do.
    pub fn into_parts(self) -> (String, String) {
        (self.what, self.help)
    }

    pub(super) fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
}
