//! The events of Lambda proxy integrations and of authorizers: payload format 2.0 and 1.0 of HTTP APIs, and that of REST APIs.
//! (Developer guide, "Create AWS Lambda proxy integrations for HTTP APIs", "Input format of a Lambda function for proxy integration",
//! "Control access to HTTP APIs with AWS Lambda authorizers".)

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::request::Received;
use crate::core::websocket::event::{Pairs, RequestInfo, milliseconds, request_time};
use crate::local::apigateway::gateway::decode;
use crate::local::apigateway::model::{DEFAULT_STAGE, Strings};
use crate::local::context::ACCOUNT;
use crate::local::context::ports::Principal;

/// What an event tells.
pub struct Facts<'a> {
    pub request: &'a Received,
    pub info: &'a RequestInfo,
    pub api: &'a str,
    pub stage: &'a str,
    /// `GET /items/{id}`, or `$default`.
    pub route_key: &'a str,
    /// `/items/{id}`, or `$default`.
    pub resource: &'a str,
    pub parameters: &'a Pairs,
    pub variables: &'a Strings,
    /// What the authorizer said, as `requestContext.authorizer` has it.
    pub authorizer: Option<&'a Value>,
    /// Who signed the request.
    pub caller: Option<&'a Principal>,
}

/// Whether API Gateway hands a body on as text: for HTTP APIs these content types alone, not forms, and not bodies without one
/// (recorded on AWS: ministackorg/ministack#766).
fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    const TEXTS: [&str; 3] = ["application/json", "application/xml", "application/javascript"];
    kind.starts_with("text/") || TEXTS.contains(&kind.as_str())
}

/// A body as events have it, and whether it is base64. `is_text` says whether its content type is one of text.
fn body(request: &Received, is_text: bool) -> (Value, bool) {
    if request.body.is_empty() {
        return (Value::Null, false);
    }
    match std::str::from_utf8(&request.body) {
        Ok(text) if is_text => (text.into(), false),
        _ => (STANDARD.encode(&request.body).into(), true),
    }
}

