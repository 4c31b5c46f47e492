//! The screen: the line at the bottom, functions' logs above it, keys and signals.

use std::collections::BTreeSet;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval_at};

use super::super::command::Command;
use super::super::exit::{self, Exit};
use super::super::{endpoint, open};
use super::socket::{Received, Socket};
use super::{Args, Deployed, Question, Shared};
use crate::core::logs::Item;
use crate::deploy::logs::{Entry, LogsError, Sources};
use crate::local::daemon::process::{self, Attention};
use crate::machine::clock;
use crate::ui::Ui;
use crate::ui::dev::{Status, StatusLine};
use crate::ui::keys::{Key, Keyboard, Line, Typed};
use crate::ui::logs::Printer;

/// How often it is looked how many sockets are open.
const COUNT: Duration = Duration::from_secs(1);

/// The keys that choose from a list, in its order.
const CHOICES: &str = "123456789abcdefghijklmnopqrstuvwxyz";

const HELP: &str = "  s  send a message
  o  open the console in the browser
  r  restart a function
  c  clear the screen
  q  quit
  ?  this help";

/// What the next key is for.
#[derive(Default)]
enum Mode {
    #[default]
    Keys,
    /// A message is typed.
    Message(Line),
    /// A function is chosen, by its key of `CHOICES`.
    Restart(Vec<String>),
    Question(Question),
}

pub(super) struct Screen<'a> {
    args: &'a Args,
    shared: &'a Shared,
    ui: &'a Ui,
    keyboard: Option<Keyboard>,
    questions: mpsc::UnboundedReceiver<Question>,
    mode: Mode,
    line: StatusLine,
    status: Option<Status>,
    /// Whether the local cloud ran when it was looked at last.
    runs: bool,
    /// Its process then: the pid and the time of its start.
    process: Option<(u32, String)>,
    socket: Option<Socket>,
    last_message: Option<String>,
    logs: Logs,
}

/// The logs that are followed.
struct Logs {
    entries: Option<mpsc::Receiver<Result<Vec<Entry>, LogsError>>>,
    /// What is followed.
    sources: Option<watch::Sender<Sources>>,
    printer: Option<Printer>,
    /// Whose they are: each function's and each stage's physical id.
    whose: BTreeSet<String>,
    /// From when on there are new ones, in milliseconds since the epoch.
    since: i64,
}

impl<'a> Screen<'a> {
    pub fn new(
        args: &'a Args,
        shared: &'a Shared,
        ui: &'a Ui,
        keyboard: Option<Keyboard>,
        questions: mpsc::UnboundedReceiver<Question>,
    ) -> Self {
        let line = StatusLine { now: shared.now.borrow().clone(), ..StatusLine::default() };
        Self {
            args,
            shared,
            ui,
            keyboard,
            questions,
            mode: Mode::default(),
            line,
            status: None,
            runs: true,
            process: None,
            socket: None,
            last_message: None,
            logs: Logs {
                entries: None,
                sources: None,
                printer: None,
                whose: BTreeSet::new(),
                since: now_in_milliseconds(),
            },
        }
    }

    /// Shows all until all ends; a key or a signal may end it.
    pub async fn run(mut self) {
        self.show();
        let mut stop = self.shared.stop.subscribe();
        let mut now = self.shared.now.subscribe();
        let mut changes = self.shared.changes.subscribe();
        let mut signals = Signals::new();
        let mut counts = interval_at(Instant::now() + COUNT, COUNT);
        let (receiver, mut received) = mpsc::unbounded_channel();
        while !*stop.borrow() {
            tokio::select! {
                biased;
                _ = stop.changed() => {}
                // All has ended when this fails.
                _ = now.changed() => {
                    self.line.now = now.borrow_and_update().clone();
                    self.show();
                }
                _ = changes.changed() => {
                    changes.borrow_and_update();
                    self.deployed();
                }
                signal = signals.next() => match signal {
                    Heard::End => self.quit(),
                    Heard::Suspend => self.suspend(),
                },
                Some(question) = self.questions.recv(), if matches!(self.mode, Mode::Keys) => {
                    self.ui.say(&question.text);
                    self.mode = Mode::Question(question);
                    self.show();
                }
                () = withdrawn(&mut self.mode) => {
                    self.ui.say("Something newer was saved: the question is withdrawn.");
                    self.mode = Mode::Keys;
                    self.show();
                }
                key = next_key(&mut self.keyboard) => self.press(key, &receiver).await,
                Some(received) = received.recv() => self.received(received),
                entries = next_entries(&mut self.logs.entries) => self.log(entries),
                _ = counts.tick() => self.look().await,
            }
        }
        // What is under way is finished; who does not want to wait presses Ctrl-C again.
        self.status = None;
        self.keyboard = None;
        let ui = self.ui.clone();
        tokio::spawn(async move {
            loop {
                if let Heard::End = signals.next().await {
                    let why = "Interrupted: what was running may be half done. The next run finds out.";
                    ui.restore_and_exit(why, Exit::Interrupted as u8, exit::now);
                }
            }
        });
    }

