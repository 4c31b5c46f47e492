//! SAM's resources, expanded into CloudFormation's as SAM's own translator (aws-sam-translator) does it.
//!
//! The translator's output is the reference, down to the logical ids (`tests/sam`). Deliberate differences:
//! - code is local: SAM requires an `s3://` address, because `sam package` has uploaded the code before; wschat leaves
//!   the path in `Code` and uploads the code itself. A version's logical id then has the path's hash, not the code's;
//! - a layer keeps its `Metadata`, which say how it is built;
//! - a managed policy that is not listed here: SAM asks IAM for its ARN, here it is made from the name;
//! - mistakes that SAM ignores silently: an unknown property of a WebSocket route, a condition on a WebSocket API, two
//!   events that would make different resources of the same name;
//! - a destination under two conditions: the condition that SAM makes of them is none that CloudFormation takes;
//! - metadata of layers, which say how they are built, stay;
//! - the logical id of a REST API's deployment has another hash: SAM's is of what Python 2 would print;
//! - values from `Globals` are substituted for one function: the translator changes them for the next ones too.

mod answers;
mod chores;
mod connector;
mod connector_profiles;
mod document;
mod domain;
mod events;
mod expansion;
pub mod files;
mod function;
mod globals;
mod http_api;
mod implicit;
mod invocation;
mod layer;
mod location;
mod open_api;
mod parameters;
mod policies;
mod policy_templates;
mod python;
mod record_sets;
pub mod regional_table;
mod rest_api;
mod rest_auth;
mod role;
pub mod same_as;
mod shape;
mod staged;
mod state_machine;
mod sub;
mod table;
mod uploaded;
mod versions;
mod websocket;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Resource, Template};
use crate::core::words::{Path, Problem, ProblemKind, nearest};
use expansion::Expansion;
pub use record_sets::split as split_record_sets;
use shape::{Property, Support};

/// The inputs of the expansion other than the template.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// `aws`, `aws-cn`, `aws-us-gov`: SAM writes it into the ARNs of managed policies.
    pub partition: &'a str,
    pub region: &'a str,
    /// The parameter values given by the user: a few decisions depend on them.
    pub parameters: &'a BTreeMap<String, String>,
}

/// The prefix of SAM's resource types.
const PREFIX: &str = "AWS::Serverless::";

/// One of SAM's resource types.
struct Type {
    name: &'static str,
    properties: &'static [Property],
    expand: fn(&mut Expansion<'_>),
}

/// The types that are expanded, in this order: functions and state machines change the APIs that their events are of.
/// Connectors come last: they connect CloudFormation's types.
const TYPES: &[Type] = &[
    function::TYPE,
    state_machine::TYPE,
    rest_api::TYPE,
    http_api::TYPE,
    layer::TYPE,
    table::TYPE,
    websocket::TYPE,
    connector::TYPE,
];

/// SAM resource types that wschat does not support yet, and what to do instead where that is known.
const UNSUPPORTED: &[(&str, Option<&str>)] = &[
    ("Application", Some("it is a stack of its own: deploy its template with wschat, too")),
    ("CapacityProvider", None),
    ("GraphQLApi", None),
    ("MicrovmImage", None),
    ("NetworkConnector", None),
    ("WebFunction", None),
];

/// The names of the SAM resource types that are expanded.
pub fn types() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|known| known.name)
}

/// Expands all SAM resources of `template`; a template without them is unchanged.
pub fn expand(mut template: Template, context: Context<'_>) -> Template {
    let globals = globals::read(&mut template);
    connector::take_out(&mut template);
    if template.sam {
        implicit::add(&mut template);
    }
    let serverless = in_order(&template);
    // Before any is expanded: functions look into the properties of their APIs.
    for logical_id in &serverless {
        let Some(known) = type_of(&template, logical_id) else { continue };
        let Some(mut resource) = template.resources.remove(logical_id) else { continue };
        let path = Path::default().key("Resources").key(logical_id);
        globals::merge(&mut template, known, &globals, &mut resource, &path);
        template.resources.insert(logical_id.clone(), resource);
    }
    let mut names = sub::Names::default();
    let mut documents = document::Documents::new();
    for logical_id in serverless {
        let known = type_of(&template, &logical_id);
        let Some(mut resource) = template.resources.remove(&logical_id) else { continue };
        template.broken.insert(logical_id.clone());
        let path = Path::default().key("Resources").key(&logical_id);
        let type_path = path.key("Type");
        let Some(known) = known else {
            let name = &resource.type_name;
            let problem = if !template.sam {
                let what = format!("{name} needs SAM");
                Problem::new(type_path, what).help("add \"Transform: AWS::Serverless-2016-10-31\"")
            } else if let Some((_, instead)) =
                UNSUPPORTED.iter().find(|(known, _)| *known == name.trim_start_matches(PREFIX))
            {
                template.families.insert(logical_id.clone());
                let problem = Problem::new(type_path, format!("{name} is not supported yet"));
                let problem = problem.kind(ProblemKind::Unsupported);
                instead.map_or_else(|| problem.clone(), |instead| problem.clone().help(instead))
            } else {
                let problem = Problem::new(type_path, format!("SAM has no type {name}")).kind(ProblemKind::Unknown);
                // The common prefix would make all names similar.
                let own = name.trim_start_matches(PREFIX);
                let near = nearest(own, &types().map(|known| known.trim_start_matches(PREFIX)).collect::<Vec<_>>());
                problem.meant(near.map(|near| format!("{PREFIX}{near}")).as_deref(), &types().collect::<Vec<_>>())
            };
            template.problems.push(problem);
            continue;
        };
        let faulty = check(&mut template, known, &logical_id, &mut resource, &path.key("Properties"));
        let mut expansion = Expansion {
            known,
            template: &mut template,
            context,
            logical_id: &logical_id,
            resource: &resource,
            faulty,
            references: &mut names.references,
            documents: &mut documents,
            renamed: &mut names.renamed,
            linked: BTreeSet::new(),
            made: Vec::new(),
        };
        (known.expand)(&mut expansion);
        let made = expansion.made;
        template.broken.remove(&logical_id);
        for (logical_id, resource) in made {
            match template.resources.entry(logical_id) {
                Entry::Vacant(place) => {
                    place.insert(resource);
                }
                // Two events may share a queue.
                Entry::Occupied(other) if other.get().is_same(&resource) => {}
                Entry::Occupied(other) => {
                    let what = format!("SAM makes a resource {} of this, and there is one of that name", other.key());
                    template.problems.push(Problem::of_key(path.clone(), what).kind(ProblemKind::Duplicate));
                }
            }
        }
    }
    sub::refer(&mut template, &names);
    template.put_in_files();
    template
}

