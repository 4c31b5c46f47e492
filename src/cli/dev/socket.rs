//! A socket of the developer's own, for the key that sends a message.

use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

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
    pub async fn connect(uri: &str, received: mpsc::UnboundedSender<Received>) -> Result<Self, String> {
        if uri.starts_with("wss:") {
            return Err(format!("this key sends to the local cloud only; connect a client of your own to {uri}"));
        }
        let connected = tokio_tungstenite::connect_async(uri).await;
        let (stream, _) = connected.map_err(|error| format!("cannot connect to {uri}: {error}"))?;
        let (mut sink, mut stream) = stream.split();
        let (messages, mut to_send) = mpsc::unbounded_channel::<String>();
        tokio::spawn(async move {
            let why = loop {
                tokio::select! {
                    text = to_send.recv() => match text {
                        Some(text) => {
                            if let Err(error) = sink.send(Message::text(text)).await {
                                break error.to_string();
                            }
                        }
                        None => {
                            let _ = sink.send(Message::Close(None)).await;
                            return;
                        }
                    },
                    message = stream.next() => match message {
                        Some(Ok(Message::Text(text))) => {
                            let _ = received.send(Received::Text(text.to_string()));
                        }
                        Some(Ok(Message::Binary(bytes))) => {
                            let _ = received.send(Received::Text(format!("({} bytes)", bytes.len())));
                        }
                        Some(Ok(Message::Close(frame))) => {
                            break frame.map_or_else(|| "closed".to_owned(), |frame| format!("closed: {frame}"));
                        }
                        Some(Ok(_)) => {}
                        Some(Err(error)) => break error.to_string(),
                        None => break "closed".to_owned(),
                    },
                }
            };
            let _ = received.send(Received::Ended(why));
        });
        Ok(Self { messages })
    }

    /// Sends a message; gives whether the socket is still open.
    pub fn send(&self, text: String) -> bool {
        self.messages.send(text).is_ok()
    }
}
