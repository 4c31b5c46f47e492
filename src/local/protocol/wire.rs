//! Requests, answers and errors in the four protocols that the served AWS services speak.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tempfile::TempPath;

/// One AWS API call as it was received.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    /// The path as sent, still percent-encoded.
    pub path: String,
    /// The query string, decoded, in the order sent.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body of an operation that takes it on disk (`Row::on_disk`); `body` is empty then.
    pub file: Option<Arc<BodyFile>>,
    pub caller: Caller,
}

/// The body of a request that was written to disk as it came. The file goes with it, unless it was moved away.
#[derive(Debug)]
pub struct BodyFile {
    pub path: TempPath,
    /// In bytes.
    pub size: u64,
}

/// The caller of a request, by its SigV4 credential scope. (`access` verifies the signature.)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    pub access_key: Option<String>,
    /// The region the request was signed for; `us-east-1` where it was not signed.
    pub region: String,
}

impl Request {
    /// An unsigned request to eu-west-1, for tests.
    #[cfg(test)]
    pub fn in_test(method: &str, path: &str, body: &str) -> Self {
        Self {
            method: method.parse().unwrap(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec().into(),
            file: None,
            caller: Caller { access_key: None, region: "eu-west-1".to_owned() },
        }
    }

    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The path's segments, percent-decoded, without empty ones.
    pub fn segments(&self) -> Vec<String> {
        self.path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect()
    }

    /// The body as JSON; an empty body reads as `{}`.
    ///
    /// # Errors
    /// `SerializationException` (400), as AWS answers a body that is not what the operation takes.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        serde_json::from_slice(body).map_err(|error| ApiError::new(400, "SerializationException", error.to_string()))
    }
}

/// An answer, before it is sent.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// A part of a file that is sent in place of `body`.
    pub file: Option<FilePart>,
}

/// A part of an open file.
#[derive(Debug, Clone)]
pub struct FilePart {
    pub file: Arc<File>,
    /// Where it begins, in bytes.
    pub start: u64,
    /// In bytes.
    pub length: u64,
}

/// Up to `length` bytes of a file from `start` on.
///
/// # Errors
/// A file that cannot be read.
pub fn read_at(mut file: &File, start: u64, length: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(length);
    file.seek(SeekFrom::Start(start))?;
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self::new(status, "application/json", Bytes::new())
    }

    /// A JSON answer. The content type is the protocol's and is set by the router for `awsJson` services.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self::new(status, "application/json", body.into())
    }

    /// An XML answer of the query protocol.
    pub fn xml(status: u16, body: String) -> Self {
        Self::new(status, "text/xml", body.into())
    }

    /// An answer with the given content type.
    pub fn new(status: u16, content_type: &'static str, body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, headers, body, file: None }
    }

    /// An answer that sends a part of a file.
    pub fn of_file(status: u16, part: FilePart) -> Self {
        Self { file: Some(part), ..Self::empty(status) }
    }

    /// The same answer with a file's content, up to `most` bytes, as its body.
    pub async fn in_memory(mut self, most: usize) -> Self {
        let Some(FilePart { file, start, length }) = self.file.take() else { return self };
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(most);
        let read = tokio::task::spawn_blocking(move || read_at(&file, start, length)).await;
        self.body = read.ok().and_then(Result::ok).unwrap_or_default();
        self
    }

    /// The same answer with one more header.
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }
}

/// An AWS error: status, error code, message, and further members of the error's shape.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    pub status: u16,
    pub code: Cow<'static, str>,
    pub message: String,
    /// Further members of the error's body (`Type`, `Reason`, `retryAfterSeconds`, …).
    pub fields: Map<String, Value>,
}

/// How most services say that an input lacks a member.
pub fn null_member(member: &str) -> String {
    format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    )
}

impl ApiError {
    pub fn new(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), fields: Map::new() }
    }

    /// The same error with one more member in its body.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }
}

/// The protocol of a service: how it encodes answers and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `X-Amz-Target`, JSON 1.0 (DynamoDB).
    AwsJson10,
    /// The same, of a service that spoke the query protocol before (SQS): clients know its errors by the codes that they had
    /// there, which a header tells. The table has those that are not the names of the errors.
    AwsJson10Query(&'static [(&'static str, &'static str)]),
    /// `X-Amz-Target`, JSON 1.1 (CloudWatch Logs).
    AwsJson11,
    /// Paths and verbs (Lambda, API Gateway); the error code is in `x-amzn-ErrorType`. The flag says whether
    /// members of an error's body begin with a capital (`Message`, Lambda's with `Type`) or not (API Gateway).
    RestJson { capital_message: bool },
    /// Form in, XML out (IAM, STS, CloudFormation); the string is the XML namespace.
    Query(&'static str),
    /// Paths, verbs and headers, with XML in bodies (S3).
    RestXml,
}

impl Protocol {
    /// The answer that carries `error`.
    pub fn error(self, error: &ApiError, request_id: &str) -> Response {
        match self {
            Self::Query(namespace) => {
                let side = if error.status >= 500 { "Receiver" } else { "Sender" };
                Response::xml(
                    error.status,
                    format!(
                        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{side}</Type><Code>{}</Code>\
                         <Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
                        xml_escape(&error.code),
                        xml_escape(&error.message)
                    ),
                )
            }
            Self::RestXml => {
                let more: String = error
                    .fields
                    .iter()
                    .map(|(name, value)| format!("<{name}>{}</{name}>", xml_escape(value.as_str().unwrap_or_default())))
                    .collect();
                let body = format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>{more}\
                     <RequestId>{request_id}</RequestId></Error>",
                    xml_escape(&error.code),
                    xml_escape(&error.message)
                );
                Response::new(error.status, "application/xml", body.into())
            }
            Self::RestJson { capital_message } => {
                let mut body = error.fields.clone();
                // Some error shapes spell it differently from the rest of their service; those have it in `fields`.
                if !body.contains_key("message") && !body.contains_key("Message") {
                    let key = if capital_message { "Message" } else { "message" };
                    body.insert(key.to_owned(), json!(error.message));
                }
                Response::json(error.status, &body).with_header("x-amzn-errortype", &error.code)
            }
            Self::AwsJson10 | Self::AwsJson10Query(_) | Self::AwsJson11 => {
                let mut body = error.fields.clone();
                body.insert("__type".to_owned(), json!(error.code));
                body.insert("message".to_owned(), json!(error.message));
                let response = Response::json(error.status, &body);
                match self {
                    Self::AwsJson10Query(codes) => {
                        let name = error.code.rsplit('#').next().unwrap_or_default();
                        let known = codes.iter().find(|(known, _)| *known == name).map(|(_, code)| *code);
                        let code = known.unwrap_or_else(|| name.trim_end_matches("Exception"));
                        let side = if error.status >= 500 { "Receiver" } else { "Sender" };
                        response.with_header("x-amzn-query-error", &format!("{code};{side}"))
                    }
                    _ => response,
                }
            }
        }
    }

    /// The content type of this protocol's answers.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::AwsJson10 | Self::AwsJson10Query(_) => "application/x-amz-json-1.0",
            Self::AwsJson11 => "application/x-amz-json-1.1",
            Self::RestJson { .. } => "application/json",
            Self::Query(_) => "text/xml",
            Self::RestXml => "application/xml",
        }
    }
}

/// Escapes text for an XML element.
pub fn xml_escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
