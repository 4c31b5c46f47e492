//! The exit codes, all of them.

use std::process::ExitCode;

/// How a command ended. (A command line that is not one ends with 2; clap sees to that.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    /// What is there differs from what shall be there.
    Differs = 2,
    /// There is nothing of what was asked about (LSB's code for `status`).
    NotThere = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Ends the process at once, as a second Ctrl-C asks: 128 and the signal's number, as shells have it.
#[expect(clippy::exit, clippy::disallowed_methods, reason = "nothing else ends a process whose threads are at work")]
pub fn now() -> ! {
    std::process::exit(130)
}
