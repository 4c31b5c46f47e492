//! Templates: from text to declarations, with SAM's resources expanded into CloudFormation's.
//!
//! ```text
//! bytes --tree--> values --parse--> Template --expand--> Template without SAM
//! ```
//!
//! A template with mistakes is read as far as possible: its problems travel with it, so that one run shows them all.
//! `locate` finds the positions of problems in the text, `render` shows them there.

mod document;
pub mod expand;
pub mod intrinsics;
pub mod locate;
mod origins;
mod parse;
pub mod render;
pub mod retain;
mod syntax;
mod tree;
pub mod upload;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::core::words::{Path, Position, Problem, Step};
use locate::SourceMap;
use origins::Origins;
pub use parse::parse;
pub use tree::LONGEST;

/// The declarations of a template, with every intrinsic function in its long form and not evaluated.
#[derive(Debug, Clone, Default)]
pub struct Template {
    pub description: Option<String>,
    /// Whether `Transform` names SAM.
    pub sam: bool,
    /// Whether `Transform` names `LANGUAGE_EXTENSIONS`.
    pub language_extensions: bool,
    pub parameters: BTreeMap<String, Parameter>,
    pub rules: BTreeMap<String, Rule>,
    /// Map, first-level key, second-level key, value.
    pub mappings: Map<String, Value>,
    pub conditions: Map<String, Value>,
    /// By SAM resource type without its prefix (`Function`).
    pub globals: Map<String, Value>,
    pub resources: BTreeMap<String, Resource>,
    pub outputs: BTreeMap<String, Output>,
    /// Logical ids and parameter names whose declarations are invalid. References to them are no further mistake.
    pub broken: BTreeSet<String>,
    /// Prefixes of the logical ids that SAM would have created from something that is refused.
    pub families: BTreeSet<String>,
    /// The problems found so far.
    pub problems: Vec<Problem>,
    /// What stands in the files that the template names and that become texts in it: `named_files`, and JSON.
    pub files: BTreeMap<String, Value>,
    /// Resources that `without_upload` and `with_chores` have left out.
    pub left_out: Vec<LeftOut>,
    /// The whole template as written.
    pub tree: Value,
    /// The positions of its parts.
    pub source: SourceMap,
    origins: Origins,
}

/// A resource that is left out, and why: a sentence.
#[derive(Debug, Clone)]
pub struct LeftOut {
    pub path: Path,
    pub what: &'static str,
}

/// The transform that adds some functions to the language: `Fn::Length`, `Fn::ToJsonString`.
pub const LANGUAGE_EXTENSIONS: &str = "AWS::LanguageExtensions";

/// The most problems of one template that are reported: more than anyone reads at once.
pub const MOST_PROBLEMS: usize = 1_000;

/// One parameter of a template.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parameter {
    #[serde(rename = "Type")]
    pub type_name: String,
    /// A string, number or list, as written.
    pub default: Option<Value>,
    pub description: Option<String>,
    #[serde(default)]
    pub allowed_values: Vec<String>,
    pub allowed_pattern: Option<String>,
    pub constraint_description: Option<String>,
    pub min_length: Option<usize>,
    pub max_length: Option<usize>,
    pub min_value: Option<f64>,
    pub max_value: Option<f64>,
    /// Whether the value is a secret.
    #[serde(default)]
    pub no_echo: bool,
    /// Whether the default was made up by the lint: then it is not a secret.
    #[serde(skip)]
    pub made_up: bool,
}

impl Parameter {
    /// One of this type, without constraints.
    pub fn of_type(type_name: String) -> Self {
        Self {
            type_name,
            default: None,
            description: None,
            allowed_values: Vec::new(),
            allowed_pattern: None,
            constraint_description: None,
            min_length: None,
            max_length: None,
            min_value: None,
            max_value: None,
            no_echo: false,
            made_up: false,
        }
    }
}

/// A constraint on the parameters.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rule {
    /// The condition of the assertions; without one they are always checked.
    pub rule_condition: Option<Value>,
    pub assertions: Vec<Assertion>,
}

/// One assertion of a rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Assertion {
    pub assert: Value,
    /// The message for the user if it fails.
    pub assert_description: Option<String>,
}

/// One resource as it is declared.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Resource {
    #[serde(rename = "Type")]
    pub type_name: String,
    #[serde(default)]
    pub properties: Map<String, Value>,
    /// A logical id or a list of them.
    pub depends_on: Option<Value>,
    /// Not read, but CloudFormation accepts it (aws/aws-cdk#10522).
    #[serde(default, rename = "Description")]
    _description: IgnoredAny,
    /// The name of a condition.
    pub condition: Option<String>,
    pub deletion_policy: Option<String>,
    pub update_replace_policy: Option<String>,
    #[serde(default)]
    pub metadata: Value,
    /// SAM: `*`, or the names of the properties that `Globals` must not give.
    pub ignore_globals: Option<Value>,
    creation_policy: Option<Value>,
    update_policy: Option<Value>,
    connectors: Option<Value>,
    /// Custom resources alone have one, and nothing reads it (CloudFormation user guide, "Custom resources": `Version: '1.0'`).
    version: Option<Value>,
}

