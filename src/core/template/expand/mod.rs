//! SAM's resources, expanded into CloudFormation's as SAM's own translator (aws-sam-translator) does it.
//!
//! The translator's output is the reference, down to the logical ids (`tests/sam`). Deliberate differences:
//! - code is local: SAM requires an `s3://` address, because `sam package` has uploaded the code before; wschat leaves
//!   the path in `Code` and uploads the code itself. A version's logical id then has the path's hash, not the code's;
//! - a managed policy that is not listed here: SAM asks IAM for its ARN, here it is made from the name;
//! - mistakes that SAM ignores silently: an unknown property of a WebSocket route, a condition on a WebSocket API;
//! - values from `Globals` are substituted for one function: the translator changes them for the next ones too.

mod expansion;
mod function;
mod globals;
mod parameters;
mod policies;
mod policy_templates;
mod role;
mod same_as;
mod shape;
mod sub;
mod table;
mod versions;
mod websocket;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::{Resource, Template};
use crate::core::words::{Path, Problem, ProblemKind, nearest};
use expansion::Expansion;
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

/// The types that are expanded.
const TYPES: &[Type] = &[function::TYPE, table::TYPE, websocket::TYPE];

/// SAM resource types that wschat does not support yet.
const UNSUPPORTED: &[&str] = &[
    "Api",
    "Application",
    "CapacityProvider",
    "Connector",
    "GraphQLApi",
    "HttpApi",
    "LayerVersion",
    "MicrovmImage",
    "NetworkConnector",
    "StateMachine",
    "WebFunction",
];

/// The names of the SAM resource types that are expanded.
pub fn types() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|known| known.name)
}

/// Expands all SAM resources of `template`; a template without them is unchanged.
pub fn expand(mut template: Template, context: Context<'_>) -> Template {
    let globals = globals::read(&mut template);
    let serverless: Vec<String> = template
        .resources
        .iter()
        .filter(|(_, resource)| resource.type_name.starts_with(PREFIX))
        .map(|(logical_id, _)| logical_id.clone())
        .collect();
    let mut references = sub::References::new();
    for logical_id in serverless {
        let Some(mut resource) = template.resources.remove(&logical_id) else { continue };
        template.broken.insert(logical_id.clone());
        let path = Path::default().key("Resources").key(&logical_id);
        let type_path = path.key("Type");
        let known = TYPES.iter().find(|known| known.name == resource.type_name);
        let Some(known) = known.filter(|_| template.sam) else {
            let name = &resource.type_name;
            let problem = if !template.sam {
                let what = format!("{name} needs SAM");
                Problem::new(type_path, what).help("add \"Transform: AWS::Serverless-2016-10-31\"")
            } else if UNSUPPORTED.contains(&name.trim_start_matches(PREFIX)) {
                template.families.insert(logical_id.clone());
                Problem::new(type_path, format!("{name} is not supported yet")).kind(ProblemKind::Unsupported)
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
        globals::merge(&mut template, known, &globals, &mut resource, &path);
        let faulty = check(&mut template, known, &logical_id, &mut resource, &path.key("Properties"));
        let mut expansion = Expansion {
            known,
            template: &mut template,
            context,
            logical_id: &logical_id,
            resource: &resource,
            faulty,
            references: &mut references,
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
                Entry::Occupied(other) => {
                    let what = format!("SAM makes a resource {} of this, and there is one of that name", other.key());
                    template.problems.push(Problem::of_key(path.clone(), what).kind(ProblemKind::Duplicate));
                }
            }
        }
    }
    sub::refer(&mut template, &references);
    template
}

/// The prefixes of logical ids that SAM would create for a property that is not supported yet.
fn families(logical_id: &str, property: &str, value: &serde_json::Value) -> Vec<String> {
    match property {
        "DeploymentPreference" => vec![
            "CodeDeployServiceRole".to_owned(),
            "ServerlessDeploymentApplication".to_owned(),
            format!("{logical_id}DeploymentGroup"),
        ],
        "Events" => {
            let events = value.as_object().into_iter().flatten().map(|(event, _)| format!("{logical_id}{event}"));
            ["ServerlessHttpApi", "ServerlessRestApi"].map(str::to_owned).into_iter().chain(events).collect()
        }
        "FunctionUrlConfig" => vec![format!("{logical_id}Url")],
        _ => vec![format!("{logical_id}{property}")],
    }
}

/// Removes from `resource`, whose properties are at `path`, those that its type does not have, or not in that shape.
/// Returns the names of the properties that were probably meant.
fn check(
    template: &mut Template,
    known: &Type,
    logical_id: &str,
    resource: &mut Resource,
    path: &Path,
) -> BTreeSet<&'static str> {
    let names: Vec<&'static str> = known.properties.iter().map(|property| property.name).collect();
    let mut faulty = BTreeSet::new();
    resource.properties.retain(|name, value| {
        let path = path.key(name);
        let problem = match known.properties.iter().find(|property| property.name == name) {
            // SAM treats it as not given.
            Some(_) if value.is_null() => return false,
            Some(property) if property.support == Support::NotYet => {
                template.families.extend(families(logical_id, property.name, value));
                Problem::of_key(path, format!("the property {name} of {} is not supported yet", known.name))
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
                Problem::of_key(path, format!("unknown property \"{name}\" of {}", known.name))
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
