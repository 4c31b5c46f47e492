//! Requests of REST APIs, out of Cloud Control's records: an API that an OpenAPI document describes (as SAM makes them), or resources
//! and methods. What is served are Lambda proxies, HTTP proxies and mocks; anything else is answered with 501 and its name.
//! (Developer guide, "Set up Lambda proxy integrations in API Gateway", "Set up mock integrations in API Gateway".)
//!
//! Deployments freeze nothing here: what is served is what the records say now.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::StatusCode;
use regex_lite::Regex;
use serde_json::{Map, Value};

use super::event::Facts;
use super::request::{Pattern, Received, select};
use super::response::{self, Answer};
use super::{below, not_local, with_parameters};
use crate::local::apigateway::ApiGateway;
use crate::local::apigateway::access_log::{AccessRecord, Integration as Integrated};
use crate::local::apigateway::admission;
use crate::local::apigateway::cause::{Cause, IntegrationFailure, Side};
use crate::local::apigateway::event::Origin;
use crate::local::apigateway::gateway::segments;
use crate::local::apigateway::gateway_log::{self, ClientRequest};
use crate::local::apigateway::integration::{self, Invoking, with_variables};
use crate::local::apigateway::mapping::RouteRequest;
use crate::local::apigateway::model::Strings;
use crate::local::context::ACCOUNT;
use crate::local::context::ports::Records;

const INTEGRATION: &str = "x-amazon-apigateway-integration";
const ANY: &str = "x-amazon-apigateway-any-method";

/// How long an integration may take where it does not say (quotas of REST APIs: 29 seconds).
const TIMEOUT: u64 = 29_000;

