//! All exit codes.

use std::process::ExitCode;

use crate::ui::event::Event;

/// How a command ended. docs/exit-codes.md says what each code means for each command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    /// The deployed resources differ from the desired ones, or what was waited for has not come.
    Differs = 2,
    /// The stack, its function, a connection or the local cloud does not exist, or refuses the client (LSB's code for `status`).
    NotThere = 3,
    /// The command line is invalid (`EX_USAGE` of BSD's sysexits).
    Usage = 64,
    /// Ctrl-C: 128 plus the signal's number, as in shells.
    Interrupted = 130,
}

/// How a command ended that did its work: with which exit code, and what it says last to programs.
#[derive(Debug)]
pub struct Ended {
    pub exit: Exit,
    /// The last line of `--json`; `None` for commands without that.
    pub event: Option<Event>,
}

impl Exit {
    /// Ends so, with this as the last line of `--json`.
    pub fn with(self, event: Event) -> Ended {
        Ended { exit: self, event: Some(event) }
    }
}

impl From<Exit> for Ended {
    fn from(exit: Exit) -> Self {
        Self { exit, event: None }
    }
}

/// The exit codes, for the help.
pub const HELP: &str = "\
Exit codes:
  0    done; nothing to do
  1    error
  2    plan, up --dry-run: there are changes to make; status: something differs or is broken;
       chat --once: no answer came
  3    status, url, outputs, logs, chat, smoke, invoke, connections, open, local status: not found;
       chat: refused
  64   wrong usage
  130  interrupted (Ctrl-C)";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Ends the process at once, after Ctrl-C.
#[expect(clippy::exit, clippy::disallowed_methods, reason = "nothing else ends a process whose threads are at work")]
pub fn now() -> ! {
    std::process::exit(Exit::Interrupted as i32)
}
