//! Rules that hold between resources.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::edges::{Edge, check_cycles, waits_for};
use super::{Resource, Scope, Token, identities, recorders, references};
use crate::core::types::{self, Kind, NamedPart, Part, ResourceView, StackView, Within, tags};
use crate::core::words::{Path, Problem, ProblemKind};

/// Adds edges that templates need not write, and reports invalid combinations of resources.
pub(super) fn apply(
    resources: &mut BTreeMap<String, Resource>,
    scope: &Scope,
    edges: &mut Vec<Edge>,
    problems: &mut Vec<Problem>,
) {
    freeze(resources, edges);
    name_parts(resources, edges);
    log_role_first(resources, edges);
    parents(resources, scope, edges, problems);
    recorders::assign(resources, scope, edges, problems);
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

/// What names another part of its API waits for it, whether it refers to it or not.
fn name_parts(resources: &mut BTreeMap<String, Resource>, edges: &mut Vec<Edge>) {
    let mut found: Vec<Edge> = Vec::new();
    for resource in resources.values() {
        for NamedPart { property, to, name } in resource.kind.needs_by_name() {
            let named: Vec<&Value> = match &resource.properties[*property] {
                Value::Object(names) => names.values().collect(),
                one => vec![one],
            };
            let is_named = |other: &&Resource| {
                other.kind.type_name() == *to
                    && other.properties["ApiId"] == resource.properties["ApiId"]
                    && named.contains(&&other.properties[*name])
            };
            let path = resource.path.key("Properties").key(property);
            found.extend(resources.values().filter(is_named).map(|other| Edge {
                from: resource.logical_id.clone(),
                to: other.logical_id.clone(),
                path: path.clone(),
            }));
        }
    }
    for edge in found {
        let Some(resource) = resources.get_mut(&edge.from) else { continue };
        resource.soft.remove(&edge.to);
        if resource.hard.insert(edge.to.clone()) {
            edges.push(edge);
        }
    }
}

/// What writes logs with the account's role waits for what sets that.
fn log_role_first(resources: &mut BTreeMap<String, Resource>, edges: &mut Vec<Edge>) {
    let setting: Vec<String> =
        resources.values().filter(|one| one.kind.sets_log_role()).map(|one| one.logical_id.clone()).collect();
    let Some(first) = setting.first() else { return };
    for logging in resources.values_mut().filter(|one| one.kind.logs_by(&one.properties).is_some()) {
        if waits_for(edges, first, &logging.logical_id) {
            continue;
        }
        logging.soft.remove(first);
        if logging.hard.insert(first.clone()) {
            let (from, to) = (logging.logical_id.clone(), first.clone());
            edges.push(Edge { from, to, path: logging.path.clone() });
        }
    }
}

/// The parent of a part.
enum Parent<'a> {
    /// A resource of the template.
    Described(&'a Resource),
    /// A function outside of the template. The part becomes one of type `kind`, which `recorder`, an API of the template,
    /// records in its tags.
    Foreign { kind: &'static dyn Kind, recorder: &'a Resource },
}

/// A part with its parent in the template.
struct Child {
    id: String,
    parent: String,
    /// The name to write where the template may have an ARN.
    parent_name: Option<String>,
    /// Where the part names its parent.
    path: Path,
}

/// A permission on a function outside of the template.
struct ForeignChild {
    id: String,
    kind: &'static dyn Kind,
    recorder: String,
    path: Path,
}

/// wschat manages no parts of resources outside the template, except for permissions, which CloudFormation can add to
/// any function. A part that has its parent's name without a reference waits for it all the same.
fn parents(
    resources: &mut BTreeMap<String, Resource>,
    scope: &Scope,
    edges: &mut Vec<Edge>,
    problems: &mut Vec<Problem>,
) {
    let mut children = Vec::new();
    let mut foreign = Vec::new();
    let mut named = Named::new();
    for resource in resources.values() {
        if let Some(name) = &resource.name {
            named.entry((resource.kind.type_name(), name)).or_insert(resource);
        }
    }
    for part in resources.values() {
        let Some((within, given)) = parent_given(part) else { continue };
        let (id, path) = (part.logical_id.clone(), part.path.key("Properties").key(within.property));
        match find_parent(part, within, given, &path, resources, &named, scope, edges) {
            Ok(Parent::Described(parent)) => {
                // A reference to what AWS mints stays one: a layer's version is not called by the layer's name.
                let parent_name = parent.name.clone().filter(|_| Token::sole(given).is_none());
                let parent = parent.logical_id.clone();
                children.push(Child { id, parent, parent_name, path });
            }
            Ok(Parent::Foreign { kind, recorder }) => {
                foreign.push(ForeignChild { id, kind, recorder: recorder.logical_id.clone(), path });
            }
            Err(problem) => problems.push(problem),
        }
    }
    for child in &foreign {
        become_foreign(resources, child);
    }
    problems.extend(over_tag_limit(resources, &foreign));
    let recorded = foreign.into_iter().map(|ForeignChild { id, recorder, path, .. }| Child {
        id,
        parent: recorder,
        parent_name: None,
        path,
    });
    for child in children.into_iter().chain(recorded) {
        wait_for_parent(resources, edges, child);
    }
}

/// What a part is within and how it names that; `None` for what is no part, and where the name is not known (an unresolved
/// reference, which is reported elsewhere).
fn parent_given(part: &Resource) -> Option<(Within, &str)> {
    let within = part.kind.within()?;
    let given = part.properties.get(within.property)?.as_str()?;
    (!given.is_empty()).then_some((within, given))
}

/// Resources by type and physical name, of several the first.
type Named<'a> = HashMap<(&'static str, &'a str), &'a Resource>;

/// The resource that `part` names as `given`, at `path`.
///
/// # Errors
/// There is none, or it is outside of the template and must be in it.
#[allow(clippy::too_many_arguments, reason = "it is one step of `parents`")]
fn find_parent<'a>(
    part: &Resource,
    Within { property, types: above }: Within,
    given: &str,
    path: &Path,
    resources: &'a BTreeMap<String, Resource>,
    named: &Named<'a>,
    scope: &Scope,
    edges: &[Edge],
) -> Result<Parent<'a>, Problem> {
    let is_above = |resource: &&Resource| above.contains(&resource.kind.type_name());
    let minted = Token::sole(given).and_then(|token| resources.get(&token.logical_id)).filter(is_above);
    let parent = minted.filter(|parent| is_called(parent, given, scope)).or_else(|| {
        let name = name_in(given, scope)?;
        let called = above.iter().filter_map(|type_name| named.get(&(*type_name, name)));
        called.copied().min_by_key(|parent| &parent.logical_id)
    });
    if let Some(parent) = parent {
        return Ok(Parent::Described(parent));
    }
    let type_name = part.kind.type_name();
    let what = format!("{property} of {type_name} must refer to an {} of this template", above.join(" or "));
    let problem = Problem::new(path.clone(), what).kind(ProblemKind::BadReference).depending_on_values([path.clone()]);
    if Token::is_in(given) {
        return Err(problem);
    }
    let Some(kind) = part.kind.foreign_type().and_then(types::kind) else {
        let help = format!("\"{given}\" is none of them; wschat changes nothing outside of its stack");
        return Err(problem.help(help));
    };
    if let Some(help) = help_for_own_name(resources, above, given, scope) {
        return Err(problem.help(help));
    }
    if let Some(region) = other_region(given, scope) {
        return Err(problem.help(format!(
            "\"{given}\" is in {region}, and this stack in {}: wschat calls Lambda in the stack's region only",
            scope.region
        )));
    }
    let recorder_type = kind.parent().unwrap_or_default();
    match find_recorder(part, recorder_type, resources, edges) {
        Some(recorder) => Ok(Parent::Foreign { kind, recorder }),
        None => Err(problem.help(format!(
            "\"{given}\" is none of them; a function of another stack can have permissions of this one only where this one \
             has an {recorder_type}, whose tags record them, and which does not wait for the permission"
        ))),
    }
}

