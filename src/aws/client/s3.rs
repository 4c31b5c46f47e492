//! Reads and writes single objects of S3: few calls, so they are signed here and need no SDK of its own.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_types::service_config::ServiceConfigKey;
use bytes::{Bytes, BytesMut};
use http::Uri;
use http_body_util::BodyExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::{sleep, timeout};

use super::chain::chain;
use super::connect::Aws;
use super::network::Network;
use crate::core::types::S3Object;

/// The most bytes of an object that are read: what Lambda accepts unpacked (Lambda developer guide, quotas).
const LONGEST: usize = 250 << 20;

/// How long S3 may keep silent.
const SILENCE: Duration = Duration::from_secs(30);

/// How often a request is sent that S3 could not answer, or that did not reach it.
const ATTEMPTS: u32 = 4;

/// How often a request follows a bucket to another place.
const REDIRECTS: u32 = 3;

/// The characters of a key that need no escape in a path (RFC 3986, unreserved; a slash stays a slash).
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
/// The same for the value of a query's parameter.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// S3, as one caller reads it.
pub struct S3 {
    credentials: Credentials,
    network: Arc<Network>,
    /// Where to ask first: the stack's region.
    region: String,
    /// An endpoint other than AWS's.
    endpoint: Option<String>,
    fips: bool,
}

/// A request for one object.
struct Request<'a> {
    method: &'static str,
    url: &'a str,
    region: &'a str,
    /// The `ETag` of the object that need not be sent again.
    etag: Option<&'a str>,
    body: &'a str,
}

/// What S3 answered to a request for an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// It is the one with the `ETag` that the request names.
    Unchanged {
        region: String,
    },
    New {
        bytes: Bytes,
        etag: String,
        region: String,
    },
}

/// Why an object was not read: a sentence, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct S3Error {
    pub why: String,
    pub help: String,
}

impl S3Error {
    fn new(why: impl Into<String>, help: impl Into<String>) -> Self {
        Self { why: why.into(), help: help.into() }
    }
}

impl Aws {
    /// S3, with this caller's credentials.
    ///
    /// # Errors
    /// No credentials.
    pub async fn s3(&self) -> Result<S3, S3Error> {
        let help = "give a profile that may read the bucket: --profile NAME";
        let none = || S3Error::new("there are no AWS credentials", help);
        let provider = self.config.credentials_provider().ok_or_else(none)?;
        let credentials = provider
            .provide_credentials()
            .await
            .map_err(|error| S3Error::new(format!("there are no AWS credentials: {}", chain(&error)), help))?;
        // As in the SDK: an option before the service's own setting, and that before the one for all services.
        let key = ServiceConfigKey::builder().service_id("S3").profile("endpoint_url").env("AWS_ENDPOINT_URL").build();
        let own = || self.config.service_config()?.load_config(key.ok()?);
        let endpoint = self.given_endpoint().or_else(own).or_else(|| self.config.endpoint_url().map(str::to_owned));
        Ok(S3 {
            credentials,
            network: Arc::clone(&self.network),
            region: self.scope().region.clone(),
            endpoint,
            fips: self.config.use_fips().unwrap_or_default(),
        })
    }
}

impl S3 {
    /// Reads an object, unless it is still the one that has this `etag`.
    ///
    /// # Errors
    /// Why it cannot be had, and what to do.
    pub async fn get(&self, object: &S3Object, etag: Option<&str>) -> Result<Fetched, S3Error> {
        let (mut region, mut host) = (self.region.clone(), None);
        let (mut attempts, mut redirects) = (0, 0);
        loop {
            attempts += 1;
            let last = attempts == ATTEMPTS;
            let url = self.url(object, &region, host.as_deref());
            let request = Request { method: "GET", url: &url, region: &region, etag, body: "" };
            let answer = match self.send(request).await {
                Ok(answer) => answer,
                Err(why) if last => {
                    return Err(S3Error::new(why, "check the network, and the settings for proxies and endpoints"));
                }
                Err(_) => {
                    sleep(Duration::from_millis(200 << attempts)).await;
                    continue;
                }
            };
            let status = answer.status().as_u16();
            let header = |name: &str| answer.headers().get(name).map(str::to_owned);
            let (etag, place, location) = (header("etag"), header("x-amz-bucket-region"), header("location"));
            let at = place.clone().unwrap_or_else(|| region.clone());
            match status {
                304 => return Ok(Fetched::Unchanged { region: at }),
                200 => match read(answer, LONGEST).await {
                    Ok(Some(bytes)) => return Ok(Fetched::New { bytes, etag: etag.unwrap_or_default(), region: at }),
                    Ok(None) => {
                        let why = format!("it is larger than {} MB, the most that Lambda accepts", LONGEST >> 20);
                        return Err(S3Error::new(why, "make it smaller"));
                    }
                    Err(why) if last => return Err(S3Error::new(why, "try again")),
                    Err(_) => continue,
                },
                _ => {}
            }
            let text = read(answer, 64 << 10).await.ok().flatten().unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let tag = |name: &str| {
                let rest = text.split_once(&format!("<{name}>"))?.1;
                Some(rest.split_once('<')?.0.to_owned()).filter(|text| !text.is_empty())
            };
            // A bucket of another region: by header, or by what a wrong signature is told.
            let elsewhere = place.or_else(|| tag("Region")).filter(|other| *other != region);
            let moved = matches!(status, 301 | 302 | 307 | 308) || elsewhere.is_some() && matches!(status, 400 | 403);
            if moved && redirects < REDIRECTS {
                redirects += 1;
                attempts -= 1;
                if let Some(other) = elsewhere {
                    region = other;
                    continue;
                }
                let named = location.and_then(|url| url.parse::<Uri>().ok()?.host().map(str::to_owned));
                if let Some(named) = named.or_else(|| tag("Endpoint")) {
                    host = Some(named);
                    continue;
                }
            }
            if (status >= 500 || status == 429) && !last {
                sleep(Duration::from_millis(200 << attempts)).await;
                continue;
            }
            return Err(refused(object, status, tag("Code"), tag("Message")));
        }
    }

