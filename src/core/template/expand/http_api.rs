//! AWS::Serverless::HttpApi: an HTTP API with its stage, described by an OpenAPI document; and the events of the type
//! HttpApi, which write it.

use serde_json::{Map, Value, json};

use super::Type;
use super::document::{Document, INTEGRATION};
use super::events::{ALL_PATHS, Event, EventType, HTTP_API, Role, Target};
use super::expansion::{Expansion, made};
use super::open_api::{self, ANY_METHOD, is_call};
use super::shape::{Property, Shape, truthy};
use super::{location, policies, versions};
use crate::core::words::{Path, Problem, ProblemKind};

/// The properties. Which of them `Globals` can give follows the translator.
pub const TYPE: Type = Type {
    name: "AWS::Serverless::HttpApi",
    properties: &[
        Property::translated("AccessLogSettings", Shape::Map),
        Property::translated("Auth", Shape::Map),
        Property::translated("CorsConfiguration", Shape::BoolOrMap),
        Property::translated("DefaultRouteSettings", Shape::Map),
        Property::translated("DefinitionBody", Shape::Map).local(),
        Property::translated("DefinitionUri", Shape::TextOrMap).local(),
        Property::translated("Description", Shape::Text).local(),
        Property::translated("DisableExecuteApiEndpoint", Shape::Bool).local(),
        Property::later("Domain"),
        Property::translated("FailOnWarnings", Shape::Bool),
        Property::translated("Name", Shape::Any).local(),
        Property::translated("PropagateTags", Shape::Bool),
        Property::translated("RouteSettings", Shape::Map),
        Property::translated("StageName", Shape::TextOrMap).local(),
        Property::translated("StageVariables", Shape::Map),
        Property::translated("Tags", Shape::Map),
    ],
    expand,
};

pub const EVENT: EventType = EventType {
    name: "HttpApi",
    properties: &[&[
        Property::translated("ApiId", Shape::Text),
        Property::translated("Auth", Shape::Map),
        Property::translated("Method", Shape::Text),
        Property::translated("Path", Shape::Text),
        Property::translated("PayloadFormatVersion", Shape::Text),
        Property::translated("RouteSettings", Shape::Map),
        // SAM accepts it and ignores it.
        Property::translated("Stage", Shape::Text),
        Property::translated("TimeoutInMillis", Shape::Number),
    ]],
    required: &[],
    expand: add_route,
};

/// The tag that SAM puts on HTTP APIs.
const SAM_TAG: &str = "httpapi:createdBy";

const VERSION: (&str, &str) = ("openapi", "3.0.1");

/// The parts of a CORS configuration, as SAM and OpenAPI spell them.
const CORS: &[(&str, &str)] = &[
    ("AllowOrigins", "allowOrigins"),
    ("AllowHeaders", "allowHeaders"),
    ("AllowMethods", "allowMethods"),
    ("ExposeHeaders", "exposeHeaders"),
    ("MaxAge", "maxAge"),
    ("AllowCredentials", "allowCredentials"),
];

