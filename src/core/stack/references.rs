//! References that AWS resolves by id: the target must have the right type, and belong to the same API.

use std::collections::BTreeMap;

use super::{Resource, Token};
use crate::core::types::Reference;
use crate::core::words::{Path, Problem, ProblemKind};

/// Reports references that API Gateway would not find, or would find in another API.
pub(super) fn check(resources: &BTreeMap<String, Resource>, problems: &mut Vec<Problem>) {
    for resource in resources.values() {
        for reference in resource.kind.references() {
            let path = resource.path.key("Properties").key(reference.property);
            // A reference with a problem has no target.
            if problems.iter().any(|problem| path.is_above(&problem.path) || problem.path.is_above(&path)) {
                continue;
            }
            problems.extend(follow(reference, resource, resources, path));
        }
    }
}

fn follow(
    reference: &Reference,
    resource: &Resource,
    resources: &BTreeMap<String, Resource>,
    path: Path,
) -> Option<Problem> {
    let Reference { property, prefix, to } = *reference;
    let given = resource.properties.get(property)?.as_str().filter(|given| !given.is_empty())?;
    let is = |logical_id: &str| resources.get(logical_id).filter(|target| target.kind.type_name() == to);
    let api = resource.properties.get("ApiId");
    let named =
        Token::find(given).into_iter().map(|token| token.logical_id).find(|logical_id| is(logical_id).is_some());
    let written = |logical_id: &str| match prefix {
        "" => format!("{property}: !Ref {logical_id}"),
        _ => format!("{property}: !Sub {prefix}${{{logical_id}}}"),
    };
    let id = given.strip_prefix(prefix);
    let target = id.and_then(|id| match Token::find(id).as_slice() {
        [token] if *id == Token::text(&token.logical_id, "Ref") => is(&token.logical_id),
        _ => None,
    });
    let Some(target) = target else {
        let what = if prefix.is_empty() {
            format!("{property} must refer to an {to} of this template, not be \"{}\"", Token::readable(given))
        } else {
            format!(
                "{property} must be {prefix}ID with the id of an {to} of this template, not \"{}\"",
                Token::readable(given)
            )
        };
        let meant = named.or_else(|| {
            let mut same_api =
                resources.values().filter(|one| one.kind.type_name() == to && one.properties.get("ApiId") == api);
            // With several candidates the intended one is unknown.
            same_api.next().filter(|_| same_api.next().is_none()).map(|one| one.logical_id.clone())
        });
        let kind = to.rsplit("::").next().unwrap_or(to).to_uppercase();
        return Some(
            Problem::new(path.clone(), what)
                .kind(ProblemKind::BadReference)
                .depending_on_values([path])
                .help(written(meant.as_deref().unwrap_or(&kind))),
        );
    };
    let elsewhere = target.properties.get("ApiId").filter(|other| api.is_some() && Some(*other) != api)?;
    let other = Token::readable(elsewhere.as_str().unwrap_or_default());
    let what = format!("{} belongs to another API, {other}, not to this one", target.logical_id);
    Some(
        Problem::new(path, what)
            .kind(ProblemKind::BadReference)
            .help(format!("{property} takes an {to} with the same ApiId")),
    )
}
