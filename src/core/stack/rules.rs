//! Rules that hold between resources.

use std::collections::BTreeMap;

use serde_json::Value;

use super::edges::{Edge, check_cycles, waits_for};
use super::{Resource, Scope, Token, identities, references};
use crate::core::types::{self, Kind, Part, ResourceView, StackView, Within};
use crate::core::words::{Path, Problem, ProblemKind};

/// Adds edges that templates need not write, and reports invalid combinations of resources.
pub(super) fn apply(
    resources: &mut BTreeMap<String, Resource>,
    scope: &Scope,
    edges: &mut Vec<Edge>,
    problems: &mut Vec<Problem>,
) {
    freeze(resources, edges);
    parents(resources, scope, edges, problems);
    conflicts(resources, problems);
    identities::check(resources, problems);
    references::check(resources, problems);
    check_cycles(edges, problems);
}

/// A deployment is a snapshot: it waits for all routes and integrations of its API, whether the template says so or
/// not.
fn freeze(resources: &mut BTreeMap<String, Resource>, edges: &mut Vec<Edge>) {
    let api = |resource: &Resource| resource.properties.get("ApiId").cloned();
    let frozen: Vec<_> = resources
        .values()
        .filter(|resource| resource.kind.is_frozen_by_deployments())
        .map(|resource| (resource.logical_id.clone(), api(resource)))
        .collect();
    for deployment in resources.values_mut().filter(|resource| resource.kind.part() == Part::Snapshot) {
        let own = api(deployment);
        for (logical_id, _) in frozen.iter().filter(|(_, of)| own.is_some() && *of == own) {
            deployment.soft.remove(logical_id);
            if deployment.hard.insert(logical_id.clone()) {
                let path = deployment.path.clone();
                edges.push(Edge { from: deployment.logical_id.clone(), to: logical_id.clone(), path });
            }
        }
    }
}

/// wschat manages no parts of resources outside the template, except for permissions, which CloudFormation can add to
/// any function. A part that has its parent's name without a reference waits for it all the same.
fn parents(
    resources: &mut BTreeMap<String, Resource>,
    scope: &Scope,
    edges: &mut Vec<Edge>,
    problems: &mut Vec<Problem>,
) {
    let mut waits = Vec::new();
    let mut elsewhere = Vec::new();
    for resource in resources.values() {
        let type_name = resource.kind.type_name();
        let Some(Within { property, types: above }) = resource.kind.within() else { continue };
        // Unresolved references are empty, and reported.
        let given = resource.properties.get(property).and_then(|given| given.as_str()).unwrap_or_default();
        if given.is_empty() {
            continue;
        }
        let path = resource.path.key("Properties").key(property);
        let mut parents = resources.values().filter(|resource| above.contains(&resource.kind.type_name()));
        match parents.find(|parent| is_called(parent, given, scope)) {
            Some(parent) => {
                waits.push((resource.logical_id.clone(), parent.logical_id.clone(), path, parent.name.clone()));
            }
            None => {
                let outside = resource.kind.elsewhere().and_then(types::kind);
                let recorder = outside.and_then(|kind| kind.parent()).unwrap_or_default();
                // An API that waits for the permission cannot record it.
                let api = resources.values().filter(|other| {
                    other.kind.type_name() == recorder && !waits_for(edges, &other.logical_id, &resource.logical_id)
                });
                let api = api.min_by_key(|api| !names(&resource.properties, api));
                let must =
                    format!("{property} of {type_name} must refer to an {} of this template", above.join(" or "));
                let problem =
                    Problem::new(path.clone(), must).kind(ProblemKind::BadReference).hanging_on([path.clone()]);
                problems.push(match (outside, api) {
                    _ if Token::is_in(given) => problem,
                    (Some(_), _) if let Some(help) = help_for_own_name(resources, above, given, scope) => problem.help(help),
                    (Some(_), _) if let Some(region) = other_region(given, scope) => problem.help(format!(
                        "\"{given}\" is in {region}, and this stack in {}: wschat calls Lambda in the stack's region only",
                        scope.region
                    )),
                    (Some(kind), Some(api)) => {
                        elsewhere.push((resource.logical_id.clone(), kind, api.logical_id.clone(), path));
                        continue;
                    }
                    (Some(_), None) => problem.help(format!(
                        "\"{given}\" is none of them; a function of another stack can have permissions of this one only \
                         where this one has an {recorder}, whose tags record them, and which does not wait for the permission"
                    )),
                    (None, _) => problem
                        .help(format!("\"{given}\" is not one; wschat changes nothing outside of its stack")),
                });
            }
        }
    }
    for (id, kind, api, _) in &elsewhere {
        let Some(resource) = resources.get_mut(id) else { continue };
        resource.kind = *kind;
        resource.properties["ApiId"] = Token::text(api, "Ref").into();
        resource.minted.insert(api.clone());
    }
    for (api, at) in over_tag_limit(resources, &elsewhere) {
        let what = format!(
            "the tags of {api} record the permissions on functions of other stacks, and an API has {MAX_TAGS} tags at most"
        );
        problems.push(Problem::new(at, what).help("give the functions permissions in their own stacks"));
    }
    waits.extend(elsewhere.into_iter().map(|(id, _, api, path)| (id, api, path, None)));
    for (from, to, path, name) in waits {
        let Some(child) = resources.get_mut(&from) else { continue };
        if let (Some(Within { property, .. }), Some(name)) = (child.kind.within(), name) {
            // AWS accepts an ARN, too; here the name is the only form.
            child.properties[property] = name.into();
        }
        child.soft.remove(&to);
        if child.hard.insert(to.clone()) {
            edges.push(Edge { from, to, path });
        }
    }
}

