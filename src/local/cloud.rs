//! The services of one local cloud, opened in the order in which they lean on each other.

use std::io;
use std::sync::Arc;

use super::apigateway::ApiGateway;
use super::apigateway::management::Management;
use super::cloudformation::CloudFormation;
use super::dynamodb::DynamoDb;
use super::iam::Iam;
use super::lambda::Lambda;
use super::logs::Logs;
use super::server::WebSockets;
use super::shell::Shell;
use super::sts::Sts;
use super::wire::Service;

/// All services, open.
pub struct Cloud {
    pub services: Vec<Arc<dyn Service>>,
    pub sockets: Option<Arc<dyn WebSockets>>,
    lambda: Arc<Lambda>,
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
        let logs = Logs::open(shell)?;
        let dynamodb = DynamoDb::open(shell)?;
        let lambda = Lambda::open(shell, iam.clone(), logs.clone())?;
        let gateway = ApiGateway::open(shell, lambda.clone())?;
        let management = Arc::new(Management::new(gateway.clone()));
        let sockets = Some(Arc::new(Gateway(gateway.clone())) as Arc<dyn WebSockets>);
        let services: Vec<Arc<dyn Service>> =
            vec![iam, sts, cloudformation, logs, dynamodb, lambda.clone(), gateway, management];
        Ok(Self { services, sockets, lambda })
    }

    /// Ends what runs outside this process.
    pub async fn shutdown(&self) {
        self.lambda.shutdown().await;
    }
}

struct Gateway(Arc<ApiGateway>);

#[async_trait::async_trait]
impl WebSockets for Gateway {
    async fn upgrade(
        &self,
        request: hyper::Request<hyper::body::Incoming>,
        peer: std::net::SocketAddr,
    ) -> hyper::Response<http_body_util::Full<bytes::Bytes>> {
        self.0.upgrade(request, peer).await
    }
}
