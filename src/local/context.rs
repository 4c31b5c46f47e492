//! What every service of the local cloud is given: whose cloud this is, where it listens, how it behaves.

use std::path::PathBuf;
use std::sync::Arc;

use super::conditions::Conditions;
use super::store::Store;

/// The account that everything in the local cloud belongs to.
pub const ACCOUNT: &str = "000000000000";

/// Shared by all services; cheap to clone.
#[derive(Debug, Clone)]
pub struct CloudContext {
    /// The port on loopback, for HTTP and TLS alike.
    pub port: u16,
    pub store: Store,
    pub conditions: Arc<Conditions>,
    /// PEM: this cloud's CA and the machine's own roots, for handlers that call it over TLS.
    pub ca_bundle: PathBuf,
}

impl CloudContext {
    /// An ARN in this account; `region` is empty for global services.
    pub fn arn(service: &str, region: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{region}:{ACCOUNT}:{resource}")
    }

    /// The host and port that clients and events name: `localhost:PORT`.
    pub fn authority(&self) -> String {
        format!("localhost:{}", self.port)
    }
}
