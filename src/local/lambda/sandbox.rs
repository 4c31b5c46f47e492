//! A function's own file system, as on Lambda: its code at `/var/task`, read-only, and a private `/tmp` of limited size. It
//! uses mount namespaces of Linux, which unprivileged users can create where the system permits user namespaces. Elsewhere
//! `probe` returns the reason why not, and functions run without it.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
use std::io;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
pub use linux::{MountPlan, probe};

/// The code's folder in a function's own file system.
pub const TASK: &str = "/var/task";

/// The folder of the layers in it.
pub const OPT: &str = "/opt";

/// The folder for temporary files in it.
pub const TMP: &str = "/tmp";

/// The address of the APIs' AWS host names inside a function's file system: a loopback address without a server. A connection
/// is refused at once, instead of reaching an API of the same name on AWS, and the address identifies the refusal in logs.
pub const REFUSING_ADDRESS: &str = "127.0.4.43";

/// How a function's file system differs from the machine's.
pub struct Layout<'a> {
    /// The folder with the function's code, absolute.
    pub code: &'a Path,
    /// The folder that is to be at [`OPT`], absolute; `None` leaves the machine's there.
    pub opt: Option<&'a Path>,
    /// Lambda's folder, absolute: Node.js finds its `node_modules` and `package.json` above the code.
    pub lambda: &'a Path,
    /// The size of `/tmp` in MB.
    pub storage: u32,
    /// Paths of the machine's that stay accessible, even below `/tmp`.
    pub needed: Vec<PathBuf>,
    /// Host names that resolve to [`REFUSING_ADDRESS`].
    pub names: Vec<String>,
}

/// Tests whether functions can have their own file systems. Blocks.
///
/// # Errors
/// The reason why they cannot.
#[cfg(not(target_os = "linux"))]
pub fn probe(_lambda: &Path) -> Result<(), String> {
    Err("only Linux has mount namespaces".to_owned())
}

/// The steps to a function's file system; not available on this system.
#[cfg(not(target_os = "linux"))]
pub struct MountPlan;

#[cfg(not(target_os = "linux"))]
impl MountPlan {
    /// Always fails.
    ///
    /// # Errors
    /// Always: this is not Linux.
    pub fn new(_layout: &Layout<'_>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn apply(&self, _command: &mut std::process::Command) {}

    pub fn explain(&self, _error: &io::Error) -> Option<String> {
        None
    }
}
