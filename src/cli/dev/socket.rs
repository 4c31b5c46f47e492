//! A socket of the developer's own, for the key that sends a message.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::core::websocket::close::meaning;
use crate::websocket::connect::{Connector, Handshake};
use crate::websocket::{self, Closed};

/// The code with which this side closes.
const NORMAL: u16 = 1000;

/// How long it may take to connect.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a socket received, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Text(String),
    /// It could not connect, and why.
    Refused(String),
    Ended(String),
}

/// A socket that is open or connects; closed when dropped.
#[derive(Debug)]
pub struct Socket {
    messages: mpsc::UnboundedSender<String>,
}

impl Socket {
    /// Connects in a task of its own, which gives what is received, and why it has ended, to `received`.
    pub fn connect(connector: Connector, uri: &str, received: mpsc::UnboundedSender<Received>) -> Self {
        let handshake = Handshake { url: uri.to_owned(), ..Handshake::default() };
        let (messages, mut to_send) = mpsc::unbounded_channel::<String>();
        tokio::spawn(async move {
            let connected = match tokio::time::timeout(PATIENCE, connector.connect(&handshake)).await {
                Ok(Ok(socket)) => Ok(socket),
                Ok(Err(failure)) => Err(failure.to_string()),
                Err(_) => Err(format!("{} does not answer within {} s", handshake.url, PATIENCE.as_secs())),
            };
            let mut socket = match connected {
                Ok(socket) => socket,
                Err(why) => return drop(received.send(Received::Refused(why))),
            };
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
        Self { messages }
    }

    /// Sends a message, once it has connected; gives whether the socket is still there.
    pub fn send(&self, text: String) -> bool {
        self.messages.send(text).is_ok()
    }
}

fn in_words(Closed { code, reason }: &Closed) -> String {
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("{code} ({}){reason}", meaning(*code))
}
