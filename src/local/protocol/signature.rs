//! AWS Signature Version 4 of a request, in its headers or in its query string (IAM user guide, "Create a signed AWS API request").

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::wire::Request;

/// Names and values, in the order sent.
pub type Pairs = Vec<(String, String)>;

/// What stays as it is in a canonical request.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const TIME: &[BorrowedFormatItem<'static>] = format_description!("[year][month][day]T[hour][minute][second]Z");
/// How far the clock of a signer may be off.
const SKEW: Duration = Duration::minutes(15);
/// How long a signature in a query string may be valid: a week.
const MAX_EXPIRES: i64 = 7 * 24 * 60 * 60;

/// What stands for the hash of a body that is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// The header with the hash of the body, or with what stands for it.
const HASH: &str = "x-amz-content-sha256";
/// What the credential scope follows in an `Authorization` header.
const CREDENTIAL: &str = "Credential=";

/// The credential scope of a request's signature: `AKID/20260101/eu-west-1/lambda/aws4_request`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub access_key: String,
    /// `20260101`.
    pub date: String,
    pub region: String,
    /// The signing name of the service.
    pub service: String,
}

impl Scope {
    fn read(credential: &str) -> Option<Self> {
        let mut parts = credential.rsplitn(5, '/');
        let (Some("aws4_request"), Some(service), Some(region), Some(date), Some(access_key)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let [access_key, date, region, service] = [access_key, date, region, service].map(str::to_owned);
        Some(Self { access_key, date, region, service })
    }
}

/// Reads a request's credential scope, from its `Authorization` header or, if it is presigned, from its query.
pub fn scope(headers: &HeaderMap, query: &[(String, String)]) -> Option<Scope> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match credential(authorization, query) {
        Some(credential) => Scope::read(credential),
        None => presigned_v2(query),
    }
}

/// Whether a request is signed in its `Authorization` header; what its query says of a signature does not count then.
pub fn is_in_header(headers: &HeaderMap) -> bool {
    headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(CREDENTIAL))
}

/// The credential that counts.
fn credential<'a>(authorization: Option<&'a str>, query: &'a [(String, String)]) -> Option<&'a str> {
    match authorization.and_then(|value| value.split_once(CREDENTIAL)) {
        Some((_, credential)) => credential.split([',', ' ']).next(),
        None => query.iter().find(|(name, _)| name == "X-Amz-Credential").map(|(_, value)| value.as_str()),
    }
}

/// The scope of a URL of S3 that is signed with version 2 of the signature, which has none: boto3 still makes such URLs in the
/// regions that take them.
fn presigned_v2(query: &[(String, String)]) -> Option<Scope> {
    let value = |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let access_key = value("AWSAccessKeyId").filter(|_| value("Signature").is_some() && value("Expires").is_some())?;
    let [date, region, service] = ["", "us-east-1", "s3"].map(str::to_owned);
    Some(Scope { access_key: access_key.clone(), date, region, service })
}

/// The signature of a request.
#[derive(Debug)]
pub struct Signature {
    pub scope: Scope,
    at: String,
    signed_headers: String,
    value: String,
    /// In the query string: for how many seconds from its time on it is valid.
    expires: Option<i64>,
}

/// Why a signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is of another time.
    Expired,
    /// It is for another service.
    Service,
    /// Something else was signed, or with another secret.
    Different,
    /// The request does not say which body was signed, and its body is not known.
    Unhashed,
}

/// A request as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The service that it must be signed for; `None` where its signature decides that.
    pub service: Option<&'static str>,
    /// Whether a signature in the headers must be of this quarter of an hour. (One in the query string says itself how long it is valid.)
    pub is_timed: bool,
    pub method: &'a str,
    /// The path, still percent-encoded.
    pub path: &'a str,
    pub query: &'a Pairs,
    pub headers: &'a Pairs,
    /// `None` where the body has not come yet, or is held against its hash elsewhere.
    pub body: Option<&'a [u8]>,
}

/// The headers of a request as text. (What is not UTF-8 is Latin-1, as browsers and Node.js send it.)
pub fn pairs(headers: &HeaderMap) -> Pairs {
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    };
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect()
}

impl<'a> Signed<'a> {
    /// A call of a service of this cloud's; `headers` are its [`pairs`]. Its clock does not matter: that of a container or of a virtual
    /// machine that has slept may be behind.
    pub fn call(request: &'a Request, headers: &'a Pairs, body: Option<&'a [u8]>) -> Self {
        let Request { method, path, query, .. } = request;
        Self { service: None, is_timed: false, method: method.as_str(), path, query, headers, body }
    }