/// Adds the route of `event` to its API, and permits the API to invoke the function.
fn add_route(expansion: &mut Expansion<'_>, event: &Event, target: &Target, _: &mut Role) {
    if open_api::refuse_condition(expansion, event) {
        return;
    }
    let text = |name: &str| event.given(name).map(|value| value.as_str().map(str::to_owned));
    let (path, method) = match (text("Path"), text("Method")) {
        (None, None) => (ALL_PATHS.to_owned(), ANY_METHOD.to_owned()),
        (Some(Some(path)), Some(Some(method))) => (path, method),
        (path, method) => {
            for (name, value) in [("Path", path), ("Method", method)] {
                match value {
                    None => {
                        let what = format!(
                            "missing property \"{name}\" of the event type HttpApi: Path and Method go together"
                        );
                        expansion.report(Problem::new(event.path.key("Properties"), what).kind(ProblemKind::Missing));
                    }
                    Some(None) => event.problem(
                        expansion,
                        name,
                        format!("{name} must be a string; an intrinsic function is not supported here"),
                    ),
                    Some(Some(_)) => {}
                }
            }
            return;
        }
    };
    let given = event.get("ApiId").cloned();
    let api = match &given {
        None => HTTP_API.to_owned(),
        Some(_) => match open_api::api_of(expansion, event, "ApiId", &[TYPE.name, "AWS::ApiGatewayV2::Api"]) {
            Some(api) => api,
            None => return,
        },
    };
    let properties = expansion.template.resources.get(&api).map(|api| (api.type_name.clone(), api.properties.clone()));
    let Some((type_name, properties)) = properties else { return };
    let documented = type_name == TYPE.name && properties.get("DefinitionUri").is_none_or(|uri| !truthy(uri));
    if documented {
        let document = Document::of(properties.get("DefinitionBody"), VERSION);
        expansion.documents.entry(api.clone()).or_insert(document);
    }
    let id = given.unwrap_or_else(|| json!({ "Ref": HTTP_API }));
    permit(expansion, event, target, &api, &id, &path, &method);
    if documented {
        describe(expansion, event, target, &api, &properties, &path, &method);
    }
}

/// Permits the API, which is called `id`, to invoke the function by this route; unless the function takes all routes.
fn permit(
    expansion: &mut Expansion<'_>,
    event: &Event,
    target: &Target,
    api: &str,
    id: &Value,
    path: &str,
    method: &str,
) {
    let takes_all = || {
        let taken = expansion.documents.get(api)?.method(ALL_PATHS, ANY_METHOD)?;
        let uri = taken[INTEGRATION]["uri"]["Fn::Sub"].as_str()?;
        // Of an alias, the translator cannot tell.
        Some(uri.contains(&format!("${{{}.Arn}}", target.id)))
    };
    if path != ALL_PATHS && takes_all() == Some(true) {
        return;
    }
    let is_parameter = |name: &str| open_api::is_name(name) || name == "proxy+";
    let permitted = if path == ALL_PATHS { String::new() } else { open_api::permitted_path(path, is_parameter) };
    let method = method.to_ascii_lowercase();
    let route = if method == "any" && permitted == format!("/{ALL_PATHS}") {
        permitted
    } else {
        let method = if method == "any" || method == ANY_METHOD { "*".to_owned() } else { method.to_ascii_uppercase() };
        format!("/{method}{permitted}")
    };
    let source = json!({ "Fn::Sub": [
        format!("arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{__ApiId__}}/${{__Stage__}}{route}"),
        { "__ApiId__": id, "__Stage__": "*" },
    ] });
    event.permit(expansion, &event.id, target, "apigateway.amazonaws.com", &[("SourceArn", &source)]);
}

/// Adds the route to the API's document. `properties`: the API's.
fn describe(
    expansion: &mut Expansion<'_>,
    event: &Event,
    target: &Target,
    api: &str,
    properties: &Map<String, Value>,
    path: &str,
    method: &str,
) {
    let key = open_api::normalized(method);
    let Some(document) = expansion.documents.get(api) else { return };
    let there = document.method(path, &key).is_some();
    if there && document.managed {
        let what = format!("API method '{}' defined multiple times for path '{path}'", method.to_ascii_lowercase());
        expansion.report(Problem::of_key(event.path.clone(), what).kind(ProblemKind::Duplicate));
        return;
    }
    let security = match event.given("Auth") {
        Some(auth) => match security(expansion, event, auth, properties, path, method) {
            Some(security) => Some(security),
            None => return,
        },
        None => None,
    };
    let mut integration = json!({
        "type": "aws_proxy",
        "httpMethod": "POST",
        "payloadFormatVersion": event.given("PayloadFormatVersion").cloned().unwrap_or_else(|| "2.0".into()),
        "uri": open_api::integration_uri("${AWS::Partition}", target, false),
    });
    if let Some(timeout) = event.given("TimeoutInMillis") {
        integration["timeoutInMillis"] = timeout.clone();
    }
    let mut definition = json!({ INTEGRATION: integration, "responses": {} });
    if path == ALL_PATHS && key == ANY_METHOD {
        definition["isDefaultRoute"] = true.into();
    }
    if let Some(security) = security {
        definition["security"] = json!([security]);
    }
    let parameters: Vec<Value> =
        parameters(path).map(|name| json!({ "name": name, "in": "path", "required": true })).collect();
    if !parameters.is_empty() {
        definition["parameters"] = parameters.into();
    }
    let Some(document) = expansion.documents.get_mut(api) else { return };
    if !there {
        document.insert(path, &key, definition);
    }
    if let Some(settings) = event.get("RouteSettings").and_then(Value::as_object) {
        let route =
            if method == ANY_METHOD { path.to_owned() } else { format!("{} {path}", method.to_ascii_uppercase()) };
        let of_route = document.route_settings.entry(route).or_insert_with(|| json!({}));
        if let Some(of_route) = of_route.as_object_mut() {
            of_route.extend(settings.clone());
        }
    }
}

