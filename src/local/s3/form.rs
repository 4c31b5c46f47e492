//! Uploads by a form (`POST`), whose policy says what may be uploaded, and whose signature says by whom: what
//! `generate_presigned_post` and `createPresignedPost` make. (S3 user guide, "Browser-based uploads using POST"; API reference, "Creating
//! a POST Policy", "POST Object".)

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::buckets::{empty, tags_in};
use super::call::{Answer, Call};
use super::content;
use super::events::What;
use super::objects::{Object, Objects};
use super::objects_api::attributes_of;
use super::xml::{Element, document, element, leaf};
use super::{S3, arn, error};
use crate::core::iam::need::Need;
use crate::local::protocol::signature::{sign, sign_v2};
use crate::local::protocol::wire::{ApiError, Request};

/// How much may stand before the file (user guide: "The form data and boundaries (excluding the contents of the file) cannot exceed
/// 20 KB").
const MAX_FIELDS: u64 = 20 << 10;

/// How many bytes are searched at once.
const PIECE: usize = 64 << 10;

/// A form: its fields by their names in lower case, and where in the body its file is.
#[derive(Debug, Default, PartialEq)]
struct Form {
    fields: BTreeMap<String, String>,
    file_name: String,
    start: u64,
    length: u64,
}

fn malformed() -> ApiError {
    let message = "The body of your POST request is not well-formed multipart/form-data.";
    ApiError::new(400, "MalformedPOSTRequest", message)
}

fn denied(why: &str) -> ApiError {
    ApiError::new(403, "AccessDenied", format!("Invalid according to Policy: {why}"))
}

/// The boundary that a content type states.
fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    let is_form = kind.trim().eq_ignore_ascii_case("multipart/form-data");
    let mut parameters = parameters.split(';').filter_map(|one| one.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    let value = value.trim().trim_matches('"');
    (is_form && !value.is_empty() && value.len() <= 70).then(|| value.to_owned())
}

