//! By what CloudFormation finds a resource that it imports.

use std::collections::BTreeMap;

use crate::core::types::cloud_control::IDENTIFIER;
use crate::core::types::{self, Attribute, Kind, Live};
use crate::core::words::Scope;

/// Properties and their values.
pub type Identifier = BTreeMap<String, String>;

/// The identifier of a live resource, in one of the `alternatives`: names of properties, separated by commas. `None` where none of
/// them is known.
pub fn of(kind: &dyn Kind, live: &Live, scope: &Scope, alternatives: &[String]) -> Option<Identifier> {
    let sets = || alternatives.iter().map(|names| names.split(',').map(str::trim).collect::<Vec<_>>());
    // Cloud Control's identifier is the values of the primary one, in its order.
    let primary = |names: &Vec<&str>| {
        let values: Vec<&str> = live.attributes.get(IDENTIFIER)?.split('|').collect();
        let pairs = || names.iter().zip(&values).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        (names.len() == values.len()).then(|| pairs().collect())
    };
    let stated = |names: &Vec<&str>| {
        names
            .iter()
            .map(|name| Some(((*name).to_owned(), value(kind, live, scope, name)?)))
            .collect::<Option<Identifier>>()
    };
    // AWS assigned the one that nothing states: it is what `Ref` gives.
    let minted = |names: &Vec<&str>| {
        let unstated: Vec<&&str> = names.iter().filter(|name| value(kind, live, scope, name).is_none()).collect();
        let [minted] = unstated.as_slice() else { return None };
        let reference = match kind.attribute(scope, Some(&live.physical_id), None) {
            Attribute::Known(reference) => reference,
            _ => live.attributes.get("Ref").unwrap_or(&live.physical_id).clone(),
        };
        let of = |name: &&str| if *name == **minted { Some(reference.clone()) } else { value(kind, live, scope, name) };
        names.iter().map(|name| Some(((*name).to_owned(), of(name)?))).collect()
    };
    sets()
        .find_map(|names| primary(&names))
        .or_else(|| sets().find_map(|names| stated(&names)))
        .or_else(|| sets().find_map(|names| minted(&names)))
}

/// What a live resource has for a property of its identifier.
fn value(kind: &dyn Kind, live: &Live, scope: &Scope, name: &str) -> Option<String> {
    if kind.naming().is_some_and(|naming| naming.property == name && naming.within.is_none()) {
        return Some(live.physical_id.clone());
    }
    let text = live.properties[name].as_str().filter(|text| !text.is_empty());
    if let Some(text) = live.attributes.get(name).map(String::as_str).or(text) {
        return Some(text.to_owned());
    }
    let of_parent = |parent: &dyn Kind| parent.naming().is_some_and(|naming| naming.property == name);
    if kind.within().is_some_and(|within| within.property == name)
        || kind.parent().and_then(types::kind).is_some_and(of_parent)
    {
        return live.parent.clone();
    }
    match kind.attribute(scope, Some(&live.physical_id), Some(name)) {
        Attribute::Known(value) => Some(value),
        _ => None,
    }
}
