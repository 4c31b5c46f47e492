//! One open WebSocket connection: its task, outgoing queue, limits and close.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SetOnce, mpsc};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::ApiGateway;
use super::event::Origin;
use super::rules::iso8601;
use crate::core::websocket::MAX_FRAME;
pub use crate::core::websocket::MAX_MESSAGE;
use crate::local::lock::lock;

/// Bytes that may be queued for a client that reads slowly; above it, posting to the client is refused.
const OUTGOING_BUDGET: usize = 1024 * 1024;
/// The cost of a queued message beside its bytes, so that empty messages are limited too.
const MESSAGE_COST: usize = 256;
/// Messages of one client that may be in progress or queued; above it, its socket is not read. It only limits memory: the
/// function's concurrency limits how many are processed.
const MAX_PENDING_MESSAGES: usize = 1024;
/// How long a client may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How many messages may wait to be replayed on a connection.
const MAX_REPLAYED: usize = 16;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// How long a connection may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Without a frame in either direction (AWS: 10 minutes).
    pub idle: Duration,
    /// In all (AWS: 2 hours).
    pub life: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(10 * 60), life: Duration::from_secs(2 * 60 * 60) }
    }
}

/// The open connections, by id.
#[derive(Debug, Default)]
pub struct Connections(RwLock<HashMap<String, Arc<Connection>>>);

impl Connections {
    pub fn find(&self, id: &str) -> Option<Arc<Connection>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub fn add(&self, connection: Arc<Connection>) {
        let id = connection.origin.connection_id.clone();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, connection);
    }

    /// All of them.
    pub fn list(&self) -> Vec<Arc<Connection>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub fn remove(&self, id: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// How many connections each API has, by its id.
    pub fn count(&self) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for connection in self.0.read().unwrap_or_else(PoisonError::into_inner).values() {
            *count.entry(connection.origin.api_id.clone()).or_default() += 1;
        }
        count
    }

    /// Closes every connection because the gateway shuts down.
    pub fn go_away(&self) {
        for connection in self.0.read().unwrap_or_else(PoisonError::into_inner).values() {
            connection.go_away();
        }
    }

    /// Closes the connections for which `gone` is true.
    pub fn close_where(&self, gone: impl Fn(&Origin) -> bool) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|_, connection| {
            let gone = gone(&connection.origin);
            if gone {
                connection.close();
            }
            !gone
        });
    }
}

/// An open connection, as seen by other tasks.
#[derive(Debug)]
pub struct Connection {
    pub origin: Origin,
    opened: Instant,
    /// The time of the last frame, in milliseconds after `opened`.
    active: AtomicU64,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    budget: Arc<Semaphore>,
    /// How many messages took each route.
    routes: Mutex<BTreeMap<String, u64>>,
    /// Messages to handle as if the client had sent them.
    replayed: mpsc::Sender<Utf8Bytes>,
    /// How it must end, once anybody has asked for that.
    closing: SetOnce<ConnectionEnd>,
}

/// An open connection in words, for `wschat connections`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenConnection {
    pub api_id: String,
    pub stage: String,
    pub connection_id: String,
    /// ISO 8601, UTC, like `last_active_at`.
    pub connected_at: String,
    pub last_active_at: String,
    pub source_ip: String,
    pub user_agent: Option<String>,
    /// How many of the client's messages took each route.
    pub routes: BTreeMap<String, u64>,
}

/// What others have for a connection's task.
#[derive(Debug)]
pub struct Mailbox {
    /// The messages for the client.
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
    replayed: mpsc::Receiver<Utf8Bytes>,
}

#[derive(Debug)]
enum Outgoing {
    /// The permit is the message's share of the budget; it is released when the message has been written.
    Message(Message, OwnedSemaphorePermit),
    Close(Option<CloseFrame>),
}

/// How a connection ended, for the `$disconnect` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionEnd {
    pub code: u16,
    pub reason: String,
    /// Whether the gateway closed it, so that it sends the close frame.
    pub by_gateway: bool,
}

impl ConnectionEnd {
    fn by_gateway(code: CloseCode, reason: &str) -> Self {
        Self { code: code.into(), reason: reason.to_owned(), by_gateway: true }
    }

    /// The client's close frame; without a frame, AWS's code and reason.
    fn by_client(frame: Option<CloseFrame>) -> Self {
        match frame {
            Some(frame) => Self { code: frame.code.into(), reason: frame.reason.to_string(), by_gateway: false },
            None => Self { code: 1005, reason: "Client-side close frame status not set".to_owned(), by_gateway: false },
        }
    }

    /// The connection broke without a close frame.
    pub fn broken() -> Self {
        Self { code: 1006, reason: String::new(), by_gateway: false }
    }
}

