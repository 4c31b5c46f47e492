//! Objects: putting, getting, copying, tagging and deleting them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::sync::Arc;

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::buckets::{check_tag, empty, tagging, tags_in};
use super::call::{Answer, Call, copy_source};
use super::checksum::Algorithm;
use super::content;
use super::events::What;
use super::objects::{Attributes, Object, Objects};
use super::xml::{Element, answer, element, leaf};
use super::{S3, error};
use crate::local::context::clock::iso8601;
use crate::local::protocol::wire::{ApiError, FilePart, Response};

/// A time in a header (RFC 9110, 5.6.7).
const HTTP_TIME: &[BorrowedFormatItem<'static>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// Headers that are kept with an object, and given out with it.
const KEPT: &[&str] = &[
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
];

/// Headers that a request for an object can set for its answer: parameter, header.
const OVERRIDES: &[(&str, &str)] = &[
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
    ("response-content-language", "content-language"),
    ("response-content-type", "content-type"),
    ("response-expires", "expires"),
];

/// What an object can be protected with on AWS, and not here: the beginnings of headers.
const UNSERVED: &[&str] = &[
    "x-amz-server-side-encryption-customer-",
    "x-amz-object-lock-",
    "x-amz-copy-source-server-side-encryption-customer-",
];

/// The longest key in bytes, the most metadata in bytes, and the most tags of an object (S3 user guide).
const MAX_KEY: usize = 1024;
const MAX_METADATA: usize = 2048;
const MAX_TAGS: usize = 10;

/// What a client says of an object in the headers of a request.
///
/// # Errors
/// What S3 refuses, and what is not served here.
pub fn attributes_of(call: &Call<'_>) -> Result<Attributes, ApiError> {
    if call.key.len() > MAX_KEY {
        return Err(ApiError::new(400, "KeyTooLongError", "Your key is too long"));
    }
    let headers = || call.request.headers.iter().map(|(name, value)| (name.as_str(), value));
    if let Some((name, _)) = headers().find(|(name, _)| UNSERVED.iter().any(|start| name.starts_with(start))) {
        return Err(error::not_here(name));
    }
    let mut attributes = Attributes::default();
    for (name, value) in headers() {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if let Some(name) = name.strip_prefix("x-amz-meta-") {
            attributes.metadata.insert(name.to_owned(), text);
        } else if name == "content-encoding" {
            let encodings: Vec<&str> = text.split(',').map(str::trim).filter(|one| *one != "aws-chunked").collect();
            if !encodings.is_empty() && encodings != [""] {
                attributes.headers.insert(name.to_owned(), encodings.join(","));
            }
        } else if KEPT.contains(&name) && text != "STANDARD" {
            attributes.headers.insert(name.to_owned(), text);
        }
    }
    attributes.headers.entry("content-type".to_owned()).or_insert_with(|| "binary/octet-stream".to_owned());
    if attributes.metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_METADATA {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(ApiError::new(400, "MetadataTooLarge", message));
    }
    if let Some(tags) = call.header("x-amz-tagging") {
        for (key, value) in form_urlencoded::parse(tags.as_bytes()) {
            check_tag(&key, &value)?;
            attributes.tags.insert(key.into_owned(), value.into_owned());
        }
        check_count(&attributes.tags)?;
    }
    Ok(attributes)
}

fn check_count(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > MAX_TAGS {
        return Err(ApiError::new(400, "BadRequest", format!("Object tags cannot be greater than {MAX_TAGS}")));
    }
    Ok(())
}

/// A time as headers have it.
pub fn http_time(millis: i64) -> String {
    moment(millis).format(HTTP_TIME).unwrap_or_default()
}

fn moment(millis: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(millis.div_euclid(1000))
}

/// Whether one of the ETags in a condition is this one.
fn names(condition: &str, etag: &str) -> bool {
    condition
        .split(',')
        .map(|one| one.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|one| one == "*" || one == etag)
}

/// Holds the conditions of a request against an object; `prefix` stands before the names of their headers. `Some` says that the
/// client has it already.
///
/// # Errors
/// `PreconditionFailed`.
fn unmodified(call: &Call<'_>, object: &Object, prefix: &str) -> Result<bool, ApiError> {
    let header = |name: &str| call.header(&format!("{prefix}{name}"));
    let time = |name: &str| Some(PrimitiveDateTime::parse(header(name)?, HTTP_TIME).ok()?.assume_utc());
    let modified = moment(object.modified);
    match header("if-match") {
        Some(condition) if !names(condition, &object.etag) => return Err(error::precondition("If-Match")),
        Some(_) => {}
        None if time("if-unmodified-since").is_some_and(|time| modified > time) => {
            return Err(error::precondition("If-Unmodified-Since"));
        }
        None => {}
    }
    Ok(match header("if-none-match") {
        Some(condition) => names(condition, &object.etag),
        None => time("if-modified-since").is_some_and(|time| modified <= time),
    })
}

/// Holds the version that a call names against the only one that objects have.
///
/// # Errors
/// `NoSuchVersion`.
fn check_version(call: &Call<'_>) -> Result<(), ApiError> {
    match call.query("versionId") {
        None | Some("null") => Ok(()),
        Some(version) => {
            let message = "The specified version does not exist.";
            Err(ApiError::new(404, "NoSuchVersion", message).with("Key", call.key).with("VersionId", version))
        }
    }
}

/// Holds `If-Match` against an object.
///
/// # Errors
/// `PreconditionFailed`; `NoSuchKey` where there is no object.
fn check_match(call: &Call<'_>, key: &str, object: Option<&Object>) -> Result<(), ApiError> {
    let Some(condition) = call.header("if-match") else { return Ok(()) };
    if !names(condition, &object.ok_or_else(|| error::no_key(key))?.etag) {
        return Err(error::precondition("If-Match"));
    }
    Ok(())
}

/// The bytes that a `Range` header asks for, of a file with a size: where they begin, and how many; `None` for all.
///
/// # Errors
/// `InvalidRange` for what lies behind the end.
pub fn range(header: Option<&str>, size: u64) -> Result<Option<(u64, u64)>, ApiError> {
    let Some(range) = header.and_then(|header| header.strip_prefix("bytes=")) else { return Ok(None) };
    // Several ranges, or none: S3 gives all.
    let Some((from, to)) = range.split_once('-').filter(|_| !range.contains(',')) else { return Ok(None) };
    let (from, to) = (from.trim(), to.trim());
    let (start, end) = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) if from > to => return Ok(None),
        (Ok(from), Ok(to)) => (from, to.saturating_add(1).min(size)),
        (Ok(from), Err(_)) if to.is_empty() => (from, size),
        (Err(_), Ok(last)) if from.is_empty() => (size.saturating_sub(last), if last == 0 { 0 } else { size }),
        _ => return Ok(None),
    };
    if start >= end {
        let message = "The requested range is not satisfiable";
        let error = ApiError::new(416, "InvalidRange", message).with("ActualObjectSize", size.to_string());
        return Err(error.with("RangeRequested", header.unwrap_or_default()));
    }
    Ok(Some((start, end - start)))
}

