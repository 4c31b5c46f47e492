//! The services of one local cloud, opened in the order of their dependencies.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::request::Parts;
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::access::{AccessKey, KnownCallers};
use super::control::Control;
use super::http::WebSockets;
use super::router::{RoutedServices, Router};
use crate::local::apigateway::ApiGateway;
use crate::local::apigateway::connection::OpenConnection;
use crate::local::apigateway::integration::Backends;
use crate::local::apigateway::management::Management;
use crate::local::cloudcontrol::CloudControl;
use crate::local::cloudformation::CloudFormation;
use crate::local::console::{self, Console};
use crate::local::context::CloudContext;
use crate::local::context::ports::{
    Apis, Authorizer, DeliveryTarget, EventSource, ObjectStore, Roles, SdkInstaller, TaggedResources, TemplateReader,
};
use crate::local::dynamodb::DynamoDb;
use crate::local::events::Events;
use crate::local::events::targets::Targets;
use crate::local::iam::Iam;
use crate::local::lambda::Lambda;
use crate::local::logs::Logs;
use crate::local::protocol::operation::Operation;
use crate::local::protocol::service::{AnyService, Service};
use crate::local::protocol::wire::{Request, Response};
use crate::local::s3::{Receivers, S3};
use crate::local::scheduler::Scheduler;
use crate::local::secretsmanager::SecretsManager;
use crate::local::sns::Sns;
use crate::local::sqs::Sqs;
use crate::local::ssm::Ssm;
use crate::local::sts::Sts;
use crate::local::tagging::Tagging;

/// How long closing all sockets may take, with the `$disconnect` route of each.
const SOCKETS_TIMEOUT: Duration = Duration::from_secs(1);

/// The operations of all services.
pub fn operations() -> Vec<&'static Operation> {
    fn of<S: Service>() -> impl Iterator<Item = &'static Operation> {
        S::OPERATIONS.iter().map(|row| &row.operation)
    }
    of::<ApiGateway>()
        .chain(of::<CloudControl>())
        .chain(of::<Arc<CloudFormation>>())
        .chain(of::<DynamoDb>())
        .chain(of::<Events>())
        .chain(of::<Management>())
        .chain(of::<Iam>())
        .chain(of::<Lambda>())
        .chain(of::<Logs>())
        .chain(of::<Arc<S3>>())
        .chain(of::<Scheduler>())
        .chain(of::<Sns>())
        .chain(of::<Sqs>())
        .chain(of::<Arc<SecretsManager>>())
        .chain(of::<Arc<Ssm>>())
        .chain(of::<Sts>())
        .chain(of::<Arc<Tagging>>())
        .collect()
}

/// All services, open.
pub struct Cloud {
    services: Vec<Arc<dyn AnyService>>,
    lambda: Arc<Lambda>,
    gateway: Arc<ApiGateway>,
    sqs: Arc<Sqs>,
    s3: Arc<S3>,
    console: Arc<Console>,
    records: Arc<CloudControl>,
    cloudformation: Arc<CloudFormation>,
    roles: Arc<dyn Roles>,
    authorizer: Option<Arc<dyn Authorizer>>,
}