    /// Writes an object into a bucket of the stack's region, and gives its address.
    ///
    /// # Errors
    /// Why it was not written, and what to do.
    pub async fn put(&self, object: &S3Object, body: &str) -> Result<String, S3Error> {
        let help = format!("the caller needs s3:PutObject on arn:aws:s3:::{}/{}", object.bucket, object.key);
        self.change("PUT", object, body).await.map_err(|why| S3Error::new(why, help))
    }

    /// Deletes an object of a bucket of the stack's region; one that is gone is no error.
    ///
    /// # Errors
    /// Why it was not deleted, and what to do.
    pub async fn delete(&self, object: &S3Object) -> Result<(), S3Error> {
        let help = format!("the caller needs s3:DeleteObject on arn:aws:s3:::{}/{}", object.bucket, object.key);
        self.change("DELETE", object, "").await.map(drop).map_err(|why| S3Error::new(why, help))
    }

    /// Sends a request that may be sent again. (Both change one object, and to the same.)
    async fn change(&self, method: &'static str, object: &S3Object, body: &str) -> Result<String, String> {
        let url = self.url(object, &self.region, None);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let request = Request { method, url: &url, region: &self.region, etag: None, body };
            let why = match self.send(request).await {
                Ok(answer) if answer.status().is_success() => return Ok(url),
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    let text = read(answer, 64 << 10).await.ok().flatten().unwrap_or_default();
                    let text = String::from_utf8_lossy(&text).into_owned();
                    let tag = |name: &str| {
                        let rest = text.split_once(&format!("<{name}>"))?.1;
                        Some(rest.split_once('<')?.0.to_owned())
                    };
                    let why = said(&tag("Code").unwrap_or_else(|| format!("HTTP status {status}")), tag("Message"));
                    if status < 500 && status != 429 {
                        return Err(why);
                    }
                    why
                }
                Err(why) => why,
            };
            if attempts == ATTEMPTS {
                return Err(why);
            }
            sleep(Duration::from_millis(200 << attempts)).await;
        }
    }

    /// Where an object is. AWS's certificates cover one label below S3's names, so a bucket with a dot is named in the path.
    fn url(&self, object: &S3Object, region: &str, host: Option<&str>) -> String {
        let key = utf8_percent_encode(&object.key, KEY);
        let version = object.version.as_deref().map(|version| utf8_percent_encode(version, QUERY));
        let query = version.map(|version| format!("?versionId={version}")).unwrap_or_default();
        if let Some(endpoint) = &self.endpoint {
            return format!("{}/{}/{key}{query}", endpoint.trim_end_matches('/'), object.bucket);
        }
        if let Some(host) = host {
            return match host.starts_with(&format!("{}.", object.bucket)) {
                true => format!("https://{host}/{key}{query}"),
                false => format!("https://{host}/{}/{key}{query}", object.bucket),
            };
        }
        let china = if region.starts_with("cn-") { ".cn" } else { "" };
        let service = if self.fips { "s3-fips" } else { "s3" };
        let host = format!("{service}.{region}.amazonaws.com{china}");
        match object.bucket.contains('.') {
            true => format!("https://{host}/{}/{key}{query}", object.bucket),
            false => format!("https://{}.{host}/{key}{query}", object.bucket),
        }
    }

    /// Sends one request, and waits for the beginning of its answer.
    async fn send(&self, request: Request<'_>) -> Result<HttpResponse, String> {
        let Request { method, url, region, etag, body } = request;
        let mut request = HttpRequest::new(SdkBody::from(body.to_owned()));
        request.set_uri(url.to_owned()).map_err(|error| error.to_string())?;
        request.set_method(method).map_err(|error| error.to_string())?;
        if let Some(etag) = etag {
            request.headers_mut().insert("if-none-match", etag.to_owned());
        }
        let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        request.headers_mut().insert("host", authority);
        let mut settings = SigningSettings::default();
        // S3 takes paths as they are (AWS SDKs' signing of S3).
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = Identity::from(self.credentials.clone());
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let instructions = {
            let signable =
                SignableRequest::new(method, url, request.headers().iter(), SignableBody::Bytes(body.as_bytes()));
            let signable = signable.map_err(|error| chain(&error))?;
            sign(signable, &params).map_err(|error| chain(&error))?.into_parts().0
        };
        for (name, value) in instructions.headers() {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        let connector = self.network.connector(&uri);
        let answer = timeout(SILENCE, connector.call(request)).await;
        answer.map_err(|_| format!("{url} does not answer"))?.map_err(|error| chain(&error))
    }
}

