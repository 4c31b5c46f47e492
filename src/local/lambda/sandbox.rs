//! A file system of a function's own, as on Lambda: its code at `/var/task`, read-only, and a `/tmp` of limited size that no
//! other process sees. Linux has the means for that, mount namespaces, also for users without privileges where the system
//! lets them make a user namespace; elsewhere `probe` says why not, and functions are run without.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
use std::io;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
pub use linux::{MountPlan, probe};

/// Where a function finds its code in its own file system.
pub const TASK: &str = "/var/task";

/// Where it finds room for files.
pub const TMP: &str = "/tmp";

/// Where the names lead that APIs have on AWS: an address of loopback at which nobody listens. A connection there is refused
/// at once, rather than answered by an API of the same name on AWS, and whoever reads the refusal knows this address.
pub const REFUSING_ADDRESS: &str = "127.0.4.43";

/// What a file system is made of, beside what the machine has.
pub struct Layout<'a> {
    /// The folder with the function's code, absolute.
    pub code: &'a Path,
    /// Lambda's folder, absolute: Node.js finds its `node_modules` and `package.json` above the code.
    pub lambda: &'a Path,
    /// The size of `/tmp` in MB.
    pub storage: u32,
    /// Paths that stay what they are, even below `/tmp`.
    pub needed: Vec<PathBuf>,
    /// Host names that lead [`REFUSING_ADDRESS`].
    pub names: Vec<String>,
}

/// Whether functions can have file systems of their own: tries it. Blocks.
///
/// # Errors
/// In words, why they cannot.
#[cfg(not(target_os = "linux"))]
pub fn probe(_lambda: &Path) -> Result<(), String> {
    Err("only Linux has mount namespaces".to_owned())
}

/// The way to a file system; there is none here.
#[cfg(not(target_os = "linux"))]
pub struct MountPlan;

#[cfg(not(target_os = "linux"))]
impl MountPlan {
    /// Always fails.
    ///
    /// # Errors
    /// That this is not Linux.
    pub fn new(_layout: &Layout<'_>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn apply(&self, _command: &mut std::process::Command) {}

    pub fn explain(&self, _error: &io::Error) -> Option<String> {
        None
    }
}
