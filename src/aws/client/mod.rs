//! Every call to AWS is made here: credentials, network, pace, retries, and the meaning of failures.

mod call;
mod chain;
mod connect;
mod error;
mod held_body;
mod invoke;
mod json_call;
mod lane;
mod network;
mod pace;
mod propagation;
mod regions;
mod retry;
mod s3;
mod settings;
#[cfg(test)]
mod simulation;
mod target;

pub use call::{AwsCall, Record, STEP};
pub use connect::Aws;
pub use error::{CallError, Meaning};
pub use held_body::{Ahead, Arrival, SIGNATURE_LIFE};
pub use invoke::{ConnectionInfo, Invoked};
pub use json_call::JsonService;
pub use network::{BadProxy, Network, Tunnel};
pub use propagation::{Ends, Propagation};
pub use s3::{Fetched, S3, S3Error};
pub use target::{ConnectError, Target};
