//! AWS::Serverless::Api: a REST API with its deployment and stage, described by a Swagger or OpenAPI document; and the
//! events of the type Api, which write it.

use serde_json::{Map, Value, json};

use super::Type;
use super::document::{Document, INTEGRATION};
use super::events::{Event, EventType, REST_API, Role, Target};
use super::expansion::{Expansion, made};
use super::open_api::{self, ANY_METHOD};
use super::shape::{Property, Shape, truthy};
use super::{rest_auth, versions};
use crate::core::words::{Problem, ProblemKind};

/// The properties. Which of them `Globals` can give follows the translator.
pub const TYPE: Type = Type {
    name: "AWS::Serverless::Api",
    properties: &[
        Property::translated("AccessLogSetting", Shape::Map),
        Property::later("AlwaysDeploy"),
        Property::passed("ApiKeySourceType", Shape::Text).local(),
        Property::translated("Auth", Shape::Map),
        Property::translated("BinaryMediaTypes", Shape::Items),
        Property::translated("CacheClusterEnabled", Shape::Bool),
        Property::translated("CacheClusterSize", Shape::Text),
        Property::translated("CanarySetting", Shape::Map),
        Property::translated("Cors", Shape::TextOrMap),
        Property::translated("DefinitionBody", Shape::Map).local(),
        Property::translated("DefinitionUri", Shape::TextOrMap),
        Property::passed("Description", Shape::Text).local(),
        Property::translated("DisableExecuteApiEndpoint", Shape::Bool).local(),
        Property::later("Domain"),
        Property::passed("EndpointAccessMode", Shape::Text),
        Property::translated("EndpointConfiguration", Shape::TextOrMap),
        Property::translated("FailOnWarnings", Shape::Bool).local(),
        Property::later("GatewayResponses"),
        Property::later("MergeDefinitions"),
        Property::translated("MethodSettings", Shape::Items),
        Property::passed("MinimumCompressionSize", Shape::Number),
        Property::passed("Mode", Shape::Text).local(),
        Property::later("Models").local(),
        Property::passed("Name", Shape::TextOrMap),
        Property::translated("OpenApiVersion", Shape::Text),
        Property::passed("Policy", Shape::TextOrMap).local(),
        Property::translated("PropagateTags", Shape::Bool),
        Property::passed("SecurityPolicy", Shape::Text),
        Property::translated("StageName", Shape::TextOrMap).local(),
        Property::translated("Tags", Shape::Map).local(),
        Property::translated("TracingEnabled", Shape::Bool),
        Property::translated("Variables", Shape::Map),
    ],
    expand,
};

pub const EVENT: EventType = EventType {
    name: "Api",
    properties: &[&[
        Property::translated("Auth", Shape::Map),
        Property::translated("Method", Shape::Text),
        Property::translated("Path", Shape::Text),
        Property::later("RequestModel"),
        Property::later("RequestParameters"),
        Property::translated("ResponseTransferMode", Shape::Text),
        Property::translated("RestApiId", Shape::Text),
        // SAM accepts it and ignores it.
        Property::translated("Stage", Shape::Text),
        Property::translated("TimeoutInMillis", Shape::Number),
    ]],
    required: &["Path", "Method"],
    expand: add_method,
};

/// All methods, for CORS.
const METHODS: &str = "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT";

/// What the stage has under the same name.
const OF_STAGE: &[&str] = &[
    "AccessLogSetting",
    "CacheClusterEnabled",
    "CacheClusterSize",
    "CanarySetting",
    "MethodSettings",
    "TracingEnabled",
    "Variables",
];

