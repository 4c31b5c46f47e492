//! Sends a message to all connections except its sender's.

use std::future::ready;
use std::pin::pin;

use chat::{Connections, Delivery, Error, Event, Gateway};
use futures_util::StreamExt;
use tracing::{info, warn};

/// The largest number of concurrent posts.
const MAX_CONCURRENT_POSTS: usize = 32;

/// Posts `message` to every connection except the one that sent `event`, while the table is still being read. Connections
/// that are gone are removed from the table; a failed post is logged and does not affect the others.
///
/// # Errors
/// When the table cannot be read completely. The connections read before that have been posted to.
pub async fn broadcast(
    connections: &Connections,
    gateway: &Gateway,
    event: &Event,
    message: &str,
) -> Result<(), Error> {
    let (mut delivered, mut gone, mut failed) = (0, 0, 0);
    let others = connections.ids().filter(|id| ready(!matches!(id, Ok(id) if *id == event.connection_id)));
    let mut deliveries = pin!(
        others
            .map(async |id| Ok(deliver(connections, gateway, event, &id?, message).await))
            .buffer_unordered(MAX_CONCURRENT_POSTS)
    );
    let mut unread = None;
    while let Some(delivery) = deliveries.next().await {
        match delivery {
            Ok(Some(Delivery::Delivered)) => delivered += 1,
            Ok(Some(Delivery::Gone)) => gone += 1,
            Ok(None) => failed += 1,
            Err(error) => unread = Some(error),
        }
    }
    info!(delivered, gone, failed, "message sent to the other connections");
    unread.map_or(Ok(()), Err)
}

/// Posts to one connection; `None` if that failed.
async fn deliver(
    connections: &Connections,
    gateway: &Gateway,
    event: &Event,
    connection_id: &str,
    message: &str,
) -> Option<Delivery> {
    let delivery =
        gateway.post(connection_id, message).await.inspect_err(|error| warn!(%error, "not delivered")).ok()?;
    if delivery == Delivery::Gone
        && let Err(error) = connections.remove_gone(connection_id, event.received_at).await
    {
        warn!(%error, "a closed connection could not be removed from the table");
    }
    Some(delivery)
}
