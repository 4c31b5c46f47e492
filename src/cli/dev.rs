//! `wschat dev`: deploys, and then again after every save.
//!
//! ```text
//! watcher --saved--> rounds: load, build, code first, plan, carry out --> what is deployed --+
//! keys, Ctrl-C ----> screen: the line at the bottom, logs, questions, messages <-------------+
//! ```
//!
//! The two run side by side in one task; each owns its half, and `Shared` is what they tell each other.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::command::Command;
use super::desired;
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::interrupt::{self, Claim};
use crate::aws::client::Aws;
use crate::core::types::Live;
use crate::local::daemon::process;
use crate::machine::interpreter;
use crate::package;
use crate::ui::Ui;
use crate::ui::event::{Event, RunResult};
use crate::ui::keys::Keyboard;

mod debugger;
mod rounds;
mod screen;
mod socket;

/// Work on an application: deploy it, and update what runs with every save
///
/// On the local cloud unless --aws is given. Sockets stay open. A save that cannot be built leaves the previous version
/// running. On a terminal, ? lists the keys.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    desired: desired::Args,
    /// Deploy to AWS instead of the local cloud
    #[arg(long, conflicts_with = "local")]
    aws: bool,
    /// Run this function under a debugger, which attaches to it: Node.js on port 9229, Python on 5678. Local cloud only
    #[arg(long, value_name = "FUNCTION", conflicts_with = "aws")]
    inspect: Option<String>,
    /// Stop the local cloud at the end
    #[arg(long, conflicts_with = "aws")]
    stop: bool,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

/// What the rounds and the screen tell each other.
struct Shared {
    /// Turns true when all is to end.
    stop: watch::Sender<bool>,
    /// What is done at the moment, or was done last, in a few words.
    now: watch::Sender<String>,
    deployed: Mutex<Deployed>,
    /// Counts the times that `deployed` has changed.
    changes: watch::Sender<u64>,
    /// Tells the rounds that all is to start again.
    restart: Notify,
    /// Questions for the user at the terminal; `None` without a terminal.
    questions: Option<mpsc::UnboundedSender<Question>>,
}

/// What is deployed.
#[derive(Debug, Clone, Default)]
struct Deployed {
    aws: Option<Arc<Aws>>,
    uris: Vec<String>,
    /// Functions by logical id.
    functions: BTreeMap<String, Live>,
    /// All of the stack's resources, as they were read last.
    live: Vec<Live>,
    /// The folders of functions' code, as the user names them.
    folders: BTreeMap<String, String>,
}

/// A question that is answered with yes or no.
struct Question {
    text: String,
    answer: oneshot::Sender<bool>,
}

impl Shared {
    fn say_now(&self, text: impl Into<String>) {
        self.now.send_replace(text.into());
    }

    fn deployed(&self) -> Deployed {
        self.deployed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn deploy(&self, deployed: Deployed) {
        *self.deployed.lock().unwrap_or_else(PoisonError::into_inner) = deployed;
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Asks the user at the terminal; `None` without a terminal, or when the command ends.
    async fn ask(&self, text: String) -> Option<bool> {
        let (answer, answered) = oneshot::channel();
        self.questions.as_ref()?.send(Question { text, answer }).ok()?;
        let mut stop = self.stop.subscribe();
        tokio::select! {
            answered = answered => answered.ok(),
            _ = stop.wait_for(|stop| *stop) => None,
        }
    }
}

/// How the rounds ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RoundsEnd {
    Stopped,
    /// The project's settings have changed, or the local cloud is another process: the same command starts again.
    Restart,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        if self.inspect.is_some() && !self.desired.target.is_local() {
            return Err("--inspect works with the local cloud only: on AWS nothing can attach to a function".into());
        }
        let claim = Claim::new();
        interpreter::ask_once();
        let keyboard = if self.json { None } else { Keyboard::open() };
        let (asker, questions) = mpsc::unbounded_channel();
        let shared = Shared {
            stop: watch::Sender::new(false),
            now: watch::Sender::new("starting".to_owned()),
            deployed: Mutex::default(),
            changes: watch::Sender::new(0),
            restart: Notify::new(),
            questions: keyboard.is_some().then_some(asker),
        };
        let mut rounds = rounds::Rounds::new(&self, &shared, ui)?;
        let screen = screen::Screen::new(&self, &shared, ui, keyboard, questions);
        let all = async {
            let ended = rounds.run().await;
            shared.stop.send_replace(true);
            ended
        };
        let (ended, ()) = tokio::join!(all, screen.run());
        rounds.leave().await;
        drop(claim);
        // Ctrl-C is how it ends, and no interruption.
        interrupt::answered();
        if ended? == RoundsEnd::Restart {
            return Err(restart());
        }
        self.say_what_runs(ui).await;
        let deployed = shared.deployed();
        Ok(match &deployed.aws {
            Some(aws) => {
                Exit::Ok.with(Event::Result(RunResult { uris: deployed.uris.clone(), ..RunResult::of(aws.scope()) }))
            }
            None => Exit::Ok.into(),
        })
    }

    /// Stops the local cloud, or says how to.
    async fn say_what_runs(&self, ui: &Ui) {
        if !self.desired.target.is_local() {
            return;
        }
        if self.stop {
            match process::stop(self.desired.target.data()).await {
                Ok(_) => ui.say("The local cloud stopped."),
                Err(error) => ui.say(format_args!("warning: {error}")),
            }
            return;
        }
        if !process::runs(self.desired.target.data()) {
            ui.say("The local cloud has stopped.");
            return;
        }
        let stop = Command::new("local stop").with(self.desired.target.data_folder());
        ui.say(format_args!("The local cloud keeps running; stop it with: {stop}"));
    }
}

/// Starts the same command again, with the settings that the project has now; gives why that failed.
fn restart() -> CommandError {
    // Their parent would stay the same process, which does not wait for them any more.
    package::end_checkers();
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("wschat"));
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    CommandError::new(format!("wschat could not start again: {error}"))
}
