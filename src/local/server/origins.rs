//! Web pages that may call the local cloud with an SDK: those of the origins that its user has named (CORS, as in the Fetch
//! standard). Their calls are authenticated like all others. Pages of other origins get no `Access-Control` header, so browsers
//! do not show them the answers, and do not send calls that need a preflight.

use std::fmt;
use std::str::FromStr;

use http::uri::{Authority, Uri};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::local::protocol::wire::Response;

/// The headers of answers that pages may read: those of AWS's SDKs.
const EXPOSED: &str = "date, x-amz-apigw-id, x-amz-crc32, x-amz-executed-version, x-amz-function-error, x-amz-log-result, \
                       x-amzn-errormessage, x-amzn-errortype, x-amzn-requestid, x-amzn-trace-id";

/// The methods of AWS's APIs.
const METHODS: &str = "DELETE, GET, HEAD, PATCH, POST, PUT";

/// For how many seconds a browser may cache the answer to a preflight: short, as the origins may be changed.
const MAX_AGE: &str = "600";

/// The origin of a web page, as browsers send it: `http://localhost:5173`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

impl FromStr for Origin {
    type Err = String;

    /// Reads an origin as a person writes it.
    fn from_str(text: &str) -> Result<Self, String> {
        let example = "write it as browsers send it, for example http://localhost:5173";
        let wrong = || format!("\"{text}\" is not the origin of a web page; {example}");
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme)).ok_or_else(wrong)?;
        let authority = uri.authority().ok_or_else(wrong)?;
        // The parser of URIs drops a fragment, and takes any digits, or none, for a port.
        let has_bad_port = authority.port_u16().is_none() && authority.as_str() != authority.host();
        if text.contains('#') || has_bad_port {
            return Err(wrong());
        }
        if uri.path().len() > 1 || uri.query().is_some() || authority.as_str().contains(['@', '*']) {
            return Err(wrong());
        }
        Ok(Self(format!("{scheme}://{}", written(scheme, authority))))
    }
}

/// Host and port as browsers write them: in lower case, without the scheme's own port.
fn written(scheme: &str, authority: &Authority) -> String {
    let host = authority.host().to_ascii_lowercase();
    let usual = if scheme == "https" { 443 } else { 80 };
    match authority.port_u16().filter(|port| *port != usual) {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

impl TryFrom<String> for Origin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether these are the same origins, in any order.
pub fn same(ones: &[Origin], others: &[Origin]) -> bool {
    let all_in = |ones: &[Origin], others: &[Origin]| ones.iter().all(|origin| others.contains(origin));
    all_in(ones, others) && all_in(others, ones)
}

/// The request's `Origin`, if it is one of these.
pub fn allowed(origins: &[Origin], headers: &HeaderMap) -> Option<HeaderValue> {
    let sent = headers.get(header::ORIGIN)?;
    origins.iter().any(|origin| origin.0.as_bytes() == sent.as_bytes()).then(|| sent.clone())
}

/// Whether a request asks if a page may send another one.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a browser that asks whether a page of this origin may send a call; `None` if the request is no such question.
pub fn preflight(origin: &HeaderValue, method: &Method, headers: &HeaderMap) -> Option<Response> {
    if !is_preflight(method, headers) {
        return None;
    }
    let mut answer = Response::empty(StatusCode::NO_CONTENT.as_u16());
    let out = &mut answer.headers;
    out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    // Headers grant no rights, so any may be sent.
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    out.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    // Chrome asks so before a page of a public address may call one of this network.
    if headers.contains_key("access-control-request-private-network") {
        out.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
    }
    out.insert(header::VARY, HeaderValue::from_static("Origin"));
    Some(answer)
}

/// Lets pages of this origin read an answer.
pub fn expose(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_kept_as_browsers_send_it() {
        for (written, sent) in [
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://localhost:5173/", "http://localhost:5173"),
            ("HTTPS://App.Example.com:443", "https://app.example.com"),
            ("http://192.168.1.5:80", "http://192.168.1.5"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(written.parse::<Origin>().map(|origin| origin.to_string()).as_deref(), Ok(sent));
        }
        for wrong in
            ["", "*", "localhost:5173", "http://*.example.com", "http://u@h", "ftp://h", "http://h/path", "null"]
                .into_iter()
                .chain(["http://h:70000", "http://h:", "http://h#part", "http://h/#", "http://h:5173#x"])
        {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins_are_compared_as_sets() {
        let origins = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Origin>>();
        let two = origins(&["http://a:1", "http://b"]);
        assert!(same(&two, &origins(&["http://b", "http://a:1", "http://b:80"])));
        assert!(!same(&two, &origins(&["http://b"])) && !same(&origins(&["http://b"]), &two) && same(&[], &[]));
    }

    #[test]
    fn only_a_question_before_a_call_is_a_preflight() {
        let origin = HeaderValue::from_static("http://localhost:5173");
        let mut headers = HeaderMap::new();
        assert!(preflight(&origin, &Method::OPTIONS, &headers).is_none());
        headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        assert!(preflight(&origin, &Method::POST, &headers).is_none());
        headers.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("authorization,x-amz-target"));
        let answer = preflight(&origin, &Method::OPTIONS, &headers).unwrap();
        let value = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        assert_eq!(answer.status, 204);
        assert_eq!(value("access-control-allow-origin"), Some("http://localhost:5173"));
        assert_eq!(value("access-control-allow-headers"), Some("authorization,x-amz-target"));
        assert_eq!(value("access-control-allow-credentials"), None);
        assert_eq!(value("access-control-allow-private-network"), None);
    }
}
