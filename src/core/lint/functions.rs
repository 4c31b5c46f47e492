//! Rules about functions themselves.

use std::collections::HashSet;

use serde_json::Value;

use super::invocation::called;
use super::{LintContext, text};
use crate::core::stack::Code;
use crate::core::types::function;
use crate::core::words::{Problem, runtimes};

/// The longest that API Gateway waits for an integration of a WebSocket API, in seconds ("Amazon API Gateway quotas").
const GATEWAY_TIMEOUT: i64 = 29;

/// The same for HTTP APIs ("Quotas for configuring and running an HTTP API").
const HTTP_TIMEOUT: i64 = 30;

pub fn timeout(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen = HashSet::new();
    for (function, route) in called(context) {
        let Some((timeout, path)) = context.given(function, &["Timeout"]) else { continue };
        let limit = if route.kind.is_http(&route.properties) { HTTP_TIMEOUT } else { GATEWAY_TIMEOUT };
        let Some(seconds) = number(timeout).filter(|seconds| *seconds > limit) else { continue };
        // Several routes may call it; one of them is enough.
        if !seen.insert(&function.logical_id) {
            continue;
        }
        let key = text(route, "RouteKey");
        let what = format!(
            "{} may run for {seconds} s, but API Gateway waits {limit} s for the route {key} and then gives up",
            function.logical_id
        );
        problems.push(Problem::new(path, what).help(format!("{limit} or less")));
    }
    problems
}

/// A number, or text that is one.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

pub fn runtime(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for function in context.of(function::TYPE) {
        let Some((given, path)) = context.given(function, &["Runtime"]) else { continue };
        let Some(end) = given.as_str().and_then(runtimes::end) else { continue };
        let runtimes::EndOfSupport { name, deprecated, no_create, no_update } = end;
        if context.today < deprecated {
            continue;
        }
        let ended = format!("{name} reached its end of life on {deprecated}");
        let what = if context.today >= no_update {
            format!("{ended}: Lambda creates and updates no functions with it")
        } else if context.today >= no_create {
            format!("{ended}: Lambda creates no functions with it, and updates none from {no_update} on")
        } else {
            format!(
                "{ended}: Lambda creates no functions with it from {no_create} on, and updates none from {no_update} on"
            )
        };
        let problem = Problem::new(path, what);
        problems.push(match runtimes::newest(name) {
            Some(newest) => problem.help(format!("the newest of its kind is {newest}")),
            None => problem,
        });
    }
    problems
}

/// Inline code is one file, whose name CloudFormation gives (template reference, `AWS::Lambda::Function Code`, "ZipFile").
pub fn inline_handler(context: &LintContext<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for function in context.of(function::TYPE) {
        // With a layer, the handler may be there.
        let is_alone = function.properties.get("Layers").and_then(Value::as_array).is_none_or(Vec::is_empty);
        if !matches!(function.code, Some(Code::Inline(_))) || !is_alone {
            continue;
        }
        let Some((Value::String(handler), path)) = context.given(function, &["Handler"]) else { continue };
        let is_python = text(function, "Runtime").starts_with("python");
        let parts = if is_python { handler.rsplit_once('.') } else { handler.split_once('.') };
        let (file, called) = parts.unwrap_or((handler, "handler"));
        if file.trim_start_matches("./") == "index" {
            continue;
        }
        let extension = if is_python { "py" } else { "js" };
        let what =
            format!("inline code is the file index.{extension}, so Lambda finds no {handler}, and every call fails");
        problems.push(Problem::new(path, what).help(format!("Handler: index.{called}")));
    }
    problems
}
