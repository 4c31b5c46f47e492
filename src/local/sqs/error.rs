//! SQS's errors, with its messages. Clients know them by the codes of the query protocol, which SQS spoke first.

use std::io;

use crate::local::protocol::wire::ApiError;

/// The codes of the query protocol, where they differ from the names of the errors' shapes (service model, botocore:
/// `awsQueryError`). The last one is of no operation: the router refuses a signature so.
pub const QUERY_CODES: &[(&str, &str)] = &[
    ("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
    ("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong"),
    ("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest"),
    ("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId"),
    ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"),
    ("MissingRequiredParameterException", "MissingParameter"),
    ("QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently"),
    ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
    ("QueueNameExists", "QueueAlreadyExists"),
    ("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress"),
    ("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
    ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation"),
    ("InvalidSignatureException", "SignatureDoesNotMatch"),
];

fn refusal(name: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(400, format!("com.amazonaws.sqs#{name}"), message)
}

/// For an unknown queue.
pub fn no_queue() -> ApiError {
    refusal("QueueDoesNotExist", "The specified queue does not exist.")
}

/// For a name that a queue had until lately. (API reference, `CreateQueue`.)
pub fn deleted_recently() -> ApiError {
    let message = "You must wait 60 seconds after deleting a queue before you can create another with the same name.";
    refusal("QueueDeletedRecently", message)
}

pub fn queue_exists(attribute: &str) -> ApiError {
    let message = format!("A queue already exists with the same name and a different value for attribute {attribute}");
    refusal("QueueNameExists", message)
}

pub fn invalid_attribute(name: &str) -> ApiError {
    refusal("InvalidAttributeName", format!("Unknown Attribute {name}."))
}

pub fn invalid_value(name: &str) -> ApiError {
    refusal("InvalidAttributeValue", format!("Invalid value for the parameter {name}."))
}

/// `InvalidParameterValue`, which the service model does not list.
pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "com.amazon.coral.service#InvalidParameterValueException", message)
}

pub fn missing(parameter: &str) -> ApiError {
    let message = format!("The request must contain the parameter {parameter}.");
    ApiError::new(400, "com.amazon.coral.service#MissingRequiredParameterException", message)
}

pub fn invalid_handle(handle: &str) -> ApiError {
    refusal("ReceiptHandleIsInvalid", format!("The input receipt handle \"{handle}\" is not a valid receipt handle."))
}

/// For a message that was not received, or whose visibility timeout is over.
pub fn not_in_flight(handle: &str) -> ApiError {
    invalid(format!(
        "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for \
         visibility timeout change."
    ))
}

pub fn invalid_contents(message: impl Into<String>) -> ApiError {
    refusal("InvalidMessageContents", message)
}

pub fn batch(name: &str, message: impl Into<String>) -> ApiError {
    refusal(name, message)
}

pub fn unsaved(error: io::Error) -> ApiError {
    tracing::error!("SQS's queues could not be saved: {error}");
    ApiError::new(500, "InternalFailure", "The local cloud could not save its state; see `wschat local logs`.")
}
