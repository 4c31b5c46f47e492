//! ImportApi and ReimportApi: the routes, integrations and authorizers of an HTTP API out of an OpenAPI 3 document, as SAM and the
//! consoles write them. (Developer guide, "Working with OpenAPI definitions for HTTP APIs"; "OpenAPI extensions".)

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::ControlCall;
use super::model::{
    Api, ApiConfig, AuthorizerConfig, CorsConfig, DEFAULT_STAGE, HTTP, HTTP_TIMEOUT, Integration, IntegrationConfig,
    Route, RouteConfig, State, Strings,
};
use super::rules::{self, Answer, bad_request};
use super::{apis, authorizers, integrations};
use crate::local::protocol::wire::{ApiError, Response};

const INTEGRATION: &str = "x-amazon-apigateway-integration";
const ANY: &str = "x-amazon-apigateway-any-method";
/// The deepest nesting that is read. Both readers stop at 128 levels; the one of YAML sees that only when it has looked at all brackets,
/// for which it takes a time that is quadratic in their depth.
const MAX_NESTING: usize = 200;
const METHODS: [&str; 7] = ["delete", "get", "head", "options", "patch", "post", "put"];

/// ImportApi.
pub fn create(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let document = document(call)?;
    let config: ApiConfig = rules::parse(rules::object(&json!({ "name": "", "protocolType": HTTP })))?;
    let mut api = apis::empty(call, config, Strings::new());
    import(&mut api, &document, call)?;
    apis::check(&api.config)?;
    let id = rules::new_id(10);
    let answer = Response::json(201, &apis::representation(call, &id, &api));
    state.apis.insert(id, api);
    Ok(answer)
}

/// ReimportApi: what the API has is replaced.
pub fn replace(state: &mut State, call: &ControlCall<'_>) -> Answer {
    let document = document(call)?;
    let mut api = state.api(call)?.clone();
    if !api.is_http() {
        return Err(bad_request("Only HTTP APIs can be imported"));
    }
    import(&mut api, &document, call)?;
    apis::check(&api.config)?;
    let answer = Response::json(201, &apis::representation(call, call.id(0), &api));
    *state.api_mut(call)? = api;
    Ok(answer)
}

/// The OpenAPI document of a request; JSON or YAML.
fn document(call: &ControlCall<'_>) -> Result<Value, ApiError> {
    let members = rules::members(call.request)?;
    let text = members.get("body").and_then(Value::as_str).ok_or_else(|| bad_request("body is required"))?;
    let invalid = |why: &str| bad_request(format!("Invalid OpenAPI input: {why}"));
    let document: Value = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(_) if nesting(text) > MAX_NESTING => return Err(invalid("it is nested too deeply")),
        Err(_) => serde_yaml::from_str(text).map_err(|error| invalid(&error.to_string()))?,
    };
    if !document.is_object() || !document["openapi"].as_str().is_some_and(|version| version.starts_with('3')) {
        return Err(bad_request("Invalid OpenAPI input. Only OpenAPI 3 documents can be imported"));
    }
    Ok(document)
}

/// How deep the brackets of a text are nested.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Puts a document in the place of what an API has.
fn import(api: &mut Api, document: &Value, call: &ControlCall<'_>) -> Result<(), ApiError> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let info = &document["info"];
    if let Some(title) = text(&info["title"]) {
        api.config.name = title;
    }
    api.config.description = text(&info["description"]).unwrap_or_default();
    api.config.version = text(&info["version"]).unwrap_or_default();
    apis::select_routes(&mut api.config);
    let servers = document["servers"].as_array().into_iter().flatten();
    let mut disabled = servers.filter_map(|server| {
        server["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"].as_bool()
    });
    api.config.disable_execute_api_endpoint = disabled.next_back().unwrap_or(false);
    api.config.cors_configuration = match &document["x-amazon-apigateway-cors"] {
        Value::Null => None,
        cors => Some(cors_of(cors)?),
    };
    let tags = document["tags"].as_array().into_iter().flatten().filter_map(|tag| {
        let value = &tag["x-amazon-apigateway-tag-value"];
        Some((text(&tag["name"])?, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    });
    api.tags = tags.collect();
    api.routes.clear();
    api.integrations.clear();
    api.authorizers.clear();
    let authorizers = import_authorizers(api, document)?;
    let base = call.request.query("basepath").filter(|mode| *mode == "prepend").and_then(|_| base_path(document));
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let method = match method.to_ascii_lowercase().as_str() {
                ANY => "ANY".to_owned(),
                method if METHODS.contains(&method) => method.to_ascii_uppercase(),
                _ => continue,
            };
            let path = format!("{}{path}", base.as_deref().unwrap_or_default());
            let is_default = path.trim_start_matches('/') == DEFAULT_STAGE || operation["isDefaultRoute"] == true;
            let key = if is_default { DEFAULT_STAGE.to_owned() } else { format!("{method} {path}") };
            import_route(api, document, key, operation, &authorizers, call)?;
        }
    }
    Ok(())
}