/// The names in the braces of `path`.
fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|after| Some(after.split_once('}')?.0))
}

/// Who may call a route, by the event's `auth` and that of the API; none if that is wrong.
fn security(
    expansion: &mut Expansion<'_>,
    event: &Event,
    auth: &Value,
    properties: &Map<String, Value>,
    path: &str,
    method: &str,
) -> Option<Value> {
    let of_api = properties.get("Auth").cloned().unwrap_or_default();
    let default = of_api.get("DefaultAuthorizer").filter(|name| truthy(name));
    let Some(authorizer) = auth.get("Authorizer").filter(|name| truthy(name)).or(default) else {
        let what = "'Auth' needs an 'Authorizer', or a 'DefaultAuthorizer' of the API";
        event.problem(expansion, "Auth", what);
        return None;
    };
    let place = event.place("Auth").key("Authorizer");
    let known = of_api.get("Authorizers").and_then(Value::as_object).filter(|known| !known.is_empty());
    let by_iam = of_api["EnableIamAuthorizer"] == true && authorizer == "AWS_IAM";
    let route = format!("API method [{}] for path [{path}]", method.to_ascii_lowercase());
    let mut scopes = json!([]);
    if authorizer == "NONE" {
        if default.is_none() {
            let what =
                format!("the Authorizer 'NONE' on {route} needs a DefaultAuthorizer of the API that it replaces");
            expansion.report(Problem::new(place, what));
            return None;
        }
    } else if !by_iam {
        let found = authorizer.as_str().and_then(|name| known?.get(name)).filter(|found| truthy(found));
        let Some(found) = found else {
            let what = format!("the Authorizer {authorizer} on {route} is none of the API's Authorizers");
            expansion.report(Problem::new(place, what).kind(ProblemKind::BadReference));
            return None;
        };
        let own = auth.get("AuthorizationScopes").filter(|scopes| truthy(scopes));
        if own.is_some_and(|scopes| !scopes.is_array()) {
            let what = "'AuthorizationScopes' must be a list of strings";
            expansion.report(Problem::new(event.place("Auth").key("AuthorizationScopes"), what));
            return None;
        }
        if authorizer != "AWS_IAM"
            && let Some(given) = own.or_else(|| found.get("AuthorizationScopes").filter(|scopes| truthy(scopes)))
        {
            scopes = given.clone();
        }
    }
    Some(json!({ authorizer.as_str().unwrap_or_default(): scopes }))
}

