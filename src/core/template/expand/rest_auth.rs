//! `Auth` of AWS::Serverless::Api and of the events that call one: who may call its methods, as the security schemes and requirements
//! of its document.

use serde_json::{Map, Value, json};

use super::super::Resource;
use super::document::{Document, INTEGRATION};
use super::events::Event;
use super::expansion::Expansion;
use super::open_api;
use super::shape::truthy;
use crate::core::words::{Path, Problem, ProblemKind};

/// The parts of the API's `Auth`.
const PARTS: &[&str] = &[
    "AddApiKeyRequiredToCorsPreflight",
    "AddDefaultAuthorizerToCorsPreflight",
    "ApiKeyRequired",
    "Authorizers",
    "DefaultAuthorizer",
    "InvokeRole",
    "ResourcePolicy",
    "UsagePlan",
];

/// The security scheme of signed requests, which needs no authorizer.
const IAM: &str = "AWS_IAM";

/// The security scheme of API keys.
const KEY: &str = "api_key";

/// Marks of methods that the API's defaults are not for.
const NO_AUTHORIZER: &str = "NONE";
const NO_KEY: &str = "api_key_false";

/// Where a Swagger document has its security schemes.
const SCHEMES: &str = "securityDefinitions";

/// What is not a method in a path.
const NO_METHODS: &[&str] = &["summary", "description", "parameters"];

/// The role with which API Gateway calls the function of a method that `event` describes, for callers who sign their requests.
/// `api`: the API's properties.
pub fn invoke_role(event: &Event, api: &Map<String, Value>) -> Option<Value> {
    let of_api = api.get("Auth").unwrap_or(&Value::Null);
    let own = event.given("Auth");
    let signed = match own {
        Some(own) => own["Authorizer"] == IAM,
        None => of_api["DefaultAuthorizer"] == IAM,
    };
    let said = |auth: &Value| {
        let role = auth.get("InvokeRole")?;
        Some(if truthy(role) { role.clone() } else { "NONE".into() })
    };
    let role = own.and_then(said).or_else(|| said(of_api)).unwrap_or_else(|| "CALLER_CREDENTIALS".into());
    match role.as_str() {
        _ if !signed => None,
        Some("NONE") => None,
        Some("CALLER_CREDENTIALS") => Some("arn:aws:iam::*:user/*".into()),
        _ => Some(role),
    }
}

/// Writes into the API's document who may call the method of `event`, by its `Auth`. `api`: the API's properties.
pub fn of_event(
    expansion: &mut Expansion<'_>,
    event: &Event,
    api: &Map<String, Value>,
    document: &mut Document,
    path: &str,
    method: &str,
) {
    let Some(auth) = event.given("Auth") else { return };
    let of_api = api.get("Auth").cloned().unwrap_or_default();
    let place = event.place("Auth");
    let route = format!("API method [{}] for path [{path}]", method.to_ascii_lowercase());
    if truthy(&auth["ResourcePolicy"]) {
        expansion.report(unsupported(&place, "ResourcePolicy", "the event type Api"));
    }
    let mut security = Vec::new();
    let authorizer = auth.get("Authorizer").filter(|name| truthy(name));
    let scopes = auth.get("AuthorizationScopes").filter(|scopes| !scopes.is_null());
    if let Some(given) = authorizer {
        let place = place.key("Authorizer");
        let Some(name) = given.as_str() else {
            let what = "Authorizer must be a string; an intrinsic function is not supported here";
            expansion.report(Problem::new(place, what).kind(ProblemKind::IllTyped));
            return;
        };
        let known = of_api["Authorizers"].get(name).filter(|known| truthy(known));
        if name == NO_AUTHORIZER && !truthy(&of_api["DefaultAuthorizer"]) {
            let what =
                format!("the Authorizer 'NONE' on {route} needs a DefaultAuthorizer of the API that it replaces");
            expansion.report(Problem::new(place, what));
            return;
        }
        if ![NO_AUTHORIZER, IAM].contains(&name) && known.is_none() {
            let what = format!("the Authorizer {name} on {route} is none of the API's Authorizers");
            expansion.report(Problem::new(place, what).kind(ProblemKind::BadReference));
            return;
        }
        let own = scopes.or_else(|| known?.get("AuthorizationScopes").filter(|scopes| !scopes.is_null()));
        let scopes = own.filter(|_| known.is_some()).cloned().unwrap_or_else(|| json!([]));
        security.push(json!({ name: scopes }));
        if name == IAM {
            add_scheme(document, IAM, signed());
        }
    }
    if let Some(scopes) = scopes.filter(|scopes| truthy(scopes)) {
        let place = place.key("AuthorizationScopes");
        if !scopes.is_array() {
            let what = "'AuthorizationScopes' must be a list of strings";
            expansion.report(Problem::new(place, what).kind(ProblemKind::IllTyped));
        } else if authorizer.is_none() {
            expansion.report(Problem::of_key(place, "AuthorizationScopes works only where Authorizer is set"));
        }
    }
    match auth.get("ApiKeyRequired").filter(|required| !required.is_null()).map(truthy) {
        Some(true) => {
            add_scheme(document, KEY, key());
            security.push(json!({ KEY: [] }));
        }
        Some(false) if truthy(&of_api["ApiKeyRequired"]) => security.push(json!({ NO_KEY: [] })),
        Some(false) => {
            let what = format!("ApiKeyRequired false on {route} needs an ApiKeyRequired of the API that it replaces");
            expansion.report(Problem::new(place.key("ApiKeyRequired"), what));
        }
        None => {}
    }
    let method = document.paths().and_then(|paths| paths.get_mut(path)?.get_mut(open_api::normalized(method)));
    if let Some(method) = method.filter(|_| !security.is_empty()) {
        method["security"] = security.into();
    }
}