impl Cloud {
    /// Opens every service with its persisted state. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When a service's persisted state cannot be read.
    pub fn open(
        context: &CloudContext,
        sdk: Arc<dyn SdkInstaller>,
        templates: Arc<dyn TemplateReader>,
    ) -> io::Result<Self> {
        let iam = Iam::open(context)?;
        let logs = Logs::open(context)?;
        let lambda = Lambda::open(context, iam.clone(), logs.clone())?;
        let gateway = ApiGateway::open(context, lambda.clone(), logs.clone())?;
        let apis: Weak<dyn Apis> = Arc::downgrade(&gateway) as _;
        lambda.set_apis(apis);
        lambda.set_sdk_installer(sdk);
        let authorizer = context.conditions.strict.iam.then(|| iam.clone() as Arc<dyn Authorizer>);
        let dynamodb = DynamoDb::open(context)?;
        let console = Console::open(
            context,
            console::Services {
                gateway: gateway.clone(),
                lambda: lambda.clone(),
                dynamodb: dynamodb.clone(),
                iam: iam.clone(),
                logs: logs.clone(),
            },
        )?;
        let sqs = Sqs::open(context, iam.clone())?;
        let sns = Sns::open(context, lambda.clone(), sqs.clone())?;
        let targets =
            Arc::new(Targets { functions: lambda.clone(), logs: logs.clone(), others: vec![sqs.clone(), sns.clone()] });
        let events = Events::open(context, Arc::clone(&targets))?;
        let receivers =
            Receivers { functions: lambda.clone(), others: vec![sqs.clone(), sns.clone()], bus: events.clone() };
        let s3 = S3::open(context, receivers)?;
        let store: Weak<dyn ObjectStore> = Arc::downgrade(&s3) as _;
        lambda.set_store(store);
        let scheduler = Scheduler::open(context, iam.clone(), targets, events.clone())?;
        lambda.connect(
            vec![Arc::downgrade(&dynamodb) as Weak<dyn EventSource>, Arc::downgrade(&sqs) as Weak<dyn EventSource>],
            vec![
                Arc::downgrade(&events) as Weak<dyn DeliveryTarget>,
                Arc::downgrade(&sqs) as Weak<dyn DeliveryTarget>,
                Arc::downgrade(&sns) as Weak<dyn DeliveryTarget>,
            ],
        );
        let cloudcontrol =
            CloudControl::open(context, vec![events.clone(), s3.clone(), scheduler.clone(), sqs.clone(), sns.clone()])?;
        let tagged: Vec<Arc<dyn TaggedResources>> = vec![
            cloudcontrol.clone(),
            dynamodb.clone(),
            events.clone(),
            gateway.clone(),
            lambda.clone(),
            logs.clone(),
            s3.clone(),
            scheduler.clone(),
            sns.clone(),
            sqs.clone(),
        ];
        let cloudformation = CloudFormation::open(context, templates, tagged.clone())?;
        let tagging = Tagging::new(tagged);
        let services: Vec<Arc<dyn AnyService>> = vec![
            gateway.clone(),
            cloudcontrol.clone(),
            Arc::new(Arc::new(SecretsManager::new(cloudcontrol.clone()))),
            Arc::new(Arc::new(Ssm::new(cloudcontrol.clone()))),
            Arc::new(Arc::clone(&cloudformation)),
            dynamodb,
            events,
            Arc::new(Management::new(gateway.clone())),
            iam.clone(),
            lambda.clone(),
            logs,
            Arc::new(s3.clone()),
            scheduler,
            sns,
            sqs.clone(),
            Sts::open(context, iam.clone())?,
            Arc::new(Arc::new(tagging)),
        ];
        Ok(Self {
            services,
            lambda,
            gateway,
            sqs,
            s3,
            console,
            records: cloudcontrol,
            cloudformation,
            roles: iam,
            authorizer,
        })
    }

    /// All services, for the router.
    pub fn services(&self) -> Vec<Arc<dyn AnyService>> {
        self.services.clone()
    }

    /// The callers that this cloud knows: who signs with `key`, and sessions of its roles; `open` says that any key will do.
    pub fn callers(&self, key: AccessKey, open: bool) -> Arc<KnownCallers> {
        Arc::new(KnownCallers { key, open, roles: self.roles(), authorizer: self.authorizer() })
    }

    /// Connects the gateway with the router of all services, and with those who may call.
    pub fn connect(&self, router: &Arc<Router>, authority: String, callers: Arc<KnownCallers>) {
        let services = Arc::new(RoutedServices::new(router, authority));
        self.cloudformation.connect(services.clone());
        self.s3.set_callers(callers.clone());
        self.gateway.set_backends(Backends::new(self.roles(), services, callers, self.records.clone()));
    }

