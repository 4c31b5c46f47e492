//! AWS Signature Version 4 of a request, in its headers or in its query string (IAM user guide, "Create a signed AWS API request").

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

/// Names and values, in the order sent.
type Pairs = Vec<(String, String)>;

/// What stays as it is in a canonical request.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const TIME: &[BorrowedFormatItem<'static>] = format_description!("[year][month][day]T[hour][minute][second]Z");
/// How far the clock of a signer may be off.
const SKEW: Duration = Duration::minutes(15);
/// How long a signature in a query string may be valid: a week.
const MAX_EXPIRES: i64 = 7 * 24 * 60 * 60;

/// What stands for the hash of a body that is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// The signature of a request.
#[derive(Debug)]
pub struct Signature {
    pub access_key: String,
    /// `20260101/eu-west-1/execute-api/aws4_request`.
    scope: String,
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
}

/// A request as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The service that it must be signed for.
    pub service: &'static str,
    pub method: &'a str,
    /// The path, still percent-encoded.
    pub path: &'a str,
    pub query: &'a Pairs,
    pub headers: &'a Pairs,
    pub body: &'a [u8],
}

impl Signed<'_> {
    /// The signature, if there is one.
    pub fn signature(&self) -> Option<Signature> {
        let parameter = |name: &str| self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        if let Some(value) = parameter("X-Amz-Signature") {
            let credential = parameter("X-Amz-Credential")?;
            let (access_key, scope) = credential.split_once('/')?;
            return Some(Signature {
                access_key: access_key.to_owned(),
                scope: scope.to_owned(),
                at: parameter("X-Amz-Date")?,
                signed_headers: parameter("X-Amz-SignedHeaders")?,
                value,
                expires: Some(
                    parameter("X-Amz-Expires").and_then(|seconds| seconds.parse().ok()).unwrap_or(MAX_EXPIRES),
                ),
            });
        }
        let authorization = self.header("authorization")?;
        let rest = authorization.strip_prefix("AWS4-HMAC-SHA256")?;
        let part = |name: &str| {
            let mut parts = rest.split(',').map(str::trim);
            parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let credential = part("Credential")?;
        let (access_key, scope) = credential.split_once('/')?;
        Some(Signature {
            access_key: access_key.to_owned(),
            scope: scope.to_owned(),
            at: self.header("x-amz-date")?,
            signed_headers: part("SignedHeaders")?,
            value: part("Signature")?,
            expires: None,
        })
    }

    /// The session token that was sent with temporary credentials.
    pub fn session_token(&self) -> Option<String> {
        let in_query = self.query.iter().find(|(name, _)| name == "X-Amz-Security-Token");
        in_query.map(|(_, token)| token.clone()).or_else(|| self.header("x-amz-security-token"))
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    }

    /// Checks a signature with the secret of its access key.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn check(&self, signature: &Signature, secret: &str, now: OffsetDateTime) -> Result<(), Wrong> {
        let at = PrimitiveDateTime::parse(&signature.at, TIME).map_err(|_| Wrong::Different)?.assume_utc();
        let end = match signature.expires {
            Some(seconds) => at + Duration::seconds(seconds.clamp(0, MAX_EXPIRES)),
            None => at + SKEW,
        };
        if now < at - SKEW || now > end {
            return Err(Wrong::Expired);
        }
        let parts: Vec<&str> = signature.scope.split('/').collect();
        let [date, region, service, "aws4_request"] = parts[..] else { return Err(Wrong::Different) };
        if service != self.service {
            return Err(Wrong::Service);
        }
        // A client may leave the hash of the body out, or say that it is not signed. S3 does without in a query string.
        let hash = self.header("x-amz-content-sha256").unwrap_or_else(|| match self.service {
            "s3" if signature.expires.is_some() => UNSIGNED.to_owned(),
            _ => hex::encode(Sha256::digest(self.body)),
        });
        let canonical = self.canonical(signature, &hash);
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            signature.at,
            signature.scope,
            hex::encode(Sha256::digest(canonical.as_bytes()))
        );
        let key = signing_key(secret, [date, region, service]);
        let sent = hex::decode(&signature.value).map_err(|_| Wrong::Different)?;
        keyed(&key, &text).verify_slice(&sent).map_err(|_| Wrong::Different)
    }

    fn canonical(&self, signature: &Signature, hash: &str) -> String {
        let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        let mut query: Vec<(String, String)> = self
            .query
            .iter()
            .filter(|(name, _)| name != "X-Amz-Signature")
            .map(|(name, value)| (encode(name), encode(value)))
            .collect();
        query.sort();
        let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        // S3 alone takes paths as they are.
        let path = match self.service {
            "s3" => self.path.to_owned(),
            _ => self.path.split('/').map(encode).collect::<Vec<_>>().join("/"),
        };
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
        Signed { service: "execute-api", method: "GET", path, query, headers, body: b"" }
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
        assert_eq!(signature.access_key, "AKIDEXAMPLE");
        let check = |signed: &Signed<'_>, secret: &str, now: &str| signed.check(&signature, secret, at(now));
        assert_eq!(check(&presigned, SECRET, "20260102T030500Z"), Ok(()));
        assert_eq!(check(&presigned, SECRET, "20260102T030906Z"), Err(Wrong::Expired));
        assert_eq!(check(&presigned, SECRET, "20260102T020000Z"), Err(Wrong::Expired));
        assert_eq!(check(&presigned, "another", "20260102T030500Z"), Err(Wrong::Different));
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
