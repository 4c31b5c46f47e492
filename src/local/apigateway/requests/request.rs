//! A request of a client, and which route takes it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use time::OffsetDateTime;

use crate::core::websocket::event::Pairs;
use crate::local::apigateway::event::{Origin, milliseconds};
use crate::local::apigateway::gateway::{decode, forwarded_headers, query};
use crate::local::protocol::header_case::HeaderCase;

/// The largest body of a request, and of an answer, in bytes (quotas of HTTP APIs and REST APIs).
pub const MAX_PAYLOAD: usize = 10 * 1024 * 1024;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: Method,
    /// Its path, still percent-encoded.
    pub sent_path: String,
    /// The part of the path below the API's address and its stage: it begins with a slash, still percent-encoded.
    pub path: String,
    /// The query string as it was sent.
    pub raw_query: String,
    pub query: Pairs,
    /// With those that API Gateway adds.
    pub headers: Pairs,
    pub host: String,
    pub source_ip: String,
    pub body: Bytes,
}

impl Received {
    /// A request of a path in a test.
    #[cfg(test)]
    pub fn in_test(method: Method, path: &str) -> Self {
        Self {
            method,
            sent_path: path.to_owned(),
            path: path.to_owned(),
            raw_query: String::new(),
            query: Pairs::new(),
            headers: Pairs::new(),
            host: "h".to_owned(),
            source_ip: "127.0.0.1".to_owned(),
            body: Bytes::new(),
        }
    }

    pub fn new(parts: &Parts, body: Bytes, peer: SocketAddr, port: u16) -> Self {
        let spelled = parts.extensions.get::<HeaderCase>();
        let raw_query = parts.uri.query().unwrap_or_default().to_owned();
        Self {
            method: parts.method.clone(),
            sent_path: parts.uri.path().to_owned(),
            path: parts.uri.path().to_owned(),
            query: query(&raw_query),
            raw_query,
            headers: forwarded_headers(&parts.headers, spelled, peer, port),
            host: host_of(&parts.headers).to_owned(),
            source_ip: peer.ip().to_canonical().to_string(),
            body,
        }
    }

    /// The first value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    }

    /// Where it comes from, as the events of functions and authorizers have it.
    pub fn origin(&self, api_id: String, stage: String) -> Origin {
        Origin {
            api_id,
            stage,
            connection_id: String::new(),
            domain_name: self.host.clone(),
            source_ip: self.source_ip.clone(),
            user_agent: Some(self.header("user-agent").to_owned()).filter(|agent| !agent.is_empty()),
            connected_at: milliseconds(OffsetDateTime::now_utc()),
            authorizer: None,
        }
    }

    /// The path below the stage, decoded.
    pub fn decoded_path(&self) -> String {
        decode(&self.path)
    }
}

/// The `Host` header; empty where there is none.
pub fn host_of(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

/// What takes requests: a method (`ANY` for all of them), and a path with `{name}` and `{name+}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pub method: String,
    pub path: String,
}

impl Pattern {
    /// That of a route key `GET /items/{id}`; `None` for `$default`.
    pub fn of_key(key: &str) -> Option<Self> {
        let (method, path) = key.split_once(' ')?;
        Some(Self { method: method.to_owned(), path: path.to_owned() })
    }

    /// The values of its parameters, decoded, if it takes a request.
    fn takes(&self, method: &Method, path: &str) -> Option<Pairs> {
        if self.method != "ANY" && self.method != method.as_str() {
            return None;
        }
        let mut given = path.split('/').skip(1).peekable();
        let mut parameters = Pairs::new();
        for part in self.path.split('/').skip(1) {
            match parameter(part) {
                Some((name, true)) => {
                    let rest: Vec<&str> = given.by_ref().collect();
                    let rest = rest.join("/");
                    if rest.is_empty() {
                        return None;
                    }
                    parameters.push((name.to_owned(), decode(&rest)));
                }
                Some((name, false)) => {
                    let value = given.next().filter(|value| !value.is_empty())?;
                    parameters.push((name.to_owned(), decode(value)));
                }
                None => {
                    if decode(given.next()?) != decode(part) {
                        return None;
                    }
                }
            }
        }
        given.peek().is_none().then_some(parameters)
    }