    /// The console.
    pub fn console(&self) -> Arc<Console> {
        Arc::clone(&self.console)
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

    /// What `wschat dev` controls.
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.lambda), Arc::clone(&self.gateway))
    }

    /// Closes the sockets, then ends the execution environments: in that order, because `$disconnect` invokes functions.
    /// Takes three and a half seconds at most, and the time to save messages.
    pub async fn shutdown(&self) {
        if timeout(SOCKETS_TIMEOUT, self.gateway.shutdown()).await.is_err() {
            tracing::warn!("some sockets did not close in time");
        }
        self.lambda.shutdown().await;
        self.sqs.save();
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

    fn serves(&self, parts: &Parts) -> bool {
        self.0.serves(parts)
    }

    async fn request(&self, parts: &Parts, body: Option<Bytes>, peer: SocketAddr) -> Response {
        self.0.request(parts, body, peer).await
    }

    fn open(&self) -> Vec<OpenConnection> {
        self.0.open_connections().iter().map(|connection| connection.described()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::protocol::service::Permissions;

    /// The path without the names of its ids: two operations with one shape cannot be told apart.
    fn shape(path: &str) -> String {
        let shown = |segment: &str| if segment.starts_with('{') { "{}".to_owned() } else { segment.to_owned() };
        path.split('/').map(shown).collect::<Vec<_>>().join("/")
    }

    #[test]
    fn every_operation_can_be_reached_by_its_name_or_path() {
        let operations = operations();
        for (index, operation) in operations.iter().enumerate() {
            let Operation { service, name, method, path, body_limit, .. } = **operation;
            for other in operations[..index].iter().filter(|other| other.service == service) {
                assert_ne!(other.name, name, "{service}");
                let same = other.method == method && shape(other.path) == shape(path);
                assert!(path == "/" || !same, "{service}: {name} is hidden by {}", other.name);
            }
            assert!(
                ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"].contains(&method) && path.starts_with('/'),
                "{name}"
            );
            assert!(body_limit > 0, "{name}");
        }
    }

    #[test]
    fn operations_that_change_something_are_marked_and_not_sent_by_get() {
        const READING: [&str; 12] = [
            "BatchGet",
            "Describe",
            "Filter",
            "Get",
            "Head",
            "List",
            "Query",
            "Scan",
            "Search",
            "Test",
            "TransactGet",
            "Validate",
        ];
        for operation in operations() {
            let Operation { service, name, method, .. } = *operation;
            let reads = READING.iter().any(|verb| name.starts_with(verb));
            // Credentials and a file are handed out.
            let handed_out = ["AssumeRole", "DownloadFunctionCode"].contains(&name);
            assert_eq!(operation.changes(), !reads && !handed_out, "{service}.{name}");
            assert!(!operation.changes() || method != "GET", "{service}.{name}");
        }
    }

    #[test]
    fn an_operation_without_permissions_says_why() {
        fn check<S: Service>(free: &[&str]) {
            let rows = S::OPERATIONS.iter().filter_map(|row| match row.permissions {
                Permissions::None(why) => Some((row.operation.name, why)),
                Permissions::Needs(_) | Permissions::NeedsByState(_) => None,
            });
            let found: Vec<&str> =
                rows.inspect(|(name, why)| assert!(!why.is_empty(), "{name}")).map(|row| row.0).collect();
            assert_eq!(found, free, "{}", S::NAME);
        }
        check::<ApiGateway>(&[]);
        check::<CloudControl>(&[]);
        check::<Arc<CloudFormation>>(&[]);
        check::<DynamoDb>(&["GetRecords"]);
        check::<Events>(&[]);
        check::<Management>(&[]);
        check::<Iam>(&[]);
        check::<Lambda>(&["DownloadFunctionCode"]);
        check::<Logs>(&[]);
        check::<Arc<S3>>(&["PostObject"]);
        check::<Scheduler>(&[]);
        check::<Sns>(&[]);
        check::<Sqs>(&[]);
        check::<Arc<SecretsManager>>(&[]);
        check::<Arc<Ssm>>(&[]);
        check::<Arc<Tagging>>(&[]);
        check::<Sts>(&["GetCallerIdentity", "GetSessionToken"]);
        let presigned: Vec<_> = operations().into_iter().filter(|operation| operation.presigned).collect();
        assert_eq!(presigned.iter().map(|operation| operation.name).collect::<Vec<_>>(), ["DownloadFunctionCode"]);
    }
}
