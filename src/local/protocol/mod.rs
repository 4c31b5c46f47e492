//! What all services have in common: the operations of their tables, and how a service is called by its table.

pub mod operation;
pub mod service;
