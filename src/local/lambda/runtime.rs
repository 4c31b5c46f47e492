//! A runtime: a function's process and its Runtime API.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep_until};

use super::failure::InvocationFailure;
use super::function_log::FunctionLog;
use super::launch::{launch, not_started, variables};
use super::packages;
use super::process::Process;
use super::runtime_api::{Invocation, RuntimeApi, RuntimeReport};
use super::sandbox::{Layout, MountPlan, OPT, TASK, TMP};
use super::spec::{EnvironmentSpec, LambdaHost};
use super::write_protection::Protected;

/// How often the memory of a running process is checked.
const MEMORY_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A started runtime. Dropped, its process is killed.
pub struct Runtime {
    process: Process,
    api: RuntimeApi,
    /// The memory limit in bytes.
    memory: u64,
    /// Whether it is frozen between invocations: not under a debugger.
    freezes: bool,
    access_key: String,
    /// Released after its process has ended.
    _files: FunctionFiles,
}

/// The outcome of an invocation.
pub struct InvocationOutcome {
    pub result: Result<Bytes, InvocationFailure>,
    /// Whether the runtime is ready for the next invocation; if not, it has ended or must be ended.
    pub reusable: bool,
}

impl Runtime {
    /// Starts a function's process and waits until it requests its first invocation.
    ///
    /// # Errors
    /// When it could not be started, exited, reported an error, or `limit` has passed.
    pub async fn start(
        host: &LambdaHost,
        spec: &EnvironmentSpec,
        log: &Arc<FunctionLog>,
        limit: Duration,
    ) -> Result<Self, InvocationFailure> {
        let deadline = Instant::now() + limit;
        let isolated = host.isolates().await;
        let root = if isolated { Path::new(TASK) } else { &spec.folder };
        if let Some((folders, merged)) = spec.layers.clone().filter(|(folders, _)| folders.len() > 1) {
            let made = tokio::task::spawn_blocking(move || packages::merge(&folders, &merged)).await;
            let failed = |error: io::Error| InvocationFailure::no_entrypoint(format!("no layers: {error}"));
            made.map_err(io::Error::other).and_then(|made| made).map_err(failed)?;
        }
        let opt = host.opt(spec).await;
        let mut command = launch(spec, root, opt.as_deref(), &host.interpreters).await?;
        let api = RuntimeApi::listen()
            .await
            .map_err(|error| InvocationFailure::no_entrypoint(format!("no port for the Runtime API: {error}")))?;
        let credentials = host.roles.issue(&spec.deployment.settings.role, &spec.id.name);
        let files = if isolated {
            FunctionFiles::isolated(host, spec, opt.as_deref(), &mut command)
        } else {
            FunctionFiles::shared(host, spec).await
        };
        let files =
            files.map_err(|error| InvocationFailure::no_entrypoint(format!("no files for the function: {error}")))?;
        // Temporary files go to a folder of the environment's own, and the code does not see files of the developer's home.
        command.env("TMPDIR", files.tmp()).env("HOME", files.tmp());
        command.envs(variables(spec, (root, opt.as_deref()), host, &credentials, log.stream(), api.address));
        let started = Process::start(&mut command, log.clone()).await;
        let process = started.map_err(|error| match files.explain(&error) {
            Some(why) => InvocationFailure::no_entrypoint(format!("no file system for the function: {why}")),
            None => not_started(&command, &error),
        })?;
        if let Some(group) = process.group() {
            api.set_owner(group);
        }
        let memory = u64::from(spec.deployment.settings.memory_size) << 20;
        let access_key = credentials.access_key_id;
        let mut runtime = Self { process, api, memory, access_key, freezes: spec.inspect.is_none(), _files: files };
        match runtime.next_event(deadline).await {
            RuntimeEvent::Reported(RuntimeReport::Ready) => Ok(runtime),
            RuntimeEvent::Reported(RuntimeReport::InitFailed(failure)) => Err(failure),
            // It answered although it had no invocation yet.
            RuntimeEvent::Reported(RuntimeReport::Answered(_)) => {
                Err(InvocationFailure::no_entrypoint("the runtime answered before it was asked"))
            }
            RuntimeEvent::Exited(failure) => Err(failure),
            RuntimeEvent::Deadline => Err(InvocationFailure::timed_out(limit)),
        }
    }

    /// Runs one invocation, until the runtime requests the next one: only then is its work for this one finished. It is then
    /// frozen until the next invocation.
    pub async fn invoke(&mut self, invocation: Invocation, timeout: Duration) -> InvocationOutcome {
        let deadline = Instant::now() + timeout;
        self.process.thaw();
        self.api.invoke(invocation);
        let mut answer = None;
        loop {
            let event = self.next_event(deadline).await;
            let failure = match event {
                RuntimeEvent::Reported(RuntimeReport::Answered(result)) => {
                    answer = Some(result);
                    continue;
                }
                RuntimeEvent::Reported(RuntimeReport::Ready) => {
                    self.rest();
                    None
                }
                RuntimeEvent::Reported(RuntimeReport::InitFailed(failure)) | RuntimeEvent::Exited(failure) => {
                    Some(failure)
                }
                RuntimeEvent::Deadline => Some(InvocationFailure::timed_out(timeout)),
            };
            self.process.flush();
            // A result stays valid even if the runtime fails afterwards.
            return match (answer, failure) {
                (Some(result), failure) => InvocationOutcome { result, reusable: failure.is_none() },
                (None, Some(failure)) => InvocationOutcome { result: Err(failure), reusable: false },
                // `next` is refused while an invocation is open, so `Ready` always follows an answer.
                (None, None) => InvocationOutcome {
                    result: Err(InvocationFailure::no_entrypoint("the runtime gave no answer")),
                    reusable: false,
                },
            };
        }
    }