    /// What is smaller is more specific: fixed parts before parameters before what takes all the rest, a method before `ANY`.
    fn rank(&self) -> (Vec<u8>, bool) {
        let part = |part: &str| match parameter(part) {
            None => 0,
            Some((_, false)) => 1,
            Some((_, true)) => 2,
        };
        (self.path.split('/').skip(1).map(part).collect(), self.method == "ANY")
    }
}

/// The name in `{name}` or `{name+}`, and whether it takes all the rest.
fn parameter(part: &str) -> Option<(&str, bool)> {
    let name = part.strip_prefix('{')?.strip_suffix('}')?;
    Some(name.strip_suffix('+').map_or((name, false), |name| (name, true)))
}

/// The most specific of several that take a request, with the values of its parameters. (Developer guide, "Create routes for HTTP
/// APIs": full matches first, then greedy path variables.)
pub fn select<'r, R>(
    routes: impl Iterator<Item = (Pattern, R)> + 'r,
    method: &Method,
    path: &str,
) -> Option<(Pattern, R, Pairs)> {
    let taking = routes.filter_map(|(pattern, route)| {
        let parameters = pattern.takes(method, path)?;
        Some((pattern, route, parameters))
    });
    taking.min_by_key(|(pattern, ..)| pattern.rank())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn selected(keys: &[&str], method: &str, path: &str) -> Option<(String, Pairs)> {
        let routes = keys.iter().filter_map(|key| Some((Pattern::of_key(key)?, (*key).to_owned())));
        let method: Method = method.parse().unwrap();
        select(routes, &method, path).map(|(_, key, parameters)| (key, parameters))
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    /// The examples of the developer guide ("Routing API requests").
    #[test]
    fn the_most_specific_route_takes_a_request() {
        let keys = ["GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "$default"];
        for (method, path, expected) in [
            ("GET", "/pets/dog/1", Some(("GET /pets/dog/1", vec![]))),
            ("GET", "/pets/dog/2", Some(("GET /pets/dog/{id}", vec![pair("id", "2")]))),
            ("GET", "/pets/cat/1", Some(("GET /pets/{proxy+}", vec![pair("proxy", "cat/1")]))),
            ("POST", "/test/5", Some(("ANY /{proxy+}", vec![pair("proxy", "test/5")]))),
            ("GET", "/", None),
        ] {
            let expected = expected.map(|(key, parameters)| (key.to_owned(), parameters));
            assert_eq!(selected(&keys, method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_method_goes_before_any() {
        assert_eq!(selected(&["ANY /a", "GET /a"], "GET", "/a").unwrap().0, "GET /a");
        assert_eq!(selected(&["ANY /a", "GET /a"], "PUT", "/a").unwrap().0, "ANY /a");
        assert_eq!(selected(&["GET /a"], "PUT", "/a"), None);
        assert_eq!(selected(&["GET /a"], "GET", "/a/"), None);
    }

    #[test]
    fn parameters_are_decoded_once() {
        let (_, parameters) = selected(&["GET /a/{id}"], "GET", "/a/x%20%2Fy%2525").unwrap();
        assert_eq!(parameters, [pair("id", "x /y%25")]);
    }

    proptest! {
        #[test]
        fn what_takes_all_the_rest_gives_it_back(parts in proptest::collection::vec("[a-z0-9]{1,5}", 1..6)) {
            let path = format!("/{}", parts.join("/"));
            let (key, parameters) = selected(&["ANY /{proxy+}"], "GET", &path).unwrap();
            prop_assert_eq!(key, "ANY /{proxy+}");
            prop_assert_eq!(parameters, vec![pair("proxy", &parts.join("/"))]);
        }

        #[test]
        fn no_path_and_no_pattern_break_the_selection(pattern in "(/[a-z{}+%]{0,4}){0,4}", path in "(/[a-z%{}+/]{0,4}){0,5}") {
            let routes = [(Pattern { method: "ANY".to_owned(), path: pattern }, ())];
            let _ = select(routes.into_iter(), &Method::GET, &path);
        }
    }
}
