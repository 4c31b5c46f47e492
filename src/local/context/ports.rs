//! The interfaces between the local services, and between them and the router: each depends on these traits, not on the others'
//! modules.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::iam::need::Need;
use crate::local::protocol::wire::{ApiError, Protocol, Request, Response};

/// IAM, as Lambda and STS use it.
pub trait Roles: Send + Sync {
    /// Whether `service` (`lambda.amazonaws.com`) can assume the role now: the role exists, its trust policy allows it,
    /// and the propagation delay has passed.
    fn assumable(&self, role_arn: &str, service: &str) -> bool;

    /// Issues temporary credentials for a role; calls signed with them are made as that role.
    fn issue(&self, role_arn: &str, session_name: &str) -> Credentials;

    /// Whether an access key was issued by [`Roles::issue`].
    fn has_issued(&self, access_key_id: &str) -> bool;

    /// The secret of an access key that was issued by [`Roles::issue`].
    fn secret(&self, _access_key_id: &str) -> Option<String> {
        None
    }

    /// The token that a caller must send with an access key that was issued by [`Roles::issue`].
    fn session_token(&self, _access_key_id: &str) -> Option<String> {
        None
    }

    /// Who calls with an access key.
    fn principal(&self, _access_key_id: Option<&str>) -> Principal {
        Principal::default()
    }

    /// The first of `needs` that the policies of a role do not allow in a region, where they are checked at all
    /// (`strict.iam`): for calls that AWS makes as that role.
    fn refused<'a>(&self, _role_arn: &str, _region: &str, _needs: &'a [Need]) -> Option<&'a Need> {
        None
    }
}

/// An IAM without roles.
#[cfg(test)]
pub struct NoRoles;

#[cfg(test)]
impl Roles for NoRoles {
    fn assumable(&self, _role_arn: &str, _service: &str) -> bool {
        false
    }

    fn issue(&self, _role_arn: &str, _session_name: &str) -> Credentials {
        unreachable!("there is no role to assume")
    }

    fn has_issued(&self, _access_key_id: &str) -> bool {
        false
    }
}

/// Who calls, as IAM names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Principal {
    /// Of a user `arn:aws:iam::ACCOUNT:user/NAME`, of a role's session `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub arn: String,
    /// The unique id, as AWS shows it to others: of a user `AIDA...`, of a role's session `AROA...:SESSION`.
    pub user_id: String,
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

/// The services of this cloud, whichever there are, as one that calls others for its users sees them: a request goes the way of all
/// requests, with checks of its caller, conditions and call log.
#[async_trait]
pub trait Services: Send + Sync {
    /// The protocol of a service, by the name that requests are signed for, and what stands before an operation's name in its
    /// `X-Amz-Target`; `None` where there is no such service.
    fn protocol(&self, service: &str) -> Option<(Protocol, Option<&'static str>)>;

    /// The names of all.
    fn names(&self) -> Vec<String>;

    /// The host and port of the cloud, as the URLs of its resources have them.
    fn authority(&self) -> String;

    /// Answers a request, by the service that it is signed for.
    async fn answer(&self, request: Request) -> Response;
}

/// The callers of this cloud, as the gateway checks clients that sign their handshakes.
pub trait Callers: Send + Sync {
    /// The secret of an access key: the data folder's, or one that was issued for a role.
    fn secret(&self, access_key_id: &str) -> Option<String>;

    /// The token that a caller must send with an access key that was issued for a role.
    fn session_token(&self, _access_key_id: &str) -> Option<String> {
        None
    }

    /// Whether callers with any key are admitted (`--open`).
    fn admits_all(&self) -> bool;

    /// Who calls with an access key.
    fn principal(&self, _access_key_id: Option<&str>) -> Principal {
        Principal::default()
    }

    /// Decides on a client that needs all of `needs`, where policies are checked at all (`strict.iam`).
    ///
    /// # Errors
    /// The refusal.
    fn authorize(&self, request: &Request, needs: &[Need]) -> Result<(), ApiError>;
}

/// Cloud Control's records.
pub trait Records: Send + Sync {
    /// The resources of a type (`ApiGateway::ApiKey`) in a region: identifier and properties.
    fn of_type(&self, region: &str, type_name: &str) -> Vec<(String, Value)>;

