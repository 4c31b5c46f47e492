//! Processes of functions that outlived their server: a server that is killed cannot end them.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::launch::OWNER_VARIABLE;

/// Kills every process that runs code of Lambda's folder, recognized by its environment, which child processes inherit. Must
/// be called with the folder's lock held and before functions are started. Does nothing where the system has no `/proc`.
pub fn kill(folder: &Path) {
    let mark = format!("{OWNER_VARIABLE}={}", folder.display()).into_bytes();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        // The environment of other users' processes cannot be read.
        let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark) {
            tracing::warn!("killing process {} of a function, which outlived its server", pid.as_raw_nonzero());
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::thread;

    use super::*;

    #[test]
    fn only_processes_with_code_of_the_folder_are_killed() {
        let folder = tempfile::tempdir().unwrap();
        let of = |folder: &Path| {
            let child = Command::new("sleep").arg("600").env(OWNER_VARIABLE, folder).spawn().unwrap();
            // `spawn` returns a moment before the system shows the environment of the new program.
            let environment = format!("/proc/{}/environ", child.id());
            let mark = format!("{OWNER_VARIABLE}={}\0", folder.display());
            while !String::from_utf8_lossy(&fs::read(&environment).unwrap()).contains(&mark) {
                thread::yield_now();
            }
            child
        };
        let (mut ours, mut others) = (of(folder.path()), of(&folder.path().join("another")));
        kill(folder.path());
        assert_eq!(ours.wait().unwrap().signal(), Some(9));
        assert!(others.try_wait().unwrap().is_none());
        others.kill().unwrap();
        others.wait().unwrap();
    }
}
