//! A REST API as it is served: out of the records of Cloud Control, and of the OpenAPI document of an API that has one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::request::Pattern;
use super::rest_record::{document, status, strings, text};
use super::rest_validate::Validation;
use crate::local::apigateway::model::Strings;
use crate::local::context::ports::Records;

pub const INTEGRATION: &str = "x-amazon-apigateway-integration";
const ANY: &str = "x-amazon-apigateway-any-method";

/// A method of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct RestMethod {
    pub resource: String,
    /// Who may call it.
    pub authorization: Authorization,
    pub needs_key: bool,
    /// What requests must have.
    pub validation: Validation,
    pub integration: RestIntegration,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct RestIntegration {
    /// `AWS_PROXY`.
    pub kind: String,
    pub uri: String,
    pub method: Option<String>,
    pub role: Option<String>,
    pub is_private: bool,
    pub timeout: Option<u64>,
    /// By content type.
    pub templates: Strings,
    pub responses: Vec<RestResponse>,
}

/// What is made of an answer whose status matches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RestResponse {
    /// A regular expression; `None` for all others.
    pub pattern: Option<String>,
    pub status: u16,
    /// `method.response.header.X` by expression.
    pub parameters: Strings,
    pub templates: Strings,
}

/// Who may call a method.
#[derive(Debug, Clone, PartialEq)]
pub enum Authorization {
    Open,
    /// Callers that sign their requests.
    Signed,
    ByFunction(RestAuthorizer),
    /// What is not served here, by its name.
    NotHere(String),
}

/// A Lambda authorizer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RestAuthorizer {
    pub id: String,
    /// Whether its function gets a token alone (`TOKEN`), and not the whole request.
    pub takes_token: bool,
    pub uri: String,
    pub role: Option<String>,
    /// `method.request.header.Authorization`.
    pub identity: Vec<String>,
    /// A regular expression that a token must match.
    pub validation: Option<String>,
}

/// A stage of an API, as records have it.
pub struct RestStage {
    pub name: String,
    pub deployment: String,
    pub variables: Strings,
}

/// The stage of this name, where it is deployed: a record of its own, or named by a deployment.
pub fn stage(records: &dyn Records, region: &str, api: &str, name: &str) -> Option<RestStage> {
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
pub fn methods(records: &dyn Records, region: &str, api: &str, model: &Value) -> Vec<(Pattern, RestMethod)> {
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
    let authorizers: BTreeMap<String, Value> = records
        .of_type(region, "ApiGateway::Authorizer")
        .into_iter()
        .filter(|(_, authorizer)| authorizer["RestApiId"] == api)
        .filter_map(|(_, authorizer)| Some((text(&authorizer["AuthorizerId"])?, authorizer)))
        .collect();
    for (_, method) in records.of_type(region, "ApiGateway::Method") {
        if method["RestApiId"] == api {
            let id = method["ResourceId"].as_str().unwrap_or_default();
            let validation = Validation::of_record(records, region, &method);
            let read = of_record(&method, path_of(&resources, id), &authorizers);
            found.extend(read.map(|(pattern, one)| (pattern, RestMethod { validation, ..one })));
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
            let is_key = |name: &str| {
                let scheme = scheme(document, name);
                scheme["type"] == "apiKey"
                    && scheme["x-amazon-apigateway-authtype"].is_null()
                    && scheme["name"] == "x-api-key"
            };
            let guard = schemes.iter().find(|name| !is_key(name) && **name != "NONE");
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
                authorization: guard.map_or(Authorization::Open, |name| of_scheme(name, scheme(document, name))),
                needs_key: schemes.iter().any(|name| is_key(name)),
                validation: Validation::of_document(document, item, operation),
                integration,
            };
            found.push((Pattern { method, path: path.clone() }, rest));
        }
    }
    found
}

/// The security scheme of a name, in a document of either version of OpenAPI.
fn scheme<'d>(document: &'d Value, name: &str) -> &'d Value {
    match &document["securityDefinitions"][name] {
        Value::Null => &document["components"]["securitySchemes"][name],
        scheme => scheme,
    }
}

/// How a security scheme authorizes. (Developer guide, "x-amazon-apigateway-authorizer object".)
fn of_scheme(name: &str, scheme: &Value) -> Authorization {
    if scheme["x-amazon-apigateway-authtype"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("awsSigv4")) {
        return Authorization::Signed;
    }
    let given = &scheme["x-amazon-apigateway-authorizer"];
    let kind = given["type"].as_str().unwrap_or_default().to_ascii_lowercase();
    if !["token", "request"].contains(&kind.as_str()) {
        return Authorization::NotHere(name.to_owned());
    }
    let takes_token = kind == "token";
    // A token is in the header that the scheme names.
    let header = || scheme["name"].as_str().map(|name| format!("method.request.header.{name}"));
    let identity = match text(&given["identitySource"]) {
        Some(sources) => listed(&sources),
        None => header().filter(|_| takes_token).into_iter().collect(),
    };
    Authorization::ByFunction(RestAuthorizer {
        id: name.to_owned(),
        takes_token,
        uri: text(&given["authorizerUri"]).unwrap_or_default(),
        role: text(&given["authorizerCredentials"]),
        identity,
        validation: text(&given["identityValidationExpression"]).filter(|pattern| !pattern.is_empty()),
    })
}

/// Identity sources, which a list with commas names.
fn listed(sources: &str) -> Vec<String> {
    sources.split(',').map(|source| source.trim().to_owned()).filter(|source| !source.is_empty()).collect()
}

