//! Carries out the steps of a smoke test with real connections.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connect::{ConnectFailure, Connector, Handshake};
use super::{Received, Socket};
use crate::core::websocket::close::is_orderly;
use crate::core::websocket::expect::{Came, Expected, member};
use crate::core::websocket::message::{explained, gateway_error};
use crate::core::websocket::refusal::refusal;
use crate::core::websocket::smoke::{Act, Step, Steps};

/// How long to wait before another try to reach a stage that has just been made.
const PAUSE: Duration = Duration::from_millis(500);

/// How the steps are carried out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// How long to try to connect to a stage that may not be known everywhere yet.
    pub patience: Duration,
    /// Whether an error of the gateway that no step waits for right now ends the test.
    pub fails_fast: bool,
}

/// A step that did what it should.
#[derive(Debug, Clone)]
pub struct Done {
    /// From 1.
    pub step: usize,
    pub label: String,
    /// What was sent or came.
    pub details: String,
    pub took: Duration,
}

/// The step that failed.
#[derive(Debug, Clone)]
pub struct Failed {
    /// From 1.
    pub step: usize,
    pub label: String,
    pub expected: String,
    /// What came instead, one line for each.
    pub came: Vec<String>,
    /// What that means, where it is known.
    pub why: Option<&'static str>,
    /// Whether the logs of the handlers say more.
    pub is_in_logs: bool,
}

/// Carries out the steps at `url`, up to the first that fails.
///
/// # Errors
/// That step.
pub async fn run(
    steps: &Steps,
    url: &str,
    connector: &Connector,
    mut variables: BTreeMap<String, String>,
    options: Options,
    mut done: impl FnMut(Done),
) -> Result<(), Failed> {
    let (came, inbox) = mpsc::unbounded_channel();
    let mut test = Test { url, connector, options, clients: BTreeMap::new(), came, inbox, begun: Instant::now() };
    for (index, step) in steps.0.iter().enumerate() {
        let step = step.with(&variables);
        let label = step.label();
        let begun = Instant::now();
        match test.act(&step, &mut variables).await {
            Ok(details) => done(Done { step: index + 1, label, details, took: begun.elapsed() }),
            Err(Miss { expected, came, why, is_in_logs }) => {
                return Err(Failed { step: index + 1, label, expected, came, why, is_in_logs });
            }
        }
    }
    Ok(())
}

struct Test<'a> {
    url: &'a str,
    connector: &'a Connector,
    options: Options,
    clients: BTreeMap<String, Client>,
    came: mpsc::UnboundedSender<(String, Came)>,
    inbox: mpsc::UnboundedReceiver<(String, Came)>,
    begun: Instant,
}

/// One client. Its connection belongs to a task, which ends with the sender.
struct Client {
    orders: mpsc::UnboundedSender<Order>,
    /// What came and no step has taken.
    unread: VecDeque<Came>,
}

enum Order {
    Send(String),
    Close(u16),
}

/// What a step missed.
struct Miss {
    expected: String,
    came: Vec<String>,
    why: Option<&'static str>,
    is_in_logs: bool,
}

impl Miss {
    fn of(expected: impl Into<String>, came: impl Into<String>) -> Self {
        Self { expected: expected.into(), came: vec![came.into()], why: None, is_in_logs: false }
    }
}

