//! `sendmessage`: sends a client's message to all other connections.

mod broadcast;
mod message;

use broadcast::broadcast;
use chat::{Answer, Connections, Error, Event, Gateway, Gateways};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let aws = chat::init()?;
    let connections = Connections::new(&aws, chat::table()?);
    let gateways = Gateways::new(aws);
    chat::run(async |event| send(&connections, &gateways.at(&event.endpoint), &event).await).await
}

async fn send(connections: &Connections, gateway: &Gateway, event: &Event) -> Result<Answer, Error> {
    match message::read(event.body.as_deref()) {
        Ok(message) => broadcast(connections, gateway, event, &message).await?,
        Err(malformed) => {
            gateway.post(&event.connection_id, &malformed.to_string()).await?;
        }
    }
    Ok(Answer::OK)
}

#[cfg(test)]
mod tests;
