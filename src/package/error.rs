//! What goes wrong between code and zip.

use std::fmt;

/// Why a function's code is not ready: what was being done, for which functions, why it failed, what to do.
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
    /// What the compiler, npm or pip said, to be shown before everything else.
    pub compiler: Option<String>,
    /// Whether the code is there and cannot run where it is to run, so that another backend may help.
    pub(super) unfit: bool,
}

impl PackageError {
    pub(super) fn new(doing: &'static str, why: impl fmt::Display) -> Self {
        Self { doing, functions: Vec::new(), why: why.to_string(), help: None, compiler: None, unfit: false }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn of(mut self, functions: impl IntoIterator<Item = impl Into<String>>) -> Self {
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