/// Writes into the API's document what its `Auth` says: the authorizers, and what every method has that says nothing else.
pub fn of_api(expansion: &mut Expansion<'_>, document: &mut Document) {
    let Some(auth) = expansion.given("Auth") else { return };
    let place = expansion.place("Auth");
    for name in auth.as_object().into_iter().flatten().map(|(name, _)| name) {
        if !PARTS.contains(&name.as_str()) {
            let problem = Problem::of_key(place.key(name), format!("unknown key \"{name}\": invalid value for 'Auth'"));
            expansion.report(problem.kind(ProblemKind::Unknown).suggest(name, PARTS.iter().copied()));
        }
    }
    let of_plan = auth["UsagePlan"].get("CreateUsagePlan");
    for (name, given) in [
        ("ResourcePolicy", truthy(&auth["ResourcePolicy"])),
        ("UsagePlan", truthy(&auth["UsagePlan"]) && of_plan.is_none_or(|create| create != "NONE")),
    ] {
        if given {
            expansion.report(unsupported(&place, name, "AWS::Serverless::Api"));
        }
    }
    let default = auth.get("DefaultAuthorizer").filter(|name| truthy(name));
    let mut names: Vec<&str> = vec![IAM];
    if default.is_some_and(|default| default == IAM) {
        add_scheme(document, IAM, signed());
    }
    for (name, authorizer) in auth.get("Authorizers").and_then(Value::as_object).into_iter().flatten() {
        names.push(name);
        let scheme = scheme(expansion, name, authorizer, &place.key("Authorizers").key(name));
        let schemes = document.body.entry(SCHEMES).or_insert_with(|| json!({}));
        if let (Some(schemes), Some(scheme)) = (schemes.as_object_mut(), scheme) {
            schemes.insert(name.clone(), scheme);
        }
    }
    let in_preflights = |name: &str| auth.get(name).is_none_or(truthy);
    if let Some(default) = default {
        let place = place.key("DefaultAuthorizer");
        let Some(default) = default.as_str() else {
            let what = "DefaultAuthorizer must be a string; an intrinsic function is not supported here";
            expansion.report(Problem::new(place, what).kind(ProblemKind::IllTyped));
            return;
        };
        if !names.contains(&default) {
            let what = format!("the DefaultAuthorizer '{default}' was not defined in 'Authorizers'");
            expansion.report(Problem::new(place, what).kind(ProblemKind::BadReference));
            return;
        }
        let scopes = auth["Authorizers"][default].get("AuthorizationScopes").filter(|scopes| !scopes.is_null());
        let required = json!({ default: scopes.cloned().unwrap_or_else(|| json!([])) });
        let in_preflights = in_preflights("AddDefaultAuthorizerToCorsPreflight");
        each_method(document, |method, security| {
            if method == "options" && !in_preflights {
                return;
            }
            if let Some(mark) = security.iter().position(|one| one.get(NO_AUTHORIZER).is_some()) {
                // SAM leaves the mark where nothing else would remain.
                if security.len() > 1 {
                    security.remove(mark);
                }
                return;
            }
            // Of others than authorizers first, as SAM sorts them.
            let has_own = |one: &Value| names.iter().any(|name| one.get(*name).is_some());
            security.sort_by_key(has_own);
            if !security.iter().any(has_own) {
                security.push(required.clone());
            }
        });
    }
    if truthy(&auth["ApiKeyRequired"]) {
        add_scheme(document, KEY, key());
        let in_preflights = in_preflights("AddApiKeyRequiredToCorsPreflight");
        each_method(document, |method, security| {
            let open = security.iter().any(|one| one.get(NO_KEY).is_some());
            security.retain(|one| one.get(KEY).is_none() && one.get(NO_KEY).is_none());
            if !open && (method != "options" || in_preflights) {
                security.push(json!({ KEY: [] }));
            }
        });
    }
}

