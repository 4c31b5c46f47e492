//! What is made of a route's request for an integration that is no Lambda proxy, and of the integration's response: mapping
//! templates, parameters, the selection of both. (Developer guide, "Data transformations for WebSocket APIs", "Set up data mapping
//! for WebSocket APIs", "WebSocket API mapping template reference".)

use std::cell::OnceCell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use regex_lite::Regex;
use serde_json::{Map, Value, json};

use super::cause::{Cause, Side};
use super::jsonpath;
use super::model::{IntegrationConfig, IntegrationResponseConfig, Strings};
use super::selection;
use super::vtl::{self, Heap, Limits};

/// A route's request: what mappings may refer to.
#[derive(Debug)]
pub struct RouteRequest {
    /// A message's text; empty for `$connect` and `$disconnect`.
    pub body: String,
    /// `$context`, which is what proxies get as `requestContext`.
    context: Value,
    /// Names with all values.
    headers: Map<String, Value>,
    query: Map<String, Value>,
    /// Of a REST API.
    path: Map<String, Value>,
    variables: Strings,
}

/// The request to an integration.
#[derive(Debug, Default)]
pub struct IntegrationRequest {
    pub body: Bytes,
    pub headers: HeaderMap,
    pub query: Vec<(String, String)>,
    /// Values for the names in braces in the integration's URI.
    pub path: Vec<(String, String)>,
}

/// What an integration answered.
#[derive(Debug, Default)]
pub struct Backend {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The error of a Lambda function; integration responses are selected by it instead of the status.
    pub error: Option<String>,
}

impl RouteRequest {
    /// Reads the request out of the event that a proxy would get.
    pub fn of(event: &[u8], variables: &Strings) -> Self {
        let mut event: Value = serde_json::from_slice(event).unwrap_or_default();
        let mut take = |name: &str| event.get_mut(name).map(Value::take).unwrap_or_default();
        let members = |value: Value| match value {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        Self {
            body: take("body").as_str().unwrap_or_default().to_owned(),
            context: take("requestContext"),
            headers: members(take("multiValueHeaders")),
            query: members(take("multiValueQueryStringParameters")),
            path: members(take("pathParameters")),
            variables: variables.clone(),
        }
    }

    /// The value of a variable in a selection expression: `request.body.action`.
    pub fn selected(&self, name: &str) -> Option<String> {
        if let Some(name) = name.strip_prefix("stageVariables.") {
            return self.variables.get(name).cloned();
        }
        match name.strip_prefix("context.") {
            Some(path) => self.context(path),
            None => selection::member(name, &serde_json::from_str(&self.body).ok()?),
        }
    }

    /// A `$context` variable as text.
    fn context(&self, path: &str) -> Option<String> {
        text(path.split('.').try_fold(&self.context, |value, name| value.get(name))?)
    }

    /// The value of a mapping expression: `route.request.querystring.name`, `context.connectionId`, `'text'`.
    pub(super) fn mapped(&self, expression: &str) -> Result<Option<String>, String> {
        if let Some(literal) = expression.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            return Ok(Some(literal.to_owned()));
        }
        let expression = expression.strip_prefix('$').unwrap_or(expression);
        // Routes of WebSocket APIs, and methods of REST APIs.
        let expression =
            expression.strip_prefix("route.").or_else(|| expression.strip_prefix("method.")).unwrap_or(expression);
        if let Some(place) = expression.strip_prefix("request.") {
            return match place.split_once('.').unwrap_or((place, "")) {
                ("header", name) => Ok(value_of(&self.headers, name, true, false)),
                ("multivalueheader", name) => Ok(value_of(&self.headers, name, true, true)),
                ("querystring", name) => Ok(value_of(&self.query, name, false, false)),
                ("multivaluequerystring", name) => Ok(value_of(&self.query, name, false, true)),
                ("body", "") => Ok(Some(self.body.clone())),
                ("body", path) => Ok(jsonpath::find(&document(&self.body), path)?.as_ref().and_then(text)),
                _ => Err(format!("{expression} is not a part of a route's request")),
            };
        }
        if let Some(name) = expression.strip_prefix("stageVariables.") {
            return Ok(self.variables.get(name).cloned());
        }
        match expression.strip_prefix("context.") {
            Some(path) => Ok(self.context(path)),
            None => Err(format!("{expression} is not a mapping expression")),
        }
    }

    /// What a template gives for `body`: the request's, or the integration's.
    ///
    /// # Errors
    /// What is wrong with it, with its place.
    pub(super) fn rendered(&self, template: &str, body: &str) -> Result<String, String> {
        self.render(template, body).map(|rendered| rendered.text).map_err(|error| error.to_string())
    }