/// One output as it is declared.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub value: Value,
    pub description: Option<String>,
    pub condition: Option<String>,
    pub export: Option<Value>,
}

impl Resource {
    /// The logical ids that it waits for (`DependsOn`).
    pub fn dependencies(&self) -> Vec<Value> {
        match &self.depends_on {
            None => Vec::new(),
            Some(Value::Array(names)) => names.clone(),
            Some(name) => vec![name.clone()],
        }
    }

    /// Whether CloudFormation would make the same of both.
    fn is_same(&self, other: &Self) -> bool {
        let says = |it: &Self| {
            let policies = (it.deletion_policy.clone(), it.update_replace_policy.clone());
            (it.type_name.clone(), it.properties.clone(), it.condition.clone(), it.depends_on.clone(), policies)
        };
        says(self) == says(other)
    }
}

impl Template {
    /// Whether `name` belongs to something that was refused, so that a reference to it is no further mistake.
    pub fn is_broken(&self, name: &str) -> bool {
        self.broken.contains(name) || self.families.iter().any(|family| name.starts_with(family))
    }

    /// `problems` for the user: at paths that the user wrote, each once (although an alias repeats it), in the text's
    /// order. One that `Globals` cause names the resources that have it. If there are very many, the first that were
    /// found.
    pub fn report(&self, problems: impl IntoIterator<Item = Problem>) -> Vec<Problem> {
        let mut seen = HashMap::new();
        let mut report: Vec<(Option<Position>, Problem, BTreeSet<String>)> = Vec::new();
        for mut problem in problems {
            let resource = self.inheriting(&problem.path);
            problem.path = self.origins.trace(&problem.path);
            problem.depends_on_values = problem.depends_on_values.iter().map(|path| self.origins.trace(path)).collect();
            let place = problem.position.or_else(|| Some(self.source.span(&problem.path, problem.at_key)?.start));
            let index = *seen.entry((place, problem.what.clone(), problem.rule)).or_insert(report.len());
            if index == report.len() {
                report.push((place, problem, BTreeSet::new()));
            }
            report[index].2.extend(resource);
            if report.len() > MOST_PROBLEMS {
                break;
            }
        }
        let more = report.len() > MOST_PROBLEMS;
        report.truncate(MOST_PROBLEMS);
        report.sort_by_key(|(place, ..)| *place);
        let named = |(_, mut problem, mut resources): (_, Problem, BTreeSet<String>)| {
            let is_named = |name: &str| {
                let mut words = problem.what.split(|letter: char| !letter.is_ascii_alphanumeric());
                words.any(|word| word == name)
            };
            resources.retain(|name| !is_named(name));
            if !resources.is_empty() {
                problem.what.push_str(&format!(" ({})", listed(&resources)));
            }
            problem
        };
        let mut report: Vec<Problem> = report.into_iter().map(named).collect();
        if more {
            report.push(Problem::of_text(None, "there are more problems than these"));
        }
        report
    }

    /// The resource that `path` is in, where its value comes from `Globals`.
    fn inheriting(&self, path: &Path) -> Option<String> {
        let [Step::Key(_), Step::Key(resource), ..] = path.0.as_slice() else { return None };
        let origin = self.origins.trace(path);
        let is_global = origin != *path && origin.0.first() == Some(&Step::Key("Globals".to_owned()));
        (is_global && self.tree["Resources"].get(resource).is_some()).then(|| resource.clone())
    }

    /// The logical id that the user wrote for a resource: SAM gives some another one.
    pub fn declared_as(&self, logical_id: &str) -> String {
        let written = self.origins.trace(&Path::default().key("Resources").key(logical_id));
        match written.0.as_slice() {
            [Step::Key(_), Step::Key(written)] => written.clone(),
            _ => logical_id.to_owned(),
        }
    }

    /// The path that the user wrote for `path`; the same path if it was not created by the expansion.
    pub fn written(&self, path: &Path) -> Path {
        self.origins.trace(path)
    }
}

/// The first few `names`.
fn listed(names: &BTreeSet<String>) -> String {
    const MOST: usize = 5;
    let first: Vec<&str> = names.iter().take(MOST).map(String::as_str).collect();
    let more = names.len() - first.len();
    if more > 0 { format!("{} and {more} more", first.join(", ")) } else { first.join(", ") }
}

#[cfg(test)]
mod tests;