impl S3 {
    pub fn put_object(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        let mut attributes = attributes_of(call)?;
        self.check_acl(call)?;
        // What is refused anyway is not taken to the disk.
        self.check_write(call, self.objects.get(call.bucket, call.key).ok().as_ref())?;
        let file = Objects::new_name();
        let content = content::receive(call.request, &self.objects.folder().join(&file))?;
        attributes.checksum = content.checksum.clone().map(|(algorithm, value)| (algorithm.name().to_owned(), value));
        let object = Object::new(call.key, file, &content, attributes);
        self.put(call, &object)?;
        self.tell(call, What::Put, &object);
        let mut response = written(&object);
        if let Some((algorithm, value)) = &content.checksum {
            response = response.with_header(algorithm.header(), value);
        }
        Ok(response)
    }

    /// Keeps an object whose file is written, unless the conditions of the call do not hold any more.
    ///
    /// # Errors
    /// `PreconditionFailed`; `NoSuchKey`; `NoSuchBucket`.
    pub fn put(&self, call: &Call<'_>, object: &Object) -> Result<(), ApiError> {
        let put = self.objects.put(call.bucket, object, |old| {
            self.state.now().bucket(call.bucket)?;
            self.check_write(call, old)
        });
        self.kept(&object.file, put)
    }

