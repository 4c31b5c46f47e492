//! The local cloud: one process on loopback that speaks AWS's own protocols, so that the deployer, the handlers,
//! the AWS CLI and boto3 work against it unmodified.
//!
//! The path of a request:
//!
//! ```text
//! socket --server (HTTP or TLS, one port)--> wire::Request --router (by the signature's service name)--> Service
//!            |                                                  |
//!            |                                                  +-- conditions: uplink, latency, throttles, conflicts
//!            |                                                  +-- authorization: the caller's policies, if enabled
//!            +-- a WebSocket upgrade ---> apigateway::gateway ---> lambda ---> the handler's process
//! ```
//!
//! Every service keeps its state in a file of its own (`store`), so a restart loses nothing.

pub mod access;
mod admission;
pub mod apigateway;
pub mod authorization;
pub mod call_log;
pub mod clock;
pub mod cloud;
pub mod cloudformation;
pub mod conditions;
pub mod context;
pub mod data_part;
pub mod dynamodb;
pub mod header_case;
pub mod iam;
pub mod lambda;
pub mod logs;
pub mod ports;
pub mod process;
pub mod protocol;
pub mod query;
pub mod router;
pub mod serve;
pub mod server;
pub mod store;
pub mod sts;
pub mod tls;
mod token_bucket;
pub mod wire;
