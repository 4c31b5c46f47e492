//! The table of open connections: one row for each connection.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use futures_util::{Stream, StreamExt, stream};

use crate::{Error, Event};

/// The table's key: a connection's id.
const KEY: &str = "connectionId";

/// The longest duration of a WebSocket connection in API Gateway, in seconds: two hours.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html>
const LONGEST_LIFE: i64 = 2 * 60 * 60;

/// The longest time between the creation of a connection's row and its opening, in milliseconds: the 29 s that API Gateway
/// waits for `$connect`, and one more.
const LONGEST_OPENING: i64 = 30_000;

/// The connections table.
#[derive(Debug)]
pub struct Connections {
    dynamodb: Client,
    table: String,
}

impl Connections {
    pub fn new(aws: &SdkConfig, table: String) -> Self {
        Self { dynamodb: Client::new(aws), table }
    }

    /// Stores the connection of `event`: `connectionId`, `connectedAt` (milliseconds since the epoch) and `expiresAt`
    /// (seconds since the epoch, as DynamoDB's time to live requires).
    ///
    /// # Errors
    /// DynamoDB's error.
    pub async fn insert(&self, event: &Event) -> Result<(), Error> {
        self.dynamodb
            .put_item()
            .table_name(&self.table)
            .item(KEY, AttributeValue::S(event.connection_id.clone()))
            .item("connectedAt", AttributeValue::N(event.connected_at.to_string()))
            .item("expiresAt", AttributeValue::N((event.connected_at / 1000 + LONGEST_LIFE).to_string()))
            .send()
            .await
            .map_err(|error| Error::new(format!("store the connection {}", event.connection_id), error))?;
        Ok(())
    }

    /// Deletes a connection; a missing one is not an error.
    ///
    /// # Errors
    /// DynamoDB's error.
    pub async fn remove(&self, connection_id: &str) -> Result<(), Error> {
        self.delete(connection_id).send().await.map_err(|error| cannot_delete(connection_id, error))?;
        Ok(())
    }

    /// Deletes a connection that API Gateway reported as gone at `now` (milliseconds since the epoch), unless it is so young
    /// that it may still be opening: API Gateway also answers "gone" until `$connect` is answered, and the row must stay then.
    ///
    /// # Errors
    /// DynamoDB's error.
    pub async fn remove_gone(&self, connection_id: &str, now: i64) -> Result<(), Error> {
        let opened = AttributeValue::N((now - LONGEST_OPENING).to_string());
        let deleted = self
            .delete(connection_id)
            .condition_expression("attribute_not_exists(connectedAt) OR connectedAt < :opened")
            .expression_attribute_values(":opened", opened)
            .send()
            .await;
        match deleted {
            Err(error) if !error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {
                Err(cannot_delete(connection_id, error))
            }
            _ => Ok(()),
        }
    }

    /// The ids of all connections, read page by page on demand. The reads are consistent: every client whose connection was
    /// accepted is among them.
    ///
    /// # Errors
    /// DynamoDB's error, as the last item.
    pub fn ids(&self) -> impl Stream<Item = Result<String, Error>> {
        let rows = self
            .dynamodb
            .scan()
            .table_name(&self.table)
            .projection_expression(KEY)
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        stream::unfold(rows, async |mut rows| rows.next().await.map(|row| (row, rows))).map(|row| {
            let mut row = row.map_err(|error| Error::new("list the connections", error))?;
            match row.remove(KEY) {
                Some(AttributeValue::S(connection_id)) => Ok(connection_id),
                other => Err(Error::new("list the connections", format!("{KEY} is {other:?}"))),
            }
        })
    }

    fn delete(&self, connection_id: &str) -> DeleteItemFluentBuilder {
        self.dynamodb.delete_item().table_name(&self.table).key(KEY, AttributeValue::S(connection_id.to_owned()))
    }
}

fn cannot_delete(connection_id: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(format!("delete the connection {connection_id}"), error)
}