    /// Removes a file that was not kept.
    ///
    /// # Errors
    /// Why it was not.
    pub fn kept<T>(&self, file: &str, kept: Result<T, ApiError>) -> Result<T, ApiError> {
        kept.inspect_err(|_| self.drop_file(file))
    }

    /// Holds the conditions of a write against the object that is there.
    ///
    /// # Errors
    /// `PreconditionFailed`; `NoSuchKey`.
    pub fn check_write(&self, call: &Call<'_>, old: Option<&Object>) -> Result<(), ApiError> {
        if old.is_some() && call.header("if-none-match").is_some_and(|condition| condition.trim() == "*") {
            return Err(error::precondition("If-None-Match"));
        }
        check_match(call, call.key, old)
    }

    pub fn get_object(&self, call: &Call<'_>) -> Answer {
        self.give(call, true)
    }

    pub fn head_object(&self, call: &Call<'_>) -> Answer {
        self.give(call, false)
    }

    /// An object, with its content or without.
    fn give(&self, call: &Call<'_>, with_content: bool) -> Answer {
        self.state.now().bucket(call.bucket)?;
        let (object, file) = self.objects.open_object(call.bucket, call.key)?;
        check_version(call)?;
        if unmodified(call, &object, "")? {
            return Ok(described(empty(304), call, &object));
        }
        let asked = match call.query("partNumber") {
            Some("1") if object.attributes.parts.is_none() => Some((0, object.size)),
            Some(_) => return Err(error::not_here("partNumber of an object")),
            None => range(call.header("range"), object.size)?,
        };
        let (status, start, length) = asked.map_or((200, 0, object.size), |(start, length)| (206, start, length));
        let response = if with_content {
            Response::of_file(status, FilePart { file: Arc::new(file), start, length })
        } else {
            empty(status)
        };
        let mut response = described(response, call, &object)
            .with_header("accept-ranges", "bytes")
            .with_header("content-length", &length.to_string());
        if status == 206 {
            let shown = format!("bytes {start}-{}/{}", (start + length).saturating_sub(1), object.size);
            response = response.with_header("content-range", &shown);
        } else if call.header("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("ENABLED")) {
            response = with_checksum(response, &object);
        }
        Ok(response)
    }

    /// The object that a call names.
    fn find(&self, call: &Call<'_>) -> Result<Object, ApiError> {
        let object = self.objects.get(call.bucket, call.key)?;
        check_version(call)?;
        Ok(object)
    }

    pub fn delete_object(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        self.remove(call, call.key, |old| check_match(call, call.key, old))?;
        Ok(empty(204))
    }

    fn remove(
        &self,
        call: &Call<'_>,
        key: &str,
        allowed: impl FnOnce(Option<&Object>) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        if let Some(gone) = self.objects.delete(call.bucket, key, allowed)? {
            self.tell(call, What::Delete, &gone);
        }
        Ok(())
    }

    pub fn delete_objects(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        let sent = Element::read(&call.request.body)?;
        let quiet = sent.text_of("Quiet") == Some("true");
        let keys: Vec<&str> = sent.all("Object").filter_map(|one| Some(one.child("Key")?.text.as_str())).collect();
        if keys.is_empty() || keys.len() > 1000 {
            return Err(error::malformed());
        }
        let mut results = String::new();
        for key in keys {
            match self.remove(call, key, |_| Ok(())) {
                Ok(()) if quiet => {}
                Ok(()) => results.push_str(&element("Deleted", &leaf("Key", key))),
                Err(error) => {
                    let why = format!("{}{}", leaf("Code", &error.code), leaf("Message", &error.message));
                    results.push_str(&element("Error", &format!("{}{why}", leaf("Key", key))));
                }
            }
        }
        Ok(answer("DeleteResult", &results))
    }