impl Form {
    /// Reads a form up to its file, behind which nothing counts.
    fn read(mut body: impl BufRead + Seek, boundary: &str) -> Result<Self, ApiError> {
        let mut form = Self::default();
        let delimiter = format!("\r\n--{boundary}");
        let line = |body: &mut dyn BufRead| {
            let mut line = Vec::new();
            let read = body.take(MAX_FIELDS).read_until(b'\n', &mut line).map_err(error::broken)?;
            let text = String::from_utf8(line).map_err(|_| malformed())?;
            if read == 0 || !text.ends_with('\n') { Err(malformed()) } else { Ok(text.trim_end().to_owned()) }
        };
        if line(&mut body)? != delimiter.trim_start() {
            return Err(malformed());
        }
        loop {
            let (mut name, mut file_name) = (None, None);
            loop {
                let header = line(&mut body)?;
                if header.is_empty() {
                    break;
                }
                let Some((_, rest)) =
                    header.split_once(':').filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))
                else {
                    continue;
                };
                for (key, value) in rest.split(';').filter_map(|part| part.split_once('=')) {
                    let value = value.trim().trim_matches('"').to_owned();
                    match key.trim().to_ascii_lowercase().as_str() {
                        "name" => name = Some(value.to_ascii_lowercase()),
                        "filename" => file_name = Some(value),
                        _ => {}
                    }
                }
            }
            let name = name.ok_or_else(malformed)?;
            form.start = body.stream_position().map_err(error::broken)?;
            if form.start > MAX_FIELDS {
                let message = "Your POST request fields preceding the upload file were too large.";
                return Err(ApiError::new(400, "MaxPostPreDataLengthExceeded", message));
            }
            let end = find(&mut body, delimiter.as_bytes()).map_err(error::broken)?.ok_or_else(malformed)?;
            form.length = end - form.start;
            if name == "file" {
                let path = file_name.unwrap_or_default();
                form.file_name = path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
                return Ok(form);
            }
            if form.length > MAX_FIELDS {
                return Err(malformed());
            }
            body.seek(SeekFrom::Start(form.start)).map_err(error::broken)?;
            let mut value = Vec::new();
            body.by_ref().take(form.length).read_to_end(&mut value).map_err(error::broken)?;
            form.fields.insert(name, String::from_utf8(value).map_err(|_| malformed())?);
            body.seek(SeekFrom::Start(end + delimiter.len() as u64)).map_err(error::broken)?;
            if line(&mut body)? == "--" {
                let message = "POST requires exactly one file upload per request.";
                return Err(ApiError::new(400, "IncorrectNumberOfFilesInPostRequest", message));
            }
        }
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// The key, with the name of the file in it where it asks for that.
    fn key(&self) -> Result<String, ApiError> {
        let key = self.field("key").replace("${filename}", &self.file_name);
        if key.is_empty() {
            return Err(error::invalid(
                "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
            ));
        }
        Ok(key)
    }

    /// The access key that signs the policy; `None` for a form without a policy.
    fn access_key(&self) -> Option<&str> {
        let v4 = self.field("x-amz-credential").split('/').next().filter(|key| !key.is_empty());
        v4.or_else(|| Some(self.field("awsaccesskeyid")).filter(|key| !key.is_empty()))
    }

    /// Whether the policy is signed with this secret.
    fn is_signed(&self, secret: &str) -> bool {
        let policy = self.field("policy");
        if !self.field("x-amz-credential").is_empty() {
            let scope: Vec<&str> = self.field("x-amz-credential").split('/').skip(1).collect();
            let [date, region, "s3", "aws4_request"] = scope[..] else { return false };
            return sign(secret, [date, region, "s3"], policy) == self.field("x-amz-signature");
        }
        sign_v2(secret, policy) == self.field("signature")
    }

    /// Holds the form against its policy. `bucket` is where it was sent.
    fn check(&self, bucket: &str, key: &str, now: OffsetDateTime) -> Result<(), ApiError> {
        let policy = STANDARD.decode(self.field("policy").replace(['\r', '\n'], ""));
        let policy = policy.ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let invalid = || ApiError::new(400, "InvalidPolicyDocument", "Invalid Policy: Invalid JSON.");
        let policy = policy.filter(Value::is_object).ok_or_else(invalid)?;
        let end = policy["expiration"].as_str().and_then(|end| OffsetDateTime::parse(end, &Rfc3339).ok());
        if end.ok_or_else(invalid)? <= now {
            return Err(denied("Policy expired."));
        }
        let mut named = vec!["policy", "file", "signature", "x-amz-signature", "awsaccesskeyid"];
        let conditions = policy["conditions"].as_array().ok_or_else(invalid)?;
        let names: Vec<String> = conditions.iter().flat_map(names_in).collect();
        for condition in conditions {
            if !self.holds(condition, bucket, key)? {
                return Err(denied(&format!("Policy Condition failed: {condition}")));
            }
        }
        named.extend(names.iter().map(String::as_str));
        let is_extra = |name: &&String| !named.contains(&name.as_str()) && !name.starts_with("x-ignore-");
        match self.fields.keys().find(is_extra) {
            Some(extra) => Err(denied(&format!("Extra input fields: {extra}"))),
            None => Ok(()),
        }
    }

    fn holds(&self, condition: &Value, bucket: &str, key: &str) -> Result<bool, ApiError> {
        let value = |name: &str| match name {
            "bucket" => bucket,
            "key" => key,
            name => self.field(name),
        };
        if let Some(equal) = condition.as_object() {
            return Ok(equal.iter().all(|(name, wanted)| wanted.as_str() == Some(value(&name.to_ascii_lowercase()))));
        }
        let text = |at: usize| condition[at].as_str().unwrap_or_default();
        let of = text(1).trim_start_matches('$').to_ascii_lowercase();
        match text(0).to_ascii_lowercase().as_str() {
            "eq" => Ok(value(&of) == text(2)),
            // Of several content types each must begin so.
            "starts-with" => Ok(match of.as_str() {
                "content-type" => value(&of).split(',').all(|one| one.starts_with(text(2))),
                _ => value(&of).starts_with(text(2)),
            }),
            "content-length-range" => {
                let number = |at: usize| condition[at].as_u64().or_else(|| text(at).parse().ok());
                let (Some(least), Some(most)) = (number(1), number(2)) else { return Ok(false) };
                let refused = |code: &'static str, message: &'static str| {
                    let error = ApiError::new(400, code, message).with("ProposedSize", self.length.to_string());
                    Err(error.with("MinSizeAllowed", least.to_string()).with("MaxSizeAllowed", most.to_string()))
                };
                match self.length {
                    size if size < least => {
                        refused("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
                    }
                    size if size > most => {
                        refused("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
                    }
                    _ => Ok(true),
                }
            }
            _ => Ok(false),
        }
    }

    /// The headers that the same upload would have as a `PUT`.
    fn headers(&self) -> HeaderMap {
        let renamed = |name: &str| match name {
            "acl" => "x-amz-acl".to_owned(),
            name => name.to_owned(),
        };
        let header = |(name, value): (&String, &String)| {
            let is_kept =
                !name.starts_with("x-amz-") || name.starts_with("x-amz-meta-") || name == "x-amz-storage-class";
            let name: HeaderName = renamed(name).parse().ok().filter(|_| is_kept)?;
            Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        };
        self.fields.iter().filter_map(header).collect()
    }
}

/// The fields that a condition is about.
fn names_in(condition: &Value) -> Vec<String> {
    match condition {
        Value::Object(equal) => equal.keys().map(|name| name.to_ascii_lowercase()).collect(),
        _ => condition[1].as_str().map(|name| name.trim_start_matches('$').to_ascii_lowercase()).into_iter().collect(),
    }
}

/// Where `what` begins at or after the position of a body; `None` where it does not come.
fn find(body: &mut (impl Read + Seek), what: &[u8]) -> io::Result<Option<u64>> {
    let mut at = body.stream_position()?;
    let mut searched: Vec<u8> = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let read = body.read(&mut piece)?;
        if read == 0 {
            return Ok(None);
        }
        searched.extend_from_slice(&piece[..read]);
        let mut from = 0;
        while let Some(place) = searched[from..].iter().position(|byte| *byte == what[0]) {
            let place = from + place;
            if searched[place..].starts_with(what) {
                return Ok(Some(at + place as u64));
            }
            from = place + 1;
        }
        // What may begin here and end in the next piece.
        let done = searched.len().saturating_sub(what.len() - 1);
        searched.drain(..done);
        at += done as u64;
    }
}

