//! Buckets: creating, finding, listing and deleting them, and their tags.

use std::collections::BTreeMap;

use super::call::{Answer, Call};
use super::xml::{self, Element, answer, element, leaf};
use super::{Bucket, S3, arn, error};
use crate::local::context::ACCOUNT;
use crate::local::context::clock::{iso8601, now_millis};
use crate::local::protocol::wire::{ApiError, Response};

/// How many tags a bucket can have (S3 user guide, "Using cost allocation S3 bucket tags").
pub const MAX_TAGS: usize = 50;

/// The canonical id of the account.
pub const OWNER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// S3's first region, which has no name there.
const FIRST_REGION: &str = "us-east-1";

/// Whether a name is a bucket's (S3 user guide, "General purpose bucket naming rules").
fn is_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.bytes().all(|byte| letters(byte) || byte == b'-' || byte == b'.')
        && name.bytes().next().is_some_and(letters)
        && name.bytes().last().is_some_and(letters)
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !name.starts_with("xn--")
}

impl S3 {
    /// Creates a bucket.
    ///
    /// # Errors
    /// A name that is none, or is taken.
    pub fn add_bucket(&self, name: &str, bucket: Bucket) -> Result<(), ApiError> {
        if !is_name(name) {
            let message = "The specified bucket is not valid.";
            return Err(ApiError::new(400, "InvalidBucketName", message).with("BucketName", name));
        }
        self.state.change(|state| {
            if let Some(old) = state.buckets.get(name) {
                // In the first region creating a bucket that is one's own already is no mistake.
                if old.region == FIRST_REGION && bucket.region == FIRST_REGION {
                    return Ok(());
                }
                let message = "Your previous request to create the named bucket succeeded and you already own it.";
                return Err(ApiError::new(409, "BucketAlreadyOwnedByYou", message).with("BucketName", name));
            }
            state.buckets.insert(name.to_owned(), bucket);
            Ok(())
        })
    }

    /// Deletes a bucket that has no objects.
    ///
    /// # Errors
    /// `BucketNotEmpty`; `NoSuchBucket`.
    pub fn remove_bucket(&self, name: &str) -> Result<(), ApiError> {
        self.state.change(|state| {
            state.bucket(name)?;
            if !self.objects.is_empty(name)? {
                let message = "The bucket you tried to delete is not empty";
                return Err(ApiError::new(409, "BucketNotEmpty", message).with("BucketName", name));
            }
            state.buckets.remove(name);
            Ok(())
        })?;
        self.objects.forget_bucket(name)
    }

    pub fn create_bucket(&self, call: &Call<'_>) -> Answer {
        let mut region = call.request.caller.region.clone();
        if !call.request.body.is_empty() {
            let sent = Element::read(&call.request.body)?;
            match sent.text_of("LocationConstraint").filter(|place| !place.is_empty()) {
                Some("EU") => "eu-west-1".clone_into(&mut region),
                Some(place) => place.clone_into(&mut region),
                None => {}
            }
        }
        let tags = match call.request.body.is_empty() {
            true => BTreeMap::new(),
            false => tags_in(Element::read(&call.request.body)?.child("Tags"))?,
        };
        self.add_bucket(call.bucket, Bucket { region, created: now_millis(), tags, ..Bucket::default() })?;
        let response = empty(200).with_header("location", &format!("/{}", call.bucket));
        Ok(response.with_header("x-amz-bucket-arn", &arn(call.bucket)))
    }

    pub fn delete_bucket(&self, call: &Call<'_>) -> Answer {
        self.remove_bucket(call.bucket)?;
        Ok(empty(204))
    }

    pub fn head_bucket(&self, call: &Call<'_>) -> Answer {
        let region = self.state.now().bucket(call.bucket)?.region.clone();
        Ok(empty(200).with_header("x-amz-bucket-region", &region))
    }

    pub fn get_bucket_location(&self, call: &Call<'_>) -> Answer {
        let state = self.state.now();
        let region = &state.bucket(call.bucket)?.region;
        Ok(answer("LocationConstraint", if region == FIRST_REGION { "" } else { region }))
    }

    pub fn list_buckets(&self, call: &Call<'_>) -> Answer {
        let state = self.state.now();
        let most = most(call.query("max-buckets"), "max-buckets", 10_000)?;
        let after = call.query("continuation-token").unwrap_or_default();
        let prefix = call.query("prefix").unwrap_or_default();
        let region = call.query("bucket-region");
        let wanted: Vec<_> = state
            .buckets
            .iter()
            .filter(|(name, bucket)| {
                name.as_str() > after && name.starts_with(prefix) && region.is_none_or(|region| bucket.region == region)
            })
            .collect();
        let buckets: String = wanted
            .iter()
            .take(most)
            .map(|(name, bucket)| {
                let created = leaf("CreationDate", iso8601(bucket.created));
                element("Bucket", &format!("{}{created}{}", leaf("Name", name), leaf("BucketRegion", &bucket.region)))
            })
            .collect();
        let next = wanted.get(most.wrapping_sub(1)).filter(|_| wanted.len() > most);
        let next = next.map(|(name, _)| leaf("ContinuationToken", name)).unwrap_or_default();
        Ok(answer("ListAllMyBucketsResult", &format!("{}{}{next}", owner("Owner"), element("Buckets", &buckets))))
    }

    pub fn get_bucket_tagging(&self, call: &Call<'_>) -> Answer {
        let state = self.state.now();
        let tags = &state.bucket(call.bucket)?.tags;
        if tags.is_empty() {
            return Err(ApiError::new(404, "NoSuchTagSet", "The TagSet does not exist").with("BucketName", call.bucket));
        }
        Ok(tagging(tags))
    }