fn expand(expansion: &mut Expansion<'_>) {
    let mut api = Map::new();
    let uri = expansion.given("DefinitionUri");
    if uri.is_some() && expansion.given("DefinitionBody").is_some() {
        let what = "an API has a 'DefinitionUri' or a 'DefinitionBody', not both";
        expansion.report(Problem::of_key(expansion.place("DefinitionUri"), what).kind(ProblemKind::Duplicate));
    }
    let document = expansion.documents.remove(expansion.logical_id);
    let mut document = document.unwrap_or_else(|| Document::of(expansion.get("DefinitionBody"), VERSION));
    let mut tags = None;
    if let Some(uri) = uri {
        for name in ["Auth", "CorsConfiguration", "Description", "DisableExecuteApiEndpoint", "Name", "Tags"] {
            if expansion.given(name).is_some() {
                let what = format!("{name} works only with inline OpenApi: a 'DefinitionBody', not a 'DefinitionUri'");
                expansion.report(Problem::of_key(expansion.place(name), what));
            }
        }
        api.insert("BodyS3Location".to_owned(), body_in_s3(expansion, uri));
    } else {
        let mut all: Map<String, Value> = expansion.tags().collect();
        all.insert(SAM_TAG.to_owned(), "SAM".into());
        complete(expansion, &mut document, &all);
        if let Some(route) = document.paths().filter(|_| expansion.given("FailOnWarnings").is_some())
            && let Some(default) = route.shift_remove(ALL_PATHS)
        {
            // Without the slash it is a warning.
            route.insert(format!("/{ALL_PATHS}"), default);
        }
        api.insert("Body".to_owned(), document.body.into());
        expansion.note(expansion.place("Body"), &expansion.place("DefinitionBody"));
        tags = Some(all);
    }
    if let Some(fail) = expansion.given("FailOnWarnings") {
        api.insert("FailOnWarnings".to_owned(), fail.clone());
    }
    // The permissions for the API to invoke its authorizers, where they want them.
    let authorizer_permissions = open_api::authorizer_permissions(expansion, "${AWS::Partition}", |authorizer| {
        authorizer["EnableFunctionDefaultPermissions"] == true
    });
    let mut stage = json!({ "ApiId": { "Ref": expansion.logical_id }, "AutoDeploy": true });
    let name = expansion.given("StageName").cloned().unwrap_or_else(|| ALL_PATHS.into());
    let stage_id = match name.as_str() {
        Some(ALL_PATHS) => format!("{}ApiGatewayDefaultStage", expansion.logical_id),
        Some(text) if text.chars().all(|letter| letter.is_ascii_alphanumeric()) => {
            format!("{}{text}Stage", expansion.logical_id)
        }
        Some(text) => format!("{}Stage{}", expansion.logical_id, versions::hash_of_text(text)),
        None => format!("{}Stage", expansion.logical_id),
    };
    stage["StageName"] = name;
    for name in ["AccessLogSettings", "DefaultRouteSettings", "RouteSettings", "StageVariables"] {
        if let Some(value) = expansion.get(name) {
            stage[name] = value.clone();
        }
    }
    if !document.route_settings.is_empty() {
        let mut settings = stage["RouteSettings"].as_object().cloned().unwrap_or_default();
        for (route, of_route) in document.route_settings {
            let known = settings.entry(route).or_insert_with(|| json!({}));
            if let (Some(known), Some(of_route)) = (known.as_object_mut(), of_route.as_object()) {
                known.extend(of_route.clone());
            }
        }
        stage["RouteSettings"] = settings.into();
    }
    if let Some(tags) = tags {
        stage["Tags"] = tags.into();
    }
    let resource = expansion.extra_resource(None, &stage_id, "AWS::ApiGatewayV2::Stage", stage);
    expansion.note(made(&stage_id), &expansion.path().key("Properties"));
    expansion.references.insert((expansion.logical_id.to_owned(), "Stage".to_owned()), stage_id.clone());
    expansion.made.push((stage_id, resource));
    expansion.made.extend(authorizer_permissions);
    expansion.make("AWS::ApiGatewayV2::Api", api);
}

