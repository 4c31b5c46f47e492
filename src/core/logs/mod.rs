//! What the log of a Lambda function says: the handler's output, failures with their reason, and the platform's own lines, from
//! the messages that CloudWatch Logs has of it.
//!
//! ```text
//! message --platform--> START, END, REPORT, ...          --+
//!         --runtime --> Node.js, Python, Rust; text, JSON --+-> Reader --> Item
//!                          stack --> frame (own paths)      |   (one failure is logged up to three times)
//!                          reason -> advice               --+
//! access log, local gateway's log --gateway--> Invocation, Refusal
//! ```

mod advice;
mod frame;
pub mod gateway;
mod platform;
mod reader;
mod runtime;
#[cfg(test)]
mod tests;

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;

pub use frame::StackFrame;
pub use platform::{Platform, Report};
pub use reader::Reader;

/// What is known of a function whose log is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Function {
    /// The logical id; the physical name where there is none.
    pub name: String,
    /// The folder of its code as the user names it (`connect`); empty where it is the current folder or not known.
    pub folder: String,
    pub runtime: String,
    pub handler: String,
    /// In seconds.
    pub timeout: Option<u32>,
    /// In MB.
    pub memory: Option<u32>,
    /// The logical id of the role that it runs as.
    pub role: Option<String>,
}

/// What a log message is.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// What the handler printed or logged.
    Output(Output),
    /// Why an invocation failed.
    Failure(Failure),
    /// A line of Lambda's own.
    Platform(Platform),
}

/// What a handler printed or logged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// `None` where the line has no level.
    pub level: Option<Level>,
    /// Without the prefix that the runtime adds.
    pub text: String,
    pub request_id: Option<String>,
    /// What to do about it, where it says that a permission is missing.
    pub help: Option<String>,
}

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

/// Why an invocation failed, or a function did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// As the runtime or Lambda names it: `TypeError`, `Runtime.ImportModuleError`.
    pub error_type: String,
    /// One or more lines.
    pub message: String,
    /// The innermost frame first; only frames of the user's own code, where there are any.
    pub stack: Vec<StackFrame>,
    pub request_id: Option<String>,
    /// What to do, in one sentence.
    pub help: String,
}

impl Failure {
    /// Says that an API waited for the function.
    pub fn behind_gateway(&mut self) {
        if self.kind == FailureKind::Timeout {
            self.help.push_str(advice::GATEWAY_LIMIT);
        }
    }
}

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A call to AWS was refused: the role lacks a permission.
    AccessDenied,
    Timeout,
    OutOfMemory,
    /// A module or package cannot be imported.
    MissingModule,
    SyntaxError,
    /// The handler's file does not export it.
    HandlerNotFound,
    /// There is nothing to start.
    NoEntrypoint,
    /// The handler threw, or returned an error.
    Exception,
    /// A promise was rejected, and no code handles that.
    UnhandledRejection,
    /// The process ended during an invocation.
    Exit,
    /// A Rust panic.
    Panic,
    /// What the handler returned cannot be sent.
    Response,
    /// API Gateway did not invoke the function, or refused the message.
    Gateway,
}

impl FailureKind {
    /// As people call it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::AccessDenied => "missing permission",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out of memory",
            Self::MissingModule => "missing module",
            Self::SyntaxError => "syntax error",
            Self::HandlerNotFound => "handler not found",
            Self::NoEntrypoint => "no entry point",
            Self::Exception => "uncaught exception",
            Self::UnhandledRejection => "unhandled rejection",
            Self::Exit => "process exit",
            Self::Panic => "panic",
            Self::Response => "invalid response",
            Self::Gateway => "gateway",
        }
    }
}

impl Level {
    /// From any spelling: `WARN`, `warning`, `CRITICAL`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().as_str() {
            "TRACE" => Self::Trace,
            "DEBUG" => Self::Debug,
            "INFO" | "NOTICE" => Self::Info,
            "WARN" | "WARNING" => Self::Warn,
            "ERROR" => Self::Error,
            "FATAL" | "CRITICAL" => Self::Fatal,
            _ => return None,
        })
    }

    /// `WARN`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

impl Item {
    /// The invocation that it belongs to.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Output(output) => output.request_id.as_deref(),
            Self::Failure(failure) => failure.request_id.as_deref(),
            Self::Platform(platform) => platform.request_id(),
        }
    }

    /// Whether it is a failure, or output at the level of errors.
    pub fn is_error(&self) -> bool {
        match self {
            Self::Output(output) => output.level >= Some(Level::Error),
            Self::Failure(_) => true,
            Self::Platform(_) => false,
        }
    }
}
