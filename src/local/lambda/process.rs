//! A function's process: in its own process group, so that its children end with it, and with its output in the
//! function's log.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::task::AbortHandle;

use super::function_log::FunctionLog;
use crate::local::lock::lock;

/// The longest log event, in bytes (CloudWatch Logs quotas); longer lines are cut into several.
const MAX_LINE: usize = 1024 * 1024;

/// A running process. Dropped, it is killed with its whole group.
pub struct Process {
    child: Child,
    group: Option<Pid>,
    output: Arc<Output>,
    pump: AbortHandle,
}

impl Process {
    /// Starts `command` with its output going to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(command: &mut Command, log: Arc<FunctionLog>) -> io::Result<Self> {
        // One pipe for stdout and stderr, so that the log has lines in the order in which they were written.
        let (reader, writer) = io::pipe()?;
        // Makes the pipe non-blocking for the reader, too: both refer to one open file.
        let watched = pipe::Receiver::from_owned_fd(OwnedFd::from(reader.try_clone()?))?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0).kill_on_drop(true);
        die_with_parent(command);
        lower_priority(command);
        let child = spawn(command).await?;
        // The command holds the pipe's writing end; while that is open, the reader would never see the end of the output.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let group = child.id().and_then(|id| Pid::from_raw(id as i32));
        let output = Arc::new(Output { pipe: reader, line: Mutex::default(), log });
        let pump = tokio::spawn(pump(watched, output.clone())).abort_handle();
        Ok(Self { child, group, output, pump })
    }

    /// Waits until the process exits. Cancel safe.
    pub async fn exit(&mut self) -> ExitStatus {
        // `wait` fails only for processes that are not our children.
        self.child.wait().await.unwrap_or_default()
    }

    /// Stops the process group: unfinished background work continues after `thaw`, as on AWS (Lambda developer guide,
    /// runtime environment: an environment is frozen between invocations).
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Continues the process group.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It fails where the whole group has ended, which `exit` reports.
            let _ = kill_process_group(group, signal);
        }
    }

    /// The id of its process group, which is its own pid.
    pub fn group(&self) -> Option<u32> {
        self.group.and_then(|group| group.as_raw_nonzero().get().try_into().ok())
    }

    /// Whether it still runs, frozen or not.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Logs all output so far, including an unfinished line.
    pub fn flush(&self) {
        // Read directly, not through the reactor: output from before an answer must be logged even where the reactor has
        // not been notified of it yet.
        self.output.drain(|buffer| (&self.output.pipe).read(buffer));
        self.output.flush();
    }

    /// Its peak memory so far, in MB; `None` where the system does not provide it.
    pub fn peak_memory(&self) -> Option<u64> {
        Some(self.kilobytes("VmHWM:")?.div_ceil(1024))
    }

    /// Its private memory, without what it shares with other processes of the same program, in bytes; `None` where the
    /// system does not provide it.
    pub fn own_memory(&self) -> Option<u64> {
        Some(self.kilobytes("RssAnon:")? * 1024)
    }

    fn kilobytes(&self, name: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().strip_suffix("kB")?.trim().parse().ok()
    }

    /// Kills the process group.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        self.flush();
        self.pump.abort();
    }
}

/// Has the system kill the process when this one ends for any reason: a frozen process would never end. The signal is sent
/// when the thread that started it ends; this is a thread of the tokio runtime, which lives as long as the process.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "between fork and exec nothing is done but this one system call")]
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let arrange = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may already have ended.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    };
    // SAFETY: the closure allocates nothing, takes no lock, and calls only what is safe after a fork.
    unsafe { command.pre_exec(arrange) };
}

/// Lowers the priority of the process below that of the cloud itself: many busy functions must not keep the cloud from
/// answering, or an `up` from its work.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "between fork and exec nothing is done but this one system call")]
fn lower_priority(command: &mut Command) {
    /// Added to the cloud's own niceness; the largest is 19. With 10, an `up` beside 20 busy functions is a little quicker
    /// still, but beside a compiler functions get only a third of the time that they get with 5 (the kernel's weights: 110
    /// and 335, where 1,024 is the compiler's).
    const NICENESS: i32 = 5;
    let renice = || {
        // Without the lower priority it runs all the same.
        let _ = rustix::process::nice(NICENESS);
        Ok(())
    };
    // SAFETY: it is one system call.
    unsafe { command.pre_exec(renice) };
}

#[cfg(not(target_os = "linux"))]
fn lower_priority(_command: &mut Command) {}

/// On other systems the next server kills such processes.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}

/// Starts a process whose executable was written just now. While another thread is between fork and exec, its child still
/// has that file open for writing and the kernel returns "text file busy".
async fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..50 {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            started => return started,
        }
    }
    command.spawn()
}

struct Output {
    pipe: io::PipeReader,
    /// The unfinished line.
    line: Mutex<Vec<u8>>,
    log: Arc<FunctionLog>,
}

/// Logs output as it arrives, until the pipe is closed.
async fn pump(watched: pipe::Receiver, output: Arc<Output>) {
    while watched.readable().await.is_ok() {
        if !output.drain(|buffer| watched.try_read(buffer)) {
            return;
        }
    }
}

impl Output {
    /// Reads the available output without waiting, and logs its complete lines. Reads at most `MAX_LINE` bytes, so that
    /// a process that never stops writing does not block the caller. Returns whether more output can follow.
    fn drain(&self, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> bool {
        let mut line = lock(&self.line);
        let mut chunk = [0; 16 * 1024];
        let mut open = true;
        let mut total = 0;
        while total < MAX_LINE {
            match read(&mut chunk) {
                Ok(0) => {
                    open = false;
                    break;
                }
                Ok(length) => {
                    total += length;
                    line.extend_from_slice(&chunk[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    open = false;
                    break;
                }
            }
        }
        let mut lines = Vec::new();
        if let Some(last) = line.iter().rposition(|byte| *byte == b'\n') {
            let rest = line.split_off(last + 1);
            let full = std::mem::replace(&mut *line, rest);
            lines.extend(full[..last].split(|byte| *byte == b'\n').map(text));
        }
        while line.len() > MAX_LINE {
            lines.push(text(&line[..MAX_LINE]));
            line.drain(..MAX_LINE);
        }
        if !open && !line.is_empty() {
            lines.push(text(&std::mem::take(&mut *line)));
        }
        if !lines.is_empty() {
            self.log.write(lines);
        }
        open
    }

    fn flush(&self) {
        let mut line = lock(&self.line);
        if !line.is_empty() {
            self.log.write(vec![text(&std::mem::take(&mut *line))]);
        }
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}
