//! The exit codes, all of them.

use std::process::ExitCode;

/// How a command ended. (A command line that is not one ends with 2; clap sees to that.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    /// What was asked about does not run (LSB's code for `status`).
    NotRunning = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
