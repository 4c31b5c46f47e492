//! AWS::Serverless::WebSocketApi: an API with its stage, and for each route an integration and a permission.

use serde_json::{Map, Value, json};

use super::Type;
use super::domain;
use super::expansion::{Expansion, made};
use super::shape::{Property, Shape, truthy};
use crate::core::words::{Path, Problem, ProblemKind};

/// The properties. Which of them `Globals` can give follows the translator.
pub const TYPE: Type = Type {
    name: "AWS::Serverless::WebSocketApi",
    properties: &[
        Property::translated("AccessLogSettings", Shape::Map),
        Property::passed("ApiKeySelectionExpression", Shape::Text),
        Property::translated("Auth", Shape::Map).local(),
        Property::translated("DefaultRouteSettings", Shape::Map),
        Property::passed("Description", Shape::Text).local(),
        Property::passed("DisableExecuteApiEndpoint", Shape::Bool),
        Property::passed("DisableSchemaValidation", Shape::Bool),
        Property::translated("Domain", Shape::Map),
        // The translator accepts it and ignores it.
        Property::translated("FailOnWarnings", Shape::Bool),
        Property::passed("IpAddressType", Shape::Text),
        Property::passed("Name", Shape::Text).local(),
        Property::translated("PropagateTags", Shape::Bool),
        Property::passed("RouteSelectionExpression", Shape::Text),
        Property::translated("RouteSettings", Shape::Map),
        Property::translated("Routes", Shape::Map).local(),
        Property::translated("StageName", Shape::TextOrMap).local(),
        Property::translated("StageVariables", Shape::Map),
        Property::translated("Tags", Shape::Map),
    ],
    expand,
};

/// The tag that SAM puts on resources that it creates from this type.
const SAM_TAG: &str = "websocketapi:createdBy";

/// The properties of a route. The translator ignores any other; here it is an error.
const ROUTE: &[&str] = &[
    "ApiKeyRequired",
    "FunctionArn",
    "IntegrationTimeout",
    "ModelSelectionExpression",
    "OperationName",
    "RequestModels",
    "RequestParameters",
    "RouteResponseSelectionExpression",
];

fn expand(expansion: &mut Expansion<'_>) {
    refuse_attributes(expansion);
    let mut api = expansion.passed();
    api.entry("Name").or_insert_with(|| expansion.logical_id.into());
    api.insert("ProtocolType".to_owned(), "WEBSOCKET".into());
    if !api.contains_key("RouteSelectionExpression") {
        expansion.missing("RouteSelectionExpression");
    }
    let address = expansion.get("IpAddressType").and_then(Value::as_str);
    if address.is_some_and(|address| !["ipv4", "dualstack"].contains(&address)) {
        expansion.problem("IpAddressType", "IpAddressType must be ipv4 or dualstack");
    }
    let mut tags: Map<String, Value> = expansion.tags().collect();
    let propagated = expansion.given("PropagateTags").is_some() && !tags.is_empty();
    tags.insert(SAM_TAG.to_owned(), "SAM".into());
    api.insert("Tags".to_owned(), tags.clone().into());

    domain::create(expansion, &if propagated { tags.clone().into() } else { json!({ SAM_TAG: "SAM" }) });

    let stage_name = expansion.get("StageName").cloned().unwrap_or_else(|| "default".into());
    let routes = routes(expansion, &stage_name);
    let mut stage = Map::from_iter([
        ("ApiId".to_owned(), json!({ "Ref": expansion.logical_id })),
        ("StageName".to_owned(), stage_name.clone()),
        ("AutoDeploy".to_owned(), true.into()),
        ("Tags".to_owned(), if propagated { tags.into() } else { json!({ SAM_TAG: "SAM" }) }),
    ]);
    for name in ["AccessLogSettings", "DefaultRouteSettings", "RouteSettings", "StageVariables"] {
        if let Some(value) = expansion.get(name) {
            stage.insert(name.to_owned(), value.clone());
        }
    }
    let prefix = match stage_name.as_str() {
        None => "",
        Some("$default") => {
            expansion.problem("StageName", "the stage of a WebSocket API cannot be called $default");
            ""
        }
        Some(name) if !name.chars().all(|letter| letter.is_ascii_alphanumeric()) => {
            let what = "StageName becomes part of a logical id: it must be alphanumeric";
            expansion.problem("StageName", what);
            ""
        }
        Some("default") => "Default",
        Some(name) => name,
    };
    let stage_id = format!("{}{prefix}Stage", expansion.logical_id);
    add_resource(expansion, &stage_id, "AWS::ApiGatewayV2::Stage", stage.into(), &expansion.path());
    for name in ["AccessLogSettings", "DefaultRouteSettings", "RouteSettings", "StageName", "StageVariables", "Tags"] {
        expansion.note(made(&stage_id).key(name), &expansion.place(name));
    }
    // Route settings need the route to exist first.
    if let Some((_, stage)) = expansion.made.last_mut()
        && stage.properties.get("RouteSettings").is_some_and(truthy)
    {
        stage.depends_on = Some(routes.into());
    }
    expansion.references.insert((expansion.logical_id.to_owned(), "Stage".to_owned()), stage_id);
    expansion.make("AWS::ApiGatewayV2::Api", api);
    // For this type only, the translator drops metadata.
    if let Some((_, api)) = expansion.made.last_mut() {
        api.metadata = Value::Null;
    }
}