impl S3 {
    pub fn post_object(&self, call: &Call<'_>) -> Answer {
        self.state.now().bucket(call.bucket)?;
        let content_type = call.header("content-type").unwrap_or_default();
        let boundary = boundary(content_type).ok_or_else(|| {
            let message = "Bucket POST must be of the enclosure-type multipart/form-data";
            ApiError::new(412, "PreconditionFailed", message)
        })?;
        let form = match &call.request.file {
            Some(body) => {
                let file = File::open(&body.path).map_err(error::broken)?;
                Form::read(BufReader::with_capacity(PIECE, file), &boundary)?
            }
            None => Form::read(io::Cursor::new(&call.request.body[..]), &boundary)?,
        };
        let key = form.key()?;
        self.admit_form(&form, call, &key)?;
        let mut request = Request { headers: form.headers(), file: None, ..call.request.clone() };
        request.caller.access_key = form.access_key().map(str::to_owned);
        let put = Call { request: &request, operation: "PostObject", bucket: call.bucket, key: &key };
        let mut attributes = attributes_of(&put)?;
        self.check_acl(&put)?;
        if !form.field("tagging").is_empty() {
            attributes.tags = tags_in(Element::read(form.field("tagging").as_bytes())?.child("TagSet"))?;
        }
        let file = Objects::new_name();
        let to = self.objects.folder().join(&file);
        let content = match &call.request.file {
            Some(body) => {
                let from = File::open(&body.path).map_err(error::broken)?;
                content::copy(from, form.start, form.length, &to, None)?
            }
            None => content::copy(io::Cursor::new(&call.request.body[..]), form.start, form.length, &to, None)?,
        };
        let object = Object::new(&key, file, &content, attributes);
        self.put(&put, &object)?;
        self.tell(&put, What::Post, &object);
        Ok(self.posted(&form, call.bucket, &object))
    }

