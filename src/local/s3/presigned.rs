//! Who may call: what the router cannot know. A URL's signature is verified, for its access key is no secret; what is not signed
//! needs a policy of the bucket.

use http::header::AUTHORIZATION;
use time::OffsetDateTime;

use super::call::Call;
use super::required_permissions::action;
use super::{S3, arn, error};
use crate::core::iam::evaluate::permits_service;
use crate::core::iam::need::Need;
use crate::local::protocol::host::s3_host;
use crate::local::protocol::signature::{Signed, Wrong, sign_v2};
use crate::local::protocol::wire::{ApiError, Request};

/// Parameters that version 2 of the signature signs (S3 user guide, "Signing and authenticating REST requests").
const SIGNED_PARAMETERS: &[&str] = &[
    "acl",
    "cors",
    "delete",
    "lifecycle",
    "location",
    "logging",
    "notification",
    "partNumber",
    "policy",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

impl S3 {
    /// Admits a call.
    ///
    /// # Errors
    /// S3's refusal.
    pub fn admit(&self, call: &Call<'_>) -> Result<(), ApiError> {
        let request = call.request;
        let callers = self.callers.get();
        let Some(access_key) = &request.caller.access_key else {
            return if callers.is_none_or(|callers| callers.admits_all()) { Ok(()) } else { self.admit_anyone(call) };
        };
        // A key that no header names is an address's, which counts with its signature alone.
        let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if header.is_some_and(|header| header.contains("Credential=")) {
            return Ok(());
        }
        let is_v2 = request.query("AWSAccessKeyId").is_some();
        let Some(callers) = callers else { return Ok(()) };
        let Some(secret) = callers.secret(access_key) else {
            return if callers.admits_all() { Ok(()) } else { Err(error::denied()) };
        };
        let now = OffsetDateTime::now_utc();
        match if is_v2 { check_v2(request, &secret, now) } else { check(request, &secret, now) } {
            Ok(()) => Ok(()),
            Err(Wrong::Expired) => Err(ApiError::new(403, "AccessDenied", "Request has expired")),
            Err(Wrong::Service | Wrong::Different) => Err(error::signature()),
        }
    }

    /// Admits a call without a signature, if the bucket's policy lets everybody do that.
    fn admit_anyone(&self, call: &Call<'_>) -> Result<(), ApiError> {
        let state = self.state.now();
        let bucket = state.bucket(call.bucket).map_err(|_| error::denied())?;
        let resource =
            if call.key.is_empty() { arn(call.bucket) } else { arn(&format!("{}/{}", call.bucket, call.key)) };
        let need = Need::new(action(call.operation), resource).with("aws:SecureTransport", "true");
        if !bucket.restricts_public() && permits_service(bucket.policy(), "", &need) {
            return Ok(());
        }
        Err(error::denied())
    }
}

/// Verifies a URL that is signed with version 4.
fn check(request: &Request, secret: &str, now: OffsetDateTime) -> Result<(), Wrong> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = request.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let signed = Signed {
        service: "s3",
        method: request.method.as_str(),
        path: &request.path,
        query: &request.query,
        headers: &headers,
        body: b"",
    };
    let signature = signed.signature().ok_or(Wrong::Different)?;
    signed.check(&signature, secret, now)
}

/// Verifies a URL that is signed with version 2, as boto3 makes them in regions that take it.
fn check_v2(request: &Request, secret: &str, now: OffsetDateTime) -> Result<(), Wrong> {
    let given = |name: &str| request.query(name).ok_or(Wrong::Different);
    let (expires, signature) = (given("Expires")?, given("Signature")?);
    let end: i64 = expires.parse().map_err(|_| Wrong::Different)?;
    if now.unix_timestamp() > end {
        return Err(Wrong::Expired);
    }
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    // What belongs in a header and is not there stands in the query.
    let either = |name: &str| header(name).or_else(|| request.query(name)).unwrap_or_default();
    let amz = |name: &str| name.starts_with("x-amz-");
    let mut extra: Vec<(String, String)> = request
        .headers
        .iter()
        .filter(|(name, _)| amz(name.as_str()))
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .chain(request.query.iter().filter(|(name, _)| amz(name)).cloned())
        .collect();
    extra.sort();
    let extra: String = extra.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let mut parameters: Vec<String> = request
        .query
        .iter()
        .filter(|(name, _)| SIGNED_PARAMETERS.contains(&name.as_str()))
        .map(|(name, value)| if value.is_empty() { name.clone() } else { format!("{name}={value}") })
        .collect();
    parameters.sort();
    let host = header("host").unwrap_or_default();
    let bucket = s3_host(host).filter(|bucket| !bucket.is_empty()).map(|bucket| format!("/{bucket}"));
    let separator = if parameters.is_empty() { "" } else { "?" };
    let text = format!(
        "{}\n{}\n{}\n{expires}\n{extra}{}{}{separator}{}",
        request.method,
        either("content-md5"),
        either("content-type"),
        bucket.unwrap_or_default(),
        request.path,
        parameters.join("&")
    );
    if sign_v2(secret, &text) == signature { Ok(()) } else { Err(Wrong::Different) }
}
