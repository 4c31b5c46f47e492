//! A socket of the developer's own, for the key that sends a message.

use tokio::sync::mpsc;

use crate::core::websocket::close::meaning;
use crate::websocket::connect::{ConnectFailure, Connector, Handshake};
use crate::websocket::{self, Closed};

/// The code with which this side closes.
const NORMAL: u16 = 1000;

/// What a socket received, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Text(String),
    Ended(String),
}

/// An open socket; closed when dropped.
#[derive(Debug)]
pub struct Socket {
    messages: mpsc::UnboundedSender<String>,
}

impl Socket {
    /// Connects, and gives what is received to `received`.
    ///
    /// # Errors
    /// Why it cannot connect.
    pub async fn connect(
        connector: &Connector,
        uri: &str,
        received: mpsc::UnboundedSender<Received>,
    ) -> Result<Self, ConnectFailure> {
        let handshake = Handshake { url: uri.to_owned(), ..Handshake::default() };
        let mut socket = connector.connect(&handshake).await?;
        let (messages, mut to_send) = mpsc::unbounded_channel::<String>();
        tokio::spawn(async move {
            let closed = loop {
                tokio::select! {
                    text = to_send.recv() => match text {
                        Some(text) => {
                            if let Err(closed) = socket.send(&text).await {
                                break closed;
                            }
                        }
                        None => return socket.close(NORMAL).await,
                    },
                    came = socket.next() => match came {
                        websocket::Received::Text(text) => drop(received.send(Received::Text(text))),
                        websocket::Received::Binary(bytes) => {
                            let _ = received.send(Received::Text(format!("({} bytes)", bytes.len())));
                        }
                        websocket::Received::Ping(_) | websocket::Received::Pong(_) => {}
                        websocket::Received::Closed(closed) => break closed,
                    },
                }
            };
            let _ = received.send(Received::Ended(in_words(&closed)));
        });
        Ok(Self { messages })
    }

    /// Sends a message; gives whether the socket is still open.
    pub fn send(&self, text: String) -> bool {
        self.messages.send(text).is_ok()
    }
}

fn in_words(Closed { code, reason }: &Closed) -> String {
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("{code} ({}){reason}", meaning(*code))
}
