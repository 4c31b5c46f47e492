//! The services of one local cloud, opened in the order of their dependencies.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::apigateway::ApiGateway;
use super::apigateway::management::Management;
use super::authorization::Authorizer;
use super::cloudformation::CloudFormation;
use super::context::CloudContext;
use super::dynamodb::DynamoDb;
use super::iam::Iam;
use super::lambda::Lambda;
use super::logs::Logs;
use super::ports::{Apis, Roles, SdkInstaller};
use super::server::WebSockets;
use super::sts::Sts;
use super::wire::{Request, Response, Service};

/// How long closing all sockets may take, with the `$disconnect` route of each.
const SOCKETS_TIMEOUT: Duration = Duration::from_secs(1);

/// How long ending all execution environments may take.
const ENVIRONMENTS_TIMEOUT: Duration = Duration::from_secs(2);

/// All services, open.
pub struct Cloud {
    services: Vec<Arc<dyn Service>>,
    lambda: Arc<Lambda>,
    gateway: Arc<ApiGateway>,
    roles: Arc<dyn Roles>,
    authorizer: Option<Arc<dyn Authorizer>>,
}

impl Cloud {
    /// Opens every service with its persisted state. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When a service's persisted state cannot be read.
    pub fn open(context: &CloudContext, sdk: Arc<dyn SdkInstaller>) -> io::Result<Self> {
        let iam = Iam::open(context)?;
        let logs = Logs::open(context)?;
        let lambda = Lambda::open(context, iam.clone(), logs.clone())?;
        let gateway = ApiGateway::open(context, lambda.clone(), logs.clone())?;
        let apis: Weak<dyn Apis> = Arc::downgrade(&gateway) as _;
        lambda.set_apis(apis);
        lambda.set_sdk_installer(sdk);
        let authorizer = context.conditions.strict.iam.then(|| iam.clone() as Arc<dyn Authorizer>);
        let services: Vec<Arc<dyn Service>> = vec![
            gateway.clone(),
            CloudFormation::open(context)?,
            DynamoDb::open(context)?,
            Arc::new(Management::new(gateway.clone())),
            iam.clone(),
            lambda.clone(),
            logs,
            Sts::open(context, iam.clone())?,
        ];
        Ok(Self { services, lambda, gateway, roles: iam, authorizer })
    }

    /// All services, for the router.
    pub fn services(&self) -> Vec<Arc<dyn Service>> {
        self.services.clone()
    }

    /// The issuer of temporary credentials: IAM.
    pub fn roles(&self) -> Arc<dyn Roles> {
        Arc::clone(&self.roles)
    }

    /// The authorizer of calls, where the conditions ask for one.
    pub fn authorizer(&self) -> Option<Arc<dyn Authorizer>> {
        self.authorizer.clone()
    }

    /// The handler of WebSocket upgrades: API Gateway.
    pub fn sockets(&self) -> Arc<dyn WebSockets> {
        Arc::new(Gateway(Arc::clone(&self.gateway)))
    }

    /// Closes the sockets, then ends the execution environments: in that order, because `$disconnect` invokes functions.
    /// Takes three seconds at most.
    pub async fn shutdown(&self) {
        if timeout(SOCKETS_TIMEOUT, self.gateway.shutdown()).await.is_err() {
            tracing::warn!("some sockets did not close in time");
        }
        if timeout(ENVIRONMENTS_TIMEOUT, self.lambda.shutdown()).await.is_err() {
            tracing::warn!("some execution environments did not end in time");
        }
    }
}

struct Gateway(Arc<ApiGateway>);

#[async_trait]
impl WebSockets for Gateway {
    async fn upgrade(&self, request: hyper::Request<Incoming>, peer: SocketAddr) -> hyper::Response<Full<Bytes>> {
        self.0.upgrade(request, peer).await
    }

    fn without_upgrade(&self, request: &Request) -> Option<Response> {
        self.0.without_upgrade(request)
    }
}
