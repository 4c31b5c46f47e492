//! S3's errors, with its messages (API reference, "Error responses").

use std::fmt::Display;

use crate::local::protocol::wire::ApiError;

pub fn no_bucket(name: &str) -> ApiError {
    ApiError::new(404, "NoSuchBucket", "The specified bucket does not exist").with("BucketName", name)
}

pub fn no_key(key: &str) -> ApiError {
    ApiError::new(404, "NoSuchKey", "The specified key does not exist.").with("Key", key)
}

pub fn no_upload(id: &str) -> ApiError {
    let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
    ApiError::new(404, "NoSuchUpload", message).with("UploadId", id)
}

pub fn denied() -> ApiError {
    ApiError::new(403, "AccessDenied", "Access Denied")
}

pub fn signature() -> ApiError {
    let message = "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
    ApiError::new(403, "SignatureDoesNotMatch", message)
}

/// For an address that a role's session has signed, without the token of the session.
pub fn token() -> ApiError {
    ApiError::new(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
}

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidArgument", message)
}

pub fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidRequest", message)
}

pub fn malformed() -> ApiError {
    let message = "The XML you provided was not well-formed or did not validate against our published schema";
    ApiError::new(400, "MalformedXML", message)
}

pub fn precondition(name: &str) -> ApiError {
    let message = "At least one of the pre-conditions you specified did not hold";
    ApiError::new(412, "PreconditionFailed", message).with("Condition", name)
}

/// The answer to a preflight that no rule of the bucket allows. (As S3 spells it.)
pub fn not_shared() -> ApiError {
    let message = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / \
                   Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.";
    ApiError::new(403, "AccessForbidden", message)
}

/// What the local cloud does not do, by name.
pub fn not_here(what: &str) -> ApiError {
    ApiError::new(501, "NotImplemented", format!("The local S3 does not do this: {what}."))
}

/// A disk or a database that fails.
pub fn broken<E: Display>(error: E) -> ApiError {
    tracing::error!("S3 could not read or save its state: {error}");
    ApiError::new(500, "InternalError", "The local cloud could not read or save its state; see `wschat local logs`.")
}
