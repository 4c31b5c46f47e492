//! A WebSocket client: one connection with its frames (`Socket`), how it is made (`connect`), and several of them that
//! go through the steps of a smoke test (`smoke`).

pub mod connect;
pub mod smoke;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::core::websocket::MAX_FRAME;
use crate::core::websocket::close::{BROKEN, WITHOUT_CODE};

/// How long the other side may take to end a connection after a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What carries a connection: TCP, or TLS on it.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// An open connection, the client's side.
pub struct Socket {
    stream: WebSocketStream<Box<dyn Transport>>,
    /// The subprotocol that the server selected.
    pub subprotocol: Option<String>,
    /// How it ended, once it has.
    closed: Option<Closed>,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The code of the close frame; `BROKEN` where none came, `WITHOUT_CODE` where it had none.
    pub code: u16,
    /// What the other side said, or why the connection broke.
    pub reason: String,
}

/// What comes from the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Text(String),
    Binary(Bytes),
    Ping(Bytes),
    Pong(Bytes),
    /// Nothing comes after it.
    Closed(Closed),
}

impl Socket {
    fn new(stream: WebSocketStream<Box<dyn Transport>>, subprotocol: Option<String>) -> Self {
        Self { stream, subprotocol, closed: None }
    }

    /// The next frame. Pings are answered by themselves. May be dropped while it waits, without loss.
    pub async fn next(&mut self) -> Received {
        if let Some(closed) = &self.closed {
            return Received::Closed(closed.clone());
        }
        let closed = loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Received::Text(text.to_string()),
                Some(Ok(Message::Binary(bytes))) => return Received::Binary(bytes),
                Some(Ok(Message::Ping(bytes))) => return Received::Ping(bytes),
                Some(Ok(Message::Pong(bytes))) => return Received::Pong(bytes),
                Some(Ok(Message::Frame(_))) => {}
                Some(Ok(Message::Close(None))) => break Closed { code: WITHOUT_CODE, reason: String::new() },
                Some(Ok(Message::Close(Some(frame)))) => {
                    break Closed { code: frame.code.into(), reason: frame.reason.to_string() };
                }
                Some(Err(error)) => break broken(&error),
                None => break Closed { code: BROKEN, reason: String::new() },
            }
        };
        self.closed = Some(closed.clone());
        // The answer to the close frame is sent, and the other side ends the connection.
        let end = async { while let Some(Ok(_)) = self.stream.next().await {} };
        let _ = timeout(CLOSE_TIMEOUT, end).await;
        Received::Closed(closed)
    }

    /// Sends a text message: in one frame, or in several where it is larger than API Gateway takes in one.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send(&mut self, text: &str) -> Result<(), Closed> {
        let sent = if text.len() <= MAX_FRAME {
            self.stream.send(Message::text(text)).await
        } else {
            self.send_in_frames(text.as_bytes()).await
        };
        sent.map_err(|error| self.closed.clone().unwrap_or_else(|| broken(&error)))
    }

    async fn send_in_frames(&mut self, text: &[u8]) -> Result<(), Error> {
        let count = text.chunks(MAX_FRAME).len();
        for (index, chunk) in text.chunks(MAX_FRAME).enumerate() {
            let kind = if index == 0 { Data::Text } else { Data::Continue };
            let frame = Frame::message(Bytes::copy_from_slice(chunk), OpCode::Data(kind), index + 1 == count);
            self.stream.feed(Message::Frame(frame)).await?;
        }
        self.stream.flush().await
    }

    /// Sends a close frame. What still comes is read with `next`, and at last the other side's close frame.
    pub async fn close(&mut self, code: u16) {
        // It fails where the connection has ended already.
        let _ = self.stream.close(Some(CloseFrame { code: code.into(), reason: "".into() })).await;
    }

    /// Closes the connection and waits for its end. What comes meanwhile is given to `shown`.
    pub async fn finish(&mut self, code: u16, mut shown: impl FnMut(Received)) -> Closed {
        self.close(code).await;
        let end = async {
            loop {
                match self.next().await {
                    Received::Closed(closed) => return closed,
                    other => shown(other),
                }
            }
        };
        let none = Closed { code: BROKEN, reason: "the other side did not answer the close frame".to_owned() };
        timeout(CLOSE_TIMEOUT, end).await.unwrap_or(none)
    }
}

/// How a connection ended with an error.
fn broken(error: &Error) -> Closed {
    let reason = match error {
        Error::ConnectionClosed | Error::AlreadyClosed => String::new(),
        error => error.to_string(),
    };
    Closed { code: BROKEN, reason }
}
