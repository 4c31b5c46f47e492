//! The command line: one verb, one file, with its arguments and what it does. The help texts are the doc comments.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::ui::Ui;
use exit::Exit;

mod alias;
mod command;
mod config;
mod desired;
mod down;
mod env;
mod exit;
mod interrupt;
mod list;
pub mod local;
mod parameters;
mod plan;
mod policy;
mod project;
mod result;
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
    Plan(plan::Args),
    Validate(validate::Args),
    Policy(policy::Args),
    Status(status::Args),
    Url(url::Args),
    List(list::Args),
    Down(down::Args),
    Env(env::Args),
    Local(local::Args),
}

impl Verb {
    async fn run(self, ui: &Ui) -> Result<Exit, Failure> {
        match self {
            Self::Up(args) => args.run(ui).await,
            Self::Plan(args) => args.run(ui).await,
            Self::Validate(args) => args.run(ui),
            Self::Policy(args) => args.run(ui).await,
            Self::Status(args) => args.run(ui).await,
            Self::Url(args) => args.run(ui).await,
            Self::List(args) => args.run(ui).await,
            Self::Down(args) => args.run(ui).await,
            Self::Env(args) => args.run(ui).await,
            Self::Local(args) => args.run(ui).await,
        }
    }
}

/// Why a verb could not do its work: a sentence that says what was being done and what to do next.
type Failure = Box<dyn std::error::Error + Send + Sync>;

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
    let ui = Ui::default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and the version are answers; all else is no command line.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            match alias::answer(&error) {
                Some(answer) => ui.say(answer),
                None => drop(error.print()),
            }
            return exit.into();
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            ui.error(&error);
            return Exit::Failed.into();
        }
    };
    let command = async {
        interrupt::watch(ui.clone());
        cli.verb.run(&ui).await
    };
    let exit = runtime.block_on(command).unwrap_or_else(|failure| {
        ui.error(&*failure);
        Exit::Failed
    });
    let exit = if interrupt::was_pressed() { Exit::Interrupted } else { exit };
    // The process does not end under threads that are at work, and they do not keep it from ending.
    runtime.shutdown_timeout(LEAVE);
    exit.into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
