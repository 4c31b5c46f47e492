//! The client of `@connections` of one API's stage.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_apigatewaymanagement::operation::get_connection::GetConnectionOutput;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use aws_sdk_apigatewaymanagement::{Client, config};
use aws_types::SdkConfig;

use crate::Error;

/// The timeout of a call including its retries: a connection that hangs must not delay the others.
const PATIENCE: Duration = Duration::from_secs(5);

/// The clients of all stages that an execution environment has answered. They are kept, because making one reads all root
/// certificates, which takes longer than a post.
#[derive(Debug)]
pub struct Gateways {
    aws: SdkConfig,
    open: Mutex<HashMap<String, Gateway>>,
}

impl Gateways {
    pub fn new(aws: SdkConfig) -> Self {
        Self { aws, open: Mutex::default() }
    }

    /// The gateway at `endpoint` (`Event::endpoint`).
    pub fn at(&self, endpoint: &str) -> Gateway {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get(endpoint) {
            Some(gateway) => gateway.clone(),
            None => open.entry(endpoint.to_owned()).or_insert(Gateway::new(&self.aws, endpoint)).clone(),
        }
    }
}

/// `@connections`.
#[derive(Debug, Clone)]
pub struct Gateway {
    client: Client,
}

/// The result of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Delivered,
    /// The connection is closed, or not open yet.
    Gone,
}

impl Gateway {
    fn new(aws: &SdkConfig, endpoint: &str) -> Self {
        let timeouts = config::timeout::TimeoutConfig::builder().operation_timeout(PATIENCE).build();
        let config = config::Builder::from(aws).endpoint_url(endpoint).timeout_config(timeouts).build();
        Self { client: Client::from_conf(config) }
    }

    /// Sends a text frame to a connection.
    ///
    /// # Errors
    /// The gateway's error, except that the connection is gone.
    pub async fn post(&self, connection_id: &str, text: &str) -> Result<Delivery, Error> {
        let posted = self.client.post_to_connection().connection_id(connection_id).data(Blob::new(text)).send().await;
        match posted {
            Ok(_) => Ok(Delivery::Delivered),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_gone_exception()) => Ok(Delivery::Gone),
            Err(error) => Err(Error::new(format!("post to the connection {connection_id}"), error)),
        }
    }

    /// The gateway's info about a connection; `None` if it is gone.
    ///
    /// # Errors
    /// The gateway's other errors.
    pub async fn info(&self, connection_id: &str) -> Result<Option<GetConnectionOutput>, Error> {
        match self.client.get_connection().connection_id(connection_id).send().await {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_gone_exception()) => Ok(None),
            Err(error) => Err(Error::new(format!("ask about the connection {connection_id}"), error)),
        }
    }
}