impl Facts<'_> {
    /// The path with the stage before it, as HTTP APIs tell it: `$default` has none (aws-powertools/powertools-lambda-python#621,
    /// logandk/serverless-wsgi#191, dougmoscrop/serverless-http#143).
    fn path(&self) -> String {
        let path = decode(&self.request.path);
        if self.stage == DEFAULT_STAGE { path } else { format!("/{}{path}", self.stage) }
    }

    fn parameters(&self) -> Map<String, Value> {
        self.parameters.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
    }

    fn prefix(&self) -> &str {
        let host = &self.request.host;
        host.split([':', '.']).next().unwrap_or(host)
    }

    /// `requestContext` of format 2.0.
    fn context(&self) -> Value {
        let user_agent = self.request.header("user-agent");
        let mut context = json!({
            "accountId": ACCOUNT,
            "apiId": self.api,
            "domainName": self.request.host,
            "domainPrefix": self.prefix(),
            "http": {
                "method": self.request.method.as_str(),
                "path": self.path(),
                "protocol": "HTTP/1.1",
                "sourceIp": self.request.source_ip,
                "userAgent": user_agent,
            },
            "requestId": self.info.request_id,
            "routeKey": self.route_key,
            "stage": self.stage,
            "time": request_time(self.info.at),
            "timeEpoch": milliseconds(self.info.at),
        });
        if let Some(authorizer) = self.authorizer {
            context["authorizer"] = authorizer.clone();
        }
        context
    }

    /// What events of format 2.0 and requests to authorizers have in common. What is empty is left out.
    fn members_2(&self) -> Map<String, Value> {
        let is_cookie = |name: &str| name.eq_ignore_ascii_case("cookie");
        let headers = self.request.headers.iter().filter(|(name, _)| !is_cookie(name));
        let headers = joined(headers.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())));
        let cookies = self.request.headers.iter().filter(|(name, _)| is_cookie(name));
        let cookies = cookies.flat_map(|(_, value)| value.split(';').map(str::trim).filter(|one| !one.is_empty()));
        let cookies: Vec<&str> = cookies.collect();
        let mut members = Map::new();
        members.insert("version".to_owned(), "2.0".into());
        members.insert("routeKey".to_owned(), self.route_key.into());
        members.insert("rawPath".to_owned(), self.path().into());
        members.insert("rawQueryString".to_owned(), self.request.raw_query.as_str().into());
        if !cookies.is_empty() {
            members.insert("cookies".to_owned(), cookies.into());
        }
        members.insert("headers".to_owned(), headers.into());
        if !self.request.query.is_empty() {
            let query = self.request.query.iter().map(|(name, value)| (name.clone(), value.as_str()));
            members.insert("queryStringParameters".to_owned(), joined(query).into());
        }
        members.insert("requestContext".to_owned(), self.context());
        if !self.parameters.is_empty() {
            members.insert("pathParameters".to_owned(), self.parameters().into());
        }
        if !self.variables.is_empty() {
            members.insert("stageVariables".to_owned(), json!(self.variables));
        }
        members
    }

    /// The event of payload format 2.0.
    pub fn version_2(&self) -> Value {
        let mut members = self.members_2();
        let (body, is_base64) = body(self.request, is_text(self.request.header("content-type")));
        if !body.is_null() {
            members.insert("body".to_owned(), body);
        }
        members.insert("isBase64Encoded".to_owned(), is_base64.into());
        Value::Object(members)
    }

    /// `requestContext` of format 1.0.
    fn context_1(&self, path: &str) -> Value {
        let null_if_empty = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
        let user = self.caller.map(|caller| caller.user_id.as_str());
        let mut context = json!({
            "accountId": ACCOUNT,
            "apiId": self.api,
            "domainName": self.request.host,
            "domainPrefix": self.prefix(),
            "extendedRequestId": self.info.request_id,
            "httpMethod": self.request.method.as_str(),
            "identity": {
                "accessKey": null,
                "accountId": self.caller.map(|_| ACCOUNT),
                "caller": user,
                "cognitoAuthenticationProvider": null,
                "cognitoAuthenticationType": null,
                "cognitoIdentityId": null,
                "cognitoIdentityPoolId": null,
                "principalOrgId": null,
                "sourceIp": self.request.source_ip,
                "user": user,
                "userAgent": null_if_empty(self.request.header("user-agent")),
                "userArn": self.caller.map(|caller| caller.arn.as_str()),
            },
            "path": path,
            "protocol": "HTTP/1.1",
            "requestId": self.info.request_id,
            "requestTime": request_time(self.info.at),
            "requestTimeEpoch": milliseconds(self.info.at),
            "resourceId": null,
            "resourcePath": self.resource,
            "stage": self.stage,
        });
        if let Some(authorizer) = self.authorizer {
            context["authorizer"] = authorizer.clone();
        }
        context
    }

    /// The value of `$context.PATH`, as parameters and identity sources have it.
    pub fn context_variable(&self, path: &str) -> Option<String> {
        if path == "routeKey" {
            return Some(self.route_key.to_owned());
        }
        let context = self.context_1(&self.path());
        match path.split('.').try_fold(&context, |value, name| value.get(name))? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// What events of format 1.0 of an HTTP API, and those of a REST API, have in common. What is empty is null.
    fn members_1(&self, path: String, context_path: &str) -> Map<String, Value> {
        let request = self.request;
        let (headers, query) = (&request.headers, &request.query);
        let or_null = |members: Map<String, Value>| if members.is_empty() { Value::Null } else { members.into() };
        let value = json!({
            "resource": self.resource,
            "path": path,
            "httpMethod": request.method.as_str(),
            "headers": or_null(last(headers)),
            "multiValueHeaders": or_null(all(headers)),
            "queryStringParameters": or_null(last(query)),
            "multiValueQueryStringParameters": or_null(all(query)),
            "requestContext": self.context_1(context_path),
            "pathParameters": or_null(self.parameters()),
            "stageVariables": if self.variables.is_empty() { Value::Null } else { json!(self.variables) },
        });
        match value {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    /// The event of payload format 1.0 of an HTTP API.
    pub fn version_1(&self) -> Value {
        let path = self.path();
        let mut members = self.members_1(path.clone(), &path);
        members.insert("version".to_owned(), "1.0".into());
        let (body, is_base64) = body(self.request, is_text(self.request.header("content-type")));
        members.insert("body".to_owned(), body);
        members.insert("isBase64Encoded".to_owned(), is_base64.into());
        Value::Object(members)
    }

    /// The event of a REST API, whose path is told as it was sent, without the stage. `is_binary` says whether the body's content
    /// type is one of the API's binary media types.
    pub fn rest(&self, resource_id: &str, deployment: &str, is_binary: bool) -> Value {
        let path = self.request.path.clone();
        let with_stage = format!("/{}{path}", self.stage);
        let mut members = self.members_1(path, &with_stage);
        if let Some(context) = members.get_mut("requestContext") {
            context["resourceId"] = resource_id.into();
            context["deploymentId"] = deployment.into();
        }
        let (body, is_base64) = match is_binary {
            true => body(self.request, false),
            false if self.request.body.is_empty() => (Value::Null, false),
            false => (String::from_utf8_lossy(&self.request.body).into(), false),
        };
        members.insert("body".to_owned(), body);
        members.insert("isBase64Encoded".to_owned(), is_base64.into());
        Value::Object(members)
    }

    /// The event of a REST API's authorizer that gets the whole request.
    pub fn authorize_rest(&self, method_arn: &str, resource_id: &str, deployment: &str) -> Value {
        let mut event = self.rest(resource_id, deployment, false);
        if let Some(members) = event.as_object_mut() {
            members.shift_remove("body");
            members.shift_remove("isBase64Encoded");
        }
        event["type"] = "REQUEST".into();
        event["methodArn"] = method_arn.into();
        event
    }

    /// The event of an authorizer of format 2.0.
    pub fn authorize_2(&self, route_arn: &str, identity: &[String]) -> Value {
        let mut members = self.members_2();
        members.insert("type".to_owned(), "REQUEST".into());
        members.insert("routeArn".to_owned(), route_arn.into());
        members.insert("identitySource".to_owned(), if identity.is_empty() { Value::Null } else { json!(identity) });
        Value::Object(members)
    }

    /// The event of an authorizer of format 1.0.
    pub fn authorize_1(&self, route_arn: &str, identity: &[String]) -> Value {
        let path = self.path();
        let mut members = self.members_1(path.clone(), &path);
        members.shift_remove("multiValueHeaders");
        members.shift_remove("multiValueQueryStringParameters");
        members.insert("version".to_owned(), "1.0".into());
        members.insert("type".to_owned(), "REQUEST".into());
        members.insert("methodArn".to_owned(), route_arn.into());
        members.insert("identitySource".to_owned(), identity.join(",").into());
        members.insert("authorizationToken".to_owned(), identity.join(",").into());
        Value::Object(members)
    }
}

/// Values by name, those of one name joined by commas.
fn joined<'p>(pairs: impl Iterator<Item = (String, &'p str)>) -> Map<String, Value> {
    let mut joined = Map::new();
    for (name, value) in pairs {
        match joined.get_mut(&name) {
            Some(Value::String(known)) => {
                known.push(',');
                known.push_str(value);
            }
            _ => drop(joined.insert(name, value.into())),
        }
    }
    joined
}

