//! What the console and `wschat connections` do with connections: they list, close and replay on them.

use std::sync::Arc;

use super::ApiGateway;
use super::connection::Connection;

/// Why a message is not replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReplayed {
    /// The connection has ended.
    Gone,
    /// Too many others wait on the connection.
    Busy,
}

impl ApiGateway {
    /// The open connections, the oldest first.
    pub fn open_connections(&self) -> Vec<Arc<Connection>> {
        let mut all = self.connections.list();
        all.sort_by(|one, other| {
            let (one, other) = (&one.origin, &other.origin);
            (one.connected_at, &one.connection_id).cmp(&(other.connected_at, &other.connection_id))
        });
        all
    }

    /// Closes a connection as `DeleteConnection` does; returns whether it was open.
    pub fn close_connection(&self, id: &str) -> bool {
        let Some(connection) = self.connections.find(id) else { return false };
        self.connections.remove(id);
        connection.close();
        true
    }

    /// Handles a message as if the connection's client had sent it.
    ///
    /// # Errors
    /// Where the connection has ended or is busy.
    pub fn replay(&self, id: &str, text: String) -> Result<(), NotReplayed> {
        let connection = self.connections.find(id).ok_or(NotReplayed::Gone)?;
        connection.replay(text).map_err(|_| NotReplayed::Busy)
    }
}
