//! Lambda's errors, with its messages.

use crate::local::protocol::wire::ApiError;

/// An error that the caller has caused. The message member is `message` in Lambda's error shapes, except in
/// `ResourceNotFoundException`, where it is `Message` (service model, botocore).
fn user(status: u16, code: &'static str, message: impl Into<String>) -> ApiError {
    let message = message.into();
    ApiError::new(status, code, message.clone()).with("Type", "User").with("message", message)
}

/// 400 `InvalidParameterValueException`.
pub fn invalid(message: impl Into<String>) -> ApiError {
    user(400, "InvalidParameterValueException", message)
}

/// 409 `ResourceConflictException`.
pub fn conflict(message: impl Into<String>) -> ApiError {
    user(409, "ResourceConflictException", message)
}

/// 404 `ResourceNotFoundException`.
pub fn not_found(message: impl Into<String>) -> ApiError {
    ApiError::new(404, "ResourceNotFoundException", message).with("Type", "User")
}

/// 404, for an unknown function.
pub fn no_function(arn: &str) -> ApiError {
    not_found(format!("Function not found: {arn}"))
}

/// 404, for an unknown alias.
pub fn no_alias(arn: &str) -> ApiError {
    not_found(format!("Cannot find alias arn: {arn}"))
}

/// 404, for an unknown event source mapping.
pub fn no_mapping() -> ApiError {
    not_found("The resource you requested does not exist.")
}

/// 412, for a `RevisionId` that is not the latest. `source` is the operation that returns the latest.
pub fn stale_revision(source: &str) -> ApiError {
    let message = format!(
        "The Revision Id provided does not match the latest Revision Id. \
         Call the {source} API to retrieve the latest Revision Id"
    );
    user(412, "PreconditionFailedException", message)
}

/// 413, for an HTTP request that is too long for `operation`.
pub fn request_too_long(limit: usize, operation: &str) -> ApiError {
    let message = format!("Request must be smaller than {limit} bytes for the {operation} operation");
    user(413, "RequestEntityTooLargeException", message)
}

/// 413, for a zip archive over the limit.
pub fn zip_too_long(limit: usize) -> ApiError {
    user(413, "RequestEntityTooLargeException", format!("Zipped size must be smaller than {limit} bytes"))
}

/// 413, for an invocation's payload over the limit.
pub fn payload_too_long(length: usize, invocation_type: &str, limit: usize) -> ApiError {
    let message =
        format!("{length} byte payload is too large for the {invocation_type} invocation type (limit {limit} bytes)");
    user(413, "RequestTooLargeException", message)
}

/// 400, for a payload that is not JSON.
pub fn payload_not_json(reason: &serde_json::Error) -> ApiError {
    let message = format!("Could not parse request body into json: Could not parse payload into json: {reason}");
    user(400, "InvalidRequestContentException", message)
}

/// 429, for an invocation that no execution environment may be started for. `reason` as the service model lists them.
pub fn throttled(reason: &'static str) -> ApiError {
    user(429, "TooManyRequestsException", "Rate Exceeded.").with("Reason", reason)
}

/// 400, for a resource policy over its limit. Sizes in bytes.
pub fn policy_too_long(size: usize, limit: usize) -> ApiError {
    let message = format!("The final policy size ({size}) is bigger than the limit ({limit}).");
    user(400, "PolicyLengthExceededException", message)
}

/// 500, for a failure of the local cloud itself.
pub fn service(message: impl Into<String>) -> ApiError {
    ApiError::new(500, "ServiceException", message).with("Type", "Service")
}

/// 400 `ValidationException`, listing every constraint that was broken. Unlike the others it has no `Type`.
pub fn validation(broken: &[String]) -> ApiError {
    let plural = if broken.len() == 1 { "" } else { "s" };
    let message = format!("{} validation error{plural} detected: {}", broken.len(), broken.join("; "));
    ApiError::new(400, "ValidationException", message.clone()).with("message", message)
}

/// 400, for a new function's name that breaks the constraint on its length: of all constraints this one alone is no
/// `ValidationException` (recorded answer of AWS).
pub fn name_too_long(broken: &str) -> ApiError {
    invalid(format!("1 validation error detected: {broken}"))
}

/// One broken constraint, as `validation` lists it.
pub fn constraint(value: &str, member: &str, constraint: &str) -> String {
    format!("Value '{value}' at '{member}' failed to satisfy constraint: {constraint}")
}