/// How many tags an API can have (Amazon API Gateway, "Tag restrictions").
const MAX_TAGS: usize = 50;

/// The APIs that would exceed their number of tags, each with the first permission that is too many.
fn over_tag_limit(
    resources: &BTreeMap<String, Resource>,
    elsewhere: &[(String, &'static dyn Kind, String, Path)],
) -> Vec<(String, Path)> {
    /// The ownership tags.
    const OWNERSHIP: usize = 4;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (_, _, api, path) in elsewhere {
        let own = || {
            let tags = resources.get(api).and_then(|api| api.properties["Tags"].as_object());
            OWNERSHIP + tags.map_or(0, serde_json::Map::len)
        };
        let count = counts.entry(api).or_insert_with(own);
        *count += 1;
        if *count == MAX_TAGS + 1 {
            found.push((api.clone(), path.clone()));
        }
    }
    found
}

/// Whether `properties` refer to `api`.
fn names(properties: &Value, api: &Resource) -> bool {
    Token::find_all(properties).iter().any(|token| token.logical_id == api.logical_id)
}

/// What to write where `given` looks like a name on AWS and means something of the template, of one of the types `above`: a
/// logical id, or a part of something that is described.
fn help_for_own_name(
    resources: &BTreeMap<String, Resource>,
    above: &[&str],
    given: &str,
    scope: &Scope,
) -> Option<String> {
    let mut described = resources.values().filter(|other| above.contains(&other.kind.type_name()));
    described.find_map(|other| {
        let id = &other.logical_id;
        let (name, qualifier) = given.rsplit_once(':').unwrap_or((given, ""));
        if given == id {
            Some(format!("write !Ref {id}: \"{given}\" is a logical id, not a name in AWS"))
        } else if !qualifier.is_empty() && is_called(other, name, scope) {
            let within = |part: &&&str| {
                let within = types::kind(part).and_then(|kind| kind.within());
                within.is_some_and(|within| within.types.contains(&other.kind.type_name()))
            };
            let part = above.iter().find(within)?;
            Some(format!("\"{qualifier}\" is no {part} of {id} in this template"))
        } else {
            None
        }
    })
}

/// The region of an ARN, where it is not the stack's.
fn other_region<'a>(arn: &'a str, scope: &Scope) -> Option<&'a str> {
    let region = arn.strip_prefix("arn:")?.split(':').nth(2)?;
    (scope.account != PLACEHOLDER_ACCOUNT && region != scope.region).then_some(region)
}

/// A template's resources, of which those that have a mistake may be missing.
struct Found<'a> {
    resources: &'a BTreeMap<String, Resource>,
    is_whole: bool,
}

impl StackView for Found<'_> {
    fn resources(&self) -> Box<dyn Iterator<Item = ResourceView<'_>> + '_> {
        self.resources.resources()
    }

    fn get(&self, logical_id: &str) -> Option<ResourceView<'_>> {
        StackView::get(self.resources, logical_id)
    }

    fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// What the types themselves do not allow.
fn conflicts(resources: &BTreeMap<String, Resource>, problems: &mut Vec<Problem>) {
    let kinds: BTreeMap<&str, &dyn Kind> =
        resources.values().map(|resource| (resource.kind.type_name(), resource.kind)).collect();
    let stack = Found { resources, is_whole: problems.is_empty() };
    problems.extend(kinds.values().flat_map(|kind| kind.conflicts(&stack)));
}

/// The account while the real one is unknown, and of the local cloud: ARNs of any account and region may be meant for
/// it.
const PLACEHOLDER_ACCOUNT: &str = "000000000000";

/// Whether `given` is the `Ref` of `resource`, or its ARN, whole or in part (`ACCOUNT:function:NAME`).
fn is_called(resource: &Resource, given: &str, scope: &Scope) -> bool {
    match &resource.name {
        Some(name) => is_name(name, given, scope),
        None => given == Token::text(&resource.logical_id, "Ref"),
    }
}

fn is_name(name: &str, given: &str, scope: &Scope) -> bool {
    let here = |account: &str, region: &str| {
        scope.account == PLACEHOLDER_ACCOUNT || (account == scope.account && region == scope.region)
    };
    let parts: Vec<&str> = given.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "lambda", region, account, "function", rest @ ..] => here(account, region) && rest.join(":") == name,
        [account, "function", rest @ ..] => here(account, &scope.region) && rest.join(":") == name,
        _ => given == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_from_others_that_end_in_it() {
        let scope = |account: &str| Scope {
            stack: "app".to_owned(),
            account: account.to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        };
        for (name, given, is_it) in [
            ("prod", "prod", true),
            ("prod", "chat:prod", false),
            ("chat:prod", "chat:prod", true),
            ("prod", "arn:aws:lambda:eu-west-1:123456789012:function:prod", true),
            ("chat:prod", "arn:aws:lambda:eu-west-1:123456789012:function:chat:prod", true),
            ("prod", "arn:aws:lambda:eu-west-1:123456789012:function:chat:prod", false),
            ("prod", "arn:aws:lambda:us-east-1:123456789012:function:prod", false),
            ("prod", "arn:aws:lambda:eu-west-1:999999999999:function:prod", false),
            ("prod", "123456789012:function:prod", true),
            ("prod", "999999999999:function:prod", false),
        ] {
            assert_eq!(is_name(name, given, &scope("123456789012")), is_it, "{name} {given}");
        }
        // Offline, the account is unknown.
        assert!(is_name("prod", "arn:aws:lambda:us-east-1:999999999999:function:prod", &scope(PLACEHOLDER_ACCOUNT)));
        assert!(!is_name(
            "prod",
            "arn:aws:lambda:us-east-1:999999999999:function:chat:prod",
            &scope(PLACEHOLDER_ACCOUNT)
        ));
    }
}
