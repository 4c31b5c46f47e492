//! AWS integrations: calls of the local cloud's own services, made as the integration's role.
//!
//! The URI says what is called: `arn:aws:apigateway:REGION:SERVICE:action/NAME` an operation, `...:path/REST` a path. Which services
//! there are, and what an operation needs, is theirs: a request goes the way of all requests.

use http::header::{self, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

use super::cause::Cause;
use super::mapping::{Backend, IntegrationRequest};
use crate::local::context::ports::Services;
use crate::local::protocol::operation::MAX_BODY;
use crate::local::protocol::wire::{Caller, Protocol, Request};

const FORM: &str = "application/x-www-form-urlencoded";

/// What an integration's URI calls.
#[derive(Debug, PartialEq, Eq)]
pub struct Target<'u> {
    pub region: &'u str,
    pub service: &'u str,
    /// Whether `operation` is an operation's name, not a path.
    pub is_action: bool,
    pub operation: &'u str,
}

impl<'u> Target<'u> {
    /// Reads a URI.
    pub fn read(uri: &'u str) -> Option<Self> {
        let parts: Vec<&str> = uri.splitn(6, ':').collect();
        let [_, _, "apigateway", region, service, operation] = parts[..] else { return None };
        let (kind, operation) = operation.split_once('/')?;
        // A subdomain may stand before the service.
        let service = service.rsplit('.').next().unwrap_or(service);
        let is_action = match kind {
            "action" => true,
            "path" => false,
            _ => return None,
        };
        Some(Self { region, service, is_action, operation })
    }
}

/// Calls a service with the access key of a role's session.
///
/// # Errors
/// [`Cause::NoService`].
pub async fn send(
    services: &dyn Services,
    target: &Target<'_>,
    method: Option<&str>,
    request: IntegrationRequest,
    access_key: &str,
) -> Result<Backend, Cause> {
    let Some((protocol, targets)) = services.protocol(target.service) else {
        return Err(Cause::NoService { service: target.service.to_owned(), served: services.names() });
    };
    let IntegrationRequest { body, mut headers, mut query, path: parameters } = request;
    let mut path = if target.is_action { "/".to_owned() } else { format!("/{}", target.operation) };
    for (name, value) in &parameters {
        let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string();
        path = path.replace(&format!("{{{name}}}"), &value);
    }
    if let Some((before, asked)) = path.clone().split_once('?') {
        query.extend(form_urlencoded::parse(asked.as_bytes()).into_owned());
        path = before.to_owned();
    }
    let mut body = body;
    let mut wrapped = None;
    match protocol {
        Protocol::AwsJson10 | Protocol::AwsJson10Query(_) | Protocol::AwsJson11 => {
            let named = headers.contains_key("x-amz-target");
            // The older protocol of queues is a form.
            let form = match protocol {
                Protocol::AwsJson10Query(_) if !named => parameters_of_form(&headers, &query, &body, target),
                _ => None,
            };
            if let Some(form) = form {
                let (action, members) = from_form(form, &path, services.authority());
                set(&mut headers, "x-amz-target", &format!("{}{action}", targets.unwrap_or_default()));
                body = Value::Object(members).to_string().into();
                wrapped = Some(action);
            } else if target.is_action && !named {
                set(&mut headers, "x-amz-target", &format!("{}{}", targets.unwrap_or_default(), target.operation));
            }
            set(&mut headers, "content-type", protocol.content_type());
            path = "/".to_owned();
            query.clear();
        }
        Protocol::Query(_) => {
            let mut form = query.clone();
            // A message that passes as it is may be JSON, which is no form.
            if !matches!(body.trim_ascii_start().first(), Some(b'{' | b'[' | b'"')) {
                form.extend(form_urlencoded::parse(body.trim_ascii()).into_owned());
            }
            if target.is_action {
                form.retain(|(name, _)| name != "Action");
                form.insert(0, ("Action".to_owned(), target.operation.to_owned()));
            }
            body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish().into();
            set(&mut headers, "content-type", FORM);
            query.clear();
        }
        Protocol::RestXml => {}
        Protocol::RestJson { .. } => {
            headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        }
    }
    let (region, service) = (target.region, target.service);
    let scope = format!("{access_key}/20260101/{region}/{service}/aws4_request");
    set(
        &mut headers,
        "authorization",
        &format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"),
    );
    let method = method.filter(|_| !target.is_action).and_then(|method| method.parse().ok()).unwrap_or(Method::POST);
    let caller = Caller { access_key: Some(access_key.to_owned()), region: target.region.to_owned() };
    let answer = services.answer(Request { method, path, query, headers, body, file: None, caller }).await;
    let answer = answer.in_memory(MAX_BODY).await;
    let status = answer.status.as_u16();
    let body = match (protocol, wrapped) {
        (Protocol::Query(_), _) => {
            let text = String::from_utf8_lossy(&answer.body);
            xml_as_json(&text).map_or_else(|| answer.body.clone(), |json| json.to_string().into())
        }
        (_, Some(action)) => wrap(&action, status, &answer.body).to_string().into(),
        _ => answer.body,
    };
    Ok(Backend { status, headers: answer.headers, body, error: None })
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The parameters of a request in a form's protocol: of its query string, and of its body if that is a form. `None` where neither
/// names an action.
fn parameters_of_form(
    headers: &HeaderMap,
    query: &[(String, String)],
    body: &[u8],
    target: &Target<'_>,
) -> Option<Vec<(String, String)>> {
    let mut form = query.to_vec();
    let typed = headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(FORM.as_bytes()));
    if typed || body.trim_ascii_start().starts_with(b"Action=") {
        form.extend(form_urlencoded::parse(body.trim_ascii()).into_owned());
    }
    if target.is_action && !form.is_empty() && !form.iter().any(|(name, _)| name == "Action") {
        form.push(("Action".to_owned(), target.operation.to_owned()));
    }
    form.iter().any(|(name, _)| name == "Action").then_some(form)
}