/// Moves what OpenAPI 3 has in another place than Swagger.
pub fn as_version_3(document: &mut Document) {
    for (swagger, component) in [(SCHEMES, "securitySchemes"), ("definitions", "schemas")] {
        let Some(parts) = document.body.get(swagger).filter(|parts| truthy(parts)).cloned() else { continue };
        document.body.shift_remove(swagger);
        let components = document.body.entry("components").or_insert_with(|| json!({}));
        if !components.is_object() {
            *components = json!({});
        }
        components[component] = parts;
    }
}

/// The permissions for the API to invoke its authorizers, unless they want none.
pub fn permissions(expansion: &mut Expansion<'_>) -> Vec<(String, Resource)> {
    let partition = expansion.context.partition;
    open_api::authorizer_permissions(expansion, partition, |authorizer| {
        truthy(&authorizer["FunctionArn"]) && !truthy(&authorizer["DisableFunctionDefaultPermissions"])
    })
}

/// That a part of the `Auth` at `place` is not supported.
fn unsupported(place: &Path, name: &str, of: &str) -> Problem {
    Problem::of_key(place.key(name), format!("Auth.{name} of {of} is not supported yet")).kind(ProblemKind::Unsupported)
}

/// The scheme of requests that are signed.
fn signed() -> Value {
    json!({ "type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4" })
}

/// The scheme of API keys.
fn key() -> Value {
    json!({ "type": "apiKey", "name": "x-api-key", "in": "header" })
}

/// Adds a security scheme, unless the document has one of that name.
fn add_scheme(document: &mut Document, name: &str, scheme: Value) {
    let schemes = document.body.entry(SCHEMES).or_insert_with(|| json!({}));
    if let Some(schemes) = schemes.as_object_mut() {
        schemes.entry(name).or_insert(scheme);
    }
}

/// Lets `change` change what every method that leads somewhere requires of its callers.
fn each_method(document: &mut Document, change: impl Fn(&str, &mut Vec<Value>)) {
    for (_, item) in document.paths().into_iter().flatten() {
        let methods = item.as_object_mut().into_iter().flatten();
        for (name, method) in methods.filter(|(name, _)| !NO_METHODS.contains(&name.as_str())) {
            if !method.get(INTEGRATION).is_some_and(truthy) {
                continue;
            }
            let before = method.get("security").and_then(Value::as_array).cloned().unwrap_or_default();
            let mut security = before.clone();
            change(&open_api::normalized(name), &mut security);
            if security != before {
                method["security"] = security.into();
            }
        }
    }
}

