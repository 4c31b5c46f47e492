//! The command line: one command, one file, with its arguments and what it does. The help texts are the doc comments.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::ui::event::Event;
use crate::ui::{self, Ui};
use config::settings::{self, Effective, NoLine};
use error::CommandError;
use exit::{Ended, Exit};

mod adopt;
mod alias;
mod all_stacks;
mod chat;
mod command;
mod completions;
mod config;
mod connections;
mod cost;
mod desired;
mod dev;
mod doctor;
mod down;
mod eject;
mod endpoint;
mod env;
mod error;
mod exit;
mod guided;
mod help;
mod init;
mod interrupt;
mod invoke;
mod list;
pub mod local;
mod logs;
mod man;
mod open;
mod outputs;
mod parameters;
mod plan;
mod policy;
mod project;
mod result;
mod smoke;
mod status;
mod target;
mod timings;
mod up;
mod url;
mod validate;

/// From a SAM or CloudFormation template to a running serverless WebSocket stack: on AWS, or on your machine
#[derive(Debug, Parser)]
#[command(name = "wschat", version, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Up(up::Args),
    Dev(dev::Args),
    Plan(plan::Args),
    Validate(validate::Args),
    Policy(policy::Args),
    Status(status::Args),
    Url(url::Args),
    Logs(logs::Args),
    Outputs(outputs::Args),
    List(list::Args),
    Chat(chat::Args),
    Smoke(smoke::Args),
    Invoke(invoke::Args),
    Connections(connections::Args),
    Open(open::Args),
    Down(down::Args),
    Adopt(adopt::Args),
    Eject(eject::Args),
    Config(config::show::Args),
    Env(env::Args),
    Local(local::Args),
    Init(init::Args),
    Doctor(doctor::Args),
    Cost(cost::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Verb {
    /// Whether stdout is to have events instead of text.
    fn json(&self) -> bool {
        match self {
            Self::Up(args) => args.json,
            Self::Dev(args) => args.json,
            Self::Plan(args) => args.json,
            Self::Validate(args) => args.json,
            Self::Status(args) => args.json,
            Self::List(args) => args.json,
            Self::Logs(args) => args.json,
            Self::Down(args) => args.json,
            Self::Adopt(args) => args.json,
            Self::Eject(args) => args.json,
            Self::Chat(args) => args.json,
            Self::Smoke(args) => args.json,
            Self::Invoke(args) => args.json,
            Self::Connections(args) => args.json,
            Self::Open(args) => args.json,
            Self::Config(args) => args.up.json,
            Self::Outputs(args) => args.json,
            Self::Init(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Cost(args) => args.json,
            Self::Url(args) => args.json,
            Self::Policy(args) => args.json,
            Self::Env(args) => args.json,
            Self::Local(args) => args.json,
            Self::Completions(args) => args.json,
            Self::Man(args) => args.json,
        }
    }

    /// Whether to say what of SAM's file is not used: the verbs that deploy, and the one that explains.
    fn tells_ignored(&self) -> bool {
        matches!(self, Self::Up(_) | Self::Plan(_) | Self::Config(_))
    }

    async fn run(self, settings: Vec<Effective>, ui: &Ui) -> Result<Ended, CommandError> {
        match self {
            Self::Config(args) => args.run(settings, ui),
            Self::Up(args) => args.run(ui).await,
            Self::Dev(args) => args.run(ui).await,
            Self::Plan(args) => args.run(ui).await,
            Self::Validate(args) => args.run(ui),
            Self::Status(args) => args.run(ui).await,
            Self::List(args) => args.run(ui).await,
            Self::Logs(args) => args.run(ui).await,
            Self::Down(args) => args.run(ui).await,
            Self::Adopt(args) => args.run(ui).await,
            Self::Eject(args) => args.run(ui).await,
            Self::Chat(args) => args.run(ui).await,
            Self::Smoke(args) => args.run(ui).await,
            Self::Invoke(args) => args.run(ui).await,
            Self::Connections(args) => args.run(ui).await,
            Self::Open(args) => args.run(ui).await,
            Self::Policy(args) => args.run(ui).await,
            Self::Url(args) => args.run(ui).await,
            Self::Outputs(args) => args.run(ui).await,
            Self::Init(args) => args.run(ui),
            Self::Doctor(args) => args.run(ui).await,
            Self::Cost(args) => args.run(ui),
            Self::Completions(args) => args.run(&command(), ui),
            Self::Man(args) => args.run(&command(), ui),
            Self::Env(args) => args.run(ui).await,
            Self::Local(args) => args.run(ui).await,
        }
    }
}

/// The command line as it is documented.
fn command() -> clap::Command {
    help::dressed(Cli::command())
}

/// The cargo that builds handlers: the one that runs us, if one does.
#[expect(clippy::disallowed_methods, reason = "nobody types it: `cargo run` sets it")]
fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// The stack of each thread, in bytes, of which only what is used takes memory. An expression of DynamoDB's 4 KB, or a
/// PartiQL statement of 8 KB, can be nested thousands deep, and the local cloud's engine reads them recursively.
const STACK: usize = 64 << 20;

/// How long other threads may take to stop once a command is done.
const LEAVE: Duration = Duration::from_millis(100);

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    ui::panics::tell();
    let typed: Vec<_> = std::env::args_os().collect();
    let line = settings::line(&command(), &typed, || project::find().ok());
    let cli = line.and_then(|line| match Cli::from_arg_matches(&line.matches) {
        Ok(cli) => Ok((cli, line)),
        Err(error) => Err(NoLine::Clap(error)),
    });
    let (cli, line) = match cli {
        Ok(cli) => cli,
        Err(NoLine::Clap(error)) => {
            // Help and the version are answers; all else is no command line.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            match alias::answer(&error) {
                Some(answer) => answer.print(&Ui::default()),
                None => drop(error.print()),
            }
            return exit.into();
        }
        Err(NoLine::File(error)) => {
            // Nothing has been read that could say more.
            return end(Err(error), &Ui::new(typed.iter().any(|word| word == "--json"))).into();
        }
    };
    let ui = Ui::new(cli.verb.json());
    if let Some(ignored) = line.ignored.filter(|_| cli.verb.tells_ignored()) {
        ui.say(ignored);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return end(Err(error.into()), &ui).into(),
    };
    let command = async {
        interrupt::watch(ui.clone());
        cli.verb.run(line.effective, &ui).await
    };
    let exit = end(runtime.block_on(command), &ui);
    // The process does not end under threads that are at work, and they do not keep it from ending.
    runtime.shutdown_timeout(LEAVE);
    ui.close();
    exit.into()
}

/// Says how the command ended: the last line of `--json`, and an error in any case.
fn end(ended: Result<Ended, CommandError>, ui: &Ui) -> Exit {
    let code = |exit| if interrupt::was_pressed() { Exit::Interrupted } else { exit };
    match ended {
        Ok(Ended { exit, event }) => {
            let exit = code(exit);
            if let Some(event) = event {
                ui.last_event(&event, exit as u8);
            }
            exit
        }
        Err(error) => {
            let exit = code(error.exit());
            error.print(ui);
            ui.last_event(&Event::Failure(error.event()), exit as u8);
            exit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
