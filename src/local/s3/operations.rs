//! The table of S3's operations, how a request finds its own, and how they run.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, header};

use super::call::{Answer, Call, place};
use super::required_permissions::{copying, on_bucket, on_everything, on_object};
use super::{INCOMING, S3, error};
use crate::local::protocol::operation::Operation;
use crate::local::protocol::operation::OperationEffect::{self, Changes, Reads};
use crate::local::protocol::service::Permissions::Needs;
use crate::local::protocol::service::{self, Found, Permissions, Service, ServiceCall};
use crate::local::protocol::wire::{ApiError, Protocol, Request, Response};

pub type Run = fn(&S3, &Call<'_>) -> Answer;
type Row = service::Row<Arc<S3>>;

/// The largest object of one upload, and the largest part: 5 GiB (S3 user guide, "Uploading objects").
const MAX_OBJECT: usize = 5 << 30;

/// What a request must have in its query to be for an operation: the sub-resource, or a parameter that says what is done.
#[derive(Clone, Copy)]
struct Route {
    method: &'static str,
    is_object: bool,
    query: &'static str,
    /// A header that it must have.
    header: &'static str,
    name: &'static str,
}

const fn of(method: &'static str, is_object: bool, query: &'static str, name: &'static str) -> Route {
    Route { method, is_object, query, header: "", name }
}

/// The first that fits is the one. (S3 API reference, "Request Syntax" of each.)
#[rustfmt::skip]
const ROUTES: &[Route] = &[
    of("GET", true, "acl", "GetObjectAcl"),
    of("GET", true, "tagging", "GetObjectTagging"),
    of("GET", true, "attributes", "GetObjectAttributes"),
    of("GET", true, "uploadId", "ListParts"),
    of("GET", true, "legal-hold", ""), of("GET", true, "retention", ""), of("GET", true, "torrent", ""),
    of("GET", true, "", "GetObject"),
    of("HEAD", true, "", "HeadObject"),
    of("PUT", true, "acl", "PutObjectAcl"),
    of("PUT", true, "tagging", "PutObjectTagging"),
    Route { method: "PUT", is_object: true, query: "uploadId", header: "x-amz-copy-source", name: "UploadPartCopy" },
    of("PUT", true, "uploadId", "UploadPart"),
    of("PUT", true, "legal-hold", ""), of("PUT", true, "retention", ""), of("PUT", true, "renameObject", ""),
    Route { method: "PUT", is_object: true, query: "", header: "x-amz-copy-source", name: "CopyObject" },
    of("PUT", true, "", "PutObject"),
    of("POST", true, "uploads", "CreateMultipartUpload"),
    of("POST", true, "uploadId", "CompleteMultipartUpload"),
    of("DELETE", true, "tagging", "DeleteObjectTagging"),
    of("DELETE", true, "uploadId", "AbortMultipartUpload"),
    of("DELETE", true, "", "DeleteObject"),
    of("GET", false, "accelerate", "GetBucketAccelerateConfiguration"),
    of("GET", false, "acl", "GetBucketAcl"),
    of("GET", false, "cors", "GetBucketCors"),
    of("GET", false, "encryption", "GetBucketEncryption"),
    of("GET", false, "lifecycle", "GetBucketLifecycleConfiguration"),
    of("GET", false, "location", "GetBucketLocation"),
    of("GET", false, "logging", "GetBucketLogging"),
    of("GET", false, "notification", "GetBucketNotificationConfiguration"),
    of("GET", false, "ownershipControls", "GetBucketOwnershipControls"),
    of("GET", false, "policy", "GetBucketPolicy"),
    of("GET", false, "publicAccessBlock", "GetPublicAccessBlock"),
    of("GET", false, "requestPayment", "GetBucketRequestPayment"),
    of("GET", false, "tagging", "GetBucketTagging"),
    of("GET", false, "uploads", "ListMultipartUploads"),
    of("GET", false, "versioning", "GetBucketVersioning"),
    of("GET", false, "versions", "ListObjectVersions"),
    of("GET", false, "website", "GetBucketWebsite"),
    of("GET", false, "list-type", "ListObjectsV2"),
    of("HEAD", false, "", "HeadBucket"),
    of("PUT", false, "accelerate", "PutBucketAccelerateConfiguration"),
    of("PUT", false, "acl", "PutBucketAcl"),
    of("PUT", false, "cors", "PutBucketCors"),
    of("PUT", false, "encryption", "PutBucketEncryption"),
    of("PUT", false, "lifecycle", "PutBucketLifecycleConfiguration"),
    of("PUT", false, "logging", "PutBucketLogging"),
    of("PUT", false, "notification", "PutBucketNotificationConfiguration"),
    of("PUT", false, "ownershipControls", "PutBucketOwnershipControls"),
    of("PUT", false, "policy", "PutBucketPolicy"),
    of("PUT", false, "publicAccessBlock", "PutPublicAccessBlock"),
    of("PUT", false, "requestPayment", "PutBucketRequestPayment"),
    of("PUT", false, "tagging", "PutBucketTagging"),
    of("PUT", false, "versioning", "PutBucketVersioning"),
    of("PUT", false, "website", "PutBucketWebsite"),
    of("POST", false, "delete", "DeleteObjects"),
    of("POST", false, "", "PostObject"),
    of("DELETE", false, "cors", "DeleteBucketCors"),
    of("DELETE", false, "encryption", "DeleteBucketEncryption"),
    of("DELETE", false, "lifecycle", "DeleteBucketLifecycle"),
    of("DELETE", false, "ownershipControls", "DeleteBucketOwnershipControls"),
    of("DELETE", false, "policy", "DeleteBucketPolicy"),
    of("DELETE", false, "publicAccessBlock", "DeletePublicAccessBlock"),
    of("DELETE", false, "tagging", "DeleteBucketTagging"),
    of("DELETE", false, "website", "DeleteBucketWebsite"),
];

/// Sub-resources of buckets that are not served.
const UNSERVED: &[&str] = &[
    "analytics",
    "intelligent-tiering",
    "inventory",
    "metadataConfiguration",
    "metadataTable",
    "metrics",
    "object-lock",
    "policyStatus",
    "replication",
    "session",
];

const fn row(
    name: &'static str,
    method: &'static str,
    effect: OperationEffect,
    needs: Permissions<Arc<S3>>,
    run: Run,
) -> Row {
    Row::new(name, method, "/", effect, needs, run)
}

#[rustfmt::skip]
const OPERATIONS: &[Row] = &[
    row("AbortMultipartUpload", "DELETE", Changes, Needs(on_object), S3::abort_multipart_upload),
    row("CompleteMultipartUpload", "POST", Changes, Needs(on_object), S3::complete_multipart_upload),
    row("CopyObject", "PUT", Changes, Needs(copying), S3::copy_object),
    row("CreateBucket", "PUT", Changes, Needs(on_bucket), S3::create_bucket),
    row("CreateMultipartUpload", "POST", Changes, Needs(on_object), S3::create_multipart_upload),
    row("DeleteBucket", "DELETE", Changes, Needs(on_bucket), S3::delete_bucket),
    row("DeleteBucketCors", "DELETE", Changes, Needs(on_bucket), S3::delete_setting),
    row("DeleteBucketEncryption", "DELETE", Changes, Needs(on_bucket), S3::delete_setting),
    row("DeleteBucketLifecycle", "DELETE", Changes, Needs(on_bucket), S3::delete_setting),
    row("DeleteBucketOwnershipControls", "DELETE", Changes, Needs(on_bucket), S3::delete_setting),
    row("DeleteBucketPolicy", "DELETE", Changes, Needs(on_bucket), S3::delete_setting),
    row("DeleteBucketTagging", "DELETE", Changes, Needs(on_bucket), S3::delete_bucket_tagging),
    row("DeleteBucketWebsite", "DELETE", Changes, Needs(on_bucket), S3::delete_setting),
    row("DeleteObject", "DELETE", Changes, Needs(on_object), S3::delete_object),
    row("DeleteObjectTagging", "DELETE", Changes, Needs(on_object), S3::delete_object_tagging),
    row("DeleteObjects", "POST", Changes, Needs(on_object), S3::delete_objects),
    row("DeletePublicAccessBlock", "DELETE", Changes, Needs(on_bucket), S3::delete_setting),
    row("GetBucketAccelerateConfiguration", "GET", Reads, Needs(on_bucket), S3::get_setting),
    row("GetBucketAcl", "GET", Reads, Needs(on_bucket), S3::get_acl),
    row("GetBucketCors", "GET", Reads, Needs(on_bucket), S3::get_setting),
    row("GetBucketEncryption", "GET", Reads, Needs(on_bucket), S3::get_setting),
    row("GetBucketLifecycleConfiguration", "GET", Reads, Needs(on_bucket), S3::get_setting),
    row("GetBucketLocation", "GET", Reads, Needs(on_bucket), S3::get_bucket_location),
    row("GetBucketLogging", "GET", Reads, Needs(on_bucket), S3::get_setting),
    row("GetBucketNotificationConfiguration", "GET", Reads, Needs(on_bucket), S3::get_bucket_notification_configuration),
    row("GetBucketOwnershipControls", "GET", Reads, Needs(on_bucket), S3::get_setting),
    row("GetBucketPolicy", "GET", Reads, Needs(on_bucket), S3::get_setting),
    row("GetBucketRequestPayment", "GET", Reads, Needs(on_bucket), S3::get_setting),
    row("GetBucketTagging", "GET", Reads, Needs(on_bucket), S3::get_bucket_tagging),
    row("GetBucketVersioning", "GET", Reads, Needs(on_bucket), S3::get_setting),
    row("GetBucketWebsite", "GET", Reads, Needs(on_bucket), S3::get_setting),
    row("GetObject", "GET", Reads, Needs(on_object), S3::get_object),
    row("GetObjectAcl", "GET", Reads, Needs(on_object), S3::get_acl),
    row("GetObjectAttributes", "GET", Reads, Needs(on_object), S3::get_object_attributes),
    row("GetObjectTagging", "GET", Reads, Needs(on_object), S3::get_object_tagging),
    row("GetPublicAccessBlock", "GET", Reads, Needs(on_bucket), S3::get_setting),
    row("HeadBucket", "HEAD", Reads, Needs(on_bucket), S3::head_bucket),
    row("HeadObject", "HEAD", Reads, Needs(on_object), S3::head_object),
    row("ListBuckets", "GET", Reads, Needs(on_everything), S3::list_buckets),
    row("ListMultipartUploads", "GET", Reads, Needs(on_bucket), S3::list_multipart_uploads),
    row("ListObjectVersions", "GET", Reads, Needs(on_bucket), S3::list_object_versions),
    row("ListObjects", "GET", Reads, Needs(on_bucket), S3::list_objects),
    row("ListObjectsV2", "GET", Reads, Needs(on_bucket), S3::list_objects_v2),
    row("ListParts", "GET", Reads, Needs(on_object), S3::list_parts),
    row("PostObject", "POST", Changes, Permissions::None("its form says who signs it, and that is checked when it is read"), S3::post_object)
        .on_disk(MAX_OBJECT),
    row("PutBucketAccelerateConfiguration", "PUT", Changes, Needs(on_bucket), S3::put_setting),
    row("PutBucketAcl", "PUT", Changes, Needs(on_bucket), S3::put_acl),
    row("PutBucketCors", "PUT", Changes, Needs(on_bucket), S3::put_setting),
    row("PutBucketEncryption", "PUT", Changes, Needs(on_bucket), S3::put_setting),
    row("PutBucketLifecycleConfiguration", "PUT", Changes, Needs(on_bucket), S3::put_setting),
    row("PutBucketLogging", "PUT", Changes, Needs(on_bucket), S3::put_setting),
    row("PutBucketNotificationConfiguration", "PUT", Changes, Needs(on_bucket), S3::put_bucket_notification_configuration),
    row("PutBucketOwnershipControls", "PUT", Changes, Needs(on_bucket), S3::put_setting),
    row("PutBucketPolicy", "PUT", Changes, Needs(on_bucket), S3::put_setting),
    row("PutBucketRequestPayment", "PUT", Changes, Needs(on_bucket), S3::put_setting),
    row("PutBucketTagging", "PUT", Changes, Needs(on_bucket), S3::put_bucket_tagging),
    row("PutBucketVersioning", "PUT", Changes, Needs(on_bucket), S3::put_setting),
    row("PutBucketWebsite", "PUT", Changes, Needs(on_bucket), S3::put_setting),
    row("PutObject", "PUT", Changes, Needs(on_object), S3::put_object).on_disk(MAX_OBJECT),
    row("PutObjectAcl", "PUT", Changes, Needs(on_object), S3::put_acl),
    row("PutObjectTagging", "PUT", Changes, Needs(on_object), S3::put_object_tagging),
    row("PutPublicAccessBlock", "PUT", Changes, Needs(on_bucket), S3::put_setting),
    row("UploadPart", "PUT", Changes, Needs(on_object), S3::upload_part).on_disk(MAX_OBJECT),
    row("UploadPartCopy", "PUT", Changes, Needs(copying), S3::upload_part_copy),
];

/// The name of the operation that a request asks for; empty for one that is not served.
fn operation_of(request: &Request) -> &'static str {
    let (bucket, key) = place(request);
    let method = request.method.as_str();
    if bucket.is_empty() {
        return if method == "GET" { "ListBuckets" } else { "" };
    }
    let has = |name: &str| request.query.iter().any(|(known, _)| known == name);
    let is_object = !key.is_empty();
    if !is_object && UNSERVED.iter().any(|name| has(name)) {
        return "";
    }
    let fits = |route: &&Route| {
        route.method == method
            && route.is_object == is_object
            && (route.query.is_empty() || has(route.query))
            && (route.header.is_empty() || request.headers.contains_key(route.header))
    };
    match ROUTES.iter().find(fits) {
        Some(route) => route.name,
        None if is_object => "",
        None => match method {
            "GET" => "ListObjects",
            "PUT" => "CreateBucket",
            "DELETE" => "DeleteBucket",
            _ => "",
        },
    }
}