/// An authorizer in the form of the document; none if it is wrong.
fn scheme(expansion: &mut Expansion<'_>, name: &str, authorizer: &Value, place: &Path) -> Option<Value> {
    let mut refuse = |place: Path, what: String| {
        expansion.report(Problem::new(place, what));
        None
    };
    if !authorizer.is_object() {
        return refuse(place.clone(), format!("the authorizer {name} must be a map"));
    }
    let given = |name: &str| authorizer.get(name).filter(|value| truthy(value));
    let identity = given("Identity");
    if identity.is_some_and(|identity| !identity.is_object()) {
        return refuse(place.key("Identity"), format!("Identity of the authorizer {name} must be a map"));
    }
    if authorizer.get("AuthorizationScopes").is_some_and(|scopes| !scopes.is_null() && !scopes.is_array()) {
        let what = format!("AuthorizationScopes of the authorizer {name} must be a list");
        return refuse(place.key("AuthorizationScopes"), what);
    }
    const DISABLED: &str = "DisableFunctionDefaultPermissions";
    if authorizer.get(DISABLED).is_some_and(|disabled| !disabled.is_null() && !disabled.is_boolean()) {
        return refuse(place.key(DISABLED), format!("{DISABLED} of the authorizer {name} must be true or false"));
    }
    let payload = match authorizer.get("FunctionPayloadType").filter(|payload| !payload.is_null()) {
        None => "TOKEN",
        Some(payload) => match payload.as_str().filter(|payload| ["TOKEN", "REQUEST"].contains(payload)) {
            Some(payload) => payload,
            None => {
                let what = format!("the authorizer {name} has an invalid 'FunctionPayloadType': {payload}");
                return refuse(place.key("FunctionPayloadType"), what);
            }
        },
    };
    let part = |name: &str| identity.and_then(|identity| identity.get(name)).filter(|part| !part.is_null());
    let mut sources = Vec::new();
    for (prefix, kind) in [
        ("method.request.header.", "Headers"),
        ("method.request.querystring.", "QueryStrings"),
        ("stageVariables.", "StageVariables"),
        ("context.", "Context"),
    ] {
        let names = part(kind).and_then(Value::as_array).into_iter().flatten();
        sources.extend(names.filter_map(Value::as_str).map(|name| format!("{prefix}{name}")));
    }
    let lasts = |seconds: &Value| seconds.as_f64().or_else(|| seconds.as_str()?.parse().ok()).is_none_or(|it| it > 0.0);
    if payload == "REQUEST" && sources.is_empty() && part("ReauthorizeEvery").is_none_or(lasts) {
        let what = format!(
            "the authorizer {name} must specify Identity with at least one of Headers, QueryStrings, StageVariables or Context"
        );
        return refuse(place.clone(), what);
    }
    let header = part("Header").filter(|header| truthy(header)).cloned().unwrap_or_else(|| "Authorization".into());
    let expression = part("ValidationExpression").filter(|expression| truthy(expression));
    let mut made;
    let (header, kind) = if let Some(pool) = given("UserPoolArn") {
        let pools = if pool.is_array() { pool.clone() } else { json!([pool]) };
        made = json!({ "type": "cognito_user_pools", "providerARNs": pools });
        (header, "cognito_user_pools")
    } else {
        let partition = expansion.context.partition;
        let uri = format!(
            "arn:{partition}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{__FunctionArn__}}/invocations"
        );
        let function = authorizer.get("FunctionArn").cloned().unwrap_or_default();
        made = json!({
            "type": payload.to_lowercase(),
            "authorizerUri": { "Fn::Sub": [uri, { "__FunctionArn__": function }] },
        });
        if let Some(seconds) = part("ReauthorizeEvery") {
            made["authorizerResultTtlInSeconds"] = seconds.clone();
        }
        if let Some(role) = given("FunctionInvokeRole").filter(|role| *role != "NONE") {
            made["authorizerCredentials"] = role.clone();
        }
        if payload == "REQUEST" && !sources.is_empty() {
            made["identitySource"] = sources.join(", ").into();
        }
        (if payload == "REQUEST" { "Unused".into() } else { header }, "custom")
    };
    if let Some(expression) = expression.filter(|_| given("UserPoolArn").is_some() || payload == "TOKEN") {
        made["identityValidationExpression"] = expression.clone();
    }
    Some(json!({
        "type": "apiKey",
        "name": header,
        "in": "header",
        "x-amazon-apigateway-authtype": kind,
        "x-amazon-apigateway-authorizer": made,
    }))
}
