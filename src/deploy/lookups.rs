//! Asks AWS for what templates look up outside of themselves, and puts in what only a reading or a step makes known.

use std::collections::BTreeSet;

use crate::aws::client::Aws;
use crate::aws::providers::{exports, stored};
use crate::core::stack::lookups::{self, Missing};
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

/// A dynamic reference to something of the stack's own that could not be looked up.
#[derive(Debug, thiserror::Error)]
#[error("{logical_id}: {}{}", .missing.what, .missing.help.as_ref().map(|help| format!("\n  {help}")).unwrap_or_default())]
pub struct Unresolved {
    logical_id: String,
    missing: Missing,
}

/// Resolves the dynamic references of `stack` that name what `live` has of it: otherwise the plan would compare them with their
/// values. Those to what is still to be made are left to the step that needs them (`of_step`).
///
/// # Errors
/// The first that is not there.
pub async fn of_live(aws: &Aws, stack: &mut Stack, live: &[Live]) -> Result<(), Unresolved> {
    if !stack.resources.values().any(|resource| lookups::is_dynamic(&resource.properties)) {
        return Ok(());
    }
    let known = |token: &Token| {
        let kind = stack.resources.get(&token.logical_id)?.kind;
        let is_it = |one: &&Live| {
            one.owner == Owner::Stack
                && one.type_name == kind.type_name()
                && one.logical_id.as_deref() == Some(&token.logical_id)
        };
        live.iter().find(is_it)?.attributes.get(&token.attribute).cloned()
    };
    let dynamic = stack.resources.values().filter(|resource| lookups::is_dynamic(&resource.properties));
    let filled: Vec<_> = dynamic
        .map(|resource| (resource.logical_id.clone(), Token::substitute(&resource.properties, &known)))
        .collect();
    let wanted: BTreeSet<Lookup> = filled.iter().flat_map(|(_, properties)| lookups::references(properties)).collect();
    let answers = ask(aws, wanted).await;
    let mut secrets = Secrets::default();
    for (logical_id, mut properties) in filled {
        lookups::fill(&mut properties, &answers, &mut secrets)
            .map_err(|missing| Unresolved { logical_id: logical_id.clone(), missing })?;
        if let Some(resource) = stack.resources.get_mut(&logical_id).filter(|_| !lookups::is_dynamic(&properties)) {
            resource.properties = properties;
        }
    }
    stack.secrets.extend(&secrets);
    Ok(())
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