    /// The signature, if there is a whole one.
    pub fn signature(&self) -> Option<Signature> {
        let authorization = self.header("authorization");
        let scope = Scope::read(credential(authorization, self.query)?)?;
        if let Some(authorization) = authorization.filter(|value| value.contains(CREDENTIAL)) {
            let parts = authorization.strip_prefix("AWS4-HMAC-SHA256")?;
            let part = |name: &str| {
                let mut parts = parts.split(',').map(str::trim);
                parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
            };
            return Some(Signature {
                scope,
                at: self.header("x-amz-date")?.to_owned(),
                signed_headers: part("SignedHeaders")?,
                value: part("Signature")?,
                expires: None,
            });
        }
        let parameter = |name: &str| self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        Some(Signature {
            scope,
            at: parameter("X-Amz-Date")?,
            signed_headers: parameter("X-Amz-SignedHeaders")?,
            value: parameter("X-Amz-Signature")?,
            expires: Some(parameter("X-Amz-Expires").and_then(|seconds| seconds.parse().ok()).unwrap_or(MAX_EXPIRES)),
        })
    }

    /// The session token that was sent with temporary credentials.
    pub fn session_token(&self) -> Option<&'a str> {
        let in_query = self.query.iter().find(|(name, _)| name == "X-Amz-Security-Token");
        in_query.map(|(_, token)| token.as_str()).or_else(|| self.header("x-amz-security-token"))
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Checks a signature with the secret of its access key.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn check(&self, signature: &Signature, secret: &str, now: OffsetDateTime) -> Result<(), Wrong> {
        let at = PrimitiveDateTime::parse(&signature.at, TIME).map_err(|_| Wrong::Different)?.assume_utc();
        let valid = match signature.expires {
            Some(seconds) => Some(Duration::seconds(seconds.clamp(0, MAX_EXPIRES))),
            None => self.is_timed.then_some(SKEW),
        };
        // (A client's time may be the last one of the calendar, to which nothing can be added.)
        let age = now - at;
        if valid.is_some_and(|valid| age < -SKEW || age > valid) {
            return Err(Wrong::Expired);
        }
        let Scope { date, region, service, .. } = &signature.scope;
        if self.service.is_some_and(|wanted| wanted != service) {
            return Err(Wrong::Service);
        }
        let hash = self.body_hash(signature)?;
        let key = signing_key(secret, [date, region, service]);
        let sent = hex::decode(&signature.value).map_err(|_| Wrong::Different)?;
        let is_signed = |path: &str| {
            let canonical = hex::encode(Sha256::digest(self.canonical(signature, path, &hash)));
            let text =
                format!("AWS4-HMAC-SHA256\n{}\n{date}/{region}/{service}/aws4_request\n{canonical}", signature.at);
            keyed(&key, &text).verify_slice(&sent).is_ok()
        };
        let [path, other] = self.canonical_paths(service);
        if is_signed(&path) || path != other && is_signed(&other) { Ok(()) } else { Err(Wrong::Different) }
    }

    /// What stands for the body in the canonical request. A client may leave the hash of the body out, or say that it is not signed, or
    /// that its chunks are. S3 does without in a query string.
    fn body_hash(&self, signature: &Signature) -> Result<String, Wrong> {
        let hashed = |body| hex::encode(Sha256::digest(body));
        match (self.header(HASH), self.body) {
            (Some(sent), Some(body)) if is_hash(sent) && !sent.eq_ignore_ascii_case(&hashed(body)) => {
                Err(Wrong::Different)
            }
            (Some(sent), _) => Ok(sent.to_owned()),
            (None, _) if signature.scope.service == "s3" && signature.expires.is_some() => Ok(UNSIGNED.to_owned()),
            (None, Some(body)) => Ok(hashed(body)),
            (None, None) => Err(Wrong::Unhashed),
        }
    }

    /// The path as it may stand in the canonical request. S3 alone takes it as it was sent, or, where a client has sent more characters
    /// as they are, encoded once; other services encode it a second time, and clients may resolve `.`, `..` and `//` before.
    fn canonical_paths(&self, service: &str) -> [String; 2] {
        let each = |encode: &dyn Fn(&str) -> String| self.path.split('/').map(encode).collect::<Vec<_>>().join("/");
        if service == "s3" {
            let once = |part: &str| percent_encode(&percent_decode_str(part).collect::<Vec<u8>>(), ENCODED).to_string();
            return [self.path.to_owned(), each(&once)];
        }
        let twice = each(&encode);
        let mut parts = Vec::new();
        for part in twice.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let end = if parts.is_empty() || !twice.ends_with('/') { "" } else { "/" };
        let resolved = format!("/{}{end}", parts.join("/"));
        [twice, resolved]
    }

