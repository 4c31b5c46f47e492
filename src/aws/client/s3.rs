//! Objects of S3: the few calls that wschat makes there, so they are signed here and need no SDK of their own.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>, `PutObject`, `DeleteObject`; a presigned address:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningInstructions,
    SigningSettings, UriPathNormalizationMode, sign,
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
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use tokio::time::{sleep, timeout};

use super::chain::chain;
use super::connect::Aws;
use super::error::xml_text;
use super::network::Network;
use crate::core::types::S3Object;

/// The most bytes of an object that are read: what Lambda accepts unpacked (Lambda developer guide, quotas).
const LONGEST: usize = 250 << 20;

/// How long S3 may keep silent.
const SILENCE: Duration = Duration::from_secs(30);

/// The slowest upload that is waited for, in bytes a second.
const SLOWEST: u64 = 50_000;

/// How often a request is sent that S3 could not answer, or that did not reach it.
const ATTEMPTS: u32 = 4;

/// How often a request follows a bucket to another place.
const REDIRECTS: u32 = 3;

/// The local cloud's S3, as functions reach it.
const LOCAL_HOST: &str = "s3.localhost";

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
    /// Whether it is the local cloud's.
    is_local: bool,
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
    /// S3's code, where it answered.
    pub code: Option<String>,
}

impl S3Error {
    fn new(why: impl Into<String>, help: impl Into<String>) -> Self {
        Self { why: why.into(), help: help.into(), code: None }
    }
}

impl S3Error {
    /// Whether there is no such object.
    fn is_missing(&self) -> bool {
        matches!(self.code.as_deref(), Some("NoSuchKey" | "NoSuchBucket"))
    }
}

/// A request for an object.
struct ObjectRequest<'a> {
    method: &'static str,
    object: &'a S3Object,
    /// What is asked of a bucket, where the key is empty.
    query: &'static str,
    etag: Option<&'a str>,
    body: Bytes,
}

impl<'a> ObjectRequest<'a> {
    fn new(method: &'static str, object: &'a S3Object) -> Self {
        Self { method, object, query: "", etag: None, body: Bytes::new() }
    }
}

/// What S3 answered to a request that it did not refuse.
struct ObjectAnswer {
    status: u16,
    bytes: Bytes,
    etag: String,
    region: String,
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
            is_local: self.is_local(),
        })
    }
}

impl S3 {
    /// Reads an object, unless it is still the one that has this `etag`.
    ///
    /// # Errors
    /// Why it cannot be had, and what to do.
    pub async fn get(&self, object: &S3Object, etag: Option<&str>) -> Result<Fetched, S3Error> {
        let ObjectAnswer { status, bytes, etag, region } =
            self.exchange(ObjectRequest { etag, ..ObjectRequest::new("GET", object) }).await?;
        Ok(if status == 304 { Fetched::Unchanged { region } } else { Fetched::New { bytes, etag, region } })
    }

