//! The permissions that S3's operations need (Service Authorization Reference, "Amazon S3").

use super::arn;
use super::call::copy_source;
use super::xml::Element;
use crate::core::iam::need::Need;
use crate::local::protocol::service::ServiceCall;

/// Actions that have another name than their operations.
const ACTIONS: &[(&str, &str)] = &[
    ("CompleteMultipartUpload", "PutObject"),
    ("CopyObject", "PutObject"),
    ("CreateMultipartUpload", "PutObject"),
    ("DeleteBucketCors", "PutBucketCORS"),
    ("DeleteBucketEncryption", "PutEncryptionConfiguration"),
    ("DeleteBucketLifecycle", "PutLifecycleConfiguration"),
    ("DeleteBucketOwnershipControls", "PutBucketOwnershipControls"),
    ("DeleteBucketTagging", "PutBucketTagging"),
    ("DeletePublicAccessBlock", "PutBucketPublicAccessBlock"),
    ("DeleteObjects", "DeleteObject"),
    ("GetBucketAccelerateConfiguration", "GetAccelerateConfiguration"),
    ("GetBucketCors", "GetBucketCORS"),
    ("GetBucketEncryption", "GetEncryptionConfiguration"),
    ("GetBucketLifecycleConfiguration", "GetLifecycleConfiguration"),
    ("GetBucketNotificationConfiguration", "GetBucketNotification"),
    ("GetObjectAttributes", "GetObject"),
    ("GetPublicAccessBlock", "GetBucketPublicAccessBlock"),
    ("HeadBucket", "ListBucket"),
    ("HeadObject", "GetObject"),
    ("ListBuckets", "ListAllMyBuckets"),
    ("ListMultipartUploads", "ListBucketMultipartUploads"),
    ("ListObjectVersions", "ListBucketVersions"),
    ("ListObjects", "ListBucket"),
    ("ListObjectsV2", "ListBucket"),
    ("ListParts", "ListMultipartUploadParts"),
    ("PutBucketAccelerateConfiguration", "PutAccelerateConfiguration"),
    ("PutBucketCors", "PutBucketCORS"),
    ("PutBucketEncryption", "PutEncryptionConfiguration"),
    ("PutBucketLifecycleConfiguration", "PutLifecycleConfiguration"),
    ("PutBucketNotificationConfiguration", "PutBucketNotification"),
    ("PutPublicAccessBlock", "PutBucketPublicAccessBlock"),
    ("UploadPart", "PutObject"),
    ("UploadPartCopy", "PutObject"),
];

/// The action that an operation needs: `s3:GetObject`.
pub fn action(operation: &str) -> String {
    let known = ACTIONS.iter().find(|(name, _)| *name == operation);
    format!("s3:{}", known.map_or(operation, |(_, action)| action))
}

/// The operation on its bucket.
pub fn on_bucket(call: &ServiceCall) -> Vec<Need> {
    let mut need = Need::new(action(call.operation.name), arn(call.id(0)));
    for (parameter, key) in [("prefix", "s3:prefix"), ("delimiter", "s3:delimiter"), ("max-keys", "s3:max-keys")] {
        if let Some(value) = call.request.query(parameter) {
            need = need.with(key, value);
        }
    }
    vec![need]
}

/// The operation on its object, or on all that its body names.
pub fn on_object(call: &ServiceCall) -> Vec<Need> {
    let (bucket, name) = (call.id(0), call.operation.name);
    if name == "DeleteObjects" {
        let keys = Element::read(&call.request.body).unwrap_or_default();
        let keys = keys.all("Object").filter_map(|object| object.text_of("Key"));
        return keys.map(|key| Need::new(action(name), arn(&format!("{bucket}/{key}")))).collect();
    }
    let object = arn(&format!("{bucket}/{}", call.id(1)));
    let mut needs = vec![Need::new(action(name), object.as_str())];
    if call.request.headers.contains_key("x-amz-tagging") {
        needs.push(Need::new("s3:PutObjectTagging", object));
    }
    needs
}

/// The operation on its object, and the source's.
pub fn copying(call: &ServiceCall) -> Vec<Need> {
    let mut needs = on_object(call);
    let header = call.request.headers.get("x-amz-copy-source").and_then(|value| value.to_str().ok());
    if let Some((bucket, key)) = header.and_then(copy_source) {
        needs.push(Need::new("s3:GetObject", arn(&format!("{bucket}/{key}"))));
    }
    needs
}

/// The operation on no bucket in particular.
pub fn on_everything(call: &ServiceCall) -> Vec<Need> {
    vec![Need::new(action(call.operation.name), "*")]
}
