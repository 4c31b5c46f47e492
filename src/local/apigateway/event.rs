//! The events of the gateway (`core::websocket::event`), and what is new in each: its time and its id.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use time::OffsetDateTime;

pub use crate::core::websocket::event::{
    Origin, Pairs, RequestInfo, authorize, connect, disconnect, message, milliseconds, request_time,
};

impl RequestInfo {
    /// A new request, received now.
    pub fn now() -> Self {
        Self { request_id: new_id(), at: OffsetDateTime::now_utc() }
    }
}

/// An id in the form of AWS's connection, message and request ids: 11 bytes in base64 (`L0SM9cOFvHcCIhw=`).
pub fn new_id() -> String {
    URL_SAFE.encode(rand::random::<[u8; 11]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_those_of_aws() {
        let id = new_id();
        assert_eq!(id.len(), 16);
        assert!(id.ends_with('='), "{id}");
    }
}
