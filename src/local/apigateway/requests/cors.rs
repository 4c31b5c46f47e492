//! CORS of HTTP APIs: preflights are answered by the gateway, and the CORS headers of integrations give way to the configured ones
//! (developer guide, "Configure CORS for HTTP APIs in API Gateway").

use http::{HeaderMap, Method, StatusCode, header};

use super::request::Received;
use super::response::Answer;
use crate::local::apigateway::model::CorsConfig;

/// The answer to a preflight; `None` for any other request.
pub fn preflight(cors: &CorsConfig, request: &Received) -> Option<Answer> {
    let asks = !request.header("origin").is_empty() && !request.header("access-control-request-method").is_empty();
    if request.method != Method::OPTIONS || !asks {
        return None;
    }
    let mut answer = Answer { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body: bytes::Bytes::new() };
    if allow(cors, request.header("origin"), &mut answer) {
        let listed = |answer: &mut Answer, name: &str, values: &[String]| {
            if !values.is_empty() {
                answer.set(name, &values.join(","));
            }
        };
        listed(&mut answer, "access-control-allow-methods", &cors.allow_methods);
        listed(&mut answer, "access-control-allow-headers", &cors.allow_headers);
        if cors.max_age != 0 {
            answer.set("access-control-max-age", &cors.max_age.to_string());
        }
    }
    Some(answer)
}

/// Puts the configured headers in the place of those of the integration.
pub fn apply(cors: &CorsConfig, request: &Received, answer: &mut Answer) {
    let of_backend: Vec<_> =
        answer.headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    for name in of_backend {
        answer.headers.remove(name);
    }
    let origin = request.header("origin");
    if !origin.is_empty() {
        allow(cors, origin, answer);
    }
}

/// Says that pages of an origin may read the answer, if they may.
fn allow(cors: &CorsConfig, origin: &str, answer: &mut Answer) -> bool {
    let any = cors.allow_origins.iter().any(|allowed| allowed == "*");
    if !any && !cors.allow_origins.iter().any(|allowed| is_origin(allowed, origin)) {
        return false;
    }
    answer.set("access-control-allow-origin", if any { "*" } else { origin });
    if !any {
        answer.set(header::VARY.as_str(), "Origin");
    }
    if cors.allow_credentials {
        answer.set("access-control-allow-credentials", "true");
    }
    if !cors.expose_headers.is_empty() {
        answer.set("access-control-expose-headers", &cors.expose_headers.join(","));
    }
    true
}

/// Whether an origin is the allowed one; `https://*` allows all of a scheme.
fn is_origin(allowed: &str, origin: &str) -> bool {
    let (allowed, origin) = (allowed.to_ascii_lowercase(), origin.to_ascii_lowercase());
    match allowed.strip_suffix("://*") {
        Some(scheme) => origin.split_once("://").is_some_and(|(given, _)| given == scheme),
        None => allowed.trim_end_matches('/') == origin,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn request(method: Method, headers: &[(&str, &str)]) -> Received {
        Received {
            method,
            sent_path: "/".to_owned(),
            path: "/".to_owned(),
            raw_query: String::new(),
            query: Vec::new(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            host: String::new(),
            source_ip: String::new(),
            body: Bytes::new(),
        }
    }

    fn cors(origins: &[&str]) -> CorsConfig {
        CorsConfig {
            allow_origins: origins.iter().map(|one| (*one).to_owned()).collect(),
            allow_methods: vec!["GET".to_owned(), "POST".to_owned()],
            allow_headers: vec!["authorization".to_owned()],
            max_age: 300,
            ..CorsConfig::default()
        }
    }

    #[test]
    fn preflights_of_allowed_origins_are_answered() {
        let asks =
            |origin: &str| request(Method::OPTIONS, &[("Origin", origin), ("Access-Control-Request-Method", "POST")]);
        let answer = preflight(&cors(&["https://app.example.com"]), &asks("https://app.example.com")).unwrap();
        assert_eq!(answer.status, 204);
        assert_eq!(answer.headers["access-control-allow-origin"], "https://app.example.com");
        assert_eq!(answer.headers["access-control-allow-methods"], "GET,POST");
        assert_eq!(answer.headers["access-control-max-age"], "300");
        let answer = preflight(&cors(&["https://app.example.com"]), &asks("https://evil.example.com")).unwrap();
        assert!(answer.headers.is_empty());
        assert!(preflight(&cors(&["https://*"]), &asks("http://a.example.com")).unwrap().headers.is_empty());
        assert!(!preflight(&cors(&["https://*"]), &asks("https://a.example.com")).unwrap().headers.is_empty());
        assert!(preflight(&cors(&["*"]), &request(Method::OPTIONS, &[])).is_none());
        assert!(preflight(&cors(&["*"]), &request(Method::GET, &[("Origin", "x")])).is_none());
    }

    #[test]
    fn headers_of_integrations_give_way() {
        let mut answer = Answer::message(StatusCode::OK, "x");
        answer.set("access-control-allow-origin", "https://old.example.com");
        apply(&cors(&["*"]), &request(Method::GET, &[("Origin", "https://a.example.com")]), &mut answer);
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        apply(
            &cors(&["https://b.example.com"]),
            &request(Method::GET, &[("Origin", "https://a.example.com")]),
            &mut answer,
        );
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
}
