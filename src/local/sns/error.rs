//! SNS's errors, with its messages.

use std::io;

use crate::local::protocol::wire::ApiError;

pub fn no_topic() -> ApiError {
    ApiError::new(404, "NotFound", "Topic does not exist")
}

pub fn no_subscription() -> ApiError {
    ApiError::new(404, "NotFound", "Subscription does not exist")
}

pub fn no_resource() -> ApiError {
    ApiError::new(404, "ResourceNotFound", "Resource does not exist")
}

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidParameter", format!("Invalid parameter: {}", message.into()))
}

pub fn unsaved(error: io::Error) -> ApiError {
    tracing::error!("SNS's topics could not be saved: {error}");
    ApiError::new(500, "InternalError", "The local cloud could not save its state; see `wschat local logs`.")
}