    /// Evaluates a template on `body`: the request's, or the integration's.
    fn render(&self, template: &str, body: &str) -> Result<vtl::Rendered, vtl::Error> {
        let first = |all: &Map<String, Value>| -> Map<String, Value> {
            let last = |values: &Value| values.as_array().and_then(|values| values.last()).cloned().unwrap_or_default();
            all.iter().map(|(name, values)| (name.clone(), last(values))).collect()
        };
        let host = Variables {
            body: if body.is_empty() { "{}" } else { body },
            document: OnceCell::new(),
            parameters: json!({ "path": self.path, "querystring": first(&self.query), "header": first(&self.headers) }),
        };
        let mut context = self.context.clone();
        if let Some(members) = context.as_object_mut() {
            members.insert("requestOverride".to_owned(), json!({ "header": {}, "path": {}, "querystring": {} }));
            members.insert("responseOverride".to_owned(), json!({ "header": {} }));
        }
        vtl::render(template, &host, Limits::API_GATEWAY, |heap| {
            Ok(vec![
                ("input", vtl::Value::Object("input")),
                ("util", vtl::Value::Object("util")),
                ("context", heap.add_json(&context)?),
                ("stageVariables", heap.add_json(&json!(self.variables))?),
            ])
        })
    }
}

/// Makes the request to an integration.
///
/// # Errors
/// [`Cause::Template`], [`Cause::NoTemplate`], [`Cause::Parameter`], [`Cause::NotBase64`].
pub fn request(integration: &IntegrationConfig, request: &RouteRequest) -> Result<IntegrationRequest, Cause> {
    let mut made = IntegrationRequest::default();
    for (name, expression) in &integration.request_parameters {
        let wrong = |problem| Cause::Parameter { name: name.clone(), problem };
        let Some(value) = request.mapped(expression).map_err(wrong)? else { continue };
        made.set(name.strip_prefix("integration.request.").unwrap_or(name), value)
            .map_err(|problem| Cause::Parameter { name: name.clone(), problem })?;
    }
    let templates = &integration.request_templates;
    let expression = integration.template_selection_expression.as_deref();
    let is_proxy = integration.integration_type.ends_with("_PROXY");
    let chosen = choose(templates, expression, |name| request.selected(name)).filter(|_| !is_proxy);
    let body = match chosen {
        Some((key, template)) => {
            let rendered = request.render(template, &request.body).map_err(|error| Cause::Template {
                side: Side::Request,
                key: key.to_owned(),
                error: error.to_string(),
            })?;
            let overrides = overrides(&rendered, "requestOverride");
            for kind in ["header", "querystring", "path"] {
                for (name, value) in overrides[kind].as_object().into_iter().flatten() {
                    let name = format!("{kind}.{name}");
                    let Some(value) = text(value) else { continue };
                    made.set(&name, value).map_err(|problem| Cause::Parameter { name, problem })?;
                }
            }
            rendered.text
        }
        None => {
            let passes = match integration.passthrough_behavior.as_str() {
                _ if is_proxy => true,
                "NEVER" => false,
                "WHEN_NO_TEMPLATES" => templates.is_empty(),
                _ => true,
            };
            if !passes {
                let behavior = integration.passthrough_behavior.clone();
                return Err(Cause::NoTemplate { behavior, keys: templates.keys().cloned().collect() });
            }
            request.body.clone()
        }
    };
    let handling = integration.content_handling_strategy.as_deref();
    made.body = converted(body.into(), handling).ok_or(Cause::NotBase64 { side: Side::Request })?;
    Ok(made)
}

/// What a template set in `$context.requestOverride` or `$context.responseOverride`.
fn overrides(rendered: &vtl::Rendered, name: &str) -> Value {
    rendered.variable("context").get(name).cloned().unwrap_or_default()
}

impl IntegrationRequest {
    /// Sets `header.NAME`, `querystring.NAME` or `path.NAME`.
    fn set(&mut self, place: &str, value: String) -> Result<(), String> {
        let (pairs, name) = match place.split_once('.') {
            Some(("header", name)) => {
                let header = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(&value).ok());
                let (name, value) = header.ok_or("it cannot stand in a header")?;
                self.headers.insert(name, value);
                return Ok(());
            }
            Some(("querystring", name)) => (&mut self.query, name),
            Some(("path", name)) => (&mut self.path, name),
            _ => return Err("it is not a header, query string or path of a request".to_owned()),
        };
        pairs.retain(|(known, _)| known != name);
        pairs.push((name.to_owned(), value));
        Ok(())
    }
}

