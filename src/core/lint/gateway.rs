//! Rules about the parts of an API.

use std::collections::BTreeSet;

use serde_json::Value;

use super::names::names_in;
use super::{LintContext, about, list, target, text};
use crate::core::iam::document::one_or_more;
use crate::core::types::{deployment, integration, route, route_response, stage};
use crate::core::words::{Problem, Token, nearest};

pub fn unused_integration(context: &LintContext<'_>) -> Vec<Problem> {
    if !context.knows_all(route::TYPE) {
        return Vec::new();
    }
    let used: BTreeSet<&str> = context
        .of(route::TYPE)
        .filter_map(|route| context.declared(&route.logical_id))
        .flat_map(|route| route.properties.values().flat_map(names_in))
        .collect();
    let unused = context.sound(integration::TYPE).filter(|integration| !used.contains(integration.logical_id.as_str()));
    unused
        .map(|integration| {
            let problem = about(integration, format!("no route uses the integration {}", integration.logical_id));
            let id = &integration.logical_id;
            problem.help(format!("give a route \"Target: !Sub integrations/${{{id}}}\", or remove the integration"))
        })
        .collect()
}

pub fn deployment_before_routes(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for deployment in context.sound(deployment::TYPE) {
        let api = target(deployment, "ApiId");
        let waited = waited_for(context, &deployment.logical_id);
        let missed: Vec<&str> = context
            .sound(route::TYPE)
            .filter(|route| target(route, "ApiId") == api && !waited.contains(&route.logical_id))
            .map(|route| route.logical_id.as_str())
            .collect();
        if api.is_none() || missed.is_empty() {
            continue;
        }
        let what = format!("CloudFormation may make this deployment before {}", list(&missed));
        let problem = about(deployment, what);
        let own = context.declared(&deployment.logical_id).and_then(|declared| declared.depends_on.as_ref());
        let all: Vec<&str> = own.map(one_or_more).unwrap_or_default().into_iter().chain(missed).collect();
        problems.push(
            problem.help(format!("add \"DependsOn: [{}]\" (wschat waits for routes without it)", all.join(", "))),
        );
    }
    problems
}

/// The route keys that are API Gateway's own.
const EVENTS: &[&str] = &["$connect", "$disconnect", "$default"];

pub fn unknown_event(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for route in context.of(route::TYPE) {
        let Some((Value::String(key), path)) = context.given(route, &["RouteKey"]) else { continue };
        if key.starts_with('$') && !EVENTS.contains(&key.as_str()) {
            let problem = Problem::new(path, format!("API Gateway has no route {key} of its own"));
            problems.push(problem.meant(nearest(key, EVENTS), EVENTS));
        }
    }
    problems
}

pub fn uri_form(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for integration in context.of(integration::TYPE).filter(|one| text(one, "IntegrationType") == "AWS_PROXY") {
        let Some((Value::String(uri), path)) = context.given(integration, &["IntegrationUri"]) else { continue };
        let function = uri.split_once("/functions/").map(|(_, rest)| rest.strip_suffix("/invocations"));
        let what = match function {
            // Only a function's ARN.
            None if uri.starts_with("arn:") => continue,
            Some(Some(arn)) if arn.contains(":function:") || arn.contains("${") || Token::is_in(arn) => continue,
            Some(Some(name)) => format!("this URI has \"{name}\" where a function's ARN must be"),
            None | Some(None) => "this URI does not end in /functions/ARN/invocations".to_owned(),
        };
        let form = "arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations";
        problems.push(Problem::new(path, what).help(format!("{form}, with !GetAtt FUNCTION.Arn as ARN")));
    }
    problems
}

/// Everything that CloudFormation creates before a resource.
fn waited_for(context: &LintContext<'_>, logical_id: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![logical_id.to_owned()];
    while let Some(declared) = open.pop().and_then(|logical_id| context.declared(&logical_id)) {
        let named = declared.depends_on.as_ref().map(one_or_more).unwrap_or_default();
        let referred = declared.properties.values().flat_map(names_in);
        for name in named.into_iter().chain(referred).filter(|name| context.declared(name).is_some()) {
            if found.insert(name.to_owned()) {
                open.push(name.to_owned());
            }
        }
    }
    found
}