    /// Draws the line at the bottom, on a terminal.
    fn show(&mut self) {
        if self.keyboard.is_none() {
            return;
        }
        self.line.prompt = match &self.mode {
            Mode::Keys => None,
            Mode::Message(line) => Some(match (line.text(), &self.last_message) {
                ("", Some(last)) => (format!("send (Enter alone: {last})> "), String::new()),
                (text, _) => ("send> ".to_owned(), format!("{text}_")),
            }),
            // What is asked about stands above: it may be long.
            Mode::Restart(_) => Some(("restart which? (Esc: none)".to_owned(), String::new())),
            Mode::Question(_) => Some(("Go on? (y/n)".to_owned(), String::new())),
        };
        match &self.status {
            Some(status) => status.set(&self.line),
            None => self.status = Some(Status::show(self.ui, &self.line)),
        }
    }

    fn deployed(&mut self) {
        let deployed = self.shared.deployed();
        self.line.uri = deployed.uris.first().cloned().unwrap_or_default();
        self.follow(&deployed);
        self.show();
    }

    /// Follows the logs of what is deployed now.
    fn follow(&mut self, deployed: &Deployed) {
        let whose: BTreeSet<String> = deployed.live.iter().map(|live| live.physical_id.clone()).collect();
        let Some(aws) = deployed.aws.clone().filter(|_| whose != self.logs.whose && !whose.is_empty()) else { return };
        let sources = Sources::of(&deployed.live, &deployed.folders, self.args.desired.target.is_local());
        self.logs.printer = Some(Printer::new(self.ui, sources.functions(), clock::local_offset()));
        match &self.logs.sources {
            Some(followed) if self.logs.entries.is_some() => drop(followed.send_replace(sources)),
            _ => {
                let (followed, changing) = watch::channel(sources);
                self.logs.entries = Some(Sources::follow_changing(changing, aws, self.logs.since));
                self.logs.sources = Some(followed);
            }
        }
        self.logs.whose = whose;
    }

    fn log(&mut self, entries: Option<Result<Vec<Entry>, LogsError>>) {
        let entries = match entries {
            Some(Ok(entries)) => entries,
            Some(Err(error)) => {
                self.logs.entries = None;
                // The next change of what is deployed follows them again.
                self.logs.whose.clear();
                self.ui.say(format_args!("warning: {error}; logs are shown again after the next save"));
                return;
            }
            None => {
                self.logs.entries = None;
                return;
            }
        };
        for entry in entries {
            self.logs.since = self.logs.since.max(entry.time + 1);
            // Programs get the reports of invocations, too.
            let is_report = matches!(entry.item, Item::Platform(_));
            if let Some(printer) = &self.logs.printer
                && entry.is_shown()
                && (self.ui.is_json() || !is_report)
            {
                printer.print(&entry);
            }
        }
    }

    fn quit(&mut self) {
        self.shared.stop.send_replace(true);
    }

    /// Ctrl-Z, and then `fg`.
    fn suspend(&mut self) {
        self.status = None;
        if let Some(keyboard) = &self.keyboard {
            keyboard.suspend();
        }
        self.show();
    }

