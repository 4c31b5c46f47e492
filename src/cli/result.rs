//! The result of a run: URIs and outputs, or the errors.

use std::collections::{BTreeMap, BTreeSet};

use super::error::CommandError;
use crate::core::plan::Plan;
use crate::core::stack::{MASK, Output, Stack};
use crate::core::types::{Live, Part, api, kind, protocol};
use crate::core::words::Token;
use crate::deploy::deployment::Deployment;
use crate::deploy::execute::Outcome;
use crate::deploy::exports;
use crate::ui::{Ui, printable};

/// The outputs, with the values that AWS assigned; those that hold a secret are masked, unless secrets are to be shown.
pub fn outputs(stack: &Stack, known: &BTreeMap<Token, String>, show_secrets: bool) -> BTreeMap<String, String> {
    let mut values = exports::values(stack, known);
    for (name, value) in &mut values {
        if stack.outputs[name].secret && !show_secrets {
            *value = MASK.to_owned();
        }
    }
    values
}

/// The outputs that are made of something that is not known, because it does not exist yet.
pub fn undeployed(stack: &Stack, known: &BTreeMap<Token, String>) -> BTreeSet<String> {
    let lacks = |output: &&Output| Token::find(&output.value).iter().any(|token| !known.contains_key(token));
    let outputs = stack.outputs.iter().filter(|(_, output)| lacks(output));
    outputs.map(|(name, _)| name.clone()).collect()
}

/// The URI of every stage of the stack: of WebSocket APIs first, then of HTTP APIs.
pub fn uris(stack: &Stack, known: &BTreeMap<Token, String>) -> Vec<String> {
    let stages = stack.resources.values().filter(|resource| resource.kind.part() == Part::Entry);
    let mut stages: Vec<_> = stages.collect();
    stages.sort_by_key(|stage| stage.kind.is_http(&stage.properties));
    stages
        .into_iter()
        .filter_map(|resource| {
            let api = Token::find(resource.properties["ApiId"].as_str()?).into_iter().next()?;
            let endpoint = known.get(&Token { attribute: api::ENDPOINT.to_owned(), ..api })?;
            Some(uri(endpoint, resource.properties["StageName"].as_str()?))
        })
        .collect()
}

/// The URI of every stage that is there: of WebSocket APIs first, then of HTTP APIs.
pub fn live_uris(live: &[Live]) -> Vec<String> {
    live_uris_of(live, None, None)
}

/// The URIs of the stages of this name, of the API of this logical id or name.
pub fn live_uris_of(live: &[Live], api_name: Option<&str>, stage_name: Option<&str>) -> Vec<String> {
    let is_included = |api: &Live| {
        api_name.is_none_or(|name| api.logical_id.as_deref() == Some(name) || api.properties["Name"] == name)
    };
    let entries = live.iter().filter(|one| kind(one.type_name).is_some_and(|kind| kind.part() == Part::Entry));
    let mut entries: Vec<&Live> = entries.collect();
    entries.sort_by_key(|stage| is_http(stage));
    entries
        .into_iter()
        .filter(|stage| stage_name.is_none_or(|name| name == stage.physical_id))
        .filter(|stage| api_of(live, stage).is_some_and(is_included))
        .filter_map(|stage| uri_of(live, stage))
        .collect()
}

/// The URI of a stage that is there; `live` has its API, too.
pub fn uri_of(live: &[Live], stage: &Live) -> Option<String> {
    Some(uri(api_of(live, stage)?.attributes.get(api::ENDPOINT)?, &stage.physical_id))
}

/// Whether a stage, or an API, that is there is for HTTP requests and not for WebSockets.
pub fn is_http(live: &Live) -> bool {
    kind(live.type_name).is_some_and(|kind| kind.is_http(&live.properties))
}

/// The API of a stage.
fn api_of<'a>(live: &'a [Live], stage: &Live) -> Option<&'a Live> {
    let parent = kind(stage.type_name)?.parent();
    live.iter().find(|one| Some(one.type_name) == parent && Some(one.physical_id.as_str()) == stage.parent.as_deref())
}

fn uri(endpoint: &str, stage: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    // That of an HTTP API has no name in its address.
    if stage == protocol::DEFAULT_STAGE { endpoint.to_owned() } else { format!("{endpoint}/{stage}") }
}

/// Says what failed: which resource, and what AWS answered.
pub fn failures(plan: &Plan, outcome: &Outcome, ui: &Ui) {
    for (step, error) in &outcome.failed {
        let step = &plan.steps[*step];
        ui.say(format_args!("{} ({}) failed: {error}", printable::line(&plan.label(step)), step.shown_type()));
    }
}

/// Says what is going to be done with the stack's exports.
pub fn tell_exports(deployment: &Deployment, ui: &Ui) {
    if !deployment.exports.is_empty() {
        ui.say(format_args!("Exports: {}", printable::line(&deployment.exports.join(", "))));
    }
}

/// Holds a plan to `--no-interruption`.
///
/// # Errors
/// Where it interrupts clients: what, and why.
pub fn uninterrupted(plan: &Plan) -> Result<(), CommandError> {
    let found: Vec<String> = plan
        .interruptions()
        .map(|(step, text)| format!("{} ({}): {text}", printable::line(&plan.label(step)), step.shown_type()))
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    let what = "--no-interruption: this plan cannot be carried out without an interruption, and nothing was changed";
    let advice = "leave those changes out, or run it without --no-interruption";
    Err(CommandError::new(what).because(found).advice(advice))
}
