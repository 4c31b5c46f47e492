//! What all services have in common: requests and answers in AWS's protocols, and the table of a service's operations.

pub mod header_case;
pub mod host;
pub mod operation;
pub mod paging;
pub mod query;
pub mod service;
pub mod signature;
pub mod wire;