/// The place of an API's document in S3, by its `DefinitionUri`.
pub fn body_in_s3(expansion: &mut Expansion<'_>, uri: &Value) -> Value {
    match location::code_at(expansion, "DefinitionUri", uri) {
        Some(Value::Object(place)) => {
            let names = [("Bucket", "S3Bucket"), ("Key", "S3Key"), ("Version", "S3ObjectVersion")];
            names.into_iter().filter_map(|(made, name)| Some((made.to_owned(), place.get(name)?.clone()))).collect()
        }
        Some(_) => {
            let what = "a DefinitionUri on this machine is not supported yet";
            let problem = Problem::new(expansion.place("DefinitionUri"), what).kind(ProblemKind::Unsupported);
            expansion.report(problem.help("put the document into the template, as DefinitionBody"));
            Value::Null
        }
        None => Value::Null,
    }
}

/// Writes what the API's properties say into its document.
fn complete(expansion: &mut Expansion<'_>, document: &mut Document, tags: &Map<String, Value>) {
    let valid = document.body.get("openapi").and_then(Value::as_str).is_some_and(|version| version.starts_with("3."))
        && document.body.get("paths").is_some_and(Value::is_object);
    if !valid {
        for name in ["Auth", "CorsConfiguration", "Tags"] {
            if expansion.given(name).is_some() {
                let what =
                    format!("{name} cannot be added: 'DefinitionBody' does not contain a valid OpenApi definition");
                expansion.report(Problem::of_key(expansion.place(name), what));
            }
        }
        return;
    }
    cors(expansion, document);
    authorize(expansion, document);
    let mut listed = document.body.get("tags").and_then(Value::as_array).cloned().unwrap_or_default();
    for (name, value) in tags {
        match listed.iter_mut().find(|tag| tag["name"] == name.as_str()) {
            Some(tag) if tag.is_object() => tag["x-amazon-apigateway-tag-value"] = value.clone(),
            _ => listed.push(json!({ "name": name, "x-amazon-apigateway-tag-value": value })),
        }
    }
    document.body.insert("tags".to_owned(), listed.into());
    if let Some(disabled) = expansion.get("DisableExecuteApiEndpoint") {
        let servers = document.body.entry("servers").or_insert_with(|| json!([{}]));
        for server in servers.as_array_mut().into_iter().flatten().filter(|server| server.is_object()) {
            server["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"] = disabled.clone();
        }
    }
    for (name, part) in [("Name", "title"), ("Description", "description")] {
        let Some(value) = expansion.given(name) else { continue };
        let Some(info) = document.body.entry("info").or_insert_with(|| json!({})).as_object_mut() else { continue };
        let default = json!({ "Ref": "AWS::StackName" });
        if info.get(part).is_some_and(|there| truthy(there) && *there != default) {
            let what = format!("unable to set {name}: it is already defined within the 'DefinitionBody'");
            expansion.report(Problem::of_key(expansion.place(name), what).kind(ProblemKind::Duplicate));
            continue;
        }
        info.insert(part.to_owned(), value.clone());
    }
}

fn cors(expansion: &mut Expansion<'_>, document: &mut Document) {
    const PROPERTY: &str = "CorsConfiguration";
    const EXTENSION: &str = "x-amazon-apigateway-cors";
    let Some(given) = expansion.given(PROPERTY) else { return };
    let given = expansion.inline(PROPERTY, &mut given.clone());
    let mut configuration = document.body.get(EXTENSION).and_then(Value::as_object).cloned().unwrap_or_default();
    match &given {
        Value::Bool(true) => {
            configuration.insert("allowOrigins".to_owned(), json!(["*"]));
        }
        call if is_call(call) => {
            // The parts inside of it are spelled as OpenAPI spells them.
            let text = CORS.iter().fold(call.to_string(), |text, (name, part)| text.replace(name, part));
            let call: Value = serde_json::from_str(&text).unwrap_or_default();
            configuration.extend(call.as_object().cloned().unwrap_or_default());
        }
        Value::Object(parts) => {
            for name in parts.keys().filter(|name| !CORS.iter().any(|(known, _)| known == name)) {
                let what = format!("invalid key '{name}' of CorsConfiguration");
                let problem = Problem::of_key(expansion.place(PROPERTY).key(name), what).kind(ProblemKind::Unknown);
                expansion.report(problem.suggest(name, CORS.iter().map(|(known, _)| *known)));
            }
            if parts.get("AllowCredentials") == Some(&Value::Bool(true))
                && parts.get("AllowOrigins") == Some(&json!(["*"]))
            {
                let what = "'AllowCredentials' cannot be true where AllowOrigins is \"*\"";
                expansion.report(Problem::new(expansion.place(PROPERTY).key("AllowCredentials"), what));
            }
            for (name, part) in CORS {
                let Some(value) = parts.get(*name).filter(|value| !value.is_null()) else { continue };
                let said = match *name {
                    "MaxAge" => true,
                    "AllowCredentials" => *value == true,
                    _ => truthy(value),
                };
                if said {
                    configuration.insert((*part).to_owned(), value.clone());
                }
            }
        }
        _ => return,
    }
    document.body.insert(EXTENSION.to_owned(), configuration.into());
}

