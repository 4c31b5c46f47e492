//! A WebSocket client.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::TIMEOUT;

/// The client's end of a WebSocket connection.
pub struct Client(WebSocketStream<TcpStream>);

impl Client {
    pub async fn connect(uri: &str) -> Self {
        Self::try_connect(uri).await.unwrap_or_else(|error| panic!("{uri}: {error}"))
    }

    /// Connects to loopback with the URI's host name, which not every machine's resolver resolves to loopback.
    pub async fn try_connect(uri: &str) -> Result<Self, Error> {
        let authority = uri.strip_prefix("ws://").and_then(|rest| rest.split('/').next()).unwrap();
        let port: u16 = authority.rsplit(':').next().unwrap().parse().unwrap();
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let (client, _) = tokio::time::timeout(TIMEOUT, client_async(uri, stream)).await.unwrap()?;
        Ok(Self(client))
    }

    pub async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next message.
    pub async fn hear(&mut self) -> String {
        loop {
            match self.next().await {
                Some(Message::Text(text)) => return text.to_string(),
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("not a message: {other:?}"),
            }
        }
    }

    /// Waits for the end of the connection; returns the close frame.
    pub async fn closed(&mut self) -> Option<CloseFrame> {
        loop {
            match self.next().await {
                Some(Message::Close(frame)) => return frame,
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                None => return None,
                other => panic!("not the end: {other:?}"),
            }
        }
    }

    /// Closes the connection and waits for the server's close frame.
    pub async fn close(mut self) {
        self.0.close(None).await.unwrap();
        while let Some(Ok(_)) = self.0.next().await {}
    }

    /// Closes the connection; returns the messages that were not read before.
    pub async fn leave(mut self) -> Vec<String> {
        self.0.close(None).await.unwrap();
        let mut unheard = Vec::new();
        while let Some(message) = self.next().await {
            if let Message::Text(text) = message {
                unheard.push(text.to_string());
            }
        }
        unheard
    }

    /// Resets the connection without closing it.
    pub fn vanish(self) {
        let stream = self.0.into_inner();
        stream.set_zero_linger().unwrap();
    }

    async fn next(&mut self) -> Option<Message> {
        match tokio::time::timeout(TIMEOUT, self.0.next()).await.expect("nothing came") {
            Some(Ok(message)) => Some(message),
            _ => None,
        }
    }
}