    fn canonical(&self, signature: &Signature, path: &str, hash: &str) -> String {
        let mut query: Vec<(String, String)> = self
            .query
            .iter()
            .filter(|(name, _)| name != "X-Amz-Signature" || signature.expires.is_none())
            .map(|(name, value)| (encode(name), encode(value)))
            .collect();
        query.sort();
        let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut canonical = format!("{}\n{path}\n{}\n", self.method, query.join("&"));
        for name in signature.signed_headers.split(';') {
            let values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
            let values: Vec<String> =
                values.map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            let _ = writeln!(canonical, "{name}:{}", values.join(","));
        }
        let _ = write!(canonical, "\n{}\n{hash}", signature.signed_headers);
        canonical
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Whether a text is a hash, and not one of the words that may stand for it.
fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The signature of a text in a scope (date, region, service), in hexadecimal digits.
pub fn sign(secret: &str, scope: [&str; 3], text: &str) -> String {
    hex::encode(keyed(&signing_key(secret, scope), text).finalize().into_bytes())
}

/// Version 2 of the signature of a text, in base64.
pub fn sign_v2(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn signing_key(secret: &str, [date, region, service]: [&str; 3]) -> Vec<u8> {
    [date, region, service, "aws4_request"]
        .into_iter()
        .fold(format!("AWS4{secret}").into_bytes(), |key, part| keyed(&key, part).finalize().into_bytes().to_vec())
}

fn keyed(key: &[u8], text: &str) -> Hmac<Sha256> {
    // A key of any length is one; the other branch cannot be.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request to an API, without a body.
    fn of<'a>(path: &'a str, query: &'a Pairs, headers: &'a Pairs) -> Signed<'a> {
        Signed { service: Some("execute-api"), is_timed: true, method: "GET", path, query, headers, body: Some(b"") }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn at(text: &str) -> OffsetDateTime {
        PrimitiveDateTime::parse(text, TIME).unwrap().assume_utc()
    }

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// Both signed by botocore 1.44.8, with its clock set.
    #[test]
    fn handshakes_that_botocore_signed_are_accepted() {
        let host = [("Host", "localhost:4579")];
        let query = pairs(&[
            ("room", "a b"),
            ("x", "ü"),
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", "AKIDEXAMPLE/20260102/us-east-1/execute-api/aws4_request"),
            ("X-Amz-Date", "20260102T030405Z"),
            ("X-Amz-Expires", "300"),
            ("X-Amz-SignedHeaders", "host"),
            ("X-Amz-Signature", "e9124ecd82f779029b658b6d4b5c93777ac6d481cdae195ab6214b7c33735da9"),
        ]);
        let headers = pairs(&host);
        let presigned = of("/abc/prod", &query, &headers);
        let signature = presigned.signature().unwrap();
        assert_eq!(signature.scope.access_key, "AKIDEXAMPLE");
        let check = |signed: &Signed<'_>, secret: &str, now: &str| signed.check(&signature, secret, at(now));
        assert_eq!(check(&presigned, SECRET, "20260102T030500Z"), Ok(()));
        assert_eq!(check(&presigned, SECRET, "20260102T030906Z"), Err(Wrong::Expired));
        assert_eq!(check(&presigned, SECRET, "20260102T020000Z"), Err(Wrong::Expired));
        assert_eq!(check(&presigned, "another", "20260102T030500Z"), Err(Wrong::Different));
        for end in ["99991231T235959Z", "00000101T000000Z"] {
            let signature = Signature { at: end.to_owned(), ..presigned.signature().unwrap() };
            assert_eq!(presigned.check(&signature, SECRET, at("20260102T030500Z")), Err(Wrong::Expired));
        }
        assert_eq!(check(&Signed { path: "/abc/dev", ..presigned }, SECRET, "20260102T030500Z"), Err(Wrong::Different));
        let other = pairs(&[("Host", "localhost:1")]);
        assert_eq!(check(&Signed { headers: &other, ..presigned }, SECRET, "20260102T030500Z"), Err(Wrong::Different));

        let headers = pairs(&[
            host[0],
            ("X-Amz-Date", "20260102T030405Z"),
            (
                "Authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/execute-api/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature=4e7834de907ca01ab62369897a5966a968768ee0fe48a4c99f9a6c8e1568e041",
            ),
        ]);
        let query = pairs(&[("room", "a b")]);
        let signed = of("/abc/prod", &query, &headers);
        let signature = signed.signature().unwrap();
        assert_eq!(signed.check(&signature, SECRET, at("20260102T031900Z")), Ok(()));
        assert_eq!(signed.check(&signature, SECRET, at("20260102T032000Z")), Err(Wrong::Expired));
        let query = pairs(&[]);
        assert_eq!(
            Signed { query: &query, ..signed }.check(&signature, SECRET, at("20260102T031900Z")),
            Err(Wrong::Different)
        );
    }

    #[test]
    fn a_handshake_without_a_signature_has_none() {
        for headers in
            [&[][..], &[("Authorization", "Bearer x")], &[("Authorization", "AWS4-HMAC-SHA256 Credential=a")]]
        {
            let (headers, query) = (pairs(headers), Pairs::new());
            assert!(of("/", &query, &headers).signature().is_none());
        }
    }
}