/// A method of a resource.
#[derive(Debug, Clone, PartialEq)]
struct RestMethod {
    resource: String,
    /// What authorizes its callers, where anything does.
    authorization: Option<String>,
    needs_key: bool,
    integration: RestIntegration,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct RestIntegration {
    /// `AWS_PROXY`.
    kind: String,
    uri: String,
    method: Option<String>,
    role: Option<String>,
    is_private: bool,
    timeout: Option<u64>,
    /// By content type.
    templates: Strings,
    responses: Vec<RestResponse>,
}

/// What is made of an answer whose status matches.
#[derive(Debug, Clone, Default, PartialEq)]
struct RestResponse {
    /// A regular expression; `None` for all others.
    pattern: Option<String>,
    status: u16,
    /// `method.response.header.X` by expression.
    parameters: Strings,
    templates: Strings,
}

/// A stage of an API, as records have it.
struct RestStage {
    name: String,
    deployment: String,
    variables: Strings,
}

/// A refusal: status, what the client is told, and why.
type Refusal = (StatusCode, &'static str, Cause);

impl ApiGateway {
    /// The region of the REST API with this id, if there is one.
    pub(super) fn region_of_rest_api(&self, id: &str) -> Option<String> {
        // Ids have ten characters: most paths need no look at the records.
        let is_id = id.len() == 10 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let records = &self.backends.get().filter(|_| is_id)?.records;
        let is_there =
            |region: &String| records.of_type(region, "ApiGateway::RestApi").iter().any(|(known, _)| known == id);
        records.regions().into_iter().find(is_there)
    }

    pub(super) async fn rest_request(
        &self,
        region: &str,
        api: &str,
        mut received: Received,
        is_too_large: bool,
    ) -> Answer {
        let Some(backends) = self.backends.get() else {
            return Answer::message(StatusCode::FORBIDDEN, "Forbidden");
        };
        let records = backends.records.as_ref();
        let apis = records.of_type(region, "ApiGateway::RestApi");
        let model = apis.into_iter().find(|(id, _)| id == api).map(|(_, model)| model).unwrap_or_default();
        let wanted = segments(&received.path).into_iter().next().unwrap_or_default();
        let Some(stage) = stage(records, region, api, &wanted) else {
            return Answer::message(StatusCode::FORBIDDEN, "Forbidden");
        };
        if is_too_large {
            let message = "HTTP content length exceeded 10485760 bytes.";
            return Answer::message(StatusCode::PAYLOAD_TOO_LARGE, message);
        }
        received.path = below(&received.path, 1);
        if received.path.len() > 1 {
            received.path = received.path.trim_end_matches('/').to_owned();
        }
        let origin = received.origin(api.to_owned(), stage.name.clone());
        let mut record = AccessRecord::new("REQUEST");
        let result = self.rest_routed(region, &model, &stage, &origin, &received, &mut record).await;
        let mut answer = result.unwrap_or_else(|(status, message, cause)| {
            let answer = match &cause {
                Cause::NotLocally { what } => not_local(what),
                _ => Answer::message(status, message),
            };
            record.refuse(status.as_u16(), message, cause);
            answer
        });
        record.status = answer.status.as_u16();
        answer.set("x-amzn-requestid", &record.request_info.request_id);
        gateway_log::refusal(self.logs.as_ref(), region, &origin, &record);
        answer
    }

    async fn rest_routed(
        &self,
        region: &str,
        model: &Value,
        stage: &RestStage,
        origin: &Origin,
        received: &Received,
        record: &mut AccessRecord,
    ) -> Result<Answer, Refusal> {
        let api = origin.api_id.as_str();
        let records = self.backends.get().map(|backends| &backends.records);
        let records = records.ok_or((StatusCode::FORBIDDEN, "Forbidden", no_integration("")))?;
        let methods = methods(records.as_ref(), region, api, model);
        let selected = select(methods.into_iter(), &received.method, &received.path);
        let (pattern, method, parameters) = selected.ok_or_else(|| {
            let asked = format!("{} {}", received.method, received.decoded_path());
            let cause = Cause::NoHttpRoute { asked, routes: Vec::new() };
            (StatusCode::FORBIDDEN, "Missing Authentication Token", cause)
        })?;
        let route_key = format!("{} {}", pattern.method, pattern.path);
        record.route_key = Some(route_key.clone());
        let not_here = |what: String| (StatusCode::NOT_IMPLEMENTED, "Not Implemented", Cause::NotLocally { what });
        if let Some(authorization) = &method.authorization {
            return Err(not_here(format!("the authorization of REST APIs ({authorization}, {route_key})")));
        }
        if method.needs_key {
            let given = Some(received.header("x-api-key")).filter(|key| !key.is_empty());
            admission::by_api_key(records.as_ref(), region, given, (api, &stage.name))
                .map_err(|refused| (refused.status, refused.message, refused.cause))?;
        }
        let info = record.request_info.clone();
        let facts = Facts {
            request: received,
            info: &info,
            api,
            stage: &stage.name,
            route_key: &route_key,
            resource: &pattern.path,
            parameters: &parameters,
            variables: &stage.variables,
            authorizer: None,
        };
        let integration = &method.integration;
        let start = Instant::now();
        let limit = Duration::from_millis(integration.timeout.unwrap_or(TIMEOUT));
        let uri = with_variables(&integration.uri, &stage.variables);
        let binary = binary_types(model);
        let answered = match integration.kind.as_str() {
            _ if integration.is_private => {
                return Err(not_here(format!("a private integration (VPC_LINK, {route_key})")));
            }
            "AWS_PROXY" => {
                let is_binary = matches_any(&binary, received.header("content-type"));
                let event = facts.rest(&method.resource, &stage.deployment, is_binary);
                let invoking = Invoking {
                    functions: self.functions.as_ref(),
                    backends: self.backends.get(),
                    uri: &uri,
                    role: integration.role.as_deref(),
                    source_arn: &format!(
                        "arn:aws:execute-api:{region}:{ACCOUNT}:{api}/{}/{}{}",
                        stage.name, received.method, pattern.path
                    ),
                    limit,
                };
                let mut request = ClientRequest { logs: self.logs.as_ref(), region, origin, record };
                let decodes = matches_any(&binary, received.header("accept"));
                invoking.invoke(event.to_string().into(), &mut request).await.and_then(|(function, invoked)| {
                    if invoked.function_error.is_some() {
                        return Err(integration::failed(function, &invoked));
                    }
                    let answer = response::version_1(&invoked.payload, decodes);
                    answer.map(|answer| answer.or_type("application/json")).ok_or_else(|| {
                        let returned = String::from_utf8_lossy(&invoked.payload).into_owned();
                        Cause::Malformed { function, returned }
                    })
                })
            }
            "MOCK" => mocked(integration, &facts),
            "HTTP_PROXY" => {
                let uri = with_parameters(&uri, &parameters);
                let method = integration.method.as_deref().filter(|method| *method != "ANY");
                self.sent(method.unwrap_or(received.method.as_str()), &uri, received, limit, api).await
            }
            other => return Err(not_here(format!("{other} integrations of REST APIs ({route_key})"))),
        };
        record.integration = Some(Integrated {
            latency: start.elapsed(),
            status: answered.as_ref().ok().map(|answer| answer.status.as_u16()),
            error: answered.as_ref().err().map(|cause| cause.kind().message()),
        });
        answered.map_err(|cause| {
            let (status, message) = failure(&cause);
            (status, message, cause)
        })
    }
}

/// The status and the message with which a failed integration is answered.
fn failure(cause: &Cause) -> (StatusCode, &'static str) {
    match cause.kind() {
        IntegrationFailure::Function => (StatusCode::BAD_GATEWAY, "Internal server error"),
        IntegrationFailure::Timeout => (StatusCode::GATEWAY_TIMEOUT, "Endpoint request timed out"),
        IntegrationFailure::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "Internal server error"),
    }
}

fn no_integration(route: &str) -> Cause {
    Cause::NoIntegration { route: route.to_owned() }
}

/// The answer of a mock: its request template gives the status, which selects the response.
fn mocked(integration: &RestIntegration, facts: &Facts<'_>) -> Result<Answer, Cause> {
    let event = facts.rest("", "", false).to_string();
    let asked = RouteRequest::of(event.as_bytes(), facts.variables);
    let content_type = facts.request.header("content-type");
    let content_type = if content_type.is_empty() { "application/json" } else { content_type };
    let (key, template) = by_type(&integration.templates, content_type).ok_or_else(|| Cause::NoTemplate {
        behavior: "NEVER".to_owned(),
        keys: integration.templates.keys().cloned().collect(),
    })?;
    let wrong = |side: Side, key: &str, error: String| Cause::Template { side, key: key.to_owned(), error };
    let rendered = asked.rendered(template, &asked.body).map_err(|error| wrong(Side::Request, key, error))?;
    let given = integration::mocked(rendered.as_bytes())?.status;
    let is_it = |response: &&RestResponse| {
        let pattern = response.pattern.as_ref().and_then(|pattern| Regex::new(&format!("^(?:{pattern})$")).ok());
        pattern.is_some_and(|pattern| pattern.is_match(&given.to_string()))
    };
    let chosen = integration.responses.iter().find(is_it);
    let chosen = chosen.or_else(|| integration.responses.iter().find(|response| response.pattern.is_none()));
    let Some(chosen) = chosen else {
        return Err(Cause::NoIntegrationResponse { matched: given.to_string(), keys: Vec::new() });
    };
    let mut answer = Answer {
        status: StatusCode::from_u16(chosen.status).unwrap_or(StatusCode::OK),
        headers: Default::default(),
        body: Default::default(),
    };
    for (name, expression) in &chosen.parameters {
        let Some(header) = name.strip_prefix("method.response.header.") else { continue };
        let value = asked.mapped(expression).map_err(|problem| Cause::Parameter { name: name.clone(), problem })?;
        if let Some(value) = value {
            answer.set(header, &value);
        }
    }
    let accept = facts.request.header("accept").split([',', ';']).next().unwrap_or_default();
    let template = by_type(&chosen.templates, accept)
        .or_else(|| chosen.templates.iter().next().map(|(key, one)| (key.as_str(), one.as_str())));
    if let Some((key, template)) = template {
        answer.body = asked.rendered(template, "").map_err(|error| wrong(Side::Response, key, error))?.into();
    }
    Ok(answer.or_type("application/json"))
}

/// The template for a content type.
fn by_type<'t>(templates: &'t Strings, content_type: &str) -> Option<(&'t str, &'t str)> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    templates.iter().find(|(key, _)| key.eq_ignore_ascii_case(kind)).map(|(key, one)| (key.as_str(), one.as_str()))
}

