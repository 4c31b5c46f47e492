//! Policies of queues and topics, which are attributes of those: making one writes over what is there, and AWS reads none, so none is
//! imported.

use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};

use super::{Declared, Existing, Identifier, Type, document, single};
use crate::local::cloudformation::calls::Calls;
use crate::local::protocol::wire::ApiError;

const QUEUE: &str = "AWS::SQS::QueuePolicy";
const TOPIC: &str = "AWS::SNS::TopicPolicy";

pub const TYPES: &[Type] = &[of(QUEUE), of(TOPIC)];

const fn of(name: &'static str) -> Type {
    Type {
        name,
        identifier: &["Id"],
        reference: "Id",
        importable: false,
        create: |calls, declared| Box::pin(create(calls, declared)),
        // It is there as long as its stack says so.
        read: |_, _, _| Box::pin(async { Ok(Some(Map::new())) }),
        delete: |calls, existing| Box::pin(delete(calls, existing)),
        arn: |_, _, _| None,
    }
}

async fn create(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    set(calls, declared.type_name, declared.properties, &document(&declared.properties["PolicyDocument"])).await?;
    Ok(single("Id", declared.name))
}

/// Writes another policy over it.
///
/// # Errors
/// The service's refusal.
pub async fn put_again(calls: &Calls, type_name: &str, new: &Value) -> Result<(), ApiError> {
    set(calls, type_name, new, &document(&new["PolicyDocument"])).await
}

async fn delete(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    set(calls, existing.type_name, existing.properties, "").await
}

/// Gives all the queues or topics of a policy this one.
async fn set(calls: &Calls, type_name: &str, properties: &Value, policy: &str) -> Result<(), ApiError> {
    let property = if type_name == QUEUE { "Queues" } else { "Topics" };
    let named = properties[property].as_array().into_iter().flatten().filter_map(Value::as_str);
    let set = named.map(|one| async move {
        match type_name {
            QUEUE => {
                let input = json!({ "QueueUrl": one, "Attributes": { "Policy": policy } });
                calls.json("sqs", "SetQueueAttributes", &input).await.map(drop)
            }
            _ => {
                let parameters = [("TopicArn", one), ("AttributeName", "Policy"), ("AttributeValue", policy)];
                let parameters = parameters.map(|(name, value)| (name, value.to_owned()));
                calls.query("sns", "SetTopicAttributes", &parameters).await.map(drop)
            }
        }
    });
    try_join_all(set).await.map(drop)
}
