//! Reports two resources that AWS would identify as one: the second create finds the first resource, and no run ever
//! completes.

use std::collections::BTreeMap;

use super::{Resource, Token};
use crate::core::words::{Problem, ProblemKind};

/// Reports every resource that is the same as another one of the template.
pub(super) fn check(resources: &BTreeMap<String, Resource>, problems: &mut Vec<Problem>) {
    names(resources, problems);
    members(resources, problems);
}

/// Two resources of one type cannot have the same name. IAM's names ignore case.
fn names(resources: &BTreeMap<String, Resource>, problems: &mut Vec<Problem>) {
    let mut owners: BTreeMap<(&str, String), &str> = BTreeMap::new();
    for resource in resources.values() {
        let Some(name) = &resource.name else { continue };
        let type_name = resource.kind.type_name();
        let known = if resource.kind.ignores_case() { name.to_lowercase() } else { name.clone() };
        if let Some(owner) = owners.insert((type_name, known), &resource.logical_id) {
            let property = resource.kind.naming().map_or("", |naming| naming.property);
            let path = resource.path.key("Properties").key(property);
            problems.push(
                Problem::new(path, format!("{owner} has the name \"{name}\" already")).kind(ProblemKind::Duplicate),
            );
        }
    }
}

/// Parts of an API, and others that their properties identify.
fn members(resources: &BTreeMap<String, Resource>, problems: &mut Vec<Problem>) {
    let mut owners: BTreeMap<(&str, Vec<&str>), &str> = BTreeMap::new();
    for resource in resources.values() {
        let type_name = resource.kind.type_name();
        let identity = resource.kind.unique_by();
        let text = |property: &&str| resource.properties.get(*property)?.as_str().filter(|text| !text.is_empty());
        let (Some(values), Some(shown)) = (identity.iter().map(text).collect::<Option<Vec<_>>>(), identity.last())
        else {
            continue;
        };
        let value = Token::readable(values.last().copied().unwrap_or_default());
        if let Some(owner) = owners.insert((type_name, values), &resource.logical_id) {
            let path = resource.path.key("Properties").key(shown);
            let parent = match identity.first() {
                Some(&"ApiId") => ", in the same API",
                Some(&"RouteId") => ", in the same route",
                _ => "",
            };
            let what = format!("{owner} has the {shown} \"{value}\" already{parent}");
            problems.push(
                Problem::new(path, what)
                    .kind(ProblemKind::Duplicate)
                    .help("remove one of the two, or give them different ones"),
            );
        }
    }
}
