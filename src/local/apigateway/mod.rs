//! API Gateway v2: the control plane, the gateway for WebSockets with `@connections`, and that for requests of HTTP APIs and of
//! REST APIs (`requests`), whose control plane is Cloud Control.
//!
//! ```text
//! control plane   operations --> apis, integrations, models, routes, deployments, stages, domains, tags --> model::State
//!                                                    |                                       |
//!                                      a deployment freezes (Api::snapshot)       the stage serves that snapshot
//!                                                                                            |
//! data plane      gateway ($connect, 101) --> connection (one task a socket) --> selection --> integration --> Lambda
//!                                                  ^                               event          |   mapping, vtl, jsonpath, schema
//!                 management (@connections) -------+                                              +--> endpoint, service_call
//! ```
//!
//! The state is replaced as a whole after it was saved: readers keep the state they began with and never wait.

pub mod cause;
pub mod connection;
pub mod event;
pub mod gateway;
mod gateway_log;
pub mod inspect;
pub mod integration;
pub mod management;
pub mod model;
pub mod requests;
pub mod selection;
pub mod throttle;

mod access_log;
mod account;
mod admission;
mod apis;
mod authorizer;
mod authorizers;
mod deployments;
mod domains;
mod endpoint;
mod import;
mod integrations;
mod jsonpath;
mod mapping;
mod models;
mod operations;
mod required_permissions;
mod routes;
mod rules;
mod schema;
mod service_call;
mod stages;
mod tags;
mod vtl;

#[cfg(test)]
mod gateway_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};

use self::connection::{Connections, Limits};
use self::integration::Backends;
use self::model::State;
use self::throttle::Throttles;
use super::context::CloudContext;
use crate::local::context::ports::{Apis, Functions, LogSink, Tagged, TaggedResources};
use crate::local::context::store::PersistedState;
use crate::local::protocol::wire::{ApiError, Request};

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
    /// Of issuers of tokens.
    keys: requests::jwt::Keys,
    /// The rest of the cloud.
    backends: OnceLock<Backends>,
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
            keys: requests::jwt::Keys::default(),
            backends: OnceLock::new(),
            serving: Arc::default(),
        }))
    }

    /// Connects the gateway with the rest of the cloud.
    pub fn set_backends(&self, backends: Backends) {
        let _ = self.backends.set(backends);
    }

    /// Closes every socket with 1001 and waits until `$disconnect` has run for each.
    pub async fn shutdown(&self) {
        self.connections.go_away();
        let _none_left = self.serving.write().await;
    }

    /// The current state.
    pub fn state(&self) -> Arc<State> {
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

impl TaggedResources for ApiGateway {
    fn tagged(&self, region: &str) -> Result<Vec<Tagged>, ApiError> {
        let state = self.state();
        let here = state.apis.iter().filter(|(_, api)| api.region == region);
        let all = here.flat_map(|(id, api)| {
            let arn = format!("arn:aws:apigateway:{region}::/apis/{id}");
            let stages = api.stages.iter().map({
                let arn = arn.clone();
                move |(name, stage)| (format!("{arn}/stages/{name}"), "apigateway:stages", stage.tags.clone())
            });
            std::iter::once((arn, "apigateway:apis", api.tags.clone())).chain(stages).collect::<Vec<_>>()
        });
        let domains = state.domains.iter().filter(|(_, domain)| domain.region == region).map(|(name, domain)| {
            (format!("arn:aws:apigateway:{region}::/domainnames/{name}"), "apigateway:domainnames", domain.tags.clone())
        });
        let all = all.chain(domains).filter(|(.., tags)| !tags.is_empty());
        Ok(all.map(|(arn, type_name, tags)| Tagged { type_name: type_name.to_owned(), arn, tags }).collect())
    }

    fn retag(&self, arn: &str, set: &BTreeMap<String, String>, removed: &[String]) -> Result<bool, ApiError> {
        if arn.split(':').nth(2) != Some("apigateway") {
            return Ok(false);
        }
        self.state.change(|state| tags::retag(state, arn, set, removed))
    }
}

impl Apis for ApiGateway {
    fn apis(&self) -> Vec<(String, String)> {
        self.state().apis.iter().map(|(id, api)| (id.clone(), api.region.clone())).collect()
    }
}

/// One call of the control plane, as the operations see it.
pub struct ControlCall<'a> {
    request: &'a Request,
    /// The ids in its path, in order.
    ids: &'a [String],
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
