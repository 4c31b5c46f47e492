//! A service of the local cloud: its name, its protocol and its table of operations. What calls one sees
//! [`AnyService`].

use std::path::PathBuf;

use async_trait::async_trait;
use http::HeaderMap;

use super::operation::{MAX_BODY, Operation, OperationEffect};
use super::query::Query;
use super::wire::{ApiError, Protocol, Request, Response};
use crate::core::iam::need::Need;

/// A row of a service's table.
pub struct Row<S: Service> {
    pub operation: Operation,
    pub permissions: Permissions<S>,
    pub run: S::Run,
}

/// The permissions that an operation needs, after AWS's Service Authorization Reference.
pub enum Permissions<S> {
    /// Those of a call. For a request that cannot be parsed completely they may be incomplete: the service refuses it
    /// anyway.
    Needs(fn(&ServiceCall) -> Vec<Need>),
    /// The same, where they depend on the service's state.
    NeedsByState(fn(&S, &ServiceCall) -> Vec<Need>),
    /// None, and why.
    None(&'static str),
}

impl<S: Service> Row<S> {
    /// An operation with a method and a path of its own.
    pub const fn new(
        name: &'static str,
        method: &'static str,
        path: &'static str,
        effect: OperationEffect,
        permissions: Permissions<S>,
        run: S::Run,
    ) -> Self {
        let service = S::NAME;
        let operation =
            Operation { service, name, method, path, body_limit: MAX_BODY, effect, presigned: false, on_disk: false };
        Self { operation, permissions, run }
    }

    /// An operation that requests name: in `X-Amz-Target`, or as their `Action`.
    pub const fn named(name: &'static str, effect: OperationEffect, permissions: Permissions<S>, run: S::Run) -> Self {
        Self::new(name, "POST", "/", effect, permissions, run)
    }

    /// The same operation with another limit of a request's body.
    pub const fn with_body_limit(mut self, bytes: usize) -> Self {
        self.operation.body_limit = bytes;
        self
    }

    /// The same operation, whose body comes on disk (`Service::incoming`) and may have `bytes`.
    pub const fn on_disk(mut self, bytes: usize) -> Self {
        self.operation.body_limit = bytes;
        self.operation.on_disk = true;
        self
    }

    /// The same operation, for requests without a signature.
    pub const fn presigned(mut self) -> Self {
        self.operation.presigned = true;
        self
    }
}

/// The position of a request's operation in the table, and the ids in its path.
pub type Found = (usize, Vec<String>);

/// One AWS service.
#[async_trait]
pub trait Service: Send + Sync + Sized + 'static {
    /// The function that runs an operation.
    type Run: Copy + Send + Sync + 'static;

    /// The name in conditions files and in the call log (`lambda`, `apigatewayv2`, …).
    const NAME: &'static str;

    const PROTOCOL: Protocol;

    /// What stands before an operation's name in `X-Amz-Target`.
    const TARGETS: &'static [&'static str] = &[];

    const OPERATIONS: &'static [Row<Self>];

    /// AWS's error for an unknown operation. (The query protocol has its own.)
    fn unknown(_request: &Request) -> ApiError {
        ApiError::new(404, "UnknownOperationException", "Unknown operation")
    }

    /// The refusal of a request whose body is over the operation's limit.
    fn too_large(operation: &Operation) -> ApiError {
        let Operation { name, body_limit, .. } = operation;
        let message = format!("Request must be smaller than {body_limit} bytes for the {name} operation");
        ApiError::new(413, "RequestEntityTooLargeException", message)
    }

    /// The folder for bodies that come on disk.
    fn incoming(&self) -> Option<PathBuf> {
        None
    }

    /// Whether a caller without a key may send what the head of a request announces.
    fn admits_anyone(&self, _head: &Request) -> bool {
        false
    }

    /// What the answer to a web page of another origin says to its browser, by the head of its request or preflight; `None` where such
    /// pages may not call.
    fn shared(&self, _head: &Request) -> Option<HeaderMap> {
        None
    }

    /// The operation that a request asks for.
    ///
    /// # Errors
    /// AWS's error for an unknown operation.
    fn find(request: &Request) -> Result<Found, ApiError> {
        let named = |name: &str| Self::OPERATIONS.iter().position(|row| row.operation.name == name);
        let found = match Self::PROTOCOL {
            Protocol::RestJson { .. } | Protocol::RestXml => {
                by_path::<Self>(request.method.as_str(), &request.segments())
            }
            Protocol::AwsJson10 | Protocol::AwsJson10Query(_) | Protocol::AwsJson11 => {
                let target = request.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
                let name = Self::TARGETS.iter().find_map(|prefix| target?.strip_prefix(prefix));
                name.and_then(named).map(|row| (row, Vec::new()))
            }
            Protocol::Query(_) => {
                let query = Query::read(request);
                let action = query.action()?;
                return named(action).map(|row| (row, Vec::new())).ok_or_else(|| query.unknown_action(action));
            }
        };
        found.ok_or_else(|| Self::unknown(request))
    }

    /// Carries out a call with the function of its row.
    ///
    /// # Errors
    /// The service's refusal.
    async fn run(&self, run: Self::Run, call: ServiceCall) -> Result<Response, ApiError>;
}

/// The operation with a method and a path.
pub fn by_path<S: Service>(method: &str, segments: &[String]) -> Option<Found> {
    let mut rows = S::OPERATIONS.iter().enumerate();
    rows.find_map(|(index, row)| Some((index, row.operation.ids(method, segments)?)))
}

