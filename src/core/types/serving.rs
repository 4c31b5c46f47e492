//! Who invokes what through API Gateway, and how long that may take: what several types have in common.

use serde_json::Value;

use super::{Live, Part, PlanView, StepView};

/// How long API Gateway waits for an integration at most, in milliseconds. Nothing is written about authorizers of
/// WebSocket APIs; they are taken to be given no more.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html>
pub const LONGEST: u64 = 29_000;

/// How long a function may take to start before its own timeout begins, in milliseconds.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
pub const INIT: u64 = 10_000;

/// When, relative to a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As AWS is now.
    Before,
    /// As the plan makes it.
    After,
}

impl When {
    fn properties<'a>(self, step: &StepView<'a>) -> Option<&'a Value> {
        match self {
            Self::Before => step.live.map(|live| &live.properties),
            Self::After => step.desired,
        }
    }
}

/// Whether a message that API Gateway takes for this plan's stack may run what `invoked` names: a function, or
/// `FUNCTION:ALIAS`.
pub fn is_invoked(plan: &dyn PlanView, invoked: &str, when: When) -> bool {
    let is_it = |uri: &str| {
        let called = uri.rsplit_once(":function:").map_or(uri, |(_, called)| called);
        called.split('/').next() == Some(invoked)
    };
    let entries = plan.steps().filter(|step| step.part() == Part::Entry).filter_map(|step| when.properties(&step));
    let entries: Vec<&Value> = entries.collect();
    let mut uris = plan.steps().filter_map(|step| step.kind()?.calls(when.properties(&step)?));
    uris.any(|uri| is_it(uri) || entries.iter().any(|entry| is_it(&filled(uri, entry))))
}

/// A text with an entry's variables in their places.
pub fn filled(text: &str, entry: &Value) -> String {
    let variables = entry["StageVariables"].as_object().into_iter().flatten();
    variables
        .filter_map(|(name, value)| Some((name, value.as_str()?)))
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{stageVariables.{name}}}"), value))
}

/// Whether a live entry serves every change of its API at once.
pub fn follows(entry: &Live) -> bool {
    entry.properties["AutoDeploy"] == true
}

/// Whether a text has this name in it, whole.
pub fn mentions(text: &str, name: &str) -> bool {
    words(text).any(|word| word == name)
}

/// The names that a text may have in it: an ARN's parts, a URI's.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).filter(|word| !word.is_empty())
}