    /// The content of an object; `None` where there is no such object, or no such bucket.
    ///
    /// # Errors
    /// Why it cannot be had, and what to do.
    pub async fn find(&self, object: &S3Object) -> Result<Option<Bytes>, S3Error> {
        match self.get(object, None).await {
            Ok(Fetched::New { bytes, .. }) => Ok(Some(bytes)),
            Ok(Fetched::Unchanged { .. }) => Ok(None),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an object, and gives its address.
    ///
    /// # Errors
    /// Why it cannot be written, and what to do.
    pub async fn put(&self, object: &S3Object, body: Bytes) -> Result<String, S3Error> {
        let answer = self.exchange(ObjectRequest { body, ..ObjectRequest::new("PUT", object) }).await?;
        Ok(self.url(object, &answer.region, None))
    }

    /// Deletes an object; one that is gone already is no error.
    ///
    /// # Errors
    /// Why it cannot be deleted, and what to do.
    pub async fn delete(&self, object: &S3Object) -> Result<(), S3Error> {
        match self.exchange(ObjectRequest::new("DELETE", object)).await {
            Err(error) if !error.is_missing() => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes the objects of a bucket whose keys are meant: each of `-_./`, letters and digits. One that is gone already is no
    /// error.
    ///
    /// # Errors
    /// Why they cannot be deleted, and what to do.
    pub async fn delete_all(&self, bucket: &str, is_meant: impl Fn(&str) -> bool) -> Result<(), S3Error> {
        let of = |key: &str| S3Object { bucket: bucket.to_owned(), key: key.to_owned(), version: None };
        let whole = of("");
        loop {
            let list = ObjectRequest { query: "?list-type=2", ..ObjectRequest::new("GET", &whole) };
            let answer = match self.exchange(list).await {
                Err(error) if error.is_missing() => return Ok(()),
                answer => answer?,
            };
            let text = String::from_utf8_lossy(&answer.bytes).into_owned();
            let keys: Vec<&str> =
                text.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0)).collect();
            let meant: Vec<&&str> = keys.iter().filter(|key| is_meant(key)).collect();
            if meant.is_empty() {
                return Ok(());
            }
            for key in meant {
                self.delete(&of(key)).await?;
            }
        }
    }

    /// An address to which every client that has it can write the object once or more, for so long (seven days at most).
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn presigned_put(&self, object: &S3Object, valid: Duration) -> Result<String, S3Error> {
        // Most of what answers CloudFormation connects to port 443 of this host, whatever stands behind it. The local cloud leads
        // functions from there to itself.
        let url = match self.is_local {
            true => format!("https://{LOCAL_HOST}/{}/{}", object.bucket, key(object)),
            false => self.url(object, &self.region, None),
        };
        let failed =
            |why: String| S3Error::new(format!("an address for an answer cannot be signed: {why}"), "try again");
        let uri: Uri = url.parse().map_err(|error| failed(format!("{url}: {error}")))?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut settings = settings();
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(valid);
        let headers = [("host", authority.as_str())];
        let signable = SignableRequest::new("PUT", url.as_str(), headers.into_iter(), SignableBody::UnsignedPayload)
            .map_err(|error| failed(chain(&error)))?;
        let instructions = self.sign(signable, &self.region, settings).map_err(failed)?;
        let query =
            instructions.params().iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, QUERY)));
        Ok(format!("{url}?{}", query.collect::<Vec<_>>().join("&")))
    }

    /// Sends a request until it is answered, to where the bucket is.
    async fn exchange(&self, request: ObjectRequest<'_>) -> Result<ObjectAnswer, S3Error> {
        let object = request.object;
        let (mut region, mut host) = (self.region.clone(), None);
        let (mut attempts, mut redirects) = (0, 0);
        loop {
            attempts += 1;
            let last = attempts == ATTEMPTS;
            let url = self.url(object, &region, host.as_deref()) + request.query;
            let answer = match self.send(&url, &region, &request).await {
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
            let answered = |bytes| ObjectAnswer { status, bytes, etag: etag.unwrap_or_default(), region: at };
            match status {
                304 => return Ok(answered(Bytes::new())),
                200..=299 => match read(answer, LONGEST).await {
                    Ok(Some(bytes)) => return Ok(answered(bytes)),
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
            let tag = |name: &str| xml_text(&text, name);
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
            return Err(refused(&request, status, tag("Code"), tag("Message")));
        }
    }

    /// Where an object is. AWS's certificates cover one label below S3's names, so a bucket with a dot is named in the path.
    fn url(&self, object: &S3Object, region: &str, host: Option<&str>) -> String {
        let key = key(object);
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
    async fn send(&self, url: &str, region: &str, of: &ObjectRequest<'_>) -> Result<HttpResponse, String> {
        let mut request = HttpRequest::new(SdkBody::from(of.body.clone()));
        request.set_method(of.method).map_err(|error| error.to_string())?;
        request.set_uri(url).map_err(|error| error.to_string())?;
        if let Some(etag) = of.etag {
            request.headers_mut().insert("if-none-match", etag.to_owned());
        }
        let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        request.headers_mut().insert("host", authority);
        let instructions = {
            let body = SignableBody::Bytes(&of.body);
            let signable = SignableRequest::new(of.method, url, request.headers().iter(), body);
            self.sign(signable.map_err(|error| chain(&error))?, region, settings())?
        };
        for (name, value) in instructions.headers() {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        let connector = self.network.connector(&uri);
        let silence = SILENCE + Duration::from_secs(of.body.len() as u64 / SLOWEST);
        let answer = timeout(silence, connector.call(request)).await;
        answer.map_err(|_| format!("{url} does not answer"))?.map_err(|error| chain(&error))
    }

    /// What signs a request.
    fn sign(
        &self,
        signable: SignableRequest<'_>,
        region: &str,
        settings: SigningSettings,
    ) -> Result<SigningInstructions, String> {
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
        Ok(sign(signable, &params).map_err(|error| chain(&error))?.into_parts().0)
    }
}

/// How S3's requests are signed: it takes paths as they are (AWS SDKs' signing of S3).
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings
}

/// The key of an object as part of a path.
fn key(object: &S3Object) -> PercentEncode<'_> {
    utf8_percent_encode(&object.key, KEY)
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

/// Why S3 does not do what it was asked for (API reference, "Error responses").
fn refused(request: &ObjectRequest<'_>, status: u16, code: Option<String>, message: Option<String>) -> S3Error {
    let S3Object { bucket, key, version } = request.object;
    let code = code.unwrap_or_else(|| format!("HTTP status {status}"));
    let action = match request.method {
        "PUT" => "s3:PutObject",
        "DELETE" => "s3:DeleteObject",
        _ if version.is_some() => "s3:GetObjectVersion",
        _ => "s3:GetObject",
    };
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
            return S3Error { code: Some(code.clone()), ..S3Error::new(said(&code, message), help) };
        }
        _ => (said(&code, message), "try again later"),
    };
    S3Error { code: Some(code.clone()), ..S3Error::new(why, help) }
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
            is_local: false,
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
            let object = object("b", "k", None);
            let request = ObjectRequest::new("GET", &object);
            let error = refused(&request, status, code.map(str::to_owned), message.map(str::to_owned));
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

    #[test]
    fn a_presigned_address_is_all_that_a_writer_needs() {
        let answer = object("b", "stack/a b.json", None);
        let url = s3(None).presigned_put(&answer, Duration::from_secs(3600)).unwrap();
        let (address, query) = url.split_once('?').unwrap();
        assert_eq!(address, "https://b.s3.eu-west-1.amazonaws.com/stack/a%20b.json");
        for part in [
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Credential=AKID%2F",
            "X-Amz-Expires=3600",
            "X-Amz-SignedHeaders=host",
            "X-Amz-Signature=",
        ] {
            assert!(query.contains(part), "{part}: {query}");
        }
        // Functions reach the local cloud by a name, whatever its port is.
        let local = S3 { is_local: true, ..s3(Some("http://127.0.0.1:4579")) };
        let url = local.presigned_put(&answer, Duration::from_secs(60)).unwrap();
        assert!(url.starts_with("https://s3.localhost/b/stack/a%20b.json?"), "{url}");
    }
}
