//! The AWS clients, and the identity that they call as.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::retry::RetryConfig;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, SetOnce};

use super::call::{AwsCall, Record};
use super::chain::chain;
use super::network::Network;
use super::pace::Pace;
use super::propagation::Propagation;
use super::settings::Settings;
use super::target::{ConnectError, Target};
use crate::core::types::tags::{Claims, Tags};
use crate::core::words::Scope;

/// How much may travel ahead at once, in KiB: bodies lie in memory until they are answered.
pub(super) const MOST_AHEAD: usize = 64 << 10;

/// A connection to AWS, or to the local cloud, on behalf of one stack.
pub struct Aws {
    /// Without account and partition, which are unknown until STS has answered.
    anonymous: Scope,
    identity: SetOnce<Identity>,
    /// What this run is about to take over.
    claims: RwLock<Arc<Claims>>,
    pub sts: aws_sdk_sts::Client,
    /// The source of credentials and endpoints; `None` for the local cloud.
    settings: Option<Settings>,
    pub(super) network: Arc<Network>,
    /// For clients whose endpoint is known later.
    pub(super) config: SdkConfig,
    pub apigateway: aws_sdk_apigatewayv2::Client,
    pub cloudcontrol: aws_sdk_cloudcontrol::Client,
    pub cloudformation: aws_sdk_cloudformation::Client,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub iam: aws_sdk_iam::Client,
    pub lambda: aws_sdk_lambda::Client,
    pub logs: aws_sdk_cloudwatchlogs::Client,
    /// Finds what carries a tag, whatever service it is of.
    pub tagging: aws_sdk_resourcegroupstagging::Client,
    pub propagation: Propagation,
    pub(super) pace: Pace,
    has_retired_runtimes: bool,
    /// Room for requests that travel ahead, in KiB.
    pub(super) line: Semaphore,
    records: Mutex<Vec<Record>>,
}

/// The caller's identity, from STS.
#[derive(Debug)]
struct Identity {
    arn: String,
    scope: Scope,
}

