//! A runtime: a function's process and the Runtime API that it talks to.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::time::{Instant, sleep_until};

use super::environment::{Host, Spec};
use super::failure::Failure;
use super::journal::Journal;
use super::launch::{launch, not_started, variables};
use super::process::Process;
use super::runtime_api::{Event, Invocation, RuntimeApi};

/// How often a process that works is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// A runtime that has come up. Dropped, its process is killed.
pub struct Runtime {
    process: Process,
    api: RuntimeApi,
    /// In bytes.
    memory: u64,
    /// What is `/tmp` to the function: gone when its process is.
    _scratch: TempDir,
}

/// What came of an invocation.
pub struct Ran {
    pub result: Result<Bytes, Failure>,
    /// Whether the runtime asks for more: if not, it has ended or must.
    pub reusable: bool,
}

impl Runtime {
    /// Starts a function's process and waits until it asks for its first invocation.
    ///
    /// # Errors
    /// Why it does not: it could not be started, it ended, it reported an error, or `limit` has passed.
    pub async fn start(host: &Host, spec: &Spec, journal: &Arc<Journal>, limit: Duration) -> Result<Self, Failure> {
        let deadline = Instant::now() + limit;
        let mut command = launch(spec, &host.interpreters).await?;
        let api = RuntimeApi::listen()
            .await
            .map_err(|error| Failure::no_entrypoint(format!("no port for the Runtime API: {error}")))?;
        let credentials = host.roles.issue(&spec.deployment.settings.role, &spec.id.name);
        let scratch = host.scratch().map_err(|error| Failure::no_entrypoint(format!("no folder for /tmp: {error}")))?;
        // What asks for a place for files gets one of its own, and what the code expects below its home does not come from
        // the developer's.
        command.env("TMPDIR", scratch.path()).env("HOME", scratch.path());
        command.envs(variables(spec, host, &credentials, journal.stream(), api.address));
        let started = Process::start(&mut command, journal.clone()).await;
        let process = started.map_err(|error| not_started(&command, &error))?;
        if let Some(group) = process.group() {
            api.belongs_to(group);
        }
        let memory = u64::from(spec.deployment.settings.memory_size) << 20;
        let mut runtime = Self { process, api, memory, _scratch: scratch };
        match runtime.event(deadline).await {
            Happened::Told(Event::Ready) => Ok(runtime),
            Happened::Told(Event::InitFailed(failure)) => Err(failure),
            // Nothing was asked yet, so there is nothing that it could have answered.
            Happened::Told(Event::Answered(_)) => {
                Err(Failure::no_entrypoint("the runtime answered before it was asked"))
            }
            Happened::Exited(failure) => Err(failure),
            Happened::Deadline => Err(Failure::timed_out(limit)),
        }
    }

    /// Runs one invocation, until the runtime asks for the next: only then has it done all it does for this one. From
    /// then on it is frozen, until the next invocation.
    pub async fn invoke(&mut self, invocation: Invocation, timeout: Duration) -> Ran {
        let deadline = Instant::now() + timeout;
        self.process.thaw();
        self.api.invoke(invocation);
        let mut answer = None;
        loop {
            let happened = self.event(deadline).await;
            let failure = match happened {
                Happened::Told(Event::Answered(result)) => {
                    answer = Some(result);
                    continue;
                }
                Happened::Told(Event::Ready) => {
                    self.process.freeze();
                    None
                }
                Happened::Told(Event::InitFailed(failure)) | Happened::Exited(failure) => Some(failure),
                Happened::Deadline => Some(Failure::timed_out(timeout)),
            };
            self.process.flush();
            // What was answered stands, whatever became of the runtime after it.
            return match (answer, failure) {
                (Some(result), failure) => Ran { result, reusable: failure.is_none() },
                (None, Some(failure)) => Ran { result: Err(failure), reusable: false },
                // `next` is refused while an invocation is open, so `Ready` comes after an answer.
                (None, None) => {
                    Ran { result: Err(Failure::no_entrypoint("the runtime gave no answer")), reusable: false }
                }
            };
        }
    }

    pub fn is_alive(&mut self) -> bool {
        self.process.is_alive()
    }

    /// In MB; `None` where the system does not tell.
    pub fn peak_memory(&self) -> Option<u64> {
        self.process.peak_memory()
    }

    /// The next thing that happens. What the process said before it ended comes before its end. One that takes more
    /// memory than its function has is killed, which is how Lambda ends it.
    async fn event(&mut self, deadline: Instant) -> Happened {
        let mut glances = tokio::time::interval_at(Instant::now() + GLANCE, GLANCE);
        loop {
            return tokio::select! {
                biased;
                Some(event) = self.api.events.recv() => Happened::Told(event),
                status = self.process.exit() => match self.api.events.try_recv() {
                    Ok(event) => Happened::Told(event),
                    Err(_) => Happened::Exited(Failure::exited(status)),
                },
                () = sleep_until(deadline) => Happened::Deadline,
                _ = glances.tick() => {
                    if self.process.own_memory().is_some_and(|used| used > self.memory) {
                        self.process.kill();
                    }
                    continue;
                }
            };
        }
    }
}

enum Happened {
    Told(Event),
    Exited(Failure),
    Deadline,
}