/// Attributes that SAM's translator drops for this type only.
fn refuse_attributes(expansion: &mut Expansion<'_>) {
    let resource = expansion.resource;
    let dropped = [
        ("Condition", resource.condition.is_some()),
        ("DeletionPolicy", resource.deletion_policy.is_some()),
        ("UpdateReplacePolicy", resource.update_replace_policy.is_some()),
    ];
    for (name, _) in dropped.into_iter().filter(|(_, given)| *given) {
        let what = format!("SAM ignores the {name} of {}", TYPE.name);
        expansion.report(Problem::of_key(expansion.path().key(name), what).kind(ProblemKind::Unsupported));
    }
}

/// Creates the resources of each route; returns the routes' logical ids.
fn routes(expansion: &mut Expansion<'_>, stage_name: &Value) -> Vec<Value> {
    let mut routes = expansion.get("Routes").cloned().unwrap_or_default();
    let resolved = expansion.inline("Routes", &mut routes);
    let Some(routes) = resolved.as_object().filter(|routes| !routes.is_empty()) else {
        if !expansion.faulty.contains("Routes") {
            expansion.problem_of_all(format!("{} must have at least one route, under Routes", TYPE.name));
        }
        return Vec::new();
    };
    let mut auth = expansion.given("Auth").cloned();
    if let Some(auth) = &mut auth {
        *auth = expansion.inline("Auth", &mut auth.clone());
    }
    let connects = routes.contains_key("$connect");
    let auth = auth.filter(|auth| match wrong_auth(auth, connects) {
        Some(what) => {
            expansion.report(Problem::of_key(expansion.place("Auth"), what).kind(ProblemKind::Unsupported));
            false
        }
        None => true,
    });
    let mut ids = Vec::new();
    for (key, route) in routes {
        let place = expansion.place("Routes").key(key);
        let Value::Object(route) = route else {
            expansion.report(
                Problem::of_key(place, format!("the route \"{key}\" must be a map")).kind(ProblemKind::IllTyped),
            );
            continue;
        };
        let special = ["$connect", "$disconnect", "$default"].contains(&key.as_str());
        if !special && (key.is_empty() || !key.chars().all(|letter| letter.is_ascii_alphanumeric())) {
            let what = format!("the Route key '{key}' must be alphanumeric, or $connect, $disconnect or $default");
            expansion.report(Problem::of_key(place, what));
            continue;
        }
        for name in route.keys().filter(|name| !ROUTE.contains(&name.as_str())) {
            let problem = Problem::of_key(place.key(name), format!("unknown property \"{name}\" of a route"))
                .kind(ProblemKind::Unknown);
            expansion.report(problem.suggest(name, ROUTE.iter().copied()));
        }
        let base = format!("{}{}", expansion.logical_id, capitalized(key.trim_start_matches('$')));
        let id = Value::from(format!("{base}Route"));
        if ids.contains(&id) {
            let what = format!("SAM cannot distinguish the route \"{key}\" from one that differs only in case");
            expansion.report(Problem::of_key(place, what).kind(ProblemKind::Duplicate));
            continue;
        }
        ids.push(id);
        create_route(expansion, key, route, &base, stage_name, auth.as_ref());
    }
    ids
}