fn of_response((pattern, given): (&String, &Value)) -> RestResponse {
    RestResponse {
        pattern: (pattern != "default").then(|| pattern.clone()),
        status: status(&given["statusCode"]),
        parameters: strings(&given["responseParameters"]),
        templates: strings(&given["responseTemplates"]),
    }
}

fn of_record(method: &Value, path: String, authorizers: &BTreeMap<String, Value>) -> Option<(Pattern, RestMethod)> {
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
        authorization: match method["AuthorizationType"].as_str() {
            None | Some("NONE") => Authorization::Open,
            Some("AWS_IAM") => Authorization::Signed,
            Some(kind) => by_record(kind, method["AuthorizerId"].as_str().and_then(|id| authorizers.get(id))),
        },
        needs_key: method["ApiKeyRequired"] == true,
        validation: Validation::default(),
        integration,
    };
    Some((Pattern { method: text(&method["HttpMethod"])?, path }, rest))
}

/// How a record of an authorizer authorizes.
fn by_record(kind: &str, authorizer: Option<&Value>) -> Authorization {
    let takes_token = authorizer.map(|authorizer| &authorizer["Type"] == "TOKEN");
    let Some((authorizer, takes_token)) = authorizer.zip(takes_token).filter(|_| kind == "CUSTOM") else {
        return Authorization::NotHere(kind.to_owned());
    };
    Authorization::ByFunction(RestAuthorizer {
        id: text(&authorizer["AuthorizerId"]).unwrap_or_default(),
        takes_token,
        uri: text(&authorizer["AuthorizerUri"]).unwrap_or_default(),
        role: text(&authorizer["AuthorizerCredentials"]),
        identity: listed(authorizer["IdentitySource"].as_str().unwrap_or_default()),
        validation: text(&authorizer["IdentityValidationExpression"]).filter(|pattern| !pattern.is_empty()),
    })
}

/// The content types that an API takes as binary.
pub fn binary_types(model: &Value) -> Vec<String> {
    let document = document(model);
    let of_document = document["x-amazon-apigateway-binary-media-types"].as_array().cloned().unwrap_or_default();
    let stated = model["BinaryMediaTypes"].as_array().cloned().unwrap_or_default();
    // SAM writes `~1` for the slash, as JSON pointers do.
    stated.iter().chain(&of_document).filter_map(Value::as_str).map(|kind| kind.replace("~1", "/")).collect()
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// The methods of a document.
    pub fn methods_of(document: &Value) -> Vec<(Pattern, RestMethod)> {
        of_document(document)
    }

    /// As SAM writes a method and, for `Cors`, its OPTIONS.
    pub fn document() -> Value {
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
        assert!(post.needs_key && post.authorization == Authorization::Open);
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
        let (pattern, method) = of_record(&record, "/x".to_owned(), &BTreeMap::new()).unwrap();
        assert_eq!((pattern.method.as_str(), pattern.path.as_str()), ("ANY", "/x"));
        assert_eq!(method.authorization, Authorization::Signed);
        assert_eq!(method.integration.responses[0].pattern.as_deref(), Some("2.."));
        assert!(method.needs_key);
    }

    #[test]
    fn authorizers_are_read_out_of_documents_and_records() {
        let uri = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:0:function:f/invocations";
        let scheme = json!({
            "type": "apiKey", "name": "X-Token", "in": "header", "x-amazon-apigateway-authtype": "custom",
            "x-amazon-apigateway-authorizer": { "type": "token", "authorizerUri": uri, "identityValidationExpression": "t-.*" },
        });
        let by_token = RestAuthorizer {
            id: "Door".to_owned(),
            takes_token: true,
            uri: uri.to_owned(),
            role: None,
            identity: vec!["method.request.header.X-Token".to_owned()],
            validation: Some("t-.*".to_owned()),
        };
        assert_eq!(of_scheme("Door", &scheme), Authorization::ByFunction(by_token.clone()));
        let record = json!({
            "AuthorizerId": "Door", "RestApiId": "a", "Type": "TOKEN", "AuthorizerUri": uri,
            "IdentitySource": "method.request.header.X-Token", "IdentityValidationExpression": "t-.*",
        });
        assert_eq!(by_record("CUSTOM", Some(&record)), Authorization::ByFunction(by_token));
        let of_request = json!({ "x-amazon-apigateway-authorizer": {
            "type": "request", "authorizerUri": uri,
            "identitySource": "method.request.header.A, method.request.querystring.b",
        } });
        let Authorization::ByFunction(authorizer) = of_scheme("Door", &of_request) else { panic!("it is one") };
        assert!(!authorizer.takes_token);
        assert_eq!(authorizer.identity, ["method.request.header.A", "method.request.querystring.b"]);
        let pool = json!({ "x-amazon-apigateway-authorizer": { "type": "cognito_user_pools" } });
        assert_eq!(of_scheme("Pool", &pool), Authorization::NotHere("Pool".to_owned()));
        assert_eq!(
            by_record("COGNITO_USER_POOLS", Some(&record)),
            Authorization::NotHere("COGNITO_USER_POOLS".to_owned())
        );
        assert_eq!(by_record("CUSTOM", None), Authorization::NotHere("CUSTOM".to_owned()));
        let signed = json!({ "x-amazon-apigateway-authtype": "awsSigv4" });
        assert_eq!(of_scheme("AWS_IAM", &signed), Authorization::Signed);
    }
}
