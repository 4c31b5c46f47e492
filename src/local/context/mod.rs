//! The context that every service of the local cloud gets: account, port, store and conditions.

pub mod alarms;
pub mod clock;
pub mod conditions;
pub mod link;
pub mod ports;
pub mod recorder;
pub mod signer;
pub mod store;
pub mod token_bucket;

use std::path::PathBuf;
use std::sync::Arc;

use self::conditions::Conditions;
use self::recorder::Recorder;
use self::store::Store;
use super::protocol::host::Hosts;

/// The account id of the local cloud.
pub const ACCOUNT: &str = "000000000000";

/// The context of all services; cheap to clone.
#[derive(Debug, Clone)]
pub struct CloudContext {
    /// The port, for HTTP and TLS alike.
    pub port: u16,
    /// The host names under which this cloud is called.
    pub hosts: Hosts,
    pub store: Store,
    pub conditions: Arc<Conditions>,
    /// The PEM file with this cloud's CA and the machine's own root certificates, for handlers that call it over TLS.
    pub ca_bundle: PathBuf,
    /// What happens is recorded here, for the console.
    pub recorder: Arc<Recorder>,
}

impl CloudContext {
    /// An ARN in this account; `region` is empty for global services.
    pub fn arn(service: &str, region: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{region}:{ACCOUNT}:{resource}")
    }

    /// The host and port that events name and functions call, which certificates are for: `localhost:PORT`.
    pub fn authority(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The host and port that clients connect to.
    pub fn client_authority(&self) -> String {
        format!("{}:{}", self.hosts.of_clients(), self.port)
    }
}
