//! API Gateway v2 for WebSocket APIs: the control plane, the gateway itself, and `@connections`.
//!
//! ```text
//! control plane   OPERATIONS --> apis, integrations, routes, deployments, stages, tags --> model::State
//!                                                    |                                       |
//!                                      a deployment freezes (Api::snapshot)       the stage serves that snapshot
//!                                                                                            |
//! data plane      gateway ($connect, 101) --> connection (one task a socket) --> selection --> integration --> Lambda
//!                                                  ^                               event
//!                 management (@connections) -------+
//! ```
//!
//! The state is replaced as a whole after it was saved: readers keep the state they began with and never wait.

pub mod connection;
pub mod event;
pub mod gateway;
pub mod integration;
pub mod management;
pub mod model;
pub mod selection;
pub mod throttle;

mod access_log;
mod account;
mod apis;
mod authorizer;
mod authorizers;
mod deployments;
mod integrations;
mod required_permissions;
mod routes;
mod rules;
mod stages;
mod tags;

#[cfg(test)]
mod gateway_tests;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use async_trait::async_trait;

use self::connection::{Connections, Limits};
use self::model::State;
use self::rules::Answer;
use self::throttle::Throttles;
use super::context::CloudContext;
use super::ports::{Apis, Functions, LogSink};
use super::store::PersistedState;
use super::wire::{ApiError, Protocol, Request, Response, Service};
use crate::core::iam::need::Need;

/// The name of the state's file in the store, and of the service.
const NAME: &str = "apigatewayv2";

/// API Gateway: the service `apigatewayv2`, and the sockets that its APIs serve.
pub struct ApiGateway {
    context: CloudContext,
    functions: Arc<dyn Functions>,
    logs: Arc<dyn LogSink>,
    limits: Limits,
    state: PersistedState<State>,
    connections: Connections,
    throttles: Throttles,
    /// Every socket's task holds a read lock; `shutdown` waits for the write lock.
    serving: Arc<tokio::sync::RwLock<()>>,
}

impl ApiGateway {
    /// Opens the service with its saved state and AWS's limits.
    ///
    /// # Errors
    /// When the saved state cannot be read.
    pub fn open(
        context: &CloudContext,
        functions: Arc<dyn Functions>,
        logs: Arc<dyn LogSink>,
    ) -> io::Result<Arc<Self>> {
        Self::open_with(context, functions, logs, Limits::default())
    }

    /// As [`ApiGateway::open`], with other limits for connections.
    ///
    /// # Errors
    /// When the saved state cannot be read.
    pub fn open_with(
        context: &CloudContext,
        functions: Arc<dyn Functions>,
        logs: Arc<dyn LogSink>,
        limits: Limits,
    ) -> io::Result<Arc<Self>> {
        let state = PersistedState::open(context.store.clone(), NAME, |error| {
            ApiError::new(500, "InternalServerErrorException", format!("cannot save the state: {error}"))
        })?;
        Ok(Arc::new(Self {
            context: context.clone(),
            functions,
            logs,
            limits,
            state,
            connections: Connections::default(),
            throttles: Throttles::default(),
            serving: Arc::default(),
        }))
    }

    /// Closes every socket with 1001 and waits until `$disconnect` has run for each.
    pub async fn shutdown(&self) {
        self.connections.go_away();
        let _none_left = self.serving.write().await;
    }

    /// The current state.
    fn state(&self) -> Arc<State> {
        self.state.now()
    }

    /// Closes the connections whose API or stage was deleted.
    fn close_orphans(&self) {
        let state = self.state();
        self.connections.close_where(|origin| {
            state.apis.get(&origin.api_id).is_none_or(|api| !api.stages.contains_key(&origin.stage))
        });
    }
}

impl Apis for ApiGateway {
    fn apis(&self) -> Vec<(String, String)> {
        self.state().apis.iter().map(|(id, api)| (id.clone(), api.region.clone())).collect()
    }
}

/// One call of the control plane, as the operations see it.
struct ControlCall<'a> {
    request: &'a Request,
    /// The path segments of the operation's placeholders, in order.
    ids: Vec<String>,
    functions: &'a dyn Functions,
    context: &'a CloudContext,
}

