//! AWS: the client that makes every call, and the providers that read and write each resource type.

pub mod client;
pub mod providers;