/// A form of the query protocol as the members of JSON: `MessageAttribute.1.Name` and `MessageAttribute.1.Value.StringValue` are an
/// entry of `MessageAttributes`. The path of a queue's URL is its `QueueUrl`.
fn from_form(form: Vec<(String, String)>, path: &str, authority: String) -> (String, Map<String, Value>) {
    let mut action = String::new();
    let mut members = Map::new();
    let mut attributes: Map<String, Value> = Map::new();
    for (name, value) in form {
        match name.split_once('.') {
            None if name == "Action" => action = value,
            None if name == "Version" => {}
            None => {
                // The numbers of these operations are all of this kind.
                let is_number = name.ends_with("Seconds") || name.starts_with("MaxNumber") || name.ends_with("Timeout");
                let number = value.parse::<i64>().ok().filter(|_| is_number);
                members.insert(name, number.map_or(Value::from(value), Value::from));
            }
            Some((kind, place)) => {
                let Some((number, place)) = place.split_once('.') else { continue };
                let entry = attributes.entry(format!("{kind}.{number}")).or_insert_with(|| json!({}));
                entry[place.strip_prefix("Value.").unwrap_or(place)] = value.into();
            }
        }
    }
    for (place, mut entry) in attributes {
        let kind = place.split('.').next().unwrap_or_default();
        let name = entry["Name"].take().as_str().unwrap_or_default().to_owned();
        let value = match entry.as_object_mut().map(|entry| (entry.remove("Name"), entry.remove("Value"))) {
            Some((_, Some(value))) => value,
            _ => entry,
        };
        let named = members.entry(format!("{kind}s")).or_insert_with(|| json!({}));
        if let Some(named) = named.as_object_mut() {
            named.insert(name, value);
        }
    }
    if path != "/" && !members.contains_key("QueueUrl") {
        members.insert("QueueUrl".to_owned(), format!("http://{authority}{path}").into());
    }
    (action, members)
}