/// Adds the method of `event` to its API, and permits the API to invoke the function.
fn add_method(expansion: &mut Expansion<'_>, event: &Event, target: &Target, _: &mut Role) {
    if open_api::refuse_condition(expansion, event) {
        return;
    }
    let (Some(path), Some(method)) = (text(expansion, event, "Path"), text(expansion, event, "Method")) else { return };
    let given = event.get("RestApiId").cloned();
    let api = match &given {
        None => REST_API.to_owned(),
        Some(_) => match open_api::api_of(expansion, event, "RestApiId", &[TYPE.name, "AWS::ApiGateway::RestApi"]) {
            Some(api) => api,
            None => return,
        },
    };
    let Some(resource) = expansion.template.resources.get(&api) else { return };
    let suffix = match resource.properties.get("StageName") {
        Some(Value::String(name)) if name.chars().all(|letter| letter.is_ascii_alphanumeric()) => name.clone(),
        Some(Value::String(name)) => versions::hash_of_text(name),
        _ => "Stage".to_owned(),
    };
    let managed = resource.type_name == TYPE.name
        && ["DefinitionBody", "DefinitionUri"]
            .iter()
            .all(|name| resource.properties.get(*name).is_none_or(|it| !truthy(it)));
    let version = openapi(resource.properties.get("OpenApiVersion"));
    let properties = resource.properties.clone();
    let partition = expansion.context.partition;
    let is_parameter = |name: &str| open_api::is_name(name.strip_suffix('+').unwrap_or(name));
    let permitted = open_api::permitted_path(&path, is_parameter);
    let called = if method.eq_ignore_ascii_case("any") { "*".to_owned() } else { method.to_ascii_uppercase() };
    let source = json!({ "Fn::Sub": [
        format!("arn:{partition}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{__ApiId__}}/${{__Stage__}}/{called}{permitted}"),
        { "__ApiId__": given.unwrap_or_else(|| json!({ "Ref": REST_API })), "__Stage__": "*" },
    ] });
    let id = format!("{}Permission{suffix}", event.id);
    event.permit_as(expansion, &id, target, "apigateway.amazonaws.com", &[("SourceArn", &source)]);
    if !managed {
        if event.given("Auth").is_some_and(|auth| truthy(&auth["OverrideApiAuth"])) {
            let place = event.place("Auth").key("OverrideApiAuth");
            let what = "Auth.OverrideApiAuth of the event type Api is not supported yet";
            let problem = Problem::of_key(place, what).kind(ProblemKind::Unsupported);
            expansion.report(problem.help("write the method's security into the DefinitionBody"));
        }
        return;
    }
    let streams = event.get("ResponseTransferMode").is_some_and(|mode| mode == "RESPONSE_STREAM");
    let mut integration = json!({
        "type": "aws_proxy",
        "httpMethod": "POST",
        "uri": open_api::integration_uri(partition, target, streams),
    });
    if streams {
        integration["responseTransferMode"] = "STREAM".into();
    }
    if let Some(timeout) = event.given("TimeoutInMillis") {
        integration["timeoutInMillis"] = timeout.clone();
    }
    if let Some(role) = rest_auth::invoke_role(event, &properties) {
        integration["credentials"] = role;
    }
    let key = open_api::normalized(&method);
    let version = version.as_ref().map_or(("swagger", "2.0"), |version| ("openapi", version.as_str()));
    let mut document = expansion.documents.remove(&api).unwrap_or_else(|| Document::of(None, version));
    if document.method(&path, &key).is_some() {
        let what = format!("API method \"{}\" defined multiple times for path \"{path}\"", method.to_ascii_lowercase());
        expansion.report(Problem::of_key(event.path.clone(), what).kind(ProblemKind::Duplicate));
    } else {
        document.insert(&path, &key, json!({ INTEGRATION: integration, "responses": {} }));
        rest_auth::of_event(expansion, event, &properties, &mut document, &path, &method);
    }
    expansion.documents.insert(api, document);
}

/// A property that must be a text.
fn text(expansion: &mut Expansion<'_>, event: &Event, name: &str) -> Option<String> {
    let text = event.get(name).and_then(Value::as_str).map(str::to_owned);
    if text.is_none() {
        event.problem(expansion, name, format!("{name} must be a string; an intrinsic function is not supported here"));
    }
    text
}

/// The version of OpenAPI, if the API wants version 3.
fn openapi(version: Option<&Value>) -> Option<String> {
    version.and_then(Value::as_str).filter(|version| version.starts_with("3.")).map(str::to_owned)
}

