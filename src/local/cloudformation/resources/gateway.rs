//! WebSocket and HTTP APIs, and all that is inside of them: API Gateway's members are CloudFormation's properties with a small first
//! letter.

use http::Method;
use serde_json::{Map, Value, json};

use super::{Declared, Existing, Identifier, Type, changed, own_tags, part, present, single, text, without};
use crate::local::cloudformation::calls::{Calls, segment};
use crate::local::cloudformation::model::invalid;
use crate::local::protocol::wire::ApiError;

const SERVICE: &str = "apigatewayv2";

pub const TYPES: &[Type] = &[
    inside("AWS::ApiGatewayV2::Api", &["ApiId"], "ApiId", |calls, identifier, _| {
        Some(format!("arn:aws:apigateway:{}::/apis/{}", calls.region(), part(identifier, "ApiId")))
    }),
    inside("AWS::ApiGatewayV2::ApiMapping", &["ApiMappingId", "DomainName"], "ApiMappingId", |_, _, _| None),
    inside("AWS::ApiGatewayV2::Authorizer", &["AuthorizerId", "ApiId"], "AuthorizerId", |_, _, _| None),
    inside("AWS::ApiGatewayV2::Deployment", &["ApiId", "DeploymentId"], "DeploymentId", |_, _, _| None),
    inside("AWS::ApiGatewayV2::DomainName", &["DomainName"], "DomainName", |calls, identifier, _| {
        Some(format!("arn:aws:apigateway:{}::/domainnames/{}", calls.region(), part(identifier, "DomainName")))
    }),
    inside("AWS::ApiGatewayV2::Integration", &["ApiId", "IntegrationId"], "IntegrationId", |_, _, _| None),
    inside(
        "AWS::ApiGatewayV2::IntegrationResponse",
        &["ApiId", "IntegrationId", "IntegrationResponseId"],
        "IntegrationResponseId",
        |_, _, _| None,
    ),
    inside("AWS::ApiGatewayV2::Model", &["ApiId", "ModelId"], "ModelId", |_, _, _| None),
    inside("AWS::ApiGatewayV2::Route", &["ApiId", "RouteId"], "RouteId", |_, _, _| None),
    inside(
        "AWS::ApiGatewayV2::RouteResponse",
        &["ApiId", "RouteId", "RouteResponseId"],
        "RouteResponseId",
        |_, _, _| None,
    ),
    inside("AWS::ApiGatewayV2::Stage", &["ApiId", "StageName"], "StageName", |calls, identifier, _| {
        let (api, stage) = (part(identifier, "ApiId"), part(identifier, "StageName"));
        Some(format!("arn:aws:apigateway:{}::/apis/{api}/stages/{stage}", calls.region()))
    }),
    // The account's setting is not deleted.
    Type {
        name: "AWS::ApiGateway::Account",
        identifier: &["Id"],
        reference: "Id",
        importable: false,
        create: |calls, declared| Box::pin(set_account(calls, declared)),
        read: |_, _, identifier| Box::pin(async move { Ok(Some(shown(identifier))) }),
        delete: |_, _| Box::pin(async { Ok(()) }),
        arn: |_, _, _| None,
    },
];

const fn inside(
    name: &'static str,
    identifier: &'static [&'static str],
    reference: &'static str,
    arn: fn(&Calls, &Identifier, &Map<String, Value>) -> Option<String>,
) -> Type {
    Type {
        name,
        identifier,
        reference,
        importable: true,
        create: |calls, declared| Box::pin(create(calls, declared)),
        read: |calls, type_name, identifier| Box::pin(read(calls, type_name, identifier)),
        delete: |calls, existing| Box::pin(delete(calls, existing)),
        arn,
    }
}

/// The path of a type's collection: what it is inside of, by the properties that name it.
fn collection(type_name: &str, given: impl Fn(&str) -> String) -> String {
    let api = || format!("/v2/apis/{}", given("ApiId"));
    match type_name.rsplit("::").next().unwrap_or_default() {
        "Api" => "/v2/apis".to_owned(),
        "DomainName" => "/v2/domainnames".to_owned(),
        "ApiMapping" => format!("/v2/domainnames/{}/apimappings", given("DomainName")),
        "IntegrationResponse" => format!("{}/integrations/{}/integrationresponses", api(), given("IntegrationId")),
        "RouteResponse" => format!("{}/routes/{}/routeresponses", api(), given("RouteId")),
        other => format!("{}/{}s", api(), other.to_lowercase()),
    }
}

/// The path of one resource.
fn path(type_name: &str, identifier: &Identifier) -> String {
    let own = super::of(type_name).map_or("", |known| known.reference);
    let collection = collection(type_name, |name| segment(part(identifier, name)));
    format!("{collection}/{}", segment(part(identifier, own)))
}

