//! What the local services ask of each other.

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;

use super::wire::ApiError;

/// IAM, as Lambda and STS ask it.
pub trait Roles: Send + Sync {
    /// Whether `service` (`lambda.amazonaws.com`) may assume the role by now: it exists, its trust policy says so,
    /// and the news has spread.
    fn assumable(&self, role_arn: &str, service: &str) -> bool;

    /// Temporary credentials for a role; calls signed with them are that role's.
    fn issue(&self, role_arn: &str, session_name: &str) -> Credentials;

    /// Whether an access key is one of those.
    fn has_issued(&self, access_key_id: &str) -> bool;
}

/// Temporary credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
}

/// CloudWatch Logs, as Lambda delivers to it.
pub trait LogSink: Send + Sync {
    /// Appends to a stream, making the group and the stream where they are missing (as Lambda's own delivery does).
    fn append(&self, region: &str, group: &str, stream: &str, events: Vec<LogEvent>);

    /// Whether a group is there.
    fn has_group(&self, region: &str, group: &str) -> bool;
}

/// Who has what Lambda's managed runtimes bring beside the language.
#[async_trait]
pub trait SdkInstaller: Send + Sync {
    /// Makes sure that code in the folder `code` finds what it uses of the runtime's SDK.
    ///
    /// # Errors
    /// In words, why it does not.
    async fn install(&self, runtime: &str, code: &Path) -> Result<(), String>;
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    pub message: String,
}

/// Lambda, as API Gateway asks it.
#[async_trait]
pub trait Functions: Send + Sync {
    /// Invokes a function and waits for its answer.
    ///
    /// # Errors
    /// What the `Invoke` API would refuse with: no such function, not yet active, throttled.
    async fn invoke(&self, function_arn: &str, payload: Bytes) -> Result<Invoked, ApiError>;

    fn exists(&self, function_arn: &str) -> bool;

    /// Whether the function's resource policy lets `service` (`apigateway.amazonaws.com`) invoke it for `source_arn`.
    fn permits(&self, function_arn: &str, service: &str, source_arn: &str) -> bool;
}

/// API Gateway, as Lambda asks it.
pub trait Apis: Send + Sync {
    /// The ids of all APIs, each with its region.
    fn apis(&self) -> Vec<(String, String)>;
}

/// What came of an invocation that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoked {
    /// What the handler returned, or the error document if it failed.
    pub payload: Bytes,
    /// `Unhandled` where the handler, its start or its time ran out.
    pub function_error: Option<&'static str>,
    /// The last 4 KB of what it logged.
    pub log_tail: String,
    pub version: String,
}