/// Adds the authorizers, and the default one to every route without.
fn authorize(expansion: &mut Expansion<'_>, document: &mut Document) {
    let Some(auth) = expansion.given("Auth") else { return };
    let place = expansion.place("Auth");
    let known = ["Authorizers", "DefaultAuthorizer", "EnableIamAuthorizer"];
    for name in auth.as_object().into_iter().flatten().map(|(name, _)| name) {
        if !known.contains(&name.as_str()) {
            let problem = Problem::of_key(place.key(name), format!("unknown key \"{name}\": invalid value for 'Auth'"));
            expansion.report(problem.kind(ProblemKind::Unknown).suggest(name, known));
        }
    }
    let mut schemes = Map::new();
    if auth["EnableIamAuthorizer"] == true {
        schemes.insert(
            "AWS_IAM".to_owned(),
            json!({
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "x-amazon-apigateway-authtype": "awsSigv4",
            }),
        );
    }
    for (name, authorizer) in auth.get("Authorizers").and_then(Value::as_object).into_iter().flatten() {
        let place = place.key("Authorizers").key(name);
        match scheme(expansion, name, authorizer, &place) {
            Some(scheme) => schemes.insert(name.clone(), scheme),
            None => schemes.insert(name.clone(), Value::Null),
        };
    }
    if !schemes.is_empty() {
        let components = document.body.entry("components").or_insert_with(|| json!({}));
        if !components.is_object() {
            *components = json!({});
        }
        let there = components["securitySchemes"].as_object().cloned().unwrap_or_default();
        components["securitySchemes"] = there.into_iter().chain(schemes.clone()).collect();
    }
    let Some(default) = auth.get("DefaultAuthorizer").filter(|name| truthy(name) && !policies::is_nothing(name)) else {
        return;
    };
    let place = place.key("DefaultAuthorizer");
    let Some(default) = default.as_str() else {
        let what = "DefaultAuthorizer must be a string; an intrinsic function is not supported here";
        expansion.report(Problem::new(place, what).kind(ProblemKind::IllTyped));
        return;
    };
    if !schemes.contains_key(default) {
        let what = format!("the DefaultAuthorizer '{default}' was not defined in 'Authorizers'");
        expansion.report(Problem::new(place, what).kind(ProblemKind::BadReference));
        return;
    }
    let scopes = auth["Authorizers"][default].get("AuthorizationScopes").cloned().unwrap_or_else(|| json!([]));
    for (_, item) in document.paths().into_iter().flatten() {
        for (method, definition) in item.as_object_mut().into_iter().flatten() {
            let leads = definition.get(INTEGRATION).is_some_and(truthy);
            let open = definition.get("security").is_none_or(|security| !truthy(security));
            if !["options", "parameters"].contains(&method.as_str()) && leads && open {
                definition["security"] = json!([{ default: scopes }]);
            }
        }
    }
}

/// The properties of an authorizer: those of a JWT, and those of a function.
const OF_JWT: &[&str] = &["AuthorizationScopes", "IdentitySource", "JwtConfiguration"];
const OF_FUNCTION: &[&str] = &[
    "AuthorizerPayloadFormatVersion",
    "EnableFunctionDefaultPermissions",
    "EnableSimpleResponses",
    "FunctionArn",
    "FunctionInvokeRole",
    "Identity",
];