/// The type of the resource `logical_id`, if it is one of SAM's that is expanded.
fn type_of(template: &Template, logical_id: &str) -> Option<&'static Type> {
    let type_name = &template.resources.get(logical_id)?.type_name;
    TYPES.iter().find(|known| known.name == type_name && template.sam)
}

/// The logical ids of SAM's resources, in the order in which they are expanded: by type, then as they are written.
fn in_order(template: &Template) -> Vec<String> {
    let written = template.tree["Resources"].as_object().into_iter().flat_map(Map::keys);
    let written: BTreeMap<&String, usize> = written.enumerate().map(|(place, key)| (key, place)).collect();
    let order = |logical_id: &String| {
        let type_name = &template.resources[logical_id].type_name;
        let of_type = TYPES.iter().position(|known| known.name == type_name).unwrap_or(TYPES.len());
        (of_type, written.get(logical_id).copied())
    };
    let serverless = template.resources.iter().filter(|(_, resource)| resource.type_name.starts_with(PREFIX));
    let mut logical_ids: Vec<String> = serverless.map(|(logical_id, _)| logical_id.clone()).collect();
    logical_ids.sort_by_cached_key(order);
    logical_ids
}

/// The prefix of logical ids that SAM would create for a property that is not supported yet.
fn family(logical_id: &str, property: &str) -> String {
    format!("{logical_id}{property}")
}

/// Removes from `resource`, whose properties are at `path`, those that its type does not have, or not in that shape.
/// Returns the names of the properties that were probably meant.
fn check(
    template: &mut Template,
    known: &'static Type,
    logical_id: &str,
    resource: &mut Resource,
    path: &Path,
) -> BTreeSet<&'static str> {
    for property in known.properties.iter().filter(|property| property.support == Support::NotYet) {
        if resource.properties.get(property.name).is_some_and(|value| !value.is_null()) {
            template.families.insert(family(logical_id, property.name));
        }
    }
    let properties: Vec<&Property> = known.properties.iter().collect();
    check_properties(template, known.name, &properties, &mut resource.properties, path)
}

/// Removes from `given`, which is at `path`, what is not among the `known` properties of `owner`, or not in that shape.
/// Returns the names of the properties that were probably meant.
fn check_properties(
    template: &mut Template,
    owner: &str,
    known: &[&'static Property],
    given: &mut Map<String, Value>,
    path: &Path,
) -> BTreeSet<&'static str> {
    let names: Vec<&'static str> = known.iter().map(|property| property.name).collect();
    let mut faulty = BTreeSet::new();
    given.retain(|name, value| {
        let path = path.key(name);
        let problem = match known.iter().find(|property| property.name == name) {
            // SAM treats it as not given.
            Some(_) if value.is_null() => return false,
            Some(property) if property.support == Support::NotYet => {
                faulty.insert(property.name);
                Problem::of_key(path, format!("the property {name} of {owner} is not supported yet"))
                    .kind(ProblemKind::Unsupported)
            }
            Some(property) if property.shape.fits(value) => return true,
            Some(property) => {
                faulty.insert(property.name);
                Problem::new(path, format!("{name} must be {}", property.shape.words())).kind(ProblemKind::IllTyped)
            }
            None => {
                let meant = nearest(name, &names);
                faulty.extend(meant);
                Problem::of_key(path, format!("unknown property \"{name}\" of {owner}"))
                    .kind(ProblemKind::Unknown)
                    .meant(meant, &names)
            }
        };
        template.problems.push(problem);
        false
    });
    faulty
}

#[cfg(test)]
mod tests;
