//! Rules about permissions to invoke functions: API Gateway checks a function's resource policy, which most templates
//! get wrong.

use super::{LintContext, about, list, target, text};
use crate::core::iam::evaluate::glob;
use crate::core::stack::Resource;
use crate::core::types::{api, foreign_permission, function, integration, permission, route, stage};
use crate::core::words::{Problem, Token};

const GATEWAY: &str = "apigateway.amazonaws.com";

/// A function as an integration or a permission names it.
#[derive(Debug, PartialEq)]
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
    let call = |route| {
        let integration = context.get(integration::TYPE, &target(route, "Target")?)?;
        // With credentials the gateway invokes under that role, and the function's own policy is not checked.
        if text(integration, "IntegrationType") != "AWS_PROXY" || integration.properties.get("CredentialsArn").is_some()
        {
            return None;
        }
        let (function, named) = invoked(context, integration)?;
        Some(GatewayCall { route, api: target(route, "ApiId")?, function, named })
    };
    context.sound(route::TYPE).filter_map(call).collect()
}

/// The function of the template that an integration invokes.
fn invoked<'a>(context: &LintContext<'a>, integration: &Resource) -> Option<(&'a Resource, Named)> {
    let (_, function) = text(integration, "IntegrationUri").split_once("/functions/")?;
    let named = Named::read(function.strip_suffix("/invocations")?)?;
    let function = context.of(function::TYPE).find(|function| function.name.as_ref() == Some(&named.name))?;
    Some((function, named))
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
        // A wildcard that spans several parts.
        _ if arn.contains('*') && !arn.starts_with("arn:") => Source::Any,
        _ => Source::Foreign,
    }
}

/// `text` with a single form for references to an API's id.
fn plain(text: &str) -> String {
    let api_id = |token: &Token| (token.attribute == "ApiId").then(|| Token::text(&token.logical_id, "Ref"));
    Token::substitute_text(text, &api_id)
}

/// How many combinations of routes and stages of an API are checked against a permission: three times what an API may
/// have ("Amazon API Gateway quotas": 300 routes, 10 stages). More would take time without telling more.
const MAX_COMBINATIONS: usize = 9_000;

/// The stage of an API that has none in the template.
const ANY_STAGE: &str = "*";

/// The names of an API's stages; `ANY_STAGE` if the template has none.
fn stages<'a>(context: &LintContext<'a>, api: &str) -> Vec<&'a str> {
    let names: Vec<&str> = context
        .of(stage::TYPE)
        .filter(|stage| target(stage, "ApiId").as_deref() == Some(api))
        .map(|stage| text(stage, "StageName"))
        .collect();
    if names.is_empty() { vec![ANY_STAGE] } else { names }
}

/// Whether a permission allows a route at a stage to invoke.
fn allows(source: &Source, api: &str, stage: &str, route: &Resource) -> bool {
    let Source::Pattern(pattern) = source else { return matches!(source, Source::Any) };
    // Without a stage in the template, any stage matches.
    let stage = if stage == ANY_STAGE { pattern.split('/').nth(1).unwrap_or_default() } else { stage };
    glob(pattern, &format!("{}/{stage}/{}", Token::text(api, "Ref"), text(route, "RouteKey")))
}

pub fn missing_permission(context: &LintContext<'_>) -> Vec<Problem> {
    if !context.knows_all(permission::TYPE) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for GatewayCall { route, api, function, named } in calls(context) {
        let stages = stages(context, &api);
        let mut outside = Vec::new();
        let covered = of_gateway(context).any(|permission| {
            let Some(of) = Named::read(text(permission, "FunctionName")) else { return true };
            // A function's permission does not cover its aliases, each of which has its own policy.
            let same = of == named;
            let source = source(permission);
            let covers = same && stages.iter().all(|stage| allows(&source, &api, stage, route));
            if same && !covers {
                outside.push(permission.logical_id.as_str());
            }
            covers
        });
        if covered {
            continue;
        }
        let key = text(route, "RouteKey");
        let id = match &named.qualifier {
            Some(qualifier) => format!("{}:{qualifier}", function.logical_id),
            None => function.logical_id.clone(),
        };
        let what =
            format!("no permission lets API Gateway invoke {id} for the route {key}: clients would get an error");
        let pattern = format!("${{{api}}}/*/{key}");
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
    let calls = calls(context);
    let open = permissions(context).filter(|permission| {
        text(permission, "Principal") == GATEWAY
            && ["SourceArn", "SourceAccount"].iter().all(|key| permission.properties.get(*key).is_none())
    });
    open.map(|permission| {
        let named = Named::read(text(permission, "FunctionName"));
        let own: Vec<&GatewayCall<'_>> =
            calls.iter().filter(|call| named.as_ref().is_some_and(|named| named.name == call.named.name)).collect();
        let function = own.first().map_or("the function", |call| call.function.logical_id.as_str());
        let what = format!("{} lets every API of every AWS account invoke {function}", permission.logical_id);
        let (api, key) = match own.as_slice() {
            [call] => (call.api.as_str(), text(call.route, "RouteKey")),
            [call, ..] => (call.api.as_str(), "*"),
            [] => ("Api", "*"),
        };
        about(permission, what).help(format!(
            "add \"SourceArn: !Sub arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{{api}}}/*/{key}\""
        ))
    })
    .collect()
}

pub fn unmatched_source(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let knows_all = context.knows_all(route::TYPE) && context.knows_all(stage::TYPE);
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
        let Some(api) = context.sound(api::TYPE).find(|api| first == Token::text(&api.logical_id, "Ref")) else {
            continue;
        };
        if rest.starts_with("authorizers/") || !knows_all {
            continue;
        }
        let id = api.logical_id.as_str();
        let routes: Vec<&Resource> =
            context.of(route::TYPE).filter(|route| target(route, "ApiId").as_deref() == Some(id)).collect();
        let stages = stages(context, id);
        let matches = |route: &&Resource| stages.iter().any(|stage| allows(&source, id, stage, route));
        let is_too_much = routes.len() * stages.len() > MAX_COMBINATIONS;
        if routes.is_empty() || is_too_much || routes.iter().any(matches) {
            continue;
        }
        let what = format!("this SourceArn matches no route of {id} at any stage, so it permits nothing");
        let ends = routes.iter().map(|route| format!("{}/{}", stages[0], text(route, "RouteKey")));
        let help = format!("after ${{{id}}}/ there must be one of: {}", ends.collect::<Vec<_>>().join(", "));
        problems.push(Problem::new(path, what).help(help));
    }
    problems
}