/// The stage of this name, where it is deployed: a record of its own, or named by a deployment.
fn stage(records: &dyn Records, region: &str, api: &str, name: &str) -> Option<RestStage> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_api = |model: &Value| model["RestApiId"] == api && model["StageName"] == name;
    let strings = |value: &Value| serde_json::from_value(value.clone()).unwrap_or_default();
    let stages = records.of_type(region, "ApiGateway::Stage");
    if let Some((_, model)) = stages.iter().find(|(_, model)| of_api(model)) {
        let deployment = text(&model["DeploymentId"]);
        return Some(RestStage { name: name.to_owned(), deployment, variables: strings(&model["Variables"]) });
    }
    let deployments = records.of_type(region, "ApiGateway::Deployment");
    let (_, model) = deployments.iter().find(|(_, model)| of_api(model))?;
    let variables = strings(&model["StageDescription"]["Variables"]);
    Some(RestStage { name: name.to_owned(), deployment: text(&model["DeploymentId"]), variables })
}

/// The methods of an API: those of its document, and those of records.
fn methods(records: &dyn Records, region: &str, api: &str, model: &Value) -> Vec<(Pattern, RestMethod)> {
    let mut found = of_document(&document(model));
    let resources: BTreeMap<String, (String, String)> = records
        .of_type(region, "ApiGateway::Resource")
        .into_iter()
        .filter(|(_, resource)| resource["RestApiId"] == api)
        .filter_map(|(_, resource)| {
            let text = |name: &str| resource[name].as_str().map(str::to_owned);
            Some((text("ResourceId")?, (text("ParentId")?, text("PathPart")?)))
        })
        .collect();
    for (_, method) in records.of_type(region, "ApiGateway::Method") {
        if method["RestApiId"] == api {
            let id = method["ResourceId"].as_str().unwrap_or_default();
            found.extend(of_record(&method, path_of(&resources, id)));
        }
    }
    found
}

