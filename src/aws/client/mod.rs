//! Every call to AWS is made here: who calls, how fast, how often again, and what it took.

mod call;
mod connect;
mod error;
mod network;
mod pace;
mod propagation;
mod regions;
mod settings;

pub use call::{Call, Record, STEP};
pub use connect::{Aws, ConnectError, Target};
pub use error::{CallError, Meaning};
pub use propagation::Trial;
