//! Rules that hold between resources.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Resource, Scope, Token, identities, references};
use crate::core::types::{self, Kind, Within};
use crate::core::words::{Path, Problem, nearest};

/// A reference from one resource to another.
#[derive(Debug)]
pub(super) struct Edge {
    pub from: String,
    pub to: String,
    /// Where the reference is.
    pub path: Path,
}

const API: &str = "AWS::ApiGatewayV2::Api";
const DEPLOYMENT: &str = "AWS::ApiGatewayV2::Deployment";
const MANAGED_POLICY: &str = "AWS::IAM::ManagedPolicy";
const POLICY: &str = "AWS::IAM::Policy";
const PERMISSION: &str = "AWS::Lambda::Permission";
const ROLE: &str = "AWS::IAM::Role";
const FUNCTION: &str = "AWS::Lambda::Function";
const ALIAS: &str = "AWS::Lambda::Alias";
const ROUTE: &str = "AWS::ApiGatewayV2::Route";
const STAGE: &str = "AWS::ApiGatewayV2::Stage";
const VERSION: &str = "AWS::Lambda::Version";

/// Adds edges that templates need not write, and reports invalid combinations of resources.
pub(super) fn apply(
    resources: &mut BTreeMap<String, Resource>,
    scope: &Scope,
    edges: &mut Vec<Edge>,
    problems: &mut Vec<Problem>,
) {
    freeze(resources, edges);
    parents(resources, scope, edges, problems);
    policies(resources, problems);
    versions(resources, problems);
    // A route with a problem is not among the resources.
    if problems.is_empty() {
        routes(resources, problems);
    }
    identities::check(resources, problems);
    references::check(resources, problems);
    cycles(edges, problems);
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
    for deployment in resources.values_mut().filter(|resource| resource.kind.type_name() == DEPLOYMENT) {
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
                // An API that waits for the permission cannot record it.
                let api = resources.values().filter(|other| {
                    other.kind.type_name() == API && !waits_for(edges, &other.logical_id, &resource.logical_id)
                });
                let api = api.min_by_key(|api| !names(&resource.properties, api));
                let above = above.join(" or ");
                let must = format!("{property} of {type_name} must refer to an {above} of this template");
                let problem = Problem::new(path.clone(), must).hanging_on([path.clone()]);
                let outside = resource.kind.elsewhere().and_then(types::kind);
                problems.push(match (outside, api) {
                    _ if Token::is_in(given) => problem,
                    (Some(_), _) if let Some(help) = help_for_own_name(resources, given, scope) => problem.help(help),
                    (Some(_), _) if let Some(region) = other_region(given, scope) => problem.help(format!(
                        "\"{given}\" is in {region}, and this stack in {}: Lambda is asked in one region alone",
                        scope.region
                    )),
                    (Some(kind), Some(api)) => {
                        elsewhere.push((resource.logical_id.clone(), kind, api.logical_id.clone(), path));
                        continue;
                    }
                    (Some(_), None) => problem.help(format!(
                        "\"{given}\" is none of them; a function of another stack can have permissions of this one only \
                         where this one has an {API}, whose tags record them, and which does not wait for the permission"
                    )),
                    (None, _) => problem
                        .help(format!("\"{given}\" is none of them; wschat changes nothing outside of its stack")),
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
        if let (PERMISSION, Some(name)) = (child.kind.type_name(), name) {
            // AWS accepts an ARN, too; here the name is the only form.
            child.properties["FunctionName"] = name.into();
        }
        child.soft.remove(&to);
        if child.hard.insert(to.clone()) {
            edges.push(Edge { from, to, path });
        }
    }
}

/// Whether `from` waits for `to`, directly or through others.
fn waits_for(edges: &[Edge], from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut ahead = vec![from];
    while let Some(at) = ahead.pop() {
        if at == to {
            return true;
        }
        if seen.insert(at) {
            ahead.extend(edges.iter().filter(|edge| edge.from == at).map(|edge| edge.to.as_str()));
        }
    }
    false
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

/// What to write if `given` looks like a name on AWS but names something in the template: a logical id, or a version or
/// alias of a function in the template.
fn help_for_own_name(resources: &BTreeMap<String, Resource>, given: &str, scope: &Scope) -> Option<String> {
    let mut functions = resources.values().filter(|other| [FUNCTION, ALIAS].contains(&other.kind.type_name()));
    functions.find_map(|function| {
        let id = &function.logical_id;
        let (name, qualifier) = given.rsplit_once(':').unwrap_or((given, ""));
        if given == id {
            Some(format!("write !Ref {id}: \"{given}\" is none of the names on AWS"))
        } else if !qualifier.is_empty() && is_called(function, name, scope) {
            Some(format!("\"{qualifier}\" is no {ALIAS} of {id} in this template"))
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

/// A version is a snapshot of its function's current state, so there is at most one: older ones need not be in the
/// template.
fn versions(resources: &BTreeMap<String, Resource>, problems: &mut Vec<Problem>) {
    let mut published: BTreeMap<&str, &str> = BTreeMap::new();
    for version in resources.values().filter(|resource| resource.kind.type_name() == VERSION) {
        let function = version.properties.get("FunctionName").and_then(|function| function.as_str());
        if let Some(other) = function
            .filter(|name| !name.is_empty())
            .and_then(|function| published.insert(function, &version.logical_id))
        {
            let path = version.path.key("Properties").key("FunctionName");
            let what = format!("{other} is a version of this function already");
            let help = "leave one: it is published anew whenever the function changes";
            problems.push(Problem::new(path, what).help(help));
        }
    }
}

/// A deployment needs at least one route ("At least one route is required before deploying the Api"), and a stage's
/// route settings need their routes ("Unable to find Route by key").
fn routes(resources: &BTreeMap<String, Resource>, problems: &mut Vec<Problem>) {
    let of =
        |type_name: &'static str| resources.values().filter(move |resource| resource.kind.type_name() == type_name);
    let api = |resource: &Resource| resource.properties.get("ApiId").filter(|api| **api != "").cloned();
    let keys = |of_api: &serde_json::Value| -> Vec<&str> {
        let routes = of(ROUTE).filter(|route| route.properties.get("ApiId") == Some(of_api));
        routes.filter_map(|route| route.properties.get("RouteKey")?.as_str()).collect()
    };
    for deployment in of(DEPLOYMENT) {
        if api(deployment).is_some_and(|api| keys(&api).is_empty()) {
            let path = deployment.path.key("Properties").key("ApiId");
            let help = "give the API a route; a deployment is a snapshot of its routes";
            problems
                .push(Problem::new(path, "this API has no route, and without one it cannot be deployed").help(help));
        }
    }
    for stage in of(STAGE) {
        let (Some(api), Some(settings)) = (api(stage), stage.properties.get("RouteSettings")) else { continue };
        let known = keys(&api);
        let unknown = settings.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        for key in unknown.filter(|key| !known.contains(key) && !Token::is_in(key)) {
            let path = stage.path.key("Properties").key("RouteSettings").key(key);
            let problem = Problem::of_key(path, format!("this API has no route \"{key}\""));
            problems.push(Problem {
                help: nearest(key, &known).map(|near| format!("did you mean \"{near}\"?")),
                ..problem
            });
        }
    }
}

/// A policy on a role that is not in this template would change a resource outside of the stack.
fn policies(resources: &BTreeMap<String, Resource>, problems: &mut Vec<Problem>) {
    let ours: Vec<&str> = resources
        .values()
        .filter(|resource| resource.kind.type_name() == ROLE)
        .filter_map(|role| role.name.as_deref())
        .collect();
    let gives = |resource: &&Resource| [POLICY, MANAGED_POLICY].contains(&resource.kind.type_name());
    for policy in resources.values().filter(gives) {
        let roles = policy.properties.get("Roles").and_then(|roles| roles.as_array()).into_iter().flatten();
        let foreign = roles.filter_map(|role| role.as_str()).find(|role| !role.is_empty() && !ours.contains(role));
        if let Some(role) = foreign {
            let path = policy.path.key("Properties").key("Roles");
            problems.push(Problem::new(path, format!("the role \"{role}\" is not an {ROLE} of this template")));
        }
    }
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

/// CloudFormation refuses every circle of references, even if only names are needed, and so does wschat: a template
/// that works here must work there.
fn cycles(edges: &[Edge], problems: &mut Vec<Problem>) {
    let mut search = Search { edges: BTreeMap::new(), done: BTreeSet::new(), trail: Vec::new(), circles: 0, problems };
    for edge in edges {
        search.edges.entry(&edge.from).or_default().push(edge);
    }
    let starts: Vec<&str> = search.edges.keys().copied().collect();
    for start in starts {
        search.visit(start);
    }
}

/// The most circles that are reported.
const MAX_CIRCLES: usize = 20;

struct Search<'a> {
    edges: BTreeMap<&'a str, Vec<&'a Edge>>,
    done: BTreeSet<&'a str>,
    /// The path from the start to the search's position.
    trail: Vec<&'a str>,
    circles: usize,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, at: &'a str) {
        if self.done.contains(at) || self.circles == MAX_CIRCLES {
            return;
        }
        self.trail.push(at);
        for edge in self.edges.get(at).cloned().unwrap_or_default() {
            match self.trail.iter().position(|passed| *passed == edge.to) {
                Some(_) if self.circles == MAX_CIRCLES => return,
                Some(begin) => {
                    self.circles += 1;
                    let circle: Vec<&str> = self.trail[begin..].iter().copied().chain([edge.to.as_str()]).collect();
                    let what = format!("circular dependency between resources: {}", circle.join(" -> "));
                    let problem = Problem::new(edge.path.clone(), what);
                    self.problems.push(problem);
                }
                None => self.visit(&edge.to),
            }
        }
        self.trail.pop();
        self.done.insert(at);
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
