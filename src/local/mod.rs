//! The local cloud: one process on loopback that speaks AWS's own protocols, so that the deployer, the handlers,
//! the AWS CLI and boto3 work against it unmodified.
//!
//! The way of a request:
//!
//! ```text
//! socket --server (HTTP or TLS, one port)--> wire::Request --router (who signed it for which service)--> Service
//!            |                                                  |
//!            |                                                  +-- conditions: uplink, latency, throttles, conflicts
//!            |                                                  +-- authorization: the caller's policies, if asked for
//!            +-- a WebSocket upgrade ---> apigateway::gateway ---> lambda ---> the handler's process
//! ```
//!
//! Every service keeps its state in a file of its own (`store`), so a restart loses nothing.

pub mod access;
mod admission;
pub mod apigateway;
pub mod authorization;
mod bucket;
pub mod call_log;
pub mod clock;
pub mod cloud;
pub mod cloudformation;
pub mod conditions;
pub mod dynamodb;
pub mod iam;
pub mod lambda;
pub mod logs;
pub mod part;
pub mod process;
pub mod query;
pub mod router;
pub mod seams;
pub mod serve;
pub mod server;
pub mod shell;
pub mod spelling;
pub mod store;
pub mod sts;
pub mod tls;
pub mod wire;