/// The path of a resource: the parts of all above it, up to the API's own.
fn path_of(resources: &BTreeMap<String, (String, String)>, id: &str) -> String {
    let mut parts = Vec::new();
    let mut at = id;
    // (A circle of records would have no end.)
    while let Some((parent, part)) = resources.get(at).filter(|_| parts.len() < 100) {
        parts.push(part.as_str());
        at = parent;
    }
    parts.reverse();
    format!("/{}", parts.join("/"))
}

fn document(model: &Value) -> Value {
    match &model["Body"] {
        Value::String(text) => serde_yaml::from_str(text).unwrap_or_default(),
        body => body.clone(),
    }
}

fn of_document(document: &Value) -> Vec<(Pattern, RestMethod)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let given = &operation[INTEGRATION];
            if !given.is_object() {
                continue;
            }
            let method = if method == ANY { "ANY".to_owned() } else { method.to_ascii_uppercase() };
            let security = operation.get("security").unwrap_or(&document["security"]);
            let schemes = security.as_array().into_iter().flatten().filter_map(Value::as_object);
            let schemes: Vec<&String> = schemes.flat_map(|scheme| scheme.keys()).collect();
            let known = [&document["securityDefinitions"], &document["components"]["securitySchemes"]];
            let is_key = |name: &str| {
                known.iter().any(|known| {
                    let scheme = &known[name];
                    scheme["type"] == "apiKey"
                        && scheme["x-amazon-apigateway-authtype"].is_null()
                        && scheme["name"] == "x-api-key"
                })
            };
            let integration = RestIntegration {
                kind: text(&given["type"]).unwrap_or_default().to_ascii_uppercase(),
                uri: text(&given["uri"]).unwrap_or_default(),
                method: text(&given["httpMethod"]),
                role: text(&given["credentials"]),
                is_private: given["connectionType"] == "VPC_LINK",
                timeout: given["timeoutInMillis"].as_u64(),
                templates: strings(&given["requestTemplates"]),
                responses: given["responses"].as_object().into_iter().flatten().map(of_response).collect(),
            };
            let rest = RestMethod {
                resource: path.clone(),
                authorization: schemes
                    .iter()
                    .find(|name| !is_key(name) && **name != "NONE")
                    .map(|name| (*name).clone()),
                needs_key: schemes.iter().any(|name| is_key(name)),
                integration,
            };
            found.push((Pattern { method, path: path.clone() }, rest));
        }
    }
    found
}

