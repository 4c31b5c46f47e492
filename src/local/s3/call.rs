//! A call of a bucket or an object, and what its request names.

use http::header::HOST;
use percent_encoding::percent_decode_str;

use crate::local::protocol::host::{is_loopback, s3_host};
use crate::local::protocol::wire::{ApiError, Request, Response};

pub type Answer = Result<Response, ApiError>;

/// A call of a bucket or an object.
pub struct Call<'a> {
    pub request: &'a Request,
    pub operation: &'static str,
    pub bucket: &'a str,
    pub key: &'a str,
}

impl Call<'_> {
    /// A header's value, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.request.query(name)
    }
}

/// The bucket and the key that a request is for, each empty where it names none.
pub fn place(request: &Request) -> (String, String) {
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let path = request.path.strip_prefix('/').unwrap_or(&request.path);
    match bucket_of(host) {
        Some(bucket) => (bucket.to_owned(), decoded(path)),
        None => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (decoded(bucket), decoded(key))
        }
    }
}

/// The bucket that a host names. Clients that are given `http://localhost:PORT` as S3's endpoint put the bucket before that, too.
fn bucket_of(host: &str) -> Option<&str> {
    let named = s3_host(host).or_else(|| {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        name.strip_suffix(".localhost").filter(|_| is_loopback(name))
    });
    named.filter(|bucket| !bucket.is_empty())
}

/// The bucket and the key that `x-amz-copy-source` names.
pub fn copy_source(header: &str) -> Option<(String, String)> {
    let path = header.split_once("?versionId=").map_or(header, |(path, _)| path);
    let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
    let (bucket, key) = path.trim_start_matches('/').split_once('/')?;
    (!key.is_empty()).then(|| (bucket.to_owned(), key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_path() {
        let pair = |bucket: &str, key: &str| Some((bucket.to_owned(), key.to_owned()));
        assert_eq!(copy_source("b/a/k%20y"), pair("b", "a/k y"));
        assert_eq!(copy_source("/b/k?versionId=null"), pair("b", "k"));
        assert_eq!(copy_source("b"), None);
        assert_eq!(copy_source("b/"), None);
    }
}