fn expand(expansion: &mut Expansion<'_>) {
    let mut api = expansion.passed();
    api.retain(|name, value| name == "MinimumCompressionSize" || truthy(value));
    let stage_name = expansion.get("StageName").cloned();
    if stage_name.is_none() {
        expansion.missing("StageName");
    }
    let uri = expansion.given("DefinitionUri");
    if uri.is_some() && expansion.given("DefinitionBody").is_some() {
        let what = "an API has a 'DefinitionUri' or a 'DefinitionBody', not both";
        expansion.report(Problem::of_key(expansion.place("DefinitionUri"), what).kind(ProblemKind::Duplicate));
    }
    let given_version = expansion.given("OpenApiVersion").cloned();
    let of_version = |version: &str| {
        let parts: Vec<&str> = version.split('.').collect();
        let numbers =
            parts.iter().skip(1).all(|part| part.len() == 1 && part.chars().all(|letter| letter.is_ascii_digit()));
        ["2", "3"].contains(&parts[0]) && numbers && (2..=3).contains(&parts.len())
    };
    if given_version.as_ref().is_some_and(|version| !version.as_str().is_some_and(of_version)) {
        expansion.problem("OpenApiVersion", "the OpenApiVersion value must be of the format '3.0.0'");
    }
    let version = openapi(given_version.as_ref());
    let skeleton = version.as_ref().map_or(("swagger", "2.0"), |version| ("openapi", version.as_str()));
    let document = expansion.documents.remove(expansion.logical_id);
    let mut document = document.unwrap_or_else(|| Document::of(expansion.get("DefinitionBody"), skeleton));
    endpoint(expansion, &mut api);
    if let Some(types) = expansion.get("BinaryMediaTypes") {
        let types = expansion.inline("BinaryMediaTypes", &mut types.clone());
        api.insert("BinaryMediaTypes".to_owned(), types);
    }
    if let Some(fail) = expansion.given("FailOnWarnings") {
        api.insert("FailOnWarnings".to_owned(), fail.clone());
    }
    let hashed: Value = if let Some(uri) = uri {
        for name in ["Auth", "Cors", "DisableExecuteApiEndpoint"] {
            if expansion.given(name).is_some() {
                let what = format!("{name} works only with inline Swagger: a 'DefinitionBody', not a 'DefinitionUri'");
                expansion.report(Problem::of_key(expansion.place(name), what));
            }
        }
        let place = super::http_api::body_in_s3(expansion, uri);
        api.insert("BodyS3Location".to_owned(), place.clone());
        place
    } else {
        complete(expansion, &mut document, api.get("BinaryMediaTypes"), version.is_some());
        api.insert("Body".to_owned(), document.body.clone().into());
        expansion.note(expansion.place("Body"), &expansion.place("DefinitionBody"));
        document.body.into()
    };
    let digest = versions::digest(&json!([hashed, given_version]));
    let deployment_id = format!("{}Deployment{}", expansion.logical_id, &digest[..10]);
    let mut deployment = json!({
        "RestApiId": { "Ref": expansion.logical_id },
        "Description": format!("RestApi deployment id: {digest}"),
    });
    if given_version.is_none() {
        // A stage that SAM once made by mistake, and keeps.
        deployment["StageName"] = "Stage".into();
    }
    let name = stage_name.unwrap_or_default();
    let stage_id = match name.as_str() {
        Some(text) if !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric()) => {
            format!("{}{text}Stage", expansion.logical_id)
        }
        Some(text) if !text.is_empty() => format!("{}Stage{}", expansion.logical_id, versions::hash_of_text(text)),
        _ => format!("{}Stage", expansion.logical_id),
    };
    let mut stage = json!({
        "RestApiId": { "Ref": expansion.logical_id },
        "DeploymentId": { "Ref": deployment_id },
        "StageName": name,
    });
    for name in OF_STAGE {
        if let Some(value) = expansion.get(name) {
            stage[*name] = value.clone();
        }
    }
    let tags = expansion.tag_list();
    if expansion.get("Tags").is_some() {
        stage["Tags"] = tags.clone().into();
        if expansion.given("PropagateTags").is_some() && !tags.is_empty() {
            api.insert("Tags".to_owned(), tags.into());
        }
    }
    for (property, id, type_name, properties) in [
        ("Deployment", deployment_id, "AWS::ApiGateway::Deployment", deployment),
        ("Stage", stage_id, "AWS::ApiGateway::Stage", stage),
    ] {
        let resource = expansion.extra_resource(None, &id, type_name, properties);
        expansion.note(made(&id), &expansion.path().key("Properties"));
        expansion.references.insert((expansion.logical_id.to_owned(), property.to_owned()), id.clone());
        expansion.made.push((id, resource));
    }
    let permissions = rest_auth::permissions(expansion);
    expansion.made.extend(permissions);
    expansion.make("AWS::ApiGateway::RestApi", api);
}

