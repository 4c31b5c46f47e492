//! `wschat chat`: a WebSocket client for the stack.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;
use tokio::time::{Instant, sleep_until, timeout};

use super::command::{Command, Flags};
use super::endpoint::{self, Endpoint};
use super::error::CommandError;
use super::exit::{Ended, Exit};
use crate::core::websocket::message::{Form, explained, gateway_error};
use crate::core::websocket::{MAX_MESSAGE, close, json};
use crate::ui::Ui;
use crate::ui::event::{self, Direction, Event, FrameKind};
use crate::ui::printable;
use crate::ui::prompt::{Input, Lines};
use crate::websocket::{Closed, Received, Socket};

/// How long the other side may take to answer our close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How many bytes of a binary message are shown.
const SHOWN_BYTES: usize = 32;

/// Talk to the stack: every line is sent as a message, and what comes is shown
///
/// In a terminal: arrow keys edit the line and bring back earlier ones, Ctrl-D closes the connection. With stdin from a
/// pipe, its lines are sent, and stdout has the messages that come, one a line. The exit code is 1 when the connection broke
/// or a handler failed, 2 when --once got no answer, and 3 when the handshake was refused or there is no stack.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    reach: endpoint::Args,
    /// Send a line that is not a JSON object as the chat message "NAME: LINE", which takes the API's route
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Send all of stdin, and end with the first answer
    #[arg(long)]
    once: bool,
    /// How long to listen when all of stdin is sent
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    wait: Duration,
    /// Show JSON messages in several lines
    #[arg(long)]
    pretty: bool,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

/// A number of seconds, with a fraction.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("\"{text}\" is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("\"{text}\" is not a number of seconds"))
}

/// Why the conversation ended, on our side.
enum End {
    /// The user closes it, or all is sent and waited for.
    Done,
    Answered,
    Interrupted,
    /// The other side ended it.
    Closed(Closed),
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        let endpoint = self.reach.find(ui).await?;
        let form = self.form(&endpoint)?;
        let connector = self.reach.connector()?;
        let handshake = self.reach.handshake(&endpoint);
        let socket = connector.connect(&handshake).await;
        let mut socket = socket.map_err(|failure| self.reach.failed(&endpoint.url, &failure, ui))?;
        let typed = Lines::are_typed() && !ui.is_json();
        // While lines are typed, the terminal is restored when they are dropped. From here on nothing that is typed is echoed
        // into what is printed.
        let mut lines = Lines::open(ui, ui.is_json()).map_err(|error| format!("cannot read the terminal: {error}"))?;
        self.greet(&endpoint, &socket, form.as_ref(), typed, ui);
        let mut talk = Talk { args: &self, form, typed, sent: 0, received: 0, gateway_errors: 0, all_sent: false, ui };
        let end = talk.run(&mut socket, &mut lines).await?;
        let (closed, by_server) = match &end {
            End::Closed(closed) => (closed.clone(), true),
            _ => (talk.leave(&mut socket).await, false),
        };
        drop(lines);
        talk.end(&endpoint, &end, closed, by_server)
    }

    /// How a line that is not a JSON object is sent, if not as it is.
    fn form(&self, endpoint: &Endpoint) -> Result<Option<Form>, CommandError> {
        if self.name.is_none() && self.reach.route.is_none() {
            return Ok(None);
        }
        let form = endpoint.form.clone().map_err(|error| {
            CommandError::new(error.to_string())
                .advice("say which route plain text takes: --route KEY (and --field NAME)")
        })?;
        if self.reach.route.is_none() && self.reach.logs().is_none() {
            let what = "--as with --url: nothing is known of the routes there, so plain text has no route";
            return Err(CommandError::new(what).advice("say which route it takes: --route KEY").exits(Exit::Usage));
        }
        Ok(Some(form))
    }

    fn greet(&self, endpoint: &Endpoint, socket: &Socket, form: Option<&Form>, typed: bool, ui: &Ui) {
        let url = endpoint.url.clone();
        ui.event(&Event::Connected { url, subprotocol: socket.subprotocol.clone() });
        if ui.is_json() {
            return;
        }
        let subprotocol = socket.subprotocol.as_ref().map(|name| format!(", subprotocol {name}")).unwrap_or_default();
        let how = if typed { ". Enter sends a line, Ctrl-D closes the connection" } else { "" };
        ui.say(format_args!("Connected to {}{subprotocol}{how}.", printable::line(&endpoint.url)));
        if let Some(form) = form {
            let text = self.named("...");
            ui.say(format_args!("A line that is not a JSON object is sent as {}", form.message(&text)));
        }
    }

    fn named(&self, text: &str) -> String {
        self.name.as_ref().map_or_else(|| text.to_owned(), |name| format!("{name}: {text}"))
    }
}

