//! The error of packaging.

use std::fmt;
use std::path::Path;

/// Packaging failed: what was being done, for which functions, why it failed, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageError {
    /// Fits "cannot ...": `compile the code`.
    pub doing: &'static str,
    /// Logical ids.
    pub functions: Vec<String>,
    /// One sentence without its full stop.
    pub why: String,
    /// What to do, a line each.
    pub help: Option<String>,
    /// The output of the compiler, npm or pip, to be shown before everything else.
    pub compiler: Option<String>,
    pub(super) kind: PackageErrorKind,
}

/// What sort of error it is, as far as something else may help then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum PackageErrorKind {
    #[default]
    Failed,
    /// The tool cannot be started.
    NotStarted,
    /// The code was built but cannot run on its platform: another backend may help.
    Incompatible,
}

impl PackageError {
    /// An error of what was being done, and why it failed.
    pub fn new(doing: &'static str, why: impl fmt::Display) -> Self {
        let kind = PackageErrorKind::default();
        Self { doing, functions: Vec::new(), why: why.to_string(), help: None, compiler: None, kind }
    }

    /// The same, with what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same error of a tool that ran, with the file whose dependencies it installs.
    pub(super) fn failed_for(mut self, file: &Path) -> Self {
        if self.compiler.is_some() {
            self.why.push_str(&format!(" for {}", file.display()));
        }
        self
    }

    /// The same, of these functions and layers.
    pub fn of(mut self, functions: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.functions = functions.into_iter().map(Into::into).collect();
        self
    }
}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.doing)?;
        if !self.functions.is_empty() {
            write!(f, " of {}", self.functions.join(", "))?;
        }
        write!(f, ": {}", self.why)
    }
}

impl std::error::Error for PackageError {}