    /// Admits a form: by its policy and its signature, or one without a policy as any request without a signature.
    fn admit_form(&self, form: &Form, call: &Call<'_>, key: &str) -> Result<(), ApiError> {
        let callers = self.callers.get();
        let Some(access_key) = form.access_key() else {
            let put = Call { operation: "PutObject", key, ..*call };
            return self.admit(&put);
        };
        if let Some(callers) = callers {
            match callers.secret(access_key) {
                Some(secret) if form.is_signed(&secret) => {}
                Some(_) => return Err(error::signature()),
                None if callers.admits_all() => {}
                None => {
                    let message = "The AWS Access Key Id you provided does not exist in our records.";
                    return Err(ApiError::new(403, "InvalidAccessKeyId", message));
                }
            }
            let mut signed = call.request.clone();
            signed.caller.access_key = Some(access_key.to_owned());
            let need = Need::new("s3:PutObject", arn(&format!("{}/{key}", call.bucket)));
            callers.authorize(&signed, &[need]).map_err(|_| error::denied())?;
        }
        form.check(call.bucket, key, OffsetDateTime::now_utc())
    }

    /// The answer to a form, as it asks for it.
    fn posted(&self, form: &Form, bucket: &str, object: &Object) -> crate::local::protocol::wire::Response {
        let etag = format!("\"{}\"", object.etag);
        let place = format!("http://{}/{bucket}/{}", self.context.client_authority(), object.key);
        let to = [form.field("success_action_redirect"), form.field("redirect")];
        if let Some(to) = to.into_iter().find(|to| to.starts_with("http")) {
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs([("bucket", bucket), ("key", &object.key), ("etag", &etag)])
                .finish();
            let separator = if to.contains('?') { '&' } else { '?' };
            return empty(303).with_header(header::LOCATION.as_str(), &format!("{to}{separator}{query}"));
        }
        let answer = match form.field("success_action_status") {
            "200" => empty(200),
            "201" => {
                let inner = format!(
                    "{}{}{}{}",
                    leaf("Location", &place),
                    leaf("Bucket", bucket),
                    leaf("Key", &object.key),
                    leaf("ETag", &etag)
                );
                let mut answer = document(element("PostResponse", &inner));
                answer.status = http::StatusCode::CREATED;
                answer
            }
            _ => empty(204),
        };
        answer.with_header("etag", &etag).with_header(header::LOCATION.as_str(), &place)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn body(fields: &[(&str, &str)], file: &str) -> Vec<u8> {
        let mut body = String::new();
        for (name, value) in fields {
            body.push_str(&format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
        }
        let head =
            "Content-Disposition: form-data; name=\"file\"; filename=\"C:\\tmp\\a.txt\"\r\nContent-Type: text/plain";
        body.push_str(&format!("--B\r\n{head}\r\n\r\n{file}\r\n--B--\r\n"));
        body.into_bytes()
    }

    fn read(body: &[u8]) -> Result<Form, ApiError> {
        Form::read(io::Cursor::new(body), "B")
    }

    #[test]
    fn a_form_is_its_fields_and_the_place_of_its_file() {
        let file = format!("hello\r\n--\r\n-B\r\n{}", "x".repeat(PIECE));
        let body = body(&[("Key", "in/${filename}"), ("x-amz-meta-a", "b\r\nc")], &file);
        let form = read(&body).unwrap();
        assert_eq!((form.key().unwrap().as_str(), form.field("x-amz-meta-a")), ("in/a.txt", "b\r\nc"));
        let found = &body[form.start as usize..][..form.length as usize];
        assert_eq!(found, file.as_bytes());
        for (broken, code) in [
            (&b""[..], "MalformedPOSTRequest"),
            (b"--C\r\n", "MalformedPOSTRequest"),
            (b"--B\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhello", "MalformedPOSTRequest"),
            (b"--B\r\n\r\nx\r\n--B--\r\n", "MalformedPOSTRequest"),
            (
                b"--B\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nx\r\n--B--\r\n",
                "IncorrectNumberOfFilesInPostRequest",
            ),
        ] {
            assert_eq!(read(broken).unwrap_err().code, code, "{}", String::from_utf8_lossy(broken));
        }
        let long = "x".repeat(MAX_FIELDS as usize + 1);
        assert_eq!(read(&super::tests::body(&[("key", &long)], "")).unwrap_err().code, "MalformedPOSTRequest");
        let half = "x".repeat(MAX_FIELDS as usize / 2 + 1);
        let two = super::tests::body(&[("a", &half), ("b", &half)], "");
        assert_eq!(read(&two).unwrap_err().code, "MaxPostPreDataLengthExceeded");
    }

    #[test]
    fn what_is_searched_is_found_across_pieces() {
        for before in [0, 1, PIECE - 3, PIECE - 1, PIECE, 2 * PIECE + 7] {
            let text = [vec![b'\r'; before], b"\r\n--B".to_vec()].concat();
            assert_eq!(find(&mut io::Cursor::new(&text), b"\r\n--B").unwrap(), Some(before as u64), "{before}");
        }
        assert_eq!(find(&mut io::Cursor::new(b"\r\n--"), b"\r\n--B").unwrap(), None);
    }

    #[test]
    fn a_policy_says_what_may_be_uploaded() {
        let now = datetime!(2026-01-01 12:00 UTC);
        let policy = |more: Value| {
            let mut conditions = vec![json!({"bucket": "files"}), json!(["starts-with", "$key", "in/"])];
            conditions.extend(more.as_array().cloned().unwrap_or_default());
            STANDARD.encode(json!({"expiration": "2026-01-01T13:00:00Z", "conditions": conditions}).to_string())
        };
        let said = |policy: &str, fields: &[(&str, &str)], key: &str, now| {
            let fields = [&[("key", key), ("policy", policy)], fields].concat();
            let form = read(&body(&fields, "hello")).unwrap();
            match form.check("files", &form.key().unwrap(), now) {
                Ok(()) => String::new(),
                Err(error) => format!("{}: {}", error.code, error.message),
            }
        };
        let plain = policy(json!([]));
        assert_eq!(said(&plain, &[], "in/${filename}", now), "");
        assert!(
            said(&plain, &[], "out/a", now).contains("Policy Condition failed: [\"starts-with\",\"$key\",\"in/\"]")
        );
        assert!(said(&plain, &[("x-amz-meta-a", "b")], "in/a", now).contains("Extra input fields: x-amz-meta-a"));
        assert_eq!(said(&plain, &[("x-ignore-a", "b")], "in/a", now), "");
        assert!(said(&plain, &[], "in/a", datetime!(2026-01-01 13:00 UTC)).contains("Policy expired."));
        assert!(said("e30=", &[], "in/a", now).starts_with("InvalidPolicyDocument"));
        let typed = policy(json!([["eq", "$Content-Type", "image/png"], {"x-amz-meta-a": "b"}]));
        assert_eq!(said(&typed, &[("Content-Type", "image/png"), ("x-amz-meta-a", "b")], "in/a", now), "");
        assert!(said(&typed, &[("Content-Type", "text/html"), ("x-amz-meta-a", "b")], "in/a", now).contains("failed"));
        for (range, code) in [((0, 5), ""), ((6, 9), "EntityTooSmall"), ((0, 4), "EntityTooLarge")] {
            let sized = policy(json!([["content-length-range", range.0, range.1]]));
            assert!(said(&sized, &[], "in/a", now).starts_with(code), "{range:?}");
        }
    }
}