/// A request, and the operation that it asks for.
#[derive(Debug, Clone)]
pub struct ServiceCall {
    pub operation: &'static Operation,
    /// The segments of the path that stand where the operation's path has names.
    pub ids: Vec<String>,
    pub request: Request,
    /// The operation's position in the service's table.
    row: usize,
}

impl ServiceCall {
    /// The call that a request to a service is.
    ///
    /// # Errors
    /// AWS's errors for an unknown operation, and for a body over the operation's limit.
    fn of<S: Service>(request: Request) -> Result<Self, ApiError> {
        let (row, ids) = S::find(&request)?;
        let operation = &S::OPERATIONS[row].operation;
        if request.body.len() > operation.body_limit {
            return Err(S::too_large(operation));
        }
        Ok(Self { operation, ids, request, row })
    }

    /// The id at a position of the path; empty where there is none.
    pub fn id(&self, position: usize) -> &str {
        self.ids.get(position).map_or("", String::as_str)
    }

    pub fn region(&self) -> &str {
        &self.request.caller.region
    }

    /// The id of the API of API Gateway's that the call changes, if it does. Concurrent changes may conflict
    /// (`conditions`).
    pub fn changed_api(&self) -> Option<&str> {
        let changes = self.operation.changes() && self.operation.path.starts_with("/v2/apis/{apiId}");
        changes.then(|| self.id(0))
    }
}

/// A service, whatever its table.
#[async_trait]
pub trait AnyService: Send + Sync {
    fn name(&self) -> &'static str;

    fn protocol(&self) -> Protocol;

    /// What stands before an operation's name in `X-Amz-Target`.
    fn targets(&self) -> &'static [&'static str];

    /// The operation that a request asks for. Its body is not needed, except where it names the operation.
    ///
    /// # Errors
    /// AWS's error for an unknown operation.
    fn operation(&self, request: &Request) -> Result<&'static Operation, ApiError>;

    /// The call that a request is.
    ///
    /// # Errors
    /// AWS's errors for an unknown operation, and for a body over the operation's limit.
    fn prepare(&self, request: Request) -> Result<ServiceCall, ApiError>;

    /// The folder for bodies that come on disk.
    fn incoming(&self) -> Option<PathBuf>;

    /// Whether a caller without a key may send what the head of a request announces.
    fn admits_anyone(&self, head: &Request) -> bool;

    /// What the answer to a web page of another origin says to its browser; `None` where such pages may not call.
    fn shared(&self, head: &Request) -> Option<HeaderMap>;

    /// The refusal of a request whose body is over the operation's limit.
    fn refuse_large(&self, operation: &Operation) -> ApiError;

    /// Every permission that a call needs.
    fn needs(&self, call: &ServiceCall) -> Vec<Need>;

    /// Carries out a call.
    ///
    /// # Errors
    /// The service's refusal.
    async fn call(&self, call: ServiceCall) -> Result<Response, ApiError>;
}

#[async_trait]
impl<S: Service> AnyService for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn protocol(&self) -> Protocol {
        S::PROTOCOL
    }

    fn targets(&self) -> &'static [&'static str] {
        S::TARGETS
    }

    fn operation(&self, request: &Request) -> Result<&'static Operation, ApiError> {
        let (row, _) = S::find(request)?;
        Ok(&S::OPERATIONS[row].operation)
    }

    fn prepare(&self, request: Request) -> Result<ServiceCall, ApiError> {
        ServiceCall::of::<S>(request)
    }

    fn incoming(&self) -> Option<PathBuf> {
        Service::incoming(self)
    }

    fn admits_anyone(&self, head: &Request) -> bool {
        Service::admits_anyone(self, head)
    }

    fn shared(&self, head: &Request) -> Option<HeaderMap> {
        Service::shared(self, head)
    }

    fn refuse_large(&self, operation: &Operation) -> ApiError {
        S::too_large(operation)
    }

    fn needs(&self, call: &ServiceCall) -> Vec<Need> {
        match S::OPERATIONS[call.row].permissions {
            Permissions::Needs(needs) => needs(call),
            Permissions::NeedsByState(needs) => needs(self, call),
            Permissions::None(_) => Vec::new(),
        }
    }

    async fn call(&self, call: ServiceCall) -> Result<Response, ApiError> {
        self.run(S::OPERATIONS[call.row].run, call).await
    }
}

#[cfg(test)]
pub mod testing {
    //! Calls and their permissions, for the tests of services.

    use super::*;

    /// A call of a service that has no table.
    pub fn call(operation: &'static Operation, ids: Vec<String>, request: Request) -> ServiceCall {
        ServiceCall { operation, ids, request, row: 0 }
    }

    /// The actions and resources of the permissions that a request needs, if they do not depend on the service's state.
    pub fn needs<S: Service>(request: Request) -> Vec<(String, String)> {
        let call = ServiceCall::of::<S>(request).unwrap();
        let needs = match S::OPERATIONS[call.row].permissions {
            Permissions::Needs(needs) => needs(&call),
            Permissions::NeedsByState(_) => panic!("the permissions of {} depend on state", call.operation.name),
            Permissions::None(_) => Vec::new(),
        };
        needs.into_iter().map(|need| (need.action, need.resource)).collect()
    }
}