/// An authorizer in the form of the document.
fn scheme(expansion: &mut Expansion<'_>, name: &str, authorizer: &Value, place: &Path) -> Option<Value> {
    let Some(given) = authorizer.as_object() else {
        let what = format!("the authorizer {name} must be a map");
        expansion.report(Problem::new(place.clone(), what).kind(ProblemKind::IllTyped));
        return None;
    };
    let jwt = given.get("JwtConfiguration").filter(|jwt| truthy(jwt));
    let (known, other) = if jwt.is_some() { (OF_JWT, OF_FUNCTION) } else { (OF_FUNCTION, OF_JWT) };
    if let Some(key) = given.keys().find(|key| !known.contains(&key.as_str())) {
        let problem = if other.contains(&key.as_str()) {
            let whom = if jwt.is_some() {
                "a Lambda Authorizer"
            } else {
                "an OAuth2 Authorizer, which has a JwtConfiguration"
            };
            Problem::of_key(place.key(key), format!("{key} is only supported for {whom}"))
        } else {
            Problem::of_key(place.key(key), format!("unknown property \"{key}\" of an authorizer"))
                .kind(ProblemKind::Unknown)
                .suggest(key, known.iter().copied())
        };
        expansion.report(problem);
        return None;
    }
    let needed: &[&str] =
        if jwt.is_some() { &["IdentitySource"] } else { &["FunctionArn", "AuthorizerPayloadFormatVersion"] };
    if let Some(missing) = needed.iter().find(|name| given.get(**name).is_none_or(|value| !truthy(value))) {
        let what = format!("the authorizer {name} must define '{missing}'");
        expansion.report(Problem::new(place.clone(), what).kind(ProblemKind::Missing));
        return None;
    }
    if let Some(jwt) = jwt {
        let lower = jwt.as_object().into_iter().flatten().map(|(key, value)| (key.to_lowercase(), value.clone()));
        return Some(json!({
            "type": "oauth2",
            "x-amazon-apigateway-authorizer": {
                "jwtConfiguration": lower.collect::<Map<_, _>>(),
                "identitySource": given["IdentitySource"],
                "type": "jwt",
            },
        }));
    }
    let uri = format!(
        "arn:{}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{__FunctionArn__}}/invocations",
        expansion.context.partition
    );
    let mut made = json!({
        "type": "request",
        "authorizerUri": { "Fn::Sub": [uri, { "__FunctionArn__": given["FunctionArn"] }] },
        "authorizerPayloadFormatVersion": given["AuthorizerPayloadFormatVersion"],
    });
    let of = |name: &str| given.get(name).filter(|value| truthy(value));
    if let Some(role) = of("FunctionInvokeRole").filter(|role| *role != "NONE") {
        made["authorizerCredentials"] = role.clone();
    }
    if let Some(simple) = of("EnableSimpleResponses") {
        made["enableSimpleResponses"] = simple.clone();
    }
    if let Some(identity) = of("Identity") {
        if let Some(seconds) = identity.get("ReauthorizeEvery").filter(|seconds| !seconds.is_null()) {
            made["authorizerResultTtlInSeconds"] = seconds.clone();
        }
        let parts = [
            ("$request.header.", "Headers"),
            ("$request.querystring.", "QueryStrings"),
            ("$stageVariables.", "StageVariables"),
            ("$context.", "Context"),
        ];
        let sources = parts.into_iter().flat_map(|(prefix, part)| {
            let names = identity.get(part).and_then(Value::as_array).into_iter().flatten();
            names.filter_map(Value::as_str).map(move |name| format!("{prefix}{name}"))
        });
        made["identitySource"] = sources.collect();
    }
    Some(json!({ "type": "apiKey", "name": "Unused", "in": "header", "x-amazon-apigateway-authorizer": made }))
}
