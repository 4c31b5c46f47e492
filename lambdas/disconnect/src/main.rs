//! `$disconnect`: deletes the connection from the table.

use chat::{Answer, Connections, Error, Event};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let connections = Connections::new(&chat::init()?, chat::table()?);
    chat::run(async |event| disconnect(&connections, &event).await).await
}

async fn disconnect(connections: &Connections, event: &Event) -> Result<Answer, Error> {
    connections.remove(&event.connection_id).await?;
    Ok(Answer::OK)
}

#[cfg(test)]
mod tests;
