//! AWS: every call that is made, and the resource types as they are read and written there.

pub mod client;
pub mod providers;