    /// The source of a copy: its bucket, the object, and its content.
    ///
    /// # Errors
    /// A source that is not there, or does not meet the conditions.
    pub fn source_of(&self, call: &Call<'_>) -> Result<(String, Object, File), ApiError> {
        let header = call.header("x-amz-copy-source").unwrap_or_default();
        let named = copy_source(header);
        let (bucket, key) = named.ok_or_else(|| {
            error::invalid("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
        })?;
        self.state.now().bucket(&bucket)?;
        let (source, file) = self.objects.open_object(&bucket, &key)?;
        if unmodified(call, &source, "x-amz-copy-source-")? {
            return Err(error::precondition("x-amz-copy-source-If-None-Match"));
        }
        Ok((bucket, source, file))
    }

    pub fn copy_object(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        let (bucket, source, from) = self.source_of(call)?;
        let mut attributes = attributes_of(call)?;
        self.check_acl(call)?;
        let replaces = |directive: &str| call.header(directive) == Some("REPLACE");
        if !replaces("x-amz-metadata-directive") {
            if bucket == call.bucket && source.key == call.key && call.header("x-amz-storage-class").is_none() {
                return Err(error::bad_request(
                    "This copy request is illegal because it is trying to copy an object to itself without changing the object's \
                     metadata, storage class, website redirect location or encryption attributes.",
                ));
            }
            let class = attributes.headers.remove("x-amz-storage-class");
            attributes.headers.clone_from(&source.attributes.headers);
            attributes.headers.remove("x-amz-storage-class");
            attributes.headers.extend(class.map(|class| ("x-amz-storage-class".to_owned(), class)));
            attributes.metadata.clone_from(&source.attributes.metadata);
        }
        if !replaces("x-amz-tagging-directive") {
            attributes.tags.clone_from(&source.attributes.tags);
        }
        let wanted = call.header("x-amz-checksum-algorithm").and_then(Algorithm::named);
        let kept = source.attributes.checksum.as_ref().and_then(|(name, _)| Algorithm::named(name));
        let file = Objects::new_name();
        let to = self.objects.folder().join(&file);
        let content = content::copy(from, 0, source.size, &to, wanted.or(kept))?;
        attributes.checksum = content.checksum.clone().map(|(algorithm, value)| (algorithm.name().to_owned(), value));
        let object = Object::new(call.key, file, &content, attributes);
        self.put(call, &object)?;
        self.tell(call, What::Copy, &object);
        Ok(answer("CopyObjectResult", &copied(&object)))
    }

    pub fn get_object_attributes(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        let object = self.find(call)?;
        let asked = call.header("x-amz-object-attributes").unwrap_or_default();
        let asked: Vec<&str> = asked.split(',').map(str::trim).collect();
        let mut inner = String::new();
        if asked.contains(&"ETag") {
            inner.push_str(&leaf("ETag", &object.etag));
        }
        if let Some((name, value)) = object.attributes.checksum.as_ref().filter(|_| asked.contains(&"Checksum")) {
            inner.push_str(&element("Checksum", &leaf(&format!("Checksum{name}"), value)));
        }
        if let Some(parts) = object.attributes.parts.filter(|_| asked.contains(&"ObjectParts")) {
            inner.push_str(&element("ObjectParts", &leaf("PartsCount", parts)));
        }
        if asked.contains(&"StorageClass") {
            let class = object.attributes.headers.get("x-amz-storage-class").map_or("STANDARD", String::as_str);
            inner.push_str(&leaf("StorageClass", class));
        }
        if asked.contains(&"ObjectSize") {
            inner.push_str(&leaf("ObjectSize", object.size));
        }
        Ok(answer("GetObjectAttributesResponse", &inner).with_header("last-modified", &http_time(object.modified)))
    }

    pub fn get_object_tagging(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        Ok(tagging(&self.find(call)?.attributes.tags))
    }

    pub fn put_object_tagging(&self, call: &Call<'_>) -> Answer {
        let tags = tags_in(Element::read(&call.request.body)?.child("TagSet"))?;
        check_count(&tags)?;
        self.retag_object(call, tags, What::TaggingPut)?;
        Ok(empty(200))
    }

    pub fn delete_object_tagging(&self, call: &Call<'_>) -> Answer {
        self.retag_object(call, BTreeMap::new(), What::TaggingDelete)?;
        Ok(empty(204))
    }

    fn retag_object(&self, call: &Call<'_>, tags: BTreeMap<String, String>, what: What) -> Result<(), ApiError> {
        self.state.now().bucket(call.bucket)?;
        let object = self.objects.retag(call.bucket, call.key, tags, |_| check_version(call))?;
        self.tell(call, what, &object);
        Ok(())
    }

    /// Removes a file that nothing names.
    pub fn drop_file(&self, file: &str) {
        let _ = fs::remove_file(self.objects.folder().join(file));
    }
}

/// The answer to a write.
pub fn written(object: &Object) -> Response {
    empty(200)
        .with_header("etag", &format!("\"{}\"", object.etag))
        .with_header("x-amz-server-side-encryption", "AES256")
}

/// What a copy gives.
pub fn copied(object: &Object) -> String {
    let checksum = object.attributes.checksum.as_ref();
    let checksum = checksum.map(|(name, value)| leaf(&format!("Checksum{name}"), value)).unwrap_or_default();
    let etag = leaf("ETag", format!("\"{}\"", object.etag));
    format!("{}{etag}{checksum}", leaf("LastModified", iso8601(object.modified)))
}

/// An answer with what is known of an object.
fn described(mut response: Response, call: &Call<'_>, object: &Object) -> Response {
    response.headers.remove(http::header::CONTENT_TYPE);
    let attributes = &object.attributes;
    let mut set = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) =
            (http::HeaderName::try_from(name), http::HeaderValue::from_bytes(value.as_bytes()))
        {
            response.headers.insert(name, value);
        }
    };
    for (name, value) in &attributes.headers {
        set(name, value);
    }
    for (name, value) in &attributes.metadata {
        set(&format!("x-amz-meta-{name}"), value);
    }
    for (parameter, header) in OVERRIDES {
        if let Some(value) = call.query(parameter) {
            set(header, value);
        }
    }
    if !attributes.tags.is_empty() {
        set("x-amz-tagging-count", &attributes.tags.len().to_string());
    }
    set("etag", &format!("\"{}\"", object.etag));
    set("last-modified", &http_time(object.modified));
    set("x-amz-server-side-encryption", "AES256");
    response
}

/// An answer with an object's checksum.
fn with_checksum(response: Response, object: &Object) -> Response {
    let Some((name, value)) = &object.attributes.checksum else { return response };
    let Some(algorithm) = Algorithm::named(name) else { return response };
    let kind = if object.attributes.is_composite { "COMPOSITE" } else { "FULL_OBJECT" };
    response.with_header(algorithm.header(), value).with_header("x-amz-checksum-type", kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_of_bytes() {
        for (header, expected) in [
            ("bytes=0-0", Some((0, 1))),
            ("bytes=2-", Some((2, 8))),
            ("bytes=-3", Some((7, 3))),
            ("bytes=-30", Some((0, 10))),
            ("bytes=5-99", Some((5, 5))),
            ("bytes=5-4", None),
            ("bytes=0-1,3-4", None),
            ("bytes=x-", None),
            ("items=0-1", None),
        ] {
            assert_eq!(range(Some(header), 10).unwrap(), expected, "{header}");
        }
        for header in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
            assert_eq!(range(Some(header), 10).unwrap_err().code, "InvalidRange", "{header}");
        }
        assert_eq!(range(None, 10).unwrap(), None);
    }
}
