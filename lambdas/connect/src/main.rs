//! `$connect`: stores the connection; if that fails, the connection is rejected.

use chat::{Answer, Connections, Error, Event};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let connections = Connections::new(&chat::init()?, chat::table()?);
    chat::run(async |event| Ok(connect(&connections, &event).await)).await
}

async fn connect(connections: &Connections, event: &Event) -> Answer {
    match connections.insert(event).await {
        Ok(()) => Answer::OK,
        Err(error) => {
            tracing::error!(%error, "connection refused");
            Answer::INTERNAL_SERVER_ERROR
        }
    }
}

#[cfg(test)]
mod tests;
