//! The environment that Lambda gives a function; no other file reads it.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>

#![expect(clippy::disallowed_methods, reason = "this is the file that may")]

use std::env;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_types::SdkConfig;
use aws_types::region::Region;
use tracing::level_filters::LevelFilter;

use crate::Error;

/// Starts the log and returns the configuration for all AWS clients of this process: the function's credentials and region,
/// and one HTTP client, so that they share its connections.
///
/// The credentials chain of `aws-config` is omitted on purpose: in Lambda, credentials are always in the environment, and the
/// chain's other sources (profiles, web identity, instance metadata) would make the executable a sixth larger.
///
/// # Errors
/// When a variable that Lambda always sets is missing.
pub fn init() -> Result<SdkConfig, Error> {
    log();
    let credentials = Credentials::new(
        variable("AWS_ACCESS_KEY_ID")?,
        variable("AWS_SECRET_ACCESS_KEY")?,
        env::var("AWS_SESSION_TOKEN").ok(),
        None,
        "environment",
    );
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(variable("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https());
    // As every AWS SDK reads it: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    config.set_endpoint_url(env::var("AWS_ENDPOINT_URL_DYNAMODB").or_else(|_| env::var("AWS_ENDPOINT_URL")).ok());
    Ok(config.build())
}

/// The name of the connections table, from the variable `table`, which the template sets.
///
/// # Errors
/// When the variable is missing.
pub fn table() -> Result<String, Error> {
    variable("table")
}

fn variable(name: &str) -> Result<String, Error> {
    env::var(name).map_err(|error| Error::new(format!("read the environment variable \"{name}\""), error))
}

/// Logs one JSON object per line, with the `timestamp` and `level` that Lambda's log filter reads and the invocation's
/// `requestId`. The level is that of the function's logging configuration (`AWS_LAMBDA_LOG_LEVEL`).
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>
fn log() {
    let level = env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .init();
}