/// The last value of each name.
fn last(pairs: &Pairs) -> Map<String, Value> {
    pairs.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
}

/// All values of each name.
fn all(pairs: &Pairs) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in pairs {
        if let Value::Array(values) = all.entry(name.clone()).or_insert_with(|| json!([])) {
            values.push(value.as_str().into());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Method;
    use time::macros::datetime;

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Pairs {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn received(content_type: &str, body: &[u8]) -> Received {
        Received {
            method: Method::POST,
            sent_path: "/dev/items/a%20b".to_owned(),
            path: "/items/a%20b".to_owned(),
            raw_query: "x=1&x=2&y=%20".to_owned(),
            query: pairs(&[("x", "1"), ("x", "2"), ("y", " ")]),
            headers: pairs(&[
                ("Host", "h.example.com"),
                ("X-A", "1"),
                ("x-a", "2"),
                ("Cookie", "a=1; b=2"),
                ("Content-Type", content_type),
            ]),
            host: "h.example.com".to_owned(),
            source_ip: "127.0.0.1".to_owned(),
            body: Bytes::copy_from_slice(body),
        }
    }

    fn with<T>(request: &Received, stage: &str, of: impl FnOnce(&Facts<'_>) -> T) -> T {
        let info = RequestInfo { request_id: "Id=".to_owned(), at: datetime!(2020-03-12 19:03:58.390 UTC) };
        let parameters = pairs(&[("id", "a b")]);
        let variables = [("color".to_owned(), "blue".to_owned())].into();
        of(&Facts {
            request,
            info: &info,
            api: "abc",
            stage,
            route_key: "POST /items/{id}",
            resource: "/items/{id}",
            parameters: &parameters,
            variables: &variables,
            authorizer: None,
            caller: None,
        })
    }

    #[test]
    fn an_event_of_format_2_joins_what_has_several_values() {
        let request = received("application/json", b"{}");
        let event = with(&request, "dev", |facts| facts.version_2());
        let expected = json!({
            "version": "2.0",
            "routeKey": "POST /items/{id}",
            "rawPath": "/dev/items/a b",
            "rawQueryString": "x=1&x=2&y=%20",
            "cookies": ["a=1", "b=2"],
            "headers": { "host": "h.example.com", "x-a": "1,2", "content-type": "application/json" },
            "queryStringParameters": { "x": "1,2", "y": " " },
            "requestContext": {
                "accountId": ACCOUNT,
                "apiId": "abc",
                "domainName": "h.example.com",
                "domainPrefix": "h",
                "http": {
                    "method": "POST",
                    "path": "/dev/items/a b",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "",
                },
                "requestId": "Id=",
                "routeKey": "POST /items/{id}",
                "stage": "dev",
                "time": "12/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_584_039_838_390_i64,
            },
            "pathParameters": { "id": "a b" },
            "stageVariables": { "color": "blue" },
            "body": "{}",
            "isBase64Encoded": false,
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn the_default_stage_is_no_part_of_the_path() {
        let request = received("text/plain", b"");
        let event = with(&request, "$default", |facts| facts.version_2());
        assert_eq!(event["rawPath"], "/items/a b");
        assert!(event.get("body").is_none());
        let event = with(&request, "$default", |facts| facts.version_1());
        assert_eq!(
            (&event["path"], &event["body"], &event["version"]),
            (&json!("/items/a b"), &Value::Null, &json!("1.0"))
        );
        assert_eq!(event["multiValueHeaders"]["X-A"], json!(["1"]));
        assert_eq!(event["multiValueQueryStringParameters"]["x"], json!(["1", "2"]));
        assert_eq!(event["queryStringParameters"]["x"], "2");
    }

    #[test]
    fn only_text_is_handed_on_as_text() {
        for (content_type, is_base64) in [
            ("application/json; charset=utf-8", false),
            ("text/csv", false),
            ("application/xml", false),
            ("application/x-www-form-urlencoded", true),
            ("application/octet-stream", true),
            ("", true),
        ] {
            let event = with(&received(content_type, b"a=1"), "dev", |facts| facts.version_2());
            let body = if is_base64 { "YT0x" } else { "a=1" };
            assert_eq!(
                (&event["isBase64Encoded"], &event["body"]),
                (&json!(is_base64), &json!(body)),
                "{content_type}"
            );
        }
    }

    #[test]
    fn a_rest_event_has_its_path_without_the_stage() {
        let event = with(&received("image/png", &[0xff]), "dev", |facts| facts.rest("r1", "d1", true));
        assert_eq!(
            (&event["path"], &event["requestContext"]["path"]),
            (&json!("/items/a%20b"), &json!("/dev/items/a%20b"))
        );
        assert_eq!((&event["isBase64Encoded"], &event["body"]), (&json!(true), &json!("/w==")));
        assert_eq!(event["requestContext"]["resourceId"], "r1");
        assert!(event.get("version").is_none());
    }
}