/// The client's outgoing queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Connection {
    pub fn new(origin: Origin) -> (Arc<Self>, Mailbox) {
        let (outgoing, outgoing_queue) = mpsc::unbounded_channel();
        let (replayed, replayed_queue) = mpsc::channel(MAX_REPLAYED);
        let connection = Arc::new(Self {
            origin,
            opened: Instant::now(),
            active: AtomicU64::new(0),
            outgoing,
            budget: Arc::new(Semaphore::new(OUTGOING_BUDGET)),
            routes: Mutex::default(),
            replayed,
            closing: SetOnce::new(),
        });
        (connection, Mailbox { outgoing: outgoing_queue, replayed: replayed_queue })
    }

    /// Queues a message for the client, without waiting.
    ///
    /// # Errors
    /// [`Full`] while too much is queued for the client.
    pub fn send(&self, message: Message) -> Result<(), Full> {
        let cost = u32::try_from(message.len() + MESSAGE_COST).map_err(|_| Full)?;
        let permit = Arc::clone(&self.budget).try_acquire_many_owned(cost).map_err(|_| Full)?;
        // It fails if the connection has just ended; the message is then lost, as it would be on the network.
        let _ = self.outgoing.send(Outgoing::Message(message, permit));
        self.touch();
        Ok(())
    }

    /// Handles a message as if the client had sent it.
    ///
    /// # Errors
    /// [`Full`] while others wait, or when the connection has just ended.
    pub fn replay(&self, text: String) -> Result<(), Full> {
        self.replayed.try_send(text.into()).map_err(|_| Full)
    }

    /// Tells the connection's task to close it; the first request determines the reason.
    pub fn close(&self) {
        let _ = self.closing.set(ConnectionEnd::by_gateway(CloseCode::Normal, "Connection Closed Normally"));
    }

    /// Tells the connection's task to close it because the gateway shuts down.
    fn go_away(&self) {
        let _ = self.closing.set(ConnectionEnd::by_gateway(CloseCode::Away, "Going away"));
    }

    /// Counts a message that took this route.
    pub fn count(&self, route_key: &str) {
        let mut routes = lock(&self.routes);
        match routes.get_mut(route_key) {
            Some(count) => *count += 1,
            None => {
                routes.insert(route_key.to_owned(), 1);
            }
        }
    }

    /// The connection in words.
    pub fn described(&self) -> OpenConnection {
        let origin = &self.origin;
        OpenConnection {
            api_id: origin.api_id.clone(),
            stage: origin.stage.clone(),
            connection_id: origin.connection_id.clone(),
            connected_at: iso8601(self.connected_at()),
            last_active_at: iso8601(self.last_active_at()),
            source_ip: origin.source_ip.clone(),
            user_agent: origin.user_agent.clone(),
            routes: lock(&self.routes).clone(),
        }
    }

    fn connected_at(&self) -> OffsetDateTime {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.origin.connected_at) * 1_000_000);
        at.unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// The time of the last frame.
    pub fn last_active_at(&self) -> OffsetDateTime {
        self.connected_at() + self.active_after()
    }

    fn active_after(&self) -> Duration {
        Duration::from_millis(self.active.load(Ordering::Relaxed))
    }

    fn touch(&self) {
        let milliseconds = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.active.store(milliseconds, Ordering::Relaxed);
    }

    /// When the connection must be closed, unless another frame follows.
    fn deadline(&self, limits: Limits) -> Instant {
        self.opened + limits.life.min(self.active_after() + limits.idle)
    }
}

/// Serves a connection until it ends, then runs `$disconnect`.
pub async fn serve(gateway: Arc<ApiGateway>, connection: Arc<Connection>, mailbox: Mailbox, upgraded: Upgraded) {
    let config = WebSocketConfig::default()
        .max_frame_size(Some(MAX_FRAME))
        .max_message_size(Some(MAX_MESSAGE))
        // Small buffers: there may be thousands of connections, and their messages are short.
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0);
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let (sink, mut stream) = socket.split();
    let Mailbox { outgoing, mut replayed } = mailbox;
    let writer = tokio::spawn(write(sink, outgoing));
    let mut work = ClientMessages::new(&gateway, &connection);

    let end = loop {
        let deadline = connection.deadline(gateway.limits);
        tokio::select! {
            frame = stream.next(), if work.len() < MAX_PENDING_MESSAGES => {
                connection.touch();
                match received(frame) {
                    Received::Text(text) => work.add(text, false),
                    Received::Control => {}
                    Received::End(end) => break end,
                }
            }
            () = work.step(), if work.len() > 0 => {}
            // The connection holds the sender, so the channel is open.
            Some(text) = replayed.recv(), if work.len() < MAX_PENDING_MESSAGES => work.add(text, true),
            end = connection.closing.wait() => break end.clone(),
            () = tokio::time::sleep_until(deadline) => {
                if Instant::now() >= connection.deadline(gateway.limits) {
                    break ConnectionEnd::by_gateway(CloseCode::Away, "Going away");
                }
            }
        }
    };

    gateway.connections.remove(&connection.origin.connection_id);
    let closed = gateway.closed(&connection.origin, &end);
    // Messages from before the end are still processed. `$disconnect` waits for them only where messages are handled in
    // order, and neither waits for a client that is slow to close its side.
    let ordered = gateway.context.conditions.ordered;
    let messages = async {
        while work.len() > 0 {
            work.step().await;
        }
    };
    let disconnected = gateway.disconnected(&connection.origin, &end, closed);
    let rest = async {
        if ordered {
            messages.await;
            disconnected.await;
        } else {
            tokio::join!(messages, disconnected);
        }
    };
    tokio::join!(rest, close(&connection, stream, writer, &end));
}

