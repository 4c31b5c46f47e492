//! Asks AWS for what templates look up outside of themselves, and puts in what only a reading or a step makes known.

use std::collections::BTreeSet;

use crate::aws::client::Aws;
use crate::aws::providers::{exports, stored};
use crate::core::stack::lookups;
use crate::core::stack::{Lookup, Lookups, Secrets, Stack};
use crate::core::types::{Desired, Live, Owner};
use crate::core::words::Token;

/// Looks everything up at once. What is not there, or cannot be read, is part of the answer.
pub async fn ask(aws: &Aws, wanted: BTreeSet<Lookup>) -> Lookups {
    let names: BTreeSet<String> = wanted
        .iter()
        .filter_map(|lookup| match lookup {
            Lookup::Export { name } => Some(name.clone()),
            Lookup::Parameter { .. } | Lookup::Secret { .. } => None,
        })
        .collect();
    let exported = async { if names.is_empty() { Default::default() } else { exports::find(aws, &names).await } };
    let (exported, stored) = tokio::join!(exported, stored::read(aws, &wanted));
    let mut answers = Lookups::default();
    for (name, found) in exported {
        answers.insert(Lookup::Export { name }, found);
    }
    for (lookup, found) in stored {
        answers.insert(lookup, found);
    }
    answers
}

/// Looks up what the dynamic references of `stack` to its own resources give of those that `live` has (`Stack::own`): the plan compares
/// with it. Those to what is still to be made are left to the step that needs them (`of_step`).
pub async fn of_live(aws: &Aws, stack: &mut Stack, live: &[Live]) {
    let there = |logical_id: &str| {
        let kind = stack.resources.get(logical_id)?.kind;
        live.iter().find(|one| {
            one.owner == Owner::Stack
                && one.type_name == kind.type_name()
                && one.logical_id.as_deref() == Some(logical_id)
        })
    };
    let known = |token: &Token| there(&token.logical_id)?.attributes.get(&token.attribute).cloned();
    let texts = stack.resources.values().flat_map(|resource| lookups::texts(&resource.properties));
    let wanted = texts.filter_map(|text| {
        let text = Token::substitute_text(&text, &known);
        let lookup = Lookup::read(&text).ok().filter(|_| !Token::is_in(&text))?;
        lookups::own(&lookup, &stack.resources).is_none_or(|id| there(id).is_some()).then_some(lookup)
    });
    let wanted: BTreeSet<Lookup> = wanted.collect();
    if wanted.is_empty() {
        return;
    }
    stack.own = ask(aws, wanted).await;
    let mut secrets = Secrets::default();
    stack.own.values().for_each(|value| secrets.add(&value.into()));
    stack.secrets.extend(&secrets);
}

/// What a step is to make, with the values of its dynamic references, and the secrets among them.
///
/// # Errors
/// The first that is not there, in a sentence.
pub async fn of_step(aws: &Aws, mut desired: Desired) -> Result<(Desired, Secrets), String> {
    let mut secrets = Secrets::default();
    let wanted = lookups::references(&desired.properties);
    if !wanted.is_empty() {
        let answers = ask(aws, wanted).await;
        lookups::fill(&mut desired.properties, &answers, &mut secrets).map_err(|missing| missing.what)?;
    }
    Ok((desired, secrets))
}