/// Sets where the API can be reached.
fn endpoint(expansion: &mut Expansion<'_>, api: &mut Map<String, Value>) {
    const PROPERTY: &str = "EndpointConfiguration";
    // Without edge locations, SAM says what alone is possible.
    let regional = (expansion.context.partition != "aws").then(|| Value::from("REGIONAL"));
    let Some(given) = expansion.given(PROPERTY).cloned().or(regional) else { return };
    let kind = given.get("Type").filter(|kind| truthy(kind)).cloned();
    let mut configuration = json!({ "Types": [kind.as_ref().unwrap_or(&given)] });
    if kind.is_some() {
        let ids = [given.get("VPCEndpointIds"), given.get("VpcEndpointIds")];
        if ids.iter().all(Option::is_some) {
            let what = "'VPCEndpointIds' and 'VpcEndpointIds' cannot be used together in EndpointConfiguration";
            expansion.problem(PROPERTY, what);
        }
        if let Some(ids) = ids.into_iter().flatten().next() {
            configuration["VpcEndpointIds"] = ids.clone();
        }
        if let Some(address) = given.get("IpAddressType") {
            configuration["IpAddressType"] = address.clone();
        }
    }
    api.insert("Parameters".to_owned(), json!({ "endpointConfigurationTypes": kind.unwrap_or(given) }));
    api.insert(PROPERTY.to_owned(), configuration);
    expansion.note(expansion.place("Parameters"), &expansion.place(PROPERTY));
}

/// Writes what the API's properties say into its document. `v3`: it is one of OpenAPI 3.
fn complete(expansion: &mut Expansion<'_>, document: &mut Document, binary: Option<&Value>, v3: bool) {
    let valid = ["swagger", "openapi"].iter().any(|name| document.body.get(*name).is_some_and(truthy))
        && document.body.get("paths").is_some_and(Value::is_object);
    if !valid {
        for name in ["Auth", "BinaryMediaTypes", "Cors", "DisableExecuteApiEndpoint"] {
            if expansion.given(name).is_some() {
                let what =
                    format!("{name} cannot be added: 'DefinitionBody' does not contain a valid Swagger definition");
                expansion.report(Problem::of_key(expansion.place(name), what));
            }
        }
        return;
    }
    let v3 =
        v3 || document.body.get("openapi").and_then(Value::as_str).is_some_and(|version| version.starts_with("3."));
    let of_version_3 = v3 && !document.body.contains_key("swagger");
    cors(expansion, document, of_version_3);
    rest_auth::of_api(expansion, document);
    if of_version_3 {
        rest_auth::as_version_3(document);
    }
    if let Some(types) = binary.filter(|types| truthy(types)) {
        document.body.insert("x-amazon-apigateway-binary-media-types".to_owned(), with_slashes(types));
    }
    if let Some(disabled) = expansion.get("DisableExecuteApiEndpoint") {
        const EXTENSION: &str = "x-amazon-apigateway-endpoint-configuration";
        if v3 {
            let servers = document.body.entry("servers").or_insert_with(|| json!([{}]));
            for server in servers.as_array_mut().into_iter().flatten().filter(|server| server.is_object()) {
                server[EXTENSION]["disableExecuteApiEndpoint"] = disabled.clone();
            }
        } else {
            let configuration = document.body.entry(EXTENSION).or_insert_with(|| json!({}));
            if configuration.is_object() {
                configuration["disableExecuteApiEndpoint"] = disabled.clone();
            }
        }
    }
}

/// `image~1png` as `image/png`, wherever it stands.
fn with_slashes(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace("~1", "/").into(),
        Value::Array(items) => items.iter().map(with_slashes).collect(),
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| (key.replace("~1", "/"), with_slashes(value))).collect()
        }
        other => other.clone(),
    }
}