/// An answer as the older protocol has it, in JSON.
fn wrap(action: &str, status: u16, body: &[u8]) -> Value {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    if status >= 300 {
        let code = answer["__type"].as_str().unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default();
        return json!({ "Error": { "Code": code, "Message": answer["message"], "Type": "Sender" } });
    }
    json!({ format!("{action}Response"): { format!("{action}Result"): answer, "ResponseMetadata": {} } })
}

/// An XML answer as AWS's services give it in JSON: an element is a member, several of a name are a list.
fn xml_as_json(xml: &str) -> Option<Value> {
    let mut rest = xml.trim_start();
    if rest.starts_with("<?") {
        rest = rest.split_once("?>")?.1;
    }
    let (name, value, _) = element(rest, 0)?;
    Some(json!({ name: value }))
}

/// Reads an element: its name, its value, and what is after it.
fn element(xml: &str, depth: usize) -> Option<(&str, Value, &str)> {
    let (tag, mut rest) = xml.trim_start().strip_prefix('<')?.split_once('>')?;
    let name = tag.trim_end_matches('/').split_whitespace().next()?;
    if depth > 32 {
        return None;
    }
    if tag.ends_with('/') {
        return Some((name, Value::Null, rest));
    }
    let mut members = Map::new();
    loop {
        let (text, after) = rest.split_at(rest.find('<')?);
        if let Some(after) = after.strip_prefix("</") {
            let after = after.strip_prefix(name)?.trim_start().strip_prefix('>')?;
            let value = if members.is_empty() { unescaped(text).into() } else { Value::Object(members) };
            return Some((name, value, after));
        }
        let (inner, value, after) = element(after, depth + 1)?;
        match members.get_mut(inner) {
            Some(Value::Array(values)) => values.push(value),
            Some(known) => *known = Value::Array(vec![known.take(), value]),
            None => {
                members.insert(inner.to_owned(), value);
            }
        }
        rest = after;
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_a_service_and_an_operation_or_a_path() {
        let read =
            |uri| Target::read(uri).map(|target| (target.region, target.service, target.is_action, target.operation));
        assert_eq!(
            read("arn:aws:apigateway:eu-west-1:dynamodb:action/PutItem"),
            Some(("eu-west-1", "dynamodb", true, "PutItem"))
        );
        assert_eq!(
            read("arn:aws:apigateway:eu-west-1:sqs:path/000000000000/q.fifo"),
            Some(("eu-west-1", "sqs", false, "000000000000/q.fifo"))
        );
        assert_eq!(read("arn:aws:lambda:eu-west-1:000000000000:function:f"), None);
        assert_eq!(read("https://example.com"), None);
    }

    #[test]
    fn a_queues_form_becomes_its_json() {
        let form = "Action=SendMessage&MessageBody=a%20b&DelaySeconds=5&MessageAttribute.1.Name=connection\
                    &MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=x";
        let form = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let (action, members) = from_form(form, "/000000000000/q", "localhost:1".to_owned());
        assert_eq!(action, "SendMessage");
        assert_eq!(
            Value::Object(members),
            json!({
                "MessageBody": "a b",
                "DelaySeconds": 5,
                "MessageAttributes": { "connection": { "DataType": "String", "StringValue": "x" } },
                "QueueUrl": "http://localhost:1/000000000000/q",
            })
        );
    }

    #[test]
    fn xml_becomes_json() {
        let xml = "<?xml version=\"1.0\"?>\n<PublishResponse xmlns=\"u\"><PublishResult><MessageId>1</MessageId><a/>\
                   <m>x&amp;y</m><m> </m></PublishResult></PublishResponse>";
        assert_eq!(
            xml_as_json(xml),
            Some(json!({ "PublishResponse": { "PublishResult": { "MessageId": "1", "a": null, "m": ["x&y", " "] } } }))
        );
        for broken in ["", "<a>", "<a><b></a>", "text", "<a></b>"] {
            assert_eq!(xml_as_json(broken), None, "{broken}");
        }
    }
}
