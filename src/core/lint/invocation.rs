//! Rules about permissions to invoke functions: API Gateway checks a function's resource policy, which most templates
//! get wrong.

use std::collections::{HashMap, HashSet};

use super::{LintContext, about, list, target, text};
use crate::core::iam::evaluate::glob;
use crate::core::stack::Resource;
use crate::core::types::{api, foreign_permission, function, integration, permission, route, stage};
use crate::core::words::{Problem, Token};

const GATEWAY: &str = "apigateway.amazonaws.com";

/// A function as an integration or a permission names it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Named {
    name: String,
    /// A version or an alias.
    qualifier: Option<String>,
}

impl Named {
    /// Reads `NAME`, `NAME:QUALIFIER` or an ARN; `None` if AWS has yet to mint a part of it.
    fn read(text: &str) -> Option<Self> {
        if text.is_empty() || Token::is_in(text) || text.contains("${") {
            return None;
        }
        let (name, qualifier) = function::name_and_qualifier(text);
        Some(Self { name: name.to_owned(), qualifier: qualifier.map(str::to_owned) })
    }
}

/// A route that calls a function of the template.
struct GatewayCall<'a> {
    route: &'a Resource,
    api: String,
    function: &'a Resource,
    named: Named,
}

/// The routes that call functions of the template and need a permission for it.
fn calls<'a>(context: &LintContext<'a>) -> Vec<GatewayCall<'a>> {
    let mut functions: HashMap<&str, &Resource> = HashMap::new();
    for function in context.of(function::TYPE) {
        functions.entry(function.name.as_deref().unwrap_or_default()).or_insert(function);
    }
    let call = |route| {
        let integration = context.get(integration::TYPE, &target(route, "Target")?)?;
        // With credentials the gateway invokes under that role, and the function's own policy is not checked.
        if text(integration, "IntegrationType") != "AWS_PROXY" || integration.properties.get("CredentialsArn").is_some()
        {
            return None;
        }
        let (_, arn) = text(integration, "IntegrationUri").split_once("/functions/")?;
        let named = Named::read(arn.strip_suffix("/invocations")?)?;
        let function = *functions.get(named.name.as_str())?;
        Some(GatewayCall { route, api: target(route, "ApiId")?, function, named })
    };
    context.sound(route::TYPE).filter_map(call).collect()
}

/// The functions that routes call, each with its route.
pub(super) fn called<'a>(context: &LintContext<'a>) -> Vec<(&'a Resource, &'a Resource)> {
    calls(context).into_iter().map(|call| (call.function, call.route)).collect()
}

/// All permissions, including those on functions outside the stack.
fn permissions<'a>(context: &LintContext<'a>) -> impl Iterator<Item = &'a Resource> {
    context.sound(permission::TYPE).chain(context.sound(foreign_permission::TYPE))
}

/// The permissions that allow API Gateway to invoke, from a route or from anywhere.
fn of_gateway<'a>(context: &LintContext<'a>) -> impl Iterator<Item = &'a Resource> {
    let invokes = |one: &&Resource| {
        let action = text(one, "Action").to_ascii_lowercase();
        ["*", "lambda:*", "lambda:invokefunction"].contains(&action.as_str())
    };
    permissions(context).filter(|one| [GATEWAY, "*"].contains(&text(one, "Principal"))).filter(invokes)
}

/// The content of a SourceArn, as far as it is known: region, account and partition are assumed to match.
enum Source {
    Any,
    /// `API/STAGE/ROUTE`, with wildcards.
    Pattern(String),
    /// An ARN of another service than API Gateway's.
    Foreign,
}

fn source(permission: &Resource) -> Source {
    let arn = text(permission, "SourceArn");
    if arn.is_empty() {
        return Source::Any;
    }
    match arn.splitn(6, ':').collect::<Vec<_>>().as_slice() {
        [_, _, service, _, _, resource] if glob(service, "execute-api") => Source::Pattern(plain(resource)),
        // An API's id, and what follows it, is the end of an ARN alone.
        [end] if end.split_once('/').and_then(|(id, _)| Token::sole(id)).is_some_and(|id| is_api_id(&id)) => {
            Source::Foreign
        }
        // A wildcard that spans several parts.
        _ if arn.contains('*') && !arn.starts_with("arn:") => Source::Any,
        _ => Source::Foreign,
    }
}