/// The parts of `Cors`, and the header that each becomes.
const CORS: &[(&str, &str)] = &[
    ("AllowOrigin", "Access-Control-Allow-Origin"),
    ("AllowHeaders", "Access-Control-Allow-Headers"),
    ("AllowMethods", "Access-Control-Allow-Methods"),
    ("MaxAge", "Access-Control-Max-Age"),
    ("AllowCredentials", "Access-Control-Allow-Credentials"),
];

/// Adds a method OPTIONS to each path, which answers what browsers ask before they call.
fn cors(expansion: &mut Expansion<'_>, document: &mut Document, v3: bool) {
    const PROPERTY: &str = "Cors";
    let Some(given) = expansion.given(PROPERTY) else { return };
    let parts = match given {
        Value::Object(parts) if !open_api::is_call(given) => parts.clone(),
        origin => Map::from_iter([("AllowOrigin".to_owned(), origin.clone())]),
    };
    for name in parts.keys().filter(|name| !CORS.iter().any(|(known, _)| known == name)) {
        let problem = Problem::of_key(expansion.place(PROPERTY).key(name), format!("invalid key '{name}' of Cors"));
        expansion.report(problem.kind(ProblemKind::Unknown).suggest(name, CORS.iter().map(|(known, _)| *known)));
    }
    let origin = parts.get("AllowOrigin").cloned().unwrap_or_else(|| "'*'".into());
    if parts.get("AllowCredentials") == Some(&Value::Bool(true)) && origin == "'*'" {
        let what = "'AllowCredentials' cannot be true where 'AllowOrigin' is \"'*'\" or not set";
        expansion.report(Problem::new(expansion.place(PROPERTY).key("AllowCredentials"), what));
        return;
    }
    let mut seen = Vec::new();
    for (path, item) in document.paths().into_iter().flatten() {
        // A slash at the end makes no other resource.
        let normalized = if path == "/" { path.clone() } else { path.trim_end_matches('/').to_owned() };
        if seen.contains(&normalized) {
            continue;
        }
        seen.push(normalized);
        let Some(item) = item.as_object_mut().filter(|item| !item.contains_key("options")) else { continue };
        let mut parts = parts.clone();
        parts.insert("AllowOrigin".to_owned(), origin.clone());
        if parts.get("AllowMethods").is_none_or(|methods| !truthy(methods)) {
            parts.insert("AllowMethods".to_owned(), format!("'{}'", methods(item)).into());
        }
        item.insert("options".to_owned(), preflight(&parts, v3));
    }
}

/// The methods of a path, for a header.
fn methods(item: &Map<String, Value>) -> String {
    if item.contains_key(ANY_METHOD) {
        return METHODS.to_owned();
    }
    let mut methods: Vec<String> = item.keys().map(|name| name.to_ascii_uppercase()).collect();
    methods.push("OPTIONS".to_owned());
    methods.sort();
    methods.dedup();
    methods.join(",")
}

/// The method OPTIONS that answers with the headers of `parts`.
fn preflight(parts: &Map<String, Value>, v3: bool) -> Value {
    let (mut parameters, mut headers) = (Map::new(), Map::new());
    for (name, header) in CORS {
        let said = |value: &&Value| match *name {
            "MaxAge" => !value.is_null(),
            "AllowCredentials" => **value == true,
            _ => truthy(value),
        };
        let Some(value) = parts.get(*name).filter(said) else { continue };
        let value = if *name == "AllowCredentials" { "'true'".into() } else { value.clone() };
        parameters.insert(format!("method.response.header.{header}"), value);
        let kind = json!({ "type": if *name == "MaxAge" { "integer" } else { "string" } });
        headers.insert((*header).to_owned(), if v3 { json!({ "schema": kind }) } else { kind });
    }
    let mut method = json!({
        "summary": "CORS support",
        INTEGRATION: {
            "type": "mock",
            "requestTemplates": { "application/json": "{\n  \"statusCode\" : 200\n}\n" },
            "responses": { "default": {
                "statusCode": "200",
                "responseParameters": parameters,
                "responseTemplates": { "application/json": "{}\n" },
            } },
        },
        "responses": { "200": { "description": "Default response for CORS method", "headers": headers } },
    });
    if !v3 {
        for name in ["consumes", "produces"] {
            method[name] = json!(["application/json"]);
        }
    }
    method
}
