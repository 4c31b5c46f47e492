//! The local cloud: one process on loopback that speaks AWS's own protocols, so that the deployer, the handlers,
//! the AWS CLI and boto3 work against it unmodified.
//!
//! The path of a request:
//!
//! ```text
//! socket --server::http (HTTP or TLS, one port)--> Request --server::router (by the signature's service name)--> Service
//!            |                                                      |
//!            |                                                      +-- conditions: uplink, latency, throttles, conflicts
//!            |                                                      +-- access, IAM: the caller's key and policies
//!            +-- a WebSocket upgrade ---> apigateway::gateway ---> lambda ---> the handler's process
//! ```
//!
//! Each room uses only those before it: `protocol`, `context`, a module a service, `console`, `server`, `daemon`. Every service
//! keeps its state in a file of its own (`context::store`), so a restart loses nothing.

pub mod apigateway;
pub mod cloudcontrol;
pub mod cloudformation;
pub mod console;
pub mod context;
pub mod daemon;
pub mod dynamodb;
pub mod events;
#[cfg(test)]
pub mod eventually;
pub mod iam;
pub mod lambda;
pub mod lock;
pub mod logs;
pub mod protocol;
pub mod s3;
pub mod scheduler;
pub mod secretsmanager;
pub mod server;
pub mod sns;
pub mod sqs;
pub mod ssm;
pub mod sts;
pub mod tagging;