fn is_api_id(token: &Token) -> bool {
    ["ApiId", "Ref"].contains(&token.attribute.as_str())
}

/// `text` with a single form for references to an API's id.
fn plain(text: &str) -> String {
    let api_id = |token: &Token| (token.attribute == "ApiId").then(|| Token::text(&token.logical_id, "Ref"));
    Token::substitute_text(text, &api_id)
}

/// How many combinations of permissions, routes and stages are checked: what a thousand permissions have with the routes
/// and stages that an API may have ("Amazon API Gateway quotas": 300 routes, 10 stages). More would take time without
/// telling more.
const MAX_COMBINATIONS: usize = 3_000_000;

/// The stage of an API that has none in the template.
const ANY_STAGE: &str = "*";

/// The resources of a type by the API that they are in.
fn by_api<'a>(context: &LintContext<'a>, type_name: &str) -> HashMap<String, Vec<&'a Resource>> {
    let mut by_api: HashMap<String, Vec<&Resource>> = HashMap::new();
    for part in context.of(type_name) {
        if let Some(api) = target(part, "ApiId") {
            by_api.entry(api).or_default().push(part);
        }
    }
    by_api
}

/// The names of an API's stages, which are `given`; `ANY_STAGE` if the template has none.
fn stages<'a>(given: Option<&Vec<&'a Resource>>) -> Vec<&'a str> {
    let names: Vec<&str> = given.into_iter().flatten().map(|stage| text(stage, "StageName")).collect();
    if names.is_empty() { vec![ANY_STAGE] } else { names }
}

/// How the ARN ends with which a route invokes: with its key, and of an HTTP API without the blank in it.
fn arn_end(route: &Resource) -> String {
    let key = text(route, "RouteKey");
    if route.kind.is_http(&route.properties) { key.replacen(' ', "", 1) } else { key.to_owned() }
}

/// Whether a permission allows a route at a stage to invoke.
fn allows(source: &Source, api: &str, stage: &str, route: &Resource) -> bool {
    let Source::Pattern(pattern) = source else { return matches!(source, Source::Any) };
    // Without a stage in the template, any stage matches.
    let stage = if stage == ANY_STAGE { pattern.split('/').nth(1).unwrap_or_default() } else { stage };
    glob(pattern, &format!("{}/{stage}/{}", Token::text(api, "Ref"), arn_end(route)))
}

pub fn missing_permission(context: &LintContext<'_>) -> Vec<Problem> {
    if !context.knows_all(permission::TYPE) {
        return Vec::new();
    }
    // A function's permission does not cover its aliases, each of which has its own policy.
    let mut permissions: HashMap<Named, Vec<&Resource>> = HashMap::new();
    for permission in of_gateway(context) {
        // It may be on any function.
        let Some(named) = Named::read(text(permission, "FunctionName")) else { return Vec::new() };
        permissions.entry(named).or_default().push(permission);
    }
    let stages_of = by_api(context, stage::TYPE);
    let mut problems = Vec::new();
    for GatewayCall { route, api, function, named } in calls(context) {
        let stages = stages(stages_of.get(&api));
        let own = permissions.get(&named).map_or(&[][..], Vec::as_slice);
        let covers = |permission: &&Resource| {
            let source = source(permission);
            stages.iter().all(|stage| allows(&source, &api, stage, route))
        };
        if own.iter().any(covers) {
            continue;
        }
        let outside: Vec<&str> = own.iter().map(|permission| permission.logical_id.as_str()).collect();
        let key = text(route, "RouteKey");
        let id = match &named.qualifier {
            Some(qualifier) => format!("{}:{qualifier}", function.logical_id),
            None => function.logical_id.clone(),
        };
        let what =
            format!("no permission lets API Gateway invoke {id} for the route {key}: clients would get an error");
        let pattern = format!("${{{api}}}/*/{}", arn_end(route));
        let help = if outside.is_empty() {
            format!("add an {} for it, whose SourceArn ends in {pattern}", permission::TYPE)
        } else {
            format!("the SourceArn of {} does not match {pattern}", list(&outside))
        };
        problems.push(Problem::new(route.path.key("Properties").key("Target"), what).help(help));
    }
    problems
}

