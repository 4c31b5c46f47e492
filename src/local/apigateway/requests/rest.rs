//! Requests of REST APIs, out of Cloud Control's records: an API that an OpenAPI document describes (as SAM makes them), or resources
//! and methods (`rest_model`). What is served are Lambda proxies, HTTP proxies and mocks; anything else is answered with 501 and its name.
//! (Developer guide, "Set up Lambda proxy integrations in API Gateway", "Set up mock integrations in API Gateway".)
//!
//! Deployments freeze nothing here: what is served is what the records say now.

use std::time::{Duration, Instant};

use http::StatusCode;
use regex_lite::Regex;
use serde_json::Value;

use super::event::Facts;
use super::refusal::{Kind, Refusal, Responses};
use super::request::{MAX_PAYLOAD, Received, select};
use super::response::{self, Answer};
use super::rest_authorize::by_api_key;
use super::rest_model::{RestIntegration, RestResponse, RestStage, binary_types, methods, stage};
use super::{below, not_local, with_parameters};
use crate::local::apigateway::ApiGateway;
use crate::local::apigateway::access_log::{AccessRecord, Integration as Integrated};
use crate::local::apigateway::cause::{Cause, Side};
use crate::local::apigateway::event::Origin;
use crate::local::apigateway::gateway::segments;
use crate::local::apigateway::gateway_log::{self, ClientRequest};
use crate::local::apigateway::integration::{self, Invoking, with_variables};
use crate::local::apigateway::mapping::RouteRequest;
use crate::local::apigateway::model::Strings;
use crate::local::context::ACCOUNT;

/// How long an integration may take where it does not say (quotas of REST APIs: 29 seconds).
const TIMEOUT: u64 = 29_000;

impl ApiGateway {
    /// The region of the REST API with this id, if there is one.
    pub(super) fn region_of_rest_api(&self, id: &str) -> Option<String> {
        // Ids have ten characters: most paths need no look at the records.
        let is_id = id.len() == 10 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        self.backends.get().filter(|_| is_id)?.records.region_of("ApiGateway::RestApi", id)
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
        received.path = below(&received.path, 1);
        if received.path.len() > 1 {
            received.path = received.path.trim_end_matches('/').to_owned();
        }
        let origin = received.origin(api.to_owned(), stage.name.clone());
        let mut record = AccessRecord::new("REQUEST");
        let result = match is_too_large {
            true => Err(Refusal::of(Kind::TooLarge, Cause::RequestTooLarge { limit: MAX_PAYLOAD })),
            false => self.rest_routed(region, &model, &stage, &origin, &received, &mut record).await,
        };
        let mut answer = result.unwrap_or_else(|refusal| {
            let answer = match &refusal.cause {
                Cause::NotLocally { what } => not_local(what),
                _ => {
                    let responses = Responses::read(records, region, api, &model);
                    let event = || unrouted(&received, &record, api, &stage).rest("", &stage.deployment, false);
                    refusal.answer(&responses, &stage.variables, event)
                }
            };
            record.refuse(answer.status.as_u16(), refusal.label(), refusal.cause);
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
        let records = records.ok_or_else(|| Refusal::of(Kind::Default, no_integration("")))?;
        let methods = methods(records.as_ref(), region, api, model);
        let selected = select(methods.into_iter(), &received.method, &received.path);
        let (pattern, method, parameters) = selected.ok_or_else(|| {
            let asked = format!("{} {}", received.method, received.decoded_path());
            Refusal::of(Kind::MissingAuthenticationToken, Cause::NoHttpRoute { asked, routes: Vec::new() })
        })?;
        let route_key = format!("{} {}", pattern.method, pattern.path);
        record.route_key = Some(route_key.clone());
        let info = record.request_info.clone();
        let mut facts = Facts {
            request: received,
            info: &info,
            api,
            stage: &stage.name,
            route_key: &route_key,
            resource: &pattern.path,
            parameters: &parameters,
            variables: &stage.variables,
            authorizer: None,
            caller: None,
        };
        let mut request = ClientRequest { logs: self.logs.as_ref(), region, origin, record };
        let admitted = self.rest_authorize(region, &method, stage, &facts, &mut request).await?;
        (facts.authorizer, facts.caller) = (admitted.context.as_ref(), admitted.caller.as_ref());
        if method.needs_key {
            by_api_key(records.as_ref(), region, (api, model), &facts)?;
        }
        method.validation.check(&facts)?;
        request.record.invocation = None;
        let integration = &method.integration;
        let start = Instant::now();
        let limit = Duration::from_millis(integration.timeout.unwrap_or(TIMEOUT));
        let uri = with_variables(&integration.uri, &stage.variables);
        let binary = binary_types(model);
        let answered = match integration.kind.as_str() {
            _ if integration.is_private => {
                return Err(Refusal::not_here(format!("a private integration (VPC_LINK, {route_key})")));
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
            other => return Err(Refusal::not_here(format!("{other} integrations of REST APIs ({route_key})"))),
        };
        record.integration = Some(Integrated {
            latency: start.elapsed(),
            status: answered.as_ref().ok().map(|answer| answer.status.as_u16()),
            error: answered.as_ref().err().map(|cause| cause.kind().message()),
        });
        answered.map_err(Refusal::of_integration)
    }
}

/// What is known of a request before its method is.
fn unrouted<'a>(received: &'a Received, record: &'a AccessRecord, api: &'a str, stage: &'a RestStage) -> Facts<'a> {
    const NONE: &Vec<(String, String)> = &Vec::new();
    Facts {
        request: received,
        info: &record.request_info,
        api,
        stage: &stage.name,
        route_key: "",
        resource: "",
        parameters: NONE,
        variables: &stage.variables,
        authorizer: None,
        caller: None,
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

    use super::super::rest_model::tests::{document, methods_of};
    use super::*;
    use crate::local::apigateway::event::Pairs;
    use crate::local::apigateway::model::Strings;

    #[test]
    fn a_mock_answers_a_preflight_as_sam_wrote_it() {
        let methods = methods_of(&document());
        let (_, options) = methods.iter().find(|(pattern, _)| pattern.method == "OPTIONS").unwrap();
        let request = Received::in_test(Method::OPTIONS, "/rooms/1");
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
            caller: None,
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
