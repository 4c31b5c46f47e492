//! The interfaces between the local services, and between them and the router: each depends on these traits, not on the others'
//! modules.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::iam::need::Need;
use crate::local::protocol::wire::{ApiError, Request};

/// IAM, as Lambda and STS use it.
pub trait Roles: Send + Sync {
    /// Whether `service` (`lambda.amazonaws.com`) can assume the role now: the role exists, its trust policy allows it,
    /// and the propagation delay has passed.
    fn assumable(&self, role_arn: &str, service: &str) -> bool;

    /// Issues temporary credentials for a role; calls signed with them are made as that role.
    fn issue(&self, role_arn: &str, session_name: &str) -> Credentials;

    /// Whether an access key was issued by [`Roles::issue`].
    fn has_issued(&self, access_key_id: &str) -> bool;
}

/// Temporary credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
}

/// IAM, as the router uses it. The row of an operation says what permissions it needs (`protocol::service::Permissions`).
pub trait Authorizer: Send + Sync {
    /// Decides on a call to `service` that needs all of `needs`.
    ///
    /// # Errors
    /// The service's refusal.
    fn authorize(&self, service: &str, request: &Request, needs: &[Need]) -> Result<(), ApiError>;
}

/// CloudWatch Logs, as Lambda delivers to it.
pub trait LogSink: Send + Sync {
    /// Appends to a stream, and creates the group and the stream where they are missing (as Lambda's own delivery does).
    fn append(&self, region: &str, group: &str, stream: &str, events: Vec<LogEvent>);

    /// Appends a line to the log of the gateway, which is no group of the account's.
    fn log_gateway(&self, _region: &str, _stream: &str, _line: String) {}

    /// Whether a log group exists.
    fn has_group(&self, region: &str, group: &str) -> bool;
}

/// Installs the AWS SDK that Lambda's managed runtimes include.
#[async_trait]
pub trait SdkInstaller: Send + Sync {
    /// Installs what the code in the folder `code` uses of the SDK of `runtime`, where it is not installed yet.
    ///
    /// # Errors
    /// The reason why it could not be installed, for the function's log.
    async fn install(&self, runtime: &str, code: &Path) -> Result<(), String>;
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    pub message: String,
}

/// Lambda, as API Gateway uses it.
#[async_trait]
pub trait Functions: Send + Sync {
    /// Invokes a function, and waits for its answer. `invocation_id` is the request id that the invocation gets;
    /// `gateway_request` is the id of the gateway's request that it is for, for the recorder.
    ///
    /// # Errors
    /// The error of the `Invoke` API: no such function, not yet active, throttled.
    async fn invoke(
        &self,
        function_arn: &str,
        invocation_id: &str,
        payload: Bytes,
        gateway_request: &str,
    ) -> Result<Invoked, ApiError>;

    fn exists(&self, function_arn: &str) -> bool;

    /// Whether the function's resource policy lets `service` (`apigateway.amazonaws.com`) invoke it for `source_arn`.
    fn permits(&self, function_arn: &str, service: &str, source_arn: &str) -> bool;
}

/// A service whose resources carry tags, as the Resource Groups Tagging API uses it.
pub trait TaggedResources: Send + Sync {
    /// The resources of a region with their tags. May block on SQLite.
    ///
    /// # Errors
    /// A state that cannot be read.
    fn tagged(&self, region: &str) -> Result<Vec<Tagged>, ApiError>;
}

/// A resource and its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// `lambda:function`.
    pub type_name: String,
    pub arn: String,
    pub tags: BTreeMap<String, String>,
}

/// Cloud Control's records of resources that keep a value, as the services use them that give the values out.
pub trait KeptValues: Send + Sync {
    /// Those of a type in a region.
    fn all(&self, region: &str, type_name: &str) -> Vec<KeptRecord>;

    /// Changes the properties of one, or makes one where `identifier` names none, and adds a version of its value.
    ///
    /// # Errors
    /// A state that cannot be saved.
    fn put(
        &self,
        region: &str,
        type_name: &str,
        identifier: Option<&str>,
        model: Value,
        value: Option<String>,
    ) -> Result<KeptRecord, ApiError>;

    /// Deletes one, at once.
    ///
    /// # Errors
    /// A state that cannot be saved.
    fn remove(&self, region: &str, type_name: &str, identifier: &str) -> Result<(), ApiError>;
}

/// The types of resources that keep a value.
pub const PARAMETERS: &str = "AWS::SSM::Parameter";
pub const SECRETS: &str = "AWS::SecretsManager::Secret";

/// A resource that keeps a value.
#[derive(Debug, Clone)]
pub struct KeptRecord {
    pub identifier: String,
    /// Its properties.
    pub model: Value,
    /// The versions of its value, the last one last.
    pub values: Vec<KeptValue>,
}

/// A version of a value.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeptValue {
    pub id: String,
    /// Milliseconds since the epoch.
    pub at: i64,
    pub text: String,
}

impl fmt::Debug for KeptValue {
    /// Without the text, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptValue").field("id", &self.id).field("at", &self.at).finish_non_exhaustive()
    }
}

/// API Gateway, as Lambda uses it.
pub trait Apis: Send + Sync {
    /// The ids of all APIs, each with its region.
    fn apis(&self) -> Vec<(String, String)>;
}

/// The result of an invocation that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoked {
    /// What the handler returned, or the error document if it failed.
    pub payload: Bytes,
    /// `Unhandled` where the handler failed, did not start or timed out.
    pub function_error: Option<&'static str>,
    /// The last 4 KB of what it logged.
    pub log_tail: String,
    pub version: String,
}