/// What a client gets of an integration's answer.
#[derive(Debug)]
pub struct Mapped {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Makes the response of a route of what its integration answered. Without any integration response the answer passes as it is.
///
/// # Errors
/// [`Cause::NoIntegrationResponse`], [`Cause::Template`], [`Cause::Parameter`], [`Cause::NotBase64`].
pub fn response<'r>(
    responses: impl Iterator<Item = &'r IntegrationResponseConfig> + Clone,
    request: &RouteRequest,
    backend: Backend,
) -> Result<Mapped, Cause> {
    let Backend { status, headers, body, error } = backend;
    let matched = error.clone().unwrap_or_else(|| status.to_string());
    let by_pattern = |response: &&IntegrationResponseConfig| matches(&response.integration_response_key, &matched);
    let default = |response: &&IntegrationResponseConfig| response.integration_response_key == "$default";
    let mut mapped = Mapped { status, headers: headers.clone(), body };
    let Some(chosen) = responses.clone().find(by_pattern).or_else(|| responses.clone().find(default)) else {
        let keys: Vec<String> = responses.map(|response| response.integration_response_key.clone()).collect();
        return if keys.is_empty() { Ok(mapped) } else { Err(Cause::NoIntegrationResponse { matched, keys }) };
    };
    let text_of_body = String::from_utf8_lossy(&mapped.body).into_owned();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let variable = |name: &str| match name.strip_prefix("integration.response.") {
        Some("statuscode") => Some(status.to_string()),
        Some(place) => match place.split_once('.')? {
            ("header" | "multivalueheader", name) => header(name),
            _ => None,
        },
        None => request.selected(name),
    };
    for (name, expression) in &chosen.response_parameters {
        let wrong = |problem: String| Cause::Parameter { name: name.clone(), problem };
        let value = match expression.strip_prefix("integration.response.") {
            Some(place) => match place.split_once('.').unwrap_or((place, "")) {
                ("body", path) => {
                    let path = if path.is_empty() { "$" } else { path };
                    jsonpath::find(&document(&text_of_body), path).map_err(wrong)?.as_ref().and_then(text)
                }
                _ => variable(expression),
            },
            None => request.mapped(expression).map_err(wrong)?,
        };
        let place = name.strip_prefix("route.response.").unwrap_or(name);
        let name = place.strip_prefix("header.").unwrap_or(place);
        set_header(&mut mapped.headers, name, value).ok_or_else(|| wrong("it cannot stand in a header".to_owned()))?;
    }
    let expression = chosen.template_selection_expression.as_deref();
    if let Some((key, template)) = choose(&chosen.response_templates, expression, variable) {
        let rendered = request.render(template, &text_of_body).map_err(|error| Cause::Template {
            side: Side::Response,
            key: key.to_owned(),
            error: error.to_string(),
        })?;
        let overrides = overrides(&rendered, "responseOverride");
        if let Some(status) = text(&overrides["status"]).and_then(|status| status.parse().ok()) {
            mapped.status = status;
        }
        for (name, value) in overrides["header"].as_object().into_iter().flatten() {
            let wrong = || Cause::Parameter { name: name.clone(), problem: "it cannot stand in a header".to_owned() };
            set_header(&mut mapped.headers, name, text(value)).ok_or_else(wrong)?;
        }
        mapped.body = rendered.text.into();
    }
    mapped.body = match chosen.content_handling_strategy.as_deref() {
        Some("CONVERT_TO_TEXT") => STANDARD.encode(&mapped.body).into(),
        handling => converted(mapped.body, handling).ok_or(Cause::NotBase64 { side: Side::Response })?,
    };
    Ok(mapped)
}

/// Sets a header where there is a value; `None` where it cannot be one.
fn set_header(headers: &mut HeaderMap, name: &str, value: Option<String>) -> Option<()> {
    if let Some(value) = value {
        headers.insert(name.parse::<HeaderName>().ok()?, HeaderValue::from_str(&value).ok()?);
    }
    Some(())
}

/// Whether the key of an integration response, `/2\d\d/`, matches a whole status or error.
pub fn matches(key: &str, value: &str) -> bool {
    let pattern = key.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    // `.` matches line ends, too: errors have several lines.
    let pattern = pattern.and_then(|pattern| Regex::new(&format!("^(?s:{pattern})$")).ok());
    pattern.is_some_and(|pattern| pattern.is_match(value))
}

/// Content in base64, decoded where it is to be binary (developer guide, "Binary media types for WebSocket APIs"); `None` where it is
/// not base64.
fn converted(body: Bytes, handling: Option<&str>) -> Option<Bytes> {
    match handling {
        Some("CONVERT_TO_BINARY") => STANDARD.decode(body.trim_ascii()).ok().map(Bytes::from),
        _ => Some(body),
    }
}

