//! Calls that change no resource: a function is invoked, a client's connection is looked at or closed.

use std::time::Duration;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{InvocationType, LogType};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::timeout::TimeoutConfig;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::call::AwsCall;
use super::connect::Aws;
use super::error::CallError;

/// How long a function may take (Lambda quotas: 15 minutes), and its answer on the way.
const INVOKE_TIMEOUT: Duration = Duration::from_secs(15 * 60 + 30);

/// What a function answered.
#[derive(Debug, Clone)]
pub struct Invoked {
    pub payload: Bytes,
    /// `Unhandled` where the function failed.
    pub function_error: Option<String>,
    pub version: Option<String>,
    pub request_id: Option<String>,
    /// The end of its log, at most 4 KB.
    pub log: String,
}

/// A client's connection.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// ISO 8601, UTC.
    pub connected_at: String,
    /// ISO 8601, UTC.
    pub last_active_at: String,
    pub source_ip: String,
    pub user_agent: Option<String>,
}

impl Aws {
    /// Invokes a function, waits for its answer, and takes the end of its log with it.
    ///
    /// # Errors
    /// Why it was not invoked. (A function that fails is an answer.)
    pub async fn invoke(&self, function: &str, payload: Bytes) -> Result<Invoked, CallError> {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(INVOKE_TIMEOUT).build();
        let timeouts = aws_sdk_lambda::Config::builder().timeout_config(timeouts);
        let answer = self
            .call(AwsCall::new("lambda", "Invoke"), || {
                let invoke = self.lambda.invoke().function_name(function).log_type(LogType::Tail);
                invoke.payload(Blob::new(payload.to_vec())).customize().config_override(timeouts.clone()).send()
            })
            .await?;
        let log = answer.log_result().and_then(|log| BASE64_STANDARD.decode(log).ok()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        Ok(Invoked {
            request_id: request_id(&log),
            log,
            payload: answer.payload.map(|payload| payload.into_inner().into()).unwrap_or_default(),
            function_error: answer.function_error,
            version: answer.executed_version,
        })
    }

    /// Hands an event to a function and does not wait for what it does with it. An event may arrive more than once, as all
    /// asynchronous ones may (Lambda developer guide, "Invoking a function asynchronously").
    ///
    /// # Errors
    /// Why Lambda did not take it.
    pub async fn invoke_later(&self, function: &str, event: Bytes) -> Result<(), CallError> {
        self.call(AwsCall::new("lambda", "Invoke").repeatable(), || {
            let invoke = self.lambda.invoke().function_name(function).invocation_type(InvocationType::Event);
            invoke.payload(Blob::new(event.to_vec())).send()
        })
        .await?;
        Ok(())
    }

    /// Tells about the connection of a client, by the address of its stage (`ws://` or `wss://`).
    ///
    /// # Errors
    /// `GoneException` where it is closed.
    pub async fn connection(&self, stage: &str, id: &str) -> Result<ConnectionInfo, CallError> {
        let client = self.management(stage);
        let found = self
            .call(AwsCall::new("execute-api", "GetConnection"), || client.get_connection().connection_id(id).send());
        let found = found.await?;
        let time = |time: Option<&DateTime>| time.and_then(|time| time.fmt(Format::DateTime).ok()).unwrap_or_default();
        let identity = found.identity();
        Ok(ConnectionInfo {
            connected_at: time(found.connected_at()),
            last_active_at: time(found.last_active_at()),
            source_ip: identity.and_then(|identity| identity.source_ip()).unwrap_or_default().to_owned(),
            user_agent: identity
                .and_then(|identity| identity.user_agent())
                .filter(|agent| !agent.is_empty())
                .map(str::to_owned),
        })
    }

    /// Closes the connection of a client.
    ///
    /// # Errors
    /// `GoneException` where it is closed already.
    pub async fn close_connection(&self, stage: &str, id: &str) -> Result<(), CallError> {
        let client = self.management(stage);
        let call = AwsCall::new("execute-api", "DeleteConnection").repeatable();
        self.call(call, || client.delete_connection().connection_id(id).send()).await?;
        Ok(())
    }

    /// The client of `@connections` of a stage.
    fn management(&self, stage: &str) -> aws_sdk_apigatewaymanagement::Client {
        // Not every machine's resolver knows `localhost`.
        let endpoint = stage.replacen("ws", "http", 1).replacen("//localhost:", "//127.0.0.1:", 1);
        let config = aws_sdk_apigatewaymanagement::config::Builder::from(&self.config).endpoint_url(endpoint);
        aws_sdk_apigatewaymanagement::Client::from_conf(config.build())
    }
}

/// The id of an invocation, from the line that Lambda writes when it begins.
fn request_id(log: &str) -> Option<String> {
    let id = log.split_once("RequestId: ")?.1;
    Some(id.chars().take_while(|c| c.is_ascii_hexdigit() || *c == '-').collect())
}