/// The messages of one client. They are handled concurrently, as on AWS, which guarantees neither their order nor that
/// `$disconnect` comes last; with `ordered` in the conditions file, one at a time.
struct ClientMessages<'a> {
    gateway: &'a ApiGateway,
    connection: &'a Connection,
    /// How many may be handled concurrently.
    at_once: usize,
    /// Each with whether it is replayed.
    waiting: VecDeque<(Utf8Bytes, bool)>,
    running: FuturesUnordered<BoxFuture<'a, Option<Message>>>,
}

impl<'a> ClientMessages<'a> {
    fn new(gateway: &'a ApiGateway, connection: &'a Connection) -> Self {
        let at_once = if gateway.context.conditions.ordered { 1 } else { usize::MAX };
        Self { gateway, connection, at_once, waiting: VecDeque::new(), running: FuturesUnordered::new() }
    }

    /// The number of messages without an answer yet.
    fn len(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    fn add(&mut self, text: Utf8Bytes, replayed: bool) {
        self.waiting.push_back((text, replayed));
        self.begin();
    }

    fn begin(&mut self) {
        while self.running.len() < self.at_once
            && let Some((text, replayed)) = self.waiting.pop_front()
        {
            let (gateway, connection): (&'a ApiGateway, &'a Connection) = (self.gateway, self.connection);
            self.running.push(async move { gateway.message(connection, &text, replayed).await }.boxed());
        }
    }

    /// Waits until one message is handled, and sends its answer. Cancel safe.
    async fn step(&mut self) {
        let Some(answer) = self.running.next().await else { return };
        self.begin();
        if let Some(answer) = answer
            && self.connection.send(answer).is_err()
        {
            tracing::warn!(
                connection = self.connection.origin.connection_id,
                "the client reads too slowly: answer dropped"
            );
        }
    }
}

enum Received {
    Text(Utf8Bytes),
    /// Ping or pong, which the WebSocket library answers.
    Control,
    End(ConnectionEnd),
}

fn received(frame: Option<Result<Message, Error>>) -> Received {
    match frame {
        Some(Ok(Message::Text(text))) => Received::Text(text),
        Some(Ok(Message::Binary(_))) => {
            Received::End(ConnectionEnd::by_gateway(CloseCode::Unsupported, "Binary frames are not supported"))
        }
        Some(Ok(Message::Close(frame))) => Received::End(ConnectionEnd::by_client(frame)),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Received::Control,
        Some(Err(Error::Capacity(_))) => Received::End(ConnectionEnd::by_gateway(CloseCode::Size, "Message too long")),
        Some(Err(Error::Utf8(_))) => Received::End(ConnectionEnd::by_gateway(CloseCode::Invalid, "Invalid UTF-8")),
        // A reset is also reported as a protocol error, but no close frame can be sent any more.
        Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
            Received::End(ConnectionEnd::broken())
        }
        Some(Err(Error::Protocol(_))) => {
            Received::End(ConnectionEnd::by_gateway(CloseCode::Protocol, "Protocol error"))
        }
        Some(Err(_)) | None => Received::End(ConnectionEnd::broken()),
    }
}

/// Writes queued messages in order until told to close; returns the sink for the shutdown of the socket.
async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
) -> SplitSink<Socket, Message> {
    while let Some(outgoing) = queue.recv().await {
        let written = match outgoing {
            Outgoing::Message(message, _share) => sink.send(message).await,
            Outgoing::Close(Some(frame)) => {
                let _ = sink.send(Message::Close(Some(frame))).await;
                break;
            }
            Outgoing::Close(None) => {
                // Flushes the answer to the client's close frame.
                let _ = sink.close().await;
                break;
            }
        };
        if written.is_err() {
            break;
        }
    }
    sink
}

/// Closes the socket. What the client still sends is read and discarded: closing a socket with unread bytes resets it, and the
/// client would not receive the close frame.
async fn close(
    connection: &Connection,
    stream: SplitStream<Socket>,
    writer: tokio::task::JoinHandle<SplitSink<Socket, Message>>,
    end: &ConnectionEnd,
) {
    let frame = end.by_gateway.then(|| CloseFrame { code: end.code.into(), reason: end.reason.as_str().into() });
    let _ = connection.outgoing.send(Outgoing::Close(frame));
    let stop = writer.abort_handle();
    let leave = async {
        let Ok(sink) = writer.await else { return };
        let Ok(mut socket) = stream.reunite(sink) else { return };
        let raw = socket.get_mut();
        let _ = raw.shutdown().await;
        let _ = tokio::io::copy(raw, &mut tokio::io::sink()).await;
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, leave).await;
    stop.abort();
}