/// The template that a selection expression selects, with its key: that of the key, else `$default`, else, without an expression, the
/// only one.
fn choose<'t>(
    templates: &'t Strings,
    expression: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<(&'t str, &'t str)> {
    let key = expression.and_then(|expression| selection::evaluate(expression, &variable));
    let only = || templates.iter().next().filter(|_| expression.is_none() && templates.len() == 1);
    let chosen = key.and_then(|key| templates.get_key_value(&key));
    let (key, template) = chosen.or_else(|| templates.get_key_value("$default")).or_else(only)?;
    Some((key, template))
}

/// The last value of a parameter, or all with commas between.
fn value_of(all: &Map<String, Value>, name: &str, any_case: bool, every: bool) -> Option<String> {
    let same = |known: &str| known == name || any_case && known.eq_ignore_ascii_case(name);
    let (_, values) = all.iter().find(|(known, _)| same(known))?;
    let values: Vec<&str> = values.as_array()?.iter().filter_map(Value::as_str).collect();
    if every { Some(values.join(",")) } else { values.last().map(|value| (*value).to_owned()) }
}

/// A value as text in a parameter; nothing for null.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(values) if values.iter().all(Value::is_string) => {
            Some(values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","))
        }
        value => Some(value.to_string()),
    }
}

/// A body as JSON; what is no JSON is a text.
fn document(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|_| Value::from(body))
}

/// `$input` and `$util`.
struct Variables<'b> {
    body: &'b str,
    document: OnceCell<Value>,
    parameters: Value,
}

impl Variables<'_> {
    fn find(&self, path: &str) -> Result<Option<Value>, String> {
        jsonpath::find(self.document.get_or_init(|| document(self.body)), path)
    }
}

impl vtl::Host for Variables<'_> {
    fn property(&self, object: &str, name: &str, heap: &mut Heap) -> Result<vtl::Value, String> {
        match (object, name) {
            ("input", "body") => heap.new_text(self.body),
            _ => Ok(vtl::Value::Null),
        }
    }

    fn call(
        &self,
        object: &str,
        method: &str,
        arguments: &[vtl::Value],
        heap: &mut Heap,
    ) -> Result<Option<vtl::Value>, String> {
        let given = arguments.first().map_or(Ok("".into()), |value| heap.text_of(value))?;
        heap.read(if object == "input" { self.body.len() } else { given.len() })?;
        Ok(Some(match (object, method, arguments) {
            // What is nowhere is the empty text, as JSON.
            ("input", "json", [_]) => {
                let found = self.find(&given)?.unwrap_or_else(|| Value::from(""));
                heap.new_text(&found.to_string())?
            }
            ("input", "path", [_]) => match self.find(&given)? {
                Some(found) => heap.add_json(&found)?,
                None => vtl::Value::Null,
            },
            ("input", "params", []) => heap.add_json(&self.parameters)?,
            ("input", "params", [_]) => {
                let places = ["path", "querystring", "header"];
                let exact = places.iter().find_map(|place| self.parameters[place].get(&*given));
                let headers = self.parameters["header"].as_object();
                let any_case = || {
                    let mut headers = headers.into_iter().flatten();
                    headers.find(|(name, _)| name.eq_ignore_ascii_case(&given)).map(|(_, value)| value)
                };
                match exact.or_else(any_case) {
                    Some(value) => heap.add_json(value)?,
                    None => vtl::Value::Null,
                }
            }
            ("util", "escapeJavaScript", [_]) => heap.new_text(&escaped(&given))?,
            ("util", "parseJson", [_]) => {
                let json: Value = serde_json::from_str(&given).map_err(|error| format!("parseJson: {error}"))?;
                heap.add_json(&json)?
            }
            ("util", "urlEncode", [_]) => {
                let encoded: String = form_urlencoded::byte_serialize(given.as_bytes()).collect();
                heap.new_text(&encoded)?
            }
            ("util", "urlDecode", [_]) => {
                let decoded =
                    percent_encoding::percent_decode_str(&given.replace('+', " ")).decode_utf8_lossy().into_owned();
                heap.new_text(&decoded)?
            }
            ("util", "base64Encode", [_]) => heap.new_text(&STANDARD.encode(given.as_bytes()))?,
            ("util", "base64Decode", [_]) => {
                let decoded = STANDARD.decode(given.trim()).map_err(|error| format!("base64Decode: {error}"))?;
                heap.new_text(&String::from_utf8_lossy(&decoded))?
            }
            _ => return Ok(None),
        }))
    }
}

/// A text as JavaScript has it between quotes, single quotes escaped, too.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\'' | '"' | '\\' => escaped.extend(['\\', letter]),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\u{8}' => escaped.push_str("\\b"),
            '\u{c}' => escaped.push_str("\\f"),
            letter if letter < ' ' => escaped.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
#[path = "mapping_tests.rs"]
mod tests;
