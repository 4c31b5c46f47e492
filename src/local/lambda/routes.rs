//! Maps HTTP methods and paths to operations.

use super::error;
use crate::local::wire::{ApiError, Request};

/// Method, path and operation (service model, botocore). A `*` matches one segment.
const ROUTES: &[(&str, &str, &str)] = &[
    ("POST", "/2015-03-31/functions", "CreateFunction"),
    ("GET", "/2015-03-31/functions", "ListFunctions"),
    ("GET", "/2015-03-31/functions/*", "GetFunction"),
    ("DELETE", "/2015-03-31/functions/*", "DeleteFunction"),
    ("GET", "/2015-03-31/functions/*/configuration", "GetFunctionConfiguration"),
    ("PUT", "/2015-03-31/functions/*/configuration", "UpdateFunctionConfiguration"),
    ("PUT", "/2015-03-31/functions/*/code", "UpdateFunctionCode"),
    // The location of the code that GetFunction returns. On AWS this is a presigned S3 URL.
    ("GET", "/2015-03-31/functions/*/code/*", "DownloadFunctionCode"),
    ("POST", "/2015-03-31/functions/*/invocations", "Invoke"),
    ("POST", "/2015-03-31/functions/*/versions", "PublishVersion"),
    ("GET", "/2015-03-31/functions/*/versions", "ListVersionsByFunction"),
    ("POST", "/2015-03-31/functions/*/aliases", "CreateAlias"),
    ("GET", "/2015-03-31/functions/*/aliases", "ListAliases"),
    ("GET", "/2015-03-31/functions/*/aliases/*", "GetAlias"),
    ("PUT", "/2015-03-31/functions/*/aliases/*", "UpdateAlias"),
    ("DELETE", "/2015-03-31/functions/*/aliases/*", "DeleteAlias"),
    ("POST", "/2015-03-31/functions/*/policy", "AddPermission"),
    ("GET", "/2015-03-31/functions/*/policy", "GetPolicy"),
    ("DELETE", "/2015-03-31/functions/*/policy/*", "RemovePermission"),
    ("PUT", "/2017-10-31/functions/*/concurrency", "PutFunctionConcurrency"),
    ("GET", "/2019-09-30/functions/*/concurrency", "GetFunctionConcurrency"),
    ("DELETE", "/2017-10-31/functions/*/concurrency", "DeleteFunctionConcurrency"),
    ("POST", "/2017-03-31/tags/*", "TagResource"),
    ("DELETE", "/2017-03-31/tags/*", "UntagResource"),
    ("GET", "/2017-03-31/tags/*", "ListTags"),
];

/// The largest requests, in bytes: uploads are base64 in JSON (AWS's own messages name the numbers).
const MAX_REQUEST: &[(&str, usize)] =
    &[("CreateFunction", 70_167_211), ("UpdateFunctionCode", 69_905_067), ("UpdateFunctionConfiguration", 5_120)];

/// The operation of a request.
///
/// # Errors
/// `UnknownOperationException` where there is none; `RequestEntityTooLargeException` for a request that is too large.
pub fn operation(request: &Request) -> Result<&'static str, ApiError> {
    let segments: Vec<&str> = request.path.split('/').filter(|segment| !segment.is_empty()).collect();
    let found = ROUTES.iter().find(|(method, path, _)| request.method == *method && matches(path, &segments));
    let (_, _, operation) = found.ok_or_else(|| unknown(request))?;
    match MAX_REQUEST.iter().find(|(name, limit)| name == operation && request.body.len() > *limit) {
        Some((_, limit)) => Err(error::request_too_long(*limit, operation)),
        None => Ok(operation),
    }
}

/// The refusal of an unknown operation.
pub fn unknown(request: &Request) -> ApiError {
    let message = format!("The local cloud's Lambda has no operation {} {}", request.method, request.path);
    ApiError::new(404, "UnknownOperationException", message)
}

fn matches(path: &str, segments: &[&str]) -> bool {
    let pattern = path.split('/').skip(1);
    pattern.clone().count() == segments.len()
        && pattern.zip(segments).all(|(expected, given)| expected == "*" || expected == *given)
}