    /// The region of a resource of a type; `None` where there is none.
    fn region_of(&self, _type_name: &str, _identifier: &str) -> Option<String> {
        None
    }
}

/// CloudWatch Logs, as Lambda delivers to it.
pub trait LogSink: Send + Sync {
    /// Appends to a stream, and creates the group and the stream where they are missing (as Lambda's own delivery does).
    fn append(&self, region: &str, group: &str, stream: &str, events: Vec<LogEvent>) {
        self.append_if(region, group, stream, events, &|| true);
    }

    /// The same, where a group that is missing is created only if `may_create`, which is asked while no group can come or go.
    fn append_if(&self, region: &str, group: &str, stream: &str, events: Vec<LogEvent>, may_create: &dyn Fn() -> bool);

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

/// Reads the templates that CloudFormation gets. The deployer's own reader does it: YAML and what SAM makes of a template are one thing
/// wherever they are read, and this cloud does not look into them.
pub trait TemplateReader: Send + Sync {
    /// Reads a template's text. SAM's transform looks at the values of `parameters`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    fn read(&self, text: &str, region: &str, parameters: &BTreeMap<String, String>) -> Result<ReadTemplate, String>;
}

/// A template that was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadTemplate {
    /// As written, with every function in its long form.
    pub written: Value,
    /// After its transforms.
    pub processed: Value,
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

    /// Invokes a function asynchronously, as services do that do not wait for it.
    ///
    /// # Errors
    /// The error of the `Invoke` API.
    fn send_event(&self, function_arn: &str, payload: Bytes) -> Result<(), ApiError>;

    fn exists(&self, function_arn: &str) -> bool;

    /// Whether the function's resource policy lets `service` (`apigateway.amazonaws.com`) invoke it for `source_arn`.
    fn permits(&self, function_arn: &str, service: &str, source_arn: &str) -> bool;
}

/// A service whose events Lambda polls for on behalf of event source mappings: queues, streams.
#[async_trait]
pub trait EventSource: Send + Sync {
    /// The service in the ARNs of its sources: `sqs`.
    fn service(&self) -> &'static str;

    /// Whether its events are in order, so that a batch that fails holds up the rest of its shard, and what is done is
    /// remembered by its position; of others, what is done is deleted, and the rest comes again.
    fn is_ordered(&self) -> bool;

    /// The IAM actions on a source that a function's role must allow.
    fn actions(&self) -> &'static [&'static str];

    /// Looks at a source for a new mapping to a function with a timeout in seconds.
    ///
    /// # Errors
    /// The message with which Lambda refuses the mapping.
    fn check(&self, arn: &str, function_timeout: u32) -> Result<(), String>;

    /// The parts of a source that are read one beside the other: the shards of a stream. A queue has one, without a name.
    ///
    /// # Errors
    /// When the source is gone.
    async fn shards(&self, _arn: &str) -> Result<Vec<String>, ApiError> {
        Ok(vec![String::new()])
    }

    /// Up to `most` events of a shard that follow a position, as soon as there are some, and none after `wait`. It can be
    /// dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// When the source is gone.
    async fn receive(
        &self,
        arn: &str,
        shard: &str,
        after: &Position,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<SourceEvent>, ApiError>;

    /// Deletes what a function has handled, where the source is not ordered.
    async fn delete(&self, _arn: &str, _events: &[SourceEvent]) {}
}

/// A position in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// The oldest event that is kept.
    Oldest,
    /// What comes from now on.
    Newest,
    /// What came since, in milliseconds since the epoch.
    Since(i64),
    /// After the event with this id.
    After(String),
}

/// An event that Lambda polled for.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceEvent {
    /// What a function calls it in `batchItemFailures`: the id of a message, a sequence number.
    pub id: String,
    /// What deletes it: a receipt handle. Empty where the source is ordered.
    pub handle: String,
    /// When it came, in milliseconds since the epoch.
    pub at: i64,
    /// As functions get it in `Records`.
    pub event: Value,
}

/// A service that takes what others deliver: queues and topics, for dead letters, destinations and subscriptions.
#[async_trait]
pub trait DeliveryTarget: Send + Sync {
    /// The service in the ARNs of its targets: `sqs`.
    fn service(&self) -> &'static str;

    /// Delivers a message.
    ///
    /// # Errors
    /// The service's refusal.
    async fn deliver(&self, arn: &str, message: Delivery) -> Result<(), ApiError>;
}

