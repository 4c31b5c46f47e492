//! Who may call, of what the router leaves to S3: addresses, whose signatures are of two versions, and what is not signed, which
//! needs a policy of the bucket.

use time::OffsetDateTime;

use super::call::Call;
use super::required_permissions::action;
use super::{S3, arn, error};
use crate::core::iam::evaluate::permits_service;
use crate::core::iam::need::Need;
use crate::local::context::signer::{Unverified, verify};
use crate::local::protocol::host::s3_host;
use crate::local::protocol::signature::{Signed, Wrong, is_in_header, pairs, sign_v2};
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
        // The router has verified what is signed in a header.
        if is_in_header(&request.headers) {
            return Ok(());
        }
        let Some(callers) = callers else { return Ok(()) };
        let Some(secret) = callers.secret(access_key) else {
            return if callers.admits_all() { Ok(()) } else { Err(error::denied()) };
        };
        let verified = match request.query("AWSAccessKeyId") {
            None => verify(&**callers, &Signed::call(request, &pairs(&request.headers), None)).map(drop),
            Some(_) => check_v2(request, &secret, OffsetDateTime::now_utc()).map_err(Unverified::Wrong),
        };
        verified.map_err(|why| match why {
            Unverified::Wrong(Wrong::Expired) => ApiError::new(403, "AccessDenied", "Request has expired"),
            Unverified::NoToken => error::token(),
            _ => error::signature(),
        })
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
