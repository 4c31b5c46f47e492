//! What WebSocket clients and API Gateway say to each other: events, limits, what a refusal or a close code means, which
//! message takes which route, and the steps of a smoke test.

pub mod close;
pub mod event;
pub mod expect;
pub mod json;
pub mod message;
pub mod refusal;
pub mod smoke;

/// The largest frame that API Gateway takes from a client, in bytes (WebSocket quotas).
pub const MAX_FRAME: usize = 32 * 1024;

/// The largest message that API Gateway takes or sends, in bytes (WebSocket quotas).
pub const MAX_MESSAGE: usize = 128 * 1024;