/// A conversation.
struct Talk<'a> {
    args: &'a Args,
    form: Option<Form>,
    typed: bool,
    sent: usize,
    received: usize,
    gateway_errors: usize,
    /// Whether stdin has ended, and all of it is sent.
    all_sent: bool,
    ui: &'a Ui,
}

impl Talk<'_> {
    /// Sends lines and shows frames until one of both ends.
    async fn run(&mut self, socket: &mut Socket, lines: &mut Lines) -> Result<End, CommandError> {
        let mut deadline = Instant::now();
        loop {
            if self.all_sent && self.args.once && self.received + self.gateway_errors > 0 {
                return Ok(End::Answered);
            }
            tokio::select! {
                input = lines.next(), if !self.all_sent => match input {
                    Input::Line(line) => {
                        if let Some(message) = self.message(&line)
                            && let Err(closed) = self.send(socket, &message).await
                        {
                            return Ok(End::Closed(closed));
                        }
                    }
                    Input::Interrupted => return Ok(End::Interrupted),
                    Input::End if self.typed => return Ok(End::Done),
                    Input::End => {
                        self.all_sent = true;
                        deadline = Instant::now() + self.args.wait;
                        if self.args.once && self.sent == 0 {
                            return Err(CommandError::new("--once sends the lines of stdin, and stdin has none"));
                        }
                    }
                    Input::NoText => {
                        let what = "a line of stdin is not UTF-8; WebSocket APIs take text only";
                        return Err(CommandError::new(what));
                    }
                },
                received = socket.next() => match received {
                    Received::Closed(closed) => return Ok(End::Closed(closed)),
                    received => self.show(received),
                },
                () = sleep_until(deadline), if self.all_sent => return Ok(End::Done),
            }
        }
    }

    /// The message that a line is; `None` for an empty one.
    fn message(&self, line: &str) -> Option<String> {
        if line.trim().is_empty() {
            return None;
        }
        let is_object = line.trim_start().starts_with(['{', '[']) && json::is_json(line);
        match &self.form {
            Some(form) if !is_object => Some(form.message(&self.args.named(line))),
            _ => Some(line.to_owned()),
        }
    }

    async fn send(&mut self, socket: &mut Socket, message: &str) -> Result<(), Closed> {
        if message.len() > MAX_MESSAGE {
            self.ui.say(format_args!(
                "note: the message has {} bytes; API Gateway takes {MAX_MESSAGE} at most, and closes the connection with 1009",
                message.len()
            ));
        }
        socket.send(message).await?;
        self.sent += 1;
        self.tell(Direction::Sent, FrameKind::Text, message.as_bytes());
        Ok(())
    }

    fn show(&mut self, received: Received) {
        let (kind, bytes) = match &received {
            Received::Text(text) => (FrameKind::Text, text.as_bytes()),
            Received::Binary(bytes) => (FrameKind::Binary, &bytes[..]),
            Received::Ping(bytes) => (FrameKind::Ping, &bytes[..]),
            Received::Pong(bytes) => (FrameKind::Pong, &bytes[..]),
            Received::Closed(_) => return,
        };
        self.tell(Direction::Received, kind, bytes);
        let Received::Text(text) = &received else {
            self.received += usize::from(kind == FrameKind::Binary);
            return;
        };
        let Some(error) = gateway_error(text) else {
            self.received += 1;
            return;
        };
        self.gateway_errors += 1;
        if !self.ui.is_json() {
            let (why, is_in_logs) = explained(&error);
            let logs = self.args.reach.logs().filter(|_| is_in_logs);
            let logs = logs.map(|logs| format!("; what it says: {logs}")).unwrap_or_default();
            self.ui.say(format_args!("  {why}{logs}"));
        }
    }

    /// Shows a frame: to people with its time and direction, and where stdout is no terminal a received message alone.
    fn tell(&self, direction: Direction, kind: FrameKind, bytes: &[u8]) {
        let text = (kind == FrameKind::Text).then(|| String::from_utf8_lossy(bytes).into_owned());
        let at = OffsetDateTime::now_utc();
        if self.ui.is_json() {
            const FORMAT: &[FormatItem<'static>] =
                format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
            self.ui.event(&Event::Frame(event::Frame {
                at: at.format(FORMAT).unwrap_or_default(),
                direction,
                kind,
                base64: text.is_none().then(|| BASE64_STANDARD.encode(bytes)),
                bytes: bytes.len(),
                gateway_error: text.as_deref().filter(|_| direction == Direction::Received).and_then(gateway_error),
                text,
            }));
            return;
        }
        let shown = match &text {
            Some(text) => {
                let form = if self.args.pretty { json::pretty(text) } else { json::compact(text) };
                printable::block(&form.unwrap_or_else(|| text.clone()))
            }
            None => binary(kind, bytes),
        };
        let is_result = direction == Direction::Received && matches!(kind, FrameKind::Text | FrameKind::Binary);
        if is_result && !self.is_terminal() {
            return self.ui.line(shown);
        }
        const FORMAT: &[FormatItem<'static>] = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
        let at = at.format(FORMAT).unwrap_or_default();
        let arrow = match direction {
            Direction::Sent => "\u{1b}[36m>\u{1b}[0m",
            Direction::Received => "\u{1b}[32m<\u{1b}[0m",
        };
        let colour = if self.is_terminal() { self.ui.colour_of_result() } else { self.ui.colour() };
        let plain = if direction == Direction::Sent { ">" } else { "<" };
        let line = format!("{at} {} {shown}", if colour { arrow } else { plain });
        if self.is_terminal() { self.ui.coloured_line(line) } else { self.ui.say_coloured(line) }
    }

    fn is_terminal(&self) -> bool {
        self.typed || self.ui.result_is_on_terminal()
    }

    /// Closes the connection, and shows what still comes.
    async fn leave(&mut self, socket: &mut Socket) -> Closed {
        socket.close(1000).await;
        let end = async {
            loop {
                match socket.next().await {
                    Received::Closed(closed) => return closed,
                    received => self.show(received),
                }
            }
        };
        let none = Closed { code: close::BROKEN, reason: "the server did not answer the close frame".to_owned() };
        timeout(CLOSE_TIMEOUT, end).await.unwrap_or(none)
    }

    /// Says how it ended.
    fn end(&self, endpoint: &Endpoint, end: &End, closed: Closed, by_server: bool) -> Result<Ended, CommandError> {
        let Closed { code, reason } = closed;
        let meaning = close::meaning(code);
        let with_reason = if reason.is_empty() { String::new() } else { format!(" \"{}\"", printable::line(&reason)) };
        let who = if by_server && code != close::BROKEN { "The server closed the connection" } else { "Closed" };
        if (by_server || self.typed) && !self.ui.is_json() {
            self.ui.say(format_args!("{who}: {code}{with_reason} ({meaning})."));
        }
        let event = Event::Chat(event::Chat {
            url: endpoint.url.clone(),
            sent: self.sent,
            received: self.received,
            gateway_errors: self.gateway_errors,
            code,
            meaning: meaning.to_owned(),
            reason,
            by_server,
        });
        let exit = match end {
            End::Interrupted => Exit::Interrupted,
            // What broke after we had said goodbye has done no harm.
            End::Closed(_) if !close::is_orderly(code) => Exit::Failed,
            _ if self.typed => Exit::Ok,
            _ if self.gateway_errors > 0 => Exit::Failed,
            // Before an answer came, or all of stdin was sent.
            End::Closed(_) if self.args.once || !self.all_sent => Exit::Failed,
            End::Done if self.args.once => {
                let seconds = self.args.wait.as_secs_f64();
                self.ui.say(format_args!(
                    "No answer came in {seconds} s. A route answers only if its handler posts to the connection, or it has a \
                     route response."
                ));
                Exit::Differs
            }
            _ => Exit::Ok,
        };
        Ok(exit.with(event))
    }
}

fn binary(kind: FrameKind, bytes: &[u8]) -> String {
    let what = match kind {
        FrameKind::Ping => "ping",
        FrameKind::Pong => "pong",
        FrameKind::Text | FrameKind::Binary => "binary",
    };
    if bytes.is_empty() {
        return what.to_owned();
    }
    let shown = bytes.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}"));
    let more = if bytes.len() > SHOWN_BYTES { " ..." } else { "" };
    format!("{what}, {} bytes: {}{more}", bytes.len(), shown.collect::<Vec<_>>().join(" "))
}

impl Flags for Args {
    fn add_to(&self, command: &mut Command) {
        let Self { reach, name, once, wait, pretty, json: _ } = self;
        reach.add_to(command);
        command.option("--as", name.as_ref());
        command.flag("--once", *once);
        command.option("--wait", Some(wait.as_secs_f64().to_string()).filter(|wait| wait != "5"));
        command.flag("--pretty", *pretty);
    }
}