    async fn press(&mut self, key: Key, receiver: &mpsc::UnboundedSender<Received>) {
        self.mode = match std::mem::take(&mut self.mode) {
            Mode::Keys => self.command(key).await,
            Mode::Message(mut line) => match line.press(key) {
                Typed::Going => Mode::Message(line),
                Typed::GivenUp => Mode::Keys,
                Typed::Done(text) => {
                    let text = if text.is_empty() { self.last_message.clone().unwrap_or_default() } else { text };
                    if !text.is_empty() {
                        self.send(text, receiver);
                    }
                    Mode::Keys
                }
            },
            Mode::Restart(names) => match key {
                Key::Char(key) => match CHOICES.find(key).and_then(|at| names.get(at)) {
                    Some(name) => {
                        self.restart(name).await;
                        Mode::Keys
                    }
                    None => Mode::Restart(names),
                },
                Key::Escape | Key::End | Key::Enter => Mode::Keys,
                _ => Mode::Restart(names),
            },
            Mode::Question(question) => match key {
                Key::Char('y' | 'Y') => {
                    self.ui.say("Go on? yes");
                    let _ = question.answer.send(true);
                    Mode::Keys
                }
                Key::Char('n' | 'N') | Key::Escape | Key::Enter | Key::End => {
                    self.ui.say("Go on? no");
                    let _ = question.answer.send(false);
                    Mode::Keys
                }
                _ => Mode::Question(question),
            },
        };
        self.show();
    }

    async fn command(&mut self, key: Key) -> Mode {
        match key {
            Key::Char('q') | Key::End => self.quit(),
            Key::Char('c') => self.ui.clear_screen(),
            Key::Char('?' | 'h') => {
                self.ui.say(HELP);
                // Long names leave it no room in the line at the bottom.
                for uri in &self.shared.deployed().uris {
                    self.ui.say(uri);
                }
            }
            Key::Char('o') => self.open_console().await,
            Key::Char('s') if self.line.uri.is_empty() => self.ui.say("There is nothing to connect to yet."),
            Key::Char('s') => return Mode::Message(Line::default()),
            Key::Char('r') => return self.choose_function().await,
            _ => {}
        }
        Mode::Keys
    }

    async fn choose_function(&mut self) -> Mode {
        if !self.args.desired.target.is_local() {
            self.ui.say("Functions on AWS cannot be restarted; a save gives them new environments.");
            return Mode::Keys;
        }
        let names: Vec<String> = self.shared.deployed().functions.keys().cloned().collect();
        match names.as_slice() {
            [] => Mode::Keys,
            [only] => {
                self.restart(only).await;
                Mode::Keys
            }
            _ => {
                let choices = CHOICES.chars().zip(&names).map(|(key, name)| format!("  {key}  {name}"));
                self.ui.say(choices.collect::<Vec<_>>().join("\n"));
                Mode::Restart(names)
            }
        }
    }

    async fn restart(&self, function: &str) {
        let deployed = self.shared.deployed();
        let (Some(live), Some(aws)) = (deployed.functions.get(function), &deployed.aws) else { return };
        let data = self.args.desired.target.data();
        match process::attend(data, &aws.scope().region, &live.physical_id, &Attention::Restart).await {
            Ok(()) => self.ui.say(format_args!("{function} restarted.")),
            Err(error) => self.ui.say(format_args!("warning: {function} was not restarted: {error}")),
        }
    }

    fn send(&mut self, text: String, receiver: &mpsc::UnboundedSender<Received>) {
        if self.socket.is_none() {
            let connector = match endpoint::connector(&self.args.desired.target) {
                Ok(connector) => connector,
                Err(error) => return self.ui.say(format_args!("warning: {error}")),
            };
            self.socket = Some(Socket::connect(connector, &self.line.uri, receiver.clone()));
        }
        self.ui.say(format_args!("> {text}"));
        if self.socket.as_ref().is_some_and(|socket| !socket.send(text.clone())) {
            self.socket = None;
            self.ui.say("warning: the socket is closed; press s again");
        }
        self.last_message = Some(text);
    }

    fn received(&mut self, received: Received) {
        match received {
            Received::Text(text) => self.ui.say(format_args!("< {text}")),
            Received::Refused(why) => {
                self.socket = None;
                self.ui.say(format_args!("warning: {why}"));
            }
            Received::Ended(why) => {
                self.socket = None;
                self.ui.say(format_args!("the socket has ended: {why}"));
            }
        }
    }

