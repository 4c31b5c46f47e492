//! Rules about what AWS will likely refuse, but only the account or AWS itself can tell.

use serde_json::Value;

use super::{LintContext, target, text};
use crate::core::iam::managed::{Known, known};
use crate::core::types::{integration, role, route, stage};
use crate::core::words::{Path, Problem};

pub fn logging(context: &LintContext<'_>) -> Vec<Problem> {
    let logging = context
        .of(stage::TYPE)
        .filter_map(|stage| Some(stage.path.key("Properties").join(&stage.kind.logs_by(&stage.properties)?)));
    logging
        .filter(|path| !context.problems.iter().any(|problem| problem.path.is_above(path)))
        .map(|path| {
            let what =
                "API Gateway takes this only if the account has a role with which it may write logs in this region";
            let help =
                "look at cloudwatchRoleArn in: aws apigateway get-account (wschat plan and up do so by themselves)";
            Problem::of_key(path, what).help(help)
        })
        .collect()
}

pub fn ignored_authorizer(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for route in
        context.sound(route::TYPE).filter(|route| !["CUSTOM", "JWT"].contains(&text(route, "AuthorizationType")))
    {
        let Some((_, path)) = context.given(route, &["AuthorizerId"]) else { continue };
        let key = text(route, "RouteKey");
        let what = format!(
            "this authorizer is never called: the route {key} has the authorization {}",
            text(route, "AuthorizationType")
        );
        let help = if route.kind.is_http(&route.properties) {
            "add \"AuthorizationType: CUSTOM\", or JWT"
        } else if key == "$connect" {
            "add \"AuthorizationType: CUSTOM\""
        } else {
            "remove it: only $connect can authorize"
        };
        problems.push(Problem::of_key(path, what).help(help));
    }
    problems
}

pub fn mock_on_connect(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for route in context.sound(route::TYPE).filter(|route| text(route, "RouteKey") == "$connect") {
        let mock = target(route, "Target").and_then(|id| context.get(integration::TYPE, &id));
        let Some(mock) = mock.filter(|one| text(one, "IntegrationType") == "MOCK") else { continue };
        let templates = mock.properties.get("RequestTemplates").and_then(Value::as_object);
        if templates.is_some_and(|templates| !templates.is_empty()) {
            continue;
        }
        let path = mock.path.key("Properties").key("IntegrationType");
        let what = format!("no client can connect: {} answers $connect without giving a status", mock.logical_id);
        let help =
            r#"add "RequestTemplates: { '200': '{"statusCode": 200}' }" and "TemplateSelectionExpression: '200'""#;
        problems.push(Problem::new(path, what).help(help));
    }
    problems
}

pub fn unknown_policy(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for role in context.of(role::TYPE) {
        // The template's order: the role's evaluated properties are sorted.
        let Some(declared) = context.declared(&role.logical_id) else { continue };
        let root: Path = role.path.key("Properties");
        let list = declared.properties.get("ManagedPolicyArns").and_then(Value::as_array);
        let listed = list.into_iter().flatten().enumerate();
        let listed = listed.map(|(at, arn)| (root.key("ManagedPolicyArns").index(at), arn));
        let boundary = declared.properties.get("PermissionsBoundary").map(|arn| (root.key("PermissionsBoundary"), arn));
        for (path, arn) in listed.chain(boundary) {
            let Some(arn) = arn.as_str() else { continue };
            if let Known::Unknown(meant) = known(arn) {
                let problem = Problem::new(path, format!("AWS has no managed policy {arn} that is known here"));
                problems.push(match meant {
                    Some(meant) => problem.help(format!("did you mean {meant}?")),
                    None => problem,
                });
            }
        }
    }
    problems
}
