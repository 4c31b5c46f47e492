//! `$default`: answers messages without a route with a hint and the gateway's info about the sender's connection.

mod hint;

use chat::{Answer, Error, Event, Gateway, Gateways};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let gateways = Gateways::new(chat::init()?);
    chat::run(async |event| answer(&gateways.at(&event.endpoint), &event).await).await
}

async fn answer(gateway: &Gateway, event: &Event) -> Result<Answer, Error> {
    match gateway.info(&event.connection_id).await? {
        Some(info) => {
            gateway.post(&event.connection_id, &hint::hint(&event.connection_id, &info)).await?;
        }
        None => tracing::info!("the sender left before it could be answered"),
    }
    Ok(Answer::OK)
}

#[cfg(test)]
mod tests;