/// The body of an answer; `None` if it is longer than `most`.
async fn read(answer: HttpResponse, most: usize) -> Result<Option<Bytes>, String> {
    let mut body = answer.into_body();
    let mut bytes = BytesMut::new();
    loop {
        let frame = timeout(SILENCE, body.frame()).await.map_err(|_| "the answer stopped".to_owned())?;
        let Some(frame) = frame else { return Ok(Some(bytes.freeze())) };
        let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&data);
    }
}

/// Why S3 does not give an object (API reference, "Error responses").
fn refused(object: &S3Object, status: u16, code: Option<String>, message: Option<String>) -> S3Error {
    let S3Object { bucket, key, .. } = object;
    let code = code.unwrap_or_else(|| format!("HTTP status {status}"));
    let action = if object.version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    let (why, help) = match code.as_str() {
        "NoSuchBucket" => {
            (format!("there is no bucket {bucket}"), "check the bucket's name, and that it is still there")
        }
        "NoSuchKey" => (format!("the bucket {bucket} has no object {key}"), "check the key, or upload the code again"),
        "NoSuchVersion" => {
            ("the object has no such version".to_owned(), "name one that it has, or none for the newest")
        }
        "MethodNotAllowed" => ("this version of the object is a deletion".to_owned(), "name another version"),
        "PermanentRedirect" | "TemporaryRedirect" => {
            (format!("the bucket {bucket} is elsewhere, and S3 does not say where"), "give its region: --region")
        }
        "ExpiredToken" | "InvalidAccessKeyId" | "InvalidToken" | "SignatureDoesNotMatch" | "TokenRefreshRequired" => {
            (said(&code, message), "get new credentials, or give a profile: --profile NAME")
        }
        _ if status == 403 => {
            let help = format!(
                "the caller needs {action} on arn:aws:s3:::{bucket}/{key}, and kms:Decrypt if it is encrypted with a key; \
                 without s3:ListBucket a missing object is refused in these words, too"
            );
            return S3Error::new(said(&code, message), help);
        }
        _ => (said(&code, message), "try again later"),
    };
    S3Error::new(why, help)
}

fn said(code: &str, message: Option<String>) -> String {
    message.map_or_else(|| format!("S3 answers {code}"), |message| format!("S3 answers {code}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(endpoint: Option<&str>) -> S3 {
        S3 {
            credentials: Credentials::new("AKID", "secret", None, None, "test"),
            network: Arc::new(Network::default()),
            region: "eu-west-1".to_owned(),
            endpoint: endpoint.map(str::to_owned),
            fips: false,
        }
    }

    fn object(bucket: &str, key: &str, version: Option<&str>) -> S3Object {
        S3Object { bucket: bucket.to_owned(), key: key.to_owned(), version: version.map(str::to_owned) }
    }

    #[test]
    fn an_object_has_an_address() {
        let (aws, other) = (s3(None), s3(Some("http://127.0.0.1:4566/")));
        for (s3, object, region, host, expected) in [
            (
                &aws,
                object("b", "a b/c.zip", None),
                "eu-west-1",
                None,
                "https://b.s3.eu-west-1.amazonaws.com/a%20b/c.zip",
            ),
            (&aws, object("b.c", "k", None), "eu-west-1", None, "https://s3.eu-west-1.amazonaws.com/b.c/k"),
            (
                &aws,
                object("b", "k", Some("v/1")),
                "cn-north-1",
                None,
                "https://b.s3.cn-north-1.amazonaws.com.cn/k?versionId=v%2F1",
            ),
            (&aws, object("b", "k", None), "x", Some("b.s3-x.amazonaws.com"), "https://b.s3-x.amazonaws.com/k"),
            (&aws, object("b", "k", None), "x", Some("s3-x.amazonaws.com"), "https://s3-x.amazonaws.com/b/k"),
            (&other, object("b", "k", None), "eu-west-1", None, "http://127.0.0.1:4566/b/k"),
        ] {
            assert_eq!(s3.url(&object, region, host), expected);
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let told = |status, code: Option<&str>, message: Option<&str>| {
            let error = refused(&object("b", "k", None), status, code.map(str::to_owned), message.map(str::to_owned));
            (error.why, error.help)
        };
        assert_eq!(
            told(404, Some("NoSuchKey"), Some("The specified key does not exist.")).0,
            "the bucket b has no object k"
        );
        let (why, help) = told(403, Some("AccessDenied"), Some("Access Denied"));
        assert_eq!(why, "S3 answers AccessDenied: Access Denied");
        assert!(help.contains("s3:GetObject on arn:aws:s3:::b/k"), "{help}");
        assert_eq!(told(503, None, None).0, "S3 answers HTTP status 503");
    }
}