    async fn open_console(&self) {
        let Some(url) = self.console_url().await else {
            let why = if self.args.desired.target.is_local() {
                "the local cloud does not answer"
            } else {
                "there is no API yet"
            };
            return self.ui.say(format_args!("The console cannot be opened: {why}."));
        };
        match open::browse(&url).await {
            true => self.ui.say(format_args!("Opening {url}")),
            false => self.ui.say(format_args!("The console: {url}")),
        }
    }

    /// The local cloud's own console; on AWS, the API's page in AWS's.
    async fn console_url(&self) -> Option<String> {
        let deployed = self.shared.deployed();
        if self.args.desired.target.is_local() {
            return process::console_url(self.args.desired.target.data()).await;
        }
        open::page_on_aws(deployed.aws.as_ref()?.scope(), &deployed.live)
    }

    /// Looks how many sockets are open, and whether the local cloud still runs.
    async fn look(&mut self) {
        let target = &self.args.desired.target;
        let apis: Vec<String> =
            self.shared.deployed().uris.iter().filter_map(|uri| Some(uri.split('/').nth(3)?.to_owned())).collect();
        if !target.is_local() || apis.is_empty() {
            return;
        }
        let open = process::open_sockets(target.data()).await.ok();
        let was_running = std::mem::replace(&mut self.runs, open.is_some() || process::runs(target.data()));
        // A restart between two looks leaves it running, but all that it was told of functions is gone.
        let is_other = process::serving(target.data())
            .is_some_and(|now| self.process.replace(now.clone()).is_some_and(|before| before != now));
        match (was_running, self.runs) {
            (true, false) => {
                let start = Command::new("local start").with(target.data_folder());
                self.ui
                    .say(format_args!("The local cloud has stopped: nothing can be updated. Start it with: {start}"));
            }
            (false, true) => {
                self.ui.say("The local cloud runs again: starting again.");
                self.shared.restart.notify_one();
            }
            (true, true) if is_other => {
                self.ui.say("The local cloud was restarted: starting again.");
                self.shared.restart.notify_one();
            }
            _ => {}
        }
        self.line.sockets = open.map(|open| apis.iter().filter_map(|api| open.get(api)).sum());
        self.show();
    }
}

/// Milliseconds since the epoch.
fn now_in_milliseconds() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

async fn next_entries(
    entries: &mut Option<mpsc::Receiver<Result<Vec<Entry>, LogsError>>>,
) -> Option<Result<Vec<Entry>, LogsError>> {
    match entries {
        Some(entries) => entries.recv().await,
        None => std::future::pending().await,
    }
}

async fn next_key(keyboard: &mut Option<Keyboard>) -> Key {
    match keyboard {
        Some(keyboard) => keyboard.next().await,
        None => std::future::pending().await,
    }
}

/// What a signal asks for.
enum Heard {
    End,
    Suspend,
}

/// Waits until the question that is asked needs no answer any more.
async fn withdrawn(mode: &mut Mode) {
    match mode {
        Mode::Question(question) => question.answer.closed().await,
        _ => std::future::pending().await,
    }
}

/// The signals that end or suspend a program.
struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
    quit: Option<Signal>,
    suspend: Option<Signal>,
    /// A process in the background that touches its terminal is not stopped for that.
    _background: [Option<Signal>; 2],
}

impl Signals {
    fn new() -> Self {
        let of = |kind: SignalKind| signal(kind).ok();
        let raw = |signal: rustix::process::Signal| of(SignalKind::from_raw(signal.as_raw()));
        Self {
            interrupt: of(SignalKind::interrupt()),
            terminate: of(SignalKind::terminate()),
            hang_up: of(SignalKind::hangup()),
            quit: of(SignalKind::quit()),
            suspend: raw(rustix::process::Signal::TSTP),
            _background: [raw(rustix::process::Signal::TTIN), raw(rustix::process::Signal::TTOU)],
        }
    }

    async fn next(&mut self) -> Heard {
        async fn of(signal: &mut Option<Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = of(&mut self.interrupt) => Heard::End,
            () = of(&mut self.terminate) => Heard::End,
            () = of(&mut self.quit) => Heard::End,
            () = of(&mut self.hang_up) => Heard::End,
            () = of(&mut self.suspend) => Heard::Suspend,
        }
    }
}