pub fn without_source(context: &LintContext<'_>) -> Vec<Problem> {
    let mut calls_of: HashMap<String, Vec<GatewayCall<'_>>> = HashMap::new();
    for call in calls(context) {
        calls_of.entry(call.named.name.clone()).or_default().push(call);
    }
    let open = permissions(context).filter(|permission| {
        text(permission, "Principal") == GATEWAY
            && ["SourceArn", "SourceAccount"].iter().all(|key| permission.properties.get(*key).is_none())
    });
    open.map(|permission| {
        let named = Named::read(text(permission, "FunctionName"));
        let own = named.and_then(|named| calls_of.get(&named.name)).map_or(&[][..], Vec::as_slice);
        let function = own.first().map_or("the function", |call| call.function.logical_id.as_str());
        let what = format!("{} lets every API of every AWS account invoke {function}", permission.logical_id);
        let (api, key) = match own {
            [call] => (call.api.as_str(), arn_end(call.route)),
            [call, ..] => (call.api.as_str(), "*".to_owned()),
            [] => ("Api", "*".to_owned()),
        };
        about(permission, what).help(format!(
            "add \"SourceArn: !Sub arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{{api}}}/*/{key}\""
        ))
    })
    .collect()
}

/// A route of an API as text.
fn end(api: &str, key: &str) -> String {
    format!("{api}/{key}")
}

pub fn unmatched_source(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let knows_all = context.knows_all(route::TYPE) && context.knows_all(stage::TYPE);
    let (routes_of, stages_of) = (by_api(context, route::TYPE), by_api(context, stage::TYPE));
    let apis: HashSet<&str> = context.sound(api::TYPE).map(|api| api.logical_id.as_str()).collect();
    let ends: HashSet<String> =
        routes_of.iter().flat_map(|(api, routes)| routes.iter().map(move |route| end(api, &arn_end(route)))).collect();
    let mut combinations = 0;
    for permission in permissions(context).filter(|one| text(one, "Principal") == GATEWAY) {
        let path = permission.path.key("Properties").key("SourceArn");
        let source = source(permission);
        if matches!(source, Source::Foreign) {
            let what = "API Gateway never invokes with this SourceArn: its own are of the service execute-api";
            problems.push(Problem::new(path, what).help(
                "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:API-ID/STAGE/ROUTE-KEY, * for any",
            ));
            continue;
        }
        let Source::Pattern(pattern) = &source else { continue };
        // If the API's id is not from the template, or is itself a pattern, its routes are unknown.
        let (first, rest) = pattern.split_once('/').unwrap_or((pattern, ""));
        let Some(Token { logical_id: id, attribute }) = Token::sole(first) else { continue };
        if attribute != "Ref" || !apis.contains(id.as_str()) || rest.starts_with("authorizers/") || !knows_all {
            continue;
        }
        // Most name one route, at any stage.
        if rest.strip_prefix("*/").is_some_and(|key| ends.contains(&end(&id, key))) {
            continue;
        }
        let id = id.as_str();
        let routes = routes_of.get(id).map_or(&[][..], Vec::as_slice);
        let stages = stages(stages_of.get(id));
        let matches = |route: &&Resource| stages.iter().any(|stage| allows(&source, id, stage, route));
        combinations += routes.len() * stages.len();
        if routes.is_empty() || combinations > MAX_COMBINATIONS || routes.iter().any(matches) {
            continue;
        }
        let what = format!("this SourceArn matches no route of {id} at any stage, so it permits nothing");
        let ends = routes.iter().map(|route| format!("{}/{}", stages[0], arn_end(route)));
        let help = format!("after ${{{id}}}/ there must be one of: {}", ends.collect::<Vec<_>>().join(", "));
        problems.push(Problem::new(path, what).help(help));
    }
    problems
}