fn cors_of(cors: &Value) -> Result<CorsConfig, ApiError> {
    serde_json::from_value(cors.clone()).map_err(|error| bad_request(format!("Invalid CORS configuration: {error}")))
}

/// The path of the document's first server.
fn base_path(document: &Value) -> Option<String> {
    let url = document["servers"][0]["url"].as_str()?;
    let after_host = url.split_once("://").map_or(url, |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
    Some(after_host.trim_end_matches('/').to_owned()).filter(|path| !path.is_empty())
}

/// How the routes of a security scheme are authorized.
#[derive(Clone)]
enum Scheme {
    Iam,
    /// `CUSTOM` or `JWT`, by the authorizer with this id.
    Authorizer(&'static str, String),
}

fn import_authorizers(api: &mut Api, document: &Value) -> Result<BTreeMap<String, Scheme>, ApiError> {
    let mut found = BTreeMap::new();
    for (name, scheme) in document["components"]["securitySchemes"].as_object().into_iter().flatten() {
        if scheme["x-amazon-apigateway-authtype"] == "awsSigv4" {
            found.insert(name.clone(), Scheme::Iam);
            continue;
        }
        let given = &scheme["x-amazon-apigateway-authorizer"];
        if !given.is_object() {
            continue;
        }
        let is_jwt = given["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("jwt"));
        // One source is a text, several are a list or a text with commas.
        let sources: Vec<&str> = match &given["identitySource"] {
            Value::String(text) => text.split(',').map(str::trim).collect(),
            Value::Array(sources) => sources.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let config: AuthorizerConfig = rules::parse(rules::object(&json!({
            "name": name,
            "authorizerType": if is_jwt { "JWT" } else { "REQUEST" },
            "authorizerUri": given["authorizerUri"].as_str().unwrap_or_default(),
            "authorizerCredentialsArn": given["authorizerCredentials"],
            "identitySource": sources,
            "authorizerPayloadFormatVersion": given["authorizerPayloadFormatVersion"],
            "authorizerResultTtlInSeconds": given["authorizerResultTtlInSeconds"],
            "enableSimpleResponses": given["enableSimpleResponses"],
            "jwtConfiguration": given["jwtConfiguration"],
        })))?;
        authorizers::check(true, &config)?;
        let id = rules::new_id(6);
        found.insert(name.clone(), Scheme::Authorizer(if is_jwt { "JWT" } else { "CUSTOM" }, id.clone()));
        api.authorizers.insert(id, config);
    }
    Ok(found)
}

fn import_route(
    api: &mut Api,
    document: &Value,
    key: String,
    operation: &Value,
    schemes: &BTreeMap<String, Scheme>,
    call: &ControlCall<'_>,
) -> Result<(), ApiError> {
    let mut route = RouteConfig { route_key: key, ..RouteConfig::default() };
    route.operation_name = operation["operationId"].as_str().map(str::to_owned);
    let given = resolved(document, &operation[INTEGRATION]);
    if given.is_object() {
        let config = integration(given)?;
        integrations::check_of_http(&config, call)?;
        let is_same = |one: &Integration| one.config == config;
        let known = api.integrations.iter().find(|(_, one)| is_same(one)).map(|(id, _)| id.clone());
        let id = known.unwrap_or_else(|| rules::new_id(7));
        route.target = Some(format!("integrations/{id}"));
        api.integrations.insert(id, Integration { config, responses: Default::default() });
    }
    let security = operation.get("security").unwrap_or(&document["security"]);
    let first = security.as_array().and_then(|all| all.first()).and_then(Value::as_object);
    if let Some((name, scopes)) = first.and_then(|first| first.iter().next()) {
        match schemes.get(name) {
            // SAM's word for a route that the default authorizer does not guard.
            None if name == "NONE" => {}
            None => return Err(bad_request(format!("Unable to find the security scheme {name}"))),
            Some(Scheme::Iam) => route.authorization_type = "AWS_IAM".to_owned(),
            Some(Scheme::Authorizer(kind, id)) => {
                route.authorization_type = (*kind).to_owned();
                route.authorizer_id = Some(id.clone());
                let scopes = scopes.as_array().into_iter().flatten().filter_map(Value::as_str);
                route.authorization_scopes = scopes.filter(|_| *kind == "JWT").map(str::to_owned).collect();
            }
        }
    }
    let taken = api.routes.values().any(|other| other.config.route_key == route.route_key);
    if taken {
        return Err(rules::conflict(format!("Route with key {} already exists for this API", route.route_key)));
    }
    api.routes.insert(rules::new_id(7), Route { config: route, responses: Default::default() });
    Ok(())
}

/// What a reference within the document leads to.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str().and_then(|reference| document.pointer(reference.strip_prefix('#')?)) {
        Some(found) => found,
        None => value,
    }
}

/// An integration as the control plane has it.
fn integration(given: &Value) -> Result<IntegrationConfig, ApiError> {
    let mut members = Map::new();
    let kind = given["type"].as_str().unwrap_or("http_proxy").to_ascii_uppercase();
    members.insert("integrationType".to_owned(), kind.as_str().into());
    for (theirs, ours) in [
        ("uri", "integrationUri"),
        ("httpMethod", "integrationMethod"),
        ("payloadFormatVersion", "payloadFormatVersion"),
        ("credentials", "credentialsArn"),
        ("connectionType", "connectionType"),
        ("connectionId", "connectionId"),
        ("integrationSubtype", "integrationSubtype"),
        ("requestParameters", "requestParameters"),
        ("responseParameters", "responseParameters"),
        ("description", "description"),
        ("tlsConfig", "tlsConfig"),
    ] {
        if let Some(value) = given.get(theirs).filter(|value| !value.is_null()) {
            members.insert(ours.to_owned(), value.clone());
        }
    }
    let millis = match &given["timeoutInMillis"] {
        Value::String(text) => text.parse().ok(),
        millis => millis.as_u64(),
    };
    members.insert("timeoutInMillis".to_owned(), millis.unwrap_or(HTTP_TIMEOUT.into()).into());
    rules::parse(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrations_are_read_as_sam_writes_them() {
        let uri = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:0:function:f/invocations";
        let given = json!({ "type": "aws_proxy", "httpMethod": "POST", "payloadFormatVersion": "2.0", "uri": uri });
        let read = integration(&given).unwrap();
        assert_eq!((read.integration_type.as_str(), read.payload_format_version.as_str()), ("AWS_PROXY", "2.0"));
        assert_eq!((read.integration_uri.as_deref(), read.timeout_in_millis), (Some(uri), HTTP_TIMEOUT));
    }

    #[test]
    fn a_base_path_is_that_of_the_first_server() {
        for (url, expected) in [
            ("https://api.example.com/v1/", Some("/v1")),
            ("https://api.example.com", None),
            ("/v1", Some("/v1")),
            ("/", None),
        ] {
            let document = json!({ "servers": [{ "url": url }] });
            assert_eq!(base_path(&document).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn the_depth_of_brackets_is_seen_before_a_text_is_read() {
        assert_eq!(nesting("paths: { /items/{id}: {} }\n"), 2);
        assert_eq!(nesting(&"[".repeat(50_000)), 50_000);
        assert_eq!(nesting("]]]{[]}"), 2);
    }

    #[test]
    fn references_within_a_document_are_followed() {
        let document = json!({ "components": { "x": { "a": 1 } } });
        assert_eq!(resolved(&document, &json!({ "$ref": "#/components/x" })), &json!({ "a": 1 }));
        assert_eq!(resolved(&document, &json!({ "b": 2 })), &json!({ "b": 2 }));
    }
}