/// `sendMessage` as `Sendmessage`, as Python capitalizes.
fn capitalized(key: &str) -> String {
    let (first, rest) = key.split_at(key.len().min(1));
    first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
}

/// Creates the route, the integration and the permission, whose logical ids begin with `base`.
fn create_route(
    expansion: &mut Expansion<'_>,
    key: &str,
    route: &Map<String, Value>,
    base: &str,
    stage_name: &Value,
    auth: Option<&Value>,
) {
    let place = expansion.place("Routes").key(key);
    let api = json!({ "Ref": expansion.logical_id });
    let Some(function) = route.get("FunctionArn") else {
        expansion.report(
            Problem::of_key(place, format!("the route \"{key}\" has no function: missing property \"FunctionArn\""))
                .kind(ProblemKind::Missing),
        );
        return;
    };
    let integration_id = format!("{base}Integration");
    let mut made_route = json!({
        "ApiId": api,
        "RouteKey": key,
        "Target": { "Fn::Join": ["/", ["integrations", { "Ref": integration_id }]] },
    });
    for name in ROUTE.iter().filter(|name| !["FunctionArn", "IntegrationTimeout"].contains(*name)) {
        match route.get(*name) {
            Some(value) if *name == "RequestParameters" => {
                if truthy(value) && key != "$connect" {
                    let what = "Request parameters are for the route $connect alone";
                    expansion.report(Problem::of_key(place.key(name), what));
                } else if truthy(value) {
                    made_route[*name] = value.clone();
                }
            }
            Some(value) => made_route[*name] = value.clone(),
            None => {}
        }
    }
    if let Some(auth) = auth.filter(|_| key == "$connect") {
        let kind = auth["AuthType"].as_str().unwrap_or_default();
        made_route["AuthorizationType"] = kind.into();
        if kind == "CUSTOM" {
            made_route["AuthorizerId"] = json!({ "Ref": authorizer(expansion, auth) });
        }
    }
    let route_id = format!("{base}Route");
    add_resource(expansion, &route_id, "AWS::ApiGatewayV2::Route", made_route, &place);
    for name in ["RouteKey", "Target", "AuthorizationType"] {
        let written = if name == "AuthorizationType" { &expansion.place("Auth") } else { &place };
        expansion.note(made(&route_id).key(name), written);
    }

    let mut integration = json!({
        "ApiId": api,
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": { "Fn::Sub": [
            "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${FunctionArn}/invocations",
            { "FunctionArn": function },
        ] },
    });
    if let Some(timeout) = route.get("IntegrationTimeout") {
        integration["TimeoutInMillis"] = timeout.clone();
    }
    add_resource(expansion, &integration_id, "AWS::ApiGatewayV2::Integration", integration, &place);
    let uri = made(&integration_id).key("IntegrationUri");
    expansion.note(uri.key("Fn::Sub").index(1).key("FunctionArn"), &place.key("FunctionArn"));
    expansion.note(uri, &place.key("FunctionArn"));
    expansion.note(made(&integration_id).key("TimeoutInMillis"), &place.key("IntegrationTimeout"));

    let source = format!(
        "arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{{}.ApiId}}",
        expansion.logical_id
    );
    let source = match stage_name.as_str() {
        Some(name) => json!({ "Fn::Sub": format!("{source}/{name}/{key}") }),
        None => json!({ "Fn::Sub": [format!("{source}/${{__StageName__}}/{key}"), { "__StageName__": stage_name }] }),
    };
    let permission_id = format!("{base}Permission");
    permission(expansion, &permission_id, function, source, &place);
    expansion.note(made(&permission_id).key("FunctionName"), &place.key("FunctionArn"));
}