#[async_trait]
impl Service for Arc<S3> {
    type Run = Run;

    const NAME: &'static str = "s3";
    const PROTOCOL: Protocol = Protocol::RestXml;
    const OPERATIONS: &'static [Row] = OPERATIONS;

    fn unknown(request: &Request) -> ApiError {
        if request.method == http::Method::OPTIONS {
            return error::not_shared();
        }
        let asked: Vec<&str> = request.query.iter().map(|(name, _)| name.as_str()).take(3).collect();
        let method = &request.method;
        error::not_here(&match asked[..] {
            [] => format!("{method} on this resource"),
            _ => format!("{method} of {}", asked.join(", ")),
        })
    }

    fn too_large(operation: &Operation) -> ApiError {
        let message = "Your proposed upload exceeds the maximum allowed size";
        let limit = operation.body_limit.to_string();
        ApiError::new(400, "EntityTooLarge", message).with("MaxSizeAllowed", limit)
    }

    fn incoming(&self) -> Option<PathBuf> {
        Some(self.context.store.path(INCOMING))
    }

    fn admits_anyone(&self, head: &Request) -> bool {
        let (bucket, key) = place(head);
        let call = Call { request: head, operation: operation_of(head), bucket: &bucket, key: &key };
        // The signature of a form is in its body.
        let admits = || call.operation == "PostObject" || self.admit(&call).is_ok();
        head.caller.access_key.is_none() && !call.operation.is_empty() && admits()
    }

    /// Not where a header signs: a page that has credentials is one of the user's, who names its origin for all services.
    fn shared(&self, head: &Request) -> Option<HeaderMap> {
        let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|names| names.to_str().ok());
        let signs = asked.is_some_and(|names| names.split(',').any(|name| name.trim() == "authorization"));
        if signs || head.headers.contains_key(header::AUTHORIZATION) {
            return None;
        }
        self.state.now().bucket(&place(head).0).ok()?.shared(head)
    }

    fn find(request: &Request) -> Result<Found, ApiError> {
        let name = operation_of(request);
        let row = OPERATIONS.iter().position(|row| row.operation.name == name);
        let (bucket, key) = place(request);
        row.map(|row| (row, vec![bucket, key])).ok_or_else(|| Self::unknown(request))
    }

    /// Everything here waits for the disk.
    async fn run(&self, run: Run, call: ServiceCall) -> Result<Response, ApiError> {
        let s3 = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let operation = call.operation.name;
            let call = Call { request: &call.request, operation, bucket: call.id(0), key: call.id(1) };
            if operation != "PostObject" {
                s3.admit(&call)?;
            }
            run(&s3, &call)
        });
        done.await.map_err(error::broken)?
    }
}
