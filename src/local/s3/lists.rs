//! Lists of objects, in S3's three forms.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::buckets::{most, owner};
use super::objects::{Listing, Object, Page};
use super::operations::{Answer, Call};
use super::xml::{answer, element, leaf};
use super::{S3, error};
use crate::local::context::clock::iso8601;
use crate::local::protocol::wire::ApiError;

/// How many keys a page has at most.
const PAGE: usize = 1000;

/// What stays as it is in keys of the encoding `url`.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// What a call asks for.
struct Asked<'a> {
    call: &'a Call<'a>,
    listing: Listing,
    is_encoded: bool,
}

impl<'a> Asked<'a> {
    fn of(call: &'a Call<'a>, after: &str) -> Result<Self, ApiError> {
        let text = |name: &str| call.query(name).unwrap_or_default().to_owned();
        let is_encoded = match call.query("encoding-type") {
            None => false,
            Some("url") => true,
            Some(_) => return Err(error::invalid("Invalid Encoding Method specified in Request")),
        };
        let most = most(call.query("max-keys"), "max-keys", PAGE)?;
        let listing = Listing { prefix: text("prefix"), delimiter: text("delimiter"), after: after.to_owned(), most };
        Ok(Self { call, listing, is_encoded })
    }

    fn key(&self, key: &str) -> String {
        if self.is_encoded { utf8_percent_encode(key, KEY).to_string() } else { key.to_owned() }
    }

    /// What every form begins with.
    fn head(&self, page: &Page) -> String {
        let Listing { prefix, delimiter, most, .. } = &self.listing;
        let mut head = format!("{}{}", leaf("Name", self.call.bucket), leaf("Prefix", self.key(prefix)));
        if !delimiter.is_empty() {
            head.push_str(&leaf("Delimiter", self.key(delimiter)));
        }
        if self.is_encoded {
            head.push_str(&leaf("EncodingType", "url"));
        }
        format!("{head}{}{}", leaf("MaxKeys", most), leaf("IsTruncated", page.next.is_some()))
    }

    fn object(&self, object: &Object, with_owner: bool) -> String {
        let class = object.attributes.headers.get("x-amz-storage-class").map_or("STANDARD", String::as_str);
        let checksum = object.attributes.checksum.as_ref();
        let checksum = checksum.map(|(name, _)| leaf("ChecksumAlgorithm", name)).unwrap_or_default();
        format!(
            "{}{}{}{checksum}{}{}{}",
            leaf("Key", self.key(&object.key)),
            leaf("LastModified", iso8601(object.modified)),
            leaf("ETag", format!("\"{}\"", object.etag)),
            leaf("Size", object.size),
            if with_owner { owner("Owner") } else { String::new() },
            leaf("StorageClass", class)
        )
    }

    fn prefixes(&self, page: &Page) -> String {
        page.prefixes.iter().map(|prefix| element("CommonPrefixes", &leaf("Prefix", self.key(prefix)))).collect()
    }
}

impl S3 {
    pub fn list_objects(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        let marker = call.query("marker").unwrap_or_default();
        let asked = Asked::of(call, marker)?;
        let page = self.objects.list(call.bucket, &asked.listing)?;
        let mut inner = format!("{}{}", asked.head(&page), leaf("Marker", asked.key(marker)));
        // Without a delimiter, the last key is where the next page begins.
        if let Some(next) = page.next.as_ref().filter(|_| !asked.listing.delimiter.is_empty()) {
            inner.push_str(&leaf("NextMarker", asked.key(next)));
        }
        for object in &page.objects {
            inner.push_str(&element("Contents", &asked.object(object, true)));
        }
        Ok(answer("ListBucketResult", &format!("{inner}{}", asked.prefixes(&page))))
    }

    pub fn list_objects_v2(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        if call.query("list-type") != Some("2") {
            return Err(error::invalid("Invalid List Type specified in Request"));
        }
        let token = match call.query("continuation-token") {
            Some(token) => {
                let decoded = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                Some(decoded.ok_or_else(|| error::invalid("The continuation token provided is incorrect"))?)
            }
            None => None,
        };
        let start = call.query("start-after").unwrap_or_default();
        let asked = Asked::of(call, token.as_deref().unwrap_or(start))?;
        let page = self.objects.list(call.bucket, &asked.listing)?;
        let count = page.objects.len() + page.prefixes.len();
        let mut inner = format!("{}{}", asked.head(&page), leaf("KeyCount", count));
        if !start.is_empty() {
            inner.push_str(&leaf("StartAfter", asked.key(start)));
        }
        if let Some(token) = call.query("continuation-token") {
            inner.push_str(&leaf("ContinuationToken", token));
        }
        if let Some(next) = &page.next {
            inner.push_str(&leaf("NextContinuationToken", hex::encode(next)));
        }
        let with_owner = call.query("fetch-owner") == Some("true");
        for object in &page.objects {
            inner.push_str(&element("Contents", &asked.object(object, with_owner)));
        }
        Ok(answer("ListBucketResult", &format!("{inner}{}", asked.prefixes(&page))))
    }

    /// Objects have one version here, which S3 calls `null` where there are none.
    pub fn list_object_versions(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        let marker = call.query("key-marker").unwrap_or_default();
        let asked = Asked::of(call, marker)?;
        let page = self.objects.list(call.bucket, &asked.listing)?;
        let mut inner = format!("{}{}", asked.head(&page), leaf("KeyMarker", asked.key(marker)));
        if let Some(next) = &page.next {
            inner.push_str(&format!(
                "{}{}",
                leaf("NextKeyMarker", asked.key(next)),
                leaf("NextVersionIdMarker", "null")
            ));
        }
        for object in &page.objects {
            let version = format!("{}{}", leaf("VersionId", "null"), leaf("IsLatest", true));
            inner.push_str(&element("Version", &format!("{}{version}", asked.object(object, true))));
        }
        Ok(answer("ListVersionsResult", &format!("{inner}{}", asked.prefixes(&page))))
    }
}