/// Checks `Auth`, which is only allowed with a `$connect` route (`connects`).
fn wrong_auth(auth: &Value, connects: bool) -> Option<String> {
    if !connects {
        return Some("Authorization is only available if there is a route $connect".to_owned());
    }
    let more = auth.as_object().is_some_and(|auth| auth.len() > 1);
    let kind = auth.get("AuthType").filter(|kind| truthy(kind));
    Some(match kind {
        None => "Auth needs an AuthType: AWS_IAM, CUSTOM or NONE".to_owned(),
        Some(kind) if kind == "CUSTOM" && auth.get("AuthArn").is_none_or(|arn| !truthy(arn)) => {
            "Auth with the AuthType CUSTOM needs an AuthArn: the function that authorizes".to_owned()
        }
        Some(kind) if (kind == "AWS_IAM" || kind == "NONE") && more => {
            let kind = kind.as_str().unwrap_or_default();
            format!("Auth with the AuthType {kind} takes no other properties")
        }
        Some(kind) if ["AWS_IAM", "CUSTOM", "NONE"].iter().any(|known| kind == known) => return None,
        Some(_) => "the AuthType must be AWS_IAM, CUSTOM or NONE".to_owned(),
    })
}

/// Creates the authorizer of `$connect`; returns its logical id.
fn authorizer(expansion: &mut Expansion<'_>, auth: &Value) -> String {
    let id = format!("{}ConnectAuthorizer", expansion.logical_id);
    let place = expansion.place("Auth");
    let api = json!({ "Ref": expansion.logical_id });
    let mut authorizer = json!({
        "ApiId": api,
        "AuthorizerType": "REQUEST",
        "Name": auth.get("Name").filter(|name| truthy(name)).cloned().unwrap_or_else(|| id.clone().into()),
        "AuthorizerUri": { "Fn::Sub": [
            "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${AuthArn}/invocations",
            { "AuthArn": auth["AuthArn"] },
        ] },
    });
    for (name, made) in [("IdentitySource", "IdentitySource"), ("InvokeRole", "AuthorizerCredentialsArn")] {
        if let Some(value) = auth.get(name) {
            authorizer[made] = value.clone();
        }
    }
    add_resource(expansion, &id, "AWS::ApiGatewayV2::Authorizer", authorizer, &place);
    // With an invocation role, the API needs no permission.
    if auth.get("InvokeRole").is_none_or(|role| !truthy(role)) {
        let source = json!({ "Fn::Sub": [
            "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}/authorizers/*",
            { "__ApiId__": api },
        ] });
        let permission_id = format!("{}AuthorizerPermission", expansion.logical_id);
        permission(expansion, &permission_id, &auth["AuthArn"], source, &place);
    }
    id
}

/// Creates a permission for API Gateway to invoke `function`.
fn permission(expansion: &mut Expansion<'_>, id: &str, function: &Value, source: Value, written: &Path) {
    let permission = json!({
        "Action": "lambda:InvokeFunction",
        "FunctionName": function,
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": source,
    });
    add_resource(expansion, id, "AWS::Lambda::Permission", permission, written);
}

/// Adds a generated resource whose source is at `written`.
fn add_resource(expansion: &mut Expansion<'_>, id: &str, type_name: &str, properties: Value, written: &Path) {
    let resource = expansion.extra_resource(None, id, type_name, properties);
    expansion.note(Path::default().key("Resources").key(id), written);
    expansion.note(made(id), written);
    expansion.made.push((id.to_owned(), resource));
}
