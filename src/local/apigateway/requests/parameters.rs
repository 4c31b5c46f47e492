//! What integrations of HTTP APIs change in requests and answers (developer guide, "Transform API requests and responses for HTTP
//! APIs"): `overwrite:header.x`, `append:querystring.y`, `remove:header.z`, `overwrite:path`, `overwrite:statuscode`.

use http::StatusCode;

use super::request::Received;
use super::response::Answer;
use crate::core::websocket::event::Pairs;
use crate::local::apigateway::model::Strings;
use crate::local::apigateway::selection;

/// What is done with a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Append,
    Overwrite,
    Remove,
}

/// Reads `overwrite:header.x` as what is done, where, and the name there.
fn read(key: &str) -> Option<(Act, &str, &str)> {
    let (act, place) = key.split_once(':')?;
    let act = match act {
        "append" => Act::Append,
        "overwrite" => Act::Overwrite,
        "remove" => Act::Remove,
        _ => return None,
    };
    let (place, name) = place.split_once('.').unwrap_or((place, ""));
    Some((act, place, name))
}

/// Changes a request. `value` gives the values of variables: `request.header.x`, `context.y`. Gives the path that it is to have, if
/// a parameter says so.
pub fn request(
    parameters: &Strings,
    received: &mut Received,
    value: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    let mut path = None;
    for (key, expression) in parameters {
        let Some((act, place, name)) = read(key) else { continue };
        let value = selection::evaluate(expression, value);
        match place {
            "header" => change(&mut received.headers, act, name, value, str::eq_ignore_ascii_case),
            "querystring" => {
                change(&mut received.query, act, name, value, |one, other| one == other);
                let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&received.query).finish();
                received.raw_query = query;
            }
            "path" => path = value.or(path),
            _ => {}
        }
    }
    path
}

fn change(pairs: &mut Pairs, act: Act, name: &str, value: Option<String>, is: fn(&str, &str) -> bool) {
    let Some(value) = value.filter(|_| act != Act::Remove) else {
        if act == Act::Remove {
            pairs.retain(|(known, _)| !is(known, name));
        }
        return;
    };
    if act == Act::Overwrite {
        pairs.retain(|(known, _)| !is(known, name));
    }
    pairs.push((name.to_owned(), value));
}

/// Changes an answer. `value` gives the values of variables that are not of the response.
pub fn response(parameters: &Strings, answer: &mut Answer, value: &dyn Fn(&str) -> Option<String>) {
    let before = answer.clone();
    let of_response = |name: &str| {
        let place = name.strip_prefix("response.")?;
        match place.split_once('.').unwrap_or((place, "")) {
            ("header", name) => before.headers.get(name)?.to_str().ok().map(str::to_owned),
            ("body", path) => {
                let body: serde_json::Value = serde_json::from_slice(&before.body).ok()?;
                let found = path.split('.').try_fold(&body, |value, name| value.get(name))?;
                Some(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
            }
            _ => None,
        }
    };
    for (key, expression) in parameters {
        let Some((act, place, name)) = read(key) else { continue };
        let value = selection::evaluate(expression, &|name| of_response(name).or_else(|| value(name)));
        match (place, act, value) {
            ("header", Act::Remove, _) => {
                drop(name.parse::<http::HeaderName>().map(|name| answer.headers.remove(name)))
            }
            ("header", Act::Append, Some(value)) => answer.add(name, &value),
            ("header", Act::Overwrite, Some(value)) => answer.set(name, &value),
            ("statuscode", Act::Overwrite, Some(value)) => {
                if let Some(status) = value.parse().ok().and_then(|status| StatusCode::from_u16(status).ok()) {
                    answer.status = status;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Strings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn requests_are_changed_as_the_guide_says() {
        let mut received = Received {
            method: Method::GET,
            sent_path: "/a".to_owned(),
            path: "/a".to_owned(),
            raw_query: "q=1".to_owned(),
            query: vec![("q".to_owned(), "1".to_owned())],
            headers: vec![("X-Gone".to_owned(), "1".to_owned()), ("X-B".to_owned(), "old".to_owned())],
            host: String::new(),
            source_ip: String::new(),
            body: Bytes::new(),
        };
        let given = parameters(&[
            ("remove:header.x-gone", ""),
            ("overwrite:header.x-b", "$context.requestId"),
            ("append:querystring.q", "${request.path.id}-2"),
            ("overwrite:path", "/new"),
        ]);
        let value = |name: &str| match name {
            "context.requestId" => Some("Id".to_owned()),
            "request.path.id" => Some("7".to_owned()),
            _ => None,
        };
        assert_eq!(request(&given, &mut received, &value).as_deref(), Some("/new"));
        assert_eq!(received.headers, [("x-b".to_owned(), "Id".to_owned())]);
        assert_eq!(received.raw_query, "q=1&q=7-2");
    }

    #[test]
    fn answers_are_changed_as_the_guide_says() {
        let mut answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: r#"{"code":404}"#.into() };
        answer.set("x-a", "1");
        let given = parameters(&[
            ("append:header.x-a", "2"),
            ("overwrite:header.x-b", "$response.header.x-a"),
            ("overwrite:statuscode", "$response.body.code"),
        ]);
        response(&given, &mut answer, &|_| None);
        assert_eq!(answer.status, 404);
        assert_eq!(answer.headers.get_all("x-a").iter().count(), 2);
        assert_eq!(answer.headers["x-b"], "1");
    }
}