impl Test<'_> {
    /// Carries out a step; returns the details to show.
    async fn act(&mut self, step: &Step, variables: &mut BTreeMap<String, String>) -> Result<String, Miss> {
        let within = Duration::from_secs_f64(step.timeout);
        match &step.act {
            Act::Connect { headers, query, subprotocols, refused } => {
                let handshake = Handshake {
                    url: self.url.to_owned(),
                    headers: headers.clone(),
                    query: query.clone(),
                    subprotocols: subprotocols.clone(),
                };
                self.connect(&step.clients, &handshake, *refused, within).await
            }
            Act::Send(text) => {
                self.order(&step.clients, || Order::Send(text.clone()))?;
                Ok(text.clone())
            }
            Act::Expect { what, save } => self.expect(&step.clients, what, save, within, variables).await,
            Act::Close(code) => {
                self.order(&step.clients, || Order::Close(*code))?;
                let expected = Expected::Closed(None);
                let (_, closed, _) = self.wait(&step.clients, &expected, Instant::now() + within).await?;
                for client in &step.clients {
                    self.clients.remove(client);
                }
                match closed {
                    Came::Closed(answer) if answer == *code || is_orderly(answer) => Ok(answer.to_string()),
                    other => Err(Miss::of(format!("the close frame {code} answered"), other.shown())),
                }
            }
        }
    }

    async fn connect(
        &mut self,
        clients: &[String],
        handshake: &Handshake,
        refused: Option<u16>,
        within: Duration,
    ) -> Result<String, Miss> {
        let expected = refused.map_or_else(|| "a connection".to_owned(), |status| format!("a refusal with {status}"));
        let patient_until = self.begun + self.options.patience;
        let result = loop {
            let result = match timeout(within.max(self.options.patience), self.connector.connect(handshake)).await {
                Ok(result) => result,
                Err(_) => return Err(Miss::of(expected, format!("nothing within {} s", within.as_secs_f64()))),
            };
            // A new stage of AWS is not known everywhere at once.
            let may_come = matches!(
                &result,
                Err(ConnectFailure::Unreached { .. } | ConnectFailure::Refused { status: 403 | 404, .. })
            );
            if !may_come || Instant::now() >= patient_until {
                break result;
            }
            sleep(PAUSE).await;
        };
        match (result, refused) {
            (Ok(socket), None) => {
                // A step connects one client.
                let client = clients.first().cloned().unwrap_or_default();
                let (orders, queue) = mpsc::unbounded_channel();
                self.clients.insert(client.clone(), Client { orders, unread: VecDeque::new() });
                tokio::spawn(serve(client, socket, queue, self.came.clone()));
                Ok(handshake.url.clone())
            }
            (Ok(_), Some(_)) => Err(Miss::of(expected, "a connection")),
            (Err(ConnectFailure::Refused { status, .. }), Some(code)) if status == code => {
                Ok(format!("refused with {status}"))
            }
            (Err(failure), _) => {
                let status = match &failure {
                    ConnectFailure::Refused { status, .. } => Some(refusal(*status)),
                    _ => None,
                };
                Err(Miss {
                    why: status.map(|status| status.why),
                    is_in_logs: status.is_some_and(|status| status.is_in_logs),
                    ..Miss::of(expected, failure.to_string())
                })
            }
        }
    }

    fn order(&self, clients: &[String], order: impl Fn() -> Order) -> Result<(), Miss> {
        for client in clients {
            let sent = self.clients.get(client).is_some_and(|client| client.orders.send(order()).is_ok());
            if !sent {
                let unread = self.clients.get(client).map(|client| client.unread.iter().map(Came::shown).collect());
                let came: Vec<String> = unread.unwrap_or_default();
                let miss = Miss::of(format!("{client}'s connection to be open"), "it has ended");
                return Err(if came.is_empty() { miss } else { Miss { came, ..miss } });
            }
        }
        Ok(())
    }

    async fn expect(
        &mut self,
        clients: &[String],
        what: &Expected,
        save: &BTreeMap<String, String>,
        within: Duration,
        variables: &mut BTreeMap<String, String>,
    ) -> Result<String, Miss> {
        let deadline = Instant::now() + within;
        if *what == Expected::Nothing {
            self.receive_until(deadline).await;
            let unread: Vec<String> = self.unread(clients);
            return if unread.is_empty() {
                Ok(String::new())
            } else {
                Err(Miss { came: unread, ..Miss::of(what.shown(), "") })
            };
        }
        let (client, came, groups) = self.wait(clients, what, deadline).await?;
        variables.extend(groups);
        if let Came::Text(text) = &came {
            for (variable, path) in save {
                let Some(value) = member(text, path) else {
                    return Err(Miss::of(format!("the member {path} for ${{{variable}}}"), came.shown()));
                };
                variables.insert(variable.clone(), value);
            }
        }
        let whose = if clients.len() > 1 { format!("{client}: ") } else { String::new() };
        Ok(format!("{whose}{}", came.shown()))
    }

    /// Waits until one of the clients has what is expected; gives which, what came, and the variables in it.
    async fn wait(
        &mut self,
        clients: &[String],
        what: &Expected,
        deadline: Instant,
    ) -> Result<(String, Came, BTreeMap<String, String>), Miss> {
        loop {
            for name in clients {
                let Some(client) = self.clients.get_mut(name) else { continue };
                let found = client.unread.iter().enumerate().find_map(|(at, came)| Some((at, what.accepts(came)?)));
                if let Some((at, groups)) = found
                    && let Some(came) = client.unread.remove(at)
                {
                    return Ok((name.clone(), came, groups));
                }
            }
            // An end is the last that comes.
            let ended = clients.iter().all(|name| {
                let client = self.clients.get(name);
                client.is_none_or(|client| matches!(client.unread.back(), Some(Came::Closed(_))))
            });
            let failed = self.options.fails_fast && self.error().is_some();
            if ended || failed || !self.receive(deadline).await {
                return Err(self.miss(clients, what));
            }
        }
    }

    /// Takes the next that comes to any client; false when nothing came in time.
    async fn receive(&mut self, deadline: Instant) -> bool {
        let Ok(Some((name, came))) = timeout_at(deadline, self.inbox.recv()).await else { return false };
        if let Some(client) = self.clients.get_mut(&name) {
            client.unread.push_back(came);
        }
        true
    }

    async fn receive_until(&mut self, deadline: Instant) {
        while self.receive(deadline).await {}
    }

    /// The first error of the gateway that is not read.
    fn error(&self) -> Option<String> {
        self.clients.values().flat_map(|client| &client.unread).find_map(|came| match came {
            Came::Text(text) => gateway_error(text),
            _ => None,
        })
    }

    fn unread(&self, clients: &[String]) -> Vec<String> {
        let of = |name: &String| {
            let unread = self.clients.get(name).into_iter().flat_map(|client| &client.unread);
            unread.map(|came| format!("{name}: {}", came.shown())).collect::<Vec<_>>()
        };
        clients.iter().flat_map(of).collect()
    }

    fn miss(&self, clients: &[String], what: &Expected) -> Miss {
        // An error goes to the client that sent the message.
        let mut all: Vec<String> = clients.to_vec();
        all.extend(self.clients.keys().filter(|name| !clients.contains(name)).cloned());
        let mut came = self.unread(&all);
        if came.is_empty() {
            came.push("nothing came in time".to_owned());
        }
        let explained = self.error().map(|error| explained(&error));
        Miss {
            expected: what.shown(),
            came,
            why: explained.map(|(why, _)| why),
            // The handler may also have failed on a message that did not arrive.
            is_in_logs: explained.is_none_or(|(_, is_in_logs)| is_in_logs),
        }
    }
}

/// Serves one client's connection until it ends.
async fn serve(
    name: String,
    mut socket: Socket,
    mut orders: mpsc::UnboundedReceiver<Order>,
    came: mpsc::UnboundedSender<(String, Came)>,
) {
    let tell = |what: Came| drop(came.send((name.clone(), what)));
    loop {
        tokio::select! {
            received = socket.next() => match received {
                Received::Text(text) => tell(Came::Text(text)),
                Received::Binary(bytes) => tell(Came::Binary(bytes.len())),
                Received::Ping(_) | Received::Pong(_) => {}
                Received::Closed(closed) => return tell(Came::Closed(closed.code)),
            },
            order = orders.recv() => match order {
                Some(Order::Send(text)) => drop(socket.send(&text).await),
                Some(Order::Close(code)) => socket.close(code).await,
                None => {
                    socket.finish(1000, |_| ()).await;
                    return;
                }
            },
        }
    }
}