pub fn undeployed(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for stage in context.sound(stage::TYPE) {
        let deployed = stage.properties.get("DeploymentId").is_some();
        // It is not among the properties of a stage with AutoDeploy.
        let declared = context.declared(&stage.logical_id).and_then(|stage| stage.properties.get("DeploymentId"));
        let given = declared.is_some_and(|given| given.get("Fn::If").is_none());
        match stage.properties.get("AutoDeploy") == Some(&Value::Bool(true)) {
            true if given => {
                let what =
                    "a stage with AutoDeploy chooses its deployments itself, and API Gateway refuses it a DeploymentId";
                let path = stage.path.key("Properties").key("DeploymentId");
                problems.push(Problem::of_key(path, what).help("remove one of the two"));
            }
            false if !deployed => {
                let what = format!("the stage {} serves nothing: it has no DeploymentId", text(stage, "StageName"));
                let help =
                    match context.sound(deployment::TYPE).find(|one| target(one, "ApiId") == target(stage, "ApiId")) {
                        Some(deployment) => format!("add \"DeploymentId: !Ref {}\"", deployment.logical_id),
                        None => format!("add an {}, and name it in DeploymentId", deployment::TYPE),
                    };
                problems.push(about(stage, what).help(help));
            }
            _ => {}
        }
    }
    problems
}

const BURST: &str = "ThrottlingBurstLimit";
const RATE: &str = "ThrottlingRateLimit";

pub fn throttle(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for stage in context.of(stage::TYPE) {
        let mut settings = vec![("every route".to_owned(), vec!["DefaultRouteSettings"])];
        let routes = stage.properties.get("RouteSettings").and_then(Value::as_object);
        let routes = routes.into_iter().flatten();
        settings.extend(routes.map(|(key, _)| (format!("the route {key}"), vec!["RouteSettings", key])));
        for (whose, keys) in settings {
            for (name, other) in [(BURST, RATE), (RATE, BURST)] {
                let Some((limit, path)) = context.given(stage, &[keys.as_slice(), &[name]].concat()) else { continue };
                let stands_alone = stage.properties[keys[0]].get(other).is_none();
                if limit.as_f64() == Some(0.0) {
                    let what = format!("a {name} of 0 refuses every message to {whose}");
                    problems.push(Problem::new(path, what).help("give a limit above 0, or leave both limits out"));
                } else if keys.len() == 1 && stands_alone {
                    let what = format!("{name} is given without {other}");
                    let help = "give both: the one left out has been seen to become 0, which refuses every message";
                    problems.push(Problem::of_key(path, what).help(help));
                }
            }
        }
    }
    problems
}

pub fn one_way(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let selects = |route: &crate::core::stack::Resource| !text(route, "RouteResponseSelectionExpression").is_empty();
    for response in context.sound(route_response::TYPE) {
        let route = target(response, "RouteId").and_then(|route| context.get(route::TYPE, &route));
        if let Some(route) = route.filter(|route| !selects(route)) {
            let id = &route.logical_id;
            let problem = about(response, format!("this response is never sent: {id} does not select it"));
            problems.push(problem.help(format!("give {id} \"RouteResponseSelectionExpression: $default\"")));
        }
    }
    if context.knows_all(route_response::TYPE) {
        let answered: BTreeSet<String> =
            context.of(route_response::TYPE).filter_map(|response| target(response, "RouteId")).collect();
        for route in context.sound(route::TYPE).filter(|route| selects(route) && !answered.contains(&route.logical_id))
        {
            let path = route.path.key("Properties").key("RouteResponseSelectionExpression");
            let problem = Problem::of_key(path, "this route selects a response, but has none");
            problems.push(
                problem.help(format!("add an {} with \"RouteResponseKey: $default\" for it", route_response::TYPE)),
            );
        }
    }
    problems
}

pub fn method(context: &LintContext<'_>) -> Vec<Problem> {
    let lambdas = context.of(integration::TYPE).filter(|one| text(one, "IntegrationType") == "AWS_PROXY");
    lambdas
        .filter_map(|integration| {
            let (method, path) = context.given(integration, &["IntegrationMethod"])?;
            let method = method.as_str().filter(|method| *method != "POST")?;
            Some(
                Problem::new(path, format!("Lambda is invoked by POST, not by {method}"))
                    .help("leave it out, or make it POST"),
            )
        })
        .collect()
}
