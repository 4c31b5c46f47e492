//! The clients, and whom they speak for.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::retry::RetryConfig;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::sync::SetOnce;

use super::call::{Call, Record};
use super::error::{CallError, Meaning};
use super::pace::Pace;
use super::propagation::Propagation;
use crate::stack::Scope;

/// Where to deploy to.
#[derive(Debug, Clone, Default)]
pub struct Target {
    pub region: Option<String>,
    pub profile: Option<String>,
    /// Another endpoint than AWS's, for all services.
    pub endpoint_url: Option<String>,
    /// The endpoint is the local cloud: it needs no real credentials and no configured region.
    pub local: bool,
}

/// AWS, or what speaks its protocols, on behalf of one stack.
pub struct Aws {
    /// Without account and partition, until STS has said who calls.
    anonymous: Scope,
    identity: SetOnce<Identity>,
    sts: aws_sdk_sts::Client,
    /// Where calls go, for messages.
    endpoint: String,
    pub apigateway: aws_sdk_apigatewayv2::Client,
    pub cloudformation: aws_sdk_cloudformation::Client,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub iam: aws_sdk_iam::Client,
    pub lambda: aws_sdk_lambda::Client,
    pub logs: aws_sdk_cloudwatchlogs::Client,
    pub propagation: Propagation,
    pub(super) pace: Pace,
    records: Mutex<Vec<Record>>,
}

/// Who calls, as STS says.
#[derive(Debug)]
struct Identity {
    arn: String,
    scope: Scope,
}

/// Why there is no connection; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no region is configured\n  give one with --region, AWS_REGION, or `region` in the profile")]
    NoRegion,
    #[error(
        "no usable AWS credentials: {0}\n  log in (`aws sso login`), set AWS_PROFILE or --profile, or run with --local for no account at all"
    )]
    NoCredentials(String),
    #[error("cannot reach {endpoint}: {error}")]
    Unreachable { endpoint: String, error: CallError },
    #[error("cannot ask who is calling: {0}")]
    Failed(CallError),
}

impl Aws {
    /// Finds out where to call and with which credentials, and calls nobody.
    ///
    /// # Errors
    /// No region.
    pub async fn open(stack: &str, target: &Target) -> Result<Self, ConnectError> {
        let config = configure(target).await;
        let region = config.region().map(ToString::to_string).ok_or(ConnectError::NoRegion)?;
        Ok(Self {
            endpoint: target.endpoint_url.clone().unwrap_or_else(|| format!("AWS in {region}")),
            anonymous: Scope { stack: stack.to_owned(), account: String::new(), region, partition: "aws".to_owned() },
            identity: SetOnce::new(),
            sts: aws_sdk_sts::Client::new(&config),
            apigateway: aws_sdk_apigatewayv2::Client::new(&config),
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            propagation: Propagation::default(),
            pace: Pace::default(),
            records: Mutex::default(),
        })
    }

    /// Asks STS who is calling: names and ARNs need the account.
    ///
    /// # Errors
    /// No credentials, or an endpoint that does not answer.
    pub async fn identify(&self) -> Result<&Scope, ConnectError> {
        let identity = self
            .call(Call::new("sts", "GetCallerIdentity"), || self.sts.get_caller_identity().send())
            .await
            .map_err(|error| match error.meaning {
                Meaning::Denied if error.code.is_empty() => ConnectError::NoCredentials(error.message),
                Meaning::Denied => ConnectError::NoCredentials(format!("{}: {}", error.code, error.message)),
                Meaning::Unreachable | Meaning::Unknown => {
                    ConnectError::Unreachable { endpoint: self.endpoint.clone(), error }
                }
                _ => ConnectError::Failed(error),
            })?;
        let arn = identity.arn.unwrap_or_default();
        // arn:PARTITION:sts::…
        let partition = arn.split(':').nth(1).filter(|partition| !partition.is_empty()).unwrap_or("aws").to_owned();
        let scope = Scope { account: identity.account.unwrap_or_default(), partition, ..self.anonymous.clone() };
        // Asked twice, it is the same answer.
        let _ = self.identity.set(Identity { arn, scope });
        Ok(self.scope())
    }

    /// Whose stack, where. The account is empty until `identify` has returned.
    pub fn scope(&self) -> &Scope {
        self.identity.get().map_or(&self.anonymous, |identity| &identity.scope)
    }

    /// Who calls, as STS says; empty until `identify` has returned.
    pub fn caller(&self) -> &str {
        self.identity.get().map_or("", |identity| &identity.arn)
    }

    /// Fetches what AWS hands out under a presigned URL.
    ///
    /// # Errors
    /// A sentence on what went wrong.
    pub async fn download(&self, url: &str) -> Result<Bytes, String> {
        let request = HttpRequest::get(url).map_err(|error| error.to_string())?;
        let connector = Connector::builder().tls_provider(ring()).build();
        let answer = connector.call(request).await.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("HTTP status {}", answer.status().as_u16()));
        }
        let body = answer.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok(body.to_bytes())
    }

    /// The requests made so far.
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(super) fn record(&self, record: Record) {
        self.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(record);
    }
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").field("scope", self.scope()).field("caller", &self.caller()).finish_non_exhaustive()
    }
}

/// The one cryptography library of this binary.
fn ring() -> tls::Provider {
    tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)
}

async fn configure(target: &Target) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new().tls_provider(ring()).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .operation_attempt_timeout(Duration::from_secs(30))
                .build(),
        );
    if let Some(profile) = &target.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &target.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &target.endpoint_url {
        loader = loader.endpoint_url(endpoint);
    }
    if target.local {
        let credentials = Credentials::new("local", "local", None, None, "the local cloud");
        loader = loader.credentials_provider(SharedCredentialsProvider::new(credentials));
        if target.region.is_none() {
            loader = loader.region(Region::from_static("us-east-1"));
        }
    }
    loader.load().await
}