/// A message for a [`DeliveryTarget`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    pub body: String,
    /// Attributes of the message: name, type (`String`, `Number`, `Binary`), value (base64 where it is binary).
    pub attributes: Vec<(String, String, String)>,
    /// Of a target that keeps messages in order.
    pub group: Option<String>,
    pub deduplication: Option<String>,
    /// The subject of what a topic publishes.
    pub subject: Option<String>,
    /// The service that delivers and the resource that it delivers for, where the target's policy must allow it.
    pub by: Option<(&'static str, String)>,
}

impl Delivery {
    /// The principal of the service that delivers, and what the policy of the target `arn` must allow it.
    pub fn need(&self, action: &str, arn: &str) -> Option<(&'static str, Need)> {
        let (principal, source) = self.by.as_ref()?;
        let need = Need::new(action, arn)
            .with("aws:SourceArn", source)
            .with("aws:SourceAccount", super::ACCOUNT)
            .with("aws:PrincipalIsAWSService", "true")
            .with("aws:PrincipalServiceName", *principal);
        Some((principal, need))
    }
}

/// A service whose resources are seen through Cloud Control, too.
pub trait ControlledResources: Send + Sync {
    /// The types, `AWS::SQS::Queue`.
    fn types(&self) -> &'static [&'static str];

    /// Creates a resource with these properties, and gives its identifier.
    ///
    /// # Errors
    /// The service's refusal.
    fn create(&self, region: &str, type_name: &str, properties: &Value) -> Result<String, ApiError>;

    /// All properties of a resource.
    fn read(&self, region: &str, type_name: &str, identifier: &str) -> Option<Value>;

    /// Gives a resource these properties, all of them.
    ///
    /// # Errors
    /// The service's refusal.
    fn update(&self, region: &str, type_name: &str, identifier: &str, properties: &Value) -> Result<(), ApiError>;

    /// Deletes a resource that is there.
    ///
    /// # Errors
    /// The service's refusal.
    fn delete(&self, region: &str, type_name: &str, identifier: &str) -> Result<(), ApiError>;

    /// The identifiers of all resources of a type.
    fn list(&self, region: &str, type_name: &str) -> Vec<String>;
}

/// A service whose resources carry tags, as the Resource Groups Tagging API uses it.
pub trait TaggedResources: Send + Sync {
    /// The resources of a region with their tags. May block on SQLite.
    ///
    /// # Errors
    /// A state that cannot be read.
    fn tagged(&self, region: &str) -> Result<Vec<Tagged>, ApiError>;

    /// Sets and removes tags of a resource; `false` where the ARN is none of this service's.
    ///
    /// # Errors
    /// The service's own refusal.
    fn retag(&self, _arn: &str, _set: &BTreeMap<String, String>, _removed: &[String]) -> Result<bool, ApiError> {
        Ok(false)
    }
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
    /// The last versions of its value, the last one last.
    pub values: Vec<KeptValue>,
    /// How many versions there were before those.
    pub dropped: usize,
}

impl KeptRecord {
    /// The number of the last version of its value.
    pub fn version(&self) -> usize {
        self.dropped + self.values.len()
    }
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

/// EventBridge, as services use it that publish events of their own.
pub trait EventBus: Send + Sync {
    /// Publishes an event, which is whole, on a region's default bus.
    fn publish_event(&self, region: &str, event: &Value);
}

/// S3, as Lambda uses it.
pub trait ObjectStore: Send + Sync {
    /// The content of an object that has at most `most` bytes. May block on the disk.
    ///
    /// # Errors
    /// S3's refusal.
    fn read(&self, bucket: &str, key: &str, most: u64) -> Result<Vec<u8>, ApiError>;

    /// The host names that the buckets have on AWS.
    fn hosts(&self) -> Vec<String>;
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

/// The tags in CloudFormation's properties of a resource: a list of `Key` and `Value`.
pub fn tags_of(properties: &Value) -> BTreeMap<String, String> {
    let tags = properties["Tags"].as_array().into_iter().flatten();
    let pair =
        |tag: &Value| Some((tag["Key"].as_str()?.to_owned(), tag["Value"].as_str().unwrap_or_default().to_owned()));
    tags.filter_map(pair).collect()
}