    pub fn put_bucket_tagging(&self, call: &Call<'_>) -> Answer {
        let tags = tags_in(Element::read(&call.request.body)?.child("TagSet"))?;
        if tags.len() > MAX_TAGS {
            let message = format!("Bucket tag count cannot be greater than {MAX_TAGS}");
            return Err(ApiError::new(400, "BadRequest", message));
        }
        self.state.change(|state| {
            state.bucket_mut(call.bucket)?.tags = tags;
            Ok(())
        })?;
        Ok(empty(204))
    }

    pub fn delete_bucket_tagging(&self, call: &Call<'_>) -> Answer {
        self.state.change(|state| {
            state.bucket_mut(call.bucket)?.tags.clear();
            Ok(())
        })?;
        Ok(empty(204))
    }

    /// An object's or a bucket's access control list: everything is its owner's.
    pub fn get_acl(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        if !call.key.is_empty() {
            self.objects.get(call.bucket, call.key)?;
        }
        let grantee = format!(
            "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">{}</Grantee>",
            leaf("ID", OWNER)
        );
        let grant = element("Grant", &format!("{grantee}{}", leaf("Permission", "FULL_CONTROL")));
        let list = element("AccessControlList", &grant);
        Ok(answer("AccessControlPolicy", &format!("{}{list}", owner("Owner"))))
    }

    pub fn put_acl(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        if !call.key.is_empty() {
            self.objects.get(call.bucket, call.key)?;
        }
        self.check_acl(call)?;
        if call.header("x-amz-acl").is_none() {
            return Err(error::not_here("access control lists; use a bucket policy"));
        }
        Ok(empty(200))
    }

    /// Refuses access control lists where the bucket has none, as new buckets have not. Elsewhere they are taken and count for
    /// nothing.
    ///
    /// # Errors
    /// `AccessControlListNotSupported`.
    pub fn check_acl(&self, call: &Call<'_>) -> Result<(), ApiError> {
        let Some(list) = call.header("x-amz-acl").filter(|one| !["bucket-owner-full-control", "private"].contains(one))
        else {
            return Ok(());
        };
        let state = self.state.now();
        if state.bucket(call.bucket)?.has_lists() {
            tracing::warn!("s3://{}/{}: the list \"{list}\" grants nothing here", call.bucket, call.key);
            return Ok(());
        }
        Err(ApiError::new(400, "AccessControlListNotSupported", "The bucket does not allow ACLs"))
    }
}

impl Bucket {
    /// Whether access control lists are allowed: new buckets do without.
    fn has_lists(&self) -> bool {
        let ownership = match self.settings.get("ownershipControls") {
            Some(document) => Element::read(document.as_bytes())
                .ok()
                .and_then(|root| Some(root.child("Rule")?.text_of("ObjectOwnership")?.to_owned())),
            None => self
                .properties
                .get("OwnershipControls")
                .and_then(|controls| controls["Rules"].get(0)?["ObjectOwnership"].as_str().map(str::to_owned)),
        };
        ownership.is_some_and(|ownership| ownership != "BucketOwnerEnforced")
    }
}

/// An answer without a body.
pub fn empty(status: u16) -> Response {
    let mut response = Response::empty(status);
    response.headers.remove(http::header::CONTENT_TYPE);
    response
}

/// The account as an owner.
pub fn owner(name: &str) -> String {
    element(name, &format!("{}{}", leaf("ID", OWNER), leaf("DisplayName", ACCOUNT)))
}

/// How many to list: the parameter `name`, at most `limit`.
///
/// # Errors
/// `InvalidArgument` for what is no number.
pub fn most(given: Option<&str>, name: &str, limit: usize) -> Result<usize, ApiError> {
    let Some(given) = given else { return Ok(limit) };
    let most: usize =
        given.parse().map_err(|_| error::invalid(format!("Provided {name} not an integer or within integer range")))?;
    Ok(most.min(limit))
}

/// Tags as an answer.
pub fn tagging(tags: &BTreeMap<String, String>) -> Response {
    let set: String = tags
        .iter()
        .map(|(key, value)| element("Tag", &format!("{}{}", leaf("Key", key), leaf("Value", value))))
        .collect();
    xml::answer("Tagging", &element("TagSet", &set))
}

/// The tags in a `TagSet`.
///
/// # Errors
/// `InvalidTag` for a key that is there twice.
pub fn tags_in(set: Option<&Element>) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for tag in set.into_iter().flat_map(|set| set.all("Tag")) {
        let key = tag.child("Key").ok_or_else(error::malformed)?.text.clone();
        let value = tag.child("Value").map(|value| value.text.clone()).unwrap_or_default();
        check_tag(&key, &value)?;
        if tags.insert(key, value).is_some() {
            let message = "Cannot provide multiple Tags with the same key";
            return Err(ApiError::new(400, "InvalidTag", message));
        }
    }
    Ok(tags)
}

/// Checks a tag's lengths.
///
/// # Errors
/// `InvalidTag`.
pub fn check_tag(key: &str, value: &str) -> Result<(), ApiError> {
    if key.is_empty() || key.chars().count() > 128 {
        return Err(ApiError::new(400, "InvalidTag", "The TagKey you have provided is invalid").with("TagKey", key));
    }
    if value.chars().count() > 256 {
        return Err(ApiError::new(400, "InvalidTag", "The TagValue you have provided is invalid").with("TagKey", key));
    }
    Ok(())
}
