//! One message to all connections but its sender's.

use std::future::ready;
use std::pin::pin;

use chat::{Connections, Delivery, Error, Event, Gateway};
use futures_util::StreamExt;
use tracing::{info, warn};

/// How many posts are under way at once.
const AT_ONCE: usize = 32;

/// Posts `message` to every connection but the one that sent `event`, while the table is still being read. A
/// connection that is gone is forgotten; one that cannot be reached is logged and stops nobody else.
///
/// # Errors
/// When the table could not be read to its end. Whoever was read before that has been posted to.
pub async fn broadcast(
    connections: &Connections,
    gateway: &Gateway,
    event: &Event,
    message: &str,
) -> Result<(), Error> {
    let (mut delivered, mut gone, mut failed) = (0, 0, 0);
    let others = connections.ids().filter(|id| ready(!matches!(id, Ok(id) if *id == event.connection_id)));
    let mut deliveries = pin!(
        others.map(async |id| Ok(deliver(connections, gateway, event, &id?, message).await)).buffer_unordered(AT_ONCE)
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
    info!(delivered, gone, failed, "message passed on");
    unread.map_or(Ok(()), Err)
}

/// Posts to one connection; `None` where that failed.
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
        warn!(%error, "a connection that is gone stays in the table");
    }
    Some(delivery)
}