fn of_response((pattern, given): (&String, &Value)) -> RestResponse {
    RestResponse {
        pattern: (pattern != "default").then(|| pattern.clone()),
        status: status(&given["statusCode"]),
        parameters: strings(&given["responseParameters"]),
        templates: strings(&given["responseTemplates"]),
    }
}

fn of_record(method: &Value, path: String) -> Option<(Pattern, RestMethod)> {
    let given = &method["Integration"];
    let responses = given["IntegrationResponses"].as_array().into_iter().flatten().map(|one| RestResponse {
        pattern: text(&one["SelectionPattern"]).filter(|pattern| !pattern.is_empty()),
        status: status(&one["StatusCode"]),
        parameters: strings(&one["ResponseParameters"]),
        templates: strings(&one["ResponseTemplates"]),
    });
    let integration = RestIntegration {
        kind: text(&given["Type"]).unwrap_or_default(),
        uri: text(&given["Uri"]).unwrap_or_default(),
        method: text(&given["IntegrationHttpMethod"]),
        role: text(&given["Credentials"]),
        is_private: given["ConnectionType"] == "VPC_LINK",
        timeout: given["TimeoutInMillis"].as_u64(),
        templates: strings(&given["RequestTemplates"]),
        responses: responses.collect(),
    };
    let rest = RestMethod {
        resource: text(&method["ResourceId"]).unwrap_or_default(),
        authorization: text(&method["AuthorizationType"]).filter(|kind| kind != "NONE"),
        needs_key: method["ApiKeyRequired"] == true,
        integration,
    };
    Some((Pattern { method: text(&method["HttpMethod"])?, path }, rest))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A map of texts, without what is none.
fn strings(value: &Value) -> Strings {
    let members: Option<&Map<String, Value>> = value.as_object();
    members.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

fn status(value: &Value) -> u16 {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.and_then(|number| u16::try_from(number).ok()).unwrap_or(200)
}

/// The content types that an API takes as binary.
fn binary_types(model: &Value) -> Vec<String> {
    let document = document(model);
    let of_document = document["x-amazon-apigateway-binary-media-types"].as_array().cloned().unwrap_or_default();
    let stated = model["BinaryMediaTypes"].as_array().cloned().unwrap_or_default();
    // SAM writes `~1` for the slash, as JSON pointers do.
    stated.iter().chain(&of_document).filter_map(Value::as_str).map(|kind| kind.replace("~1", "/")).collect()
}

/// Whether one of the content types of a header is among them: exactly, `image/*`, or `*/*` (ministackorg/ministack#767, on AWS).
fn matches_any(binary: &[String], header: &str) -> bool {
    let mut given = header.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
    let fits = |given: &str, pattern: &str| {
        pattern == "*/*"
            || pattern.eq_ignore_ascii_case(given)
            || pattern.strip_suffix("/*").is_some_and(|kind| given.split('/').next() == Some(kind))
    };
    given.any(|given| {
        binary.iter().any(|pattern| fits(given, pattern))
            && (!given.is_empty() || binary.iter().any(|one| one == "*/*"))
    })
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::local::apigateway::event::Pairs;

    /// As SAM writes a method and, for `Cors`, its OPTIONS.
    fn document() -> Value {
        json!({ "swagger": "2.0", "paths": { "/rooms/{room}": {
            "post": {
                INTEGRATION: { "httpMethod": "POST", "type": "aws_proxy", "uri": "arn:aws:apigateway:f" },
                "security": [{ "api_key": [] }],
            },
            "options": {
                INTEGRATION: {
                    "type": "mock",
                    "requestTemplates": { "application/json": "{\n  \"statusCode\" : 200\n}\n" },
                    "responses": { "default": {
                        "statusCode": "200",
                        "responseParameters": { "method.response.header.Access-Control-Allow-Origin": "'*'" },
                        "responseTemplates": { "application/json": "{}\n" },
                    } },
                },
            },
        } }, "securityDefinitions": { "api_key": { "type": "apiKey", "name": "x-api-key", "in": "header" } } })
    }

    #[test]
    fn methods_are_read_out_of_a_document() {
        let methods = of_document(&document());
        let find = |method: &str| {
            let found = methods.iter().find(|(pattern, _)| pattern.method == method).unwrap();
            assert_eq!(found.0.path, "/rooms/{room}");
            &found.1
        };
        let post = find("POST");
        assert!(post.needs_key && post.authorization.is_none());
        assert_eq!(post.integration.kind, "AWS_PROXY");
        let options = find("OPTIONS");
        assert_eq!(options.integration.responses[0].status, 200);
        assert_eq!(options.integration.responses[0].pattern, None);
    }

    #[test]
    fn a_resource_has_the_path_of_all_above_it() {
        let resources = [("a", ("root", "rooms")), ("b", ("a", "{room}")), ("c", ("c", "circle"))];
        let text = |text: &str| text.to_owned();
        let resources = resources.map(|(id, (parent, part))| (text(id), (text(parent), text(part)))).into();
        assert_eq!(path_of(&resources, "b"), "/rooms/{room}");
        assert_eq!(path_of(&resources, "root"), "/");
        assert!(path_of(&resources, "c").starts_with("/circle"));
    }

    #[test]
    fn a_method_is_read_out_of_a_record() {
        let record = json!({
            "HttpMethod": "ANY", "ResourceId": "r", "AuthorizationType": "AWS_IAM", "ApiKeyRequired": true,
            "Integration": { "Type": "MOCK", "IntegrationResponses": [{ "StatusCode": "201", "SelectionPattern": "2.." }] },
        });
        let (pattern, method) = of_record(&record, "/x".to_owned()).unwrap();
        assert_eq!((pattern.method.as_str(), pattern.path.as_str()), ("ANY", "/x"));
        assert_eq!(method.authorization.as_deref(), Some("AWS_IAM"));
        assert_eq!(method.integration.responses[0].pattern.as_deref(), Some("2.."));
        assert!(method.needs_key);
    }

    #[test]
    fn a_mock_answers_a_preflight_as_sam_wrote_it() {
        let methods = of_document(&document());
        let (_, options) = methods.iter().find(|(pattern, _)| pattern.method == "OPTIONS").unwrap();
        let request = Received {
            method: Method::OPTIONS,
            sent_path: "/x".to_owned(),
            path: "/rooms/1".to_owned(),
            raw_query: String::new(),
            query: Pairs::new(),
            headers: Pairs::new(),
            host: "h".to_owned(),
            source_ip: "127.0.0.1".to_owned(),
            body: Default::default(),
        };
        let info = AccessRecord::new("REQUEST").request_info;
        let (parameters, variables) = (Pairs::new(), Strings::new());
        let facts = Facts {
            request: &request,
            info: &info,
            api: "abc",
            stage: "live",
            route_key: "OPTIONS /rooms/{room}",
            resource: "/rooms/{room}",
            parameters: &parameters,
            variables: &variables,
            authorizer: None,
        };
        let answer = mocked(&options.integration, &facts).unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.headers["access-control-allow-origin"].to_str().unwrap()),
            (200, "*")
        );
        assert_eq!(answer.body, "{}\n");
    }

    #[test]
    fn binary_types_may_be_patterns() {
        let binary = |kinds: &[&str]| kinds.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        for (kinds, header, expected) in [
            (&["image/*"][..], "image/png", true),
            (&["image/*"], "text/plain", false),
            (&["application/octet-stream"], "text/html, application/octet-stream;q=0.9", true),
            (&["*/*"], "", true),
            (&[], "image/png", false),
        ] {
            assert_eq!(matches_any(&binary(kinds), header), expected, "{kinds:?} {header}");
        }
    }
}