/// The API whose tags record a permission: one that it refers to, if there is any. An API that waits for the permission
/// cannot record it.
fn find_recorder<'a>(
    permission: &Resource,
    type_name: &str,
    resources: &'a BTreeMap<String, Resource>,
    edges: &[Edge],
) -> Option<&'a Resource> {
    let apis = resources.values().filter(|other| {
        other.kind.type_name() == type_name && !waits_for(edges, &other.logical_id, &permission.logical_id)
    });
    apis.min_by_key(|api| (!names(&permission.properties, api), api.kind.is_http(&api.properties)))
}

/// Makes a permission one on a function outside of the template.
fn become_foreign(resources: &mut BTreeMap<String, Resource>, child: &ForeignChild) {
    let Some(permission) = resources.get_mut(&child.id) else { return };
    permission.kind = child.kind;
    permission.properties["ApiId"] = Token::text(&child.recorder, "Ref").into();
    permission.minted.insert(child.recorder.clone());
}

/// Lets a part wait for its parent, under the one name that the parent has.
fn wait_for_parent(resources: &mut BTreeMap<String, Resource>, edges: &mut Vec<Edge>, child: Child) {
    let Child { id, parent, parent_name, path } = child;
    let Some(part) = resources.get_mut(&id) else { return };
    if let (Some(Within { property, .. }), Some(name)) = (part.kind.within(), parent_name) {
        // AWS accepts an ARN, too; here the name is the only form.
        part.properties[property] = name.into();
    }
    part.soft.remove(&parent);
    if part.hard.insert(parent.clone()) {
        edges.push(Edge { from: id, to: parent, path });
    }
}