    /// Freezes it until the next invocation, as on AWS.
    pub fn rest(&self) {
        if self.freezes {
            self.process.freeze();
        }
    }

    /// The id of the access key that its function calls AWS with.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    pub fn is_alive(&mut self) -> bool {
        self.process.is_alive()
    }

    /// In MB; `None` where the system does not provide it.
    pub fn peak_memory(&self) -> Option<u64> {
        self.process.peak_memory()
    }

    /// Waits for the next event. Reports that the process sent before it exited come before its exit. A process over the
    /// function's memory limit is killed, as Lambda does.
    async fn next_event(&mut self, deadline: Instant) -> RuntimeEvent {
        let mut memory_checks = tokio::time::interval_at(Instant::now() + MEMORY_CHECK_INTERVAL, MEMORY_CHECK_INTERVAL);
        loop {
            return tokio::select! {
                biased;
                Some(event) = self.api.events.recv() => RuntimeEvent::Reported(event),
                status = self.process.exit() => match self.api.events.try_recv() {
                    Ok(event) => RuntimeEvent::Reported(event),
                    Err(_) => RuntimeEvent::Exited(InvocationFailure::exited(status)),
                },
                () = sleep_until(deadline) => RuntimeEvent::Deadline,
                _ = memory_checks.tick() => {
                    if self.process.own_memory().is_some_and(|used| used > self.memory) {
                        self.process.kill();
                    }
                    continue;
                }
            };
        }
    }
}

/// Where a function's process finds its code and a folder for files.
enum FunctionFiles {
    /// In its own file system, which disappears with its last process.
    Isolated(MountPlan),
    /// In the machine's file system: a folder instead of `/tmp`, and code that is protected by file permissions.
    Shared { scratch: TempDir, _code: Protected },
}

impl FunctionFiles {
    /// A file system of its own for the process of `command`.
    fn isolated(
        host: &LambdaHost,
        spec: &EnvironmentSpec,
        opt: Option<&Path>,
        command: &mut Command,
    ) -> io::Result<Self> {
        let context = &host.context;
        let std = command.as_std_mut();
        // Interpreters and clients; the data folder contains everything else that variables refer to.
        let named = std::iter::once(std.get_program()).chain(std.get_args()).map(PathBuf::from);
        let data = std::path::absolute(context.store.folder())?;
        let is_layers = |path: &PathBuf| opt.is_some_and(|opt| path.starts_with(opt));
        let mut needed: Vec<PathBuf> = named.filter(|path| path.is_absolute() && !is_layers(path)).collect();
        needed.extend(interpreter(spec, Path::new(std.get_program())));
        needed.extend(spec.inspect.iter().filter_map(|inspect| inspect.modules.clone()));
        needed.extend([data, std::path::absolute(&context.ca_bundle)?]);
        let names = host.names();
        let (code, lambda) = (spec.folder.canonicalize()?, host.folder());
        let storage = spec.deployment.settings.ephemeral_storage;
        let merged = spec.layers.as_ref().filter(|_| opt == Some(Path::new(OPT)));
        let merged = merged.map(|(_, merged)| merged.canonicalize()).transpose()?;
        let plan =
            MountPlan::new(&Layout { code: &code, opt: merged.as_deref(), lambda: &lambda, storage, needed, names })?;
        plan.apply(std);
        Ok(Self::Isolated(plan))
    }

    async fn shared(host: &LambdaHost, spec: &EnvironmentSpec) -> io::Result<Self> {
        let (protection, folder) = (host.protection.clone(), spec.folder.clone());
        let protected = tokio::task::spawn_blocking(move || protection.protect(&folder));
        Ok(Self::Shared { scratch: host.scratch()?, _code: protected.await.map_err(io::Error::other)? })
    }

    fn tmp(&self) -> &Path {
        match self {
            Self::Isolated(_) => Path::new(TMP),
            Self::Shared { scratch, .. } => scratch.path(),
        }
    }

    /// Why the file system of a process could not be set up, if that is the reason of a start's `error`.
    fn explain(&self, error: &io::Error) -> Option<String> {
        match self {
            Self::Isolated(plan) => plan.explain(error),
            Self::Shared { .. } => None,
        }
    }
}

/// The interpreter in the `#!` line of a program that is a script of the function's: its path must be accessible, too.
fn interpreter(spec: &EnvironmentSpec, program: &Path) -> Option<PathBuf> {
    /// How much of a script's first line the kernel reads (binfmt_script).
    const MAX_LINE: u64 = 256;
    let script = program.strip_prefix(TASK).map_or_else(|_| program.to_owned(), |own| spec.folder.join(own));
    let mut head = Vec::new();
    std::fs::File::open(script).ok()?.take(MAX_LINE).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let path = std::str::from_utf8(line).ok()?.split_whitespace().next()?;
    Some(PathBuf::from(path)).filter(|path| path.is_absolute())
}

enum RuntimeEvent {
    Reported(RuntimeReport),
    Exited(InvocationFailure),
    Deadline,
}
