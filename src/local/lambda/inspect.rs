//! A debugger's way into a function.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// A debugger's way into a function: one environment at a time has it, without time limits, and is not frozen.
#[derive(Debug, Clone)]
pub struct Inspect {
    /// The port on 127.0.0.1 where the runtime waits for a debugger.
    pub port: u16,
    /// The folder with Python's debugpy.
    pub modules: Option<PathBuf>,
    /// Held by the one invocation that runs: two environments cannot have one port.
    pub turn: Arc<Semaphore>,
}
