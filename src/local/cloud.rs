//! The services of one local cloud, opened in the order in which they lean on each other.

use std::io;
use std::sync::Arc;

use super::cloudformation::CloudFormation;
use super::iam::Iam;
use super::server::WebSockets;
use super::shell::Shell;
use super::sts::Sts;
use super::wire::Service;

/// All services, open.
pub struct Cloud {
    pub services: Vec<Arc<dyn Service>>,
    pub sockets: Option<Arc<dyn WebSockets>>,
}

impl Cloud {
    /// Opens every service with what it kept.
    ///
    /// # Errors
    /// When what a service kept cannot be read.
    pub fn open(shell: &Shell) -> io::Result<Self> {
        let iam = Iam::open(shell)?;
        let sts = Sts::open(shell, Arc::clone(&iam))?;
        let cloudformation = CloudFormation::open(shell)?;
        Ok(Self { services: vec![iam, sts, cloudformation], sockets: None })
    }

    /// Ends what runs outside this process.
    pub async fn shutdown(&self) {}
}