async fn create(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let known = super::of(declared.type_name)?;
    let given = |name: &str| text(declared.properties, name).unwrap_or_default();
    // What the path names is not in the body; a stage and a domain have their own name there.
    let in_path: Vec<&str> = known.identifier.iter().copied().filter(|name| *name != known.reference).collect();
    let mut body = members(&without(declared.properties, &in_path));
    if !declared.properties["Tags"].is_null() {
        body["tags"] = own_tags(declared.properties).into();
    }
    let answer = calls
        .rest(SERVICE, Method::POST, &collection(declared.type_name, |name| segment(&given(name))), Some(&body))
        .await?;
    let value = |name: &&str| {
        let value = answer[small(name)].as_str().map_or_else(|| given(name), str::to_owned);
        ((*name).to_owned(), value)
    };
    Ok(known.identifier.iter().map(value).collect())
}

async fn read(calls: &Calls, type_name: &str, identifier: &Identifier) -> Result<Option<Map<String, Value>>, ApiError> {
    let found = present(calls.rest(SERVICE, Method::GET, &path(type_name, identifier), None).await)?;
    let attribute = |(name, value): (&String, &Value)| (capital(name), value.clone());
    let Some(found) = found else { return Ok(None) };
    let mut values: Map<String, Value> = found.as_object().into_iter().flatten().map(attribute).collect();
    let domain = found["domainNameConfigurations"][0].clone();
    for (name, member) in [("RegionalDomainName", "apiGatewayDomainName"), ("RegionalHostedZoneId", "hostedZoneId")] {
        if !domain[member].is_null() {
            values.insert(name.to_owned(), domain[member].clone());
        }
    }
    values.extend(shown(identifier));
    Ok(Some(values))
}

/// Changes members of it.
///
/// # Errors
/// API Gateway's refusal; a property that is taken away, which is not played.
pub async fn update(calls: &Calls, existing: &Existing<'_>, new: &Value) -> Result<(), ApiError> {
    let changed = changed(existing.properties, new);
    if let Some((gone, _)) = changed.iter().find(|(_, value)| value.is_null()) {
        let type_name = existing.type_name;
        return Err(invalid(format!("The local cloud's CloudFormation does not play that {gone} of {type_name} goes")));
    }
    let path = path(existing.type_name, existing.identifier);
    calls.rest(SERVICE, Method::PATCH, &path, Some(&members(&changed.into()))).await.map(drop)
}

async fn delete(calls: &Calls, existing: &Existing<'_>) -> Result<(), ApiError> {
    calls.rest(SERVICE, Method::DELETE, &path(existing.type_name, existing.identifier), None).await.map(drop)
}

async fn set_account(calls: &Calls, declared: &Declared<'_>) -> Result<Identifier, ApiError> {
    let role = &declared.properties["CloudWatchRoleArn"];
    let patch = json!({ "patchOperations": [{ "op": "replace", "path": "/cloudwatchRoleArn", "value": role }] });
    calls.rest(SERVICE, Method::PATCH, "/account", Some(&patch)).await?;
    Ok(single("Id", declared.name))
}

fn shown(identifier: &Identifier) -> Map<String, Value> {
    identifier.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
}

/// The members whose own members are API Gateway's, too; those of others are the user's.
const NESTED: &[&str] = &[
    "AccessLogSettings",
    "CorsConfiguration",
    "DefaultRouteSettings",
    "DomainNameConfigurations",
    "JwtConfiguration",
    "MutualTlsAuthentication",
    "TlsConfig",
];

/// Properties as API Gateway's members.
fn members(properties: &Value) -> Value {
    let member = |(name, value): (&String, &Value)| {
        let value = match (name.as_str(), value) {
            (nested, Value::Object(_)) if NESTED.contains(&nested) => members(value),
            (nested, Value::Array(items)) if NESTED.contains(&nested) => items.iter().map(members).collect(),
            // By the keys of routes.
            ("RouteSettings", Value::Object(routes)) => {
                routes.iter().map(|(key, settings)| (key.clone(), members(settings))).collect::<Map<_, _>>().into()
            }
            (_, value) => value.clone(),
        };
        (small(name), value)
    };
    properties.as_object().into_iter().flatten().map(member).collect::<Map<_, _>>().into()
}

fn small(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_members_are_api_gateways() {
        let identifier = [("ApiId", "a"), ("RouteId", "r"), ("RouteResponseId", "x")];
        let identifier: Identifier = identifier.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        for (type_name, expected) in [
            ("AWS::ApiGatewayV2::Api", "/v2/apis/a"),
            ("AWS::ApiGatewayV2::Route", "/v2/apis/a/routes/r"),
            ("AWS::ApiGatewayV2::RouteResponse", "/v2/apis/a/routes/r/routeresponses/x"),
        ] {
            assert_eq!(path(type_name, &identifier), expected);
        }
        let properties = json!({
            "RouteKey": "a", "AccessLogSettings": { "DestinationArn": "b" }, "StageVariables": { "Key": "c" },
            "RouteSettings": { "Talk": { "LoggingLevel": "OFF" } },
        });
        let expected = json!({
            "routeKey": "a", "accessLogSettings": { "destinationArn": "b" }, "stageVariables": { "Key": "c" },
            "routeSettings": { "Talk": { "loggingLevel": "OFF" } },
        });
        assert_eq!(members(&properties), expected);
    }
}