impl ControlCall<'_> {
    fn id(&self, position: usize) -> &str {
        self.ids.get(position).map_or("", String::as_str)
    }

    fn region(&self) -> &str {
        &self.request.caller.region
    }
}

/// An operation of the control plane.
struct Operation {
    name: &'static str,
    method: &'static str,
    /// `{}` matches one id, a final `{+}` all remaining segments.
    path: &'static str,
    run: Run,
}

enum Run {
    Read(fn(&State, &ControlCall<'_>) -> Answer),
    Write(fn(&mut State, &ControlCall<'_>) -> Answer),
    /// Writes configuration that deployments freeze, so stages with AutoDeploy are deployed again.
    Configure(fn(&mut State, &ControlCall<'_>) -> Answer),
}

const fn operation(name: &'static str, method: &'static str, path: &'static str, run: Run) -> Operation {
    Operation { name, method, path, run }
}

/// All operations of the control plane; others are refused as unknown.
#[rustfmt::skip]
const OPERATIONS: [Operation; 42] = [
    operation("GetAccount", "GET", "account", Run::Read(account::get)),
    operation("UpdateAccount", "PATCH", "account", Run::Write(account::update)),
    operation("CreateApi", "POST", "apis", Run::Write(apis::create)),
    operation("GetApis", "GET", "apis", Run::Read(apis::list)),
    operation("GetApi", "GET", "apis/{}", Run::Read(apis::get)),
    operation("UpdateApi", "PATCH", "apis/{}", Run::Configure(apis::update)),
    operation("DeleteApi", "DELETE", "apis/{}", Run::Write(apis::delete)),
    operation("CreateAuthorizer", "POST", "apis/{}/authorizers", Run::Configure(authorizers::create)),
    operation("GetAuthorizers", "GET", "apis/{}/authorizers", Run::Read(authorizers::list)),
    operation("GetAuthorizer", "GET", "apis/{}/authorizers/{}", Run::Read(authorizers::get)),
    operation("UpdateAuthorizer", "PATCH", "apis/{}/authorizers/{}", Run::Configure(authorizers::update)),
    operation("DeleteAuthorizer", "DELETE", "apis/{}/authorizers/{}", Run::Configure(authorizers::delete)),
    operation("CreateIntegration", "POST", "apis/{}/integrations", Run::Configure(integrations::create)),
    operation("GetIntegrations", "GET", "apis/{}/integrations", Run::Read(integrations::list)),
    operation("GetIntegration", "GET", "apis/{}/integrations/{}", Run::Read(integrations::get)),
    operation("UpdateIntegration", "PATCH", "apis/{}/integrations/{}", Run::Configure(integrations::update)),
    operation("DeleteIntegration", "DELETE", "apis/{}/integrations/{}", Run::Configure(integrations::delete)),
    operation("CreateRoute", "POST", "apis/{}/routes", Run::Configure(routes::create)),
    operation("GetRoutes", "GET", "apis/{}/routes", Run::Read(routes::list)),
    operation("GetRoute", "GET", "apis/{}/routes/{}", Run::Read(routes::get)),
    operation("UpdateRoute", "PATCH", "apis/{}/routes/{}", Run::Configure(routes::update)),
    operation("DeleteRoute", "DELETE", "apis/{}/routes/{}", Run::Configure(routes::delete)),
    operation("CreateRouteResponse", "POST", "apis/{}/routes/{}/routeresponses", Run::Configure(routes::create_response)),
    operation("GetRouteResponses", "GET", "apis/{}/routes/{}/routeresponses", Run::Read(routes::list_responses)),
    operation("GetRouteResponse", "GET", "apis/{}/routes/{}/routeresponses/{}", Run::Read(routes::get_response)),
    operation("UpdateRouteResponse", "PATCH", "apis/{}/routes/{}/routeresponses/{}", Run::Configure(routes::update_response)),
    operation("DeleteRouteResponse", "DELETE", "apis/{}/routes/{}/routeresponses/{}", Run::Configure(routes::delete_response)),
    operation("CreateDeployment", "POST", "apis/{}/deployments", Run::Write(deployments::create)),
    operation("GetDeployments", "GET", "apis/{}/deployments", Run::Read(deployments::list)),
    operation("GetDeployment", "GET", "apis/{}/deployments/{}", Run::Read(deployments::get)),
    operation("UpdateDeployment", "PATCH", "apis/{}/deployments/{}", Run::Write(deployments::update)),
    operation("DeleteDeployment", "DELETE", "apis/{}/deployments/{}", Run::Write(deployments::delete)),
    operation("CreateStage", "POST", "apis/{}/stages", Run::Write(stages::create)),
    operation("GetStages", "GET", "apis/{}/stages", Run::Read(stages::list)),
    operation("GetStage", "GET", "apis/{}/stages/{}", Run::Read(stages::get)),
    operation("UpdateStage", "PATCH", "apis/{}/stages/{}", Run::Write(stages::update)),
    operation("DeleteStage", "DELETE", "apis/{}/stages/{}", Run::Write(stages::delete)),
    operation("DeleteAccessLogSettings", "DELETE", "apis/{}/stages/{}/accesslogsettings", Run::Write(stages::delete_access_log_settings)),
    operation("DeleteRouteSettings", "DELETE", "apis/{}/stages/{}/routesettings/{}", Run::Write(stages::delete_route_settings)),
    operation("GetTags", "GET", "tags/{+}", Run::Read(tags::get)),
    operation("TagResource", "POST", "tags/{+}", Run::Write(tags::tag)),
    operation("UntagResource", "DELETE", "tags/{+}", Run::Write(tags::untag)),
];

impl Operation {
    /// The ids in a path, if the path is this operation's.
    fn ids(&self, method: &str, path: &[String]) -> Option<Vec<String>> {
        if method != self.method {
            return None;
        }
        let mut ids = Vec::new();
        let mut given = path.iter();
        for expected in self.path.split('/') {
            match expected {
                "{+}" => {
                    ids.extend(given.by_ref().cloned());
                    return (!ids.is_empty()).then_some(ids);
                }
                "{}" => ids.push(given.next()?.clone()),
                text => (given.next()? == text).then_some(())?,
            }
        }
        given.next().is_none().then_some(ids)
    }
}

/// The operation of a request, with the ids in its path.
fn find(request: &Request) -> Option<(&'static Operation, Vec<String>)> {
    let segments = request.segments();
    let path = match segments.as_slice() {
        [version, path @ ..] if version == "v2" && path.first().is_none_or(|first| first != "account") => path,
        // The account's settings belong to API version 1, whose paths have no version segment.
        [first] if first == "account" => segments.as_slice(),
        _ => return None,
    };
    OPERATIONS.iter().find_map(|operation| Some((operation, operation.ids(request.method.as_str(), path)?)))
}

fn unknown_operation() -> ApiError {
    ApiError::new(404, "UnknownOperationException", "Unknown operation")
}

#[async_trait]
impl Service for ApiGateway {
    fn name(&self) -> &'static str {
        NAME
    }

    fn protocol(&self) -> Protocol {
        Protocol::RestJson { capital_message: false }
    }

    fn operation(&self, request: &Request) -> Result<&'static str, ApiError> {
        find(request).map(|(operation, _)| operation.name).ok_or_else(unknown_operation)
    }

    fn mutated_api(&self, _operation: &str, request: &Request) -> Option<String> {
        let (operation, ids) = find(request)?;
        let mutates = !matches!(operation.run, Run::Read(_)) && operation.path.starts_with("apis/");
        mutates.then(|| ids.into_iter().next())?
    }

    fn needs(&self, _operation: &str, request: &Request) -> Vec<Need> {
        required_permissions::of(request)
    }

    async fn call(&self, _operation: &str, request: Request) -> Result<Response, ApiError> {
        let (operation, ids) = find(&request).ok_or_else(unknown_operation)?;
        let call = ControlCall { request: &request, ids, functions: self.functions.as_ref(), context: &self.context };
        let answer = match operation.run {
            Run::Read(run) => run(&self.state(), &call),
            Run::Write(run) => self.state.change(|state| run(state, &call)),
            Run::Configure(run) => self.state.change(|state| {
                let answer = run(state, &call)?;
                deployments::auto_deploy(state.api_mut(&call)?);
                Ok(answer)
            }),
        }?;
        if matches!(operation.name, "DeleteApi" | "DeleteStage") {
            self.close_orphans();
        }
        Ok(answer)
    }
}
