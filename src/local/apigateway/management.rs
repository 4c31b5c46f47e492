//! `@connections`: the API with which backends post to, read and close connections (the service `execute-api`).
//!
//! Addresses: `/{stage}/@connections/{id}` (what handlers build from an event's `domainName` and `stage`),
//! `/{apiId}/{stage}/@connections/{id}`, and `{apiId}.execute-api.HOST/{stage}/@connections/{id}`. In the first
//! form the API follows from the connection: connection ids are unique across all APIs.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use time::OffsetDateTime;

use super::ApiGateway;
use super::connection::{Connection, MAX_MESSAGE};
use super::gateway::{api_of_host, message_of, text_of};
use super::rules::{bad_request, iso8601};
use crate::core::iam::need::Need;
use crate::local::context::CloudContext;
use crate::local::context::recorder::What;
use crate::local::protocol::operation::OperationEffect;
use crate::local::protocol::service::Permissions::NeedsByState;
use crate::local::protocol::service::{Found, Row, Service, ServiceCall, by_path};
use crate::local::protocol::wire::{ApiError, Protocol, Request, Response};

/// Every operation's path, below the API's stage.
const PATH: &str = "/@connections/{connectionId}";

/// The service behind `@connections`.
pub struct Management {
    gateway: Arc<ApiGateway>,
}

/// The connection in a request's path.
struct Address {
    api_id: Option<String>,
    stage: String,
    connection_id: String,
}

impl Management {
    pub fn new(gateway: Arc<ApiGateway>) -> Self {
        Self { gateway }
    }

    /// The open connection at an address.
    fn connection(&self, address: &Address) -> Result<Arc<Connection>, ApiError> {
        let found = self.gateway.connections.find(&address.connection_id);
        let state = self.gateway.state();
        let api_of_connection = || found.as_ref().map(|connection| connection.origin.api_id.clone());
        let api_id = address.api_id.clone().or_else(api_of_connection);
        let stage_exists = match &api_id {
            Some(id) => state.apis.get(id).is_some_and(|api| api.stages.contains_key(&address.stage)),
            None => state.apis.values().any(|api| api.stages.contains_key(&address.stage)),
        };
        if !stage_exists {
            return Err(forbidden());
        }
        if !well_formed(&address.connection_id) {
            return Err(bad_request(format!("Invalid connectionId: {}", address.connection_id)));
        }
        found
            .filter(|connection| connection.origin.stage == address.stage)
            .filter(|connection| api_id.is_none_or(|id| id == connection.origin.api_id))
            .ok_or_else(gone)
    }
}

#[async_trait]
impl Service for Management {
    type Run = fn(&Management, &Connection, &Request) -> Result<Response, ApiError>;

    const NAME: &'static str = "execute-api";
    const PROTOCOL: Protocol = Protocol::RestJson { capital_message: false };
    const OPERATIONS: &'static [Row<Self>] = &[
        Row::<Self>::new(
            "PostToConnection",
            "POST",
            PATH,
            OperationEffect::Changes,
            NeedsByState(manage_connections),
            post,
        ),
        Row::<Self>::new("GetConnection", "GET", PATH, OperationEffect::Reads, NeedsByState(manage_connections), get),
        Row::<Self>::new(
            "DeleteConnection",
            "DELETE",
            PATH,
            OperationEffect::Changes,
            NeedsByState(manage_connections),
            delete,
        ),
    ];

    fn find(request: &Request) -> Result<Found, ApiError> {
        let connection_id = address(request)?.connection_id;
        if request.caller.access_key.is_none() {
            return Err(unknown());
        }
        by_path::<Self>(request.method.as_str(), &["@connections".to_owned(), connection_id]).ok_or_else(unknown)
    }

    async fn run(&self, run: Self::Run, call: ServiceCall) -> Result<Response, ApiError> {
        let connection = self.connection(&address(&call.request)?)?;
        run(self, &connection, &call.request)
    }
}

fn post(management: &Management, connection: &Connection, request: &Request) -> Result<Response, ApiError> {
    if request.body.len() > MAX_MESSAGE {
        return Err(ApiError::new(413, "PayloadTooLargeException", "Message too long"));
    }
    let message = message_of(request.body.clone());
    let text = text_of(&message);
    connection
        .send(message)
        .map_err(|_| ApiError::new(429, "LimitExceededException", "The client side buffer is full"))?;
    let (recorder, origin) = (&management.gateway.context.recorder, &connection.origin);
    recorder.record(What::Posted {
        connection: origin.connection_id.clone(),
        api: origin.api_id.clone(),
        stage: origin.stage.clone(),
        invocation: request.caller.access_key.as_deref().and_then(|key| recorder.invocation_of(key)),
        text,
    });
    Ok(Response::empty(200))
}

fn get(_: &Management, connection: &Connection, _request: &Request) -> Result<Response, ApiError> {
    Ok(Response::json(200, &information(connection)))
}

fn delete(management: &Management, connection: &Connection, _request: &Request) -> Result<Response, ApiError> {
    management.gateway.connections.remove(&connection.origin.connection_id);
    connection.close();
    Ok(Response::empty(204))
}

/// The permission of every operation, on the connection. (Service Authorization Reference, "Amazon API Gateway".)
fn manage_connections(management: &Management, call: &ServiceCall) -> Vec<Need> {
    // `run` refuses a request without a valid address.
    let Ok(address) = address(&call.request) else { return Vec::new() };
    let api = address
        .api_id
        .or_else(|| Some(management.gateway.connections.find(&address.connection_id)?.origin.api_id.clone()));
    let resource = format!(
        "{}/{}/{}/@connections/{}",
        api.as_deref().unwrap_or_default(),
        address.stage,
        call.operation.method,
        address.connection_id
    );
    vec![Need::new("execute-api:ManageConnections", CloudContext::arn("execute-api", call.region(), &resource))]
}

fn address(request: &Request) -> Result<Address, ApiError> {
    let host = request.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let api = api_of_host(host).map(str::to_owned);
    match (api, &request.segments()[..]) {
        (api_id, [stage, at, id]) if at == "@connections" => {
            Ok(Address { api_id, stage: stage.clone(), connection_id: id.clone() })
        }
        (None, [api, stage, at, id]) if at == "@connections" => {
            Ok(Address { api_id: Some(api.clone()), stage: stage.clone(), connection_id: id.clone() })
        }
        (_, [at, _]) if at == "@connections" => Err(forbidden()),
        _ => Err(unknown()),
    }
}

/// Whether text has the form of a connection id: 11 bytes in base64.
fn well_formed(id: &str) -> bool {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '+' | '/');
    id.len() == 16 && id.strip_suffix('=').is_some_and(|digits| digits.chars().all(letter))
}

fn information(connection: &Connection) -> serde_json::Value {
    let origin = &connection.origin;
    let connected_at = OffsetDateTime::from_unix_timestamp(origin.connected_at / 1000);
    json!({
        "connectedAt": iso8601(connected_at.unwrap_or(OffsetDateTime::UNIX_EPOCH)),
        "identity": { "sourceIp": origin.source_ip, "userAgent": origin.user_agent.as_deref().unwrap_or_default() },
        "lastActiveAt": iso8601(connection.last_active_at()),
    })
}

/// AWS's error for a closed connection has no message.
fn gone() -> ApiError {
    ApiError::new(410, "GoneException", "")
}

fn forbidden() -> ApiError {
    ApiError::new(403, "ForbiddenException", "Forbidden")
}

fn unknown() -> ApiError {
    ApiError::new(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
}