/// The APIs that would exceed their number of tags, each at the first permission that is too many.
fn over_tag_limit(resources: &BTreeMap<String, Resource>, foreign: &[ForeignChild]) -> Vec<Problem> {
    /// The ownership tags.
    const OWNERSHIP: usize = 4;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut problems = Vec::new();
    for ForeignChild { recorder: api, path, .. } in foreign {
        let own = || {
            let tags = resources.get(api).and_then(|api| api.properties["Tags"].as_object());
            OWNERSHIP + tags.map_or(0, serde_json::Map::len)
        };
        let count = counts.entry(api).or_insert_with(own);
        *count += 1;
        let most = tags::MAX;
        if *count == most + 1 {
            let what = format!(
                "the tags of {api} record the permissions on functions of other stacks, and an API has {most} tags at most"
            );
            let help = "give the functions permissions in their own stacks";
            problems.push(Problem::new(path.clone(), what).help(help));
        }
    }
    problems
}

/// Whether `properties` refer to `api`.
fn names(properties: &Value, api: &Resource) -> bool {
    Token::find_all(properties).iter().any(|token| token.logical_id == api.logical_id)
}

/// What to write where `given` looks like a name on AWS and means something of the template, of one of the types
/// `above`: a logical id, or a part of something that is described.
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
    // A layer has a name, and its versions have ids that AWS mints.
    given == Token::text(&resource.logical_id, "Ref")
        || resource.name.as_ref().is_some_and(|name| is_name(name, given, scope))
}

fn is_name(name: &str, given: &str, scope: &Scope) -> bool {
    name_in(given, scope) == Some(name)
}

/// The name in what names a function of this account and region: a name, or an ARN, whole or in part.
fn name_in<'g>(given: &'g str, scope: &Scope) -> Option<&'g str> {
    let here = |account: &str, region: &str| {
        scope.account == PLACEHOLDER_ACCOUNT || (account == scope.account && region == scope.region)
    };
    let mut parts = given.splitn(7, ':');
    let whole = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
    if let (Some("arn"), Some(_), Some("lambda"), Some(region), Some(account), Some("function"), name) = whole {
        return Some(name.unwrap_or_default()).filter(|_| here(account, region));
    }
    match (whole.0, whole.1) {
        (Some(account), Some("function")) => {
            let name = given.splitn(3, ':').nth(2).unwrap_or_default();
            Some(name).filter(|_| here(account, &scope.region))
        }
        _ => Some(given),
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