impl Aws {
    /// Resolves endpoints and credentials. Makes no call.
    ///
    /// # Errors
    /// No region, or an invalid one; a configuration that cannot be read or gives no credentials.
    pub async fn open(stack: &str, target: &Target) -> Result<Self, ConnectError> {
        // The user's AWS configuration does not apply to the local cloud.
        let settings = if target.local.is_some() { None } else { Some(Settings::read(target).await?) };
        let (config, network) = configure(target, settings.as_ref()).await?;
        let region = config.region().map(ToString::to_string).filter(|region| !region.is_empty());
        let region = region.ok_or_else(|| {
            let help = "give one with --region, AWS_REGION, or `region` in the profile";
            let local = target.local_cloud.iter().map(|local| format!("; or add --local: {local}"));
            ConnectError::new("no region is configured", help.to_owned() + &local.collect::<String>())
        })?;
        if let Some(settings) = &settings {
            settings.check_region(&region)?;
        }
        Ok(Self {
            settings,
            network,
            anonymous: Scope { stack: stack.to_owned(), account: String::new(), region, partition: "aws".to_owned() },
            identity: SetOnce::new(),
            claims: RwLock::default(),
            sts: aws_sdk_sts::Client::new(&config),
            apigateway: aws_sdk_apigatewayv2::Client::new(&config),
            cloudcontrol: aws_sdk_cloudcontrol::Client::new(&config),
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&config),
            tagging: aws_sdk_resourcegroupstagging::Client::new(&config),
            propagation: Propagation::default(),
            has_retired_runtimes: target.has_retired_runtimes,
            pace: if target.has_quotas { Pace::default() } else { Pace::unlimited() },
            line: Semaphore::new(MOST_AHEAD),
            records: Mutex::default(),
            config,
        })
    }

    /// Asks STS who is calling: names and ARNs need the account.
    ///
    /// # Errors
    /// No credentials, or an endpoint that does not answer.
    pub async fn identify(&self) -> Result<&Scope, ConnectError> {
        let identity = self
            .call(AwsCall::new("sts", "GetCallerIdentity"), || self.sts.get_caller_identity().send())
            .await
            .map_err(|error| match &self.settings {
                Some(settings) => settings.explain(&self.anonymous.region, &error),
                None => ConnectError::new(
                    format!("cannot ask the local cloud who is calling: {error}"),
                    "see its log: wschat local logs",
                ),
            })?;
        let arn = identity.arn.unwrap_or_default();
        // arn:PARTITION:sts::…
        let partition = arn.split(':').nth(1).filter(|partition| !partition.is_empty()).unwrap_or("aws").to_owned();
        let scope = Scope { account: identity.account.unwrap_or_default(), partition, ..self.anonymous.clone() };
        // A second answer is the same as the first.
        let _ = self.identity.set(Identity { arn, scope });
        Ok(self.scope())
    }

    /// The stack and its location. The account is empty until `identify` has returned.
    pub fn scope(&self) -> &Scope {
        self.identity.get().map_or(&self.anonymous, |identity| &identity.scope)
    }

    /// Reads these resources as the stack's from now on: a run takes them over. With none, what is read is what AWS has.
    pub fn claim(&self, claims: Claims) {
        *self.claims.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(claims);
    }

    /// What this run is about to take over.
    pub fn claims(&self) -> Arc<Claims> {
        Arc::clone(&self.claims.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tags of a resource; with the stack's, where this run is about to take it over.
    pub fn claimed(&self, type_name: &str, physical_id: &str, tags: Tags) -> Tags {
        self.claims().tags(self.scope(), type_name, physical_id, tags)
    }

    /// Whether the endpoint enforces AWS's quotas: a local cloud without conditions does not.
    pub fn has_quotas(&self) -> bool {
        self.pace.has_quotas()
    }

    /// Whether the endpoint may take functions with runtimes that Lambda has retired: it is a lenient local cloud, or neither that nor AWS.
    pub fn has_retired_runtimes(&self) -> bool {
        self.has_retired_runtimes
    }

    /// The caller's ARN, from STS; empty until `identify` has returned.
    pub fn caller(&self) -> &str {
        self.identity.get().map_or("", |identity| &identity.arn)
    }

    /// A note for the user about where calls go, before the first is made.
    pub fn note(&self) -> Option<String> {
        self.settings.as_ref().and_then(Settings::note)
    }

    /// The endpoint that an option gives for all services.
    pub(super) fn given_endpoint(&self) -> Option<String> {
        self.settings.as_ref().and_then(|settings| settings.endpoint_url().map(str::to_owned))
    }

    /// Downloads what a presigned URL of AWS's points to.
    ///
    /// # Errors
    /// A sentence on what went wrong.
    pub async fn download(&self, url: &str) -> Result<Bytes, String> {
        let request = HttpRequest::get(url).map_err(|error| error.to_string())?;
        let uri = url.parse().map_err(|error| format!("{error}"))?;
        let connector = self.network.connector(&uri);
        let answer = connector.call(request).await.map_err(|error| chain(&error))?;
        if !answer.status().is_success() {
            return Err(format!("HTTP status {}", answer.status().as_u16()));
        }
        let body = answer.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok(body.to_bytes())
    }

    /// Whether calls go to the local cloud.
    pub fn is_local(&self) -> bool {
        self.settings.is_none()
    }

    pub(super) fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref()
    }

    pub(super) fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// The requests sent so far.
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn record(&self, record: Record) {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").field("scope", self.scope()).field("caller", &self.caller()).finish_non_exhaustive()
    }
}

async fn configure(target: &Target, settings: Option<&Settings>) -> Result<(SdkConfig, Arc<Network>), ConnectError> {
    let network = match (settings, &target.local) {
        (Some(settings), _) => settings.network()?,
        (None, Some(_)) => Network::to_local_cloud(),
        (None, None) => Network::default(),
    };
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(30))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.clone());
    if let Some(profile) = &target.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &target.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &target.endpoint_url {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(credentials) = &target.local {
        loader = loader.credentials_provider(SharedCredentialsProvider::new(credentials.clone()));
        if target.region.is_none() {
            loader = loader.region(Region::from_static("us-east-1"));
        }
    }
    // The SDK's own requests for credentials go through the same network.
    let network = Arc::new(network);
    let config = loader.http_client(network.client()).load().await;
    let Some(settings) = settings else { return Ok((config, network)) };
    network.tell_services(settings.services(&config));
    let Some(profile) = settings.only_profile() else { return Ok((config, network)) };
    let provider = ProviderConfig::without_region()
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_region(config.region().cloned())
        .with_use_fips(config.use_fips())
        .with_use_dual_stack(config.use_dual_stack())
        .with_retry_config(RetryConfig::disabled())
        .with_timeout_config(timeouts)
        .with_http_client(network.client());
    // The SDK's own chain would take keys from the environment first.
    let only = ProfileFileCredentialsProvider::builder().configure(&provider).profile_name(profile).build();
    let config = config.into_builder().credentials_provider(SharedCredentialsProvider::new(only)).build();
    Ok((config, network))
}
